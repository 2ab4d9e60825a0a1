//! The daemon: failed starts, configuration, shutdown and logs.

use std::io::Read;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;

use rustix::process::Signal;
use serde_json::json;

use crate::environment::{TestEnvironment, http};

#[test]
fn a_failed_start_names_its_cause() {
    let environment = TestEnvironment::new();
    let daemon = environment.daemon();
    let pid = daemon.pid().to_string();
    // The data directory is in use.
    let mut command = environment.daemon_command();
    command.args(["--socket", environment.path("other.sock").to_str().unwrap()]);
    let (code, said) = environment.refused(command);
    assert!(code == 1 && said.contains("data") && said.contains(&pid), "{code} {said}");
    // The socket belongs to a running daemon.
    let mut command = environment.daemon_command();
    command.args(["--data-dir", environment.path("other").to_str().unwrap()]);
    let (code, said) = environment.refused(command);
    assert!(code == 1 && said.contains("control.sock"), "{code} {said}");
    // The port is taken.
    let port = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = port.local_addr().unwrap().to_string();
    let other = TestEnvironment::new();
    let mut command = other.daemon_command();
    command.args(["--listen", &address]);
    let (code, said) = other.refused(command);
    assert!(code == 1 && said.contains(&address) && said.contains("hint:"), "{code} {said}");
    // The first daemon was not affected.
    daemon.call("host.info", json!({}));
}

#[test]
fn configuration_errors_name_file_line_and_key() {
    let environment = TestEnvironment::new();
    let file = environment.path("nbappsd.toml");
    for (text, expected) in [
        ("listen = \"127.0.0.1:0\"\nlistn = 1\n", &["listn", ":2"][..]),
        ("listen = [\n", &["nbappsd.toml"]),
        ("[log]\nlevel = 7\n", &["level", ":2"]),
    ] {
        std::fs::write(&file, text).unwrap();
        let mut command = environment.daemon_command();
        command.arg("--config").arg(&file);
        let (code, said) = environment.refused(command);
        assert_eq!(code, 1, "{said}");
        for word in expected.iter().chain(&["nbappsd.toml"]) {
            assert!(said.contains(word), "{text:?}: {said}");
        }
    }
    let mut command = environment.daemon_command();
    command.args(["--config", "/no/such/file.toml"]);
    assert!(environment.refused(command).1.contains("/no/such/file.toml"));
    for (name, value, word) in [
        ("APP_DISCOVERY_ADAPTER", "redis", "local"),
        ("APP_PROCESS_ADAPTER", "pm2", "local"),
        ("DB_DIALECT", "postgres", "postgres"),
        ("APP_PORT", "not a port", "APP_PORT"),
    ] {
        let mut command = environment.daemon_command();
        command.env(name, value);
        let (code, said) = environment.refused(command);
        assert!(code == 1 && said.contains(word), "{name}: {code} {said}");
    }
}

#[test]
fn flags_override_the_environment_which_overrides_the_file() {
    let environment = TestEnvironment::new();
    let file = environment.path("nbappsd.toml");
    let socket = |name: &str| environment.path(name).display().to_string();
    std::fs::write(&file, format!("socket = {:?}\nlisten = \"127.0.0.1:1\"\n", socket("file.sock"))).unwrap();
    let mut command = environment.daemon_command();
    command.arg("--config").arg(&file).env("NBAPPS_SOCKET", socket("environment.sock"));
    // The environment's command line has flags for the socket and port 0, which take precedence.
    let daemon = environment.daemon_by(command);
    let info = daemon.call("host.info", json!({}));
    assert_eq!(info["socket"], environment.socket().display().to_string());
    assert_eq!(info["config_file"], file.display().to_string());
}

#[test]
fn a_stale_socket_is_replaced_and_files_are_private() {
    let environment = TestEnvironment::new();
    environment.daemon().kill();
    assert!(environment.socket().exists(), "a killed daemon leaves its socket");
    let daemon = environment.daemon();
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&environment.socket()), 0o660);
    assert_eq!(mode(&environment.data()) & 0o077, 0);
    assert!(daemon.stop().success());
    assert!(!environment.socket().exists(), "a daemon that ends takes its socket away");
}

#[tokio::test]
async fn signals_and_the_stop_method_shut_the_daemon_down() {
    for way in ["TERM", "INT", "host.shutdown"] {
        let environment = TestEnvironment::new();
        let mut daemon = environment.daemon();
        daemon.call("app.create", json!({"id": "crm", "start": true}));
        match way {
            "TERM" => daemon.signal(Signal::TERM),
            "INT" => daemon.signal(Signal::INT),
            _ => drop(daemon.call("host.shutdown", json!({}))),
        }
        assert!(daemon.ended().success(), "{way}: {}", environment.daemon_log());
        let daemon = environment.daemon();
        assert_eq!(daemon.state("crm"), "initialized", "{way}");
    }
}

#[tokio::test]
async fn each_application_has_its_own_log() {
    let environment = TestEnvironment::new();
    let daemon = environment.daemon();
    for id in ["crm", "hr"] {
        daemon.call("app.create", json!({"id": id, "start": true}));
    }
    assert_eq!(http(&daemon, "GET", "/api/app:getInfo", Some("crm"), None, None).await.0, 200);
    let mut follower = daemon.connect();
    let logs = follower.call("app.logs", json!({"id": "crm", "follow": true})).unwrap();
    let lines = logs["lines"].as_array().unwrap();
    assert!(lines.iter().any(|line| line["to"] == "running"), "{logs}");
    let others = daemon.call("app.logs", json!({"id": "hr", "lines": 1}));
    assert_eq!(others["lines"].as_array().unwrap().len(), 1);
    daemon.call("app.stop", json!({"id": "crm"}));
    loop {
        let line = follower.receive().unwrap();
        if line["method"] == "log" && line["params"]["to"] == "stopped" {
            break;
        }
    }
    let mut file = String::new();
    let path = environment.data().join("logs/crm.log");
    std::fs::File::open(path).unwrap().read_to_string(&mut file).unwrap();
    assert!(file.lines().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()));
}

#[test]
fn only_existing_applications_have_logs() {
    let environment = TestEnvironment::new();
    let daemon = environment.daemon();
    daemon.call("app.create", json!({"id": "crm", "start": true}));
    daemon.refusal("app.stop", json!({"id": "nosuch"}));
    daemon.refusal("app.create", json!({"id": "bad", "domains": ["http://x"]}));
    assert!(
        daemon.call("app.logs", json!({"id": "crm"}))["lines"]
            .as_array()
            .is_some_and(|lines| !lines.is_empty())
    );
    let logs = || {
        let files = std::fs::read_dir(environment.data().join("logs")).unwrap();
        let mut names: Vec<_> = files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    assert_eq!(logs(), ["_daemon.log", "crm.log", "main.log"]);
    // A deletion keeps the log; a purge removes it.
    daemon.call("app.delete", json!({"id": "crm"}));
    assert_eq!(logs(), ["_daemon.log", "crm.log", "main.log"]);
    daemon.call("app.delete", json!({"id": "crm", "purge": true}));
    assert_eq!(logs(), ["_daemon.log", "main.log"]);
}
