//! `nbapps top` in a pseudo-terminal.

use rustix::process::Signal;
use serde_json::json;

use crate::environment::{Daemon, PATIENCE, TestEnvironment, http};
use crate::limits::QUICK;
use crate::ssh_server::SshServer;
use crate::terminal::Terminal;

/// Shows the screen, and behind it how the terminal is set.
fn top(environment: &TestEnvironment, arguments: &str) -> Terminal {
    let line = format!(
        "sh -c '{} {arguments} top --interval 100ms; code=$?; echo; stty -a; exit $code'",
        env!("CARGO_BIN_EXE_nbapps")
    );
    Terminal::start(environment, &line, 120, |_| {})
}

/// Waits for the end of the screen, and checks that the terminal is as it was.
fn ended(terminal: Terminal) -> Option<i32> {
    let (shown, code) = terminal.ended();
    let settings: Vec<&str> = shown.split("speed").last().unwrap().split_whitespace().collect();
    for setting in ["icanon", "echo", "isig", "opost"] {
        assert!(settings.contains(&setting), "{setting}: {shown}");
    }
    code
}

fn with_two(environment: &TestEnvironment) -> Daemon {
    let daemon = environment.daemon();
    daemon.call("app.create", json!({"id": "crm", "start": true}));
    daemon.call("app.create", json!({"id": "shop"}));
    daemon
}

/// Waits until an application is in a state.
fn until(daemon: &Daemon, id: &str, state: &str) {
    let begun = std::time::Instant::now();
    while daemon.state(id) != state {
        assert!(begun.elapsed() < PATIENCE, "{id} is {}", daemon.state(id));
        std::thread::yield_now();
    }
}

#[test]
fn applications_are_shown_sorted_filtered_and_in_detail() {
    let environment = TestEnvironment::new();
    let _daemon = with_two(&environment);
    let mut terminal = top(&environment, "");
    let shown = terminal.shows("shop");
    for word in ["REQ/S▼", "STARTS", "main", "crm", "running"] {
        assert!(shown.contains(word), "{word}: {shown}");
    }
    terminal.types(">");
    terminal.shows("P50▼");
    terminal.types("r");
    terminal.shows("▲");
    terminal.types("/SHO");
    terminal.shows("Filter:");
    terminal.types("\r");
    terminal.shows("\"sho\"");
    terminal.types("\r");
    let details = terminal.shows("starts");
    assert!(details.contains("Requests") && details.contains("initialized"), "{details}");
    terminal.types("?");
    terminal.shows("confirmation");
    terminal.types("?");
    terminal.types("q");
    assert_eq!(ended(terminal), Some(0));
}

#[test]
fn an_application_is_stopped_and_started_after_a_confirmation() {
    let environment = TestEnvironment::new();
    let daemon = with_two(&environment);
    let mut terminal = top(&environment, "");
    terminal.shows("shop");
    terminal.types("/crm\r");
    terminal.shows("\"crm\"");
    terminal.types("x");
    terminal.shows("Stop");
    terminal.types("n");
    terminal.shows("changed");
    assert_eq!(daemon.state("crm"), "running");
    terminal.types("xy");
    until(&daemon, "crm", "stopped");
    terminal.shows("stopped");
    terminal.types("sy");
    until(&daemon, "crm", "running");
    // What the daemon refuses is said.
    terminal.types("\x1b");
    terminal.shows("shop");
    terminal.types("/main\r");
    terminal.shows("\"main\"");
    terminal.types("xy");
    terminal.shows("cannot");
    terminal.types("\x03");
    assert_eq!(ended(terminal), Some(0));
}

#[tokio::test]
async fn requests_are_followed() {
    let environment = TestEnvironment::new();
    let daemon = with_two(&environment);
    let mut terminal = top(&environment, "");
    terminal.shows("shop");
    terminal.types("/shop\r\r");
    terminal.shows("starts");
    http(&daemon, "GET", QUICK, Some("shop"), None, None).await;
    terminal.shows("(200:");
    terminal.types("q");
    assert_eq!(ended(terminal), Some(0));
}

#[test]
fn the_terminal_is_given_back_however_it_ends() {
    let environment = TestEnvironment::new();
    let daemon = with_two(&environment);
    let mut terminal = top(&environment, "");
    terminal.shows("shop");
    assert!(daemon.stop().success());
    assert_eq!(ended(terminal), Some(3), "the daemon has ended");

    let _daemon = environment.daemon();
    let mut terminal = top(&environment, "");
    terminal.shows("shop");
    let socket = environment.socket();
    let of_top = std::process::Command::new("pgrep")
        .args(["-f", &format!("^{} .*top --interval 100ms$", env!("CARGO_BIN_EXE_nbapps"))])
        .output()
        .unwrap();
    let pids = String::from_utf8(of_top.stdout).unwrap();
    let is_ours = |pid: &&str| {
        let variables = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        String::from_utf8_lossy(&variables).contains(&format!("NBAPPS_SOCKET={}", socket.display()))
    };
    let pid = pids.lines().find(is_ours).unwrap_or_else(|| panic!("{pids}")).parse().unwrap();
    rustix::process::kill_process(rustix::process::Pid::from_raw(pid).unwrap(), Signal::TERM).unwrap();
    assert_eq!(ended(terminal), Some(0));
}

#[test]
fn without_a_terminal_it_leads_to_stats() {
    let environment = TestEnvironment::new();
    let _daemon = environment.daemon();
    let refused = environment.nbapps(&["top"]);
    assert_eq!(refused.code, 2, "{}", refused.stderr);
    assert!(refused.stderr.contains("needs a terminal") && refused.stderr.contains("nbapps stats --watch"));
    let refused = environment.nbapps(&["top", "-o", "json"]);
    assert_eq!(refused.code, 2, "{}", refused.stderr);
    assert!(refused.stderr.contains("nbapps stats --watch -o jsonl"), "{}", refused.stderr);
}

#[test]
fn another_machine_is_shown_through_ssh() {
    let environment = TestEnvironment::new();
    let _daemon = with_two(&environment);
    let server = SshServer::start(&environment);
    let line = format!("{} --host {} top --interval 100ms", env!("CARGO_BIN_EXE_nbapps"), server.url());
    let mut terminal = Terminal::start(&environment, &line, 100, |command| {
        command.env_remove("NBAPPS_SOCKET").env("PATH", server.path());
    });
    let shown = terminal.shows("shop");
    assert!(shown.contains(&server.url()), "{shown}");
    terminal.types("q");
    assert_eq!(terminal.ended().1, Some(0));
}
