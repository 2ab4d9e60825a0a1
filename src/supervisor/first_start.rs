//! Distinguishes a first start from the start of a host whose main application's database is gone.
//!
//! Both find no registry. But an earlier start has left files in the data directory; then a new registry would
//! take the place of the old one, so that the start fails and writes nothing. An interrupted first start leaves
//! files, too. It therefore begins with a marker file, which is removed once the registry exists.

use std::fs;
use std::io;
use std::path::Path;

use crate::database::Location;

use super::SupervisorOptions;
use super::open_error::OpenError;
use super::secrets::KEY_FILE;
use super::storage::HOST_FILE;

/// The file that marks an unfinished first start.
const MARKER: &str = "first-start";

/// What earlier starts have left in the data directory.
#[derive(Debug)]
pub(super) struct FirstStart<'a> {
    options: &'a SupervisorOptions,
    /// The files of earlier starts; empty on the first.
    leftovers: Vec<&'static str>,
}

impl<'a> FirstStart<'a> {
    /// Inspects the data directory.
    ///
    /// # Errors
    /// If there was an earlier start and its registry is in a file that is missing or empty.
    pub(super) fn inspect(options: &'a SupervisorOptions) -> Result<Self, OpenError> {
        let directory = &options.data_directory;
        let is_repeated = directory.join(MARKER).exists();
        let leftovers = if is_repeated { Vec::new() } else { leftovers(directory) };
        let first = Self { options, leftovers };
        if let Location::Sqlite(file) = &options.main_location {
            match fs::metadata(file) {
                Ok(file) if file.len() > 0 => {}
                Err(error) if error.kind() != io::ErrorKind::NotFound => {}
                Ok(_) => first.require_first("is empty")?,
                Err(_) => first.require_first("is missing")?,
            }
        }
        Ok(first)
    }

    /// Whether no earlier start was completed.
    pub(super) fn is_first(&self) -> bool {
        self.leftovers.is_empty()
    }

    /// Fails with this problem of the database unless this is a first start.
    pub(super) fn require_first(&self, problem: &str) -> Result<(), OpenError> {
        let directory = self.options.data_directory.display();
        let leftovers = match self.leftovers.as_slice() {
            [] => return Ok(()),
            [one] => format!("{one} is"),
            [all @ .., last] => format!("{} and {last} are", all.join(", ")),
        };
        let location = &self.options.main_location;
        let with_log = match location {
            Location::Sqlite(_) => ", with the file -wal beside it if there is one",
            _ => "",
        };
        Err(OpenError {
            sentence: format!(
                "the main application's database, {location}, {problem}, but should hold the registry of the host \
                 whose {leftovers} in {directory}; nothing was changed"
            ),
            hint: Some(format!(
                "restore it from a backup{with_log}; or, to start a new host, choose another directory with \
                 --data-dir, or move {} out of {directory}",
                self.leftovers.join(", ")
            )),
        })
    }

    /// Marks a first start as unfinished, before it creates anything.
    pub(super) fn begin(&self) -> Result<(), OpenError> {
        if !self.leftovers.is_empty() {
            return Ok(());
        }
        fs::write(self.options.data_directory.join(MARKER), "").map_err(|error| OpenError {
            sentence: format!("the data directory cannot be written: {error}"),
            hint: Some("free space on its disk, or check its owner and permissions".to_owned()),
        })
    }

    /// Removes the marker: the registry exists.
    pub(super) fn end(&self) {
        if let Err(error) = fs::remove_file(self.options.data_directory.join(MARKER))
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%error, file = MARKER, "the marker file of the first start cannot be removed");
        }
    }
}

/// Lists the files in a data directory that a host has created.
fn leftovers(directory: &Path) -> Vec<&'static str> {
    let has_entries = |directory: &Path| fs::read_dir(directory).is_ok_and(|mut all| all.next().is_some());
    let mut found: Vec<_> = [KEY_FILE, HOST_FILE]
        .into_iter()
        .filter(|file| directory.join(file).symlink_metadata().is_ok())
        .collect();
    if has_entries(&directory.join("apps")) {
        found.push("apps/");
    }
    found
}
