//! Runs equal concurrent counts once (single flight).
//!
//! Every page of records asks for the total, and a server counts by visiting all of them. So one connection
//! at a time runs a given count. Callers that arrive meanwhile share the next round: it begins after each of
//! them arrived, and therefore sees whatever was acknowledged by then.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::OnceCell;

use crate::database::{DatabaseError, Rendered};

/// How long a round waits for the one before it. If that takes longer, both run side by side.
const ROUND_TIMEOUT: Duration = Duration::from_millis(250);

type CountResult = Result<u64, DatabaseError>;
type Round = Arc<OnceCell<CountResult>>;

/// A database's counts in flight, and those waiting.
#[derive(Debug)]
pub(super) struct SingleFlight {
    flights: Mutex<Vec<Arc<Flight>>>,
    round_timeout: Duration,
}

/// The callers of one statement.
#[derive(Debug)]
struct Flight {
    hash: u64,
    statement: Rendered,
    /// The number of callers; changed only under the lock of the whole list.
    callers: AtomicUsize,
    /// Held by the caller that counts.
    running: tokio::sync::Mutex<()>,
    /// The round that has not begun yet.
    next: Mutex<Option<Round>>,
}

/// Registers a caller, until drop.
struct Caller<'a> {
    single_flight: &'a SingleFlight,
    flight: Arc<Flight>,
}

impl Default for SingleFlight {
    fn default() -> Self {
        Self { flights: Mutex::default(), round_timeout: ROUND_TIMEOUT }
    }
}

impl SingleFlight {
    /// Returns what a statement counts: by running `count`, or from another caller's run that began after
    /// this call.
    pub(super) async fn count<F>(&self, statement: &Rendered, count: impl Fn() -> F) -> CountResult
    where
        F: Future<Output = CountResult>,
    {
        let caller = self.register(statement);
        let flight = &caller.flight;
        let round = Arc::clone(flight.next.lock().get_or_insert_default());
        let own = AtomicBool::new(false);
        // If the caller that counts is dropped, the next one takes over.
        let answer = round.get_or_init(|| async {
            let _running = tokio::time::timeout(self.round_timeout, flight.running.lock()).await;
            flight.begin(&round);
            own.store(true, Ordering::Relaxed);
            count().await
        });
        match answer.await {
            // The cause may be the connection of the caller that counted.
            Err(DatabaseError::Unreachable(_)) if !own.load(Ordering::Relaxed) => count().await,
            answer => answer.clone(),
        }
    }

    fn register(&self, statement: &Rendered) -> Caller<'_> {
        let hash = statement.hash();
        let mut flights = self.flights.lock();
        let found = flights.iter().find(|flight| flight.hash == hash && flight.statement == *statement);
        let flight = found.map(Arc::clone).unwrap_or_else(|| {
            let flight = Arc::new(Flight {
                hash,
                statement: statement.clone(),
                callers: AtomicUsize::new(0),
                running: tokio::sync::Mutex::default(),
                next: Mutex::default(),
            });
            flights.push(Arc::clone(&flight));
            flight
        });
        flight.callers.fetch_add(1, Ordering::Relaxed);
        Caller { single_flight: self, flight }
    }
}

impl Flight {
    /// Makes later callers wait for another round than this one.
    fn begin(&self, round: &Round) {
        self.next.lock().take_if(|next| Arc::ptr_eq(next, round));
    }
}

impl Drop for Caller<'_> {
    fn drop(&mut self) {
        let mut flights = self.single_flight.flights.lock();
        if self.flight.callers.fetch_sub(1, Ordering::Relaxed) == 1 {
            flights.retain(|flight| !Arc::ptr_eq(flight, &self.flight));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use tokio::sync::Semaphore;
    use tokio::task::{JoinSet, yield_now};

    use super::*;

    /// A count whose result is its own number; each run waits for a permit.
    struct Slow {
        counts: SingleFlight,
        begun: AtomicU64,
        may: Semaphore,
    }

    impl Slow {
        fn new(round_timeout: Duration) -> Arc<Self> {
            let single_flight = SingleFlight { round_timeout, ..SingleFlight::default() };
            Arc::new(Self { counts: single_flight, begun: AtomicU64::new(0), may: Semaphore::new(0) })
        }

        async fn count(&self, statement: &Rendered) -> CountResult {
            self.counts.count(statement, || self.number()).await
        }

        async fn number(&self) -> CountResult {
            let number = self.begun.fetch_add(1, Ordering::SeqCst);
            self.may.acquire().await.unwrap().forget();
            // The first run loses its connection.
            (number > 0).then_some(number).ok_or(DatabaseError::Unreachable("gone".to_owned()))
        }

        /// Starts so many callers; all of them wait when this returns.
        async fn ask(self: &Arc<Self>, times: usize) -> JoinSet<CountResult> {
            self.ask_for(&all(), times).await
        }

        async fn ask_for(self: &Arc<Self>, statement: &Rendered, times: usize) -> JoinSet<CountResult> {
            let mut asked = JoinSet::new();
            for _ in 0..times {
                let (slow, statement) = (Arc::clone(self), statement.clone());
                asked.spawn(async move { slow.count(&statement).await });
                yield_now().await;
            }
            asked
        }

        fn begun(&self) -> u64 {
            self.begun.load(Ordering::SeqCst)
        }
    }

    fn all() -> Rendered {
        Rendered::of("SELECT count(*) FROM t")
    }

    #[tokio::test]
    async fn waiting_callers_share_a_count_that_began_after_they_called() {
        let slow = Slow::new(Duration::MAX);
        let first = slow.ask(1).await;
        let next = slow.ask(5).await;
        assert_eq!(slow.begun(), 1, "one count runs at a time");
        let bound = Rendered { values: vec![1_i32.into()], ..all() };
        let other = slow.ask_for(&bound, 1).await;
        assert_eq!(slow.begun(), 2, "with other values it is another statement");
        slow.may.add_permits(3);
        assert!(matches!(first.join_all().await[..], [Err(DatabaseError::Unreachable(_))]));
        assert_eq!(other.join_all().await, [Ok(1)]);
        assert_eq!(next.join_all().await, [const { Ok(2) }; 5]);
        assert!(slow.counts.flights.lock().is_empty(), "no flight is left");
    }

    #[tokio::test]
    async fn when_the_counting_caller_is_dropped_another_takes_over() {
        let slow = Slow::new(Duration::MAX);
        let mut first = slow.ask(1).await;
        let mut next = slow.ask(3).await;
        first.shutdown().await;
        yield_now().await;
        assert_eq!(slow.begun(), 2);
        let last = slow.ask(2).await;
        slow.may.add_permits(2);
        assert_eq!(next.join_next().await.unwrap().unwrap(), Ok(1));
        assert_eq!(next.join_all().await, [const { Ok(1) }; 2]);
        assert_eq!(last.join_all().await, [const { Ok(2) }; 2]);
        let mut gone = slow.ask(4).await;
        gone.shutdown().await;
        assert!(slow.counts.flights.lock().is_empty());
    }

    #[tokio::test]
    async fn a_long_count_does_not_delay_the_next_round() {
        let slow = Slow::new(Duration::ZERO);
        let mut first = slow.ask(1).await;
        let next = slow.ask(2).await;
        while slow.begun() < 2 {
            yield_now().await;
        }
        first.shutdown().await;
        slow.may.add_permits(2);
        assert!(next.join_all().await.iter().all(Result::is_ok), "the next round runs beside the first");
    }

    #[tokio::test]
    async fn a_caller_retries_after_the_failure_of_anothers_connection() {
        let slow = Slow::new(Duration::MAX);
        let cut_off = slow.ask(1).await;
        // Both are in one round.
        slow.counts.flights.lock()[0]
            .next
            .lock()
            .replace(Arc::new(OnceCell::new_with(Some(Err(DatabaseError::Unreachable("gone".to_owned()))))));
        let other = slow.ask(1).await;
        slow.may.add_permits(2);
        assert!(cut_off.join_all().await[0].is_err(), "its own connection failed");
        assert_eq!(other.join_all().await, [Ok(1)]);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn concurrent_callers_leave_no_flight_behind() {
        let single_flight = Arc::new(SingleFlight::default());
        for _ in 0..500 {
            let mut asked = JoinSet::new();
            for _ in 0..8 {
                let single_flight = Arc::clone(&single_flight);
                asked.spawn(async move { single_flight.count(&all(), || async { Ok(1) }).await });
            }
            assert_eq!(asked.join_all().await, [const { Ok(1) }; 8]);
            assert!(single_flight.flights.lock().is_empty());
        }
    }
}
