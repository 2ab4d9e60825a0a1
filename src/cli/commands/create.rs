//! `nbapps create`: creates an application with its database and its first user.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, ValueHint};
use serde::Deserialize;

use crate::cli::complete;
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::filter::{self, GivenLabel};
use crate::cli::output::{Console, application};
use crate::cli::values::{
    self, ACCESS_LOGS, DATABASE_MODES, GivenLimit, START_MODES, SecretFiles, UPGRADE_POLICIES, WaitOptions,
};
use crate::client::ClientError;
use crate::protocol::methods::AppCreate;
use crate::protocol::{
    AccessLogSetting, AppId, Application, CreateApplication, Created, CreatedRootUser, DatabaseMode,
    DatabaseRequest, RootUser, StartMode, State, UpgradePolicy,
};

/// Create an application, with its database and its first user
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  nbapps create crm --name \"Customer care\" --start
  nbapps create --id hr --start-mode with-main --domain hr.example.com
  nbapps create shop --admin-email ada@example.com \\
    --admin-password-file ./password
  nbapps create crm --limit in-flight=16 --limit statement-time=5s
  nbapps create crm --label team=sales --label env=prod
  nbapps create crm --db schema
  nbapps create hr --db connection --db-password-file ./password \\
    --db-url postgres://hr@db.example.com/hr
  nbapps create crm --if-not-exists --start -o json
  nbapps create crm --dry-run")]
pub(crate) struct Create {
    /// The application's ID: 1 to 48 of a-z 0-9 _ -, beginning with a letter [default: random]
    #[arg(value_name = "ID", value_parser = values::app_id)]
    position: Option<AppId>,

    /// The same, as an option
    #[arg(long, value_name = "ID", value_parser = values::app_id, conflicts_with = "position")]
    id: Option<AppId>,

    /// The display name [default: the ID]
    #[arg(long, value_parser = NonEmptyStringValueParser::new())]
    name: Option<String>,

    /// When it starts by itself: with the first request for it, or with the daemon
    #[arg(long, value_name = "MODE", default_value = "on-visit", value_parser = values::word::<StartMode>(START_MODES))]
    start_mode: StartMode,

    /// Which requests get a line in its access log: none, those that failed (status 500 and above), all,
    /// or those of the daemon's configuration
    #[arg(long, value_name = "REQUESTS", value_parser = values::word::<AccessLogSetting>(ACCESS_LOGS))]
    access_log: Option<AccessLogSetting>,

    /// Stop it after this long without a request; the next visit starts it
    #[arg(long, value_name = "DURATION", value_parser = values::idle_duration)]
    idle_stop: Option<Duration>,

    /// Set a limit, such as in-flight=16; may be given several times
    #[arg(
        long = "limit", value_name = "NAME=VALUE", long_help = values::LIMITS_HELP,
        value_parser = values::limit, add = complete::limits(),
    )]
    limits: Vec<GivenLimit>,

    /// Label it, such as team=crm; may be given several times
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = filter::label, add = complete::labels())]
    labels: Vec<GivenLabel>,

    /// Answer at the root path of this host name too; may be given several times
    #[arg(long = "domain", value_name = "HOST", value_hint = ValueHint::Hostname)]
    domains: Vec<String>,

    /// What to do when its system tables are older than the host
    #[arg(long, value_name = "POLICY", default_value = "auto", value_parser = values::word::<UpgradePolicy>(UPGRADE_POLICIES))]
    upgrade: UpgradePolicy,

    /// Where it runs; this host supports "local"
    #[arg(long, value_name = "NAME")]
    environment: Option<String>,

    /// The secret its tokens are signed with, in a file (- for standard input) [default: random]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    jwt_secret_file: Option<PathBuf>,

    /// Succeed when an application of this ID exists; --start starts it, nothing else changes it
    #[arg(long)]
    if_not_exists: bool,

    /// Start it once it is created, and do not end before it runs
    #[arg(long)]
    start: bool,

    /// Check everything, create nothing, and print what would be created
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    wait: WaitOptions,

    // Their headings apply to all options after them, so they come last.
    #[command(flatten)]
    database: DatabaseOptions,

    #[command(flatten)]
    admin: AdminOptions,
}

/// The options for its database.
#[derive(Debug, Args)]
#[command(next_help_heading = "Database")]
struct DatabaseOptions {
    /// A database of its own, a connection to another service, or a PostgreSQL schema
    #[arg(long = "db", value_name = "MODE", default_value = "database", value_parser = values::word::<DatabaseMode>(DATABASE_MODES))]
    db: DatabaseMode,

    /// The connection as a URL
    #[arg(
        long, value_name = "URL", value_hint = ValueHint::Url,
        env = "NBAPPS_DB_URL", hide_env_values = true,
        conflicts_with_all = ["db_dialect", "db_host", "db_port", "db_user", "db_name", "db_sslmode"],
    )]
    db_url: Option<String>,

    /// The database engine
    #[arg(long, value_name = "ENGINE", value_parser = ["sqlite", "postgres", "mysql", "mariadb"])]
    db_dialect: Option<String>,

    /// The database server's host name or address
    #[arg(long, value_name = "HOST", value_hint = ValueHint::Hostname)]
    db_host: Option<String>,

    /// The database server's port
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    db_port: Option<u16>,

    /// The user to connect as
    #[arg(long, value_name = "USER")]
    db_user: Option<String>,

    /// That user's password, in a file (- for standard input) [default: $NBAPPS_DB_PASSWORD]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with = "ask_db_password")]
    db_password_file: Option<PathBuf>,

    /// Ask for that user's password at the terminal
    #[arg(long)]
    ask_db_password: bool,

    /// The database's name (SQLite: the file)
    #[arg(long, value_name = "NAME")]
    db_name: Option<String>,

    /// The PostgreSQL schema's name
    #[arg(long, value_name = "SCHEMA")]
    db_schema: Option<String>,

    /// Whether the connection is encrypted: disable, prefer, require or verify-full [default: prefer]
    #[arg(long, value_name = "MODE", value_parser = ["disable", "prefer", "require", "verify-full"])]
    db_sslmode: Option<String>,

    /// Create the database of a connection when it is missing
    #[arg(long)]
    create_database: bool,

    /// The prefix of its tables' names
    #[arg(long, value_name = "PREFIX")]
    db_prefix: Option<String>,
}

/// The options for its first user.
#[derive(Debug, Args)]
#[command(next_help_heading = "First user")]
struct AdminOptions {
    /// The first user's e-mail address
    #[arg(long, value_name = "EMAIL", value_hint = ValueHint::EmailAddress)]
    admin_email: Option<String>,

    /// The first user's password, in a file (- for standard input) [default: random, shown once]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    admin_password_file: Option<PathBuf>,

    /// The first user's user name
    #[arg(long, value_name = "NAME")]
    admin_username: Option<String>,

    /// The first user's display name
    #[arg(long, value_name = "NAME")]
    admin_nickname: Option<String>,
}

impl Create {
    fn request(self, console: &Console) -> Result<CreateApplication, CliError> {
        let connection = self.database.db == DatabaseMode::Connection;
        let password = if self.database.ask_db_password {
            Some(console.ask_secret("Password of the database user: ")?)
        } else {
            // The variable may be meant for other connections than this command's.
            std::env::var("NBAPPS_DB_PASSWORD").ok().filter(|password| connection && !password.is_empty())
        };
        let mut files = SecretFiles::default();
        let mut secret =
            |option, path: Option<PathBuf>| path.map(|path| files.read(option, &path)).transpose();
        Ok(CreateApplication {
            id: self.position.or(self.id),
            name: self.name,
            start_mode: self.start_mode,
            database: DatabaseRequest {
                mode: self.database.db,
                url: self.database.db_url,
                dialect: self.database.db_dialect,
                host: self.database.db_host,
                port: self.database.db_port,
                user: self.database.db_user,
                password: secret("--db-password-file", self.database.db_password_file)?.or(password),
                name: self.database.db_name,
                schema: self.database.db_schema,
                sslmode: self.database.db_sslmode,
                create_database: self.database.create_database,
                table_prefix: self.database.db_prefix,
            },
            domains: self.domains,
            upgrade: self.upgrade,
            environment: self.environment,
            admin: RootUser {
                email: self.admin.admin_email,
                username: self.admin.admin_username,
                nickname: self.admin.admin_nickname,
                password: secret("--admin-password-file", self.admin.admin_password_file)?,
            },
            jwt_secret: secret("--jwt-secret-file", self.jwt_secret_file)?,
            idle_stop_seconds: self.idle_stop.map(|duration| duration.as_secs()),
            access_log: self.access_log,
            inventory: None,
            limits: self.limits.iter().filter_map(|given| Some((given.limit, given.value?))).collect(),
            labels: filter::labels(&self.labels)?,
            if_not_exists: self.if_not_exists,
            start: self.start,
            dry_run: self.dry_run,
            wait: self.wait.wait(),
        })
    }

    /// Creates the application and prints the result.
    pub(crate) async fn run(self, context: &Context) -> Result<(), CliError> {
        let timeout = self.wait.timeout();
        let request = self.request(&context.console)?;
        let (wait, dry_run) = (request.wait, request.dry_run);
        let subject = request.id.as_ref().map_or("application", AppId::as_str).to_owned();
        let context = &context.within(timeout);
        let client = context.connect().await?;
        let created = match context.work::<AppCreate>(&client, request, &subject, wait).await {
            Ok(created) => created,
            Err(error) => {
                // An application that does not start was created all the same.
                if let Some(created) = unstarted(&error) {
                    show(&context.console, &created, wait.wait)?;
                }
                return Err(error);
            }
        };
        let console = &context.console;
        show(console, &created, wait.wait)?;
        if console.is_for_people() && !dry_run {
            console.note(&next_step(&created, wait.wait));
        }
        Ok(())
    }
}

/// Prints the result.
fn show(console: &Console, created: &Created, waited: bool) -> Result<(), CliError> {
    console.show(created, created.application.id.as_str(), || application::created(created, waited))?;
    if created.admin.as_ref().is_some_and(|admin| admin.password.is_some()) {
        application::note_hidden_password(console);
    }
    Ok(())
}

/// The application that was created, in the error of its start.
fn unstarted(error: &CliError) -> Option<Created> {
    #[derive(Deserialize)]
    struct Details {
        created: Application,
        admin: Option<CreatedRootUser>,
        operation: Option<String>,
    }

    let CliError::Client(ClientError::Rpc(error)) = error else { return None };
    let Details { created, admin, operation } = serde_json::from_value(error.data.details.clone()?).ok()?;
    Some(Created { application: created, created: true, started: false, admin, operation, plan: Vec::new() })
}

/// The hint for the next step.
fn next_step(created: &Created, waited: bool) -> String {
    let id = &created.application.id;
    match &created.operation {
        Some(operation) if !waited => format!("wait for it with: nbapps operation wait {operation}"),
        _ if created.started && !created.created => {
            format!(
                "it existed already and was started; open it, signed in, with: nbapps visit {id} --sign-in"
            )
        }
        _ if !created.created => format!("it exists already and was not changed; see: nbapps show {id}"),
        _ if created.application.state == State::Running => {
            format!("open it, signed in, with: nbapps visit {id} --sign-in")
        }
        _ if created.application.start_mode == StartMode::OnVisit => {
            format!("it starts with the first visit: nbapps visit {id} --sign-in; or now: nbapps start {id}")
        }
        _ => format!("start it with: nbapps start {id}"),
    }
}
