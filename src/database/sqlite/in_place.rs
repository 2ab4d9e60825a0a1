//! Reading without a detour: a statement that is a moment's work is done by whoever asks, because
//! handing it to another thread and back takes longer than that.
//!
//! A statement that turns out to take longer (`brevity.rs`) is broken off and done by the workers
//! (`workers.rs`), from then on at once, for a while.

use std::time::Instant;

use rusqlite::{Connection, ErrorCode};

use super::{connection, pace};
use crate::database::brevity::{Brevity, MOMENT};
use crate::database::{Rendered, Row};

/// Reads all rows; `None` when that takes longer than a moment, which is remembered.
pub(super) fn read(
    brevity: &Brevity,
    connection: &Connection,
    statement: &Rendered,
) -> Option<rusqlite::Result<Vec<Row>>> {
    let _running = pace::begin_briefly(MOMENT);
    // Once for each connection, and no measure of what comes again and again.
    let mut prepared = match connection.prepare_cached(&statement.sql) {
        Ok(prepared) => prepared,
        Err(failed) => return (!is_over(&failed)).then_some(Err(failed)),
    };
    let begun = Instant::now();
    let read = connection::all(&mut prepared, statement);
    let over = read.as_ref().err().is_some_and(is_over);
    // Also where SQLite did not ask: it counts a table and waits for the disk without that.
    brevity.remember(statement, over || begun.elapsed() > 2 * MOMENT);
    (!over).then_some(read)
}

/// Whether it failed because it may not take longer.
fn is_over(failed: &rusqlite::Error) -> bool {
    let code = failed.sqlite_error_code();
    matches!(code, Some(ErrorCode::OperationInterrupted | ErrorCode::DatabaseBusy))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_long_is_broken_off_and_not_tried_again() {
        let mut connection = Connection::open_in_memory().unwrap();
        pace::watch(&mut connection).unwrap();
        let brevity = Brevity::default();
        let brief = Rendered::of("SELECT 1");
        assert_eq!(read(&brevity, &connection, &brief).unwrap().unwrap().len(), 1);
        assert!(brevity.is_brief(&brief));
        let long = Rendered::of(
            "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n",
        );
        for _ in 0..3 {
            assert!(brevity.is_brief(&long));
            assert!(read(&brevity, &connection, &long).is_none());
        }
        assert!(!brevity.is_brief(&long));
    }

    #[test]
    fn a_lock_of_another_process_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.sqlite");
        let other = Connection::open(&path).unwrap();
        other.execute_batch("CREATE TABLE t (a); BEGIN EXCLUSIVE").unwrap();
        let mut connection = Connection::open(&path).unwrap();
        pace::watch(&mut connection).unwrap();
        let brevity = Brevity::default();
        assert!(read(&brevity, &connection, &Rendered::of("SELECT * FROM t")).is_none());
        other.execute_batch("COMMIT").unwrap();
        assert!(read(&brevity, &connection, &Rendered::of("SELECT a FROM t")).unwrap().is_ok());
    }
}
