//! `nbapps daemon dial-stdio`: the far end of `--host ssh://`.
//!
//! It ends with its input, once what was asked for is answered; when the daemon closes; and when
//! nobody is left to read its output, as when `ssh` was killed. A daemon that does not answer ends
//! it too: without that, each command would leave a process here.

use std::io;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use tokio::io::{AsyncWriteExt as _, copy};
use tokio::time::Instant;

use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::client::{Address, Client, ClientError, open_socket, silent};

/// How long the daemon may take to greet.
const GREETING: Duration = Duration::from_secs(5);

/// How often the daemon is greeted while its answers are waited for after the end of the input.
const CHECK: Duration = Duration::from_secs(10);

/// Carries bytes between standard input and output and the control socket.
pub(super) async fn run(context: &Context) -> Result<(), CliError> {
    let path = context.local_socket()?;
    let address = Address::Socket(path.clone());
    check(&address).await?;
    let failed = |error| CliError::Io { what: format!("the connection to {address} failed"), error };
    let begun = Instant::now();
    let opened = tokio::time::timeout(GREETING, open_socket(&path)).await;
    let stream = opened.unwrap_or_else(|_| Err(silent(&address, begun.elapsed())))?;
    let (mut from_daemon, mut to_daemon) = stream.into_split();
    let upward = async {
        copy(&mut tokio::io::stdin(), &mut to_daemon).await.map_err(failed)?;
        to_daemon.shutdown().await.map_err(failed)?;
        // The daemon closes when it has answered: until then, only whether it is alive.
        loop {
            tokio::time::sleep(CHECK).await;
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

/// Fails when the daemon does not answer, or is gone.
async fn check(address: &Address) -> Result<(), ClientError> {
    Client::connect_within(address, GREETING).await.map(drop)
}

/// Waits until nobody can read standard output any more: the other end of its pipe or socket was
/// closed. Forever where it is a file.
async fn reader_gone() {
    // The wait cannot be taken back; its thread ends with the process.
    let waiting = tokio::task::spawn_blocking(|| {
        loop {
            let stdout = io::stdout();
            // Errors and hang-ups are told without being asked for.
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
