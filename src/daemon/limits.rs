//! Parses the limits of all applications from the file and the environment.

use std::fmt;

use serde::Deserializer;
use serde::de::{Error, MapAccess, Visitor};

use super::error::ConfigurationError;
use crate::protocol::{Limit, LimitValues};

/// Parses the table `[limits]`: `in_flight = 64`, `request_time = "30s"`, `body = "10MiB"`.
pub(super) fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<LimitValues, D::Error> {
    deserializer.deserialize_map(Table)
}

/// Parses variables such as `NBAPPS_LIMIT_IN_FLIGHT`.
pub(super) fn from_environment(
    variable: impl Fn(&str) -> Option<String>,
) -> Result<LimitValues, ConfigurationError> {
    let mut values = LimitValues::new();
    for limit in Limit::ALL {
        let name = format!("NBAPPS_LIMIT_{}", key(limit).to_ascii_uppercase());
        if let Some(text) = variable(&name) {
            let value =
                limit.parse(&text).map_err(|error| ConfigurationError::value(&name, error.to_string()))?;
            values.insert(limit, value);
        }
    }
    Ok(values)
}

/// The name of a limit in the file.
fn key(limit: Limit) -> String {
    limit.name().replace('-', "_")
}

struct Table;

impl<'de> Visitor<'de> for Table {
    type Value = LimitValues;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table of limits")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut table: A) -> Result<LimitValues, A::Error> {
        let mut values = LimitValues::new();
        while let Some(name) = table.next_key::<String>()? {
            let limit = Limit::ALL.into_iter().find(|limit| key(*limit) == name).ok_or_else(|| {
                let names = Limit::ALL.map(key).join(", ");
                A::Error::custom(format!("there is no limit `{name}`, expected one of {names}"))
            })?;
            let text = match table.next_value::<toml::Value>()? {
                toml::Value::String(text) => text,
                other => other.to_string(),
            };
            values.insert(limit, limit.parse(&text).map_err(A::Error::custom)?);
        }
        Ok(values)
    }
}
