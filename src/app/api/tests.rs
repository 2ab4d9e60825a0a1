//! The API as tables of requests and answers; the recorded traffic of `tests/conformance/` is
//! replayed against a running host elsewhere.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, header};
use macro_rules_attribute::apply;
use serde_json::{Map, Value, json};

use super::*;
use crate::app::App;
use crate::app::resources::{ActionAccess, Resource, ResourceAction, applications};
use crate::app::test_place::{PASSWORD, Place};
use crate::test_servers::{TestEngine, on_every_engine};

/// Sends a request; the status and the body.
pub(super) async fn send(app: &Arc<App>, line: &str, token: &str, body: &str) -> (u16, Value) {
    let (method, path) = line.split_once(' ').unwrap();
    let (target, query) = path.split_once('?').unwrap_or((path, ""));
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, "application/json".parse().unwrap());
    if !token.is_empty() {
        headers.insert(header::AUTHORIZATION, format!("Bearer {token}").parse().unwrap());
    }
    let response = app
        .api(ApiRequest {
            method: method.parse().unwrap(),
            target: target.into(),
            query: query.into(),
            headers,
            body: Bytes::copy_from_slice(body.as_bytes()),
            client: None,
        })
        .await;
    assert_eq!(response.headers()[header::CONTENT_TYPE], "application/json; charset=utf-8");
    let text = String::from_utf8(response.body().to_vec()).unwrap();
    for secret in ["$argon2", "resetToken", "\"password\"", PASSWORD] {
        assert!(!text.contains(secret), "{line} tells {secret}: {text}");
    }
    (response.status().as_u16(), serde_json::from_str(&text).unwrap())
}

pub(super) async fn sign_in(app: &Arc<App>) -> String {
    let body = json!({"account": "nocobase", "password": PASSWORD}).to_string();
    let (status, answer) = send(app, "POST auth:signIn", "", &body).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(answer["data"]["user"]["id"], 1);
    answer["data"]["token"].as_str().unwrap().to_owned()
}

/// The first place where `answer` does not have what `expected` has.
pub(super) fn missing(expected: &Value, answer: &Value, path: &str) -> Option<String> {
    match (expected, answer) {
        (Value::Object(expected), Value::Object(answer)) => expected.iter().find_map(|(name, value)| {
            missing(value, answer.get(name).unwrap_or(&json!("<missing>")), &format!("{path}.{name}"))
        }),
        (Value::Array(expected), Value::Array(answer)) if expected.len() == answer.len() => expected
            .iter()
            .zip(answer)
            .enumerate()
            .find_map(|(at, (expected, answer))| missing(expected, answer, &format!("{path}[{at}]"))),
        (Value::String(text), Value::String(_)) if text == "<text>" => None,
        _ if expected == answer => None,
        _ => Some(format!("{path}: {expected} is not {answer}")),
    }
}

#[apply(on_every_engine)]
#[tokio::test]
#[expect(clippy::too_many_lines, reason = "a table")]
async fn requests_and_their_answers(engine: TestEngine) {
    let place = Place::installed(engine).await;
    let app = place.open().await.unwrap();
    let root = &*sign_in(&app).await;
    let error = |code: &str| json!({"errors": [{"message": "<text>", "code": code}]});
    let refusal = json!({"errors": [{"message": "<text>"}]});
    let user = json!({
        "id": 1, "nickname": "Super Admin", "username": "nocobase", "email": "admin@nocobase.com", "phone": null,
        "passwordChangeTz": null, "appLang": null, "systemSettings": {}, "createdById": null, "updatedById": null,
    });
    let info = json!({"data": {"database": {"dialect": place.location().engine().as_str()}, "lang": "en-US", "name": "crm", "title": "Sales"}});
    let one_page = json!({"count": 1, "page": 1, "pageSize": 20, "totalPage": 1});
    let roles = json!([{"name": "admin"}, {"name": "member"}, {"name": "root"}]);
    let cases = [
        ("GET app:getInfo", "", "", 200, info),
        ("GET app:nosuch", "", "", 404, refusal.clone()),
        ("GET nosuch:list", "", "", 404, refusal.clone()),
        ("GET nosuch:list", root, "", 404, refusal.clone()),
        ("GET applications:list", "", "", 404, refusal.clone()),
        ("GET users:nosuch", root, "", 404, refusal.clone()),
        ("GET users/1/nosuch:list", root, "", 404, refusal.clone()),
        ("GET users/1/roles:list", root, "", 200, json!({"meta": {"count": 3}})),
        ("GET users", root, "", 200, json!({"meta": {"count": 1}})),
        ("GET users/1", root, "", 200, json!({"data": {"id": 1}})),
        ("GET users:list", "", "", 401, error("EMPTY_TOKEN")),
        ("GET users:list", "not.a.token", "", 401, error("INVALID_TOKEN")),
        ("GET users:list", root, "", 200, json!({"data": [user], "meta": one_page})),
        (
            "GET users:list?page=2&pageSize=1",
            root,
            "",
            200,
            json!({"data": [], "meta": {"count": 1, "page": 2}}),
        ),
        ("GET users:list?fields[]=id&sort=-id", root, "", 200, json!({"data": [{"id": 1}]})),
        ("GET users:list?fields[]=password", root, "", 400, refusal.clone()),
        ("GET users:list?sort=password", root, "", 400, refusal.clone()),
        ("GET users:list?sort=nosuch", root, "", 400, refusal.clone()),
        ("GET users:list?filter={}", root, "", 200, json!({"data": [{"id": 1}]})),
        ("GET users:list?filter=x", root, "", 400, refusal.clone()),
        ("GET users:list?filter={\"password\":\"x\"}", root, "", 400, refusal.clone()),
        ("GET users:list?appends[]=nosuch", root, "", 200, json!({"data": [{"id": 1}]})),
        ("GET users:list?appends[]=roles.users", root, "", 200, json!({"data": [{"id": 1}]})),
        ("GET users:list?page=0", root, "", 400, refusal.clone()),
        ("GET users:list?__appName=crm", root, "", 200, json!({"data": [user]})),
        ("GET users:get?filterByTk=1", root, "", 200, json!({"data": user})),
        ("GET users:get?filterByTk=2", root, "", 200, json!({"data": null})),
        ("GET users:get?filterByTk=x", root, "", 400, refusal.clone()),
        ("GET users:get", root, "", 400, refusal.clone()),
        ("GET roles:list?sort=name", root, "", 200, json!({"data": roles, "meta": {"count": 3}})),
        (
            "GET roles:get?filterByTk=member",
            root,
            "",
            200,
            json!({"data": {"default": true, "hidden": false}}),
        ),
        ("GET roles:check", root, "", 200, json!({"data": {"role": "root", "allowAll": true}})),
        ("GET auth:check", "", "", 401, error("EMPTY_TOKEN")),
        ("POST users:create", root, "{bad json", 400, refusal.clone()),
        ("POST auth:signIn", "", "{}", 400, refusal.clone()),
        ("POST auth:signIn", "", r#"{"account":"","password":""}"#, 400, refusal.clone()),
        ("POST auth:signIn", "", r#"{"account":1,"password":"x"}"#, 400, refusal.clone()),
        ("POST auth:signIn", "", "[]", 400, refusal.clone()),
        ("POST auth:signIn", "", r#"{"account":"nobody@example.com","password":"x"}"#, 401, refusal.clone()),
        ("GET auth:signOut", root, "", 405, refusal),
    ];
    for (line, token, body, status, expected) in cases {
        let (got, answer) = send(&app, line, token, body).await;
        assert_eq!(got, status, "{line}: {answer}");
        assert_eq!(missing(&expected, &answer, "body"), None, "{line}");
    }
}

#[apply(on_every_engine)]
#[tokio::test]
async fn the_check_tells_the_user_with_its_roles(engine: TestEngine) {
    let place = Place::installed(engine).await;
    let app = place.open().await.unwrap();
    let root = sign_in(&app).await;
    let (status, answer) = send(&app, "GET auth:check", &root, "").await;
    assert_eq!(status, 200);
    let role = |name: &str, title: &str, default: bool, hidden: bool, configure: Value, own: Value| {
        json!({
            "name": name, "title": title, "description": null, "default": default, "hidden": hidden,
            "allowConfigure": configure, "rolesUsers": {"default": own, "roleName": name, "userId": 1},
        })
    };
    let expected = json!({"data": {"id": 1, "nickname": "Super Admin", "roles": [
        role("admin", "{{t(\"Admin\")}}", false, false, json!(true), json!(null)),
        role("member", "{{t(\"Member\")}}", true, false, json!(null), json!(null)),
        role("root", "{{t(\"Root\")}}", false, true, json!(null), json!(true)),
    ]}});
    assert_eq!(missing(&expected, &answer, "body"), None);
}

#[apply(on_every_engine)]
#[tokio::test]
async fn signing_out_and_changing_the_password(engine: TestEngine) {
    let place = Place::installed(engine).await;
    let app = place.open().await.unwrap();
    let (first, second) = (sign_in(&app).await, sign_in(&app).await);
    let (status, answer) = send(&app, "POST auth:signOut", &first, "{}").await;
    assert_eq!((status, answer.is_object()), (200, true));
    let (status, answer) = send(&app, "GET auth:check", &first, "").await;
    assert_eq!((status, &answer["errors"][0]["code"]), (401, &json!("BLOCKED_TOKEN")));

    let change = |old: &str, new: &str, confirmed: &str| {
        json!({"oldPassword": old, "newPassword": new, "confirmPassword": confirmed}).to_string()
    };
    for (body, status) in [
        (change("wrong", "n3w", "n3w"), 401),
        (change(PASSWORD, "n3w", "other"), 400),
        (change(PASSWORD, "", ""), 400),
        ("{}".to_owned(), 400),
        (change(PASSWORD, "n3w", "n3w"), 200),
    ] {
        assert_eq!(send(&app, "POST auth:changePassword", &second, &body).await.0, status, "{body}");
    }
    let (status, answer) = send(&app, "GET auth:check", &second, "").await;
    assert_eq!((status, &answer["errors"][0]["code"]), (401, &json!("INVALID_TOKEN")));
}

#[apply(on_every_engine)]
#[tokio::test]
async fn users_and_roles_are_for_administrators(engine: TestEngine) {
    let place = Place::installed(engine).await;
    let links = crate::data::Filter::ne("roleName", "member");
    place.source.system().destroy(&crate::app::system::ROLES_USERS, &links).await.unwrap();
    let app = place.open().await.unwrap();
    let member = sign_in(&app).await;
    for (line, status) in [
        ("GET roles:list", 403),
        ("POST users:create", 403),
        ("POST collections:create", 403),
        ("GET roles:check", 200),
        ("GET auth:check", 200),
    ] {
        assert_eq!(send(&app, line, &member, "").await.0, status, "{line}");
    }
}

#[apply(on_every_engine)]
#[tokio::test]
async fn a_collection_has_a_hundred_texts(engine: TestEngine) {
    let place = Place::installed(engine).await;
    let app = place.open().await.unwrap();
    let root = &*sign_in(&app).await;
    let fields: Vec<Value> = (0..100).map(|at| json!({"name": format!("f{at}"), "type": "string"})).collect();
    let definition = json!({"name": "wide", "fields": fields}).to_string();
    let (status, answer) = send(&app, "POST collections:create", root, &definition).await;
    assert_eq!(status, 200, "{answer}");
    let more = json!({"name": "more", "type": "string"}).to_string();
    assert_eq!(send(&app, "POST collections/wide/fields:create", root, &more).await.0, 200);
    let values: Map<String, Value> =
        (0..100).map(|at| (format!("f{at}"), Value::from("é".repeat(255)))).collect();
    let values = Value::Object(values);
    assert_eq!(send(&app, "POST wide:create", root, &values.to_string()).await.0, 200);
    let (_, answer) = send(&app, "GET wide:get/1", root, "").await;
    assert_eq!(missing(&json!({ "data": values }), &answer, "body"), None);
    // The last of them are like the first: found by an index, and each value once.
    for field in ["f0", "f99"] {
        let update = format!("POST collections/wide/fields:update?filterByTk={field}");
        let (status, answer) = send(&app, &update, root, r#"{"unique":true}"#).await;
        assert_eq!(status, 200, "{field}: {answer}");
        let other = json!({field: "é".repeat(254) + "e"}).to_string();
        assert_eq!(send(&app, "POST wide:create", root, &other).await.0, 200, "{field}");
        assert_eq!(send(&app, "POST wide:create", root, &other).await.0, 400, "{field}");
    }
}

async fn echo(call: &Call<'_>) -> Result<Answer, ApiError> {
    let by = call.session()?.user.id;
    Ok(Answer::Bare(json!({"action": call.action, "params": call.params, "body": call.body, "by": by})))
}

#[apply(on_every_engine)]
#[tokio::test]
async fn a_resource_of_its_own_is_called_by_who_is_signed_in(engine: TestEngine) {
    let place = Place::installed(engine).await;
    let actions = ["list", "start"];
    let actions = actions
        .map(|name| ResourceAction::new(name, ActionAccess::ByPermission, |call| Box::pin(echo(call))))
        .into();
    let applications = Resource { actions, ..applications() };
    let app = place.open_with(b"secret", vec![applications]).await.unwrap();
    let root = sign_in(&app).await;
    assert_eq!(send(&app, "GET applications:list", "", "").await.0, 401);
    assert_eq!(send(&app, "GET applications:nosuch", "", "").await.0, 404);
    assert_eq!(send(&app, "GET applications:start", &root, "").await.0, 405);
    let (status, answer) = send(&app, "POST applications:start?filterByTk=a", &root, r#"{"x":1}"#).await;
    let expected = json!({"action": "start", "params": {"filterByTk": "a"}, "body": {"x": 1}, "by": 1});
    assert_eq!((status, answer), (200, expected));
}

#[apply(on_every_engine)]
#[tokio::test]
async fn a_body_is_read_only_of_whoever_is_let_in(engine: TestEngine) {
    let place = Place::installed(engine).await;
    let app = place.open().await.unwrap();
    let root = &*sign_in(&app).await;
    for target in ["users:create", "users:create?a=1&a[b]=2", "auth:changePassword", "roles/member/users:add"]
    {
        let line = format!("POST {target}");
        assert_eq!(send(&app, &line, "", "{").await.0, 401, "{target}");
        assert_eq!(send(&app, &line, "nosuch", "{").await.0, 401, "{target}");
        assert_eq!(send(&app, &line, root, "{").await.0, 400, "{target}");
    }
    assert_eq!(send(&app, "POST nosuch:create", "", "{").await.0, 404);
    assert_eq!(send(&app, "POST auth:signIn", "", "{").await.0, 400);
}

#[apply(on_every_engine)]
#[tokio::test]
async fn a_body_that_is_not_json_is_refused_by_its_type(engine: TestEngine) {
    let place = Place::installed(engine).await;
    let app = place.open().await.unwrap();
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, "application/x-www-form-urlencoded".parse().unwrap());
    let request = ApiRequest {
        method: Method::POST,
        target: "auth:signIn".into(),
        query: String::new(),
        headers,
        body: Bytes::from_static(b"account=nocobase"),
        client: None,
    };
    assert_eq!(app.api(request).await.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
}
