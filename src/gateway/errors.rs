//! The gateway's own error responses: the application does not exist or is not running, or the request
//! cannot be passed on.
//!
//! A program gets NocoBase's `{"error": {status, code, message, maintaining}}`, a browser a page that says
//! what is wrong and what to do.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use http::{Response, StatusCode};
use serde::Serialize;

use super::body::BodyError;
use super::cors;
use super::validation::Coding;
use crate::pages::{self, ProblemPage};
use crate::protocol::State;
use crate::supervisor::{Refused, Unavailable};

/// Seconds of `Retry-After` when too many requests wait.
const BUSY_RETRY_AFTER: u64 = 1;
/// Seconds of `Retry-After` when a request took too long.
const SLOW_RETRY_AFTER: u64 = 5;

/// Why the gateway refuses a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RefusedRequest {
    status: StatusCode,
    code: &'static str,
    message: String,
    /// Whether a command such as an upgrade holds the application.
    maintaining: bool,
    retry_after: Option<u64>,
    /// Whether the connection is closed.
    closes: bool,
    /// The methods that the address allows, when the method is not one of them.
    allowed: Option<Methods>,
    heading: &'static str,
    advice: &'static str,
    /// A command for the host's operator.
    command: Option<String>,
}

/// The methods that an address allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Methods {
    /// Those that read.
    Reading,
    /// Those of the API.
    Api,
}

impl Methods {
    const fn names(self) -> &'static str {
        match self {
            Self::Reading => "GET, HEAD",
            Self::Api => cors::METHODS,
        }
    }
}

#[derive(Serialize)]
struct ErrorBody<'a> {
    error: ErrorDetails<'a>,
}

#[derive(Serialize)]
struct ErrorDetails<'a> {
    status: u16,
    code: &'a str,
    message: &'a str,
    maintaining: bool,
}

impl RefusedRequest {
    /// The application does not answer requests now.
    pub(super) fn unavailable(unavailable: &Unavailable) -> Self {
        let (code, heading, advice, command): (_, _, _, Option<&str>) = match unavailable.state {
            State::NotFound => (
                "APP_NOT_FOUND",
                "There is no such application",
                "Check the address. The host's operator lists all applications with:",
                Some("list"),
            ),
            State::Stopped => (
                "APP_STOPPED",
                "This application is stopped",
                "A visit does not start it. The host's operator starts it with:",
                Some("start"),
            ),
            State::Error => (
                "APP_ERROR",
                "This application could not start",
                "Once the cause is removed, the host's operator starts it again with:",
                Some("start"),
            ),
            State::Preparing => {
                ("APP_PREPARING", "This application is being created", "Try again in a moment.", None)
            }
            State::Initializing => {
                ("APP_STARTING", "This application is starting", "Try again in a moment.", None)
            }
            State::Initialized => (
                "APP_INITIALIZED",
                "This application is not running",
                "Try again in a moment, or ask the host's operator to start it with:",
                Some("start"),
            ),
            State::Commanding => (
                "APP_COMMANDING",
                "This application is under maintenance",
                "An upgrade or a restore is running. Try again in a few minutes.",
                None,
            ),
            State::Running => {
                ("APP_BUSY", "This application is busy", "It is running. Try again in a moment.", None)
            }
        };
        let not_found = unavailable.state == State::NotFound;
        let command = command.map(|command| match command {
            "list" => "nbapps list".to_owned(),
            _ => format!("nbapps {command} {}", unavailable.id),
        });
        Self {
            status: if not_found { StatusCode::NOT_FOUND } else { StatusCode::SERVICE_UNAVAILABLE },
            code,
            message: unavailable.message.clone(),
            maintaining: unavailable.state == State::Commanding,
            retry_after: unavailable.retry_after,
            closes: false,
            allowed: None,
            heading,
            advice,
            command,
        }
    }

    /// There is nothing at this address.
    pub(super) fn nowhere() -> Self {
        Self {
            heading: "There is nothing here",
            advice: "Check the address, or begin at the start page.",
            ..Self::new(StatusCode::NOT_FOUND, "NOT_FOUND", "there is nothing at this address")
        }
    }

    /// The body is encoded in a way that the gateway does not decode.
    pub(super) fn coding(coding: Coding) -> Self {
        let (status, code, message) = match coding {
            Coding::Transfer => (
                StatusCode::NOT_IMPLEMENTED,
                "NOT_IMPLEMENTED",
                "the only Transfer-Encoding that is supported is chunked, once",
            ),
            Coding::Content => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "UNSUPPORTED_MEDIA_TYPE",
                "compressed bodies are not supported: send the body without Content-Encoding",
            ),
        };
        Self {
            closes: true,
            heading: "This request cannot be read",
            advice: "The client compresses its bodies; turn that off.",
            ..Self::new(status, code, message)
        }
    }

    /// The address does not allow this method.
    pub(super) fn method(allowed: Methods) -> Self {
        let message = format!("this address allows {} only", allowed.names());
        Self {
            allowed: Some(allowed),
            ..Self::new(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", message)
        }
    }

    /// The request violates HTTP or a rule of this host. The connection is closed: a proxy that parses the
    /// request differently could see another request in what follows.
    pub(super) fn malformed(problem: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BAD_REQUEST", problem).and_close()
    }

    /// The body was not read.
    pub(super) fn body(app: &str, error: &BodyError) -> Self {
        let (status, code) = match error {
            BodyError::Refused(refused) => return Self::refused(app, refused),
            BodyError::TooLong { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "BODY_TOO_LARGE"),
            BodyError::TooSlow { .. } => (StatusCode::REQUEST_TIMEOUT, "REQUEST_TIMEOUT"),
            BodyError::Broken(_) => (StatusCode::BAD_REQUEST, "BODY_BROKEN"),
        };
        Self::new(status, code, error.to_string())
    }

    /// The application's limits refuse the request.
    pub(super) fn refused(app: &str, refused: &Refused) -> Self {
        let (code, heading, wait) = match refused {
            Refused::Rate { wait, .. } => {
                // Rounded up: after that time a request is admitted.
                let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
                ("APP_RATE_LIMITED", "Too many requests", seconds)
            }
            Refused::Connections { .. }
            | Refused::Bodies { .. }
            | Refused::Queue { .. }
            | Refused::Waited { .. } => ("APP_BUSY", "This application is busy", BUSY_RETRY_AFTER),
        };
        Self {
            heading,
            advice: "Try again in a moment.",
            retry_after: Some(wait.max(1)),
            closes: matches!(refused, Refused::Connections { .. }),
            ..Self::new(refused.status(), code, format!("the application \"{app}\" is busy: {refused}"))
        }
    }

    /// The application took too long.
    pub(super) fn too_slow(app: &str, limit: Duration) -> Self {
        let message = format!("the application \"{app}\" did not answer within {limit:?}");
        Self {
            advice: "It may be busy. Try again in a moment.",
            heading: "This application is slow",
            retry_after: Some(SLOW_RETRY_AFTER),
            ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "APP_TIMEOUT", message)
        }
    }

    /// The status of the response.
    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    /// The same refusal, which also closes the connection.
    pub(super) fn and_close(self) -> Self {
        Self { closes: true, ..self }
    }

    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            maintaining: false,
            retry_after: None,
            closes: false,
            allowed: None,
            heading: status.canonical_reason().unwrap_or("Not possible"),
            advice: "",
            command: None,
        }
    }

    /// The response for a program.
    pub(super) fn json(&self) -> Response<Bytes> {
        let error = ErrorDetails {
            status: self.status.as_u16(),
            code: self.code,
            message: &self.message,
            maintaining: self.maintaining,
        };
        let mut response = json(self.status, &ErrorBody { error });
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        self.with_headers(response)
    }

    fn with_headers(&self, mut response: Response<Bytes>) -> Response<Bytes> {
        if self.closes {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        if let Some(allowed) = self.allowed {
            response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed.names()));
        }
        response
    }

    /// The response for a browser.
    pub(super) fn html(&self) -> Response<Bytes> {
        self.with_headers(pages::problem(&ProblemPage {
            heading: self.heading,
            message: &capitalized(&self.message),
            advice: (!self.advice.is_empty()).then_some(self.advice),
            command: self.command.as_deref(),
            link: (self.code == "NOT_FOUND").then_some(("/admin/", "Go to the start page")),
            retry_after: self.retry_after,
            ..ProblemPage::new(self.status)
        }))
    }
}

/// The response to a request whose handler panicked; the log says more under the same request ID.
pub(super) fn panicked(request_id: &str, html: bool) -> Response<Bytes> {
    let message =
        format!("The host failed on this request. Its log says why, under the request ID {request_id}.");
    if html {
        return pages::problem(&ProblemPage {
            heading: "Something went wrong",
            message: &message,
            ..ProblemPage::new(StatusCode::INTERNAL_SERVER_ERROR)
        });
    }
    let body = serde_json::json!({ "errors": [{ "message": message }] });
    json(StatusCode::INTERNAL_SERVER_ERROR, &body)
}

fn json<T: Serialize>(status: StatusCode, body: &T) -> Response<Bytes> {
    // Structs of texts and numbers: writing them to memory cannot fail.
    let mut response = Response::new(serde_json::to_vec(body).unwrap_or_default().into());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// The sentence with a capital letter at its beginning.
fn capitalized(sentence: &str) -> Cow<'_, str> {
    let mut characters = sentence.chars();
    match characters.next() {
        Some(first) if first.is_lowercase() => {
            first.to_uppercase().chain(characters).collect::<String>().into()
        }
        _ => sentence.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn unavailable(state: State, retry_after: Option<u64>) -> RefusedRequest {
        let message = "the application \"crm\" does not answer".into();
        RefusedRequest::unavailable(&Unavailable { id: "crm".into(), state, message, retry_after })
    }

    #[test]
    fn every_state_has_its_code() {
        for (state, status, code, maintaining) in [
            (State::NotFound, 404, "APP_NOT_FOUND", false),
            (State::Stopped, 503, "APP_STOPPED", false),
            (State::Initializing, 503, "APP_STARTING", false),
            (State::Preparing, 503, "APP_PREPARING", false),
            (State::Initialized, 503, "APP_INITIALIZED", false),
            (State::Commanding, 503, "APP_COMMANDING", true),
            (State::Error, 503, "APP_ERROR", false),
            (State::Running, 503, "APP_BUSY", false),
        ] {
            let response = unavailable(state, None).json();
            assert_eq!(response.status(), status, "{state}");
            assert_eq!(response.headers().get(RETRY_AFTER), None);
            let body: Value = serde_json::from_slice(response.body()).unwrap();
            let message = "the application \"crm\" does not answer";
            assert_eq!(
                body,
                json!({"error": {
                    "status": status, "code": code, "message": message, "maintaining": maintaining
                }}),
                "{state}"
            );
        }
    }

    #[test]
    fn waiting_is_advised_where_it_helps() {
        let refusal = unavailable(State::Initializing, Some(2));
        assert_eq!(refusal.json().headers()[RETRY_AFTER], "2");
        let page = refusal.html();
        assert_eq!(page.headers()[RETRY_AFTER], "2");
        assert!(std::str::from_utf8(page.body()).unwrap().contains(r#"http-equiv="refresh" content="2""#));
    }

    #[test]
    fn a_person_reads_what_to_do() {
        for (state, parts) in [
            (State::Stopped, ["This application is stopped", "nbapps start crm"]),
            (State::NotFound, ["There is no such application", "nbapps list"]),
            (State::Commanding, ["under maintenance", "upgrade"]),
        ] {
            let page = unavailable(state, None).html();
            let text = std::str::from_utf8(page.body()).unwrap();
            for part in parts {
                assert!(text.contains(part), "{part} in {text}");
            }
            assert!(text.contains("The application &#34;crm&#34; does not answer"), "{text}");
        }
        let evil = Unavailable {
            id: "<script>".into(),
            state: State::NotFound,
            message: "there is no application \"<script>\"".into(),
            retry_after: None,
        };
        let page = RefusedRequest::unavailable(&evil).html();
        assert!(!std::str::from_utf8(page.body()).unwrap().contains("<script"));
    }

    #[test]
    fn what_cannot_be_passed_on_says_why() {
        for (refusal, status, says) in [
            (RefusedRequest::body("crm", &BodyError::TooLong { limit: 7 }), 413, "longer than the 7 bytes"),
            (
                RefusedRequest::body("crm", &BodyError::TooSlow { limit: Duration::from_secs(9) }),
                408,
                "within 9s",
            ),
            (
                RefusedRequest::too_slow("crm", Duration::from_secs(9)),
                503,
                "\"crm\" did not answer within 9s",
            ),
            (RefusedRequest::nowhere(), 404, "nothing at this address"),
            (RefusedRequest::method(Methods::Reading), 405, "GET, HEAD only"),
            (RefusedRequest::malformed("the request has no Host header"), 400, "no Host"),
        ] {
            let response = refusal.json();
            assert_eq!(response.status(), status);
            let body: Value = serde_json::from_slice(response.body()).unwrap();
            assert!(body["error"]["message"].as_str().unwrap().contains(says), "{body}");
            assert_eq!(refusal.html().status(), status);
        }
    }

    #[test]
    fn what_a_limit_refuses_says_when_to_come_back() {
        let wait = Duration::from_millis(1100);
        for (refused, status, code, retry_after, says) in [
            (Refused::Rate { limit: 9, wait }, 429, "APP_RATE_LIMITED", "2", "more than 9 requests"),
            (Refused::Connections { limit: 9 }, 503, "APP_BUSY", "1", "9 connections"),
            (Refused::Bodies { limit: 9 }, 503, "APP_BUSY", "1", "9 bytes"),
            (Refused::Queue { in_flight: 9, queue: 8 }, 503, "APP_BUSY", "1", "9 requests, 8 more wait"),
            (Refused::Waited { in_flight: 9, waited: wait }, 503, "APP_BUSY", "1", "within 1.1s"),
        ] {
            let refusal = RefusedRequest::refused("crm", &refused);
            let response = refusal.json();
            assert_eq!((response.status().as_u16(), refusal.html().status().as_u16()), (status, status));
            assert_eq!(response.headers()[RETRY_AFTER], retry_after);
            assert_eq!(refusal.html().headers()[RETRY_AFTER], retry_after);
            let closes = matches!(refused, Refused::Connections { .. });
            assert_eq!(response.headers().contains_key(CONNECTION), closes);
            let body: Value = serde_json::from_slice(response.body()).unwrap();
            assert_eq!(body["error"]["code"], code);
            let message = body["error"]["message"].as_str().unwrap();
            assert!(message.contains("\"crm\"") && message.contains(says), "{message}");
        }
    }

    #[test]
    fn a_panic_is_answered_with_the_request_id() {
        let response = panicked("r-1", false);
        assert_eq!(response.status(), 500);
        let body: Value = serde_json::from_slice(response.body()).unwrap();
        assert!(body["errors"][0]["message"].as_str().unwrap().contains("r-1"), "{body}");
        assert!(std::str::from_utf8(panicked("r-1", true).body()).unwrap().contains("r-1"));
    }
}
