//! Commits waiting statements together.
//!
//! A write is slow because it waits for the disk. Statements that arrive while another one is being committed
//! wait together and share the next commit: they run one after the other in a single transaction, and all
//! callers are answered once it is on the disk. Each statement stays independent: one that fails undoes only
//! itself, and if the whole transaction is rolled back (a full disk, a long statement), each runs again
//! alone.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rusqlite::Connection;
use tokio::sync::oneshot;

use super::connection::{self, ConnectionRole};
use super::pool::{Pool, SqliteLease};
use super::{cancel, error};
use crate::database::DatabaseError;

/// The limit on statements in one commit.
const MAX_GROUP: usize = 64;
/// How long statements are added before the commit, and how long the group may keep the writing connection
/// from a caller that waits to begin a transaction.
const MAX_GROUP_TIME: Duration = Duration::from_millis(5);
/// How long one statement may delay the others; a longer one runs alone.
const MAX_MEMBER_TIME: Duration = Duration::from_millis(20);

/// The waiting statements of one database.
#[derive(Default)]
pub(super) struct GroupCommit {
    queue: Mutex<VecDeque<Box<dyn Member>>>,
}

impl std::fmt::Debug for GroupCommit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GroupCommit").field("queue", &self.queue.lock().len()).finish()
    }
}

/// A statement and its caller.
trait Member: Send {
    /// Runs the statement and keeps its result.
    fn run(&mut self, connection: &mut Connection);
    /// Runs the statement, unless it takes too long for others to wait.
    fn run_briefly(&mut self, connection: &mut Connection);
    /// Whether the statement took too long.
    fn was_interrupted(&self) -> bool;
    /// Sends the result, which is committed or an error, to the caller.
    fn send(self: Box<Self>, pool: &Pool);
    /// Sends an error to the caller, since the statement could not run.
    fn fail(self: Box<Self>, error: DatabaseError);
}

struct Write<T, W> {
    job: cancel::CancellableWork,
    work: W,
    /// `None` until the statement has run, or if its caller is gone.
    done: Option<rusqlite::Result<T>>,
    caller: oneshot::Sender<Result<T, DatabaseError>>,
}

impl<T: Send, W: Fn(&Connection) -> rusqlite::Result<T> + Send> Member for Write<T, W> {
    fn run(&mut self, connection: &mut Connection) {
        let work = &self.work;
        self.done = self.job.run(connection, |connection| work(connection));
    }

    fn run_briefly(&mut self, connection: &mut Connection) {
        let work = &self.work;
        self.done = self.job.run_for_at_most(MAX_MEMBER_TIME, connection, |connection| work(connection));
    }

    fn was_interrupted(&self) -> bool {
        let code = self.done.as_ref().and_then(|done| done.as_ref().err()?.sqlite_error_code());
        code == Some(rusqlite::ErrorCode::OperationInterrupted)
    }

    fn send(self: Box<Self>, pool: &Pool) {
        let done = self.done.map(|done| done.map_err(|failed| error::describe(pool.path(), failed)));
        // The caller may be gone.
        let _ = self.caller.send(done.unwrap_or_else(|| Err(pool.closed())));
    }

    fn fail(self: Box<Self>, error: DatabaseError) {
        let _ = self.caller.send(Err(error));
    }
}

/// Receives the result of a statement.
pub(super) type PendingResult<T> = oneshot::Receiver<Result<T, DatabaseError>>;

impl GroupCommit {
    /// Adds a statement. The next holder of the write permit runs it.
    pub(super) fn add<T: Send + 'static>(
        &self,
        job: cancel::CancellableWork,
        work: impl Fn(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> PendingResult<T> {
        let (caller, result) = oneshot::channel();
        self.queue.lock().push_back(Box::new(Write { job, work, done: None, caller }));
        result
    }

    fn next(&self) -> Option<Box<dyn Member>> {
        self.queue.lock().pop_front()
    }

    fn is_empty(&self) -> bool {
        self.queue.lock().is_empty()
    }

    /// Runs waiting statements group by group, for a while. The caller has the write permit.
    pub(super) fn run_groups(&self, pool: &Arc<Pool>) {
        let begun = Instant::now();
        while let Some(first) = self.next() {
            match SqliteLease::acquire(pool, ConnectionRole::Writer) {
                Ok(mut lease) => self.group(first, lease.connection(), pool),
                Err(error) => first.fail(error),
            }
            if begun.elapsed() >= MAX_GROUP_TIME {
                return;
            }
        }
    }

    fn group(&self, mut first: Box<dyn Member>, connection: &mut Connection, pool: &Pool) {
        if self.is_empty() {
            // A single statement commits by itself.
            first.run(connection);
            return first.send(pool);
        }
        if let Err(failed) = connection::begin(connection) {
            return first.fail(error::describe(pool.path(), failed));
        }
        let begun = Instant::now();
        let mut members = Vec::new();
        let mut next = Some(first);
        // SQLite rolls back the transaction if it cannot undo a single statement.
        while let Some(mut member) = next.take() {
            member.run_briefly(connection);
            members.push(member);
            if members.len() < MAX_GROUP && begun.elapsed() < MAX_GROUP_TIME && !connection.is_autocommit() {
                next = self.next();
            }
        }
        let committed = !connection.is_autocommit() && connection::commit(connection).is_ok();
        if !committed && !connection.is_autocommit() {
            connection::roll_back(connection);
        }
        if !committed {
            members.sort_by_key(|member| member.was_interrupted());
        }
        for mut member in members {
            if !committed {
                member.run(connection);
            }
            member.send(pool);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::Pin;

    use futures_util::future::join_all;
    use futures_util::poll;

    use super::super::Sqlite;
    use super::*;
    use crate::database::{Rendered, Row, Value};

    type Inserted = Result<Option<i64>, DatabaseError>;

    async fn database(folder: &tempfile::TempDir) -> Sqlite {
        let sqlite = Sqlite::create(&folder.path().join("a.sqlite")).await.unwrap();
        let table = "CREATE TABLE \"t\" (id INTEGER PRIMARY KEY AUTOINCREMENT, \"a\" UNIQUE)";
        sqlite.execute(Rendered { is_recurring: false, ..Rendered::of(table) }).await.unwrap();
        sqlite
    }

    fn insert(sqlite: &Sqlite, value: &str) -> Pin<Box<dyn Future<Output = Inserted> + Send>> {
        let (sqlite, sql) = (sqlite.clone(), format!("INSERT INTO \"t\" (\"a\") VALUES ({value})"));
        Box::pin(async move { sqlite.insert(Rendered::of(&sql), true).await })
    }

    /// Makes all of them wait for another transaction, so that they run as one group.
    async fn together(
        sqlite: &Sqlite,
        mut writes: Vec<Pin<Box<dyn Future<Output = Inserted> + Send>>>,
    ) -> Vec<Inserted> {
        let other = sqlite.begin().await.unwrap();
        for write in &mut writes {
            assert!(poll!(write).is_pending());
        }
        drop(other);
        join_all(writes).await
    }

    async fn count(sqlite: &Sqlite, condition: &str) -> Value {
        let sql = format!("SELECT count(*) FROM \"t\" WHERE {condition}");
        let rows: Vec<Row> = sqlite.query(Rendered::of(&sql)).await.unwrap();
        rows[0].value(0).unwrap().clone()
    }

    #[tokio::test]
    async fn statements_in_a_group_are_independent() {
        let folder = tempfile::tempdir().unwrap();
        let sqlite = database(&folder).await;
        let writes = (0..200).map(|number| insert(&sqlite, &(number % 150).to_string())).collect();
        let written = together(&sqlite, writes).await;
        let failed = |written: &Inserted| matches!(written, Err(DatabaseError::Unique { .. }));
        assert!(written[..150].iter().all(Result::is_ok), "{written:?}");
        assert!(written[150..].iter().all(failed), "{written:?}");
        assert_eq!(written[149], Ok(Some(150)));
        assert_eq!(count(&sqlite, "TRUE").await, Value::Integer(150));
        assert_eq!(insert(&sqlite, "999").await, Ok(Some(201)), "refused rows have used up their keys");
    }

    #[tokio::test]
    async fn a_long_statement_runs_alone_and_does_not_fail_the_others() {
        let folder = tempfile::tempdir().unwrap();
        let sqlite = database(&folder).await;
        // Long enough for the long statement on a loaded machine; the endless one exceeds it.
        sqlite.set_limits(4, Duration::from_secs(10));
        let endless =
            "(WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n)";
        let long = "(WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000) \
                    SELECT 'long' || count(*) FROM n)";
        let writes = ["'a'", endless, "'b'", long, "'c'"].map(|value| insert(&sqlite, value));
        let written = together(&sqlite, writes.into()).await;
        assert!(matches!(written[1], Err(DatabaseError::TooSlow(_))), "{written:?}");
        for at in [0, 2, 3, 4] {
            assert!(written[at].is_ok(), "{written:?}");
        }
        assert_eq!(count(&sqlite, "a IN ('a', 'b', 'c') OR a LIKE 'long%'").await, Value::Integer(4));
    }

    #[tokio::test]
    async fn a_cancelled_statement_does_not_run() {
        let folder = tempfile::tempdir().unwrap();
        let sqlite = database(&folder).await;
        let other = sqlite.begin().await.unwrap();
        let (mut committed, mut left) = (insert(&sqlite, "'kept'"), insert(&sqlite, "'left'"));
        assert!(poll!(&mut left).is_pending());
        assert!(poll!(&mut committed).is_pending());
        drop(left);
        drop(other);
        committed.await.unwrap();
        assert_eq!(count(&sqlite, "TRUE").await, Value::Integer(1));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_flood_of_writes_does_not_block_transactions() {
        let folder = tempfile::tempdir().unwrap();
        let sqlite = database(&folder).await;
        let flood: Vec<_> = (0..32)
            .map(|writer| {
                let sqlite = sqlite.clone();
                tokio::spawn(async move {
                    for number in 0..40 {
                        insert(&sqlite, &format!("'{writer} {number}'")).await.unwrap();
                    }
                })
            })
            .collect();
        for _ in 0..5 {
            let mut transaction = sqlite.begin().await.unwrap();
            let sql = "INSERT INTO \"t\" (\"a\") VALUES (hex(randomblob(8)))";
            transaction.insert(Rendered::of(sql), true).await.unwrap();
            transaction.commit().await.unwrap();
        }
        for writer in flood {
            writer.await.unwrap();
        }
        assert_eq!(count(&sqlite, "TRUE").await, Value::Integer(32 * 40 + 5));
    }

    #[tokio::test]
    async fn closing_fails_waiting_statements() {
        let folder = tempfile::tempdir().unwrap();
        let sqlite = database(&folder).await;
        let other = sqlite.begin().await.unwrap();
        let mut waits = insert(&sqlite, "'late'");
        assert!(poll!(&mut waits).is_pending());
        let mut closing = Box::pin(sqlite.close());
        assert!(poll!(&mut closing).is_pending());
        drop(other);
        let (told, ()) = futures_util::join!(waits, closing);
        assert!(matches!(told, Err(DatabaseError::Closed(_))), "{told:?}");
    }
}
