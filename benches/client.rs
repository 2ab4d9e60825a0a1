//! The cost of the client: `nbapps list` of 10 applications, compared with processes that do nothing.
//!
//! Every command includes the start of a process. `true` is the smallest one; `git --version`, if Git is installed, is
//! a program of common size that prints a line. All are measured alternately in one run.
//!
//! `cargo bench --bench client` prints the median and percentiles, and fails if the goal is missed.

#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    missing_docs,
    reason = "a benchmark prints, and ends when it cannot go on"
)]

#[path = "support/mod.rs"]
mod support;

use std::process::{Command, ExitCode};

use nbapps::protocol::DatabaseRequest;
use serde_json::{Value, json};
use support::figures::{Results, Times, time};
use support::host::{Host, create};
use support::{Mode, run};

const APPLICATIONS: usize = 10;
/// The most milliseconds that a list may take.
const GOAL: f64 = 10.0;

async fn measure() -> Vec<(&'static str, Times)> {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let host = Host::start(directory.path()).await;
    for number in 0..APPLICATIONS {
        create(&host.client, &format!("app-{number}"), DatabaseRequest::default(), false).await;
    }
    let git = Command::new("git").arg("--version").output().is_ok();
    let mut rows: Vec<(&str, Times)> = [
        "true",
        "git --version",
        "nbapps --version",
        "nbapps list, 10 applications",
        "nbapps list -o json, 10 applications",
    ]
    .into_iter()
    .map(|name| (name, Times::default()))
    .collect();
    for _ in 0..Mode::asked().choose(50, 400) {
        let commands = [
            Some(Command::new("true")),
            git.then(|| Command::new("git")).map(|mut git| {
                git.arg("--version");
                git
            }),
            Some(host.command(&["--version"])),
            Some(host.command(&["list"])),
            Some(host.command(&["list", "-o", "json"])),
        ];
        for ((_, times), command) in rows.iter_mut().zip(commands) {
            if let Some(mut command) = command {
                times.add(time(&mut command));
            }
        }
    }
    host.stop().await;
    rows
}

fn main() -> ExitCode {
    let mut results = Results::new("client");
    let rows = run(measure());
    println!("{:<40} {:>9} {:>9} {:>9}", "ms", "median", "p95", "p99");
    let mut written = Vec::<Value>::new();
    let mut met = true;
    for (name, times) in rows {
        if !times.median().is_finite() {
            continue;
        }
        let (median, late) = (times.median(), times.percentile(95.0));
        println!("{name:<40} {median:>9.2} {late:>9.2} {:>9.2}", times.percentile(99.0));
        met &= !name.starts_with("nbapps list") || median <= GOAL;
        written.push(json!({"what": name, "times": times.json()}));
    }
    println!("goal: a list within {GOAL} ms: {}", if met { "met" } else { "MISSED" });
    results.set("goal_ms", GOAL);
    results.set("commands", written);
    results.write();
    if met { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
