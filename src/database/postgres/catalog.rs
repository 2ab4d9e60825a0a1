//! Statements that read PostgreSQL's catalog: tables, columns and indexes.

use sea_query::{Expr, ExprTrait, Order, Query};

use crate::database::{Engine, Rendered, Statement};

/// Selects the names of all tables in a schema; without one, in the user's current schema.
pub(in crate::database) fn table_names(schema: Option<&str>) -> Rendered {
    let schema = schema.map_or_else(|| Expr::cust("current_schema()"), Expr::val);
    let mut query = Query::select();
    query.column("tablename").from("pg_tables").and_where(Expr::col("schemaname").eq(schema));
    query.order_by("tablename", Order::Asc).to_owned().render(Engine::Postgres)
}

/// Selects the table of this name in a schema; without one, in the user's current schema.
pub(in crate::database) fn table_named(schema: Option<&str>, name: &str) -> Rendered {
    let schema = schema.map_or_else(|| Expr::cust("current_schema()"), Expr::val);
    Query::select()
        .column("tablename")
        .from("pg_tables")
        .and_where(Expr::col("schemaname").eq(schema))
        .and_where(Expr::col("tablename").eq(name))
        .to_owned()
        .render(Engine::Postgres)
}

/// Selects a table's index of this name in a schema; without one, in the user's current schema.
pub(in crate::database) fn index_named(schema: Option<&str>, table: &str, name: &str) -> Rendered {
    let schema = schema.map_or_else(|| Expr::cust("current_schema()"), Expr::val);
    Query::select()
        .column("indexname")
        .from("pg_indexes")
        .and_where(Expr::col("schemaname").eq(schema))
        .and_where(Expr::col("tablename").eq(table))
        .and_where(Expr::col("indexname").eq(name))
        .to_owned()
        .render(Engine::Postgres)
}

/// Selects the names of a table's columns in a schema; without one, in the user's current schema.
pub(in crate::database) fn columns_of(schema: Option<&str>, table: &str) -> Rendered {
    let schema = schema.map_or_else(|| Expr::cust("current_schema()"), Expr::val);
    Query::select()
        .expr_as(Expr::col("column_name").cast_as("text"), "name")
        .from(("information_schema", "columns"))
        .and_where(Expr::col("table_schema").eq(schema))
        .and_where(Expr::col("table_name").eq(table))
        .order_by("ordinal_position", Order::Asc)
        .to_owned()
        .render(Engine::Postgres)
}
