//! `nbapps api`: calls of an application's HTTP API over the socket.

use std::io::Write;
use std::process::Stdio;

use insta::assert_snapshot;
use macro_rules_attribute::apply;
use serde_json::{Value, json};

use crate::environment::{Ran, TestEnvironment};
use crate::servers::{TestEngine, on_every_engine};

const POSTS: &str = r#"{"name": "posts", "fields": [{"name": "title", "type": "string"}, {"name": "views", "type": "integer"}]}"#;

/// Runs `nbapps api crm` with these arguments.
fn api(environment: &TestEnvironment, arguments: &[&str]) -> Ran {
    environment.nbapps(&[&["api", "crm"], arguments].concat())
}

/// An environment with an application of `count` posts.
fn with_posts(environment: &TestEnvironment, count: u64) {
    environment.nbapps(&["create", "crm"]).ok();
    api(environment, &["POST", "collections:create", "-d", POSTS]).ok();
    let posts: Vec<Value> =
        (1..=count).map(|number| json!({"title": format!("Post {number}"), "views": number})).collect();
    let file = environment.path("posts.json");
    std::fs::write(&file, Value::from(posts).to_string()).unwrap();
    api(environment, &["POST", "posts:create", "-d", &format!("@{}", file.display())]).ok();
}

#[apply(on_every_engine)]
#[test]
fn data_is_loaded_and_read_without_a_token(engine: TestEngine) {
    let environment = TestEnvironment::of(engine);
    let daemon = environment.daemon();
    with_posts(&environment, 45);
    let page =
        api(&environment, &["get", "/api/posts:list", "--query", "page=2", "--query", "pageSize=20"]).ok();
    assert_eq!(page.json()["meta"]["count"], 45, "{}", page.stdout);
    assert_eq!(page.json()["data"].as_array().unwrap().len(), 20);
    for (filter, expected) in [
        (&["--query", "pageSize=20"][..], 45),
        (&[], 45),
        (&["--query", r#"filter={"views": {"$gt": 40}}"#, "--query", "pageSize=2"], 5),
        (&["--query", r#"filter={"views": 0}"#], 0),
    ] {
        let all =
            api(&environment, &[&["GET", "posts:list?sort=-views", "--all-pages"], filter].concat()).ok();
        let all = all.json();
        let all = all.as_array().unwrap();
        assert_eq!(all.len(), expected, "{filter:?}");
        assert!(all.first().is_none_or(|first| first["views"] == 45));
    }
    let titles = api(
        &environment,
        &["GET", "posts:list", "--all-pages", "-o", "template={{ data | map(attribute='views') | sum }}"],
    )
    .ok();
    assert_eq!(titles.stdout, "1035\n");
    let one = api(&environment, &["GET", "posts:get/1", "-o", "template={{ data.title }}"]).ok();
    assert_eq!(one.stdout, "Post 1\n");
    let lines = api(&environment, &["GET", "posts:list", "--all-pages", "-o", "jsonl"]).ok().stdout;
    assert_eq!(lines.lines().count(), 45);
    assert!(lines.lines().all(|line| serde_json::from_str::<Value>(line).unwrap()["title"].is_string()));
    let mut piped = environment.nbapps_command(&["api", "crm", "POST", "posts:update/1", "-d", "-"]);
    piped.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut piped = piped.spawn().unwrap();
    piped.stdin.take().unwrap().write_all(br#"{"title": "Changed"}"#).unwrap();
    assert!(piped.wait().unwrap().success());
    let changed = daemon.call("app.api", json!({"id": "crm", "method": "GET", "path": "posts:get/1"}));
    assert_eq!((&changed["status"], &changed["body"]["data"]["title"]), (&json!(200), &json!("Changed")));
}

#[apply(on_every_engine)]
#[test]
fn the_permissions_are_those_of_the_user(engine: TestEngine) {
    let environment = TestEnvironment::of(engine);
    let _daemon = environment.daemon();
    with_posts(&environment, 1);
    environment.nbapps(&["user", "add", "crm", "--email", "ada@example.com", "--username", "ada"]).ok();
    let own = api(&environment, &["POST", "posts:create", "-d", "{}", "--as", "ADA"]);
    assert_eq!(own.code, 1, "{}", own.stdout);
    assert_eq!(own.json()["errors"][0]["message"], "your roles do not allow this");
    assert!(own.stderr.contains("403"), "{}", own.stderr);
    let check =
        api(&environment, &["GET", "auth:check", "--as", "ada", "-o", "template={{ data.email }}"]).ok();
    assert_eq!(check.stdout, "ada@example.com\n");
    // The root user in a lesser role.
    let member = api(&environment, &["GET", "roles:list", "-H", "X-Role: member"]);
    assert_eq!((member.code, member.json()["errors"].is_array()), (1, true), "{}", member.stdout);
    environment.nbapps(&["user", "disable", "crm", "ada"]).ok();
    for (arguments, code) in [
        (&["GET", "auth:check", "--as", "ada"][..], 7),
        (&["GET", "auth:check", "--as", "nobody"], 4),
        (&["GET", "auth:check", "-H", "Authorization: Bearer x"], 2),
        (&["GET", "nosuch:list"], 1),
        (&["GET", "posts:create"], 1),
        (&["TRACE", "posts:list"], 2),
        (&["POST", "posts:create", "-d", "{"], 2),
        (&["POST", "posts:create", "-d", "@/no/such/file"], 2),
        (&["GET", "posts:list", "-o", "template={{ data"], 2),
        (&["GET", "posts:list", "-o", "name"], 2),
        (&["GET", "posts:get/1", "--all-pages"], 2),
        (&["GET", "posts:list?page=2", "--all-pages"], 2),
    ] {
        assert_eq!(api(&environment, arguments).code, code, "{arguments:?}");
    }
    // Signing out ends no session of anybody.
    api(&environment, &["POST", "auth:signOut"]).ok();
    api(&environment, &["GET", "posts:list"]).ok();
}

#[test]
fn long_bodies_and_limits_are_said_before_anything_is_done() {
    let environment = TestEnvironment::new();
    let daemon = environment.daemon();
    with_posts(&environment, 1);
    let file = environment.path("long.json");
    let long = |length: usize| {
        std::fs::write(&file, json!({"title": "x".repeat(length)}).to_string()).unwrap();
        api(&environment, &["POST", "posts:create", "-d", &format!("@{}", file.display())])
    };
    let refused = long(5 * 1024 * 1024);
    assert!(refused.code == 2 && refused.stderr.contains("at most 4 MiB"), "{}", refused.stderr);
    environment.nbapps(&["update", "crm", "--limit", "body=1MiB"]).ok();
    let refused = long(2 * 1024 * 1024);
    assert!(refused.code == 2 && refused.stderr.contains("--limit body="), "{}", refused.stderr);
    let count = api(&environment, &["GET", "posts:list", "-o", "template={{ meta.count }}"]).ok();
    assert_eq!(count.stdout, "1\n");
    // JSON that a client wrote over several lines comes back on one.
    let fields = json!({"name": "extra", "type": "json"});
    api(&environment, &["POST", "collections/posts/fields:create", "-d", &fields.to_string()]).ok();
    api(&environment, &["POST", "posts:update/1", "-d", "{\"extra\": {\n \"a\": \"b\\nc\"}}"]).ok();
    let body = api(&environment, &["GET", "posts:get/1"]).ok().stdout;
    assert_eq!(body.lines().count(), 1, "{body}");
    assert!(daemon.stop().success());
}

#[test]
fn what_is_said_of_calls() {
    let environment = TestEnvironment::new();
    let _daemon = environment.daemon();
    with_posts(&environment, 3);
    assert_snapshot!(environment.transcript(&[
        "api crm GET posts:list --query fields=id,title",
        "api crm GET posts:list --query fields=id,title -o json",
        "api crm GET posts:list --query fields=id,title -o yaml",
        "api crm GET posts:list --query fields=id,title -o jsonl",
        "api crm GET posts:list --query fields=id,title -o name",
        "api crm GET posts:list --query fields=id,title --query pageSize=2 --all-pages",
        "api crm GET posts:list --query fields=id --all-pages -o yaml",
        "api crm GET posts:list -o template={{data[0].title}}",
        "api crm GET posts:list -o template={{data[0].nosuch}}",
        "api crm GET posts:list -o template={{data",
        "api crm GET posts:list -o template",
        "list -o template={{id}}:{{state}}",
        "api crm POST posts:create -d {\"views\":\"many\"}",
        "api crm GET nosuch:list",
        "api crm GET auth:check --as nobody",
        "api nosuch GET posts:list",
        "stop crm",
        "api crm GET posts:list",
    ]));
}
