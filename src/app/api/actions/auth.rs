//! `auth`: signing in and out.

use serde_json::{Map, Value, json};

use crate::app::api::{Access, Answer, Answering, ApiError, Call, Resource};
use crate::app::auth::AuthError;
use crate::app::system::{ROLES, ROLES_USERS, USERS};
use crate::data::{Filter, Query, Record, Sort};

pub(super) struct SignIn;

impl Resource for SignIn {
    fn name(&self) -> &'static str {
        "auth"
    }

    fn has(&self, action: &str) -> bool {
        matches!(action, "signIn" | "signOut" | "check" | "changePassword")
    }

    fn access(&self, action: &str) -> Access {
        if action == "signIn" { Access::Public } else { Access::SignedIn }
    }

    fn call<'a>(&'a self, call: Call<'a>) -> Answering<'a> {
        Box::pin(async move {
            match call.action {
                "signIn" => sign_in(call).await,
                "signOut" => {
                    call.app.auth().sign_out(call.session()?).await?;
                    Ok(Answer::Data(json!({})))
                }
                "changePassword" => change_password(call).await,
                _ => Ok(Answer::Data(user(&call, call.session()?.user.id).await?)),
            }
        })
    }
}

/// A text of the body, empty where there is none.
fn text<'a>(call: &'a Call<'_>, name: &str) -> Result<&'a str, ApiError> {
    match call.body.get(name) {
        None | Some(Value::Null) => Ok(""),
        Some(Value::String(text)) => Ok(text),
        Some(_) => Err(ApiError::bad_request(format!("{name} must be a text"))),
    }
}

async fn sign_in(call: Call<'_>) -> Result<Answer, ApiError> {
    let mut account = "";
    for name in ["account", "email", "username"] {
        if account.is_empty() {
            account = text(&call, name)?;
        }
    }
    let signed_in = call.app.auth().sign_in(account, text(&call, "password")?).await?;
    Ok(Answer::Data(json!({"user": user(&call, signed_in.user.id).await?, "token": signed_in.token})))
}

async fn change_password(call: Call<'_>) -> Result<Answer, ApiError> {
    let [old, new, confirmed] =
        ["oldPassword", "newPassword", "confirmPassword"].map(|name| text(&call, name));
    let (old, new, confirmed) = (old?, new?, confirmed?);
    if old.is_empty() || new.is_empty() {
        return Err(ApiError::bad_request("give oldPassword, newPassword and confirmPassword"));
    }
    if new != confirmed {
        return Err(ApiError::bad_request("newPassword and confirmPassword are not the same"));
    }
    call.app.auth().change_password(call.session()?, old, new).await?;
    Ok(Answer::Data(json!({})))
}

/// A user with its roles, and with each role how the user has it.
async fn user(call: &Call<'_>, id: i64) -> Result<Value, ApiError> {
    let source = call.app.source();
    let mut found = source.find_one(&USERS, Query::filter(Filter::eq("id", id))).await?;
    let user = found.as_mut().ok_or(AuthError::UserGone)?;
    let links = Query::filter(Filter::eq("userId", id)).sort(Sort::ascending("roleName"));
    let links = source.find(&ROLES_USERS, links).await?;
    let names = links.iter().filter_map(|link| link.get("roleName").cloned()).collect();
    let roles = Query::filter(Filter::one_of("name", names)).sort(Sort::ascending("name"));
    let mut roles: Vec<Record> = source.find(&ROLES, roles).await?;
    for role in &mut roles {
        let link = links.iter().find(|link| link.get("roleName") == role.get("name"));
        role.insert("rolesUsers".to_owned(), link.cloned().map_or(Value::Null, Value::Object));
    }
    user.insert("roles".to_owned(), roles.into_iter().map(Value::Object).collect());
    Ok(found.map_or_else(|| Map::new().into(), Value::Object))
}
