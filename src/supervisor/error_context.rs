//! Turns errors of the rooms below into errors of the control socket: with what was being done, a kind and a hint.

use crate::app::AppError;
use crate::app::auth::AuthError;
use crate::data::DataError;
use crate::database::{DatabaseError, Location};
use crate::protocol::{AppId, ErrorKind, RpcError};

use super::registry::RegistryError;
use super::storage::StorageError;

/// The hint for a process with too many open files.
const RAISE_DESCRIPTORS: &str = "raise the daemon's limit of open files, LimitNOFILE= in its systemd unit or \
                                 ulimit -n before it is started by hand; or stop applications";

/// The hint for a file that has reached the largest size that the process may write.
const RAISE_FILE_SIZE: &str = "raise the daemon's limit of file sizes, LimitFSIZE= in its systemd unit or ulimit -f \
                               before it is started by hand, and start it again";

fn is_of_descriptors(error: &StorageError) -> bool {
    matches!(error, StorageError::File { error, .. } if crate::database::is_descriptor_shortage(error))
}

/// An error of a lower room that can be reported with what was being done.
pub(crate) trait ErrorContext {
    /// Returns an error that says: `what` failed, and why.
    fn while_doing(self, what: impl std::fmt::Display) -> RpcError;
}

impl ErrorContext for DatabaseError {
    fn while_doing(self, what: impl std::fmt::Display) -> RpcError {
        let (kind, hint) = match &self {
            Self::Missing(_) => (
                ErrorKind::DatabaseUnreachable,
                "restore it to its place, from a backup if it is lost, and start the application: nbapps start ID",
            ),
            Self::Unreachable(_) => (
                ErrorKind::DatabaseUnreachable,
                "check that its server runs, and the host, port, user and password of the connection",
            ),
            Self::Unopened(_) => (
                ErrorKind::DatabaseUnreachable,
                "check that its disk is mounted, and that the daemon's user may read and write the file and \
                 its directory",
            ),
            Self::NoDescriptors(_) => (ErrorKind::Storage, RAISE_DESCRIPTORS),
            Self::Occupied(_) => (
                ErrorKind::DatabaseUnreachable,
                "try again; if it happens again, look for slow statements, or allow more connections: nbapps \
                 update ID --limit database-connections=N, and connections in [database]",
            ),
            Self::Full(_) => (
                ErrorKind::DatabaseUnreachable,
                "close other connections, raise the server's max_connections (or the user's limit), or lower \
                 [database] connections of this host",
            ),
            Self::Busy(_) => (
                ErrorKind::DatabaseUnreachable,
                "try again; if it happens again, see what keeps the database busy: another process, a long \
                 transaction, or an overloaded server",
            ),
            Self::Exists(_) => {
                (ErrorKind::Conflict, "choose another ID, or move the existing one away; it was not changed")
            }
            Self::InvalidName(_) => {
                (ErrorKind::InvalidSetting, "choose a shorter ID or another name: --db-schema, --db-name")
            }
            Self::Denied(_) => {
                (ErrorKind::PermissionDenied, "grant the user this right, or configure another user")
            }
            Self::Storage(_) => (
                ErrorKind::Storage,
                "free space on the disk of the database, or check the permissions of its files; nbapps delete \
                 ID --purge removes an application with its data even from a full disk",
            ),
            Self::FileLimit(_) => (ErrorKind::Storage, RAISE_FILE_SIZE),
            Self::Corrupt(_) => (ErrorKind::DatabaseFailed, "restore the database from a backup"),
            _ => (ErrorKind::DatabaseFailed, "if the database is on a server, its log may say more"),
        };
        RpcError::new(kind, format!("{what} failed: {self}")).hint(hint)
    }
}

impl ErrorContext for DataError {
    fn while_doing(self, what: impl std::fmt::Display) -> RpcError {
        match self {
            Self::Database(error) => error.while_doing(what),
            other => RpcError::new(ErrorKind::DatabaseFailed, format!("{what} failed: {other}")),
        }
    }
}

impl ErrorContext for RegistryError {
    fn while_doing(self, what: impl std::fmt::Display) -> RpcError {
        match self {
            Self::Data(error) => error.while_doing(what),
            Self::Columns { ref location, .. } => {
                let with_log = match **location {
                    Location::Sqlite(_) => " (the file with its -wal file, if there is one)",
                    Location::Postgres(_) | Location::Mysql(_) => "",
                };
                RpcError::new(ErrorKind::DatabaseFailed, self.to_string()).hint(format!(
                    "restore the database from a backup{with_log}; if somebody renamed the column, undo it with \
                     ALTER TABLE ... RENAME COLUMN; if another version of nbapps wrote the registry, start that \
                     version"
                ))
            }
        }
    }
}

impl ErrorContext for AppError {
    fn while_doing(self, what: impl std::fmt::Display) -> RpcError {
        match self {
            Self::Data(error) => error.while_doing(what),
            Self::TooNew { .. } => RpcError::new(ErrorKind::VersionTooNew, format!("{what} failed: {self}"))
                .hint("install the newer version of nbapps on this host"),
            other => RpcError::new(ErrorKind::DatabaseFailed, format!("{what} failed: {other}")),
        }
    }
}

impl ErrorContext for StorageError {
    fn while_doing(self, what: impl std::fmt::Display) -> RpcError {
        match self {
            Self::Database(error) => error.while_doing(what),
            Self::Data(error) => error.while_doing(what),
            file @ Self::File { .. } if is_of_descriptors(&file) => {
                RpcError::new(ErrorKind::Storage, format!("{what} failed: {file}")).hint(RAISE_DESCRIPTORS)
            }
            Self::HostFile(_) => RpcError::new(ErrorKind::Storage, format!("{what} failed: {self}")).hint(
                "restore it from a backup of the data directory; or move it away, and a new one is created: databases \
                 that crashes of this host have left on servers are then not removed any more",
            ),
            file @ Self::File { .. } => RpcError::new(ErrorKind::Storage, format!("{what} failed: {file}"))
                .hint("free space on the disk, or check the permissions of the data directory"),
        }
    }
}

/// The error of something that was done with a user of an application.
pub(super) fn user_failure(error: AuthError, doing: &str, id: &AppId) -> RpcError {
    let kind = match error {
        AuthError::Data(error) => return error.while_doing(doing),
        AuthError::NoSuchUser(_) | AuthError::UserGone => ErrorKind::UserNotFound,
        AuthError::Disabled | AuthError::LastRoot | AuthError::Forbidden(_) => ErrorKind::Refused,
        AuthError::Failed(_) => ErrorKind::Internal,
        _ => ErrorKind::InvalidSetting,
    };
    let failed = RpcError::new(kind, format!("{doing} failed: {error}"));
    match (kind, error) {
        (ErrorKind::UserNotFound, _) => failed.hint(format!("list the users with: nbapps user list {id}")),
        (_, AuthError::Disabled) => {
            failed.hint(format!("enable the user first with: nbapps user enable {id} USER"))
        }
        _ => failed,
    }
}
