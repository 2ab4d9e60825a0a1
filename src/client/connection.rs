//! A connection: a task that writes lines, a task that reads them, and the table of pending requests between
//! the two.
//!
//! The reader passes each line to the caller of the request with that ID, so that any number of requests
//! share a connection and none waits for another.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;

use crate::protocol::{Message, Progress, Request, RequestId, RpcError};

/// The longest response that a client reads, in bytes. Requests are held to
/// [`MAX_LINE`](crate::protocol::lines::MAX_LINE); a list of many thousand applications is longer.
const MAX_RESPONSE: u64 = 256 * 1024 * 1024;

/// How much of a line that is none of the protocol is shown, in characters.
const MAX_NOISE: usize = 120;

/// A message that belongs to a request.
#[derive(Debug)]
pub(super) enum RequestUpdate {
    /// Progress; more messages follow.
    Progress(Progress),
    /// The response: the result as JSON text, or the error.
    Answer(Result<Box<RawValue>, RpcError>),
}

/// A line from the daemon, parsed only as far as passing it on needs. The caller parses the rest, so that a list
/// of thousands of applications is parsed once.
#[derive(Debug, Deserialize)]
pub(crate) struct IncomingLine {
    id: Option<RequestId>,
    method: Option<String>,
    params: Option<Box<RawValue>>,
    result: Option<Box<RawValue>>,
    error: Option<RpcError>,
}

impl IncomingLine {
    /// The outcome of request `id`, if this is the response to it.
    pub(crate) fn into_answer_to(self, id: i64) -> Option<Result<Box<RawValue>, RpcError>> {
        (self.method.is_none() && self.id == Some(RequestId::Number(id))).then(|| self.into_answer())
    }

    fn into_answer(self) -> Result<Box<RawValue>, RpcError> {
        match self.error {
            Some(error) => Err(error),
            // A result of null is parsed as absent.
            None => Ok(self.result.unwrap_or_else(|| RawValue::NULL.to_owned())),
        }
    }
}

/// Why the connection ended.
#[derive(Debug)]
enum Disconnect {
    /// The connection broke.
    Broken(String),
    /// A line came that is none of the protocol; its beginning.
    Noise(String),
    /// The daemon refused the connection, for instance because the user is not authorized.
    Refused(RpcError),
}

impl From<&str> for Disconnect {
    fn from(why: &str) -> Self {
        Self::Broken(why.to_owned())
    }
}

/// The requests that wait for a response, and why the connection ended.
#[derive(Debug, Default)]
struct PendingRequests {
    next: i64,
    /// By request ID. Dropping a sender tells its caller that no response will come.
    requests: HashMap<i64, mpsc::UnboundedSender<RequestUpdate>>,
    /// By the method of the notification.
    notifications: HashMap<&'static str, mpsc::UnboundedSender<Box<RawValue>>>,
    /// Set when the connection has ended.
    lost: Option<Disconnect>,
}

/// A connection, open or lost.
#[derive(Debug)]
pub(super) struct Connection {
    pending: Arc<Mutex<PendingRequests>>,
    outgoing: mpsc::UnboundedSender<String>,
    /// True once the connection has ended.
    closed: watch::Receiver<bool>,
    reader: AbortHandle,
}

impl Connection {
    /// Starts the tasks that read and write.
    pub(super) fn open(
        incoming: impl AsyncRead + Send + Unpin + 'static,
        outgoing: impl AsyncWrite + Send + Unpin + 'static,
    ) -> Self {
        let pending = Arc::new(Mutex::new(PendingRequests::default()));
        let (lines, queue) = mpsc::unbounded_channel();
        let (closing, closed) = watch::channel(false);
        tokio::spawn(write(outgoing, queue));
        let reading = Arc::clone(&pending);
        let reader = tokio::spawn(async move {
            let why = read(incoming, &reading).await;
            let mut pending = reading.lock();
            pending.requests.clear();
            pending.notifications.clear();
            pending.lost = Some(why);
            closing.send_replace(true);
        });
        Self { pending, outgoing: lines, closed, reader: reader.abort_handle() }
    }

    /// Sends a request. Its messages arrive through the channel, which closes early when the connection
    /// ends.
    pub(super) fn send(
        &self,
        method: &str,
        params: Value,
    ) -> Result<mpsc::UnboundedReceiver<RequestUpdate>, serde_json::Error> {
        let (sender, replies) = mpsc::unbounded_channel();
        let id = {
            let mut pending = self.pending.lock();
            pending.next += 1;
            let id = pending.next;
            if pending.lost.is_none() {
                pending.requests.insert(id, sender);
            }
            id
        };
        let id = Some(RequestId::Number(id));
        let line = Message::line(Request { id, method: method.to_owned(), params })?;
        // When the writer has ended, the reader ends, too, and closes this channel.
        let _ = self.outgoing.send(line);
        Ok(replies)
    }

    /// Receives the notifications of this method from now on.
    pub(super) fn notifications(&self, method: &'static str) -> mpsc::UnboundedReceiver<Box<RawValue>> {
        let (sender, notifications) = mpsc::unbounded_channel();
        let mut pending = self.pending.lock();
        if pending.lost.is_none() {
            pending.notifications.insert(method, sender);
        }
        notifications
    }

    /// Waits until the daemon has closed the connection.
    pub(super) async fn closed(&self) {
        // An error means that the reader has ended, which is the same.
        let _ = self.closed.clone().wait_for(|closed| *closed).await;
    }

    /// Why the connection ended.
    pub(super) fn why_lost(&self) -> String {
        match &self.pending.lock().lost {
            Some(Disconnect::Broken(why)) => why.clone(),
            Some(Disconnect::Noise(line)) => format!("what came is not the control protocol: {line:?}"),
            Some(Disconnect::Refused(error)) => error.message.clone(),
            None => "it was closed".to_owned(),
        }
    }

    /// The beginning of the line that is none of the protocol, if that ended the connection.
    pub(super) fn noise(&self) -> Option<String> {
        match &self.pending.lock().lost {
            Some(Disconnect::Noise(line)) => Some(line.clone()),
            _ => None,
        }
    }

    /// The error with which the daemon refused the connection as a whole.
    pub(super) fn refusal(&self) -> Option<RpcError> {
        match &self.pending.lock().lost {
            Some(Disconnect::Refused(error)) => Some(error.clone()),
            _ => None,
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

/// Writes queued lines until the queue is closed or the connection breaks.
async fn write(mut outgoing: impl AsyncWrite + Unpin, mut queue: mpsc::UnboundedReceiver<String>) {
    while let Some(mut line) = queue.recv().await {
        line.push('\n');
        if outgoing.write_all(line.as_bytes()).await.is_err() || outgoing.flush().await.is_err() {
            return;
        }
    }
    let _ = outgoing.shutdown().await;
}

/// Reads and delivers lines until the connection ends, and returns why it ended.
async fn read(incoming: impl AsyncRead + Unpin, pending: &Mutex<PendingRequests>) -> Disconnect {
    let mut incoming = BufReader::with_capacity(64 * 1024, incoming);
    let mut line = Vec::new();
    loop {
        line.clear();
        match (&mut incoming).take(MAX_RESPONSE).read_until(b'\n', &mut line).await {
            Err(error) => return Disconnect::Broken(error.to_string()),
            Ok(0) => return "the daemon closed it".into(),
            Ok(_) if line.last() == Some(&b'\n') => {}
            Ok(_) if line.first() != Some(&b'{') => return Disconnect::Noise(beginning(&line)),
            Ok(_) => return "it ended in the middle of a line".into(),
        }
        if line.trim_ascii().is_empty() {
            continue;
        }
        match serde_json::from_slice(&line) {
            Ok(read) => {
                if let Err(why) = deliver(read, pending) {
                    return why;
                }
            }
            Err(_) => return Disconnect::Noise(beginning(&line)),
        }
    }
}

/// The beginning of a line, for an error message.
fn beginning(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    // A shell that prints no line feed has the daemon's answer behind its own words.
    let text = text.split("{\"jsonrpc\"").next().unwrap_or_default().trim();
    text.chars().take(MAX_NOISE).collect()
}

/// Delivers a line to the caller that waits for it. Drops notifications without a receiver and responses to
/// cancelled requests. A response without an ID ends the connection.
fn deliver(line: IncomingLine, pending: &Mutex<PendingRequests>) -> Result<(), Disconnect> {
    if let Some(method) = line.method {
        let Some(params) = line.params else { return Ok(()) };
        if method == "progress" {
            if let Ok(progress) = serde_json::from_str::<Progress>(params.get())
                && let RequestId::Number(id) = progress.request
                && let Some(request) = pending.lock().requests.get(&id)
            {
                let _ = request.send(RequestUpdate::Progress(progress));
            }
        } else if let Some(notifications) = pending.lock().notifications.get(method.as_str()) {
            let _ = notifications.send(params);
        }
        return Ok(());
    }
    if let Some(RequestId::Number(id)) = line.id {
        if let Some(request) = pending.lock().requests.remove(&id) {
            let _ = request.send(RequestUpdate::Answer(line.into_answer()));
        }
        return Ok(());
    }
    Err(match line.error {
        Some(error) => Disconnect::Refused(error),
        None => "a response had no request ID".into(),
    })
}
