//! What the rows of the registry say, however damaged they are.
//!
//! Anybody may write into the main application's database: another program, a restore, an operator by
//! hand. A row that this host would not have written stands for an application all the same, in `error`:
//! what can be read of it is kept, and what cannot is said.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::data::{DataError, Record, has_nul};
use crate::protocol::{AppId, DatabaseMode, Limit, State};

use super::domains;
use super::registry::{DeletedRegistration, Registration};
use super::storage::Provision;

/// How far a clock may have been put back before two moments contradict each other.
const DOUBT: TimeDelta = TimeDelta::days(1);
/// Characters of a value that is quoted in a sentence.
const QUOTED: usize = 60;

/// A row of the registry: what could be read of it, and an error for each value that could not.
#[derive(Debug, Default)]
pub(crate) struct Row {
    pub(crate) record: Record,
    pub(crate) unreadable: Vec<DataError>,
}

/// What of an application's registration cannot be read or used, in sentences.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Damage {
    /// Of its row in `applications`, which is mended by being written anew.
    pub(crate) row: Vec<String>,
    /// Of what the host made for it, which nobody but the host knows.
    pub(crate) provision: Vec<String>,
    /// Of its JWT secret, in whose place a new one can be put.
    pub(crate) secret: Vec<String>,
    /// The name of its rows, where that is no ID and another stands for it.
    pub(crate) name: Option<String>,
}

impl Damage {
    pub(crate) fn is_none(&self) -> bool {
        self.sentences().next().is_none()
    }

    fn sentences(&self) -> impl Iterator<Item = &String> {
        self.row.iter().chain(&self.provision).chain(&self.secret)
    }

    /// What is wrong, and what mends it; `None` where nothing is.
    pub(crate) fn reason(&self, id: &AppId) -> Option<String> {
        let sentences: Vec<_> = self.sentences().map(String::as_str).collect();
        if sentences.is_empty() {
            return None;
        }
        let mends = if self.provision.is_empty() {
            format!(
                "nbapps update {id} writes it anew with what could be read, as with --name NAME; \
                 nbapps delete {id} takes it out"
            )
        } else {
            format!("nbapps delete {id} takes it out; bring the row back from a backup to have it run again")
        };
        Some(format!("its entry in the registry is damaged: {}; {mends}", sentences.join("; ")))
    }

    /// The same of a deleted application.
    pub(crate) fn reason_of_deleted(&self, id: &AppId) -> Option<String> {
        let sentences: Vec<_> = self.sentences().map(String::as_str).collect();
        (!sentences.is_empty()).then(|| {
            format!(
                "its entry in the registry is damaged: {}; nbapps undelete {id} writes it anew with what could be \
                 read; nbapps delete {id} --purge removes it, with --keep-data its entry alone",
                sentences.join("; ")
            )
        })
    }

    /// What is left of it when the rows have been written anew.
    pub(crate) fn once_mended(&self) -> Self {
        Self { provision: self.provision.clone(), ..Self::default() }
    }
}

/// Reads what a row of each table says together. Either may be missing.
pub(crate) fn registrations(applications: Vec<Row>, provisions: Vec<Row>) -> Vec<Registration> {
    let mut made: HashMap<String, Row> = HashMap::new();
    for row in provisions {
        match row.text("name") {
            Some(name) if name == AppId::MAIN => {}
            Some(name) => drop(made.insert(name, row)),
            None => tracing::error!(
                "a row of applicationProvisions has no name that can be read; it is left alone"
            ),
        }
    }
    let mut known: HashMap<AppId, usize> = HashMap::new();
    let mut all: Vec<Registration> = Vec::with_capacity(applications.len());
    for row in applications {
        let name = row.text("name");
        let own = name.as_deref().and_then(|name| made.remove(name));
        let mut registration = registration(name, row);
        if let Some(first) = known.get(&registration.id) {
            let twice = format!("two rows of applications have the name {}", registration.id);
            all[*first].damage.row.push(twice);
            continue;
        }
        registration.read_provision(own);
        known.insert(registration.id.clone(), all.len());
        all.push(registration);
    }
    for (name, row) in made {
        let mut registration = registration(Some(name), Row::default());
        registration.damage.row = vec!["it has no row in applications".to_owned()];
        registration.read_provision(Some(row));
        all.push(registration);
    }
    // Of two that want the same, the one that was made first has it; before one that is damaged, one that
    // is not.
    let place = |one: &Registration| (!one.damage.is_none(), one.created_at, one.sort, one.id.clone());
    all.sort_by_cached_key(place);
    all
}

/// Reads a deleted application.
pub(crate) fn deleted(mut row: Row) -> DeletedRegistration {
    let mut problems = row.problems();
    let key = row.text("key").filter(|key| is_writable(key));
    let is_keyed = key.is_some();
    let key = key.unwrap_or_else(|| {
        problems.push("key is no text that a statement can name".to_owned());
        row.stand_in()
    });
    let name = row.text("name");
    let deleted_at = row.time("deletedAt").unwrap_or_else(|| {
        problems.push("deletedAt is no moment".to_owned());
        // It is not removed by itself: nobody knows when its time is over.
        crate::protocol::now()
    });
    // What is neither was said already: nothing is removed on the word of a value that is none.
    let purging = row.record.get("purging").and_then(Value::as_bool).unwrap_or_default();
    let application = match row.record.remove("application") {
        Some(Value::Object(application)) => application,
        _ => {
            problems.push("application is no JSON object".to_owned());
            Map::from_iter(name.clone().map(|name| ("name".to_owned(), Value::String(name))))
        }
    };
    let application = Row { record: application, unreadable: Vec::new() };
    let mut registration = registration(application.text("name").or(name), application);
    if deleted_at + DOUBT < registration.created_at {
        problems.push("deletedAt is before it was made".to_owned());
    }
    row.unreadable.clear();
    registration.read_provision(Some(row));
    registration.damage.row.splice(0..0, problems);
    DeletedRegistration { key, is_keyed, deleted_at, purging, registration }
}

/// Whether a text can be written in a statement, and is found by it: PostgreSQL has no place for U+0000,
/// and what is no UTF-8 was read with U+FFFD in its place.
pub(crate) fn is_writable(text: &str) -> bool {
    !text.is_empty() && !text.contains(['\0', '\u{fffd}'])
}

/// Reads a row of `applications`.
fn registration(name: Option<String>, row: Row) -> Registration {
    let mut damage = Damage { row: row.problems(), ..Damage::default() };
    let id = identify(name.as_deref(), &row, &mut damage);
    if !row.record.is_empty() {
        for (field, found) in [
            ("sort", row.record.get("sort").is_some_and(Value::is_i64)),
            ("createdAt", row.time("createdAt").is_some()),
            ("updatedAt", row.time("updatedAt").is_some()),
        ] {
            // What is of a wrong type was said already.
            if !found && row.record.contains_key(field) {
                damage.row.push(format!("{field} holds nothing that can be used"));
            }
        }
    }
    let options = match row.record.get("options") {
        Some(Value::Object(options)) => options.clone(),
        None | Some(Value::Null) => Map::new(),
        Some(_) => {
            damage.row.push("options is JSON, but no object".to_owned());
            Map::new()
        }
    };
    damage.row.extend(options_problems(&options));
    for field in ["displayName", "icon"] {
        if row.text(field).is_some_and(|text| text.contains('\0')) {
            damage.row.push(format!("{field} has a character U+0000"));
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

/// The ID that a row's name is. One that is none is addressed by another, which is made from it; where no
/// statement can name it, from what else tells the row from others.
fn identify(name: Option<&str>, row: &Row, damage: &mut Damage) -> AppId {
    let problem = match name.map(AppId::parse) {
        Some(Ok(id)) if !id.is_main() => return id,
        Some(Ok(_)) => "its name is that of the main application, which has no row of its own".to_owned(),
        Some(Err(error)) => error.to_string().replace('\0', "\\0"),
        None => "its name is no text".to_owned(),
    };
    damage.row.push(problem);
    let name = name.unwrap_or_default();
    damage.name = Some(name.to_owned());
    let (readable, seed) = if is_writable(name) {
        (name.to_owned(), name.to_owned())
    } else {
        let marks = ["displayName", "sort", "createdAt"].map(|field| row.record.get(field));
        (row.text("displayName").unwrap_or_default(), format!("{name}{marks:?}"))
    };
    let hash = Sha256::digest(seed);
    let words: String = readable
        .to_lowercase()
        .chars()
        .filter(|c| matches!(c, 'a'..='z' | '0'..='9' | '_' | '-'))
        .take(24)
        .collect();
    let stand_in = format!("damaged-{words}-{:02x}{:02x}{:02x}", hash[0], hash[1], hash[2]);
    // It is made of what an ID may have.
    AppId::parse(&stand_in).unwrap_or_else(|_| AppId::random())
}

fn status(row: &Row, damage: &mut Damage) -> State {
    let said = match row.record.get("status") {
        // A column's default, as NocoBase has it: nothing has been said yet.
        Some(Value::String(said)) if said == "pending" => return State::Initialized,
        Some(said) => said,
        None => return State::Initialized,
    };
    serde_json::from_value(said.clone()).unwrap_or_else(|_| {
        damage.row.push(format!("status is {}, which is no state of an application", quoted(said)));
        State::Initialized
    })
}

impl Row {
    fn text(&self, field: &str) -> Option<String> {
        self.record.get(field).and_then(Value::as_str).map(str::to_owned)
    }

    fn time(&self, field: &str) -> Option<DateTime<Utc>> {
        let text = self.record.get(field)?.as_str()?;
        DateTime::parse_from_rfc3339(text).ok().map(|time| time.to_utc())
    }

    /// A key that is the same whenever this row is read.
    fn stand_in(&self) -> String {
        let hash = Sha256::digest(Value::Object(self.record.clone()).to_string());
        format!("damaged-{}", hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect::<String>())
    }

    fn problems(&self) -> Vec<String> {
        self.unreadable.iter().map(ToString::to_string).collect()
    }
}

impl Registration {
    /// Reads what the host made for it.
    fn read_provision(&mut self, row: Option<Row>) {
        let Some(mut row) = row else {
            return self.damage.provision.push("it has no row in applicationProvisions".to_owned());
        };
        self.jwt_secret = row.text("jwtSecret").unwrap_or_default();
        if self.jwt_secret.is_empty() {
            self.damage.secret.push("jwtSecret has no text".to_owned());
        }
        let problem = match row.record.remove("provision") {
            None => "provision cannot be read as JSON".to_owned(),
            Some(given) => match Provision::read(given) {
                Ok(provision) => return self.provision = Some(provision),
                Err(problem) => format!("provision says nothing that this host understands: {problem}"),
            },
        };
        self.damage.provision.push(problem);
    }

    /// Whether its domains are names of hosts.
    fn check_domains(&mut self) {
        match domains::normalize(&self.domains()) {
            Ok(domains) => self.set_domains(&domains),
            Err(error) => self.damage.row.push(error.message),
        }
    }

    /// Whether the options say what the row of `applicationProvisions` says of the database.
    pub(crate) fn check_mode(&mut self) {
        let Some(provision) = &self.provision else { return };
        let (said, is) = (self.options.get("dbConnType"), provision.mode().nocobase_name());
        if let Some(Value::String(said)) = said
            && said != is
            && DatabaseMode::of_nocobase(said).is_some()
        {
            self.damage.row.push(format!("options.dbConnType is {said}, and its database was made as {is}"));
        }
    }
}

impl Registration {
    /// Leaves out what cannot be or cannot be written, and says the mode that the database has.
    pub(crate) fn make_sound(&mut self) {
        self.make_writable();
        self.options.retain(|name, value| {
            options_problems(&Map::from_iter([(name.clone(), value.clone())])).is_empty()
        });
        if let Some(provision) = &self.provision {
            self.options.insert("dbConnType".into(), provision.mode().nocobase_name().into());
        }
        let sound = self.sound_domains();
        self.set_domains(&sound);
    }

    /// Leaves out what no statement can write.
    pub(crate) fn make_writable(&mut self) {
        for text in std::iter::once(&mut self.name).chain(&mut self.icon) {
            text.retain(|character| character != '\0');
        }
        self.options.retain(|name, value| !name.contains('\0') && !has_nul(value));
    }

    /// Those of its domains that are names of hosts.
    pub(crate) fn sound_domains(&self) -> Vec<String> {
        let all = self.domains();
        domains::normalize(&all).unwrap_or_else(|_| {
            let each = all.iter().flat_map(|domain| domains::normalize(std::slice::from_ref(domain)));
            let mut sound = Vec::new();
            each.flatten().for_each(|domain| {
                if !sound.contains(&domain) {
                    sound.push(domain);
                }
            });
            sound
        })
    }
}

/// What of an application's options is not what they are read as. Null is as good as nothing.
pub(crate) fn options_problems(options: &Map<String, Value>) -> Vec<String> {
    type Check = fn(&Value) -> bool;
    let known: [(&str, &str, Check); 8] = [
        ("autoStart", "true or false", Value::is_boolean),
        ("autoUpgrade", "true or false", Value::is_boolean),
        ("protected", "true or false", Value::is_boolean),
        ("idleStopSeconds", "a number of seconds", Value::is_u64),
        ("domains", "a list of host names", is_list_of_texts),
        ("limits", "an object of limits", are_limits),
        ("dbConnType", "new_database, new_connection or new_schema", is_mode),
        ("database", "an object", Value::is_object),
    ];
    let wrong = known.into_iter().filter_map(|(name, expected, fits)| {
        options.get(name).filter(|value| !value.is_null() && !fits(value))?;
        Some(format!("options.{name} is not {expected}"))
    });
    let unwritable = options.iter().filter(|(name, value)| name.contains('\0') || has_nul(value));
    wrong.chain(unwritable.map(|(name, _)| format!("options.{name:?} has a character U+0000"))).collect()
}

pub(super) fn is_list_of_texts(value: &Value) -> bool {
    value.as_array().is_some_and(|items| items.iter().all(Value::is_string))
}

fn is_mode(value: &Value) -> bool {
    value.as_str().and_then(DatabaseMode::of_nocobase).is_some()
}

fn are_limits(value: &Value) -> bool {
    let Value::Object(limits) = value else { return false };
    limits.iter().all(|(name, value)| {
        let limit: Option<Limit> = serde_json::from_value(Value::from(name.as_str())).ok();
        limit.zip(value.as_u64()).is_some_and(|(limit, value)| limit.check(value).is_ok())
    })
}

/// A value as a sentence has it.
fn quoted(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(QUOTED) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
