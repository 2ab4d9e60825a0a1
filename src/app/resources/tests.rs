//! What the descriptors of the system say together.

use super::*;
use crate::app::acl::policy::Reach;

/// Who may call an action: those whose roles open it, where the descriptor says nothing else.
fn access(resource: &str, action: &str) -> ActionAccess {
    let registry = registry();
    let found = registry.get(resource).and_then(|resource| resource.action(action));
    found.map_or(ActionAccess::ByPermission, |action| action.access)
}

#[test]
fn some_actions_are_open_without_a_role() {
    for (resource, actions, expected) in [
        ("auth", "signIn signUp lostPassword", ActionAccess::Public),
        ("auth", "check signOut changePassword", ActionAccess::SignedIn),
        ("app", "getInfo getLang", ActionAccess::Public),
        ("app", "restart clearCache", ActionAccess::ByPermission),
        ("authenticators", "publicList", ActionAccess::Public),
        ("authenticators", "list", ActionAccess::ByPermission),
        ("systemSettings", "get", ActionAccess::Public),
        ("systemSettings", "update put", ActionAccess::ByPermission),
        ("pm", "listEnabled", ActionAccess::Public),
        ("pm", "list enable", ActionAccess::ByPermission),
        ("users", "updateProfile updateLang setDefaultRole", ActionAccess::SignedIn),
        ("users", "list update", ActionAccess::ByPermission),
        ("roles", "check", ActionAccess::SignedIn),
        ("roles", "list create", ActionAccess::ByPermission),
        ("collections", "list listMeta", ActionAccess::SignedIn),
        ("collections", "create get", ActionAccess::ByPermission),
        ("dataSources", "list update", ActionAccess::ByPermission),
        ("posts", "list check", ActionAccess::ByPermission),
    ] {
        for action in actions.split(' ') {
            assert_eq!(access(resource, action), expected, "{resource}:{action}");
        }
    }
}

#[test]
fn resetting_passwords_is_no_action() {
    let registry = registry();
    let auth = registry.get("auth").unwrap();
    for action in ["resetPassword", "checkResetToken"] {
        assert!(auth.action(action).is_none(), "{action}");
    }
}

#[test]
fn every_resource_that_a_snippet_opens_is_known_as_management() {
    for resource in system().filter(|resource| !resource.snippets.is_empty()) {
        assert_ne!(resource.reach, Reach::Collection, "{}", resource.name);
    }
    let registry = registry();
    let reach = |name: &str| registry.get(name).map_or(Reach::Collection, |resource| resource.reach);
    assert_eq!((reach("collections.fields"), reach("users.roles")), (Reach::Management, Reach::Management));
    assert_eq!((reach("posts.tags"), reach("users.posts")), (Reach::Collection, Reach::Collection));
}

#[test]
fn names_are_given_once_and_collections_are_under_their_own() {
    let mut names: Vec<_> = system().map(|resource| resource.name).collect();
    let all = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all);
    for resource in system() {
        if let Some(collection) = resource.collection {
            assert_eq!(collection.name(), resource.name);
        }
        let actions: std::collections::BTreeSet<_> = resource.actions.iter().map(|one| one.name).collect();
        assert_eq!(actions.len(), resource.actions.len(), "{}", resource.name);
    }
    assert_eq!(collections().count(), 25);
    assert_eq!(collections().last().unwrap().name(), "applicationVersion");
}
