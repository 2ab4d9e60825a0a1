//! The thread that writes all logs: it opens and rotates the files, and sends new lines to followers.

use std::collections::HashMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use tokio::sync::{broadcast, oneshot};

use crate::protocol::{AppId, LogLine};

/// How long a file stays open without a new line.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// The time between two reports of lost lines.
const REPORT_INTERVAL: Duration = Duration::from_secs(60);

/// How many lines a follower may lag behind before it loses some.
const MAX_FOLLOWER_LAG: usize = 1024;

/// A request to the thread.
#[derive(Debug)]
pub(super) enum LogRequest {
    /// Write a line.
    Line(AppId, LogLine),
    /// Return the files as they are now.
    Snapshot(AppId, oneshot::Sender<Snapshot>),
    /// Return the files as they are now, and send every line from now on.
    Follow(AppId, oneshot::Sender<(Snapshot, broadcast::Receiver<LogLine>)>),
    /// Remove the files.
    Remove(AppId, oneshot::Sender<Vec<PathBuf>>),
    /// Reply once everything before this is written.
    Flush(oneshot::Sender<()>),
}

/// An application's log at one moment: the open files, newest first, each with its length. A rotation does not
/// change them.
pub(super) type Snapshot = Vec<(File, u64)>;

#[derive(Debug)]
struct OpenLog {
    file: File,
    size: u64,
    used: Instant,
    /// Whether the file may end without a line feed.
    is_torn: bool,
}

/// The state of the thread.
#[derive(Debug)]
pub(super) struct LogWriter {
    directory: PathBuf,
    max_bytes: u64,
    keep: usize,
    /// The most files that are open at a time.
    max_open: usize,
    open: HashMap<AppId, OpenLog>,
    followers: HashMap<AppId, broadcast::Sender<LogLine>>,
    lost: Arc<AtomicU64>,
    reported: u64,
    reported_at: Option<Instant>,
    /// The last error, for the report.
    failure: Option<String>,
}

/// Creates the directory so that only the daemon's user can read it: logs contain personal data.
pub(super) fn create_directory(directory: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(directory)
}

impl LogWriter {
    pub(super) fn new(
        directory: PathBuf,
        max_bytes: u64,
        keep: usize,
        max_open: usize,
        lost: Arc<AtomicU64>,
    ) -> Self {
        Self {
            directory,
            max_bytes,
            keep,
            max_open: max_open.max(1),
            open: HashMap::new(),
            followers: HashMap::new(),
            lost,
            reported: 0,
            reported_at: None,
            failure: None,
        }
    }

    /// Handles requests until no sender is left.
    pub(super) fn run(mut self, queue: &Receiver<LogRequest>) {
        loop {
            let request = if self.open.is_empty() && !self.has_unreported() {
                queue.recv().map_err(|_| RecvTimeoutError::Disconnected)
            } else {
                queue.recv_timeout(IDLE_TIMEOUT)
            };
            match request {
                Ok(request) => self.handle(request),
                Err(RecvTimeoutError::Timeout) => {
                    self.open.retain(|_, log| log.used.elapsed() < IDLE_TIMEOUT)
                }
                Err(RecvTimeoutError::Disconnected) => break,
            }
            self.report();
        }
    }

    fn handle(&mut self, request: LogRequest) {
        // Sending a reply fails only if its receiver is gone.
        match request {
            LogRequest::Line(app, line) => self.append(&app, line),
            LogRequest::Snapshot(app, reply) => drop(reply.send(self.snapshot(&app))),
            LogRequest::Follow(app, reply) => {
                let snapshot = self.snapshot(&app);
                self.followers.retain(|_, followers| followers.receiver_count() > 0);
                let followers =
                    self.followers.entry(app).or_insert_with(|| broadcast::channel(MAX_FOLLOWER_LAG).0);
                drop(reply.send((snapshot, followers.subscribe())));
            }
            LogRequest::Remove(app, reply) => drop(reply.send(self.remove(&app))),
            LogRequest::Flush(reply) => drop(reply.send(())),
        }
    }

    fn append(&mut self, app: &AppId, line: LogLine) {
        if let Err(error) = self.write(app, &line) {
            self.lost.fetch_add(1, Ordering::Relaxed);
            self.failure = Some(format!("{}: {error}", self.path(app, 0).display()));
        }
        if let Some(followers) = self.followers.get(app)
            && followers.send(line).is_err()
        {
            self.followers.remove(app);
        }
    }

    fn write(&mut self, app: &AppId, line: &LogLine) -> io::Result<()> {
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        if self.log(app)?.size + text.len() as u64 > self.max_bytes && self.log(app)?.size > 0 {
            self.open.remove(app);
            self.rotate(app)?;
        }
        let log = self.log(app)?;
        if log.is_torn {
            text.insert(0, b'\n');
        }
        // A full disk may take a part of the line; the next one then begins with a line feed.
        log.is_torn = true;
        log.file.write_all(&text)?;
        log.is_torn = false;
        log.size += text.len() as u64;
        Ok(())
    }

    /// Returns the open file of an application. Opens it if necessary, and closes the least recently used file if
    /// too many are open.
    fn log(&mut self, app: &AppId) -> io::Result<&mut OpenLog> {
        if !self.open.contains_key(app) {
            if self.open.len() >= self.max_open {
                let oldest = self.open.iter().min_by_key(|(_, log)| log.used).map(|(app, _)| app.clone());
                oldest.map(|oldest| self.open.remove(&oldest));
            }
            let log = self.open_file(app)?;
            self.open.insert(app.clone(), log);
        }
        let log = self.open.get_mut(app).ok_or(io::ErrorKind::NotFound)?;
        log.used = Instant::now();
        Ok(log)
    }

    fn open_file(&self, app: &AppId) -> io::Result<OpenLog> {
        let path = self.path(app, 0);
        let open = || OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(&path);
        let mut file = match open() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                create_directory(&self.directory)?;
                open()?
            }
            other => other?,
        };
        let size = file.metadata()?.len();
        let is_torn = size > 0 && {
            let mut last = [0];
            file.seek(SeekFrom::End(-1))?;
            file.read_exact(&mut last)?;
            last != *b"\n"
        };
        Ok(OpenLog { file, size, used: Instant::now(), is_torn })
    }

    fn rotate(&self, app: &AppId) -> io::Result<()> {
        if self.keep == 0 {
            return fs::remove_file(self.path(app, 0));
        }
        for number in (0..self.keep).rev() {
            match fs::rename(self.path(app, number), self.path(app, number + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// Returns the path of a file: the current one is 0, the one before it 1, and so on.
    fn path(&self, app: &AppId, number: usize) -> PathBuf {
        let name = if number == 0 { format!("{app}.log") } else { format!("{app}.log.{number}") };
        self.directory.join(name)
    }

    fn snapshot(&self, app: &AppId) -> Snapshot {
        let files = (0..=self.keep).map_while(|number| File::open(self.path(app, number)).ok());
        files.filter_map(|file| file.metadata().ok().map(|metadata| (file, metadata.len()))).collect()
    }

    fn remove(&mut self, app: &AppId) -> Vec<PathBuf> {
        self.open.remove(app);
        let paths = (0..=self.keep).map(|number| self.path(app, number));
        paths.filter(|path| fs::remove_file(path).is_ok()).collect()
    }

    fn has_unreported(&self) -> bool {
        self.lost.load(Ordering::Relaxed) > self.reported
    }

    /// Reports lost lines in the daemon's own log: the first at once, then once a minute.
    fn report(&mut self) {
        let due = self.reported_at.is_none_or(|at| at.elapsed() >= REPORT_INTERVAL);
        if !due || !self.has_unreported() {
            return;
        }
        let lost = self.lost.load(Ordering::Relaxed);
        let lines = lost - self.reported;
        match self.failure.take() {
            Some(failure) => tracing::error!(lines, %failure, "lines of applications' logs were lost"),
            None => {
                tracing::warn!(
                    lines,
                    "lines of applications' logs were lost: they arrived faster than the disk could write them"
                )
            }
        }
        self.reported = lost;
        self.reported_at = Some(Instant::now());
    }
}
