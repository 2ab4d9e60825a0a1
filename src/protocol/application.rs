//! Applications: how they are asked for and how they are described.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{AppId, Limit, LimitChanges, LimitValues, Limits};

/// Where an application stands, in NocoBase's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Its database is being made.
    Preparing,
    /// Its tables and root user are being made, or it is starting.
    Initializing,
    /// It is complete and not running; the first visit starts it.
    Initialized,
    /// It answers requests.
    Running,
    /// A command holds it: an upgrade, or a backup's restore.
    Commanding,
    /// An operator stopped it; visits do not start it.
    Stopped,
    /// It could not start; `reason` says why.
    Error,
    /// It does not exist, or not any more.
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
    /// It waits for an operator's command.
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

/// Which database a new application asks for. What is not said follows from the mode.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DatabaseRequest {
    /// How it is connected.
    pub mode: DatabaseMode,
    /// The whole connection as a URL; excludes the single options.
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
    /// Make the database of a connection when it is missing.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub create_database: bool,
    /// What the names of its tables begin with.
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
    /// The name that is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nickname: Option<String>,
    /// Password; without one it is generated and shown once.
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
    /// The ID; without one, `a_` and eleven random characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<AppId>,
    /// The name that people read; without one, the ID.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// When it starts by itself.
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
    /// The secret its tokens are signed with; without one, it is generated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwt_secret: Option<String>,
    /// Stop an on-visit application after this many seconds without a request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_stop_seconds: Option<u64>,
    /// What it may take of the host, where that is to differ from all others.
    #[serde(skip_serializing_if = "LimitValues::is_empty")]
    pub limits: LimitValues,
    /// Is an application of this ID there already, answer with it instead of an error.
    pub if_not_exists: bool,
    /// Start it once it is made.
    pub start: bool,
    /// Check everything, make nothing, and answer what would be made.
    pub dry_run: bool,
    /// How to wait for the end.
    pub wait: Wait,
}

/// How long a call waits for its operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Wait {
    /// Whether to answer only when the operation has ended.
    pub wait: bool,
    /// How long to wait at most, in milliseconds; the operation goes on after that.
    pub timeout_ms: u64,
}

impl Default for Wait {
    fn default() -> Self {
        Self { wait: true, timeout_ms: 60_000 }
    }
}

/// An application as it is described everywhere.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Application {
    /// Its ID.
    pub id: AppId,
    /// The name that people read.
    pub name: String,
    /// Where it stands.
    pub state: State,
    /// Why it is in `error`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When it starts by itself.
    pub start_mode: StartMode,
    /// Where its pages are.
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
    /// What it may take of the host.
    #[serde(default)]
    pub limits: Limits,
    /// Which of the limits were set for it alone.
    #[serde(default)]
    pub own_limits: Vec<Limit>,
    /// Whether it is protected against deletion.
    pub protected: bool,
    /// Whether it is pinned in the page's list.
    pub pinned: bool,
    /// The name of its icon.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub icon: Option<String>,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// When its entry last changed.
    pub updated_at: DateTime<Utc>,
    /// Since when it has been running.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<DateTime<Utc>>,
    /// Requests in flight now, 0 when it is not running.
    pub requests_in_flight: u64,
    /// When it was deleted and until when it can be undeleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deleted: Option<Deletion>,
}

/// Where an application's data is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DatabaseDescription {
    /// How it is connected.
    pub mode: DatabaseMode,
    /// `sqlite`, `postgres` or `mysql` (MariaDB too).
    pub engine: String,
    /// What it is: the file's path, or server, database and schema. Never a password.
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
    /// What the names of its tables begin with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub table_prefix: Option<String>,
    /// Bytes of its data; absent where nobody asked (`sizes`) or it cannot be reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Connections to the server that it uses now, while it is running.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connections: Option<usize>,
    /// Whether a pooler gives its connections another session of the server for each transaction:
    /// statements go without names then. Known while it is running.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub shared_sessions: bool,
}

/// What is known of a deleted application.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Deletion {
    /// When it was deleted.
    pub at: DateTime<Utc>,
    /// When its data will be removed for good.
    pub until: DateTime<Utc>,
    /// Its removal for good has begun and was not finished: it cannot be undeleted any more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub purging: bool,
}

/// The answer of `app.create`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Created {
    /// The application.
    pub application: Application,
    /// Whether this call made it (`false` with `if_not_exists` when it was there, and in a dry run).
    pub created: bool,
    /// Its first user, with the password when it was generated: it is never shown again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub admin: Option<CreatedRootUser>,
    /// The operation, to find it again; none in a dry run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// In a dry run, what would be made, a sentence each.
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
    /// How to wait for the end.
    #[serde(default)]
    pub wait: Wait,
}

/// The answer of a lifecycle command: the operation, and the application as it is now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StateChanged {
    /// The application.
    pub application: Application,
    /// Whether anything had to be done; `false` when it was in that state already.
    pub changed: bool,
    /// The operation, to find it again.
    pub operation: String,
}

/// Parameters of `app.delete`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeleteApplication {
    /// The application's ID.
    pub id: AppId,
    /// Remove the data that the host made, for good. Also removes entries of this ID that were
    /// deleted before.
    #[serde(default)]
    pub purge: bool,
    /// With `purge`: remove nothing, and forget the application and what the host made for it.
    #[serde(default)]
    pub keep_data: bool,
    /// How to wait for the end.
    #[serde(default)]
    pub wait: Wait,
}

/// The answer of `app.delete`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Deleted {
    /// The application's ID.
    pub id: AppId,
    /// Until when it can be undeleted; absent after a purge.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<DateTime<Utc>>,
    /// What was removed for good: files, databases, schemas.
    pub removed: Vec<String>,
    /// What stays, and where.
    pub kept: Vec<String>,
    /// The operation, to find it again.
    pub operation: String,
}

/// Parameters of `app.update`. What is absent stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateApplication {
    /// The application's ID.
    pub id: AppId,
    /// What changes.
    #[serde(flatten)]
    pub changes: Changes,
}

/// What of an application can be changed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Changes {
    /// The name that people read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// When it starts by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_mode: Option<StartMode>,
    /// All of its domains; an empty list takes them away.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domains: Option<Vec<String>>,
    /// What happens when its system tables are older than the host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upgrade: Option<UpgradePolicy>,
    /// Seconds without a request after which it stops; 0 for never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_stop_seconds: Option<u64>,
    /// Limits that change: a value each, or null for that of all applications.
    #[serde(skip_serializing_if = "LimitChanges::is_empty")]
    pub limits: LimitChanges,
    /// Whether deletion is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protected: Option<bool>,
    /// Whether it is pinned in the page's list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pinned: Option<bool>,
    /// The name of its icon; an empty text takes it away.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub icon: Option<String>,
}

/// Parameters of `app.wait`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WaitForState {
    /// The application's ID.
    pub id: AppId,
    /// The state to wait for; `not_found` waits until it is gone.
    pub state: State,
    /// How long to wait at most, in milliseconds.
    pub timeout_ms: u64,
}

/// Parameters of `app.visit`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VisitApplication {
    /// The application's ID.
    pub id: AppId,
    /// Make a link that signs in, works once, for a minute.
    #[serde(default)]
    pub sign_in: bool,
    /// Whom to sign in, by user name or e-mail address; without one, the root user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
}

/// The answer of `app.visit`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Visit {
    /// Where to go.
    pub url: String,
    /// Until when the link signs in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sign_in_until: Option<DateTime<Utc>>,
}
