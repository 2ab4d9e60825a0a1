//! How failures of the rooms below become errors of the control socket.

use crate::app::AppError;
use crate::app::auth::AuthError;
use crate::data::DataError;
use crate::database::{DatabaseError, Location};
use crate::protocol::{ErrorKind, RpcError};

use super::registry::RegistryError;
use super::storage::ProvisionError;

/// What to do where the process has too many open files.
const RAISE_DESCRIPTORS: &str = "raise the daemon's limit of open files, LimitNOFILE= in its systemd unit or \
                                 ulimit -n before it is started by hand; or stop applications";

/// What to do where a file is as large as the process may make one.
const RAISE_FILE_SIZE: &str = "raise the daemon's limit of file sizes, LimitFSIZE= in its systemd unit or ulimit -f \
                               before it is started by hand, and start it again";

fn is_of_descriptors(error: &ProvisionError) -> bool {
    matches!(error, ProvisionError::File { error, .. } if crate::database::is_descriptor_shortage(error))
}

/// A failure of a lower room, while doing something that the sentence names.
pub(crate) trait Failure {
    /// As an error that says what was being done.
    fn while_doing(self, what: impl std::fmt::Display) -> RpcError;
}

impl Failure for DatabaseError {
    fn while_doing(self, what: impl std::fmt::Display) -> RpcError {
        let (kind, hint) = match &self {
            Self::Missing(_) => (
                ErrorKind::DatabaseUnreachable,
                "bring it back where it was, from a backup if it is gone, and start the application: nbapps \
                 start ID",
            ),
            Self::Unreachable(_) => (
                ErrorKind::DatabaseUnreachable,
                "check that its server runs, and the host, port, user and password that it is reached with",
            ),
            Self::Unopened(_) => (
                ErrorKind::DatabaseUnreachable,
                "check that its disk is mounted, and that the daemon's user may read and write the file and \
                 its directory",
            ),
            Self::NoDescriptors(_) => (ErrorKind::Storage, RAISE_DESCRIPTORS),
            Self::Occupied(_) => (
                ErrorKind::DatabaseUnreachable,
                "try again; if it stays so, look for slow statements, or let the host have more connections: \
                 nbapps update ID --limit database-connections=N, and connections in [database]",
            ),
            Self::Full(_) => (
                ErrorKind::DatabaseUnreachable,
                "end connections of others, raise the server's max_connections (or the user's limit), or \
                 lower [database] connections of this host",
            ),
            Self::Busy(_) => (
                ErrorKind::DatabaseUnreachable,
                "try again; if it stays so, see what holds the database: another process, a long \
                 transaction, or a server with too much to do",
            ),
            Self::Exists(_) => (
                ErrorKind::Conflict,
                "choose another ID, or move what is there out of the way: it stays as it is",
            ),
            Self::InvalidName(_) => {
                (ErrorKind::InvalidSetting, "choose a shorter ID or another name: --db-schema, --db-name")
            }
            Self::Denied(_) => (
                ErrorKind::PermissionDenied,
                "give the user that right, or let the host connect as another one",
            ),
            Self::Storage(_) => (
                ErrorKind::Storage,
                "free space on the disk that the database is on, or check whether its files may be written; \
                 nbapps delete ID --purge removes an application with its data also from a full disk",
            ),
            Self::FileLimit(_) => (ErrorKind::Storage, RAISE_FILE_SIZE),
            Self::Corrupt(_) => (ErrorKind::DatabaseFailed, "bring the database back from a backup"),
            _ => (
                ErrorKind::DatabaseFailed,
                "that is all the database says here; the log of its server may say more",
            ),
        };
        RpcError::new(kind, format!("{what} failed: {self}")).hint(hint)
    }
}

impl Failure for DataError {
    fn while_doing(self, what: impl std::fmt::Display) -> RpcError {
        match self {
            Self::Database(error) => error.while_doing(what),
            other => RpcError::new(ErrorKind::DatabaseFailed, format!("{what} failed: {other}")),
        }
    }
}

impl Failure for RegistryError {
    fn while_doing(self, what: impl std::fmt::Display) -> RpcError {
        match self {
            Self::Data(error) => error.while_doing(what),
            Self::Columns { ref location, .. } => {
                let with_log = match **location {
                    Location::Sqlite(_) => " (the file with the file -wal beside it, if there is one)",
                    Location::Postgres(_) | Location::Mysql(_) => "",
                };
                RpcError::new(ErrorKind::DatabaseFailed, self.to_string()).hint(format!(
                    "bring the database back from a backup{with_log}; where somebody gave the column another name, \
                     give it back with ALTER TABLE ... RENAME COLUMN; where another version of nbapps wrote the \
                     registry, start that version"
                ))
            }
        }
    }
}

impl Failure for AppError {
    fn while_doing(self, what: impl std::fmt::Display) -> RpcError {
        match self {
            Self::Data(error) => error.while_doing(what),
            Self::TooNew { .. } => RpcError::new(ErrorKind::VersionTooNew, format!("{what} failed: {self}"))
                .hint("install the newer version of nbapps on this host"),
            other => RpcError::new(ErrorKind::DatabaseFailed, format!("{what} failed: {other}")),
        }
    }
}

impl Failure for ProvisionError {
    fn while_doing(self, what: impl std::fmt::Display) -> RpcError {
        match self {
            Self::Database(error) => error.while_doing(what),
            Self::Data(error) => error.while_doing(what),
            file @ Self::File { .. } if is_of_descriptors(&file) => {
                RpcError::new(ErrorKind::Storage, format!("{what} failed: {file}")).hint(RAISE_DESCRIPTORS)
            }
            Self::HostFile(_) => RpcError::new(ErrorKind::Storage, format!("{what} failed: {self}")).hint(
                "bring it back from a backup of the data directory; or move it away, and a new one is made: what \
                 this host made on servers and was left there by a crash is then no longer known for its own",
            ),
            file @ Self::File { .. } => RpcError::new(ErrorKind::Storage, format!("{what} failed: {file}"))
                .hint("free space on the disk, or check the permissions of the data directory"),
        }
    }
}

impl Failure for AuthError {
    fn while_doing(self, what: impl std::fmt::Display) -> RpcError {
        RpcError::new(ErrorKind::InvalidSetting, format!("{what} failed: {self}"))
    }
}
