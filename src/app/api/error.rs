//! Errors as the API answers them. What a stranger must not know (paths, SQL) goes to the log.

use bytes::Bytes;
use http::header::{HeaderValue, RETRY_AFTER};
use http::{Response, StatusCode};
use serde_json::{Value, json};

use super::answer::json_response;
use crate::app::AppError;
use crate::app::auth::AuthError;
use crate::app::plugin::PluginError;
use crate::data::{DataError, DatabaseError};

/// When a client may ask again what is not available now.
const SECONDS_TO_WAIT: u64 = 5;

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
    /// After how many seconds it makes sense to ask again.
    pub retry_after: Option<u64>,
}

impl ApiError {
    /// An error with its status and sentence.
    pub fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), code: None, retry_after: None }
    }

    /// 400: the request is wrong, and the sentence says what of it.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// 404: there is no such thing.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }

    /// With NocoBase's code.
    #[must_use]
    pub fn code(mut self, code: &'static str) -> Self {
        self.code = Some(code);
        self
    }

    /// 500: a fault of this program or its database. The reason goes to the log.
    pub fn internal(reason: impl std::fmt::Display) -> Self {
        tracing::error!(%reason, "a request failed");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "the application failed at this request")
    }

    pub(super) fn into_response(self) -> Response<Bytes> {
        let mut error = json!({"message": self.message});
        if let Some(code) = self.code {
            error["code"] = Value::from(code);
        }
        let mut response = json_response(self.status, &json!({"errors": [error]}));
        let unavailable = self.status == StatusCode::SERVICE_UNAVAILABLE;
        if let Some(seconds) = self.retry_after.or(unavailable.then_some(SECONDS_TO_WAIT)) {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

impl From<AuthError> for ApiError {
    fn from(error: AuthError) -> Self {
        match error {
            AuthError::Data(error) => error.into(),
            AuthError::Failed(reason) => Self::internal(reason),
            other => {
                let retry_after = match other {
                    AuthError::TooManyAttempts(wait) => Some(wait.as_secs().max(1)),
                    _ => None,
                };
                Self { status: other.status(), message: other.to_string(), code: other.code(), retry_after }
            }
        }
    }
}

impl From<DataError> for ApiError {
    fn from(error: DataError) -> Self {
        match error {
            DataError::Database(error) => error.into(),
            DataError::Forbidden(_) => Self::new(StatusCode::FORBIDDEN, error.to_string()),
            DataError::UnknownField { .. } | DataError::Invalid { .. } | DataError::Refused(_) => {
                Self::bad_request(error.to_string())
            }
            DataError::Unreadable { .. } => Self::internal(error),
        }
    }
}

impl From<AppError> for ApiError {
    fn from(error: AppError) -> Self {
        match error {
            AppError::Data(error) => error.into(),
            other => Self::internal(other),
        }
    }
}

impl From<PluginError> for ApiError {
    fn from(error: PluginError) -> Self {
        match error {
            PluginError::Unknown(_) => Self::not_found(error.to_string()),
            PluginError::Refused { .. } => Self::bad_request(error.to_string()),
            PluginError::Data(error) => error.into(),
        }
    }
}

impl From<DatabaseError> for ApiError {
    fn from(error: DatabaseError) -> Self {
        let unavailable = |message: &str| Self::new(StatusCode::SERVICE_UNAVAILABLE, message);
        match &error {
            DatabaseError::Unique { columns } if columns.is_empty() => {
                Self::bad_request("another record has the same value")
            }
            DatabaseError::Unique { columns } => {
                Self::bad_request(format!("another record has the same {}", columns.join(", ")))
            }
            DatabaseError::NotNull { column } => Self::bad_request(format!("{column} must have a value")),
            DatabaseError::ForeignKey { .. } => Self::bad_request(error.to_string().replace("row", "record")),
            DatabaseError::Refused(refusal) => {
                tracing::debug!(%refusal, "the database refused a request");
                Self::bad_request(refusal.to_string())
            }
            DatabaseError::Closed(_) => unavailable("the application is stopping"),
            DatabaseError::TooSlow(_) => {
                tracing::warn!(%error, "a statement was cancelled");
                unavailable("a statement took longer than the application's limit allows")
                    .code("STATEMENT_TIMEOUT")
            }
            DatabaseError::Storage(_) => {
                tracing::error!(%error, "a request failed");
                unavailable("the application's database cannot be written now")
            }
            DatabaseError::Busy(_)
            | DatabaseError::Full(_)
            | DatabaseError::Unreachable(_)
            | DatabaseError::Missing(_) => {
                tracing::error!(%error, "a request failed");
                unavailable("the application's database cannot be reached now")
            }
            DatabaseError::Exists(_)
            | DatabaseError::Denied(_)
            | DatabaseError::InvalidName(_)
            | DatabaseError::Corrupt(_)
            | DatabaseError::Failed(_) => Self::internal(error),
        }
    }
}
