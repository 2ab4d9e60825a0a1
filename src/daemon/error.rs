//! The errors that keep the daemon from starting.

use std::fmt;
use std::path::{Path, PathBuf};

/// A place in a configuration file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
}

impl Place {
    /// The place of a byte in the text of a file.
    pub(super) fn new(file: &Path, text: &str, at: usize) -> Self {
        let before = text.get(..at).unwrap_or(text);
        Self {
            file: file.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before.rsplit('\n').next().unwrap_or_default().chars().count() + 1,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file.display(), self.line, self.column)
    }
}

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The configuration file.
    File(Place),
    /// A variable of the environment.
    Variable(String),
    /// An option of the command line.
    Option(&'static str),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(place) => place.fmt(f),
            Self::Variable(name) => name.fmt(f),
            Self::Option(option) => option.fmt(f),
        }
    }
}

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
    #[error("{place}: {problem}")]
    Malformed {
        /// Where.
        place: Place,
        /// What is wrong, naming the key.
        problem: String,
    },
    /// A value is invalid, or its key is unknown.
    #[error("{origin}: {}{problem}", key_of(origin, key))]
    Value {
        /// Where the value comes from.
        origin: Source,
        /// The key.
        key: String,
        /// What is wrong with it.
        problem: String,
    },
}

/// The key, where the source does not name it.
fn key_of(origin: &Source, key: &str) -> String {
    match origin {
        Source::File(_) => format!("{key}: "),
        Source::Variable(_) | Source::Option(_) => String::new(),
    }
}

impl ConfigurationError {
    /// A variable of the environment is invalid.
    pub(super) fn variable(name: &str, problem: impl Into<String>) -> Self {
        Self::Value {
            origin: Source::Variable(name.to_owned()),
            key: name.to_owned(),
            problem: problem.into(),
        }
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
