//! The span that says which request a line of the log is about.
//!
//! Hardly any request logs anything, and to make a span costs more than to answer some of them. So a
//! request notes what its span would say, and [`OnDemand`], around the subscriber that logs, makes
//! the span when the first event, span or task inside the request asks for it.

use std::cell::RefCell;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use http::{HeaderValue, Method, Request, Uri};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Dispatch, Event, Metadata, Span, Subscriber, level_filters::LevelFilter};
use tracing_core::span::Current;

/// Whether spans are made when a request begins.
static AT_ONCE: AtomicBool = AtomicBool::new(false);

thread_local! {
    /// Of the request that this thread is working on.
    static CURRENT: RefCell<Option<RequestSpan>> = const { RefCell::new(None) };
}

/// The span of a request, made or not yet.
#[derive(Debug)]
pub(super) enum RequestSpan {
    Noted(Note),
    /// It is entered while a thread works on the request.
    Made(Span),
}

/// What the span of a request says.
#[derive(Debug)]
pub(super) struct Note {
    app: String,
    method: Method,
    uri: Uri,
    id: HeaderValue,
}

impl RequestSpan {
    /// For a request to an application, with the request's ID.
    pub(super) fn new<B>(request: &Request<B>, id: &HeaderValue, app: &str) -> Self {
        let (method, uri) = (request.method().clone(), request.uri().clone());
        let note = Note { app: app.to_owned(), method, uri, id: id.clone() };
        if AT_ONCE.load(Ordering::Relaxed) { Self::Made(note.span()) } else { Self::Noted(note) }
    }

    /// Runs `work` inside the span.
    pub(super) const fn instrument<F: Future + Unpin>(self, work: F) -> Instrumented<F> {
        Instrumented { span: Some(self), work }
    }
}

impl Note {
    /// The field `app` leads what is logged inside to the application's own log, so the span must exist
    /// even where only errors are logged: hence its level.
    fn span(&self) -> Span {
        tracing::error_span!(
            "request",
            app = self.app.as_str(),
            method = self.method.as_str(),
            path = without_ticket(self.uri.path()),
            request_id = self.id.to_str().unwrap_or_default(),
        )
    }
}

/// The path without what would let a reader of the log sign in.
pub(super) fn without_ticket(path: &str) -> &str {
    const TICKET: &str = "/sign-in/ticket/";
    path.find(TICKET).map_or(path, |at| &path[..at + TICKET.len()])
}

/// Work inside the span of its request.
#[derive(Debug)]
pub(super) struct Instrumented<F> {
    /// `None` only while it is polled.
    span: Option<RequestSpan>,
    work: F,
}

impl<F: Future + Unpin> Future for Instrumented<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let span = self.span.take();
        if let Some(RequestSpan::Made(span)) = &span {
            enter(span);
        }
        let mut entered = Entered { outer: CURRENT.replace(span) };
        let polled = Pin::new(&mut self.work).poll(context);
        self.span = entered.leave();
        polled
    }
}

/// Puts back what was current before, also where the work panics.
struct Entered {
    outer: Option<RequestSpan>,
}

impl Entered {
    fn leave(&mut self) -> Option<RequestSpan> {
        let span = CURRENT.replace(self.outer.take());
        if let Some(RequestSpan::Made(span)) = &span {
            span.with_subscriber(|(id, dispatch)| dispatch.exit(id));
        }
        span
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        // After `leave`, the current one is the outer one, which stays.
        if std::thread::panicking() {
            self.leave();
        }
    }
}

fn enter(span: &Span) {
    span.with_subscriber(|(id, dispatch)| dispatch.enter(id));
}

/// Makes the span of the request that this thread is working on, and enters it.
fn make() {
    let noted = CURRENT.with_borrow_mut(|current| match current.take() {
        Some(RequestSpan::Noted(note)) => Some(note),
        other => {
            *current = other;
            None
        }
    });
    // Making it comes back here through the subscriber, and finds nothing noted.
    if let Some(note) = noted {
        let span = note.span();
        enter(&span);
        CURRENT.set(Some(RequestSpan::Made(span)));
    }
}

/// A subscriber that finds the span of the request around whatever it is told.
#[derive(Debug)]
pub struct OnDemand<S>(S);

impl<S> OnDemand<S> {
    /// Around `inner`. Spans are made when requests begin if `inner` decides by them what is logged.
    pub fn new(inner: S, decides_by_spans: bool) -> Self {
        AT_ONCE.store(decides_by_spans, Ordering::Relaxed);
        Self(inner)
    }
}

impl<S: Subscriber> Subscriber for OnDemand<S> {
    fn on_register_dispatch(&self, subscriber: &Dispatch) {
        self.0.on_register_dispatch(subscriber);
    }

    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        self.0.register_callsite(metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        self.0.max_level_hint()
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.0.enabled(metadata)
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        make();
        self.0.new_span(span)
    }

    fn record(&self, span: &Id, values: &Record<'_>) {
        self.0.record(span, values);
    }

    fn record_follows_from(&self, span: &Id, follows: &Id) {
        self.0.record_follows_from(span, follows);
    }

    fn event_enabled(&self, event: &Event<'_>) -> bool {
        self.0.event_enabled(event)
    }

    fn event(&self, event: &Event<'_>) {
        make();
        self.0.event(event);
    }

    fn enter(&self, span: &Id) {
        self.0.enter(span);
    }

    fn exit(&self, span: &Id) {
        self.0.exit(span);
    }

    fn clone_span(&self, id: &Id) -> Id {
        self.0.clone_span(id)
    }

    fn try_close(&self, id: Id) -> bool {
        self.0.try_close(id)
    }

    fn current_span(&self) -> Current {
        make();
        self.0.current_span()
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Once};

    use parking_lot::Mutex;
    use tracing::Instrument as _;

    use super::*;

    thread_local! {
        static LOG: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    }

    /// Writes into the log of the thread.
    struct Log;

    impl io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            LOG.with_borrow_mut(|log| log.extend_from_slice(bytes));
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Each test has a thread, and each thread a log. The subscriber is that of the process, as it is in
    /// the daemon: one that is set for a thread is not called while it is calling.
    fn begin_to_log() {
        static BEGUN: Once = Once::new();
        BEGUN.call_once(|| {
            let lines = tracing_subscriber::fmt().with_ansi(false).without_time().with_target(false);
            let inner = lines.with_max_level(tracing::Level::WARN).with_writer(|| Log).finish();
            tracing::subscriber::set_global_default(OnDemand::new(inner, false)).unwrap();
        });
    }

    fn lines() -> Vec<String> {
        let text = String::from_utf8(LOG.take()).unwrap();
        text.lines().map(|line| line.trim().to_owned()).collect()
    }

    fn span(path: &str) -> RequestSpan {
        let request = Request::builder().uri(path).body(()).unwrap();
        RequestSpan::new(&request, &HeaderValue::from_static("client-7"), "crm")
    }

    /// Polls once, as a thread of the runtime does.
    fn poll<F: Future>(work: Pin<&mut F>) -> Poll<F::Output> {
        work.poll(&mut Context::from_waker(std::task::Waker::noop()))
    }

    #[test]
    fn what_is_logged_inside_says_which_request_it_is_about() {
        begin_to_log();
        let work = async {
            tokio::task::yield_now().await;
            tracing::warn!("first");
            tokio::task::yield_now().await;
            tracing::warn!("second");
        };
        let mut work = span("/api/posts:list").instrument(Box::pin(work));
        let mut silent = span("/api/silent:list").instrument(Box::pin(std::future::pending::<()>()));
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let _inside = runtime.enter();
        while poll(Pin::new(&mut work)).is_pending() {
            tracing::warn!("between");
            assert!(poll(Pin::new(&mut silent)).is_pending());
        }
        let request = r#"request{app="crm" method="GET" path="/api/posts:list" request_id="client-7"}:"#;
        assert_eq!(
            lines(),
            [
                "WARN between".to_owned(),
                format!("WARN {request} first"),
                "WARN between".to_owned(),
                format!("WARN {request} second"),
            ]
        );
        assert!(matches!(silent.span, Some(RequestSpan::Noted(_))), "nothing was logged in it");
    }

    #[test]
    fn what_is_begun_inside_belongs_to_the_request() {
        begin_to_log();
        let begun = Arc::new(Mutex::new(None));
        let kept = Arc::clone(&begun);
        let work = async move {
            let later = async { tracing::warn!("later") };
            *kept.lock() = Some(Box::pin(later.in_current_span()));
        };
        assert!(poll(Pin::new(&mut span("/sign-in/ticket/s3cret").instrument(Box::pin(work)))).is_ready());
        let mut later = begun.lock().take().unwrap();
        assert!(poll(later.as_mut()).is_ready());
        let request = r#"request{app="crm" method="GET" path="/sign-in/ticket/" request_id="client-7"}:"#;
        assert_eq!(lines(), [format!("WARN {request} later")]);
    }

    #[test]
    fn a_panic_leaves_nothing_behind() {
        begin_to_log();
        let mut work = span("/api/posts:list").instrument(Box::pin(async {
            tracing::warn!("before");
            panic!("oh no");
        }));
        let poll = std::panic::AssertUnwindSafe(|| poll::<Instrumented<_>>(Pin::new(&mut work)));
        assert!(std::panic::catch_unwind(poll).is_err());
        tracing::warn!("after");
        assert_eq!(lines().last().unwrap(), "WARN after");
    }

    #[test]
    fn a_ticket_does_not_get_into_the_log() {
        assert_eq!(
            without_ticket("/apps/crm/admin/sign-in/ticket/s3cret"),
            "/apps/crm/admin/sign-in/ticket/"
        );
        assert_eq!(without_ticket("/api/posts:list"), "/api/posts:list");
    }
}
