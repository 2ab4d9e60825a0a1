//! `nbapps key`: the API keys of an application.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};

use crate::cli::complete;
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::output::{Format, people};
use crate::cli::secret_file::SecretFile;
use crate::cli::values;
use crate::protocol::methods::{KeyCreate, KeyListMethod, KeyRevoke};
use crate::protocol::{ApiKey, AppId, CreateKey, ListKeys, RevokeKey};

/// Create, list and revoke API keys, by which programs act for a user
///
/// A program sends the key with each request: Authorization: Bearer KEY.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  nbapps key create crm --name ci --user ada --output-file ./key
  nbapps key list crm")]
pub(crate) struct KeyArgs {
    #[command(subcommand)]
    command: KeyCommand,
}

#[derive(Debug, Subcommand)]
enum KeyCommand {
    Create(Create),
    List(List),
    Revoke(Revoke),
}

/// Create an API key and print it, once
///
/// Prints the key alone to standard output, unless it goes to a file. It is not stored, and cannot be shown again.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  KEY=$(nbapps key create crm --name ci --user ada --expires 1h)
  nbapps key create crm --name backup --role admin --output-file ./key")]
struct Create {
    /// The application
    #[arg(value_name = "ID", value_parser = values::app_id, add = complete::existing())]
    id: AppId,

    /// What the key is called
    #[arg(long, value_name = "NAME")]
    name: String,

    /// The user for whom it acts [default: the first root user]
    #[arg(long, value_name = "USER", add = complete::users())]
    user: Option<String>,

    /// The role in which it acts [default: the user's default role, or its only one]
    #[arg(long, value_name = "ROLE", add = complete::roles())]
    role: Option<String>,

    /// How long it is good, such as 12h or 30d; or never
    #[arg(long, value_name = "DURATION", default_value = "30d", value_parser = values::expiry)]
    expires: String,

    /// Write the key to this new file, which only this user can read
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    output_file: Option<PathBuf>,
}

/// List the API keys of all users of an application
#[derive(Debug, Args)]
#[command(visible_alias = "ls")]
#[command(after_help = "\
Examples:
  nbapps key list crm
  nbapps key list crm -o json")]
struct List {
    /// The application
    #[arg(value_name = "ID", value_parser = values::app_id, add = complete::existing())]
    id: AppId,
}

/// Revoke an API key: it is refused from now on
#[derive(Debug, Args)]
#[command(visible_alias = "rm")]
#[command(after_help = "\
Examples:
  nbapps key revoke crm ci
  nbapps key revoke crm 7")]
struct Revoke {
    /// The application
    #[arg(value_name = "ID", value_parser = values::app_id, add = complete::existing())]
    id: AppId,

    /// The key, by number, or by name where one key alone has it
    #[arg(value_name = "KEY", add = complete::keys())]
    key: String,
}

impl KeyArgs {
    /// Runs the command on keys.
    pub(crate) async fn run(self, context: &Context) -> Result<(), CliError> {
        match self.command {
            KeyCommand::Create(create) => create.run(context).await,
            KeyCommand::List(list) => list.run(context).await,
            KeyCommand::Revoke(revoke) => revoke.run(context).await,
        }
    }
}

impl Create {
    async fn run(self, context: &Context) -> Result<(), CliError> {
        let console = &context.console;
        if console.format == Format::Name && self.output_file.is_none() {
            return Err(CliError::usage(
                "the key would be lost: --output name does not show it",
                "add --output-file FILE, or use another format",
            ));
        }
        // Before the key exists: a file that cannot be written must not lose it.
        let file = self.output_file.map(|path| SecretFile::create("--output-file: ", path)).transpose()?;
        let client = context.connect().await?;
        let Self { id, name, user, role, expires, .. } = self;
        let request = CreateKey { id, name, user, role, expires_in: expires };
        let mut created = context.ask::<KeyCreate>(&client, request).await?;
        let number = created.key.id.to_string();
        let note = people::key_created(&created.key, file.as_ref().map(SecretFile::path));
        if let Some(file) = file {
            file.keep(&created.token.take().unwrap_or_default())?;
        }
        if console.is_for_people() {
            console.raw(created.token.as_deref().unwrap_or_default())?;
            console.note(&note);
            return Ok(());
        }
        console.show(&created, &number, String::new)
    }
}

impl List {
    async fn run(self, context: &Context) -> Result<(), CliError> {
        let client = context.connect().await?;
        let keys =
            context.ask::<KeyListMethod>(&client, ListKeys { id: self.id, running_only: false }).await?.keys;
        let console = &context.console;
        if keys.is_empty() && console.is_for_people() {
            console.note("the application has no API keys");
            return Ok(());
        }
        if console.format == Format::Name {
            let numbers: Vec<String> = keys.iter().map(|key| key.id.to_string()).collect();
            return console.raw(&numbers.join("\n"));
        }
        console.list(&keys, |_| "", || people::keys(&keys, console.width()))
    }
}

impl Revoke {
    async fn run(self, context: &Context) -> Result<(), CliError> {
        let client = context.connect().await?;
        let revoked: ApiKey =
            context.ask::<KeyRevoke>(&client, RevokeKey { id: self.id, key: self.key }).await?;
        let number = revoked.id.to_string();
        context.console.show(&revoked, &number, || people::key_revoked(&revoked))
    }
}
