//! `nbapps doctor` on the host itself: a sound one, no daemon at all, and each thing that breaks on the machine.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use macro_rules_attribute::apply;
use serde_json::{Value, json};

use crate::descriptors::command_with;
use crate::environment::TestEnvironment;
use crate::servers::{TestEngine, on_every_engine};
use crate::sql;
use crate::ssh_server::SshServer;

/// What a run of `nbapps doctor` found.
pub struct Examined {
    pub code: i32,
    pub findings: Vec<Value>,
}

/// Runs `nbapps doctor` with these further arguments.
pub fn examine(environment: &TestEnvironment, arguments: &[&str]) -> Examined {
    examined(environment, environment.nbapps_command(&[&["doctor", "-o", "json"], arguments].concat()))
}

fn examined(environment: &TestEnvironment, command: std::process::Command) -> Examined {
    let ran = environment.run(command);
    assert_eq!(ran.stderr, "", "{}", ran.stdout);
    let Value::Array(findings) = ran.json() else { panic!("{}", ran.stdout) };
    Examined { code: ran.code, findings }
}

impl Examined {
    /// The findings of a check about a subject.
    pub fn of<'a>(&'a self, subject: &'a str, check: &'a str) -> impl Iterator<Item = &'a Value> {
        self.findings.iter().filter(move |finding| finding["subject"] == subject && finding["check"] == check)
    }

    /// The status of the only finding of a check about a subject.
    pub fn status(&self, subject: &str, check: &str) -> String {
        let found: Vec<_> = self.of(subject, check).collect();
        assert_eq!(found.len(), 1, "{subject} {check}: {:#?}", self.findings);
        found[0]["status"].as_str().unwrap().to_owned()
    }

    /// Fails unless a check about a subject has a problem of this status whose message and hint contain these texts.
    pub fn assert_problem(&self, subject: &str, check: &str, status: &str, says: &str, advises: &str) {
        let fits = |finding: &&Value| {
            finding["status"] == status
                && finding["message"].as_str().unwrap().contains(says)
                && finding["hint"].as_str().unwrap_or_default().contains(advises)
        };
        assert!(
            self.of(subject, check).any(|finding| fits(&finding)),
            "{subject} {check} {status} \"{says}\" \"{advises}\": {:#?}",
            self.findings
        );
        assert_eq!(self.code == 1, self.has("failed"), "{:#?}", self.findings);
    }

    pub fn has(&self, status: &str) -> bool {
        self.findings.iter().any(|finding| finding["status"] == status)
    }

    /// Fails if a check failed.
    pub fn assert_sound(&self) {
        assert!(!self.has("failed") && self.code == 0, "{}: {:#?}", self.code, self.findings);
    }
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[apply(on_every_engine)]
#[test]
fn a_sound_host_passes_and_one_application_can_be_checked_alone(engine: TestEngine) {
    let environment = TestEnvironment::of(engine);
    let daemon = environment.daemon();
    daemon.call("app.create", json!({"id": "crm", "start": true, "domains": ["localhost"]}));
    daemon.call("app.create", json!({"id": "hr"}));
    let all = examine(&environment, &[]);
    all.assert_sound();
    for (subject, check) in [
        ("host", "daemon"),
        ("host", "configuration"),
        ("host", "version"),
        ("host", "descriptors"),
        ("host", "logs"),
        ("host", "port"),
        ("host", "proxy"),
        ("application main", "state"),
        ("application main", "database"),
        ("application main", "version"),
        ("application crm", "state"),
        ("application crm", "database"),
        ("application crm", "version"),
        ("application hr", "database"),
    ] {
        let status = all.status(subject, check);
        assert!(status == "ok" || check == "descriptors", "{subject} {check}: {status}");
    }
    let of_engine: &[&str] = if environment.is_on_server() { &["rights", "encoding"] } else { &["files"] };
    for check in of_engine {
        assert_eq!(all.status("application crm", check), "ok");
    }
    let of_servers =
        all.findings.iter().filter(|finding| finding["subject"].as_str().unwrap().starts_with("server"));
    assert_eq!(of_servers.count(), if environment.is_on_server() { 3 } else { 0 });
    assert!(all.findings.iter().all(|finding| finding["took_ms"].is_u64()));

    let alone = examine(&environment, &["crm"]);
    alone.assert_sound();
    let subjects = |finding: &Value| finding["subject"].as_str().unwrap().to_owned();
    let others = alone.findings.iter().map(subjects).filter(|subject| !subject.starts_with("server"));
    assert!(others.skip(1).all(|subject| subject == "application crm"), "{:#?}", alone.findings);
    let unknown = environment.nbapps(&["doctor", "nosuch"]);
    assert_eq!((unknown.code, unknown.stdout.as_str()), (4, ""), "{}", unknown.stderr);
    assert!(unknown.stderr.contains("there is no application \"nosuch\""), "{}", unknown.stderr);
    // Nothing was changed, started or left open.
    assert_eq!(daemon.state("hr"), "initialized");
    assert_eq!(daemon.state("crm"), "running");
}

#[test]
fn what_is_printed_counts_what_passed_and_names_what_did_not() {
    let environment = TestEnvironment::new();
    let daemon = environment.daemon();
    daemon.call("app.create", json!({"id": "crm", "start": true}));
    let sound = environment.nbapps(&["doctor", "crm"]).ok().stdout;
    assert_eq!(sound, "no problem was found; 5 checks passed\n");
    let file = environment.data().join("apps/crm/database.sqlite");
    set_mode(&file, 0o644);
    let ran = environment.nbapps(&["doctor", "crm", "--verbose"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (1, ""));
    let socket = environment.socket().display().to_string();
    insta::assert_snapshot!(environment.calm(&ran.stdout.replace(&socket, "[SOCKET]")));
    let names = environment.nbapps(&["doctor", "crm", "-o", "name"]);
    assert_eq!((names.code, names.stdout.as_str()), (1, "files\n"));
    for format in ["jsonl", "yaml"] {
        let data = environment.nbapps(&["doctor", "crm", "-o", format]);
        assert_eq!((data.code, data.stdout.matches("took_ms").count()), (1, 5), "{}", data.stdout);
    }
}

#[test]
fn without_a_daemon_it_says_what_keeps_one_from_starting() {
    let environment = TestEnvironment::new();
    let run = |variables: &[(&str, &str)]| {
        let mut command = environment.nbapps_command(&["doctor", "-o", "json"]);
        command.env("NBAPPS_DATA_DIR", environment.data()).env("NBAPPS_LISTEN", "127.0.0.1:0");
        command.envs(variables.iter().copied());
        examined(&environment, command)
    };
    // The only thing that is wrong is that nobody has started it.
    let absent = run(&[]);
    absent.assert_problem("host", "daemon", "failed", "there is no socket", "nbapps daemon start");
    assert_eq!(absent.findings.iter().filter(|finding| finding["status"] == "failed").count(), 1);
    assert_eq!(absent.status("host", "port"), "ok");
    assert_eq!(absent.status("application main", "database"), "ok");
    assert!(!environment.data().exists(), "nothing is created");
    assert!(!environment.socket().exists(), "no daemon is started");

    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    run(&[("NBAPPS_LISTEN", &address)]).assert_problem("host", "port", "failed", &address, "--listen");
    run(&[("NBAPPS_LOG_LEVEL", "loud")]).assert_problem(
        "host",
        "configuration",
        "failed",
        "NBAPPS_LOG_LEVEL: \"loud\"",
        "correct it",
    );
    run(&[("NBAPPS_LISTN", "x")]).assert_problem(
        "host",
        "configuration",
        "warning",
        "NBAPPS_LISTN",
        "correct",
    );
    let unreachable = "postgres://nobody@127.0.0.1:1/nb";
    run(&[("NBAPPS_DATABASE_URL", unreachable)]).assert_problem(
        "application main",
        "database",
        "failed",
        "cannot reach PostgreSQL",
        "check that its server runs",
    );

    assert!(environment.daemon().stop().success());
    let [key, main] = ["secret.key", "main/database.sqlite"].map(|name| environment.data().join(name));
    set_mode(&key, 0o644);
    run(&[]).assert_problem("host", "permissions", "failed", "secret.key", "chmod 600");
    set_mode(&key, 0o600);
    let mut command = environment.daemon_command();
    command.args(["--listen", &address]);
    environment.refused(command);
    run(&[]).assert_problem("host", "last_start", "failed", &address, "--listen");
    fs::write(&main, "no database, and longer than the header of one").unwrap();
    run(&[]).assert_problem("application main", "database", "failed", "is not a SQLite database", "backup");
    fs::remove_file(&main).unwrap();
    run(&[]).assert_problem("application main", "database", "failed", "cannot be opened", "backup");
    fs::remove_file(&key).unwrap();
    run(&[]).assert_problem("host", "permissions", "failed", "is missing", "restore secret.key");
}

#[test]
fn a_daemon_that_does_not_answer_is_told_from_one_that_is_gone() {
    let environment = TestEnvironment::new();
    let daemon = environment.daemon();
    let run = || {
        let mut command = environment.nbapps_command(&["doctor", "-o", "json"]);
        command.env("NBAPPS_DATA_DIR", environment.data());
        examined(&environment, command)
    };
    daemon.signal(rustix::process::Signal::STOP);
    let silent = run();
    daemon.signal(rustix::process::Signal::CONT);
    let process = format!("(process {})", daemon.pid());
    silent.assert_problem("host", "daemon", "failed", &process, "kill -CONT");
    assert_eq!(silent.status("host", "port"), "skipped", "its port is its own");
    run().assert_sound();
    // A socket that was tidied away: the data directory leads to the daemon, and no command can reach it.
    fs::remove_file(environment.socket()).unwrap();
    let mut command = environment.nbapps_command(&["doctor", "-o", "json"]);
    command.env_remove("NBAPPS_SOCKET").env("NBAPPS_DATA_DIR", environment.data());
    let gone = examined(&environment, command);
    gone.assert_problem("host", "daemon", "failed", "is gone", &format!("kill -TERM {}", daemon.pid()));
}

#[test]
fn permissions_that_let_others_in_are_found() {
    let environment = TestEnvironment::new();
    let file = environment.path("nbappsd.toml");
    fs::write(&file, "[root_user]\npassword = \"a secret of the host\"\n").unwrap();
    set_mode(&file, 0o600);
    let mut command = environment.daemon_command();
    command.arg("--config").arg(&file).env_remove("INIT_ROOT_PASSWORD");
    let _daemon = environment.daemon_by(command);
    examine(&environment, &[]).assert_sound();
    let data = environment.data();
    for (path, wrong, right, check, status, says) in [
        (data.join("secret.key"), 0o640, 0o600, "permissions", "failed", "other users can read the key"),
        (data.clone(), 0o770, 0o700, "permissions", "failed", "other users may write the data directory"),
        (environment.socket(), 0o666, 0o660, "permissions", "warning", "every user can connect"),
        (environment.path("run"), 0o777, 0o700, "permissions", "failed", "may replace the control socket"),
        (file.clone(), 0o644, 0o600, "permissions", "failed", "read the passwords in the configuration"),
    ] {
        set_mode(&path, wrong);
        examine(&environment, &[]).assert_problem("host", check, status, says, "chmod");
        set_mode(&path, right);
        let repaired = examine(&environment, &[]);
        assert!(
            repaired.of("host", check).all(|finding| finding["status"] == "ok"),
            "{:#?}",
            repaired.findings
        );
    }
    fs::write(data.join("main-root-password"), "").unwrap();
    examine(&environment, &[]).assert_problem("host", "permissions", "warning", "first password", "rm ");
    // A later change of the file is not in effect, and may keep the next daemon from starting.
    let later = std::time::SystemTime::now() + std::time::Duration::from_secs(60);
    fs::File::options().append(true).open(&file).unwrap().set_modified(later).unwrap();
    examine(&environment, &[]).assert_problem("host", "configuration", "warning", "was changed", "restart");
    fs::write(&file, "listn = 1\n").unwrap();
    examine(&environment, &[]).assert_problem(
        "host",
        "configuration",
        "failed",
        "nbappsd.toml:1",
        "described in",
    );
}

#[test]
fn few_descriptors_and_a_wrong_clock_are_found() {
    let environment = TestEnvironment::new();
    let bin = environment.path("bin");
    fs::create_dir(&bin).unwrap();
    let says = |word: &str| {
        fs::write(bin.join("timedatectl"), format!("#!/bin/sh\necho {word}\n")).unwrap();
        set_mode(&bin.join("timedatectl"), 0o755);
    };
    says("no");
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let mut command = command_with(&environment, 128);
    command.env("PATH", path);
    let _daemon = environment.daemon_by(command);
    let found = examine(&environment, &[]);
    found.assert_problem("host", "descriptors", "warning", "10000 are configured", "LimitNOFILE=");
    found.assert_problem("host", "clock", "warning", "is not synchronized", "set-ntp true");
    found.assert_sound();
    says("yes");
    assert_eq!(examine(&environment, &[]).status("host", "clock"), "ok");
}

#[apply(on_every_engine)]
#[tokio::test]
async fn an_application_in_error_says_why_and_what_to_do(engine: TestEngine) {
    let environment = TestEnvironment::of(engine);
    let daemon = environment.daemon();
    let crm = daemon.call("app.create", json!({"id": "crm"}));
    daemon.call("app.create", json!({"id": "hr", "start_mode": "with-main"}));
    let location = crm["application"]["database"]["location"].as_str().unwrap().to_owned();
    assert!(daemon.stop().success());
    environment.break_database("crm", &location).await;
    let daemon = environment.daemon();
    daemon.connect().call("app.start", json!({"id": "crm"})).unwrap_err();
    let found = examine(&environment, &["crm"]);
    found.assert_problem(
        "application crm",
        "state",
        "failed",
        "starting the application",
        "nbapps start crm",
    );
    found.assert_problem("application crm", "database", "failed", "looking at the database", "");
    assert_eq!(found.of("application crm", "operations").count(), 0, "the state says the same");
    examine(&environment, &["hr"]).assert_sound();
    // It started with the daemon; when it is only created, it does not run.
    daemon.call("app.create", json!({"id": "later", "start_mode": "with-main"}));
    let later = examine(&environment, &["later"]);
    later.assert_problem("application later", "start_mode", "warning", "does not run", "nbapps start later");
}

#[apply(on_every_engine)]
#[tokio::test]
async fn versions_that_differ_are_found(engine: TestEngine) {
    let environment = TestEnvironment::of(engine);
    let _daemon = environment.daemon();
    for (version, status, says) in
        [("0.0.1", "warning", "created by version 0.0.1"), ("99.0.0", "failed", "99.0.0")]
    {
        let update = format!("UPDATE \"applicationVersion\" SET \"value\" = '{version}'");
        sql::run(&environment.main_url(), &update).await;
        let found = examine(&environment, &["main"]);
        found.assert_problem("application main", "version", status, says, "");
    }
}

#[test]
fn failed_operations_are_found_until_they_succeed() {
    let environment = TestEnvironment::new();
    let daemon = environment.daemon();
    let nowhere = json!({"mode": "connection", "url": "postgres://nobody@127.0.0.1:1/crm"});
    daemon.connect().call("app.create", json!({"id": "crm", "database": nowhere})).unwrap_err();
    let found = examine(&environment, &[]);
    found.assert_problem("host", "operations", "warning", "app.create of \"crm\" failed", "");
    daemon.call("app.create", json!({"id": "crm"}));
    assert_eq!(examine(&environment, &[]).of("host", "operations").count(), 0);
}

#[test]
fn another_machine_is_checked_by_its_own_daemon() {
    let environment = TestEnvironment::new();
    let daemon = environment.daemon();
    daemon.call("app.create", json!({"id": "crm", "start": true}));
    let server = SshServer::start(&environment);
    let run = |arguments: &[&str]| {
        let mut command = environment.nbapps_command(&["--host", &server.url(), "doctor"]);
        command.env_remove("NBAPPS_SOCKET").env("PATH", server.path()).args(arguments);
        environment.run(command)
    };
    let found = run(&["-o", "json"]);
    assert_eq!(found.code, 0, "{} {}", found.stdout, found.stderr);
    assert!(found.stdout.contains("application crm"));
    assert!(daemon.stop().success());
    let gone = run(&[]);
    assert_eq!(gone.code, 1, "{}", gone.stderr);
    assert!(
        gone.stdout.contains("✘ failed   daemon  ") && gone.stdout.contains("nbapps doctor"),
        "{}",
        gone.stdout
    );
}
