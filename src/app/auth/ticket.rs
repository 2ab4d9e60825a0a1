//! Tickets: an operator gives one to somebody, who signs in with it once, within a minute.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use parking_lot::Mutex;
use sha2::{Digest, Sha256};

/// How long a ticket is good.
pub(super) const TICKET_LIFETIME: Duration = Duration::from_secs(60);

/// The tickets nobody has used yet. Only their hashes are kept, in memory alone.
#[derive(Debug, Default)]
pub(super) struct Tickets {
    open: Mutex<HashMap<[u8; 32], Ticket>>,
}

#[derive(Debug)]
struct Ticket {
    user_id: i64,
    until: Instant,
}

impl Tickets {
    /// A new ticket for a user: 32 random bytes as text.
    pub(super) fn issue(&self, user_id: i64, now: Instant) -> String {
        let secret: [u8; 32] = rand::random();
        let text = URL_SAFE_NO_PAD.encode(secret);
        let mut open = self.open.lock();
        open.retain(|_, ticket| ticket.until > now);
        open.insert(hash(&text), Ticket { user_id, until: now + TICKET_LIFETIME });
        text
    }

    /// Redeems a ticket; gives its user. It cannot be used again, whatever the caller does with it.
    pub(super) fn redeem(&self, text: &str, now: Instant) -> Option<i64> {
        let ticket = self.open.lock().remove(&hash(text))?;
        (ticket.until > now).then_some(ticket.user_id)
    }
}

fn hash(text: &str) -> [u8; 32] {
    Sha256::digest(text).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_works_once_within_its_time() {
        let (tickets, now) = (Tickets::default(), Instant::now());
        let (first, second) = (tickets.issue(1, now), tickets.issue(2, now));
        assert_eq!(first.len(), 43);
        assert_eq!(tickets.redeem("nosuch", now), None);
        assert_eq!(tickets.redeem(&first, now), Some(1));
        assert_eq!(tickets.redeem(&first, now), None, "used");
        assert_eq!(tickets.redeem(&second, now + TICKET_LIFETIME), None, "too late");
        assert_eq!(tickets.redeem(&second, now), None, "used up by the attempt");
    }

    #[test]
    fn old_tickets_are_forgotten_and_none_is_kept_in_the_clear() {
        let (tickets, now) = (Tickets::default(), Instant::now());
        let text = tickets.issue(1, now);
        assert!(!format!("{tickets:?}").contains(&text));
        tickets.issue(2, now + TICKET_LIFETIME);
        assert_eq!(tickets.open.lock().len(), 1);
    }
}
