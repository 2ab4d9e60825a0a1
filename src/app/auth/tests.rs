//! Sign-in against a real application's tables.

use std::collections::HashSet;
use std::net::IpAddr;

use chrono::TimeDelta;
use macro_rules_attribute::apply;

use super::token::Claims;
use super::*;
use crate::app::App;
use crate::app::system::{API_KEYS, AUTHENTICATORS, ROLES_USERS, TOKEN_CONTROL_CONFIG, USERS};
use crate::app::test_place::{PASSWORD, Place};
use crate::data::{Query, Record, WriteOptions};
use crate::test_servers::{TestEngine, on_every_engine};

/// A day: how long tokens are good by default.
const DAY: TimeDelta = TimeDelta::days(1);

fn code(result: Result<Arc<Session>, AuthError>) -> &'static str {
    match result {
        Ok(_) => "let in",
        Err(error) => error.code().unwrap_or("no code"),
    }
}

#[apply(on_every_engine)]
#[tokio::test]
async fn an_account_is_a_user_name_or_an_address(engine: TestEngine) {
    let place = Place::installed(engine).await;
    let app = place.open().await.unwrap();
    for account in ["nocobase", "admin@nocobase.com"] {
        let signed_in = app.auth().sign_in(&Credentials::new(account, PASSWORD)).await.unwrap();
        assert_eq!(signed_in.user.roles, ["admin", "member", "root"]);
        let session = app.auth().authenticate(&signed_in.token).await.unwrap();
        assert!(session.is_root());
        assert_eq!(session.user.nickname.as_deref(), Some("Super Admin"));
    }
    for (account, password, status) in [
        ("nocobase", "wrong", 401),
        ("nobody", PASSWORD, 401),
        ("x\0y", PASSWORD, 401),
        (&*"x".repeat(300), PASSWORD, 401),
        ("", PASSWORD, 400),
        ("nocobase", "", 400),
    ] {
        let refused = app.auth().sign_in(&Credentials::new(account, password)).await.unwrap_err();
        assert_eq!(refused.status(), status, "{account}: {refused}");
    }
}

#[apply(on_every_engine)]
#[tokio::test]
async fn nobody_learns_from_a_refusal_whether_the_account_exists(engine: TestEngine) {
    let place = Place::installed(engine).await;
    let app = place.open().await.unwrap();
    let known = app.auth().sign_in(&Credentials::new("nocobase", "wrong")).await.unwrap_err().to_string();
    let unknown = app.auth().sign_in(&Credentials::new("nobody", "wrong")).await.unwrap_err().to_string();
    assert_eq!(known, unknown);
}

#[apply(on_every_engine)]
#[tokio::test]
async fn tokens_are_refused_with_the_right_word(engine: TestEngine) {
    let place = Place::installed(engine).await;
    let app = place.open().await.unwrap();
    let auth = app.auth();
    let token = auth.sign_in(&Credentials::new("nocobase", PASSWORD)).await.unwrap().token;
    let now = Utc::now();
    let keys = Keys::new(b"secret");
    for (what, given, expected) in [
        ("good", token.clone(), "let in"),
        ("none", String::new(), "EMPTY_TOKEN"),
        ("nonsense", "not.a.token".into(), "INVALID_TOKEN"),
        (
            "another application's",
            Keys::new(b"other").sign(&Claims::new(1, now, DAY)).unwrap(),
            "INVALID_TOKEN",
        ),
        ("ended, of no session", keys.sign(&Claims::new(1, now - DAY, DAY)).unwrap(), "TOKEN_RENEW_FAILED"),
        ("ended long ago", keys.sign(&Claims::new(1, now - DAY * 3, DAY)).unwrap(), "EXPIRED_SESSION"),
        (
            "of a session of last week",
            keys.sign(&Claims::new(1, now - DAY * 8, DAY * 9)).unwrap(),
            "EXPIRED_SESSION",
        ),
        ("nobody's", keys.sign(&Claims::new(99, now, DAY)).unwrap(), "NOT_EXIST_USER"),
    ] {
        assert_eq!(code(auth.authenticate(&given).await), expected, "{what}");
    }
    auth.replace_secret(b"new");
    assert_eq!(code(auth.authenticate(&token).await), "INVALID_TOKEN");
    let token = auth.sign_in(&Credentials::new("nocobase", PASSWORD)).await.unwrap().token;
    assert_eq!(code(auth.authenticate(&token).await), "let in");
}

#[apply(on_every_engine)]
#[tokio::test]
async fn a_signed_out_token_is_refused_also_after_a_restart(engine: TestEngine) {
    let place = Place::installed(engine).await;
    let app = place.open().await.unwrap();
    let credentials = Credentials::new("nocobase", PASSWORD);
    let [first, second] = [(); 2].map(|()| app.auth().sign_in(&credentials));
    let (first, second) = (first.await.unwrap().token, second.await.unwrap().token);
    let session = app.auth().authenticate(&first).await.unwrap();
    app.auth().sign_out(&session).await.unwrap();
    for app in [app, place.open().await.unwrap()] {
        assert_eq!(code(app.auth().authenticate(&first).await), "BLOCKED_TOKEN");
        assert_eq!(code(app.auth().authenticate(&second).await), "let in");
    }
}

#[apply(on_every_engine)]
#[tokio::test]
async fn ended_tokens_leave_the_blacklist(engine: TestEngine) {
    let place = Place::installed(engine).await;
    let app = place.open().await.unwrap();
    let old = json!({"token": Uuid::new_v4(), "expiration": "2020-01-01T00:00:00.000Z"});
    place.source.system().insert(&TOKEN_BLACKLIST, object(old)).await.unwrap();
    let token = app.auth().sign_in(&Credentials::new("nocobase", PASSWORD)).await.unwrap().token;
    let session = app.auth().authenticate(&token).await.unwrap();
    app.auth().sign_out(&session).await.unwrap();
    let left = place.source.find(&TOKEN_BLACKLIST, Query::default()).await.unwrap();
    assert_eq!(left.len(), 1);
    assert_eq!(left[0]["token"], session.token_id);
}

#[apply(on_every_engine)]
#[tokio::test]
async fn a_changed_password_ends_every_session(engine: TestEngine) {
    let place = Place::installed(engine).await;
    let app = place.open().await.unwrap();
    let auth = app.auth();
    let token = auth.sign_in(&Credentials::new("nocobase", PASSWORD)).await.unwrap().token;
    let session = auth.authenticate(&token).await.unwrap();
    for (old, new, status) in [("wrong", "n3w", 401), (PASSWORD, "", 400)] {
        let refused = auth.change_password(&session, old, new).await.unwrap_err();
        assert_eq!(refused.status(), status, "{refused}");
    }
    assert_eq!(code(auth.authenticate(&token).await), "let in");
    auth.change_password(&session, PASSWORD, "n3w").await.unwrap();
    assert_eq!(code(auth.authenticate(&token).await), "INVALID_TOKEN");
    assert_eq!(auth.sign_in(&Credentials::new("nocobase", PASSWORD)).await.unwrap_err().status(), 401);
    let next = auth.sign_in(&Credentials::new("nocobase", "n3w")).await.unwrap().token;
    assert_eq!(code(auth.authenticate(&next).await), "let in", "within the same second");
    // It is no matter of clocks: what was signed for the password of before is refused.
    let later = Claims::new(1, Utc::now() + TimeDelta::hours(2), DAY);
    let of_before = Keys::new(b"secret").sign(&later).unwrap();
    assert_eq!(code(auth.authenticate(&of_before).await), "INVALID_TOKEN");
    for app in [place.open().await.unwrap(), app] {
        assert_eq!(code(app.auth().authenticate(&next).await), "let in");
        assert_eq!(code(app.auth().authenticate(&token).await), "INVALID_TOKEN");
    }
}

#[apply(on_every_engine)]
#[tokio::test]
async fn a_password_that_is_set_by_a_clock_behind_ends_sessions_too(engine: TestEngine) {
    let place = Place::installed(engine).await;
    let app = place.open().await.unwrap();
    let auth = app.auth();
    let in_the_future = Utc::now().timestamp_millis() + 3_600_000;
    let changed = object(json!({"passwordChangeTz": in_the_future}));
    place.source.system().update(&USERS, &Filter::eq("id", 1), changed).await.unwrap();
    auth.forget_users();
    let mut password = PASSWORD.to_owned();
    let mut tokens: Vec<String> = Vec::new();
    for round in 0..3 {
        let token = auth.sign_in(&Credentials::new("nocobase", &password)).await.unwrap().token;
        let session = auth.authenticate(&token).await.unwrap();
        for before in &tokens {
            assert_eq!(code(auth.authenticate(before).await), "INVALID_TOKEN", "{round}");
        }
        let next = format!("password {round}");
        auth.change_password(&session, &password, &next).await.unwrap();
        tokens.push(token);
        password = next;
    }
}

/// A user of this name and address with a password like the name.
async fn add_user(app: &App, name: &str, email: &str) -> Result<Record, DataError> {
    let hash = app.auth().hash_password(name.to_owned()).await.unwrap();
    let user = object(json!({"username": name, "email": email, "password": hash}));
    app.source().records(&WriteOptions::default()).create(&USERS, user).await
}

#[apply(on_every_engine)]
#[tokio::test]
async fn names_are_compared_without_regard_to_case_and_kept_as_written(engine: TestEngine) {
    let place = Place::installed(engine).await;
    let app = place.open().await.unwrap();
    add_user(&app, "Zoé_%", "Zoe@Example.org").await.unwrap();
    for account in ["Zoe@Example.org", "zoe@example.org", "ZOE@EXAMPLE.ORG", "zoé_%", "ZOÉ_%"] {
        let signed_in = app.auth().sign_in(&Credentials::new(account, "Zoé_%")).await.unwrap();
        assert_eq!(signed_in.user.email.as_deref(), Some("Zoe@Example.org"), "{account}");
    }
    for nobody in ["zoé_x", "zoéx%", "zoe@exampleXorg"] {
        let refused = app.auth().sign_in(&Credentials::new(nobody, "Zoé_%")).await.unwrap_err();
        assert_eq!(refused.status(), 401, "{nobody}");
    }
    for (name, email, field) in
        [("other", "zoe@example.ORG", "email"), ("ZOÉ_%", "other@example.org", "username")]
    {
        let refused = add_user(&app, name, email).await.unwrap_err();
        assert_eq!(refused.unique(), Some(&[field.to_owned()][..]), "{refused}");
        let given = object(json!({
            "username": name.replace('%', "x"), "email": email, "password": "x", "confirm_password": "x",
        }));
        if field == "email" {
            let options = json!({"public": {"allowSignUp": true, "signupForm": [
                {"field": "username", "show": true, "required": true}, {"field": "email", "show": true},
            ]}});
            let form = object(json!({"options": options}));
            place.source.system().update(&AUTHENTICATORS, &Filter::All, form).await.unwrap();
            let refused = app.auth().sign_up(None, None, &given).await.unwrap_err();
            assert!(matches!(&refused, AuthError::Data(error) if error.unique().is_some()), "{refused}");
        }
    }
    add_user(&app, "zoéx%", "zoe2@example.org").await.unwrap();
}

#[apply(on_every_engine)]
#[tokio::test]
async fn two_spellings_at_once_are_one_user(engine: TestEngine) {
    let place = Place::installed(engine).await;
    let app = place.open().await.unwrap();
    let spelled = ["ann", "Ann", "aNn", "anN", "ANn", "AnN", "aNN", "ANN"];
    let made = spelled.map(|name| {
        let app = Arc::clone(&app);
        tokio::spawn(async move { add_user(&app, name, &format!("{name}@example.org")).await.is_ok() })
    });
    let mut users = 0;
    for made in made {
        users += usize::from(made.await.unwrap());
    }
    assert_eq!(users, 1);
}

#[apply(on_every_engine)]
#[tokio::test]
async fn where_both_spellings_are_there_already_each_is_itself(engine: TestEngine) {
    let place = Place::installed(engine).await;
    let app = place.open().await.unwrap();
    let mut users = Vec::new();
    for name in ["zoe", "Zoe"] {
        let hash = app.auth().hash_password(name.to_owned()).await.unwrap();
        let user = object(json!({"username": name, "password": hash}));
        users.push(place.source.system().insert(&USERS, user).await.unwrap()["id"].as_i64().unwrap());
    }
    for (account, password, user) in
        [("zoe", "zoe", Some(0)), ("Zoe", "Zoe", Some(1)), ("ZOE", "zoe", Some(0)), ("zoe", "Zoe", None)]
    {
        let signed_in = app.auth().sign_in(&Credentials::new(account, password)).await;
        let found = signed_in.ok().map(|signed_in| signed_in.user.id);
        assert_eq!(found, user.map(|user: usize| users[user]), "{account} {password}");
    }
    // Each may be written again as it is, or given a name of its own.
    for (id, name) in [(users[1], "Zoe"), (users[0], "zoe"), (users[1], "zoe2")] {
        let changes = object(json!({"username": name, "nickname": "x"}));
        let own = Filter::eq("id", id);
        app.source().records(&WriteOptions::default()).update(&USERS, own, changes).await.unwrap();
    }
}

#[apply(on_every_engine)]
#[tokio::test]
async fn tries_count_for_the_account_however_it_is_spelled(engine: TestEngine) {
    let place = Place::installed(engine).await;
    let app = place.open().await.unwrap();
    let client = Some(IpAddr::from([192, 0, 2, 1]));
    let mut refused = Vec::new();
    for account in ["nocobase", "NocoBase", "NOCOBASE", "admin@nocobase.com", "Admin@NocoBase.com"] {
        for _ in 0..4 {
            let wrong = Credentials { client, ..Credentials::new(account, "wrong") };
            refused.push(app.auth().sign_in(&wrong).await.unwrap_err().status().as_u16());
        }
    }
    assert_eq!(refused, [[401; 10], [429; 10]].concat());
}

#[apply(on_every_engine)]
#[tokio::test]
async fn what_memory_knows_of_a_user_is_forgotten_with_a_change(engine: TestEngine) {
    let place = Place::installed(engine).await;
    let app = place.open().await.unwrap();
    let token = app.auth().sign_in(&Credentials::new("nocobase", PASSWORD)).await.unwrap().token;
    place.source.system().destroy(&USERS, &Filter::All).await.unwrap();
    assert_eq!(code(app.auth().authenticate(&token).await), "let in", "answered from memory");
    app.auth().forget_users();
    assert_eq!(code(app.auth().authenticate(&token).await), "NOT_EXIST_USER");
    let statements = async || app.auth().authenticate(&token).await;
    place.source.database().close().await;
    assert_eq!(code(statements().await), "NOT_EXIST_USER", "also from memory");
}

/// A token that ended so long ago.
fn ended(app: &App, token: &str, ago: TimeDelta) -> String {
    app.auth().aged(token, DAY + ago)
}

#[apply(on_every_engine)]
#[tokio::test]
async fn an_ended_token_is_replaced_once(engine: TestEngine) {
    let place = Place::installed(engine).await;
    let app = place.open().await.unwrap();
    let auth = app.auth();
    let token = auth.sign_in(&Credentials::new("nocobase", PASSWORD)).await.unwrap().token;
    let old = ended(&app, &token, TimeDelta::hours(1));
    assert!(matches!(auth.authenticate_stream(&old).await, Err(AuthError::SkipRenew)));

    let at_once = (0..8).map(|_| {
        let (app, old) = (Arc::clone(&app), old.clone());
        tokio::spawn(async move { app.auth().authenticate(&old).await.unwrap() })
    });
    let mut ids = HashSet::new();
    let mut new = String::new();
    for session in at_once.collect::<Vec<_>>() {
        let session = session.await.unwrap();
        let renewed = session.renewed.as_ref().unwrap();
        assert!(renewed.expires > Utc::now() + TimeDelta::hours(23));
        new.clone_from(&renewed.token);
        ids.insert(session.token_id.clone());
    }
    assert_eq!(ids.len(), 1, "all of them were given the same");
    assert!(auth.authenticate(&new).await.unwrap().renewed.is_none());
    assert_eq!(code(auth.authenticate(&old).await), "let in", "for a few seconds more");
    let restarted = place.open().await.unwrap();
    assert_eq!(code(restarted.auth().authenticate(&old).await), "TOKEN_RENEW_FAILED");
    assert_eq!(code(restarted.auth().authenticate(&new).await), "let in");
    // A session goes on like this until it ends.
    let old = ended(&app, &new, TimeDelta::hours(2));
    assert!(restarted.auth().authenticate(&old).await.unwrap().renewed.is_some());
    assert_eq!(place.source.count(&ISSUED_TOKENS, &Filter::All).await.unwrap(), 1);
}

#[apply(on_every_engine)]
#[tokio::test]
async fn what_ended_a_session_keeps_its_token_from_being_replaced(engine: TestEngine) {
    let place = Place::installed(engine).await;
    let app = place.open().await.unwrap();
    let auth = app.auth();
    let sign_in = async |password| auth.sign_in(&Credentials::new("nocobase", password)).await.unwrap().token;

    let signed_out = sign_in(PASSWORD).await;
    let session = auth.authenticate(&signed_out).await.unwrap();
    auth.sign_out(&session).await.unwrap();
    let old = ended(&app, &signed_out, TimeDelta::minutes(1));
    assert_eq!(code(auth.authenticate(&old).await), "BLOCKED_TOKEN");

    // Signed out with a token that had ended: the new one is refused too.
    let token = sign_in(PASSWORD).await;
    let old = ended(&app, &token, TimeDelta::minutes(1));
    let session = auth.authenticate(&old).await.unwrap();
    auth.sign_out(&session).await.unwrap();
    let new = &session.renewed.as_ref().unwrap().token;
    for token in [new, &old] {
        assert_eq!(code(auth.authenticate(token).await), "BLOCKED_TOKEN");
    }

    let other = sign_in(PASSWORD).await;
    let session = auth.authenticate(&sign_in(PASSWORD).await).await.unwrap();
    auth.change_password(&session, PASSWORD, "n3w").await.unwrap();
    assert_eq!(place.source.count(&ISSUED_TOKENS, &Filter::All).await.unwrap(), 0);
    let old = ended(&app, &other, TimeDelta::minutes(1));
    assert_eq!(code(auth.authenticate(&old).await), "INVALID_TOKEN");

    let kept = sign_in("n3w").await;
    auth.sessions.forget(1);
    place.source.system().destroy(&ISSUED_TOKENS, &Filter::eq("userId", 1)).await.unwrap();
    let claims = auth.keys.load().check(&kept).unwrap();
    let known = auth.renewals.renew(&place.source, &claims, DAY, Utc::now()).await;
    assert!(matches!(known, Err(AuthError::RenewFailed)));
}

#[apply(on_every_engine)]
#[tokio::test]
async fn the_policy_of_the_application_counts(engine: TestEngine) {
    let place = Place::installed(engine).await;
    let config = json!({"config": {
        "tokenExpirationTime": "2h", "sessionExpirationTime": "3h", "expiredTokenRenewLimit": "10m",
    }});
    place.source.system().update(&TOKEN_CONTROL_CONFIG, &Filter::All, object(config)).await.unwrap();
    let app = place.open().await.unwrap();
    let signed_in = app.auth().sign_in(&Credentials::new("nocobase", PASSWORD)).await.unwrap();
    let left = signed_in.expires - Utc::now();
    assert!(left > TimeDelta::minutes(119) && left <= TimeDelta::hours(2), "{left}");
    for (minutes, expected) in
        [(100, "let in"), (125, "let in"), (135, "EXPIRED_SESSION"), (185, "EXPIRED_SESSION")]
    {
        let later = Utc::now() + TimeDelta::minutes(minutes);
        assert_eq!(code(app.auth().check(&signed_in.token, true, later).await), expected, "{minutes}");
    }
    // What cannot be read locks nobody out.
    let broken = object(json!({"config": {"tokenExpirationTime": "soon"}}));
    place.source.system().update(&TOKEN_CONTROL_CONFIG, &Filter::All, broken).await.unwrap();
    app.auth().reload().await.unwrap();
    let signed_in = app.auth().sign_in(&Credentials::new("nocobase", PASSWORD)).await.unwrap();
    assert!(signed_in.expires > Utc::now() + TimeDelta::hours(23));
}

#[apply(on_every_engine)]
#[tokio::test]
async fn who_fails_too_often_waits_and_nobody_else(engine: TestEngine) {
    let place = Place::installed(engine).await;
    let app = place.open().await.unwrap();
    let client = |n: u8| Some(IpAddr::from([192, 0, 2, n]));
    let attempt = async |account: &str, password: &str, n: u8| {
        let credentials = Credentials { client: client(n), ..Credentials::new(account, password) };
        app.auth().sign_in(&credentials).await.map(|_| ())
    };
    // Many at once gain nothing.
    let at_once = (0..20).map(|_| {
        let app = Arc::clone(&app);
        tokio::spawn(async move {
            let wrong = Credentials { client: client(1), ..Credentials::new("nocobase", "wrong") };
            app.auth().sign_in(&wrong).await.unwrap_err().status().as_u16()
        })
    });
    let mut counted = [0, 0];
    for status in at_once.collect::<Vec<_>>() {
        counted[usize::from(status.await.unwrap() == 429)] += 1;
    }
    assert_eq!(counted, [10, 10]);
    let refused = attempt("nocobase", PASSWORD, 1).await.unwrap_err();
    assert_eq!((refused.status().as_u16(), refused.code()), (429, Some("TOO_MANY_ATTEMPTS")));
    attempt("nocobase", PASSWORD, 2).await.unwrap();
    assert_eq!(attempt("nobody", "wrong", 1).await.unwrap_err().status(), 401);

    // A right password starts over.
    for _ in 0..3 {
        for _ in 0..9 {
            assert_eq!(attempt("nocobase", "wrong", 3).await.unwrap_err().status(), 401);
        }
        attempt("nocobase", PASSWORD, 3).await.unwrap();
    }
    // Another application has counters of its own, and these end with a restart.
    let other = place.open().await.unwrap();
    let again = Credentials { client: client(1), ..Credentials::new("nocobase", PASSWORD) };
    other.auth().sign_in(&again).await.unwrap();
}

#[apply(on_every_engine)]
#[tokio::test]
async fn a_stolen_session_cannot_guess_the_password(engine: TestEngine) {
    let place = Place::installed(engine).await;
    let app = place.open().await.unwrap();
    let token = app.auth().sign_in(&Credentials::new("nocobase", PASSWORD)).await.unwrap().token;
    let session = app.auth().authenticate(&token).await.unwrap();
    let mut last = 401;
    for _ in 0..11 {
        last = app.auth().change_password(&session, "wrong", "n3w").await.unwrap_err().status().as_u16();
    }
    assert_eq!(last, 429);
}

async fn key(app: &App, session: &Session, role: &str, expires_in: Value) -> Result<String, AuthError> {
    let new = NewApiKey { name: "ci".into(), role: role.into(), expires_in };
    app.auth().create_api_key(session, new).await.map(|(_, token)| token)
}

#[apply(on_every_engine)]
#[tokio::test]
async fn an_api_key_acts_in_its_role_until_it_is_removed(engine: TestEngine) {
    let place = Place::installed(engine).await;
    let app = place.open().await.unwrap();
    let auth = app.auth();
    let token = auth.sign_in(&Credentials::new("nocobase", PASSWORD)).await.unwrap().token;
    let session = auth.authenticate(&token).await.unwrap();
    let member = key(&app, &session, "member", json!("30d")).await.unwrap();
    let root = key(&app, &session, "root", json!("never")).await.unwrap();
    for (key, role) in [(&member, "member"), (&root, "root")] {
        let session = auth.authenticate(key).await.unwrap();
        assert_eq!((&session.user.roles[..], session.user.id), (&[role.to_owned()][..], 1));
        assert_eq!(session.key_role.as_deref(), Some(role));
        assert_eq!(session.is_root(), role == "root");
    }
    // A key makes no key for another role, and changes no password.
    let as_member = auth.authenticate(&member).await.unwrap();
    assert_eq!(key(&app, &as_member, "root", json!("1d")).await.unwrap_err().status(), 400);
    assert_eq!(auth.change_password(&as_member, PASSWORD, "n3w").await.unwrap_err().status(), 403);

    let (year, day) = (Utc::now() + TimeDelta::days(365), Utc::now() + TimeDelta::days(31));
    assert_eq!(code(auth.check(&root, true, year).await), "let in");
    assert_eq!(code(auth.check(&member, true, day).await), "INVALID_TOKEN", "it has ended");
    assert_eq!(auth.destroy_api_keys(&session, Filter::eq("roleName", "root")).await.unwrap(), 1);
    for app in [&app, &place.open().await.unwrap()] {
        assert_eq!(code(app.auth().authenticate(&root).await), "BLOCKED_TOKEN");
        assert_eq!(code(app.auth().authenticate(&member).await), "let in");
    }
    let stored = place.source.find(&API_KEYS, Query::default().fields(&["token"])).await.unwrap();
    assert!(!member.contains(stored[0]["token"].as_str().unwrap()), "only its ID is kept");
    // The role is taken from the user.
    place.source.system().destroy(&ROLES_USERS, &Filter::eq("roleName", "member")).await.unwrap();
    auth.forget_users();
    assert_eq!(code(auth.authenticate(&member).await), "ROLE_NOT_FOUND_FOR_USER");
}

#[apply(on_every_engine)]
#[tokio::test]
async fn a_known_key_is_let_in_without_the_database(engine: TestEngine) {
    let place = Place::installed(engine).await;
    let app = place.open().await.unwrap();
    let token = app.auth().sign_in(&Credentials::new("nocobase", PASSWORD)).await.unwrap().token;
    let session = app.auth().authenticate(&token).await.unwrap();
    let [kept, removed] =
        [key(&app, &session, "root", json!("1d")), key(&app, &session, "root", json!("1d"))];
    let (kept, removed) = (kept.await.unwrap(), removed.await.unwrap());
    app.auth().destroy_api_keys(&session, Filter::eq("id", 2)).await.unwrap();
    for (key, expected) in [(&kept, "let in"), (&removed, "BLOCKED_TOKEN")] {
        assert_eq!(code(app.auth().authenticate(key).await), expected);
    }
    place.source.database().close().await;
    for (key, expected) in [(&kept, "let in"), (&removed, "BLOCKED_TOKEN"), (&token, "let in")] {
        assert_eq!(code(app.auth().authenticate(key).await), expected);
    }
}

#[apply(on_every_engine)]
#[tokio::test]
async fn what_a_removed_user_leaves_goes_with_it(engine: TestEngine) {
    let place = Place::installed(engine).await;
    let app = place.open().await.unwrap();
    let token = app.auth().sign_in(&Credentials::new("nocobase", PASSWORD)).await.unwrap().token;
    let session = app.auth().authenticate(&token).await.unwrap();
    let key = key(&app, &session, "root", json!("never")).await.unwrap();
    assert_eq!(code(app.auth().authenticate(&key).await), "let in");
    let mut transaction = place.source.begin().await.unwrap();
    remove_traces(&mut transaction, 1).await.unwrap();
    transaction.system().destroy(&USERS, &Filter::eq("id", 1)).await.unwrap();
    transaction.commit().await.unwrap();
    app.auth().forget_users();
    for token in [&token, &key] {
        assert_eq!(code(app.auth().authenticate(token).await), "NOT_EXIST_USER");
    }
    for collection in [&*ISSUED_TOKENS, &*API_KEYS, &*ROLES_USERS] {
        assert_eq!(place.source.count(collection, &Filter::All).await.unwrap(), 0, "{}", collection.name());
    }
}

#[apply(on_every_engine)]
#[tokio::test]
async fn tickets_sign_in_once(engine: TestEngine) {
    let place = Place::installed(engine).await;
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

#[apply(on_every_engine)]
#[tokio::test]
async fn a_form_token_is_of_its_session(engine: TestEngine) {
    let place = Place::installed(engine).await;
    let app = place.open().await.unwrap();
    let [first, second] = [(); 2].map(|()| async {
        let token = app.auth().sign_in(&Credentials::new("nocobase", PASSWORD)).await.unwrap().token;
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
