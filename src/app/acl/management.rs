//! The management of an application: its resources, the snippets that open them, and what is open
//! to everybody.
//!
//! NocoBase lets a general strategy reach every collection that it shows, `roles` among them, so
//! that who may create records may create roles. Here no strategy and no configuration of a
//! collection reaches the management; `users` may be read by a strategy, as lists of records need
//! their authors, and changed by a configuration or a snippet only.

use std::collections::HashMap;

use super::Permission;

/// How a resource is decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// A collection: by its configuration or by the strategy.
    Collection,
    /// `users`: as a collection, but the strategy only reads.
    People,
    /// By snippets alone.
    Management,
}

/// How a resource of this name is decided.
pub(super) fn reach(resource: &str) -> Reach {
    match resource {
        "users" => Reach::People,
        "app"
        | "apiKeys"
        | "applicationPlugins"
        | "applicationVersion"
        | "applications"
        | "auth"
        | "authenticators"
        | "availableActions"
        | "collectionCategories"
        | "collections"
        | "dataSources"
        | "dataSourcesCollections"
        | "dataSourcesFields"
        | "dataSourcesRoles"
        | "dataSourcesRolesResources"
        | "dataSourcesRolesResourcesActions"
        | "dataSourcesRolesResourcesScopes"
        | "dbViews"
        | "fields"
        | "issuedTokens"
        | "mainDataSource"
        | "migrations"
        | "plugins"
        | "pm"
        | "roles"
        | "rolesResources"
        | "rolesResourcesActions"
        | "rolesResourcesScopes"
        | "rolesUsers"
        | "storages"
        | "systemSettings"
        | "tokenBlacklist"
        | "tokenControlConfig"
        | "usersAuthenticators" => Reach::Management,
        _ => Reach::Collection,
    }
}

/// Whether an association belongs to the management: because its source does, or its target.
pub(super) fn is_managed(association: &str) -> bool {
    let source = association.split('.').next().unwrap_or_default();
    reach(source) == Reach::Management
        || SNIPPETS.iter().any(|snippet| snippet.actions.iter().any(|(resource, _)| *resource == association))
}

/// What is reached of a resource that is open, whoever asks: of the API keys only the user's own.
pub(super) fn fixed(resource: &str) -> &'static Permission {
    if resource == "apiKeys" { Permission::own() } else { Permission::all() }
}

/// A part of the management that a role's snippets open.
struct Snippet {
    name: &'static str,
    /// Resources, each with an action, or `*` for all of them.
    actions: &'static [(&'static str, &'static str)],
}

/// The snippets under NocoBase's names, with what they open here.
static SNIPPETS: &[Snippet] = &[
    Snippet { name: "app", actions: &[("app", "restart"), ("app", "refresh"), ("app", "clearCache")] },
    Snippet { name: "pm", actions: &[("pm", "*")] },
    Snippet {
        name: "pm.acl.roles",
        actions: &[
            ("roles", "*"),
            ("roles.snippets", "*"),
            ("roles.collections", "list"),
            ("roles.resources", "*"),
            ("roles.users", "*"),
            ("roles.dataSourcesCollections", "*"),
            ("roles.dataSourceResources", "*"),
            ("users.roles", "*"),
            ("availableActions", "list"),
            ("dataSources", "list"),
            ("dataSources.roles", "*"),
            ("dataSources.rolesResourcesScopes", "*"),
            ("rolesResourcesScopes", "*"),
            ("dataSourcesRolesResourcesScopes", "*"),
            ("dataSourcesRolesResourcesActions", "*"),
        ],
    },
    Snippet {
        name: "pm.api-keys.configuration",
        actions: &[("apiKeys", "list"), ("apiKeys", "get"), ("apiKeys", "create"), ("apiKeys", "destroy")],
    },
    Snippet { name: "pm.auth.authenticators", actions: &[("authenticators", "*")] },
    Snippet {
        name: "pm.data-source-manager",
        actions: &[
            ("dataSources", "*"),
            ("dataSources.collections", "*"),
            ("dataSourcesCollections.fields", "*"),
            ("roles.dataSourceResources", "*"),
        ],
    },
    Snippet { name: "pm.data-source-manager.collection-view", actions: &[("dbViews", "*")] },
    Snippet {
        name: "pm.data-source-manager.data-source-main",
        actions: &[
            ("collections", "*"),
            ("collections.fields", "*"),
            ("fields", "*"),
            ("collectionCategories", "*"),
            ("mainDataSource", "*"),
        ],
    },
    Snippet { name: "pm.file-manager.storages", actions: &[("storages", "*")] },
    Snippet { name: "pm.multi-app-manager.applications", actions: &[("applications", "*")] },
    Snippet { name: "pm.security.token-policy", actions: &[("tokenControlConfig", "*")] },
    Snippet {
        name: "pm.system-settings.system-settings",
        actions: &[("systemSettings", "put"), ("systemSettings", "update")],
    },
    // Who may set anybody's password may give roles, too.
    Snippet { name: "pm.users", actions: &[("users", "*"), ("users.roles", "*")] },
];

/// The actions of one resource that a role's snippets open.
#[derive(Debug, Default)]
pub(super) struct Opened {
    all: bool,
    actions: Vec<&'static str>,
}

impl Opened {
    /// Whether an action is among them.
    pub(super) fn has(&self, action: &str) -> bool {
        self.all || self.actions.contains(&action)
    }
}

/// What a role's snippets open, by resource. `*` in a snippet stands for any characters; one with
/// `!` takes away what others give, wherever it stands.
pub(super) fn opened_by(snippets: &[String]) -> HashMap<&'static str, Opened> {
    let matches = |name: &str, negated: bool| {
        snippets.iter().any(|snippet| match snippet.strip_prefix('!') {
            Some(pattern) => negated && fits(pattern, name),
            None => !negated && fits(snippet, name),
        })
    };
    let mut opened: HashMap<&'static str, Opened> = HashMap::new();
    for snippet in SNIPPETS.iter().filter(|one| matches(one.name, false) && !matches(one.name, true)) {
        for (resource, action) in snippet.actions {
            let actions = opened.entry(resource).or_default();
            if *action == "*" {
                actions.all = true;
            } else {
                actions.actions.push(action);
            }
        }
    }
    opened
}

/// Whether a name fits a pattern in which `*` stands for any characters.
fn fits(pattern: &str, name: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else {
        return pattern == name;
    };
    let Some(mut left) = name.strip_prefix(start) else {
        return false;
    };
    let mut parts: Vec<_> = rest.split('*').collect();
    let end = parts.pop().unwrap_or_default();
    for part in parts {
        let Some(at) = left.find(part) else {
            return false;
        };
        left = &left[at + part.len()..];
    }
    left.ends_with(end)
}

/// To whom an action is open without any permission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Openness {
    /// Everybody.
    Public,
    /// Whoever is signed in.
    SignedIn,
    /// Nobody: [`super::Acl::permission`] decides.
    ByPermission,
}

/// To whom an action is open.
#[must_use]
pub fn openness(resource: &str, action: &str) -> Openness {
    match (resource, action) {
        ("auth", "signIn" | "signUp" | "lostPassword" | "resetPassword" | "checkResetToken")
        | ("authenticators", "publicList")
        | ("systemSettings", "get")
        | ("app", "getInfo" | "getLang")
        | ("pm", "listEnabled" | "listEnabledV2") => Openness::Public,
        ("auth", "check" | "signOut" | "syncCookies" | "changePassword")
        | ("users", "updateProfile" | "updateLang" | "setDefaultRole")
        | ("roles", "check" | "setDefaultRole")
        | ("collections", "list" | "listMeta")
        | ("collectionCategories", "list")
        | ("dataSources", "get" | "listEnabled")
        | ("applications", "listPinned") => Openness::SignedIn,
        _ => Openness::ByPermission,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_characters() {
        for (pattern, name, expected) in [
            ("pm", "pm", true),
            ("pm", "pm.users", false),
            ("pm.*", "pm", false),
            ("pm.*", "pm.users", true),
            ("pm.*", "pm.data-source-manager.data-source-main", true),
            ("*", "pm.users", true),
            ("*.users", "pm.users", true),
            ("pm.*.*", "pm.users", false),
            ("pm.*.roles", "pm.acl.roles", true),
            ("pm*users", "pm", false),
            ("ab*ba", "aba", false),
            ("", "pm", false),
        ] {
            assert_eq!(fits(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn every_resource_that_a_snippet_opens_is_known_as_management() {
        for (resource, _) in SNIPPETS.iter().flat_map(|snippet| snippet.actions) {
            match resource.split_once('.') {
                Some(_) => assert!(is_managed(resource), "{resource}"),
                None => assert_ne!(reach(resource), Reach::Collection, "{resource}"),
            }
        }
        assert!(is_managed("collections.fields") && is_managed("users.roles"));
        assert!(!is_managed("posts.tags") && !is_managed("users.posts"));
    }
}
