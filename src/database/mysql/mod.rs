//! MySQL and MariaDB. A database carries its owner's mark as its comment, where the server has such (MariaDB
//! since 10.5): from the first moment on. It is also the comment of an empty table in it, for the others.

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

/// The table whose comment says whom the database was made for.
const MARK_TABLE: &str = "_nbapps";
/// How long a session that has lost its client is waited for, once it was told to end, and how often
/// it is looked for.
const DEAD_SESSION: Duration = Duration::from_secs(30);
const DEAD_SESSION_PAUSE: Duration = Duration::from_millis(50);

/// An open MySQL or MariaDB database.
#[derive(Debug, Clone)]
pub(super) struct Mysql {
    handle: Handle<MysqlConnection>,
}

/// The question for all tables but that of the mark.
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

/// The question whether a table exists.
pub(super) fn table_named(name: &str) -> Rendered {
    Query::select()
        .expr_as(Expr::val(1), "one")
        .from((Alias::new("information_schema"), Alias::new("tables")))
        .and_where(Expr::col("table_schema").eq(Expr::cust("database()")))
        .and_where(Expr::col("table_name").eq(name))
        .to_owned()
        .render(Engine::Mysql)
}

/// The question whether a table has an index.
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

/// The question for the columns of a table.
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
    /// Makes the database and opens it.
    pub(super) async fn create(at: &ServerDatabase) -> Result<Self, DatabaseError> {
        let server = server(at)?;
        let made = server.make(at, None).await;
        server.handle.close().await;
        made?;
        Self::open(at).await
    }

    /// Makes the database as one that `owner` owns.
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
            // It was made just now, and nobody knows of it.
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

    /// Removes the database; connections that others still have to it are ended.
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

    /// Removes what [`Self::create_owned`] made for this owner.
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

    /// Removes what was made on the server for owners whose names begin so, who are not `known`, and has
    /// nothing in it. Gives what was removed.
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

    /// Ends the sessions whose statement has this in it, and waits until they are no more.
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
                    "{}: a session that a crash of this host left behind is still making a database for \
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

    /// Whether databases have comments here: in MariaDB since 10.5.
    async fn has_comments(&self) -> Result<bool, DatabaseError> {
        let question = Query::select().expr_as(Expr::cust("version()"), "version").to_owned();
        let rows = self.handle.query(&question.render(Engine::Mysql)).await?;
        let Some(Value::Text(version)) = rows.first().and_then(|row| row.get("version")) else {
            return Ok(false);
        };
        // Some say first what they were once taken for.
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

    /// Removes a database, by force: whoever has it open would keep it for as long as a transaction.
    async fn drop_by_force(&self, name: &str) -> Result<(), DatabaseError> {
        let holds = |row: &Row| matches!(row.get("db"), Some(Value::Text(db)) if db == name);
        for row in self.handle.query(&shown("SHOW PROCESSLIST".to_owned())).await?.into_iter().filter(holds) {
            if let Some(Value::Integer(id)) = row.get("Id") {
                // It may have ended by itself, or be one that this user may not end.
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
                // It was made before databases had comments.
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

    /// Whether it carries somebody's mark.
    pub(super) async fn is_owned(&self) -> Result<bool, DatabaseError> {
        Ok(self.mark_of(&self.at().name).await?.is_some_and(|comment| comment.starts_with(&mark(""))))
    }

    /// What statements, transactions and closing go through.
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

/// A question that the server answers without a temporary table, also when its disk is full.
fn shown(sql: String) -> Rendered {
    Rendered { sql, ..Rendered::default() }
}

/// The server, in none of its databases.
fn server(at: &ServerDatabase) -> Result<Mysql, DatabaseError> {
    quoted(&at.name)?;
    Ok(Mysql { handle: Handle::new(&at.beside("")) })
}

/// The sessions whose statement has this in it.
fn sessions_at(owner: &str, all: &[Row]) -> Vec<i64> {
    let at_work = |row: &&Row| matches!(row.get("Info"), Some(Value::Text(said)) if said.contains(owner));
    let ids = all.iter().filter(at_work).filter_map(|row| match row.get("Id") {
        Some(Value::Integer(id)) => Some(*id),
        _ => None,
    });
    ids.collect()
}

/// The question for the databases whose comment begins so.
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

/// The question for anything in a database but the mark.
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

/// Whether the database has a name that the server takes as it is.
pub(super) fn check_names(at: &ServerDatabase) -> Result<(), DatabaseError> {
    quoted(&at.name).map(drop)
}

/// A name as the server reads it whatever is in it.
fn quoted(name: &str) -> Result<String, DatabaseError> {
    const LONGEST: usize = 64;
    let fits = (1..=LONGEST).contains(&name.chars().count())
        && !name.ends_with(' ')
        && !name.chars().any(|character| character == '\0' || character > '\u{FFFF}');
    if !fits {
        return Err(DatabaseError::InvalidName(format!(
            "\"{}\" cannot be a name in MySQL or MariaDB: it takes 1 to {LONGEST} characters of the Basic \
             Multilingual Plane, the last of them no space",
            name.escape_default()
        )));
    }
    Ok(format!("`{}`", name.replace('`', "``")))
}
