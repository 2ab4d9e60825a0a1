//! The users of an application, for an operator of the host.
//!
//! Every change goes through the application's own API, in the session of its first root user: its rules, hooks
//! and caches are those of any other client. Only disabling has no action there ([`Auth::set_disabled`]).
//!
//! [`Auth::set_disabled`]: crate::app::auth::Auth::set_disabled

use std::sync::Arc;

use serde_json::{Value, json};

use super::Supervisor;
use super::api_call::Operator;
use super::root_account::generate_password;
use crate::app::Person;
use crate::app::auth::AuthError;
use crate::protocol::{
    AddUser, ChangeRoles, ErrorKind, ListUsers, OneUser, RpcError, SetPassword, User, UserChanged, UserList,
};

use super::error_context::ErrorContext;

/// The most users of one page.
const PAGE: u64 = 1_000;

impl Supervisor {
    /// Lists users, a page at a time, and the roles that they may have.
    pub async fn list_users(self: &Arc<Self>, list: ListUsers) -> Result<UserList, RpcError> {
        let id = &list.id;
        let app = if list.running_only { self.lend_running(id)? } else { self.lend(id).await? };
        let doing = || format!("listing the users of \"{}\"", list.id);
        let people = app.people(list.after.unwrap_or(i64::MIN), PAGE).await;
        let people = people.map_err(|error| error.while_doing(doing()))?;
        let roles = app.role_names().await.map_err(|error| error.while_doing(doing()))?;
        let next = if people.len() as u64 == PAGE { people.last().map(|person| person.id) } else { None };
        Ok(UserList { users: people.into_iter().map(described).collect(), roles, next })
    }

    /// Describes a user.
    pub async fn get_user(self: &Arc<Self>, one: OneUser) -> Result<User, RpcError> {
        let doing = format!("looking for the user {} of \"{}\"", one.user, one.id);
        let operator = self.operator(&one.id, doing).await?;
        operator.user(operator.find(&one.user).await?).await
    }

    /// Creates a user, with a password of its own when none is given.
    pub async fn add_user(self: &Arc<Self>, add: AddUser) -> Result<UserChanged, RpcError> {
        let doing = format!("creating the user {} of \"{}\"", add.email, add.id);
        let operator = self.operator(&add.id, doing).await?;
        let email = add.email.trim();
        if !email.split_once('@').is_some_and(|(name, host)| !name.is_empty() && !host.is_empty()) {
            let sentence = format!("\"{email}\" is not an e-mail address");
            return Err(
                RpcError::new(ErrorKind::InvalidSetting, sentence).hint("give one like ada@example.com")
            );
        }
        for name in [Some(email), add.username.as_deref()].into_iter().flatten() {
            match operator.app.auth().find_account_id(name).await {
                Ok(None) => {}
                Ok(Some(_)) => {
                    let sentence = format!("\"{}\" has a user {name} already", add.id);
                    return Err(RpcError::new(ErrorKind::Conflict, sentence)
                        .hint(format!("set another password with: nbapps user passwd {} {name}", add.id)));
                }
                Err(error) => return Err(operator.failed(error)),
            }
        }
        operator.check_roles(&add.roles).await?;
        let (password, generated) = operator.password(add.password);
        let mut values = json!({
            "email": email, "username": add.username, "nickname": add.nickname, "password": password,
        });
        if !add.roles.is_empty() {
            values["roles"] = json!(add.roles);
        }
        let created = operator.post("users:create", values).await?;
        let id = created.get("id").and_then(Value::as_i64).unwrap_or_default();
        Ok(UserChanged { user: operator.user(id).await?, changed: true, password: generated })
    }

    /// Sets a user's password, one that is made when none is given.
    pub async fn set_password(self: &Arc<Self>, set: SetPassword) -> Result<UserChanged, RpcError> {
        let whose = set.user.as_deref().unwrap_or("the root user");
        let operator =
            self.operator(&set.id, format!("setting the password of {whose} of \"{}\"", set.id)).await?;
        let id = match &set.user {
            Some(user) => operator.find(user).await?,
            None => operator.session.user.id,
        };
        let (password, generated) = operator.password(set.password);
        operator.post(&format!("users:update/{id}"), json!({"password": password})).await?;
        let forgiven = operator.app.auth().forgive(id).await;
        forgiven.map_err(|error| operator.failed(error))?;
        Ok(UserChanged { user: operator.user(id).await?, changed: true, password: generated })
    }

    /// Gives and takes roles, all of them or none.
    pub async fn change_roles(self: &Arc<Self>, change: ChangeRoles) -> Result<UserChanged, RpcError> {
        let doing = format!("changing the roles of {} of \"{}\"", change.user, change.id);
        let operator = self.operator(&change.id, doing).await?;
        let id = operator.find(&change.user).await?;
        let named: Vec<String> =
            change.add.iter().chain(&change.remove).chain(&change.default).cloned().collect();
        operator.check_roles(&named).await?;
        let before = operator.user(id).await?;
        let mut roles: Vec<&String> = before.roles.iter().chain(&change.add).collect();
        roles.retain(|role| !change.remove.contains(role));
        roles.sort();
        roles.dedup();
        if let Some(default) = change.default.as_ref().filter(|default| !roles.contains(default)) {
            let sentence =
                format!("{} does not have the role {default}, and cannot begin with it", change.user);
            return Err(RpcError::new(ErrorKind::InvalidSetting, sentence).hint(format!(
                "give it with: nbapps user role {} {} --add {default} --default {default}",
                change.id, change.user
            )));
        }
        if roles != before.roles.iter().collect::<Vec<_>>() {
            operator.post(&format!("users/{id}/roles:set"), json!(roles)).await?;
        }
        if let Some(default) = change.default.filter(|default| Some(default) != before.default_role.as_ref())
        {
            // The action sets the role of whoever calls it.
            operator.post_as(id, "users:setDefaultRole", json!({"roleName": default})).await?;
        }
        let user = operator.user(id).await?;
        Ok(UserChanged { changed: user != before, user, password: None })
    }

    /// Disables a user, or enables it again.
    pub async fn set_user_disabled(
        self: &Arc<Self>,
        one: OneUser,
        disabled: bool,
    ) -> Result<UserChanged, RpcError> {
        let what = if disabled { "disabling" } else { "enabling" };
        let operator =
            self.operator(&one.id, format!("{what} the user {} of \"{}\"", one.user, one.id)).await?;
        let id = operator.find(&one.user).await?;
        let changed = operator.app.auth().set_disabled(id, disabled).await;
        let changed = changed.map_err(|error| match error {
            AuthError::LastRoot => operator
                .failed(error)
                .hint(format!("enable another user with the role root first: nbapps user list {}", one.id)),
            error => operator.failed(error),
        })?;
        Ok(UserChanged { user: operator.user(id).await?, changed, password: None })
    }

    /// Deletes a user, with its sessions and API keys.
    pub async fn delete_user(self: &Arc<Self>, one: OneUser) -> Result<UserChanged, RpcError> {
        let operator =
            self.operator(&one.id, format!("deleting the user {} of \"{}\"", one.user, one.id)).await?;
        let id = operator.find(&one.user).await?;
        let user = operator.user(id).await?;
        operator.post(&format!("users:destroy/{id}"), json!({})).await?;
        Ok(UserChanged { user, changed: true, password: None })
    }
}

impl Operator {
    /// Finds a user by number, e-mail address or user name.
    pub(super) async fn find(&self, user: &str) -> Result<i64, RpcError> {
        self.app.auth().find_user(user).await.map_err(|error| self.failed(error))
    }

    /// The user of a number.
    pub(super) async fn user(&self, id: i64) -> Result<User, RpcError> {
        let person = self.app.person(id).await.map_err(|error| error.while_doing(&self.doing))?;
        person.map(described).ok_or_else(|| self.failed(AuthError::NoSuchUser(id.to_string())))
    }

    /// Checks that the application has these roles.
    async fn check_roles(&self, roles: &[String]) -> Result<(), RpcError> {
        if roles.is_empty() {
            return Ok(());
        }
        let known = self.app.role_names().await.map_err(|error| error.while_doing(&self.doing))?;
        match roles.iter().find(|role| !known.contains(role)) {
            None => Ok(()),
            Some(role) => {
                let sentence = format!("{} failed: there is no role {role}", self.doing);
                Err(RpcError::new(ErrorKind::RoleNotFound, sentence)
                    .hint(format!("there are: {}", known.join(", "))))
            }
        }
    }

    /// The password to set, and the same once more where it is made here.
    fn password(&self, given: Option<String>) -> (String, Option<String>) {
        if let Some(given) = given {
            return (given, None);
        }
        let mut made = generate_password();
        while made.len() < self.app.auth().rules().shortest_password {
            made.push_str(&generate_password());
        }
        (made.clone(), Some(made))
    }
}

fn described(person: Person) -> User {
    let Person { id, email, username, nickname, roles, default_role, disabled, created_at } = person;
    User { id, email, username, nickname, roles, default_role, disabled, created_at }
}
