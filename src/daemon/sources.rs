//! Reads the settings from their sources: the file, the environment and the command line, in this order. A later
//! source replaces what an earlier one set.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::arguments::Arguments;
use super::error::{ConfigurationError, Place, Source};
use super::keys::{self, KEYS, Key};
use super::settings::Settings;
use super::values::Input;

/// The variables of the environment.
#[derive(Debug, Default)]
pub struct Environment(BTreeMap<String, OsString>);

/// Variables of `nbapps` and of tests that are no settings of the daemon.
const OTHER_VARIABLES: &[&str] = &[
    "NBAPPS_CONFIG",
    "NBAPPS_HOST",
    "NBAPPS_CONTEXT",
    "NBAPPS_AUTOSTART",
    "NBAPPS_COMPLETE",
    "NBAPPS_DB_URL",
    "NBAPPS_DB_PASSWORD",
    "NBAPPS_CRASH_AT",
    "NBAPPS_PANIC_AT",
];

impl Environment {
    /// The variables of this process.
    #[must_use]
    pub fn of_process() -> Self {
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value))).collect()
    }

    /// A variable; `None` when it is not set or empty.
    pub(super) fn get(&self, name: &str) -> Result<Option<&str>, ConfigurationError> {
        match self.0.get(name).map(|value| value.to_str()) {
            None | Some(Some("")) => Ok(None),
            Some(Some(value)) => Ok(Some(value)),
            Some(None) => Err(ConfigurationError::variable(name, "it is not UTF-8")),
        }
    }

    /// A sentence for each variable that looks like one of this program's and is not.
    pub(super) fn unknown(&self) -> Vec<String> {
        let known: Vec<&str> =
            KEYS.iter().filter_map(|key| key.variable).chain(OTHER_VARIABLES.iter().copied()).collect();
        let names = self.0.keys().map(String::as_str).filter(|name| name.starts_with("NBAPPS_"));
        let unknown = names.filter(|name| !known.contains(name));
        unknown
            .map(|name| {
                let ours = known.iter().copied().filter(|known| known.starts_with("NBAPPS_"));
                let nearest = keys::nearest(name, ours).unwrap_or_default();
                format!("the variable {name} is unknown and ignored; the nearest is {nearest}")
            })
            .collect()
    }
}

impl FromIterator<(String, OsString)> for Environment {
    fn from_iter<I: IntoIterator<Item = (String, OsString)>>(variables: I) -> Self {
        Self(variables.into_iter().collect())
    }
}

impl Settings {
    /// Checks a value and sets it.
    pub(super) fn set(
        &mut self,
        key: &'static Key,
        input: &Input<'_>,
        source: Source,
    ) -> Result<(), ConfigurationError> {
        match (key.set)(self, input) {
            Ok(()) => {
                self.sources.insert(key.name, source);
                Ok(())
            }
            Err(problem) => {
                Err(ConfigurationError::Value { origin: source, key: key.name.to_owned(), problem })
            }
        }
    }

    /// Reads a TOML file.
    pub(super) fn read(&mut self, file: &Path) -> Result<(), Vec<ConfigurationError>> {
        let text = std::fs::read_to_string(file)
            .map_err(|error| vec![ConfigurationError::Unreadable { file: file.to_owned(), error }])?;
        let table = DeTable::parse(&text).map_err(|error| {
            let at = Place::new(file, &text, error.span().map_or(0, |span| span.start));
            let problem = with_key(&error, &text);
            vec![ConfigurationError::Malformed { place: at, problem }]
        })?;
        let mut entries = Vec::new();
        for (key, value) in table.get_ref() {
            match value.get_ref() {
                DeValue::Table(table) if is_table(key.get_ref()) => {
                    let below = table.iter().map(|(name, value)| {
                        (format!("{}.{}", key.get_ref(), name.get_ref()), name.span().start, value)
                    });
                    entries.extend(below);
                }
                _ => entries.push((key.get_ref().to_string(), key.span().start, value)),
            }
        }
        // In the order of the file. A schema is of the database's URL, which goes first.
        entries.sort_by_key(|(name, start, _)| (name != "database.url", *start));
        let errors = entries.into_iter().filter_map(|(name, start, value)| {
            let place = |at| Place::new(file, &text, at);
            match keys::named(&name) {
                None => {
                    let problem = unknown_key(&name);
                    Some(ConfigurationError::Value { origin: Source::File(place(start)), key: name, problem })
                }
                Some(key) => self.set(key, &input(value), Source::File(place(value.span().start))).err(),
            }
        });
        let errors: Vec<_> = errors.collect();
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }

    /// Reads this program's variables.
    pub(super) fn read_environment(&mut self, environment: &Environment) -> Vec<ConfigurationError> {
        let mut errors = Vec::new();
        for key in KEYS {
            let Some(name) = key.variable else { continue };
            let set = environment.get(name).and_then(|value| match value {
                Some(value) => self.set(key, &Input::Word(value), Source::Variable(name.to_owned())),
                None => Ok(()),
            });
            errors.extend(set.err());
        }
        errors
    }

    /// Reads the command line.
    pub(super) fn read_arguments(&mut self, arguments: &Arguments) -> Vec<ConfigurationError> {
        let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.to_string_lossy().into_owned());
        let given = [
            ("data_dir", "--data-dir", path(&arguments.data_dir)),
            ("socket", "--socket", path(&arguments.socket)),
            ("socket_group", "--socket-group", arguments.socket_group.clone()),
            ("listen", "--listen", arguments.listen.map(|listen| listen.to_string())),
            ("log.level", "--log-level", arguments.log_level.clone()),
        ];
        let mut errors = Vec::new();
        for (name, option, value) in given {
            if let (Some(key), Some(value)) = (keys::named(name), value) {
                errors.extend(self.set(key, &Input::Word(&value), Source::Option(option)).err());
            }
        }
        // Their types need no text: a path may have bytes that are none.
        if let Some(data_dir) = &arguments.data_dir {
            self.data_dir = Some(data_dir.clone());
        }
        if let Some(socket) = &arguments.socket {
            self.socket = Some(socket.clone());
        }
        if let Some(format) = arguments.log_format {
            self.log.format = Some(format);
            self.sources.insert("log.format", Source::Option("--log-format"));
        }
        errors
    }
}

/// Whether keys are in a table of this name.
fn is_table(name: &str) -> bool {
    KEYS.iter().any(|key| key.name.split_once('.').is_some_and(|(table, _)| table == name))
}

fn unknown_key(name: &str) -> String {
    if is_table(name) {
        return format!("it is a table: write [{name}] and its keys below");
    }
    let names = KEYS.iter().map(|key| key.name);
    format!("there is no such key; the nearest is {}", keys::nearest(name, names).unwrap_or_default())
}

/// A value of the file, by its type.
fn input<'a>(value: &'a Spanned<DeValue<'_>>) -> Input<'a> {
    match value.get_ref() {
        DeValue::String(text) => Input::Text(text),
        DeValue::Integer(number) if number.radix() == 10 => Input::Number(number.as_str()),
        DeValue::Integer(_) => Input::Other("a number that is not decimal"),
        DeValue::Float(_) => Input::Other("a number with a fraction"),
        DeValue::Boolean(_) => Input::Other("a boolean"),
        DeValue::Datetime(_) => Input::Other("a time"),
        DeValue::Table(_) => Input::Other("a table"),
        DeValue::Array(array) => {
            let texts = array.iter().map(|part| match part.get_ref() {
                DeValue::String(text) => Some(&**text),
                _ => None,
            });
            texts
                .collect::<Option<Vec<_>>>()
                .map_or(Input::Other("an array of other than texts"), Input::List)
        }
    }
}

/// The message with the key that it concerns, which the parser shows only in its excerpt of the line.
fn with_key(error: &toml::de::Error, text: &str) -> String {
    let line = error.span().and_then(|span| {
        let start = text[..span.start.min(text.len())].rfind('\n').map_or(0, |at| at + 1);
        text[start..].lines().next()
    });
    let key = line.and_then(|line| line.split_once('=')).map(|(key, _)| key.trim());
    match key {
        Some(key) if !error.message().contains(key) => format!("{key}: {}", error.message()),
        _ => error.message().to_owned(),
    }
}
