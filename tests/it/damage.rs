//! Damaged rows of the registry: each affects its own application only.

use macro_rules_attribute::apply;
use nbapps::internals::{Engine, Location};
use serde_json::{Value, json};

use crate::environment::{Daemon, TestEnvironment, http, sign_in};
use crate::servers::{TestEngine, on_every_engine};
use crate::sql::run;

/// An environment with the applications `crm` and `hr`, without a running daemon. The tests damage `crm`.
fn with_two(engine: TestEngine) -> (TestEnvironment, Engine) {
    let environment = TestEnvironment::of(engine);
    let daemon = environment.daemon();
    daemon.call("app.create", json!({"id": "crm", "name": "Customers", "domains": ["crm.example.com"]}));
    daemon.call("app.create", json!({"id": "hr", "start_mode": "with-main"}));
    assert!(daemon.stop().success());
    let engine = Location::parse(&environment.main_url()).unwrap().engine();
    (environment, engine)
}

/// Runs SQL in the main application's database.
async fn damage(environment: &TestEnvironment, sql: &str) {
    run(&environment.main_url(), sql).await;
}

/// Returns the reason for which `crm` is in `error`. Checks that `hr` runs.
async fn reason(daemon: &Daemon, what: &str) -> String {
    let (status, _) = http(daemon, "GET", "/api/app:getInfo", Some("hr"), None, None).await;
    assert_eq!(status, 200, "{what}");
    let shown = daemon.call("app.get", json!({"id": "crm"}));
    assert_eq!(shown["state"], "error", "{what}: {shown}");
    let listed = daemon.call("app.list", json!({"states": ["error"]}));
    assert_eq!(listed["applications"][0]["reason"], shown["reason"], "{what}");
    let (status, _) = http(daemon, "GET", "/api/app:getInfo", Some("crm"), None, None).await;
    assert_eq!(status, 503, "{what}");
    shown["reason"].as_str().unwrap_or_else(|| panic!("{what}: {shown}")).to_owned()
}

/// Assignments that damage the row of `crm`, the engines that allow them, and a part of the reason.
const ROWS: [(&str, &[Engine], &str); 20] = {
    const ALL: &[Engine] = &[Engine::Sqlite, Engine::Postgres, Engine::Mysql];
    const LAX: &[Engine] = &[Engine::Sqlite];
    const CHECKED: &[Engine] = &[Engine::Postgres, Engine::Mysql];
    [
        ("options = 'garbage{'", LAX, "options"),
        ("options = '[1]'", ALL, "options"),
        ("options = '\"text\"'", CHECKED, "options"),
        ("options = '{\"autoStart\":\"yes\"}'", ALL, "options.autoStart"),
        ("options = '{\"idleStopSeconds\":-1}'", ALL, "options.idleStopSeconds"),
        ("options = '{\"dbConnType\":7}'", ALL, "options.dbConnType"),
        ("options = '{\"dbConnType\":\"new_connection\"}'", ALL, "options.dbConnType"),
        ("options = '{\"database\":\"x\"}'", ALL, "options.database"),
        ("options = '{\"domains\":[1]}'", ALL, "options.domains"),
        ("options = '{\"limits\":{\"in_flight\":-3}}'", ALL, "options.limits"),
        ("options = '{\"protected\":[]}'", ALL, "options.protected"),
        ("pinned = 'sometimes'", LAX, "pinned"),
        ("sort = 'first'", LAX, "sort"),
        ("sort = NULL", ALL, "sort"),
        ("status = 'exploded'", ALL, "status"),
        ("status = NULL", ALL, "status"),
        ("cname = 'http://crm'", ALL, "is not a domain"),
        ("\"createdAt\" = 'yesterday'", LAX, "createdAt"),
        ("\"displayName\" = X'FF00'", LAX, "displayName"),
        ("\"updatedAt\" = 'infinity'", &[Engine::Postgres], "updatedAt"),
    ]
};

#[apply(on_every_engine)]
#[tokio::test]
async fn a_damaged_row_stops_only_its_application_and_an_update_repairs_it(engine: TestEngine) {
    let (environment, engine) = with_two(engine);
    for (damaging, engines, says) in ROWS {
        if !engines.contains(&engine) {
            continue;
        }
        let what = format!("{engine:?}: {damaging}");
        damage(&environment, &format!("UPDATE applications SET {damaging} WHERE name = 'crm'")).await;
        let daemon = environment.daemon();
        let reason = reason(&daemon, &what).await;
        assert!(reason.contains(says) && reason.contains("nbapps update crm"), "{what}: {reason}");
        let log = environment.daemon_log();
        assert!(log.lines().any(|line| line.contains("crm") && line.contains(says)), "{what}: {log}");
        // Other applications can be created, and a start does not ignore the damage.
        daemon.call("app.create", json!({"id": "other"}));
        daemon.call("app.delete", json!({"id": "other", "purge": true}));
        assert_eq!(daemon.refusal("app.start", json!({"id": "crm"})), "start_failed", "{what}");
        let repaired = daemon.call("app.update", json!({"id": "crm", "name": "Repaired"}));
        assert_eq!(repaired["state"], "initialized", "{what}: {repaired}");
        sign_in(&daemon, Some("crm")).await;
        assert!(daemon.stop().success());
        let daemon = environment.daemon();
        assert_eq!(daemon.state("crm"), "initialized", "{what}");
        assert!(daemon.stop().success());
    }
}

#[apply(on_every_engine)]
#[tokio::test]
async fn a_damaged_application_can_be_deleted_undeleted_and_purged(engine: TestEngine) {
    let (environment, _) = with_two(engine);
    damage(&environment, "UPDATE applications SET options = '[1]' WHERE name = 'crm'").await;
    let daemon = environment.daemon();
    reason(&daemon, "before").await;
    daemon.call("app.delete", json!({"id": "crm"}));
    daemon.call("app.undelete", json!({"id": "crm"}));
    sign_in(&daemon, Some("crm")).await;
    daemon.call("app.delete", json!({"id": "crm", "purge": true}));
    daemon.call("app.create", json!({"id": "crm"}));
}

#[apply(on_every_engine)]
#[tokio::test]
async fn an_unusable_provision_is_reported_and_can_be_deleted(engine: TestEngine) {
    let (environment, engine) = with_two(engine);
    for (damaging, says) in [
        ("provision = '{\"key\":5}'", "key is not a text"),
        ("provision = '[]'", "it is not a JSON object"),
        ("provision = '{\"key\":\"k\"}'", "directory is missing"),
        ("provision = '{\"key\":\"k\",\"directory\":\"../crm\"}'", "is not a directory"),
        ("provision = NULL", "provision"),
    ] {
        let what = format!("{engine:?}: {damaging}");
        let kept = json!({"id": "crm"});
        let sql = format!("UPDATE \"applicationProvisions\" SET {damaging} WHERE name = 'crm'");
        damage(&environment, &sql).await;
        let daemon = environment.daemon();
        let reason = reason(&daemon, &what).await;
        assert!(reason.contains(says), "{what}: {reason}");
        assert!(!reason.contains("struct") && !reason.contains("another key"), "{what}: {reason}");
        daemon.call("app.delete", json!({"id": "crm"}));
        let listed = daemon.call("app.list", json!({"deleted": true}));
        assert!(listed["applications"][0]["reason"].is_string(), "{what}: {listed}");
        let purged = daemon.call("app.delete", json!({"id": "crm", "purge": true}));
        assert!(purged["kept"][0].as_str().unwrap().contains("does not say"), "{what}: {purged}");
        daemon.call("app.create", kept);
        assert!(daemon.stop().success());
    }
    damage(&environment, "DELETE FROM \"applicationProvisions\" WHERE name = 'crm'").await;
    let daemon = environment.daemon();
    let reason = reason(&daemon, "no row").await;
    assert!(reason.contains("no row in applicationProvisions") && !reason.contains("key"), "{reason}");
    daemon.call("app.delete", json!({"id": "crm", "purge": true}));
    assert_eq!(daemon.refusal("app.get", json!({"id": "crm"})), "app_not_found");
}

#[apply(on_every_engine)]
#[tokio::test]
async fn a_secret_that_cannot_be_decrypted_is_replaced_by_an_update(engine: TestEngine) {
    let (environment, _) = with_two(engine);
    for secret in [
        "'v1:garbage'",
        "''",
        "(SELECT * FROM (SELECT \"jwtSecret\" FROM \"applicationProvisions\" WHERE name = 'hr') AS other)",
    ] {
        let sql = format!("UPDATE \"applicationProvisions\" SET \"jwtSecret\" = {secret} WHERE name = 'crm'");
        damage(&environment, &sql).await;
        let daemon = environment.daemon();
        let reason = reason(&daemon, secret).await;
        assert!(reason.to_lowercase().contains("secret"), "{reason}");
        for (method, params) in
            [("app.update", json!({"id": "crm", "name": "X"})), ("app.rotate_secret", json!({"id": "crm"}))]
        {
            let repaired = daemon.call(method, params);
            assert_eq!(repaired["state"], "initialized", "{secret}: {repaired}");
        }
        sign_in(&daemon, Some("crm")).await;
        assert!(daemon.stop().success());
    }
}

#[apply(on_every_engine)]
#[tokio::test]
async fn an_application_without_its_row_is_listed_and_can_be_repaired(engine: TestEngine) {
    let (environment, _) = with_two(engine);
    for name in ["CRM", "main", "a b/../c", "ü"] {
        damage(&environment, &format!("UPDATE applications SET name = '{name}' WHERE name = 'crm'")).await;
        let daemon = environment.daemon();
        let reason = reason(&daemon, name).await;
        assert!(reason.contains("no row in applications"), "{name}: {reason}");
        let listed = daemon.call("app.list", json!({"states": ["error"]}));
        let listed = listed["applications"].as_array().unwrap();
        let stand_in = listed.iter().find(|one| one["id"] != "crm").unwrap();
        assert_eq!(stand_in["name"], "Customers", "{stand_in}");
        let id = stand_in["id"].clone();
        daemon.call("app.delete", json!({"id": id, "purge": true}));
        let repaired = daemon.call("app.update", json!({"id": "crm", "name": "Customers"}));
        assert_eq!(repaired["state"], "initialized");
        sign_in(&daemon, Some("crm")).await;
        sign_in(&daemon, None).await;
        assert!(daemon.stop().success());
    }
}

#[apply(on_every_engine)]
#[tokio::test]
async fn rows_inserted_by_hand_are_listed(engine: TestEngine) {
    let (environment, _) = with_two(engine);
    damage(&environment, "INSERT INTO applications (name, \"createdAt\", \"updatedAt\") VALUES ('crm2', '2024-01-01', '2024-01-01')").await;
    let options = "'{\"domains\":[\"crm.example.com\"]}'";
    let insert = format!(
        "INSERT INTO applications (name, options, \"createdAt\", \"updatedAt\") \
         VALUES ('thief', {options}, '2024-01-01', '2024-01-01')"
    );
    damage(&environment, &insert).await;
    let daemon = environment.daemon();
    assert_eq!(daemon.state("crm"), "initialized");
    for id in ["crm2", "thief"] {
        assert_eq!(daemon.state(id), "error", "{id}");
        daemon.call("app.update", json!({"id": id, "domains": []}));
        assert_eq!(daemon.state(id), "error", "{id}");
        daemon.call("app.delete", json!({"id": id, "purge": true}));
    }
    let request = reqwest::Client::new().get(format!("{}/api/app:getInfo", daemon.url));
    let answer = request.header("Host", "crm.example.com").send().await.unwrap();
    assert_eq!(answer.status(), 200, "the domain is crm's");
}

#[apply(on_every_engine)]
#[tokio::test]
async fn duplicate_names_and_domains_affect_only_the_later_row(engine: TestEngine) {
    let (environment, engine) = with_two(engine);
    let options = "'{\"domains\":[\"crm.example.com\"]}'";
    damage(&environment, &format!("UPDATE applications SET options = {options} WHERE name = 'hr'")).await;
    let daemon = environment.daemon();
    assert_eq!((daemon.state("crm"), daemon.state("hr")), ("initialized".into(), "error".into()));
    let shown = daemon.call("app.get", json!({"id": "hr"}));
    assert!(shown["reason"].as_str().unwrap().contains("belongs to the application \"crm\""), "{shown}");
    daemon.call("app.update", json!({"id": "hr", "domains": []}));
    sign_in(&daemon, Some("hr")).await;
    assert!(daemon.stop().success());
    if engine == Engine::Sqlite {
        return;
    }
    let unkeyed = match engine {
        Engine::Postgres => {
            "ALTER TABLE applications DROP CONSTRAINT applications_pkey; DROP INDEX applications_cname_unique"
        }
        _ => "ALTER TABLE applications DROP PRIMARY KEY, DROP INDEX applications_cname_unique",
    };
    damage(&environment, unkeyed).await;
    damage(&environment, "INSERT INTO applications SELECT * FROM applications WHERE name = 'crm'").await;
    let daemon = environment.daemon();
    let reason = reason_of_two(&daemon);
    assert!(reason.contains("two rows"), "{reason}");
    daemon.call("app.update", json!({"id": "crm", "name": "One"}));
    sign_in(&daemon, Some("crm")).await;
    assert!(daemon.stop().success());
    assert_eq!(environment.daemon().state("crm"), "initialized");
}

fn reason_of_two(daemon: &Daemon) -> String {
    daemon.call("app.get", json!({"id": "crm"}))["reason"].as_str().unwrap_or_default().to_owned()
}

#[apply(on_every_engine)]
#[tokio::test]
async fn a_damaged_deleted_application_is_listed_and_can_be_purged(engine: TestEngine) {
    let (environment, engine) = with_two(engine);
    let daemon = environment.daemon();
    for id in ["crm", "hr"] {
        daemon.call("app.delete", json!({"id": id}));
    }
    assert!(daemon.stop().success());
    let change = match engine {
        Engine::Sqlite => "application = 'x{', \"deletedAt\" = 'long ago', purging = 'who knows'",
        _ => "application = '[]'",
    };
    damage(&environment, &format!("UPDATE \"deletedApplications\" SET {change} WHERE name = 'crm'")).await;
    let daemon = environment.daemon();
    let listed: Value = daemon.call("app.list", json!({"deleted": true}));
    let listed = listed["applications"].as_array().unwrap();
    let crm = listed.iter().find(|one| one["id"] == "crm").unwrap_or_else(|| panic!("{listed:?}"));
    assert!(crm["reason"].as_str().unwrap().contains("application"), "{crm}");
    daemon.call("app.undelete", json!({"id": "hr"}));
    sign_in(&daemon, Some("hr")).await;
    let purged = daemon.call("app.delete", json!({"id": "crm", "purge": true}));
    assert!(!purged["removed"].as_array().unwrap().is_empty(), "{purged}");
}
