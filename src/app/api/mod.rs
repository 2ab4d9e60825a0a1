//! The HTTP API: `resource:action`.
//!
//! A request goes through `target.rs` (which resource and action), the body and the query string
//! (`query_string.rs`), what answers it (`actions/` for the resources with rules of their own,
//! [`AppOptions`] for those that this application alone has, `records/` for every collection), the
//! token ([`super::auth`]), the roles (`requester.rs`, [`super::acl`]), the action, and out as JSON
//! (`answer.rs`). An unknown resource or action is 404 before anybody is asked for a token.
//!
//! [`AppOptions`]: super::AppOptions

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use serde_json::{Map, Value};

use super::crash::panic_point;
use super::resources::{Access, Action, Records};
use super::{App, auth::Session};
use crate::data::{Catalog, Clock};

mod answer;
#[cfg(test)]
mod cases;
mod error;
#[cfg(test)]
mod limit_tests;
mod list;
#[cfg(test)]
mod locale_tests;
#[cfg(test)]
mod order_tests;
#[cfg(test)]
mod properties;
mod query_string;
pub(in crate::app) mod records;
mod requester;
#[cfg(test)]
mod role_tests;
mod target;
#[cfg(test)]
mod tests;

#[cfg(test)]
mod together;

#[cfg(test)]
mod access_tests;

pub use answer::Answer;
pub use error::ApiError;
pub use list::ListParameters;
use records::Place;
pub use requester::Requester;
use target::Target;

/// A request as the gateway hands it over.
#[derive(Debug, Clone)]
pub struct ApiRequest {
    /// The HTTP method.
    pub method: Method,
    /// What follows `/api/`, percent-decoded by segment in here: `users:list`, `posts/1/tags:add`.
    pub target: String,
    /// The query string, raw.
    pub query: String,
    /// The headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
    /// The client's address, where it is known.
    pub client: Option<IpAddr>,
}

/// A call of one action.
pub struct Call<'a> {
    /// The application.
    pub app: &'a Arc<App>,
    /// The action's name.
    pub action: &'a str,
    /// The parameters of the query string: an object.
    pub params: Value,
    /// The body as JSON, `{}` where there is none.
    pub body: Value,
    /// The headers.
    pub headers: &'a HeaderMap,
    /// The client's address, where it is known.
    pub client: Option<IpAddr>,
    /// Who calls; actions that are not public always have one.
    pub session: Option<Arc<Session>>,
    /// For whom records are read and changed.
    pub requester: Requester,
    /// The record that an association is of: `posts` in `collections/posts/fields:list`.
    pub source_key: Option<&'a str>,
}

impl Call<'_> {
    /// Who calls. An action that is not public always has one.
    pub fn session(&self) -> Result<&Arc<Session>, ApiError> {
        self.session.as_ref().ok_or_else(|| super::auth::AuthError::EmptyToken.into())
    }

    /// The same call, of the host itself: who may do it has been decided.
    fn as_host(&self) -> Call<'_> {
        Call {
            app: self.app,
            action: self.action,
            params: self.params.clone(),
            body: self.body.clone(),
            headers: self.headers,
            client: self.client,
            session: self.session.clone(),
            requester: self.requester.as_host(),
            source_key: self.source_key,
        }
    }

    /// The record that the association is of.
    pub fn source_key(&self) -> Result<&str, ApiError> {
        self.source_key.ok_or_else(|| ApiError::not_found("say which record the association is of"))
    }

    /// A parameter of the query string that is a text.
    #[must_use]
    pub fn param(&self, name: &str) -> Option<&str> {
        self.params.get(name)?.as_str()
    }

    /// A header that is a text and not empty.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok().map(str::trim).filter(|text| !text.is_empty())
    }

    /// A text of the body, empty where there is none.
    pub fn text(&self, name: &str) -> Result<&str, ApiError> {
        match self.body.get(name) {
            None | Some(Value::Null) => Ok(""),
            Some(Value::String(text)) => Ok(text),
            Some(_) => Err(ApiError::bad_request(format!("{name} must be a text"))),
        }
    }

    /// The body as an object.
    pub fn values(&self) -> Result<&Map<String, Value>, ApiError> {
        self.body.as_object().ok_or_else(|| ApiError::bad_request("the body must be an object"))
    }

    /// The key of the record that is meant (`filterByTk`).
    pub fn filter_by_tk(&self) -> Result<&str, ApiError> {
        let key = self.param("filterByTk").filter(|key| !key.is_empty());
        key.ok_or_else(|| ApiError::bad_request("say which record is meant: filterByTk is missing"))
    }

    /// Refuses parameters of the query string that are not among `known`: one that has no effect
    /// would be believed to have one.
    pub fn only(&self, known: &[&str]) -> Result<(), ApiError> {
        // The gateway has read the first: it chose this application. The second asks for just this.
        let read = |name: &&String| *name == "__appName" || *name == "strict";
        let all = self.params.as_object().into_iter().flat_map(Map::keys).filter(|name| !read(name));
        match all.into_iter().find(|name| !known.contains(&name.as_str())) {
            Some(name) => {
                Err(ApiError::bad_request(format!("the parameter {name} is not supported by this action")))
            }
            None => Ok(()),
        }
    }
}

/// Where a client finds the token that replaces its own, as in NocoBase.
const NEW_TOKEN: &str = "x-new-token";

/// Answers a request.
pub(super) async fn answer(app: &Arc<App>, request: &ApiRequest) -> http::Response<Bytes> {
    let mut session = None;
    let known = app.source().catalog();
    // Boxed: what waits for it is moved several times before it is polled.
    let mut answer = Box::pin(handle(app, request, &mut session, None)).await;
    if answer.as_ref().is_err_and(ApiError::is_outdated) {
        // Whatever it did is undone. By the definitions as they are now it may succeed.
        answer = Box::pin(handle(app, request, &mut session, Some(&known))).await;
    }
    let mut response = match answer {
        Ok(answer) => answer.into_response(),
        Err(error) => error.into_response(),
    };
    // Also with an error: the client's own token has ended.
    let renewed = session.as_ref().and_then(|session| session.renewed.as_ref());
    if let Some(token) = renewed.and_then(|renewed| HeaderValue::from_str(&renewed.token).ok()) {
        response.headers_mut().insert(NEW_TOKEN, token);
    }
    response
}

/// Does what a request asks for; once more, where the definitions that it went by are `outdated`.
async fn handle(
    app: &Arc<App>,
    request: &ApiRequest,
    session: &mut Option<Arc<Session>>,
    outdated: Option<&Arc<Catalog>>,
) -> Result<Answer, ApiError> {
    let target = Target::parse(&request.method, &request.target)?;
    let body = body(app, request).await?;
    panic_point(&request.target);
    let catalog = app.source().catalog();
    let mut found = find(app, &catalog, &target)?;
    if request.method.is_safe() && !reads(&target.action) {
        return Err(ApiError::new(
            StatusCode::METHOD_NOT_ALLOWED,
            format!("{}:{} changes something: use POST", target.resource, target.action),
        ));
    }
    let params = params(request, &target)?;
    let clock = clock(&request.headers)?;
    let access = match &found {
        Found::Action(action) => action.access,
        Found::Records(_) => Access::ByPermission,
    };
    let requester = match access {
        Access::Public => Requester::anybody(clock),
        Access::SignedIn | Access::ByPermission => {
            // A token that was replaced at the first try is none any more at the second.
            let checked = match session {
                Some(checked) => checked,
                None => session.insert(authenticate(app, &request.headers).await?),
            };
            let wanted = request.headers.get(ROLE).and_then(|role| role.to_str().ok());
            requester::of(app, checked, wanted, clock).await?
        }
    };
    let _kept = match &found {
        Found::Records(_) if outdated.is_some() || !reads(&target.action) => {
            let kept = app.kept_definitions().await;
            if let Some(known) = outdated {
                app.renew_definitions(known).await?;
            }
            // They may have changed while this waited.
            let now = app.source().catalog();
            if !Arc::ptr_eq(&catalog, &now) {
                found = find(app, &now, &target)?;
            }
            Some(kept)
        }
        _ => None,
    };
    if access == Access::ByPermission {
        requester.check(&target, found.place())?;
    }
    let source_key = target.association.as_ref().map(|(key, _)| key.as_str());
    let (headers, client, session) = (&request.headers, request.client, session.clone());
    let action = &*target.action;
    let mut call = Call { app, action, params, body, headers, client, session, requester, source_key };
    match &found {
        Found::Action(action) => (action.run)(&call).await,
        Found::Records(place) => {
            records::check_names(&call, place).await?;
            records::answer(&mut call, place).await
        }
    }
}

async fn authenticate(app: &Arc<App>, headers: &HeaderMap) -> Result<Arc<Session>, ApiError> {
    let token = bearer(headers);
    let stream = headers.get(header::ACCEPT).is_some_and(|accept| accept == "text/event-stream");
    let session = match stream {
        true => app.auth().authenticate_stream(token).await,
        false => app.auth().authenticate(token).await,
    };
    Ok(session?)
}

/// The header that names the role in which a request acts.
const ROLE: &str = "x-role";
/// The header that names the zone that a client is in.
const TIMEZONE: &str = "x-timezone";

/// What answers a request.
enum Found<'a> {
    /// An action of a resource of the system.
    Action(&'a Action),
    /// The records of a collection.
    Records(Box<Place>),
}

impl Found<'_> {
    fn place(&self) -> Option<&Place> {
        match self {
            Self::Records(place) => Some(place),
            Self::Action(_) => None,
        }
    }
}

fn find<'a>(app: &'a App, catalog: &Catalog, target: &Target) -> Result<Found<'a>, ApiError> {
    let resource = app.resources().get(&target.name());
    if let Some(action) = resource.and_then(|resource| resource.action(&target.action)) {
        return Ok(Found::Action(action));
    }
    let has_records = resource.is_none_or(|resource| resource.records == Records::Common);
    let place = has_records.then(|| find_records(app, catalog, target)).flatten();
    match place {
        Some(place) if place.has(&target.action) => Ok(Found::Records(Box::new(place))),
        None if resource.is_none_or(|resource| resource.actions.is_empty()) => {
            Err(ApiError::not_found(format!("there is no resource {}", target.path())))
        }
        _ => Err(ApiError::not_found(format!("{} has no action {}", target.path(), target.action))),
    }
}

/// The records that a target names, unless they are the host's bookkeeping.
fn find_records(app: &App, catalog: &Catalog, target: &Target) -> Option<Place> {
    let association = target.association.as_ref().map(|(key, name)| (key.as_str(), name.as_str()));
    let place = Place::find(catalog, &target.resource, association)?;
    let is_internal = |name: &str| app.resources().is_internal(name);
    // Of a collection by its own name, the descriptor was asked already.
    let reaches_internal = place.behind.is_some()
        && (is_internal(place.collection.name()) || is_internal(place.records().name()));
    (!reaches_internal).then_some(place)
}

/// What time it is for the client, in the zone that it says it is in.
fn clock(headers: &HeaderMap) -> Result<Clock, ApiError> {
    match headers.get(TIMEZONE).map(|zone| zone.to_str().unwrap_or("?").trim()) {
        None | Some("") => Ok(Clock::utc()),
        Some(zone) => Clock::of(zone)
            .ok_or_else(|| ApiError::bad_request(format!("{TIMEZONE}: {zone} is no zone like +08:00"))),
    }
}

/// Whether an action only reads, by its name: a link or an image in a page can make a browser send
/// any GET.
fn reads(action: &str) -> bool {
    ["list", "get", "check", "publicList"].iter().any(|start| action.starts_with(start))
}

/// The token of the `Authorization` header, empty where there is none.
fn bearer(headers: &HeaderMap) -> &str {
    let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    match given.and_then(|value| value.split_once(' ')) {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim(),
        _ => "",
    }
}

/// The parameters of the query string, with the record that the path names.
fn params(request: &ApiRequest, target: &Target) -> Result<Value, ApiError> {
    let mut params = query_string::parse(&request.query)?;
    if let Some(key) = &target.key
        && params.insert("filterByTk".to_owned(), Value::from(key.as_str())).is_some()
    {
        return Err(ApiError::bad_request("the path and filterByTk both say which record is meant"));
    }
    Ok(Value::Object(params))
}

/// A body that is longer keeps a thread busy for long enough to be read elsewhere, in bytes.
const LONG: usize = 256 * 1024;

async fn body(app: &App, request: &ApiRequest) -> Result<Value, ApiError> {
    if request.body.is_empty() {
        return Ok(Value::Object(Map::new()));
    }
    let kind = request.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    if kind.is_some_and(|kind| !kind.to_ascii_lowercase().contains("json")) {
        return Err(ApiError::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "send the body as JSON, with Content-Type: application/json",
        ));
    }
    let read = if request.body.len() > LONG {
        let body = request.body.clone();
        let read = app.auth().heavy().run(move || serde_json::from_slice(&body)).await;
        read.ok_or_else(|| ApiError::internal("there is no thread to read a long body"))?
    } else {
        serde_json::from_slice(&request.body)
    };
    read.map_err(|error| ApiError::bad_request(format!("the body is not JSON: {error}")))
}
