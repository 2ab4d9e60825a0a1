//! Writes commands in hints and notes so that they act on the daemon of this command: a line that is copied
//! needs the same `--host` or `--socket`.

use std::path::Path;

use crate::client::{Address, SshHost, shell};

/// The commands of `nbapps` that talk to a daemon.
pub(super) const COMMANDS: &[&str] = &[
    "create",
    "list",
    "ls",
    "show",
    "visit",
    "start",
    "stop",
    "restart",
    "update",
    "rename",
    "delete",
    "rm",
    "undelete",
    "wait",
    "logs",
    "events",
    "user",
    "key",
    "api",
    "db",
    "operation",
    "operations",
    "daemon",
];

/// The options that name the daemon, as commands in messages repeat them.
#[derive(Debug, Clone, Default)]
pub(super) struct Addressing {
    /// The option with its value, quoted for a shell.
    option: Option<String>,
    /// The machine, where the daemon is on another one.
    host: Option<SshHost>,
}

impl Addressing {
    /// The options of this command line. What the environment names, later commands find there, too.
    pub(super) fn new(host: Option<&Address>, socket: Option<&Path>) -> Self {
        let word = |text: &[u8]| shell::word(text);
        match (host, socket) {
            (Some(Address::Ssh(host)), _) => Self {
                option: Some(format!("--host {}", word(host.to_string().as_bytes()))),
                host: Some(host.clone()),
            },
            (Some(Address::Socket(path)), _) => Self::new(None, Some(path)),
            (None, Some(path)) => Self {
                option: Some(format!("--socket {}", word(path.as_os_str().as_encoded_bytes()))),
                host: None,
            },
            (None, None) => Self::default(),
        }
    }

    /// Adds the options to each command of `nbapps` in a text.
    pub(super) fn address(&self, text: &str) -> String {
        let Some(option) = &self.option else { return text.to_owned() };
        let mut addressed = String::with_capacity(text.len() + option.len());
        let mut rest = text;
        while let Some(at) = rest.find(PROGRAM) {
            let (before, from) = rest.split_at(at);
            let behind = &from[PROGRAM.len()..];
            addressed.push_str(before);
            let begins_word = !before.ends_with(|c: char| c.is_alphanumeric() || "-_./@:".contains(c));
            match &self.host {
                _ if !begins_word || !is_command(behind) => addressed.push_str(PROGRAM),
                Some(host) if is_for_the_machine(behind) => {
                    addressed.push_str(&host.command_line());
                    addressed.push(' ');
                    addressed.push_str(PROGRAM);
                }
                _ => {
                    addressed.push_str(PROGRAM);
                    addressed.push_str(option);
                    addressed.push(' ');
                }
            }
            rest = behind;
        }
        addressed.push_str(rest);
        addressed
    }
}

/// The name of the program as commands begin with it.
const PROGRAM: &str = "nbapps ";

/// The words of a text, without the punctuation of the sentence around them.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split_whitespace().map(|word| word.trim_end_matches([';', ',', '.', ':', ')', '`']))
}

/// Whether a text begins with a command that talks to a daemon.
fn is_command(text: &str) -> bool {
    let mut words = words(text);
    words.next().is_some_and(|word| COMMANDS.contains(&word)) && words.next() != Some("--help")
}

/// Whether a text begins with a command that must run on the daemon's machine.
fn is_for_the_machine(text: &str) -> bool {
    let mut words = words(text);
    words.next() == Some("daemon") && matches!(words.next(), Some("start" | "run"))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn every_command_that_talks_to_a_daemon_is_known() {
        let mut known = COMMANDS.to_vec();
        let command = crate::cli::Cli::command();
        let talking = command
            .get_subcommands()
            .filter(|command| !["completions", "config", "help"].contains(&command.get_name()));
        let mut names: Vec<_> = talking
            .flat_map(|command| std::iter::once(command.get_name()).chain(command.get_all_aliases()))
            .collect();
        names.sort_unstable();
        known.sort_unstable();
        assert_eq!(names, known);
    }

    #[test]
    fn commands_in_messages_reach_the_same_daemon() {
        let socket = Addressing::new(None, Some(Path::new("/home/ada l/s")));
        let host = "ssh://ops@server:2222".parse::<Address>().unwrap();
        let host = Addressing::new(Some(&host), None);
        for (text, at_socket, at_host) in [
            (
                "list them with: nbapps list",
                "list them with: nbapps --socket '/home/ada l/s' list",
                "list them with: nbapps --host ssh://ops@server:2222 list",
            ),
            (
                "see why with: nbapps show crm; nbapps logs crm",
                "see why with: nbapps --socket '/home/ada l/s' show crm; nbapps --socket '/home/ada l/s' logs crm",
                "see why with: nbapps --host ssh://ops@server:2222 show crm; nbapps --host ssh://ops@server:2222 logs \
                 crm",
            ),
            (
                "start a daemon with: nbapps daemon start",
                "start a daemon with: nbapps --socket '/home/ada l/s' daemon start",
                "start a daemon with: ssh -p 2222 ops@server nbapps daemon start",
            ),
            (
                "look at it with `nbapps daemon status`, or wait",
                "look at it with `nbapps --socket '/home/ada l/s' daemon status`, or wait",
                "look at it with `nbapps --host ssh://ops@server:2222 daemon status`, or wait",
            ),
        ] {
            assert_eq!(socket.address(text), at_socket);
            assert_eq!(host.address(text), at_host);
            assert_eq!(Addressing::default().address(text), text);
        }
        for untouched in [
            "use nbapps and nbappsd of the same version",
            "examples are in: nbapps create --help",
            "/opt/nbapps list",
            "nbapps",
        ] {
            assert_eq!(host.address(untouched), untouched);
        }
    }
}
