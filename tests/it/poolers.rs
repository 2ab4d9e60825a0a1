//! PostgreSQL behind PgBouncer, in session mode and in transaction mode.

use futures_util::future::join_all;
use nbapps::internals::{Database, Location};
use serde_json::{Value, json};

use crate::environment::{Daemon, TestEnvironment, http, sign_in};
use crate::servers::OwnServer;

const CLIENTS: usize = 30;
const RECORDS: usize = 8;

/// Uses an application as one client does. Returns the responses other than 200.
async fn work(daemon: &Daemon, id: &str, token: &str, client: usize) -> Vec<(u16, Value)> {
    let mut failed = Vec::new();
    let mut ask = async |method: &str, path: &str, body: Option<Value>| {
        let answer = http(daemon, method, &format!("/api/{path}"), Some(id), Some(token), body).await;
        if answer.0 != 200 {
            failed.push(answer);
        }
    };
    for number in 0..RECORDS {
        let (title, at) = (format!("{client} {number}"), "2024-02-29T12:30:00.000Z");
        let body =
            json!({"title": title, "number": number, "at": at, "data": {"a": [number]}, "exact": "1.50"});
        ask("POST", "posts:create", Some(body)).await;
        ask("GET", "posts:list?sort=-id&filter={\"number\":{\"$gt\":2}}&pageSize=5", None).await;
        let filter = format!("{{\"title\":\"{title}\"}}");
        ask("POST", &format!("posts:update?filter={filter}"), Some(json!({"number": -1}))).await;
        ask("POST", "tags:firstOrCreate?filterKeys[]=name", Some(json!({"name": number.to_string()}))).await;
    }
    if client.is_multiple_of(10) {
        let field = json!({"name": format!("f{client}"), "type": "string"});
        ask("POST", "collections/posts/fields:create", Some(field)).await;
        ask("POST", &format!("collections/posts/fields:destroy?filterByTk=f{client}"), None).await;
    }
    failed
}

/// Uses applications with many clients, and checks the stored data.
async fn use_it(daemon: &Daemon, id: &str) {
    let token = &sign_in(daemon, Some(id)).await;
    let ask = async |method: &str, path: &str, body: Option<Value>| {
        let (status, answer) =
            http(daemon, method, &format!("/api/{path}"), Some(id), Some(token), body).await;
        assert_eq!(status, 200, "{path}: {answer}");
        answer
    };
    let fields = json!([
        {"name": "title", "type": "string"}, {"name": "number", "type": "integer"}, {"name": "at", "type": "date"},
        {"name": "data", "type": "json"}, {"name": "exact", "type": "decimal", "precision": 10, "scale": 2},
    ]);
    ask("POST", "collections:create", Some(json!({"name": "posts", "fields": fields}))).await;
    let unique = json!([{"name": "name", "type": "string", "unique": true}]);
    ask("POST", "collections:create", Some(json!({"name": "tags", "fields": unique}))).await;
    let failed = join_all((0..CLIENTS).map(|client| work(daemon, id, token, client))).await.concat();
    assert!(failed.is_empty(), "{} of {id}: {:?}", failed.len(), failed.first());
    let posts = ask("GET", "posts:list?pageSize=1&sort=id", None).await;
    assert_eq!(posts["meta"]["count"], CLIENTS * RECORDS);
    let first = &posts["data"][0];
    assert_eq!((&first["number"], &first["at"]), (&json!(-1), &json!("2024-02-29T12:30:00.000Z")));
    let tags = ask("GET", "tags:list", None).await;
    assert_eq!(tags["meta"]["count"], RECORDS);
    // Created again with another type, the field stores its values.
    for (kind, value) in [("integer", json!(7)), ("string", json!("007"))] {
        ask("POST", "collections/tags/fields:create", Some(json!({"name": "v", "type": kind}))).await;
        for _ in 0..3 {
            let made = ask("POST", "tags:create", Some(json!({"v": value}))).await;
            let key = &made["data"]["id"];
            let stored = ask("GET", &format!("tags:get?filterByTk={key}"), None).await;
            assert_eq!(stored["data"]["v"], value);
        }
        ask("POST", "collections/tags/fields:destroy?filterByTk=v", None).await;
    }
}

async fn behind(mode: &str) {
    let server = OwnServer::postgres(100);
    // Hosted poolers are configured like this.
    for name in ["host", "crm"] {
        let at = Location::parse(&server.url(name)).unwrap();
        Database::create(&at).await.unwrap().close().await;
    }
    let pooler = OwnServer::pgbouncer(&server, mode);
    let environment = TestEnvironment::on(&pooler.url("host"));
    let daemon = environment.daemon();
    let database = json!({"mode": "connection", "url": pooler.url("crm")});
    daemon.call("app.create", json!({"id": "crm", "database": database, "start": true}));
    daemon.call("app.create", json!({"id": "hr", "database": {"mode": "schema"}, "start": true}));
    let made = json!({"mode": "connection", "url": pooler.url("made"), "create_database": true});
    daemon.call("app.create", json!({"id": "made", "database": made, "start": true}));
    daemon.call("app.delete", json!({"id": "made", "purge": true}));
    for id in ["crm", "hr"] {
        use_it(&daemon, id).await;
        let shown = environment.nbapps(&["show", id]).ok().stdout;
        assert_eq!(shown.contains("statements are not prepared by name"), mode == "transaction", "{shown}");
        daemon.call("app.delete", json!({"id": id, "purge": true}));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn applications_run_behind_a_pooler_in_session_mode() {
    behind("session").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn applications_run_behind_a_pooler_in_transaction_mode() {
    behind("transaction").await;
}
