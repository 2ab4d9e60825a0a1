//! `events.subscribe` and `app.logs`: what they send goes on after the response, as notifications.

use serde::Serialize;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use super::super::call::{Handled, MethodCall, MethodHandler, Reply};
use super::super::client_handle::ClientHandle;
use super::RequestHandler;
use crate::protocol::methods::{AppLogs, EventsSubscribe};
use crate::protocol::{ErrorKind, Event, LogLine, ReadLogs, RpcError, SubscribeEvents, Subscribed};
use crate::supervisor::logs::LogError;

impl MethodHandler<EventsSubscribe> for RequestHandler {
    async fn handle(&self, subscribe: SubscribeEvents, call: &MethodCall) -> Handled<EventsSubscribe> {
        let (after, events) = self.supervisor.events().subscribe();
        let ids = subscribe.ids;
        let is_wanted = move |event: &Event| ids.is_empty() || ids.contains(&event.app);
        Ok(Reply::then(Subscribed { after }, forward(events, "event", is_wanted, call.client.clone())))
    }
}

impl MethodHandler<AppLogs> for RequestHandler {
    async fn handle(&self, read: ReadLogs, call: &MethodCall) -> Handled<AppLogs> {
        self.supervisor.get(&read.id)?;
        let ReadLogs { id: app, lines, since, level, follow } = read;
        let logs = self.supervisor.logs();
        if !follow {
            return Ok(logs.read(&app, lines, since, level).await.map_err(unreadable)?.into());
        }
        let (kept, new) = logs.follow(&app, lines, since, level).await.map_err(unreadable)?;
        let is_wanted = move |line: &LogLine| level.is_none_or(|level| line.level >= level);
        Ok(Reply::then(kept, forward(new, "log", is_wanted, call.client.clone())))
    }
}

/// Sends what arrives and is wanted as notifications, until the client has gone. A client that is too
/// slow for all of them misses some, and sees the gap in their numbers.
async fn forward<T: Serialize + Clone>(
    mut arriving: Receiver<T>,
    method: &'static str,
    is_wanted: impl Fn(&T) -> bool,
    client: ClientHandle,
) {
    loop {
        let arrived = tokio::select! {
            arrived = arriving.recv() => arrived,
            () = client.disconnected.cancelled() => return,
        };
        match arrived {
            Ok(item) if is_wanted(&item) => {
                if !client.notify(method, item).await {
                    return;
                }
            }
            Ok(_) | Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return,
        }
    }
}

fn unreadable(error: LogError) -> RpcError {
    RpcError::new(ErrorKind::Storage, error.to_string())
        .hint("check that the data directory can be read; the files are in its directory logs")
}
