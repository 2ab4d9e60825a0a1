//! Applications: the parameters of their methods, and their description.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{AccessLog, AccessLogSetting, AppId, Labels, Limit, LimitValues, Limits, Wait};

/// The state of an application, by NocoBase's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Its database is being created.
    Preparing,
    /// Its tables and root user are being created, or it is starting.
    Initializing,
    /// It is ready and not running; the first visit starts it.
    Initialized,
    /// It answers requests.
    Running,
    /// A command holds it: an upgrade, or the restore of a backup.
    Commanding,
    /// An operator stopped it; visits do not start it.
    Stopped,
    /// It could not start; `reason` says why.
    Error,
    /// It does not exist, or no longer.
    NotFound,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 8] = [
        Self::Preparing,
        Self::Initializing,
        Self::Initialized,
        Self::Running,
        Self::Commanding,
        Self::Stopped,
        Self::Error,
        Self::NotFound,
    ];

    /// The state as it is written on the wire and in the registry.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Preparing => "preparing",
            Self::Initializing => "initializing",
            Self::Initialized => "initialized",
            Self::Running => "running",
            Self::Commanding => "commanding",
            Self::Stopped => "stopped",
            Self::Error => "error",
            Self::NotFound => "not_found",
        }
    }
}

impl std::fmt::Display for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// When an application starts by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StartMode {
    /// With the first request for it.
    #[default]
    OnVisit,
    /// When the daemon starts.
    WithMain,
}

impl StartMode {
    /// The mode as it is written on the command line and on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OnVisit => "on-visit",
            Self::WithMain => "with-main",
        }
    }
}

/// What happens when an application's system tables are older than the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum UpgradePolicy {
    /// They are upgraded at its next start.
    #[default]
    Auto,
    /// An operator upgrades them.
    Manual,
}

impl UpgradePolicy {
    /// The policy as it is written on the command line and on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Manual => "manual",
        }
    }
}

/// How an application's main data source is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DatabaseMode {
    /// A database of its own on the main application's database service (SQLite: a file).
    #[default]
    Database,
    /// A database on another service.
    Connection,
    /// A PostgreSQL schema in the main application's database.
    Schema,
}

impl DatabaseMode {
    /// The mode as it is written on the command line and on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Database => "database",
            Self::Connection => "connection",
            Self::Schema => "schema",
        }
    }

    /// Reads NocoBase's word for a mode.
    #[must_use]
    pub fn of_nocobase(word: &str) -> Option<Self> {
        [Self::Database, Self::Connection, Self::Schema].into_iter().find(|mode| mode.nocobase_name() == word)
    }

    /// NocoBase's word for it (`options.dbConnType`).
    #[must_use]
    pub const fn nocobase_name(self) -> &'static str {
        match self {
            Self::Database => "new_database",
            Self::Connection => "new_connection",
            Self::Schema => "new_schema",
        }
    }
}

/// The database for a new application. Fields that are absent follow from the mode.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DatabaseRequest {
    /// How it is connected.
    pub mode: DatabaseMode,
    /// The connection as a URL; excludes the fields below.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// `sqlite`, `postgres`, `mysql` or `mariadb`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dialect: Option<String>,
    /// The server's host name or address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// The server's port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// The user to connect as.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// That user's password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// The database's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The schema's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// Whether a connection is encrypted: `disable`, `prefer`, `require` or `verify-full`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sslmode: Option<String>,
    /// Whether to create the database of a connection when it is missing.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub create_database: bool,
    /// The prefix of its tables' names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub table_prefix: Option<String>,
}

impl std::fmt::Debug for DatabaseRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Neither the password nor the URL, which may hold one.
        f.debug_struct("DatabaseRequest")
            .field("mode", &self.mode)
            .field("dialect", &self.dialect)
            .field("host", &self.host)
            .field("port", &self.port)
            .field("user", &self.user)
            .field("name", &self.name)
            .field("schema", &self.schema)
            .finish_non_exhaustive()
    }
}

/// The first user of a new application, who may do everything in it.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RootUser {
    /// E-mail address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// User name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// Display name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nickname: Option<String>,
    /// Password; generated and shown once when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
}

impl std::fmt::Debug for RootUser {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RootUser")
            .field("email", &self.email)
            .field("username", &self.username)
            .field("nickname", &self.nickname)
            .finish_non_exhaustive()
    }
}

/// Parameters of `app.create`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CreateApplication {
    /// The ID; `a_` and eleven random characters when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<AppId>,
    /// The display name; the ID when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// When the daemon starts it by itself.
    pub start_mode: StartMode,
    /// Its database.
    pub database: DatabaseRequest,
    /// Host names under which it answers at the root path.
    pub domains: Vec<String>,
    /// What happens when its system tables are older than the host.
    pub upgrade: UpgradePolicy,
    /// Where it runs; only `local` exists on this host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// Its first user.
    pub admin: RootUser,
    /// The secret that its tokens are signed with; generated when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwt_secret: Option<String>,
    /// Stop an on-visit application after this many seconds without a request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_stop_seconds: Option<u64>,
    /// Limits that differ from those of all applications.
    #[serde(skip_serializing_if = "LimitValues::is_empty")]
    pub limits: LimitValues,
    /// Which requests get a line in its access log; those of the daemon's configuration when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_log: Option<AccessLogSetting>,
    /// Its labels.
    #[serde(skip_serializing_if = "Labels::is_empty")]
    pub labels: Labels,
    /// The inventory of `nbapps apply` that it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inventory: Option<String>,
    /// Whether to answer with the application when the ID exists, instead of with an error. One that is being
    /// created is waited for, and created by this call where that creation fails.
    pub if_not_exists: bool,
    /// Whether to start it once it is created, or exists.
    pub start: bool,
    /// Whether to check everything, create nothing, and answer what would be created.
    pub dry_run: bool,
    /// How to wait for the end of the operation.
    pub wait: Wait,
}

/// The description of an application.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Application {
    /// Its ID.
    pub id: AppId,
    /// The display name.
    pub name: String,
    /// Its state.
    pub state: State,
    /// Why it is in `error`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When the daemon starts it by itself.
    pub start_mode: StartMode,
    /// The URL of its pages.
    pub url: String,
    /// Host names under which it answers at the root path; the first is NocoBase's `cname`.
    pub domains: Vec<String>,
    /// Its main data source.
    pub database: DatabaseDescription,
    /// What happens when its system tables are older than the host.
    pub upgrade: UpgradePolicy,
    /// Where it runs.
    pub environment: String,
    /// Seconds without a request after which it stops.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_stop_seconds: Option<u64>,
    /// Its limits.
    #[serde(default)]
    pub limits: Limits,
    /// The limits that were set for it alone.
    #[serde(default)]
    pub own_limits: Vec<Limit>,
    /// Which requests get a line in its access log.
    #[serde(default)]
    pub access_log: AccessLog,
    /// Whether that was set for it alone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub own_access_log: bool,
    /// Its labels.
    #[serde(default)]
    pub labels: Labels,
    /// The inventory of `nbapps apply` that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inventory: Option<String>,
    /// Whether it is protected against deletion.
    pub protected: bool,
    /// Whether it is pinned in the page's list.
    pub pinned: bool,
    /// The name of its icon.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub icon: Option<String>,
    /// When it was created.
    #[serde(serialize_with = "super::time::serialize")]
    pub created_at: DateTime<Utc>,
    /// When its registration last changed.
    #[serde(serialize_with = "super::time::serialize")]
    pub updated_at: DateTime<Utc>,
    /// Since when it has been running.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "super::time::optional")]
    pub started_at: Option<DateTime<Utc>>,
    /// Requests in flight now, 0 when it is not running.
    pub requests_in_flight: u64,
    /// When it was deleted, and until when it can be undeleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deleted: Option<Deletion>,
}

/// The database of an application.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DatabaseDescription {
    /// How it is connected.
    pub mode: DatabaseMode,
    /// `sqlite`, `postgres` or `mysql` (MariaDB too).
    pub engine: String,
    /// The file's path, or server, database and schema. Never a password.
    pub location: String,
    /// The server's host and port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    /// The database's name on the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
    /// The schema's name in the database.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// The prefix of its tables' names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub table_prefix: Option<String>,
    /// The size of its data in bytes; absent unless requested (`sizes`), or when the database cannot be reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// The number of connections to the server that it uses now, while it is running.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connections: Option<usize>,
    /// Whether a pooler gives its connections another session of the server for each transaction, so that
    /// statements are not prepared by name. Known while it is running.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub shared_sessions: bool,
}

/// The deletion of an application.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Deletion {
    /// When it was deleted.
    #[serde(serialize_with = "super::time::serialize")]
    pub at: DateTime<Utc>,
    /// When its data will be removed.
    #[serde(serialize_with = "super::time::serialize")]
    pub until: DateTime<Utc>,
    /// Whether the removal of its data has begun and has not finished: it can no longer be undeleted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub purging: bool,
}

/// The result of `app.create`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Created {
    /// The application.
    pub application: Application,
    /// Whether this call created it (`false` in a dry run, and with `if_not_exists` when it existed).
    pub created: bool,
    /// Whether this call started it; `false` when it was running already.
    #[serde(default)]
    pub started: bool,
    /// Its first user, with a generated password: it is never shown again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub admin: Option<CreatedRootUser>,
    /// The operation's ID; absent in a dry run, and when there was nothing to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// In a dry run, what would be done, a sentence each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub plan: Vec<String>,
}

/// The first user of a new application.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CreatedRootUser {
    /// E-mail address.
    pub email: String,
    /// User name.
    pub username: String,
    /// The generated password; absent when one was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
}

impl std::fmt::Debug for CreatedRootUser {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CreatedRootUser").field("email", &self.email).finish_non_exhaustive()
    }
}

/// Parameters that name one application.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OneApplication {
    /// The application's ID.
    pub id: AppId,
}

/// Parameters of `app.start`, `app.stop` and `app.restart`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeState {
    /// The application's ID.
    pub id: AppId,
    /// How to wait for the end of the operation.
    #[serde(default)]
    pub wait: Wait,
}

/// The result of a lifecycle command: the operation, and the application as it is now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StateChanged {
    /// The application.
    pub application: Application,
    /// Whether the state changed; `false` when the application was in that state already.
    pub changed: bool,
    /// The operation's ID.
    pub operation: String,
}

/// Parameters of `app.delete`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeleteApplication {
    /// The application's ID.
    pub id: AppId,
    /// Whether to remove the data that the host created, which cannot be undone. Where no application has this ID,
    /// those are meant that were deleted.
    #[serde(default)]
    pub purge: bool,
    /// With `purge`: whether the applications of this ID are meant that were deleted, and not the one that exists.
    #[serde(default)]
    pub deleted: bool,
    /// With `purge`: whether to keep the data, and only forget the application.
    #[serde(default)]
    pub keep_data: bool,
    /// How to wait for the end of the operation.
    #[serde(default)]
    pub wait: Wait,
}

/// The result of `app.delete`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Deleted {
    /// The application's ID.
    pub id: AppId,
    /// Until when it can be undeleted; absent after a purge.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "super::time::optional")]
    pub until: Option<DateTime<Utc>>,
    /// What was removed: files, databases, schemas.
    pub removed: Vec<String>,
    /// What stays, and where.
    pub kept: Vec<String>,
    /// The operation's ID.
    pub operation: String,
}

/// Parameters of `app.visit`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VisitApplication {
    /// The application's ID.
    pub id: AppId,
    /// Whether to make a link that signs in, once and within a minute.
    #[serde(default)]
    pub sign_in: bool,
    /// The user to sign in, by user name or e-mail address; the root user when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
}

/// The result of `app.visit`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Visit {
    /// The address to open.
    pub url: String,
    /// Until when the link signs in.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "super::time::optional")]
    pub sign_in_until: Option<DateTime<Utc>>,
}
