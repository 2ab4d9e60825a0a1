//! The stream of events about applications.

use parking_lot::Mutex;
use tokio::sync::broadcast;

use crate::protocol::{AppId, Event, Happening};

/// How many events a listener may lag behind before it loses some.
const MAX_LAG: usize = 4096;

/// Publishes events to all listeners. The numbers of events are consecutive, so that a listener notices lost ones.
#[derive(Debug)]
pub struct Events {
    last: Mutex<u64>,
    sender: broadcast::Sender<Event>,
}

impl Default for Events {
    fn default() -> Self {
        Self { last: Mutex::new(0), sender: broadcast::channel(MAX_LAG).0 }
    }
}

impl Events {
    /// Sends an event to all listeners.
    pub fn publish(&self, app: &AppId, what: Happening) {
        // Held while sending, so that listeners receive the numbers in order.
        let mut last = self.last.lock();
        *last += 1;
        // Sending fails only without a listener.
        let _ = self.sender.send(Event { number: *last, at: crate::protocol::now(), app: app.clone(), what });
    }

    /// Subscribes to all events from now on. Returns the number of the last event before them, too.
    pub fn subscribe(&self) -> (u64, broadcast::Receiver<Event>) {
        let last = self.last.lock();
        (*last, self.sender.subscribe())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn numbers_are_consecutive() {
        let events = Events::default();
        events.publish(&AppId::main(), Happening::Updated);
        let (after, mut listener) = events.subscribe();
        assert_eq!(after, 1);
        events.publish(&AppId::main(), Happening::Updated);
        events.publish(&AppId::main(), Happening::SecretRotated);
        assert_eq!(listener.recv().await.unwrap().number, 2);
        assert_eq!(listener.recv().await.unwrap().number, 3);
    }
}
