//! Why permissions could not be written or read.

use crate::app::acl::InvariantError;
use crate::data::{Cause, DataError, DatabaseError};

/// Why permissions could not be written or read.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The database refused or failed.
    #[error(transparent)]
    Data(#[from] DataError),
    /// It is refused whoever asks.
    #[error(transparent)]
    Guard(#[from] InvariantError),
    /// The request is wrong, and the sentence says what of it.
    #[error("{0}")]
    Invalid(String),
    /// There is no such thing.
    #[error("{0}")]
    NotFound(String),
}

impl StoreError {
    /// Converts it for the transaction of somebody else: an error of the database stays what it is.
    pub(in crate::app) fn into_data(self) -> DataError {
        match self {
            Self::Data(error) => error,
            refused => DataError::Refused(refused.to_string()),
        }
    }
}

impl Cause for StoreError {
    fn cause(&self) -> Option<&DatabaseError> {
        match self {
            Self::Data(error) => error.cause(),
            _ => None,
        }
    }
}

/// What a request says is wrong.
pub(super) fn invalid(sentence: impl Into<String>) -> StoreError {
    StoreError::Invalid(sentence.into())
}
