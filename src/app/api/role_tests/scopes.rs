//! A scope holds whatever is asked for: no filter leads out of it.

use macro_rules_attribute::apply;
use serde_json::{Value, json};

use super::world::World;
use crate::test_servers::{TestEngine, on_every_engine};

const NONE: Value = Value::Null;

/// Filters that every post fits, or the posts of others too; each is something else in SQL.
fn filters() -> Vec<Value> {
    vec![
        json!({"title.$ne": "none"}),
        json!({"title.$ne": ["none"]}),
        json!({"title.$notIn": ["none"]}),
        json!({"title.$not": "none"}),
        json!({"title.$notIncludes": "none"}),
        json!({"title.$includes": ["root's", "eve's", "ann's", "bob's"]}),
        json!({"title.$in": ["root's", "eve's", "ann's", "bob's", null]}),
        json!({"title.$notEmpty": true}),
        json!({"title.$exists": true}),
        json!({"note.$empty": true}),
        json!({"note.$notExists": true}),
        json!({"note": null}),
        json!({"note": [null, "none"]}),
        json!({"views.$gte": 0}),
        json!({"views.$ne": -1}),
        json!({"views.$between": [0, 100]}),
        json!({"views.$notBetween": [100, 200]}),
        json!({"done.$isFalsy": true}),
        json!({"labels.$noneOf": ["none"]}),
        json!({"labels.$notMatch": ["none"]}),
        json!({"labels.$arrayEmpty": true}),
        json!({"day.$dateNotOn": "2000-01-01"}),
        json!({"day.$dateAfter": "2000-01-01"}),
        json!({"day.$dateNotBefore": "2000-01-01"}),
        json!({"$or": [{"id.$gt": 0}, {"title": "none"}]}),
        json!({"$or": [{"id.$gt": 0}]}),
        everything(),
        json!({"$and": [{"$or": [{"id.$gt": 0}, {"title": "none"}]}]}),
        json!({"$and": [{"$or": [{"id.$gt": 0}, {"views": 0}]}, {"$or": [{"id.$gt": 0}, {"views": 0}]}]}),
        json!({"$not": {"title": "none"}}),
        json!({"$not": {"$or": [{"title": "none"}, {"views": -1}]}}),
        json!({"$not": {"$and": [{"title": "none"}, {"views": -1}]}}),
        json!({"createdById.$ne": -1}),
        json!({"createdBy.nickname.$ne": "none"}),
        json!({"$or": [{"createdBy.nickname.$ne": "none"}, {"title": "none"}]}),
    ]
}

/// Who is in a scope, each in one that is something else in SQL, and the one post that it made.
const SCOPED: [(&str, i64); 3] = [("eve", 2), ("ann", 3), ("bob", 4)];

/// Each of them with each filter.
fn each() -> impl Iterator<Item = (&'static str, i64, Value)> {
    let all = |(who, own)| filters().into_iter().map(move |filter| (who, own, filter));
    SCOPED.into_iter().flat_map(all)
}

/// Means every record, whatever it says beside that: lists take it, what is for some records refuses it.
fn everything() -> Value {
    json!({"$or": [{"id.$gt": 0}, {}]})
}

/// Post 1 is root's; the others are of those who are in a scope.
async fn world(engine: TestEngine) -> World {
    let mut world = World::new(engine).await;
    let field = |name: &str, kind: &str| json!({"name": name, "type": kind});
    let posts = json!({"name": "posts", "createdBy": true, "fields": [
        field("title", "string"), field("note", "string"), field("views", "integer"),
        field("done", "boolean"), field("labels", "array"), field("day", "date"),
    ]});
    world.did("root", "POST collections:create", &posts).await;
    world.role("own", &["view:own", "create", "update:own", "destroy:own"]).await;
    let own = json!({"createdById": "{{ $user.id }}"});
    let fields = json!(["id", "title", "note", "views", "done", "labels", "day", "createdById", "createdBy"]);
    for (role, scope) in [
        ("any", json!({"$or": [own, {"title": "none"}]})),
        ("negated", json!({"$not": {"createdById.$ne": "{{ $user.id }}"}})),
    ] {
        world.role(role, &["view"]).await;
        let action = |name: &str| json!({"name": name, "fields": fields, "scope": {"scope": scope}});
        let actions = json!([action("view"), action("create"), action("update"), action("destroy")]);
        world.configure(role, "posts", actions).await;
    }
    for ((who, _), role) in SCOPED.iter().zip(["own", "any", "negated"]) {
        world.user(who, &[role]).await;
    }
    for who in ["root", "eve", "ann", "bob"] {
        world.did(who, "POST posts:create", &post(who)).await;
    }
    world
}

fn post(who: &str) -> Value {
    json!({"title": format!("{who}'s"), "views": 1, "done": false, "labels": [], "day": "2026-01-01T00:00:00Z"})
}

#[apply(on_every_engine)]
#[tokio::test]
async fn no_filter_shows_what_a_scope_does_not(engine: TestEngine) {
    let world = world(engine).await;
    let mut wrong = Vec::new();
    for (who, own, filter) in each() {
        let listed = world.ask(who, &format!("GET posts:list?filter={filter}"), &NONE).await;
        if listed.ids() != [own] || listed.at("meta.count") != json!(1) {
            wrong.push(format!("{who} lists {filter}: {}", listed.text));
        }
        let got = world.ask(who, &format!("GET posts:get?filter={filter}"), &NONE).await;
        let is_one = got.at("data.id") == json!(own) || filter == everything() && got.status == 400;
        if !is_one {
            wrong.push(format!("{who} gets {filter}: {}", got.text));
        }
        let most =
            json!({"measures": [{"field": ["id"], "aggregation": "count", "alias": "n"}], "filter": filter});
        let summed = world.ask(who, "POST posts:query", &most).await;
        if summed.at("data.0.n") != json!(1) {
            wrong.push(format!("{who} counts {filter}: {}", summed.text));
        }
    }
    for (who, own) in SCOPED {
        for keys in [json!([1, null]), json!([1, own]), json!(["1", null, own])] {
            let got = world.ask(who, &format!("GET posts:get?filterByTk={keys}"), &NONE).await;
            if got.at("data.id") == json!(1) {
                wrong.push(format!("{who} gets {keys}: {}", got.text));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[apply(on_every_engine)]
#[tokio::test]
async fn no_filter_changes_what_a_scope_does_not(engine: TestEngine) {
    let world = world(engine).await;
    let mut wrong = Vec::new();
    for (who, own, filter) in each().filter(|(_, _, filter)| *filter != everything()) {
        world.did(who, &format!("POST posts:update?filter={filter}"), &json!({"views": 7})).await;
        let changed = world.did("root", "GET posts:list?filter={\"views\":7}", &NONE).await;
        if changed.ids() != [own] {
            wrong.push(format!("{who} updates {filter}: {}", changed.text));
        }
        world.did("root", "POST posts:update?filter={\"id.$gt\":0}", &json!({"views": 1})).await;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[apply(on_every_engine)]
#[tokio::test]
async fn no_filter_removes_what_a_scope_does_not(engine: TestEngine) {
    let world = world(engine).await;
    let mut wrong = Vec::new();
    for (who, _, filter) in each().filter(|(_, _, filter)| *filter != everything()) {
        let removed = world.did(who, &format!("POST posts:destroy?filter={filter}"), &NONE).await;
        let left = world.did("root", "GET posts:list", &NONE).await.at("meta.count");
        if left != json!(3) {
            wrong.push(format!("{who} removes {filter}: {}, {left} left", removed.text));
            break;
        }
        world.did(who, "POST posts:create", &post(who)).await;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[apply(on_every_engine)]
#[tokio::test]
async fn a_filter_that_means_everything_changes_nothing(engine: TestEngine) {
    let world = world(engine).await;
    for (who, _) in SCOPED {
        for action in ["update", "destroy"] {
            let line = format!("POST posts:{action}?filter={}", everything());
            let answer = world.ask(who, &line, &json!({"views": 7})).await;
            assert_eq!(answer.status, 400, "{who}: {line}: {}", answer.text);
        }
    }
    let changed = world.did("root", "GET posts:list?filter={\"views\":7}", &NONE).await;
    assert_eq!(changed.at("meta.count"), json!(0));
}

#[apply(on_every_engine)]
#[tokio::test]
async fn a_filter_looks_behind_an_association_at_what_is_open_alone(engine: TestEngine) {
    let world = world(engine).await;
    let of = |name: &str| format!("{{\"createdBy.username\":\"{name}\"}}");
    let (eve, ann) = (of("eve"), of("ann"));
    let views = |views: i64| json!({"views": views});
    world
        .go_through(&[
            // Of users, eve sees those alone whom she made, and nobody made her. Ann sees all.
            ("eve", &format!("GET posts:list?filter={eve}"), NONE, 200, "meta.count", json!(0)),
            ("eve", &format!("POST posts:update?filter={eve}"), views(7), 200, "data", json!([])),
            ("eve", &format!("POST posts:destroy?filter={eve}"), NONE, 200, "data", json!(0)),
            ("ann", &format!("GET posts:list?filter={ann}"), NONE, 200, "meta.count", json!(1)),
            ("ann", &format!("POST posts:update?filter={ann}"), views(7), 200, "data.0.views", json!(7)),
            ("ann", &format!("POST posts:update?filter={eve}"), views(8), 200, "data", json!([])),
            ("ann", &format!("POST posts:destroy?filter={ann}"), NONE, 200, "data", json!(1)),
        ])
        .await;
}

#[apply(on_every_engine)]
#[tokio::test]
async fn a_scope_behind_an_association_is_of_the_record_itself(engine: TestEngine) {
    let mut world = World::new(engine).await;
    let field = |name: &str| json!({"name": name, "type": "string"});
    // Named by what need not be its own.
    let posts =
        json!({"name": "posts", "createdBy": true, "filterTargetKey": "slug", "fields": [field("slug")]});
    world.did("root", "POST collections:create", &posts).await;
    world.role("namesake", &["view", "create"]).await;
    let scope = json!({"scope": {"createdBy.username": "eve"}});
    let action = |name: &str| json!({"name": name, "fields": ["id", "slug", "createdBy"], "scope": scope});
    let actions = json!([action("view"), action("create"), action("update"), action("destroy")]);
    world.configure("namesake", "posts", actions).await;
    world.user("eve", &["namesake"]).await;
    for who in ["root", "eve"] {
        world.did(who, "POST posts:create", &json!({"slug": "plan"})).await;
    }
    world.did("eve", "POST posts:create", &json!({"slug": null})).await;
    let sorted = "GET posts:list?sort=createdBy.username,id";
    world
        .go_through(&[
            ("eve", "GET posts:list", NONE, 200, "meta.count", json!(2)),
            ("eve", sorted, NONE, 200, "data.1.id", json!(3)),
            (
                "eve",
                "POST posts:update?filter={\"id.$gt\":0}",
                json!({"slug": "hers"}),
                200,
                "data.1.id",
                json!(3),
            ),
            ("root", "GET posts:list?filter={\"slug\":\"plan\"}", NONE, 200, "data.0.id", json!(1)),
            ("eve", "POST posts:destroy?filter={\"id.$gt\":0}", NONE, 200, "data", json!(2)),
            ("root", "GET posts:list", NONE, 200, "meta.count", json!(1)),
        ])
        .await;
}

#[apply(on_every_engine)]
#[tokio::test]
async fn what_has_no_key_is_removed_by_what_is_open_alone(engine: TestEngine) {
    let mut world = World::new(engine).await;
    let logs = json!({"name": "logs", "createdBy": true, "autoGenId": false, "filterTargetKey": "code", "fields": [
        {"name": "code", "type": "string", "unique": true}, {"name": "text", "type": "string"}]});
    world.did("root", "POST collections:create", &logs).await;
    world.role("own", &["view:own", "create", "destroy:own"]).await;
    world.user("eve", &["own"]).await;
    for (who, code) in [("root", "a"), ("eve", "b"), ("eve", "c")] {
        world.did(who, "POST logs:create", &json!({"code": code, "text": "line"})).await;
    }
    // Of users, eve sees those alone whom she made. (MySQL looks at no table that it removes from.)
    let seen = "POST logs:destroy?filter={\"createdBy.username.$includes\":\"e\"}";
    world.ask("eve", seen, &NONE).await;
    let left = "GET logs:list?sort=code&fields=code";
    world
        .go_through(&[
            ("root", left, NONE, 200, "meta.count", json!(3)),
            (
                "eve",
                "POST logs:destroy?filter={\"$or\":[{\"text\":\"line\"},{\"code\":\"a\"}]}",
                NONE,
                200,
                "",
                NONE,
            ),
            ("root", left, NONE, 200, "data", json!([{"code": "a"}])),
        ])
        .await;
}

#[apply(on_every_engine)]
#[tokio::test]
async fn what_has_no_key_is_changed_where_it_is_open_and_shown_to_those_who_may_see_it(engine: TestEngine) {
    let mut world = World::new(engine).await;
    let notes = json!({"name": "notes", "createdBy": true, "autoGenId": false, "fields": [
        {"name": "text", "type": "string"}, {"name": "stars", "type": "integer"}]});
    world.did("root", "POST collections:create", &notes).await;
    world.role("blind", &["view:own", "create", "update"]).await;
    world.role("own", &["view:own", "create", "update:own"]).await;
    world.user("eve", &["blind"]).await;
    world.user("ann", &["own"]).await;
    for who in ["root", "eve", "ann"] {
        world.did(who, "POST notes:create", &json!({"text": format!("of {who}"), "stars": 1})).await;
    }
    let stars = |number: i64| json!({"stars": number});
    let all = "POST notes:update?filter={\"stars\":1}";
    let left = "GET notes:list?sort=text&fields=stars";
    let any = "POST notes:update?filter={\"$or\":[{\"stars\":1},{\"stars\":2}]}";
    world
        .go_through(&[
            ("ann", any, stars(2), 200, "data.0.text", json!("of ann")),
            ("ann", any, stars(2), 200, "data.1", NONE),
            ("root", left, NONE, 200, "data", json!([{"stars": 2}, {"stars": 1}, {"stars": 1}])),
            ("eve", all, json!({}), 200, "data.0.text", json!("of eve")),
            ("eve", all, json!({}), 200, "data.1", NONE),
            ("eve", all, stars(3), 200, "data.0.stars", json!(3)),
            ("eve", all, stars(4), 200, "data", json!([])),
            ("root", left, NONE, 200, "data", json!([{"stars": 2}, {"stars": 3}, {"stars": 3}])),
        ])
        .await;
}

#[apply(on_every_engine)]
#[tokio::test]
async fn to_nothing_belongs_nothing(engine: TestEngine) {
    let world = World::new(engine).await;
    let text = |name: &str| json!({"name": name, "type": "string"});
    let comments = json!({"name": "comments", "fields": [text("body"), text("postCode")]});
    world.did("root", "POST collections:create", &comments).await;
    let people = json!({"name": "people", "fields": [text("name"), text("code")]});
    world.did("root", "POST collections:create", &people).await;
    let posts = json!({"name": "posts", "fields": [text("code"), text("authorCode"),
        {"name": "comments", "type": "hasMany", "target": "comments", "sourceKey": "code", "foreignKey": "postCode"},
        {"name": "author", "type": "belongsTo", "target": "people", "targetKey": "code", "foreignKey": "authorCode"}]});
    world.did("root", "POST collections:create", &posts).await;
    world.did("root", "POST posts:create", &json!({"code": null})).await;
    world.did("root", "POST comments:create", &json!({"body": "of nothing"})).await;
    world.did("root", "POST people:create", &json!({"name": "nobody's"})).await;
    for line in [
        "POST posts/1/comments:update?filter={\"id.$gt\":0}",
        "POST posts/1/comments:destroy?filter={\"id.$gt\":0}",
        "POST posts/1/author:update",
        "POST posts/1/author:destroy",
    ] {
        let body = if line.contains(":update") { json!({"body": "x", "name": "x"}) } else { NONE };
        world.ask("root", line, &body).await;
    }
    world
        .go_through(&[
            ("root", "GET comments:list", NONE, 200, "data.0.body", json!("of nothing")),
            ("root", "GET people:list", NONE, 200, "data.0.name", json!("nobody's")),
        ])
        .await;
}

#[apply(on_every_engine)]
#[tokio::test]
async fn a_link_holds_no_more_than_its_collection_opens(engine: TestEngine) {
    let mut world = World::new(engine).await;
    let text = |name: &str| json!({"name": name, "type": "string"});
    let tags = json!({"name": "tags", "fields": [text("name")]});
    world.did("root", "POST collections:create", &tags).await;
    let posts = json!({"name": "posts", "createdBy": true, "fields": [text("title"),
        {"name": "tags", "type": "belongsToMany", "target": "tags", "through": "postsTags",
            "foreignKey": "postId", "otherKey": "tagId"}]});
    world.did("root", "POST collections:create", &posts).await;
    world.did("root", "POST collections/postsTags/fields:create", &text("approved")).await;
    world.did("root", "POST tags:create", &json!([{"name": "a"}, {"name": "b"}])).await;
    world.role("writer", &["view"]).await;
    let fields = json!(["title", "tags"]);
    let action = |name: &str| json!({"name": name, "fields": fields});
    world.configure("writer", "posts", json!([action("view"), action("create"), action("update")])).await;
    world.user("eve", &["writer"]).await;
    world.did("eve", "POST posts:create", &json!({"title": "hers"})).await;
    let link = |tag: i64, approved: &str| json!([[tag, {"approved": approved}]]);
    let approved = |tag: i64| format!("GET postsTags:list?filter={{\"tagId\":{tag}}}&fields=approved");
    world
        .go_through(&[
            ("root", "POST posts/1/tags:add", link(1, "root"), 200, "", NONE),
            ("eve", "POST posts/1/tags:add", link(1, "eve"), 200, "", NONE),
            ("root", &approved(1), NONE, 200, "data.0.approved", json!("root")),
            ("eve", "POST posts/1/tags:add", link(2, "eve"), 200, "", NONE),
            ("root", &approved(2), NONE, 200, "data.0.approved", NONE),
            ("root", "POST posts/1/tags:add", link(2, "root"), 200, "", NONE),
            ("root", &approved(2), NONE, 200, "data.0.approved", json!("root")),
        ])
        .await;
    // Whoever may make links with values may change them, while nobody knows who made them.
    world.role("linker", &["view", "create", "update:own"]).await;
    world.user("ann", &["linker"]).await;
    world.did("ann", "POST posts:create", &json!({"title": "ann's"})).await;
    let creator =
        json!({"name": "createdBy", "type": "belongsTo", "target": "users", "foreignKey": "createdById"});
    let forged = json!([[1, {"approved": "forged", "createdBy": {"username": "made", "roles": ["admin"]}}]]);
    let of_ann = "GET postsTags:list?filter={\"postId\":2}&fields=approved";
    world
        .go_through(&[
            ("ann", "POST posts/2/tags:add", link(1, "ann"), 200, "", NONE),
            ("root", of_ann, NONE, 200, "data.0.approved", json!("ann")),
            ("ann", "POST posts/2/tags:add", link(1, "ann, again"), 200, "", NONE),
            ("root", of_ann, NONE, 200, "data.0.approved", json!("ann, again")),
            ("root", "POST collections/postsTags/fields:create", creator, 200, "", NONE),
            ("ann", "POST posts/2/tags:add", link(1, "not hers"), 200, "", NONE),
            ("root", of_ann, NONE, 200, "data.0.approved", json!("ann, again")),
            ("ann", "POST posts/2/tags:remove", json!([1]), 200, "", NONE),
            ("ann", "POST posts/2/tags:add", forged, 200, "", NONE),
            ("root", of_ann, NONE, 200, "data.0.approved", json!("forged")),
            ("root", "GET users:list?filter={\"username\":\"made\"}", NONE, 200, "meta.count", json!(0)),
        ])
        .await;
}

#[apply(on_every_engine)]
#[tokio::test]
async fn a_record_that_leaves_a_scope_is_not_shown(engine: TestEngine) {
    let mut world = World::new(engine).await;
    let posts = json!({"name": "posts", "fields": [{"name": "title", "type": "string"},
        {"name": "author", "type": "belongsTo", "target": "users", "foreignKey": "authorId"}]});
    world.did("root", "POST collections:create", &posts).await;
    world.role("author", &["view"]).await;
    let scope = json!({"scope": {"author": "{{ $user.id }}"}});
    let action =
        |name: &str| json!({"name": name, "fields": ["title", "author", "authorId"], "scope": scope});
    world.configure("author", "posts", json!([action("view"), action("update")])).await;
    let eve = world.user("eve", &["author"]).await;
    for author in [1, eve, eve] {
        world.did("root", "POST posts:create", &json!({"title": "post", "authorId": author})).await;
    }
    let all = "POST posts:update?filter={\"title\":\"post\"}";
    world
        .go_through(&[
            ("eve", "GET posts:list", NONE, 200, "meta.count", json!(2)),
            ("eve", all, json!({"title": "post"}), 200, "data.1.id", json!(3)),
            ("eve", "POST posts:update?filterByTk=2", json!({"authorId": 1}), 200, "data", json!([])),
            ("eve", "GET posts:list", NONE, 200, "data.0.id", json!(3)),
        ])
        .await;
}

#[apply(on_every_engine)]
#[tokio::test]
async fn a_link_without_a_key_is_changed_by_what_it_links(engine: TestEngine) {
    let world = World::new(engine).await;
    let field = |name: &str, kind: &str| json!({"name": name, "type": kind});
    for name in ["tags", "posts"] {
        let fields = json!([field("name", "string")]);
        world.did("root", "POST collections:create", &json!({"name": name, "fields": fields})).await;
        world.did("root", &format!("POST {name}:create"), &json!([{"name": "a"}, {"name": "b"}])).await;
    }
    let links = json!({"name": "links", "autoGenId": false, "fields": [
        field("postId", "bigInt"), field("tagId", "bigInt"), field("note", "string")]});
    world.did("root", "POST collections:create", &links).await;
    let tags = json!({"name": "tags", "type": "belongsToMany", "target": "tags", "through": "links",
        "foreignKey": "postId", "otherKey": "tagId"});
    world.did("root", "POST collections/posts/fields:create", &tags).await;
    let noted = |note: &str| json!([[1, {"note": note}]]);
    let notes = "GET links:list?fields=postId,note&sort=postId";
    world
        .go_through(&[
            ("root", "POST posts/1/tags:add", noted("first"), 200, "", NONE),
            ("root", "POST posts/2/tags:add", noted("other"), 200, "", NONE),
            ("root", "POST posts/1/tags:add", noted("second"), 200, "", NONE),
            ("root", notes, NONE, 200, "data.0.note", json!("second")),
            ("root", notes, NONE, 200, "data.1.note", json!("other")),
        ])
        .await;
}
