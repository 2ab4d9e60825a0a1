//! Formats plans and outcomes: like a diff for people, and as data.

use std::fmt::Write as _;

use clap::builder::styling::{AnsiColor, Style};
use serde::Serialize;
use serde_json::Value;

use super::execution::{Applied, Outcome};
use super::plan::{Action, AppPlan, Plan};
use super::steps::Change;
use crate::cli::error::CliError;
use crate::cli::output::{printable, styled};
use crate::protocol::{AppId, ErrorKind};

/// Values that are longer are cut.
const MAX_SHOWN: usize = 200;

const fn color(action: Action) -> AnsiColor {
    match action {
        Action::Create => AnsiColor::Green,
        Action::Change => AnsiColor::Yellow,
        Action::Delete => AnsiColor::Red,
        Action::None => AnsiColor::Cyan,
    }
}

const fn sign(action: Action) -> &'static str {
    match action {
        Action::Create => "+ create",
        Action::Change => "~ change",
        Action::Delete => "- delete",
        Action::None => "  keep  ",
    }
}

/// The plan for people: applications that do not change are only counted, unless there is something to say of them.
pub(crate) fn text(plan: &Plan) -> String {
    let mut text = String::new();
    for app in &plan.apps {
        if app.action != Action::None || !app.notes.is_empty() {
            describe(app, &mut text);
        }
    }
    text.push_str(&summary(plan));
    text
}

fn describe(app: &AppPlan, text: &mut String) {
    let style = Style::new().fg_color(Some(color(app.action).into()));
    let undelete = if app.action == Action::Delete { "  (its data stays for undelete)" } else { "" };
    let heading = styled(style, &format!("{}  {}", sign(app.action), app.id));
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{heading}{undelete}");
    for change in &app.changes {
        let _ = writeln!(text, "      {}", line(change));
    }
    for note in &app.notes {
        let _ = writeln!(text, "      note: {}", printable(note));
    }
}

fn line(change: &Change) -> String {
    let key = printable(&change.key);
    match (&change.from, &change.to) {
        (None, Some(to)) => format!("+ {key}: {}", value(to)),
        (Some(from), Some(to)) => format!("~ {key}: {} → {}", value(from), value(to)),
        (Some(from), None) => format!("- {key}: {}", value(from)),
        (None, None) => key,
    }
}

fn value(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let text = printable(&text);
    match text.char_indices().nth(MAX_SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

fn summary(plan: &Plan) -> String {
    if plan.is_empty() {
        return match plan.apps.len() {
            1 => "No changes: the application is as its document says.\n".to_owned(),
            count => format!("No changes: {count} applications are as their documents say.\n"),
        };
    }
    let counts = [
        (Action::Create, "to create"),
        (Action::Change, "to change"),
        (Action::Delete, "to delete"),
        (Action::None, "unchanged"),
    ];
    let parts: Vec<String> =
        counts.iter().map(|(action, what)| format!("{} {what}", plan.count(*action))).collect();
    format!("Plan: {}.\n", parts.join(", "))
}

/// What was done, for people: passwords, which are shown only now, and how many.
pub(crate) fn outcome(outcome: &Outcome) -> String {
    let mut text = String::new();
    let done = || outcome.iter().filter_map(|(id, result)| Some((id, result.as_ref().ok()?)));
    for (id, applied) in done() {
        for (email, password) in passwords(applied) {
            let _ = writeln!(
                text,
                "{id}: {} signs in with the password {password}  (keep it: it is shown only this once)",
                printable(email)
            );
        }
    }
    let count = |action: Action| done().filter(|(_, applied)| applied.action == action).count();
    let failed = outcome.len() - done().count();
    let _ = write!(
        text,
        "Done: {} created, {} changed, {} deleted, {} unchanged",
        count(Action::Create),
        count(Action::Change),
        count(Action::Delete),
        count(Action::None)
    );
    if failed > 0 {
        let _ = write!(text, ", {failed} failed");
    }
    text.push_str(".\n");
    text
}

fn passwords(applied: &Applied) -> impl Iterator<Item = (&str, &str)> {
    let admin = applied.admin.iter().filter_map(|admin| Some((&*admin.email, admin.password.as_deref()?)));
    admin.chain(applied.passwords.iter().map(|new| (&*new.email, &*new.password)))
}

/// A plan, and what became of it, as data.
#[derive(Debug, Serialize)]
pub(crate) struct Report<'a> {
    /// What happens to each application.
    pub(crate) applications: Vec<AppReport<'a>>,
    /// How many.
    pub(crate) summary: Summary,
}

/// What happens to an application, as data.
#[derive(Debug, Serialize)]
pub(crate) struct AppReport<'a> {
    #[serde(flatten)]
    plan: &'a AppPlan,
    /// Absent in a dry run.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    done: Option<Done<'a>>,
}

impl AppReport<'_> {
    /// The application's ID.
    pub(crate) fn id(&self) -> &AppId {
        &self.plan.id
    }

    /// Whether anything happens to it.
    pub(crate) fn changes(&self) -> bool {
        self.plan.action != Action::None
    }
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Done<'a> {
    Applied {
        done: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        admin: Option<&'a crate::protocol::CreatedRootUser>,
        #[serde(skip_serializing_if = "<[_]>::is_empty")]
        passwords: &'a [super::steps::NewPassword],
    },
    Failed {
        done: bool,
        error: Failure,
    },
}

#[derive(Debug, Serialize)]
struct Failure {
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<ErrorKind>,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
    exit_code: u8,
}

/// How many applications, by what happens to them.
#[derive(Debug, Serialize)]
pub(crate) struct Summary {
    create: usize,
    change: usize,
    delete: usize,
    unchanged: usize,
    failed: usize,
}

/// The plan as data, with what became of it where it was carried out.
pub(crate) fn json<'a>(plan: &'a Plan, outcome: Option<&'a Outcome>) -> Report<'a> {
    let results = |id: &AppId| outcome?.iter().find(|(other, _)| other == id).map(|(_, result)| done(result));
    let applications = plan.apps.iter().map(|app| AppReport { plan: app, done: results(&app.id) }).collect();
    Report {
        applications,
        summary: Summary {
            create: plan.count(Action::Create),
            change: plan.count(Action::Change),
            delete: plan.count(Action::Delete),
            unchanged: plan.count(Action::None),
            failed: outcome.map_or(0, |all| all.iter().filter(|(_, result)| result.is_err()).count()),
        },
    }
}

fn done(result: &Result<Applied, CliError>) -> Done<'_> {
    match result {
        Ok(applied) => {
            Done::Applied { done: true, admin: applied.admin.as_ref(), passwords: &applied.passwords }
        }
        Err(error) => {
            let kind = match error {
                CliError::Client(error) => error.kind(),
                _ => None,
            };
            let exit_code = error.exit() as u8;
            let error = Failure { kind, message: error.to_string(), hint: error.hint(), exit_code };
            Done::Failed { done: false, error }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::plan::Work;
    use super::*;

    fn app(id: &str, action: Action, changes: Vec<Change>, notes: &[&str]) -> AppPlan {
        let notes = notes.iter().map(|note| (*note).to_owned()).collect();
        AppPlan { id: AppId::parse(id).unwrap(), action, changes, notes, work: Work::default() }
    }

    fn plan() -> Plan {
        let apps = vec![
            app("shop", Action::Create, vec![Change::add("name", "The \u{1b}[1mShop")], &[]),
            app(
                "crm",
                Action::Change,
                vec![
                    Change::set("limits.in-flight", 64, 16),
                    Change::set("labels.team", "a", Value::Null),
                    Change::set("domains", json!([]), json!(["crm.example.com"])),
                ],
                &["keys.ci is missing"],
            ),
            app("hr", Action::None, Vec::new(), &[]),
            app("old", Action::Delete, Vec::new(), &[]),
            app("kept", Action::None, Vec::new(), &["it is protected, and not deleted"]),
        ];
        Plan { apps, ..Plan::default() }
    }

    #[test]
    fn a_plan_reads_like_a_diff() {
        let shown = anstream::adapter::strip_str(&text(&plan())).to_string();
        insta::assert_snapshot!(shown);
        let mut unchanged = plan();
        unchanged.apps.retain(|app| app.action == Action::None);
        assert!(text(&unchanged).ends_with("No changes: 2 applications are as their documents say.\n"));
    }

    #[test]
    fn a_plan_is_data_with_what_became_of_it() {
        let plan = plan();
        let failed = CliError::Failed { message: "it did not start".to_owned(), hint: None };
        let outcome = vec![(AppId::parse("shop").unwrap(), Err(failed))];
        let data = serde_json::to_value(json(&plan, Some(&outcome))).unwrap();
        assert_eq!(data["summary"]["failed"], 1);
        let shop = &data["applications"][0];
        assert_eq!((&shop["action"], &shop["done"]), (&json!("create"), &json!(false)));
        assert_eq!(shop["error"]["exit_code"], 1);
        let planned = serde_json::to_value(json(&plan, None)).unwrap();
        assert!(planned["applications"][0].get("done").is_none());
        assert_eq!(
            planned["applications"][1]["changes"][0],
            json!({"key": "limits.in-flight", "from": 64, "to": 16})
        );
    }
}
