//! Parses and checks the values of settings. The errors say what is valid; the caller adds where the value is.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::EnvFilter;

/// The longest path of a socket, in bytes: `sun_path` of `unix(7)` has room for a final zero byte as well.
const MAX_SOCKET_PATH: usize = 107;

/// The longest text of a name, in characters.
const MAX_TEXT: usize = 255;

/// A value as it was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Input<'a> {
    /// From the environment or the command line, which have no types.
    Word(&'a str),
    /// A text of the file.
    Text(&'a str),
    /// A whole number of the file.
    Number(&'a str),
    /// An array of texts in the file.
    List(Vec<&'a str>),
    /// A value of the file that no setting takes; its type.
    Other(&'static str),
}

impl<'a> Input<'a> {
    fn kind(&self) -> &'static str {
        match self {
            Self::Word(_) | Self::Text(_) => "a text",
            Self::Number(_) => "a number",
            Self::List(_) => "an array",
            Self::Other(kind) => kind,
        }
    }

    /// The text; not the empty one, and none with U+0000.
    pub(super) fn text(&self) -> Result<&'a str, String> {
        match self {
            Self::Word(text) | Self::Text(text) => match text.trim().is_empty() || text.contains('\0') {
                false => Ok(text),
                true => Err(format!("{text:?} is empty, or has a character U+0000")),
            },
            other => Err(format!("{} is not a text in quotes", other.kind())),
        }
    }

    /// A text that is short enough for a column of names.
    pub(super) fn name(&self) -> Result<String, String> {
        let text = self.text()?;
        match text.chars().count() {
            0..=MAX_TEXT => Ok(text.to_owned()),
            more => Err(format!("it has {more} characters; give at most {MAX_TEXT}")),
        }
    }

    /// A value of a type that parses itself. `expected` says what it is, with an example.
    pub(super) fn parsed<T: FromStr>(&self, expected: &str) -> Result<T, String> {
        let text = self.text().map_err(|error| format!("{error}; give {expected}"))?;
        text.trim().parse().map_err(|_| format!("\"{text}\" is not {expected}"))
    }

    /// A whole number.
    pub(super) fn number(&self, range: RangeInclusive<u64>) -> Result<u64, String> {
        let expected = format!("a number from {} to {}", range.start(), range.end());
        let (Self::Word(digits) | Self::Number(digits)) = self else {
            return Err(format!("{} is not {expected}", self.kind()));
        };
        let number = digits.trim().parse().ok().filter(|number| range.contains(number));
        number.ok_or_else(|| format!("{digits} is not {expected}"))
    }

    /// A duration, such as `30d` or `1h 30m`.
    pub(super) fn duration(&self, range: RangeInclusive<Duration>) -> Result<Duration, String> {
        let written = |duration: &Duration| humantime::format_duration(*duration).to_string();
        let expected =
            format!("a duration from {} to {}, such as 30s", written(range.start()), written(range.end()));
        let (Self::Word(text) | Self::Text(text)) = self else {
            return Err(format!("{} is not {expected}", self.kind()));
        };
        let duration = humantime::parse_duration(text).ok().filter(|duration| range.contains(duration));
        duration.ok_or_else(|| format!("\"{text}\" is not {expected}"))
    }

    /// A path.
    pub(super) fn path(&self) -> Result<PathBuf, String> {
        self.text().map(PathBuf::from)
    }

    /// The path of a socket.
    pub(super) fn socket(&self) -> Result<PathBuf, String> {
        let path = self.path()?;
        let absolute = std::path::absolute(&path).unwrap_or_else(|_| path.clone());
        match absolute.as_os_str().len() {
            0..=MAX_SOCKET_PATH => Ok(path),
            more => Err(format!("the path has {more} bytes; a socket's has at most {MAX_SOCKET_PATH}")),
        }
    }

    /// Several values: an array, or words with commas between them.
    pub(super) fn list<T: FromStr>(&self) -> Result<Vec<T>, String>
    where
        T::Err: Display,
    {
        let parts: Vec<&str> = match self {
            Self::List(parts) => parts.clone(),
            Self::Word(text) => text.split(',').map(str::trim).filter(|part| !part.is_empty()).collect(),
            other => return Err(format!("{} is not an array of texts", other.kind())),
        };
        parts.into_iter().map(|part| part.parse().map_err(|error: T::Err| error.to_string())).collect()
    }

    /// A URL of `http` or `https` to which paths can be added.
    pub(super) fn public_url(&self) -> Result<String, String> {
        let text = self.text()?;
        let parsed = text.parse::<http::Uri>().ok().filter(|url| {
            matches!(url.scheme_str(), Some("http" | "https"))
                && url.authority().is_some_and(|authority| !authority.as_str().contains('@'))
                && !text.contains(['?', '#'])
        });
        match parsed {
            Some(_) => Ok(text.trim_end_matches('/').to_owned()),
            None => Err(format!("\"{text}\" is not a URL such as https://apps.example.com")),
        }
    }

    /// A level, or filters such as `nbapps=debug,info`.
    pub(super) fn log_filter(&self) -> Result<String, String> {
        const EXPECTED: &str = "error, warn, info, debug, trace or off, or filters such as nbapps=debug,info";
        let text = self.text()?;
        let is_level = |word: &str| !word.is_empty() && word.parse::<LevelFilter>().is_ok();
        // Filters by span are left to the parser: their fields may contain commas.
        let wrong = text.split(',').map(str::trim).find(|filter| {
            let level = filter.rsplit_once('=').map_or(*filter, |(_, level)| level);
            !is_level(level)
        });
        match wrong {
            Some(filter) if !text.contains('[') => Err(format!("\"{filter}\" is none of {EXPECTED}")),
            _ => match EnvFilter::try_new(text) {
                Ok(_) => Ok(text.to_owned()),
                Err(error) => Err(format!("\"{text}\" is none of {EXPECTED}: {error}")),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_told_from_words_that_are_none() {
        for right in [
            "info",
            "WARN",
            "off",
            "nbapps=debug,info",
            "nbapps::gateway=trace, warn",
            "[request{app=crm}]=debug",
        ] {
            assert_eq!(Input::Word(right).log_filter().as_deref(), Ok(right));
        }
        for wrong in ["loud", "nbapps", "info,loud", "nbapps=loud", "nbapps=", "info,,warn", "", "[request"] {
            assert!(Input::Word(wrong).log_filter().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_public_url_has_a_scheme_and_a_host() {
        for (text, expected) in [
            ("https://apps.example.com", Some("https://apps.example.com")),
            ("http://[::1]:8080/x/", Some("http://[::1]:8080/x")),
            ("apps.example.com", None),
            ("//apps.example.com", None),
            ("ftp://apps.example.com", None),
            ("https://", None),
            ("https:/x", None),
            ("https://u:p@h", None),
            ("https://h/?q", None),
            ("https://h/#f", None),
            ("https://h h", None),
        ] {
            assert_eq!(Input::Text(text).public_url().ok().as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn numbers_and_durations_have_bounds_and_types() {
        let second = Duration::from_secs(1);
        for (input, valid) in [
            (Input::Number("1"), true),
            (Input::Word(" 9 "), true),
            (Input::Number("0"), false),
            (Input::Number("10"), false),
            (Input::Number("-1"), false),
            (Input::Text("5"), false),
            (Input::Other("a boolean"), false),
        ] {
            assert_eq!(input.number(1..=9).is_ok(), valid, "{input:?}");
        }
        for (input, valid) in [
            (Input::Text("1s"), true),
            (Input::Word("500ms"), true),
            (Input::Text("0s"), false),
            (Input::Text("2s"), false),
            (Input::Text("1"), false),
            (Input::Number("1"), false),
        ] {
            assert_eq!(input.duration(Duration::from_millis(1)..=second).is_ok(), valid, "{input:?}");
        }
        let said = Input::Text("0s").duration(Duration::from_millis(1)..=second).unwrap_err();
        assert_eq!(said, "\"0s\" is not a duration from 1ms to 1s, such as 30s");
    }

    #[test]
    fn a_socket_has_a_path_that_fits() {
        let long = format!("/{}", "s".repeat(MAX_SOCKET_PATH));
        assert!(Input::Word(&long[..MAX_SOCKET_PATH]).socket().is_ok());
        assert!(Input::Word(&long).socket().is_err());
        assert!(Input::Word(" ").socket().is_err());
    }
}
