//! Disabled users: they cannot sign in, and their tokens and API keys are refused.
//!
//! NocoBase's tables have no column for it. As in the shadow file of Unix (shadow(5), `usermod -L`), the stored
//! password of a disabled user is its hash behind an exclamation mark, which is no hash of any password. The mark
//! needs no new column, holds in a NocoBase that is given the same database, and keeps the password for when the
//! user is enabled again. A password that is set meanwhile is stored behind the mark as well.

use serde_json::Value;

use crate::app::system::{ROLES, ROLES_USERS, USERS};
use crate::data::{DataError, Filter, Query, Record, Transaction};

/// Precedes the hash of a disabled user's password.
const MARK: char = '!';

/// Whether this user, read with its stored password, is disabled.
pub(in crate::app) fn is_disabled(user: &Record) -> bool {
    stored(user).is_some_and(|password| password.starts_with(MARK))
}

/// The stored password of a user who is disabled, or enabled again; `None` for a user without a password.
pub(super) fn restored(user: &Record, disabled: bool) -> Option<String> {
    match disabled {
        true => Some(format!("{MARK}{}", stored(user).unwrap_or_default())),
        false => stored(user)?.strip_prefix(MARK).filter(|hash| !hash.is_empty()).map(str::to_owned),
    }
}

fn stored(user: &Record) -> Option<&str> {
    user.get("password")?.as_str()
}

/// Keeps a user disabled whose password is about to change to the one in `changes`.
pub(in crate::app) async fn keep_disabled(
    transaction: &mut Transaction,
    id: &Value,
    changes: &mut Record,
) -> Result<(), DataError> {
    let query = Query::filter(Filter::eq("id", id.clone())).fields(&["password"]);
    if transaction.find_one(&USERS, query).await?.as_ref().is_some_and(is_disabled) {
        let hash = stored(changes).unwrap_or_default();
        changes.insert("password".to_owned(), format!("{MARK}{hash}").into());
    }
    Ok(())
}

/// The users who have the role `root` and are not disabled, by number. Until the transaction ends, no other one is
/// told: of two that remove one root user each, neither must find the other's.
pub(in crate::app) async fn enabled_roots(transaction: &mut Transaction) -> Result<Vec<i64>, DataError> {
    let mut turn = Query::filter(Filter::eq("name", "root")).fields(&["name"]);
    turn.lock = true;
    transaction.find_one(&ROLES, turn).await?;
    let links = Query::filter(Filter::eq("roleName", "root")).fields(&["userId"]);
    let links = transaction.find(&ROLES_USERS, links).await?;
    let ids = links.into_iter().filter_map(|mut link| link.remove("userId")).collect();
    let roots = Query::filter(Filter::one_of("id", ids)).fields(&["id", "password"]);
    let roots = transaction.find(&USERS, roots).await?;
    Ok(roots.iter().filter(|user| !is_disabled(user)).filter_map(|user| user.get("id")?.as_i64()).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_disabled_user_keeps_its_password_or_that_it_has_none() {
        let user = |password: Value| Record::from_iter([("password".to_owned(), password)]);
        for password in [json!("$argon2id$v=19$x"), Value::Null] {
            let before = user(password.clone());
            assert!(!is_disabled(&before));
            let disabled = user(restored(&before, true).into());
            assert!(is_disabled(&disabled));
            assert_eq!(user(restored(&disabled, false).into()), before, "{password}");
        }
    }
}
