//! What is there and not open is refused in one way by every action that changes something.

use macro_rules_attribute::apply;
use serde_json::{Value, json};

use super::world::World;
use crate::test_servers::{TestEngine, on_every_engine};

const NONE: Value = Value::Null;

/// Requests of eve's, whose are post 3, its comment 3 and tag 5, and the status of the answer.
fn cases() -> Vec<(String, Value, u16)> {
    let (named, by) = (json!({"name": "x"}), "filterKeys[]=name");
    let links = |key: i64| ["add", "set", "remove", "toggle"].map(|action| (action, json!([key])));
    let mut cases = vec![
        // Recorded of NocoBase: what is changed by its key and not open is not among what was changed.
        ("POST posts:update?filterByTk=1".to_owned(), json!({"title": "x"}), 200),
        ("POST posts:update?filterByTk=999".to_owned(), json!({"title": "x"}), 200),
        ("POST posts/3/comments:update?filterByTk=1".to_owned(), json!({"body": "x"}), 200),
        ("POST posts:destroy?filterByTk=1".to_owned(), NONE, 403),
        ("POST posts:destroy?filterByTk[]=1&filterByTk[]=3".to_owned(), NONE, 403),
        ("POST posts:destroy?filterByTk=999".to_owned(), NONE, 200),
        ("POST posts:move?sourceId=1&sticky=true".to_owned(), NONE, 403),
        ("POST posts:move?sourceId=3&targetId=1".to_owned(), NONE, 403),
        ("POST posts:move?sourceId=999&sticky=true".to_owned(), NONE, 400),
        // What belongs to a record that is not open, and to none.
        ("POST posts/1/comments:update?filterByTk=1".to_owned(), json!({"body": "x"}), 403),
        ("POST posts/1/comments:destroy?filterByTk=1".to_owned(), NONE, 403),
        ("POST posts/1/comments:create".to_owned(), json!({"body": "x"}), 403),
        (format!("POST posts/1/tags:firstOrCreate?{by}"), named.clone(), 403),
        (format!("POST posts/1/tags:updateOrCreate?{by}"), named.clone(), 403),
        ("POST posts/1/mainTag:update".to_owned(), named.clone(), 403),
        ("POST posts/1/mainTag:destroy".to_owned(), NONE, 403),
        ("POST posts/1/mainTag:set".to_owned(), json!([5]), 403),
        ("POST posts/1/mainTag:remove".to_owned(), NONE, 403),
        ("POST posts/999/comments:create".to_owned(), json!({"body": "x"}), 400),
        (format!("POST posts/999/tags:firstOrCreate?{by}"), named.clone(), 400),
        ("POST posts/999/mainTag:update".to_owned(), named, 400),
        // Records that are not open, of one that is.
        ("POST posts/3/comments:add".to_owned(), json!([1]), 403),
        ("POST posts/3/comments:set".to_owned(), json!([1]), 403),
        ("POST posts/3/comments:remove".to_owned(), json!([1]), 403),
        ("POST posts/3/mainTag:set".to_owned(), json!([1]), 403),
        ("POST posts/3/comments:add".to_owned(), json!([999]), 400),
        ("POST posts/3/mainTag:set".to_owned(), json!([999]), 400),
        ("POST posts/3/tags:add".to_owned(), json!([999]), 400),
        ("POST posts/3/tags:remove".to_owned(), json!([999]), 200),
    ];
    for (of, key, status) in [(1, 1, 403), (1, 5, 403), (3, 1, 403), (999, 5, 400)] {
        cases.extend(
            links(key).map(|(action, body)| (format!("POST posts/{of}/tags:{action}"), body, status)),
        );
    }
    cases
}

#[apply(on_every_engine)]
#[tokio::test]
async fn what_is_not_open_is_refused_and_what_is_not_there_is_not_found(engine: TestEngine) {
    let mut world = World::blog(engine).await;
    world.role("own", &["view:own", "create", "update:own", "destroy:own"]).await;
    world.user("eve", &["own"]).await;
    let post = json!({"title": "hers", "comments": [{"body": "hers"}], "tags": [{"name": "hers"}]});
    world.did("eve", "POST posts:create", &post).await;
    let mut wrong = Vec::new();
    for (line, body, status) in cases() {
        let reply = world.ask("eve", &line, &body).await;
        let says = reply.at("errors.0.message");
        let refused = says.as_str().is_some_and(|says| says.starts_with("your roles do not"));
        if reply.status != status || refused != (status == 403) {
            wrong.push(format!("{line} {body}\n  wanted {status}, got {} {}", reply.status, reply.text));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // And nothing was done.
    world
        .go_through(&[
            ("root", "GET posts:list?filter={\"title\":\"x\"}", NONE, 200, "meta.count", json!(0)),
            ("root", "GET comments:list?filter={\"body\":\"x\"}", NONE, 200, "meta.count", json!(0)),
            ("root", "GET tags:list?filter={\"name\":\"x\"}", NONE, 200, "meta.count", json!(0)),
            ("root", "GET posts/1/tags:list", NONE, 200, "meta.count", json!(1)),
            ("root", "GET posts/3/tags:list", NONE, 200, "meta.count", json!(1)),
            ("root", "GET posts:get/1", NONE, 200, "data.mainTagId", json!(1)),
        ])
        .await;
}
