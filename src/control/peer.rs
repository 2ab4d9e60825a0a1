//! The process at the other end of a connection, and whether it may use the control socket.

use std::fmt;

use interprocess::local_socket::PeerCreds;

use super::groups;

/// The process at the other end of a connection, as the kernel reports it.
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

    /// Whether it may use the control socket: the daemon's user, root, and members of the group that the
    /// configuration names may. The socket's mode lets the daemon's primary group connect, too, which is
    /// not authorized: it can be everybody's group.
    pub(super) fn is_authorized(&self, own_user: u32, allowed_group: Option<u32>) -> bool {
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
            assert_eq!(peer.is_authorized(1000, allowed_group), admitted, "{peer:?} {allowed_group:?}");
        }
    }
}
