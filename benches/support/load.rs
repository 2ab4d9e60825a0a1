//! A load: connections that each send the next request when the last was answered.
//!
//! Written here rather than taken from `wrk`: every answer's status is looked at, an error ends the
//! measurement, percentiles are exact, and nothing has to be installed. One thread does all of it.
//! It sends bytes that were made before and reads no more of an answer than its length, so that it
//! takes as little as can be of the machine that it shares with what it measures.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::figures;

/// Connections at a time, where nothing else is said.
pub const CONNECTIONS: usize = 16;
/// How long is not looked at in the beginning.
const WARM_UP: Duration = Duration::from_millis(150);

/// Requests to one address, sent in turn.
#[derive(Debug, Clone)]
pub struct Load {
    pub address: SocketAddr,
    pub requests: Vec<Vec<u8>>,
    pub connections: usize,
}

/// What a load came to.
#[derive(Debug, Clone, Copy)]
pub struct Measured {
    /// Requests answered in a second.
    pub throughput: f64,
    /// Milliseconds.
    pub p50: f64,
    pub p99: f64,
    pub requests: usize,
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

    /// Puts it on for so long, from a thread of its own.
    pub async fn measure(self, duration: Duration) -> Measured {
        let on_its_thread = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(self.run(duration))
        };
        tokio::task::spawn_blocking(on_its_thread).await.expect("the load was put on")
    }

    async fn run(self, duration: Duration) -> Measured {
        let begin = Instant::now() + WARM_UP;
        let end = begin + duration;
        let mut connections = JoinSet::new();
        let all = self.requests.len();
        for number in 0..self.connections {
            let (requests, address) = (self.requests.clone(), self.address);
            connections.spawn(async move {
                let mut connection = Connection::open(address).await;
                let mut times: Vec<f64> = Vec::with_capacity(1 << 16);
                for turn in (number * all / 16).. {
                    let begun = Instant::now();
                    if begun >= end {
                        break;
                    }
                    let answer = connection.send(&requests[turn % all]).await;
                    assert_eq!(answer.status, 200, "{}", answer.text());
                    if begun >= begin {
                        times.push(figures::milliseconds(begun.elapsed()));
                    }
                }
                times
            });
        }
        let mut times: Vec<f64> = connections.join_all().await.into_iter().flatten().collect();
        let took = begin.elapsed().as_secs_f64();
        times.sort_by(f64::total_cmp);
        Measured {
            throughput: times.len() as f64 / took,
            p50: figures::at(&times, 50.0),
            p99: figures::at(&times, 99.0),
            requests: times.len(),
        }
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

    /// Sends a request and reads its answer.
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
