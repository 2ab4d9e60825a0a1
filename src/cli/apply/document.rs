//! The document: what `nbapps apply` reads and `nbapps export` writes.
//!
//! The comments are the descriptions in the JSON Schema, which editors show.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::entries::{Definition, KeyEntry, RoleEntry, UserEntry};
use super::values::{IdleStop, LimitTable, Reference, Version};
use crate::protocol::{AccessLogSetting, AppId, DatabaseMode, StartMode, UpgradePolicy};

/// Applications, and what they should be.
///
/// What is absent is not managed: it stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "nbapps apply")]
pub(crate) struct Document {
    /// The JSON Schema of this document, for editors.
    #[serde(rename = "$schema", default, skip_serializing_if = "Option::is_none")]
    pub(crate) schema: Option<String>,
    /// The version of the format: 1.
    #[serde(default)]
    pub(crate) version: Version,
    /// The applications.
    #[serde(default)]
    pub(crate) app: Vec<App>,
}

/// Whether an application is to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum WantedState {
    /// It runs.
    Running,
    /// It is stopped, and visits do not start it.
    Stopped,
}

impl WantedState {
    /// The state as the document has it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Stopped => "stopped",
        }
    }
}

/// An application.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct App {
    /// The ID: 1 to 48 of a-z 0-9 _ -, beginning with a letter. The main application, `main`, has users, keys, roles
    /// and collections only; the daemon's configuration has its settings.
    pub(crate) id: AppId,
    /// The display name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    /// Whether it runs or is stopped; when absent, it starts by its `start_mode`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) state: Option<WantedState>,
    /// When it starts by itself: with the first request for it, or with the daemon.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) start_mode: Option<StartMode>,
    /// How long without a request until it stops, such as `15m`; or `never`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) idle_stop: Option<IdleStop>,
    /// What to do when its system tables are older than the host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) upgrade: Option<UpgradePolicy>,
    /// Which requests get a line in its access log; `default` for those of the daemon's configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) access_log: Option<AccessLogSetting>,
    /// Where it runs; this host supports `local`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) environment: Option<String>,
    /// Whether its deletion is refused, by --prune too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) protect: Option<bool>,
    /// Whether it is pinned in the list of the start page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) pin: Option<bool>,
    /// The name of its icon; an empty name removes the icon.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) icon: Option<String>,
    /// All host names at whose root path it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) domains: Option<Vec<String>>,
    /// The secret that the tokens of a new application are signed with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) jwt_secret: Option<Reference>,
    /// All of its labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) labels: Option<BTreeMap<String, String>>,
    /// All limits that are set for it alone, such as `in-flight = 16` and `statement-time = "5s"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) limits: Option<LimitTable>,
    /// The database of a new application.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) database: Option<DatabaseEntry>,
    /// The first user of a new application, who may do everything in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) admin: Option<AdminEntry>,
    /// Users to add or change, by e-mail address.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) users: Vec<UserEntry>,
    /// API keys to create where they are missing, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) keys: Vec<KeyEntry>,
    /// Roles to add or change, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) roles: Vec<RoleEntry>,
    /// Collections to add or change, by name, as NocoBase's `collections:create` takes them, with their `fields`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) collections: Vec<Definition>,
}

impl App {
    /// An application of which nothing is managed.
    pub(crate) const fn new(id: AppId) -> Self {
        Self {
            id,
            name: None,
            state: None,
            start_mode: None,
            idle_stop: None,
            upgrade: None,
            access_log: None,
            environment: None,
            protect: None,
            pin: None,
            icon: None,
            domains: None,
            jwt_secret: None,
            labels: None,
            limits: None,
            database: None,
            admin: None,
            users: Vec::new(),
            keys: Vec::new(),
            roles: Vec::new(),
            collections: Vec::new(),
        }
    }
}

/// The database of a new application. What is absent follows from the mode.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct DatabaseEntry {
    /// A database of its own, a connection to another service, or a PostgreSQL schema.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) mode: Option<DatabaseMode>,
    /// The connection as a URL without a password, or a reference to one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) url: Option<String>,
    /// The database engine: `sqlite`, `postgres`, `mysql` or `mariadb`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) dialect: Option<String>,
    /// The database server's host name or address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) host: Option<String>,
    /// The database server's port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) port: Option<u16>,
    /// The user to connect as.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) user: Option<String>,
    /// That user's password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) password: Option<Reference>,
    /// The database's name; on SQLite, the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    /// The PostgreSQL schema's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) schema: Option<String>,
    /// Whether the connection is encrypted: `disable`, `prefer`, `require` or `verify-full`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sslmode: Option<String>,
    /// Whether to create the database of a connection when it is missing.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) create: bool,
    /// The prefix of its tables' names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) prefix: Option<String>,
}

/// The first user of a new application.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct AdminEntry {
    /// E-mail address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) email: Option<String>,
    /// User name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) username: Option<String>,
    /// Display name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) nickname: Option<String>,
    /// Password; generated and shown once when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) password: Option<Reference>,
}
