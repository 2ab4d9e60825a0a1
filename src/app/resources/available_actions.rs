//! `availableActions`: the actions that permissions are given for.

use super::descriptor::{ActionAccess, Records, Resource, ResourceAction};
use crate::app::acl::available_actions;
use crate::app::acl::policy::Reach;
use crate::app::api::{Answer, ApiError, Call};

pub(super) fn resources() -> [Resource; 1] {
    [Resource {
        records: Records::Own,
        actions: vec![ResourceAction::new("list", ActionAccess::ByPermission, |call| Box::pin(list(call)))],
        reach: Reach::Management,
        snippets: &[("pm.acl.roles", &["list"])],
        ..Resource::named("availableActions")
    }]
}

async fn list(_call: &Call<'_>) -> Result<Answer, ApiError> {
    Ok(Answer::Data(available_actions()))
}
