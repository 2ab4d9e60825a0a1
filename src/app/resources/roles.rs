//! `roles`: what users may do.

use http::StatusCode;
use serde_json::Value;

use super::common::{forbidden, in_transaction, refused, text};
use super::descriptor::{ActionAccess, Resource, ResourceAction};
use crate::app::acl::policy::{Reach, Snippet};
use crate::app::acl::store::{self, StoreError};
use crate::app::acl::{InvariantError, check_role_destroy, check_role_update};
use crate::app::api::{Answer, ApiError, Call};
use crate::app::caches::Cache;
use crate::app::system::{ROLES, ROLES_RESOURCES, ROLES_RESOURCES_ACTIONS};
use crate::data::{DataError, HookFuture, RecordEvent, Transaction};

pub(super) fn resources() -> [Resource; 5] {
    const ROLES_SNIPPET: &[Snippet] = &[("pm.acl.roles", &["*"])];
    let managed = |name| Resource { reach: Reach::Management, ..Resource::named(name) };
    [
        Resource {
            collection: Some(&ROLES),
            actions: vec![
                ResourceAction::new("check", ActionAccess::SignedIn, |call| Box::pin(check(call))),
                ResourceAction::new("setDefaultRole", ActionAccess::SignedIn, |call| {
                    Box::pin(set_default_role(call))
                }),
                ResourceAction::new("setSystemRoleMode", ActionAccess::ByPermission, |call| {
                    Box::pin(set_role_mode(call))
                }),
            ],
            snippets: ROLES_SNIPPET,
            invalidates: &[Cache::Users, Cache::Roles],
            on_event: Some(apply_rules),
            ..managed("roles")
        },
        Resource { snippets: ROLES_SNIPPET, ..managed("roles.snippets") },
        Resource { snippets: ROLES_SNIPPET, ..managed("roles.users") },
        // Permissions as NocoBase 1 kept them: they are stored and mean nothing any more.
        Resource { collection: Some(&ROLES_RESOURCES), ..managed("rolesResources") },
        Resource { collection: Some(&ROLES_RESOURCES_ACTIONS), ..managed("rolesResourcesActions") },
    ]
}

fn apply_rules<'a>(transaction: &'a mut Transaction, event: RecordEvent<'a>) -> HookFuture<'a> {
    Box::pin(async move {
        match event {
            RecordEvent::BeforeCreate(_) => Ok(()),
            RecordEvent::AfterCreate(role) | RecordEvent::AfterUpdate(role) => {
                store::role_saved(transaction, text(role, "name")).await.map_err(StoreError::into_data)
            }
            RecordEvent::BeforeUpdate { record, .. } => {
                check_role_update(text(record, "name")).map_err(forbidden)
            }
            RecordEvent::BeforeDestroy(role) => {
                let is_default = role.get("default") == Some(&Value::Bool(true));
                check_role_destroy(text(role, "name"), is_default).map_err(refusal)
            }
            RecordEvent::AfterDestroy(role) => {
                store::role_destroyed(transaction, text(role, "name")).await.map_err(StoreError::into_data)
            }
        }
    })
}

/// The error of a rule: forbidden to everybody, or allowed once something else is done first.
fn refusal(error: InvariantError) -> DataError {
    if error.status() == StatusCode::FORBIDDEN { forbidden(error) } else { refused(error) }
}

/// The roles that the caller acts in, and what they open.
async fn check(call: &Call<'_>) -> Result<Answer, ApiError> {
    let (roles, current) = call.requester.roles();
    let catalog = call.state.source().catalog();
    let always_shown = |name: &str| {
        let Some(collection) = catalog.get(name) else { return Vec::new() };
        let shown = ["createdAt", "updatedAt"].into_iter().filter(|field| collection.get(field).is_some());
        collection.key().iter().map(|field| field.name()).chain(shown).map(str::to_owned).collect()
    };
    let acl = call.state.acl().await?;
    let mode = call.state.settings().await?.role_mode;
    Ok(Answer::Data(acl.describe(roles, current, mode, always_shown)))
}

/// Sets the role with which the caller begins from now on.
pub(super) async fn set_default_role(call: &Call<'_>) -> Result<Answer, ApiError> {
    let user = call.session()?.user.id;
    let set = in_transaction(call, || {
        async move |transaction: &mut Transaction| {
            store::set_default_role(transaction, user, &call.body).await
        }
    });
    Ok(Answer::Data(set.await?))
}

/// Sets whether users act in one role or in all of theirs.
async fn set_role_mode(call: &Call<'_>) -> Result<Answer, ApiError> {
    in_transaction(call, || {
        async move |transaction: &mut Transaction| store::set_role_mode(transaction, &call.body).await
    })
    .await?;
    Ok(Answer::Data(Value::Null))
}
