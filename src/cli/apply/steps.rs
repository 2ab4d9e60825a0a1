//! The steps of a plan: what each changes, and the call that does it.

use std::path::PathBuf;
use std::sync::Arc;

use serde::{Serialize, Serializer};
use serde_json::Value;

use super::values::Secret;
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::secret_file::SecretFile;
use crate::client::Client;
use crate::protocol::methods::{
    AppApi, KeyCreate, Method, UserAdd, UserDisable, UserEnable, UserPasswd, UserRole,
};
use crate::protocol::{
    AddUser, AppId, CallApi, ChangeRoles, CreateKey, OneUser, SetPassword, Shown, UserChanged, Wait,
};

/// A change of a value. Without `from` it is added, without `to` removed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Change {
    /// What changes, such as `limits.in-flight` or `users.ada@example.com`.
    pub(crate) key: String,
    /// The value before.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "shown")]
    pub(crate) from: Option<Value>,
    /// The value after.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "shown")]
    pub(crate) to: Option<Value>,
}

/// Serializes a value the same way to every format.
fn shown<S: Serializer>(value: &Option<Value>, serializer: S) -> Result<S::Ok, S::Error> {
    value.as_ref().map(Shown::of).serialize(serializer)
}

impl Change {
    /// Something that is added.
    pub(super) fn add(key: impl Into<String>, to: impl Into<Value>) -> Self {
        Self { key: key.into(), from: None, to: Some(to.into()) }
    }

    /// A value that changes; null counts as none.
    pub(super) fn set(key: impl Into<String>, from: impl Into<Value>, to: impl Into<Value>) -> Self {
        let some = |value: Value| Some(value).filter(|value| !value.is_null());
        Self { key: key.into(), from: some(from.into()), to: some(to.into()) }
    }
}

/// A step within an application.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) changes: Vec<Change>,
    pub(super) call: Call,
}

/// What carries a step out.
#[derive(Debug)]
pub(super) enum Call {
    /// An action of the application's API, as its root user.
    Api { path: String, body: Value },
    /// A new user, and what a user is not created with.
    AddUser { add: AddUser, default_role: Option<String>, disabled: bool },
    /// Other roles of a user.
    Roles(ChangeRoles),
    /// Whether a user is disabled.
    Disabled { user: String, disabled: bool },
    /// Another password of a user.
    Password { user: String, password: Secret },
    /// A new API key, which is written to a file.
    Key { create: CreateKey, file: PathBuf },
}

/// What the parts of a comparison find.
#[derive(Debug, Default)]
pub(super) struct Comparison {
    /// What is to be done, in order.
    pub(super) steps: Vec<Step>,
    /// What cannot be done, a sentence each.
    pub(super) refusals: Vec<String>,
    /// What the operator should know, a sentence each.
    pub(super) notes: Vec<String>,
}

impl Comparison {
    pub(super) fn step(&mut self, changes: Vec<Change>, call: Call) {
        self.steps.push(Step { changes, call });
    }
}

/// A generated password, which is shown once.
#[derive(Clone, Serialize)]
pub(crate) struct NewPassword {
    /// Whose it is.
    pub(crate) email: String,
    /// The password.
    pub(crate) password: String,
}

impl std::fmt::Debug for NewPassword {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("NewPassword").field("email", &self.email).finish_non_exhaustive()
    }
}

/// The way to an application.
#[derive(Debug, Clone)]
pub(super) struct Session {
    pub(super) context: Context,
    pub(super) client: Arc<Client>,
    pub(super) id: AppId,
    pub(super) wait: Wait,
}

impl Session {
    /// Calls a method that concerns the application.
    pub(super) async fn call<M: Method>(&self, params: M::Params) -> Result<M::Result, CliError> {
        self.context.work::<M>(&self.client, params, self.id.as_str(), self.wait).await
    }

    /// Reads from its API, as the root user; gives the `data` of the answer.
    pub(super) async fn get(&self, path: &str) -> Result<Value, CliError> {
        self.api("GET", path, None).await
    }

    async fn api(&self, method: &str, path: &str, body: Option<Value>) -> Result<Value, CliError> {
        let call = CallApi {
            id: self.id.clone(),
            method: method.to_owned(),
            path: path.to_owned(),
            user: None,
            headers: std::collections::BTreeMap::new(),
            body,
        };
        let response = self.call::<AppApi>(call).await?;
        let mut answer: Value = serde_json::from_str(response.body.get()).unwrap_or_default();
        if response.status < 400 {
            return Ok(answer.get_mut("data").map(Value::take).unwrap_or_default());
        }
        let why =
            answer.pointer("/errors/0/message").and_then(Value::as_str).unwrap_or("it does not say why");
        let action = path.split('?').next().unwrap_or_default();
        Err(CliError::Failed {
            message: format!("{}: {action} answered {}: {why}", self.id, response.status),
            hint: None,
        })
    }

    /// Carries a step out; gives a password that was generated.
    pub(super) async fn carry_out(&self, call: Call) -> Result<Option<NewPassword>, CliError> {
        match call {
            Call::Api { path, body } => self.api("POST", &path, Some(body)).await.map(|_| None),
            Call::AddUser { add, default_role, disabled } => self.add_user(add, default_role, disabled).await,
            Call::Roles(change) => self.call::<UserRole>(change).await.map(|_| None),
            Call::Disabled { user, disabled } => self.set_disabled(user, disabled).await.map(|_| None),
            Call::Password { user, password } => {
                let (id, user, password) = (self.id.clone(), Some(user), Some(password.0));
                self.call::<UserPasswd>(SetPassword { id, user, password }).await.map(|_| None)
            }
            Call::Key { create, file } => {
                // Before the key exists: a file that cannot be written must not lose it.
                let file = SecretFile::create("", file)?;
                let created = self.call::<KeyCreate>(create).await?;
                file.keep(&created.token.unwrap_or_default()).map(|()| None)
            }
        }
    }

    async fn add_user(
        &self,
        add: AddUser,
        default_role: Option<String>,
        disabled: bool,
    ) -> Result<Option<NewPassword>, CliError> {
        let (id, email) = (self.id.clone(), add.email.clone());
        let added = self.call::<UserAdd>(add).await?;
        if let Some(default) = default_role {
            let (add, remove) = (Vec::new(), Vec::new());
            let change = ChangeRoles { id, user: email.clone(), add, remove, default: Some(default) };
            self.call::<UserRole>(change).await?;
        }
        if disabled {
            self.set_disabled(email.clone(), true).await?;
        }
        Ok(added.password.map(|password| NewPassword { email, password }))
    }

    async fn set_disabled(&self, user: String, disabled: bool) -> Result<UserChanged, CliError> {
        let one = OneUser { id: self.id.clone(), user };
        match disabled {
            true => self.call::<UserDisable>(one).await,
            false => self.call::<UserEnable>(one).await,
        }
    }
}

/// Whether two values say the same: null is as good as nothing, and numbers are compared as such.
pub(super) fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => {
            one.to_string() == other.to_string() || one.as_f64() == other.as_f64()
        }
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            let mut names = one.keys().chain(other.keys());
            let value = |fields: &serde_json::Map<String, Value>, name: &str| {
                fields.get(name).cloned().unwrap_or_default()
            };
            names.all(|name| same(&value(one, name), &value(other, name)))
        }
        _ => one == other,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_the_same_that_say_the_same() {
        for (one, other, expected) in [
            (json!(1), serde_json::from_str("1.0").unwrap(), true),
            (json!(1), json!(2), false),
            (json!({"a": null, "b": [1]}), json!({"b": [1]}), true),
            (json!({"a": false}), json!({}), false),
            (json!([1, 2]), json!([2, 1]), false),
            (json!("1"), json!(1), false),
        ] {
            assert_eq!(same(&one, &other), expected, "{one} {other}");
            assert_eq!(same(&other, &one), expected, "{other} {one}");
        }
    }
}
