//! The daemon itself: its configuration, its program, its last start, and how browsers reach it.

use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use http::Uri;
use tokio::sync::Semaphore;

use super::Setup;
use super::domains::{self, Observation, Outcome, Question};
use super::files::{
    DatabaseFile, Permissions, SocketFile, judge_data_directory, judge_database_file, judge_first_password,
    judge_key, judge_socket, may_create, may_write,
};
use super::http_probe::Entrance;
use super::machine::{
    FreeSpace, LogSizes, is_clock_synchronized, judge_clock, judge_descriptors, judge_disk, judge_logs,
    open_descriptors,
};
use super::verdict::{Check, Subject, Verdict, check};
use crate::client::daemon_log;
use crate::gateway::{GatewayWatch, check_listening};
use crate::protocol::{LogLine, RunningDaemon};
use crate::supervisor::KEY_FILE;

/// What is in a data directory once a host has begun.
const TRACES: [&str; 3] = [KEY_FILE, "host.id", "main"];

/// How much of the daemon's log is read for the end of the last start.
const LOG_TAIL: u64 = 64 * 1024;

/// How the files of SQLite begin.
const SQLITE_HEADER: &[u8; 16] = b"SQLite format 3\0";

/// A problem of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What is wrong, with the place.
    pub sentence: String,
    /// What to do about it.
    pub hint: String,
    /// Whether the daemon does not start with it.
    pub is_error: bool,
}

/// The checks of the machine and of the host's files.
pub(super) fn of_machine<'a>(setup: &Arc<Setup>, is_running: bool) -> Vec<Check<'a>> {
    let blocking = |name, what: &str, work: fn(&Setup, bool) -> Vec<Verdict>| {
        let setup = Arc::clone(setup);
        Check::blocking(Subject::Host, name, what, move || work(&setup, is_running))
    };
    let clock = async { judge_clock(is_clock_synchronized().await) };
    let mut checks = vec![
        blocking(check::DISK, "the disk", |setup, _| {
            let place = setup.data_directory.ancestors().find(|above| above.exists());
            let place = place.unwrap_or(&setup.data_directory);
            judge_disk(place, FreeSpace::of(place))
        }),
        blocking(check::LOGS, "the logs", |setup, _| judge_logs(&LogSizes::of(&setup.data_directory))),
        blocking(check::DESCRIPTORS, "the file descriptors", |setup, is_running| {
            judge_descriptors(&setup.descriptors, if is_running { open_descriptors() } else { None })
        }),
        blocking(check::PERMISSIONS, "the permissions of the host's files", judge_permissions),
        Check::new(Subject::Host, check::CLOCK, "the clock", clock),
    ];
    if !is_running {
        checks.push(blocking(check::LAST_START, "the last start", |setup, _| {
            judge_last_start(&setup.data_directory).into_iter().collect()
        }));
    }
    checks
}

fn judge_permissions(setup: &Setup, is_running: bool) -> Vec<Verdict> {
    let directory = &setup.data_directory;
    let found = Permissions::of(directory);
    let is_writable = if found.is_some() { may_write(directory) } else { may_create(directory) };
    let mut verdicts = vec![judge_data_directory(directory, found, is_writable)];
    // A credential of systemd is protected by systemd.
    let has_credential = std::env::var_os("CREDENTIALS_DIRECTORY")
        .is_some_and(|credentials| Path::new(&credentials).join(KEY_FILE).exists());
    if !has_credential {
        let key = directory.join(KEY_FILE);
        let user = rustix::process::geteuid().as_raw();
        verdicts.extend(judge_key(&key, Permissions::of(&key), user, has_begun(directory)));
    }
    verdicts.extend(judge_socket(&SocketFile::at(&setup.socket, setup.socket_group), is_running));
    if let Some(file) = &setup.configuration_file {
        verdicts.extend(super::files::judge_configuration(file, Permissions::of(file), setup.has_password));
    }
    verdicts.extend(judge_first_password(directory));
    verdicts
}

/// Whether a host has begun in a data directory.
pub(super) fn has_begun(data_directory: &Path) -> bool {
    TRACES.iter().any(|trace| data_directory.join(trace).exists())
}

/// Judges the configuration as it is now, for a daemon that started at this time.
pub(super) fn judge_configuration(
    problems: &[Problem],
    file: Option<&Path>,
    started_at: Option<DateTime<Utc>>,
) -> Vec<Verdict> {
    if !problems.is_empty() {
        let judged = |problem: &Problem| {
            let (sentence, hint) = (problem.sentence.clone(), problem.hint.clone());
            match problem.is_error {
                true => Verdict::failed(check::CONFIGURATION, sentence, hint),
                false => Verdict::warning(check::CONFIGURATION, sentence, hint),
            }
        };
        return problems.iter().map(judged).collect();
    }
    let Some(file) = file else {
        return vec![Verdict::ok(check::CONFIGURATION, "the configuration is valid: there is no file")];
    };
    let shown = file.display();
    let changed = fs::metadata(file).and_then(|found| found.modified()).ok().map(DateTime::<Utc>::from);
    if changed.zip(started_at).is_some_and(|(changed, started)| changed > started) {
        return vec![Verdict::warning(
            check::CONFIGURATION,
            format!(
                "the configuration {shown} was changed after the daemon started, which does not read it again"
            ),
            "restart the daemon, by its service or with: nbapps daemon stop, and then: nbapps daemon start",
        )];
    }
    vec![Verdict::ok(check::CONFIGURATION, format!("the configuration {shown} is valid"))]
}

/// Judges the program that this process runs.
pub(super) fn judge_program() -> Vec<Verdict> {
    let version = env!("CARGO_PKG_VERSION");
    // The kernel marks a program whose file was replaced or removed.
    let is_replaced = fs::read_link("/proc/self/exe")
        .is_ok_and(|program| program.as_os_str().as_encoded_bytes().ends_with(b" (deleted)"));
    vec![match is_replaced {
        true => Verdict::warning(
            check::VERSION,
            format!("the program nbappsd was replaced after this daemon of version {version} started"),
            "restart the daemon, by its service or with: nbapps daemon stop, and then: nbapps daemon start",
        ),
        false => Verdict::ok(check::VERSION, format!("the daemon is of version {version}")),
    }]
}

/// Judges how the last daemon of this directory has ended, by its own log.
fn judge_last_start(data_directory: &Path) -> Option<Verdict> {
    let mut file = File::open(daemon_log::path(data_directory)).ok()?;
    let length = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(LOG_TAIL))).ok()?;
    let mut tail = Vec::new();
    file.read_to_end(&mut tail).ok()?;
    let (sentence, hint) = last_failure(&tail)?;
    let hint = hint.unwrap_or_else(|| "see what led to it with: nbapps daemon logs".to_owned());
    Some(Verdict::failed(check::LAST_START, format!("the last start failed: {sentence}"), hint))
}

/// The failure that ends a log, with its hint.
fn last_failure(log: &[u8]) -> Option<(String, Option<String>)> {
    let last = log.split(|byte| *byte == b'\n').rfind(|line| !line.trim_ascii().is_empty())?;
    let line: LogLine = serde_json::from_slice(last).ok()?;
    let sentence = line.message.strip_prefix("nbappsd ends: ")?;
    let hint = line.fields.get("hint").and_then(|hint| hint.as_str());
    Some((sentence.to_owned(), hint.map(str::to_owned)))
}

/// Judges the main application's SQLite file, which is not opened as a database.
pub(super) fn judge_closed_database(path: &Path, data_directory: &Path, has_begun: bool) -> Vec<Verdict> {
    let shown = path.display();
    let mut verdicts = judge_database_file(DatabaseFile::at(path, data_directory));
    let mut header = [0; SQLITE_HEADER.len()];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut header));
    let is_missing = verdicts.is_empty();
    verdicts.push(match read {
        Ok(()) if header == *SQLITE_HEADER => {
            Verdict::ok(check::DATABASE, format!("{shown} is a SQLite database"))
        }
        Err(_) if is_missing && !has_begun => {
            Verdict::ok(check::DATABASE, format!("the first start creates {shown}"))
        }
        Err(error) if is_missing => Verdict::failed(
            check::DATABASE,
            format!("the main application's database {shown} cannot be opened: {error}"),
            "restore it from a backup, with the file -wal beside it if there is one: it holds the registry of all \
             applications",
        ),
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => Verdict::failed(
            check::DATABASE,
            format!("the main application's database {shown} cannot be read: {error}"),
            "chown it to the daemon's user",
        ),
        Ok(()) | Err(_) => Verdict::failed(
            check::DATABASE,
            format!("{shown} is not a SQLite database"),
            "restore it from a backup, with the file -wal beside it if there is one",
        ),
    });
    verdicts
}

/// The check whether the gateway could listen on its address.
pub(super) fn of_listening<'a>(setup: &Setup) -> Check<'a> {
    let (listen, directory) = (setup.listen, setup.data_directory.clone());
    Check::new(Subject::Host, check::PORT, format!("the port {}", listen.port()), async move {
        if RunningDaemon::socket(&directory).is_some() {
            let sentence = format!("a daemon runs on {}, and has its port", directory.display());
            return vec![Verdict::skipped(check::PORT, sentence)];
        }
        vec![match check_listening(listen).await {
            Ok(()) => Verdict::ok(check::PORT, format!("the daemon can listen for HTTP on {listen}")),
            Err(error) => Verdict::failed(check::PORT, error.to_string(), error.hint()),
        }]
    })
}

/// The checks of the gateway: its own port, the public URL, and the proxy in front of it.
pub(super) fn of_gateway<'a>(
    setup: &'a Setup,
    watch: &'a Arc<GatewayWatch>,
    turns: &'a Semaphore,
) -> Vec<Check<'a>> {
    let listen = reachable(setup.listen);
    let own = Question {
        host: listen.ip().to_string(),
        path: String::new(),
        app: None,
        entrances: vec![Entrance::http(listen.port())],
        listen: setup.listen,
    };
    let mut checks = vec![
        Check::new(Subject::Host, check::PORT, format!("the port {}", listen.port()), async move {
            vec![judge_port(&own, &domains::observe(&own, watch, turns).await)]
        }),
        Check::new(Subject::Host, check::PROXY, "the proxy", async { vec![judge_forwarded(watch)] }),
    ];
    if let Some((question, url)) = public_question(setup) {
        checks.push(Check::new(
            Subject::Host,
            check::PUBLIC_URL,
            format!("the public URL {url}"),
            async move {
                let verdicts = domains::judge(&question, &domains::observe(&question, watch, turns).await);
                let named = verdicts.into_iter().map(|verdict| match verdict.check {
                    check::DOMAIN => Verdict { check: check::PUBLIC_URL, ..verdict },
                    _ => verdict,
                });
                named.collect()
            },
        ));
    }
    checks
}

/// The address that this machine's own requests go to: loopback when the gateway listens on all addresses.
fn reachable(mut listen: SocketAddr) -> SocketAddr {
    if listen.ip().is_unspecified() {
        let loopback: IpAddr =
            if listen.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() };
        listen.set_ip(loopback);
    }
    listen
}

fn judge_port(own: &Question, observation: &Observation) -> Verdict {
    let attempts = observation.resolved.as_deref().unwrap_or_default();
    let url = own.entrances.first().map_or_else(String::new, |entrance| entrance.url(&own.host));
    let reason = match attempts.first().map(|attempt| &attempt.outcome) {
        Some(Outcome::Arrived(_)) => {
            return Verdict::ok(check::PORT, format!("the daemon answers HTTP at {url}"));
        }
        Some(Outcome::Elsewhere(status)) => format!("another program does (HTTP {})", status.as_u16()),
        Some(Outcome::Unanswered(error)) => error.to_string(),
        None => "its address is unknown".to_owned(),
    };
    Verdict::failed(
        check::PORT,
        format!("the daemon does not answer HTTP at {url}: {reason}"),
        "see whether all connections are in use (connections in [gateway] of the configuration), and what the daemon's \
         own log says",
    )
}

/// Judges the forwarded headers that have arrived so far.
fn judge_forwarded(watch: &GatewayWatch) -> Verdict {
    match watch.untrusted_proxy() {
        None => Verdict::ok(check::PROXY, "no request had forwarded headers of a proxy that is not trusted"),
        Some(proxy) => Verdict::warning(
            check::PROXY,
            format!(
                "{} sent X-Forwarded-For at {}, and is no trusted proxy: the header was ignored, so that all clients \
                 behind it have its address",
                proxy.peer,
                proxy.at.format("%Y-%m-%dT%H:%M:%SZ")
            ),
            format!(
                "if it is your proxy, set trusted_proxies = [\"{}\"] in the configuration and restart the daemon; if it \
                 is a client, ignore this",
                proxy.peer
            ),
        ),
    }
}

/// The scheme, host, port and path of the public URL.
fn public(setup: &Setup) -> Option<(Entrance, String, String)> {
    let url: Uri = setup.public_url.as_ref()?.parse().ok()?;
    let https = url.scheme_str() == Some("https");
    let entrance = Entrance { https, port: url.port_u16().unwrap_or(if https { 443 } else { 80 }) };
    let host = url.host()?.trim_matches(['[', ']']).to_owned();
    Some((entrance, host, url.path().trim_end_matches('/').to_owned()))
}

fn public_question(setup: &Setup) -> Option<(Question, String)> {
    let (entrance, host, path) = public(setup)?;
    let url = entrance.url(&host);
    let question = Question { host, path, app: None, entrances: vec![entrance], listen: setup.listen };
    Some((question, url))
}

/// What is asked about an application's domain. Browsers go there as the public URL says; without one, to the
/// daemon's own port, or to a proxy of which the configuration says nothing.
pub(super) fn domain_question(setup: &Setup, domain: &str, app: &str) -> Question {
    let entrances = match public(setup) {
        Some((entrance, ..)) => vec![entrance],
        None => {
            vec![Entrance::http(setup.listen.port()), Entrance { https: true, port: 443 }, Entrance::http(80)]
        }
    };
    Question {
        host: domain.to_owned(),
        path: String::new(),
        app: Some(app.to_owned()),
        entrances,
        listen: setup.listen,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::Location;
    use crate::doctor::Descriptors;
    use crate::protocol::FindingStatus::{Failed, Ok as Passed, Warning};

    fn setup(public_url: Option<&str>) -> Setup {
        Setup {
            data_directory: "/d".into(),
            socket: "/s".into(),
            socket_group: None,
            configuration_file: None,
            has_password: false,
            listen: "0.0.0.0:13000".parse().unwrap(),
            public_url: public_url.map(str::to_owned),
            main_location: Location::Sqlite("/d/main/database.sqlite".into()),
            table_prefix: String::new(),
            database_connections: None,
            descriptors: Descriptors { limit: 1024, minimum: 64, configured: 1, possible: 1, needed: 64 },
        }
    }

    #[test]
    fn browsers_go_where_the_public_url_says() {
        let urls = |public_url| {
            let question = domain_question(&setup(public_url), "crm.example.com", "crm");
            question.entrances.iter().map(|entrance| entrance.url(&question.host)).collect::<Vec<_>>()
        };
        assert_eq!(
            urls(None),
            ["http://crm.example.com:13000", "https://crm.example.com", "http://crm.example.com"]
        );
        assert_eq!(urls(Some("https://apps.example.com")), ["https://crm.example.com"]);
        assert_eq!(urls(Some("http://apps.example.com:8080/x")), ["http://crm.example.com:8080"]);
        assert_eq!(public_question(&setup(None)), None);
        let (question, url) = public_question(&setup(Some("https://[2001:db8::1]/x"))).unwrap();
        assert_eq!((&*question.host, &*question.path, &*url), ("2001:db8::1", "/x", "https://[2001:db8::1]"));
        assert_eq!(reachable("0.0.0.0:1".parse().unwrap()).to_string(), "127.0.0.1:1");
        assert_eq!(reachable("[::]:1".parse().unwrap()).to_string(), "[::1]:1");
    }

    #[test]
    fn the_failure_that_ended_the_last_start_is_read_from_the_log() {
        let line = |message: &str, hint: Option<&str>| {
            let mut line =
                serde_json::json!({"at": "2026-01-01T00:00:00.000Z", "level": "error", "message": message});
            if let Some(hint) = hint {
                line["hint"] = hint.into();
            }
            format!("{line}\n")
        };
        let failed = line("nbappsd ends: the port is taken", Some("choose another"));
        for (log, expected) in [
            (failed.clone(), Some(("the port is taken", Some("choose another")))),
            (line("nbappsd ends: no", None) + "\n", Some(("no", None))),
            (failed + &line("nbappsd has ended", None), None),
            ("no JSON\n".to_owned(), None),
            (String::new(), None),
        ] {
            let found = last_failure(log.as_bytes());
            let found = found.as_ref().map(|(sentence, hint)| (sentence.as_str(), hint.as_deref()));
            assert_eq!(found, expected, "{log:?}");
        }
    }

    #[test]
    fn the_configuration_is_judged_as_the_next_start_reads_it() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("nbappsd.toml");
        fs::write(&file, "").unwrap();
        let problem =
            |is_error| Problem { sentence: "listn".to_owned(), hint: "correct it".to_owned(), is_error };
        let status =
            |problems: &[Problem], started| judge_configuration(problems, Some(&file), started)[0].status;
        let now = Utc::now();
        let (before, after) = (now - chrono::TimeDelta::hours(1), now + chrono::TimeDelta::hours(1));
        assert_eq!(status(&[problem(true)], Some(after)), Failed);
        assert_eq!(status(&[problem(false)], Some(after)), Warning);
        assert_eq!(status(&[], Some(before)), Warning);
        assert_eq!(status(&[], Some(after)), Passed);
        assert_eq!(status(&[], None), Passed);
        assert_eq!(judge_configuration(&[], None, Some(before))[0].status, Passed);
    }

    #[test]
    fn a_closed_database_is_told_from_a_missing_and_a_damaged_one() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("database.sqlite");
        let judge = |has_begun| {
            let verdicts = judge_closed_database(&path, directory.path(), has_begun);
            verdicts.last().map(|verdict| (verdict.check, verdict.status))
        };
        assert_eq!(judge(false), Some((check::DATABASE, Passed)));
        assert_eq!(judge(true), Some((check::DATABASE, Failed)));
        fs::write(&path, "this is no database, and longer than a header").unwrap();
        assert_eq!(judge(true), Some((check::DATABASE, Failed)));
        fs::write(&path, [SQLITE_HEADER, &[0; 84][..]].concat()).unwrap();
        assert_eq!(judge(true), Some((check::DATABASE, Passed)));
    }

    #[test]
    fn forwarded_headers_that_arrived_are_reported() {
        assert_eq!(judge_forwarded(&GatewayWatch::default()).status, Passed);
        assert_eq!(judge_program()[0].status, Passed);
    }
}
