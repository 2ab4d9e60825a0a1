//! `events.subscribe`, `app.logs` and `host.logs`: what they send goes on after the response, as notifications.

use std::sync::Arc;

use serde::Serialize;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use super::super::call::{Handled, MethodCall, MethodHandler, Reply};
use super::super::client_handle::ClientHandle;
use super::RequestHandler;
use crate::protocol::methods::{AppLogs, EventsSubscribe, HostLogs};
use crate::protocol::{
    AppId, ErrorKind, Event, Happening, ReadHostLogs, ReadLogs, RpcError, State, SubscribeEvents, Subscribed,
};
use crate::supervisor::Supervisor;
use crate::supervisor::logs::{Follower, LogError, LogFilter, LogName};

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
        let ids = self.logged_applications(&read)?;
        let ReadLogs { all, access, lines, since, level, follow, .. } = read;
        let name = move |app| if access { LogName::Access(app) } else { LogName::Application(app) };
        let names: Vec<_> = ids.into_iter().map(name).collect();
        let filter = LogFilter { lines, since, level };
        let logs = self.supervisor.logs();
        if !follow {
            return Ok(logs.read(&names, filter).await.map_err(unreadable)?.into());
        }
        let (_, events) = self.supervisor.events().subscribe();
        let (kept, follower) = logs.follow(&names, filter).await.map_err(unreadable)?;
        let client = call.client.clone();
        if !all {
            return Ok(Reply::then(kept, follow_logs(follower, filter, client)));
        }
        let supervisor = Arc::clone(&self.supervisor);
        Ok(Reply::then(kept, async move {
            follow_all(&supervisor, follower, filter, events, name, &client).await;
        }))
    }
}

impl RequestHandler {
    /// The applications whose logs are asked for.
    ///
    /// # Errors
    /// When the parameters name none, or one that does not exist.
    fn logged_applications(&self, read: &ReadLogs) -> Result<Vec<AppId>, RpcError> {
        if read.all {
            return Ok(self.supervisor.ids());
        }
        let mut ids: Vec<AppId> = Vec::new();
        for id in read.id.iter().chain(&read.ids) {
            self.supervisor.get(id)?;
            if !ids.contains(id) {
                ids.push(id.clone());
            }
        }
        if ids.is_empty() {
            let sentence = "app.logs needs the applications: none of id, ids and all is given";
            return Err(RpcError::new(ErrorKind::InvalidParams, sentence).hint("rpc.discover describes them"));
        }
        Ok(ids)
    }
}

impl MethodHandler<HostLogs> for RequestHandler {
    async fn handle(&self, read: ReadHostLogs, call: &MethodCall) -> Handled<HostLogs> {
        let ReadHostLogs { lines, since, level, follow } = read;
        let (names, filter) = ([LogName::Daemon], LogFilter { lines, since, level });
        let logs = self.supervisor.logs();
        if !follow {
            return Ok(logs.read(&names, filter).await.map_err(unreadable)?.into());
        }
        let (kept, follower) = logs.follow(&names, filter).await.map_err(unreadable)?;
        Ok(Reply::then(kept, follow_logs(follower, filter, call.client.clone())))
    }
}

/// Sends new lines as notifications, until the client has gone.
async fn follow_logs(mut follower: Follower, filter: LogFilter, client: ClientHandle) {
    loop {
        let line = tokio::select! {
            line = follower.next() => line,
            () = client.disconnected.cancelled() => return,
        };
        if filter.has_level(&line) && !client.notify("log", line).await {
            return;
        }
    }
}

/// Sends new lines of all applications, also of those that are created meanwhile, until the client has gone.
async fn follow_all(
    supervisor: &Supervisor,
    mut follower: Follower,
    filter: LogFilter,
    mut events: Receiver<Event>,
    name: impl Fn(AppId) -> LogName,
    client: &ClientHandle,
) {
    loop {
        let line = tokio::select! {
            line = follower.next() => line,
            event = events.recv() => {
                match event {
                    Ok(Event { app, what: Happening::StateChanged { from: State::NotFound, .. }, .. }) => {
                        // Logs that are not available any more end with the daemon, as this does.
                        let _ = supervisor.logs().follow_too(&follower, name(app)).await;
                    }
                    Ok(_) | Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return,
                }
                continue;
            }
            () = client.disconnected.cancelled() => return,
        };
        if filter.has_level(&line) && !client.notify("log", line).await {
            return;
        }
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
