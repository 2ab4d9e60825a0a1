//! Prints the effective configuration: each key with its value and where that comes from.

use serde::Serialize;
use serde_json::Value;

use super::arguments::ConfigFormat;
use super::error::Source;
use super::keys::{HIDDEN, KEYS};
use super::loading::Loaded;

/// A key with its effective value.
#[derive(Debug, Serialize)]
struct Setting {
    key: &'static str,
    /// Null when there is none; secrets are not shown.
    value: Value,
    /// `default`, `file`, `environment` or `option`.
    source: &'static str,
    /// The place in the file, the variable or the option.
    #[serde(skip_serializing_if = "Option::is_none")]
    place: Option<String>,
    /// The default, in words.
    default: &'static str,
    /// What values look like.
    form: &'static str,
    /// The variable of the environment that sets it.
    #[serde(skip_serializing_if = "Option::is_none")]
    variable: Option<&'static str>,
    /// What it is for.
    help: &'static str,
}

fn settings(loaded: &Loaded) -> Vec<Setting> {
    let setting = |key: &super::keys::Key| {
        let source = loaded.settings.sources.get(key.name);
        Setting {
            key: key.name,
            value: (key.show)(&loaded.settings, &loaded.configuration),
            source: match source {
                None => "default",
                Some(Source::File(_)) => "file",
                Some(Source::Variable(_)) => "environment",
                Some(Source::Option(_)) => "option",
            },
            place: source.map(ToString::to_string),
            default: key.default,
            form: key.form,
            variable: key.variable,
            help: key.help,
        }
    };
    KEYS.iter().map(setting).collect()
}

/// The effective configuration as text.
pub(super) fn text(loaded: &Loaded, format: ConfigFormat) -> String {
    let settings = settings(loaded);
    match format {
        ConfigFormat::Json => serde_json::to_string_pretty(&settings).unwrap_or_default() + "\n",
        ConfigFormat::Toml => as_file(&settings),
    }
}

/// A configuration file of the same effect, but for secrets, with the source of each value as a comment.
fn as_file(settings: &[Setting]) -> String {
    let mut file = String::new();
    let mut current = "";
    for setting in settings {
        let (table, name) = setting.key.split_once('.').unwrap_or(("", setting.key));
        if table != current {
            file.push_str(&format!("\n[{table}]\n"));
            current = table;
        }
        let source = setting.place.as_deref().unwrap_or(setting.source);
        let line = match &setting.value {
            Value::Null => format!("# {name} = "),
            value if value == HIDDEN => format!("# {name} = \"{HIDDEN}\""),
            Value::String(text) => format!("{name} = {}", toml::Value::String(text.clone())),
            // Numbers and arrays of texts are written alike in both.
            value => format!("{name} = {value}"),
        };
        file.push_str(&format!("{line:<48} # {source}\n"));
    }
    file
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::super::arguments::Arguments;
    use super::super::configuration::Configuration;
    use super::super::sources::Environment;
    use super::*;

    fn load(file: &str) -> (tempfile::TempDir, Loaded) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("nbappsd.toml");
        std::fs::write(&path, file).unwrap();
        let arguments = Arguments::parse_from(["nbappsd", "--config", path.to_str().unwrap()]);
        let loaded = Configuration::load(&arguments, &Environment::default()).unwrap();
        (directory, loaded)
    }

    #[test]
    fn what_is_shown_is_a_file_of_the_same_effect_without_secrets() {
        let file = "listen = '127.0.0.1:7'\ntrusted_proxies = ['10.0.0.0/8', '::1']\n\
                    [database]\nurl = 'postgres://ada:s3cret@db/n'\nschema = 'main'\n\
                    [root_user]\npassword = 's3cret'\n[limits]\nbody = '1MiB'\nrate = 5";
        let (directory, loaded) = load(file);
        let shown = text(&loaded, ConfigFormat::Toml);
        assert!(!shown.contains("s3cret"), "{shown}");
        let place = format!("# {}/nbappsd.toml:1:10", directory.path().display());
        assert!(shown.contains("listen = \"127.0.0.1:7\"") && shown.contains(&place), "{shown}");
        let (_again, again) = load(&shown);
        let without_places = |text: &str| {
            let lines =
                text.lines().map(|line| line.split(" # ").next().unwrap_or_default().trim().to_owned());
            lines.filter(|line| !line.contains("password")).collect::<Vec<_>>()
        };
        assert_eq!(without_places(&text(&again, ConfigFormat::Toml)), without_places(&shown));
        let json: Vec<Value> = serde_json::from_str(&text(&loaded, ConfigFormat::Json)).unwrap();
        assert_eq!(json.len(), KEYS.len());
        let body = json.iter().find(|setting| setting["key"] == "limits.body").unwrap();
        assert_eq!((&body["value"], &body["source"]), (&"1MiB".into(), &"file".into()));
    }

    #[test]
    fn the_readme_has_every_key() {
        let readme = include_str!("../../README.md");
        let block = readme.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
        let mut named = Vec::new();
        let mut table = String::new();
        for line in block.lines() {
            if let Some((name, _)) = line.strip_prefix('[').and_then(|line| line.split_once(']')) {
                table = format!("{name}.");
            } else if let Some((key, _)) =
                line.split_once(" = ").filter(|(key, _)| !key.starts_with(['#', ' ']))
            {
                named.push(format!("{table}{key}"));
            }
        }
        named.sort();
        let mut keys: Vec<_> = KEYS.iter().map(|key| key.name.to_owned()).collect();
        keys.sort();
        assert_eq!(named, keys);
    }
}
