//! Caches counts on a connection. Every page of records asks for the total, and PostgreSQL counts by visiting
//! all of them; the result holds as long as nobody commits.
//!
//! A statement's snapshot tells which transactions it sees: two statements with the same snapshot see the
//! same rows. So a count is sent with the snapshot of the last result, and the server counts only if its
//! current snapshot differs. Any commit on the server makes it differ.
//!
//! The cache belongs to a connection and is dropped with it. A snapshot includes the server's start time:
//! after a crash or a failover, transaction numbers are used again. Foreign tables are in no snapshot.

use sea_query::Value as Bound;

use crate::database::statement_cache::StatementCache;
use crate::database::{Rendered, Row, Value};

/// The query for [`SnapshotCounts::set_server`]: the server's version, and its table access method.
pub(super) const VERSION_QUERY: &str =
    "SELECT version(), current_setting('default_table_access_method', true)";
/// The first version with comparable snapshots.
const FIRST_VERSION: u32 = 13;
/// The access method whose rows are subject to snapshots.
const ACCESS_METHOD: &str = "heap";
/// The limit on a snapshot's length. With so many concurrent writers, the next one differs anyway.
const MAX_SNAPSHOT: usize = 512;

/// The cached counts of a connection.
#[derive(Debug, Default)]
pub(super) struct SnapshotCounts {
    /// Whether the server's snapshots determine what a statement sees; `None` until it was asked.
    comparable: Option<bool>,
    known: StatementCache<SnapshotCount>,
}

#[derive(Debug)]
struct SnapshotCount {
    /// Including the server's start time.
    snapshot: String,
    count: i64,
}

impl SnapshotCounts {
    /// Whether the server's abilities are known.
    pub(super) const fn knows_server(&self) -> bool {
        self.comparable.is_some()
    }

    /// Derives the server's abilities from its version. Other servers with PostgreSQL's protocol have other
    /// snapshots, or none.
    pub(super) fn set_server(&mut self, version: &str, access_method: Option<&str>) {
        let mut words = version.split(' ');
        let is_postgres = words.next() == Some("PostgreSQL");
        let number = words.next().filter(|number| number.chars().all(|c| c.is_ascii_digit() || c == '.'));
        let major = number.and_then(|number| number.split('.').next()?.parse().ok());
        let is_recent = major.is_some_and(|major: u32| major >= FIRST_VERSION);
        self.comparable = Some(is_postgres && is_recent && access_method == Some(ACCESS_METHOD));
    }

    /// Returns a statement that counts only if the cached count is outdated; `None` if the server does not
    /// support it.
    pub(super) fn count_if_changed(&mut self, statement: &Rendered) -> Option<Rendered> {
        if self.comparable != Some(true) {
            return None;
        }
        // On a standby, transactions may end without a change of the snapshot.
        let sql = format!(
            "SELECT CASE WHEN now.snapshot = ${} AND NOT pg_is_in_recovery() THEN NULL ELSE ({}) END, \
             now.snapshot FROM (SELECT concat(pg_current_snapshot(), ' ', pg_postmaster_start_time()) AS snapshot) \
             AS now",
            statement.values.len() + 1,
            statement.sql
        );
        let snapshot = self.known.get(statement).map(|known| known.snapshot.clone());
        let mut values = statement.values.clone();
        values.push(Bound::String(snapshot));
        Some(Rendered { sql, values, is_recurring: true, ..Rendered::default() })
    }

    /// Returns the result of a count, given the rows of [`SnapshotCounts::count_if_changed`], and stores it.
    pub(super) fn resolve(&mut self, statement: &Rendered, rows: Vec<Row>) -> Vec<Row> {
        let Some(row) = rows.first() else { return rows };
        let (count, Some(Value::Text(snapshot))) = (row.value(0), row.value(1)) else { return rows };
        match count {
            Some(Value::Integer(count)) => {
                if snapshot.len() <= MAX_SNAPSHOT {
                    let known = SnapshotCount { snapshot: snapshot.clone(), count: *count };
                    self.known.insert(statement, known);
                }
                rows
            }
            Some(Value::Null) => {
                let known = self.known.peek(statement).filter(|known| known.snapshot == *snapshot);
                let Some(known) = known else { return rows };
                vec![Row::new(row.columns()[..1].into(), vec![Value::Integer(known.count)])]
            }
            _ => rows,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn snapshots_are_compared_on_recent_postgres_only() {
        for (version, comparable) in [
            ("PostgreSQL 15.8 (Debian 15.8-0+deb12u1) on x86_64-pc-linux-gnu", true),
            ("PostgreSQL 13.1 on x86_64", true),
            ("PostgreSQL 17 on x86_64", true),
            ("PostgreSQL 12.22 on x86_64", false),
            ("PostgreSQL 18beta1 on x86_64", false),
            ("PostgreSQL 15.2-YB-2.25.0.0-b0 on x86_64", false),
            ("CockroachDB CCL v23.1.11", false),
            ("PostgreSQL", false),
            ("", false),
        ] {
            let mut counts = SnapshotCounts::default();
            assert!(!counts.knows_server());
            counts.set_server(version, Some("heap"));
            assert_eq!(counts.comparable, Some(comparable), "{version}");
            assert_eq!(counts.count_if_changed(&Rendered::of("SELECT 1")).is_some(), comparable);
            for other in [None, Some("orioledb")] {
                counts.set_server(version, other);
                assert_eq!(counts.comparable, Some(false), "{other:?}");
            }
        }
    }
}
