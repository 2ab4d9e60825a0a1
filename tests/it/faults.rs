//! Failures of database servers: restarts, outages, hangs and lost connections.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::StreamExt as _;
use mysql_async::prelude::Queryable;
use nbapps::internals::{Database, DatabaseError, Location, Value};
use sea_query::{ColumnDef, Query, Table};
use serde_json::{Value as Json, json};

use crate::environment::{Daemon, PATIENCE, TestEnvironment, http, sign_in};
use crate::servers::OwnServer;

fn own_servers(connections: u32) -> [OwnServer; 2] {
    [OwnServer::postgres(connections), OwnServer::mariadb(connections)]
}

fn connected(id: &str, url: &str) -> Json {
    let database = json!({"mode": "connection", "url": url, "create_database": true});
    json!({"id": id, "database": database, "start": true})
}

/// Sends a request that needs the application's database. Returns the status and `Retry-After`.
async fn ask(daemon: &Daemon, id: &str, token: &str) -> (u16, Option<String>) {
    let request = reqwest::Client::new().get(format!("{}/api/auth:check", daemon.url));
    let response = request.header("X-App", id).bearer_auth(token).send().await.unwrap();
    let wait = response.headers().get("Retry-After").map(|wait| wait.to_str().unwrap().to_owned());
    (response.status().as_u16(), wait)
}

#[tokio::test]
async fn an_application_answers_503_while_its_server_is_away_and_then_goes_on() {
    for mut server in own_servers(50) {
        let environment = TestEnvironment::new();
        let mut command = environment.daemon_command();
        command.env("NBAPPS_DATABASE_STATEMENT_TIMEOUT", "3s");
        let daemon = environment.daemon_by(command);
        daemon.call("app.create", connected("crm", &server.url("crm")));
        daemon.call("app.create", json!({"id": "hr", "start": true}));
        let (crm, hr) = (sign_in(&daemon, Some("crm")).await, sign_in(&daemon, Some("hr")).await);
        let away = (503, Some("5".to_owned()));
        for (takes_it_away, brings_it_back) in [("stop", "start"), ("freeze", "thaw")] {
            assert_eq!(ask(&daemon, "crm", &crm).await.0, 200, "before {takes_it_away}");
            server.tell(takes_it_away);
            assert_eq!(ask(&daemon, "crm", &crm).await, away, "{takes_it_away}");
            // The others are not affected, and the application can still be described.
            assert_eq!(ask(&daemon, "hr", &hr).await.0, 200);
            assert_eq!(daemon.state("crm"), "running");
            server.tell(brings_it_back);
            assert_eq!(ask(&daemon, "crm", &crm).await.0, 200, "after {brings_it_back}");
        }
    }
}

#[tokio::test]
async fn a_later_visit_starts_an_application_that_failed_to_start() {
    for mut server in own_servers(50) {
        let environment = TestEnvironment::on(&server.url("host"));
        let daemon = environment.daemon();
        daemon.call("app.create", json!({"id": "crm"}));
        server.tell("stop");
        let visit = async || http(&daemon, "GET", "/api/app:getInfo", Some("crm"), None, None).await.0;
        assert_eq!(visit().await, 503);
        assert_eq!(daemon.state("crm"), "error");
        server.tell("start");
        let begun = std::time::Instant::now();
        while visit().await != 200 {
            assert!(begun.elapsed() < PATIENCE, "{}", daemon.call("app.get", json!({"id": "crm"})));
        }
        sign_in(&daemon, Some("crm")).await;
    }
}

#[tokio::test]
async fn without_the_main_database_applications_run_and_the_registry_is_read_only() {
    for mut server in own_servers(50) {
        let environment = TestEnvironment::on(&server.url("host"));
        let daemon = environment.daemon();
        let elsewhere = format!("sqlite:{}", environment.path("crm.sqlite").display());
        daemon.call("app.create", connected("crm", &elsewhere));
        let (main, crm) = (sign_in(&daemon, None).await, sign_in(&daemon, Some("crm")).await);
        server.tell("stop");
        assert_eq!(ask(&daemon, "main", &main).await, (503, Some("5".to_owned())));
        assert_eq!(ask(&daemon, "crm", &crm).await.0, 200);
        let listed = daemon.call("app.list", json!({"sizes": true}));
        assert_eq!(listed["applications"].as_array().unwrap().len(), 2);
        for (method, params) in [
            ("app.create", json!({"id": "hr"})),
            ("app.update", json!({"id": "crm", "name": "Other"})),
            ("app.delete", json!({"id": "crm"})),
        ] {
            assert_eq!(daemon.refusal(method, params), "database_unreachable", "{method}");
        }
        // A refused operation has no partial effect.
        assert_eq!(ask(&daemon, "crm", &crm).await.0, 200);
        assert_eq!(daemon.call("app.get", json!({"id": "crm"}))["name"], "crm");
        server.tell("start");
        assert_eq!(ask(&daemon, "main", &main).await.0, 200);
        daemon.call("app.create", json!({"id": "hr", "start": true}));
        sign_in(&daemon, Some("hr")).await;
        daemon.call("app.delete", json!({"id": "crm", "purge": true}));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn databases_on_one_server_share_its_connections() {
    const APPLICATIONS: usize = 14;
    for server in own_servers(12) {
        let environment = TestEnvironment::on(&server.url("host"));
        let daemon = environment.daemon();
        let ids: Vec<String> = (0..APPLICATIONS).map(|number| format!("app-{number}")).collect();
        for id in &ids {
            daemon.call("app.create", json!({"id": id, "start": true}));
        }
        for _ in 0..2 {
            let visits = futures_util::stream::iter(&ids).map(|id| async {
                let body = json!({"account": "nocobase", "password": "wrong"});
                http(&daemon, "POST", "/api/auth:signIn", Some(id), None, Some(body)).await.0
            });
            let answers: Vec<u16> = visits.buffer_unordered(APPLICATIONS).collect().await;
            assert!(answers.iter().all(|&status| status == 401), "{answers:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_user_with_few_connections_suffices() {
    for server in own_servers(50) {
        let few = if server.is_postgres() {
            "CREATE ROLE frugal LOGIN CREATEDB CONNECTION LIMIT 3 PASSWORD 'secret'"
        } else {
            "GRANT ALL PRIVILEGES ON *.* TO frugal@'127.0.0.1' IDENTIFIED BY 'secret' WITH MAX_USER_CONNECTIONS 3"
        };
        run(&server, few).await;
        let environment = TestEnvironment::new();
        let daemon = environment.daemon();
        let ids: Vec<String> = (0..8).map(|number| format!("app-{number}")).collect();
        for id in &ids {
            let url = server.url(id).replace("root:", "frugal:");
            daemon.call("app.create", connected(id, &url));
        }
        for _ in 0..2 {
            let visits = futures_util::stream::iter(&ids).map(|id| async {
                let body = json!({"account": "nocobase", "password": "wrong"});
                http(&daemon, "POST", "/api/auth:signIn", Some(id), None, Some(body)).await.0
            });
            let answers: Vec<u16> = visits.buffer_unordered(ids.len()).collect().await;
            assert!(answers.iter().all(|&status| status == 401), "{answers:?}");
        }
    }
}

/// Runs SQL as the server's superuser.
async fn run(server: &OwnServer, sql: &str) {
    if server.is_postgres() {
        let url = server.url("postgres");
        let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        return client.batch_execute(sql).await.unwrap();
    }
    let mut connection = mysql_async::Conn::from_url(server.url("mysql")).await.unwrap();
    connection.query_drop(sql).await.unwrap();
    connection.disconnect().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_server_is_reported() {
    for server in own_servers(12) {
        let mut others = Vec::new();
        // A connection from the start of the server may end only after the first refusal.
        let mut refusals = 0;
        while refusals < 100 {
            // As an ordinary user, to leave the connections reserved for superusers.
            match tokio::time::timeout(std::time::Duration::from_secs(5), occupy(&server)).await.unwrap() {
                Some(other) => others.push(other),
                None => refusals += 1,
            }
        }
        let full = others.len();
        assert!(full >= 9, "{full}");
        let environment = TestEnvironment::new();
        let daemon = environment.daemon();
        let url = server.url("crm");
        let refused = daemon.connect().call("app.create", connected("crm", &url)).unwrap_err();
        assert_eq!(refused["data"]["kind"], "database_unreachable", "{refused}");
        assert!(refused["message"].as_str().unwrap().contains("no connection left"), "{refused}");
        assert!(refused["data"]["hint"].as_str().unwrap().contains("max_connections"), "{refused}");
        others.clear();
        daemon.call("app.create", connected("crm", &url));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_database_connections_are_closed() {
    for server in own_servers(50) {
        let environment = TestEnvironment::new();
        let mut command = environment.daemon_command();
        command.env("NBAPPS_DATABASE_IDLE_TIMEOUT", "100ms");
        let daemon = environment.daemon_by(command);
        daemon.call("app.create", connected("crm", &server.url("counted")));
        sign_in(&daemon, Some("crm")).await;
        let begun = std::time::Instant::now();
        while connections(&server).await > 0 {
            assert!(begun.elapsed() < PATIENCE, "they stay open");
        }
        sign_in(&daemon, Some("crm")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_statement_ends_on_the_server() {
    for server in own_servers(50) {
        let database = Database::create(&Location::parse(&server.url("counted")).unwrap()).await.unwrap();
        let sleep = if server.is_postgres() { "pg_sleep(600)::text" } else { "SLEEP(600)" };
        let statement = Query::select().expr_as(sea_query::Expr::cust(sleep), "slept").to_owned();
        let waiting = tokio::spawn({
            let database = database.clone();
            async move { database.query(&statement).await }
        });
        let begun = std::time::Instant::now();
        while sleepers(&server).await == 0 {
            assert!(begun.elapsed() < PATIENCE, "the statement did not begin");
        }
        waiting.abort();
        while sleepers(&server).await > 0 {
            assert!(begun.elapsed() < PATIENCE, "the statement goes on");
        }
        assert!(database.table_names().await.unwrap().is_empty());
        database.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_statement_of_a_disconnected_client_ends_on_the_server() {
    let server = OwnServer::postgres(50);
    let environment = TestEnvironment::new();
    let daemon = environment.daemon();
    daemon.call("app.create", connected("crm", &server.url("counted")));
    let token = sign_in(&daemon, Some("crm")).await;
    let (locker, connection) =
        tokio_postgres::connect(&server.url("counted"), tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    locker.batch_execute("BEGIN; LOCK TABLE users IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let waiting =
        "SELECT count(*) FROM pg_stat_activity WHERE datname = 'counted' AND wait_event_type = 'Lock'";
    let begun = std::time::Instant::now();
    {
        let mut asking = std::pin::pin!(ask(&daemon, "crm", &token));
        let mut begins = std::pin::pin!(async { while count(&server, waiting).await == 0 {} });
        tokio::select! {
            answer = asking.as_mut() => panic!("{answer:?}"),
            () = begins.as_mut() => {}
        }
    }
    while count(&server, waiting).await > 0 {
        // Long before the statement would end by itself.
        assert!(begun.elapsed() < std::time::Duration::from_secs(20), "the statement goes on");
    }
    locker.batch_execute("ROLLBACK").await.unwrap();
    assert_eq!(ask(&daemon, "crm", &token).await.0, 200);
}

/// Statements that sleep on the server.
async fn sleepers(server: &OwnServer) -> i64 {
    if server.is_postgres() {
        return count(server, "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'").await;
    }
    count(server, "SELECT count(*) FROM information_schema.processlist WHERE state = 'User sleep'").await
}

#[tokio::test]
async fn a_removed_database_is_reported() {
    for server in own_servers(50) {
        let environment = TestEnvironment::new();
        let daemon = environment.daemon();
        daemon.call("app.create", connected("crm", &server.url("counted")));
        let token = sign_in(&daemon, Some("crm")).await;
        let gone = Location::parse(&server.url("counted")).unwrap();
        assert_eq!(Database::remove(&gone).await.unwrap().len(), 1);
        assert_eq!(ask(&daemon, "crm", &token).await.0, 503);
        assert_eq!(ask(&daemon, "crm", &token).await.0, 503);
        let refused = daemon.connect().call("app.restart", json!({"id": "crm"})).unwrap_err();
        assert_eq!(refused["data"]["kind"], "database_unreachable", "{refused}");
        assert!(refused["message"].as_str().unwrap().contains("there is no database"), "{refused}");
        // Only the directory is left to remove.
        daemon.call("app.delete", json!({"id": "crm", "purge": true}));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_too_long_for_a_connection_is_told_503() {
    let server = OwnServer::postgres(50);
    let environment = TestEnvironment::new();
    let mut command = environment.daemon_command();
    command.env("NBAPPS_DATABASE_CONNECTIONS", "2");
    let daemon = environment.daemon_by(command);
    daemon.call("app.create", connected("crm", &server.url("counted")));
    let token = sign_in(&daemon, Some("crm")).await;
    let (locker, connection) =
        tokio_postgres::connect(&server.url("counted"), tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    locker.batch_execute("BEGIN; LOCK TABLE users IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let mut asked = futures_util::stream::FuturesUnordered::new();
    for _ in 0..5 {
        asked.push(ask(&daemon, "crm", &token));
    }
    // One request has a connection and waits for the table, the other connection is reserved for applications
    // without one, and the rest waited for a connection.
    for _ in 0..4 {
        assert_eq!(asked.next().await, Some((503, Some("5".to_owned()))));
    }
    locker.batch_execute("ROLLBACK").await.unwrap();
    while let Some(answer) = asked.next().await {
        assert_eq!(answer.0, 200);
    }
}

/// Connections to the database `counted`.
async fn connections(server: &OwnServer) -> i64 {
    if server.is_postgres() {
        return count(server, "SELECT count(*) FROM pg_stat_activity WHERE datname = 'counted'").await;
    }
    count(server, "SELECT count(*) FROM information_schema.processlist WHERE db = 'counted'").await
}

/// Queries a number as the server's superuser.
async fn count(server: &OwnServer, sql: &str) -> i64 {
    if server.is_postgres() {
        let url = server.url("postgres");
        let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        return client.query_one(sql, &[]).await.unwrap().get(0);
    }
    let mut connection = mysql_async::Conn::from_url(server.url("mysql")).await.unwrap();
    let counted = connection.query_first(sql).await.unwrap().unwrap();
    connection.disconnect().await.unwrap();
    counted
}

/// Opens a connection of another client; `None` if the server has none left.
async fn occupy(server: &OwnServer) -> Option<Box<dyn std::any::Any + Send>> {
    let url = server.url(if server.is_postgres() { "postgres" } else { "mysql" });
    if server.is_postgres() {
        let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.ok()?;
        tokio::spawn(connection);
        return Some(Box::new(client));
    }
    Some(Box::new(mysql_async::Conn::from_url(&url).await.ok()?))
}

/// Ends every other connection to the database.
async fn drop_connections(server: &OwnServer) {
    if server.is_postgres() {
        let url = server.url("postgres");
        let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'counted'";
        client.batch_execute(end).await.unwrap();
        return;
    }
    let mut connection = mysql_async::Conn::from_url(server.url("mysql")).await.unwrap();
    let find = "SELECT id FROM information_schema.processlist WHERE db = 'counted'";
    for id in connection.query::<u64, _>(find).await.unwrap() {
        // The connection may have ended in the meantime.
        let _ = connection.query_drop(format!("KILL {id}")).await;
    }
    connection.disconnect().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_writes_are_stored_exactly_once_despite_lost_connections() {
    const WRITERS: i64 = 6;
    for server in own_servers(50) {
        let at = Location::parse(&server.url("counted")).unwrap();
        let database = Database::create(&at).await.unwrap();
        let mut table = Table::create();
        table.table("entries").col(ColumnDef::new("number").big_integer().not_null());
        database.execute(&table).await.unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let mut writers = tokio::task::JoinSet::new();
        for writer in 0..WRITERS {
            let (database, stop) = (database.clone(), Arc::clone(&stop));
            writers.spawn(async move {
                let (mut acknowledged, mut failed) = (Vec::new(), 0);
                for number in (writer..).step_by(WRITERS as usize) {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    match write_pair(&database, number).await {
                        Ok(()) => acknowledged.push(number),
                        Err(error) => {
                            assert!(may_pass(&error), "{error:?}");
                            failed += 1;
                        }
                    }
                }
                (acknowledged, failed)
            });
        }
        for _ in 0..20 {
            drop_connections(&server).await;
        }
        stop.store(true, Ordering::Relaxed);
        let (mut acknowledged, mut failed) = (BTreeSet::new(), 0);
        while let Some(writer) = writers.join_next().await {
            let (numbers, failures) = writer.unwrap();
            acknowledged.extend(numbers);
            failed += failures;
        }
        assert!(failed > 0, "no connection was lost in the middle of anything");
        let all = Query::select().column("number").from("entries").to_owned();
        let mut counts = std::collections::BTreeMap::<i64, usize>::new();
        for row in database.query(&all).await.unwrap() {
            let Some(Value::Integer(number)) = row.get("number") else { panic!("{row:?}") };
            *counts.entry(*number).or_default() += 1;
        }
        assert!(counts.values().all(|&count| count == 2), "a half or a double: {counts:?}");
        assert!(acknowledged.iter().all(|number| counts.contains_key(number)), "something was lost");
        database.close().await;
    }
}

/// Writes two rows in one transaction.
async fn write_pair(database: &Database, number: i64) -> Result<(), DatabaseError> {
    let mut insert = Query::insert();
    insert.into_table("entries").columns(["number"]).values_panic([number.into()]);
    let mut transaction = database.begin().await?;
    transaction.execute(&insert).await?;
    transaction.execute(&insert).await?;
    transaction.commit().await
}

/// Whether a client tries again after this error.
fn may_pass(error: &DatabaseError) -> bool {
    matches!(
        error,
        DatabaseError::Unreachable(_)
            | DatabaseError::Busy(_)
            | DatabaseError::Full(_)
            | DatabaseError::Closed(_)
    )
}
