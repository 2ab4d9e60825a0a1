//! One wrong value in the registry: nothing is removed because of it, and what is another's stays another's.

use std::path::PathBuf;

use macro_rules_attribute::apply;
use nbapps::internals::{Engine, Location};
use serde_json::{Value, json};

use crate::environment::{Daemon, TestEnvironment, http, sign_in};
use crate::servers::{TestEngine, on_every_engine};
use crate::sql::run;

/// An environment with the applications `crm`, `hr` and, deleted, `old`; the daemon has ended.
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

/// A value of a JSON column in which one entry is another.
fn with_entry(engine: Engine, column: &str, name: &str, value: &str) -> String {
    match engine {
        Engine::Postgres => format!("jsonb_set({column}::jsonb, '{{{name}}}', '\"{value}\"')"),
        Engine::Sqlite | Engine::Mysql => format!("JSON_SET({column}, '$.{name}', '{value}')"),
    }
}

/// The provision of `hr`, for a statement that changes the table it is in.
const PROVISION_OF_HR: &str =
    "(SELECT * FROM (SELECT provision FROM \"applicationProvisions\" WHERE name = 'hr') AS other)";

#[apply(on_every_engine)]
#[tokio::test]
async fn a_status_alone_takes_no_creation_back(engine: TestEngine) {
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
async fn an_unfinished_provision_alone_takes_no_creation_back(engine: TestEngine) {
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
async fn two_applications_of_one_place_are_told_apart_and_a_purge_leaves_it(engine: TestEngine) {
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
async fn a_deleted_application_of_anothers_place_is_named_and_removed_without_it(engine: TestEngine) {
    let (environment, _) = with_three(engine);
    let sql = format!("UPDATE \"deletedApplications\" SET provision = {PROVISION_OF_HR} WHERE name = 'old'");
    let daemon = after(&environment, &sql).await;
    let listed = deleted(&daemon);
    assert!(listed[0]["reason"].as_str().unwrap().contains("of the application \"hr\""), "{listed:?}");
    assert_eq!(daemon.refusal("app.undelete", json!({"id": "old"})), "conflict");
    let purged = daemon.call("app.delete", json!({"id": "old", "purge": true}));
    assert!(purged["kept"][0].as_str().unwrap().contains("the application \"hr\" has it, too"), "{purged}");
    sign_in(&daemon, Some("hr")).await;
    assert!(directory(&environment, "old").exists());
}

#[apply(on_every_engine)]
#[tokio::test]
async fn what_is_no_boolean_and_what_cannot_be_is_no_word_to_remove_anything(engine: TestEngine) {
    let (environment, engine) = with_three(engine);
    let numbers: &[&str] = match engine {
        Engine::Sqlite => &["5", "-1", "9223372036854775807", "0.5", "'true'"],
        Engine::Mysql => &["5", "-1"],
        Engine::Postgres => &[],
    };
    let purging = numbers.iter().map(|number| (format!("purging = {number}"), "purging"));
    // A moment before it was made: its time has been over for long.
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
async fn a_domain_that_is_none_takes_nothing_and_anothers_stays_with_it(engine: TestEngine) {
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
    // Neither mending nor deleting the one takes the domain from the other.
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
async fn a_row_that_is_gone_is_not_changed_without_a_word(engine: TestEngine) {
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
    // Nobody removes the data of one that somebody else has forgotten or brought back meanwhile.
    run(&environment.main_url(), "DELETE FROM \"deletedApplications\"").await;
    assert_eq!(daemon.refusal("app.delete", json!({"id": "old", "purge": true})), "app_not_found");
}

#[apply(on_every_engine)]
#[tokio::test]
async fn a_deleted_application_is_listed_and_reached_whatever_its_row_says(engine: TestEngine) {
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
        // The database goes by its own mark: what stays is what somebody put into the directory.
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

/// The status with which an application answers under a host name.
async fn answers(daemon: &Daemon, host: &str) -> u16 {
    let request = reqwest::Client::new().get(format!("{}/api/app:getInfo", daemon.url));
    request.header("Host", host).send().await.unwrap().status().as_u16()
}

/// A list of domains in the options of an application's row.
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
async fn a_domain_stays_with_the_application_that_the_host_gave_it_to(engine: TestEngine) {
    let (environment, engine) = with_three(engine);
    // Whichever of the two was made first, and however the other one's domain is spelled.
    for (changed, other, spelling) in [("crm", "hr", "hr.example.com"), ("hr", "crm", "CRM.Example.com.")] {
        let domain = format!("{other}.example.com");
        let daemon = after(&environment, &with_domains(engine, changed, spelling)).await;
        let says = format!("the domain {domain} belongs to the application \"{other}\"");
        let reason = reason(&daemon, changed);
        assert!(reason.contains(&says), "{reason}");
        assert_eq!(daemon.state(other), "initialized");
        assert_eq!(answers(&daemon, &domain).await, 200);
        assert_eq!(daemon.state(other), "running", "{domain} led to it");
        // An update without a word of domains mends it: what is another's is left out.
        let mended = daemon.call("app.update", json!({"id": changed, "name": "Mended"}));
        assert_eq!(mended["state"], "initialized", "{mended}");
        assert_eq!(mended["domains"], json!([format!("{changed}.example.com")]));
        assert!(daemon.stop().success());
        let daemon = environment.daemon();
        assert_eq!([daemon.state(changed), daemon.state(other)], ["initialized"; 2]);
        assert_eq!(answers(&daemon, &domain).await, 200);
        assert_eq!([&*daemon.state(changed), &*daemon.state(other)], ["initialized", "running"]);
        assert!(daemon.stop().success());
    }
    // A domain that was taken away and given to another is the other's.
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
async fn of_two_that_nobody_gave_a_domain_the_one_that_was_made_first_has_it(engine: TestEngine) {
    let (environment, engine) = with_three(engine);
    let given = match engine {
        Engine::Postgres => "provision::jsonb - 'domains'",
        Engine::Sqlite => "json_remove(provision, '$.domains')",
        Engine::Mysql => "JSON_REMOVE(provision, '$.domains')",
    };
    run(&environment.main_url(), &format!("UPDATE \"applicationProvisions\" SET provision = {given}")).await;
    // What is sorted first says nothing.
    run(&environment.main_url(), "UPDATE applications SET sort = 0 WHERE name = 'hr'").await;
    let daemon = after(&environment, &with_domains(engine, "hr", "crm.example.com")).await;
    assert!(reason(&daemon, "hr").contains("belongs to the application \"crm\""));
    assert_eq!(answers(&daemon, "crm.example.com").await, 200);
    assert_eq!(daemon.state("crm"), "running");
    daemon.call("app.update", json!({"id": "hr", "name": "People"}));
    sign_in(&daemon, Some("hr")).await;
}

/// Names of rows that no statement can name, or that are no ID.
fn odd_names(engine: Engine) -> &'static [&'static str] {
    match engine {
        Engine::Sqlite => {
            &["X'FF'", "'a' || char(0) || 'b'", "CAST(X'6DFF' AS TEXT)", "''", "X''", "'A b'", "'main'"]
        }
        Engine::Mysql => &["'a\\0b'", "'\\0'", "''", "'A b'", "'main'"],
        Engine::Postgres => &["''", "'A b'", "'main'"],
    }
}

/// The ID under which the one damaged application is listed whose name is none.
fn stand_in(daemon: &Daemon, what: &str) -> String {
    let listed = daemon.call("app.list", json!({"states": ["error"]}))["applications"].clone();
    let ids = listed.as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap());
    let damaged: Vec<_> = ids.filter(|id| id.starts_with("damaged-")).collect();
    assert_eq!(damaged.len(), 1, "{what}: {listed}");
    damaged[0].to_owned()
}

#[apply(on_every_engine)]
#[tokio::test]
async fn a_row_whose_name_is_none_is_listed_under_one_that_can_be_typed_and_removed(engine: TestEngine) {
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
        // The same at the next start.
        let daemon = environment.daemon();
        assert_eq!(stand_in(&daemon, &what), id, "{what}");
        daemon.call("app.delete", json!({"id": id}));
        assert_eq!(daemon.call("app.update", json!({"id": "crm", "name": "Mended"}))["state"], "initialized");
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
async fn two_rows_whose_names_are_none_are_told_apart_and_mended_with_what_they_have(engine: TestEngine) {
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
        // Nobody knows any more which provision was whose: each is listed alone.
        for id in ids.iter().map(String::as_str).chain(["crm", "hr"]) {
            daemon.call("app.delete", json!({"id": id}));
        }
    } else {
        for id in &ids {
            assert_eq!(
                daemon.call("app.update", json!({"id": id, "name": "Mended"}))["state"],
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

#[apply(on_every_engine)]
#[tokio::test]
async fn a_column_that_the_registry_lacks_is_named_with_its_table(engine: TestEngine) {
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
    // A table that is gone is made anew where the others still say what there is.
    run(&environment.main_url(), "DROP TABLE applications").await;
    let daemon = environment.daemon();
    assert!(environment.daemon_log().contains("a table of the registry was missing"));
    for id in ["crm", "hr"] {
        assert!(reason(&daemon, id).contains("no row in applications"));
        daemon.call("app.update", json!({"id": id, "name": "Mended"}));
        sign_in(&daemon, Some(id)).await;
    }
}
