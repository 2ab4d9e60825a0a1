//! Cross-origin requests to the API.
//!
//! Any origin may call, as with NocoBase, but never with credentials: the API reads the `Authorization`
//! header, for which a script needs a token, and no cookie. So the allowed origin is always `*`, and
//! caches need not tell origins apart.

use bytes::Bytes;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, ALLOW, HeaderValue,
};
use http::{HeaderMap, Method, Response, StatusCode};

/// The methods of the API.
pub(super) const METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

/// Whether the method is one of [`METHODS`]. `TRACE` would show a script headers that it may not read
/// (RFC 9110, 9.3.8), and `CONNECT` is for proxies.
pub(super) fn is_answered(method: &Method) -> bool {
    matches!(
        *method,
        Method::GET
            | Method::HEAD
            | Method::POST
            | Method::PUT
            | Method::PATCH
            | Method::DELETE
            | Method::OPTIONS
    )
}

/// The response to `OPTIONS`, which browsers send before a cross-origin request (preflight).
pub(super) fn options(headers: &HeaderMap) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let answer = response.headers_mut();
    let methods = HeaderValue::from_static(METHODS);
    answer.insert(ALLOW, methods.clone());
    if headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD) {
        answer.insert(ACCESS_CONTROL_ALLOW_METHODS, methods);
        // `*` would not cover `Authorization`, so the response names the requested headers.
        if let Some(asked) = headers.get(ACCESS_CONTROL_REQUEST_HEADERS) {
            answer.insert(ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
        }
        answer.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    }
    response
}

/// Lets a script of another origin read the response.
pub(super) fn allow(headers: &mut HeaderMap) {
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(
        ACCESS_CONTROL_EXPOSE_HEADERS,
        HeaderValue::from_static("content-disposition, retry-after, x-new-token, x-request-id"),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preflight_names_what_was_asked_for_and_no_credentials() {
        let mut asked = HeaderMap::new();
        asked.insert(ACCESS_CONTROL_REQUEST_METHOD, HeaderValue::from_static("POST"));
        asked.insert(ACCESS_CONTROL_REQUEST_HEADERS, HeaderValue::from_static("authorization, x-app"));
        let mut response = options(&asked);
        allow(response.headers_mut());
        let headers = response.headers();
        assert_eq!(response.status(), 204);
        assert_eq!(headers[ACCESS_CONTROL_ALLOW_HEADERS], "authorization, x-app");
        assert_eq!(headers[ACCESS_CONTROL_ALLOW_ORIGIN], "*");
        assert!(headers[ACCESS_CONTROL_ALLOW_METHODS].to_str().unwrap().contains("POST"));
        assert!(!headers.contains_key("access-control-allow-credentials"));
        let plain = options(&HeaderMap::new());
        assert!(plain.headers().contains_key(ALLOW));
        assert!(!plain.headers().contains_key(ACCESS_CONTROL_ALLOW_METHODS));
    }
}
