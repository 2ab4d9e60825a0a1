//! What failed and interrupted creations leave on database servers, and how it is removed.

use std::time::Instant;

use nbapps::internals::{Database, Location};
use serde_json::{Value, json};

use crate::environment::{Daemon, PATIENCE, TestEnvironment, http, sign_in};
use crate::servers::OwnServer;
use crate::sql::{numbers, run};

fn refused(daemon: &Daemon, method: &str, params: Value) -> String {
    daemon.connect().call(method, params).unwrap_err().to_string()
}

fn create_missing(id: &str, url: &str) -> Value {
    json!({"id": id, "database": {"mode": "connection", "url": url, "create_database": true}})
}

/// Counts the databases on the server that are under creation, by their names.
async fn unfinished(server: &OwnServer) -> i64 {
    let sql = "SELECT count(*) FROM pg_database WHERE datname LIKE 'nbapps-%'";
    numbers(&server.url("postgres"), sql).await[0]
}

#[tokio::test]
async fn a_statement_of_a_killed_daemon_leaves_no_database() {
    let server = OwnServer::postgres(50);
    let environment = TestEnvironment::on(&server.url("host"));
    drop(environment.daemon());
    // A creation that waits for a lock while the daemon is killed.
    let locking = "BEGIN; LOCK TABLE pg_shdepend IN ACCESS EXCLUSIVE MODE";
    let (locker, connection) =
        tokio_postgres::connect(&server.url("postgres"), tokio_postgres::NoTls).await.unwrap();
    let driving = tokio::spawn(connection);
    let daemon = environment.daemon();
    locker.batch_execute(locking).await.unwrap();
    let mut asking = daemon.connect();
    asking.send("app.create", json!({"id": "crm"}));
    let at_work =
        "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'CREATE DATABASE%' AND state = 'active'";
    let begun = Instant::now();
    while numbers(&server.url("postgres"), at_work).await[0] == 0 {
        assert!(begun.elapsed() < PATIENCE, "no database is being made");
    }
    daemon.kill();
    locker.batch_execute("COMMIT").await.unwrap();
    drop(locker);
    driving.await.unwrap().unwrap();
    let daemon = environment.daemon();
    assert_eq!(daemon.refusal("app.get", json!({"id": "crm"})), "app_not_found");
    assert_eq!(unfinished(&server).await, 0);
    daemon.call("app.create", json!({"id": "crm"}));
}

#[tokio::test]
async fn a_start_removes_only_marked_databases_without_data() {
    for server in [OwnServer::postgres(50), OwnServer::mariadb(50)] {
        let environment = TestEnvironment::on(&server.url("host"));
        let daemon = environment.daemon();
        daemon.call("app.create", json!({"id": "crm"}));
        let key = std::fs::read_to_string(environment.data().join("apps/crm/.nbapps")).unwrap();
        let host = key.split_once('-').unwrap().0.to_owned();
        assert!(daemon.stop().success());
        let [lost, other] = [format!("{host}-0123"), "ffffffffffffffff-0123".to_owned()];
        let main = server.url(if server.is_postgres() { "postgres" } else { "mysql" });
        let at = |name: &str| Location::parse(&server.url(name)).unwrap();
        if server.is_postgres() {
            for name in [format!("nbapps-{lost}"), format!("nbapps-{other}"), "empty".into(), "full".into()] {
                run(&main, &format!("CREATE DATABASE \"{name}\"")).await;
            }
            for name in ["empty", "full"] {
                run(&main, &format!("COMMENT ON DATABASE \"{name}\" IS 'made by nbapps, key {lost}'")).await;
            }
            for name in ["hollow", "filled"] {
                let sql =
                    format!("CREATE SCHEMA {name}; COMMENT ON SCHEMA {name} IS 'made by nbapps, key {lost}'");
                run(&server.url("host"), &sql).await;
            }
            run(&server.url("host"), "CREATE TABLE filled.data (id int)").await;
        } else {
            for (name, owner) in [("empty", &lost), ("full", &lost), ("others", &other)] {
                run(&main, &format!("CREATE DATABASE \"{name}\" COMMENT 'made by nbapps, key {owner}'"))
                    .await;
            }
        }
        run(&server.url("full"), "CREATE TABLE data (id int)").await;
        let daemon = environment.daemon();
        sign_in(&daemon, Some("crm")).await;
        let there = async |name: String| match Database::open(&at(&name)).await {
            Ok(database) => {
                database.close().await;
                true
            }
            Err(_) => false,
        };
        assert!(!there("empty".into()).await && there("full".into()).await, "{}", environment.daemon_log());
        if server.is_postgres() {
            assert!(!there(format!("nbapps-{lost}")).await && there(format!("nbapps-{other}")).await);
            let schemas = "SELECT count(*) FROM pg_namespace WHERE nspname IN ('hollow', 'filled')";
            assert_eq!(numbers(&server.url("host"), schemas).await, [1]);
        } else {
            assert!(there("others".into()).await);
        }
    }
}

#[tokio::test]
async fn an_interrupted_creation_leaves_no_sqlite_file() {
    for point in ["create.database-made", "create.claimed", "create.installed"] {
        let environment = TestEnvironment::new();
        std::fs::create_dir(environment.path("elsewhere")).unwrap();
        let url = format!("sqlite:{}", environment.path("elsewhere/crm.sqlite").display());
        let daemon = environment.killed_at(point, "app.create", create_missing("crm", &url));
        assert_eq!(daemon.refusal("app.get", json!({"id": "crm"})), "app_not_found", "{point}");
        let left = std::fs::read_dir(environment.path("elsewhere")).unwrap().count();
        assert_eq!(left, 0, "{point}");
        daemon.call("app.create", create_missing("crm", &url));
        let names = std::fs::read_dir(environment.path("elsewhere")).unwrap();
        assert!(
            names
                .map(|name| name.unwrap().file_name())
                .all(|name| !name.to_string_lossy().contains("nbapps"))
        );
    }
}

#[tokio::test]
async fn a_database_is_made_whatever_is_the_matter_with_template1() {
    let server = OwnServer::postgres(50);
    let environment = TestEnvironment::on(&server.url("host"));
    let daemon = environment.daemon();
    let (sitting, connection) =
        tokio_postgres::connect(&server.url("template1"), tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    sitting.batch_execute("CREATE TABLE junk (id int)").await.unwrap();
    daemon.call("app.create", json!({"id": "crm"}));
    let version = "UPDATE pg_database SET datcollversion = '1.0' WHERE datname = 'template1'";
    run(&server.url("postgres"), version).await;
    daemon.call("app.create", json!({"id": "hr"}));
    let told = "SELECT count(*) FROM pg_database WHERE datname IN ('host_crm', 'host_hr') \
                AND pg_encoding_to_char(encoding) = 'UTF8' AND datcollate = 'C'";
    assert_eq!(numbers(&server.url("postgres"), told).await, [2]);
}

#[tokio::test]
async fn a_database_with_an_unsuitable_encoding_is_refused_with_sql_for_a_suitable_one() {
    let server = OwnServer::postgres(50);
    let environment = TestEnvironment::new();
    let daemon = environment.daemon();
    for encoding in ["LATIN1", "SQL_ASCII"] {
        let name = encoding.to_lowercase();
        let make = format!(
            "CREATE DATABASE {name} TEMPLATE template0 ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C'"
        );
        run(&server.url("postgres"), &make).await;
        let given = json!({"id": "crm", "database": {"mode": "connection", "url": server.url(&name)}});
        let mut in_schema = given.clone();
        in_schema["database"]["schema"] = json!("crm");
        in_schema["database"]["create_database"] = json!(true);
        for request in [given, in_schema] {
            let error = daemon.connect().call("app.create", request).unwrap_err();
            assert_eq!(error["data"]["kind"], "invalid_setting", "{error}");
            let hint = error["data"]["hint"].as_str().unwrap();
            assert!(hint.contains("TEMPLATE template0 ENCODING 'UTF8'"), "{error}");
            assert!(error["message"].as_str().unwrap().contains(encoding), "{error}");
        }
        let host = TestEnvironment::on(&server.url(&name));
        let (code, said) = host.refused(host.daemon_command());
        assert!(code != 0 && said.contains(encoding) && said.contains("ENCODING 'UTF8'"), "{said}");
    }
}

#[tokio::test]
async fn on_mariadb_tables_store_every_text_in_a_database_of_any_charset() {
    let server = OwnServer::mariadb(50);
    let environment = TestEnvironment::new();
    let daemon = environment.daemon();
    for set in ["latin1", "utf8mb3"] {
        run(&server.url("mysql"), &format!("CREATE DATABASE texts_{set} CHARACTER SET {set}")).await;
        let url = server.url(&format!("texts_{set}"));
        daemon.call("app.create", json!({"id": set, "database": {"mode": "connection", "url": url}}));
        let token = sign_in(&daemon, Some(set)).await;
        let post = async |path: &str, body: Value| {
            let (status, answer) = http(&daemon, "POST", path, Some(set), Some(&token), Some(body)).await;
            assert_eq!(status, 200, "{set}: {answer}");
            answer
        };
        let fields = json!([{"name": "v", "type": "string"}]);
        post("/api/collections:create", json!({"name": "texts", "fields": fields})).await;
        post("/api/collections/texts/fields:create", json!({"name": "w", "type": "text"})).await;
        let made = post("/api/texts:create", json!({"v": "日本 😀", "w": "ÀB 😀"})).await;
        assert_eq!((&made["data"]["v"], &made["data"]["w"]), (&json!("日本 😀"), &json!("ÀB 😀")), "{set}");
    }
}

#[tokio::test]
async fn a_role_without_access_to_the_maintenance_database_uses_another() {
    let server = OwnServer::postgres(50);
    let admin = server.url("postgres");
    run(&admin, "CREATE ROLE maker LOGIN CREATEDB PASSWORD 'secret'").await;
    run(&admin, "REVOKE CONNECT ON DATABASE postgres FROM PUBLIC").await;
    let environment = TestEnvironment::new();
    let daemon = environment.daemon();
    let url = |name: &str| server.url(name).replace("root:", "maker:");
    // The error contains the server's whole message.
    let closed = json!({"id": "p0", "database": {"mode": "connection", "url": url("postgres")}});
    let error = refused(&daemon, "app.create", closed);
    assert!(error.contains("detail: User does not have CONNECT privilege"), "{error}");
    daemon.call("app.create", create_missing("p1", &url("p1")));
    daemon.call("app.delete", json!({"id": "p1", "purge": true}));
    daemon.call("app.create", create_missing("p2", &url("p2")));
    // From now on the role may connect to its own databases only.
    run(&admin, "REVOKE CONNECT ON DATABASE template1 FROM PUBLIC").await;
    let error = refused(&daemon, "app.create", create_missing("p3", &url("p3")));
    assert!(error.contains("GRANT CONNECT ON DATABASE"), "{error}");
    let error = refused(&daemon, "app.delete", json!({"id": "p2", "purge": true}));
    assert!(error.contains("--keep-data"), "{error}");
    // Its purge has begun, so that it cannot be undeleted.
    let listed = daemon.call("app.list", json!({"deleted": true}));
    let listed = &listed["applications"][0];
    assert_eq!((&listed["id"], &listed["deleted"]["purging"]), (&json!("p2"), &json!(true)));
    assert!(listed["reason"].as_str().unwrap().contains("is not finished"), "{listed}");
    let error = refused(&daemon, "app.undelete", json!({"id": "p2"}));
    assert!(error.contains("cannot be undeleted") && error.contains("--keep-data"), "{error}");
    let forgotten = daemon.call("app.delete", json!({"id": "p2", "purge": true, "keep_data": true}));
    assert_eq!(forgotten["removed"], json!([]));
    assert!(forgotten["kept"][0].as_str().unwrap().contains("p2"), "{forgotten}");
    assert_eq!(daemon.call("app.list", json!({"deleted": true}))["applications"], json!([]));
    assert_eq!(numbers(&admin, "SELECT count(*) FROM pg_database WHERE datname = 'p2'").await, [1]);
}

#[tokio::test]
async fn a_missing_privilege_is_reported_with_the_sql_that_grants_it() {
    let server = OwnServer::postgres(50);
    run(&server.url("postgres"), "CREATE ROLE low LOGIN PASSWORD 'secret'").await;
    run(&server.url("postgres"), "CREATE DATABASE closed").await;
    run(&server.url("closed"), "REVOKE ALL ON SCHEMA public FROM PUBLIC").await;
    let environment = TestEnvironment::new();
    let daemon = environment.daemon();
    let url = server.url("closed").replace("root:", "low:");
    let given = json!({"id": "p0", "database": {"mode": "connection", "url": url}});
    let error = daemon.connect().call("app.create", given.clone()).unwrap_err();
    assert_eq!(error["data"]["kind"], "permission_denied", "{error}");
    let sql = r#"GRANT USAGE, CREATE ON SCHEMA "public" TO "low""#;
    assert!(error["message"].as_str().unwrap().contains(sql), "{error}");
    run(&server.url("closed"), sql).await;
    daemon.call("app.create", given);
}

#[test]
fn keep_data_requires_purge() {
    let environment = TestEnvironment::new();
    let daemon = environment.daemon();
    let created = daemon.call("app.create", json!({"id": "crm"}));
    assert_eq!(daemon.refusal("app.delete", json!({"id": "crm", "keep_data": true})), "invalid_setting");
    let deleted = daemon.call("app.delete", json!({"id": "crm", "purge": true, "keep_data": true}));
    let file = created["application"]["database"]["location"].as_str().unwrap();
    assert!(deleted["kept"][0].as_str().unwrap().contains(file), "{deleted}");
    assert!(std::path::Path::new(file).exists());
    assert_eq!(daemon.refusal("app.undelete", json!({"id": "crm"})), "app_not_found");
    // Its directory exists, but its ID is free.
    daemon.call("app.create", json!({"id": "crm"}));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_applications_share_few_connections() {
    use futures_util::StreamExt as _;
    const APPLICATIONS: usize = 24;
    for server in [OwnServer::mariadb(18), OwnServer::postgres(18)] {
        let environment = TestEnvironment::on(&server.url("host"));
        let daemon = environment.daemon();
        let ids: Vec<String> = (0..APPLICATIONS).map(|number| format!("app-{number}")).collect();
        for id in &ids {
            daemon.call("app.create", json!({"id": id, "start": true}));
        }
        let before = refusals(&server).await;
        for _ in 0..2 {
            let visits = futures_util::stream::iter(&ids).map(|id| async {
                let body = json!({"account": "nocobase", "password": "wrong"});
                http(&daemon, "POST", "/api/auth:signIn", Some(id), None, Some(body)).await.0
            });
            let answers: Vec<u16> = visits.buffer_unordered(APPLICATIONS).collect().await;
            assert!(answers.iter().all(|&status| status == 401), "{answers:?}");
        }
        assert_eq!(refusals(&server).await, before, "the server had no place for somebody");
    }
}

/// How many connections MariaDB has refused since its start.
async fn refusals(server: &OwnServer) -> Vec<i64> {
    if server.is_postgres() {
        return Vec::new();
    }
    let counted = "SELECT CAST(variable_value AS SIGNED) FROM information_schema.global_status \
                   WHERE variable_name = 'CONNECTION_ERRORS_MAX_CONNECTIONS'";
    numbers(&server.url("mysql"), counted).await
}
