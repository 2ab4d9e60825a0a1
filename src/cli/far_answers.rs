//! The last answers of daemons on other machines, for completion.
//!
//! Tab cannot wait for `ssh`. Completion therefore offers what such a daemon answered last, and where that is not
//! fresh, a process in the background asks again (`nbapps daemon prefetch`): the next Tab knows it. That process
//! asks for no password and gives up soon, one asks at a time, and after a failure none does for a while, so that a
//! machine that refuses this user is not knocked at by every Tab. A command that changes something makes the answers
//! of its daemon stale.
//!
//! The answers are in files that only this user can read, in `$XDG_CACHE_HOME/nbapps/completion`, a directory for
//! each machine. They can be removed at any time.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, SystemTime};

use sha2::{Digest as _, Sha256};

use crate::client::{SshHost, paths};

/// How long an answer is not asked for again.
const FRESH: Duration = Duration::from_secs(10);

/// How long an answer is offered.
const MAX_AGE: Duration = Duration::from_secs(60 * 60);

/// How long nothing is asked after a failure.
const RETRY_INTERVAL: Duration = Duration::from_secs(60);

/// The longest answer that is kept, in bytes.
const MAX_ANSWER: usize = 8 * 1024 * 1024;

/// The most files of one machine: two for each answer.
const MAX_FILES: usize = 64;

/// The most machines.
const MAX_MACHINES: usize = 64;

/// The variable by which shells ask for completion: a process that has it would complete, too.
const COMPLETION_VARIABLE: &str = "NBAPPS_COMPLETE";

/// The answer of a machine's daemon to a request.
#[derive(Debug, Clone)]
pub(crate) struct FarAnswer {
    host: SshHost,
    method: &'static str,
    params: String,
    /// The directory of the machine.
    directory: PathBuf,
    /// The names of the files, without what tells them apart.
    name: String,
}

/// The right to ask for an answer, until this is dropped.
#[derive(Debug)]
pub(crate) struct Asking {
    answer: FarAnswer,
    /// Locked while a process asks; not empty when the last one has failed.
    mark: File,
}

/// Makes every answer of a machine's daemon stale. It is still offered while the daemon is asked again.
pub(crate) fn expire(host: &SshHost) {
    let Some(directory) = directory_of(host) else { return };
    let stale = SystemTime::now() - FRESH;
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if entry.path().extension().is_some_and(|kind| kind == "json") {
            // An answer that cannot be marked is stale soon.
            let _ = File::options().write(true).open(entry.path()).and_then(|file| file.set_modified(stale));
        }
    }
}

/// The directory with the answers of a machine's daemon.
fn directory_of(host: &SshHost) -> Option<PathBuf> {
    Some(paths::cache_directory()?.join("completion").join(digest(&[&host.to_string()])))
}

/// A file name for these texts.
fn digest(texts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for text in texts {
        hash.update(text);
        hash.update([0]);
    }
    hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

impl FarAnswer {
    /// The answer to a request, with its parameters as JSON; `None` where the environment names no place for it.
    pub(crate) fn of(host: &SshHost, method: &'static str, params: String) -> Option<Self> {
        Some(Self::in_directory(directory_of(host)?, host, method, params))
    }

    fn in_directory(directory: PathBuf, host: &SshHost, method: &'static str, params: String) -> Self {
        let name = digest(&[method, &params]);
        Self { host: host.clone(), method, params, directory, name }
    }

    fn file(&self, kind: &str) -> PathBuf {
        self.directory.join(format!("{}.{kind}", self.name))
    }

    /// The answer, if it is fresh.
    pub(crate) fn fresh(&self) -> Option<String> {
        self.younger_than(FRESH)
    }

    fn younger_than(&self, limit: Duration) -> Option<String> {
        let path = self.file("json");
        let modified = fs::metadata(&path).and_then(|file| file.modified()).ok()?;
        // One of the future is of another clock.
        let age = SystemTime::now().duration_since(modified).ok()?;
        if age < limit { fs::read_to_string(path).ok() } else { None }
    }

    /// The answer, however old within limits. A stale one is asked for again in the background; for a missing one
    /// that is waited for, at most for `patience`.
    pub(crate) fn any(&self, patience: Duration) -> Option<String> {
        if let Some(answer) = self.younger_than(MAX_AGE) {
            self.ask_in_background();
            return Some(answer);
        }
        let asked = self.ask_in_background()?;
        // Either way the answer is looked for.
        let _ = asked.recv_timeout(patience);
        self.younger_than(MAX_AGE)
    }

    /// Has a process ask, unless one does or the last one has just failed. The receiver hears of its end.
    fn ask_in_background(&self) -> Option<Receiver<()>> {
        if !self.may_be_asked_for() {
            return None;
        }
        let mut command = Command::new(std::env::current_exe().ok()?);
        command.args(["--host", &self.host.to_string(), "daemon", "prefetch", self.method, &self.params]);
        command.env_remove(COMPLETION_VARIABLE);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().ok()?;
        let (ended, receiver) = channel();
        std::thread::spawn(move || {
            let _ = child.wait();
            let _ = ended.send(());
        });
        Some(receiver)
    }

    fn may_be_asked_for(&self) -> bool {
        let Ok(mark) = File::open(self.file("asking")) else { return true };
        if mark.try_lock_shared().is_err() {
            return false;
        }
        let has_just_failed = || {
            let mark = mark.metadata().ok()?;
            let age = SystemTime::now().duration_since(mark.modified().ok()?).ok()?;
            Some(mark.len() > 0 && age < RETRY_INTERVAL)
        };
        !has_just_failed().unwrap_or(false)
    }

    /// Begins to ask; `None` when another process does.
    ///
    /// # Errors
    /// When the cache cannot be written.
    pub(crate) fn begin(self) -> io::Result<Option<Asking>> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.directory)?;
        let mark = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(self.file("asking"))?;
        Ok(mark.try_lock().is_ok().then_some(Asking { answer: self, mark }))
    }

    /// Keeps the answer, in a file that is replaced as a whole.
    pub(crate) fn keep(&self, answer: &str) -> io::Result<()> {
        if answer.len() > MAX_ANSWER {
            return Ok(());
        }
        DirBuilder::new().recursive(true).mode(0o700).create(&self.directory)?;
        // It is created with the mode 0600.
        let mut file = tempfile::Builder::new().prefix(".answer").tempfile_in(&self.directory)?;
        file.write_all(answer.as_bytes())?;
        file.persist(self.file("json")).map_err(|error| error.error)?;
        prune(&self.directory, MAX_FILES);
        if let Some(machines) = self.directory.parent() {
            prune(machines, MAX_MACHINES);
        }
        Ok(())
    }
}

impl Asking {
    /// Keeps the answer; `None` when there was none.
    ///
    /// # Errors
    /// When the cache cannot be written.
    pub(crate) fn end(mut self, answer: Option<&str>) -> io::Result<()> {
        self.mark.set_len(0)?;
        match answer {
            Some(answer) => self.answer.keep(answer),
            None => self.mark.write_all(b"failed\n"),
        }
    }
}

/// Removes the oldest entries of a directory beyond `most`.
fn prune(directory: &Path, most: usize) {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut entries: Vec<(SystemTime, PathBuf)> = entries
        .filter_map(|entry| Some((entry.metadata().and_then(|entry| entry.modified()).ok()?, entry.path())))
        .collect();
    let excess = entries.len().saturating_sub(most);
    entries.sort();
    for (_, path) in entries.into_iter().take(excess) {
        // Another process may have removed it.
        let _ = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::client::Address;

    fn host() -> SshHost {
        match "ssh://ops@server".parse() {
            Ok(Address::Ssh(host)) => host,
            other => panic!("{other:?}"),
        }
    }

    fn answer(root: &Path, params: &str) -> FarAnswer {
        FarAnswer::in_directory(root.join("machine"), &host(), "app.summaries", params.to_owned())
    }

    fn age(answer: &FarAnswer, kind: &str, age: Duration) {
        let file = File::options().write(true).open(answer.file(kind)).unwrap();
        file.set_modified(SystemTime::now() - age).unwrap();
    }

    #[test]
    fn an_answer_is_fresh_then_stale_then_gone() {
        let root = tempfile::tempdir().unwrap();
        let answer = answer(root.path(), "{}");
        assert_eq!((answer.fresh(), answer.younger_than(MAX_AGE)), (None, None));
        answer.keep("[1]").unwrap();
        assert_eq!(answer.fresh().as_deref(), Some("[1]"));
        age(&answer, "json", FRESH);
        assert_eq!(answer.fresh(), None);
        assert_eq!(answer.younger_than(MAX_AGE).as_deref(), Some("[1]"));
        age(&answer, "json", MAX_AGE);
        assert_eq!(answer.younger_than(MAX_AGE), None);
        // Of another request nothing is known.
        assert_eq!(self::answer(root.path(), "{\"after\":\"a\"}").fresh(), None);
        let file = fs::metadata(answer.file("json")).unwrap().permissions();
        let directory = fs::metadata(&answer.directory).unwrap().permissions();
        assert_eq!((file.mode() & 0o777, directory.mode() & 0o777), (0o600, 0o700));
    }

    #[test]
    fn one_asks_at_a_time_and_not_at_once_after_a_failure() {
        let root = tempfile::tempdir().unwrap();
        let answer = answer(root.path(), "{}");
        assert!(answer.may_be_asked_for());
        let asking = answer.clone().begin().unwrap().unwrap();
        assert!(!answer.may_be_asked_for());
        assert!(answer.clone().begin().unwrap().is_none());
        asking.end(None).unwrap();
        assert!(!answer.may_be_asked_for());
        age(&answer, "asking", RETRY_INTERVAL);
        assert!(answer.may_be_asked_for());
        answer.clone().begin().unwrap().unwrap().end(Some("[]")).unwrap();
        assert!(answer.may_be_asked_for());
        assert_eq!(answer.fresh().as_deref(), Some("[]"));
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let root = tempfile::tempdir().unwrap();
        for number in 0..MAX_FILES + 8 {
            let answer = answer(root.path(), &number.to_string());
            answer.keep("[]").unwrap();
            age(&answer, "json", Duration::from_secs(1000 - number as u64));
        }
        assert!(fs::read_dir(root.path().join("machine")).unwrap().count() <= MAX_FILES + 1);
        let last = answer(root.path(), &(MAX_FILES + 7).to_string());
        assert!(
            last.younger_than(MAX_AGE).is_some() && answer(root.path(), "0").younger_than(MAX_AGE).is_none()
        );
        let long = answer(root.path(), "long");
        long.keep(&"x".repeat(MAX_ANSWER + 1)).unwrap();
        assert_eq!(long.fresh(), None);
    }
}
