//! Compares users and API keys. They are added, users are changed, and none is removed.

use std::path::Path;

use chrono::Utc;
use serde_json::{Map, Value, json};

use super::collections::without_nulls;
use super::entries::{KeyEntry, UserEntry};
use super::live::{Interior, ROOT};
use super::sources::Wanted;
use super::steps::{Call, Change, Comparison};
use super::values::Expiry;
use crate::cli::error::CliError;
use crate::protocol::{AddUser, ApiKey, AppId, ChangeRoles, CreateKey, User};

/// The users of a document beside those of an application.
pub(super) struct UserComparison<'a> {
    pub(super) wanted: &'a Wanted,
    pub(super) live: &'a Interior,
    /// Whether to set the passwords of users who exist.
    pub(super) set_passwords: bool,
}

impl UserComparison<'_> {
    /// Compares all users.
    ///
    /// # Errors
    /// When a password that is needed cannot be read.
    pub(super) fn compare(&self, into: &mut Comparison) -> Result<(), CliError> {
        for user in &self.wanted.app.users {
            let known = self.live.users.iter().find(|known| {
                known.email.as_ref().is_some_and(|email| email.eq_ignore_ascii_case(user.email.trim()))
            });
            if let Some(role) = self.unknown_role(user) {
                into.refusals.push(format!("users.{}: there is no role {role}", user.email));
                continue;
            }
            match known {
                None => self.add(user, into)?,
                Some(known) => self.change(user, known, into)?,
            }
        }
        Ok(())
    }

    /// A role that neither the application nor the document has.
    fn unknown_role<'u>(&self, user: &'u UserEntry) -> Option<&'u String> {
        let roles = user.roles.iter().flatten().chain(&user.default_role);
        let is_known = |role: &&String| {
            self.live.role_names.contains(role) || self.wanted.app.roles.iter().any(|new| new.name == **role)
        };
        roles.into_iter().find(|role| !is_known(role))
    }

    fn add(&self, user: &UserEntry, into: &mut Comparison) -> Result<(), CliError> {
        let password =
            user.password.as_ref().map(|reference| reference.read(&self.wanted.base)).transpose()?;
        let mut said = Map::new();
        let texts = [("username", &user.username), ("nickname", &user.nickname)];
        said.extend(
            texts.iter().filter_map(|(name, text)| Some(((*name).to_owned(), json!(text.as_ref()?)))),
        );
        if let Some(roles) = &user.roles {
            said.insert("roles".to_owned(), json!(roles));
        }
        if user.disabled == Some(true) {
            said.insert("disabled".to_owned(), json!(true));
        }
        let add = AddUser {
            id: self.wanted.app.id.clone(),
            email: user.email.clone(),
            username: user.username.clone(),
            nickname: user.nickname.clone(),
            roles: user.roles.clone().unwrap_or_default(),
            password: password.map(|password| password.0),
        };
        let (default_role, disabled) = (user.default_role.clone(), user.disabled == Some(true));
        into.step(
            vec![Change::add(format!("users.{}", user.email), Value::Object(said))],
            Call::AddUser { add, default_role, disabled },
        );
        Ok(())
    }

    fn change(&self, user: &UserEntry, live: &User, into: &mut Comparison) -> Result<(), CliError> {
        let key = |field: &str| format!("users.{}.{field}", user.email);
        let mut changes = Vec::new();
        let mut body = Map::new();
        for (name, wanted, is) in
            [("username", &user.username, &live.username), ("nickname", &user.nickname, &live.nickname)]
        {
            if wanted.is_some() && wanted != is {
                changes.push(Change::set(key(name), json!(is), json!(wanted)));
                body.insert(name.to_owned(), json!(wanted));
            }
        }
        if !changes.is_empty() {
            let path = format!("users:update?filterByTk={}", live.id);
            into.step(changes, Call::Api { path, body: Value::Object(body) });
        }
        if let Some((changes, change)) = self.roles(user, live) {
            into.step(changes, Call::Roles(change));
        }
        if let Some(disabled) = user.disabled.filter(|disabled| *disabled != live.disabled) {
            let changes = vec![Change::set(key("disabled"), live.disabled, disabled)];
            into.step(changes, Call::Disabled { user: live.id.to_string(), disabled });
        }
        if let Some(reference) = user.password.as_ref().filter(|_| self.set_passwords) {
            let password = reference.read(&self.wanted.base)?;
            let changes = vec![Change::add(key("password"), reference.to_string())];
            into.step(changes, Call::Password { user: live.id.to_string(), password });
        }
        Ok(())
    }

    /// The roles that a user gets and loses.
    fn roles(&self, user: &UserEntry, live: &User) -> Option<(Vec<Change>, ChangeRoles)> {
        let mut changes = Vec::new();
        let (mut add, mut remove) = (Vec::new(), Vec::new());
        if let Some(roles) = &user.roles {
            add.extend(roles.iter().filter(|role| !live.roles.contains(role)).cloned());
            remove.extend(live.roles.iter().filter(|role| !roles.contains(role)).cloned());
            if !(add.is_empty() && remove.is_empty()) {
                let key = format!("users.{}.roles", user.email);
                changes.push(Change::set(key, json!(live.roles), json!(roles)));
            }
        }
        let default = user.default_role.clone().filter(|role| Some(role) != live.default_role.as_ref());
        if let Some(default) = &default {
            let key = format!("users.{}.default_role", user.email);
            changes.push(Change::set(key, json!(live.default_role), default.as_str()));
        }
        let id = self.wanted.app.id.clone();
        (!changes.is_empty())
            .then(|| (changes, ChangeRoles { id, user: live.id.to_string(), add, remove, default }))
    }
}

/// Compares the API keys that a document names with those that there are.
pub(super) fn compare_keys(wanted: &Wanted, live: &[ApiKey], into: &mut Comparison) {
    let now = Utc::now();
    for entry in &wanted.app.keys {
        let is_valid = |key: &&ApiKey| key.name == entry.name && key.expires_at.is_none_or(|end| end > now);
        let file = entry.file.as_ref().map(|file| wanted.base.join(file));
        let length = file.as_ref().and_then(|file| std::fs::metadata(file).ok()).map(|data| data.len());
        match live.iter().find(is_valid) {
            Some(known) => check_key(&wanted.app.id, entry, known, length, into),
            None => add_key(&wanted.app.id, entry, file.as_deref(), length, into),
        }
    }
}

/// Checks a key that exists. Its file may be gone: secrets are often moved elsewhere.
fn check_key(id: &AppId, entry: &KeyEntry, live: &ApiKey, length: Option<u64>, into: &mut Comparison) {
    let revoke = format!("revoke it to have a new one made: nbapps key revoke {id} {}", entry.name);
    if length == Some(0) {
        let lost = "was created and not written to its file, as a run was killed in between";
        into.refusals.push(format!("keys.{} {lost}; {revoke}", entry.name));
    }
    if entry.role.as_ref().is_some_and(|role| *role != live.role) {
        into.notes
            .push(format!("keys.{} acts in the role {}, and stays so; {revoke}", entry.name, live.role));
    }
}

fn add_key(id: &AppId, entry: &KeyEntry, file: Option<&Path>, length: Option<u64>, into: &mut Comparison) {
    let Some(file) = file else {
        into.notes.push(format!(
            "keys.{} is missing; name a file to have it created, or create it with: nbapps key create {id}",
            entry.name
        ));
        return;
    };
    if length.is_some_and(|length| length > 0) {
        let name = file.display();
        into.refusals
            .push(format!("keys.{}: the file {name} exists already, and is not overwritten", entry.name));
        return;
    }
    let create = CreateKey {
        id: id.clone(),
        name: entry.name.clone(),
        user: entry.user.clone(),
        role: entry.role.clone(),
        expires_in: entry.expires.clone().unwrap_or_else(Expiry::usual).expires_in(),
    };
    let said = without_nulls(&json!({"user": entry.user, "file": file.display().to_string()}));
    into.step(
        vec![Change::add(format!("keys.{}", entry.name), said)],
        Call::Key { create, file: file.to_owned() },
    );
}

/// The users in the form in which a document has them. `admin` is the number of the user whom the document has as the
/// application's first.
pub(super) fn portable_users(live: &Interior, admin: Option<i64>) -> Vec<UserEntry> {
    let others = live.users.iter().filter(|user| Some(user.id) != admin);
    others
        .filter_map(|user| {
            Some(UserEntry {
                email: user.email.clone()?,
                username: user.username.clone(),
                nickname: user.nickname.clone(),
                roles: Some(user.roles.clone()),
                default_role: user.default_role.clone(),
                disabled: user.disabled.then_some(true),
                password: None,
            })
        })
        .collect()
}

/// The first user of an application, who has the role root.
pub(super) fn first_root(live: &Interior) -> Option<&User> {
    live.users.iter().find(|user| user.email.is_some() && user.roles.iter().any(|role| role == ROOT))
}

/// The keys in the form in which a document has them: the valid ones with a user.
pub(super) fn portable_keys(live: &[ApiKey]) -> Vec<KeyEntry> {
    let now = Utc::now();
    let valid = live.iter().filter(|key| key.expires_at.is_none_or(|end| end > now));
    valid
        .filter_map(|key| {
            Some(KeyEntry {
                name: key.name.clone(),
                user: Some(key.user.clone()?),
                role: Some(key.role.clone()),
                expires: key
                    .expires_at
                    .is_none()
                    .then(|| Expiry::try_from("never".to_owned()).ok())
                    .flatten(),
                file: None,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::document::App;
    use super::super::sources::Sources;
    use super::*;

    fn wanted(app: Value) -> Wanted {
        let app: App = serde_json::from_value(app).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("apps.json");
        std::fs::write(&file, json!({"app": [app]}).to_string()).unwrap();
        let mut sources = Sources::read(&[file]).unwrap();
        sources.wanted.remove(0)
    }

    fn user(id: i64, email: &str, roles: &[&str]) -> User {
        User {
            id,
            email: Some(email.to_owned()),
            username: None,
            nickname: Some("Ada".to_owned()),
            roles: roles.iter().map(|role| (*role).to_owned()).collect(),
            default_role: None,
            disabled: false,
            created_at: None,
        }
    }

    fn compared(users: Value, set_passwords: bool) -> Result<Comparison, CliError> {
        let wanted = wanted(json!({"id": "crm", "users": users, "roles": [{"name": "editor"}]}));
        let live = Interior { users: vec![user(7, "Ada@example.com", &["admin"])], ..Interior::of_new() };
        let mut comparison = Comparison::default();
        UserComparison { wanted: &wanted, live: &live, set_passwords }.compare(&mut comparison)?;
        Ok(comparison)
    }

    #[test]
    fn users_are_found_by_address_and_compared_in_what_the_document_says() {
        for (entry, steps) in [
            (json!({"email": "ada@example.com"}), 0),
            (
                json!({"email": "ada@example.com", "nickname": "Ada", "roles": ["admin"], "disabled": false}),
                0,
            ),
            (json!({"email": "ada@example.com", "nickname": "Countess", "username": "ada"}), 1),
            (json!({"email": "ada@example.com", "roles": ["editor"], "default_role": "editor"}), 1),
            (json!({"email": "ada@example.com", "disabled": true}), 1),
            (json!({"email": "ada@example.com", "password": "env:NBAPPS_NO_SUCH"}), 0),
            (json!({"email": "bob@example.com", "roles": ["member"]}), 1),
        ] {
            let comparison = compared(json!([entry.clone()]), false).unwrap();
            assert_eq!((comparison.steps.len(), comparison.refusals.len()), (steps, 0), "{entry}");
        }
        let roles = compared(json!([{"email": "ada@example.com", "roles": ["editor"]}]), false).unwrap();
        let Call::Roles(change) = &roles.steps[0].call else { panic!("{roles:?}") };
        assert_eq!((change.add[0].as_str(), change.remove[0].as_str()), ("editor", "admin"));
        let unknown = compared(json!([{"email": "bob@example.com", "roles": ["pirate"]}]), false).unwrap();
        assert!(unknown.steps.is_empty() && unknown.refusals[0].contains("pirate"), "{unknown:?}");
    }

    #[test]
    fn secrets_are_read_only_where_they_are_needed() {
        let known = json!([{"email": "ada@example.com", "password": "env:NBAPPS_NO_SUCH"}]);
        assert!(compared(known.clone(), false).is_ok());
        assert!(compared(known, true).is_err());
        let new = json!([{"email": "bob@example.com", "password": "env:NBAPPS_NO_SUCH"}]);
        assert!(compared(new, false).unwrap_err().to_string().contains("NBAPPS_NO_SUCH"));
    }

    #[test]
    fn a_key_is_created_where_none_is_valid_and_a_file_is_named() {
        let key = |name: &str, hours: i64| ApiKey {
            id: 1,
            name: name.to_owned(),
            user_id: Some(1),
            user: Some("ada@example.com".to_owned()),
            role: "admin".to_owned(),
            created_at: None,
            expires_at: Some(Utc::now() + chrono::TimeDelta::hours(hours)),
        };
        let compared = |entry: Value| {
            let mut wanted = wanted(json!({"id": "crm", "keys": [entry]}));
            let directory = tempfile::tempdir().unwrap();
            std::fs::write(directory.path().join("taken"), "x").unwrap();
            std::fs::write(directory.path().join("empty"), "").unwrap();
            wanted.base = directory.path().to_owned();
            let mut comparison = Comparison::default();
            compare_keys(&wanted, &[key("ci", 1), key("old", -1)], &mut comparison);
            (comparison.steps.len(), comparison.refusals.len(), comparison.notes.len())
        };
        for (entry, expected) in [
            (json!({"name": "ci", "user": "ada"}), (0, 0, 0)),
            (json!({"name": "ci", "user": "ada", "file": "elsewhere"}), (0, 0, 0)),
            (json!({"name": "ci", "user": "ada", "role": "root"}), (0, 0, 1)),
            (json!({"name": "ci", "user": "ada", "file": "empty"}), (0, 1, 0)),
            (json!({"name": "old", "user": "ada"}), (0, 0, 1)),
            (json!({"name": "old", "user": "ada", "file": "key"}), (1, 0, 0)),
            (json!({"name": "new", "user": "ada", "file": "empty"}), (1, 0, 0)),
            (json!({"name": "new", "user": "ada", "file": "taken"}), (0, 1, 0)),
        ] {
            assert_eq!(compared(entry.clone()), expected, "{entry}");
        }
    }
}
