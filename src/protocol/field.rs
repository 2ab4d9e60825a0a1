//! The fields of applications, and the orders in which lists of applications are sorted by them.

use std::cmp::Ordering;
use std::fmt;

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::labels::{InvalidLabel, check_label_key};
use super::{AppId, Application};

/// A field of an application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ApplicationField {
    /// The ID.
    Id,
    /// The display name.
    Name,
    /// The state.
    State,
    /// Why it is in its state.
    Reason,
    /// When the daemon starts it by itself.
    StartMode,
    /// The URL of its pages.
    Url,
    /// Its domains.
    Domains,
    /// Its labels.
    Labels,
    /// The engine of its database.
    Engine,
    /// Whose its database is.
    Mode,
    /// Where its database is.
    Location,
    /// The schema of its database.
    Schema,
    /// The size of its data, which the database is queried for.
    Size,
    /// Its connections to the database.
    Connections,
    /// What happens when its system tables are older than the host.
    Upgrade,
    /// The time without a request after which it is stopped.
    IdleStop,
    /// The limits that were set for it alone.
    Limits,
    /// Which requests get a line in its access log.
    AccessLog,
    /// Whether it is protected against deletion.
    Protected,
    /// Whether it is pinned in the page's list.
    Pinned,
    /// When it was created.
    CreatedAt,
    /// When its settings were changed last.
    UpdatedAt,
    /// Since when it is running.
    StartedAt,
    /// The requests that it works on.
    Requests,
    /// When it was deleted.
    DeletedAt,
    /// The label of this key.
    Label(String),
}

/// A name that no field has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidField {
    /// There is no such field.
    #[error("there is no field \"{0}\"; there are {names}, label.KEY", names = ApplicationField::names().collect::<Vec<_>>().join(", "))]
    Name(String),
    /// No label has this key.
    #[error(transparent)]
    Label(#[from] InvalidLabel),
}

/// What a field is compared by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum SortValue {
    /// A number, or a time in milliseconds.
    Number(i64),
    /// A text in lower case.
    Text(String),
}

/// Every field but labels, with its name.
static FIELDS: [(&str, ApplicationField); 25] = [
    ("id", ApplicationField::Id),
    ("name", ApplicationField::Name),
    ("state", ApplicationField::State),
    ("reason", ApplicationField::Reason),
    ("start_mode", ApplicationField::StartMode),
    ("url", ApplicationField::Url),
    ("domains", ApplicationField::Domains),
    ("labels", ApplicationField::Labels),
    ("engine", ApplicationField::Engine),
    ("mode", ApplicationField::Mode),
    ("location", ApplicationField::Location),
    ("schema", ApplicationField::Schema),
    ("size", ApplicationField::Size),
    ("connections", ApplicationField::Connections),
    ("upgrade", ApplicationField::Upgrade),
    ("idle_stop", ApplicationField::IdleStop),
    ("limits", ApplicationField::Limits),
    ("access_log", ApplicationField::AccessLog),
    ("protected", ApplicationField::Protected),
    ("pinned", ApplicationField::Pinned),
    ("created_at", ApplicationField::CreatedAt),
    ("updated_at", ApplicationField::UpdatedAt),
    ("started_at", ApplicationField::StartedAt),
    ("requests", ApplicationField::Requests),
    ("deleted_at", ApplicationField::DeletedAt),
];

/// Texts are compared regardless of case.
pub(super) fn text(text: impl AsRef<str>) -> Option<SortValue> {
    Some(SortValue::Text(text.as_ref().to_lowercase()))
}

fn number(number: impl TryInto<i64>) -> Option<SortValue> {
    Some(SortValue::Number(number.try_into().unwrap_or(i64::MAX)))
}

fn time(time: DateTime<Utc>) -> Option<SortValue> {
    number(time.timestamp_millis())
}

impl ApplicationField {
    /// What begins the name of a label's field.
    pub const LABEL_PREFIX: &'static str = "label.";

    /// The names of all fields but labels.
    pub fn names() -> impl Iterator<Item = &'static str> {
        FIELDS.iter().map(|(name, _)| *name)
    }

    /// Parses the name of a field.
    ///
    /// # Errors
    /// [`InvalidField`] names the fields that exist.
    pub fn parse(name: &str) -> Result<Self, InvalidField> {
        if let Some(key) = name.strip_prefix(Self::LABEL_PREFIX) {
            check_label_key(key)?;
            return Ok(Self::Label(key.to_owned()));
        }
        let known = FIELDS.iter().find(|(known, _)| *known == name);
        known.map(|(_, field)| field.clone()).ok_or_else(|| InvalidField::Name(name.to_owned()))
    }

    /// What an application is sorted by; `None` where it lacks the field.
    #[must_use]
    pub fn sort_value(&self, application: &Application) -> Option<SortValue> {
        let database = &application.database;
        match self {
            Self::Id => text(application.id.as_str()),
            Self::Name => text(&application.name),
            Self::State => text(application.state.as_str()),
            Self::Reason => application.reason.as_ref().and_then(text),
            Self::StartMode => text(application.start_mode.as_str()),
            Self::Url => text(&application.url),
            Self::Domains => application.domains.first().and_then(text),
            Self::Labels => number(application.labels.len()),
            Self::Engine => text(&database.engine),
            Self::Mode => text(database.mode.as_str()),
            Self::Location => text(&database.location),
            Self::Schema => database.schema.as_ref().and_then(text),
            Self::Size => database.size.and_then(number),
            Self::Connections => database.connections.and_then(number),
            Self::Upgrade => text(application.upgrade.as_str()),
            Self::IdleStop => application.idle_stop_seconds.and_then(number),
            Self::Limits => number(application.own_limits.len()),
            Self::AccessLog => text(application.access_log.as_str()),
            Self::Protected => number(application.protected),
            Self::Pinned => number(application.pinned),
            Self::CreatedAt => time(application.created_at),
            Self::UpdatedAt => time(application.updated_at),
            Self::StartedAt => application.started_at.and_then(time),
            Self::Requests => number(application.requests_in_flight),
            Self::DeletedAt => application.deleted.and_then(|deletion| time(deletion.at)),
            Self::Label(key) => application.labels.get(key).and_then(text),
        }
    }
}

impl fmt::Display for ApplicationField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Label(key) => write!(f, "{}{key}", Self::LABEL_PREFIX),
            fixed => {
                let known = FIELDS.iter().find(|(_, field)| field == fixed);
                f.write_str(known.map_or("", |(name, _)| name))
            }
        }
    }
}

/// A field to sort by, and in which direction. Applications without the field come last in both.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct SortBy {
    /// The field.
    pub field: ApplicationField,
    /// Whether the greatest comes first.
    pub is_descending: bool,
}

impl TryFrom<String> for SortBy {
    type Error = InvalidField;

    fn try_from(text: String) -> Result<Self, InvalidField> {
        let name = text.strip_prefix('-');
        let field = ApplicationField::parse(name.unwrap_or(&text))?;
        Ok(Self { field, is_descending: name.is_some() })
    }
}

impl From<SortBy> for String {
    fn from(sort: SortBy) -> Self {
        format!("{}{}", if sort.is_descending { "-" } else { "" }, sort.field)
    }
}

/// The value of one field, in the direction in which it is sorted.
#[derive(PartialEq, Eq)]
struct Directed {
    value: Option<SortValue>,
    is_descending: bool,
}

impl Ord for Directed {
    fn cmp(&self, other: &Self) -> Ordering {
        match (&self.value, &other.value) {
            (Some(one), Some(other)) if self.is_descending => other.cmp(one),
            (Some(one), Some(other)) => one.cmp(other),
            (one, other) => one.is_none().cmp(&other.is_none()),
        }
    }
}

impl PartialOrd for Directed {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Sorts what stands for applications: by each field in turn, then by ID. Leaves it as it is where `order` is empty.
pub fn sort_applications<T>(
    items: &mut [T],
    order: &[SortBy],
    value: impl Fn(&ApplicationField, &T) -> Option<SortValue>,
    id: impl Fn(&T) -> &AppId,
) {
    if order.is_empty() {
        return;
    }
    items.sort_by_cached_key(|item| {
        let directed =
            |by: &SortBy| Directed { value: value(&by.field, item), is_descending: by.is_descending };
        (order.iter().map(directed).collect::<Vec<_>>(), id(item).clone())
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_by_name() {
        for (name, field) in &FIELDS {
            assert_eq!(ApplicationField::parse(name).as_ref(), Ok(field));
            assert_eq!(field.to_string(), *name);
        }
        assert_eq!(ApplicationField::parse("label.team"), Ok(ApplicationField::Label("team".into())));
        for wrong in ["", "ID", "label.", "label.a b", "-id", "colour"] {
            assert!(ApplicationField::parse(wrong).is_err(), "{wrong}");
        }
        let error = ApplicationField::parse("colour").unwrap_err().to_string();
        assert!(error.contains("id, name, state") && error.ends_with("deleted_at, label.KEY"), "{error}");
    }

    #[test]
    fn an_order_is_a_text_on_the_wire() {
        for text in ["size", "-created_at", "-label.team"] {
            let order: SortBy = serde_json::from_value(text.into()).unwrap();
            assert_eq!(order.is_descending, text.starts_with('-'));
            assert_eq!(serde_json::to_value(&order).unwrap(), text);
        }
        for wrong in ["--size", "-", "colour"] {
            assert!(serde_json::from_value::<SortBy>(wrong.into()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn missing_values_come_last_and_equal_ones_by_the_next_field() {
        let sorted = |order: &[&str]| {
            let order: Vec<SortBy> =
                order.iter().map(|text| (*text).to_owned().try_into().unwrap()).collect();
            let mut items = [("a", None, 1), ("b", Some(2), 2), ("c", Some(10), 3), ("d", Some(2), 1)]
                .map(|(id, size, requests)| (AppId::parse(id).unwrap(), size, requests));
            let value = |field: &ApplicationField, item: &(AppId, Option<i64>, i64)| match field {
                ApplicationField::Size => item.1.map(SortValue::Number),
                _ => Some(SortValue::Number(item.2)),
            };
            sort_applications(&mut items, &order, value, |item| &item.0);
            items.map(|item| item.0.to_string()).concat()
        };
        for (order, expected) in [
            (&["size"][..], "bdca"),
            (&["-size"], "cbda"),
            (&["size", "requests"], "dbca"),
            (&["-size", "requests"], "cdba"),
            (&["requests", "-size"], "dabc"),
            (&[], "abcd"),
        ] {
            assert_eq!(sorted(order), expected, "{order:?}");
        }
    }
}
