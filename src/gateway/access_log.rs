//! The access log of an application: a line for each request that was answered, or for those that failed.
//!
//! What the line says of the request is noted before the request is handled, and the line is made when the
//! response is there: also of a refusal, a panic and a timeout, which are responses like others. A request
//! whose client does not wait for the response, and one that is cut off at shutdown, is dropped; its line has
//! the status 499, as nginx has it. A head that cannot be parsed names no application and is in no log.
//!
//! Noting takes references to the buffer of the request and allocates nothing. Secrets stay out: the tickets of
//! sign-in links in paths, and values of the query that are named as secrets are.

use std::borrow::Cow;
use std::net::IpAddr;
use std::time::Instant;

use http::header::{HeaderValue, REFERER, USER_AGENT};
use http::{Method, Request, Response, Uri, Version};
use hyper::body::Body;
use percent_encoding::percent_decode_str;

use super::layers::ResponseBody;
use super::request_span::without_ticket;
use crate::protocol::AppId;
use crate::supervisor::Supervisor;
use crate::supervisor::logs::{AccessLine, level_of_status};

/// The status of a request whose client did not wait for the response.
const CLIENT_CLOSED_REQUEST: u16 = 499;

/// The longest text of a request that a line has whole, in bytes.
const MAX_TEXT: usize = 4096;

/// Stands for a secret.
const HIDDEN: &str = "***";

/// What the names of secrets have in them.
const SECRET_WORDS: [&str; 11] = [
    "token",
    "passw",
    "secret",
    "ticket",
    "apikey",
    "api_key",
    "api-key",
    "authorization",
    "credential",
    "signature",
    "session",
];

/// The request that a line will be about; dropped without a response, it was abandoned.
#[derive(Debug)]
pub(super) struct AccessRecord<'a> {
    supervisor: &'a Supervisor,
    /// The ID as the request has it.
    app: &'a str,
    /// The lowest status that gets a line.
    min_status: u16,
    method: Method,
    uri: Uri,
    version: Version,
    client: IpAddr,
    user_agent: Option<HeaderValue>,
    referer: Option<HeaderValue>,
    id: HeaderValue,
    begun: Instant,
    is_written: bool,
}

impl<'a> AccessRecord<'a> {
    /// Notes a request; `None` when its application does not exist or keeps no access log.
    pub(super) fn begin<B>(
        supervisor: &'a Supervisor,
        app: &'a str,
        request: &Request<B>,
        id: &HeaderValue,
        client: IpAddr,
    ) -> Option<Self> {
        let min_status = supervisor.access_log_from(app)?;
        let headers = request.headers();
        Some(Self {
            supervisor,
            app,
            min_status,
            method: request.method().clone(),
            uri: request.uri().clone(),
            version: request.version(),
            client,
            user_agent: headers.get(USER_AGENT).cloned(),
            referer: headers.get(REFERER).cloned(),
            id: id.clone(),
            begun: Instant::now(),
            is_written: false,
        })
    }

    /// Writes the line, if the response is one that gets a line.
    pub(super) fn finish(mut self, response: &Response<ResponseBody>) {
        let length = match self.method {
            Method::HEAD => Some(0),
            // After compression, whose result nobody knows before it is sent.
            _ => response.body().size_hint().exact(),
        };
        self.write(response.status().as_u16(), length);
    }

    fn write(&mut self, status: u16, bytes: Option<u64>) {
        self.is_written = true;
        if status < self.min_status {
            return;
        }
        // The application was found by this ID.
        let Ok(app) = AppId::parse(self.app) else { return };
        self.supervisor.logs().append_access(&app, self.line(status, bytes));
    }

    fn line(&self, status: u16, bytes: Option<u64>) -> AccessLine {
        let text = |value: &HeaderValue| bounded(&String::from_utf8_lossy(value.as_bytes()));
        let micros = u32::try_from(self.begun.elapsed().as_micros()).unwrap_or(u32::MAX);
        AccessLine {
            at: crate::protocol::now(),
            level: level_of_status(status),
            method: bounded(self.method.as_str()),
            path: bounded(&path_without_ticket(self.uri.path())),
            query: self.uri.query().map(|query| bounded(&without_secrets(query))),
            version: format!("{:?}", self.version),
            status,
            bytes,
            ms: Some(f64::from(micros) / 1000.0),
            client: self.client.to_canonical(),
            user_agent: self.user_agent.as_ref().map(text),
            referer: self.referer.as_ref().map(|referer| bounded(&address(&text(referer)))),
            request_id: Some(text(&self.id)),
        }
    }
}

impl Drop for AccessRecord<'_> {
    fn drop(&mut self) {
        if !self.is_written {
            self.write(CLIENT_CLOSED_REQUEST, None);
        }
    }
}

fn bounded(text: &str) -> String {
    if text.len() <= MAX_TEXT {
        return text.to_owned();
    }
    format!("{}...", &text[..text.floor_char_boundary(MAX_TEXT)])
}

/// The path without a ticket, also where its characters are written in another way: the ticket that was not
/// found by such an address is still good.
fn path_without_ticket(path: &str) -> Cow<'_, str> {
    let plain = without_ticket(path);
    if plain.len() < path.len() || !path.contains('%') {
        return plain.into();
    }
    let decoded = percent_decode_str(path).decode_utf8_lossy();
    let cut = without_ticket(&decoded);
    if cut.len() < decoded.len() { cut.to_owned().into() } else { path.into() }
}

/// The query without the values of parameters that are named as secrets are, and without objects that have
/// such names in them.
fn without_secrets(query: &str) -> Cow<'_, str> {
    let is_secret = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let names_secret = |text: &str| {
            let text = text.to_ascii_lowercase();
            SECRET_WORDS.iter().any(|word| text.contains(word))
        };
        let decoded = |text: &str| {
            let text = text.replace('+', " ");
            percent_decode_str(&text).decode_utf8_lossy().into_owned()
        };
        let value = decoded(value);
        names_secret(&decoded(name)) || (value.contains(['{', '[']) && names_secret(&value))
    };
    if !query.split('&').any(is_secret) {
        return query.into();
    }
    let pairs = query.split('&').map(|pair| match pair.split_once('=') {
        Some((name, _)) if is_secret(pair) => format!("{name}={HIDDEN}"),
        _ => pair.to_owned(),
    });
    pairs.collect::<Vec<_>>().join("&").into()
}

/// An address, such as a `Referer`, without secrets in its path, its query and before its host.
fn address(address: &str) -> String {
    let (before, query) = match address.split_once('?') {
        Some((before, query)) => (before, Some(query)),
        None => (address, None),
    };
    let before = path_without_ticket(before);
    let before = match before.split_once("://") {
        Some((scheme, rest)) => {
            let end = rest.find('/').unwrap_or(rest.len());
            let host = rest[..end].rfind('@').map_or(0, |at| at + 1);
            format!("{scheme}://{}", &rest[host..])
        }
        None => before.into_owned(),
    };
    match query {
        Some(query) => format!("{before}?{}", without_secrets(query)),
        None => before,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_stay_out_of_queries() {
        for (query, kept) in [
            ("page=2&sort=-id", "page=2&sort=-id"),
            ("token=abc&page=2", "token=***&page=2"),
            ("a=1&Access_Token=abc", "a=1&Access_Token=***"),
            ("%74oken=abc", "%74oken=***"),
            ("values[password]=p&x", "values[password]=***&x"),
            ("values%5BnewPassword%5D=p", "values%5BnewPassword%5D=***"),
            ("filter={\"resetToken\":\"x\"}", "filter=***"),
            ("filter=%7B%22apiKey%22%3A%22x%22%7D", "filter=***"),
            ("filter=%7B%22title%22%3A%22x%22%7D", "filter=%7B%22title%22%3A%22x%22%7D"),
            ("fields=token", "fields=token"),
            ("token", "token"),
            ("", ""),
        ] {
            assert_eq!(without_secrets(query), kept, "{query}");
        }
    }

    #[test]
    fn tickets_stay_out_of_paths_and_addresses() {
        for (path, kept) in [
            ("/admin/sign-in/ticket/abc", "/admin/sign-in/ticket/"),
            ("/admin/sign-in%2Fticket/abc", "/admin/sign-in/ticket/"),
            ("/admin/%73ign-in/ticket/abc", "/admin/sign-in/ticket/"),
            ("/admin/a%20b", "/admin/a%20b"),
        ] {
            assert_eq!(path_without_ticket(path), kept);
        }
        for (from, kept) in [
            ("http://h/apps/crm/admin/sign-in/ticket/abc", "http://h/apps/crm/admin/sign-in/ticket/"),
            ("http://user:pass@h/x?token=a&b=1", "http://h/x?token=***&b=1"),
            ("http://h", "http://h"),
            ("what people write", "what people write"),
        ] {
            assert_eq!(address(from), kept);
        }
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        let cut = bounded(&"é".repeat(MAX_TEXT));
        assert!(cut.ends_with("é...") && cut.len() <= MAX_TEXT + 3);
    }
}
