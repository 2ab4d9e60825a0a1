//! Reads documents from files, directories and standard input.

use std::collections::HashMap;
use std::fmt;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::value::RawValue;

use super::document::{App, Document};
use crate::cli::error::CliError;
use crate::protocol::AppId;

/// Where an application is described.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// The file, as errors name it.
    file: String,
    /// The line, from 1; 0 where it is unknown.
    line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => formatter.write_str(&self.file),
            line => write!(formatter, "{}:{line}", self.file),
        }
    }
}

/// An application as a document wants it.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    /// What the document says.
    pub(crate) app: App,
    /// Where it says so.
    pub(crate) place: Place,
    /// The directory that files in the document are relative to.
    pub(crate) base: PathBuf,
}

/// The applications of all documents.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    /// In the order of the documents.
    pub(crate) wanted: Vec<Wanted>,
}

/// The format of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Toml,
    Yaml,
    Json,
}

/// What is wrong in a text, and where.
struct Malformed {
    /// Line and column, from 1; 0 where they are unknown.
    at: (usize, usize),
    key: String,
    problem: String,
}

impl Format {
    /// The format that a file's name says.
    fn named(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()? {
            "toml" => Some(Self::Toml),
            "yaml" | "yml" => Some(Self::Yaml),
            "json" => Some(Self::Json),
            _ => None,
        }
    }

    /// The format that a text looks like.
    fn guessed(text: &str) -> Self {
        let line = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'));
        let line = line.unwrap_or_default();
        let key = line.split(['=', ':']).next().unwrap_or_default();
        match line.chars().next() {
            Some('{') => Self::Json,
            Some('[') => Self::Toml,
            _ if line[key.len()..].starts_with('=') => Self::Toml,
            _ => Self::Yaml,
        }
    }

    /// Parses a text. One without content is an empty document.
    fn parse<T: DeserializeOwned + Default>(self, text: &str) -> Result<T, Malformed> {
        if self.is_empty(text) {
            return Ok(T::default());
        }
        match self {
            Self::Toml => {
                let malformed = |error: &toml::de::Error, key: String| Malformed {
                    at: error.span().map_or((0, 0), |span| position(text, span.start)),
                    key,
                    problem: error.message().to_owned(),
                };
                let deserializer =
                    toml::Deserializer::parse(text).map_err(|error| malformed(&error, String::new()))?;
                serde_path_to_error::deserialize(deserializer)
                    .map_err(|error| malformed(error.inner(), error.path().to_string()))
            }
            Self::Json => {
                let mut deserializer = serde_json::Deserializer::from_str(text);
                let parsed = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
                    let inner = error.inner();
                    Malformed {
                        at: (inner.line(), inner.column()),
                        key: error.path().to_string(),
                        problem: without_position(&inner.to_string()),
                    }
                })?;
                deserializer.end().map_err(|error| Malformed {
                    at: (error.line(), error.column()),
                    key: String::new(),
                    problem: without_position(&error.to_string()),
                })?;
                Ok(parsed)
            }
            Self::Yaml => {
                let mut key = String::new();
                let parsed = serde_saphyr::with_deserializer_from_str(text, |deserializer| {
                    serde_path_to_error::deserialize(deserializer).map_err(|error| {
                        key = error.path().to_string();
                        error.into_inner()
                    })
                });
                parsed.map_err(|error| {
                    let at = error.location().map_or((0, 0), |at| (at.line(), at.column()));
                    let at = (usize::try_from(at.0).unwrap_or(0), usize::try_from(at.1).unwrap_or(0));
                    let problem = without_position(&error.without_snippet().to_string());
                    Malformed { at, key, problem }
                })
            }
        }
    }

    fn is_empty(self, text: &str) -> bool {
        text.lines()
            .map(str::trim)
            .all(|line| line.is_empty() || self != Self::Json && (line.starts_with('#') || line == "---"))
    }

    /// The line of each application; fewer than there are when they cannot be told.
    fn lines(self, text: &str) -> Vec<usize> {
        #[derive(Deserialize)]
        struct Spans<T> {
            #[serde(default = "Vec::new")]
            app: Vec<T>,
        }

        let lines: Option<Vec<usize>> = match self {
            Self::Toml => toml::from_str::<Spans<toml::Spanned<IgnoredAny>>>(text)
                .map(|spans| spans.app.iter().map(|app| position(text, app.span().start).0).collect())
                .ok(),
            Self::Yaml => serde_saphyr::from_str::<Spans<serde_saphyr::Spanned<IgnoredAny>>>(text)
                .map(|spans| {
                    let lines = spans.app.iter().map(|app| usize::try_from(app.referenced.line()));
                    lines.map(Result::unwrap_or_default).collect()
                })
                .ok(),
            Self::Json => serde_json::from_str::<Spans<&RawValue>>(text)
                .map(|spans| {
                    let start = |app: &&RawValue| app.get().as_ptr().addr() - text.as_ptr().addr();
                    spans.app.iter().map(|app| position(text, start(app)).0).collect()
                })
                .ok(),
        };
        lines.unwrap_or_default()
    }
}

/// The line and the column, from 1, of a byte of a text.
fn position(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (before.matches('\n').count() + 1, column)
}

/// An error's message without the position, which is said before it.
fn without_position(message: &str) -> String {
    let line = message.lines().next().unwrap_or_default();
    let cut = [" at line ", " (line "].iter().filter_map(|mark| line.rfind(mark)).min();
    line[..cut.unwrap_or(line.len())].to_owned()
}

impl Malformed {
    fn error(self, file: &str) -> CliError {
        let (line, column) = self.at;
        let place = if line == 0 { file.to_owned() } else { format!("{file}:{line}:{column}") };
        let key = match self.key.as_str() {
            "" | "." => String::new(),
            key => format!("{key}: "),
        };
        CliError::usage(
            format!("{place}: {key}{}", self.problem),
            "the keys and their values are in: nbapps schema apply",
        )
    }
}

impl Sources {
    /// Reads documents: files, the documents in directories, and `-`, standard input.
    ///
    /// # Errors
    /// Every error of every document.
    pub(crate) fn read(paths: &[PathBuf]) -> Result<Self, Vec<CliError>> {
        let mut sources = Self::default();
        let mut errors = Vec::new();
        for path in paths {
            match files(path) {
                Ok(files) => errors.extend(files.iter().flat_map(|file| sources.add_file(file))),
                Err(error) => errors.push(error),
            }
        }
        errors.extend(sources.repeated());
        if errors.is_empty() { Ok(sources) } else { Err(errors) }
    }

    fn add_file(&mut self, path: &Path) -> Option<CliError> {
        let is_input = path == Path::new("-");
        let name = if is_input { "standard input".to_owned() } else { path.display().to_string() };
        let read = match is_input {
            true => {
                let mut text = String::new();
                std::io::stdin().read_to_string(&mut text).map(|_| text)
            }
            false => std::fs::read_to_string(path),
        };
        let text = match read {
            Ok(text) => text,
            Err(error) => {
                return Some(CliError::usage(
                    format!("{name} cannot be read: {error}"),
                    "give a file that this user can read, a directory, or - for standard input",
                ));
            }
        };
        let base = path.parent().filter(|_| !is_input).map(Path::to_owned).unwrap_or_default();
        let format = Format::named(path).unwrap_or_else(|| Format::guessed(&text));
        self.add(&text, format, &name, &base).err().map(|malformed| malformed.error(&name))
    }

    fn add(&mut self, text: &str, format: Format, name: &str, base: &Path) -> Result<(), Malformed> {
        let document: Document = format.parse(text)?;
        let mut lines = format.lines(text).into_iter();
        self.wanted.extend(document.app.into_iter().map(|app| {
            let place = Place { file: name.to_owned(), line: lines.next().unwrap_or_default() };
            Wanted { app, place, base: base.to_owned() }
        }));
        Ok(())
    }

    /// An error for each application that is described twice.
    fn repeated(&self) -> Vec<CliError> {
        let mut known: HashMap<&AppId, &Place> = HashMap::new();
        let mut errors = Vec::new();
        for Wanted { app, place, .. } in &self.wanted {
            if let Some(before) = known.get(&app.id) {
                errors.push(CliError::usage(
                    format!("{place}: the application {} is described already at {before}", app.id),
                    "describe each application once",
                ));
                continue;
            }
            known.insert(&app.id, place);
        }
        errors
    }
}

/// The documents at a path. Those of a directory are in alphabetical order, and may be none.
fn files(path: &Path) -> Result<Vec<PathBuf>, CliError> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let entries = std::fs::read_dir(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let entries = entries.map_err(|error| CliError::Io {
        what: format!("the directory {} cannot be read", path.display()),
        error,
    })?;
    let documents = entries.into_iter().map(|entry| entry.path());
    let mut documents: Vec<PathBuf> =
        documents.filter(|path| path.is_file() && Format::named(path).is_some()).collect();
    documents.sort();
    Ok(documents)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOML: &str = "\
version = 1

[[app]]
id = \"crm\"
limits = { in-flight = 16 }

[[app]]
id = \"hr\"
[[app.collections]]
name = \"posts\"
[[app.collections.fields]]
name = \"views\"
type = \"decimal\"
precision = 5
scale = 2
";

    const YAML: &str = "\
# Two of them.
version: 1
app:
  - id: crm
    limits: {in-flight: 16}
  - id: hr
    collections:
      - name: posts
        fields:
          - {name: views, type: decimal, precision: 5, scale: 2}
";

    const JSON: &str = r#"{"version": 1, "app": [
  {"id": "crm", "limits": {"in-flight": 16}},
  {"id": "hr", "collections": [{"name": "posts", "fields": [
    {"name": "views", "type": "decimal", "precision": 5, "scale": 2}]}]}
]}"#;

    fn read(text: &str, format: Format) -> Result<Sources, String> {
        let mut sources = Sources::default();
        let added = sources.add(text, format, "apps", Path::new("/base"));
        added.map_err(|malformed| malformed.error("apps").to_string())?;
        Ok(sources)
    }

    #[test]
    fn the_formats_say_the_same() {
        let toml = read(TOML, Format::Toml).unwrap();
        let lines = |sources: &Sources| sources.wanted.iter().map(|app| app.place.line).collect::<Vec<_>>();
        assert_eq!(lines(&toml), [3, 7]);
        for (text, format, expected) in [(YAML, Format::Yaml, [4, 6]), (JSON, Format::Json, [2, 3])] {
            assert_eq!(Format::guessed(text), format);
            let other = read(text, format).unwrap();
            let apps =
                |sources: &Sources| sources.wanted.iter().map(|app| app.app.clone()).collect::<Vec<_>>();
            assert_eq!(apps(&other), apps(&toml), "{format:?}");
            assert_eq!(lines(&other), expected, "{format:?}");
        }
        assert_eq!(Format::guessed(TOML), Format::Toml);
        assert_eq!(Format::guessed("# none\n[[app]]\n"), Format::Toml);
    }

    #[test]
    fn a_text_without_content_is_an_empty_document() {
        for (text, format) in [
            ("", Format::Toml),
            ("\n# nothing\n", Format::Toml),
            ("# nothing\n---\n", Format::Yaml),
            ("\n", Format::Json),
            ("version = 1\n", Format::Toml),
            ("app: []\n", Format::Yaml),
            ("{}", Format::Json),
        ] {
            assert!(read(text, format).unwrap().wanted.is_empty(), "{text:?}");
        }
    }

    #[test]
    fn errors_have_file_line_and_key() {
        for (text, format, says) in [
            ("[[app]]\nid = \"crm\"\nnmae = \"x\"\n", Format::Toml, &["apps:3:", "nmae"][..]),
            ("[[app]]\nid = \"Crm\"\n", Format::Toml, &["apps:2:", "app[0].id", "Crm"]),
            ("[[app]]\nid = \"a\"\n[app.limits]\nspeed = 1\n", Format::Toml, &["apps:", "limits", "speed"]),
            ("version = 2\n", Format::Toml, &["apps:1:", "version"]),
            ("[[app]\n", Format::Toml, &["apps:1:"]),
            ("app:\n  - id: crm\n    nmae: x\n", Format::Yaml, &["apps:3:", "nmae"]),
            ("app:\n  - id: crm\n    start_mode: never\n", Format::Yaml, &["apps:3:", "start_mode", "never"]),
            ("app:\n  - id: [\n", Format::Yaml, &["apps:"]),
            ("{\"app\": [\n{\"id\": \"crm\",\n\"nmae\": 1}]}", Format::Json, &["apps:3:", "nmae"]),
            ("{\"app\": [\n{\"id\": 7}]}", Format::Json, &["apps:2:", "app[0].id"]),
            ("{} x", Format::Json, &["apps:1:"]),
        ] {
            let error = read(text, format).unwrap_err();
            assert!(says.iter().all(|part| error.contains(part)), "{text}: {error}");
            assert_eq!(error.lines().count(), 1, "{error}");
        }
    }

    #[test]
    fn a_secret_in_a_document_is_refused_and_not_quoted() {
        let toml = "[[app]]\nid = \"crm\"\n[app.admin]\npassword = \"hunter2\"\n";
        let yaml = "app:\n  - id: crm\n    admin:\n      password: hunter2\n";
        for (text, format) in [(toml, Format::Toml), (yaml, Format::Yaml)] {
            let error = read(text, format).unwrap_err();
            assert!(error.contains("apps:4:") && error.contains("env:NAME"), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn directories_are_read_and_an_application_is_described_once() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        assert!(Sources::read(&[path.to_owned()]).unwrap().wanted.is_empty());
        std::fs::write(path.join("b.toml"), "[[app]]\nid = \"crm\"\n").unwrap();
        std::fs::write(path.join("a.yaml"), "app: [{id: hr}]\n").unwrap();
        std::fs::write(path.join("notes.txt"), "no document").unwrap();
        let sources = Sources::read(&[path.to_owned()]).unwrap();
        let ids: Vec<_> = sources.wanted.iter().map(|wanted| wanted.app.id.as_str()).collect();
        assert_eq!(ids, ["hr", "crm"]);
        assert_eq!(sources.wanted[0].base, path);
        let twice = Sources::read(&[path.to_owned(), path.join("b.toml")]).unwrap_err();
        assert!(twice[0].to_string().contains("crm is described already at"), "{}", twice[0]);
        let errors = Sources::read(&[path.join("none.toml"), path.join("neither.toml")]).unwrap_err();
        assert_eq!(errors.len(), 2);
    }
}
