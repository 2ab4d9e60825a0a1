//! The handle of an open database on a server.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::fairness::Turns;
use super::lease::Lease;
use super::pipeline::Pipeline;
use super::pool::{Budget, Place};
use super::single_flight::SingleFlight;
use super::transaction::Transaction;
use super::{Connection, PATIENCE, Pipelining, ServerDatabase};
use crate::database::{DatabaseError, Rendered, Row, Rows, Tries, counted};

/// The default limit on one application's connections.
const TURNS: u32 = 8;
/// The default limit for one in a schema, which shares its database with others.
const TURNS_IN_SCHEMA: u32 = 4;

/// An open database on a server. Cheap to clone.
pub(in crate::database) struct Handle<C: Connection> {
    shared: Arc<Shared<C>>,
}

struct Shared<C: Connection> {
    place: Arc<Place>,
    /// `None` once the handle is closed.
    budget: Mutex<Option<Arc<Budget<C>>>>,
    turns: Turns,
    pipeline: Pipeline<C>,
    counts: SingleFlight,
}

impl<C: Connection> Clone for Handle<C> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<C: Connection> std::fmt::Debug for Handle<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handle").field("at", &self.shared.place.at).finish_non_exhaustive()
    }
}

impl<C: Connection> Handle<C> {
    /// Creates a handle without connecting.
    pub(in crate::database) fn new(at: &ServerDatabase) -> Self {
        let turns = if at.schema.is_some() { TURNS_IN_SCHEMA } else { TURNS };
        let around = Arc::new(ServerDatabase { schema: None, ..at.clone() });
        let budget = C::servers().budget(&at.server);
        let turns = Turns::new(turns, budget.gates(&around));
        Self {
            shared: Arc::new(Shared {
                place: Arc::new(Place { at: at.clone(), around, statement_ms: AtomicU64::new(0) }),
                budget: Mutex::new(Some(budget)),
                turns,
                pipeline: Pipeline::new(),
                counts: SingleFlight::default(),
            }),
        }
    }

    pub(in crate::database) fn at(&self) -> &ServerDatabase {
        &self.shared.place.at
    }

    /// The number of connections in use.
    pub(in crate::database) fn in_use(&self) -> usize {
        self.shared.turns.taken()
    }

    /// Sets the limit on connections and the statement timeout, from now on.
    pub(in crate::database) fn set_limits(&self, connections: u32, statement_time: Duration) {
        self.shared.turns.resize(connections);
        let time = u64::try_from(statement_time.as_millis()).unwrap_or(u64::MAX);
        self.shared.place.statement_ms.store(time, Ordering::Relaxed);
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
        counted(self.run(statement, async |on: &mut C, statement| on.count(statement).await).await?)
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
        let mut tries = Tries::default();
        loop {
            let done = self.lease().await?.statement(statement, &work).await;
            match done {
                Err(error) if tries.again(Some(&error)).await => {}
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
    ) -> Result<Transaction<C>, DatabaseError> {
        Transaction::begin(self.lease().await?, Arc::clone(&self.shared.place), wait).await
    }

    /// Connects, which shows whether the database exists and admits the user.
    pub(in crate::database) async fn connect(&self) -> Result<(), DatabaseError> {
        self.lease().await.map(drop)
    }

    /// Waits for what is in flight. Closes the idle connections of a whole database; those of a schema's are
    /// shared, and close at their idle timeout.
    pub(in crate::database) async fn close(&self) {
        let shared = &self.shared;
        shared.turns.close().await;
        let budget = shared.budget.lock().take();
        if let Some(budget) = budget.filter(|_| shared.place.at.schema.is_none()) {
            budget.forget(&shared.place.around);
        }
    }

    async fn lease(&self) -> Result<Lease<C>, DatabaseError> {
        let shared = &self.shared;
        let turn = tokio::time::timeout(PATIENCE, shared.turns.take()).await.map_err(|_| {
            DatabaseError::Occupied(format!(
                "no connection to {} became free in {} s: all that this host may have are in use",
                shared.place.at,
                PATIENCE.as_secs()
            ))
        })?;
        let closed = || DatabaseError::Closed(shared.place.at.to_string());
        let turn = turn.map_err(|_| closed())?;
        let budget = shared.budget.lock().clone().ok_or_else(closed)?;
        let lent = Box::pin(budget.lend(&shared.place.around)).await?;
        Ok(Lease::new(lent, budget, Arc::clone(&shared.place), turn))
    }
}

impl<C: Pipelining> Handle<C> {
    /// Reads rows. The statement may run twice, so it must not change anything.
    pub(in crate::database) async fn read(&self, statement: &Rendered) -> Result<Vec<Row>, DatabaseError> {
        let pipeline = &self.shared.pipeline;
        let mut alone = None;
        if pipeline.suits(statement) {
            let seat = match pipeline.join() {
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
            if let Some(seat) = seat
                && let Some(rows) = pipeline.read(seat, statement, self.shared.place.statement_time()).await
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
        let mut tries = Tries::default();
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
                    self.shared.pipeline.took_alone(statement, begun.elapsed());
                    return Ok(rows);
                }
                Err(error) => {
                    drop(lease);
                    if !tries.again(Some(&error)).await {
                        return Err(error);
                    }
                }
            }
        }
    }
}
