//! What pages see of the host around their application. The gateway implements it, so that this room knows
//! applications and nothing above them.

use std::future::Future;
use std::pin::Pin;

/// The applications of this host, as far as the pages show them.
pub trait HostView: Send + Sync {
    /// All applications, by ID, the main one first.
    fn list(&self) -> Vec<ListedApplication>;
    /// The application of this ID.
    fn describe(&self, id: &str) -> Option<ListedApplication>;
    /// Starts an application and waits until it is running. The error is a sentence for the operator.
    fn start<'a>(&'a self, id: &'a str) -> StateChange<'a>;
    /// Stops an application and waits until it has stopped. The error is a sentence for the operator.
    fn stop<'a>(&'a self, id: &'a str) -> StateChange<'a>;
}

/// A change of an application's state in progress.
pub type StateChange<'a> = Pin<Box<dyn Future<Output = Result<(), String>> + Send + 'a>>;

/// An application in a [`HostView`].
#[derive(Debug, Clone)]
pub struct ListedApplication {
    /// Its ID.
    pub id: String,
    /// The display name.
    pub name: String,
    /// The state, as the protocol names it: `running`, `stopped`.
    pub state: &'static str,
    /// Why it is in `error`.
    pub reason: Option<String>,
    /// The start mode: `on-visit`, `with-main`.
    pub start_mode: &'static str,
    /// The engine of its main data source.
    pub engine: String,
    /// Whether it can be started now.
    pub can_start: bool,
    /// Whether it can be stopped now.
    pub can_stop: bool,
    /// Whether it answers visits, or starts with one.
    pub can_visit: bool,
}

/// The ID of the main application, whose root user manages the others.
pub(super) const MAIN: &str = "main";

/// What the tests of several pages use.
#[cfg(test)]
pub(super) mod testing {
    use super::{HostView, ListedApplication, StateChange};

    /// A host without applications.
    pub(in crate::pages) struct NoApplications;

    impl HostView for NoApplications {
        fn list(&self) -> Vec<ListedApplication> {
            Vec::new()
        }
        fn describe(&self, _id: &str) -> Option<ListedApplication> {
            None
        }
        fn start<'a>(&'a self, _id: &'a str) -> StateChange<'a> {
            Box::pin(async { Ok(()) })
        }
        fn stop<'a>(&'a self, _id: &'a str) -> StateChange<'a> {
            Box::pin(async { Ok(()) })
        }
    }

    /// An application in a state.
    pub(in crate::pages) fn application(id: &str, state: &'static str) -> ListedApplication {
        let main = id == super::MAIN;
        ListedApplication {
            id: id.into(),
            name: format!("The {id}"),
            state,
            reason: None,
            start_mode: "on-visit",
            engine: "sqlite".into(),
            can_start: !main && state != "running",
            can_stop: !main && state == "running",
            can_visit: state == "running",
        }
    }
}
