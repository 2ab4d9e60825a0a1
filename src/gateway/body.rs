//! Reads the whole body of a request, bounded in size and time, and accounts for its memory.

use std::pin::pin;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Body;
use tokio::time::{Instant, timeout_at};

use crate::supervisor::{Arrival, Refused, SMALL_BODY};

/// Bytes after which the task yields: a body that arrives quickly would keep a core for milliseconds.
const MAX_WITHOUT_YIELD: usize = 128 * 1024;

/// Why a body was not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum BodyError {
    #[error("the body is longer than the {limit} bytes that are allowed")]
    TooLong { limit: u64 },
    #[error("the body did not arrive within {limit:?}")]
    TooSlow { limit: Duration },
    #[error("cannot read the body: {0}")]
    Broken(String),
    #[error(transparent)]
    Refused(#[from] Refused),
}

/// Reads the whole body. A body that announces too great a length is refused unread.
pub(super) async fn read<B>(body: B, arrival: &mut Arrival, deadline: Instant) -> Result<Bytes, BodyError>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    let (limit, time) = (arrival.limits().body_bytes, arrival.limits().request_time_ms);
    let announced = body.size_hint().lower();
    if announced > limit {
        return Err(BodyError::TooLong { limit });
    }
    arrival.hold(announced)?;
    match timeout_at(deadline, collect(body, arrival, limit)).await {
        Ok(whole) => whole,
        Err(_) => Err(BodyError::TooSlow { limit: Duration::from_millis(time) }),
    }
}

async fn collect<B>(body: B, arrival: &mut Arrival, limit: u64) -> Result<Bytes, BodyError>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let announced = body.size_hint().lower();
    let mut body = pin!(body);
    // Nearly all bodies arrive in one piece, which is not copied.
    let (mut first, mut rest) = (Bytes::new(), BytesMut::new());
    let mut unyielded = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| BodyError::Broken(error.into().to_string()))?;
        let Ok(piece) = frame.into_data() else { continue };
        let length = (first.len() + rest.len() + piece.len()) as u64;
        if length > limit {
            return Err(BodyError::TooLong { limit });
        }
        arrival.hold(length)?;
        unyielded += piece.len();
        if first.is_empty() && rest.is_empty() {
            first = piece;
            continue;
        }
        if rest.is_empty() {
            // `hold` has accounted for this memory.
            rest.reserve(usize::try_from(announced.min(limit)).unwrap_or_default());
            rest.extend_from_slice(&std::mem::take(&mut first));
        }
        rest.extend_from_slice(&piece);
        if unyielded >= MAX_WITHOUT_YIELD {
            yield_after(arrival, std::mem::take(&mut unyielded)).await;
        }
    }
    let whole = if rest.is_empty() { first } else { rest.freeze() };
    if whole.len() as u64 > SMALL_BODY && unyielded > 0 {
        yield_after(arrival, unyielded).await;
    }
    Ok(whole)
}

/// Yields to other tasks, and keeps to the rate at which the application may take in bodies.
async fn yield_after(arrival: &Arrival, bytes: usize) {
    match arrival.read_delay(bytes) {
        Duration::ZERO => tokio::task::yield_now().await,
        delay => tokio::time::sleep(delay).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Limits;
    use http_body_util::Full;
    use std::convert::Infallible;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    /// A body of unknown length: chunks, then an end, or silence.
    struct Chunks {
        left: usize,
        ends: bool,
    }

    impl Body for Chunks {
        type Data = Bytes;
        type Error = Infallible;
        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<hyper::body::Frame<Bytes>, Infallible>>> {
            if self.left == 0 {
                return if self.ends { Poll::Ready(None) } else { Poll::Pending };
            }
            self.left -= 1;
            Poll::Ready(Some(Ok(hyper::body::Frame::data(Bytes::from_static(b"12345")))))
        }
    }

    async fn read_within<B>(body: B, limit: u64) -> Result<Bytes, BodyError>
    where
        B: Body<Data = Bytes, Error = Infallible>,
    {
        let mut arrival = Arrival::of(Limits { body_bytes: limit, ..Limits::USUAL });
        read(body, &mut arrival, Instant::now() + Duration::from_secs(5)).await
    }

    #[tokio::test]
    async fn a_body_is_read_up_to_the_limit() {
        assert_eq!(read_within(Full::new(Bytes::from_static(b"12345")), 5).await.unwrap(), "12345");
        assert_eq!(read_within(Chunks { left: 2, ends: true }, 10).await.unwrap(), "1234512345");
        assert_eq!(read_within(Full::new(Bytes::new()), 0).await.unwrap(), "");
        let too_long = Err(BodyError::TooLong { limit: 9 });
        assert_eq!(read_within(Full::new(Bytes::from_static(b"1234512345")), 9).await, too_long);
        assert_eq!(read_within(Chunks { left: 2, ends: true }, 9).await, too_long);
    }

    #[tokio::test]
    async fn a_body_that_does_not_end_is_given_up() {
        let mut arrival = Arrival::of(Limits { request_time_ms: 5_000, ..Limits::USUAL });
        let error = read(Chunks { left: 1, ends: false }, &mut arrival, Instant::now()).await.unwrap_err();
        assert_eq!(error.to_string(), "the body did not arrive within 5s");
    }
}
