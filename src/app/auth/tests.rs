//! Sign-in against a real application's tables.

use super::*;
use crate::app::test_place::{PASSWORD, Place};

fn code(result: Result<Arc<Session>, AuthError>) -> &'static str {
    match result {
        Ok(_) => "let in",
        Err(error) => error.code().unwrap_or("no code"),
    }
}

#[tokio::test]
async fn an_account_is_a_user_name_or_an_address() {
    let place = Place::installed(module_path!()).await;
    let app = place.open().await.unwrap();
    for account in ["nocobase", "admin@nocobase.com"] {
        let signed_in = app.auth().sign_in(account, PASSWORD).await.unwrap();
        assert_eq!(signed_in.user.roles, ["admin", "member", "root"]);
        let session = app.auth().authenticate(&signed_in.token).await.unwrap();
        assert!(session.is_root());
        assert_eq!(session.user.name(), "Super Admin");
    }
    for (account, password, status) in [
        ("nocobase", "wrong", 401),
        ("nobody", PASSWORD, 401),
        ("x\0y", PASSWORD, 401),
        (&*"x".repeat(300), PASSWORD, 401),
        ("", PASSWORD, 400),
        ("nocobase", "", 400),
    ] {
        let refused = app.auth().sign_in(account, password).await.unwrap_err();
        assert_eq!(refused.status(), status, "{account}: {refused}");
    }
}

#[tokio::test]
async fn nobody_learns_from_a_refusal_whether_the_account_exists() {
    let place = Place::installed(module_path!()).await;
    let app = place.open().await.unwrap();
    let known = app.auth().sign_in("nocobase", "wrong").await.unwrap_err().to_string();
    let unknown = app.auth().sign_in("nobody", "wrong").await.unwrap_err().to_string();
    assert_eq!(known, unknown);
}

#[tokio::test]
async fn tokens_are_refused_with_the_right_word() {
    let place = Place::installed(module_path!()).await;
    let app = place.open().await.unwrap();
    let auth = app.auth();
    let token = auth.sign_in("nocobase", PASSWORD).await.unwrap().token;
    let now = Utc::now();
    let keys = Keys::new(b"secret");
    for (what, given, expected) in [
        ("good", token.clone(), "let in"),
        ("none", String::new(), "EMPTY_TOKEN"),
        ("nonsense", "not.a.token".into(), "INVALID_TOKEN"),
        ("another application's", Keys::new(b"other").sign(&Claims::new(1, now)).unwrap(), "INVALID_TOKEN"),
        ("expired", keys.sign(&Claims::new(1, now - TimeDelta::days(2))).unwrap(), "EXPIRED_TOKEN"),
        ("nobody's", keys.sign(&Claims::new(99, now)).unwrap(), "NOT_EXIST_USER"),
    ] {
        assert_eq!(code(auth.authenticate(&given).await), expected, "{what}");
    }
    auth.replace_secret(b"new");
    assert_eq!(code(auth.authenticate(&token).await), "INVALID_TOKEN");
    let token = auth.sign_in("nocobase", PASSWORD).await.unwrap().token;
    assert_eq!(code(auth.authenticate(&token).await), "let in");
}

#[tokio::test]
async fn a_signed_out_token_is_refused_also_after_a_restart() {
    let place = Place::installed(module_path!()).await;
    let app = place.open().await.unwrap();
    let [first, second] = [(); 2].map(|()| app.auth().sign_in("nocobase", PASSWORD));
    let (first, second) = (first.await.unwrap().token, second.await.unwrap().token);
    let session = app.auth().authenticate(&first).await.unwrap();
    app.auth().sign_out(&session).await.unwrap();
    for app in [app, place.open().await.unwrap()] {
        assert_eq!(code(app.auth().authenticate(&first).await), "BLOCKED_TOKEN");
        assert_eq!(code(app.auth().authenticate(&second).await), "let in");
    }
}

#[tokio::test]
async fn ended_tokens_leave_the_blacklist() {
    let place = Place::installed(module_path!()).await;
    let app = place.open().await.unwrap();
    let old = json!({"token": Uuid::new_v4(), "expiration": "2020-01-01T00:00:00.000Z"});
    place.source.insert(&TOKEN_BLACKLIST, object(old)).await.unwrap();
    let token = app.auth().sign_in("nocobase", PASSWORD).await.unwrap().token;
    let session = app.auth().authenticate(&token).await.unwrap();
    app.auth().sign_out(&session).await.unwrap();
    let left = place.source.find(&TOKEN_BLACKLIST, Query::default()).await.unwrap();
    assert_eq!(left.len(), 1);
    assert_eq!(left[0]["token"], session.token_id);
}

#[tokio::test]
async fn a_changed_password_ends_every_session() {
    let place = Place::installed(module_path!()).await;
    let app = place.open().await.unwrap();
    let auth = app.auth();
    let token = auth.sign_in("nocobase", PASSWORD).await.unwrap().token;
    let session = auth.authenticate(&token).await.unwrap();
    for (old, new, status) in [("wrong", "n3w", 401), (PASSWORD, "", 400)] {
        let refused = auth.change_password(&session, old, new).await.unwrap_err();
        assert_eq!(refused.status(), status, "{refused}");
    }
    assert_eq!(code(auth.authenticate(&token).await), "let in");
    auth.change_password(&session, PASSWORD, "n3w").await.unwrap();
    assert_eq!(code(auth.authenticate(&token).await), "INVALID_TOKEN");
    assert_eq!(auth.sign_in("nocobase", PASSWORD).await.unwrap_err().status(), 401);
    auth.sign_in("nocobase", "n3w").await.unwrap();
    // Signed in the second after the change.
    let later = Claims::new(1, Utc::now() + TimeDelta::seconds(1));
    let token = Keys::new(b"secret").sign(&later).unwrap();
    assert_eq!(code(auth.authenticate(&token).await), "let in");
}

#[tokio::test]
async fn what_memory_knows_of_a_user_is_forgotten_with_a_change() {
    let place = Place::installed(module_path!()).await;
    let app = place.open().await.unwrap();
    let token = app.auth().sign_in("nocobase", PASSWORD).await.unwrap().token;
    place.source.destroy(&USERS, &Filter::All).await.unwrap();
    assert_eq!(code(app.auth().authenticate(&token).await), "let in", "answered from memory");
    app.auth().forget_user(1);
    assert_eq!(code(app.auth().authenticate(&token).await), "NOT_EXIST_USER");
}

#[tokio::test]
async fn tickets_sign_in_once() {
    let place = Place::installed(module_path!()).await;
    let app = place.open().await.unwrap();
    for user in [None, Some("nocobase"), Some("admin@nocobase.com")] {
        let (ticket, until) = app.auth().issue_ticket(user).await.unwrap();
        assert!(until > Utc::now());
        let signed_in = app.auth().redeem_ticket(&ticket).await.unwrap();
        assert_eq!(code(app.auth().authenticate(&signed_in.token).await), "let in");
        assert!(matches!(app.auth().redeem_ticket(&ticket).await, Err(AuthError::InvalidTicket)));
    }
    let refused = app.auth().issue_ticket(Some("nobody")).await.unwrap_err();
    assert!(matches!(refused, AuthError::NoSuchUser(_)));
}

#[tokio::test]
async fn a_form_token_is_of_its_session() {
    let place = Place::installed(module_path!()).await;
    let app = place.open().await.unwrap();
    let [first, second] = [(); 2].map(|()| async {
        let token = app.auth().sign_in("nocobase", PASSWORD).await.unwrap().token;
        app.auth().authenticate(&token).await.unwrap()
    });
    let (first, second) = (first.await, second.await);
    let token = app.auth().form_token(&first);
    assert!(app.auth().check_form_token(&first, &token));
    assert!(!app.auth().check_form_token(&second, &token));
    assert!(!app.auth().check_form_token(&first, ""));
    app.auth().replace_secret(b"new");
    assert!(!app.auth().check_form_token(&first, &token));
}
