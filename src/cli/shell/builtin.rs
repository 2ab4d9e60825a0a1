//! The command line of the shell: the commands of nbapps, and those that only a shell has.

use clap::{CommandFactory as _, Subcommand};

use crate::cli::{Cli, complete, values};
use crate::protocol::AppId;

/// What `help` says behind the commands.
const HELP: &str = "\
A line is a command of nbapps, with or without the word nbapps. Quotes, backslashes and # comments are as in
a shell. `help COMMAND` says more of a command.

Examples:
  use crm
  logs -n 20";

/// A command that only a shell has.
#[derive(Debug, Subcommand)]
pub(super) enum Builtin {
    /// Choose the application of commands that name none; without ID, choose none
    #[command(after_help = "\
Examples:
  use crm
  use")]
    Use {
        /// The application
        #[arg(value_name = "ID", value_parser = values::app_id, add = complete::existing())]
        id: Option<AppId>,
    },
    /// Leave the shell, with the exit code of the last command
    #[command(visible_alias = "quit")]
    Exit,
}

impl Builtin {
    /// The names of the commands.
    const NAMES: &'static [&'static str] = &["use", "exit"];

    /// Whether this is the name of such a command.
    pub(super) fn has(name: &str) -> bool {
        Self::NAMES.contains(&name)
    }
}

/// The definition of the shell's command line.
pub(super) fn command_line() -> clap::Command {
    Builtin::augment_subcommands(Cli::command())
        .override_usage("COMMAND [ARGUMENT]...")
        .about("The commands of this shell")
        .long_about("The commands of this shell")
        .after_help(HELP)
        .after_long_help(HELP)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_holds_together() {
        let command = command_line();
        command.clone().debug_assert();
        for name in Builtin::NAMES {
            assert!(command.find_subcommand(name).is_some(), "{name}");
            assert!(Cli::command().find_subcommand(name).is_none(), "{name} is a command of nbapps");
        }
    }
}
