//! The logs of applications: one file for each, rotated.
//!
//! A line goes into a bounded queue, so that no request waits for a disk. One thread for all applications writes it
//! to `<directory>/<id>.log` (`logs/writer.rs`). If the queue or the disk is full, lines are lost; their number is
//! reported in the daemon's own log. A reader gets the open files from the same thread (`logs/reader.rs`), so that
//! what it reads and then follows has no gap and no duplicate.
//!
//! Files are rotated by renaming. Crates for rotation list the whole directory for each file that they open, which
//! takes minutes for ten thousand applications.

mod reader;
mod writer;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};

use chrono::{DateTime, Utc};
use tokio::sync::{broadcast, oneshot};

use crate::protocol::{AppId, LogLevel, LogLine, Logs};
use writer::{LogRequest, LogWriter, Snapshot};

/// How many lines may wait for the disk before more are lost.
const MAX_QUEUED: usize = 16_384;

/// The most bytes that one call reads, so that the response fits one message of the control socket.
const MAX_READ_BYTES: u64 = 3 * 1024 * 1024;

/// Longer messages are cut to this many bytes.
const MAX_MESSAGE_BYTES: usize = 64 * 1024;

/// The log files of all applications.
#[derive(Debug)]
pub struct LogFiles {
    requests: SyncSender<LogRequest>,
    /// The applications with a log. Clients may name any ID; only existing ones may cause a file.
    known: papaya::HashSet<AppId>,
    lost: Arc<AtomicU64>,
}

/// Why logs cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The directory cannot be created.
    #[error("the directory of the applications' logs, {}, cannot be created: {error}", path.display())]
    Directory {
        /// Its path.
        path: PathBuf,
        /// What went wrong.
        error: io::Error,
    },
    /// A file cannot be read.
    #[error("the log of \"{app}\" cannot be read: {error}")]
    Read {
        /// The application.
        app: AppId,
        /// What went wrong.
        error: io::Error,
    },
    /// The writing thread could not be started or has ended.
    #[error("the applications' logs are not available: {0}")]
    Thread(io::Error),
}

impl LogFiles {
    /// Opens the logs in `directory`, which is created if it is missing. Each application has a file of at most
    /// `max_bytes` and at most `keep` older ones. At most `max_open` files are open at a time.
    ///
    /// # Errors
    /// If the directory cannot be created or the writing thread cannot be started.
    pub fn open(directory: &Path, max_bytes: u64, keep: usize, max_open: usize) -> Result<Self, LogError> {
        writer::create_directory(directory)
            .map_err(|error| LogError::Directory { path: directory.to_owned(), error })?;
        let (requests, queue) = sync_channel(MAX_QUEUED);
        let lost = Arc::new(AtomicU64::new(0));
        let writer = LogWriter::new(directory.to_owned(), max_bytes, keep, max_open, Arc::clone(&lost));
        std::thread::Builder::new()
            .name("application-logs".to_owned())
            .spawn(move || writer.run(&queue))
            .map_err(LogError::Thread)?;
        Ok(Self { requests, known: papaya::HashSet::new(), lost })
    }

    /// Begins the log of an application. It lasts until [`LogFiles::remove`].
    pub fn begin(&self, app: &AppId) {
        self.known.pin().insert(app.clone());
    }

    /// Appends a line to an application's log, if it has one. Never waits: if the queue is full, the line is lost
    /// and counted.
    pub fn append(&self, app: &AppId, mut line: LogLine) {
        if !self.known.pin().contains(app) {
            return;
        }
        if line.message.len() > MAX_MESSAGE_BYTES {
            let end = line.message.floor_char_boundary(MAX_MESSAGE_BYTES);
            line.message.truncate(end);
            line.message.push('…');
        }
        if self.requests.try_send(LogRequest::Line(app.clone(), line)).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Returns the last lines of an application's log, oldest first: at most `lines` of them, not before `since`,
    /// and at least as severe as `level`. Without `lines`, as many as fit one message.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub async fn read(
        &self,
        app: &AppId,
        lines: Option<u64>,
        since: Option<DateTime<Utc>>,
        level: Option<LogLevel>,
    ) -> Result<Logs, LogError> {
        let snapshot = self.snapshot(app).await?;
        read_snapshot(app, snapshot, lines, since, level).await
    }

    /// As [`Self::read`]; returns a receiver of all lines after those, too.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub async fn follow(
        &self,
        app: &AppId,
        lines: Option<u64>,
        since: Option<DateTime<Utc>>,
        level: Option<LogLevel>,
    ) -> Result<(Logs, broadcast::Receiver<LogLine>), LogError> {
        let (reply, response) = oneshot::channel();
        self.send(LogRequest::Follow(app.clone(), reply)).await?;
        let (snapshot, receiver) = response.await.map_err(thread_error)?;
        Ok((read_snapshot(app, snapshot, lines, since, level).await?, receiver))
    }

    /// Waits until every line that was appended so far is written.
    pub async fn flush(&self) {
        let (reply, response) = oneshot::channel();
        if self.send(LogRequest::Flush(reply)).await.is_ok() {
            let _ = response.await;
        }
    }

    /// Ends an application's log and removes its files. Returns the removed files.
    pub async fn remove(&self, app: &AppId) -> Vec<PathBuf> {
        self.known.pin().remove(app);
        let (reply, response) = oneshot::channel();
        match self.send(LogRequest::Remove(app.clone(), reply)).await {
            Ok(()) => response.await.unwrap_or_default(),
            Err(_) => Vec::new(),
        }
    }

    /// Returns how many lines were lost since the daemon started.
    #[cfg(test)]
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    async fn snapshot(&self, app: &AppId) -> Result<Snapshot, LogError> {
        let (reply, response) = oneshot::channel();
        self.send(LogRequest::Snapshot(app.clone(), reply)).await?;
        response.await.map_err(thread_error)
    }

    /// Appends a request to the queue, behind all lines in it. Waits on a blocking thread if the queue is full.
    async fn send(&self, request: LogRequest) -> Result<(), LogError> {
        let sender = self.requests.clone();
        match tokio::task::spawn_blocking(move || sender.send(request)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(thread_error(error)),
            Err(error) => Err(thread_error(error)),
        }
    }
}

fn thread_error(error: impl std::error::Error + Send + Sync + 'static) -> LogError {
    LogError::Thread(io::Error::other(error.to_string()))
}

async fn read_snapshot(
    app: &AppId,
    snapshot: Snapshot,
    lines: Option<u64>,
    since: Option<DateTime<Utc>>,
    level: Option<LogLevel>,
) -> Result<Logs, LogError> {
    let read = move || reader::read(snapshot, lines.unwrap_or(u64::MAX), since, level, MAX_READ_BYTES);
    let result = tokio::task::spawn_blocking(read).await.unwrap_or_else(|error| Err(io::Error::other(error)));
    result.map_err(|error| LogError::Read { app: app.clone(), error })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::Map;

    use super::*;

    fn line(number: usize, level: LogLevel) -> LogLine {
        let at = DateTime::from_timestamp(1_700_000_000 + number as i64, 0).unwrap();
        LogLine { at, level, message: format!("line {number}"), fields: Map::new() }
    }

    fn messages(logs: &Logs) -> Vec<&str> {
        logs.lines.iter().map(|line| line.message.as_str()).collect()
    }

    fn app(number: usize) -> AppId {
        AppId::parse(&format!("app{number}")).unwrap()
    }

    const MAX_OPEN: usize = 64;

    fn open(directory: &Path, max_bytes: u64, keep: usize) -> LogFiles {
        let logs = LogFiles::open(directory, max_bytes, keep, MAX_OPEN).unwrap();
        (0..1_000).for_each(|number| logs.begin(&app(number)));
        logs
    }

    #[tokio::test]
    async fn an_application_without_a_log_causes_no_file() {
        let directory = tempfile::tempdir().unwrap();
        let logs = open(directory.path(), 400, 1);
        let stranger = AppId::parse("stranger").unwrap();
        logs.append(&stranger, line(1, LogLevel::Error));
        logs.append(&app(1), line(1, LogLevel::Error));
        logs.flush().await;
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
        assert_eq!(logs.remove(&app(1)).await.len(), 1);
        logs.append(&app(1), line(2, LogLevel::Error));
        logs.flush().await;
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn the_last_lines_are_read_through_rotated_files() {
        let directory = tempfile::tempdir().unwrap();
        let logs = open(directory.path(), 400, 3);
        for number in 0..16 {
            logs.append(&app(1), line(number, LogLevel::Info));
        }
        let last = logs.read(&app(1), Some(9), None, None).await.unwrap();
        let expected: Vec<_> = (7..16).map(|number| format!("line {number}")).collect();
        assert_eq!(messages(&last), expected);
        assert!(directory.path().join("app1.log.1").exists());
    }

    #[tokio::test]
    async fn at_most_the_configured_number_of_rotated_files_is_kept() {
        let directory = tempfile::tempdir().unwrap();
        let logs = open(directory.path(), 100, 2);
        for number in 0..50 {
            logs.append(&app(1), line(number, LogLevel::Info));
        }
        logs.flush().await;
        let mut names: Vec<_> =
            fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["app1.log", "app1.log.1", "app1.log.2"]);
        let all = logs.read(&app(1), None, None, None).await.unwrap();
        assert_eq!(messages(&all).last(), Some(&"line 49"));
        assert!(messages(&all).len() < 50);
    }

    #[tokio::test]
    async fn lines_are_filtered_by_time_and_level() {
        let directory = tempfile::tempdir().unwrap();
        let logs = open(directory.path(), 1 << 20, 1);
        let levels = [LogLevel::Debug, LogLevel::Info, LogLevel::Warn, LogLevel::Error];
        for number in 0..8 {
            logs.append(&app(1), line(number, levels[number % 4]));
        }
        let severe = logs.read(&app(1), None, None, Some(LogLevel::Warn)).await.unwrap();
        assert_eq!(messages(&severe), ["line 2", "line 3", "line 6", "line 7"]);
        let since = Some(line(5, LogLevel::Info).at);
        let late = logs.read(&app(1), None, since, None).await.unwrap();
        assert_eq!(messages(&late), ["line 5", "line 6", "line 7"]);
        let last = logs.read(&app(1), Some(1), None, Some(LogLevel::Warn)).await.unwrap();
        assert_eq!(messages(&last), ["line 7"]);
    }

    #[tokio::test]
    async fn following_continues_where_reading_ended() {
        let directory = tempfile::tempdir().unwrap();
        let logs = open(directory.path(), 1 << 20, 1);
        logs.append(&app(1), line(0, LogLevel::Info));
        let (read, mut news) = logs.follow(&app(1), None, None, None).await.unwrap();
        assert_eq!(messages(&read), ["line 0"]);
        logs.append(&app(2), line(1, LogLevel::Info));
        logs.append(&app(1), line(2, LogLevel::Info));
        assert_eq!(news.recv().await.unwrap().message, "line 2");
    }

    #[tokio::test]
    async fn no_line_is_lost_with_more_applications_than_open_files() {
        let directory = tempfile::tempdir().unwrap();
        let logs = open(directory.path(), 1 << 20, 1);
        let many = MAX_OPEN * 2;
        for round in 0..2 {
            for number in 0..many {
                logs.append(&app(number), line(round, LogLevel::Info));
            }
        }
        logs.flush().await;
        let open = fs::read_dir("/proc/self/fd").unwrap().filter(|entry| {
            let target = entry.as_ref().ok().and_then(|entry| fs::read_link(entry.path()).ok());
            target.is_some_and(|target| target.starts_with(directory.path()))
        });
        assert!(open.count() <= MAX_OPEN);
        let first = logs.read(&app(0), None, None, None).await.unwrap();
        assert_eq!(messages(&first), ["line 0", "line 1"]);
        assert_eq!(logs.lost(), 0);
    }

    #[tokio::test]
    async fn a_partial_line_is_skipped_and_does_not_affect_later_ones() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("app1.log"), "not a line\n{\"at\":\"2026").unwrap();
        let logs = open(directory.path(), 1 << 20, 1);
        logs.append(&app(1), line(1, LogLevel::Info));
        let all = logs.read(&app(1), None, None, None).await.unwrap();
        assert_eq!(messages(&all), ["line 1"]);
    }

    #[tokio::test]
    async fn a_log_that_cannot_be_written_is_counted_and_does_not_affect_others() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("app1.log")).unwrap();
        let logs = open(directory.path(), 1 << 20, 1);
        logs.append(&app(1), line(1, LogLevel::Info));
        logs.append(&app(2), line(2, LogLevel::Info));
        logs.flush().await;
        assert_eq!(logs.lost(), 1);
        assert_eq!(messages(&logs.read(&app(2), None, None, None).await.unwrap()), ["line 2"]);
    }

    #[tokio::test]
    async fn a_response_fits_a_message_and_a_long_line_is_cut() {
        let directory = tempfile::tempdir().unwrap();
        let logs = open(directory.path(), 1 << 30, 1);
        let long = LogLine { message: "ä".repeat(MAX_MESSAGE_BYTES), ..line(1, LogLevel::Info) };
        for _ in 0..80 {
            logs.append(&app(1), long.clone());
        }
        let all = logs.read(&app(1), None, None, None).await.unwrap();
        assert!(all.lines.len() < 80, "{}", all.lines.len());
        assert!(serde_json::to_string(&all).unwrap().len() < crate::protocol::lines::MAX_LINE);
        assert!(all.lines[0].message.len() <= MAX_MESSAGE_BYTES + '…'.len_utf8());
    }

    #[tokio::test]
    async fn a_removed_log_can_begin_again() {
        let directory = tempfile::tempdir().unwrap();
        let logs = open(directory.path(), 1 << 20, 1);
        logs.append(&app(1), line(1, LogLevel::Info));
        assert_eq!(logs.remove(&app(1)).await, [directory.path().join("app1.log")]);
        assert!(logs.read(&app(1), None, None, None).await.unwrap().lines.is_empty());
        logs.begin(&app(1));
        logs.append(&app(1), line(2, LogLevel::Info));
        assert_eq!(messages(&logs.read(&app(1), None, None, None).await.unwrap()), ["line 2"]);
    }
}
