//! The default paths of the control socket, the data directory and the configuration file, and of a user's own
//! files.
//!
//! Daemon and client both use these functions, so that a command finds a daemon that was started without
//! options. Root's daemon uses the directories of system services, another user's those of the XDG Base
//! Directory Specification.

use std::env;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// The control socket of the system's daemon.
const SYSTEM_SOCKET: &str = "/run/nbapps/control.sock";

/// The control socket: `/run/nbapps/control.sock` for root; for a user `$XDG_RUNTIME_DIR/nbapps/control.sock`,
/// or `control.sock` in the data directory when that variable is not set.
#[must_use]
pub fn default_socket() -> PathBuf {
    socket(is_root(), variable)
}

/// The data directory: `/var/lib/nbapps` for root, `$XDG_STATE_HOME/nbapps` (else
/// `~/.local/state/nbapps`) for a user.
#[must_use]
pub fn default_data_directory() -> PathBuf {
    state_directory(is_root(), variable)
}

/// The control socket of the system's daemon.
#[must_use]
pub fn system_socket() -> PathBuf {
    PathBuf::from(SYSTEM_SOCKET)
}

/// The configuration file that a daemon of this user reads when none is named:
/// `/etc/nbapps/nbappsd.toml` for root, `$XDG_CONFIG_HOME/nbapps/nbappsd.toml` (else in `~/.config`) for a user.
#[must_use]
pub fn default_configuration_file() -> PathBuf {
    configuration_file(is_root(), variable)
}

/// The file with this user's contexts: `$XDG_CONFIG_HOME/nbapps/contexts.toml`, else in `~/.config`, for root, too.
/// `None` where the environment names no home.
#[must_use]
pub fn contexts_file() -> Option<PathBuf> {
    users_own("XDG_CONFIG_HOME", ".config", variable).map(|directory| directory.join("contexts.toml"))
}

/// The directory of what this user's programs can do without: `$XDG_CACHE_HOME/nbapps`, else in `~/.cache`.
#[must_use]
pub fn cache_directory() -> Option<PathBuf> {
    users_own("XDG_CACHE_HOME", ".cache", variable)
}

/// The file with the lines typed into `nbapps shell`: `$XDG_STATE_HOME/nbapps/shell_history`, else in
/// `~/.local/state`.
#[must_use]
pub fn shell_history_file() -> Option<PathBuf> {
    users_own("XDG_STATE_HOME", ".local/state", variable).map(|directory| directory.join("shell_history"))
}

fn variable(name: &str) -> Option<PathBuf> {
    env::var_os(name).map(PathBuf::from)
}

/// The directory of nbapps below one of the XDG Base Directory Specification, which is in the user's home by default.
fn users_own(name: &str, in_home: &str, variable: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    let home = || absolute(&variable, "HOME").map(|home| home.join(in_home));
    absolute(&variable, name).or_else(home).map(|directory| directory.join("nbapps"))
}

/// The data directory that a daemon gets which this user starts without options: the one that
/// `NBAPPS_DATA_DIR` names, or the configuration file, or the default one.
#[must_use]
pub fn data_directory() -> PathBuf {
    let named = |name: &str| variable(name).filter(|value| !value.as_os_str().is_empty());
    let chosen = named("NBAPPS_DATA_DIR").or_else(|| {
        configured_data_directory(&named("NBAPPS_CONFIG").unwrap_or_else(default_configuration_file))
    });
    let directory = chosen.unwrap_or_else(default_data_directory);
    std::path::absolute(&directory).unwrap_or(directory)
}

/// The data directory that a configuration file names. The daemon reports what is wrong with the file.
#[must_use]
pub fn configured_data_directory(file: &Path) -> Option<PathBuf> {
    /// The one key that concerns clients.
    #[derive(Deserialize)]
    struct Keys {
        data_dir: Option<PathBuf>,
    }
    let text = std::fs::read_to_string(file).ok()?;
    toml::from_str::<Keys>(&text).ok()?.data_dir
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn socket(root: bool, variable: impl Fn(&str) -> Option<PathBuf>) -> PathBuf {
    if root {
        return system_socket();
    }
    match absolute(&variable, "XDG_RUNTIME_DIR") {
        Some(runtime) => runtime.join("nbapps/control.sock"),
        None => state_directory(root, variable).join("control.sock"),
    }
}

fn configuration_file(root: bool, variable: impl Fn(&str) -> Option<PathBuf>) -> PathBuf {
    if root {
        return PathBuf::from("/etc/nbapps/nbappsd.toml");
    }
    let home = || variable("HOME").unwrap_or_default().join(".config");
    absolute(&variable, "XDG_CONFIG_HOME").unwrap_or_else(home).join("nbapps/nbappsd.toml")
}

fn state_directory(root: bool, variable: impl Fn(&str) -> Option<PathBuf>) -> PathBuf {
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
            assert_eq!(state_directory(root, variable), PathBuf::from(expected_data), "{environment:?}");
        }
    }

    #[test]
    fn a_users_own_files_are_in_the_users_home() {
        type Environment = &'static [(&'static str, &'static str)];
        let cases: [(Environment, Option<&str>); 4] = [
            (&[("XDG_CONFIG_HOME", "/c"), ("HOME", "/home/a")], Some("/c/nbapps")),
            (&[("XDG_CONFIG_HOME", "relative"), ("HOME", "/home/a")], Some("/home/a/.config/nbapps")),
            (&[("HOME", "/home/a")], Some("/home/a/.config/nbapps")),
            // Never relative to the working directory, which may be anybody's.
            (&[("HOME", "")], None),
        ];
        for (environment, expected) in cases {
            let variable = |name: &str| {
                environment.iter().find(|(known, _)| *known == name).map(|(_, value)| PathBuf::from(value))
            };
            let found = users_own("XDG_CONFIG_HOME", ".config", variable);
            assert_eq!(found, expected.map(PathBuf::from), "{environment:?}");
        }
    }

    #[test]
    fn the_configuration_names_the_data_directory() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("nbappsd.toml");
        assert_eq!(configured_data_directory(&file), None);
        for (text, expected) in [
            ("listen = '127.0.0.1:1'\ndata_dir = '/srv/nb'\n[log]\nlevel = 'info'", Some("/srv/nb")),
            ("listen = '127.0.0.1:1'", None),
            ("data_dir = [", None),
        ] {
            std::fs::write(&file, text).unwrap();
            assert_eq!(configured_data_directory(&file), expected.map(PathBuf::from), "{text}");
        }
    }
}
