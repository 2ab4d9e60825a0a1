//! The line framing of the control socket.

/// The longest request that the daemon accepts, in bytes, without its line feed.
pub const MAX_LINE: usize = 4 * 1024 * 1024;
