//! Roles and their permissions as they are stored.

use serde_json::Value as Json;

/// The role that may do everything.
pub const ROOT: &str = "root";

/// A role as it is stored in `roles`.
#[derive(Debug, Clone, Default)]
pub struct RoleDefinition {
    /// Its name, which is its key.
    pub name: String,
    /// What it may do with every collection: `{"actions": ["view", "update:own"]}`, or null.
    pub strategy: Json,
    /// Which parts of the management it opens: `pm.users`, `ui.*`, `!pm.*`.
    pub snippets: Vec<String>,
    /// Whether it may change pages.
    pub allow_configure: bool,
}

/// A role's permissions on one collection, as they are stored in `dataSourcesRolesResources`.
#[derive(Debug, Clone, Default)]
pub struct ResourceDefinition {
    /// The role's name.
    pub role: String,
    /// The collection's name.
    pub collection: String,
    /// Whether `actions` take the place of the role's strategy; without it they mean nothing.
    pub using_actions_config: bool,
    /// What may be done; anything else is refused.
    pub actions: Vec<ActionDefinition>,
}

/// One action that a role may do with one collection.
#[derive(Debug, Clone, Default)]
pub struct ActionDefinition {
    /// `view`, `create`, `update`, `destroy`, or another action's own name.
    pub name: String,
    /// The fields that may be shown or written, associations among them. See [`Acl::permission`]
    /// for what none means.
    pub fields: Vec<String>,
    /// The filter of the records that it reaches; all, where there is none or it is empty.
    pub scope: Option<Json>,
}
