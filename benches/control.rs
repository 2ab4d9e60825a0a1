//! What an operator waits for: `nbapps list` against many applications, and `nbapps create` until
//! the application runs.
//!
//! A daemon of its own runs in a temporary directory on a free port. Everything is measured in one
//! run, in turns, so that what the machine does meanwhile falls on all alike; starting `true` is
//! measured beside it, because every command pays that much before it does anything.
//!
//! `cargo bench --bench control` prints median and 95th percentile, and fails when a goal is missed.

#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a benchmark prints, and ends when it cannot go on"
)]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use nbapps::client::{Address, Client};
use nbapps::protocol::methods::{AppCreate, HostShutdown};
use nbapps::protocol::{AppId, CreateApplication, Nothing};
use tokio::net::UnixDatagram;
use tokio::task::JoinSet;

const NBAPPSD: &str = env!("CARGO_BIN_EXE_nbappsd");
const NBAPPS: &str = env!("CARGO_BIN_EXE_nbapps");
/// How many applications are listed.
const APPLICATIONS: usize = 1_000;
/// How many of them are made at a time.
const AT_A_TIME: usize = 16;
/// How often everything is measured.
const ROUNDS: usize = 50;
const PATIENCE: Duration = Duration::from_secs(60);

/// A daemon that ends with the benchmark.
struct Daemon {
    child: Child,
    socket: PathBuf,
}

impl Daemon {
    async fn start(directory: &Path) -> Self {
        let notify = directory.join("notify.sock");
        let ready = UnixDatagram::bind(&notify).expect("a socket to be told at");
        let socket = directory.join("control.sock");
        let mut command = Command::new(NBAPPSD);
        command.arg("--data-dir").arg(directory.join("data")).arg("--socket").arg(&socket);
        command.args(["--listen", "127.0.0.1:0", "--log-level", "warn"]).env("NOTIFY_SOCKET", &notify);
        let child = command.stdout(Stdio::null()).spawn().expect("the daemon can be started");
        let daemon = Self { child, socket };
        let mut message = [0; 64];
        let told = tokio::time::timeout(PATIENCE, ready.recv(&mut message)).await;
        told.expect("the daemon is ready in time").expect("the daemon says that it is ready");
        daemon
    }

    async fn client(&self) -> Client {
        Client::connect(&Address::Socket(self.socket.clone())).await.expect("the daemon answers")
    }

    /// The time of one `nbapps` with these arguments, from its start to its end.
    fn nbapps(&self, arguments: &[&str]) -> Duration {
        let mut command = Command::new(NBAPPS);
        command.arg("--socket").arg(&self.socket).args(arguments);
        time(&mut command)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The time that a program takes; it must succeed.
fn time(command: &mut Command) -> Duration {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let begun = Instant::now();
    let status = command.status().expect("the program can be run");
    let took = begun.elapsed();
    assert!(status.success(), "{command:?} ended with {status}");
    took
}

fn creation(id: String, start: bool) -> CreateApplication {
    let id = AppId::parse(&id).expect("the benchmark's own IDs are good");
    CreateApplication { id: Some(id), start, ..CreateApplication::default() }
}

/// Makes the applications that are listed; gives how long that took.
async fn fill(daemon: &Daemon) -> Duration {
    let begun = Instant::now();
    let mut workers = JoinSet::new();
    for worker in 0..AT_A_TIME {
        let client = daemon.client().await;
        workers.spawn(async move {
            for number in (worker..APPLICATIONS).step_by(AT_A_TIME) {
                let create = creation(format!("app-{number:04}"), false);
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
    goal: Option<Duration>,
    times: Vec<Duration>,
}

impl Row {
    fn new(name: &'static str, goal: Option<u64>) -> Self {
        Self { name, goal: goal.map(Duration::from_millis), times: Vec::with_capacity(ROUNDS) }
    }

    fn percentile(&self, percent: usize) -> Duration {
        self.times[(self.times.len() * percent / 100).min(self.times.len() - 1)]
    }

    /// Prints the row; gives whether its goal, if it has one, is met.
    fn print(&mut self) -> bool {
        self.times.sort();
        let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
        let (median, late) = (self.percentile(50), self.percentile(95));
        let met = self.goal.is_none_or(|goal| median < goal);
        let goal = match self.goal {
            Some(goal) => format!("< {} ms: {}", goal.as_millis(), if met { "met" } else { "MISSED" }),
            None => "-".to_owned(),
        };
        println!("{:<42} {:>9.2} {:>9.2}   {goal}", self.name, milliseconds(median), milliseconds(late));
        met
    }
}

async fn measure(daemon: &Daemon) -> Vec<Row> {
    let client = daemon.client().await;
    let mut floor = Row::new("true (a process, nothing else)", None);
    let mut list = Row::new("nbapps list, 1,000 applications", Some(50));
    let mut names = Row::new("nbapps list -o name, 1,000 applications", Some(50));
    let mut create = Row::new("nbapps create --start, until it runs", Some(100));
    let mut call = Row::new("app.create with start, over the socket", Some(100));
    for round in 0..ROUNDS {
        floor.times.push(time(&mut Command::new("true")));
        list.times.push(daemon.nbapps(&["list"]));
        names.times.push(daemon.nbapps(&["list", "-o", "name"]));
        create.times.push(daemon.nbapps(&["create", &format!("command-{round}"), "--start"]));
        let begun = Instant::now();
        let created = client.call::<AppCreate>(creation(format!("call-{round}"), true)).await;
        call.times.push(begun.elapsed());
        created.expect("an application is made");
    }
    vec![floor, list, names, create, call]
}

#[tokio::main]
async fn main() -> ExitCode {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let daemon = Daemon::start(directory.path()).await;
    let filled = fill(&daemon).await;
    println!("{APPLICATIONS} applications made in {:.2} s, {AT_A_TIME} at a time", filled.as_secs_f64());
    let mut rows = measure(&daemon).await;
    println!("{:<42} {:>9} {:>9}   goal (median)", format!("{ROUNDS} rounds, ms"), "median", "p95");
    let missed = rows.iter_mut().map(Row::print).filter(|met| !met).count();
    daemon.client().await.call::<HostShutdown>(Nothing {}).await.expect("the daemon ends");
    if missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
