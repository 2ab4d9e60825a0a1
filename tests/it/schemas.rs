//! Schema mode: applications in schemas of the main application's PostgreSQL database.

use futures_util::StreamExt as _;
use nbapps::internals::{Database, DatabaseError, Value};
use sea_query::{Expr, ExprTrait, Func, Query};
use serde_json::json;

use crate::environment::{TestEnvironment, http, sign_in};
use crate::servers::{self, OwnServer, TestEngine};

fn on_postgres() -> TestEnvironment {
    TestEnvironment::of(TestEngine::Postgres)
}

async fn has_schema(environment: &TestEnvironment, name: &str) -> bool {
    let main = environment.main_location();
    let schema = main.with_schema(&main.sibling_name(name).unwrap()).unwrap();
    match Database::open(&schema).await {
        Ok(database) => {
            database.close().await;
            true
        }
        Err(DatabaseError::Missing(_)) => false,
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn an_application_is_created_and_purged_in_its_schema() {
    let environment = on_postgres();
    let daemon = environment.daemon();
    let created = environment.nbapps(&["create", "--id", "crm", "--db", "schema", "--start", "-o", "json"]);
    let application = &created.ok().json()["application"];
    assert_eq!(
        (&application["database"]["mode"], &application["state"]),
        (&json!("schema"), &json!("running"))
    );
    let location = application["database"]["location"].as_str().unwrap();
    assert!(location.contains("_crm") && !location.contains("secret"), "{location}");
    daemon.call("app.create", json!({"id": "hr", "database": {"mode": "schema"}}));
    let token = sign_in(&daemon, Some("crm")).await;
    assert_eq!(http(&daemon, "GET", "/api/auth:check", Some("hr"), Some(&token), None).await.0, 401);
    // A change in one does not affect the other.
    let change =
        json!({"oldPassword": "admin123", "newPassword": "another-1", "confirmPassword": "another-1"});
    let (status, said) =
        http(&daemon, "POST", "/api/auth:changePassword", Some("crm"), Some(&token), Some(change)).await;
    assert_eq!(status, 200, "{said}");
    assert!(daemon.stop().success());
    let daemon = environment.daemon();
    sign_in(&daemon, Some("hr")).await;
    daemon.call("app.delete", json!({"id": "crm"}));
    assert!(has_schema(&environment, "crm").await);
    daemon.call("app.undelete", json!({"id": "crm"}));
    daemon.call("app.delete", json!({"id": "crm", "purge": true}));
    assert!(!has_schema(&environment, "crm").await && has_schema(&environment, "hr").await);
}

#[tokio::test]
async fn nocobases_options_create_schemas_and_databases() {
    let environment = on_postgres();
    let daemon = environment.daemon();
    let token = sign_in(&daemon, None).await;
    for (kind, database, mode) in [
        ("new_schema", json!({}), "schema"),
        ("new_schema", json!({"schema": "the crm"}), "schema"),
        ("new_database", json!({"database": format!("{}_x", servers::fresh_name())}), "database"),
    ] {
        let body = json!({"name": "crm", "options": {"dbConnType": kind, "database": database}});
        let (status, row) =
            http(&daemon, "POST", "/api/applications:create", None, Some(&token), Some(body)).await;
        assert_eq!((status, &row["data"]["options"]["dbConnType"]), (200, &json!(kind)), "{row}");
        let described = &daemon.call("app.get", json!({"id": "crm"}))["database"];
        assert_eq!(described["mode"], mode);
        for name in ["schema", "database"] {
            if let Some(given) = database.get(name) {
                assert_eq!(described[name], *given);
            }
        }
        sign_in(&daemon, Some("crm")).await;
        daemon.call("app.delete", json!({"id": "crm", "purge": true}));
    }
}

#[tokio::test]
async fn names_are_used_unchanged_or_refused_before_anything_is_created() {
    let longest = "é".repeat(31) + "x";
    let names = ["select", "Upper Case", "semi;colon", "a \"quoted\" 'one'", "--", longest.as_str()];
    for (mode, key) in [("schema", "schema"), ("database", "name")] {
        let environment = on_postgres();
        let daemon = environment.daemon();
        let request = |name: &str| json!({"id": "crm", "database": {"mode": mode, key: name}});
        for name in names {
            let created = daemon.call("app.create", request(name));
            let described = &created["application"]["database"];
            assert_eq!(described[if mode == "schema" { "schema" } else { "database" }], name);
            sign_in(&daemon, Some("crm")).await;
            assert_eq!(
                daemon.refusal("app.create", json!({"id": "hr", "database": request(name)["database"]})),
                "conflict"
            );
            let deleted = daemon.call("app.delete", json!({"id": "crm", "purge": true}));
            assert!(deleted["removed"][0].as_str().unwrap().contains(name), "{deleted}");
        }
        for name in ["é".repeat(32).as_str(), "nul\0", ""] {
            assert_eq!(daemon.refusal("app.create", request(name)), "invalid_setting", "{name:?}");
            assert_eq!(daemon.refusal("app.get", json!({"id": "crm"})), "app_not_found");
        }
        assert_eq!(std::fs::read_dir(environment.data().join("apps")).unwrap().count(), 0);
    }
}

#[tokio::test]
async fn a_foreign_schema_is_refused_and_kept() {
    let environment = on_postgres();
    let daemon = environment.daemon();
    let main = environment.main_location();
    let theirs = main.with_schema(&main.sibling_name("crm").unwrap()).unwrap();
    Database::create(&theirs).await.unwrap().close().await;
    assert_eq!(
        daemon.refusal("app.create", json!({"id": "crm", "database": {"mode": "schema"}})),
        "conflict"
    );
    assert!(has_schema(&environment, "crm").await);
    assert_eq!(daemon.refusal("app.get", json!({"id": "crm"})), "app_not_found");
}

#[tokio::test]
async fn an_interrupted_creation_or_purge_is_completed() {
    let create = json!({"id": "crm", "database": {"mode": "schema"}});
    for point in ["create.directory-marked", "create.database-made", "create.installed"] {
        let environment = on_postgres();
        let daemon = environment.killed_at(point, "app.create", create.clone());
        assert!(!has_schema(&environment, "crm").await, "{point}");
        daemon.call("app.create", create.clone());
        sign_in(&daemon, Some("crm")).await;
    }
    for point in ["purge.marked", "purge.database-removed", "purge.removed"] {
        let environment = on_postgres();
        let daemon = environment.daemon();
        daemon.call("app.create", create.clone());
        drop(daemon);
        environment.killed_at(point, "app.delete", json!({"id": "crm", "purge": true}));
        assert!(!has_schema(&environment, "crm").await, "{point}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn applications_in_one_database_share_its_connections() {
    const APPLICATIONS: usize = 60;
    let environment = on_postgres();
    let daemon = environment.daemon();
    let mut connections: Vec<_> = (0..APPLICATIONS).map(|_| daemon.connect()).collect();
    for (number, connection) in connections.iter_mut().enumerate() {
        let create = json!({"id": format!("app-{number}"), "database": {"mode": "schema"}});
        connection.send("app.create", create);
    }
    for mut connection in connections {
        connection.answer(1).unwrap();
    }
    let client = reqwest::Client::new();
    let mut visits = tokio::task::JoinSet::new();
    for number in 0..APPLICATIONS {
        let body = json!({"account": "nocobase", "password": "wrong"});
        let visit = client.post(format!("{}/api/__app/app-{number}/auth:signIn", daemon.url)).json(&body);
        visits.spawn(async move { visit.send().await.unwrap().status().as_u16() });
    }
    assert!(visits.join_all().await.iter().all(|&status| status == 401));
    assert_eq!(daemon.call("host.info", json!({}))["running"], APPLICATIONS);
    let name = environment.main_location().sibling_name("").unwrap();
    let name = name.trim_end_matches('_');
    let main = Database::open(&environment.main_location()).await.unwrap();
    let connections = Query::select()
        .expr_as(Func::count(Expr::col("pid")), "connections")
        .from("pg_stat_activity")
        .and_where(Expr::col("datname").eq(name))
        .to_owned();
    let rows = main.query(&connections).await.unwrap();
    // The connections of the host, and that of this query.
    assert!(matches!(rows[0].get("connections"), Some(Value::Integer(2..=17))), "{rows:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn hundreds_of_applications_share_thirty_connections() {
    const APPLICATIONS: usize = 200;
    const AT_A_TIME: usize = 20;
    let server = OwnServer::postgres(30);
    let environment = TestEnvironment::on(&server.url("host"));
    let daemon = environment.daemon();
    let ids: Vec<String> = (0..APPLICATIONS).map(|number| format!("app-{number}")).collect();
    std::thread::scope(|scope| {
        for part in ids.chunks(APPLICATIONS / AT_A_TIME) {
            let mut connection = daemon.connect();
            scope.spawn(move || {
                for id in part {
                    let create = json!({"id": id, "database": {"mode": "schema"}, "start": true});
                    connection.call("app.create", create).unwrap();
                }
            });
        }
    });
    assert_eq!(daemon.call("host.info", json!({}))["running"], APPLICATIONS);
    let client = reqwest::Client::new();
    let visits = futures_util::stream::iter(&ids).map(|id| {
        let client = &client;
        let url = format!("{}/api/__app/{id}/auth:signIn", daemon.url);
        async move {
            // A wrong password makes the application read its table of users.
            let body = json!({"account": "nocobase", "password": "wrong"});
            client.post(url).json(&body).send().await.unwrap().status().as_u16()
        }
    });
    let answers: Vec<u16> = visits.buffer_unordered(200).collect().await;
    assert_eq!(answers.len(), APPLICATIONS);
    assert!(answers.iter().all(|&status| status == 401), "{answers:?}");
}
