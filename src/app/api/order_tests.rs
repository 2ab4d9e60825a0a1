//! Orders under load and over pages: no two records get the same place, and no page has what another
//! one has.

use std::collections::BTreeSet;
use std::sync::Arc;

use macro_rules_attribute::apply;
use serde_json::{Value, json};

use super::*;
use crate::app::App;
use crate::app::test_place::Place;
use crate::test_servers::{TestEngine, on_every_engine};
use tests::{send, sign_in};

/// Requests that arrive at the same time.
const AT_ONCE: i64 = 16;

struct World {
    app: Arc<App>,
    token: String,
    // Its database is removed with it.
    _place: Place,
}

impl World {
    async fn new(engine: TestEngine) -> Self {
        let place = Place::installed(engine).await;
        let app = place.open().await.unwrap();
        let token = sign_in(&app).await;
        Self { app, token, _place: place }
    }

    async fn ok(&self, line: &str, body: Value) -> Value {
        let (status, mut answer) = send(&self.app, line, &self.token, &body.to_string()).await;
        assert_eq!(status, 200, "{line}: {answer}");
        answer["data"].take()
    }

    /// Sends requests at the same time, each on a task of its own.
    async fn together(&self, requests: Vec<(String, Value)>) -> Vec<Value> {
        let sent: Vec<_> = requests
            .into_iter()
            .map(|(line, body)| {
                let (app, token) = (Arc::clone(&self.app), self.token.clone());
                tokio::spawn(async move {
                    let (status, mut answer) = send(&app, &line, &token, &body.to_string()).await;
                    assert_eq!(status, 200, "{line}: {answer}");
                    answer["data"].take()
                })
            })
            .collect();
        let mut answers = Vec::new();
        for answer in sent {
            answers.push(answer.await.unwrap());
        }
        answers
    }

    /// The values of a field in all records, as they are listed.
    async fn column(&self, line: &str, field: &str) -> Vec<i64> {
        let records = self.ok(line, Value::Null).await;
        records.as_array().unwrap().iter().map(|record| record[field].as_i64().unwrap()).collect()
    }

    /// The same, page by page.
    async fn pages(&self, line: &str, field: &str, size: usize) -> Vec<i64> {
        let mut all = Vec::new();
        for page in 1.. {
            let part = self.column(&format!("{line}&page={page}&pageSize={size}"), field).await;
            all.extend_from_slice(&part);
            if part.len() < size {
                break;
            }
        }
        all
    }
}

fn distinct(values: &[i64]) -> BTreeSet<i64> {
    let distinct: BTreeSet<i64> = values.iter().copied().collect();
    assert_eq!(distinct.len(), values.len(), "{values:?}");
    distinct
}

#[apply(on_every_engine)]
#[tokio::test(flavor = "multi_thread")]
async fn records_made_at_once_get_places_of_their_own(engine: TestEngine) {
    let world = World::new(engine).await;
    let fields = json!([
        {"name": "list", "type": "string"},
        {"name": "place", "type": "sort", "scopeKey": "list"},
    ]);
    world.ok("POST collections:create", json!({"name": "cards", "sortable": true, "fields": fields})).await;
    for round in 0..3 {
        let requests = (0..AT_ONCE).map(|at| {
            let body = match at % 4 {
                // Some make several.
                3 => json!([{"list": "b"}, {"list": "a"}, {"list": "b"}]),
                at => json!({"list": if at == 0 { "b" } else { "a" }}),
            };
            ("POST cards:create".to_owned(), body)
        });
        world.together(requests.collect()).await;
        let all = (round + 1) * 24;
        let places = world.column("GET cards:list?sort=sort&pageSize=100", "sort").await;
        assert_eq!(distinct(&places), (1..=all).collect());
        for list in ["a", "b"] {
            let line = format!("GET cards:list?filter={{\"list\":\"{list}\"}}&sort=place&pageSize=100");
            assert_eq!(distinct(&world.column(&line, "place").await), (1..=all / 2).collect());
        }
    }
}

#[apply(on_every_engine)]
#[tokio::test(flavor = "multi_thread")]
async fn records_moved_at_once_keep_places_of_their_own(engine: TestEngine) {
    let world = World::new(engine).await;
    world.ok("POST collections:create", json!({"name": "rows", "sortable": true})).await;
    world.ok("POST rows:create", (0..AT_ONCE).map(|_| json!({})).collect()).await;
    let list = "GET rows:list?sort=sort&pageSize=200";
    for round in 0..4 {
        if round == 2 {
            // Now places are missing, and all are given new ones.
            world.ok("POST rows:update?filter={\"id\":{\"$gt\":4}}", json!({"sort": null})).await;
        }
        let requests = (1..=AT_ONCE).flat_map(|source| {
            let target = source * 7 % AT_ONCE + 1;
            let method = ["", "&method=insertAfter", "&sticky=true"][usize::try_from(source % 3).unwrap()];
            let line = format!("POST rows:move?sourceId={source}&targetId={target}{method}");
            let made = (source % 4 == 0).then(|| ("POST rows:create".to_owned(), json!({})));
            made.into_iter().chain([(line, Value::Null)])
        });
        world.together(requests.collect()).await;
        let places = world.column(list, "sort").await;
        distinct(&places);
        assert_eq!(places.len(), usize::try_from(AT_ONCE + (round + 1) * AT_ONCE / 4).unwrap());
    }
}

#[apply(on_every_engine)]
#[tokio::test(flavor = "multi_thread")]
async fn records_that_come_into_an_order_at_once_get_places_of_their_own(engine: TestEngine) {
    let world = World::new(engine).await;
    let fields = json!([
        {"name": "list", "type": "string"},
        {"name": "place", "type": "sort", "scopeKey": "list"},
    ]);
    world.ok("POST collections:create", json!({"name": "cards", "fields": fields})).await;
    let made: Value = (0..AT_ONCE).map(|at| json!({"list": format!("of {at}")})).collect();
    world.ok("POST cards:create", made).await;
    let requests = (1..=AT_ONCE).map(|id| match id % 3 {
        0 => (format!("POST cards:update/{id}"), json!({"list": "a"})),
        1 => {
            let body = json!({"sourceId": id, "targetScope": {"list": "a"}, "sortField": "place"});
            ("POST cards:move".to_owned(), body)
        }
        _ => ("POST cards:create".to_owned(), json!({"list": "a"})),
    });
    world.together(requests.collect()).await;
    let line = "GET cards:list?filter={\"list\":\"a\"}&sort=place&pageSize=100";
    assert_eq!(distinct(&world.column(line, "place").await), (1..=AT_ONCE).collect());
}

/// Thirty records without a key, of which many are alike in what they are ordered by, and which lie
/// in their table in another order than they were written.
async fn keyless(world: &World) {
    let fields = json!([
        {"name": "n", "type": "integer"},
        {"name": "stars", "type": "integer"},
        {"name": "extra", "type": "json"},
        {"name": "boxId", "type": "bigInt"},
    ]);
    world
        .ok(
            "POST collections:create",
            json!({"name": "boxes", "fields": [{"name": "name", "type": "string"}]}),
        )
        .await;
    world.ok("POST collections:create", json!({"name": "notes", "autoGenId": false, "fields": fields})).await;
    let boxes = json!({"name": "box", "type": "belongsTo", "target": "boxes", "foreignKey": "boxId"});
    world.ok("POST collections/notes/fields:create", boxes).await;
    let notes = json!({"name": "notes", "type": "hasMany", "target": "notes", "foreignKey": "boxId", "targetKey": "n"});
    world.ok("POST collections/boxes/fields:create", notes).await;
    world.ok("POST boxes:create", json!([{"name": "b"}, {"name": "b"}])).await;
    let all = (1..=30).map(|n| json!({"n": n, "stars": n % 3, "extra": {"n": n}, "boxId": 1}));
    world.ok("POST notes:create", all.collect()).await;
    for n in [9, 2, 30, 17] {
        let line = format!("POST notes:update?filter={{\"n\":{n}}}");
        world.ok(&line, json!({"stars": null, "boxId": n % 2 + 1})).await;
        world.ok(&line, json!({"stars": 1, "boxId": 1})).await;
    }
}

#[apply(on_every_engine)]
#[tokio::test]
async fn pages_have_each_record_once(engine: TestEngine) {
    let world = World::new(engine).await;
    keyless(&world).await;
    let all: BTreeSet<i64> = (1..=30).collect();
    for line in [
        "GET notes:list?",
        "GET notes:list?sort=stars",
        "GET notes:list?sort=-stars",
        "GET notes:list?sort=boxId,-stars",
        "GET notes:list?sort=box.name",
        "GET notes:list?sort=-box.name,stars",
        "GET notes:list?fields=n&sort=stars",
        "GET boxes/1/notes:list?",
        "GET boxes/1/notes:list?sort=stars",
        "GET boxes/1/notes:list?sort=box.name",
    ] {
        for size in [4, 7, 11] {
            let pages = world.pages(line, "n", size).await;
            assert_eq!(distinct(&pages), all, "{line}");
            assert_eq!(world.pages(line, "n", 100).await, pages, "{line}");
        }
    }
    let appended = world.ok("GET boxes:get/1?appends=notes", Value::Null).await;
    let appended: Vec<i64> =
        appended["notes"].as_array().unwrap().iter().map(|note| note["n"].as_i64().unwrap()).collect();
    assert_eq!(distinct(&appended), all);
}

#[apply(on_every_engine)]
#[tokio::test]
async fn an_update_between_two_pages_moves_only_what_it_changes(engine: TestEngine) {
    let world = World::new(engine).await;
    keyless(&world).await;
    let line = "GET notes:list?sort=stars&pageSize=10";
    let mut seen = world.column(line, "n").await;
    // It says the same: the row is written again, and stays where it is.
    let first = seen[0];
    world.ok(&format!("POST notes:update?filter={{\"n\":{first}}}"), json!({"extra": {"n": 0}})).await;
    for page in 2..=3 {
        seen.extend(world.column(&format!("{line}&page={page}"), "n").await);
    }
    assert_eq!(distinct(&seen), (1..=30).collect());
}

#[apply(on_every_engine)]
#[tokio::test]
async fn pages_of_groups_have_each_group_once(engine: TestEngine) {
    let world = World::new(engine).await;
    keyless(&world).await;
    let ask = async |offset: i64, orders: Value| -> Vec<i64> {
        let body = json!({
            "measures": [{"field": "boxId", "aggregation": "count", "alias": "count"}],
            "dimensions": [{"field": "n", "alias": "n"}, {"field": "stars", "alias": "stars"}],
            "orders": orders, "limit": 7, "offset": offset,
        });
        let groups = world.ok("POST notes:query", body).await;
        groups.as_array().unwrap().iter().map(|group| group["n"].as_i64().unwrap()).collect()
    };
    for orders in [
        json!([]),
        json!([{"alias": "count", "field": "boxId", "order": "desc"}]),
        json!([{"field": "stars"}]),
    ] {
        let mut all = Vec::new();
        for page in 0..5 {
            all.extend(ask(page * 7, orders.clone()).await);
        }
        assert_eq!(distinct(&all), (1..=30).collect(), "{orders}");
    }
}
