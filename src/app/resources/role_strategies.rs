//! The strategies of roles in a data source: `dataSources/<key>/roles:*`.

use super::common::in_transaction;
use super::descriptor::{ActionAccess, Records, Resource, ResourceAction};
use crate::app::acl::policy::Reach;
use crate::app::acl::store;
use crate::app::api::{Answer, ApiError, Call};
use crate::app::caches::Cache;
use crate::app::system::DATA_SOURCES_ROLES;
use crate::data::Transaction;

pub(super) fn resources() -> [Resource; 2] {
    [
        Resource {
            records: Records::Own,
            actions: vec![
                ResourceAction::new("get", ActionAccess::ByPermission, |call| Box::pin(get(call))),
                ResourceAction::new("update", ActionAccess::ByPermission, |call| Box::pin(update(call))),
            ],
            reach: Reach::Management,
            snippets: &[("pm.acl.roles", &["*"])],
            ..Resource::named("dataSources.roles")
        },
        Resource {
            collection: Some(&DATA_SOURCES_ROLES),
            reach: Reach::Management,
            invalidates: &[Cache::Users, Cache::Roles],
            ..Resource::named("dataSourcesRoles")
        },
    ]
}

async fn get(call: &Call<'_>) -> Result<Answer, ApiError> {
    let (data_source, role) = (call.source_key()?, call.filter_by_tk()?);
    Ok(Answer::Data(store::get_strategy(call.state.source(), data_source, role).await?))
}

async fn update(call: &Call<'_>) -> Result<Answer, ApiError> {
    let (data_source, role) = (call.source_key()?, call.filter_by_tk()?);
    let policy = call.state.policy();
    let written = in_transaction(call, || {
        async move |transaction: &mut Transaction| {
            store::update_strategy(transaction, policy, data_source, role, &call.body).await
        }
    });
    Ok(Answer::Data(written.await?))
}
