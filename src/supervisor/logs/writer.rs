//! The thread that writes all logs: which files are open, when they are rotated, who follows.

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

/// How long a file stays open without a line.
const IDLE: Duration = Duration::from_secs(30);

/// How long between two reports of lost lines.
const REPORT_EVERY: Duration = Duration::from_secs(60);

/// How many lines a follower may lag behind.
const FOLLOWER_BACKLOG: usize = 1024;

/// What the thread is asked to do.
#[derive(Debug)]
pub(super) enum Work {
    /// Write a line.
    Line(AppId, LogLine),
    /// Give the files as they are now.
    Snapshot(AppId, oneshot::Sender<Snapshot>),
    /// Give the files as they are now, and every line from now on.
    Follow(AppId, oneshot::Sender<(Snapshot, broadcast::Receiver<LogLine>)>),
    /// Remove the files.
    Remove(AppId, oneshot::Sender<Vec<PathBuf>>),
    /// Say when everything before this is written.
    Flush(oneshot::Sender<()>),
}

/// An application's log at one moment: open files, which stay the same when they are renamed,
/// newest first, each with its length then.
pub(super) type Snapshot = Vec<(File, u64)>;

#[derive(Debug)]
struct OpenLog {
    file: File,
    size: u64,
    used: Instant,
    /// What was written last may not have ended with a line feed.
    torn: bool,
}

/// The state of the thread.
#[derive(Debug)]
pub(super) struct Writer {
    directory: PathBuf,
    max_bytes: u64,
    keep: usize,
    /// How many files are open at a time, however many applications there are.
    most_open: usize,
    open: HashMap<AppId, OpenLog>,
    followers: HashMap<AppId, broadcast::Sender<LogLine>>,
    lost: Arc<AtomicU64>,
    reported: u64,
    reported_at: Option<Instant>,
    /// The last thing that went wrong, for the report.
    failure: Option<String>,
}

/// Makes the directory, for the daemon's user alone: logs tell of people.
pub(super) fn make_directory(directory: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(directory)
}

impl Writer {
    pub(super) fn new(
        directory: PathBuf,
        max_bytes: u64,
        keep: usize,
        most_open: usize,
        lost: Arc<AtomicU64>,
    ) -> Self {
        Self {
            directory,
            max_bytes,
            keep,
            most_open: most_open.max(1),
            open: HashMap::new(),
            followers: HashMap::new(),
            lost,
            reported: 0,
            reported_at: None,
            failure: None,
        }
    }

    /// Works until nobody can ask any more.
    pub(super) fn run(mut self, queue: &Receiver<Work>) {
        loop {
            let work = if self.open.is_empty() && !self.owes_report() {
                queue.recv().map_err(|_| RecvTimeoutError::Disconnected)
            } else {
                queue.recv_timeout(IDLE)
            };
            match work {
                Ok(work) => self.work(work),
                Err(RecvTimeoutError::Timeout) => self.open.retain(|_, log| log.used.elapsed() < IDLE),
                Err(RecvTimeoutError::Disconnected) => break,
            }
            self.report();
        }
    }

    fn work(&mut self, work: Work) {
        // Who asked may have gone; then nobody misses the answer.
        match work {
            Work::Line(app, line) => self.line(&app, line),
            Work::Snapshot(app, reply) => drop(reply.send(self.snapshot(&app))),
            Work::Follow(app, reply) => {
                let snapshot = self.snapshot(&app);
                self.followers.retain(|_, followers| followers.receiver_count() > 0);
                let followers =
                    self.followers.entry(app).or_insert_with(|| broadcast::channel(FOLLOWER_BACKLOG).0);
                drop(reply.send((snapshot, followers.subscribe())));
            }
            Work::Remove(app, reply) => drop(reply.send(self.remove(&app))),
            Work::Flush(reply) => drop(reply.send(())),
        }
    }

    fn line(&mut self, app: &AppId, line: LogLine) {
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
        if log.torn {
            text.insert(0, b'\n');
        }
        // On a full disk a part of the line may be written; the next begins on a line of its own.
        log.torn = true;
        log.file.write_all(&text)?;
        log.torn = false;
        log.size += text.len() as u64;
        Ok(())
    }

    /// The open file, opened when it is not; another that was not used for the longest time is
    /// closed for it.
    fn log(&mut self, app: &AppId) -> io::Result<&mut OpenLog> {
        if !self.open.contains_key(app) {
            if self.open.len() >= self.most_open {
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
                make_directory(&self.directory)?;
                open()?
            }
            other => other?,
        };
        let size = file.metadata()?.len();
        let torn = size > 0 && {
            let mut last = [0];
            file.seek(SeekFrom::End(-1))?;
            file.read_exact(&mut last)?;
            last != *b"\n"
        };
        Ok(OpenLog { file, size, used: Instant::now(), torn })
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

    /// The current file is 0, the one before it 1, and so on.
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

    fn owes_report(&self) -> bool {
        self.lost.load(Ordering::Relaxed) > self.reported
    }

    /// Tells the daemon's own log of lost lines: the first at once, then once a minute.
    fn report(&mut self) {
        let due = self.reported_at.is_none_or(|at| at.elapsed() >= REPORT_EVERY);
        if !due || !self.owes_report() {
            return;
        }
        let lost = self.lost.load(Ordering::Relaxed);
        let lines = lost - self.reported;
        match self.failure.take() {
            Some(failure) => tracing::error!(lines, %failure, "lines of applications' logs were lost"),
            None => {
                tracing::warn!(lines, "lines of applications' logs were lost: more came than the disk took")
            }
        }
        self.reported = lost;
        self.reported_at = Some(Instant::now());
    }
}
