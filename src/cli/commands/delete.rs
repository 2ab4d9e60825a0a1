//! `nbapps delete`: deletes applications. Their data stays for a while unless it is purged.

use std::collections::HashSet;
use std::sync::Arc;

use clap::Args;

use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::many;
use crate::cli::output::{application, somebody_is_there};
use crate::cli::selection::{Selection, SelectorOption};
use crate::cli::values::{self, WaitOptions};
use crate::cli::{complete, confirm};
use crate::client::Client;
use crate::protocol::methods::{AppDelete, AppGet};
use crate::protocol::{AppId, DeleteApplication, ErrorKind, ListApplications, OneApplication, RpcError};

/// Delete applications; their data stays for undelete unless it is purged
///
/// Asks before it deletes: at a terminal, for "y", and with --purge for the application's ID.
/// Without a terminal it refuses, unless --yes is given.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  nbapps delete crm
  nbapps delete crm hr --yes
  nbapps delete -l branch=old --yes
  nbapps delete crm --purge
  nbapps delete crm --purge --deleted
  nbapps delete crm --purge --keep-data
  nbapps list --deleted")]
pub(crate) struct Delete {
    /// The applications
    #[arg(
        value_name = "ID", required_unless_present = "selector", conflicts_with = "selector",
        value_parser = values::app_id, add = complete::deletable(),
    )]
    ids: Vec<AppId>,

    #[command(flatten)]
    selector: SelectorOption,

    /// Remove what the host created for it: database and files; cannot be undone
    #[arg(long)]
    purge: bool,

    /// With --purge: the applications of this ID that were deleted, not the one that exists
    ///
    /// Where no application has the ID, --purge means the deleted ones anyway.
    #[arg(long, requires = "purge")]
    deleted: bool,

    /// With --purge: keep the data, and only forget the application
    #[arg(long, requires = "purge")]
    keep_data: bool,

    /// Do not ask
    #[arg(short, long)]
    yes: bool,

    #[command(flatten)]
    wait: WaitOptions,
}

impl Delete {
    /// Asks, deletes, and prints what was removed and what was kept.
    pub(crate) async fn run(self, context: &Context) -> Result<(), CliError> {
        if self.yes {
            let context = &context.within(self.wait.timeout());
            let client = context.connect().await?;
            let ids = self.chosen(context, &client).await?;
            return self.delete(context, client, &ids, Vec::new()).await;
        }
        let client = context.connect().await?;
        let ids = self.chosen(context, &client).await?;
        // Nobody is asked about an application that does not exist.
        let (present, missing) = self.look_up(context, &client, &ids).await?;
        if !present.is_empty() {
            let ask = |question: &str| context.console.prompt(question);
            let on_place = confirm::on_place(context)?;
            let flags = (self.purge, self.keep_data);
            let confirmed = check_confirmed(&present, flags, &on_place, somebody_is_there(), ask);
            if let Err(refused) = confirmed {
                missing.iter().for_each(|(_, error)| context.console.error(error));
                return Err(refused);
            }
        }
        // The time of the answers does not count.
        self.delete(&context.within(self.wait.timeout()), client, &present, missing).await
    }

    /// The applications that are named or have the labels.
    async fn chosen(&self, context: &Context, client: &Client) -> Result<Vec<AppId>, CliError> {
        let selection = Selection::new(self.ids.clone(), false, &self.selector).without_main();
        match self.deleted {
            true => selection.resolve_deleted(context, client).await,
            false => selection.resolve(context, client, |_| true).await,
        }
    }

    /// Those of `ids` that exist, and an error for each of the others.
    async fn look_up(
        &self,
        context: &Context,
        client: &Client,
        ids: &[AppId],
    ) -> Result<(Vec<AppId>, Vec<(AppId, CliError)>), CliError> {
        let mut deleted = HashSet::new();
        if self.purge {
            let request = ListApplications { deleted: true, ..ListApplications::default() };
            deleted
                .extend(context.list(client, request).await?.into_iter().map(|application| application.id));
        }
        let (mut present, mut missing) = (Vec::new(), Vec::new());
        for id in many::unique(ids) {
            if deleted.contains(&id) {
                present.push(id);
            } else if self.deleted {
                let error = RpcError::app_not_found(id.as_str()).into();
                missing.push((id, error));
            } else {
                match context.ask::<AppGet>(client, OneApplication { id: id.clone() }).await {
                    Ok(_) => present.push(id),
                    Err(CliError::Client(error)) if error.kind() == Some(ErrorKind::AppNotFound) => {
                        missing.push((id, error.into()));
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        Ok((present, missing))
    }

    async fn delete(
        &self,
        context: &Context,
        client: Arc<Client>,
        ids: &[AppId],
        missing: Vec<(AppId, CliError)>,
    ) -> Result<(), CliError> {
        let (purge, deleted, keep_data) = (self.purge, self.deleted, self.keep_data);
        let wait = self.wait.wait();
        let results = many::each(ids, |id| {
            let (context, client) = (context.clone(), Arc::clone(&client));
            async move {
                let subject = id.clone();
                let request = DeleteApplication { id, purge, deleted, keep_data, wait };
                context.work::<AppDelete>(&client, request, subject.as_str(), wait).await
            }
        })
        .await;
        results.beside(missing).report(
            context,
            |deleted| deleted.id.as_str(),
            |deletions| application::deleted(deletions, wait.wait, &context.console),
        )
    }
}

/// Asks for a confirmation, or refuses. `on_place` names the daemon where it is not this machine's.
fn check_confirmed(
    ids: &[AppId],
    (purge, keep_data): (bool, bool),
    on_place: &str,
    somebody_is_there: bool,
    mut ask: impl FnMut(&str) -> Result<String, CliError>,
) -> Result<(), CliError> {
    let all = ids.iter().map(AppId::as_str).collect::<Vec<_>>().join(", ");
    let verb = if purge { "purge" } else { "delete" };
    if !somebody_is_there {
        return Err(CliError::refused(
            format!("to {verb} {all}{on_place} needs a confirmation, and there is no terminal to ask at"),
            "add --yes to go on without being asked",
        ));
    }
    let unconfirmed = |what: &str| CliError::Refused {
        message: format!("to {verb} {what}{on_place} was not confirmed; nothing was done"),
        hint: None,
    };
    if !purge {
        let answer = ask(&format!("Delete {all}{on_place}? The data stays for undelete. [y/N]"))?;
        return match confirm::is_yes(&answer) {
            true => Ok(()),
            false => Err(unconfirmed(&all)),
        };
    }
    for id in ids {
        let what = match keep_data {
            true => "This forgets {} for good and leaves its database and its files where they are.",
            false => "This removes the database and the files of {} for good.",
        };
        let what = what.replace("{}", &format!("{id}{on_place}"));
        let answer = ask(&format!("{what} Type its ID to go on:"))?;
        if answer != id.as_str() {
            return Err(unconfirmed(id.as_str()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_right_answers_confirm() {
        let two = [AppId::parse("crm").unwrap(), AppId::parse("hr").unwrap()];
        let one = &two[..1];
        /// IDs, purge, terminal, answers, and whether that is enough.
        type Case<'a> = (&'a [AppId], bool, bool, &'a [&'a str], bool);
        let cases: [Case<'_>; 10] = [
            (one, false, true, &["y"], true),
            (one, false, true, &["YES"], true),
            (one, false, true, &[""], false),
            (one, false, true, &["crm"], false),
            (&two, false, true, &["y"], true),
            (one, true, true, &["crm"], true),
            (one, true, true, &["y"], false),
            (&two, true, true, &["crm", "hr"], true),
            (&two, true, true, &["crm", "crm"], false),
            (one, false, false, &["y"], false),
        ];
        for (ids, purge, terminal, answers, confirmed) in cases {
            let mut given = answers.iter();
            let ask = |question: &str| {
                assert!(question.contains(" on prod (ssh://ops@server)"), "{question}");
                Ok((*given.next().unwrap()).to_owned())
            };
            let result = check_confirmed(ids, (purge, false), " on prod (ssh://ops@server)", terminal, ask);
            assert_eq!(result.is_ok(), confirmed, "{ids:?} {purge} {terminal} {answers:?}");
            assert!(matches!(result, Ok(()) | Err(CliError::Refused { .. })));
        }
    }
}
