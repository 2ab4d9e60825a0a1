//! The file in a data directory by which clients find the daemon that runs on it.
//!
//! It contains the path of the daemon's control socket. The daemon keeps the file locked, and the kernel
//! releases the lock with the process: a file that nobody has locked was left by a daemon that has ended.

use std::ffi::OsString;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// The name of the file.
const FILE: &str = "nbappsd.socket";

/// The announcement of a running daemon, in its data directory, until this is dropped.
#[derive(Debug)]
pub struct RunningDaemon {
    _file: File,
}

impl RunningDaemon {
    /// Announces that this process runs on the data directory and answers at `socket`, an absolute path. The
    /// caller holds the lock of the data directory.
    ///
    /// # Errors
    /// When the file cannot be locked or written.
    pub fn announce(data_directory: &Path, socket: &Path) -> io::Result<Self> {
        let path = data_directory.join(FILE);
        let mut file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
        // Clients lock it for a moment to find out whether a daemon has.
        file.lock()?;
        file.set_len(0)?;
        file.write_all(socket.as_os_str().as_bytes())?;
        Ok(Self { _file: file })
    }

    /// The socket of the daemon that runs on the data directory; `None` when none does, or when this user may
    /// not look. The daemon may be about to open its socket, or to end.
    #[must_use]
    pub fn socket(data_directory: &Path) -> Option<PathBuf> {
        let mut file = File::open(data_directory.join(FILE)).ok()?;
        let Err(TryLockError::WouldBlock) = file.try_lock_shared() else { return None };
        let mut path = Vec::new();
        file.read_to_end(&mut path).ok()?;
        (!path.is_empty()).then(|| PathBuf::from(OsString::from_vec(path)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_daemon_is_found_while_it_runs() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(RunningDaemon::socket(directory.path()), None);
        for socket in ["/run/user/7/nbapps/control.sock", "/s"] {
            let running = RunningDaemon::announce(directory.path(), Path::new(socket)).unwrap();
            assert_eq!(RunningDaemon::socket(directory.path()), Some(PathBuf::from(socket)));
            drop(running);
            assert_eq!(RunningDaemon::socket(directory.path()), None);
        }
    }
}
