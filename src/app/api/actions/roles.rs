//! `roles`: what users may do.

use crate::app::api::{Answer, Answering, ApiError, Call, Resource};

pub(super) struct Roles;

impl Resource for Roles {
    fn name(&self) -> &'static str {
        "roles"
    }

    fn has(&self, action: &str) -> bool {
        action == "check"
    }

    fn has_records(&self) -> bool {
        true
    }

    fn call<'a>(&'a self, call: Call<'a>) -> Answering<'a> {
        Box::pin(async move { check(&call).await })
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
    Ok(Answer::Data(acl.describe(&roles, current, call.app.role_mode(), always_shown)))
}
