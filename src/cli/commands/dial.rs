//! `nbapps daemon dial-stdio`: the remote end of `--host ssh://`.
//!
//! It ends after the end of its input, once all requests are answered; when the daemon closes the connection;
//! and when its output is closed, for instance because `ssh` was killed. It also ends when the daemon does
//! not answer: otherwise each command would leave a process behind.
//!
//! It reports its errors as the daemon refuses a connection, by a response without an ID: the near end knows which
//! machine it asked, and says what to do there.

use std::io;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use tokio::io::{AsyncWriteExt as _, copy};
use tokio::time::Instant;

use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::client::{Address, Client, ClientError, open_socket, silent};
use crate::protocol::{Message, Response};

/// How long the daemon may take to answer the greeting.
const GREETING_TIMEOUT: Duration = Duration::from_secs(5);

/// How often the daemon is checked after the end of the input, while its responses are outstanding.
const CHECK_INTERVAL: Duration = Duration::from_secs(10);

/// Connects standard input and output with the control socket, and reports errors to the near end.
pub(super) async fn run(context: &Context) -> Result<(), CliError> {
    match connect(context).await {
        Err(CliError::Client(error)) => {
            let exit = CliError::Client(error.clone()).exit();
            let line = Message::line(Response::<serde_json::Value>::error(None, error.into_report()));
            context.console.raw(&line.map_err(io::Error::other).map_err(CliError::Output)?)?;
            Err(CliError::Reported(exit))
        }
        ended => ended,
    }
}

/// Copies bytes between standard input and output and the control socket.
async fn connect(context: &Context) -> Result<(), CliError> {
    let path = context.socket_here()?;
    let address = Address::Socket(path.clone());
    check(&address).await?;
    let failed = |error| CliError::Io { what: format!("the connection to {address} failed"), error };
    let begun = Instant::now();
    let opened = tokio::time::timeout(GREETING_TIMEOUT, open_socket(&path)).await;
    let stream = opened.unwrap_or_else(|_| Err(silent(&address, begun.elapsed())))?;
    let (mut from_daemon, mut to_daemon) = stream.into_split();
    let upward = async {
        copy(&mut tokio::io::stdin(), &mut to_daemon).await.map_err(failed)?;
        to_daemon.shutdown().await.map_err(failed)?;
        // The daemon closes the connection when it has answered; until then, check that it is alive.
        loop {
            tokio::time::sleep(CHECK_INTERVAL).await;
            check(&address).await?;
        }
    };
    let downward = async {
        let mut stdout = tokio::io::stdout();
        copy(&mut from_daemon, &mut stdout).await?;
        stdout.flush().await
    };
    tokio::select! {
        ended = upward => ended,
        ended = downward => ended.map_err(failed),
        () = reader_gone() => Ok(()),
    }
}

/// Fails when the daemon does not answer, or has ended.
async fn check(address: &Address) -> Result<(), ClientError> {
    Client::connect_within(address, GREETING_TIMEOUT).await.map(drop)
}

/// Waits until the other end of standard output is closed, a pipe or a socket; forever for a file.
async fn reader_gone() {
    // The wait cannot be cancelled; its thread ends with the process.
    let waiting = tokio::task::spawn_blocking(|| {
        loop {
            let stdout = io::stdout();
            // Errors and hang-ups are always reported.
            let mut watched = [PollFd::new(&stdout, PollFlags::empty())];
            match poll(&mut watched, None) {
                Err(rustix::io::Errno::INTR) => {}
                Err(_) => return false,
                Ok(_) => return true,
            }
        }
    });
    if !waiting.await.unwrap_or(false) {
        std::future::pending::<()>().await;
    }
}
