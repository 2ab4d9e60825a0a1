//! The context of every command: the global options, the connection to the daemon, and the console.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use clap::Args;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::error::CliError;
use super::interrupt::UnderWay;
use super::kept::KeptConnection;
use super::output::{Addressing, Color, Console, Output};
use super::values::milliseconds;
use super::{complete, environment, far_answers};
use crate::client::autostart::{Launch, StartError};
use crate::client::contexts::ContextName;
use crate::client::discovery::{self, ContextChoice, Designation, DiscoveryError, Reason, Target};
use crate::client::{Address, Client, ClientError, paths};
use crate::protocol::methods::{AppList, AppSummaries, Method, MethodKind};
use crate::protocol::{AppId, Application, ApplicationSummary, ListApplications, ListSummaries, Wait};

/// How long a daemon may take to answer a request that needs no work.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// How much longer than the daemon a command waits: the daemon knows what timed out.
const GRACE: Duration = Duration::from_secs(2);

/// How long a daemon may take to open its socket once it has locked its data directory, or to release that once
/// it has closed its socket.
const TRANSITION_TIMEOUT: Duration = Duration::from_secs(15);

/// How often a daemon that starts or ends is looked at.
const TRANSITION_CHECK: Duration = Duration::from_millis(50);

/// Options of every command.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct GlobalOptions {
    /// Talk to the daemon at this control socket; never starts one (also: NBAPPS_SOCKET)
    #[arg(long, global = true, value_name = "PATH")]
    pub(crate) socket: Option<PathBuf>,

    /// Talk to the daemon of another machine: ssh://[USER@]SERVER[:PORT] (also: NBAPPS_HOST)
    ///
    /// Runs `ssh` with `nbapps daemon dial-stdio` there; never starts a daemon.
    #[arg(long, global = true, value_name = "URL", conflicts_with = "socket")]
    pub(crate) host: Option<Address>,

    /// Talk to the daemon of this context; `local` is this machine's (also: NBAPPS_CONTEXT)
    ///
    /// Contexts are names for daemons: see `nbapps context --help`.
    #[arg(
        long, global = true, value_name = "NAME", conflicts_with_all = ["socket", "host"],
        add = complete::contexts(),
    )]
    pub(crate) context: Option<ContextName>,

    /// Do not start a daemon when none is running (also: NBAPPS_AUTOSTART=0)
    #[arg(long, global = true)]
    pub(crate) no_autostart: bool,

    /// How to print what is listed or shown
    #[arg(short, long, global = true, value_name = "FORMAT", default_value = "table",
        value_parser = Output::parser())]
    pub(crate) output: Output,

    /// When to use colour; NO_COLOR and CLICOLOR_FORCE are respected
    #[arg(long, global = true, value_name = "WHEN", value_enum, default_value_t)]
    pub(crate) color: Color,

    /// Print no progress and no notes, only data and errors
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
}

impl GlobalOptions {
    /// The option that names the daemon, with its value.
    pub(crate) fn naming_option(&self) -> Option<(&'static str, Vec<u8>)> {
        let context = self.context.as_ref().map(|name| ("--context", name.to_string().into_bytes()));
        let host = || self.host.as_ref().map(|host| ("--host", host.to_string().into_bytes()));
        let socket =
            || self.socket.as_ref().map(|path| ("--socket", path.as_os_str().as_encoded_bytes().to_owned()));
        context.or_else(host).or_else(socket)
    }

    /// What the options name, else the environment, else the current context.
    pub(crate) fn designation(&self) -> Result<Designation, DiscoveryError> {
        let named = |address, option| Ok(Designation::One(Target::new(address, Reason::Option(option))));
        // clap does not see a conflict of an option before the command and one behind it.
        match (&self.context, &self.host, &self.socket) {
            (Some(_), Some(_), _) => Err(DiscoveryError::TwoOptions("--context", "--host")),
            (Some(_), _, Some(_)) => Err(DiscoveryError::TwoOptions("--context", "--socket")),
            (_, Some(_), Some(_)) => Err(DiscoveryError::TwoOptions("--host", "--socket")),
            (Some(context), None, None) => Designation::of_context(context.clone(), ContextChoice::Option),
            (None, Some(host), None) => named(host.clone(), "--host"),
            (None, None, Some(socket)) => named(Address::Socket(socket.clone()), "--socket"),
            (None, None, None) => Designation::of_environment(),
        }
    }
}

/// The context of a command. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    pub(crate) options: Arc<GlobalOptions>,
    pub(crate) console: Console,
    under_way: UnderWay,
    /// What the command line, the environment or the current context names; the error is for commands that need it.
    designation: Arc<Result<Designation, ClientError>>,
    /// The daemon that was found last.
    found: Arc<Mutex<Option<Target>>>,
    /// The connection that outlives this command, in a shell.
    kept: Option<Arc<KeptConnection>>,
    bound: Option<Arc<Bound>>,
}

/// The deadline of `--timeout`, for connecting to the daemon and its work together.
#[derive(Debug)]
struct Bound {
    begun: Instant,
    timeout: Duration,
    /// How long connecting to the daemon took, in milliseconds.
    spent_ms: AtomicU64,
    /// Whether the daemon did not report a timeout by the time it should have: then no other request is waited
    /// for.
    silent: AtomicBool,
}

impl Bound {
    fn remaining(&self) -> Duration {
        self.timeout.saturating_sub(self.begun.elapsed())
    }
}

impl Context {
    pub(crate) fn new(options: GlobalOptions) -> Self {
        let designation = options.designation();
        let other_machine = designation.as_ref().ok().and_then(Designation::other_machine);
        let option = options.naming_option();
        let option = option.as_ref().map(|(option, value)| (*option, value.as_slice()));
        let console = Console::new(options.output.clone(), options.color, options.quiet)
            .addressing(Addressing::new(option, other_machine));
        Self {
            options: Arc::new(options),
            console,
            under_way: UnderWay::default(),
            designation: Arc::new(designation.map_err(ClientError::from)),
            found: Arc::default(),
            kept: None,
            bound: None,
        }
    }

    /// The context of a command in a shell: it shares the connection, and Ctrl-C ends the command alone.
    pub(crate) fn in_shell(self, kept: Arc<KeptConnection>) -> Self {
        let (console, under_way) = (self.console.in_shell(), UnderWay::watched_by_shell());
        Self { kept: Some(kept), console, under_way, ..self }
    }

    /// What the command line, the environment or the current context names.
    pub(crate) fn designation(&self) -> Result<&Designation, CliError> {
        self.designation.as_ref().as_ref().map_err(|error| error.clone().into())
    }

    /// The daemon that the command means, and why.
    pub(crate) fn target(&self) -> Result<Target, CliError> {
        let mut found = self.found.lock();
        match &*found {
            Some(target) => Ok(target.clone()),
            None => Ok(found.insert(self.designation()?.clone().find()).clone()),
        }
    }

    /// The address of the daemon.
    pub(crate) fn address(&self) -> Result<Address, CliError> {
        self.target().map(|target| target.address)
    }

    /// The socket of the daemon of this machine, which connections from other machines are for.
    pub(crate) fn socket_here(&self) -> Result<PathBuf, CliError> {
        match self.options.naming_option() {
            Some(_) => socket_of(self.address()?),
            None => socket_of(discovery::find_here().address),
        }
    }

    /// Notes that the current context is why a daemon cannot be reached: who gave no option may not think of it.
    pub(crate) fn note_current_context(&self) {
        let chosen = self.designation().ok().and_then(Designation::naming_context);
        if let Some(context) = chosen.filter(|context| context.by == ContextChoice::Current) {
            self.console.note(&format!(
                "the current context is \"{}\"; this machine's daemon is that of: nbapps --context local",
                context.name
            ));
        }
    }

    /// The error of the command when it is interrupted: what goes on, and how to find it again.
    pub(crate) fn interrupted(&self) -> CliError {
        self.console.end_spinners();
        self.under_way.interrupted()
    }

    /// The control socket that a daemon gets which is started here: the one that is named, or the user's default
    /// socket. `None` for the latter.
    pub(crate) fn named_socket(&self) -> Result<Option<PathBuf>, CliError> {
        let target = self.target()?;
        match target.reason {
            Reason::Option(_) | Reason::Variable(_) | Reason::Context => socket_of(target.address).map(Some),
            _ => Ok(None),
        }
    }

    /// Whether a daemon may be started: only that of the default socket, and unless that is turned off.
    fn may_start(&self) -> Result<bool, CliError> {
        Ok(!self.options.no_autostart && environment::may_start()?)
    }

    /// Connects to the daemon, for any number of requests. A shell's connection is used again.
    pub(crate) async fn connect(&self) -> Result<Arc<Client>, CliError> {
        let Some(kept) = &self.kept else { return self.connect_alone().await.map(Arc::new) };
        if let Some(client) = kept.open(&self.address()?, self.remaining()).await {
            return self.connected(Ok(client));
        }
        let client = Arc::new(self.connect_alone().await?);
        kept.keep(self.address()?, &client);
        Ok(client)
    }

    /// The context with a deadline, `timeout` from now.
    pub(crate) fn within(&self, timeout: Duration) -> Self {
        let bound = Bound {
            begun: Instant::now(),
            timeout,
            spent_ms: AtomicU64::new(0),
            silent: AtomicBool::new(false),
        };
        Self { bound: Some(Arc::new(bound)), ..self.clone() }
    }

    /// The time until the deadline.
    pub(crate) fn remaining(&self) -> Duration {
        self.bound.as_ref().map_or(Duration::MAX, |bound| bound.remaining())
    }

    /// Connects to the daemon, for a stream that owns the connection. Starts a daemon if none is running that this
    /// user may use and that is allowed, and says so.
    pub(crate) async fn connect_alone(&self) -> Result<Client, CliError> {
        let failed = match self.connect_only().await {
            Ok(client) => return Ok(client),
            Err(error) => error,
        };
        let target = self.target()?;
        let denied = match (&target.reason, &failed) {
            (Reason::NoneRunning { denied }, CliError::Client(error)) if error.is_absent() => denied.clone(),
            // The socket's mode lets more users connect than the daemon admits.
            (Reason::System, CliError::Client(error))
                if error.kind() == Some(crate::protocol::ErrorKind::PermissionDenied) =>
            {
                Some(paths::system_socket())
            }
            _ => return Err(failed),
        };
        if !self.may_start()? {
            self.note_denied(&target);
            return Err(failed);
        }
        self.start(denied).await
    }

    /// Notes that the system has a daemon that this user may not use.
    pub(crate) fn note_denied(&self, target: &Target) {
        if let Reason::NoneRunning { denied: Some(socket) } = &target.reason {
            let socket = socket.display();
            self.console.note(&format!(
                "the system's daemon at {socket} is open to members of its group, and not to this user"
            ));
        }
    }

    /// Starts a daemon at the default socket and connects to it. `denied` is the socket of a daemon that this user
    /// may not use.
    async fn start(&self, denied: Option<PathBuf>) -> Result<Client, CliError> {
        let mut launch = Launch::at_default_socket()?;
        launch.patience = launch.patience.min(self.remaining());
        let connected = launch.connect().await.map_err(|error| match denied {
            Some(socket) => CliError::StartBeside { error: Box::new(error), socket },
            None => CliError::from(error),
        });
        let (client, started) = self.connected(connected)?;
        if let Some(daemon) = started {
            self.console.note(&format!(
                "started a daemon in the background (process {}); stop it with: nbapps daemon stop",
                daemon.pid
            ));
        }
        Ok(client)
    }

    /// Connects to a running daemon, and starts none. Waits for one that is starting or ending.
    pub(crate) async fn connect_only(&self) -> Result<Client, CliError> {
        let deadline = Instant::now() + TRANSITION_TIMEOUT.min(self.remaining());
        loop {
            let target = self.target()?;
            let connected = Client::connect_within(&target.address, self.remaining()).await;
            match self.connected(connected.map_err(CliError::from)) {
                Err(CliError::Client(error))
                    if error.is_absent()
                        && matches!(target.reason, Reason::DataDirectory(_))
                        && Instant::now() < deadline =>
                {
                    tokio::time::sleep(TRANSITION_CHECK).await;
                    *self.found.lock() = None;
                }
                connected => return connected,
            }
        }
    }

    /// Notes how long connecting took, and whether that used up the command's time.
    pub(crate) fn connected<T>(&self, connected: Result<T, CliError>) -> Result<T, CliError> {
        let Some(bound) = &self.bound else { return connected };
        bound.spent_ms.store(milliseconds(bound.begun.elapsed()), Ordering::Relaxed);
        match connected {
            Err(
                CliError::Client(silent @ ClientError::Silent { .. })
                | CliError::Start(StartError::Client(silent @ ClientError::Silent { .. })),
            ) if bound.remaining().is_zero() => {
                Err(CliError::TimedOut { message: silent.to_string(), hint: silent.hint() })
            }
            other => other,
        }
    }

    /// Calls a method that answers at once.
    pub(crate) async fn ask<M: Method>(
        &self,
        client: &Client,
        params: M::Params,
    ) -> Result<M::Result, CliError> {
        let patience = REQUEST_TIMEOUT.min(self.remaining().saturating_add(GRACE));
        let unanswered = format!("the daemon did not answer {}", M::NAME);
        let answered = within(patience, unanswered, client.call::<M>(params)).await;
        self.note_change(M::KIND);
        answered
    }

    /// Lets completion ask again after a command, which may have changed what there is to complete.
    fn note_change(&self, kind: MethodKind) {
        let target = self.found.lock().clone();
        if let (MethodKind::Command, Some(Target { address: Address::Ssh(host), .. })) = (kind, target) {
            far_answers::expire(&host);
        }
    }

    /// Lists the applications, all pages, or as many as the request's limit says.
    pub(crate) async fn list(
        &self,
        client: &Client,
        request: ListApplications,
    ) -> Result<Vec<Application>, CliError> {
        all_pages(request.limit, async |after| {
            let request = ListApplications { after, ..request.clone() };
            let page = self.ask::<AppList>(client, request).await?;
            Ok((page.applications, page.next))
        })
        .await
    }

    /// Lists the summaries of the applications, all pages, or as many as the request's limit says.
    pub(crate) async fn summaries(
        &self,
        client: &Client,
        request: ListSummaries,
    ) -> Result<Vec<ApplicationSummary>, CliError> {
        all_pages(request.limit, async |after| {
            let request = ListSummaries { after, ..request.clone() };
            let page = self.ask::<AppSummaries>(client, request).await?;
            Ok((page.applications, page.next))
        })
        .await
    }

    /// Calls a method that takes longer, and shows its progress on a terminal.
    pub(crate) async fn work<M: Method>(
        &self,
        client: &Client,
        params: M::Params,
        subject: &str,
        wait: Wait,
    ) -> Result<M::Result, CliError> {
        let mut spinner = self.console.spinner(subject);
        let command = matches!(M::KIND, MethodKind::Command)
            .then(|| self.under_way.begin(&self.console, M::NAME, subject));
        let call = client.call_with_progress::<M>(params, |progress| {
            if let (Some(command), Some(operation)) = (&command, &progress.operation) {
                command.is_operation(operation);
            }
            spinner.update(&progress);
        });
        let patience = match wait.wait {
            true => Duration::from_millis(wait.timeout_ms).saturating_sub(self.spent()).saturating_add(GRACE),
            false => REQUEST_TIMEOUT,
        };
        let unanswered = format!("the daemon did not answer {} for {subject}", M::NAME);
        if self.bound.as_ref().is_some_and(|bound| bound.silent.load(Ordering::Relaxed)) {
            return Err(CliError::timed_out(unanswered));
        }
        let answered = within(patience, unanswered, call).await;
        self.note_change(M::KIND);
        if let (Err(CliError::TimedOut { .. }), Some(bound)) = (&answered, &self.bound) {
            bound.silent.store(true, Ordering::Relaxed);
        }
        if let Err(CliError::TimedOut { .. } | CliError::Client(ClientError::Lost { .. })) = &answered
            && let Some(how) = command.and_then(|command| command.found_by())
        {
            self.console.note(&how);
        }
        answered
    }

    /// The part of the command's time that connecting took.
    fn spent(&self) -> Duration {
        let spent = self.bound.as_ref().map(|bound| bound.spent_ms.load(Ordering::Relaxed));
        Duration::from_millis(spent.unwrap_or_default())
    }
}

/// The socket at an address of this machine.
fn socket_of(address: Address) -> Result<PathBuf, CliError> {
    match address {
        Address::Socket(path) => Ok(path),
        Address::Ssh(host) => Err(CliError::usage(
            format!("a daemon on another machine ({host}) cannot be run or started from here"),
            "run it there: nbapps daemon start; this machine's is that of: nbapps --context local".to_owned(),
        )),
    }
}

/// Collects the pages of a list, until there are `limit` items; each page names where the next one begins.
async fn all_pages<T>(
    limit: Option<NonZeroU32>,
    mut page: impl AsyncFnMut(Option<AppId>) -> Result<(Vec<T>, Option<AppId>), CliError>,
) -> Result<Vec<T>, CliError> {
    let limit = limit.and_then(|limit| usize::try_from(limit.get()).ok()).unwrap_or(usize::MAX);
    let (mut all, mut next) = page(None).await?;
    while next.is_some() && all.len() < limit {
        let (more, behind) = page(next).await?;
        all.extend(more);
        next = behind;
    }
    all.truncate(limit);
    Ok(all)
}

async fn within<T>(
    patience: Duration,
    what: String,
    future: impl Future<Output = Result<T, ClientError>>,
) -> Result<T, CliError> {
    match tokio::time::timeout(patience, future).await {
        Ok(result) => Ok(result?),
        Err(_) => Err(CliError::timed_out(format!("{what} within {} s", patience.as_secs()))),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::Cli;

    #[test]
    fn two_options_that_name_a_daemon_are_refused_wherever_they_are() {
        for (line, one, other) in [
            ("--context a list --host ssh://server", "--context", "--host"),
            ("--socket /x list --context a", "--context", "--socket"),
            ("--socket /x list --host ssh://server", "--host", "--socket"),
        ] {
            let words = std::iter::once("nbapps").chain(line.split(' '));
            let cli = Cli::try_parse_from(words).unwrap();
            assert_eq!(cli.global.designation(), Err(DiscoveryError::TwoOptions(one, other)), "{line}");
        }
    }
}
