//! Creations and deletions whose daemon is killed between any two of their steps.

use std::path::Path;

use macro_rules_attribute::apply;
use serde_json::json;

use crate::environment::{TestEnvironment, http, sign_in};
use crate::servers::{TestEngine, on_every_engine};

fn directories(environment: &TestEnvironment) -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(environment.data().join("apps"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[apply(on_every_engine)]
#[tokio::test]
async fn an_interrupted_creation_is_rolled_back(engine: TestEngine) {
    for point in [
        "create.registered",
        "create.directory-made",
        "create.directory-marked",
        "create.database-made",
        "create.installed",
    ] {
        let environment = TestEnvironment::of(engine);
        let create = json!({"id": "crm", "domains": ["crm.example.com"]});
        let daemon = environment.killed_at(point, "app.create", create.clone());
        assert_eq!(daemon.refusal("app.get", json!({"id": "crm"})), "app_not_found", "{point}");
        assert_eq!(directories(&environment), Vec::<String>::new(), "{point}");
        // The ID, the domain and the directory are free again.
        let created = daemon.call("app.create", create);
        assert_eq!(created["application"]["state"], "initialized", "{point}");
        let (status, _) = http(&daemon, "GET", "/api/app:getInfo", Some("crm"), None, None).await;
        assert_eq!(status, 200, "{point}");
    }
}

#[apply(on_every_engine)]
#[tokio::test]
async fn a_completed_creation_is_kept(engine: TestEngine) {
    let environment = TestEnvironment::of(engine);
    let daemon = environment.killed_at("create.completed", "app.create", json!({"id": "crm"}));
    assert_eq!(daemon.state("crm"), "initialized");
    sign_in(&daemon, Some("crm")).await;
}

#[apply(on_every_engine)]
#[tokio::test]
async fn an_interrupted_roll_back_is_repeated(engine: TestEngine) {
    let environment = TestEnvironment::of(engine);
    let mut command = environment.daemon_command();
    command.env("NBAPPS_CRASH_AT", "create.installed");
    let mut daemon = environment.daemon_by(command);
    let mut connection = daemon.connect();
    connection.send("app.create", json!({"id": "crm"}));
    assert!(!daemon.ended().success());
    let mut command = environment.daemon_command();
    command.env("NBAPPS_CRASH_AT", "recover.removed");
    let (code, _) = environment.refused(command);
    assert_eq!(code, -1, "killed");
    let daemon = environment.daemon();
    assert_eq!(daemon.refusal("app.get", json!({"id": "crm"})), "app_not_found");
    daemon.call("app.create", json!({"id": "crm"}));
}

#[apply(on_every_engine)]
#[tokio::test]
async fn a_deletion_is_complete_or_has_no_effect(engine: TestEngine) {
    for (point, there) in [("delete.stopped", true), ("delete.unregistered", false)] {
        let environment = TestEnvironment::of(engine);
        let daemon = environment.daemon();
        daemon.call("app.create", json!({"id": "crm", "start": true}));
        drop(daemon);
        let daemon = environment.killed_at(point, "app.delete", json!({"id": "crm"}));
        if there {
            assert_eq!(daemon.state("crm"), "initialized", "{point}");
        } else {
            assert_eq!(daemon.refusal("app.get", json!({"id": "crm"})), "app_not_found", "{point}");
            daemon.call("app.undelete", json!({"id": "crm"}));
        }
        sign_in(&daemon, Some("crm")).await;
    }
}

#[apply(on_every_engine)]
#[test]
fn an_interrupted_purge_is_finished(engine: TestEngine) {
    let points = ["delete.unregistered", "purge.marked", "purge.data-removed", "purge.removed"];
    // Only on a server is the database removed separately from the directory.
    let on_server = TestEnvironment::of(engine).is_on_server().then_some("purge.database-removed");
    for point in points.into_iter().chain(on_server) {
        let environment = TestEnvironment::of(engine);
        let daemon = environment.daemon();
        daemon.call("app.create", json!({"id": "crm"}));
        daemon.call("app.create", json!({"id": "hr"}));
        drop(daemon);
        let daemon = environment.killed_at(point, "app.delete", json!({"id": "crm", "purge": true}));
        let deleted = daemon.call("app.list", json!({"deleted": true}));
        assert_eq!(deleted["applications"], json!([]), "{point}");
        assert_eq!(directories(&environment), ["hr"], "{point}");
        assert_eq!(daemon.state("hr"), "initialized", "{point}");
    }
}

#[apply(on_every_engine)]
#[test]
fn what_the_host_did_not_create_is_never_removed(engine: TestEngine) {
    let environment = TestEnvironment::of(engine);
    let daemon = environment.daemon();
    // The application's directory exists already, with somebody's file.
    let theirs = environment.data().join("apps/crm");
    std::fs::create_dir(&theirs).unwrap();
    std::fs::write(theirs.join("letter"), "keep me").unwrap();
    let created = daemon.call("app.create", json!({"id": "crm"}));
    let location = created["application"]["database"]["location"].as_str().unwrap().to_owned();
    assert!(!Path::new(&location).starts_with(&theirs), "{location}");
    daemon.call("app.delete", json!({"id": "crm", "purge": true}));
    assert!(!Path::new(&location).exists());
    assert_eq!(std::fs::read_to_string(theirs.join("letter")).unwrap(), "keep me");
}

#[apply(on_every_engine)]
#[tokio::test]
async fn an_undeleted_application_is_unchanged(engine: TestEngine) {
    let environment = TestEnvironment::of(engine);
    let daemon = environment.daemon();
    daemon.call("app.create", json!({"id": "crm", "name": "Customers", "domains": ["crm.example.com"]}));
    let token = sign_in(&daemon, Some("crm")).await;
    daemon.call("app.delete", json!({"id": "crm"}));
    let (status, body) = http(&daemon, "GET", "/api/app:getInfo", Some("crm"), None, None).await;
    assert_eq!((status, body["error"]["code"].as_str()), (404, Some("APP_NOT_FOUND")));
    // Another application with the same ID does not affect its data, but prevents undeleting it.
    daemon.call("app.create", json!({"id": "crm", "name": "Another"}));
    assert_eq!(daemon.refusal("app.undelete", json!({"id": "crm"})), "app_exists");
    assert_eq!(http(&daemon, "GET", "/api/auth:check", Some("crm"), Some(&token), None).await.0, 401);
    daemon.call("app.delete", json!({"id": "crm"}));
    daemon.call("app.delete", json!({"id": "crm", "purge": true}));
    assert_eq!(daemon.refusal("app.undelete", json!({"id": "crm"})), "app_not_found");
    // Without another one, it is undeleted with its users and tokens.
    daemon.call("app.create", json!({"id": "hr", "name": "People", "domains": ["hr.example.com"]}));
    let token = sign_in(&daemon, Some("hr")).await;
    daemon.call("app.delete", json!({"id": "hr"}));
    let back = daemon.call("app.undelete", json!({"id": "hr"}));
    assert_eq!((&back["name"], &back["domains"]), (&json!("People"), &json!(["hr.example.com"])));
    assert_eq!(http(&daemon, "GET", "/api/auth:check", Some("hr"), Some(&token), None).await.0, 200);
}
