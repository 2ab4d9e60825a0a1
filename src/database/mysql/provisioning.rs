//! Creates and drops databases on MySQL and MariaDB, each marked with its owner.
//!
//! A database carries its owner's mark as its comment from the first moment on, if the server supports that
//! (MariaDB since 10.5). For other servers, an empty table in it carries the mark as well.

use sea_query::{Alias, Expr, ExprTrait, Query};
use tokio::time::Instant;

use super::{Mysql, quoted};
use crate::database::server::{
    DatabaseHandle, SESSION_END_POLL, SESSION_END_TIMEOUT, ServerDatabase, mark, marked_rows,
};
use crate::database::{DatabaseError, Engine, Rendered, Row, Statement, Value};

/// The table whose comment is the owner's mark.
pub(super) const MARK_TABLE: &str = "_nbapps";

impl Mysql {
    /// Creates the database and opens it.
    pub(in crate::database) async fn create(at: &ServerDatabase) -> Result<Self, DatabaseError> {
        let server = server(at)?;
        let made = server.create_database(at, None).await;
        server.handle.close().await;
        made?;
        Self::open(at).await
    }

    /// Creates the database with its owner's mark, and opens it.
    pub(in crate::database) async fn create_owned(
        at: &ServerDatabase,
        owner: &str,
    ) -> Result<Self, DatabaseError> {
        let server = server(at)?;
        let made = server.create_marked(at, owner).await;
        server.handle.close().await;
        made?;
        Self::open(at).await
    }

    async fn create_marked(&self, at: &ServerDatabase, owner: &str) -> Result<(), DatabaseError> {
        self.create_database(at, Some(owner)).await?;
        let name = quoted(&at.name)?;
        let mark = format!(
            "CREATE TABLE {name}.{table} (id int PRIMARY KEY) COMMENT = '{}'",
            mark(owner).replace('\'', "''"),
            table = quoted(MARK_TABLE)?,
        );
        let marked = self.handle.batch(&mark).await;
        if marked.is_err() {
            // It was created just now, and nobody knows of it.
            self.drop_database(&name).await?;
        }
        marked
    }

    /// Drops the database and kills its other sessions.
    pub(in crate::database) async fn remove(at: &ServerDatabase) -> Result<Vec<String>, DatabaseError> {
        let server = server(at)?;
        let removed = server.remove_by_name(at).await;
        server.handle.close().await;
        removed
    }

    async fn remove_by_name(&self, at: &ServerDatabase) -> Result<Vec<String>, DatabaseError> {
        if !self.has_database(&at.name).await? {
            return Ok(Vec::new());
        }
        self.drop_by_force(&at.name).await?;
        Ok(vec![format!("database {at}")])
    }

    /// Removes what [`Self::create_owned`] created for this owner.
    pub(in crate::database) async fn remove_owned(
        at: &ServerDatabase,
        owner: &str,
    ) -> Result<Vec<String>, DatabaseError> {
        let server = server(at)?;
        let removed = server.remove_all_of(at, owner).await;
        server.handle.close().await;
        removed
    }

    async fn remove_all_of(&self, at: &ServerDatabase, owner: &str) -> Result<Vec<String>, DatabaseError> {
        self.kill_sessions(owner).await?;
        if self.mark_of(&at.name).await? != Some(mark(owner)) {
            return Ok(Vec::new());
        }
        self.drop_by_force(&at.name).await?;
        Ok(vec![format!("database {at}")])
    }

    /// Removes the empty databases of owners whose names begin with `owners` and who are not `known`. Returns
    /// what was removed.
    pub(in crate::database) async fn sweep(
        at: &ServerDatabase,
        owners: &str,
        known: &(dyn Fn(&str) -> bool + Sync),
    ) -> Result<Vec<String>, DatabaseError> {
        let server = server(at)?;
        let removed = server.sweep_databases(at, owners, known).await;
        server.handle.close().await;
        removed
    }

    async fn sweep_databases(
        &self,
        at: &ServerDatabase,
        owners: &str,
        known: &(dyn Fn(&str) -> bool + Sync),
    ) -> Result<Vec<String>, DatabaseError> {
        let mut removed = Vec::new();
        if !self.has_comments().await? {
            return Ok(removed);
        }
        let rows = self.handle.query(&databases_marked(&mark(owners))).await?;
        for (name, owner) in marked_rows(&rows) {
            if !known(owner) && self.handle.query(&contents_of(name)).await?.is_empty() {
                self.kill_sessions(owner).await?;
                self.drop_database(&quoted(name)?).await?;
                removed.push(format!("database {}", at.sibling(name)));
            }
        }
        Ok(removed)
    }

    /// Kills the sessions whose statement contains the owner's name, and waits until they have ended.
    async fn kill_sessions(&self, owner: &str) -> Result<(), DatabaseError> {
        let begun = Instant::now();
        loop {
            let all = self.handle.query(&show("SHOW FULL PROCESSLIST".to_owned())).await?;
            let sessions = sessions_at(owner, &all);
            if sessions.is_empty() {
                return Ok(());
            }
            if begun.elapsed() > SESSION_END_TIMEOUT {
                return Err(DatabaseError::Busy(format!(
                    "{}: a session that this host left behind in a crash is still creating a database for \
                     {owner}, and does not end",
                    self.at().server,
                )));
            }
            for id in sessions {
                // It may have ended by itself.
                let _ = self.handle.batch(&format!("KILL {id}")).await;
            }
            tokio::time::sleep(SESSION_END_POLL).await;
        }
    }

    /// Whether databases can have comments: in MariaDB since 10.5.
    async fn has_comments(&self) -> Result<bool, DatabaseError> {
        let query = Query::select().expr_as(Expr::cust("version()"), "version").to_owned();
        let rows = self.handle.query(&query.render(Engine::Mysql)).await?;
        let Some(version) = rows.first().and_then(|row| row.text("version")) else {
            return Ok(false);
        };
        // Some servers prefix their version with one that old replicas accept.
        let mut numbers =
            version.trim_start_matches("5.5.5-").split('.').map(|number| number.parse::<u32>().ok());
        let number = (numbers.next().flatten(), numbers.next().flatten());
        Ok(version.contains("MariaDB") && number >= (Some(10), Some(5)))
    }

    async fn create_database(&self, at: &ServerDatabase, owner: Option<&str>) -> Result<(), DatabaseError> {
        let mut sql = format!("CREATE DATABASE {} CHARACTER SET utf8mb4", quoted(&at.name)?);
        if let Some(owner) = owner
            && self.has_comments().await?
        {
            sql.push_str(&format!(" COMMENT '{}'", mark(owner).replace('\'', "''")));
        }
        let made = self.handle.batch(&sql).await;
        made.map_err(|failed| match failed {
            DatabaseError::Exists(_) => DatabaseError::Exists(format!(
                "cannot create the database {at}: there is one of this name already"
            )),
            other => other,
        })
    }

    /// Drops a database after killing its sessions, whose transactions would delay that.
    async fn drop_by_force(&self, name: &str) -> Result<(), DatabaseError> {
        let holds = |row: &Row| row.text("db") == Some(name);
        for row in self.handle.query(&show("SHOW PROCESSLIST".to_owned())).await?.into_iter().filter(holds) {
            if let Some(Value::Integer(id)) = row.get("Id") {
                // It may have ended by itself, or this user may not kill it.
                let _ = self.handle.batch(&format!("KILL {id}")).await;
            }
        }
        self.drop_database(&quoted(name)?).await
    }

    async fn drop_database(&self, quoted: &str) -> Result<(), DatabaseError> {
        self.handle.batch(&format!("DROP DATABASE IF EXISTS {quoted}")).await
    }

    async fn has_database(&self, name: &str) -> Result<bool, DatabaseError> {
        let query = Query::select()
            .expr_as(Expr::val(1), "one")
            .from((Alias::new("information_schema"), Alias::new("schemata")))
            .and_where(Expr::col("schema_name").eq(name))
            .to_owned();
        Ok(!self.handle.query(&query.render(Engine::Mysql)).await?.is_empty())
    }

    async fn mark_of(&self, name: &str) -> Result<Option<String>, DatabaseError> {
        let (database, table) = (quoted(name)?, quoted(MARK_TABLE)?);
        if self.has_comments().await? {
            let query = Query::select()
                .expr_as(Expr::col("schema_comment"), "comment")
                .from((Alias::new("information_schema"), Alias::new("schemata")))
                .and_where(Expr::col("schema_name").eq(name))
                .to_owned();
            match self.handle.query(&query.render(Engine::Mysql)).await?.first().map(|row| row.get("comment"))
            {
                None => return Ok(None),
                Some(Some(Value::Text(comment))) if !comment.is_empty() => return Ok(Some(comment.clone())),
                // It was created before databases had comments.
                Some(_) => {}
            }
        }
        let found = show(format!("SHOW TABLES FROM {database} LIKE '\\{MARK_TABLE}'"));
        match self.handle.query(&found).await {
            Ok(tables) if tables.is_empty() => return Ok(None),
            Err(DatabaseError::Missing(_)) => return Ok(None),
            found => found?,
        };
        let rows = self.handle.query(&show(format!("SHOW CREATE TABLE {database}.{table}"))).await?;
        let made = rows.first().and_then(|row| row.text("Create Table")?.rsplit_once(" COMMENT='"));
        Ok(made.map(|(_, comment)| comment.trim_end_matches('\'').replace("''", "'")))
    }

    /// Whether the database carries any owner's mark.
    pub(in crate::database) async fn is_owned(&self) -> Result<bool, DatabaseError> {
        Ok(self.mark_of(&self.at().name).await?.is_some_and(|comment| comment.starts_with(&mark(""))))
    }
}

/// A `SHOW` statement, which the server answers without a temporary table, even with a full disk.
fn show(sql: String) -> Rendered {
    Rendered { sql, ..Rendered::default() }
}

/// Returns a handle to the server without a database.
fn server(at: &ServerDatabase) -> Result<Mysql, DatabaseError> {
    quoted(&at.name)?;
    Ok(Mysql { handle: DatabaseHandle::new(&at.sibling("")) })
}

/// The sessions whose statement contains the owner's name.
fn sessions_at(owner: &str, all: &[Row]) -> Vec<i64> {
    let at_work = |row: &&Row| row.text("Info").is_some_and(|statement| statement.contains(owner));
    let ids = all.iter().filter(at_work).filter_map(|row| match row.get("Id") {
        Some(Value::Integer(id)) => Some(*id),
        _ => None,
    });
    ids.collect()
}

/// Selects the databases whose comment begins with this.
fn databases_marked(beginning: &str) -> Rendered {
    let fits = Expr::cust_with_values("LOCATE(?, schema_comment) = 1", [beginning]);
    let mut query = Query::select();
    query
        .expr_as(Expr::col("schema_name"), "name")
        .expr_as(Expr::col("schema_comment"), "comment")
        .from((Alias::new("information_schema"), Alias::new("schemata")))
        .and_where(fits);
    query.render(Engine::Mysql)
}

/// Selects anything in a database but the mark.
fn contents_of(database: &str) -> Rendered {
    let tables = "SELECT 1 AS one FROM information_schema.tables WHERE table_schema = ? AND table_name <> ?";
    let routines = "SELECT 1 FROM information_schema.routines WHERE routine_schema = ?";
    let events = "SELECT 1 FROM information_schema.events WHERE event_schema = ?";
    let values = [database, MARK_TABLE, database, database];
    Rendered {
        sql: format!("{tables} UNION ALL {routines} UNION ALL {events}"),
        values: values.map(sea_query::Value::from).into(),
        ..Rendered::default()
    }
}
