//! Many applications: whole, or as far as a table shows them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{AppId, Application, StartMode, State};

/// Parameters of `app.list`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ListApplications {
    /// List the deleted ones that can be undeleted, instead.
    pub deleted: bool,
    /// Only those in one of these states; empty for all.
    pub states: Vec<State>,
    /// Ask their databases for the size of their data.
    pub sizes: bool,
    /// Only those behind this one: the `next` of the page before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<AppId>,
}

/// The answer of `app.list`: by ID, the main application first. A page holds as many as fit a
/// line well.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ApplicationList {
    /// The applications.
    pub applications: Vec<Application>,
    /// There are more: ask again with `after` set to this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<AppId>,
}

impl ApplicationList {
    /// How many applications a page holds at most.
    pub const PAGE: usize = 4000;
}

/// Parameters of `app.summaries`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ListSummaries {
    /// Only those in one of these states; empty for all.
    pub states: Vec<State>,
    /// Only those behind this one: the `next` of the page before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<AppId>,
}

/// An application as far as a table of many shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ApplicationSummary {
    /// Its ID.
    pub id: AppId,
    /// Its name, for people.
    pub name: String,
    /// Where it stands.
    pub state: State,
    /// When it starts by itself.
    pub start_mode: StartMode,
    /// Where its pages are.
    pub url: String,
}

impl From<&Application> for ApplicationSummary {
    fn from(application: &Application) -> Self {
        let Application { id, name, state, start_mode, url, .. } = application;
        let (id, name, url) = (id.clone(), name.clone(), url.clone());
        Self { id, name, state: *state, start_mode: *start_mode, url }
    }
}

/// The answer of `app.summaries`: by ID, the main application first. A page holds as many as fit a
/// line well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ApplicationSummaries {
    /// The applications.
    pub applications: Vec<ApplicationSummary>,
    /// There are more: ask again with `after` set to this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<AppId>,
}

impl ApplicationSummaries {
    /// How many applications a page holds at most.
    pub const PAGE: usize = 20_000;
}
