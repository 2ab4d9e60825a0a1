//! Who is on the other side of a connection, and whether they may command.

use std::fmt;

use interprocess::local_socket::PeerCreds;

use super::groups;

/// The process on the other side, as the kernel knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// Its user.
    pub user: Option<u32>,
    /// Its primary group.
    pub group: Option<u32>,
    /// Its process ID.
    pub pid: Option<i32>,
}

impl Peer {
    pub(super) fn new(credentials: &PeerCreds) -> Self {
        Self { user: credentials.euid(), group: credentials.egid(), pid: credentials.pid() }
    }

    /// Whether it may command: the daemon's own user, root, and the members of the group that the
    /// configuration names. The socket's mode keeps others out already; that the daemon's primary
    /// group may open it is no permission, because that can be everybody's group.
    pub(super) fn is_admitted(&self, own_user: u32, allowed_group: Option<u32>) -> bool {
        let user = self.user.is_some_and(|user| user == own_user || user == 0);
        let member = allowed_group.is_some_and(|allowed| {
            self.group == Some(allowed)
                || self.pid.is_some_and(|pid| groups::of_process(pid).contains(&allowed))
        });
        user || member
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.user {
            Some(user) => write!(f, "user {user}")?,
            None => write!(f, "an unknown user")?,
        }
        self.pid.map_or(Ok(()), |pid| write!(f, " (process {pid})"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_user_root_and_the_group_are_admitted() {
        let peer = |user, group| Peer { user: Some(user), group: Some(group), pid: None };
        for (peer, allowed_group, admitted) in [
            (peer(1000, 1000), None, true),
            (peer(0, 0), None, true),
            (peer(1001, 1000), None, false),
            (peer(1001, 990), Some(990), true),
            (peer(1001, 1001), Some(990), false),
            (Peer { user: None, group: None, pid: None }, Some(990), false),
        ] {
            assert_eq!(peer.is_admitted(1000, allowed_group), admitted, "{peer:?} {allowed_group:?}");
        }
    }
}
