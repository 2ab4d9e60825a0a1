//! The access log of an application: which requests are in it, in both formats, and what is not.

use std::io::Write as _;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::{Value, json};

use crate::environment::{Daemon, PATIENCE, TestEnvironment, http};

/// The lines of an application's access log.
fn lines(daemon: &Daemon, id: &str) -> Vec<Value> {
    let mut logs = daemon.call("app.logs", json!({"id": id, "access": true}));
    let Value::Array(lines) = logs["lines"].take() else { panic!("{logs}") };
    lines
}

/// Method, path and status of each line.
fn requests(daemon: &Daemon, id: &str) -> Vec<String> {
    let lines = lines(daemon, id);
    lines.iter().map(|line| line["message"].as_str().unwrap().to_owned()).collect()
}

/// Sends a request; gives the status.
async fn ask(daemon: &Daemon, method: &str, path: &str, headers: &[(&str, &str)]) -> u16 {
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let mut request = client.request(method.parse().unwrap(), format!("{}{path}", daemon.url));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn failures_are_in_it_by_default_and_what_is_set_holds_at_once() {
    let environment = TestEnvironment::new();
    let mut command = environment.daemon_command();
    command.env("NBAPPS_PANIC_AT", "crash:now");
    let daemon = environment.daemon_by(command);
    daemon.call("app.create", json!({"id": "crm", "start": true}));
    let ask = async |path: &str| ask(&daemon, "GET", path, &[("X-App", "crm")]).await;
    assert_eq!(ask("/api/app:getInfo").await, 200);
    assert!((400..500).contains(&ask("/api/posts:list").await));
    assert_eq!(ask("/api/crash:now").await, 500);
    assert_eq!(requests(&daemon, "crm"), ["GET /api/crash:now 500"]);

    let shown = environment.nbapps(&["show", "crm"]).ok().stdout;
    assert!(shown.contains("errors (default)"), "{shown}");
    let updated = environment.nbapps(&["update", "crm", "--access-log", "all", "-o", "json"]).ok().json();
    assert_eq!((&updated["access_log"], &updated["own_access_log"]), (&json!("all"), &json!(true)));
    assert_eq!(ask("/api/app:getInfo").await, 200);
    assert!((400..500).contains(&ask("/api/posts:list").await));
    let all = lines(&daemon, "crm");
    let levels: Vec<_> = all.iter().map(|line| line["level"].as_str().unwrap()).collect();
    assert_eq!(levels, ["error", "info", "warn"]);
    let line = &all[1];
    assert!(line["bytes"].as_u64().unwrap() > 10 && line["ms"].as_f64().unwrap() > 0.0, "{line}");
    assert_eq!(line["client"], "127.0.0.1");
    assert!(line["request_id"].as_str().unwrap().len() == 32, "{line}");

    // What a stopped application is asked for is a failure, too.
    environment.nbapps(&["update", "crm", "--access-log", "default"]).ok();
    daemon.call("app.stop", json!({"id": "crm"}));
    assert_eq!(ask("/api/app:getInfo").await, 503);
    environment.nbapps(&["update", "crm", "--access-log", "off"]).ok();
    assert_eq!(ask("/api/app:getInfo").await, 503);
    assert_eq!(requests(&daemon, "crm").len(), 4);

    // It is kept over a restart.
    assert!(daemon.stop().success());
    let daemon = environment.daemon();
    assert_eq!(daemon.call("app.get", json!({"id": "crm"}))["access_log"], "off");
    assert_eq!(requests(&daemon, "crm").len(), 4);
    let grave = environment.nbapps(&["logs", "crm", "--access", "--level", "error", "-n", "1"]).ok().stdout;
    assert!(grave.contains(" ERROR GET /api/app:getInfo 503 "), "{grave}");

    let file = environment.data().join("logs/crm.access.log");
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let purged = environment.nbapps(&["delete", "crm", "--purge", "--yes"]).ok().stdout;
    assert!(purged.contains("crm.access.log") && !file.exists(), "{purged}");
}

#[tokio::test]
async fn refusals_timeouts_and_clients_that_left_are_in_it() {
    let environment = TestEnvironment::new();
    let mut command = environment.daemon_command();
    command.env("NBAPPS_LOG_ACCESS", "all");
    let daemon = environment.daemon_by(command);
    daemon.call("app.create", json!({"id": "crm", "start": true, "limits": {"requests_per_second": 1}}));
    let send = |path: &str| {
        let mut stream = TcpStream::connect(daemon.url.trim_start_matches("http://")).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let head = format!("POST {path} HTTP/1.1\r\nHost: h\r\nX-App: crm\r\nContent-Length: 9\r\n\r\nfour");
        stream.write_all(head.as_bytes()).unwrap();
        stream
    };
    let found = |path: &str, statuses: &[u64]| {
        let begun = std::time::Instant::now();
        loop {
            let lines = lines(&daemon, "crm");
            let line = lines.iter().find(|line| line["path"] == path);
            if let Some(line) = line {
                assert!(statuses.contains(&line["status"].as_u64().unwrap()), "{line}");
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "{path}: {lines:?}");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    };
    while ask(&daemon, "GET", "/api/app:getInfo", &[("X-App", "crm")]).await != 429 {}
    assert!(requests(&daemon, "crm").contains(&"GET /api/app:getInfo 429".to_owned()));
    daemon.call(
        "app.update",
        json!({"id": "crm", "limits": {"requests_per_second": 0, "request_time_ms": 1000}}),
    );
    let slow = send("/api/slow:create");
    found("/api/slow:create", &[408, 503, 504]);
    drop(slow);
    daemon.call("app.update", json!({"id": "crm", "limits": {"request_time_ms": null}}));
    drop(send("/api/left:create"));
    found("/api/left:create", &[400, 499]);
}

#[tokio::test]
async fn the_combined_format_is_apaches_and_is_read_back_without_secrets() {
    let environment = TestEnvironment::new();
    let mut command = environment.daemon_command();
    command.env("NBAPPS_LOG_ACCESS", "all").env("NBAPPS_LOG_ACCESS_FORMAT", "combined");
    command.env("NBAPPS_TRUSTED_PROXIES", "127.0.0.1");
    let daemon = environment.daemon_by(command);
    daemon.call("app.create", json!({"id": "crm", "start": true}));
    let link = environment.nbapps(&["visit", "crm", "--sign-in", "--print"]).ok().stdout;
    let ticket = link.trim().rsplit('/').next().unwrap();
    let agent = ("User-Agent", "a \"quoted\" \\ agent");
    let from = ("X-Forwarded-For", "203.0.113.9");
    let referer = format!("http://h/apps/crm/admin/sign-in/ticket/{ticket}");
    let path = format!("/apps/crm/admin/sign-in/ticket/{ticket}");
    // A ticket that was not used is still good.
    ask(&daemon, "GET", &format!("{path}/"), &[agent, from, ("Referer", &referer)]).await;
    let query = "/api/__app/crm/app:getInfo?page=2&token=s3cret&values%5Bpassword%5D=s3cret";
    let answered = ask(&daemon, "GET", query, &[agent, from]).await;
    let headed = ask(&daemon, "HEAD", "/apps/crm/admin/", &[]).await;

    let read = lines(&daemon, "crm");
    let file = std::fs::read_to_string(environment.data().join("logs/crm.access.log")).unwrap();
    for secret in [ticket, "s3cret"] {
        assert!(!file.contains(secret) && !environment.daemon_log().contains(secret), "{file}");
    }
    let form = regex::Regex::new(
        r#"^(\S+) - - \[\d\d/[A-Z][a-z][a-z]/\d{4}(:\d\d){3} \+0000\] "[A-Z]+ \S+ HTTP/1\.1" \d{3} (\d+|-) "([^"\\]|\\.)*" "([^"\\]|\\.)*"$"#,
    )
    .unwrap();
    let written: Vec<&str> = file.lines().collect();
    assert!(written.iter().all(|line| form.is_match(line)), "{file}");
    assert!(written[0].starts_with("203.0.113.9 - - ["), "{file}");
    assert!(
        written[0].ends_with(r#" "http://h/apps/crm/admin/sign-in/ticket/" "a \"quoted\" \\ agent""#),
        "{file}"
    );
    let second = format!("?page=2&token=***&values%5Bpassword%5D=*** HTTP/1.1\" {answered} ");
    assert!(written[1].contains(&second), "{file}");
    assert!(written[2].contains(&format!("\"HEAD /apps/crm/admin/ HTTP/1.1\" {headed} - \"-\"")), "{file}");
    assert_eq!(read[0]["user_agent"], agent.1);
    assert_eq!((&read[0]["client"], &read[2]["client"]), (&json!("203.0.113.9"), &json!("127.0.0.1")));
    assert_eq!(read[1]["query"], "page=2&token=***&values%5Bpassword%5D=***");
}

#[tokio::test]
async fn applications_that_do_not_exist_cost_no_file_and_several_are_read_together() {
    let environment = TestEnvironment::new();
    let mut command = environment.daemon_command();
    command.env("NBAPPS_LOG_ACCESS", "all");
    let daemon = environment.daemon_by(command);
    for id in ["crm", "hr"] {
        daemon.call("app.create", json!({"id": id}));
    }
    let followed = environment.follow(&["logs", "--all", "--access", "-f", "-o", "jsonl"]);
    for id in ["nosuch", "hr", "No Such!", "crm"] {
        http(&daemon, "GET", "/api/app:getInfo", Some(id), None, None).await;
    }
    for app in ["hr", "crm"] {
        let line: Value = serde_json::from_str(&followed.line()).unwrap();
        assert_eq!((&line["app"], &line["path"]), (&json!(app), &json!("/api/app:getInfo")), "{line}");
    }
    let both = environment.nbapps(&["logs", "crm", "hr", "--access"]).ok().stdout;
    let leads: Vec<&str> = both.lines().map(|line| &line[..4]).collect();
    assert_eq!(leads, ["hr  ", "crm "], "{both}");
    let names: Vec<String> = std::fs::read_dir(environment.data().join("logs"))
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.contains("access"))
        .collect();
    assert_eq!(names.len(), 2, "{names:?}");
}

#[test]
fn what_is_no_setting_is_refused() {
    let environment = TestEnvironment::new();
    let daemon = environment.daemon();
    daemon.call("app.create", json!({"id": "crm"}));
    assert_eq!(environment.nbapps(&["update", "crm", "--access-log", "some"]).code, 2);
    for (given, access_log, own) in
        [("all", "all", json!(true)), ("off", "off", json!(true)), ("default", "errors", json!(null))]
    {
        let id = format!("with-{given}");
        let created =
            environment.nbapps(&["create", "--id", &id, "--access-log", given, "-o", "json"]).ok().json();
        let shown = (&created["application"]["access_log"], &created["application"]["own_access_log"]);
        assert_eq!(shown, (&json!(access_log), &own), "{created}");
    }
    assert_eq!(daemon.refusal("app.update", json!({"id": "crm", "access_log": "some"})), "invalid_params");
}
