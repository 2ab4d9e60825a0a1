//! Why an application cannot be installed or opened.

use crate::data::DataError;

/// Why an application cannot be installed or opened.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AppError {
    /// Its database failed.
    #[error(transparent)]
    Data(#[from] DataError),
    /// Its data was written by a newer host.
    #[error("its data is of version {found}, this host knows {known} and will not touch it")]
    TooNew {
        /// The data's version.
        found: String,
        /// The host's.
        known: String,
    },
    /// What is there is no application, or cannot be made one.
    #[error("{0}")]
    Invalid(String),
}
