//! What SQLite reports of itself, and the check of a whole file.

use super::{ConnectionRole, Sqlite};
use crate::database::report::{Report, version_number};
use crate::database::{DatabaseError, Rendered, names};

/// How many problems of a file are reported: the first tells enough.
const CHECK: &str = "PRAGMA quick_check(5)";

/// A report on the library. A file has no rights or connections that it could report.
pub(in crate::database) fn report() -> Report {
    let version = rusqlite::version();
    Report {
        product: "SQLite",
        version: version.to_owned(),
        number: version_number(version),
        missing: Some(Vec::new()),
        ..Report::default()
    }
}

impl Sqlite {
    /// Reads every page of the file and returns what is wrong with it.
    pub(in crate::database) async fn integrity_problems(&self) -> Result<Vec<String>, DatabaseError> {
        let permit = self.acquire(ConnectionRole::Reader).await?;
        let check = Rendered { sql: CHECK.to_owned(), ..Rendered::default() };
        // Without a timeout: the caller's ends it.
        let work = move |connection: &mut rusqlite::Connection| super::connection::query(connection, &check);
        let rows = self.run(permit, ConnectionRole::Reader, None, work).await?;
        Ok(names(rows).into_iter().filter(|line| line != "ok").collect())
    }
}
