//! Streams rows from a database to their reader, a few at a time.

use tokio::sync::mpsc;

use super::{DatabaseError, Row};

/// The rows buffered at a time: the reader sets the pace, and memory stays bounded.
const MAX_BUFFERED: usize = 64;

/// The engine's end of the stream; closed once the reader is gone.
pub(super) type RowSender = mpsc::Sender<Result<Row, DatabaseError>>;

/// A stream of rows. Dropping it before the end cancels the statement.
#[derive(Debug)]
pub struct Rows {
    received: mpsc::Receiver<Result<Row, DatabaseError>>,
}

impl Rows {
    pub(super) fn channel() -> (RowSender, Self) {
        let (sender, received) = mpsc::channel(MAX_BUFFERED);
        (sender, Self { received })
    }

    /// Receives the next row; `None` after the last. Nothing follows an error.
    pub async fn next(&mut self) -> Option<Result<Row, DatabaseError>> {
        self.received.recv().await
    }
}
