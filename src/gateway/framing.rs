//! Tracks the framing of HTTP/1.1 messages (RFC 9112) in the bytes of a connection, far enough to know where
//! a head ends and how long a chunk claims to be. hyper parses and validates the messages.

use crate::protocol::Limit;

/// The longest head of a request: its request line and headers together, in bytes.
pub(super) const MAX_HEAD: usize = 64 * 1024;

/// The largest chunk that is read: no application accepts a longer body.
const MAX_CHUNK: u64 = *Limit::BodyBytes.range().end();

/// The part of a message that comes next on a connection.
#[derive(Debug)]
pub(super) enum Framing {
    Head(Head),
    /// A body with this many bytes to come.
    Length(u64),
    Chunked(Chunks),
}

impl Framing {
    /// Counts the bytes that belong to this part. What the bytes after them are is known only once hyper has
    /// parsed these.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Result<usize, ChunkTooLarge> {
        let (taken, ends) = match self {
            Self::Head(head) => return Ok(head.take(bytes)),
            Self::Length(left) => {
                let taken = usize::try_from(*left).map_or(bytes.len(), |left| left.min(bytes.len()));
                *left -= taken as u64;
                (taken, *left == 0)
            }
            Self::Chunked(chunks) => chunks.take(bytes)?,
        };
        if ends {
            *self = Self::Head(Head::default());
        }
        Ok(taken)
    }
}

/// The head of a request, as far as it has arrived.
#[derive(Debug, Default)]
pub(super) struct Head {
    length: usize,
    line: LineEnd,
}

/// What the head ends with so far.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum LineEnd {
    #[default]
    Text,
    /// The end of a line.
    Newline,
    /// The end of a line and a carriage return.
    Return,
}

impl Head {
    /// The number of bytes that have arrived.
    pub(super) fn length(&self) -> usize {
        self.length
    }

    /// Counts the bytes that belong to the head: those up to an empty line, at most one more than
    /// [`MAX_HEAD`].
    fn take(&mut self, bytes: &[u8]) -> usize {
        let bytes = &bytes[..bytes.len().min((MAX_HEAD + 1).saturating_sub(self.length))];
        let mut taken = bytes.len();
        for at in memchr::memchr_iter(b'\n', bytes) {
            let before = match &bytes[..at] {
                [] => self.line,
                [b'\r'] if self.line == LineEnd::Newline => LineEnd::Return,
                [.., b'\n'] => LineEnd::Newline,
                [.., b'\n', b'\r'] => LineEnd::Return,
                _ => LineEnd::Text,
            };
            if before != LineEnd::Text {
                taken = at + 1;
                break;
            }
        }
        self.line = match &bytes[..taken] {
            [] => self.line,
            [.., b'\n'] => LineEnd::Newline,
            [.., b'\n', b'\r'] => LineEnd::Return,
            [b'\r'] if self.line == LineEnd::Newline => LineEnd::Return,
            _ => LineEnd::Text,
        };
        self.length += taken;
        taken
    }
}

/// A chunk claims to be longer than any body may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a chunk claims to have more than {MAX_CHUNK} bytes, which no body may have")]
pub(super) struct ChunkTooLarge;

/// A chunked body, as far as it has arrived.
#[derive(Debug)]
pub(super) enum Chunks {
    /// The size of a chunk, in hexadecimal digits.
    Size(u64),
    /// The rest of the line with the size.
    SizeLine(u64),
    /// The data of a chunk, with this many bytes to come.
    Bytes(u64),
    /// The line end after the data.
    BytesEnd,
    /// The trailers, which an empty line ends; whether the current line is empty so far.
    Trailers { line_is_empty: bool },
}

impl Chunks {
    /// Counts the bytes that belong to the body, and says whether it ends with them.
    fn take(&mut self, bytes: &[u8]) -> Result<(usize, bool), ChunkTooLarge> {
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            if let Self::Bytes(left) = *self {
                let taken = usize::try_from(left).map_or(bytes.len() - at, |left| left.min(bytes.len() - at));
                at += taken;
                let left = left - taken as u64;
                *self = if left == 0 { Self::BytesEnd } else { Self::Bytes(left) };
                continue;
            }
            at += 1;
            if self.step(byte)? {
                return Ok((at, true));
            }
        }
        Ok((at, false))
    }

    /// Looks at a byte that is of no chunk's own; says whether the body ends with it.
    fn step(&mut self, byte: u8) -> Result<bool, ChunkTooLarge> {
        match (&mut *self, byte) {
            (Self::Size(size) | Self::SizeLine(size), b'\n') => {
                *self = if *size == 0 { Self::Trailers { line_is_empty: true } } else { Self::Bytes(*size) };
            }
            (Self::Size(size), _) => match char::from(byte).to_digit(16) {
                Some(digit) => {
                    *size = *size * 16 + u64::from(digit);
                    if *size > MAX_CHUNK {
                        return Err(ChunkTooLarge);
                    }
                }
                None => *self = Self::SizeLine(*size),
            },
            (Self::BytesEnd, b'\n') => *self = Self::Size(0),
            (Self::Trailers { line_is_empty }, b'\n') => {
                return Ok(std::mem::replace(line_is_empty, true));
            }
            (Self::Trailers { .. }, b'\r') | (Self::SizeLine(_) | Self::BytesEnd | Self::Bytes(_), _) => {}
            (Self::Trailers { line_is_empty }, _) => *line_is_empty = false,
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_ends_with_an_empty_line_however_it_comes() {
        for (text, end) in [
            ("GET / HTTP/1.1\r\nHost: x\r\n\r\nbody", 27),
            ("GET / HTTP/1.1\nHost: x\n\nbody", 24),
            ("GET / HTTP/1.1\r\nHost: x\n\r\nbody", 26),
            ("\r\nGET / HTTP/1.1\r\n\r\nGET", 20),
        ] {
            for piece in 1..text.len() {
                let mut head = Head::default();
                let mut begun = 0;
                while begun < end {
                    let given = &text.as_bytes()[begun..text.len().min(begun + piece)];
                    let taken = head.take(given);
                    begun += taken;
                    assert!(taken == given.len() || begun == end, "{text:?} by {piece}: cut at {begun}");
                }
                assert_eq!((begun, head.length()), (end, end), "{text:?} by {piece}");
            }
        }
    }

    #[test]
    fn a_head_takes_one_byte_more_than_it_may_have() {
        let mut head = Head::default();
        assert_eq!(head.take(&vec![b'a'; MAX_HEAD]), MAX_HEAD);
        assert_eq!(head.take(b"aaa"), 1);
        assert_eq!(head.take(b"aaa"), 0);
        assert_eq!(head.length(), MAX_HEAD + 1);
    }

    #[test]
    fn a_body_ends_where_it_said_and_the_next_head_follows() {
        let chunked = b"3;a=b\r\nab\n\r\n0\r\nTrailer: x\r\n\r\nGET /";
        for piece in 1..=29 {
            let mut framing = Framing::Chunked(Chunks::Size(0));
            for given in chunked[..29].chunks(piece) {
                assert!(matches!(framing, Framing::Chunked(_)), "by {piece}");
                assert_eq!(framing.take(given), Ok(given.len()), "by {piece}");
            }
            assert!(matches!(framing, Framing::Head(_)), "by {piece}");
        }
        let mut framing = Framing::Chunked(Chunks::Size(0));
        assert_eq!(framing.take(chunked).unwrap(), 29);
        let mut framing = Framing::Length(4);
        assert_eq!(framing.take(b"ab").unwrap(), 2);
        assert_eq!(framing.take(b"cdGET").unwrap(), 2);
        assert!(matches!(framing, Framing::Head(_)));
    }

    #[test]
    fn a_chunk_that_no_body_can_have_is_refused_by_its_size() {
        for size in ["FFFFFFFFFFFFFFFF", "fffffffffffffffffffffffff", "40000001", "7fffffffffffffff;x"] {
            let mut framing = Framing::Chunked(Chunks::Size(0));
            assert_eq!(framing.take(size.as_bytes()), Err(ChunkTooLarge), "{size}");
        }
        let mut framing = Framing::Chunked(Chunks::Size(0));
        assert_eq!(framing.take(b"00000000000040000000\r\n"), Ok(22));
    }
}
