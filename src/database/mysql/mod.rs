//! MySQL and MariaDB. A database carries its owner's mark as the comment of an empty table, since
//! MySQL's databases have no comments of their own.

mod connection;
mod error;
mod value;

use sea_query::{Alias, Expr, ExprTrait, Order, Query};

use super::server::{self, Handle, ServerDatabase};
use super::{DatabaseError, Engine, Rendered, Row, Statement, Value};
use connection::MysqlConnection;

pub(super) type Transaction = server::Transaction<MysqlConnection>;

/// The table whose comment says whom the database was made for.
const MARK_TABLE: &str = "_nbapps";

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
        on_server(at, async |server| server.make(at).await).await?;
        Self::open(at).await
    }

    /// Makes the database as one that `owner` owns.
    pub(super) async fn create_owned(at: &ServerDatabase, owner: &str) -> Result<Self, DatabaseError> {
        on_server(at, async |server| {
            server.make(at).await?;
            let name = quoted(&at.name)?;
            let mark = format!(
                "CREATE TABLE {name}.{table} (id int PRIMARY KEY) COMMENT = '{}'",
                mark(owner).replace('\'', "''"),
                table = quoted(MARK_TABLE)?,
            );
            let marked = server.handle.batch(&mark).await;
            if marked.is_err() {
                // It was made just now, and nobody knows of it.
                server.drop_database(&name).await?;
            }
            marked
        })
        .await?;
        Self::open(at).await
    }

    pub(super) async fn open(at: &ServerDatabase) -> Result<Self, DatabaseError> {
        quoted(&at.name)?;
        let mysql = Self { handle: Handle::new(at) };
        mysql.handle.connect().await?;
        Ok(mysql)
    }

    /// Removes the database; connections that others still have to it are ended.
    pub(super) async fn remove(at: &ServerDatabase) -> Result<Vec<String>, DatabaseError> {
        on_server(at, async |server| {
            if !server.has_database(&at.name).await? {
                return Ok(Vec::new());
            }
            server.drop_by_force(&at.name).await?;
            Ok(vec![format!("database {at}")])
        })
        .await
    }

    /// Removes what [`Self::create_owned`] made for this owner.
    pub(super) async fn remove_owned(at: &ServerDatabase, owner: &str) -> Result<Vec<String>, DatabaseError> {
        on_server(at, async |server| {
            if server.mark_of(&at.name).await? != Some(mark(owner)) {
                return Ok(Vec::new());
            }
            server.drop_by_force(&at.name).await?;
            Ok(vec![format!("database {at}")])
        })
        .await
    }

    async fn make(&self, at: &ServerDatabase) -> Result<(), DatabaseError> {
        let made =
            self.handle.batch(&format!("CREATE DATABASE {} CHARACTER SET utf8mb4", quoted(&at.name)?)).await;
        made.map_err(|failed| match failed {
            DatabaseError::Exists(_) => DatabaseError::Exists(format!(
                "cannot create the database {at}: there is one of this name already"
            )),
            DatabaseError::Denied(_) => error::denied(at),
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

/// Does something on the server, in none of its databases.
async fn on_server<T>(
    at: &ServerDatabase,
    work: impl AsyncFnOnce(&Mysql) -> Result<T, DatabaseError>,
) -> Result<T, DatabaseError> {
    quoted(&at.name)?;
    let server = Mysql { handle: Handle::new(&at.beside("")) };
    let done = work(&server).await;
    server.handle.close().await;
    done
}

/// The comment of the table that marks a database made for this owner.
fn mark(owner: &str) -> String {
    format!("made by nbapps, key {owner}")
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
