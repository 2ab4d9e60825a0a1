//! Completion of values, such as the IDs of applications: attached to the arguments of commands.
//!
//! IDs come from the running daemon within 50 ms or not at all, and completion never starts a daemon. Those of
//! another machine come from its last answer (`far_answers.rs`), or over the connection that a shell has open.

mod people;

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};
use serde_json::Value;
use serde_json::value::RawValue;

pub(crate) use people::{keys, roles, users};

use super::completed_line::{CompletedLine, ShellSession};
use super::far_answers::FarAnswer;
use super::values::{DATABASE_MODES, START_MODES, STATES};
use crate::client::contexts::Contexts;
use crate::client::{Address, IncomingLine, SshHost};
use crate::protocol::methods::{AppList, AppSummaries, HostHello, Method, OperationListMethod};
use crate::protocol::{
    ApplicationField, ApplicationSummary, Hello, Limit, ListApplications, ListSummaries, Message, Nothing,
    PROTOCOL_VERSION, Request, RequestId, State,
};

/// How long the daemon may take: nobody waits for the tab key.
///
/// A debug build has longer: its tests must not depend on the speed of a loaded machine.
const PATIENCE: Duration = Duration::from_millis(if cfg!(debug_assertions) { 3000 } else { 50 });

/// How long the daemon of another machine may take on the connection that a shell has open.
const FAR_PATIENCE: Duration = Duration::from_millis(if cfg!(debug_assertions) { 3000 } else { 250 });

/// Completes the names of limits, up to the value.
pub(crate) fn limits() -> ArgValueCompleter {
    ArgValueCompleter::new(|current: &OsStr| {
        let all = Limit::ALL.map(|limit| format!("{}=", limit.name()));
        all.into_iter().filter(|name| begins(name, current)).map(CompletionCandidate::new).collect()
    })
}

/// Completes the names of fields, after the last comma.
pub(crate) fn fields() -> ArgValueCompleter {
    ArgValueCompleter::new(|current: &OsStr| {
        last_of_list(current, "-", |last| {
            let labels: BTreeSet<String> = label_fields(last).into_iter().map(|(field, _)| field).collect();
            ApplicationField::names().map(str::to_owned).chain(labels).collect()
        })
    })
}

/// Completes conditions, after the last comma.
pub(crate) fn conditions() -> ArgValueCompleter {
    ArgValueCompleter::new(|current: &OsStr| {
        last_of_list(current, "", |last| {
            let of = |field: &'static str, words: &'static [&'static str]| {
                words.iter().map(move |word| format!("{field}={word}"))
            };
            of("state", STATES)
                .chain(of("start_mode", START_MODES))
                .chain(of("engine", &["sqlite", "postgres", "mysql"]))
                .chain(of("mode", DATABASE_MODES))
                .chain(of("protected", &["yes", "no"]))
                .chain(["id~", "name~", "domain~"].map(str::to_owned))
                .chain(label_fields(last).into_iter().map(|(field, value)| format!("{field}={value}")))
                .collect()
        })
    })
}

/// Completes selectors, after the last comma.
pub(crate) fn selectors() -> ArgValueCompleter {
    ArgValueCompleter::new(|current: &OsStr| {
        let is_negated = current.to_str().is_some_and(|text| part(text).starts_with('!'));
        last_of_list(current, "!", |_| match is_negated {
            true => keys_of_labels().into_iter().collect(),
            false => pairs_of_labels().into_iter().map(|(key, value)| format!("{key}={value}")).collect(),
        })
    })
}

/// Completes labels, from those that applications have.
pub(crate) fn labels() -> ArgValueCompleter {
    ArgValueCompleter::new(|current: &OsStr| {
        words(current, pairs_of_labels().into_iter().map(|(key, value)| format!("{key}={value}")))
    })
}

/// Completes the keys of labels, from those that applications have.
pub(crate) fn label_keys() -> ArgValueCompleter {
    ArgValueCompleter::new(|current: &OsStr| words(current, keys_of_labels()))
}

/// The fields of labels with their values, if `last` may become one: the daemon is asked for nothing else.
fn label_fields(last: &str) -> BTreeSet<(String, String)> {
    let prefix = ApplicationField::LABEL_PREFIX;
    if !(prefix.starts_with(last) || last.starts_with(prefix)) {
        return BTreeSet::new();
    }
    pairs_of_labels().into_iter().map(|(key, value)| (format!("{prefix}{key}"), value)).collect()
}

fn keys_of_labels() -> BTreeSet<String> {
    pairs_of_labels().into_iter().map(|(key, _)| key).collect()
}

/// The labels that applications have, each once.
fn pairs_of_labels() -> BTreeSet<(String, String)> {
    let list = ask::<AppSummaries>(ListSummaries { labels: true, ..ListSummaries::default() });
    let applications = list.map(|list| list.applications).unwrap_or_default();
    applications.into_iter().flat_map(|application| application.labels).collect()
}

fn words(current: &OsStr, words: impl IntoIterator<Item = String>) -> Vec<CompletionCandidate> {
    words.into_iter().filter(|word| begins(word, current)).map(CompletionCandidate::new).collect()
}

/// The last part of a list.
fn part(list: &str) -> &str {
    list.rsplit(',').next().unwrap_or_default()
}

/// Completes the last part of a list, which may begin with `sign`; what is before stays as it is.
fn last_of_list(
    current: &OsStr,
    sign: &str,
    words: impl FnOnce(&str) -> Vec<String>,
) -> Vec<CompletionCandidate> {
    let Some(current) = current.to_str() else { return Vec::new() };
    let last = part(current);
    let last = last.strip_prefix(sign).unwrap_or(last);
    let before = &current[..current.len() - last.len()];
    let words = words(last).into_iter().filter(|word| word.starts_with(last));
    words.map(|word| CompletionCandidate::new(format!("{before}{word}"))).collect()
}

/// Completes all applications.
pub(crate) fn existing() -> ArgValueCompleter {
    applications(|_, _| true)
}

/// Completes applications that are not running.
pub(crate) fn startable() -> ArgValueCompleter {
    applications(|_, state| state != State::Running)
}

/// Completes applications that can be stopped: not the main one, and not stopped ones.
pub(crate) fn stoppable() -> ArgValueCompleter {
    applications(|id, state| id != "main" && state != State::Stopped)
}

/// Completes applications that can be deleted.
pub(crate) fn deletable() -> ArgValueCompleter {
    applications(|id, _| id != "main")
}

/// Completes deleted applications that can be undeleted.
pub(crate) fn deleted() -> ArgValueCompleter {
    ArgValueCompleter::new(|current: &OsStr| candidates(current, true, |_, _| true))
}

/// Completes the user's contexts.
pub(crate) fn contexts() -> ArgValueCompleter {
    ArgValueCompleter::new(|current: &OsStr| {
        let contexts = Contexts::load().unwrap_or_default();
        let named = contexts.iter().map(|(name, address)| (name.to_string(), address.to_string()));
        let local = [("local".to_owned(), "this machine's daemon".to_owned())];
        local
            .into_iter()
            .chain(named)
            .filter(|(name, _)| begins(name, current))
            .map(|(name, place)| {
                CompletionCandidate::new(name).help(Some(super::output::printable(&place).into()))
            })
            .collect()
    })
}

/// Completes running operations and those that ended lately.
pub(crate) fn operations() -> ArgValueCompleter {
    ArgValueCompleter::new(|current: &OsStr| {
        let list = ask::<OperationListMethod>(Nothing {});
        let operations = list.map(|list| list.operations).unwrap_or_default();
        operations
            .into_iter()
            .filter(|operation| begins(&operation.id, current))
            .map(|operation| {
                let help = format!("{} {}", operation.method, operation.app);
                CompletionCandidate::new(operation.id).help(Some(help.into()))
            })
            .collect()
    })
}

fn applications(wanted: fn(&str, State) -> bool) -> ArgValueCompleter {
    ArgValueCompleter::new(move |current: &OsStr| candidates(current, false, wanted))
}

fn candidates(current: &OsStr, deleted: bool, wanted: fn(&str, State) -> bool) -> Vec<CompletionCandidate> {
    let applications = if deleted {
        let list = ask::<AppList>(ListApplications { deleted, ..ListApplications::default() });
        list.map(|list| list.applications.iter().map(ApplicationSummary::from).collect())
    } else {
        ask::<AppSummaries>(ListSummaries::default()).map(|list| list.applications)
    };
    applications
        .unwrap_or_default()
        .into_iter()
        .filter(|application| begins(application.id.as_str(), current))
        .filter(|application| wanted(application.id.as_str(), application.state))
        .map(|application| {
            let help = format!("{} ({})", super::output::printable(&application.name), application.state);
            CompletionCandidate::new(application.id.as_str()).help(Some(help.into()))
        })
        .collect()
}

fn begins(text: &str, current: &OsStr) -> bool {
    current.to_str().is_some_and(|current| text.starts_with(current))
}

/// Queries the daemon that the command would talk to.
fn ask<M: Method>(params: M::Params) -> Option<M::Result> {
    let line = CompletedLine::current();
    match line.designation()?.find().address {
        Address::Socket(socket) => ask_here::<M>(socket, params),
        Address::Ssh(host) => ask_far::<M>(&host, params, line.shell.as_deref()),
    }
}

/// Queries a daemon of this machine. A thread that takes too long is left behind: it ends soon.
fn ask_here<M: Method>(socket: PathBuf, params: M::Params) -> Option<M::Result> {
    let params = serde_json::to_value(params).ok()?;
    let (sender, answer) = mpsc::channel();
    std::thread::spawn(move || sender.send(exchange(&socket, M::NAME, params)));
    serde_json::from_str(answer.recv_timeout(PATIENCE).ok()?.ok()?.get()).ok()
}

/// What a daemon of another machine answers, or has answered last.
fn ask_far<M: Method>(host: &SshHost, params: M::Params, shell: Option<&ShellSession>) -> Option<M::Result> {
    let last = FarAnswer::of(host, M::NAME, serde_json::to_string(&params).ok()?);
    let parse = |text: String| serde_json::from_str(&text).ok();
    if let Some(fresh) = last.as_ref().and_then(FarAnswer::fresh) {
        return parse(fresh);
    }
    if let Some(answer) = shell.and_then(|shell| ask_on_connection::<M>(host, params, shell)) {
        if let (Some(last), Ok(text)) = (&last, serde_json::to_string(&answer)) {
            // Without a cache it is asked for again.
            let _ = last.keep(&text);
        }
        return Some(answer);
    }
    parse(last?.any(PATIENCE)?)
}

/// Queries the daemon on the connection of a shell, if that is open.
fn ask_on_connection<M: Method>(
    host: &SshHost,
    params: M::Params,
    shell: &ShellSession,
) -> Option<M::Result> {
    let client = shell.kept.unchecked(&Address::Ssh(host.clone()))?;
    let answered = async { tokio::time::timeout(FAR_PATIENCE, client.call::<M>(params)).await };
    shell.runtime.block_on(answered).ok()?.ok()
}

/// Sends the greeting and the request together, and reads until the second response.
fn exchange(socket: &Path, method: &str, params: Value) -> io::Result<Box<RawValue>> {
    let hello = Hello { client: "nbapps completion".to_owned(), protocol: PROTOCOL_VERSION };
    let requests = [(HostHello::NAME, serde_json::to_value(hello)?), (method, params)];
    let mut lines = String::new();
    for (id, (method, params)) in (1..).zip(requests) {
        let id = Some(RequestId::Number(id));
        lines.push_str(&Message::line(Request { id, method: method.to_owned(), params })?);
        lines.push('\n');
    }
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(lines.as_bytes())?;
    for line in BufReader::new(stream).lines() {
        if let Some(answer) = serde_json::from_str::<IncomingLine>(&line?)?.into_answer_to(2) {
            return answer.map_err(io::Error::other);
        }
    }
    Err(io::ErrorKind::UnexpectedEof.into())
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn the_daemon_is_asked_in_one_go() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        let listener = UnixListener::bind(&path).unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            assert!(lines.next().unwrap().unwrap().contains("host.hello"));
            assert!(lines.next().unwrap().unwrap().contains("app.summaries"));
            let answers = "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\n{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":{\"applications\":[]}}\n";
            stream.write_all(answers.as_bytes()).unwrap();
        });
        let answer = exchange(&path, AppSummaries::NAME, serde_json::json!({})).unwrap();
        server.join().unwrap();
        assert_eq!(answer.get(), "{\"applications\":[]}");
    }

    #[test]
    fn a_daemon_that_is_silent_is_not_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        let _listener = UnixListener::bind(&path).unwrap();
        assert!(exchange(&path, AppSummaries::NAME, serde_json::json!({})).is_err());
    }
}
