//! Cross-site request forgery: refuses forms that another website made the browser send.
//!
//! [`is_same_origin`] compares the origin that the browser states with this host; it also protects the
//! sign-in form, which has no session yet. Forms of a signed-in user carry a token besides, which is
//! bound to the session.

use bytes::Bytes;
use http::header::{HOST, HeaderName, ORIGIN, REFERER};
use http::{HeaderMap, Response, StatusCode};

use super::response::{ProblemPage, problem};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Whether a form was sent from a page of the same origin, according to the browser.
///
/// Decides by `Sec-Fetch-Site`, which browsers send over HTTPS and on localhost; else by `Origin`, which they
/// send with the POST of a form; else by `Referer`. A request with none of them is not from a browser, so
/// that no cookie was used against its owner's will.
pub(super) fn is_same_origin(headers: &HeaderMap, https: bool, host: Option<&str>) -> bool {
    if let Some(site) = headers.get(SEC_FETCH_SITE) {
        return site == "same-origin" || site == "none";
    }
    let Some(source) = headers.get(ORIGIN).or_else(|| headers.get(REFERER)) else { return true };
    let host = host.or_else(|| headers.get(HOST)?.to_str().ok());
    match (source.to_str(), host) {
        (Ok(source), Some(host)) => matches_host(source, https, host),
        _ => false,
    }
}

/// Whether `source` (an origin or an address) has this host and port. Behind a proxy that is not trusted the
/// scheme is unknown, so that `https` is required only when the browser is known to use it.
fn matches_host(source: &str, https: bool, host: &str) -> bool {
    let (authority, port) = if let Some(rest) = source.strip_prefix("https://") {
        (rest, ":443")
    } else if let (Some(rest), false) = (source.strip_prefix("http://"), https) {
        (rest, ":80")
    } else {
        return false;
    };
    let authority = authority.split(['/', '?', '#']).next().unwrap_or_default();
    let bare = |authority: &str| authority.strip_suffix(port).unwrap_or(authority).to_ascii_lowercase();
    !authority.is_empty() && bare(authority) == bare(host)
}

/// The response to a form that was not sent from this application's page, or in another session.
pub(super) fn refused(prefix: &str) -> Response<Bytes> {
    let home = format!("{prefix}/admin/");
    problem(&ProblemPage {
        prefix,
        heading: "The form was not accepted",
        message: "It was not sent from this application's own page, or the page was opened in another session.",
        advice: Some("Nothing was changed. Open the page again and send the form from there."),
        link: Some((&home, "Open the start page")),
        ..ProblemPage::new(StatusCode::FORBIDDEN)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pairs = pairs.iter();
        pairs.map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn only_forms_of_the_same_origin_pass() {
        let host = Some("apps.example.com");
        for (sent, https, passes) in [
            (&[("sec-fetch-site", "same-origin")][..], true, true),
            (&[("sec-fetch-site", "none")], true, true),
            (&[("sec-fetch-site", "same-site")], true, false),
            (&[("sec-fetch-site", "cross-site"), ("origin", "https://apps.example.com")], true, false),
            (&[("origin", "https://apps.example.com")], true, true),
            (&[("origin", "https://APPS.example.com:443")], true, true),
            (&[("origin", "http://apps.example.com")], true, false),
            (&[("origin", "http://apps.example.com")], false, true),
            (&[("origin", "http://apps.example.com:8080")], false, false),
            (&[("origin", "https://apps.example.com.evil.org")], true, false),
            (&[("origin", "https://evil.org")], true, false),
            (&[("origin", "null")], true, false),
            (&[("origin", "https://")], true, false),
            (&[("referer", "https://apps.example.com/admin/sign-in?x=1")], true, true),
            (&[("referer", "https://evil.org/https://apps.example.com")], true, false),
            (&[], true, true),
        ] {
            assert_eq!(is_same_origin(&headers(sent), https, host), passes, "{sent:?} {https}");
        }
        assert!(
            !is_same_origin(&headers(&[("origin", "http://a.example")]), false, None),
            "no host to compare with"
        );
    }

    #[test]
    fn a_port_of_its_own_counts() {
        assert!(matches_host("http://localhost:13000", false, "localhost:13000"));
        assert!(!matches_host("http://localhost:13001", false, "localhost:13000"));
        assert!(matches_host("http://localhost", false, "localhost:80"));
    }
}
