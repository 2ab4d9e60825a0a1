//! What engines limit: refused alike on all of them, by a sentence that names the field and the limit,
//! and with definitions and tables that agree afterwards.

use std::sync::Arc;

use macro_rules_attribute::apply;
use serde_json::{Value, json};

use super::tests::{send, sign_in};
use crate::app::App;
use crate::app::test_place::Place;
use crate::test_servers::{TestEngine, on_every_engine};

struct Client {
    app: Arc<App>,
    token: String,
    place: Place,
}

impl Client {
    async fn new(engine: TestEngine) -> Self {
        let place = Place::installed(engine).await;
        let app = place.open().await.unwrap();
        let token = sign_in(&app).await;
        Self { app, token, place }
    }

    async fn post(&self, line: &str, body: &Value) -> (u16, Value) {
        send(&self.app, &format!("POST {line}"), &self.token, &body.to_string()).await
    }

    /// What is done; gives the data of the answer.
    async fn done(&self, line: &str, body: Value) -> Value {
        let (status, answer) = self.post(line, &body).await;
        assert_eq!(status, 200, "{line} {answer}");
        answer["data"].clone()
    }

    /// What is refused, with these words in the sentence.
    async fn refused(&self, line: &str, body: Value, words: &[&str]) {
        let (status, answer) = self.post(line, &body).await;
        assert_eq!(status, 400, "{line} {answer}");
        let sentence = answer["errors"][0]["message"].as_str().unwrap();
        assert!(words.iter().all(|word| sentence.contains(word)), "{line}: {sentence} says not {words:?}");
    }

    async fn get(&self, line: &str) -> Value {
        let (status, answer) = send(&self.app, &format!("GET {line}"), &self.token, "").await;
        assert_eq!(status, 200, "{line} {answer}");
        answer["data"].clone()
    }

    /// The fields of a collection by name, as they are defined.
    async fn fields(&self, collection: &str) -> Vec<String> {
        let listed =
            self.get(&format!("collections/{collection}/fields:list?paginate=false&sort=name")).await;
        listed.as_array().unwrap().iter().map(|field| field["name"].as_str().unwrap().to_owned()).collect()
    }
}

/// Definitions of `count` fields of a type, with more said of each.
fn fields(count: usize, kind: &str, more: &Value) -> Vec<Value> {
    (0..count)
        .map(|at| {
            let mut field = json!({"name": format!("f{at}"), "type": kind});
            field.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            field
        })
        .collect()
}

/// A text of so many characters that no engine makes shorter.
fn long_text(length: u64) -> String {
    let character = |at: u64| u32::try_from(0x4e00 + (at * 7919 + at * at * 31) % 20_000).ok();
    (0..length).filter_map(|at| char::from_u32(character(at)?)).collect()
}

#[apply(on_every_engine)]
#[tokio::test]
async fn a_table_has_room_for_so_much(engine: TestEngine) {
    let client = Client::new(engine).await;
    let (plain, indexed) = (json!({}), json!({"index": true}));
    let (key, exact) = (json!({"primaryKey": true}), json!({"precision": 65, "scale": 30}));
    for (count, kind, more, words) in [
        (2001, "integer", &plain, ["f999", "1000"]),
        (1601, "boolean", &plain, ["f999", "1000"]),
        (1020, "integer", &plain, ["f999", "1000"]),
        (1001, "string", &plain, ["f", "1000"]),
        (400, "string", &plain, ["f", "8126"]),
        (400, "text", &plain, ["f", "8126"]),
        (400, "json", &plain, ["f", "8126"]),
        (100, "uuid", &plain, ["f", "8126"]),
        (300, "decimal", &exact, ["f", "8126"]),
        (70, "string", &json!({"defaultValue": "x"}), ["f", "65000"]),
        (64, "integer", &indexed, ["f63", "64"]),
        (64, "integer", &json!({"unique": true}), ["f63", "64"]),
        (17, "integer", &key, ["f16", "16"]),
        (3, "string", &key, ["f2", "2700"]),
        (1, "text", &key, ["f0", "text"]),
        (1, "json", &key, ["f0", "json"]),
    ] {
        let body = json!({"name": "wide", "fields": fields(count, kind, more)});
        client.refused("collections:create", body, &words).await;
        assert!(client.get("collections:get/wide").await.is_null(), "{count} {kind}");
        let written = crate::data::Filter::eq("collectionName", "wide");
        let written = client.place.source.count(&crate::app::system::USER_FIELDS, &written).await;
        assert_eq!(written.unwrap(), 0, "{count} {kind}");
    }
    client.done("collections:create", json!({"name": "wide", "fields": fields(2, "string", &key)})).await;
    let text = long_text(255);
    client.done("wide:create", json!({"f0": text, "f1": text})).await;
}

#[apply(on_every_engine)]
#[tokio::test]
async fn a_table_that_is_there_has_room_for_no_more(engine: TestEngine) {
    let client = Client::new(engine).await;
    let indexed = json!({"index": true});
    client
        .done("collections:create", json!({"name": "full", "fields": fields(63, "integer", &indexed)}))
        .await;
    let create = "collections/full/fields:create";
    client.refused(create, json!({"name": "one", "type": "integer", "index": true}), &["one", "64"]).await;
    client.refused(create, json!({"name": "one", "type": "integer", "unique": true}), &["one", "64"]).await;
    let link = json!({"name": "up", "type": "belongsTo", "target": "full", "foreignKey": "upId"});
    client.refused(create, link, &["upId", "64"]).await;
    client.done(create, json!({"name": "one", "type": "integer"})).await;
    client
        .refused("collections/full/fields:update?filterByTk=one", json!({"index": true}), &["one", "64"])
        .await;
    client.done("collections/full/fields:update?filterByTk=f0", json!({"index": false})).await;
    client.done("collections/full/fields:update?filterByTk=one", json!({"index": true})).await;
    client.done("full:create", json!({"one": 1, "f62": 2})).await;
    assert_eq!(client.fields("full").await.len(), 64);
}

#[apply(on_every_engine)]
#[tokio::test]
async fn long_values_are_found_by_their_fields(engine: TestEngine) {
    let client = Client::new(engine).await;
    let more = json!({"index": true});
    let mut listed = fields(2, "text", &more);
    listed.push(json!({"name": "doc", "type": "json", "index": true}));
    listed.push(json!({"name": "list", "type": "array", "index": true}));
    client.done("collections:create", json!({"name": "long", "fields": listed})).await;
    let text = long_text(12_000);
    let record = json!({"f0": text, "f1": "short", "doc": {"text": text}, "list": [text]});
    client.done("long:create", record).await;
    assert_eq!(client.get("long:list?filter={\"f1\":\"short\"}").await[0]["f0"], Value::from(text));
    client
        .done("collections/long/fields:create", json!({"name": "more", "type": "text", "index": true}))
        .await;
    for field in ["f0", "doc", "list", "more"] {
        let line = format!("collections/long/fields:update?filterByTk={field}");
        client.done(&line, json!({"index": false})).await;
        client.done(&line, json!({"index": true})).await;
    }
    client.done("collections/long/fields:destroy?filterByTk=doc", json!({})).await;
    client.done("long:create", json!({"f1": "more"})).await;
}

#[apply(on_every_engine)]
#[tokio::test]
async fn what_fails_half_way_leaves_nothing(engine: TestEngine) {
    let client = Client::new(engine).await;
    client.done("collections:create", json!({"name": "a", "fields": fields(1, "string", &json!({}))})).await;
    client.done("collections:create", json!({"name": "b", "fields": fields(1, "string", &json!({}))})).await;
    // A collection whose second association cannot be, behind a column and a collection for the first.
    let nowhere = json!({"name": "no", "type": "belongsTo", "target": "nosuch"});
    let many = json!({"name": "as", "type": "belongsToMany", "target": "a", "through": "ca", "foreignKey": "cId", "otherKey": "aId"});
    let has = json!({"name": "bs", "type": "hasMany", "target": "b", "foreignKey": "cId"});
    let body = json!({"name": "c", "fields": [{"name": "own", "type": "string", "unique": true}, many, has, nowhere]});
    client.refused("collections:create", body, &["nosuch"]).await;
    for name in ["c", "ca"] {
        assert!(client.get(&format!("collections:get/{name}")).await.is_null(), "{name}");
    }
    assert_eq!(client.fields("b").await, ["f0"]);
    // The names are free, and what takes them is what it says.
    client.done("collections/b/fields:create", json!({"name": "cId", "type": "string"})).await;
    client.done("b:create", json!({"cId": "a text"})).await;
    for name in ["c", "ca"] {
        client
            .done("collections:create", json!({"name": name, "fields": fields(1, "string", &json!({}))}))
            .await;
        client.done(&format!("{name}:create"), json!({"f0": "x"})).await;
    }
    // An association whose other side cannot be.
    let reverse = json!({"name": "as2", "type": "hasMany", "target": "b", "foreignKey": "aKey", "reverseField": {"name": "no name"}});
    client.refused("collections/a/fields:create", reverse, &["no name"]).await;
    assert_eq!(
        (client.fields("a").await, client.fields("b").await),
        (vec!["f0".to_owned()], vec!["cId".to_owned(), "f0".to_owned()])
    );
    client.done("collections/b/fields:create", json!({"name": "aKey", "type": "string"})).await;
    client.done("b:create", json!({"aKey": "a text"})).await;
}

#[apply(on_every_engine)]
#[tokio::test]
async fn a_list_of_fields_is_taken_whole_or_not_at_all(engine: TestEngine) {
    let client = Client::new(engine).await;
    let listed =
        json!([{"name": "kept", "type": "string", "index": true}, {"name": "same", "type": "integer"}]);
    client.done("collections:create", json!({"name": "list", "fields": listed})).await;
    client.done("list:create", json!([{"kept": "x", "same": 1}, {"kept": "y", "same": 1}])).await;
    // The second cannot be unique, or be at all.
    for last in [
        json!({"name": "same", "type": "integer", "unique": true}),
        json!({"name": "bad", "type": "nosuch"}),
        json!({"name": "ctid", "type": "string"}),
    ] {
        let fields = json!([
            {"name": "kept", "type": "string", "index": false, "uiSchema": {"title": "New"}},
            {"name": "extra", "type": "integer", "index": true},
            {"name": "link", "type": "belongsTo", "target": "list", "foreignKey": "linkId"},
            last,
        ]);
        let (status, answer) =
            client.post("collections:setFields?filterByTk=list", &json!({"fields": fields})).await;
        assert_eq!(status, 400, "{answer}");
        let names = client.fields("list").await;
        assert!(names.iter().all(|name| ["kept", "same"].contains(&name.as_str())), "{names:?}");
        let kept = client.get("collections/list/fields:get/kept").await;
        assert_eq!((&kept["index"], &kept["uiSchema"]), (&json!(true), &Value::Null));
    }
    client.done("collections/list/fields:create", json!({"name": "extra", "type": "string"})).await;
    assert_eq!(client.done("list:create", json!({"extra": "text"})).await["extra"], "text");
    client.done("collections/list/fields:update?filterByTk=kept", json!({"unique": true})).await;
    client.refused("list:create", json!({"kept": "x"}), &["kept"]).await;
    client.done("collections/list/fields:update?filterByTk=kept", json!({"unique": false})).await;
    client.done("list:create", json!({"kept": "x"})).await;
    client.refused("collections/list/fields:update?filterByTk=kept", json!({"unique": true}), &[]).await;
    client.done("collections/list/fields:update?filterByTk=kept", json!({"index": false})).await;
    client.done("collections/list/fields:destroy?filterByTk=kept", json!({})).await;
}

#[apply(on_every_engine)]
#[tokio::test]
async fn a_request_looks_at_so_many_tables_and_values(engine: TestEngine) {
    let client = Client::new(engine).await;
    client
        .done("collections:create", json!({"name": "hub", "fields": fields(1, "string", &json!({}))}))
        .await;
    for at in 0..26 {
        let link =
            json!({"name": format!("l{at}"), "type": "belongsTo", "target": "hub", "foreignKey": "upId"});
        client.done("collections/hub/fields:create", link).await;
    }
    let paths = |count: usize| (0..count).map(|at| format!("l{at}.f0")).collect::<Vec<_>>();
    let any = |count| json!({"$or": paths(count).iter().map(|path| json!({path: "x"})).collect::<Vec<_>>()});
    client.get(&format!("hub:list?sort={}", paths(26).join(","))).await;
    client.get(&format!("hub:list?filter={}", any(24))).await;
    client.refused(&format!("hub:list?filter={}", any(25)), json!({}), &["l24", "24"]).await;
    client.refused(&format!("hub:destroy?filter={}", any(26)), json!({}), &["l24", "24"]).await;
    let deep = vec!["l0"; 30].join(".");
    client.refused(&format!("hub:list?sort={deep}.f0"), json!({}), &["24"]).await;
    let texts: Vec<String> = (0..3000).map(|number| format!("x{number}")).collect();
    for operator in ["$includes", "$notIncludes", "$startsWith", "$endWith"] {
        let filter = json!({"f0": {operator: texts}});
        assert_eq!(client.get(&format!("hub:list?filter={filter}")).await, json!([]), "{operator}");
    }
    let sorts = vec!["f0"; 2500].join(",");
    client.refused(&format!("hub:list?sort={sorts}"), json!({}), &["1000"]).await;
    let measures: Vec<Value> = (0..2500)
        .map(|at| json!({"field": "id", "aggregation": "count", "alias": format!("a{at}")}))
        .collect();
    client.refused("hub:query", json!({"measures": measures}), &["1000"]).await;
}

#[apply(on_every_engine)]
#[tokio::test]
async fn links_that_were_made_before_types_had_to_fit_stay(engine: TestEngine) {
    let mut client = Client::new(engine).await;
    let listed = json!([{"name": "title", "type": "string"}, {"name": "nr", "type": "integer"}]);
    client.done("collections:create", json!({"name": "old", "fields": listed})).await;
    let link = json!({"name": "up", "type": "belongsTo", "target": "old", "foreignKey": "nr"});
    client.done("collections/old/fields:create", link).await;
    client.done("old:create", json!({"title": "a", "nr": 1})).await;
    // As it was written down then.
    let key = client.get("collections/old/fields:get/up").await["key"].clone();
    let options = json!({"target": "old", "foreignKey": "title", "targetKey": "id"});
    let change = crate::data::Record::from_iter([("options".to_owned(), options)]);
    let filter = crate::data::Filter::eq("key", key);
    client.place.source.system().update(&crate::app::system::USER_FIELDS, &filter, change).await.unwrap();
    client.app = client.place.open().await.unwrap();
    assert_eq!(client.get("old:list").await[0]["title"], "a");
    client.done("collections/old/fields:update?filterByTk=up", json!({"uiSchema": {"title": "Up"}})).await;
    client
        .refused(
            "collections/old/fields:update?filterByTk=up",
            json!({"foreignKey": "title", "targetKey": "nr"}),
            &["title (string)", "nr (integer)"],
        )
        .await;
    let filter = "GET old:list?filter={\"up.title\":\"a\"}";
    let (status, answer) = send(&client.app, filter, &client.token, "").await;
    let expected = if engine == TestEngine::Postgres { 400 } else { 200 };
    assert_eq!(status, expected, "{answer}");
    client.done("collections/old/fields:update?filterByTk=up", json!({"foreignKey": "nr"})).await;
    assert_eq!(client.get("old:list?filter={\"up.title\":\"a\"}").await[0]["id"], 1);
}
