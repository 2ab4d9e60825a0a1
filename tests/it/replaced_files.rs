//! Database files that are moved or removed while their application runs.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::environment::{Daemon, TestEnvironment, http, sign_in};

/// Writes to the database: creates a role.
async fn write(daemon: &Daemon, token: &str, name: &str) -> (u16, Value) {
    let role = json!({"name": name, "title": name});
    http(daemon, "POST", "/api/roles:create", Some("crm"), Some(token), Some(role)).await
}

#[tokio::test]
async fn writes_to_a_removed_file_are_refused() {
    for replace in [false, true] {
        let environment = TestEnvironment::new();
        let daemon = environment.daemon();
        let application =
            daemon.call("app.create", json!({"id": "crm", "start": true}))["application"].clone();
        let file = PathBuf::from(application["database"]["location"].as_str().unwrap());
        let token = sign_in(&daemon, Some("crm")).await;
        let (status, answer) = write(&daemon, &token, "first").await;
        assert_eq!(status, 200, "{answer}");
        let aside = file.with_extension("aside");
        fs::rename(&file, &aside).unwrap();
        if replace {
            fs::copy(&aside, &file).unwrap();
        }
        let (status, answer) = write(&daemon, &token, "second").await;
        assert_eq!(status, 503, "{answer}");
        assert!(answer.to_string().contains("database is missing"), "{answer}");
        // From then on, reads are refused, too.
        let (status, answer) = http(&daemon, "GET", "/api/roles:list", Some("crm"), Some(&token), None).await;
        assert_eq!(status, 503, "{answer}");
        // Once the file is restored, a restart helps.
        fs::rename(&aside, &file).unwrap();
        environment.nbapps(&["restart", "crm"]).ok();
        let (status, answer) = write(&daemon, &token, "third").await;
        assert_eq!(status, 200, "{answer}");
    }
}

#[tokio::test]
async fn writes_to_a_removed_log_are_refused() {
    for replace in [false, true] {
        let environment = TestEnvironment::new();
        let daemon = environment.daemon();
        let application =
            daemon.call("app.create", json!({"id": "crm", "start": true}))["application"].clone();
        let log = PathBuf::from(application["database"]["location"].as_str().unwrap().to_owned() + "-wal");
        let token = sign_in(&daemon, Some("crm")).await;
        let (status, answer) = write(&daemon, &token, "first").await;
        assert_eq!(status, 200, "{answer}");
        let copy = fs::read(&log).unwrap();
        fs::remove_file(&log).unwrap();
        if replace {
            fs::write(&log, copy).unwrap();
        }
        for _ in 0..3 {
            let (status, answer) = write(&daemon, &token, "second").await;
            assert_eq!(status, 503, "{answer}");
        }
        // An orderly shutdown keeps what was acknowledged before.
        let _ = fs::remove_file(&log);
        environment.nbapps(&["restart", "crm"]).ok();
        let (status, answer) = write(&daemon, &token, "third").await;
        assert_eq!(status, 200, "{answer}");
        daemon.kill();
        let daemon = environment.daemon();
        let (_, answer) =
            http(&daemon, "GET", "/api/roles:list?paginate=false", Some("crm"), Some(&token), None).await;
        let names = answer["data"].to_string();
        assert!(names.contains("first") && !names.contains("second") && names.contains("third"), "{answer}");
    }
}

#[tokio::test]
async fn an_idle_application_gets_a_new_log() {
    let environment = TestEnvironment::new();
    let daemon = environment.daemon();
    daemon.call("app.create", json!({"id": "crm"}));
    let token = sign_in(&daemon, Some("crm")).await;
    for round in 0..5 {
        let (status, answer) = write(&daemon, &token, &format!("role-{round}")).await;
        assert_eq!(status, 200, "{answer}");
        // This closes all connections, and the last one removes the log.
        daemon.call("app.restart", json!({"id": "crm"}));
    }
}

#[test]
fn a_missing_file_is_reported_without_mentioning_servers() {
    let environment = TestEnvironment::new();
    let daemon = environment.daemon();
    let application = daemon.call("app.create", json!({"id": "crm"}))["application"].clone();
    let file = PathBuf::from(application["database"]["location"].as_str().unwrap());
    fs::rename(&file, file.with_extension("aside")).unwrap();
    let ran = environment.nbapps(&["start", "crm"]);
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    assert!(ran.stderr.contains("the file does not exist"), "{}", ran.stderr);
    assert!(!ran.stderr.contains("host") && !ran.stderr.contains("port"), "{}", ran.stderr);
}

#[test]
fn a_socket_without_permission_is_reported_as_such() {
    let environment = TestEnvironment::new();
    let _daemon = environment.daemon();
    if !rustix::process::geteuid().is_root() {
        // The mode denies access to every user but root, even to the owner.
        fs::set_permissions(environment.socket(), fs::Permissions::from_mode(0o000)).unwrap();
        let ran = environment.nbapps(&["list"]);
        assert_eq!(ran.code, 7, "{}", ran.stderr);
        return;
    }
    let nobody = "65534";
    let mut command = environment.command("setpriv");
    command.args(["--reuid", nobody, "--regid", nobody, "--clear-groups", "/usr/bin/env"]);
    // Another user cannot access the build directory, so that the program is copied.
    let program = std::env::temp_dir().join(format!("nbapps-{}", std::process::id()));
    fs::copy(env!("CARGO_BIN_EXE_nbapps"), &program).unwrap();
    command.arg(&program).args(["list", "--socket"]).arg(environment.socket());
    let ran = environment.run(command);
    fs::remove_file(&program).unwrap();
    assert_eq!(ran.code, 7, "{}", ran.stderr);
    assert!(ran.stderr.contains("is not allowed to use the socket"), "{}", ran.stderr);
}
