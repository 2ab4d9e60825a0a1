//! Statements that read SQLite's catalog: tables, columns and indexes.

use sea_query::{Expr, ExprTrait, Func, LikeExpr, Order, Query};

use crate::database::{Engine, Rendered, Statement};

/// Selects the names of all tables but SQLite's own.
pub(in crate::database) fn table_names() -> Rendered {
    Query::select()
        .column("name")
        .from("sqlite_master")
        .and_where(Expr::col("type").eq("table"))
        .and_where(Expr::col("name").not_like(LikeExpr::new("sqlite\\_%").escape('\\')))
        .order_by("name", Order::Asc)
        .to_owned()
        .render(Engine::Sqlite)
}

/// Selects the table of this name, ignoring case.
pub(in crate::database) fn table_named(name: &str) -> Rendered {
    Query::select()
        .column("name")
        .from("sqlite_master")
        .and_where(Expr::col("type").eq("table"))
        .and_where(Expr::cust_with_values("name = ? COLLATE NOCASE", [name]))
        .to_owned()
        .render(Engine::Sqlite)
}

/// Selects a table's index of this name.
pub(in crate::database) fn index_named(table: &str, name: &str) -> Rendered {
    Query::select()
        .column("name")
        .from("sqlite_master")
        .and_where(Expr::col("type").eq("index"))
        .and_where(Expr::col("tbl_name").eq(table))
        .and_where(Expr::col("name").eq(name))
        .to_owned()
        .render(Engine::Sqlite)
}

/// Selects the names of a table's columns.
pub(in crate::database) fn columns_of(table: &str) -> Rendered {
    Query::select()
        .column("name")
        .from_function(Func::cust("pragma_table_info").arg(table), "columns")
        .order_by("cid", Order::Asc)
        .to_owned()
        .render(Engine::Sqlite)
}
