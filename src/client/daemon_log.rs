//! Reads the daemon's own log from its files, for when no daemon runs that could be asked.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::protocol::{DAEMON_LOG_FILE, LOG_DIRECTORY, LogLine, Logs, ReadHostLogs};

/// The file that the daemon of this data directory writes its log to. Older lines are in files beside it,
/// whose names end in `.1`, `.2` and so on.
#[must_use]
pub fn path(data_directory: &Path) -> PathBuf {
    data_directory.join(LOG_DIRECTORY).join(DAEMON_LOG_FILE)
}

/// Reads the lines that `read` wants, oldest first. What is no line is passed over.
///
/// # Errors
/// When the file does not exist, or cannot be read by this user.
pub fn read(data_directory: &Path, read: &ReadHostLogs) -> io::Result<Logs> {
    let current = path(data_directory);
    let older = |number: usize| {
        let mut name = current.clone().into_os_string();
        name.push(format!(".{number}"));
        fs::read(name).ok()
    };
    // The newest first: a log that was rotated since is read twice rather than not at all.
    let mut files = vec![fs::read(&current)?];
    files.extend((1..).map_while(older));
    let is_wanted = |line: &LogLine| {
        read.since.is_none_or(|since| line.at >= since) && read.level.is_none_or(|level| line.level >= level)
    };
    let mut lines: Vec<LogLine> = files
        .iter()
        .rev()
        .flat_map(|file| file.split(|byte| *byte == b'\n'))
        .filter_map(|line| serde_json::from_slice(line).ok())
        .filter(is_wanted)
        .collect();
    if let Some(last) = read.lines {
        let surplus = lines.len().saturating_sub(usize::try_from(last).unwrap_or(usize::MAX));
        lines.drain(..surplus);
    }
    Ok(Logs { lines })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::LogLevel;

    #[test]
    fn older_files_come_first_and_what_is_no_line_does_not_count() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(read(root.path(), &ReadHostLogs::default()).unwrap_err().kind(), io::ErrorKind::NotFound);
        let file = path(root.path());
        fs::create_dir(file.parent().unwrap()).unwrap();
        let line = |second: u8, level: &str| {
            format!(
                "{{\"at\":\"2026-01-31T08:00:0{second}Z\",\"level\":\"{level}\",\"message\":\"{second}\"}}\n"
            )
        };
        fs::write(&file, line(3, "error") + "torn\n" + &line(4, "info")).unwrap();
        fs::write(file.with_file_name("_daemon.log.1"), line(2, "warn")).unwrap();
        fs::write(file.with_file_name("_daemon.log.2"), line(1, "info")).unwrap();
        let messages = |wanted: ReadHostLogs| {
            let logs = read(root.path(), &wanted).unwrap();
            logs.lines.into_iter().map(|line| line.message).collect::<String>()
        };
        assert_eq!(messages(ReadHostLogs::default()), "1234");
        assert_eq!(messages(ReadHostLogs { lines: Some(2), ..ReadHostLogs::default() }), "34");
        assert_eq!(messages(ReadHostLogs { level: Some(LogLevel::Warn), ..ReadHostLogs::default() }), "23");
        let since = Some("2026-01-31T08:00:03Z".parse().unwrap());
        assert_eq!(messages(ReadHostLogs { since, ..ReadHostLogs::default() }), "34");
    }
}
