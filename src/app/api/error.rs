//! Errors as the API answers them. What a stranger must not know (paths, SQL) goes to the log.

use bytes::Bytes;
use http::header::{HeaderValue, RETRY_AFTER};
use http::{Response, StatusCode};
use serde_json::{Value, json};

use super::answer::json_response;
use crate::app::acl::store::StoreError;
use crate::app::acl::{ChooseError, InvariantError};
use crate::app::auth::AuthError;
use crate::app::error::AppError;
use crate::app::plugin::PluginError;
use crate::data::{DataError, DatabaseError};

/// The code where definitions in memory are not those of the database.
const OUTDATED: &str = "DEFINITIONS_OUTDATED";
/// The code where too many changed the same at the same time.
const CONFLICT: &str = "CONFLICT";

/// Seconds after which a client may retry what is unavailable now.
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

    /// 500: the tables are not as the definitions in memory say; the request is tried once more
    /// with new ones.
    fn outdated(reason: impl std::fmt::Display) -> Self {
        tracing::warn!(%reason, "a request met a table that is not as it is known");
        let sentence = "the application's tables are not as its collections say";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, sentence).code(OUTDATED)
    }

    /// Whether it comes from definitions that are out of date.
    pub(in crate::app) fn is_outdated(&self) -> bool {
        self.code == Some(OUTDATED)
    }

    pub(in crate::app) fn into_response(self) -> Response<Bytes> {
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
            DataError::Unreadable { .. } => Self::outdated(error),
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

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Data(error) => error.into(),
            StoreError::Guard(error) => error.into(),
            StoreError::Invalid(sentence) => Self::bad_request(sentence),
            StoreError::NotFound(sentence) => Self::not_found(sentence),
        }
    }
}

impl From<InvariantError> for ApiError {
    fn from(error: InvariantError) -> Self {
        Self::new(error.status(), error.to_string())
    }
}

impl From<ChooseError> for ApiError {
    fn from(error: ChooseError) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, error.to_string()).code(error.code())
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
            DatabaseError::Pattern(_) => {
                tracing::warn!(%error, "a pattern was given up");
                Self::bad_request(
                    "the pattern takes too long: there are too many ways to read a record's text by it, or too \
                     many records; let another condition leave fewer, or write the pattern without repetitions \
                     within repetitions, without choices that begin alike, and with ^ before it",
                )
            }
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
                unavailable("the application's database cannot be written now: its disk is full or failed")
            }
            DatabaseError::FileLimit(_) => {
                tracing::error!(%error, "a request failed");
                unavailable(
                    "the application's database cannot be written now: its disk is full, for its files have \
                     come to the limit of the host's process (ulimit -f, LimitFSIZE=)",
                )
            }
            DatabaseError::Conflict(_) => {
                tracing::warn!(%error, "a request was in the way of others again and again");
                unavailable("too many change the same at the same time: try again").code(CONFLICT)
            }
            DatabaseError::Outdated(_) => Self::outdated(error),
            DatabaseError::Busy(_)
            | DatabaseError::Occupied(_)
            | DatabaseError::Full(_)
            | DatabaseError::NoDescriptors(_)
            | DatabaseError::Unreachable(_)
            | DatabaseError::Unopened(_)
            | DatabaseError::Missing(_) => {
                tracing::error!(%error, "a request failed");
                unavailable(out_of_reach(&error))
            }
            DatabaseError::Exists(_)
            | DatabaseError::Denied(_)
            | DatabaseError::InvalidName(_)
            | DatabaseError::Corrupt(_)
            | DatabaseError::Failed(_) => Self::internal(error),
        }
    }
}

/// Says why the database is unavailable, without naming where it is.
fn out_of_reach(error: &DatabaseError) -> &'static str {
    match error {
        DatabaseError::Busy(_) => "the application's database is held by others now; try again",
        DatabaseError::Occupied(_) => {
            "all connections that the application has to its database are in use; try again"
        }
        DatabaseError::Full(_) => "the server of the application's database has no connection left",
        DatabaseError::NoDescriptors(_) => "the host has too many open files",
        DatabaseError::Unopened(_) => "the file of the application's database cannot be opened",
        DatabaseError::Missing(_) => "the application's database is missing",
        _ => "the application's database cannot be reached now",
    }
}
