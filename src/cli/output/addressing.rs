//! Writes commands in hints and notes so that they act on the daemon of this command: a line that is copied
//! needs the same `--context`, `--host` or `--socket`.

use crate::client::{SshHost, shell};

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
    "delete",
    "rm",
    "undelete",
    "wait",
    "logs",
    "events",
    "user",
    "key",
    "api",
    "apply",
    "export",
    "rename",
    "db",
    "stats",
    "top",
    "metrics",
    "operation",
    "operations",
    "doctor",
    "daemon",
    "shell",
];

/// The option that names the daemon, as commands in messages repeat it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Addressing {
    /// The option with its value, quoted for a shell.
    option: Option<String>,
    /// The machine, where the daemon is on another one.
    host: Option<SshHost>,
}

impl Addressing {
    /// The option of this command line with its value, and the machine, where the daemon is on another one. What the
    /// environment or the current context names has no option: later commands find it there, too.
    pub(crate) fn new(option: Option<(&str, &[u8])>, host: Option<&SshHost>) -> Self {
        let option = option.map(|(option, value)| format!("{option} {}", shell::word(value)));
        Self { option, host: host.cloned() }
    }

    /// Adds the options to each command of `nbapps` in a text.
    pub(super) fn address(&self, text: &str) -> String {
        if self.option.is_none() && self.host.is_none() {
            return text.to_owned();
        }
        let login = self.host.as_ref().map(SshHost::command_line);
        let mut addressed = String::with_capacity(2 * text.len());
        let mut rest = text;
        while let Some(at) = rest.find(PROGRAM) {
            let (before, from) = rest.split_at(at);
            let behind = &from[PROGRAM.len()..];
            addressed.push_str(before);
            let begins_word = !before.ends_with(|c: char| c.is_alphanumeric() || "-_./@:".contains(c));
            // Behind the login it runs on the other machine already.
            let is_there = login.as_ref().is_some_and(|login| before.trim_end().ends_with(login.as_str()));
            if begins_word && !is_there && is_command(behind) {
                self.push(&mut addressed, login.as_deref(), behind);
            } else {
                addressed.push_str(PROGRAM);
            }
            rest = behind;
        }
        addressed.push_str(rest);
        addressed
    }

    /// Adds the beginning of a command, of which `behind` is the rest.
    fn push(&self, addressed: &mut String, login: Option<&str>, behind: &str) {
        if let Some(login) = login
            && is_for_the_machine(behind)
        {
            addressed.push_str(login);
            addressed.push(' ');
            addressed.push_str(PROGRAM);
            return;
        }
        addressed.push_str(PROGRAM);
        if let Some(option) = &self.option {
            addressed.push_str(option);
            addressed.push(' ');
        }
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
    use crate::client::Address;

    #[test]
    fn every_command_that_talks_to_a_daemon_is_known() {
        let mut known = COMMANDS.to_vec();
        let command = crate::cli::Cli::command();
        let talking = command.get_subcommands().filter(|command| {
            !["completions", "config", "context", "help", "schema"].contains(&command.get_name())
        });
        let mut names: Vec<_> = talking
            .flat_map(|command| std::iter::once(command.get_name()).chain(command.get_all_aliases()))
            .collect();
        names.sort_unstable();
        known.sort_unstable();
        assert_eq!(names, known);
    }

    fn host() -> SshHost {
        match "ssh://ops@server:2222".parse() {
            Ok(Address::Ssh(host)) => host,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn commands_in_messages_reach_the_same_daemon() {
        let socket = Addressing::new(Some(("--socket", b"/home/ada l/s")), None);
        let host = Addressing::new(Some(("--host", b"ssh://ops@server:2222")), Some(&self::host()));
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
            "it is checked there with: ssh -p 2222 ops@server nbapps doctor",
            "examples are in: nbapps create --help",
            "/opt/nbapps list",
            "nbapps",
            // What runs there as it is.
            "see what it says: ssh -p 2222 ops@server nbapps daemon status",
            "run it there: ssh -p 2222 ops@server nbapps daemon start",
            "list the contexts with: nbapps context list",
            "or here: nbapps --context local daemon start",
        ] {
            assert_eq!(host.address(untouched), untouched);
        }
    }

    #[test]
    fn a_context_is_repeated_where_it_was_given() {
        let given = Addressing::new(Some(("--context", b"prod")), Some(&host()));
        let current = Addressing::new(None, Some(&host()));
        let list = "list them with: nbapps list";
        assert_eq!(given.address(list), "list them with: nbapps --context prod list");
        assert_eq!(current.address(list), list);
        // What must run on the machine does, however that was named.
        for addressing in [given, current] {
            let start = addressing.address("start a daemon with: nbapps daemon start");
            assert_eq!(start, "start a daemon with: ssh -p 2222 ops@server nbapps daemon start");
        }
    }
}
