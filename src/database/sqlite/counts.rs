//! Counts that are known. How many records there are is asked with every page, and SQLite counts by
//! looking at all of them; as long as nothing in the database changes, the answer stays.
//!
//! Whether something changed, SQLite tells each connection, also of what other processes wrote
//! (`PRAGMA data_version`): whether anybody committed since this connection looked last. One that
//! finds a change, or looks for the first time, begins a new epoch, and what was counted in those
//! before counts no more. So a count is given only by a connection that has looked in its epoch, and
//! has found nothing since.

use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::database::Rendered;

/// Counts that are known of one database.
const MOST: usize = 16;
/// A statement that binds more values is not kept.
const MOST_VALUES: usize = 16;

/// The counts that are known of a database.
#[derive(Debug, Default)]
pub(super) struct Counts {
    epoch: AtomicU64,
    known: Mutex<Vec<Known>>,
}

#[derive(Debug)]
struct Known {
    statement: Rendered,
    count: u64,
    /// When it was counted.
    epoch: u64,
}

impl Counts {
    /// The epoch now. It is asked for before something is counted.
    pub(super) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::SeqCst)
    }

    /// Something has changed.
    pub(super) fn begin_epoch(&self) {
        self.epoch.fetch_add(1, Ordering::SeqCst);
    }

    /// What a statement counts, as far as this epoch knows. Whoever asks has looked for changes.
    pub(super) fn get(&self, statement: &Rendered) -> Option<u64> {
        let known = self.known.lock();
        let epoch = self.epoch();
        let same = |known: &&Known| known.epoch == epoch && known.is_of(statement);
        known.iter().find(same).map(|known| known.count)
    }

    /// Keeps what a statement has counted. `epoch` is that of before.
    pub(super) fn keep(&self, statement: Rendered, count: u64, epoch: u64) {
        if statement.values.len() > MOST_VALUES || epoch != self.epoch() {
            return;
        }
        let mut known = self.known.lock();
        known.retain(|known| known.epoch == epoch && !known.is_of(&statement));
        if known.len() == MOST {
            known.remove(0);
        }
        known.push(Known { statement, count, epoch });
    }

    /// Gives the memory back.
    pub(super) fn clear(&self) {
        *self.known.lock() = Vec::new();
    }
}

impl Known {
    fn is_of(&self, statement: &Rendered) -> bool {
        self.statement.sql == statement.sql && self.statement.values == statement.values
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::Sqlite;
    use super::*;

    const INSERT: &str = "INSERT INTO t DEFAULT VALUES";

    fn all() -> Rendered {
        Rendered::of("SELECT count(*) FROM t")
    }

    async fn table(folder: &tempfile::TempDir) -> Sqlite {
        let sqlite = Sqlite::create(&folder.path().join("a.sqlite")).await.unwrap();
        let table = "CREATE TABLE t (id INTEGER PRIMARY KEY)";
        sqlite.execute(Rendered { repeated: false, ..Rendered::of(table) }).await.unwrap();
        sqlite
    }

    #[tokio::test]
    async fn what_anybody_commits_is_counted() {
        let folder = tempfile::tempdir().unwrap();
        let sqlite = table(&folder).await;
        let counts = sqlite.shared.parking.counts();
        assert_eq!(sqlite.count(all()).await, Ok(0));
        assert_eq!(sqlite.count(all()).await, Ok(0));
        assert_eq!(counts.get(&all()), Some(0), "it is known now");
        sqlite.execute(Rendered::of(INSERT)).await.unwrap();
        assert_eq!(sqlite.count(all()).await, Ok(1));

        let mut transaction = sqlite.begin().await.unwrap();
        transaction.execute(Rendered::of(INSERT)).await.unwrap();
        assert_eq!(sqlite.count(all()).await, Ok(1), "it is not committed");
        transaction.commit().await.unwrap();
        assert_eq!(sqlite.count(all()).await, Ok(2));

        let other = rusqlite::Connection::open(sqlite.path()).unwrap();
        other.execute_batch(INSERT).unwrap();
        assert_eq!(sqlite.count(all()).await, Ok(3), "as another process does it");
        assert_eq!(sqlite.count(all()).await, Ok(3));
        sqlite.rest().await;
        assert_eq!(counts.get(&all()), None, "an idle application keeps nothing");
        other.execute_batch(INSERT).unwrap();
        assert_eq!(sqlite.count(all()).await, Ok(4));
        other.execute_batch("DROP TABLE t").unwrap();
        assert!(sqlite.count(all()).await.is_err());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn nobody_counts_less_than_was_acknowledged() {
        let folder = tempfile::tempdir().unwrap();
        let sqlite = table(&folder).await;
        let [begun, done] = [(); 2].map(|()| Arc::new(AtomicU64::new(0)));
        let last = 300;
        let readers: Vec<_> = (0..6)
            .map(|_| {
                let (sqlite, begun, done) = (sqlite.clone(), Arc::clone(&begun), Arc::clone(&done));
                tokio::spawn(async move {
                    let mut least = 0;
                    while least < last {
                        least = done.load(Ordering::SeqCst);
                        let count = sqlite.count(all()).await.unwrap();
                        let most = begun.load(Ordering::SeqCst);
                        assert!((least..=most).contains(&count), "{count} of {least} to {most}");
                    }
                })
            })
            .collect();
        for number in 1..=last {
            begun.store(number, Ordering::SeqCst);
            sqlite.execute(Rendered::of(INSERT)).await.unwrap();
            done.store(number, Ordering::SeqCst);
        }
        for reader in readers {
            reader.await.unwrap();
        }
    }

    #[test]
    fn what_was_counted_holds_for_its_epoch() {
        let (counts, one) = (Counts::default(), Rendered::of("SELECT count(*) FROM a"));
        let epoch = counts.epoch();
        assert_eq!(counts.get(&one), None);
        counts.keep(one.clone(), 7, epoch);
        assert_eq!(counts.get(&one), Some(7));
        let bound = Rendered { values: vec![1_i32.into()], ..one.clone() };
        assert_eq!(counts.get(&bound), None, "with other values it counts something else");
        counts.begin_epoch();
        assert_eq!(counts.get(&one), None);
        counts.keep(one.clone(), 8, epoch);
        assert_eq!(counts.get(&one), None, "it may have been counted before the change");
    }

    #[test]
    fn no_more_are_kept_than_are_worth_it() {
        let counts = Counts::default();
        let of = |table: usize| Rendered::of(&format!("SELECT count(*) FROM t{table}"));
        for table in 0..2 * MOST {
            counts.keep(of(table), table as u64, counts.epoch());
        }
        assert_eq!(counts.known.lock().len(), MOST);
        assert_eq!(counts.get(&of(MOST - 1)), None);
        assert_eq!(counts.get(&of(2 * MOST - 1)), Some(2 * MOST as u64 - 1));
        let many = Rendered { values: vec![1_i32.into(); MOST_VALUES + 1], ..of(0) };
        counts.keep(many.clone(), 1, counts.epoch());
        assert_eq!(counts.get(&many), None);
        counts.clear();
        assert_eq!(counts.known.lock().capacity(), 0);
    }
}
