//! `nbapps doctor` on databases that break: servers that are gone, rights that were revoked, files that are damaged.

use macro_rules_attribute::apply;
use nbapps::internals::Location;
use serde_json::json;

use crate::doctor::examine;
use crate::environment::TestEnvironment;
use crate::servers::{OwnServer, TestEngine, fresh_name, mariadb, on_every_engine, postgres};
use crate::sql;

#[tokio::test]
async fn a_server_that_is_gone_is_named_once() {
    for mut server in [OwnServer::postgres(20), OwnServer::mariadb(20)] {
        let environment = TestEnvironment::on(&server.url("host"));
        let daemon = environment.daemon();
        for id in ["crm", "hr"] {
            daemon.call("app.create", json!({"id": id, "start": true}));
        }
        examine(&environment, &[]).assert_sound();
        server.tell("stop");
        let found = examine(&environment, &[]);
        let failed: Vec<_> = found.findings.iter().filter(|finding| finding["status"] == "failed").collect();
        assert_eq!(failed.len(), 1, "{failed:#?}");
        assert_eq!(failed[0]["check"], "database");
        assert!(failed[0]["hint"].as_str().unwrap().contains("check that its server runs"), "{failed:#?}");
        let skipped = found.findings.iter().filter(|finding| {
            finding["status"] == "skipped"
                && finding["message"].as_str().unwrap().contains("server cannot be reached")
        });
        assert_eq!(skipped.count(), 2, "{:#?}", found.findings);
        server.tell("start");
        examine(&environment, &[]).assert_sound();
    }
}

/// A user of a server, the main database that it owns, and the administrator's way to it.
struct LimitedUser {
    name: String,
    environment: TestEnvironment,
    admin: fn(&str) -> String,
    is_postgres: bool,
}

impl LimitedUser {
    /// A user with all rights that the README names.
    async fn on(engine: TestEngine) -> Option<Self> {
        let name = fresh_name();
        let (admin, is_postgres): (fn(&str) -> String, bool) = match engine {
            TestEngine::Sqlite => return None,
            TestEngine::Postgres => (postgres, true),
            TestEngine::Mariadb => (mariadb, false),
        };
        let system = admin(if is_postgres { "postgres" } else { "mysql" });
        let statements = match is_postgres {
            true => vec![
                format!("CREATE ROLE {name} LOGIN CREATEDB PASSWORD 'secret'"),
                format!("CREATE DATABASE {name} OWNER {name}"),
            ],
            false => vec![
                format!("CREATE USER {name} IDENTIFIED BY 'secret'"),
                format!("GRANT ALL PRIVILEGES ON `{}`.* TO {name}", name.replace('_', "\\_")),
                format!("GRANT ALL PRIVILEGES ON `{}\\_%`.* TO {name}", name.replace('_', "\\_")),
            ],
        };
        for statement in statements {
            sql::run(&system, &statement).await;
        }
        let url = admin(&name).replace("root:secret@", &format!("{name}:secret@"));
        Some(Self { name, environment: TestEnvironment::on(&url), admin, is_postgres })
    }

    /// Runs SQL as the administrator, in the main database or in an application's.
    async fn admin(&self, application: Option<&str>, statement: &str) {
        let database = match application {
            Some(id) => format!("{}_{id}", self.name),
            None => self.name.clone(),
        };
        sql::run(&(self.admin)(&database), statement).await;
    }
}

#[apply(on_every_engine)]
#[tokio::test]
async fn revoked_rights_are_named_with_what_grants_them(engine: TestEngine) {
    let Some(user) = LimitedUser::on(engine).await else { return };
    let (environment, name) = (&user.environment, &user.name);
    let daemon = environment.daemon();
    daemon.call("app.create", json!({"id": "crm", "start": true}));
    let sound = examine(environment, &[]);
    sound.assert_sound();
    assert_eq!(sound.status("application main", "rights"), "ok");
    assert_eq!(sound.status("application crm", "rights"), "ok");
    if user.is_postgres {
        user.admin(None, &format!("ALTER ROLE {name} NOCREATEDB")).await;
        let found = examine(environment, &[]);
        let grant = format!("ALTER ROLE \"{name}\" CREATEDB");
        found.assert_problem("application main", "rights", "warning", "further applications", &grant);
        user.admin(Some("crm"), &format!("REVOKE INSERT ON \"users\" FROM {name}")).await;
        let found = examine(environment, &["crm"]);
        found.assert_problem("application crm", "rights", "failed", "\"users\"", "GRANT ALL ON ALL TABLES");
        user.admin(Some("crm"), "ALTER TABLE \"roles\" OWNER TO root").await;
        user.admin(Some("crm"), &format!("GRANT ALL ON \"roles\" TO {name}")).await;
        let found = examine(environment, &["crm"]);
        found.assert_problem("application crm", "rights", "warning", "does not own", "OWNER TO");
        user.admin(Some("crm"), "ALTER SCHEMA public OWNER TO root").await;
        let found = examine(environment, &["crm"]);
        found.assert_problem(
            "application crm",
            "rights",
            "failed",
            "may not create tables",
            "GRANT USAGE, CREATE",
        );
        // The tables of other programs are none of the host's business.
        user.admin(None, "CREATE TABLE theirs (id int)").await;
        let main = examine(environment, &["main"]);
        assert!(main.of("application main", "rights").all(|found| !found.to_string().contains("theirs")));
    } else {
        let beside = format!("`{}\\_%`.*", name.replace('_', "\\_"));
        user.admin(None, &format!("REVOKE INSERT ON {beside} FROM {name}")).await;
        let found = examine(environment, &[]);
        found.assert_problem(
            "application crm",
            "rights",
            "failed",
            "lacks INSERT",
            "GRANT ALL PRIVILEGES ON",
        );
        found.assert_problem("application main", "rights", "warning", "further applications", &beside);
    }
}

#[apply(on_every_engine)]
#[tokio::test]
async fn a_changed_password_is_found_while_open_connections_still_work(engine: TestEngine) {
    let Some(user) = LimitedUser::on(engine).await else { return };
    let (environment, name) = (&user.environment, &user.name);
    let daemon = environment.daemon();
    examine(environment, &[]).assert_sound();
    user.admin(
        None,
        &match user.is_postgres {
            true => format!("ALTER ROLE {name} PASSWORD 'other'"),
            false => format!("ALTER USER {name} IDENTIFIED BY 'other'"),
        },
    )
    .await;
    let found = examine(environment, &["main"]);
    found.assert_problem("application main", "database", "failed", name, "user and password");
    drop(daemon);
}

#[tokio::test]
async fn texts_that_do_not_fit_and_limits_that_are_too_low_are_found() {
    let server = OwnServer::mariadb(20);
    let environment = TestEnvironment::on(&server.url("host"));
    let mut command = environment.daemon_command();
    command.env("NBAPPS_DATABASE_CONNECTIONS", "500");
    let daemon = environment.daemon_by(command);
    daemon.call("app.create", json!({"id": "crm", "start": true}));
    let convert = "ALTER TABLE \"systemSettings\" CONVERT TO CHARACTER SET latin1";
    sql::run(&server.url("host_crm"), convert).await;
    let found = examine(&environment, &[]);
    found.assert_problem(
        "application crm",
        "encoding",
        "warning",
        "\"systemSettings\"",
        "CHARACTER SET utf8mb4",
    );
    let at = Location::parse(&server.url("host")).unwrap();
    let subject = format!("server {}", at.server_database().unwrap().server);
    found.assert_problem(
        &subject,
        "connections",
        "warning",
        "500 connections are configured",
        "max_connections",
    );
    assert_eq!(found.status(&subject, "clock"), "ok");
    assert_eq!(found.status(&subject, "version"), "ok");
}

#[tokio::test]
async fn a_server_that_hangs_ends_the_check_in_time() {
    let mut server = OwnServer::postgres(20);
    let environment = TestEnvironment::on(&server.url("host"));
    let _daemon = environment.daemon();
    server.tell("freeze");
    let found = examine(&environment, &[]);
    server.tell("thaw");
    found.assert_problem("application main", "database", "failed", "did not answer", "");
}

#[test]
fn a_damaged_file_is_found_by_reading_all_of_it() {
    let environment = TestEnvironment::new();
    let daemon = environment.daemon();
    daemon.call("app.create", json!({"id": "crm"}));
    assert!(daemon.stop().success());
    let path = environment.data().join("apps/crm/database.sqlite");
    let mut file = std::fs::read(&path).unwrap();
    let page = usize::from(u16::from_be_bytes([file[16], file[17]]));
    let last = file.len() / page - 1;
    file[last * page..].fill(0xff);
    std::fs::write(&path, file).unwrap();
    let _daemon = environment.daemon();
    assert_eq!(examine(&environment, &["crm"]).of("application crm", "integrity").count(), 0);
    let found = examine(&environment, &["crm", "--thorough"]);
    found.assert_problem("application crm", "integrity", "failed", "is damaged", "restore a backup");
    let main = examine(&environment, &["main", "--thorough"]);
    assert_eq!(main.status("application main", "integrity"), "ok");
}
