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
    /// Its server cannot be reached, or lets the host not in.
    #[error("{0}")]
    Unreachable(String),
    /// Its file cannot be opened: a permission, or the disk that it is on.
    #[error("{0}")]
    Unopened(String),
    /// The process has as many files and connections open as it may.
    #[error("{0}")]
    NoDescriptors(String),
    /// Every connection that the host may have to it was in use for too long.
    #[error("{0}")]
    Occupied(String),
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
    /// A file has come to the size that the process may give one.
    #[error("{0}")]
    FileLimit(String),
    /// What is there is no database, or a damaged one.
    #[error("{0}")]
    Corrupt(String),
    /// The user that the host connects as may not do it.
    #[error("{0}")]
    Denied(String),
    /// Another process held it for too long.
    #[error("{0}")]
    Busy(String),
    /// Others changed the same at the same time (a deadlock, a serialization failure), so that the
    /// engine undid the transaction: done again, it may succeed.
    #[error("{0}")]
    Conflict(String),
    /// A table or a column is not, or not any more, what the statement takes it for: what is known of
    /// the tables is out of date.
    #[error("{0}")]
    Outdated(String),
    /// A statement took longer than it may, and was cancelled.
    #[error("{0}")]
    TooSlow(String),
    /// A text can be read in more ways than the engine may try, or the pattern is too much for it.
    #[error("{0}")]
    Pattern(String),
    /// It was closed here.
    #[error("the database {0} is closed")]
    Closed(String),
    /// Anything else.
    #[error("{0}")]
    Failed(String),
}

impl DatabaseError {
    /// The error for what could not be opened for want of a file descriptor.
    pub(super) fn no_descriptors(what: impl std::fmt::Display) -> Self {
        Self::NoDescriptors(format!("{what}: too many open files; {}", super::descriptors::limit()))
    }
}

fn foreign_key(columns: &[String]) -> String {
    if columns.is_empty() {
        return "a row refers to one that does not exist".to_owned();
    }
    format!("{} refers to a row that does not exist", columns.join(", "))
}
