//! Permissions written as an administrator writes them, and the decisions that follow.

use std::sync::Arc;

use macro_rules_attribute::apply;
use serde_json::{Value as Json, json};

use super::*;
use crate::app::acl::policy::Policy;
use crate::app::acl::{Acl, MAIN_DATA_SOURCE, Permission};
use crate::app::json::object as record;
use crate::app::system::{
    DATA_SOURCES, DATA_SOURCES_ROLES, DATA_SOURCES_ROLES_RESOURCES, DATA_SOURCES_ROLES_RESOURCES_ACTIONS,
    DATA_SOURCES_ROLES_RESOURCES_SCOPES, ROLES, ROLES_USERS,
};
use crate::app::test_place::Place;
use crate::data::{Collection, Filter, Query, Transaction};
use crate::test_servers::{TestEngine, on_every_engine};

fn policy() -> Arc<Policy> {
    Arc::clone(crate::app::resources::registry().policy())
}

/// An application with the roles it begins with, and `editor`.
struct Written {
    place: Place,
}

impl Written {
    async fn new(engine: TestEngine) -> Self {
        let written = Self { place: Place::installed(engine).await };
        let mut transaction = written.begin().await;
        let editor = json!({"name": "editor", "strategy": {"actions": ["view", "create", "update:own"]}});
        transaction.system().insert(&ROLES, record(editor)).await.unwrap();
        role_saved(&mut transaction, "editor").await.unwrap();
        transaction.commit().await.unwrap();
        written
    }

    async fn begin(&self) -> Transaction {
        self.place.source.begin().await.unwrap()
    }

    async fn acl(&self) -> Acl {
        Acl::load(&policy(), &self.place.source, MAIN_DATA_SOURCE).await.unwrap()
    }

    async fn ask(&self, role: &str, resource: &str, action: &str) -> Option<Permission> {
        self.acl().await.permission(&[role], resource, action)
    }

    async fn configure(&self, role: &str, body: Json) -> Result<Json, StoreError> {
        let mut transaction = self.begin().await;
        let created = create_resource(&mut transaction, &policy(), MAIN_DATA_SOURCE, role, &body).await?;
        transaction.commit().await.unwrap();
        Ok(created)
    }

    async fn count(&self, collection: &Collection) -> u64 {
        self.place.source.count(collection, &Filter::All).await.unwrap()
    }

    async fn built_in_scope(&self, key: &str) -> i64 {
        let scopes = list_scopes(&self.place.source, Filter::eq("key", key)).await.unwrap();
        scopes[0]["id"].as_i64().unwrap()
    }
}

/// In a transaction of its own that is committed; gives what the call gave.
macro_rules! write {
    ($written:expr, $function:ident($($argument:expr),*)) => {{
        let mut transaction = $written.begin().await;
        let given = $function(&mut transaction, $($argument),*).await;
        if given.is_ok() {
            transaction.commit().await.unwrap();
        }
        given
    }};
}

fn fields(permission: &Permission) -> Option<Vec<&str>> {
    permission.fields.as_ref().map(|fields| fields.iter().map(String::as_str).collect())
}

fn sentence<T: std::fmt::Debug>(result: Result<T, StoreError>) -> String {
    result.unwrap_err().to_string()
}

fn of(name: &str) -> Located<'_> {
    Located::Collection { data_source: MAIN_DATA_SOURCE, name }
}

#[apply(on_every_engine)]
#[tokio::test]
async fn the_first_roles_decide_as_they_are_installed(engine: TestEngine) {
    let written = Written::new(engine).await;
    let acl = written.acl().await;
    let may = |role: &str, resource: &str, action: &str| acl.permission(&[role], resource, action).is_some();
    assert!(may("root", "posts", "destroy") && may("root", "app", "restart"));
    assert!(may("admin", "posts", "destroy") && may("admin", "roles", "create"));
    assert!(may("member", "posts", "list") && !may("member", "roles", "create"));
    assert!(may("editor", "posts", "create") && !may("editor", "posts", "destroy"));
    assert!(acl.role("admin").unwrap().definition.allow_configure);
}

#[apply(on_every_engine)]
#[tokio::test]
async fn a_configuration_takes_the_place_of_the_strategy(engine: TestEngine) {
    let written = Written::new(engine).await;
    let body = json!({"name": "tags", "usingActionsConfig": true, "actions": [
        {"name": "view", "fields": ["id"]}, {"name": "create", "fields": ["name", "name"]},
    ]});
    let created = written.configure("editor", body).await.unwrap();
    assert_eq!((&created["dataSourceKey"], &created["roleName"]), (&json!("main"), &json!("editor")));
    assert_eq!(created["actions"][1]["fields"], json!(["name"]));
    assert!(created["createdAt"].is_string() && created["id"].is_i64());
    let view = written.ask("editor", "tags", "list").await.unwrap();
    assert_eq!(fields(&view), Some(vec!["id"]));
    assert!(written.ask("editor", "tags", "create").await.is_some());
    assert!(written.ask("editor", "tags", "update").await.is_none());
    assert!(written.ask("editor", "posts", "update").await.is_some());
    assert!(written.ask("member", "tags", "list").await.unwrap().fields.is_none());

    // Written again, it is another one.
    let body = json!({"name": "tags", "usingActionsConfig": true, "actions": []});
    written.configure("editor", body).await.unwrap();
    assert!(written.ask("editor", "tags", "list").await.is_none());
    assert_eq!(written.count(&DATA_SOURCES_ROLES_RESOURCES).await, 1);
    assert_eq!(written.count(&DATA_SOURCES_ROLES_RESOURCES_ACTIONS).await, 0);

    let off = json!({"usingActionsConfig": false});
    let updated = write!(written, update_resource("editor", of("tags"), &off)).unwrap();
    assert_eq!((&updated[0]["usingActionsConfig"], &updated[0]["actions"]), (&json!(false), &json!([])));
    assert!(written.ask("editor", "tags", "list").await.unwrap().fields.is_none());
}

#[apply(on_every_engine)]
#[tokio::test]
async fn resources_are_read_changed_and_removed(engine: TestEngine) {
    let written = Written::new(engine).await;
    let source = &written.place.source;
    let own = written.built_in_scope("own").await;
    let body = json!({"name": "posts", "usingActionsConfig": true, "actions": [
        {"name": "view", "fields": ["title"], "scopeId": own}, {"name": "destroy", "scope": {"key": "own"}},
    ]});
    let id = written.configure("editor", body).await.unwrap()["id"].as_i64().unwrap();
    written.configure("editor", json!({"name": "tags"})).await.unwrap();

    let bare = get_resource(source, "editor", Located::Id(id), &[]).await.unwrap().unwrap();
    assert_eq!((&bare["name"], bare.get("actions")), (&json!("posts"), None));
    let full =
        get_resource(source, "editor", of("posts"), &["actions", "actions.scope"]).await.unwrap().unwrap();
    assert_eq!(full["actions"].as_array().unwrap().len(), 2);
    assert_eq!(full["actions"][0]["scope"]["key"], "own");
    assert_eq!(get_resource(source, "member", Located::Id(id), &[]).await.unwrap(), None);
    let listed = list_resources(source, "editor", Filter::All, &["actions"]).await.unwrap();
    let names: Vec<_> = listed.iter().filter_map(|resource| resource["name"].as_str()).collect();
    assert_eq!((names, &listed[1]["actions"]), (vec!["posts", "tags"], &json!([])));
    let view = written.ask("editor", "posts", "list").await.unwrap();
    assert_eq!(*view.scopes, [json!({"createdById": "{{ ctx.state.currentUser.id }}"})]);

    let changed = json!({"actions": [{"name": "view", "fields": ["title", "body"]}]});
    write!(written, update_resource("editor", Located::Id(id), &changed)).unwrap();
    let view = written.ask("editor", "posts", "get").await.unwrap();
    assert_eq!((fields(&view), view.scopes.len()), (Some(vec!["body", "title"]), 0));
    assert!(written.ask("editor", "posts", "destroy").await.is_none());

    assert_eq!(write!(written, destroy_resources("member", Located::Id(id))).unwrap(), 0);
    assert_eq!(write!(written, destroy_resources("editor", Located::Id(id))).unwrap(), 1);
    assert_eq!(written.count(&DATA_SOURCES_ROLES_RESOURCES_ACTIONS).await, 0);
    assert!(written.ask("editor", "posts", "update").await.is_some());
    assert_eq!(
        sentence(write!(written, update_resource("editor", Located::Id(id), &changed))),
        "the role editor has no such resource"
    );
}

#[apply(on_every_engine)]
#[tokio::test]
async fn bodies_that_do_not_fit_are_refused_with_a_sentence(engine: TestEngine) {
    let written = Written::new(engine).await;
    for (role, body, expected) in [
        ("editor", json!([]), "the body must be an object"),
        ("editor", json!({}), "name is missing: which collection?"),
        ("editor", json!({"name": 5}), "name must be a text"),
        ("editor", json!({"name": " "}), "name must be a text"),
        ("editor", json!({"name": "roles"}), "roles belongs to the management, which a role's snippets open"),
        (
            "editor",
            json!({"name": "a", "usingActionsConfig": "yes"}),
            "usingActionsConfig must be true or false",
        ),
        ("editor", json!({"name": "a", "actions": {}}), "actions must be a list"),
        ("editor", json!({"name": "a", "actions": ["view"]}), "an action must be an object"),
        ("editor", json!({"name": "a", "actions": [{}]}), "an action must have a name"),
        (
            "editor",
            json!({"name": "a", "actions": [{"name": "view"}, {"name": "view"}]}),
            "the action view is listed twice",
        ),
        (
            "editor",
            json!({"name": "a", "actions": [{"name": "view", "fields": "id"}]}),
            "fields must be a list of names",
        ),
        (
            "editor",
            json!({"name": "a", "actions": [{"name": "view", "fields": [1]}]}),
            "fields must be a list of names",
        ),
        (
            "editor",
            json!({"name": "a", "actions": [{"name": "view", "scopeId": 7}]}),
            "the data source main has no scope 7",
        ),
        (
            "editor",
            json!({"name": "a", "actions": [{"name": "view", "scopeId": "x"}]}),
            "scopeId must be a number",
        ),
        (
            "editor",
            json!({"name": "a", "actions": [{"name": "view", "scope": {"name": "x"}}]}),
            "scope must have an id, a key, or a scope: its filter",
        ),
        ("nosuch", json!({"name": "a"}), "there is no role nosuch"),
        ("root", json!({"name": "a"}), "the role root cannot be changed"),
    ] {
        assert_eq!(sentence(written.configure(role, body.clone()).await), expected, "{body}");
    }
    assert_eq!(written.count(&DATA_SOURCES_ROLES_RESOURCES).await, 0);
}

#[apply(on_every_engine)]
#[tokio::test]
async fn scopes_are_written_and_kept_while_in_use(engine: TestEngine) {
    let written = Written::new(engine).await;
    let source = &written.place.source;
    let drafts = json!({"name": "Drafts", "resourceName": "posts", "scope": {"status": "draft"}});
    let id = write!(written, create_scope(&drafts)).unwrap()["id"].as_i64().unwrap();
    let nested = json!({"name": "posts", "usingActionsConfig": true, "actions": [
        {"name": "view", "fields": ["title"], "scope": {"id": id.to_string()}},
        {"name": "update", "scope": {"name": "Old", "scope": {"year": {"$lt": 2000}}}},
    ]});
    written.configure("editor", nested).await.unwrap();
    let scope = |permission: Option<Permission>| permission.unwrap().filter();
    assert_eq!(scope(written.ask("editor", "posts", "list").await), Some(json!({"status": "draft"})));
    assert_eq!(scope(written.ask("editor", "posts", "update").await), Some(json!({"year": {"$lt": 2000}})));

    let changed = write!(written, update_scope(id, &json!({"scope": {"status": "new"}}))).unwrap();
    assert_eq!((&changed["name"], &changed["scope"]), (&json!("Drafts"), &json!({"status": "new"})));
    assert_eq!(scope(written.ask("editor", "posts", "list").await), Some(json!({"status": "new"})));
    let found = async || list_scopes(source, Filter::eq("id", id)).await.unwrap();
    assert_eq!(found().await[0]["resourceName"], "posts");

    let in_use = "the scope is in use: take it out of the roles' permissions first";
    assert_eq!(sentence(write!(written, destroy_scope(id))), in_use);
    write!(written, destroy_resources("editor", of("posts"))).unwrap();
    assert_eq!(write!(written, destroy_scope(id)).unwrap(), 1);
    assert!(found().await.is_empty());
    assert_eq!(sentence(write!(written, destroy_scope(id))), format!("there is no scope {id}"));

    for key in ["all", "own"] {
        let built_in = written.built_in_scope(key).await;
        let expected =
            format!("the scope {key} belongs to every application and cannot be changed or removed");
        assert_eq!(sentence(write!(written, destroy_scope(built_in))), expected);
        assert_eq!(sentence(write!(written, update_scope(built_in, &json!({"scope": {}})))), expected);
        assert_eq!(sentence(write!(written, create_scope(&json!({"key": key})))), expected);
    }
    let text = json!({"name": "x", "scope": "status = 'draft'"});
    assert_eq!(sentence(write!(written, create_scope(&text))), "scope must be a filter: an object");
}

#[apply(on_every_engine)]
#[tokio::test]
async fn an_action_whose_scope_is_gone_is_refused(engine: TestEngine) {
    let written = Written::new(engine).await;
    let body = json!({"name": "posts", "usingActionsConfig": true, "actions": [
        {"name": "view", "fields": ["title"], "scope": {"key": "own"}},
    ]});
    written.configure("editor", body).await.unwrap();
    written
        .place
        .source
        .system()
        .destroy(&DATA_SOURCES_ROLES_RESOURCES_SCOPES, &Filter::eq("key", "own"))
        .await
        .unwrap();
    assert!(written.ask("editor", "posts", "list").await.is_none());
}

#[apply(on_every_engine)]
#[tokio::test]
async fn a_strategy_is_written_to_both_places(engine: TestEngine) {
    let written = Written::new(engine).await;
    let source = &written.place.source;
    let body = json!({"strategy": {"actions": ["view"]}, "resources": [
        {"name": "tags", "usingActionsConfig": true, "actions": [{"name": "destroy"}]},
    ]});
    write!(written, update_strategy(&policy(), MAIN_DATA_SOURCE, "editor", &body)).unwrap();
    let stored = get_strategy(source, MAIN_DATA_SOURCE, "editor").await.unwrap();
    assert_eq!(stored["strategy"], json!({"actions": ["view"]}));
    let role = source.find_one(&ROLES, Query::filter(Filter::eq("name", "editor"))).await.unwrap().unwrap();
    assert_eq!(role["strategy"], json!({"actions": ["view"]}));
    assert!(written.ask("editor", "posts", "create").await.is_none());
    assert!(written.ask("editor", "tags", "destroy").await.is_some());

    write!(written, update_strategy(&policy(), MAIN_DATA_SOURCE, "editor", &json!({"resources": []})))
        .unwrap();
    assert!(written.ask("editor", "tags", "destroy").await.is_none());
    assert!(written.ask("editor", "posts", "list").await.is_some());

    let one = written.count(&DATA_SOURCES_ROLES).await;
    write!(written, update_strategy(&policy(), MAIN_DATA_SOURCE, "editor", &json!({"strategy": null})))
        .unwrap();
    assert!(written.ask("editor", "posts", "list").await.is_none());
    assert_eq!(written.count(&DATA_SOURCES_ROLES).await, one);
    for (data_source, role, body, expected) in [
        ("main", "root", json!({}), "the role root cannot be changed"),
        ("main", "nosuch", json!({}), "there is no role nosuch"),
        ("other", "editor", json!({}), "there is no data source other"),
        (
            "main",
            "editor",
            json!({"strategy": "view"}),
            "strategy must be an object like {\"actions\": [\"view\"]}",
        ),
        (
            "main",
            "editor",
            json!({"strategy": {"actions": [1]}}),
            "strategy.actions must be a list of actions",
        ),
        ("main", "editor", json!({"resources": {}}), "resources must be a list"),
    ] {
        let result = write!(written, update_strategy(&policy(), data_source, role, &body));
        assert_eq!(sentence(result), expected, "{body}");
    }
}

#[apply(on_every_engine)]
#[tokio::test]
async fn data_sources_are_apart(engine: TestEngine) {
    let written = Written::new(engine).await;
    let source = &written.place.source;
    source.system().insert(&DATA_SOURCES, record(json!({"key": "other"}))).await.unwrap();
    let body = json!({"name": "posts", "usingActionsConfig": true, "actions": []});
    write!(written, create_resource(&policy(), "other", "editor", &body)).unwrap();
    assert!(written.ask("editor", "posts", "list").await.is_some());
    let other = Acl::load(&policy(), source, "other").await.unwrap();
    assert_eq!(other.permission(&["editor"], "posts", "list"), None);
    assert_eq!(other.permission(&["editor"], "tags", "list"), None, "a strategy is of one data source");
    let stored = get_strategy(source, "other", "member").await.unwrap();
    assert_eq!(stored, json!({"roleName": "member", "dataSourceKey": "other", "strategy": null}));
}

#[apply(on_every_engine)]
#[tokio::test]
async fn what_belonged_to_a_role_goes_with_it(engine: TestEngine) {
    let written = Written::new(engine).await;
    let before = written.count(&DATA_SOURCES_ROLES).await;
    let links = written.count(&ROLES_USERS).await;
    let link = json!({"roleName": "editor", "userId": 1});
    written.place.source.system().insert(&ROLES_USERS, record(link)).await.unwrap();
    written.configure("editor", json!({"name": "tags", "actions": [{"name": "view"}]})).await.unwrap();
    written.configure("member", json!({"name": "tags", "actions": [{"name": "view"}]})).await.unwrap();
    write!(written, role_destroyed("editor")).unwrap();
    assert_eq!(written.count(&DATA_SOURCES_ROLES).await, before - 1);
    assert_eq!(written.count(&ROLES_USERS).await, links);
    assert_eq!(written.count(&DATA_SOURCES_ROLES_RESOURCES).await, 1);
    assert_eq!(written.count(&DATA_SOURCES_ROLES_RESOURCES_ACTIONS).await, 1);
    write!(written, collection_destroyed(MAIN_DATA_SOURCE, "tags")).unwrap();
    assert_eq!(written.count(&DATA_SOURCES_ROLES_RESOURCES_ACTIONS).await, 0);
}

#[apply(on_every_engine)]
#[tokio::test]
async fn there_is_one_default_role(engine: TestEngine) {
    let written = Written::new(engine).await;
    let source = &written.place.source;
    let editor = Filter::eq("name", "editor");
    source.system().update(&ROLES, &editor, record(json!({"default": true}))).await.unwrap();
    write!(written, role_saved("editor")).unwrap();
    let defaults = source.find(&ROLES, Query::filter(Filter::eq("default", true))).await.unwrap();
    assert_eq!(defaults.iter().map(|role| &role["name"]).collect::<Vec<_>>(), ["editor"]);
}

#[apply(on_every_engine)]
#[tokio::test]
async fn a_user_begins_with_a_role_that_it_has(engine: TestEngine) {
    let written = Written::new(engine).await;
    let source = &written.place.source;
    let begins_with = async || {
        let query = Query::filter(Filter::eq("default", true)).fields(&["roleName"]);
        let links = source.find(&ROLES_USERS, query).await.unwrap();
        links.iter().map(|link| link["roleName"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    for role in ["member", "__union__", "member", "__union__", "root", "root"] {
        let answer = write!(written, set_default_role(1, &json!({"roleName": role}))).unwrap();
        assert_eq!((answer, begins_with().await), (json!("ok"), vec![role.to_owned()]));
    }
    for (body, expected) in [
        (json!({"roleName": "editor"}), "you do not have the role editor"),
        (json!({"roleName": "anonymous"}), "you do not have the role anonymous"),
        (json!({}), "roleName is missing"),
        (json!({"roleName": ["root"]}), "roleName must be a text"),
    ] {
        assert_eq!(sentence(write!(written, set_default_role(1, &body))), expected);
    }
    assert_eq!(begins_with().await, ["root"]);
    assert!(write!(written, set_role_mode(&json!({"roleMode": "only-use-union"}))).is_ok());
    assert!(write!(written, set_role_mode(&json!({"roleMode": "all"}))).is_err());
}

#[apply(on_every_engine)]
#[tokio::test]
async fn a_list_of_collections_says_what_decides(engine: TestEngine) {
    let written = Written::new(engine).await;
    written.configure("editor", json!({"name": "tags", "usingActionsConfig": true})).await.unwrap();
    written.configure("editor", json!({"name": "notes"})).await.unwrap();
    let collections = ["posts", "tags", "notes"].map(|name| CollectionTitle { name, title: Some("T") });
    let source = &written.place.source;
    let rows = role_collections(source, MAIN_DATA_SOURCE, "editor", &collections).await.unwrap();
    let told: Vec<_> = rows.iter().map(|row| (&row["usingConfig"], &row["exists"])).collect();
    let (strategy, action) = (json!("strategy"), json!("resourceAction"));
    assert_eq!(told, [(&strategy, &json!(false)), (&action, &json!(true)), (&strategy, &json!(true))]);
    assert_eq!(
        rows[0],
        json!({
            "type": "collection", "name": "posts", "collectionName": "posts", "title": "T",
            "roleName": "editor", "usingConfig": "strategy", "exists": false,
        })
    );
}

#[apply(on_every_engine)]
#[tokio::test]
async fn fields_go_with_their_collection(engine: TestEngine) {
    let written = Written::new(engine).await;
    let body = json!({"name": "posts", "usingActionsConfig": true, "actions": [
        {"name": "view", "fields": ["title", "body"]}, {"name": "create"},
        {"name": "update", "fields": ["title", "body"]}, {"name": "destroy"},
    ]});
    written.configure("editor", body).await.unwrap();
    let reach = async |action: &str| {
        let permission = written.ask("editor", "posts", action).await;
        permission.map(|one| fields(&one).map(|names| names.join(" ")).unwrap_or("all".into()))
    };
    for (action, expected) in
        [("list", "body title"), ("create", "all"), ("update", "body title"), ("destroy", "all")]
    {
        assert_eq!(reach(action).await.as_deref(), Some(expected), "{action}");
    }
    for field in ["title", "body"] {
        write!(written, field_destroyed(MAIN_DATA_SOURCE, "posts", field)).unwrap();
    }
    assert_eq!(reach("list").await.as_deref(), Some(""));
    assert_eq!(reach("create").await.as_deref(), Some("all"));
    // Without any field left it must not become all of them.
    assert_eq!(reach("update").await, None);
}
