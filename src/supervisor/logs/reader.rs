//! Reading an application's log from its end backwards.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use chrono::{DateTime, TimeDelta, Utc};

use super::writer::Snapshot;
use crate::protocol::{LogLevel, LogLine, Logs};

/// How many bytes are read at a time.
const CHUNK: u64 = 64 * 1024;

/// How much older than `since` a line must be to end the reading: lines are stamped by many
/// threads and written by one, so that neighbours may be out of order.
const DISORDER: TimeDelta = TimeDelta::seconds(1);

/// The last `most` lines that fit, at most `most_bytes` of them. What is no line is passed over.
pub(super) fn read(
    snapshot: Snapshot,
    most: u64,
    since: Option<DateTime<Utc>>,
    level: Option<LogLevel>,
    most_bytes: u64,
) -> io::Result<Logs> {
    let mut lines = Vec::new();
    let mut bytes = 0;
    'files: for (file, length) in snapshot {
        let mut backwards = Backwards::new(file, length);
        while (lines.len() as u64) < most {
            let Some(text) = backwards.next_line()? else { continue 'files };
            let Ok(line) = serde_json::from_slice::<LogLine>(&text) else { continue };
            if since.is_some_and(|since| line.at < since - DISORDER) {
                break 'files;
            }
            if since.is_some_and(|since| line.at < since) || level.is_some_and(|level| line.level < level) {
                continue;
            }
            bytes += text.len() as u64 + 1;
            if bytes > most_bytes {
                break 'files;
            }
            lines.push(line);
        }
        break;
    }
    lines.reverse();
    Ok(Logs { lines })
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
            let begin = self.position.saturating_sub(CHUNK);
            let mut chunk = vec![0; usize::try_from(self.position - begin).unwrap_or_default()];
            self.file.read_exact_at(&mut chunk, begin)?;
            chunk.append(&mut self.held);
            self.held = chunk;
            self.position = begin;
        }
    }
}
