//! Serves one connection: reads requests, several of them in flight, and writes responses.
//!
//! Each request is handled in a task of its own. All lines go out through one bounded queue, so that a
//! client that does not read slows only itself: its queue fills, its requests stay in flight, and no
//! further request is read from it.
//!
//! When the client disconnects, lifecycle commands go on (they are operations of the supervisor); waits
//! and streams end.

use std::sync::Arc;
use std::time::Duration;

use interprocess::local_socket::tokio::Stream;
use tokio::io::{AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use super::client_handle::{ClientHandle, OutgoingLine};
use super::connection_limit::ClientPermit;
use super::handlers::RequestHandler;
use super::line_reader::{LineMemory, LineReader};
use super::peer::Peer;
use crate::protocol::{ErrorKind, Message, Request, Response, RpcError};

/// Requests of one connection in flight at a time.
const MAX_IN_FLIGHT: usize = 64;
/// Lines of one connection that wait to be written.
const MAX_QUEUED_LINES: usize = 256;
/// How long writing the error to a refused connection may take.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(2);

/// What every connection uses.
#[derive(Debug, Clone)]
pub(super) struct Service {
    pub(super) handler: Arc<RequestHandler>,
    pub(super) memory: LineMemory,
    pub(super) closing: CancellationToken,
}

/// Refuses a connection with an error.
pub(super) async fn refuse(mut stream: Stream, error: RpcError) {
    let Ok(line) = Message::line(Response::error(None, error)) else { return };
    let writing = async { stream.write_all(format!("{line}\n").as_bytes()).await };
    // A client that has disconnected, or does not read, misses the error.
    let _ = tokio::time::timeout(REFUSAL_TIMEOUT, writing).await;
}

/// Serves a connection until it ends.
pub(super) async fn run(
    stream: Stream,
    peer: Peer,
    is_authorized: bool,
    permit: ClientPermit,
    service: Service,
) {
    let Service { handler, memory, closing } = service;
    let (receiver, sender) = tokio::io::split(stream);
    let (lines, queue) = mpsc::channel(MAX_QUEUED_LINES);
    let client = ClientHandle::new(lines, peer, closing.child_token());
    let writing = tokio::spawn(write(sender, queue, client.disconnected.clone()));
    if is_authorized {
        let read = read(LineReader::new(receiver, memory), &client, &handler, &permit).await;
        if let Some(error) = read.err() {
            client.send(Response::error(None, error)).await;
        }
    } else {
        tracing::warn!(%peer, "refused on the control socket");
        let error = RpcError::new(ErrorKind::PermissionDenied, format!("{peer} is not allowed to use this control socket"))
            .hint("run the command as the daemon's user, as root, or as a member of the group that --socket-group names");
        client.send(Response::error(None, error)).await;
    }
    // Waits and streams end here; the other requests still get their responses.
    client.disconnected.cancel();
    permit.requests.close();
    permit.requests.wait().await;
    drop(client);
    let _ = writing.await;
}

/// Reads requests until the client disconnects.
///
/// # Errors
/// The error to send to the client when reading ends for another reason.
async fn read(
    mut lines: LineReader<ReadHalf<Stream>>,
    client: &ClientHandle,
    handler: &Arc<RequestHandler>,
    permit: &ClientPermit,
) -> Result<(), RpcError> {
    let in_flight = Arc::new(Semaphore::new(MAX_IN_FLIGHT));
    while let Ok(slot) = Arc::clone(&in_flight).acquire_owned().await {
        let line = tokio::select! {
            line = lines.next(|| !permit.requests.is_empty()) => line,
            () = client.disconnected.cancelled() => return Ok(()),
            () = permit.evicted.cancelled() => return Err(evicted()),
        };
        let line = match line {
            Ok(line) => line,
            Err(error) => return error.into_refusal().map_or(Ok(()), Err),
        };
        if line.bytes.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        permit.mark_active();
        match Request::parse(&line.bytes) {
            Ok(request) => {
                let (handler, client) = (Arc::clone(handler), client.clone());
                permit.requests.spawn(async move {
                    handler.dispatch(request, client).await;
                    drop((slot, line.memory));
                });
            }
            Err(refusal) => {
                client.send(refusal).await;
            }
        }
    }
    Ok(())
}

/// The error for an idle connection that is closed to make room for another.
fn evicted() -> RpcError {
    RpcError::new(ErrorKind::TooManyConnections, "this idle connection was closed to make room for another")
        .hint("connect again for the next request, and close connections that are not needed")
}

/// Writes lines until there are no more senders, or the client has disconnected.
async fn write(
    mut sender: WriteHalf<Stream>,
    mut queue: mpsc::Receiver<OutgoingLine>,
    disconnected: CancellationToken,
) {
    while let Some(OutgoingLine { mut text, written }) = queue.recv().await {
        text.push('\n');
        if sender.write_all(text.as_bytes()).await.is_err() {
            disconnected.cancel();
            return;
        }
        if let Some(written) = written {
            // A request that was given up needs no receipt.
            let _ = written.send(());
        }
    }
    let _ = sender.flush().await;
}
