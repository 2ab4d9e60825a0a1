//! `nbapps shell`: typed into in a terminal, and as a script.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use serde_json::json;

use crate::dial::{dials, until};
use crate::environment::{Ran, TestEnvironment};
use crate::ssh_server::SshServer;
use crate::terminal::Terminal;

/// A shell at its prompt.
struct Shell {
    terminal: Terminal,
}

impl Shell {
    fn start(environment: &TestEnvironment, options: &str, set: impl FnOnce(&mut Command)) -> Self {
        let line = format!("{} {options} shell", env!("CARGO_BIN_EXE_nbapps"));
        Self { terminal: Terminal::start(environment, &line, 200, set) }
    }

    fn here(environment: &TestEnvironment) -> Self {
        let mut shell = Self::start(environment, "", |_| {});
        shell.terminal.shows("nbapps(local)> ");
        shell
    }

    /// Types a line; gives what is shown up to this prompt, which begins a line: Tab shows the prompt again in its own.
    fn runs(&mut self, line: &str, prompt: &str) -> String {
        self.terminal.types(&format!("{line}\r"));
        self.terminal.shows(&format!("\n\r{prompt}"))
    }

    /// Ends it with Ctrl-D; gives its exit code.
    fn ends(mut self) -> Option<i32> {
        self.terminal.types("\x04");
        self.terminal.ended().1
    }
}

/// Runs a script through the shell.
fn script(environment: &TestEnvironment, options: &[&str], text: &str) -> Ran {
    let mut command = environment.nbapps_command(&[&["shell"], options].concat());
    let input = environment.path("script");
    std::fs::File::create(&input).unwrap().write_all(text.as_bytes()).unwrap();
    command.stdin(Stdio::from(std::fs::File::open(input).unwrap()));
    environment.run(command)
}

#[test]
fn lines_are_run_at_a_prompt_that_shows_what_matters() {
    let environment = TestEnvironment::new();
    let daemon = environment.daemon();
    let mut shell = Shell::here(&environment);
    let said = shell.runs("create crm --name \"Customer care\" # new", "nbapps(local)> ");
    assert!(said.contains("Customer care"), "{said}");
    let said = shell.runs("show nosuch", "[4] nbapps(local)> ");
    assert!(said.contains("there is no application \"nosuch\""), "{said}");
    let said = shell.runs("lst", "[2] nbapps(local)> ");
    assert!(said.contains("'list'"), "{said}");
    // A line that was copied, and one that goes on.
    shell.runs("nbapps start crm", "nbapps(local)> ");
    assert_eq!(daemon.call("app.get", json!({"id": "crm"}))["state"], "running");
    shell.runs("update crm --name 'two\rwords'", "nbapps(local)> ");
    assert_eq!(daemon.call("app.get", json!({"id": "crm"}))["name"], "two\nwords");
    // The application of lines that name none.
    let said = shell.runs("use nosuch", "[4] nbapps(local)> ");
    assert!(said.contains("there is no application"), "{said}");
    shell.runs("use crm", "nbapps(local)/crm> ");
    let said = shell.runs("show -o json", "nbapps(local)/crm> ");
    assert!(said.contains("\"id\": \"crm\""), "{said}");
    shell.runs("stop", "nbapps(local)/crm> ");
    assert_eq!(daemon.call("app.get", json!({"id": "crm"}))["state"], "stopped");
    let said = shell.runs("help", "nbapps(local)/crm> ");
    assert!(said.contains("Choose the application of commands that name none"), "{said}");
    let said = shell.runs("help create", "nbapps(local)/crm> ");
    assert!(said.contains("--if-not-exists"), "{said}");
    let said = shell.runs("shell", "nbapps(local)/crm> ");
    assert!(said.contains("this is a shell already"), "{said}");
    let said = shell.runs("daemon run", "[2] nbapps(local)/crm> ");
    assert!(said.contains("would take the place of this shell"), "{said}");
    shell.runs("completions bash", "nbapps(local)/crm> ");
    shell.runs("use", "nbapps(local)> ");
    let said = shell.runs("show", "[2] nbapps(local)> ");
    assert!(said.contains("<ID>"), "{said}");
    // The exit code of the last command is the shell's.
    assert_eq!(shell.ends(), Some(2));
    let mut shell = Shell::here(&environment);
    shell.runs("show crm -o name", "nbapps(local)> ");
    assert_eq!(shell.ends(), Some(0));
}

#[test]
fn a_question_is_asked_and_answered_in_the_shell() {
    let environment = TestEnvironment::new();
    let daemon = environment.daemon();
    daemon.call("app.create", json!({"id": "crm"}));
    let mut shell = Shell::here(&environment);
    for (answer, prompt) in [("n\r", "[7] nbapps(local)> "), ("\x03", "[130] nbapps(local)> ")] {
        shell.terminal.types("delete crm\r");
        shell.terminal.shows("Delete crm? The data stays for undelete. [y/N]");
        shell.terminal.types(answer);
        shell.terminal.shows(prompt);
    }
    assert_eq!(daemon.call("app.list", json!({}))["applications"].as_array().unwrap().len(), 2);
    shell.terminal.types("delete crm\r");
    shell.terminal.shows("[y/N]");
    shell.terminal.types("y\r");
    shell.terminal.shows("nbapps(local)> ");
    assert_eq!(daemon.call("app.list", json!({}))["applications"].as_array().unwrap().len(), 1);
}

#[test]
fn commands_ids_and_options_are_completed() {
    let environment = TestEnvironment::new();
    let daemon = environment.daemon();
    for id in ["customers", "custody", "hr"] {
        daemon.call("app.create", json!({"id": id}));
    }
    daemon.call("app.start", json!({"id": "hr"}));
    let mut shell = Shell::here(&environment);
    for (typed, prompt, shows) in [
        ("sho\thr\t-o name", "nbapps(local)> ", "\nhr\n"),
        ("show custom\t -o na\t", "nbapps(local)> ", "\ncustomers\n"),
        ("list --sta\tinitialized -o=name", "nbapps(local)> ", "\ncustody\n"),
        ("use hr", "nbapps(local)/hr> ", ""),
        ("visit --print --sign-in=no\t", "nbapps(local)/hr> ", "/apps/hr/"),
    ] {
        let said = shell.runs(typed, prompt);
        assert!(said.contains(shows), "{typed:?}: {said}");
    }
    // Several are listed.
    shell.terminal.types("show cust\t");
    shell.terminal.shows("customers");
}

#[test]
fn ctrl_c_ends_the_command_and_not_the_shell() {
    let environment = TestEnvironment::new();
    let daemon = environment.daemon();
    daemon.call("app.create", json!({"id": "crm"}));
    let mut shell = Shell::here(&environment);
    shell.terminal.types("events\r");
    shell.terminal.shows("printing events; Ctrl-C ends it");
    shell.terminal.types("\x03");
    shell.terminal.shows("[130] nbapps(local)> ");
    shell.terminal.types("wait crm --for running --timeout 10m\r");
    until("the daemon waits", || environment.run(environment.nbapps_command(&["list"])).code == 0);
    shell.terminal.types("\x03");
    shell.terminal.shows("[130] nbapps(local)> ");
    // A line that was begun is given up.
    shell.terminal.types("delete crm --yes\x03");
    shell.terminal.shows("[130] nbapps(local)> ");
    let said = shell.runs("show crm -o name", "nbapps(local)> ");
    assert!(said.contains("\ncrm\n"), "{said}");
    assert_eq!(shell.ends(), Some(0));
}

#[test]
fn the_history_is_kept_for_this_user_alone_and_without_secrets() {
    let environment = TestEnvironment::new();
    let _daemon = environment.daemon();
    let mut shell = Shell::here(&environment);
    shell.runs("list -o name", "nbapps(local)> ");
    shell.runs("create x --db connection --db-url postgres://u:s3cret@127.0.0.1:1/x", "[1] nbapps(local)> ");
    shell.runs(" list --deleted", "nbapps(local)> ");
    shell.runs("show main -o name", "nbapps(local)> ");
    assert_eq!(shell.ends(), Some(0));
    let file = environment.path("state/nbapps/shell_history");
    let history = std::fs::read_to_string(&file).unwrap();
    assert!(history.contains("list -o name\n") && history.contains("show main -o name\n"), "{history}");
    assert!(!history.contains("s3cret") && !history.contains("--deleted"), "{history}");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    // The next shell has it: up twice.
    let mut shell = Shell::here(&environment);
    let said = shell.runs("\x1b[A\x1b[A", "nbapps(local)> ");
    assert!(said.contains("list -o name") && said.contains("\nmain\n"), "{said}");
}

#[test]
fn a_daemon_that_is_started_again_is_connected_to_again() {
    let environment = TestEnvironment::new();
    let mut daemon = environment.daemon();
    let mut shell = Shell::here(&environment);
    shell.runs("list -o name", "nbapps(local)> ");
    daemon.kill();
    let said = shell.runs("list -o name", "[3] nbapps(local)> ");
    assert!(said.contains("cannot reach a daemon"), "{said}");
    daemon = environment.daemon();
    let said = shell.runs("list -o name", "nbapps(local)> ");
    assert!(said.contains("\nmain\n"), "{said}");
    drop(daemon);
}

#[test]
fn a_script_ends_at_the_first_command_that_fails() {
    let environment = TestEnvironment::new();
    let daemon = environment.daemon();
    let text = "# a comment\n\nnbapps create crm --name \"It's\\\n new\"\nuse crm\nshow -o name\nstart nosuch\ncreate hr\n";
    let Ran { code, stdout, stderr } = script(&environment, &[], text);
    assert_eq!(code, 4, "{stderr}");
    assert!(stdout.ends_with("\ncrm\n") && stderr.contains("the script ended at line 7"), "{stdout}{stderr}");
    assert_eq!(daemon.call("app.get", json!({"id": "crm"}))["name"], "It's new");
    let ids = |daemon: &crate::environment::Daemon| {
        daemon.call("app.list", json!({}))["applications"].as_array().unwrap().len()
    };
    assert_eq!(ids(&daemon), 2);
    let text = "start nosuch\r\ncreate hr\r\nlst\r\ncreate hr\r\ncreate shop";
    let Ran { code, stderr, .. } = script(&environment, &["--keep-going"], text);
    assert_eq!(code, 5, "{stderr}");
    assert_eq!(ids(&daemon), 4);
    for (text, code, says) in [
        ("", 0, ""),
        ("exit\nstart nosuch\n", 0, ""),
        ("list -o name\nshow 'main", 2, "the command at line 2 of the script has no end"),
        // What asks has nobody to ask, and does not read the script.
        ("delete crm\ny\n", 7, "needs a confirmation"),
        ("create x --admin-password-file -\ns3cret\n", 2, "must hold one line"),
    ] {
        let Ran { code: got, stderr, .. } = script(&environment, &[], text);
        assert_eq!(got, code, "{text:?}: {stderr}");
        assert!(stderr.contains(says), "{text:?}: {stderr}");
    }
    assert_eq!(ids(&daemon), 4);
}

#[test]
fn lines_of_a_pipe_are_run_as_they_come() {
    let environment = TestEnvironment::new();
    let daemon = environment.daemon();
    let mut command = environment.nbapps_command(&["shell"]);
    let mut shell = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let mut input = shell.stdin.take().unwrap();
    for id in ["a", "b"] {
        input.write_all(format!("create {id}\n").as_bytes()).unwrap();
        until("the line is run", || daemon.connect().call("app.get", json!({"id": id})).is_ok());
    }
    drop(input);
    assert!(shell.wait().unwrap().success());
}

#[test]
fn a_shell_on_another_machine_keeps_one_connection() {
    let environment = TestEnvironment::new();
    let daemon = environment.daemon();
    daemon.call("app.create", json!({"id": "customers"}));
    let server = SshServer::start(&environment);
    let added = environment.run(environment.nbapps_command(&["context", "add", "far", &server.url()])).ok();
    assert!(added.stderr.contains("added far"), "{}", added.stderr);
    let mut shell = Shell::start(&environment, "--context far", |command| {
        command.env_remove("NBAPPS_SOCKET").env("PATH", server.path());
    });
    shell.terminal.shows("nbapps(far)> ");
    let before = dials(&environment);
    assert_eq!(before.len(), 1);
    let said = shell.runs("show cus\t-o name", "nbapps(far)> ");
    assert!(said.contains("\ncustomers\n"), "{said}");
    shell.runs("use customers", "nbapps(far)/customers> ");
    let said = shell.runs("show nosuch", "[4] nbapps(far)/customers> ");
    assert!(said.contains("nbapps --context far list"), "{said}");
    assert_eq!(dials(&environment), before, "all of that went over one connection");
    // What names another daemon does not mean this one's application.
    let local = format!("show --socket {}", environment.socket().display());
    shell.runs(&local, "[2] nbapps(far)/customers> ");
    shell.terminal.types("delete\r");
    shell.terminal.shows(&format!("Delete customers on far ({})?", server.url()));
    shell.terminal.types("n\r");
    shell.terminal.shows("[7] nbapps(far)/customers> ");
    assert_eq!(shell.ends(), Some(7));
    until("the connection ends with the shell", || dials(&environment).is_empty());
}
