//! A connection to PostgreSQL, with its prepared statements.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt;
use parking_lot::Mutex;
use tokio_postgres::error::{DbError, Severity, SqlState};
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Error, RowStream};

use super::count_cache::{self, SnapshotCounts};
use super::dial::{self, Driver, NewConnection, detect_session_mode, dial};
use super::error::{self, ConnectionFailure};
use super::plan_cache::{self, PlanDecision};
use super::prepared_statements::{Prepared, PreparedStatements};
use super::session_mode::{DatabaseState, texts};
use super::text_values::TextParameter;
use super::value::{Parameter, Received, have_types};
use crate::database::rows::RowSender;
use crate::database::server::{
    Allowance, CONNECT_TIMEOUT, Connection, Pipelining, ServerDatabase, ServerPools, WAIT_TIMEOUT,
};
use crate::database::{DatabaseError, Rendered, Row, Sessions, Value};

/// How often a cancellation is sent. Each affects only the statement that runs at that moment: it misses
/// those that arrive later or are queued.
const MAX_CANCELS: u32 = 12;
/// The pause before the first cancellation; it doubles each time.
const FIRST_CANCEL_PAUSE: Duration = Duration::from_millis(4);

/// The server's names for UTC.
const UTC: [&str; 4] = ["UTC", "Etc/UTC", "GMT", "Etc/GMT"];

/// A connection to a database.
pub(in crate::database) struct PostgresConnection {
    client: Client,
    /// The peer's address, over TCP.
    peer: Option<SocketAddr>,
    /// Ends after the client is dropped and everything in flight was answered.
    driver: Driver,
    shared: Arc<DatabaseState>,
    sessions: Sessions,
    statements: Box<Mutex<PreparedStatements>>,
    counts: Box<SnapshotCounts>,
}

/// The columns' names, if known beforehand, and a stream of rows.
type Sent = (Option<Arc<[Box<str>]>>, RowStream);

impl PostgresConnection {
    /// Prepares a statement, unless it is prepared and the bound values have the types that the server
    /// expects. Otherwise a column's type may have changed, and values encoded for the old type could be
    /// converted.
    async fn prepare(&self, statement: &Rendered) -> Result<Prepared, Error> {
        let schema_version = self.shared.schema_version();
        let known = {
            let mut statements = self.statements.lock();
            statements.invalidate_before(schema_version);
            statements.prepared.get(&*statement.sql).cloned()
        };
        if let Some(known) = known.filter(|known| have_types(&statement.values, known.statement.params())) {
            return Ok(known);
        }
        let prepared = self.prepare_uncached(&statement.sql).await?;
        self.statements.lock().insert(&statement.sql, &prepared, schema_version);
        Ok(prepared)
    }

    async fn prepare_uncached(&self, sql: &str) -> Result<Prepared, Error> {
        let statement = self.client.prepare(sql).await?;
        let columns = statement.columns().iter().map(|column| column.name().into()).collect();
        Ok(Prepared { statement, columns })
    }

    /// Returns the statement prepared with a plan for its values, if it qualifies.
    async fn planned(&self, statement: &Rendered) -> Result<Option<Prepared>, Error> {
        if statement.placeholders.is_empty() {
            return Ok(None);
        }
        let planning = {
            let mut statements = self.statements.lock();
            statements.invalidate_before(self.shared.schema_version());
            statements.plans.decide(statement)
        };
        match planning {
            PlanDecision::Bind => Ok(None),
            PlanDecision::Use(prepared) => Ok(Some(prepared)),
            PlanDecision::Prepare => {
                let bound = self.prepare(statement).await?;
                let plan = match plan_cache::with_literals(statement, bound.statement.params()) {
                    Some(sql) => Some(self.prepare_uncached(&sql).await?),
                    None => None,
                };
                self.statements.lock().plans.insert(statement, plan.clone());
                Ok(plan)
            }
        }
    }

    /// Sends a statement; returns its columns and a stream of rows.
    async fn send(&self, statement: &Rendered) -> Result<Sent, Error> {
        if self.sessions == Sessions::Shared {
            let values = statement.values.iter().map(|value| (TextParameter(value), Type::UNKNOWN));
            return Ok((None, self.client.query_typed_raw(&statement.sql, values).await?));
        }
        match self.send_prepared(statement).await {
            Err(error) if is_outdated(&error) => {
                // The statement was not run. Others that use the same table are outdated, too.
                self.shared.note_schema_change();
                // In a transaction the first failure has ended it, and is the one to report.
                let Ok(prepared) = self.prepare(statement).await else { return Err(error) };
                let values = statement.values.iter().map(Parameter);
                let rows = self.client.query_raw(&prepared.statement, values).await.map_err(|_| error)?;
                Ok((Some(prepared.columns), rows))
            }
            sent => sent,
        }
    }

    async fn send_prepared(&self, statement: &Rendered) -> Result<Sent, Error> {
        let (prepared, bound) = match self.planned(statement).await? {
            Some(planned) => (planned, &[][..]),
            None => (self.prepare(statement).await?, &statement.values[..]),
        };
        let rows = self.client.query_raw(&prepared.statement, bound.iter().map(Parameter)).await?;
        Ok((Some(prepared.columns), rows))
    }
}

/// Whether a prepared statement is invalid: a table has changed ("cached plan must not change result type"),
/// or somebody has closed the statement.
fn is_outdated(error: &Error) -> bool {
    error.as_db_error().is_some_and(|said| match *said.code() {
        SqlState::FEATURE_NOT_SUPPORTED => said.routine() == Some("RevalidateCachedQuery"),
        SqlState::INVALID_SQL_STATEMENT_NAME => true,
        _ => false,
    })
}

/// Wraps DDL in a lock timeout: all later statements on the table queue behind DDL that waits for a lock.
pub(super) fn with_lock_timeout(sql: &str) -> String {
    format!("SET lock_timeout = '{}s'; {sql}; RESET lock_timeout", WAIT_TIMEOUT.as_secs())
}

/// Converts a row. Reads the columns' names from it if they are not known.
fn received(columns: &mut Option<Arc<[Box<str>]>>, row: &tokio_postgres::Row) -> Result<Row, Error> {
    let named = || row.columns().iter().map(|column| column.name().into()).collect();
    let columns = Arc::clone(columns.get_or_insert_with(named));
    let mut values = Vec::with_capacity(row.len());
    for at in 0..row.len() {
        values.push(row.try_get::<_, Received>(at)?.0);
    }
    Ok(Row::new(columns, values))
}

impl Connection for PostgresConnection {
    type Error = ConnectionFailure;

    const BEGIN: &'static str = "BEGIN";
    const DDL_COMMITS: bool = false;

    fn begin_with_lock_timeout(wait: Duration) -> Cow<'static, str> {
        // The server looks for deadlocks only after `deadlock_timeout`, a second, which only superusers may
        // change.
        format!("BEGIN; SET LOCAL lock_timeout = '{}ms'", wait.as_millis().max(1)).into()
    }

    fn pools() -> &'static ServerPools<Self> {
        static POOLS: ServerPools<PostgresConnection> = ServerPools::new();
        &POOLS
    }

    async fn connect(at: &ServerDatabase) -> Result<Self, ConnectionFailure> {
        let shared = DatabaseState::of(at);
        let NewConnection { client, driver, ends, zone } = dial(at).await?;
        let sessions = match shared.sessions() {
            Some(known) => known,
            None => {
                let found = detect_session_mode(at, &client, ends).await;
                shared.set_sessions(found);
                found
            }
        };
        // As a startup parameter, a pooler could refuse it.
        if !zone.is_some_and(|zone| UTC.contains(&&*zone)) {
            client.batch_execute("SET TimeZone = 'UTC'").await?;
        }
        Ok(Self {
            client,
            peer: ends.map(|ends| ends.remote),
            driver,
            shared,
            sessions,
            statements: Box::new(Mutex::new(PreparedStatements::new())),
            counts: Box::default(),
        })
    }

    async fn allowance(&mut self) -> Result<Allowance, ConnectionFailure> {
        // Slots for superusers do not count; -1 means a role without a limit, and does not parse.
        let query = "SELECT current_setting('max_connections')::int \
             - current_setting('superuser_reserved_connections')::int \
             - coalesce(current_setting('reserved_connections', true)::int, 0), \
             (SELECT rolconnlimit FROM pg_roles WHERE rolname = current_user)";
        let row = texts(&self.client, query).await?.into_iter().next().unwrap_or_default();
        let number = |at: usize| row.get(at)?.as_ref()?.parse::<u32>().ok();
        Ok(Allowance { server: number(0).unwrap_or(0), user: number(1) })
    }

    async fn is_usable(&mut self, _idle: Duration) -> bool {
        // The driver task notices at once when the server closes the connection.
        !self.client.is_closed()
    }

    fn describe(at: &ServerDatabase, failure: &ConnectionFailure) -> DatabaseError {
        match failure {
            ConnectionFailure::Machine(reason) => {
                DatabaseError::Unreachable(format!("cannot reach PostgreSQL for {at}: {reason}"))
            }
            ConnectionFailure::Unreachable(reason) => {
                DatabaseError::Unreachable(format!("cannot reach PostgreSQL for {at}: {reason}"))
            }
            ConnectionFailure::Driver(error) => error::describe(at, error),
        }
    }

    async fn explain(
        &mut self,
        at: &ServerDatabase,
        failure: ConnectionFailure,
        _statement: &Rendered,
    ) -> DatabaseError {
        match &failure {
            ConnectionFailure::Driver(error) if is_outdated(error) => {
                self.shared.note_schema_change();
                DatabaseError::Conflict(format!("{at}: a table was changed meanwhile"))
            }
            failure => Self::describe(at, failure),
        }
    }

    fn is_broken(&self, failure: &ConnectionFailure) -> bool {
        // The server announces that it ends the connection.
        let ends = matches!(failure, ConnectionFailure::Driver(error) if error
            .as_db_error()
            .and_then(DbError::parsed_severity)
            .is_some_and(|severity| matches!(severity, Severity::Fatal | Severity::Panic)));
        ends || self.client.is_closed()
    }

    async fn query(&mut self, statement: &Rendered) -> Result<Vec<Row>, ConnectionFailure> {
        self.read(statement).await
    }

    async fn count(&mut self, statement: &Rendered) -> Result<Vec<Row>, ConnectionFailure> {
        if !self.counts.knows_server() {
            let server = texts(&self.client, count_cache::VERSION_QUERY).await?.into_iter().next();
            let mut server = server.unwrap_or_default().into_iter();
            let (version, method) = (server.next().flatten(), server.next().flatten());
            self.counts.set_server(&version.unwrap_or_default(), method.as_deref());
        }
        match self.counts.count_if_changed(statement) {
            Some(query) => Ok(self.counts.resolve(statement, self.read(&query).await?)),
            None => self.read(statement).await,
        }
    }

    async fn stream(&mut self, statement: &Rendered, rows: &RowSender) -> Result<(), ConnectionFailure> {
        let (mut columns, stream) = self.send(statement).await?;
        let mut stream = std::pin::pin!(stream);
        while let Some(row) = stream.try_next().await? {
            if rows.send(Ok(received(&mut columns, &row)?)).await.is_err() {
                break;
            }
        }
        Ok(())
    }

    async fn execute(&mut self, statement: &Rendered) -> Result<u64, ConnectionFailure> {
        if !statement.is_recurring {
            self.client.batch_execute(&with_lock_timeout(&statement.sql)).await?;
            // Newly created objects were in no prepared statement.
            if !statement.sql.starts_with("CREATE ") {
                self.shared.note_schema_change();
            }
            return Ok(0);
        }
        let (_, stream) = self.send(statement).await?;
        let mut stream = std::pin::pin!(stream);
        while stream.try_next().await?.is_some() {}
        Ok(stream.rows_affected().unwrap_or(0))
    }

    async fn insert(&mut self, statement: &Rendered) -> Result<Option<i64>, ConnectionFailure> {
        // The statement has `RETURNING` if a column is generated.
        let row = self.query(statement).await?.into_iter().next();
        Ok(match row.and_then(|row| row.into_values().into_iter().next()) {
            Some(Value::Integer(plans)) => Some(plans),
            _ => None,
        })
    }

    async fn insert_many(&mut self, statement: &Rendered) -> Result<Vec<i64>, ConnectionFailure> {
        let rows = self.query(statement).await?;
        let plans = rows.into_iter().filter_map(|row| match row.into_values().into_iter().next() {
            Some(Value::Integer(plans)) => Some(plans),
            _ => None,
        });
        Ok(plans.collect())
    }

    async fn batch(&mut self, sql: &str) -> Result<(), ConnectionFailure> {
        Ok(self.client.batch_execute(sql).await?)
    }

    async fn close(self) {
        drop(self.client);
        // The driver ends once the server has been told.
        let _ = tokio::time::timeout(CONNECT_TIMEOUT, self.driver).await;
    }

    fn abandon(self, at: &ServerDatabase) {
        let (cancel, peer, at) = (self.client.cancel_token(), self.peer, at.clone());
        drop(self.client);
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return self.driver.abort() };
        let mut driver = self.driver;
        runtime.spawn(async move {
            let mut pause = FIRST_CANCEL_PAUSE;
            for _ in 0..MAX_CANCELS {
                if tokio::time::timeout(pause, &mut driver).await.is_ok() {
                    return;
                }
                let _ = tokio::time::timeout(CONNECT_TIMEOUT, dial::cancel(&cancel, &at, peer)).await;
                pause *= 2;
            }
            // At worst the server finishes the statement in vain.
            driver.abort();
        });
    }
}

impl Pipelining for PostgresConnection {
    fn is_pipelining(&self) -> bool {
        // A pooler in transaction mode takes the session away after the first response.
        self.sessions == Sessions::Own
    }

    async fn read(&self, statement: &Rendered) -> Result<Vec<Row>, ConnectionFailure> {
        let (mut columns, stream) = self.send(statement).await?;
        let mut stream = std::pin::pin!(stream);
        let mut rows = Vec::new();
        while let Some(row) = stream.try_next().await? {
            rows.push(received(&mut columns, &row)?);
        }
        Ok(rows)
    }
}
