//! The users of an application: the parameters and results of `user.*`.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::AppId;

/// A user of an application.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct User {
    /// Its number, which never changes.
    pub id: i64,
    /// E-mail address.
    pub email: Option<String>,
    /// User name.
    pub username: Option<String>,
    /// Display name.
    pub nickname: Option<String>,
    /// The names of its roles, in alphabetical order.
    pub roles: Vec<String>,
    /// The role that it begins with, where one is marked.
    pub default_role: Option<String>,
    /// Whether it is disabled: it cannot sign in, and its tokens and API keys are refused.
    pub disabled: bool,
    /// When it was created.
    #[serde(serialize_with = "super::time::optional")]
    pub created_at: Option<DateTime<Utc>>,
}

/// Parameters of `user.list`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListUsers {
    /// The application's ID.
    pub id: AppId,
    /// Only users of a higher number than this: the `next` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<i64>,
    /// Whether to refuse when the application is not running, instead of starting it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub running_only: bool,
}

/// The result of `user.list`: a page of users, by number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UserList {
    /// The users.
    pub users: Vec<User>,
    /// The names of all roles of the application, in alphabetical order.
    pub roles: Vec<String>,
    /// The `after` of the next page; absent on the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<i64>,
}

/// Parameters that name a user of an application.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OneUser {
    /// The application's ID.
    pub id: AppId,
    /// The user, by number, e-mail address or user name.
    pub user: String,
}

/// Parameters of `user.add`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AddUser {
    /// The application's ID.
    pub id: AppId,
    /// E-mail address.
    pub email: String,
    /// User name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// Display name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nickname: Option<String>,
    /// The names of its roles; the application's default role when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
    /// Password; generated and shown once when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
}

impl std::fmt::Debug for AddUser {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AddUser").field("id", &self.id).field("email", &self.email).finish_non_exhaustive()
    }
}

/// Parameters of `user.passwd`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SetPassword {
    /// The application's ID.
    pub id: AppId,
    /// The user, by number, e-mail address or user name; the first root user when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The new password; generated and shown once when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
}

impl std::fmt::Debug for SetPassword {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SetPassword").field("id", &self.id).field("user", &self.user).finish_non_exhaustive()
    }
}

/// Parameters of `user.role`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeRoles {
    /// The application's ID.
    pub id: AppId,
    /// The user, by number, e-mail address or user name.
    pub user: String,
    /// The roles to give.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub add: Vec<String>,
    /// The roles to take.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remove: Vec<String>,
    /// The role to begin with, one of those that the user has then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
}

/// The result of a command that changes a user.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UserChanged {
    /// The user as it is now; a deleted one as it was.
    pub user: User,
    /// Whether anything changed; `false` when it was so already.
    pub changed: bool,
    /// The generated password: it is never shown again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
}

impl std::fmt::Debug for UserChanged {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UserChanged")
            .field("user", &self.user)
            .field("changed", &self.changed)
            .finish_non_exhaustive()
    }
}
