//! The API of signing in, keys and settings, as tables of requests and answers.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, header};
use macro_rules_attribute::apply;
use serde_json::{Value, json};

use super::tests::{missing, send, sign_in};
use super::*;
use crate::app::system::{AUTHENTICATORS, ROLES_USERS, SYSTEM_SETTINGS, USERS};
use crate::app::test_place::{PASSWORD, Place};
use crate::app::{App, auth::Credentials};
use crate::data::{Filter, Record};
use crate::test_servers::{TestEngine, on_every_engine};

/// A request, who sends it (`""`: nobody), its body, and the status and content of the answer.
pub(super) type Case<'a> = (&'a str, &'a str, Value, u16, Value);

pub(super) async fn run(app: &Arc<App>, cases: &[Case<'_>]) {
    for (line, token, body, status, expected) in cases {
        let (got, answer) = send(app, line, token, &body.to_string()).await;
        assert_eq!(got, *status, "{line} {body}: {answer}");
        assert_eq!(missing(expected, &answer, "body"), None, "{line} {body}");
    }
}

pub(super) fn error(code: &str) -> Value {
    json!({"errors": [{"message": "<text>", "code": code}]})
}
pub(super) fn refusal() -> Value {
    json!({"errors": [{"message": "<text>"}]})
}

/// Makes a user with roles; gives a token.
pub(super) async fn somebody(app: &Arc<App>, name: &str, roles: &[&str]) -> String {
    let hash = app.auth().hash_password("secret-1".into()).await.unwrap();
    let user = json!({"username": name, "email": format!("{name}@example.com"), "password": hash});
    let user = app.source().system().insert(&USERS, user.as_object().cloned().unwrap()).await.unwrap();
    for role in roles {
        let link = json!({"roleName": role, "userId": user["id"]});
        app.source().system().insert(&ROLES_USERS, link.as_object().cloned().unwrap()).await.unwrap();
    }
    app.auth().sign_in(&Credentials::new(name, "secret-1")).await.unwrap().token
}

/// Sends a request with more headers; gives the whole response.
async fn send_with(
    app: &Arc<App>,
    line: &str,
    headers: &[(&'static str, &str)],
    body: Value,
) -> http::Response<Bytes> {
    let (method, target) = line.split_once(' ').unwrap();
    let headers = headers
        .iter()
        .map(|(name, value)| (header::HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()));
    let request = ApiRequest {
        method: method.parse().unwrap(),
        target: target.into(),
        query: String::new(),
        headers: headers.collect(),
        body: body.to_string().into(),
        client: Some([192, 0, 2, 1].into()),
    };
    app.api(request).await
}

#[apply(on_every_engine)]
#[tokio::test]
async fn people_sign_up_where_it_is_allowed(engine: TestEngine) {
    let place = Place::installed(engine).await;
    let app = place.open().await.unwrap();
    let person = |username: &str, password: &str, again: &str| json!({"username": username, "password": password, "confirm_password": again});
    let mut with_more = person("ann", "x", "x");
    with_more["roles"] = json!(["root"]);
    with_more["id"] = json!(1);
    with_more["email"] = json!("not asked for");
    run(
        &app,
        &[
            ("POST auth:signUp", "", person("", "x", "x"), 400, refusal()),
            ("POST auth:signUp", "", person("a@b", "x", "x"), 400, refusal()),
            ("POST auth:signUp", "", person("ann", "", ""), 400, refusal()),
            ("POST auth:signUp", "", person("ann", "x", "y"), 400, refusal()),
            ("POST auth:signUp", "", json!({"username": 7}), 400, refusal()),
            ("POST auth:signUp", "", json!([]), 400, refusal()),
            ("POST auth:signUp", "", with_more, 200, json!({})),
            ("POST auth:signUp", "", person("ann", "x", "x"), 400, refusal()),
            ("POST auth:signUp", "", person("nocobase", "x", "x"), 400, refusal()),
        ],
    )
    .await;
    let body = json!({"account": "ann", "password": "x"}).to_string();
    let (_, answer) = send(&app, "POST auth:signIn", "", &body).await;
    let expected =
        json!({"data": {"user": {"id": 2, "username": "ann", "email": null, "roles": [{"name": "member"}]}}});
    assert_eq!(missing(&expected, &answer, "body"), None);

    let form = json!([
        {"field": "email", "show": true, "required": true},
        {"field": "nickname", "show": true, "required": false},
        {"field": "password", "show": true, "required": false},
    ]);
    let options = |options: Value| Record::from_iter([("options".to_owned(), json!({"public": options}))]);
    let asks = options(json!({"allowSignUp": true, "signupForm": form}));
    app.source().system().update(&AUTHENTICATORS, &Filter::All, asks).await.unwrap();
    let person =
        |email: &str| json!({"email": email, "nickname": "Ben", "password": "x", "confirm_password": "x"});
    run(
        &app,
        &[
            ("POST auth:signUp", "", person("ben"), 400, refusal()),
            ("POST auth:signUp", "", person(""), 400, refusal()),
            ("POST auth:signUp", "", person("ben@example.com"), 200, json!({})),
        ],
    )
    .await;
    for closed in [json!({"allowSignUp": false}), json!({})] {
        app.source().system().update(&AUTHENTICATORS, &Filter::All, options(closed)).await.unwrap();
        run(&app, &[("POST auth:signUp", "", person("cem@example.com"), 403, refusal())]).await;
    }
    assert_eq!(app.source().count(&USERS, &Filter::All).await.unwrap(), 3);
}

#[apply(on_every_engine)]
#[tokio::test]
async fn settings_decide_what_people_may_change_of_themselves(engine: TestEngine) {
    let place = Place::installed(engine).await;
    let app = place.open().await.unwrap();
    let root = sign_in(&app).await;
    let ann = somebody(&app, "ann", &["member"]).await;
    let ann = ann.as_str();
    let profile = json!({"username": "anna", "nickname": "Anna", "email": "", "password": "y", "id": 9});
    let change = json!({"oldPassword": "secret-1", "newPassword": "short", "confirmPassword": "short"});
    run(
        &app,
        &[
            ("POST users:updateProfile", "", json!({"username": "anna"}), 401, error("EMPTY_TOKEN")),
            ("POST users:updateProfile", ann, json!({"nickname": "Anna"}), 400, refusal()),
            ("POST users:updateProfile", ann, json!({"username": "nocobase"}), 400, refusal()),
            (
                "POST users:updateProfile",
                ann,
                profile.clone(),
                200,
                json!({"data": [{"id": 2, "username": "anna", "nickname": "Anna", "email": null, "updatedById": 2}]}),
            ),
            ("POST users:updateLang", ann, json!({"appLang": "de-DE"}), 200, json!({})),
            ("GET auth:check", ann, json!({}), 200, json!({"data": {"nickname": "Anna", "appLang": "de-DE"}})),
            (
                "POST systemSettings:update?filterByTk=1",
                &root,
                json!({"enableEditProfile": false, "options": {"passwordPolicy": {"minLength": 8}}}),
                200,
                json!({"data": [{"enableEditProfile": false}]}),
            ),
            ("POST users:updateProfile", ann, profile, 403, refusal()),
            ("POST auth:changePassword", ann, change.clone(), 400, refusal()),
            (
                "POST systemSettings:update?filterByTk=1",
                &root,
                json!({"enableChangePassword": false, "options": {}}),
                200,
                json!({}),
            ),
            ("POST auth:changePassword", ann, change.clone(), 403, refusal()),
            ("POST systemSettings:put", &root, json!({"enableChangePassword": true}), 200, json!({})),
            ("POST auth:changePassword", ann, change, 200, json!({"data": {"id": 2, "username": "anna"}})),
            ("GET auth:check", ann, json!({}), 401, error("INVALID_TOKEN")),
        ],
    )
    .await;
}

#[apply(on_every_engine)]
#[tokio::test]
async fn settings_are_everybodys_to_read_and_an_administrators_to_change(engine: TestEngine) {
    let place = Place::installed(engine).await;
    let app = place.open().await.unwrap();
    let (root, member) = (sign_in(&app).await, somebody(&app, "ann", &["member"]).await);
    let (root, member) = (root.as_str(), member.as_str());
    let title = json!({"title": "My app", "id": 7, "logo": {"id": 1}, "nosuch": 1});
    let get = "GET systemSettings:get";
    let update = "POST systemSettings:update?filterByTk=1";
    run(
        &app,
        &[
            (get, "", json!({}), 200, json!({"data": {"id": 1, "title": "Sales", "raw_title": "Sales"}})),
            (update, "", title.clone(), 401, error("EMPTY_TOKEN")),
            (update, member, title.clone(), 403, refusal()),
            (update, root, title, 200, json!({"data": [{"id": 1, "title": "My app"}]})),
            (get, member, json!({}), 200, json!({"data": {"title": "My app", "appLang": "en-US"}})),
            (
                "POST systemSettings:put",
                root,
                json!({"raw_title": "Ours"}),
                200,
                json!({"data": {"title": "Ours"}}),
            ),
            ("GET app:getInfo", "", json!({}), 200, json!({"data": {"title": "Ours"}})),
            (update, root, json!({"enabledLanguages": "de-DE"}), 400, refusal()),
            (update, root, json!({"options": []}), 400, refusal()),
            (update, root, json!({"roleMode": "all"}), 400, refusal()),
            (update, root, json!({"appLang": "de-DE", "enabledLanguages": ["de-DE"]}), 200, json!({})),
            ("GET app:getLang", "", json!({}), 200, json!({"data": {"lang": "de-DE", "resources": {}}})),
            ("POST app:restart", member, json!({}), 403, refusal()),
            ("POST app:clearCache", "", json!({}), 401, error("EMPTY_TOKEN")),
        ],
    )
    .await;
    let changed = Record::from_iter([("title".to_owned(), json!("Elsewhere"))]);
    app.source().system().update(&SYSTEM_SETTINGS, &Filter::All, changed).await.unwrap();
    for action in ["POST app:restart", "POST app:clearCache"] {
        run(&app, &[(action, root, json!({}), 200, json!({}))]).await;
        assert_eq!(&*app.title(), "Elsewhere");
    }
}

#[apply(on_every_engine)]
#[tokio::test]
#[expect(clippy::too_many_lines, reason = "a table")]
async fn authenticators_are_an_administrators_and_one_stays(engine: TestEngine) {
    let place = Place::installed(engine).await;
    let app = place.open().await.unwrap();
    let (root, member) = (sign_in(&app).await, somebody(&app, "ann", &["member"]).await);
    let (root, member) = (root.as_str(), member.as_str());
    let title = r#"{{t("Password", {"ns":"@nocobase/plugin-auth"})}}"#;
    let basic = json!({
        "name": "basic", "authType": "Email/Password", "authTypeTitle": title, "title": null,
        "options": {"allowSignUp": true, "signupForm": [{"field": "username", "show": true, "required": true}]},
    });
    let second = json!({
        "name": "second", "authType": "Email/Password", "title": "Second", "enabled": true,
        "options": {"public": {"allowSignUp": false}, "clientSecret": "s3cret"},
    });
    let list = "GET authenticators:list?fields[]=name&fields[]=authType&sort=sort";
    let (update, destroy) =
        ("POST authenticators:update?filterByTk=1", "POST authenticators:destroy?filterByTk=1");
    run(
        &app,
        &[
            ("GET authenticators:publicList", "", json!({}), 200, json!({"data": [basic]})),
            (list, "", json!({}), 401, error("EMPTY_TOKEN")),
            (list, member, json!({}), 403, refusal()),
            (list, root, json!({}), 200, json!({"data": [{"name": "basic", "authType": "Email/Password"}]})),
            (
                "GET authenticators:listTypes",
                root,
                json!({}),
                200,
                json!({"data": [{"name": "Email/Password"}]}),
            ),
            (update, root, json!({"enabled": false}), 400, refusal()),
            (destroy, root, json!({}), 400, refusal()),
            ("POST authenticators:create", member, second.clone(), 403, refusal()),
            ("POST authenticators:create", root, json!({"name": "x", "authType": "SMS"}), 400, refusal()),
            ("POST authenticators:create", root, json!({"authType": "Email/Password"}), 400, refusal()),
            (
                "POST authenticators:create",
                root,
                second.clone(),
                200,
                json!({"data": {"id": 2, "sort": 2, "createdById": 1}}),
            ),
            ("POST authenticators:create", root, second, 400, refusal()),
            (
                "GET authenticators:get?filterByTk=2",
                root,
                json!({}),
                200,
                json!({"data": {"options": {"clientSecret": "s3cret"}}}),
            ),
            ("GET authenticators:get?filterByTk=2", member, json!({}), 403, refusal()),
            (update, root, json!({"options": 7}), 400, refusal()),
            (
                update,
                root,
                json!({"enabled": false}),
                200,
                json!({"data": [{"id": 1, "enabled": false, "updatedById": 1}]}),
            ),
        ],
    )
    .await;
    let (_, public) = send(&app, "GET authenticators:publicList", "", "").await;
    assert_eq!(public["data"].as_array().unwrap().len(), 1);
    assert!(!public.to_string().contains("s3cret"), "{public}");
    // Its name is not known any more: the first that is enabled answers, and does not sign up.
    let signs_in = json!({"account": "nocobase", "password": PASSWORD});
    for name in ["basic", "second", "nosuch"] {
        let headers = [("x-authenticator", name)];
        assert_eq!(
            send_with(&app, "POST auth:signIn", &headers, signs_in.clone()).await.status(),
            200,
            "{name}"
        );
        let person = json!({"username": "ben", "password": "x", "confirm_password": "x"});
        assert_eq!(send_with(&app, "POST auth:signUp", &headers, person).await.status(), 403, "{name}");
    }
    run(&app, &[(destroy, root, json!({}), 200, json!({"data": 1}))]).await;
    // Nothing is left that could let anybody in.
    app.source().system().destroy(&AUTHENTICATORS, &Filter::All).await.unwrap();
    run(&app, &[("POST auth:signIn", "", signs_in, 400, refusal())]).await;
}

#[apply(on_every_engine)]
#[tokio::test]
#[expect(clippy::too_many_lines, reason = "a table")]
async fn api_keys_are_told_once_and_are_their_makers_alone(engine: TestEngine) {
    let place = Place::installed(engine).await;
    let app = place.open().await.unwrap();
    let (root, admin) = (sign_in(&app).await, somebody(&app, "ann", &["admin"]).await);
    let member = somebody(&app, "ben", &["member"]).await;
    let (root, admin, member) = (root.as_str(), admin.as_str(), member.as_str());
    let key = |role: Value, expires: Value| json!({"name": "ci", "role": role, "expiresIn": expires});
    let create = "POST apiKeys:create";
    let day = json!("1d");
    run(
        &app,
        &[
            (create, "", key(json!("root"), day.clone()), 401, error("EMPTY_TOKEN")),
            (create, member, key(json!("member"), day.clone()), 403, refusal()),
            (create, admin, key(json!({"name": "root"}), day.clone()), 400, refusal()),
            (create, root, key(json!({"name": "nosuch"}), day.clone()), 400, refusal()),
            (create, root, key(json!(null), day.clone()), 400, refusal()),
            (create, root, key(json!({"name": "root"}), json!("soon")), 400, refusal()),
            (create, root, key(json!({"name": "root"}), json!(null)), 400, refusal()),
            (create, root, json!({"role": "root", "expiresIn": "1d"}), 400, refusal()),
            (create, root, json!([]), 400, refusal()),
        ],
    )
    .await;
    let mut tokens = Vec::new();
    for (by, body) in [
        (root, key(json!({"name": "root"}), json!("30d"))),
        (root, json!({"name": "reader", "roleName": "member", "expiresIn": "never"})),
        (admin, key(json!("admin"), json!(3600))),
    ] {
        let (status, answer) = send(&app, create, by, &body.to_string()).await;
        assert_eq!((status, answer["data"].as_object().unwrap().len()), (200, 1), "{answer}");
        tokens.push(answer["data"]["token"].as_str().unwrap().to_owned());
    }
    let listed = json!({"data": [
        {"id": 1, "name": "ci", "roleName": "root", "expiresIn": "30d", "createdById": 1},
        {"id": 2, "name": "reader", "roleName": "member", "expiresIn": "never", "createdById": 1},
    ], "meta": {"count": 2}});
    let destroy = "POST apiKeys:destroy?filterByTk=1";
    run(
        &app,
        &[
            ("GET apiKeys:list", root, json!({}), 200, listed),
            ("GET apiKeys:list?fields[]=name", admin, json!({}), 200, json!({"data": [{"name": "ci"}]})),
            ("GET apiKeys:list?fields[]=token", root, json!({}), 400, refusal()),
            ("GET apiKeys:get?filterByTk=1", root, json!({}), 200, json!({"data": {"name": "ci"}})),
            ("GET apiKeys:get?filterByTk=1", admin, json!({}), 200, json!({"data": null})),
            ("POST apiKeys:update?filterByTk=1", root, json!({}), 404, refusal()),
            // Each acts in its role alone.
            ("GET users:list?fields[]=id", &tokens[0], json!({}), 200, json!({"meta": {"count": 3}})),
            (
                "GET users:list?fields[]=id",
                &tokens[1],
                json!({}),
                200,
                json!({"data": [], "meta": {"count": 0}}),
            ),
            (
                "GET auth:check",
                &tokens[1],
                json!({}),
                200,
                json!({"data": {"id": 1, "roles": [{"name": "member"}]}}),
            ),
            // Another's is not there to be removed; one's own is refused at once.
            (destroy, admin, json!({}), 200, json!({"data": 0})),
            ("GET auth:check", &tokens[0], json!({}), 200, json!({})),
            (destroy, root, json!({}), 200, json!({"data": 1})),
            ("GET auth:check", &tokens[0], json!({}), 401, error("BLOCKED_TOKEN")),
            ("POST apiKeys:destroy?filterByTk[]=2&filterByTk[]=3", root, json!({}), 200, json!({"data": 1})),
            ("GET auth:check", &tokens[1], json!({}), 401, error("BLOCKED_TOKEN")),
            ("GET auth:check", &tokens[2], json!({}), 200, json!({"data": {"id": 2}})),
        ],
    )
    .await;
    let listed = send(&app, "GET apiKeys:list", admin, "").await.1.to_string();
    assert!(!listed.contains("token") && !listed.contains(tokens[2].rsplit('.').next().unwrap()), "{listed}");
}

#[apply(on_every_engine)]
#[tokio::test]
async fn a_new_token_comes_in_a_header_also_with_an_error(engine: TestEngine) {
    let place = Place::installed(engine).await;
    let app = place.open().await.unwrap();
    let root = sign_in(&app).await;
    let policy = |token: &str| {
        json!({"config": {"tokenExpirationTime": token, "sessionExpirationTime": "7d",
            "expiredTokenRenewLimit": "1d"}})
    };
    let update = "POST tokenControlConfig:update?filterByTk=token-policy-config";
    run(
        &app,
        &[
            (update, &root, policy("0"), 400, refusal()),
            (update, &root, json!({}), 400, refusal()),
            ("POST tokenControlConfig:update?filterByTk=x", &root, policy("1d"), 404, refusal()),
            (update, &root, policy("2h"), 200, json!({"data": [{"key": "token-policy-config"}]})),
            (
                "GET tokenControlConfig:get?filterByTk=token-policy-config",
                &root,
                json!({}),
                200,
                json!({"data": policy("2h")}),
            ),
        ],
    )
    .await;
    let bearer = format!("Bearer {}", app.auth().aged(&root, chrono::TimeDelta::hours(25)));
    let authorized = [("authorization", bearer.as_str())];
    let renewed = |response: &http::Response<Bytes>| {
        response.headers().get("x-new-token").map(|token| token.to_str().unwrap().to_owned())
    };
    let stream = [("authorization", bearer.as_str()), ("accept", "text/event-stream")];
    let response = send_with(&app, "GET auth:check", &stream, json!({})).await;
    assert_eq!((response.status().as_u16(), renewed(&response)), (401, None));
    assert!(std::str::from_utf8(response.body()).unwrap().contains("SKIP_TOKEN_RENEW"));

    let response = send_with(&app, "POST authenticators:create", &authorized, json!({})).await;
    let first = renewed(&response).unwrap();
    assert_eq!(response.status(), 400);
    assert_ne!(first, root);
    let public = send_with(&app, "GET app:getInfo", &authorized, json!({})).await;
    assert_eq!(renewed(&public), None, "nobody was asked for a token");
    app.auth().reload().await.unwrap();
    let fresh = format!("Bearer {first}");
    let response = send_with(&app, "GET auth:check", &[("authorization", &fresh)], json!({})).await;
    assert_eq!(response.status(), 200);
}

#[apply(on_every_engine)]
#[tokio::test]
async fn too_many_failures_are_answered_with_when_to_come_back(engine: TestEngine) {
    let place = Place::installed(engine).await;
    let app = place.open().await.unwrap();
    let wrong = json!({"account": "nocobase", "password": "wrong"});
    for _ in 0..10 {
        assert_eq!(send_with(&app, "POST auth:signIn", &[], wrong.clone()).await.status(), 401);
    }
    for password in ["wrong", PASSWORD] {
        let body = json!({"account": "nocobase", "password": password});
        let response = send_with(&app, "POST auth:signIn", &[], body).await;
        assert_eq!(response.status(), 429);
        let wait: u64 = response.headers()[header::RETRY_AFTER].to_str().unwrap().parse().unwrap();
        assert!((1..=30).contains(&wait), "{wait}");
        let body: Value = serde_json::from_slice(response.body()).unwrap();
        assert_eq!(missing(&error("TOO_MANY_ATTEMPTS"), &body, "body"), None);
    }
    // From elsewhere it is let in.
    sign_in(&app).await;
    let long = json!({"account": "nocobase", "password": "x".repeat(100_000)});
    run(&app, &[("POST auth:signIn", "", long, 401, refusal())]).await;
}

#[apply(on_every_engine)]
#[tokio::test]
async fn data_sources_are_told_without_what_they_are_reached_with(engine: TestEngine) {
    let place = Place::installed(engine).await;
    let app = place.open().await.unwrap();
    let (root, member) = (sign_in(&app).await, somebody(&app, "ann", &["member"]).await);
    let secret = Record::from_iter([("options".to_owned(), json!({"secret": PASSWORD}))]);
    app.source().system().update(&crate::app::system::DATA_SOURCES, &Filter::All, secret).await.unwrap();
    let main = json!({"key": "main", "type": "main", "status": "loaded"});
    run(
        &app,
        &[
            ("GET dataSources:list", &root, json!({}), 200, json!({"data": [main], "meta": {"count": 1}})),
            ("GET dataSources:list?fields[]=options", &root, json!({}), 400, refusal()),
            ("GET dataSources:list", &member, json!({}), 403, refusal()),
            ("GET dataSources:get?filterByTk=main", &member, json!({}), 200, json!({"data": main})),
            ("GET dataSources:get?filterByTk=x", &member, json!({}), 200, json!({"data": null})),
            (
                "GET dataSources:listEnabled",
                &member,
                json!({}),
                200,
                json!({"data": [{"isDBInstance": true}]}),
            ),
            ("GET dataSources:listEnabled", "", json!({}), 401, error("EMPTY_TOKEN")),
        ],
    )
    .await;
}

#[apply(on_every_engine)]
#[tokio::test]
async fn nobody_is_told_whose_addresses_there_are(engine: TestEngine) {
    let place = Place::installed(engine).await;
    let app = place.open().await.unwrap();
    let headers = [("x-authenticator", "basic")];
    let mut answers = Vec::new();
    for email in ["admin@nocobase.com", "nobody@example.com"] {
        let response = send_with(&app, "POST auth:lostPassword", &headers, json!({"email": email})).await;
        answers.push((response.status().as_u16(), response.into_body()));
    }
    assert_eq!(answers[0].0, 403);
    assert_eq!(answers[0], answers[1]);
    run(&app, &[("POST auth:lostPassword", "", json!({"email": "a@example.com"}), 400, refusal())]).await;
}
