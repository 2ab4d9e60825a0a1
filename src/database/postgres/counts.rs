//! Counts that a connection knows. How many records there are is asked with every page, and PostgreSQL
//! counts by looking at all of them; as long as nothing is committed, the answer stays.
//!
//! What a statement sees, its snapshot says: which transactions are at an end. Two statements with the
//! same snapshot see the same rows. So a count is asked with the snapshot of the last one, and the
//! server counts only where its own is another. Anybody's commit on the server makes it another.
//!
//! Counts are kept for each connection and dropped with it, and a snapshot is of one start of the
//! server: after a crash, and where another server takes over, numbers of transactions are used again.
//! Rows of foreign tables are in no snapshot.

use sea_query::Value as Bound;

use crate::database::statement_cache::StatementCache;
use crate::database::{Rendered, Row, Value};

/// The question for [`Counts::learn`]: the server's version, and how it stores tables.
pub(super) const VERSION_QUESTION: &str =
    "SELECT version(), current_setting('default_table_access_method', true)";
/// Since this version of the server, snapshots can be compared.
const FIRST_VERSION: u32 = 13;
/// How tables are stored whose rows belong to transactions of the server.
const ACCESS_METHOD: &str = "heap";
/// A longer snapshot is not kept: where so many write, the next one is another.
const LONGEST_SNAPSHOT: usize = 512;

/// The counts that are known on a connection.
#[derive(Debug, Default)]
pub(super) struct Counts {
    /// Whether the server's snapshots say what a statement sees; `None` until it was asked.
    comparable: Option<bool>,
    known: StatementCache<Known>,
}

#[derive(Debug)]
struct Known {
    /// With the start of the server.
    snapshot: String,
    count: i64,
}

impl Counts {
    /// Whether it is known what the server can do.
    pub(super) const fn has_learned(&self) -> bool {
        self.comparable.is_some()
    }

    /// Learns it from what the server says of itself. Others that speak its language have other
    /// snapshots, or none.
    pub(super) fn learn(&mut self, version: &str, access_method: Option<&str>) {
        let mut words = version.split(' ');
        let is_postgres = words.next() == Some("PostgreSQL");
        let number = words.next().filter(|number| number.chars().all(|c| c.is_ascii_digit() || c == '.'));
        let major = number.and_then(|number| number.split('.').next()?.parse().ok());
        let is_recent = major.is_some_and(|major: u32| major >= FIRST_VERSION);
        self.comparable = Some(is_postgres && is_recent && access_method == Some(ACCESS_METHOD));
    }

    /// The question that has the server count only where the last count no longer holds; `None` where it
    /// cannot be asked.
    pub(super) fn unless_known(&mut self, statement: &Rendered) -> Option<Rendered> {
        if self.comparable != Some(true) {
            return None;
        }
        // On a standby other transactions may have ended, whatever its snapshot says.
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
        Some(Rendered { sql, values, repeated: true, ..Rendered::default() })
    }

    /// The answer to a count, from the one to [`Counts::unless_known`].
    pub(super) fn answered(&mut self, statement: &Rendered, rows: Vec<Row>) -> Vec<Row> {
        let Some(row) = rows.first() else { return rows };
        let (count, Some(Value::Text(snapshot))) = (row.value(0), row.value(1)) else { return rows };
        match count {
            Some(Value::Integer(count)) => {
                if snapshot.len() <= LONGEST_SNAPSHOT {
                    let known = Known { snapshot: snapshot.clone(), count: *count };
                    self.known.keep(statement, known);
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
    fn snapshots_are_compared_where_they_are_those_of_postgres() {
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
            let mut counts = Counts::default();
            assert!(!counts.has_learned());
            counts.learn(version, Some("heap"));
            assert_eq!(counts.comparable, Some(comparable), "{version}");
            assert_eq!(counts.unless_known(&Rendered::of("SELECT 1")).is_some(), comparable);
            for other in [None, Some("orioledb")] {
                counts.learn(version, other);
                assert_eq!(counts.comparable, Some(false), "{other:?}");
            }
        }
    }
}
