//! What checks find, and how they run: all at the same time, each within the time that there is.

use std::cmp::Ordering;
use std::fmt;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::time::Instant;

use crate::protocol::{AppId, Finding, FindingStatus};

/// The names of the checks, in the order in which they are reported.
pub(super) mod check {
    pub(crate) const CONFIGURATION: &str = "configuration";
    pub(crate) const LAST_START: &str = "last_start";
    pub(crate) const VERSION: &str = "version";
    pub(crate) const PERMISSIONS: &str = "permissions";
    pub(crate) const DISK: &str = "disk";
    pub(crate) const LOGS: &str = "logs";
    pub(crate) const DESCRIPTORS: &str = "descriptors";
    pub(crate) const CLOCK: &str = "clock";
    pub(crate) const PORT: &str = "port";
    pub(crate) const PUBLIC_URL: &str = "public_url";
    pub(crate) const PROXY: &str = "proxy";
    pub(crate) const CONNECTIONS: &str = "connections";
    pub(crate) const STATE: &str = "state";
    pub(crate) const START_MODE: &str = "start_mode";
    pub(crate) const OPERATIONS: &str = "operations";
    pub(crate) const DOMAIN: &str = "domain";
    pub(crate) const DATABASE: &str = "database";
    pub(crate) const RIGHTS: &str = "rights";
    pub(crate) const ENCODING: &str = "encoding";
    pub(crate) const FILES: &str = "files";
    pub(crate) const INTEGRITY: &str = "integrity";

    pub(super) const ALL: [&str; 21] = [
        CONFIGURATION,
        LAST_START,
        VERSION,
        PERMISSIONS,
        DISK,
        LOGS,
        DESCRIPTORS,
        CLOCK,
        PORT,
        PUBLIC_URL,
        PROXY,
        CONNECTIONS,
        STATE,
        START_MODE,
        OPERATIONS,
        DOMAIN,
        DATABASE,
        RIGHTS,
        ENCODING,
        FILES,
        INTEGRITY,
    ];
}

/// What a check is about, in the order in which findings are reported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Subject {
    Host,
    /// A database server: its host and port.
    Server(String),
    Application(AppId),
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host => f.write_str(Finding::HOST),
            Self::Server(server) => write!(f, "server {server}"),
            Self::Application(id) => write!(f, "application {id}"),
        }
    }
}

impl Subject {
    /// Compares by kind, then by name, the main application before the others.
    fn compare(&self, other: &Self) -> Ordering {
        let key = |subject: &Self| match subject {
            Self::Host => (0, false, String::new()),
            Self::Server(server) => (1, false, server.clone()),
            Self::Application(id) => (2, !id.is_main(), id.to_string()),
        };
        key(self).cmp(&key(other))
    }
}

/// What was found, without its subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) check: &'static str,
    pub(super) status: FindingStatus,
    pub(super) message: String,
    pub(super) hint: Option<String>,
}

impl Verdict {
    pub(super) fn ok(check: &'static str, message: impl Into<String>) -> Self {
        Self { check, status: FindingStatus::Ok, message: message.into(), hint: None }
    }

    pub(super) fn skipped(check: &'static str, message: impl Into<String>) -> Self {
        Self { check, status: FindingStatus::Skipped, message: message.into(), hint: None }
    }

    pub(super) fn warning(check: &'static str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { check, status: FindingStatus::Warning, message: message.into(), hint: given(hint) }
    }

    pub(super) fn failed(check: &'static str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { check, status: FindingStatus::Failed, message: message.into(), hint: given(hint) }
    }

    pub(super) fn about(self, subject: Subject) -> Found {
        Found { subject, verdict: self }
    }
}

/// A hint, unless it is empty.
fn given(hint: impl Into<String>) -> Option<String> {
    Some(hint.into()).filter(|hint| !hint.is_empty())
}

/// A verdict with its subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) subject: Subject,
    pub(super) verdict: Verdict,
}

/// A check that is to run.
pub(super) struct Check<'a> {
    /// The subject and the name, for when it does not end in time.
    subject: Subject,
    name: &'static str,
    /// What it looks at, in words.
    what: String,
    work: BoxFuture<'a, Vec<Found>>,
}

impl<'a> Check<'a> {
    /// A check whose findings have this subject.
    pub(super) fn new(
        subject: Subject,
        name: &'static str,
        what: impl Into<String>,
        work: impl Future<Output = Vec<Verdict>> + Send + 'a,
    ) -> Self {
        let about = subject.clone();
        let found =
            async move { work.await.into_iter().map(|verdict| verdict.about(about.clone())).collect() };
        Self::with_subjects(subject, name, what, found)
    }

    /// A check whose findings have subjects of their own.
    pub(super) fn with_subjects(
        subject: Subject,
        name: &'static str,
        what: impl Into<String>,
        work: impl Future<Output = Vec<Found>> + Send + 'a,
    ) -> Self {
        Self { subject, name, what: what.into(), work: Box::pin(work) }
    }

    /// A check that blocks: it runs on a thread of its own.
    pub(super) fn blocking(
        subject: Subject,
        name: &'static str,
        what: impl Into<String>,
        work: impl FnOnce() -> Vec<Verdict> + Send + 'static,
    ) -> Self {
        let ended = async move {
            let ended = tokio::task::spawn_blocking(work).await;
            ended.unwrap_or_else(|error| vec![Verdict::skipped(name, format!("the check ended: {error}"))])
        };
        Self::new(subject, name, what, ended)
    }

    async fn run(self, deadline: Instant) -> Vec<(Found, Duration)> {
        let Self { subject, name, what, work } = self;
        let begun = Instant::now();
        let found = match tokio::time::timeout_at(deadline, work).await {
            Ok(found) => found,
            Err(_) => {
                let late = format!("{what} was not checked in time");
                vec![Verdict::skipped(name, late).about(subject)]
            }
        };
        let took = begun.elapsed();
        found.into_iter().map(|found| (found, took)).collect()
    }
}

/// Runs all checks at the same time until `deadline`, and returns what they found, in order.
pub(super) async fn run(checks: Vec<Check<'_>>, deadline: Instant) -> Vec<Finding> {
    let mut running: FuturesUnordered<_> = checks.into_iter().map(|check| check.run(deadline)).collect();
    let mut all = Vec::new();
    while let Some(found) = running.next().await {
        all.extend(found);
    }
    let order = |name: &str| check::ALL.iter().position(|known| *known == name);
    all.sort_by(|(one, _), (other, _)| {
        let by_check = || order(one.verdict.check).cmp(&order(other.verdict.check));
        let by_message = || one.verdict.message.cmp(&other.verdict.message);
        one.subject.compare(&other.subject).then_with(by_check).then_with(by_message)
    });
    all.into_iter().map(|(found, took)| finding(found, took)).collect()
}

fn finding(found: Found, took: Duration) -> Finding {
    let Found { subject, verdict } = found;
    Finding {
        check: verdict.check.to_owned(),
        subject: subject.to_string(),
        status: verdict.status,
        message: verdict.message,
        hint: verdict.hint,
        took_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn application(id: &str) -> Subject {
        Subject::Application(AppId::parse(id).unwrap())
    }

    #[tokio::test]
    async fn findings_are_in_order_and_a_check_that_hangs_is_skipped() {
        let verdict = |name| async move { vec![Verdict::ok(name, name)] };
        let checks = vec![
            Check::new(application("crm"), check::DATABASE, "", verdict(check::DATABASE)),
            Check::new(application("crm"), check::STATE, "", verdict(check::STATE)),
            Check::new(application("a"), check::DOMAIN, "the domain a.example.com", std::future::pending()),
            Check::blocking(Subject::Host, check::DISK, "", || vec![Verdict::ok(check::DISK, "disk")]),
            Check::new(Subject::Server("db:5432".into()), check::CLOCK, "", verdict(check::CLOCK)),
            Check::new(application("main"), check::STATE, "", verdict(check::STATE)),
        ];
        let found = run(checks, Instant::now() + Duration::from_millis(200)).await;
        let lines: Vec<_> = found
            .iter()
            .map(|finding| format!("{}: {} {}", finding.subject, finding.check, finding.status.as_str()))
            .collect();
        assert_eq!(
            lines,
            [
                "host: disk ok",
                "server db:5432: clock ok",
                "application main: state ok",
                "application a: domain skipped",
                "application crm: state ok",
                "application crm: database ok",
            ]
        );
        assert_eq!(found[3].message, "the domain a.example.com was not checked in time");
    }
}
