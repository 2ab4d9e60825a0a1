//! The HTTP server in front of all applications.
//!
//! `listener.rs` accepts connections, at most as many as `connection_limiter.rs` allows, and drains them at
//! the end; `socket.rs` and `framing.rs` close them so that no response is lost, and refuse what hyper
//! would wait for. `handler.rs` answers each request: `forwarded.rs` reads the client's address, scheme and
//! host, `router.rs` finds the application and what of it is requested, `validation.rs` refuses what cannot
//! be passed on, `body.rs` reads the body; then the [`Supervisor`] lends the application, whose API or pages
//! answer. `layers.rs` adds the request's ID, its log span (`request_span.rs`) and compression, and turns a panic into a
//! 500.
//! `access_log.rs` writes the line of the application's access log.
//! `errors.rs` has the gateway's own responses, `cors.rs` those to other origins; `host_view.rs` is what pages
//! see of the host; `watch.rs` notices what the checks of the host ask for; `cooperative_yield.rs` shares the cores.
//!
//! | request | answer |
//! |---|---|
//! | `/`, `/apps/<id>`, `/admin` | a redirect to the start page |
//! | `/admin/…`, `/apps/<id>/admin/…` | a page of the application |
//! | `/assets/…` | stylesheet and icon |
//! | `/api/…`, `/api/__app/<id>/…` | the application's API |
//! | `/api/__health_check` | `ok` when the application runs |
//!
//! No request waits for a lock of the gateway.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket};
use tokio_util::sync::CancellationToken;

use crate::supervisor::Supervisor;

mod access_log;
mod body;
mod connection_limiter;
mod cooperative_yield;
mod cors;
mod errors;
mod forwarded;
mod framing;
mod handler;
mod host_view;
mod layers;
mod listener;
mod request_span;
mod router;
mod socket;
mod validation;
mod watch;

use connection_limiter::ConnectionLimiter;
pub use forwarded::Network;
use handler::Handler;
pub use request_span::OnDemand;
pub use watch::{GatewayWatch, ProbeArrival};

/// The settings of the gateway.
#[derive(Debug, Clone)]
pub struct GatewayOptions {
    /// The address to listen on; port 0 takes any that is free.
    pub listen: SocketAddr,
    /// The base path of the API (NocoBase's `API_BASE_PATH`).
    pub api_base_path: String,
    /// Proxies whose `X-Forwarded-*` headers are trusted.
    pub trusted_proxies: Vec<Network>,
    /// How long a connection may take to send the headers of a request, and how long it may be idle.
    pub header_read_timeout: Duration,
    /// How long requests in flight may go on at shutdown.
    pub drain_timeout: Duration,
    /// The most connections at a time; for a further one, those that have been idle the longest are closed.
    pub max_connections: usize,
}

impl Default for GatewayOptions {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 13000)),
            api_base_path: "/api/".to_owned(),
            trusted_proxies: Vec::new(),
            header_read_timeout: Duration::from_secs(30),
            drain_timeout: Duration::from_secs(10),
            max_connections: 10_000,
        }
    }
}

/// Why the gateway cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// Another program listens on the address.
    #[error("cannot listen for HTTP on {address}: another program uses the port")]
    PortTaken {
        /// The address.
        address: SocketAddr,
    },
    /// The user may not listen on the port.
    #[error("cannot listen for HTTP on {address}: this user may not use that port")]
    PortForbidden {
        /// The address.
        address: SocketAddr,
    },
    /// The address is not one of this machine's, or listening failed otherwise.
    #[error("cannot listen for HTTP on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The error of the system.
        source: io::Error,
    },
    /// The API base path is not a path, or hides the pages.
    #[error("invalid API base path \"{path}\": {problem}")]
    ApiBasePath {
        /// The path.
        path: String,
        /// What is wrong with it.
        problem: &'static str,
    },
}

impl GatewayError {
    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::PortTaken { address } => format!(
                "stop that program (`ss -ltnp 'sport = :{}'` shows it), or choose another port with --listen",
                address.port()
            ),
            Self::PortForbidden { .. } => {
                "ports below 1024 are for root: choose a higher one with --listen, and put a proxy in front"
                    .to_owned()
            }
            Self::Listen { .. } => {
                "check that the address belongs to this machine; 0.0.0.0 listens on all of its addresses"
                    .to_owned()
            }
            Self::ApiBasePath { .. } => "set API_BASE_PATH to a path such as /api/".to_owned(),
        }
    }

    fn listen(address: SocketAddr, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::AddrInUse => Self::PortTaken { address },
            io::ErrorKind::PermissionDenied => Self::PortForbidden { address },
            _ => Self::Listen { address, source },
        }
    }
}

/// The gateway, bound to its address; [`run`](Self::run) answers requests.
pub struct Gateway {
    listener: TcpListener,
    address: SocketAddr,
    api_base: String,
    options: GatewayOptions,
    watch: Arc<GatewayWatch>,
}

impl std::fmt::Debug for Gateway {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gateway").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Gateway {
    /// Listens on the address. Connections wait in the system's queue until [`run`](Self::run).
    ///
    /// # Errors
    /// When the API base path is invalid or the address cannot be listened on.
    pub async fn bind(options: GatewayOptions) -> Result<Self, GatewayError> {
        let api_base = api_base(&options.api_base_path)?;
        let (listener, address) = listen(options.listen).await?;
        Ok(Self { listener, address, api_base, options, watch: Arc::default() })
    }

    /// The address that it listens on, with the actual port.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// What it notices while it runs.
    #[must_use]
    pub fn watch(&self) -> Arc<GatewayWatch> {
        Arc::clone(&self.watch)
    }

    /// Answers requests until `shutdown`; then lets those in flight end within the drain timeout, and closes.
    pub async fn run(self, supervisor: Arc<Supervisor>, shutdown: CancellationToken) {
        tracing::info!(address = %self.address, "the gateway answers requests");
        let options = listener::ListenerOptions {
            header_read_timeout: self.options.header_read_timeout,
            drain_timeout: self.options.drain_timeout,
        };
        let limiter = ConnectionLimiter::new(self.options.max_connections);
        supervisor.set_connection_gauge(limiter.gauge());
        let handler = Arc::new(Handler {
            supervisor,
            api_base: self.api_base,
            trusted_proxies: self.options.trusted_proxies,
            watch: self.watch,
        });
        let handle = move |peer: SocketAddr, request| {
            let handler = Arc::clone(&handler);
            async move { handler.handle(peer.ip(), request).await }
        };
        listener::serve(self.listener, limiter, options, shutdown, handle).await;
        tracing::info!("the gateway is closed");
    }
}

/// Connections that the system queues until they are accepted: many at once must not keep others out. The
/// system may allow fewer (`net.core.somaxconn`).
const BACKLOG: u32 = 4096;

/// Binds the address. With port 0 the system chooses the port, hence the address beside the listener.
async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), GatewayError> {
    let failed = |source| GatewayError::listen(address, source);
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
    let socket = socket.map_err(failed)?;
    socket.set_reuseaddr(true).map_err(failed)?;
    socket.bind(address).map_err(failed)?;
    let listener = socket.listen(BACKLOG).map_err(failed)?;
    let taken = listener.local_addr().map_err(failed)?;
    Ok((listener, taken))
}

/// Checks whether a gateway could listen on an address: listens on it for a moment.
///
/// # Errors
/// As [`Gateway::bind`].
pub async fn check_listening(address: SocketAddr) -> Result<(), GatewayError> {
    listen(address).await.map(drop)
}

/// The API base path with a slash at both ends.
///
/// # Errors
/// When it is the path of a page, or has characters that are not allowed.
pub(crate) fn api_base(path: &str) -> Result<String, GatewayError> {
    let invalid = |problem| GatewayError::ApiBasePath { path: path.to_owned(), problem };
    let inner = path.trim_matches('/');
    if inner.is_empty() {
        return Err(invalid("it must not be the root path, which the pages have"));
    }
    if !inner.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'-' | b'_' | b'.' | b'~')) {
        return Err(invalid("only letters, digits and / - _ . ~ are allowed"));
    }
    if ["admin", "apps", "assets"].contains(&inner.split('/').next().unwrap_or_default()) {
        return Err(invalid("the pages have this path"));
    }
    Ok(format!("/{inner}/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_api_base_has_a_slash_at_both_ends_and_hides_no_page() {
        for (given, used) in [("/api/", "/api/"), ("/api", "/api/"), ("v1/api", "/v1/api/")] {
            assert_eq!(api_base(given).unwrap(), used);
        }
        for (given, says) in [
            ("/", "root"),
            ("", "root"),
            ("/admin/api/", "pages"),
            ("apps", "pages"),
            ("/a b/", "allowed"),
            ("/a?b/", "allowed"),
        ] {
            let said = api_base(given).unwrap_err();
            assert!(said.to_string().contains(says), "{given}: {said}");
            assert!(said.hint().contains("API_BASE_PATH"));
        }
    }

    #[tokio::test]
    async fn a_port_that_is_taken_is_named() {
        let (_held, address) = listen(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        assert_ne!(address.port(), 0);
        let error = listen(address).await.unwrap_err();
        assert!(matches!(error, GatewayError::PortTaken { address: taken } if taken == address), "{error}");
    }

    #[test]
    fn why_it_cannot_listen_is_said_with_what_to_do() {
        let address = SocketAddr::from(([127, 0, 0, 1], 13000));
        for (kind, says, hint) in [
            (io::ErrorKind::AddrInUse, "another program uses the port", "sport = :13000"),
            (io::ErrorKind::PermissionDenied, "may not use that port", "below 1024"),
            (io::ErrorKind::AddrNotAvailable, "cannot listen for HTTP on 127.0.0.1:13000", "0.0.0.0"),
        ] {
            let error = GatewayError::listen(address, kind.into());
            assert!(error.to_string().contains(says), "{error}");
            assert!(error.to_string().contains("127.0.0.1:13000"), "{error}");
            assert!(error.hint().contains(hint), "{}", error.hint());
        }
    }
}
