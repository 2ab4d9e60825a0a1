//! Replays all recorded traffic with its runner, `tests/conformance/run.py`.

use std::path::Path;
use std::process::Command;

use macro_rules_attribute::apply;

use crate::environment::{ROOT_EMAIL, ROOT_PASSWORD, TestEnvironment};
use crate::servers::{TestEngine, on_every_engine};

#[apply(on_every_engine)]
#[test]
fn every_answer_is_as_recorded(engine: TestEngine) {
    let environment = TestEnvironment::of(engine);
    let daemon = environment.daemon();
    let mut command = Command::new("python3");
    // Without a file name, the runner replays every recording.
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance/run.py")).arg("check");
    command.args(["--base", &daemon.url, "--email", ROOT_EMAIL, "--password", ROOT_PASSWORD]);
    let ran = environment.run(command);
    assert!(ran.stdout.ends_with("306 passed, 0 failed\n"), "{}{}", ran.stdout, ran.stderr);
}
