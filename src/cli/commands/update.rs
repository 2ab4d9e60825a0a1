//! `nbapps update`: changes the settings of applications.

use std::sync::Arc;
use std::time::Duration;

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, ValueHint};

use crate::cli::complete;
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::filter::{self, GivenLabel};
use crate::cli::many;
use crate::cli::output::{Format, application};
use crate::cli::selection::{Selection, SelectorOption};
use crate::cli::values::{self, ACCESS_LOGS, GivenLimit, START_MODES, UPGRADE_POLICIES};
use crate::client::Client;
use crate::protocol::methods::{AppGet, AppRotateSecret, AppUpdate};
use crate::protocol::{
    AccessLogSetting, AppId, Application, Changes, OneApplication, StartMode, UpdateApplication,
    UpgradePolicy,
};

/// Change the settings of applications
///
/// As JSON and YAML, one ID gives an object; several IDs, --selector and --all give an array.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  nbapps update crm --name \"Customer care\" --start-mode with-main
  nbapps update crm --domain crm.example.com --domain www.example.com
  nbapps update crm --add-domain new.example.com \\
    --remove-domain old.example.com
  nbapps update crm --no-domains --no-idle-stop
  nbapps update crm --label team=sales --label legacy-
  nbapps update -l team=sales --idle-stop 30m
  nbapps update crm --limit in-flight=16 --limit queue=default
  nbapps update crm --access-log all
  nbapps update crm --protect
  nbapps update crm --rotate-secret")]
pub(crate) struct Update {
    /// The applications
    #[arg(
        value_name = "ID", required_unless_present_any = ["all", "selector"],
        conflicts_with_all = ["all", "selector"],
        value_parser = values::app_id, add = complete::existing(),
    )]
    ids: Vec<AppId>,

    /// All applications, but the main one
    #[arg(long, conflicts_with = "selector")]
    all: bool,

    #[command(flatten)]
    selector: SelectorOption,

    /// The display name
    #[arg(long, value_parser = NonEmptyStringValueParser::new())]
    name: Option<String>,

    /// When it starts by itself: with the first request for it, or with the daemon
    #[arg(long, value_name = "MODE", value_parser = values::word::<StartMode>(START_MODES))]
    start_mode: Option<StartMode>,

    /// Answer at the root path of this host name; replaces all previous host names
    #[arg(long = "domain", value_name = "HOST", value_hint = ValueHint::Hostname, conflicts_with = "no_domains")]
    domains: Vec<String>,

    /// Remove all its domains
    #[arg(long)]
    no_domains: bool,

    /// Answer at the root path of this host name too; keeps the others; may be given several times
    #[arg(
        long = "add-domain", value_name = "HOST", value_hint = ValueHint::Hostname,
        conflicts_with_all = ["domains", "no_domains"],
    )]
    add_domains: Vec<String>,

    /// Remove this host name and keep the others; may be given several times
    #[arg(
        long = "remove-domain", value_name = "HOST", value_hint = ValueHint::Hostname,
        conflicts_with_all = ["domains", "no_domains"],
    )]
    remove_domains: Vec<String>,

    /// Set a label, or remove it with KEY-; may be given several times
    #[arg(
        long = "label", value_name = "KEY=VALUE", value_parser = filter::label_change, add = complete::labels(),
    )]
    labels: Vec<GivenLabel>,

    /// Remove a label, as --label KEY- does; may be given several times
    #[arg(
        long = "remove-label", value_name = "KEY", value_parser = filter::label_key, add = complete::label_keys(),
    )]
    removed_labels: Vec<String>,

    /// What to do when its system tables are older than the host
    #[arg(long, value_name = "POLICY", value_parser = values::word::<UpgradePolicy>(UPGRADE_POLICIES))]
    upgrade: Option<UpgradePolicy>,

    /// Set a limit, such as in-flight=16; may be given several times
    #[arg(
        long = "limit", value_name = "NAME=VALUE", long_help = values::LIMITS_HELP,
        value_parser = values::limit, add = complete::limits(),
    )]
    limits: Vec<GivenLimit>,

    /// Which requests get a line in its access log: none, those that failed (status 500 and above), all,
    /// or those of the daemon's configuration
    #[arg(long, value_name = "REQUESTS", value_parser = values::word::<AccessLogSetting>(ACCESS_LOGS))]
    access_log: Option<AccessLogSetting>,

    /// Stop it after this long without a request; the next visit starts it
    #[arg(long, value_name = "DURATION", value_parser = values::idle_duration, conflicts_with = "no_idle_stop")]
    idle_stop: Option<Duration>,

    /// Never stop it for lack of requests
    #[arg(long)]
    no_idle_stop: bool,

    /// Release it from the inventory of nbapps apply, which then does not prune it
    #[arg(long)]
    no_inventory: bool,

    /// Protect it against deletion
    #[arg(long, conflicts_with = "no_protect")]
    protect: bool,

    /// Remove the protection against deletion
    #[arg(long)]
    no_protect: bool,

    /// Pin it in the list of the start page
    #[arg(long, conflicts_with = "no_pin")]
    pin: bool,

    /// Unpin it
    #[arg(long)]
    no_pin: bool,

    /// The name of its icon; an empty name removes the icon
    #[arg(long, value_name = "ICON")]
    icon: Option<String>,

    /// Replace the secret that its tokens are signed with; all users must sign in again
    #[arg(long)]
    rotate_secret: bool,
}

impl Update {
    fn changes(&self) -> Result<Changes, CliError> {
        let either = |on: bool, off: bool| (on || off).then_some(on);
        Ok(Changes {
            name: self.name.clone(),
            start_mode: self.start_mode,
            domains: (self.no_domains || !self.domains.is_empty()).then(|| self.domains.clone()),
            add_domains: self.add_domains.clone(),
            remove_domains: self.remove_domains.clone(),
            upgrade: self.upgrade,
            idle_stop_seconds: match self.idle_stop {
                Some(duration) => Some(duration.as_secs()),
                None => self.no_idle_stop.then_some(0),
            },
            access_log: self.access_log,
            inventory: self.no_inventory.then(String::new),
            limits: self.limits.iter().map(|given| (given.limit, given.value)).collect(),
            labels: filter::label_changes(&self.labels, &self.removed_labels)?,
            protected: either(self.protect, self.no_protect),
            pinned: either(self.pin, self.no_pin),
            icon: self.icon.clone(),
        })
    }

    /// Changes the applications and prints them.
    pub(crate) async fn run(self, context: &Context) -> Result<(), CliError> {
        let changes = self.changes()?;
        let rotate_secret = self.rotate_secret;
        if changes == Changes::default() && !rotate_secret {
            let which = self.ids.iter().map(AppId::as_str).collect::<Vec<_>>().join(", ");
            let which = if which.is_empty() { "the applications" } else { &which };
            return Err(CliError::usage(
                format!("no setting of {which} was given to change"),
                "see what can be changed with: nbapps update --help",
            ));
        }
        let selection = Selection::new(self.ids, self.all, &self.selector).without_main();
        let client = context.connect().await?;
        if let Some(id) = selection.single() {
            let updated = update(context, &client, id.clone(), changes, rotate_secret).await?;
            return context
                .console
                .show(&updated, updated.id.as_str(), || application::details(&updated, &context.console));
        }
        let ids = selection.resolve(context, &client, |_| true).await?;
        let results = many::each(&ids, |id| {
            let (context, client, changes) = (context.clone(), Arc::clone(&client), changes.clone());
            async move { update(&context, &client, id, changes, rotate_secret).await }
        })
        .await;
        let console = &context.console;
        results.report(
            context,
            |updated| updated.id.as_str(),
            |updated| match updated {
                [] => String::new(),
                _ => application::list(updated, console.format == Format::Wide, console.width()),
            },
        )
    }
}

/// Changes one application.
async fn update(
    context: &Context,
    client: &Client,
    id: AppId,
    changes: Changes,
    rotate_secret: bool,
) -> Result<Application, CliError> {
    let mut updated = None;
    if changes != Changes::default() {
        note_absent(context, client, &id, &changes).await?;
        let request = UpdateApplication { id: id.clone(), changes };
        updated = Some(context.ask::<AppUpdate>(client, request).await?);
    }
    match updated {
        Some(updated) if !rotate_secret => Ok(updated),
        _ => {
            let rotated = context.ask::<AppRotateSecret>(client, OneApplication { id: id.clone() }).await?;
            context.console.note(&format!("the secret of {id} was replaced; all users must sign in again"));
            Ok(rotated)
        }
    }
}

/// Notes what is to be removed and is not there: that is no error, but may be a typing mistake.
async fn note_absent(
    context: &Context,
    client: &Client,
    id: &AppId,
    changes: &Changes,
) -> Result<(), CliError> {
    let labels: Vec<&String> =
        changes.labels.iter().filter(|(_, value)| value.is_none()).map(|(key, _)| key).collect();
    if labels.is_empty() && changes.remove_domains.is_empty() {
        return Ok(());
    }
    let before = context.ask::<AppGet>(client, OneApplication { id: id.clone() }).await?;
    for key in labels.into_iter().filter(|key| !before.labels.contains_key(*key)) {
        context.console.note(&format!("{id} has no label {key} to remove"));
    }
    for domain in &changes.remove_domains {
        let name = domain.trim_end_matches('.');
        if !before.domains.iter().any(|has| has.eq_ignore_ascii_case(name)) {
            context.console.note(&format!("{id} has no domain {domain} to remove"));
        }
    }
    Ok(())
}
