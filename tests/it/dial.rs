//! `--host ssh://` through a real `sshd` on loopback: no process remains after a command.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdout, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::environment::{PATIENCE, Ran, TestEnvironment};
use crate::ssh_server::{SshServer, prepare};

/// The processes of `nbapps daemon dial-stdio` that serve this environment's socket.
pub fn dials(environment: &TestEnvironment) -> Vec<u32> {
    let socket = format!("NBAPPS_SOCKET={}", environment.socket().display());
    let processes = std::fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let id = entry.unwrap().file_name().to_str()?.parse().ok()?;
        let read = |name: &str| std::fs::read(format!("/proc/{id}/{name}")).ok();
        let has = |text: Vec<u8>, part: &[u8]| text.split(|byte| *byte == 0).any(|word| word == part);
        let dials = has(read("cmdline")?, b"dial-stdio") && has(read("environ")?, socket.as_bytes());
        dials.then_some(id)
    });
    processes.collect()
}

/// Waits until a condition holds.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The connections that the daemon has open on its control socket, this one included.
fn connections(daemon: &crate::environment::Daemon) -> usize {
    let descriptors = std::fs::read_dir(format!("/proc/{}/fd", daemon.pid())).unwrap();
    let sockets = descriptors.filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok());
    sockets.filter(|target| target.to_string_lossy().starts_with("socket:")).count()
}

#[test]
fn commands_over_ssh_leave_nothing_behind() {
    let environment = TestEnvironment::new();
    let daemon = environment.daemon();
    let server = SshServer::start(&environment);
    let before = connections(&daemon);
    for _ in 0..3 {
        assert_eq!(
            environment.run(server.nbapps(&environment, &["list", "-o", "name"])).ok().stdout,
            "main\n"
        );
    }
    environment.run(server.nbapps(&environment, &["create", "crm"])).ok();
    until("the far ends of the commands end", || dials(&environment).is_empty());
    until("the daemon's connections end", || connections(&daemon) <= before);
}

#[test]
fn killing_the_command_or_ssh_ends_the_remote_process() {
    let environment = TestEnvironment::new();
    let daemon = environment.daemon();
    let server = SshServer::start(&environment);
    let before = connections(&daemon);
    for kill_ssh in [false, true] {
        let mut command = server.nbapps(&environment, &["events"]);
        let mut following = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        until("the events are followed", || !dials(&environment).is_empty());
        if kill_ssh {
            prepare("pkill", &["-KILL", "-P", &following.id().to_string()]);
        } else {
            following.kill().unwrap();
        }
        following.wait().unwrap();
        until("the far end ends", || dials(&environment).is_empty());
    }
    until("the daemon's connections end", || connections(&daemon) <= before);
}

#[test]
fn the_remote_process_ends_with_an_error_if_the_daemon_is_silent() {
    let environment = TestEnvironment::new();
    let daemon = environment.daemon();
    let server = SshServer::start(&environment);
    daemon.signal(Signal::STOP);
    let Ran { code, stderr, .. } = environment.run(server.nbapps(&environment, &["daemon", "status"]));
    daemon.signal(Signal::CONT);
    assert_eq!(code, 3, "{stderr}");
    assert!(stderr.contains(&format!("(process {}) does not answer", daemon.pid())), "{stderr}");
    until("the far end ends", || dials(&environment).is_empty());
}

/// `dial-stdio` by itself.
struct Dial {
    process: Child,
    stdout: BufReader<ChildStdout>,
}

impl Dial {
    fn start(environment: &TestEnvironment) -> Self {
        let mut command = environment.nbapps_command(&["daemon", "dial-stdio"]);
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let stdout = BufReader::new(process.stdout.take().unwrap());
        let mut dial = Self { process, stdout };
        // A response shows that it is connected.
        dial.ask("1");
        dial
    }

    fn ask(&mut self, id: &str) -> String {
        let line = format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"host.info\"}}\n");
        self.process.stdin.as_mut().unwrap().write_all(line.as_bytes()).unwrap();
        self.line()
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        line
    }

    fn ended(mut self) {
        until("dial-stdio ends", || self.process.try_wait().unwrap().is_some());
    }
}

#[test]
fn dial_answers_all_requests_and_ends_with_its_input() {
    let environment = TestEnvironment::new();
    let daemon = environment.daemon();
    daemon.call("app.create", serde_json::json!({"id": "crm"}));
    let mut dial = Dial::start(&environment);
    let request =
        "{\"jsonrpc\":\"2.0\",\"id\":\"last\",\"method\":\"app.start\",\"params\":{\"id\":\"crm\"}}\n";
    dial.process.stdin.as_mut().unwrap().write_all(request.as_bytes()).unwrap();
    drop(dial.process.stdin.take());
    let answer = dial.line();
    assert!(answer.contains("\"last\"") && answer.contains("running"), "{answer}");
    assert_eq!(dial.line(), "");
    dial.ended();
}

#[test]
fn dial_ends_with_the_daemon() {
    let environment = TestEnvironment::new();
    let daemon = environment.daemon();
    let dial = Dial::start(&environment);
    daemon.kill();
    dial.ended();
}

#[test]
fn dial_ends_when_its_output_is_closed() {
    let environment = TestEnvironment::new();
    let _daemon = environment.daemon();
    let Dial { mut process, stdout } = Dial::start(&environment);
    // Its input stays open.
    drop(stdout);
    until("dial-stdio ends", || process.try_wait().unwrap().is_some());
}

#[test]
fn dial_ends_with_its_input_if_the_daemon_hangs() {
    let environment = TestEnvironment::new();
    let daemon = environment.daemon();
    let mut dial = Dial::start(&environment);
    daemon.signal(Signal::STOP);
    drop(dial.process.stdin.take());
    dial.ended();
    daemon.signal(Signal::CONT);
}
