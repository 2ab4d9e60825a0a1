//! `nbapps export`: describes applications as a document.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use crate::cli::apply::{Document, Exported, Parts, exported};
use crate::cli::complete;
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::many;
use crate::cli::output::Format;
use crate::cli::selection::{Selection, SelectorOption};
use crate::cli::values;
use crate::protocol::{AppId, Application, ListApplications, RpcError, Wait};

/// Print a document for nbapps apply that describes applications as they are
///
/// Prints TOML, or with -o yaml or json those. The document has the settings, users, names of API keys, roles and
/// collections; records and secrets are left out. To look inside, applications are started as by a visit; those that
/// are stopped are described without their inside. Of the main application, whose settings are the daemon's, the
/// document has the inside only.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  nbapps export crm > crm.toml
  nbapps export --all --settings-only -o yaml")]
pub(crate) struct Export {
    /// The applications
    #[arg(
        value_name = "ID", required_unless_present_any = ["all", "selector"],
        conflicts_with_all = ["all", "selector"],
        value_parser = values::app_id, add = complete::existing(),
    )]
    ids: Vec<AppId>,

    /// All applications
    #[arg(long, conflicts_with = "selector")]
    all: bool,

    #[command(flatten)]
    selector: SelectorOption,

    /// Leave out users, keys, roles and collections; starts no application
    #[arg(long)]
    settings_only: bool,

    /// How long an application may take
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = humantime::parse_duration)]
    timeout: Duration,
}

impl Export {
    /// Prints the document.
    pub(crate) async fn run(self, context: &Context) -> Result<(), CliError> {
        let console = &context.console;
        if matches!(console.format, Format::Jsonl | Format::Name | Format::Template) {
            return Err(CliError::usage(
                "a document is printed in TOML, YAML or JSON",
                "use -o toml, yaml or json",
            ));
        }
        let wait = Wait { wait: true, timeout_ms: values::milliseconds(self.timeout) };
        let client = context.connect().await?;
        let ids =
            Selection::new(self.ids, self.all, &self.selector).resolve(context, &client, |_| true).await?;
        let live = context.list(&client, ListApplications::default()).await?;
        let live: HashMap<AppId, Application> = live.into_iter().map(|app| (app.id.clone(), app)).collect();
        let parts = if self.settings_only { Parts::default() } else { Parts::ALL };
        let results = many::each(&ids, |id| {
            let (context, client, live) = (context.clone(), Arc::clone(&client), live.get(&id).cloned());
            async move {
                let live = live.ok_or_else(|| RpcError::app_not_found(id.as_str()))?;
                exported(&live, parts, &context, &client, wait).await
            }
        })
        .await;
        let (found, failed): (Vec<_>, Vec<_>) =
            results.into_all().into_iter().map(|(_, result)| result).partition(Result::is_ok);
        let found: Vec<Exported> = found.into_iter().filter_map(Result::ok).collect();
        found.iter().filter_map(|exported| exported.note.as_ref()).for_each(|note| console.note(note));
        print(context, &Document::of(found))?;
        let failed: Vec<CliError> = failed.into_iter().filter_map(Result::err).collect();
        failed.iter().for_each(|error| console.error(error));
        match Exit::worst(failed.iter().map(CliError::exit)) {
            Exit::Done => Ok(()),
            exit => Err(CliError::Reported(exit)),
        }
    }
}

fn print(context: &Context, document: &Document) -> Result<(), CliError> {
    match context.console.format {
        Format::Table | Format::Wide | Format::Toml => context.console.raw(&document.to_toml()?),
        _ => context.console.show(document, "", String::new),
    }
}
