//! A schema that stands for a database: its tables are its own, its connections those of the
//! database around it.

use sea_query::{Expr, ExprTrait, Query};

use super::connection::within_patience;
use super::{Postgres, literal, quoted};
use crate::database::server::ServerDatabase;
use crate::database::server::mark;
use crate::database::{DatabaseError, Engine, Rendered, Statement};

impl Postgres {
    /// Makes the schema, marked as its owner's, and opens it; the user must have the right `CREATE`
    /// in the database.
    pub(super) async fn create_schema(
        at: &ServerDatabase,
        schema: &str,
        owner: Option<&str>,
    ) -> Result<Self, DatabaseError> {
        let name = quoted(schema)?;
        let postgres = Self::to(at);
        let mut make = format!("CREATE SCHEMA {name}");
        if let Some(owner) = owner {
            // Both in one message are one transaction.
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

    /// Nothing, when the schema is there.
    pub(super) async fn require_schema(&self, schema: &str) -> Result<(), DatabaseError> {
        let missing = || DatabaseError::Missing(format!("there is no {}", self.at()));
        self.comment(&comment_of(schema)).await?.map(drop).ok_or_else(missing)
    }

    /// Removes the schema with everything in it, if there is one and its comment fits.
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
            postgres.run_alone(&within_patience(&format!("DROP SCHEMA IF EXISTS {name} CASCADE"))).await?;
            Ok(vec![at.to_string()])
        };
        let removed = removed.await;
        postgres.handle.close().await;
        removed
    }
}

/// The question for a schema of this name, and its comment.
pub(super) fn comment_of(schema: &str) -> Rendered {
    let comment = Expr::cust("obj_description(oid, 'pg_namespace')");
    let mut question = Query::select();
    question.expr_as(comment, "comment").from("pg_namespace").and_where(Expr::col("nspname").eq(schema));
    question.render(Engine::Postgres)
}

/// The question for the schemas whose comment begins so.
pub(super) fn marked(beginning: &str) -> Rendered {
    let comment = "obj_description(oid, 'pg_namespace')";
    let mut question = Query::select();
    question
        .expr_as(Expr::cust("nspname::text"), "name")
        .expr_as(Expr::cust(comment), "comment")
        .from("pg_namespace")
        .and_where(Expr::cust_with_values(format!("starts_with({comment}, $1)"), [beginning]));
    question.render(Engine::Postgres)
}

/// Ends the connections whose transactions hold something in a schema, as `DROP DATABASE` does by
/// force with all that are in the database.
fn end_transactions_in(schema: &str) -> Rendered {
    let ended = "pg_terminate_backend(pid) FROM (SELECT DISTINCT l.pid FROM pg_locks l \
                 JOIN pg_class c ON c.oid = l.relation JOIN pg_namespace n ON n.oid = c.relnamespace \
                 WHERE l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) \
                 AND l.pid <> pg_backend_pid() AND n.nspname = $1) AS holding";
    Query::select().expr(Expr::cust_with_values(ended, [schema])).to_owned().render(Engine::Postgres)
}

/// Bytes of everything in a schema.
pub(super) fn size_of(schema: &str) -> Expr {
    let sum = "(SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint FROM pg_class c \
               JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'm') AND n.nspname = $1)";
    Expr::cust_with_values(sum, [schema])
}
