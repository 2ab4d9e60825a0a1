//! What this process uses, as the kernel tells.

use std::fs;

use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};

use crate::protocol::HostStats;

/// Memory, processor time, threads and files of this process; the rest has no values.
pub(super) fn usage() -> HostStats {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let files = fs::read_dir("/proc/self/fd").ok();
    HostStats {
        cpu_seconds_total: cpu_seconds(),
        resident_memory_bytes: bytes(&status, "VmRSS:"),
        virtual_memory_bytes: bytes(&status, "VmSize:"),
        threads: number(&status, "Threads:"),
        // One of them is of reading the directory.
        open_files: files.map(|files| (files.count() as u64).saturating_sub(1)),
        max_open_files: getrlimit(Resource::Nofile).current,
        ..HostStats::default()
    }
}

fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// The number behind a name in `/proc/PID/status` (`proc_pid_status(5)`).
fn number(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The size behind a name, which is in KiB there.
fn bytes(status: &str, name: &str) -> Option<u64> {
    number(status, name)?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_tells_what_this_process_uses() {
        let memory = std::hint::black_box(vec![1_u8; 64 << 20]);
        let usage = usage();
        let resident = usage.resident_memory_bytes.unwrap();
        assert!(resident > memory.len() as u64 && usage.virtual_memory_bytes > Some(resident), "{usage:?}");
        assert!(usage.threads > Some(0) && usage.cpu_seconds_total > 0.0, "{usage:?}");
        assert!(usage.open_files > Some(2) && usage.open_files <= usage.max_open_files, "{usage:?}");
    }

    #[test]
    fn what_is_not_told_is_absent() {
        let status = "Name:\tnbappsd\nVmRSS:\t    1024 kB\nThreads:\tx\n";
        assert_eq!(bytes(status, "VmRSS:"), Some(1 << 20));
        assert_eq!((number(status, "Threads:"), bytes(status, "VmSize:")), (None, None));
    }
}
