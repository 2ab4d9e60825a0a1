//! Wraps a TCP connection for hyper, and handles what hyper does not.
//!
//! - A client that has closed its side (a half-closed connection) may wait for a response, or be gone. It
//!   counts as gone after a while, and at once when no response is due.
//! - A head that is too long, or a chunk longer than any body, ends the reading at once.
//! - Closing a connection with unread bytes would reset it, and the client could lose the response
//!   (RFC 9112, 9.6): those bytes are read and discarded, up to a limit.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use hyper::body::SizeHint;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

use super::framing::{Chunks, Framing, Head, MAX_HEAD};

/// How long a request continues after the client has closed its side.
const MAX_HALF_CLOSED: Duration = Duration::from_secs(5);
/// How long a closed connection is kept for a client that still sends.
const MAX_LINGER: Duration = Duration::from_secs(2);
/// The most bytes of such a client that are read and discarded.
const MAX_DISCARDED: usize = 1024 * 1024;

/// In place of a body's length: the body is chunked.
const CHUNKED: u64 = u64::MAX;

/// The current request of a connection, shared by its socket and its handler. One task polls both, so that
/// relaxed memory ordering is enough.
#[derive(Debug, Default)]
pub(super) struct Exchange {
    /// The number of requests so far.
    requests: AtomicU64,
    /// The length of the current request's body, or [`CHUNKED`].
    body: AtomicU64,
    /// Whether the response to the current request is due.
    owed: AtomicBool,
}

impl Exchange {
    /// Notes that a request has arrived, with a body of this size.
    pub(super) fn begin(&self, body: &SizeHint) {
        self.body.store(body.exact().unwrap_or(CHUNKED), Ordering::Relaxed);
        self.owed.store(true, Ordering::Relaxed);
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes that the response is made.
    pub(super) fn end(&self) {
        self.owed.store(false, Ordering::Relaxed);
    }

    fn framing(&self) -> Framing {
        match self.body.load(Ordering::Relaxed) {
            0 => Framing::Head(Head::default()),
            CHUNKED => Framing::Chunked(Chunks::Size(0)),
            length => Framing::Length(length),
        }
    }
}

/// Counts the bytes to pass on now.
fn take(framing: &mut Framing, bytes: &[u8]) -> io::Result<usize> {
    framing.take(bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// The socket of a connection.
#[derive(Debug)]
pub(super) struct Socket {
    stream: TcpStream,
    exchange: Arc<Exchange>,
    /// The number of the request that the framing follows.
    request: u64,
    framing: Framing,
    /// Bytes that were read and not yet passed on.
    kept: BytesMut,
    /// Whether the client has closed its side.
    ended: bool,
    /// Whether a part of a response is not sent yet.
    unsent: bool,
    /// The number of bytes discarded since this side was closed; `None` while it is open.
    closed: Option<usize>,
    /// The end of the wait for the client.
    patience: Option<Pin<Box<Sleep>>>,
}

impl Socket {
    pub(super) fn new(stream: TcpStream, exchange: Arc<Exchange>) -> Self {
        Self {
            stream,
            exchange,
            request: 0,
            framing: Framing::Head(Head::default()),
            kept: BytesMut::new(),
            ended: false,
            unsent: false,
            closed: None,
            patience: None,
        }
    }

    /// Whether the current request has a head that is too long.
    pub(super) fn has_too_long_a_head(&self) -> bool {
        matches!(&self.framing, Framing::Head(head) if head.length() > MAX_HEAD)
    }

    /// Follows the framing of a request that has arrived meanwhile.
    fn follow(&mut self) {
        let request = self.exchange.requests.load(Ordering::Relaxed);
        if request != self.request {
            self.request = request;
            self.framing = self.exchange.framing();
        }
    }

    /// Reports the end of the client's bytes, once it cannot be waiting for a response.
    fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let owed = self.exchange.owed.load(Ordering::Relaxed) || self.unsent;
        if !owed || !matches!(self.framing, Framing::Head(_)) {
            return Poll::Ready(Ok(()));
        }
        self.poll_patience(MAX_HALF_CLOSED, context)
    }

    fn poll_patience(&mut self, time: Duration, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let patience = self.patience.get_or_insert_with(|| Box::pin(sleep(time)));
        patience.as_mut().poll(context).map(Ok)
    }

    /// Drops what the client still sends, until it has closed its side.
    fn poll_linger(&mut self, mut discarded: usize, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let more_may_come = match &self.framing {
            Framing::Head(head) => head.length() > 0 || !self.kept.is_empty(),
            Framing::Length(_) | Framing::Chunked(_) => true,
        };
        while discarded < MAX_DISCARDED && !self.ended {
            let mut bytes = [0; 8 * 1024];
            let mut buffer = ReadBuf::new(&mut bytes);
            match Pin::new(&mut self.stream).poll_read(context, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => discarded += buffer.filled().len(),
                Poll::Ready(_) => self.ended = true,
                Poll::Pending => break,
            }
            self.closed = Some(discarded);
        }
        if self.ended || (discarded == 0 && !more_may_come) {
            return Poll::Ready(Ok(()));
        }
        self.poll_patience(MAX_LINGER, context)
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.follow();
        if this.has_too_long_a_head() {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, "the head is too long")));
        }
        if !this.kept.is_empty() {
            let given = &this.kept[..this.kept.len().min(buffer.remaining())];
            let taken = take(&mut this.framing, given)?;
            buffer.put_slice(&given[..taken]);
            this.kept.advance(taken);
            if this.kept.is_empty() {
                // Its beginning can be written to again.
                this.kept.clear();
            }
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        if !this.ended {
            ready!(Pin::new(&mut this.stream).poll_read(context, buffer))?;
        }
        let read = &buffer.filled()[before..];
        if read.is_empty() {
            this.ended = true;
            return this.poll_end(context);
        }
        let taken = take(&mut this.framing, read)?;
        if taken < read.len() {
            this.kept.extend_from_slice(&read[taken..]);
            buffer.set_filled(before + taken);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.unsent = true;
        Pin::new(&mut this.stream).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(Pin::new(&mut this.stream).poll_flush(context))?;
        this.unsent = false;
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let discarded = match this.closed {
            Some(discarded) => discarded,
            None => {
                ready!(Pin::new(&mut this.stream).poll_shutdown(context))?;
                // What it was patient with before is over.
                this.patience = None;
                *this.closed.insert(0)
            }
        };
        this.follow();
        this.poll_linger(discarded, context)
    }
}
