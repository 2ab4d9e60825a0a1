//! The handle of an open database on a server.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::fairness::PoolPermits;
use super::lease::Lease;
use super::pipeline::Pipeline;
use super::pool::{ServerPool, Tenant};
use super::single_flight::SingleFlight;
use super::transaction::ServerTransaction;
use super::{Connection, Pipelining, ServerDatabase, WAIT_TIMEOUT};
use crate::database::{DatabaseError, Rendered, Retry, Row, Rows, single_count};

/// The default limit on one application's connections.
const DEFAULT_CONNECTIONS: u32 = 8;
/// The default limit for one in a schema, which shares its database with others.
const DEFAULT_CONNECTIONS_IN_SCHEMA: u32 = 4;

/// An open database on a server. Cheap to clone.
pub(in crate::database) struct DatabaseHandle<C: Connection> {
    shared: Arc<HandleState<C>>,
}

struct HandleState<C: Connection> {
    tenant: Arc<Tenant>,
    /// `None` once the handle is closed.
    pool: Mutex<Option<Arc<ServerPool<C>>>>,
    permits: PoolPermits,
    pipeline: Pipeline<C>,
    counts: SingleFlight,
    /// Whether the pool is this handle's own.
    is_apart: bool,
}

impl<C: Connection> Clone for DatabaseHandle<C> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<C: Connection> std::fmt::Debug for DatabaseHandle<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DatabaseHandle").field("at", &self.shared.tenant.at).finish_non_exhaustive()
    }
}

impl<C: Connection> DatabaseHandle<C> {
    /// Creates a handle without connecting.
    pub(in crate::database) fn new(at: &ServerDatabase) -> Self {
        Self::with(at, C::pools().get(&at.server), false)
    }

    /// Creates a handle without connecting, with a pool of its own: it neither waits for the connections that others
    /// use nor reuses one of them, which could have been admitted with an older password. Statements that run one
    /// after the other use one connection.
    pub(in crate::database) fn apart(at: &ServerDatabase) -> Self {
        Self::with(at, Arc::new(ServerPool::new()), true)
    }

    fn with(at: &ServerDatabase, pool: Arc<ServerPool<C>>, is_apart: bool) -> Self {
        let permits = if at.schema.is_some() { DEFAULT_CONNECTIONS_IN_SCHEMA } else { DEFAULT_CONNECTIONS };
        let database = Arc::new(ServerDatabase { schema: None, ..at.clone() });
        let permits = PoolPermits::new(permits, pool.gates(&database));
        Self {
            shared: Arc::new(HandleState {
                tenant: Arc::new(Tenant {
                    at: at.clone(),
                    database,
                    statement_timeout_ms: AtomicU64::new(0),
                }),
                pool: Mutex::new(Some(pool)),
                permits,
                pipeline: Pipeline::new(),
                counts: SingleFlight::default(),
                is_apart,
            }),
        }
    }

    pub(in crate::database) fn at(&self) -> &ServerDatabase {
        &self.shared.tenant.at
    }

    /// The number of connections in use.
    pub(in crate::database) fn in_use(&self) -> usize {
        self.shared.permits.in_use()
    }

    /// Sets the limit on connections and the statement timeout, from now on.
    pub(in crate::database) fn set_limits(&self, connections: u32, statement_timeout: Duration) {
        self.shared.permits.resize(connections);
        let time = u64::try_from(statement_timeout.as_millis()).unwrap_or(u64::MAX);
        self.shared.tenant.statement_timeout_ms.store(time, Ordering::Relaxed);
    }

    /// Runs a statement that returns rows exactly once.
    pub(in crate::database) async fn query(&self, statement: &Rendered) -> Result<Vec<Row>, DatabaseError> {
        self.run(statement, async |on: &mut C, statement| on.query(statement).await).await
    }

    /// Reads the number that a statement counts, once for all concurrent callers.
    pub(in crate::database) async fn count(&self, statement: &Rendered) -> Result<u64, DatabaseError> {
        self.shared.counts.count(statement, || self.count_alone(statement)).await
    }

    async fn count_alone(&self, statement: &Rendered) -> Result<u64, DatabaseError> {
        single_count(self.run(statement, async |on: &mut C, statement| on.count(statement).await).await?)
    }

    pub(in crate::database) async fn execute(&self, statement: &Rendered) -> Result<u64, DatabaseError> {
        self.run(statement, async |on: &mut C, statement| on.execute(statement).await).await
    }

    pub(in crate::database) async fn insert(
        &self,
        statement: &Rendered,
    ) -> Result<Option<i64>, DatabaseError> {
        self.run(statement, async |on: &mut C, statement| on.insert(statement).await).await
    }

    pub(in crate::database) async fn insert_many(
        &self,
        statement: &Rendered,
    ) -> Result<Vec<i64>, DatabaseError> {
        self.run(statement, async |on: &mut C, statement| on.insert_many(statement).await).await
    }

    /// Runs a statement in a transaction of its own. Retries it after a conflict, which has undone it.
    async fn run<T>(
        &self,
        statement: &Rendered,
        work: impl AsyncFn(&mut C, &Rendered) -> Result<T, C::Error>,
    ) -> Result<T, DatabaseError> {
        let mut retry = Retry::default();
        loop {
            let done = self.lease().await?.statement(statement, &work).await;
            match done {
                Err(error) if retry.should_retry(Some(&error)).await => {}
                done => return done,
            }
        }
    }

    pub(in crate::database) fn stream(&self, statement: Rendered) -> Rows {
        let (sender, rows) = Rows::channel();
        let handle = self.clone();
        tokio::spawn(async move {
            let reading = async { handle.lease().await?.stream(&statement, &sender).await };
            tokio::select! {
                read = reading => if let Err(error) = read {
                    let _ = sender.send(Err(error)).await;
                },
                // Dropping the lease in the middle of its statement cancels it.
                () = sender.closed() => {}
            }
        });
        rows
    }

    /// Runs SQL that binds nothing: several statements, or one that cannot be in a transaction.
    pub(in crate::database) async fn batch(&self, sql: &str) -> Result<(), DatabaseError> {
        self.lease().await?.batch(sql).await
    }

    pub(in crate::database) async fn begin(
        &self,
        wait: Option<Duration>,
    ) -> Result<ServerTransaction<C>, DatabaseError> {
        ServerTransaction::begin(self.lease().await?, Arc::clone(&self.shared.tenant), wait).await
    }

    /// Connects, which shows whether the database exists and admits the user.
    pub(in crate::database) async fn connect(&self) -> Result<(), DatabaseError> {
        self.lease().await.map(drop)
    }

    /// Waits for what is in flight. Closes the idle connections of a whole database; those of a schema's are
    /// shared, and close at their idle timeout.
    pub(in crate::database) async fn close(&self) {
        let shared = &self.shared;
        shared.permits.close().await;
        let pool = shared.pool.lock().take();
        if let Some(pool) = pool.filter(|_| shared.is_apart || shared.tenant.at.schema.is_none()) {
            pool.close_idle_of(&shared.tenant.database);
        }
    }

    async fn lease(&self) -> Result<Lease<C>, DatabaseError> {
        let shared = &self.shared;
        let permit = tokio::time::timeout(WAIT_TIMEOUT, shared.permits.acquire()).await.map_err(|_| {
            DatabaseError::Occupied(format!(
                "no connection to {} became free in {} s: all that this host may have are in use",
                shared.tenant.at,
                WAIT_TIMEOUT.as_secs()
            ))
        })?;
        let closed = || DatabaseError::Closed(shared.tenant.at.to_string());
        let permit = permit.map_err(|_| closed())?;
        let pool = shared.pool.lock().clone().ok_or_else(closed)?;
        let connection = Box::pin(pool.acquire(&shared.tenant.database)).await?;
        Ok(Lease::new(connection, pool, Arc::clone(&shared.tenant), permit))
    }
}

impl<C: Pipelining> DatabaseHandle<C> {
    /// Reads rows. The statement may run twice, so it must not change anything.
    pub(in crate::database) async fn read(&self, statement: &Rendered) -> Result<Vec<Row>, DatabaseError> {
        let pipeline = &self.shared.pipeline;
        let mut alone = None;
        if pipeline.accepts(statement) {
            let pipelined = match pipeline.join() {
                None => {
                    let lease = self.lease().await?;
                    if lease.shared().is_some_and(C::is_pipelining) {
                        Some(pipeline.begin(lease))
                    } else {
                        alone = Some(lease);
                        None
                    }
                }
                joined => joined,
            };
            if let Some(pipelined) = pipelined
                && let Some(rows) =
                    pipeline.read(pipelined, statement, self.shared.tenant.statement_timeout()).await
            {
                return Ok(rows);
            }
        }
        self.read_alone(statement, alone).await
    }

    /// Reads rows on a connection of its own: `first`, if given.
    async fn read_alone(
        &self,
        statement: &Rendered,
        mut first: Option<Lease<C>>,
    ) -> Result<Vec<Row>, DatabaseError> {
        let mut retry = Retry::default();
        loop {
            let mut lease = match first.take() {
                Some(lease) => lease,
                None => self.lease().await?,
            };
            let begun = Instant::now();
            let read = async |on: &mut C, statement: &Rendered| on.query(statement).await;
            let read = lease.statement(statement, read).await;
            match read {
                Ok(rows) => {
                    self.shared.pipeline.record_alone(statement, begun.elapsed());
                    return Ok(rows);
                }
                Err(error) => {
                    drop(lease);
                    if !retry.should_retry(Some(&error)).await {
                        return Err(error);
                    }
                }
            }
        }
    }
}
