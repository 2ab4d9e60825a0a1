//! Lines that are not typed: standard input is a script.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader};
use std::os::fd::AsFd as _;

use tokio::sync::mpsc::{Receiver, channel};

use super::line;
use super::session::{Next, Session};
use crate::cli::error::CliError;
use crate::cli::exit::Exit;

/// Runs the lines of standard input up to its end, `exit`, or a command that fails; with `keep_going` also those
/// behind it. Gives the exit code of the command that failed, of several the most severe one.
pub(super) fn run(session: &mut Session, keep_going: bool) -> Result<Exit, CliError> {
    let mut lines = lines()?;
    let (mut number, mut worst) = (0, Exit::Done);
    loop {
        let Some((words, length)) = next_command(session, &mut lines, number)? else { return Ok(worst) };
        let first = number + 1;
        number += length;
        if session.run(words) == Next::End {
            return Ok(worst);
        }
        worst = Exit::worst([worst, session.last]);
        // Who presses Ctrl-C means the script.
        if session.last == Exit::Interrupted || (session.last != Exit::Done && !keep_going) {
            session.console().note(&format!("the script ended at line {first}"));
            return Ok(session.last);
        }
    }
}

/// The words of the next command, and on how many lines it is; `None` at the end. `number` is that of the line before.
fn next_command(
    session: &Session,
    lines: &mut Receiver<Result<String, CliError>>,
    number: usize,
) -> Result<Option<(Vec<String>, usize)>, CliError> {
    let mut text = String::new();
    let mut length = 0;
    while let Some(line) = session.next_of(lines)? {
        text.push_str(line.strip_suffix('\r').unwrap_or(&line));
        length += 1;
        if let Some(words) = line::words(&text) {
            return Ok(Some((words, length)));
        }
        text.push('\n');
    }
    match length {
        0 => Ok(None),
        _ => Err(CliError::usage(
            format!("the command at line {} of the script has no end", number + 1),
            "close the quote, or take away the backslash at the end of the line",
        )),
    }
}

/// The lines of standard input. From now on commands find nothing there: what they read would be lines of the script.
fn lines() -> Result<Receiver<Result<String, CliError>>, CliError> {
    let failed = |error| CliError::Io { what: "cannot read the script".to_owned(), error };
    let script = io::stdin().as_fd().try_clone_to_owned().map_err(failed)?;
    let nothing = File::open("/dev/null").map_err(failed)?;
    rustix::stdio::dup2_stdin(&nothing).map_err(|error| failed(error.into()))?;
    // A thread can wait for a pipe, a file and a socket alike, and Ctrl-C is heard meanwhile.
    let (sender, lines) = channel(1);
    std::thread::spawn(move || {
        for line in BufReader::new(File::from(script)).lines() {
            let is_last = line.is_err();
            if sender.blocking_send(line.map_err(failed)).is_err() || is_last {
                return;
            }
        }
    });
    Ok(lines)
}
