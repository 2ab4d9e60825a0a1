//! Accepts connections, serves HTTP/1.1 on each, and drains them at shutdown.
//!
//! Shutdown has two steps: `graceful` tells every connection to finish its request and close (idle ones close
//! at once); `forced` drops the connections that are still busy after the drain timeout. A task tracker
//! tells when all are closed.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use http::{Request, Response, StatusCode};
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1::{self, Parts};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::connection_limiter::{ConnectionLimiter, ConnectionPermit};
use super::framing::MAX_HEAD;
use super::socket::{Exchange, Socket};

/// The limits of connections.
#[derive(Debug, Clone, Copy)]
pub(super) struct ListenerOptions {
    pub(super) header_read_timeout: Duration,
    pub(super) drain_timeout: Duration,
}

/// The most bytes that hyper reads ahead: more than a head may have, so that [`Socket`] refuses a head that
/// is too long.
const MAX_READ_AHEAD: usize = 2 * MAX_HEAD;

/// How long to wait when the system cannot accept another connection, for instance for want of file
/// descriptors.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// Delays shorter than this are skipped: timers have a resolution of a millisecond.
const MIN_DELAY: Duration = Duration::from_millis(1);

/// Serves until `shutdown`, then drains. `limiter` admits the connections; `answer` gives a response and how long to delay it.
pub(super) async fn serve<A, F, B>(
    listener: TcpListener,
    mut limiter: ConnectionLimiter,
    options: ListenerOptions,
    shutdown: CancellationToken,
    answer: A,
) where
    A: Fn(SocketAddr, Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = (Response<B>, Duration)> + Send + 'static,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(options.header_read_timeout)
        .max_buf_size(MAX_READ_AHEAD)
        // Copying a response into one buffer costs less than a vectored write.
        .writev(false);
    let signals = Shutdown { graceful: CancellationToken::new(), forced: CancellationToken::new() };
    let connections = TaskTracker::new();
    while let Some((stream, peer, permit)) = accept(&listener, &mut limiter, &shutdown).await {
        connections.spawn(serve_connection(
            http.clone(),
            stream,
            peer,
            permit,
            signals.clone(),
            answer.clone(),
        ));
    }
    // New connections are refused from here on, not left waiting for nobody.
    drop(listener);
    signals.graceful.cancel();
    connections.close();
    if tokio::time::timeout(options.drain_timeout, connections.wait()).await.is_err() {
        tracing::warn!(connections = connections.len(), "requests in flight are cut off");
        signals.forced.cancel();
        connections.wait().await;
    }
}

/// The signals that end connections.
#[derive(Debug, Clone)]
struct Shutdown {
    /// Connections close after their current request.
    graceful: CancellationToken,
    /// Connections close at once.
    forced: CancellationToken,
}

/// Serves one connection until it ends.
async fn serve_connection<A, F, B>(
    http: http1::Builder,
    stream: TcpStream,
    peer: SocketAddr,
    permit: Arc<ConnectionPermit>,
    Shutdown { graceful, forced }: Shutdown,
    answer: A,
) where
    A: Fn(SocketAddr, Request<Incoming>) -> F,
    F: Future<Output = (Response<B>, Duration)> + Send + 'static,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let exchange = Arc::new(Exchange::default());
    let service = service_fn(|request: Request<Incoming>| {
        permit.mark_busy();
        exchange.begin(&request.body().size_hint());
        let answer = answer(peer, request);
        let (permit, graceful, exchange) = (&permit, &graceful, &exchange);
        async move {
            let (answer, pause) = answer.await;
            permit.mark_idle();
            if pause >= MIN_DELAY {
                delay(pause, permit, graceful).await;
            }
            exchange.end();
            Ok::<_, Infallible>(answer)
        }
    });
    let socket = Socket::new(stream, Arc::clone(&exchange));
    let mut connection = http.serve_connection(TokioIo::new(socket), service);
    let ended = tokio::select! {
        // Checked first, so that a delayed response is sent as the last one of its connection.
        biased;
        () = graceful.cancelled() => None,
        () = permit.evicted() => None,
        ended = &mut connection => Some(ended),
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            Pin::new(&mut connection).graceful_shutdown();
            tokio::select! {
                ended = &mut connection => ended,
                () = forced.cancelled() => return,
                () = permit.eviction_overdue() => return,
            }
        }
    };
    let Err(error) = ended else { return };
    tracing::debug!(%peer, %error, "a connection broke");
    let Parts { io, read_buf, .. } = connection.into_parts();
    let socket = io.into_inner();
    if let Some(status) = unanswered(&error, &socket, &read_buf) {
        // The response is short, and the socket bounds the wait for the client.
        let _ = Box::pin(refuse(socket, status)).await;
    }
}

/// The status for a head, arrived in part, that hyper gives up without a response.
fn unanswered(error: &hyper::Error, socket: &Socket, head: &[u8]) -> Option<StatusCode> {
    let head = head.trim_ascii_start();
    if head.is_empty() {
        return None;
    }
    if socket.has_too_long_a_head() {
        let is_first_line = !head.contains(&b'\n');
        return Some(match is_first_line {
            true => StatusCode::URI_TOO_LONG,
            false => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        });
    }
    if error.is_timeout() {
        Some(StatusCode::REQUEST_TIMEOUT)
    } else {
        error.is_incomplete_message().then_some(StatusCode::BAD_REQUEST)
    }
}

/// Sends a response without a body, as hyper does when it refuses a head, and closes.
async fn refuse(mut socket: Socket, status: StatusCode) -> std::io::Result<()> {
    let date = Utc::now().format("%a, %d %b %Y %H:%M:%S GMT");
    let answer =
        format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: 0\r\ndate: {date}\r\n\r\n");
    socket.write_all(answer.as_bytes()).await?;
    socket.shutdown().await
}

/// Waits for `pause`, or until the connection is evicted or the gateway shuts down. The future is boxed, so
/// that connections without a delay do not carry its size.
fn delay<'a>(
    pause: Duration,
    permit: &'a ConnectionPermit,
    graceful: &'a CancellationToken,
) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
    Box::pin(async move {
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = permit.evicted() => {}
            () = graceful.cancelled() => {}
        }
    })
}

/// Accepts the next connection and acquires its permit; `None` at shutdown.
async fn accept(
    listener: &TcpListener,
    limiter: &mut ConnectionLimiter,
    shutdown: &CancellationToken,
) -> Option<(TcpStream, SocketAddr, Arc<ConnectionPermit>)> {
    let next = async {
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => {
                    // Responses are written whole: waiting to fill a packet would only delay them.
                    let _ = stream.set_nodelay(true);
                    return Some((stream, peer, limiter.acquire().await?));
                }
                // The client has disconnected again.
                Err(error) if is_of_the_connection(&error) => {}
                Err(error) => {
                    tracing::warn!(%error, "cannot accept connections");
                    tokio::time::sleep(ACCEPT_RETRY).await;
                }
            }
        }
    };
    tokio::select! {
        biased;
        () = shutdown.cancelled() => None,
        next = next => next,
    }
}

/// Whether an error of accepting concerns the one connection only.
fn is_of_the_connection(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use http_body_util::Full;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::sync::Notify;
    use tokio::task::JoinHandle;

    /// A server whose `/slow` says when it was reached and answers when it is let go.
    struct Server {
        address: SocketAddr,
        shutdown: CancellationToken,
        reached: Arc<Notify>,
        go_on: Arc<Notify>,
        task: JoinHandle<()>,
    }

    async fn server(max_connections: usize, options: ListenerOptions) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let (reached, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (inner_reached, inner_go_on) = (Arc::clone(&reached), Arc::clone(&go_on));
        let answer = move |_peer, request: Request<Incoming>| {
            let (reached, go_on) = (Arc::clone(&inner_reached), Arc::clone(&inner_go_on));
            async move {
                if request.uri().path() == "/slow" {
                    reached.notify_one();
                    go_on.notified().await;
                }
                let pause = Duration::from_secs(if request.uri().path() == "/refused" { 3600 } else { 0 });
                (Response::new(Full::new(Bytes::from_static(b"done"))), pause)
            }
        };
        let limiter = ConnectionLimiter::new(max_connections);
        let task = tokio::spawn(serve(listener, limiter, options, shutdown.clone(), answer));
        Server { address, shutdown, reached, go_on, task }
    }

    const OPTIONS: ListenerOptions = ListenerOptions {
        header_read_timeout: Duration::from_secs(30),
        drain_timeout: Duration::from_secs(30),
    };

    async fn ask(address: SocketAddr, path: &str) -> TcpStream {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await.unwrap();
        stream
    }

    /// Reads to the end of the body `done`.
    async fn read_answer(stream: &mut TcpStream) -> String {
        let mut text = Vec::new();
        while !text.ends_with(b"done") {
            assert_ne!(stream.read_buf(&mut text).await.unwrap(), 0, "closed before the answer");
        }
        String::from_utf8(text).unwrap()
    }

    async fn is_closed(stream: &mut TcpStream) -> bool {
        matches!(stream.read(&mut [0; 64]).await, Ok(0) | Err(_))
    }

    #[tokio::test]
    async fn a_request_in_flight_is_answered_and_idle_connections_close() {
        let server = server(10, OPTIONS).await;
        let mut idle = ask(server.address, "/").await;
        assert!(read_answer(&mut idle).await.starts_with("HTTP/1.1 200 OK"));
        let mut unused = TcpStream::connect(server.address).await.unwrap();
        let mut busy = ask(server.address, "/slow").await;
        server.reached.notified().await;

        server.shutdown.cancel();
        assert!(is_closed(&mut idle).await);
        assert!(is_closed(&mut unused).await);
        assert!(!server.task.is_finished(), "it waits for the request in flight");
        assert!(TcpStream::connect(server.address).await.is_err(), "nothing new is accepted");

        server.go_on.notify_one();
        let answer = read_answer(&mut busy).await;
        assert!(answer.to_lowercase().contains("connection: close"), "{answer}");
        server.task.await.unwrap();
    }

    #[tokio::test]
    async fn a_delayed_response_is_sent_at_once_on_eviction_and_at_shutdown() {
        let server = server(1, OPTIONS).await;
        let mut refused = ask(server.address, "/refused").await;
        let mut byte = [0];
        let early = tokio::time::timeout(Duration::from_millis(30), refused.peek(&mut byte)).await;
        assert!(early.is_err(), "it is held back");
        let mut next = ask(server.address, "/").await;
        let answer = read_answer(&mut refused).await.to_lowercase();
        assert!(answer.contains("connection: close"), "{answer}");
        assert!(is_closed(&mut refused).await);
        assert!(read_answer(&mut next).await.starts_with("HTTP/1.1 200 OK"));
        drop(next);

        let mut last = ask(server.address, "/refused").await;
        let early = tokio::time::timeout(Duration::from_millis(30), last.peek(&mut byte)).await;
        assert!(early.is_err(), "it is held back");
        server.shutdown.cancel();
        let answer = read_answer(&mut last).await.to_lowercase();
        assert!(answer.contains("connection: close"), "{answer}");
        server.task.await.unwrap();
    }

    #[tokio::test]
    async fn draining_is_bounded() {
        let server =
            server(10, ListenerOptions { drain_timeout: Duration::from_millis(20), ..OPTIONS }).await;
        let mut busy = ask(server.address, "/slow").await;
        server.reached.notified().await;
        server.shutdown.cancel();
        server.task.await.unwrap();
        assert!(is_closed(&mut busy).await, "it was cut off without an answer");
    }

    #[tokio::test]
    async fn headers_that_do_not_come_close_the_connection() {
        let server =
            server(10, ListenerOptions { header_read_timeout: Duration::from_millis(20), ..OPTIONS }).await;
        let mut slow = TcpStream::connect(server.address).await.unwrap();
        slow.write_all(b"GET / HTTP/1.1\r\nHost:").await.unwrap();
        let mut said = String::new();
        let _ = slow.read_to_string(&mut said).await;
        assert!(said.is_empty() || said.starts_with("HTTP/1.1 408"), "{said}");
    }

    #[tokio::test]
    async fn everybody_who_asks_is_answered_however_few_connections_there_are() {
        let server = server(2, OPTIONS).await;
        let clients = (0..60).map(|_| async {
            let mut client = ask(server.address, "/").await;
            read_answer(&mut client).await
        });
        for answer in futures_util::future::join_all(clients).await {
            assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
        }
    }

    #[tokio::test]
    async fn one_connection_too_many_waits_for_its_turn() {
        let server = server(1, OPTIONS).await;
        let first = ask(server.address, "/slow").await;
        server.reached.notified().await;
        let mut second = ask(server.address, "/slow").await;
        let mut byte = [0];
        let early = tokio::time::timeout(Duration::from_millis(30), second.read(&mut byte)).await;
        assert!(early.is_err(), "the second is not served while the first is open");
        drop(first);
        server.reached.notified().await;
        server.go_on.notify_one();
        assert!(read_answer(&mut second).await.starts_with("HTTP/1.1 200 OK"));
    }
}
