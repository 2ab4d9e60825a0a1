//! `rolesUsers`: which user has which role.

use serde_json::Value;

use super::common::{forbidden, text};
use super::descriptor::Resource;
use crate::app::acl::policy::Reach;
use crate::app::acl::{self, InvariantError, ROOT, check_role_given, check_role_taken};
use crate::app::auth::disabled::enabled_roots;
use crate::app::caches::Cache;
use crate::app::system::ROLES_USERS;
use crate::data::{DataError, Filter, HookFuture, RecordEvent, Transaction};

pub(super) fn resources() -> [Resource; 1] {
    [Resource {
        collection: Some(&ROLES_USERS),
        reach: Reach::Management,
        invalidates: &[Cache::Users, Cache::Roles],
        on_event: Some(apply_rules),
        ..Resource::named("rolesUsers")
    }]
}

fn apply_rules<'a>(transaction: &'a mut Transaction, event: RecordEvent<'a>) -> HookFuture<'a> {
    Box::pin(async move {
        match event {
            RecordEvent::BeforeCreate(values) => {
                check_role_given(text(values, "roleName")).map_err(forbidden)?;
                check_user_change(transaction, values.get("userId")).await
            }
            RecordEvent::BeforeUpdate { record, changes } => {
                let root = text(record, "roleName") == ROOT;
                let moved = ["roleName", "userId"].iter().any(|name| changes.contains_key(*name));
                if root && moved {
                    return Err(forbidden(InvariantError::RootIsFixed));
                }
                check_role_given(if root { "" } else { text(changes, "roleName") }).map_err(forbidden)?;
                check_user_change(transaction, record.get("userId")).await
            }
            RecordEvent::AfterDestroy(link) => {
                let role = text(link, "roleName");
                let left = if role == ROOT { enabled_roots(transaction).await?.len() as u64 } else { 0 };
                check_role_taken(role, !transaction.is_guarded(), left + 1).map_err(forbidden)?;
                check_user_change(transaction, link.get("userId")).await
            }
            RecordEvent::AfterCreate(_) | RecordEvent::AfterUpdate(_) | RecordEvent::BeforeDestroy(_) => {
                Ok(())
            }
        }
    })
}

/// Refuses a change of a user who is root by anybody who is not.
pub(super) async fn check_user_change(
    transaction: &mut Transaction,
    user: Option<&Value>,
) -> Result<(), DataError> {
    // Most changes of users are made by root, or by the host.
    if !transaction.is_guarded() {
        return Ok(());
    }
    let has_root = has_root(transaction, user).await?;
    acl::check_user_change(has_root, false).map_err(forbidden)
}

/// Whether a user, given by its key, has the role `root`.
pub(super) async fn has_root(transaction: &mut Transaction, user: Option<&Value>) -> Result<bool, DataError> {
    let own = Filter::eq("userId", user.cloned().unwrap_or_default()).and(Filter::eq("roleName", ROOT));
    Ok(transaction.count(&ROLES_USERS, &own).await? > 0)
}
