//! A queue for CPU-bound work: hashing passwords, parsing large bodies.
//!
//! The work runs outside the threads that answer requests, on threads of lower priority, as many at
//! a time as there are cores (a hash also takes 19 MiB). Each application has a share of them, so
//! that a thousand sign-ins at one delay its own work alone.
//!
//! A thread of lower priority still keeps its core for some milliseconds. Where an application
//! queues more work than people would cause, and the machine has idle time, its threads run with
//! `SCHED_IDLE` and yield at once.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use thread_priority::ThreadPriority;
use thread_priority::unix::{
    NormalThreadSchedulePolicy, ThreadSchedulePolicy, set_thread_priority_and_policy, thread_native_id,
};
use tokio::sync::{Semaphore, oneshot};

/// The permits of all applications, in the order of their requests.
static TURNS: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(cores())));
/// The permits of applications whose queue is long: others do not wait behind work that waits for
/// idle time.
static CROWDS: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(cores())));

/// A queue longer than this is run in idle time.
const MAX_FOREGROUND: usize = 8;
/// An idle-priority probe that takes longer than this shows that there is no idle time.
const MAX_PROBE: Duration = Duration::from_millis(50);

/// The niceness of its threads (`nice(1)`).
const NICE: i32 = 10;

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// The queue of one application: its work waits here and does not block the queues of others.
#[derive(Debug)]
pub(in crate::app) struct CpuQueue {
    turns: Arc<Semaphore>,
    waiting: AtomicUsize,
}

impl Default for CpuQueue {
    fn default() -> Self {
        // All but one: that is left to others, also while this application has all it may.
        let turns = cores().saturating_sub(1).max(1);
        Self { turns: Arc::new(Semaphore::new(turns)), waiting: AtomicUsize::new(0) }
    }
}

impl CpuQueue {
    /// Runs the work when it is this application's turn; `None` if it panicked or could not start.
    /// Work that nobody waits for any more is not started.
    pub(in crate::app) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let waiting = Waiting::enter(&self.waiting);
        let own = Arc::clone(&self.turns).acquire_owned().await.ok()?;
        let is_crowd = self.waiting.load(Ordering::Relaxed) > MAX_FOREGROUND && is_time_to_spare().await;
        let all = if is_crowd { &CROWDS } else { &TURNS };
        let turn = Arc::clone(all).acquire_owned().await.ok()?;
        drop(waiting);
        let (sender, receiver) = oneshot::channel();
        // A thread of its own costs a thousandth of the work, and may be given a lower priority,
        // which it could not be relieved of again.
        let thread = std::thread::Builder::new().name("cpu".into()).stack_size(1024 * 1024);
        let begun = thread.spawn(move || {
            // Kept until the work is done, also when nobody waits for it any more.
            let _turns = (own, turn);
            let _ = rustix::process::setpriority_process(None, NICE);
            if is_crowd {
                stand_back();
            }
            let _ = sender.send(work());
        });
        if let Err(error) = begun {
            tracing::error!(%error, "no thread could be started for CPU-bound work");
        }
        receiver.await.ok()
    }
}

/// Probes for idle time with a thread of idle priority. If all cores are busy, idle-priority work
/// would take minutes.
async fn is_time_to_spare() -> bool {
    let (sender, receiver) = oneshot::channel();
    let thread = std::thread::Builder::new().name("spare".into()).stack_size(64 * 1024);
    let begun = thread.spawn(move || {
        stand_back();
        // Some tenths of a millisecond, without optimisation some milliseconds.
        let sum = (0..300_000_u64).fold(0, |sum, number| std::hint::black_box(sum ^ number));
        let _ = sender.send(sum);
    });
    begun.is_ok() && tokio::time::timeout(MAX_PROBE, receiver).await.is_ok()
}

/// Lowers the calling thread to idle priority (`SCHED_IDLE`).
fn stand_back() {
    let policy = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
    // Where that is not allowed, it still has a lower priority.
    let _ = set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Min, policy);
}

/// Counts one waiter until it is dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn enter(waiting: &'a AtomicUsize) -> Self {
        waiting.fetch_add(1, Ordering::Relaxed);
        Self(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_application_leaves_a_turn_to_others() {
        let busy = Arc::new(CpuQueue::default());
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
            assert_eq!(CpuQueue::default().run(|| 7).await, Some(7));
        }
        drop(release);
        for one in crowd {
            assert!(one.await.unwrap().is_some());
        }
    }

    #[tokio::test]
    async fn a_crowd_is_worked_on_in_the_time_that_nobody_else_wants() {
        // proc_pid_stat(5): the policy is the 41st, and the name, in brackets, the second.
        let is_idle = || {
            let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
            stat.rsplit(')').next().unwrap().split_whitespace().nth(38) == Some("5")
        };
        let line = Arc::new(CpuQueue::default());
        assert!(!line.run(is_idle).await.unwrap());
        // Until there is such time.
        let crowds = async {
            let mut idle = 0;
            while idle == 0 {
                let crowd = (0..2 * MAX_FOREGROUND + cores()).map(|_| line.run(is_idle));
                let done = futures_util::future::join_all(crowd).await;
                idle = done.into_iter().filter(|idle| *idle == Some(true)).count();
            }
        };
        tokio::time::timeout(Duration::from_secs(300), crowds).await.expect("no core is ever free");
        assert!(!line.run(is_idle).await.unwrap(), "and not behind them");
    }

    #[tokio::test]
    async fn a_panic_is_told() {
        assert_eq!(CpuQueue::default().run(|| -> u8 { panic!("on purpose") }).await, None);
    }
}
