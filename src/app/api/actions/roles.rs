//! `roles`: what users may do.

use serde_json::{Value, json};

use crate::app::api::{Access, Answer, Answering, ApiError, Call, Resource, list};
use crate::app::system::{ROLES, ROLES_USERS};
use crate::data::{Filter, Query, Sort};

pub(super) struct Roles;

impl Resource for Roles {
    fn name(&self) -> &'static str {
        "roles"
    }

    fn has(&self, action: &str) -> bool {
        matches!(action, "list" | "get" | "check")
    }

    fn access(&self, action: &str) -> Access {
        if action == "check" { Access::SignedIn } else { Access::Administrators }
    }

    fn call<'a>(&'a self, call: Call<'a>) -> Answering<'a> {
        Box::pin(async move {
            match call.action {
                "check" => check(&call).await,
                "get" => list::get(&call, &ROLES, "name").await,
                _ => list::list(&call, &ROLES).await,
            }
        })
    }
}

/// The role the caller acts in: the default one of its roles, else the first by name.
async fn check(call: &Call<'_>) -> Result<Answer, ApiError> {
    call.only(&[])?;
    let source = call.app.source();
    let own = Filter::eq("userId", call.session()?.user.id);
    let query = Query::filter(own).sort(Sort::ascending("roleName")).fields(&["roleName", "default"]);
    let links = source.find(&ROLES_USERS, query).await?;
    let chosen = links.iter().find(|link| link.get("default") == Some(&Value::Bool(true))).or(links.first());
    let name = chosen.and_then(|link| link.get("roleName")).and_then(Value::as_str);
    let Some(name) = name else {
        return Err(ApiError::new(http::StatusCode::FORBIDDEN, "you have no role"));
    };
    let role = source.find_one(&ROLES, Query::filter(Filter::eq("name", name))).await?.unwrap_or_default();
    Ok(Answer::Data(json!({
        "role": name,
        "roleMode": "default",
        "allowAll": name == "root",
        "strategy": role.get("strategy"),
        "snippets": role.get("snippets"),
        "allowConfigure": role.get("allowConfigure"),
    })))
}
