//! A text at a terminal that is drawn again in its place.

use std::io::{self, IsTerminal as _, Write as _};

use super::{CliError, Console, terminal_size, written};

/// Goes to the beginning of the line, and lets the terminal cut lines instead of wrapping them.
const BEGIN: &str = "\r\u{1b}[?7l";
/// Erases the line.
const ERASE_LINE: &str = "\u{1b}[2K";
/// Erases what is below, and lets the terminal wrap lines.
const END: &str = "\u{1b}[J\u{1b}[?7h";

/// A text at a terminal. The last one stays there.
#[derive(Debug)]
pub(crate) struct Drawing {
    /// The lines of the text that is there.
    lines: usize,
}

impl Console {
    /// What draws a text for people; `None` for data, and where standard output is no terminal.
    pub(crate) fn drawing(&self) -> Option<Drawing> {
        (self.is_for_people() && io::stdout().is_terminal()).then_some(Drawing { lines: 0 })
    }
}

impl Drawing {
    /// Draws a text over the one before; `text` formats it for the width of the terminal. Lines for which the
    /// terminal has no room are counted.
    pub(crate) fn draw(&mut self, text: impl FnOnce(Option<usize>) -> String) -> Result<(), CliError> {
        let size = terminal_size();
        let text = text(size.map(|(columns, _)| columns));
        let text = match anstream::AutoStream::choice(&io::stdout()) {
            anstream::ColorChoice::Never => anstream::adapter::strip_str(&text).to_string(),
            _ => text,
        };
        let frame = self.frame(&text, size.map(|(_, rows)| rows));
        let mut stdout = io::stdout().lock();
        written(stdout.write_all(frame.as_bytes()).and_then(|()| stdout.flush()))
    }

    /// What draws the text in a terminal with this many rows.
    fn frame(&mut self, text: &str, rows: Option<usize>) -> String {
        let lines: Vec<&str> = text.lines().collect();
        // The cursor stays below.
        let room = rows.map_or(usize::MAX, |rows| rows.saturating_sub(1).max(1));
        let shown = if lines.len() > room { room - 1 } else { lines.len() };
        let mut frame = BEGIN.to_owned();
        if self.lines > 0 {
            frame.push_str(&format!("\u{1b}[{}A", self.lines));
        }
        for line in &lines[..shown] {
            frame.push_str(&format!("{ERASE_LINE}{line}\n"));
        }
        self.lines = shown;
        if shown < lines.len() {
            frame.push_str(&format!("{ERASE_LINE}… and {} more\n", lines.len() - shown));
            self.lines += 1;
        }
        frame + END
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_drawn_over_the_one_before() {
        let mut drawing = Drawing { lines: 0 };
        let first = drawing.frame("a\nb\n", Some(10));
        assert_eq!(first, format!("{BEGIN}{ERASE_LINE}a\n{ERASE_LINE}b\n{END}"));
        let second = drawing.frame("c\n", None);
        assert_eq!(second, format!("{BEGIN}\u{1b}[2A{ERASE_LINE}c\n{END}"));
        assert!(drawing.frame("", Some(10)).contains("\u{1b}[1A"));
    }

    #[test]
    fn lines_without_room_are_counted() {
        let mut drawing = Drawing { lines: 0 };
        let frame = drawing.frame("a\nb\nc\nd\n", Some(4));
        assert_eq!(frame, format!("{BEGIN}{ERASE_LINE}a\n{ERASE_LINE}b\n{ERASE_LINE}… and 2 more\n{END}"));
        assert!(drawing.frame("a\nb\nc\n", Some(4)).starts_with(&format!("{BEGIN}\u{1b}[3A")));
        assert!(drawing.frame("a\nb\n", Some(1)).ends_with(&format!("… and 2 more\n{END}")));
    }
}
