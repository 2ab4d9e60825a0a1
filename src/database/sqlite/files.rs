//! The files of a database: creating and removing them, and the owner's mark on them. All of
//! this blocks and runs on a thread of the blocking pool.

use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::error;
use super::file_names::{INDEX, LOG, beside};
use crate::database::DatabaseError;
use crate::database::descriptors::is_descriptor_shortage;

/// A file's identity, whatever its name: device and inode.
pub(super) type Identity = (u64, u64);

/// The identity of the file at this path.
pub(super) fn identity(path: &Path) -> Result<Identity, DatabaseError> {
    let metadata = std::fs::metadata(path).map_err(|reason| open_error(path, &reason))?;
    Ok((metadata.dev(), metadata.ino()))
}

/// Creates an empty file that only its owner may read; there must be none.
pub(super) fn create_file(path: &Path) -> Result<(), DatabaseError> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let shown = path.display();
    let made = options.open(path).and_then(|file| file.sync_all()).and_then(|()| match path.parent() {
        // Otherwise a power failure may lose the file's directory entry.
        #[cfg(unix)]
        Some(folder) => std::fs::File::open(folder)?.sync_all(),
        _ => Ok(()),
    });
    made.map_err(|reason| match reason.kind() {
        _ if is_descriptor_shortage(&reason) => error::no_descriptors(path),
        ErrorKind::AlreadyExists => {
            DatabaseError::Exists(format!("cannot create the database {shown}: the file exists already"))
        }
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::ReadOnlyFilesystem => {
            DatabaseError::Storage(format!("cannot create the database {shown}: {reason}"))
        }
        ErrorKind::NotFound => DatabaseError::Unopened(format!(
            "cannot create the database {shown}: the directory does not exist"
        )),
        _ => DatabaseError::Unopened(format!("cannot create the database {shown}: {reason}")),
    })
}

/// Creates an empty file with two hard links, the second of which is the owner's mark; neither must exist. On
/// a file system without hard links, creates only the first.
pub(super) fn create_marked(path: &Path, mark: &Path) -> Result<(), DatabaseError> {
    create_file(mark)?;
    let linked = std::fs::hard_link(mark, path);
    let Err(reason) = linked else { return Ok(()) };
    // Whatever follows: the file is empty, and its name tells whose it was.
    let _ = std::fs::remove_file(mark);
    match reason.kind() {
        ErrorKind::AlreadyExists => Err(DatabaseError::Exists(format!(
            "cannot create the database {}: the file exists already",
            path.display()
        ))),
        _ => create_file(path),
    }
}

/// Removes a database whose file is also linked as `mark`, and that link.
pub(super) fn remove_marked(path: &Path, mark: &Path) -> Result<Vec<String>, DatabaseError> {
    let file = |path: &Path| std::fs::metadata(path).ok().map(|file| (file.dev(), file.ino()));
    let mut removed = Vec::new();
    let marked = file(mark);
    if marked.is_some() && marked == file(path) {
        removed = remove_files(path)?;
    }
    // The mark goes last, so that an interrupted removal is recognized and resumed.
    remove_files(mark)?;
    Ok(removed)
}

/// The files of a database: the log's index, the log, and itself.
fn files(path: &Path) -> impl Iterator<Item = PathBuf> {
    [INDEX, LOG, ""].into_iter().map(|end| beside(path, end))
}

/// Removes the files of a database and returns their paths.
pub(super) fn remove_files(path: &Path) -> Result<Vec<String>, DatabaseError> {
    let mut removed = Vec::new();
    for file in files(path) {
        match std::fs::remove_file(&file) {
            Ok(()) => removed.push(file.display().to_string()),
            Err(reason) if reason.kind() == ErrorKind::NotFound => {}
            Err(reason) => {
                return Err(DatabaseError::Storage(format!("cannot remove {}: {reason}", file.display())));
            }
        }
    }
    Ok(removed)
}

/// The size of the database and its log, in bytes.
pub(super) fn size(path: &Path) -> Result<u64, DatabaseError> {
    let main = std::fs::metadata(path).map_err(|reason| open_error(path, &reason))?;
    let rest = files(path).filter(|file| file != path).filter_map(|file| std::fs::metadata(file).ok());
    Ok(main.len() + rest.map(|file| file.len()).sum::<u64>())
}

pub(super) fn open_error(path: &Path, reason: &std::io::Error) -> DatabaseError {
    let shown = path.display();
    match reason.kind() {
        ErrorKind::NotFound => {
            DatabaseError::Missing(format!("cannot open the database {shown}: the file does not exist"))
        }
        _ => DatabaseError::Unopened(format!("cannot open the database {shown}: {reason}")),
    }
}
