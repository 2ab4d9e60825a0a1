//! What the command `nbapps` prints, and its exit codes.
//!
//! Most tests are transcripts: the commands, their standard output, their standard error with `!` before each line,
//! and the exit code.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use insta::assert_snapshot;
use serde_json::json;

use crate::environment::TestEnvironment;

#[test]
fn an_application_from_creation_to_purge() {
    let environment = TestEnvironment::new();
    let _daemon = environment.daemon();
    assert_snapshot!(environment.transcript(&[
        "list",
        "create crm --name Customers --start",
        "create --id hr --start-mode with-main --domain hr.example.com --idle-stop 30m",
        "create crm",
        "create crm --if-not-exists",
        "list",
        "list -o wide",
        "list --state running -o name",
        "show hr",
        "update hr --name People --no-idle-stop --protect",
        "stop crm hr nosuch",
        "start --all",
        "restart crm",
        "delete crm",
        "delete hr --yes",
        "delete crm --yes",
        "list --deleted",
        "undelete crm",
        "undelete crm",
        "delete crm --purge --yes",
        "delete crm --purge --yes",
        "list --deleted",
    ]));
}

#[test]
fn lists_are_printed_in_every_format() {
    let environment = TestEnvironment::new();
    let _daemon = environment.daemon();
    environment.nbapps(&["create", "crm", "--domain", "crm.example.com"]).ok();
    let mut said = environment.transcript(&[
        "list -o json",
        "list -o jsonl",
        "list -o yaml",
        "show crm -o json",
        "show crm -o name",
        "stop crm -o json",
        "delete crm --yes -o yaml",
        "daemon status",
        "daemon status -o json",
    ]);
    said = regex::Regex::new(r#"("pid": )\d+"#).unwrap().replace_all(&said, "$1\"[PID]\"").into_owned();
    assert_snapshot!(said);
}

#[test]
fn errors_have_a_message_a_hint_and_an_exit_code() {
    let environment = TestEnvironment::new();
    let daemon = environment.daemon();
    daemon.call("app.create", json!({"id": "crm", "domains": ["crm.example.com"]}));
    std::fs::write(environment.path("empty"), "\n").unwrap();
    let empty = format!("create x --admin-password-file {}", environment.path("empty").display());
    assert_snapshot!(environment.transcript(&[
        "create Bad_ID",
        "create main",
        "create x --db schema",
        "create x --db connection --db-url postgres://u:secret@127.0.0.1:1/x",
        "create x --db-dialect mysql",
        "create x --db-host db.example.com",
        "create x --environment k8s",
        "create x --domain http://x",
        "create x --domain crm.example.com",
        "create x --admin-email nobody",
        "create x --admin-password-file /no/such/file",
        &empty,
        "show nosuch",
        "visit nosuch",
        "logs nosuch",
        "wait nosuch --for running",
        "wait crm --for running --timeout 2s",
        "stop main",
        "delete main --yes",
        "delete crm --purge",
        "operation show nosuch",
        "list -o xml",
        "nosuch",
    ]));
    assert_eq!(daemon.call("app.list", json!({}))["applications"].as_array().unwrap().len(), 2);
}

#[test]
fn a_dry_run_prints_the_plan() {
    let environment = TestEnvironment::new();
    let _daemon = environment.daemon();
    assert_snapshot!(environment.transcript(&[
        "create crm --start --domain crm.example.com --dry-run",
        "create crm --dry-run -o json",
        "show crm",
    ]));
}

#[test]
fn no_wait_prints_the_operation() {
    let environment = TestEnvironment::new();
    let _daemon = environment.daemon();
    let operation = environment.nbapps(&["create", "crm", "--start", "--no-wait", "-o", "json"]).ok().json();
    let operation = operation["operation"].as_str().unwrap();
    let waited = environment.nbapps(&["operation", "wait", operation, "-o", "json"]).ok().json();
    assert!(waited["app"] == "crm" && waited["finished_at"].is_string(), "{waited}");
    assert!(waited.get("error").is_none(), "{waited}");
    let stop = environment.nbapps(&["stop", "crm", "--no-wait"]).ok().stdout;
    assert!(stop.contains("operation "), "{stop}");
    assert_snapshot!(environment.transcript(&[
        "show crm -o name",
        &format!("operation wait {operation}"),
        "wait crm --for stopped",
    ]));
}

#[test]
fn a_generated_password_is_printed_once() {
    let environment = TestEnvironment::new();
    let daemon = environment.daemon();
    // The configuration has a password for the configured root user only.
    let made = environment.nbapps(&["create", "crm", "--admin-email", "ada@example.com", "-o", "json"]).ok();
    let password = made.json()["admin"]["password"].as_str().unwrap().to_owned();
    let link = environment.nbapps(&["visit", "crm", "--sign-in", "--print"]).ok().stdout;
    let ticket = link.trim().rsplit('/').next().unwrap().to_owned();
    let given = "given-p4ssword";
    std::fs::write(environment.path("password"), format!("{given}\n")).unwrap();
    std::fs::write(environment.path("secret"), "a-jwt-secret-of-an-operator-0123456789").unwrap();
    let (file, secret) = (environment.path("password"), environment.path("secret"));
    let create = ["create", "hr", "--admin-email", "bob@example.com", "--admin-password-file"];
    let mut create: Vec<&str> = create.to_vec();
    create.extend([file.to_str().unwrap(), "--jwt-secret-file", secret.to_str().unwrap(), "--start"]);
    let created = environment.nbapps(&create).ok();
    let mut said = created.stdout + &created.stderr;
    for arguments in [
        &["list", "-o", "json"][..],
        &["show", "crm", "-o", "json"],
        &["show", "hr", "-o", "yaml"],
        &["logs", "crm"],
        &["logs", "hr"],
        &["operation", "list", "-o", "json"],
        &["create", "crm", "--if-not-exists", "-o", "json"],
    ] {
        let ran = environment.nbapps(arguments).ok();
        said += &(ran.stdout + &ran.stderr);
    }
    assert!(daemon.stop().success());
    said += &environment.daemon_log();
    for secret in [&*password, &*ticket, given, "a-jwt-secret-of-an-operator"] {
        assert!(!said.contains(secret), "{secret} is in what was said: {said}");
        environment.assert_kept_nowhere(secret);
    }
}

#[tokio::test]
async fn a_sign_in_link_is_printed_and_works_once() {
    let environment = TestEnvironment::new();
    let daemon = environment.daemon();
    environment.nbapps(&["create", "crm"]).ok();
    assert_snapshot!(environment.transcript(&[
        "visit crm --print",
        "visit crm --sign-in --print",
        "visit --print"
    ]));
    let link = environment.nbapps(&["visit", "crm", "--sign-in=nocobase", "--print", "-q"]).ok();
    assert_eq!(link.stderr, "");
    let browser = reqwest::Client::builder().cookie_store(true).build().unwrap();
    let link = link.stdout.trim();
    assert!(link.starts_with(&daemon.url), "{link}");
    let open = async |browser: &reqwest::Client| {
        browser.get(link).send().await.unwrap().text().await.unwrap().contains("Sign out")
    };
    assert!(open(&browser).await, "it signs in");
    assert!(!open(&reqwest::Client::new()).await, "it has been used");
    assert_snapshot!(environment.transcript(&["visit crm --sign-in=nobody"]), @r#"
    $ nbapps visit crm --sign-in=nobody
    ! error: making a sign-in link for "crm" failed: there is no user nobody
    ! hint: list the users with: nbapps user list crm
    [4]
    "#);
}

#[test]
fn events_and_followed_logs_are_printed_as_they_happen() {
    let environment = TestEnvironment::new();
    let daemon = environment.daemon();
    daemon.call("app.create", json!({"id": "crm"}));
    let events = environment.follow(&["events", "-o", "jsonl"]);
    assert!(events.note().contains("Ctrl-C"), "it says when it listens");
    let logs = environment.follow(&["logs", "crm", "-f", "-n", "1"]);
    assert!(logs.line().contains("state changed"));
    daemon.call("app.start", json!({"id": "crm"}));
    let event: serde_json::Value = serde_json::from_str(&events.line()).unwrap();
    assert_eq!((&event["app"], &event["to"]), (&json!("crm"), &json!("initializing")), "{event}");
    assert!(logs.line().contains("app.start"));
    // When the daemon ends, they end with the exit code of a lost connection.
    assert!(daemon.stop().success());
    assert_eq!((events.ended(), logs.ended()), (Some(3), Some(3)));
}

#[test]
fn a_missing_daemon_is_exit_code_three() {
    let environment = TestEnvironment::new();
    std::fs::write(environment.path("run/file"), "").unwrap();
    let file = format!("--socket {} list", environment.path("run/file").display());
    assert_snapshot!(environment.transcript(&["list", "daemon status", "daemon stop", &file]));
}

#[test]
fn a_closed_pipe_ends_quietly() {
    let environment = TestEnvironment::new();
    let daemon = environment.daemon();
    for number in 0..40 {
        daemon.call("app.create", json!({"id": format!("app-{number}")}));
    }
    let mut command = environment.nbapps_command(&["list", "-o", "json"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!((child.wait().unwrap().code(), said.as_str()), (Some(0), ""));
}

#[test]
fn colour_is_used_on_terminals_or_on_request() {
    let environment = TestEnvironment::new();
    let _daemon = environment.daemon();
    let coloured = |arguments: &[&str], variables: &[(&str, &str)]| {
        let mut command = environment.nbapps_command(arguments);
        command.envs(variables.iter().copied());
        environment.run(command).ok().stdout.contains('\u{1b}')
    };
    for (arguments, variables, expected) in [
        (&["list"][..], &[][..], false),
        (&["list", "--color", "always"], &[], true),
        (&["list"], &[("CLICOLOR_FORCE", "1")], true),
        (&["list"], &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")], false),
        (&["list", "--color", "never"], &[("CLICOLOR_FORCE", "1")], false),
        (&["list", "-o", "json"], &[("CLICOLOR_FORCE", "1")], false),
    ] {
        assert_eq!(coloured(arguments, variables), expected, "{arguments:?} {variables:?}");
    }
}

#[test]
fn another_machine_is_reached_through_ssh() {
    let environment = TestEnvironment::new();
    let _daemon = environment.daemon();
    // This ssh runs the command here, with this environment's socket.
    let bin = environment.path("bin");
    std::fs::create_dir(&bin).unwrap();
    let mut ssh = std::fs::File::create(bin.join("ssh")).unwrap();
    let script = "#!/bin/sh\nprintf '%s\\n' \"$*\" > \"$SSH_SAW\"\nwhile [ \"$1\" != nbapps ]; do shift; done\nexec \"$@\"\n";
    ssh.write_all(script.as_bytes()).unwrap();
    ssh.set_permissions(std::fs::Permissions::from_mode(0o755)).unwrap();
    drop(ssh);
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_nbapps"), bin.join("nbapps")).unwrap();
    let mut command = environment.nbapps_command(&["--host", "ssh://ops@server:2222", "list", "-o", "name"]);
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    command.env("PATH", path).env("SSH_SAW", environment.path("saw"));
    assert_eq!(environment.run(command).ok().stdout, "main\n");
    let saw = std::fs::read_to_string(environment.path("saw")).unwrap();
    assert!(saw.contains("ops@server") && saw.contains("2222"), "{saw}");
}
