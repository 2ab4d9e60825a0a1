//! What a MySQL or MariaDB server and a database on it report of themselves. Nothing is tried out.

use super::grants::{Grants, escaped};
use super::{Mysql, quoted};
use crate::database::report::{ConnectionCounts, MissingRight, Report, Right};
use crate::database::report::{moment, number, version_number};
use crate::database::server::{DatabaseHandle, ServerDatabase};
use crate::database::{DatabaseError, Rendered, names};

/// Selects the server's version, clock and connections, and the account that the user is.
const SERVER: &str = "SELECT version() AS version, UTC_TIMESTAMP(6) AS clock, \
    CAST(@@global.max_connections AS SIGNED) AS allowed, \
    CAST(@@session.max_user_connections AS SIGNED) AS allowed_to_user, CURRENT_USER() AS account";

/// Selects the tables of the database whose texts are not `utf8mb4`.
const NARROW_TABLES: &str = "SELECT table_name AS name FROM information_schema.tables \
    WHERE table_schema = database() AND table_type = 'BASE TABLE' AND table_collation NOT LIKE 'utf8mb4%' \
    ORDER BY table_name";

impl Mysql {
    /// Opens the database with a connection of its own, beside those that applications share.
    pub(in crate::database) async fn open_apart(at: &ServerDatabase) -> Result<Self, DatabaseError> {
        quoted(&at.name)?;
        let mysql = Self { handle: DatabaseHandle::apart(at) };
        mysql.handle.connect().await?;
        Ok(mysql)
    }

    /// Asks for a report. `prefix` is that of the tables' names, which are reported without it.
    pub(in crate::database) async fn report(&self, prefix: &str) -> Result<Report, DatabaseError> {
        let rows = self.handle.query(&read(SERVER)).await?;
        let Some(server) = rows.first() else {
            return Err(DatabaseError::Failed(format!("{} did not report its version", self.at())));
        };
        let version = server.text("version").unwrap_or_default();
        // Some servers prefix their version with one that old replicas accept.
        let version = version.trim_start_matches("5.5.5-");
        let used = self.handle.query(&read("SHOW GLOBAL STATUS LIKE 'Threads_connected'")).await?;
        let missing = self.missing_rights(server.text("account").unwrap_or_default()).await?;
        let narrow = names(self.handle.query(&read(NARROW_TABLES)).await?);
        let narrow = narrow.into_iter().filter_map(|whole| {
            let name = whole.strip_prefix(prefix)?.to_owned();
            let sql = format!("ALTER TABLE {} CONVERT TO CHARACTER SET utf8mb4", quoted(&whole).ok()?);
            Some((name, sql))
        });
        Ok(Report {
            product: if version.contains("MariaDB") { "MariaDB" } else { "MySQL" },
            version: version.split('-').next().unwrap_or_default().to_owned(),
            number: version_number(version),
            clock: moment(server, "clock"),
            connections: number(server, "allowed").map(|allowed| ConnectionCounts {
                allowed,
                allowed_to_user: number(server, "allowed_to_user").filter(|limit| *limit > 0),
                used: used.first().and_then(|row| number(row, "Value")),
            }),
            missing,
            narrow_tables: narrow.collect(),
        })
    }

    /// Lists the missing rights; `None` if roles may have them.
    async fn missing_rights(&self, account: &str) -> Result<Option<Vec<MissingRight>>, DatabaseError> {
        let grants = Grants::parse(&names(self.handle.query(&read("SHOW GRANTS")).await?));
        let account = account_name(account);
        let own = grants.missing_in(&self.at().name);
        let beside = format!("{}_", self.at().name);
        let has_beside = grants.missing_in(&format!("{beside}nbapps")).is_empty();
        if grants.has_roles && !(own.is_empty() && has_beside) {
            return Ok(None);
        }
        let grant = |databases: &str| {
            format!("GRANT ALL PRIVILEGES ON `{}`.* TO {account}", databases.replace('`', "``"))
        };
        let mut missing = Vec::new();
        if !own.is_empty() {
            let grant = grant(&escaped(&self.at().name));
            missing.push(MissingRight { right: Right::Privileges(own), grant });
        }
        if !has_beside {
            let grant = grant(&format!("{}%", escaped(&beside)));
            missing.push(MissingRight { right: Right::CreateDatabases, grant });
        }
        Ok(Some(missing))
    }
}

/// A statement that reads and binds nothing.
fn read(sql: &str) -> Rendered {
    Rendered { sql: sql.to_owned(), ..Rendered::default() }
}

/// Quotes an account such as `nb@10.0.0.%`.
fn account_name(account: &str) -> String {
    let (user, host) = account.rsplit_once('@').unwrap_or((account, "%"));
    let quote = |text: &str| format!("'{}'", text.replace('\'', "''"));
    format!("{}@{}", quote(user), quote(host))
}
