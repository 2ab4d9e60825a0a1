//! The control socket from outside: a library for the shell command, for tests, and for other
//! programs.
//!
//! [`Client::connect`] opens a connection and greets the daemon; [`Client::call`] sends a request
//! and waits for its answer, any number of them at a time. News that belong to a request
//! (progress) come through [`Client::call_with_progress`]; streams that go on until the
//! connection closes take the connection for themselves: [`Client::events`] and
//! [`Client::follow_logs`]. [`autostart`] starts a daemon where none answers, and [`paths`] knows
//! where the daemon and its clients meet.
//!
//! ```no_run
//! # async fn example() -> Result<(), nbapps::client::ClientError> {
//! use nbapps::client::{Address, Client};
//! use nbapps::protocol::methods::AppStart;
//! use nbapps::protocol::{AppId, ChangeState, Wait};
//!
//! let client = Client::connect(&Address::default()).await?;
//! let id = AppId::parse("crm").map_err(nbapps::protocol::RpcError::from)?;
//! let started = client.call::<AppStart>(ChangeState { id, wait: Wait::default() }).await?;
//! assert_eq!(started.application.state, nbapps::protocol::State::Running);
//! # Ok(())
//! # }
//! ```

mod address;
pub mod autostart;
mod connection;
mod error;
pub mod paths;
mod socket;
#[cfg(test)]
mod tests;

use std::marker::PhantomData;
use std::process::Stdio;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio::time::Instant;

pub use address::{Address, InvalidAddress};
pub use error::ClientError;
pub use socket::{open_socket, silent};

use crate::protocol::methods::{AppLogs, EventsSubscribe, HostHello, Method};
use crate::protocol::{
    ErrorKind, Event, Hello, LogLine, Logs, PROTOCOL_VERSION, Progress, ReadLogs, SubscribeEvents,
    Subscribed, Welcome,
};
pub(crate) use connection::Line;
use connection::{Connection, Reply};

/// An open connection to a daemon that has been greeted.
///
/// Dropping it closes the connection. What the daemon was asked to do goes on to its end.
#[derive(Debug)]
pub struct Client {
    connection: Connection,
    /// Where it leads, as error messages name it.
    address: String,
    welcome: Welcome,
    /// The program whose pipes are the connection; kept because dropping it would end it.
    _pipe: Option<Child>,
}

impl Client {
    /// Connects to `address` and greets the daemon. A daemon of this machine has five seconds to
    /// answer, and half a minute while it is starting; one behind `ssh` is waited for, because
    /// `ssh` may ask for a password.
    ///
    /// # Errors
    /// [`ClientError::Unreachable`] when nothing is there, [`ClientError::Silent`] when a daemon is
    /// there and does not answer, and [`ClientError::ProtocolMismatch`] when what answers speaks
    /// another version.
    pub async fn connect(address: &Address) -> Result<Self, ClientError> {
        Self::connect_within(address, Duration::MAX).await
    }

    /// As [`Client::connect`], within `patience` at most, also through `ssh`.
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
                    Self::greet(Connection::open(incoming, outgoing), address.to_string(), None).await
                };
                (socket::greeting_time(path), futures_util::future::Either::Left(connecting))
            }
            Address::Ssh(host) => {
                let connecting = Self::connect_through(host.command(), address.to_string());
                (Duration::MAX, futures_util::future::Either::Right(connecting))
            }
        };
        match tokio::time::timeout(limit.min(patience), connecting).await {
            Ok(connected) => connected,
            Err(_) => Err(socket::silent(address, begun.elapsed())),
        }
    }

    /// Connects through the standard input and output of a program, such as `ssh` running
    /// `nbapps daemon dial-stdio` somewhere else. Its standard error stays ours, so that it can
    /// say what it has to say. `address` is what error messages call the connection.
    ///
    /// # Errors
    /// As [`Client::connect`].
    pub async fn connect_through(
        mut command: Command,
        address: impl Into<String>,
    ) -> Result<Self, ClientError> {
        let address = address.into();
        let program = command.as_std().get_program().to_string_lossy().into_owned();
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true).spawn().map_err(
                |error| ClientError::Unreachable {
                    address: address.clone(),
                    why: format!("{program} could not be run: {error}"),
                    cause: error.kind(),
                },
            )?;
        let (Some(outgoing), Some(incoming)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(ClientError::unreachable(&address, std::io::Error::other("no pipes to the program")));
        };
        match Self::greet(Connection::open(incoming, outgoing), address.clone(), Some(child)).await {
            Err(ClientError::Lost { .. }) => Err(ClientError::Unreachable {
                address,
                why: format!("{program} ended before a daemon answered"),
                cause: std::io::ErrorKind::ConnectionAborted,
            }),
            greeted => greeted,
        }
    }

    async fn greet(
        connection: Connection,
        address: String,
        pipe: Option<Child>,
    ) -> Result<Self, ClientError> {
        let welcome = Welcome { server: String::new(), protocol: PROTOCOL_VERSION, main_url: String::new() };
        let mut client = Self { connection, address, welcome, _pipe: pipe };
        let hello =
            Hello { client: format!("nbapps {}", env!("CARGO_PKG_VERSION")), protocol: PROTOCOL_VERSION };
        client.welcome = match client.call::<HostHello>(hello).await {
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
        Ok(client)
    }

    /// What the daemon said to the greeting.
    #[must_use]
    pub fn welcome(&self) -> &Welcome {
        &self.welcome
    }

    /// Calls a method and waits for its result.
    ///
    /// # Errors
    /// [`ClientError::Rpc`] with the daemon's error; [`ClientError::Lost`] when the connection
    /// ends before the answer; [`ClientError::Unexpected`] when the answer cannot be read.
    pub async fn call<M: Method>(&self, params: M::Params) -> Result<M::Result, ClientError> {
        self.call_with_progress::<M>(params, |_| {}).await
    }

    /// Calls a method, hands on how far it has come, and waits for its result.
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
                Reply::Progress(news) => progress(news),
                Reply::Answer(Err(error)) => return Err(ClientError::Rpc(error)),
                Reply::Answer(Ok(result)) => {
                    return serde_json::from_str(result.get()).map_err(unexpected);
                }
            }
        }
        Err(self.lost())
    }

    /// Asks for every event from now on.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn events(self, params: SubscribeEvents) -> Result<(Subscribed, News<Event>), ClientError> {
        let news = self.connection.news("event");
        let subscribed = self.call::<EventsSubscribe>(params).await?;
        Ok((subscribed, News { news, client: self, method: EventsSubscribe::NAME, item: PhantomData }))
    }

    /// Reads an application's log, and follows it from there.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn follow_logs(self, params: ReadLogs) -> Result<(Logs, News<LogLine>), ClientError> {
        let news = self.connection.news("log");
        let logs = self.call::<AppLogs>(ReadLogs { follow: true, ..params }).await?;
        Ok((logs, News { news, client: self, method: AppLogs::NAME, item: PhantomData }))
    }

    /// Waits until the daemon closes the connection.
    pub async fn closed(&self) {
        self.connection.closed().await;
    }

    fn lost(&self) -> ClientError {
        if let Some(error) = self.connection.refusal() {
            return ClientError::Rpc(error);
        }
        ClientError::Lost { address: self.address.clone(), why: self.connection.why_lost() }
    }
}

/// News of one kind, one after the other, until the connection ends.
///
/// It holds its connection alone: the lines on the wire do not say which of several streams they
/// belong to.
#[derive(Debug)]
pub struct News<T> {
    news: mpsc::UnboundedReceiver<Box<RawValue>>,
    client: Client,
    method: &'static str,
    item: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned> News<T> {
    /// The next one.
    ///
    /// # Errors
    /// [`ClientError::Lost`] when the connection has ended; [`ClientError::Unexpected`] when what
    /// came cannot be read.
    pub async fn next(&mut self) -> Result<T, ClientError> {
        match self.news.recv().await {
            Some(news) => serde_json::from_str(news.get())
                .map_err(|error| ClientError::Unexpected { method: self.method, why: error.to_string() }),
            None => Err(self.client.lost()),
        }
    }
}
