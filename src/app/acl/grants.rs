//! Grants, precomputed for each strategy and each configured collection, so that a decision is a
//! look-up.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value as Json;

use super::definition::ActionDefinition;
use super::permission::Permission;

/// The actions that permissions are given for. Each covers several of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    View,
    Create,
    Update,
    Destroy,
    /// Needs [`Kind::Create`] and [`Kind::Update`].
    UpdateOrCreate,
}

impl Kind {
    fn of(action: &str) -> Option<Self> {
        match action {
            "view" | "list" | "get" | "query" | "export" => Some(Self::View),
            "create" | "firstOrCreate" => Some(Self::Create),
            "update" | "move" => Some(Self::Update),
            "destroy" => Some(Self::Destroy),
            "updateOrCreate" => Some(Self::UpdateOrCreate),
            _ => None,
        }
    }
}

/// Whether an action only reads records.
pub(super) fn views(action: &str) -> bool {
    Kind::of(action) == Some(Kind::View)
}

/// Whether an action links or unlinks the records of an association.
#[must_use]
pub fn links(action: &str) -> bool {
    matches!(action, "add" | "set" | "remove" | "toggle")
}

/// What is granted for collections: the permission of each action.
#[derive(Debug, Default)]
pub(super) struct Grants {
    kinds: [Option<Permission>; 5],
    /// Actions that were granted under a name of their own: `export`, or one of a plugin.
    others: HashMap<String, Permission>,
    /// Every action there is.
    everything: bool,
}

impl Grants {
    /// From `{"actions": ["view", "update:own"]}`; `"*"` for all. An ending other than `own` and
    /// `all` grants nothing, as in NocoBase.
    pub(super) fn of_strategy(strategy: &Json) -> Self {
        let mut grants = Self::default();
        let listed = match strategy.get("actions") {
            Some(Json::String(all)) if all == "*" => {
                return Self { everything: true, ..grants };
            }
            Some(one @ Json::String(_)) => std::slice::from_ref(one),
            Some(Json::Array(several)) => several,
            _ => &[],
        };
        for action in listed.iter().filter_map(Json::as_str) {
            let (name, ending) = action.split_once(':').unwrap_or((action, "all"));
            match ending {
                "all" => grants.grant(name, Permission::all().clone()),
                "own" => grants.grant(name, Permission::own().clone()),
                _ => {}
            }
        }
        grants.complete()
    }

    /// From the configuration of a collection.
    pub(super) fn configured(actions: &[ActionDefinition]) -> Self {
        let mut grants = Self::default();
        for action in actions {
            let scope = action.scope.iter().filter(|scope| !is_empty(scope));
            let every_field = match Kind::of(&action.name) {
                Some(Kind::View) => false,
                Some(Kind::Destroy) => true,
                _ => action.fields.is_empty(),
            };
            let fields = (!every_field).then(|| Arc::new(action.fields.iter().cloned().collect()));
            grants.grant(&action.name, Permission { fields, scopes: scope.cloned().collect() });
        }
        grants.complete()
    }

    /// The permission of an action; `None`: it is refused.
    pub(super) fn get(&self, action: &str) -> Option<&Permission> {
        if self.everything {
            return Some(Permission::all());
        }
        let by_kind = || self.kinds[Kind::of(action)? as usize].as_ref();
        if self.others.is_empty() { by_kind() } else { self.others.get(action).or_else(by_kind) }
    }

    fn grant(&mut self, name: &str, permission: Permission) {
        match name {
            "view" => self.kinds[Kind::View as usize] = Some(permission),
            "create" => self.kinds[Kind::Create as usize] = Some(permission),
            "update" => self.kinds[Kind::Update as usize] = Some(permission),
            "destroy" => self.kinds[Kind::Destroy as usize] = Some(permission),
            _ => {
                self.others.insert(name.to_owned(), permission);
            }
        }
    }

    fn complete(mut self) -> Self {
        let create = self.kinds[Kind::Create as usize].as_ref();
        let update = self.kinds[Kind::Update as usize].as_ref();
        let both = create.zip(update).map(|(create, update)| create.narrowed_to(update));
        self.kinds[Kind::UpdateOrCreate as usize] = both;
        self
    }
}

fn is_empty(filter: &Json) -> bool {
    match filter {
        Json::Null => true,
        Json::Object(parts) => parts.is_empty(),
        Json::Array(parts) => parts.is_empty(),
        _ => false,
    }
}
