//! Creates and removes the storage of an application: its directory and its database.
//!
//! The directory is below `apps/`. The database is a file in the directory (SQLite), a database or schema beside
//! the main application's, or one of another service. Directory and database are marked with the key of the
//! creation. A roll-back or a purge removes only what has the right mark, so that it never removes what the host
//! did not create.

use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use tokio::fs;

use crate::app;
use crate::data::{DataError, DataSource};
use crate::database::{Database, DatabaseError, Location};
use crate::failpoint::crash_point;
use crate::protocol::AppId;

use super::registry::Provision;
use super::requested_database::{ExternalDatabase, RequestedDatabase};

/// The file with the mark of a directory.
const MARK: &str = ".nbapps";
const DATABASE_FILE: &str = "database.sqlite";

/// The names that identify an application's storage: if two names are equal, the storage is the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StorageIdentity {
    pub(crate) directory: String,
    pub(crate) database: String,
}

/// Which of an application's storage belongs to another application, too, and to which.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct SharedStorage {
    pub(crate) directory: Option<String>,
    pub(crate) database: Option<String>,
}

/// Where the directories and databases of this host's applications are.
#[derive(Debug, Clone)]
pub(crate) struct Storage {
    root: PathBuf,
    main: Location,
    /// The prefix of the keys of this host's creations.
    host: String,
}

/// The file with a random number that distinguishes this host from others on the same server.
pub(super) const HOST_FILE: &str = "host.id";

/// The result of a removal.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct StorageRemoval {
    /// What was removed.
    pub removed: Vec<String>,
    /// What was kept, and why.
    pub kept: Vec<String>,
}

/// Why storage cannot be created or removed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StorageError {
    /// A directory or file operation failed.
    #[error("{} cannot be {doing}: {error}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What was tried.
        doing: &'static str,
        /// What went wrong.
        error: io::Error,
    },
    /// The file with the host's number does not contain one.
    #[error("{} does not contain the number of a host", .0.display())]
    HostFile(PathBuf),
    /// The database failed.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// Its tables cannot be removed.
    #[error(transparent)]
    Data(DataError),
}

impl Storage {
    /// Opens the storage below `<data directory>/apps`, which is created if it is missing, and beside the main
    /// application's database.
    pub(crate) async fn open(data_directory: &Path, main: Location) -> Result<Self, StorageError> {
        let root = data_directory.join("apps");
        fs::create_dir_all(&root).await.map_err(failed(&root, "created"))?;
        let host = host_number(data_directory, &main).await?;
        Ok(Self { root, main, host })
    }

    /// Plans the storage of a new application, in a directory that does not exist yet. The directory has the
    /// application's ID, with a number if the data of a deleted one still has that name. A database or schema
    /// without a requested name is named after the directory. The caller adds the password of a connection.
    pub(crate) async fn plan(
        &self,
        id: &AppId,
        requested: &RequestedDatabase,
        table_prefix: &str,
    ) -> Result<Provision, StorageError> {
        let key = format!("{}{}", self.key_prefix(), uuid::Uuid::new_v4().simple());
        let mut directory = id.as_str().to_owned();
        let mut number = 1;
        loop {
            let path = self.root.join(&directory);
            if !fs::try_exists(&path).await.map_err(failed(&path, "looked up"))? {
                let beside = self.main.sibling_name(&directory);
                let mut provision = Provision {
                    key,
                    directory,
                    database: None,
                    schema: None,
                    connection: None,
                    table_prefix: table_prefix.to_owned(),
                    unfinished: true,
                    domains: Vec::new(),
                };
                match requested {
                    RequestedDatabase::Database(name) => provision.database = name.clone().or(beside),
                    RequestedDatabase::Schema(name) => provision.schema = name.clone().or(beside),
                    RequestedDatabase::Connection { location, create } => {
                        provision.connection = Some(ExternalDatabase {
                            url: location.url(),
                            schema: location.server_database().and_then(|at| at.schema.clone()),
                            password: None,
                            create: *create,
                            claimed: false,
                        });
                    }
                }
                return Ok(provision);
            }
            number += 1;
            // No ID contains a dot, so that no other application has this name as its first choice.
            directory = format!("{id}.{number}");
        }
    }

    /// The prefix of the keys of all creations of this host.
    pub(crate) fn key_prefix(&self) -> String {
        format!("{}-", self.host)
    }

    /// The directory of an application.
    #[must_use]
    pub(crate) fn directory(&self, provision: &Provision) -> PathBuf {
        self.root.join(&provision.directory)
    }

    /// The location of an application's database. The password is that of a connection.
    #[must_use]
    pub(crate) fn location(&self, provision: &Provision, password: Option<String>) -> Location {
        if let Some(location) = provision.connection.as_ref().and_then(|at| at.location(password)) {
            return location;
        }
        let in_schema = provision.schema.as_deref().and_then(|name| self.main.with_schema(name));
        let beside = provision.database.as_deref().and_then(|name| self.main.sibling(name));
        let on_server = in_schema.or(beside);
        on_server.unwrap_or_else(|| Location::Sqlite(self.directory(provision).join(DATABASE_FILE)))
    }

    /// The identity of an application's storage.
    pub(crate) fn identity(&self, provision: &Provision, location: &Location) -> StorageIdentity {
        let below = |directory: &str| format!("apps/{directory}");
        let directory = below(&provision.directory);
        let database = match (location, &provision.connection) {
            (Location::Sqlite(_), None) => directory.clone(),
            // A given file may be in the directory of another application.
            (Location::Sqlite(_), Some(_)) => {
                let place = location.identity();
                let root = std::fs::canonicalize(&self.root).unwrap_or_else(|_| self.root.clone());
                let inside = Path::new(&place).strip_prefix(root).ok().and_then(Path::to_str);
                let of = inside.and_then(|inside| inside.strip_suffix(DATABASE_FILE)?.strip_suffix('/'));
                of.map(below).unwrap_or(place)
            }
            _ => location.identity(),
        };
        StorageIdentity { directory, database }
    }

    /// Whether the storage is named after this application, as it is unless other names were requested.
    pub(crate) fn is_named_after(&self, id: &AppId, provision: &Provision) -> bool {
        let rest = provision.directory.strip_prefix(id.as_str());
        let is_own = |name: &Option<String>| {
            name.as_ref().is_none_or(|name| {
                *name == provision.directory
                    || Some(name) == self.main.sibling_name(&provision.directory).as_ref()
            })
        };
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            && is_own(&provision.database)
            && is_own(&provision.schema)
    }

    /// The location where a database is by default, for an application of which nothing else is known.
    pub(crate) fn default_location(&self, id: &AppId) -> Location {
        let beside = self.main.sibling_name(id.as_str()).and_then(|name| self.main.sibling(&name));
        beside.unwrap_or_else(|| Location::Sqlite(self.root.join(id.as_str()).join(DATABASE_FILE)))
    }

    /// Creates the directory, its mark and an empty database. Opens the database instead if it was given.
    pub(crate) async fn create(
        &self,
        provision: &Provision,
        location: &Location,
    ) -> Result<Database, StorageError> {
        let directory = self.directory(provision);
        fs::create_dir(&directory).await.map_err(failed(&directory, "created"))?;
        crash_point("create.directory-made");
        let mark = directory.join(MARK);
        fs::write(&mark, &provision.key).await.map_err(failed(&mark, "written"))?;
        crash_point("create.directory-marked");
        let database = match &provision.connection {
            Some(connection) if !connection.create => Database::open(location).await?,
            // A file in the marked directory needs no mark of its own.
            None if location.directory().is_some() => Database::create(location).await?,
            _ => Database::create_owned(location, &provision.key).await?,
        };
        crash_point("create.database-made");
        Ok(database.with_table_prefix(&provision.table_prefix))
    }

    /// Removes what [`Self::create`] created, also if it was interrupted, and the application's tables from a
    /// database that the host did not create. Keeps what has another mark and what belongs to another
    /// application, too.
    pub(crate) async fn remove(
        &self,
        provision: &Provision,
        location: &Location,
        shared: &SharedStorage,
    ) -> Result<StorageRemoval, StorageError> {
        let mut removal = StorageRemoval::default();
        match &shared.database {
            Some(owner) => removal.kept.push(format!("{location}: it belongs to {owner}, too")),
            None => remove_database(provision, location, &mut removal).await?,
        }
        crash_point("purge.database-removed");
        let directory = self.directory(provision);
        match &shared.directory {
            // The database file in it has been reported already.
            Some(_) if shared.database.is_some() && location.directory() == Some(&directory) => {}
            Some(owner) => {
                removal.kept.push(format!("{}: it belongs to {owner}, too", directory.display()));
            }
            None => self.remove_directory(provision, &directory, &mut removal).await?,
        }
        Ok(removal)
    }

    async fn remove_directory(
        &self,
        provision: &Provision,
        directory: &Path,
        removal: &mut StorageRemoval,
    ) -> Result<(), StorageError> {
        let mark = directory.join(MARK);
        let is_other = fs::symlink_metadata(&mark).await.is_ok_and(|metadata| !metadata.is_file());
        match if is_other { Ok(b"?".to_vec()) } else { fs::read(&mark).await } {
            Ok(key) if key == provision.key.as_bytes() => {}
            // A crash can leave the mark empty. Then there is nothing else in the directory yet.
            Ok(key) if key.is_empty() => {
                fs::remove_file(&mark).await.map_err(failed(&mark, "removed"))?;
                return self.remove_empty(directory, removal).await;
            }
            Ok(_) => {
                let other = "it has the mark of another application, so that its contents were kept";
                removal.kept.push(format!("{}: {other}", directory.display()));
                return Ok(());
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return self.remove_empty(directory, removal).await;
            }
            Err(error) => return Err(failed(&mark, "read")(error)),
        }
        // The mark is removed last, so that an interrupted removal can be repeated.
        let mut entries = fs::read_dir(directory).await.map_err(failed(directory, "read"))?;
        while let Some(entry) = entries.next_entry().await.map_err(failed(directory, "read"))? {
            if entry.file_name() == MARK {
                continue;
            }
            let path = entry.path();
            let done = match entry.file_type().await {
                Ok(kind) if kind.is_dir() => fs::remove_dir_all(&path).await,
                Ok(_) => fs::remove_file(&path).await,
                Err(error) => Err(error),
            };
            done.map_err(failed(&path, "removed"))?;
        }
        crash_point("purge.data-removed");
        fs::remove_file(&mark).await.map_err(failed(&mark, "removed"))?;
        self.remove_empty(directory, removal).await
    }

    async fn remove_empty(&self, directory: &Path, removal: &mut StorageRemoval) -> Result<(), StorageError> {
        match fs::remove_dir(directory).await {
            Ok(()) => removal.removed.push(directory.display().to_string()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {
                let unmarked =
                    format!("it has no mark of this application ({MARK}), so that its contents were kept");
                removal.kept.push(format!("{}: {unmarked}", directory.display()));
            }
            Err(error) => return Err(failed(directory, "removed")(error)),
        }
        Ok(())
    }
}

/// Removes an application's database if the host created it, else only the application's tables.
async fn remove_database(
    provision: &Provision,
    location: &Location,
    removal: &mut StorageRemoval,
) -> Result<(), StorageError> {
    match &provision.connection {
        Some(connection) if !connection.create => {
            if connection.claimed {
                remove_tables(provision, location, removal).await?;
            }
            removal.kept.push(format!("{location}: this host did not create it"));
            return Ok(());
        }
        // A file has a mark only until it is claimed.
        Some(connection) if location.directory().is_some() && connection.claimed => {
            removal.removed = Database::remove(location).await?;
            Database::clear_owner(location, &provision.key).await?;
            return Ok(());
        }
        // A file in the directory is removed with the directory, and by its mark.
        None if location.directory().is_some() => return Ok(()),
        Some(_) | None => removal.removed = Database::remove_owned(location, &provision.key).await?,
    }
    if removal.removed.is_empty()
        && let Ok(database) = Database::open(location).await
    {
        database.close().await;
        removal.kept.push(format!("{location}: it does not have the mark of this application"));
    }
    Ok(())
}

/// Returns the number that identifies this host: a hash of the random number in the data directory, which the
/// first start creates, and of the registry's location. A copy of the directory with another registry is another
/// host.
async fn host_number(data_directory: &Path, main: &Location) -> Result<String, StorageError> {
    let file = data_directory.join(HOST_FILE);
    if fs::metadata(&file).await.is_ok_and(|metadata| !metadata.is_file()) {
        // Reading a pipe might never end.
        return Err(StorageError::HostFile(file));
    }
    let known = match fs::read_to_string(&file).await {
        Ok(known) if !known.trim().is_empty() => known.trim().to_owned(),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            return Err(StorageError::HostFile(file));
        }
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(&file, "read")(error)),
        _ => {
            let number = uuid::Uuid::new_v4().simple().to_string();
            let draft = file.with_extension("draft");
            fs::write(&draft, format!("{number}\n")).await.map_err(failed(&draft, "written"))?;
            fs::rename(&draft, &file).await.map_err(failed(&file, "created"))?;
            number
        }
    };
    let hash = Sha256::digest(format!("{known} {main}"));
    Ok(hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect())
}

/// Removes an application's tables from a database that is kept.
async fn remove_tables(
    provision: &Provision,
    location: &Location,
    removal: &mut StorageRemoval,
) -> Result<(), StorageError> {
    let database = match Database::open(location).await {
        Ok(database) => database.with_table_prefix(&provision.table_prefix),
        Err(DatabaseError::Missing(_)) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let source = DataSource::new(database);
    let dropped = app::uninstall(&source).await;
    source.database().close().await;
    match dropped {
        Ok(0) => Ok(()),
        Ok(tables) => {
            removal.removed.push(format!("{tables} tables of {location}"));
            Ok(())
        }
        Err(error) => Err(StorageError::Data(error)),
    }
}

fn failed<'a>(path: &'a Path, doing: &'static str) -> impl Fn(io::Error) -> StorageError + 'a {
    move |error| StorageError::File { path: path.to_owned(), doing, error }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn storage() -> (tempfile::TempDir, Storage, Provision) {
        let directory = tempfile::tempdir().unwrap();
        let storage = Storage::open(directory.path(), Location::Sqlite("main".into())).await.unwrap();
        let provision = storage
            .plan(&AppId::parse("crm").unwrap(), &RequestedDatabase::Database(None), "")
            .await
            .unwrap();
        (directory, storage, provision)
    }

    async fn remove(storage: &Storage, provision: &Provision) -> Result<StorageRemoval, StorageError> {
        storage.remove(provision, &storage.location(provision, None), &SharedStorage::default()).await
    }

    #[tokio::test]
    async fn everything_that_was_created_is_removed() {
        let (_guard, storage, provision) = storage().await;
        storage.create(&provision, &storage.location(&provision, None)).await.unwrap().close().await;
        assert_eq!(
            remove(&storage, &provision).await.unwrap().removed,
            [storage.directory(&provision).display().to_string()]
        );
        assert!(!storage.directory(&provision).exists());
        assert!(remove(&storage, &provision).await.unwrap().removed.is_empty());
    }

    #[tokio::test]
    async fn what_the_host_did_not_create_is_kept() {
        let (_guard, storage, provision) = storage().await;
        let directory = storage.directory(&provision);
        std::fs::create_dir(&directory).unwrap();
        std::fs::write(directory.join("theirs"), "x").unwrap();
        assert!(remove(&storage, &provision).await.unwrap().removed.is_empty());
        std::fs::write(directory.join(MARK), "another creation's key").unwrap();
        assert!(remove(&storage, &provision).await.unwrap().removed.is_empty());
        assert!(directory.join("theirs").exists());
        assert!(storage.create(&provision, &storage.location(&provision, None)).await.is_err());
    }

    #[tokio::test]
    async fn an_existing_directory_is_not_planned() {
        let (_guard, storage, provision) = storage().await;
        std::fs::create_dir(storage.directory(&provision)).unwrap();
        let next = storage
            .plan(&AppId::parse("crm").unwrap(), &RequestedDatabase::Database(None), "")
            .await
            .unwrap();
        assert_eq!(next.directory, "crm.2");
    }
}
