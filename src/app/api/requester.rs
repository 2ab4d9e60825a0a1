//! The requester: who sends a request, in which roles, at what local time.

use std::sync::{Arc, OnceLock};

use serde_json::Value;

use http::StatusCode;

use super::error::ApiError;
use super::record_set::RecordSet;
use super::target::Target;
use crate::app::acl::{self, AccessCache, AccessContext, Acl, ActiveRoles, Decisions, HeldRole, choose};
use crate::app::auth::Session;
use crate::app::state::AppState;
use crate::data::{
    Catalog, Clock, Filter, Guard, RecordAccess, RecordAction, Variables, has_variables, resolve,
};

/// For whom a request is answered.
#[derive(Debug, Clone)]
pub struct Requester {
    /// Who; nobody, where everybody may.
    session: Option<Arc<Session>>,
    clock: Clock,
    /// `None` opens everything: the role root, or the host itself.
    guard: Option<Arc<RoleGuard>>,
    /// The roles in which it acts.
    roles: Arc<[String]>,
    /// The one name by which clients know them.
    role: Option<Arc<str>>,
}

/// Makes the requester of a session, and chooses the roles in which it acts.
pub(in crate::app) async fn of(
    state: &AppState,
    session: &Arc<Session>,
    wanted: Option<&str>,
    clock: Clock,
) -> Result<Requester, ApiError> {
    let held: Vec<HeldRole<'_>> = session
        .user
        .roles
        .iter()
        .map(|role| HeldRole { name: role, default: session.user.default_role.as_ref() == Some(role) })
        .collect();
    let active = match &session.key_role {
        // A key acts in its role alone, whatever is asked for.
        Some(role) => ActiveRoles::One([role]),
        None => choose(&held, wanted, state.settings().await?.role_mode)?,
    };
    if active.has_root() {
        let roles = active.names().iter().map(|name| (*name).to_owned()).collect();
        let role = Some(active.current().into());
        return Ok(Requester { session: Some(Arc::clone(session)), clock, guard: None, roles, role });
    }
    let (acl, catalog) = (state.acl().await?, state.source().catalog());
    let access = session.user.latest_access().of(&acl, &catalog, &active);
    let (roles, role) = (Arc::clone(access.roles()), Some(Arc::clone(access.role())));
    let session = Arc::clone(session);
    let guard = RoleGuard {
        acl,
        catalog,
        access_cache: access,
        session: Arc::clone(&session),
        clock,
        managed: OnceLock::new(),
        answers: Decisions::default(),
    };
    Ok(Requester { session: Some(session), clock, guard: Some(Arc::new(guard)), roles, role })
}

impl Requester {
    /// Checks that the roles open an action.
    pub(in crate::app) fn check(&self, target: &Target, set: Option<&RecordSet>) -> Result<(), ApiError> {
        let Some(guard) = &self.guard else { return Ok(()) };
        let (roles, action) = (&**guard.access_cache.roles(), &*target.action);
        let open = match set.and_then(|set| set.behind.as_ref()) {
            Some(behind) => {
                let (name, other) = (&*behind.association.name, behind.target.name());
                if guard.acl.opens(roles, &target.name(), action) {
                    guard.managed.get_or_init(|| Managed {
                        source: target.resource.clone(),
                        association: name.to_owned(),
                        target: other.to_owned(),
                        links: acl::links(action),
                    });
                }
                guard.acl.association(roles, &target.resource, name, other, action).is_some()
            }
            None => guard.acl.permission(roles, &target.name(), action).is_some(),
        };
        if open {
            return Ok(());
        }
        Err(ApiError::new(StatusCode::FORBIDDEN, "your roles do not allow this"))
    }

    /// The roles in which it acts, and the one name that clients know them by.
    #[must_use]
    pub fn roles(&self) -> (&[String], &str) {
        (&self.roles, self.role.as_deref().unwrap_or_default())
    }

    /// The same, with everything open.
    pub(super) fn as_host(&self) -> Self {
        Self { guard: None, ..self.clone() }
    }

    /// The requester of a public action: nobody.
    pub(in crate::app) fn anybody(clock: Clock) -> Self {
        Self { session: None, clock, guard: None, roles: Arc::default(), role: None }
    }

    /// The user's key.
    #[must_use]
    pub fn user_id(&self) -> Option<i64> {
        self.session.as_ref().map(|session| session.user.id)
    }

    /// What time it is there.
    #[must_use]
    pub const fn clock(&self) -> Clock {
        self.clock
    }

    /// Who decides what is open.
    #[must_use]
    pub fn guard(&self) -> Option<Arc<dyn Guard>> {
        self.guard.clone().map(|guard| guard as Arc<dyn Guard>)
    }

    /// Reads a filter with its variables: `{{ $user.id }}`, `{{ $nDate.today }}`.
    ///
    /// # Errors
    /// A bad request when it is not a filter.
    pub fn filter(&self, given: &Value) -> Result<Filter, ApiError> {
        if !has_variables(given) {
            return Ok(Filter::parse(given)?);
        }
        let user = self.session.as_ref().map(|session| session.user.variables());
        let variables = Variables {
            user,
            role: self.role.as_deref(),
            timezone: self.clock.timezone,
            now: self.clock.now,
        };
        let resolved =
            resolve(given, &variables).map_err(|error| ApiError::bad_request(error.to_string()))?;
        Ok(Filter::parse(&resolved)?)
    }
}

/// Decides what is open for one user in some roles, during one request.
#[derive(Debug)]
pub(super) struct RoleGuard {
    acl: Arc<Acl>,
    catalog: Arc<Catalog>,
    /// Of these roles and collections, and of the session's user.
    access_cache: Arc<AccessCache>,
    session: Arc<Session>,
    clock: Clock,
    managed: OnceLock<Managed>,
    answers: Decisions,
}

/// An association of the management that a snippet opens for this request: whoever may give roles
/// sees the users, whatever its strategy says of them.
#[derive(Debug)]
struct Managed {
    source: String,
    association: String,
    target: String,
    /// Whether the request links.
    links: bool,
}

impl Managed {
    fn access(&self, collection: &str, action: RecordAction) -> Option<RecordAccess> {
        match action {
            RecordAction::View if collection == self.source || collection == self.target => {
                Some(RecordAccess::default())
            }
            RecordAction::Update if self.links && collection == self.source => {
                let association = [self.association.clone()].into_iter().collect();
                Some(RecordAccess { fields: Some(Arc::new(association)), scope: Arc::default() })
            }
            _ => None,
        }
    }
}

impl Guard for RoleGuard {
    fn access(&self, collection: &str, action: RecordAction) -> Option<RecordAccess> {
        if let Some(access) = self.managed.get().and_then(|managed| managed.access(collection, action)) {
            return Some(access);
        }
        let user = self.session.user.variables();
        let (acl, catalog, clock, request) = (&self.acl, &self.catalog, self.clock, &self.answers);
        let asking = AccessContext { acl, catalog, user, clock, request };
        self.access_cache.access(&asking, collection, action)
    }

    fn may_nest(&self, source: &str, association: &str, target: &str) -> bool {
        self.acl.may_nest(self.access_cache.roles(), source, association, target)
    }
}
