//! Roles, and what they may do.

use std::sync::LazyLock;

use serde_json::json;

use crate::data::{Association, Collection, Field};

/// What users may do.
pub static ROLES: LazyLock<Collection> = LazyLock::new(|| {
    Collection::new("roles")
        .timestamps()
        .field(Field::string("name").primary_key())
        .field(Field::string("title").unique())
        .field(Field::string("description"))
        .field(Field::json("strategy"))
        .field(Field::boolean("default").default_value(false))
        .field(Field::boolean("hidden").default_value(false))
        .field(Field::boolean("allowConfigure"))
        .field(Field::boolean("allowNewMenu"))
        .field(Field::json("snippets").default_value(json!(["!ui.*", "!pm", "!pm.*"])))
        .field(Field::big_int("sort"))
        .field(Field::boolean("allowNewMobileMenu"))
        .field(Field::boolean("allowNewAiEmployee"))
        .association(
            Association::belongs_to_many("users", "users", "rolesUsers", "roleName", "userId")
                .source_key("name"),
        )
});

/// Which user has which role; `default` marks the one that a sign-in begins with.
pub static ROLES_USERS: LazyLock<Collection> = LazyLock::new(|| {
    Collection::new("rolesUsers")
        .timestamps()
        .field(Field::boolean("default"))
        .field(Field::string("roleName").primary_key())
        .field(Field::big_int("userId").primary_key())
});

/// Permissions of a role on a collection: an older table, kept for the data that is in it.
pub static ROLES_RESOURCES: LazyLock<Collection> = LazyLock::new(|| {
    Collection::new("rolesResources")
        .field(Field::big_int("id").primary_key().auto_increment())
        .timestamps()
        .field(Field::string("roleName"))
        .field(Field::string("name"))
        .field(Field::boolean("usingActionsConfig"))
});

/// One action of those.
pub static ROLES_RESOURCES_ACTIONS: LazyLock<Collection> = LazyLock::new(|| {
    Collection::new("rolesResourcesActions")
        .field(Field::big_int("id").primary_key().auto_increment())
        .timestamps()
        .field(Field::big_int("rolesResourceId"))
        .field(Field::string("name"))
        .field(Field::json("fields").default_value(json!([])))
        .field(Field::big_int("scopeId"))
});

/// Which records those reach.
pub static ROLES_RESOURCES_SCOPES: LazyLock<Collection> = LazyLock::new(|| {
    Collection::new("rolesResourcesScopes")
        .field(Field::big_int("id").primary_key().auto_increment())
        .timestamps()
        .field(Field::string("key"))
        .field(Field::string("name"))
        .field(Field::string("resourceName"))
        .field(Field::json("scope"))
});

/// A role's general strategy in a data source. `id` is 11 random characters.
pub static DATA_SOURCES_ROLES: LazyLock<Collection> = LazyLock::new(|| {
    Collection::new("dataSourcesRoles")
        .field(Field::string("id").primary_key())
        .field(Field::string("roleName"))
        .field(Field::json("strategy"))
        .field(Field::string("dataSourceKey"))
});

/// A role's permissions on one collection. The host makes `id`, as it does in the two below.
pub static DATA_SOURCES_ROLES_RESOURCES: LazyLock<Collection> = LazyLock::new(|| {
    Collection::new("dataSourcesRolesResources")
        .field(Field::big_int("id").primary_key())
        .timestamps()
        .field(Field::string("dataSourceKey").default_value("main"))
        .field(Field::string("roleName"))
        .field(Field::string("name"))
        .field(Field::boolean("usingActionsConfig"))
});

/// One action of those: on which fields, on which records.
pub static DATA_SOURCES_ROLES_RESOURCES_ACTIONS: LazyLock<Collection> = LazyLock::new(|| {
    Collection::new("dataSourcesRolesResourcesActions")
        .field(Field::big_int("id").primary_key())
        .timestamps()
        .field(Field::string("name"))
        .field(Field::json("fields").default_value(json!([])))
        .field(Field::big_int("scopeId"))
        .field(Field::big_int("rolesResourceId"))
});

/// Which records an action reaches: a filter, or all of them where it is empty.
pub static DATA_SOURCES_ROLES_RESOURCES_SCOPES: LazyLock<Collection> = LazyLock::new(|| {
    Collection::new("dataSourcesRolesResourcesScopes")
        .field(Field::big_int("id").primary_key())
        .timestamps()
        .field(Field::string("key"))
        .field(Field::string("dataSourceKey").default_value("main"))
        .field(Field::string("name"))
        .field(Field::string("resourceName"))
        .field(Field::json("scope"))
});
