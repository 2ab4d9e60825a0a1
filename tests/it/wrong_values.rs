//! Single wrong values in the registry: none causes a removal or takes storage or domains from another application.

use std::path::PathBuf;

use macro_rules_attribute::apply;
use nbapps::internals::{Engine, Location};
use serde_json::{Value, json};

use crate::environment::{Daemon, TestEnvironment, http, sign_in};
use crate::servers::{TestEngine, on_every_engine};
use crate::sql::run;

/// An environment with the applications `crm` and `hr` and the deleted one `old`, without a running daemon.
fn with_three(engine: TestEngine) -> (TestEnvironment, Engine) {
    let environment = TestEnvironment::of(engine);
    let daemon = environment.daemon();
    for id in ["crm", "hr", "old"] {
        daemon.call("app.create", json!({"id": id, "domains": [format!("{id}.example.com")]}));
    }
    daemon.call("app.delete", json!({"id": "old"}));
    assert!(daemon.stop().success());
    let engine = Location::parse(&environment.main_url()).unwrap().engine();
    (environment, engine)
}

/// Runs SQL in the main application's database, and starts the daemon.
async fn after(environment: &TestEnvironment, sql: &str) -> Daemon {
    run(&environment.main_url(), sql).await;
    environment.daemon()
}

fn directory(environment: &TestEnvironment, id: &str) -> PathBuf {
    environment.data().join("apps").join(id)
}

fn reason(daemon: &Daemon, id: &str) -> String {
    let shown = daemon.call("app.get", json!({"id": id}));
    assert_eq!(shown["state"], "error", "{shown}");
    shown["reason"].as_str().unwrap().to_owned()
}

fn deleted(daemon: &Daemon) -> Vec<Value> {
    daemon.call("app.list", json!({"deleted": true}))["applications"].as_array().unwrap().clone()
}

/// SQL for the value of a JSON column with one entry changed.
fn with_entry(engine: Engine, column: &str, name: &str, value: &str) -> String {
    match engine {
        Engine::Postgres => format!("jsonb_set({column}::jsonb, '{{{name}}}', '\"{value}\"')"),
        Engine::Sqlite | Engine::Mysql => format!("JSON_SET({column}, '$.{name}', '{value}')"),
    }
}

/// SQL for the provision of `hr`, usable in a statement that changes the same table.
const PROVISION_OF_HR: &str =
    "(SELECT * FROM (SELECT provision FROM \"applicationProvisions\" WHERE name = 'hr') AS other)";

#[apply(on_every_engine)]
#[tokio::test]
async fn a_wrong_status_does_not_roll_back_a_creation(engine: TestEngine) {
    let (environment, _) = with_three(engine);
    for status in ["preparing", "initializing"] {
        let sql = format!("UPDATE applications SET status = '{status}' WHERE name = 'crm'");
        let daemon = after(&environment, &sql).await;
        assert_eq!(daemon.state("crm"), "initialized", "{status}");
        sign_in(&daemon, Some("crm")).await;
        assert!(daemon.stop().success());
        let daemon = environment.daemon();
        sign_in(&daemon, Some("crm")).await;
        assert!(daemon.stop().success());
    }
}

#[apply(on_every_engine)]
#[tokio::test]
async fn an_unfinished_provision_does_not_roll_back_a_creation(engine: TestEngine) {
    let (environment, engine) = with_three(engine);
    let unfinished = match engine {
        Engine::Postgres => "jsonb_set(provision::jsonb, '{unfinished}', 'true')",
        Engine::Sqlite => "json_set(provision, '$.unfinished', json('true'))",
        Engine::Mysql => "JSON_SET(provision, '$.unfinished', true)",
    };
    let sql = format!("UPDATE \"applicationProvisions\" SET provision = {unfinished} WHERE name = 'crm'");
    let daemon = after(&environment, &sql).await;
    sign_in(&daemon, Some("crm")).await;
}

#[apply(on_every_engine)]
#[tokio::test]
async fn of_two_applications_with_one_storage_a_purge_keeps_it(engine: TestEngine) {
    let (environment, engine) = with_three(engine);
    let place = if engine == Engine::Sqlite { "directory" } else { "database" };
    let name = match Location::parse(&environment.main_url()).unwrap().sibling_name("hr") {
        Some(name) => name,
        None => "hr".to_owned(),
    };
    for provision in [with_entry(engine, "provision", place, &name), PROVISION_OF_HR.to_owned()] {
        let sql = format!("UPDATE \"applicationProvisions\" SET provision = {provision} WHERE name = 'crm'");
        let daemon = after(&environment, &sql).await;
        sign_in(&daemon, Some("hr")).await;
        assert!(reason(&daemon, "crm").contains("of the application \"hr\""));
        assert_eq!(daemon.refusal("app.start", json!({"id": "crm"})), "start_failed");
        assert!(daemon.stop().success());
    }
    let daemon = environment.daemon();
    let purged = daemon.call("app.delete", json!({"id": "crm", "purge": true}));
    assert!(purged["kept"].to_string().contains("hr"), "{purged}");
    sign_in(&daemon, Some("hr")).await;
    assert!(daemon.stop().success());
    let daemon = environment.daemon();
    sign_in(&daemon, Some("hr")).await;
    let purged = daemon.call("app.delete", json!({"id": "hr", "purge": true}));
    assert!(!directory(&environment, "hr").exists(), "{purged}");
}

#[apply(on_every_engine)]
#[tokio::test]
async fn a_purge_keeps_storage_that_another_application_has(engine: TestEngine) {
    let (environment, _) = with_three(engine);
    let sql = format!("UPDATE \"deletedApplications\" SET provision = {PROVISION_OF_HR} WHERE name = 'old'");
    let daemon = after(&environment, &sql).await;
    let listed = deleted(&daemon);
    assert!(listed[0]["reason"].as_str().unwrap().contains("of the application \"hr\""), "{listed:?}");
    assert_eq!(daemon.refusal("app.undelete", json!({"id": "old"})), "conflict");
    let purged = daemon.call("app.delete", json!({"id": "old", "purge": true}));
    assert!(
        purged["kept"][0].as_str().unwrap().contains("it belongs to the application \"hr\", too"),
        "{purged}"
    );
    sign_in(&daemon, Some("hr")).await;
    assert!(directory(&environment, "old").exists());
}

#[apply(on_every_engine)]
#[tokio::test]
async fn an_invalid_boolean_or_time_does_not_cause_a_removal(engine: TestEngine) {
    let (environment, engine) = with_three(engine);
    let numbers: &[&str] = match engine {
        Engine::Sqlite => &["5", "-1", "9223372036854775807", "0.5", "'true'"],
        Engine::Mysql => &["5", "-1"],
        Engine::Postgres => &[],
    };
    let purging = numbers.iter().map(|number| (format!("purging = {number}"), "purging"));
    // Before its creation: its retention period would be over.
    let earlier = ("\"deletedAt\" = '1970-01-02 00:00:00.000'".to_owned(), "deletedAt");
    let earlier = match engine {
        Engine::Sqlite => ("\"deletedAt\" = '1970-01-02T00:00:00.000Z'".to_owned(), "deletedAt"),
        Engine::Postgres | Engine::Mysql => earlier,
    };
    for (change, says) in purging.chain([earlier]) {
        let sql = format!("UPDATE \"deletedApplications\" SET {change}");
        let daemon = after(&environment, &sql).await;
        let listed = deleted(&daemon);
        let reason = listed[0]["reason"].as_str().unwrap_or_else(|| panic!("{change}: {listed:?}"));
        assert!(reason.contains(says), "{change}: {reason}");
        assert!(directory(&environment, "old").exists(), "{change}");
        assert!(daemon.stop().success());
    }
    for number in numbers {
        let sql = format!("UPDATE applications SET pinned = {number} WHERE name = 'crm'");
        let daemon = after(&environment, &sql).await;
        assert!(reason(&daemon, "crm").contains("pinned"), "{number}");
        assert!(daemon.stop().success());
    }
    let daemon = environment.daemon();
    daemon.call("app.undelete", json!({"id": "old"}));
    sign_in(&daemon, Some("old")).await;
}

#[apply(on_every_engine)]
#[tokio::test]
async fn an_invalid_or_foreign_domain_does_not_affect_other_routes(engine: TestEngine) {
    let (environment, engine) = with_three(engine);
    let daemon = after(&environment, "UPDATE applications SET cname = '127.0.0.1' WHERE name = 'crm'").await;
    assert!(reason(&daemon, "crm").contains("is not a domain"));
    let answer = reqwest::get(format!("{}/api/app:getInfo", daemon.url)).await.unwrap();
    assert_eq!(answer.status(), 200, "the host's own address is main's");
    assert!(daemon.stop().success());
    let domains = match engine {
        Engine::Postgres => "jsonb_set(options::jsonb, '{domains}', '[\"hr.example.com\"]')",
        Engine::Sqlite => "json_set(options, '$.domains', json('[\"hr.example.com\"]'))",
        Engine::Mysql => "JSON_SET(options, '$.domains', JSON_ARRAY('hr.example.com'))",
    };
    let daemon =
        after(&environment, &format!("UPDATE applications SET options = {domains} WHERE name = 'crm'")).await;
    assert!(reason(&daemon, "crm").contains("belongs to the application \"hr\""));
    // Neither a repair nor a deletion takes the domain from the other.
    daemon.call("app.update", json!({"id": "crm", "domains": []}));
    for last in [false, true] {
        if last {
            daemon.call("app.delete", json!({"id": "crm"}));
        }
        let request = reqwest::Client::new().get(format!("{}/api/app:getInfo", daemon.url));
        let answer = request.header("Host", "hr.example.com").send().await.unwrap();
        assert_eq!(answer.status(), 200);
        let visited = daemon.call("app.get", json!({"id": "hr"}));
        assert_eq!(visited["state"], "running", "its domain led to it: {visited}");
        daemon.call("app.stop", json!({"id": "hr"}));
        daemon.call("app.start", json!({"id": "hr"}));
    }
}

#[apply(on_every_engine)]
#[tokio::test]
async fn changing_a_removed_row_is_an_error(engine: TestEngine) {
    let (environment, _) = with_three(engine);
    let daemon = environment.daemon();
    run(&environment.main_url(), "DELETE FROM applications WHERE name = 'crm'").await;
    for (method, params) in
        [("app.update", json!({"id": "crm", "name": "Customers"})), ("app.stop", json!({"id": "crm"}))]
    {
        let error = daemon.connect().call(method, params).unwrap_err();
        assert!(
            error["message"].as_str().unwrap().contains("no row of \"crm\" any more"),
            "{method}: {error}"
        );
    }
    daemon.call("app.delete", json!({"id": "crm"}));
    daemon.call("app.undelete", json!({"id": "crm"}));
    daemon.call("app.update", json!({"id": "crm", "name": "Customers"}));
    run(&environment.main_url(), "DELETE FROM \"applicationProvisions\" WHERE name = 'crm'").await;
    let error = daemon.connect().call("app.rotate_secret", json!({"id": "crm"})).unwrap_err();
    assert!(error["message"].as_str().unwrap().contains("no row of \"crm\" any more"), "{error}");
    // The data is kept if somebody else has removed the row in the meantime.
    run(&environment.main_url(), "DELETE FROM \"deletedApplications\"").await;
    assert_eq!(daemon.refusal("app.delete", json!({"id": "old", "purge": true})), "app_not_found");
}

#[apply(on_every_engine)]
#[tokio::test]
async fn a_damaged_deleted_row_can_be_listed_undeleted_and_purged(engine: TestEngine) {
    let (environment, engine) = with_three(engine);
    let changes: &[&str] = match engine {
        Engine::Sqlite => &[
            "key = X'FF'",
            "key = 'a' || char(0) || 'b'",
            "key = ''",
            "\"deletedAt\" = 'x'",
            "application = '{\"name\":\"old\",\"displayName\":\"a\\u0000b\",\"options\":{\"x\":\"\\u0000\"}}'",
            "\"jwtSecret\" = 'x'",
            "name = X'FF'",
        ],
        Engine::Mysql => &["\"key\" = 'a\\0b'", "\"key\" = ''", "\"jwtSecret\" = 'x'"],
        Engine::Postgres => &["key = ''", "\"jwtSecret\" = 'x'", "application = '[]'"],
    };
    for change in changes {
        let daemon = after(&environment, &format!("UPDATE \"deletedApplications\" SET {change}")).await;
        let listed = deleted(&daemon);
        assert_eq!(listed[0]["id"], "old", "{change}: {listed:?}");
        if !change.contains("jwtSecret") {
            assert!(listed[0]["reason"].is_string(), "{change}: {listed:?}");
        }
        daemon.call("app.undelete", json!({"id": "old"}));
        assert_eq!(daemon.state("old"), "initialized", "{change}");
        sign_in(&daemon, Some("old")).await;
        assert!(daemon.stop().success());
        let daemon = environment.daemon();
        sign_in(&daemon, Some("old")).await;
        assert_eq!(deleted(&daemon), Vec::<Value>::new(), "{change}");
        daemon.call("app.delete", json!({"id": "old"}));
        assert!(daemon.stop().success());
    }
    for (at, change) in changes.iter().enumerate() {
        let daemon = after(&environment, &format!("UPDATE \"deletedApplications\" SET {change}")).await;
        let keep = at % 2 == 0;
        let purged = daemon.call("app.delete", json!({"id": "old", "purge": true, "keep_data": keep}));
        assert_ne!(purged[if keep { "kept" } else { "removed" }], json!([]), "{change}: {purged}");
        assert_eq!(deleted(&daemon), Vec::<Value>::new(), "{change}");
        daemon.call("app.create", json!({"id": "old"}));
        daemon.call("app.delete", json!({"id": "old"}));
        assert!(daemon.stop().success());
    }
}

#[apply(on_every_engine)]
#[tokio::test]
async fn a_purge_says_what_it_leaves(engine: TestEngine) {
    let (environment, engine) = with_three(engine);
    let daemon = environment.daemon();
    let mark = |id: &str| directory(&environment, id).join(".nbapps");
    std::fs::remove_file(mark("crm")).unwrap();
    if engine != Engine::Sqlite {
        // The database is removed by its own mark. The directory is kept with the file that somebody put into it.
        std::fs::write(directory(&environment, "crm").join("letter"), "keep me").unwrap();
    }
    std::fs::write(mark("hr"), [0xff, 0x00]).unwrap();
    for id in ["crm", "hr"] {
        let path = directory(&environment, id);
        let purged = daemon.call("app.delete", json!({"id": id, "purge": true}));
        let kept = purged["kept"].to_string();
        assert!(kept.contains(path.to_str().unwrap()) && kept.contains("mark"), "{purged}");
        assert!(path.exists());
    }
    let (status, _) = http(&daemon, "GET", "/api/app:getInfo", None, None, None).await;
    assert_eq!(status, 200);
}

/// Returns the status of a request for a host name.
async fn answers(daemon: &Daemon, host: &str) -> u16 {
    let request = reqwest::Client::new().get(format!("{}/api/app:getInfo", daemon.url));
    request.header("Host", host).send().await.unwrap().status().as_u16()
}

/// SQL that sets the domains in the options of an application.
fn with_domains(engine: Engine, id: &str, domain: &str) -> String {
    let options = match engine {
        Engine::Postgres => format!("jsonb_set(options::jsonb, '{{domains}}', '[\"{domain}\"]')"),
        Engine::Sqlite => format!("json_set(options, '$.domains', json('[\"{domain}\"]'))"),
        Engine::Mysql => format!("JSON_SET(options, '$.domains', JSON_ARRAY('{domain}'))"),
    };
    format!("UPDATE applications SET options = {options} WHERE name = '{id}'")
}

#[apply(on_every_engine)]
#[tokio::test]
async fn a_domain_stays_with_the_application_it_was_assigned_to(engine: TestEngine) {
    let (environment, engine) = with_three(engine);
    // Whichever of the two is older, and however the domain is spelled.
    for (changed, other, spelling) in [("crm", "hr", "hr.example.com"), ("hr", "crm", "CRM.Example.com.")] {
        let domain = format!("{other}.example.com");
        let daemon = after(&environment, &with_domains(engine, changed, spelling)).await;
        let says = format!("the domain {domain} belongs to the application \"{other}\"");
        let reason = reason(&daemon, changed);
        assert!(reason.contains(&says), "{reason}");
        assert_eq!(daemon.state(other), "initialized");
        assert_eq!(answers(&daemon, &domain).await, 200);
        assert_eq!(daemon.state(other), "running", "{domain} led to it");
        // An update without domains repairs it: the other's domain is removed.
        let repaired = daemon.call("app.update", json!({"id": changed, "name": "Repaired"}));
        assert_eq!(repaired["state"], "initialized", "{repaired}");
        assert_eq!(repaired["domains"], json!([format!("{changed}.example.com")]));
        assert!(daemon.stop().success());
        let daemon = environment.daemon();
        assert_eq!([daemon.state(changed), daemon.state(other)], ["initialized"; 2]);
        assert_eq!(answers(&daemon, &domain).await, 200);
        assert_eq!([&*daemon.state(changed), &*daemon.state(other)], ["initialized", "running"]);
        assert!(daemon.stop().success());
    }
    // A domain that was assigned to another application belongs to that one.
    let daemon = environment.daemon();
    daemon.call("app.update", json!({"id": "crm", "domains": []}));
    daemon.call("app.update", json!({"id": "hr", "domains": ["hr.example.com", "crm.example.com"]}));
    assert!(daemon.stop().success());
    let daemon = after(&environment, &with_domains(engine, "crm", "crm.example.com")).await;
    assert!(reason(&daemon, "crm").contains("belongs to the application \"hr\""));
    daemon.call("app.delete", json!({"id": "crm", "purge": true}));
    assert_eq!(answers(&daemon, "crm.example.com").await, 200);
    assert_eq!(daemon.state("hr"), "running");
}

#[apply(on_every_engine)]
#[tokio::test]
async fn an_unassigned_domain_belongs_to_the_older_application(engine: TestEngine) {
    let (environment, engine) = with_three(engine);
    let given = match engine {
        Engine::Postgres => "provision::jsonb - 'domains'",
        Engine::Sqlite => "json_remove(provision, '$.domains')",
        Engine::Mysql => "JSON_REMOVE(provision, '$.domains')",
    };
    run(&environment.main_url(), &format!("UPDATE \"applicationProvisions\" SET provision = {given}")).await;
    // The sort position does not decide.
    run(&environment.main_url(), "UPDATE applications SET sort = 0 WHERE name = 'hr'").await;
    let daemon = after(&environment, &with_domains(engine, "hr", "crm.example.com")).await;
    assert!(reason(&daemon, "hr").contains("belongs to the application \"crm\""));
    assert_eq!(answers(&daemon, "crm.example.com").await, 200);
    assert_eq!(daemon.state("crm"), "running");
    daemon.call("app.update", json!({"id": "hr", "name": "People"}));
    sign_in(&daemon, Some("hr")).await;
}

/// Names that no statement can contain, or that are not IDs.
fn odd_names(engine: Engine) -> &'static [&'static str] {
    match engine {
        Engine::Sqlite => {
            &["X'FF'", "'a' || char(0) || 'b'", "CAST(X'6DFF' AS TEXT)", "''", "X''", "'A b'", "'main'"]
        }
        Engine::Mysql => &["'a\\0b'", "'\\0'", "''", "'A b'", "'main'"],
        Engine::Postgres => &["''", "'A b'", "'main'"],
    }
}

/// Returns the ID under which the one application with an invalid name is listed.
fn stand_in(daemon: &Daemon, what: &str) -> String {
    let listed = daemon.call("app.list", json!({"states": ["error"]}))["applications"].clone();
    let ids = listed.as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap());
    let damaged: Vec<_> = ids.filter(|id| id.starts_with("damaged-")).collect();
    assert_eq!(damaged.len(), 1, "{what}: {listed}");
    damaged[0].to_owned()
}

#[apply(on_every_engine)]
#[tokio::test]
async fn a_row_with_an_invalid_name_is_listed_under_a_valid_id_and_can_be_deleted(engine: TestEngine) {
    let (environment, engine) = with_three(engine);
    for name in odd_names(engine) {
        let what = format!("name = {name}");
        let daemon = after(&environment, &format!("UPDATE applications SET {what} WHERE name = 'crm'")).await;
        sign_in(&daemon, Some("hr")).await;
        let id = stand_in(&daemon, &what);
        let said = reason(&daemon, &id);
        assert!(said.contains("name is") || said.contains("is not an application ID"), "{what}: {said}");
        assert!(reason(&daemon, "crm").contains("no row in applications"), "{what}");
        assert!(daemon.stop().success());
        // The ID is the same after a restart.
        let daemon = environment.daemon();
        assert_eq!(stand_in(&daemon, &what), id, "{what}");
        daemon.call("app.delete", json!({"id": id}));
        assert_eq!(
            daemon.call("app.update", json!({"id": "crm", "name": "Repaired"}))["state"],
            "initialized"
        );
        sign_in(&daemon, Some("crm")).await;
        assert!(daemon.stop().success());
        let daemon = environment.daemon();
        assert_eq!(
            daemon.call("app.list", json!({"states": ["error"]}))["applications"],
            json!([]),
            "{what}"
        );
        assert!(deleted(&daemon).iter().any(|one| one["id"] == *id), "{what}");
        daemon.call("app.delete", json!({"id": id, "purge": true}));
        assert_eq!(deleted(&daemon).len(), 1, "{what}");
        sign_in(&daemon, Some("crm")).await;
        assert!(daemon.stop().success());
    }
}

#[apply(on_every_engine)]
#[tokio::test]
async fn two_rows_with_invalid_names_are_distinguished_and_repaired(engine: TestEngine) {
    let (environment, engine) = with_three(engine);
    let names = match engine {
        Engine::Sqlite => ["X'FF'", "X'FE'"],
        Engine::Mysql => ["'a\\0b'", "'a\\0c'"],
        Engine::Postgres => ["'A b'", "'A c'"],
    };
    for (id, name) in ["crm", "hr"].into_iter().zip(names) {
        let sql = format!("UPDATE applications SET name = {name} WHERE name = '{id}'");
        run(&environment.main_url(), &sql).await;
        if engine != Engine::Sqlite {
            let sql = format!("UPDATE \"applicationProvisions\" SET name = {name} WHERE name = '{id}'");
            run(&environment.main_url(), &sql).await;
        }
    }
    let daemon = environment.daemon();
    let listed = daemon.call("app.list", json!({"states": ["error"]}))["applications"].clone();
    let ids = listed.as_array().unwrap().iter().filter_map(|one| one["id"].as_str());
    let ids: Vec<String> = ids.filter(|id| id.starts_with("damaged-")).map(str::to_owned).collect();
    assert_eq!(ids.len(), 2, "{listed}");
    if engine == Engine::Sqlite {
        // The rows of the two tables cannot be paired any more, so that each is listed separately.
        for id in ids.iter().map(String::as_str).chain(["crm", "hr"]) {
            daemon.call("app.delete", json!({"id": id}));
        }
    } else {
        for id in &ids {
            assert_eq!(
                daemon.call("app.update", json!({"id": id, "name": "Repaired"}))["state"],
                "initialized"
            );
            sign_in(&daemon, Some(id)).await;
        }
    }
    assert!(daemon.stop().success());
    let daemon = environment.daemon();
    assert_eq!(daemon.call("app.list", json!({"states": ["error"]}))["applications"], json!([]));
    for id in ids.iter().filter(|_| engine != Engine::Sqlite) {
        sign_in(&daemon, Some(id)).await;
    }
}

/// Names that a row of `applicationProvisions` can have and no statement can contain.
fn unwritable_names(engine: Engine) -> &'static [&'static str] {
    match engine {
        Engine::Sqlite => &["X'FF'", "'a' || char(0) || 'b'", "CAST(X'6DFF' AS TEXT)", "''"],
        Engine::Mysql => &["'a\\0b'", "''"],
        Engine::Postgres => &["''"],
    }
}

/// Gives the provision of an application another name.
async fn rename_provision(environment: &TestEnvironment, id: &str, name: &str) {
    let sql = format!("UPDATE \"applicationProvisions\" SET name = {name} WHERE name = '{id}'");
    run(&environment.main_url(), &sql).await;
}

#[apply(on_every_engine)]
#[tokio::test]
async fn a_provision_with_an_unwritable_name_is_listed_and_can_be_repaired_and_purged(engine: TestEngine) {
    let (environment, engine) = with_three(engine);
    for name in unwritable_names(engine) {
        rename_provision(&environment, "crm", name).await;
        let daemon = environment.daemon();
        sign_in(&daemon, Some("hr")).await;
        let id = stand_in(&daemon, name);
        assert!(reason(&daemon, &id).contains("no row in applications"), "{name}");
        assert!(reason(&daemon, "crm").contains("no row in applicationProvisions"), "{name}");
        // Deleting the application without a provision keeps the provision.
        daemon.call("app.delete", json!({"id": "crm"}));
        assert!(daemon.stop().success());
        let daemon = environment.daemon();
        assert_eq!(stand_in(&daemon, name), id, "{name}");
        let repaired = daemon.call("app.update", json!({"id": id, "name": "Repaired"}));
        assert_eq!(repaired["state"], "initialized", "{name}: {repaired}");
        assert!(daemon.stop().success());
        let daemon = environment.daemon();
        sign_in(&daemon, Some(&id)).await;
        daemon.call("app.delete", json!({"id": id, "purge": true}));
        assert!(!directory(&environment, "crm").exists(), "{name}");
        daemon.call("app.delete", json!({"id": "crm", "purge": true}));
        daemon.call("app.create", json!({"id": "crm"}));
        assert!(daemon.stop().success());
    }
}

#[apply(on_every_engine)]
#[tokio::test]
async fn deleting_a_provision_with_an_unwritable_name_keeps_other_such_rows(engine: TestEngine) {
    let (environment, engine) = with_three(engine);
    // PostgreSQL can store one such name only, which would pair the two rows.
    let [application, provision] = match engine {
        Engine::Sqlite => ["X'FE'", "X'FF'"],
        Engine::Mysql => ["'a\\0b'", "''"],
        Engine::Postgres => ["'A b'", "''"],
    };
    let sql = format!("UPDATE applications SET name = {application} WHERE name = 'crm'");
    run(&environment.main_url(), &sql).await;
    rename_provision(&environment, "hr", provision).await;
    let daemon = environment.daemon();
    let listed = daemon.call("app.list", json!({"states": ["error"]}))["applications"].clone();
    let ids = listed.as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap().to_owned());
    let ids: Vec<String> = ids.filter(|id| id.starts_with("damaged-")).collect();
    let (provisions, applications): (Vec<_>, Vec<_>) =
        ids.into_iter().partition(|id| reason(&daemon, id).contains("it has no row in applications"));
    assert_eq!((provisions.len(), applications.len()), (1, 1), "{listed}");
    daemon.call("app.delete", json!({"id": provisions[0]}));
    assert!(daemon.stop().success());
    let daemon = environment.daemon();
    assert_eq!(stand_in(&daemon, application), applications[0], "the application's row is kept");
    daemon.call("app.undelete", json!({"id": provisions[0]}));
    sign_in(&daemon, Some(&provisions[0])).await;
}

#[apply(on_every_engine)]
#[tokio::test]
async fn a_missing_column_of_the_registry_is_named_with_its_table(engine: TestEngine) {
    let (environment, engine) = with_three(engine);
    for (table, column) in [
        ("applications", "options"),
        ("applications", "sort"),
        ("applicationProvisions", "provision"),
        ("applicationProvisions", "jwtSecret"),
        ("deletedApplications", "application"),
    ] {
        let rename =
            |from: &str, to: &str| format!("ALTER TABLE \"{table}\" RENAME COLUMN \"{from}\" TO \"{to}\"");
        run(&environment.main_url(), &rename(column, "aside")).await;
        let key = environment.data().join("secret.key");
        let text = std::fs::read(&key).unwrap();
        for has_key in [true, false] {
            if !has_key {
                std::fs::remove_file(&key).unwrap();
            }
            let (code, said) = environment.refused(environment.daemon_command());
            assert_eq!(code, 1, "{said}");
            if has_key || table == "applicationProvisions" {
                for word in
                    [&format!("\"{table}\" has no column \"{column}\""), "nothing was changed", "backup"]
                {
                    assert!(said.contains(word), "{engine:?}, {word}: {said}");
                }
            }
        }
        environment.write_private(&key, &text);
        run(&environment.main_url(), &rename("aside", column)).await;
    }
    // A missing table is created again, since the others still have the applications.
    run(&environment.main_url(), "DROP TABLE applications").await;
    let daemon = environment.daemon();
    assert!(environment.daemon_log().contains("a table of the registry was missing"));
    for id in ["crm", "hr"] {
        assert!(reason(&daemon, id).contains("no row in applications"));
        daemon.call("app.update", json!({"id": id, "name": "Repaired"}));
        sign_in(&daemon, Some(id)).await;
    }
}
