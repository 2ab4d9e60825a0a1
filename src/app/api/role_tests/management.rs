//! Who may change users and roles, and what nobody may.

use macro_rules_attribute::apply;
use serde_json::{Map, Value, json};

use super::world::World;
use crate::app::system::ROLES_USERS;
use crate::test_servers::{TestEngine, on_every_engine};

const NONE: Value = Value::Null;

/// With `amy` (3), an administrator; `max` (4), who looks after roles; `hana` (5), who looks after
/// users; `desk` (6), who may change nicknames and roles, as far as its permissions on users go; and
/// `joe` (2), who may nothing.
async fn with_people(engine: TestEngine) -> World {
    let mut world = World::new(engine).await;
    for (role, snippets) in [("manager", json!(["pm.acl.roles"])), ("hr", json!(["pm.users"]))] {
        let body = json!({"name": role, "title": role, "snippets": snippets, "strategy": {"actions": []}});
        world.did("root", "POST roles:create", &body).await;
    }
    world.role("front", &[]).await;
    let fields = json!(["nickname", "roles"]);
    let actions = json!([{"name": "view", "fields": fields}, {"name": "update", "fields": fields},
        {"name": "create", "fields": []}]);
    world.configure("front", "users", actions).await;
    world.role("guest", &[]).await;
    for (name, role) in
        [("joe", "guest"), ("amy", "admin"), ("max", "manager"), ("hana", "hr"), ("desk", "front")]
    {
        world.user(name, &[role]).await;
    }
    world
}

#[apply(on_every_engine)]
#[tokio::test]
#[expect(clippy::too_many_lines, reason = "a table")]
async fn root_is_neither_given_nor_taken_nor_changed_by_others(engine: TestEngine) {
    let world = with_people(engine).await;
    let roles = |roles: &[&str]| json!({"roles": roles});
    let through = json!([{"name": "guest", "rolesUsers": {"roleName": "root", "userId": 4}}]);
    world
        .go_through(&[
            // Not given, by anybody, in any way.
            ("root", "POST users/2/roles:add", json!(["root"]), 403, "", NONE),
            ("root", "POST users/2/roles:toggle", json!(["root"]), 403, "", NONE),
            ("root", "POST users/2/roles:set", json!(["guest", "root"]), 403, "", NONE),
            ("root", "POST roles/root/users:add", json!([2]), 403, "", NONE),
            ("root", "POST users:create", roles(&["root"]), 403, "", NONE),
            ("root", "POST users:update?filterByTk=2", roles(&["root"]), 403, "", NONE),
            ("root", "POST roles/root/users:create", json!({"username": "x"}), 403, "", NONE),
            ("root", "POST rolesUsers:create", json!({"roleName": "root", "userId": 2}), 403, "", NONE),
            (
                "root",
                "POST rolesUsers:update?filter={\"userId\":2}",
                json!({"roleName": "root"}),
                403,
                "",
                NONE,
            ),
            ("root", "POST users/2/roles:add", through.clone(), 200, "", NONE),
            (
                "amy",
                "POST users/3/roles:add",
                json!([{"name": "admin", "rolesUsers": {"roleName": "root"}}]),
                200,
                "",
                NONE,
            ),
            ("amy", "POST users/3/roles:add", json!(["root"]), 403, "", NONE),
            ("amy", "POST users:create", roles(&["root"]), 403, "", NONE),
            // The last one keeps it.
            ("root", "POST users/1/roles:remove?filterByTk=root", NONE, 403, "", NONE),
            (
                "root",
                "POST users/1/roles:set",
                json!(["admin"]),
                403,
                "errors.0.message",
                json!("the last user with the role root must keep it"),
            ),
            ("root", "POST users/1/roles:toggle", json!(["root"]), 403, "", NONE),
            ("root", "POST users:update?filterByTk=1", roles(&["member"]), 403, "", NONE),
            ("root", "POST roles/root/users:set", json!([]), 403, "", NONE),
            ("root", "POST roles/root/users:remove?filterByTk=1", NONE, 403, "", NONE),
            ("root", "POST rolesUsers:destroy?filter={\"roleName\":\"root\"}", NONE, 403, "", NONE),
            (
                "root",
                "POST users:destroy?filterByTk=1",
                NONE,
                403,
                "errors.0.message",
                json!("the last user with the role root cannot be removed"),
            ),
            ("root", "GET roles/root/users:list?fields=id", NONE, 200, "meta.count", json!(1)),
            // A user with root is changed by root alone.
            ("amy", "POST users:update?filterByTk=1", json!({"password": "taken-over"}), 403, "", NONE),
            ("amy", "POST users:update?filter={\"id.$gt\":0}", json!({"nickname": "all"}), 403, "", NONE),
            ("amy", "POST users:destroy?filterByTk=1", NONE, 403, "", NONE),
            ("amy", "POST users/1/roles:add", json!(["guest"]), 403, "", NONE),
            ("amy", "POST users/1/roles:remove?filterByTk=member", NONE, 403, "", NONE),
            ("amy", "POST roles/guest/users:add", json!([1]), 403, "", NONE),
            ("amy", "POST roles/root/users:remove?filterByTk=1", NONE, 403, "", NONE),
            ("hana", "POST users:update?filterByTk=1", json!({"email": "me@example.com"}), 403, "", NONE),
            (
                "root",
                "POST users:update?filterByTk=1",
                json!({"nickname": "Root"}),
                200,
                "data.0.nickname",
                json!("Root"),
            ),
            // Nor is the role itself.
            ("root", "POST roles:update?filterByTk=root", json!({"title": "x"}), 403, "", NONE),
            ("root", "POST roles:destroy?filterByTk=root", NONE, 403, "", NONE),
            ("root", "POST roles:destroy?filterByTk=admin", NONE, 403, "", NONE),
            ("root", "POST roles:update?filterByTk=guest", json!({"default": true}), 200, "", NONE),
            ("root", "POST roles:destroy?filterByTk=guest", NONE, 400, "", NONE),
            ("root", "GET roles:list?filter={\"default\":true}", NONE, 200, "data.0.name", json!("guest")),
        ])
        .await;
}

#[apply(on_every_engine)]
#[tokio::test]
async fn of_several_roots_one_is_left(engine: TestEngine) {
    let mut world = with_people(engine).await;
    let link = Map::from_iter([("roleName".to_owned(), json!("root")), ("userId".to_owned(), json!(2))]);
    world.source().system().insert(&ROLES_USERS, link).await.unwrap();
    world.user("eve", &["guest"]).await;
    world
        .go_through(&[
            ("joe as root", "GET roles:check", NONE, 200, "data.allowAll", json!(true)),
            ("root", "POST users:destroy?filterByTk[]=1&filterByTk[]=2", NONE, 403, "", NONE),
            ("root", "POST roles/root/users:set", json!([]), 403, "", NONE),
            ("amy", "POST users/2/roles:remove?filterByTk=root", NONE, 403, "", NONE),
            ("root", "POST users/2/roles:remove?filterByTk=root", NONE, 200, "", NONE),
            ("joe as root", "GET roles:check", NONE, 401, "", NONE),
            ("amy", "POST users:destroy?filterByTk=2", NONE, 200, "data", json!(1)),
            // Who holds a role that is removed loses it, root too.
            ("root", "POST users/1/roles:add", json!(["front"]), 200, "", NONE),
            ("amy", "POST roles:destroy?filterByTk=front", NONE, 200, "data", json!(1)),
            ("root", "GET users/1/roles:list?filter={\"name\":\"front\"}", NONE, 200, "meta.count", json!(0)),
        ])
        .await;
}

#[apply(on_every_engine)]
#[tokio::test]
#[expect(clippy::too_many_lines, reason = "a table")]
async fn users_and_roles_are_changed_by_who_looks_after_them(engine: TestEngine) {
    let world = with_people(engine).await;
    let role = |name: &str| json!({"name": name, "title": name});
    world
        .go_through(&[
            // Roles.
            ("max", "GET roles:list", NONE, 200, "", NONE),
            ("max", "POST roles:create", role("new"), 200, "data.name", json!("new")),
            ("max", "GET roles/guest/users:list?fields=username", NONE, 200, "data.0.username", json!("joe")),
            ("max", "GET users/2/roles:list?fields=name", NONE, 200, "data.0.name", json!("guest")),
            ("max", "POST users/2/roles:add", json!(["new"]), 200, "", NONE),
            ("max", "POST roles/new/users:remove?filterByTk=2", NONE, 200, "", NONE),
            ("root", "GET users/2/roles:list", NONE, 200, "meta.count", json!(1)),
            ("max", "GET users:list", NONE, 403, "", NONE),
            ("max", "POST users:update?filterByTk=2", json!({"nickname": "x"}), 403, "", NONE),
            ("max", "POST users:create", json!({"username": "x"}), 403, "", NONE),
            ("max", "POST roles/new/users:create", json!({"username": "x"}), 403, "", NONE),
            ("max", "POST roles/guest/users:update?filterByTk=2", json!({"password": "x"}), 403, "", NONE),
            ("max", "POST roles/guest/users:destroy?filterByTk=2", NONE, 403, "", NONE),
            (
                "max",
                "POST roles:create",
                json!({"name": "more", "title": "more", "users": [{"username": "x"}]}),
                403,
                "",
                NONE,
            ),
            ("max", "POST collections:create", json!({"name": "x"}), 403, "", NONE),
            // Users.
            (
                "hana",
                "POST users:update?filterByTk=2",
                json!({"nickname": "Joe", "resetToken": "mine"}),
                200,
                "data.0.nickname",
                json!("Joe"),
            ),
            (
                "hana",
                "POST users:create",
                json!({"username": "kim", "password": "pw-12345", "resetToken": "mine"}),
                200,
                "data.id",
                json!(7),
            ),
            ("hana", "POST users/2/roles:set", json!(["guest", "member"]), 200, "", NONE),
            ("hana", "POST roles:create", role("other"), 403, "", NONE),
            ("hana", "GET roles:list", NONE, 403, "", NONE),
            ("hana", "POST users:destroy?filterByTk=7", NONE, 200, "data", json!(1)),
            // The fields of users are not the roles.
            (
                "desk",
                "POST users:update?filterByTk=2",
                json!({"nickname": "Joey", "email": "x@example.com"}),
                200,
                "data.0.nickname",
                json!("Joey"),
            ),
            ("root", "GET users:get?filterByTk=2&fields=email", NONE, 200, "data.email", NONE),
            (
                "desk",
                "POST users:update?filterByTk=6",
                json!({"roles": ["admin"]}),
                403,
                "errors.0.message",
                json!("your roles do not let you set roles of users"),
            ),
            ("desk", "POST users:create", json!({"username": "x", "roles": ["admin"]}), 403, "", NONE),
            ("desk", "POST users/6/roles:add", json!(["admin"]), 403, "", NONE),
            ("desk", "GET users/6/roles:list", NONE, 403, "", NONE),
            ("desk", "GET users:get?filterByTk=6&appends=roles", NONE, 200, "data.roles", NONE),
            ("desk", "GET users:list?filter={\"roles.name\":\"root\"}", NONE, 403, "", NONE),
            ("desk", "GET users:list?sort=roles.name", NONE, 403, "", NONE),
            // Nobody in particular.
            ("joe", "GET users:list", NONE, 403, "", NONE),
            ("joe", "GET roles:list", NONE, 403, "", NONE),
            ("joe", "GET rolesUsers:list", NONE, 403, "", NONE),
            ("joe", "GET dataSourcesRoles:list", NONE, 403, "", NONE),
            ("joe as admin", "GET users:list", NONE, 401, "", NONE),
            ("amy", "GET roles:list", NONE, 200, "", NONE),
            (
                "amy",
                "POST roles:update?filterByTk=guest",
                json!({"strategy": {"actions": ["view"]}}),
                200,
                "",
                NONE,
            ),
            ("joe", "GET users:list", NONE, 200, "meta.count", json!(6)),
        ])
        .await;
}
