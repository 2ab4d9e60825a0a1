//! Completes the users, roles and API keys of the application that the command line names, if it is running.

use std::ffi::OsStr;

use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};

use super::{ask, begins};
use crate::cli::completed_line::CompletedLine;
use crate::cli::output::printable;
use crate::protocol::methods::{KeyListMethod, UserListMethod};
use crate::protocol::{AppId, ListKeys, ListUsers, UserList};

/// Completes users, by user name and by e-mail address.
pub(crate) fn users() -> ArgValueCompleter {
    ArgValueCompleter::new(|current: &OsStr| {
        let users = list().map(|list| list.users).unwrap_or_default();
        let named = users.into_iter().flat_map(|user| {
            let help = printable(user.nickname.as_deref().unwrap_or_default());
            let names = [user.username, user.email].into_iter().flatten();
            names.map(move |name| (name, help.clone()))
        });
        named.filter(|(name, _)| begins(name, current)).map(candidate).collect()
    })
}

/// Completes the roles of the application.
pub(crate) fn roles() -> ArgValueCompleter {
    ArgValueCompleter::new(|current: &OsStr| {
        let roles = list().map(|list| list.roles).unwrap_or_default();
        roles.into_iter().filter(|role| begins(role, current)).map(CompletionCandidate::new).collect()
    })
}

/// Completes API keys, by number.
pub(crate) fn keys() -> ArgValueCompleter {
    ArgValueCompleter::new(|current: &OsStr| {
        let keys = application().and_then(|id| ask::<KeyListMethod>(ListKeys { id, running_only: true }));
        let keys = keys.map(|list| list.keys).unwrap_or_default();
        let numbered = keys.into_iter().map(|key| (key.id.to_string(), printable(&key.name)));
        numbered.filter(|(number, _)| begins(number, current)).map(candidate).collect()
    })
}

fn candidate((value, help): (String, String)) -> CompletionCandidate {
    CompletionCandidate::new(value).help(Some(help.into()))
}

fn list() -> Option<UserList> {
    ask::<UserListMethod>(ListUsers { id: application()?, after: None, running_only: true })
}

/// The application: the first word of the command that is neither a command nor an option, else the one that the
/// shell uses.
fn application() -> Option<AppId> {
    let line = CompletedLine::current();
    let named = line.positionals.first().and_then(|word| AppId::parse(word.to_str()?).ok());
    named.or_else(|| line.shell.as_ref()?.used.clone())
}
