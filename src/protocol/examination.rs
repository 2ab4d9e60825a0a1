//! `host.doctor`: checks of what breaks in practice, and what they find.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::AppId;

/// How long all checks together may take unless the client says otherwise, in milliseconds.
pub const DEFAULT_EXAMINATION_MS: u64 = 30_000;

/// Parameters of `host.doctor`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Examine {
    /// The application to check, with its database and its domains; absent for the host with all applications.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<AppId>,
    /// Whether to read every page of SQLite files, which takes its time.
    pub thorough: bool,
    /// How long all checks together may take, in milliseconds. A check that has not ended by then is `skipped`.
    pub timeout_ms: u64,
}

impl Default for Examine {
    fn default() -> Self {
        Self { id: None, thorough: false, timeout_ms: DEFAULT_EXAMINATION_MS }
    }
}

/// The result of `host.doctor`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Examination {
    /// The daemon's version.
    pub version: String,
    /// What the checks found: for the host, the database servers and the applications, in this order.
    pub findings: Vec<Finding>,
}

/// The outcome of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum FindingStatus {
    /// Nothing is wrong.
    Ok,
    /// It could not be checked.
    Skipped,
    /// It works, and may break.
    Warning,
    /// It does not work.
    Failed,
}

impl FindingStatus {
    /// The status as it is written on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Skipped => "skipped",
            Self::Warning => "warning",
            Self::Failed => "failed",
        }
    }

    /// Whether an operator should do something.
    #[must_use]
    pub const fn is_problem(self) -> bool {
        matches!(self, Self::Warning | Self::Failed)
    }
}

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// The check, such as `disk`, `domain` or `rights`.
    pub check: String,
    /// What was checked: `host`, `server HOST:PORT` or `application ID`.
    pub subject: String,
    /// The outcome.
    pub status: FindingStatus,
    /// What was found, in one sentence.
    pub message: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// How long the check took, in milliseconds.
    pub took_ms: u64,
}

impl Finding {
    /// The subject of findings about the host itself.
    pub const HOST: &'static str = "host";

    /// A finding without a hint about the host, of a check that takes no time.
    #[must_use]
    pub fn of_host(check: &str, status: FindingStatus, message: impl Into<String>) -> Self {
        Self {
            check: check.to_owned(),
            subject: Self::HOST.to_owned(),
            status,
            message: message.into(),
            hint: None,
            took_ms: 0,
        }
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_parameter_may_be_left_out() {
        let examine: Examine = serde_json::from_str("{}").unwrap();
        assert_eq!(examine, Examine::default());
        assert!(serde_json::from_str::<Examine>(r#"{"deep": true}"#).is_err());
    }

    #[test]
    fn failures_are_the_worst() {
        use FindingStatus::{Failed, Ok, Skipped, Warning};
        assert_eq!([Ok, Failed, Skipped, Warning].into_iter().max(), Some(Failed));
        assert!(Failed.is_problem() && Warning.is_problem() && !Ok.is_problem() && !Skipped.is_problem());
    }
}
