//! The API keys of an application: the parameters and results of `key.*`.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::AppId;

/// An API key, without the key itself, which the application does not store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ApiKey {
    /// Its number.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// The number of the user for whom it acts.
    pub user_id: Option<i64>,
    /// That user's e-mail address, or user name where there is none.
    pub user: Option<String>,
    /// The role in which it acts.
    pub role: String,
    /// When it was created.
    #[serde(serialize_with = "super::time::optional")]
    pub created_at: Option<DateTime<Utc>>,
    /// When it expires; null when it does not.
    #[serde(serialize_with = "super::time::optional")]
    pub expires_at: Option<DateTime<Utc>>,
}

/// Parameters of `key.list`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListKeys {
    /// The application's ID.
    pub id: AppId,
    /// Whether to refuse when the application is not running, instead of starting it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub running_only: bool,
}

/// The result of `key.list`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KeyList {
    /// The keys of all users, by number.
    pub keys: Vec<ApiKey>,
}

/// Parameters of `key.create`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateKey {
    /// The application's ID.
    pub id: AppId,
    /// The key's name.
    pub name: String,
    /// The user for whom it acts, by number, e-mail address or user name; the first root user when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The role in which it acts, one of the user's; the user's default role, or its only one, when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// How long it is good: `30d`, or `never` for no end.
    pub expires_in: String,
}

/// The result of `key.create`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KeyCreated {
    /// The key's description.
    pub key: ApiKey,
    /// The key itself, for `Authorization: Bearer`: it is never shown again. Absent where it was written to a
    /// file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}

impl std::fmt::Debug for KeyCreated {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyCreated").field("key", &self.key).finish_non_exhaustive()
    }
}

/// Parameters of `key.revoke`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RevokeKey {
    /// The application's ID.
    pub id: AppId,
    /// The key, by number, or by name where one key alone has it.
    pub key: String,
}
