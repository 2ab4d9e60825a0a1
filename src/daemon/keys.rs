//! The keys of the configuration: one table from which the file and the environment are read, the effective values
//! shown, and the manual page written.

use std::time::Duration;

use serde_json::{Value, json};

use super::configuration::Configuration;
use super::settings::Settings;
use super::values::Input;
use crate::control::group_id;
use crate::database::Location;
use crate::gateway::api_base;
use crate::protocol::{Limit, Limits, RootUser};
use crate::supervisor::{RootAccount, check_prefix};

/// A key.
pub(super) struct Key {
    /// Its name in the file, with the name of its table: `log.level`.
    pub(super) name: &'static str,
    /// The variable of the environment that sets it.
    pub(super) variable: Option<&'static str>,
    /// What its values look like.
    pub(super) form: &'static str,
    /// The default, in words.
    pub(super) default: &'static str,
    /// What it is for.
    pub(super) help: &'static str,
    /// Checks a value and sets it.
    pub(super) set: fn(&mut Settings, &Input<'_>) -> Result<(), String>,
    /// The effective value; null when there is none. Secrets are left out.
    pub(super) show: fn(&Settings, &Configuration) -> Value,
}

/// In place of a secret.
pub(super) const HIDDEN: &str = "(not shown)";

const MILLISECOND: Duration = Duration::from_millis(1);
const DAY: Duration = Duration::from_secs(24 * 3600);
const CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
const MAX_CONNECTIONS: u64 = 1_000_000;
const MIN_LOG_BYTES: u64 = 4 * 1024;
const MAX_LOG_BYTES: u64 = 1024 * 1024 * 1024 * 1024;
const MAX_LOG_FILES: u64 = 1_000;
const MAX_METRICS_APPLICATIONS: u64 = 10_000;

fn duration(duration: Duration) -> Value {
    json!(humantime::format_duration(duration).to_string())
}

/// Checks one property of the root user as creating it does.
fn check_root(user: RootUser) -> Result<(), String> {
    RootAccount::complete(&user, &RootUser::default()).map(drop).map_err(|error| error.message)
}

fn set_limit(settings: &mut Settings, input: &Input<'_>, limit: Limit) -> Result<(), String> {
    let text = match input {
        Input::Number(number) => *number,
        other => other.text()?,
    };
    let value = limit.parse(text).map_err(|error| error.to_string())?;
    settings.limits.insert(limit, value);
    Ok(())
}

fn show_limit(configuration: &Configuration, limit: Limit) -> Value {
    json!(limit.written(Limits::USUAL.with(&configuration.limits).of(limit)))
}

macro_rules! limit {
    ($name:literal, $variable:literal, $limit:ident, $form:literal, $default:literal, $help:literal) => {
        Key {
            name: $name,
            variable: Some($variable),
            form: $form,
            default: $default,
            help: $help,
            set: |settings, input| set_limit(settings, input, Limit::$limit),
            show: |_, configuration| show_limit(configuration, Limit::$limit),
        }
    };
}

/// Every key, in the order of the manual page.
pub(super) const KEYS: &[Key] = &[
    Key {
        name: "data_dir",
        variable: Some("NBAPPS_DATA_DIR"),
        form: "a path",
        default: "/var/lib/nbapps for root, else $XDG_STATE_HOME/nbapps or ~/.local/state/nbapps",
        help: "The data directory, which one daemon has for itself.",
        set: |settings, input| input.path().map(|path| settings.data_dir = Some(path)),
        show: |_, configuration| json!(configuration.data_directory),
    },
    Key {
        name: "socket",
        variable: Some("NBAPPS_SOCKET"),
        form: "a path of at most 107 bytes",
        default: "/run/nbapps/control.sock for root, else $XDG_RUNTIME_DIR/nbapps/control.sock, or control.sock in the \
                  data directory without that variable",
        help: "The control socket.",
        set: |settings, input| input.socket().map(|path| settings.socket = Some(path)),
        show: |_, configuration| json!(configuration.socket),
    },
    Key {
        name: "socket_group",
        variable: Some("NBAPPS_SOCKET_GROUP"),
        form: "a group of this machine, by name or number",
        default: "none",
        help: "The group whose members may use the control socket, beside the daemon's user and root.",
        set: |settings, input| {
            let group = match input {
                Input::Number(number) => *number,
                other => other.text()?,
            };
            group_id(group).map_err(|error| error.to_string())?;
            settings.socket_group = Some(group.to_owned());
            Ok(())
        },
        show: |_, configuration| json!(configuration.socket_group),
    },
    Key {
        name: "listen",
        variable: Some("NBAPPS_LISTEN"),
        form: "ADDRESS:PORT",
        default: "127.0.0.1:13000",
        help: "The address to listen on for HTTP. Port 0 is any free one.",
        set: |settings, input| {
            let listen = input.parsed("an address with a port, such as 127.0.0.1:13000")?;
            settings.listen = Some(listen);
            Ok(())
        },
        show: |_, configuration| json!(configuration.gateway.listen),
    },
    Key {
        name: "public_url",
        variable: Some("NBAPPS_PUBLIC_URL"),
        form: "a URL of http or https",
        default: "http:// and the address of listen",
        help: "The URL of the host for browsers, when it is behind a proxy.",
        set: |settings, input| input.public_url().map(|url| settings.public_url = Some(url)),
        show: |_, configuration| json!(configuration.public_url),
    },
    Key {
        name: "api_base_path",
        variable: Some("API_BASE_PATH"),
        form: "a path of letters, digits and / - _ . ~, not that of a page",
        default: "/api/",
        help: "The path below which the HTTP API is.",
        set: |settings, input| {
            let path = input.text()?;
            api_base(path).map_err(|error| error.to_string())?;
            settings.api_base_path = Some(path.to_owned());
            Ok(())
        },
        show: |_, configuration| json!(configuration.gateway.api_base_path),
    },
    Key {
        name: "trusted_proxies",
        variable: Some("NBAPPS_TRUSTED_PROXIES"),
        form: "an array of addresses and networks; in the environment, with commas between them",
        default: "none",
        help: "The proxies whose X-Forwarded headers are trusted.",
        set: |settings, input| input.list().map(|networks| settings.trusted_proxies = Some(networks)),
        show: |settings, _| {
            let proxies = settings.trusted_proxies.as_deref().unwrap_or_default();
            json!(proxies.iter().map(ToString::to_string).collect::<Vec<_>>())
        },
    },
    Key {
        name: "keep_deleted",
        variable: Some("NBAPPS_KEEP_DELETED"),
        form: "a duration",
        default: "30d",
        help: "How long a deleted application can be undeleted.",
        set: |settings, input| {
            input.duration(Duration::ZERO..=CENTURY).map(|time| settings.keep_deleted = Some(time))
        },
        show: |_, configuration| duration(configuration.keep_deleted),
    },
    Key {
        name: "database.url",
        variable: Some("NBAPPS_DATABASE_URL"),
        form: "sqlite:FILE, postgres://USER:PASSWORD@HOST:PORT/NAME or mysql://…",
        default: "sqlite: and main/database.sqlite in the data directory",
        help: "The main application's database, and the service for the databases of all others.",
        set: |settings, input| {
            let url = input.text()?;
            // The text may contain a password, so the error does not repeat it.
            Location::parse(url).map_err(|error| error.to_string())?;
            settings.set_database(url.to_owned());
            Ok(())
        },
        show: |_, configuration| json!(configuration.main_location.url()),
    },
    Key {
        name: "database.schema",
        variable: None,
        form: "a name of at most 63 bytes",
        default: "that of the connection, mostly public",
        help: "The schema of the main application's tables, on PostgreSQL.",
        set: |settings, input| match input.text()? {
            schema if schema.len() <= 63 => {
                settings.database.schema = Some(schema.to_owned());
                Ok(())
            }
            schema => Err(format!("\"{schema}\" has {} bytes; a schema's name has at most 63", schema.len())),
        },
        show: |settings, _| json!(settings.database.schema),
    },
    Key {
        name: "database.table_prefix",
        variable: Some("DB_TABLE_PREFIX"),
        form: "letters, digits and _",
        default: "none",
        help: "What the names of the main application's tables begin with.",
        set: |settings, input| {
            let prefix = input.text()?;
            check_prefix(Some(prefix)).map_err(|error| error.message)?;
            settings.database.table_prefix = Some(prefix.to_owned());
            Ok(())
        },
        show: |settings, _| json!(settings.database.table_prefix),
    },
    Key {
        name: "database.connections",
        variable: Some("NBAPPS_DATABASE_CONNECTIONS"),
        form: "a number from 1 to 1000000",
        default: "what the server allows, less a reserve, and at most 64",
        help: "The most connections to one database server.",
        set: |settings, input| {
            let number = input.number(1..=MAX_CONNECTIONS)?;
            settings.database.connections = u32::try_from(number).ok();
            Ok(())
        },
        show: |settings, _| json!(settings.database.connections),
    },
    Key {
        name: "database.statement_timeout",
        variable: Some("NBAPPS_DATABASE_STATEMENT_TIMEOUT"),
        form: "a duration from 1ms to 1day",
        default: "30s",
        help: "How long a database server may take to answer.",
        set: |settings, input| {
            input.duration(MILLISECOND..=DAY).map(|time| settings.database.statement_timeout = Some(time))
        },
        show: |_, configuration| duration(configuration.server_limits.statement_timeout),
    },
    Key {
        name: "database.idle_timeout",
        variable: Some("NBAPPS_DATABASE_IDLE_TIMEOUT"),
        form: "a duration from 1ms to 1day",
        default: "30s",
        help: "How long a connection to a server stays open unused.",
        set: |settings, input| {
            input.duration(MILLISECOND..=DAY).map(|time| settings.database.idle_timeout = Some(time))
        },
        show: |_, configuration| duration(configuration.server_limits.idle_timeout),
    },
    Key {
        name: "root_user.email",
        variable: Some("INIT_ROOT_EMAIL"),
        form: "an e-mail address",
        default: "admin@localhost",
        help: "The first user of every application that is created without one: the e-mail address.",
        set: |settings, input| {
            let email = Some(input.name()?);
            check_root(RootUser { email: email.clone(), ..RootUser::default() })?;
            settings.root_user.email = email;
            Ok(())
        },
        show: |_, configuration| json!(configuration.root.email),
    },
    Key {
        name: "root_user.username",
        variable: Some("INIT_ROOT_USERNAME"),
        form: "a text of at most 255 characters",
        default: "admin",
        help: "Its user name.",
        set: |settings, input| {
            let username = Some(input.name()?);
            check_root(RootUser { username: username.clone(), ..RootUser::default() })?;
            settings.root_user.username = username;
            Ok(())
        },
        show: |_, configuration| json!(configuration.root.username),
    },
    Key {
        name: "root_user.nickname",
        variable: Some("INIT_ROOT_NICKNAME"),
        form: "a text of at most 255 characters",
        default: "Super Admin",
        help: "Its display name.",
        set: |settings, input| input.name().map(|nickname| settings.root_user.nickname = Some(nickname)),
        show: |_, configuration| json!(configuration.root.nickname),
    },
    Key {
        name: "root_user.password",
        variable: Some("INIT_ROOT_PASSWORD"),
        form: "a text",
        default: "random for each application, and shown once",
        help: "Its password.",
        set: |settings, input| {
            // An empty text is quoted by other errors, which no password is.
            let password = input.text().map_err(|_| "it is not a text in quotes, or is empty".to_owned())?;
            settings.root_user.password = Some(password.to_owned());
            Ok(())
        },
        show: |_, configuration| json!(configuration.root.password.as_ref().map(|_| HIDDEN)),
    },
    Key {
        name: "log.level",
        variable: Some("NBAPPS_LOG_LEVEL"),
        form: "error, warn, info, debug, trace or off, or filters such as nbapps=debug,info",
        default: "info",
        help: "What to log.",
        set: |settings, input| input.log_filter().map(|level| settings.log.level = Some(level)),
        show: |_, configuration| json!(configuration.log_level),
    },
    Key {
        name: "log.format",
        variable: Some("NBAPPS_LOG_FORMAT"),
        form: "text, json or auto",
        default: "auto: text on a terminal, else json",
        help: "The format of the daemon's log.",
        set: |settings, input| {
            input.parsed("one of text, json and auto").map(|format| settings.log.format = Some(format))
        },
        show: |_, configuration| json!(configuration.log_format),
    },
    Key {
        name: "log.access",
        variable: Some("NBAPPS_LOG_ACCESS"),
        form: "off, errors or all",
        default: "errors",
        help: "Which requests get a line in the access logs of applications that have no setting of their own: those \
               answered with a status of 500 and above are errors.",
        set: |settings, input| {
            input.parsed("one of off, errors and all").map(|access| settings.log.access = Some(access))
        },
        show: |_, configuration| json!(configuration.access_log),
    },
    Key {
        name: "log.access_format",
        variable: Some("NBAPPS_LOG_ACCESS_FORMAT"),
        form: "json or combined",
        default: "json",
        help: "The format of access logs: a JSON object a line, or the combined log format.",
        set: |settings, input| {
            input.parsed("one of json and combined").map(|format| settings.log.access_format = Some(format))
        },
        show: |_, configuration| json!(configuration.access_log_format),
    },
    Key {
        name: "log.file_bytes",
        variable: None,
        form: "a number of bytes from 4096 to 1099511627776",
        default: "10485760",
        help: "How large a log file becomes before it is rotated.",
        set: |settings, input| {
            input.number(MIN_LOG_BYTES..=MAX_LOG_BYTES).map(|bytes| settings.log.file_bytes = Some(bytes))
        },
        show: |_, configuration| json!(configuration.log_file_size),
    },
    Key {
        name: "log.files",
        variable: None,
        form: "a number from 0 to 1000",
        default: "3",
        help: "How many rotated files of each log are kept.",
        set: |settings, input| {
            let files = input.number(0..=MAX_LOG_FILES)?;
            settings.log.files = usize::try_from(files).ok();
            Ok(())
        },
        show: |_, configuration| json!(configuration.log_files),
    },
    Key {
        name: "gateway.connections",
        variable: None,
        form: "a number from 1 to 1000000",
        default: "10000, or fewer where the limit of open files is low",
        help: "The most HTTP connections of all applications; beyond that, idle ones are closed.",
        set: |settings, input| {
            let number = input.number(1..=MAX_CONNECTIONS)?;
            settings.gateway.connections = usize::try_from(number).ok();
            Ok(())
        },
        show: |_, configuration| json!(configuration.gateway.max_connections),
    },
    Key {
        name: "gateway.header_timeout",
        variable: None,
        form: "a duration from 1ms to 1day",
        default: "30s",
        help: "How long a client may take to send the headers of a request.",
        set: |settings, input| {
            input.duration(MILLISECOND..=DAY).map(|time| settings.gateway.header_timeout = Some(time))
        },
        show: |_, configuration| duration(configuration.gateway.header_read_timeout),
    },
    Key {
        name: "gateway.visit_timeout",
        variable: None,
        form: "a duration from 1ms to 1day",
        default: "20s",
        help: "How long a first visit waits until its application has started.",
        set: |settings, input| {
            input.duration(MILLISECOND..=DAY).map(|time| settings.gateway.visit_timeout = Some(time))
        },
        show: |_, configuration| duration(configuration.visit_timeout),
    },
    Key {
        name: "gateway.drain_timeout",
        variable: None,
        form: "a duration up to 1day",
        default: "10s",
        help: "How long requests may go on when the daemon ends.",
        set: |settings, input| {
            input.duration(Duration::ZERO..=DAY).map(|time| settings.gateway.drain_timeout = Some(time))
        },
        show: |_, configuration| duration(configuration.gateway.drain_timeout),
    },
    Key {
        name: "metrics.listen",
        variable: Some("NBAPPS_METRICS_LISTEN"),
        form: "ADDRESS:PORT, other than those of listen",
        default: "none: metrics are read with nbapps metrics only",
        help: "The address to serve metrics for Prometheus on, at /metrics. Whoever reaches it can read them.",
        set: |settings, input| {
            let listen = input.parsed("an address with a port, such as 127.0.0.1:9464")?;
            settings.metrics.listen = Some(listen);
            Ok(())
        },
        show: |_, configuration| json!(configuration.metrics_listen),
    },
    Key {
        name: "metrics.applications",
        variable: Some("NBAPPS_METRICS_APPLICATIONS"),
        form: "a number from 0 to 10000",
        default: "100",
        help: "How many applications have labels of their own in the metrics: those with the most requests. The others \
               are summed up as _other.",
        set: |settings, input| {
            let number = input.number(0..=MAX_METRICS_APPLICATIONS)?;
            settings.metrics.applications = usize::try_from(number).ok();
            Ok(())
        },
        show: |_, configuration| json!(configuration.metrics_applications),
    },
    limit!(
        "limits.in_flight",
        "NBAPPS_LIMIT_IN_FLIGHT",
        InFlight,
        "a number from 1 to 1000000",
        "64",
        "Of each application that has no limits of its own: requests that it works on at a time."
    ),
    limit!(
        "limits.queue",
        "NBAPPS_LIMIT_QUEUE",
        Queue,
        "a number from 0 to 1000000",
        "256",
        "Requests that wait until it can work on them."
    ),
    limit!(
        "limits.queue_time",
        "NBAPPS_LIMIT_QUEUE_TIME",
        QueueTimeMs,
        "a duration from 1ms to 1day",
        "5s",
        "How long they wait."
    ),
    limit!(
        "limits.request_time",
        "NBAPPS_LIMIT_REQUEST_TIME",
        RequestTimeMs,
        "a duration from 1ms to 1day",
        "1m",
        "How long a request may take; then its work is ended."
    ),
    limit!(
        "limits.statement_time",
        "NBAPPS_LIMIT_STATEMENT_TIME",
        StatementTimeMs,
        "a duration from 1ms to 1day",
        "database.statement_timeout",
        "How long a statement may take in its database; then it is cancelled."
    ),
    limit!(
        "limits.body",
        "NBAPPS_LIMIT_BODY",
        BodyBytes,
        "a size from 1B to 1GiB, such as 10MiB",
        "10MiB",
        "The longest body of a request."
    ),
    limit!(
        "limits.connections",
        "NBAPPS_LIMIT_CONNECTIONS",
        Connections,
        "a number from 1 to 1000000",
        "1000",
        "Connections with a request for it."
    ),
    limit!(
        "limits.rate",
        "NBAPPS_LIMIT_RATE",
        RequestsPerSecond,
        "a number from 1 to 1000000, or none",
        "none",
        "Requests in a second."
    ),
    limit!(
        "limits.database_connections",
        "NBAPPS_LIMIT_DATABASE_CONNECTIONS",
        DatabaseConnections,
        "a number from 1 to 1000",
        "8, and 4 for a SQLite file and in a schema",
        "Connections to its database at a time."
    ),
];

/// The key of this name.
pub(super) fn named(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

/// The word of several that is most like another one.
pub(super) fn nearest<'a>(word: &str, words: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    words.into_iter().min_by_key(|other| strsim::damerau_levenshtein(word, other))
}
