//! The machine: disks, logs, file descriptors and the clock.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::fs::StatVfsMountFlags;
use tokio::process::Command;

use super::verdict::{Verdict, check};

/// With less than this free, databases and logs soon cannot be written.
const FAILING_DISK: u64 = 64 * 1024 * 1024;
/// With less than this free, an operator should look.
const LOW_DISK: u64 = 1024 * 1024 * 1024;
/// The same for files that can still be created.
const FAILING_INODES: u64 = 100;
const LOW_INODES: u64 = 5_000;

/// Logs that take more than this are worth a look.
const LARGE_LOGS: u64 = 5 * 1024 * 1024 * 1024;

/// How long the program that knows the state of the clock may take.
const CLOCK_TIMEOUT: Duration = Duration::from_secs(3);

/// What is free where a path is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FreeSpace {
    pub(super) bytes: u64,
    /// How many files can still be created; `None` if the file system has no limit.
    pub(super) inodes: Option<u64>,
    pub(super) is_read_only: bool,
}

impl FreeSpace {
    /// Looks at the file system of an existing path.
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        let found = rustix::fs::statvfs(path)?;
        Ok(Self {
            bytes: found.f_bavail.saturating_mul(found.f_frsize),
            inodes: (found.f_files > 0).then_some(found.f_favail),
            is_read_only: found.f_flag.contains(StatVfsMountFlags::RDONLY),
        })
    }
}

/// A size in words.
pub(super) fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["bytes", "KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes;
    let mut unit = 0;
    while value >= 10 * 1024 && unit + 1 < UNITS.len() {
        value /= 1024;
        unit += 1;
    }
    format!("{value} {}", UNITS[unit])
}

/// Judges the space where `path` is.
pub(super) fn judge_disk(path: &Path, free: io::Result<FreeSpace>) -> Vec<Verdict> {
    let shown = path.display();
    let free = match free {
        Ok(free) => free,
        Err(error) => {
            let sentence = format!("the disk of {shown} cannot be looked at: {error}");
            return vec![Verdict::failed(check::DISK, sentence, "check that it is mounted")];
        }
    };
    if free.is_read_only {
        let sentence = format!("the file system of {shown} is mounted read-only");
        let hint = format!(
            "see in the system's log why (dmesg); once the disk is sound: mount -o remount,rw $(findmnt -nT {shown} -o \
             TARGET)"
        );
        return vec![Verdict::failed(check::DISK, sentence, hint)];
    }
    let bytes = size(free.bytes);
    let sentence = format!("{bytes} are free on the disk of {shown}");
    let hint = "free space on it, or move the data to a larger disk; nbapps list -o wide shows the size of each \
                application, and nbapps delete ID --purge removes one with its data";
    let mut verdicts = vec![match free.bytes {
        ..FAILING_DISK => Verdict::failed(check::DISK, format!("only {sentence}"), hint),
        FAILING_DISK..LOW_DISK => Verdict::warning(check::DISK, format!("only {sentence}"), hint),
        _ => Verdict::ok(check::DISK, sentence),
    }];
    if let Some(inodes) = free.inodes {
        let sentence = format!("{inodes} more files can be created on the disk of {shown}");
        let hint = format!(
            "remove files that nobody needs: du --inodes -x -d 2 $(findmnt -nT {shown} -o TARGET) | sort -n | tail"
        );
        verdicts.push(match inodes {
            ..FAILING_INODES => Verdict::failed(check::DISK, format!("only {sentence}"), hint),
            FAILING_INODES..LOW_INODES => Verdict::warning(check::DISK, format!("only {sentence}"), hint),
            _ => Verdict::ok(check::DISK, sentence),
        });
    }
    verdicts
}

/// What logs take on the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LogSizes {
    /// The applications' logs together, in bytes.
    pub(super) applications: u64,
    /// The output of a daemon that a command started, which nobody rotates.
    pub(super) output: u64,
    pub(super) output_file: PathBuf,
}

impl LogSizes {
    /// Measures the logs of a data directory.
    pub(super) fn of(data_directory: &Path) -> Self {
        // What the file takes, which is less than its length if it has holes.
        let taken = |path: &Path| fs::metadata(path).map_or(0, |file| file.blocks().saturating_mul(512));
        let logs = fs::read_dir(data_directory.join("logs")).into_iter().flatten();
        let output_file = data_directory.join("nbappsd.log");
        Self {
            applications: logs.flatten().map(|entry| taken(&entry.path())).sum(),
            output: taken(&output_file),
            output_file,
        }
    }
}

/// Judges the size of the logs.
pub(super) fn judge_logs(logs: &LogSizes) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    if logs.output > LARGE_LOGS {
        let file = logs.output_file.display();
        verdicts.push(Verdict::warning(
            check::LOGS,
            format!("the daemon's output takes {} in {file}", size(logs.output)),
            format!("empty it with: truncate -s 0 {file}; a service of systemd logs to the journal instead"),
        ));
    }
    if logs.applications > LARGE_LOGS {
        verdicts.push(Verdict::warning(
            check::LOGS,
            format!("the applications' logs take {}", size(logs.applications)),
            "lower file_bytes or files in [log] of the configuration, and restart the daemon",
        ));
    }
    if verdicts.is_empty() {
        let taken = size(logs.applications.saturating_add(logs.output));
        verdicts.push(Verdict::ok(check::LOGS, format!("the logs take {taken}")));
    }
    verdicts
}

/// The file descriptors of the daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Descriptors {
    /// The process's limit.
    pub limit: usize,
    /// The fewest with which the daemon starts.
    pub minimum: usize,
    /// The HTTP connections that are configured.
    pub configured: usize,
    /// The HTTP connections that the limit leaves room for.
    pub possible: usize,
    /// The limit that would leave room for all that are configured.
    pub needed: usize,
}

/// How many file descriptors this process has open; `None` if the system does not tell.
pub(super) fn open_descriptors() -> Option<usize> {
    // One of them reads the directory.
    fs::read_dir("/proc/self/fd").ok().map(|open| open.count().saturating_sub(1))
}

/// Judges the limit, and how much of it is in use by a running daemon.
pub(super) fn judge_descriptors(descriptors: &Descriptors, open: Option<usize>) -> Vec<Verdict> {
    let Descriptors { limit, minimum, configured, possible, needed } = *descriptors;
    let raise = |to: usize| {
        format!(
            "raise the limit: LimitNOFILE={to} in the daemon's systemd unit, or ulimit -n {to} before it is started by \
             hand"
        )
    };
    if limit < minimum {
        let sentence =
            format!("the daemon may have {limit} open files, and does not start with fewer than {minimum}");
        return vec![Verdict::failed(check::DESCRIPTORS, sentence, raise(needed))];
    }
    if let Some(open) = open.filter(|open| *open >= limit / 10 * 9) {
        let sentence = format!("the daemon has {open} files open, of {limit} that it may have");
        return vec![Verdict::warning(check::DESCRIPTORS, sentence, raise(needed.max(limit * 2)))];
    }
    if possible < configured {
        let sentence = format!(
            "the daemon may have {limit} open files, which leaves room for {possible} HTTP connections; {configured} are \
             configured"
        );
        let hint = format!("{}; or lower connections in [gateway]", raise(needed));
        return vec![Verdict::warning(check::DESCRIPTORS, sentence, hint)];
    }
    let open = open.map_or_else(String::new, |open| format!("; {open} are open"));
    vec![Verdict::ok(check::DESCRIPTORS, format!("the daemon may have {limit} open files{open}"))]
}

/// Whether the machine's clock is synchronized with a time server; `None` if nobody tells.
pub(super) async fn is_clock_synchronized() -> Option<bool> {
    let mut command = Command::new("timedatectl");
    command.args(["show", "--property=NTPSynchronized", "--value"]);
    command.stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    let ended = tokio::time::timeout(CLOCK_TIMEOUT, command.output()).await.ok()?.ok()?;
    match ended.stdout.trim_ascii() {
        b"yes" => Some(true),
        b"no" => Some(false),
        _ => None,
    }
}

/// Judges the machine's clock.
pub(super) fn judge_clock(is_synchronized: Option<bool>) -> Vec<Verdict> {
    vec![match is_synchronized {
        Some(true) => Verdict::ok(check::CLOCK, "the machine's clock is synchronized"),
        Some(false) => Verdict::warning(
            check::CLOCK,
            "the machine's clock is not synchronized with a time server: sessions and sign-in links expire by it",
            "turn it on with: timedatectl set-ntp true; or run chrony or another NTP client",
        ),
        None => Verdict::skipped(check::CLOCK, "timedatectl does not tell whether the clock is synchronized"),
    }]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::FindingStatus::{self, Failed, Ok as Passed, Skipped, Warning};

    fn statuses(verdicts: &[Verdict]) -> Vec<FindingStatus> {
        verdicts.iter().map(|verdict| verdict.status).collect()
    }

    #[test]
    fn disks_are_judged_by_bytes_and_files() {
        let path = Path::new("/var/lib/nbapps");
        let space = |bytes, inodes| FreeSpace { bytes, inodes, is_read_only: false };
        let mib = 1024 * 1024;
        for (free, expected) in [
            (space(50_000 * mib, Some(1_000_000)), &[Passed, Passed][..]),
            (space(50_000 * mib, None), &[Passed]),
            (space(500 * mib, Some(1_000_000)), &[Warning, Passed]),
            (space(10 * mib, Some(1_000_000)), &[Failed, Passed]),
            (space(50_000 * mib, Some(4_000)), &[Passed, Warning]),
            (space(50_000 * mib, Some(0)), &[Passed, Failed]),
            (FreeSpace { is_read_only: true, ..space(50_000 * mib, None) }, &[Failed]),
        ] {
            let verdicts = judge_disk(path, Ok(free));
            assert_eq!(statuses(&verdicts), expected, "{free:?}");
            assert!(verdicts.iter().all(|verdict| verdict.message.contains("/var/lib/nbapps")));
        }
        let failed = judge_disk(path, Err(io::ErrorKind::NotFound.into()));
        assert_eq!(statuses(&failed), [Failed]);
        assert!(FreeSpace::of(Path::new("/")).is_ok());
    }

    #[test]
    fn sizes_are_rounded_down_to_a_few_digits() {
        for (bytes, shown) in
            [(0, "0 bytes"), (10_000, "10000 bytes"), (20_480, "20 KiB"), (64 * 1024 * 1024, "64 MiB")]
        {
            assert_eq!(size(bytes), shown);
        }
        assert_eq!(size(u64::MAX), "16777215 TiB");
    }

    #[test]
    fn large_logs_are_named() {
        let sizes =
            |applications, output| LogSizes { applications, output, output_file: "/d/nbappsd.log".into() };
        assert_eq!(statuses(&judge_logs(&sizes(1, 1))), [Passed]);
        let both = judge_logs(&sizes(LARGE_LOGS + 1, LARGE_LOGS + 1));
        assert_eq!(statuses(&both), [Warning, Warning]);
        assert!(both[0].hint.as_ref().unwrap().contains("truncate -s 0 /d/nbappsd.log"));
    }

    #[test]
    fn descriptors_are_judged_by_what_the_limits_need() {
        let usual = Descriptors { limit: 65_536, minimum: 64, configured: 100, possible: 100, needed: 800 };
        assert_eq!(statuses(&judge_descriptors(&usual, Some(50))), [Passed]);
        assert_eq!(statuses(&judge_descriptors(&usual, None)), [Passed]);
        let few = Descriptors { limit: 256, possible: 70, ..usual };
        let said = judge_descriptors(&few, Some(50));
        assert_eq!(statuses(&said), [Warning]);
        assert!(said[0].hint.as_ref().unwrap().contains("LimitNOFILE=800"), "{said:?}");
        assert_eq!(statuses(&judge_descriptors(&usual, Some(60_000))), [Warning]);
        let none = Descriptors { limit: 40, ..usual };
        assert_eq!(statuses(&judge_descriptors(&none, None)), [Failed]);
        assert!(open_descriptors().is_some_and(|open| open > 2));
    }

    #[test]
    fn the_clock_is_judged_by_what_is_known() {
        let status = |known| judge_clock(known)[0].status;
        assert_eq!([status(Some(true)), status(Some(false)), status(None)], [Passed, Warning, Skipped]);
    }
}
