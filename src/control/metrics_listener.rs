//! `GET /metrics` over HTTP, for Prometheus: a listener of its own, which is off unless it is configured. The
//! gateway, which strangers reach, never serves metrics: they name the applications and tell how busy each is.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::supervisor::Supervisor;

/// The path of the metrics.
const PATH: &str = "/metrics";
/// The most connections at a time; others wait.
pub const MAX_METRICS_CONNECTIONS: usize = 4;
/// How long a client may take to send the headers of its request.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a connection may take altogether.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(30);
/// How long to wait when the system cannot accept another connection.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// The address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen for requests of metrics on {address}: {error}")]
pub struct MetricsListenError {
    address: SocketAddr,
    error: io::Error,
}

impl MetricsListenError {
    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> String {
        "choose another address for the key metrics.listen (NBAPPS_METRICS_LISTEN), or leave it out; \
         `nbapps metrics` prints the same"
            .to_owned()
    }
}

/// The listener, bound to its address; [`serve`](Self::serve) answers requests.
#[derive(Debug)]
pub struct MetricsListener {
    listener: TcpListener,
    address: SocketAddr,
}

impl MetricsListener {
    /// Listens on the address; with port 0, the system chooses the port.
    ///
    /// # Errors
    /// When the address cannot be listened on.
    pub async fn bind(address: SocketAddr) -> Result<Self, MetricsListenError> {
        let failed = |error| MetricsListenError { address, error };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, address })
    }

    /// The address that it listens on, with the actual port.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers requests until `closing`.
    pub async fn serve(self, supervisor: Arc<Supervisor>, closing: CancellationToken) {
        if !self.address.ip().is_loopback() {
            tracing::warn!(
                address = %self.address,
                "everybody who reaches this address can read the metrics, which name all applications"
            );
        }
        let serving = async {
            let permits = Arc::new(Semaphore::new(MAX_METRICS_CONNECTIONS));
            while let Ok(permit) = Arc::clone(&permits).acquire_owned().await {
                match self.listener.accept().await {
                    Ok((stream, _)) => {
                        let connection = serve_connection(stream, Arc::clone(&supervisor));
                        tokio::spawn(async move {
                            let _permit = permit;
                            // Whoever is too slow reads the metrics another time.
                            let _ = tokio::time::timeout(CONNECTION_TIMEOUT, connection).await;
                        });
                    }
                    Err(error) => {
                        tracing::warn!(%error, "cannot accept a connection for metrics");
                        tokio::time::sleep(ACCEPT_RETRY).await;
                    }
                }
            }
        };
        tokio::select! {
            () = serving => {}
            () = closing.cancelled() => {}
        }
    }
}

/// Answers one request, and closes the connection: one that is kept would take the place of another client.
async fn serve_connection(stream: TcpStream, supervisor: Arc<Supervisor>) {
    let service = service_fn(move |request: Request<hyper::body::Incoming>| {
        let supervisor = Arc::clone(&supervisor);
        async move { Ok::<_, Infallible>(respond(&request, &supervisor).await) }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT).keep_alive(false);
    if let Err(error) = http.serve_connection(TokioIo::new(stream), service).await {
        tracing::debug!(%error, "a connection for metrics broke");
    }
}

async fn respond<B>(request: &Request<B>, supervisor: &Supervisor) -> Response<Full<Bytes>> {
    let plain = |status, text: &'static str| response(status, "text/plain; charset=utf-8", text.into());
    if request.uri().path() != PATH {
        return plain(StatusCode::NOT_FOUND, "there is nothing here; the metrics are at /metrics\n");
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut refusal = plain(StatusCode::METHOD_NOT_ALLOWED, "this address allows GET and HEAD only\n");
        refusal.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return refusal;
    }
    let metrics = supervisor.metrics().await;
    response(StatusCode::OK, &metrics.content_type, metrics.text.into())
}

fn response(status: StatusCode, content_type: &str, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    let content_type =
        HeaderValue::from_str(content_type).unwrap_or(HeaderValue::from_static("text/plain; charset=utf-8"));
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
