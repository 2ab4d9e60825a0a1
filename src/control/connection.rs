//! One connection: lines in, answers out, several requests in flight.
//!
//! Reading and writing are apart. Each request is answered in a task of its own; all lines go out
//! through one bounded queue, so that a client that does not read slows itself: its queue fills,
//! its requests stay in flight, and nothing further is read from it.
//!
//! When the client hangs up, lifecycle commands go on to their end (they are operations of the
//! supervisor); only what merely waits or streams ends with it.

use std::sync::Arc;
use std::time::Duration;

use interprocess::local_socket::tokio::Stream;
use tokio::io::{AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use super::handlers::RequestHandler;
use super::lines::{LineMemory, LineReader};
use super::link::Link;
use super::peer::Peer;
use super::room::Guest;
use crate::protocol::{ErrorKind, Message, Request, Response, RpcError};

/// Requests of one connection that are worked on at a time.
const IN_FLIGHT: usize = 64;
/// Lines that wait to be written.
const QUEUE: usize = 256;
/// How long a connection that is refused gets to take the refusal.
const REFUSAL_TIME: Duration = Duration::from_secs(2);

/// What each connection is served with.
#[derive(Debug, Clone)]
pub(super) struct Service {
    pub(super) handler: Arc<RequestHandler>,
    pub(super) memory: LineMemory,
    pub(super) closing: CancellationToken,
}

/// Tells a connection for which there is no room why.
pub(super) async fn refuse(mut stream: Stream, error: RpcError) {
    let Ok(line) = Message::line(Response::error(None, error)) else { return };
    let writing = async { stream.write_all(format!("{line}\n").as_bytes()).await };
    // Whoever has gone, or reads nothing, is not told.
    let _ = tokio::time::timeout(REFUSAL_TIME, writing).await;
}

/// Serves a connection to its end.
pub(super) async fn run(stream: Stream, peer: Peer, admitted: bool, guest: Guest, service: Service) {
    let Service { handler, memory, closing } = service;
    let (receiver, sender) = tokio::io::split(stream);
    let (lines, queue) = mpsc::channel(QUEUE);
    let link = Link::new(lines, peer, closing.child_token());
    let writing = tokio::spawn(write(sender, queue, link.gone.clone()));
    if admitted {
        let read = read(LineReader::new(receiver, memory), &link, &handler, &guest).await;
        if let Some(error) = read.err() {
            link.send(Response::error(None, error)).await;
        }
    } else {
        tracing::warn!(%peer, "refused on the control socket");
        let error = RpcError::new(ErrorKind::PermissionDenied, format!("{peer} may not command this daemon"))
            .hint("use the daemon's own user or root, or a member of the group given with --socket-group");
        link.send(Response::error(None, error)).await;
    }
    // What only waits or streams ends here; what was asked for is still answered.
    link.gone.cancel();
    guest.requests.close();
    guest.requests.wait().await;
    drop(link);
    let _ = writing.await;
}

/// Reads requests until the client hangs up, or gives what it is told when that ends early.
async fn read(
    mut lines: LineReader<ReadHalf<Stream>>,
    link: &Link,
    handler: &Arc<RequestHandler>,
    guest: &Guest,
) -> Result<(), RpcError> {
    let room = Arc::new(Semaphore::new(IN_FLIGHT));
    while let Ok(place) = Arc::clone(&room).acquire_owned().await {
        let line = tokio::select! {
            line = lines.next(|| !guest.requests.is_empty()) => line,
            () = link.gone.cancelled() => return Ok(()),
            () = guest.leave.cancelled() => return Err(left()),
        };
        let line = match line {
            Ok(line) => line,
            Err(error) => return error.into_refusal().map_or(Ok(()), Err),
        };
        if line.bytes.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        guest.touch();
        match Request::parse(&line.bytes) {
            Ok(request) => {
                let (handler, link) = (Arc::clone(handler), link.clone());
                guest.requests.spawn(async move {
                    handler.dispatch(request, link).await;
                    drop((place, line.memory));
                });
            }
            Err(refusal) => {
                link.send(refusal).await;
            }
        }
    }
    Ok(())
}

/// What an idle connection is told that makes room for another.
fn left() -> RpcError {
    RpcError::new(ErrorKind::TooManyConnections, "this connection was idle and made room for another")
        .hint("connect again for the next request, and close connections that are not needed")
}

/// Writes lines until there are no more senders, or the client is gone.
async fn write(mut sender: WriteHalf<Stream>, mut queue: mpsc::Receiver<String>, gone: CancellationToken) {
    while let Some(mut line) = queue.recv().await {
        line.push('\n');
        if sender.write_all(line.as_bytes()).await.is_err() {
            gone.cancel();
            return;
        }
    }
    let _ = sender.flush().await;
}
