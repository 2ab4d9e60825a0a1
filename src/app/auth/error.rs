//! Why somebody is not let in.

use std::time::Duration;

use http::StatusCode;

use crate::data::{Cause, DataError, DatabaseError};

/// Why somebody is not let in; becomes an [`ApiError`](crate::app::api::ApiError). The sentences
/// tell a stranger nothing: not whether an account exists, nor what of a token was wrong.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AuthError {
    /// No token.
    #[error("you are not signed in")]
    EmptyToken,
    /// A token that this application did not sign, or that a changed password ended.
    #[error("your session is not valid, sign in again")]
    InvalidToken,
    /// A session past its time, or a token that came too late to be renewed.
    #[error("your session has expired, sign in again")]
    ExpiredSession,
    /// A token past its time that was renewed before, or whose session is gone.
    #[error("your session has expired, sign in again")]
    RenewFailed,
    /// A token past its time on a stream, where a new one could not be handed over.
    #[error("your session must be renewed before a stream is opened")]
    SkipRenew,
    /// An API key for a role that its user does not have any more.
    #[error("this API key is for a role that its user does not have")]
    RoleGone,
    /// A token that was signed out.
    #[error("your session was ended, sign in again")]
    BlockedToken,
    /// The token of a user who is gone.
    #[error("the user of this session does not exist any more")]
    UserGone,
    /// The token, the ticket or the session of a user whom an operator disabled.
    #[error("this account is disabled")]
    Disabled,
    /// Nobody could look after the application any more.
    #[error("the last enabled user with the role root cannot be disabled")]
    LastRoot,
    /// Account or password missing.
    #[error("give a user name or an e-mail address, and a password")]
    MissingCredentials,
    /// No such account, or another password.
    #[error("the account or the password is wrong")]
    WrongCredentials,
    /// Not the user's present password.
    #[error("the present password is wrong")]
    WrongPassword,
    /// A new password that cannot be one.
    #[error("{0}")]
    UnusablePassword(String),
    /// What was given cannot be, and the sentence says why.
    #[error("{0}")]
    Invalid(String),
    /// A setting forbids it.
    #[error("{0}")]
    Forbidden(&'static str),
    /// Too many failures; how long to wait.
    #[error("there were too many attempts, try again in {} s", .0.as_secs().max(1))]
    TooManyAttempts(Duration),
    /// There is no way to sign in under this name, nor any other.
    #[error("there is no authenticator {0} that is enabled")]
    NoAuthenticator(String),
    /// An operator named a user who does not exist.
    #[error("there is no user {0}")]
    NoSuchUser(String),
    /// A ticket that was used, is too old, or never was.
    #[error("this link was used already or is older than a minute")]
    InvalidTicket,
    /// The database failed.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A fault of this program.
    #[error("{0}")]
    Failed(&'static str),
}

impl Cause for AuthError {
    fn cause(&self) -> Option<&DatabaseError> {
        match self {
            Self::Data(error) => error.cause(),
            _ => None,
        }
    }
}

impl AuthError {
    /// NocoBase's code for it, where it has one.
    #[must_use]
    pub const fn code(&self) -> Option<&'static str> {
        match self {
            Self::EmptyToken => Some("EMPTY_TOKEN"),
            Self::InvalidToken => Some("INVALID_TOKEN"),
            Self::ExpiredSession => Some("EXPIRED_SESSION"),
            Self::RenewFailed => Some("TOKEN_RENEW_FAILED"),
            Self::SkipRenew => Some("SKIP_TOKEN_RENEW"),
            Self::RoleGone => Some("ROLE_NOT_FOUND_FOR_USER"),
            Self::TooManyAttempts(_) => Some("TOO_MANY_ATTEMPTS"),
            Self::BlockedToken | Self::Disabled => Some("BLOCKED_TOKEN"),
            Self::UserGone => Some("NOT_EXIST_USER"),
            _ => None,
        }
    }

    /// The HTTP status it is answered with; failures of the database have their own.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::MissingCredentials
            | Self::UnusablePassword(_)
            | Self::Invalid(_)
            | Self::NoAuthenticator(_) => StatusCode::BAD_REQUEST,
            Self::Forbidden(_) | Self::LastRoot => StatusCode::FORBIDDEN,
            Self::TooManyAttempts(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::NoSuchUser(_) => StatusCode::NOT_FOUND,
            Self::Data(_) | Self::Failed(_) => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::UNAUTHORIZED,
        }
    }
}
