//! Errors of the data model and of the database below it.

use super::{Collection, Field};
use crate::database::DatabaseError;

/// Why records could not be read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DataError {
    /// The database refused the statement, or failed.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The collection does not have this field.
    #[error("the collection {collection} has no field {field}")]
    UnknownField {
        /// The name of the collection.
        collection: String,
        /// The name of the field.
        field: String,
    },
    /// A value does not fit its field.
    #[error("{field}: {problem}")]
    Invalid {
        /// The name of the field.
        field: String,
        /// Why it does not fit.
        problem: String,
    },
    /// The request is invalid; the sentence says why.
    #[error("{0}")]
    Refused(String),
    /// The guard does not allow the request.
    #[error("{0}")]
    Forbidden(String),
    /// A stored value does not have the type of its field: another program wrote it.
    #[error("{collection}.{field} holds a value that is not of type {expected}")]
    Unreadable {
        /// The name of the collection.
        collection: String,
        /// The name of the field.
        field: String,
        /// The name of the type.
        expected: &'static str,
    },
}

/// Returns the error that a value does not fit its field.
pub(super) fn invalid(field: &Field, problem: impl Into<String>) -> DataError {
    DataError::Invalid { field: field.name().to_owned(), problem: problem.into() }
}

/// Returns the error that a stored value does not have the type of its field.
pub(super) fn unreadable(collection: &Collection, field: &str, expected: &'static str) -> DataError {
    DataError::Unreadable { collection: collection.name().to_owned(), field: field.to_owned(), expected }
}

impl DataError {
    /// Returns the columns of a violated unique index.
    #[cfg(test)]
    #[must_use]
    pub fn unique(&self) -> Option<&[String]> {
        match self {
            Self::Database(DatabaseError::Unique { columns }) => Some(columns),
            _ => None,
        }
    }

    /// Returns the error of the database, if it is one.
    #[must_use]
    pub fn database(&self) -> Option<&DatabaseError> {
        match self {
            Self::Database(error) => Some(error),
            _ => None,
        }
    }
}

/// An error that may come from the database, which tells whether a retry may succeed.
pub trait Cause {
    /// Returns the error of the database, if it is one.
    fn cause(&self) -> Option<&DatabaseError>;
}

impl Cause for DataError {
    fn cause(&self) -> Option<&DatabaseError> {
        self.database()
    }
}
