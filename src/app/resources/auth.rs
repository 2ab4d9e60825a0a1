//! `auth`: signing in, up and out.

use serde_json::{Map, Value, json};

use super::descriptor::{ActionAccess, Records, Resource, ResourceAction};
use crate::app::acl::policy::Reach;
use crate::app::api::{Answer, ApiError, Call};
use crate::app::auth::{AuthError, Credentials};
use crate::app::system::{ROLES, ROLES_USERS, USERS};
use crate::data::{Filter, Query, Record, Sort};

/// The header that names the way to sign in.
const AUTHENTICATOR: &str = "x-authenticator";

pub(super) fn resources() -> [Resource; 1] {
    [Resource {
        records: Records::Own,
        actions: vec![
            ResourceAction::new("signIn", ActionAccess::Public, |call| Box::pin(sign_in(call))),
            ResourceAction::new("signUp", ActionAccess::Public, |call| Box::pin(sign_up(call))),
            ResourceAction::new("signOut", ActionAccess::SignedIn, |call| Box::pin(sign_out(call))),
            ResourceAction::new("check", ActionAccess::SignedIn, |call| Box::pin(check(call))),
            ResourceAction::new("changePassword", ActionAccess::SignedIn, |call| {
                Box::pin(change_password(call))
            }),
            ResourceAction::new("lostPassword", ActionAccess::Public, |call| Box::pin(lost_password(call))),
        ],
        reach: Reach::Management,
        ..Resource::named("auth")
    }]
}

async fn check(call: &Call<'_>) -> Result<Answer, ApiError> {
    Ok(Answer::Data(user(call, call.session()?.user.id).await?))
}

async fn sign_up(call: &Call<'_>) -> Result<Answer, ApiError> {
    call.state.auth().sign_up(call.header(AUTHENTICATOR), call.client, call.values()?).await?;
    Ok(Answer::Bare(json!({})))
}

async fn sign_out(call: &Call<'_>) -> Result<Answer, ApiError> {
    call.state.auth().sign_out(call.session()?).await?;
    Ok(Answer::Bare(json!({})))
}

async fn sign_in(call: &Call<'_>) -> Result<Answer, ApiError> {
    let mut account = "";
    for name in ["account", "email", "username"] {
        if account.is_empty() {
            account = call.text(name)?;
        }
    }
    let credentials = Credentials {
        account,
        password: call.text("password")?,
        authenticator: call.header(AUTHENTICATOR),
        client: call.client,
    };
    let signed_in = call.state.auth().sign_in(&credentials).await?;
    Ok(Answer::Data(json!({"user": user(call, signed_in.user.id).await?, "token": signed_in.token})))
}

async fn change_password(call: &Call<'_>) -> Result<Answer, ApiError> {
    let (old, new) = (call.text("oldPassword")?, call.text("newPassword")?);
    if old.is_empty() || new.is_empty() {
        return Err(ApiError::bad_request("give oldPassword, newPassword and confirmPassword"));
    }
    if new != call.text("confirmPassword")? {
        return Err(ApiError::bad_request("newPassword and confirmPassword are not the same"));
    }
    let session = call.session()?;
    call.state.auth().change_password(session, old, new).await?;
    Ok(Answer::Data(user(call, session.user.id).await?))
}

/// Nobody is sent a link here: there is no mail. The address is not looked for, so that nobody
/// learns whose there are.
async fn lost_password(call: &Call<'_>) -> Result<Answer, ApiError> {
    if call.header(AUTHENTICATOR).is_none() {
        return Err(ApiError::bad_request("the header X-Authenticator is missing"));
    }
    if call.text("email")?.is_empty() {
        return Err(ApiError::bad_request("give your e-mail address"));
    }
    Err(AuthError::Forbidden("resetting passwords is not enabled here").into())
}

/// A user with its roles, and with each role how the user has it.
async fn user(call: &Call<'_>, id: i64) -> Result<Value, ApiError> {
    let source = call.state.source();
    let key_role = call.session.as_ref().and_then(|session| session.key_role.as_deref());
    let mut found = source.find_one(&USERS, Query::filter(Filter::eq("id", id))).await?;
    let user = found.as_mut().ok_or(AuthError::UserGone)?;
    let mut links = Filter::eq("userId", id);
    if let Some(role) = key_role {
        links = links.and(Filter::eq("roleName", role));
    }
    let links = Query::filter(links).sort(Sort::ascending("roleName"));
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
