//! Asks on the terminal: with the editor of the shell's lines where a shell runs, which Ctrl-C must not end, and
//! plainly elsewhere.

use std::borrow::Cow;
use std::io::{self, Write as _};

use rustyline::completion::Completer;
use rustyline::config::{Behavior, BellStyle, ColorMode};
use rustyline::error::ReadlineError;
use rustyline::highlight::{CmdKind, Highlighter};
use rustyline::hint::Hinter;
use rustyline::history::MemHistory;
use rustyline::validate::Validator;
use rustyline::{Config, Editor, Helper};
use unicode_width::UnicodeWidthStr as _;

use super::CliError;

/// The error when an answer cannot be read.
pub(super) fn failed(error: io::Error) -> CliError {
    CliError::Io { what: "cannot read the answer".to_owned(), error }
}

/// Asks, and reads a line of standard input.
pub(super) fn plain_line(question: &str) -> Result<String, CliError> {
    let mut stderr = anstream::stderr().lock();
    write!(stderr, "{question}").and_then(|()| stderr.flush()).map_err(failed)?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).map_err(failed)?;
    Ok(answer)
}

/// Asks, and reads a line with the editor.
pub(super) fn line(question: &str) -> Result<String, CliError> {
    read(question, false)
}

/// Asks, and reads a line with the editor, which shows nothing of it.
pub(super) fn hidden_line(question: &str) -> Result<String, CliError> {
    read(question, true)
}

fn read(question: &str, hidden: bool) -> Result<String, CliError> {
    let config = Config::builder()
        .behavior(Behavior::PreferTerm)
        .bell_style(BellStyle::None)
        // Hiding is a way of highlighting.
        .color_mode(if hidden { ColorMode::Forced } else { ColorMode::Disabled })
        .build();
    let history = MemHistory::with_config(&config);
    let answer = Editor::with_history(config, history).and_then(|mut editor| {
        editor.set_helper(Some(Answer { hidden }));
        editor.readline(question)
    });
    answer.map_err(|error| match error {
        ReadlineError::Interrupted => {
            CliError::Interrupted { message: "interrupted; nothing was done".to_owned(), hint: None }
        }
        // Ctrl-D is no answer.
        ReadlineError::Eof => failed(io::ErrorKind::UnexpectedEof.into()),
        other => failed(io::Error::other(other)),
    })
}

/// What the editor does with an answer.
struct Answer {
    hidden: bool,
}

impl Helper for Answer {}
impl Validator for Answer {}

impl Completer for Answer {
    type Candidate = String;
}

impl Hinter for Answer {
    type Hint = String;
}

impl Highlighter for Answer {
    fn highlight<'l>(&self, line: &'l str, _pos: usize) -> Cow<'l, str> {
        match self.hidden {
            // The editor relies on the width.
            true => Cow::Owned(" ".repeat(line.width())),
            false => Cow::Borrowed(line),
        }
    }

    fn highlight_char(&self, _line: &str, _pos: usize, kind: CmdKind) -> bool {
        self.hidden && kind != CmdKind::MoveCursor
    }
}
