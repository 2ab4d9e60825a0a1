//! How many connections the control socket has room for, in all and for each user.
//!
//! Where there is no room, the connection that has been idle for longest makes it: a program that
//! forgets to close its connections keeps nobody out. Where all are at work, the new one is refused,
//! and told why.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::protocol::{ErrorKind, RpcError};

/// The room of a control socket.
#[derive(Debug)]
pub(super) struct Room {
    /// Connections at a time.
    max: usize,
    /// Connections of one user at a time: others keep a way in.
    max_of_user: usize,
    seats: Mutex<Seats>,
}

#[derive(Debug, Default)]
struct Seats {
    next: u64,
    taken: HashMap<u64, Seat>,
}

#[derive(Debug)]
struct Seat {
    user: Option<u32>,
    /// When it last sent a line.
    active: Instant,
    /// Its requests under way, streams among them.
    requests: TaskTracker,
    leave: CancellationToken,
}

/// A connection's place; given back when dropped.
#[derive(Debug)]
pub(super) struct Guest {
    room: Arc<Room>,
    id: u64,
    /// Cancelled when another connection needs the place.
    pub(super) leave: CancellationToken,
    /// The connection's requests under way, streams among them.
    pub(super) requests: TaskTracker,
}

impl Room {
    /// Room for so many connections, half of them of one user.
    pub(super) fn new(max: usize) -> Arc<Self> {
        Arc::new(Self { max, max_of_user: (max / 2).max(1), seats: Mutex::default() })
    }

    /// A place for a connection of this user, or why there is none.
    pub(super) fn enter(self: &Arc<Self>, user: Option<u32>) -> Result<Guest, RpcError> {
        let mut seats = self.seats.lock();
        let of_user = seats.taken.values().filter(|seat| seat.user == user).count();
        if of_user >= self.max_of_user {
            seats.make_room(|seat| seat.user == user).ok_or_else(|| self.refusal(user))?;
        } else if seats.taken.len() >= self.max {
            seats.make_room(|_| true).ok_or_else(|| self.refusal(None))?;
        }
        let id = seats.next;
        seats.next += 1;
        let (leave, requests) = (CancellationToken::new(), TaskTracker::new());
        let seat = Seat { user, active: Instant::now(), requests: requests.clone(), leave: leave.clone() };
        seats.taken.insert(id, seat);
        drop(seats);
        Ok(Guest { room: Arc::clone(self), id, leave, requests })
    }

    fn refusal(&self, user: Option<u32>) -> RpcError {
        let sentence = match user {
            Some(user) => format!(
                "the control socket serves {} connections of user {user} at a time, and each of them has work under way",
                self.max_of_user
            ),
            None => format!(
                "the control socket serves {} connections at a time, and each of them has work under way",
                self.max
            ),
        };
        RpcError::new(ErrorKind::TooManyConnections, sentence)
            .hint("end programs that follow events or logs, or that wait; or try again")
    }
}

impl Seats {
    /// Sends away the connection that has been idle for longest, of those that may be.
    fn make_room(&mut self, may_leave: impl Fn(&Seat) -> bool) -> Option<()> {
        let idle = self.taken.iter().filter(|(_, seat)| seat.requests.is_empty() && may_leave(seat));
        let id = *idle.min_by_key(|(_, seat)| seat.active)?.0;
        self.taken.remove(&id)?.leave.cancel();
        Some(())
    }
}

impl Guest {
    /// Notes that the connection sent a line.
    pub(super) fn touch(&self) {
        if let Some(seat) = self.room.seats.lock().taken.get_mut(&self.id) {
            seat.active = Instant::now();
        }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.room.seats.lock().taken.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_idlest_makes_room_and_the_busy_stay() {
        let room = Room::new(4);
        let first = room.enter(Some(1)).unwrap();
        let second = room.enter(Some(1)).unwrap();
        first.touch();
        let third = room.enter(Some(1)).unwrap();
        assert!(second.leave.is_cancelled() && !first.leave.is_cancelled());
        drop(second);
        for guest in [&first, &third] {
            guest.requests.spawn(std::future::pending::<()>());
        }
        let refused = room.enter(Some(1)).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::TooManyConnections);
        assert!(refused.message.contains("2 connections of user 1"), "{refused}");
        // Others have room still, until all of it is taken.
        let others = [room.enter(Some(2)).unwrap(), room.enter(Some(3)).unwrap()];
        for guest in &others {
            guest.requests.spawn(std::future::pending::<()>());
        }
        assert!(room.enter(Some(4)).unwrap_err().message.contains("4 connections at a time"));
        drop(first);
        room.enter(Some(4)).unwrap();
    }
}
