//! `app.*`: commands on applications, and questions about them.

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::super::call::{Call, Handle, Handled};
use super::RequestHandler;
use crate::protocol::methods::{
    AppCreate, AppDelete, AppGet, AppList, AppRestart, AppRotateSecret, AppStart, AppStop, AppSummaries,
    AppUndelete, AppUpdate, AppVisit, AppWait,
};
use crate::protocol::{
    ChangeState, CreateApplication, DeleteApplication, ErrorKind, ListApplications, ListSummaries,
    OneApplication, Progress, RpcError, UpdateApplication, VisitApplication, WaitForState,
};
use crate::supervisor::{Stage, Stages};

impl Handle<AppCreate> for RequestHandler {
    async fn handle(&self, create: CreateApplication, call: &Call) -> Handled<AppCreate> {
        let (stages, forwarding) = forward_progress(call);
        let created = self.supervisor.create(create, stages).await;
        // Every stage is sent before the response.
        let _ = forwarding.await;
        Ok(created?.into())
    }
}

impl Handle<AppDelete> for RequestHandler {
    async fn handle(&self, delete: DeleteApplication, call: &Call) -> Handled<AppDelete> {
        let (stages, forwarding) = forward_progress(call);
        let deleted = self.supervisor.delete(delete, stages).await;
        let _ = forwarding.await;
        Ok(deleted?.into())
    }
}

impl Handle<AppUndelete> for RequestHandler {
    async fn handle(&self, deleted: OneApplication, _: &Call) -> Handled<AppUndelete> {
        Ok(self.supervisor.undelete(&deleted.id).await?.into())
    }
}

impl Handle<AppStart> for RequestHandler {
    async fn handle(&self, start: ChangeState, _: &Call) -> Handled<AppStart> {
        Ok(self.supervisor.start(start).await?.into())
    }
}

impl Handle<AppStop> for RequestHandler {
    async fn handle(&self, stop: ChangeState, _: &Call) -> Handled<AppStop> {
        Ok(self.supervisor.stop(stop).await?.into())
    }
}

impl Handle<AppRestart> for RequestHandler {
    async fn handle(&self, restart: ChangeState, _: &Call) -> Handled<AppRestart> {
        Ok(self.supervisor.restart(restart).await?.into())
    }
}

impl Handle<AppUpdate> for RequestHandler {
    async fn handle(&self, update: UpdateApplication, _: &Call) -> Handled<AppUpdate> {
        Ok(self.supervisor.update(update).await?.into())
    }
}

impl Handle<AppRotateSecret> for RequestHandler {
    async fn handle(&self, application: OneApplication, _: &Call) -> Handled<AppRotateSecret> {
        Ok(self.supervisor.rotate_secret(&application.id).await?.into())
    }
}

impl Handle<AppList> for RequestHandler {
    async fn handle(&self, list: ListApplications, _: &Call) -> Handled<AppList> {
        Ok(self.supervisor.list_some(list).await?.into())
    }
}

impl Handle<AppSummaries> for RequestHandler {
    async fn handle(&self, list: ListSummaries, _: &Call) -> Handled<AppSummaries> {
        Ok(self.supervisor.summaries(&list).into())
    }
}

impl Handle<AppGet> for RequestHandler {
    async fn handle(&self, application: OneApplication, _: &Call) -> Handled<AppGet> {
        Ok(self.supervisor.get_with_size(&application.id).await?.into())
    }
}

impl Handle<AppWait> for RequestHandler {
    async fn handle(&self, wait: WaitForState, call: &Call) -> Handled<AppWait> {
        tokio::select! {
            reached = self.supervisor.wait(wait) => Ok(reached?.into()),
            () = call.client.disconnected.cancelled() => {
                Err(RpcError::new(ErrorKind::ShuttingDown, "the daemon is ending: the wait was given up"))
            }
        }
    }
}

impl Handle<AppVisit> for RequestHandler {
    async fn handle(&self, visit: VisitApplication, _: &Call) -> Handled<AppVisit> {
        Ok(self.supervisor.visit_address(visit).await?.into())
    }
}

/// Where a command reports its stages, and the task that sends each on as `progress`. The task ends
/// with the command, or when the client has gone.
fn forward_progress(call: &Call) -> (Stages, JoinHandle<()>) {
    let (stages, mut reported) = mpsc::unbounded_channel::<Stage>();
    let (request, client) = (call.id.clone(), call.client.clone());
    let task = tokio::spawn(async move {
        let Some(request) = request else { return };
        while let Some(stage) = reported.recv().await {
            let Stage { name, done, total, message } = stage;
            let request = request.clone();
            let progress = Progress { request, stage: name.to_owned(), done, total, message };
            if !client.notify("progress", progress).await {
                return;
            }
        }
    });
    (stages, task)
}
