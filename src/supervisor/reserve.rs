//! Room on the registry's disk for the commands that free some.
//!
//! On a full disk nothing can be written, not even that an application is to be deleted. So a file beside
//! the registry holds a little room; it is emptied when such a command finds the disk full, and filled
//! again when there is room.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::data::DataError;
use crate::database::{DatabaseError, Location};

/// Enough for the pages that a command writes, many times.
const BYTES: usize = 512 * 1024;
const FILE: &str = "reserve";

/// The file; a server's disk has none.
#[derive(Debug, Clone)]
pub(super) struct Reserve {
    file: Option<PathBuf>,
}

impl Reserve {
    /// Beside the main application's database.
    pub(super) fn beside(main: &Location) -> Self {
        Self { file: main.directory().map(|directory| directory.join(FILE)) }
    }

    /// Whether what failed on a full disk is worth another try: the room that was set aside is free now.
    pub(super) fn makes_room_after<T>(&self, done: &Result<T, DataError>) -> bool {
        let is_full = matches!(done, Err(DataError::Database(DatabaseError::Storage(_))));
        let made = is_full && self.file.as_ref().is_some_and(|file| fs::remove_file(file).is_ok());
        if made {
            tracing::warn!("the disk of the registry is full: what was set aside for this is used");
        }
        made
    }

    /// Fills it where it is not full, if there is room.
    pub(super) async fn fill(&self) {
        let Some(file) = self.file.clone() else { return };
        let filled = tokio::task::spawn_blocking(move || fill(&file)).await;
        if let Ok(Err(error)) = filled {
            tracing::warn!(%error, "nothing can be set aside on the disk of the registry");
        }
    }
}

fn fill(file: &Path) -> io::Result<()> {
    if fs::metadata(file).is_ok_and(|metadata| metadata.len() == BYTES as u64) {
        return Ok(());
    }
    // No noughts: some file systems give these no room.
    let written = fs::File::create(file).and_then(|mut file| file.write_all(&vec![b'#'; BYTES]));
    if written.is_err() {
        // What it has of the last room is of more use to others.
        let _ = fs::remove_file(file);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_makes_room_on_a_full_disk_once_until_it_is_filled_again() {
        let directory = tempfile::tempdir().unwrap();
        let reserve = Reserve::beside(&Location::Sqlite(directory.path().join("main.sqlite")));
        let file = directory.path().join(FILE);
        let full: Result<(), _> =
            Err(DataError::Database(DatabaseError::Storage("the disk is full".to_owned())));
        reserve.fill().await;
        assert_eq!(fs::metadata(&file).unwrap().len(), BYTES as u64);
        assert!(!reserve.makes_room_after(&Ok(())));
        assert!(!reserve.makes_room_after::<()>(&Err(DataError::Refused("no".to_owned()))));
        assert!(file.exists(), "it is there for a full disk alone");
        assert!(reserve.makes_room_after(&full));
        assert!(!reserve.makes_room_after(&full));
        reserve.fill().await;
        assert!(file.exists());
    }
}
