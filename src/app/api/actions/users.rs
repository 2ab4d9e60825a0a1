//! `users`: what people do with their own record, beside what is done with every record.

use serde_json::json;

use crate::app::api::{Answer, Answering, ApiError, Call, Resource};
use crate::app::system::USERS;
use crate::data::Filter;

/// What a user may change of itself.
const OWN: [&str; 7] = ["nickname", "username", "email", "phone", "appLang", "systemSettings", "avatar"];

pub(super) struct Users;

impl Resource for Users {
    fn name(&self) -> &'static str {
        "users"
    }

    fn has(&self, action: &str) -> bool {
        matches!(action, "updateProfile" | "setDefaultRole")
    }

    fn has_records(&self) -> bool {
        true
    }

    fn call<'a>(&'a self, call: Call<'a>) -> Answering<'a> {
        Box::pin(async move {
            if call.action == "setDefaultRole" {
                return super::roles::set_default_role(&call).await;
            }
            let id = call.session()?.user.id;
            let Some(body) = call.body.as_object() else {
                return Err(ApiError::bad_request("the body must be an object"));
            };
            let own = body.iter().filter(|(name, _)| OWN.contains(&name.as_str()));
            let changes = own.map(|(name, value)| (name.clone(), value.clone())).collect();
            let source = call.app.source();
            let options =
                crate::data::WriteOptions { user: Some(id), ..crate::data::WriteOptions::default() };
            let changed = source.change(&USERS, Filter::eq("id", id), changes, &options).await?;
            Ok(Answer::Data(json!(changed.into_iter().next())))
        })
    }
}
