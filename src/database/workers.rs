//! The threads on which embedded engines do their work.
//!
//! SQLite blocks its caller: on the disk, and on `fsync`. All databases of the process share this
//! one small set of threads, so that a thousand applications cost no more threads than one. A job
//! must never wait for another job: whose turn it is, is settled among the async callers before.

use std::collections::VecDeque;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

type Job = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct Queue {
    jobs: Mutex<VecDeque<Job>>,
    arrived: Condvar,
    /// Where no thread could be started, the caller does its work itself: slow, but it works.
    threadless: AtomicBool,
}

static QUEUE: LazyLock<&'static Queue> = LazyLock::new(|| {
    let queue: &'static Queue = Box::leak(Box::default());
    let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    // More than cores, because a thread that waits for the disk needs none.
    let wanted = (cores * 2).clamp(4, 16);
    let started = (0..wanted).filter(|number| start(queue, *number)).count();
    if started < wanted {
        tracing::error!(started, wanted, "not all threads for database work could be started");
    }
    queue.threadless.store(started == 0, Ordering::Relaxed);
    queue
});

fn start(queue: &'static Queue, number: usize) -> bool {
    std::thread::Builder::new()
        .name(format!("database-{number}"))
        .stack_size(1024 * 1024)
        .spawn(move || {
            loop {
                let job = {
                    let mut jobs = queue.jobs.lock();
                    loop {
                        if let Some(job) = jobs.pop_front() {
                            break job;
                        }
                        queue.arrived.wait(&mut jobs);
                    }
                };
                // A panic is the fault of one job; its caller sees that no answer comes.
                let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(job));
            }
        })
        .is_ok()
}

/// Has `job` done by one of the threads, and does not wait for it.
pub(super) fn submit(job: impl FnOnce() + Send + 'static) {
    if QUEUE.threadless.load(Ordering::Relaxed) {
        return job();
    }
    QUEUE.jobs.lock().push_back(Box::new(job));
    QUEUE.arrived.notify_one();
}

/// Has `job` done by one of the threads; `None` when it panicked. The job runs to its end when the
/// caller goes away; its result is dropped then.
pub(super) async fn run<T: Send + 'static>(job: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (sender, receiver) = oneshot::channel();
    submit(move || drop(sender.send(job())));
    receiver.await.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_costs_only_its_own_job() {
        for _ in 0..40 {
            assert_eq!(run(|| -> u8 { panic!("on purpose") }).await, None);
        }
        assert_eq!(run(|| 7).await, Some(7));
    }
}
