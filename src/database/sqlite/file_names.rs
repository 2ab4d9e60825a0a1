//! The names of the files that make up a database.

use std::path::{Path, PathBuf};

/// The suffixes of the write-ahead log and of its index.
pub(super) const LOG: &str = "-wal";
pub(super) const INDEX: &str = "-shm";

/// The path of a database's file with this suffix.
pub(super) fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    PathBuf::from(name)
}
