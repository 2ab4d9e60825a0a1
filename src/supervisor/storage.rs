//! Making and removing what an application keeps its data in.
//!
//! That is a directory of its own below `apps/`, and a database: on SQLite a file in the directory,
//! on a server one beside the main application's. Directory and database carry a mark with the key
//! of the creation that made them: a roll-back or a purge removes what has its own mark alone, so
//! that nothing the host did not make is ever removed.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::fs;

use crate::app;
use crate::data::{DataError, DataSource};
use crate::database::{Database, DatabaseError, Location};
use crate::protocol::{AppId, DatabaseMode};

use super::connection::{Connection, Wanted};
use super::damage::is_list_of_texts;
use super::failpoint::crash_point;

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
    /// The database of another service, in connection mode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection: Option<Connection>,
    /// What the names of its tables begin with.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub table_prefix: String,
    /// Whether its creation has not come to its end: only then is it taken back at a start.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unfinished: bool,
    /// The domains that the host gave it: of two rows that name one domain, this tells whose it is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub domains: Vec<String>,
}

/// The names of the places that an application has for itself: equal names are one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Places {
    pub(crate) directory: String,
    pub(crate) database: String,
}

/// What of an application's places another has, too, and who that is.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Shared {
    pub(crate) directory: Option<String>,
    pub(crate) database: Option<String>,
}

impl Provision {
    /// Reads what the registry says; else says what of it cannot be.
    pub(crate) fn read(given: Value) -> Result<Self, String> {
        type Check = fn(&Value) -> bool;
        let Value::Object(entries) = &given else { return Err("it is no JSON object".to_owned()) };
        let is_text: Check = Value::is_string;
        let known: [(&str, bool, &str, Check); 8] = [
            ("key", true, "a text", is_text),
            ("directory", true, "a text", is_text),
            ("database", false, "a text", is_text),
            ("schema", false, "a text", is_text),
            ("tablePrefix", false, "a text", is_text),
            ("unfinished", false, "true or false", Value::is_boolean),
            ("connection", false, "an object with url and create", Value::is_object),
            ("domains", false, "a list of texts", is_list_of_texts),
        ];
        for (name, needed, expected, fits) in known {
            match entries.get(name) {
                None | Some(Value::Null) if needed => return Err(format!("{name} is missing")),
                Some(value) if !value.is_null() && !fits(value) => {
                    return Err(format!("{name} is not {expected}"));
                }
                _ => {}
            }
        }
        let provision: Self = serde_json::from_value(given)
            .map_err(|error| error.to_string().replace("missing field", "there is no"))?;
        provision.check().map(|()| provision)
    }

    /// Whether it says where things are, and where the host puts them.
    fn check(&self) -> Result<(), String> {
        let is_name = |name: &str| !matches!(name, "" | "." | "..") && !name.contains(['/', '\0']);
        if !is_name(&self.directory) {
            return Err(format!("{:?} is no directory below apps/", self.directory));
        }
        if self.key.is_empty() || self.key.contains('\0') {
            return Err("the key of what was made is empty, or has a character U+0000".to_owned());
        }
        match &self.connection {
            Some(connection) if connection.location(None).is_none() => {
                Err("the URL of its database cannot be read".to_owned())
            }
            _ => Ok(()),
        }
    }

    /// How the application's database is connected.
    #[must_use]
    pub(crate) fn mode(&self) -> DatabaseMode {
        match (&self.connection, &self.schema) {
            (Some(_), _) => DatabaseMode::Connection,
            (None, Some(_)) => DatabaseMode::Schema,
            (None, None) => DatabaseMode::Database,
        }
    }
}

/// The place where applications' directories are, and the service that has their databases.
#[derive(Debug, Clone)]
pub(crate) struct Premises {
    root: PathBuf,
    main: Location,
    /// What the keys of this host's creations begin with.
    host: String,
}

/// The file with a number by which this host is told from others on the same server.
pub(super) const HOST_FILE: &str = "host.id";

/// What a removal came to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Removed {
    /// What there was, and is gone.
    pub gone: Vec<String>,
    /// What stays, since the host did not make it.
    pub kept: Vec<String>,
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
    /// The file with the host's number holds something else.
    #[error("{} holds no number of a host", .0.display())]
    HostFile(PathBuf),
    /// The database.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// Its tables.
    #[error(transparent)]
    Data(DataError),
}

impl Premises {
    /// Below `<data directory>/apps`, which is made when it is missing, and beside the main
    /// application's database.
    pub(crate) async fn open(data_directory: &Path, main: Location) -> Result<Self, ProvisionError> {
        let root = data_directory.join("apps");
        fs::create_dir_all(&root).await.map_err(failed(&root, "made"))?;
        let host = host_of(data_directory, &main).await?;
        Ok(Self { root, main, host })
    }

    /// A provision for `id` in a directory that is free: named after the ID, with a number when
    /// the data of a deleted application still stands there. What it is not said to be named on the
    /// server is named after the directory. A connection's password is for the caller to add.
    pub(crate) async fn plan(
        &self,
        id: &AppId,
        wanted: &Wanted,
        table_prefix: &str,
    ) -> Result<Provision, ProvisionError> {
        let key = format!("{}{}", self.owners(), uuid::Uuid::new_v4().simple());
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
                match wanted {
                    Wanted::Database(name) => provision.database = name.clone().or(beside),
                    Wanted::Schema(name) => provision.schema = name.clone().or(beside),
                    Wanted::Connection { location, create } => {
                        provision.connection = Some(Connection {
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
            // A dot is in no ID, so that this name is no other application's first choice.
            directory = format!("{id}.{number}");
        }
    }

    /// What the keys of all creations of this host begin with.
    pub(crate) fn owners(&self) -> String {
        format!("{}-", self.host)
    }

    /// The application's directory.
    #[must_use]
    pub(crate) fn directory(&self, provision: &Provision) -> PathBuf {
        self.root.join(&provision.directory)
    }

    /// Where its database is; the password is a connection's.
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

    /// The places of an application.
    pub(crate) fn places(&self, provision: &Provision, location: &Location) -> Places {
        let below = |directory: &str| format!("apps/{directory}");
        let directory = below(&provision.directory);
        let database = match (location, &provision.connection) {
            (Location::Sqlite(_), None) => directory.clone(),
            // A file that another service made may be in the directory of an application.
            (Location::Sqlite(_), Some(_)) => {
                let place = location.identity();
                let root = std::fs::canonicalize(&self.root).unwrap_or_else(|_| self.root.clone());
                let inside = Path::new(&place).strip_prefix(root).ok().and_then(Path::to_str);
                let of = inside.and_then(|inside| inside.strip_suffix(DATABASE_FILE)?.strip_suffix('/'));
                of.map(below).unwrap_or(place)
            }
            _ => location.identity(),
        };
        Places { directory, database }
    }

    /// Whether the places bear the name of this application, as they do unless others were asked for.
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

    /// Where the database of an application usually is, of which nothing else is known.
    pub(crate) fn usual_location(&self, id: &AppId) -> Location {
        let beside = self.main.sibling_name(id.as_str()).and_then(|name| self.main.sibling(&name));
        beside.unwrap_or_else(|| Location::Sqlite(self.root.join(id.as_str()).join(DATABASE_FILE)))
    }

    /// Makes the directory, its mark and an empty database, or opens the one it is given.
    pub(crate) async fn make(
        &self,
        provision: &Provision,
        location: &Location,
    ) -> Result<Database, ProvisionError> {
        let directory = self.directory(provision);
        fs::create_dir(&directory).await.map_err(failed(&directory, "made"))?;
        crash_point("create.directory-made");
        let mark = directory.join(MARK);
        fs::write(&mark, &provision.key).await.map_err(failed(&mark, "written"))?;
        crash_point("create.directory-marked");
        let database = match &provision.connection {
            Some(connection) if !connection.create => Database::open(location).await?,
            // Its directory has the mark.
            None if location.directory().is_some() => Database::create(location).await?,
            _ => Database::create_owned(location, &provision.key).await?,
        };
        crash_point("create.database-made");
        Ok(database.with_table_prefix(&provision.table_prefix))
    }

    /// Removes what [`Self::make`] made, as far as it came, and the application's tables from a
    /// database that the host did not make; gives what there was and what stays. What has another
    /// mark, or is another application's, too, is left alone.
    pub(crate) async fn remove(
        &self,
        provision: &Provision,
        location: &Location,
        shared: &Shared,
    ) -> Result<Removed, ProvisionError> {
        let mut removed = Removed::default();
        match &shared.database {
            Some(who) => removed.kept.push(format!("{location}: {who} has it, too")),
            None => remove_database(provision, location, &mut removed).await?,
        }
        crash_point("purge.database-removed");
        let directory = self.directory(provision);
        match &shared.directory {
            // That of the file was said already.
            Some(_) if shared.database.is_some() && location.directory() == Some(&directory) => {}
            Some(who) => removed.kept.push(format!("{}: {who} has it, too", directory.display())),
            None => self.remove_directory(provision, &directory, &mut removed).await?,
        }
        Ok(removed)
    }

    async fn remove_directory(
        &self,
        provision: &Provision,
        directory: &Path,
        removed: &mut Removed,
    ) -> Result<(), ProvisionError> {
        let mark = directory.join(MARK);
        let is_other = fs::symlink_metadata(&mark).await.is_ok_and(|metadata| !metadata.is_file());
        match if is_other { Ok(b"?".to_vec()) } else { fs::read(&mark).await } {
            Ok(key) if key == provision.key.as_bytes() => {}
            // A crash during `write` can leave the mark empty; then nothing else is there yet.
            Ok(key) if key.is_empty() => {
                fs::remove_file(&mark).await.map_err(failed(&mark, "removed"))?;
                return self.remove_empty(directory, removed).await;
            }
            Ok(_) => {
                let other = "its mark is not this application's, so that all in it was left";
                removed.kept.push(format!("{}: {other}", directory.display()));
                return Ok(());
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return self.remove_empty(directory, removed).await;
            }
            Err(error) => return Err(failed(&mark, "read")(error)),
        }
        // The mark goes last: a crash half way through is taken up again by the same test.
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
        self.remove_empty(directory, removed).await
    }

    async fn remove_empty(&self, directory: &Path, removed: &mut Removed) -> Result<(), ProvisionError> {
        match fs::remove_dir(directory).await {
            Ok(()) => removed.gone.push(directory.display().to_string()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {
                let unmarked =
                    format!("it has no mark ({MARK}) of this application, so that all in it was left");
                removed.kept.push(format!("{}: {unmarked}", directory.display()));
            }
            Err(error) => return Err(failed(directory, "removed")(error)),
        }
        Ok(())
    }
}

/// Removes an application's database where the host made it, and its tables where it did not.
async fn remove_database(
    provision: &Provision,
    location: &Location,
    removed: &mut Removed,
) -> Result<(), ProvisionError> {
    match &provision.connection {
        Some(connection) if !connection.create => {
            if connection.claimed {
                remove_tables(provision, location, removed).await?;
            }
            removed.kept.push(format!("{location}: this host did not make it"));
            return Ok(());
        }
        // A file keeps its mark until it is claimed.
        Some(connection) if location.directory().is_some() && connection.claimed => {
            removed.gone = Database::remove(location).await?;
            Database::clear_owner(location, &provision.key).await?;
            return Ok(());
        }
        // A file in the directory goes with the directory, and by its mark.
        None if location.directory().is_some() => return Ok(()),
        Some(_) | None => removed.gone = Database::remove_owned(location, &provision.key).await?,
    }
    if removed.gone.is_empty()
        && let Ok(database) = Database::open(location).await
    {
        database.close().await;
        removed.kept.push(format!("{location}: its mark is not this application's"));
    }
    Ok(())
}

/// What the keys of this host's creations begin with: a random number that is kept in the data directory,
/// together with where the registry is. A copy of the directory with a registry of its own is another host.
async fn host_of(data_directory: &Path, main: &Location) -> Result<String, ProvisionError> {
    let file = data_directory.join(HOST_FILE);
    if fs::metadata(&file).await.is_ok_and(|metadata| !metadata.is_file()) {
        // A pipe would be read for ever.
        return Err(ProvisionError::HostFile(file));
    }
    let known = match fs::read_to_string(&file).await {
        Ok(known) if !known.trim().is_empty() => known.trim().to_owned(),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            return Err(ProvisionError::HostFile(file));
        }
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(&file, "read")(error)),
        _ => {
            let made = uuid::Uuid::new_v4().simple().to_string();
            let draft = file.with_extension("draft");
            fs::write(&draft, format!("{made}\n")).await.map_err(failed(&draft, "written"))?;
            fs::rename(&draft, &file).await.map_err(failed(&file, "made"))?;
            made
        }
    };
    let hash = Sha256::digest(format!("{known} {main}"));
    Ok(hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect())
}

/// Removes an application's tables from a database that stays.
async fn remove_tables(
    provision: &Provision,
    location: &Location,
    removed: &mut Removed,
) -> Result<(), ProvisionError> {
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
            removed.gone.push(format!("{tables} tables of {location}"));
            Ok(())
        }
        Err(error) => Err(ProvisionError::Data(error)),
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
        let provision =
            premises.plan(&AppId::parse("crm").unwrap(), &Wanted::Database(None), "").await.unwrap();
        (directory, premises, provision)
    }

    async fn remove(premises: &Premises, provision: &Provision) -> Result<Removed, ProvisionError> {
        premises.remove(provision, &premises.location(provision, None), &Shared::default()).await
    }

    #[tokio::test]
    async fn what_was_made_is_removed_whole() {
        let (_guard, premises, provision) = premises().await;
        premises.make(&provision, &premises.location(&provision, None)).await.unwrap().close().await;
        assert_eq!(
            remove(&premises, &provision).await.unwrap().gone,
            [premises.directory(&provision).display().to_string()]
        );
        assert!(!premises.directory(&provision).exists());
        assert!(remove(&premises, &provision).await.unwrap().gone.is_empty());
    }

    #[tokio::test]
    async fn what_somebody_else_made_stays() {
        let (_guard, premises, provision) = premises().await;
        let directory = premises.directory(&provision);
        std::fs::create_dir(&directory).unwrap();
        std::fs::write(directory.join("theirs"), "x").unwrap();
        assert!(remove(&premises, &provision).await.unwrap().gone.is_empty());
        std::fs::write(directory.join(MARK), "another creation's key").unwrap();
        assert!(remove(&premises, &provision).await.unwrap().gone.is_empty());
        assert!(directory.join("theirs").exists());
        assert!(premises.make(&provision, &premises.location(&provision, None)).await.is_err());
    }

    #[tokio::test]
    async fn a_directory_in_use_is_not_planned_again() {
        let (_guard, premises, provision) = premises().await;
        std::fs::create_dir(premises.directory(&provision)).unwrap();
        let next = premises.plan(&AppId::parse("crm").unwrap(), &Wanted::Database(None), "").await.unwrap();
        assert_eq!(next.directory, "crm.2");
    }
}
