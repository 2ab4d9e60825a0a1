//! What a PostgreSQL server and a database on it report of themselves. Everything is read from the catalog; nothing
//! is tried out.

use super::session_mode::DatabaseState;
use super::{Postgres, quoted};
use crate::database::report::{ConnectionCounts, MissingRight, Report, Right};
use crate::database::report::{is_true, moment, number, version_number};
use crate::database::server::{DatabaseHandle, ServerDatabase};
use crate::database::{DatabaseError, Rendered, Row};

/// Selects the server's version, clock and connections, and what the user may create.
const SERVER: &str = "SELECT current_setting('server_version') AS version, clock_timestamp() AS clock, \
    current_setting('max_connections')::bigint - current_setting('superuser_reserved_connections')::bigint \
    - coalesce(current_setting('reserved_connections', true)::bigint, 0) AS allowed, \
    (SELECT sum(numbackends)::bigint FROM pg_stat_database) AS used, \
    (SELECT rolconnlimit::bigint FROM pg_roles WHERE rolname = current_user) AS allowed_to_user, \
    (SELECT rolcreatedb OR rolsuper FROM pg_roles WHERE rolname = current_user) AS creates_databases, \
    has_database_privilege(current_database(), 'CREATE') AS creates_schemas, \
    coalesce(current_schema()::text, 'public') AS schema, current_user::text AS role";

/// Selects whether the user may create tables in the schema `$1`.
const SCHEMA: &str = "SELECT has_schema_privilege(n.oid, 'USAGE') AND has_schema_privilege(n.oid, 'CREATE') AS creates \
    FROM pg_namespace n WHERE n.nspname = $1";

/// Selects the tables of the schema `$1` whose names begin with `$2` and which the user may not use or change. A
/// sequence counts for the table whose column it generates.
const TABLES: &str = "SELECT name, bool_or(is_closed) AS is_closed, bool_or(is_foreign) AS is_foreign FROM ( \
    SELECT coalesce(owning.relname, c.relname)::text AS name, NOT pg_has_role(c.relowner, 'USAGE') AS is_foreign, \
    CASE WHEN c.relkind = 'S' THEN NOT has_sequence_privilege(c.oid, 'USAGE') \
    ELSE NOT (has_table_privilege(c.oid, 'SELECT') AND has_table_privilege(c.oid, 'INSERT') \
    AND has_table_privilege(c.oid, 'UPDATE') AND has_table_privilege(c.oid, 'DELETE')) END AS is_closed \
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
    LEFT JOIN pg_depend d ON c.relkind = 'S' AND d.classid = 'pg_class'::regclass AND d.objid = c.oid \
    AND d.deptype IN ('a', 'i') LEFT JOIN pg_class owning ON owning.oid = d.refobjid \
    WHERE n.nspname = $1 AND c.relkind IN ('r', 'p', 'S')) AS tables \
    WHERE (is_closed OR is_foreign) AND starts_with(name, $2) GROUP BY name ORDER BY name";

impl Postgres {
    /// Opens the database with a connection of its own, beside those that applications share.
    pub(in crate::database) async fn open_apart(at: &ServerDatabase) -> Result<Self, DatabaseError> {
        Self { handle: DatabaseHandle::apart(at), shared: DatabaseState::of(at) }.reached().await
    }

    /// Asks for a report. `prefix` is that of the tables' names, which are reported without it.
    pub(in crate::database) async fn report(&self, prefix: &str) -> Result<Report, DatabaseError> {
        let rows = self.handle.query(&select(SERVER, &[])).await?;
        let Some(server) = rows.first() else {
            return Err(DatabaseError::Failed(format!("{} did not report its version", self.at())));
        };
        let schema = self.schema().or_else(|| server.text("schema")).unwrap_or("public").to_owned();
        let creates = self.handle.query(&select(SCHEMA, &[&schema])).await?;
        let may_create = creates.first().is_some_and(|row| is_true(row, "creates"));
        let tables = self.handle.query(&select(TABLES, &[&schema, prefix])).await?;
        let version = server.text("version").unwrap_or_default();
        Ok(Report {
            product: "PostgreSQL",
            version: version.split(' ').next().unwrap_or_default().to_owned(),
            number: version_number(version),
            clock: moment(server, "clock"),
            connections: number(server, "allowed").map(|allowed| ConnectionCounts {
                allowed,
                // -1 is a role without a limit.
                allowed_to_user: number(server, "allowed_to_user"),
                used: number(server, "used"),
            }),
            missing: Some(self.missing_rights(server, &schema, may_create, &tables, prefix)?),
            narrow_tables: Vec::new(),
        })
    }

    fn missing_rights(
        &self,
        server: &Row,
        schema: &str,
        may_create: bool,
        tables: &[Row],
        prefix: &str,
    ) -> Result<Vec<MissingRight>, DatabaseError> {
        let role = quoted(server.text("role").unwrap_or(&self.at().server.user))?;
        let (database, schema) = (quoted(&self.at().name)?, quoted(schema)?);
        let mut missing = Vec::new();
        let mut lacks = |right, grant: String| missing.push(MissingRight { right, grant });
        if !is_true(server, "creates_databases") {
            lacks(Right::CreateDatabases, format!("ALTER ROLE {role} CREATEDB"));
        }
        if !is_true(server, "creates_schemas") {
            lacks(Right::CreateSchemas, format!("GRANT CREATE ON DATABASE {database} TO {role}"));
        }
        if !may_create {
            lacks(Right::CreateTables, format!("GRANT USAGE, CREATE ON SCHEMA {schema} TO {role}"));
        }
        for row in tables {
            let Some(whole) = row.text("name") else { continue };
            let name = whole.strip_prefix(prefix).unwrap_or(whole).to_owned();
            if is_true(row, "is_closed") {
                let grant = format!(
                    "GRANT ALL ON ALL TABLES IN SCHEMA {schema} TO {role}; \
                     GRANT ALL ON ALL SEQUENCES IN SCHEMA {schema} TO {role}"
                );
                lacks(Right::UseTable(name), grant);
            } else if is_true(row, "is_foreign") {
                let table = quoted(whole)?;
                lacks(Right::ChangeTable(name), format!("ALTER TABLE {schema}.{table} OWNER TO {role}"));
            }
        }
        Ok(missing)
    }
}

fn select(sql: &str, values: &[&str]) -> Rendered {
    let values = values.iter().map(|value| sea_query::Value::from(*value)).collect();
    Rendered { sql: sql.to_owned(), values, ..Rendered::default() }
}
