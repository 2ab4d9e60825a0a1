//! A line of an access log, in JSON or in the combined log format of Apache and NCSA, which programs such as
//! GoAccess and fail2ban read. Both are read back.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::protocol::{LogLevel, LogLine};

/// The time in a line of the combined format.
const COMBINED_TIME: &str = "%d/%b/%Y:%H:%M:%S %z";

/// The format of the lines of access logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AccessLogFormat {
    /// One JSON object a line.
    #[default]
    Json,
    /// The combined log format.
    Combined,
}

impl FromStr for AccessLogFormat {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        match word {
            "json" => Ok(Self::Json),
            "combined" => Ok(Self::Combined),
            _ => Err(format!("\"{word}\" is not one of json and combined")),
        }
    }
}

/// One request and how it was answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AccessLine {
    /// When it was answered.
    pub at: DateTime<Utc>,
    /// `info`; `warn` for a status from 400 on, `error` from 500 on.
    pub level: LogLevel,
    /// The method.
    pub method: String,
    /// The path.
    pub path: String,
    /// The query, without the question mark.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// The version of HTTP, such as `HTTP/1.1`.
    #[serde(default = "default_version")]
    pub version: String,
    /// The status of the response; 499 where the client did not wait for one.
    pub status: u16,
    /// The length of the body as it was sent; absent where nobody knew it before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// How long the answer took, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ms: Option<f64>,
    /// The client's address, behind trusted proxies the one that they tell of.
    pub client: IpAddr,
    /// The header `User-Agent`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    /// The header `Referer`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub referer: Option<String>,
    /// The request's ID, which is in the header `X-Request-Id` of the response.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

fn default_version() -> String {
    "HTTP/1.1".to_owned()
}

/// The level of a request that was answered with `status`.
pub(crate) fn level(status: u16) -> LogLevel {
    match status {
        500.. => LogLevel::Error,
        400..=499 => LogLevel::Warn,
        _ => LogLevel::Info,
    }
}

impl AccessLine {
    /// The path and the query, as the request line had them.
    fn target(&self) -> String {
        match &self.query {
            Some(query) => format!("{}?{query}", self.path),
            None => self.path.clone(),
        }
    }

    /// The line in the combined format, without a line feed. User names are not in it: who signed in is known
    /// by a token, after the line has begun.
    pub(super) fn combined(&self) -> String {
        let mut line = format!("{} - - [{}] \"", self.client, self.at.format(COMBINED_TIME));
        escape(&mut line, &format!("{} {} {}", self.method, self.target(), self.version));
        // As Apache's %b: a response without a body has no number.
        match self.bytes.filter(|bytes| *bytes > 0) {
            Some(bytes) => line.push_str(&format!("\" {} {bytes}", self.status)),
            None => line.push_str(&format!("\" {} -", self.status)),
        }
        for text in [&self.referer, &self.user_agent] {
            line.push_str(" \"");
            escape(&mut line, text.as_deref().unwrap_or("-"));
            line.push('"');
        }
        line
    }

    /// Parses a line of either format; `None` where it is of neither.
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        match text.first()? {
            b'{' => serde_json::from_slice(text).ok(),
            _ => parse_combined(std::str::from_utf8(text).ok()?.trim_end()),
        }
    }

    /// The line as lines of other logs are.
    pub(super) fn into_log_line(self) -> LogLine {
        let message = format!("{} {} {}", self.method, self.target(), self.status);
        let (at, level) = (self.at, self.level);
        let mut fields = match serde_json::to_value(self) {
            Ok(Value::Object(fields)) => fields,
            _ => Map::new(),
        };
        fields.remove("at");
        fields.remove("level");
        LogLine { at, level, app: None, message, fields }
    }
}

/// Appends `text` as Apache does: quotes, backslashes and what is not printable ASCII are escaped.
fn escape(line: &mut String, text: &str) {
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => {
                line.push('\\');
                line.push(char::from(byte));
            }
            b'\n' => line.push_str("\\n"),
            b'\r' => line.push_str("\\r"),
            b'\t' => line.push_str("\\t"),
            0x08 => line.push_str("\\b"),
            0x0b => line.push_str("\\v"),
            0x20..=0x7e => line.push(char::from(byte)),
            // Writing to a text does not fail.
            _ => drop(write!(line, "\\x{byte:02x}")),
        }
    }
}

/// The quoted text that `rest` begins with, without its escapes, and what follows it.
fn quoted(rest: &str) -> Option<(String, &str)> {
    let rest = rest.strip_prefix('"')?;
    let mut text = Vec::new();
    let mut bytes = rest.bytes().enumerate();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'"' => return Some((String::from_utf8_lossy(&text).into_owned(), &rest[at + 1..])),
            b'\\' => text.push(match bytes.next()?.1 {
                b'n' => b'\n',
                b'r' => b'\r',
                b't' => b'\t',
                b'b' => 0x08,
                b'v' => 0x0b,
                b'x' => {
                    let digits = [bytes.next()?.1, bytes.next()?.1];
                    u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
                }
                other => other,
            }),
            byte => text.push(byte),
        }
    }
    None
}

fn parse_combined(line: &str) -> Option<AccessLine> {
    let (client, rest) = line.split_once(' ')?;
    // The names of the user may have spaces; the time is in brackets.
    let (_, rest) = rest.split_once(" [")?;
    let (at, rest) = rest.split_once("] ")?;
    let at = DateTime::parse_from_str(at, COMBINED_TIME).ok()?.to_utc();
    let (request, rest) = quoted(rest)?;
    let (method, rest_of_request) = request.split_once(' ')?;
    let (target, version) = rest_of_request.rsplit_once(' ')?;
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query.to_owned())),
        None => (target, None),
    };
    let mut numbers = rest.strip_prefix(' ')?.splitn(3, ' ');
    let status: u16 = numbers.next()?.parse().ok()?;
    let bytes = numbers.next()?.parse().ok();
    let (referer, rest) = quoted(numbers.next()?)?;
    let (user_agent, _) = quoted(rest.strip_prefix(' ')?)?;
    let given = |text: String| Some(text).filter(|text| text != "-");
    Some(AccessLine {
        at,
        level: level(status),
        method: method.to_owned(),
        path: path.to_owned(),
        query,
        version: version.to_owned(),
        status,
        bytes,
        ms: None,
        client: client.parse().ok()?,
        user_agent: given(user_agent),
        referer: given(referer),
        request_id: None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn line() -> AccessLine {
        AccessLine {
            at: "2000-10-10T13:55:36Z".parse().unwrap(),
            level: LogLevel::Info,
            method: "GET".to_owned(),
            path: "/api/posts:list".to_owned(),
            query: Some("page=2".to_owned()),
            version: default_version(),
            status: 200,
            bytes: Some(2326),
            ms: Some(1.25),
            client: "203.0.113.9".parse().unwrap(),
            user_agent: Some("curl/8 \"x\"\n\u{e9}\\".to_owned()),
            referer: None,
            request_id: Some("7".to_owned()),
        }
    }

    #[test]
    fn the_combined_format_is_apaches() {
        assert_eq!(
            line().combined(),
            "203.0.113.9 - - [10/Oct/2000:13:55:36 +0000] \"GET /api/posts:list?page=2 HTTP/1.1\" 200 2326 \
             \"-\" \"curl/8 \\\"x\\\"\\n\\xc3\\xa9\\\\\""
        );
        let without = AccessLine { bytes: None, query: None, ..line() };
        assert!(without.combined().contains("GET /api/posts:list HTTP/1.1\" 200 - \"-\""));
        assert!(AccessLine { bytes: Some(0), ..line() }.combined().contains("\" 200 - \""));
    }

    #[test]
    fn lines_of_other_programs_are_read_and_others_are_not() {
        let apache = "127.0.0.1 - frank [10/Oct/2000:13:55:36 -0700] \"GET /apache_pb.gif HTTP/1.0\" 404 - \
                      \"http://www.example.com/start.html\" \"Mozilla/4.08 [en] (Win98; I ;Nav)\"";
        let read = AccessLine::parse(apache.as_bytes()).unwrap();
        assert_eq!((read.status, read.level, read.bytes), (404, LogLevel::Warn, None));
        assert_eq!(read.at.to_rfc3339(), "2000-10-10T20:55:36+00:00");
        assert_eq!(read.into_log_line().message, "GET /apache_pb.gif 404");
        for other in
            ["", "{}", "no line", "127.0.0.1 - - [10/Oct/2000:13:55:36 +0000] \"GET / HTTP/1.1", "x \""]
        {
            assert_eq!(AccessLine::parse(other.as_bytes()), None, "{other}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(
            method in "[A-Z]{1,8}", path in "/[^? ]{0,40}", query in proptest::option::of("[^ ]{0,40}"),
            status in 100_u16..600, bytes in proptest::option::of(1_u64..1_000_000),
            agent in proptest::option::of(any::<String>()), referer in proptest::option::of("\\PC{1,40}"),
            client in any::<IpAddr>(),
        ) {
            let given = |text: Option<String>| text.filter(|text| text != "-");
            let written = AccessLine {
                level: level(status), method, path, query, status, bytes, client,
                user_agent: given(agent), referer: given(referer), ..line()
            };
            let json = serde_json::to_vec(&written).unwrap();
            prop_assert_eq!(AccessLine::parse(&json), Some(written.clone()));
            let combined = written.combined();
            prop_assert!(combined.bytes().all(|byte| (0x20..0x7f).contains(&byte)));
            let kept = AccessLine { ms: None, request_id: None, ..written };
            prop_assert_eq!(AccessLine::parse(combined.as_bytes()), Some(kept));
        }
    }
}
