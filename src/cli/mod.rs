//! The command `nbapps`.
//!
//! [`main`] parses the command line, runs the command, and returns its exit code (`exit.rs`). Each command
//! is a file in `commands/`, prints through `output/`, and gets a context (`context.rs`). Only what a command
//! needs is set up: completion answers before a runtime exists, and the others use one thread.

mod apply;
mod commands;
mod complete;
mod completed_line;
mod completion;
mod confirm;
mod context;
mod environment;
mod error;
mod exit;
mod far_answers;
mod filter;
#[cfg(test)]
mod generated;
mod interrupt;
mod kept;
mod many;
mod output;
mod sampling;
mod secret_file;
mod selection;
mod shell;
mod suggest;
mod template;
#[cfg(test)]
mod tests;
mod top;
mod values;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tokio::runtime::Runtime;

use commands::{
    api, completions, config, create, daemon, db, delete, doctor, events, export, key, list, logs, metrics,
    operation, rename, restart, schema, show, start, stats, stop, top as top_command, undelete, update, user,
    visit, wait,
};
use commands::{context as context_command, shell as shell_command};
use context::{Context, GlobalOptions};
use error::CliError;
use exit::Exit;
use output::Format;

/// Manage many data applications in one host process
///
/// nbapps talks to the daemon nbappsd over its control socket. It uses the daemon that --socket, --host or
/// --context names, else NBAPPS_SOCKET, NBAPPS_HOST or NBAPPS_CONTEXT, else the current context, else the
/// running daemon of this user, else the system's at /run/nbapps where this user may use it. Where there is
/// none, it starts one in the background and says so. `nbapps daemon status` tells which daemon that is, and
/// why.
#[derive(Debug, Parser)]
#[command(name = "nbapps", version, propagate_version = false, max_term_width = 100)]
#[command(subcommand_required = true, arg_required_else_help = true)]
#[command(after_help = "\
Examples:
  nbapps create crm --start
  nbapps visit crm --sign-in
  nbapps list

Each command has examples in its own help: nbapps create --help")]
#[command(after_long_help = after_long_help())]
struct Cli {
    #[command(flatten)]
    global: GlobalOptions,

    #[command(subcommand)]
    command: Command,
}

fn after_long_help() -> String {
    format!(
        "\
Examples:
  nbapps create crm --start
  nbapps visit crm --sign-in
  nbapps list

Each command has examples in its own help: nbapps create --help

Exit codes:
{}

Environment:
  NBAPPS_SOCKET       the control socket, as --socket
  NBAPPS_HOST         another machine, as --host
  NBAPPS_CONTEXT      a context, as --context
  NBAPPS_AUTOSTART    0 to start no daemon, as --no-autostart
  NBAPPS_DATA_DIR     the data directory of a daemon that is started
  NO_COLOR            no colour
  CLICOLOR_FORCE      colour even where there is no terminal",
        Exit::MEANINGS
    )
}

#[derive(Debug, Subcommand)]
enum Command {
    Create(Box<create::Create>),
    #[command(visible_alias = "ls")]
    List(list::List),
    Show(show::Show),
    Visit(visit::VisitArgs),
    Start(start::Start),
    Stop(stop::Stop),
    Restart(restart::Restart),
    Update(Box<update::Update>),
    Rename(rename::Rename),
    #[command(visible_alias = "rm")]
    Delete(delete::Delete),
    Undelete(undelete::Undelete),
    Wait(wait::WaitArgs),
    Logs(logs::LogsArgs),
    Events(events::EventsArgs),
    User(user::UserArgs),
    Key(key::KeyArgs),
    Api(Box<api::Api>),
    Db(db::Db),
    Apply(Box<commands::apply::Apply>),
    Export(export::Export),
    Schema(schema::Schema),
    Stats(stats::StatsArgs),
    Top(top_command::Top),
    Metrics(metrics::MetricsArgs),
    #[command(visible_alias = "operations")]
    Operation(operation::OperationArgs),
    Doctor(doctor::Doctor),
    Shell(shell_command::Shell),
    Context(context_command::ContextArgs),
    Daemon(daemon::Daemon),
    Config(config::Config),
    Completions(completions::Completions),
}

/// Runs the command of the process's command line, and returns its exit code.
#[must_use]
pub fn main() -> ExitCode {
    completion::answer();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help goes to standard output and is not an error.
            let error = suggest::improve(error);
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage } else { Exit::Done }.into();
        }
    };
    let context = Context::new(cli.global);
    environment::note_mistyped(&context.console);
    report(run(cli.command, &context), &context).into()
}

/// Prints the error of a command, and gives the exit code.
fn report(result: Result<(), CliError>, context: &Context) -> Exit {
    let Err(error) = result else { return Exit::Done };
    let exit = error.exit();
    if !matches!(error, CliError::ClosedPipe | CliError::Reported(_)) {
        context.console.error(&error);
    }
    if exit == Exit::Unreachable {
        context.note_current_context();
    }
    exit
}

/// Runs a command, on a runtime only if it connects to a daemon.
fn run(command: Command, context: &Context) -> Result<(), CliError> {
    if context.console.format == Format::Toml && !matches!(command, Command::Export(_)) {
        return Err(output::no_toml());
    }
    let command = match command {
        Command::Completions(completions) => return completions.run(context),
        Command::Config(config) => return config.run(context),
        Command::Context(command) => return command.run(context),
        Command::Shell(shell) => return shell.run(context),
        Command::Schema(schema) => return schema.run(context),
        Command::Daemon(daemon) => match daemon.run_in_place(context)? {
            Ok(()) => return Ok(()),
            Err(daemon) => Command::Daemon(daemon),
        },
        command => command,
    };
    let runtime = runtime()?;
    let result = runtime.block_on(Box::pin(dispatch(command, context)));
    // A read of standard input cannot be cancelled, and must not delay the exit.
    runtime.shutdown_background();
    result
}

/// A runtime on this thread.
fn runtime() -> Result<Runtime, CliError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| CliError::Io { what: "cannot start the runtime".to_owned(), error })
}

async fn dispatch(command: Command, context: &Context) -> Result<(), CliError> {
    match command {
        Command::Create(command) => command.run(context).await,
        Command::List(command) => command.run(context).await,
        Command::Show(command) => command.run(context).await,
        Command::Visit(command) => command.run(context).await,
        Command::Start(command) => command.run(context).await,
        Command::Stop(command) => command.run(context).await,
        Command::Restart(command) => command.run(context).await,
        Command::Update(command) => command.run(context).await,
        Command::Rename(command) => command.run(context).await,
        Command::Delete(command) => command.run(context).await,
        Command::Undelete(command) => command.run(context).await,
        Command::Wait(command) => command.run(context).await,
        Command::Logs(command) => command.run(context).await,
        Command::Events(command) => command.run(context).await,
        Command::User(command) => command.run(context).await,
        Command::Key(command) => command.run(context).await,
        Command::Api(command) => command.run(context).await,
        Command::Db(command) => command.run(context).await,
        Command::Apply(command) => Box::pin(command.run(context)).await,
        Command::Export(command) => Box::pin(command.run(context)).await,
        Command::Schema(command) => command.run(context),
        Command::Stats(command) => command.run(context).await,
        Command::Top(command) => command.run(context).await,
        Command::Metrics(command) => command.run(context).await,
        Command::Operation(command) => command.run(context).await,
        Command::Doctor(command) => command.run(context).await,
        Command::Daemon(command) => command.run(context).await,
        Command::Config(command) => command.run(context),
        Command::Context(command) => command.run(context),
        Command::Shell(command) => command.run(context),
        Command::Completions(command) => command.run(context),
    }
}
