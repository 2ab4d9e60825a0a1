//! A client of the control socket, for the command `nbapps`, for tests, and for other programs.
//!
//! [`Client::connect`] opens a connection and greets the daemon. [`Client::call`] sends a request and waits
//! for its result; any number of calls share a connection. [`Client::call_with_progress`] reports the
//! progress of a call. [`Client::events`] and [`Client::follow_logs`] turn the connection into a stream of
//! notifications. [`discovery`] finds the daemon that a command means, by the user's [`contexts`] among others,
//! [`autostart`] starts one when none answers, and [`paths`] has the default paths.
//!
//! ```no_run
//! # async fn example() -> Result<(), nbapps::client::ClientError> {
//! use nbapps::client::{Client, discovery};
//! use nbapps::protocol::methods::AppStart;
//! use nbapps::protocol::{AppId, ChangeState, Wait};
//!
//! let client = Client::connect(&discovery::find()?.address).await?;
//! let id = AppId::parse("crm").map_err(nbapps::protocol::RpcError::from)?;
//! let started = client.call::<AppStart>(ChangeState { id, wait: Wait::default() }).await?;
//! assert_eq!(started.application.state, nbapps::protocol::State::Running);
//! # Ok(())
//! # }
//! ```

mod address;
pub mod autostart;
mod connection;
pub mod contexts;
pub mod daemon_log;
pub mod discovery;
mod error;
pub mod paths;
pub mod shell;
mod socket;
mod ssh;
#[cfg(test)]
mod tests;

use std::marker::PhantomData;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use tokio::process::Command;
use tokio::sync::mpsc;
use tokio::time::Instant;

pub use address::{Address, InvalidAddress, SshHost};
pub use error::ClientError;
pub use socket::{open_socket, silent};

use crate::protocol::methods::{AppLogs, EventsSubscribe, HostHello, HostLogs, Method};
use crate::protocol::{
    ErrorKind, Event, Hello, LogLine, Logs, PROTOCOL_VERSION, Progress, ReadHostLogs, ReadLogs,
    SubscribeEvents, Subscribed, Welcome,
};
pub(crate) use connection::IncomingLine;
use connection::{Connection, RequestUpdate};
use ssh::Pipe;

/// A connection to a daemon that has answered the greeting.
///
/// Dropping it closes the connection. Operations of the daemon go on.
#[derive(Debug)]
pub struct Client {
    connection: Connection,
    /// The address, for error messages.
    address: String,
    welcome: Welcome,
    /// The program whose pipes are the connection.
    pipe: Option<Pipe>,
}

impl Client {
    /// Connects to `address` and greets the daemon. A daemon on this machine has 5 s to answer, or 30 s while
    /// it is starting. There is no time limit through `ssh`, which may ask for a password.
    ///
    /// # Errors
    /// [`ClientError::Unreachable`] when nothing listens at the address, [`ClientError::Silent`] when the
    /// daemon does not answer, and [`ClientError::ProtocolMismatch`] when it speaks another version of the
    /// protocol.
    pub async fn connect(address: &Address) -> Result<Self, ClientError> {
        Self::connect_within(address, Duration::MAX).await
    }

    /// Connects as [`Client::connect`] does, within `patience`, also through `ssh`.
    ///
    /// # Errors
    /// As [`Client::connect`].
    pub async fn connect_within(address: &Address, patience: Duration) -> Result<Self, ClientError> {
        let begun = Instant::now();
        let (limit, connecting) = match address {
            Address::Socket(path) => {
                let connecting = async {
                    let stream = open_socket(path).await?;
                    let (incoming, outgoing) = stream.into_split();
                    let mut client =
                        Self::new(Connection::open(incoming, outgoing), address.to_string(), None);
                    client.greet().await.map(|()| client)
                };
                (socket::greeting_time(path), futures_util::future::Either::Left(connecting))
            }
            Address::Ssh(host) => {
                let connecting = Self::connect_by(host.command(), address.to_string(), Some(host.clone()));
                (Duration::MAX, futures_util::future::Either::Right(connecting))
            }
        };
        match tokio::time::timeout(limit.min(patience), connecting).await {
            Ok(connected) => connected,
            Err(_) => Err(socket::silent(address, begun.elapsed())),
        }
    }

    /// Connects through the standard input and output of a program, such as `ssh` that runs
    /// `nbapps daemon dial-stdio` on another machine. What the program writes to standard error goes to this
    /// process's. Error messages name the connection `address`.
    ///
    /// # Errors
    /// As [`Client::connect`], and [`ClientError::Program`] when no daemon answers through the program.
    pub async fn connect_through(command: Command, address: impl Into<String>) -> Result<Self, ClientError> {
        Self::connect_by(command, address.into(), None).await
    }

    async fn connect_by(
        command: Command,
        address: String,
        host: Option<SshHost>,
    ) -> Result<Self, ClientError> {
        let (pipe, outgoing, incoming) = Pipe::open(command, &address, host)?;
        let mut client = Self::new(Connection::open(incoming, outgoing), address, Some(pipe));
        match client.greet().await {
            Err(ClientError::Lost { address, .. }) => match &client.pipe {
                Some(pipe) => Err(pipe.failure(address, client.connection.noise()).await),
                None => Err(client.lost().await),
            },
            Err(ClientError::Rpc(mut error)) => {
                // The other end names its own socket, and not the machine.
                error.message = format!("{}: {}", client.address, error.message);
                Err(ClientError::Rpc(error))
            }
            Err(error) => Err(error),
            Ok(()) => Ok(client),
        }
    }

    fn new(connection: Connection, address: String, pipe: Option<Pipe>) -> Self {
        let welcome = Welcome { server: String::new(), protocol: PROTOCOL_VERSION, main_url: String::new() };
        Self { connection, address, welcome, pipe }
    }

    async fn greet(&mut self) -> Result<(), ClientError> {
        let hello =
            Hello { client: format!("nbapps {}", env!("CARGO_PKG_VERSION")), protocol: PROTOCOL_VERSION };
        self.welcome = match self.call::<HostHello>(hello).await {
            Ok(welcome) if welcome.protocol == PROTOCOL_VERSION => welcome,
            Ok(welcome) => {
                return Err(ClientError::ProtocolMismatch {
                    message: format!(
                        "{} speaks version {} of the control protocol, this program speaks version {PROTOCOL_VERSION}",
                        welcome.server, welcome.protocol
                    ),
                });
            }
            Err(ClientError::Rpc(error)) if error.kind() == ErrorKind::ProtocolMismatch => {
                return Err(ClientError::ProtocolMismatch { message: error.message });
            }
            Err(error) => return Err(error),
        };
        Ok(())
    }

    /// The daemon's answer to the greeting.
    #[must_use]
    pub fn welcome(&self) -> &Welcome {
        &self.welcome
    }

    /// Calls a method and waits for its result.
    ///
    /// # Errors
    /// [`ClientError::Rpc`] with the daemon's error; [`ClientError::Lost`] when the connection ends before the
    /// response; [`ClientError::Unexpected`] when the response cannot be parsed.
    pub async fn call<M: Method>(&self, params: M::Params) -> Result<M::Result, ClientError> {
        self.call_with_progress::<M>(params, |_| {}).await
    }

    /// Calls a method, reports its progress, and waits for its result.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn call_with_progress<M: Method>(
        &self,
        params: M::Params,
        mut progress: impl FnMut(Progress),
    ) -> Result<M::Result, ClientError> {
        let unexpected =
            |error: serde_json::Error| ClientError::Unexpected { method: M::NAME, why: error.to_string() };
        let params = serde_json::to_value(params).map_err(unexpected)?;
        let mut replies = self.connection.send(M::NAME, params).map_err(unexpected)?;
        while let Some(reply) = replies.recv().await {
            match reply {
                RequestUpdate::Progress(update) => progress(update),
                RequestUpdate::Answer(Err(error)) => return Err(ClientError::Rpc(error)),
                RequestUpdate::Answer(Ok(result)) => {
                    return serde_json::from_str(result.get()).map_err(unexpected);
                }
            }
        }
        Err(self.lost().await)
    }

    /// Subscribes to the events from now on.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn events(
        self,
        params: SubscribeEvents,
    ) -> Result<(Subscribed, Notifications<Event>), ClientError> {
        let notifications = self.connection.notifications("event");
        let subscribed = self.call::<EventsSubscribe>(params).await?;
        Ok((
            subscribed,
            Notifications { notifications, client: self, method: EventsSubscribe::NAME, item: PhantomData },
        ))
    }

    /// Reads the daemon's own log, and follows it.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn follow_host_logs(
        self,
        params: ReadHostLogs,
    ) -> Result<(Logs, Notifications<LogLine>), ClientError> {
        let notifications = self.connection.notifications("log");
        let logs = self.call::<HostLogs>(ReadHostLogs { follow: true, ..params }).await?;
        Ok((logs, Notifications { notifications, client: self, method: HostLogs::NAME, item: PhantomData }))
    }

    /// Reads the logs of applications, and follows them.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn follow_logs(self, params: ReadLogs) -> Result<(Logs, Notifications<LogLine>), ClientError> {
        let notifications = self.connection.notifications("log");
        let logs = self.call::<AppLogs>(ReadLogs { follow: true, ..params }).await?;
        Ok((logs, Notifications { notifications, client: self, method: AppLogs::NAME, item: PhantomData }))
    }

    /// Whether the daemon answers on this connection, within `patience`. One that has ended does not, also when it
    /// ended while nobody looked.
    pub async fn answers(&self, patience: Duration) -> bool {
        let hello =
            Hello { client: format!("nbapps {}", env!("CARGO_PKG_VERSION")), protocol: PROTOCOL_VERSION };
        matches!(tokio::time::timeout(patience, self.call::<HostHello>(hello)).await, Ok(Ok(_)))
    }

    /// Waits until the daemon closes the connection.
    pub async fn closed(&self) {
        self.connection.closed().await;
    }

    async fn lost(&self) -> ClientError {
        if let Some(error) = self.connection.refusal() {
            return ClientError::Rpc(error);
        }
        let program = match &self.pipe {
            // Before the greeting, `failure` says more.
            Some(pipe) if !self.welcome.server.is_empty() => pipe.why_lost().await,
            _ => None,
        };
        let why = program.unwrap_or_else(|| self.connection.why_lost());
        ClientError::Lost { address: self.address.clone(), why }
    }
}

/// A stream of notifications of one kind, which ends with the connection.
///
/// It owns the connection: notifications do not say which of several streams they belong to.
#[derive(Debug)]
pub struct Notifications<T> {
    notifications: mpsc::UnboundedReceiver<Box<RawValue>>,
    client: Client,
    method: &'static str,
    item: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned> Notifications<T> {
    /// Waits for the next notification.
    ///
    /// # Errors
    /// [`ClientError::Lost`] when the connection has ended; [`ClientError::Unexpected`] when the notification
    /// cannot be parsed.
    pub async fn next(&mut self) -> Result<T, ClientError> {
        match self.notifications.recv().await {
            Some(params) => serde_json::from_str(params.get())
                .map_err(|error| ClientError::Unexpected { method: self.method, why: error.to_string() }),
            None => Err(self.client.lost().await),
        }
    }
}
