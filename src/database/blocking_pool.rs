//! The threads on which embedded engines do their work.
//!
//! SQLite blocks its caller: on the disk, and on `fsync`. All databases of the process share this
//! one small set of threads, so that a thousand applications cost no more threads than one. A job
//! must never wait for another job: whose turn it is, is settled among the async callers before.
//!
//! Nobody's slow statements hold up the others. A database has at most its [`share`] of jobs in
//! line and under way, the rest of its own waits behind them; and where all threads are busy for
//! longer than a moment, with work of however many databases, another thread is started.

use std::collections::{HashMap, VecDeque};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

type Job = Box<dyn FnOnce() + Send>;

/// Threads at the most, however many are stuck.
const MAX_THREADS: usize = 64;
/// How long work waits while every thread is busy, before there is another thread.
const STUCK: Duration = Duration::from_millis(5);
/// How long a thread that was started for that stays without work.
const IDLE: Duration = Duration::from_secs(10);

/// Whose work it is: that of one open database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Owner(u64);

impl Owner {
    /// Work that is none of an open database: making and removing files.
    pub(super) const NOBODY: Self = Self(0);

    /// An owner like no other.
    pub(super) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// What is to be done.
struct Jobs {
    /// In the order in which they are done.
    ready: VecDeque<(Owner, Job)>,
    /// Of whoever has any.
    lines: HashMap<Owner, Line>,
    /// Jobs that one owner may have ready and under way.
    share: usize,
    threads: usize,
    idle: usize,
    /// Counts the jobs that were begun.
    begun: u64,
    /// Somebody looks whether a thread is missing.
    watched: bool,
}

/// What one owner has.
#[derive(Default)]
struct Line {
    /// Ready or under way.
    active: usize,
    /// More than its share.
    held: VecDeque<Job>,
}

struct Queue {
    jobs: Mutex<Jobs>,
    arrived: Condvar,
    stuck: Condvar,
    /// Where no thread could be started, the caller does its work itself: slow, but it works.
    threadless: AtomicBool,
}

static QUEUE: LazyLock<&'static Queue> = LazyLock::new(|| {
    // More than cores, because a thread that waits for the disk needs none.
    let wanted = (cores() * 2).clamp(4, 16);
    let queue: &'static Queue = Box::leak(Box::new(Queue {
        jobs: Mutex::new(Jobs::new(share(wanted))),
        arrived: Condvar::new(),
        stuck: Condvar::new(),
        threadless: AtomicBool::new(false),
    }));
    let started = (0..wanted).filter(|_| start(queue, true)).count();
    if started < wanted {
        tracing::error!(started, wanted, "not all threads for database work could be started");
    }
    queue.threadless.store(started == 0, Ordering::Relaxed);
    let watch = std::thread::Builder::new().name("database-watch".into()).stack_size(256 * 1024);
    if let Err(error) = watch.spawn(move || watch_over(queue)) {
        tracing::error!(%error, "slow statements may hold up others: no thread to look after them");
    }
    queue
});

/// The processor's cores that this process may use.
pub(super) fn cores() -> usize {
    static CORES: LazyLock<usize> =
        LazyLock::new(|| std::thread::available_parallelism().map_or(2, std::num::NonZero::get));
    *CORES
}

/// Of so many threads, those that one database may keep busy: some are always left to others.
fn share(threads: usize) -> usize {
    threads - (threads / 4).max(1).min(threads - 1)
}

impl Jobs {
    fn new(share: usize) -> Self {
        Self {
            ready: VecDeque::new(),
            lines: HashMap::new(),
            share,
            threads: 0,
            idle: 0,
            begun: 0,
            watched: false,
        }
    }

    /// Takes a job in; whether it can be done now.
    fn add(&mut self, owner: Owner, job: Job) -> bool {
        if owner != Owner::NOBODY {
            let line = self.lines.entry(owner).or_default();
            if line.active >= self.share {
                line.held.push_back(job);
                return false;
            }
            line.active += 1;
        }
        self.ready.push_back((owner, job));
        true
    }

    fn next(&mut self) -> Option<(Owner, Job)> {
        let next = self.ready.pop_front()?;
        self.begun += 1;
        Some(next)
    }

    /// A job has ended. Whether another one can be done that could not before.
    fn done(&mut self, owner: Owner) -> bool {
        let Some(line) = self.lines.get_mut(&owner) else { return false };
        if let Some(job) = line.held.pop_front() {
            self.ready.push_back((owner, job));
            return true;
        }
        line.active -= 1;
        if line.active == 0 {
            self.lines.remove(&owner);
        }
        false
    }
}

/// Starts a thread; one that does not stay ends when it has had no work for a while.
fn start(queue: &'static Queue, stays: bool) -> bool {
    let number = {
        let mut jobs = queue.jobs.lock();
        jobs.threads += 1;
        jobs.threads
    };
    let builder = std::thread::Builder::new().name(format!("database-{number}")).stack_size(1024 * 1024);
    let started = builder.spawn(move || work(queue, stays)).is_ok();
    if !started {
        queue.jobs.lock().threads -= 1;
    }
    started
}

fn work(queue: &'static Queue, stays: bool) {
    let mut jobs = queue.jobs.lock();
    loop {
        let Some((owner, job)) = jobs.next() else {
            jobs.idle += 1;
            let in_time = match stays {
                true => {
                    queue.arrived.wait(&mut jobs);
                    true
                }
                false => !queue.arrived.wait_for(&mut jobs, IDLE).timed_out(),
            };
            jobs.idle -= 1;
            if !in_time && jobs.ready.is_empty() {
                jobs.threads -= 1;
                return;
            }
            continue;
        };
        drop(jobs);
        // A panic is the fault of one job; its caller sees that no answer comes.
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(job));
        jobs = queue.jobs.lock();
        // This thread takes one; another one may be needed for what was ready before.
        if jobs.done(owner) && jobs.ready.len() > 1 && jobs.idle > 0 {
            queue.arrived.notify_one();
        }
    }
}

/// Starts a thread when work is ready and none of the threads has begun anything for a moment.
fn watch_over(queue: &'static Queue) {
    let mut jobs = queue.jobs.lock();
    loop {
        if jobs.ready.is_empty() || jobs.threads >= MAX_THREADS {
            jobs.watched = false;
            queue.stuck.wait(&mut jobs);
            continue;
        }
        let begun = jobs.begun;
        drop(jobs);
        std::thread::sleep(STUCK);
        jobs = queue.jobs.lock();
        if jobs.begun == begun && !jobs.ready.is_empty() {
            drop(jobs);
            start(queue, false);
            jobs = queue.jobs.lock();
        }
    }
}

/// Has `job` done by one of the threads, and does not wait for it.
pub(super) fn submit(owner: Owner, job: impl FnOnce() + Send + 'static) {
    if QUEUE.threadless.load(Ordering::Relaxed) {
        return job();
    }
    let mut jobs = QUEUE.jobs.lock();
    if !jobs.add(owner, Box::new(job)) {
        return;
    }
    // Those that are idle may have been called for what was ready before.
    let stuck = jobs.idle < jobs.ready.len() && !std::mem::replace(&mut jobs.watched, true);
    drop(jobs);
    QUEUE.arrived.notify_one();
    if stuck {
        QUEUE.stuck.notify_one();
    }
}

/// Has `job` done by one of the threads; `None` when it panicked. The job runs to its end when the
/// caller goes away; its result is dropped then.
pub(super) async fn run<T: Send + 'static>(
    owner: Owner,
    job: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let (sender, receiver) = oneshot::channel();
    submit(owner, move || drop(sender.send(job())));
    receiver.await.ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[tokio::test]
    async fn a_panic_costs_only_its_own_job() {
        let owner = Owner::new();
        for _ in 0..40 {
            assert_eq!(run(owner, || -> u8 { panic!("on purpose") }).await, None);
        }
        assert_eq!(run(owner, || 7).await, Some(7));
    }

    #[test]
    fn a_database_has_its_share_and_the_rest_of_its_work_waits_behind() {
        let mut jobs = Jobs::new(2);
        let (slow, other) = (Owner::new(), Owner::new());
        for _ in 0..5 {
            jobs.add(slow, Box::new(|| {}));
        }
        jobs.add(other, Box::new(|| {}));
        let mut order: Vec<Owner> = Vec::new();
        while let Some((owner, _)) = jobs.next() {
            order.push(owner);
            jobs.done(owner);
        }
        assert_eq!(order, [slow, slow, other, slow, slow, slow]);
        assert!(jobs.lines.is_empty(), "who has no work costs nothing");
        for (threads, most) in [(1, 1), (2, 1), (4, 3), (8, 6), (16, 12)] {
            assert_eq!(share(threads), most);
        }
    }

    #[tokio::test]
    async fn jobs_that_do_not_end_hold_up_nobody() {
        let (release, held) = std::sync::mpsc::channel::<()>();
        let held = Arc::new(Mutex::new(held));
        // More databases than there are threads, all of them stuck.
        let stuck: Vec<_> = (0..24)
            .map(|_| {
                let held = Arc::clone(&held);
                tokio::spawn(run(Owner::new(), move || held.lock().recv().is_err()))
            })
            .collect();
        tokio::task::yield_now().await;
        assert_eq!(run(Owner::new(), || 7).await, Some(7));
        drop(release);
        for one in stuck {
            assert_eq!(one.await.unwrap(), Some(true));
        }
    }
}
