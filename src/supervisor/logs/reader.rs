//! Reading a log from its end backwards.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use chrono::{DateTime, TimeDelta, Utc};

use super::access::AccessLine;
use super::name::LogName;
use super::writer::Snapshot;
use crate::protocol::{LogLevel, LogLine};

/// How many bytes are read at a time.
const CHUNK_BYTES: u64 = 64 * 1024;

/// How much older than `since` a line must be to end the reading: lines are stamped by many
/// threads and written by one, so that neighbours may be out of order.
const MAX_DISORDER: TimeDelta = TimeDelta::seconds(1);

/// Which lines of a log are wanted.
#[derive(Debug, Clone, Copy, Default)]
pub struct LogFilter {
    /// The number of last lines; all that are kept when absent.
    pub lines: Option<u64>,
    /// Only lines from this time on.
    pub since: Option<DateTime<Utc>>,
    /// Only lines of at least this level.
    pub level: Option<LogLevel>,
}

impl LogFilter {
    /// Whether the line is of a level that is wanted.
    pub fn has_level(&self, line: &LogLine) -> bool {
        self.level.is_none_or(|level| line.level >= level)
    }
}

/// The last of a log's lines that `filter` wants, oldest first, at most `max_bytes` of them. What is no line is
/// passed over.
pub(super) fn read(
    name: &LogName,
    snapshot: Snapshot,
    filter: LogFilter,
    max_bytes: u64,
) -> io::Result<Vec<LogLine>> {
    let (since, most) = (filter.since, filter.lines.unwrap_or(u64::MAX));
    let mut lines = Vec::new();
    let mut bytes = 0;
    'files: for (file, length) in snapshot {
        let mut backwards = Backwards::new(file, length);
        while (lines.len() as u64) < most {
            let Some(text) = backwards.next_line()? else { continue 'files };
            let Some(line) = parse(name, &text) else { continue };
            if since.is_some_and(|since| line.at < since - MAX_DISORDER) {
                break 'files;
            }
            if since.is_some_and(|since| line.at < since) || !filter.has_level(&line) {
                continue;
            }
            bytes += text.len() as u64 + 1;
            if bytes > max_bytes {
                break 'files;
            }
            lines.push(line);
        }
        break;
    }
    lines.reverse();
    Ok(lines)
}

fn parse(name: &LogName, text: &[u8]) -> Option<LogLine> {
    let mut line = match name {
        LogName::Access(_) => AccessLine::parse(text)?.into_log_line(),
        LogName::Application(_) | LogName::Daemon => serde_json::from_slice(text).ok()?,
    };
    if let Some(app) = name.app() {
        line.app = Some(app.to_string());
    }
    Some(line)
}

/// A file's lines, the last first.
struct Backwards {
    file: File,
    /// Where in the file `held` begins.
    position: u64,
    held: Vec<u8>,
}

impl Backwards {
    fn new(file: File, length: u64) -> Self {
        Self { file, position: length, held: Vec::new() }
    }

    fn next_line(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            // The line feed at the very end ends the line before it, so it does not count.
            let searched = self.held.len().saturating_sub(1);
            if let Some(feed) = self.held[..searched].iter().rposition(|byte| *byte == b'\n') {
                return Ok(Some(self.held.split_off(feed + 1)));
            }
            if self.position == 0 {
                return Ok((!self.held.is_empty()).then(|| std::mem::take(&mut self.held)));
            }
            let begin = self.position.saturating_sub(CHUNK_BYTES);
            let mut chunk = vec![0; usize::try_from(self.position - begin).unwrap_or_default()];
            self.file.read_exact_at(&mut chunk, begin)?;
            chunk.append(&mut self.held);
            self.held = chunk;
            self.position = begin;
        }
    }
}
