//! What is never in any answer, however it is asked for.

use macro_rules_attribute::apply;
use serde_json::{Map, Value, json};

use super::world::World;
use crate::app::system::{API_KEYS, AUTHENTICATORS, DATA_SOURCES, USERS};
use crate::data::{Filter, Query};
use crate::test_servers::{TestEngine, on_every_engine};

const NONE: Value = Value::Null;

/// Writes what is secret into every place for it.
async fn with_secrets(engine: TestEngine) -> (World, String) {
    let mut world = World::blog(engine).await;
    world.user("amy", &["admin"]).await;
    world.role("viewer", &["view"]).await;
    world.user("vic", &["viewer"]).await;
    let source = world.source();
    let set = |name: &str, value: Value| Map::from_iter([(name.to_owned(), value)]);
    source
        .system()
        .update(&USERS, &Filter::eq("id", 1), set("resetToken", json!("s3cret-reset")))
        .await
        .unwrap();
    let options = set("options", json!({"password": "s3cret-database"}));
    source.system().update(&DATA_SOURCES, &Filter::All, options).await.unwrap();
    let basic = Query::filter(Filter::eq("name", "basic")).fields(&["options"]);
    assert!(source.find_one(&AUTHENTICATORS, basic).await.unwrap().is_some());
    let options = set("options", json!({"clientSecret": "s3cret-client", "public": {"allowSignUp": true}}));
    source.system().update(&AUTHENTICATORS, &Filter::All, options).await.unwrap();
    let key = json!({"name": "key", "role": {"name": "root"}, "expiresIn": "1d"});
    world.did("root", "POST apiKeys:create", &key).await;
    let known = Query::default().fields(&["token"]);
    let known = world.source().find_one(&API_KEYS, known).await.unwrap().unwrap();
    let token = known["token"].as_str().unwrap().to_owned();
    (world, token)
}

/// Requests that ask for `{s}`, a secret field of the records of `{c}`, in every way.
const WAYS: [(&str, &str); 22] = [
    ("GET {c}:list", ""),
    ("GET {c}:list?fields[]={s}", ""),
    ("GET {c}:list?fields={s},id", ""),
    ("GET {c}:list?appends[]={s}", ""),
    ("GET {c}:list?sort={s}", ""),
    ("GET {c}:list?sort=-{s}&pageSize=1", ""),
    ("GET {c}:list?filter={\"{s}.$startsWith\":\"$\"}", ""),
    ("GET {c}:list?filter={\"{s}.$notEmpty\":true}", ""),
    ("GET {c}:list?filter={\"$or\":[{\"{s}\":{\"$ne\":\"x\"}}]}", ""),
    ("GET {c}:list?filter[{s}][$ne]=x", ""),
    ("GET {c}:list?except=id&paginate=false", ""),
    ("GET {c}:get?filter={\"{s}.$ne\":null}", ""),
    ("GET {c}:get?filter={\"{s}\":\"{{$user.{s}}}\"}", ""),
    ("POST {c}:query", r#"{"measures":[{"field":["{s}"],"aggregation":"max","alias":"x"}]}"#),
    ("POST {c}:query", r#"{"measures":[{"field":["{s}"],"alias":"x"}]}"#),
    ("POST {c}:query", r#"{"dimensions":[{"field":["{s}"],"alias":"x"}]}"#),
    (
        "POST {c}:query",
        r#"{"measures":[{"field":"createdAt","aggregation":"count"}],"filter":{"{s}.$ne":"x"}}"#,
    ),
    ("POST {c}:query", r#"{"dimensions":[{"field":"createdAt"}],"orders":[{"field":"{s}"}]}"#),
    ("POST {c}:firstOrCreate?filterKeys[]={s}", r#"{"{s}":"x"}"#),
    ("POST {c}:update?filter={\"{s}.$ne\":\"x\"}", "{}"),
    ("POST {c}:destroy?filter={\"{s}.$ne\":\"x\"}", ""),
    ("GET {c}:list?fields[]=*&fields[]={s}.x", ""),
];

/// Requests that ask for secrets behind associations, and by resources with rules of their own.
const BEHIND: [(&str, Value); 22] = [
    ("GET posts:list?fields[]=createdBy.password", NONE),
    ("GET posts:list?fields[]=createdBy.resetToken&appends=createdBy", NONE),
    ("GET posts:list?appends[]=createdBy.password", NONE),
    ("GET posts:list?appends[]=createdBy&appends[]=comments.createdBy&appends[]=tags", NONE),
    ("GET posts:list?fields[]=tags.pin", NONE),
    ("GET posts:list?sort=createdBy.password", NONE),
    ("GET posts:list?sort=tags.pin", NONE),
    ("GET posts:list?filter={\"createdBy.password.$startsWith\":\"$argon2\"}", NONE),
    ("GET posts:list?filter={\"createdBy\":{\"resetToken\":{\"$ne\":null}}}", NONE),
    ("GET posts:list?filter={\"comments.createdBy.resetToken.$ne\":null}", NONE),
    ("GET posts/1/createdBy:get", NONE),
    ("GET posts/1/createdBy:get?fields=password", NONE),
    ("GET posts/1/tags:list?fields=pin", NONE),
    ("GET roles/root/users:list?fields=password", NONE),
    ("GET roles/root/users:list?appends=roles.users", NONE),
    ("GET users:get?filterByTk=1&appends[]=roles&appends[]=createdBy&appends[]=updatedBy", NONE),
    ("GET auth:check", NONE),
    ("GET dataSources:get?filterByTk=main&fields=options", NONE),
    ("GET dataSources:listEnabled", NONE),
    ("GET authenticators:publicList", NONE),
    ("GET collections:listMeta", NONE),
    ("GET roles:check", NONE),
];

#[apply(on_every_engine)]
#[tokio::test]
async fn secrets_are_in_no_answer(engine: TestEngine) {
    let (world, token) = with_secrets(engine).await;
    let no_secret = |who: &str, line: &str, text: &str| {
        for secret in ["$argon2", "s3cret-", "4711", &*token] {
            assert!(!text.contains(secret), "{who}: {line} tells {secret}: {text}");
        }
    };
    let places = [
        ("users", "password"),
        ("users", "resetToken"),
        ("tags", "pin"),
        ("apiKeys", "token"),
        ("dataSources", "options"),
    ];
    for who in ["root", "amy", "vic"] {
        for (collection, secret) in places {
            for (line, body) in WAYS {
                let fill = |text: &str| text.replace("{c}", collection).replace("{s}", secret);
                let (line, body) = (fill(line), fill(body));
                let body = if body.is_empty() { NONE } else { serde_json::from_str(&body).unwrap() };
                let reply = world.ask(who, &line, &body).await;
                no_secret(who, &line, &reply.text);
                // What is to be appended and is no association is let go.
                let let_go = ["fields[]=*", "appends[]="].iter().any(|way| line.contains(way));
                let asks = line.contains(secret) && !let_go;
                let reads_it = reply.status == 200 && asks;
                // As `dataSources:get` and the like have no fields to choose, they may answer.
                assert!(!reads_it || collection == "dataSources", "{who}: {line}: {}", reply.text);
            }
        }
        for (line, body) in &BEHIND {
            no_secret(who, line, &world.ask(who, line, body).await.text);
        }
    }
    // Nothing was made, changed or removed by all that.
    assert_eq!(world.did("root", "GET users:list", &NONE).await.at("meta.count"), json!(3));
    assert_eq!(world.did("root", "GET tags:list", &NONE).await.at("meta.count"), json!(4));
}

#[apply(on_every_engine)]
#[tokio::test]
async fn secrets_are_not_told_when_they_are_written(engine: TestEngine) {
    let (world, token) = with_secrets(engine).await;
    let user = json!({"username": "zoe", "password": "pw-s3cret-1", "resetToken": "s3cret-mine"});
    let changed = json!({"password": "pw-s3cret-2", "resetToken": "s3cret-mine"});
    let nested = json!({"body": "x", "createdBy": {"id": 2, "password": "pw-s3cret-3"}});
    for (who, line, body) in [
        ("root", "POST users:create", &user),
        ("root", "POST users:create", &user),
        ("root", "POST users:update?filterByTk=2", &changed),
        ("root", "POST users:updateOrCreate?filterKeys[]=username", &user),
        ("root", "POST comments:create?updateAssociationValues=createdBy", &nested),
        ("root", "POST tags:create", &json!({"name": "x", "pin": "s3cret-pin"})),
        (
            "root",
            "POST posts:create",
            &json!({"tags": [{"pin": "s3cret-pin"}], "mainTag": {"pin": "s3cret-pin"}}),
        ),
        ("root", "POST tags:create", &json!({"pin": ["s3cret-pin"]})),
        ("root", "POST dataSources:update?filterByTk=main", &json!({"options": {"password": "s3cret-new"}})),
        ("vic", "POST users:updateProfile", &json!({"username": "vic", "resetToken": "s3cret-mine"})),
    ] {
        let reply = world.ask(who, line, body).await;
        for secret in ["$argon2", "s3cret-", &*token] {
            assert!(!reply.text.contains(secret), "{line} tells {secret}: {}", reply.text);
        }
    }
    let all = world.source().find(&USERS, Query::default().fields(&["resetToken"])).await.unwrap();
    assert!(all.iter().all(|user| user["resetToken"] != json!("s3cret-mine")));
}
