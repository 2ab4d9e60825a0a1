//! For whom a request is answered: who it is, in which roles, at what time of day.

use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::Value;

use http::StatusCode;

use super::records::Place;
use super::target::Target;
use super::{ApiError, App};
use crate::app::acl::{self, Acl, ActiveRoles, HeldRole, choose};
use crate::app::auth::Session;
use crate::data::{
    Access, Action, Catalog, Clock, DataError, Filter, Guard, Variables, has_variables, resolve,
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

/// The requester of a session: in which of the user's roles it acts is decided here.
pub(super) async fn of(
    app: &Arc<App>,
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
        None => choose(&held, wanted, app.role_mode().await.map_err(ApiError::internal)?)?,
    };
    let roles: Arc<[String]> = active.names().iter().map(|name| (*name).to_owned()).collect();
    let role: Arc<str> = active.current().into();
    let guard = if active.has_root() {
        None
    } else {
        Some(Arc::new(RoleGuard {
            acl: app.acl().await?,
            catalog: app.source().catalog(),
            roles: Arc::clone(&roles),
            role: Arc::clone(&role),
            session: Arc::clone(session),
            clock,
            managed: None,
            known: Mutex::default(),
        }))
    };
    Ok(Requester { session: Some(Arc::clone(session)), clock, guard, roles, role: Some(role) })
}

impl Requester {
    /// Refuses what the roles do not open.
    pub(super) fn check(&mut self, target: &Target, place: Option<&Place>) -> Result<(), ApiError> {
        let Some(guard) = &self.guard else { return Ok(()) };
        let (roles, action) = (guard.roles(), &*target.action);
        let open = match place.and_then(|place| place.behind.as_ref()) {
            Some(behind) => {
                let (name, other) = (&*behind.association.name, behind.target.name());
                let managed = guard.acl.opens(&roles, &target.name(), action).then(|| Managed {
                    source: target.resource.clone(),
                    association: name.to_owned(),
                    target: other.to_owned(),
                    links: acl::links(action),
                });
                let open = guard.acl.association(&roles, &target.resource, name, other, action).is_some();
                if managed.is_some() {
                    self.guard = Some(Arc::new(guard.managing(managed)));
                }
                open
            }
            None => guard.acl.permission(&roles, &target.name(), action).is_some(),
        };
        if open {
            return Ok(());
        }
        Err(ApiError::new(StatusCode::FORBIDDEN, "your roles do not allow this"))
    }

    /// The roles in which it acts, and the one name that clients know them by.
    #[must_use]
    pub fn roles(&self) -> (Vec<&str>, &str) {
        (self.roles.iter().map(String::as_str).collect(), self.role.as_deref().unwrap_or_default())
    }

    /// The same, with everything open.
    pub(super) fn as_host(&self) -> Self {
        Self { guard: None, ..self.clone() }
    }

    /// Nobody in particular.
    pub(super) fn anybody(clock: Clock) -> Self {
        Self { session: None, clock, guard: None, roles: Arc::default(), role: None }
    }

    /// Who asks.
    #[must_use]
    pub fn session(&self) -> Option<&Arc<Session>> {
        self.session.as_ref()
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

    /// Whether everything is open.
    #[must_use]
    pub const fn is_root(&self) -> bool {
        self.guard.is_none() && self.session.is_some()
    }

    /// Reads a filter with its variables: `{{ $user.id }}`, `{{ $nDate.today }}`.
    pub(super) fn filter(&self, given: &Value) -> Result<Filter, ApiError> {
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

/// What some roles open, for one user at one time.
#[derive(Debug)]
pub(super) struct RoleGuard {
    acl: Arc<Acl>,
    catalog: Arc<Catalog>,
    roles: Arc<[String]>,
    role: Arc<str>,
    session: Arc<Session>,
    clock: Clock,
    managed: Option<Managed>,
    /// What was found out already: one request asks for the same again and again.
    known: Mutex<Vec<Known>>,
}

/// What an action may do with a collection.
#[derive(Debug)]
struct Known {
    collection: Box<str>,
    action: Action,
    access: Option<Access>,
}

/// An association of the management that a snippet opens for this request: who may give roles may
/// see to whom, whatever its strategy says of users.
#[derive(Debug, Clone)]
struct Managed {
    source: String,
    association: String,
    target: String,
    /// Whether the request links.
    links: bool,
}

impl Managed {
    fn access(&self, collection: &str, action: Action) -> Option<Access> {
        match action {
            Action::View if collection == self.source || collection == self.target => Some(Access::default()),
            Action::Update if self.links && collection == self.source => {
                let association = [self.association.clone()].into_iter().collect();
                Some(Access { fields: Some(Arc::new(association)), scope: Arc::default() })
            }
            _ => None,
        }
    }
}

impl RoleGuard {
    /// The same, which opens what belongs to the management too.
    fn managing(&self, managed: Option<Managed>) -> Self {
        Self {
            acl: Arc::clone(&self.acl),
            catalog: Arc::clone(&self.catalog),
            roles: Arc::clone(&self.roles),
            role: Arc::clone(&self.role),
            session: Arc::clone(&self.session),
            clock: self.clock,
            managed,
            known: Mutex::default(),
        }
    }

    fn roles(&self) -> Vec<&str> {
        self.roles.iter().map(String::as_str).collect()
    }

    fn scope(&self, given: &Value) -> Result<Filter, DataError> {
        let variables = Variables {
            user: Some(self.session.user.variables()),
            role: Some(&self.role),
            timezone: self.clock.timezone,
            now: self.clock.now,
        };
        let resolved = resolve(given, &variables).map_err(|error| DataError::Refused(error.to_string()))?;
        Filter::parse(&resolved)
    }

    fn found_out(&self, collection: &str, action: Action) -> Option<Access> {
        let name = match action {
            Action::View => "list",
            Action::Create => "create",
            Action::Update => "update",
            Action::Destroy => "destroy",
        };
        if let Some(access) = self.managed.as_ref().and_then(|managed| managed.access(collection, action)) {
            return Some(access);
        }
        let permission = self.acl.permission(&self.roles(), collection, name)?;
        if action == Action::Create {
            // What is not there yet is in no scope.
            return Some(Access { fields: permission.fields, scope: Arc::default() });
        }
        let known = self.catalog.get(collection);
        let permission = if known.is_some_and(|known| known.get("createdById").is_none()) {
            permission.without_creators()?
        } else {
            permission
        };
        let scope = match permission.filter() {
            None => Filter::All,
            Some(given) => self.scope(&given).unwrap_or_else(|error| {
                // What cannot be read opens nothing.
                tracing::warn!(%error, collection, "the scope of a role cannot be read");
                Filter::never()
            }),
        };
        Some(Access { fields: permission.fields, scope: Arc::new(scope) })
    }
}

impl Guard for RoleGuard {
    fn access(&self, collection: &str, action: Action) -> Option<Access> {
        let same = |known: &&Known| known.action == action && *known.collection == *collection;
        if let Some(known) = self.known.lock().iter().find(same) {
            return known.access.clone();
        }
        let access = self.found_out(collection, action);
        self.known.lock().push(Known { collection: collection.into(), action, access: access.clone() });
        access
    }

    fn may_nest(&self, source: &str, association: &str, target: &str) -> bool {
        self.acl.may_nest(&self.roles(), source, association, target)
    }
}
