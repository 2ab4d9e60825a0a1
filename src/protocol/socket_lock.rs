//! The lock file beside a control socket, which names the process of its daemon.
//!
//! The first line is the daemon's process ID; a second line says `starting` until the daemon answers
//! requests. Clients read the file to name the process of a daemon that does not answer.

use std::path::{Path, PathBuf};

/// The second line while the daemon is starting.
const STARTING: &str = "starting";

/// The content of the lock file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SocketLock {
    /// The daemon's process ID.
    pub process: u32,
    /// Whether the daemon is starting: it accepts connections and answers them later.
    pub starting: bool,
}

impl SocketLock {
    /// The path of the lock file of a socket.
    #[must_use]
    pub fn path(socket: &Path) -> PathBuf {
        let mut path = socket.as_os_str().to_owned();
        path.push(".lock");
        PathBuf::from(path)
    }

    /// Reads the lock file of a socket; `None` when it cannot be read or parsed.
    #[must_use]
    pub fn read(socket: &Path) -> Option<Self> {
        Self::parse(&std::fs::read_to_string(Self::path(socket)).ok()?)
    }

    /// Parses the content of the file.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let process = lines.next()?.trim().parse().ok()?;
        Some(Self { process, starting: lines.next() == Some(STARTING) })
    }

    /// The content of the file.
    #[must_use]
    pub fn text(self) -> String {
        let starting = if self.starting { format!("{STARTING}\n") } else { String::new() };
        format!("{}\n{starting}", self.process)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_as_it_was_written() {
        for starting in [false, true] {
            let lock = SocketLock { process: 42, starting };
            assert_eq!(SocketLock::parse(&lock.text()), Some(lock));
        }
        // A daemon of an earlier version wrote the process alone.
        assert_eq!(SocketLock::parse("7"), Some(SocketLock { process: 7, starting: false }));
        assert_eq!(SocketLock::parse(""), None);
    }
}
