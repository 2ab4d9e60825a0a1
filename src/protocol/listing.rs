//! Lists of applications: with all their settings, or summaries.

use std::num::NonZeroU32;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::field::{self, SortValue};
use super::{AppId, Application, ApplicationField, Condition, Labels, SortBy, StartMode, State};

/// Parameters of `app.list`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ListApplications {
    /// Whether to list deleted applications that can be undeleted, instead.
    pub deleted: bool,
    /// Only applications in one of these states; empty for all.
    pub states: Vec<State>,
    /// Only applications for which all of these hold.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// At most this many on a page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<NonZeroU32>,
    /// The order: the name of a field, or with a hyphen before it the other way round; the next one sorts what is
    /// equal by the one before. With an order there is one page; without, applications are sorted by ID.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub order: Vec<SortBy>,
    /// Whether to query the databases for the size of their data.
    pub sizes: bool,
    /// Only applications after this one: the `next` of the previous page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<AppId>,
}

/// The result of `app.list`: a page of applications, by ID, the main one first, unless an order was given.
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
    /// Only applications for which all of these hold.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// At most this many on a page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<NonZeroU32>,
    /// Whether summaries have the labels.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub labels: bool,
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
    /// Its labels, if they were asked for.
    #[serde(default, skip_serializing_if = "Labels::is_empty")]
    pub labels: Labels,
}

impl ApplicationSummary {
    /// Whether summaries have all that an order sorts by.
    #[must_use]
    pub fn have_all_of(order: &[SortBy]) -> bool {
        let is_there = |by: &SortBy| {
            matches!(
                by.field,
                ApplicationField::Id
                    | ApplicationField::Name
                    | ApplicationField::State
                    | ApplicationField::StartMode
                    | ApplicationField::Url
            )
        };
        order.iter().all(is_there)
    }

    /// What it is sorted by; `None` for a field that summaries do not have.
    #[must_use]
    pub fn sort_value(&self, field: &ApplicationField) -> Option<SortValue> {
        match field {
            ApplicationField::Id => field::text(self.id.as_str()),
            ApplicationField::Name => field::text(&self.name),
            ApplicationField::State => field::text(self.state.as_str()),
            ApplicationField::StartMode => field::text(self.start_mode.as_str()),
            ApplicationField::Url => field::text(&self.url),
            _ => None,
        }
    }
}

impl From<&Application> for ApplicationSummary {
    fn from(application: &Application) -> Self {
        let Application { id, name, state, start_mode, url, labels, .. } = application;
        let (id, name, url, labels) = (id.clone(), name.clone(), url.clone(), labels.clone());
        Self { id, name, state: *state, start_mode: *start_mode, url, labels }
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
