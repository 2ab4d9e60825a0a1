//! Applications as a whole.
mod crash;
mod events;
mod lifecycle;
pub mod logs;
mod operations;
mod provision;
mod secrets;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub use events::Events;
pub use operations::Operations;
pub use secrets::{SecretError, SecretKey};

use crate::database::Location;

use crate::app::App;
use crate::protocol::{self, AppId, Application, RpcError, State};

/// All applications of this host.
#[derive(Debug)]
pub struct Supervisor {}

/// What the host's applications are opened with.
#[derive(Debug)]
pub struct SupervisorOptions {
    /// Where everything is kept.
    pub data_directory: PathBuf,
    /// The main application's database.
    pub main_location: Location,
    /// Where the gateway is reached, without a slash at the end: `http://127.0.0.1:13000`.
    pub main_url: String,
    /// `INIT_ROOT_*`: the root user of the main application and of every other that is not given one.
    pub root: protocol::RootUser,
    /// How long a deleted application's data is kept.
    pub keep_deleted: Duration,
    /// How long a first visit waits for its application to start.
    pub visit_timeout: Duration,
    /// How long a stop waits for requests in flight.
    pub drain_timeout: Duration,
    /// The applications' log files.
    pub logs: Arc<logs::LogFiles>,
}
/// One stage of long work, as it begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stage {
    /// Its name, for programs.
    pub name: &'static str,
    /// How many stages are done.
    pub done: u64,
    /// How many there are.
    pub total: u64,
    /// In words.
    pub message: String,
}
/// Where stages are told; without a listener nothing is lost.
pub type Stages = tokio::sync::mpsc::UnboundedSender<Stage>;
/// Why the applications cannot be opened at all.
#[derive(Debug, thiserror::Error)]
#[error("{sentence}")]
pub struct OpenError {
    /// What was tried, on what, what went wrong.
    pub sentence: String,
    /// What to do.
    pub hint: Option<String>,
}

/// A running application, lent to one request. Stopping it waits until this is dropped.
#[derive(Debug)]
pub struct Visit {
    app: Arc<App>,
}
impl std::ops::Deref for Visit {
    type Target = Arc<App>;
    fn deref(&self) -> &Arc<App> {
        &self.app
    }
}
/// Why a request cannot be answered by its application now.
#[derive(Debug, Clone)]
pub struct Unavailable {
    /// The ID that was asked for, as it was given.
    pub id: String,
    /// Its state: `not_found` is a 404, all else a 503.
    pub state: State,
    /// One sentence: what is the matter, and why.
    pub message: String,
    /// Seconds after which asking again makes sense.
    pub retry_after: Option<u64>,
}
impl Supervisor {
    /// Lends the application, starting it when it may be started by a visit; waits for that, bounded.
    pub async fn visit(self: &Arc<Self>, _id: &str) -> Result<Visit, Unavailable> {
        unimplemented!()
    }
    /// The application that answers under this host name (lower case, no port).
    pub fn by_domain(&self, _host: &str) -> Option<AppId> {
        unimplemented!()
    }
    /// Opens (on the first start: makes) the main application, reads the registry, and finishes or
    /// takes back what a crash left half done. Gives the main application's root user when it was
    /// made now.
    pub async fn open(
        _options: SupervisorOptions,
    ) -> Result<(Arc<Self>, Option<protocol::CreatedRootUser>), OpenError> {
        unimplemented!()
    }
    /// Starts the applications whose start mode is `with-main`, in parallel, bounded; gives when all are up
    /// or in error.
    pub async fn start_with_main(self: &Arc<Self>) {
        unimplemented!()
    }
    /// Takes no more commands, lets those under way end, stops every application, the main one last.
    pub async fn shutdown(&self) {
        unimplemented!()
    }
    /// What happens to applications.
    pub fn events(&self) -> &Events {
        unimplemented!()
    }
    /// Commands under way and ended.
    pub fn operations(&self) -> &Operations {
        unimplemented!()
    }
    /// The applications' logs.
    pub fn logs(&self) -> &logs::LogFiles {
        unimplemented!()
    }
    /// How many are registered, and how many of them run; the main one not counted.
    pub fn counts(&self) -> (u64, u64) {
        unimplemented!()
    }
    /// The main application's engine.
    pub fn engine(&self) -> crate::database::Engine {
        unimplemented!()
    }
    /// Creates one.
    pub async fn create(
        self: &Arc<Self>,
        _create: protocol::CreateApplication,
        _stages: Stages,
    ) -> Result<protocol::Created, RpcError> {
        unimplemented!()
    }
    /// Stops one, if it runs, and starts it.
    pub async fn restart(
        self: &Arc<Self>,
        _change: protocol::ChangeState,
    ) -> Result<protocol::StateChanged, RpcError> {
        unimplemented!()
    }
    /// Deletes one.
    pub async fn delete(
        self: &Arc<Self>,
        _delete: protocol::DeleteApplication,
        _stages: Stages,
    ) -> Result<protocol::Deleted, RpcError> {
        unimplemented!()
    }
    /// Brings one back.
    pub async fn undelete(self: &Arc<Self>, _id: &AppId) -> Result<Application, RpcError> {
        unimplemented!()
    }
    /// Changes settings.
    pub async fn update(
        self: &Arc<Self>,
        _update: protocol::UpdateApplication,
    ) -> Result<Application, RpcError> {
        unimplemented!()
    }
    /// Replaces the JWT secret.
    pub async fn rotate_secret(self: &Arc<Self>, _id: &AppId) -> Result<Application, RpcError> {
        unimplemented!()
    }
    /// Waits for a state.
    pub async fn wait(&self, _wait: protocol::WaitForState) -> Result<Application, RpcError> {
        unimplemented!()
    }
    /// Where to visit one, with a sign-in if asked.
    pub async fn visit_address(
        &self,
        _visit: protocol::VisitApplication,
    ) -> Result<protocol::Visit, RpcError> {
        unimplemented!()
    }
    /// Some of the applications, or the deleted ones.
    pub async fn list_some(
        &self,
        _list: protocol::ListApplications,
    ) -> Result<protocol::ApplicationList, RpcError> {
        unimplemented!()
    }
    /// Describes one application.
    pub fn get(&self, _id: &AppId) -> Result<Application, RpcError> {
        unimplemented!()
    }
    /// All applications, by ID, the main one first.
    pub fn list(&self) -> Vec<Application> {
        unimplemented!()
    }
    /// Starts one.
    pub async fn start(
        self: &Arc<Self>,
        _change: protocol::ChangeState,
    ) -> Result<protocol::StateChanged, RpcError> {
        unimplemented!()
    }
    /// Stops one.
    pub async fn stop(
        self: &Arc<Self>,
        _change: protocol::ChangeState,
    ) -> Result<protocol::StateChanged, RpcError> {
        unimplemented!()
    }
}
