//! The ways to sign in that an application offers.

use serde_json::{Map, Value, json};

use super::{Auth, AuthError};
use crate::app::system::AUTHENTICATORS;
use crate::data::{DataError, Filter, Query, Record, Sort};

/// Signing in by user name or e-mail address and a password.
pub const EMAIL_PASSWORD: &str = "Email/Password";

/// The types of authenticators there are, with the titles that NocoBase's client translates.
pub const AUTH_TYPES: [(&str, &str); 1] =
    [(EMAIL_PASSWORD, "{{t(\"Password\", {\"ns\":\"@nocobase/plugin-auth\"})}}")];

/// A way to sign in.
#[derive(Debug, Clone)]
pub struct Authenticator {
    /// Its name in `X-Authenticator`.
    pub name: String,
    /// Its type, one of [`AUTH_TYPES`] if the host knows it.
    pub auth_type: String,
    /// What people are shown.
    pub title: Option<String>,
    /// What everybody may know of its options.
    public: Map<String, Value>,
}

/// A field of the form for signing up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) field: String,
    pub(super) required: bool,
}

impl Authenticator {
    fn of(record: &Record) -> Self {
        let text = |name: &str| record.get(name).and_then(Value::as_str).map(str::to_owned);
        let public = record.get("options").and_then(|options| options.get("public")?.as_object());
        Self {
            name: text("name").unwrap_or_default(),
            auth_type: text("authType").unwrap_or_default(),
            title: text("title"),
            public: public.cloned().unwrap_or_default(),
        }
    }

    /// Whether people may sign up: only where the options say so.
    pub(super) fn allows_sign_up(&self) -> bool {
        self.public.get("allowSignUp").and_then(Value::as_bool) == Some(true)
    }

    /// The fields of the form for signing up. A user name or an address is always among them, or
    /// nobody could sign in afterwards.
    pub(super) fn form(&self) -> Vec<Asked> {
        let is = |entry: &Value, name: &str| entry.get(name).and_then(Value::as_bool) == Some(true);
        let entries = self.public.get("signupForm").and_then(Value::as_array);
        let shown = entries.into_iter().flatten().filter(|entry| is(entry, "show"));
        let mut form: Vec<Asked> = shown
            .filter_map(|entry| {
                let field = entry.get("field")?.as_str()?.to_owned();
                Some(Asked { field, required: is(entry, "required") })
            })
            .collect();
        if !form.iter().any(|asked| asked.required && matches!(&*asked.field, "username" | "email")) {
            form.retain(|asked| asked.field != "username");
            form.insert(0, Asked { field: "username".into(), required: true });
        }
        form
    }

    /// As everybody is told of it, also strangers.
    #[must_use]
    pub fn public(&self) -> Value {
        let mut options = self.public.clone();
        if self.auth_type == EMAIL_PASSWORD {
            let form = self.form().into_iter();
            let form = form
                .map(|asked| json!({"field": asked.field, "show": true, "required": asked.required}))
                .collect();
            options.insert("signupForm".into(), form);
        }
        let title =
            AUTH_TYPES.iter().find(|(name, _)| *name == self.auth_type).map_or("", |(_, title)| title);
        json!({
            "name": self.name, "authType": self.auth_type, "authTypeTitle": title, "title": self.title,
            "options": options,
        })
    }
}

impl Auth {
    /// The ways to sign in that are enabled, in their order.
    pub async fn authenticators(&self) -> Result<Vec<Authenticator>, DataError> {
        let query = Query::filter(Filter::eq("enabled", true))
            .sort(Sort::ascending("sort"))
            .sort(Sort::ascending("id"))
            .fields(&["name", "authType", "title", "options"]);
        Ok(self.source.find(&AUTHENTICATORS, query).await?.iter().map(Authenticator::of).collect())
    }

    /// The enabled authenticator of this name. As in NocoBase, the first one answers for a name
    /// that is not enabled or not known: clients remember names for longer than they exist.
    pub(super) async fn authenticator(&self, name: Option<&str>) -> Result<Authenticator, AuthError> {
        let mut all = self.authenticators().await?;
        let named = all.iter().position(|authenticator| Some(&*authenticator.name) == name);
        match all.is_empty() {
            true => Err(AuthError::NoAuthenticator(name.unwrap_or("at all").to_owned())),
            false => Ok(all.swap_remove(named.unwrap_or(0))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_always_asks_for_what_people_sign_in_with() {
        let entry = |field: &str, show: bool, required: bool| json!({"field": field, "show": show, "required": required});
        for (form, asked) in [
            (json!(null), vec![("username", true)]),
            (json!([entry("email", true, true)]), vec![("email", true)]),
            (json!([entry("email", false, true)]), vec![("username", true)]),
            (json!([entry("email", true, false)]), vec![("username", true), ("email", false)]),
            (json!([entry("username", true, false)]), vec![("username", true)]),
            (
                json!([entry("username", true, true), entry("nickname", true, false), 7]),
                vec![("username", true), ("nickname", false)],
            ),
        ] {
            let options = json!({"public": {"signupForm": form}, "clientSecret": "x"});
            let authenticator = Authenticator::of(&Record::from_iter([
                ("authType".to_owned(), json!(EMAIL_PASSWORD)),
                ("options".to_owned(), options),
            ]));
            let found = authenticator.form();
            let found: Vec<_> = found.iter().map(|asked| (&*asked.field, asked.required)).collect();
            assert_eq!(found, asked, "{form}");
            assert!(!authenticator.allows_sign_up());
            assert!(!authenticator.public().to_string().contains("clientSecret"));
        }
    }
}
