//! The database engines behind one type.
use std::path::PathBuf;

/// A database engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Engine {
    /// SQLite, embedded.
    Sqlite,
}
impl Engine {
    /// NocoBase's word for it (`DB_DIALECT`): `sqlite`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        "sqlite"
    }
}
/// Where a database is. Its `Display` is what people are shown and never has a password.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Location {
    /// A SQLite file.
    Sqlite(PathBuf),
}
impl std::fmt::Display for Location {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Sqlite(path) => path.display().fmt(f),
        }
    }
}
/// What a database refused or failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum DatabaseError {
    /// It cannot be reached or opened.
    #[error("{0}")]
    Unreachable(String),
    /// Two rows with one value in a unique column.
    #[error("{columns:?} taken")]
    Unique {
        /// The columns.
        columns: Vec<String>,
    },
    /// The disk is full or cannot be written.
    #[error("{0}")]
    Storage(String),
    /// It was closed.
    #[error("closed")]
    Closed,
    /// Anything else.
    #[error("{0}")]
    Failed(String),
}
/// An open database. Cheap to clone; all clones share its connections.
#[derive(Debug, Clone)]
pub struct Database {}
impl Database {
    /// Makes a new, empty database and opens it; an error when there is one already.
    pub async fn create(_at: &Location) -> Result<Self, DatabaseError> {
        unimplemented!()
    }
    /// Opens a database that exists.
    pub async fn open(_at: &Location) -> Result<Self, DatabaseError> {
        unimplemented!()
    }
    /// The engine.
    pub fn engine(&self) -> Engine {
        unimplemented!()
    }
    /// Bytes on disk.
    pub async fn size(&self) -> Result<u64, DatabaseError> {
        unimplemented!()
    }
    /// Lets running statements end, then closes every connection.
    pub async fn close(&self) {
        unimplemented!()
    }
}
