//! The access log: which requests an application's access log has a line for.

use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which requests get a line in an application's access log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AccessLog {
    /// None.
    Off,
    /// Those that were answered with a status of 500 or above.
    #[default]
    Errors,
    /// All.
    All,
}

impl AccessLog {
    /// The value as it is written on the command line and on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Errors => "errors",
            Self::All => "all",
        }
    }

    /// The lowest status that gets a line; `u16::MAX` when none does.
    #[must_use]
    pub const fn min_status(self) -> u16 {
        match self {
            Self::Off => u16::MAX,
            Self::Errors => 500,
            Self::All => 0,
        }
    }
}

impl FromStr for AccessLog {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let known = [Self::Off, Self::Errors, Self::All].into_iter().find(|value| value.as_str() == word);
        known.ok_or_else(|| format!("\"{word}\" is not one of off, errors and all"))
    }
}

/// The access log that is set for one application.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AccessLogSetting {
    /// That of all applications, from the daemon's configuration.
    Default,
    /// No requests.
    Off,
    /// Requests that were answered with a status of 500 or above.
    Errors,
    /// All requests.
    All,
}

impl AccessLogSetting {
    /// The application's own value; `None` for that of all applications.
    #[must_use]
    pub const fn own(self) -> Option<AccessLog> {
        match self {
            Self::Default => None,
            Self::Off => Some(AccessLog::Off),
            Self::Errors => Some(AccessLog::Errors),
            Self::All => Some(AccessLog::All),
        }
    }
}
