//! `nbapps completions`: prints the completion script of a shell.

use clap::{Args, ValueEnum};

use crate::cli::completion;
use crate::cli::context::Context;
use crate::cli::error::CliError;

/// A shell whose completion is supported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Shell {
    /// Bash 4 and newer
    Bash,
    /// Z shell
    Zsh,
    /// fish
    Fish,
}

impl Shell {
    /// All of them.
    pub(crate) const ALL: [Self; 3] = [Self::Bash, Self::Zsh, Self::Fish];

    /// Its name.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Bash => "bash",
            Self::Zsh => "zsh",
            Self::Fish => "fish",
        }
    }
}

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
