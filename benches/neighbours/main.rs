//! Whether one application's flood is felt by another.
//!
//! One application is flooded, with connections, slow statements, large bodies, requests whose
//! handler panics, or sign-ins, while another is asked by a few clients as on any other day. In
//! turns without and with the flood, so that what the machine does meanwhile falls on both. The
//! other one's 99th percentile may double, none of its requests may fail, and the flooded one
//! answers 429 or 503 with `Retry-After` to what it does not take.
//!
//! `cargo bench --bench neighbours --features crash-points [-- --quick]`; without the feature no
//! handler panics. Loopback only; about two minutes, half of one with `--quick`.

#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    unreachable_pub,
    reason = "a benchmark prints, and ends when it cannot go on"
)]

mod flood;
mod http;
#[path = "../support/mod.rs"]
mod support;

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use flood::{Answers, Flood, Kind};
use http::Request;
use nbapps::client::{Address, Client};
use nbapps::protocol::methods::{AppCreate, HostInfoMethod, HostShutdown};
use nbapps::protocol::{AppId, CreateApplication, Limit, Nothing, RootUser};
use serde_json::{Value, json};
use support::Mode;
use support::figures::{Results, rounded};
use tokio::net::{TcpStream, UnixDatagram};

const NBAPPSD: &str = env!("CARGO_BIN_EXE_nbappsd");
const FLOODED: &str = "flooded";
const OTHER: &str = "other";
const PASSWORD: &str = "neighbours of each other";
const PATIENCE: Duration = Duration::from_secs(60);
/// A filter that joins every member of a group with every other one, again and again: minutes.
const SLOW: &str = "/api/groups:list?filter=%7B%22members.group.members.group.members.group.members.name%22\
                    :%7B%22$includes%22:%22zz%22%7D%7D";
/// Clients of the other application, and how long each waits between two requests.
const CLIENTS: usize = 4;
const PAUSE: Duration = Duration::from_millis(5);
/// How long a flood rises before it is measured.
const RISE: Duration = Duration::from_millis(1_500);

/// A daemon that ends with the benchmark.
struct Daemon {
    child: Child,
    client: Client,
    address: SocketAddr,
}

impl Daemon {
    async fn start(directory: &Path) -> Self {
        let notify = directory.join("notify.sock");
        let ready = UnixDatagram::bind(&notify).expect("a socket to be told at");
        let socket = directory.join("control.sock");
        let mut command = Command::new(NBAPPSD);
        command.arg("--data-dir").arg(directory.join("data")).arg("--socket").arg(&socket);
        command.args(["--listen", "127.0.0.1:0", "--log-level", "off"]).env("NOTIFY_SOCKET", &notify);
        command.env("NBAPPS_TRUSTED_PROXIES", "127.0.0.1").env("NBAPPS_PANIC_AT", "crash:now");
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let child = child.expect("the daemon can be started");
        let mut message = [0; 64];
        let told = tokio::time::timeout(PATIENCE, ready.recv(&mut message)).await;
        told.expect("the daemon is ready in time").expect("the daemon says that it is ready");
        let client = Client::connect(&Address::Socket(socket)).await.expect("the daemon answers");
        let info = client.call::<HostInfoMethod>(Nothing {}).await.expect("the daemon says where it listens");
        let address = info.listen.parse().expect("an address");
        Self { child, client, address }
    }

    async fn create(&self, id: &str) {
        let admin = RootUser { password: Some(PASSWORD.to_owned()), ..RootUser::default() };
        let id = AppId::parse(id).expect("the benchmark's own IDs are good");
        // What comes quickly and costs little is bounded by its rate alone.
        let limits = [(Limit::RequestsPerSecond, 1_000)].into_iter().filter(|_| id.as_str() == FLOODED);
        let limits = limits.collect();
        let create =
            CreateApplication { id: Some(id), start: true, admin, limits, ..CreateApplication::default() };
        self.client.call::<AppCreate>(create).await.expect("an application is made");
    }

    /// A request that is no part of what is measured.
    async fn post(&self, path: &str, app: &str, token: &str, body: Value) -> Value {
        let request = reqwest::Client::new().post(format!("http://{}/api/{path}", self.address));
        let request = request.header("X-App", app).bearer_auth(token).json(&body);
        let response = request.send().await.expect("an answer");
        let status = response.status();
        let answer: Value = response.json().await.expect("an answer in JSON");
        assert!(status.is_success(), "{path}: {answer}");
        answer
    }

    async fn token(&self, app: &str) -> String {
        let body = json!({"account": "admin", "password": PASSWORD});
        let answer = self.post("auth:signIn", app, "", body).await;
        answer["data"]["token"].as_str().expect("a token").to_owned()
    }

    /// What the slow statements read.
    async fn fill(&self, token: &str) {
        let name = json!({"name": "name", "type": "string"});
        let many =
            json!({"name": "members", "type": "hasMany", "target": "members", "foreignKey": "groupId"});
        let one = json!({"name": "group", "type": "belongsTo", "target": "groups", "foreignKey": "groupId"});
        self.post("collections:create", FLOODED, token, json!({"name": "groups", "fields": [name]})).await;
        let members = json!({"name": "members", "fields": [name, one]});
        self.post("collections:create", FLOODED, token, members).await;
        self.post("collections/groups/fields:create", FLOODED, token, many).await;
        let members: Vec<Value> =
            (0..200).map(|number| json!({"name": format!("member {number}")})).collect();
        self.post("groups:create", FLOODED, token, json!({"name": "all", "members": members})).await;
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the clients of the other application saw.
#[derive(Default)]
struct Seen {
    times: Vec<Duration>,
    failed: u64,
}

impl Seen {
    fn add(&mut self, other: Self) {
        self.times.extend(other.times);
        self.failed += other.failed;
    }

    fn milliseconds(&mut self, percent: usize) -> f64 {
        self.times.sort_unstable();
        let place = (self.times.len() * percent / 100).min(self.times.len().saturating_sub(1));
        self.times.get(place).map_or(f64::NAN, |time| time.as_secs_f64() * 1e3)
    }
}

/// What is written goes out at once: else each request with a body waits 40 ms for the other side.
async fn connect(address: SocketAddr) -> Option<TcpStream> {
    let stream = TcpStream::connect(address).await.ok()?;
    stream.set_nodelay(true).ok()?;
    Some(stream)
}

/// Asks the other application for so long: lists, and a change now and then.
async fn ask(daemon: &Daemon, token: &str, time: Duration) -> Seen {
    let mut clients = tokio::task::JoinSet::new();
    for client in 0..CLIENTS {
        let address = daemon.address;
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
                let request = if number % 10 == 9 { &change } else { &list };
                let answer = match &mut stream {
                    Some(stream) => request.send(stream).await.ok(),
                    None => None,
                };
                seen.times.push(begun.elapsed());
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

/// One kind of flood: what was seen without it and with it, and what it was answered.
#[derive(Default)]
struct Row {
    quiet: Seen,
    flooded: Seen,
    answers: Answers,
}

impl Row {
    async fn turn(&mut self, daemon: &Daemon, kind: Kind, tokens: [&str; 2], time: Duration) {
        self.quiet.add(ask(daemon, tokens[1], time).await);
        let flood = Flood::begin(kind, daemon.address, tokens[0]);
        tokio::time::sleep(RISE).await;
        self.flooded.add(ask(daemon, tokens[1], time).await);
        for (name, count) in flood.end() {
            *self.answers.entry(name).or_default() += count;
        }
        // What it left is done before the next turn.
        tokio::time::sleep(RISE).await;
    }

    /// Prints the row; gives whether what is promised holds, and the row for programs.
    fn print(&mut self, kind: Kind) -> (bool, Value) {
        let (quiet, flooded) = (self.quiet.milliseconds(99), self.flooded.milliseconds(99));
        let failed = self.quiet.failed + self.flooded.failed;
        let count = |name: &str| self.answers.get(name).copied().unwrap_or(0);
        let refused = count("429") + count("503");
        let silent = count("429 without Retry-After") + count("503 without Retry-After");
        let answered = if kind == Kind::Panics { count("500") > 0 } else { refused > 0 };
        let met = flooded <= quiet * 2.0 && failed == 0 && silent == 0 && answered;
        println!(
            "{:<24} {:>8.2} {:>8.2} {:>8.2} {:>8.2} {:>6.2} {failed:>7}   {}   {}",
            kind.name(),
            self.quiet.milliseconds(50),
            self.flooded.milliseconds(50),
            quiet,
            flooded,
            flooded / quiet,
            if met { "met   " } else { "MISSED" },
            self.answers
                .iter()
                .map(|(name, count)| format!("{count} x {name}"))
                .collect::<Vec<_>>()
                .join(", "),
        );
        let row = json!({
            "flood": kind.name(), "quiet_p50_ms": rounded(self.quiet.milliseconds(50)),
            "flooded_p50_ms": rounded(self.flooded.milliseconds(50)), "quiet_p99_ms": rounded(quiet),
            "flooded_p99_ms": rounded(flooded), "requests": self.quiet.times.len() + self.flooded.times.len(),
            "failed": failed, "answers": self.answers, "met": met,
        });
        (met, row)
    }
}

async fn measure(results: &mut Results) -> bool {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let daemon = Daemon::start(directory.path()).await;
    for app in [FLOODED, OTHER] {
        daemon.create(app).await;
    }
    let tokens = [daemon.token(FLOODED).await, daemon.token(OTHER).await];
    daemon.fill(&tokens[0]).await;
    let (rounds, time) = Mode::asked().choose((1, 2_500), (4, 3_000));
    ask(&daemon, &tokens[1], Duration::from_secs(1)).await;
    println!(
        "{:<24} {:>8} {:>8} {:>8} {:>8} {:>6} {:>7}   goal     the flooded one answered",
        "ms", "p50", "flooded", "p99", "flooded", "ratio", "failed"
    );
    let (mut met, mut rows) = (true, Vec::new());
    for kind in Kind::ALL {
        if kind == Kind::Panics && !cfg!(any(debug_assertions, feature = "crash-points")) {
            println!("{:<24} left out: build with --features crash-points", kind.name());
            continue;
        }
        let mut row = Row::default();
        for _ in 0..rounds {
            let tokens = [&*tokens[0], &*tokens[1]];
            row.turn(&daemon, kind, tokens, Duration::from_millis(time)).await;
        }
        let (holds, row) = row.print(kind);
        met &= holds;
        rows.push(row);
    }
    results.set("floods", rows);
    daemon.client.call::<HostShutdown>(Nothing {}).await.expect("the daemon ends");
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
