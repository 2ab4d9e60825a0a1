//! Making and removing what an application keeps its data in.
//!
//! That is a directory of its own below `apps/`, and a database: on SQLite a file in the directory,
//! on a server one beside the main application's. Directory and database carry a mark with the key
//! of the creation that made them: a roll-back or a purge removes what has its own mark alone, so
//! that nothing the host did not make is ever removed.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tokio::fs;

use crate::database::{Database, DatabaseError, Location};
use crate::protocol::{AppId, DatabaseMode};

use super::crash::crash_point;

const MARK: &str = ".nbapps";
const DATABASE_FILE: &str = "database.sqlite";

/// What was, or is to be, made for one application. Written into the registry before anything
/// is made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Provision {
    /// Names this creation; stands in the mark of what it made.
    pub key: String,
    /// The directory below `apps/`.
    pub directory: String,
    /// The database's name on the main application's server; none for a file in the directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
    /// The schema's name in the main application's database, in schema mode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
}

impl Provision {
    /// How the application's database is connected.
    #[must_use]
    pub(crate) fn mode(&self) -> DatabaseMode {
        if self.schema.is_some() { DatabaseMode::Schema } else { DatabaseMode::Database }
    }
}

/// The place where applications' directories are, and the service that has their databases.
#[derive(Debug, Clone)]
pub(crate) struct Premises {
    root: PathBuf,
    main: Location,
}

/// What could not be made or removed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProvisionError {
    /// A directory or file.
    #[error("{} cannot be {doing}: {error}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What was tried.
        doing: &'static str,
        /// What went wrong.
        error: io::Error,
    },
    /// The database.
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

impl Premises {
    /// Below `<data directory>/apps`, which is made when it is missing, and beside the main
    /// application's database.
    pub(crate) async fn open(data_directory: &Path, main: Location) -> Result<Self, ProvisionError> {
        let root = data_directory.join("apps");
        fs::create_dir_all(&root).await.map_err(failed(&root, "made"))?;
        Ok(Self { root, main })
    }

    /// A provision for `id` in a directory that is free: named after the ID, with a number when
    /// the data of a deleted application still stands there.
    pub(crate) async fn plan(&self, id: &AppId, mode: DatabaseMode) -> Result<Provision, ProvisionError> {
        let key = uuid::Uuid::new_v4().simple().to_string();
        let mut directory = id.as_str().to_owned();
        let mut number = 1;
        loop {
            let path = self.root.join(&directory);
            if !fs::try_exists(&path).await.map_err(failed(&path, "looked up"))? {
                let name = self.main.name_beside(&directory);
                let (database, schema) =
                    if mode == DatabaseMode::Schema { (None, name) } else { (name, None) };
                return Ok(Provision { key, directory, database, schema });
            }
            number += 1;
            // A dot is in no ID, so that this name is no other application's first choice.
            directory = format!("{id}.{number}");
        }
    }

    /// The application's directory.
    #[must_use]
    pub(crate) fn directory(&self, provision: &Provision) -> PathBuf {
        self.root.join(&provision.directory)
    }

    /// Where its database is.
    #[must_use]
    pub(crate) fn location(&self, provision: &Provision) -> Location {
        let in_schema = provision.schema.as_deref().and_then(|name| self.main.within(name));
        let beside = provision.database.as_deref().and_then(|name| self.main.beside(name));
        let on_server = in_schema.or(beside);
        on_server.unwrap_or_else(|| Location::Sqlite(self.directory(provision).join(DATABASE_FILE)))
    }

    /// Makes the directory, its mark and an empty database.
    pub(crate) async fn make(&self, provision: &Provision) -> Result<Database, ProvisionError> {
        let directory = self.directory(provision);
        fs::create_dir(&directory).await.map_err(failed(&directory, "made"))?;
        crash_point("create.directory-made");
        let mark = directory.join(MARK);
        fs::write(&mark, &provision.key).await.map_err(failed(&mark, "written"))?;
        crash_point("create.directory-marked");
        let database = Database::create_owned(&self.location(provision), &provision.key).await?;
        crash_point("create.database-made");
        Ok(database)
    }

    /// Removes what [`Self::make`] made, as far as it came; gives what there was. What has another
    /// mark is left alone.
    pub(crate) async fn remove(&self, provision: &Provision) -> Result<Vec<String>, ProvisionError> {
        let mut removed = Vec::new();
        // A file in the directory goes with the directory, and by its mark.
        if provision.database.is_some() || provision.schema.is_some() {
            removed = Database::remove_owned(&self.location(provision), &provision.key).await?;
            crash_point("purge.database-removed");
        }
        removed.extend(self.remove_directory(provision).await?.map(|path| path.display().to_string()));
        Ok(removed)
    }

    async fn remove_directory(&self, provision: &Provision) -> Result<Option<PathBuf>, ProvisionError> {
        let directory = self.directory(provision);
        let mark = directory.join(MARK);
        match fs::read_to_string(&mark).await {
            Ok(key) if key == provision.key => {}
            // A crash during `write` can leave the mark empty; then nothing else is there yet.
            Ok(key) if key.is_empty() => {
                fs::remove_file(&mark).await.map_err(failed(&mark, "removed"))?;
                return self.remove_empty(&directory).await;
            }
            Ok(_) => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return self.remove_empty(&directory).await;
            }
            Err(error) => return Err(failed(&mark, "read")(error)),
        }
        // The mark goes last: a crash half way through is taken up again by the same test.
        let mut entries = fs::read_dir(&directory).await.map_err(failed(&directory, "read"))?;
        while let Some(entry) = entries.next_entry().await.map_err(failed(&directory, "read"))? {
            if entry.file_name() == MARK {
                continue;
            }
            let path = entry.path();
            let removed = match entry.file_type().await {
                Ok(kind) if kind.is_dir() => fs::remove_dir_all(&path).await,
                Ok(_) => fs::remove_file(&path).await,
                Err(error) => Err(error),
            };
            removed.map_err(failed(&path, "removed"))?;
        }
        crash_point("purge.data-removed");
        fs::remove_file(&mark).await.map_err(failed(&mark, "removed"))?;
        self.remove_empty(&directory).await
    }

    async fn remove_empty(&self, directory: &Path) -> Result<Option<PathBuf>, ProvisionError> {
        match fs::remove_dir(directory).await {
            Ok(()) => Ok(Some(directory.to_owned())),
            // Something of somebody else's is in it, or it is gone already.
            Err(error)
                if matches!(error.kind(), io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::NotFound) =>
            {
                Ok(None)
            }
            Err(error) => Err(failed(directory, "removed")(error)),
        }
    }
}

fn failed<'a>(path: &'a Path, doing: &'static str) -> impl Fn(io::Error) -> ProvisionError + 'a {
    move |error| ProvisionError::File { path: path.to_owned(), doing, error }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn premises() -> (tempfile::TempDir, Premises, Provision) {
        let directory = tempfile::tempdir().unwrap();
        let premises = Premises::open(directory.path(), Location::Sqlite("main".into())).await.unwrap();
        let provision = premises.plan(&AppId::parse("crm").unwrap(), DatabaseMode::Database).await.unwrap();
        (directory, premises, provision)
    }

    #[tokio::test]
    async fn what_was_made_is_removed_whole() {
        let (_guard, premises, provision) = premises().await;
        premises.make(&provision).await.unwrap().close().await;
        assert_eq!(
            premises.remove(&provision).await.unwrap(),
            [premises.directory(&provision).display().to_string()]
        );
        assert!(!premises.directory(&provision).exists());
        assert!(premises.remove(&provision).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn what_somebody_else_made_stays() {
        let (_guard, premises, provision) = premises().await;
        let directory = premises.directory(&provision);
        std::fs::create_dir(&directory).unwrap();
        std::fs::write(directory.join("theirs"), "x").unwrap();
        assert!(premises.remove(&provision).await.unwrap().is_empty());
        std::fs::write(directory.join(MARK), "another creation's key").unwrap();
        assert!(premises.remove(&provision).await.unwrap().is_empty());
        assert!(directory.join("theirs").exists());
        assert!(premises.make(&provision).await.is_err());
    }

    #[tokio::test]
    async fn a_directory_in_use_is_not_planned_again() {
        let (_guard, premises, provision) = premises().await;
        std::fs::create_dir(premises.directory(&provision)).unwrap();
        let next = premises.plan(&AppId::parse("crm").unwrap(), DatabaseMode::Database).await.unwrap();
        assert_eq!(next.directory, "crm.2");
    }
}
