//! The default paths of the control socket and the data directory.
//!
//! Daemon and client both use these functions, so that a command finds a daemon that was started without
//! options. Root's daemon uses the directories of system services, another user's those of the XDG Base
//! Directory Specification.

use std::env;
use std::path::PathBuf;

/// The control socket: `/run/nbapps/control.sock` for root; for a user `$XDG_RUNTIME_DIR/nbapps/control.sock`,
/// or `control.sock` in the data directory when that variable is not set.
#[must_use]
pub fn default_socket() -> PathBuf {
    socket(is_root(), |name| env::var_os(name).map(PathBuf::from))
}

/// The data directory: `/var/lib/nbapps` for root, `$XDG_STATE_HOME/nbapps` (else
/// `~/.local/state/nbapps`) for a user.
#[must_use]
pub fn default_data_directory() -> PathBuf {
    data_directory(is_root(), |name| env::var_os(name).map(PathBuf::from))
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn socket(root: bool, variable: impl Fn(&str) -> Option<PathBuf>) -> PathBuf {
    if root {
        return PathBuf::from("/run/nbapps/control.sock");
    }
    match absolute(&variable, "XDG_RUNTIME_DIR") {
        Some(runtime) => runtime.join("nbapps/control.sock"),
        None => data_directory(root, variable).join("control.sock"),
    }
}

fn data_directory(root: bool, variable: impl Fn(&str) -> Option<PathBuf>) -> PathBuf {
    if root {
        return PathBuf::from("/var/lib/nbapps");
    }
    if let Some(state) = absolute(&variable, "XDG_STATE_HOME") {
        return state.join("nbapps");
    }
    match absolute(&variable, "HOME") {
        Some(home) => home.join(".local/state/nbapps"),
        // A user without a home is mostly a service account. Its ID keeps it apart from others.
        None => env::temp_dir().join(format!("nbapps-{}", rustix::process::geteuid().as_raw())),
    }
}

/// Ignores relative paths, as the specification says.
fn absolute(variable: impl Fn(&str) -> Option<PathBuf>, name: &str) -> Option<PathBuf> {
    variable(name).filter(|path| path.is_absolute())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_user_has_its_places() {
        type Environment = &'static [(&'static str, &'static str)];
        let cases: [(bool, Environment, &str, &str); 4] = [
            (true, &[("XDG_RUNTIME_DIR", "/run/user/0")], "/run/nbapps/control.sock", "/var/lib/nbapps"),
            (
                false,
                &[("XDG_RUNTIME_DIR", "/run/user/7"), ("XDG_STATE_HOME", "/s"), ("HOME", "/home/a")],
                "/run/user/7/nbapps/control.sock",
                "/s/nbapps",
            ),
            (
                false,
                &[("HOME", "/home/a")],
                "/home/a/.local/state/nbapps/control.sock",
                "/home/a/.local/state/nbapps",
            ),
            (
                false,
                &[("XDG_RUNTIME_DIR", "relative"), ("XDG_STATE_HOME", ""), ("HOME", "/home/a")],
                "/home/a/.local/state/nbapps/control.sock",
                "/home/a/.local/state/nbapps",
            ),
        ];
        for (root, environment, expected_socket, expected_data) in cases {
            let variable = |name: &str| {
                environment.iter().find(|(known, _)| *known == name).map(|(_, value)| PathBuf::from(value))
            };
            assert_eq!(socket(root, variable), PathBuf::from(expected_socket), "{environment:?}");
            assert_eq!(data_directory(root, variable), PathBuf::from(expected_data), "{environment:?}");
        }
    }
}
