//! The resources by which an administrator says what roles may do.

use macro_rules_attribute::apply;
use serde_json::{Value, json};

use super::world::World;
use crate::test_servers::{TestEngine, on_every_engine};

const NONE: Value = Value::Null;

async fn with_posts(engine: TestEngine) -> World {
    let mut world = World::new(engine).await;
    let posts = json!({"name": "posts", "title": "Posts", "createdBy": true, "fields": [
        {"name": "title", "type": "string"}, {"name": "views", "type": "integer"},
    ]});
    world.did("root", "POST collections:create", &posts).await;
    world.role("editor", &["view", "create"]).await;
    world.user("eve", &["editor"]).await;
    world
}

#[apply(on_every_engine)]
#[tokio::test]
async fn permissions_are_written_read_and_count_at_once(engine: TestEngine) {
    let world = with_posts(engine).await;
    let view = json!({"name": "posts", "usingActionsConfig": true, "actions": [{"name": "view", "fields": ["title"]}]});
    let one = |name: &str| json!([{"name": name}]);
    let made = world.did("root", "POST roles/editor/resources:create", &view).await.at("data.id");
    let by_id = |action: &str| format!("{action}?filterByTk={made}");
    world
        .go_through(&[
            ("eve", "POST posts:create", json!({"title": "x"}), 403, "", NONE),
            ("root", &by_id("GET roles/editor/resources:get"), NONE, 200, "data.name", json!("posts")),
            ("root", &by_id("GET roles/member/resources:get"), NONE, 200, "data", NONE),
            ("root", "GET roles/editor/resources:get?filterByTk=posts&appends[]=actions", NONE, 200, "data.actions.0.name", json!("view")),
            ("root", "GET roles/editor/dataSourceResources:get?filter={\"name\":\"posts\",\"dataSourceKey\":\"main\"}&appends=actions.scope", NONE, 200, "data.actions.0.scope", NONE),
            ("root", "GET roles/editor/resources:get", NONE, 400, "", NONE),
            ("root", "GET roles/editor/resources:list", NONE, 200, "meta", json!({"count": 1, "page": 1, "pageSize": 20, "totalPage": 1})),
            ("root", "GET roles/editor/resources:list?filter={\"name\":\"tags\"}", NONE, 200, "data", json!([])),
            ("root", "GET roles/editor/resources:list?page=2", NONE, 200, "data", json!([])),
            ("root", "GET roles/editor/collections:list", NONE, 200, "data.0.usingConfig", json!("resourceAction")),
            ("root", "GET roles/member/collections:list", NONE, 200, "data.0.exists", json!(false)),
            ("root", "GET roles/editor/dataSourcesCollections:list?filter={\"dataSourceKey\":\"main\"}", NONE, 200, "data.0.fields.0.name", json!("title")),
            ("root", "GET roles/editor/collections:list?filter={\"name.$includes\":\"nosuch\"}", NONE, 200, "data", json!([])),
            ("root", "POST roles/editor/resources:update?filterByTk=posts", json!({"actions": [{"name": "create"}]}), 200, "data.0.actions.0.name", json!("create")),
            ("eve", "POST posts:create", json!({"title": "x"}), 200, "data.id", json!(1)),
            ("eve", "GET posts:list", NONE, 403, "", NONE),
            ("root", &by_id("POST roles/editor/resources:destroy"), NONE, 200, "data", json!(1)),
            ("eve", "GET posts:list?fields=title", NONE, 200, "data", json!([{"title": "x"}])),
            ("root", "POST roles/root/resources:create", view.clone(), 403, "", NONE),
            ("root", "POST roles/nosuch/resources:create", view, 404, "", NONE),
            ("root", "POST roles/editor/resources:create", one("posts"), 400, "", NONE),
            ("root", "POST roles/editor/resources:create", json!({"name": "roles"}), 400, "", NONE),
            ("eve", "GET roles/editor/resources:list", NONE, 403, "", NONE),
            ("eve", "GET roles/editor/collections:list", NONE, 403, "", NONE),
            ("eve", "GET availableActions:list", NONE, 403, "", NONE),
            ("root", "GET availableActions:list", NONE, 200, "data.0.name", json!("create")),
            // The strategy of a data source.
            ("root", "GET dataSources/main/roles:get?filterByTk=editor", NONE, 200, "data.strategy.actions", json!(["view", "create"])),
            ("root", "POST dataSources/main/roles:update?filterByTk=editor", json!({"strategy": {"actions": ["create"]}}), 200, "", NONE),
            ("eve", "GET posts:list", NONE, 403, "", NONE),
            ("root", "POST dataSources/main/roles:update?filterByTk=root", json!({"strategy": {"actions": []}}), 403, "", NONE),
            ("root", "POST dataSources/nosuch/roles:update?filterByTk=editor", json!({}), 404, "", NONE),
            ("root", "POST roles:update?filterByTk=editor", json!({"strategy": {"actions": ["view"]}}), 200, "", NONE),
            ("eve", "GET posts:list?fields=title", NONE, 200, "data", json!([{"title": "x"}])),
        ])
        .await;
}

#[apply(on_every_engine)]
#[tokio::test]
#[expect(clippy::too_many_lines, reason = "a table")]
async fn scopes_are_written_read_and_count_at_once(engine: TestEngine) {
    let world = with_posts(engine).await;
    world
        .did("root", "POST posts:create", &json!([{"title": "a", "views": 1}, {"title": "b", "views": 9}]))
        .await;
    let scope =
        |least: i64| json!({"name": "seen", "resourceName": "posts", "scope": {"views": {"$gte": least}}});
    let id =
        world.did("root", "POST dataSources/main/rolesResourcesScopes:create", &scope(5)).await.at("data.id");
    world.configure("editor", "posts", json!([{"name": "view", "fields": ["title"], "scopeId": id}])).await;
    let titles = "GET posts:list?fields=title";
    world
        .go_through(&[
            ("eve", titles, NONE, 200, "data", json!([{"title": "b"}])),
            (
                "root",
                &format!("POST rolesResourcesScopes:update?filterByTk={id}"),
                scope(0),
                200,
                "data.0.name",
                json!("seen"),
            ),
            ("eve", titles, NONE, 200, "data", json!([{"title": "a"}, {"title": "b"}])),
            (
                "root",
                &format!("GET dataSourcesRolesResourcesScopes:get?filterByTk={id}"),
                NONE,
                200,
                "data.name",
                json!("seen"),
            ),
            (
                "root",
                "GET rolesResourcesScopes:list?filter={\"resourceName\":\"posts\"}",
                NONE,
                200,
                "meta.count",
                json!(1),
            ),
            ("root", "GET dataSources/main/rolesResourcesScopes:list", NONE, 200, "meta.count", json!(3)),
            ("root", "GET dataSources/other/rolesResourcesScopes:list", NONE, 200, "meta.count", json!(0)),
            (
                "root",
                &format!("POST dataSources/other/rolesResourcesScopes:destroy?filterByTk={id}"),
                NONE,
                200,
                "data",
                json!(0),
            ),
            ("root", &format!("POST rolesResourcesScopes:destroy?filterByTk={id}"), NONE, 400, "", NONE),
            ("root", "POST roles/editor/resources:destroy?filterByTk=posts", NONE, 200, "data", json!(1)),
            (
                "root",
                &format!("POST rolesResourcesScopes:destroy?filterByTk={id}"),
                NONE,
                200,
                "data",
                json!(1),
            ),
            ("root", "POST rolesResourcesScopes:destroy?filter={\"key\":\"own\"}", NONE, 403, "", NONE),
            ("root", "POST rolesResourcesScopes:update", scope(1), 400, "", NONE),
            ("eve", "GET rolesResourcesScopes:list", NONE, 403, "", NONE),
            ("eve", "POST rolesResourcesScopes:create", scope(1), 403, "", NONE),
        ])
        .await;
}

#[apply(on_every_engine)]
#[tokio::test]
async fn a_user_acts_in_the_role_that_it_chooses(engine: TestEngine) {
    let mut world = with_posts(engine).await;
    world.role("writer", &["create"]).await;
    world.user("bob", &["editor", "writer"]).await;
    let current = "GET roles:check";
    let mode = |mode: &str| json!({"roleMode": mode});
    let role = |name: &str| json!({"roleName": name});
    world
        .go_through(&[
            ("bob", current, NONE, 200, "data.role", json!("editor")),
            ("bob", "POST users:setDefaultRole", role("writer"), 200, "data", json!("ok")),
            ("bob", current, NONE, 200, "data.role", json!("writer")),
            ("bob", "GET posts:list", NONE, 403, "", NONE),
            ("bob as editor", "GET posts:list", NONE, 200, "", NONE),
            ("bob as admin", "GET posts:list", NONE, 401, "errors.0.code", json!("ROLE_NOT_FOUND_FOR_USER")),
            ("bob as __union__", "GET posts:list", NONE, 403, "", NONE),
            ("bob", "POST roles:setDefaultRole", role("admin"), 400, "", NONE),
            ("bob", "POST roles:setSystemRoleMode", mode("only-use-union"), 403, "", NONE),
            ("root", "POST roles:setSystemRoleMode", mode("nosuch"), 400, "", NONE),
            ("root", "POST roles:setSystemRoleMode", mode("allow-use-union"), 200, "", NONE),
            ("bob as __union__", "GET posts:list", NONE, 200, "", NONE),
            ("bob as __union__", current, NONE, 200, "data.role", json!("__union__")),
            ("bob", "GET posts:list", NONE, 403, "", NONE),
            ("bob", "POST users:setDefaultRole", role("__union__"), 200, "", NONE),
            ("bob", "GET posts:list", NONE, 200, "", NONE),
            ("root", "GET users/3/roles:list", NONE, 200, "meta.count", json!(2)),
            ("root", "POST roles:setSystemRoleMode", mode("default"), 200, "", NONE),
            ("bob", current, NONE, 200, "data.role", json!("editor")),
            ("root", "POST systemSettings:update?filterByTk=1", mode("only-use-union"), 200, "", NONE),
            ("bob as writer", current, NONE, 200, "data.role", json!("__union__")),
            ("bob as writer", "GET posts:list", NONE, 200, "", NONE),
        ])
        .await;
}

#[apply(on_every_engine)]
#[tokio::test]
async fn a_key_acts_in_its_role_alone(engine: TestEngine) {
    let mut world = with_posts(engine).await;
    world.did("root", "POST posts:create", &json!({"title": "x"})).await;
    world.key("own", "root", "member").await;
    world.key("all", "root", "root").await;
    let mode = |mode: &str| json!({"roleMode": mode});
    for name in ["default", "allow-use-union", "only-use-union"] {
        world
            .go_through(&[
                ("root", "POST roles:setSystemRoleMode", mode(name), 200, "", NONE),
                ("own", "GET roles:check", NONE, 200, "data.role", json!("member")),
                ("own", "GET posts:list", NONE, 200, "meta.count", json!(1)),
                ("own", "POST posts:update?filterByTk=1", json!({"title": "y"}), 403, "", NONE),
                ("own", "GET roles:list", NONE, 403, "", NONE),
                ("own as __union__", "GET roles:list", NONE, 403, "", NONE),
                ("own as root", "GET roles:list", NONE, 403, "", NONE),
                ("all", "GET roles:check", NONE, 200, "data.allowAll", json!(true)),
                ("root", "GET roles:check", NONE, 200, "data.allowAll", json!(true)),
            ])
            .await;
    }
}
