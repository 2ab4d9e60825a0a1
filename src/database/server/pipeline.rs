//! Pipelines short reads: several on one connection, without waiting for a response before the next request.
//! Together they cost the server and this process little more than one read does.
//!
//! Long reads get a connection of their own, since those behind them would wait. A statement is pipelined
//! once it has been short several times in a row (`short_statements.rs`). If a pipelined read gets no
//! response soon, for whatever reason, it is retried on a connection of its own, and its pipe takes no
//! further reads.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::lease::Lease;
use super::short_statements::ShortStatements;
use super::{Connection, Pipelining};
use crate::database::{Rendered, Row};

/// The limit on reads in flight on one connection. More would gain little throughput, and all of them would
/// wait whenever the server's process waits for a core.
const MAX_IN_FLIGHT: u32 = 4;
/// The limit on reads on one connection before it goes back to the pool.
const MAX_READS: u32 = 64;
/// A statement is short if it takes no longer than the round trip and this.
const SHORT_MARGIN: Duration = Duration::from_millis(1);
/// A pipe takes no reads if nothing was answered for this long.
const STALL_TIMEOUT: Duration = Duration::from_millis(2);
/// The timeout of a pipelined read.
const READ_TIMEOUT: Duration = Duration::from_millis(50);
/// Both grow by so many round trips, for distant servers.
const ROUND_TRIPS: u32 = 4;
/// In place of a round trip that is not known.
const UNKNOWN_ROUND_TRIP: u32 = u32::MAX;

/// The short reads of one application.
pub(super) struct Pipeline<C: Connection> {
    short: ShortStatements,
    /// The shortest response time so far, in microseconds: an estimate of the round trip.
    round_trip: AtomicU32,
    /// The pipe that reads join, as long as any is on it.
    current: Mutex<Weak<Pipe<C>>>,
}

/// A connection that several reads share.
struct Pipe<C: Connection> {
    lease: Lease<C>,
    state: Mutex<PipeState>,
}

struct PipeState {
    /// The number of reads so far.
    reads: u32,
    /// The number of reads in flight.
    in_flight: u32,
    /// When the last response arrived, or the first read began.
    last_response: Instant,
    /// Whether a read got no response: no further reads are taken.
    is_closed: bool,
}

/// A read's place on a pipe. Dropping it without a response leaves the statement in flight: the connection is
/// discarded once all other reads have ended.
pub(super) struct PipelinedRead<C: Connection> {
    pipe: Arc<Pipe<C>>,
    begun: Instant,
    answered: bool,
}

impl<C: Connection> Pipeline<C> {
    pub(super) fn new() -> Self {
        Self {
            short: ShortStatements::default(),
            round_trip: AtomicU32::new(UNKNOWN_ROUND_TRIP),
            current: Mutex::default(),
        }
    }

    /// Whether a statement can be pipelined.
    pub(super) fn accepts(&self, statement: &Rendered) -> bool {
        self.round_trip.load(Ordering::Relaxed) != UNKNOWN_ROUND_TRIP && self.short.is_short(statement)
    }

    /// Joins the current pipe, if there is one with room.
    pub(super) fn join(&self) -> Option<PipelinedRead<C>> {
        let pipe = self.current.lock().upgrade()?;
        pipe.join(STALL_TIMEOUT + self.round_trip() * ROUND_TRIPS)
    }

    /// Starts a pipe on a connection, which later reads join.
    pub(super) fn begin(&self, lease: Lease<C>) -> PipelinedRead<C> {
        let begun = Instant::now();
        let state = PipeState { reads: 1, in_flight: 1, last_response: begun, is_closed: false };
        let pipe = Arc::new(Pipe { lease, state: Mutex::new(state) });
        *self.current.lock() = Arc::downgrade(&pipe);
        PipelinedRead { pipe, begun, answered: false }
    }

    /// Reads rows within `time`; `None` if that fails or takes too long, and the caller is to retry.
    pub(super) async fn read(
        &self,
        mut pipelined: PipelinedRead<C>,
        statement: &Rendered,
        time: Duration,
    ) -> Option<Vec<Row>>
    where
        C: Pipelining,
    {
        let connection = pipelined.pipe.lease.shared()?;
        // The drivers' futures are large; boxed, no request carries their size while it waits.
        let read = Box::pin(connection.read(statement));
        let timeout = time.min(READ_TIMEOUT + self.round_trip() * ROUND_TRIPS);
        let Ok(read) = tokio::time::timeout(timeout, read).await else {
            self.short.record(statement, false);
            // It may be another server by now.
            self.round_trip.store(UNKNOWN_ROUND_TRIP, Ordering::Relaxed);
            return None;
        };
        match read {
            Ok(rows) => {
                let took = pipelined.record_response();
                self.short.record(statement, self.is_short(took));
                Some(rows)
            }
            Err(error) => {
                if connection.is_broken(&error) {
                    // No read on this connection gets a response any more.
                    pipelined.pipe.lease.close_idle();
                } else {
                    pipelined.record_response();
                }
                None
            }
        }
    }

    /// Records how long a statement took on a connection of its own.
    pub(super) fn record_alone(&self, statement: &Rendered, took: Duration) {
        let micros = u32::try_from(took.as_micros()).unwrap_or(UNKNOWN_ROUND_TRIP);
        self.round_trip.fetch_min(micros, Ordering::Relaxed);
        self.short.record(statement, self.is_short(took));
    }

    fn is_short(&self, took: Duration) -> bool {
        took < SHORT_MARGIN + self.round_trip()
    }

    fn round_trip(&self) -> Duration {
        Duration::from_micros(self.round_trip.load(Ordering::Relaxed).into())
    }
}

impl<C: Connection> Pipe<C> {
    /// Joins the pipe, unless it is full or stalled.
    fn join(self: Arc<Self>, stalled: Duration) -> Option<PipelinedRead<C>> {
        let begun = Instant::now();
        let mut state = self.state.lock();
        if state.in_flight == 0 {
            state.last_response = begun;
        }
        if state.is_closed
            || state.in_flight >= MAX_IN_FLIGHT
            || state.reads >= MAX_READS
            || begun.saturating_duration_since(state.last_response) > stalled
        {
            return None;
        }
        state.reads += 1;
        state.in_flight += 1;
        drop(state);
        Some(PipelinedRead { pipe: self, begun, answered: false })
    }
}

impl<C: Connection> PipelinedRead<C> {
    /// Records the response; returns the time it took since the one before it.
    fn record_response(&mut self) -> Duration {
        self.answered = true;
        let now = Instant::now();
        let mut state = self.pipe.state.lock();
        let since = self.begun.max(state.last_response);
        state.in_flight -= 1;
        state.last_response = now;
        now.saturating_duration_since(since)
    }
}

impl<C: Connection> Drop for PipelinedRead<C> {
    fn drop(&mut self) {
        if !self.answered {
            self.pipe.state.lock().is_closed = true;
        }
    }
}

impl<C: Connection> Drop for Pipe<C> {
    fn drop(&mut self) {
        if self.state.get_mut().in_flight > 0 {
            self.lease.mark_in_flight();
        }
    }
}
