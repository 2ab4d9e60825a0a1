//! A limit on file sizes (`ulimit -f`): it affects only the application that reaches it, and the error names it.

use serde_json::{Value, json};

use crate::environment::{Daemon, TestEnvironment, http, sign_in};

/// The size limit of the daemon's files, in blocks of 1024 bytes.
const BLOCKS: u32 = 3000;

async fn post(daemon: &Daemon, app: &str, token: &str, path: &str, body: Value) -> (u16, Value) {
    http(daemon, "POST", path, Some(app), Some(token), Some(body)).await
}

#[tokio::test]
async fn a_file_at_the_size_limit_does_not_end_the_daemon() {
    let environment = TestEnvironment::new();
    let daemon_command = environment.daemon_command();
    let mut command = environment.command("bash");
    for (name, value) in daemon_command.get_envs() {
        command.env(name, value.unwrap_or_default());
    }
    command.arg("-c").arg(format!("ulimit -f {BLOCKS}; exec \"$@\"")).arg("bash");
    command.arg(daemon_command.get_program()).args(daemon_command.get_args());
    let daemon = environment.daemon_by(command);
    for id in ["crm", "hr"] {
        daemon.call("app.create", json!({"id": id, "start": true}));
    }
    let token = sign_in(&daemon, Some("crm")).await;
    let fields = json!([{"name": "v", "type": "text"}]);
    let made =
        post(&daemon, "crm", &token, "/api/collections:create", json!({"name": "c", "fields": fields}));
    assert_eq!(made.await.0, 200);
    let large = "z".repeat(500_000);
    let mut written = 0;
    let answer = loop {
        let (status, answer) = post(&daemon, "crm", &token, "/api/c:create", json!({"v": large})).await;
        if status != 200 {
            assert_eq!(status, 503, "{answer}");
            break answer;
        }
        written += 1;
        assert!(written < 20, "nothing stops at the limit");
    };
    let said = answer["errors"][0]["message"].as_str().unwrap();
    assert!(said.contains("disk is full") && said.contains("ulimit -f"), "{said}");
    assert!(environment.daemon_log().contains("3072000 bytes"), "the log names the limit");
    let (status, answer) =
        http(&daemon, "GET", "/api/c:list?fields=id", Some("crm"), Some(&token), None).await;
    assert_eq!((status, answer["meta"]["count"].as_u64()), (200, Some(written)), "{answer}");
    let token = sign_in(&daemon, Some("hr")).await;
    let (status, answer) =
        post(&daemon, "hr", &token, "/api/roles:create", json!({"name": "r", "title": "r"})).await;
    assert_eq!(status, 200, "{answer}");
    daemon.call("app.stop", json!({"id": "crm"}));
}
