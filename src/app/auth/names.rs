//! The names that people sign in with: user names and e-mail addresses.
//!
//! They are compared without regard to case and to blanks around them, on every engine, and kept as they
//! were written but for the blanks. Whoever signs in may write either name: so no two users have one in
//! common, neither as the user name of one and the address of the other. A database from before that rule
//! may hold two spellings of one name: whoever writes one of them exactly is that user, and neither keeps
//! the other from being changed.

use serde_json::Value;

use super::{Auth, AuthError};
use crate::app::system::{TOKEN_CONTROL_CONFIG, TOKEN_POLICY, USERS};
use crate::data::{
    DataError, DatabaseError, Filter, Operator, Query, Record, Sort, Transaction, case_folded,
};

/// The fields of a user that are such names.
const NAMES: [&str; 2] = ["username", "email"];

/// A name in the form that it is compared in. What has the same form is found by [`alike`].
pub(super) fn folded(name: &str) -> String {
    case_folded(name.trim())
}

impl Auth {
    /// The user of a user name or an e-mail address. Of several, the one who is spelled so, else the
    /// one who was there first.
    pub(super) async fn find_account(
        &self,
        account: &str,
        fields: &[&str],
    ) -> Result<Option<Record>, AuthError> {
        let fields: Vec<&str> = fields.iter().chain(&NAMES).copied().collect();
        let query = |filters: Vec<Filter>| {
            Query::filter(Filter::Or(filters)).sort(Sort::ascending("id")).fields(&fields)
        };
        // Nearly everybody writes the name as it is kept, and that is in an index.
        let exact = query(NAMES.map(|field| Filter::eq(field, account)).to_vec());
        match self.source.find_one(&USERS, exact).await {
            // What no field could hold is nobody's name.
            Err(DataError::Invalid { .. }) => return Ok(None),
            Ok(None) => {}
            found => return Ok(found?),
        }
        let alike = query(NAMES.map(|field| alike(field, account.trim())).to_vec());
        let found = match self.source.find(&USERS, alike).await {
            // Longer than any name is, and than any text that is looked for.
            Err(DataError::Invalid { .. }) => return Ok(None),
            found => found?,
        };
        Ok(found.into_iter().find(|user| NAMES.iter().any(|name| is_same(user.get(*name), account))))
    }
}

/// Refuses names that another user has, in whatever spelling; the same one in the same field is refused by
/// the field's index. `user` is the record that is changed, as it is before; a new user has none.
pub(in crate::app) async fn check_names(
    transaction: &mut Transaction,
    user: Option<&Record>,
    values: &Record,
) -> Result<(), DataError> {
    let id = user.and_then(|user| user.get("id"));
    for field in NAMES {
        let Some(name) = values.get(field).and_then(Value::as_str).filter(|name| !name.is_empty()) else {
            continue;
        };
        if user.is_some_and(|user| is_same(user.get(field), name)) {
            continue;
        }
        // Of two at once, the second looks when the first is done: no index refuses another spelling.
        let mut turn = Query::filter(Filter::eq("key", TOKEN_POLICY)).fields(&["key"]);
        turn.lock = true;
        transaction.find_one(&TOKEN_CONTROL_CONFIG, turn).await?;
        let alike = Filter::Or(NAMES.map(|field| alike(field, name)).to_vec());
        let others =
            transaction.find(&USERS, Query::filter(alike).fields(&["id", "username", "email"])).await?;
        let is_taken = |other: &Record| {
            NAMES.iter().any(|known| {
                let is_of_index = *known == field && other.get(field).and_then(Value::as_str) == Some(name);
                !is_of_index && is_same(other.get(*known), name)
            })
        };
        if others.iter().filter(|other| other.get("id") != id).any(is_taken) {
            return Err(DatabaseError::Unique { columns: vec![field.to_owned()] }.into());
        }
    }
    Ok(())
}

fn is_same(kept: Option<&Value>, name: &str) -> bool {
    kept.and_then(Value::as_str).is_some_and(|kept| folded(kept) == folded(name))
}

/// Those whose field may be the same text in another spelling; [`is_same`] says whether it is.
fn alike(field: &str, name: &str) -> Filter {
    let mut pattern = String::with_capacity(name.len());
    for character in name.chars() {
        if matches!(character, '%' | '_') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    Filter::Or(vec![Filter::eq(field, name), Filter::on(field, Operator::ILike, pattern)])
}
