//! A command that finds no daemon at the default socket starts one.
//!
//! Root's default socket is that of the whole machine. If root runs the tests, they therefore run the programs as
//! another user.

use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::Command;

use insta::assert_snapshot;

use crate::environment::{Ran, TestEnvironment};

/// The user and group `nobody`.
pub const NOBODY: u32 = 65534;

/// A user who has nothing but the two programs.
pub struct User {
    pub environment: TestEnvironment,
}

impl User {
    pub fn new() -> Self {
        let environment = TestEnvironment::new();
        let bin = environment.path("bin");
        std::fs::create_dir(&bin).unwrap();
        for program in [env!("CARGO_BIN_EXE_nbapps"), env!("CARGO_BIN_EXE_nbappsd")] {
            std::fs::copy(program, bin.join(Path::new(program).file_name().unwrap())).unwrap();
        }
        if rustix::process::geteuid().is_root() {
            for path in ["", "home", "run", "state", "config", "bin"] {
                chown(environment.path(path), Some(NOBODY), Some(NOBODY)).unwrap();
            }
        }
        Self { environment }
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let program = self.environment.path("bin/nbapps");
        let mut command = if rustix::process::geteuid().is_root() {
            let mut command = self.environment.command("setpriv");
            let nobody = NOBODY.to_string();
            command.args(["--reuid", &nobody, "--regid", &nobody, "--clear-groups"]).arg(program);
            command
        } else {
            self.environment.command(program.to_str().unwrap())
        };
        // A free port, not the default one.
        command.env("NBAPPS_LISTEN", "127.0.0.1:0").args(arguments);
        command
    }

    pub fn nbapps(&self, arguments: &[&str]) -> Ran {
        self.environment.run(self.command(arguments))
    }

    fn said(&self, arguments: &[&str]) -> String {
        let Ran { code, stdout, stderr } = self.nbapps(arguments);
        self.environment.calm(&format!("{stdout}{stderr}[{code}]"))
    }

    fn socket(&self) -> PathBuf {
        self.environment.path("run/nbapps/control.sock")
    }
}

impl Drop for User {
    fn drop(&mut self) {
        let _ = self.nbapps(&["daemon", "stop"]);
    }
}

#[test]
fn the_first_command_starts_a_daemon_and_the_next_one_uses_it() {
    let user = User::new();
    assert_snapshot!(user.said(&["list", "-o", "name"]));
    assert_snapshot!(user.said(&["list", "-o", "name"]), @r"
    main
    [0]
    ");
    assert_snapshot!(user.said(&["daemon", "start"]));
    assert_snapshot!(user.said(&["daemon", "stop"]), @r"
    note: the daemon (process [PID]) has stopped
    [0]
    ");
    assert!(!user.socket().exists());
    assert_snapshot!(user.said(&["daemon", "start"]));
}

#[test]
fn simultaneous_commands_start_one_daemon() {
    let user = User::new();
    std::thread::scope(|scope| {
        let runs: Vec<_> = (0..8)
            .map(|number| {
                scope.spawn({
                    let user = &user;
                    move || user.nbapps(&["create", &format!("app-{number}")])
                })
            })
            .collect();
        let said: Vec<Ran> = runs.into_iter().map(|run| run.join().unwrap().ok()).collect();
        let started = said.iter().filter(|ran| ran.stderr.contains("started a daemon")).count();
        assert_eq!(started, 1);
    });
    assert_eq!(user.nbapps(&["list", "-o", "name"]).ok().stdout.lines().count(), 9);
}

#[test]
fn no_daemon_is_started_with_no_autostart_or_a_given_socket() {
    let user = User::new();
    let socket = user.environment.path("other.sock");
    let mut forbidden = user.command(&["list"]);
    forbidden.env("NBAPPS_AUTOSTART", "0");
    let mut named = user.command(&["list"]);
    named.env("NBAPPS_SOCKET", &socket);
    for command in
        [forbidden, named, user.command(&["--no-autostart", "list"]), user.command(&["daemon", "status"])]
    {
        assert_eq!(user.environment.run(command).code, 3);
    }
    let mut named = user.command(&["list", "--socket"]);
    named.arg(&socket);
    assert_eq!(user.environment.run(named).code, 3);
    assert!(!user.socket().exists() && !socket.exists());
}

#[test]
fn a_daemon_that_cannot_start_says_why() {
    let user = User::new();
    std::fs::write(user.environment.path("file"), "").unwrap();
    let mut command = user.command(&["list"]);
    command.env("NBAPPS_LISTEN", "nowhere");
    let Ran { code, stdout, stderr } = user.environment.run(command);
    assert_snapshot!(user.environment.calm(&format!("{stdout}{stderr}[{code}]")));
    let mut command = user.command(&["list"]);
    command.env("NBAPPS_DATA_DIR", user.environment.path("file"));
    let Ran { code, stdout, stderr } = user.environment.run(command);
    assert_snapshot!(user.environment.calm(&format!("{stdout}{stderr}[{code}]")));
}

#[test]
fn daemon_run_stays_in_the_foreground() {
    let user = User::new();
    let mut child = user
        .command(&["daemon", "run", "--log-format", "text"])
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let stderr = std::io::BufReader::new(child.stderr.take().unwrap());
    let answers =
        std::io::BufRead::lines(stderr).map_while(Result::ok).find(|line| line.contains("nbappsd answers"));
    assert!(answers.is_some());
    user.nbapps(&["daemon", "stop"]).ok();
    assert!(child.wait().unwrap().success());
}
