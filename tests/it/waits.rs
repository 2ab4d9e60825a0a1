//! `nbapps wait` and `app.wait`: every state ends the wait for it, and those that nothing leads out of end
//! any other.

use macro_rules_attribute::apply;
use serde_json::{Value, json};

use crate::environment::{Daemon, Ran, TestEnvironment};
use crate::servers::{TestEngine, on_every_engine};

/// Waits longer than a test may take: what ends sooner did not run into its timeout.
const LONG: &str = "10m";

fn wait(environment: &TestEnvironment, id: &str, state: &str) -> Ran {
    environment.nbapps(&["wait", id, "--for", state, "--timeout", LONG, "-o", "json"])
}

fn wait_on(daemon: &Daemon, id: &str, state: &str) -> (crate::environment::Connection, i64) {
    let mut connection = daemon.connect();
    let sent = connection.send("app.wait", json!({"id": id, "state": state, "timeout_ms": 600_000}));
    // What is sent later on this connection is answered sooner: the wait has begun.
    let info = connection.send("host.info", json!({}));
    connection.answer(info).unwrap();
    (connection, sent)
}

#[apply(on_every_engine)]
#[test]
fn what_is_gone_is_not_waited_for(engine: TestEngine) {
    let environment = TestEnvironment::of(engine);
    let daemon = environment.daemon();
    let gone = wait(&environment, "nosuch", "not_found").ok();
    assert_eq!(gone.json(), json!([{"id": "nosuch", "state": "not_found"}]));
    assert!(environment.nbapps(&["wait", "nosuch", "--for", "not_found"]).ok().stdout.contains("not_found"));
    daemon.call("app.create", json!({"id": "crm"}));
    let (mut before, waiting) = wait_on(&daemon, "crm", "not_found");
    let (mut other, running) = wait_on(&daemon, "crm", "running");
    daemon.call("app.delete", json!({"id": "crm"}));
    let deleted = before.answer(waiting).unwrap();
    assert_eq!((&deleted["id"], &deleted["state"]), (&json!("crm"), &json!("not_found")), "{deleted}");
    assert!(deleted["deleted"]["until"].is_string(), "{deleted}");
    let error = other.answer(running).unwrap_err();
    assert_eq!(error["data"]["kind"], "app_not_found", "{error}");
    assert_eq!(wait(&environment, "crm", "not_found").ok().json()[0]["state"], "not_found");
    let Ran { code, stderr, .. } = wait(&environment, "crm", "running");
    assert_eq!(code, 4, "{stderr}");
    assert!(stderr.contains("\"crm\" was deleted") && stderr.contains("nbapps undelete crm"), "{stderr}");
    daemon.call("app.delete", json!({"id": "crm", "purge": true}));
    assert_eq!(
        wait(&environment, "crm", "not_found").ok().json(),
        json!([{"id": "crm", "state": "not_found"}])
    );
    let Ran { code, stderr, .. } = wait(&environment, "crm", "running");
    assert_eq!(code, 4, "{stderr}");
    assert!(stderr.contains("there is no application \"crm\""), "{stderr}");
}

#[test]
fn an_application_whose_creation_failed_says_why() {
    let environment = TestEnvironment::new();
    let _daemon = environment.daemon();
    let create = ["create", "crm", "--no-wait", "--db", "connection", "--db-url", "mysql://u@127.0.0.1:1/y"];
    environment.nbapps(&create);
    let Ran { code, stderr, .. } = wait(&environment, "crm", "running");
    assert_eq!(code, 4, "{stderr}");
    assert!(stderr.contains("creating it failed: ") && stderr.contains("127.0.0.1:1"), "{stderr}");
    assert!(stderr.contains("nbapps operation show "), "{stderr}");
    wait(&environment, "crm", "not_found").ok();
}

#[apply(on_every_engine)]
#[tokio::test]
async fn an_application_in_error_ends_the_wait_with_its_failure(engine: TestEngine) {
    let environment = TestEnvironment::of(engine);
    let daemon = environment.daemon();
    daemon.call("app.create", json!({"id": "crm"}));
    let location = daemon.call("app.get", json!({"id": "crm"}))["database"]["location"].clone();
    let location = location.as_str().unwrap();
    assert!(daemon.stop().success());
    environment.break_database("crm", location).await;
    let daemon = environment.daemon();
    let (mut connection, waiting) = wait_on(&daemon, "crm", "running");
    daemon.refusal("app.start", json!({"id": "crm"}));
    let error = connection.answer(waiting).unwrap_err();
    assert_eq!(error["data"]["kind"], "start_failed", "{error}");
    for state in ["running", "initialized", "stopped"] {
        let Ran { code, stdout, stderr } = wait(&environment, "crm", state);
        assert_eq!(code, 1, "{state}: {stderr}");
        assert!(stderr.contains("\"crm\" is in error: ") && stderr.contains(location), "{state}: {stderr}");
        let shown: Value = serde_json::from_str(&stdout).unwrap();
        assert_eq!(shown[0]["error"]["exit_code"], 1, "{shown}");
    }
    assert_eq!(wait(&environment, "crm", "error").ok().json()[0]["state"], "error");
    // It can still be deleted.
    let (mut connection, waiting) = wait_on(&daemon, "crm", "not_found");
    daemon.call("app.delete", json!({"id": "crm"}));
    assert_eq!(connection.answer(waiting).unwrap()["state"], "not_found");
}

#[test]
fn a_stopped_application_ends_the_wait_unless_it_is_being_started() {
    let environment = TestEnvironment::new();
    let daemon = environment.daemon();
    daemon.call("app.create", json!({"id": "crm", "start": true}));
    for _ in 0..10 {
        environment.nbapps(&["stop", "crm", "--no-wait"]).ok();
        assert_eq!(wait(&environment, "crm", "stopped").ok().json()[0]["state"], "stopped");
        let Ran { code, stderr, .. } = wait(&environment, "crm", "running");
        assert_eq!(code, 5, "{stderr}");
        assert!(
            stderr.contains("was stopped by an operator") && stderr.contains("nbapps start crm"),
            "{stderr}"
        );
        environment.nbapps(&["start", "crm", "--no-wait"]).ok();
        assert_eq!(wait(&environment, "crm", "running").ok().json()[0]["state"], "running");
    }
    for (state, code) in [("preparing", 5), ("initialized", 5), ("running", 0)] {
        assert_eq!(wait(&environment, "crm", state).code, code, "{state}");
    }
    // Both begin and end while nobody looks.
    environment.nbapps(&["delete", "crm", "--purge", "--yes", "--no-wait"]).ok();
    wait(&environment, "crm", "not_found").ok();
    environment.nbapps(&["create", "crm", "--start", "--no-wait"]).ok();
    assert_eq!(wait(&environment, "crm", "running").ok().json()[0]["state"], "running");
}

#[test]
fn several_are_waited_for_and_each_says_how_it_ended() {
    let environment = TestEnvironment::new();
    let daemon = environment.daemon();
    for id in ["a", "b"] {
        daemon.call("app.create", json!({"id": id, "start": true}));
    }
    daemon.call("app.stop", json!({"id": "b"}));
    let Ran { code, stdout, stderr } =
        environment.nbapps(&["wait", "a", "nosuch", "b", "--for", "running", "-o", "json"]);
    let shown: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(code, 5, "{stderr}");
    let ids: Vec<&str> = shown.as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["a", "nosuch", "b"], "{shown}");
    let kinds: Vec<&Value> = shown.as_array().unwrap().iter().map(|one| &one["error"]["kind"]).collect();
    assert_eq!(kinds, [&Value::Null, &json!("app_not_found"), &json!("conflict")]);
    for state in ["not_found", "stopped"] {
        assert_eq!(wait(&environment, "main", state).code, 7, "main never is {state}");
    }
}
