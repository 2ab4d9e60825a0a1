//! Short reads side by side on one connection. The server reads the next statement when it has
//! answered one, without anybody waiting for the other side in between: several requests cost it and
//! us little more than one does.
//!
//! What takes longer has a connection of its own, since whoever is behind it would wait. A statement
//! is read among others once it has been short several times in a row (`short_statements.rs`). A read that does
//! not get its answer soon, whatever the reason, is asked again on a connection of its own, and
//! nobody joins those that it was with.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::lease::Lease;
use super::short_statements::ShortStatements;
use super::{Connection, Pipelining};
use crate::database::{Rendered, Row};

/// Reads that wait for their answers on one connection at a time. More would be a little more in a
/// second, and all of them would wait where the server's process waits for a core.
const DEPTH: u32 = 4;
/// Reads on one connection until others get their turn.
const READS: u32 = 64;
/// A statement that takes longer than the way to the server and back and this is not short.
const MOMENT: Duration = Duration::from_millis(1);
/// How long nothing may have been answered for others to join.
const STALLED: Duration = Duration::from_millis(2);
/// How long an answer is waited for among others.
const PATIENCE: Duration = Duration::from_millis(50);
/// Where the server is far away, both are longer by so many times the way there and back.
const ROUND_TRIPS: u32 = 4;
/// It is not known how far away the server is.
const UNKNOWN: u32 = u32::MAX;

/// The short reads of one application.
pub(super) struct Pipeline<C: Connection> {
    short: ShortStatements,
    /// The least time that one answer took, in microseconds: the way to the server and back.
    round_trip: AtomicU32,
    /// What others join, as long as somebody reads on it.
    current: Mutex<Weak<Pipe<C>>>,
}

/// A connection on which several read.
struct Pipe<C: Connection> {
    lease: Lease<C>,
    state: Mutex<State>,
}

struct State {
    /// Reads so far.
    reads: u32,
    /// Those without an answer.
    waiting: u32,
    /// When the last was answered, or the first begun.
    moved: Instant,
    /// Somebody did not get an answer: nobody joins any more.
    given_up: bool,
}

/// A place among those who read on a connection. Dropped without an answer, its statement is under
/// way still, and the connection is thrown away when all others have theirs.
pub(super) struct Seat<C: Connection> {
    pipe: Arc<Pipe<C>>,
    begun: Instant,
    answered: bool,
}

impl<C: Connection> Pipeline<C> {
    pub(super) fn new() -> Self {
        Self {
            short: ShortStatements::default(),
            round_trip: AtomicU32::new(UNKNOWN),
            current: Mutex::default(),
        }
    }

    /// Whether a statement can be read among others.
    pub(super) fn suits(&self, statement: &Rendered) -> bool {
        self.round_trip.load(Ordering::Relaxed) != UNKNOWN && self.short.is_short(statement)
    }

    /// A place among those who read already, where there is one.
    pub(super) fn join(&self) -> Option<Seat<C>> {
        let pipe = self.current.lock().upgrade()?;
        pipe.seat(STALLED + self.round_trip() * ROUND_TRIPS)
    }

    /// A place on a connection that others join from now on.
    pub(super) fn begin(&self, lease: Lease<C>) -> Seat<C> {
        let begun = Instant::now();
        let state = State { reads: 1, waiting: 1, moved: begun, given_up: false };
        let pipe = Arc::new(Pipe { lease, state: Mutex::new(state) });
        *self.current.lock() = Arc::downgrade(&pipe);
        Seat { pipe, begun, answered: false }
    }

    /// Reads rows, within `time` at the most; `None` where that fails or takes too long: it is to be
    /// asked again.
    pub(super) async fn read(
        &self,
        mut seat: Seat<C>,
        statement: &Rendered,
        time: Duration,
    ) -> Option<Vec<Row>>
    where
        C: Pipelining,
    {
        let connection = seat.pipe.lease.shared()?;
        // The drivers' futures are large; boxed, no request carries their size while it waits.
        let read = Box::pin(connection.read(statement));
        let patience = time.min(PATIENCE + self.round_trip() * ROUND_TRIPS);
        let Ok(read) = tokio::time::timeout(patience, read).await else {
            self.short.remember(statement, false);
            // It may be another server by now.
            self.round_trip.store(UNKNOWN, Ordering::Relaxed);
            return None;
        };
        match read {
            Ok(rows) => {
                let took = seat.was_answered();
                self.short.remember(statement, self.is_short(took));
                Some(rows)
            }
            Err(error) => {
                if connection.is_broken(&error) {
                    // Nobody on it gets an answer any more.
                    seat.pipe.lease.forget_others();
                } else {
                    seat.was_answered();
                }
                None
            }
        }
    }

    /// Remembers how long the answer to a statement took that had a connection of its own.
    pub(super) fn took_alone(&self, statement: &Rendered, took: Duration) {
        let micros = u32::try_from(took.as_micros()).unwrap_or(UNKNOWN);
        self.round_trip.fetch_min(micros, Ordering::Relaxed);
        self.short.remember(statement, self.is_short(took));
    }

    fn is_short(&self, took: Duration) -> bool {
        took < MOMENT + self.round_trip()
    }

    fn round_trip(&self) -> Duration {
        Duration::from_micros(self.round_trip.load(Ordering::Relaxed).into())
    }
}

impl<C: Connection> Pipe<C> {
    /// A place, unless too many have one, or nothing is answered any more.
    fn seat(self: Arc<Self>, stalled: Duration) -> Option<Seat<C>> {
        let begun = Instant::now();
        let mut state = self.state.lock();
        if state.waiting == 0 {
            state.moved = begun;
        }
        if state.given_up
            || state.waiting >= DEPTH
            || state.reads >= READS
            || begun.saturating_duration_since(state.moved) > stalled
        {
            return None;
        }
        state.reads += 1;
        state.waiting += 1;
        drop(state);
        Some(Seat { pipe: self, begun, answered: false })
    }
}

impl<C: Connection> Seat<C> {
    /// Notes that the server answered; gives the time that it took, from when those before had theirs.
    fn was_answered(&mut self) -> Duration {
        self.answered = true;
        let now = Instant::now();
        let mut state = self.pipe.state.lock();
        let since = self.begun.max(state.moved);
        state.waiting -= 1;
        state.moved = now;
        now.saturating_duration_since(since)
    }
}

impl<C: Connection> Drop for Seat<C> {
    fn drop(&mut self) {
        if !self.answered {
            self.pipe.state.lock().given_up = true;
        }
    }
}

impl<C: Connection> Drop for Pipe<C> {
    fn drop(&mut self) {
        if self.state.get_mut().waiting > 0 {
            self.lease.give_up();
        }
    }
}
