//! The line framing: what both ends of the socket read and write through.

use tokio_util::codec::{LinesCodec, LinesCodecError};

/// The longest line either side accepts, in bytes.
pub const MAX_LINE: usize = 4 * 1024 * 1024;

/// A codec for one message a line, at most [`MAX_LINE`] bytes each.
#[must_use]
pub fn codec() -> LinesCodec {
    LinesCodec::new_with_max_length(MAX_LINE)
}

/// Why no further line can be read.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// The other side sent more than [`MAX_LINE`] bytes without a line feed.
    #[error("a line is longer than {} MiB", MAX_LINE / 1024 / 1024)]
    TooLong,
    /// The connection failed, or what came is not UTF-8.
    #[error("{0}")]
    Io(#[from] std::io::Error),
}

impl From<LinesCodecError> for LineError {
    fn from(error: LinesCodecError) -> Self {
        match error {
            LinesCodecError::MaxLineLengthExceeded => Self::TooLong,
            LinesCodecError::Io(error) => Self::Io(error),
        }
    }
}
