//! `nbapps context`: names daemons, and chooses the one that commands use which name none.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde::Serialize;

use crate::cli::complete;
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::output::table::{self, Fit};
use crate::client::contexts::{ContextName, Contexts};
use crate::client::discovery::{self, DiscoveryError};
use crate::client::{Address, ClientError, shell};

/// Name daemons, and choose the one that commands use
///
/// A context is a name for a daemon: of another machine, over ssh, or at a socket of this one. Commands that
/// name no daemon use the current context; `--context NAME` and NBAPPS_CONTEXT choose one for a command or
/// a session. `local` is built in: it is this machine's daemon, and the current context at first.
///
/// The contexts are in $XDG_CONFIG_HOME/nbapps/contexts.toml, or in ~/.config.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  nbapps context add prod ssh://ops@apps.example.com --use
  nbapps --context local list")]
pub(crate) struct ContextArgs {
    #[command(subcommand)]
    command: ContextCommand,
}

#[derive(Debug, Subcommand)]
enum ContextCommand {
    Add(Add),
    Use(Use),
    #[command(visible_alias = "ls")]
    List(List),
    #[command(alias = "inspect")]
    Show(Show),
    Current(Current),
    #[command(visible_alias = "rm", alias = "delete")]
    Remove(Remove),
}

/// Give a daemon a name
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  nbapps context add prod ssh://ops@apps.example.com:2222
  nbapps context add test /srv/test/control.sock --use")]
struct Add {
    /// Its name: letters, digits, dots, underscores and dashes
    name: ContextName,

    /// ssh://[USER@]SERVER[:PORT], or the path of a control socket [default: that of --host or --socket]
    address: Option<String>,

    /// Make it the current context
    #[arg(long = "use")]
    select: bool,

    /// Change the address of a context that exists
    #[arg(long)]
    replace: bool,
}

/// Make a context the current one
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  nbapps context use prod
  nbapps context use local")]
struct Use {
    /// The context; local is this machine's daemon
    #[arg(add = complete::contexts())]
    name: ContextName,
}

/// List the contexts
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  nbapps context list
  nbapps context list -o json | jq -r '.[] | select(.current) | .address'")]
struct List {}

/// Show a context
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  nbapps context show
  nbapps context show prod -o json")]
struct Show {
    /// The context [default: the current one]
    #[arg(add = complete::contexts())]
    name: Option<ContextName>,
}

/// Print the name of the current context
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  nbapps context current
  PS1='$(nbapps context current) \\$ '")]
struct Current {}

/// Forget contexts; their daemons are not touched
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  nbapps context remove prod
  nbapps context use local && nbapps context remove prod test")]
struct Remove {
    /// The contexts
    #[arg(value_name = "NAME", required = true, add = complete::contexts())]
    names: Vec<ContextName>,
}

/// A context as it is printed.
#[derive(Debug, Serialize)]
struct Shown {
    name: String,
    /// Absent for `local`, which is whichever daemon runs here.
    address: Option<String>,
    current: bool,
}

impl ContextArgs {
    /// Runs the command, which talks to no daemon.
    pub(crate) fn run(self, context: &Context) -> Result<(), CliError> {
        match self.command {
            ContextCommand::Add(add) => add.run(context),
            ContextCommand::Use(select) => select.run(context),
            ContextCommand::List(List {}) => list(context),
            ContextCommand::Show(show) => show.run(context),
            ContextCommand::Current(Current {}) => current(context),
            ContextCommand::Remove(remove) => remove.run(context),
        }
    }
}

impl Add {
    fn run(self, context: &Context) -> Result<(), CliError> {
        let Self { name, address, select, replace } = self;
        if name.is_local() {
            return Err(CliError::usage(
                "the context \"local\" is built in, and is this machine's daemon",
                "choose another name",
            ));
        }
        let options = &context.options;
        let address = match (address, &options.host, &options.socket, &options.context) {
            (_, _, _, Some(_)) => return Err(two_addresses("--context")),
            (Some(_), Some(_), ..) => return Err(two_addresses("--host")),
            (Some(_), _, Some(_), _) => return Err(two_addresses("--socket")),
            (Some(text), None, None, None) => parse(&text)?,
            (None, Some(host), ..) => host.clone(),
            (None, None, Some(path), _) => socket(path),
            (None, None, None, None) => {
                return Err(CliError::usage(
                    format!("the address of the context \"{name}\" is missing"),
                    format!("give it: nbapps context add {name} ssh://USER@SERVER, or the path of a socket"),
                ));
            }
        };
        Contexts::change(|contexts| {
            if !replace && contexts.has(&name) {
                return Err(CliError::Conflict {
                    message: format!("there is a context \"{name}\" already"),
                    hint: Some("add --replace to change its address, or choose another name".to_owned()),
                });
            }
            contexts.set(name.clone(), address.clone());
            if select {
                contexts.select(&name);
            }
            Ok(())
        })?;
        match select {
            true => note_current(context, &name),
            false => context
                .console
                .note(&format!("added {name} ({address}); use it with: nbapps context use {name}")),
        }
        Ok(())
    }
}

fn two_addresses(option: &str) -> CliError {
    CliError::usage(
        format!("the address of the context cannot be used with {option}"),
        "give one address: NAME ssh://USER@SERVER, or NAME PATH",
    )
}

/// An address as it is given: what has a scheme is a host, everything else the path of a socket.
fn parse(text: &str) -> Result<Address, CliError> {
    match text.contains("://") {
        true => text.parse().map_err(|error| {
            CliError::usage(format!("{error}"), "a socket of this machine is given by its path")
        }),
        false if text.contains('/') => Ok(socket(Path::new(text))),
        false => Err(CliError::usage(
            format!("\"{text}\" is neither a host nor the path of a socket"),
            format!("give ssh://{text}, or a path such as ./{}", shell::word(text.as_bytes())),
        )),
    }
}

/// The path of a socket, from the root: commands use it in other directories.
fn socket(path: &Path) -> Address {
    Address::Socket(std::path::absolute(path).unwrap_or_else(|_| PathBuf::from(path)))
}

impl Use {
    fn run(self, context: &Context) -> Result<(), CliError> {
        Contexts::change(|contexts| {
            check(contexts, &self.name)?;
            contexts.select(&self.name);
            Ok::<_, CliError>(())
        })?;
        note_current(context, &self.name);
        Ok(())
    }
}

/// Says which context is current, and what goes before it.
fn note_current(context: &Context, name: &ContextName) {
    context.console.note(&format!("the current context is {name}"));
    if let Some(variable) = discovery::overriding_variable() {
        context.console.note(&format!("{variable} is set, and goes before the current context: unset it"));
    }
}

fn check(contexts: &Contexts, name: &ContextName) -> Result<(), CliError> {
    match contexts.has(name) {
        true => Ok(()),
        false => Err(CliError::NotFound {
            message: format!("there is no context \"{name}\""),
            hint: Some("list the contexts with: nbapps context list".to_owned()),
        }),
    }
}

/// A context with what is printed of it.
fn shown(contexts: &Contexts, name: &ContextName, current: &ContextName) -> Shown {
    Shown {
        name: name.to_string(),
        address: contexts.get(name).map(ToString::to_string),
        current: name == current,
    }
}

fn place(shown: &Shown) -> &str {
    shown.address.as_deref().unwrap_or("this machine's daemon")
}

/// The context that is current now: the one that an option or the environment names, else that of the file.
fn current_name(context: &Context, contexts: &Contexts) -> Result<ContextName, CliError> {
    let variable =
        discovery::named_context().map_err(|error| ClientError::from(DiscoveryError::ContextName(error)))?;
    match context.options.context.clone().or(variable) {
        Some(name) => check(contexts, &name).map(|()| name),
        None => Ok(contexts.current().cloned().unwrap_or_else(ContextName::local)),
    }
}

fn list(context: &Context) -> Result<(), CliError> {
    let contexts = Contexts::load()?;
    let current = current_name(context, &contexts)?;
    let local = ContextName::local();
    let names = std::iter::once(&local).chain(contexts.iter().map(|(name, _)| name));
    let all: Vec<Shown> = names.map(|name| shown(&contexts, name, &current)).collect();
    let text = || {
        let row = |shown: &Shown| {
            vec![
                table::cell(if shown.current { "*" } else { "" }),
                table::cell(&shown.name),
                table::cell(place(shown)),
            ]
        };
        let fit = Fit { width: context.console.width(), narrowed: &[(2, 12)], may_drop: false };
        table::columns(&["", "NAME", "ADDRESS"], all.iter().map(row), fit)
    };
    context.console.list(&all, |shown| &shown.name, text)
}

impl Show {
    fn run(self, context: &Context) -> Result<(), CliError> {
        let contexts = Contexts::load()?;
        let current = current_name(context, &contexts)?;
        let name = self.name.unwrap_or_else(|| current.clone());
        check(&contexts, &name)?;
        let shown = shown(&contexts, &name, &current);
        context.console.show(&shown, &shown.name, || {
            table::listing([
                ("Context", table::cell(&shown.name)),
                ("Address", table::cell(place(&shown))),
                ("Current", table::cell(if shown.current { "yes" } else { "no" })),
            ])
        })
    }
}

fn current(context: &Context) -> Result<(), CliError> {
    let contexts = Contexts::load()?;
    let name = current_name(context, &contexts)?;
    let shown = shown(&contexts, &name, &name);
    context.console.show(&shown, &shown.name, || shown.name.clone())
}

impl Remove {
    fn run(self, context: &Context) -> Result<(), CliError> {
        Contexts::change(|contexts| {
            for name in &self.names {
                if name.is_local() {
                    return Err(CliError::refused(
                        "the context \"local\" is built in and cannot be removed",
                        "leave it out",
                    ));
                }
                check(contexts, name)?;
                if contexts.current() == Some(name) {
                    return Err(CliError::Conflict {
                        message: format!("\"{name}\" is the current context; nothing was removed"),
                        hint: Some("use another one first: nbapps context use local".to_owned()),
                    });
                }
            }
            self.names.iter().for_each(|name| contexts.remove(name));
            Ok(())
        })?;
        let names: Vec<_> = self.names.iter().map(ContextName::as_str).collect();
        context.console.note(&format!("removed {}", names.join(", ")));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_or_a_path() {
        assert_eq!(parse("ssh://ops@server").unwrap(), "ssh://ops@server".parse().unwrap());
        assert_eq!(parse("/run/x.sock").unwrap(), Address::Socket("/run/x.sock".into()));
        let here = std::env::current_dir().unwrap();
        assert_eq!(parse("./x.sock").unwrap(), Address::Socket(here.join("x.sock")));
        for wrong in ["server", "tcp://server:1", "ops@server", ""] {
            assert!(matches!(parse(wrong), Err(CliError::Usage { .. })), "{wrong}");
        }
    }
}
