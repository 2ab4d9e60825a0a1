//! MySQL and MariaDB. A database carries its owner's mark as its comment from the first moment on, if the
//! server supports that (MariaDB since 10.5). For other servers, an empty table in it carries the mark as
//! well.

mod connection;
mod error;
mod value;

use std::time::Duration;

use sea_query::{Alias, Expr, ExprTrait, Order, Query};

use tokio::time::Instant;

use super::server::{self as on_servers, Handle, ServerDatabase, mark, marked_rows};
use super::{DatabaseError, Engine, Rendered, Row, Statement, Value};
use connection::MysqlConnection;

pub(super) type Transaction = on_servers::Transaction<MysqlConnection>;

/// The table whose comment is the owner's mark.
const MARK_TABLE: &str = "_nbapps";
/// The timeout for a killed session without a client to end, and the interval at which it is checked.
const DEAD_SESSION: Duration = Duration::from_secs(30);
const DEAD_SESSION_PAUSE: Duration = Duration::from_millis(50);

/// An open MySQL or MariaDB database.
#[derive(Debug, Clone)]
pub(super) struct Mysql {
    handle: Handle<MysqlConnection>,
}

/// Selects the names of all tables but that of the mark.
pub(super) fn table_names() -> Rendered {
    Query::select()
        .expr_as(Expr::col("table_name"), "name")
        .from((Alias::new("information_schema"), Alias::new("tables")))
        .and_where(Expr::col("table_schema").eq(Expr::cust("database()")))
        .and_where(Expr::col("table_name").ne(MARK_TABLE))
        .order_by("table_name", Order::Asc)
        .to_owned()
        .render(Engine::Mysql)
}

/// Selects the table of this name.
pub(super) fn table_named(name: &str) -> Rendered {
    Query::select()
        .expr_as(Expr::val(1), "one")
        .from((Alias::new("information_schema"), Alias::new("tables")))
        .and_where(Expr::col("table_schema").eq(Expr::cust("database()")))
        .and_where(Expr::col("table_name").eq(name))
        .to_owned()
        .render(Engine::Mysql)
}

/// Selects a table's index of this name.
pub(super) fn index_named(table: &str, name: &str) -> Rendered {
    Query::select()
        .expr_as(Expr::val(1), "one")
        .from((Alias::new("information_schema"), Alias::new("statistics")))
        .and_where(Expr::col("table_schema").eq(Expr::cust("database()")))
        .and_where(Expr::col("table_name").eq(table))
        .and_where(Expr::col("index_name").eq(name))
        .to_owned()
        .render(Engine::Mysql)
}

/// Selects the names of a table's columns.
pub(super) fn columns_of(table: &str) -> Rendered {
    Query::select()
        .expr_as(Expr::col("column_name"), "name")
        .from((Alias::new("information_schema"), Alias::new("columns")))
        .and_where(Expr::col("table_schema").eq(Expr::cust("database()")))
        .and_where(Expr::col("table_name").eq(table))
        .order_by("ordinal_position", Order::Asc)
        .to_owned()
        .render(Engine::Mysql)
}

impl Mysql {
    /// Creates the database and opens it.
    pub(super) async fn create(at: &ServerDatabase) -> Result<Self, DatabaseError> {
        let server = server(at)?;
        let made = server.make(at, None).await;
        server.handle.close().await;
        made?;
        Self::open(at).await
    }

    /// Creates the database with its owner's mark, and opens it.
    pub(super) async fn create_owned(at: &ServerDatabase, owner: &str) -> Result<Self, DatabaseError> {
        let server = server(at)?;
        let made = server.make_owned(at, owner).await;
        server.handle.close().await;
        made?;
        Self::open(at).await
    }

    async fn make_owned(&self, at: &ServerDatabase, owner: &str) -> Result<(), DatabaseError> {
        self.make(at, Some(owner)).await?;
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

    pub(super) async fn open(at: &ServerDatabase) -> Result<Self, DatabaseError> {
        quoted(&at.name)?;
        let mysql = Self { handle: Handle::new(at) };
        mysql.handle.connect().await?;
        Ok(mysql)
    }

    /// Drops the database and kills its other sessions.
    pub(super) async fn remove(at: &ServerDatabase) -> Result<Vec<String>, DatabaseError> {
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
    pub(super) async fn remove_owned(at: &ServerDatabase, owner: &str) -> Result<Vec<String>, DatabaseError> {
        let server = server(at)?;
        let removed = server.remove_all_of(at, owner).await;
        server.handle.close().await;
        removed
    }

    async fn remove_all_of(&self, at: &ServerDatabase, owner: &str) -> Result<Vec<String>, DatabaseError> {
        self.end_sessions(owner).await?;
        if self.mark_of(&at.name).await? != Some(mark(owner)) {
            return Ok(Vec::new());
        }
        self.drop_by_force(&at.name).await?;
        Ok(vec![format!("database {at}")])
    }

    /// Removes the empty databases of owners whose names begin with `owners` and who are not `known`. Returns
    /// what was removed.
    pub(super) async fn sweep(
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
            if !known(owner) && self.handle.query(&things_in(name)).await?.is_empty() {
                self.end_sessions(owner).await?;
                self.drop_database(&quoted(name)?).await?;
                removed.push(format!("database {}", at.beside(name)));
            }
        }
        Ok(removed)
    }

    /// Kills the sessions whose statement contains the owner's name, and waits until they have ended.
    async fn end_sessions(&self, owner: &str) -> Result<(), DatabaseError> {
        let begun = Instant::now();
        loop {
            let all = self.handle.query(&shown("SHOW FULL PROCESSLIST".to_owned())).await?;
            let sessions = sessions_at(owner, &all);
            if sessions.is_empty() {
                return Ok(());
            }
            if begun.elapsed() > DEAD_SESSION {
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
            tokio::time::sleep(DEAD_SESSION_PAUSE).await;
        }
    }

    /// Whether databases can have comments: in MariaDB since 10.5.
    async fn has_comments(&self) -> Result<bool, DatabaseError> {
        let question = Query::select().expr_as(Expr::cust("version()"), "version").to_owned();
        let rows = self.handle.query(&question.render(Engine::Mysql)).await?;
        let Some(Value::Text(version)) = rows.first().and_then(|row| row.get("version")) else {
            return Ok(false);
        };
        // Some servers prefix their version with one that old replicas accept.
        let mut numbers =
            version.trim_start_matches("5.5.5-").split('.').map(|number| number.parse::<u32>().ok());
        let number = (numbers.next().flatten(), numbers.next().flatten());
        Ok(version.contains("MariaDB") && number >= (Some(10), Some(5)))
    }

    async fn make(&self, at: &ServerDatabase, owner: Option<&str>) -> Result<(), DatabaseError> {
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
        let holds = |row: &Row| matches!(row.get("db"), Some(Value::Text(db)) if db == name);
        for row in self.handle.query(&shown("SHOW PROCESSLIST".to_owned())).await?.into_iter().filter(holds) {
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
        let question = Query::select()
            .expr_as(Expr::val(1), "one")
            .from((Alias::new("information_schema"), Alias::new("schemata")))
            .and_where(Expr::col("schema_name").eq(name))
            .to_owned();
        Ok(!self.handle.query(&question.render(Engine::Mysql)).await?.is_empty())
    }

    async fn mark_of(&self, name: &str) -> Result<Option<String>, DatabaseError> {
        let (database, table) = (quoted(name)?, quoted(MARK_TABLE)?);
        if self.has_comments().await? {
            let question = Query::select()
                .expr_as(Expr::col("schema_comment"), "comment")
                .from((Alias::new("information_schema"), Alias::new("schemata")))
                .and_where(Expr::col("schema_name").eq(name))
                .to_owned();
            match self
                .handle
                .query(&question.render(Engine::Mysql))
                .await?
                .first()
                .map(|row| row.get("comment"))
            {
                None => return Ok(None),
                Some(Some(Value::Text(comment))) if !comment.is_empty() => return Ok(Some(comment.clone())),
                // It was created before databases had comments.
                Some(_) => {}
            }
        }
        let found = shown(format!("SHOW TABLES FROM {database} LIKE '\\{MARK_TABLE}'"));
        match self.handle.query(&found).await {
            Ok(tables) if tables.is_empty() => return Ok(None),
            Err(DatabaseError::Missing(_)) => return Ok(None),
            found => found?,
        };
        let rows = self.handle.query(&shown(format!("SHOW CREATE TABLE {database}.{table}"))).await?;
        let made = rows.first().and_then(|row| match row.get("Create Table") {
            Some(Value::Text(made)) => made.rsplit_once(" COMMENT='"),
            _ => None,
        });
        Ok(made.map(|(_, comment)| comment.trim_end_matches('\'').replace("''", "'")))
    }

    /// Whether the database carries any owner's mark.
    pub(super) async fn is_owned(&self) -> Result<bool, DatabaseError> {
        Ok(self.mark_of(&self.at().name).await?.is_some_and(|comment| comment.starts_with(&mark(""))))
    }

    /// The handle for statements, transactions and closing.
    pub(super) fn handle(&self) -> &Handle<MysqlConnection> {
        &self.handle
    }

    fn at(&self) -> &ServerDatabase {
        self.handle.at()
    }

    pub(super) async fn size(&self) -> Result<u64, DatabaseError> {
        let sum = "CAST(COALESCE(SUM(data_length + index_length), 0) AS SIGNED)";
        let question = Query::select()
            .expr_as(Expr::cust(sum), "size")
            .from((Alias::new("information_schema"), Alias::new("tables")))
            .and_where(Expr::col("table_schema").eq(Expr::cust("database()")))
            .to_owned();
        let rows = self.handle.query(&question.render(Engine::Mysql)).await?;
        match rows.first().and_then(|row| row.get("size")) {
            Some(Value::Integer(size)) => Ok(u64::try_from(*size).unwrap_or(0)),
            other => Err(DatabaseError::Failed(format!("{}: its size is {other:?}", self.at()))),
        }
    }
}

/// A statement that is not prepared, so that the server answers it without a temporary table, even with a
/// full disk.
fn shown(sql: String) -> Rendered {
    Rendered { sql, ..Rendered::default() }
}

/// Returns a handle to the server without a database.
fn server(at: &ServerDatabase) -> Result<Mysql, DatabaseError> {
    quoted(&at.name)?;
    Ok(Mysql { handle: Handle::new(&at.beside("")) })
}

/// The sessions whose statement contains the owner's name.
fn sessions_at(owner: &str, all: &[Row]) -> Vec<i64> {
    let at_work = |row: &&Row| matches!(row.get("Info"), Some(Value::Text(said)) if said.contains(owner));
    let ids = all.iter().filter(at_work).filter_map(|row| match row.get("Id") {
        Some(Value::Integer(id)) => Some(*id),
        _ => None,
    });
    ids.collect()
}

/// Selects the databases whose comment begins with this.
fn databases_marked(beginning: &str) -> Rendered {
    let fits = Expr::cust_with_values("LOCATE(?, schema_comment) = 1", [beginning]);
    let mut question = Query::select();
    question
        .expr_as(Expr::col("schema_name"), "name")
        .expr_as(Expr::col("schema_comment"), "comment")
        .from((Alias::new("information_schema"), Alias::new("schemata")))
        .and_where(fits);
    question.render(Engine::Mysql)
}

/// Selects anything in a database but the mark.
fn things_in(database: &str) -> Rendered {
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

/// Checks that the server allows the database's name.
pub(super) fn check_names(at: &ServerDatabase) -> Result<(), DatabaseError> {
    quoted(&at.name).map(drop)
}

/// Quotes an identifier.
fn quoted(name: &str) -> Result<String, DatabaseError> {
    const LONGEST: usize = 64;
    let fits = (1..=LONGEST).contains(&name.chars().count())
        && !name.ends_with(' ')
        && !name.chars().any(|character| character == '\0' || character > '\u{FFFF}');
    if !fits {
        return Err(DatabaseError::InvalidName(format!(
            "\"{}\" cannot be a name in MySQL or MariaDB: it takes 1 to {LONGEST} characters of the Basic \
             Multilingual Plane, and must not end with a space",
            name.escape_default()
        )));
    }
    Ok(format!("`{}`", name.replace('`', "``")))
}
