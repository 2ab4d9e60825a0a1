//! The shell of nbapps: runs commands line by line, typed at a prompt (`editor.rs`) or from a script (`script.rs`).
//! All commands share a connection to the daemon (`session.rs`).

mod builtin;
mod editor;
mod line;
mod script;
mod session;

use std::io::{self, IsTerminal as _};

use super::context::Context;
use super::error::CliError;
use super::exit::Exit;
use editor::{LineEditor, Typed};
use session::{Next, Session};

/// Runs lines until the input ends, `exit`, or a command of a script that fails.
///
/// # Errors
/// With the exit code of the last command, or of the one that failed.
pub(super) fn run(context: &Context, keep_going: bool) -> Result<(), CliError> {
    let mut session = Session::new(context)?;
    let exit = match io::stdin().is_terminal() {
        true => at_prompt(&mut session)?,
        false => script::run(&mut session, keep_going)?,
    };
    session.close();
    match exit {
        Exit::Done => Ok(()),
        exit => Err(CliError::Reported(exit)),
    }
}

/// Reads lines at a prompt and runs them.
fn at_prompt(session: &mut Session) -> Result<Exit, CliError> {
    let mut editor = LineEditor::new(session.console())?;
    session.console().note("help lists the commands; exit or Ctrl-D ends the shell");
    session.connect_ahead();
    loop {
        let prompt = session.prompt();
        let words = match editor.read(&prompt, session.for_completion())? {
            Typed::Words(words) => words,
            Typed::Interrupted => {
                session.last = Exit::Interrupted;
                continue;
            }
            Typed::End => return Ok(session.last),
        };
        match session.run(words) {
            Next::Line => {}
            Next::End => return Ok(session.last),
        }
    }
}
