//! What an operator waits for: `nbapps list` with many applications, and `nbapps create` until the application runs.
//!
//! The benchmark starts its own daemon, in a temporary directory on a free port. Everything is measured alternately in
//! one run, so that other load on the machine affects all alike. The start of `true` is measured, too, because every
//! command includes the start of a process.
//!
//! `cargo bench --bench control` prints the median and the 95th percentile, and fails if a goal is missed.

#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    missing_docs,
    reason = "a benchmark prints, and ends when it cannot go on"
)]

#[path = "support/mod.rs"]
mod support;

use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use nbapps::protocol::CreateApplication;
use nbapps::protocol::methods::AppCreate;
use support::figures::{Times, time};
use support::host::{Host, id};
use support::run;
use tokio::task::JoinSet;

/// How many applications are listed.
const APPLICATIONS: usize = 1_000;
/// How many of them are created at a time.
const AT_A_TIME: usize = 16;
/// How often each is measured.
const ROUNDS: usize = 50;

fn creation(app: &str, start: bool) -> CreateApplication {
    CreateApplication { id: Some(id(app)), start, ..CreateApplication::default() }
}

/// Creates the applications that are listed. Returns how long that took.
async fn fill(host: &Host) -> Duration {
    let begun = Instant::now();
    let mut workers = JoinSet::new();
    for worker in 0..AT_A_TIME {
        let client = host.connect().await;
        workers.spawn(async move {
            for number in (worker..APPLICATIONS).step_by(AT_A_TIME) {
                let create = creation(&format!("app-{number:04}"), false);
                client.call::<AppCreate>(create).await.expect("an application is made");
            }
        });
    }
    workers.join_all().await;
    begun.elapsed()
}

/// One thing that is measured.
struct Row {
    name: &'static str,
    goal: Option<f64>,
    times: Times,
}

impl Row {
    /// Sets the most milliseconds that it may take.
    fn new(name: &'static str, goal: Option<f64>) -> Self {
        Self { name, goal, times: Times::default() }
    }

    /// Prints the row. Returns whether the goal, if there is one, is met.
    fn print(&self) -> bool {
        let median = self.times.median();
        let met = self.goal.is_none_or(|goal| median < goal);
        let goal = match self.goal {
            Some(goal) => format!("< {goal} ms: {}", if met { "met" } else { "MISSED" }),
            None => "-".to_owned(),
        };
        println!("{:<42} {median:>9.2} {:>9.2}   {goal}", self.name, self.times.percentile(95.0));
        met
    }
}

async fn measure(host: &Host) -> Vec<Row> {
    let mut floor = Row::new("true (a process, nothing else)", None);
    let mut list = Row::new("nbapps list, 1,000 applications", Some(50.0));
    let mut names = Row::new("nbapps list -o name, 1,000 applications", Some(50.0));
    let mut create = Row::new("nbapps create --start, until it runs", Some(100.0));
    let mut call = Row::new("app.create with start, over the socket", Some(100.0));
    for round in 0..ROUNDS {
        floor.times.add(time(&mut Command::new("true")));
        list.times.add(time(&mut host.command(&["list"])));
        names.times.add(time(&mut host.command(&["list", "-o", "name"])));
        let mut command = host.command(&["create", &format!("command-{round}"), "--start"]);
        create.times.add(time(&mut command));
        let begun = Instant::now();
        let created = host.client.call::<AppCreate>(creation(&format!("call-{round}"), true)).await;
        call.times.add(begun.elapsed());
        created.expect("an application is made");
    }
    vec![floor, list, names, create, call]
}

async fn control() -> bool {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let host = Host::start(directory.path()).await;
    let filled = fill(&host).await;
    println!("{APPLICATIONS} applications made in {:.2} s, {AT_A_TIME} at a time", filled.as_secs_f64());
    let rows = measure(&host).await;
    println!("{:<42} {:>9} {:>9}   goal (median)", format!("{ROUNDS} rounds, ms"), "median", "p95");
    let missed = rows.iter().filter(|row| !row.print()).count();
    host.stop().await;
    missed == 0
}

fn main() -> ExitCode {
    if run(control()) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
