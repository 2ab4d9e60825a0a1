//! Reads lines, bounded in size, in time, and in the memory of all connections together.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::protocol::lines::MAX_LINE;
use crate::protocol::{ErrorKind, RpcError};

/// How long a line may take from its first byte to its end.
const LINE_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a connection may be idle.
const IDLE_TIMEOUT: Duration = Duration::from_secs(600);

/// Bytes that each connection may buffer outside of the shared memory.
const MAX_OWN_BUFFER: usize = 16 * 1024;

/// Bytes of longer lines that all connections together may buffer.
const MAX_SHARED_BUFFER: usize = 32 * 1024 * 1024;

/// The memory that all long lines share.
#[derive(Debug, Clone)]
pub(super) struct LineMemory(Arc<Semaphore>);

impl LineMemory {
    pub(super) fn new() -> Self {
        Self(Arc::new(Semaphore::new(MAX_SHARED_BUFFER)))
    }
}

/// A line, with its part of the shared memory, which is given back on drop.
#[derive(Debug)]
pub(super) struct RequestLine {
    pub(super) bytes: Vec<u8>,
    pub(super) memory: Option<OwnedSemaphorePermit>,
}

/// Why reading ends.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum LineError {
    /// The line is longer than [`MAX_LINE`].
    TooLong,
    /// A line did not end in time.
    Slow,
    /// The connection was idle for too long.
    Idle,
    /// The shared memory is used up.
    NoMemory,
    /// The connection failed or was closed.
    Closed,
}

impl LineError {
    /// The error to send to the client; `None` when it has disconnected.
    pub(super) fn into_refusal(self) -> Option<RpcError> {
        let (kind, sentence, hint) = match self {
            Self::TooLong => (
                ErrorKind::LineTooLong,
                "a line is longer than 4 MiB".to_owned(),
                "the connection is closed; send shorter requests",
            ),
            Self::Slow => (
                ErrorKind::Timeout,
                format!("a line did not end within {} s of its first byte", LINE_TIMEOUT.as_secs()),
                "the connection is closed; end each request with a line feed",
            ),
            Self::Idle => (
                ErrorKind::Timeout,
                format!("the connection was idle for {} s", IDLE_TIMEOUT.as_secs()),
                "the connection is closed; connect again for the next request",
            ),
            Self::NoMemory => (
                ErrorKind::TooManyConnections,
                format!(
                    "the {} MiB for long lines of all connections are in use",
                    MAX_SHARED_BUFFER / 1024 / 1024
                ),
                "the connection is closed; send the request again later",
            ),
            Self::Closed => return None,
        };
        Some(RpcError::new(kind, sentence).hint(hint))
    }
}

/// The timeouts of a reader.
#[derive(Debug, Clone, Copy)]
struct Timeouts {
    line: Duration,
    idle: Duration,
}

/// Reads lines. Cancelling a read loses nothing.
#[derive(Debug)]
pub(super) struct LineReader<R> {
    incoming: R,
    memory: LineMemory,
    timeouts: Timeouts,
    /// Bytes that were read and not yet returned.
    buffer: Vec<u8>,
    /// The length of the beginning of the buffer that holds no line feed.
    searched: usize,
    /// The buffer's part of the shared memory.
    held: Option<OwnedSemaphorePermit>,
    /// When the first byte of an incomplete line arrived.
    begun: Option<Instant>,
    /// When the last line was returned.
    since: Instant,
}

impl<R: AsyncRead + Unpin> LineReader<R> {
    pub(super) fn new(incoming: R, memory: LineMemory) -> Self {
        Self {
            incoming,
            memory,
            timeouts: Timeouts { line: LINE_TIMEOUT, idle: IDLE_TIMEOUT },
            buffer: Vec::new(),
            searched: 0,
            held: None,
            begun: None,
            since: Instant::now(),
        }
    }

    /// Reads the next line, without its line feed. A connection for which `is_busy` holds is not idle.
    pub(super) async fn next(&mut self, is_busy: impl Fn() -> bool) -> Result<RequestLine, LineError> {
        loop {
            if let Some(line) = self.take_line()? {
                return Ok(line);
            }
            self.make_space()?;
            let deadline = match self.begun {
                Some(begun) => begun + self.timeouts.line,
                None => self.since + self.timeouts.idle,
            };
            match tokio::time::timeout_at(deadline, self.incoming.read_buf(&mut self.buffer)).await {
                Ok(Ok(length)) if length > 0 => {
                    self.begun.get_or_insert_with(Instant::now);
                }
                Ok(_) => return Err(LineError::Closed),
                Err(_) if self.begun.is_some() => return Err(LineError::Slow),
                Err(_) if is_busy() => self.since = Instant::now(),
                Err(_) => return Err(LineError::Idle),
            }
        }
    }

    /// Takes a complete line out of the buffer. The bytes after it move to a new buffer, so that the memory of
    /// a long line is freed with the line.
    fn take_line(&mut self) -> Result<Option<RequestLine>, LineError> {
        let found = self.buffer[self.searched..].iter().position(|byte| *byte == b'\n');
        let Some(end) = found.map(|offset| self.searched + offset) else {
            self.searched = self.buffer.len();
            return if self.searched > MAX_LINE { Err(LineError::TooLong) } else { Ok(None) };
        };
        if end > MAX_LINE {
            return Err(LineError::TooLong);
        }
        let rest = self.buffer[end + 1..].to_vec();
        let mut bytes = std::mem::replace(&mut self.buffer, rest);
        bytes.truncate(end);
        self.searched = 0;
        self.since = Instant::now();
        self.begun = (!self.buffer.is_empty()).then(Instant::now);
        Ok(Some(RequestLine { bytes, memory: self.held.take() }))
    }

    /// Doubles a full buffer; the buffer of a long line takes its part of the shared memory.
    fn make_space(&mut self) -> Result<(), LineError> {
        let (length, capacity) = (self.buffer.len(), self.buffer.capacity());
        if length < capacity {
            return Ok(());
        }
        let wanted = (capacity * 2).clamp(4096, MAX_LINE + 1);
        let shared = wanted.saturating_sub(MAX_OWN_BUFFER);
        let held = self.held.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        if let Some(more) = shared.checked_sub(held).filter(|more| *more > 0) {
            let more = u32::try_from(more).map_err(|_| LineError::NoMemory)?;
            let memory = Arc::clone(&self.memory.0);
            let permit = memory.try_acquire_many_owned(more).map_err(|_| LineError::NoMemory)?;
            match &mut self.held {
                Some(held) => held.merge(permit),
                None => self.held = Some(permit),
            }
        }
        self.buffer.reserve_exact(wanted.saturating_sub(length));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;

    use super::*;

    fn text(line: Result<RequestLine, LineError>) -> String {
        String::from_utf8(line.unwrap().bytes).unwrap()
    }

    #[tokio::test]
    async fn lines_come_whole_however_they_are_cut() {
        let (mut sender, receiver) = tokio::io::duplex(1 << 20);
        let mut lines = LineReader::new(receiver, LineMemory::new());
        sender.write_all(b"one\ntwo\nthr").await.unwrap();
        assert_eq!(text(lines.next(|| false).await), "one");
        assert_eq!(text(lines.next(|| false).await), "two");
        // A read that is given up loses nothing.
        assert!(tokio::time::timeout(Duration::from_millis(20), lines.next(|| false)).await.is_err());
        sender.write_all(b"ee\n").await.unwrap();
        assert_eq!(text(lines.next(|| false).await), "three");
        drop(sender);
        assert_eq!(lines.next(|| false).await.unwrap_err(), LineError::Closed);
    }

    fn hasty(receiver: tokio::io::DuplexStream, line: u64, idle: u64) -> LineReader<tokio::io::DuplexStream> {
        let timeouts = Timeouts { line: Duration::from_millis(line), idle: Duration::from_millis(idle) };
        LineReader { timeouts, ..LineReader::new(receiver, LineMemory::new()) }
    }

    #[tokio::test]
    async fn half_a_line_and_silence_end_in_time() {
        let (_sender, receiver) = tokio::io::duplex(1024);
        assert_eq!(hasty(receiver, 60_000, 10).next(|| false).await.unwrap_err(), LineError::Idle);
        // Bytes that trickle do not begin the time anew.
        let (mut sender, receiver) = tokio::io::duplex(1024);
        let trickle = tokio::spawn(async move {
            while sender.write_all(b"x").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        let mut lines = hasty(receiver, 100, 60_000);
        assert_eq!(lines.next(|| false).await.unwrap_err(), LineError::Slow);
        drop(lines);
        trickle.await.unwrap();
    }

    #[tokio::test]
    async fn who_is_busy_is_not_idle() {
        let (_sender, receiver) = tokio::io::duplex(1024);
        let mut lines = hasty(receiver, 60_000, 10);
        assert!(tokio::time::timeout(Duration::from_millis(100), lines.next(|| true)).await.is_err());
    }

    #[tokio::test]
    async fn long_lines_share_a_bounded_memory() {
        let memory = LineMemory::new();
        let long = vec![b'x'; MAX_LINE];
        let mut kept = Vec::new();
        let refused = loop {
            let (mut sender, receiver) = tokio::io::duplex(MAX_LINE);
            sender.write_all(&long).await.unwrap();
            let mut lines = LineReader::new(receiver, memory.clone());
            match tokio::time::timeout(Duration::from_millis(50), lines.next(|| false)).await {
                Ok(ended) => break ended.unwrap_err(),
                Err(_) => kept.push((sender, lines)),
            }
        };
        assert_eq!(refused, LineError::NoMemory);
        assert!(kept.len() <= MAX_SHARED_BUFFER / (MAX_LINE - MAX_OWN_BUFFER), "{} at a time", kept.len());
        let (mut sender, mut lines) = kept.pop().unwrap();
        sender.write_all(b"\n").await.unwrap();
        let line = lines.next(|| false).await.unwrap();
        assert_eq!(line.bytes.len(), MAX_LINE);
        // The memory goes with the lines.
        drop((line, lines, kept));
        assert_eq!(memory.0.available_permits(), MAX_SHARED_BUFFER);
    }
}
