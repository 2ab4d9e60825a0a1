//! `nbapps shell`: a prompt for commands.

use clap::Args;

use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::shell;

/// Run commands at a prompt, on one connection
///
/// The commands are those of nbapps, without the word nbapps. Tab completes commands, IDs and options; `use ID`
/// chooses the application of commands that name none, and `help` lists everything. Ctrl-C ends the command
/// that runs, and exit or Ctrl-D the shell. The prompt shows the daemon, the application and the exit code of a
/// command that failed. A line with a secret, or with a blank before it, is not kept in the history.
///
/// Where standard input is no terminal, it is a script: quotes and comments are as in a shell, and the first
/// command that fails ends it, with its exit code.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  nbapps --context prod shell
  printf 'start crm\\nvisit crm --print\\n' | nbapps shell")]
pub(crate) struct Shell {
    /// In a script: go on after a command that failed; the exit code is the most severe one
    #[arg(long)]
    keep_going: bool,
}

impl Shell {
    /// Runs the lines that are typed, or those of a script.
    pub(crate) fn run(&self, context: &Context) -> Result<(), CliError> {
        shell::run(context, self.keep_going)
    }
}
