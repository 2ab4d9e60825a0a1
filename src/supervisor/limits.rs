//! Enforces the limits of what one application may use of the host.
//!
//! A request passes three checks. When it arrives ([`Admission::arrive`]), the request rate and the connection are
//! counted. Its body is counted while it is in memory ([`Arrival::hold`]). Then it waits for a permit
//! ([`Arrival::wait_for_permit`]), in a queue of limited length and for a limited time. Guards give back on drop
//! what was counted. Nothing here takes a lock unless requests wait. The end of a request is counted in [`Traffic`].
//!
//! A refusal costs work, too: a client that tries again at once could keep the host busy. A [`Pacer`] therefore
//! delays refusals beyond a rate, and long request bodies beyond another.

use std::sync::Arc;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;

use http::StatusCode;

use super::traffic::{CLIENT_DISCONNECTED, Traffic};
use crate::database::{Permit, ResizableSemaphore};
use crate::protocol::{Limit, LimitValues, Limits};

/// Bodies up to this many bytes are not counted: they arrive with the headers or just after, and there are no more
/// of them than connections.
pub(crate) const SMALL_BODY: u64 = 64 * 1024;
/// The bodies of an application in memory may together be this many times as long as one may be.
const MAX_BODIES_IN_MEMORY: u64 = 8;

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The request rate is exceeded.
    #[error("more than {limit} requests arrived within a second")]
    Rate {
        /// The most requests per second.
        limit: u32,
        /// The time until the next request is accepted.
        wait: Duration,
    },
    /// Too many connections have a request for the application.
    #[error("{limit} connections have a request for it, which is its limit")]
    Connections {
        /// The most connections.
        limit: u32,
    },
    /// The bodies in memory are too long.
    #[error("the bodies of its requests use {limit} bytes of memory, which is its limit")]
    Bodies {
        /// The most bytes.
        limit: u64,
    },
    /// The queue is full.
    #[error("it works on {in_flight} requests, {queue} more wait, and its queue is full")]
    Queue {
        /// The most requests in flight.
        in_flight: u32,
        /// The most requests that wait.
        queue: u32,
    },
    /// The request waited too long.
    #[error("it works on {in_flight} requests, none of which was completed within {waited:?}")]
    Waited {
        /// The most requests in flight.
        in_flight: u32,
        /// How long the request waited.
        waited: Duration,
    },
}

impl Refused {
    /// The status of the response.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::Rate { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::Connections { .. } | Self::Bodies { .. } | Self::Queue { .. } | Self::Waited { .. } => {
                StatusCode::SERVICE_UNAVAILABLE
            }
        }
    }
}

/// The limits of an application, and what is in use.
#[derive(Debug)]
pub(crate) struct Admission {
    limits: ArcSwap<Limits>,
    permits: Arc<ResizableSemaphore>,
    queued: AtomicU32,
    connections: AtomicU32,
    body_bytes: AtomicU64,
    rate: RateLimiter,
    refusals: Pacer,
    long_bodies: Pacer,
    traffic: Traffic,
}

/// What requests use of an application now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct InUse {
    /// Requests that wait for a permit.
    pub(crate) queued: u32,
    /// Connections with a request.
    pub(crate) connections: u32,
    /// The memory for long bodies.
    pub(crate) body_bytes: u64,
}

impl Admission {
    pub(crate) fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Self {
            permits: Arc::new(ResizableSemaphore::new(limits.in_flight)),
            limits: ArcSwap::from_pointee(limits),
            queued: AtomicU32::new(0),
            connections: AtomicU32::new(0),
            body_bytes: AtomicU64::new(0),
            rate: RateLimiter::default(),
            refusals: Pacer::default(),
            long_bodies: Pacer::default(),
            traffic: Traffic::default(),
        })
    }

    /// The requests so far.
    pub(crate) fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    /// What requests use now.
    pub(crate) fn in_use(&self) -> InUse {
        InUse {
            queued: self.queued.load(Ordering::Relaxed),
            connections: self.connections.load(Ordering::Relaxed),
            body_bytes: self.body_bytes.load(Ordering::Relaxed),
        }
    }

    /// Returns how long to delay a refusal that would be sent now.
    pub(crate) fn refusal_delay(&self) -> Duration {
        self.refusals.refusal_delay()
    }

    pub(crate) fn limits(&self) -> Limits {
        **self.limits.load()
    }

    /// Replaces the limits. Requests that were admitted before keep theirs.
    pub(crate) fn set(&self, limits: Limits) {
        self.permits.resize(limits.in_flight);
        self.limits.store(Arc::new(limits));
    }

    /// Admits a request once its headers are read.
    ///
    /// # Errors
    /// If the request rate or the number of connections is exceeded.
    pub(crate) fn arrive(self: &Arc<Self>) -> Result<Arrival, Refused> {
        let (limits, now) = (self.limits(), nanoseconds());
        let refused = |refused: Refused| {
            self.traffic.count_refusal(refused.status().as_u16());
            Err(refused)
        };
        if let Err(wait) = self.rate.count(limits.requests_per_second, now) {
            return refused(Refused::Rate { limit: limits.requests_per_second, wait });
        }
        if self.connections.fetch_add(1, Ordering::Relaxed) >= limits.connections {
            self.connections.fetch_sub(1, Ordering::Relaxed);
            return refused(Refused::Connections { limit: limits.connections });
        }
        Ok(Arrival { admission: Arc::clone(self), limits, body_bytes: 0, arrived_at: now, status: None })
    }
}

/// A request that has arrived, with the limits of that moment. Dropping it ends and counts the request.
#[derive(Debug)]
pub struct Arrival {
    admission: Arc<Admission>,
    limits: Limits,
    body_bytes: u64,
    /// When it arrived, in nanoseconds.
    arrived_at: u64,
    /// The status of the response, once that is made.
    status: Option<StatusCode>,
}

impl Arrival {
    /// The limits that apply to the request.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Notes the response to the request.
    pub fn answered(&mut self, status: StatusCode) {
        self.status = Some(status);
    }

    /// Counts a body of which this many bytes have arrived, until the request is dropped.
    pub fn hold(&mut self, length: u64) -> Result<(), Refused> {
        if length <= SMALL_BODY || length <= self.body_bytes {
            return Ok(());
        }
        let more = length - self.body_bytes;
        let limit = self.limits.body_bytes.saturating_mul(MAX_BODIES_IN_MEMORY);
        let before = self.admission.body_bytes.fetch_add(more, Ordering::Relaxed);
        self.body_bytes = length;
        if before.saturating_add(more) > limit { Err(Refused::Bodies { limit }) } else { Ok(()) }
    }

    /// Returns how long to wait before more of a body is read, after a piece of this many bytes. The longest allowed
    /// body is read without a wait.
    pub fn read_delay(&self, piece: usize) -> Duration {
        let limit = self.limits.body_bytes;
        self.admission.long_bodies.delay(time_for(piece as u64, limit), time_for(limit, limit))
    }

    /// A request for an application with these limits.
    #[cfg(test)]
    pub(crate) fn of(limits: Limits) -> Self {
        let admission = Admission::new(limits);
        admission.connections.fetch_add(1, Ordering::Relaxed);
        Self { admission, limits, body_bytes: 0, arrived_at: nanoseconds(), status: None }
    }

    /// Waits for a permit, in order of arrival. The application works on the request while the permit is held.
    ///
    /// # Errors
    /// If the queue is full or the wait takes too long.
    pub async fn wait_for_permit(&self) -> Result<RequestPermit, Refused> {
        let admission = &self.admission;
        if let Ok(permit) = admission.permits.try_acquire() {
            return Ok(RequestPermit { _permit: permit });
        }
        let (in_flight, queue) = (self.limits.in_flight, self.limits.queue);
        let _queued =
            QueuedRequest::enter(&admission.queued, queue).ok_or(Refused::Queue { in_flight, queue })?;
        let waited = Duration::from_millis(self.limits.queue_time_ms);
        match tokio::time::timeout(waited, admission.permits.acquire()).await {
            Ok(Ok(permit)) => Ok(RequestPermit { _permit: permit }),
            Ok(Err(_)) | Err(_) => Err(Refused::Waited { in_flight, waited }),
        }
    }
}

impl Drop for Arrival {
    fn drop(&mut self) {
        let status = match self.status {
            Some(status) => status.as_u16(),
            None if std::thread::panicking() => StatusCode::INTERNAL_SERVER_ERROR.as_u16(),
            None => CLIENT_DISCONNECTED,
        };
        let took = Duration::from_nanos(nanoseconds().saturating_sub(self.arrived_at));
        self.admission.traffic.count(status, took);
        self.admission.connections.fetch_sub(1, Ordering::Relaxed);
        if self.body_bytes > 0 {
            self.admission.body_bytes.fetch_sub(self.body_bytes, Ordering::Relaxed);
        }
    }
}

/// The right to have the application work on a request, given back on drop.
#[derive(Debug)]
pub struct RequestPermit {
    _permit: Permit,
}

/// Counts a request as queued, until it is dropped.
struct QueuedRequest<'a>(&'a AtomicU32);

impl<'a> QueuedRequest<'a> {
    fn enter(queued: &'a AtomicU32, max: u32) -> Option<Self> {
        let entered = Self(queued);
        // If the queue is full, dropping `entered` undoes the addition.
        (queued.fetch_add(1, Ordering::Relaxed) < max).then_some(())?;
        Some(entered)
    }
}

impl Drop for QueuedRequest<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Limits a request rate as a token bucket does: the requests of one second may arrive at once; after that, tokens
/// return with time.
#[derive(Debug, Default)]
struct RateLimiter {
    /// When the bucket will be full again, in nanoseconds.
    full_at: AtomicU64,
}

const SECOND: u64 = 1_000_000_000;

impl RateLimiter {
    /// Counts a request that arrives `now`, or returns how long it should have waited.
    fn count(&self, per_second: u32, now: u64) -> Result<(), Duration> {
        if per_second == 0 {
            return Ok(());
        }
        let each = SECOND / u64::from(per_second);
        let mut full_at = self.full_at.load(Ordering::Relaxed);
        loop {
            // Clamped, so that a raised rate does not wait for tokens of the lower one.
            let next = full_at.clamp(now, now + SECOND) + each;
            let early = next.saturating_sub(now + SECOND);
            if early > 0 {
                return Err(Duration::from_nanos(early));
            }
            match self.full_at.compare_exchange_weak(full_at, next, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return Ok(()),
                Err(changed) => full_at = changed,
            }
        }
    }
}

/// The refusals that one application sends in a second; more are delayed.
const MAX_REFUSALS_PER_SECOND: u64 = 2_000;
/// The longest delay in nanoseconds.
const MAX_DELAY: u64 = 5 * SECOND;

/// The bytes of long bodies that an application reads in a second: what a fast network delivers. A client on the
/// same machine could send more, and keep the machine busy with nothing else.
const MAX_BODY_BYTES_PER_SECOND: u64 = 128 * 1024 * 1024;
/// If longer bodies are allowed, at least this many of the longest are read in a second.
const MIN_BODIES_PER_SECOND: u64 = 4;

/// The time for reading this many bytes of a body that may have `max` bytes, in nanoseconds.
fn time_for(bytes: u64, max: u64) -> u64 {
    let per_second = max.saturating_mul(MIN_BODIES_PER_SECOND).max(MAX_BODY_BYTES_PER_SECOND);
    u64::try_from(u128::from(bytes) * u128::from(SECOND) / u128::from(per_second)).unwrap_or(u64::MAX)
}

/// Spreads work over time: each piece begins when the time of those before it has passed.
#[derive(Debug, Default)]
pub(crate) struct Pacer {
    /// When the next piece may begin, in nanoseconds.
    next: AtomicU64,
}

impl Pacer {
    /// Returns how long to delay a refusal that would be sent now.
    pub(crate) fn refusal_delay(&self) -> Duration {
        self.delay(SECOND / MAX_REFUSALS_PER_SECOND, 0)
    }

    /// Returns the delay of a piece of work that takes `time`, if as much as `ahead` may precede it without a
    /// delay; both in nanoseconds.
    fn delay(&self, time: u64, ahead: u64) -> Duration {
        self.delay_at(nanoseconds(), time, ahead)
    }

    fn delay_at(&self, now: u64, time: u64, ahead: u64) -> Duration {
        let last = |next: u64| next.clamp(now, now.saturating_add(ahead).saturating_add(MAX_DELAY));
        let after = |next| Some(last(next).saturating_add(time));
        let next = self.next.fetch_update(Ordering::Relaxed, Ordering::Relaxed, after);
        Duration::from_nanos(next.map_or(0, |next| (last(next) - now).saturating_sub(ahead)))
    }
}

fn nanoseconds() -> u64 {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    u64::try_from(START.elapsed().as_nanos()).unwrap_or(u64::MAX / 2)
}

/// Returns the limits of an application: its `own`, else the `configured` ones, else the defaults. `is_shared` says
/// that its database is a file or shared with others.
pub(crate) fn effective(own: &LimitValues, configured: &LimitValues, is_shared: bool) -> Limits {
    /// The connections of one of many applications in a database, or of readers beside the writer of a file.
    const DEFAULT_SHARED_CONNECTIONS: u64 = 4;
    let mut defaults = Limits::USUAL;
    if is_shared {
        defaults =
            defaults.with(&LimitValues::from([(Limit::DatabaseConnections, DEFAULT_SHARED_CONNECTIONS)]));
    }
    defaults.with(configured).with(own)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(values: &[(Limit, u64)]) -> Limits {
        Limits::USUAL.with(&values.iter().copied().collect())
    }

    #[test]
    fn a_rate_admits_as_many_requests_as_it_says() {
        let (rate, mut now) = (RateLimiter::default(), 7 * SECOND);
        assert_eq!((0..100).filter(|_| rate.count(10, now).is_ok()).count(), 10, "at once");
        let wait = rate.count(10, now).unwrap_err();
        assert_eq!(wait, Duration::from_millis(100));
        now += SECOND / 2;
        assert_eq!((0..100).filter(|_| rate.count(10, now).is_ok()).count(), 5, "after half a second");
        assert!(rate.count(1000, now).is_err(), "all tokens of its second are used");
        assert!(rate.count(1000, now + SECOND / 100).is_ok());
        assert!(rate.count(0, now).is_ok(), "without a limit");
        now += 60 * SECOND;
        assert_eq!(
            (0..100).filter(|_| rate.count(10, now).is_ok()).count(),
            10,
            "a longer pause gives no more tokens"
        );
    }

    #[test]
    fn refusals_beyond_the_rate_are_delayed() {
        let (pacer, now) = (Pacer::default(), 7 * SECOND);
        let refusal = |now| pacer.delay_at(now, SECOND / MAX_REFUSALS_PER_SECOND, 0);
        let delays: Vec<_> = (0..3).map(|_| refusal(now).as_micros()).collect();
        assert_eq!(delays, [0, 500, 1000]);
        assert_eq!(refusal(now + SECOND), Duration::ZERO, "the earlier ones have been sent");
        for _ in 0..100_000 {
            refusal(now);
        }
        assert_eq!(refusal(now), Duration::from_nanos(MAX_DELAY), "no delay is longer");
    }

    #[test]
    fn bodies_after_the_first_are_delayed() {
        let (pacer, now) = (Pacer::default(), 7 * SECOND);
        let megabytes = |count: u64| time_for(count * 1024 * 1024, 10 * 1024 * 1024);
        let delays: Vec<_> = (0..12).map(|_| pacer.delay_at(now, megabytes(1), megabytes(10))).collect();
        assert!(delays[..11].iter().all(Duration::is_zero));
        assert_eq!(delays[11], Duration::from_nanos(megabytes(1)));
        let later = now + 12 * megabytes(1);
        assert!(pacer.delay_at(later, megabytes(10), megabytes(10)).is_zero(), "the delay has passed");
    }

    #[tokio::test]
    async fn requests_in_flight_and_in_the_queue_are_limited() {
        let few = limits(&[(Limit::InFlight, 2), (Limit::Queue, 1), (Limit::QueueTimeMs, 20)]);
        let admission = Admission::new(few);
        let arrivals: Vec<_> = (0..4).map(|_| admission.arrive().unwrap()).collect();
        let _first = arrivals[0].wait_for_permit().await.unwrap();
        let second = arrivals[1].wait_for_permit().await.unwrap();
        let waiting = arrivals[2].wait_for_permit();
        let mut waiting = std::pin::pin!(waiting);
        assert!(futures_util::poll!(waiting.as_mut()).is_pending());
        assert_eq!(
            arrivals[3].wait_for_permit().await.unwrap_err(),
            Refused::Queue { in_flight: 2, queue: 1 }
        );
        drop(second);
        let third = waiting.await.unwrap();
        let late = arrivals[3].wait_for_permit().await.unwrap_err();
        assert_eq!(late, Refused::Waited { in_flight: 2, waited: Duration::from_millis(20) });
        admission.set(limits(&[(Limit::InFlight, 3)]));
        let _fourth = arrivals[3].wait_for_permit().await.unwrap();
        drop(third);
        assert_eq!(admission.queued.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn connections_and_bodies_are_counted_until_the_request_ends() {
        let admission = Admission::new(limits(&[(Limit::Connections, 2), (Limit::BodyBytes, 100_000)]));
        let mut first = admission.arrive().unwrap();
        let mut second = admission.arrive().unwrap();
        assert_eq!(admission.arrive().unwrap_err(), Refused::Connections { limit: 2 });
        for length in [1000, 100_000, 700_000, 750_000] {
            first.hold(length).unwrap();
        }
        second.hold(1000).unwrap();
        assert_eq!(second.hold(100_000), Err(Refused::Bodies { limit: 800_000 }));
        let in_use = admission.in_use();
        assert_eq!((in_use.connections, in_use.body_bytes), (2, 850_000));
        drop((first, second));
        assert_eq!(admission.in_use(), InUse::default());
        admission.arrive().unwrap().hold(100_000).unwrap();
    }

    #[test]
    fn each_request_is_counted_once_by_its_end() {
        let admission = Admission::new(limits(&[(Limit::Connections, 1)]));
        let responses = || {
            let totals = admission.traffic().totals().unwrap();
            let timed: u64 = totals.buckets().iter().sum();
            (
                totals
                    .responses()
                    .map(|(code, count)| format!("{code}={count}"))
                    .collect::<Vec<_>>()
                    .join(" "),
                timed,
            )
        };
        let mut answered = admission.arrive().unwrap();
        answered.answered(StatusCode::NOT_FOUND);
        admission.arrive().unwrap_err();
        assert_eq!(responses(), ("503=1".to_owned(), 0), "a refusal has no duration");
        drop(answered);
        drop(admission.arrive().unwrap());
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _arrival = admission.arrive().unwrap();
            assert_eq!(responses().1, 0, "a handler panics");
        }));
        assert!(panicked.is_err());
        assert_eq!(responses(), ("404=1 499=1 500=1 503=1".to_owned(), 3));
    }

    #[test]
    fn own_limits_override_configured_ones_and_those_the_defaults() {
        let own = LimitValues::from([(Limit::InFlight, 1)]);
        let configured = LimitValues::from([(Limit::InFlight, 2), (Limit::Queue, 3)]);
        let one = effective(&own, &configured, true);
        assert_eq!((one.in_flight, one.queue, one.database_connections), (1, 3, 4));
        assert_eq!(effective(&own, &configured, false).database_connections, 8);
        let configured = LimitValues::from([(Limit::DatabaseConnections, 6)]);
        assert_eq!(effective(&own, &configured, true).database_connections, 6);
    }

    #[test]
    fn an_idle_application_needs_little_memory() {
        let size = size_of::<Admission>() + size_of::<Limits>() + size_of::<ResizableSemaphore>() + 64;
        assert!(size < 320, "{size} bytes");
    }
}
