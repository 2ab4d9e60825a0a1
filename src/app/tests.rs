//! An application as a whole: installing, opening, its version.

use macro_rules_attribute::apply;
use serde_json::{Value, json};

use super::*;
use crate::app::test_place::{PASSWORD, Place, wanted};
use crate::data::{Filter, Query, Record, Sort};
use crate::test_servers::{TestEngine, on_every_engine};

#[apply(on_every_engine)]
#[tokio::test]
async fn installing_makes_all_of_it_once(engine: TestEngine) {
    let place = Place::installed(engine).await;
    let other = Install { title: "Other".into(), ..wanted() };
    install(&place.source, &other).await.unwrap();
    let count = async |collection| place.source.count(collection, &Filter::All).await.unwrap();
    assert_eq!(count(&system::USERS).await, 1);
    assert_eq!(count(&system::ROLES).await, 3);
    assert_eq!(count(&system::ROLES_USERS).await, 3);
    assert_eq!(count(&system::VERSION).await, 1);
    let app = place.open().await.unwrap();
    assert_eq!(&*app.title(), "Sales");
    assert_eq!(app.name(), "crm");
    let changes = Record::from_iter([("title".to_owned(), "New".into())]);
    app.source().system().update(&system::SYSTEM_SETTINGS, &Filter::All, changes).await.unwrap();
    app.state.reload_settings().await.unwrap();
    assert_eq!(&*app.title(), "New");
    assert_eq!(&*place.open().await.unwrap().title(), "New");
}

#[apply(on_every_engine)]
#[tokio::test]
async fn an_application_begins_with_what_nocobase_begins_with(engine: TestEngine) {
    let place = Place::installed(engine).await;
    let all = async |collection: &crate::data::Collection, fields: &[&str]| -> Vec<Record> {
        let key = collection.primary_key().next().unwrap().name().to_owned();
        let query = Query::default().sort(Sort::ascending(key)).fields(fields);
        place.source.find(collection, query).await.unwrap()
    };
    let expect = |found: Vec<Record>, expected: Value| assert_eq!(json!(found), expected);
    expect(
        all(&system::DATA_SOURCES, &["key", "type", "options", "enabled", "fixed"]).await,
        json!([{"key": "main", "type": "main", "options": {}, "enabled": true, "fixed": false}]),
    );
    expect(
        all(&system::AUTHENTICATORS, &["name", "authType", "enabled", "options"]).await,
        json!([{
            "name": "basic", "authType": "Email/Password", "enabled": true,
            "options": {"public": {"allowSignUp": true}},
        }]),
    );
    let policy =
        json!({"tokenExpirationTime": "1d", "sessionExpirationTime": "7d", "expiredTokenRenewLimit": "1d"});
    expect(
        all(&system::TOKEN_CONTROL_CONFIG, &["key", "config"]).await,
        json!([{"key": "token-policy-config", "config": policy}]),
    );
    let (root, admin, member) =
        (json!(null), json!(["create", "view", "update", "destroy"]), json!(["view:own"]));
    for role in all(&system::ROLES, &["name", "strategy", "snippets"]).await {
        let actions = match role["name"].as_str().unwrap() {
            "root" => &root,
            "admin" => &admin,
            _ => &member,
        };
        assert_eq!(role["strategy"]["actions"], *actions);
        assert_eq!(role["snippets"].as_array().unwrap().len(), 3);
    }
    let mut strategies = all(&system::DATA_SOURCES_ROLES, &["roleName", "dataSourceKey", "strategy"]).await;
    strategies.sort_by_key(|role| role["roleName"].to_string());
    expect(
        strategies,
        json!([
            {"roleName": "admin", "dataSourceKey": "main", "strategy": {"actions": admin}},
            {"roleName": "member", "dataSourceKey": "main", "strategy": {"actions": member}},
        ]),
    );
    expect(
        all(&system::DATA_SOURCES_ROLES_RESOURCES_SCOPES, &["key", "dataSourceKey", "scope"]).await,
        json!([
            {"key": "all", "dataSourceKey": "main", "scope": {}},
            {"key": "own", "dataSourceKey": "main", "scope": {"createdById": "{{ ctx.state.currentUser.id }}"}},
        ]),
    );
}

#[apply(on_every_engine)]
#[tokio::test]
async fn uninstalling_leaves_no_table(engine: TestEngine) {
    let place = Place::installed(engine).await;
    assert_eq!(uninstall(&place.source).await.unwrap(), resources::collections().count());
    for collection in resources::collections() {
        assert!(!place.source.has_table(collection).await.unwrap(), "{}", collection.name());
    }
    assert_eq!(uninstall(&place.source).await.unwrap(), 0);
    install(&place.source, &wanted()).await.unwrap();
    place.open().await.unwrap();
}

#[apply(on_every_engine)]
#[tokio::test]
async fn the_password_is_stored_as_a_hash_only(engine: TestEngine) {
    let place = Place::installed(engine).await;
    let query = Query::default().fields(&["password"]);
    let user = place.source.find_one(&system::USERS, query).await.unwrap().unwrap();
    assert!(user["password"].as_str().unwrap().starts_with("$argon2id$"));
    place.source.database().close().await;
    // Where it is a file, whatever is in it.
    for file in std::fs::read_dir(place.folder()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        assert!(!bytes.windows(PASSWORD.len()).any(|part| part == PASSWORD.as_bytes()));
    }
}

#[apply(on_every_engine)]
#[tokio::test]
async fn only_an_application_of_a_known_version_is_opened(engine: TestEngine) {
    let place = Place::empty(engine).await;
    assert!(
        matches!(place.open().await, Err(AppError::Invalid(said)) if said.contains(&place.location().to_string()))
    );
    install(&place.source, &wanted()).await.unwrap();
    for (version, opens, says) in
        [("99.0.0", false, "99.0.0"), ("newest", false, "newest"), (SYSTEM_VERSION, true, "")]
    {
        let change = Record::from_iter([("value".to_owned(), json!(version))]);
        place.source.system().update(&system::VERSION, &Filter::All, change).await.unwrap();
        match place.open().await {
            Ok(_) => assert!(opens, "{version}"),
            Err(error) => {
                assert!(!opens, "{version}");
                assert!(error.to_string().contains(says), "{error}");
                assert_eq!(matches!(error, AppError::TooNew { .. }), version == "99.0.0");
            }
        }
    }
}

#[apply(on_every_engine)]
#[tokio::test]
async fn a_closed_application_refuses(engine: TestEngine) {
    let place = Place::installed(engine).await;
    let app = place.open().await.unwrap();
    app.close().await;
    let request = api::ApiRequest {
        method: http::Method::POST,
        target: "auth:signIn".into(),
        query: String::new(),
        headers: http::HeaderMap::new(),
        body: json!({"account": "nocobase", "password": PASSWORD}).to_string().into(),
        client: None,
    };
    assert_eq!(app.api(request).await.status(), http::StatusCode::SERVICE_UNAVAILABLE);
}
