//! `nbapps completions`: prints the completion script of a shell.

use clap::Args;

use crate::cli::completion::{self, Shell};
use crate::cli::context::Context;
use crate::cli::error::CliError;

/// Print the script that makes a shell complete nbapps
///
/// Completion asks the running daemon for the IDs of applications; it never starts one.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  echo 'source <(nbapps completions bash)' >> ~/.bashrc
  echo 'source <(nbapps completions zsh)' >> ~/.zshrc
  echo 'nbapps completions fish | source' >> ~/.config/fish/config.fish")]
pub(crate) struct Completions {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

impl Completions {
    /// Prints the script.
    pub(crate) fn run(&self, context: &Context) -> Result<(), CliError> {
        context.console.raw(completion::script(self.shell))
    }
}
