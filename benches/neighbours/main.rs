//! Measures the effect of a flooded application on another one.
//!
//! One application is flooded with connections, slow statements, large bodies, requests whose handler panics, or
//! sign-ins, while a few clients use the other one. Turns with and without the flood alternate, so that other load on
//! the machine affects both. The other application's 99th percentile may at most double, and none of its requests may
//! fail. The flooded one refuses requests with 429 or 503 and `Retry-After`.
//!
//! `cargo bench --bench neighbours --features crash-points [-- --quick]`; without the feature no
//! handler panics. `NBAPPS_FLOODS=connections,bodies` chooses. Loopback only; about two minutes, half
//! of one with `--quick`.

#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    missing_docs,
    unreachable_pub,
    reason = "a benchmark prints, and ends when it cannot go on"
)]

mod flood;
mod http;
#[path = "../support/mod.rs"]
mod support;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use flood::{Answers, Flood, Kind};
use http::Request;
use nbapps::protocol::methods::AppUpdate;
use nbapps::protocol::{Changes, DatabaseRequest, Limit, LimitChanges, UpdateApplication};
use serde_json::{Value, json};
use support::figures::{Results, Times};
use support::host::{Api, Host, id};
use support::{Mode, is_chosen};
use tokio::net::TcpStream;

const FLOODED: &str = "flooded";
const OTHER: &str = "other";
/// A filter that repeatedly joins every member of a group with every other one, which takes minutes.
const SLOW: &str = "/api/groups:list?filter=%7B%22members.group.members.group.members.group.members.name%22\
                    :%7B%22$includes%22:%22zz%22%7D%7D";
/// The clients of the other application, and how long each waits between two requests.
const CLIENTS: usize = 4;
const PAUSE: Duration = Duration::from_millis(5);
/// How long a flood runs before it is measured.
const RISE: Duration = Duration::from_millis(1_500);

/// Creates one of the two applications.
async fn make(host: &Host, app: &str) -> Api {
    host.create(app, DatabaseRequest::default()).await;
    if app == FLOODED {
        // Only a rate limits fast and cheap requests.
        let limits = LimitChanges::from([(Limit::RequestsPerSecond, Some(1_000))]);
        let changes = Changes { limits, ..Changes::default() };
        let update = UpdateApplication { id: id(app), changes };
        host.client.call::<AppUpdate>(update).await.expect("its limits are set");
    }
    host.api(app).await
}

/// Creates the records that the slow statements read.
async fn fill(api: &Api) {
    let name = json!({"name": "name", "type": "string"});
    let many = json!({"name": "members", "type": "hasMany", "target": "members", "foreignKey": "groupId"});
    let one = json!({"name": "group", "type": "belongsTo", "target": "groups", "foreignKey": "groupId"});
    let members: Vec<Value> = (0..200).map(|number| json!({"name": format!("member {number}")})).collect();
    for (action, body) in [
        ("collections:create", json!({"name": "groups", "fields": [name]})),
        ("collections:create", json!({"name": "members", "fields": [name, one]})),
        ("collections/groups/fields:create", many),
        ("groups:create", json!({"name": "all", "members": members})),
    ] {
        api.call("POST", action, Some(body)).await;
    }
}

/// The results of the other application's clients.
#[derive(Default)]
struct Seen {
    lists: Times,
    changes: Times,
    failed: u64,
}

impl Seen {
    fn add(&mut self, other: Self) {
        self.lists.extend(other.lists);
        self.changes.extend(other.changes);
        self.failed += other.failed;
    }

    fn all(&self) -> Times {
        let mut all = self.lists.clone();
        all.extend(self.changes.clone());
        all
    }

    fn json(&self) -> Value {
        json!({"all": self.all().json(), "lists": self.lists.json(), "changes": self.changes.json()})
    }
}

/// Connects with TCP_NODELAY: without it, each request with a body is delayed by 40 ms.
async fn connect(address: SocketAddr) -> Option<TcpStream> {
    let stream = TcpStream::connect(address).await.ok()?;
    stream.set_nodelay(true).ok()?;
    Some(stream)
}

/// Uses the other application for this time: lists, and occasional changes.
async fn ask(api: &Api, time: Duration) -> Seen {
    let mut clients = tokio::task::JoinSet::new();
    for client in 0..CLIENTS {
        let (address, token) = (api.address, &api.token);
        let list = Request::new("GET /api/users:list", OTHER, token, "", Vec::new());
        let body = format!("{{\"nickname\":\"{client}\"}}").into_bytes();
        let change = Request::new("POST /api/users:update?filterByTk=1", OTHER, token, "", body);
        clients.spawn(async move {
            let (mut seen, end) = (Seen::default(), Instant::now() + time);
            let mut stream = connect(address).await;
            for number in 0_u64.. {
                if Instant::now() >= end {
                    break;
                }
                let begun = Instant::now();
                let changes = number % 10 == 9;
                let request = if changes { &change } else { &list };
                let answer = match &mut stream {
                    Some(stream) => request.send(stream).await.ok(),
                    None => None,
                };
                let took = begun.elapsed();
                if changes { &mut seen.changes } else { &mut seen.lists }.add(took);
                if answer.is_none_or(|answer| answer.status != 200) {
                    seen.failed += 1;
                    stream = connect(address).await;
                }
                tokio::time::sleep(PAUSE).await;
            }
            seen
        });
    }
    let mut all = Seen::default();
    for seen in clients.join_all().await {
        all.add(seen);
    }
    all
}

/// The results for one kind of flood: of the other application without and with it, and of the flood.
#[derive(Default)]
struct Row {
    quiet: Seen,
    flooded: Seen,
    answers: Answers,
}

impl Row {
    async fn turn(&mut self, kind: Kind, [flooded, other]: [&Api; 2], time: Duration) {
        self.quiet.add(ask(other, time).await);
        let flood = Flood::begin(kind, flooded.address, &flooded.token);
        tokio::time::sleep(RISE).await;
        self.flooded.add(ask(other, time).await);
        for (name, count) in flood.end() {
            *self.answers.entry(name).or_default() += count;
        }
        // The remaining work of the flood ends before the next turn.
        tokio::time::sleep(RISE).await;
    }

    /// Prints the row. Returns whether the goals are met, and the row for programs.
    fn print(&self, kind: Kind) -> (bool, Value) {
        let (quiet_all, flooded_all) = (self.quiet.all(), self.flooded.all());
        let (quiet, flooded) = (quiet_all.percentile(99.0), flooded_all.percentile(99.0));
        let failed = self.quiet.failed + self.flooded.failed;
        let count = |name: &str| self.answers.get(name).copied().unwrap_or(0);
        let refused = count("429") + count("503");
        let silent = count("429 without Retry-After") + count("503 without Retry-After");
        let answered = if kind == Kind::Panics { count("500") > 0 } else { refused > 0 };
        let met = flooded <= quiet * 2.0 && failed == 0 && silent == 0 && answered;
        let answers = self.answers.iter().map(|(name, count)| format!("{count} x {name}"));
        let late = |times: &Times| times.percentile(99.0);
        println!(
            "{:<24} {:>8.2} {:>8.2} {quiet:>8.2} {flooded:>8.2} {:>6.2} {:>8.2} {:>8.2} {failed:>7}   {}   {}",
            kind.name(),
            quiet_all.median(),
            flooded_all.median(),
            flooded / quiet,
            late(&self.quiet.lists),
            late(&self.flooded.lists),
            if met { "met   " } else { "MISSED" },
            answers.collect::<Vec<_>>().join(", "),
        );
        let row = json!({
            "flood": kind.name(), "quiet": self.quiet.json(), "flooded": self.flooded.json(), "failed": failed,
            "answers": self.answers, "met": met,
        });
        (met, row)
    }
}

async fn measure(results: &mut Results) -> bool {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let environment = [
        ("NBAPPS_TRUSTED_PROXIES", "127.0.0.1"),
        ("NBAPPS_PANIC_AT", "crash:now"),
        // Each panic is an error in the log.
        ("NBAPPS_LOG_LEVEL", "off"),
    ];
    let host = Host::start_with(directory.path(), &environment).await;
    let (flooded, other) = (make(&host, FLOODED).await, make(&host, OTHER).await);
    fill(&flooded).await;
    let (rounds, time) = Mode::asked().choose((1, 2_500), (4, 3_000));
    ask(&other, Duration::from_secs(1)).await;
    println!(
        "{:<24} {:>8} {:>8} {:>8} {:>8} {:>6} {:>8} {:>8} {:>7}   goal     the flooded one answered",
        "ms", "p50", "flooded", "p99", "flooded", "ratio", "lists", "flooded", "failed"
    );
    let (mut met, mut rows) = (true, Vec::new());
    for kind in Kind::ALL.into_iter().filter(|kind| is_chosen("NBAPPS_FLOODS", kind.key())) {
        if kind == Kind::Panics && !cfg!(any(debug_assertions, feature = "crash-points")) {
            println!("{:<24} left out: build with --features crash-points", kind.name());
            continue;
        }
        let mut row = Row::default();
        for _ in 0..rounds {
            row.turn(kind, [&flooded, &other], Duration::from_millis(time)).await;
        }
        let (holds, row) = row.print(kind);
        met &= holds;
        rows.push(row);
    }
    results.set("floods", rows);
    host.stop().await;
    met
}

fn main() -> ExitCode {
    if flood::is_flood() {
        return ExitCode::SUCCESS;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut results = Results::new("neighbours");
    let met = runtime.block_on(measure(&mut results));
    results.write();
    if met { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
