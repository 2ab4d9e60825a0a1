//! Looks up groups of this machine, and the groups of a process.

use std::fs;
use std::io;

use rustix::fs::Gid;

const GROUPS: &str = "/etc/group";

/// A group cannot be found.
#[derive(Debug, thiserror::Error)]
pub enum UnknownGroup {
    /// The file of groups cannot be read.
    #[error("cannot look up the group \"{name}\" in {GROUPS}: {error}")]
    Unreadable {
        /// The group.
        name: String,
        /// What went wrong.
        error: io::Error,
    },
    /// The file has no such group.
    #[error("there is no group \"{name}\" in {GROUPS}")]
    Missing {
        /// The group.
        name: String,
    },
}

/// The ID of a group that is given by name or by number.
///
/// # Errors
/// When there is no group of that name.
pub fn group_id(name: &str) -> Result<Gid, UnknownGroup> {
    if let Ok(number) = name.parse() {
        return Ok(Gid::from_raw(number));
    }
    let text = fs::read_to_string(GROUPS)
        .map_err(|error| UnknownGroup::Unreadable { name: name.to_owned(), error })?;
    find(&text, name).ok_or_else(|| UnknownGroup::Missing { name: name.to_owned() })
}

/// Finds a group in lines of `name:password:number:members` (`group(5)`).
fn find(text: &str, name: &str) -> Option<Gid> {
    let line = text.lines().find(|line| line.split(':').next() == Some(name))?;
    line.split(':').nth(2)?.parse().ok().map(Gid::from_raw)
}

/// The supplementary groups of a process, which the socket does not report; empty when they cannot be
/// read.
pub(super) fn of_process(pid: i32) -> Vec<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let groups = status.lines().find_map(|line| line.strip_prefix("Groups:")).unwrap_or_default();
    groups.split_whitespace().filter_map(|group| group.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_found_by_name_and_number() {
        let text = "root:x:0:\nnbapps-operators:x:990:ada,ben\nnbapps:x:991:\n";
        assert_eq!(find(text, "nbapps"), Some(Gid::from_raw(991)));
        assert_eq!(find(text, "nb"), None);
        assert_eq!(group_id("42").unwrap(), Gid::from_raw(42));
        let error = group_id("no such group").unwrap_err().to_string();
        assert!(error.contains("\"no such group\""), "{error}");
    }
}
