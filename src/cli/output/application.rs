//! Formats applications for people: tables of many, and one with all its settings.

use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use comfy_table::Cell;

use super::table::{Fit, cell, columns, listing, optional, state};
use super::{Console, Format};
use crate::protocol::{
    Application, ApplicationSummary, Created, CreatedRootUser, Deleted, Limit, StateChanged, Waited,
};

/// A time, to the second.
pub(crate) fn time(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// A duration in words.
pub(crate) fn seconds(seconds: u64) -> String {
    humantime::format_duration(Duration::from_secs(seconds)).to_string()
}

/// A size in words.
pub(crate) fn size(bytes: u64) -> String {
    indicatif::BinaryBytes(bytes).to_string()
}

pub(super) fn yes(value: bool) -> Cell {
    cell(if value { "yes" } else { "no" })
}

pub(super) fn domains(application: &Application) -> Cell {
    optional((!application.domains.is_empty()).then(|| application.domains.join(", ")))
}

/// The labels as `--label` takes them.
pub(super) fn labels(application: &Application) -> Cell {
    let words: Vec<String> = application.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    optional((!words.is_empty()).then(|| words.join(" ")))
}

/// The limits as `--limit` takes them: the application's own, or the others.
pub(super) fn limits(application: &Application, own: bool) -> Cell {
    let those = Limit::ALL.into_iter().filter(|limit| application.own_limits.contains(limit) == own);
    let words: Vec<String> = those
        .map(|limit| format!("{}={}", limit.name(), limit.written(application.limits.of(limit))))
        .collect();
    optional((!words.is_empty()).then(|| words.join(" ")))
}

/// The access log as `--access-log` takes it.
fn access_log(application: &Application) -> Cell {
    let word = application.access_log.as_str();
    cell(if application.own_access_log { word.to_owned() } else { format!("{word} (default)") })
}

fn database(application: &Application) -> String {
    format!("{} ({})", application.database.engine, application.database.mode.as_str())
}

/// The first columns of every table of applications: see [`SUMMARY`].
fn summary(application: &ApplicationSummary) -> Vec<Cell> {
    vec![
        cell(application.id.as_str()),
        cell(&application.name),
        state(application.state),
        cell(application.start_mode.as_str()),
        cell(&application.url),
    ]
}

/// The headings of the first columns.
const SUMMARY: [&str; 5] = ["ID", "NAME", "STATE", "START", "URL"];

/// How five columns give way in a narrow terminal: the name (1) first, then the last one (4).
const NAME_THEN_LAST: [(usize, usize); 4] = [(1, 16), (4, 30), (1, 8), (4, 12)];

/// A table of many applications, no wider than `width`.
pub(crate) fn summaries(applications: &[ApplicationSummary], width: Option<usize>) -> String {
    let fit = Fit { width, narrowed: &NAME_THEN_LAST, may_drop: true };
    columns(&SUMMARY, applications.iter().map(summary), fit)
}

/// A list of applications, no wider than `width`; a wide one as far as that is possible.
pub(crate) fn list(applications: &[&Application], wide: bool, width: Option<usize>) -> String {
    if !wide {
        let short: Vec<_> =
            applications.iter().map(|application| ApplicationSummary::from(*application)).collect();
        return summaries(&short, width);
    }
    let rows = applications.iter().map(|application| {
        let mut row = summary(&(*application).into());
        row.extend([
            domains(application),
            cell(database(application)),
            cell(&application.database.location),
            optional(application.database.schema.as_deref()),
            optional(application.database.size.map(size)),
            optional(application.database.connections.map(|connections| connections.to_string())),
            cell(application.upgrade.as_str()),
            optional(application.idle_stop_seconds.map(seconds)),
            limits(application, true),
            labels(application),
            yes(application.protected),
            optional(application.started_at.map(time)),
            cell(application.requests_in_flight.to_string()),
            optional(application.reason.as_deref()),
        ]);
        row
    });
    let settings = [
        "DOMAINS",
        "DATABASE",
        "LOCATION",
        "SCHEMA",
        "SIZE",
        "CONNECTIONS",
        "UPGRADE",
        "IDLE STOP",
        "LIMITS",
        "LABELS",
        "PROTECTED",
        "RUNNING SINCE",
        "REQUESTS",
        "REASON",
    ];
    let heading = [&SUMMARY[..], &settings].concat();
    // The name, reason, limits, labels, location, domains and URL.
    let narrowed = [(1, 16), (18, 30), (13, 20), (14, 20), (7, 20), (5, 20), (4, 30)];
    columns(&heading, rows, Fit { width, narrowed: &narrowed, may_drop: false })
}

/// What was waited for: the applications, and IDs that do not exist.
pub(crate) fn waited(all: &[&Waited], wide: bool, width: Option<usize>) -> String {
    let applications: Vec<&Application> = all
        .iter()
        .filter_map(|waited| match waited {
            Waited::Application(application) => Some(&**application),
            Waited::Gone(_) => None,
        })
        .collect();
    let gone = all.iter().filter_map(|waited| match waited {
        Waited::Application(_) => None,
        Waited::Gone(gone) => Some(vec![cell(gone.id.as_str()), state(gone.state)]),
    });
    let mut gone = gone.peekable();
    let mut text = if applications.is_empty() { String::new() } else { list(&applications, wide, width) };
    if gone.peek().is_some() {
        text.push_str(&columns(&["ID", "STATE"], gone, Fit::WHOLE));
    }
    text
}

/// A list of deleted applications, no wider than `width`.
pub(crate) fn deleted_list(applications: &[Application], width: Option<usize>) -> String {
    let rows = applications.iter().map(|application| {
        vec![
            cell(application.id.as_str()),
            cell(&application.name),
            optional(application.deleted.map(|deletion| time(deletion.at))),
            optional(application.deleted.map(|deletion| match deletion.purging {
                true => "being removed".to_owned(),
                false => time(deletion.until),
            })),
            cell(&application.database.location),
        ]
    });
    let heading = ["ID", "NAME", "DELETED", "KEPT UNTIL", "LOCATION"];
    columns(&heading, rows, Fit { width, narrowed: &NAME_THEN_LAST, may_drop: true })
}

/// One application with all its settings.
pub(crate) fn details(application: &Application, console: &Console) -> String {
    let mut pairs = vec![
        ("ID", cell(application.id.as_str())),
        ("Name", cell(&application.name)),
        ("State", state(application.state)),
    ];
    if let Some(reason) = &application.reason {
        pairs.push(("Reason", cell(console.addressed(reason))));
    }
    if let Some(deletion) = &application.deleted {
        pairs.push(("Deleted", cell(time(deletion.at))));
        pairs.push(("Kept until", cell(time(deletion.until))));
    }
    pairs.extend([
        ("URL", cell(&application.url)),
        ("Domains", domains(application)),
        ("Labels", labels(application)),
        ("Start mode", cell(application.start_mode.as_str())),
        ("Idle stop", optional(application.idle_stop_seconds.map(seconds))),
        ("Database", cell(database(application))),
        ("Location", cell(&application.database.location)),
    ]);
    let database = &application.database;
    if let Some(server) = &database.server {
        pairs.extend([
            ("Server", cell(server)),
            ("Database name", optional(database.database.as_deref())),
            ("Schema", optional(database.schema.as_deref())),
            ("Connections", optional(database.connections.map(|connections| connections.to_string()))),
        ]);
    }
    if database.shared_sessions {
        pairs.push(("Pooler", cell("transaction pooling: statements are not prepared by name")));
    }
    if let Some(prefix) = &database.table_prefix {
        pairs.push(("Table prefix", cell(prefix)));
    }
    if let Some(inventory) = &application.inventory {
        pairs.push(("Inventory", cell(inventory)));
    }
    pairs.extend([
        ("Size", optional(database.size.map(size))),
        ("Upgrade", cell(application.upgrade.as_str())),
        ("Environment", cell(&application.environment)),
        ("Own limits", limits(application, true)),
        ("Other limits", limits(application, false)),
        ("Access log", access_log(application)),
        ("Protected", yes(application.protected)),
        ("Pinned", yes(application.pinned)),
        ("Icon", optional(application.icon.as_deref())),
        ("Created", cell(time(application.created_at))),
        ("Updated", cell(time(application.updated_at))),
        ("Running since", optional(application.started_at.map(time))),
        ("Requests", cell(application.requests_in_flight.to_string())),
    ]);
    listing(pairs)
}

/// Several applications with all their settings, with an empty line between two.
pub(crate) fn details_of_all(applications: &[&Application], console: &Console) -> String {
    let all: Vec<String> = applications.iter().map(|application| details(application, console)).collect();
    all.join("\n")
}

/// The result of `create`, or what it would create.
pub(crate) fn created(created: &Created, waited: bool) -> String {
    let application = &created.application;
    if !created.plan.is_empty() {
        return created.plan.iter().fold(String::new(), |text, step| text + &super::printable(step) + "\n");
    }
    let mut pairs = vec![
        ("Application", cell(application.id.as_str())),
        ("Name", cell(&application.name)),
        ("State", state(application.state)),
        ("URL", cell(&application.url)),
    ];
    pairs.extend(created.admin.iter().flat_map(first_user));
    if let (false, Some(operation)) = (waited, &created.operation) {
        pairs.push(("Operation", cell(operation)));
    }
    listing(pairs)
}

/// The first user of a new application, with the password if it was generated.
pub(crate) fn first_user(admin: &CreatedRootUser) -> Vec<(&'static str, Cell)> {
    let mut pairs = vec![("Sign in as", cell(format!("{} ({})", admin.username, admin.email)))];
    if let Some(password) = &admin.password {
        pairs.push(("Password", cell(format!("{password}  (keep it: it is shown only this once)"))));
    }
    pairs
}

/// Notes that a generated password is not in the output, where the format has names only.
pub(crate) fn note_hidden_password(console: &Console) {
    if console.format == Format::Name {
        console.note("a password was generated and is not shown in this format; sign in with: nbapps visit ID --sign-in");
    }
}

/// The results of a lifecycle command, a line for each application, no wider than `width`. `done` names the new
/// state of those that changed.
pub(crate) fn changed(changes: &[&StateChanged], done: &str, waited: bool, width: Option<usize>) -> String {
    let rows = changes.iter().map(|change| {
        let application = &change.application;
        let result = match (change.changed, waited) {
            (false, _) => "nothing to do".to_owned(),
            (true, false) => format!("operation {}", change.operation),
            (true, true) => done.to_owned(),
        };
        vec![cell(application.id.as_str()), state(application.state), cell(result), cell(&application.url)]
    });
    columns(&["ID", "STATE", "RESULT", "URL"], rows, Fit { width, narrowed: &[(3, 12)], may_drop: false })
}

/// The result of a deletion: what it removed and what it kept.
pub(crate) fn deleted(deletions: &[&Deleted], waited: bool, console: &Console) -> String {
    let mut pairs = Vec::new();
    for deleted in deletions {
        pairs.push((if waited { "Deleted" } else { "Deleting" }, cell(deleted.id.as_str())));
        if let Some(until) = deleted.until {
            let command = console.addressed(&format!("nbapps undelete {}", deleted.id));
            pairs.push(("Kept until", cell(format!("{}; until then: {command}", time(until)))));
        }
        pairs.extend(deleted.removed.iter().map(|what| ("Removed", cell(what))));
        pairs.extend(deleted.kept.iter().map(|what| ("Kept", cell(console.addressed(what)))));
        if !waited {
            pairs.push(("Operation", cell(&deleted.operation)));
        }
    }
    listing(pairs)
}
