//! Lines of logs: the options that choose them, and how they are printed.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use clap::Args;
use clap::builder::styling::{AnsiColor, Style};
use serde_json::Value;

use crate::cli::error::CliError;
use crate::cli::output::{Console, Format, application, printable, styled};
use crate::cli::values::{self, LOG_LEVELS};
use crate::client::Notifications;
use crate::protocol::{AppId, LogLevel, LogLine, Logs};

/// How many lines precede the new ones by default.
const LINES_BEFORE_FOLLOWING: u64 = 10;

/// The colours of IDs, one for each application in turn.
const ID_COLORS: [AnsiColor; 6] = [
    AnsiColor::Cyan,
    AnsiColor::Magenta,
    AnsiColor::Blue,
    AnsiColor::Yellow,
    AnsiColor::Green,
    AnsiColor::BrightBlue,
];

/// What of a request the message of its line has.
const IN_ACCESS_MESSAGE: [&str; 4] = ["method", "path", "query", "status"];

/// Which lines to print.
#[derive(Debug, Clone, Args)]
pub(crate) struct LineOptions {
    /// Print new lines as they are written, until Ctrl-C
    #[arg(short, long)]
    pub(crate) follow: bool,

    /// Print only this many of the last lines [default: all; 10 with --follow]
    #[arg(short = 'n', long, value_name = "COUNT")]
    lines: Option<u64>,

    /// Print only lines since this time: 10m ago, or a time such as 2026-01-31T08:00:00Z
    #[arg(long, value_name = "TIME", value_parser = values::since)]
    pub(crate) since: Option<DateTime<Utc>>,

    /// Print only lines of at least this level
    #[arg(long, value_name = "LEVEL", value_parser = values::word::<LogLevel>(LOG_LEVELS))]
    pub(crate) level: Option<LogLevel>,
}

impl LineOptions {
    /// Checks that lines can be printed in the format.
    ///
    /// # Errors
    /// When the format is that of names.
    pub(crate) fn check(&self, console: &Console) -> Result<(), CliError> {
        if console.format == Format::Name {
            return Err(CliError::usage(
                "log lines have no names: --output name does not fit logs",
                "use --output table, json, jsonl or yaml",
            ));
        }
        Ok(())
    }

    /// The number of last lines, if it is limited.
    pub(crate) fn count(&self) -> Option<u64> {
        match (self.lines, self.follow, self.since) {
            (None, true, None) => Some(LINES_BEFORE_FOLLOWING),
            (lines, ..) => lines,
        }
    }
}

/// Prints the lines of one log, or of several.
#[derive(Debug)]
pub(crate) struct Printer {
    leads: bool,
    /// The width of the longest ID so far.
    width: usize,
    colors: HashMap<String, AnsiColor>,
}

impl Printer {
    /// Prints the lines of one log, all of which are about the same.
    pub(crate) fn of_one() -> Self {
        Self { leads: false, width: 0, colors: HashMap::new() }
    }

    /// Prints the lines of several logs, each after the ID of its application, in a colour of its own.
    pub(crate) fn of_several(ids: &[AppId]) -> Self {
        let mut printer = Self { leads: true, ..Self::of_one() };
        for id in ids {
            printer.color(id.as_str());
        }
        printer
    }

    fn color(&mut self, app: &str) -> AnsiColor {
        self.width = self.width.max(app.len());
        let next = ID_COLORS[self.colors.len() % ID_COLORS.len()];
        *self.colors.entry(app.to_owned()).or_insert(next)
    }

    /// Prints lines that were read.
    pub(crate) fn list(mut self, console: &Console, logs: &Logs) -> Result<(), CliError> {
        for line in &logs.lines {
            self.color(line.app.as_deref().unwrap_or_default());
        }
        console.list(&logs.lines, |_| "", || logs.lines.iter().map(|line| self.text(line)).collect())
    }

    /// Prints lines that were read, and those that come, until the connection ends.
    pub(crate) async fn follow(
        mut self,
        console: &Console,
        logs: &Logs,
        mut news: Notifications<LogLine>,
    ) -> Result<(), CliError> {
        for line in &logs.lines {
            self.color(line.app.as_deref().unwrap_or_default());
        }
        for line in &logs.lines {
            console.item(line, "", || self.text(line))?;
        }
        loop {
            let line = news.next().await?;
            console.item(&line, "", || self.text(&line))?;
        }
    }

    /// Formats a line for people.
    fn text(&mut self, line: &LogLine) -> String {
        let (word, color) = match line.level {
            LogLevel::Trace => ("TRACE", AnsiColor::BrightBlack),
            LogLevel::Debug => ("DEBUG", AnsiColor::BrightBlack),
            LogLevel::Info => ("INFO ", AnsiColor::Green),
            LogLevel::Warn => ("WARN ", AnsiColor::Yellow),
            LogLevel::Error => ("ERROR", AnsiColor::Red),
        };
        let level = styled(Style::new().fg_color(Some(color.into())), word);
        let mut text = String::new();
        if self.leads {
            let app = line.app.as_deref().unwrap_or_default();
            let color = self.color(app);
            let padded = format!("{:width$}", printable(app), width = self.width);
            text.push_str(&styled(Style::new().fg_color(Some(color.into())), &padded));
            text.push_str("  ");
        }
        text.push_str(&format!("{} {level} {}", application::time(line.at), printable(&line.message)));
        // The message of a request is its method, its target and its status.
        let is_access = line.fields.contains_key("status") && line.fields.contains_key("client");
        for (name, value) in &line.fields {
            if is_access && IN_ACCESS_MESSAGE.contains(&name.as_str()) {
                continue;
            }
            let value = match value {
                Value::String(value) => printable(value),
                other => other.to_string(),
            };
            text.push_str(&format!(" {}={value}", printable(name)));
        }
        text.push('\n');
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(printer: &mut Printer, line: Value) -> String {
        let line: LogLine = serde_json::from_value(line).unwrap();
        anstream::adapter::strip_str(&printer.text(&line)).to_string()
    }

    #[test]
    fn a_line_is_time_level_message_and_fields() {
        let line = serde_json::json!({
            "at": "2026-01-31T08:00:00.123Z", "level": "warn", "app": "crm", "message": "slow\u{1b}[2J",
            "ms": 1200, "path": "/api",
        });
        assert_eq!(
            plain(&mut Printer::of_one(), line.clone()),
            "2026-01-31T08:00:00Z WARN  slow\\u{1b}[2J ms=1200 path=/api\n"
        );
        let ids = ["crm", "warehouse"].map(|id| AppId::parse(id).unwrap());
        assert_eq!(
            plain(&mut Printer::of_several(&ids), line),
            "crm        2026-01-31T08:00:00Z WARN  slow\\u{1b}[2J ms=1200 path=/api\n"
        );
    }

    #[test]
    fn a_request_is_its_message_and_the_rest_of_its_fields() {
        let line = serde_json::json!({
            "at": "2026-01-31T08:00:00Z", "level": "error", "message": "GET /api/posts:list?page=2 500",
            "method": "GET", "path": "/api/posts:list", "query": "page=2", "status": 500, "ms": 1.5,
            "client": "203.0.113.9",
        });
        assert_eq!(
            plain(&mut Printer::of_one(), line),
            "2026-01-31T08:00:00Z ERROR GET /api/posts:list?page=2 500 client=203.0.113.9 ms=1.5\n"
        );
    }

    #[test]
    fn each_application_has_a_colour_and_keeps_it() {
        let mut printer = Printer::of_several(&[]);
        let first = printer.color("crm");
        assert_ne!(printer.color("shop"), first);
        assert_eq!(printer.color("crm"), first);
    }
}
