//! Rows on their way from a database, a few at a time.

use tokio::sync::mpsc;

use super::{DatabaseError, Row};

/// Rows that are under way at a time: their reader, not the memory, decides how fast they come.
const UNDER_WAY: usize = 64;

/// Where an engine puts rows; closed when nobody reads them any more.
pub(super) type RowSender = mpsc::Sender<Result<Row, DatabaseError>>;

/// Rows as they are read. Dropped before the end, the statement is given up.
#[derive(Debug)]
pub struct Rows {
    received: mpsc::Receiver<Result<Row, DatabaseError>>,
}

impl Rows {
    pub(super) fn channel() -> (RowSender, Self) {
        let (sender, received) = mpsc::channel(UNDER_WAY);
        (sender, Self { received })
    }

    /// The next row; `None` after the last. After an error there is nothing more.
    pub async fn next(&mut self) -> Option<Result<Row, DatabaseError>> {
        self.received.recv().await
    }
}
