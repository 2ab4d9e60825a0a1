//! The HTTP API: `resource:action`.
//!
//! A request goes through `target.rs` (which resource and action), the body and the query string
//! (`query_string.rs`), the resource (`actions/` for those every application has, [`AppOptions`]
//! for those it alone has), the token ([`super::auth`]), the action, and out as JSON (`answer.rs`).
//! An unknown resource or action is 404 before anybody is asked for a token.
//!
//! [`AppOptions`]: super::AppOptions

use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use serde_json::{Map, Value};

use super::{App, auth::Session};

mod actions;
mod answer;
mod error;
mod list;
mod query_string;
mod target;
#[cfg(test)]
mod tests;
#[cfg(test)]
#[path = "tests.rs"]
#[allow(clippy::duplicate_mod, reason = "the same on another engine")]
mod tests_on_mariadb;
#[cfg(test)]
#[path = "tests.rs"]
#[allow(clippy::duplicate_mod, reason = "the same on another engine")]
mod tests_on_postgres;

#[cfg(test)]
mod access_tests;
#[cfg(test)]
#[path = "access_tests.rs"]
#[allow(clippy::duplicate_mod, reason = "the same on another engine")]
mod access_tests_on_mariadb;
#[cfg(test)]
#[path = "access_tests.rs"]
#[allow(clippy::duplicate_mod, reason = "the same on another engine")]
mod access_tests_on_postgres;

pub use answer::Answer;
pub use error::ApiError;
pub use list::ListParameters;
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
}

impl Call<'_> {
    /// Who calls. An action that is not public always has one.
    pub fn session(&self) -> Result<&Arc<Session>, ApiError> {
        self.session.as_ref().ok_or_else(|| super::auth::AuthError::EmptyToken.into())
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
        // The gateway has read it: it chose this application.
        let all = self.params.as_object().into_iter().flat_map(Map::keys).filter(|name| *name != "__appName");
        match all.into_iter().find(|name| !known.contains(&name.as_str())) {
            Some(name) => {
                Err(ApiError::bad_request(format!("the parameter {name} is not supported by this action")))
            }
            None => Ok(()),
        }
    }
}

/// Who may call an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everybody.
    Public,
    /// Whoever is signed in.
    SignedIn,
    /// Users with the role `root` or `admin`.
    Administrators,
}

/// What an action gives, later.
pub type Answering<'a> = Pin<Box<dyn Future<Output = Result<Answer, ApiError>> + Send + 'a>>;

/// A resource that an application has beside its collections.
pub trait Resource: Send + Sync {
    /// Its name in the URL.
    fn name(&self) -> &'static str;

    /// Whether it has this action; others are answered with 404.
    fn has(&self, action: &str) -> bool;

    /// Who may call this action; whoever is signed in, where it says nothing else.
    fn access(&self, _action: &str) -> Access {
        Access::SignedIn
    }

    /// Does one action.
    fn call<'a>(&'a self, call: Call<'a>) -> Answering<'a>;
}

/// Where a client finds the token that replaces its own, as in NocoBase.
const NEW_TOKEN: &str = "x-new-token";

/// Answers a request.
pub(super) async fn answer(app: &Arc<App>, request: &ApiRequest) -> http::Response<Bytes> {
    let mut session = None;
    let mut response = match handle(app, request, &mut session).await {
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

async fn handle(
    app: &Arc<App>,
    request: &ApiRequest,
    session: &mut Option<Arc<Session>>,
) -> Result<Answer, ApiError> {
    let target = Target::parse(&request.target)?;
    let body = body(request)?;
    let resource = find(app, &target)?;
    if request.method == Method::GET && !reads(&target.action) {
        return Err(ApiError::new(
            StatusCode::METHOD_NOT_ALLOWED,
            format!("{}:{} changes something: use POST", target.resource, target.action),
        ));
    }
    let params = Value::Object(query_string::parse(&request.query)?);
    let access = resource.access(&target.action);
    if access != Access::Public {
        *session = Some(authenticate(app, &request.headers).await?);
    }
    let administrator =
        session.as_ref().is_some_and(|session| session.is_root() || session.user.has_role("admin"));
    if access == Access::Administrators && !administrator {
        return Err(ApiError::new(StatusCode::FORBIDDEN, "your roles do not allow this"));
    }
    let (headers, client, session) = (&request.headers, request.client, session.clone());
    resource.call(Call { app, action: &target.action, params, body, headers, client, session }).await
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

fn find<'a>(app: &'a App, target: &Target) -> Result<&'a dyn Resource, ApiError> {
    let built_in = actions::BUILT_IN.into_iter();
    let own = app.resources.iter().map(|resource| &**resource as &dyn Resource);
    let mut all = built_in.map(|resource| resource as &dyn Resource).chain(own);
    let found = all.find(|resource| resource.name() == target.resource && target.association.is_none());
    match found {
        Some(resource) if resource.has(&target.action) => Ok(resource),
        Some(_) => Err(ApiError::not_found(format!("{} has no action {}", target.resource, target.action))),
        None => Err(ApiError::not_found(format!("there is no resource {}", target.path()))),
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

fn body(request: &ApiRequest) -> Result<Value, ApiError> {
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
    serde_json::from_slice(&request.body)
        .map_err(|error| ApiError::bad_request(format!("the body is not JSON: {error}")))
}
