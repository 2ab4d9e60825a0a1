//! `nbapps apply`: makes applications what documents say.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueHint};

use crate::cli::apply::{self, Plan, Planning, Sources};
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::output::{Format, somebody_is_there};
use crate::cli::values;
use crate::protocol::{AppId, Wait, check_inventory};

/// Make applications what documents in TOML, YAML or JSON say
///
/// Compares the documents with what there is, prints the differences, and carries them out: several applications at a
/// time, each failure beside the others. What a document does not mention stays as it is. Where nothing differs,
/// nothing is done. A command that was interrupted is continued by running it again.
///
/// `domains`, `limits`, `labels` and the roles of a user are wholes: what they do not list is removed. Users, keys,
/// roles, collections and fields are added and changed by name, and never removed. Secrets are references, env:NAME or
/// file:PATH, and are read only where they are needed. An application whose document speaks of what is inside of it is
/// started as by a visit.
///
/// New applications belong to an inventory. --prune deletes those of the inventory that no document describes any
/// more, after a confirmation; their data stays for undelete, and protected ones stay.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  nbapps apply -f apps.toml --dry-run
  nbapps apply -f apps/ --prune --yes")]
pub(crate) struct Apply {
    /// A document, a directory of documents, or - for standard input; may be given several times
    #[arg(short = 'f', long = "file", value_name = "FILE", required = true, value_hint = ValueHint::AnyPath)]
    files: Vec<PathBuf>,

    /// Print the differences, and change nothing
    #[arg(long)]
    dry_run: bool,

    /// Delete the applications of the inventory that no document describes; asks first
    #[arg(long)]
    prune: bool,

    /// Do not ask before deleting; never removes data
    #[arg(short, long)]
    yes: bool,

    /// End with exit code 0 when nothing differs, 2 when something does, and 1 after any error
    #[arg(long)]
    detailed_exitcode: bool,

    /// The inventory that new applications belong to, and that --prune looks at
    #[arg(long, value_name = "NAME", default_value = "default", value_parser = inventory)]
    inventory: String,

    /// Take applications that exist into the inventory
    #[arg(long)]
    adopt: bool,

    /// Set the passwords of users who exist again
    #[arg(long)]
    set_passwords: bool,

    /// How long each step may take
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = humantime::parse_duration)]
    timeout: Duration,
}

fn inventory(name: &str) -> Result<String, String> {
    check_inventory(name).map(|()| name.to_owned()).map_err(|error| error.to_string())
}

impl Apply {
    /// Plans, prints the plan and carries it out.
    pub(crate) async fn run(self, context: &Context) -> Result<(), CliError> {
        let detailed = self.detailed_exitcode;
        match self.apply(context).await {
            Ok(differs) if detailed && differs => Err(CliError::Reported(Exit::DIFFERENCES)),
            Ok(_) => Ok(()),
            Err(error) if !detailed || matches!(error, CliError::ClosedPipe) => Err(error),
            Err(error) => {
                if !matches!(error, CliError::Reported(_)) {
                    context.console.error(&error);
                }
                Err(CliError::Reported(Exit::Failed))
            }
        }
    }

    /// Does the same; gives whether anything differed.
    async fn apply(self, context: &Context) -> Result<bool, CliError> {
        let wait = Wait { wait: true, timeout_ms: values::milliseconds(self.timeout) };
        let sources = Sources::read(&self.files).map_err(|errors| report(context, errors))?;
        let client = context.connect().await?;
        let planning = Planning {
            inventory: self.inventory,
            prune: self.prune,
            adopt: self.adopt,
            set_passwords: self.set_passwords,
            dry_run: self.dry_run,
            wait,
        };
        let plan = Box::pin(planning.plan(sources, context, &client)).await;
        let plan = plan.map_err(|errors| report(context, errors))?;
        let console = &context.console;
        if console.is_for_people() {
            console.text(&console.addressed(&apply::text(&plan)))?;
        }
        let differs = !plan.is_empty();
        if self.dry_run || !differs {
            if !console.is_for_people() {
                print(context, &plan, None)?;
            }
            return Ok(differs);
        }
        if !self.yes {
            confirm(&plan.deleted(), somebody_is_there(), |question| console.prompt(question))?;
        }
        let shown = plan.shown();
        let outcome = apply::execute(plan, context, &client, wait).await;
        match console.is_for_people() {
            true => console.text(&apply::outcome(&outcome))?,
            false => print(context, &shown, Some(&outcome))?,
        }
        let exit = apply::exit(&outcome);
        for error in outcome.into_iter().filter_map(|(_, result)| result.err()) {
            console.error(&error);
        }
        match exit {
            Exit::Done => Ok(true),
            exit => {
                console.note("what failed is tried again by the same command");
                Err(CliError::Reported(exit))
            }
        }
    }
}

/// Prints every error, and gives the one that the command ends with.
fn report(context: &Context, errors: Vec<CliError>) -> CliError {
    for error in &errors {
        context.console.error(error);
    }
    if errors.len() > 1 {
        context.console.note("nothing was changed");
    }
    CliError::Reported(Exit::worst(errors.iter().map(CliError::exit)))
}

/// Prints a plan as data.
fn print(context: &Context, plan: &Plan, outcome: Option<&apply::Outcome>) -> Result<(), CliError> {
    let report = apply::json(plan, outcome);
    match context.console.format {
        Format::Jsonl => context.console.list(&report.applications, |_| "", String::new),
        Format::Name => {
            let changed = report.applications.iter().filter(|app| app.changes());
            let ids: Vec<&str> = changed.map(|app| app.id().as_str()).collect();
            context.console.raw(&ids.join("\n"))
        }
        _ => context.console.show(&report, "", String::new),
    }
}

/// Asks before anything is deleted, or refuses.
fn confirm(
    ids: &[&AppId],
    somebody_is_there: bool,
    ask: impl FnOnce(&str) -> Result<String, CliError>,
) -> Result<(), CliError> {
    if ids.is_empty() {
        return Ok(());
    }
    let all = ids.iter().map(|id| id.as_str()).collect::<Vec<_>>().join(", ");
    if !somebody_is_there {
        return Err(CliError::refused(
            format!(
                "to delete {all} needs a confirmation, and there is no terminal to ask at; nothing was changed"
            ),
            "add --yes to go on without being asked",
        ));
    }
    let answer =
        ask(&format!("Delete {all}, which no document describes? The data stays for undelete. [y/N]"))?;
    match answer.to_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(CliError::Refused {
            message: format!("to delete {all} was not confirmed; nothing was changed"),
            hint: None,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_right_answers_confirm_and_nobody_is_asked_about_nothing() {
        let id = AppId::parse("crm").unwrap();
        for (ids, terminal, answer, confirmed) in [
            (&[][..], false, "", true),
            (&[&id][..], true, "y", true),
            (&[&id], true, "Yes", true),
            (&[&id], true, "", false),
            (&[&id], true, "crm", false),
            (&[&id], false, "y", false),
        ] {
            let result = confirm(ids, terminal, |_| Ok(answer.to_owned()));
            assert_eq!(result.is_ok(), confirmed, "{ids:?} {terminal} {answer}");
            assert!(matches!(result, Ok(()) | Err(CliError::Refused { .. })));
        }
    }
}
