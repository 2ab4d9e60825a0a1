//! HTTP as bytes on a connection: each complete request gets a response, whatever follows it, and each malformed one
//! its status.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::environment::{Daemon, PATIENCE, TestEnvironment, http, sign_in};
use crate::servers::TestEngine;

/// A timeout of idle connections that is longer than any test here.
const IDLE: Duration = Duration::from_secs(20);

fn connect(daemon: &Daemon) -> TcpStream {
    let stream = TcpStream::connect(daemon.url.trim_start_matches("http://")).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Sends these bytes and reads until the daemon closes.
fn exchange(daemon: &Daemon, bytes: &[u8]) -> String {
    let mut stream = connect(daemon);
    // The daemon may close without reading the rest.
    let _ = stream.write_all(bytes);
    rest(&mut stream)
}

fn rest(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap_or_else(|error| panic!("{error} after {answer:?}"));
    String::from_utf8_lossy(&answer).into_owned()
}

/// Reads one response, by its length.
fn answer(stream: &mut TcpStream) -> (u16, String) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap_or_else(|error| panic!("{error} after {head:?}"));
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap().to_lowercase();
    let length = head.split("content-length: ").nth(1).unwrap().split('\r').next().unwrap();
    let mut body = vec![0; length.parse().unwrap()];
    stream.read_exact(&mut body).unwrap();
    (head[9..12].parse().unwrap(), String::from_utf8(body).unwrap())
}

fn statuses(answers: &str) -> Vec<&str> {
    answers.match_indices("HTTP/1.1 ").map(|(at, _)| &answers[at + 9..at + 12]).collect()
}

#[tokio::test]
async fn a_complete_request_is_answered_whatever_follows_it() {
    let environment = TestEnvironment::of(TestEngine::Sqlite);
    let daemon = environment.daemon();
    let token = sign_in(&daemon, None).await;
    let fields = json!([{"name": "title", "type": "string"}]);
    let posts = json!({"name": "posts", "fields": fields});
    let made = http(&daemon, "POST", "/api/collections:create", None, Some(&token), Some(posts)).await;
    assert_eq!(made.0, 200);
    let create = |connection: &str, title: &str| {
        let body = json!({"title": title}).to_string();
        format!(
            "POST /api/posts:create HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: application/json\r\nConnection: {connection}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let begun = Instant::now();
    for (title, following) in
        [("newline", "\r\n"), ("a byte", "G"), ("a head", "GET / HTTP/1.1\r\nHost: x\r\n")]
    {
        let bytes = create("close", title) + following;
        let answers = exchange(&daemon, bytes.as_bytes());
        assert_eq!(statuses(&answers), ["200"], "{title}: {answers}");
        assert!(answers.contains(&format!("\"title\":\"{title}\"")), "{answers}");
    }
    for following in ["\r\n", "G", "GET /api/app:getInfo HTTP/1.1\r\nHo", "POST"] {
        let mut stream = connect(&daemon);
        stream.write_all((create("keep-alive", "kept") + following).as_bytes()).unwrap();
        let (status, body) = answer(&mut stream);
        assert_eq!(status, 200, "{following:?}: {body}");
    }
    let mut stream = connect(&daemon);
    stream
        .write_all((create("keep-alive", "first") + &create("close", "second") + "\r\n").as_bytes())
        .unwrap();
    assert_eq!(statuses(&rest(&mut stream)), ["200", "200"]);
    assert!(begun.elapsed() < IDLE, "an answer came only when the connection was given up");
    let (_, listed) = http(&daemon, "GET", "/api/posts:list", None, Some(&token), None).await;
    assert_eq!(listed["meta"]["count"], 9, "{listed}");
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let environment = TestEnvironment::of(TestEngine::Sqlite);
    let daemon = environment.daemon();
    let mut bytes = String::new();
    for number in 0..200 {
        bytes += &format!(
            "GET /api/app:getInfo HTTP/1.1\r\nHost: x\r\nX-Request-Id: r{number}\r\n\r\n\
             POST /api/auth:signIn HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
             Transfer-Encoding: chunked\r\nX-Request-Id: p{number}\r\n\r\n2\r\n{{}}\r\n0\r\n\r\n"
        );
    }
    bytes +=
        "GET /api/app:getInfo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Request-Id: last\r\n\r\n\r\n";
    let mut stream = connect(&daemon);
    let mut writer = stream.try_clone().unwrap();
    let written = std::thread::spawn(move || writer.write_all(bytes.as_bytes()));
    let answers = rest(&mut stream);
    written.join().unwrap().unwrap();
    let ids: Vec<&str> = answers
        .match_indices("x-request-id: ")
        .map(|(at, name)| answers[at + name.len()..].split('\r').next().unwrap())
        .collect();
    let asked: Vec<String> = (0..200).flat_map(|n| [format!("r{n}"), format!("p{n}")]).collect();
    assert_eq!(ids[..400], asked.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(ids[400..], ["last"]);
}

#[test]
fn malformed_requests_are_answered_with_their_status() {
    let environment = TestEnvironment::of(TestEngine::Sqlite);
    let daemon = environment.daemon();
    let get = |headers: &str| format!("GET /api/app:getInfo HTTP/1.1\r\nHost: x\r\n{headers}\r\n");
    let post = |headers: &str, body: &str| {
        format!("POST /api/auth:signIn HTTP/1.1\r\nHost: x\r\n{headers}\r\n{body}")
    };
    let chunked = |body: &str| post("Transfer-Encoding: chunked\r\n", body);
    let begun = Instant::now();
    for (what, bytes, status) in [
        ("no request", "nonsense\r\n\r\n".to_owned(), "400"),
        ("no version", "GET /\r\n\r\n".to_owned(), "400"),
        ("bytes of TLS", "\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}\u{0}\u{1}\u{fc}\u{3}\u{3}".to_owned(), "400"),
        ("HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(), "400"),
        ("101 headers", get(&"A: b\r\n".repeat(100)), "431"),
        ("long headers", get(&format!("A: {}\r\n", "b".repeat(66_000))), "431"),
        ("very long headers", get(&format!("A: {}\r\n", "b".repeat(900_000))), "431"),
        ("a long URI", format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(66_000)), "414"),
        ("a very long URI", format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(900_000)), "414"),
        ("obs-fold", get("A: b\r\n c\r\n"), "400"),
        ("a blank before the colon", get("A : b\r\n"), "400"),
        ("two lengths", post("Content-Length: 2\r\nContent-Length: 3\r\n", "{}"), "400"),
        ("a list of lengths", post("Content-Length: 2, 3\r\n", "{}"), "400"),
        ("a negative length", post("Content-Length: -1\r\n", ""), "400"),
        ("another coding", post("Transfer-Encoding: gzip\r\n", "x"), "400"),
        ("no host", "GET /api/app:getInfo HTTP/1.1\r\n\r\n".to_owned(), "400"),
        ("two hosts", get("Host: x\r\n"), "400"),
        ("no such host", "GET / HTTP/1.1\r\nHost: a b/../?x\r\n\r\n".to_owned(), "400"),
        ("two applications", get("X-App: crm\r\nX-App: hr\r\nConnection: close\r\n"), "400"),
        (
            "TRACE",
            "TRACE /api/app:getInfo HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".to_owned(),
            "405",
        ),
        ("TRACE of a page", "TRACE / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".to_owned(), "405"),
        ("CONNECT", "CONNECT x:443 HTTP/1.1\r\nHost: x:443\r\nConnection: close\r\n\r\n".to_owned(), "405"),
        ("a compressed body", post("Content-Encoding: gzip\r\nContent-Length: 2\r\n", "{}"), "415"),
        ("an unknown coding", post("Transfer-Encoding: gzip, chunked\r\n", "2\r\n{}\r\n0\r\n\r\n"), "501"),
        ("chunks in chunks", post("Transfer-Encoding: chunked, chunked\r\n", "2\r\n{}\r\n0\r\n\r\n"), "501"),
        ("an endless chunk", chunked("FFFFFFFFFFFFFFFF\r\n"), "400"),
        ("an endless chunk, later", chunked("2\r\n{}\r\n7fffffff;x=y\r\n"), "400"),
        ("a chunk beyond all numbers", chunked("fffffffffffffffffffff\r\n"), "400"),
        ("no chunk", chunked("xyz\r\n"), "400"),
    ] {
        let answers = exchange(&daemon, bytes.as_bytes());
        assert_eq!(statuses(&answers), [status], "{what}: {answers}");
        assert!(answers.to_lowercase().contains("connection: close"), "{what}: {answers}");
    }
    // The requests before it on the connection are answered, too.
    for (following, status) in [("nonsense\r\n\r\n", "400"), ("GET / HTTP/1.1\r\nA\r\n\r\n", "400")] {
        let answers = exchange(&daemon, (get("") + following).as_bytes());
        assert_eq!(statuses(&answers), ["200", status], "{answers}");
    }
    assert!(begun.elapsed() < IDLE, "an answer came only when the connection was given up");
}

#[test]
fn a_half_closed_client_is_answered() {
    let environment = TestEnvironment::of(TestEngine::Sqlite);
    let daemon = environment.daemon();
    let body = r#"{"account":"nobody"}"#;
    let post = format!(
        "POST /api/auth:signIn HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let get = "GET /api/app:getInfo HTTP/1.1\r\nHost: x\r\n\r\n";
    for (what, bytes, expected) in [
        ("a question", get.to_owned(), &["200"][..]),
        ("with a body", format!("{post}{body}"), &["400"]),
        ("several", format!("{post}{body}{get}{get}"), &["400", "200", "200"]),
        ("a part of another", format!("{get}GET /api/app"), &["200", "400"]),
        ("a part of a head", "GET / HTTP/1.1\r\nHo".to_owned(), &["400"]),
        ("a part of a body", format!("{post}{{"), &["400"]),
        ("nothing", String::new(), &[]),
    ] {
        let mut stream = connect(&daemon);
        stream.write_all(bytes.as_bytes()).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let answers = rest(&mut stream);
        assert_eq!(statuses(&answers), expected, "{what}: {answers}");
    }
}

#[test]
fn a_response_reaches_a_client_that_is_still_sending() {
    let environment = TestEnvironment::of(TestEngine::Sqlite);
    let daemon = environment.daemon();
    daemon.call("app.create", json!({"id": "crm", "start": true, "limits": {"body_bytes": 1000}}));
    for announced in ["Content-Length: 500000\r\n", "Transfer-Encoding: chunked\r\n"] {
        let mut bytes =
            format!("POST /api/__app/crm/auth:signIn HTTP/1.1\r\nHost: x\r\n{announced}\r\n").into_bytes();
        if announced.starts_with('T') {
            bytes.extend_from_slice(b"7a120\r\n");
        }
        bytes.extend(vec![b'x'; 500_000]);
        let answers = exchange(&daemon, &bytes);
        assert_eq!(statuses(&answers), ["413"], "{announced}: {answers}");
    }
}
