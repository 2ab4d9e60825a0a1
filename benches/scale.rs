//! Large applications: a thousand collections, a collection of a hundred fields, a million records.
//!
//! `cargo bench --bench scale` does all of it on SQLite, `SCALE_ON=postgres` or `mariadb` on a private
//! server. It prints each request with the median time of several, in milliseconds.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark prints, and ends when it cannot go on"
)]

#[allow(dead_code, reason = "what the tests need beside it")]
#[path = "../tests/servers/mod.rs"]
mod servers;

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nbapps::internals::{Database, Location};
use sea_query::{Expr, Query};
use serde_json::{Value, json};
use tokio::net::UnixDatagram;

const COLLECTIONS: usize = 1000;
const FIELDS: usize = 100;
const RECORDS: i64 = 1_000_000;
/// How many records one statement inserts.
const AT_ONCE: i64 = 5000;
const PASSWORD: &str = "admin123";

/// A daemon that ends with the benchmark, and a session in its main application.
struct Host {
    child: Child,
    url: String,
    client: reqwest::Client,
    token: String,
}

impl Host {
    async fn start(directory: &Path, main: &str) -> Self {
        let notify = directory.join("notify.sock");
        let ready = UnixDatagram::bind(&notify).expect("a socket to be told at");
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let listen = format!("127.0.0.1:{port}");
        let mut command = Command::new(env!("CARGO_BIN_EXE_nbappsd"));
        command.arg("--data-dir").arg(directory.join("data")).arg("--socket").arg(directory.join("s"));
        command.args(["--listen", &listen, "--log-level", "warn"]).env("NOTIFY_SOCKET", &notify);
        command.env("INIT_ROOT_EMAIL", "a@example.com").env("INIT_ROOT_PASSWORD", PASSWORD);
        let child = command.env("NBAPPS_DATABASE_URL", main).stdout(Stdio::null()).spawn().unwrap();
        ready.recv(&mut [0; 64]).await.expect("the daemon says that it is ready");
        let client = reqwest::Client::new();
        let mut host = Self { child, url: format!("http://{listen}/api/"), client, token: String::new() };
        let account = json!({"account": "a@example.com", "password": PASSWORD});
        let session = host.post("auth:signIn", &account).await;
        session["data"]["token"].as_str().unwrap().clone_into(&mut host.token);
        host
    }

    async fn post(&self, path: &str, body: &Value) -> Value {
        let request = self.client.post(format!("{}{path}", self.url)).bearer_auth(&self.token).json(body);
        let response = request.send().await.unwrap();
        let (status, answer) = (response.status(), response.json::<Value>().await.unwrap());
        assert!(status.is_success(), "{path}: {answer}");
        answer
    }

    async fn timed(&self, path: &str, body: &Value) -> Duration {
        let begun = Instant::now();
        self.post(path, body).await;
        begun.elapsed()
    }

    /// Prints how long a request takes: the median of five.
    async fn measure(&self, what: &str, path: &str) {
        let mut times = Vec::new();
        for _ in 0..5 {
            times.push(self.timed(path, &json!({})).await);
        }
        print(what, &mut times);
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn print(what: &str, times: &mut [Duration]) {
    times.sort();
    println!("{what:<60} {:>10.2}", times[times.len() / 2].as_secs_f64() * 1e3);
}

fn definition(name: &str, fields: usize) -> Value {
    let fields: Vec<Value> = (0..fields)
        .map(|at| json!({"name": format!("f{at}"), "type": "string", "interface": "input"}))
        .collect();
    json!({"name": name, "title": name, "fields": fields})
}

async fn collections(host: &Host) {
    let mut times = Vec::with_capacity(COLLECTIONS);
    for at in 0..COLLECTIONS {
        times.push(host.timed("collections:create", &definition(&format!("c{at}"), 5)).await);
    }
    let total: Duration = times.iter().sum();
    println!("{:<60} {:>10.2}", "a thousand collections, in all", total.as_secs_f64() * 1e3);
    print("a collection, of the first hundred", &mut times[..100]);
    print("a collection, of the last hundred", &mut times[COLLECTIONS - 100..]);
    host.measure("a record's list among a thousand collections", "c500:list").await;
    host.measure("collections:listMeta of a thousand", "collections:listMeta").await;
    host.measure("collections:list, a page of 20", "collections:list").await;
}

async fn fields(host: &Host) {
    let took = host.timed("collections:create", &definition("wide", FIELDS)).await;
    print("a collection of a hundred fields", &mut [took]);
    let field = |at: usize| json!({"name": format!("g{at}"), "type": "integer"});
    let mut times = Vec::new();
    for at in 0..5 {
        times.push(host.timed("collections/wide/fields:create", &field(at)).await);
    }
    print("one more field", &mut times);
    let values: serde_json::Map<String, Value> =
        (0..FIELDS).map(|at| (format!("f{at}"), json!(format!("value {at}")))).collect();
    let mut times = Vec::new();
    for _ in 0..20 {
        times.push(host.timed("wide:create", &Value::Object(values.clone())).await);
    }
    print("a record of a hundred values", &mut times);
    host.measure("a page of 20 of them", "wide:list").await;
}

async fn records(host: &Host, main: &str) {
    let big = json!({"name": "big", "fields": [
        {"name": "title", "type": "string"}, {"name": "views", "type": "integer", "index": true},
    ]});
    host.post("collections:create", &big).await;
    let database = Database::open(&Location::parse(main).unwrap()).await.unwrap();
    let begun = Instant::now();
    for from in (0..RECORDS).step_by(AT_ONCE.unsigned_abs() as usize) {
        let mut statement = Query::insert().into_table("big").columns(["title", "views"]).to_owned();
        for at in from..from + AT_ONCE {
            statement.values_panic([Expr::val(format!("title {at}")), Expr::val(at % 1000)]);
        }
        database.execute(&statement).await.unwrap();
    }
    println!("{:<60} {:>10.2}", "a million records, by statements", begun.elapsed().as_secs_f64() * 1e3);
    database.close().await;
    host.measure("the first page of a million", "big:list").await;
    host.measure("page 25,000", "big:list?page=25000").await;
    host.measure("the last page", "big:list?page=50000").await;
    host.measure("by an index, 1,000 of a million", "big:list?filter[views]=7").await;
    host.measure("by an index, a page beyond the last", "big:list?filter[views]=7&page=60").await;
    host.measure("in the order of an index", "big:list?sort=views").await;
    host.measure("from the end of it", "big:list?sort=-views").await;
    host.measure("one by its key", "big:get?filterByTk=654321").await;
    host.measure("those with a text in it", "big:list?filter[title][$includes]=99999").await;
    let mut times = Vec::new();
    for at in 0..20 {
        times.push(host.timed("big:create", &json!({"title": "new", "views": at})).await);
    }
    print("one more", &mut times);
}

async fn measure(directory: &Path) {
    let engine = std::env::var("SCALE_ON").unwrap_or_else(|_| "sqlite".to_owned());
    let main = match engine.as_str() {
        "postgres" => servers::postgres("scale"),
        "mariadb" => servers::mariadb("scale"),
        _ => format!("sqlite:{}", directory.join("main.sqlite").display()),
    };
    let host = Host::start(directory, &main).await;
    println!("{:<60} {:>10}", engine, "ms");
    fields(&host).await;
    records(&host, &main).await;
    collections(&host).await;
}

fn main() {
    // Before there is a second thread, since this sets an environment variable for the servers.
    if std::env::var_os("DURABLE").is_none() {
        let again = std::env::current_exe().unwrap();
        let status = Command::new(again).args(std::env::args_os().skip(1)).env("DURABLE", "1").status();
        std::process::exit(status.expect("the benchmark can be run").code().unwrap_or(1));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let directory = tempfile::tempdir().expect("a temporary directory");
    runtime.block_on(measure(directory.path()));
}
