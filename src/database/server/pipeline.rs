//! Short reads side by side on one connection. The server reads the next statement when it has
//! answered one, without anybody waiting for the other side in between: several requests cost it and
//! us little more than one does.
//!
//! What takes longer has a connection of its own, since whoever is behind it would wait. Which
//! statements do shows when they are tried (`brevity.rs`); a read that does not get its answer soon,
//! whatever the reason, is asked again on a connection of its own, and nothing joins those that it
//! was with.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::lease::Lease;
use super::{Connection, Pipelining};
use crate::database::brevity::{Brevity, MOMENT};
use crate::database::{Rendered, Row};

/// Reads that wait for their answers on one connection at a time.
const DEPTH: u32 = 8;
/// Reads on one connection until others get their turn.
const READS: u32 = 64;
/// How long nothing may have been answered for others to join.
const STALLED: Duration = Duration::from_millis(2);
/// How long an answer is waited for among others.
const PATIENCE: Duration = Duration::from_millis(50);
/// So many times the way to the server and back, where that is long.
const WAYS: u32 = 4;

/// The short reads of one application.
pub(super) struct Pipeline<C: Connection> {
    brevity: Brevity,
    /// The least time that one answer took, in microseconds: the way to the server and back.
    way: AtomicU32,
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
    /// Nobody was before it.
    first: bool,
    answered: bool,
}

impl<C: Connection> Pipeline<C> {
    pub(super) fn new() -> Self {
        Self { brevity: Brevity::default(), way: AtomicU32::new(u32::MAX), current: Mutex::default() }
    }

    /// Whether a statement can be read among others. The first of all has a connection of its own:
    /// it shows how far away the server is.
    pub(super) fn suits(&self, statement: &Rendered) -> bool {
        self.way.load(Ordering::Relaxed) != u32::MAX && self.brevity.is_brief(statement)
    }

    /// A place among those who read already, where there is one.
    pub(super) fn join(&self) -> Option<Seat<C>> {
        let pipe = self.current.lock().upgrade()?;
        pipe.seat(STALLED + self.way())
    }

    /// A place on a connection that others join from now on.
    pub(super) fn begin(&self, lease: Lease<C>) -> Seat<C> {
        let begun = Instant::now();
        let state = State { reads: 1, waiting: 1, moved: begun, given_up: false };
        let pipe = Arc::new(Pipe { lease, state: Mutex::new(state) });
        *self.current.lock() = Arc::downgrade(&pipe);
        Seat { pipe, begun, first: true, answered: false }
    }

    /// Reads rows; `None` where that fails or takes too long: it is to be asked again.
    pub(super) async fn read(&self, mut seat: Seat<C>, statement: &Rendered) -> Option<Vec<Row>>
    where
        C: Pipelining,
    {
        // The drivers' futures are large; boxed, no request carries their size while it waits.
        let read = Box::pin(seat.pipe.lease.shared()?.read(statement));
        let Ok(read) = tokio::time::timeout(PATIENCE + self.way(), read).await else {
            self.brevity.remember(statement, true);
            return None;
        };
        let took = seat.was_answered(read.is_ok());
        self.brevity.remember(statement, took > 2 * MOMENT + self.way() / WAYS);
        if seat.first {
            self.took_alone(took);
        }
        read.ok()
    }

    /// Says how long an answer took that had nobody before it.
    pub(super) fn took_alone(&self, took: Duration) {
        let took = u32::try_from(took.as_micros()).unwrap_or(u32::MAX - 1);
        if took < self.way.load(Ordering::Relaxed) {
            self.way.store(took, Ordering::Relaxed);
        }
    }

    /// The way to the server and back, so many times.
    fn way(&self) -> Duration {
        Duration::from_micros(self.way.load(Ordering::Relaxed).into()) * WAYS
    }
}

impl<C: Connection> Pipe<C> {
    /// A place, unless too many have one, or nothing is answered any more.
    fn seat(self: Arc<Self>, stalled: Duration) -> Option<Seat<C>> {
        let begun = Instant::now();
        let mut state = self.state.lock();
        let first = state.waiting == 0;
        if first {
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
        Some(Seat { pipe: self, begun, first, answered: false })
    }
}

impl<C: Connection> Seat<C> {
    /// Notes that the server answered; gives the time that it took, from when those before had theirs.
    fn was_answered(&mut self, well: bool) -> Duration {
        self.answered = true;
        let now = Instant::now();
        let mut state = self.pipe.state.lock();
        let since = self.begun.max(state.moved);
        state.waiting -= 1;
        state.moved = now;
        state.given_up |= !well;
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
