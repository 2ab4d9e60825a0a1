//! The file descriptors that embedded databases may have open, of those that the process may have.
//!
//! Each connection to a SQLite file takes a share of one budget. Where the budget is used up,
//! connections that nobody uses are closed, the longest unused first (`sqlite/pool.rs`); what is
//! reserved, the main application's database, is always given its share.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::process::{Resource, getrlimit};

/// Descriptors in use.
static USED: AtomicUsize = AtomicUsize::new(0);
static BUDGET: OnceLock<Budget> = OnceLock::new();

/// What databases may have open.
#[derive(Debug)]
struct Budget {
    most: usize,
    /// The database whose share is set aside.
    reserved: Option<PathBuf>,
}

/// Sets, once for the process, how many descriptors embedded databases may have open; the file at
/// `reserved` has its own beside them. Without this there is no limit but the system's.
pub fn set_descriptor_budget(most: usize, reserved: Option<&Path>) {
    let reserved = reserved.map(Path::to_owned);
    let _ = BUDGET.set(Budget { most, reserved });
}

/// Descriptors that a connection has; given back when this is dropped.
#[derive(Debug)]
pub(super) struct Share {
    count: usize,
}

impl Share {
    /// So many for a connection to this file, or `None` when the budget is used up.
    pub(super) fn take(path: &Path, count: usize) -> Option<Self> {
        let Some(budget) = BUDGET.get().filter(|budget| budget.reserved.as_deref() != Some(path)) else {
            return Some(Self { count: 0 });
        };
        let taken = USED.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
            Some(used + count).filter(|used| *used <= budget.most)
        });
        // Made only where it was taken: one that is dropped gives back what it says.
        taken.ok().map(|_| Self { count })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        USED.fetch_sub(self.count, Ordering::Relaxed);
    }
}

/// Connections to one server at the most, so that several of them and files have room.
pub(super) fn most_on_server() -> u32 {
    let most = BUDGET.get().map_or(u32::MAX, |budget| u32::try_from(budget.most / 3).unwrap_or(u32::MAX));
    most.max(2)
}

/// Whether this file's share is set aside.
pub(super) fn is_reserved(path: &Path) -> bool {
    BUDGET.get().is_some_and(|budget| budget.reserved.as_deref() == Some(path))
}

/// Whether the system refused for want of a descriptor, of this process or of the machine.
pub(crate) fn are_used_up(error: &io::Error) -> bool {
    const NFILE: i32 = rustix::io::Errno::NFILE.raw_os_error();
    const MFILE: i32 = rustix::io::Errno::MFILE.raw_os_error();
    matches!(error.raw_os_error(), Some(NFILE | MFILE))
}

/// Whether nothing more can be opened now, also where nobody kept the system's reason.
pub(super) fn none_is_left() -> bool {
    std::fs::File::open("/dev/null").is_err_and(|error| are_used_up(&error))
}

/// The limit of this process, in words.
pub(super) fn limit() -> String {
    match getrlimit(Resource::Nofile).current {
        Some(limit) => format!("this process may have {limit}"),
        None => "this process may have as many as the machine has".to_owned(),
    }
}
