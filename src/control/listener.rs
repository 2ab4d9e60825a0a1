//! Binds the control socket, accepts connections, and removes the socket at the end.
//!
//! The file of a socket outlives a daemon that was killed, and binding to an existing file fails.
//! Replacing it unconditionally would take the socket from a running daemon. So the daemon first locks a
//! file beside the socket, and the kernel releases that lock with the process.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use interprocess::local_socket::tokio::{Listener, Stream, prelude::*};
use interprocess::local_socket::traits::StreamCommon;
use interprocess::local_socket::{GenericFilePath, ListenerOptions, ToFsName};
use interprocess::os::unix::local_socket::ListenerOptionsExt;
use rustix::fs::Gid;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::connection::{self, Service};
use super::connection_limit::ConnectionLimit;
use super::handlers::RequestHandler;
use super::line_reader::LineMemory;
use super::peer::Peer;
use crate::protocol::SocketLock;

/// The socket is for its owner and its group.
const SOCKET_MODE: u16 = 0o660;

/// How long to wait after accepting failed, for instance for want of file descriptors.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// How long connections may take to send their last responses when the daemon ends.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);

/// The control socket, bound by this process.
#[derive(Debug)]
pub struct ControlSocket {
    listener: Listener,
    path: PathBuf,
    group: Option<Gid>,
    /// The lock file, locked as long as the socket is this process's.
    lock: File,
    limit: Arc<ConnectionLimit>,
}

/// Why the control socket cannot be bound.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another daemon uses it.
    #[error("the control socket {} is in use by {}", path.display(), holder(*pid))]
    InUse {
        /// The socket.
        path: PathBuf,
        /// The process that uses it, when it is known.
        pid: Option<u32>,
    },
    /// The path exists and is not a socket.
    #[error("{} is not a socket and will not be replaced", path.display())]
    NotASocket {
        /// The path.
        path: PathBuf,
    },
    /// An operation on a file or directory failed.
    #[error("cannot bind the control socket {}: {what} {} failed: {error}", socket.display(), path.display())]
    File {
        /// The socket.
        socket: PathBuf,
        /// The operation.
        what: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What went wrong.
        error: io::Error,
    },
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"))
}

impl BindError {
    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::InUse { .. } => {
                "look at that daemon with `nbapps daemon status`, or choose another socket with --socket"
            }
            Self::NotASocket { .. } => "move it away, or choose another socket with --socket",
            Self::File { .. } => "choose a socket in a directory that this user may write, with --socket",
        }
        .to_owned()
    }
}

impl ControlSocket {
    /// Binds the socket at `path`; replaces one that a dead daemon left, and creates its directory when that
    /// is missing. Members of `group` may use the socket. It serves `max_connections` at a time, at most half
    /// of them of one user.
    ///
    /// # Errors
    /// When a running daemon uses the socket, the path is not a socket, or the socket cannot be created.
    pub fn bind(path: &Path, group: Option<Gid>, max_connections: usize) -> Result<Self, BindError> {
        let failed = |what, at: &Path| {
            let (socket, path) = (path.to_owned(), at.to_owned());
            move |error| BindError::File { socket, what, path, error }
        };
        if let Some(directory) = path.parent().filter(|directory| !directory.exists()) {
            make_directory(directory, group).map_err(failed("making", directory))?;
        }
        let lock = lock(path)?;
        remove_dead(path)?;
        let name = path.to_fs_name::<GenericFilePath>().map_err(failed("naming", path))?;
        let listener = ListenerOptions::new()
            .name(name)
            .mode(SOCKET_MODE.into())
            .create_tokio()
            .map_err(failed("binding", path))?;
        // The umask applied to the mode at creation.
        fs::set_permissions(path, fs::Permissions::from_mode(u32::from(SOCKET_MODE)))
            .map_err(failed("giving its mode", path))?;
        if group.is_some() {
            rustix::fs::chown(path, None, group)
                .map_err(|error| failed("giving its group", path)(error.into()))?;
        }
        Ok(Self {
            listener,
            path: path.to_owned(),
            group,
            lock,
            limit: ConnectionLimit::new(max_connections),
        })
    }

    /// The path of the socket.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Serves connections until `closing`; then lets them send their last responses and removes the socket's
    /// file.
    pub async fn serve(mut self, handler: Arc<RequestHandler>, closing: CancellationToken) {
        // Without this line clients believe for longer that the daemon is starting.
        let _ = write_lock(&mut self.lock, false);
        let connections = TaskTracker::new();
        let service = Service { handler, memory: LineMemory::new(), closing: closing.clone() };
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                () = closing.cancelled() => break,
            };
            match accepted.and_then(|stream| self.identify(&stream).map(|(peer, may)| (stream, peer, may))) {
                Ok((stream, peer, is_authorized)) => match self.limit.acquire(peer.user) {
                    Ok(permit) => {
                        let service = service.clone();
                        connections.spawn(connection::run(stream, peer, is_authorized, permit, service));
                    }
                    Err(error) => {
                        tracing::warn!(%peer, %error, "refused on the control socket");
                        connections.spawn(connection::refuse(stream, error));
                    }
                },
                Err(error) => {
                    tracing::warn!(%error, "a connection to the control socket failed");
                    tokio::time::sleep(ACCEPT_RETRY).await;
                }
            }
        }
        connections.close();
        if tokio::time::timeout(DRAIN_TIMEOUT, connections.wait()).await.is_err() {
            tracing::debug!("connections that do not read their responses are cut off");
        }
        // The file goes before the lock: after the lock, the file could be the next daemon's.
        drop(self.listener);
        drop(self.lock);
    }

    fn identify(&self, stream: &Stream) -> io::Result<(Peer, bool)> {
        let peer = Peer::new(&stream.peer_creds()?);
        let own = rustix::process::geteuid().as_raw();
        Ok((peer, peer.is_authorized(own, self.group.map(Gid::as_raw))))
    }
}

fn make_directory(directory: &Path, group: Option<Gid>) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o750).create(directory)?;
    if group.is_some() {
        rustix::fs::chown(directory, None, group)?;
    }
    Ok(())
}

/// Locks the file beside the socket and writes this process's ID into it. The file stays when the daemon
/// ends: removing it would let two daemons lock two files of the same name.
fn lock(socket: &Path) -> Result<File, BindError> {
    let path = SocketLock::path(socket);
    let failed = |what| {
        let (socket, path) = (socket.to_owned(), path.clone());
        move |error| BindError::File { socket, what, path, error }
    };
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o640)
        .open(&path)
        .map_err(failed("opening"))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(fs::TryLockError::WouldBlock) => {
            let mut text = String::new();
            let said = file.read_to_string(&mut text).ok().and_then(|_| SocketLock::parse(&text));
            let pid = said.map(|lock| lock.process);
            return Err(BindError::InUse { path: socket.to_owned(), pid });
        }
        Err(fs::TryLockError::Error(error)) => return Err(failed("locking")(error)),
    }
    write_lock(&mut file, true).map_err(failed("writing"))?;
    Ok(file)
}

/// Writes this process's ID to the lock file, and whether the daemon is starting.
fn write_lock(file: &mut File, starting: bool) -> io::Result<()> {
    let lock = SocketLock { process: std::process::id(), starting };
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(lock.text().as_bytes())
}

/// Removes the socket that a dead daemon left. No daemon uses it, because this process holds the lock; but
/// another program could.
fn remove_dead(path: &Path) -> Result<(), BindError> {
    let failed =
        |what| move |error| BindError::File { socket: path.to_owned(), what, path: path.to_owned(), error };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(failed("looking at")(error)),
        Ok(metadata) if !metadata.file_type().is_socket() => {
            Err(BindError::NotASocket { path: path.to_owned() })
        }
        Ok(_) if UnixStream::connect(path).is_ok() => {
            Err(BindError::InUse { path: path.to_owned(), pid: None })
        }
        Ok(_) => fs::remove_file(path).map_err(failed("removing")),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    #[tokio::test]
    async fn a_live_daemons_socket_is_not_taken() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("run/control.sock");
        let socket = ControlSocket::bind(&path, None, 8).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, u32::from(SOCKET_MODE));
        let error = ControlSocket::bind(&path, None, 8).unwrap_err();
        let BindError::InUse { pid, .. } = &error else { panic!("{error}") };
        assert_eq!(*pid, Some(std::process::id()));
        assert!(error.to_string().contains(&path.display().to_string()), "{error}");
        drop(socket);
        assert!(!path.exists());
        ControlSocket::bind(&path, None, 8).unwrap();
    }

    #[tokio::test]
    async fn a_dead_daemons_socket_is_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("control.sock");
        // Dropping a listener of the standard library leaves its file, as `kill -9` does.
        drop(UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        ControlSocket::bind(&path, None, 8).unwrap();
    }

    #[tokio::test]
    async fn what_is_not_ours_stays() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("control.sock");
        let foreign = UnixListener::bind(&path).unwrap();
        let error = ControlSocket::bind(&path, None, 8).unwrap_err();
        assert!(matches!(error, BindError::InUse { pid: None, .. }), "{error}");
        drop(foreign);
        fs::remove_file(&path).unwrap();
        fs::write(&path, "precious").unwrap();
        let error = ControlSocket::bind(&path, None, 8).unwrap_err();
        assert!(matches!(error, BindError::NotASocket { .. }), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    }
}
