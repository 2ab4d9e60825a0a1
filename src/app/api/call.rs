//! A request to the API, and the call of an action that it becomes.

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method};
use serde_json::{Map, Value};

use super::answer::Answer;
use super::error::ApiError;
use super::requester::Requester;
use crate::app::auth::{AuthError, Session};
use crate::app::plugin::Plugin;
use crate::app::state::AppState;

/// The answer of an action, or its error.
pub type Answering<'a> = Pin<Box<dyn Future<Output = Result<Answer, ApiError>> + Send + 'a>>;

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
    /// The application's state.
    pub state: &'a Arc<AppState>,
    /// The plugins that the host knows.
    pub plugins: &'a [Arc<dyn Plugin>],
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
        self.session.as_ref().ok_or_else(|| AuthError::EmptyToken.into())
    }

    /// The same call with everything open, for an action that has decided itself who may do it.
    pub(super) fn as_host(&self) -> Call<'_> {
        Call {
            state: self.state,
            plugins: self.plugins,
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

    /// Refuses parameters other than `known`: one that is ignored would be thought to have an
    /// effect.
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
