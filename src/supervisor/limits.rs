//! What one application may take of the host, and where that is kept to.
//!
//! A request passes three doors of its application. It arrives ([`Admission::arrive`]): its rate and
//! its connection are counted. Its body is counted while it is in memory ([`Arrival::hold`]). Then
//! it waits for its turn ([`Arrival::turn`]), bounded in number and time. What is counted is given
//! back when the guards are dropped. Nothing here takes a lock unless requests wait.
//!
//! To refuse is work too: who is refused and asks again at once would have the host do little else.
//! Beyond a pace ([`Pace`]), refusals are held back for a while before they are sent. Taking in long
//! bodies is work as well, and has a pace of its own.

use std::sync::Arc;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;

use crate::database::{Permit, ResizableSemaphore};
use crate::protocol::{Limit, LimitValues, Limits};

/// A body of this size or less comes with its head, or just behind it. It is not counted: there are no
/// more of them than connections.
pub(crate) const SMALL_BODY: u64 = 64 * 1024;
/// The bodies of an application that are in memory at a time, as many times its longest.
const BODIES: u64 = 8;

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// More come in a second than may.
    #[error("more than {limit} requests came within a second")]
    Rate {
        /// How many may.
        limit: u32,
        /// When the next one may come.
        wait: Duration,
    },
    /// More connections have a request for it than may.
    #[error("{limit} connections have a request for it, and it may have no more")]
    Connections {
        /// How many may.
        limit: u32,
    },
    /// As much is in memory of its bodies as may be.
    #[error("the bodies of its requests take {limit} bytes of memory, and may take no more")]
    Bodies {
        /// How much may be.
        limit: u64,
    },
    /// It works on as many requests as it may, and as many wait as may.
    #[error("it works on {in_flight} requests, {queue} more wait, and there may be no more")]
    Queue {
        /// How many it may work on.
        in_flight: u32,
        /// How many may wait.
        queue: u32,
    },
    /// Its turn did not come in time.
    #[error("it works on {in_flight} requests, and none of them was done within {waited:?}")]
    Waited {
        /// How many it may work on.
        in_flight: u32,
        /// How long was waited.
        waited: Duration,
    },
}

/// The limits of an application with what is used of them.
#[derive(Debug)]
pub(crate) struct Admission {
    limits: ArcSwap<Limits>,
    turns: Arc<ResizableSemaphore>,
    waiting: AtomicU32,
    connections: AtomicU32,
    body_bytes: AtomicU64,
    rate: Rate,
    refusals: Pace,
    taken_in: Pace,
}

impl Admission {
    pub(crate) fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Self {
            turns: Arc::new(ResizableSemaphore::new(limits.in_flight)),
            limits: ArcSwap::from_pointee(limits),
            waiting: AtomicU32::new(0),
            connections: AtomicU32::new(0),
            body_bytes: AtomicU64::new(0),
            rate: Rate::default(),
            refusals: Pace::default(),
            taken_in: Pace::default(),
        })
    }

    /// How long a refusal is held back before it is sent.
    pub(crate) fn pause(&self) -> Duration {
        self.refusals.refusal()
    }

    pub(crate) fn limits(&self) -> Limits {
        **self.limits.load()
    }

    /// From now on these hold. What was let in goes on.
    pub(crate) fn set(&self, limits: Limits) {
        self.turns.resize(limits.in_flight);
        self.limits.store(Arc::new(limits));
    }

    /// Lets a request in, from its headers on, or says why not.
    pub(crate) fn arrive(self: &Arc<Self>) -> Result<Arrival, Refused> {
        let limits = self.limits();
        self.rate
            .count(limits.requests_per_second, nanoseconds())
            .map_err(|wait| Refused::Rate { limit: limits.requests_per_second, wait })?;
        if self.connections.fetch_add(1, Ordering::Relaxed) >= limits.connections {
            self.connections.fetch_sub(1, Ordering::Relaxed);
            return Err(Refused::Connections { limit: limits.connections });
        }
        Ok(Arrival { admission: Arc::clone(self), limits, body_bytes: 0 })
    }
}

/// A request that has arrived. It keeps the limits that held then.
#[derive(Debug)]
pub struct Arrival {
    admission: Arc<Admission>,
    limits: Limits,
    body_bytes: u64,
}

impl Arrival {
    /// The limits.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Counts a body that is so long by now, until the request is done.
    pub fn hold(&mut self, length: u64) -> Result<(), Refused> {
        if length <= SMALL_BODY || length <= self.body_bytes {
            return Ok(());
        }
        let more = length - self.body_bytes;
        let limit = self.limits.body_bytes.saturating_mul(BODIES);
        let before = self.admission.body_bytes.fetch_add(more, Ordering::Relaxed);
        self.body_bytes = length;
        if before.saturating_add(more) > limit { Err(Refused::Bodies { limit }) } else { Ok(()) }
    }

    /// How long to wait with more of a body after this piece of it, in bytes. As much as one body
    /// may have comes without a wait.
    pub fn pause_after(&self, piece: usize) -> Duration {
        let limit = self.limits.body_bytes;
        self.admission.taken_in.pause(time_for(piece as u64, limit), time_for(limit, limit))
    }

    /// One of an application with these limits.
    #[cfg(test)]
    pub(crate) fn of(limits: Limits) -> Self {
        let admission = Admission::new(limits);
        admission.connections.fetch_add(1, Ordering::Relaxed);
        Self { admission, limits, body_bytes: 0 }
    }

    /// Waits until the application works on it, in the order of arrival. Dropped, the turn is the
    /// next one's.
    pub async fn turn(&self) -> Result<Turn, Refused> {
        let admission = &self.admission;
        if let Ok(place) = admission.turns.try_acquire() {
            return Ok(Turn { _place: place });
        }
        let (in_flight, queue) = (self.limits.in_flight, self.limits.queue);
        let _waiting =
            Waiting::enter(&admission.waiting, queue).ok_or(Refused::Queue { in_flight, queue })?;
        let waited = Duration::from_millis(self.limits.queue_time_ms);
        match tokio::time::timeout(waited, admission.turns.acquire()).await {
            Ok(Ok(place)) => Ok(Turn { _place: place }),
            Ok(Err(_)) | Err(_) => Err(Refused::Waited { in_flight, waited }),
        }
    }
}

impl Drop for Arrival {
    fn drop(&mut self) {
        self.admission.connections.fetch_sub(1, Ordering::Relaxed);
        if self.body_bytes > 0 {
            self.admission.body_bytes.fetch_sub(self.body_bytes, Ordering::Relaxed);
        }
    }
}

/// The application works on a request.
#[derive(Debug)]
pub struct Turn {
    _place: Permit,
}

struct Waiting<'a>(&'a AtomicU32);

impl<'a> Waiting<'a> {
    fn enter(waiting: &'a AtomicU32, most: u32) -> Option<Self> {
        let entered = Self(waiting);
        // Where there was no room, dropping it takes it back.
        (waiting.fetch_add(1, Ordering::Relaxed) < most).then_some(())?;
        Some(entered)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Counts requests against a rate: as many as come in a second may come at once, and then one for
/// each that the time that has passed is good for.
#[derive(Debug, Default)]
struct Rate {
    /// When all that came will have been paid for by time, in nanoseconds.
    paid: AtomicU64,
}

const SECOND: u64 = 1_000_000_000;

impl Rate {
    /// Counts one that comes `now`, or says how long it should have waited.
    fn count(&self, per_second: u32, now: u64) -> Result<(), Duration> {
        if per_second == 0 {
            return Ok(());
        }
        let each = SECOND / u64::from(per_second);
        let mut paid = self.paid.load(Ordering::Relaxed);
        loop {
            // A rate that was raised a moment ago does not wait for what the old one wanted.
            let next = paid.clamp(now, now + SECOND) + each;
            let early = next.saturating_sub(now + SECOND);
            if early > 0 {
                return Err(Duration::from_nanos(early));
            }
            match self.paid.compare_exchange_weak(paid, next, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return Ok(()),
                Err(changed) => paid = changed,
            }
        }
    }
}

/// The refusals of one application in a second, as far as their clients wait for them.
const REFUSALS_PER_SECOND: u64 = 2_000;
/// As long as anything is held back at most, in nanoseconds.
const LONGEST_PAUSE: u64 = 5 * SECOND;

/// The bytes of long bodies that an application takes in in a second: what a fast network brings. More
/// comes from the machine itself, and would keep it busy with nothing else.
const BODY_BYTES_PER_SECOND: u64 = 128 * 1024 * 1024;
/// Where bodies may be long, at least so many of the longest are taken in in a second.
const BODIES_PER_SECOND: u64 = 4;

/// The time that so many bytes of bodies are given where one has so many at most, in nanoseconds.
fn time_for(bytes: u64, most: u64) -> u64 {
    let per_second = most.saturating_mul(BODIES_PER_SECOND).max(BODY_BYTES_PER_SECOND);
    u64::try_from(u128::from(bytes) * u128::from(SECOND) / u128::from(per_second)).unwrap_or(u64::MAX)
}

/// Spreads work over time: each piece begins when those before it have had theirs.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// When the next one may begin, in nanoseconds.
    next: AtomicU64,
}

impl Pace {
    /// How long a refusal that would go out now is held back.
    pub(crate) fn refusal(&self) -> Duration {
        self.pause(SECOND / REFUSALS_PER_SECOND, 0)
    }

    /// How long something waits that is given so much time, where so much may be ahead of it; all in
    /// nanoseconds.
    fn pause(&self, time: u64, ahead: u64) -> Duration {
        self.pause_at(nanoseconds(), time, ahead)
    }

    fn pause_at(&self, now: u64, time: u64, ahead: u64) -> Duration {
        let last = |next: u64| next.clamp(now, now.saturating_add(ahead).saturating_add(LONGEST_PAUSE));
        let after = |next| Some(last(next).saturating_add(time));
        let next = self.next.fetch_update(Ordering::Relaxed, Ordering::Relaxed, after);
        Duration::from_nanos(next.map_or(0, |next| (last(next) - now).saturating_sub(ahead)))
    }
}

fn nanoseconds() -> u64 {
    static BEGINNING: LazyLock<Instant> = LazyLock::new(Instant::now);
    u64::try_from(BEGINNING.elapsed().as_nanos()).unwrap_or(u64::MAX / 2)
}

/// The limits of an application whose own are these: what it was not given is as `configured` for
/// all, and else as usual.
pub(crate) fn effective(own: &LimitValues, configured: &LimitValues, shares: bool) -> Limits {
    /// Of applications that share a database or have a file: one of many, or read beside a writer.
    const CONNECTIONS_OF_ONE_OF_MANY: u64 = 4;
    let mut usual = Limits::USUAL;
    if shares {
        usual = usual.with(&LimitValues::from([(Limit::DatabaseConnections, CONNECTIONS_OF_ONE_OF_MANY)]));
    }
    usual.with(configured).with(own)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(values: &[(Limit, u64)]) -> Limits {
        Limits::USUAL.with(&values.iter().copied().collect())
    }

    #[test]
    fn a_rate_lets_through_what_it_says() {
        let (rate, mut now) = (Rate::default(), 7 * SECOND);
        assert_eq!((0..100).filter(|_| rate.count(10, now).is_ok()).count(), 10, "at once");
        let wait = rate.count(10, now).unwrap_err();
        assert_eq!(wait, Duration::from_millis(100));
        now += SECOND / 2;
        assert_eq!((0..100).filter(|_| rate.count(10, now).is_ok()).count(), 5, "after half a second");
        assert!(rate.count(1000, now).is_err(), "all of its second was used");
        assert!(rate.count(1000, now + SECOND / 100).is_ok());
        assert!(rate.count(0, now).is_ok(), "without a limit");
        now += 60 * SECOND;
        assert_eq!((0..100).filter(|_| rate.count(10, now).is_ok()).count(), 10, "nothing is saved up");
    }

    #[test]
    fn refusals_go_out_at_their_pace() {
        let (pace, now) = (Pace::default(), 7 * SECOND);
        let refusal = |now| pace.pause_at(now, SECOND / REFUSALS_PER_SECOND, 0);
        let pauses: Vec<_> = (0..3).map(|_| refusal(now).as_micros()).collect();
        assert_eq!(pauses, [0, 500, 1000]);
        assert_eq!(refusal(now + SECOND), Duration::ZERO, "those before have gone out");
        for _ in 0..100_000 {
            refusal(now);
        }
        assert_eq!(refusal(now), Duration::from_nanos(LONGEST_PAUSE), "nobody waits for ever");
    }

    #[test]
    fn bodies_come_in_at_their_pace_but_for_the_first() {
        let (pace, now) = (Pace::default(), 7 * SECOND);
        let megabytes = |count: u64| time_for(count * 1024 * 1024, 10 * 1024 * 1024);
        let pauses: Vec<_> = (0..12).map(|_| pace.pause_at(now, megabytes(1), megabytes(10))).collect();
        assert!(pauses[..11].iter().all(Duration::is_zero));
        assert_eq!(pauses[11], Duration::from_nanos(megabytes(1)));
        let later = now + 12 * megabytes(1);
        assert!(
            pace.pause_at(later, megabytes(10), megabytes(10)).is_zero(),
            "all that has been made up for"
        );
    }

    #[tokio::test]
    async fn as_many_are_in_flight_and_wait_as_may() {
        let few = limits(&[(Limit::InFlight, 2), (Limit::Queue, 1), (Limit::QueueTimeMs, 20)]);
        let admission = Admission::new(few);
        let arrivals: Vec<_> = (0..4).map(|_| admission.arrive().unwrap()).collect();
        let _first = arrivals[0].turn().await.unwrap();
        let second = arrivals[1].turn().await.unwrap();
        let waiting = arrivals[2].turn();
        let mut waiting = std::pin::pin!(waiting);
        assert!(futures_util::poll!(waiting.as_mut()).is_pending());
        assert_eq!(arrivals[3].turn().await.unwrap_err(), Refused::Queue { in_flight: 2, queue: 1 });
        drop(second);
        let third = waiting.await.unwrap();
        let late = arrivals[3].turn().await.unwrap_err();
        assert_eq!(late, Refused::Waited { in_flight: 2, waited: Duration::from_millis(20) });
        admission.set(limits(&[(Limit::InFlight, 3)]));
        let _fourth = arrivals[3].turn().await.unwrap();
        drop(third);
        assert_eq!(admission.waiting.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn connections_and_bodies_are_counted_until_they_are_done() {
        let admission = Admission::new(limits(&[(Limit::Connections, 2), (Limit::BodyBytes, 100_000)]));
        let mut first = admission.arrive().unwrap();
        let mut second = admission.arrive().unwrap();
        assert_eq!(admission.arrive().unwrap_err(), Refused::Connections { limit: 2 });
        for length in [1000, 100_000, 700_000, 750_000] {
            first.hold(length).unwrap();
        }
        second.hold(1000).unwrap();
        assert_eq!(second.hold(100_000), Err(Refused::Bodies { limit: 800_000 }));
        drop((first, second));
        assert_eq!(admission.connections.load(Ordering::Relaxed), 0);
        assert_eq!(admission.body_bytes.load(Ordering::Relaxed), 0);
        admission.arrive().unwrap().hold(100_000).unwrap();
    }

    #[test]
    fn its_own_limits_beat_the_configured_and_those_the_usual() {
        let own = LimitValues::from([(Limit::InFlight, 1)]);
        let configured = LimitValues::from([(Limit::InFlight, 2), (Limit::Queue, 3)]);
        let one = effective(&own, &configured, true);
        assert_eq!((one.in_flight, one.queue, one.database_connections), (1, 3, 4));
        assert_eq!(effective(&own, &configured, false).database_connections, 8);
        let configured = LimitValues::from([(Limit::DatabaseConnections, 6)]);
        assert_eq!(effective(&own, &configured, true).database_connections, 6);
    }

    #[test]
    fn an_idle_application_pays_little() {
        let size = size_of::<Admission>() + size_of::<Limits>() + size_of::<ResizableSemaphore>() + 64;
        assert!(size < 320, "{size} bytes");
    }
}
