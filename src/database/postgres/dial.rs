//! Connects to PostgreSQL, and sends cancellations.

use std::net::SocketAddr;

use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_postgres::config::SslMode;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{CancelToken, Client, Error};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::error::ConnectionFailure;
use super::session_mode::{self, Endpoints};
use super::tls;
use crate::database::Sessions;
use crate::database::server::{ServerDatabase, Tls};

/// The task that drives a connection.
pub(super) type Driver = JoinHandle<Result<(), Error>>;

/// A new connection.
pub(super) struct NewConnection {
    pub(super) client: Client,
    pub(super) driver: Driver,
    /// Its addresses, over TCP.
    pub(super) ends: Option<Endpoints>,
    /// The session's time zone, as the server reports it.
    pub(super) zone: Option<String>,
}

/// The configuration of a connection. It has only parameters that every pooler knows, since poolers refuse
/// others.
fn config(at: &ServerDatabase) -> tokio_postgres::Config {
    let server = &at.server;
    let mut config = tokio_postgres::Config::new();
    config.user(&server.user).dbname(&at.name).port(server.port).application_name("nbapps");
    if server.host.starts_with('/') {
        config.host_path(&server.host);
    } else {
        config.host(&server.host);
    }
    if let Some(password) = &server.password {
        config.password(password);
    }
    config.ssl_mode(match server.tls {
        Tls::Disable => SslMode::Disable,
        Tls::Prefer => SslMode::Prefer,
        Tls::Require | Tls::VerifyFull => SslMode::Require,
    });
    config
}

/// Connects to the database's server.
pub(super) async fn dial(at: &ServerDatabase) -> Result<NewConnection, ConnectionFailure> {
    let server = &at.server;
    let connector = tls::connector(server.tls).map_err(ConnectionFailure::Machine)?;
    let config = config(at);
    if server.host.starts_with('/') {
        let (client, connection) = config.connect(connector).await?;
        let zone = connection.parameter("TimeZone").map(str::to_owned);
        // The client reports the driver's errors.
        return Ok(NewConnection { client, driver: tokio::spawn(connection), ends: None, zone });
    }
    let stream = TcpStream::connect((&*server.host, server.port)).await?;
    stream.set_nodelay(true)?;
    socket2::SockRef::from(&stream).set_keepalive(true)?;
    let ends = Endpoints { local: stream.local_addr()?, remote: stream.peer_addr()? };
    let (client, connection) = config.connect_raw(stream, encryption(connector, &server.host)?).await?;
    let zone = connection.parameter("TimeZone").map(str::to_owned);
    Ok(NewConnection { client, driver: tokio::spawn(connection), ends: Some(ends), zone })
}

type Encryption = <MakeRustlsConnect as MakeTlsConnect<TcpStream>>::TlsConnect;

fn encryption(mut connector: MakeRustlsConnect, host: &str) -> Result<Encryption, ConnectionFailure> {
    MakeTlsConnect::<TcpStream>::make_tls_connect(&mut connector, host)
        .map_err(|error| ConnectionFailure::Machine(error.to_string()))
}

/// Finds out whether a connection has a session of its own.
pub(super) async fn detect_session_mode(
    at: &ServerDatabase,
    client: &Client,
    ends: Option<Endpoints>,
) -> Sessions {
    if let Some(ends) = ends
        && session_mode::is_direct(client, ends).await
    {
        return Sessions::Own;
    }
    let found =
        session_mode::by_alternation(client, async { dial(at).await.ok().map(|other| other.client) }).await;
    tracing::debug!(database = %at, ?found, "checked whether sessions are shared");
    found
}

/// Asks the server to cancel the statement that a connection runs.
pub(super) async fn cancel(
    token: &CancelToken,
    at: &ServerDatabase,
    peer: Option<SocketAddr>,
) -> Result<(), ConnectionFailure> {
    let connector = tls::connector(at.server.tls).map_err(ConnectionFailure::Machine)?;
    let Some(peer) = peer else { return Ok(token.cancel_query(connector).await?) };
    let stream = TcpStream::connect(peer).await?;
    Ok(token.cancel_query_raw(stream, encryption(connector, &at.server.host)?).await?)
}
