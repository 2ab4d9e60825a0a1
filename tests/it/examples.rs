//! Runs the examples as their readers do.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::environment::{Ran, TestEnvironment};

/// The command of each example: two scripts, and a program that Cargo builds with the tests.
fn example(name: &str) -> PathBuf {
    if name.contains('.') {
        return Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name);
    }
    let program = Path::new(env!("CARGO_BIN_EXE_nbapps")).with_file_name("examples").join(name);
    assert!(program.exists(), "{} is not built: run cargo build --examples", program.display());
    program
}

fn run(environment: &TestEnvironment, name: &str, arguments: &[&str]) -> Ran {
    let mut command = Command::new(example(name));
    command.env("NBAPPS_SOCKET", environment.socket()).args(arguments);
    environment.run(command)
}

#[test]
fn each_example_creates_a_running_application() {
    let environment = TestEnvironment::new();
    let daemon = environment.daemon();
    for (name, id) in [
        ("create_application", "by-library"),
        ("create-application.sh", "by-shell"),
        ("create_application.py", "by-python"),
    ] {
        let ran = run(&environment, name, &[id]).ok();
        assert!(ran.stdout.contains("running"), "{name}: {}", ran.stdout);
        assert_eq!(daemon.state(id), "running", "{name}");
        // Again: the application exists already.
        let again = run(&environment, name, &[id]);
        assert_ne!(again.code, 0, "{name}");
        assert!(format!("{}{}", again.stdout, again.stderr).contains("already"), "{name}: {}", again.stderr);
        assert_ne!(run(&environment, name, &[]).code, 0, "{name}");
    }
}

#[test]
fn each_example_prints_a_hint_without_a_daemon() {
    let environment = TestEnvironment::new();
    for name in ["create_application", "create-application.sh", "create_application.py"] {
        let ran = run(&environment, name, &["crm"]);
        assert!(ran.code != 0 && ran.stderr.contains("nbapps daemon start"), "{name}: {}", ran.stderr);
    }
}
