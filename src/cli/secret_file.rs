//! New files for secrets.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use super::error::CliError;

/// Only the user of the file reads and writes it.
const MODE: u32 = 0o600;

/// A new file that only this user can read; it is removed again unless a secret is kept in it.
#[derive(Debug)]
pub(crate) struct SecretFile {
    file: File,
    path: PathBuf,
    /// What names the file, for errors.
    what: &'static str,
    kept: bool,
}

impl SecretFile {
    /// Creates the file. One that exists is taken if it is empty, as a run leaves it that was killed. `what` begins
    /// the error messages.
    pub(crate) fn create(what: &'static str, path: PathBuf) -> Result<Self, CliError> {
        let opened = match OpenOptions::new().write(true).create_new(true).mode(MODE).open(&path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => take_empty(&path),
            opened => opened,
        };
        match opened {
            Ok(file) => Ok(Self { file, path, what, kept: false }),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Err(CliError::usage(
                format!("{what}{} exists already, and is not overwritten", path.display()),
                "remove it, or name another file",
            )),
            Err(error) => Err(unwritten(what, &path, error)),
        }
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes the secret, and keeps the file.
    pub(crate) fn keep(mut self, secret: &str) -> Result<(), CliError> {
        let written = writeln!(self.file, "{secret}").and_then(|()| self.file.sync_all());
        written.map_err(|error| unwritten(self.what, &self.path, error))?;
        self.kept = true;
        Ok(())
    }
}

impl Drop for SecretFile {
    fn drop(&mut self) {
        if !self.kept {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Opens a file that exists and is empty.
fn take_empty(path: &Path) -> std::io::Result<File> {
    let file = OpenOptions::new().write(true).open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() || metadata.len() > 0 {
        return Err(ErrorKind::AlreadyExists.into());
    }
    file.set_permissions(Permissions::from_mode(MODE))?;
    Ok(file)
}

fn unwritten(what: &str, path: &Path, error: std::io::Error) -> CliError {
    CliError::Io { what: format!("{what}{} cannot be written", path.display()), error }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_file_is_new_private_and_gone_without_a_secret() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        let create = || SecretFile::create("--output-file: ", path.clone());
        drop(create().unwrap());
        assert!(!path.exists());
        // As a run leaves it that was killed.
        std::fs::write(&path, "").unwrap();
        create().unwrap().keep("s3cret").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "s3cret\n");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, MODE);
        assert!(matches!(create(), Err(CliError::Usage { .. })));
        assert!(path.exists());
    }
}
