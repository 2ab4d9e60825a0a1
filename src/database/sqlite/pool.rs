//! The connection pool of a database: keeps connections between statements and closes idle ones.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Weak};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use rusqlite::Connection;

use super::connection::{self, ConnectionRole};
use super::count_cache::{CountCache, CountTicket};
use super::error;
use super::file_checks::{DatabaseFiles, WriteAheadLog};
use crate::database::blocking_pool::{self, JobGroup};
use crate::database::descriptors::{self, DescriptorPermit};
use crate::database::{DatabaseError, Rendered};

/// The idle timeout, after which a connection is closed to free its memory.
const IDLE_TIMEOUT: Duration = Duration::from_secs(20);
/// How often idle connections are looked for.
const SWEEP_INTERVAL: Duration = Duration::from_secs(5);

/// How long to wait for descriptors when all are in use, and how often to retry.
const DESCRIPTOR_TIMEOUT: Duration = Duration::from_secs(2);
const DESCRIPTOR_RETRY_INTERVAL: Duration = Duration::from_millis(10);

/// An allocation of this size, in bytes, gets an allocator page of its own.
const ALLOCATOR_PAGE: usize = 1024 * 1024;

/// The connections of one database.
#[derive(Debug)]
pub(super) struct Pool {
    files: DatabaseFiles,
    idle: Mutex<IdleConnections>,
    /// The group of the jobs on these connections.
    job_group: JobGroup,
    /// The statement timeout in milliseconds; 0 for none.
    statement_timeout_ms: AtomicU64,
    /// The cached counts; cleared once no reader is idle any more.
    counts: CountCache,
}

/// An open connection, counted by the log, with its descriptors.
#[derive(Debug)]
struct CountedConnection {
    /// `None` only during drop.
    connection: Option<Connection>,
    _descriptors: DescriptorPermit,
    log: Arc<Mutex<WriteAheadLog>>,
}

impl Drop for CountedConnection {
    fn drop(&mut self) {
        let mut log = self.log.lock();
        drop(self.connection.take());
        log.remove_connection();
    }
}

#[derive(Debug, Default)]
struct IdleConnections {
    writer: Option<UnusedConnection>,
    readers: Vec<UnusedConnection>,
    /// Whether the sweeper knows of this database.
    watched: bool,
    closed: bool,
}

#[derive(Debug)]
struct UnusedConnection {
    connection: CountedConnection,
    since: Instant,
    observed: Option<ObservedVersion>,
}

/// The state of the database when a connection last looked for changes.
#[derive(Debug, Clone, Copy)]
struct ObservedVersion {
    version: i64,
    /// The next ticket when the connection last found a change: later counts are up to date.
    since: CountTicket,
}

impl Pool {
    pub(super) fn new(path: PathBuf) -> Self {
        Self {
            files: DatabaseFiles::new(path),
            idle: Mutex::default(),
            job_group: JobGroup::new(),
            statement_timeout_ms: AtomicU64::new(0),
            counts: CountCache::default(),
        }
    }

    pub(super) fn job_group(&self) -> JobGroup {
        self.job_group
    }

    pub(super) fn counts(&self) -> &CountCache {
        &self.counts
    }

    pub(super) fn set_statement_timeout(&self, time: Duration) {
        self.statement_timeout_ms
            .store(u64::try_from(time.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// The timeout of this statement. DDL has none.
    pub(super) fn timeout_for(&self, statement: &Rendered) -> Option<Duration> {
        let time = self.statement_timeout_ms.load(Ordering::Relaxed);
        (statement.is_recurring && time > 0).then(|| Duration::from_millis(time))
    }

    pub(super) fn path(&self) -> &Path {
        self.files.path()
    }

    /// The number of open connections, in use or idle.
    pub(super) fn open_connections(&self) -> usize {
        self.files.connections()
    }

    /// Closes the pool: no connection is kept and none is leased from now on.
    pub(super) fn close(&self) {
        self.idle.lock().closed = true;
    }

    /// Fails if the pool is closed or the file was lost.
    pub(super) fn check_open(&self) -> Result<(), DatabaseError> {
        if self.idle.lock().closed {
            return Err(self.closed());
        }
        self.files.check_not_lost()
    }

    /// Registers a new connection. The writer's has opened the log.
    fn register(
        &self,
        connection: Connection,
        descriptors: DescriptorPermit,
        role: ConnectionRole,
    ) -> CountedConnection {
        let log = self.files.add_connection(role == ConnectionRole::Writer);
        CountedConnection { connection: Some(connection), _descriptors: descriptors, log }
    }

    pub(super) fn closed(&self) -> DatabaseError {
        DatabaseError::Closed(self.path().display().to_string())
    }

    /// Closes the idle connections.
    pub(super) fn close_idle(&self) {
        drop(self.take_all_idle());
    }

    fn take_all_idle(&self) -> (Option<UnusedConnection>, Vec<UnusedConnection>) {
        self.counts.clear();
        let mut idle = self.idle.lock();
        (idle.writer.take(), std::mem::take(&mut idle.readers))
    }

    fn release(
        self: &Arc<Self>,
        role: ConnectionRole,
        connection: CountedConnection,
        observed: Option<ObservedVersion>,
    ) {
        let connection = UnusedConnection { connection, since: Instant::now(), observed };
        let mut idle = self.idle.lock();
        if idle.closed {
            // Closing may write to the disk: not while others wait for this lock.
            drop(idle);
            return drop(connection);
        }
        match role {
            ConnectionRole::Writer => idle.writer = Some(connection),
            ConnectionRole::Reader => idle.readers.push(connection),
        }
        let is_new = !std::mem::replace(&mut idle.watched, true);
        drop(idle);
        if is_new {
            SWEEPER.watch(self);
        }
    }

    /// Since when the longest idle connection is idle; `None` if none may be evicted.
    fn longest_idle(&self) -> Option<Instant> {
        if descriptors::is_reserved(self.path()) {
            return None;
        }
        let idle = self.idle.lock();
        idle.writer.iter().chain(&idle.readers).map(|connection| connection.since).min()
    }

    /// Closes connections that have been idle since `limit` or earlier. Returns whether others are still
    /// idle.
    fn close_idle_since(&self, limit: Instant) -> bool {
        let mut old = Vec::new();
        let mut idle = self.idle.lock();
        old.extend(idle.writer.take_if(|connection| connection.since <= limit));
        // Readers are reused from the end, so that those at the front are superfluous.
        let fresh = idle.readers.partition_point(|connection| connection.since <= limit);
        old.extend(idle.readers.drain(..fresh));
        idle.readers.shrink_to_fit();
        if idle.readers.is_empty() {
            self.counts.clear();
        }
        idle.watched = idle.writer.is_some() || !idle.readers.is_empty();
        let more = idle.watched;
        drop(idle);
        drop(old);
        more
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let connections = self.take_all_idle();
        // Closing the last connection of a database checkpoints its log.
        if connections.0.is_some() || !connections.1.is_empty() {
            blocking_pool::submit(JobGroup::UNGROUPED, move || drop(connections));
        }
    }
}

/// A connection in use; it goes back to the pool on drop.
#[derive(Debug)]
pub(super) struct SqliteLease {
    pool: Arc<Pool>,
    role: ConnectionRole,
    /// `None` only during drop.
    connection: Option<CountedConnection>,
    observed: Option<ObservedVersion>,
}

impl SqliteLease {
    /// Leases the most recently used connection, or opens one. The caller has the permit for it.
    pub(super) fn acquire(pool: &Arc<Pool>, role: ConnectionRole) -> Result<Self, DatabaseError> {
        let lease = Self::acquire_idle(pool, role);
        // Beside a write or the opening of a connection, the check costs nothing.
        if lease.is_none() || role == ConnectionRole::Writer {
            pool.files.check()?;
        }
        match lease {
            Some(lease) => Ok(lease),
            None => {
                let descriptors = SWEEPER.acquire_descriptors(pool.path())?;
                let connection = pool.register(connection::open(pool.path(), role)?, descriptors, role);
                Ok(Self::of(pool, role, connection, None))
            }
        }
    }

    /// Leases the most recently used idle connection, if there is one.
    pub(super) fn acquire_idle(pool: &Arc<Pool>, role: ConnectionRole) -> Option<Self> {
        let mut idle = pool.idle.lock();
        let found = match role {
            ConnectionRole::Writer => idle.writer.take(),
            ConnectionRole::Reader => idle.readers.pop(),
        };
        drop(idle);
        found.map(|found| Self::of(pool, role, found.connection, found.observed))
    }

    fn of(
        pool: &Arc<Pool>,
        role: ConnectionRole,
        connection: CountedConnection,
        observed: Option<ObservedVersion>,
    ) -> Self {
        Self { pool: Arc::clone(pool), role, connection: Some(connection), observed }
    }

    /// Asks SQLite whether anybody has committed. Returns the first ticket of the counts that are up to date;
    /// `None` if SQLite cannot tell at once.
    pub(super) fn look_for_changes(&mut self) -> Option<CountTicket> {
        let version = connection::data_version(self.connection());
        let unchanged = self.observed.filter(|observed| Some(observed.version) == version);
        // On its first look, a connection does not know what it has missed. The ticket is that of after the
        // look.
        self.observed = unchanged
            .or_else(|| version.map(|version| ObservedVersion { version, since: self.pool.counts.next() }));
        self.observed.map(|observed| observed.since)
    }

    /// The connection.
    #[expect(clippy::expect_used, reason = "it is taken out in drop alone")]
    pub(super) fn connection(&mut self) -> &mut Connection {
        let held = self.connection.as_mut().and_then(|held| held.connection.as_mut());
        held.expect("a lease has its connection until it is dropped")
    }

    pub(super) fn path(&self) -> &Path {
        self.pool.path()
    }
}

impl Drop for SqliteLease {
    fn drop(&mut self) {
        let Some(held) = self.connection.take() else { return };
        // Rolls back what was not committed. A connection that fails at that, or whose user panicked, is not
        // reused.
        let is_clean =
            |connection: &Connection| connection.is_autocommit() || connection::roll_back(connection);
        if held.connection.as_ref().is_some_and(is_clean) && !std::thread::panicking() {
            self.pool.release(self.role, held, self.observed);
        }
    }
}

/// Closes idle connections of all databases, on one thread that sleeps while there are none.
struct Sweeper {
    watched: Mutex<Vec<Weak<Pool>>>,
    arrived: Condvar,
}

static SWEEPER: LazyLock<&'static Sweeper> = LazyLock::new(|| {
    let sweeper: &'static Sweeper =
        Box::leak(Box::new(Sweeper { watched: Mutex::default(), arrived: Condvar::new() }));
    let thread = std::thread::Builder::new().name("database-idle".into()).stack_size(256 * 1024);
    if let Err(error) = thread.spawn(|| sweeper.run()) {
        tracing::error!(%error, "idle database connections stay open: the thread that closes them could not be started");
    }
    sweeper
});

/// Makes the allocator return the memory that the last sweep freed. mimalloc does so at the earliest a second
/// after, when another page of its own is freed: without activity, never.
fn release_freed_memory() {
    drop(std::hint::black_box(Vec::<u8>::with_capacity(ALLOCATOR_PAGE)));
}

impl Sweeper {
    fn watch(&self, pool: &Arc<Pool>) {
        self.watched.lock().push(Arc::downgrade(pool));
        self.arrived.notify_one();
    }

    /// Takes the descriptors for a connection to this file. If none are left, evicts idle connections of any
    /// database, the longest idle first; if all are in use, waits for one.
    fn acquire_descriptors(&self, path: &Path) -> Result<DescriptorPermit, DatabaseError> {
        let begun = Instant::now();
        loop {
            if let Some(descriptors) = DescriptorPermit::acquire(path, connection::DESCRIPTORS) {
                return Ok(descriptors);
            }
            if self.evict_longest_idle() {
                continue;
            }
            if begun.elapsed() >= DESCRIPTOR_TIMEOUT {
                return Err(error::no_descriptors(path));
            }
            std::thread::sleep(DESCRIPTOR_RETRY_INTERVAL);
        }
    }

    /// Closes the connections of the database that has been idle the longest. Returns whether there was one.
    fn evict_longest_idle(&self) -> bool {
        let watched: Vec<_> = self.watched.lock().iter().filter_map(Weak::upgrade).collect();
        let idle = watched.iter().filter_map(|pool| Some((pool.longest_idle()?, pool)));
        let Some((_, pool)) = idle.min_by_key(|(since, _)| *since) else { return false };
        pool.close_idle();
        true
    }

    fn run(&self) {
        let mut freed = false;
        loop {
            let mut watched = self.watched.lock();
            // One more round after the last of them: see `release_freed_memory`.
            if watched.is_empty() && !freed {
                self.arrived.wait(&mut watched);
            }
            drop(watched);
            std::thread::sleep(SWEEP_INTERVAL);
            release_freed_memory();
            let mut all = std::mem::take(&mut *self.watched.lock());
            let before = all.len();
            // Readers do not check the files. The result is remembered for the next caller.
            for pool in all.iter().filter_map(Weak::upgrade) {
                let _ = pool.files.check().and_then(|()| pool.files.check_index());
            }
            if let Some(limit) = Instant::now().checked_sub(IDLE_TIMEOUT) {
                all.retain(|pool| pool.upgrade().is_some_and(|pool| pool.close_idle_since(limit)));
            }
            freed = all.len() < before;
            self.watched.lock().append(&mut all);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::files;
    use super::*;

    #[test]
    fn idle_connections_are_closed_and_recent_ones_stay() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.sqlite");
        files::create_file(&path).unwrap();
        let pool = Arc::new(Pool::new(path));
        drop(SqliteLease::acquire(&pool, ConnectionRole::Writer).unwrap());
        let readers = [(); 2].map(|()| SqliteLease::acquire(&pool, ConnectionRole::Reader).unwrap());
        drop(readers);
        assert_eq!(pool.idle.lock().readers.len(), 2);

        let between = Instant::now();
        drop(SqliteLease::acquire(&pool, ConnectionRole::Reader).unwrap());
        assert!(pool.close_idle_since(between), "the most recently used reader stays");
        assert!(pool.idle.lock().writer.is_none());
        assert_eq!(pool.idle.lock().readers.len(), 1);

        assert!(!pool.close_idle_since(Instant::now()));
        assert!(!pool.idle.lock().watched);
        drop(SqliteLease::acquire(&pool, ConnectionRole::Writer).unwrap());
        assert!(pool.idle.lock().watched, "the sweeper knows of it again");
    }

    #[test]
    fn closing_idle_connections_does_not_disturb_others() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.sqlite");
        files::create_file(&path).unwrap();
        let pool = Arc::new(Pool::new(path));
        let on = |role, sql: &str| {
            SqliteLease::acquire(&pool, role).unwrap().connection().execute_batch(sql).unwrap()
        };
        on(ConnectionRole::Writer, "CREATE TABLE t (a)");
        // Every sweep closes all connections, the last of which checkpoints and removes the log, while others
        // are being opened.
        std::thread::scope(|scope| {
            let work = [
                (ConnectionRole::Writer, "INSERT INTO t VALUES (1)"),
                (ConnectionRole::Reader, "SELECT * FROM t"),
            ];
            let working = work.map(|(role, sql)| {
                let on = &on;
                scope.spawn(move || (0..200).for_each(|_| on(role, sql)))
            });
            while working.iter().any(|thread| !thread.is_finished()) {
                pool.close_idle_since(Instant::now());
            }
        });
        let mut lease = SqliteLease::acquire(&pool, ConnectionRole::Reader).unwrap();
        let count = lease.connection().query_row("SELECT count(*) FROM t", [], |row| row.get::<_, i64>(0));
        assert_eq!(count.unwrap(), 200);
    }
}
