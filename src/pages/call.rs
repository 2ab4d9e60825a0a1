//! One call of a page: the HTTP request, how the visitor reached the application, and the application.

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use http::{HeaderMap, Method};

use super::host_view::{HostView, MAIN};
use crate::app::App;
use crate::app::auth::SignedIn;

/// The HTTP request for a page.
#[derive(Debug)]
pub struct PageRequest {
    /// The HTTP method. `HEAD` is not turned into `GET`, so that it changes nothing.
    pub method: Method,
    /// The path below the prefix, not decoded: `/admin/sign-in`.
    pub path: String,
    /// The query string, not decoded; empty when there is none.
    pub query: String,
    /// The headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
    /// The visitor's IP address, if known.
    pub client: Option<IpAddr>,
}

/// How the visitor reached the application.
pub struct PageContext<'a> {
    /// The prefix of `/admin` in every address: `/apps/<id>`, or nothing.
    pub prefix: &'a str,
    /// Whether the requested host has this application's pages below `/admin`, even if the request went below
    /// `/apps/<id>`.
    pub at_home: bool,
    /// Whether the browser used HTTPS, as a trusted proxy reports.
    pub https: bool,
    /// The host and port that the browser requested.
    pub host: Option<&'a str>,
    /// The host around the application.
    pub host_view: &'a dyn HostView,
}

impl PageContext<'_> {
    /// The path of cookies, so that browsers send them to no other application's pages.
    pub(super) fn cookie_path(&self) -> String {
        match (self.prefix, self.at_home) {
            (_, true) => "/".to_owned(),
            ("", false) => "/admin".to_owned(),
            (prefix, false) => format!("{prefix}/"),
        }
    }
}

/// One call of a page: what every page needs.
pub(super) struct PageCall<'a> {
    pub(super) app: &'a Arc<App>,
    pub(super) view: &'a PageContext<'a>,
    pub(super) request: &'a PageRequest,
    /// The application's title.
    pub(super) title: Arc<str>,
    /// The session's new token, when the one in the cookie has expired.
    pub(super) renewed: OnceLock<SignedIn>,
}

impl PageCall<'_> {
    /// An address below the prefix.
    pub(super) fn address(&self, path: &str) -> String {
        format!("{}{path}", self.view.prefix)
    }

    /// Whether this is the main application, whose root user manages the others.
    pub(super) fn is_main(&self) -> bool {
        self.app.name() == MAIN
    }

    /// The first value of this name in the query string.
    pub(super) fn query(&self, name: &str) -> Option<String> {
        form_urlencoded::parse(self.request.query.as_bytes())
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::super::host_view::testing::NoApplications;
    use super::*;

    #[test]
    fn cookies_are_limited_to_the_application() {
        let path = |prefix, at_home| {
            PageContext { prefix, at_home, https: false, host: None, host_view: &NoApplications }
                .cookie_path()
        };
        assert_eq!(path("", false), "/admin");
        assert_eq!(path("", true), "/");
        assert_eq!(path("/apps/crm", false), "/apps/crm/");
        assert_eq!(path("/apps/crm", true), "/");
    }
}
