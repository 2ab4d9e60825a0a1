//! Formats users and API keys for people.

use std::path::Path;

use chrono::{DateTime, Utc};
use comfy_table::Cell;

use super::application::time;
use super::table::{Fit, cell, columns, listing, optional};
use crate::protocol::{ApiKey, User, UserChanged};

fn state(user: &User) -> &'static str {
    if user.disabled { "disabled" } else { "active" }
}

/// The roles, with an asterisk behind the one that the user begins with.
fn roles(user: &User) -> Cell {
    let marked = user.roles.iter().map(|role| match user.default_role.as_ref() == Some(role) {
        true => format!("{role}*"),
        false => role.clone(),
    });
    let marked: Vec<String> = marked.collect();
    optional((!marked.is_empty()).then(|| marked.join(", ")))
}

/// A table of users, no wider than `width`; a wide one as far as that is possible.
pub(crate) fn users(users: &[User], wide: bool, width: Option<usize>) -> String {
    let rows = users.iter().map(|user| {
        let mut row = vec![
            cell(user.id.to_string()),
            optional(user.email.as_deref()),
            optional(user.username.as_deref()),
            roles(user),
            cell(state(user)),
        ];
        if wide {
            row.push(optional(user.nickname.as_deref()));
            row.push(optional(user.created_at.map(time)));
        }
        row
    });
    let heading = ["USER", "EMAIL", "USER NAME", "ROLES", "STATE", "NAME", "CREATED"];
    let heading = if wide { &heading[..] } else { &heading[..5] };
    // Roles, user name, e-mail address.
    let fit = Fit { width, narrowed: &[(3, 16), (2, 8), (1, 12), (3, 8)], may_drop: !wide };
    columns(heading, rows, fit)
}

/// The result of a change of a user.
pub(crate) fn changed(changed: &UserChanged, done: &str) -> String {
    let user = &changed.user;
    let mut pairs = vec![
        ("User", cell(user.id.to_string())),
        ("Email", optional(user.email.as_deref())),
        ("User name", optional(user.username.as_deref())),
        ("Roles", roles(user)),
        ("State", cell(state(user))),
        ("Result", cell(if changed.changed { done } else { "nothing to do" })),
    ];
    if let Some(password) = &changed.password {
        pairs.push(("Password", cell(format!("{password}  (keep it: it is shown only this once)"))));
    }
    listing(pairs)
}

fn expires(at: Option<DateTime<Utc>>) -> String {
    at.map_or_else(|| "never".to_owned(), time)
}

/// A table of API keys, no wider than `width`.
pub(crate) fn keys(keys: &[ApiKey], width: Option<usize>) -> String {
    let rows = keys.iter().map(|key| {
        vec![
            cell(key.id.to_string()),
            cell(&key.name),
            optional(key.user.as_deref()),
            cell(&key.role),
            optional(key.created_at.map(time)),
            cell(expires(key.expires_at)),
        ]
    });
    // Name, user, role.
    let narrowed = [(1, 16), (2, 16), (1, 8), (3, 8)];
    let heading = ["KEY", "NAME", "USER", "ROLE", "CREATED", "EXPIRES"];
    columns(&heading, rows, Fit { width, narrowed: &narrowed, may_drop: true })
}

/// What a new key is, in a sentence; `file` is where it was written, unless it was printed.
pub(crate) fn key_created(key: &ApiKey, file: Option<&Path>) -> String {
    let until =
        key.expires_at.map_or_else(|| "without an end".to_owned(), |at| format!("until {}", time(at)));
    let user = key.user.as_deref().unwrap_or("its user");
    let place = match file {
        Some(file) => format!("it was written to {}, and nowhere else", file.display()),
        None => "it is shown only this once".to_owned(),
    };
    format!("key {} \"{}\" acts for {user} in the role {}, {until}; {place}", key.id, key.name, key.role)
}

/// The result of `key revoke`.
pub(crate) fn key_revoked(key: &ApiKey) -> String {
    listing([
        ("Key", cell(key.id.to_string())),
        ("Name", cell(&key.name)),
        ("User", optional(key.user.as_deref())),
        ("Role", cell(&key.role)),
        ("Result", cell("revoked")),
    ])
}
