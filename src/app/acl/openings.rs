//! What roles open to a user, remembered from one request to the next.
//!
//! To find it out is a dozen look-ups, and a scope must be read with the user's own values; the same
//! user asks for the same collection again and again. What was found holds for one user, one set of
//! roles, one [`Acl`] and one [`Catalog`]: each of them is replaced as a whole when something of it
//! changes, and with another of them nothing is remembered.

use std::sync::{Arc, Weak};

use arc_swap::ArcSwapOption;
use parking_lot::Mutex;
use serde_json::Value as Json;

use super::{Acl, ActiveRoles};
use crate::data::{
    Access, Action, Catalog, Clock, DataError, Filter, Record, Variables, asks_for_time, resolve,
};

/// Collections and actions that are remembered for a user; beyond that all are found out again.
const LARGEST: usize = 64;

/// What some roles open to one user.
#[derive(Debug)]
pub struct Openings {
    // Not kept alive by what a user who has gone left behind. An address is not given away again
    // while one of these points to it.
    acl: Weak<Acl>,
    catalog: Weak<Catalog>,
    roles: Arc<[String]>,
    role: Arc<str>,
    known: Mutex<Vec<Known>>,
}

/// What an action may do with a collection.
#[derive(Debug)]
struct Known {
    collection: Box<str>,
    action: Action,
    /// When, if it is another at another time.
    at: Option<Clock>,
    access: Option<Access>,
}

/// Who asks what is open, and when.
#[derive(Debug, Clone, Copy)]
pub struct Asking<'a> {
    /// The roles as they are. The same that the openings are of.
    pub acl: &'a Acl,
    /// The collections as they are. The same that the openings are of.
    pub catalog: &'a Catalog,
    /// What scopes mean by the user. The one whom the openings are remembered for.
    pub user: &'a Record,
    /// When.
    pub clock: Clock,
}

impl Openings {
    fn new(acl: &Arc<Acl>, catalog: &Arc<Catalog>, active: &ActiveRoles<'_>) -> Self {
        Self {
            acl: Arc::downgrade(acl),
            catalog: Arc::downgrade(catalog),
            roles: active.names().iter().map(|name| (*name).to_owned()).collect(),
            role: active.current().into(),
            known: Mutex::default(),
        }
    }

    fn are_of(&self, acl: &Arc<Acl>, catalog: &Arc<Catalog>, active: &ActiveRoles<'_>) -> bool {
        std::ptr::eq(self.acl.as_ptr(), Arc::as_ptr(acl))
            && std::ptr::eq(self.catalog.as_ptr(), Arc::as_ptr(catalog))
            && *self.role == *active.current()
            && self.roles.iter().eq(active.names())
    }

    /// The roles.
    #[must_use]
    pub const fn roles(&self) -> &Arc<[String]> {
        &self.roles
    }

    /// The one name by which clients know them.
    #[must_use]
    pub const fn role(&self) -> &Arc<str> {
        &self.role
    }

    /// What of a collection is open to an action; `None` for nothing.
    #[must_use]
    pub fn access(&self, asking: &Asking<'_>, collection: &str, action: Action) -> Option<Access> {
        let same = |known: &Known| known.action == action && *known.collection == *collection;
        let holds = |known: &&Known| same(known) && known.at.is_none_or(|at| at == asking.clock);
        if let Some(known) = self.known.lock().iter().find(holds) {
            return known.access.clone();
        }
        let (access, at) = self.find_out(asking, collection, action);
        let mut all = self.known.lock();
        // Of another time, or found out by two at once.
        all.retain(|known| !same(known));
        if all.len() >= LARGEST {
            all.clear();
        }
        all.push(Known { collection: collection.into(), action, at, access: access.clone() });
        access
    }

    /// What is open, and when, if it is another at another time.
    fn find_out(
        &self,
        asking: &Asking<'_>,
        collection: &str,
        action: Action,
    ) -> (Option<Access>, Option<Clock>) {
        let name = match action {
            Action::View => "list",
            Action::Create => "create",
            Action::Update => "update",
            Action::Destroy => "destroy",
        };
        let mut permission = asking.acl.permission(&self.roles, collection, name);
        if action == Action::Create {
            // What is not there yet is in no scope.
            let access = permission.map(|open| Access { fields: open.fields, scope: Arc::default() });
            return (access, None);
        }
        if asking.catalog.get(collection).is_some_and(|known| known.get("createdById").is_none()) {
            permission = permission.and_then(super::Permission::without_creators);
        }
        let Some(permission) = permission else { return (None, None) };
        let Some(given) = permission.filter() else {
            return (Some(Access { fields: permission.fields, scope: Arc::default() }), None);
        };
        let scope = self.scope(asking, &given).unwrap_or_else(|error| {
            // What cannot be read opens nothing.
            tracing::warn!(%error, collection, "the scope of a role cannot be read");
            Filter::never()
        });
        let at = asks_for_time(&given).then_some(asking.clock);
        (Some(Access { fields: permission.fields, scope: Arc::new(scope) }), at)
    }

    fn scope(&self, asking: &Asking<'_>, given: &Json) -> Result<Filter, DataError> {
        let variables = Variables {
            user: Some(asking.user),
            role: Some(&self.role),
            timezone: asking.clock.timezone,
            now: asking.clock.now,
        };
        let resolved = resolve(given, &variables).map_err(|error| DataError::Refused(error.to_string()))?;
        Filter::parse(&resolved)
    }
}

/// What is open to a user, since somebody asked for it last.
#[derive(Debug, Default)]
pub struct Remembered(ArcSwapOption<Openings>);

impl Remembered {
    /// What these roles open, which is found out as it is asked for.
    #[must_use]
    pub fn openings(
        &self,
        acl: &Arc<Acl>,
        catalog: &Arc<Catalog>,
        active: &ActiveRoles<'_>,
    ) -> Arc<Openings> {
        if let Some(known) = self.0.load_full().filter(|known| known.are_of(acl, catalog, active)) {
            return known;
        }
        let new = Arc::new(Openings::new(acl, catalog, active));
        self.0.store(Some(Arc::clone(&new)));
        new
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use serde_json::json;

    use super::*;
    use crate::app::acl::{ActionDefinition, ResourceDefinition, RoleDefinition};
    use crate::data::{Collection, Field};

    /// Roles `reader` and `other`, where the reader has this scope on posts.
    fn acl(scope: Json) -> Arc<Acl> {
        let role = |name: &str| RoleDefinition {
            name: name.into(),
            strategy: json!({"actions": ["view"]}),
            ..RoleDefinition::default()
        };
        let view = ActionDefinition { name: "view".into(), fields: vec!["title".into()], scope: Some(scope) };
        let posts = ResourceDefinition {
            role: "reader".into(),
            collection: "posts".into(),
            using_actions_config: true,
            actions: vec![view],
        };
        Arc::new(Acl::new(vec![role("reader"), role("other")], vec![posts]))
    }

    fn catalog(fields: &[&str]) -> Arc<Catalog> {
        let posts = Collection::new("posts");
        let posts = fields.iter().fold(posts, |posts, name| posts.field(Field::string(name)));
        Arc::new(Catalog::new([posts]))
    }

    fn user() -> Record {
        json!({"id": 7}).as_object().unwrap().clone()
    }

    #[test]
    fn what_was_found_out_is_remembered_for_the_same_roles_and_collections_alone() {
        let own = json!({"createdById": "{{ $user.id }}"});
        let (known, roles) = (catalog(&["title", "createdById"]), acl(own.clone()));
        let (reader, other) = (ActiveRoles::One(["reader"]), ActiveRoles::One(["other"]));
        let remembered = Remembered::default();
        let first = remembered.openings(&roles, &known, &reader);
        assert!(Arc::ptr_eq(&first, &remembered.openings(&roles, &known, &reader)));
        for (acl, catalog, active) in [
            (&acl(own), &known, &reader),
            (&roles, &catalog(&["title", "createdById"]), &reader),
            (&roles, &known, &other),
            (&roles, &known, &ActiveRoles::Union(vec!["reader"])),
            (&roles, &known, &ActiveRoles::Union(vec!["reader", "other"])),
        ] {
            let new = remembered.openings(acl, catalog, active);
            assert!(!Arc::ptr_eq(&first, &new), "{active:?}");
            assert!(Arc::ptr_eq(&new, &remembered.openings(acl, catalog, active)), "{active:?}");
            assert!(!Arc::ptr_eq(&new, &remembered.openings(&roles, &known, &reader)), "{active:?}");
        }
    }

    #[test]
    fn a_scope_is_read_once_but_where_it_asks_for_the_time() {
        let known = catalog(&["title", "createdById", "day"]);
        let reader = ActiveRoles::One(["reader"]);
        let now = Clock::utc();
        let tomorrow = Clock { now: now.now + TimeDelta::days(1), ..now };
        for (scope, the_same) in [
            (json!({"createdById": "{{ $user.id }}"}), true),
            (json!({"title": "{{ $nRole }}"}), true),
            (json!({"title": "{{ $nonsense }}"}), false),
            (json!({"$or": [{"title": "a"}, {"day.$dateOn": "{{ $nDate.today }}"}]}), false),
        ] {
            let (acl, user) = (acl(scope.clone()), user());
            let openings = Openings::new(&acl, &known, &reader);
            let seen = |clock| {
                let asking = Asking { acl: &acl, catalog: &known, user: &user, clock };
                let access = openings.access(&asking, "posts", Action::View).unwrap();
                assert!(access.fields.as_ref().unwrap().contains("title"));
                access.scope
            };
            let first = seen(now);
            assert_ne!(*first, Filter::All, "{scope}");
            assert!(Arc::ptr_eq(&first, &seen(now)), "{scope}");
            assert_eq!(Arc::ptr_eq(&first, &seen(tomorrow)), the_same, "{scope}");
            assert_eq!(openings.known.lock().len(), 1, "{scope}");
        }
    }

    #[test]
    fn what_is_closed_is_remembered_too_and_no_more_than_so_much() {
        let (acl, known, user) = (acl(json!({"createdById": "{{ $user.id }}"})), catalog(&["title"]), user());
        let openings = Openings::new(&acl, &known, &ActiveRoles::One(["reader"]));
        let asking = Asking { acl: &acl, catalog: &known, user: &user, clock: Clock::utc() };
        for _ in 0..2 {
            // Nobody knows who made its records.
            assert!(openings.access(&asking, "posts", Action::View).is_none());
            assert!(openings.access(&asking, "posts", Action::Destroy).is_none());
            assert!(openings.access(&asking, "elsewhere", Action::View).is_some());
            assert!(openings.access(&asking, "roles", Action::View).is_none());
        }
        assert_eq!(openings.known.lock().len(), 4);
        for number in 0..3 * LARGEST {
            assert!(openings.access(&asking, &format!("c{number}"), Action::View).is_some());
            assert!(openings.known.lock().len() <= LARGEST);
        }
    }
}
