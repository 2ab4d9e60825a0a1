//! `users`: who there is.

use crate::app::api::{Access, Answering, Call, Resource, list};
use crate::app::system::USERS;

pub(super) struct Users;

impl Resource for Users {
    fn name(&self) -> &'static str {
        "users"
    }

    fn has(&self, action: &str) -> bool {
        matches!(action, "list" | "get")
    }

    fn access(&self, _action: &str) -> Access {
        Access::Administrators
    }

    fn call<'a>(&'a self, call: Call<'a>) -> Answering<'a> {
        Box::pin(async move {
            match call.action {
                "get" => list::get(&call, &USERS, "id").await,
                _ => list::list(&call, &USERS).await,
            }
        })
    }
}
