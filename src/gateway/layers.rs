//! The layers around every request: an ID, a log span, compression, and a catch for panics, which become a
//! 500 of the one request.

use std::any::Any;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Instant;

use bytes::Bytes;
use http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, VARY, X_CONTENT_TYPE_OPTIONS,
};
use http::{Extensions, HeaderMap, Request, Response, StatusCode, Version};
use http_body_util::{Either, Full};
use tower::service_fn;
use tower::util::ServiceExt;
use tower_http::compression::predicate::{Predicate, SizeAbove};
use tower_http::compression::{Compression, CompressionBody};

use super::request_span::RequestSpan;

/// The header with the ID of a request, in requests and responses.
pub(super) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Bodies shorter than this are not worth compressing.
const MIN_COMPRESSED: u64 = 1024;

/// The body of a response: as it is, or compressed while it is sent.
pub(super) type ResponseBody = Either<Full<Bytes>, Pin<Box<CompressionBody<Full<Bytes>>>>>;

/// The ID of a request: the client's if it is printable and at most 128 bytes long, so that the client finds it
/// in the log; else a new one.
pub(super) fn request_id(headers: &HeaderMap) -> HeaderValue {
    let sane =
        |id: &&HeaderValue| (1..=128).contains(&id.len()) && id.as_bytes().iter().all(u8::is_ascii_graphic);
    headers.get(X_REQUEST_ID).filter(sane).cloned().unwrap_or_else(|| {
        let new = format!("{:032x}", rand::random::<u128>());
        HeaderValue::from_str(&new).unwrap_or(HeaderValue::from_static("-"))
    })
}

/// Runs `inner` inside the layers. `on_panic` makes the response to a panic.
pub(super) async fn layered<B, F, A>(
    request: Request<B>,
    id: HeaderValue,
    span: RequestSpan,
    inner: impl Fn(Request<B>) -> F,
    on_panic: impl Fn(&str) -> A,
) -> Response<ResponseBody>
where
    F: Future<Output = Response<Bytes>>,
    A: Into<Response<Bytes>>,
{
    let work = async {
        let begun = Instant::now();
        let accepted = request.headers().get(ACCEPT_ENCODING).cloned();
        let response = match caught(Box::pin(inner(request))).await {
            Ok(response) => response,
            Err(panic) => {
                tracing::error!(panic = %reason(&*panic), "the request's handler panicked");
                on_panic(id.to_str().unwrap_or_default()).into()
            }
        };
        let mut response = match accepted {
            Some(accepted) => compressed(response.map(Full::new), accepted).await,
            None => uncompressed(response.map(Full::new)),
        };
        let micros = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        tracing::debug!(status = response.status().as_u16(), micros, "answered");
        let headers = response.headers_mut();
        headers.insert(X_REQUEST_ID, id.clone());
        // A file that a user stored must not become a page in the browser.
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        response
    };
    span.instrument(pin!(work)).await
}

/// The response for a client that accepts no compression; caches must not give it to others.
fn uncompressed(mut response: Response<Full<Bytes>>) -> Response<ResponseBody> {
    if pays().should_compress(&response) {
        response.headers_mut().append(VARY, HeaderValue::from_static("accept-encoding"));
    }
    response.map(Either::Left)
}

/// Compresses the response if that pays, for a client that accepts compression.
async fn compressed(response: Response<Full<Bytes>>, accepted: HeaderValue) -> Response<ResponseBody> {
    let mut request = Request::new(());
    request.headers_mut().insert(ACCEPT_ENCODING, accepted);
    let mut answered = Some(response);
    let service = service_fn(move |_: Request<()>| {
        std::future::ready(Ok::<_, std::convert::Infallible>(answered.take().unwrap_or_default()))
    });
    let compression = Compression::new(service).compress_when(pays());
    match compression.oneshot(request).await {
        Ok(response) => response.map(|body| Either::Right(Box::pin(body))),
        Err(never) => match never {},
    }
}

/// Runs a future to its end or to a panic. What the future owned is dropped; what it shared stays consistent,
/// because no lock is held across an await.
async fn caught<F: Future>(work: F) -> Result<F::Output, Box<dyn Any + Send>> {
    let mut work = pin!(work);
    poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(context))) {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
        Err(panic) => Poll::Ready(Err(panic)),
    })
    .await
}

fn reason(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("unknown")
}

/// Whether compressing a response pays.
fn pays() -> impl Predicate {
    SizeAbove::new(MIN_COMPRESSED).and(is_text as fn(_, _, &_, &_) -> bool)
}

/// Whether a response is a text. Pages of a signed-in user are not compressed: they contain the form token
/// beside text from the address, and their compressed length would reveal the token (BREACH).
fn is_text(_: StatusCode, _: Version, headers: &HeaderMap, _: &Extensions) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let page = kind.starts_with("text/html");
    let private = headers.get(CACHE_CONTROL).is_some_and(|value| value == "no-store");
    let text = ["text/", "application/json", "image/svg+xml", "application/xml"];
    text.iter().any(|text| kind.starts_with(text)) && !(page && private)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING};
    use http_body_util::BodyExt;

    fn response(kind: &'static str, length: usize) -> Response<Bytes> {
        let mut response = Response::new(Bytes::from(vec![b'a'; length]));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        response
    }

    async fn ask(inner: impl Fn() -> Response<Bytes>) -> Response<ResponseBody> {
        let mut request = Request::new(());
        request.headers_mut().insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        request.headers_mut().insert(X_REQUEST_ID, HeaderValue::from_static("client-7"));
        let id = request_id(request.headers());
        let span = RequestSpan::new(&request, &id, "crm");
        layered(request, id, span, |_| async { inner() }, |id| super::super::errors::panicked(id, false))
            .await
    }

    #[tokio::test]
    async fn long_texts_are_compressed_and_nothing_else() {
        for (kind, length, compressed) in [
            ("application/json; charset=utf-8", 2000, true),
            ("text/css", 2000, true),
            ("application/json", 1000, false),
            ("image/png", 2000, false),
            ("application/octet-stream", 2000, false),
        ] {
            let response = ask(|| response(kind, length)).await;
            assert_eq!(response.headers().contains_key(CONTENT_ENCODING), compressed, "{kind} {length}");
            assert_eq!(response.headers()[X_CONTENT_TYPE_OPTIONS], "nosniff", "{kind}");
            let body = response.into_body().collect().await.unwrap().to_bytes();
            assert_eq!(body.len() < length, compressed, "{kind} {length}");
        }
        let page = ask(|| {
            let mut page = response("text/html; charset=utf-8", 2000);
            page.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
            page
        });
        assert!(!page.await.headers().contains_key(CONTENT_ENCODING), "a page with a form token");
    }

    #[tokio::test]
    async fn a_panic_is_one_requests_500() {
        let response = ask(|| panic!("oh {}", "no")).await;
        assert_eq!(response.status(), 500);
        assert_eq!(response.headers()[X_REQUEST_ID], "client-7");
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let text = std::str::from_utf8(&body).unwrap();
        assert!(text.contains("client-7") && !text.contains("oh no"), "{text}");
    }

    #[test]
    fn a_request_keeps_a_sane_id_and_gets_one_otherwise() {
        let with = |id: &[u8]| {
            let headers = HeaderMap::from_iter([(X_REQUEST_ID, HeaderValue::from_bytes(id).unwrap())]);
            request_id(&headers)
        };
        assert_eq!(with(b"a-b_c.1"), "a-b_c.1");
        for bad in [&b""[..], b"with space", "ü".as_bytes(), &[b'a'; 129]] {
            assert_eq!(with(bad).len(), 32, "{bad:?}");
        }
        assert_ne!(request_id(&HeaderMap::new()), request_id(&HeaderMap::new()));
    }
}
