//! Commands on another machine, through a real `sshd`: what they say when that fails, and what their hints lead to.

use std::process::{Command, Stdio};

use rustix::process::Signal;

use crate::dial::until;
use crate::environment::{Ran, TestEnvironment};
use crate::ssh_server::{SshServer, prepare};

/// Runs a command that must fail for want of a daemon; gives what it said.
fn unreachable(environment: &TestEnvironment, command: Command) -> String {
    let Ran { code, stderr, .. } = environment.run(command);
    assert_eq!(code, 3, "{stderr}");
    assert!(stderr.contains("hint: "), "{stderr}");
    stderr
}

#[test]
fn what_a_far_shell_prints_is_named_with_what_to_do() {
    let environment = TestEnvironment::new();
    let _daemon = environment.daemon();
    let bin = std::path::Path::new(env!("CARGO_BIN_EXE_nbapps")).parent().unwrap();
    let path = format!("{}:/usr/bin:/bin", bin.display());
    let noise = "ForceCommand echo Welcome to web1; exec $SSH_ORIGINAL_COMMAND";
    let server = SshServer::start_with(&environment, &path, noise);
    let said = unreachable(&environment, server.nbapps(&environment, &["list"]));
    assert!(said.contains("printed \"Welcome to web1\"") && said.contains("~/.bashrc"), "{said}");
    assert!(said.contains(&format!("ssh -p {} ", server.port)), "{said}");
}

#[test]
fn a_far_machine_without_nbapps_says_where_it_is_searched_for() {
    let environment = TestEnvironment::new();
    let server = SshServer::start_with(&environment, "/usr/bin:/bin", "");
    let said = unreachable(&environment, server.nbapps(&environment, &["list"]));
    assert!(said.contains("nbapps was not found there"), "{said}");
    assert!(said.contains("'echo $PATH'") && said.contains("/usr/local/bin"), "{said}");
}

#[test]
fn a_wrong_host_key_says_how_it_is_compared_and_forgotten() {
    let environment = TestEnvironment::new();
    let _daemon = environment.daemon();
    let server = SshServer::start(&environment);
    let other = std::fs::read_to_string(environment.path("ssh/identity.pub")).unwrap();
    let mut words = other.split(' ');
    let (kind, key) = (words.next().unwrap(), words.next().unwrap());
    let known = format!("[127.0.0.1]:{} {kind} {key}\n", server.port);
    std::fs::write(environment.path("ssh/known_hosts"), known).unwrap();
    let said = unreachable(&environment, server.nbapps(&environment, &["list"]));
    assert!(said.contains("its host key is not the one that this machine knows"), "{said}");
    let hint = said.lines().find(|line| line.starts_with("hint: ")).unwrap();
    assert!(hint.contains("ssh-keygen ") && hint.contains(" -R "), "{said}");
    // The line works.
    let forget = hint.split("forget the old one: ").nth(1).unwrap().split("; and").next().unwrap();
    prepare("sh", &["-c", forget]);
    environment.run(server.nbapps(&environment, &["list"])).ok();
}

#[test]
fn a_killed_ssh_is_named_before_and_after_the_daemon_answered() {
    let environment = TestEnvironment::new();
    let daemon = environment.daemon();
    let server = SshServer::start(&environment);
    for answers in [true, false] {
        if !answers {
            daemon.signal(Signal::STOP);
        }
        let mut command = server.nbapps(&environment, &["events"]);
        let following = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let parent = following.id().to_string();
        until("ssh runs", || {
            Command::new("pgrep").args(["-P", &parent]).stdout(Stdio::null()).status().unwrap().success()
        });
        if answers {
            until("the events are followed", || !crate::dial::dials(&environment).is_empty());
        }
        prepare("pkill", &["-KILL", "-P", &parent]);
        let ended = following.wait_with_output().unwrap();
        daemon.signal(Signal::CONT);
        let said = String::from_utf8(ended.stderr).unwrap();
        assert_eq!(ended.status.code(), Some(3), "{said}");
        assert!(said.contains("ssh was killed by signal 9") && said.contains("hint: "), "{said}");
    }
}

#[test]
fn hints_lead_to_the_same_daemon() {
    let environment = TestEnvironment::new();
    let server = SshServer::start(&environment);
    // Without a daemon there, it is started there.
    let said = unreachable(&environment, server.nbapps(&environment, &["list"]));
    let start = format!("ssh -p {} {}@127.0.0.1 nbapps daemon start", server.port, server.user);
    assert!(said.contains(&start) && said.contains(&server.url()), "{said}");
    let _daemon = environment.daemon();
    let Ran { code, stderr, .. } = environment.run(server.nbapps(&environment, &["show", "nosuch"]));
    assert_eq!(code, 4);
    let line = format!("nbapps --host {} list", server.url());
    assert!(stderr.contains(&line), "{stderr}");
    // The line that is copied works as it is.
    let bin = std::path::Path::new(env!("CARGO_BIN_EXE_nbapps")).parent().unwrap();
    let mut shell = environment.command("sh");
    shell.args(["-c", &format!("{line} -o name")]);
    shell.env("PATH", format!("{}:{}", bin.display(), server.path()));
    assert_eq!(environment.run(shell).ok().stdout, "main\n");
    let created = environment.run(server.nbapps(&environment, &["create", "crm"])).ok();
    assert!(
        created.stderr.contains(&format!("nbapps --host {} visit crm", server.url())),
        "{}",
        created.stderr
    );
    let deleted = environment.run(server.nbapps(&environment, &["delete", "crm", "--yes"])).ok();
    assert!(
        deleted.stdout.contains(&format!("nbapps --host {} undelete crm", server.url())),
        "{}",
        deleted.stdout
    );
}

#[test]
fn hints_quote_a_socket_for_the_shell() {
    let environment = TestEnvironment::new();
    let socket = environment.path("run/it's a socket");
    let mut command = environment.daemon_command();
    command.arg("--socket").arg(&socket);
    let mut daemon = command.stderr(Stdio::null()).spawn().unwrap();
    until("the daemon listens", || socket.exists());
    let Ran { code, stderr, .. } =
        environment.nbapps(&["--socket", socket.to_str().unwrap(), "show", "nosuch"]);
    assert_eq!(code, 4, "{stderr}");
    let line = stderr.split("list the applications with: ").nth(1).unwrap().trim();
    let bin = std::path::Path::new(env!("CARGO_BIN_EXE_nbapps")).parent().unwrap();
    let mut shell = environment.command("sh");
    shell.args(["-c", &format!("{line} -o name")]);
    shell.env("PATH", format!("{}:{}", bin.display(), std::env::var("PATH").unwrap()));
    let listed = environment.run(shell);
    daemon.kill().unwrap();
    daemon.wait().unwrap();
    assert_eq!(listed.ok().stdout, "main\n");
}

#[tokio::test]
async fn a_far_page_is_opened_through_the_tunnel_that_visit_offers() {
    let environment = TestEnvironment::new();
    let _daemon = environment.daemon();
    let server = SshServer::start(&environment);
    environment.run(server.nbapps(&environment, &["create", "crm", "--start"])).ok();
    let visit = environment.run(server.nbapps(&environment, &["visit", "crm", "--sign-in"])).ok();
    assert!(visit.stderr.contains("not of this machine"), "{}", visit.stderr);
    let tunnel = visit.stderr.lines().find(|line| line.starts_with("  ssh -N -L ")).unwrap();
    let url = visit.stderr.split("then open: ").nth(1).unwrap().lines().next().unwrap();
    // The far machine is this one, so its port is in use here, and another one is forwarded.
    assert_ne!(visit.stdout.trim(), url);
    let mut ssh = environment.command("sh");
    ssh.args(["-c", &format!("exec {}", tunnel.trim())]).env("PATH", server.path());
    let mut ssh = ssh.stderr(Stdio::null()).spawn().unwrap();
    let address = url.split('/').nth(2).unwrap();
    until("the port is forwarded", || std::net::TcpStream::connect(address).is_ok());
    let browser = reqwest::Client::builder().cookie_store(true).build().unwrap();
    let page = browser.get(url).send().await.unwrap().text().await.unwrap();
    ssh.kill().unwrap();
    ssh.wait().unwrap();
    assert!(page.contains("Sign out"), "{page}");
}
