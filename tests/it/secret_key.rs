//! The host's key: a registry with secrets is not opened without it.

use std::fs;

use macro_rules_attribute::apply;
use serde_json::json;

use crate::environment::TestEnvironment;
use crate::servers::{TestEngine, on_every_engine};

#[apply(on_every_engine)]
#[test]
fn a_missing_key_is_reported_and_not_replaced(engine: TestEngine) {
    let environment = TestEnvironment::of(engine);
    let daemon = environment.daemon();
    daemon.call("app.create", json!({"id": "crm", "start": true}));
    let made = daemon.call("app.get", json!({"id": "main"}))["created_at"].clone();
    assert!(daemon.stop().success());
    let key = environment.data().join("secret.key");
    let text = fs::read(&key).unwrap();
    fs::remove_file(&key).unwrap();
    let names = || {
        let entries = fs::read_dir(environment.data()).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let before = names();
    for _ in 0..2 {
        let (code, said) = environment.refused(environment.daemon_command());
        assert_eq!(code, 1, "{said}");
        let path = key.display().to_string();
        assert!(said.contains(&format!("error: the key {path} is missing")), "{said}");
        assert!(said.contains("hint: restore secret.key"), "{said}");
        assert_eq!(names(), before);
    }
    environment.write_private(&key, &text);
    let daemon = environment.daemon();
    daemon.call("app.start", json!({"id": "crm"}));
    // A restart does not create the main application again.
    assert_eq!(daemon.call("app.get", json!({"id": "main"}))["created_at"], made);
}
