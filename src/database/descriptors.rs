//! The budget of file descriptors that SQLite databases may use, out of the process's limit.
//!
//! Each connection to a SQLite file takes some descriptors from one budget. When it is exhausted, idle
//! connections are closed, the least recently used first (`sqlite/pool.rs`). The main application's database
//! is exempt: its descriptors are reserved.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::process::{Resource, getrlimit};

/// The descriptors in use.
static USED: AtomicUsize = AtomicUsize::new(0);
static BUDGET: OnceLock<Budget> = OnceLock::new();

/// The descriptors that databases may use.
#[derive(Debug)]
struct Budget {
    max: usize,
    /// The file that is exempt from the budget.
    reserved: Option<PathBuf>,
}

/// Sets, once for the process, how many descriptors SQLite databases may use; the file at `reserved` does not
/// count. Without a budget, only the system's limit applies.
pub fn set_descriptor_budget(max: usize, reserved: Option<&Path>) {
    let reserved = reserved.map(Path::to_owned);
    let _ = BUDGET.set(Budget { max, reserved });
}

/// The descriptors of one connection, given back on drop.
#[derive(Debug)]
pub(super) struct DescriptorPermit {
    count: usize,
}

impl DescriptorPermit {
    /// Takes `count` descriptors for a connection to this file; `None` if the budget is exhausted.
    pub(super) fn acquire(path: &Path, count: usize) -> Option<Self> {
        let Some(budget) = BUDGET.get().filter(|budget| budget.reserved.as_deref() != Some(path)) else {
            return Some(Self { count: 0 });
        };
        let taken = USED.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
            Some(used + count).filter(|used| *used <= budget.max)
        });
        // Created only if the descriptors were taken: dropping it gives them back.
        taken.ok().map(|_| Self { count })
    }
}

impl Drop for DescriptorPermit {
    fn drop(&mut self) {
        USED.fetch_sub(self.count, Ordering::Relaxed);
    }
}

/// The limit on connections to one server, which leaves descriptors for other servers and for files.
pub(super) fn max_server_connections() -> u32 {
    let limit = BUDGET.get().map_or(u32::MAX, |budget| u32::try_from(budget.max / 3).unwrap_or(u32::MAX));
    limit.max(2)
}

/// Whether this file is exempt from the budget.
pub(super) fn is_reserved(path: &Path) -> bool {
    BUDGET.get().is_some_and(|budget| budget.reserved.as_deref() == Some(path))
}

/// Whether the process or the system has no file descriptor left, according to an error.
pub(crate) fn is_descriptor_shortage(error: &io::Error) -> bool {
    const NFILE: i32 = rustix::io::Errno::NFILE.raw_os_error();
    const MFILE: i32 = rustix::io::Errno::MFILE.raw_os_error();
    matches!(error.raw_os_error(), Some(NFILE | MFILE))
}

/// Whether no file descriptor is left now; for when the original error is lost.
pub(super) fn no_descriptor_left() -> bool {
    std::fs::File::open("/dev/null").is_err_and(|error| is_descriptor_shortage(&error))
}

/// Describes the process's limit.
pub(super) fn limit() -> String {
    match getrlimit(Resource::Nofile).current {
        Some(limit) => format!("this process may have {limit}"),
        None => "this process may have as many as the machine has".to_owned(),
    }
}
