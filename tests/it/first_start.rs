//! A start without the main database does not replace an existing host.

use std::fs;

use macro_rules_attribute::apply;
use nbapps::internals::{Engine, Location};
use serde_json::json;

use crate::environment::{TestEnvironment, sign_in};
use crate::servers::{TestEngine, on_every_engine};
use crate::sql::run;

/// Lists the files in the data directory that a start may write.
fn listing(environment: &TestEnvironment) -> Vec<(String, u64)> {
    let entries = fs::read_dir(environment.data()).unwrap().map(|entry| entry.unwrap());
    let mut all: Vec<_> = entries
        .map(|entry| (entry.file_name().into_string().unwrap(), entry.metadata().unwrap().len()))
        .filter(|(name, _)| name != "nbappsd.lock" && name != "logs")
        .collect();
    all.sort();
    all
}

/// Starts the daemon, which must fail and change nothing.
fn refused(environment: &TestEnvironment, what: &str) {
    let before = listing(environment);
    for _ in 0..2 {
        let (code, said) = environment.refused(environment.daemon_command());
        assert_eq!(code, 1, "{what}: {said}");
        assert!(said.contains("the main application's database"), "{what}: {said}");
        assert!(
            said.contains("restore it from a backup") && said.contains("to start a new host"),
            "{what}: {said}"
        );
        assert_eq!(listing(environment), before, "{what}");
    }
}

#[tokio::test]
async fn a_missing_or_empty_main_database_is_reported_and_not_replaced() {
    let environment = TestEnvironment::new();
    let daemon = environment.daemon();
    daemon.call("app.create", json!({"id": "crm"}));
    assert!(daemon.stop().success());
    let main = environment.data().join("main");
    let aside = environment.path("main-aside");
    fs::rename(&main, &aside).unwrap();
    refused(&environment, "the directory is gone");
    fs::create_dir(&main).unwrap();
    refused(&environment, "the directory is empty");
    fs::write(main.join("database.sqlite"), "").unwrap();
    refused(&environment, "the file is empty");
    let apps = environment.data().join("apps");
    fs::rename(apps.join("crm"), environment.path("crm-aside")).unwrap();
    refused(&environment, "no application exists");
    let key = environment.data().join("secret.key");
    let text = fs::read(&key).unwrap();
    fs::remove_file(&key).unwrap();
    refused(&environment, "only host.id exists");
    environment.write_private(&key, &text);
    fs::rename(environment.path("crm-aside"), apps.join("crm")).unwrap();
    fs::remove_dir_all(&main).unwrap();
    fs::rename(&aside, &main).unwrap();
    let daemon = environment.daemon();
    sign_in(&daemon, Some("crm")).await;
}

#[apply(on_every_engine)]
#[tokio::test]
async fn a_main_database_without_its_registry_is_reported_and_not_changed(engine: TestEngine) {
    let environment = TestEnvironment::of(engine);
    let daemon = environment.daemon();
    daemon.call("app.create", json!({"id": "crm"}));
    assert!(daemon.stop().success());
    for table in ["applicationProvisions", "deletedApplications", "applications"] {
        run(&environment.main_url(), &format!("DROP TABLE \"{table}\"")).await;
    }
    refused(&environment, "the tables are gone");
    // Moving the files away starts a new host.
    for file in ["secret.key", "host.id", "apps"] {
        fs::rename(environment.data().join(file), environment.path(file)).unwrap();
    }
    environment.daemon();
}

#[test]
fn an_interrupted_first_start_is_repeated() {
    let environment = TestEnvironment::new();
    fs::create_dir(environment.data()).unwrap();
    fs::write(environment.data().join("first-start"), "").unwrap();
    fs::write(environment.data().join("host.id"), "0123456789abcdef0123456789abcdef\n").unwrap();
    fs::create_dir(environment.data().join("apps")).unwrap();
    let daemon = environment.daemon();
    daemon.call("app.create", json!({"id": "crm"}));
    assert!(!environment.data().join("first-start").exists());
    assert!(daemon.stop().success());
    fs::remove_dir_all(environment.data().join("main")).unwrap();
    refused(&environment, "it was cut short no more");
}

#[apply(on_every_engine)]
#[tokio::test]
async fn a_damaged_secret_of_the_main_application_is_reported_with_a_hint(engine: TestEngine) {
    let environment = TestEnvironment::of(engine);
    let daemon = environment.daemon();
    let shown = environment.data().join("main-root-password");
    assert!(daemon.stop().success());
    let engine = Location::parse(&environment.main_url()).unwrap().engine();
    let blob: &[&str] = if engine == Engine::Sqlite { &["X'FF00'"] } else { &[] };
    for secret in ["'x'", "''"].iter().chain(blob) {
        let sql =
            format!("UPDATE \"applicationProvisions\" SET \"jwtSecret\" = {secret} WHERE name = 'main'");
        run(&environment.main_url(), &sql).await;
        let (code, said) = environment.refused(environment.daemon_command());
        assert_eq!(code, 1, "{said}");
        for part in ["jwtSecret in the row 'main' of applicationProvisions", "secret.key", "DELETE FROM"] {
            assert!(said.contains(part), "{secret}: {said}");
        }
    }
    run(&environment.main_url(), "DELETE FROM \"applicationProvisions\" WHERE name = 'main'").await;
    let before = fs::read(&shown).ok();
    let daemon = environment.daemon();
    sign_in(&daemon, None).await;
    assert_eq!(fs::read(&shown).ok(), before, "no password is shown that is none");
}

#[test]
fn a_key_that_is_not_a_file_is_reported() {
    let environment = TestEnvironment::new();
    assert!(environment.daemon().stop().success());
    let key = environment.data().join("secret.key");
    fs::remove_file(&key).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, &key, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    let (code, said) = environment.refused(environment.daemon_command());
    assert!(
        code == 1 && said.contains("a named pipe") && said.contains("hint: restore secret.key"),
        "{said}"
    );
    fs::remove_file(&key).unwrap();
    fs::create_dir(&key).unwrap();
    fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let (code, said) = environment.refused(environment.daemon_command());
    assert!(code == 1 && said.contains("a directory") && said.contains("hint: restore secret.key"), "{said}");
}
