//! `nbapps update`: changes an application's settings.

use std::time::Duration;

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, ValueHint};

use crate::cli::complete;
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::output::application;
use crate::cli::values::{self, ACCESS_LOGS, GivenLimit, START_MODES, UPGRADE_POLICIES};
use crate::protocol::methods::{AppRotateSecret, AppUpdate};
use crate::protocol::{
    AccessLogSetting, AppId, Changes, OneApplication, StartMode, UpdateApplication, UpgradePolicy,
};

/// Change an application's settings
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  nbapps update crm --name \"Customer care\" --start-mode with-main
  nbapps update crm --domain crm.example.com --domain www.example.com
  nbapps update crm --no-domains --no-idle-stop
  nbapps update crm --limit in-flight=16 --limit queue=default
  nbapps update crm --access-log all
  nbapps update crm --protect
  nbapps update crm --rotate-secret")]
pub(crate) struct Update {
    /// The application
    #[arg(value_name = "ID", value_parser = values::app_id, add = complete::existing())]
    id: AppId,

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
    fn changes(&self) -> Changes {
        let either = |on: bool, off: bool| (on || off).then_some(on);
        Changes {
            name: self.name.clone(),
            start_mode: self.start_mode,
            domains: (self.no_domains || !self.domains.is_empty()).then(|| self.domains.clone()),
            upgrade: self.upgrade,
            idle_stop_seconds: match self.idle_stop {
                Some(duration) => Some(duration.as_secs()),
                None => self.no_idle_stop.then_some(0),
            },
            access_log: self.access_log,
            limits: self.limits.iter().map(|given| (given.limit, given.value)).collect(),
            protected: either(self.protect, self.no_protect),
            pinned: either(self.pin, self.no_pin),
            icon: self.icon.clone(),
        }
    }

    /// Changes the application and prints it.
    pub(crate) async fn run(self, context: &Context) -> Result<(), CliError> {
        let changes = self.changes();
        let changed = changes != Changes::default();
        if !changed && !self.rotate_secret {
            return Err(CliError::usage(
                format!("no setting of {} was given to change", self.id),
                "see what can be changed with: nbapps update --help",
            ));
        }
        let client = context.connect().await?;
        let mut updated = None;
        if changed {
            let request = UpdateApplication { id: self.id.clone(), changes };
            updated = Some(context.ask::<AppUpdate>(&client, request).await?);
        }
        if self.rotate_secret {
            let request = OneApplication { id: self.id.clone() };
            updated = Some(context.ask::<AppRotateSecret>(&client, request).await?);
            context
                .console
                .note(&format!("the secret of {} was replaced; all users must sign in again", self.id));
        }
        let Some(updated) = updated else { return Ok(()) };
        context
            .console
            .show(&updated, updated.id.as_str(), || application::details(&updated, &context.console))
    }
}
