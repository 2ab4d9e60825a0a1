//! What is asked at the same time: nobody is answered that the host or its database failed, and nothing
//! is stored that nobody sent.

use std::sync::Arc;

use futures_util::future::join_all;
use macro_rules_attribute::apply;
use serde_json::{Value, json};

use super::tests::{send, sign_in};
use crate::app::App;
use crate::app::test_place::Place as Installed;
use crate::test_servers::{TestEngine, on_every_engine};

/// An application whose collections hold what the tests below write.
struct Together {
    app: Arc<App>,
    token: String,
    _place: Installed,
}

impl Together {
    async fn new(engine: TestEngine) -> Self {
        let place = Installed::installed(engine).await;
        let app = place.open().await.unwrap();
        let token = sign_in(&app).await;
        Self { app, token, _place: place }
    }

    async fn send(&self, line: &str, body: Value) -> (u16, Value) {
        send(&self.app, line, &self.token, &body.to_string()).await
    }

    /// Sends what must be answered with 200; gives the data.
    async fn ok(&self, line: &str, body: Value) -> Value {
        let (status, mut answer) = self.send(line, body).await;
        assert_eq!(status, 200, "{line}: {answer}");
        answer["data"].take()
    }

    async fn collection(&self, name: &str, fields: Value) {
        self.ok("POST collections:create", json!({"name": name, "fields": fields})).await;
    }

    async fn field(&self, collection: &str, name: &str, kind: &str) {
        let body = json!({"name": name, "type": kind});
        self.ok(&format!("POST collections/{collection}/fields:create"), body).await;
    }

    async fn without_field(&self, collection: &str, name: &str) {
        let line = format!("POST collections/{collection}/fields:destroy?filterByTk={name}");
        self.ok(&line, json!({})).await;
    }
}

#[apply(on_every_engine)]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_finds_or_makes_the_same_finds_what_the_other_made(engine: TestEngine) {
    let here = Together::new(engine).await;
    let fields = json!([{"name": "k", "type": "string", "unique": true}, {"name": "n", "type": "integer"}]);
    here.collection("keyed", fields).await;
    here.collection("plain", json!([{"name": "k", "type": "string"}, {"name": "n", "type": "integer"}]))
        .await;
    let comments = json!({"name": "comments", "type": "hasMany", "target": "plain", "foreignKey": "keyedId"});
    here.ok("POST collections/keyed/fields:create", comments).await;
    here.ok("POST keyed:create", json!({"k": "owner"})).await;
    for (resource, action) in [
        ("keyed", "firstOrCreate"),
        ("keyed", "updateOrCreate"),
        ("plain", "firstOrCreate"),
        ("plain", "updateOrCreate"),
        ("keyed/1/comments", "firstOrCreate"),
        ("keyed/1/comments", "updateOrCreate"),
    ] {
        let line = &format!("POST {resource}:{action}?filterKeys[]=k");
        let asked = (0..16).map(|n| here.send(line, json!({"k": action, "n": n})));
        for (status, answer) in join_all(asked).await {
            assert_eq!(status, 200, "{line}: {answer}");
        }
        let made = here.ok(&format!("GET {resource}:list?filter={{\"k\":\"{action}\"}}"), json!({})).await;
        assert_eq!(made.as_array().map(Vec::len), Some(1), "{line}: {made}");
    }
}

#[apply(on_every_engine)]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_record_that_another_request_makes_meanwhile_is_found(engine: TestEngine) {
    let here = Together::new(engine).await;
    here.collection("keyed", json!([{"name": "k", "type": "string", "unique": true}])).await;
    for round in 0..8 {
        let body = json!({"k": format!("{round}")});
        let made = (0..4).map(|_| here.send("POST keyed:create", body.clone()));
        let found = (0..8).map(|_| here.send("POST keyed:firstOrCreate?filterKeys[]=k", body.clone()));
        let (made, found) = futures_util::join!(join_all(made), join_all(found));
        assert!(made.iter().all(|(status, _)| matches!(status, 200 | 400)), "{made:?}");
        assert!(found.iter().all(|(status, _)| *status == 200), "{found:?}");
    }
}

#[apply(on_every_engine)]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_rows_are_changed_by_many_at_the_same_time(engine: TestEngine) {
    let here = Together::new(engine).await;
    here.collection("rows", json!([{"name": "n", "type": "integer"}])).await;
    for _ in 0..4 {
        here.ok("POST rows:create", json!({"n": 0})).await;
    }
    // Each names the rows in another order.
    let asked = (0..24).map(|turn| {
        let rows: Vec<Value> = (0..4).map(|place| json!({"id": (turn + place) % 4 + 1, "n": turn})).collect();
        here.send("POST rows:update", Value::Array(rows))
    });
    for (status, answer) in join_all(asked).await {
        assert_eq!(status, 200, "{answer}");
    }
    let rows = here.ok("GET rows:list", json!({})).await;
    let numbers: Vec<&Value> = rows.as_array().unwrap().iter().map(|row| &row["n"]).collect();
    assert!(numbers.iter().all(|number| *number == numbers[0]), "one of them was last at all rows: {rows}");
}

#[apply(on_every_engine)]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_loses_a_deadlock_does_its_work_again(engine: TestEngine) {
    let here = Together::new(engine).await;
    here.collection("leaves", json!([{"name": "n", "type": "integer"}])).await;
    here.collection("trees", json!([{"name": "n", "type": "integer"}])).await;
    let leaves = json!({"name": "leaves", "type": "hasMany", "target": "leaves", "foreignKey": "treeId"});
    here.ok("POST collections/trees/fields:create", leaves).await;
    for leaf in 1..=4 {
        here.ok("POST trees:create", json!({"n": 0, "leaves": [{"n": leaf}]})).await;
    }
    // Each takes the rows in another order, so that all wait for each other in a ring.
    let asked = (0..8).map(|turn| {
        let leaves: Vec<Value> =
            (0..4).map(|place| json!({"id": (turn + place) % 4 + 1, "n": turn})).collect();
        let line = format!("POST trees:update?filterByTk={}&updateAssociationValues[]=leaves", turn % 4 + 1);
        let body = json!({"n": turn, "leaves": leaves});
        let here = &here;
        async move { here.send(&line, body).await }
    });
    for (status, answer) in join_all(asked).await {
        assert_eq!(status, 200, "{answer}");
    }
    let leaves = here.ok("GET leaves:list", json!({})).await;
    let numbers: Vec<&Value> = leaves.as_array().unwrap().iter().map(|leaf| &leaf["n"]).collect();
    assert!(numbers.iter().all(|number| *number == numbers[0]), "one of them was last at all: {leaves}");
}

#[apply(on_every_engine)]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn moves_at_the_same_time_succeed(engine: TestEngine) {
    let here = Together::new(engine).await;
    here.collection("places", json!([{"name": "sort", "type": "sort"}])).await;
    for _ in 0..6 {
        here.ok("POST places:create", json!({})).await;
    }
    let asked = (0..16).map(|turn| {
        let (source, target) = (turn % 6 + 1, (turn * 5 + 3) % 6 + 1);
        let target = if source == target { target % 6 + 1 } else { target };
        here.send("POST places:move", json!({"sourceId": source, "targetId": target}))
    });
    for (status, answer) in join_all(asked).await {
        assert_eq!(status, 200, "{answer}");
    }
}

#[apply(on_every_engine)]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn unique_places_that_the_host_gives_never_meet(engine: TestEngine) {
    let here = Together::new(engine).await;
    let place = json!([{"name": "n", "type": "integer"}, {"name": "sort", "type": "sort", "unique": true}]);
    here.collection("places", place).await;
    for _ in 0..6 {
        here.ok("POST places:create", json!({})).await;
    }
    for round in 0..4 {
        let moved = (0..12).map(|turn| {
            let (source, target) = (turn % 6 + 1, (turn * 5 + 3 + round) % 6 + 1);
            let target = if source == target { target % 6 + 1 } else { target };
            here.send("POST places:move", json!({"sourceId": source, "targetId": target}))
        });
        let made = (0..12).map(|n| here.send("POST places:create", json!({"n": n})));
        let many = (0..4).map(|_| here.send("POST places:create", json!([{}, {}, {}])));
        // Somebody gives records the places that would be next: that may be refused, and nobody else is.
        let said = (0..6).map(|n| {
            let last = 6 + round * 30 + n * 2;
            here.send("POST places:create", json!({"sort": last}))
        });
        let (moved, made, many, said) =
            futures_util::join!(join_all(moved), join_all(made), join_all(many), join_all(said));
        for (status, answer) in moved.iter().chain(&made).chain(&many) {
            assert_eq!(*status, 200, "{answer}");
        }
        assert!(said.iter().all(|(status, _)| matches!(status, 200 | 400)), "{said:?}");
    }
    let rows = here.ok("GET places:list?paginate=false", json!({})).await;
    let places: std::collections::BTreeSet<String> =
        rows.as_array().unwrap().iter().map(|row| row["sort"].to_string()).collect();
    assert_eq!(places.len(), rows.as_array().unwrap().len(), "{rows}");
}

#[apply(on_every_engine)]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn moves_and_places_that_somebody_gives_leave_all_places_distinct(engine: TestEngine) {
    let here = Together::new(engine).await;
    here.collection("places", json!([{"name": "sort", "type": "sort"}])).await;
    here.ok("POST places:create", json!([{}, {}, {}, {}, {}, {}])).await;
    for round in 0..6 {
        let moved = (0..4)
            .map(|turn| here.send("POST places:move", json!({"sourceId": turn + 1, "targetId": turn + 2})));
        let given = (0..4).map(async |turn| {
            let sort = if turn == 3 { Value::Null } else { json!(round + turn % 2) };
            here.send(&format!("POST places:update/{}", turn + 2), json!({"sort": sort})).await
        });
        let (moved, given) = futures_util::join!(join_all(moved), join_all(given));
        for (status, answer) in moved.iter().chain(&given) {
            assert_eq!(*status, 200, "{answer}");
        }
        // Whatever stands by then, the next move leaves distinct places.
        here.ok("POST places:move", json!({"sourceId": 1, "targetId": 6})).await;
        let rows = here.ok("GET places:list", json!({})).await;
        let places: std::collections::BTreeSet<i64> =
            rows.as_array().unwrap().iter().filter_map(|row| row["sort"].as_i64()).collect();
        assert_eq!(places.len(), 6, "{rows}");
    }
}

#[apply(on_every_engine)]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_spellings_of_one_name_one_becomes_a_user(engine: TestEngine) {
    let here = Together::new(engine).await;
    for round in 0..3 {
        let name = |n: usize| {
            let name = format!("Zo\u{eb}+{round}@Ex.org");
            let other = if n.is_multiple_of(2) { name.to_lowercase() } else { name.to_uppercase() };
            if n.is_multiple_of(3) { format!(" {other}") } else { other }
        };
        let made = (0..16_usize).map(|n| {
            let field = if n.is_multiple_of(5) { "username" } else { "email" };
            here.send("POST users:create", json!({field: name(n), "nickname": n}))
        });
        let made = join_all(made).await;
        assert!(made.iter().all(|(status, _)| matches!(status, 200 | 400)), "{made:?}");
        assert_eq!(made.iter().filter(|(status, _)| *status == 200).count(), 1, "{made:?}");
    }
    let users: Vec<Value> = (0..16).map(|n| json!({"username": format!("u{n}")})).collect();
    here.ok("POST users:create", Value::Array(users)).await;
    let changed = (0..16).map(async |n| {
        let name = if n % 2 == 0 { "Same" } else { "sAME" };
        let line = format!("POST users:update?filter={{\"username\":\"u{n}\"}}");
        here.send(&line, json!({"username": name})).await
    });
    let changed = join_all(changed).await;
    assert!(changed.iter().all(|(status, _)| matches!(status, 200 | 400)), "{changed:?}");
    assert_eq!(changed.iter().filter(|(status, _)| *status == 200).count(), 1, "{changed:?}");
}

#[apply(on_every_engine)]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn fields_come_and_go_beside_records_and_nothing_fails(engine: TestEngine) {
    let here = Together::new(engine).await;
    let fields: Vec<Value> =
        (0..12).map(|number| json!({"name": format!("f{number}"), "type": "string"})).collect();
    here.collection("wide", Value::Array(fields)).await;
    let define = async {
        let removed = (0..12).map(async |number| {
            let line = format!("POST collections/wide/fields:destroy?filterByTk=f{number}");
            here.send(&line, json!({})).await
        });
        let added = (0..6).map(async |number| {
            let body = json!({"name": format!("g{number}"), "type": "integer"});
            here.send("POST collections/wide/fields:create", body).await
        });
        let (mut removed, added) = futures_util::join!(join_all(removed), join_all(added));
        removed.extend(added);
        removed
    };
    let write = async {
        let mut answers = Vec::new();
        for number in 0..15 {
            let body = json!({"f1": "one", "f11": "eleven", "g1": number});
            let made = (0..4).map(|_| here.send("POST wide:create", body.clone()));
            let (made, listed, changed) = futures_util::join!(
                join_all(made),
                here.send("GET wide:list?sort=-id", json!({})),
                here.send("POST wide:update?filter={\"id\":{\"$gt\":0}}", json!({"f11": "again"})),
            );
            answers.extend(made);
            answers.extend([listed, changed]);
        }
        answers
    };
    let (defined, written) = futures_util::join!(define, write);
    for (status, answer) in defined.iter().chain(&written) {
        assert_eq!(*status, 200, "{answer}");
    }
    let rows = here.ok("GET wide:list?pageSize=200", json!({})).await;
    let rows = rows.as_array().unwrap();
    assert_eq!(rows.len(), 60);
    assert!(rows.iter().all(|row| row.get("f1").is_none() && row.get("g5").is_some()), "{rows:?}");
}

#[apply(on_every_engine)]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_field_that_is_made_again_with_another_type_holds_what_was_sent(engine: TestEngine) {
    let here = Together::new(engine).await;
    here.collection("retyped", json!([{"name": "title", "type": "string"}])).await;
    for (before, first, after, second) in [
        ("integer", json!(7), "string", json!("007")),
        ("string", json!("text"), "integer", json!(42)),
        // Beyond what a double holds, it is answered as a text.
        ("double", json!(0.5), "bigInt", json!("9007199254740993")),
        ("json", json!({"a": 1}), "text", json!("{ \"a\": 1.0 }")),
        ("boolean", json!(true), "string", json!("1")),
    ] {
        here.field("retyped", "v", before).await;
        // On many connections, each of which prepares the statement for itself.
        let write = |value: &Value| {
            let body = json!({"v": value});
            let writes = (0..12).map(|_| here.send("POST retyped:create", body.clone()));
            join_all(writes.collect::<Vec<_>>())
        };
        for (status, answer) in write(&first).await {
            assert_eq!(status, 200, "{before} {answer}");
        }
        here.without_field("retyped", "v").await;
        here.field("retyped", "v", after).await;
        for (status, answer) in write(&second).await {
            assert_eq!((status, &answer["data"]["v"]), (200, &second), "{before} to {after}");
        }
        let rows = here.ok("GET retyped:list?sort=-id&pageSize=12", json!({})).await;
        for row in rows.as_array().unwrap() {
            assert_eq!(row["v"], second, "{before} to {after} is stored otherwise");
        }
        here.without_field("retyped", "v").await;
    }
}

#[apply(on_every_engine)]
#[tokio::test]
async fn definitions_that_somebody_else_changed_are_read_again(engine: TestEngine) {
    let here = Together::new(engine).await;
    let fields = json!([{"name": "a", "type": "string"}, {"name": "b", "type": "string"}]);
    here.collection("shared", fields).await;
    here.ok("POST shared:create", json!({"a": "a", "b": "b"})).await;
    // Another program with the same database.
    let other = here._place.open().await.unwrap();
    let line = "POST collections/shared/fields:destroy?filterByTk=b";
    assert_eq!(send(&other, line, &here.token, "{}").await.0, 200);
    let rows = here.ok("GET shared:list", json!({})).await;
    assert_eq!((&rows[0]["a"], rows[0].get("b")), (&json!("a"), None), "{rows}");
    let line = "POST collections/shared/fields:destroy?filterByTk=a";
    assert_eq!(send(&other, line, &here.token, "{}").await.0, 200);
    let made = here.ok("POST shared:create", json!({"a": "a"})).await;
    assert!(made["id"].is_number() && made.get("a").is_none(), "{made}");
}
