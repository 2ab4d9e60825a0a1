//! A handle to the client of a connection.

use serde::Serialize;
use serde_json::value::RawValue;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::peer::Peer;
use crate::protocol::{Message, Notification, Outcome, RequestId, Response, RpcError};

/// A line on its way to the client.
#[derive(Debug)]
pub(super) struct OutgoingLine {
    pub(super) text: String,
    /// Told when the line is written; dropped when it cannot be.
    pub(super) written: Option<oneshot::Sender<()>>,
}

/// Sends messages to the client. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct ClientHandle {
    lines: mpsc::Sender<OutgoingLine>,
    pub(super) peer: Peer,
    /// Cancelled when the client disconnects or the daemon ends.
    pub(super) disconnected: CancellationToken,
}

impl ClientHandle {
    pub(super) fn new(
        lines: mpsc::Sender<OutgoingLine>,
        peer: Peer,
        disconnected: CancellationToken,
    ) -> Self {
        Self { lines, peer, disconnected }
    }

    /// Sends a message; waits while the client does not read. Returns whether the client is still connected.
    pub(super) async fn send(&self, message: impl Serialize) -> bool {
        match Message::line(message) {
            Ok(text) => self.lines.send(OutgoingLine { text, written: None }).await.is_ok(),
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
        if id.is_some() {
            self.send(response(id, result)).await;
        }
    }

    /// Sends the response as [`ClientHandle::respond`] does; returns whether it was written to a client that is
    /// still connected.
    pub(super) async fn deliver(
        &self,
        id: Option<RequestId>,
        result: Result<Box<RawValue>, RpcError>,
    ) -> bool {
        let Some(text) = id.and_then(|id| Message::line(response(Some(id), result)).ok()) else {
            return false;
        };
        let (written, is_written) = oneshot::channel();
        let line = OutgoingLine { text, written: Some(written) };
        self.lines.send(line).await.is_ok() && is_written.await.is_ok()
    }
}

fn response(id: Option<RequestId>, result: Result<Box<RawValue>, RpcError>) -> Response<Box<RawValue>> {
    let outcome = match result {
        Ok(result) => Outcome::Result(result),
        Err(error) => Outcome::Error(error),
    };
    Response { id, outcome }
}
