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
use super::progress_handler::{self, INLINE_TIME_LIMIT};
use crate::database::{Rendered, Row};

/// A statement is long after so many long runs in a row; a single one may have been preempted.
const MIN_LONG_RUNS: u64 = 3;
/// A statement is long but not CPU-bound after as many more cheap runs in a row on the blocking pool.
const NOT_CPU_BOUND: u64 = MIN_LONG_RUNS + MIN_LONG_RUNS;
/// The CPU time from which a statement counts as CPU-bound. Meanwhile somebody else's commit, which needs the
/// kernel, waits for a core too.
const CPU_BOUND_TIME: Duration = Duration::from_millis(20);
/// For how many seconds a long statement is not tried on the caller's thread.
const REMEMBERED_SECONDS: u64 = 30;
/// The number of statements remembered for each database.
const MAX_STATEMENTS: usize = 16;
/// An entry: the statement's hash, the number of long runs in a row (and of cheap ones on the blocking pool),
/// and until when it counts.
const HASH_MASK: u64 = 0xffff_fff0_0000_0000;
const COUNT_UNIT: u64 = 0x0000_0001_0000_0000;
const COUNT_MASK: u64 = 0x0000_000f_0000_0000;
const UNTIL_MASK: u64 = 0x0000_0000_ffff_ffff;

/// Remembers which statements of a database are long.
#[derive(Debug, Default)]
pub(super) struct InlineReads {
    entries: [AtomicU64; MAX_STATEMENTS],
}

impl InlineReads {
    /// Whether the statement recurs and is not known to be long.
    pub(super) fn is_short(&self, statement: &Rendered) -> bool {
        let (times, until) = self.known(statement);
        statement.is_recurring && !(times >= MIN_LONG_RUNS && until >= seconds())
    }

    /// Whether the statement is known to be long, and not known to be cheap.
    pub(super) fn is_cpu_bound(&self, statement: &Rendered) -> bool {
        statement.is_recurring && (MIN_LONG_RUNS..NOT_CPU_BOUND).contains(&self.known(statement).0)
    }

    /// Records the CPU time of a long statement on the blocking pool; `done` unless it failed or was
    /// interrupted.
    pub(super) fn record_cpu_time(&self, statement: &Rendered, took: Duration, done: bool) {
        let (times, until) = self.known(statement);
        if took >= CPU_BOUND_TIME {
            // With other values it may be short again.
            self.set(statement, (times + 1).min(MIN_LONG_RUNS), until.max(seconds() + REMEMBERED_SECONDS));
        } else if done && (MIN_LONG_RUNS..NOT_CPU_BOUND).contains(&times) {
            self.set(statement, times + 1, until);
        }
    }

    /// Reads all rows; `None` if that takes too long.
    pub(super) fn read(
        &self,
        connection: &Connection,
        statement: &Rendered,
    ) -> Option<rusqlite::Result<Vec<Row>>> {
        let _running = progress_handler::start_short();
        // Preparing happens once for each connection, and does not count.
        let mut prepared = match connection.prepare_cached(&statement.sql) {
            Ok(prepared) => prepared,
            Err(failed) => return (!was_interrupted(&failed)).then_some(Err(failed)),
        };
        let begun = Instant::now();
        let read = connection::all(&mut prepared, statement);
        let interrupted = read.as_ref().err().is_some_and(was_interrupted);
        // Also if the progress handler did not run, as for some counts and for waits on the disk.
        self.record(statement, interrupted || begun.elapsed() > 2 * INLINE_TIME_LIMIT);
        (!interrupted).then_some(read)
    }

    fn record(&self, statement: &Rendered, took_long: bool) {
        let (times, _) = self.known(statement);
        if took_long {
            self.set(
                statement,
                if times < MIN_LONG_RUNS { times + 1 } else { times },
                seconds() + REMEMBERED_SECONDS,
            );
        } else if times > 0 {
            self.entry(statement).0.store(0, Ordering::Relaxed);
        }
    }

    /// The number of long runs in a row, and until when it counts.
    fn known(&self, statement: &Rendered) -> (u64, u64) {
        let (entry, hash) = self.entry(statement);
        let known = entry.load(Ordering::Relaxed);
        if known & HASH_MASK == hash {
            ((known & COUNT_MASK) / COUNT_UNIT, known & UNTIL_MASK)
        } else {
            (0, 0)
        }
    }

    fn set(&self, statement: &Rendered, times: u64, until: u64) {
        let (entry, hash) = self.entry(statement);
        entry.store(hash | (times * COUNT_UNIT) | until, Ordering::Relaxed);
    }

    fn entry(&self, statement: &Rendered) -> (&AtomicU64, u64) {
        let hash = statement.hash();
        let [first, ..] = hash.to_le_bytes();
        (&self.entries[usize::from(first) % MAX_STATEMENTS], hash & HASH_MASK)
    }
}

/// Whether the statement was interrupted or met a lock.
fn was_interrupted(failed: &rusqlite::Error) -> bool {
    let code = failed.sqlite_error_code();
    matches!(code, Some(ErrorCode::OperationInterrupted | ErrorCode::DatabaseBusy))
}

/// The CPU time of this thread, without its waits for a core, the disk or a lock.
pub(super) fn cpu_time() -> Duration {
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
    fn a_long_statement_is_interrupted_and_not_tried_again() {
        let mut connection = Connection::open_in_memory().unwrap();
        progress_handler::install(&mut connection).unwrap();
        let inline_reads = InlineReads::default();
        let brief = Rendered::of("SELECT 1");
        assert_eq!(inline_reads.read(&connection, &brief).unwrap().unwrap().len(), 1);
        assert!(inline_reads.is_short(&brief));
        let long = Rendered::of(
            "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n",
        );
        for _ in 0..MIN_LONG_RUNS {
            assert!(inline_reads.is_short(&long));
            assert!(inline_reads.read(&connection, &long).is_none());
        }
        assert!(!inline_reads.is_short(&long));
        assert!(inline_reads.is_short(&brief), "statements are independent");
    }

    #[test]
    fn a_long_statement_is_cpu_bound_until_it_proves_cheap() {
        let (inline_reads, statement) = (InlineReads::default(), Rendered::of("SELECT 1"));
        for _ in 0..MIN_LONG_RUNS {
            assert!(!inline_reads.is_cpu_bound(&statement));
            inline_reads.record(&statement, true);
        }
        assert!(inline_reads.is_cpu_bound(&statement), "it has no cheap run yet");
        for _ in 0..9 {
            inline_reads.record_cpu_time(&statement, CPU_BOUND_TIME / 2, false);
        }
        assert!(inline_reads.is_cpu_bound(&statement), "interrupted runs do not count");
        for time in 1..=9 {
            inline_reads.record_cpu_time(&statement, CPU_BOUND_TIME / 2, true);
            assert_eq!(inline_reads.is_cpu_bound(&statement), time < MIN_LONG_RUNS);
            inline_reads.record(&statement, true);
            assert_eq!(
                inline_reads.is_cpu_bound(&statement),
                time < MIN_LONG_RUNS,
                "further long runs change nothing"
            );
            assert!(!inline_reads.is_short(&statement));
        }
        inline_reads.record_cpu_time(&statement, CPU_BOUND_TIME, false);
        assert!(inline_reads.is_cpu_bound(&statement));
        inline_reads.record(&statement, false);
        assert!(inline_reads.is_short(&statement) && !inline_reads.is_cpu_bound(&statement));
        for time in 1..=MIN_LONG_RUNS {
            inline_reads.record_cpu_time(&statement, CPU_BOUND_TIME, true);
            assert_eq!(inline_reads.is_cpu_bound(&statement), time == MIN_LONG_RUNS);
        }
    }

    #[test]
    fn waiting_uses_no_cpu_time() {
        let before = cpu_time();
        while cpu_time() == before {
            std::hint::black_box(0);
        }
        let other = std::thread::spawn(|| {
            let before = cpu_time();
            while cpu_time() - before < CPU_BOUND_TIME {}
        });
        let before = cpu_time();
        other.join().unwrap();
        assert!(cpu_time() - before < CPU_BOUND_TIME);
    }

    #[test]
    fn an_inline_read_does_not_wait_for_locks() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.sqlite");
        let other = Connection::open(&path).unwrap();
        other.execute_batch("CREATE TABLE t (a); BEGIN EXCLUSIVE").unwrap();
        let mut connection = Connection::open(&path).unwrap();
        progress_handler::install(&mut connection).unwrap();
        let inline_reads = InlineReads::default();
        assert!(inline_reads.read(&connection, &Rendered::of("SELECT * FROM t")).is_none());
        other.execute_batch("COMMIT").unwrap();
        assert!(inline_reads.read(&connection, &Rendered::of("SELECT a FROM t")).unwrap().is_ok());
    }
}
