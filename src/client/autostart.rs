//! Starts a daemon when none answers, and waits until it is ready.
//!
//! The daemon reports that it is ready as services of systemd do (`sd_notify(3)`): it sends `READY=1` to the
//! datagram socket that `NOTIFY_SOCKET` names. So no time has to be guessed, and a daemon that does not
//! start is noticed at once, with the last lines of its output.
//!
//! Several commands at a time start one daemon: each locks a file, checks again whether a daemon answers,
//! and only then starts one. A daemon that was started in another way meanwhile has locked the data
//! directory; the new one refuses to start, and the command uses the other.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::net::UnixDatagram;
use tokio::process::{Child, Command};
use tokio::time::Instant;

use super::{Address, Client, ClientError, paths, shell};
use crate::protocol::RunningDaemon;

/// How many of the last lines of a failed daemon are shown.
const MAX_LAST_LINES: usize = 8;

/// How long to wait for the daemon that kept the new one from starting.
const OTHER_DAEMON_TIMEOUT: Duration = Duration::from_secs(2);

/// How to start a daemon.
#[derive(Debug, Clone)]
pub struct Launch {
    /// The program.
    pub program: PathBuf,
    /// Its control socket.
    pub socket: PathBuf,
    /// Its data directory, where its output goes, too.
    pub data_directory: PathBuf,
    /// Whether a daemon that runs on the data directory is used whatever its socket is.
    pub join_running: bool,
    /// Its further arguments.
    pub arguments: Vec<OsString>,
    /// Its working directory; the caller's when absent.
    pub working_directory: Option<PathBuf>,
    /// How long everything may take: finding that no daemon answers, waiting for other commands that start one,
    /// and waiting until it is ready.
    pub patience: Duration,
}

/// A daemon that was started for this call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartedDaemon {
    /// Its process ID.
    pub pid: u32,
    /// The file with its output.
    pub log: PathBuf,
}

/// Why no daemon could be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The program was not found.
    #[error("nbappsd was not found, neither beside {} nor in PATH", beside.display())]
    NoProgram {
        /// The program that it belongs beside.
        beside: PathBuf,
    },
    /// A step before the start failed.
    #[error("cannot start a daemon: {what} {} failed: {error}", path.display())]
    Prepare {
        /// The operation.
        what: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What went wrong.
        error: io::Error,
    },
    /// The daemon ended before it was ready.
    #[error("the daemon did not start ({status})\n{last_words}")]
    Ended {
        /// Its exit status.
        status: std::process::ExitStatus,
        /// The last lines of its output.
        last_words: String,
        /// The file with its output.
        log: PathBuf,
    },
    /// The daemon is running and was not ready in time.
    #[error("the daemon (process {pid}) was not ready after {} s", patience.as_secs())]
    NotReady {
        /// Its process ID.
        pid: u32,
        /// How long the command waited.
        patience: Duration,
        /// The file with its output.
        log: PathBuf,
    },
    /// Another command is starting a daemon, and has not finished in time.
    #[error("another command holds {} to start a daemon, and has not released it within {} s", lock.display(), patience.as_secs())]
    Occupied {
        /// The lock file.
        lock: PathBuf,
        /// How long the command waited.
        patience: Duration,
    },
    /// A daemon is running and cannot be used.
    #[error(transparent)]
    Client(#[from] ClientError),
}

impl StartError {
    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoProgram { .. } => Some("install nbappsd beside nbapps".to_owned()),
            Self::Prepare { .. } => Some(
                "check who owns it and what is in its place, or choose another directory with NBAPPS_DATA_DIR"
                    .to_owned(),
            ),
            Self::Ended { log, .. } | Self::NotReady { log, .. } => {
                Some(format!("the daemon's log is {}", log.display()))
            }
            Self::Occupied { lock, .. } => {
                let lock = shell::word(lock.as_os_str().as_encoded_bytes());
                Some(format!("see which process holds it with: fuser {lock}"))
            }
            Self::Client(error) => error.hint(),
        }
    }
}

/// Finds `nbappsd`: beside the current program, else in `PATH`.
///
/// # Errors
/// [`StartError::NoProgram`] when it is in neither place.
pub fn find_daemon() -> Result<PathBuf, StartError> {
    let own = std::env::current_exe().and_then(fs::canonicalize).unwrap_or_default();
    let beside = own.parent().map(|directory| directory.join("nbappsd"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let candidates =
        beside.into_iter().chain(std::env::split_paths(&path).map(|directory| directory.join("nbappsd")));
    candidates.into_iter().find(|candidate| candidate.is_file()).ok_or(StartError::NoProgram { beside: own })
}

impl Launch {
    /// How to start the daemon of this user's default socket.
    ///
    /// # Errors
    /// [`StartError::NoProgram`] when there is no `nbappsd`.
    pub fn at_default_socket() -> Result<Self, StartError> {
        // The daemon has another working directory, so relative paths are resolved here.
        let data_directory = paths::data_directory();
        let arguments = match data_directory == paths::default_data_directory() {
            true => Vec::new(),
            false => vec![OsString::from("--data-dir"), data_directory.clone().into()],
        };
        Ok(Self {
            program: find_daemon()?,
            socket: paths::default_socket(),
            working_directory: Some(data_directory.clone()),
            data_directory,
            join_running: true,
            arguments,
            patience: Duration::from_secs(60),
        })
    }

    /// The address of the daemon that runs on the data directory, else the one that a new daemon gets.
    fn address(&self) -> Address {
        let running = self.join_running.then(|| RunningDaemon::socket(&self.data_directory)).flatten();
        Address::Socket(running.unwrap_or_else(|| self.socket.clone()))
    }

    /// Connects to the daemon, and starts it when none answers. Returns the daemon that was started, if any.
    ///
    /// # Errors
    /// [`StartError::Client`] when a daemon is running and cannot be used; the others when none is running and
    /// none could be started.
    pub async fn connect(&self) -> Result<(Client, Option<StartedDaemon>), StartError> {
        let begun = Instant::now();
        let remaining = || self.patience.saturating_sub(begun.elapsed());
        match Client::connect_within(&self.address(), remaining()).await {
            Err(error) if error.is_absent() => {}
            other => return Ok((other?, None)),
        }
        let _lock = self.lock(remaining()).await?;
        match Client::connect_within(&self.address(), remaining()).await {
            Err(error) if error.is_absent() => {}
            other => return Ok((other?, None)),
        }
        let log = self.data_directory.join("nbappsd.log");
        let (mut child, pid, readiness, begin) = self.spawn(&log)?;
        match readiness.wait(&mut child, remaining()).await {
            Outcome::Ready => {
                let client = Client::connect_within(&self.address(), remaining()).await?;
                Ok((client, Some(StartedDaemon { pid, log })))
            }
            Outcome::TimedOut => Err(StartError::NotReady { pid, patience: self.patience, log }),
            Outcome::Ended(status) => match self.other_daemon(remaining().min(OTHER_DAEMON_TIMEOUT)).await {
                Some(client) => Ok((client, None)),
                None => Err(StartError::Ended { status, last_words: last_lines(&log, begin), log }),
            },
        }
    }

    /// Creates the data directory and waits for the lock file.
    async fn lock(&self, patience: Duration) -> Result<File, StartError> {
        let directory = self.data_directory.clone();
        let path = directory.join("autostart.lock");
        let failed = |what, path: &Path| {
            let path = path.to_owned();
            move |error| StartError::Prepare { what, path, error }
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&directory)
            .map_err(failed("making", &directory))?;
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&path)
            .map_err(failed("opening", &path))?;
        // The wait cannot be cancelled; its thread ends with the process.
        let locking = tokio::task::spawn_blocking(move || file.lock().map(|()| file));
        let Ok(locked) = tokio::time::timeout(patience, locking).await else {
            return Err(StartError::Occupied { lock: path, patience: self.patience });
        };
        locked.unwrap_or_else(|error| Err(io::Error::other(error))).map_err(failed("locking", &path))
    }

    /// Starts the process in a process group of its own, so that the terminal's signals do not reach it. Returns
    /// the offset in the log at which its output begins.
    fn spawn(&self, log: &Path) -> Result<(Child, u32, Readiness, u64), StartError> {
        let failed = |what, path: &Path| {
            let path = path.to_owned();
            move |error| StartError::Prepare { what, path, error }
        };
        let output = OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(log)
            .map_err(failed("opening", log))?;
        let begin = output.metadata().map_or(0, |metadata| metadata.len());
        let errors = output.try_clone().map_err(failed("opening", log))?;
        let readiness =
            Readiness::new().map_err(failed("making a notification socket in", &std::env::temp_dir()))?;
        let mut command = Command::new(&self.program);
        command
            .arg("--socket")
            .arg(&self.socket)
            .args(&self.arguments)
            .env("NOTIFY_SOCKET", readiness.path())
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .process_group(0);
        if let Some(directory) = &self.working_directory {
            command.current_dir(directory);
        }
        let child = command.spawn().map_err(failed("running", &self.program))?;
        // A process that was not waited for has an ID.
        let pid = child.id().unwrap_or_default();
        Ok((child, pid, readiness, begin))
    }
    /// Connects to the daemon that kept the new one from starting; it may be starting itself.
    async fn other_daemon(&self, patience: Duration) -> Option<Client> {
        let deadline = Instant::now() + patience;
        loop {
            let remaining = deadline.saturating_duration_since(Instant::now());
            match Client::connect_within(&self.address(), remaining).await {
                Ok(client) => return Some(client),
                Err(error) if error.is_absent() && Instant::now() < deadline => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                Err(_) => return None,
            }
        }
    }
}

/// How the wait for a daemon ended.
#[derive(Debug)]
enum Outcome {
    Ready,
    Ended(std::process::ExitStatus),
    TimedOut,
}

/// The socket that a daemon sends `READY=1` to, in a directory that only this user can access.
#[derive(Debug)]
struct Readiness {
    directory: PathBuf,
    socket: UnixDatagram,
}

impl Readiness {
    fn new() -> io::Result<Self> {
        let name = format!("nbapps-{}-{:08x}", std::process::id(), rand::random::<u32>());
        let directory = std::env::temp_dir().join(name);
        DirBuilder::new().mode(0o700).create(&directory)?;
        match UnixDatagram::bind(directory.join("notify")) {
            Ok(socket) => Ok(Self { directory, socket }),
            Err(error) => {
                let _ = fs::remove_dir(&directory);
                Err(error)
            }
        }
    }

    fn path(&self) -> PathBuf {
        self.directory.join("notify")
    }

    async fn wait(&self, child: &mut Child, patience: Duration) -> Outcome {
        tokio::select! {
            ready = self.ready() => match ready {
                Ok(()) => Outcome::Ready,
                Err(_) => Outcome::TimedOut,
            },
            ended = child.wait() => ended.map_or(Outcome::TimedOut, Outcome::Ended),
            () = tokio::time::sleep(patience) => Outcome::TimedOut,
        }
    }

    async fn ready(&self) -> io::Result<()> {
        let mut message = [0; 4096];
        loop {
            let length = self.socket.recv(&mut message).await?;
            if message[..length].split(|byte| *byte == b'\n').any(|line| line == b"READY=1") {
                return Ok(());
            }
        }
    }
}

impl Drop for Readiness {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// The last lines of `log` from the offset `begin` on; plain lines rather than structured ones.
fn last_lines(log: &Path, begin: u64) -> String {
    let read = || -> io::Result<String> {
        let mut file = File::open(log)?;
        file.seek(SeekFrom::Start(begin))?;
        let mut bytes = Vec::new();
        file.take(1024 * 1024).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    let text = read().unwrap_or_default();
    let all: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let plain: Vec<&str> = all.iter().copied().filter(|line| !line.starts_with('{')).collect();
    let lines = if plain.is_empty() { all } else { plain };
    lines[lines.len().saturating_sub(MAX_LAST_LINES)..].join("\n")
}
