//! The terminal, while a screen takes it.

use std::io;

use crossterm::style::force_color_output;
use ratatui::{DefaultTerminal, Frame};

use crate::cli::error::CliError;

/// The terminal in raw mode, with its alternate screen. Dropping it, or a panic, gives the terminal back as it was.
#[derive(Debug)]
pub(super) struct Screen {
    terminal: DefaultTerminal,
}

impl Screen {
    /// Takes the terminal.
    pub(super) fn open() -> Result<Self, CliError> {
        // NO_COLOR is respected by itself; this is for --color.
        match anstream::ColorChoice::global() {
            anstream::ColorChoice::Never => force_color_output(false),
            anstream::ColorChoice::Always | anstream::ColorChoice::AlwaysAnsi => force_color_output(true),
            anstream::ColorChoice::Auto => {}
        }
        match ratatui::try_init() {
            Ok(terminal) => Ok(Self { terminal }),
            Err(error) => {
                ratatui::restore();
                Err(CliError::Io { what: "the terminal cannot be used".to_owned(), error })
            }
        }
    }

    /// Draws what has changed.
    pub(super) fn draw(&mut self, draw: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        self.terminal.draw(draw).map(drop)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        ratatui::restore();
    }
}
