//! Where applications stand: starts by visit, stops that hold, idle stops, restarts of the daemon.

use std::time::Duration;

use macro_rules_attribute::apply;
use serde_json::json;

use crate::environment::{TestEnvironment, http, sign_in};
use crate::servers::{TestEngine, on_every_engine};

#[apply(on_every_engine)]
#[tokio::test(flavor = "multi_thread")]
async fn hundreds_of_simultaneous_visits_start_an_application_once(engine: TestEngine) {
    let environment = TestEnvironment::of(engine);
    let daemon = environment.daemon();
    daemon.call("app.create", json!({"id": "crm"}));
    let mut events = daemon.connect();
    events.call("events.subscribe", json!({"ids": ["crm"]})).unwrap();
    let client = reqwest::Client::new();
    let url = format!("{}/api/__app/crm/app:getInfo", daemon.url);
    let mut visits = tokio::task::JoinSet::new();
    for _ in 0..300 {
        let visit = client.get(&url).send();
        visits.spawn(async move { visit.await.unwrap().status().as_u16() });
    }
    let statuses = visits.join_all().await;
    assert!(statuses.iter().all(|&status| status == 200), "{statuses:?}");
    daemon.call("app.stop", json!({"id": "crm"}));
    let mut steps = Vec::new();
    while steps.last() != Some(&"stopped".to_owned()) {
        steps.push(events.receive().unwrap()["params"]["to"].as_str().unwrap().to_owned());
    }
    assert_eq!(steps, ["initializing", "running", "stopped"]);
}

#[apply(on_every_engine)]
#[tokio::test(flavor = "multi_thread")]
async fn applications_are_created_and_deleted_while_others_serve_requests(engine: TestEngine) {
    let environment = TestEnvironment::of(engine);
    let daemon = environment.daemon();
    for id in ["stays", "goes", "comes"] {
        daemon.call("app.create", json!({"id": id, "start": true}));
    }
    let token = sign_in(&daemon, Some("stays")).await;
    let (client, url) = (reqwest::Client::new(), daemon.url.clone());
    let (end, ended) = tokio::sync::watch::channel(false);
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let list = client.get(format!("{url}/api/__app/stays/users:list")).bearer_auth(&token);
        let ended = ended.clone();
        asking.spawn(async move {
            // Paced, so that the requests leave the cores to what they run beside.
            let mut pace = tokio::time::interval(Duration::from_millis(10));
            while !*ended.borrow() {
                pace.tick().await;
                let answer = list.try_clone().unwrap().send().await.unwrap();
                assert_eq!(answer.status(), 200);
            }
        });
    }
    for _ in 0..20 {
        for id in ["goes", "comes"] {
            sign_in(&daemon, Some(id)).await;
            daemon.call("app.stop", json!({"id": id}));
            daemon.call("app.start", json!({"id": id}));
        }
    }
    end.send_replace(true);
    asking.join_all().await;
}

#[apply(on_every_engine)]
#[tokio::test]
async fn a_stopped_application_stays_stopped_despite_visits_and_restarts(engine: TestEngine) {
    let environment = TestEnvironment::of(engine);
    let daemon = environment.daemon();
    daemon.call("app.create", json!({"id": "crm", "start": true, "start_mode": "with-main"}));
    daemon.call("app.stop", json!({"id": "crm"}));
    let mut daemon = daemon;
    for _ in 0..2 {
        let (status, body) = http(&daemon, "GET", "/api/app:getInfo", Some("crm"), None, None).await;
        assert_eq!((status, body["error"]["code"].as_str()), (503, Some("APP_STOPPED")), "{body}");
        assert_eq!(daemon.state("crm"), "stopped");
        assert!(daemon.stop().success());
        daemon = environment.daemon();
    }
    let started = daemon.call("app.start", json!({"id": "crm"}));
    assert_eq!((&started["changed"], &started["application"]["state"]), (&json!(true), &json!("running")));
    assert_eq!(daemon.call("app.start", json!({"id": "crm"}))["changed"], false);
}

#[apply(on_every_engine)]
#[tokio::test]
async fn with_main_applications_start_with_the_daemon_or_are_in_error(engine: TestEngine) {
    let environment = TestEnvironment::of(engine);
    let daemon = environment.daemon();
    for id in ["good", "broken"] {
        daemon.call("app.create", json!({"id": id, "start_mode": "with-main"}));
    }
    daemon.call("app.create", json!({"id": "later"}));
    let broken = daemon.call("app.get", json!({"id": "broken"}));
    let file = broken["database"]["location"].as_str().unwrap().to_owned();
    assert!(daemon.stop().success());
    environment.break_database("broken", &file).await;
    let daemon = environment.daemon();
    daemon.call("app.wait", json!({"id": "good", "state": "running", "timeout_ms": 30000}));
    let broken = daemon.call("app.wait", json!({"id": "broken", "state": "error", "timeout_ms": 30000}));
    assert!(broken["reason"].as_str().unwrap().contains(&file), "{broken}");
    assert_eq!(daemon.state("later"), "initialized");
    let (status, body) = http(&daemon, "GET", "/api/app:getInfo", Some("broken"), None, None).await;
    assert_eq!((status, body["error"]["code"].as_str()), (503, Some("APP_ERROR")), "{body}");
    assert_eq!(http(&daemon, "GET", "/api/app:getInfo", Some("good"), None, None).await.0, 200);
}

#[apply(on_every_engine)]
#[tokio::test]
async fn an_idle_application_stops_and_the_next_visit_starts_it(engine: TestEngine) {
    let environment = TestEnvironment::of(engine);
    let daemon = environment.daemon();
    daemon.call("app.create", json!({"id": "crm", "start": true, "idle_stop_seconds": 1}));
    let token = sign_in(&daemon, Some("crm")).await;
    daemon.call("app.wait", json!({"id": "crm", "state": "initialized", "timeout_ms": 30000}));
    assert_eq!(http(&daemon, "GET", "/api/auth:check", Some("crm"), Some(&token), None).await.0, 200);
}

#[apply(on_every_engine)]
#[tokio::test]
async fn rotating_the_secret_invalidates_all_tokens(engine: TestEngine) {
    let environment = TestEnvironment::of(engine);
    let daemon = environment.daemon();
    daemon.call("app.create", json!({"id": "crm", "start": true}));
    let token = sign_in(&daemon, Some("crm")).await;
    daemon.call("app.rotate_secret", json!({"id": "crm"}));
    assert_eq!(http(&daemon, "GET", "/api/auth:check", Some("crm"), Some(&token), None).await.0, 401);
    assert!(daemon.stop().success());
    let daemon = environment.daemon();
    assert_eq!(http(&daemon, "GET", "/api/auth:check", Some("crm"), Some(&token), None).await.0, 401);
    sign_in(&daemon, Some("crm")).await;
}

#[apply(on_every_engine)]
#[test]
fn invalid_creations_are_refused_before_anything_is_created(engine: TestEngine) {
    let environment = TestEnvironment::of(engine);
    let daemon = environment.daemon();
    daemon.call("app.create", json!({"id": "crm", "domains": ["crm.example.com"]}));
    for (params, kind) in [
        (json!({"id": "crm"}), "app_exists"),
        (json!({"id": "main"}), "app_exists"),
        (json!({"id": "Crm"}), "invalid_id"),
        (json!({"id": "a", "domains": ["CRM.example.com."]}), "domain_taken"),
        (json!({"id": "a", "domains": ["http://x"]}), "invalid_setting"),
        (json!({"id": "a", "environment": "k8s"}), "invalid_setting"),
        (json!({"id": "a", "database": {"mode": "connection", "url": "postgres://x/y"}}), "invalid_setting"),
        (
            json!({"id": "a", "database": {"mode": "connection", "url": "mysql://u@127.0.0.1:1/y"}}),
            "database_unreachable",
        ),
        (json!({"id": "a", "database": {"dialect": "oracle"}}), "engine_unsupported"),
        (json!({"id": "a", "database": {"host": "x"}}), "invalid_setting"),
        (json!({"id": "a", "database": {"table_prefix": "a b"}}), "invalid_setting"),
        (json!({"id": "a", "admin": {"email": "x"}}), "invalid_setting"),
        (json!({"id": "a", "admin": {"password": ""}}), "invalid_setting"),
        (json!({"id": "a", "jwt_secret": "short"}), "invalid_setting"),
        (json!({"id": "a", "no_such_option": 1}), "invalid_params"),
    ] {
        assert_eq!(daemon.refusal("app.create", params.clone()), kind, "{params}");
    }
    if !environment.has_schemas() {
        let schema = json!({"id": "a", "database": {"mode": "schema"}});
        assert_eq!(daemon.refusal("app.create", schema), "schema_unsupported");
    }
    assert_eq!(std::fs::read_dir(environment.data().join("apps")).unwrap().count(), 1);
    for method in ["app.stop", "app.restart", "app.delete"] {
        assert_eq!(daemon.refusal(method, json!({"id": "main"})), "refused", "{method}");
    }
    daemon.call("app.update", json!({"id": "crm", "protected": true}));
    for purge in [false, true] {
        assert_eq!(daemon.refusal("app.delete", json!({"id": "crm", "purge": purge})), "refused");
    }
    daemon.call("app.update", json!({"id": "crm", "protected": false}));
    daemon.call("app.delete", json!({"id": "crm"}));
}

#[apply(on_every_engine)]
#[test]
fn a_dry_run_makes_nothing(engine: TestEngine) {
    let environment = TestEnvironment::of(engine);
    let daemon = environment.daemon();
    let planned = daemon.call("app.create", json!({"id": "crm", "dry_run": true, "start": true}));
    assert_eq!(planned["created"], false);
    assert_eq!(planned["plan"].as_array().unwrap().len(), 4, "{planned}");
    assert_eq!(daemon.refusal("app.get", json!({"id": "crm"})), "app_not_found");
    assert_eq!(std::fs::read_dir(environment.data().join("apps")).unwrap().count(), 0);
}

#[apply(on_every_engine)]
#[test]
fn simultaneous_creations_with_one_id_create_one_application(engine: TestEngine) {
    let environment = TestEnvironment::of(engine);
    let daemon = environment.daemon();
    let mut connections: Vec<_> = (0..20).map(|_| daemon.connect()).collect();
    let sent: Vec<_> = connections.iter_mut().map(|c| c.send("app.create", json!({"id": "crm"}))).collect();
    let answers: Vec<_> = connections.iter_mut().zip(sent).map(|(c, id)| c.answer(id)).collect();
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
    for error in answers.into_iter().filter_map(Result::err) {
        assert_eq!(error["data"]["kind"], "app_exists");
    }
    let created = daemon.call("app.create", json!({"id": "crm", "if_not_exists": true}));
    assert_eq!(created["created"], false);
}

#[apply(on_every_engine)]
#[test]
fn secrets_are_encrypted_at_rest_and_unreadable_without_the_key(engine: TestEngine) {
    let environment = TestEnvironment::of(engine);
    let daemon = environment.daemon();
    let secret = "a-secret-that-is-long-enough-for-hs256";
    daemon.call("app.create", json!({"id": "crm", "jwt_secret": secret}));
    assert!(daemon.stop().success());
    environment.assert_kept_nowhere(secret);
    std::fs::remove_file(environment.data().join("secret.key")).unwrap();
    let (code, said) = environment.refused(environment.daemon_command());
    assert_eq!(code, 1);
    assert!(said.contains("secret.key"), "{said}");
}
