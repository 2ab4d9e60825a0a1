//! The descriptor of a resource: one value that says everything about it.
//!
//! The router finds actions in it, the permissions read who may call them, the catalog takes its
//! collection, and the hooks read what a change of its records invalidates. A table of data and plain
//! async functions: a new resource is a file that makes such a value, and a line in
//! [`system`](super::system).

use std::sync::LazyLock;

use crate::app::acl::policy::{Reach, Snippet};
use crate::app::api::{Answering, Call};
use crate::app::caches::Cache;
use crate::data::{Collection, HookFuture, RecordEvent, Transaction};

/// A resource of the system, or of one application.
#[derive(Default)]
pub struct Resource {
    /// Its name in URLs: `roles`. An association has the names of both sides: `roles.users`.
    pub name: &'static str,
    /// The collection of its records.
    pub collection: Option<&'static LazyLock<Collection>>,
    /// Whether the actions that all collections have serve its records.
    pub records: Records,
    /// Its own actions. They take precedence over those that all collections have.
    pub actions: Vec<ResourceAction>,
    /// Which permissions open it.
    pub reach: Reach,
    /// The snippets of roles that open it, each with the actions that it opens.
    pub snippets: &'static [Snippet],
    /// What memory keeps of its records: a change of one invalidates it.
    pub invalidates: &'static [Cache],
    /// The rules of its records, applied in the transaction that changes them.
    pub on_event: Option<EventHandler>,
}

/// Whether the actions that all collections have serve the records of a resource.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Records {
    /// They do.
    #[default]
    Common,
    /// Its own actions alone serve them. Associations of other collections may lead to them.
    Own,
    /// As [`Records::Own`], and no association leads to them: they are the host's bookkeeping.
    Internal,
}

/// An action of a resource.
pub struct ResourceAction {
    /// Its name in URLs: `setDefaultRole`.
    pub name: &'static str,
    /// Who may call it.
    pub access: ActionAccess,
    /// Does it.
    pub run: Run,
}

/// Who may call an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActionAccess {
    /// Everybody.
    Public,
    /// Whoever is signed in.
    SignedIn,
    /// Those whose roles open it.
    ByPermission,
}

/// Does an action.
pub type Run = Box<dyn for<'a> Fn(&'a Call<'a>) -> Answering<'a> + Send + Sync>;

/// Applies the rules of a resource to a record that is written.
pub type EventHandler = for<'a> fn(&'a mut Transaction, RecordEvent<'a>) -> HookFuture<'a>;

impl Resource {
    /// A resource of this name, with the actions that all collections have. What else it has is set by
    /// struct update.
    #[must_use]
    pub fn named(name: &'static str) -> Self {
        Self { name, ..Self::default() }
    }

    /// Its own action of this name.
    #[must_use]
    pub fn action(&self, name: &str) -> Option<&ResourceAction> {
        self.actions.iter().find(|action| action.name == name)
    }
}

impl ResourceAction {
    /// An action; `run` is a closure without captures around an async function, or one with the state
    /// that it works on.
    pub fn new<F>(name: &'static str, access: ActionAccess, run: F) -> Self
    where
        F: for<'a> Fn(&'a Call<'a>) -> Answering<'a> + Send + Sync + 'static,
    {
        Self { name, access, run: Box::new(run) }
    }
}

impl std::fmt::Debug for Resource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resource").field("name", &self.name).finish_non_exhaustive()
    }
}
