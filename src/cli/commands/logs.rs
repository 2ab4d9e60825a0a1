//! `nbapps logs`: prints an application's log.

use chrono::{DateTime, Utc};
use clap::Args;
use clap::builder::styling::{AnsiColor, Style};

use crate::cli::complete;
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::output::{Format, application, printable, styled};
use crate::cli::values::{self, LOG_LEVELS};
use crate::protocol::methods::AppLogs;
use crate::protocol::{AppId, LogLevel, LogLine, ReadLogs};

/// How many lines precede the new ones by default.
const LINES_BEFORE_FOLLOWING: u64 = 10;

/// Print an application's log, and follow it
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  nbapps logs crm -n 50
  nbapps logs crm -f
  nbapps logs crm --since 10m --level warn
  nbapps logs crm --since 2026-01-31T08:00:00Z -o jsonl")]
pub(crate) struct Logs {
    /// The application
    #[arg(value_name = "ID", value_parser = values::app_id, add = complete::existing())]
    id: AppId,

    /// Print new lines as they are written, until Ctrl-C
    #[arg(short, long)]
    follow: bool,

    /// Print only this many of the last lines [default: all; 10 with --follow]
    #[arg(short = 'n', long, value_name = "COUNT")]
    lines: Option<u64>,

    /// Print only lines since this time: 10m ago, or a time such as 2026-01-31T08:00:00Z
    #[arg(long, value_name = "TIME", value_parser = values::since)]
    since: Option<DateTime<Utc>>,

    /// Print only lines of at least this level
    #[arg(long, value_name = "LEVEL", value_parser = values::word::<LogLevel>(LOG_LEVELS))]
    level: Option<LogLevel>,
}

impl Logs {
    /// Prints the lines.
    pub(crate) async fn run(self, context: &Context) -> Result<(), CliError> {
        let console = &context.console;
        if console.format == Format::Name {
            return Err(CliError::usage(
                "log lines have no names: --output name does not fit logs",
                "use --output table, json, jsonl or yaml",
            ));
        }
        let lines = match (self.lines, self.follow, self.since) {
            (None, true, None) => Some(LINES_BEFORE_FOLLOWING),
            (lines, ..) => lines,
        };
        let request =
            ReadLogs { id: self.id, lines, since: self.since, level: self.level, follow: self.follow };
        if !self.follow {
            let client = context.connect().await?;
            let logs = context.ask::<AppLogs>(&client, request).await?;
            return console.list(&logs.lines, |_| "", || logs.lines.iter().map(text).collect());
        }
        let client = context.connect_alone().await?;
        let (logs, mut news) = client.follow_logs(request).await?;
        for line in &logs.lines {
            console.item(line, "", || text(line))?;
        }
        loop {
            let line = news.next().await?;
            console.item(&line, "", || text(&line))?;
        }
    }
}

/// Formats a line for people.
fn text(line: &LogLine) -> String {
    let (word, color) = match line.level {
        LogLevel::Trace => ("TRACE", AnsiColor::BrightBlack),
        LogLevel::Debug => ("DEBUG", AnsiColor::BrightBlack),
        LogLevel::Info => ("INFO ", AnsiColor::Green),
        LogLevel::Warn => ("WARN ", AnsiColor::Yellow),
        LogLevel::Error => ("ERROR", AnsiColor::Red),
    };
    let level = styled(Style::new().fg_color(Some(color.into())), word);
    let mut text = format!("{} {level} {}", application::time(line.at), printable(&line.message));
    for (name, value) in &line.fields {
        let value = match value {
            serde_json::Value::String(value) => printable(value),
            other => printable(&other.to_string()),
        };
        text.push_str(&format!(" {}={value}", printable(name)));
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_time_level_message_and_fields() {
        let line: LogLine = serde_json::from_value(serde_json::json!({
            "at": "2026-01-31T08:00:00.123Z", "level": "warn", "message": "slow\u{1b}[2J", "ms": 1200, "path": "/api",
        }))
        .unwrap();
        let plain = anstream::adapter::strip_str(&text(&line)).to_string();
        assert_eq!(plain, "2026-01-31T08:00:00Z WARN  slow\\u{1b}[2J ms=1200 path=/api\n");
    }
}
