//! One log file for each application, rotated, and reading them back.
//!
//! A line goes into a bounded queue and from there, on one thread for all applications, into
//! `<directory>/<id>.log` (`logs/writer.rs`): no request waits for a disk. When the queue is full
//! or the disk is, lines are lost, counted, and the count is reported in the daemon's own log.
//! Reading asks the same thread for the open files as they are at that moment, so that what is
//! read and what is followed from there has neither a gap nor a line twice (`logs/reader.rs`).
//!
//! Rotation is by renaming and is done here: a crate for it looks through the whole directory for
//! each file it opens, which for ten thousand applications beside each other is the work of
//! minutes.

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
use writer::{Snapshot, Work, Writer};

/// How many lines wait for the disk before further ones are lost.
const QUEUE: usize = 16_384;

/// The most bytes of lines that one reading gives, so that the answer fits one message of the
/// control socket.
const MOST_READ: u64 = 3 * 1024 * 1024;

/// The longest message that is kept whole, in bytes.
const LONGEST_MESSAGE: usize = 64 * 1024;

/// The log files of all applications.
#[derive(Debug)]
pub struct LogFiles {
    work: SyncSender<Work>,
    /// Who has a log: anybody may ask for an application that does not exist, and none of the IDs
    /// that people make up may cost a file.
    known: papaya::HashSet<AppId>,
    lost: Arc<AtomicU64>,
}

/// Why logs cannot be kept or read.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The directory cannot be made.
    #[error("the directory of the applications' logs, {}, cannot be made: {error}", path.display())]
    Directory {
        /// Where it should be.
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
    /// The thread that writes could not be started or has ended.
    #[error("the applications' logs are not available: {0}")]
    Thread(io::Error),
}

impl LogFiles {
    /// Keeps logs in `directory`, which is made when it is missing: a file of at most `max_bytes`
    /// for each application, and `keep` older ones. At most `most_open` of them are open at a time.
    ///
    /// # Errors
    /// When the directory cannot be made or the writing thread cannot be started.
    pub fn open(directory: &Path, max_bytes: u64, keep: usize, most_open: usize) -> Result<Self, LogError> {
        writer::make_directory(directory)
            .map_err(|error| LogError::Directory { path: directory.to_owned(), error })?;
        let (work, queue) = sync_channel(QUEUE);
        let lost = Arc::new(AtomicU64::new(0));
        let writer = Writer::new(directory.to_owned(), max_bytes, keep, most_open, Arc::clone(&lost));
        std::thread::Builder::new()
            .name("application-logs".to_owned())
            .spawn(move || writer.run(&queue))
            .map_err(LogError::Thread)?;
        Ok(Self { work, known: papaya::HashSet::new(), lost })
    }

    /// Keeps a log for this application from here on, until [`LogFiles::remove`].
    pub fn begin(&self, app: &AppId) {
        self.known.pin().insert(app.clone());
    }

    /// Adds a line to an application's log, if it has one. Never waits: a line for which there is
    /// no room is lost and counted.
    pub fn append(&self, app: &AppId, mut line: LogLine) {
        if !self.known.pin().contains(app) {
            return;
        }
        if line.message.len() > LONGEST_MESSAGE {
            let end = line.message.floor_char_boundary(LONGEST_MESSAGE);
            line.message.truncate(end);
            line.message.push('…');
        }
        if self.work.try_send(Work::Line(app.clone(), line)).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The last `lines` of an application's log that are from `since` on and at least as grave as
    /// `level`, oldest first. All that are kept without `lines`, as far as they fit one message.
    ///
    /// # Errors
    /// When a file cannot be read.
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

    /// As [`Self::read`], and every line that is written after those that were read.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub async fn follow(
        &self,
        app: &AppId,
        lines: Option<u64>,
        since: Option<DateTime<Utc>>,
        level: Option<LogLevel>,
    ) -> Result<(Logs, broadcast::Receiver<LogLine>), LogError> {
        let (reply, answer) = oneshot::channel();
        self.ask(Work::Follow(app.clone(), reply)).await?;
        let (snapshot, receiver) = answer.await.map_err(ended)?;
        Ok((read_snapshot(app, snapshot, lines, since, level).await?, receiver))
    }

    /// Waits until every line that was added so far is written.
    pub async fn flush(&self) {
        let (reply, answer) = oneshot::channel();
        if self.ask(Work::Flush(reply)).await.is_ok() {
            let _ = answer.await;
        }
    }

    /// Ends an application's log and removes its files; gives those that there were.
    pub async fn remove(&self, app: &AppId) -> Vec<PathBuf> {
        self.known.pin().remove(app);
        let (reply, answer) = oneshot::channel();
        match self.ask(Work::Remove(app.clone(), reply)).await {
            Ok(()) => answer.await.unwrap_or_default(),
            Err(_) => Vec::new(),
        }
    }

    /// How many lines were lost since the daemon started.
    #[cfg(test)]
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    async fn snapshot(&self, app: &AppId) -> Result<Snapshot, LogError> {
        let (reply, answer) = oneshot::channel();
        self.ask(Work::Snapshot(app.clone(), reply)).await?;
        answer.await.map_err(ended)
    }

    /// Puts a question in the queue, behind all lines that are there. The queue may be full, so
    /// that this waits on a thread where waiting is allowed.
    async fn ask(&self, work: Work) -> Result<(), LogError> {
        let sender = self.work.clone();
        match tokio::task::spawn_blocking(move || sender.send(work)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(ended(error)),
            Err(error) => Err(ended(error)),
        }
    }
}

fn ended(error: impl std::error::Error + Send + Sync + 'static) -> LogError {
    LogError::Thread(io::Error::other(error.to_string()))
}

async fn read_snapshot(
    app: &AppId,
    snapshot: Snapshot,
    lines: Option<u64>,
    since: Option<DateTime<Utc>>,
    level: Option<LogLevel>,
) -> Result<Logs, LogError> {
    let read = move || reader::read(snapshot, lines.unwrap_or(u64::MAX), since, level, MOST_READ);
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

    const MOST_OPEN: usize = 64;

    fn open(directory: &Path, max_bytes: u64, keep: usize) -> LogFiles {
        let logs = LogFiles::open(directory, max_bytes, keep, MOST_OPEN).unwrap();
        (0..1_000).for_each(|number| logs.begin(&app(number)));
        logs
    }

    #[tokio::test]
    async fn who_has_no_log_costs_no_file() {
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
    async fn only_so_many_rotated_files_are_kept() {
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
    async fn lines_are_chosen_by_time_and_level() {
        let directory = tempfile::tempdir().unwrap();
        let logs = open(directory.path(), 1 << 20, 1);
        let levels = [LogLevel::Debug, LogLevel::Info, LogLevel::Warn, LogLevel::Error];
        for number in 0..8 {
            logs.append(&app(1), line(number, levels[number % 4]));
        }
        let grave = logs.read(&app(1), None, None, Some(LogLevel::Warn)).await.unwrap();
        assert_eq!(messages(&grave), ["line 2", "line 3", "line 6", "line 7"]);
        let since = Some(line(5, LogLevel::Info).at);
        let late = logs.read(&app(1), None, since, None).await.unwrap();
        assert_eq!(messages(&late), ["line 5", "line 6", "line 7"]);
        let last = logs.read(&app(1), Some(1), None, Some(LogLevel::Warn)).await.unwrap();
        assert_eq!(messages(&last), ["line 7"]);
    }

    #[tokio::test]
    async fn following_goes_on_where_reading_ended() {
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
    async fn more_applications_than_open_files_lose_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let logs = open(directory.path(), 1 << 20, 1);
        let many = MOST_OPEN * 2;
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
        assert!(open.count() <= MOST_OPEN);
        let first = logs.read(&app(0), None, None, None).await.unwrap();
        assert_eq!(messages(&first), ["line 0", "line 1"]);
        assert_eq!(logs.lost(), 0);
    }

    #[tokio::test]
    async fn what_is_not_whole_is_passed_over_and_later_lines_are_not_spoiled() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("app1.log"), "not a line\n{\"at\":\"2026").unwrap();
        let logs = open(directory.path(), 1 << 20, 1);
        logs.append(&app(1), line(1, LogLevel::Info));
        let all = logs.read(&app(1), None, None, None).await.unwrap();
        assert_eq!(messages(&all), ["line 1"]);
    }

    #[tokio::test]
    async fn a_log_that_cannot_be_written_is_counted_and_costs_nobody_else() {
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
    async fn an_answer_fits_a_message_and_a_long_line_is_cut() {
        let directory = tempfile::tempdir().unwrap();
        let logs = open(directory.path(), 1 << 30, 1);
        let long = LogLine { message: "ä".repeat(LONGEST_MESSAGE), ..line(1, LogLevel::Info) };
        for _ in 0..80 {
            logs.append(&app(1), long.clone());
        }
        let all = logs.read(&app(1), None, None, None).await.unwrap();
        assert!(all.lines.len() < 80, "{}", all.lines.len());
        assert!(serde_json::to_string(&all).unwrap().len() < crate::protocol::lines::MAX_LINE);
        assert!(all.lines[0].message.len() <= LONGEST_MESSAGE + '…'.len_utf8());
    }

    #[tokio::test]
    async fn a_removed_log_is_gone_and_can_begin_again() {
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
