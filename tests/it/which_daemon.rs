//! Which daemon a command talks to, and what `daemon status` says of it.
//!
//! The system's daemon is one of a mount namespace with a `/run` of its own, so that nothing of the machine is
//! touched. Only root can make one, and only root can be several users.

use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::autostart::{NOBODY, User};
use crate::dial::until;
use crate::environment::{Ran, TestEnvironment};
use crate::ssh_server::SshServer;

/// What `daemon status` says, as JSON.
fn status(ran: Ran) -> Value {
    ran.ok().json()
}

impl User {
    /// A command of a session that has no runtime directory, as cron's has none.
    fn command_without_runtime(&self, arguments: &[&str]) -> Command {
        let mut command = self.command(arguments);
        command.env_remove("XDG_RUNTIME_DIR");
        command
    }
}

#[test]
fn a_session_without_a_runtime_directory_finds_the_daemon_of_one_that_has() {
    let user = User::new();
    let run = |with_runtime: bool, arguments: &[&str]| {
        user.environment.run(match with_runtime {
            true => user.command(arguments),
            false => user.command_without_runtime(arguments),
        })
    };
    for started_with in [true, false] {
        let started = run(started_with, &["list", "-o", "name"]).ok();
        assert!(started.stderr.contains("started a daemon"), "{}", started.stderr);
        let own = status(run(started_with, &["daemon", "status", "-o", "json"]));
        let other = status(run(!started_with, &["daemon", "status", "-o", "json"]));
        assert_eq!(own["pid"], other["pid"]);
        assert_eq!(other["chosen_by"], "data_directory");
        assert_eq!(other["address"], own["socket"]);
        let again = run(!started_with, &["daemon", "start"]).ok();
        assert!(again.stderr.contains("is running already"), "{}", again.stderr);
        run(!started_with, &["daemon", "stop"]).ok();
        assert_eq!(run(started_with, &["daemon", "status"]).code, 3);
    }
}

#[test]
fn sessions_of_both_kinds_that_come_together_start_one_daemon() {
    let user = User::new();
    let started: usize = std::thread::scope(|scope| {
        let runs: Vec<_> = (0..6)
            .map(|number| {
                let user = &user;
                scope.spawn(move || {
                    let id = format!("app-{number}");
                    let arguments = ["create", id.as_str()];
                    user.environment.run(match number % 2 {
                        0 => user.command(&arguments),
                        _ => user.command_without_runtime(&arguments),
                    })
                })
            })
            .collect();
        let said = runs.into_iter().map(|run| run.join().unwrap().ok().stderr);
        said.filter(|said| said.contains("started a daemon")).count()
    });
    assert_eq!(started, 1);
    assert_eq!(user.nbapps(&["list", "-o", "name"]).ok().stdout.lines().count(), 7);
}

#[test]
fn a_daemon_of_a_configured_data_directory_or_of_another_socket_is_found() {
    let user = User::new();
    let directory = user.environment.path("state/of my own");
    let configuration = user.environment.path("config/nbapps");
    std::fs::create_dir(&configuration).unwrap();
    let text = format!("data_dir = \"{}\"\n", directory.display());
    std::fs::write(configuration.join("nbappsd.toml"), text).unwrap();
    user.nbapps(&["list"]).ok();
    let found =
        status(user.environment.run(user.command_without_runtime(&["daemon", "status", "-o", "json"])));
    assert_eq!(found["data_directory"], directory.to_str().unwrap());
    assert_eq!(found["chosen_by"], "data_directory");
    user.nbapps(&["daemon", "stop"]).ok();
    let socket = user.environment.path("run/elsewhere.sock");
    user.nbapps(&["daemon", "start", "--socket", socket.to_str().unwrap()]).ok();
    let said = user.nbapps(&["daemon", "status"]).ok().stdout;
    let chosen = format!("{}, this user's daemon, which runs on", socket.display());
    assert!(said.contains(&chosen), "{said}");
}

#[test]
fn what_is_named_goes_before_what_is_found() {
    let environment = TestEnvironment::new();
    let _daemon = environment.daemon();
    let server = SshServer::start(&environment);
    let socket = environment.socket().display().to_string();
    let run = |variables: &[(&str, &str)], arguments: &[&str]| {
        let mut command = environment.nbapps_command(&["daemon", "status", "-o", "json"]);
        command.env_remove("NBAPPS_SOCKET").env("PATH", server.path());
        command.envs(variables.iter().copied()).args(arguments);
        environment.run(command)
    };
    let url = server.url();
    let (url, socket) = (url.as_str(), socket.as_str());
    for (variables, arguments, chosen, because) in [
        (&[("NBAPPS_SOCKET", socket)][..], &[][..], "environment", "NBAPPS_SOCKET"),
        (&[("NBAPPS_HOST", url)], &[], "environment", "NBAPPS_HOST"),
        (&[("NBAPPS_HOST", url)], &["--socket", socket], "option", "--socket"),
        (&[("NBAPPS_HOST", "ssh://nowhere.invalid")], &["--host", url], "option", "--host"),
        (&[("NBAPPS_SOCKET", "/nowhere")], &["--host", url], "option", "--host"),
        (&[("NBAPPS_HOST", ""), ("NBAPPS_SOCKET", socket)], &[], "environment", "NBAPPS_SOCKET"),
    ] {
        let status = status(run(variables, arguments));
        assert_eq!(status["chosen_by"], chosen, "{variables:?} {arguments:?}");
        assert!(status["chosen_because"].as_str().unwrap().contains(because), "{status}");
    }
    for (variables, says) in [
        (&[("NBAPPS_HOST", url), ("NBAPPS_SOCKET", socket)][..], "are both set"),
        (&[("NBAPPS_HOST", "server")], "NBAPPS_HOST: \"server\" is not a host"),
    ] {
        let Ran { code, stderr, .. } = run(variables, &[]);
        assert_eq!(code, 2, "{stderr}");
        assert!(stderr.contains(says) && stderr.contains("hint:"), "{stderr}");
    }
}

/// The group that may use the system's daemon.
const OPERATORS: &str = "4242";

/// A system's daemon, in a mount namespace of its own.
struct System {
    daemon: Child,
}

impl System {
    fn start(user: &User) -> Self {
        let environment = &user.environment;
        let data = environment.path("system");
        let mut command = environment.command("unshare");
        command.args(["--mount", "sh", "-c", "mount -t tmpfs tmpfs /run && exec \"$@\"", "sh"]);
        command.arg(environment.path("bin/nbappsd")).arg("--data-dir").arg(data);
        command.args(["--socket", "/run/nbapps/control.sock", "--socket-group", OPERATORS]);
        command.args(["--listen", "127.0.0.1:0"]).stderr(Stdio::null()).stdout(Stdio::null());
        let system = Self { daemon: command.spawn().unwrap() };
        until("the system's daemon listens", || {
            let mut test = system.inside(environment.command("test"));
            test.args(["-S", "/run/nbapps/control.sock"]).status().unwrap().success()
        });
        system
    }

    /// The command, as it runs in the namespace.
    fn inside(&self, command: Command) -> Command {
        let mut inside = Command::new("nsenter");
        inside.args(["--target", &self.daemon.id().to_string(), "--mount", "--"]);
        inside.arg(command.get_program()).args(command.get_args()).env_clear();
        inside.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        inside.stdin(Stdio::null());
        inside
    }

    /// Runs `nbapps` as a user, with this further group.
    fn nbapps(&self, user: &User, group: Option<&str>, arguments: &[&str]) -> Ran {
        let mut command = user.environment.command("setpriv");
        let nobody = NOBODY.to_string();
        command.args(["--reuid", &nobody, "--regid", &nobody]);
        match group {
            Some(group) => command.args(["--groups", group]),
            None => command.arg("--clear-groups"),
        };
        command.arg(user.environment.path("bin/nbapps")).args(arguments).env("NBAPPS_LISTEN", "127.0.0.1:0");
        user.environment.run(self.inside(command))
    }
}

impl Drop for System {
    fn drop(&mut self) {
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}

#[test]
fn members_of_the_group_use_the_systems_daemon_and_others_get_their_own() {
    if !rustix::process::geteuid().is_root() {
        // Nobody else can be several users; `client::discovery` tests the order by itself.
        return;
    }
    let user = User::new();
    let system = System::start(&user);
    let member = |arguments: &[&str]| system.nbapps(&user, Some(OPERATORS), arguments);
    let stranger = |arguments: &[&str]| system.nbapps(&user, None, arguments);

    let listed = member(&["list", "-o", "name"]).ok();
    assert_eq!((listed.stdout.as_str(), listed.stderr.as_str()), ("main\n", ""));
    let chosen = status(member(&["daemon", "status", "-o", "json"]));
    assert_eq!(chosen["chosen_by"], "system");
    assert_eq!(chosen["pid"], system.daemon.id());
    assert_eq!(chosen["address"], "/run/nbapps/control.sock");
    // Stopping what others use takes its name.
    let stopped = member(&["daemon", "stop"]).ok();
    assert!(
        stopped.stderr.contains("nbapps --socket /run/nbapps/control.sock daemon stop"),
        "{}",
        stopped.stderr
    );
    assert_eq!(member(&["list", "-o", "name"]).ok().stdout, "main\n");

    let Ran { code, stderr, .. } = stranger(&["--no-autostart", "list"]);
    assert_eq!(code, 3, "{stderr}");
    assert!(stderr.contains("is open to members of its group"), "{stderr}");
    let own = stranger(&["list", "-o", "name"]).ok();
    assert!(own.stderr.contains("started a daemon"), "{}", own.stderr);
    // Who has a daemon uses it, member or not.
    for said in [member(&["daemon", "status", "-o", "json"]), stranger(&["daemon", "status", "-o", "json"])] {
        let chosen = status(said);
        assert_eq!(chosen["chosen_by"], "data_directory");
        assert_ne!(chosen["pid"], system.daemon.id());
    }
    stranger(&["daemon", "stop"]).ok();
    let mut root = system.inside(user.environment.command(env!("CARGO_BIN_EXE_nbapps")));
    root.args(["daemon", "status", "-o", "json"]);
    assert_eq!(status(user.environment.run(root))["pid"], system.daemon.id());
}

#[test]
fn who_cannot_start_a_daemon_beside_the_systems_is_told_of_it() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let user = User::new();
    let system = System::start(&user);
    let mut command = user.environment.command("setpriv");
    let nobody = NOBODY.to_string();
    command.args(["--reuid", &nobody, "--regid", &nobody, "--clear-groups"]);
    command.arg(user.environment.path("bin/nbapps")).arg("list").env("NBAPPS_LISTEN", "192.0.2.1:1");
    let Ran { code, stderr, .. } = user.environment.run(system.inside(command));
    assert_eq!(code, 3, "{stderr}");
    assert!(stderr.contains("/run/nbapps/control.sock is open to members of its group"), "{stderr}");
}
