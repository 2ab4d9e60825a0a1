//! Checks that the files of an open database keep their names: connections to a file that was removed or
//! replaced would write to one that nobody can find again.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;

use super::file_names::{INDEX, LOG, beside};
use super::files::{self, Identity};
use crate::database::DatabaseError;

/// The files of one open database.
#[derive(Debug)]
pub(super) struct DatabaseFiles {
    path: PathBuf,
    /// The file's identity when the first connection was opened.
    identity: OnceLock<Identity>,
    log: Arc<Mutex<WriteAheadLog>>,
    /// The file that was removed or replaced.
    lost: OnceLock<PathBuf>,
}

/// The write-ahead log, shared by all connections. SQLite creates it for the first of them and removes it
/// with the last; in between, its name must keep referring to the same file.
#[derive(Debug, Default)]
pub(super) struct WriteAheadLog {
    /// The number of open connections. They are closed under this lock, so that the log exists while there
    /// are any.
    connections: usize,
    /// The log and its index; `None` until the writer has opened them, or if the file system supports no
    /// write-ahead log.
    files: Option<[Identity; 2]>,
}

impl WriteAheadLog {
    /// Notes that a connection was closed; SQLite removes the log with the last one.
    pub(super) fn remove_connection(&mut self) {
        self.connections -= 1;
        if self.connections == 0 {
            self.files = None;
        }
    }
}

impl DatabaseFiles {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, identity: OnceLock::new(), log: Arc::default(), lost: OnceLock::new() }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Fails if a check has found a file removed or replaced.
    pub(super) fn check_not_lost(&self) -> Result<(), DatabaseError> {
        self.lost.get().map_or(Ok(()), |file| Err(lost(file)))
    }

    /// Notes that a connection was opened. A writer has opened the log.
    pub(super) fn add_connection(&self, is_writer: bool) -> Arc<Mutex<WriteAheadLog>> {
        let mut log = self.log.lock();
        log.connections += 1;
        if is_writer && log.files.is_none() {
            let identity = |suffix| files::identity(&beside(&self.path, suffix)).ok();
            log.files = identity(LOG).zip(identity(INDEX)).map(<[_; 2]>::from);
        }
        Arc::clone(&self.log)
    }

    /// The number of open connections: each shares the log. Its own count may be locked while a connection is closed.
    pub(super) fn connections(&self) -> usize {
        Arc::strong_count(&self.log) - 1
    }

    /// Checks that the path still refers to the file that was opened, and remembers if not: connections would
    /// write to a file that nobody can find again.
    pub(super) fn check(&self) -> Result<(), DatabaseError> {
        let now = files::identity(&self.path);
        let Some(known) = self.identity.get() else {
            // Concurrent first connections see the same file.
            return now.map(|now| {
                let _ = self.identity.set(now);
            });
        };
        match now {
            Ok(now) if now == *known => self.check_log(),
            Ok(_) | Err(DatabaseError::Missing(_)) => Err(self.mark_lost(self.path.clone())),
            // The directory cannot be searched for a while; the file may still exist.
            Err(_) => Ok(()),
        }
    }

    /// Checks the log likewise: an unlinked log vanishes with the last connection that has it open.
    fn check_log(&self) -> Result<(), DatabaseError> {
        let log = self.log.lock();
        let Some([known, _]) = log.files else { return Ok(()) };
        self.check_part(LOG, known)
    }

    fn check_part(&self, end: &str, known: Identity) -> Result<(), DatabaseError> {
        let file = beside(&self.path, end);
        match files::identity(&file) {
            Ok(now) if now == known => Ok(()),
            Ok(_) | Err(DatabaseError::Missing(_)) => Err(self.mark_lost(file)),
            Err(_) => Ok(()),
        }
    }

    /// Checks the log's index likewise; no written data depends on it.
    pub(super) fn check_index(&self) -> Result<(), DatabaseError> {
        let log = self.log.lock();
        let Some([_, known]) = log.files else { return Ok(()) };
        self.check_part(INDEX, known)
    }

    fn mark_lost(&self, file: PathBuf) -> DatabaseError {
        let error = lost(&file);
        let _ = self.lost.set(file);
        error
    }
}

fn lost(file: &Path) -> DatabaseError {
    DatabaseError::Missing(format!(
        "the database's file {} was removed or replaced while the application was running",
        file.display()
    ))
}
