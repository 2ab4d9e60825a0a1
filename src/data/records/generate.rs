//! Generates values of new and updated records.

use rand::seq::IndexedRandom as _;
use serde_json::Value as Json;

use crate::data::snowflake;
use crate::data::{Collection, Generator, Record};

/// Generates a value; `None` for a position, which depends on other records.
pub(super) fn value(generator: &Generator) -> Option<Json> {
    match generator {
        Generator::Uuid => Some(Json::String(uuid::Uuid::new_v4().hyphenated().to_string())),
        Generator::Nanoid { size, alphabet } => {
            let mut random = rand::rng();
            Some(Json::String((0..*size).filter_map(|_| alphabet.choose(&mut random)).collect()))
        }
        Generator::Uid { prefix } => Some(Json::String(format!("{prefix}{}", snowflake::random_uid()))),
        Generator::Snowflake => Some(Json::from(snowflake::next_snowflake())),
        Generator::Now => Some(now()),
        Generator::Position { .. } => None,
    }
}

/// Sets the fields that hold the time of the last update, and overwrites given values.
pub(super) fn touch(collection: &Collection, changes: &mut Record) {
    for field in collection.fields().iter().filter(|field| field.touched) {
        changes.insert(field.name().to_owned(), now());
    }
}

fn now() -> Json {
    Json::String(chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Millis, true))
}
