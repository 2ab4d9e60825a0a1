//! Work that keeps a core busy for a while: hashing passwords, reading large bodies.
//!
//! It is done away from the threads that answer requests, by threads of a lower priority, and in
//! turns: no more at a time than there are cores, since a hash takes 19 MiB too. An application has
//! its share of the turns, so that a thousand sign-ins at one hold up its own and nobody else's.

use std::sync::{Arc, LazyLock};

use tokio::sync::{Semaphore, oneshot};

/// The turns of all applications, in the order in which they are asked for.
static TURNS: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(cores())));

/// How much less of the processor it gets than requests do, where both want it (`nice(1)`).
const NICE: i32 = 10;

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// Where the heavy work of one application waits: what is before its turn waits here, and not in
/// the way of others.
#[derive(Debug)]
pub(in crate::app) struct Line(Arc<Semaphore>);

impl Default for Line {
    fn default() -> Self {
        // All but one: that is left to others, also while this application has all it may.
        Self(Arc::new(Semaphore::new(cores().saturating_sub(1).max(1))))
    }
}

impl Line {
    /// Does the work in a turn of this application; `None` when it panicked or could not begin. When
    /// nobody waits for it any more before it has begun, it is not done.
    pub(in crate::app) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let own = Arc::clone(&self.0).acquire_owned().await.ok()?;
        let turn = Arc::clone(&TURNS).acquire_owned().await.ok()?;
        let (sender, receiver) = oneshot::channel();
        // A thread of its own costs a thousandth of the work, and may be given a lower priority,
        // which it could not be relieved of again.
        let thread = std::thread::Builder::new().name("heavy".into()).stack_size(1024 * 1024);
        let begun = thread.spawn(move || {
            // Kept until the work is done, also when nobody waits for it any more.
            let _turns = (own, turn);
            let _ = rustix::process::setpriority_process(None, NICE);
            let _ = sender.send(work());
        });
        if let Err(error) = begun {
            tracing::error!(%error, "no thread could be started for heavy work");
        }
        receiver.await.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_application_leaves_a_turn_to_others() {
        let busy = Arc::new(Line::default());
        let (release, held) = std::sync::mpsc::channel::<()>();
        let held = Arc::new(std::sync::Mutex::new(held));
        let crowd: Vec<_> = (0..50)
            .map(|_| {
                let (busy, held) = (Arc::clone(&busy), Arc::clone(&held));
                // Each waits until it is let go.
                tokio::spawn(async move { busy.run(move || drop(held.lock().map(|held| held.recv()))).await })
            })
            .collect();
        tokio::task::yield_now().await;
        // With one core there is one turn, and others wait for one piece of work.
        if cores() > 1 {
            assert_eq!(Line::default().run(|| 7).await, Some(7));
        }
        drop(release);
        for one in crowd {
            assert!(one.await.unwrap().is_some());
        }
    }

    #[tokio::test]
    async fn a_panic_is_told() {
        assert_eq!(Line::default().run(|| -> u8 { panic!("on purpose") }).await, None);
    }
}
