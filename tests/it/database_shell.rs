//! `nbapps db shell`: the client program of an application's database.

use std::io::{BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use macro_rules_attribute::apply;
use serde_json::json;

use crate::dial::until;
use crate::environment::TestEnvironment;
use crate::servers::{TestEngine, on_every_engine};
use crate::ssh_server::SshServer;

/// Runs SQL through the shell of an application; gives what it prints.
fn shell(environment: &TestEnvironment, arguments: &[&str], sql: &str) -> String {
    let mut command = environment.nbapps_command(&[&["db", "shell"], arguments].concat());
    // Settings of the user's own, for another server, do not count.
    command.env("PGHOST", "/nowhere").env("PGPASSWORD", "wrong").env("MYSQL_PWD", "wrong");
    std::fs::write(environment.path("home/.my.cnf"), "[client]\nhost=/nowhere\npassword=wrong\n").unwrap();
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(sql.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    String::from_utf8(output.stdout).unwrap()
}

#[apply(on_every_engine)]
#[test]
fn the_shell_is_in_the_applications_own_database(engine: TestEngine) {
    let environment = TestEnvironment::of(engine);
    let daemon = environment.daemon();
    daemon.call("app.create", json!({"id": "crm"}));
    environment.nbapps(&["user", "add", "crm", "--email", "ada@example.com"]).ok();
    let mut applications = vec!["crm"];
    if environment.has_schemas() {
        daemon.call("app.create", json!({"id": "within", "database": {"mode": "schema"}}));
        environment.nbapps(&["user", "add", "within", "--email", "ada@example.com"]).ok();
        applications.push("within");
    }
    for id in applications {
        let said = shell(&environment, &[id], "SELECT email FROM users ORDER BY id;\n");
        assert!(said.contains("ada@example.com"), "{id}: {said}");
        let said = shell(&environment, &[id], "SELECT 6 * 7;\n");
        assert!(said.contains("42"), "{id}: {said}");
    }
    assert_eq!(environment.nbapps(&["db", "shell", "nosuch"]).code, 4);
}

/// What `ps` shows of a process: its command line (`cmdline`), or its environment (`environ`).
fn shown_by_ps(process: u32, what: &str) -> String {
    let bytes = std::fs::read(format!("/proc/{process}/{what}")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).replace('\0', " ")
}

#[apply(on_every_engine)]
#[test]
fn the_password_is_not_seen_while_the_shell_is_open(engine: TestEngine) {
    let environment = TestEnvironment::of(engine);
    let daemon = environment.daemon();
    daemon.call("app.create", json!({"id": "crm"}));
    let mut command = environment.nbapps_command(&["db", "shell", "crm"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let program = match engine {
        TestEngine::Sqlite => "sqlite3",
        TestEngine::Postgres => "psql",
        TestEngine::Mariadb => "mariadb",
    };
    // Debian's psql is a script that becomes the program.
    until("the program runs", || {
        let words = shown_by_ps(child.id(), "cmdline");
        words.split(' ').next().is_some_and(|word| word.rsplit('/').next() == Some(program))
    });
    let shown = ["cmdline", "environ"].map(|what| shown_by_ps(child.id(), what)).concat();
    // It is the one of `tests/servers`.
    assert!(!shown.contains("secret"), "{shown}");
    input.write_all(b"SELECT 6 * 7;\n").unwrap();
    drop(input);
    let mut said = String::new();
    output.read_to_string(&mut said).unwrap();
    assert!(said.contains("42") && child.wait().unwrap().success(), "{said}");
}

#[test]
fn the_shell_of_another_machine_opens_there() {
    let environment = TestEnvironment::new();
    let daemon = environment.daemon();
    daemon.call("app.create", json!({"id": "crm"}));
    let server = SshServer::start(&environment);
    let arguments = ["db", "shell", "crm", "--", "-csv", "SELECT 'a  b', 6 * 7"];
    let ran = environment.run(server.nbapps(&environment, &arguments)).ok();
    assert_eq!(ran.stdout.trim(), "\"a  b\",42");
    assert_eq!(environment.run(server.nbapps(&environment, &["db", "shell", "nosuch"])).code, 4);
}

#[test]
fn a_missing_program_is_said_with_what_to_do() {
    let environment = TestEnvironment::new();
    let daemon = environment.daemon();
    daemon.call("app.create", json!({"id": "crm"}));
    let mut command = environment.nbapps_command(&["db", "shell", "crm"]);
    command.env("PATH", environment.path("home"));
    let ran = environment.run(command);
    assert!(ran.code == 7 && ran.stderr.contains("apt install sqlite3"), "{}", ran.stderr);
    // What the program is given: the file, and further arguments as they are.
    let fake = environment.path("home/sqlite3");
    std::fs::write(&fake, "#!/bin/sh\necho \"$@\"; exit 9\n").unwrap();
    std::fs::set_permissions(&fake, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = environment.nbapps_command(&["db", "shell", "crm", "--", "-csv", "SELECT 1"]);
    command.env("PATH", format!("{}:/bin", environment.path("home").display()));
    let ran = environment.run(command);
    assert!(
        ran.code == 9 && ran.stdout.trim().ends_with("crm/database.sqlite -csv SELECT 1"),
        "{}",
        ran.stdout
    );
}
