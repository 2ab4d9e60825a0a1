//! Prints results and messages. Data goes to standard output in the chosen format, everything else to standard
//! error. No other module writes to either, but `top`, which has the terminal for itself.

mod addressing;
pub(crate) mod application;
pub(crate) mod doctor;
mod drawing;
pub(crate) mod fields;
mod format;
pub(crate) mod people;
mod progress;
mod question;
pub(crate) mod statistics;
pub(crate) mod table;

use std::io::{self, IsTerminal as _, Write as _};
use std::sync::Arc;

use clap::ValueEnum;
use clap::builder::styling::{AnsiColor, Style};
use indicatif::{MultiProgress, ProgressDrawTarget};
use serde::Serialize;

pub(crate) use addressing::Addressing;
pub(crate) use format::{Format, Output};
pub(crate) use progress::Spinner;

use super::error::CliError;
use super::template::Template;

/// When to use colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Color {
    /// On a terminal
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// Writes to standard output and standard error. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Console {
    pub(crate) format: Format,
    /// The template of [`Format::Template`].
    template: Option<Arc<Template>>,
    quiet: bool,
    /// The width of the terminal that standard output is.
    width: Option<usize>,
    /// Where spinners are drawn; `None` without a terminal.
    spinners: Option<MultiProgress>,
    addressing: Arc<Addressing>,
    is_in_shell: bool,
}

/// Escapes characters that are not printable, so that text cannot control the terminal, nor show itself in
/// another order than it has.
pub(crate) fn printable(text: &str) -> String {
    if !text.chars().any(is_hidden) {
        return text.to_owned();
    }
    text.chars()
        .flat_map(|c| {
            let (plain, escaped) =
                if is_hidden(c) { (None, Some(c.escape_default())) } else { (Some(c), None) };
            plain.into_iter().chain(escaped.into_iter().flatten())
        })
        .collect()
}

/// Whether a character acts on the text around it and is not seen: control characters, Unicode's bidirectional
/// controls (`Bidi_Control`), line separators and invisible operators. Joiners are not among them: scripts and
/// emoji need them.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
                | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
        )
}

/// `text` in a style, which the output removes where colours are off.
pub(crate) fn styled(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}

impl Console {
    pub(crate) fn new(output: impl Into<Output>, color: Color, quiet: bool) -> Self {
        let Output { format, template } = output.into();
        match color {
            Color::Auto => anstream::ColorChoice::Auto,
            Color::Always => anstream::ColorChoice::AlwaysAnsi,
            Color::Never => anstream::ColorChoice::Never,
        }
        .write_global();
        let watched = !quiet && io::stderr().is_terminal();
        Self {
            format,
            template,
            quiet,
            width: terminal_size().map(|(columns, _)| columns),
            spinners: watched.then(MultiProgress::new),
            addressing: Arc::default(),
            is_in_shell: false,
        }
    }

    /// The width of the terminal that tables must fit; `None` where standard output is none.
    pub(crate) fn width(&self) -> Option<usize> {
        self.width
    }

    /// The width and height of the terminal that standard output is, as they are now.
    pub(crate) fn size(&self) -> Option<(usize, usize)> {
        terminal_size()
    }

    /// The console whose messages have commands that act on the daemon of this command.
    pub(crate) fn addressing(self, addressing: Addressing) -> Self {
        Self { addressing: Arc::new(addressing), ..self }
    }

    /// The console of a command in a shell, which asks as the shell reads its lines: Ctrl-C ends the question.
    pub(crate) fn in_shell(self) -> Self {
        Self { is_in_shell: true, ..self }
    }

    /// A text with commands that act on the daemon of this command.
    pub(crate) fn addressed(&self, text: &str) -> String {
        self.addressing.address(text)
    }

    /// Whether the format is for people.
    pub(crate) fn is_for_people(&self) -> bool {
        matches!(self.format, Format::Table | Format::Wide)
    }

    /// Prints one item: as data, by template, by name, or as `text`.
    pub(crate) fn show<T: Serialize>(
        &self,
        thing: &T,
        name: &str,
        text: impl FnOnce() -> String,
    ) -> Result<(), CliError> {
        match self.format {
            Format::Table | Format::Wide => self.text(&text()),
            Format::Json => self.raw(&json(thing, true)?),
            Format::Jsonl => self.raw(&json(thing, false)?),
            Format::Yaml => self.raw(&yaml(thing)?),
            Format::Template => self.raw(&self.rendered(thing)?),
            Format::Name => self.raw(name),
            Format::Toml => Err(no_toml()),
        }
    }

    /// Prints several items: as an array, one a line, by template, by name, or as `text`.
    pub(crate) fn list<T: Serialize>(
        &self,
        things: &[T],
        name: impl Fn(&T) -> &str,
        text: impl FnOnce() -> String,
    ) -> Result<(), CliError> {
        match self.format {
            Format::Table | Format::Wide => self.text(&text()),
            Format::Json => self.raw(&json(&things, true)?),
            Format::Yaml => self.raw(&yaml(&things)?),
            Format::Jsonl | Format::Name | Format::Template => {
                let mut lines = String::new();
                for thing in things {
                    match self.format {
                        Format::Name => lines.push_str(name(thing)),
                        Format::Template => lines.push_str(self.rendered(thing)?.trim_end_matches('\n')),
                        _ => lines.push_str(&json(thing, false)?),
                    }
                    lines.push('\n');
                }
                self.raw(&lines)
            }
            Format::Toml => Err(no_toml()),
        }
    }

    /// Prints an item of a stream at once. A stream has no end, so there is no array around the items: JSON is one
    /// object after another, and YAML one document after another.
    pub(crate) fn item<T: Serialize>(
        &self,
        thing: &T,
        name: &str,
        text: impl FnOnce() -> String,
    ) -> Result<(), CliError> {
        match self.format {
            Format::Table | Format::Wide => self.text(&text()),
            Format::Json => self.raw(&json(thing, true)?),
            Format::Jsonl => self.raw(&json(thing, false)?),
            Format::Yaml => self.raw(&format!("---\n{}", yaml(thing)?)),
            Format::Template => self.raw(&self.rendered(thing)?),
            Format::Name => self.raw(name),
            Format::Toml => Err(no_toml()),
        }
    }

    /// Renders an item by the template.
    fn rendered<T: Serialize>(&self, thing: &T) -> Result<String, CliError> {
        let Some(template) = &self.template else { return json(thing, false) };
        let value = serde_json::to_value(thing).map_err(|error| CliError::Output(io::Error::other(error)))?;
        template.render(&value)
    }

    /// Prints text for people to standard output, without colours where they are off.
    pub(crate) fn text(&self, text: &str) -> Result<(), CliError> {
        written(write_block(&mut anstream::stdout().lock(), text))
    }

    /// Prints data to standard output as it is.
    pub(crate) fn raw(&self, text: &str) -> Result<(), CliError> {
        written(write_block(&mut io::stdout().lock(), text))
    }

    /// Prints a note.
    pub(crate) fn note(&self, text: &str) {
        if !self.quiet {
            self.say(AnsiColor::Cyan, "note", text);
        }
    }

    /// Prints an error and its hint.
    pub(crate) fn error(&self, error: &CliError) {
        self.say(AnsiColor::Red, "error", &error.to_string());
        if let Some(hint) = error.hint() {
            self.say(AnsiColor::Cyan, "hint", &hint);
        }
    }

    fn say(&self, color: AnsiColor, word: &str, text: &str) {
        let style = Style::new().bold().fg_color(Some(color.into()));
        // An error that quotes a log has several lines, each of which is escaped.
        let lines: Vec<String> = self.addressed(text).lines().map(printable).collect();
        let said = || {
            // When standard error is closed, nobody can be told.
            let _ = writeln!(anstream::stderr().lock(), "{style}{word}:{style:#} {}", lines.join("\n"));
        };
        match &self.spinners {
            Some(spinners) => spinners.suspend(said),
            None => said(),
        }
    }

    /// Asks on the terminal and returns the trimmed answer.
    pub(crate) fn prompt(&self, question: &str) -> Result<String, CliError> {
        let question = format!("{} ", printable(question));
        let answer = match self.is_in_shell {
            true => question::line(&question)?,
            false => question::plain_line(&question)?,
        };
        Ok(answer.trim().to_owned())
    }

    /// Asks for a secret on the terminal, without showing it.
    pub(crate) fn ask_secret(&self, question: &str) -> Result<String, CliError> {
        if !somebody_is_there() {
            let hint = "give the secret in a file, or in the environment";
            return Err(CliError::usage("there is no terminal to ask at".to_owned(), hint));
        }
        match self.is_in_shell {
            true => question::hidden_line(&printable(question)),
            false => rpassword::prompt_password(printable(question)).map_err(question::failed),
        }
    }

    /// Removes all spinners from the terminal.
    pub(crate) fn end_spinners(&self) {
        if let Some(spinners) = &self.spinners {
            // Where the terminal cannot be written, nothing is on it.
            let _ = spinners.clear();
            spinners.set_draw_target(ProgressDrawTarget::hidden());
        }
    }

    /// A spinner for work on `subject`, which appears with the first progress.
    pub(crate) fn spinner(&self, subject: &str) -> Spinner {
        Spinner::new(self.spinners.clone(), subject)
    }
}

/// The columns and rows of the terminal that standard output is, if it has some.
fn terminal_size() -> Option<(usize, usize)> {
    let stdout = io::stdout();
    if !stdout.is_terminal() {
        return None;
    }
    let size = rustix::termios::tcgetwinsize(&stdout).ok()?;
    Some((usize::from(size.ws_col), usize::from(size.ws_row))).filter(|(columns, _)| *columns > 0)
}

/// Whether there is a terminal to draw on, which sends keys.
pub(crate) fn has_whole_terminal() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal()
}

/// Whether there is a terminal to ask on.
pub(crate) fn somebody_is_there() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

fn write_block(to: &mut impl io::Write, text: &str) -> io::Result<()> {
    if text.is_empty() {
        return Ok(());
    }
    to.write_all(text.as_bytes())?;
    if !text.ends_with('\n') {
        to.write_all(b"\n")?;
    }
    to.flush()
}

/// A reader that has closed the output needs no more of it, which is not a failure.
fn written(result: io::Result<()>) -> Result<(), CliError> {
    result.map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => CliError::ClosedPipe,
        _ => CliError::Output(error),
    })
}

/// TOML has no lists of items, and no nulls.
pub(crate) fn no_toml() -> CliError {
    CliError::usage(
        "this command does not print TOML",
        "use -o json, jsonl or yaml; TOML is for nbapps export",
    )
}

fn json<T: Serialize>(thing: &T, indented: bool) -> Result<String, CliError> {
    let text = if indented { serde_json::to_string_pretty(thing) } else { serde_json::to_string(thing) };
    text.map_err(|error| CliError::Output(io::Error::other(error)))
}

fn yaml<T: Serialize>(thing: &T) -> Result<String, CliError> {
    serde_saphyr::to_string(thing).map_err(|error| CliError::Output(io::Error::other(error.to_string())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_act_on_the_terminal() {
        assert_eq!(printable("Café"), "Café");
        assert_eq!(printable("a\u{1b}[31mb\nc"), "a\\u{1b}[31mb\\nc");
    }

    #[test]
    fn text_cannot_turn_the_line_around() {
        let controls =
            "\u{61c}\u{200e}\u{200f}\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\u{2066}\u{2067}\u{2068}\u{2069}";
        let shown = printable(controls);
        assert!(shown.is_ascii() && shown.starts_with("\\u{61c}\\u{200e}"), "{shown}");
        assert_eq!(printable("exe\u{202e}cod.txt"), "exe\\u{202e}cod.txt");
        // Hebrew and Arabic as they are, and emoji that are joined.
        for text in ["שלום", "مرحبا", "👩\u{200d}💻", "می\u{200c}خواهم"] {
            assert_eq!(printable(text), text);
        }
    }

    #[test]
    fn a_closed_pipe_is_no_failure() {
        let error = written(Err(io::ErrorKind::BrokenPipe.into())).unwrap_err();
        assert!(matches!(error, CliError::ClosedPipe));
        let error = written(Err(io::ErrorKind::StorageFull.into())).unwrap_err();
        assert!(matches!(error, CliError::Output(_)));
    }
}
