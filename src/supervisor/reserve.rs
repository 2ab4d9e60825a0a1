//! Disk space reserved for the commands that free more.
//!
//! On a full disk nothing can be written, not even that an application is to be deleted. A file beside the
//! registry therefore reserves some space. It is removed when such a command finds the disk full, and written
//! again once there is space.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::data::DataError;
use crate::database::{DatabaseError, Location};

/// The size of the reserve in bytes: many times the pages that a command writes.
const RESERVE_BYTES: usize = 512 * 1024;
const RESERVE_FILE: &str = "reserve";

/// The reserve of the main application's database; a database on a server has none.
#[derive(Debug, Clone)]
pub(super) struct Reserve {
    file: Option<PathBuf>,
}

impl Reserve {
    /// The reserve beside the main application's database.
    pub(super) fn beside(main: &Location) -> Self {
        Self { file: main.directory().map(|directory| directory.join(RESERVE_FILE)) }
    }

    /// Frees the reserve if a write failed because the disk is full. Returns whether it did: then another try may
    /// succeed.
    pub(super) fn makes_room_after<T>(&self, done: &Result<T, DataError>) -> bool {
        let is_full = matches!(done, Err(DataError::Database(DatabaseError::Storage(_))));
        let made = is_full && self.file.as_ref().is_some_and(|file| fs::remove_file(file).is_ok());
        if made {
            tracing::warn!("the disk of the registry is full; the space reserved for this was freed");
        }
        made
    }

    /// Fills the reserve, if there is space.
    pub(super) async fn fill(&self) {
        let Some(file) = self.file.clone() else { return };
        let filled = tokio::task::spawn_blocking(move || fill(&file)).await;
        if let Ok(Err(error)) = filled {
            tracing::warn!(%error, "no space can be reserved on the disk of the registry");
        }
    }
}

fn fill(file: &Path) -> io::Result<()> {
    if fs::metadata(file).is_ok_and(|metadata| metadata.len() == RESERVE_BYTES as u64) {
        return Ok(());
    }
    // Not zeros: some file systems allocate no space for them.
    let written = fs::File::create(file).and_then(|mut file| file.write_all(&vec![b'#'; RESERVE_BYTES]));
    if written.is_err() {
        // On a disk this full, others need the space more.
        let _ = fs::remove_file(file);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_reserve_is_freed_on_a_full_disk_and_filled_again() {
        let directory = tempfile::tempdir().unwrap();
        let reserve = Reserve::beside(&Location::Sqlite(directory.path().join("main.sqlite")));
        let file = directory.path().join(RESERVE_FILE);
        let full: Result<(), _> =
            Err(DataError::Database(DatabaseError::Storage("the disk is full".to_owned())));
        reserve.fill().await;
        assert_eq!(fs::metadata(&file).unwrap().len(), RESERVE_BYTES as u64);
        assert!(!reserve.makes_room_after(&Ok(())));
        assert!(!reserve.makes_room_after::<()>(&Err(DataError::Refused("no".to_owned()))));
        assert!(file.exists(), "only a full disk frees it");
        assert!(reserve.makes_room_after(&full));
        assert!(!reserve.makes_room_after(&full));
        reserve.fill().await;
        assert!(file.exists());
    }
}
