//! What the application itself does when records change: users get roles, what memory knows is
//! dropped.

use std::sync::{Arc, OnceLock, Weak};

use serde_json::{Value, json};

use super::acl::{self, store};
use super::system::{ISSUED_TOKENS, ROLES_USERS};
use super::{App, auth};
use crate::data::{Collection, DataError, Filter, Hook, Hooking, Record, Transaction};

/// Collections of which memory keeps something.
const REMEMBERED: [&str; 10] = [
    "apiKeys",
    "dataSourcesRoles",
    "dataSourcesRolesResources",
    "dataSourcesRolesResourcesActions",
    "dataSourcesRolesResourcesScopes",
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
    /// Removes what else is kept of a user who is removed.
    async fn remove_traces(&self, transaction: &mut Transaction, user: &Record) -> Result<(), DataError> {
        let app = self.app.get().and_then(Weak::upgrade);
        let (Some(app), Some(id)) = (app, user.get("id").and_then(Value::as_i64)) else { return Ok(()) };
        app.auth().remove_traces(transaction, id).await.map_err(refused)
    }
}

fn refused(error: impl std::fmt::Display) -> DataError {
    DataError::Refused(error.to_string())
}

fn forbidden(error: impl std::fmt::Display) -> DataError {
    DataError::Forbidden(error.to_string())
}

fn text<'a>(record: &'a Record, name: &str) -> &'a str {
    record.get(name).and_then(Value::as_str).unwrap_or_default()
}

impl Hook for Housekeeping {
    fn concerns(&self, collection: &str) -> bool {
        REMEMBERED.contains(&collection)
    }

    fn after_create<'a>(
        &'a self,
        transaction: &'a mut Transaction,
        collection: &'a Collection,
        record: &'a Record,
    ) -> Hooking<'a> {
        Box::pin(async move {
            match collection.name() {
                "users" => give_default_role(transaction, record).await,
                "roles" => store::role_saved(transaction, text(record, "name")).await.map_err(refused),
                _ => Ok(()),
            }
        })
    }

    fn before_update<'a>(
        &'a self,
        transaction: &'a mut Transaction,
        collection: &'a Collection,
        record: &'a Record,
        changes: &'a mut Record,
    ) -> Hooking<'a> {
        Box::pin(async move {
            match collection.name() {
                // Tokens that were signed before count no longer.
                "users" if changes.contains_key("password") => {
                    let now = chrono::Utc::now().timestamp_millis();
                    changes.insert("passwordChangeTz".to_owned(), json!(now));
                    let id = record.get("id").cloned().unwrap_or_default();
                    transaction.destroy(&ISSUED_TOKENS, &Filter::eq("userId", id)).await.map(drop)
                }
                "roles" => acl::check_role_update(text(record, "name")).map_err(forbidden),
                _ => Ok(()),
            }
        })
    }

    fn after_update<'a>(
        &'a self,
        transaction: &'a mut Transaction,
        collection: &'a Collection,
        record: &'a Record,
    ) -> Hooking<'a> {
        Box::pin(async move {
            match collection.name() {
                "roles" => store::role_saved(transaction, text(record, "name")).await.map_err(refused),
                _ => Ok(()),
            }
        })
    }

    fn before_destroy<'a>(
        &'a self,
        transaction: &'a mut Transaction,
        collection: &'a Collection,
        record: &'a Record,
    ) -> Hooking<'a> {
        Box::pin(async move {
            match collection.name() {
                "users" => {
                    check_not_last_root(transaction, record).await?;
                    self.remove_traces(transaction, record).await
                }
                "roles" => {
                    let is_default = record.get("default") == Some(&Value::Bool(true));
                    acl::check_role_destroy(text(record, "name"), is_default).map_err(refused)
                }
                _ => Ok(()),
            }
        })
    }

    fn after_destroy<'a>(
        &'a self,
        transaction: &'a mut Transaction,
        collection: &'a Collection,
        record: &'a Record,
    ) -> Hooking<'a> {
        Box::pin(async move {
            match collection.name() {
                "roles" => store::role_destroyed(transaction, text(record, "name")).await.map_err(refused),
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

/// Without a root user nobody could look after the application any more.
async fn check_not_last_root(transaction: &mut Transaction, user: &Record) -> Result<(), DataError> {
    let roots = Filter::eq("roleName", "root");
    let own = roots.clone().and(Filter::eq("userId", user.get("id").cloned().unwrap_or_default()));
    if transaction.count(&ROLES_USERS, &own).await? == 0 {
        return Ok(());
    }
    let all = transaction.count(&ROLES_USERS, &roots).await?;
    acl::check_user_destroy(true, true, all).map_err(forbidden)
}
