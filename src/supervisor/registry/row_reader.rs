//! Reads the rows of the registry, however damaged they are.
//!
//! Anybody may write into the main application's database: another program, a restore, an operator with a SQL
//! client. A row that this host would not have written still becomes an application, in state `error`: it keeps
//! what can be read, and its damage says what cannot.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::data::{DataError, Record};
use crate::protocol::{AppId, State};

use super::super::host_name;
use super::checks::{is_writable, options_problems};
use super::damage::Damage;
use super::provision::Provision;
use super::registration::{DeletedRegistration, Registration};

/// How far back a clock may have been set before two times contradict each other.
const CLOCK_TOLERANCE: TimeDelta = TimeDelta::days(1);
/// The most characters of a value that a message quotes.
const MAX_QUOTED: usize = 60;

/// A row as it was read: the values that could be read, and an error for each that could not.
#[derive(Debug, Default)]
pub(super) struct StoredRow {
    pub(super) record: Record,
    pub(super) unreadable: Vec<DataError>,
}

/// Makes a registration of each application from its rows in both tables. Either may be missing.
pub(super) fn registrations(applications: Vec<StoredRow>, provisions: Vec<StoredRow>) -> Vec<Registration> {
    let mut by_name: HashMap<String, StoredRow> = HashMap::new();
    let mut nameless = Vec::new();
    for row in provisions {
        match row.text("name") {
            Some(name) if name == AppId::MAIN => {}
            Some(name) => drop(by_name.insert(name, row)),
            None => nameless.push(row),
        }
    }
    let mut all = Registrations::default();
    for row in applications {
        let name = row.text("name");
        let provision = name.as_deref().and_then(|name| by_name.remove(name));
        let mut registration = registration(name, row);
        registration.read_provision(provision);
        all.add(registration, "applications");
    }
    let mut named: Vec<_> = by_name.into_iter().collect();
    named.sort_by(|(one, _), (other, _)| one.cmp(other));
    for (name, row) in named {
        all.add(unregistered(name, row), "applicationProvisions");
    }
    for row in nameless {
        match nameless_provision(row) {
            Some(registration) => all.add(registration, "applicationProvisions"),
            None => tracing::error!(
                "a row of applicationProvisions was skipped: neither its name nor its secret can be read"
            ),
        }
    }
    all.in_order()
}

/// The registrations read so far, by ID.
#[derive(Default)]
struct Registrations {
    all: Vec<Registration>,
    positions: HashMap<AppId, usize>,
}

impl Registrations {
    /// Adds one. If there is one with its ID, adds the conflict to the damage of that one instead.
    fn add(&mut self, registration: Registration, table: &str) {
        if let Some(&first) = self.positions.get(&registration.id) {
            let conflict = format!("two rows of {table} have the name {}", registration.id);
            return self.all[first].damage.row.push(conflict);
        }
        self.positions.insert(registration.id.clone(), self.all.len());
        self.all.push(registration);
    }

    /// Sorts them by priority: if two claim the same place or domain, the first has it. Sound ones come before
    /// damaged ones, older ones before newer ones.
    fn in_order(mut self) -> Vec<Registration> {
        self.all.sort_by_cached_key(|one| (!one.damage.is_none(), one.created_at, one.sort, one.id.clone()));
        self.all
    }
}

/// Makes a registration of a row of `applicationProvisions` that has none in `applications`.
fn unregistered(name: String, row: StoredRow) -> Registration {
    let mut registration = registration(Some(name), StoredRow::default());
    registration.damage.row = vec!["it has no row in applications".to_owned()];
    registration.damage.is_unregistered = true;
    registration.read_provision(Some(row));
    registration
}

/// Makes a registration of a row of `applicationProvisions` whose name cannot be read. Its secret identifies the
/// row. `None` if the secret cannot, or if the row does not say what was created: then nothing can be done with
/// it.
fn nameless_provision(row: StoredRow) -> Option<Registration> {
    let secret = row.text("jwtSecret").filter(|secret| is_writable(secret))?;
    let mut registration = unregistered(String::new(), row);
    let directory = registration.provision.as_ref()?.directory.clone();
    registration.id = stand_in_id(&directory, &secret);
    registration.name = registration.id.to_string();
    registration.damage.row.insert(0, "the name of its row in applicationProvisions is not text".to_owned());
    Some(registration)
}

/// Makes a registration of a row of `deletedApplications`.
pub(super) fn deleted(mut row: StoredRow) -> DeletedRegistration {
    let mut problems = row.problems();
    let key = row.text("key").filter(|key| is_writable(key));
    let is_keyed = key.is_some();
    let key = key.unwrap_or_else(|| {
        problems.push("key is not text that a statement can contain".to_owned());
        row.stand_in_key()
    });
    let name = row.text("name");
    let deleted_at = row.time("deletedAt").unwrap_or_else(|| {
        problems.push("deletedAt is not a time".to_owned());
        // Its retention period cannot be known, so it never expires by itself.
        crate::protocol::now()
    });
    // Any other value is among the problems already. It must not cause a removal.
    let purging = row.record.get("purging").and_then(Value::as_bool).unwrap_or_default();
    let application = match row.record.remove("application") {
        Some(Value::Object(application)) => application,
        _ => {
            problems.push("application is not a JSON object".to_owned());
            Map::from_iter(name.clone().map(|name| ("name".to_owned(), Value::String(name))))
        }
    };
    let application = StoredRow { record: application, unreadable: Vec::new() };
    let mut registration = registration(application.text("name").or(name), application);
    if deleted_at + CLOCK_TOLERANCE < registration.created_at {
        problems.push("deletedAt is before its creation".to_owned());
    }
    row.unreadable.clear();
    registration.read_provision(Some(row));
    registration.damage.row.splice(0..0, problems);
    DeletedRegistration { key, is_keyed, deleted_at, purging, registration }
}

/// Makes a registration of a row of `applications`, without its provision.
fn registration(name: Option<String>, row: StoredRow) -> Registration {
    let mut damage = Damage { row: row.problems(), ..Damage::default() };
    let id = identify(name.as_deref(), &row, &mut damage);
    if !row.record.is_empty() {
        for (field, found) in [
            ("sort", row.record.get("sort").is_some_and(Value::is_i64)),
            ("createdAt", row.time("createdAt").is_some()),
            ("updatedAt", row.time("updatedAt").is_some()),
        ] {
            // A value of a wrong type is absent from the record, and among the problems already.
            if !found && row.record.contains_key(field) {
                damage.row.push(format!("{field} holds no usable value"));
            }
        }
    }
    let options = match row.record.get("options") {
        Some(Value::Object(options)) => options.clone(),
        None | Some(Value::Null) => Map::new(),
        Some(_) => {
            damage.row.push("options is JSON, but not an object".to_owned());
            Map::new()
        }
    };
    damage.row.extend(options_problems(&options));
    for field in ["displayName", "icon"] {
        if row.text(field).is_some_and(|text| text.contains('\0')) {
            damage.row.push(format!("{field} contains the character U+0000"));
        }
    }
    let status = status(&row, &mut damage);
    let mut registration = Registration {
        name: row.text("displayName").or(name).unwrap_or_else(|| id.to_string()),
        cname: row.text("cname"),
        icon: row.text("icon"),
        pinned: row.record.get("pinned").and_then(Value::as_bool),
        status,
        options,
        sort: row.record.get("sort").and_then(Value::as_i64).unwrap_or_default(),
        created_at: row.time("createdAt").unwrap_or_default(),
        updated_at: row.time("updatedAt").unwrap_or_default(),
        provision: None,
        jwt_secret: String::new(),
        damage,
        id,
    };
    registration.check_domains();
    registration
}

/// Returns the ID in a row's name. For a name that is not an ID, makes one from the name; for a name that no
/// statement can contain, from other values that distinguish the row.
fn identify(name: Option<&str>, row: &StoredRow, damage: &mut Damage) -> AppId {
    let problem = match name.map(AppId::parse) {
        Some(Ok(id)) if !id.is_main() => return id,
        Some(Ok(_)) => "its name is that of the main application, which has no row here".to_owned(),
        Some(Err(error)) => error.to_string().replace('\0', "\\0"),
        None => "its name is not text".to_owned(),
    };
    damage.row.push(problem);
    let name = name.unwrap_or_default();
    damage.name = Some(name.to_owned());
    if is_writable(name) {
        return stand_in_id(name, name);
    }
    let marks = ["displayName", "sort", "createdAt"].map(|field| row.record.get(field));
    stand_in_id(&row.text("displayName").unwrap_or_default(), &format!("{name}{marks:?}"))
}

/// Makes an ID that starts with `readable`, as far as an ID may contain it, and is the same for the same `seed`.
fn stand_in_id(readable: &str, seed: &str) -> AppId {
    let hash = Sha256::digest(seed);
    let words: String = readable
        .to_lowercase()
        .chars()
        .filter(|c| matches!(c, 'a'..='z' | '0'..='9' | '_' | '-'))
        .take(24)
        .collect();
    let stand_in = format!("damaged-{words}-{:02x}{:02x}{:02x}", hash[0], hash[1], hash[2]);
    // It has no characters but those of an ID, so that it is always parsed.
    AppId::parse(&stand_in).unwrap_or_else(|_| AppId::random())
}

fn status(row: &StoredRow, damage: &mut Damage) -> State {
    let said = match row.record.get("status") {
        // The column's default: no state has been written yet.
        Some(Value::String(said)) if said == "pending" => return State::Initialized,
        Some(said) => said,
        None => return State::Initialized,
    };
    serde_json::from_value(said.clone()).unwrap_or_else(|_| {
        damage.row.push(format!("status is {}, which is not a state of an application", quoted(said)));
        State::Initialized
    })
}

impl StoredRow {
    fn text(&self, field: &str) -> Option<String> {
        self.record.get(field).and_then(Value::as_str).map(str::to_owned)
    }

    fn time(&self, field: &str) -> Option<DateTime<Utc>> {
        let text = self.record.get(field)?.as_str()?;
        DateTime::parse_from_rfc3339(text).ok().map(|time| time.to_utc())
    }

    /// A key that is the same each time this row is read.
    fn stand_in_key(&self) -> String {
        let hash = Sha256::digest(Value::Object(self.record.clone()).to_string());
        format!("damaged-{}", hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect::<String>())
    }

    fn problems(&self) -> Vec<String> {
        self.unreadable.iter().map(ToString::to_string).collect()
    }
}

impl Registration {
    /// Reads its row of `applicationProvisions`.
    fn read_provision(&mut self, row: Option<StoredRow>) {
        let Some(mut row) = row else {
            return self.damage.provision.push("it has no row in applicationProvisions".to_owned());
        };
        self.jwt_secret = row.text("jwtSecret").unwrap_or_default();
        if self.jwt_secret.is_empty() {
            self.damage.secret.push("jwtSecret is empty or not text".to_owned());
        }
        let problem = match row.record.remove("provision") {
            None => "provision cannot be read as JSON".to_owned(),
            Some(given) => match Provision::read(given) {
                Ok(provision) => return self.provision = Some(provision),
                Err(problem) => format!("provision cannot be used: {problem}"),
            },
        };
        self.damage.provision.push(problem);
    }

    /// Normalizes its domains; adds to the damage if one is not a host name.
    fn check_domains(&mut self) {
        match host_name::normalize(&self.domains()) {
            Ok(domains) => self.set_domains(&domains),
            Err(error) => self.damage.row.push(error.message),
        }
    }
}

/// A value in the form in which a message quotes it.
fn quoted(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(MAX_QUOTED) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
