//! Creations that are not alone, or not waited for to their end.

use std::process::Stdio;

use macro_rules_attribute::apply;
use serde_json::{Value, json};

use crate::environment::{Daemon, Ran, TestEnvironment, http};
use crate::servers::{OwnServer, TestEngine, fresh_name, on_every_engine};
use crate::terminal::Terminal;

#[apply(on_every_engine)]
#[tokio::test]
async fn if_it_exists_it_runs_or_the_code_says_why_not(engine: TestEngine) {
    let environment = TestEnvironment::of(engine);
    let daemon = environment.daemon();
    daemon.call("app.create", json!({"id": "crm"}));
    let ensure = ["create", "crm", "--if-not-exists", "--start", "-o", "json"];
    for before in ["initialized", "stopped", "running"] {
        match before {
            "stopped" => drop(environment.nbapps(&["stop", "crm"]).ok()),
            "running" => drop(environment.nbapps(&["start", "crm"]).ok()),
            _ => {}
        }
        let planned = environment.nbapps(&[&ensure[..], &["--dry-run"]].concat()).ok().json();
        assert_eq!(
            planned["plan"].as_array().unwrap().len(),
            if before == "running" { 1 } else { 2 },
            "{planned}"
        );
        assert_eq!(daemon.state("crm"), before, "a dry run starts nothing");
        let created = environment.nbapps(&ensure).ok().json();
        assert_eq!(created["application"]["state"], "running", "{before}: {created}");
        assert_eq!((&created["created"], &created["started"]), (&json!(false), &json!(before != "running")));
        assert!(created.get("admin").is_none(), "{created}");
    }
    let location = daemon.call("app.get", json!({"id": "crm"}))["database"]["location"].clone();
    assert!(daemon.stop().success());
    environment.break_database("crm", location.as_str().unwrap()).await;
    let _daemon = environment.daemon();
    for _ in 0..2 {
        let Ran { code, stderr, .. } = environment.nbapps(&ensure);
        assert_eq!(code, 1, "{stderr}");
        assert!(stderr.contains(location.as_str().unwrap()), "{stderr}");
    }
    environment.nbapps(&["create", "crm", "--if-not-exists"]).ok();
    assert_eq!(environment.nbapps(&["create", "crm", "--start"]).code, 5);
}

#[apply(on_every_engine)]
#[test]
fn eight_at_once_make_one_application_and_all_find_it_running(engine: TestEngine) {
    let environment = TestEnvironment::of(engine);
    let _daemon = environment.daemon();
    for (id, start) in [("crm", true), ("hr", false)] {
        let ensure = ["create", id, "--if-not-exists", "-o", "json", "--start"];
        let ensure = &ensure[..if start { 6 } else { 5 }];
        let answers: Vec<Value> = std::thread::scope(|scope| {
            let runs: Vec<_> =
                (0..8).map(|_| scope.spawn(|| environment.nbapps(ensure).ok().json())).collect();
            runs.into_iter().map(|run| run.join().unwrap()).collect()
        });
        let expected = if start { "running" } else { "initialized" };
        for answer in &answers {
            assert_eq!(answer["application"]["state"], expected, "{answer}");
            assert_eq!(answer["created"], answer.get("admin").is_some(), "{answer}");
        }
        assert_eq!(answers.iter().filter(|answer| answer["created"] == true).count(), 1);
    }
}

/// The operation that creates an application, once there is one.
fn creation(daemon: &Daemon) -> String {
    loop {
        let operations = daemon.call("operation.list", json!({}));
        let all = operations["operations"].as_array().unwrap();
        if let Some(operation) = all.iter().rev().find(|operation| operation["method"] == "app.create") {
            return operation["id"].as_str().unwrap().to_owned();
        }
    }
}

/// Whether a password signs in to an application.
async fn signs_in(daemon: &Daemon, id: &str, account: &Value, password: &Value) -> bool {
    let body = json!({"account": account, "password": password});
    http(daemon, "POST", "/api/auth:signIn", Some(id), None, Some(body)).await.0 == 200
}

/// The first user's password is shown once by the operation, and nowhere else.
async fn the_password_is_shown_once(
    environment: &TestEnvironment,
    daemon: Daemon,
    id: &str,
    operation: &str,
) {
    let ended = environment.nbapps(&["operation", "wait", operation, "-o", "json"]).ok().json();
    let admin = &ended["admin"];
    assert!(admin["password"].is_string(), "{ended}");
    assert!(signs_in(&daemon, id, &admin["username"], &admin["password"]).await, "{ended}");
    let mut said = String::new();
    for arguments in [
        &["operation", "wait", operation, "-o", "json"][..],
        &["operation", "show", operation],
        &["operation", "list", "-o", "json"],
        &["show", id, "-o", "json"],
    ] {
        let ran = environment.nbapps(arguments).ok();
        said += &(ran.stdout + &ran.stderr);
    }
    assert!(daemon.stop().success());
    said += &environment.daemon_log();
    let password = admin["password"].as_str().unwrap();
    assert!(!said.contains(password), "{said}");
    environment.assert_kept_nowhere(password);
}

/// A first user with a generated password: the configured one has a password of its own.
fn with_own_user(id: &str) -> Value {
    json!({"id": id, "admin": {"email": "ada@example.com", "username": "ada"}})
}

#[apply(on_every_engine)]
#[tokio::test]
async fn a_cut_connection_does_not_lose_the_password(engine: TestEngine) {
    let environment = TestEnvironment::of(engine);
    let daemon = environment.daemon();
    let mut connection = daemon.connect();
    connection.send("app.create", with_own_user("crm"));
    drop(connection);
    let operation = creation(&daemon);
    the_password_is_shown_once(&environment, daemon, "crm", &operation).await;
}

#[apply(on_every_engine)]
#[tokio::test]
async fn a_timeout_does_not_lose_the_password(engine: TestEngine) {
    let environment = TestEnvironment::of(engine);
    let daemon = environment.daemon();
    let mut create = with_own_user("crm");
    create["wait"] = json!({"wait": true, "timeout_ms": 0});
    let error = daemon.connect().call("app.create", create).unwrap_err();
    assert_eq!(error["data"]["kind"], "timeout", "{error}");
    let operation = error["data"]["details"]["operation"].as_str().unwrap();
    assert!(error["data"]["hint"].as_str().unwrap().contains(operation), "{error}");
    the_password_is_shown_once(&environment, daemon, "crm", operation).await;
}

#[test]
fn an_answer_that_arrives_is_the_only_one_with_the_password() {
    let environment = TestEnvironment::new();
    let daemon = environment.daemon();
    for wait in [true, false] {
        let mut create = with_own_user(if wait { "crm" } else { "hr" });
        create["wait"] = json!({"wait": wait});
        let created = daemon.call("app.create", create);
        assert!(created["admin"]["password"].is_string(), "{created}");
        let ended = daemon.call("operation.wait", json!({"id": created["operation"]}));
        assert!(ended["outcome"] == "done" && ended.get("admin").is_none(), "{ended}");
    }
}

/// A service that does not answer, as long as it is frozen.
fn frozen(is_postgres: bool) -> (OwnServer, String) {
    let mut server = if is_postgres { OwnServer::postgres(20) } else { OwnServer::mariadb(20) };
    server.tell("freeze");
    let url = server.url(&fresh_name());
    (server, url)
}

#[test]
fn a_database_that_is_looked_at_holds_up_nobody() {
    let environment = TestEnvironment::new();
    let _daemon = environment.daemon();
    // It takes connections and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let hint = regex::Regex::new("nbapps operation wait ([0-9a-f-]{36})").unwrap();
    for engine in ["postgres", "mysql"] {
        let url = format!("{engine}://u@{}/crm", silent.local_addr().unwrap());
        let create = |more: &[&str]| {
            let own = ["create", engine, "--db", "connection", "--db-url", &url, "--create-database"];
            environment
                .nbapps(&[&own[..], &["--admin-email", "ada@example.com", "-o", "json"], more].concat())
        };
        let Ran { code, stderr, .. } = create(&["--timeout", "1s", "--dry-run"]);
        assert_eq!(code, 6, "{stderr}");
        let Ran { code, stderr, .. } = create(&["--timeout", "1s"]);
        assert_eq!(code, 6, "{stderr}");
        let operation = hint.captures(&stderr).unwrap_or_else(|| panic!("{stderr}"))[1].to_owned();
        let begun = create(&["--no-wait"]).ok().json();
        assert!(begun["application"]["state"] == "preparing" && begun["operation"].is_string(), "{begun}");
        assert!(begun["admin"]["password"].is_string(), "{begun}");
        // It is there to be waited for, though nothing is registered.
        let Ran { code, stderr, .. } = environment.nbapps(&["wait", engine, "--for", "running"]);
        assert_eq!(code, 4, "{stderr}");
        assert!(stderr.contains("creating it failed: "), "{stderr}");
        // Of what was not created, no password is shown.
        let Ran { code, stdout, stderr } = environment.nbapps(&["operation", "wait", &operation]);
        assert_eq!(code, 1, "{stderr}");
        assert!(stdout.contains("failed") && !stdout.contains("Password"), "{stdout}");
    }
}

#[tokio::test]
async fn an_interrupt_says_how_to_get_the_password() {
    let environment = TestEnvironment::new();
    let daemon = environment.daemon();
    let (mut server, url) = frozen(true);
    let program = env!("CARGO_BIN_EXE_nbapps");
    let line = format!(
        "{program} create crm --db connection --db-url {url} --create-database --admin-email ada@example.com"
    );
    let mut terminal = Terminal::start(&environment, &line, 100, |_| {});
    terminal.shows("looking at the database");
    terminal.types("\x03");
    let said = terminal.shows("nbapps operation wait ");
    assert!(said.contains("interrupted; app.create of crm goes on"), "{said}");
    let (rest, code) = terminal.ended();
    assert_eq!(code, Some(130), "{said}{rest}");
    let operation = creation(&daemon);
    assert!(rest.starts_with(&operation), "{rest}");
    server.tell("thaw");
    the_password_is_shown_once(&environment, daemon, "crm", &operation).await;
}

#[tokio::test]
async fn a_killed_command_does_not_lose_the_password() {
    let environment = TestEnvironment::new();
    let daemon = environment.daemon();
    let (mut server, url) = frozen(false);
    let mut command = environment.nbapps_command(&["create", "crm", "--db", "connection", "--db-url", &url]);
    command.args(["--create-database", "--admin-email", "ada@example.com"]);
    let mut creating = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let operation = creation(&daemon);
    creating.kill().unwrap();
    creating.wait().unwrap();
    server.tell("thaw");
    let shown = environment.nbapps(&["operation", "wait", &operation]).ok().stdout;
    assert!(shown.contains("(ada@example.com)\nPassword "), "{shown}");
    let again = environment.nbapps(&["operation", "show", &operation]).ok().stdout;
    assert!(again.contains("done") && !again.contains("Password"), "{again}");
}
