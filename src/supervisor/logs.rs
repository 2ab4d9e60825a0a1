//! One log file for each application, one for the requests to it (its access log), and one for the daemon, all
//! rotated; and reading them back.
//!
//! A line goes into a bounded queue and from there, on one thread for all logs, into its file
//! (`logs/name.rs`, `logs/writer.rs`): no request waits for a disk. When the queue is full
//! or the disk is, lines are lost, counted, and the count is reported in the daemon's own log.
//! Reading asks the same thread for the open files as they are at that moment, so that what is
//! read and what is followed from there has neither a gap nor a line twice (`logs/reader.rs`). Lines of several
//! logs are merged by time (`logs/merge.rs`).
//!
//! Rotation is by renaming and is done here: a crate for it looks through the whole directory for
//! each file it opens, which for ten thousand applications beside each other is the work of
//! minutes.

mod access;
mod merge;
mod name;
mod reader;
mod writer;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};

use tokio::sync::{mpsc, oneshot};

pub(crate) use access::level as level_of_status;
pub use access::{AccessLine, AccessLogFormat};
pub use name::LogName;
pub use reader::LogFilter;
pub use writer::LogOptions;

use crate::protocol::{AppId, LogLine, Logs};
use merge::Merge;
use writer::{Line, LogRequest, LogWriter, Snapshot};

/// How many lines may wait for the disk before more are lost.
const MAX_QUEUED: usize = 16_384;

/// The most bytes that one call reads, so that the response fits one message of the control socket.
const MAX_READ_BYTES: u64 = 3 * 1024 * 1024;

/// Longer messages are cut to this many bytes.
const MAX_MESSAGE_BYTES: usize = 64 * 1024;

/// How many lines a follower may lag behind before it loses some.
const MAX_FOLLOWER_LAG: usize = 1024;

/// The log files of all applications, and the daemon's.
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
    /// The directory cannot be made.
    #[error("the directory of the logs, {}, cannot be made: {error}", path.display())]
    Directory {
        /// Where it should be.
        path: PathBuf,
        /// What went wrong.
        error: io::Error,
    },
    /// A file cannot be read.
    #[error("{name} cannot be read: {error}")]
    Read {
        /// The log.
        name: LogName,
        /// What went wrong.
        error: io::Error,
    },
    /// The writing thread could not be started or has ended.
    #[error("the logs are not available: {0}")]
    Thread(io::Error),
}

impl LogFiles {
    /// Keeps logs in `directory`, which is made when it is missing.
    ///
    /// # Errors
    /// When the directory cannot be made or the writing thread cannot be started.
    pub fn open(directory: &Path, options: LogOptions) -> Result<Self, LogError> {
        writer::create_directory(directory)
            .map_err(|error| LogError::Directory { path: directory.to_owned(), error })?;
        let (requests, queue) = sync_channel(MAX_QUEUED);
        let lost = Arc::new(AtomicU64::new(0));
        let writer = LogWriter::new(directory.to_owned(), options, Arc::clone(&lost));
        std::thread::Builder::new()
            .name("logs".to_owned())
            .spawn(move || writer.run(&queue))
            .map_err(LogError::Thread)?;
        Ok(Self { requests, known: papaya::HashSet::new(), lost })
    }

    /// Keeps a log for this application from here on, until [`LogFiles::remove`].
    pub fn begin(&self, app: &AppId) {
        self.known.pin().insert(app.clone());
    }

    /// Adds a line to an application's log, if it has one. Never waits: a line for which there is
    /// no room is lost and counted.
    pub fn append(&self, app: &AppId, line: LogLine) {
        if self.known.pin().contains(app) {
            self.queue(LogName::Application(app.clone()), Line::Event(bounded(line)));
        }
    }

    /// Adds a line to an application's access log, as [`Self::append`] does.
    pub fn append_access(&self, app: &AppId, line: AccessLine) {
        if self.known.pin().contains(app) {
            self.queue(LogName::Access(app.clone()), Line::Access(Box::new(line)));
        }
    }

    /// Adds a line to the daemon's log, as [`Self::append`] does.
    pub fn append_daemon(&self, line: LogLine) {
        self.queue(LogName::Daemon, Line::Event(bounded(line)));
    }

    fn queue(&self, name: LogName, line: Line) {
        if self.requests.try_send(LogRequest::Line(name, line)).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The last lines of these logs that `filter` wants, merged by time, oldest first. All that are kept where
    /// it names no number, as far as they fit one message.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub async fn read(&self, names: &[LogName], filter: LogFilter) -> Result<Logs, LogError> {
        self.merged(names, filter, None).await
    }

    /// As [`Self::read`], and every line that is written after those that were read. A follower that is too
    /// slow for all of them misses some.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub async fn follow(&self, names: &[LogName], filter: LogFilter) -> Result<(Logs, Follower), LogError> {
        let (sender, lines) = mpsc::channel(MAX_FOLLOWER_LAG);
        let logs = self.merged(names, filter, Some(&sender)).await?;
        Ok((logs, Follower { lines, sender }))
    }

    /// Has the follower follow one more log, from now on.
    ///
    /// # Errors
    /// If the writing thread has ended.
    pub async fn follow_too(&self, follower: &Follower, name: LogName) -> Result<(), LogError> {
        self.snapshot(name, Some(&follower.sender)).await.map(drop)
    }

    async fn merged(
        &self,
        names: &[LogName],
        filter: LogFilter,
        follower: Option<&mpsc::Sender<LogLine>>,
    ) -> Result<Logs, LogError> {
        let mut merge = Merge::new(filter.lines, MAX_READ_BYTES);
        for name in names {
            let snapshot = self.snapshot(name.clone(), follower).await?;
            let filter = LogFilter { since: filter.since.max(merge.oldest()), ..filter };
            let of = name.clone();
            let read = move || reader::read(&of, snapshot, filter, MAX_READ_BYTES);
            let read = tokio::task::spawn_blocking(read).await;
            let read = read.unwrap_or_else(|error| Err(io::Error::other(error)));
            merge.add(read.map_err(|error| LogError::Read { name: name.clone(), error })?);
        }
        Ok(merge.into_logs())
    }

    /// Waits until every line that was added so far is written.
    pub async fn flush(&self) {
        let (reply, response) = oneshot::channel();
        if self.send(LogRequest::Flush(reply)).await.is_ok() {
            let _ = response.await;
        }
    }

    /// Ends an application's logs and removes their files; gives those that there were.
    pub async fn remove(&self, app: &AppId) -> Vec<PathBuf> {
        self.known.pin().remove(app);
        let mut removed = Vec::new();
        for name in [LogName::Application(app.clone()), LogName::Access(app.clone())] {
            let (reply, response) = oneshot::channel();
            if self.send(LogRequest::Remove(name, reply)).await.is_ok() {
                removed.extend(response.await.unwrap_or_default());
            }
        }
        removed
    }

    /// How many lines were lost since the daemon started.
    #[cfg(test)]
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// The files of a log as they are now; `follower` gets every line that comes after.
    async fn snapshot(
        &self,
        name: LogName,
        follower: Option<&mpsc::Sender<LogLine>>,
    ) -> Result<Snapshot, LogError> {
        let (reply, response) = oneshot::channel();
        self.send(match follower {
            Some(follower) => LogRequest::Follow(name, follower.clone(), reply),
            None => LogRequest::Snapshot(name, reply),
        })
        .await?;
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

/// The line with a message that is not too long.
fn bounded(mut line: LogLine) -> LogLine {
    if line.message.len() > MAX_MESSAGE_BYTES {
        let end = line.message.floor_char_boundary(MAX_MESSAGE_BYTES);
        line.message.truncate(end);
        line.message.push('…');
    }
    line
}

/// Receives the lines of the logs that are followed.
#[derive(Debug)]
pub struct Follower {
    lines: mpsc::Receiver<LogLine>,
    /// For logs that are followed later.
    sender: mpsc::Sender<LogLine>,
}

impl Follower {
    /// Waits for the next line.
    pub async fn next(&mut self) -> LogLine {
        // The follower itself keeps the channel open.
        match self.lines.recv().await {
            Some(line) => line,
            None => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use chrono::DateTime;
    use serde_json::Map;

    use super::*;
    use crate::protocol::LogLevel;

    fn line(number: usize, level: LogLevel) -> LogLine {
        let at = DateTime::from_timestamp(1_700_000_000 + number as i64, 0).unwrap();
        LogLine { at, level, app: None, message: format!("line {number}"), fields: Map::new() }
    }

    fn messages(logs: &Logs) -> Vec<&str> {
        logs.lines.iter().map(|line| line.message.as_str()).collect()
    }

    fn app(number: usize) -> AppId {
        AppId::parse(&format!("app{number}")).unwrap()
    }

    fn log(number: usize) -> LogName {
        LogName::Application(app(number))
    }

    const MAX_OPEN: usize = 64;

    fn open(directory: &Path, max_bytes: u64, keep: usize) -> LogFiles {
        let options =
            LogOptions { max_bytes, keep, max_open: MAX_OPEN, access_format: AccessLogFormat::Combined };
        let logs = LogFiles::open(directory, options).unwrap();
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
        let last = logs.read(&[log(1)], LogFilter { lines: Some(9), ..LogFilter::default() }).await.unwrap();
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
        let all = logs.read(&[log(1)], LogFilter::default()).await.unwrap();
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
        let grave = logs
            .read(&[log(1)], LogFilter { level: Some(LogLevel::Warn), ..LogFilter::default() })
            .await
            .unwrap();
        assert_eq!(messages(&grave), ["line 2", "line 3", "line 6", "line 7"]);
        let since = Some(line(5, LogLevel::Info).at);
        let late = logs.read(&[log(1)], LogFilter { since, ..LogFilter::default() }).await.unwrap();
        assert_eq!(messages(&late), ["line 5", "line 6", "line 7"]);
        let last = logs
            .read(
                &[log(1)],
                LogFilter { lines: Some(1), level: Some(LogLevel::Warn), ..LogFilter::default() },
            )
            .await
            .unwrap();
        assert_eq!(messages(&last), ["line 7"]);
    }

    #[tokio::test]
    async fn following_goes_on_where_reading_ended() {
        let directory = tempfile::tempdir().unwrap();
        let logs = open(directory.path(), 1 << 20, 1);
        logs.append(&app(1), line(0, LogLevel::Info));
        let (read, mut news) = logs.follow(&[log(1)], LogFilter::default()).await.unwrap();
        assert_eq!(messages(&read), ["line 0"]);
        logs.append(&app(2), line(1, LogLevel::Info));
        logs.append(&app(1), line(2, LogLevel::Info));
        assert_eq!(news.next().await.message, "line 2");
    }

    #[tokio::test]
    async fn more_applications_than_open_files_lose_nothing() {
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
        let first = logs.read(&[log(0)], LogFilter::default()).await.unwrap();
        assert_eq!(messages(&first), ["line 0", "line 1"]);
        assert_eq!(logs.lost(), 0);
    }

    #[tokio::test]
    async fn a_partial_line_is_skipped_and_does_not_affect_later_ones() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("app1.log"), "not a line\n{\"at\":\"2026").unwrap();
        let logs = open(directory.path(), 1 << 20, 1);
        logs.append(&app(1), line(1, LogLevel::Info));
        let all = logs.read(&[log(1)], LogFilter::default()).await.unwrap();
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
        assert_eq!(messages(&logs.read(&[log(2)], LogFilter::default()).await.unwrap()), ["line 2"]);
    }

    #[tokio::test]
    async fn a_response_fits_a_message_and_a_long_line_is_cut() {
        let directory = tempfile::tempdir().unwrap();
        let logs = open(directory.path(), 1 << 30, 1);
        let long = LogLine { message: "ä".repeat(MAX_MESSAGE_BYTES), ..line(1, LogLevel::Info) };
        for _ in 0..80 {
            logs.append(&app(1), long.clone());
        }
        let all = logs.read(&[log(1)], LogFilter::default()).await.unwrap();
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
        assert!(logs.read(&[log(1)], LogFilter::default()).await.unwrap().lines.is_empty());
        logs.begin(&app(1));
        logs.append(&app(1), line(2, LogLevel::Info));
        assert_eq!(messages(&logs.read(&[log(1)], LogFilter::default()).await.unwrap()), ["line 2"]);
    }

    fn access(number: usize, status: u16) -> AccessLine {
        let line = line(number, LogLevel::Info);
        AccessLine {
            at: line.at,
            level: level_of_status(status),
            method: "GET".to_owned(),
            path: format!("/{number}"),
            query: None,
            version: "HTTP/1.1".to_owned(),
            status,
            bytes: None,
            ms: None,
            client: [127, 0, 0, 1].into(),
            user_agent: None,
            referer: None,
            request_id: None,
        }
    }

    #[tokio::test]
    async fn an_access_log_is_beside_the_log_and_goes_with_it() {
        let directory = tempfile::tempdir().unwrap();
        let logs = open(directory.path(), 200, 1);
        logs.append(&app(1), line(1, LogLevel::Info));
        logs.append_access(&AppId::parse("stranger").unwrap(), access(1, 500));
        for number in 0..4 {
            logs.append_access(&app(1), access(number, if number == 2 { 500 } else { 200 }));
        }
        let name = LogName::Access(app(1));
        let all = logs.read(std::slice::from_ref(&name), LogFilter::default()).await.unwrap();
        assert_eq!(messages(&all), ["GET /0 200", "GET /1 200", "GET /2 500", "GET /3 200"]);
        assert!(all.lines.iter().all(|line| line.app.as_deref() == Some("app1")));
        let grave = LogFilter { level: Some(LogLevel::Warn), ..LogFilter::default() };
        assert_eq!(messages(&logs.read(&[name], grave).await.unwrap()), ["GET /2 500"]);
        let paths =
            ["app1.log", "app1.access.log", "app1.access.log.1"].map(|name| directory.path().join(name));
        assert_eq!(logs.remove(&app(1)).await, paths);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn several_logs_are_merged_by_time_and_followed_together() {
        let directory = tempfile::tempdir().unwrap();
        let logs = open(directory.path(), 1 << 20, 1);
        for number in 0..9 {
            logs.append(&app(number % 3), line(number, LogLevel::Info));
        }
        let names = [log(0), log(1), log(2)];
        let last = LogFilter { lines: Some(4), ..LogFilter::default() };
        let (read, mut news) = logs.follow(&names, last).await.unwrap();
        assert_eq!(messages(&read), ["line 5", "line 6", "line 7", "line 8"]);
        let apps: Vec<_> = read.lines.iter().filter_map(|line| line.app.as_deref()).collect();
        assert_eq!(apps, ["app2", "app0", "app1", "app2"]);
        logs.append(&app(4), line(9, LogLevel::Info));
        logs.follow_too(&news, log(5)).await.unwrap();
        logs.append(&app(5), line(10, LogLevel::Info));
        logs.append(&app(1), line(11, LogLevel::Info));
        assert_eq!(news.next().await.app.as_deref(), Some("app5"));
        assert_eq!(news.next().await.app.as_deref(), Some("app1"));
    }

    #[tokio::test]
    async fn all_lines_of_many_logs_fit_a_message_and_are_the_last() {
        let directory = tempfile::tempdir().unwrap();
        let logs = open(directory.path(), 1 << 30, 1);
        let long = "x".repeat(MAX_MESSAGE_BYTES);
        for number in 0..160 {
            logs.append(&app(number % 4), LogLine { message: long.clone(), ..line(number, LogLevel::Info) });
        }
        let names = [log(0), log(1), log(2), log(3)];
        let all = logs.read(&names, LogFilter::default()).await.unwrap();
        assert!(serde_json::to_string(&all).unwrap().len() < crate::protocol::lines::MAX_LINE);
        let count = all.lines.len();
        assert!((40..160).contains(&count), "{count}");
        let kept: Vec<_> = all.lines.iter().map(|line| line.at).collect();
        let last: Vec<_> = (160 - count..160).map(|number| line(number, LogLevel::Info).at).collect();
        assert_eq!(kept, last);
    }
}
