//! `nbapps delete`: deletes applications. Their data stays for a while unless it is purged.

use std::sync::Arc;

use clap::Args;

use crate::cli::complete;
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::many;
use crate::cli::output::{application, somebody_is_there};
use crate::cli::values::{self, WaitOptions};
use crate::protocol::methods::AppDelete;
use crate::protocol::{AppId, DeleteApplication};

/// Delete applications; their data stays for undelete unless it is purged
///
/// Asks before it deletes: at a terminal, for "y", and with --purge for the application's ID.
/// Without a terminal it refuses, unless --yes is given.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  nbapps delete crm
  nbapps delete crm hr --yes
  nbapps delete crm --purge
  nbapps delete crm --purge --keep-data
  nbapps list --deleted")]
pub(crate) struct Delete {
    /// The applications
    #[arg(value_name = "ID", required = true, value_parser = values::app_id, add = complete::deletable())]
    ids: Vec<AppId>,

    /// Remove what the host created for it: database, files, and what was deleted before; cannot be undone
    #[arg(long)]
    purge: bool,

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
        let (purge, keep_data) = (self.purge, self.keep_data);
        if !self.yes {
            confirm(&self.ids, (purge, keep_data), somebody_is_there(), |question| {
                context.console.prompt(question)
            })?;
        }
        let wait = self.wait.wait();
        let context = &context.within(self.wait.timeout());
        let client = context.connect().await?;
        let results = many::each(&self.ids, |id| {
            let (context, client) = (context.clone(), Arc::clone(&client));
            async move {
                let subject = id.clone();
                let request = DeleteApplication { id, purge, keep_data, wait };
                context.work::<AppDelete>(&client, request, subject.as_str(), wait).await
            }
        })
        .await;
        results.report(
            context,
            |deleted| deleted.id.as_str(),
            |deletions| application::deleted(deletions, wait.wait),
        )
    }
}

/// Asks for a confirmation, or refuses.
fn confirm(
    ids: &[AppId],
    (purge, keep_data): (bool, bool),
    somebody_is_there: bool,
    mut ask: impl FnMut(&str) -> Result<String, CliError>,
) -> Result<(), CliError> {
    let all = ids.iter().map(AppId::as_str).collect::<Vec<_>>().join(", ");
    let verb = if purge { "purge" } else { "delete" };
    if !somebody_is_there {
        return Err(CliError::refused(
            format!("to {verb} {all} needs a confirmation, and there is no terminal to ask at"),
            "add --yes to go on without being asked",
        ));
    }
    let unconfirmed = |what: &str| CliError::Refused {
        message: format!("to {verb} {what} was not confirmed; nothing was done"),
        hint: None,
    };
    if !purge {
        let answer = ask(&format!("Delete {all}? The data stays for undelete. [y/N]"))?;
        return match answer.to_lowercase().as_str() {
            "y" | "yes" => Ok(()),
            _ => Err(unconfirmed(&all)),
        };
    }
    for id in ids {
        let what = match keep_data {
            true => "This forgets {} for good and leaves its database and its files where they are.",
            false => "This removes the database and the files of {} for good.",
        };
        let answer = ask(&format!("{} Type its ID to go on:", what.replace("{}", id.as_str())))?;
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
            let result = confirm(ids, (purge, false), terminal, |_| Ok((*given.next().unwrap()).to_owned()));
            assert_eq!(result.is_ok(), confirmed, "{ids:?} {purge} {terminal} {answers:?}");
            assert!(matches!(result, Ok(()) | Err(CliError::Refused { .. })));
        }
    }
}
