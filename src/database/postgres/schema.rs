//! Schemas in place of databases: a schema has tables of its own, and shares the connections of the database
//! that it is in.

use sea_query::{Expr, ExprTrait, Query};

use super::connection::with_lock_timeout;
use super::{Postgres, literal, quoted};
use crate::database::server::ServerDatabase;
use crate::database::server::mark;
use crate::database::{DatabaseError, Engine, Rendered, Statement};

impl Postgres {
    /// Creates the schema, with its owner's mark, and opens it; the user needs the privilege `CREATE` on the
    /// database.
    pub(super) async fn create_schema(
        at: &ServerDatabase,
        schema: &str,
        owner: Option<&str>,
    ) -> Result<Self, DatabaseError> {
        let name = quoted(schema)?;
        let postgres = Self::to(at);
        let mut make = format!("CREATE SCHEMA {name}");
        if let Some(owner) = owner {
            // Both in one message are a single transaction.
            make.push_str(&format!("; COMMENT ON SCHEMA {name} IS {}", literal(&mark(owner))));
        }
        match postgres.run_alone(&make).await {
            Ok(()) => Ok(postgres),
            Err(failed) => {
                postgres.handle.close().await;
                Err(match failed {
                    DatabaseError::Exists(_) => DatabaseError::Exists(format!(
                        "cannot create {at}: there is one of this name already"
                    )),
                    DatabaseError::Denied(_) => DatabaseError::Denied(format!(
                        "the user {user} may not create schemas in {name}; its owner allows it with: GRANT CREATE \
                         ON DATABASE {database} TO {role}",
                        user = at.server.user,
                        name = at.name,
                        database = quoted(&at.name)?,
                        role = quoted(&at.server.user)?,
                    )),
                    other => other,
                })
            }
        }
    }

    /// Fails if the schema does not exist.
    pub(super) async fn require_schema(&self, schema: &str) -> Result<(), DatabaseError> {
        let missing = || DatabaseError::Missing(format!("there is no {}", self.at()));
        self.comment(&comment_of(schema)).await?.map(drop).ok_or_else(missing)
    }

    /// Drops the schema with everything in it, if it exists and `fits` accepts its comment.
    pub(super) async fn remove_schema(
        at: &ServerDatabase,
        schema: &str,
        fits: impl FnOnce(&str) -> bool,
    ) -> Result<Vec<String>, DatabaseError> {
        let name = quoted(schema)?;
        let postgres = Self::to(at);
        let removed = async {
            let Some(comment) = postgres.comment(&comment_of(schema)).await? else { return Ok(Vec::new()) };
            if !fits(&comment) {
                return Ok(Vec::new());
            }
            postgres.handle.query(&end_transactions_in(schema)).await?;
            postgres.run_alone(&with_lock_timeout(&format!("DROP SCHEMA IF EXISTS {name} CASCADE"))).await?;
            Ok(vec![at.to_string()])
        };
        let removed = removed.await;
        postgres.handle.close().await;
        removed
    }
}

/// Selects the schema of this name, with its comment.
pub(super) fn comment_of(schema: &str) -> Rendered {
    let comment = Expr::cust("obj_description(oid, 'pg_namespace')");
    let mut query = Query::select();
    query.expr_as(comment, "comment").from("pg_namespace").and_where(Expr::col("nspname").eq(schema));
    query.render(Engine::Postgres)
}

/// Selects the schemas whose comment begins with this.
pub(super) fn marked(beginning: &str) -> Rendered {
    let comment = "obj_description(oid, 'pg_namespace')";
    let mut query = Query::select();
    query
        .expr_as(Expr::cust("nspname::text"), "name")
        .expr_as(Expr::cust(comment), "comment")
        .from("pg_namespace")
        .and_where(Expr::cust_with_values(format!("starts_with({comment}, $1)"), [beginning]));
    query.render(Engine::Postgres)
}

/// Terminates the sessions whose transactions hold a lock in a schema, as `DROP DATABASE ... WITH (FORCE)`
/// does with all sessions in the database.
fn end_transactions_in(schema: &str) -> Rendered {
    let ended = "pg_terminate_backend(pid) FROM (SELECT DISTINCT l.pid FROM pg_locks l \
                 JOIN pg_class c ON c.oid = l.relation JOIN pg_namespace n ON n.oid = c.relnamespace \
                 WHERE l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) \
                 AND l.pid <> pg_backend_pid() AND n.nspname = $1) AS holding";
    Query::select().expr(Expr::cust_with_values(ended, [schema])).to_owned().render(Engine::Postgres)
}

/// The size of everything in a schema, in bytes.
pub(super) fn size_of(schema: &str) -> Expr {
    let sum = "(SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint FROM pg_class c \
               JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'm') AND n.nspname = $1)";
    Expr::cust_with_values(sum, [schema])
}
