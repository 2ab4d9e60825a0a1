//! Which applications a command is for: those named, those that labels select, or all.

use clap::Args;

use super::complete;
use super::context::Context;
use super::error::CliError;
use super::filter::{self, Conditions};
use super::many;
use crate::client::Client;
use crate::protocol::{AppId, Condition, ErrorKind, ListApplications, ListSummaries, RpcError, State};

/// `--selector`. Commands also take IDs, and some `--all`; these exclude it.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct SelectorOption {
    /// The applications with these labels, such as team=crm,env!=prod; may be given several times
    #[arg(
        short = 'l', long = "selector", value_name = "LABELS", id = "selector",
        long_help = filter::SELECTOR_HELP, value_parser = filter::selector, add = complete::selectors(),
    )]
    selectors: Vec<Conditions>,
}

impl SelectorOption {
    /// Whether it was given.
    pub(crate) fn is_given(&self) -> bool {
        !self.selectors.is_empty()
    }

    /// The conditions, which must all hold.
    pub(crate) fn conditions(&self) -> Vec<Condition> {
        Conditions::joined(&self.selectors)
    }
}

/// The applications that a command is for.
#[derive(Debug)]
pub(crate) struct Selection {
    named: Vec<AppId>,
    /// The conditions on the applications where none is named; empty for all.
    conditions: Option<Vec<Condition>>,
    without_main: bool,
    may_be_none: bool,
}

impl Selection {
    /// From what the command line gave: IDs, `--all` or a selector.
    pub(crate) fn new(named: Vec<AppId>, all: bool, selector: &SelectorOption) -> Self {
        let conditions = (all || selector.is_given()).then(|| selector.conditions());
        Self { named, conditions, without_main: false, may_be_none: false }
    }

    /// The selection without the main application, unless that is named.
    pub(crate) fn without_main(self) -> Self {
        Self { without_main: true, ..self }
    }

    /// The selection for a command that has done its work when no application has the labels.
    pub(crate) fn may_be_none(self, may_be_none: bool) -> Self {
        Self { may_be_none, ..self }
    }

    /// Whether the command line names each application.
    pub(crate) fn is_by_name(&self) -> bool {
        self.conditions.is_none()
    }

    /// The one application, where exactly one is named.
    pub(crate) fn single(&self) -> Option<&AppId> {
        match self.named.as_slice() {
            [id] => Some(id),
            _ => None,
        }
    }

    /// The IDs: as they were named, or of all that have the labels and are in a state to which the command applies.
    /// Notes when no state does.
    ///
    /// # Errors
    /// `app_not_found` if no application has the labels.
    pub(crate) async fn resolve(
        self,
        context: &Context,
        client: &Client,
        applies: impl Fn(State) -> bool,
    ) -> Result<Vec<AppId>, CliError> {
        let Some(conditions) = self.conditions else { return Ok(self.named) };
        let request = ListSummaries { conditions: conditions.clone(), ..ListSummaries::default() };
        let mut found = context.summaries(client, request).await?;
        found.retain(|application| !(self.without_main && application.id.is_main()));
        let is_known = !found.is_empty();
        found.retain(|application| applies(application.state));
        match (is_known, conditions.is_empty() || self.may_be_none) {
            (false, false) => return Err(none_has(&conditions, "list labels with: nbapps list -o wide")),
            _ if found.is_empty() => context.console.note("no application needs this"),
            _ => {}
        }
        Ok(found.into_iter().map(|application| application.id).collect())
    }

    /// The IDs: as they were named, or of all deleted applications that have the labels.
    ///
    /// # Errors
    /// `app_not_found` if there is none.
    pub(crate) async fn resolve_deleted(
        self,
        context: &Context,
        client: &Client,
    ) -> Result<Vec<AppId>, CliError> {
        let Some(conditions) = self.conditions else { return Ok(self.named) };
        let request =
            ListApplications { deleted: true, conditions: conditions.clone(), ..ListApplications::default() };
        let found = context.list(client, request).await?;
        let ids: Vec<AppId> = found.into_iter().map(|application| application.id).collect();
        match ids.is_empty() {
            true => Err(none_has(&conditions, "list deleted applications with: nbapps list --deleted")),
            // An ID can have been deleted several times.
            false => Ok(many::unique(&ids)),
        }
    }
}

fn none_has(conditions: &[Condition], hint: &str) -> CliError {
    let message = format!("no application has the labels {}", filter::selector_text(conditions));
    RpcError::new(ErrorKind::AppNotFound, message).hint(hint).into()
}
