//! Refuses forms that another website made the browser send (cross-site request forgery), and
//! redirects that would lead there.
//!
//! Two checks stand one behind the other. [`from_here`] reads what the browser says of where a
//! form was sent from; it also guards the sign-in form, which has no session yet. Forms of a
//! signed-in user carry a token that is bound to the session besides.

use bytes::Bytes;
use http::header::{HOST, HeaderName, ORIGIN, REFERER};
use http::{HeaderMap, Response, StatusCode};

use super::answer::{Problem, problem};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Whether a form was sent from a page of the same origin, as far as the browser says.
///
/// `Sec-Fetch-Site` decides where it is sent, which is over HTTPS and on localhost; else `Origin`,
/// which browsers add to every form's POST; else `Referer`. With none of them no browser sent it,
/// and no cookie was used against its owner's will.
pub(super) fn from_here(headers: &HeaderMap, https: bool, host: Option<&str>) -> bool {
    if let Some(site) = headers.get(SEC_FETCH_SITE) {
        return site == "same-origin" || site == "none";
    }
    let Some(source) = headers.get(ORIGIN).or_else(|| headers.get(REFERER)) else { return true };
    let host = host.or_else(|| headers.get(HOST)?.to_str().ok());
    match (source.to_str(), host) {
        (Ok(source), Some(host)) => same_origin(source, https, host),
        _ => false,
    }
}

/// Whether `source` (an origin or a whole address) is of this host and port. Without a trusted
/// proxy's word the scheme in front of one is not known, so only HTTPS demands HTTPS.
fn same_origin(source: &str, https: bool, host: &str) -> bool {
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

/// The answer to a form that was not sent from our page, or whose session has changed since.
pub(super) fn refused(prefix: &str) -> Response<Bytes> {
    let home = format!("{prefix}/admin/");
    problem(&Problem {
        prefix,
        heading: "The form was not accepted",
        message: "It was not sent from this application's own page, or the page was opened in another session.",
        advice: Some("Nothing was changed. Open the page again and send the form from there."),
        link: Some((&home, "Open the start page")),
        ..Problem::new(StatusCode::FORBIDDEN)
    })
}

/// The part of `target` that may follow a sign-in: a page of this same application, nothing else.
pub(super) fn own_page<'a>(prefix: &str, target: &'a str) -> Option<&'a str> {
    let rest = target.strip_prefix(prefix)?.strip_prefix("/admin")?;
    if !matches!(rest.bytes().next(), None | Some(b'/' | b'?')) {
        return None;
    }
    // What a browser would read as another host, or as a step upward.
    let path = rest.split('?').next().unwrap_or_default();
    let lower = path.to_ascii_lowercase();
    if !target.bytes().all(|byte| byte.is_ascii_graphic())
        || target.contains(['\\', '#'])
        || lower.contains("//")
        || lower.split('/').any(|segment| matches!(segment.replace("%2e", ".").as_str(), "." | ".."))
    {
        return None;
    }
    let endless = ["/sign-in", "/sign-out"];
    (!endless.iter().any(|page| lower.starts_with(page))).then_some(target)
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
            assert_eq!(from_here(&headers(sent), https, host), passes, "{sent:?} {https}");
        }
        assert!(
            !from_here(&headers(&[("origin", "http://a.example")]), false, None),
            "no host to compare with"
        );
    }

    #[test]
    fn a_port_of_its_own_counts() {
        assert!(same_origin("http://localhost:13000", false, "localhost:13000"));
        assert!(!same_origin("http://localhost:13001", false, "localhost:13000"));
        assert!(same_origin("http://localhost", false, "localhost:80"));
    }

    #[test]
    fn after_signing_in_one_stays_in_the_application() {
        for (prefix, target, stays) in [
            ("", "/admin/", true),
            ("", "/admin", true),
            ("", "/admin/?page=2", true),
            ("", "/admin/password", true),
            ("/apps/crm", "/apps/crm/admin/password", true),
            ("/apps/crm", "/admin/", false),
            ("/apps/crm", "/apps/crm2/admin/", false),
            ("", "/administrator", false),
            ("", "https://evil.org/admin/", false),
            ("", "//evil.org/admin/", false),
            ("", "/admin//evil.org", false),
            ("", "/admin/../../evil", false),
            ("", "/admin/%2E%2e/evil", false),
            ("", "/admin/\\evil.org", false),
            ("", "/admin/\r\nset-cookie: a=b", false),
            ("", "/admin/sign-out", false),
            ("", "/admin/sign-in?redirect=/admin/sign-in", false),
            ("", "", false),
        ] {
            assert_eq!(own_page(prefix, target), stays.then_some(target), "{prefix} {target}");
        }
    }
}
