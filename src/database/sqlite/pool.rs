//! The connection pool of a database: keeps connections between statements and closes idle ones.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, OnceLock, Weak};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use rusqlite::Connection;

use super::connection::{self, Identity, Role};
use super::counts::{Counts, Ticket};
use super::error;
use super::file_names::{INDEX, LOG, beside};
use crate::database::blocking_pool::{self, Owner};
use crate::database::descriptors::{self, Share};
use crate::database::{DatabaseError, Rendered};

/// The idle timeout, after which a connection is closed to free its memory.
const IDLE: Duration = Duration::from_secs(20);
/// How often idle connections are looked for.
const SWEEP: Duration = Duration::from_secs(5);

/// How long to wait for descriptors when all are in use, and how often to retry.
const PATIENCE: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(10);

/// An allocation of this size, in bytes, gets an allocator page of its own.
const PAGE: usize = 1024 * 1024;

/// The connections of one database.
#[derive(Debug)]
pub(super) struct Pool {
    path: PathBuf,
    places: Mutex<Places>,
    /// The owner of jobs on these connections.
    owner: Owner,
    /// The statement timeout in milliseconds; 0 for none.
    statement_ms: AtomicU64,
    /// The cached counts; cleared once no reader is idle any more.
    counts: Counts,
    /// The file's identity when the first connection was opened.
    identity: OnceLock<Identity>,
    log: Arc<Mutex<Log>>,
}

/// The write-ahead log, shared by all connections. SQLite creates it for the first of them and removes it
/// with the last; in between, its name must keep referring to the same file.
#[derive(Debug, Default)]
struct Log {
    /// The number of open connections. They are closed under this lock, so that the log exists while there
    /// are any.
    connections: usize,
    /// The log and its index; `None` until the writer has opened them, or if the file system supports no
    /// write-ahead log.
    files: Option<[Identity; 2]>,
}

/// An open connection, with its descriptors.
#[derive(Debug)]
struct Held {
    /// `None` only during drop.
    connection: Option<Connection>,
    _share: Share,
    log: Arc<Mutex<Log>>,
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut log = self.log.lock();
        drop(self.connection.take());
        log.connections -= 1;
        if log.connections == 0 {
            log.files = None;
        }
    }
}

#[derive(Debug, Default)]
struct Places {
    writer: Option<Parked>,
    readers: Vec<Parked>,
    /// Whether the sweeper knows of this database.
    watched: bool,
    closed: bool,
    /// The file that was removed or replaced: what is written to it would be lost.
    lost: Option<PathBuf>,
}

#[derive(Debug)]
struct Parked {
    connection: Held,
    since: Instant,
    seen: Option<Seen>,
}

/// The state of the database when a connection last looked for changes.
#[derive(Debug, Clone, Copy)]
struct Seen {
    version: i64,
    /// The next ticket when the connection last found a change: later counts are up to date.
    since: Ticket,
}

impl Pool {
    pub(super) fn new(path: PathBuf) -> Self {
        Self {
            path,
            places: Mutex::default(),
            owner: Owner::new(),
            statement_ms: AtomicU64::new(0),
            counts: Counts::default(),
            identity: OnceLock::new(),
            log: Arc::default(),
        }
    }

    pub(super) fn owner(&self) -> Owner {
        self.owner
    }

    pub(super) fn counts(&self) -> &Counts {
        &self.counts
    }

    pub(super) fn set_statement_time(&self, time: Duration) {
        self.statement_ms.store(u64::try_from(time.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// The timeout of this statement. DDL has none.
    pub(super) fn time_for(&self, statement: &Rendered) -> Option<Duration> {
        let time = self.statement_ms.load(Ordering::Relaxed);
        (statement.repeated && time > 0).then(|| Duration::from_millis(time))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Closes the pool: no connection is kept and none is leased from now on.
    pub(super) fn close(&self) {
        self.places.lock().closed = true;
    }

    /// Fails if the pool is closed or the file was lost.
    pub(super) fn check_open(&self) -> Result<(), DatabaseError> {
        let places = self.places.lock();
        match &places.lost {
            _ if places.closed => Err(self.closed()),
            Some(file) => Err(lost(file)),
            None => Ok(()),
        }
    }

    /// Checks that the path still refers to the file that was opened, and remembers if not: connections would
    /// write to a file that nobody can find again.
    fn check_file(&self) -> Result<(), DatabaseError> {
        let now = connection::identity(&self.path);
        let Some(known) = self.identity.get() else {
            // Concurrent first connections see the same file.
            return now.map(|now| {
                let _ = self.identity.set(now);
            });
        };
        match now {
            Ok(now) if now == *known => self.check_log(),
            Ok(_) | Err(DatabaseError::Missing(_)) => Err(self.lose(self.path.clone())),
            // The directory cannot be searched for a while; the file may still exist.
            Err(_) => Ok(()),
        }
    }

    /// Checks the log likewise: an unlinked log vanishes with the last connection that has it open.
    fn check_log(&self) -> Result<(), DatabaseError> {
        let log = self.log.lock();
        let Some([known, _]) = log.files else { return Ok(()) };
        self.check_part(LOG, known)
    }

    fn check_part(&self, end: &str, known: Identity) -> Result<(), DatabaseError> {
        let file = beside(&self.path, end);
        match connection::identity(&file) {
            Ok(now) if now == known => Ok(()),
            Ok(_) | Err(DatabaseError::Missing(_)) => Err(self.lose(file)),
            Err(_) => Ok(()),
        }
    }

    /// Checks the log's index likewise; no written data depends on it.
    fn check_index(&self) -> Result<(), DatabaseError> {
        let log = self.log.lock();
        let Some([_, known]) = log.files else { return Ok(()) };
        self.check_part(INDEX, known)
    }

    fn lose(&self, file: PathBuf) -> DatabaseError {
        let error = lost(&file);
        self.places.lock().lost.get_or_insert(file);
        error
    }

    /// Registers a new connection. The writer's has opened the log.
    fn hold(&self, connection: Connection, share: Share, role: Role) -> Held {
        let mut log = self.log.lock();
        log.connections += 1;
        if role == Role::Writer && log.files.is_none() {
            let identity = |end| connection::identity(&beside(&self.path, end)).ok();
            log.files = identity(LOG).zip(identity(INDEX)).map(<[_; 2]>::from);
        }
        Held { connection: Some(connection), _share: share, log: Arc::clone(&self.log) }
    }

    pub(super) fn closed(&self) -> DatabaseError {
        DatabaseError::Closed(self.path.display().to_string())
    }

    /// Closes the idle connections.
    pub(super) fn clear(&self) {
        drop(self.empty());
    }

    fn empty(&self) -> (Option<Parked>, Vec<Parked>) {
        self.counts.clear();
        let mut places = self.places.lock();
        (places.writer.take(), std::mem::take(&mut places.readers))
    }

    fn park(self: &Arc<Self>, role: Role, connection: Held, seen: Option<Seen>) {
        let parked = Parked { connection, since: Instant::now(), seen };
        let mut places = self.places.lock();
        if places.closed {
            // Closing may write to the disk: not while others wait for this lock.
            drop(places);
            return drop(parked);
        }
        match role {
            Role::Writer => places.writer = Some(parked),
            Role::Reader => places.readers.push(parked),
        }
        let news = !std::mem::replace(&mut places.watched, true);
        drop(places);
        if news {
            SWEEPER.watch(self);
        }
    }

    /// Since when the longest idle connection is idle; `None` if none may be evicted.
    fn longest_unused(&self) -> Option<Instant> {
        if descriptors::is_reserved(&self.path) {
            return None;
        }
        let places = self.places.lock();
        places.writer.iter().chain(&places.readers).map(|parked| parked.since).min()
    }

    /// Closes connections that have been idle since `limit` or earlier. Returns whether others are still
    /// idle.
    fn sweep(&self, limit: Instant) -> bool {
        let mut old = Vec::new();
        let mut places = self.places.lock();
        old.extend(places.writer.take_if(|parked| parked.since <= limit));
        // Readers are reused from the end, so that those at the front are superfluous.
        let fresh = places.readers.partition_point(|parked| parked.since <= limit);
        old.extend(places.readers.drain(..fresh));
        places.readers.shrink_to_fit();
        if places.readers.is_empty() {
            self.counts.clear();
        }
        places.watched = places.writer.is_some() || !places.readers.is_empty();
        let more = places.watched;
        drop(places);
        drop(old);
        more
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let connections = self.empty();
        // Closing the last connection of a database checkpoints its log.
        if connections.0.is_some() || !connections.1.is_empty() {
            blocking_pool::submit(Owner::NOBODY, move || drop(connections));
        }
    }
}

fn lost(file: &Path) -> DatabaseError {
    DatabaseError::Missing(format!(
        "the database's file {} was removed or replaced while the application was running",
        file.display()
    ))
}

/// A connection in use; it goes back to the pool on drop.
#[derive(Debug)]
pub(super) struct Lease {
    pool: Arc<Pool>,
    role: Role,
    /// `None` only during drop.
    connection: Option<Held>,
    seen: Option<Seen>,
}

impl Lease {
    /// Leases the most recently used connection, or opens one. The caller has the permit for it.
    pub(super) fn take(pool: &Arc<Pool>, role: Role) -> Result<Self, DatabaseError> {
        let parked = Self::take_parked(pool, role);
        // Beside a write or the opening of a connection, the check costs nothing.
        if parked.is_none() || role == Role::Writer {
            pool.check_file()?;
        }
        match parked {
            Some(lease) => Ok(lease),
            None => {
                let share = SWEEPER.share(&pool.path)?;
                let connection = pool.hold(connection::open(&pool.path, role)?, share, role);
                Ok(Self::of(pool, role, connection, None))
            }
        }
    }

    /// Leases the most recently used idle connection, if there is one.
    pub(super) fn take_parked(pool: &Arc<Pool>, role: Role) -> Option<Self> {
        let mut places = pool.places.lock();
        let parked = match role {
            Role::Writer => places.writer.take(),
            Role::Reader => places.readers.pop(),
        };
        drop(places);
        parked.map(|parked| Self::of(pool, role, parked.connection, parked.seen))
    }

    fn of(pool: &Arc<Pool>, role: Role, connection: Held, seen: Option<Seen>) -> Self {
        Self { pool: Arc::clone(pool), role, connection: Some(connection), seen }
    }

    /// Asks SQLite whether anybody has committed. Returns the first ticket of the counts that are up to date;
    /// `None` if SQLite cannot tell at once.
    pub(super) fn look_for_changes(&mut self) -> Option<Ticket> {
        let version = connection::data_version(self.connection());
        let unchanged = self.seen.filter(|seen| Some(seen.version) == version);
        // On its first look, a connection does not know what it has missed. The ticket is that of after the
        // look.
        self.seen =
            unchanged.or_else(|| version.map(|version| Seen { version, since: self.pool.counts.next() }));
        self.seen.map(|seen| seen.since)
    }

    /// The connection.
    #[expect(clippy::expect_used, reason = "it is taken out in drop alone")]
    pub(super) fn connection(&mut self) -> &mut Connection {
        let held = self.connection.as_mut().and_then(|held| held.connection.as_mut());
        held.expect("a lease has its connection until it is dropped")
    }

    pub(super) fn path(&self) -> &Path {
        &self.pool.path
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(held) = self.connection.take() else { return };
        // Rolls back what was not committed. A connection that fails at that, or whose user panicked, is not
        // reused.
        let is_clean =
            |connection: &Connection| connection.is_autocommit() || connection::roll_back(connection);
        if held.connection.as_ref().is_some_and(is_clean) && !std::thread::panicking() {
            self.pool.park(self.role, held, self.seen);
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
        tracing::error!(%error, "idle database connections will not be closed: no thread for it");
    }
    sweeper
});

/// Makes the allocator return the memory that the last sweep freed. mimalloc does so at the earliest a second
/// after, when another page of its own is freed: without activity, never.
fn give_back() {
    drop(std::hint::black_box(Vec::<u8>::with_capacity(PAGE)));
}

impl Sweeper {
    fn watch(&self, pool: &Arc<Pool>) {
        self.watched.lock().push(Arc::downgrade(pool));
        self.arrived.notify_one();
    }

    /// Takes the descriptors for a connection to this file. If none are left, evicts idle connections of any
    /// database, the longest idle first; if all are in use, waits for one.
    fn share(&self, path: &Path) -> Result<Share, DatabaseError> {
        let begun = Instant::now();
        loop {
            if let Some(share) = Share::take(path, connection::DESCRIPTORS) {
                return Ok(share);
            }
            if self.close_longest_unused() {
                continue;
            }
            if begun.elapsed() >= PATIENCE {
                return Err(error::no_descriptors(path));
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Closes the connections of the database that has been idle the longest. Returns whether there was one.
    fn close_longest_unused(&self) -> bool {
        let watched: Vec<_> = self.watched.lock().iter().filter_map(Weak::upgrade).collect();
        let unused = watched.iter().filter_map(|pool| Some((pool.longest_unused()?, pool)));
        let Some((_, pool)) = unused.min_by_key(|(since, _)| *since) else { return false };
        pool.clear();
        true
    }

    fn run(&self) {
        let mut freed = false;
        loop {
            let mut watched = self.watched.lock();
            // One more round after the last of them: see `give_back`.
            if watched.is_empty() && !freed {
                self.arrived.wait(&mut watched);
            }
            drop(watched);
            std::thread::sleep(SWEEP);
            give_back();
            let mut all = std::mem::take(&mut *self.watched.lock());
            let before = all.len();
            // Readers do not check the files. The result is remembered for the next caller.
            for pool in all.iter().filter_map(Weak::upgrade) {
                let _ = pool.check_file().and_then(|()| pool.check_index());
            }
            if let Some(limit) = Instant::now().checked_sub(IDLE) {
                all.retain(|pool| pool.upgrade().is_some_and(|pool| pool.sweep(limit)));
            }
            freed = all.len() < before;
            self.watched.lock().append(&mut all);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_idle_is_closed_and_what_is_used_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.sqlite");
        connection::create_file(&path).unwrap();
        let pool = Arc::new(Pool::new(path));
        drop(Lease::take(&pool, Role::Writer).unwrap());
        let readers = [(); 2].map(|()| Lease::take(&pool, Role::Reader).unwrap());
        drop(readers);
        assert_eq!(pool.places.lock().readers.len(), 2);

        let between = Instant::now();
        drop(Lease::take(&pool, Role::Reader).unwrap());
        assert!(pool.sweep(between), "the reader used last stays");
        assert!(pool.places.lock().writer.is_none());
        assert_eq!(pool.places.lock().readers.len(), 1);

        assert!(!pool.sweep(Instant::now()));
        assert!(!pool.places.lock().watched);
        drop(Lease::take(&pool, Role::Writer).unwrap());
        assert!(pool.places.lock().watched, "it is watched again");
    }

    #[test]
    fn closing_what_is_idle_disturbs_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.sqlite");
        connection::create_file(&path).unwrap();
        let pool = Arc::new(Pool::new(path));
        let on = |role, sql: &str| Lease::take(&pool, role).unwrap().connection().execute_batch(sql).unwrap();
        on(Role::Writer, "CREATE TABLE t (a)");
        // Every sweep closes all connections, the last of which checkpoints and removes the log, while others
        // are being opened.
        std::thread::scope(|scope| {
            let work = [(Role::Writer, "INSERT INTO t VALUES (1)"), (Role::Reader, "SELECT * FROM t")];
            let working = work.map(|(role, sql)| {
                let on = &on;
                scope.spawn(move || (0..200).for_each(|_| on(role, sql)))
            });
            while working.iter().any(|thread| !thread.is_finished()) {
                pool.sweep(Instant::now());
            }
        });
        let mut lease = Lease::take(&pool, Role::Reader).unwrap();
        let count = lease.connection().query_row("SELECT count(*) FROM t", [], |row| row.get::<_, i64>(0));
        assert_eq!(count.unwrap(), 200);
    }
}
