//! `app.*`: commands on applications, and questions about them.

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::super::call::{Handled, MethodCall, MethodHandler};
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

impl MethodHandler<AppCreate> for RequestHandler {
    async fn handle(&self, create: CreateApplication, call: &MethodCall) -> Handled<AppCreate> {
        let (stages, forwarding) = forward_progress(call);
        let answer = self.supervisor.create(create, call.client.peer.user, stages).await;
        // Every stage is sent before the response.
        let _ = forwarding.await;
        if let Some(password) = answer.password {
            call.shows(password);
        }
        Ok(answer.result?.into())
    }
}

impl MethodHandler<AppDelete> for RequestHandler {
    async fn handle(&self, delete: DeleteApplication, call: &MethodCall) -> Handled<AppDelete> {
        let (stages, forwarding) = forward_progress(call);
        let deleted = self.supervisor.delete(delete, stages).await;
        let _ = forwarding.await;
        Ok(deleted?.into())
    }
}

impl MethodHandler<AppUndelete> for RequestHandler {
    async fn handle(&self, deleted: OneApplication, _: &MethodCall) -> Handled<AppUndelete> {
        Ok(self.supervisor.undelete(&deleted.id).await?.into())
    }
}

impl MethodHandler<AppStart> for RequestHandler {
    async fn handle(&self, start: ChangeState, _: &MethodCall) -> Handled<AppStart> {
        Ok(self.supervisor.start(start).await?.into())
    }
}

impl MethodHandler<AppStop> for RequestHandler {
    async fn handle(&self, stop: ChangeState, _: &MethodCall) -> Handled<AppStop> {
        Ok(self.supervisor.stop(stop).await?.into())
    }
}

impl MethodHandler<AppRestart> for RequestHandler {
    async fn handle(&self, restart: ChangeState, _: &MethodCall) -> Handled<AppRestart> {
        Ok(self.supervisor.restart(restart).await?.into())
    }
}

impl MethodHandler<AppUpdate> for RequestHandler {
    async fn handle(&self, update: UpdateApplication, _: &MethodCall) -> Handled<AppUpdate> {
        let updated = Box::pin(self.supervisor.update(update)).await?;
        Ok(self.supervisor.with_size(updated).await.into())
    }
}

impl MethodHandler<AppRotateSecret> for RequestHandler {
    async fn handle(&self, application: OneApplication, _: &MethodCall) -> Handled<AppRotateSecret> {
        let rotated = self.supervisor.rotate_secret(&application.id).await?;
        Ok(self.supervisor.with_size(rotated).await.into())
    }
}

impl MethodHandler<AppList> for RequestHandler {
    async fn handle(&self, list: ListApplications, _: &MethodCall) -> Handled<AppList> {
        Ok(self.supervisor.list_some(list).await?.into())
    }
}

impl MethodHandler<AppSummaries> for RequestHandler {
    async fn handle(&self, list: ListSummaries, _: &MethodCall) -> Handled<AppSummaries> {
        Ok(self.supervisor.summaries(&list).into())
    }
}

impl MethodHandler<AppGet> for RequestHandler {
    async fn handle(&self, application: OneApplication, _: &MethodCall) -> Handled<AppGet> {
        let found = self.supervisor.get(&application.id)?;
        Ok(self.supervisor.with_size(found).await.into())
    }
}

impl MethodHandler<AppWait> for RequestHandler {
    async fn handle(&self, wait: WaitForState, call: &MethodCall) -> Handled<AppWait> {
        tokio::select! {
            reached = self.supervisor.wait(wait) => Ok(reached?.into()),
            () = call.client.disconnected.cancelled() => {
                Err(RpcError::new(ErrorKind::ShuttingDown, "the daemon is ending: the wait was given up"))
            }
        }
    }
}

impl MethodHandler<AppVisit> for RequestHandler {
    async fn handle(&self, visit: VisitApplication, _: &MethodCall) -> Handled<AppVisit> {
        Ok(self.supervisor.visit_address(visit).await?.into())
    }
}

/// Where a command reports its stages, and the task that sends each on as `progress`. The task ends
/// with the command, or when the client has gone.
fn forward_progress(call: &MethodCall) -> (Stages, JoinHandle<()>) {
    let (stages, mut reported) = mpsc::unbounded_channel::<Stage>();
    let (request, client) = (call.id.clone(), call.client.clone());
    let task = tokio::spawn(async move {
        let Some(request) = request else { return };
        while let Some(stage) = reported.recv().await {
            let Stage { name, done, total, message, operation } = stage;
            let request = request.clone();
            let progress = Progress { request, stage: name.to_owned(), done, total, message, operation };
            if !client.notify("progress", progress).await {
                return;
            }
        }
    });
    (stages, task)
}
