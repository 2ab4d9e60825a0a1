//! `roles`: what users may do.

use serde_json::Value;

use super::in_transaction;
use crate::app::acl::store;
use crate::app::api::{Answer, Answering, ApiError, Call, Resource};
use crate::data::Transaction;

pub(super) struct Roles;

impl Resource for Roles {
    fn name(&self) -> &'static str {
        "roles"
    }

    fn has(&self, action: &str) -> bool {
        matches!(action, "check" | "setDefaultRole" | "setSystemRoleMode")
    }

    fn has_records(&self) -> bool {
        true
    }

    fn call<'a>(&'a self, call: Call<'a>) -> Answering<'a> {
        Box::pin(async move {
            let call = &call;
            match call.action {
                "check" => check(call).await,
                "setDefaultRole" => set_default_role(call).await,
                _ => {
                    in_transaction(call, || {
                        async move |transaction: &mut Transaction| {
                            store::set_role_mode(transaction, &call.body).await
                        }
                    })
                    .await?;
                    Ok(Answer::Data(Value::Null))
                }
            }
        })
    }
}

/// The roles that the caller acts in, and what they open.
async fn check(call: &Call<'_>) -> Result<Answer, ApiError> {
    let (roles, current) = call.requester.roles();
    let catalog = call.app.source().catalog();
    let always_shown = |name: &str| {
        let Some(collection) = catalog.get(name) else { return Vec::new() };
        let shown = ["createdAt", "updatedAt"].into_iter().filter(|field| collection.get(field).is_some());
        collection.key().iter().map(|field| field.name()).chain(shown).map(str::to_owned).collect()
    };
    let acl = call.app.acl().await?;
    let mode = call.app.role_mode().await.map_err(ApiError::internal)?;
    Ok(Answer::Data(acl.describe(roles, current, mode, always_shown)))
}

/// With which of its roles the caller begins from now on.
pub(super) async fn set_default_role(call: &Call<'_>) -> Result<Answer, ApiError> {
    let user = call.session()?.user.id;
    let set = in_transaction(call, || {
        async move |transaction: &mut Transaction| {
            store::set_default_role(transaction, user, &call.body).await
        }
    });
    Ok(Answer::Data(set.await?))
}
