//! SQLite: one file, one connection that writes and a few that read.
//!
//! SQLite lets one connection write at a time and, in WAL mode, any number read beside it. Semaphores settle
//! the order among the async callers, so that no thread ever waits for a lock. A caller with a read permit
//! runs a short statement itself (`inline_read.rs`); statements that keep a core busy need another permit
//! besides, of which there are fewer than cores. A caller with the write permit runs all waiting statements
//! with a single wait for the disk (`group_commit.rs`). Connections are opened on demand, kept idle between
//! statements (`pool.rs`) and closed after a while, so that an unused application costs no connection.

mod cancel;
mod catalog;
mod connection;
mod count_cache;
mod error;
mod file_checks;
mod file_names;
mod files;
pub(super) mod functions;
mod group_commit;
mod inline_read;
mod pool;
mod progress_handler;
mod report;
mod sequences;
mod transaction;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;

use super::blocking_pool::{self, JobGroup};
use super::{DatabaseError, Permit, Rendered, ResizableSemaphore, Row, Rows};
use connection::ConnectionRole;
use group_commit::GroupCommit;
use inline_read::InlineReads;
use pool::{Pool, SqliteLease};

pub(super) use catalog::{columns_of, index_named, table_named, table_names};
pub(super) use report::report;
pub(super) use transaction::SqliteTransaction;

/// The default limit on a database's concurrent readers.
const DEFAULT_READERS: u32 = 4;

/// An open SQLite database.
#[derive(Debug, Clone)]
pub(super) struct Sqlite {
    shared: Arc<SqliteState>,
}

#[derive(Debug)]
struct SqliteState {
    pool: Arc<Pool>,
    /// One permit: that to write.
    write_permits: Arc<ResizableSemaphore>,
    /// A permit for each connection that reads.
    read_permits: Arc<ResizableSemaphore>,
    /// A permit for each statement that may keep a core busy.
    cpu_permits: Arc<ResizableSemaphore>,
    /// The statements that wait for the write permit.
    group_commit: GroupCommit,
    inline_reads: InlineReads,
}

impl Sqlite {
    pub(super) async fn create(path: &Path) -> Result<Self, DatabaseError> {
        let path = absolute(path)?;
        on_blocking_pool(&path, files::create_file).await?;
        match Self::open_at(path.clone(), ConnectionRole::Writer).await {
            Ok(sqlite) => Ok(sqlite),
            Err(error) => {
                // The file is ours and empty: nobody else could have created one in between.
                on_blocking_pool(&path, files::remove_files).await.ok();
                Err(error)
            }
        }
    }

    /// Creates a database as [`Self::create`] does; a second hard link to its file names the owner.
    pub(super) async fn create_owned(path: &Path, owner: &str) -> Result<Self, DatabaseError> {
        let path = absolute(path)?;
        let mark = mark_path(&path, owner);
        on_blocking_pool(&path, move |path| files::create_marked(path, &mark)).await?;
        let opened = Self::open_at(path.clone(), ConnectionRole::Writer).await;
        if opened.is_err() {
            Self::remove_owned(&path, owner).await.ok();
        }
        opened
    }

    /// Removes the second link of a file from [`Self::create_owned`].
    pub(super) async fn clear_owner(path: &Path, owner: &str) -> Result<(), DatabaseError> {
        let path = absolute(path)?;
        let mark = mark_path(&path, owner);
        on_blocking_pool(&path, move |_| files::remove_files(&mark)).await.map(drop)
    }

    /// Removes what [`Self::create_owned`] created for this owner, even if it was interrupted.
    pub(super) async fn remove_owned(path: &Path, owner: &str) -> Result<Vec<String>, DatabaseError> {
        let path = absolute(path)?;
        let mark = mark_path(&path, owner);
        on_blocking_pool(&path, move |path| files::remove_marked(path, &mark)).await
    }

    pub(super) async fn open(path: &Path) -> Result<Self, DatabaseError> {
        // A reader is enough to recognize the file: most applications that start are only read.
        Self::open_at(absolute(path)?, ConnectionRole::Reader).await
    }

    async fn open_at(path: PathBuf, first: ConnectionRole) -> Result<Self, DatabaseError> {
        let sqlite = Self {
            shared: Arc::new(SqliteState {
                pool: Arc::new(Pool::new(path)),
                write_permits: Arc::new(ResizableSemaphore::new(1)),
                read_permits: Arc::new(ResizableSemaphore::new(DEFAULT_READERS)),
                cpu_permits: Arc::new(ResizableSemaphore::new(max_cpu_bound(DEFAULT_READERS))),
                group_commit: GroupCommit::default(),
                inline_reads: InlineReads::default(),
            }),
        };
        // The first connection shows whether the file is a database at all.
        let permit = sqlite.acquire(first).await?;
        sqlite.run(permit, first, None, |connection| connection::check(connection)).await?;
        Ok(sqlite)
    }

    pub(super) async fn remove(path: &Path) -> Result<Vec<String>, DatabaseError> {
        let path = absolute(path)?;
        on_blocking_pool(&path, files::remove_files).await
    }

    pub(super) fn path(&self) -> &Path {
        self.shared.pool.path()
    }

    /// The number of open connections, in use or idle.
    pub(super) fn open_connections(&self) -> usize {
        self.shared.pool.open_connections()
    }

    /// The most memory that the page caches of the open connections may take, in bytes.
    pub(super) fn max_page_cache(&self) -> u64 {
        connection::MAX_PAGE_CACHE * self.open_connections() as u64
    }

    pub(super) async fn size(&self) -> Result<u64, DatabaseError> {
        on_blocking_pool(self.path(), files::size).await
    }

    pub(super) async fn query(&self, statement: Rendered) -> Result<Vec<Row>, DatabaseError> {
        let cpu_permit = self.acquire_cpu(&statement).await?;
        self.query_with_permit(cpu_permit, statement).await
    }

    /// Waits for a permit to keep a core busy, if the statement needs one.
    async fn acquire_cpu(&self, statement: &Rendered) -> Result<Option<Permit>, DatabaseError> {
        let inline_reads = &self.shared.inline_reads;
        // Before the read permit, which short statements can use meanwhile.
        match !inline_reads.is_short(statement) && inline_reads.is_cpu_bound(statement) {
            true => self.acquire_from(&self.shared.cpu_permits).await.map(Some),
            false => Ok(None),
        }
    }

    async fn query_with_permit(
        &self,
        mut cpu_permit: Option<Permit>,
        statement: Rendered,
    ) -> Result<Vec<Row>, DatabaseError> {
        let SqliteState { inline_reads, cpu_permits, .. } = &*self.shared;
        let mut permit = self.acquire(ConnectionRole::Reader).await?;
        if inline_reads.is_short(&statement) {
            if let Some(rows) = self.query_inline(&statement).await {
                drop(permit);
                // Yields, after so much work without waiting for anything.
                tokio::task::coop::consume_budget().await;
                return rows;
            }
            // It may be CPU-bound, or this thread was preempted.
            cpu_permit = cpu_permit.or_else(|| cpu_permits.try_acquire().ok());
            if cpu_permit.is_none() && inline_reads.is_cpu_bound(&statement) {
                drop(permit);
                cpu_permit = self.acquire_cpu(&statement).await?;
                permit = self.acquire(ConnectionRole::Reader).await?;
            }
        }
        let time = self.timeout_for(&statement);
        let shared = Arc::clone(&self.shared);
        let read = move |connection: &mut Connection| {
            // Held until the statement ends, even if nobody waits for it any more.
            let _cpu_permit = cpu_permit;
            let before = inline_read::cpu_time();
            let read = connection::query(connection, &statement);
            let took = inline_read::cpu_time().saturating_sub(before);
            shared.inline_reads.record_cpu_time(&statement, took, read.is_ok());
            read
        };
        self.run(permit, ConnectionRole::Reader, time, read).await
    }

    /// Reads the number that a statement counts, from the cache if that is up to date.
    pub(super) async fn count(&self, statement: Rendered) -> Result<u64, DatabaseError> {
        if let Some(count) = self.known_count(&statement).await? {
            return Ok(count);
        }
        let cpu_permit = self.acquire_cpu(&statement).await?;
        // Another caller may have counted the same meanwhile.
        if cpu_permit.is_some()
            && let Some(count) = self.known_count(&statement).await?
        {
            return Ok(count);
        }
        let counts = self.shared.pool.counts();
        let ticket = counts.draw();
        let count = super::single_count(self.query_with_permit(cpu_permit, statement.clone()).await?)?;
        counts.insert(&statement, count, ticket);
        Ok(count)
    }

    /// Returns a cached count if nobody has committed anything since.
    async fn known_count(&self, statement: &Rendered) -> Result<Option<u64>, DatabaseError> {
        let pool = &self.shared.pool;
        if !pool.counts().has(statement) {
            return Ok(None);
        }
        let known = {
            let _permit = self.acquire(ConnectionRole::Reader).await?;
            let lease = SqliteLease::acquire_idle(pool, ConnectionRole::Reader);
            let since = lease.and_then(|mut lease| lease.look_for_changes());
            since.and_then(|since| pool.counts().get(statement, since))
        };
        if known.is_some() {
            tokio::task::coop::consume_budget().await;
        }
        Ok(known)
    }

    /// Reads on the caller's thread; `None` if that takes too long. The caller has the read permit.
    async fn query_inline(&self, statement: &Rendered) -> Option<Result<Vec<Row>, DatabaseError>> {
        let shared = &self.shared;
        let mut lease = match SqliteLease::acquire_idle(&shared.pool, ConnectionRole::Reader) {
            Some(lease) => lease,
            None => {
                let pool = Arc::clone(&shared.pool);
                let opened = blocking_pool::run(pool.job_group(), move || {
                    SqliteLease::acquire(&pool, ConnectionRole::Reader)
                })
                .await;
                match opened.unwrap_or_else(|| Err(error::panicked(self.path()))) {
                    Ok(lease) => lease,
                    Err(error) => return Some(Err(error)),
                }
            }
        };
        let read = shared.inline_reads.read(lease.connection(), statement)?;
        Some(read.map_err(|failed| error::describe(self.path(), failed)))
    }

    /// Reads on a thread of its own: a slow reader must not occupy a thread of the blocking pool.
    pub(super) fn stream(&self, statement: Rendered) -> Rows {
        let (sender, rows) = Rows::channel();
        let sqlite = self.clone();
        tokio::spawn(async move {
            let permit = match sqlite.acquire(ConnectionRole::Reader).await {
                Ok(permit) => permit,
                Err(error) => return drop(sender.send(Err(error)).await),
            };
            let pool = Arc::clone(&sqlite.shared.pool);
            let (job, _cancel_on_drop) = cancel::cancellable(None);
            let rows = sender.clone();
            let reading = tokio::task::spawn_blocking(move || {
                // Declared before the lease, so that it is dropped after it.
                let _permit = permit;
                let read = SqliteLease::acquire(&pool, ConnectionRole::Reader).and_then(|mut lease| {
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
    pub(super) async fn update_returning(&self, statement: Rendered) -> Result<Vec<Row>, DatabaseError> {
        self.write(statement, connection::query).await
    }

    pub(super) async fn execute(&self, statement: Rendered) -> Result<u64, DatabaseError> {
        if !statement.is_recurring {
            // DDL is not grouped with other statements.
            let permit = self.acquire(ConnectionRole::Writer).await?;
            let work = move |connection: &mut Connection| connection::execute(connection, &statement);
            return self.run(permit, ConnectionRole::Writer, None, work).await;
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
        let (job, _cancel_on_drop) = cancel::cancellable(self.timeout_for(&statement));
        let mut result = shared.group_commit.add(job, move |connection| work(connection, &statement));
        let result = loop {
            // Whoever gets the permit runs the waiting statements: this one, or those before it.
            let permit = tokio::select! {
                biased;
                result = &mut result => break result,
                permit = self.acquire(ConnectionRole::Writer) => permit?,
            };
            let shared = Arc::clone(shared);
            let working = blocking_pool::run(shared.pool.job_group(), move || {
                let _permit = permit;
                shared.group_commit.run_groups(&shared.pool);
            });
            tokio::select! {
                biased;
                result = &mut result => break result,
                _ = working => {}
            }
        };
        result.unwrap_or_else(|_| Err(error::panicked(self.path())))
    }

    pub(super) async fn begin(&self) -> Result<SqliteTransaction, DatabaseError> {
        let permit = self.acquire(ConnectionRole::Writer).await?;
        let pool = Arc::clone(&self.shared.pool);
        SqliteTransaction::begin(pool, permit).await
    }

    pub(super) async fn close(&self) {
        let pool = &self.shared.pool;
        pool.close();
        // With every permit taken back, nobody uses a connection any more.
        let SqliteState { cpu_permits, write_permits, read_permits, .. } = &*self.shared;
        // In this order: holders of the first kind wait for the last.
        for permits in [cpu_permits, write_permits, read_permits] {
            permits.drain().await;
            permits.close();
        }
        self.close_idle().await;
    }

    /// Closes the idle connections.
    pub(super) async fn close_idle(&self) {
        let pool = Arc::clone(&self.shared.pool);
        blocking_pool::run(JobGroup::UNGROUPED, move || pool.close_idle()).await;
    }

    /// Sets the limit on concurrent readers and the statement timeout, from now on.
    pub(super) fn set_limits(&self, readers: u32, statement_time: Duration) {
        self.shared.read_permits.resize(std::cmp::max(readers, 1));
        self.shared.cpu_permits.resize(max_cpu_bound(readers));
        self.shared.pool.set_statement_timeout(statement_time);
    }

    fn timeout_for(&self, statement: &Rendered) -> Option<Duration> {
        self.shared.pool.timeout_for(statement)
    }

    async fn acquire(&self, role: ConnectionRole) -> Result<Permit, DatabaseError> {
        self.acquire_from(match role {
            ConnectionRole::Writer => &self.shared.write_permits,
            ConnectionRole::Reader => &self.shared.read_permits,
        })
        .await
    }

    async fn acquire_from(&self, permits: &Arc<ResizableSemaphore>) -> Result<Permit, DatabaseError> {
        let permit = permits.acquire().await.map_err(|_| self.shared.pool.closed())?;
        self.shared.pool.check_open()?;
        Ok(permit)
    }

    /// Runs `work` on a connection. If the caller is dropped, it is interrupted, which rolls it back; the
    /// permit is held until then.
    async fn run<T: Send + 'static>(
        &self,
        permit: Permit,
        role: ConnectionRole,
        time: Option<Duration>,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, DatabaseError> {
        let pool = Arc::clone(&self.shared.pool);
        let (job, _cancel_on_drop) = cancel::cancellable(time);
        blocking_pool::run(self.shared.pool.job_group(), move || {
            // Declared before the lease, so that it is dropped after it.
            let _permit = permit;
            let mut lease = SqliteLease::acquire(&pool, role)?;
            let done = job.run(lease.connection(), work).ok_or_else(|| pool.closed())?;
            done.map_err(|error| error::describe(pool.path(), error))
        })
        .await
        .unwrap_or_else(|| Err(error::panicked(self.path())))
    }
}

/// How many of the readers may keep a core busy: one core is left to others, and one connection to short
/// statements.
fn max_cpu_bound(readers: u32) -> u32 {
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
fn mark_path(path: &Path, owner: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".nbapps-{owner}"));
    PathBuf::from(name)
}

async fn on_blocking_pool<T: Send + 'static>(
    path: &Path,
    work: impl FnOnce(&Path) -> Result<T, DatabaseError> + Send + 'static,
) -> Result<T, DatabaseError> {
    let owned = path.to_owned();
    blocking_pool::run(JobGroup::UNGROUPED, move || work(&owned))
        .await
        .unwrap_or_else(|| Err(error::panicked(path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn cpu_bound_statements_leave_a_connection_to_short_ones() {
        let folder = tempfile::tempdir().unwrap();
        let sqlite = Sqlite::create(&folder.path().join("a.sqlite")).await.unwrap();
        sqlite.set_limits(2, Duration::from_secs(600));
        let endless = Rendered::of(
            "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n",
        );
        while !sqlite.shared.inline_reads.is_cpu_bound(&endless) {
            assert!(sqlite.shared.inline_reads.is_short(&endless));
            assert!(sqlite.query_inline(&endless).await.is_none());
        }
        let mut crowd = tokio::task::JoinSet::new();
        for _ in 0..5 {
            let (sqlite, endless) = (sqlite.clone(), endless.clone());
            crowd.spawn(async move { sqlite.query(endless).await });
        }
        while sqlite.shared.cpu_permits.try_acquire().is_ok() {
            tokio::task::yield_now().await;
        }
        assert_eq!(sqlite.query(Rendered::of("SELECT 1")).await.unwrap().len(), 1);
        crowd.shutdown().await;
        sqlite.close().await;
    }

    #[test]
    fn one_reader_is_kept_from_cpu_bound_statements() {
        assert_eq!((max_cpu_bound(1), max_cpu_bound(2)), (1, 1));
        assert!(usize::try_from(max_cpu_bound(1000)).unwrap() < blocking_pool::cores().max(2));
    }
}
