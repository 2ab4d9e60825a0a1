//! Connection mode: applications in databases of other services than the main application's.

use std::io::{Read, Write};
use std::process::Stdio;

use mysql_async::prelude::Queryable;
use nbapps::internals::{Database, DatabaseError, Location};
use serde_json::{Value, json};

use crate::environment::{ROOT_PASSWORD, TestEnvironment, http, sign_in};
use crate::servers::{self, OwnServer, TestEngine};

/// The engines of other services.
const SERVICES: [TestEngine; 3] = [TestEngine::Postgres, TestEngine::Mariadb, TestEngine::Sqlite];

/// The URL of a database on a service. The database does not exist.
fn url_on(service: TestEngine, environment: &TestEnvironment) -> String {
    let file = || format!("sqlite:{}", environment.path("elsewhere.sqlite").display());
    service.fresh_database().unwrap_or_else(file)
}

async fn exists(url: &str) -> bool {
    match Database::open(&Location::parse(url).unwrap()).await {
        Ok(database) => {
            database.close().await;
            true
        }
        Err(DatabaseError::Missing(_)) => false,
        Err(error) => panic!("{error}"),
    }
}

async fn tables(url: &str) -> Vec<String> {
    let database = Database::open(&Location::parse(url).unwrap()).await.unwrap();
    let tables = database.table_names().await.unwrap();
    database.close().await;
    tables
}

async fn make(url: &str, tables: &[&str]) {
    let database = Database::create(&Location::parse(url).unwrap()).await.unwrap();
    for table in tables {
        let mut made = sea_query::Table::create();
        made.table((*table).to_owned()).col(sea_query::ColumnDef::new("id").integer());
        database.execute(&made).await.unwrap();
    }
    database.close().await;
}

fn create(url: &str) -> Value {
    json!({"id": "crm", "database": {"mode": "connection", "url": url}})
}

fn create_missing(url: &str) -> Value {
    json!({"id": "crm", "database": {"mode": "connection", "url": url, "create_database": true}})
}

/// Runs SQL on PostgreSQL as its superuser.
async fn on_postgres(sql: &str) {
    in_postgres(&servers::postgres("postgres"), sql).await;
}

async fn in_postgres(url: &str, sql: &str) {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
    let driving = tokio::spawn(connection);
    client.batch_execute(sql).await.unwrap();
    drop(client);
    driving.await.unwrap().unwrap();
}

/// Runs SQL on MariaDB as its superuser.
async fn on_mariadb(sql: &str) {
    in_mariadb(&servers::mariadb("mysql"), sql).await;
}

async fn in_mariadb(url: &str, sql: &str) {
    let mut connection = mysql_async::Conn::from_url(url).await.unwrap();
    connection.query_drop(sql).await.unwrap();
    connection.disconnect().await.unwrap();
}

#[tokio::test]
async fn a_missing_database_is_created_if_allowed_and_purged_with_its_application() {
    for service in SERVICES {
        let environment = TestEnvironment::new();
        let url = url_on(service, &environment);
        let daemon = environment.daemon();
        assert_eq!(daemon.refusal("app.create", create(&url)), "database_unreachable", "{service:?}");
        assert!(!exists(&url).await, "{service:?}");
        let created = daemon.call("app.create", create_missing(&url));
        assert_eq!(created["application"]["database"]["mode"], "connection");
        sign_in(&daemon, Some("crm")).await;
        // After a restart, the host still has the password.
        assert!(daemon.stop().success());
        let daemon = environment.daemon();
        sign_in(&daemon, Some("crm")).await;
        daemon.call("app.delete", json!({"id": "crm"}));
        assert!(exists(&url).await, "{service:?}");
        daemon.call("app.undelete", json!({"id": "crm"}));
        sign_in(&daemon, Some("crm")).await;
        // An open connection of another client does not keep it.
        let open = Database::open(&Location::parse(&url).unwrap()).await.unwrap();
        let deleted = daemon.call("app.delete", json!({"id": "crm", "purge": true}));
        assert!(deleted["removed"].as_array().unwrap().len() >= 2, "{deleted}");
        open.close().await;
        assert!(!exists(&url).await, "{service:?}");
    }
}

#[tokio::test]
async fn an_existing_database_is_kept_and_reported() {
    for service in SERVICES {
        let environment = TestEnvironment::new();
        let url = url_on(service, &environment);
        make(&url, &[]).await;
        let daemon = environment.daemon();
        daemon.call("app.create", create(&url));
        sign_in(&daemon, Some("crm")).await;
        assert!(tables(&url).await.contains(&"users".to_owned()));
        let deleted = daemon.call("app.delete", json!({"id": "crm", "purge": true}));
        let kept = deleted["kept"][0].as_str().unwrap();
        assert!(kept.contains("this host did not create it"), "{deleted}");
        assert_eq!(tables(&url).await, Vec::<String>::new(), "{service:?}");
    }
}

#[tokio::test]
async fn a_database_with_other_tables_is_refused_unless_their_prefix_differs() {
    for service in SERVICES {
        let environment = TestEnvironment::new();
        let url = url_on(service, &environment);
        make(&url, &["ledger", "users"]).await;
        let daemon = environment.daemon();
        assert_eq!(daemon.refusal("app.create", create(&url)), "conflict", "{service:?}");
        let mut with_prefix = create(&url);
        with_prefix["database"]["table_prefix"] = json!("crm_");
        let created = daemon.call("app.create", with_prefix);
        assert_eq!(created["application"]["database"]["table_prefix"], "crm_");
        sign_in(&daemon, Some("crm")).await;
        assert!(tables(&url).await.contains(&"crm_users".to_owned()));
        daemon.call("app.delete", json!({"id": "crm", "purge": true}));
        assert_eq!(tables(&url).await, ["ledger", "users"], "{service:?}");
    }
}

#[tokio::test]
async fn applications_never_share_a_database() {
    for service in SERVICES {
        let environment = TestEnvironment::new();
        let url = url_on(service, &environment);
        let daemon = environment.daemon();
        daemon.call("app.create", create_missing(&url));
        let another = |mut params: Value| {
            params["id"] = json!("hr");
            params["database"]["table_prefix"] = json!("hr_");
            params
        };
        assert_eq!(daemon.refusal("app.create", another(create(&url))), "conflict", "{service:?}");
        // Also not with a deleted application, or with one of another host.
        daemon.call("app.delete", json!({"id": "crm"}));
        assert_eq!(daemon.refusal("app.create", another(create(&url))), "conflict", "{service:?}");
        let elsewhere = TestEnvironment::new();
        let other_host = elsewhere.daemon();
        assert_eq!(other_host.refusal("app.create", create(&url)), "conflict", "{service:?}");
        daemon.call("app.undelete", json!({"id": "crm"}));
        sign_in(&daemon, Some("crm")).await;
        daemon.call("app.delete", json!({"id": "crm", "purge": true}));
    }
    // The main application's database counts, too.
    let environment = TestEnvironment::of(TestEngine::Postgres);
    let daemon = environment.daemon();
    let main = environment.database_url();
    assert_eq!(daemon.refusal("app.create", create(main)), "conflict");
}

#[tokio::test]
async fn an_interrupted_creation_keeps_an_existing_database() {
    for service in SERVICES {
        for (point, made) in [
            ("create.registered", false),
            ("create.database-made", false),
            ("create.claimed", false),
            ("create.installed", false),
            ("create.claimed", true),
            ("create.installed", true),
        ] {
            let environment = TestEnvironment::new();
            let url = url_on(service, &environment);
            if !made {
                make(&url, &[]).await;
            }
            let request = if made { create_missing(&url) } else { create(&url) };
            let daemon = environment.killed_at(point, "app.create", request.clone());
            assert_eq!(daemon.refusal("app.get", json!({"id": "crm"})), "app_not_found", "{point}");
            assert_eq!(exists(&url).await, !made, "{service:?} {point}");
            if !made {
                assert_eq!(tables(&url).await, Vec::<String>::new(), "{service:?} {point}");
            }
            daemon.call("app.create", request);
            sign_in(&daemon, Some("crm")).await;
            daemon.call("app.delete", json!({"id": "crm", "purge": true}));
        }
    }
}

#[tokio::test]
async fn connections_are_created_by_command_line_and_http_api() {
    let environment = TestEnvironment::new();
    let daemon = environment.daemon();
    for service in [TestEngine::Postgres, TestEngine::Mariadb] {
        let url = url_on(service, &environment);
        let at = Location::parse(&url).unwrap();
        let at = at.server_database().unwrap();
        let port = at.server.port.to_string();
        let dialect = if service == TestEngine::Postgres { "postgres" } else { "mariadb" };
        std::fs::write(environment.path("password"), "secret\n").unwrap();
        let password = environment.path("password").display().to_string();
        let ran = environment.nbapps(&[
            "create",
            "crm",
            "--db",
            "connection",
            "--db-dialect",
            dialect,
            "--db-host",
            "127.0.0.1",
            "--db-port",
            &port,
            "--db-user",
            "root",
            "--db-name",
            &at.name,
            "--db-password-file",
            &password,
            "--create-database",
            "--start",
            "-o",
            "json",
        ]);
        let database = &ran.ok().json()["application"]["database"];
        assert_eq!(database["server"], json!(format!("127.0.0.1:{port}")));
        assert_eq!(database["database"], json!(at.name));
        sign_in(&daemon, Some("crm")).await;
        let shown = environment.nbapps(&["show", "crm"]).ok().stdout;
        assert!(shown.contains("Connections") && shown.contains("iB"), "{shown}");
        environment.nbapps(&["delete", "crm", "--purge", "--yes"]).ok();

        // The password from the environment, for a URL without one.
        let mut command =
            environment.nbapps_command(&["create", "crm", "--db", "connection", "--create-database"]);
        command.env("NBAPPS_DB_PASSWORD", "secret").env("NBAPPS_DB_URL", url.replace(":secret@", "@"));
        environment.run(command).ok();
        environment.nbapps(&["delete", "crm", "--purge", "--yes"]).ok();

        let token = sign_in(&daemon, None).await;
        let options = json!({"dbConnType": "new_connection", "database": {
            "dialect": dialect, "host": "127.0.0.1", "port": port, "username": "root", "password": "secret",
            "database": at.name, "createDatabase": true,
        }});
        let body = json!({"name": "crm", "options": options});
        let (status, row) =
            http(&daemon, "POST", "/api/applications:create", None, Some(&token), Some(body)).await;
        assert_eq!(status, 200, "{row}");
        assert!(!row.to_string().contains("\"password\""), "{row}");
        sign_in(&daemon, Some("crm")).await;
        daemon.call("app.delete", json!({"id": "crm", "purge": true}));
    }
    let asked = environment.nbapps(&["create", "crm", "--db", "connection", "--ask-db-password"]);
    assert!(asked.stderr.contains("no terminal to ask at"), "{}", asked.stderr);
}

#[tokio::test]
async fn a_password_can_be_given_at_the_terminal() {
    let environment = TestEnvironment::new();
    let daemon = environment.daemon();
    let url = url_on(TestEngine::Postgres, &environment).replace(":secret@", "@");
    let nbapps = env!("CARGO_BIN_EXE_nbapps");
    let create =
        format!("{nbapps} create crm --db connection --db-url {url} --ask-db-password --create-database");
    // In a pseudo-terminal, into which the test types.
    let mut command = environment.command("socat");
    command.arg("-").arg(format!("SYSTEM:\"{create}\",pty,setsid,ctty,stderr"));
    command.env("NBAPPS_SOCKET", environment.socket()).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut terminal = command.spawn().unwrap();
    let mut shown = String::new();
    let mut screen = terminal.stdout.take().unwrap();
    let mut bytes = [0; 256];
    while !shown.contains("Password of the database user") {
        let length = screen.read(&mut bytes).unwrap();
        assert!(length > 0, "{shown}");
        shown.push_str(&String::from_utf8_lossy(&bytes[..length]));
    }
    terminal.stdin.as_mut().unwrap().write_all(b"secret\n").unwrap();
    let _ = screen.read_to_string(&mut shown);
    terminal.wait().unwrap();
    assert!(shown.contains("initialized"), "{shown}");
    sign_in(&daemon, Some("crm")).await;
}

#[tokio::test]
async fn a_refused_connection_has_a_hint() {
    let (postgres, mariadb) = (servers::postgres("x"), servers::mariadb("x"));
    on_postgres("CREATE ROLE nobody_special LOGIN PASSWORD 'pw'").await;
    on_mariadb("CREATE USER nobody_special@'127.0.0.1' IDENTIFIED BY 'pw'").await;
    let environment = TestEnvironment::new();
    let daemon = environment.daemon();
    let wrong = |url: &str| url.replace(":secret@", ":wrong@");
    let weak = |url: &str| url.replace("root:secret@", "nobody_special:pw@");
    for (url, kind, says) in [
        (wrong(&postgres), "database_unreachable", "password authentication failed"),
        (wrong(&mariadb), "database_unreachable", "Access denied"),
        (weak(&postgres), "permission_denied", "ALTER ROLE \"nobody_special\" CREATEDB"),
        (weak(&mariadb), "permission_denied", "GRANT ALL PRIVILEGES ON `x`.* TO"),
        ("postgres://u@127.0.0.1:1/x".to_owned(), "database_unreachable", "Connection refused"),
        ("mysql://u@127.0.0.1:1/x".to_owned(), "database_unreachable", "Connection refused"),
    ] {
        let refused = daemon.connect().call("app.create", create_missing(&url)).unwrap_err();
        assert_eq!(refused["data"]["kind"], kind, "{url}: {refused}");
        assert!(refused["message"].as_str().unwrap().contains(says), "{url}: {refused}");
        assert!(refused["data"]["hint"].is_string(), "{refused}");
        assert!(!refused.to_string().contains("wrong"), "{refused}");
        assert_eq!(daemon.refusal("app.get", json!({"id": "crm"})), "app_not_found");
    }
    assert_eq!(std::fs::read_dir(environment.data().join("apps")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_full_disk_of_the_server_fails_and_is_rolled_back() {
    let environment = TestEnvironment::new();
    let daemon = environment.daemon();
    let postgres = servers::postgres(&servers::fresh_name());
    make(&postgres, &[]).await;
    let full = "CREATE FUNCTION full_disk() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN IF tg_tag = \
                'CREATE INDEX' THEN RAISE EXCEPTION 'could not extend file' USING ERRCODE = '53100'; END IF; \
                END $$; CREATE EVENT TRIGGER full_disk ON ddl_command_start EXECUTE FUNCTION full_disk()";
    in_postgres(&postgres, full).await;
    let ran = environment.nbapps(&["create", "crm", "--db", "connection", "--db-url", &postgres]);
    assert!(ran.stderr.contains("cannot write") && ran.stderr.contains("free space"), "{}", ran.stderr);
    let refused = daemon.refusal("app.create", create(&postgres));
    assert_eq!((refused.as_str(), ran.code), ("storage", 1));
    assert_eq!(tables(&postgres).await, Vec::<String>::new());
    in_postgres(&postgres, "DROP EVENT TRIGGER full_disk").await;
    daemon.call("app.create", create(&postgres));
    daemon.call("app.delete", json!({"id": "crm", "purge": true}));

    let mariadb = servers::mariadb(&servers::fresh_name());
    daemon.call("app.create", create_missing(&mariadb));
    let token = sign_in(&daemon, Some("crm")).await;
    for (name, when) in [("full_disk", "UPDATE ON users"), ("full_sessions", "INSERT ON issuedTokens")] {
        let full = format!(
            "CREATE TRIGGER {name} BEFORE {when} FOR EACH ROW \
             SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = 1021, MESSAGE_TEXT = 'Disk full'"
        );
        in_mariadb(&mariadb, &full).await;
    }
    let change =
        json!({"oldPassword": ROOT_PASSWORD, "newPassword": "another-1", "confirmPassword": "another-1"});
    let (status, said) =
        http(&daemon, "POST", "/api/auth:changePassword", Some("crm"), Some(&token), Some(change)).await;
    assert_eq!(status, 503, "{said}");
    assert!(said.to_string().contains("cannot be written now"), "{said}");
    // Signing in works although the session cannot be stored, so that somebody can free space.
    sign_in(&daemon, Some("crm")).await;
}

#[tokio::test]
async fn passwords_appear_in_no_output() {
    const PASSWORD: &str = "Corr3ct-Horse'Battery";
    on_postgres(&format!("CREATE ROLE keeper LOGIN CREATEDB PASSWORD '{}'", PASSWORD.replace('\'', "''")))
        .await;
    on_mariadb(&format!("CREATE USER keeper@'127.0.0.1' IDENTIFIED BY '{}'", PASSWORD.replace('\'', "''")))
        .await;
    on_mariadb("GRANT ALL PRIVILEGES ON `keeper%`.* TO keeper@'127.0.0.1'").await;
    let environment = TestEnvironment::new();
    let mut command = environment.daemon_command();
    command.env("NBAPPS_LOG_LEVEL", "trace");
    let daemon = environment.daemon_by(command);
    let mut events = daemon.connect();
    events.call("events.subscribe", json!({})).unwrap();
    std::fs::write(environment.path("password"), PASSWORD).unwrap();
    let file = environment.path("password").display().to_string();
    let mut said = String::new();
    for (id, url) in [
        ("a", servers::postgres("keeper_a")),
        ("b", servers::mariadb("keeper_b")),
        // This one fails.
        ("c", "postgres://keeper@127.0.0.1:1/keeper_c".to_owned()),
    ] {
        let url = url.replace("root:secret@", "keeper@");
        for arguments in [
            &[
                "create",
                id,
                "--db",
                "connection",
                "--db-url",
                &url,
                "--db-password-file",
                &file,
                "--create-database",
            ][..],
            &["start", id],
            &["show", id],
            &["show", id, "-o", "json"],
            &["list", "-o", "wide"],
            &["logs", id],
            &["operation", "list", "-o", "json"],
        ] {
            let ran = environment.nbapps(arguments);
            said.push_str(&ran.stdout);
            said.push_str(&ran.stderr);
        }
    }
    assert!(said.contains("running"), "{said}");
    let command_line = std::fs::read(format!("/proc/{}/cmdline", daemon.pid())).unwrap();
    said.push_str(&String::from_utf8_lossy(&command_line));
    daemon.call("app.delete", json!({"id": "a", "purge": true}));
    daemon.call("app.delete", json!({"id": "b", "purge": true}));
    assert!(daemon.stop().success());
    while let Some(event) = events.receive() {
        said.push_str(&event.to_string());
    }
    said.push_str(&environment.daemon_log());
    assert!(!said.contains(PASSWORD));
    environment.assert_kept_nowhere(PASSWORD);
    environment.assert_kept_nowhere(ROOT_PASSWORD);
}

/// Creates a certificate authority and a certificate for `localhost` in a directory.
fn certify(directory: &std::path::Path) {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
    let authority_key = KeyPair::generate().unwrap();
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let certificate = authority.self_signed(&authority_key).unwrap();
    std::fs::write(directory.join("authority.crt"), certificate.pem()).unwrap();
    let issuer = Issuer::new(authority, authority_key);
    let key = KeyPair::generate().unwrap();
    let server = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    std::fs::write(directory.join("server.crt"), server.signed_by(&key, &issuer).unwrap().pem()).unwrap();
    std::fs::write(directory.join("server.key"), key.serialize_pem()).unwrap();
}

#[tokio::test]
async fn certificates_are_checked_as_sslmode_says() {
    let environment = TestEnvironment::new();
    let certificates = environment.path("certificates");
    std::fs::create_dir(&certificates).unwrap();
    certify(&certificates);
    let mut command = environment.daemon_command();
    command.env("SSL_CERT_FILE", certificates.join("authority.crt"));
    let daemon = environment.daemon_by(command);
    let strangers = TestEnvironment::new();
    let stranger = strangers.daemon();
    for server in servers::OwnServer::with_certificate(&certificates) {
        let by_name = server.url("crm").replace("127.0.0.1", "localhost");
        let verified = format!("{by_name}?sslmode=verify-full");
        // Verification fails without the authority, and for another host name.
        let by_address = format!("{}?sslmode=verify-full", server.url("crm"));
        for (host, url) in [(&stranger, &verified), (&daemon, &by_address)] {
            let refused = host.connect().call("app.create", create_missing(url)).unwrap_err();
            assert_eq!(refused["data"]["kind"], "database_unreachable", "{url}: {refused}");
            assert!(refused["message"].as_str().unwrap().contains("certificate"), "{url}: {refused}");
        }
        for url in [&verified, &format!("{by_name}?sslmode=require"), &by_name] {
            daemon.call("app.create", create_missing(url));
            sign_in(&daemon, Some("crm")).await;
            daemon.call("app.delete", json!({"id": "crm", "purge": true}));
        }
    }
    for service in [TestEngine::Postgres, TestEngine::Mariadb] {
        let url = format!("{}?sslmode=require", url_on(service, &environment));
        let refused = daemon.connect().call("app.create", create_missing(&url)).unwrap_err();
        assert!(refused["message"].as_str().unwrap().contains("TLS"), "{refused}");
    }
}

#[tokio::test]
async fn a_nocobase_environment_file_configures_the_daemon() {
    for (dialect, schema) in [("postgres", Some("nocobase; main")), ("mysql", None), ("mariadb", None)] {
        let name = servers::fresh_name();
        let url = if dialect == "postgres" { servers::postgres(&name) } else { servers::mariadb(&name) };
        let at = Location::parse(&url).unwrap();
        let server = &at.server_database().unwrap().server;
        let environment = TestEnvironment::new();
        let command = || {
            let mut command = environment.daemon_command();
            command
                .env("DB_DIALECT", dialect)
                .env("DB_HOST", "127.0.0.1")
                .env("DB_PORT", server.port.to_string());
            command.env("DB_USER", "root").env("DB_PASSWORD", "secret").env("DB_DATABASE", &name);
            command.env("DB_TABLE_PREFIX", "nb_").envs(schema.map(|schema| ("DB_SCHEMA", schema)));
            command
        };
        // Neither the database nor the schema exists at first.
        for round in 0..2 {
            let daemon = environment.daemon_by(command());
            sign_in(&daemon, None).await;
            let main = daemon.call("app.get", json!({"id": "main"}));
            assert_eq!(main["database"]["table_prefix"], "nb_", "{dialect} {round}");
            assert_eq!(main["database"]["schema"], json!(schema), "{dialect} {round}");
            assert!(main["database"]["size"].as_u64().unwrap() > 0, "{main}");
            assert!(daemon.stop().success());
        }
        let at = schema.map_or_else(|| at.clone(), |schema| at.with_schema(schema).unwrap());
        let database = Database::open(&at).await.unwrap();
        let tables = database.table_names().await.unwrap();
        assert!(tables.iter().all(|table| table.starts_with("nb_")), "{tables:?}");
        assert!(tables.contains(&"nb_applications".to_owned()), "{tables:?}");
        database.close().await;
    }
}

/// Takes every connection that a server allows. They stay open as long as the returned value.
async fn take_all(server: &OwnServer) -> Vec<Box<dyn std::any::Any>> {
    let mut taken: Vec<Box<dyn std::any::Any>> = Vec::new();
    loop {
        if server.is_postgres() {
            let connected = tokio_postgres::connect(&server.url("postgres"), tokio_postgres::NoTls).await;
            let Ok((client, connection)) = connected else { return taken };
            taken.push(Box::new((client, tokio::spawn(connection))));
        } else {
            let connected = mysql_async::Conn::from_url(server.url("mysql?prefer_socket=false")).await;
            let Ok(connection) = connected else { return taken };
            taken.push(Box::new(connection));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_free_connections_is_reported() {
    for (server, name) in [(OwnServer::postgres(8), "postgres"), (OwnServer::mariadb(8), "mysql")] {
        let location = Location::parse(&server.url(name)).unwrap();
        let taken = take_all(&server).await;
        let refused = Database::open(&location).await.unwrap_err();
        let said = refused.to_string();
        assert!(matches!(refused, DatabaseError::Full(_)), "{said}");
        assert!(said.contains("has no connection left"), "{said}");
        drop(taken);
    }
}
