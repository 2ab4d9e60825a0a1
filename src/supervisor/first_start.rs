//! Telling a first start from the start of a host whose main application's database is gone.
//!
//! Both find no registry. But a host that had one has left files in its data directory, and made anew it
//! would stand in the way of the old one: the start is refused, and nothing is written. A first start that
//! is cut short leaves files, too; so it begins with a mark, which goes when the registry is there.

use std::fs;
use std::io;
use std::path::Path;

use crate::database::Location;

use super::SupervisorOptions;
use super::boot::OpenError;
use super::secrets::KEY_FILE;
use super::storage::HOST_FILE;

/// The mark of a first start that has not come to its end.
const MARK: &str = "first-start";

/// What the data directory says of earlier starts.
#[derive(Debug)]
pub(super) struct FirstStart<'a> {
    options: &'a SupervisorOptions,
    /// What an earlier start left; nothing before the first.
    standing: Vec<&'static str>,
}

impl<'a> FirstStart<'a> {
    /// Looks into the data directory; refuses to go on where the registry was in a file that is gone.
    pub(super) fn look(options: &'a SupervisorOptions) -> Result<Self, OpenError> {
        let directory = &options.data_directory;
        let is_going_on = directory.join(MARK).exists();
        let standing = if is_going_on { Vec::new() } else { standing(directory) };
        let first = Self { options, standing };
        if let Location::Sqlite(file) = &options.main_location {
            match fs::metadata(file) {
                Ok(file) if file.len() > 0 => {}
                Err(error) if error.kind() != io::ErrorKind::NotFound => {}
                Ok(_) => first.refuse("is empty")?,
                Err(_) => first.refuse("is missing")?,
            }
        }
        Ok(first)
    }

    /// Whether no earlier start has left anything.
    pub(super) fn is_first(&self) -> bool {
        self.standing.is_empty()
    }

    /// Goes on only when no earlier start has left anything.
    pub(super) fn refuse(&self, problem: &str) -> Result<(), OpenError> {
        let directory = self.options.data_directory.display();
        let standing = match self.standing.as_slice() {
            [] => return Ok(()),
            [one] => format!("{one} stands"),
            [all @ .., last] => format!("{} and {last} stand", all.join(", ")),
        };
        let location = &self.options.main_location;
        let with_log = match location {
            Location::Sqlite(_) => ", with the file -wal beside it if there is one",
            _ => "",
        };
        Err(OpenError {
            sentence: format!(
                "the main application's database, {location}, {problem}, and should hold the registry of the \
                 host whose {standing} in {directory}; nothing was changed"
            ),
            hint: Some(format!(
                "bring it back from a backup{with_log}; or begin anew on purpose: choose another directory with \
                 --data-dir, or move {} out of {directory} first",
                self.standing.join(", ")
            )),
        })
    }

    /// Marks a first start, before it makes anything.
    pub(super) fn begin(&self) -> Result<(), OpenError> {
        if !self.standing.is_empty() {
            return Ok(());
        }
        fs::write(self.options.data_directory.join(MARK), "").map_err(|error| OpenError {
            sentence: format!("the data directory cannot be written: {error}"),
            hint: Some("free space on its disk, or check its owner and permissions".to_owned()),
        })
    }

    /// Takes the mark away: the registry is there.
    pub(super) fn end(&self) {
        if let Err(error) = fs::remove_file(self.options.data_directory.join(MARK))
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%error, file = MARK, "the mark of the first start cannot be removed");
        }
    }
}

/// What a data directory has in it that a host made.
fn standing(directory: &Path) -> Vec<&'static str> {
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
