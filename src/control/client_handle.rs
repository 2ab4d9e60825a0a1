//! A handle to the client of a connection.

use serde::Serialize;
use serde_json::value::RawValue;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::peer::Peer;
use crate::protocol::{Message, Notification, Outcome, RequestId, Response, RpcError};

/// Sends messages to the client. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct ClientHandle {
    lines: mpsc::Sender<String>,
    pub(super) peer: Peer,
    /// Cancelled when the client disconnects or the daemon ends.
    pub(super) disconnected: CancellationToken,
}

impl ClientHandle {
    pub(super) fn new(lines: mpsc::Sender<String>, peer: Peer, disconnected: CancellationToken) -> Self {
        Self { lines, peer, disconnected }
    }

    /// Sends a message; waits while the client does not read. Returns whether the client is still connected.
    pub(super) async fn send(&self, message: impl Serialize) -> bool {
        match Message::line(message) {
            Ok(line) => self.lines.send(line).await.is_ok(),
            Err(error) => {
                tracing::error!(%error, "a message cannot be written as JSON");
                true
            }
        }
    }

    /// Sends a notification; returns as [`ClientHandle::send`].
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
