//! Compares the settings of an application, and makes the request for a new one.

use std::path::Path;

use serde_json::{Value, json};
use url::Url;

use super::document::{App, DatabaseEntry};
use super::sources::Wanted;
use super::steps::Change;
use super::values::Reference;
use crate::cli::error::CliError;
use crate::protocol::{
    AccessLogSetting, Application, Changes, CreateApplication, DatabaseDescription, DatabaseRequest, Limit,
    RootUser, Wait,
};

/// The settings of an application: the request that makes them so, what it changes, and what cannot be changed.
#[derive(Debug, Default)]
pub(super) struct SettingsComparison {
    pub(super) request: Changes,
    pub(super) changes: Vec<Change>,
    pub(super) refusals: Vec<String>,
}

/// The names of the settings that a document gives to the main application, which has none.
pub(super) fn of_main(app: &App) -> Vec<&'static str> {
    let App {
        id: _,
        name,
        state,
        start_mode,
        idle_stop,
        upgrade,
        access_log,
        environment,
        protect,
        pin,
        icon,
        domains,
        jwt_secret,
        labels,
        limits,
        database,
        admin,
        users: _,
        keys: _,
        roles: _,
        collections: _,
    } = app;
    let given = [
        ("name", name.is_some()),
        ("state", state.is_some()),
        ("start_mode", start_mode.is_some()),
        ("idle_stop", idle_stop.is_some()),
        ("upgrade", upgrade.is_some()),
        ("access_log", access_log.is_some()),
        ("environment", environment.is_some()),
        ("protect", protect.is_some()),
        ("pin", pin.is_some()),
        ("icon", icon.is_some()),
        ("domains", domains.is_some()),
        ("jwt_secret", jwt_secret.is_some()),
        ("labels", labels.is_some()),
        ("limits", limits.is_some()),
        ("database", database.is_some()),
        ("admin", admin.is_some()),
    ];
    given.into_iter().filter(|(_, given)| *given).map(|(name, _)| name).collect()
}

/// Compares the settings that a document has with those of an application.
pub(super) fn compare(app: &App, live: &Application) -> SettingsComparison {
    let mut compared = SettingsComparison::default();
    compared.plain(app, live);
    compared.access_log(app, live);
    compared.domains(app, live);
    compared.limits(app, live);
    compared.labels(app, live);
    if let Some(environment) = app.environment.as_ref().filter(|wanted| **wanted != live.environment) {
        compared
            .refusals
            .push(format!("environment stays {}: it cannot become {environment}", live.environment));
    }
    if let Some(database) = &app.database {
        compared.refusals.extend(moved_database(database, &live.database));
    }
    compared
}

impl SettingsComparison {
    fn plain(&mut self, app: &App, live: &Application) {
        if let Some(name) = app.name.as_ref().filter(|name| **name != live.name) {
            self.request.name = Some(name.clone());
            self.changes.push(Change::set("name", live.name.as_str(), name.as_str()));
        }
        if let Some(mode) = app.start_mode.filter(|mode| *mode != live.start_mode) {
            self.request.start_mode = Some(mode);
            self.changes.push(Change::set("start_mode", live.start_mode.as_str(), mode.as_str()));
        }
        if let Some(idle) = app.idle_stop.filter(|idle| idle.0 != live.idle_stop_seconds.unwrap_or_default())
        {
            self.request.idle_stop_seconds = Some(idle.0);
            let is = super::values::IdleStop(live.idle_stop_seconds.unwrap_or_default());
            self.changes.push(Change::set("idle_stop", String::from(is), String::from(idle)));
        }
        if let Some(upgrade) = app.upgrade.filter(|upgrade| *upgrade != live.upgrade) {
            self.request.upgrade = Some(upgrade);
            self.changes.push(Change::set("upgrade", live.upgrade.as_str(), upgrade.as_str()));
        }
        if let Some(protect) = app.protect.filter(|protect| *protect != live.protected) {
            self.request.protected = Some(protect);
            self.changes.push(Change::set("protect", live.protected, protect));
        }
        if let Some(pin) = app.pin.filter(|pin| *pin != live.pinned) {
            self.request.pinned = Some(pin);
            self.changes.push(Change::set("pin", live.pinned, pin));
        }
        if let Some(icon) = app.icon.as_ref().filter(|icon| **icon != live.icon.clone().unwrap_or_default()) {
            self.request.icon = Some(icon.clone());
            let to = Some(icon.as_str()).filter(|icon| !icon.is_empty());
            self.changes.push(Change::set("icon", json!(live.icon), json!(to)));
        }
    }

    fn access_log(&mut self, app: &App, live: &Application) {
        let Some(wanted) = app.access_log else { return };
        let is = own_access_log(live);
        if wanted != is {
            self.request.access_log = Some(wanted);
            self.changes.push(Change::set("access_log", json!(is), json!(wanted)));
        }
    }

    fn domains(&mut self, app: &App, live: &Application) {
        let Some(wanted) = &app.domains else { return };
        let wanted = comparable(wanted);
        if wanted != live.domains {
            self.changes.push(Change::set("domains", json!(live.domains), json!(wanted)));
            self.request.domains = Some(wanted);
        }
    }

    /// Limits that the document does not list become those of all applications.
    fn limits(&mut self, app: &App, live: &Application) {
        let Some(wanted) = &app.limits else { return };
        for limit in Limit::ALL {
            let is = live.own_limits.contains(&limit).then(|| live.limits.of(limit));
            let to = wanted.0.get(&limit).copied();
            if is == to {
                continue;
            }
            let written = |value: Option<u64>| json!(value.map(|value| limit.written(value)));
            self.request.limits.insert(limit, to);
            self.changes.push(Change::set(format!("limits.{}", limit.name()), written(is), written(to)));
        }
    }

    fn labels(&mut self, app: &App, live: &Application) {
        let Some(wanted) = &app.labels else { return };
        let mut keys: Vec<&String> = wanted.keys().chain(live.labels.keys()).collect();
        keys.sort();
        keys.dedup();
        for key in keys {
            let (is, to) = (live.labels.get(key), wanted.get(key));
            if is != to {
                self.request.labels.insert(key.clone(), to.cloned());
                self.changes.push(Change::set(format!("labels.{key}"), json!(is), json!(to)));
            }
        }
    }
}

/// The access log that is set for an application alone.
pub(super) fn own_access_log(live: &Application) -> AccessLogSetting {
    use crate::protocol::AccessLog;
    match live.access_log {
        _ if !live.own_access_log => AccessLogSetting::Default,
        AccessLog::Off => AccessLogSetting::Off,
        AccessLog::Errors => AccessLogSetting::Errors,
        AccessLog::All => AccessLogSetting::All,
    }
}

/// Domains in the form in which the daemon keeps them: lower case, without a final dot, each once.
pub(super) fn comparable(domains: &[String]) -> Vec<String> {
    let mut names = Vec::with_capacity(domains.len());
    for domain in domains {
        let name = domain.trim_end_matches('.').to_ascii_lowercase();
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// The ways in which a document asks for another database than there is, a sentence each.
fn moved_database(wanted: &DatabaseEntry, live: &DatabaseDescription) -> Vec<String> {
    let mut moved = Vec::new();
    let mut check = |name: &str, wanted: Option<String>, is: Option<String>| {
        if let Some(wanted) = wanted.filter(|wanted| Some(wanted) != is.as_ref()) {
            let is = is.unwrap_or_else(|| "none".to_owned());
            moved.push(format!(
                "database.{name} stays {is}: an existing application does not move to {wanted}"
            ));
        }
    };
    check("mode", wanted.mode.map(|mode| mode.as_str().to_owned()), Some(live.mode.as_str().to_owned()));
    let engine = |name: &str| match name {
        "mariadb" => "mysql".to_owned(),
        "postgresql" => "postgres".to_owned(),
        other => other.to_owned(),
    };
    check("dialect", wanted.dialect.as_deref().map(engine), Some(live.engine.clone()));
    let is_sqlite = live.engine == "sqlite";
    let database = || if is_sqlite { Some(live.location.clone()) } else { live.database.clone() };
    check("name", wanted.name.clone(), database());
    check("schema", wanted.schema.clone(), live.schema.clone());
    check("prefix", wanted.prefix.clone(), live.table_prefix.clone());
    if let Some(host) = &wanted.host {
        let port = wanted.port.unwrap_or_else(|| default_port(&live.engine));
        check("host", Some(format!("{host}:{port}")), live.server.clone());
    }
    if let Some(url) = wanted.url.as_ref().filter(|url| Reference::parse(url).is_none()) {
        let (server, name) = in_url(url);
        check("url", server, live.server.clone());
        check("url", name, database());
    }
    moved
}

fn default_port(engine: &str) -> u16 {
    if engine == "postgres" { 5432 } else { 3306 }
}

/// The server and the database that a URL names, as far as it can be parsed.
fn in_url(text: &str) -> (Option<String>, Option<String>) {
    if let Some(file) = text.strip_prefix("sqlite:") {
        return (None, Some(file.strip_prefix("//").unwrap_or(file).to_owned()));
    }
    let Ok(url) = Url::parse(text) else { return (None, None) };
    let engine = if url.scheme().starts_with("postgres") { "postgres" } else { "mysql" };
    let server = url.host_str().map(|host| format!("{host}:{}", url.port().unwrap_or(default_port(engine))));
    let name = url.path().trim_start_matches('/');
    (server, Some(name.to_owned()).filter(|name| !name.is_empty()))
}

/// The request for a new application, the settings that follow once it exists, and what the plan shows of it.
pub(super) fn creation(
    wanted: &Wanted,
    inventory: &str,
    wait: Wait,
) -> Result<(CreateApplication, Changes, Vec<Change>), CliError> {
    let Wanted { app, base, .. } = wanted;
    let secret = |reference: &Option<Reference>| -> Result<Option<String>, CliError> {
        reference.as_ref().map(|reference| Ok(reference.read(base)?.0)).transpose()
    };
    let admin = app.admin.clone().unwrap_or_default();
    let request = CreateApplication {
        id: Some(app.id.clone()),
        name: app.name.clone(),
        start_mode: app.start_mode.unwrap_or_default(),
        database: database_request(&app.database.clone().unwrap_or_default(), base)?,
        domains: comparable(app.domains.as_deref().unwrap_or_default()),
        upgrade: app.upgrade.unwrap_or_default(),
        environment: app.environment.clone(),
        admin: RootUser {
            email: admin.email,
            username: admin.username,
            nickname: admin.nickname,
            password: secret(&admin.password)?,
        },
        jwt_secret: secret(&app.jwt_secret)?,
        idle_stop_seconds: app.idle_stop.map(|idle| idle.0).filter(|seconds| *seconds > 0),
        limits: app.limits.clone().unwrap_or_default().0,
        labels: app.labels.clone().unwrap_or_default(),
        access_log: app.access_log,
        inventory: Some(inventory.to_owned()),
        // A run that was killed may have begun it.
        if_not_exists: true,
        start: app.state == Some(super::document::WantedState::Running),
        dry_run: false,
        wait,
    };
    let after = Changes {
        protected: app.protect.filter(|protect| *protect),
        pinned: app.pin.filter(|pin| *pin),
        icon: app.icon.clone().filter(|icon| !icon.is_empty()),
        ..Changes::default()
    };
    Ok((request, after, described(app)))
}

/// The settings of a new application as the plan shows them. References are shown, secrets are not.
fn described(app: &App) -> Vec<Change> {
    let inside = ["id", "users", "keys", "roles", "collections"];
    let Ok(Value::Object(values)) = serde_json::to_value(app) else { return Vec::new() };
    let own = values.into_iter().filter(|(name, _)| !inside.contains(&name.as_str()));
    own.flat_map(|(name, value)| match value {
        Value::Object(fields) if !fields.is_empty() => {
            fields.into_iter().map(|(field, value)| Change::add(format!("{name}.{field}"), value)).collect()
        }
        value => vec![Change::add(name, value)],
    })
    .collect()
}

fn database_request(entry: &DatabaseEntry, base: &Path) -> Result<DatabaseRequest, CliError> {
    let url = match &entry.url {
        Some(text) => match Reference::parse(text) {
            Some(reference) => Some(reference.read(base)?.0),
            None => Some(without_password(text)?.to_owned()),
        },
        None => None,
    };
    let password = entry.password.as_ref().map(|reference| reference.read(base)).transpose()?;
    Ok(DatabaseRequest {
        mode: entry.mode.unwrap_or_default(),
        url,
        dialect: entry.dialect.clone(),
        host: entry.host.clone(),
        port: entry.port,
        user: entry.user.clone(),
        password: password.map(|password| password.0),
        name: entry.name.clone(),
        schema: entry.schema.clone(),
        sslmode: entry.sslmode.clone(),
        create_database: entry.create,
        table_prefix: entry.prefix.clone(),
    })
}

/// A URL that stands in a document, which must not have a password.
pub(super) fn without_password(text: &str) -> Result<&str, CliError> {
    match Url::parse(text) {
        Ok(url) if url.password().is_some() => Err(CliError::usage(
            "database.url has a password, which does not belong into a document",
            "take it out, and refer to it: password = \"env:NAME\" or \"file:PATH\"; or write url = \"env:NAME\"",
        )),
        _ => Ok(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app(value: Value) -> App {
        serde_json::from_value(value).unwrap()
    }

    fn live() -> Application {
        let value = json!({
            "id": "crm", "name": "CRM", "state": "running", "start_mode": "on-visit", "url": "",
            "domains": ["crm.example.com"], "upgrade": "auto", "environment": "local", "protected": false,
            "pinned": false, "requests_in_flight": 0, "limits": crate::protocol::Limits { in_flight: 16, ..crate::protocol::Limits::USUAL },
            "own_limits": ["in_flight"], "labels": {"team": "a", "tier": "1"}, "access_log": "all", "own_access_log": true,
            "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z",
            "database": {
                "mode": "database", "engine": "postgres", "location": "crm on db:5432", "server": "db:5432",
                "database": "crm",
            },
        });
        serde_json::from_value(value).unwrap()
    }

    fn keys(compared: &SettingsComparison) -> Vec<&str> {
        compared.changes.iter().map(|change| change.key.as_str()).collect()
    }

    #[test]
    fn what_is_absent_stays_and_tables_are_wholes() {
        let same = json!({
            "id": "crm", "name": "CRM", "domains": ["CRM.example.com."], "limits": {"in-flight": 16},
            "labels": {"team": "a", "tier": "1"}, "access_log": "all", "protect": false, "icon": "",
            "idle_stop": "never", "environment": "local",
        });
        for unchanged in [json!({"id": "crm"}), same] {
            let compared = compare(&app(unchanged.clone()), &live());
            assert!(compared.changes.is_empty() && compared.refusals.is_empty(), "{unchanged}: {compared:?}");
            assert_eq!(compared.request, Changes::default());
        }
        let compared = compare(
            &app(json!({
                "id": "crm", "name": "Care", "domains": [], "limits": {"queue": 5}, "labels": {"team": "b"},
                "access_log": "default", "protect": true, "pin": true, "icon": "star", "idle_stop": "15m",
                "start_mode": "with-main", "upgrade": "manual",
            })),
            &live(),
        );
        assert_eq!(
            keys(&compared),
            [
                "name",
                "start_mode",
                "idle_stop",
                "upgrade",
                "protect",
                "pin",
                "icon",
                "access_log",
                "domains",
                "limits.in-flight",
                "limits.queue",
                "labels.team",
                "labels.tier",
            ]
        );
        assert_eq!(compared.request.limits[&Limit::InFlight], None);
        assert_eq!(compared.request.labels["tier"], None);
    }

    #[test]
    fn a_database_does_not_move() {
        for (database, refused) in [
            (json!({}), 0),
            (json!({"mode": "database", "dialect": "postgres", "name": "crm"}), 0),
            (json!({"url": "postgres://crm@db/crm"}), 0),
            (json!({"url": "env:CRM_URL", "password": "env:X"}), 0),
            (json!({"mode": "schema"}), 1),
            (json!({"dialect": "mariadb"}), 1),
            (json!({"host": "db", "port": 5433}), 1),
            (json!({"url": "postgres://crm@other:5432/hr"}), 2),
            (json!({"schema": "x", "prefix": "nb_"}), 2),
        ] {
            let compared = compare(&app(json!({"id": "crm", "database": database.clone()})), &live());
            assert_eq!(compared.refusals.len(), refused, "{database}: {:?}", compared.refusals);
        }
    }

    #[test]
    fn a_new_application_gets_all_and_the_plan_shows_no_secret() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("p"), "hunter2\n").unwrap();
        let file = directory.path().join("apps.json");
        let document = json!({"app": [{
            "id": "crm", "state": "running", "protect": true, "labels": {"team": "a"},
            "admin": {"email": "ada@example.com", "password": "file:p"},
        }]});
        std::fs::write(&file, document.to_string()).unwrap();
        let sources = super::super::sources::Sources::read(&[file]).unwrap();
        let (request, after, changes) = creation(&sources.wanted[0], "default", Wait::default()).unwrap();
        assert!(request.start && request.if_not_exists && request.inventory.as_deref() == Some("default"));
        assert_eq!(request.admin.password.as_deref(), Some("hunter2"));
        assert_eq!(after.protected, Some(true));
        let shown = serde_json::to_string(&changes).unwrap();
        assert!(
            shown.contains("file:p") && shown.contains("labels.team") && !shown.contains("hunter2"),
            "{shown}"
        );
        assert!(without_password("postgres://a:b@db/x").is_err());
        assert!(without_password("postgres://a@db/x").is_ok());
    }

    #[test]
    fn the_main_application_has_no_settings_here() {
        assert!(of_main(&app(json!({"id": "main", "users": [{"email": "a@b"}]}))).is_empty());
        assert_eq!(of_main(&app(json!({"id": "main", "name": "x", "domains": []}))), ["name", "domains"]);
    }
}
