//! Caches what roles open to a user, from one request to the next.
//!
//! A decision takes a dozen look-ups, and a scope is resolved with the user's own values; the same
//! user asks for the same collection again and again. A cache is valid for one user, one set of
//! roles, one [`Acl`] and one [`Catalog`]: these are replaced as a whole when they change, and a
//! cache of others is dropped. Decisions that depend on the time, and scopes too large to keep for
//! each user, are cached for one request.

use std::sync::{Arc, Weak};

use arc_swap::ArcSwapOption;
use parking_lot::Mutex;
use serde_json::Value as Json;

use super::{Acl, ActiveRoles, Permission};
use crate::data::{
    Catalog, Clock, DataError, Filter, Record, RecordAccess, RecordAction, Variables, depends_on_time,
    resolve,
};

/// Decisions that are kept; the oldest is replaced.
const MAX_DECISIONS: usize = 16;
/// Parts (values, lists, each 64 bytes of a text) of the largest scope that is kept for a user.
const MAX_SCOPE_PARTS: usize = 64;
/// Bytes of a text that count as one part.
const PART_BYTES: usize = 64;

/// The decisions for one user in one set of roles.
#[derive(Debug)]
pub struct AccessCache {
    // Not kept alive by what a user who has gone left behind. An address is not given away again
    // while one of these points to it.
    acl: Weak<Acl>,
    catalog: Weak<Catalog>,
    roles: Arc<[String]>,
    role: Arc<str>,
    known: Decisions,
}

/// Decisions, by collection and action.
#[derive(Debug, Default)]
pub struct Decisions(Mutex<Vec<CachedDecision>>);

#[derive(Debug)]
struct CachedDecision {
    collection: Box<str>,
    action: RecordAction,
    decision: Decision,
}

/// Whether a collection is open to an action, and what of it.
#[derive(Debug, Clone)]
enum Decision {
    Closed,
    Open(RecordAccess),
}

impl Decision {
    fn access(self) -> Option<RecordAccess> {
        match self {
            Self::Closed => None,
            Self::Open(access) => Some(access),
        }
    }
}

impl From<Option<RecordAccess>> for Decision {
    fn from(access: Option<RecordAccess>) -> Self {
        access.map_or(Self::Closed, Self::Open)
    }
}

impl Decisions {
    fn get(&self, collection: &str, action: RecordAction) -> Option<Decision> {
        let all = self.0.lock();
        let found = all.iter().find(|one| one.action == action && *one.collection == *collection)?;
        Some(found.decision.clone())
    }

    fn keep(&self, collection: &str, action: RecordAction, decision: Decision) {
        let mut all = self.0.lock();
        // Two may have found it out at once.
        all.retain(|one| one.action != action || *one.collection != *collection);
        if all.len() >= MAX_DECISIONS {
            all.remove(0);
        }
        all.push(CachedDecision { collection: collection.into(), action, decision });
    }
}

/// What a decision depends on beside the roles.
#[derive(Debug, Clone, Copy)]
pub struct AccessContext<'a> {
    /// The permissions, which must be those of the cache.
    pub acl: &'a Arc<Acl>,
    /// The collections, which must be those of the cache.
    pub catalog: &'a Arc<Catalog>,
    /// The variables of the user, who must be that of the cache.
    pub user: &'a Record,
    /// When.
    pub clock: Clock,
    /// The decisions for this request alone.
    pub request: &'a Decisions,
}

impl AccessCache {
    fn new(acl: &Arc<Acl>, catalog: &Arc<Catalog>, active: &ActiveRoles<'_>) -> Self {
        Self {
            acl: Arc::downgrade(acl),
            catalog: Arc::downgrade(catalog),
            roles: active.names().iter().map(|name| (*name).to_owned()).collect(),
            role: active.current().into(),
            known: Decisions::default(),
        }
    }

    fn is_of(&self, acl: &Arc<Acl>, catalog: &Arc<Catalog>) -> bool {
        std::ptr::eq(self.acl.as_ptr(), Arc::as_ptr(acl))
            && std::ptr::eq(self.catalog.as_ptr(), Arc::as_ptr(catalog))
    }

    fn is_in(&self, active: &ActiveRoles<'_>) -> bool {
        *self.role == *active.current() && self.roles.iter().eq(active.names())
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
    pub fn access(
        &self,
        asking: &AccessContext<'_>,
        collection: &str,
        action: RecordAction,
    ) -> Option<RecordAccess> {
        debug_assert!(self.is_of(asking.acl, asking.catalog), "asked with other roles or collections");
        let known = self.known.get(collection, action);
        if let Some(decision) = known.or_else(|| asking.request.get(collection, action)) {
            return decision.access();
        }
        let (access, lasting) = self.decide(asking, collection, action);
        let answers = if lasting { &self.known } else { asking.request };
        answers.keep(collection, action, access.clone().into());
        access
    }

    /// Decides, and says whether the decision may be kept for other requests.
    fn decide(
        &self,
        asking: &AccessContext<'_>,
        collection: &str,
        action: RecordAction,
    ) -> (Option<RecordAccess>, bool) {
        let name = match action {
            RecordAction::View => "list",
            RecordAction::Create => "create",
            RecordAction::Update => "update",
            RecordAction::Destroy => "destroy",
        };
        let mut permission = asking.acl.permission(&self.roles, collection, name);
        let unknown = |catalog: &Catalog| {
            catalog.get(collection).is_some_and(|collection| collection.get("createdById").is_none())
        };
        if action != RecordAction::Create && unknown(asking.catalog) {
            permission = permission.and_then(Permission::without_creators);
        }
        let Some(permission) = permission else { return (None, true) };
        // What is not there yet is in no scope.
        let given = permission.filter().filter(|_| action != RecordAction::Create);
        let (scope, lasting) = match given.map(|given| (self.scope(asking, &given), given)) {
            None => (Filter::All, true),
            Some((Ok((scope, is_small)), given)) => (scope, is_small && !depends_on_time(&given)),
            Some((Err(error), given)) => {
                // What cannot be read opens nothing.
                tracing::warn!(%error, collection, "the scope of a role cannot be read");
                (Filter::never(), !depends_on_time(&given))
            }
        };
        (Some(RecordAccess { fields: permission.fields, scope: Arc::new(scope) }), lasting)
    }

    /// Resolves a scope with the user's values, and says whether it is small enough to keep.
    fn scope(&self, asking: &AccessContext<'_>, given: &Json) -> Result<(Filter, bool), DataError> {
        let variables = Variables {
            user: Some(asking.user),
            role: Some(&self.role),
            timezone: asking.clock.timezone,
            now: asking.clock.now,
        };
        let resolved = resolve(given, &variables).map_err(|error| DataError::Refused(error.to_string()))?;
        Ok((Filter::parse(&resolved)?, parts(&resolved) <= MAX_SCOPE_PARTS))
    }
}

fn parts(scope: &Json) -> usize {
    1 + match scope {
        Json::Array(items) => items.iter().map(parts).sum(),
        Json::Object(fields) => fields.values().map(parts).sum(),
        Json::String(text) => text.len() / PART_BYTES,
        _ => 0,
    }
}

/// The cache of a user for the roles in which it acted last.
#[derive(Debug, Default)]
pub struct LatestAccess(ArcSwapOption<AccessCache>);

impl LatestAccess {
    /// The cache for these roles; a new one where the last was of others.
    #[must_use]
    pub fn of(&self, acl: &Arc<Acl>, catalog: &Arc<Catalog>, active: &ActiveRoles<'_>) -> Arc<AccessCache> {
        let known = self.0.load_full();
        if let Some(known) = known.filter(|known| known.is_of(acl, catalog) && known.is_in(active)) {
            return known;
        }
        let new = Arc::new(AccessCache::new(acl, catalog, active));
        self.0.store(Some(Arc::clone(&new)));
        new
    }
}

#[cfg(test)]
mod tests {
    use chrono::{FixedOffset, TimeDelta};
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
        Arc::new(Acl::new(
            crate::app::resources::registry().policy(),
            vec![role("reader"), role("other")],
            vec![posts],
        ))
    }

    fn catalog(fields: &[&str]) -> Arc<Catalog> {
        let posts = Collection::new("posts");
        let posts = fields.iter().fold(posts, |posts, name| posts.field(Field::string(name)));
        Arc::new(Catalog::new([posts]))
    }

    fn user() -> Record {
        json!({"id": 7, "colors": vec!["red"; MAX_SCOPE_PARTS]}).as_object().unwrap().clone()
    }

    #[test]
    fn what_was_found_out_is_remembered_for_the_same_roles_and_collections_alone() {
        let own = json!({"createdById": "{{ $user.id }}"});
        let (known, roles) = (catalog(&["title", "createdById"]), acl(own.clone()));
        let (reader, other) = (ActiveRoles::One(["reader"]), ActiveRoles::One(["other"]));
        let remembered = LatestAccess::default();
        let first = remembered.of(&roles, &known, &reader);
        assert!(Arc::ptr_eq(&first, &remembered.of(&roles, &known, &reader)));
        let mut before = first;
        for (acl, catalog, active) in [
            (&acl(own), &known, &reader),
            (&roles, &known, &reader),
            (&roles, &catalog(&["title", "createdById"]), &reader),
            (&roles, &known, &reader),
            (&roles, &known, &other),
            (&roles, &known, &ActiveRoles::Union(vec!["reader"])),
            (&roles, &known, &ActiveRoles::Union(vec!["reader", "other"])),
            (&roles, &known, &ActiveRoles::Union(vec!["other", "reader"])),
            (&roles, &known, &ActiveRoles::One([crate::app::acl::UNION_ROLE])),
        ] {
            let new = remembered.of(acl, catalog, active);
            assert!(!Arc::ptr_eq(&before, &new), "{active:?}");
            assert!(Arc::ptr_eq(&new, &remembered.of(acl, catalog, active)), "{active:?}");
            before = new;
        }
    }

    #[test]
    fn a_scope_is_read_once_but_where_it_asks_for_the_time_or_is_large() {
        let known = catalog(&["title", "createdById", "day"]);
        let reader = ActiveRoles::One(["reader"]);
        let now = Clock::utc();
        let tomorrow = Clock { now: now.now + TimeDelta::days(1), ..now };
        let elsewhere = Clock { timezone: FixedOffset::east_opt(8 * 3600).unwrap(), ..now };
        for (scope, lasting) in [
            (json!({"createdById": "{{ $user.id }}"}), true),
            (json!({"title": "{{ $nRole }}"}), true),
            (json!({"title": (0..MAX_SCOPE_PARTS).collect::<Vec<_>>()}), false),
            (json!({"title": "{{ $user.colors }}"}), false),
            (json!({"title": "x".repeat(MAX_SCOPE_PARTS * PART_BYTES)}), false),
            (json!({"title": "{{ $nonsense }}"}), false),
            (json!({"$or": [{"title": "a"}, {"day.$dateOn": "{{ $nDate.today }}"}]}), false),
        ] {
            let (acl, user) = (acl(scope.clone()), user());
            let cache = AccessCache::new(&acl, &known, &reader);
            let seen = |clock, request: &Decisions| {
                let asking = AccessContext { acl: &acl, catalog: &known, user: &user, clock, request };
                let access = cache.access(&asking, "posts", RecordAction::View).unwrap();
                assert!(access.fields.as_ref().unwrap().contains("title"));
                access.scope
            };
            let request = Decisions::default();
            let first = seen(now, &request);
            assert_ne!(*first, Filter::All, "{scope}");
            assert!(Arc::ptr_eq(&first, &seen(now, &request)), "{scope}");
            for clock in [now, tomorrow, elsewhere] {
                assert_eq!(Arc::ptr_eq(&first, &seen(clock, &Decisions::default())), lasting, "{scope}");
            }
        }
    }

    #[test]
    fn what_is_closed_is_remembered_too_and_no_more_than_so_much() {
        let (acl, known, user) = (acl(json!({"createdById": "{{ $user.id }}"})), catalog(&["title"]), user());
        let cache = AccessCache::new(&acl, &known, &ActiveRoles::One(["reader"]));
        let (clock, request) = (Clock::utc(), &Decisions::default());
        let asking = AccessContext { acl: &acl, catalog: &known, user: &user, clock, request };
        let kept = || cache.known.0.lock().len();
        for _ in 0..2 {
            // Nobody knows who made its records.
            assert!(cache.access(&asking, "posts", RecordAction::View).is_none());
            assert!(cache.access(&asking, "posts", RecordAction::Destroy).is_none());
            assert!(cache.access(&asking, "elsewhere", RecordAction::View).is_some());
            assert!(cache.access(&asking, "roles", RecordAction::View).is_none());
            assert_eq!(kept(), 4);
        }
        for number in 0..3 * MAX_DECISIONS {
            assert!(cache.access(&asking, &format!("c{number}"), RecordAction::View).is_some());
            assert!(kept() <= MAX_DECISIONS);
        }
        assert!(request.0.lock().is_empty());
    }
}
