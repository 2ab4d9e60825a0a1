//! The recorded traffic, replayed by the runner that comes with it.

use std::path::Path;
use std::process::Command;

use crate::environment::{ROOT_EMAIL, ROOT_PASSWORD, TestEnvironment};

#[test]
fn sign_in_keys_settings_and_application_management_answer_as_recorded() {
    let environment = TestEnvironment::of(module_path!());
    let daemon = environment.daemon();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance");
    let mut command = Command::new("python3");
    command.arg(folder.join("run.py")).arg("check");
    for file in ["auth.json", "api-keys-plugins-settings.json", "application-management.json"] {
        command.arg(folder.join("recorded").join(file));
    }
    command.args(["--base", &daemon.url, "--email", ROOT_EMAIL, "--password", ROOT_PASSWORD]);
    let ran = environment.run(command);
    assert!(ran.stdout.contains("49 passed, 0 failed"), "{}{}", ran.stdout, ran.stderr);
}
