//! `nbapps key`: API keys for scripts.

use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use insta::assert_snapshot;
use macro_rules_attribute::apply;
use serde_json::json;

use crate::environment::{PATIENCE, TestEnvironment, http};
use crate::servers::{TestEngine, on_every_engine};

#[apply(on_every_engine)]
#[tokio::test]
async fn a_key_acts_in_its_role_until_it_is_revoked(engine: TestEngine) {
    let environment = TestEnvironment::of(engine);
    let daemon = environment.daemon();
    daemon.call("app.create", json!({"id": "crm"}));
    let nbapps = |line: &str| environment.nbapps(&line.split(' ').collect::<Vec<_>>());
    nbapps("user add crm --email ada@example.com --role admin --role member").ok();
    let create = "key create crm --name ci --user ada@example.com";
    assert_eq!(nbapps(create).code, 2, "which of the two roles was not said");
    assert_eq!(nbapps(&format!("{create} --role root")).code, 4);
    let made = nbapps(&format!("{create} --role member --expires never")).ok();
    let key = made.stdout.trim();
    assert!(key.split('.').count() == 3 && !key.contains('\n'), "the key alone: {key}");
    let list = async |key: &str, path: &str| http(&daemon, "GET", path, Some("crm"), Some(key), None).await.0;
    assert_eq!(list(key, "/api/auth:check").await, 200);
    assert_eq!(list(key, "/api/roles:list").await, 403, "in the role of the key");
    let admin = nbapps(&format!("{create} --role admin --expires 1h -o json")).ok().json();
    assert_eq!(list(admin["token"].as_str().unwrap(), "/api/roles:list").await, 200);
    let keys = nbapps("key list crm -o json").ok().json();
    assert_eq!((&keys[0]["expires_at"], &keys[0]["user"]), (&json!(null), &json!("ada@example.com")));
    assert!(keys[1]["expires_at"].is_string() && keys[1].get("token").is_none(), "{keys}");
    // By a name that two have, neither is meant.
    assert_eq!(nbapps("key revoke crm ci").code, 5);
    nbapps("key revoke crm 1").ok();
    assert_eq!(list(key, "/api/auth:check").await, 401);
    nbapps("key revoke crm ci").ok();
    assert_eq!(list(admin["token"].as_str().unwrap(), "/api/roles:list").await, 401);
    assert_eq!(nbapps("key revoke crm ci").code, 4);
    // Without a user, of the first root user; and not longer than it is good.
    let short = nbapps("key create crm --name short --expires 1s").ok();
    let begun = Instant::now();
    while list(short.stdout.trim(), "/api/auth:check").await != 401 {
        assert!(begun.elapsed() < PATIENCE, "the key does not expire");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(!environment.daemon_log().contains(key));
    environment.assert_kept_nowhere(key);
}

#[tokio::test]
async fn a_key_in_a_file_is_this_users_alone_and_overwrites_nothing() {
    let environment = TestEnvironment::new();
    let daemon = environment.daemon();
    daemon.call("app.create", json!({"id": "crm"}));
    let path = environment.path("key");
    let create = |user: &str, output: &str| {
        let file = path.to_str().unwrap();
        environment.nbapps(&[
            "key",
            "create",
            "crm",
            "--name",
            "ci",
            "--user",
            user,
            "--output-file",
            file,
            "-o",
            output,
        ])
    };
    assert_eq!(create("nobody", "table").code, 4);
    assert!(!path.exists(), "nothing is left of a file without a key");
    let said = create("nocobase", "json").ok();
    let key = std::fs::read_to_string(&path).unwrap();
    assert!(!said.stdout.contains(key.trim()) && said.json()["key"]["name"] == "ci", "{}", said.stdout);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let (status, _) = http(&daemon, "GET", "/api/users:list", Some("crm"), Some(key.trim()), None).await;
    assert_eq!(status, 200);
    assert_eq!(create("nocobase", "table").code, 2, "it exists");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), key);
    let keys = daemon.call("key.list", json!({"id": "crm"}));
    assert_eq!(keys["keys"].as_array().unwrap().len(), 1, "no key was made that nobody has");
}

#[test]
fn what_is_said_of_keys() {
    let environment = TestEnvironment::new();
    let _daemon = environment.daemon();
    environment.nbapps(&["create", "crm"]).ok();
    let file = environment.path("key").display().to_string();
    assert_snapshot!(environment.transcript(&[
        "key list crm",
        &format!(
            "key create crm --name ci --user nocobase --role admin --expires never --output-file {file}"
        ),
        &format!("key create crm --name ci --user nocobase --role admin --output-file {file}"),
        "key create crm --name ci --user nocobase --role nosuch",
        "key create crm --name ci --user nobody",
        "key create crm --name ci --user nocobase --expires soon",
        "key create crm --name ci --user nocobase -o name",
        "key list crm",
        "key revoke crm nosuch",
        "key revoke crm ci",
        "key list crm -o json",
    ]));
}
