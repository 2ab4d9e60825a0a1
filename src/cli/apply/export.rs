//! Describes applications as a document that `nbapps apply` takes.
//!
//! Secrets are left out. Where a new application would need one, the document in TOML has a comment with a reference
//! to fill in (`toml.rs`).

use serde_json::{Map, Value};

use super::document::{AdminEntry, App, DatabaseEntry, Document, WantedState};
use super::live::{Interior, Parts};
use super::steps::Session;
use super::values::{IdleStop, LimitTable};
use super::{collections, people, roles, settings, toml};
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::client::Client;
use crate::protocol::{Application, DatabaseMode, Limit, State, Wait};
use std::sync::Arc;

/// An application as a document has it.
#[derive(Debug)]
pub(crate) struct Exported {
    pub(super) app: App,
    /// What is not in it, in a sentence.
    pub(crate) note: Option<String>,
}

/// Describes an application, with the `parts` of its inside. One that does not run, and would not start with a visit,
/// is described without its inside.
pub(crate) async fn exported(
    live: &Application,
    parts: Parts,
    context: &Context,
    client: &Arc<Client>,
    wait: Wait,
) -> Result<Exported, CliError> {
    let mut app = described(live);
    if !parts.any() {
        return Ok(Exported { app, note: None });
    }
    if !matches!(live.state, State::Running | State::Initialized) {
        let note =
            format!("{} is {}: its users, keys, roles and collections are left out", live.id, live.state);
        return Ok(Exported { app, note: Some(note) });
    }
    let session = Session { context: context.clone(), client: Arc::clone(client), id: live.id.clone(), wait };
    let inside = Interior::read(&session, parts).await?;
    let root = people::first_root(&inside).filter(|_| !live.id.is_main());
    app.admin = root.map(|root| AdminEntry {
        email: root.email.clone(),
        username: root.username.clone(),
        nickname: root.nickname.clone(),
        password: None,
    });
    app.users = people::portable_users(&inside, root.map(|root| root.id));
    app.keys = people::portable_keys(&inside.keys);
    app.roles = roles::portable(&inside);
    let own = inside.collections.iter().filter(|collection| !is_of_system(collection));
    app.collections = own.map(collections::portable).collect();
    Ok(Exported { app, note: None })
}

/// Whether a collection comes with every application.
fn is_of_system(collection: &Map<String, Value>) -> bool {
    collection.get("uiManageable") == Some(&Value::Bool(true))
}

/// The settings of an application; of the main one, whose settings are the daemon's, only the ID.
fn described(live: &Application) -> App {
    let app = App::new(live.id.clone());
    if live.id.is_main() {
        return app;
    }
    let own_limits = live.own_limits.iter().map(|limit: &Limit| (*limit, live.limits.of(*limit))).collect();
    App {
        name: Some(live.name.clone()),
        state: (live.state == State::Stopped).then_some(WantedState::Stopped),
        start_mode: Some(live.start_mode),
        idle_stop: live.idle_stop_seconds.map(IdleStop),
        upgrade: Some(live.upgrade),
        access_log: live.own_access_log.then(|| settings::own_access_log(live)),
        protect: live.protected.then_some(true),
        pin: live.pinned.then_some(true),
        icon: live.icon.clone(),
        domains: Some(live.domains.clone()).filter(|domains| !domains.is_empty()),
        labels: Some(live.labels.clone()).filter(|labels| !labels.is_empty()),
        limits: Some(LimitTable(own_limits)).filter(|limits| !limits.0.is_empty()),
        database: database(live),
        ..app
    }
}

/// Where its database is; `None` where that follows from the ID.
fn database(live: &Application) -> Option<DatabaseEntry> {
    let database = &live.database;
    let mut entry = DatabaseEntry { prefix: database.table_prefix.clone(), ..DatabaseEntry::default() };
    match database.mode {
        DatabaseMode::Database if entry.prefix.is_none() => return None,
        DatabaseMode::Database => {}
        DatabaseMode::Schema => {
            entry.mode = Some(DatabaseMode::Schema);
            entry.schema = database.schema.clone();
        }
        DatabaseMode::Connection => {
            entry.mode = Some(DatabaseMode::Connection);
            entry.schema = database.schema.clone();
            entry.dialect = Some(database.engine.clone());
            entry.name = match &database.server {
                None => Some(database.location.clone()),
                Some(server) => {
                    let (host, port) = server.rsplit_once(':').unwrap_or((server, ""));
                    entry.host = Some(host.to_owned());
                    entry.port = port.parse().ok();
                    database.database.clone()
                }
            };
        }
    }
    Some(entry)
}

impl Document {
    /// A document of applications.
    pub(crate) fn of(exported: Vec<Exported>) -> Self {
        Self { app: exported.into_iter().map(|exported| exported.app).collect(), ..Self::default() }
    }

    /// The document in TOML, with a comment where a secret is to be filled in.
    pub(crate) fn to_toml(&self) -> Result<String, CliError> {
        toml::written(self)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn live(change: Value) -> Application {
        let mut value = json!({
            "id": "crm", "name": "CRM", "state": "running", "start_mode": "on-visit", "url": "",
            "domains": [], "upgrade": "auto", "environment": "local", "protected": true, "pinned": false,
            "requests_in_flight": 0, "limits": crate::protocol::Limits { in_flight: 16, ..crate::protocol::Limits::USUAL },
            "own_limits": ["in_flight"], "labels": {"team": "a"}, "idle_stop_seconds": 900,
            "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z",
            "database": {
                "mode": "connection", "engine": "postgres", "location": "crm on db:5433", "server": "db:5433",
                "database": "crm", "schema": "x",
            },
        });
        for (name, field) in change.as_object().unwrap() {
            value[name] = field.clone();
        }
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn what_is_described_is_compared_as_the_same() {
        let sqlite = json!({"mode": "database", "engine": "sqlite", "location": "/x"});
        for change in [json!({}), json!({"state": "stopped"}), json!({"database": sqlite})] {
            let live = live(change);
            let app = described(&live);
            let compared = settings::compare(&app, &live);
            assert!(compared.changes.is_empty() && compared.refusals.is_empty(), "{app:?}: {compared:?}");
        }
        let main = described(&live(json!({"id": "main"})));
        assert_eq!(main, App::new(crate::protocol::AppId::main()));
    }
}
