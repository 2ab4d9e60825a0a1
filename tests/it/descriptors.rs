//! A daemon with few file descriptors.

use std::process::Command;

use serde_json::json;

use crate::environment::{TestEnvironment, http};

/// The daemon's command, limited to this many descriptors.
pub fn command_with(environment: &TestEnvironment, limit: u32) -> Command {
    let usual = environment.daemon_command();
    let mut command = Command::new("sh");
    command.args(["-c", &format!("ulimit -n {limit}; exec \"$@\""), "sh"]);
    command.arg(usual.get_program()).args(usual.get_args());
    command.env_clear().envs(usual.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command
}

#[test]
fn a_daemon_with_too_few_descriptors_does_not_start() {
    let environment = TestEnvironment::new();
    let refused = command_with(&environment, 40).output().unwrap();
    let said = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains("may have 40 open files") && said.contains("ulimit -n"), "{said}");
}

#[tokio::test]
async fn more_applications_than_descriptors_are_served() {
    let environment = TestEnvironment::new();
    let daemon = environment.daemon_by(command_with(&environment, 128));
    let ids: Vec<String> = (0..70).map(|number| format!("app-{number}")).collect();
    for id in &ids {
        daemon.call("app.create", json!({"id": id, "start": true}));
    }
    // More simultaneous requests than it has connections, each of which reads a database.
    for some in ids.chunks(60) {
        let mut visits = tokio::task::JoinSet::new();
        for id in some {
            let (url, id) = (format!("{}/api/__app/{id}/app:getLang", daemon.url), id.clone());
            visits.spawn(async move { (id, reqwest::get(url).await.unwrap().status().as_u16()) });
        }
        for (id, status) in visits.join_all().await {
            assert_eq!(status, 200, "{id}");
        }
    }
    // The operator is served although more browsers connect than the daemon serves.
    let address = daemon.url.trim_start_matches("http://").to_owned();
    let browsers: Vec<_> = (0..200).map(|_| std::net::TcpStream::connect(&address).unwrap()).collect();
    environment.nbapps(&["list"]).ok();
    environment.nbapps(&["stop", "app-0"]).ok();
    environment.nbapps(&["create", "new", "--start"]).ok();
    let (status, _) = http(&daemon, "GET", "/api/app:getLang", None, None, None).await;
    assert_eq!(status, 200);
    drop(browsers);
    assert!(!environment.daemon_log().contains("too many open files"), "{}", environment.daemon_log());
}
