//! What holds for every filter, order and name, tried with many that are made up.
//!
//! The cases are the same in every run; `NBAPPS_TEST_SEED=7` makes others, and a failure says with
//! which it was. What fails is made as small as it can be before it is shown.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, header};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};

use super::*;
use crate::app::App;
use crate::app::test_place::{PASSWORD, Place};
use crate::test_servers::TestEngine;

/// The same application on an engine of its own.
struct World {
    engine: TestEngine,
    app: Arc<App>,
    token: String,
    // Its database is removed with it.
    _place: Place,
}

impl World {
    async fn new(engine: TestEngine) -> Self {
        let place = Place::installed(engine).await;
        let app = place.open().await.unwrap();
        let mut world = Self { engine, app, token: String::new(), _place: place };
        let signed_in =
            world.send("POST auth:signIn", &json!({"account": "nocobase", "password": PASSWORD})).await;
        signed_in.1["data"]["token"].as_str().unwrap().clone_into(&mut world.token);
        world
    }

    async fn all() -> Vec<Self> {
        let engines = [TestEngine::Sqlite, TestEngine::Postgres, TestEngine::Mariadb];
        let mut worlds = Vec::new();
        for engine in engines {
            worlds.push(Self::new(engine).await);
        }
        worlds
    }

    async fn send(&self, line: &str, body: &Value) -> (u16, Value) {
        let (method, path) = line.split_once(' ').unwrap();
        let (target, query) = path.split_once('?').unwrap_or((path, ""));
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, format!("Bearer {}", self.token).parse().unwrap());
        let request = ApiRequest {
            method: method.parse().unwrap(),
            target: target.to_owned(),
            query: query.to_owned(),
            headers,
            body: Bytes::from(body.to_string()),
            client: None,
        };
        let response = self.app.api(request).await;
        (response.status().as_u16(), serde_json::from_slice(response.body()).unwrap())
    }

    async fn ok(&self, line: &str, body: Value) -> Value {
        let (status, answer) = self.send(line, &body).await;
        assert_eq!(status, 200, "{:?} {line}: {answer}", self.engine);
        answer
    }
}

fn encoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

fn seed() -> u64 {
    std::env::var("NBAPPS_TEST_SEED").map_or(1, |seed| seed.parse().unwrap())
}

/// Tries a property with so many made-up values.
fn hold<S: Strategy>(cases: u32, strategy: &S, property: impl Fn(S::Value) -> Result<(), TestCaseError>) {
    let config = Config {
        cases,
        failure_persistence: None,
        max_shrink_time: 20_000,
        max_shrink_iters: 4000,
        ..Config::default()
    };
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed().to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(config, rng);
    runner.run(strategy, property).unwrap_or_else(|error| panic!("with the seed {}: {error}", seed()));
}

/// Texts that are told apart and looked for in the same way everywhere, or nowhere.
const TEXTS: [&str; 14] = [
    "",
    "a",
    "A",
    "a ",
    " a",
    "alpha",
    "Alpha",
    "50%",
    "a_b",
    "it's",
    "\"q\"",
    "back\\slash",
    "größe",
    "日本",
];
const NUMBERS: [i64; 6] = [-7, 0, 1, 2, 3, 2_147_483_647];
const MOMENTS: [&str; 4] = [
    "2023-01-01T00:00:00.000Z",
    "2023-01-31T23:59:59.999Z",
    "2023-06-15T16:30:00.000Z",
    "1999-12-31T22:00:00.000Z",
];

async fn fill(world: &World) {
    let collections = [
        json!({"name": "tags", "fields": [{"name": "name", "type": "string"}]}),
        json!({"name": "authors", "fields": [
            {"name": "name", "type": "string"}, {"name": "age", "type": "integer"},
        ]}),
        json!({"name": "posts", "fields": [
            {"name": "title", "type": "string"}, {"name": "body", "type": "text"}, {"name": "views", "type": "integer"},
            {"name": "price", "type": "double"}, {"name": "cost", "type": "decimal", "precision": 12, "scale": 3},
            {"name": "live", "type": "boolean"}, {"name": "at", "type": "datetimeTz"}, {"name": "day", "type": "dateOnly"},
            {"name": "labels", "type": "array"},
            {"name": "author", "type": "belongsTo", "target": "authors", "foreignKey": "authorId"},
            {"name": "tags", "type": "belongsToMany", "target": "tags", "through": "pt", "foreignKey": "p", "otherKey": "t"},
        ]}),
    ];
    for collection in collections {
        world.ok("POST collections:create", collection).await;
    }
    let posts = json!({"name": "posts", "type": "hasMany", "target": "posts", "foreignKey": "authorId"});
    world.ok("POST collections/authors/fields:create", posts).await;
    let tags: Vec<Value> = TEXTS[..5].iter().map(|name| json!({"name": name})).collect();
    world.ok("POST tags:create", Value::Array(tags)).await;
    let authors = json!([{"name": "Ann", "age": 30}, {"name": "größe"}, {"age": 2}]);
    world.ok("POST authors:create", authors).await;
    // Every value meets every other, nothing among them.
    let pick = |at: usize, turn: usize, of: &[Value]| of.get((at * turn + at / 3) % (of.len() + 1)).cloned();
    let values = |texts: &[&str]| texts.iter().map(|text| json!(text)).collect::<Vec<_>>();
    let numbers: Vec<Value> = NUMBERS.iter().map(|number| json!(number)).collect();
    let prices: Vec<Value> = [-1.5, 0.0, 0.25, 1e9].iter().map(|price| json!(price)).collect();
    let costs = values(&["-2.5", "0.001", "10.1", "99999.999"]);
    let truths = [json!(true), json!(false), Value::Null];
    let lists = [json!([]), json!(["a"]), json!(["a", "A"]), json!(["größe", "50%"])];
    let posts: Vec<Value> = (0..60)
        .map(|at| {
            json!({
                "title": pick(at, 1, &values(&TEXTS)), "body": pick(at, 5, &values(&TEXTS)),
                "views": pick(at, 3, &numbers), "price": pick(at, 2, &prices), "cost": pick(at, 3, &costs),
                "live": truths[at % 3], "at": pick(at, 3, &values(&MOMENTS)),
                "day": pick(at, 2, &values(&MOMENTS)).map(|at| json!(at.as_str().unwrap()[..10])),
                "labels": pick(at, 1, &lists), "author": pick(at, 1, &[json!(1), json!(2), json!(3)]),
                "tags": (1..=5).filter(|tag| (at + tag) % 4 == 0 || at % 7 == *tag).collect::<Vec<_>>(),
            })
        })
        .collect();
    world.ok("POST posts:create", Value::Array(posts)).await;
}

fn text() -> impl Strategy<Value = Value> {
    let known = || prop::sample::select(&TEXTS[..]).prop_map(|text| json!(text));
    let part = prop::sample::select(&["a", "A", "%", "_", "ö", "Ö", "\\", "'", "!", "lph", " ", "本"][..]);
    prop_oneof![3 => known(), 2 => part.prop_map(|text| json!(text))]
}

fn whole() -> impl Strategy<Value = Value> {
    prop_oneof![
        3 => prop::sample::select(&NUMBERS[..]).prop_map(|number| json!(number)),
        1 => Just(json!(1.5)),
        1 => Just(json!("2")),
    ]
}

fn several(one: impl Strategy<Value = Value>) -> impl Strategy<Value = Value> {
    prop::collection::vec(one, 0..4).prop_map(Value::Array)
}

fn operator(
    names: &'static [&'static str],
    value: impl Strategy<Value = Value>,
) -> impl Strategy<Value = Value> {
    (prop::sample::select(names), value).prop_map(|(name, value)| json!({name: value}))
}

fn on_text() -> impl Strategy<Value = Value> {
    prop_oneof![
        text(),
        Just(Value::Null),
        operator(&["$eq", "$ne"], prop_oneof![text(), Just(Value::Null)]),
        operator(&["$gt", "$lt", "$gte", "$lte"], text()),
        operator(&["$in", "$notIn", "$eq", "$ne"], several(text())),
        operator(
            &["$includes", "$notIncludes", "$startsWith", "$notStartsWith", "$endWith", "$notEndWith"],
            text()
        ),
        operator(&["$includes", "$notIncludes", "$startsWith", "$endWith"], several(text())),
        operator(&["$like", "$notLike", "$iLike", "$notILike"], text()),
        operator(&["$empty", "$notEmpty", "$exists", "$notExists"], Just(json!(true))),
    ]
}

fn on_number() -> impl Strategy<Value = Value> {
    prop_oneof![
        whole(),
        Just(Value::Null),
        operator(&["$eq", "$ne", "$gt", "$lt", "$gte", "$lte"], whole()),
        operator(&["$in", "$notIn", "$ne"], several(whole())),
        operator(&["$between", "$notBetween"], (whole(), whole()).prop_map(|(from, to)| json!([from, to]))),
        operator(&["$empty", "$notEmpty"], Just(json!(true))),
        (whole(), whole()).prop_map(|(from, to)| json!({"$gte": from, "$lt": to})),
    ]
}

fn on_date() -> impl Strategy<Value = Value> {
    let dates = &["2023", "2023-01", "2023-01-31", "2023Q2", "2023-06-15 16", "1999-12-31", "2023W03"][..];
    let date = || prop::sample::select(dates).prop_map(|date| json!(date));
    prop_oneof![
        operator(
            &["$dateOn", "$dateNotOn", "$dateBefore", "$dateNotBefore", "$dateAfter", "$dateNotAfter"],
            date()
        ),
        operator(&["$dateBetween"], (date(), date()).prop_map(|(from, to)| json!([from, to]))),
        operator(&["$dateBefore", "$dateOn"], Just(json!({"type": "lastYear"}))),
        operator(&["$empty", "$notEmpty"], Just(json!(true))),
    ]
}

fn on_list() -> impl Strategy<Value = Value> {
    let item = || prop::sample::select(&["a", "A", "größe", "50%"][..]).prop_map(|item| json!(item));
    prop_oneof![
        operator(&["$anyOf", "$noneOf", "$match", "$notMatch"], several(item())),
        operator(&["$empty", "$notEmpty", "$arrayEmpty", "$arrayNotEmpty"], Just(json!(true))),
    ]
}

fn on_truth() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<bool>().prop_map(|truth| json!(truth)),
        operator(&["$isTruly", "$isFalsy", "$ne"], any::<bool>().prop_map(|truth| json!(truth))),
        Just(Value::Null),
    ]
}

fn condition() -> impl Strategy<Value = Value> {
    let texts = &["title", "body", "author.name", "tags.name", "author.posts.title", "tags.name"][..];
    let numbers = &[
        "views",
        "id",
        "authorId",
        "author.age",
        "author.id",
        "tags.id",
        "author.posts.views",
        "price",
        "cost",
    ][..];
    let on = |paths: &'static [&'static str], value: BoxedStrategy<Value>| {
        (prop::sample::select(paths), value).prop_map(|(path, value)| json!({path: value}))
    };
    prop_oneof![
        4 => on(texts, on_text().boxed()),
        3 => on(numbers, on_number().boxed()),
        2 => on(&["at", "day"], on_date().boxed()),
        1 => on(&["labels"], on_list().boxed()),
        1 => on(&["live"], on_truth().boxed()),
        1 => on(&["author", "tags"], operator(&["$exists", "$notExists"], Just(json!(true))).boxed()),
    ]
}

fn filter() -> impl Strategy<Value = Value> {
    condition().prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|parts| json!({"$and": parts})),
            prop::collection::vec(inner.clone(), 0..4).prop_map(|parts| json!({"$or": parts})),
            inner.prop_map(|part| json!({"$not": part})),
        ]
    })
}

fn order() -> impl Strategy<Value = String> {
    let fields =
        &["id", "title", "views", "price", "cost", "live", "at", "day", "author.name", "author.age"][..];
    let step = (any::<bool>(), prop::sample::select(fields))
        .prop_map(|(down, field)| format!("{}{field}", if down { "-" } else { "" }));
    prop::collection::vec(step, 0..3).prop_map(|steps| steps.join(","))
}

fn ids(answer: &Value) -> Vec<i64> {
    answer["data"].as_array().unwrap().iter().map(|record| record["id"].as_i64().unwrap()).collect()
}

#[test]
fn filters_and_orders_agree_on_every_engine() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let worlds = runtime.block_on(async {
        let worlds = World::all().await;
        for world in &worlds {
            fill(world).await;
        }
        worlds
    });
    hold(250, &(filter(), order(), 1..4_usize), |(filter, order, page)| {
        runtime.block_on(async {
            let mut first: Option<Vec<i64>> = None;
            for world in &worlds {
                let which =
                    format!("filter={}&sort={}&fields=id", encoded(&filter.to_string()), encoded(&order));
                let (status, all) =
                    world.send(&format!("GET posts:list?{which}&pageSize=100"), &json!({})).await;
                prop_assert_eq!(status, 200, "{:?}: {}", world.engine, all);
                let found = ids(&all);
                prop_assert_eq!(&all["meta"]["count"], found.len(), "{:?}", world.engine);
                // A page is a part of the whole, and counts as much.
                let (_, part) =
                    world.send(&format!("GET posts:list?{which}&pageSize=5&page={page}"), &json!({})).await;
                let expected: Vec<i64> = found.iter().copied().skip((page - 1) * 5).take(5).collect();
                prop_assert_eq!(ids(&part), expected, "{:?}: page {}", world.engine, page);
                prop_assert_eq!(&part["meta"]["count"], found.len(), "{:?}: page {}", world.engine, page);
                match &first {
                    None => first = Some(found),
                    Some(first) => prop_assert_eq!(first, &found, "{:?} differs from SQLite", world.engine),
                }
            }
            Ok(())
        })
    });
}

/// Names that could mean something else to a statement, a path or a file.
fn name() -> impl Strategy<Value = String> {
    let odd = &[
        "order",
        "select",
        "group",
        "user",
        "table",
        "Posts",
        "POSTS",
        "a\"b",
        "a`b",
        "a'b",
        "a;b",
        "a]b",
        "a--b",
        "a/*b",
        "a\0b",
        "a\nb",
        "a.b",
        "a%b",
        "a$b",
        "$eq",
        "__proto__",
        "ä",
        "日本",
        "id; DROP TABLE users",
        "users",
        "rowid",
        "\" OR 1=1 --",
        "sqlite_x",
        "pg_x",
        "information_schema",
        "createdAt",
        "createdat",
        "data",
        "filter",
        "_",
        "-",
    ][..];
    prop_oneof![
        4 => prop::sample::select(odd).prop_map(str::to_owned),
        2 => "[a-zA-Z_][a-zA-Z0-9_-]{0,60}",
        1 => "\\PC{1,12}",
        1 => "[a-z]{40,200}",
    ]
}

/// Everything that is done with a collection and a field of these names; the statuses, and what was
/// read. Those that are refused are not there.
async fn use_names(world: &World, collection: &str, field: &str) -> Vec<String> {
    let mut seen = Vec::new();
    let definition =
        json!({"name": collection, "fields": [{"name": field, "type": "string", "index": true}]});
    let (made, answer) = world.send("POST collections:create", &definition).await;
    assert!(made < 500, "{:?} {definition}: {answer}", world.engine);
    seen.push(format!("create {made}"));
    if made != 200 {
        return seen;
    }
    let path = percent_encoding::utf8_percent_encode(collection, percent_encoding::NON_ALPHANUMERIC);
    let filtered = |value: &str| encoded(&json!({field: value}).to_string());
    let query =
        json!({"dimensions": [{"field": field, "alias": "x"}], "orders": [{"field": field, "alias": "x"}]});
    let requests = [
        (format!("POST {path}:create"), json!({field: "v;'\""})),
        (
            format!("GET {path}:list?filter={}&sort={}", filtered("v;'\""), encoded(&format!("-{field}"))),
            json!({}),
        ),
        (format!("GET {path}:list?fields[]={}", encoded(field)), json!({})),
        (format!("POST {path}:query"), query),
        (format!("POST {path}:update?filter={}", filtered("v;'\"")), json!({field: "w"})),
        (format!("POST {path}:destroy?filter={}", filtered("w")), json!({})),
    ];
    for (line, body) in requests {
        let (status, answer) = world.send(&line, &body).await;
        // What could be made works.
        assert_eq!(status, 200, "{:?} {line} {body}: {answer}", world.engine);
        let value = answer["data"]
            .as_array()
            .and_then(|records| records.first())
            .map(|record| record.get(field).or_else(|| record.get("x")).cloned().unwrap_or_default());
        seen.push(format!("{status} {value:?}"));
    }
    world.ok(&format!("POST collections:destroy?filterByTk={}", encoded(collection)), json!({})).await;
    // Whatever it was, the users are still there.
    assert_eq!(world.ok("GET users:list", json!({})).await["meta"]["count"], 1, "{:?}", world.engine);
    seen
}

#[test]
fn names_are_refused_or_work_and_are_nothing_but_names() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let worlds = runtime.block_on(async {
        let worlds = World::all().await;
        for world in &worlds {
            world.ok("POST collections:create", json!({"name": "posts"})).await;
        }
        worlds
    });
    hold(60, &(name(), name()), |(collection, field)| {
        runtime.block_on(async {
            let first = use_names(&worlds[0], &collection, &field).await;
            for world in &worlds[1..] {
                let seen = use_names(world, &collection, &field).await;
                prop_assert_eq!(&first, &seen, "{:?} differs from SQLite", world.engine);
            }
            Ok(())
        })
    });
}
