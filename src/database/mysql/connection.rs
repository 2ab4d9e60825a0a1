//! A connection to MySQL or MariaDB.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use mysql_async::prelude::Queryable;
use mysql_async::{ChangeUserOpts, Column, Conn, DriverError, Error, Opts, OptsBuilder, Params, SslOpts};
use rustls::RootCertStore;

use super::{error, value};
use crate::database::rows::RowSender;
use crate::database::server::{Allowance, Connection, ServerDatabase, ServerPools, Tls};
use crate::database::{DatabaseError, Rendered, Row};

/// The limit on prepared statements for each connection.
const MAX_PREPARED: usize = 128;
/// A connection that was idle for longer is pinged before its use: unlike PostgreSQL's, it has no task that
/// notices when the server closes it.
const PING_AFTER: Duration = Duration::from_millis(500);
/// The timeout of the ping.
const PING_TIMEOUT: Duration = Duration::from_secs(2);
/// The time that a server takes at most to release a closed connection, even under load.
const RELEASE_TIME: Duration = Duration::from_millis(100);
/// The session settings that make all servers behave alike, whatever their configuration: times in UTC, no
/// truncation to a column's size, standard quotes, a key of 0 like any other, and a lock timeout for DDL as
/// on PostgreSQL. See also [`CHARSET`] and [`ISOLATION`].
const SESSION: &str = "SET SESSION time_zone = '+00:00', sql_mode = 'STRICT_ALL_TABLES,NO_ZERO_DATE,\
                       NO_ZERO_IN_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION,\
                       NO_AUTO_VALUE_ON_ZERO', \
                       group_concat_max_len = 4194304, lock_wait_timeout = 10";
const CHARSET: &str = "SET NAMES utf8mb4 COLLATE utf8mb4_bin";
const ISOLATION: &str = "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED";

/// The time limit of a statement that matches a pattern under MariaDB's limit on steps, which applies to each
/// text but not to all of them together. MySQL limits only reads; that suffices, since records are read by
/// the same condition before they are changed or deleted.
const SET_SEARCH_TIMEOUT: &str = "SET /*M!100000 SESSION max_statement_time = 3 */ \
                            /*!80000 SESSION max_execution_time = 3000 */";
const RESET_SEARCH_TIMEOUT: &str = "SET /*M!100000 SESSION max_statement_time = DEFAULT */ \
                          /*!80000 SESSION max_execution_time = DEFAULT */";

/// How the query builder's `CREATE TABLE` begins.
const CREATE_TABLE: &str = "CREATE TABLE ";

/// The certificate authorities that this machine trusts.
static AUTHORITIES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let known = rustls_native_certs::load_native_certs().certs.into_iter();
    let usable = known.filter(|authority| RootCertStore::empty().add(authority.clone()).is_ok());
    usable.map(|authority| authority.to_vec()).collect()
});

/// A connection to a database.
pub(in crate::database) struct MysqlConnection {
    connection: Conn,
    /// The collation of new tables, once it was asked for.
    collation: Option<String>,
    /// How the server reports generated keys, once it was asked for.
    key_reporting: Option<KeyReporting>,
}

/// How a server reports the keys that it generates for several rows.
#[derive(Debug, Clone, Copy)]
enum KeyReporting {
    /// By `RETURNING`: MariaDB since 10.5.
    Returned,
    /// By the first key: MySQL. If the number of rows is known beforehand, the others follow it in steps of
    /// this size, whatever `innodb_autoinc_lock_mode` is
    /// (<https://dev.mysql.com/doc/refman/8.4/en/innodb-auto-increment-handling.html>).
    Consecutive(u64),
}

/// The options of a connection to the database `name`, or to none.
fn options(at: &ServerDatabase, name: Option<&str>, ssl: Option<SslOpts>) -> Opts {
    let server = &at.server;
    let builder = OptsBuilder::default()
        .user(Some(&server.user))
        .pass(server.password.as_ref())
        .db_name(name)
        .prefer_socket(false)
        .tcp_nodelay(true)
        .client_found_rows(true)
        .stmt_cache_size(MAX_PREPARED)
        .ssl_opts(ssl)
        .connect_attribute("program_name", "nbapps")
        .setup(vec![CHARSET, SESSION, ISOLATION]);
    let builder = if server.host.starts_with('/') {
        builder.socket(Some(&server.host))
    } else {
        builder.ip_or_hostname(&server.host).tcp_port(server.port)
    };
    builder.into()
}

fn encrypted(tls: Tls) -> Option<SslOpts> {
    match tls {
        Tls::Disable => None,
        Tls::Prefer | Tls::Require => Some(
            SslOpts::default()
                .with_danger_accept_invalid_certs(true)
                .with_danger_skip_domain_validation(true),
        ),
        Tls::VerifyFull => {
            let authorities = AUTHORITIES.iter().map(|authority| authority.clone().into()).collect();
            Some(SslOpts::default().with_disable_built_in_roots(true).with_root_certs(authorities))
        }
    }
}

impl MysqlConnection {
    /// Connects to the database `name`, or to none.
    async fn connect_to(at: &ServerDatabase, name: Option<&str>) -> Result<Self, Error> {
        let first = Conn::new(options(at, name, encrypted(at.server.tls))).await;
        let connection = match first {
            Err(Error::Driver(DriverError::NoClientSslFlagFromServer)) if at.server.tls == Tls::Prefer => {
                Conn::new(options(at, name, None)).await?
            }
            other => other?,
        };
        Ok(Self { connection, collation: None, key_reporting: None })
    }

    fn parameters(statement: &Rendered) -> Params {
        Params::from(statement.values.iter().map(value::parameter).collect::<Vec<_>>())
    }

    /// The collation that compares texts by code point, including trailing spaces. MariaDB and MySQL have
    /// different names for it.
    async fn collation(&mut self) -> Result<String, Error> {
        if let Some(collation) = &self.collation {
            return Ok(collation.clone());
        }
        let query = "SELECT collation_name FROM information_schema.collations \
                        WHERE collation_name IN ('utf8mb4_nopad_bin', 'utf8mb4_0900_bin')";
        // Older servers ignore trailing spaces.
        let found: Option<String> = self.connection.query_first(query).await?;
        Ok(self.collation.insert(found.unwrap_or_else(|| "utf8mb4_bin".to_owned())).clone())
    }

    async fn key_reporting(&mut self) -> Result<KeyReporting, Error> {
        if let Some(key_reporting) = self.key_reporting {
            return Ok(key_reporting);
        }
        let query = "SELECT version(), @@session.auto_increment_increment";
        let said = self.connection.query_first::<(String, u64), _>(query).await?;
        let (version, step) = said.unwrap_or_default();
        let returns = version.contains("MariaDB") && self.connection.server_version() >= (10, 5, 0);
        let key_reporting =
            if returns { KeyReporting::Returned } else { KeyReporting::Consecutive(step.max(1)) };
        self.key_reporting = Some(key_reporting);
        Ok(key_reporting)
    }

    async fn run(&mut self, statement: &Rendered) -> Result<(), Error> {
        let has_timeout = self.set_timeout(statement).await?;
        let done = self.connection.exec_drop(&*statement.sql, Self::parameters(statement)).await;
        self.reset_timeout(has_timeout, done).await
    }

    /// Sets the time limit for the next statement, if it needs one. Returns whether it did.
    async fn set_timeout(&mut self, statement: &Rendered) -> Result<bool, Error> {
        if statement.has_step_limit {
            self.connection.query_drop(SET_SEARCH_TIMEOUT).await?;
        }
        Ok(statement.has_step_limit)
    }

    /// Resets the time limit, whatever the statement's outcome.
    async fn reset_timeout<T>(&mut self, has_timeout: bool, done: Result<T, Error>) -> Result<T, Error> {
        if has_timeout {
            match &done {
                Err(error) if self.is_broken(error) => {}
                _ => self.connection.query_drop(RESET_SEARCH_TIMEOUT).await?,
            }
        }
        done
    }

    async fn read(&mut self, statement: &Rendered) -> Result<Vec<Row>, Error> {
        let mut result = self.connection.exec_iter(&*statement.sql, Self::parameters(statement)).await?;
        let columns = result.columns().unwrap_or_default();
        let names = names(&columns);
        let rows: Vec<mysql_async::Row> = result.collect().await?;
        Ok(rows.into_iter().map(|row| received(&names, &columns, row)).collect())
    }

    /// Reads rows and passes them on, until the reader is gone.
    async fn send(&mut self, statement: &Rendered, rows: &RowSender) -> Result<(), Error> {
        let mut result = self.connection.exec_iter(&*statement.sql, Self::parameters(statement)).await?;
        let columns = result.columns().unwrap_or_default();
        let names = names(&columns);
        while let Some(row) = result.next().await? {
            if rows.send(Ok(received(&names, &columns, row))).await.is_err() {
                break;
            }
        }
        Ok(())
    }
}

fn names(columns: &[Column]) -> Arc<[Box<str>]> {
    columns.iter().map(|column| column.name_str().into()).collect()
}

fn received(names: &Arc<[Box<str>]>, columns: &[Column], row: mysql_async::Row) -> Row {
    let values = row.unwrap().into_iter().zip(columns);
    Row::new(Arc::clone(names), values.map(|(value, column)| value::received(value, column)).collect())
}

impl Connection for MysqlConnection {
    type Error = Error;

    const BEGIN: &'static str = "START TRANSACTION";
    const DDL_COMMITS: bool = true;
    const CAN_SWITCH: bool = true;

    fn pools() -> &'static ServerPools<Self> {
        static POOLS: ServerPools<MysqlConnection> = ServerPools::new();
        &POOLS
    }

    async fn connect(at: &ServerDatabase) -> Result<Self, Error> {
        // An empty name is the server itself, from which databases are created and dropped.
        Self::connect_to(at, Some(&*at.name).filter(|name| !name.is_empty())).await
    }

    async fn switch_to(&mut self, at: &ServerDatabase) -> Result<(), Error> {
        let whose = ChangeUserOpts::new()
            .with_user(Some(at.server.user.clone()))
            .with_pass(at.server.password.clone())
            .with_db_name(Some(at.name.clone()));
        self.connection.change_user(whose).await
    }

    async fn allowance(&mut self) -> Result<Allowance, Error> {
        let limits = "SELECT @@global.max_connections, @@session.max_user_connections";
        let (server, user) = self.connection.query_first::<(u32, u32), _>(limits).await?.unwrap_or((0, 0));
        Ok(Allowance { server, user: Some(user).filter(|&user| user != 0) })
    }

    async fn is_usable(&mut self, idle: Duration) -> bool {
        idle < PING_AFTER
            || matches!(tokio::time::timeout(PING_TIMEOUT, self.connection.ping()).await, Ok(Ok(())))
    }

    fn describe(at: &ServerDatabase, error: &Error) -> DatabaseError {
        error::describe(at, error)
    }

    async fn explain(&mut self, at: &ServerDatabase, error: Error, statement: &Rendered) -> DatabaseError {
        if error::is_missing_table(&error) {
            // A database that was dropped while it was open only appears to have no tables.
            let query = "SELECT 1 FROM information_schema.schemata WHERE schema_name = ?";
            let found = self.connection.exec_first::<u8, _, _>(query, (&at.name,)).await;
            return match found {
                Ok(None) => error::missing(at),
                _ => error::describe(at, &error),
            };
        }
        if statement.has_step_limit && error::is_too_slow(&error) {
            return DatabaseError::Pattern(format!("{at}: {error}"));
        }
        if let Error::Server(said) = &error
            && error::is_denied(&error)
        {
            let asked = self.connection.query_first::<String, _>("SELECT CURRENT_USER()").await;
            let account = asked.ok().flatten();
            return error::denied(at, &said.message, account.as_deref());
        }
        let Some(key) = error::violated_key(&error) else { return error::describe(at, &error) };
        // The error names the key; the server is asked for its columns.
        let table = error::table_of(&statement.sql).unwrap_or_default();
        let query = "SELECT column_name FROM information_schema.statistics WHERE table_schema = database() \
                        AND table_name = ? AND index_name = ? ORDER BY seq_in_index";
        let columns = self.connection.exec(query, (table, key)).await;
        DatabaseError::Unique { columns: columns.unwrap_or_default() }
    }

    fn is_broken(&self, error: &Error) -> bool {
        match error {
            // The server is shutting down, or has killed the connection.
            Error::Server(said) => matches!(said.code, 1053 | 1077 | 1079 | 1317 | 1927 | 3169 | 4031),
            other => other.is_fatal(),
        }
    }

    async fn query(&mut self, statement: &Rendered) -> Result<Vec<Row>, Error> {
        let has_timeout = self.set_timeout(statement).await?;
        let rows = self.read(statement).await;
        self.reset_timeout(has_timeout, rows).await
    }

    async fn stream(&mut self, statement: &Rendered, rows: &RowSender) -> Result<(), Error> {
        let has_timeout = self.set_timeout(statement).await?;
        let sent = self.send(statement, rows).await;
        self.reset_timeout(has_timeout, sent).await
    }

    async fn execute(&mut self, statement: &Rendered) -> Result<u64, Error> {
        if statement.is_recurring {
            self.run(statement).await?;
            return Ok(self.connection.affected_rows());
        }
        let mut sql = statement.sql.clone();
        if sql.starts_with(CREATE_TABLE) {
            // Regardless of the database's defaults.
            sql.push_str(&format!(" DEFAULT CHARACTER SET utf8mb4 COLLATE {}", self.collation().await?));
        }
        match self.connection.query_drop(sql).await {
            Err(Error::Server(said)) if statement.if_not_exists && said.code == error::DUPLICATE_KEY_NAME => {
                Ok(0)
            }
            other => other.map(|()| 0),
        }
    }

    async fn insert(&mut self, statement: &Rendered) -> Result<Option<i64>, Error> {
        self.run(statement).await?;
        let made = self.connection.last_insert_id().filter(|_| statement.generated.is_some());
        Ok(made.and_then(|made| i64::try_from(made).ok()))
    }

    async fn insert_many(&mut self, statement: &Rendered) -> Result<Vec<i64>, Error> {
        let Some(column) = &statement.generated else {
            return self.run(statement).await.map(|()| Vec::new());
        };
        let step = match self.key_reporting().await? {
            KeyReporting::Returned => {
                let sql = format!("{} RETURNING `{}`", statement.sql, column.replace('`', "``"));
                return self.connection.exec(sql, Self::parameters(statement)).await;
            }
            KeyReporting::Consecutive(step) => step,
        };
        self.run(statement).await?;
        let (first, count) = (self.connection.last_insert_id().unwrap_or(0), self.connection.affected_rows());
        Ok((0..count).filter_map(|row| i64::try_from(first + row * step).ok()).collect())
    }

    async fn batch(&mut self, sql: &str) -> Result<(), Error> {
        self.connection.query_drop(sql).await
    }

    async fn close(self) {
        let _ = tokio::time::timeout(PING_TIMEOUT, self.connection.disconnect()).await;
        // The server does not tell when it has released the connection.
        tokio::time::sleep(RELEASE_TIME).await;
    }

    fn abandon(self, at: &ServerDatabase) {
        let (id, at) = (self.connection.id(), at.clone());
        drop(self.connection);
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                // At worst the server finishes the statement in vain.
                if let Ok(mut other) = Self::connect_to(&at, None).await {
                    let _ = other.batch(&format!("KILL {id}")).await;
                    let _ = other.connection.disconnect().await;
                }
            });
        }
    }
}
