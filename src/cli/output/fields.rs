//! Tables with the columns of `--columns`, and the names of fields as options take them.

use comfy_table::Cell;

use super::application as format;
use super::table::{Fit, cell, columns, optional, state};
use crate::cli::filter::with_nearest;
use crate::protocol::{Application, ApplicationField, InvalidField, SortBy};

/// Other names of fields: in the headings of tables, in filters, and as they are said.
const OTHER_NAMES: &[(&str, &str)] = &[
    ("domain", "domains"),
    ("start", "start_mode"),
    ("created", "created_at"),
    ("updated", "updated_at"),
    ("started", "started_at"),
    ("running_since", "started_at"),
    ("deleted", "deleted_at"),
];

/// The widths to which columns are narrowed to fit a terminal: first those of text, then all.
const NARROW: usize = 16;
const NARROWEST: usize = 5;

/// Parses the name of a field; the error lists those that exist.
pub(crate) fn field(name: &str) -> Result<ApplicationField, String> {
    let name = name.trim();
    let plain = match name.starts_with(ApplicationField::LABEL_PREFIX) {
        true => name.to_owned(),
        false => name.to_lowercase().replace(['-', ' '], "_"),
    };
    let other = OTHER_NAMES.iter().find(|(other, _)| *other == plain);
    let known = ApplicationField::names().chain(["label.KEY"]);
    ApplicationField::parse(other.map_or(plain.as_str(), |(_, name)| *name)).map_err(|error| match error {
        InvalidField::Name(_) => with_nearest(&error.to_string(), name, known),
        InvalidField::Label(_) => error.to_string(),
    })
}

/// Parses a field to sort by, with `-` before it for the opposite order.
pub(crate) fn sort_by(text: &str) -> Result<SortBy, String> {
    let text = text.trim();
    let name = text.strip_prefix('-');
    Ok(SortBy { field: field(name.unwrap_or(text))?, is_descending: name.is_some() })
}

fn heading(field: &ApplicationField) -> String {
    match field {
        ApplicationField::Label(key) => key.clone(),
        fixed => fixed.to_string().replace('_', " ").to_uppercase(),
    }
}

fn value(field: &ApplicationField, it: &Application) -> Cell {
    let database = &it.database;
    match field {
        ApplicationField::Id => cell(it.id.as_str()),
        ApplicationField::Name => cell(&it.name),
        ApplicationField::State => state(it.state),
        ApplicationField::Reason => optional(it.reason.as_deref()),
        ApplicationField::StartMode => cell(it.start_mode.as_str()),
        ApplicationField::Url => cell(&it.url),
        ApplicationField::Domains => format::domains(it),
        ApplicationField::Labels => format::labels(it),
        ApplicationField::Engine => cell(&database.engine),
        ApplicationField::Mode => cell(database.mode.as_str()),
        ApplicationField::Location => cell(&database.location),
        ApplicationField::Schema => optional(database.schema.as_deref()),
        ApplicationField::Size => optional(database.size.map(format::size)),
        ApplicationField::Connections => {
            optional(database.connections.map(|connections| connections.to_string()))
        }
        ApplicationField::Upgrade => cell(it.upgrade.as_str()),
        ApplicationField::IdleStop => optional(it.idle_stop_seconds.map(format::seconds)),
        ApplicationField::Limits => format::limits(it, true),
        ApplicationField::AccessLog => cell(it.access_log.as_str()),
        ApplicationField::Protected => format::yes(it.protected),
        ApplicationField::Pinned => format::yes(it.pinned),
        ApplicationField::CreatedAt => cell(format::time(it.created_at)),
        ApplicationField::UpdatedAt => cell(format::time(it.updated_at)),
        ApplicationField::StartedAt => optional(it.started_at.map(format::time)),
        ApplicationField::Requests => cell(it.requests_in_flight.to_string()),
        ApplicationField::DeletedAt => optional(it.deleted.map(|deletion| format::time(deletion.at))),
        ApplicationField::Label(key) => optional(it.labels.get(key)),
    }
}

fn is_text(field: &ApplicationField) -> bool {
    use ApplicationField::{Domains, Label, Labels, Limits, Location, Name, Reason, Schema, Url};
    matches!(field, Name | Reason | Url | Domains | Labels | Location | Schema | Limits | Label(_))
}

/// A table with these columns, no wider than `width` as far as cutting values allows. IDs are whole.
pub(crate) fn table(
    fields: &[ApplicationField],
    applications: &[Application],
    width: Option<usize>,
) -> String {
    let headings: Vec<String> = fields.iter().map(heading).collect();
    let headings: Vec<&str> = headings.iter().map(String::as_str).collect();
    let rows = applications.iter();
    let rows = rows.map(|application| fields.iter().map(|field| value(field, application)).collect());
    let numbered = || fields.iter().enumerate().filter(|(_, field)| **field != ApplicationField::Id);
    let texts = numbered().filter(|(_, field)| is_text(field)).map(|(column, _)| (column, NARROW));
    let narrowed: Vec<_> = texts.chain(numbered().map(|(column, _)| (column, NARROWEST))).collect();
    columns(&headings, rows, Fit { width, narrowed: &narrowed, may_drop: false })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_by_other_names_too() {
        for (name, expected) in [
            ("start_mode", "start_mode"),
            ("start-mode", "start_mode"),
            ("START MODE", "start_mode"),
            ("created", "created_at"),
            ("domain", "domains"),
            (" size ", "size"),
            ("label.my-Team", "label.my-Team"),
        ] {
            assert_eq!(field(name).unwrap().to_string(), expected, "{name}");
        }
        for (_, name) in OTHER_NAMES {
            assert!(field(name).is_ok(), "{name}");
        }
        assert!(field("colour").unwrap_err().ends_with("deleted_at, label.KEY"));
        assert!(field("protcted").unwrap_err().ends_with("did you mean protected?"));
        assert_eq!(heading(&field("start").unwrap()), "START MODE");
        let by = sort_by("-created").unwrap();
        assert!(by.is_descending && by.field == ApplicationField::CreatedAt);
        assert!(sort_by("--size").is_err() && sort_by("-").is_err() && sort_by("").is_err());
    }
}
