//! Random requests: each gets a response, and none a 5xx or a panic.
//!
//! Every run sends the same requests. `NBAPPS_TEST_SEED=7` generates others; a failure prints its seed.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use macro_rules_attribute::apply;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};

use crate::environment::{Daemon, TestEnvironment, http, sign_in};
use crate::servers::{TestEngine, on_every_engine};

/// After this time without a response, the server counts as hanging.
const SILENCE: Duration = Duration::from_secs(20);

/// A request as sent. Its path consists of characters that a URL may contain.
#[derive(Debug, Clone)]
struct Sent {
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

/// Sends a request on its own connection. Returns the status.
fn status(daemon: &Daemon, token: &str, sent: &Sent) -> Result<u16, TestCaseError> {
    let address = daemon.url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(SILENCE)).unwrap();
    let mut request =
        format!("{} {} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n", sent.method, sent.path);
    request.push_str(&format!("Authorization: Bearer {token}\r\nContent-Length: {}\r\n", sent.body.len()));
    for (name, value) in &sent.headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str("\r\n");
    // The server may respond and close before all of the request is written.
    let _ = stream.write_all(request.as_bytes()).and_then(|()| stream.write_all(&sent.body));
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    let text = String::from_utf8_lossy(&answer);
    let status =
        text.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)).and_then(|code| code.parse().ok());
    let status: u16 = status.ok_or_else(|| TestCaseError::fail(format!("no answer: {read:?} {text}")))?;
    prop_assert!(status < 500, "{}", text);
    Ok(status)
}

fn word() -> impl Strategy<Value = String> {
    let known = &[
        "id",
        "title",
        "views",
        "at",
        "labels",
        "author",
        "author.name",
        "tags",
        "tags.name",
        "posts",
        "users",
        "fields",
        "name",
        "type",
        "target",
        "foreignKey",
        "through",
        "options",
        "measures",
        "dimensions",
        "aggregation",
        "alias",
        "orders",
        "having",
        "format",
        "field",
        "values",
        "filterByTk",
        "sourceId",
        "targetId",
        "$and",
        "$or",
        "$not",
        "$eq",
        "$in",
        "$between",
        "$includes",
        "$dateOn",
        "$anyOf",
        "$empty",
        "$exists",
        "$nosuch",
        "string",
        "belongsTo",
        "hasMany",
        "belongsToMany",
        "decimal",
        "precision",
        "defaultValue",
        "primaryKey",
        "unique",
        "strategy",
        "actions",
    ][..];
    prop_oneof![5 => prop::sample::select(known).prop_map(str::to_owned), 1 => "\\PC{0,12}"]
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(|number| json!(number)),
        prop::sample::select(&[0, 1, 2, -1, 100][..]).prop_map(Value::from),
        word().prop_map(Value::from),
        "[a0\0%_'\"\\\\;{}\\[\\]$.🦀-]{0,20}".prop_map(Value::from),
        prop::sample::select(
            &["2023-01", "{{$user.id}}", "{{ctx.state.currentUser.id}}", "{{$nDate.today}}", "1e400"][..]
        )
        .prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 5, |inner| {
        prop_oneof![
            1 => prop::collection::vec(inner.clone(), 0..5).prop_map(Value::Array),
            2 => prop::collection::vec((word(), inner), 0..5)
                .prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

fn encoded(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

fn query() -> impl Strategy<Value = String> {
    let names = &[
        "filter",
        "filterByTk",
        "filterByTk[]",
        "sort",
        "sort[]",
        "fields[]",
        "except",
        "appends[]",
        "page",
        "pageSize",
        "paginate",
        "whitelist",
        "blacklist[]",
        "updateAssociationValues[]",
        "filterKeys[]",
        "filter[title][$eq]",
        "filter[$and][0][views]",
        "filter[a][b][c][d][e][f][g][h][i]",
        "sourceId",
        "targetId",
        "method",
        "sticky",
        "a[=",
        "__appName",
        "%ff",
        "[]",
        "token",
    ][..];
    let value = prop_oneof![
        json_value().prop_map(|value| encoded(&value.to_string())),
        word().prop_map(|word| encoded(&word)),
        "[0-9]{1,22}",
        "[A-Za-z0-9._~!$&'()*+,;=:@/?%\\[\\]-]{0,16}",
    ];
    let part = (prop::sample::select(names), value).prop_map(|(name, value)| format!("{name}={value}"));
    prop::collection::vec(part, 0..4).prop_map(|parts| parts.join("&"))
}

fn path() -> impl Strategy<Value = String> {
    let known = &[
        "posts:list",
        "posts:get",
        "posts:create",
        "posts:update",
        "posts:destroy",
        "posts:firstOrCreate",
        "posts:updateOrCreate",
        "posts:move",
        "posts:query",
        "posts/1/tags:list",
        "posts/1/tags:add",
        "posts/1/tags:set",
        "posts/1/tags:toggle",
        "posts/1/tags:create",
        "posts/1/author:get",
        "posts/1/author:set",
        "posts/x/tags:list",
        "tags:create",
        "tags:list",
        "collections:list",
        "collections:get",
        "collections:create",
        "collections:update",
        "collections:listMeta",
        "collections:move",
        "collections/posts/fields:list",
        "collections/posts/fields:create",
        "collections/posts/fields:update",
        "users:list",
        "users:get",
        "users:create",
        "roles:list",
        "roles:create",
        "roles:check",
        "auth:check",
        "auth:signIn",
        "app:getInfo",
        "systemSettings:get",
        "posts:nosuch",
        "posts/1",
        "posts",
    ][..];
    prop_oneof![
        12 => prop::sample::select(known).prop_map(|known| format!("/api/{known}")),
        1 => "/api/[a-z]{1,5}[A-Za-z0-9._~!$&'()*+,;=:@/%-]{0,20}",
        1 => "/api/[A-Za-z0-9._~!$&'()*+,;=:@/%-]{0,20}:[a-z%/]{0,8}",
        1 => "/[A-Za-z0-9._~!$&'()*+,;=:@/%-]{0,30}",
    ]
}

fn sent() -> impl Strategy<Value = Sent> {
    let names = &[
        "X-App",
        "X-Role",
        "X-Timezone",
        "X-Locale",
        "X-Authenticator",
        "Content-Type",
        "Accept",
        "X-Odd",
        "Cookie",
    ];
    let value = prop_oneof![
        prop::sample::select(
            &["main", "root", "member", "__union__", "+08:00", "application/json", "text/html"][..]
        )
        .prop_map(str::to_owned),
        "[ -~]{0,24}",
    ];
    let header = (prop::sample::select(&names[..]), value).prop_map(|(name, value)| (name.to_owned(), value));
    let body = prop_oneof![
        6 => json_value().prop_map(|value| value.to_string().into_bytes()),
        1 => prop::collection::vec(any::<u8>(), 0..40),
        1 => Just(Vec::new()),
    ];
    let method = prop_oneof![
        6 => Just("POST".to_owned()),
        4 => Just("GET".to_owned()),
        1 => prop::sample::select(&["PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "BREW"][..]).prop_map(str::to_owned),
    ];
    (method, path(), query(), prop::collection::vec(header, 0..2), body).prop_map(
        |(method, path, query, headers, body)| {
            let path = if query.is_empty() { path } else { format!("{path}?{query}") };
            Sent { method, path, headers, body }
        },
    )
}

async fn define(daemon: &Daemon, token: &str) {
    let collections = [
        json!({"name": "tags", "fields": [{"name": "name", "type": "string"}]}),
        json!({"name": "posts", "sortable": true, "createdAt": true, "createdBy": true, "fields": [
            {"name": "title", "type": "string"}, {"name": "views", "type": "integer"}, {"name": "at", "type": "datetimeTz"},
            {"name": "labels", "type": "array"}, {"name": "extra", "type": "json"},
            {"name": "author", "type": "belongsTo", "target": "users", "foreignKey": "authorId"},
            {"name": "tags", "type": "belongsToMany", "target": "tags", "through": "pt", "foreignKey": "p", "otherKey": "t"},
        ]}),
    ];
    for collection in collections {
        let (status, answer) =
            http(daemon, "POST", "/api/collections:create", None, Some(token), Some(collection)).await;
        assert_eq!(status, 200, "{answer}");
    }
    let posts = json!([{"title": "a", "views": 1, "tags": [{"name": "t"}], "author": 1}, {"title": "b"}]);
    let (status, answer) = http(daemon, "POST", "/api/posts:create", None, Some(token), Some(posts)).await;
    assert_eq!(status, 200, "{answer}");
}

#[apply(on_every_engine)]
#[test]
fn no_request_makes_the_server_fail(engine: TestEngine) {
    let environment = TestEnvironment::of(engine);
    let daemon = environment.daemon();
    let token = tokio::runtime::Runtime::new().unwrap().block_on(async {
        let token = sign_in(&daemon, None).await;
        define(&daemon, &token).await;
        token
    });
    let seed: u64 = std::env::var("NBAPPS_TEST_SEED").map_or(1, |seed| seed.parse().unwrap());
    let config = Config {
        cases: 2000,
        failure_persistence: None,
        max_shrink_iters: 2000,
        max_shrink_time: 20_000,
        ..Config::default()
    };
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    let answered = std::cell::RefCell::new(std::collections::BTreeMap::<u16, u32>::new());
    let held = runner.run(&sent(), |sent| {
        let status = status(&daemon, &token, &sent)?;
        *answered.borrow_mut().entry(status).or_default() += 1;
        Ok(())
    });
    held.unwrap_or_else(|error| panic!("with the seed {seed}: {error}\n{}", environment.daemon_log()));
    assert!(!environment.daemon_log().contains("panicked"), "{}", environment.daemon_log());
    // Some requests were processed.
    let answered = answered.into_inner();
    assert!(answered[&200] > 100 && answered[&400] > 100, "{answered:?}");
}
