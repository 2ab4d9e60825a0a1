//! The prompt: reads lines with editing, history and completion.

use std::ffi::OsString;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;
use std::rc::Rc;

use clap_complete::engine::CompletionCandidate;
use rustyline::completion::{Completer, Pair};
use rustyline::config::{Behavior, BellStyle};
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::FileHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{CompletionType, Config, Editor, Helper};

use super::builtin::command_line;
use super::line::{self, BeforeCursor};
use crate::cli::completed_line::ShellSession;
use crate::cli::completion::{self, quoted};
use crate::cli::error::CliError;
use crate::cli::output::{Console, printable};
use crate::client::paths;

/// The most lines that the history keeps.
const MAX_HISTORY: usize = 1000;

/// What was typed.
#[derive(Debug)]
pub(super) enum Typed {
    /// The words of a line.
    Words(Vec<String>),
    /// Ctrl-C.
    Interrupted,
    /// Ctrl-D.
    End,
}

/// Reads lines at a prompt.
pub(super) struct LineEditor {
    editor: Editor<Assistant, FileHistory>,
    /// The file of the history; `None` where there is no place for it, or it cannot be written.
    history: Option<PathBuf>,
    console: Console,
}

impl LineEditor {
    /// An editor with the history of this user.
    pub(super) fn new(console: &Console) -> Result<Self, CliError> {
        let config = Config::builder()
            .max_history_size(MAX_HISTORY)
            .and_then(|config| config.history_ignore_dups(true))
            .map_err(failed)?
            .history_ignore_space(true)
            .completion_type(CompletionType::List)
            .completion_show_all_if_ambiguous(true)
            .bell_style(BellStyle::None)
            // Where standard output goes to a file, the prompt does not.
            .behavior(Behavior::PreferTerm)
            .build();
        let history = FileHistory::with_config(&config);
        let mut editor = Editor::with_history(config, history).map_err(failed)?;
        editor.set_helper(Some(Assistant::default()));
        let history = paths::shell_history_file().filter(|path| {
            let directory = path
                .parent()
                .map(|directory| DirBuilder::new().recursive(true).mode(0o700).create(directory));
            matches!(directory, Some(Ok(())))
        });
        if let Some(path) = &history {
            // There is none before the first line.
            let _ = editor.load_history(path);
        }
        Ok(Self { editor, history, console: console.clone() })
    }

    /// Reads a line, and keeps it in the history unless it has a secret.
    pub(super) fn read(&mut self, prompt: &str, session: Rc<ShellSession>) -> Result<Typed, CliError> {
        if let Some(assistant) = self.editor.helper_mut() {
            assistant.session = Some(session);
        }
        let text = match self.editor.readline(prompt) {
            Ok(text) => text,
            Err(ReadlineError::Interrupted) => return Ok(Typed::Interrupted),
            Err(ReadlineError::Eof) => return Ok(Typed::End),
            Err(error) => return Err(failed(error)),
        };
        // The editor accepts no line that goes on.
        let words = line::words(&text).unwrap_or_default();
        if !line::has_secret(&words) {
            self.keep(&text);
        }
        Ok(Typed::Words(words))
    }

    fn keep(&mut self, text: &str) {
        // It fails in memory for no line.
        let _ = self.editor.add_history_entry(text);
        let Some(path) = &self.history else { return };
        if let Err(error) = self.editor.append_history(path) {
            self.console.note(&format!("the history {} cannot be written: {error}", path.display()));
            self.history = None;
        }
    }
}

fn failed(error: ReadlineError) -> CliError {
    let error = match error {
        ReadlineError::Io(error) => error,
        other => std::io::Error::other(other),
    };
    CliError::Io { what: "cannot read from the terminal".to_owned(), error }
}

/// Completes words, and knows when a line goes on.
#[derive(Default)]
struct Assistant {
    session: Option<Rc<ShellSession>>,
}

impl Helper for Assistant {}
impl Highlighter for Assistant {}

impl Hinter for Assistant {
    type Hint = String;
}

impl Validator for Assistant {
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        Ok(match line::words(context.input()) {
            Some(_) => ValidationResult::Valid(None),
            None => ValidationResult::Incomplete,
        })
    }
}

impl Completer for Assistant {
    type Candidate = Pair;

    fn complete(
        &self,
        text: &str,
        cursor: usize,
        _: &rustyline::Context<'_>,
    ) -> rustyline::Result<(usize, Vec<Pair>)> {
        let before = text.get(..cursor).and_then(BeforeCursor::of);
        let Some(BeforeCursor { words, start }) = before else { return Ok((cursor, Vec::new())) };
        // The word at the cursor stays, also where it is the first one.
        let words = if words.len() > 1 { line::without_program(words) } else { words };
        let words: Vec<OsString> =
            std::iter::once("nbapps".into()).chain(words.into_iter().map(OsString::from)).collect();
        let last = words.len() - 1;
        let offered = completion::offered(command_line(), words, last, self.session.clone());
        // Whatever is wrong, nothing is offered: words would be in the way of the line.
        Ok((start, offered.unwrap_or_default().iter().map(pair).collect()))
    }
}

/// A candidate with its help, and what it makes of the line.
fn pair(candidate: &CompletionCandidate) -> Pair {
    let value = candidate.get_value().to_string_lossy();
    let help = candidate.get_help().map(ToString::to_string).unwrap_or_default();
    let display = match help.lines().next() {
        Some(help) if !help.is_empty() => format!("{value}  {}", printable(help)),
        _ => value.clone().into_owned(),
    };
    let goes_on = value.ends_with(['=', '/']);
    let replacement = quoted(&value) + if goes_on { "" } else { " " };
    Pair { display, replacement }
}

#[cfg(test)]
mod tests {
    use rustyline::history::MemHistory;

    use super::*;

    /// What Tab makes of a line where one thing is offered, and what is offered elsewhere.
    fn completed(line: &str) -> (String, Vec<String>) {
        let history = MemHistory::new();
        let context = rustyline::Context::new(&history);
        let (start, pairs) = Assistant::default().complete(line, line.len(), &context).unwrap();
        let text = match pairs.as_slice() {
            [one] => format!("{}{}", &line[..start], one.replacement),
            _ => line.to_owned(),
        };
        (text, pairs.into_iter().map(|pair| pair.display).collect())
    }

    #[test]
    fn commands_options_and_values_are_completed() {
        for (line, expected) in [
            ("ev", "events "),
            ("nbapps ev", "nbapps events "),
            ("list --st", "list --state "),
            ("list --state=r", "list --state=running "),
            ("list --state 'st", "list --state stopped "),
            ("create --limit=in-", "create --limit=in-flight="),
            ("daemon sta", "daemon sta"),
            ("daemon stat", "daemon status "),
            ("context us", "context use "),
            ("context use loc", "context use local "),
            ("exi", "exit "),
            ("und", "undelete "),
            ("list # --st", "list # --st"),
        ] {
            assert_eq!(completed(line).0, expected, "{line}");
        }
        let (_, commands) = completed("");
        assert!(commands.iter().any(|command| command.starts_with("use  Choose")), "{commands:?}");
        assert!(!commands.iter().any(|command| command.starts_with('-')), "{commands:?}");
    }
}
