//! Creates and drops databases on a server, each marked with its owner.
//!
//! A database is created under a name that contains its owner (`nbapps-<owner>`), gets the owner's mark as
//! its comment, and is renamed last: it is distinguishable from everybody else's at every moment. What a
//! crash leaves under such a name never held any data.

use sea_query::{Expr, ExprTrait, Query};
use tokio::time::Instant;

use super::{Postgres, comment_of, literal, quoted, schema};
use crate::database::server::{SESSION_END_POLL, SESSION_END_TIMEOUT, ServerDatabase, mark, marked_rows};
use crate::database::{DatabaseError, Engine, Rendered, Row, Statement, Value};

/// Databases to connect to while another is created or dropped, the usual one first.
const MAINTENANCE: [&str; 2] = ["postgres", "template1"];
/// The prefix of a database's name while it is being created.
const UNFINISHED_PREFIX: &str = "nbapps-";

impl Postgres {
    /// Creates the database and opens it; the user needs the privilege `CREATEDB`.
    pub(in crate::database) async fn create(at: &ServerDatabase) -> Result<Self, DatabaseError> {
        if let Some(schema) = &at.schema {
            return Self::create_schema(at, schema, None).await;
        }
        let maintenance = maintenance(at).await?;
        let made = maintenance.create_database(at, at).await;
        maintenance.handle.close().await;
        made?;
        Self::open(at).await
    }

    /// Creates the database with its owner's mark, and opens it.
    pub(in crate::database) async fn create_owned(
        at: &ServerDatabase,
        owner: &str,
    ) -> Result<Self, DatabaseError> {
        if let Some(schema) = &at.schema {
            return Self::create_schema(at, schema, Some(owner)).await;
        }
        let maintenance = maintenance(at).await?;
        let made = maintenance.create_marked(at, owner).await;
        maintenance.handle.close().await;
        made?;
        Self::open(at).await
    }

    /// Opens the database, unless another database of the server that the user may connect to says that it
    /// does not exist.
    pub(in crate::database) async fn open_if_present(at: &ServerDatabase) -> Result<Self, DatabaseError> {
        let whole = at.sibling(&at.name);
        if let Ok(Some(other)) = usual_maintenance(&whole, &mut Vec::new()).await {
            let found = other.handle.query(&database_named(&at.name)).await;
            other.handle.close().await;
            if found?.is_empty() {
                return Err(DatabaseError::Missing(format!("there is no database {whole}")));
            }
        }
        Self::open(at).await
    }

    async fn create_marked(&self, at: &ServerDatabase, owner: &str) -> Result<(), DatabaseError> {
        let (first, name) = (at.sibling(&unfinished(owner)), quoted(&at.name)?);
        let at_first = quoted(&first.name)?;
        self.create_database(&first, at).await?;
        let mark = format!("COMMENT ON DATABASE {at_first} IS {}", literal(&mark(owner)));
        let made = match self.run_alone(&mark).await {
            Ok(()) => self.run_alone(&format!("ALTER DATABASE {at_first} RENAME TO {name}")).await,
            failed => failed,
        };
        if made.is_err() {
            self.drop_database(&at_first).await?;
        }
        made.map_err(|failed| creation_error(at, failed))
    }

    /// Drops the database and terminates its other sessions.
    pub(in crate::database) async fn remove(at: &ServerDatabase) -> Result<Vec<String>, DatabaseError> {
        if let Some(schema) = &at.schema {
            return Self::remove_schema(at, schema, |_| true).await;
        }
        let maintenance = maintenance(at).await?;
        let removed = maintenance.remove_where(at, None).await;
        maintenance.handle.close().await;
        removed
    }

    /// Removes what [`Self::create_owned`] created for this owner, even if it was interrupted. First
    /// terminates a session that is still creating it for a client that is gone.
    pub(in crate::database) async fn remove_owned(
        at: &ServerDatabase,
        owner: &str,
    ) -> Result<Vec<String>, DatabaseError> {
        let wanted = mark(owner);
        if let Some(schema) = &at.schema {
            let database = Self::open(&at.sibling(&at.name)).await?;
            let ended = database.terminate_sessions(owner).await;
            database.handle.close().await;
            ended?;
            return Self::remove_schema(at, schema, |comment| comment == wanted).await;
        }
        let maintenance = maintenance(at).await?;
        let removed = maintenance.remove_all_of(at, owner).await;
        maintenance.handle.close().await;
        removed
    }

    async fn remove_all_of(&self, at: &ServerDatabase, owner: &str) -> Result<Vec<String>, DatabaseError> {
        self.terminate_sessions(owner).await?;
        let mut removed = self.remove_where(&at.sibling(&unfinished(owner)), None).await?;
        removed.extend(self.remove_where(at, Some(&mark(owner))).await?);
        Ok(removed)
    }

    /// Removes databases that interrupted creations left behind: those of owners whose names begin with
    /// `owners` and who are not `known`, if nothing is in them. Returns what was removed.
    pub(in crate::database) async fn sweep(
        at: &ServerDatabase,
        owners: &str,
        known: &(dyn Fn(&str) -> bool + Sync),
    ) -> Result<Vec<String>, DatabaseError> {
        let maintenance = maintenance(&at.sibling(&at.name)).await?;
        let removed = maintenance.sweep_databases(at, owners, known).await;
        maintenance.handle.close().await;
        removed
    }

    async fn sweep_databases(
        &self,
        at: &ServerDatabase,
        owners: &str,
        known: &(dyn Fn(&str) -> bool + Sync),
    ) -> Result<Vec<String>, DatabaseError> {
        let mut removed = Vec::new();
        let broken_off = self.handle.query(&databases_named(&unfinished(owners))).await?;
        for name in texts(&broken_off, "name") {
            let owner = name.strip_prefix(UNFINISHED_PREFIX).unwrap_or_default();
            if !known(owner) {
                self.terminate_sessions(owner).await?;
                removed.extend(self.remove_where(&at.sibling(&name), None).await?);
            }
        }
        let rows = self.handle.query(&databases_marked(&mark(owners))).await?;
        for (name, owner) in marked_rows(&rows) {
            let place = at.sibling(name);
            if !known(owner) && is_empty(&place).await? {
                // Without force: a connected client has a reason to be.
                self.run_alone(&format!("DROP DATABASE IF EXISTS {}", quoted(name)?)).await?;
                removed.push(format!("database {place}"));
            }
        }
        Ok(removed)
    }

    /// Removes the schemas of a database as [`Self::sweep`] does databases.
    pub(in crate::database) async fn sweep_schemas(
        at: &ServerDatabase,
        owners: &str,
        known: &(dyn Fn(&str) -> bool + Sync),
    ) -> Result<Vec<String>, DatabaseError> {
        let database = Self::open(&at.sibling(&at.name)).await?;
        let swept = database.sweep_own_schemas(at, owners, known).await;
        database.handle.close().await;
        swept
    }

    async fn sweep_own_schemas(
        &self,
        at: &ServerDatabase,
        owners: &str,
        known: &(dyn Fn(&str) -> bool + Sync),
    ) -> Result<Vec<String>, DatabaseError> {
        let mut removed = Vec::new();
        let rows = self.handle.query(&schema::marked(&mark(owners))).await?;
        for (name, owner) in marked_rows(&rows) {
            if known(owner) {
                continue;
            }
            // `RESTRICT` fails if anything is in the schema.
            if self.run_alone(&format!("DROP SCHEMA {} RESTRICT", quoted(name)?)).await.is_ok() {
                removed.push(at.with_schema(name).to_string());
            }
        }
        Ok(removed)
    }

    /// Terminates the sessions whose statement contains the owner's name, and waits until they have ended.
    async fn terminate_sessions(&self, owner: &str) -> Result<(), DatabaseError> {
        let begun = Instant::now();
        loop {
            let ended = self.handle.query(&terminate_sessions_of(owner)).await?;
            if ended.is_empty() {
                return Ok(());
            }
            if begun.elapsed() > SESSION_END_TIMEOUT {
                return Err(DatabaseError::Busy(format!(
                    "{}: a session that this host left behind in a crash is still creating {}{owner}, and \
                     does not end",
                    self.at().server,
                    UNFINISHED_PREFIX,
                )));
            }
            tokio::time::sleep(SESSION_END_POLL).await;
        }
    }

    /// Creates the database `at`; errors name the one that is `meant`. Its template is `template0`, which
    /// nobody changes or connects to, and its encoding and collation hold every text and compare by code
    /// point, as on the other engines.
    async fn create_database(
        &self,
        at: &ServerDatabase,
        meant: &ServerDatabase,
    ) -> Result<(), DatabaseError> {
        let rows = self.handle.query(&template()).await?;
        let template = rows.first();
        // The character classification is the server's, if that is for UTF-8.
        let character_type = match template.and_then(|row| row.text("encoding")) {
            Some("UTF8") => template.and_then(|row| row.text("ctype")).unwrap_or("C"),
            _ => "C",
        };
        let has_providers = template.and_then(|row| row.text("providers")) == Some("yes");
        let sql = format!(
            "CREATE DATABASE {} TEMPLATE template0 ENCODING 'UTF8'{} LC_COLLATE 'C' LC_CTYPE {}",
            quoted(&at.name)?,
            if has_providers { " LOCALE_PROVIDER libc" } else { "" },
            literal(character_type),
        );
        self.run_alone(&sql).await.map_err(|failed| creation_error(meant, failed))
    }

    /// Drops a database if it exists and has the `wanted` comment, if one is given.
    async fn remove_where(
        &self,
        at: &ServerDatabase,
        wanted: Option<&str>,
    ) -> Result<Vec<String>, DatabaseError> {
        let Some(comment) = self.comment(&comment_of(&at.name)).await? else { return Ok(Vec::new()) };
        if wanted.is_some_and(|wanted| wanted != comment) {
            return Ok(Vec::new());
        }
        self.drop_database(&quoted(&at.name)?).await?;
        Ok(vec![format!("database {at}")])
    }

    async fn drop_database(&self, quoted: &str) -> Result<(), DatabaseError> {
        self.run_alone(&format!("DROP DATABASE IF EXISTS {quoted} WITH (FORCE)")).await
    }
}

/// Connects to any other database that the user may connect to: a usual one, one with the user's name, or one
/// that this database lists.
async fn maintenance(at: &ServerDatabase) -> Result<Postgres, DatabaseError> {
    let mut refused = Vec::new();
    if let Some(found) = usual_maintenance(at, &mut refused).await? {
        return Ok(found);
    }
    if let Some(found) = first_admitting(at, neighbours(at).await, &mut refused).await? {
        return Ok(found);
    }
    Err(DatabaseError::Denied(format!(
        "the user {} may connect to no database on {} from which to create and drop others; tried {}; \
         an administrator allows it with: GRANT CONNECT ON DATABASE postgres TO {}",
        at.server.user,
        at.server,
        refused.join(", "),
        quoted(&at.server.user)?
    )))
}

/// Connects to one of the databases that most servers have, other than this one; adds those that refuse to
/// `refused`.
async fn usual_maintenance(
    at: &ServerDatabase,
    refused: &mut Vec<String>,
) -> Result<Option<Postgres>, DatabaseError> {
    quoted(&at.name)?;
    let mut names: Vec<String> = MAINTENANCE.map(str::to_owned).into();
    names.push(at.server.user.clone());
    names.retain(|name| *name != at.name);
    first_admitting(at, names, refused).await
}

/// Connects to the first of these databases that admits the user.
async fn first_admitting(
    at: &ServerDatabase,
    names: Vec<String>,
    refused: &mut Vec<String>,
) -> Result<Option<Postgres>, DatabaseError> {
    for name in names {
        match Postgres::open(&at.sibling(&name)).await {
            Err(DatabaseError::Denied(_) | DatabaseError::Missing(_)) => refused.push(name),
            other => return other.map(Some),
        }
    }
    Ok(None)
}

/// The databases on the same server that the user may connect to, as far as this one can be asked.
async fn neighbours(at: &ServerDatabase) -> Vec<String> {
    let Ok(itself) = Postgres::open(&at.sibling(&at.name)).await else { return Vec::new() };
    let open = "datallowconn AND datname <> current_database() AND has_database_privilege(oid, 'CONNECT')";
    let query = Query::select()
        .expr_as(Expr::cust("datname::text"), "name")
        .from("pg_database")
        .and_where(Expr::cust(open))
        .to_owned();
    let rows = itself.handle.query(&query.render(Engine::Postgres)).await.unwrap_or_default();
    itself.handle.close().await;
    texts(&rows, "name")
}

/// Whether a database holds nothing that a user created.
async fn is_empty(at: &ServerDatabase) -> Result<bool, DatabaseError> {
    let database = match Postgres::open(at).await {
        Ok(database) => database,
        // Nobody can tell.
        Err(DatabaseError::Denied(_) | DatabaseError::Missing(_)) => return Ok(false),
        Err(error) => return Err(error),
    };
    let anything = "EXISTS (SELECT 1 FROM pg_class WHERE oid >= 16384) OR EXISTS (SELECT 1 FROM pg_proc WHERE oid >= 16384) \
        OR EXISTS (SELECT 1 FROM pg_type WHERE oid >= 16384) OR EXISTS (SELECT 1 FROM pg_largeobject_metadata) \
        OR EXISTS (SELECT 1 FROM pg_namespace WHERE oid >= 16384)";
    let query = Query::select().expr_as(Expr::cust(anything), "anything").to_owned();
    let rows = database.handle.query(&query.render(Engine::Postgres)).await;
    database.handle.close().await;
    Ok(matches!(rows?.first().and_then(|row| row.get("anything")), Some(Value::Bool(false))))
}

fn creation_error(at: &ServerDatabase, failed: DatabaseError) -> DatabaseError {
    match failed {
        DatabaseError::Exists(_) => DatabaseError::Exists(format!(
            "cannot create the database {at}: there is one of this name already"
        )),
        DatabaseError::Denied(_) => DatabaseError::Denied(format!(
            "the user {user} may not create databases on {server}; a superuser allows it with: \
             ALTER ROLE {role} CREATEDB",
            user = at.server.user,
            server = at.server,
            role = quoted(&at.server.user).unwrap_or_default(),
        )),
        other => other,
    }
}

/// The name of a database while it is being created for this owner.
fn unfinished(owner: &str) -> String {
    format!("{UNFINISHED_PREFIX}{owner}")
}

/// Selects the template's encoding, and whether the server has locale providers (since version 15).
fn template() -> Rendered {
    let providers = "CASE WHEN current_setting('server_version_num')::int >= 150000 THEN 'yes' ELSE 'no' END";
    Query::select()
        .expr_as(Expr::cust("pg_encoding_to_char(encoding)::text"), "encoding")
        .expr_as(Expr::cust("datctype::text"), "ctype")
        .expr_as(Expr::cust(providers), "providers")
        .from("pg_database")
        .and_where(Expr::col("datname").eq("template0"))
        .to_owned()
        .render(Engine::Postgres)
}

/// Terminates the sessions of the same user whose statement contains this text. The statements of other users
/// are not visible, and idle sessions are left alone.
fn terminate_sessions_of(owner: &str) -> Rendered {
    let theirs = "pid <> pg_backend_pid() AND usename = current_user AND state <> 'idle' AND position($1 in query) > 0";
    Query::select()
        .expr_as(Expr::cust("pg_terminate_backend(pid)"), "ended")
        .from("pg_stat_activity")
        .and_where(Expr::cust_with_values(theirs, [owner]))
        .to_owned()
        .render(Engine::Postgres)
}

fn database_named(name: &str) -> Rendered {
    let mut select = Query::select();
    select.expr_as(Expr::cust("datname::text"), "name").from("pg_database");
    select.and_where(Expr::col("datname").eq(name)).render(Engine::Postgres)
}

fn databases_named(beginning: &str) -> Rendered {
    let condition = Expr::cust_with_values("starts_with(datname::text, $1)", [beginning]);
    let mut select = Query::select();
    select.expr_as(Expr::cust("datname::text"), "name").from("pg_database").and_where(condition);
    select.render(Engine::Postgres)
}

fn databases_marked(beginning: &str) -> Rendered {
    let comment = "shobj_description(oid, 'pg_database')";
    let condition =
        Expr::cust_with_values(format!("datallowconn AND starts_with({comment}, $1)"), [beginning]);
    let mut select = Query::select();
    select
        .expr_as(Expr::cust("datname::text"), "name")
        .expr_as(Expr::cust(comment), "comment")
        .from("pg_database")
        .and_where(condition);
    select.render(Engine::Postgres)
}

fn texts(rows: &[Row], column: &str) -> Vec<String> {
    rows.iter().filter_map(|row| row.text(column)).map(str::to_owned).collect()
}
