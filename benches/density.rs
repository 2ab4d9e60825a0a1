//! How many applications one process can run, and the cost of each.
//!
//! There are 10,000 registered applications on SQLite with three collections each, of which 1,000 run; then 1,000 in
//! schema mode on one PostgreSQL server. For both, this measures the start of the host, its memory, threads and open
//! files before and after, `nbapps list`, and a first visit while other applications are under load. At the end, the
//! running applications are stopped and started ten times, which must not increase the memory.
//!
//! Memory is the process's private memory (`RssAnon`), so that memory shared with files is not counted twice. It is
//! measured after idle connections were closed.
//!
//! `cargo bench --bench density`; `-- --quick` takes a minute, with a tenth of them.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::print_stdout,
    missing_docs,
    reason = "a benchmark prints, and ends when it cannot go on"
)]

#[allow(dead_code, reason = "what the tests need beside it")]
#[path = "../tests/servers/mod.rs"]
mod servers;
#[path = "support/mod.rs"]
mod support;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nbapps::protocol::{DatabaseMode, DatabaseRequest};
use serde_json::{Value, json};
use support::figures::{Results, Times, milliseconds, rounded, time};
use support::fleet::{self, Fleet};
use support::host::{self, Api, Host, Resources};
use support::load::{Connection, Load};
use support::{Mode, run, with_durable_servers};
use tokio::task::JoinSet;

/// How many applications are started, stopped or created at a time.
const AT_A_TIME: usize = 16;
/// The time until idle connections are closed: a little more than the host's timeout.
const IDLE: Duration = Duration::from_secs(27);

/// Does something with each of these applications, several at a time. Returns how long all of it took.
async fn each<F, D>(host: &Host, apps: &[String], work: F) -> Duration
where
    F: Fn(Arc<nbapps::client::Client>, String) -> D,
    D: Future<Output = ()> + Send + 'static,
{
    let client = Arc::new(host.connect().await);
    let begun = Instant::now();
    let mut under_way = JoinSet::new();
    for app in apps {
        if under_way.len() >= AT_A_TIME {
            under_way.join_next().await.unwrap().unwrap();
        }
        under_way.spawn(work(Arc::clone(&client), app.clone()));
    }
    under_way.join_all().await;
    begun.elapsed()
}

async fn start_all(host: &Host, apps: &[String]) -> Duration {
    each(host, apps, |client, app| async move { host::start(&client, &app).await }).await
}

async fn stop_all(host: &Host, apps: &[String]) -> Duration {
    each(host, apps, |client, app| async move { host::stop(&client, &app).await }).await
}

/// Measures `nbapps list`, and a process that does nothing.
fn lists(host: &Host) -> Value {
    let (mut list, mut names, mut floor) = (Times::default(), Times::default(), Times::default());
    for _ in 0..Mode::asked().choose(10, 40) {
        floor.add(time(&mut std::process::Command::new("true")));
        list.add(time(&mut host.command(&["list"])));
        names.add(time(&mut host.command(&["list", "-o", "name"])));
    }
    json!({"true": floor.json(), "list": list.json(), "list -o name": names.json()})
}

/// Measures first visits, one after the other, while running applications are under load.
async fn first_visits(host: &Host, tokens: &[String], token: &str, action: &str, busy: &Api) -> Value {
    let load = Load { connections: 4, ..Load::new(host.address(), vec![busy.request("GET", action, None)]) };
    let time = Duration::from_millis(500) + Duration::from_millis(20) * tokens.len() as u32;
    let under_load = tokio::spawn(load.measure(time.min(Duration::from_secs(20))));
    tokio::time::sleep(Duration::from_millis(300)).await;
    let mut times = Times::default();
    for app in tokens {
        let api = Api { address: host.address(), app: app.clone(), token: token.to_owned() };
        let request = api.request("GET", action, None);
        let mut connection = Connection::open(host.address()).await;
        let begun = Instant::now();
        let answer = connection.send(&request).await;
        times.add(begun.elapsed());
        assert_eq!(answer.status, 200, "{app}: {}", answer.text());
    }
    let measured = under_load.await.unwrap();
    println!(
        "first visits of {} under load ({:.0} requests/s): median {:.2} ms, p99 {:.2} ms",
        tokens.len(),
        measured.throughput,
        times.median(),
        times.percentile(99.0)
    );
    json!({"times": times.json(), "load_per_second": rounded(measured.throughput)})
}

fn per_application(before: Resources, after: Resources, number: usize) -> f64 {
    (after.memory_kib as f64 - before.memory_kib as f64) / number as f64
}

fn say(what: &str, resources: Resources) {
    println!(
        "{what:<44} {:>9.1} MiB {:>4} threads {:>6} files",
        resources.memory_kib as f64 / 1024.0,
        resources.threads,
        resources.files
    );
}

/// Stops and starts all of them repeatedly.
async fn rounds(host: &Host, apps: &[String]) -> Vec<Value> {
    let mut all = Vec::new();
    for round in 1..=Mode::asked().choose(3, 10) {
        let stopping = stop_all(host, apps).await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        let stopped = host.resources();
        let starting = start_all(host, apps).await;
        let started = host.resources();
        println!(
            "round {round:>2}: stopped in {:>5.2} s, {:>7.1} MiB; started in {:>5.2} s, {:>7.1} MiB",
            stopping.as_secs_f64(),
            stopped.memory_kib as f64 / 1024.0,
            starting.as_secs_f64(),
            started.memory_kib as f64 / 1024.0
        );
        all.push(json!({
            "stop_s": rounded(stopping.as_secs_f64()), "start_s": rounded(starting.as_secs_f64()),
            "stopped": stopped, "started": started,
        }));
    }
    all
}

/// Registered and running applications on SQLite.
async fn on_sqlite(directory: &Path) -> Value {
    let mode = Mode::asked();
    let (registered, running) = mode.choose((1_000, 100), (10_000, 1_000));
    let fleet = Fleet::make(directory, registered).await;
    let host = fleet.host().await;
    let boot = milliseconds(host.boot);
    println!("SQLite: {registered} registered, the host answers after {boot:.0} ms");
    let before = host.resources();
    say("none runs", before);
    let apps: Vec<String> = (0..running).map(fleet::name).collect();
    let starting = start_all(&host, &apps).await;
    say(&format!("{running} started in {:.2} s", starting.as_secs_f64()), host.resources());
    tokio::time::sleep(IDLE).await;
    let idle = host.resources();
    say("idle", idle);
    let each = per_application(before, idle, running);
    println!("an idle running application: {each:.1} KiB");
    let lists = lists(&host);
    println!("nbapps list of {registered}: {}", lists["list"]);
    let busy = Api { address: host.address(), app: apps[0].clone(), token: fleet.token.clone() };
    let visited: Vec<String> = (running..running + mode.choose(50, 400)).map(fleet::name).collect();
    let visits = first_visits(&host, &visited, &fleet.token, "posts0:list", &busy).await;
    let rounds = rounds(&host, &apps).await;
    host.stop().await;
    json!({
        "registered": registered, "running": running, "boot_ms": rounded(boot), "before": before, "idle": idle,
        "start_all_s": rounded(starting.as_secs_f64()), "kib_per_idle_application": rounded(each),
        "nbapps_list": lists, "first_visit": visits, "rounds": rounds,
    })
}

/// Running applications in schemas of one PostgreSQL database.
async fn on_schemas(directory: &Path) -> Value {
    let number = Mode::asked().choose(20, 1_000);
    let url = servers::postgres("density");
    let host = Host::start_on(directory, &url).await;
    let apps: Vec<String> = (0..number).map(fleet::name).collect();
    let address = host.address();
    let making = each(&host, &apps, |client, app| async move {
        let schema = DatabaseRequest { mode: DatabaseMode::Schema, ..DatabaseRequest::default() };
        host::create(&client, &app, schema, true).await;
        let api = Api::sign_in(address, &app, host::ROOT).await;
        for number in 0..3 {
            api.make_posts(&format!("posts{number}")).await;
        }
        host::stop(&client, &app).await;
    })
    .await;
    println!(
        "PostgreSQL: {number} in schemas, made with 3 collections each in {:.1} s",
        making.as_secs_f64()
    );
    host.stop().await;
    let host = Host::start_on(directory, &url).await;
    let boot = milliseconds(host.boot);
    let before = host.resources();
    say(&format!("none runs, boot {boot:.0} ms"), before);
    let starting = start_all(&host, &apps).await;
    say(&format!("{number} started in {:.2} s", starting.as_secs_f64()), host.resources());
    tokio::time::sleep(IDLE).await;
    let idle = host.resources();
    say("idle", idle);
    let each = per_application(before, idle, number);
    println!("an idle running application in a schema: {each:.1} KiB");
    let rounds = rounds(&host, &apps).await;
    host.stop().await;
    json!({
        "running": number, "boot_ms": rounded(boot), "make_all_s": rounded(making.as_secs_f64()),
        "start_all_s": rounded(starting.as_secs_f64()), "before": before, "idle": idle,
        "kib_per_idle_application": rounded(each), "rounds": rounds,
    })
}

fn main() {
    with_durable_servers();
    let mut results = Results::new("density");
    let directory = tempfile::tempdir().unwrap();
    run(async {
        results.set("sqlite", on_sqlite(&directory.path().join("sqlite")).await);
        results.set("postgres_schemas", on_schemas(&directory.path().join("postgres")).await);
    });
    results.write();
}
