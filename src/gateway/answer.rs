//! The way of a request: select the application, let it in as far as its limits allow, read the
//! body, borrow the application, hand over.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, COOKIE, HeaderValue, LOCATION, ORIGIN};
use http::request::Parts;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use hyper::body::{Body, Incoming};
use tokio::time::{Instant, timeout_at};

use super::host_view::SupervisorView;
use super::errors::{self, Methods, Refusal};
use super::peer::{Network, Reached, check_host, client, unknown_coding};
use super::request_span::RequestSpan;
use super::selector::{Named, Place, Selected, select};
use super::{body, cors, layers, pace};
use crate::app::api::ApiRequest;
use crate::pages::{self, PageContext, PageRequest};
use crate::protocol::{AppId, State};
use crate::supervisor::{Arrival, SMALL_BODY, Supervisor, Turn, Unavailable, Visit};

/// What all requests share; nothing in it changes.
pub(super) struct Shared {
    pub(super) supervisor: Arc<Supervisor>,
    /// With a slash at both ends.
    pub(super) api_base: String,
    pub(super) trusted_proxies: Vec<Network>,
}

/// An application, lent to a request until this is dropped.
struct Lent {
    visit: Visit,
    _turn: Turn,
    arrival: Arrival,
    /// When the request is to be done.
    deadline: Instant,
}

impl Lent {
    fn too_slow(&self, app: &str) -> Refusal {
        Refusal::too_slow(app, Duration::from_millis(self.arrival.limits().request_time_ms))
    }
}

/// Answers one request; with how long the answer is held back.
pub(super) async fn answer(
    shared: Arc<Shared>,
    peer: IpAddr,
    request: Request<Incoming>,
) -> (Response<layers::Body>, Duration) {
    pace::rest_if_due();
    let (uri, headers) = (request.uri(), request.headers());
    let reached = Reached::read(uri, headers, peer, &shared.trusted_proxies);
    let selected =
        select(uri, headers, &reached, &shared.api_base, |domain| shared.supervisor.by_domain(domain));
    let id = layers::request_id(headers);
    let span = RequestSpan::new(&request, &id, &selected.app);
    let html = !selected.is_api() && wants_html(headers);
    let call = async |request: Request<Incoming>| {
        let (parts, body) = request.into_parts();
        let from_script = selected.is_api() && parts.headers.contains_key(ORIGIN);
        let mut response = match shared.respond(&selected, peer, parts, body).await {
            Ok(response) => response,
            Err(refusal) if html => refusal.html(),
            Err(refusal) => refusal.json(),
        };
        if from_script {
            cors::allow(response.headers_mut());
        }
        response
    };
    let response = layers::layered(request, id, span, call, |id| errors::panicked(id, html)).await;
    let pause = match response.status() {
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
            shared.supervisor.pause(&selected.app)
        }
        StatusCode::NOT_FOUND => shared.supervisor.pause_of_unknown(&selected.app),
        _ => Duration::ZERO,
    };
    pace::request_ended();
    (response, pause)
}

/// Whether a person is asking.
fn wants_html(headers: &HeaderMap) -> bool {
    headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()).is_some_and(|a| a.contains("text/html"))
}

impl Shared {
    async fn respond(
        &self,
        selected: &Selected,
        peer: IpAddr,
        parts: Parts,
        body: Incoming,
    ) -> Result<Response<Bytes>, Refusal> {
        let reached = Reached::read(&parts.uri, &parts.headers, peer, &self.trusted_proxies);
        if let Err(problem) = check_host(parts.version, &parts.headers, &reached) {
            return Err(Refusal::malformed(problem));
        }
        if let Some(coding) = unknown_coding(&parts.headers) {
            return Err(Refusal::coding(coding));
        }
        if !cors::is_answered(&parts.method) {
            return Err(Refusal::method(Methods::Api));
        }
        match selected.place {
            Place::Ambiguous => Err(Refusal::malformed(
                "X-App and __appName may name one application, not two different ones",
            )),
            Place::Api(_) | Place::Health if parts.method == Method::OPTIONS => {
                Ok(cors::options(&parts.headers))
            }
            Place::Api(offset) => self.api(selected, offset, peer, parts, body).await,
            Place::Page(_) if leads_elsewhere(selected, &parts.method) => Ok(to_own_pages(selected, &parts)),
            Place::Page(offset) => Box::pin(self.page(selected, offset, peer, parts, body)).await,
            Place::Nowhere => Err(Refusal::nowhere()),
            Place::Health | Place::Start | Place::Asset if !reads(&parts.method) => {
                Err(Refusal::method(Methods::Reading))
            }
            Place::Health => self.health(&selected.app),
            Place::Start => Ok(redirect(&format!("{}/admin/", selected.prefix()))),
            Place::Asset => Ok(pages::asset(parts.uri.path())),
        }
    }

    /// An action of the application's API.
    async fn api(
        &self,
        selected: &Selected,
        offset: usize,
        peer: IpAddr,
        mut parts: Parts,
        body: Incoming,
    ) -> Result<Response<Bytes>, Refusal> {
        let (lent, body) = self.admit(&selected.app, body).await?;
        // The API knows the `Authorization` header alone. Without cookies, no other website can
        // make a browser use it in its user's name.
        parts.headers.remove(COOKIE);
        let client = Some(client(&parts.headers, peer, &self.trusted_proxies));
        let request = ApiRequest {
            method: if parts.method == Method::HEAD { Method::GET } else { parts.method },
            target: parts.uri.path()[offset..].to_owned(),
            query: parts.uri.query().unwrap_or_default().to_owned(),
            headers: parts.headers,
            body,
            client,
        };
        // What does not come to its end is dropped, and its statement is cancelled with it.
        let answered = timeout_at(lent.deadline, lent.visit.api(request)).await;
        answered.map_err(|_| lent.too_slow(&selected.app))
    }

    /// One of the application's pages.
    async fn page(
        &self,
        selected: &Selected,
        offset: usize,
        peer: IpAddr,
        parts: Parts,
        body: Incoming,
    ) -> Result<Response<Bytes>, Refusal> {
        let (lent, body) = self.admit(&selected.app, body).await?;
        let reached = Reached::read(&parts.uri, &parts.headers, peer, &self.trusted_proxies);
        let host = reached.host.map(str::to_owned);
        let https = reached.https;
        let at_home = reached.domain().and_then(|domain| self.supervisor.by_domain(&domain));
        let prefix = selected.prefix();
        let at_home = match at_home {
            Some(app) => app.as_str() == selected.app,
            None => selected.app == AppId::MAIN && !prefix.is_empty(),
        };
        let view = PageContext {
            prefix: &prefix,
            at_home,
            https,
            host: host.as_deref(),
            host_view: &SupervisorView(&self.supervisor),
        };
        let request = PageRequest {
            client: Some(client(&parts.headers, peer, &self.trusted_proxies)),
            path: parts.uri.path()[offset..].to_owned(),
            query: parts.uri.query().unwrap_or_default().to_owned(),
            method: parts.method,
            headers: parts.headers,
            body,
        };
        let answered = timeout_at(lent.deadline, pages::handle(&lent.visit, &view, request)).await;
        answered.map_err(|_| lent.too_slow(&selected.app))
    }

    /// Lets a request in: reads its body, waits for its turn, and borrows the application, which is
    /// started if a visit may start it.
    async fn admit(&self, app: &str, body: Incoming) -> Result<(Lent, Bytes), Refusal> {
        // A small body that nobody reads is thrown away; a long one is the end of its connection.
        let long = body.size_hint().upper().is_none_or(|length| length > SMALL_BODY);
        let unread = |refusal: Refusal| if long { refusal.and_close() } else { refusal };
        let arrived = self.supervisor.arrive(app);
        let arrived = arrived.map_err(|unavailable| unread(Refusal::unavailable(&unavailable)))?;
        let mut arrival = arrived.map_err(|refused| unread(Refusal::refused(app, &refused)))?;
        let time = Duration::from_millis(arrival.limits().request_time_ms);
        let deadline = Instant::now() + time;
        // Before the application is borrowed: a slow upload does not hold up its stop.
        let body = body::read(body, &mut arrival, deadline).await.map_err(|error| {
            tracing::debug!(%error, "a body was not read");
            unread(Refusal::body(app, &error))
        })?;
        let turn = match timeout_at(deadline, arrival.turn()).await {
            Ok(turn) => turn.map_err(|refused| Refusal::refused(app, &refused))?,
            Err(_) => return Err(Refusal::too_slow(app, time)),
        };
        let visit = match timeout_at(deadline, self.supervisor.visit(app)).await {
            Ok(visit) => visit.map_err(|unavailable| Refusal::unavailable(&unavailable))?,
            Err(_) => return Err(Refusal::too_slow(app, time)),
        };
        Ok((Lent { visit, _turn: turn, arrival, deadline }, body))
    }

    /// `ok` when the application runs. Asking does not start it.
    fn health(&self, app: &str) -> Result<Response<Bytes>, Refusal> {
        let state = AppId::parse(app).ok().and_then(|id| self.supervisor.get(&id).ok()).map(|app| app.state);
        match state {
            Some(State::Running) => {
                let mut response = Response::new(Bytes::from_static(b"ok"));
                let kind = HeaderValue::from_static("text/plain; charset=utf-8");
                response.headers_mut().insert(CONTENT_TYPE, kind);
                Ok(response)
            }
            state => Err(Refusal::unavailable(&not_running(app, state.unwrap_or(State::NotFound)))),
        }
    }
}

/// The answer to a health check of an application that does not run.
fn not_running(app: &str, state: State) -> Unavailable {
    let message = match state {
        State::NotFound => format!("there is no application \"{app}\""),
        state => format!("the application \"{app}\" is not running: its state is {state}"),
    };
    Unavailable { id: app.to_owned(), state, message, retry_after: None }
}

fn reads(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

/// Whether the page was asked for by query or header. It is at home under the application's path,
/// where its links and its cookie are. An ID that cannot exist is not led anywhere.
fn leads_elsewhere(selected: &Selected, method: &Method) -> bool {
    matches!(selected.named, Named::Query | Named::Header)
        && reads(method)
        && AppId::parse(&selected.app).is_ok()
}

fn to_own_pages(selected: &Selected, parts: &Parts) -> Response<Bytes> {
    redirect(&format!("{}{}", selected.prefix(), parts.uri.path()))
}

fn redirect(address: &str) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::FOUND;
    // An ID in a header may hold what an address cannot; the main start page is always there.
    let address = HeaderValue::from_str(address).unwrap_or(HeaderValue::from_static("/admin/"));
    response.headers_mut().insert(LOCATION, address);
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::borrow::Cow;

    fn selected(app: &'static str, named: Named, place: Place) -> Selected {
        Selected { app: Cow::Borrowed(app), named, place }
    }

    #[test]
    fn a_page_named_by_query_or_header_is_at_home_under_its_path() {
        let page = |app, named| selected(app, named, Place::Page(0));
        for (app, named, method, elsewhere) in [
            ("crm", Named::Query, Method::GET, true),
            ("crm", Named::Header, Method::HEAD, true),
            ("crm", Named::Query, Method::POST, false),
            ("crm", Named::Path, Method::GET, false),
            ("crm", Named::Domain, Method::GET, false),
            ("main", Named::Nothing, Method::GET, false),
            ("/evil.example", Named::Query, Method::GET, false),
        ] {
            assert_eq!(leads_elsewhere(&page(app, named), &method), elsewhere, "{app} {named:?} {method}");
        }
        let (parts, ()) = Request::get("/admin/password?__appName=crm").body(()).unwrap().into_parts();
        let response = to_own_pages(&page("crm", Named::Query), &parts);
        assert_eq!(response.status(), 302);
        assert_eq!(response.headers()[LOCATION], "/apps/crm/admin/password");
    }

    #[test]
    fn a_redirect_cannot_be_broken_open() {
        assert_eq!(redirect("/apps/a\r\nset-cookie: x/admin/").headers()[LOCATION], "/admin/");
    }

    #[test]
    fn people_and_programs_are_told_apart() {
        let headers = |accept| HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(accept))]);
        assert!(wants_html(&headers("text/html,application/xhtml+xml;q=0.9,*/*;q=0.8")));
        assert!(!wants_html(&headers("*/*")));
        assert!(!wants_html(&headers("application/json")));
        assert!(!wants_html(&HeaderMap::new()));
    }

    #[test]
    fn a_health_check_of_what_does_not_run_says_so() {
        assert!(not_running("crm", State::Stopped).message.ends_with("its state is stopped"));
        assert_eq!(not_running("no", State::NotFound).message, "there is no application \"no\"");
    }
}
