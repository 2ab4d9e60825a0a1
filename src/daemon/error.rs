//! The errors that keep the daemon from starting.

use std::path::PathBuf;

/// Why the configuration is invalid.
#[derive(Debug, thiserror::Error)]
pub enum ConfigurationError {
    /// The file cannot be read.
    #[error("cannot read the configuration {}: {error}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What went wrong.
        error: std::io::Error,
    },
    /// The file cannot be parsed.
    #[error("{}:{line}:{column}: {problem}", file.display())]
    Malformed {
        /// The file.
        file: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
        /// What is wrong, naming the key.
        problem: String,
    },
    /// A value is invalid.
    #[error("{name}: {problem}")]
    Value {
        /// The setting, by its name in the file, the environment or the command line.
        name: String,
        /// What is wrong with it.
        problem: String,
    },
}

impl ConfigurationError {
    pub(super) fn value(name: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Value { name: name.into(), problem: problem.into() }
    }

    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "check the path and its permissions, or leave --config out",
            Self::Malformed { .. } => "the keys and their values are described in nbappsd(8) and the README",
            Self::Value { .. } => "correct it, or leave it out; the settings are described in the README",
        }
    }
}

/// Why the daemon does not start, and what to do.
#[derive(Debug, thiserror::Error)]
#[error("{sentence}")]
pub(super) struct StartupError {
    pub(super) sentence: String,
    pub(super) hint: Option<String>,
}

impl StartupError {
    pub(super) fn new(sentence: impl ToString, hint: impl Into<String>) -> Self {
        Self { sentence: sentence.to_string(), hint: Some(hint.into()) }
    }
}
