//! The data directory, which the daemon locks for itself.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use super::error::StartupError;
use crate::protocol::RunningDaemon;

const LOCK_FILE: &str = "nbappsd.lock";

/// The data directory, locked until this is dropped.
#[derive(Debug)]
pub(super) struct DataDirectory {
    /// The open directory, locked: it cannot be replaced while it has files in it.
    _directory: File,
    /// The file that names the process; earlier versions lock only this file.
    _lock: File,
    /// By which clients find this daemon.
    _announcement: RunningDaemon,
}

impl DataDirectory {
    /// Creates the directory if it is missing, for this user only, locks it, and announces in it that the daemon
    /// answers at `socket`.
    pub(super) fn take(path: &Path, socket: &Path) -> Result<Self, StartupError> {
        let failed = |error: io::Error| {
            StartupError::new(
                format!("the data directory {} cannot be written: {error}", path.display()),
                "choose one that this user may write with --data-dir, or correct its owner and permissions",
            )
        };
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
        let in_use = |lock: Option<File>| {
            let mut holder = String::new();
            let holder = match lock.map(|mut lock| lock.read_to_string(&mut holder)) {
                Some(Ok(_)) if !holder.trim().is_empty() => format!("process {}", holder.trim()),
                _ => "another process".to_owned(),
            };
            StartupError::new(
                format!("the data directory {} is in use by {holder}", path.display()),
                "look at that daemon with `nbapps daemon status`, or choose another directory with --data-dir",
            )
        };
        let file = path.join(LOCK_FILE);
        let directory = File::open(path).map_err(failed)?;
        // Some network file systems cannot lock directories; then the file's lock must suffice.
        if let Err(TryLockError::WouldBlock) = directory.try_lock() {
            return Err(in_use(File::open(file).ok()));
        }
        let opened =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(file);
        let mut lock = opened.map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::Error(error)) => return Err(failed(error)),
            Err(TryLockError::WouldBlock) => return Err(in_use(Some(lock))),
        }
        lock.set_len(0)
            .and_then(|()| lock.rewind())
            .and_then(|()| write!(lock, "{}", std::process::id()))
            .map_err(failed)?;
        let announcement = RunningDaemon::announce(path, socket).map_err(failed)?;
        Ok(Self { _directory: directory, _lock: lock, _announcement: announcement })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(path: &Path) -> Result<DataDirectory, StartupError> {
        DataDirectory::take(path, Path::new("/run/control.sock"))
    }

    #[test]
    fn a_directory_is_taken_once_and_given_back() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("a/b");
        let taken = take(&path).unwrap();
        let said = take(&path).unwrap_err().to_string();
        assert!(said.contains(&format!("process {}", std::process::id())), "{said}");
        drop(taken);
        take(&path).unwrap();
    }

    #[test]
    fn it_stays_taken_when_the_lock_file_is_removed() {
        let root = tempfile::tempdir().unwrap();
        let taken = take(root.path()).unwrap();
        for replace in [false, true] {
            let _ = std::fs::remove_file(root.path().join(LOCK_FILE));
            if replace {
                std::fs::write(root.path().join(LOCK_FILE), "7").unwrap();
            }
            let said = take(root.path()).unwrap_err().to_string();
            assert!(said.contains("is in use by"), "{said}");
        }
        drop(taken);
        take(root.path()).unwrap();
    }

    #[test]
    fn a_file_in_its_place_is_named() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("file");
        std::fs::write(&path, "").unwrap();
        assert!(take(&path).unwrap_err().to_string().contains("file"));
    }
}
