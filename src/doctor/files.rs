//! Files and directories of the host: who may read and write them. Nothing is opened: closing a file of SQLite would
//! release the locks that this process has on it.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

use super::machine::{FreeSpace, judge_disk};
use super::verdict::{Verdict, check};
use crate::client::shell;
use crate::supervisor::KEY_FILE;

/// The file with the main application's first password.
const FIRST_PASSWORD: &str = "main-root-password";

/// The permission bits of other users than owner and group.
const OTHERS: u32 = 0o007;
/// Those of everybody but the owner.
const NOT_OWNER: u32 = 0o077;
/// Those that let others than the owner write.
const FOREIGN_WRITE: u32 = 0o022;
/// Only owners may remove files from the directory.
const STICKY: u32 = 0o1000;

/// Whose a file is, and who may do what with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Permissions {
    /// The mode without the file's type.
    pub(super) mode: u32,
    pub(super) owner: u32,
    pub(super) group: u32,
}

impl Permissions {
    /// The permissions of a path; `None` if there is nothing, or nobody may look.
    pub(super) fn of(path: &Path) -> Option<Self> {
        let found = fs::metadata(path).ok()?;
        Some(Self { mode: found.mode() & 0o7777, owner: found.uid(), group: found.gid() })
    }

    fn shown(self) -> String {
        format!("mode {:03o}", self.mode)
    }
}

/// A path as a word of a command.
fn word(path: &Path) -> String {
    shell::word(path.as_os_str().as_encoded_bytes())
}

/// Judges the key in a data directory. `is_needed` if the directory belongs to a host that has begun.
pub(super) fn judge_key(
    path: &Path,
    key: Option<Permissions>,
    user: u32,
    is_needed: bool,
) -> Option<Verdict> {
    let shown = path.display();
    let Some(key) = key else {
        return is_needed.then(|| {
            Verdict::failed(
                check::PERMISSIONS,
                format!("the key {shown} is missing: the daemon does not start without it"),
                format!(
                    "restore {KEY_FILE} from a backup, with mode 600; only it decrypts the registry's secrets"
                ),
            )
        });
    };
    if key.mode & NOT_OWNER != 0 {
        let sentence = format!(
            "other users can read the key {shown} ({}): the daemon does not start with it",
            key.shown()
        );
        return Some(Verdict::failed(check::PERMISSIONS, sentence, format!("chmod 600 {}", word(path))));
    }
    if user != 0 && key.owner != user {
        let sentence =
            format!("the key {shown} belongs to user {}, and the daemon runs as user {user}", key.owner);
        return Some(Verdict::failed(check::PERMISSIONS, sentence, format!("chown {user} {}", word(path))));
    }
    Some(Verdict::ok(check::PERMISSIONS, format!("only the daemon's user can read the key {shown}")))
}

/// Judges the data directory.
pub(super) fn judge_data_directory(path: &Path, found: Option<Permissions>, is_writable: bool) -> Verdict {
    let shown = path.display();
    let Some(found) = found else {
        return match is_writable {
            true => {
                Verdict::ok(check::PERMISSIONS, format!("the first start creates the data directory {shown}"))
            }
            false => Verdict::failed(
                check::PERMISSIONS,
                format!("the data directory {shown} does not exist, and this user may not create it"),
                "create it for the daemon's user, or name another one with data_dir, NBAPPS_DATA_DIR or --data-dir",
            ),
        };
    };
    if !is_writable {
        let sentence =
            format!("the daemon's user may not write the data directory {shown} ({})", found.shown());
        let hint = format!("let it belong to the daemon's user: chown -R USER {}", word(path));
        return Verdict::failed(check::PERMISSIONS, sentence, hint);
    }
    if found.mode & FOREIGN_WRITE != 0 {
        let sentence = format!("other users may write the data directory {shown} ({})", found.shown());
        return Verdict::failed(check::PERMISSIONS, sentence, format!("chmod 700 {}", word(path)));
    }
    Verdict::ok(check::PERMISSIONS, format!("only the daemon's user may write the data directory {shown}"))
}

/// What is known of the control socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SocketFile {
    pub(super) path: PathBuf,
    pub(super) found: Option<Permissions>,
    pub(super) directory: Option<Permissions>,
    /// The number of the configured group.
    pub(super) group: Option<u32>,
}

impl SocketFile {
    pub(super) fn at(path: &Path, group: Option<u32>) -> Self {
        Self {
            path: path.to_owned(),
            found: Permissions::of(path),
            directory: path.parent().and_then(Permissions::of),
            group,
        }
    }
}

/// Judges the directory of the control socket.
fn judge_socket_directory(directory: &Path, found: Permissions, group: Option<u32>) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    if found.mode & 0o002 != 0 && found.mode & STICKY == 0 {
        verdicts.push(Verdict::failed(
            check::PERMISSIONS,
            format!("every user may replace the control socket: {} is writable for all", directory.display()),
            format!("chmod o-w {}", word(directory)),
        ));
    }
    let reaches = |group: u32| found.mode & 0o001 != 0 || found.group == group && found.mode & 0o010 != 0;
    if let Some(group) = group.filter(|group| !reaches(*group)) {
        let word = word(directory);
        verdicts.push(Verdict::warning(
            check::PERMISSIONS,
            format!("members of socket_group cannot reach the control socket in {}", directory.display()),
            format!("chgrp {group} {word} && chmod g+x {word}"),
        ));
    }
    verdicts
}

/// Judges the socket of a daemon, which runs or not.
pub(super) fn judge_socket(socket: &SocketFile, is_running: bool) -> Vec<Verdict> {
    let SocketFile { path, found, directory, group } = socket;
    let shown = path.display();
    let mut verdicts = match (directory, path.parent()) {
        (Some(directory), Some(parent)) => judge_socket_directory(parent, *directory, *group),
        _ => Vec::new(),
    };
    let Some(found) = found else {
        if is_running {
            verdicts.push(Verdict::failed(
                check::PERMISSIONS,
                format!("the control socket {shown} was removed while the daemon runs: commands do not find it"),
                "restart the daemon, by its service or with kill -TERM and its process ID; keep programs that tidy up \
                 temporary files away from it",
            ));
        }
        return verdicts;
    };
    if found.mode & OTHERS != 0 {
        verdicts.push(Verdict::warning(
            check::PERMISSIONS,
            format!(
                "every user can connect to the control socket {shown} ({}); it has mode 660",
                found.shown()
            ),
            format!("chmod 660 {}", word(path)),
        ));
    }
    if let Some(group) = group.filter(|group| found.group != *group || found.mode & 0o060 != 0o060) {
        verdicts.push(Verdict::warning(
            check::PERMISSIONS,
            format!("members of socket_group cannot use the control socket {shown} ({})", found.shown()),
            format!("chgrp {group} {path} && chmod 660 {path}", path = word(path)),
        ));
    }
    if verdicts.is_empty() {
        verdicts.push(Verdict::ok(
            check::PERMISSIONS,
            format!("those who may use the control socket {shown} can, and no others"),
        ));
    }
    verdicts
}

/// Judges the configuration file.
pub(super) fn judge_configuration(
    path: &Path,
    found: Option<Permissions>,
    has_password: bool,
) -> Option<Verdict> {
    let (found, shown) = (found?, path.display());
    if has_password && found.mode & 0o004 != 0 {
        let sentence =
            format!("every user can read the passwords in the configuration {shown} ({})", found.shown());
        return Some(Verdict::failed(check::PERMISSIONS, sentence, format!("chmod o= {}", word(path))));
    }
    if found.mode & FOREIGN_WRITE != 0 {
        let sentence = format!("other users may change the configuration {shown} ({})", found.shown());
        return Some(Verdict::failed(check::PERMISSIONS, sentence, format!("chmod go-w {}", word(path))));
    }
    Some(Verdict::ok(check::PERMISSIONS, format!("the configuration {shown} is safe from other users")))
}

/// Judges the file with the main application's first password, if it is still there.
pub(super) fn judge_first_password(data_directory: &Path) -> Option<Verdict> {
    let path = data_directory.join(FIRST_PASSWORD);
    path.exists().then(|| {
        Verdict::warning(
            check::PERMISSIONS,
            format!("the main application's first password is still in {}", path.display()),
            format!("read it, sign in with it, and then: rm {}", word(&path)),
        )
    })
}

/// Whether this process's user may write to a directory.
pub(super) fn may_write(directory: &Path) -> bool {
    access(directory, Access::WRITE_OK | Access::EXEC_OK).is_ok()
}

/// Whether this process's user may create a directory, in the first one above it that exists.
pub(super) fn may_create(directory: &Path) -> bool {
    directory.ancestors().find(|above| above.exists()).is_some_and(may_write)
}

/// What is known of the file of a SQLite database.
#[derive(Debug)]
pub(super) struct DatabaseFile {
    pub(super) path: PathBuf,
    /// `None` if the file is missing.
    pub(super) found: Option<Permissions>,
    pub(super) is_writable: bool,
    pub(super) is_directory_writable: bool,
    /// The kind of the network file system that it is on.
    pub(super) network: Option<&'static str>,
    /// What is free on its disk, if that is not the one of the data directory.
    pub(super) free: Option<io::Result<FreeSpace>>,
}

impl DatabaseFile {
    /// Looks at a file without opening it.
    pub(super) fn at(path: &Path, data_directory: &Path) -> Self {
        let directory = path.parent().unwrap_or(path);
        let disk = |path: &Path| fs::metadata(path).ok().map(|found| found.dev());
        let is_elsewhere = disk(directory).is_some() && disk(directory) != disk(data_directory);
        Self {
            path: path.to_owned(),
            found: Permissions::of(path),
            is_writable: access(path, Access::WRITE_OK).is_ok(),
            is_directory_writable: may_write(directory),
            network: network_file_system(directory),
            free: is_elsewhere.then(|| FreeSpace::of(directory)),
        }
    }
}

/// Judges the file of a SQLite database. A missing one is reported by the check that opens it.
pub(super) fn judge_database_file(file: DatabaseFile) -> Vec<Verdict> {
    let DatabaseFile { path, found, is_writable, is_directory_writable, network, free } = file;
    let Some(found) = found else { return Vec::new() };
    let shown = path.display();
    let mut verdicts = Vec::new();
    if !is_writable {
        verdicts.push(Verdict::failed(
            check::FILES,
            format!("the daemon's user may not write the database {shown} ({})", found.shown()),
            format!("chown it to the daemon's user, and: chmod 600 {}", word(&path)),
        ));
    } else if !is_directory_writable {
        let directory = path.parent().unwrap_or(&path);
        verdicts.push(Verdict::failed(
            check::FILES,
            format!(
                "the daemon's user may not write the directory {}, where SQLite keeps its log",
                directory.display()
            ),
            format!("chown it to the daemon's user, and: chmod 700 {}", word(directory)),
        ));
    }
    if found.mode & OTHERS != 0 {
        verdicts.push(Verdict::failed(
            check::FILES,
            format!("every user can read the database {shown} ({})", found.shown()),
            format!("chmod o= {}", word(&path)),
        ));
    }
    if let Some(kind) = network {
        verdicts.push(Verdict::warning(
            check::FILES,
            format!("the database {shown} is on a network file system ({kind}): its write-ahead log is not safe there"),
            "move it to a disk of this machine, or create the application on a database server",
        ));
    }
    if let Some(free) = free {
        let problems = judge_disk(path.parent().unwrap_or(&path), free).into_iter();
        verdicts.extend(problems.filter(|verdict| verdict.status.is_problem()));
    }
    if verdicts.is_empty() {
        let sentence =
            format!("the database {shown} can be written by the daemon's user and read by no other");
        verdicts.push(Verdict::ok(check::FILES, sentence));
    }
    verdicts
}

/// The kind of the file system of a path, if it is one of a network (`statfs(2)` has the numbers).
fn network_file_system(path: &Path) -> Option<&'static str> {
    let kind = u64::try_from(rustix::fs::statfs(path).ok()?.f_type).ok()?;
    Some(match kind & 0xffff_ffff {
        0x6969 => "NFS",
        0xff53_4d42 | 0xfe53_4d42 | 0x517b => "SMB",
        0x0102_1997 => "9P",
        0x00c3_6400 => "Ceph",
        0x5346_414f => "AFS",
        0x0bd0_0bd0 => "Lustre",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::FindingStatus::{Failed, Ok as Passed, Warning};

    fn mode(mode: u32) -> Option<Permissions> {
        Some(Permissions { mode, owner: 7, group: 8 })
    }

    #[test]
    fn the_key_is_for_the_daemons_user_alone() {
        let path = Path::new("/d/secret.key");
        let judge = |key, user, needed| judge_key(path, key, user, needed).map(|verdict| verdict.status);
        for (key, user, needed, expected) in [
            (mode(0o600), 7, true, Some(Passed)),
            (mode(0o400), 0, true, Some(Passed)),
            (mode(0o640), 7, true, Some(Failed)),
            (mode(0o604), 7, true, Some(Failed)),
            (mode(0o600), 9, true, Some(Failed)),
            (None, 7, true, Some(Failed)),
            (None, 7, false, None),
        ] {
            assert_eq!(judge(key, user, needed), expected, "{key:?} {user} {needed}");
        }
        let hint = judge_key(Path::new("/a b/secret.key"), mode(0o644), 7, true).unwrap().hint;
        assert_eq!(hint.as_deref(), Some("chmod 600 '/a b/secret.key'"));
    }

    #[test]
    fn the_data_directory_is_written_by_the_daemon_alone() {
        let judge = |found, writable| judge_data_directory(Path::new("/d"), found, writable).status;
        assert_eq!(judge(mode(0o700), true), Passed);
        // As systemd makes a state directory.
        assert_eq!(judge(mode(0o755), true), Passed);
        assert_eq!(judge(mode(0o775), true), Failed);
        assert_eq!(judge(mode(0o700), false), Failed);
        assert_eq!(judge(None, true), Passed);
        assert_eq!(judge(None, false), Failed);
    }

    #[test]
    fn the_socket_is_reached_by_its_group_and_replaced_by_nobody() {
        let socket =
            |found, directory, group| SocketFile { path: "/run/n/s".into(), found, directory, group };
        for (file, running, expected) in [
            (socket(mode(0o660), mode(0o700), None), true, &[Passed][..]),
            (socket(mode(0o660), mode(0o750), Some(8)), true, &[Passed]),
            (socket(mode(0o660), mode(0o755), Some(8)), true, &[Passed]),
            (socket(mode(0o660), mode(0o700), Some(8)), true, &[Warning]),
            (socket(mode(0o600), mode(0o750), Some(8)), true, &[Warning]),
            (socket(mode(0o660), mode(0o755), Some(9)), true, &[Warning]),
            (socket(mode(0o666), mode(0o700), None), true, &[Warning]),
            (socket(mode(0o660), mode(0o777), None), true, &[Failed]),
            (socket(mode(0o660), mode(0o1777), None), true, &[Passed]),
            (socket(None, mode(0o700), None), true, &[Failed]),
            (socket(None, mode(0o700), None), false, &[]),
        ] {
            let statuses: Vec<_> =
                judge_socket(&file, running).iter().map(|verdict| verdict.status).collect();
            assert_eq!(statuses, expected, "{file:?}");
        }
    }

    #[test]
    fn passwords_in_the_configuration_are_not_for_everybody() {
        let judge = |found, password| {
            judge_configuration(Path::new("/c"), found, password).map(|verdict| verdict.status)
        };
        assert_eq!(judge(mode(0o644), false), Some(Passed));
        assert_eq!(judge(mode(0o640), true), Some(Passed));
        assert_eq!(judge(mode(0o644), true), Some(Failed));
        assert_eq!(judge(mode(0o662), false), Some(Failed));
        assert_eq!(judge(None, true), None);
    }

    #[test]
    fn database_files_are_judged_by_who_may_use_them_and_where_they_are() {
        let usual = || DatabaseFile {
            path: "/d/apps/crm/database.sqlite".into(),
            found: mode(0o600),
            is_writable: true,
            is_directory_writable: true,
            network: None,
            free: None,
        };
        let full = FreeSpace { bytes: 0, inodes: None, is_read_only: false };
        for (file, expected) in [
            (usual(), &[Passed][..]),
            (DatabaseFile { found: None, ..usual() }, &[]),
            (DatabaseFile { is_writable: false, ..usual() }, &[Failed]),
            (DatabaseFile { is_directory_writable: false, ..usual() }, &[Failed]),
            (DatabaseFile { found: mode(0o644), ..usual() }, &[Failed]),
            (DatabaseFile { network: Some("NFS"), ..usual() }, &[Warning]),
            (DatabaseFile { free: Some(Ok(full)), ..usual() }, &[Failed]),
        ] {
            let statuses: Vec<_> = judge_database_file(file).iter().map(|verdict| verdict.status).collect();
            assert_eq!(statuses, expected);
        }
    }

    #[test]
    fn a_file_is_looked_at_where_it_is() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("database.sqlite");
        let missing = DatabaseFile::at(&path, directory.path());
        assert!(missing.found.is_none() && missing.free.is_none());
        fs::write(&path, "").unwrap();
        let file = DatabaseFile::at(&path, directory.path());
        assert!(
            file.found.is_some() && file.is_writable && file.is_directory_writable && file.network.is_none()
        );
        assert!(may_create(&directory.path().join("a/b")));
        assert!(judge_first_password(directory.path()).is_none());
        fs::write(directory.path().join(FIRST_PASSWORD), "").unwrap();
        assert_eq!(judge_first_password(directory.path()).unwrap().status, Warning);
    }
}
