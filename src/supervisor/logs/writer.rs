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

use tokio::sync::{mpsc, oneshot};

use super::access::{AccessLine, AccessLogFormat};
use super::name::LogName;
use crate::protocol::LogLine;

/// How long a file stays open without a new line.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// The time between two reports of lost lines.
const REPORT_INTERVAL: Duration = Duration::from_secs(60);

/// How logs are kept.
#[derive(Debug, Clone, Copy)]
pub struct LogOptions {
    /// The size of a file at which it is rotated, in bytes.
    pub max_bytes: u64,
    /// How many rotated files of each log are kept.
    pub keep: usize,
    /// How many files are open at a time, however many logs there are.
    pub max_open: usize,
    /// The format of access logs.
    pub access_format: AccessLogFormat,
}

/// A request to the thread.
#[derive(Debug)]
pub(super) enum LogRequest {
    /// Write a line.
    Line(LogName, Line),
    /// Return the files as they are now.
    Snapshot(LogName, oneshot::Sender<Snapshot>),
    /// Return the files as they are now, and send every line from now on.
    Follow(LogName, mpsc::Sender<LogLine>, oneshot::Sender<Snapshot>),
    /// Remove the files.
    Remove(LogName, oneshot::Sender<Vec<PathBuf>>),
    /// Reply once everything before this is written.
    Flush(oneshot::Sender<()>),
}

/// A line as it is queued.
#[derive(Debug)]
pub(super) enum Line {
    Event(LogLine),
    // Boxed, so that the places of the queue are not as large as it is.
    Access(Box<AccessLine>),
}

/// A log at one moment: open files, which stay the same when they are renamed,
/// newest first, each with its length then.
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
    options: LogOptions,
    open: HashMap<LogName, OpenLog>,
    followers: HashMap<LogName, Vec<mpsc::Sender<LogLine>>>,
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
    pub(super) fn new(directory: PathBuf, options: LogOptions, lost: Arc<AtomicU64>) -> Self {
        Self {
            directory,
            options,
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
            LogRequest::Line(name, line) => self.append(&name, line),
            LogRequest::Snapshot(name, reply) => drop(reply.send(self.snapshot(&name))),
            LogRequest::Follow(name, follower, reply) => {
                let snapshot = self.snapshot(&name);
                self.followers.retain(|_, followers| {
                    followers.retain(|follower| !follower.is_closed());
                    !followers.is_empty()
                });
                self.followers.entry(name).or_default().push(follower);
                drop(reply.send(snapshot));
            }
            LogRequest::Remove(name, reply) => drop(reply.send(self.remove(&name))),
            LogRequest::Flush(reply) => drop(reply.send(())),
        }
    }

    fn append(&mut self, name: &LogName, line: Line) {
        if let Err(error) = self.write(name, &line) {
            self.lost.fetch_add(1, Ordering::Relaxed);
            self.failure = Some(format!("{}: {error}", self.path(name, 0).display()));
        }
        let Some(followers) = self.followers.get(name) else { return };
        let mut line = match line {
            Line::Event(line) => line,
            Line::Access(line) => line.into_log_line(),
        };
        if let Some(app) = name.app() {
            line.app = Some(app.to_string());
        }
        for follower in followers {
            // One that is too slow misses lines; one that has gone is forgotten with the next that comes.
            let _ = follower.try_send(line.clone());
        }
    }

    fn write(&mut self, name: &LogName, line: &Line) -> io::Result<()> {
        let mut text = match line {
            Line::Event(line) => serde_json::to_vec(line)?,
            Line::Access(line) => match self.options.access_format {
                AccessLogFormat::Json => serde_json::to_vec(line)?,
                AccessLogFormat::Combined => line.combined().into_bytes(),
            },
        };
        text.push(b'\n');
        if self.log(name)?.size + text.len() as u64 > self.options.max_bytes && self.log(name)?.size > 0 {
            self.open.remove(name);
            self.rotate(name)?;
        }
        let log = self.log(name)?;
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

    /// Returns the open file of a log. Opens it if necessary, and closes the least recently used file if
    /// too many are open.
    fn log(&mut self, name: &LogName) -> io::Result<&mut OpenLog> {
        if !self.open.contains_key(name) {
            if self.open.len() >= self.options.max_open.max(1) {
                let oldest = self.open.iter().min_by_key(|(_, log)| log.used).map(|(name, _)| name.clone());
                oldest.map(|oldest| self.open.remove(&oldest));
            }
            let log = self.open_file(name)?;
            self.open.insert(name.clone(), log);
        }
        let log = self.open.get_mut(name).ok_or(io::ErrorKind::NotFound)?;
        log.used = Instant::now();
        Ok(log)
    }

    fn open_file(&self, name: &LogName) -> io::Result<OpenLog> {
        let path = self.path(name, 0);
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

    fn rotate(&self, name: &LogName) -> io::Result<()> {
        if self.options.keep == 0 {
            return fs::remove_file(self.path(name, 0));
        }
        for number in (0..self.options.keep).rev() {
            match fs::rename(self.path(name, number), self.path(name, number + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// The current file is 0, the one before it 1, and so on.
    fn path(&self, name: &LogName, number: usize) -> PathBuf {
        self.directory.join(name.file(number))
    }

    fn snapshot(&self, name: &LogName) -> Snapshot {
        let files = (0..=self.options.keep).map_while(|number| File::open(self.path(name, number)).ok());
        files.filter_map(|file| file.metadata().ok().map(|metadata| (file, metadata.len()))).collect()
    }

    fn remove(&mut self, name: &LogName) -> Vec<PathBuf> {
        self.open.remove(name);
        let paths = (0..=self.options.keep).map(|number| self.path(name, number));
        paths.filter(|path| fs::remove_file(path).is_ok()).collect()
    }

    fn has_unreported(&self) -> bool {
        self.lost.load(Ordering::Relaxed) > self.reported
    }

    /// Tells the daemon's own log of lost lines: the first at once, then once a minute.
    fn report(&mut self) {
        let due = self.reported_at.is_none_or(|at| at.elapsed() >= REPORT_INTERVAL);
        if !due || !self.has_unreported() {
            return;
        }
        let lost = self.lost.load(Ordering::Relaxed);
        let lines = lost - self.reported;
        match self.failure.take() {
            Some(failure) => tracing::error!(lines, %failure, "log lines were lost"),
            None => {
                tracing::warn!(lines, "log lines were lost: more came than the disk took")
            }
        }
        self.reported = lost;
        self.reported_at = Some(Instant::now());
    }
}
