//! MySQL and MariaDB: the handle of an open database. `provisioning.rs` creates and drops databases,
//! `connection.rs` runs statements, `error.rs` translates errors, `report.rs` asks what the server says of itself.

mod catalog;
mod connection;
mod error;
mod grants;
mod provisioning;
mod report;
mod value;

use sea_query::{Alias, Expr, ExprTrait, Query};

use super::server::{self as on_servers, DatabaseHandle, ServerDatabase};
use super::{DatabaseError, Engine, Statement, Value};
use connection::MysqlConnection;

pub(super) use catalog::{columns_of, index_named, table_named, table_names};

pub(super) type Transaction = on_servers::ServerTransaction<MysqlConnection>;

/// An open MySQL or MariaDB database.
#[derive(Debug, Clone)]
pub(super) struct Mysql {
    handle: DatabaseHandle<MysqlConnection>,
}

impl Mysql {
    pub(super) async fn open(at: &ServerDatabase) -> Result<Self, DatabaseError> {
        quoted(&at.name)?;
        let mysql = Self { handle: DatabaseHandle::new(at) };
        mysql.handle.connect().await?;
        Ok(mysql)
    }

    /// The handle for statements, transactions and closing.
    pub(super) fn handle(&self) -> &DatabaseHandle<MysqlConnection> {
        &self.handle
    }

    fn at(&self) -> &ServerDatabase {
        self.handle.at()
    }

    pub(super) async fn size(&self) -> Result<u64, DatabaseError> {
        let sum = "CAST(COALESCE(SUM(data_length + index_length), 0) AS SIGNED)";
        let query = Query::select()
            .expr_as(Expr::cust(sum), "size")
            .from((Alias::new("information_schema"), Alias::new("tables")))
            .and_where(Expr::col("table_schema").eq(Expr::cust("database()")))
            .to_owned();
        let rows = self.handle.query(&query.render(Engine::Mysql)).await?;
        match rows.first().and_then(|row| row.get("size")) {
            Some(Value::Integer(size)) => Ok(u64::try_from(*size).unwrap_or(0)),
            other => Err(DatabaseError::Failed(format!("{}: its size is {other:?}", self.at()))),
        }
    }
}

/// Checks that the server allows the database's name.
pub(super) fn check_names(at: &ServerDatabase) -> Result<(), DatabaseError> {
    quoted(&at.name).map(drop)
}

/// Quotes an identifier.
fn quoted(name: &str) -> Result<String, DatabaseError> {
    const MAX_NAME: usize = 64;
    let fits = (1..=MAX_NAME).contains(&name.chars().count())
        && !name.ends_with(' ')
        && !name.chars().any(|character| character == '\0' || character > '\u{FFFF}');
    if !fits {
        return Err(DatabaseError::InvalidName(format!(
            "\"{}\" cannot be a name in MySQL or MariaDB: it takes 1 to {MAX_NAME} characters of the Basic \
             Multilingual Plane, and must not end with a space",
            name.escape_default()
        )));
    }
    Ok(format!("`{}`", name.replace('`', "``")))
}
