//! `nbapps stats`, and the statistics over the control socket.

use std::collections::BTreeMap;
use std::time::Instant;

use macro_rules_attribute::apply;
use serde_json::{Value, json};

use crate::environment::{Daemon, PATIENCE, Ran, TestEnvironment, http, sign_in};
use crate::limits::{QUICK, SLOW, ask, crm, update};
use crate::servers::{TestEngine, on_every_engine};
use crate::ssh_server::SshServer;
use crate::terminal::Terminal;

/// The statistics of an application.
fn stats(daemon: &Daemon, id: &str) -> Value {
    daemon.call("app.stats", json!({"ids": [id]}))["applications"][0].take()
}

/// The responses of an application by code.
fn responses(daemon: &Daemon, id: &str) -> Value {
    stats(daemon, id)["requests"]["responses_total"].take()
}

/// Waits until the statistics of `crm` are as expected.
async fn until(daemon: &Daemon, what: &str, is_so: impl Fn(&Value) -> bool) {
    let begun = Instant::now();
    loop {
        let stats = stats(daemon, "crm");
        if is_so(&stats) {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "{what}: {stats}");
        tokio::task::yield_now().await;
    }
}

#[apply(on_every_engine)]
#[tokio::test]
async fn requests_are_counted_with_their_codes_and_durations(engine: TestEngine) {
    let environment = TestEnvironment::of(engine);
    let daemon = environment.daemon();
    daemon.call("app.create", json!({"id": "crm", "start": true}));
    daemon.call("app.create", json!({"id": "hr"}));
    assert!(stats(&daemon, "crm")["requests"].is_null(), "none so far");
    let token = sign_in(&daemon, Some("crm")).await;
    let mut expected = BTreeMap::from([("200".to_owned(), 1)]);
    for (path, token) in [
        ("/api/users:list", Some(&*token)),
        ("/api/users:list", Some(&*token)),
        ("/api/users:list", None),
        ("/api/users:nosuch", Some(&*token)),
        ("/api/users:list?filter=[", Some(&*token)),
        ("/apps/crm/admin/sign-in", None),
    ] {
        let (status, _) = http(&daemon, "GET", path, Some("crm"), token, None).await;
        *expected.entry(status.to_string()).or_insert(0) += 1;
    }
    assert!(expected.len() > 2, "{expected:?}");
    // Requests of nobody, health checks and assets are not counted.
    for path in ["/api/__health_check", "/assets/nosuch", "/nowhere"] {
        http(&daemon, "GET", path, Some("crm"), None, None).await;
    }
    http(&daemon, "GET", QUICK, Some("nosuch"), None, None).await;
    assert_eq!(responses(&daemon, "crm"), json!(expected));
    let crm = stats(&daemon, "crm");
    let timed: u64 = crm["requests"]["duration_buckets"]
        .as_array()
        .unwrap()
        .iter()
        .map(|count| count.as_u64().unwrap())
        .sum();
    assert_eq!(timed, 7, "{crm}");
    assert!(crm["requests"]["duration_seconds_total"].as_f64().unwrap() > 0.0, "{crm}");
    assert_eq!(crm["requests"]["cold_starts_total"], 0, "{crm}");
    assert_eq!((&crm["in_flight"], &crm["queued"], &crm["connections"]), (&json!(0), &json!(0), &json!(0)));
    // The page caches of SQLite are in the process, those of servers are not.
    assert_eq!(crm["max_page_cache_bytes"].is_u64(), !environment.is_on_server(), "{crm}");
    // The first visit starts an application; its duration is that of the start, too.
    assert_eq!(http(&daemon, "GET", QUICK, Some("hr"), None, None).await.0, 200);
    let hr = stats(&daemon, "hr");
    assert_eq!(hr["requests"]["cold_starts_total"], 1, "{hr}");
    let took = |name: &str| hr["requests"][name].as_f64().unwrap();
    assert!(took("cold_start_seconds_total") > 0.0, "{hr}");
    assert!(took("duration_seconds_total") >= took("cold_start_seconds_total"), "{hr}");
    // An application that was stopped refuses requests, which is counted.
    daemon.call("app.stop", json!({"id": "hr"}));
    http(&daemon, "GET", QUICK, Some("hr"), None, None).await;
    let hr = stats(&daemon, "hr");
    assert_eq!((&hr["state"], &hr["requests"]["responses_total"]["503"]), (&json!("stopped"), &json!(1)));
    assert_eq!((&hr["database_connections"], &hr["in_flight"]), (&json!(0), &json!(0)));
    // Another application of the same ID is counted from the beginning.
    daemon.call("app.delete", json!({"id": "hr", "purge": true}));
    daemon.call("app.create", json!({"id": "hr"}));
    assert!(stats(&daemon, "hr")["requests"].is_null());
}

#[apply(on_every_engine)]
#[tokio::test]
async fn what_requests_use_now_is_told(engine: TestEngine) {
    let environment = TestEnvironment::of(engine);
    let (daemon, token) = crm(&environment).await;
    update(&daemon, json!({"in_flight": 1, "queue": 2, "connections": 3, "queue_time_ms": 60_000}));
    let before = responses(&daemon, "crm");
    let slow = ask(&daemon, SLOW, &token);
    until(&daemon, "a request in flight", |stats| stats["in_flight"] == 1).await;
    until(&daemon, "its database", |stats| stats["database_connections"].as_u64() > Some(0)).await;
    let waiting = [ask(&daemon, QUICK, ""), ask(&daemon, QUICK, "")];
    until(&daemon, "two in the queue", |stats| stats["queued"] == 2 && stats["connections"] == 3).await;
    // One more is refused as it arrives: it has no duration.
    let timed = |stats: &Value| -> u64 {
        stats["requests"]["duration_buckets"].as_array().unwrap().iter().filter_map(Value::as_u64).sum()
    };
    let timed_before = timed(&stats(&daemon, "crm"));
    assert_eq!(ask(&daemon, QUICK, "").await.unwrap().status, 503);
    assert_eq!(timed(&stats(&daemon, "crm")), timed_before);
    let listed = environment.nbapps(&["stats", "crm", "--since-start", "-o", "json"]).ok().json();
    assert_eq!((&listed["applications"][0]["queued"], &listed["host"]["running"]), (&json!(2), &json!(1)));
    // A client that disconnects is counted apart.
    slow.abort();
    for answer in waiting {
        assert_eq!(answer.await.unwrap().status, 200);
    }
    until(&daemon, "nothing", |stats| stats["connections"] == 0 && stats["in_flight"] == 0).await;
    let after = responses(&daemon, "crm");
    let more = |code: &str| after[code].as_u64().unwrap_or(0) - before[code].as_u64().unwrap_or(0);
    assert_eq!((more("200"), more("499"), more("503")), (2, 1, 1), "{before} {after}");
}

#[apply(on_every_engine)]
#[tokio::test]
async fn a_panic_and_a_timeout_are_counted_as_they_are_answered(engine: TestEngine) {
    let environment = TestEnvironment::of(engine);
    let mut command = environment.daemon_command();
    command.env("NBAPPS_PANIC_AT", "crash:now");
    let daemon = environment.daemon_by(command);
    daemon.call("app.create", json!({"id": "crm", "start": true, "limits": {"body_bytes": 1000}}));
    assert_eq!(http(&daemon, "POST", "/api/crash:now", Some("crm"), None, None).await.0, 500);
    let long = json!({"account": "x".repeat(2000), "password": "x"});
    assert_eq!(http(&daemon, "POST", "/api/auth:signIn", Some("crm"), None, Some(long)).await.0, 413);
    assert_eq!(responses(&daemon, "crm"), json!({"500": 1, "413": 1}));
}

#[apply(on_every_engine)]
#[test]
fn applications_are_shown_with_sizes_and_unknown_ones_are_exit_code_four(engine: TestEngine) {
    let environment = TestEnvironment::of(engine);
    let daemon = environment.daemon();
    daemon.call("app.create", json!({"id": "crm", "start": true}));
    daemon.call("app.create", json!({"id": "hr"}));
    daemon.call("app.stop", json!({"id": "hr"}));
    let report = environment.nbapps(&["stats", "--interval", "100ms", "-o", "json"]).ok().json();
    let ids: Vec<&Value> =
        report["applications"].as_array().unwrap().iter().map(|application| &application["id"]).collect();
    assert_eq!(ids, ["main", "crm", "hr"]);
    assert!(report["window_seconds"].as_f64().unwrap() >= 0.1, "{report}");
    let [_, crm, hr] = &report["applications"].as_array().unwrap()[..] else { panic!("{report}") };
    assert!(crm["database_size_bytes"].as_u64().unwrap() > 4096, "{crm}");
    assert!(hr["database_size_bytes"].is_null(), "it does not run, and is not named: {hr}");
    for name in ["requests_per_second", "errors_per_second"] {
        assert_eq!(hr[name], json!(0.0), "{hr}");
    }
    assert!(hr["p50_seconds"].is_null() && hr["p99_seconds"].is_null(), "{hr}");
    for name in ["in_flight", "queued", "connections", "database_connections", "body_bytes"] {
        assert_eq!(hr[name], 0, "{hr}");
    }
    let host = &report["host"];
    assert!(host["resident_memory_bytes"].as_u64().unwrap() > 1 << 20, "{host}");
    assert!(host["open_files"].as_u64() < host["max_open_files"].as_u64(), "{host}");
    assert_eq!((&host["applications"], &host["running"]), (&json!(2), &json!(1)));
    // One that is named is measured, also when it is stopped.
    let named = environment.nbapps(&["stats", "hr", "--since-start", "-o", "json"]).ok().json();
    assert!(named["applications"][0]["database_size_bytes"].as_u64().unwrap() > 4096, "{named}");
    assert!(named.get("window_seconds").is_none(), "{named}");

    let table = environment.nbapps(&["stats", "hr", "crm", "hr", "--interval", "100ms"]).ok().stdout;
    let first: Vec<_> = table.lines().map(|line| line.split_whitespace().next().unwrap_or("")).collect();
    assert_eq!(first, ["ID", "crm", "hr", "", "Host:", "Rates"], "{table}");
    let names = environment.nbapps(&["stats", "--since-start", "-o", "name"]).ok().stdout;
    assert_eq!(names, "main\ncrm\nhr\n");

    let Ran { code, stdout, stderr } = environment.nbapps(&["stats", "nosuch"]);
    assert_eq!((code, &*stdout), (4, ""), "{stderr}");
    assert!(stderr.contains("there is no application \"nosuch\""), "{stderr}");
    let Ran { code, stdout, stderr } =
        environment.nbapps(&["stats", "gone", "crm", "nosuch", "--since-start"]);
    assert_eq!(code, 4, "{stderr}");
    assert!(
        stdout.contains("\ncrm ") && stderr.contains("\"gone\"") && stderr.contains("\"nosuch\""),
        "{stderr}"
    );
    let report = environment.nbapps(&["stats", "crm", "nosuch", "--since-start", "-o", "json"]);
    assert_eq!((report.code, &report.json()["missing"]), (4, &json!(["nosuch"])));
}

#[tokio::test]
async fn rates_are_of_the_time_between_two_samples() {
    let environment = TestEnvironment::new();
    let daemon = environment.daemon();
    daemon.call("app.create", json!({"id": "crm", "start": true}));
    let ask = async || http(&daemon, "GET", QUICK, Some("crm"), None, None).await;
    ask().await;
    let watched = environment.follow(&["stats", "crm", "--watch", "--interval", "100ms", "-o", "jsonl"]);
    let next = || -> Value { serde_json::from_str(&watched.line()).unwrap() };
    // What was before is in no window.
    let first = next();
    assert_eq!(first["applications"][0]["requests_per_second"], json!(0.0), "{first}");
    assert!(first["applications"][0]["p99_seconds"].is_null(), "{first}");
    ask().await;
    let begun = Instant::now();
    let busy = loop {
        let report = next();
        if report["applications"][0]["requests_per_second"].as_f64().unwrap() > 0.0 {
            break report;
        }
        assert!(begun.elapsed() < PATIENCE, "{report}");
    };
    let crm = &busy["applications"][0];
    let seen = crm["requests_per_second"].as_f64().unwrap() * busy["window_seconds"].as_f64().unwrap();
    assert!((seen - 1.0).abs() < 0.01, "{busy}");
    assert!(crm["p50_seconds"].as_f64().unwrap() > 0.0, "{busy}");
    assert!(busy["host"]["requests_per_second"].as_f64() >= crm["requests_per_second"].as_f64(), "{busy}");
    assert!(crm["database_size_bytes"].is_u64(), "sizes are kept: {busy}");
    // It ends when all that it watches is gone.
    daemon.call("app.delete", json!({"id": "crm"}));
    assert_eq!(watched.ended(), Some(4));
}

#[test]
fn a_terminal_that_watches_is_drawn_anew_and_fits() {
    let environment = TestEnvironment::new();
    let daemon = environment.daemon();
    for number in 0..60 {
        daemon.call("app.create", json!({"id": format!("app-{number:02}")}));
    }
    let line = format!("{} stats --watch --interval 100ms", env!("CARGO_BIN_EXE_nbapps"));
    let mut terminal = Terminal::start(&environment, &line, 60, |_| {});
    let shown = terminal.shows("Rates and durations");
    assert!(shown.contains("more: make the terminal higher") && !shown.contains("app-40"), "{shown}");
    let table = shown.lines().take_while(|row| !row.contains("more:"));
    assert!(table.clone().count() > 20 && table.clone().all(|row| row.chars().count() <= 60), "{shown}");
    terminal.shows("Rates and durations");
    terminal.types("\x03");
    assert_eq!(terminal.ended().1, Some(130));
}

#[tokio::test]
async fn another_machine_is_watched_through_ssh() {
    let environment = TestEnvironment::new();
    let daemon = environment.daemon();
    daemon.call("app.create", json!({"id": "crm", "start": true}));
    http(&daemon, "GET", QUICK, Some("crm"), None, None).await;
    let server = SshServer::start(&environment);
    let arguments = ["stats", "crm", "--since-start", "-o", "json"];
    let report = environment.run(server.nbapps(&environment, &arguments)).ok().json();
    assert_eq!(report["applications"][0]["requests"]["responses_total"], json!({"200": 1}));
    let Ran { code, stderr, .. } = environment.run(server.nbapps(&environment, &["stats", "nosuch"]));
    assert_eq!(code, 4, "{stderr}");
    assert!(stderr.contains(&format!("nbapps --host {} list", server.url())), "{stderr}");
    let metrics = environment.run(server.nbapps(&environment, &["metrics"])).ok().stdout;
    assert!(metrics.contains("nbapps_requests_total{app=\"crm\",code=\"200\"} 1\n"), "{metrics}");
}
