//! Requests by which the daemon reaches itself as a browser would: by a domain, over TLS if the public URL says so.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bytes::Bytes;
use http::header::{HOST, USER_AGENT};
use http::{Request, StatusCode};
use http_body_util::Empty;
use hyper_util::rt::TokioIo;
use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// How long one address may take to connect, and to answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// Where a browser goes for a domain: the scheme and the port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entrance {
    pub(super) https: bool,
    pub(super) port: u16,
}

impl Entrance {
    pub(super) fn http(port: u16) -> Self {
        Self { https: false, port }
    }

    /// The URL of a host, without a path.
    pub(super) fn url(self, host: &str) -> String {
        let scheme = if self.https { "https" } else { "http" };
        format!("{scheme}://{}", self.authority(host))
    }

    /// The host with the port, unless that is the scheme's own.
    fn authority(self, host: &str) -> String {
        let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        match (self.https, self.port) {
            (true, 443) | (false, 80) => host,
            (_, port) => format!("{host}:{port}"),
        }
    }
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NoAnswer {
    /// Nothing accepts connections.
    Connect(String),
    /// The encryption failed, mostly because of the certificate.
    Tls(String),
    /// A connection was made, and no answer to the request came over it.
    Http(String),
}

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(reason) | Self::Tls(reason) | Self::Http(reason) => f.write_str(reason),
        }
    }
}

/// Requests a path of `host` at one of its addresses. Redirects are not followed.
pub(super) async fn request(
    entrance: Entrance,
    host: &str,
    address: SocketAddr,
    path: &str,
) -> Result<StatusCode, NoAnswer> {
    let connected = tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await;
    let stream = match connected {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return Err(NoAnswer::Connect(reason(&error))),
        Err(_) => {
            return Err(NoAnswer::Connect(format!("no connection within {} s", CONNECT_TIMEOUT.as_secs())));
        }
    };
    let authority = entrance.authority(host);
    let answered = async {
        if !entrance.https {
            return exchange(stream, &authority, path).await;
        }
        let config = TLS.clone().map_err(NoAnswer::Tls)?;
        let name = ServerName::try_from(host.to_owned()).map_err(|error| NoAnswer::Tls(error.to_string()))?;
        let encrypted = TlsConnector::from(config).connect(name, stream).await;
        let encrypted = encrypted.map_err(|error| NoAnswer::Tls(error.to_string()))?;
        exchange(encrypted, &authority, path).await
    };
    tokio::time::timeout(ANSWER_TIMEOUT, answered)
        .await
        .unwrap_or_else(|_| Err(NoAnswer::Http(format!("no answer within {} s", ANSWER_TIMEOUT.as_secs()))))
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    authority: &str,
    path: &str,
) -> Result<StatusCode, NoAnswer> {
    let broken = |error: &dyn fmt::Display| NoAnswer::Http(format!("it does not answer in HTTP: {error}"));
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(|error| broken(&error))?;
    let request = Request::get(path)
        .header(HOST, authority)
        .header(USER_AGENT, "nbapps-doctor")
        .body(Empty::<Bytes>::new())
        .map_err(|error| broken(&error))?;
    // In a task of its own: a server may close the connection right behind its answer.
    let driving = tokio::spawn(connection);
    let answer = sender.send_request(request).await;
    driving.abort();
    answer.map(|response| response.status()).map_err(|error| broken(&error))
}

/// The reason of a failed connection in a few words.
fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "nothing listens there".to_owned(),
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
            "there is no route to it".to_owned()
        }
        _ => error.to_string(),
    }
}

/// Verifies certificates by the authorities that this machine trusts, as browsers do.
static TLS: LazyLock<Result<Arc<ClientConfig>, String>> = LazyLock::new(|| {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        return Err("this machine has no list of certificate authorities".to_owned());
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().map_err(|error| error.to_string())?;
    Ok(Arc::new(builder.with_root_certificates(roots).with_no_client_auth()))
});

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn the_port_of_the_scheme_is_left_out() {
        for (entrance, host, expected) in [
            (Entrance { https: true, port: 443 }, "a.example", "https://a.example"),
            (Entrance { https: true, port: 8443 }, "a.example", "https://a.example:8443"),
            (Entrance::http(80), "a.example", "http://a.example"),
            (Entrance::http(13000), "::1", "http://[::1]:13000"),
        ] {
            assert_eq!(entrance.url(host), expected);
        }
    }

    /// A server that reads a request and writes this.
    async fn answering(text: &'static str) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = [0; 1024];
            let read = stream.read(&mut head).await.unwrap();
            let head = String::from_utf8_lossy(&head[..read]).to_lowercase();
            assert!(head.starts_with("get /x http/1.1") && head.contains("host: a.example"), "{head}");
            stream.write_all(text.as_bytes()).await.unwrap();
        });
        address
    }

    #[tokio::test]
    async fn answers_and_their_absence_are_told_apart() {
        let ask = async |address: SocketAddr| {
            request(Entrance::http(address.port()), "a.example", address, "/x").await
        };
        let found = answering("HTTP/1.1 302 Found\r\nlocation: /y\r\ncontent-length: 0\r\n\r\n").await;
        assert_eq!(ask(found).await, Ok(StatusCode::FOUND));
        let strange = answering("220 mail.example ESMTP\r\n").await;
        assert!(matches!(ask(strange).await, Err(NoAnswer::Http(_))));
        let silent = answering("").await;
        assert!(matches!(ask(silent).await, Err(NoAnswer::Http(_))));
        let unused = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        assert_eq!(ask(unused).await, Err(NoAnswer::Connect("nothing listens there".to_owned())));
    }

    #[tokio::test]
    async fn a_server_without_tls_is_named_so() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
            let _ = stream.read(&mut [0; 1024]).await;
        });
        let entrance = Entrance { https: true, port: address.port() };
        let failed = request(entrance, "a.example", address, "/").await;
        assert!(matches!(failed, Err(NoAnswer::Tls(_))), "{failed:?}");
    }
}
