//! NocoBase's own client, the package `@nocobase/sdk`, run with Node.

use std::path::Path;
use std::process::Command;

use macro_rules_attribute::apply;
use serde_json::json;

use crate::environment::{ROOT_EMAIL, ROOT_PASSWORD, TestEnvironment};
use crate::servers::{TestEngine, on_every_engine};

#[apply(on_every_engine)]
#[test]
fn nocobases_client_works_unchanged(engine: TestEngine) {
    let environment = TestEnvironment::of(engine);
    let daemon = environment.daemon();
    daemon.call("app.create", json!({"id": "crm", "start": true}));
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sdk");
    assert!(folder.join("node_modules/@nocobase/sdk").exists(), "the client is missing: run tests/setup");
    let mut command = Command::new("node");
    command.arg(folder.join("client.cjs")).args([&daemon.url, "crm", ROOT_EMAIL, ROOT_PASSWORD]);
    let did = environment.run(command).ok().json();
    let refusals = json!({
        "filter": 400, "operator": 400, "json": 400, "value": 400, "everything": 400, "action": 404, "resource": 404,
    });
    let once = json!({"filters": 9, "refusals": refusals});
    assert_eq!(did, json!({"header": once, "path": once}));
}
