//! Lists of applications: with all their settings, or summaries.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{AppId, Application, StartMode, State};

/// Parameters of `app.list`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ListApplications {
    /// Whether to list deleted applications that can be undeleted, instead.
    pub deleted: bool,
    /// Only applications in one of these states; empty for all.
    pub states: Vec<State>,
    /// Whether to query the databases for the size of their data.
    pub sizes: bool,
    /// Only applications after this one: the `next` of the previous page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<AppId>,
}

/// The result of `app.list`: a page of applications by ID, the main one first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ApplicationList {
    /// The applications.
    pub applications: Vec<Application>,
    /// When there are more: the `after` of the next page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<AppId>,
}

impl ApplicationList {
    /// The most applications on a page.
    pub const PAGE: usize = 4000;
}

/// Parameters of `app.summaries`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ListSummaries {
    /// Only applications in one of these states; empty for all.
    pub states: Vec<State>,
    /// Only applications after this one: the `next` of the previous page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<AppId>,
}

/// The summary of an application.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ApplicationSummary {
    /// Its ID.
    pub id: AppId,
    /// Its display name.
    pub name: String,
    /// Its state.
    pub state: State,
    /// When the daemon starts it by itself.
    pub start_mode: StartMode,
    /// The URL of its pages.
    pub url: String,
}

impl From<&Application> for ApplicationSummary {
    fn from(application: &Application) -> Self {
        let Application { id, name, state, start_mode, url, .. } = application;
        let (id, name, url) = (id.clone(), name.clone(), url.clone());
        Self { id, name, state: *state, start_mode: *start_mode, url }
    }
}

/// The result of `app.summaries`: a page of summaries by ID, the main application first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ApplicationSummaries {
    /// The applications.
    pub applications: Vec<ApplicationSummary>,
    /// When there are more: the `after` of the next page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<AppId>,
}

impl ApplicationSummaries {
    /// The most applications on a page.
    pub const PAGE: usize = 20_000;
}
