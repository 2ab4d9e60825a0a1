//! The names of the files that a database consists of.

use std::path::{Path, PathBuf};

/// What the name of a database's write-ahead log ends with, and that of the log's index.
pub(super) const LOG: &str = "-wal";
pub(super) const INDEX: &str = "-shm";

/// The file beside a database whose name ends so.
pub(super) fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    PathBuf::from(name)
}
