//! Applications as a whole.
use std::sync::Arc;

use crate::app::App;
use crate::protocol::{self, AppId, Application, RpcError, State};

/// All applications of this host.
#[derive(Debug)]
pub struct Supervisor {}

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
    pub async fn visit(&self, _id: &str) -> Result<Visit, Unavailable> {
        unimplemented!()
    }
    /// The application that answers under this host name (lower case, no port).
    pub fn by_domain(&self, _host: &str) -> Option<AppId> {
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
    pub async fn start(&self, _change: protocol::ChangeState) -> Result<protocol::StateChanged, RpcError> {
        unimplemented!()
    }
    /// Stops one.
    pub async fn stop(&self, _change: protocol::ChangeState) -> Result<protocol::StateChanged, RpcError> {
        unimplemented!()
    }
}
