//! One connection: a task that writes lines, a task that reads them, and the table of requests in
//! flight between the two.
//!
//! The reader gives each line to the one who waits for it, by the request's ID, so that any
//! number of requests share a connection and none waits for another.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;

use crate::protocol::{Incoming, Message, Notification, Outcome, Progress, Request, RequestId};

/// The longest answer a client reads, in bytes. Requests are held to
/// [`MAX_LINE`](crate::protocol::lines::MAX_LINE); a list of many thousand applications is longer.
const MAX_ANSWER: u64 = 256 * 1024 * 1024;

/// What comes back for a request.
#[derive(Debug)]
pub(super) enum Reply {
    /// How far it has come; more will follow.
    Progress(Progress),
    /// The end.
    Answer(Outcome),
}

/// Who waits for what, and why nobody does any more.
#[derive(Debug, Default)]
struct Waiting {
    next: i64,
    /// By request ID. Dropping a sender tells the one who waits that no answer will come.
    requests: HashMap<i64, mpsc::UnboundedSender<Reply>>,
    /// By the notification's method.
    news: HashMap<&'static str, mpsc::UnboundedSender<Value>>,
    /// Set once, when the connection has ended.
    lost: Option<String>,
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
    pub(super) fn news(&self, method: &'static str) -> mpsc::UnboundedReceiver<Value> {
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
        self.waiting.lock().lost.clone().unwrap_or_else(|| "it was closed".to_owned())
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
async fn read(incoming: impl AsyncRead + Unpin, waiting: &Mutex<Waiting>) -> String {
    let mut incoming = BufReader::with_capacity(64 * 1024, incoming);
    let mut line = Vec::new();
    loop {
        line.clear();
        match (&mut incoming).take(MAX_ANSWER).read_until(b'\n', &mut line).await {
            Err(error) => return error.to_string(),
            Ok(0) => return "the daemon closed it".to_owned(),
            Ok(_) if line.last() == Some(&b'\n') => {}
            Ok(_) => return "it ended in the middle of a line".to_owned(),
        }
        if line.trim_ascii().is_empty() {
            continue;
        }
        match serde_json::from_slice(&line) {
            Ok(message) => {
                if let Err(why) = deliver(message, waiting) {
                    return why;
                }
            }
            Err(error) => return format!("what came is not the control protocol: {error}"),
        }
    }
}

/// Gives a message to the one who waits for it. News that nobody waits for is dropped, as is the
/// answer to a request that was given up. An answer to no request at all ends the connection.
fn deliver(message: Incoming, waiting: &Mutex<Waiting>) -> Result<(), String> {
    match message {
        Incoming::Notification(Notification { method, params }) if method == "progress" => {
            if let Ok(progress) = serde_json::from_value::<Progress>(params)
                && let RequestId::Number(id) = progress.request
                && let Some(request) = waiting.lock().requests.get(&id)
            {
                let _ = request.send(Reply::Progress(progress));
            }
        }
        Incoming::Notification(Notification { method, params }) => {
            if let Some(news) = waiting.lock().news.get(method.as_str()) {
                let _ = news.send(params);
            }
        }
        Incoming::Response(response) => match response.id {
            Some(RequestId::Number(id)) => {
                if let Some(request) = waiting.lock().requests.remove(&id) {
                    let _ = request.send(Reply::Answer(response.outcome));
                }
            }
            _ => {
                return Err(match response.outcome {
                    Outcome::Error(error) => error.message,
                    Outcome::Result(_) => "an answer came to no request".to_owned(),
                });
            }
        },
    }
    Ok(())
}
