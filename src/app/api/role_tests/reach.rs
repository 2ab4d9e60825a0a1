//! Which fields and records a role reaches, whatever is asked in whatever way.

use macro_rules_attribute::apply;
use serde_json::{Value, json};

use super::world::World;
use crate::test_servers::{TestEngine, on_every_engine};

const NONE: Value = Value::Null;

/// With `eve`, who sees `title`, `comments` and `mainTag` of posts of five views and more, and the
/// `body` of comments; of tags, nothing.
async fn with_eve(engine: TestEngine) -> World {
    let mut world = World::blog(engine).await;
    world.role("reader", &[]).await;
    let scope = json!({"scope": {"views": {"$gte": 5}}});
    let fields = json!(["title", "comments", "mainTag", "tags"]);
    world.configure("reader", "posts", json!([{"name": "view", "fields": fields, "scope": scope}])).await;
    world.configure("reader", "comments", json!([{"name": "view", "fields": ["body", "post"]}])).await;
    world.user("eve", &["reader"]).await;
    world
}

#[apply(on_every_engine)]
#[tokio::test]
#[expect(clippy::too_many_lines, reason = "a table")]
async fn what_is_read_is_open(engine: TestEngine) {
    let world = with_eve(engine).await;
    let measure = |field: &str, function: &str| json!({"measures": [{"field": field, "aggregation": function, "alias": "x"}]});
    let by = |field: &str| json!({"measures": [{"field": ["id"], "aggregation": "count", "alias": "x"}], "dimensions": [{"field": [field], "alias": "y"}]});
    let one = json!({"count": 1, "page": 1, "pageSize": 20, "totalPage": 1});
    world
        .go_through(&[
            // Records: lists, counts, sums.
            ("eve", "GET posts:list", NONE, 200, "meta", one),
            ("eve", "GET posts:list?fields=id", NONE, 200, "data", json!([{"id": 2}])),
            ("eve", "GET posts:list?pageSize=1&page=2", NONE, 200, "meta.count", json!(1)),
            ("eve", "GET posts:list?paginate=false&fields=id", NONE, 200, "data", json!([{"id": 2}])),
            ("eve", "GET posts:get?filterByTk=1", NONE, 200, "data", NONE),
            ("eve", "GET posts:get?filterByTk=2&fields=title", NONE, 200, "data", json!({"title": "post 2"})),
            ("eve", "POST posts:query", measure("id", "count"), 200, "data", json!([{"x": 1}])),
            ("eve", "POST posts:query", by("title"), 200, "data", json!([{"x": 1, "y": "post 2"}])),
            // Fields: not shown ...
            (
                "eve",
                "GET posts:list?fields[]=title&fields[]=secret",
                NONE,
                200,
                "data",
                json!([{"title": "post 2"}]),
            ),
            ("eve", "GET posts:list?fields=secret", NONE, 200, "data", json!([{}])),
            ("eve", "GET posts:get?filterByTk=2", NONE, 200, "data.secret", NONE),
            ("eve", "GET posts:get?filterByTk=2", NONE, 200, "data.mainTagId", NONE),
            ("eve", "GET posts:get?filterByTk=2", NONE, 200, "data.createdById", json!(1)),
            // ... nor looked at in any other way.
            (
                "eve",
                "GET posts:list?sort=secret",
                NONE,
                403,
                "errors.0.message",
                json!("your roles do not give access to the field secret of posts"),
            ),
            ("eve", "GET posts:list?sort=-views", NONE, 403, "", NONE),
            ("eve", "GET posts:list?filter={\"secret\":\"x\"}", NONE, 403, "", NONE),
            (
                "eve",
                "GET posts:list?filter={\"$or\":[{\"title\":\"x\"},{\"views.$gt\":1}]}",
                NONE,
                403,
                "",
                NONE,
            ),
            ("eve", "GET posts:get?filter={\"$not\":{\"secret\":\"x\"}}", NONE, 403, "", NONE),
            ("eve", "POST posts:query", measure("views", "sum"), 403, "", NONE),
            ("eve", "POST posts:query", measure("secret", "max"), 403, "", NONE),
            (
                "eve",
                "POST posts:query",
                by("secret"),
                403,
                "errors.0.message",
                json!("your roles do not give access to the field secret of posts"),
            ),
            (
                "eve",
                "POST posts:query",
                json!({"measures": [{"field": "id", "aggregation": "count"}], "filter": {"secret": "x"}}),
                403,
                "",
                NONE,
            ),
            (
                "eve",
                "POST posts:query",
                json!({"dimensions": [{"field": "title"}], "orders": [{"field": "secret"}]}),
                403,
                "",
                NONE,
            ),
            // Through associations.
            ("eve", "GET comments:list?fields=body&appends=post", NONE, 200, "data.0.post", NONE),
            (
                "eve",
                "GET comments:list?filter={\"id\":2}&appends=post",
                NONE,
                200,
                "data.0.post.title",
                json!("post 2"),
            ),
            (
                "eve",
                "GET comments:list?filter={\"id\":2}&appends=post",
                NONE,
                200,
                "data.0.post.secret",
                NONE,
            ),
            (
                "eve",
                "GET comments:list?filter={\"id\":2}&fields[]=post.secret",
                NONE,
                200,
                "data.0.post",
                json!({}),
            ),
            ("eve", "GET comments:list?filter={\"post.title\":\"post 1\"}", NONE, 200, "data", json!([])),
            ("eve", "GET comments:list?filter={\"post.secret\":\"hidden 2\"}", NONE, 403, "", NONE),
            ("eve", "GET comments:list?sort=post.secret", NONE, 403, "", NONE),
            (
                "eve",
                "GET comments:list?sort=-post.title&fields=id",
                NONE,
                200,
                "data",
                json!([{"id": 2}, {"id": 1}]),
            ),
            (
                "eve",
                "POST comments:query",
                by("post.title"),
                200,
                "data",
                json!([{"x": 1, "y": null}, {"x": 1, "y": "post 2"}]),
            ),
            ("eve", "POST comments:query", measure("post.views", "sum"), 403, "", NONE),
            (
                "eve",
                "GET posts:list?appends=comments",
                NONE,
                200,
                "data.0.comments.0.body",
                json!("comment 2"),
            ),
            ("eve", "GET posts:list?appends=comments", NONE, 200, "data.0.comments.0.note", NONE),
            // What may not be viewed is not appended, though the field is listed.
            (
                "eve",
                "GET posts:list?fields=id&appends[]=tags&appends[]=mainTag",
                NONE,
                200,
                "data",
                json!([{"id": 2}]),
            ),
            ("eve", "GET posts:list?filter={\"tags.name\":\"x\"}", NONE, 403, "", NONE),
            ("eve", "GET posts:list?sort=mainTag.name", NONE, 403, "", NONE),
            // The records of one.
            (
                "eve",
                "GET posts/2/comments:list?fields=body",
                NONE,
                200,
                "data",
                json!([{"body": "comment 2"}]),
            ),
            ("eve", "GET posts/1/comments:list", NONE, 200, "meta.count", json!(0)),
            ("eve", "GET posts/1/comments:get?filterByTk=1", NONE, 200, "data", NONE),
            ("eve", "GET posts/2/tags:list", NONE, 403, "", NONE),
            ("eve", "GET comments/2/post:get?fields=id", NONE, 200, "data", json!({"id": 2})),
            ("eve", "GET comments/1/post:get", NONE, 200, "data", NONE),
            ("eve", "GET tags:list", NONE, 403, "", NONE),
            ("eve", "GET postsTags:list", NONE, 403, "", NONE),
        ])
        .await;
    // An association that is not among the fields is not opened by its target.
    world.configure("reader", "comments", json!([{"name": "view", "fields": ["body"]}])).await;
    let closed = ["GET comments/2/post:get", "GET comments:list?filter={\"post.title\":\"x\"}"];
    for line in closed {
        assert_eq!(world.ask("eve", line, &NONE).await.status, 403, "{line}");
    }
    let reply = world.did("eve", "GET comments:get?filterByTk=2&appends=post", &NONE).await;
    assert_eq!(reply.at("data.post"), NONE);
}

/// With `bob`, who may view all posts and comments, make posts with a `title` and `comments`, change
/// the `title` and `tags` of its own, and remove its own.
async fn with_bob(engine: TestEngine) -> World {
    let mut world = World::blog(engine).await;
    world.role("writer", &["view"]).await;
    let own = || json!({"key": "own"});
    let posts = json!([
        {"name": "view", "fields": ["title", "views", "comments", "tags"]},
        {"name": "create", "fields": ["title", "comments", "tags"], "scope": own()},
        {"name": "update", "fields": ["title", "tags", "comments"], "scope": own()},
        {"name": "destroy", "scope": own()},
    ]);
    world.configure("writer", "posts", posts).await;
    let comments = json!([{"name": "view", "fields": ["body"]}, {"name": "create", "fields": ["body"]},
        {"name": "update", "fields": ["body"], "scope": own()}]);
    world.configure("writer", "comments", comments).await;
    world.user("bob", &["writer"]).await;
    world
}

#[apply(on_every_engine)]
#[tokio::test]
#[expect(clippy::too_many_lines, reason = "a table")]
async fn what_is_written_is_open(engine: TestEngine) {
    let world = with_bob(engine).await;
    let title = |title: &str| json!({"title": title});
    world
        .go_through(&[
            // A scope of `create` restricts nothing; fields that may not be set are let go.
            (
                "bob",
                "POST posts:create",
                json!({"title": "bob's", "views": 99, "secret": "x", "id": 77, "createdById": 1}),
                200,
                "data.id",
                json!(3),
            ),
            (
                "root",
                "GET posts:get?filterByTk=3&fields=views,secret,createdById",
                NONE,
                200,
                "data",
                json!({"views": null, "secret": null, "createdById": 2}),
            ),
            (
                "bob",
                "POST posts:update?filterByTk=3",
                json!({"title": "new", "id": 88, "sort": 7, "secret": "x"}),
                200,
                "data.0.title",
                json!("new"),
            ),
            (
                "root",
                "GET posts:get?filterByTk=3&fields=sort,secret",
                NONE,
                200,
                "data",
                json!({"sort": 3, "secret": null}),
            ),
            // Others' records: not changed, and refused to be removed.
            ("bob", "POST posts:update?filterByTk=1", title("stolen"), 200, "data", json!([])),
            ("bob", "POST posts:update?filter={\"id.$gt\":0}", title("all mine"), 200, "data.0.id", json!(3)),
            ("root", "GET posts:get?filterByTk=1&fields=title", NONE, 200, "data.title", json!("post 1")),
            ("bob", "POST posts:destroy?filterByTk=1", NONE, 403, "", NONE),
            ("bob", "POST posts:destroy?filterByTk[]=1&filterByTk[]=3", NONE, 403, "", NONE),
            ("bob", "POST posts:destroy?filter={\"title\":\"post 1\"}", NONE, 200, "data", json!(0)),
            ("bob", "POST posts:destroy?filterByTk=999", NONE, 200, "data", json!(0)),
            ("bob", "POST posts:update?filter={\"secret\":\"hidden 1\"}", title("x"), 403, "", NONE),
            ("bob", "POST posts:destroy?filter={\"secret\":\"hidden 1\"}", NONE, 403, "", NONE),
            // Nested records: each by the permissions on its own collection.
            (
                "bob",
                "POST posts:create",
                json!({"title": "with", "comments": [{"body": "mine", "note": "x"}]}),
                200,
                "data.comments.0.body",
                json!("mine"),
            ),
            (
                "root",
                "GET comments:get?filter={\"body\":\"mine\"}&fields=note,postId",
                NONE,
                200,
                "data",
                json!({"note": null, "postId": 4}),
            ),
            ("bob", "POST posts:create", json!({"title": "x", "tags": [{"name": "new"}]}), 403, "", NONE),
            (
                "bob",
                "POST posts:update?filterByTk=3&updateAssociationValues=tags",
                json!({"tags": [{"id": 1, "name": "renamed"}]}),
                403,
                "",
                NONE,
            ),
            (
                "bob",
                "POST posts:update?filterByTk=3&updateAssociationValues=comments",
                json!({"comments": [{"id": 1, "body": "renamed"}, {"id": 3, "body": "edited"}]}),
                200,
                "",
                NONE,
            ),
            (
                "root",
                "GET comments:list?sort=id&fields=body",
                NONE,
                200,
                "data",
                json!([{"body": "comment 1"}, {"body": "comment 2"}, {"body": "edited"}]),
            ),
            // Associations.
            ("bob", "POST posts/3/tags:add", json!([1]), 200, "", NONE),
            ("bob", "POST posts/1/tags:add", json!([2]), 403, "", NONE),
            ("bob", "POST posts/3/tags:create", json!({"name": "x"}), 403, "", NONE),
            (
                "bob",
                "POST posts/3/comments:create",
                json!({"body": "more", "note": "x"}),
                200,
                "data.body",
                json!("more"),
            ),
            (
                "bob",
                "POST posts/3/comments:update?filter={\"body\":\"more\"}",
                json!({"body": "changed"}),
                200,
                "data.0.body",
                json!("changed"),
            ),
            (
                "bob",
                "POST posts/3/comments:update?filterByTk=2",
                json!({"body": "x"}),
                200,
                "data",
                json!([]),
            ),
            ("bob", "POST posts/3/comments:destroy?filterByTk=4", NONE, 403, "", NONE),
            // By some of their values.
            ("bob", "POST posts:firstOrCreate?filterKeys[]=title", title("post 1"), 200, "data.id", json!(1)),
            (
                "bob",
                "POST posts:firstOrCreate?filterKeys[]=secret",
                json!({"secret": "hidden 1"}),
                403,
                "",
                NONE,
            ),
            (
                "bob",
                "POST posts:firstOrCreate?filterKeys[]=title",
                title("fresh"),
                200,
                "data.createdById",
                json!(2),
            ),
            ("bob", "POST posts:updateOrCreate?filterKeys[]=title", title("post 1"), 200, "data", json!([])),
            (
                "bob",
                "POST posts:updateOrCreate?filterKeys[]=title",
                title("fresh"),
                200,
                "data.0.title",
                json!("fresh"),
            ),
            ("bob", "POST posts:move?sourceId=1&targetId=2", NONE, 403, "", NONE),
            ("bob", "POST posts:destroy?filterByTk=3", NONE, 200, "data", json!(1)),
            ("bob", "POST comments:destroy?filterByTk=3", NONE, 403, "", NONE),
        ])
        .await;
}

#[apply(on_every_engine)]
#[tokio::test]
async fn who_sees_nothing_may_still_change_what_is_named(engine: TestEngine) {
    let mut world = World::blog(engine).await;
    world.role("clerk", &["create", "update", "destroy"]).await;
    world.user("carl", &["clerk"]).await;
    world.role("maker", &["create:own", "destroy:own"]).await;
    world.user("mia", &["maker"]).await;
    world
        .go_through(&[
            ("carl", "GET posts:list", NONE, 403, "", NONE),
            ("carl", "POST posts:create", json!({"title": "x"}), 200, "data", json!({"id": 3})),
            (
                "carl",
                "POST posts:update?filterByTk=1",
                json!({"title": "x"}),
                200,
                "data",
                json!([{"id": 1}]),
            ),
            ("carl", "POST posts:update?filter={\"title\":\"x\"}", json!({"title": "y"}), 403, "", NONE),
            ("carl", "POST posts:destroy?filter={\"title.$startsWith\":\"p\"}", NONE, 403, "", NONE),
            ("carl", "POST posts:destroy?filterByTk=1", NONE, 200, "data", json!(1)),
            ("carl", "POST posts:firstOrCreate?filterKeys=title", json!({"title": "x"}), 403, "", NONE),
            // What it does not see, it neither links nor unlinks.
            ("carl", "POST posts:update?filterByTk=2", json!({"tags": [], "comments": []}), 200, "", NONE),
            ("carl", "POST posts/2/tags:set", json!([]), 200, "", NONE),
            ("carl", "POST posts/2/tags:remove?filterByTk=3", NONE, 403, "", NONE),
            ("carl", "POST posts/2/comments:set", json!([]), 200, "", NONE),
            ("root", "GET posts/2/tags:list", NONE, 200, "meta.count", json!(1)),
            ("root", "GET posts/2/comments:list", NONE, 200, "meta.count", json!(1)),
            // A collection that knows nobody's own: only what is new is open.
            ("mia", "POST postsTags:create", json!({"postId": 2, "tagId": 1}), 200, "", NONE),
            ("mia", "POST postsTags:destroy?filter={\"postId\":2}", NONE, 403, "", NONE),
            ("mia", "POST posts:create", json!({"title": "mia's"}), 200, "data.id", json!(4)),
            ("mia", "POST posts:destroy?filterByTk=2", NONE, 403, "", NONE),
            ("mia", "POST posts:destroy?filterByTk=4", NONE, 200, "data", json!(1)),
        ])
        .await;
}

#[apply(on_every_engine)]
#[tokio::test]
async fn a_role_sees_of_links_what_it_may(engine: TestEngine) {
    let mut world = World::blog(engine).await;
    world.role("seer", &[]).await;
    world
        .configure(
            "seer",
            "posts",
            json!([{"name": "view", "fields": ["title", "tags"]}, {"name": "update", "fields": ["tags"]}]),
        )
        .await;
    let scope = json!({"scope": {"name.$ne": "tag 1"}});
    world.configure("seer", "tags", json!([{"name": "view", "fields": ["name"], "scope": scope}])).await;
    world.user("sam", &["seer"]).await;
    world.did("root", "POST posts/1/tags:add", &json!([3])).await;
    let tags = "GET posts/1/tags:list?fields=id&sort=id";
    world
        .go_through(&[
            ("sam", tags, NONE, 200, "meta.count", json!(1)),
            (
                "sam",
                "GET posts:get?filterByTk=1&fields=id&appends=tags",
                NONE,
                200,
                "data.tags.0.postsTags",
                json!({"postId": 1, "tagId": 3}),
            ),
            ("sam", "GET posts/1/tags:list", NONE, 200, "data.0.postsTags", json!({"postId": 1, "tagId": 3})),
            // Another tag takes the place of what it sees; what it does not see stays.
            ("sam", "POST posts/1/tags:set", json!([4]), 200, "", NONE),
            ("sam", "POST posts/1/tags:add", json!([2]), 403, "", NONE),
            ("sam", "POST posts/1/tags:remove?filterByTk=2", NONE, 403, "", NONE),
            (
                "root",
                "GET posts/1/tags:list?fields=id&sort=id&except=postsTags",
                NONE,
                200,
                "meta.count",
                json!(2),
            ),
        ])
        .await;
    let ids = world.did("root", tags, &NONE).await.ids();
    assert_eq!(ids, [2, 4]);
}
