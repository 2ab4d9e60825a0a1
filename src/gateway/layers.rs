//! What every request gets, whatever it is for: an ID, the span of its log lines, compression, and a net
//! that makes a panic this one request's 500.

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

/// The header that names a request, in and out.
pub(super) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Bodies shorter than this gain nothing from compression.
const WORTH_COMPRESSING: u64 = 1024;

/// The body of every answer: as it is, or compressed on its way out.
pub(super) type ResponseBody = Either<Full<Bytes>, Pin<Box<CompressionBody<Full<Bytes>>>>>;

/// A request's ID: the client's own where it is sane, so that it finds it in our log, else a new one.
pub(super) fn request_id(headers: &HeaderMap) -> HeaderValue {
    let sane =
        |id: &&HeaderValue| (1..=128).contains(&id.len()) && id.as_bytes().iter().all(u8::is_ascii_graphic);
    headers.get(X_REQUEST_ID).filter(sane).cloned().unwrap_or_else(|| {
        let new = format!("{:032x}", rand::random::<u128>());
        HeaderValue::from_str(&new).unwrap_or(HeaderValue::from_static("-"))
    })
}

/// Answers by `inner`, with everything around it. `on_panic` makes the answer to a panic.
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
            None => as_it_is(response.map(Full::new)),
        };
        let micros = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        tracing::debug!(status = response.status().as_u16(), micros, "answered");
        let headers = response.headers_mut();
        headers.insert(X_REQUEST_ID, id.clone());
        // Whatever a user stored and a browser opens is what it says to be, and no page.
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        response
    };
    span.instrument(Box::pin(work)).await
}

/// For a client that takes nothing compressed; another one may get the same in another form.
fn as_it_is(mut response: Response<Full<Bytes>>) -> Response<ResponseBody> {
    if shrinks().should_compress(&response) {
        response.headers_mut().append(VARY, HeaderValue::from_static("accept-encoding"));
    }
    response.map(Either::Left)
}

/// Compresses what shrinks, for a client that takes it so.
async fn compressed(response: Response<Full<Bytes>>, accepted: HeaderValue) -> Response<ResponseBody> {
    let mut request = Request::new(());
    request.headers_mut().insert(ACCEPT_ENCODING, accepted);
    let mut answered = Some(response);
    let service = service_fn(move |_: Request<()>| {
        std::future::ready(Ok::<_, std::convert::Infallible>(answered.take().unwrap_or_default()))
    });
    let compression = Compression::new(service).compress_when(shrinks());
    match compression.oneshot(request).await {
        Ok(response) => response.map(|body| Either::Right(Box::pin(body))),
        Err(never) => match never {},
    }
}

/// Runs to the end or to a panic. What the handler held is dropped with it and not looked at again;
/// what it shares with others is either whole or not poisoned (no locks are held across awaits).
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

/// Whether an answer shrinks.
fn shrinks() -> impl Predicate {
    SizeAbove::new(WORTH_COMPRESSING).and(is_text as fn(_, _, &_, &_) -> bool)
}

/// Whether an answer is a text. Pages of a signed-in user are left as they are: they hold the token
/// of their forms beside text from the address, and their compressed length would tell of it.
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
