//! A connection's bytes on their way to hyper: what it is not told by itself, it is told here.
//!
//! - A client that has closed its side (a half-closed connection) may wait for an answer, or be
//!   gone. It is taken for gone a while later, and at once where nothing is owed to it.
//! - A head that is too long and a chunk that no body can have end the reading at once.
//! - A connection that is closed with bytes unread would be reset, and the answer lost on the way
//!   (RFC 9112, 9.6): those bytes are read and dropped, bounded.

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

/// How long a request goes on whose client has closed its side.
const MAX_HALF_CLOSED: Duration = Duration::from_secs(5);
/// How long a connection is kept for a client that still sends and has not read the answer.
const MAX_LINGER: Duration = Duration::from_secs(2);
/// How much of what such a client sends is taken in; more waits on its side.
const MAX_DISCARDED: usize = 1024 * 1024;

/// In place of a body's length: it comes in chunks.
const CHUNKED: u64 = u64::MAX;

/// The request that a connection is at, known to its socket and to those who answer. Both are polled
/// by one task, so that no order of memory matters.
#[derive(Debug, Default)]
pub(super) struct Exchange {
    /// Counts the requests.
    requests: AtomicU64,
    /// The length of the last one's body, or [`CHUNKED`].
    body: AtomicU64,
    /// The last one is not answered.
    owed: AtomicBool,
}

impl Exchange {
    /// A request has come, with a body like this.
    pub(super) fn begin(&self, body: &SizeHint) {
        self.body.store(body.exact().unwrap_or(CHUNKED), Ordering::Relaxed);
        self.owed.store(true, Ordering::Relaxed);
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    /// Its answer is made.
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

/// How many of these bytes are passed on now.
fn take(framing: &mut Framing, bytes: &[u8]) -> io::Result<usize> {
    framing.take(bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// A connection's socket.
#[derive(Debug)]
pub(super) struct Socket {
    stream: TcpStream,
    exchange: Arc<Exchange>,
    /// Which request the framing is after.
    request: u64,
    framing: Framing,
    /// What was read and not passed on yet.
    kept: BytesMut,
    /// The client has closed its side.
    ended: bool,
    /// A part of an answer is not on its way yet.
    unsent: bool,
    /// This side is closed, and so many bytes were read since.
    closed: Option<usize>,
    /// When waiting for the client is over.
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

    /// Learns of a request that has come since.
    fn follow(&mut self) {
        let request = self.exchange.requests.load(Ordering::Relaxed);
        if request != self.request {
            self.request = request;
            self.framing = self.exchange.framing();
        }
    }

    /// Says that the client sends no more, unless it may be waiting for an answer.
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
