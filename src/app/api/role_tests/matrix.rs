//! Every action by every kind of role, on records of its own and of others.
//!
//! Each cell has three fresh posts: `o`, the user's own; `t`, another's with many views; `l`,
//! another's with few. An answer is written as the posts in it (`-` for none, `n` for a new one), or
//! as the number that it is; a refusal as its status. Rows about links end with the number of tags
//! that `o` and `t` have afterwards; each begins with one.

use macro_rules_attribute::apply;
use serde_json::{Map, Value, json};

use super::world::{Reply, World};
use crate::test_servers::{TestEngine, on_every_engine};

/// Of the roles, `view` is the one that may view everything, `edit` may also create, and update its
/// own; `own` may do everything with its own; `fields` has permissions on posts with a filter of its
/// own; `none` has none.
const ROLES: [&str; 8] = ["root", "admin", "member", "view", "edit", "own", "fields", "none"];

/// A request, its body, and the answer to each role.
type Row = (&'static str, &'static str, [&'static str; 8]);

const FILTER: &str = r#"filter={"id":{"$in":[{o},{t},{l}]}}"#;

const RECORDS: [Row; 22] = [
    ("GET posts:list?{f}", "", ["otl", "otl", "o", "otl", "otl", "o", "ot", "403"]),
    ("GET posts:list?{f}&sort=-id&pageSize=1", "", ["l", "l", "o", "l", "l", "o", "t", "403"]),
    ("GET posts:get?filterByTk={o}", "", ["o", "o", "o", "o", "o", "o", "o", "403"]),
    ("GET posts:get?filterByTk={t}", "", ["t", "t", "-", "t", "t", "-", "t", "403"]),
    ("GET posts:get?filterByTk={l}", "", ["l", "l", "-", "l", "l", "-", "-", "403"]),
    (
        "POST posts:query",
        r#"{"measures": [{"field": ["id"], "aggregation": "count", "alias": "x"}], "filter": {"id.$in": [{o}, {t}, {l}]}}"#,
        ["3", "3", "1", "3", "3", "1", "2", "403"],
    ),
    (
        "POST posts:query",
        r#"{"measures": [{"field": ["views"], "aggregation": "sum", "alias": "x"}], "filter": {"id.$in": [{o}, {t}, {l}]}}"#,
        ["12", "12", "1", "12", "12", "1", "403", "403"],
    ),
    ("POST posts:create", r#"{"title": "new"}"#, ["n", "n", "403", "403", "n", "n", "n", "403"]),
    (
        "POST posts:update?filterByTk={o}",
        r#"{"title": "new"}"#,
        ["o", "o", "403", "403", "o", "o", "o", "403"],
    ),
    (
        "POST posts:update?filterByTk={t}",
        r#"{"title": "new"}"#,
        ["t", "t", "403", "403", "-", "-", "-", "403"],
    ),
    ("POST posts:update?{f}", r#"{"title": "new"}"#, ["otl", "otl", "403", "403", "o", "o", "o", "403"]),
    ("POST posts:destroy?filterByTk={o}", "", ["1", "1", "403", "403", "403", "1", "1", "403"]),
    ("POST posts:destroy?filterByTk={t}", "", ["1", "1", "403", "403", "403", "403", "1", "403"]),
    ("POST posts:destroy?filterByTk={l}", "", ["1", "1", "403", "403", "403", "403", "403", "403"]),
    ("POST posts:destroy?{f}", "", ["3", "3", "403", "403", "403", "1", "2", "403"]),
    (
        "POST posts:firstOrCreate?filterKeys[]=id",
        r#"{"id": {o}, "title": "x"}"#,
        ["o", "o", "403", "403", "o", "o", "o", "403"],
    ),
    (
        "POST posts:firstOrCreate?filterKeys[]=id",
        r#"{"id": {l}0, "title": "x"}"#,
        ["n", "n", "403", "403", "n", "n", "n", "403"],
    ),
    (
        "POST posts:updateOrCreate?filterKeys[]=id",
        r#"{"id": {o}, "title": "x"}"#,
        ["o", "o", "403", "403", "o", "o", "o", "403"],
    ),
    (
        "POST posts:updateOrCreate?filterKeys[]=id",
        r#"{"id": {t}, "title": "x"}"#,
        ["t", "t", "403", "403", "-", "400", "-", "403"],
    ),
    ("POST posts:move?sourceId={o}&targetId={t}", "", ["ok", "ok", "403", "403", "403", "403", "403", "403"]),
    ("POST posts:move?sourceId={o}&sticky=true", "", ["ok", "ok", "403", "403", "ok", "ok", "ok", "403"]),
    ("POST posts:move?sourceId={t}&sticky=true", "", ["ok", "ok", "403", "403", "403", "403", "403", "403"]),
];

const LINKS: [Row; 12] = [
    (
        "POST posts/{o}/tags:add",
        "[2]",
        ["- 21", "- 21", "403 11", "403 11", "- 21", "403 11", "403 11", "403 11"],
    ),
    (
        "POST posts/{o}/tags:set",
        "[2, 3]",
        ["- 21", "- 21", "403 11", "403 11", "- 21", "403 11", "403 11", "403 11"],
    ),
    (
        "POST posts/{o}/tags:remove",
        "[1]",
        ["- 01", "- 01", "403 11", "403 11", "- 01", "403 11", "403 11", "403 11"],
    ),
    (
        "POST posts/{o}/tags:toggle",
        "[1, 2]",
        ["ok 11", "ok 11", "403 11", "403 11", "ok 11", "403 11", "403 11", "403 11"],
    ),
    (
        "POST posts/{o}/tags:create",
        r#"{"name": "x"}"#,
        ["n 21", "n 21", "403 11", "403 11", "n 21", "n 21", "403 11", "403 11"],
    ),
    (
        "POST posts/{t}/tags:add",
        "[2]",
        ["- 12", "- 12", "403 11", "403 11", "403 11", "403 11", "403 11", "403 11"],
    ),
    (
        "POST posts/{t}/tags:set",
        "[2, 3]",
        ["- 12", "- 12", "403 11", "403 11", "403 11", "403 11", "403 11", "403 11"],
    ),
    (
        "POST posts/{t}/tags:remove",
        "[1]",
        ["- 10", "- 10", "403 11", "403 11", "403 11", "403 11", "403 11", "403 11"],
    ),
    (
        "POST posts/{t}/tags:toggle",
        "[1, 2]",
        ["ok 11", "ok 11", "403 11", "403 11", "403 11", "403 11", "403 11", "403 11"],
    ),
    (
        "POST posts/{t}/tags:create",
        r#"{"name": "x"}"#,
        ["n 12", "n 12", "403 11", "403 11", "n 12", "403 11", "403 11", "403 11"],
    ),
    (
        "POST posts:update?filterByTk={o}",
        r#"{"tags": [2, 3]}"#,
        ["o 21", "o 21", "403 11", "403 11", "o 21", "o 11", "o 11", "403 11"],
    ),
    (
        "POST posts:create",
        r#"{"title": "x", "tags": [1]}"#,
        ["n 11", "n 11", "403 11", "403 11", "n 11", "n 11", "n 11", "403 11"],
    ),
];

const OTHERS: [Row; 18] = [
    (r#"GET users:list?filter={"id":1}"#, "", ["n", "n", "-", "n", "n", "-", "403", "403"]),
    ("GET users:get?filterByTk=1", "", ["n", "n", "-", "n", "n", "-", "403", "403"]),
    (
        "POST users:create",
        r#"{"username": "a user of {o}"}"#,
        ["n", "n", "403", "403", "403", "403", "403", "403"],
    ),
    (
        "POST users:update?filterByTk=999",
        r#"{"nickname": "x"}"#,
        ["-", "-", "403", "403", "403", "403", "403", "403"],
    ),
    ("POST users:destroy?filterByTk=999", "", ["0", "0", "403", "403", "403", "403", "403", "403"]),
    ("GET users/1/roles:list", "", ["???", "???", "403", "403", "403", "403", "403", "403"]),
    ("POST users/999/roles:add", r#"["member"]"#, ["400", "400", "403", "403", "403", "403", "403", "403"]),
    ("GET roles:get?filterByTk=member", "", ["?", "?", "403", "403", "403", "403", "403", "403"]),
    (
        "POST roles:create",
        r#"{"name": "r{o}", "title": "r{o}"}"#,
        ["?", "?", "403", "403", "403", "403", "403", "403"],
    ),
    (
        r#"GET roles/member/users:list?filter={"id":1}"#,
        "",
        ["n", "n", "403", "403", "403", "403", "403", "403"],
    ),
    (
        "POST roles/view/resources:create",
        r#"{"name": "tags"}"#,
        ["n", "n", "403", "403", "403", "403", "403", "403"],
    ),
    ("GET collections:get?filterByTk=posts", "", ["?", "?", "403", "403", "403", "403", "403", "403"]),
    ("POST collections:create", r#"{"name": "c{o}"}"#, ["?", "?", "403", "403", "403", "403", "403", "403"]),
    (
        "POST collections/posts/fields:create",
        r#"{"name": "f{o}", "type": "string"}"#,
        ["?", "?", "403", "403", "403", "403", "403", "403"],
    ),
    ("GET posts/{o}/tags:list", "", ["n", "n", "-", "n", "n", "-", "403", "403"]),
    ("GET posts/{t}/tags:list", "", ["n", "n", "-", "n", "n", "-", "403", "403"]),
    ("GET posts/{l}/tags:list", "", ["n", "n", "-", "n", "n", "-", "403", "403"]),
    ("GET posts/{o}/createdBy:get", "", ["n", "n", "-", "n", "n", "-", "403", "403"]),
];

struct Posts {
    own: i64,
    others: i64,
    low: i64,
}

impl Posts {
    async fn new(world: &World, user: i64) -> Self {
        let catalog = world.source().catalog();
        let (posts, links) = (catalog.get("posts").unwrap(), catalog.get("postsTags").unwrap());
        let mut made = Vec::new();
        for (owner, views, place) in [(user, 1, 1), (999, 10, 2), (999, 1, 3)] {
            let post = json!({"title": "a post", "views": views, "createdById": owner, "sort": place});
            let record: Map<String, Value> = serde_json::from_value(post).unwrap();
            let id = world.source().system().insert(posts, record).await.unwrap()["id"].as_i64().unwrap();
            let link = Map::from_iter([("postId".to_owned(), json!(id)), ("tagId".to_owned(), json!(1))]);
            world.source().system().insert(links, link).await.unwrap();
            made.push(id);
        }
        Self { own: made[0], others: made[1], low: made[2] }
    }

    fn fill(&self, text: &str) -> String {
        let text = text.replace("{f}", FILTER).replace("{o}", &self.own.to_string());
        text.replace("{t}", &self.others.to_string()).replace("{l}", &self.low.to_string())
    }

    /// An answer, written shortly.
    fn told(&self, reply: &Reply) -> String {
        if reply.status != 200 {
            return reply.status.to_string();
        }
        let letter = |record: &Value| match record["id"].as_i64() {
            Some(id) if id == self.own => "o",
            Some(id) if id == self.others => "t",
            Some(id) if id == self.low => "l",
            Some(_) => "n",
            None => "?",
        };
        match reply.at("data") {
            Value::Array(items) if items.is_empty() => "-".to_owned(),
            Value::Array(items) if items[0].get("x").is_some() => items[0]["x"].to_string(),
            Value::Array(items) => items.iter().map(letter).collect(),
            Value::Object(record) => letter(&Value::Object(record)).to_owned(),
            Value::Null => "-".to_owned(),
            Value::String(text) => text,
            other => other.to_string(),
        }
    }
}

async fn tags(world: &World, post: i64) -> String {
    world.did("root", &format!("GET posts/{post}/tags:list"), &Value::Null).await.at("meta.count").to_string()
}

async fn with_roles(engine: TestEngine) -> (World, Vec<i64>) {
    let mut world = World::blog(engine).await;
    world.role("view", &["view"]).await;
    world.role("edit", &["view", "create", "update:own"]).await;
    world.role("own", &["create:own", "view:own", "update:own", "destroy:own"]).await;
    world.role("fields", &[]).await;
    world.role("none", &[]).await;
    let own = json!({"createdById": "{{ ctx.state.currentUser.id }}"});
    let seen = json!({"scope": {"$or": [own, {"views.$gt": 5}]}});
    let posts = json!([
        {"name": "view", "fields": ["title", "tags"], "scope": seen},
        {"name": "create", "fields": ["title"]},
        {"name": "update", "fields": ["title"], "scope": {"scope": own}},
        {"name": "destroy", "scope": seen},
    ]);
    world.configure("fields", "posts", posts).await;
    let mut users = vec![1];
    for role in &ROLES[1..] {
        users.push(world.user(role, &[role]).await);
    }
    (world, users)
}

async fn go_through(world: &World, users: &[i64], rows: &[Row], with_tags: bool) {
    let mut wrong = Vec::new();
    for (line, body, expected) in rows {
        let mut told = Vec::new();
        for (role, user) in ROLES.iter().zip(users) {
            let posts = Posts::new(world, *user).await;
            let body = posts.fill(body);
            let body = if body.is_empty() { Value::Null } else { serde_json::from_str(&body).unwrap() };
            let reply = world.ask(role, &posts.fill(line), &body).await;
            let mut cell = posts.told(&reply);
            if with_tags {
                cell = format!("{cell} {}{}", tags(world, posts.own).await, tags(world, posts.others).await);
            }
            told.push(cell);
        }
        if told != *expected {
            wrong.push(format!("{line} {body}\n  wanted {expected:?}\n     got {told:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[apply(on_every_engine)]
#[tokio::test]
async fn records(engine: TestEngine) {
    let (world, users) = with_roles(engine).await;
    go_through(&world, &users, &RECORDS, false).await;
}

#[apply(on_every_engine)]
#[tokio::test]
async fn links(engine: TestEngine) {
    let (world, users) = with_roles(engine).await;
    go_through(&world, &users, &LINKS, true).await;
}

#[apply(on_every_engine)]
#[tokio::test]
async fn what_is_beside_records(engine: TestEngine) {
    let (world, users) = with_roles(engine).await;
    go_through(&world, &users, &OTHERS, false).await;
}
