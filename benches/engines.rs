//! From `app.create` until the application runs, for every engine and mode.
//!
//! PostgreSQL and MariaDB run as private servers that keep what they acknowledge, as in use; each
//! host has its main application on one of the engines. Everything is measured in one run, in turns,
//! so that what the machine does meanwhile falls on all alike. What the server needs to make an
//! empty database or schema is measured beside it: no host can be faster.
//!
//! `cargo bench --bench engines` prints median and 95th percentile in milliseconds.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark prints, and ends when it cannot go on"
)]

#[allow(dead_code, reason = "what the tests need beside it")]
#[path = "../tests/servers/mod.rs"]
mod servers;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nbapps::client::{Address, Client};
use nbapps::internals::{Database, Location};
use nbapps::protocol::methods::AppCreate;
use nbapps::protocol::{AppId, CreateApplication, DatabaseMode, DatabaseRequest};
use tokio::net::UnixDatagram;

/// How often everything is measured.
const ROUNDS: usize = 30;
const PATIENCE: Duration = Duration::from_secs(60);

/// A daemon that ends with the benchmark.
struct Daemon {
    child: Child,
    client: Client,
}

impl Daemon {
    async fn start(directory: PathBuf, main: &str) -> Self {
        std::fs::create_dir(&directory).unwrap();
        let notify = directory.join("notify.sock");
        let ready = UnixDatagram::bind(&notify).expect("a socket to be told at");
        let socket = directory.join("control.sock");
        let mut command = Command::new(env!("CARGO_BIN_EXE_nbappsd"));
        command.arg("--data-dir").arg(directory.join("data")).arg("--socket").arg(&socket);
        command.args(["--listen", "127.0.0.1:0", "--log-level", "warn"]).env("NOTIFY_SOCKET", &notify);
        let child = command.env("NBAPPS_DATABASE_URL", main).stdout(Stdio::null()).spawn().unwrap();
        let mut message = [0; 64];
        let told = tokio::time::timeout(PATIENCE, ready.recv(&mut message)).await;
        told.expect("the daemon is ready in time").expect("the daemon says that it is ready");
        let client = Client::connect(&Address::Socket(socket)).await.expect("the daemon answers");
        Self { child, client }
    }

    /// Creates an application and starts it; gives how long that took.
    async fn create(&self, id: String, database: DatabaseRequest) -> Duration {
        let id = AppId::parse(&id).unwrap();
        let create =
            CreateApplication { id: Some(id), start: true, database, ..CreateApplication::default() };
        let begun = Instant::now();
        self.client.call::<AppCreate>(create).await.expect("an application is made");
        begun.elapsed()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn mode(mode: DatabaseMode) -> DatabaseRequest {
    DatabaseRequest { mode, ..DatabaseRequest::default() }
}

fn connection(url: String) -> DatabaseRequest {
    DatabaseRequest { url: Some(url), create_database: true, ..mode(DatabaseMode::Connection) }
}

/// Makes an empty database or schema; gives how long that took.
async fn empty(at: &Location) -> Duration {
    let begun = Instant::now();
    let database = Database::create(at).await.expect("a database is made");
    let took = begun.elapsed();
    database.close().await;
    took
}

struct Row {
    name: &'static str,
    times: Vec<Duration>,
}

impl Row {
    fn print(&mut self) {
        self.times.sort();
        let at = |percent: usize| {
            self.times[(self.times.len() * percent / 100).min(self.times.len() - 1)].as_secs_f64() * 1e3
        };
        println!("{:<48} {:>9.2} {:>9.2}", self.name, at(50), at(95));
    }
}

async fn measure(directory: &Path) -> Vec<Row> {
    let sqlite = |name: &str| format!("sqlite:{}", directory.join(name).display());
    let on_sqlite = Daemon::start(directory.join("sqlite"), &sqlite("main.sqlite")).await;
    let on_postgres = Daemon::start(directory.join("postgres"), &servers::postgres("host")).await;
    let on_mariadb = Daemon::start(directory.join("mariadb"), &servers::mariadb("host")).await;
    let around = Location::parse(&servers::postgres("schemas")).unwrap();
    // Kept open, as a host that has applications there keeps it.
    let _around = Database::create(&around).await.unwrap();
    let mut rows: Vec<Row> = [
        "SQLite, an empty database",
        "SQLite, --db database",
        "SQLite, --db connection",
        "PostgreSQL, an empty schema",
        "PostgreSQL, --db schema",
        "PostgreSQL, an empty database",
        "PostgreSQL, --db database",
        "PostgreSQL, --db connection --create-database",
        "MariaDB, an empty database",
        "MariaDB, --db database",
        "MariaDB, --db connection --create-database",
    ]
    .into_iter()
    .map(|name| Row { name, times: Vec::with_capacity(ROUNDS) })
    .collect();
    for round in 0..ROUNDS {
        let times = [
            empty(&Location::parse(&sqlite(&format!("empty-{round}.sqlite"))).unwrap()).await,
            on_sqlite.create(format!("d{round}"), mode(DatabaseMode::Database)).await,
            on_sqlite.create(format!("c{round}"), connection(sqlite(&format!("c{round}.sqlite")))).await,
            empty(&around.with_schema(&format!("empty_{round}")).unwrap()).await,
            on_postgres.create(format!("s{round}"), mode(DatabaseMode::Schema)).await,
            empty(&Location::parse(&servers::postgres(&format!("empty_{round}"))).unwrap()).await,
            on_postgres.create(format!("d{round}"), mode(DatabaseMode::Database)).await,
            on_sqlite.create(format!("p{round}"), connection(servers::postgres(&format!("c{round}")))).await,
            empty(&Location::parse(&servers::mariadb(&format!("empty_{round}"))).unwrap()).await,
            on_mariadb.create(format!("d{round}"), mode(DatabaseMode::Database)).await,
            on_sqlite.create(format!("m{round}"), connection(servers::mariadb(&format!("c{round}")))).await,
        ];
        for (row, time) in rows.iter_mut().zip(times) {
            row.times.push(time);
        }
    }
    rows
}

fn main() {
    // Before there is a second thread: the servers are started with it.
    let durable = std::env::var_os("DURABLE").is_some();
    if !durable {
        let again = std::env::current_exe().unwrap();
        let status = Command::new(again).args(std::env::args_os().skip(1)).env("DURABLE", "1").status();
        std::process::exit(status.expect("the benchmark can be run").code().unwrap_or(1));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut rows = runtime.block_on(measure(directory.path()));
    println!("{:<48} {:>9} {:>9}", format!("{ROUNDS} rounds, until it runs, ms"), "median", "p95");
    rows.iter_mut().for_each(Row::print);
}
