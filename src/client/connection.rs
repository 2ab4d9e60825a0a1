//! One connection: a task that writes lines, a task that reads them, and the table of requests in
//! flight between the two.
//!
//! The reader gives each line to the one who waits for it, by the request's ID, so that any
//! number of requests share a connection and none waits for another.

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

/// The longest answer a client reads, in bytes. Requests are held to
/// [`MAX_LINE`](crate::protocol::lines::MAX_LINE); a list of many thousand applications is longer.
const MAX_ANSWER: u64 = 256 * 1024 * 1024;

/// What comes back for a request.
#[derive(Debug)]
pub(super) enum Reply {
    /// How far it has come; more will follow.
    Progress(Progress),
    /// The end: the result, as it came, or the error.
    Answer(Result<Box<RawValue>, RpcError>),
}

/// A line from the daemon, read only as far as is needed to hand it on: a list of thousands of
/// applications is read once, by the one who asked for it.
#[derive(Debug, Deserialize)]
pub(crate) struct Line {
    id: Option<RequestId>,
    method: Option<String>,
    params: Option<Box<RawValue>>,
    result: Option<Box<RawValue>>,
    error: Option<RpcError>,
}

impl Line {
    /// The answer in it, when it is the answer to request `id`.
    pub(crate) fn into_answer_to(self, id: i64) -> Option<Result<Box<RawValue>, RpcError>> {
        (self.method.is_none() && self.id == Some(RequestId::Number(id))).then(|| self.into_answer())
    }

    fn into_answer(self) -> Result<Box<RawValue>, RpcError> {
        match self.error {
            Some(error) => Err(error),
            // A result of null reads as none at all.
            None => Ok(self.result.unwrap_or_else(|| RawValue::NULL.to_owned())),
        }
    }
}

/// Why a connection ended.
#[derive(Debug)]
enum Lost {
    /// What went wrong on the way.
    Broken(String),
    /// The daemon's error about the connection itself, such as that this user may not use it.
    Refused(RpcError),
}

impl From<&str> for Lost {
    fn from(why: &str) -> Self {
        Self::Broken(why.to_owned())
    }
}

/// Who waits for what, and why nobody does any more.
#[derive(Debug, Default)]
struct Waiting {
    next: i64,
    /// By request ID. Dropping a sender tells the one who waits that no answer will come.
    requests: HashMap<i64, mpsc::UnboundedSender<Reply>>,
    /// By the notification's method.
    news: HashMap<&'static str, mpsc::UnboundedSender<Box<RawValue>>>,
    /// Set once, when the connection has ended.
    lost: Option<Lost>,
}

/// A connection, open or lost.
#[derive(Debug)]
pub(super) struct Connection {
    waiting: Arc<Mutex<Waiting>>,
    outgoing: mpsc::UnboundedSender<String>,
    /// Turns true when the connection has ended.
    closed: watch::Receiver<bool>,
    reader: AbortHandle,
}

impl Connection {
    /// Begins to read and write.
    pub(super) fn open(
        incoming: impl AsyncRead + Send + Unpin + 'static,
        outgoing: impl AsyncWrite + Send + Unpin + 'static,
    ) -> Self {
        let waiting = Arc::new(Mutex::new(Waiting::default()));
        let (lines, queue) = mpsc::unbounded_channel();
        let (closing, closed) = watch::channel(false);
        tokio::spawn(write(outgoing, queue));
        let reading = Arc::clone(&waiting);
        let reader = tokio::spawn(async move {
            let why = read(incoming, &reading).await;
            let mut waiting = reading.lock();
            waiting.requests.clear();
            waiting.news.clear();
            waiting.lost = Some(why);
            closing.send_replace(true);
        });
        Self { waiting, outgoing: lines, closed, reader: reader.abort_handle() }
    }

    /// Sends a request; its replies come through the channel, which ends early when the
    /// connection does.
    pub(super) fn send(
        &self,
        method: &str,
        params: Value,
    ) -> Result<mpsc::UnboundedReceiver<Reply>, serde_json::Error> {
        let (sender, replies) = mpsc::unbounded_channel();
        let id = {
            let mut waiting = self.waiting.lock();
            waiting.next += 1;
            let id = waiting.next;
            if waiting.lost.is_none() {
                waiting.requests.insert(id, sender);
            }
            id
        };
        let id = Some(RequestId::Number(id));
        let line = Message::line(Request { id, method: method.to_owned(), params })?;
        // When the writer has gone, the reader is about to end too, and with it this channel.
        let _ = self.outgoing.send(line);
        Ok(replies)
    }

    /// From now on, the news of this kind.
    pub(super) fn news(&self, method: &'static str) -> mpsc::UnboundedReceiver<Box<RawValue>> {
        let (sender, news) = mpsc::unbounded_channel();
        let mut waiting = self.waiting.lock();
        if waiting.lost.is_none() {
            waiting.news.insert(method, sender);
        }
        news
    }

    /// Waits until the other side has closed the connection.
    pub(super) async fn closed(&self) {
        // An error means that the reader has gone, which is the same.
        let _ = self.closed.clone().wait_for(|closed| *closed).await;
    }

    /// Why the connection ended.
    pub(super) fn why_lost(&self) -> String {
        match &self.waiting.lock().lost {
            Some(Lost::Broken(why)) => why.clone(),
            Some(Lost::Refused(error)) => error.message.clone(),
            None => "it was closed".to_owned(),
        }
    }

    /// The error with which the daemon refused the connection as a whole.
    pub(super) fn refusal(&self) -> Option<RpcError> {
        match &self.waiting.lock().lost {
            Some(Lost::Refused(error)) => Some(error.clone()),
            _ => None,
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

/// Writes what is queued until nobody can queue any more or the other side has gone.
async fn write(mut outgoing: impl AsyncWrite + Unpin, mut queue: mpsc::UnboundedReceiver<String>) {
    while let Some(mut line) = queue.recv().await {
        line.push('\n');
        if outgoing.write_all(line.as_bytes()).await.is_err() || outgoing.flush().await.is_err() {
            return;
        }
    }
    let _ = outgoing.shutdown().await;
}

/// Reads and hands out lines until there are no more; gives the reason.
async fn read(incoming: impl AsyncRead + Unpin, waiting: &Mutex<Waiting>) -> Lost {
    let mut incoming = BufReader::with_capacity(64 * 1024, incoming);
    let mut line = Vec::new();
    loop {
        line.clear();
        match (&mut incoming).take(MAX_ANSWER).read_until(b'\n', &mut line).await {
            Err(error) => return Lost::Broken(error.to_string()),
            Ok(0) => return "the daemon closed it".into(),
            Ok(_) if line.last() == Some(&b'\n') => {}
            Ok(_) => return "it ended in the middle of a line".into(),
        }
        if line.trim_ascii().is_empty() {
            continue;
        }
        match serde_json::from_slice(&line) {
            Ok(read) => {
                if let Err(why) = deliver(read, waiting) {
                    return why;
                }
            }
            Err(error) => return Lost::Broken(format!("what came is not the control protocol: {error}")),
        }
    }
}

/// Gives a line to the one who waits for it. News that nobody waits for is dropped, as is the
/// answer to a request that was given up. An answer to no request at all ends the connection.
fn deliver(line: Line, waiting: &Mutex<Waiting>) -> Result<(), Lost> {
    if let Some(method) = line.method {
        let Some(params) = line.params else { return Ok(()) };
        if method == "progress" {
            if let Ok(progress) = serde_json::from_str::<Progress>(params.get())
                && let RequestId::Number(id) = progress.request
                && let Some(request) = waiting.lock().requests.get(&id)
            {
                let _ = request.send(Reply::Progress(progress));
            }
        } else if let Some(news) = waiting.lock().news.get(method.as_str()) {
            let _ = news.send(params);
        }
        return Ok(());
    }
    if let Some(RequestId::Number(id)) = line.id {
        if let Some(request) = waiting.lock().requests.remove(&id) {
            let _ = request.send(Reply::Answer(line.into_answer()));
        }
        return Ok(());
    }
    Err(match line.error {
        Some(error) => Lost::Refused(error),
        None => "an answer came to no request".into(),
    })
}
