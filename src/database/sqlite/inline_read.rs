//! Runs short reads on the caller's thread, because a handover to another thread and back takes longer than
//! they do.
//!
//! Whether a statement is short shows when it is tried. A statement that takes longer is interrupted and run
//! on the blocking pool (`blocking_pool.rs`), and goes there at once for a while. Its CPU time there is
//! recorded too: statements that keep a core busy need a permit of their own (`mod.rs`).

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode};

use super::connection;
use super::progress_handler::{self, MOMENT};
use crate::database::{Rendered, Row};

/// A statement is long after so many long runs in a row; a single one may have been preempted.
const TIMES: u64 = 3;
/// A statement is long but not expensive after as many more cheap runs in a row on the blocking pool.
const MODERATE: u64 = TIMES + TIMES;
/// The CPU time from which a statement counts as expensive. Meanwhile somebody else's commit, which needs the
/// kernel, waits for a core too.
const BUSY: Duration = Duration::from_millis(20);
/// For how many seconds a long statement is not tried on the caller's thread.
const REMEMBERED: u64 = 30;
/// The number of statements remembered for each database.
const STATEMENTS: usize = 16;
/// An entry: the statement's hash, the number of long runs in a row (and of cheap ones on the blocking pool),
/// and until when it counts.
const HASH: u64 = 0xffff_fff0_0000_0000;
const TIME: u64 = 0x0000_0001_0000_0000;
const COUNT: u64 = 0x0000_000f_0000_0000;
const UNTIL: u64 = 0x0000_0000_ffff_ffff;

/// Remembers which statements of a database are long.
#[derive(Debug, Default)]
pub(super) struct InlineReads {
    long: [AtomicU64; STATEMENTS],
}

impl InlineReads {
    /// Whether the statement recurs and is not known to be long.
    pub(super) fn is_brief(&self, statement: &Rendered) -> bool {
        let (times, until) = self.known(statement);
        statement.repeated && !(times >= TIMES && until >= seconds())
    }

    /// Whether the statement is known to be long, and not known to be cheap.
    pub(super) fn is_heavy(&self, statement: &Rendered) -> bool {
        statement.repeated && (TIMES..MODERATE).contains(&self.known(statement).0)
    }

    /// Records the CPU time of a long statement on the blocking pool; `done` unless it failed or was
    /// interrupted.
    pub(super) fn took(&self, statement: &Rendered, took: Duration, done: bool) {
        let (times, until) = self.known(statement);
        if took >= BUSY {
            // With other values it may be short again.
            self.set(statement, (times + 1).min(TIMES), until.max(seconds() + REMEMBERED));
        } else if done && (TIMES..MODERATE).contains(&times) {
            self.set(statement, times + 1, until);
        }
    }

    /// Reads all rows; `None` if that takes too long.
    pub(super) fn read(
        &self,
        connection: &Connection,
        statement: &Rendered,
    ) -> Option<rusqlite::Result<Vec<Row>>> {
        let _running = progress_handler::begin_briefly();
        // Preparing happens once for each connection, and does not count.
        let mut prepared = match connection.prepare_cached(&statement.sql) {
            Ok(prepared) => prepared,
            Err(failed) => return (!is_over(&failed)).then_some(Err(failed)),
        };
        let begun = Instant::now();
        let read = connection::all(&mut prepared, statement);
        let over = read.as_ref().err().is_some_and(is_over);
        // Also if the progress handler did not run, as for some counts and for waits on the disk.
        self.remember(statement, over || begun.elapsed() > 2 * MOMENT);
        (!over).then_some(read)
    }

    fn remember(&self, statement: &Rendered, took_long: bool) {
        let (times, _) = self.known(statement);
        if took_long {
            self.set(statement, if times < TIMES { times + 1 } else { times }, seconds() + REMEMBERED);
        } else if times > 0 {
            self.place(statement).0.store(0, Ordering::Relaxed);
        }
    }

    /// The number of long runs in a row, and until when it counts.
    fn known(&self, statement: &Rendered) -> (u64, u64) {
        let (place, hash) = self.place(statement);
        let known = place.load(Ordering::Relaxed);
        if known & HASH == hash { ((known & COUNT) / TIME, known & UNTIL) } else { (0, 0) }
    }

    fn set(&self, statement: &Rendered, times: u64, until: u64) {
        let (place, hash) = self.place(statement);
        place.store(hash | (times * TIME) | until, Ordering::Relaxed);
    }

    fn place(&self, statement: &Rendered) -> (&AtomicU64, u64) {
        let hash = statement.hash();
        let [first, ..] = hash.to_le_bytes();
        (&self.long[usize::from(first) % STATEMENTS], hash & HASH)
    }
}

/// Whether the statement was interrupted or met a lock.
fn is_over(failed: &rusqlite::Error) -> bool {
    let code = failed.sqlite_error_code();
    matches!(code, Some(ErrorCode::OperationInterrupted | ErrorCode::DatabaseBusy))
}

/// The CPU time of this thread, without its waits for a core, the disk or a lock.
pub(super) fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

/// Seconds since a moment before the first statement.
fn seconds() -> u64 {
    static BEGINNING: LazyLock<Instant> = LazyLock::new(Instant::now);
    BEGINNING.elapsed().as_secs() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_long_is_broken_off_and_not_tried_again() {
        let mut connection = Connection::open_in_memory().unwrap();
        progress_handler::watch(&mut connection).unwrap();
        let inline_read = InlineReads::default();
        let brief = Rendered::of("SELECT 1");
        assert_eq!(inline_read.read(&connection, &brief).unwrap().unwrap().len(), 1);
        assert!(inline_read.is_brief(&brief));
        let long = Rendered::of(
            "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n",
        );
        for _ in 0..TIMES {
            assert!(inline_read.is_brief(&long));
            assert!(inline_read.read(&connection, &long).is_none());
        }
        assert!(!inline_read.is_brief(&long));
        assert!(inline_read.is_brief(&brief), "each statement for itself");
    }

    #[test]
    fn what_takes_long_is_heavy_until_a_worker_is_soon_done_with_it() {
        let (inline_read, statement) = (InlineReads::default(), Rendered::of("SELECT 1"));
        for _ in 0..TIMES {
            assert!(!inline_read.is_heavy(&statement));
            inline_read.remember(&statement, true);
        }
        assert!(inline_read.is_heavy(&statement), "nobody knows better");
        for _ in 0..9 {
            inline_read.took(&statement, BUSY / 2, false);
        }
        assert!(inline_read.is_heavy(&statement), "it was broken off");
        for time in 1..=9 {
            inline_read.took(&statement, BUSY / 2, true);
            assert_eq!(inline_read.is_heavy(&statement), time < TIMES);
            inline_read.remember(&statement, true);
            assert_eq!(inline_read.is_heavy(&statement), time < TIMES, "longer than a moment is no news");
            assert!(!inline_read.is_brief(&statement));
        }
        inline_read.took(&statement, BUSY, false);
        assert!(inline_read.is_heavy(&statement));
        inline_read.remember(&statement, false);
        assert!(inline_read.is_brief(&statement) && !inline_read.is_heavy(&statement));
        for time in 1..=TIMES {
            inline_read.took(&statement, BUSY, true);
            assert_eq!(inline_read.is_heavy(&statement), time == TIMES);
        }
    }

    #[test]
    fn waiting_takes_nothing_of_the_processor() {
        let before = processor_time();
        while processor_time() == before {
            std::hint::black_box(0);
        }
        let other = std::thread::spawn(|| {
            let before = processor_time();
            while processor_time() - before < BUSY {}
        });
        let before = processor_time();
        other.join().unwrap();
        assert!(processor_time() - before < BUSY);
    }

    #[test]
    fn a_lock_of_another_process_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.sqlite");
        let other = Connection::open(&path).unwrap();
        other.execute_batch("CREATE TABLE t (a); BEGIN EXCLUSIVE").unwrap();
        let mut connection = Connection::open(&path).unwrap();
        progress_handler::watch(&mut connection).unwrap();
        let inline_read = InlineReads::default();
        assert!(inline_read.read(&connection, &Rendered::of("SELECT * FROM t")).is_none());
        other.execute_batch("COMMIT").unwrap();
        assert!(inline_read.read(&connection, &Rendered::of("SELECT a FROM t")).unwrap().is_ok());
    }
}
