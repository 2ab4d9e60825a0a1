//! What a database refuses or fails, whatever its engine.

use super::Refusal;

/// What a database refused or failed.
///
/// The sentences name the database (for SQLite its file), so that they can be shown as they are
/// to an operator. They are not for the users of an application.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DatabaseError {
    /// There is none.
    #[error("{0}")]
    Missing(String),
    /// Its server has no connection left.
    #[error("{0}")]
    Full(String),
    /// The engine takes no such name for a database or a schema.
    #[error("{0}")]
    InvalidName(String),
    /// It cannot be reached or opened.
    #[error("{0}")]
    Unreachable(String),
    /// A database was to be made where there is one already.
    #[error("{0}")]
    Exists(String),
    /// Two rows with the same value in a unique column, or the same values in unique columns.
    #[error("another row has the same {}", columns.join(", "))]
    Unique {
        /// The columns, empty where the engine does not name them.
        columns: Vec<String>,
    },
    /// A row refers to one that does not exist, or one that is referred to was to be removed.
    #[error("{}", foreign_key(columns))]
    ForeignKey {
        /// The columns of the reference, empty where the engine does not name them, as SQLite.
        columns: Vec<String>,
    },
    /// A column that must have a value was given none.
    #[error("{column} must have a value")]
    NotNull {
        /// The column.
        column: String,
    },
    /// What was asked for is more, or something else, than the engine takes.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The disk is full, cannot be written or failed.
    #[error("{0}")]
    Storage(String),
    /// What is there is no database, or a damaged one.
    #[error("{0}")]
    Corrupt(String),
    /// The user that the host connects as may not do it.
    #[error("{0}")]
    Denied(String),
    /// Another process held it for too long.
    #[error("{0}")]
    Busy(String),
    /// A statement took longer than it may, and was cancelled.
    #[error("{0}")]
    TooSlow(String),
    /// It was closed here.
    #[error("the database {0} is closed")]
    Closed(String),
    /// Anything else.
    #[error("{0}")]
    Failed(String),
}

fn foreign_key(columns: &[String]) -> String {
    if columns.is_empty() {
        return "a row refers to one that does not exist".to_owned();
    }
    format!("{} refers to a row that does not exist", columns.join(", "))
}
