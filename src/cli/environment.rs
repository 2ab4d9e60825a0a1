//! The variables of the environment that commands read themselves.

use super::error::CliError;
use super::output::Console;

/// Whether commands may start a daemon.
const AUTOSTART: &str = "NBAPPS_AUTOSTART";

/// The variables that commands read.
const VARIABLES: &[&str] = &[
    AUTOSTART,
    "NBAPPS_SOCKET",
    "NBAPPS_HOST",
    "NBAPPS_CONTEXT",
    "NBAPPS_DATA_DIR",
    "NBAPPS_CONFIG",
    "NBAPPS_DB_URL",
    "NBAPPS_DB_PASSWORD",
];

/// Whether the environment allows that a daemon is started. Unset means that it does.
pub(super) fn may_start() -> Result<bool, CliError> {
    let value = std::env::var_os(AUTOSTART).unwrap_or_default();
    let value = value.to_string_lossy().trim().to_ascii_lowercase();
    match value.as_str() {
        "" | "1" | "true" | "yes" | "on" => Ok(true),
        "0" | "false" | "no" | "off" => Ok(false),
        _ => Err(CliError::usage(
            format!("{AUTOSTART}: \"{value}\" is neither 0 nor 1"),
            "set it to 0 to start no daemon, or unset it",
        )),
    }
}

/// Notes variables that are likely to be one of these mistyped: they name no daemon.
pub(super) fn note_mistyped(console: &Console) {
    for (name, _) in std::env::vars_os() {
        if let Some((name, meant)) = name.to_str().and_then(|name| Some((name, mistyped(name)?))) {
            console.note(&format!("the variable {name} is unknown and ignored; the nearest is {meant}"));
        }
    }
}

/// The variable that this one is meant to be, if it is mistyped by one letter.
fn mistyped(name: &str) -> Option<&'static str> {
    if !name.starts_with("NBAPPS_") || VARIABLES.contains(&name) {
        return None;
    }
    VARIABLES.iter().copied().find(|variable| strsim::damerau_levenshtein(name, variable) == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_wrong_letter_is_a_typing_error() {
        for (name, meant) in [
            ("NBAPPS_SOKET", Some("NBAPPS_SOCKET")),
            ("NBAPPS_HOTS", Some("NBAPPS_HOST")),
            ("NBAPPS_HOSTS", Some("NBAPPS_HOST")),
            ("NBAPPS_CONTXET", Some("NBAPPS_CONTEXT")),
            // Kubernetes sets it where a service has the name of this program.
            ("NBAPPS_PORT", None),
            ("NBAPPS_SOCKET", None),
            ("NBAPPS_LISTEN", None),
            ("XNBAPPS_HOST", None),
        ] {
            assert_eq!(mistyped(name), meant, "{name}");
        }
    }
}
