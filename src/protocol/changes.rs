//! Changes of an application's settings.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{AccessLogSetting, AppId, LabelChanges, LimitChanges, StartMode, UpgradePolicy};

/// Parameters of `app.update`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateApplication {
    /// The application's ID.
    pub id: AppId,
    /// The settings that change.
    #[serde(flatten)]
    pub changes: Changes,
}

/// Settings of an application to change. Fields that are absent do not change.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Changes {
    /// The display name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// When the daemon starts it by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_mode: Option<StartMode>,
    /// All of its domains; an empty list removes them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domains: Option<Vec<String>>,
    /// Domains to remove; one that it does not have is no error.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remove_domains: Vec<String>,
    /// Domains to add, after any removals.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub add_domains: Vec<String>,
    /// What happens when its system tables are older than the host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upgrade: Option<UpgradePolicy>,
    /// Seconds without a request after which it stops; 0 for never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_stop_seconds: Option<u64>,
    /// Limits to change: a value, or null for the limit of all applications.
    #[serde(skip_serializing_if = "LimitChanges::is_empty")]
    pub limits: LimitChanges,
    /// Which requests get a line in its access log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_log: Option<AccessLogSetting>,
    /// Labels to change: a value, or null to remove the label; one that it does not have is no error.
    #[serde(skip_serializing_if = "LabelChanges::is_empty")]
    pub labels: LabelChanges,
    /// The inventory of `nbapps apply` that it belongs to; an empty text releases it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inventory: Option<String>,
    /// Whether deletion is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protected: Option<bool>,
    /// Whether it is pinned in the page's list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pinned: Option<bool>,
    /// The name of its icon; an empty text removes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub icon: Option<String>,
}
