//! What the host created for an application, as the registry keeps it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::protocol::DatabaseMode;

use super::super::requested_database::ExternalDatabase;
use super::checks::{Check, is_list_of_texts};

/// What was, or is to be, created for one application. The registry has it before anything is created, so that
/// a crash cannot leave something that nobody knows of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Provision {
    /// Identifies this creation; what it created is marked with it.
    pub key: String,
    /// The directory below `apps/`.
    pub directory: String,
    /// The database's name on the main application's server; absent for a file in the directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
    /// In schema mode, the schema's name in the main application's database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// In connection mode, the database of another service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection: Option<ExternalDatabase>,
    /// The prefix of its tables' names.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub table_prefix: String,
    /// Whether its creation is unfinished. The next start of the daemon takes back only such a creation.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unfinished: bool,
    /// The domains that the host assigned to it. If two rows name one domain, this tells whose it is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub domains: Vec<String>,
}

impl Provision {
    /// Reads a provision from the registry's JSON.
    ///
    /// # Errors
    /// A sentence that says which entry is missing or wrong.
    pub(crate) fn read(given: Value) -> Result<Self, String> {
        let Value::Object(entries) = &given else { return Err("it is not a JSON object".to_owned()) };
        let is_text: Check = Value::is_string;
        let known: [(&str, bool, &str, Check); 8] = [
            ("key", true, "a text", is_text),
            ("directory", true, "a text", is_text),
            ("database", false, "a text", is_text),
            ("schema", false, "a text", is_text),
            ("tablePrefix", false, "a text", is_text),
            ("unfinished", false, "true or false", Value::is_boolean),
            ("connection", false, "an object with url and create", Value::is_object),
            ("domains", false, "a list of texts", is_list_of_texts),
        ];
        for (name, is_required, expected, fits) in known {
            match entries.get(name) {
                None | Some(Value::Null) if is_required => return Err(format!("{name} is missing")),
                Some(value) if !value.is_null() && !fits(value) => {
                    return Err(format!("{name} is not {expected}"));
                }
                _ => {}
            }
        }
        let provision: Self = serde_json::from_value(given)
            .map_err(|error| error.to_string().replace("missing field", "there is no"))?;
        provision.check().map(|()| provision)
    }

    /// Checks that the directory, the key and the URL can be used.
    fn check(&self) -> Result<(), String> {
        let is_name = |name: &str| !matches!(name, "" | "." | "..") && !name.contains(['/', '\0']);
        if !is_name(&self.directory) {
            return Err(format!("{:?} is not a directory below apps/", self.directory));
        }
        if self.key.is_empty() || self.key.contains('\0') {
            return Err("key is empty or contains the character U+0000".to_owned());
        }
        match &self.connection {
            Some(connection) if connection.location(None).is_none() => {
                Err("the URL of its database cannot be parsed".to_owned())
            }
            _ => Ok(()),
        }
    }

    /// How the application's database is connected.
    #[must_use]
    pub(crate) fn mode(&self) -> DatabaseMode {
        match (&self.connection, &self.schema) {
            (Some(_), _) => DatabaseMode::Connection,
            (None, Some(_)) => DatabaseMode::Schema,
            (None, None) => DatabaseMode::Database,
        }
    }
}
