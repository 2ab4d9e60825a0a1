//! Commands and a daemon that does not answer: each ends in its time and names the process.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::environment::{Ran, TestEnvironment};

/// More than a command needs by itself, on a machine that has much to do.
const SLACK: Duration = Duration::from_secs(10);

#[test]
fn every_command_ends_beside_a_stopped_daemon() {
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
async fn a_queue_of_connections_that_is_full_is_no_endless_wait() {
    let environment = TestEnvironment::new();
    let daemon = environment.daemon();
    daemon.signal(Signal::STOP);
    let mut waiting = Vec::new();
    // The queue is as long as the daemon made it; what does not fit is refused at once.
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
