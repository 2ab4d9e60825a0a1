//! What goes on after an answer: events, and the lines of a log that is followed.

use serde_json::Value;
use tokio::sync::broadcast::error::RecvError;

use super::link::Link;
use super::parameters::{give, read};
use crate::protocol::methods::{AppLogs, EventsSubscribe};
use crate::protocol::{ErrorKind, ReadLogs, RequestId, RpcError, Subscribed};
use crate::supervisor::logs::LogError;
use crate::supervisor::{Events, Supervisor};

/// Answers `events.subscribe`, then sends events until the client is gone.
pub(super) async fn events(events: &Events, id: Option<RequestId>, params: Value, link: Link) {
    let subscribe = match read::<EventsSubscribe>(params) {
        Ok(subscribe) => subscribe,
        Err(error) => return link.answer(id, Err(error)).await,
    };
    let (after, mut listener) = events.subscribe();
    link.answer(id, give::<EventsSubscribe>(Subscribed { after })).await;
    loop {
        let event = tokio::select! {
            event = listener.recv() => event,
            () = link.gone.cancelled() => return,
        };
        match event {
            Ok(event) if subscribe.ids.is_empty() || subscribe.ids.contains(&event.app) => {
                if !link.notify("event", event).await {
                    return;
                }
            }
            // A client too slow for all of them sees the gap in the numbers.
            Ok(_) | Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return,
        }
    }
}

/// Answers `app.logs`; followed, sends new lines until the client is gone.
pub(super) async fn logs(supervisor: &Supervisor, id: Option<RequestId>, params: Value, link: Link) {
    let read = match read::<AppLogs>(params) {
        Ok(read) => read,
        Err(error) => return link.answer(id, Err(error)).await,
    };
    if let Err(error) = supervisor.get(&read.id) {
        return link.answer(id, Err(error)).await;
    }
    let ReadLogs { id: app, lines, since, level, follow } = read;
    if !follow {
        let logs = supervisor.logs().read(&app, lines, since, level).await;
        return link.answer(id, logs.map_err(failed).and_then(give::<AppLogs>)).await;
    }
    let mut listener = match supervisor.logs().follow(&app, lines, since, level).await {
        Ok((logs, listener)) => {
            link.answer(id, give::<AppLogs>(logs)).await;
            listener
        }
        Err(error) => return link.answer(id, Err(failed(error))).await,
    };
    loop {
        let line = tokio::select! {
            line = listener.recv() => line,
            () = link.gone.cancelled() => return,
        };
        match line {
            Ok(line) if level.is_none_or(|level| line.level >= level) => {
                if !link.notify("log", line).await {
                    return;
                }
            }
            Ok(_) | Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return,
        }
    }
}

fn failed(error: LogError) -> RpcError {
    RpcError::new(ErrorKind::Storage, error.to_string())
        .hint("check that the data directory can be read; the files are in its directory logs")
}
