//! The thread pool on which SQLite does its work.
//!
//! SQLite blocks its caller, on the disk and on `fsync`. All databases of the process share this one small
//! pool, so that a thousand applications need no more threads than one. A job must never wait for another
//! job: callers settle their order before they submit.
//!
//! Slow statements of one database do not delay others. A database has at most its [`share`] of jobs queued
//! or running; the rest wait in a queue of its own. If no thread has begun a job for [`STALL_TIMEOUT`] while
//! jobs are ready, another thread is started.

use std::collections::{HashMap, VecDeque};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

type Job = Box<dyn FnOnce() + Send>;

/// The limit on threads, however many are blocked.
const MAX_THREADS: usize = 64;
/// How long jobs wait while every thread is busy, before another thread is started.
const STALL_TIMEOUT: Duration = Duration::from_millis(5);
/// How long such a thread stays without work.
const IDLE_TIMEOUT: Duration = Duration::from_secs(10);

/// A group of jobs that share a limit: those of one open database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct JobGroup(u64);

impl JobGroup {
    /// The group of jobs outside an open database, which create and remove files. It has no limit.
    pub(super) const UNGROUPED: Self = Self(0);

    /// Returns a new group.
    pub(super) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// The queued jobs and the state of the threads.
struct Jobs {
    /// In the order in which they run.
    ready: VecDeque<(JobGroup, Job)>,
    /// The groups that have jobs.
    groups: HashMap<JobGroup, GroupJobs>,
    /// The limit on one group's jobs that are ready or running.
    share: usize,
    threads: usize,
    idle: usize,
    /// Counts the jobs begun so far.
    begun: u64,
    /// Whether the watchdog is checking for blocked threads.
    is_watched: bool,
}

/// The jobs of one group.
#[derive(Default)]
struct GroupJobs {
    /// The number of ready and running jobs.
    active: usize,
    /// Jobs beyond the group's share, not ready yet.
    deferred: VecDeque<Job>,
}

struct Queue {
    jobs: Mutex<Jobs>,
    arrived: Condvar,
    stalled: Condvar,
    /// Whether no thread could be started: callers run their jobs themselves, slowly.
    threadless: AtomicBool,
}

static QUEUE: LazyLock<&'static Queue> = LazyLock::new(|| {
    // More than cores, because a thread that waits for the disk needs none.
    let wanted = (cores() * 2).clamp(4, 16);
    let queue: &'static Queue = Box::leak(Box::new(Queue {
        jobs: Mutex::new(Jobs::new(share(wanted))),
        arrived: Condvar::new(),
        stalled: Condvar::new(),
        threadless: AtomicBool::new(false),
    }));
    let started = (0..wanted).filter(|_| start(queue, true)).count();
    if started < wanted {
        tracing::error!(started, wanted, "some threads for database work could not be started");
    }
    queue.threadless.store(started == 0, Ordering::Relaxed);
    let watch = std::thread::Builder::new().name("database-watch".into()).stack_size(256 * 1024);
    if let Err(error) = watch.spawn(move || run_watchdog(queue)) {
        tracing::error!(%error, "the watchdog of the database threads could not be started; slow statements may delay others");
    }
    queue
});

/// The number of cores that this process may use.
pub(super) fn cores() -> usize {
    static CORES: LazyLock<usize> =
        LazyLock::new(|| std::thread::available_parallelism().map_or(2, std::num::NonZero::get));
    *CORES
}

/// How many of the pool's threads one database may occupy; some are always left for others.
fn share(threads: usize) -> usize {
    threads - (threads / 4).max(1).min(threads - 1)
}

impl Jobs {
    fn new(share: usize) -> Self {
        Self {
            ready: VecDeque::new(),
            groups: HashMap::new(),
            share,
            threads: 0,
            idle: 0,
            begun: 0,
            is_watched: false,
        }
    }

    /// Adds a job. Returns whether it is ready to run.
    fn add(&mut self, group: JobGroup, job: Job) -> bool {
        if group != JobGroup::UNGROUPED {
            let entry = self.groups.entry(group).or_default();
            if entry.active >= self.share {
                entry.deferred.push_back(job);
                return false;
            }
            entry.active += 1;
        }
        self.ready.push_back((group, job));
        true
    }

    fn next(&mut self) -> Option<(JobGroup, Job)> {
        let next = self.ready.pop_front()?;
        self.begun += 1;
        Some(next)
    }

    /// Notes that a job has ended. Returns whether that made a deferred job ready.
    fn finish(&mut self, group: JobGroup) -> bool {
        let Some(entry) = self.groups.get_mut(&group) else { return false };
        if let Some(job) = entry.deferred.pop_front() {
            self.ready.push_back((group, job));
            return true;
        }
        entry.active -= 1;
        if entry.active == 0 {
            self.groups.remove(&group);
        }
        false
    }
}

/// Starts a thread; unless it `is_permanent`, it ends after [`IDLE_TIMEOUT`] without work.
fn start(queue: &'static Queue, is_permanent: bool) -> bool {
    let number = {
        let mut jobs = queue.jobs.lock();
        jobs.threads += 1;
        jobs.threads
    };
    let builder = std::thread::Builder::new().name(format!("database-{number}")).stack_size(1024 * 1024);
    let started = builder.spawn(move || run_jobs(queue, is_permanent)).is_ok();
    if !started {
        queue.jobs.lock().threads -= 1;
    }
    started
}

fn run_jobs(queue: &'static Queue, is_permanent: bool) {
    let mut jobs = queue.jobs.lock();
    loop {
        let Some((group, job)) = jobs.next() else {
            jobs.idle += 1;
            let in_time = match is_permanent {
                true => {
                    queue.arrived.wait(&mut jobs);
                    true
                }
                false => !queue.arrived.wait_for(&mut jobs, IDLE_TIMEOUT).timed_out(),
            };
            jobs.idle -= 1;
            if !in_time && jobs.ready.is_empty() {
                jobs.threads -= 1;
                return;
            }
            continue;
        };
        drop(jobs);
        // A panic is the fault of one job; its caller sees that no result comes.
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(job));
        jobs = queue.jobs.lock();
        // This thread takes one job; jobs that were ready before may need another thread.
        if jobs.finish(group) && jobs.ready.len() > 1 && jobs.idle > 0 {
            queue.arrived.notify_one();
        }
    }
}

/// Starts a thread if jobs are ready and no thread has begun one for [`STALL_TIMEOUT`].
fn run_watchdog(queue: &'static Queue) {
    let mut jobs = queue.jobs.lock();
    loop {
        if jobs.ready.is_empty() || jobs.threads >= MAX_THREADS {
            jobs.is_watched = false;
            queue.stalled.wait(&mut jobs);
            continue;
        }
        let begun = jobs.begun;
        drop(jobs);
        std::thread::sleep(STALL_TIMEOUT);
        jobs = queue.jobs.lock();
        if jobs.begun == begun && !jobs.ready.is_empty() {
            drop(jobs);
            start(queue, false);
            jobs = queue.jobs.lock();
        }
    }
}

/// Runs `job` on one of the threads without waiting for it.
pub(super) fn submit(group: JobGroup, job: impl FnOnce() + Send + 'static) {
    if QUEUE.threadless.load(Ordering::Relaxed) {
        return job();
    }
    let mut jobs = QUEUE.jobs.lock();
    if !jobs.add(group, Box::new(job)) {
        return;
    }
    // The idle threads may have been woken for jobs that were ready before.
    let stalled = jobs.idle < jobs.ready.len() && !std::mem::replace(&mut jobs.is_watched, true);
    drop(jobs);
    QUEUE.arrived.notify_one();
    if stalled {
        QUEUE.stalled.notify_one();
    }
}

/// Runs `job` on one of the threads; `None` if it panicked. The job runs to its end even if the caller is
/// dropped; its result is dropped then.
pub(super) async fn run<T: Send + 'static>(
    group: JobGroup,
    job: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let (sender, receiver) = oneshot::channel();
    submit(group, move || drop(sender.send(job())));
    receiver.await.ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[tokio::test]
    async fn a_panic_fails_only_its_own_job() {
        let group = JobGroup::new();
        for _ in 0..40 {
            assert_eq!(run(group, || -> u8 { panic!("on purpose") }).await, None);
        }
        assert_eq!(run(group, || 7).await, Some(7));
    }

    #[test]
    fn jobs_beyond_a_databases_share_are_deferred() {
        let mut jobs = Jobs::new(2);
        let (slow, other) = (JobGroup::new(), JobGroup::new());
        for _ in 0..5 {
            jobs.add(slow, Box::new(|| {}));
        }
        jobs.add(other, Box::new(|| {}));
        let mut order: Vec<JobGroup> = Vec::new();
        while let Some((group, _)) = jobs.next() {
            order.push(group);
            jobs.finish(group);
        }
        assert_eq!(order, [slow, slow, other, slow, slow, slow]);
        assert!(jobs.groups.is_empty(), "a group without jobs has no entry");
        for (threads, most) in [(1, 1), (2, 1), (4, 3), (8, 6), (16, 12)] {
            assert_eq!(share(threads), most);
        }
    }

    #[tokio::test]
    async fn blocked_jobs_do_not_delay_others() {
        let (release, held) = std::sync::mpsc::channel::<()>();
        let held = Arc::new(Mutex::new(held));
        // More databases than there are threads, all of them stuck.
        let stalled: Vec<_> = (0..24)
            .map(|_| {
                let held = Arc::clone(&held);
                tokio::spawn(run(JobGroup::new(), move || held.lock().recv().is_err()))
            })
            .collect();
        tokio::task::yield_now().await;
        assert_eq!(run(JobGroup::new(), || 7).await, Some(7));
        drop(release);
        for one in stalled {
            assert_eq!(one.await.unwrap(), Some(true));
        }
    }
}
