//! `users`: who there is, and what people say of themselves.

use serde_json::{Value, json};

use super::{changed, settable};
use crate::app::api::{Answer, Answering, ApiError, Call, Resource};
use crate::app::auth::{AuthError, check_names, take_password};
use crate::app::system::USERS;
use crate::data::{Filter, Query, Record, to_its_end};

pub(super) struct Users;

impl Resource for Users {
    fn name(&self) -> &'static str {
        "users"
    }

    fn has(&self, action: &str) -> bool {
        matches!(action, "updateProfile" | "updateLang" | "setDefaultRole")
    }

    fn has_records(&self) -> bool {
        true
    }

    fn call<'a>(&'a self, call: Call<'a>) -> Answering<'a> {
        Box::pin(async move {
            match call.action {
                "setDefaultRole" => super::roles::set_default_role(&call).await,
                "updateProfile" => update_profile(&call).await,
                _ => {
                    let language = Value::from(call.text("appLang")?);
                    update_own(&call, Record::from_iter([("appLang".to_owned(), language)])).await?;
                    Ok(Answer::Bare(json!({})))
                }
            }
        })
    }
}

/// What NocoBase's form for the own profile has in it; the user name must not be left out there.
async fn update_profile(call: &Call<'_>) -> Result<Answer, ApiError> {
    if !call.app.auth().rules().edit_profile {
        return Err(AuthError::Forbidden("the settings do not allow changing the profile").into());
    }
    let mut values = settable(call, &["nickname", "username", "email", "phone"])?;
    if call.text("username")?.is_empty() {
        return Err(ApiError::bad_request("username must have a value"));
    }
    take_password(&mut values)?;
    Ok(Answer::Data(update_own(call, values).await?.into()))
}

/// Changes the caller's own record; gives it as it is then.
async fn update_own(call: &Call<'_>, mut values: Record) -> Result<Vec<Value>, ApiError> {
    let id = call.session()?.user.id;
    let own = Filter::eq("id", id);
    values.insert("updatedById".into(), id.into());
    let (source, user) = (call.app.source().clone(), own.clone());
    let written = to_its_end(async move {
        let mut transaction = source.begin().await?;
        let before = transaction.find_one(&USERS, Query::filter(user.clone())).await?;
        check_names(&mut transaction, before.as_ref(), &values).await?;
        transaction.update(&USERS, &user, values).await?;
        transaction.commit().await
    });
    written.await?;
    Ok(changed(call, &USERS, own, "id").await?)
}
