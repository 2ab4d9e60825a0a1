//! The configuration: `nbapps config` and the daemon say the same of it.

use std::process::Stdio;

use crate::environment::{Ran, TestEnvironment};

fn write(environment: &TestEnvironment, text: &str) -> String {
    let file = environment.path("nbappsd.toml");
    std::fs::write(&file, text).unwrap();
    file.display().to_string()
}

#[test]
fn what_is_wrong_is_said_alike_by_the_check_and_the_daemon() {
    let environment = TestEnvironment::new();
    let file = write(
        &environment,
        "public_url = \"apps.example.com\"\n[log]\nlevel = \"loud\"\n[gateway]\nconnections = 0\n\
         [database]\nstatement_timeout = \"0s\"\n[limits]\nfoo = 1\n",
    );
    let Ran { code, stderr, .. } = environment.nbapps(&["config", "check", "--config", &file]);
    assert_eq!(code, 1, "{stderr}");
    for says in [
        ":1:14: public_url: ",
        ":3:9: log.level: \"loud\"",
        ":5:15: gateway.connections: 0",
        ":7:21: database.statement_timeout: \"0s\"",
        ":9:1: limits.foo: there is no such key",
    ] {
        assert!(stderr.contains(&format!("error: {file}{says}")), "{says}: {stderr}");
    }
    let mut command = environment.daemon_command();
    command.args(["--config", &file]);
    let (code, said) = environment.refused(command);
    assert_eq!((code, said), (1, stderr));
}

#[test]
fn what_holds_is_shown_with_its_source_and_without_secrets() {
    let environment = TestEnvironment::new();
    let file = write(
        &environment,
        "listen = \"127.0.0.1:7\"\n[root_user]\npassword = \"s3cret\"\n[limits]\nbody = \"1MiB\"\n",
    );
    let checked = environment.nbapps(&["config", "check", "--config", &file]).ok();
    assert!(checked.stdout.contains("is valid") && checked.stderr.is_empty(), "{}", checked.stderr);
    let view = |format: &str| {
        let mut command = environment.nbapps_command(&["config", "view", "--config", &file, "-o", format]);
        command.env("NBAPPS_KEEP_DELETED", "2h").env("INIT_ROOT_EMAIL", "ada@example.com");
        environment.run(command).ok()
    };
    for format in ["table", "json", "jsonl", "yaml"] {
        let said = view(format).stdout;
        assert!(said.contains("127.0.0.1:7") && said.contains("NBAPPS_KEEP_DELETED"), "{format}: {said}");
        assert!(said.contains(&format!("{file}:1:10")) && !said.contains("s3cret"), "{format}: {said}");
    }
    let json = view("json").json();
    let of =
        |key: &str| json.as_array().unwrap().iter().find(|setting| setting["key"] == key).unwrap().clone();
    assert_eq!(of("keep_deleted")["value"], "2h");
    assert_eq!(of("root_user.email")["source"], "environment");
    assert_eq!(of("limits.body")["source"], "file");
    assert_eq!(of("log.level")["source"], "default");
    assert!(view("name").stdout.lines().any(|line| line == "limits.body"));
    let Ran { code, stderr, .. } = environment.nbapps(&["--host", "ssh://server", "config", "view"]);
    assert_eq!(code, 2, "{stderr}");
    assert!(stderr.contains("ssh server nbapps config check"), "{stderr}");
}

#[test]
fn unknown_variables_are_reported_with_the_nearest_name() {
    let environment = TestEnvironment::new();
    let mut check = environment.nbapps_command(&["config", "check"]);
    check.env("NBAPPS_LIMIT_FOO", "1").env("NBAPPS_LISTN", "127.0.0.1:7");
    let checked = environment.run(check).ok().stderr;
    assert!(checked.contains("warning: the variable NBAPPS_LIMIT_FOO is unknown"), "{checked}");
    assert!(checked.contains("the nearest is NBAPPS_LISTEN"), "{checked}");
    let mut daemon = environment.daemon_command();
    daemon.env("NBAPPS_LIMIT_FOO", "1").stderr(Stdio::null());
    let _daemon = environment.daemon_by(daemon);
    assert!(environment.daemon_log().contains("the variable NBAPPS_LIMIT_FOO is unknown"));
}
