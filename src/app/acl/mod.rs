//! What a role may do, decided from memory.
//!
//! An [`Acl`] holds all roles of one application as they are stored: `load.rs` reads it, and it is
//! replaced as a whole when a role changes. A request first finds out in which of its user's roles
//! it acts ([`choose`]), then asks [`Acl::permission`] for its resource and action; the answer says
//! which fields and which records that reaches, and the query is built from it. Everything is
//! worked out when the [`Acl`] is made (`grants.rs`), so that asking costs a few look-ups.
//!
//! What belongs to the management of an application (`policy.rs`: roles, collections, tokens,
//! settings) no strategy opens, only a role's snippets do. `describe.rs` tells a client what it may
//! do, `invariants.rs` has the rules that no permission can set aside, `store.rs` writes what an
//! administrator changes.

mod access_cache;
mod active;
mod definition;
mod describe;
mod grants;
mod invariants;
mod load;
mod permission;
pub mod policy;
pub mod store;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

pub use access_cache::{AccessCache, AccessContext, Decisions, LatestAccess};
pub use active::{ActiveRoles, ChooseError, HeldRole, RoleMode, UNION_ROLE, choose};
pub use definition::{ActionDefinition, ROOT, ResourceDefinition, RoleDefinition};
pub use describe::available_actions;
pub use grants::links;
pub use invariants::{
    InvariantError, check_role_destroy, check_role_given, check_role_taken, check_role_update,
};
pub use invariants::{check_user_change, check_user_destroy};
pub use load::MAIN_DATA_SOURCE;
pub use permission::{AssociationPermission, Permission};

use grants::Grants;
use policy::{Opened, Policy, Reach};

/// One role, ready to be asked.
#[derive(Debug)]
pub struct Role {
    definition: RoleDefinition,
    strategy: Grants,
    collections: HashMap<String, Configured>,
    management: HashMap<&'static str, Opened>,
}

/// What a role may do with a collection that has a configuration of its own.
#[derive(Debug)]
struct Configured {
    actions: Vec<ActionDefinition>,
    grants: Grants,
}

/// All roles of one application. Immutable; replaced as a whole when a role changes.
#[derive(Debug, Default)]
pub struct Acl {
    policy: Arc<Policy>,
    roles: HashMap<String, Role>,
}

impl Acl {
    /// From what is stored. Resources of a role that does not exist are left out, and so are those
    /// that do not use their actions.
    #[must_use]
    pub fn new(policy: &Arc<Policy>, roles: Vec<RoleDefinition>, resources: Vec<ResourceDefinition>) -> Self {
        let mut roles: HashMap<_, _> =
            roles.into_iter().map(|role| (role.name.clone(), Role::new(policy, role))).collect();
        for resource in resources.into_iter().filter(|resource| resource.using_actions_config) {
            if let Some(role) = roles.get_mut(&resource.role) {
                let grants = Grants::configured(&resource.actions);
                role.collections
                    .insert(resource.collection, Configured { actions: resource.actions, grants });
            }
        }
        Self { policy: Arc::clone(policy), roles }
    }

    /// The role of this name.
    #[must_use]
    pub fn role(&self, name: &str) -> Option<&Role> {
        self.roles.get(name)
    }

    /// What these roles may do with this action on this resource, together; `None`: nothing, the
    /// request is refused with 403. Actions that are open without a permission are not asked for here.
    ///
    /// A collection that has a configuration in a role is decided by it alone, another one by the
    /// role's strategy; management is decided by the role's snippets. In a configuration, `view`
    /// without fields shows the system fields only, `create` and `update` without fields write all
    /// of them: this is how NocoBase reads an empty list.
    ///
    /// `updateOrCreate` needs both `update` and `create`; what it gives are the fields that both may
    /// write and the records that `update` reaches. The scopes of `create` restrict nothing.
    ///
    /// A resource may be an association (`posts.tags`). Here that is enough for the associations of
    /// the management (`roles.users`) and to change what is linked (`add`, `set`, `remove`,
    /// `toggle`); for the rest, where the target counts, there is [`Acl::association`].
    #[must_use]
    pub fn permission(&self, roles: &[impl AsRef<str>], resource: &str, action: &str) -> Option<Permission> {
        if self.is_root(roles) {
            return Some(self.policy.given(resource).clone());
        }
        if let Some((source, association)) = resource.split_once('.') {
            return self.opened(roles, resource, action).or_else(|| {
                (grants::links(action) && !self.policy.is_managed(resource))
                    .then(|| self.updating_association(roles, source, association))?
            });
        }
        let reach = self.policy.reach(resource);
        self.union(roles, |role| role.permission(reach, resource, action))
    }

    /// What these roles may do with an action on an association: `/posts/1/tags:list` asks for
    /// source `posts`, association `tags`, and the collection that it leads to. `None`: nothing.
    ///
    /// To read, one must be allowed to see the association in the source's record and the records
    /// behind it. To link and unlink, one must be allowed to update the association in the source's
    /// record. To create, update and destroy, the permission on the target is enough, because it
    /// is the same as without the association. NocoBase does not ask for the source when it reads.
    #[must_use]
    pub fn association(
        &self,
        roles: &[impl AsRef<str>],
        source: &str,
        association: &str,
        target: &str,
        action: &str,
    ) -> Option<AssociationPermission> {
        let resource = format!("{source}.{association}");
        if self.is_root(roles) {
            return Some(AssociationPermission { source: None, target: self.policy.given(target).clone() });
        }
        if let Some(target) = self.opened(roles, &resource, action) {
            return Some(AssociationPermission { source: None, target });
        }
        if self.policy.is_managed(&resource) {
            return None;
        }
        if grants::links(action) {
            // What a role could not write itself it cannot link either.
            if !self.may_link_to(roles, target) {
                return None;
            }
            let source = self.updating_association(roles, source, association)?;
            return Some(AssociationPermission { source: Some(source), target: Permission::all().clone() });
        }
        let target = self.permission(roles, target, action)?;
        if !grants::views(action) {
            return Some(AssociationPermission { source: None, target });
        }
        let reach = self.policy.reach(source);
        let viewed = self.union(roles, |role| {
            role.permission(reach, source, "view").filter(|permission| permission.allows(association))
        })?;
        Some(AssociationPermission { source: Some(viewed), target })
    }

    /// Whether an association may be written inside its source's record (`users:create` with
    /// `roles`), where the permission on the source [allows](Permission::allows) it: what belongs to
    /// the management needs the snippet that opens it.
    #[must_use]
    pub fn may_nest(&self, roles: &[impl AsRef<str>], source: &str, association: &str, target: &str) -> bool {
        let resource = format!("{source}.{association}");
        if self.is_root(roles) || self.opened(roles, &resource, "set").is_some() {
            return true;
        }
        !self.policy.is_managed(&resource) && self.may_link_to(roles, target)
    }

    /// Whether the roles' snippets open an action of the management by themselves.
    #[must_use]
    pub fn opens(&self, roles: &[impl AsRef<str>], resource: &str, action: &str) -> bool {
        self.opened(roles, resource, action).is_some()
    }

    /// Whether records of a collection may be linked to others: to link is to write, on either side.
    fn may_link_to(&self, roles: &[impl AsRef<str>], target: &str) -> bool {
        !self.policy.is_management(target) || self.opened(roles, target, "update").is_some()
    }

    fn is_root(&self, roles: &[impl AsRef<str>]) -> bool {
        roles.iter().any(|role| role.as_ref() == ROOT) && self.roles.contains_key(ROOT)
    }

    /// What the roles' snippets open.
    fn opened(&self, roles: &[impl AsRef<str>], resource: &str, action: &str) -> Option<Permission> {
        self.union(roles, |role| role.opened(resource, action))
    }

    fn updating_association(
        &self,
        roles: &[impl AsRef<str>],
        source: &str,
        association: &str,
    ) -> Option<Permission> {
        let reach = self.policy.reach(source);
        self.union(roles, |role| {
            role.permission(reach, source, "update").filter(|permission| permission.allows(association))
        })
    }

    fn union<'a>(
        &'a self,
        roles: &[impl AsRef<str>],
        ask: impl Fn(&'a Role) -> Option<&'a Permission>,
    ) -> Option<Permission> {
        let mut granted = roles.iter().filter_map(|name| ask(self.roles.get(name.as_ref())?));
        let first = granted.next()?.clone();
        Some(granted.fold(first, |all, next| all.union(next)))
    }
}

impl Role {
    fn new(policy: &Policy, definition: RoleDefinition) -> Self {
        Self {
            strategy: Grants::of_strategy(&definition.strategy),
            management: policy.opened_by(&definition.snippets),
            collections: HashMap::new(),
            definition,
        }
    }

    fn permission(&self, reach: Reach, resource: &str, action: &str) -> Option<&Permission> {
        let configured = || self.collections.get(resource).map(|configured| configured.grants.get(action));
        match reach {
            Reach::Management | Reach::OwnRecords => self.opened(resource, action),
            Reach::Collection => configured().unwrap_or_else(|| self.strategy.get(action)),
            Reach::People => configured().unwrap_or_else(|| {
                let viewed = || self.strategy.get(action).filter(|_| grants::views(action));
                self.opened(resource, action).or_else(viewed)
            }),
        }
    }

    fn opened(&self, resource: &str, action: &str) -> Option<&Permission> {
        self.management.get(resource)?.permission(action)
    }
}
