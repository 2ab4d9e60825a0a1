//! The errors of every engine.

use super::Refusal;

/// An error of any type, as drivers and SQLite functions pass it.
pub(super) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why a statement or a connection failed.
///
/// The messages name the database (for SQLite its file) and are for operators, as they are. They are not for
/// the users of an application.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DatabaseError {
    /// The database does not exist.
    #[error("{0}")]
    Missing(String),
    /// The server has no connection left.
    #[error("{0}")]
    Full(String),
    /// The engine does not allow this name for a database or a schema.
    #[error("{0}")]
    InvalidName(String),
    /// The server cannot be reached, or does not admit the host.
    #[error("{0}")]
    Unreachable(String),
    /// The file cannot be opened, for want of a permission or because of its disk.
    #[error("{0}")]
    Unopened(String),
    /// The process has reached its limit on open files and connections.
    #[error("{0}")]
    NoDescriptors(String),
    /// Every connection of the pool was in use for too long.
    #[error("{0}")]
    Occupied(String),
    /// The database to be created exists already.
    #[error("{0}")]
    Exists(String),
    /// A unique constraint was violated.
    #[error("another row has the same {}", columns.join(", "))]
    Unique {
        /// The columns of the constraint; empty if the engine does not name them.
        columns: Vec<String>,
    },
    /// A foreign key was violated: a row refers to a missing one, or a referenced row was to be deleted.
    #[error("{}", foreign_key(columns))]
    ForeignKey {
        /// The columns of the key; empty if the engine does not name them, as SQLite.
        columns: Vec<String>,
    },
    /// A required column has no value.
    #[error("{column} must have a value")]
    NotNull {
        /// The column.
        column: String,
    },
    /// The engine does not take what was asked for.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The disk is full, not writable or failed.
    #[error("{0}")]
    Storage(String),
    /// A file has reached the process's limit on file sizes.
    #[error("{0}")]
    FileLimit(String),
    /// The file is not a database, or is damaged.
    #[error("{0}")]
    Corrupt(String),
    /// The database user lacks a privilege.
    #[error("{0}")]
    Denied(String),
    /// Another process held a lock for too long.
    #[error("{0}")]
    Busy(String),
    /// A conflict with concurrent transactions (a deadlock, a serialization failure) made the engine roll
    /// back the transaction; a retry may succeed.
    #[error("{0}")]
    Conflict(String),
    /// A table or a column is not as the statement expects: the known definitions are outdated.
    #[error("{0}")]
    Outdated(String),
    /// A statement exceeded its timeout and was cancelled.
    #[error("{0}")]
    TooSlow(String),
    /// A pattern takes too much backtracking or memory.
    #[error("{0}")]
    Pattern(String),
    /// The database was closed in this process.
    #[error("the database {0} is closed")]
    Closed(String),
    /// Anything else.
    #[error("{0}")]
    Failed(String),
}

impl DatabaseError {
    /// Returns the error for a file or connection that failed to open for want of a file descriptor.
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
