//! Calls of an application's API by the host, without a token.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};
use serde_json::Value;
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument as _;

use super::Supervisor;
use super::entry::ApplicationGuard;
use super::error_context::user_failure;
use super::settings::not_running;
use crate::app::api::ApiRequest;
use crate::app::auth::{AuthError, Session};
use crate::protocol::{AppId, ErrorKind, RpcError};

/// The header that names the role in which a request acts.
const ROLE_HEADER: HeaderName = HeaderName::from_static("x-role");

/// An operator at work in an application: the application on loan, and the session of its first root user.
pub(super) struct Operator {
    pub(super) app: ApplicationGuard,
    pub(super) session: Arc<Session>,
    /// What is being done, for errors: "creating the user ada of \"crm\"".
    pub(super) doing: String,
    id: AppId,
    /// How long a call may take.
    request_time: Duration,
}

impl Supervisor {
    /// Lends an application for work in it, and starts it where a visit may.
    pub(super) async fn lend(self: &Arc<Self>, id: &AppId) -> Result<ApplicationGuard, RpcError> {
        self.entry(id)?;
        self.visit(id.as_str()).await.map_err(not_running)
    }

    /// Lends an application that is running, and starts none.
    pub(super) fn lend_running(&self, id: &AppId) -> Result<ApplicationGuard, RpcError> {
        self.entry(id)?.enter().ok_or_else(|| {
            RpcError::new(ErrorKind::NotRunning, format!("the application \"{id}\" is not running"))
                .hint(format!("start it with: nbapps start {id}"))
        })
    }

    /// Lends an application to an operator who is `doing` something in it.
    pub(super) async fn operator(self: &Arc<Self>, id: &AppId, doing: String) -> Result<Operator, RpcError> {
        let request_time = Duration::from_millis(self.entry(id)?.admission.limits().request_time_ms);
        let app = self.lend(id).await?;
        let root = async { app.auth().operator_session(app.auth().first_root().await?).await };
        let session = root.await.map_err(|error| user_failure(error, &doing, id))?;
        Ok(Operator { app, session, doing, id: id.clone(), request_time })
    }
}

impl Operator {
    /// The error of what is being done.
    pub(super) fn failed(&self, error: AuthError) -> RpcError {
        user_failure(error, &self.doing, &self.id)
    }

    /// Calls an action as the root user, in the role `root` whatever its default role is; gives the `data` of its
    /// answer.
    pub(super) async fn post(&self, target: &str, body: Value) -> Result<Value, RpcError> {
        let headers = HeaderMap::from_iter([(ROLE_HEADER, HeaderValue::from_static("root"))]);
        self.data(Arc::clone(&self.session), headers, target, body).await
    }

    /// Calls an action as another user.
    pub(super) async fn post_as(&self, user: i64, target: &str, body: Value) -> Result<Value, RpcError> {
        let session = self.app.auth().operator_session(user).await.map_err(|error| self.failed(error))?;
        self.data(session, HeaderMap::new(), target, body).await
    }

    async fn data(
        &self,
        session: Arc<Session>,
        headers: HeaderMap,
        target: &str,
        body: Value,
    ) -> Result<Value, RpcError> {
        let request = ApiRequest {
            method: Method::POST,
            target: target.to_owned(),
            query: String::new(),
            headers,
            body: Bytes::from(body.to_string()),
            client: None,
        };
        let response = answer(&self.app, &self.id, session, request, self.request_time).await;
        let response = response.map_err(|error| {
            let hint = error.data.hint.clone();
            let failed = RpcError::new(error.kind(), format!("{} failed: {}", self.doing, error.message));
            hint.map_or(failed.clone(), |hint| failed.hint(hint))
        })?;
        let mut body: Value = serde_json::from_slice(response.body()).unwrap_or_default();
        if response.status().is_success() {
            return Ok(body.get_mut("data").map(Value::take).unwrap_or_default());
        }
        let why = body.pointer("/errors/0/message").and_then(Value::as_str).unwrap_or("it does not say why");
        let sentence = format!("{} failed: {why}", self.doing);
        Err(RpcError::new(kind_of(response.status()), sentence))
    }
}

/// Answers a request as the user of a session, within its time. A panic is a 500, as it is over HTTP.
pub(super) async fn answer(
    app: &ApplicationGuard,
    id: &AppId,
    session: Arc<Session>,
    request: ApiRequest,
    time: Duration,
) -> Result<Response<Bytes>, RpcError> {
    let span = tracing::info_span!("operator", app = %id);
    let running = Arc::clone(app);
    // A task of its own keeps a panic from the caller; dropped, it is cancelled with its statement.
    let answering = tokio::spawn(async move { running.api_as(session, request).await }.instrument(span));
    match tokio::time::timeout(time, AbortOnDropHandle::new(answering)).await {
        Ok(Ok(response)) => Ok(response),
        Ok(Err(_)) => {
            tracing::error!(app = %id, "a call of the API panicked");
            Err(RpcError::new(ErrorKind::Internal, "the application failed at this request")
                .hint(format!("see: nbapps logs {id} --level error")))
        }
        Err(_) => {
            let seconds = time.as_secs_f64();
            let sentence = format!("\"{id}\" did not answer within its request-time of {seconds} s");
            Err(RpcError::new(ErrorKind::Timeout, sentence).hint(format!(
                "ask for less at a time, or allow more with: nbapps update {id} --limit request-time=5m"
            )))
        }
    }
}

/// The kind of the error with a status.
fn kind_of(status: StatusCode) -> ErrorKind {
    match status {
        StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED => ErrorKind::Refused,
        StatusCode::SERVICE_UNAVAILABLE => ErrorKind::DatabaseUnreachable,
        status if status.is_server_error() => ErrorKind::DatabaseFailed,
        _ => ErrorKind::InvalidSetting,
    }
}
