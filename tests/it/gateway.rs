//! The gateway: finding the application of a request, health checks, errors, compression and shutdown.

use std::io::{Read, Write};
use std::net::TcpStream;

use macro_rules_attribute::apply;
use serde_json::json;

use crate::environment::{Daemon, PATIENCE, TestEnvironment, http};
use crate::servers::{TestEngine, on_every_engine};

/// Returns the name of the application that answers `app:getInfo` at this path with these headers.
async fn answered_by(daemon: &Daemon, path: &str, headers: &[(&str, &str)]) -> String {
    let mut request = reqwest::Client::new().get(format!("{}{path}", daemon.url));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let body: serde_json::Value = request.send().await.unwrap().json().await.unwrap();
    let name = body["data"]["name"].as_str().or(body["error"]["code"].as_str());
    name.unwrap_or_else(|| panic!("{path}: {body}")).to_owned()
}

#[apply(on_every_engine)]
#[tokio::test]
async fn the_application_is_named_by_path_query_header_or_domain_in_this_order(engine: TestEngine) {
    let environment = TestEnvironment::of(engine);
    let mut command = environment.daemon_command();
    command.args(["--config"]).arg({
        let file = environment.path("nbappsd.toml");
        std::fs::write(&file, "trusted_proxies = [\"127.0.0.1\"]\n").unwrap();
        file
    });
    let daemon = environment.daemon_by(command);
    for (id, domain) in
        [("one", "one.example.com"), ("two", "two.example.com"), ("three", "three.example.com")]
    {
        daemon.call("app.create", json!({"id": id, "domains": [domain, format!("www.{domain}")]}));
    }
    let (info, header) = ("/api/app:getInfo", ("X-App", "two"));
    let domain = ("Host", "three.example.com");
    for (path, headers, expected) in [
        (info.to_owned(), vec![], "main"),
        ("/api/__app/one/app:getInfo?__appName=two".to_owned(), vec![header, domain], "one"),
        (format!("{info}?__appName=one"), vec![header, domain], "one"),
        (info.to_owned(), vec![header, domain], "two"),
        (info.to_owned(), vec![domain], "three"),
        (info.to_owned(), vec![("Host", "WWW.Three.example.com:8080")], "three"),
        (info.to_owned(), vec![("Host", "other.example.com")], "main"),
        (info.to_owned(), vec![("X-Forwarded-Host", "one.example.com")], "one"),
        (info.to_owned(), vec![("X-App", "nosuch")], "APP_NOT_FOUND"),
        (info.to_owned(), vec![("X-App", "../main")], "APP_NOT_FOUND"),
        ("/api/__app/nosuch/app:getInfo".to_owned(), vec![], "APP_NOT_FOUND"),
    ] {
        assert_eq!(answered_by(&daemon, &path, &headers).await, expected, "{path} {headers:?}");
    }
}

#[apply(on_every_engine)]
#[tokio::test]
async fn a_forwarded_host_counts_only_from_a_trusted_proxy(engine: TestEngine) {
    let environment = TestEnvironment::of(engine);
    let daemon = environment.daemon();
    daemon.call("app.create", json!({"id": "one", "domains": ["one.example.com"]}));
    let forwarded = [("X-Forwarded-Host", "one.example.com")];
    assert_eq!(answered_by(&daemon, "/api/app:getInfo", &forwarded).await, "main");
}

#[apply(on_every_engine)]
#[tokio::test]
async fn short_addresses_redirect_to_the_pages(engine: TestEngine) {
    let environment = TestEnvironment::of(engine);
    let daemon = environment.daemon();
    daemon.call("app.create", json!({"id": "crm", "domains": ["crm.example.com"]}));
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    for (path, host, location) in [
        ("/", None, "/admin/"),
        ("/", Some("crm.example.com"), "/admin/"),
        ("/apps/crm", None, "/apps/crm/admin/"),
        ("/apps/crm/", None, "/apps/crm/admin/"),
        ("/admin", None, "/admin/"),
    ] {
        let mut request = client.get(format!("{}{path}", daemon.url));
        if let Some(host) = host {
            request = request.header("Host", host);
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 302, "{path}");
        assert_eq!(response.headers()["location"], location, "{path}");
    }
}

#[apply(on_every_engine)]
#[tokio::test]
async fn health_checks_request_ids_and_errors_follow_the_documentation(engine: TestEngine) {
    let environment = TestEnvironment::of(engine);
    let daemon = environment.daemon();
    assert_eq!(http(&daemon, "GET", "/api/__health_check", None, None, None).await, (200, json!("ok")));
    let client = reqwest::Client::new();
    let get = |path: &str| client.get(format!("{}{path}", daemon.url));
    let given = get("/api/app:getInfo").header("X-Request-Id", "trace-7").send().await.unwrap();
    assert_eq!(given.headers()["x-request-id"], "trace-7");
    let made = get("/api/app:getInfo").header("X-Request-Id", "x".repeat(300)).send().await.unwrap();
    assert!(made.headers()["x-request-id"].len() <= 128);
    let (status, body) = http(&daemon, "GET", "/api/app:getInfo", Some("nosuch"), None, None).await;
    assert_eq!((status, &body["error"]["code"]), (404, &json!("APP_NOT_FOUND")));
    assert_eq!(body["error"]["status"], 404);
    let page = get("/apps/nosuch/admin/").header("Accept", "text/html").send().await.unwrap();
    assert_eq!(page.status(), 404);
    assert!(page.text().await.unwrap().contains("<html"));
    let large =
        client.post(format!("{}/api/auth:signIn", daemon.url)).body(vec![b' '; 11 << 20]).send().await;
    // The daemon may also refuse the request by closing the connection before all of it is sent.
    if let Ok(response) = large {
        assert_eq!(response.status(), 413);
    }
}

#[apply(on_every_engine)]
#[tokio::test]
async fn responses_are_compressed_if_the_client_accepts_it(engine: TestEngine) {
    let environment = TestEnvironment::of(engine);
    let daemon = environment.daemon();
    let page = reqwest::get(format!("{}/admin/", daemon.url)).await.unwrap().text().await.unwrap();
    let style = page.split('"').find(|part| part.contains("/assets/style-")).unwrap().to_owned();
    let client = reqwest::Client::builder().no_gzip().build().unwrap();
    let style =
        client.get(format!("{}{style}", daemon.url)).header("Accept-Encoding", "gzip").send().await.unwrap();
    assert_eq!(style.headers()["content-encoding"], "gzip");
    assert!(style.headers()["cache-control"].to_str().unwrap().contains("immutable"));
}

/// Begins a sign-in without sending its body, so that it stays in flight.
fn begin_sign_in(daemon: &Daemon, body: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(daemon.url.trim_start_matches("http://")).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let head = format!(
        "POST /api/auth:signIn HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut asked = [0; 25];
    stream.read_exact(&mut asked).unwrap();
    assert!(asked.starts_with(b"HTTP/1.1 100 Continue"), "{}", String::from_utf8_lossy(&asked));
    stream
}

#[apply(on_every_engine)]
#[test]
fn the_daemon_answers_requests_in_flight_before_it_ends(engine: TestEngine) {
    let environment = TestEnvironment::of(engine);
    let mut daemon = environment.daemon();
    let body = br#"{"account":"nobody","password":"x"}"#;
    let mut stream = begin_sign_in(&daemon, body);
    daemon.signal(rustix::process::Signal::TERM);
    stream.write_all(body).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.contains("HTTP/1.1 401"), "{answer}");
    assert!(daemon.ended().success());
}

#[apply(on_every_engine)]
#[test]
fn a_second_signal_ends_the_daemon_at_once(engine: TestEngine) {
    let environment = TestEnvironment::of(engine);
    let mut daemon = environment.daemon();
    let mut control = daemon.connect();
    control.call("host.info", json!({})).unwrap();
    let held = begin_sign_in(&daemon, b"{}");
    daemon.signal(rustix::process::Signal::TERM);
    assert_eq!(control.receive(), None, "the daemon is ending");
    daemon.signal(rustix::process::Signal::TERM);
    assert_eq!(daemon.ended().code(), Some(130));
    drop(held);
}
