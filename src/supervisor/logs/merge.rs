//! Merges the lines of several logs by time, as many of the last ones as are wanted and fit.

use std::io;

use chrono::{DateTime, Utc};

use crate::protocol::{LogLine, Logs};

/// The last lines of the logs that were added so far.
#[derive(Debug)]
pub(super) struct Merge {
    max_lines: usize,
    max_bytes: u64,
    /// Oldest first, each with its length.
    lines: Vec<(LogLine, u64)>,
    is_full: bool,
}

impl Merge {
    pub(super) fn new(max_lines: Option<u64>, max_bytes: u64) -> Self {
        let max_lines = max_lines.map_or(usize::MAX, |lines| usize::try_from(lines).unwrap_or(usize::MAX));
        Self { max_lines, max_bytes, lines: Vec::new(), is_full: false }
    }

    /// The time before which no further line is kept, once there are too many.
    pub(super) fn oldest(&self) -> Option<DateTime<Utc>> {
        self.lines.first().filter(|_| self.is_full).map(|(line, _)| line.at)
    }

    /// Adds the lines of one log, oldest first; those of one moment stay in the order of the logs.
    pub(super) fn add(&mut self, lines: Vec<LogLine>) {
        self.lines.extend(lines.into_iter().map(|line| {
            let length = length(&line);
            (line, length)
        }));
        self.lines.sort_by_key(|(line, _)| line.at);
        let (mut count, mut bytes) = (0, 0);
        for (_, length) in self.lines.iter().rev() {
            bytes += length;
            if count == self.max_lines || bytes > self.max_bytes {
                self.is_full = true;
                break;
            }
            count += 1;
        }
        self.lines.drain(..self.lines.len() - count);
    }

    pub(super) fn into_logs(self) -> Logs {
        Logs { lines: self.lines.into_iter().map(|(line, _)| line).collect() }
    }
}

/// The length of a line as JSON with what separates it from the next, in bytes.
fn length(line: &LogLine) -> u64 {
    struct Count(u64);
    impl io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len() as u64;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(1);
    // A line of JSON can be written as JSON, and counting does not fail.
    let _ = serde_json::to_writer(&mut count, line);
    count.0
}
