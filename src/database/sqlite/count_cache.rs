//! Caches counts. Every page of records asks for the total, and SQLite counts by visiting all of them; the
//! result holds as long as nothing in the database changes.
//!
//! SQLite tells each connection whether anybody, including other processes, has committed since that
//! connection last looked (`PRAGMA data_version`). So each count gets a ticket, drawn before it begins, and
//! each connection remembers the ticket that was next when it last found a change, or first looked. As long
//! as the connection finds no change, counts with that ticket or a later one are up to date.

use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::database::Rendered;
use crate::database::statement_cache::StatementCache;

/// A position in the order in which counts begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct CountTicket(u64);

/// The cached counts of a database.
#[derive(Debug, Default)]
pub(super) struct CountCache {
    next: AtomicU64,
    known: Mutex<StatementCache<CachedCount>>,
}

#[derive(Debug, Clone, Copy)]
struct CachedCount {
    count: u64,
    ticket: CountTicket,
}

impl CountCache {
    /// Draws a ticket for a count that begins now.
    pub(super) fn draw(&self) -> CountTicket {
        CountTicket(self.next.fetch_add(1, Ordering::SeqCst))
    }

    /// The ticket that is drawn next.
    pub(super) fn next(&self) -> CountTicket {
        CountTicket(self.next.load(Ordering::SeqCst))
    }

    /// Whether the cache has a count for a statement, up to date or not.
    pub(super) fn has(&self, statement: &Rendered) -> bool {
        self.known.lock().peek(statement).is_some()
    }

    /// Returns a statement's count if its ticket is `since` or later.
    pub(super) fn get(&self, statement: &Rendered, since: CountTicket) -> Option<u64> {
        let known = self.known.lock().get(statement).copied();
        known.filter(|known| known.ticket >= since).map(|known| known.count)
    }

    /// Stores a statement's count, unless a later one is there.
    pub(super) fn insert(&self, statement: &Rendered, count: u64, ticket: CountTicket) {
        let mut known = self.known.lock();
        if known.peek(statement).is_none_or(|known| known.ticket < ticket) {
            known.insert(statement, CachedCount { count, ticket });
        }
    }

    /// Removes all counts and releases the memory.
    pub(super) fn clear(&self) {
        self.known.lock().clear();
    }
}

#[cfg(test)]
mod tests {
    use super::super::Sqlite;
    use super::*;

    const INSERT: &str = "INSERT INTO t DEFAULT VALUES";

    fn all() -> Rendered {
        Rendered::of("SELECT count(*) FROM t")
    }

    async fn table(folder: &tempfile::TempDir) -> Sqlite {
        let sqlite = Sqlite::create(&folder.path().join("a.sqlite")).await.unwrap();
        let table = "CREATE TABLE t (id INTEGER PRIMARY KEY)";
        sqlite.execute(Rendered { is_recurring: false, ..Rendered::of(table) }).await.unwrap();
        sqlite
    }

    #[tokio::test]
    async fn every_commit_is_counted() {
        let folder = tempfile::tempdir().unwrap();
        let sqlite = table(&folder).await;
        let counts = sqlite.shared.pool.counts();
        assert_eq!(sqlite.count(all()).await, Ok(0));
        assert_eq!(sqlite.count(all()).await, Ok(0));
        assert!(counts.has(&all()), "the count is cached");
        sqlite.execute(Rendered::of(INSERT)).await.unwrap();
        assert_eq!(sqlite.count(all()).await, Ok(1));

        let mut transaction = sqlite.begin().await.unwrap();
        transaction.execute(Rendered::of(INSERT)).await.unwrap();
        assert_eq!(sqlite.count(all()).await, Ok(1), "the insertion is not committed");
        transaction.commit().await.unwrap();
        assert_eq!(sqlite.count(all()).await, Ok(2));

        let other = rusqlite::Connection::open(sqlite.path()).unwrap();
        other.execute_batch(INSERT).unwrap();
        assert_eq!(sqlite.count(all()).await, Ok(3), "a commit of another connection counts");
        assert_eq!(sqlite.count(all()).await, Ok(3));
        sqlite.close_idle().await;
        assert!(!counts.has(&all()), "closing idle connections clears the cache");
        other.execute_batch(INSERT).unwrap();
        assert_eq!(sqlite.count(all()).await, Ok(4));
        other.execute_batch("DROP TABLE t").unwrap();
        assert!(sqlite.count(all()).await.is_err());
    }

    #[test]
    fn counts_are_valid_for_connections_that_found_no_change_since() {
        let (counts, one) = (CountCache::default(), all());
        let [first, second, third] = [(); 3].map(|()| counts.draw());
        assert!(!counts.has(&one));
        counts.insert(&one, 7, second);
        assert_eq!((counts.get(&one, first), counts.get(&one, second)), (Some(7), Some(7)));
        assert_eq!(counts.get(&one, third), None, "it may have been counted before the change");
        counts.insert(&one, 6, first);
        assert_eq!(counts.get(&one, first), Some(7), "a count that began later is newer");
        counts.insert(&one, 8, third);
        assert_eq!(counts.get(&one, third), Some(8));
        let bound = Rendered { values: vec![1_i32.into()], ..one };
        assert_eq!(counts.get(&bound, first), None, "with other values it counts something else");
        assert!(!counts.has(&bound));
    }
}
