//! The host's key, with which secrets are encrypted before they are written to the registry.
//!
//! The cipher is XChaCha20-Poly1305 with a random nonce. The application and the purpose are its associated data,
//! so that an encrypted value does not decrypt in another row.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use rand::Rng;

use crate::protocol::AppId;

const KEY_LENGTH: usize = 32;
const NONCE_LENGTH: usize = 24;
const VERSION: &str = "v1:";

/// The name of the key's file in the data directory, and of the systemd credential.
pub(crate) const KEY_FILE: &str = "secret.key";

/// The purpose of a JWT secret.
pub(crate) const JWT_SECRET: &str = "JWT secret";
/// The purpose of a database's password.
pub(crate) const DATABASE_PASSWORD: &str = "databasePassword";

/// The key that encrypts the registry's secrets. It is stored outside of the registry.
#[derive(Clone)]
pub struct SecretKey {
    cipher: XChaCha20Poly1305,
}

impl std::fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretKey")
    }
}

/// Why the key or a secret cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The file cannot be read or created.
    #[error("the key {} cannot be {doing}: {error}", path.display())]
    File {
        /// Where it is.
        path: PathBuf,
        /// What was tried.
        doing: &'static str,
        /// What went wrong.
        error: io::Error,
    },
    /// The registry holds secrets that were encrypted with a key that is missing.
    #[error(
        "the key {} is missing, but the registry holds secrets that were encrypted with it; nothing was changed",
        path.display()
    )]
    Missing {
        /// Where it should be.
        path: PathBuf,
    },
    /// The file does not contain a key.
    #[error("{} is not a key: it must hold {KEY_LENGTH} bytes in base64, written by nbappsd", path.display())]
    Malformed {
        /// Where it is.
        path: PathBuf,
    },
    /// The path is not that of a file.
    #[error("{} is {what}, but the key must be a file that only this user can read", path.display())]
    NoFile {
        /// Where it is.
        path: PathBuf,
        /// What it is instead.
        what: &'static str,
    },
    /// Other users can read it.
    #[error("the key {} can be read by other users (mode {mode:o}); make it private with: chmod 600 {}", path.display(), path.display())]
    Exposed {
        /// Where it is.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A value was changed or encrypted with another key.
    #[error("the {purpose} of \"{app}\" cannot be decrypted: it was encrypted with another key")]
    Sealed {
        /// The application.
        app: AppId,
        /// What it is for.
        purpose: &'static str,
    },
}

impl SecretKey {
    /// Reads the key from `$CREDENTIALS_DIRECTORY/secret.key` (systemd), else from the data directory. `None` if
    /// it is in neither.
    pub fn load(data_directory: &Path) -> Result<Option<Self>, SecretError> {
        if let Some(credentials) = std::env::var_os("CREDENTIALS_DIRECTORY") {
            let path = Path::new(&credentials).join(KEY_FILE);
            if path.exists() {
                return Self::read(&path).map(Some);
            }
        }
        match Self::read_private(&data_directory.join(KEY_FILE)) {
            Err(SecretError::File { error, .. }) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            other => other.map(Some),
        }
    }

    /// Creates the key in the data directory, on the first start.
    pub fn create(data_directory: &Path) -> Result<Self, SecretError> {
        Self::write_new(&data_directory.join(KEY_FILE))
    }

    /// Reads the key from a file that only this user may be able to read.
    fn read_private(path: &Path) -> Result<Self, SecretError> {
        let mode = metadata(path)?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(SecretError::Exposed { path: path.to_owned(), mode });
        }
        Self::parse(path)
    }

    fn read(path: &Path) -> Result<Self, SecretError> {
        metadata(path)?;
        Self::parse(path)
    }

    fn parse(path: &Path) -> Result<Self, SecretError> {
        let text = fs::read(path).map_err(unreadable(path))?;
        let bytes = STANDARD.decode(text.trim_ascii()).unwrap_or_default();
        XChaCha20Poly1305::new_from_slice(&bytes)
            .map(|cipher| Self { cipher })
            .map_err(|_| SecretError::Malformed { path: path.to_owned() })
    }

    fn write_new(path: &Path) -> Result<Self, SecretError> {
        let failed = |error| SecretError::File { path: path.to_owned(), doing: "created", error };
        let key: [u8; KEY_LENGTH] = rand::rng().random();
        // Written to another file and renamed, so that a crash cannot leave a part of a key.
        let draft = path.with_extension("draft");
        let _ = fs::remove_file(&draft);
        let mut file =
            fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft).map_err(failed)?;
        file.write_all(STANDARD.encode(key).as_bytes()).map_err(failed)?;
        file.sync_all().map_err(failed)?;
        fs::rename(&draft, path).map_err(failed)?;
        if let Some(directory) = path.parent() {
            fs::File::open(directory).and_then(|directory| directory.sync_all()).map_err(failed)?;
        }
        Ok(Self { cipher: XChaCha20Poly1305::new(&key.into()) })
    }

    /// Encrypts a secret of `app`, for this purpose, to text for the registry.
    #[must_use]
    pub fn seal(&self, app: &AppId, purpose: &'static str, secret: &[u8]) -> String {
        let nonce: [u8; NONCE_LENGTH] = rand::rng().random();
        let bound = format!("{app}\0{purpose}");
        // Encryption fails only for messages of more than 256 GiB.
        let sealed = self
            .cipher
            .encrypt(XNonce::from_slice(&nonce), Payload { msg: secret, aad: bound.as_bytes() })
            .unwrap_or_default();
        format!("{VERSION}{}", STANDARD.encode([nonce.as_slice(), &sealed].concat()))
    }

    /// Decrypts what [`Self::seal`] returned for the same application and purpose.
    pub fn open(&self, app: &AppId, purpose: &'static str, sealed: &str) -> Result<Vec<u8>, SecretError> {
        let bound = format!("{app}\0{purpose}");
        let open = || {
            let bytes = STANDARD.decode(sealed.strip_prefix(VERSION)?).ok()?;
            let (nonce, text) = bytes.split_at_checked(NONCE_LENGTH)?;
            self.cipher.decrypt(XNonce::from_slice(nonce), Payload { msg: text, aad: bound.as_bytes() }).ok()
        };
        open().ok_or(SecretError::Sealed { app: app.clone(), purpose })
    }
}

/// Fails if the path is not that of a regular file: reading a pipe or a device may never end.
fn metadata(path: &Path) -> Result<fs::Metadata, SecretError> {
    let metadata = fs::metadata(path).map_err(unreadable(path))?;
    let kind = metadata.file_type();
    let what = match () {
        () if kind.is_file() => return Ok(metadata),
        () if kind.is_dir() => "a directory",
        () if kind.is_fifo() => "a named pipe",
        () if kind.is_socket() => "a socket",
        () => "a device",
    };
    Err(SecretError::NoFile { path: path.to_owned(), what })
}

fn unreadable(path: &Path) -> impl Fn(io::Error) -> SecretError + '_ {
    move |error| SecretError::File { path: path.to_owned(), doing: "read", error }
}

/// Generates a JWT secret of 48 random bytes. HS256 needs 32 (RFC 7518, section 3.2).
pub(crate) fn new_jwt_secret() -> [u8; 48] {
    rand::rng().random()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_decrypts_only_for_its_application_and_purpose() {
        let directory = tempfile::tempdir().unwrap();
        assert!(SecretKey::load(directory.path()).unwrap().is_none());
        let key = SecretKey::create(directory.path()).unwrap();
        let crm = AppId::parse("crm").unwrap();
        let sealed = key.seal(&crm, "JWT secret", b"hush");
        assert!(!sealed.contains("hush"));
        let again = SecretKey::load(directory.path()).unwrap().unwrap();
        assert_eq!(again.open(&crm, "JWT secret", &sealed).unwrap(), b"hush");
        assert!(again.open(&AppId::main(), "JWT secret", &sealed).is_err());
        assert!(again.open(&crm, "password", &sealed).is_err());
        assert!(again.open(&crm, "JWT secret", "v1:AAAA").is_err());
        let other = SecretKey::create(tempfile::tempdir().unwrap().path()).unwrap();
        assert!(other.open(&crm, "JWT secret", &sealed).is_err());
    }

    #[test]
    fn an_exposed_or_malformed_key_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(KEY_FILE);
        SecretKey::create(directory.path()).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(SecretKey::load(directory.path()), Err(SecretError::Exposed { .. })));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, "short").unwrap();
        assert!(matches!(SecretKey::load(directory.path()), Err(SecretError::Malformed { .. })));
    }
}
