//! (room)

pub mod arguments;
