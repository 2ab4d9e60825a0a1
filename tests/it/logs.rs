//! Logs as an operator reads them: failures, several applications at once, and the daemon's own.

use macro_rules_attribute::apply;
use serde_json::{Value, json};

use crate::environment::{TestEnvironment, http};
use crate::servers::{TestEngine, on_every_engine};

/// Lines of JSON.
fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[apply(on_every_engine)]
#[tokio::test]
async fn a_start_that_failed_is_logged_as_a_failure(engine: TestEngine) {
    let environment = TestEnvironment::of(engine);
    let daemon = environment.daemon();
    for id in ["visited", "started"] {
        daemon.call("app.create", json!({"id": id}));
    }
    let place = |id| {
        let application = daemon.call("app.get", json!({"id": id}));
        application["database"]["location"].as_str().unwrap().to_owned()
    };
    let places = ["visited", "started"].map(|id| (id, place(id)));
    assert!(daemon.stop().success());
    for (id, location) in &places {
        environment.break_database(id, location).await;
    }
    let daemon = environment.daemon();
    assert_eq!(http(&daemon, "GET", "/api/app:getInfo", Some("visited"), None, None).await.0, 503);
    daemon.refusal("app.start", json!({"id": "started"}));
    for (id, location) in places {
        let logs = environment.nbapps(&["logs", id, "--level", "error", "-o", "jsonl"]).ok();
        let failure = lines(&logs.stdout).into_iter().find(|line| line["to"] == "error");
        let failure = failure.unwrap_or_else(|| panic!("{id}: {}", logs.stdout));
        assert!(failure["reason"].as_str().unwrap().contains(&location), "{failure}");
        assert_eq!(failure["level"], "error");
        let shown = environment.nbapps(&["logs", id, "--level", "error"]).ok().stdout;
        assert!(shown.contains(" ERROR state changed") && shown.contains(&location), "{shown}");
        let all = environment.nbapps(&["daemon", "logs", "--level", "error", "-o", "jsonl"]).ok();
        let found = lines(&all.stdout).into_iter().any(|line| line["app"] == id && line["to"] == "error");
        assert!(found, "{}", all.stdout);
    }
    let operation = environment.nbapps(&["logs", "started", "--level", "error", "-o", "jsonl"]).ok();
    let failed = lines(&operation.stdout).into_iter().find(|line| line["message"] == "operation failed");
    assert_eq!(failed.unwrap()["method"], "app.start");
}

#[test]
fn a_creation_that_failed_is_in_the_daemons_log() {
    let environment = TestEnvironment::new();
    let daemon = environment.daemon();
    let unreachable = json!({"mode": "connection", "url": "postgres://u:hidden@127.0.0.1:1/d"});
    daemon.refusal("app.create", json!({"id": "crm", "database": unreachable}));
    let logs = environment.nbapps(&["daemon", "logs", "--level", "warn", "-o", "jsonl"]).ok().stdout;
    let failure = lines(&logs).into_iter().find(|line| line["app"] == "crm").unwrap();
    assert!(failure["error"].as_str().unwrap().contains("127.0.0.1"), "{failure}");
    assert!(!logs.contains("hidden"), "{logs}");
}

#[test]
fn logs_of_several_applications_are_merged_and_followed() {
    let environment = TestEnvironment::new();
    let daemon = environment.daemon();
    for id in ["crm", "warehouse"] {
        daemon.call("app.create", json!({"id": id}));
    }
    for id in ["warehouse", "crm"] {
        daemon.call("app.start", json!({"id": id}));
    }
    let logs = environment.nbapps(&["logs", "crm", "warehouse"]).ok().stdout;
    assert!(logs.lines().any(|line| line.starts_with("crm        20")), "{logs}");
    assert!(logs.lines().any(|line| line.starts_with("warehouse  20")), "{logs}");
    let one = environment.nbapps(&["logs", "crm"]).ok().stdout;
    assert!(one.starts_with("20"), "{one}");
    for chosen in [&["logs", "crm", "warehouse", "-o", "jsonl"][..], &["logs", "--all", "-o", "jsonl"]] {
        let lines = lines(&environment.nbapps(chosen).ok().stdout);
        let times: Vec<&str> = lines.iter().map(|line| line["at"].as_str().unwrap()).collect();
        assert!(times.is_sorted(), "{times:?}");
        let last: Vec<&str> = lines
            .iter()
            .filter(|line| line["to"] == "running" && line["app"] != "main")
            .map(|line| line["app"].as_str().unwrap())
            .collect();
        assert_eq!(last, ["warehouse", "crm"], "{lines:?}");
    }
    let last = environment.nbapps(&["logs", "--all", "-n", "1", "-o", "json"]).ok().json();
    assert_eq!((last.as_array().unwrap().len(), &last[0]["app"]), (1, &json!("crm")), "{last}");
    let missing = environment.nbapps(&["logs", "crm", "nosuch"]);
    assert_eq!(missing.code, 4, "{}", missing.stderr);
    assert_eq!(environment.nbapps(&["logs"]).code, 2);

    let several = environment.follow(&["logs", "crm", "warehouse", "-f", "-n", "1"]);
    assert!(several.line().starts_with("crm "));
    let all = environment.follow(&["logs", "--all", "-f", "-n", "1", "-o", "jsonl"]);
    assert!(all.line().contains("\"app\":\"crm\""));
    daemon.call("app.stop", json!({"id": "warehouse"}));
    while !several.line().starts_with("warehouse  ") {}
    daemon.call("app.create", json!({"id": "shop"}));
    while !all.line().contains("\"app\":\"shop\"") {}
}

#[test]
fn the_protocol_takes_one_application_as_before_and_several() {
    let environment = TestEnvironment::new();
    let daemon = environment.daemon();
    let apps = |params| {
        let logs = daemon.call("app.logs", params);
        let mut apps: Vec<_> =
            logs["lines"].as_array().unwrap().iter().map(|line| line["app"].to_string()).collect();
        apps.sort();
        apps.dedup();
        apps
    };
    daemon.call("app.create", json!({"id": "crm"}));
    assert_eq!(apps(json!({"id": "crm"})), ["\"crm\""]);
    assert_eq!(apps(json!({"ids": ["crm", "main", "crm"]})), ["\"crm\"", "\"main\""]);
    assert_eq!(apps(json!({"all": true})), ["\"crm\"", "\"main\""]);
    assert_eq!(daemon.refusal("app.logs", json!({})), "invalid_params");
    assert_eq!(daemon.refusal("app.logs", json!({"ids": ["crm", "nosuch"]})), "app_not_found");
    assert_eq!(daemon.refusal("app.logs", json!({"id": "crm", "lnes": 1})), "invalid_params");
}

#[test]
fn the_daemons_log_is_read_over_the_socket_and_from_its_file() {
    let environment = TestEnvironment::new();
    let data = environment.data();
    let logs = |more: &[&str]| {
        let arguments = ["daemon", "logs", "--data-dir", data.to_str().unwrap()];
        environment.nbapps(&[&arguments[..], more].concat())
    };
    let none = logs(&[]);
    assert_eq!(none.code, 3, "{}", none.stderr);
    assert!(none.stderr.contains("journalctl -u nbappsd"), "{}", none.stderr);

    let daemon = environment.daemon();
    let running = logs(&[]).ok();
    assert!(running.stdout.contains("nbappsd answers requests"), "{}", running.stdout);
    assert_eq!(running.stderr, "");
    let followed = environment.follow(&["daemon", "logs", "-f", "-n", "1"]);
    followed.line();
    daemon.refusal("app.stop", json!({"id": "nosuch"}));
    while !followed.line().contains("WARN  command failed") {}
    let grave = lines(&logs(&["--level", "warn", "-o", "jsonl"]).ok().stdout);
    assert_eq!(grave.last().unwrap()["app"], "nosuch");
    assert_eq!(logs(&["-n", "1", "-o", "json"]).ok().json().as_array().unwrap().len(), 1);
    assert!(daemon.stop().success());
    assert_eq!(followed.ended(), Some(3));

    let stopped = logs(&["-n", "1"]).ok();
    assert!(stopped.stdout.contains("nbappsd has ended"), "{}", stopped.stdout);
    assert!(stopped.stderr.contains("no daemon is running; this is the log in"), "{}", stopped.stderr);
    assert_eq!(logs(&["-f"]).code, 3);
    let file = data.join("logs/_daemon.log");
    let mode = std::os::unix::fs::PermissionsExt::mode(&file.metadata().unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn why_a_daemon_did_not_start_is_in_its_log() {
    let environment = TestEnvironment::new();
    assert!(environment.daemon().stop().success());
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let data = environment.data();
    let last = || {
        let arguments = ["daemon", "logs", "--data-dir", data.to_str().unwrap(), "-o", "jsonl", "-n", "1"];
        lines(&environment.nbapps(&arguments).ok().stdout).remove(0)
    };
    for (name, value, says) in [
        ("NBAPPS_LOG_LEVEL", "nbapps=loud", "loud"),
        ("NBAPPS_LOG_ACCESS", "some", "NBAPPS_LOG_ACCESS"),
        ("NBAPPS_SOCKET_GROUP", "no-such-group", "no-such-group"),
        ("NBAPPS_LISTEN", &address, &address),
    ] {
        let mut command = environment.command(env!("CARGO_BIN_EXE_nbappsd"));
        command.arg("--data-dir").arg(&data).arg("--socket").arg(environment.socket());
        command.env("NBAPPS_LISTEN", "127.0.0.1:0").env(name, value);
        let (code, stderr) = environment.refused(command);
        assert_eq!(code, 1, "{stderr}");
        let line = last();
        let message = line["message"].as_str().unwrap();
        assert_eq!(line["level"], "error");
        assert!(message.starts_with("nbappsd ends: "), "{line}");
        assert!(message.contains(says) && stderr.contains(says), "{line} {stderr}");
        assert!(line["hint"].is_string(), "{line}");
    }
}
