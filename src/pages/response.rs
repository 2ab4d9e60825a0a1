//! The responses of pages: HTML with security headers, redirects, and pages that say what is wrong and what to
//! do.

use askama::Template;
use bytes::Bytes;
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION,
    REFERRER_POLICY, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::{Response, StatusCode};

use super::frame::Frame;

/// Allows no scripts, nothing from other origins, and no framing.
const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; \
                      base-uri 'none'; frame-ancestors 'none'";

/// The security headers of every page. The referrer policy `same-origin` keeps addresses from other websites;
/// with `no-referrer`, browsers would send `Origin: null` with the pages' own forms.
const SECURITY: [(HeaderName, &str); 5] = [
    (CONTENT_SECURITY_POLICY, POLICY),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (X_FRAME_OPTIONS, "DENY"),
    (REFERRER_POLICY, "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
];

/// An HTML response. Caches must not store it: pages depend on the user.
pub(super) fn html(status: StatusCode, text: String) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    for (name, value) in SECURITY {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Renders a template as an HTML response.
pub(super) fn page<T: Template>(status: StatusCode, prefix: &str, template: &T) -> Response<Bytes> {
    match template.render() {
        Ok(text) => html(status, text),
        Err(error) => failed(prefix, &error),
    }
}

/// Redirects to an address of this host with `GET` (303, RFC 9110).
pub(super) fn see_other(address: &str) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::SEE_OTHER;
    let address = HeaderValue::from_str(address).unwrap_or(HeaderValue::from_static("/admin/"));
    response.headers_mut().insert(LOCATION, address);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// A page that says what is wrong and what to do.
#[derive(Debug, Clone)]
pub struct ProblemPage<'a> {
    /// The HTTP status.
    pub status: StatusCode,
    /// The prefix of `/admin` in the links of the frame.
    pub prefix: &'a str,
    /// A few words.
    pub heading: &'a str,
    /// What is wrong.
    pub message: &'a str,
    /// What to do.
    pub advice: Option<&'a str>,
    /// A command to run.
    pub command: Option<&'a str>,
    /// A link to follow: its address and text.
    pub link: Option<(&'a str, &'a str)>,
    /// Seconds after which a retry makes sense; the page then reloads by itself.
    pub retry_after: Option<u64>,
}

impl ProblemPage<'_> {
    /// A problem of this status, without a message.
    #[must_use]
    pub fn new(status: StatusCode) -> Self {
        Self {
            status,
            prefix: "",
            heading: status.canonical_reason().unwrap_or("Not possible"),
            message: "",
            advice: None,
            command: None,
            link: None,
            retry_after: None,
        }
    }
}

#[derive(Template)]
#[template(path = "message.html")]
struct MessagePage<'a> {
    frame: Frame<'a>,
    heading: &'a str,
    message: &'a str,
    advice: Option<&'a str>,
    command: Option<&'a str>,
    link: Option<ProblemLink<'a>>,
}

struct ProblemLink<'a> {
    href: &'a str,
    text: &'a str,
}

/// Renders the page of a problem.
#[must_use]
pub fn problem(problem: &ProblemPage<'_>) -> Response<Bytes> {
    let mut frame = Frame::new("nbapps", problem.prefix, problem.heading);
    frame.refresh = problem.retry_after;
    let template = MessagePage {
        frame,
        heading: problem.heading,
        message: problem.message,
        advice: problem.advice,
        command: problem.command,
        link: problem.link.map(|(href, text)| ProblemLink { href, text }),
    };
    let mut response = match template.render() {
        Ok(text) => html(problem.status, text),
        // Not by `failed`, which calls this function.
        Err(error) => {
            tracing::error!(%error, "cannot render the page of a problem");
            html(problem.status, "<!doctype html><title>Error</title>The host's log says why.".to_owned())
        }
    };
    if let Some(seconds) = problem.retry_after {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// Logs why a page could not be rendered, and responds without details.
pub(super) fn failed(prefix: &str, error: &dyn std::error::Error) -> Response<Bytes> {
    tracing::error!(error = %error, "cannot render a page");
    problem(&ProblemPage {
        prefix,
        heading: "Something went wrong",
        message: "The host failed to make this page. Its log says why.",
        ..ProblemPage::new(StatusCode::INTERNAL_SERVER_ERROR)
    })
}

/// The response when there is no page at the address.
pub(super) fn no_such_page(prefix: &str) -> Response<Bytes> {
    let home = format!("{prefix}/admin/");
    problem(&ProblemPage {
        prefix,
        heading: "No such page",
        message: "There is no page at this address.",
        link: Some((&home, "Go to the start page")),
        ..ProblemPage::new(StatusCode::NOT_FOUND)
    })
}

/// The response when the page does not allow the method.
pub(super) fn wrong_method(prefix: &str, allowed: &'static str) -> Response<Bytes> {
    let home = format!("{prefix}/admin/");
    let mut response = problem(&ProblemPage {
        prefix,
        heading: "Method not allowed",
        message: "This address does not allow the request's method.",
        link: Some((&home, "Go to the start page")),
        ..ProblemPage::new(StatusCode::METHOD_NOT_ALLOWED)
    });
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_escaped_and_guarded() {
        let response = problem(&ProblemPage {
            heading: "Stopped <b>",
            message: "<script>alert(1)</script> is stopped",
            advice: Some("Ask its operator."),
            command: Some("nbapps start crm"),
            link: Some(("/admin/", "Start page")),
            retry_after: Some(3),
            ..ProblemPage::new(StatusCode::SERVICE_UNAVAILABLE)
        });
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()[RETRY_AFTER], "3");
        assert_eq!(response.headers()[CACHE_CONTROL], "no-store");
        assert_eq!(response.headers()[X_CONTENT_TYPE_OPTIONS], "nosniff");
        let policy = response.headers()[CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe-inline"), "{policy}");
        let text = std::str::from_utf8(response.body()).unwrap();
        for part in ["nbapps start crm", "Ask its operator.", r#"href="/admin/""#, r#"content="3""#] {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert!(!text.contains("<script") && !text.contains("<b>") && !text.contains(" style="), "{text}");
    }

    #[test]
    fn a_wrong_method_names_the_right_ones() {
        let response = wrong_method("/apps/crm", "POST");
        assert_eq!(response.status(), 405);
        assert_eq!(response.headers()[ALLOW], "POST");
        assert!(std::str::from_utf8(response.body()).unwrap().contains(r#"href="/apps/crm/admin/""#));
    }

    #[test]
    fn a_redirect_is_a_303_that_no_cache_keeps() {
        let response = see_other("/apps/crm/admin/");
        assert_eq!(response.status(), 303);
        assert_eq!(response.headers()[LOCATION], "/apps/crm/admin/");
        assert_eq!(see_other("/a\nb").headers()[LOCATION], "/admin/", "no header can be broken open");
    }
}
