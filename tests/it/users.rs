//! `nbapps user`: an operator looks after the users of an application.

use std::io::Write as _;
use std::process::Stdio;

use insta::assert_snapshot;
use macro_rules_attribute::apply;
use serde_json::{Value, json};

use crate::environment::{Daemon, ROOT_PASSWORD, TestEnvironment, http, sign_in};
use crate::servers::{TestEngine, on_every_engine};

/// Signs a user of `crm` in; gives the status and the token.
async fn enter(daemon: &Daemon, account: &str, password: &str) -> (u16, String) {
    let body = Some(json!({"account": account, "password": password}));
    let (status, answer) = http(daemon, "POST", "/api/auth:signIn", Some("crm"), None, body).await;
    (status, answer["data"]["token"].as_str().unwrap_or_default().to_owned())
}

async fn check(daemon: &Daemon, token: &str) -> u16 {
    http(daemon, "GET", "/api/auth:check", Some("crm"), Some(token), None).await.0
}

/// Runs a command on users and gives what it says as JSON.
fn user(environment: &TestEnvironment, arguments: &str) -> Value {
    let line = format!("user {arguments} -o json");
    environment.nbapps(&line.split(' ').collect::<Vec<_>>()).ok().json()
}

fn code(environment: &TestEnvironment, line: &str) -> i32 {
    environment.nbapps(&line.split(' ').collect::<Vec<_>>()).code
}

#[apply(on_every_engine)]
#[tokio::test]
async fn an_operator_who_lost_the_password_is_in_again(engine: TestEngine) {
    let environment = TestEnvironment::of(engine);
    let daemon = environment.daemon();
    daemon.call("app.create", json!({"id": "crm"}));
    let old = sign_in(&daemon, Some("crm")).await;
    for _ in 0..11 {
        enter(&daemon, "nocobase", "was it this one?").await;
    }
    assert_eq!(enter(&daemon, "nocobase", ROOT_PASSWORD).await.0, 429, "it was tried too often");
    let set = user(&environment, "passwd crm");
    let password = set["password"].as_str().unwrap();
    assert!(password.len() == 20 && set["changed"] == true, "{set}");
    let (status, token) = enter(&daemon, "NocoBase", password).await;
    assert_eq!((status, check(&daemon, &token).await), (200, 200), "under each name, at once");
    assert_eq!(check(&daemon, &old).await, 401, "sessions end");
    assert_eq!(enter(&daemon, "nocobase", ROOT_PASSWORD).await.0, 401);
    // One that is given is not shown.
    std::fs::write(environment.path("password"), "given-p4ss\n").unwrap();
    let file = environment.path("password");
    let given = user(&environment, &format!("passwd crm 1 --password-file {}", file.display()));
    assert!(given.get("password").is_none(), "{given}");
    assert_eq!(check(&daemon, &token).await, 401);
    assert_eq!(enter(&daemon, "nocobase", "given-p4ss").await.0, 200);
    let mut command = environment.nbapps_command(&["user", "passwd", "crm", "nocobase", "--password-stdin"]);
    let mut setting = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    setting.stdin.take().unwrap().write_all(b"p\xc3\xa4ssw0rd from a pipe\n").unwrap();
    let set = setting.wait_with_output().unwrap();
    assert!(set.status.success() && !String::from_utf8(set.stdout).unwrap().contains("pipe"));
    assert_eq!(enter(&daemon, "nocobase", "p\u{e4}ssw0rd from a pipe").await.0, 200);
    for wrong in [&b""[..], b"two\nlines\n"] {
        std::fs::write(environment.path("password"), wrong).unwrap();
        let line = format!("user passwd crm --password-file {}", file.display());
        assert_eq!(code(&environment, &line), 2, "{wrong:?}");
    }
    // Of the main application, too.
    let main = user(&environment, "passwd main nocobase");
    let body = Some(json!({"account": "nocobase", "password": main["password"]}));
    assert_eq!(http(&daemon, "POST", "/api/auth:signIn", None, None, body).await.0, 200);
    for secret in [password, "given-p4ss", main["password"].as_str().unwrap()] {
        assert!(!environment.daemon_log().contains(secret));
        environment.assert_kept_nowhere(secret);
    }
}

#[apply(on_every_engine)]
#[tokio::test]
async fn a_disabled_user_is_out_until_it_is_enabled(engine: TestEngine) {
    let environment = TestEnvironment::of(engine);
    let daemon = environment.daemon();
    daemon.call("app.create", json!({"id": "crm"}));
    let added = user(&environment, "add crm --email ada@example.com --username ada --role admin");
    let password = added["password"].as_str().unwrap().to_owned();
    let (_, token) = enter(&daemon, "ada", &password).await;
    let key = environment.nbapps(&["key", "create", "crm", "--name", "ci", "--user", "ada"]).ok().stdout;
    let link = daemon.call("app.visit", json!({"id": "crm", "sign_in": true, "user": "ada"}));
    assert_eq!((check(&daemon, &token).await, check(&daemon, key.trim()).await), (200, 200));
    assert_eq!(user(&environment, "disable crm ADA@example.com")["user"]["disabled"], true);
    assert_eq!((check(&daemon, &token).await, check(&daemon, key.trim()).await), (401, 401));
    assert_eq!(enter(&daemon, "ada", &password).await.0, 401);
    assert_eq!(reqwest::get(link["url"].as_str().unwrap()).await.unwrap().status(), 410);
    assert_eq!(code(&environment, "visit crm --sign-in=ada --print"), 7);
    assert_eq!(code(&environment, "key create crm --name x --user ada"), 7);
    assert_eq!(user(&environment, "disable crm ada")["changed"], false);
    // Another password, of the operator or of an administrator, does not let it in.
    let reset = user(&environment, "passwd crm ada");
    assert_eq!(reset["user"]["disabled"], true);
    let root = sign_in(&daemon, Some("crm")).await;
    let path = format!("/api/users:update/{}", added["user"]["id"]);
    let body = Some(json!({"password": "an0ther!"}));
    assert_eq!(http(&daemon, "POST", &path, Some("crm"), Some(&root), body).await.0, 200);
    assert_eq!(enter(&daemon, "ada", "an0ther!").await.0, 401);
    let list = environment.nbapps(&["user", "list", "crm"]).ok().stdout;
    assert!(list.lines().any(|line| line.contains("ada@example.com") && line.contains("disabled")), "{list}");
    // Also over a restart of the daemon.
    assert!(daemon.stop().success());
    let daemon = environment.daemon();
    assert_eq!((check(&daemon, key.trim()).await, enter(&daemon, "ada", "an0ther!").await.0), (401, 401));
    assert_eq!(user(&environment, "enable crm ada")["user"]["disabled"], false);
    assert_eq!((check(&daemon, &token).await, check(&daemon, key.trim()).await), (401, 200));
    assert_eq!(enter(&daemon, "ada", "an0ther!").await.0, 200);
}

#[apply(on_every_engine)]
#[tokio::test]
async fn somebody_enabled_keeps_the_role_root(engine: TestEngine) {
    let environment = TestEnvironment::of(engine);
    let daemon = environment.daemon();
    for refused in [
        "user disable main 1",
        "user delete main 1 --yes",
        "user role main nocobase --remove root",
        "user add main --email ada@example.com --role root",
    ] {
        assert_eq!(code(&environment, refused), 7, "{refused}");
    }
    sign_in(&daemon, None).await;
    let ada = user(&environment, "add main --email ada@example.com")["user"]["id"].to_string();
    assert!(daemon.stop().success());
    // A second root user, as only another program can make one.
    let second = format!(
        "INSERT INTO \"rolesUsers\" (\"createdAt\", \"updatedAt\", \"roleName\", \"userId\") \
         SELECT \"createdAt\", \"updatedAt\", 'root', {ada} FROM \"rolesUsers\" WHERE \"roleName\" = 'root'"
    );
    crate::sql::run(&environment.main_url(), &second).await;
    let _daemon = environment.daemon();
    assert_eq!(user(&environment, "disable main nocobase")["changed"], true);
    for refused in ["disable main ID", "delete main ID --yes", "role main ID --remove root"] {
        let line = format!("user {}", refused.replace("ID", &ada));
        assert_eq!(code(&environment, &line), 7, "{line}");
    }
    let ticket = environment.nbapps(&["visit", "main", "--sign-in", "--print"]).ok();
    assert!(ticket.stdout.contains("ticket"), "the link is for the root user who is enabled");
    // The disabled one is not the last.
    assert_eq!(user(&environment, "delete main 1 --yes")["user"]["id"], 1);
}

#[apply(on_every_engine)]
#[tokio::test]
async fn roles_are_given_and_taken_together(engine: TestEngine) {
    let environment = TestEnvironment::of(engine);
    let daemon = environment.daemon();
    daemon.call("app.create", json!({"id": "crm"}));
    let roles = |said: Value| (said["user"]["roles"].clone(), said["user"]["default_role"].clone());
    let added = user(&environment, "add crm --email ada@example.com");
    assert_eq!(roles(added), (json!(["member"]), Value::Null), "the application's default role");
    let both = user(&environment, "role crm ada@example.com --add admin --default admin");
    assert_eq!(roles(both), (json!(["admin", "member"]), json!("admin")));
    let same = user(&environment, "role crm ada@example.com --add admin --default admin");
    assert_eq!(same["changed"], false);
    let one = user(&environment, "role crm 2 --remove member --remove root");
    assert_eq!(roles(one), (json!(["admin"]), json!("admin")));
    // All or nothing.
    assert_eq!(code(&environment, "user role crm 2 --add member --remove admin --default admin"), 2);
    assert_eq!(code(&environment, "user role crm 2 --add member --add nosuch"), 4);
    assert_eq!(code(&environment, "user role crm 2 --add member --add root"), 7);
    let list = user(&environment, "list crm");
    assert_eq!(list[1]["roles"], json!(["admin"]), "{list}");
    // A user who is disabled keeps and is given roles.
    user(&environment, "disable crm 2");
    let disabled = user(&environment, "role crm 2 --add member --default member");
    assert_eq!(roles(disabled), (json!(["admin", "member"]), json!("member")));
}

#[apply(on_every_engine)]
#[tokio::test]
async fn the_rules_of_the_application_hold(engine: TestEngine) {
    let environment = TestEnvironment::of(engine);
    let daemon = environment.daemon();
    daemon.call("app.create", json!({"id": "crm"}));
    let root = sign_in(&daemon, Some("crm")).await;
    let policy = Some(json!({"options": {"passwordPolicy": {"minLength": 24}}}));
    let (status, answer) =
        http(&daemon, "POST", "/api/systemSettings:update/1", Some("crm"), Some(&root), policy).await;
    assert_eq!(status, 200, "{answer}");
    let made = user(&environment, "add crm --email ada@example.com --username 7");
    assert!(made["password"].as_str().unwrap().len() >= 24, "{made}");
    std::fs::write(environment.path("short"), "too-short\n").unwrap();
    let short = environment.path("short");
    for (line, expected) in [
        (format!("user passwd crm 7 --password-file {}", short.display()), 2),
        ("user add crm --email ADA@example.com".to_owned(), 5),
        ("user add crm --email bob@example.com --username Ada@Example.com".to_owned(), 5),
        ("user add crm --email nobody".to_owned(), 2),
        ("user add crm --email bob@example.com --role nosuch".to_owned(), 4),
        ("user passwd crm nobody".to_owned(), 4),
        ("user delete crm 99 --yes".to_owned(), 4),
        ("user delete crm 99".to_owned(), 4),
        ("user delete crm 7".to_owned(), 7),
        ("user delete nosuch 7".to_owned(), 4),
        ("user passwd nosuch".to_owned(), 4),
        ("user list nosuch".to_owned(), 4),
    ] {
        assert_eq!(code(&environment, &line), expected, "{line}");
    }
    // A user name of digits is not taken for the number of somebody else.
    assert_eq!(user(&environment, "passwd crm 7")["user"]["id"], 2);
    for number in 3..=7 {
        user(&environment, &format!("add crm --email user{number}@example.com"));
    }
    assert_eq!(user(&environment, "passwd crm 7")["user"]["id"], 7);
}

#[test]
fn what_is_said_of_users() {
    let environment = TestEnvironment::new();
    let _daemon = environment.daemon();
    environment.nbapps(&["create", "crm"]).ok();
    assert_snapshot!(environment.transcript(&[
        "user list crm",
        "user add crm --email ada@example.com --username ada --nickname Ada --role admin",
        "user add crm --email ada@example.com",
        "user passwd crm ada",
        "user passwd crm ada -o name",
        "user passwd crm nobody",
        "user role crm ada --add member --default member",
        "user role crm ada --add nosuch",
        "user role crm ada",
        "user disable crm ada",
        "user disable crm ada",
        "user disable crm nocobase",
        "user list crm",
        "user list crm -o wide",
        "user list crm -o name",
        "user enable crm ada",
        "user delete crm ada",
        "user delete crm ada --yes",
        "user delete crm ada --yes",
        "stop crm",
        "user list crm",
        "user passwd nosuch",
    ]));
}
