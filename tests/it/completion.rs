//! Completion in real shells: of commands and options, and of application IDs, which the running daemon lists.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use crate::environment::TestEnvironment;

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("completions").join(name)
}

/// A shell with `nbapps` in its path and this environment's daemon.
fn shell(environment: &TestEnvironment, program: &str) -> Command {
    let mut command = environment.command(program);
    let programs = Path::new(env!("CARGO_BIN_EXE_nbapps")).parent().unwrap();
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
    command.env("PATH", path).env("NBAPPS_SOCKET", environment.socket()).env("TERM", "xterm");
    command
}

/// The completions that bash offers for the last word of a line.
fn bash(environment: &TestEnvironment, line: &str) -> Vec<String> {
    let words: Vec<&str> = line.split(' ').collect();
    let (last, before) = (words[words.len() - 1], words[words.len() - 2]);
    let text = format!(
        "source '{}'; COMP_WORDS=({line} ''); COMP_CWORD={}; COMP_TYPE=9; \
         unset 'COMP_WORDS[-1]'; _clap_complete_nbapps nbapps '{last}' '{before}' 2>/dev/null; \
         printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        script("nbapps.bash").display(),
        words.len() - 1,
    );
    let mut command = shell(environment, "bash");
    command.args(["--norc", "--noprofile", "-c", &text]);
    let offered = environment.run(command).ok().stdout;
    offered.split_whitespace().map(str::to_owned).collect()
}

/// The completions that fish offers.
fn fish(environment: &TestEnvironment, line: &str) -> Vec<String> {
    let text = format!("source '{}'; complete --do-complete '{line}'", script("nbapps.fish").display());
    let mut command = shell(environment, "fish");
    command.args(["--no-config", "-c", &text]);
    let offered = environment.run(command).ok().stdout;
    // Each line is a word, a tab and a description.
    offered.lines().filter_map(|line| line.split('\t').next()).map(str::to_owned).collect()
}

#[test]
fn bash_and_fish_offer_applications_commands_and_options() {
    let environment = TestEnvironment::new();
    let daemon = environment.daemon();
    for id in ["customers", "custody", "hr"] {
        daemon.call("app.create", json!({"id": id, "name": "It's <odd>: $(x) `y`"}));
    }
    daemon.call("app.create", json!({"id": "gone"}));
    daemon.call("app.delete", json!({"id": "gone"}));
    for (line, offered) in [
        ("nbapps show cu", &["custody", "customers"][..]),
        ("nbapps show h", &["hr"]),
        ("nbapps stop hr cust", &["custody", "customers"]),
        ("nbapps undelete g", &["gone"]),
        ("nbapps show gon", &[]),
        ("nbapps und", &["undelete"]),
        ("nbapps create --start-", &["--start-mode"]),
        ("nbapps create --start-mode with", &["with-main"]),
    ] {
        for (name, mut found) in [("bash", bash(&environment, line)), ("fish", fish(&environment, line))] {
            found.sort();
            assert_eq!(found, offered, "{name}: {line}");
        }
    }
}

#[test]
fn zsh_completes_an_application_at_its_prompt() {
    let environment = TestEnvironment::new();
    let daemon = environment.daemon();
    daemon.call("app.create", json!({"id": "customers", "name": "Our customers"}));
    // One zsh types into another. The prompt shows that the shell is ready; the completed command prints a text that
    // the typed letters do not contain.
    let typed = format!(
        "zmodload zsh/zpty
        zpty inner 'zsh -f -i'
        zpty -w inner \"fpath=('{}' \\$fpath); autoload -Uz compinit; compinit -u -D; PS1='read''y> '\"
        zpty -r inner seen '*ready> *'
        zpty -w -n inner $'nbapps show cust\\t\\r'
        zpty -r inner seen '*(Location|error:)*' && print -r -- \"$seen\"
        zpty -d inner",
        script("").display()
    );
    let mut command = shell(&environment, "zsh");
    command.args(["-f", "-c", &typed]);
    let ran = environment.run(command).ok();
    assert!(ran.stdout.contains("Our customers"), "{} {}", ran.stdout, ran.stderr);
}

#[test]
fn completion_without_a_daemon_is_silent_and_starts_no_daemon() {
    let environment = TestEnvironment::new();
    assert_eq!(bash(&environment, "nbapps show cu"), [""; 0]);
    assert_eq!(fish(&environment, "nbapps show cu"), [""; 0]);
    assert!(!environment.socket().exists());
}
