//! Reads an application's log backwards from its end.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use chrono::{DateTime, TimeDelta, Utc};

use super::writer::Snapshot;
use crate::protocol::{LogLevel, LogLine, Logs};

/// How many bytes are read at a time.
const CHUNK_BYTES: u64 = 64 * 1024;

/// How much older than `since` a line must be to end the reading. Many threads set the times and one writes the
/// lines, so that neighbours may be out of order.
const MAX_DISORDER: TimeDelta = TimeDelta::seconds(1);

/// Reads the last matching lines, at most `max_lines` and `max_bytes`. Skips what is not a line.
pub(super) fn read(
    snapshot: Snapshot,
    max_lines: u64,
    since: Option<DateTime<Utc>>,
    level: Option<LogLevel>,
    max_bytes: u64,
) -> io::Result<Logs> {
    let mut lines = Vec::new();
    let mut bytes = 0;
    'files: for (file, length) in snapshot {
        let mut backwards = Backwards::new(file, length);
        while (lines.len() as u64) < max_lines {
            let Some(text) = backwards.next_line()? else { continue 'files };
            let Ok(line) = serde_json::from_slice::<LogLine>(&text) else { continue };
            if since.is_some_and(|since| line.at < since - MAX_DISORDER) {
                break 'files;
            }
            if since.is_some_and(|since| line.at < since) || level.is_some_and(|level| line.level < level) {
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
    Ok(Logs { lines })
}

/// Iterates over the lines of a file, the last first.
struct Backwards {
    file: File,
    /// The position in the file where `held` begins.
    position: u64,
    held: Vec<u8>,
}

impl Backwards {
    fn new(file: File, length: u64) -> Self {
        Self { file, position: length, held: Vec::new() }
    }

    fn next_line(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            // The line feed at the end belongs to the last line; it does not begin another.
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
