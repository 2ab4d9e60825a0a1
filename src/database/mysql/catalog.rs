//! Statements that read the catalog of MySQL or MariaDB: tables, columns and indexes.

use sea_query::{Alias, Expr, ExprTrait, Order, Query};

use super::provisioning::MARK_TABLE;
use crate::database::{Engine, Rendered, Statement};

/// Selects the names of all tables but that of the mark.
pub(in crate::database) fn table_names() -> Rendered {
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
pub(in crate::database) fn table_named(name: &str) -> Rendered {
    Query::select()
        .expr_as(Expr::val(1), "one")
        .from((Alias::new("information_schema"), Alias::new("tables")))
        .and_where(Expr::col("table_schema").eq(Expr::cust("database()")))
        .and_where(Expr::col("table_name").eq(name))
        .to_owned()
        .render(Engine::Mysql)
}

/// Selects a table's index of this name.
pub(in crate::database) fn index_named(table: &str, name: &str) -> Rendered {
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
pub(in crate::database) fn columns_of(table: &str) -> Rendered {
    Query::select()
        .expr_as(Expr::col("column_name"), "name")
        .from((Alias::new("information_schema"), Alias::new("columns")))
        .and_where(Expr::col("table_schema").eq(Expr::cust("database()")))
        .and_where(Expr::col("table_name").eq(table))
        .order_by("ordinal_position", Order::Asc)
        .to_owned()
        .render(Engine::Mysql)
}
