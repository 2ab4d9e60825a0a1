//! Answers a request: finds the application, admits the request within the application's limits, reads its body,
//! borrows the application and calls its API or its pages.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, COOKIE, HeaderValue, LOCATION, ORIGIN};
use http::request::Parts;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use hyper::body::{Body, Incoming};
use tokio::time::error::Elapsed;
use tokio::time::{Instant, timeout_at};

use super::access_log::AccessRecord;
use super::errors::{self, Methods, RefusedRequest};
use super::forwarded::{ClientOrigin, Network, client};
use super::host_view::SupervisorView;
use super::request_span::RequestSpan;
use super::router::{NamedBy, Route, RouteTarget, route};
use super::validation::{check_host, unsupported_coding};
use super::watch::{GatewayWatch, ProbeArrival, is_untrusted};
use super::{body, cooperative_yield, cors, layers};
use crate::app::api::ApiRequest;
use crate::pages::{self, PageContext, PageRequest};
use crate::protocol::{AppId, State};
use crate::supervisor::{ApplicationGuard, Arrival, RequestPermit, SMALL_BODY, Supervisor, Unavailable};

/// Answers requests; shared by all of them.
pub(super) struct Handler {
    pub(super) supervisor: Arc<Supervisor>,
    /// The path of the API, with a slash at both ends.
    pub(super) api_base: String,
    pub(super) trusted_proxies: Vec<Network>,
    pub(super) watch: Arc<GatewayWatch>,
}

/// A request that was admitted, and the application that is lent to it until this is dropped.
struct Admitted {
    application: ApplicationGuard,
    _permit: RequestPermit,
    arrival: Arrival,
    /// When the request times out.
    deadline: Instant,
}

impl Admitted {
    /// Ends the request with its response, or because it timed out.
    fn end(
        mut self,
        app: &str,
        answered: Result<Response<Bytes>, Elapsed>,
    ) -> Result<Response<Bytes>, RefusedRequest> {
        let time = Duration::from_millis(self.arrival.limits().request_time_ms);
        let answered = answered.map_err(|_| RefusedRequest::too_slow(app, time));
        self.arrival.answered(match &answered {
            Ok(response) => response.status(),
            Err(refusal) => refusal.status(),
        });
        answered
    }
}

/// Whether the client wants a page for people.
fn wants_html(headers: &HeaderMap) -> bool {
    headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()).is_some_and(|a| a.contains("text/html"))
}

impl Handler {
    /// Answers one request. Gives the response and how long to delay it.
    pub(super) async fn handle(
        &self,
        peer: IpAddr,
        request: Request<Incoming>,
    ) -> (Response<layers::ResponseBody>, Duration) {
        cooperative_yield::yield_if_due();
        let (uri, headers) = (request.uri(), request.headers());
        let origin = ClientOrigin::read(uri, headers, peer, &self.trusted_proxies);
        self.watch.note_forwarded(headers, peer, &self.trusted_proxies);
        let route = route(uri, headers, &origin, &self.api_base, |domain| self.supervisor.by_domain(domain));
        let id = layers::request_id(headers);
        let span = RequestSpan::new(&request, &id, &route.app);
        let record = AccessRecord::begin(&self.supervisor, &route.app, &request, &id, origin.client);
        let html = !route.is_api() && wants_html(headers);
        let call = async |request: Request<Incoming>| {
            let (parts, body) = request.into_parts();
            let from_script = route.is_api() && parts.headers.contains_key(ORIGIN);
            let mut response = match self.respond(&route, peer, parts, body).await {
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
        if let Some(record) = record {
            record.finish(&response);
        }
        let pause = match response.status() {
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                self.supervisor.refusal_delay(&route.app)
            }
            StatusCode::NOT_FOUND => self.supervisor.refusal_delay_of_unknown(&route.app),
            _ => Duration::ZERO,
        };
        cooperative_yield::request_ended();
        (response, pause)
    }

    async fn respond(
        &self,
        route: &Route,
        peer: IpAddr,
        parts: Parts,
        body: Incoming,
    ) -> Result<Response<Bytes>, RefusedRequest> {
        let origin = ClientOrigin::read(&parts.uri, &parts.headers, peer, &self.trusted_proxies);
        if let Err(problem) = check_host(parts.version, &parts.headers, &origin) {
            return Err(RefusedRequest::malformed(problem));
        }
        if let Some(coding) = unsupported_coding(&parts.headers) {
            return Err(RefusedRequest::coding(coding));
        }
        if !cors::is_answered(&parts.method) {
            return Err(RefusedRequest::method(Methods::Api));
        }
        match route.target {
            RouteTarget::Ambiguous => Err(RefusedRequest::malformed(
                "X-App and __appName may name one application, not two different ones",
            )),
            RouteTarget::Api(_) | RouteTarget::Health if parts.method == Method::OPTIONS => {
                Ok(cors::options(&parts.headers))
            }
            RouteTarget::Api(offset) => self.api(route, offset, peer, parts, body).await,
            RouteTarget::Page(_) if is_misplaced(route, &parts.method) => {
                Ok(redirect_to_own_path(route, &parts))
            }
            RouteTarget::Page(offset) => Box::pin(self.page(route, offset, peer, parts, body)).await,
            RouteTarget::Nowhere => {
                let arrival = || ProbeArrival {
                    peer: peer.to_canonical(),
                    app: route.app.to_string(),
                    host: origin.host.unwrap_or_default().to_owned(),
                    https: origin.https,
                    is_untrusted: is_untrusted(&parts.headers, peer, &self.trusted_proxies),
                };
                self.watch.answer(parts.uri.path(), arrival).ok_or_else(RefusedRequest::nowhere)
            }
            RouteTarget::Health | RouteTarget::Start | RouteTarget::Asset if !reads(&parts.method) => {
                Err(RefusedRequest::method(Methods::Reading))
            }
            RouteTarget::Health => self.health(&route.app),
            RouteTarget::Start => Ok(redirect(&format!("{}/admin/", route.prefix()))),
            RouteTarget::Asset => Ok(pages::asset(parts.uri.path())),
        }
    }

    /// Calls an action of the application's API.
    async fn api(
        &self,
        route: &Route,
        offset: usize,
        peer: IpAddr,
        mut parts: Parts,
        body: Incoming,
    ) -> Result<Response<Bytes>, RefusedRequest> {
        let (admitted, body) = self.admit(&route.app, body).await?;
        // The API reads the `Authorization` header only. Without cookies, no other website can make a
        // browser call it as its user.
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
        // A request that times out is dropped, which cancels its statement.
        let answered = timeout_at(admitted.deadline, admitted.application.api(request)).await;
        admitted.end(&route.app, answered)
    }

    /// Answers with one of the application's pages.
    async fn page(
        &self,
        route: &Route,
        offset: usize,
        peer: IpAddr,
        parts: Parts,
        body: Incoming,
    ) -> Result<Response<Bytes>, RefusedRequest> {
        let (admitted, body) = self.admit(&route.app, body).await?;
        let origin = ClientOrigin::read(&parts.uri, &parts.headers, peer, &self.trusted_proxies);
        let host = origin.host.map(str::to_owned);
        let https = origin.https;
        let at_home = origin.domain().and_then(|domain| self.supervisor.by_domain(&domain));
        let prefix = route.prefix();
        let at_home = match at_home {
            Some(app) => app.as_str() == route.app,
            None => route.app == AppId::MAIN && !prefix.is_empty(),
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
        let answered =
            timeout_at(admitted.deadline, pages::handle(&admitted.application, &view, request)).await;
        admitted.end(&route.app, answered)
    }

    /// Admits a request: reads its body, waits for a permit, and borrows the application, which is
    /// started if a visit may start it.
    async fn admit(&self, app: &str, body: Incoming) -> Result<(Admitted, Bytes), RefusedRequest> {
        // A small body that is not read is discarded; a long one closes the connection.
        let long = body.size_hint().upper().is_none_or(|length| length > SMALL_BODY);
        let unread = |refusal: RefusedRequest| if long { refusal.and_close() } else { refusal };
        let arrived = self.supervisor.arrive(app);
        let arrived = arrived.map_err(|unavailable| unread(RefusedRequest::unavailable(&unavailable)))?;
        let mut arrival = arrived.map_err(|refused| unread(RefusedRequest::refused(app, &refused)))?;
        let deadline = Instant::now() + Duration::from_millis(arrival.limits().request_time_ms);
        // Before the application is borrowed: a slow upload does not hold up its stop.
        let body = body::read(body, &mut arrival, deadline).await.map_err(|error| {
            tracing::debug!(%error, "a body was not read");
            unread(RefusedRequest::body(app, &error))
        });
        let lent = match body {
            Ok(body) => self.lend(app, &arrival, deadline).await.map(|lent| (lent, body)),
            Err(refusal) => Err(refusal),
        };
        match lent {
            Ok(((application, permit), body)) => {
                Ok((Admitted { application, _permit: permit, arrival, deadline }, body))
            }
            Err(refusal) => {
                arrival.answered(refusal.status());
                Err(refusal)
            }
        }
    }

    /// Waits for a permit and borrows the application.
    async fn lend(
        &self,
        app: &str,
        arrival: &Arrival,
        deadline: Instant,
    ) -> Result<(ApplicationGuard, RequestPermit), RefusedRequest> {
        let time = Duration::from_millis(arrival.limits().request_time_ms);
        let too_slow = |_| RefusedRequest::too_slow(app, time);
        let permit = timeout_at(deadline, arrival.wait_for_permit()).await.map_err(too_slow)?;
        let permit = permit.map_err(|refused| RefusedRequest::refused(app, &refused))?;
        let application = timeout_at(deadline, self.supervisor.visit(app)).await.map_err(too_slow)?;
        let application = application.map_err(|unavailable| RefusedRequest::unavailable(&unavailable))?;
        Ok((application, permit))
    }

    /// Answers `ok` when the application is running, and does not start it.
    fn health(&self, app: &str) -> Result<Response<Bytes>, RefusedRequest> {
        let state = AppId::parse(app).ok().and_then(|id| self.supervisor.get(&id).ok()).map(|app| app.state);
        match state {
            Some(State::Running) => {
                let mut response = Response::new(Bytes::from_static(b"ok"));
                let kind = HeaderValue::from_static("text/plain; charset=utf-8");
                response.headers_mut().insert(CONTENT_TYPE, kind);
                Ok(response)
            }
            state => Err(RefusedRequest::unavailable(&not_running(app, state.unwrap_or(State::NotFound)))),
        }
    }
}

/// Why an application is not healthy.
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

/// Whether to redirect to the page below the application's own path, where its links and its cookie are: the
/// request named the application by query or header. An invalid ID is not redirected.
fn is_misplaced(route: &Route, method: &Method) -> bool {
    matches!(route.named_by, NamedBy::Query | NamedBy::Header)
        && reads(method)
        && AppId::parse(&route.app).is_ok()
}

fn redirect_to_own_path(route: &Route, parts: &Parts) -> Response<Bytes> {
    redirect(&format!("{}{}", route.prefix(), parts.uri.path()))
}

fn redirect(address: &str) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::FOUND;
    // An ID from a header may have characters that an address cannot; the main start page always exists.
    let address = HeaderValue::from_str(address).unwrap_or(HeaderValue::from_static("/admin/"));
    response.headers_mut().insert(LOCATION, address);
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::borrow::Cow;

    fn route_to(app: &'static str, named_by: NamedBy, target: RouteTarget) -> Route {
        Route { app: Cow::Borrowed(app), named_by, target }
    }

    #[test]
    fn a_page_named_by_query_or_header_is_at_home_under_its_path() {
        let page = |app, named_by| route_to(app, named_by, RouteTarget::Page(0));
        for (app, named, method, elsewhere) in [
            ("crm", NamedBy::Query, Method::GET, true),
            ("crm", NamedBy::Header, Method::HEAD, true),
            ("crm", NamedBy::Query, Method::POST, false),
            ("crm", NamedBy::Path, Method::GET, false),
            ("crm", NamedBy::Domain, Method::GET, false),
            ("main", NamedBy::Nothing, Method::GET, false),
            ("/evil.example", NamedBy::Query, Method::GET, false),
        ] {
            assert_eq!(is_misplaced(&page(app, named), &method), elsewhere, "{app} {named:?} {method}");
        }
        let (parts, ()) = Request::get("/admin/password?__appName=crm").body(()).unwrap().into_parts();
        let response = redirect_to_own_path(&page("crm", NamedBy::Query), &parts);
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
