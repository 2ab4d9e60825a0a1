//! Finds the daemon that a command means.
//!
//! In this order: the daemon that the command line names (`--socket`, `--host` or `--context`), the one that the
//! environment names (`NBAPPS_SOCKET`, `NBAPPS_HOST` or `NBAPPS_CONTEXT`), the one of the current context, the
//! running daemon of this user, the system's daemon where this user may use it, and else the user's default
//! socket, where a daemon may be started.
//!
//! The context `local` is built in: it is this machine's daemon, the last three of these.
//!
//! The user's daemon is found by its data directory, which it keeps locked ([`RunningDaemon`]). So a session
//! without `XDG_RUNTIME_DIR`, such as one of cron, finds the daemon that a login started.

use std::env;
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use socket2::{Domain, SockAddr, Socket, Type};

use super::address::{Address, InvalidAddress, SshHost};
use super::contexts::{ContextName, Contexts, ContextsError, InvalidContextName};
use super::paths;
use crate::protocol::RunningDaemon;

/// The variable that names a control socket.
const SOCKET_VARIABLE: &str = "NBAPPS_SOCKET";

/// The variable that names another machine.
const HOST_VARIABLE: &str = "NBAPPS_HOST";

/// The variable that names a context.
const CONTEXT_VARIABLE: &str = "NBAPPS_CONTEXT";

/// A daemon, and why it was chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Where it answers.
    pub address: Address,
    /// Why it was chosen.
    pub reason: Reason,
    /// The context by which it was chosen, `local` included.
    pub context: Option<ChosenContext>,
}

impl Target {
    /// A daemon that no context names.
    #[must_use]
    pub fn new(address: Address, reason: Reason) -> Self {
        Self { address, reason, context: None }
    }

    /// Why it was chosen, as a part of a sentence.
    #[must_use]
    pub fn because(&self) -> String {
        match (&self.context, &self.reason) {
            (None, reason) => reason.to_string(),
            (Some(context), Reason::Context) => context.to_string(),
            (Some(context), reason) => format!("{context}, and there {reason}"),
        }
    }

    /// The context that gives it its place; not `local`, whose daemons are found as without a context.
    #[must_use]
    pub fn naming_context(&self) -> Option<&ChosenContext> {
        self.context.as_ref().filter(|_| self.reason == Reason::Context)
    }
}

/// A context that was chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChosenContext {
    /// Its name.
    pub name: ContextName,
    /// What chose it.
    pub by: ContextChoice,
}

impl fmt::Display for ChosenContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, by } = self;
        match by {
            ContextChoice::Option => write!(f, "the context \"{name}\", which the option --context names"),
            ContextChoice::Variable => {
                write!(f, "the context \"{name}\", which {CONTEXT_VARIABLE} in the environment names")
            }
            ContextChoice::Current => write!(f, "the current context, \"{name}\""),
        }
    }
}

/// What chose a context.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContextChoice {
    /// The option of the command line.
    Option,
    /// The variable of the environment.
    Variable,
    /// It is the current one.
    Current,
}

/// Why a daemon was chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// An option of the command line names it.
    Option(&'static str),
    /// A variable of the environment names it.
    Variable(&'static str),
    /// A context names it.
    Context,
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
            Self::Context => "context",
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
            Self::Context => f.write_str("named by a context"),
            Self::DataDirectory(directory) => {
                write!(f, "this user's daemon, which runs on {}", directory.display())
            }
            Self::DefaultSocket => f.write_str("this user's daemon, which answers at the default socket"),
            Self::System => f.write_str("the system's daemon, which this user may use and has none beside"),
            Self::NoneRunning { .. } => f.write_str("this user's default socket, where no daemon answers"),
        }
    }
}

/// Why it is not clear which daemon is meant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DiscoveryError {
    /// The command line names two daemons.
    #[error("the option {0} cannot be used with {1}: both name a daemon")]
    TwoOptions(&'static str, &'static str),
    /// The environment names two daemons.
    #[error("{0} and {1} are both set, and name two daemons")]
    TwoVariables(&'static str, &'static str),
    /// The host in the environment is invalid.
    #[error("{HOST_VARIABLE}: {0}")]
    Host(InvalidAddress),
    /// The context in the environment is invalid.
    #[error("{CONTEXT_VARIABLE}: {0}")]
    ContextName(InvalidContextName),
    /// There is no such context.
    #[error("there is no context \"{0}\"")]
    NoContext(ContextName),
    /// The contexts cannot be read.
    #[error(transparent)]
    Contexts(#[from] ContextsError),
}

impl DiscoveryError {
    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::TwoOptions(..) => "give one of them".to_owned(),
            Self::TwoVariables(..) => {
                "unset one of them, or name the daemon with --socket, --host or --context".to_owned()
            }
            Self::Host(_) | Self::ContextName(_) => {
                "correct it or unset it; --socket, --host and --context override it".to_owned()
            }
            Self::NoContext(_) => "list the contexts with: nbapps context list".to_owned(),
            Self::Contexts(error) => error.hint(),
        }
    }
}

/// What the command line, the environment or the current context names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Designation {
    /// One daemon.
    One(Target),
    /// The daemon of this machine, whichever runs; and the context `local`, where that was chosen.
    Here(Option<ChosenContext>),
}

impl Designation {
    /// What a context designates.
    ///
    /// # Errors
    /// When there is no such context, or the contexts cannot be read.
    pub fn of_context(name: ContextName, by: ContextChoice) -> Result<Self, DiscoveryError> {
        if name.is_local() {
            return Ok(Self::Here(Some(ChosenContext { name, by })));
        }
        Self::among(&Contexts::load()?, name, by)
    }

    fn among(contexts: &Contexts, name: ContextName, by: ContextChoice) -> Result<Self, DiscoveryError> {
        match contexts.get(&name).cloned() {
            Some(address) => {
                let context = Some(ChosenContext { name, by });
                Ok(Self::One(Target { address, reason: Reason::Context, context }))
            }
            None => Err(DiscoveryError::NoContext(name)),
        }
    }

    /// What the environment designates, else the current context, else the daemon of this machine.
    ///
    /// # Errors
    /// When the environment names two daemons or something that is none, or when the contexts cannot be read.
    pub fn of_environment() -> Result<Self, DiscoveryError> {
        Self::of_variables(env::var_os, Contexts::load)
    }

    fn of_variables(
        variable: impl Fn(&'static str) -> Option<OsString>,
        contexts: impl FnOnce() -> Result<Contexts, ContextsError>,
    ) -> Result<Self, DiscoveryError> {
        let named = [SOCKET_VARIABLE, HOST_VARIABLE, CONTEXT_VARIABLE]
            .into_iter()
            .filter_map(|name| Some((name, variable(name).filter(|value| !value.is_empty())?)));
        let named: Vec<_> = named.collect();
        let text = |value: &OsString| value.to_string_lossy().into_owned();
        match named.as_slice() {
            [(one, _), (other, _), ..] => Err(DiscoveryError::TwoVariables(one, other)),
            [(SOCKET_VARIABLE, path)] => Ok(Self::One(named_socket(path.into()))),
            [(HOST_VARIABLE, host)] => {
                let address = text(host).parse().map_err(DiscoveryError::Host)?;
                Ok(Self::One(Target::new(address, Reason::Variable(HOST_VARIABLE))))
            }
            [(_, context)] => {
                let name: ContextName = text(context).parse().map_err(DiscoveryError::ContextName)?;
                match name.is_local() {
                    true => Ok(Self::Here(Some(ChosenContext { name, by: ContextChoice::Variable }))),
                    false => Self::among(&contexts()?, name, ContextChoice::Variable),
                }
            }
            [] => {
                let contexts = contexts()?;
                match contexts.current().cloned() {
                    Some(current) => Self::among(&contexts, current, ContextChoice::Current),
                    None => Ok(Self::Here(None)),
                }
            }
        }
    }

    /// The daemon; this machine's is looked for.
    #[must_use]
    pub fn find(self) -> Target {
        match self {
            Self::One(target) => target,
            Self::Here(context) => Target { context, ..find_running() },
        }
    }

    /// The machine, where it is another one.
    #[must_use]
    pub fn other_machine(&self) -> Option<&SshHost> {
        match self {
            Self::One(Target { address: Address::Ssh(host), .. }) => Some(host),
            _ => None,
        }
    }

    /// The context that gives the daemon its place; not `local`.
    #[must_use]
    pub fn naming_context(&self) -> Option<&ChosenContext> {
        match self {
            Self::One(target) => target.naming_context(),
            Self::Here(_) => None,
        }
    }
}

/// The context that the environment names.
///
/// # Errors
/// When it is not the name of one.
pub fn named_context() -> Result<Option<ContextName>, InvalidContextName> {
    let value = env::var_os(CONTEXT_VARIABLE).filter(|value| !value.is_empty());
    value.map(|value| value.to_string_lossy().parse()).transpose()
}

/// The variable that goes before the current context, if one is set.
#[must_use]
pub fn overriding_variable() -> Option<&'static str> {
    [SOCKET_VARIABLE, HOST_VARIABLE, CONTEXT_VARIABLE]
        .into_iter()
        .find(|name| env::var_os(name).is_some_and(|value| !value.is_empty()))
}

/// The daemon that a command means which names none itself.
///
/// # Errors
/// As [`Designation::of_environment`].
pub fn find() -> Result<Target, DiscoveryError> {
    Designation::of_environment().map(Designation::find)
}

/// The daemon that connections from other machines are for: that of `NBAPPS_SOCKET`, else the running one. What
/// names other machines does not count, nor do the contexts of the user there: a host is always the same daemon.
#[must_use]
pub fn find_here() -> Target {
    match env::var_os(SOCKET_VARIABLE).filter(|value| !value.is_empty()) {
        Some(socket) => named_socket(socket.into()),
        None => find_running(),
    }
}

fn named_socket(path: PathBuf) -> Target {
    Target::new(Address::Socket(path), Reason::Variable(SOCKET_VARIABLE))
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
            return Target::new(Address::Socket(socket), Reason::DataDirectory(self.data_directory));
        }
        let reason = match (probe(&self.socket), self.socket == self.system) {
            (Probe::Listening, _) => Reason::DefaultSocket,
            (Probe::Denied | Probe::Absent, true) => Reason::NoneRunning { denied: None },
            (Probe::Denied | Probe::Absent, false) => match probe(&self.system) {
                Probe::Listening => {
                    return Target::new(Address::Socket(self.system), Reason::System);
                }
                Probe::Denied => Reason::NoneRunning { denied: Some(self.system) },
                Probe::Absent => Reason::NoneRunning { denied: None },
            },
        };
        Target::new(Address::Socket(self.socket), reason)
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
        let target = |name: &str, reason| Target::new(Address::Socket(at(name)), reason);
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
    fn the_environment_goes_before_the_current_context() {
        let name = |text: &str| text.parse::<ContextName>().unwrap();
        let far: Address = "ssh://ops@server".parse().unwrap();
        let mut contexts = Contexts::default();
        contexts.set(name("prod"), far.clone());
        contexts.set(name("test"), Address::Socket("/t".into()));
        contexts.select(&name("prod"));
        let named = |variables: &[(&str, &str)]| {
            let value = |wanted: &str| variables.iter().find(|(name, _)| *name == wanted);
            Designation::of_variables(
                |wanted| value(wanted).map(|(_, value)| OsString::from(value)),
                || Ok(contexts.clone()),
            )
        };
        let chosen = |address: &Address, context: &str, by| {
            let context = Some(ChosenContext { name: name(context), by });
            Ok(Designation::One(Target { address: address.clone(), reason: Reason::Context, context }))
        };
        assert_eq!(named(&[]), chosen(&far, "prod", ContextChoice::Current));
        assert_eq!(named(&[("NBAPPS_SOCKET", "")]), chosen(&far, "prod", ContextChoice::Current));
        let socket = Target::new(Address::Socket("/s".into()), Reason::Variable("NBAPPS_SOCKET"));
        assert_eq!(named(&[("NBAPPS_SOCKET", "/s")]), Ok(Designation::One(socket)));
        let host = Target::new("ssh://x".parse().unwrap(), Reason::Variable("NBAPPS_HOST"));
        assert_eq!(named(&[("NBAPPS_HOST", "ssh://x")]), Ok(Designation::One(host)));
        let test = Address::Socket("/t".into());
        assert_eq!(named(&[("NBAPPS_CONTEXT", "test")]), chosen(&test, "test", ContextChoice::Variable));
        let local = ChosenContext { name: name("local"), by: ContextChoice::Variable };
        assert_eq!(named(&[("NBAPPS_CONTEXT", "local")]), Ok(Designation::Here(Some(local))));
        for (variables, says) in [
            (&[("NBAPPS_SOCKET", "/s"), ("NBAPPS_HOST", "ssh://x")][..], "NBAPPS_SOCKET and NBAPPS_HOST are"),
            (&[("NBAPPS_CONTEXT", "test"), ("NBAPPS_HOST", "ssh://x")], "NBAPPS_HOST and NBAPPS_CONTEXT are"),
            (&[("NBAPPS_HOST", "x")], "NBAPPS_HOST: \"x\" is not a host"),
            (&[("NBAPPS_CONTEXT", "a b")], "NBAPPS_CONTEXT: \"a b\" is not the name"),
            (&[("NBAPPS_CONTEXT", "nosuch")], "there is no context \"nosuch\""),
        ] {
            let error = named(variables).unwrap_err();
            assert!(error.to_string().starts_with(says) && !error.hint().is_empty(), "{error}");
        }
        contexts.select(&ContextName::local());
        let none = Designation::of_variables(|_| None, || Ok(contexts.clone()));
        assert_eq!(none, Ok(Designation::Here(None)));
        let broken = Designation::of_variables(|_| None, || Err(ContextsError::NoDirectory));
        assert_eq!(broken, Err(DiscoveryError::Contexts(ContextsError::NoDirectory)));
    }

    #[test]
    fn why_a_daemon_was_chosen_is_a_part_of_a_sentence() {
        let context = |name: &str, by| Some(ChosenContext { name: name.parse().unwrap(), by });
        let target = |reason, context| Target { address: Address::Socket("/s".into()), reason, context };
        for (target, expected) in [
            (target(Reason::Option("--host"), None), "named by the option --host"),
            (
                target(Reason::Context, context("prod", ContextChoice::Current)),
                "the current context, \"prod\"",
            ),
            (
                target(Reason::Context, context("prod", ContextChoice::Option)),
                "the context \"prod\", which the option --context names",
            ),
            (
                target(Reason::DefaultSocket, context("local", ContextChoice::Variable)),
                "the context \"local\", which NBAPPS_CONTEXT in the environment names, and there this user's daemon, \
                 which answers at the default socket",
            ),
        ] {
            assert_eq!(target.because(), expected);
        }
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
