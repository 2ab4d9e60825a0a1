//! Contexts: the file that keeps them, the order in which a daemon is chosen, and that nobody acts on a far daemon by
//! mistake.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use serde_json::{Value, json};

use crate::environment::{Ran, TestEnvironment};
use crate::ssh_server::SshServer;
use crate::terminal::Terminal;

/// A command without a daemon in its environment.
fn command(environment: &TestEnvironment, arguments: &[&str]) -> Command {
    let mut command = environment.nbapps_command(arguments);
    command.env_remove("NBAPPS_SOCKET").env("NBAPPS_AUTOSTART", "0");
    command
}

fn run(environment: &TestEnvironment, arguments: &[&str]) -> Ran {
    environment.run(command(environment, arguments))
}

fn over_ssh(environment: &TestEnvironment, server: &SshServer, arguments: &[&str]) -> Command {
    let mut command = command(environment, arguments);
    command.env("PATH", server.path());
    command
}

#[test]
fn contexts_are_added_used_listed_and_removed() {
    let environment = TestEnvironment::new();
    let run = |line: &str| run(&environment, &line.split(' ').collect::<Vec<_>>());
    assert_eq!(run("context current").ok().stdout, "local\n");
    run("context add prod ssh://ops@server:2222").ok();
    let socket = environment.socket();
    run(&format!("context add test {} --use", socket.display())).ok();
    run("context add other --host ssh://other").ok();
    assert_eq!(run("context current").ok().stdout, "test\n");
    let listed = run("context list -o json").ok().json();
    assert_eq!(
        listed,
        json!([
            {"name": "local", "address": null, "current": false},
            {"name": "other", "address": "ssh://other", "current": false},
            {"name": "prod", "address": "ssh://ops@server:2222", "current": false},
            {"name": "test", "address": socket, "current": true},
        ])
    );
    let table = run("context ls").ok().stdout;
    assert!(table.contains("*  test ") && table.contains("local  this machine's daemon"), "{table}");
    assert_eq!(run("context list -o name").ok().stdout, "local\nother\nprod\ntest\n");
    assert_eq!(run("context show prod -o json").ok().json()["address"], "ssh://ops@server:2222");
    for (line, code, says) in [
        ("context add prod ssh://x", 5, "there is a context \"prod\" already"),
        ("context add local ssh://x", 2, "built in"),
        ("context add a/b ssh://x", 2, "is not the name of a context"),
        ("context add new", 2, "the address of the context \"new\" is missing"),
        ("context add new server", 2, "neither a host nor the path"),
        ("context add new tcp://server:1", 2, "is not a host"),
        ("context add new ssh://a --host ssh://b", 2, "cannot be used with --host"),
        ("context use nosuch", 4, "there is no context \"nosuch\""),
        ("context show nosuch", 4, "there is no context \"nosuch\""),
        ("context remove nosuch", 4, "there is no context \"nosuch\""),
        ("context remove prod test", 5, "\"test\" is the current context"),
        ("context remove local", 7, "built in"),
        ("list --context nosuch", 2, "there is no context \"nosuch\""),
        ("list --context prod --host ssh://x", 2, "cannot be used with"),
        ("--socket /x list --context prod", 2, "cannot be used with"),
    ] {
        let Ran { code: got, stderr, .. } = run(line);
        assert_eq!(got, code, "{line}: {stderr}");
        assert!(stderr.contains(says), "{line}: {stderr}");
    }
    // Nothing of that changed anything.
    assert_eq!(run("context list -o json").ok().json(), listed);
    run("context add prod ssh://elsewhere --replace").ok();
    run("context use local").ok();
    run("context rm test other").ok();
    assert_eq!(run("context list -o name").ok().stdout, "local\nprod\n");
    let file = environment.path("config/nbapps/contexts.toml");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn contexts_that_are_added_together_are_all_kept() {
    let environment = TestEnvironment::new();
    std::thread::scope(|scope| {
        for number in 0..8 {
            let environment = &environment;
            scope.spawn(move || {
                run(environment, &["context", "add", &format!("c{number}"), "ssh://server"]).ok();
            });
        }
    });
    assert_eq!(run(&environment, &["context", "list", "-o", "name"]).ok().stdout.lines().count(), 9);
}

#[test]
fn a_broken_file_is_named_with_its_line_and_can_be_done_without() {
    let environment = TestEnvironment::new();
    let _daemon = environment.daemon();
    let directory = environment.path("config/nbapps");
    std::fs::create_dir(&directory).unwrap();
    let file = directory.join("contexts.toml");
    std::fs::write(&file, "current = \"prod\"\n\n[contexts.prod]\nhost = \"server\"\n").unwrap();
    for arguments in
        [&["list"][..], &["context", "list"], &["context", "use", "local"], &["daemon", "status"], &["shell"]]
    {
        let Ran { code, stderr, .. } = run(&environment, arguments);
        assert_eq!(code, 2, "{arguments:?}: {stderr}");
        assert!(stderr.contains(&format!("{}:4: ", file.display())), "{arguments:?}: {stderr}");
        assert!(stderr.contains("hint: correct that line"), "{stderr}");
    }
    let socket = environment.socket();
    run(&environment, &["list", "--socket", socket.to_str().unwrap()]).ok();
    run(&environment, &["completions", "bash"]).ok();
    let Ran { code, stderr, .. } = run(&environment, &["--context", "local", "list"]);
    assert!(code == 3 || code == 0, "{stderr}");
}

/// What `daemon status` says, as JSON.
fn status(
    environment: &TestEnvironment,
    server: &SshServer,
    variables: &[(&str, &str)],
    arguments: &[&str],
) -> Value {
    let mut command = over_ssh(environment, server, &["daemon", "status", "-o", "json"]);
    command.args(arguments).envs(variables.iter().copied());
    environment.run(command).ok().json()
}

#[test]
fn the_daemon_is_chosen_in_one_order() {
    let environment = TestEnvironment::new();
    let daemon = environment.daemon();
    let server = SshServer::start(&environment);
    let (url, socket) = (server.url(), environment.socket().display().to_string());
    run(&environment, &["context", "add", "far", &url, "--use"]).ok();
    run(&environment, &["context", "add", "near", &socket]).ok();
    let far = "the current context, \"far\"";
    for (variables, arguments, by, because, address) in [
        (&[][..], &[][..], "context", far, url.as_str()),
        (&[("NBAPPS_CONTEXT", "near")], &[], "context", "NBAPPS_CONTEXT", &socket),
        (&[("NBAPPS_SOCKET", &socket)], &[], "environment", "NBAPPS_SOCKET", &socket),
        (&[("NBAPPS_HOST", &url)], &["--context", "near"], "context", "--context", &socket),
        (&[("NBAPPS_CONTEXT", "far")], &["--socket", &socket], "option", "--socket", &socket),
        (&[("NBAPPS_CONTEXT", "nosuch")], &["--host", &url], "option", "--host", &url),
        (&[("NBAPPS_CONTEXT", "")], &[], "context", far, &url),
    ] {
        let status = status(&environment, &server, variables, arguments);
        assert_eq!(
            (&status["chosen_by"], &status["address"]),
            (&json!(by), &json!(address)),
            "{variables:?}"
        );
        assert!(status["chosen_because"].as_str().unwrap().contains(because), "{status}");
        assert_eq!(status["pid"], daemon.pid());
    }
    let said = environment.run(over_ssh(&environment, &server, &["daemon", "status"])).ok().stdout;
    assert!(said.contains(&format!("{url}, {far}")), "{said}");
    for (name, value, code, says) in [
        ("NBAPPS_CONTEXT", "nosuch", 2, "there is no context \"nosuch\""),
        ("NBAPPS_CONTEXT", "a b", 2, "NBAPPS_CONTEXT: \"a b\" is not the name"),
    ] {
        let mut command = command(&environment, &["list"]);
        let Ran { code: got, stderr, .. } = environment.run({
            command.env(name, value);
            command
        });
        assert_eq!(got, code, "{stderr}");
        assert!(stderr.contains(says), "{stderr}");
    }
    let mut both = command(&environment, &["list"]);
    both.env("NBAPPS_CONTEXT", "near").env("NBAPPS_SOCKET", &socket);
    let Ran { code, stderr, .. } = environment.run(both);
    assert_eq!(code, 2, "{stderr}");
    assert!(stderr.contains("NBAPPS_SOCKET and NBAPPS_CONTEXT are both set"), "{stderr}");
    // `use` says what goes before it.
    let mut used = command(&environment, &["context", "use", "near"]);
    used.env("NBAPPS_HOST", &url);
    let said = environment.run(used).ok().stderr;
    assert!(said.contains("NBAPPS_HOST is set, and goes before the current context"), "{said}");
}

#[test]
fn a_context_is_no_reason_for_the_other_end_to_go_elsewhere() {
    let environment = TestEnvironment::new();
    let daemon = environment.daemon();
    let server = SshServer::start(&environment);
    // The user of this test is that of the far end, too, and reads the same contexts.
    run(&environment, &["context", "add", "loop", &server.url(), "--use"]).ok();
    let config = environment.path("config").display().to_string();
    let mut dial = over_ssh(&environment, &server, &["daemon", "status", "-o", "json"]);
    dial.env("XDG_CONFIG_HOME", config);
    assert_eq!(environment.run(dial).ok().json()["pid"], daemon.pid());
}

#[test]
fn a_daemon_that_is_not_there_says_which_context_chose_it() {
    let environment = TestEnvironment::new();
    run(&environment, &["context", "add", "gone", "/nowhere/control.sock", "--use"]).ok();
    let Ran { code, stderr, .. } = run(&environment, &["list"]);
    assert_eq!(code, 3, "{stderr}");
    assert!(stderr.contains("the current context is \"gone\""), "{stderr}");
    let Ran { code, stderr, .. } = run(&environment, &["daemon", "status"]);
    assert_eq!(code, 3, "{stderr}");
    assert!(stderr.contains("the chosen daemon is /nowhere/control.sock: the current context"), "{stderr}");
    // Where it was asked for, that is known.
    let Ran { stderr, .. } = run(&environment, &["list", "--context", "gone"]);
    assert!(!stderr.contains("the current context"), "{stderr}");
    let line = "start a daemon with: nbapps --context gone daemon start";
    assert!(stderr.contains(line), "{stderr}");
}

#[test]
fn hints_repeat_the_context_and_lead_to_its_machine() {
    let environment = TestEnvironment::new();
    let server = SshServer::start(&environment);
    run(&environment, &["context", "add", "far", &server.url()]).ok();
    let start = format!("ssh -p {} {}@127.0.0.1 nbapps daemon start", server.port, server.user);
    let absent = environment.run(over_ssh(&environment, &server, &["--context", "far", "list"]));
    assert!(absent.code == 3 && absent.stderr.contains(&start), "{}", absent.stderr);
    let started = environment.run(over_ssh(&environment, &server, &["--context", "far", "daemon", "start"]));
    assert_eq!(started.code, 2, "{}", started.stderr);
    assert!(started.stderr.contains(&format!("run it there: {start};")), "{}", started.stderr);
    let _daemon = environment.daemon();
    let said = environment.run(over_ssh(&environment, &server, &["--context", "far", "show", "nosuch"]));
    assert!(said.stderr.contains("nbapps --context far list"), "{}", said.stderr);
    run(&environment, &["context", "use", "far"]).ok();
    let said = environment.run(over_ssh(&environment, &server, &["show", "nosuch"]));
    assert!(said.stderr.contains("with: nbapps list"), "{}", said.stderr);
}

#[test]
fn questions_name_the_machine() {
    let environment = TestEnvironment::new();
    let daemon = environment.daemon();
    let server = SshServer::start(&environment);
    for id in ["crm", "hr"] {
        daemon.call("app.create", json!({"id": id, "start": true}));
    }
    run(&environment, &["context", "add", "far", &server.url(), "--use"]).ok();
    let place = format!("on far ({})", server.url());
    let typed = |line: &str, question: &str, answer: &str| {
        let line = format!("{} {line}", env!("CARGO_BIN_EXE_nbapps"));
        let mut terminal = Terminal::start(&environment, &line, 200, |command| {
            command.env_remove("NBAPPS_SOCKET").env("PATH", server.path());
        });
        terminal.shows(question);
        terminal.types(&format!("{answer}\r"));
        terminal.ended()
    };
    let running = || daemon.call("app.get", json!({"id": "crm"}))["state"] == "running";
    for (line, question) in [
        ("delete crm", format!("Delete crm {place}? The data stays")),
        ("delete crm --purge", format!("files of crm {place} for good. Type its ID")),
        ("stop --all", format!("Stop 2 applications {place}? [y/N]")),
        ("restart --all", format!("Restart 2 applications {place}? [y/N]")),
        ("daemon stop", format!("Stop the daemon, and all its applications, {place}? [y/N]")),
    ] {
        let (said, code) = typed(line, &question, "n");
        assert_eq!(code, Some(7), "{line}: {said}");
        assert!(said.contains(&format!("{place} was not confirmed; nothing was done")), "{line}: {said}");
        assert!(running(), "{line}");
    }
    let (said, code) = typed("stop --all", "? [y/N]", "y");
    assert_eq!(code, Some(0), "{said}");
    assert!(!running());
    // Without a terminal it is refused with the place, or done: a script means what it says.
    let refused = environment.run(over_ssh(&environment, &server, &["delete", "crm"]));
    assert_eq!(refused.code, 7);
    assert!(
        refused.stderr.contains(&format!("to delete crm {place} needs a confirmation")),
        "{}",
        refused.stderr
    );
    environment.run(over_ssh(&environment, &server, &["stop", "--all"])).ok();
    // Of this machine's daemon nothing more is said than before.
    let line = format!("{} delete crm", env!("CARGO_BIN_EXE_nbapps"));
    let mut terminal = Terminal::start(&environment, &line, 200, |_| {});
    terminal.shows("Delete crm? The data stays for undelete. [y/N]");
    terminal.types("y\r");
    assert_eq!(terminal.ended().1, Some(0));
}
