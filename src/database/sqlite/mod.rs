//! SQLite: one file, one connection that writes and a few that read.
//!
//! SQLite lets one connection write at a time and, in WAL mode, any number read beside it. Semaphores settle
//! the order among the async callers, so that no thread ever waits for a lock. A caller with a read permit
//! runs a short statement itself (`inline_read.rs`); statements that keep a core busy need another permit
//! besides, of which there are fewer than cores. A caller with the write permit runs all waiting statements
//! with a single wait for the disk (`group_commit.rs`). Connections are opened on demand, kept idle between
//! statements (`pool.rs`) and closed after a while, so that an unused application costs no connection.

mod cancel;
mod connection;
mod counts;
mod error;
mod file_names;
pub(super) mod functions;
mod group_commit;
mod inline_read;
mod keys;
mod pool;
mod progress_handler;
mod transaction;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;
use sea_query::{ExprTrait, Query};

use super::blocking_pool::{self, Owner};
use super::{DatabaseError, Engine, Permit, Rendered, ResizableSemaphore, Row, Rows, Statement};
use connection::Role;
use group_commit::GroupCommit;
use inline_read::InlineReads;
use pool::{Lease, Pool};

pub(super) use transaction::Transaction;

/// The default limit on a database's concurrent readers.
const READERS: u32 = 4;

/// An open SQLite database.
#[derive(Debug, Clone)]
pub(super) struct Sqlite {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    pool: Arc<Pool>,
    /// One permit: that to write.
    write_turn: Arc<ResizableSemaphore>,
    /// A permit for each connection that reads.
    read_turns: Arc<ResizableSemaphore>,
    /// A permit for each statement that may keep a core busy.
    heavy_turns: Arc<ResizableSemaphore>,
    /// The statements that wait for the write permit.
    group_commit: GroupCommit,
    inline_read: InlineReads,
}

/// Selects the names of all tables but SQLite's own.
pub(super) fn table_names() -> Rendered {
    Query::select()
        .column("name")
        .from("sqlite_master")
        .and_where(sea_query::Expr::col("type").eq("table"))
        .and_where(sea_query::Expr::col("name").not_like(sea_query::LikeExpr::new("sqlite\\_%").escape('\\')))
        .order_by("name", sea_query::Order::Asc)
        .to_owned()
        .render(Engine::Sqlite)
}

/// Selects the table of this name, ignoring case.
pub(super) fn table_named(name: &str) -> Rendered {
    Query::select()
        .column("name")
        .from("sqlite_master")
        .and_where(sea_query::Expr::col("type").eq("table"))
        .and_where(sea_query::Expr::cust_with_values("name = ? COLLATE NOCASE", [name]))
        .to_owned()
        .render(Engine::Sqlite)
}

/// Selects a table's index of this name.
pub(super) fn index_named(table: &str, name: &str) -> Rendered {
    Query::select()
        .column("name")
        .from("sqlite_master")
        .and_where(sea_query::Expr::col("type").eq("index"))
        .and_where(sea_query::Expr::col("tbl_name").eq(table))
        .and_where(sea_query::Expr::col("name").eq(name))
        .to_owned()
        .render(Engine::Sqlite)
}

/// Selects the names of a table's columns.
pub(super) fn columns_of(table: &str) -> Rendered {
    Query::select()
        .column("name")
        .from_function(sea_query::Func::cust("pragma_table_info").arg(table), "columns")
        .order_by("cid", sea_query::Order::Asc)
        .to_owned()
        .render(Engine::Sqlite)
}

impl Sqlite {
    pub(super) async fn create(path: &Path) -> Result<Self, DatabaseError> {
        let path = absolute(path)?;
        on_worker(&path, connection::create_file).await?;
        match Self::open_at(path.clone(), Role::Writer).await {
            Ok(sqlite) => Ok(sqlite),
            Err(error) => {
                // The file is ours and empty: nobody else could have created one in between.
                on_worker(&path, connection::remove_files).await.ok();
                Err(error)
            }
        }
    }

    /// Creates a database as [`Self::create`] does; a second hard link to its file names the owner.
    pub(super) async fn create_owned(path: &Path, owner: &str) -> Result<Self, DatabaseError> {
        let path = absolute(path)?;
        let mark = marked(&path, owner);
        on_worker(&path, move |path| connection::create_marked(path, &mark)).await?;
        let opened = Self::open_at(path.clone(), Role::Writer).await;
        if opened.is_err() {
            Self::remove_owned(&path, owner).await.ok();
        }
        opened
    }

    /// Removes the second link of a file from [`Self::create_owned`].
    pub(super) async fn settle_owned(path: &Path, owner: &str) -> Result<(), DatabaseError> {
        let path = absolute(path)?;
        let mark = marked(&path, owner);
        on_worker(&path, move |_| connection::remove_files(&mark)).await.map(drop)
    }

    /// Removes what [`Self::create_owned`] created for this owner, even if it was interrupted.
    pub(super) async fn remove_owned(path: &Path, owner: &str) -> Result<Vec<String>, DatabaseError> {
        let path = absolute(path)?;
        let mark = marked(&path, owner);
        on_worker(&path, move |path| connection::remove_marked(path, &mark)).await
    }

    pub(super) async fn open(path: &Path) -> Result<Self, DatabaseError> {
        // A reader is enough to recognize the file: most applications that start are only read.
        Self::open_at(absolute(path)?, Role::Reader).await
    }

    async fn open_at(path: PathBuf, first: Role) -> Result<Self, DatabaseError> {
        let sqlite = Self {
            shared: Arc::new(Shared {
                pool: Arc::new(Pool::new(path)),
                write_turn: Arc::new(ResizableSemaphore::new(1)),
                read_turns: Arc::new(ResizableSemaphore::new(READERS)),
                heavy_turns: Arc::new(ResizableSemaphore::new(heavy(READERS))),
                group_commit: GroupCommit::default(),
                inline_read: InlineReads::default(),
            }),
        };
        // The first connection shows whether the file is a database at all.
        let turn = sqlite.turn(first).await?;
        sqlite.run(turn, first, None, |connection| connection::check(connection)).await?;
        Ok(sqlite)
    }

    pub(super) async fn remove(path: &Path) -> Result<Vec<String>, DatabaseError> {
        let path = absolute(path)?;
        on_worker(&path, connection::remove_files).await
    }

    pub(super) fn path(&self) -> &Path {
        self.shared.pool.path()
    }

    pub(super) async fn size(&self) -> Result<u64, DatabaseError> {
        on_worker(self.path(), connection::size).await
    }

    pub(super) async fn query(&self, statement: Rendered) -> Result<Vec<Row>, DatabaseError> {
        let heavy = self.heavy_turn(&statement).await?;
        self.query_in_turn(heavy, statement).await
    }

    /// Waits for a permit to keep a core busy, if the statement needs one.
    async fn heavy_turn(&self, statement: &Rendered) -> Result<Option<Permit>, DatabaseError> {
        let inline_read = &self.shared.inline_read;
        // Before the read permit, which short statements can use meanwhile.
        match !inline_read.is_brief(statement) && inline_read.is_heavy(statement) {
            true => self.turn_of(&self.shared.heavy_turns).await.map(Some),
            false => Ok(None),
        }
    }

    async fn query_in_turn(
        &self,
        mut heavy: Option<Permit>,
        statement: Rendered,
    ) -> Result<Vec<Row>, DatabaseError> {
        let Shared { inline_read, heavy_turns, .. } = &*self.shared;
        let mut turn = self.turn(Role::Reader).await?;
        if inline_read.is_brief(&statement) {
            if let Some(rows) = self.query_in_place(&statement).await {
                drop(turn);
                // Yields, after so much work without waiting for anything.
                tokio::task::coop::consume_budget().await;
                return rows;
            }
            // It may be expensive, or this thread was preempted.
            heavy = heavy.or_else(|| heavy_turns.try_take().ok());
            if heavy.is_none() && inline_read.is_heavy(&statement) {
                drop(turn);
                heavy = self.heavy_turn(&statement).await?;
                turn = self.turn(Role::Reader).await?;
            }
        }
        let time = self.time_for(&statement);
        let shared = Arc::clone(&self.shared);
        let read = move |connection: &mut Connection| {
            // Held until the statement ends, even if nobody waits for it any more.
            let _heavy = heavy;
            let before = inline_read::processor_time();
            let read = connection::query(connection, &statement);
            let took = inline_read::processor_time().saturating_sub(before);
            shared.inline_read.took(&statement, took, read.is_ok());
            read
        };
        self.run(turn, Role::Reader, time, read).await
    }

    /// Reads the number that a statement counts, from the cache if that is up to date.
    pub(super) async fn count(&self, statement: Rendered) -> Result<u64, DatabaseError> {
        if let Some(count) = self.known_count(&statement).await? {
            return Ok(count);
        }
        let heavy = self.heavy_turn(&statement).await?;
        // Another caller may have counted the same meanwhile.
        if heavy.is_some()
            && let Some(count) = self.known_count(&statement).await?
        {
            return Ok(count);
        }
        let counts = self.shared.pool.counts();
        let ticket = counts.draw();
        let count = super::counted(self.query_in_turn(heavy, statement.clone()).await?)?;
        counts.keep(&statement, count, ticket);
        Ok(count)
    }

    /// Returns a cached count if nobody has committed anything since.
    async fn known_count(&self, statement: &Rendered) -> Result<Option<u64>, DatabaseError> {
        let pool = &self.shared.pool;
        if !pool.counts().has(statement) {
            return Ok(None);
        }
        let known = {
            let _turn = self.turn(Role::Reader).await?;
            let lease = Lease::take_parked(pool, Role::Reader);
            let since = lease.and_then(|mut lease| lease.look_for_changes());
            since.and_then(|since| pool.counts().get(statement, since))
        };
        if known.is_some() {
            tokio::task::coop::consume_budget().await;
        }
        Ok(known)
    }

    /// Reads on the caller's thread; `None` if that takes too long. The caller has the read permit.
    async fn query_in_place(&self, statement: &Rendered) -> Option<Result<Vec<Row>, DatabaseError>> {
        let shared = &self.shared;
        let mut lease = match Lease::take_parked(&shared.pool, Role::Reader) {
            Some(lease) => lease,
            None => {
                let pool = Arc::clone(&shared.pool);
                let opened = blocking_pool::run(pool.owner(), move || Lease::take(&pool, Role::Reader)).await;
                match opened.unwrap_or_else(|| Err(error::panicked(self.path()))) {
                    Ok(lease) => lease,
                    Err(error) => return Some(Err(error)),
                }
            }
        };
        let read = shared.inline_read.read(lease.connection(), statement)?;
        Some(read.map_err(|failed| error::describe(self.path(), failed)))
    }

    /// Reads on a thread of its own: a slow reader must not occupy a thread of the blocking pool.
    pub(super) fn stream(&self, statement: Rendered) -> Rows {
        let (sender, rows) = Rows::channel();
        let sqlite = self.clone();
        tokio::spawn(async move {
            let turn = match sqlite.turn(Role::Reader).await {
                Ok(turn) => turn,
                Err(error) => return drop(sender.send(Err(error)).await),
            };
            let pool = Arc::clone(&sqlite.shared.pool);
            let (job, _waiting) = cancel::work(None);
            let rows = sender.clone();
            let reading = tokio::task::spawn_blocking(move || {
                // Declared before the lease, so that it is dropped after it.
                let _turn = turn;
                let read = Lease::take(&pool, Role::Reader).and_then(|mut lease| {
                    let pass_on = |row| rows.blocking_send(Ok(row)).is_ok();
                    let read =
                        |connection: &mut Connection| connection::read(connection, &statement, pass_on);
                    let read = job.run(lease.connection(), read).unwrap_or(Ok(()));
                    read.map_err(|error| error::describe(pool.path(), error))
                });
                if let Err(error) = read {
                    let _ = rows.blocking_send(Err(error));
                }
            });
            tokio::select! {
                _ = reading => {}
                // The reader is gone, maybe before the first row was found.
                () = sender.closed() => {}
            }
        });
        rows
    }

    /// Updates rows and reads them to the last, which is when SQLite has committed.
    pub(super) async fn change(&self, statement: Rendered) -> Result<Vec<Row>, DatabaseError> {
        self.write(statement, connection::query).await
    }

    pub(super) async fn execute(&self, statement: Rendered) -> Result<u64, DatabaseError> {
        if !statement.repeated {
            // DDL is not grouped with other statements.
            let turn = self.turn(Role::Writer).await?;
            let work = move |connection: &mut Connection| connection::execute(connection, &statement);
            return self.run(turn, Role::Writer, None, work).await;
        }
        self.write(statement, connection::execute).await
    }

    pub(super) async fn insert(
        &self,
        statement: Rendered,
        generated: bool,
    ) -> Result<Option<i64>, DatabaseError> {
        self.write(statement, move |connection, statement| {
            connection::insert(connection, statement, generated)
        })
        .await
    }

    pub(super) async fn insert_many(&self, statement: Rendered) -> Result<Vec<i64>, DatabaseError> {
        self.write(statement, connection::insert_many).await
    }

    /// Runs a statement that writes, in one commit with others that wait.
    async fn write<T: Send + 'static>(
        &self,
        statement: Rendered,
        work: impl Fn(&Connection, &Rendered) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, DatabaseError> {
        let shared = &self.shared;
        let (job, _waiting) = cancel::work(self.time_for(&statement));
        let mut told = shared.group_commit.add(job, move |connection| work(connection, &statement));
        let told = loop {
            // Whoever gets the permit runs the waiting statements: this one, or those before it.
            let turn = tokio::select! {
                biased;
                told = &mut told => break told,
                turn = self.turn(Role::Writer) => turn?,
            };
            let shared = Arc::clone(shared);
            let working = blocking_pool::run(shared.pool.owner(), move || {
                let _turn = turn;
                shared.group_commit.work(&shared.pool);
            });
            tokio::select! {
                biased;
                told = &mut told => break told,
                _ = working => {}
            }
        };
        told.unwrap_or_else(|_| Err(error::panicked(self.path())))
    }

    pub(super) async fn begin(&self) -> Result<Transaction, DatabaseError> {
        let turn = self.turn(Role::Writer).await?;
        let pool = Arc::clone(&self.shared.pool);
        Transaction::begin(pool, turn).await
    }

    pub(super) async fn close(&self) {
        let pool = &self.shared.pool;
        pool.close();
        // With every permit taken back, nobody uses a connection any more.
        let Shared { heavy_turns, write_turn, read_turns, .. } = &*self.shared;
        // In this order: holders of the first kind wait for the last.
        for turns in [heavy_turns, write_turn, read_turns] {
            turns.close().await;
            turns.refuse();
        }
        self.rest().await;
    }

    /// Closes the idle connections.
    pub(super) async fn rest(&self) {
        let pool = Arc::clone(&self.shared.pool);
        blocking_pool::run(Owner::NOBODY, move || pool.clear()).await;
    }

    /// Sets the limit on concurrent readers and the statement timeout, from now on.
    pub(super) fn set_limits(&self, readers: u32, statement_time: Duration) {
        self.shared.read_turns.resize(std::cmp::max(readers, 1));
        self.shared.heavy_turns.resize(heavy(readers));
        self.shared.pool.set_statement_time(statement_time);
    }

    fn time_for(&self, statement: &Rendered) -> Option<Duration> {
        self.shared.pool.time_for(statement)
    }

    async fn turn(&self, role: Role) -> Result<Permit, DatabaseError> {
        self.turn_of(match role {
            Role::Writer => &self.shared.write_turn,
            Role::Reader => &self.shared.read_turns,
        })
        .await
    }

    async fn turn_of(&self, turns: &Arc<ResizableSemaphore>) -> Result<Permit, DatabaseError> {
        let turn = turns.take().await.map_err(|_| self.shared.pool.closed())?;
        self.shared.pool.check_open()?;
        Ok(turn)
    }

    /// Runs `work` on a connection. If the caller is dropped, it is interrupted, which rolls it back; the
    /// permit is held until then.
    async fn run<T: Send + 'static>(
        &self,
        turn: Permit,
        role: Role,
        time: Option<Duration>,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, DatabaseError> {
        let pool = Arc::clone(&self.shared.pool);
        let (job, _waiting) = cancel::work(time);
        blocking_pool::run(self.shared.pool.owner(), move || {
            // Declared before the lease, so that it is dropped after it.
            let _turn = turn;
            let mut lease = Lease::take(&pool, role)?;
            let done = job.run(lease.connection(), work).ok_or_else(|| pool.closed())?;
            done.map_err(|error| error::describe(pool.path(), error))
        })
        .await
        .unwrap_or_else(|| Err(error::panicked(self.path())))
    }
}

/// How many of the readers may keep a core busy: one core is left to others, and one connection to short
/// statements.
fn heavy(readers: u32) -> u32 {
    let cores = u32::try_from(blocking_pool::cores()).unwrap_or(u32::MAX);
    std::cmp::max(std::cmp::min(cores, readers).saturating_sub(1), 1)
}

/// SQLite gets absolute paths only: it could parse a relative one as a URI (`file:...`).
fn absolute(path: &Path) -> Result<PathBuf, DatabaseError> {
    std::path::absolute(path).map_err(|reason| {
        DatabaseError::Unreachable(format!("cannot use {} as a database: {reason}", path.display()))
    })
}

/// The second link of a file that was created for an owner.
fn marked(path: &Path, owner: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".nbapps-{owner}"));
    PathBuf::from(name)
}

async fn on_worker<T: Send + 'static>(
    path: &Path,
    work: impl FnOnce(&Path) -> Result<T, DatabaseError> + Send + 'static,
) -> Result<T, DatabaseError> {
    let owned = path.to_owned();
    blocking_pool::run(Owner::NOBODY, move || work(&owned))
        .await
        .unwrap_or_else(|| Err(error::panicked(path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_keeps_a_core_busy_leaves_a_connection_to_what_is_brief() {
        let folder = tempfile::tempdir().unwrap();
        let sqlite = Sqlite::create(&folder.path().join("a.sqlite")).await.unwrap();
        sqlite.set_limits(2, Duration::from_secs(600));
        let endless = Rendered::of(
            "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n",
        );
        while !sqlite.shared.inline_read.is_heavy(&endless) {
            assert!(sqlite.shared.inline_read.is_brief(&endless));
            assert!(sqlite.query_in_place(&endless).await.is_none());
        }
        let mut crowd = tokio::task::JoinSet::new();
        for _ in 0..5 {
            let (sqlite, endless) = (sqlite.clone(), endless.clone());
            crowd.spawn(async move { sqlite.query(endless).await });
        }
        while sqlite.shared.heavy_turns.try_take().is_ok() {
            tokio::task::yield_now().await;
        }
        assert_eq!(sqlite.query(Rendered::of("SELECT 1")).await.unwrap().len(), 1);
        crowd.shutdown().await;
        sqlite.close().await;
    }

    #[test]
    fn of_the_connections_that_read_one_is_kept_from_what_is_heavy() {
        assert_eq!((heavy(1), heavy(2)), (1, 1));
        assert!(usize::try_from(heavy(1000)).unwrap() < blocking_pool::cores().max(2));
    }
}
