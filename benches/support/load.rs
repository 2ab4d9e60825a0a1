//! Generates load with `wrk`, with one thread. Each connection sends its next request when the last one is answered.
//! The requests are prepared bytes, sent in turn. `wrk` corrects its percentiles for requests that were not sent while
//! a response was late (coordinated omission).

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::task::JoinSet;

/// The default number of connections.
pub const CONNECTIONS: usize = 16;
/// How many requests of each connection are not measured.
const WARM_UP: usize = 50;
/// The Lua script that sends the requests and reports the results, with times in microseconds.
const SCRIPT: &str = r#"
local thread
setup = function(one)
    thread = one
end
drawn = 0
request = function()
    drawn = drawn + 1
    return requests[(drawn - 1) % #requests + 1]
end
done = function(summary, latency)
    local errors = summary.errors
    local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
    local lost = thread:get("drawn") - summary.requests
    print(string.format(
        '{"requests": %d, "took": %d, "p50": %f, "p99": %f, "failed": %d, "lost": %d}',
        summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), failed, lost
    ))
end
"#;

/// Requests to one address, which are sent in turn.
#[derive(Debug, Clone)]
pub struct Load {
    pub address: SocketAddr,
    pub requests: Vec<Vec<u8>>,
    pub connections: usize,
}

/// The results of a load.
#[derive(Debug, Clone, Copy)]
pub struct Measured {
    /// Responses per second.
    pub throughput: f64,
    /// Milliseconds.
    pub p50: f64,
    pub p99: f64,
    pub requests: usize,
}

/// The report of the script, with times in microseconds.
#[derive(Deserialize)]
struct Said {
    requests: usize,
    took: f64,
    p50: f64,
    p99: f64,
    failed: u64,
    /// Requests without a response.
    lost: usize,
}

/// A request as bytes.
pub fn request(method: &str, path: &str, token: Option<&str>, body: Option<&serde_json::Value>) -> Vec<u8> {
    let mut text = format!("{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n");
    if let Some(token) = token {
        text.push_str(&format!("Authorization: Bearer {token}\r\n"));
    }
    let body = body.map(ToString::to_string).unwrap_or_default();
    if !body.is_empty() {
        text.push_str(&format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len()));
    }
    text.push_str("\r\n");
    text.push_str(&body);
    text.into_bytes()
}

impl Load {
    pub fn new(address: SocketAddr, requests: Vec<Vec<u8>>) -> Self {
        Self { address, requests, connections: CONNECTIONS }
    }

    /// Runs the load for this time, which `wrk` takes in whole seconds.
    pub async fn measure(self, duration: Duration) -> Measured {
        self.warm_up().await;
        let script = tempfile::NamedTempFile::new().expect("a temporary file");
        std::fs::write(&script, self.script()).expect("the script is written");
        let mut wrk = Command::new("wrk");
        wrk.arg("-t1").arg(format!("-c{}", self.connections)).arg("--timeout").arg("30s");
        wrk.arg(format!("-d{}s", duration.as_secs_f64().ceil())).arg("-s").arg(script.path());
        let output = wrk.arg(format!("http://{}", self.address)).kill_on_drop(true).output().await;
        let output = output.expect("wrk can be run; tests/setup installs it");
        let text = String::from_utf8_lossy(&output.stdout);
        let said = text.lines().last().and_then(|line| serde_json::from_str::<Said>(line).ok());
        let said = said.unwrap_or_else(|| panic!("wrk: {text}{}", String::from_utf8_lossy(&output.stderr)));
        assert_eq!(said.failed, 0, "requests failed: {text}");
        // At the end each connection waits for a response, and one request checks the responses.
        assert!(said.lost <= self.connections + 1, "requests were not answered: {text}");
        Measured {
            throughput: said.requests as f64 / said.took * 1e6,
            p50: said.p50 / 1e3,
            p99: said.p99 / 1e3,
            requests: said.requests,
        }
    }

    /// Sends some requests in advance, on as many connections, so that what the server opens and prepares for them is
    /// not measured.
    async fn warm_up(&self) {
        let mut connections = JoinSet::new();
        for number in 0..self.connections {
            let (requests, address) = (self.requests.clone(), self.address);
            connections.spawn(async move {
                let mut connection = Connection::open(address).await;
                for turn in (number..).step_by(CONNECTIONS).take(WARM_UP) {
                    let answer = connection.send(&requests[turn % requests.len()]).await;
                    assert_eq!(answer.status, 200, "{}", answer.text());
                }
            });
        }
        connections.join_all().await;
    }

    /// The script with the requests as Lua strings.
    fn script(&self) -> String {
        let mut script = "local requests = {\n".to_owned();
        for request in &self.requests {
            script.push('"');
            for byte in request {
                write!(script, "\\{byte:03}").expect("a string takes what is written");
            }
            script.push_str("\",\n");
        }
        script + "}" + SCRIPT
    }
}

/// One connection.
pub struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
}

/// An answer.
pub struct Answer<'a> {
    pub status: u16,
    pub body: &'a [u8],
}

impl Answer<'_> {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(self.body).into_owned()
    }
}

impl Connection {
    pub async fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("the server is there");
        stream.set_nodelay(true).expect("a connection can be told not to wait");
        Self { stream, received: Vec::with_capacity(64 * 1024) }
    }

    /// Sends a request and reads the response.
    pub async fn send(&mut self, request: &[u8]) -> Answer<'_> {
        self.stream.write_all(request).await.expect("the server takes a request");
        self.received.clear();
        let (mut body, mut length) = (0, None);
        loop {
            let read = self.stream.read_buf(&mut self.received).await.expect("the server answers");
            assert!(read > 0, "the server closed the connection");
            if length.is_none()
                && let Some(end) = find(&self.received, b"\r\n\r\n")
            {
                body = end + 4;
                length = Some(content_length(&self.received[..end]));
            }
            if let Some(length) = length
                && self.received.len() >= body + length
            {
                break;
            }
        }
        let digits = std::str::from_utf8(&self.received[9..12]).unwrap_or_default();
        Answer { status: digits.parse().unwrap_or_default(), body: &self.received[body..] }
    }
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|part| part == wanted)
}

fn content_length(head: &[u8]) -> usize {
    let head = std::str::from_utf8(head).expect("headers are text");
    let found = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    });
    found.unwrap_or_else(|| panic!("an answer does not say how long it is: {head}"))
}
