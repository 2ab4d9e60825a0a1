//! Runs the examples as their readers do.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

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

/// Runs the example for CI with the program of these tests, from this directory of examples.
fn preview(environment: &TestEnvironment, directory: &Path, branch: &str) -> Ran {
    let programs = Path::new(env!("CARGO_BIN_EXE_nbapps")).parent().unwrap();
    let path = std::env::var("PATH").unwrap();
    let mut command = Command::new(directory.join("ci/preview.sh"));
    command.env("NBAPPS_SOCKET", environment.socket()).arg(branch);
    command.env("PATH", format!("{}:{path}", programs.display()));
    environment.run(command)
}

#[test]
fn eight_jobs_of_ci_run_at_once_and_leave_nothing() {
    let environment = TestEnvironment::new();
    let daemon = environment.daemon();
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let branches = [
        "main",
        "main",
        "Feature/Search",
        "fix_123",
        "ünïcode",
        "-",
        "a-very-long-name-of-a-branch-that-goes-on",
        "0",
    ];
    std::thread::scope(|scope| {
        let jobs: Vec<_> = branches
            .iter()
            .map(|branch| (branch, scope.spawn(|| preview(&environment, &examples, branch).ok())))
            .collect();
        for (branch, job) in jobs {
            let ran = job.join().unwrap();
            assert!(ran.stdout.contains(&format!("preview.sh: {branch} passed as ci-")), "{}", ran.stdout);
        }
    });
    assert_eq!(daemon.call("app.list", json!({}))["applications"].as_array().unwrap().len(), 1);
    let deleted = daemon.call("app.list", json!({"deleted": true}));
    assert_eq!(deleted["applications"], json!([]));
}

#[test]
fn a_job_of_ci_whose_test_fails_removes_its_application() {
    let environment = TestEnvironment::new();
    let daemon = environment.daemon();
    let examples = tempfile::tempdir().unwrap();
    let ci = examples.path().join("ci");
    std::fs::create_dir(&ci).unwrap();
    for entry in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/ci")).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), ci.join(entry.file_name())).unwrap();
    }
    std::fs::write(ci.join("tasks.json"), r#"[{"title": "Write the tests", "done": false}]"#).unwrap();
    let ran = preview(&environment, examples.path(), "broken");
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    assert!(ran.stderr.contains("0 tasks are done, not 1"), "{}", ran.stderr);
    assert_eq!(daemon.call("app.list", json!({}))["applications"].as_array().unwrap().len(), 1);
}
