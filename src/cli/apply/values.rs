//! Values in documents that have a form of their own: durations, limits, references to secrets.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error as _, MapAccess, Visitor};
use serde::ser::SerializeMap as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use crate::cli::error::CliError;
use crate::cli::values;
use crate::protocol::{Limit, LimitValues};

/// The word for what has no end.
const NEVER: &str = "never";

/// The version of the document's format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "u32", into = "u32")]
#[schemars(with = "u32", extend("const" = 1))]
pub(crate) struct Version;

impl Default for Version {
    fn default() -> Self {
        Self
    }
}

impl TryFrom<u32> for Version {
    type Error = String;

    fn try_from(number: u32) -> Result<Self, String> {
        if number == 1 { Ok(Self) } else { Err(format!("the version is 1, not {number}")) }
    }
}

impl From<Version> for u32 {
    fn from(_: Version) -> Self {
        1
    }
}

/// How long without a request until an application stops, in seconds; 0 for never.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub(crate) struct IdleStop(pub(crate) u64);

impl TryFrom<String> for IdleStop {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text == NEVER {
            return Ok(Self(0));
        }
        let duration = values::idle_duration(&text)
            .map_err(|error| format!("\"{text}\": {error}; give a duration such as 15m, or {NEVER}"))?;
        Ok(Self(duration.as_secs()))
    }
}

impl From<IdleStop> for String {
    fn from(idle_stop: IdleStop) -> Self {
        match idle_stop.0 {
            0 => NEVER.to_owned(),
            seconds => humantime::format_duration(Duration::from_secs(seconds)).to_string(),
        }
    }
}

/// How long an API key is good, as the application takes it: seconds, or `never`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub(crate) struct Expiry(String);

impl Expiry {
    /// The value for `key.create`.
    pub(crate) fn expires_in(&self) -> String {
        self.0.clone()
    }

    /// How long a key is good of which the document does not say it.
    pub(crate) fn usual() -> Self {
        Self("30d".to_owned())
    }
}

impl TryFrom<String> for Expiry {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        values::expiry(&text).map(Self).map_err(|error| format!("\"{text}\": {error}"))
    }
}

impl From<Expiry> for String {
    fn from(expiry: Expiry) -> Self {
        expiry.0
    }
}

/// Limits by name, with the values that `--limit` takes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct LimitTable(pub(crate) LimitValues);

impl Serialize for LimitTable {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (limit, value) in &self.0 {
            let written = limit.written(*value);
            // A number where the unit is one of its own.
            match written.parse::<u64>() {
                Ok(number) => map.serialize_entry(limit.name(), &number)?,
                Err(_) => map.serialize_entry(limit.name(), &written)?,
            }
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for LimitTable {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Table;

        impl<'de> Visitor<'de> for Table {
            type Value = LimitTable;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("limits by name")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<LimitTable, A::Error> {
                let mut limits = LimitValues::new();
                while let Some(name) = map.next_key::<String>()? {
                    let value = match map.next_value::<Value>()? {
                        Value::String(text) => text,
                        Value::Number(number) => number.to_string(),
                        other => return Err(A::Error::custom(format!("{name} cannot be {other}"))),
                    };
                    let given = values::limit(&format!("{name}={value}")).map_err(A::Error::custom)?;
                    limits.extend(given.value.map(|value| (given.limit, value)));
                }
                Ok(LimitTable(limits))
            }
        }

        deserializer.deserialize_map(Table)
    }
}

impl JsonSchema for LimitTable {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Limits".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let value = json_schema!({"type": ["string", "integer"]});
        let properties: Map<String, Value> =
            Limit::ALL.iter().map(|limit| (limit.name().to_owned(), value.clone().to_value())).collect();
        json_schema!({"type": "object", "properties": properties, "additionalProperties": false})
    }
}

/// Where a secret is read: `env:NAME` or `file:PATH`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", extend("pattern" = "^(env|file):."))]
pub(crate) enum Reference {
    /// A variable of the environment.
    Environment(String),
    /// A file, relative to the document.
    File(PathBuf),
}

impl Reference {
    /// Parses a reference; `None` for other texts.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text.split_once(':') {
            Some(("env", name)) if !name.is_empty() => Some(Self::Environment(name.to_owned())),
            Some(("file", path)) if !path.is_empty() => Some(Self::File(path.into())),
            _ => None,
        }
    }

    /// Reads the secret. `base` is the directory of the document.
    ///
    /// # Errors
    /// The sentence says what is referred to, and never what is there.
    pub(crate) fn read(&self, base: &Path) -> Result<Secret, CliError> {
        let text = match self {
            Self::Environment(name) => std::env::var(name).map_err(|error| {
                let problem = match error {
                    std::env::VarError::NotPresent => "is not set",
                    std::env::VarError::NotUnicode(_) => "is not UTF-8",
                };
                CliError::usage(format!("the variable {name} {problem}"), format!("set it: export {name}=…"))
            })?,
            Self::File(path) => {
                let path = base.join(path);
                std::fs::read_to_string(&path).map_err(|error| {
                    CliError::usage(
                        format!("{} cannot be read: {error}", path.display()),
                        "name a file that this user can read; a path is relative to the document",
                    )
                })?
            }
        };
        values::one_line(&text).map(|secret| Secret(secret.to_owned())).ok_or_else(|| {
            CliError::usage(
                format!("{self} must hold one line, the secret"),
                "write the secret and nothing else there",
            )
        })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Environment(name) => write!(formatter, "env:{name}"),
            Self::File(path) => write!(formatter, "file:{}", path.display()),
        }
    }
}

impl TryFrom<String> for Reference {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        // The text may be a secret, and is not quoted.
        Self::parse(&text)
            .ok_or("a secret is a reference, env:NAME or file:PATH, and never itself in a document")
    }
}

impl From<Reference> for String {
    fn from(reference: Reference) -> Self {
        reference.to_string()
    }
}

/// A secret, which no output shows.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(pub(crate) String);

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn limits_are_written_as_the_command_line_has_them() {
        let given = json!({"in-flight": 16, "statement-time": "5s", "rate": "none", "queue": "default"});
        let read: LimitTable = serde_json::from_value(given).unwrap();
        assert_eq!(
            serde_json::to_value(&read).unwrap(),
            json!({"in-flight": 16, "statement-time": "5s", "rate": "none"})
        );
        for (wrong, says) in [
            (json!({"speed": 1}), "there is no limit \"speed\""),
            (json!({"in-flight": 0}), "in-flight"),
            (json!({"in-flight": true}), "in-flight cannot be true"),
        ] {
            let error = serde_json::from_value::<LimitTable>(wrong).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }

    #[test]
    fn durations_are_written_as_they_are_read() {
        for text in ["15m", "never", "1h 30m"] {
            let read = IdleStop::try_from(text.to_owned()).unwrap();
            assert_eq!(String::from(read), text);
        }
        assert!(IdleStop::try_from("soon".to_owned()).unwrap_err().contains("such as 15m"));
        assert!(Expiry::try_from("0s".to_owned()).is_err());
        assert!(Version::try_from(2).is_err());
    }

    #[test]
    fn a_reference_is_not_a_secret_and_a_secret_is_not_shown() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("password"), "s3cret\n").unwrap();
        let reference = Reference::parse("file:password").unwrap();
        let secret = reference.read(directory.path()).unwrap();
        assert_eq!(secret.0, "s3cret");
        assert!(!format!("{secret:?}").contains("s3cret"));
        assert!(Reference::parse("file:none").unwrap().read(directory.path()).is_err());
        let missing = Reference::parse("env:NBAPPS_NO_SUCH_VARIABLE").unwrap().read(directory.path());
        assert!(missing.unwrap_err().to_string().contains("NBAPPS_NO_SUCH_VARIABLE"));
        for literal in ["hunter2", "env:", "file:", "ENV:x", ""] {
            let error = Reference::try_from(literal.to_owned()).unwrap_err();
            assert!(literal.is_empty() || !error.contains("hunter2"), "{error}");
        }
    }
}
