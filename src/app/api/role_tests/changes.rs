//! What is remembered of what roles open is forgotten when it is another, and what memory knows is
//! right also where nobody waited for the change.

use macro_rules_attribute::apply;
use serde_json::{Value, json};

use super::world::World;
use crate::test_servers::{TestEngine, on_every_engine};

const NONE: Value = Value::Null;
const TITLES: &str = "GET posts:list?fields=title&sort=id";

/// Posts `red`, `blue` and `green`, and eve, who sees those that are called as she is.
async fn world(engine: TestEngine) -> World {
    let mut world = World::new(engine).await;
    let text = |name: &str| json!({"name": name, "type": "string"});
    let posts = json!({"name": "posts", "fields": [text("title"), text("color")]});
    world.did("root", "POST collections:create", &posts).await;
    for color in ["red", "blue", "green"] {
        world.did("root", "POST posts:create", &json!({"title": color, "color": color})).await;
    }
    world.role("namesake", &[]).await;
    world.role("all", &["view"]).await;
    let namesakes = json!({"scope": {"title": "{{ $user.nickname }}"}});
    let view = json!([{"name": "view", "fields": ["title"], "scope": namesakes}]);
    world.configure("namesake", "posts", view).await;
    let eve = world.user("eve", &["namesake", "all"]).await;
    assert_eq!(eve, 2);
    world.did("eve", "POST users:setDefaultRole", &json!({"roleName": "namesake"})).await;
    world.did("root", "POST users:update?filterByTk=2", &json!({"nickname": "red"})).await;
    let keys = json!({"snippets": ["pm.api-keys.configuration"]});
    world.did("root", "POST roles:update?filterByTk=namesake", &keys).await;
    world.key("key", "eve", "namesake").await;
    world
}

fn titles(all: &[&str]) -> Value {
    all.iter().map(|title| json!({"title": title})).collect()
}

#[apply(on_every_engine)]
#[tokio::test]
async fn a_user_sees_what_is_open_now(engine: TestEngine) {
    let world = world(engine).await;
    let renamed = |name: &str| json!({"nickname": name});
    let sees = |who, all: &[&str]| (who, TITLES, NONE, 200, "data", titles(all));
    let rename = "POST users:update?filterByTk=2";
    world
        .go_through(&[
            sees("eve", &["red"]),
            sees("key", &["red"]),
            // Another user.
            ("root", rename, renamed("blue"), 200, "", NONE),
            sees("eve", &["blue"]),
            sees("key", &["blue"]),
            // Another role, and back.
            sees("eve as all", &["red", "blue", "green"]),
            sees("eve", &["blue"]),
            ("root", "POST roles:setSystemRoleMode", json!({"roleMode": "only-use-union"}), 200, "", NONE),
            ("eve", "GET roles:check", NONE, 200, "data.role", json!("__union__")),
            sees("eve", &["red", "blue", "green"]),
            sees("key", &["blue"]),
        ])
        .await;
}

#[apply(on_every_engine)]
#[tokio::test]
async fn a_role_opens_what_it_says_now(engine: TestEngine) {
    let world = world(engine).await;
    let sees = |all: &[&str]| ("eve", TITLES, NONE, 200, "data", titles(all));
    let asks = "GET posts:list?filter={\"color\":\"red\"}";
    let more =
        json!({"usingActionsConfig": true, "actions": [{"name": "view", "fields": ["title", "color"]}]});
    world
        .go_through(&[
            sees(&["red"]),
            ("eve", asks, NONE, 403, "", NONE),
            ("root", "POST roles/namesake/resources:update?filterByTk=posts", more, 200, "", NONE),
            sees(&["red", "blue", "green"]),
            ("eve", asks, NONE, 200, "meta.count", json!(1)),
        ])
        .await;
}

#[apply(on_every_engine)]
#[tokio::test]
async fn a_collection_is_open_as_it_is_now(engine: TestEngine) {
    let mut world = World::new(engine).await;
    let notes = json!({"name": "notes", "createdBy": false, "fields": [{"name": "text", "type": "string"}]});
    world.did("root", "POST collections:create", &notes).await;
    world.did("root", "POST notes:create", &json!({"text": "a"})).await;
    world.role("own", &["view:own", "create"]).await;
    world.user("eve", &["own"]).await;
    let creator = json!({"name": "createdById", "type": "bigInt"});
    world
        .go_through(&[
            // Nobody knows who made it.
            ("eve", "GET notes:list", NONE, 403, "", NONE),
            ("root", "POST collections/notes/fields:create", creator, 200, "", NONE),
            ("eve", "GET notes:list", NONE, 200, "meta.count", json!(0)),
            ("eve", "POST notes:create", json!({"text": "b"}), 200, "", NONE),
            ("eve", "GET notes:list", NONE, 200, "meta.count", json!(1)),
            ("root", "POST collections/notes/fields:destroy?filterByTk=createdById", NONE, 200, "", NONE),
            ("eve", "GET notes:list", NONE, 403, "", NONE),
        ])
        .await;
}

#[apply(on_every_engine)]
#[tokio::test]
async fn a_change_whose_client_hangs_up_is_whole_and_known(engine: TestEngine) {
    let mut world = World::new(engine).await;
    world.role("reader", &["view"]).await;
    world.user("eve", &["reader"]).await;
    let text = |name: &str| json!({"name": name, "type": "string"});
    let notes =
        json!({"name": "notes", "createdBy": true, "fields": [text("a"), text("b"), text("c"), text("d")]});
    world.hang_up("root", "POST collections:create", &notes).await;
    let more = json!({"name": "e", "type": "string"});
    // Changes of definitions come one after the other: this waits for the one before.
    world.did("root", "POST collections:create", &json!({"name": "others", "fields": []})).await;
    world.hang_up("root", "POST collections/notes/fields:create", &more).await;
    world.did("root", "POST collections:create", &json!({"name": "last", "fields": []})).await;
    let note = json!({"a": "1", "b": "2", "c": "3", "d": "4", "e": "5"});
    world.did("root", "POST notes:create", &note).await;
    world.go_through(&[("eve", "GET notes:list?fields=e", NONE, 200, "data.0.e", json!("5"))]).await;
}
