//! What happens to applications, told to whoever listens.

use parking_lot::Mutex;
use tokio::sync::broadcast;

use crate::protocol::{AppId, Event, Happening};

/// How many events a slow listener may lag behind before it loses some.
const BACKLOG: usize = 4096;

/// The stream of events. Numbers go up by one, so that a listener sees what it missed.
#[derive(Debug)]
pub struct Events {
    last: Mutex<u64>,
    sender: broadcast::Sender<Event>,
}

impl Default for Events {
    fn default() -> Self {
        Self { last: Mutex::new(0), sender: broadcast::channel(BACKLOG).0 }
    }
}

impl Events {
    /// Tells all listeners.
    pub fn publish(&self, app: &AppId, what: Happening) {
        // Numbering and sending are one step: listeners must see numbers in order.
        let mut last = self.last.lock();
        *last += 1;
        // No listener is no error.
        let _ = self.sender.send(Event { number: *last, at: crate::protocol::now(), app: app.clone(), what });
    }

    /// Every event from now on, and the number of the last one before.
    pub fn subscribe(&self) -> (u64, broadcast::Receiver<Event>) {
        let last = self.last.lock();
        (*last, self.sender.subscribe())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn numbers_go_up_by_one() {
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
