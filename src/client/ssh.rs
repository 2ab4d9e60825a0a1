//! The program whose pipes are a connection: mostly `ssh`. Explains why no daemon answered through it.

use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::task::JoinHandle;

use super::address::SshHost;
use super::error::ClientError;

/// How long a program whose output has ended may take to end itself.
const ENDING_TIMEOUT: Duration = Duration::from_secs(2);

/// How long its standard error may stay open after its end: a master of shared connections keeps it.
const LAST_WORDS_TIMEOUT: Duration = Duration::from_millis(200);

/// How much of its standard error is remembered, in bytes.
const MAX_WORDS: usize = 16 * 1024;

/// The status with which a shell reports that it did not find a program.
const NOT_FOUND: i32 = 127;

/// The status with which a shell reports that it cannot run a program.
const NOT_EXECUTABLE: i32 = 126;

/// The status with which `ssh` reports an error of its own.
const SSH_FAILED: i32 = 255;

/// The program behind a connection. It is killed when this is dropped.
#[derive(Debug)]
pub(super) struct Pipe {
    program: String,
    /// Where `ssh` connects to, when the program is `ssh`.
    host: Option<SshHost>,
    running: tokio::sync::Mutex<Running>,
    words: Arc<Mutex<Vec<u8>>>,
}

#[derive(Debug)]
struct Running {
    child: Child,
    /// Copies standard error; `None` once it has ended.
    errors: Option<JoinHandle<()>>,
}

/// How the program ended.
#[derive(Debug, Clone, Copy)]
enum Ending {
    Running,
    Signal(i32),
    Code(i32),
}

impl Pipe {
    /// Starts the program. Its standard error goes to this process's, too.
    pub(super) fn open(
        mut command: Command,
        address: &str,
        host: Option<SshHost>,
    ) -> Result<(Self, ChildStdin, ChildStdout), ClientError> {
        let program = command.as_std().get_program().to_string_lossy().into_owned();
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().map_err(|error| ClientError::Program {
            address: address.to_owned(),
            why: format!("cannot run {program}: {error}"),
            hint: format!("install {program}, and check the PATH of this shell"),
        })?;
        let (Some(input), Some(output), Some(errors)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(ClientError::unreachable(address, std::io::Error::other("no pipes to the program")));
        };
        let words = Arc::default();
        let copying = tokio::spawn(copy_errors(errors, Arc::clone(&words)));
        let running = tokio::sync::Mutex::new(Running { child, errors: Some(copying) });
        Ok((Self { program, host, running, words }, input, output))
    }

    /// Waits, not for long, until the program has ended and everything that it said was read.
    async fn ending(&self) -> Ending {
        let mut running = self.running.lock().await;
        let Ok(Ok(status)) = tokio::time::timeout(ENDING_TIMEOUT, running.child.wait()).await else {
            return Ending::Running;
        };
        if let Some(errors) = running.errors.take() {
            let _ = tokio::time::timeout(LAST_WORDS_TIMEOUT, errors).await;
        }
        Ending::of(status)
    }

    /// Why a connection that was greeted has ended, when it is the program that ended.
    pub(super) async fn why_lost(&self) -> Option<String> {
        match self.ending().await {
            Ending::Running | Ending::Code(0) => None,
            ending => Some(format!("{} {ending}", self.program)),
        }
    }

    /// The error when no daemon has answered. `noise` is the line that was none of the protocol.
    pub(super) async fn failure(&self, address: String, noise: Option<String>) -> ClientError {
        let ending = match &noise {
            // Where the program did not end by itself, nothing more is to be learned from it.
            Some(_) => Ending::Running,
            None => self.ending().await,
        };
        let words = String::from_utf8_lossy(&self.words.lock()).into_owned();
        let (why, hint) = match (&self.host, noise) {
            (Some(host), Some(noise)) => noisy(host, &noise),
            (Some(host), None) => explain(host, ending, &words),
            (None, Some(noise)) => {
                (format!("what {} printed is not the control protocol: {noise:?}", self.program), None)
            }
            (None, None) => (format!("{} ended before a daemon answered", self.program), None),
        };
        let hint = hint.unwrap_or_else(|| format!("run it by hand to see what it does: {}", self.program));
        ClientError::Program { address, why, hint }
    }
}

impl Ending {
    fn of(status: ExitStatus) -> Self {
        use std::os::unix::process::ExitStatusExt as _;
        match (status.code(), status.signal()) {
            (Some(code), _) => Self::Code(code),
            (None, Some(signal)) => Self::Signal(signal),
            (None, None) => Self::Running,
        }
    }
}

impl std::fmt::Display for Ending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Running => f.write_str("closed its output"),
            Self::Signal(signal) => write!(f, "was killed by signal {signal}"),
            Self::Code(code) => write!(f, "ended with exit status {code}"),
        }
    }
}

/// Copies the program's standard error to this process's, and remembers its beginning.
async fn copy_errors(mut errors: ChildStderr, words: Arc<Mutex<Vec<u8>>>) {
    let mut own = tokio::io::stderr();
    let mut chunk = vec![0; 4096];
    while let Ok(length @ 1..) = errors.read(&mut chunk).await {
        let new = &chunk[..length];
        {
            let mut words = words.lock();
            let room = MAX_WORDS.saturating_sub(words.len());
            words.extend_from_slice(&new[..new.len().min(room)]);
        }
        // When standard error is closed, nobody can be told.
        let _ = own.write_all(new).await;
        let _ = own.flush().await;
    }
}

/// The login shell printed something before the daemon's answer.
fn noisy(host: &SshHost, noise: &str) -> (String, Option<String>) {
    (
        format!("the login shell there printed {noise:?} on standard output, before the daemon's answer"),
        Some(format!(
            "let the shell's start-up files print only at a terminal: in ~/.bashrc there, put above the line that \
             prints: [[ $- == *i* ]] || return; nothing may come of: {} true",
            host.command_line()
        )),
    )
}

/// Why no daemon answered through `ssh`, and what to do.
fn explain(host: &SshHost, ending: Ending, words: &str) -> (String, Option<String>) {
    let login = host.command_line();
    let (why, hint) = match ending {
        Ending::Signal(signal) => (
            format!("ssh was killed by signal {signal} before a daemon answered"),
            "nothing was begun; run the command again".to_owned(),
        ),
        Ending::Code(SSH_FAILED) => return ssh_failed(host, words),
        Ending::Code(NOT_FOUND) => not_found(host),
        Ending::Code(1) if words.contains("nbapps") && words.to_lowercase().contains("not found") => {
            not_found(host)
        }
        Ending::Code(NOT_EXECUTABLE) => (
            "nbapps cannot be run there".to_owned(),
            format!(
                "see which file it is, and whether this user may run it: {login} 'ls -l $(command -v nbapps)'"
            ),
        ),
        Ending::Code(2) if words.contains("dial-stdio") => (
            "nbapps there is of a version that does not know this connection".to_owned(),
            format!("install the same version there; see: {login} nbapps --version; nbapps --version"),
        ),
        Ending::Code(_) | Ending::Running => (
            format!("ssh {ending} before a daemon answered"),
            format!("see what it says: {login} nbapps daemon status"),
        ),
    };
    (why, Some(hint))
}

fn not_found(host: &SshHost) -> (String, String) {
    (
        "nbapps was not found there".to_owned(),
        format!(
            "install nbapps there in a directory that commands over ssh search, such as /usr/local/bin; those are: \
             {} 'echo $PATH'",
            host.command_line()
        ),
    )
}

/// Why `ssh` itself failed, by what it said. OpenSSH does not translate its messages.
fn ssh_failed(host: &SshHost, words: &str) -> (String, Option<String>) {
    let login = host.command_line();
    let has = |part: &str| words.contains(part);
    let (why, hint) = if has("REMOTE HOST IDENTIFICATION HAS CHANGED") {
        // ssh names the file in which the old key is.
        let forget = words
            .lines()
            .map(str::trim)
            .find(|line| line.starts_with("ssh-keygen ") && line.contains(" -R "));
        let known = super::shell::word(host.known_name().as_bytes());
        let forget = forget.map_or_else(|| format!("ssh-keygen -R {known}"), str::to_owned);
        (
            "its host key is not the one that this machine knows",
            format!(
                "either it was installed anew or somebody is in between: ask who runs it for its new key, then \
                 forget the old one: {forget}; and compare when you accept the new one: {login} true"
            ),
        )
    } else if has("Host key verification failed") {
        (
            "its host key is not known on this machine",
            format!("connect once by hand, compare the fingerprint, and accept it: {login} true"),
        )
    } else if has("Permission denied") {
        (
            "it did not let this user in",
            format!("check the user name and the key: {login} true; a key is installed with ssh-copy-id"),
        )
    } else if has("Could not resolve hostname") {
        ("there is no machine of this name", "check the name of the host".to_owned())
    } else if ["Connection refused", "timed out", "No route to host", "unreachable"].into_iter().any(has) {
        (
            "it does not accept connections of ssh",
            format!("check that it runs, its port, and firewalls in between: {login} true"),
        )
    } else {
        ("ssh failed", format!("see what it says: {login} true"))
    };
    (why.to_owned(), Some(hint))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Address;

    #[test]
    fn each_failure_says_what_to_do() {
        let Address::Ssh(host) = "ssh://ops@server:2222".parse().unwrap() else { panic!("no host") };
        for (ending, words, expected_why, expected_hint) in [
            (Ending::Signal(9), "", "killed by signal 9", "run the command again"),
            (Ending::Code(127), "bash: line 1: nbapps: command not found", "not found there", "'echo $PATH'"),
            (Ending::Code(1), "nbapps: Command not found.", "not found there", "/usr/local/bin"),
            (Ending::Code(126), "", "cannot be run", "ls -l"),
            (Ending::Code(2), "error: unrecognized subcommand 'dial-stdio'", "version", "--version"),
            (Ending::Code(3), "x", "exit status 3", "nbapps daemon status"),
            (
                Ending::Code(255),
                "@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\n  ssh-keygen -f '/k h' -R '[server]:2222'\nHost key verification failed.",
                "host key",
                "ssh-keygen -f '/k h' -R '[server]:2222'",
            ),
            (
                Ending::Code(255),
                "REMOTE HOST IDENTIFICATION HAS CHANGED!",
                "host key",
                "ssh-keygen -R '[server]:2222'",
            ),
            (Ending::Code(255), "Host key verification failed.", "not known", "ssh -p 2222 ops@server true"),
            (
                Ending::Code(255),
                "ops@server: Permission denied (publickey).",
                "let this user in",
                "ssh-copy-id",
            ),
            (Ending::Code(255), "ssh: Could not resolve hostname server", "no machine", "name"),
            (Ending::Code(255), "ssh: connect to host server port 22: Connection refused", "accept", "port"),
            (Ending::Code(255), "kex_exchange_identification", "ssh failed", "ssh -p 2222 ops@server true"),
        ] {
            let (why, hint) = explain(&host, ending, words);
            let hint = hint.unwrap();
            assert!(why.contains(expected_why) && hint.contains(expected_hint), "{words}: {why}; {hint}");
        }
        let (why, hint) = noisy(&host, "Welcome");
        assert!(why.contains("\"Welcome\"") && hint.unwrap().contains("~/.bashrc"), "{why}");
    }
}
