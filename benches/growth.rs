//! How costs grow with the number of applications, collections and rows.
//!
//! - 10, 100, 1,000 and 10,000 applications: the start of the host, its memory, `nbapps list`, and a first visit;
//! - 10, 100 and 1,000 collections in one application: creating one more, a first visit, a list, and memory;
//! - 1,000 to 1,000,000 rows, on SQLite and PostgreSQL, one request at a time: a list by the primary key and by an
//!   indexed field, its last page, one record, a page of one record with the count, and a list after a change.
//!
//! `cargo bench --bench growth`; `-- --quick` takes two minutes, without the largest of each.

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
use std::time::{Duration, Instant};

use nbapps::protocol::{DatabaseMode, DatabaseRequest};
use serde_json::{Value, json};
use support::figures::{Results, Times, milliseconds, rounded, time};
use support::fleet::{self, Fleet};
use support::host::{self, Api, Host};
use support::load::{Connection, Load};
use support::{Mode, run, with_durable_servers};

/// The sizes that this mode measures.
fn sizes(all: &[usize]) -> &[usize] {
    Mode::asked().choose(&all[..all.len() - 1], all)
}

async fn visit(api: &Api, action: &str) -> Duration {
    let mut connection = Connection::open(api.address).await;
    let begun = Instant::now();
    let answer = connection.send(&api.request("GET", action, None)).await;
    let took = begun.elapsed();
    assert_eq!(answer.status, 200, "{}", answer.text());
    took
}

async fn applications(directory: &Path) -> Vec<Value> {
    let mut all = Vec::new();
    for &number in sizes(&[10, 100, 1_000, 10_000]) {
        let directory = directory.join(format!("applications-{number}"));
        let fleet = Fleet::make(&directory, number).await;
        let host = fleet.host().await;
        let (boot, memory) = (milliseconds(host.boot), host.resources().memory_kib);
        let (mut lists, mut visits) = (Times::default(), Times::default());
        for _ in 0..10 {
            lists.add(time(&mut host.command(&["list"])));
        }
        for app in (0..number.min(100)).map(fleet::name) {
            let api = Api { address: host.address(), app, token: fleet.token.clone() };
            visits.add(visit(&api, "posts0:list").await);
        }
        host.stop().await;
        println!(
            "{number:>6} applications: boot {boot:>5.0} ms, {memory:>7} KiB, list {:>6.2} ms, first visit {:>6.2} ms",
            lists.median(),
            visits.median()
        );
        all.push(json!({
            "applications": number, "boot_ms": rounded(boot), "memory_kib": memory, "list": lists.json(),
            "first_visit": visits.json(),
        }));
        std::fs::remove_dir_all(&directory).unwrap();
    }
    all
}

async fn collections(directory: &Path) -> Vec<Value> {
    let host = Host::start(&directory.join("collections")).await;
    host.create("many", DatabaseRequest::default()).await;
    let api = host.api("many").await;
    let (mut all, mut made) = (Vec::new(), 0);
    for &number in sizes(&[10, 100, 1_000]) {
        let mut making = Times::default();
        while made < number {
            let begun = Instant::now();
            api.make_posts(&format!("posts{made}")).await;
            making = if made + 10 < number { Times::default() } else { making };
            making.add(begun.elapsed());
            made += 1;
        }
        let name = format!("posts{}", number - 1);
        api.fill_posts(&name, 50).await;
        let (mut visits, action) = (Times::default(), format!("{name}:list"));
        let memory = |host: &Host| host.resources().memory_kib;
        let mut without = u64::MAX;
        for _ in 0..10 {
            host::stop(&host.client, "many").await;
            without = without.min(memory(&host));
            host::start(&host.client, "many").await;
            visits.add(visit(&api, &action).await);
        }
        let load = Load::new(host.address(), vec![api.request("GET", &action, None)]);
        let list = load.measure(Duration::from_millis(Mode::asked().choose(300, 2_000))).await;
        println!(
            "{number:>6} collections: one more {:>6.2} ms, first request {:>6.2} ms, {:>6.0} lists/s, {:>6} KiB",
            making.median(),
            visits.median(),
            list.throughput,
            memory(&host).saturating_sub(without)
        );
        all.push(json!({
            "collections": number, "make_one": making.json(), "first_request": visits.json(),
            "lists_per_second": rounded(list.throughput), "memory_kib": memory(&host).saturating_sub(without),
        }));
    }
    host.stop().await;
    all
}

/// Inserts rows like the limit's with a statement of the engine.
async fn grow(host: &Host, data: &Path, postgres: Option<&str>, from: usize, to: usize) {
    let columns = |quoted: bool| {
        let names = ["createdAt", "updatedAt", "createdById", "updatedById", "title", "body", "views"];
        let names = names.map(|name| if quoted { format!("\"{name}\"") } else { name.to_owned() });
        format!("{}, published, price", names.join(", "))
    };
    if let Some(url) = postgres {
        let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        let columns = columns(true);
        let sql = format!(
            "INSERT INTO posts ({columns}) SELECT now(), now(), 1, 1, 'hello ' || i, 'world', i % 1000, true, 1.5 \
             FROM generate_series({from}, {to} - 1) i"
        );
        client.batch_execute(&sql).await.unwrap();
        // VACUUM must be outside of a transaction. It allows index-only scans.
        client.batch_execute("VACUUM ANALYZE posts").await.unwrap();
        return;
    }
    host::stop(&host.client, "rows").await;
    let file = rusqlite::Connection::open(data.join("apps/rows/database.sqlite")).unwrap();
    let columns = columns(false);
    let sql = format!(
        "WITH RECURSIVE n (i) AS (SELECT {from} UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {to}) \
         INSERT INTO posts ({columns}) SELECT '2026-01-01T00:00:00.000Z', '2026-01-01T00:00:00.000Z', 1, 1, \
         'hello ' || i, 'world', i % 1000, 1, 1.5 FROM n"
    );
    file.execute_batch(&sql).unwrap();
    drop(file);
    host::start(&host.client, "rows").await;
}

async fn rows(directory: &Path, postgres: bool) -> Vec<Value> {
    let engine = if postgres { "PostgreSQL" } else { "SQLite" };
    let directory = directory.join(format!("rows-{engine}"));
    let host = Host::start(&directory).await;
    let url = servers::postgres("growth");
    let database = DatabaseRequest {
        mode: if postgres { DatabaseMode::Connection } else { DatabaseMode::Database },
        url: postgres.then(|| url.clone()),
        create_database: postgres,
        ..DatabaseRequest::default()
    };
    host.create("rows", database).await;
    let api = host.api("rows").await;
    api.make_posts("posts").await;
    let (mut all, mut before) = (Vec::new(), 0);
    for &number in sizes(&[1_000, 10_000, 100_000, 1_000_000]) {
        let url = postgres.then_some(&*url);
        grow(&host, &directory.join("data"), url, before, number).await;
        before = number;
        let last = format!("posts:list?page={}", number / 20);
        let actions = [
            ("list", "posts:list".to_owned()),
            ("by_index", "posts:list?filter=%7B%22views%22%3A7%7D".to_owned()),
            ("sorted", "posts:list?sort=-id".to_owned()),
            ("last_page", last),
            ("get", format!("posts:get?filterByTk={}", number / 2)),
            ("count", "posts:list?pageSize=1&fields=id".to_owned()),
        ];
        let mut row = json!({"engine": engine, "rows": number});
        print!("{engine:<10} {number:>8} rows:");
        for (name, action) in actions {
            let one =
                Load { connections: 1, ..Load::new(host.address(), vec![api.request("GET", &action, None)]) };
            let measured = one.measure(Duration::from_millis(Mode::asked().choose(200, 1_500))).await;
            print!(" {name} {:.2} ms,", measured.p50);
            row[name] = json!({"p50_ms": rounded(measured.p50), "p99_ms": rounded(measured.p99)});
        }
        let changed = after_changes(&api, "posts:list").await;
        println!(" list after a change {:.2} ms", changed.median());
        row["list_after_change"] = json!({
            "p50_ms": rounded(changed.median()), "p99_ms": rounded(changed.percentile(99.0)),
        });
        all.push(row);
    }
    host.stop().await;
    all
}

/// Measures an action just after a change.
async fn after_changes(api: &Api, action: &str) -> Times {
    let change = api.request("POST", "posts:update?filterByTk=1", Some(&json!({"title": "changed"})));
    let asked = api.request("GET", action, None);
    let mut connection = Connection::open(api.address).await;
    let mut times = Times::default();
    for _ in 0..Mode::asked().choose(10, 50) {
        assert_eq!(connection.send(&change).await.status, 200);
        let begun = Instant::now();
        assert_eq!(connection.send(&asked).await.status, 200);
        times.add(begun.elapsed());
    }
    times
}

fn main() {
    with_durable_servers();
    let mut results = Results::new("growth");
    let directory = tempfile::tempdir().unwrap();
    run(async {
        results.set("applications", applications(directory.path()).await);
        results.set("collections", collections(directory.path()).await);
        let mut all = rows(directory.path(), false).await;
        all.extend(rows(directory.path(), true).await);
        results.set("rows", all);
    });
    results.write();
}
