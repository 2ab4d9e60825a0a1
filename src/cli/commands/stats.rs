//! `nbapps stats`: shows what applications do and use.

use std::time::Duration;

use clap::Args;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::cli::complete;
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::output::{Format, statistics};
use crate::cli::sampling::{Report, Sampler};
use crate::cli::values;
use crate::protocol::{AppId, RpcError};

/// Moves the cursor to the top left corner of a terminal, and clears it from there.
const CLEAR: &str = "\u{1b}[H\u{1b}[J";

/// The description, with a line for each column.
const LONG_ABOUT: &str = "\
Show what applications do and use: requests, durations, errors, connections, sizes

Rates and durations are of one second, or of --interval; with --since-start, of the time since the
daemon started or the application was created. STARTS is a total, the rest is of this moment:

  REQ/S     requests to its API and pages in a second
  P50, P99  half of the requests, and 99 of 100, took no longer, from their headers to the response
  ERR/S     responses with a status from 500 on, in a second
  FLIGHT    requests that it works on
  QUEUE     requests that wait until it can work on them
  CONN      HTTP connections with a request for it
  DB        connections to its database: in use on a server, open on SQLite
  SIZE      the size of its data, of running applications and of those that are named
  STARTS    starts that a request waited for
  CACHE     the most memory for page caches, on SQLite
  BODIES    memory for bodies of requests that are longer than 64 KiB

All applications are one process: how much memory one of them takes beside CACHE and BODIES is not
known. The line below the table has the memory of the process.";

/// Show what applications do and use: requests, durations, errors, connections, sizes
#[derive(Debug, Args)]
#[command(long_about = LONG_ABOUT)]
#[command(after_help = "\
Examples:
  nbapps stats
  nbapps stats crm hr --watch
  nbapps stats --since-start -o json | jq '.applications[].p99_seconds'
  nbapps stats --watch --interval 10s -o jsonl >> stats.jsonl")]
pub(crate) struct StatsArgs {
    /// The applications [default: all]
    #[arg(value_name = "ID", value_parser = values::app_id, add = complete::existing())]
    ids: Vec<AppId>,

    /// Show it again after each interval, until Ctrl-C
    #[arg(short, long)]
    watch: bool,

    /// The time between two samples
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = values::sample_interval)]
    interval: Duration,

    /// Rates and durations since the counters began, at once
    #[arg(long, conflicts_with_all = ["watch", "interval"])]
    since_start: bool,
}

impl StatsArgs {
    /// Prints a report, or one after the other.
    pub(crate) async fn run(self, context: &Context) -> Result<(), CliError> {
        let client = context.connect().await?;
        let mut sampler = Sampler::new(self.ids);
        let first = sampler.sample(context, &client).await?;
        if !first.missing.is_empty() && first.applications.is_empty() {
            return end(context, &first);
        }
        if self.since_start {
            print(context, &first, false)?;
            return end(context, &first);
        }
        let mut ticks = interval_at(Instant::now() + self.interval, self.interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let report = sampler.sample(context, &client).await?;
            print(context, &report, self.watch)?;
            // What is watched may be deleted: the others are watched on.
            if !self.watch || (report.applications.is_empty() && !report.missing.is_empty()) {
                return end(context, &report);
            }
        }
    }
}

/// Prints a report; at a terminal that is watched, in place of the one before.
fn print(context: &Context, report: &Report, watched: bool) -> Result<(), CliError> {
    let console = &context.console;
    let text = || {
        let size = console.size();
        let table = statistics::report(report, console.format == Format::Wide, size.map(|(width, _)| width));
        match (watched, size) {
            (true, Some((_, height))) => format!("{CLEAR}{}", first_lines(&table, height)),
            _ => table,
        }
    };
    let names: Vec<&str> =
        report.applications.iter().map(|application| application.stats.id.as_str()).collect();
    match watched {
        true => console.item(report, &names.join("\n"), text),
        false => console.show(report, &names.join("\n"), text),
    }
}

/// As much of a table as fits a terminal of this height, and what is below it.
fn first_lines(table: &str, height: usize) -> String {
    let lines: Vec<&str> = table.lines().collect();
    // An empty line, two sentences, each of which may need a second line, and the cursor's line.
    let below = 6;
    let fits = height.saturating_sub(below).max(2);
    let rows = lines.len().saturating_sub(3);
    if rows <= fits {
        return table.to_owned();
    }
    let mut shown = lines[..fits - 1].to_vec();
    let more = format!("… {} more: make the terminal higher, or use nbapps top", rows + 1 - fits);
    shown.push(&more);
    shown.extend(&lines[rows..]);
    shown.join("\n") + "\n"
}

/// The end of the command: an error for IDs that do not exist.
fn end(context: &Context, report: &Report) -> Result<(), CliError> {
    let mut errors = report.missing.iter().map(|id| CliError::from(RpcError::app_not_found(id.as_str())));
    let Some(first) = errors.next() else { return Ok(()) };
    if report.applications.is_empty() && report.missing.len() == 1 {
        return Err(first);
    }
    for error in std::iter::once(first).chain(errors) {
        context.console.error(&error);
    }
    Err(CliError::Reported(Exit::NotFound))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_cut_to_the_height_of_its_terminal() {
        let table: String =
            std::iter::once("ID\n".to_owned()).chain((0..20).map(|row| format!("a{row}\n"))).collect();
        let table = table + "\nHost: x\nRates y\n";
        assert_eq!(first_lines(&table, 40), table);
        let cut = first_lines(&table, 12);
        assert!(cut.starts_with("ID\na0\n") && cut.ends_with("\n\nHost: x\nRates y\n"), "{cut}");
        assert!(cut.contains("\na3\n… 16 more: ") && cut.lines().count() <= 10, "{cut}");
        assert!(first_lines(&table, 0).lines().count() < 8);
    }
}
