//! Reads a request's body, whole, bounded in size and time.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Body;
use tokio::time::{Instant, timeout_at};

/// Why a body was not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum BodyError {
    #[error("the body is longer than the {limit} bytes that are allowed")]
    TooLong { limit: usize },
    #[error("the body did not come within {} seconds", .limit.as_secs())]
    TooSlow { limit: Duration },
    #[error("the body could not be read: {0}")]
    Broken(String),
}

/// The whole body. What is announced as too long is refused before a byte of it is read.
pub(super) async fn read<B>(
    body: B,
    limit: usize,
    time: Duration,
    deadline: Instant,
) -> Result<Bytes, BodyError>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    if body.size_hint().lower() > limit as u64 {
        return Err(BodyError::TooLong { limit });
    }
    match timeout_at(deadline, Limited::new(body, limit).collect()).await {
        Ok(Ok(whole)) => Ok(whole.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(BodyError::TooLong { limit }),
        Ok(Err(error)) => Err(BodyError::Broken(error.to_string())),
        Err(_) => Err(BodyError::TooSlow { limit: time }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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

    async fn read_within<B>(body: B, limit: usize) -> Result<Bytes, BodyError>
    where
        B: Body<Data = Bytes, Error = Infallible>,
    {
        let time = Duration::from_secs(5);
        read(body, limit, time, Instant::now() + time).await
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
        let time = Duration::from_secs(5);
        let error = read(Chunks { left: 1, ends: false }, 10, time, Instant::now()).await.unwrap_err();
        assert_eq!(error.to_string(), "the body did not come within 5 seconds");
    }
}
