//! The address of a daemon: a socket on this machine, or another machine that `ssh` reaches.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use tokio::process::Command;

use super::{paths, shell};

/// How long an unattended `ssh` may take to connect, in seconds.
const CONNECT_TIMEOUT: u32 = 10;

/// The address of a daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A control socket on this machine.
    Socket(PathBuf),
    /// The default socket of a user on another machine.
    Ssh(SshHost),
}

impl Default for Address {
    fn default() -> Self {
        Self::Socket(paths::default_socket())
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(path) => path.display().fmt(f),
            Self::Ssh(host) => host.fmt(f),
        }
    }
}

impl FromStr for Address {
    type Err = InvalidAddress;

    /// Parses `ssh://[user@]host[:port]`.
    fn from_str(text: &str) -> Result<Self, InvalidAddress> {
        SshHost::parse(text).map(Self::Ssh).ok_or_else(|| InvalidAddress { text: text.to_owned() })
    }
}

/// The text is not the address of a host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{text}\" is not a host; give one such as ssh://user@server or ssh://user@server:2222")]
pub struct InvalidAddress {
    text: String,
}

/// A machine that `ssh` reaches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshHost {
    /// `server` or `user@server`. Never begins with a dash, which `ssh` would take for an option.
    destination: String,
    port: Option<u16>,
}

impl SshHost {
    fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix("ssh://")?;
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (user, server) = match rest.rsplit_once('@') {
            Some((user, server)) => (Some(user), server),
            None => (None, rest),
        };
        // An IPv6 address is in brackets, because it contains colons.
        let (server, port) = match server.strip_prefix('[') {
            Some(bracketed) => bracketed.split_once(']')?,
            None => server.find(':').map_or((server, ""), |colon| server.split_at(colon)),
        };
        let port = match port.strip_prefix(':') {
            Some(port) => Some(port.parse().ok()?),
            None if port.is_empty() => None,
            None => return None,
        };
        let allowed = |text: &str| {
            !text.is_empty()
                && !text.starts_with('-')
                && text.chars().all(|c| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '%' | '+'))
        };
        let destination = match user {
            // What is behind a colon would be a password, which `ssh` takes from no command line.
            Some(user) if allowed(user) && !user.contains(':') && allowed(server) => {
                format!("{user}@{server}")
            }
            None if allowed(server) => server.to_owned(),
            _ => return None,
        };
        Some(Self { destination, port })
    }

    /// The `ssh` command whose pipes connect to the daemon.
    pub(super) fn command(&self) -> Command {
        self.command_with(&[])
    }

    /// The same command for a process that nobody watches: it asks for nothing, and gives up after
    /// [`CONNECT_TIMEOUT`] seconds.
    #[must_use]
    pub fn unattended_command(&self) -> Command {
        let timeout = format!("-oConnectTimeout={CONNECT_TIMEOUT}");
        self.command_with(&["-oBatchMode=yes", &timeout])
    }

    fn command_with(&self, options: &[&str]) -> Command {
        let mut command = Command::new("ssh");
        // Without a terminal, which would change line feeds.
        command.arg("-T").args(options);
        if let Some(port) = self.port {
            command.args(["-p", &port.to_string()]);
        }
        command.args(["--", &self.destination, "nbapps", "daemon", "dial-stdio"]);
        command
    }

    /// The machine, with the user if one was given: `server` or `user@server`.
    #[must_use]
    pub fn destination(&self) -> &str {
        &self.destination
    }

    /// The machine without the user, as `known_hosts` names it: `server` or `[server]:2222`.
    pub(super) fn known_name(&self) -> String {
        let server = self.destination.rsplit_once('@').map_or(&*self.destination, |(_, server)| server);
        match self.port {
            None | Some(22) => server.to_owned(),
            Some(port) => format!("[{server}]:{port}"),
        }
    }

    /// The `ssh` command line that logs in there, for a shell; further words may follow.
    #[must_use]
    pub fn command_line(&self) -> String {
        let port = self.port.map_or_else(String::new, |port| format!("-p {port} "));
        format!("ssh {port}{}", shell::word(self.destination.as_bytes()))
    }

    /// The `ssh` command that runs these words there, at a terminal or without one.
    #[must_use]
    pub fn login(
        &self,
        words: impl IntoIterator<Item = OsString>,
        has_terminal: bool,
    ) -> std::process::Command {
        let mut command = std::process::Command::new("ssh");
        command.arg(if has_terminal { "-t" } else { "-T" });
        if let Some(port) = self.port {
            command.args(["-p", &port.to_string()]);
        }
        command.args(["--", &self.destination]);
        // A shell reads them there.
        command.args(words.into_iter().map(|word| shell::word(word.as_encoded_bytes())));
        command
    }

    /// The `ssh` command line that forwards `port` of this machine to an address on the other one.
    #[must_use]
    pub fn tunnel(&self, port: u16, to: &str) -> String {
        let forward = shell::word(format!("{port}:{to}").as_bytes());
        self.command_line().replacen("ssh ", &format!("ssh -N -L {forward} "), 1)
    }
}

impl fmt::Display for SshHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The colons of an IPv6 address are not that of the port.
        match self.destination.rsplit_once('@') {
            Some((user, server)) if server.contains(':') => write!(f, "ssh://{user}@[{server}]")?,
            None if self.destination.contains(':') => write!(f, "ssh://[{}]", self.destination)?,
            _ => write!(f, "ssh://{}", self.destination)?,
        }
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_become_ssh_commands() {
        for (text, expected) in [
            ("ssh://server", "-T -- server nbapps daemon dial-stdio"),
            ("ssh://ada@server/", "-T -- ada@server nbapps daemon dial-stdio"),
            ("ssh://ada@server:2222", "-T -p 2222 -- ada@server nbapps daemon dial-stdio"),
            ("ssh://ada@[::1]:22", "-T -p 22 -- ada@::1 nbapps daemon dial-stdio"),
        ] {
            let Address::Ssh(host) = text.parse().unwrap() else { panic!("{text}") };
            let command = host.command();
            let arguments: Vec<_> =
                command.as_std().get_args().map(|argument| argument.to_str().unwrap()).collect();
            assert_eq!(arguments.join(" "), expected);
            let unattended = host.unattended_command();
            let arguments: Vec<_> = unattended.as_std().get_args().map(|one| one.to_str().unwrap()).collect();
            let expected = expected.replacen("-T", "-T -oBatchMode=yes -oConnectTimeout=10", 1);
            assert_eq!(arguments.join(" "), expected);
            assert_eq!(host.to_string().parse(), Ok(Address::Ssh(host)));
        }
    }

    #[test]
    fn a_tunnel_is_a_line_for_a_shell() {
        for (text, to, expected) in [
            ("ssh://server", "127.0.0.1:80", "ssh -N -L 13000:127.0.0.1:80 server"),
            ("ssh://ada@server:2222", "[::1]:80", "ssh -N -L '13000:[::1]:80' -p 2222 ada@server"),
        ] {
            let Address::Ssh(host) = text.parse().unwrap() else { panic!("{text}") };
            assert_eq!(host.tunnel(13000, to), expected);
        }
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for text in [
            "server",
            "tcp://server:1",
            "ssh://",
            "ssh://@server",
            "ssh://-oProxyCommand=x",
            "ssh://a@-b",
            "ssh://ada:secret@server",
            "ssh://server:port",
            "ssh://server;reboot",
            "ssh://server/path",
            "ssh://[::1]x",
        ] {
            let refused = text.parse::<Address>().unwrap_err();
            assert!(refused.to_string().contains(text), "{refused}");
        }
    }
}
