//! How permissions decide about each resource of the system, and which snippets open it.
//!
//! NocoBase lets a general strategy reach every collection that it shows, `roles` among them, so
//! that whoever may create records may create roles. Here no strategy and no configuration of a
//! collection reaches the management; `users` may be read by a strategy, as lists of records need
//! their authors, and changed by a configuration or a snippet only.

use std::collections::{BTreeMap, HashMap};

use super::permission::Permission;

/// What decides who may do something with a resource.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Reach {
    /// The configuration of the collection, or else the role's strategy.
    #[default]
    Collection,
    /// As [`Reach::Collection`], but a strategy only reads.
    People,
    /// Snippets alone.
    Management,
    /// Snippets alone, and they open to each user what the user made.
    OwnRecords,
}

impl Reach {
    /// Whether it belongs to the management of the application.
    const fn is_management(self) -> bool {
        matches!(self, Self::Management | Self::OwnRecords)
    }
}

/// A snippet of roles (`pm.users`), and the actions of a resource that it opens; `*` for all of them.
pub type Snippet = (&'static str, &'static [&'static str]);

/// How permissions decide about the resources of the system. What is not in it is a collection.
#[derive(Debug, Default)]
pub struct Policy {
    reach: HashMap<&'static str, Reach>,
    /// By the snippet: resources, each with an action that it opens.
    snippets: BTreeMap<&'static str, Vec<(&'static str, &'static str)>>,
}

impl Policy {
    /// Adds a resource.
    pub fn add(&mut self, resource: &'static str, reach: Reach, snippets: &[Snippet]) {
        self.reach.insert(resource, reach);
        for (snippet, actions) in snippets {
            let opened = actions.iter().map(|action| (resource, *action));
            self.snippets.entry(snippet).or_default().extend(opened);
        }
    }

    /// What decides about a resource.
    pub(super) fn reach(&self, resource: &str) -> Reach {
        self.reach.get(resource).copied().unwrap_or_default()
    }

    /// Whether a resource belongs to the management.
    pub(in crate::app::acl) fn is_management(&self, resource: &str) -> bool {
        self.reach(resource).is_management()
    }

    /// Whether an association belongs to the management: because its source does, or it does itself.
    pub(super) fn is_managed(&self, association: &str) -> bool {
        let source = association.split('.').next().unwrap_or_default();
        self.is_management(source) || self.is_management(association)
    }

    /// The permission that an open resource gives: everything, or what the user created.
    pub(super) fn given(&self, resource: &str) -> &'static Permission {
        given(self.reach(resource))
    }

    /// What a role's snippets open, by resource. `*` in a snippet stands for any characters; one with
    /// `!` takes away what others give, wherever it stands.
    pub(super) fn opened_by(&self, snippets: &[String]) -> HashMap<&'static str, Opened> {
        let matches = |name: &str, negated: bool| {
            snippets.iter().any(|snippet| match snippet.strip_prefix('!') {
                Some(pattern) => negated && fits(pattern, name),
                None => !negated && fits(snippet, name),
            })
        };
        let mut opened: HashMap<&'static str, Opened> = HashMap::new();
        for (_, actions) in
            self.snippets.iter().filter(|(name, _)| matches(name, false) && !matches(name, true))
        {
            for (resource, action) in actions {
                let opened = opened.entry(resource).or_insert_with(|| Opened::new(self.reach(resource)));
                if *action == "*" {
                    opened.all = true;
                } else {
                    opened.actions.push(action);
                }
            }
        }
        opened
    }
}

fn given(reach: Reach) -> &'static Permission {
    if reach == Reach::OwnRecords { Permission::own() } else { Permission::all() }
}

/// The actions of one resource that a role's snippets open.
#[derive(Debug)]
pub(super) struct Opened {
    all: bool,
    actions: Vec<&'static str>,
    given: &'static Permission,
}

impl Opened {
    fn new(reach: Reach) -> Self {
        Self { all: false, actions: Vec::new(), given: given(reach) }
    }

    /// The permission for an action, if it is opened.
    pub(super) fn permission(&self, action: &str) -> Option<&'static Permission> {
        (self.all || self.actions.contains(&action)).then_some(self.given)
    }
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
}
