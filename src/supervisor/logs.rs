//! One log file for each application, rotated, and reading them back.

/// The log files of all applications.
#[derive(Debug)]
pub struct LogFiles {}
