//! Finds the daemon that a command means.
//!
//! In this order: the daemon that the environment names (`NBAPPS_SOCKET` or `NBAPPS_HOST`), the running daemon
//! of this user, the system's daemon where this user may use it, and else the user's default socket, where a
//! daemon may be started.
//!
//! The user's daemon is found by its data directory, which it keeps locked ([`RunningDaemon`]). So a session
//! without `XDG_RUNTIME_DIR`, such as one of cron, finds the daemon that a login started.

use std::env;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use socket2::{Domain, SockAddr, Socket, Type};

use super::address::{Address, InvalidAddress};
use super::paths;
use crate::protocol::RunningDaemon;

/// The variable that names a control socket.
const SOCKET_VARIABLE: &str = "NBAPPS_SOCKET";

/// The variable that names another machine.
const HOST_VARIABLE: &str = "NBAPPS_HOST";

/// A daemon, and why it was chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Where it answers.
    pub address: Address,
    /// Why it was chosen.
    pub reason: Reason,
}

/// Why a daemon was chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// An option of the command line names it.
    Option(&'static str),
    /// A variable of the environment names it.
    Variable(&'static str),
    /// It runs on the data directory of this user.
    DataDirectory(PathBuf),
    /// It answers at the default socket of this user.
    DefaultSocket,
    /// It is the system's, no daemon of this user runs, and this user may use its socket.
    System,
    /// No daemon runs that this user may use.
    NoneRunning {
        /// The socket of the system's daemon, which this user may not use.
        denied: Option<PathBuf>,
    },
}

impl Reason {
    /// The reason as one word, for programs.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Option(_) => "option",
            Self::Variable(_) => "environment",
            Self::DataDirectory(_) => "data_directory",
            Self::DefaultSocket => "default_socket",
            Self::System => "system",
            Self::NoneRunning { .. } => "none_running",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Option(option) => write!(f, "named by the option {option}"),
            Self::Variable(variable) => write!(f, "named by {variable} in the environment"),
            Self::DataDirectory(directory) => {
                write!(f, "this user's daemon, which runs on {}", directory.display())
            }
            Self::DefaultSocket => f.write_str("this user's daemon, which answers at the default socket"),
            Self::System => f.write_str("the system's daemon, which this user may use and has none beside"),
            Self::NoneRunning { .. } => f.write_str("this user's default socket, where no daemon answers"),
        }
    }
}

/// The environment does not name one daemon.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidEnvironment {
    /// It names two.
    #[error("{SOCKET_VARIABLE} and {HOST_VARIABLE} are both set, and name two daemons")]
    Both,
    /// The host is invalid.
    #[error("{HOST_VARIABLE}: {0}")]
    Host(InvalidAddress),
}

/// The daemon that a command means which names none itself.
///
/// # Errors
/// When the environment names two daemons, or something that is none.
pub fn find() -> Result<Target, InvalidEnvironment> {
    let value = |name| env::var_os(name).filter(|value| !value.is_empty());
    let (socket, host) = (value(SOCKET_VARIABLE), value(HOST_VARIABLE));
    match (socket, host) {
        (Some(_), Some(_)) => Err(InvalidEnvironment::Both),
        (Some(socket), None) => Ok(named_socket(socket.into())),
        (None, Some(host)) => Ok(Target {
            address: host.to_string_lossy().parse().map_err(InvalidEnvironment::Host)?,
            reason: Reason::Variable(HOST_VARIABLE),
        }),
        (None, None) => Ok(find_running()),
    }
}

/// The daemon of this machine that a command means which names none itself: as [`find`], without
/// `NBAPPS_HOST`.
#[must_use]
pub fn find_here() -> Target {
    match env::var_os(SOCKET_VARIABLE).filter(|value| !value.is_empty()) {
        Some(socket) => named_socket(socket.into()),
        None => find_running(),
    }
}

fn named_socket(path: PathBuf) -> Target {
    Target { address: Address::Socket(path), reason: Reason::Variable(SOCKET_VARIABLE) }
}

/// The running daemon of this user, else the system's, else the default socket.
#[must_use]
pub fn find_running() -> Target {
    Places {
        data_directory: paths::data_directory(),
        socket: paths::default_socket(),
        system: paths::system_socket(),
    }
    .find()
}

/// Where a user's command looks.
#[derive(Debug)]
struct Places {
    data_directory: PathBuf,
    socket: PathBuf,
    system: PathBuf,
}

/// Whether a daemon listens on a socket.
#[derive(Debug, PartialEq, Eq)]
enum Probe {
    Listening,
    Denied,
    Absent,
}

impl Places {
    fn find(self) -> Target {
        // The lock says that the daemon runs; connecting is left to the caller.
        if let Some(socket) = RunningDaemon::socket(&self.data_directory) {
            return Target {
                address: Address::Socket(socket),
                reason: Reason::DataDirectory(self.data_directory),
            };
        }
        let reason = match (probe(&self.socket), self.socket == self.system) {
            (Probe::Listening, _) => Reason::DefaultSocket,
            (Probe::Denied | Probe::Absent, true) => Reason::NoneRunning { denied: None },
            (Probe::Denied | Probe::Absent, false) => match probe(&self.system) {
                Probe::Listening => {
                    return Target { address: Address::Socket(self.system), reason: Reason::System };
                }
                Probe::Denied => Reason::NoneRunning { denied: Some(self.system) },
                Probe::Absent => Reason::NoneRunning { denied: None },
            },
        };
        Target { address: Address::Socket(self.socket), reason }
    }
}

/// Connects without waiting: a daemon whose queue of connections is full does listen.
fn probe(path: &Path) -> Probe {
    let connect = || {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        socket.connect(&SockAddr::unix(path)?)
    };
    match connect().map_err(|error: io::Error| error.kind()) {
        Ok(()) | Err(io::ErrorKind::WouldBlock) => Probe::Listening,
        Err(io::ErrorKind::PermissionDenied) => Probe::Denied,
        Err(_) => Probe::Absent,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn the_users_daemon_goes_before_the_systems_and_that_before_a_new_one() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        std::fs::create_dir(at("data")).unwrap();
        let find = || Places { data_directory: at("data"), socket: at("own"), system: at("system") }.find();
        let target = |name: &str, reason| Target { address: Address::Socket(at(name)), reason };
        assert_eq!(find(), target("own", Reason::NoneRunning { denied: None }));
        let system = UnixListener::bind(at("system")).unwrap();
        assert_eq!(find(), target("system", Reason::System));
        let own = UnixListener::bind(at("own")).unwrap();
        assert_eq!(find(), target("own", Reason::DefaultSocket));
        let running = RunningDaemon::announce(&at("data"), &at("elsewhere")).unwrap();
        assert_eq!(find(), target("elsewhere", Reason::DataDirectory(at("data"))));
        // What daemons that were killed leave behind is passed over.
        drop((running, own));
        assert_eq!(find(), target("system", Reason::System));
        drop(system);
        assert_eq!(find(), target("own", Reason::NoneRunning { denied: None }));
    }

    #[test]
    fn a_daemon_that_accepts_nothing_is_there() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("full");
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        socket.bind(&SockAddr::unix(&path).unwrap()).unwrap();
        socket.listen(0).unwrap();
        let _waiting: Vec<_> = (0..4)
            .map(|_| {
                let client = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
                client.set_nonblocking(true).unwrap();
                let _ = client.connect(&SockAddr::unix(&path).unwrap());
                client
            })
            .collect();
        assert_eq!(probe(&path), Probe::Listening);
    }
}
