//! Completion of what daemons on other machines have, through a real `sshd`.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;

use serde_json::json;

use crate::completion::{Prompt, TestShell};
use crate::dial::{dials, until};
use crate::environment::TestEnvironment;
use crate::ssh_server::SshServer;

/// What completion offers for the last of these words.
fn offered(environment: &TestEnvironment, server: &SshServer, words: &[&str]) -> Vec<String> {
    let mut command = environment.nbapps_command(&["--", "nbapps"]);
    command.args(words).env("NBAPPS_COMPLETE", "bash").env("PATH", server.path());
    command.env_remove("NBAPPS_SOCKET");
    environment.run(command).ok().stdout.lines().map(str::to_owned).collect()
}

fn add(environment: &TestEnvironment, name: &str, url: &str) {
    environment.run(environment.nbapps_command(&["context", "add", name, url])).ok();
}

/// Shells in which `ssh` is that of the server.
fn set(server: &SshServer) -> impl FnOnce(&mut Command) {
    let path = server.path();
    move |command| {
        let programs = PathBuf::from(env!("CARGO_BIN_EXE_nbapps"));
        let programs = programs.parent().unwrap().display().to_string();
        command.env("PATH", format!("{programs}:{path}")).env_remove("NBAPPS_SOCKET");
    }
}

#[test]
fn ids_of_another_machine_are_completed_in_every_shell() {
    let environment = TestEnvironment::new();
    let daemon = environment.daemon();
    let server = SshServer::start(&environment);
    for id in ["customers", "hr"] {
        daemon.call("app.create", json!({"id": id}));
    }
    daemon.call("app.create", json!({"id": "gone"}));
    daemon.call("app.delete", json!({"id": "gone"}));
    add(&environment, "far", &server.url());
    for shell in [TestShell::Bash, TestShell::Zsh, TestShell::Fish] {
        let mut prompt = Prompt::at(&environment, shell.bare(), set(&server));
        prompt.runs(&shell.loads());
        for (typed, words) in [
            ("nbapps --context far show cu\t", "<nbapps><--context><far><show><customers>"),
            ("nbapps --context=f\tshow cu\t", "<nbapps><--context=far><show><customers>"),
            ("nbapps undelete --context far g\t", "<nbapps><undelete><--context><far><gone>"),
            ("nbapps context use f\t", "<nbapps><context><use><far>"),
            ("nbapps context us\tloc\t", "<nbapps><context><use><local>"),
        ] {
            // The first Tab asks in the background; a later one knows.
            until("the IDs are completed", || prompt.becomes(typed) == words);
        }
        let typed = format!("nbapps --host={} show h\t", server.url());
        let words = format!("<nbapps><--host={}><show><hr>", server.url());
        until("the IDs of a host are completed", || prompt.becomes(&typed) == words);
    }
    until("nothing stays on the other machine", || dials(&environment).is_empty());
}

#[test]
fn answers_are_kept_for_this_user_and_asked_for_again_after_a_change() {
    let environment = TestEnvironment::new();
    let daemon = environment.daemon();
    let server = SshServer::start(&environment);
    add(&environment, "far", &server.url());
    let show = ["--context", "far", "show", ""];
    until("the main application is offered", || offered(&environment, &server, &show) == ["main"]);
    let cache = environment.path("home/.cache/nbapps/completion");
    assert_eq!(std::fs::metadata(&cache).unwrap().permissions().mode() & 0o777, 0o700);
    for machine in std::fs::read_dir(&cache).unwrap() {
        for file in std::fs::read_dir(machine.unwrap().path()).unwrap() {
            assert_eq!(file.unwrap().metadata().unwrap().permissions().mode() & 0o777, 0o600);
        }
    }
    // Through a command of this machine the answers are stale at once.
    let mut create = environment.nbapps_command(&["--context", "far", "create", "crm", "--start"]);
    create.env_remove("NBAPPS_SOCKET").env("PATH", server.path());
    environment.run(create).ok();
    until("the new one is offered", || offered(&environment, &server, &show) == ["main", "crm"]);
    let sign_in = ["--context", "far", "visit", "crm", "--sign-in="];
    until("its users are offered", || {
        offered(&environment, &server, &sign_in).contains(&"--sign-in=nocobase".to_owned())
    });
    // What is kept is offered while the machine does not answer.
    drop(daemon);
    drop(server);
    let mut command = environment.nbapps_command(&["--", "nbapps", "--context", "far", "show", "c"]);
    command.env("NBAPPS_COMPLETE", "bash").env_remove("NBAPPS_SOCKET");
    assert_eq!(environment.run(command).ok().stdout, "crm\n");
}

#[test]
fn a_machine_that_never_answers_costs_nothing_visible() {
    let environment = TestEnvironment::new();
    let server = SshServer::start(&environment);
    // It accepts connections, and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ssh://{}@{}", server.user, silent.local_addr().unwrap());
    add(&environment, "silent", &url);
    add(&environment, "unknown", "ssh://nowhere.invalid");
    let mut prompt = Prompt::at(&environment, TestShell::Bash.bare(), set(&server));
    prompt.runs(&TestShell::Bash.loads());
    for context in ["silent", "unknown"] {
        for _ in 0..2 {
            let typed = format!("nbapps --context {context} show c\t");
            let words = format!("<nbapps><--context><{context}><show><c>");
            assert_eq!(prompt.becomes(&typed), words);
        }
    }
}
