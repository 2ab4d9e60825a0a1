//! Connecting to PostgreSQL, and asking it to stop.

use std::net::SocketAddr;

use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_postgres::config::SslMode;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{CancelToken, Client, Error};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::error::Failure;
use super::sessions::{self, Ends};
use super::tls;
use crate::database::Sessions;
use crate::database::server::{ServerDatabase, Tls};

/// What drives a connection.
pub(super) type Driver = JoinHandle<Result<(), Error>>;

/// A connection that was made.
pub(super) struct Dialled {
    pub(super) client: Client,
    pub(super) driver: Driver,
    /// Its ends, over TCP.
    pub(super) ends: Option<Ends>,
    /// The time zone that it is in, as the other side says.
    pub(super) zone: Option<String>,
}

/// How to connect: with what every pooler knows, since one that does not know a parameter refuses.
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

/// Connects.
pub(super) async fn dial(at: &ServerDatabase) -> Result<Dialled, Failure> {
    let server = &at.server;
    let connector = tls::connector(server.tls).map_err(Failure::Machine)?;
    let config = config(at);
    if server.host.starts_with('/') {
        let (client, connection) = config.connect(connector).await?;
        let zone = connection.parameter("TimeZone").map(str::to_owned);
        // What goes wrong in it, the client says.
        return Ok(Dialled { client, driver: tokio::spawn(connection), ends: None, zone });
    }
    let stream = TcpStream::connect((&*server.host, server.port)).await?;
    stream.set_nodelay(true)?;
    socket2::SockRef::from(&stream).set_keepalive(true)?;
    let ends = Ends { here: stream.local_addr()?, there: stream.peer_addr()? };
    let (client, connection) = config.connect_raw(stream, encryption(connector, &server.host)?).await?;
    let zone = connection.parameter("TimeZone").map(str::to_owned);
    Ok(Dialled { client, driver: tokio::spawn(connection), ends: Some(ends), zone })
}

type Encryption = <MakeRustlsConnect as MakeTlsConnect<TcpStream>>::TlsConnect;

fn encryption(mut connector: MakeRustlsConnect, host: &str) -> Result<Encryption, Failure> {
    MakeTlsConnect::<TcpStream>::make_tls_connect(&mut connector, host)
        .map_err(|error| Failure::Machine(error.to_string()))
}

/// Finds out whether a connection has a process of the server for itself.
pub(super) async fn find_sessions(at: &ServerDatabase, client: &Client, ends: Option<Ends>) -> Sessions {
    if let Some(ends) = ends
        && sessions::is_straight(client, ends).await
    {
        return Sessions::Own;
    }
    let found = sessions::by_turns(client, async { dial(at).await.ok().map(|other| other.client) }).await;
    tracing::debug!(database = %at, ?found, "it was found out whether sessions are shared");
    found
}

/// Asks the server to stop working on what a connection is at.
pub(super) async fn cancel(
    token: &CancelToken,
    at: &ServerDatabase,
    peer: Option<SocketAddr>,
) -> Result<(), Failure> {
    let connector = tls::connector(at.server.tls).map_err(Failure::Machine)?;
    let Some(peer) = peer else { return Ok(token.cancel_query(connector).await?) };
    let stream = TcpStream::connect(peer).await?;
    Ok(token.cancel_query_raw(stream, encryption(connector, &at.server.host)?).await?)
}
