//! One connection: lines in, answers out, several requests in flight.
//!
//! Reading and writing are apart. Each request is answered in a task of its own; all lines go out
//! through one bounded queue, so that a client that does not read slows itself: its queue fills,
//! its requests stay in flight, and nothing further is read from it.
//!
//! When the client hangs up, lifecycle commands go on to their end (they are operations of the
//! supervisor); only what merely waits or streams ends with it.

use std::sync::Arc;

use interprocess::local_socket::tokio::Stream;
use tokio::io::{AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::{Semaphore, mpsc};
use tokio_stream::StreamExt;
use tokio_util::codec::{AnyDelimiterCodec, AnyDelimiterCodecError, FramedRead};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::dispatch::Host;
use super::link::Link;
use super::peer::Peer;
use crate::protocol::lines::MAX_LINE;
use crate::protocol::{ErrorKind, Request, Response, RpcError};

/// Requests of one connection that are worked on at a time.
const IN_FLIGHT: usize = 64;
/// Lines that wait to be written.
const QUEUE: usize = 256;

/// Serves a connection to its end.
pub(super) async fn run(
    stream: Stream,
    peer: Peer,
    admitted: bool,
    host: Arc<Host>,
    closing: CancellationToken,
) {
    let (receiver, sender) = tokio::io::split(stream);
    let (lines, queue) = mpsc::channel(QUEUE);
    let link = Link::new(lines, peer, closing.child_token());
    let requests = TaskTracker::new();
    let writing = tokio::spawn(write(sender, queue, link.gone.clone()));
    let codec = AnyDelimiterCodec::new_with_max_length(b"\n".to_vec(), b"\n".to_vec(), MAX_LINE);
    if admitted {
        read(FramedRead::new(receiver, codec), &link, &host, &requests).await;
    } else {
        tracing::warn!(%peer, "refused on the control socket");
        let error = RpcError::new(ErrorKind::PermissionDenied, format!("{peer} may not command this daemon"))
            .hint("use the daemon's own user or root, or a member of the group given with --socket-group");
        link.send(Response::error(None, error)).await;
    }
    // What only waits or streams ends here; what was asked for is still answered.
    link.gone.cancel();
    requests.close();
    requests.wait().await;
    drop(link);
    let _ = writing.await;
}

async fn read(
    mut lines: FramedRead<ReadHalf<Stream>, AnyDelimiterCodec>,
    link: &Link,
    host: &Arc<Host>,
    requests: &TaskTracker,
) {
    let room = Arc::new(Semaphore::new(IN_FLIGHT));
    while let Ok(place) = Arc::clone(&room).acquire_owned().await {
        let line = tokio::select! {
            line = lines.next() => line,
            () = link.gone.cancelled() => return,
        };
        match line {
            Some(Ok(line)) if line.iter().all(u8::is_ascii_whitespace) => {}
            Some(Ok(line)) => match Request::parse(&line) {
                Ok(request) => {
                    let (host, link) = (Arc::clone(host), link.clone());
                    requests.spawn(async move {
                        host.answer(request, link).await;
                        drop(place);
                    });
                }
                Err(refusal) => {
                    link.send(refusal).await;
                }
            },
            Some(Err(AnyDelimiterCodecError::MaxChunkLengthExceeded)) => {
                let error = RpcError::new(ErrorKind::LineTooLong, "a line is longer than 4 MiB")
                    .hint("the connection is closed; send shorter requests");
                link.send(Response::error(None, error)).await;
                return;
            }
            Some(Err(AnyDelimiterCodecError::Io(_))) | None => return,
        }
    }
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
