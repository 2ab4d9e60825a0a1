//! Which databases an application may use, and the errors for the others.

use nbapps::internals::{Database, DatabaseError, Location};
use serde_json::{Value, json};

use crate::environment::{Daemon, TestEnvironment, http, sign_in};
use crate::servers::TestEngine;
use crate::servers::{self, OwnServer};

async fn exists(at: &Location) -> bool {
    match Database::open(at).await {
        Ok(database) => {
            database.close().await;
            true
        }
        Err(DatabaseError::Missing(_)) => false,
        Err(error) => panic!("{error}"),
    }
}

/// Lists the tables of a database.
async fn tables(at: &Location) -> Vec<String> {
    let database = Database::open(at).await.unwrap();
    let tables = database.table_names().await.unwrap();
    database.close().await;
    tables
}

async fn make(at: &Location, tables: &[&str]) {
    let database = Database::create(at).await.unwrap();
    for table in tables {
        let mut made = sea_query::Table::create();
        made.table((*table).to_owned()).col(sea_query::ColumnDef::new("id").integer());
        database.execute(&made).await.unwrap();
    }
    database.close().await;
}

/// Runs SQL on a PostgreSQL server.
async fn on_postgres(url: &str, sql: &str) {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    client.batch_execute(sql).await.unwrap();
}

/// Runs SQL on a MySQL or MariaDB server.
async fn on_mariadb(url: &str, sql: &str) {
    use mysql_async::prelude::Queryable as _;
    let mut connection = mysql_async::Conn::from_url(url).await.unwrap();
    connection.query_drop(sql).await.unwrap();
    connection.disconnect().await.unwrap();
}

fn named(id: &str, name: &str) -> Value {
    json!({"id": id, "database": {"mode": "database", "name": name}})
}

fn error_of(daemon: &Daemon, params: Value) -> Value {
    daemon.connect().call("app.create", params).unwrap_err()
}

#[tokio::test]
async fn an_existing_database_is_refused_in_database_mode() {
    for engine in [TestEngine::Postgres, TestEngine::Mariadb] {
        let environment = TestEnvironment::of(engine);
        let daemon = environment.daemon();
        let name = servers::fresh_name();
        let at = environment.main_location().sibling(&name).unwrap();
        // Empty, with tables of others, and with tables like an application's.
        for content in [&[][..], &["ledger"], &["applicationVersion", "users"]] {
            make(&at, content).await;
            let refused = error_of(&daemon, named("crm", &name));
            assert_eq!(refused["data"]["kind"], "conflict", "{content:?}: {refused}");
            assert!(refused["message"].as_str().unwrap().contains("already"), "{refused}");
            assert_eq!(daemon.refusal("app.get", json!({"id": "crm"})), "app_not_found");
            assert_eq!(tables(&at).await, content, "{engine:?}");
            assert_eq!(Database::remove(&at).await.unwrap().len(), 1);
        }
        // A database of another application.
        daemon.call("app.create", named("crm", &name));
        let refused = error_of(&daemon, named("hr", &name));
        assert_eq!(refused["data"]["kind"], "conflict", "{refused}");
        assert!(refused["message"].as_str().unwrap().contains("\"crm\""), "{refused}");
        sign_in(&daemon, Some("crm")).await;
    }
}

#[tokio::test]
async fn an_existing_schema_is_refused_in_schema_mode() {
    let environment = TestEnvironment::of(TestEngine::Postgres);
    let daemon = environment.daemon();
    let at = environment.main_location().with_schema("sales").unwrap();
    let create = |id: &str| json!({"id": id, "database": {"mode": "schema", "schema": "sales"}});
    for table in [
        None,
        Some("CREATE TABLE sales.ledger (id int)"),
        Some("CREATE TABLE sales.\"applicationVersion\" (id int)"),
    ] {
        make(&at, &[]).await;
        if let Some(table) = table {
            on_postgres(environment.database_url(), table).await;
        }
        assert_eq!(error_of(&daemon, create("crm"))["data"]["kind"], "conflict", "{table:?}");
        assert_eq!(tables(&at).await.len(), usize::from(table.is_some()));
        assert_eq!(Database::remove(&at).await.unwrap().len(), 1);
    }
    daemon.call("app.create", create("crm"));
    assert_eq!(error_of(&daemon, create("hr"))["data"]["kind"], "conflict");
    // PostgreSQL's own schemas are refused, too.
    for own in ["pg_catalog", "information_schema", "public", "pg_mine"] {
        let refused = daemon
            .connect()
            .call("app.create", json!({"id": "hr", "database": {"mode": "schema", "schema": own}}));
        assert!(refused.is_err(), "{own}");
        assert_eq!(daemon.refusal("app.get", json!({"id": "hr"})), "app_not_found", "{own}");
    }
}

#[tokio::test]
async fn two_names_of_one_database_are_recognized() {
    let environment = TestEnvironment::new();
    let daemon = environment.daemon();
    let with_prefix = |id: &str, url: &str, create: bool| {
        let prefix = format!("{id}_");
        json!({"id": id, "database": {
            "mode": "connection", "url": url, "table_prefix": prefix, "create_database": create,
        }})
    };
    for url in [servers::postgres(&servers::fresh_name()), servers::mariadb(&servers::fresh_name())] {
        // A database that the host creates, and one that exists.
        for create in [true, false] {
            if !create {
                make(&Location::parse(&url).unwrap(), &[]).await;
            }
            daemon.call("app.create", with_prefix("crm", &url, create));
            let by_name = url.replace("127.0.0.1", "LocalHost");
            let refused = error_of(&daemon, with_prefix("hr", &by_name, false));
            assert_eq!(refused["data"]["kind"], "conflict", "{refused}");
            if create {
                // Another host refuses it, too, although it does not know the application.
                let elsewhere = TestEnvironment::new();
                let refused = error_of(&elsewhere.daemon(), with_prefix("hr", &url, false));
                assert_eq!(refused["data"]["kind"], "conflict", "{refused}");
                assert!(refused["message"].as_str().unwrap().contains("created by nbapps"), "{refused}");
            }
            daemon.call("app.delete", json!({"id": "crm", "purge": true}));
        }
    }
    let folder = environment.path("folder");
    std::fs::create_dir(&folder).unwrap();
    std::os::unix::fs::symlink(&folder, environment.path("link")).unwrap();
    let file = |folder: &str| format!("sqlite:{}/crm.sqlite", environment.path(folder).display());
    daemon.call("app.create", with_prefix("crm", &file("folder"), true));
    std::os::unix::fs::symlink(folder.join("crm.sqlite"), environment.path("hr.sqlite")).unwrap();
    let linked = format!("sqlite:{}", environment.path("hr.sqlite").display());
    for other in [file("link"), file("folder/../folder"), linked] {
        assert_eq!(
            error_of(&daemon, with_prefix("hr", &other, false))["data"]["kind"],
            "conflict",
            "{other}"
        );
    }
    // The host's own files are refused.
    daemon.call("app.create", json!({"id": "own"}));
    std::os::unix::fs::symlink(environment.data(), environment.path("data-link")).unwrap();
    for own in ["data-link/main", "data-link/apps/own"] {
        let url = format!("sqlite:{}/database.sqlite", environment.path(own).display());
        assert_eq!(error_of(&daemon, with_prefix("hr", &url, false))["data"]["kind"], "conflict", "{own}");
    }
}

#[tokio::test]
async fn a_schema_in_another_applications_database_is_refused() {
    // A purge of that application would remove it.
    let environment = TestEnvironment::of(TestEngine::Postgres);
    let daemon = environment.daemon();
    let url = servers::postgres(&servers::fresh_name());
    let connection = |id: &str, url: &str, schema: Option<&str>| {
        let database = json!({"mode": "connection", "url": url, "schema": schema, "create_database": true});
        json!({"id": id, "database": database})
    };
    daemon.call("app.create", connection("crm", &url, None));
    let name = servers::fresh_name();
    daemon.call("app.create", named("shop", &name));
    on_postgres(&url, "CREATE SCHEMA found").await;
    for (url, schema) in [(&url, "made"), (&url, "found"), (&servers::postgres(&name), "made")] {
        let refused = error_of(&daemon, connection("hr", url, Some(schema)));
        assert_eq!(refused["data"]["kind"], "conflict", "{refused}");
        assert!(refused["message"].as_str().unwrap().contains("created by nbapps"), "{refused}");
    }
    // In a database without an application, each schema can have one.
    let missing = servers::postgres(&servers::fresh_name());
    let refused = error_of(&daemon, connection("hr", &missing, Some("made")));
    assert_eq!(refused["data"]["kind"], "database_unreachable", "{refused}");
    assert!(refused["data"]["hint"].as_str().unwrap().contains("--db-schema"), "{refused}");
    make(&Location::parse(&missing).unwrap(), &[]).await;
    daemon.call("app.create", connection("hr", &missing, Some("made")));
    daemon.call("app.create", connection("stock", &missing, None));
    for id in ["hr", "stock"] {
        sign_in(&daemon, Some(id)).await;
        daemon.call("app.delete", json!({"id": id, "purge": true}));
    }
    assert!(exists(&Location::parse(&missing).unwrap()).await);
}

#[tokio::test]
async fn names_are_used_unchanged_on_mariadb() {
    let environment = TestEnvironment::of(TestEngine::Mariadb);
    let daemon = environment.daemon();
    let longest = "é".repeat(64);
    for name in
        ["select", "Upper Case", "semi;colon", "a `quoted` \"and\" 'one'", "--", "%", "back\\slash", &longest]
    {
        let created = daemon.call("app.create", named("crm", name));
        assert_eq!(created["application"]["database"]["database"], name);
        sign_in(&daemon, Some("crm")).await;
        let deleted = daemon.call("app.delete", json!({"id": "crm", "purge": true}));
        assert!(deleted["removed"][0].as_str().unwrap().contains(name), "{deleted}");
        let mut url = url::Url::parse(&servers::mariadb("x")).unwrap();
        url.path_segments_mut().unwrap().clear().push(name);
        let connection = json!({"mode": "connection", "url": url.as_str(), "create_database": true});
        daemon.call("app.create", json!({"id": "crm", "database": connection}));
        sign_in(&daemon, Some("crm")).await;
        daemon.call("app.delete", json!({"id": "crm", "purge": true}));
    }
    for name in ["é".repeat(65).as_str(), "nul\0", "", "ends with a space ", "😀"] {
        assert_eq!(error_of(&daemon, named("crm", name))["data"]["kind"], "invalid_setting", "{name:?}");
        assert_eq!(daemon.refusal("app.get", json!({"id": "crm"})), "app_not_found");
    }
}

#[tokio::test]
async fn a_missing_privilege_is_reported_with_the_sql_that_grants_it() {
    let postgres = servers::postgres(&servers::fresh_name());
    make(&Location::parse(&postgres).unwrap(), &[]).await;
    let name = Location::parse(&postgres).unwrap().server_database().unwrap().name.clone();
    on_postgres(&postgres, &format!("CREATE ROLE \"Weak {name}\" LOGIN PASSWORD 'pw'")).await;
    let weak = postgres.replace("root:secret@", &format!("Weak%20{name}:pw@"));
    let connect = |url: &str| json!({"id": "crm", "database": {"mode": "connection", "url": url}});
    let environment = TestEnvironment::new();
    let daemon = environment.daemon();
    let denied = |params: Value, on: &Daemon, says: &str| {
        let refused = error_of(on, params);
        assert_eq!(refused["data"]["kind"], "permission_denied", "{refused}");
        assert!(refused["message"].as_str().unwrap().contains(says), "{says}: {refused}");
        let sql = refused["message"].as_str().unwrap().rsplit_once("with: ").unwrap().1.to_owned();
        assert_eq!(on.refusal("app.get", json!({"id": "crm"})), "app_not_found");
        sql
    };
    // The SQL in the error is sufficient.
    let sql = denied(connect(&weak), &daemon, "GRANT USAGE, CREATE ON SCHEMA \"public\" TO \"Weak");
    on_postgres(&postgres, &sql).await;
    daemon.call("app.create", connect(&weak));
    daemon.call("app.delete", json!({"id": "crm", "purge": true}));

    let host = TestEnvironment::on(&weak);
    let hosted = host.daemon();
    let in_schema = json!({"id": "crm", "database": {"mode": "schema"}});
    let sql = denied(in_schema.clone(), &hosted, "GRANT CREATE ON DATABASE");
    on_postgres(&postgres, &sql).await;
    hosted.call("app.create", in_schema);

    on_postgres(&postgres, &format!("REVOKE CONNECT ON DATABASE {name} FROM PUBLIC")).await;
    let other = weak.replace("Weak", "Other");
    on_postgres(&postgres, &format!("CREATE ROLE \"Other {name}\" LOGIN PASSWORD 'pw'")).await;
    denied(connect(&other), &daemon, "GRANT CONNECT, CREATE ON DATABASE");

    let mariadb = servers::mariadb(&servers::fresh_name());
    make(&Location::parse(&mariadb).unwrap(), &[]).await;
    let name = Location::parse(&mariadb).unwrap().server_database().unwrap().name.clone();
    on_mariadb(&mariadb, &format!("CREATE USER weak_{name} IDENTIFIED BY 'pw'")).await;
    on_mariadb(&mariadb, &format!("GRANT SELECT ON {name}.* TO weak_{name}")).await;
    let weak = mariadb.replace("root:secret@", &format!("weak_{name}:pw@"));
    let sql = denied(connect(&weak), &daemon, "GRANT ALL PRIVILEGES ON `");
    on_mariadb(&mariadb, &sql).await;
    daemon.call("app.create", connect(&weak));
    sign_in(&daemon, Some("crm")).await;
}

#[tokio::test]
async fn a_refused_creation_has_its_exit_code() {
    let environment = TestEnvironment::new();
    let daemon = environment.daemon();
    let taken = servers::postgres(&servers::fresh_name());
    make(&Location::parse(&taken).unwrap(), &["ledger"]).await;
    let missing = servers::postgres(&servers::fresh_name());
    let wrong = missing.replace("secret", "wrong");
    for (arguments, code, says) in [
        (&["--db", "schema"][..], 7, "--db database"),
        (&["--db", "connection", "--db-url", &missing], 1, "--create-database"),
        (&["--db", "connection", "--db-url", "postgres://u@127.0.0.1:1/x"], 1, "that its server runs"),
        (&["--db", "connection", "--db-url", &wrong], 1, "password"),
        (&["--db", "connection", "--db-url", &taken], 5, "--db-prefix"),
        (&["--db", "connection"], 2, "--db-url"),
        (&["--db", "connection", "--db-url", "nonsense"], 2, "postgres://"),
        (&["--db-host", "x"], 2, "--db connection"),
    ] {
        let ran = environment.nbapps(&[&["create", "crm"], arguments].concat());
        assert_eq!(ran.code, code, "{arguments:?}: {}", ran.stderr);
        assert!(ran.stderr.contains("error: ") && ran.stderr.contains("hint: "), "{}", ran.stderr);
        assert!(ran.stderr.contains(says), "{says}: {}", ran.stderr);
        assert_eq!(ran.stdout, "");
        assert_eq!(daemon.refusal("app.get", json!({"id": "crm"})), "app_not_found");
    }
}

#[tokio::test]
async fn a_creation_interrupted_by_its_server_reports_what_remains() {
    let mut server = OwnServer::postgres(20);
    let environment = TestEnvironment::new();
    let daemon = environment.daemon();
    let at = Location::parse(&server.url("crm")).unwrap();
    // In databases created from now on, CREATE TABLE hangs.
    let slow = "CREATE FUNCTION wait() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN IF tg_tag = \
                'CREATE TABLE' THEN PERFORM pg_sleep(600); END IF; END $$; \
                CREATE EVENT TRIGGER wait ON ddl_command_start EXECUTE FUNCTION wait()";
    let open = async |open: bool| {
        let sql = format!("ALTER DATABASE template0 ALLOW_CONNECTIONS {open}");
        on_postgres(&server.url("postgres"), &sql).await;
    };
    open(true).await;
    on_postgres(&server.url("template0"), slow).await;
    open(false).await;
    let mut creating = daemon.connect();
    let database = json!({"mode": "connection", "url": server.url("crm"), "create_database": true});
    creating.send("app.create", json!({"id": "crm", "database": database}));
    let (watching, connection) =
        tokio_postgres::connect(&server.url("postgres"), tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    let sleeping = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
    while watching.query_one(sleeping, &[]).await.unwrap().get::<_, i64>(0) == 0 {}
    server.tell("stop");
    let refused = creating.answer(1).unwrap_err();
    assert_eq!(refused["data"]["kind"], "database_unreachable", "{refused}");
    assert!(refused["message"].as_str().unwrap().contains("rolling it back failed, too"), "{refused}");
    assert!(refused["message"].as_str().unwrap().contains("crm on 127.0.0.1"), "{refused}");
    assert!(refused["data"]["hint"].as_str().unwrap().contains("--purge"), "{refused}");
    assert_eq!(daemon.state("crm"), "error");
    server.tell("start");
    assert!(exists(&at).await);
    // The next start rolls the creation back.
    assert!(daemon.stop().success());
    let daemon = environment.daemon();
    assert_eq!(daemon.refusal("app.get", json!({"id": "crm"})), "app_not_found");
    assert!(!exists(&at).await);
}

#[tokio::test]
async fn the_password_of_the_main_database_appears_in_no_output() {
    const PASSWORD: &str = "Tr0ub4dor;3'\"x";
    let name = servers::fresh_name();
    let url = servers::postgres(&name);
    on_postgres(
        &servers::postgres("postgres"),
        &format!("CREATE ROLE \"{name}\" LOGIN CREATEDB PASSWORD '{}'", PASSWORD.replace('\'', "''")),
    )
    .await;
    let mut with_password = url::Url::parse(&url).unwrap();
    with_password.set_username(&name).unwrap();
    with_password.set_password(Some(PASSWORD)).unwrap();
    let environment = TestEnvironment::on(with_password.as_str());
    let encoded = with_password.password().unwrap().to_owned();
    let mut said = String::new();
    // With private and with exposed permissions.
    for wrong in ["127.0.0.1:1/", "127.0.0.1:1:1/", "/"] {
        let mut command = environment.daemon_command();
        let place = format!("127.0.0.1:{}/", with_password.port().unwrap());
        command.env("NBAPPS_DATABASE_URL", with_password.as_str().replace(&place, wrong));
        let (code, refused) = environment.refused(command);
        assert_ne!(code, 0);
        said.push_str(&refused);
    }
    let mut command = environment.daemon_command();
    command.env("NBAPPS_LOG_LEVEL", "trace");
    let daemon = environment.daemon_by(command);
    for id in ["a", "b"] {
        daemon.call("app.create", json!({"id": id, "start": true, "database": {"mode": if id == "a" { "schema" } else { "database" }}}));
        sign_in(&daemon, Some(id)).await;
    }
    let token = sign_in(&daemon, None).await;
    said.push_str(
        &http(&daemon, "GET", "/api/applications:list", None, Some(&token), None).await.1.to_string(),
    );
    for arguments in
        [&["list", "-o", "wide"][..], &["show", "main", "-o", "yaml"], &["show", "a"], &["logs", "main"]]
    {
        let ran = environment.nbapps(arguments).ok();
        said.push_str(&ran.stdout);
        said.push_str(&ran.stderr);
    }
    let titles = std::process::Command::new("ps").args(["-eo", "args"]).output().unwrap();
    said.push_str(&String::from_utf8_lossy(&titles.stdout));
    assert!(daemon.stop().success());
    said.push_str(&environment.daemon_log());
    assert!(!said.contains(PASSWORD) && !said.contains(&encoded), "{said}");
    environment.assert_kept_nowhere(PASSWORD);
    environment.assert_kept_nowhere(&encoded);
}
