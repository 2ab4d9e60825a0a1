//! What the application itself does when records change: users get roles, what memory knows is
//! dropped.

use std::sync::{Arc, OnceLock, Weak};

use serde_json::{Value, json};

use super::acl::store::{self, StoreError};
use super::auth::AuthError;
use super::system::{ISSUED_TOKENS, ROLES_USERS};
use super::{App, acl, auth};
use crate::data::{Collection, DataError, Filter, Hook, Hooking, Record, RecordEvent, Transaction};

/// Collections of which memory keeps something. A user is kept with the fields that users have.
const REMEMBERED: [&str; 12] = [
    "apiKeys",
    "collections",
    "dataSourcesRoles",
    "dataSourcesRolesResources",
    "dataSourcesRolesResourcesActions",
    "dataSourcesRolesResourcesScopes",
    "fields",
    "roles",
    "rolesUsers",
    "systemSettings",
    "users",
    "usersAuthenticators",
];

/// The application's own hook.
#[derive(Debug, Default)]
pub(super) struct Housekeeping {
    app: OnceLock<Weak<App>>,
}

impl Housekeeping {
    /// From now on it knows whose memory it keeps right.
    pub(super) fn serve(&self, app: &Arc<App>) {
        // It is called once, when the application is opened.
        let _ = self.app.set(Arc::downgrade(app));
    }
}

impl Housekeeping {
    async fn on_user(&self, transaction: &mut Transaction, event: RecordEvent<'_>) -> Result<(), DataError> {
        match event {
            RecordEvent::BeforeCreate(values) => {
                NOT_GIVEN.iter().for_each(|name| drop(values.remove(*name)));
                auth::check_names(transaction, None, values).await
            }
            RecordEvent::AfterCreate(user) => give_default_role(transaction, user).await,
            RecordEvent::BeforeUpdate { record, changes } => change_user(transaction, record, changes).await,
            RecordEvent::AfterUpdate(_) => Ok(()),
            RecordEvent::BeforeDestroy(user) => {
                check_user_change(transaction, user.get("id")).await?;
                check_not_last_root(transaction, user).await?;
                self.remove_traces(transaction, user).await
            }
            // Of several that are removed at once, each alone was not the last one.
            RecordEvent::AfterDestroy(_) => check_root_is_left(transaction).await,
        }
    }

    /// Removes what else is kept of a user who is removed.
    async fn remove_traces(&self, transaction: &mut Transaction, user: &Record) -> Result<(), DataError> {
        let app = self.app.get().and_then(Weak::upgrade);
        let (Some(app), Some(id)) = (app, user.get("id").and_then(Value::as_i64)) else { return Ok(()) };
        app.auth().remove_traces(transaction, id).await.map_err(|error| match error {
            AuthError::Data(error) => error,
            other => refused(other),
        })
    }
}

fn refused(error: impl std::fmt::Display) -> DataError {
    DataError::Refused(error.to_string())
}

fn forbidden(error: impl std::fmt::Display) -> DataError {
    DataError::Forbidden(error.to_string())
}

/// As the rule says: forbidden to everybody, or a question of doing something else first.
fn guarded(error: acl::GuardError) -> DataError {
    if error.status() == http::StatusCode::FORBIDDEN { forbidden(error) } else { refused(error) }
}

fn text<'a>(record: &'a Record, name: &str) -> &'a str {
    record.get(name).and_then(Value::as_str).unwrap_or_default()
}

impl Hook for Housekeeping {
    fn concerns(&self, collection: &str) -> bool {
        REMEMBERED.contains(&collection)
    }

    fn on<'a>(
        &'a self,
        transaction: &'a mut Transaction,
        collection: &'a Collection,
        event: RecordEvent<'a>,
    ) -> Hooking<'a> {
        Box::pin(async move {
            match collection.name() {
                "users" => self.on_user(transaction, event).await,
                "roles" => on_role(transaction, event).await,
                "rolesUsers" => on_role_of_user(transaction, event).await,
                _ => Ok(()),
            }
        })
    }

    fn committed(&self, collections: &[Arc<str>]) {
        let Some(app) = self.app.get().and_then(Weak::upgrade) else { return };
        app.auth().forget_users();
        if collections.iter().any(|name| name.contains("oles")) {
            app.forget_acl();
        }
        if collections.iter().any(|name| &**name == "systemSettings") {
            app.forget_settings();
        }
    }
}

async fn on_role(transaction: &mut Transaction, event: RecordEvent<'_>) -> Result<(), DataError> {
    match event {
        RecordEvent::BeforeCreate(_) => Ok(()),
        RecordEvent::AfterCreate(role) | RecordEvent::AfterUpdate(role) => {
            store::role_saved(transaction, text(role, "name")).await.map_err(StoreError::into_data)
        }
        RecordEvent::BeforeUpdate { record, .. } => {
            acl::check_role_update(text(record, "name")).map_err(forbidden)
        }
        RecordEvent::BeforeDestroy(role) => {
            let is_default = role.get("default") == Some(&Value::Bool(true));
            acl::check_role_destroy(text(role, "name"), is_default).map_err(guarded)
        }
        RecordEvent::AfterDestroy(role) => {
            store::role_destroyed(transaction, text(role, "name")).await.map_err(StoreError::into_data)
        }
    }
}

async fn on_role_of_user(transaction: &mut Transaction, event: RecordEvent<'_>) -> Result<(), DataError> {
    match event {
        RecordEvent::BeforeCreate(values) => {
            acl::check_role_given(text(values, "roleName")).map_err(forbidden)?;
            check_user_change(transaction, values.get("userId")).await
        }
        RecordEvent::BeforeUpdate { record, changes } => {
            let root = text(record, "roleName") == acl::ROOT;
            let moved = ["roleName", "userId"].iter().any(|name| changes.contains_key(*name));
            if root && moved {
                return Err(forbidden(acl::GuardError::RootIsFixed));
            }
            acl::check_role_given(if root { "" } else { text(changes, "roleName") }).map_err(forbidden)?;
            check_user_change(transaction, record.get("userId")).await
        }
        RecordEvent::AfterDestroy(link) => {
            let left = count_roots(transaction).await?;
            acl::check_role_taken(text(link, "roleName"), !transaction.is_guarded(), left + 1)
                .map_err(forbidden)?;
            check_user_change(transaction, link.get("userId")).await
        }
        RecordEvent::AfterCreate(_) | RecordEvent::AfterUpdate(_) | RecordEvent::BeforeDestroy(_) => Ok(()),
    }
}

/// A user who was given no role has the default one.
async fn give_default_role(transaction: &mut Transaction, user: &Record) -> Result<(), DataError> {
    let id = user.get("id").cloned().unwrap_or_default();
    if transaction.count(&ROLES_USERS, &Filter::eq("userId", id.clone())).await? > 0 {
        return Ok(());
    }
    if let Some(role) = auth::default_role(transaction).await? {
        let link = Record::from_iter([("roleName".to_owned(), json!(role)), ("userId".to_owned(), id)]);
        transaction.insert(&ROLES_USERS, link).await?;
    }
    Ok(())
}

/// What is not given by whoever writes a user: a token that was given would set the password anew.
const NOT_GIVEN: [&str; 2] = ["resetToken", "passwordChangeTz"];

async fn change_user(
    transaction: &mut Transaction,
    user: &Record,
    changes: &mut Record,
) -> Result<(), DataError> {
    let id = user.get("id").cloned().unwrap_or_default();
    check_user_change(transaction, Some(&id)).await?;
    NOT_GIVEN.iter().for_each(|name| drop(changes.remove(*name)));
    auth::check_names(transaction, Some(user), changes).await?;
    if changes.contains_key("password") {
        // Tokens that were signed before count no longer.
        changes.insert("passwordChangeTz".to_owned(), json!(auth::password_changed(user)));
        transaction.destroy(&ISSUED_TOKENS, &Filter::eq("userId", id)).await?;
    }
    Ok(())
}

/// A user who is root is changed by root alone.
async fn check_user_change(transaction: &mut Transaction, user: Option<&Value>) -> Result<(), DataError> {
    // Most of what changes users is of root, or of the host.
    if !transaction.is_guarded() {
        return Ok(());
    }
    let has_root = has_root(transaction, user).await?;
    acl::check_user_change(has_root, false).map_err(forbidden)
}

async fn has_root(transaction: &mut Transaction, user: Option<&Value>) -> Result<bool, DataError> {
    let own = Filter::eq("userId", user.cloned().unwrap_or_default()).and(Filter::eq("roleName", acl::ROOT));
    Ok(transaction.count(&ROLES_USERS, &own).await? > 0)
}

async fn count_roots(transaction: &mut Transaction) -> Result<u64, DataError> {
    transaction.count(&ROLES_USERS, &Filter::eq("roleName", acl::ROOT)).await
}

/// Without a root user nobody could look after the application any more.
async fn check_not_last_root(transaction: &mut Transaction, user: &Record) -> Result<(), DataError> {
    if !has_root(transaction, user.get("id")).await? {
        return Ok(());
    }
    let all = count_roots(transaction).await?;
    acl::check_user_destroy(true, true, all).map_err(forbidden)
}

async fn check_root_is_left(transaction: &mut Transaction) -> Result<(), DataError> {
    match count_roots(transaction).await? {
        0 => Err(forbidden(acl::GuardError::LastRootUser)),
        _ => Ok(()),
    }
}
