//! `users`: who there is, and what people say of themselves.

use serde_json::{Value, json};

use super::common::{changed, forbidden, settable};
use super::descriptor::{ActionAccess, Records, Resource, ResourceAction};
use super::role_users::{check_user_change, has_root};
use super::roles::set_default_role;
use crate::app::acl::policy::Reach;
use crate::app::acl::{InvariantError, check_user_destroy};
use crate::app::api::{Answer, ApiError, Call};
use crate::app::auth::disabled::{enabled_roots, keep_disabled};
use crate::app::auth::{self, AuthError, check_names, password_changed, take_password};
use crate::app::caches::Cache;
use crate::app::system::{ISSUED_TOKENS, ROLES_USERS, USERS, USERS_AUTHENTICATORS};
use crate::data::{
    DataError, Filter, HookFuture, Query, Record, RecordEvent, Transaction, run_to_completion,
};

pub(super) fn resources() -> [Resource; 3] {
    [
        Resource {
            collection: Some(&USERS),
            actions: vec![
                ResourceAction::new("updateProfile", ActionAccess::SignedIn, |call| {
                    Box::pin(update_profile(call))
                }),
                ResourceAction::new("updateLang", ActionAccess::SignedIn, |call| {
                    Box::pin(update_language(call))
                }),
                ResourceAction::new("setDefaultRole", ActionAccess::SignedIn, |call| {
                    Box::pin(set_default_role(call))
                }),
            ],
            reach: Reach::People,
            // Whoever may set anybody's password may give roles, too.
            snippets: &[("pm.users", &["*"])],
            invalidates: &[Cache::Users],
            on_event: Some(apply_rules),
            ..Resource::named("users")
        },
        Resource {
            reach: Reach::Management,
            snippets: &[("pm.acl.roles", &["*"]), ("pm.users", &["*"])],
            ..Resource::named("users.roles")
        },
        Resource {
            collection: Some(&USERS_AUTHENTICATORS),
            records: Records::Internal,
            reach: Reach::Management,
            invalidates: &[Cache::Users],
            ..Resource::named("usersAuthenticators")
        },
    ]
}

async fn update_language(call: &Call<'_>) -> Result<Answer, ApiError> {
    let language = Value::from(call.text("appLang")?);
    update_own(call, Record::from_iter([("appLang".to_owned(), language)])).await?;
    Ok(Answer::Bare(json!({})))
}

/// What NocoBase's form for the own profile has in it; the user name must not be left out there.
async fn update_profile(call: &Call<'_>) -> Result<Answer, ApiError> {
    if !call.state.auth().rules().edit_profile {
        return Err(AuthError::Forbidden("the settings do not allow changing the profile").into());
    }
    let mut values = settable(call, &["nickname", "username", "email", "phone"])?;
    if call.text("username")?.trim().is_empty() {
        return Err(ApiError::bad_request("username must have a value"));
    }
    take_password(&mut values)?;
    Ok(Answer::Data(update_own(call, values).await?.into()))
}

/// Changes the caller's own record; gives it as it is then.
async fn update_own(call: &Call<'_>, mut values: Record) -> Result<Vec<Value>, ApiError> {
    let id = call.session()?.user.id;
    let own = Filter::eq("id", id);
    values.insert("updatedById".into(), id.into());
    let (source, user) = (call.state.source().clone(), own.clone());
    let written = run_to_completion(async move {
        let (user, values) = (&user, &values);
        let work = || {
            async move |transaction: &mut Transaction| {
                let before = transaction.find_one(&USERS, Query::filter(user.clone())).await?;
                check_names(transaction, before.as_ref(), values).await?;
                transaction.system().update(&USERS, user, values.clone()).await.map(drop)
            }
        };
        source.transact(work).await
    });
    written.await?;
    Ok(changed(call, &USERS, own, "id").await?)
}

fn apply_rules<'a>(transaction: &'a mut Transaction, event: RecordEvent<'a>) -> HookFuture<'a> {
    Box::pin(async move {
        match event {
            RecordEvent::BeforeCreate(values) => {
                NOT_GIVEN.iter().for_each(|name| drop(values.remove(*name)));
                check_names(transaction, None, values).await
            }
            RecordEvent::AfterCreate(user) => give_default_role(transaction, user).await,
            RecordEvent::BeforeUpdate { record, changes } => change(transaction, record, changes).await,
            RecordEvent::AfterUpdate(_) => Ok(()),
            RecordEvent::BeforeDestroy(user) => {
                check_user_change(transaction, user.get("id")).await?;
                check_not_last_root(transaction, user).await?;
                match user.get("id").and_then(Value::as_i64) {
                    Some(id) => auth::remove_traces(transaction, id).await,
                    None => Ok(()),
                }
            }
            // Of several that are removed at once, each alone was not the last one.
            RecordEvent::AfterDestroy(_) => check_root_is_left(transaction).await,
        }
    })
}

/// Fields that nobody sets by writing a user: `resetToken` would allow setting a new password.
const NOT_GIVEN: [&str; 2] = ["resetToken", "passwordChangeTz"];

/// Gives a new user the default role, unless it was created with roles.
async fn give_default_role(transaction: &mut Transaction, user: &Record) -> Result<(), DataError> {
    let id = user.get("id").cloned().unwrap_or_default();
    if transaction.count(&ROLES_USERS, &Filter::eq("userId", id.clone())).await? > 0 {
        return Ok(());
    }
    if let Some(role) = auth::default_role(transaction).await? {
        let link = Record::from_iter([("roleName".to_owned(), json!(role)), ("userId".to_owned(), id)]);
        transaction.system().insert(&ROLES_USERS, link).await?;
    }
    Ok(())
}

async fn change(transaction: &mut Transaction, user: &Record, changes: &mut Record) -> Result<(), DataError> {
    let id = user.get("id").cloned().unwrap_or_default();
    check_user_change(transaction, Some(&id)).await?;
    NOT_GIVEN.iter().for_each(|name| drop(changes.remove(*name)));
    check_names(transaction, Some(user), changes).await?;
    if changes.contains_key("password") {
        keep_disabled(transaction, &id, changes).await?;
        // Tokens that were signed before are refused from now on.
        changes.insert("passwordChangeTz".to_owned(), json!(password_changed(user)));
        transaction.system().destroy(&ISSUED_TOKENS, &Filter::eq("userId", id)).await?;
    }
    Ok(())
}

/// Without a user who is root, nobody could look after the application any more.
async fn check_not_last_root(transaction: &mut Transaction, user: &Record) -> Result<(), DataError> {
    if !has_root(transaction, user.get("id")).await? {
        return Ok(());
    }
    let mut others = enabled_roots(transaction).await?;
    others.retain(|root| user.get("id").and_then(Value::as_i64) != Some(*root));
    check_user_destroy(true, true, others.len() as u64 + 1).map_err(forbidden)
}

async fn check_root_is_left(transaction: &mut Transaction) -> Result<(), DataError> {
    match enabled_roots(transaction).await?.is_empty() {
        true => Err(forbidden(InvariantError::LastRootUser)),
        false => Ok(()),
    }
}
