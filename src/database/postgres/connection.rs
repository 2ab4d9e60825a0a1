//! A connection to PostgreSQL, with the statements that it has prepared.

use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt;
use lru::LruCache;
use parking_lot::Mutex;
use tokio::task::JoinHandle;
use tokio_postgres::config::SslMode;
use tokio_postgres::error::{DbError, Severity, SqlState};
use tokio_postgres::{Client, Error, RowStream, Statement};

use super::counts::{self, Counts};
use super::plans::{self, Planning, Plans};
use super::value::{Parameter, Received};
use super::{error, tls};
use crate::database::rows::RowSender;
use crate::database::server::{
    Allowance, CONNECT_TIMEOUT, Connection, PATIENCE, Pipelining, ServerDatabase, Servers, Tls,
};
use crate::database::{DatabaseError, Rendered, Row, Value};

/// Statements that a connection keeps prepared. Each costs the server some 20 KB, and the
/// thousand schemas of a database have statements of their own.
const PREPARED: std::num::NonZeroUsize = std::num::NonZeroUsize::new(128).unwrap();

/// How often the server is asked to stop working. A request hits what it is at just then: of what
/// arrives a moment later, and of what is in line, it knows nothing.
const CANCELS: u32 = 12;
/// How long it has for what it is at before it is asked; then twice as long each time.
const FIRST_PAUSE: Duration = Duration::from_millis(4);

/// A connection to a database.
pub(in crate::database) struct PostgresConnection {
    client: Client,
    /// Ends with the client, when what is under way has been answered.
    driver: JoinHandle<Result<(), Error>>,
    statements: Box<Mutex<Statements>>,
    counts: Box<Counts>,
}

/// The statements that a connection has prepared.
struct Statements {
    /// By their texts.
    prepared: LruCache<Box<str>, Prepared>,
    /// Those with what they bind written in.
    plans: Plans<Prepared>,
}

/// A statement that the server knows, with the names of what it gives.
#[derive(Clone)]
struct Prepared {
    statement: Statement,
    columns: Arc<[Box<str>]>,
}

impl Statements {
    fn new() -> Self {
        Self { prepared: LruCache::new(PREPARED), plans: Plans::default() }
    }

    fn clear(&mut self) {
        self.prepared.clear();
        self.plans.clear();
    }
}

impl PostgresConnection {
    async fn prepare(&self, sql: &str) -> Result<Prepared, Error> {
        if let Some(prepared) = self.statements.lock().prepared.get(sql) {
            return Ok(prepared.clone());
        }
        let prepared = self.prepare_anew(sql).await?;
        // What falls out at the other end is closed on the server.
        self.statements.lock().prepared.put(sql.into(), prepared.clone());
        Ok(prepared)
    }

    async fn prepare_anew(&self, sql: &str) -> Result<Prepared, Error> {
        let statement = self.client.prepare(sql).await?;
        let columns = statement.columns().iter().map(|column| column.name().into()).collect();
        Ok(Prepared { statement, columns })
    }

    /// The same statement with a plan for what it binds, if it is worth one.
    async fn planned(&self, statement: &Rendered) -> Result<Option<Prepared>, Error> {
        if statement.places.is_empty() {
            return Ok(None);
        }
        let planning = self.statements.lock().plans.ask(statement);
        match planning {
            Planning::EachTime => Ok(None),
            Planning::Made(prepared) => Ok(Some(prepared)),
            Planning::Worth => {
                let bound = self.prepare(&statement.sql).await?;
                let plan = match plans::written(statement, bound.statement.params()) {
                    Some(sql) => Some(self.prepare_anew(&sql).await?),
                    None => None,
                };
                self.statements.lock().plans.keep(statement, plan.clone());
                Ok(plan)
            }
        }
    }

    /// Sends a statement; gives its columns and the rows as they come.
    async fn send(&self, statement: &Rendered) -> Result<(Arc<[Box<str>]>, RowStream), Error> {
        let (prepared, bound) = match self.planned(statement).await? {
            Some(planned) => (planned, &[][..]),
            None => (self.prepare(&statement.sql).await?, &statement.values[..]),
        };
        let sent = self.client.query_raw(&prepared.statement, bound.iter().map(Parameter)).await;
        match sent {
            Err(error) if is_outdated(&error) => {
                // It was not run. Others on the same table are outdated too.
                self.statements.lock().clear();
                let again = self.prepare(&statement.sql).await;
                let Ok(prepared) = again else { return Err(error) };
                let values = statement.values.iter().map(Parameter);
                // In a transaction the first failure has ended it, and is the one to be told.
                let rows = self.client.query_raw(&prepared.statement, values).await.map_err(|_| error)?;
                Ok((prepared.columns, rows))
            }
            sent => Ok((prepared.columns, sent?)),
        }
    }
}

/// Whether a table was changed since a statement on it was prepared: "cached plan must not change
/// result type".
fn is_outdated(error: &Error) -> bool {
    error.as_db_error().is_some_and(|said| {
        *said.code() == SqlState::FEATURE_NOT_SUPPORTED && said.routine() == Some("RevalidateCachedQuery")
    })
}

/// The same change of a schema, which gives up when others hold what it changes for too long. It
/// stands before all who come later, and they would wait with it.
pub(super) fn within_patience(sql: &str) -> String {
    format!("SET lock_timeout = '{}s'; {sql}; RESET lock_timeout", PATIENCE.as_secs())
}

fn received(columns: &Arc<[Box<str>]>, row: &tokio_postgres::Row) -> Result<Row, Error> {
    let mut values = Vec::with_capacity(row.len());
    for at in 0..row.len() {
        values.push(row.try_get::<_, Received>(at)?.0);
    }
    Ok(Row::new(Arc::clone(columns), values))
}

fn config(at: &ServerDatabase) -> tokio_postgres::Config {
    let server = &at.server;
    let mut config = tokio_postgres::Config::new();
    config.user(&server.user).dbname(&at.name).port(server.port).application_name("nbapps");
    config.options("-c timezone=UTC");
    if server.host.starts_with('/') {
        config.host_path(&server.host);
    } else {
        config.host(&server.host);
    }
    if let Some(password) = &server.password {
        config.password(password);
    }
    config.ssl_mode(match server.tls {
        Tls::Disable => SslMode::Disable,
        Tls::Prefer => SslMode::Prefer,
        Tls::Require | Tls::VerifyFull => SslMode::Require,
    });
    config
}

/// Why there is no connection.
pub(in crate::database) enum Failure {
    /// This machine lacks something.
    Machine(String),
    Driver(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Driver(error)
    }
}

impl Connection for PostgresConnection {
    type Error = Failure;

    const BEGIN: &'static str = "BEGIN";
    const CHANGES_COMMIT: bool = false;

    fn servers() -> &'static Servers<Self> {
        static SERVERS: Servers<PostgresConnection> = Servers::new();
        &SERVERS
    }

    async fn connect(at: &ServerDatabase) -> Result<Self, Failure> {
        let connector = tls::connector(at.server.tls).map_err(Failure::Machine)?;
        let (client, connection) = config(at).connect(connector).await?;
        // What goes wrong in it, the client says.
        let driver = tokio::spawn(connection);
        Ok(Self {
            client,
            driver,
            statements: Box::new(Mutex::new(Statements::new())),
            counts: Box::default(),
        })
    }

    async fn allowance(&mut self) -> Result<Allowance, Failure> {
        // Slots for superusers are nobody else's; a role without a limit of its own says -1.
        let question = "SELECT current_setting('max_connections')::int \
             - current_setting('superuser_reserved_connections')::int \
             - coalesce(current_setting('reserved_connections', true)::int, 0), \
             (SELECT rolconnlimit FROM pg_roles WHERE rolname = current_user)";
        let row = self.client.query_one(question, &[]).await?;
        let server = u32::try_from(row.try_get::<_, i32>(0)?).unwrap_or(0);
        let user = row.try_get::<_, Option<i32>>(1)?.and_then(|most| u32::try_from(most).ok());
        Ok(Allowance { server, user })
    }

    async fn is_usable(&mut self, _idle: Duration) -> bool {
        // The driving task sees at once when the other side closes it.
        !self.client.is_closed()
    }

    fn describe(at: &ServerDatabase, failure: &Failure) -> DatabaseError {
        match failure {
            Failure::Machine(reason) => {
                DatabaseError::Unreachable(format!("cannot reach PostgreSQL for {at}: {reason}"))
            }
            Failure::Driver(error) => error::describe(at, error),
        }
    }

    async fn explain(
        &mut self,
        at: &ServerDatabase,
        failure: Failure,
        _statement: &Rendered,
    ) -> DatabaseError {
        match &failure {
            Failure::Driver(error) if is_outdated(error) => {
                DatabaseError::Busy(format!("{at}: a table was changed meanwhile"))
            }
            failure => Self::describe(at, failure),
        }
    }

    fn is_broken(&self, failure: &Failure) -> bool {
        // The server says that it ends the connection before it does.
        let ends = matches!(failure, Failure::Driver(error) if error
            .as_db_error()
            .and_then(DbError::parsed_severity)
            .is_some_and(|severity| matches!(severity, Severity::Fatal | Severity::Panic)));
        ends || self.client.is_closed()
    }

    async fn query(&mut self, statement: &Rendered) -> Result<Vec<Row>, Failure> {
        self.read(statement).await
    }

    async fn count(&mut self, statement: &Rendered) -> Result<Vec<Row>, Failure> {
        if !self.counts.has_learned() {
            let server = self.client.query_one(counts::VERSION_QUESTION, &[]).await?;
            self.counts.learn(server.try_get(0)?, server.try_get(1)?);
        }
        match self.counts.unless_known(statement) {
            Some(question) => Ok(self.counts.answered(statement, self.read(&question).await?)),
            None => self.read(statement).await,
        }
    }

    async fn stream(&mut self, statement: &Rendered, rows: &RowSender) -> Result<(), Failure> {
        let (columns, stream) = self.send(statement).await?;
        let mut stream = std::pin::pin!(stream);
        while let Some(row) = stream.try_next().await? {
            if rows.send(Ok(received(&columns, &row)?)).await.is_err() {
                break;
            }
        }
        Ok(())
    }

    async fn execute(&mut self, statement: &Rendered) -> Result<u64, Failure> {
        if !statement.repeated {
            return Ok(self.client.batch_execute(&within_patience(&statement.sql)).await.map(|()| 0)?);
        }
        let (_, stream) = self.send(statement).await?;
        let mut stream = std::pin::pin!(stream);
        while stream.try_next().await?.is_some() {}
        Ok(stream.rows_affected().unwrap_or(0))
    }

    async fn insert(&mut self, statement: &Rendered) -> Result<Option<i64>, Failure> {
        // The statement says `RETURNING` where something is generated.
        let row = self.query(statement).await?.into_iter().next();
        Ok(match row.and_then(|row| row.into_values().into_iter().next()) {
            Some(Value::Integer(made)) => Some(made),
            _ => None,
        })
    }

    async fn insert_many(&mut self, statement: &Rendered) -> Result<Vec<i64>, Failure> {
        let rows = self.query(statement).await?;
        let made = rows.into_iter().filter_map(|row| match row.into_values().into_iter().next() {
            Some(Value::Integer(made)) => Some(made),
            _ => None,
        });
        Ok(made.collect())
    }

    async fn batch(&mut self, sql: &str) -> Result<(), Failure> {
        Ok(self.client.batch_execute(sql).await?)
    }

    async fn close(self) {
        drop(self.client);
        // It ends when the server has been told.
        let _ = tokio::time::timeout(CONNECT_TIMEOUT, self.driver).await;
    }

    fn abandon(self, at: &ServerDatabase) {
        let (cancel, mode) = (self.client.cancel_token(), at.server.tls);
        drop(self.client);
        let (Ok(runtime), Ok(connector)) = (tokio::runtime::Handle::try_current(), tls::connector(mode))
        else {
            return self.driver.abort();
        };
        let mut driver = self.driver;
        runtime.spawn(async move {
            let mut pause = FIRST_PAUSE;
            for _ in 0..CANCELS {
                if tokio::time::timeout(pause, &mut driver).await.is_ok() {
                    return;
                }
                let _ = tokio::time::timeout(CONNECT_TIMEOUT, cancel.cancel_query(connector.clone())).await;
                pause *= 2;
            }
            // At worst the server works on in vain.
            driver.abort();
        });
    }
}

impl Pipelining for PostgresConnection {
    async fn read(&self, statement: &Rendered) -> Result<Vec<Row>, Failure> {
        let (columns, stream) = self.send(statement).await?;
        let mut stream = std::pin::pin!(stream);
        let mut rows = Vec::new();
        while let Some(row) = stream.try_next().await? {
            rows.push(received(&columns, &row)?);
        }
        Ok(rows)
    }
}
