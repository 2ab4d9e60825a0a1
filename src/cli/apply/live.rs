//! Reads what is inside of an application: users, keys, roles and collections.

use std::collections::BTreeMap;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value, json};

use super::document::App;
use super::steps::Session;
use crate::cli::error::CliError;
use crate::protocol::methods::{KeyListMethod, UserListMethod};
use crate::protocol::{ApiKey, ListKeys, ListUsers, User};

/// The name of the role that may do everything and cannot be changed.
pub(super) const ROOT: &str = "root";

/// The roles that a new application has.
const FIRST_ROLES: [&str; 3] = ["admin", "member", ROOT];

/// The parts of an application's inside.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Parts {
    pub(crate) users: bool,
    pub(crate) keys: bool,
    pub(crate) roles: bool,
    pub(crate) collections: bool,
}

impl Parts {
    /// All of them.
    pub(crate) const ALL: Self = Self { users: true, keys: true, roles: true, collections: true };

    /// Those that a document speaks of.
    pub(super) const fn of(app: &App) -> Self {
        Self {
            users: !app.users.is_empty(),
            keys: !app.keys.is_empty(),
            roles: !app.roles.is_empty(),
            collections: !app.collections.is_empty(),
        }
    }

    /// Whether there is any.
    pub(super) const fn any(self) -> bool {
        self.users || self.keys || self.roles || self.collections
    }
}

/// What is inside of an application, as far as it was read.
#[derive(Debug, Clone, Default)]
pub(crate) struct Interior {
    pub(super) users: Vec<User>,
    /// The names of its roles.
    pub(super) role_names: Vec<String>,
    pub(super) keys: Vec<ApiKey>,
    /// The records of its roles.
    pub(super) roles: Vec<Map<String, Value>>,
    /// What each role may do in single collections, by role.
    pub(super) resources: BTreeMap<String, Vec<Map<String, Value>>>,
    /// The definitions of its collections, with their fields.
    pub(super) collections: Vec<Map<String, Value>>,
}

impl Interior {
    /// What is known of an application before it exists.
    pub(super) fn of_new() -> Self {
        let roles = FIRST_ROLES.map(|name| Map::from_iter([("name".to_owned(), json!(name))]));
        Self { role_names: FIRST_ROLES.map(str::to_owned).to_vec(), roles: roles.to_vec(), ..Self::default() }
    }

    /// Reads some parts. Starts the application as a visit does.
    pub(super) async fn read(session: &Session, parts: Parts) -> Result<Self, CliError> {
        let mut interior = Self::default();
        if parts.users {
            interior.read_users(session).await?;
        }
        if parts.keys {
            let list = ListKeys { id: session.id.clone(), running_only: false };
            interior.keys = session.call::<KeyListMethod>(list).await?.keys;
        }
        if parts.roles {
            interior.read_roles(session).await?;
        }
        if parts.collections {
            let all = session.get("collections:list?paginate=false&appends=fields").await?;
            interior.collections = objects(all);
        }
        Ok(interior)
    }

    async fn read_users(&mut self, session: &Session) -> Result<(), CliError> {
        let mut after = None;
        loop {
            let list = ListUsers { id: session.id.clone(), after, running_only: false };
            let page = session.call::<UserListMethod>(list).await?;
            self.users.extend(page.users);
            self.role_names = page.roles;
            after = page.next;
            if after.is_none() {
                return Ok(());
            }
        }
    }

    async fn read_roles(&mut self, session: &Session) -> Result<(), CliError> {
        self.roles = objects(session.get("roles:list?paginate=false&sort=name").await?);
        let names = self.roles.iter().filter_map(|role| role.get("name")?.as_str());
        for name in names.filter(|name| *name != ROOT) {
            let encoded = utf8_percent_encode(name, NON_ALPHANUMERIC);
            let path = format!("roles/{encoded}/resources:list?paginate=false&appends=actions,actions.scope");
            let all = objects(session.get(&path).await?);
            let of_main = all.into_iter().filter(|resource| {
                resource.get("dataSourceKey").and_then(Value::as_str).is_none_or(|key| key == "main")
            });
            self.resources.insert(name.to_owned(), of_main.collect());
        }
        Ok(())
    }
}

/// The objects in a list.
fn objects(list: Value) -> Vec<Map<String, Value>> {
    let Value::Array(items) = list else { return Vec::new() };
    let objects = items.into_iter().filter_map(|item| match item {
        Value::Object(object) => Some(object),
        _ => None,
    });
    objects.collect()
}
