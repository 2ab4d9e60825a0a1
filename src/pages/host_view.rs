//! What pages see of the host around their application. The gateway implements it, so that this room knows
//! applications and nothing above them.

use std::future::Future;
use std::pin::Pin;

/// The applications of this host, as far as pages show them.
pub trait HostView: Send + Sync {
    /// All of them, by ID, the main one first.
    fn list(&self) -> Vec<ListedApplication>;
    /// One of them.
    fn describe(&self, id: &str) -> Option<ListedApplication>;
    /// Starts one and waits until it runs. The error is a sentence for the operator.
    fn start<'a>(&'a self, id: &'a str) -> StateChange<'a>;
    /// Stops one and waits until it has stopped. The error is a sentence for the operator.
    fn stop<'a>(&'a self, id: &'a str) -> StateChange<'a>;
}

/// A change of an application's state under way.
pub type StateChange<'a> = Pin<Box<dyn Future<Output = Result<(), String>> + Send + 'a>>;

/// An application in the [`HostView`].
#[derive(Debug, Clone)]
pub struct ListedApplication {
    /// Its ID.
    pub id: String,
    /// The name that people read.
    pub name: String,
    /// Where it stands, in the word of the wire: `running`, `stopped`.
    pub state: &'static str,
    /// Why it is in `error`.
    pub reason: Option<String>,
    /// When it starts by itself: `on-visit`, `with-main`.
    pub start_mode: &'static str,
    /// The engine of its main data source.
    pub engine: String,
    /// Whether starting it makes sense now.
    pub can_start: bool,
    /// Whether stopping it makes sense now.
    pub can_stop: bool,
    /// Whether a visit would be answered by it.
    pub can_visit: bool,
}

/// The ID of the application whose root looks after the others.
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
