//! What the data model refuses, and what the database below it failed.

use super::{Collection, Field};
use crate::database::DatabaseError;

/// Why records could not be read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DataError {
    /// The database refused or failed.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// A collection has no such field.
    #[error("the collection {collection} has no field {field}")]
    UnknownField {
        /// The collection.
        collection: String,
        /// The name that was used.
        field: String,
    },
    /// A value does not fit its field.
    #[error("{field}: {problem}")]
    Invalid {
        /// The field.
        field: String,
        /// What does not fit.
        problem: String,
    },
    /// What was asked for makes no sense; the sentence says why.
    #[error("{0}")]
    Refused(String),
    /// It is not open to whoever asks.
    #[error("{0}")]
    Forbidden(String),
    /// A value in the database is not what the field's type says: somebody else wrote it.
    #[error("{collection}.{field} holds a value that is no {expected}")]
    Unreadable {
        /// The collection.
        collection: String,
        /// The field.
        field: String,
        /// The type's name.
        expected: &'static str,
    },
}

/// A value that does not fit its field.
pub(super) fn invalid(field: &Field, problem: impl Into<String>) -> DataError {
    DataError::Invalid { field: field.name().to_owned(), problem: problem.into() }
}

/// A stored value that is not what its field's type says.
pub(super) fn unreadable(collection: &Collection, field: &str, expected: &'static str) -> DataError {
    DataError::Unreadable { collection: collection.name().to_owned(), field: field.to_owned(), expected }
}

impl DataError {
    /// The columns whose values another record has already, when that is the matter.
    #[cfg(test)]
    #[must_use]
    pub fn unique(&self) -> Option<&[String]> {
        match self {
            Self::Database(DatabaseError::Unique { columns }) => Some(columns),
            _ => None,
        }
    }

    /// What the database said, when it was the database.
    #[must_use]
    pub fn database(&self) -> Option<&DatabaseError> {
        match self {
            Self::Database(error) => Some(error),
            _ => None,
        }
    }
}

/// An error that may come from the database: one of those that are over when the same is done again.
pub trait Cause {
    /// What the database said, when it was the database.
    fn cause(&self) -> Option<&DatabaseError>;
}

impl Cause for DataError {
    fn cause(&self) -> Option<&DatabaseError> {
        self.database()
    }
}
