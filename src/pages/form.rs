//! Parses forms (`application/x-www-form-urlencoded`).

use std::borrow::Cow;

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode, header::CONTENT_TYPE};

use super::response::{ProblemPage, problem};

/// The longest form, in bytes; the pages' forms have a few hundred.
const MAX_LENGTH: usize = 64 * 1024;

/// The fields of a form.
#[derive(Debug)]
pub(super) struct Form<'a> {
    fields: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

/// Why a body is not a form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum FormError {
    #[error("The form was not sent as application/x-www-form-urlencoded.")]
    ContentType,
    #[error("The form is longer than {MAX_LENGTH} bytes.")]
    TooLong,
}

impl<'a> Form<'a> {
    /// Parses a body as a form.
    pub(super) fn read(headers: &HeaderMap, body: &'a [u8]) -> Result<Self, FormError> {
        let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim();
        if !kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            return Err(FormError::ContentType);
        }
        if body.len() > MAX_LENGTH {
            return Err(FormError::TooLong);
        }
        Ok(Self { fields: form_urlencoded::parse(body).collect() })
    }

    /// The first value of a field; empty when the field is missing.
    pub(super) fn field(&self, name: &str) -> &str {
        self.fields.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }
}

impl FormError {
    /// The page that shows the error.
    pub(super) fn into_response(self, prefix: &str) -> Response<Bytes> {
        let status = match self {
            Self::ContentType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooLong => StatusCode::PAYLOAD_TOO_LARGE,
        };
        problem(&ProblemPage { prefix, message: &self.to_string(), ..ProblemPage::new(status) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn headers(kind: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(kind))])
    }

    #[test]
    fn fields_are_decoded_and_the_first_counts() {
        let headers = headers("application/x-www-form-urlencoded; charset=UTF-8");
        let form =
            Form::read(&headers, b"account=ada%40example.com&password=a+b%2Bc&account=eve&empty=").unwrap();
        assert_eq!(form.field("account"), "ada@example.com");
        assert_eq!(form.field("password"), "a b+c");
        assert_eq!(form.field("empty"), "");
        assert_eq!(form.field("missing"), "");
    }

    #[test]
    fn what_a_form_cannot_send_is_refused() {
        for kind in ["application/json", "text/plain", "multipart/form-data; boundary=x", ""] {
            assert_eq!(Form::read(&headers(kind), b"a=b").unwrap_err(), FormError::ContentType, "{kind}");
        }
        let long = vec![b'a'; MAX_LENGTH + 1];
        let error = Form::read(&headers("application/x-www-form-urlencoded"), &long).unwrap_err();
        assert_eq!(error.into_response("").status(), 413);
        assert_eq!(FormError::ContentType.into_response("").status(), 415);
    }
}
