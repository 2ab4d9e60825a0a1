//! Commands to a daemon that hangs: each times out and names the process.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::environment::{Ran, TestEnvironment};

/// More time than a command needs, even on a busy machine.
const SLACK: Duration = Duration::from_secs(10);

#[test]
fn every_command_times_out_if_the_daemon_hangs() {
    let environment = TestEnvironment::new();
    let daemon = environment.daemon();
    daemon.signal(Signal::STOP);
    let silent = format!("(process {}) does not answer", daemon.pid());
    for (line, code, seconds) in [
        ("daemon status", 3, 2),
        ("list", 3, 5),
        ("show main", 3, 5),
        ("events", 3, 5),
        ("wait main --timeout 1s", 6, 1),
        ("start main --timeout 1s", 6, 1),
        ("stop crm --timeout 1s", 6, 1),
        ("create crm --timeout 1s", 6, 1),
        ("delete crm --yes --timeout 1s", 6, 1),
        ("operation wait x --timeout 1s", 6, 1),
        ("daemon start --timeout 1s", 6, 1),
        ("daemon start", 3, 5),
        ("daemon stop --timeout 1s", 6, 1),
        ("daemon stop", 3, 5),
    ] {
        let begun = Instant::now();
        let arguments: Vec<&str> = line.split(' ').collect();
        let Ran { code: ended, stderr, .. } = environment.nbapps(&arguments);
        assert_eq!(ended, code, "{line}: {stderr}");
        assert!(stderr.contains(&silent), "{line}: {stderr}");
        assert!(stderr.contains(&format!("kill -CONT {}", daemon.pid())), "{line}: {stderr}");
        assert!(begun.elapsed() < Duration::from_secs(seconds) + SLACK, "{line}: {:?}", begun.elapsed());
    }
    daemon.signal(Signal::CONT);
    environment.nbapps(&["list"]).ok();
}

#[tokio::test]
async fn connecting_to_a_full_backlog_times_out() {
    let environment = TestEnvironment::new();
    let daemon = environment.daemon();
    daemon.signal(Signal::STOP);
    let mut waiting = Vec::new();
    // Connections beyond the daemon's backlog are refused at once.
    while let Ok(stream) = tokio::net::UnixStream::connect(environment.socket()).await {
        waiting.push(stream);
        assert!(waiting.len() < 10_000);
    }
    let Ran { code, stderr, .. } = environment.nbapps(&["list"]);
    assert_eq!(code, 3, "{stderr}");
    assert!(stderr.contains(&format!("(process {}) does not answer", daemon.pid())), "{stderr}");
    drop(waiting);
    daemon.signal(Signal::CONT);
    environment.nbapps(&["list"]).ok();
}
