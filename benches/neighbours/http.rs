//! A minimal HTTP client: one request and one response at a time, on a connection that stays open.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A request for an application. Its body may wait for `100 Continue`.
pub struct Request {
    head: String,
    body: Vec<u8>,
    expects: bool,
}

/// The relevant parts of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub retry_after: bool,
    /// The server closes the connection.
    pub closes: bool,
}

impl Request {
    pub fn new(line: &str, app: &str, token: &str, more: &str, body: Vec<u8>) -> Self {
        let expects = body.len() > 64 * 1024;
        let expect = if expects { "Expect: 100-continue\r\n" } else { "" };
        let head = format!(
            "{line} HTTP/1.1\r\nHost: bench\r\nX-App: {app}\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n{expect}{more}\r\n",
            body.len()
        );
        Self { head, body, expects }
    }

    /// Sends it and reads the whole response.
    pub async fn send(&self, stream: &mut TcpStream) -> io::Result<Answer> {
        stream.write_all(self.head.as_bytes()).await?;
        if self.expects {
            let answer = read(stream).await?;
            if answer.status != 100 {
                return Ok(answer);
            }
        }
        stream.write_all(&self.body).await?;
        read(stream).await
    }
}

async fn read(stream: &mut TcpStream) -> io::Result<Answer> {
    let mut read = Vec::with_capacity(1024);
    let end = loop {
        if let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        if stream.read_buf(&mut read).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    };
    let head = String::from_utf8_lossy(&read[..end]).to_ascii_lowercase();
    let header = |name: &str| {
        head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ").map(str::to_owned))
    };
    let status = head.get(9..12).and_then(|status| status.parse().ok()).ok_or(io::ErrorKind::InvalidData)?;
    let length: usize = header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    while read.len() < end + length {
        if stream.read_buf(&mut read).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    let closes = header("connection").as_deref() == Some("close");
    Ok(Answer { status, retry_after: header("retry-after").is_some(), closes })
}
