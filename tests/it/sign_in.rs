//! Sign-in over the API: valid and invalid tokens, and root users.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use macro_rules_attribute::apply;
use serde_json::{Value, json};

use crate::environment::{Daemon, ROOT_PASSWORD, TestEnvironment, http, sign_in};
use crate::servers::{TestEngine, on_every_engine};

async fn check(daemon: &Daemon, app: &str, token: &str) -> (u16, Value) {
    let (status, body) = http(daemon, "GET", "/api/auth:check", Some(app), Some(token), None).await;
    (status, body["errors"][0]["code"].clone())
}

#[apply(on_every_engine)]
#[tokio::test]
async fn invalid_tokens_are_refused(engine: TestEngine) {
    let environment = TestEnvironment::of(engine);
    let daemon = environment.daemon();
    for id in ["crm", "hr"] {
        daemon.call("app.create", json!({"id": id}));
    }
    let token = sign_in(&daemon, Some("crm")).await;
    assert_eq!(check(&daemon, "crm", &token).await.0, 200);
    let parts: Vec<_> = token.split('.').collect();
    let mut claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(parts[1]).unwrap()).unwrap();
    claims["userId"] = json!(2);
    let another_user = format!("{}.{}.{}", parts[0], URL_SAFE_NO_PAD.encode(claims.to_string()), parts[2]);
    let none = URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"JWT"}"#);
    for (what, token) in [
        ("another application's", sign_in(&daemon, Some("hr")).await),
        ("the main application's", sign_in(&daemon, None).await),
        ("another user's", another_user),
        ("alg none", format!("{none}.{}.", parts[1])),
        ("alg none, old signature", format!("{none}.{}.{}", parts[1], parts[2])),
        ("no token at all", "x".to_owned()),
    ] {
        assert_eq!(check(&daemon, "crm", &token).await, (401, json!("INVALID_TOKEN")), "{what}");
    }
    http(&daemon, "POST", "/api/auth:signOut", Some("crm"), Some(&token), None).await;
    assert_eq!(check(&daemon, "crm", &token).await, (401, json!("BLOCKED_TOKEN")));
    assert!(daemon.stop().success());
    // It is still refused after a restart of the daemon.
    let daemon = environment.daemon();
    assert_eq!(check(&daemon, "crm", &token).await, (401, json!("BLOCKED_TOKEN")));
}

#[apply(on_every_engine)]
#[tokio::test]
async fn an_expired_token_is_refused(engine: TestEngine) {
    let environment = TestEnvironment::of(engine);
    let daemon = environment.daemon();
    let secret = "a-secret-that-is-long-enough-for-hs256";
    daemon.call("app.create", json!({"id": "crm", "jwt_secret": secret}));
    let now = chrono::Utc::now().timestamp();
    let sign = |expires: i64| {
        let claims = json!({
            "userId": 1, "temp": true, "jti": uuid::Uuid::new_v4(),
            "iat": now - 100, "exp": expires, "signInTime": (now - 100) * 1000,
        });
        let key = jsonwebtoken::EncodingKey::from_secret(secret.as_bytes());
        jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key).unwrap()
    };
    assert_eq!(check(&daemon, "crm", &sign(now + 100)).await.0, 200);
    // Without a session that could be renewed, and expired even for renewal.
    assert_eq!(check(&daemon, "crm", &sign(now - 1)).await, (401, json!("TOKEN_RENEW_FAILED")));
    assert_eq!(check(&daemon, "crm", &sign(now - 90_000)).await, (401, json!("EXPIRED_SESSION")));
}

#[apply(on_every_engine)]
#[tokio::test]
async fn a_changed_password_invalidates_all_tokens(engine: TestEngine) {
    let environment = TestEnvironment::of(engine);
    let daemon = environment.daemon();
    daemon.call("app.create", json!({"id": "crm"}));
    let token = sign_in(&daemon, Some("crm")).await;
    let body =
        json!({"oldPassword": ROOT_PASSWORD, "newPassword": "n3w-pass!", "confirmPassword": "n3w-pass!"});
    let (status, answer) =
        http(&daemon, "POST", "/api/auth:changePassword", Some("crm"), Some(&token), Some(body)).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(check(&daemon, "crm", &token).await, (401, json!("INVALID_TOKEN")));
    let old = json!({"account": "nocobase", "password": ROOT_PASSWORD});
    assert_eq!(http(&daemon, "POST", "/api/auth:signIn", Some("crm"), None, Some(old)).await.0, 401);
    let new = json!({"account": "nocobase", "password": "n3w-pass!"});
    assert_eq!(http(&daemon, "POST", "/api/auth:signIn", Some("crm"), None, Some(new)).await.0, 200);
}

#[apply(on_every_engine)]
#[tokio::test]
async fn the_root_user_is_as_given_or_has_a_generated_password(engine: TestEngine) {
    let environment = TestEnvironment::of(engine);
    let daemon = environment.daemon();
    let given = json!({"id": "crm", "admin": {"email": "ann@example.com", "username": "ann"}});
    let created = daemon.call("app.create", given);
    let password = created["admin"]["password"].as_str().unwrap();
    assert_eq!(created["admin"]["email"], "ann@example.com");
    assert!(password.len() >= 20);
    let account = |account: &str, password: &str| Some(json!({"account": account, "password": password}));
    let sign_in = async |body| http(&daemon, "POST", "/api/auth:signIn", Some("crm"), None, body).await;
    assert_eq!(sign_in(account("ann", password)).await.0, 200);
    assert_eq!(sign_in(account("ann@example.com", password)).await.0, 200);
    assert_eq!(sign_in(account("ann", ROOT_PASSWORD)).await.0, 401);
    let (_, body) = sign_in(account("ann", password)).await;
    let text = body.to_string();
    assert!(!text.contains("argon2") && !text.contains("\"password\""), "{text}");
    assert!(!environment.daemon_log().contains(password));
}

#[apply(on_every_engine)]
#[tokio::test]
async fn a_sign_in_link_works_once(engine: TestEngine) {
    let environment = TestEnvironment::of(engine);
    let daemon = environment.daemon();
    daemon.call("app.create", json!({"id": "crm"}));
    let visit = daemon.call("app.visit", json!({"id": "crm", "sign_in": true}));
    let link = visit["url"].as_str().unwrap();
    let browser = reqwest::Client::builder().cookie_store(true).build().unwrap();
    let page = browser.get(link).send().await.unwrap();
    assert_eq!(page.url().path(), "/apps/crm/admin/");
    assert!(page.text().await.unwrap().contains("Super Admin"));
    let another = reqwest::Client::builder().cookie_store(true).build().unwrap();
    assert_eq!(another.get(link).send().await.unwrap().status(), 410);
    assert_eq!(
        daemon.refusal("app.visit", json!({"id": "crm", "sign_in": true, "user": "nobody"})),
        "user_not_found"
    );
    assert!(!environment.daemon_log().contains(link.rsplit('/').next().unwrap()));
}
