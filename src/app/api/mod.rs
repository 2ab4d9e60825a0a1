//! The HTTP API: `resource:action`.
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use axum::body::Bytes;
use http::{HeaderMap, Method, StatusCode};
use serde_json::Value;

use super::{App, auth::Session};

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
}
/// A call of one action.
pub struct Call<'a> {
    /// The application.
    pub app: &'a Arc<App>,
    /// The action's name.
    pub action: &'a str,
    /// The parameters of the query string.
    pub params: Value,
    /// The body as JSON, `{}` where there is none.
    pub body: Value,
    /// Who calls; actions that are not public always have one.
    pub session: Option<Arc<Session>>,
}
/// What an action gives.
#[derive(Debug, Clone)]
pub enum Answer {
    /// `{"data": ...}`
    Data(Value),
    /// `{"data": [...], "meta": {count, page, pageSize, totalPage}}`
    List {
        /// The page's records.
        data: Vec<Value>,
        /// All records that fit.
        count: u64,
        /// The page, from 1.
        page: u64,
        /// Records a page.
        page_size: u64,
    },
    /// The value as it is.
    Bare(Value),
}
/// An error as the API answers it: `{"errors": [{"message", "code"?}]}`.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    /// The HTTP status.
    pub status: StatusCode,
    /// One sentence.
    pub message: String,
    /// NocoBase's code, where it has one.
    pub code: Option<&'static str>,
}
/// A resource that an application has beside its collections.
pub trait Resource: Send + Sync {
    /// Its name in the URL.
    fn name(&self) -> &'static str;
    /// Whether it has this action; others are answered with 404.
    fn has(&self, action: &str) -> bool;
    /// Does one action.
    fn call<'a>(
        &'a self,
        call: Call<'a>,
    ) -> Pin<Box<dyn Future<Output = Result<Answer, ApiError>> + Send + 'a>>;
}
