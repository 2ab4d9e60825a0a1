//! The contexts of a user: names of daemons, one of which may be the current one.
//!
//! They are kept in a TOML file that only this user can read. A change locks a file beside it, and replaces the
//! file as a whole, so that a reader never sees a part of one and no change is lost.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use toml::Spanned;

use super::address::Address;
use super::paths;

/// The name of the context that is this machine's daemon, whichever runs. It is built in.
const LOCAL: &str = "local";

/// The longest name of a context, in bytes.
const MAX_NAME: usize = 64;

/// What the file begins with.
const PREAMBLE: &str =
    "# The contexts of nbapps. `nbapps context` writes this file, and keeps no comments.\n\n";

/// The name of a context: 1 to 64 letters, digits, `.`, `_` and `-`, beginning with a letter or a digit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContextName(String);

/// The text is not the name of a context.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is not the name of a context: that has 1 to 64 letters, digits, dots, underscores and dashes, and \
     begins with a letter or a digit"
)]
pub struct InvalidContextName {
    text: String,
}

impl ContextName {
    /// The name of the context that is this machine's daemon.
    #[must_use]
    pub fn local() -> Self {
        Self(LOCAL.to_owned())
    }

    /// Whether it is the context that is this machine's daemon.
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.0 == LOCAL
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ContextName {
    type Err = InvalidContextName;

    fn from_str(text: &str) -> Result<Self, InvalidContextName> {
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let is_valid = text.len() <= MAX_NAME
            && text.chars().all(is_allowed)
            && text.starts_with(|c: char| c.is_ascii_alphanumeric());
        match is_valid {
            true => Ok(Self(text.to_owned())),
            false => Err(InvalidContextName { text: text.to_owned() }),
        }
    }
}

impl fmt::Display for ContextName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why the contexts cannot be read or changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ContextsError {
    /// The environment names no directory for them.
    #[error("there is no place for contexts: neither XDG_CONFIG_HOME nor HOME is set")]
    NoDirectory,
    /// A file cannot be read, locked or written.
    #[error("the contexts in {} cannot be {doing}: {why}", path.display())]
    File {
        /// The file with the contexts.
        path: PathBuf,
        /// The operation, as a participle.
        doing: &'static str,
        /// What went wrong.
        why: String,
    },
    /// The content of the file is invalid.
    #[error("{}:{line}: {what}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong there.
        what: String,
    },
}

impl ContextsError {
    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::NoDirectory => "set HOME, or name the daemon with --host or --socket".to_owned(),
            Self::File { .. } => {
                "check the owner and the permissions of the file and of its directory".to_owned()
            }
            Self::Invalid { .. } => {
                "correct that line; --context local, --host and --socket do without the file".to_owned()
            }
        }
    }
}

/// The contexts of a user.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contexts {
    current: Option<ContextName>,
    addresses: BTreeMap<ContextName, Address>,
}

/// The file as it is read.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    current: Option<Spanned<String>>,
    #[serde(default)]
    contexts: BTreeMap<Spanned<String>, Place>,
}

/// Where the daemon of a context is.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Place {
    host: Option<Spanned<String>>,
    socket: Option<Spanned<PathBuf>>,
}

/// The file as it is written.
#[derive(Serialize)]
struct Written<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    current: Option<&'a str>,
    contexts: BTreeMap<&'a str, WrittenPlace<'a>>,
}

#[derive(Serialize)]
struct WrittenPlace<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    socket: Option<&'a Path>,
}

impl<'a> WrittenPlace<'a> {
    fn of(address: &'a Address) -> Self {
        match address {
            Address::Ssh(host) => Self { host: Some(host.to_string()), socket: None },
            Address::Socket(socket) => Self { host: None, socket: Some(socket.as_path()) },
        }
    }
}

impl Contexts {
    /// Reads the contexts of this user: none where there is no file.
    ///
    /// # Errors
    /// When the file cannot be read, or is invalid.
    pub fn load() -> Result<Self, ContextsError> {
        paths::contexts_file().map_or_else(|| Ok(Self::default()), |path| Self::read(&path))
    }

    /// Changes the contexts of this user, while no other process does. Where `change` fails, the file stays as it
    /// is.
    ///
    /// # Errors
    /// That of `change`, or when the file cannot be read or written.
    pub fn change<T, E: From<ContextsError>>(change: impl FnOnce(&mut Self) -> Result<T, E>) -> Result<T, E> {
        Self::change_in(&paths::contexts_file().ok_or(ContextsError::NoDirectory)?, change)
    }

    fn change_in<T, E: From<ContextsError>>(
        path: &Path,
        change: impl FnOnce(&mut Self) -> Result<T, E>,
    ) -> Result<T, E> {
        let failed = |doing, error: io::Error| ContextsError::File {
            path: path.to_owned(),
            doing,
            why: error.to_string(),
        };
        let directory = path.parent().unwrap_or(Path::new("/"));
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(|error| failed("written", error))?;
        let mut lock = path.as_os_str().to_owned();
        lock.push(".lock");
        let lock =
            OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(PathBuf::from(lock));
        let lock = lock.map_err(|error| failed("locked", error))?;
        // Released when the file is closed.
        lock.lock().map_err(|error| failed("locked", error))?;
        let before = Self::read(path)?;
        let mut contexts = before.clone();
        let changed = change(&mut contexts)?;
        if contexts != before {
            contexts.write(path).map_err(|error| failed("written", error))?;
        }
        Ok(changed)
    }

    fn read(path: &Path) -> Result<Self, ContextsError> {
        match std::fs::read_to_string(path) {
            Ok(text) => Self::parse(&text).map_err(|(at, what)| {
                let line = text.get(..at).map_or(1, |before| before.matches('\n').count() + 1);
                ContextsError::Invalid { path: path.to_owned(), line, what }
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => {
                Err(ContextsError::File { path: path.to_owned(), doing: "read", why: error.to_string() })
            }
        }
    }

    /// Parses the content of the file. An error has its place, in bytes, and what is wrong there.
    fn parse(text: &str) -> Result<Self, (usize, String)> {
        let content: Content = toml::from_str(text).map_err(|error| {
            (error.span().map_or(0, |span| span.start), error.message().replace('\n', ", "))
        })?;
        let mut contexts = Self::default();
        for (name, place) in content.contexts {
            let at = name.span().start;
            let name: ContextName = name.get_ref().parse().map_err(|error| (at, format!("{error}")))?;
            if name.is_local() {
                return Err((
                    at,
                    "the context \"local\" is built in, and is this machine's daemon".to_owned(),
                ));
            }
            let address = match place {
                Place { host: Some(host), socket: None } => host
                    .get_ref()
                    .parse()
                    .map_err(|error| (host.span().start, format!("context \"{name}\": {error}")))?,
                Place { host: None, socket: Some(socket) } if socket.get_ref().is_absolute() => {
                    Address::Socket(socket.into_inner())
                }
                Place { host: None, socket: Some(socket) } => {
                    let what = format!("context \"{name}\": the path of a socket must be absolute");
                    return Err((socket.span().start, what));
                }
                Place { .. } => {
                    let what = format!("context \"{name}\" must have one of the keys host and socket");
                    return Err((at, what));
                }
            };
            contexts.addresses.insert(name, address);
        }
        if let Some(current) = content.current {
            let at = current.span().start;
            let name: ContextName = current.get_ref().parse().map_err(|error| (at, format!("{error}")))?;
            if !contexts.has(&name) {
                return Err((at, format!("current: there is no context \"{name}\"")));
            }
            contexts.select(&name);
        }
        Ok(contexts)
    }

    /// Replaces the file, in one step, by one that only this user can read.
    fn write(&self, path: &Path) -> io::Result<()> {
        // A link to a file elsewhere stays one.
        let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let text = toml::to_string(&Written {
            current: self.current.as_ref().map(ContextName::as_str),
            contexts: self.addresses.iter().map(|(name, at)| (name.as_str(), WrittenPlace::of(at))).collect(),
        })
        .map_err(io::Error::other)?;
        let directory = path.parent().unwrap_or(Path::new("/"));
        // It is created with the mode 0600.
        let mut file = tempfile::Builder::new().prefix(".contexts").tempfile_in(directory)?;
        file.write_all(PREAMBLE.as_bytes())?;
        file.write_all(text.as_bytes())?;
        file.as_file().sync_all()?;
        file.persist(&path).map_err(|error| error.error)?;
        Ok(())
    }

    /// The context that commands use which name no daemon; `None` for this machine's.
    #[must_use]
    pub fn current(&self) -> Option<&ContextName> {
        self.current.as_ref()
    }

    /// The address of a context; `None` for `local`, too, which has no fixed one.
    #[must_use]
    pub fn get(&self, name: &ContextName) -> Option<&Address> {
        self.addresses.get(name)
    }

    /// Whether there is such a context.
    #[must_use]
    pub fn has(&self, name: &ContextName) -> bool {
        name.is_local() || self.addresses.contains_key(name)
    }

    /// The contexts with their addresses, by name, without `local`.
    pub fn iter(&self) -> impl Iterator<Item = (&ContextName, &Address)> {
        self.addresses.iter()
    }

    /// Adds a context, or changes its address.
    pub fn set(&mut self, name: ContextName, address: Address) {
        self.addresses.insert(name, address);
    }

    /// Makes a context the current one. The caller has checked that it exists.
    pub fn select(&mut self, name: &ContextName) {
        self.current = (!name.is_local()).then(|| name.clone());
    }

    /// Removes a context. The caller has checked that it is not the current one.
    pub fn remove(&mut self, name: &ContextName) {
        self.addresses.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn name(text: &str) -> ContextName {
        text.parse().unwrap()
    }

    fn file() -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("nbapps/contexts.toml");
        (directory, path)
    }

    fn add(path: &Path, added: &str, address: &Address) -> Result<(), ContextsError> {
        Contexts::change_in(path, |contexts| {
            contexts.set(name(added), address.clone());
            Ok(())
        })
    }

    #[test]
    fn what_is_written_is_read_again() {
        let (_directory, path) = file();
        assert_eq!(Contexts::read(&path), Ok(Contexts::default()));
        let far: Address = "ssh://ops@server:2222".parse().unwrap();
        let near = Address::Socket("/run/it's \"one\".sock".into());
        add(&path, "prod.eu-1", &far).unwrap();
        add(&path, "test_2", &near).unwrap();
        let select = |selected: &str| {
            Contexts::change_in(&path, |contexts| {
                contexts.select(&name(selected));
                Ok::<_, ContextsError>(())
            })
        };
        select("prod.eu-1").unwrap();
        let contexts = Contexts::read(&path).unwrap();
        assert_eq!(contexts.current(), Some(&name("prod.eu-1")));
        assert_eq!(contexts.get(&name("prod.eu-1")), Some(&far));
        assert_eq!(contexts.get(&name("test_2")), Some(&near));
        assert!(contexts.has(&ContextName::local()) && !contexts.has(&name("nosuch")));
        select("local").unwrap();
        assert_eq!(Contexts::read(&path).unwrap().current(), None);
    }

    #[test]
    fn the_file_is_of_this_user_alone_and_replaced_as_a_whole() {
        let (directory, path) = file();
        let address: Address = "ssh://server".parse().unwrap();
        add(&path, "one", &address).unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        // What was opened to others is closed again.
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        let elsewhere = directory.path().join("dotfiles.toml");
        std::fs::rename(&path, &elsewhere).unwrap();
        std::os::unix::fs::symlink(&elsewhere, &path).unwrap();
        let open = std::fs::File::open(&elsewhere).unwrap();
        add(&path, "two", &address).unwrap();
        assert!(std::fs::symlink_metadata(&path).unwrap().is_symlink());
        assert_eq!(mode(&elsewhere), 0o600);
        assert!(!io::read_to_string(open).unwrap().contains("two"), "a reader keeps what it opened");
        assert_eq!(Contexts::read(&path).unwrap().iter().count(), 2);
        let left: Vec<_> = std::fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap()).collect();
        assert_eq!(left.len(), 2, "{left:?}");
    }

    #[test]
    fn changes_that_come_together_are_all_kept() {
        let (_directory, path) = file();
        let address: Address = "ssh://server".parse().unwrap();
        std::thread::scope(|scope| {
            for number in 0..8 {
                let (path, address) = (&path, &address);
                scope.spawn(move || add(path, &format!("c{number}"), address).unwrap());
            }
        });
        assert_eq!(Contexts::read(&path).unwrap().iter().count(), 8);
    }

    #[test]
    fn a_change_that_fails_changes_nothing() {
        let (_directory, path) = file();
        let failed = Contexts::change_in(&path, |contexts| {
            contexts.set(name("one"), "ssh://server".parse().unwrap());
            Err::<(), _>(ContextsError::NoDirectory)
        });
        assert_eq!(failed, Err(ContextsError::NoDirectory));
        assert!(!path.exists());
    }

    #[test]
    fn a_broken_file_is_named_with_the_line() {
        let (_directory, path) = file();
        std::fs::create_dir(path.parent().unwrap()).unwrap();
        for (text, line, says) in [
            ("current = prod\n", 1, "string"),
            ("# fine\n\n[contexts.prod\nhost = 1", 3, "]"),
            ("[contexts.prod]\nhost = \"server\"\n", 2, "\"server\" is not a host"),
            ("[contexts.prod]\n\nhost = 5\n", 3, "string"),
            ("[contexts.prod]\nsocket = \"run/s\"\n", 2, "must be absolute"),
            ("\n[contexts.prod]\n", 2, "one of the keys host and socket"),
            ("[contexts.prod]\nhost = \"ssh://a\"\nsocket = \"/s\"\n", 1, "one of the keys host and socket"),
            ("[contexts.prod]\nhost = \"ssh://a\"\nport = 22\n", 3, "port"),
            ("colour = 1\n", 1, "colour"),
            ("[contexts.\"a b\"]\nhost = \"ssh://a\"\n", 1, "\"a b\" is not the name"),
            ("[contexts.local]\nhost = \"ssh://a\"\n", 1, "built in"),
            ("[contexts.a]\nhost = \"ssh://a\"\n[contexts.a]\nhost = \"ssh://b\"\n", 3, "duplicate"),
            ("current = \"test\"\n[contexts.prod]\nhost = \"ssh://a\"\n", 1, "there is no context \"test\""),
        ] {
            std::fs::write(&path, text).unwrap();
            let error = Contexts::read(&path).unwrap_err();
            let message = error.to_string();
            assert!(message.starts_with(&format!("{}:{line}: ", path.display())), "{text:?}: {message}");
            assert!(message.contains(says) && message.lines().count() == 1, "{text:?}: {message}");
            // It is not written over.
            assert_eq!(add(&path, "new", &"ssh://x".parse().unwrap()), Err(error));
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        }
    }

    #[test]
    fn names_are_words() {
        for valid in ["prod", "1", "a.b_c-d", &"x".repeat(64)] {
            assert_eq!(name(valid).as_str(), valid);
        }
        for invalid in ["", "-a", ".a", "a b", "a/b", "é", "a\n", &"x".repeat(65)] {
            assert!(invalid.parse::<ContextName>().is_err(), "{invalid:?}");
        }
    }
}
