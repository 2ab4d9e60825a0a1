//! The way back to a client, for whatever answers it.

use serde::Serialize;
use serde_json::value::RawValue;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::peer::Peer;
use crate::protocol::{Message, Notification, Outcome, RequestId, Response, RpcError};

/// What a request's task has of its connection.
#[derive(Debug, Clone)]
pub(super) struct Link {
    lines: mpsc::Sender<String>,
    pub(super) peer: Peer,
    /// Cancelled when the client hangs up or the daemon ends.
    pub(super) gone: CancellationToken,
}

impl Link {
    pub(super) fn new(lines: mpsc::Sender<String>, peer: Peer, gone: CancellationToken) -> Self {
        Self { lines, peer, gone }
    }

    /// Sends a message; waits while the client does not read. Gives whether it is still there.
    pub(super) async fn send(&self, message: impl Serialize) -> bool {
        match Message::line(message) {
            Ok(line) => self.lines.send(line).await.is_ok(),
            Err(error) => {
                tracing::error!(%error, "a message cannot be written as JSON");
                true
            }
        }
    }

    /// Sends news.
    pub(super) async fn notify(&self, method: &str, params: impl Serialize) -> bool {
        let params = serde_json::to_value(params).unwrap_or_default();
        self.send(Notification { method: method.to_owned(), params }).await
    }

    /// Sends the response to a request, its result as JSON text; a request without an ID gets none.
    pub(super) async fn respond(&self, id: Option<RequestId>, result: Result<Box<RawValue>, RpcError>) {
        let outcome = match result {
            Ok(result) => Outcome::Result(result),
            Err(error) => Outcome::Error(error),
        };
        if id.is_some() {
            self.send(Response { id, outcome }).await;
        }
    }
}
