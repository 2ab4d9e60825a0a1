//! A session of the shell: what lines share, and how one runs.

use std::any::TypeId;
use std::ffi::OsString;
use std::rc::Rc;
use std::sync::Arc;

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, FromArgMatches as _};
use clap_complete::engine::ArgValueCompleter;
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::builtin::{Builtin, command_line};
use super::line;
use crate::cli::completed_line::{self, CompletedLine, ShellSession};
use crate::cli::completion::Outline;
use crate::cli::context::{Context, GlobalOptions};
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::kept::KeptConnection;
use crate::cli::output::Console;
use crate::cli::{Cli, Command, dispatch, report, runtime, suggest};
use crate::protocol::methods::AppGet;
use crate::protocol::{AppId, OneApplication};

/// What comes after a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// The next line.
    Line,
    /// Nothing: the shell ends.
    End,
}

/// An application of lines that name none, and the daemon that has it.
#[derive(Debug)]
struct Used {
    id: AppId,
    place: String,
}

/// A session.
pub(super) struct Session {
    /// The options of `nbapps shell`, which hold for lines that have no others.
    options: GlobalOptions,
    console: Console,
    runtime: Rc<Runtime>,
    kept: Arc<KeptConnection>,
    used: Option<Used>,
    /// The exit code of the last command.
    pub(super) last: Exit,
    /// As long as it is open, Ctrl-C does not end the process.
    _interrupts: Signal,
}

/// Receives Ctrl-C from now on.
fn interrupts() -> Result<Signal, CliError> {
    signal(SignalKind::interrupt())
        .map_err(|error| CliError::Io { what: "cannot receive Ctrl-C".to_owned(), error })
}

impl Session {
    pub(super) fn new(context: &Context) -> Result<Self, CliError> {
        let runtime = runtime()?;
        let interrupts = runtime.block_on(async { interrupts() })?;
        // What is wrong with the contexts is said at once.
        context.designation()?;
        Ok(Self {
            options: (*context.options).clone(),
            console: context.console.clone(),
            runtime: Rc::new(runtime),
            kept: Arc::default(),
            used: None,
            last: Exit::Done,
            _interrupts: interrupts,
        })
    }

    /// The console of notes that are not of a command.
    pub(super) fn console(&self) -> &Console {
        &self.console
    }

    /// The context of a command with these options.
    fn context(&self, options: GlobalOptions) -> Context {
        Context::new(options).in_shell(Arc::clone(&self.kept))
    }

    /// Connects to the daemon of another machine before the first command, so that completion can ask it. One of this
    /// machine needs no such thing, and is started by the first command.
    pub(super) fn connect_ahead(&mut self) {
        let context = self.context(self.options.clone());
        let is_far = context.designation().is_ok_and(|designation| designation.other_machine().is_some());
        if is_far {
            let connected = self.interruptible(&context, async { context.connect().await.map(drop) });
            self.last = report(connected, &context);
        }
    }

    /// The prompt: the exit code of a command that failed, the daemon and the application. The application is given up
    /// when lines mean another daemon by now.
    pub(super) fn prompt(&mut self) -> String {
        let place = place(&self.context(self.options.clone()));
        if let Some(used) = self.used.take_if(|used| used.place != place) {
            self.console.note(&format!("{} is of {}, and no longer used", used.id, used.place));
        }
        let failed = match self.last {
            Exit::Done => String::new(),
            exit => format!("[{}] ", exit as u8),
        };
        let used = self.used.as_ref().map_or_else(String::new, |used| format!("/{}", used.id));
        format!("{failed}nbapps({place}){used}> ")
    }

    /// What completion needs of the session.
    pub(super) fn for_completion(&self) -> Rc<ShellSession> {
        Rc::new(ShellSession {
            designation: self.options.designation().ok(),
            used: self.used.as_ref().map(|used| used.id.clone()),
            kept: Arc::clone(&self.kept),
            runtime: Rc::clone(&self.runtime),
        })
    }

    /// Runs the words of a line, and notes the exit code.
    pub(super) fn run(&mut self, words: Vec<String>) -> Next {
        let words = line::without_program(words);
        if words.is_empty() {
            return Next::Line;
        }
        let words: Vec<OsString> =
            std::iter::once("nbapps".into()).chain(words.into_iter().map(OsString::from)).collect();
        let matches = match self.parse(&words) {
            Ok(matches) => matches,
            Err(error) => {
                let error = suggest::improve(error);
                let _ = error.print();
                self.last = if error.use_stderr() { Exit::Usage } else { Exit::Done };
                return Next::Line;
            }
        };
        if matches.subcommand_name().is_some_and(Builtin::has) {
            return self.run_builtin(&matches);
        }
        self.last = match Cli::from_arg_matches(&matches) {
            Ok(cli) => {
                let options = self.merged(&cli.command, cli.global, &matches);
                let context = self.context(options);
                let result = self.execute(cli.command, &context);
                report(result, &context)
            }
            Err(error) => {
                let _ = error.print();
                Exit::Usage
            }
        };
        Next::Line
    }

    /// Parses a line. The used application is its first argument where it could have one and has none.
    fn parse(&self, words: &[OsString]) -> Result<ArgMatches, clap::Error> {
        let used = self.used.as_ref().filter(|_| !completed_line::names_daemon(words));
        if let Some(complete) = used.and_then(|used| with_application(words, &used.id)) {
            match command_line().try_get_matches_from(complete) {
                // Such as `stop --all`, which names applications otherwise.
                Err(error) if error.kind() == clap::error::ErrorKind::ArgumentConflict => {}
                parsed => return parsed,
            }
        }
        command_line().try_get_matches_from(words)
    }

    fn run_builtin(&mut self, matches: &ArgMatches) -> Next {
        let context = self.context(self.options.clone());
        match Builtin::from_arg_matches(matches) {
            Ok(Builtin::Exit) => return Next::End,
            Ok(Builtin::Use { id: None }) => {
                self.used = None;
                self.last = Exit::Done;
            }
            Ok(Builtin::Use { id: Some(id) }) => {
                let looked_up = self.interruptible(&context, async {
                    let client = context.connect().await?;
                    context.ask::<AppGet>(&client, OneApplication { id: id.clone() }).await
                });
                if looked_up.is_ok() {
                    self.used = Some(Used { id, place: place(&context) });
                }
                self.last = report(looked_up.map(drop), &context);
            }
            Err(error) => {
                let _ = error.print();
                self.last = Exit::Usage;
            }
        }
        Next::Line
    }

    /// The options of a line, and where it has none, those of the shell.
    fn merged(&self, command: &Command, line: GlobalOptions, matches: &ArgMatches) -> GlobalOptions {
        let is_given = |id| matches.value_source(id) == Some(ValueSource::CommandLine);
        // `context add` reads an address from these options, which is not where the shell's commands go.
        let names_daemon = line.naming_option().is_some() || matches!(command, Command::Context(_));
        let naming = if names_daemon { line.clone() } else { self.options.clone() };
        GlobalOptions {
            socket: naming.socket,
            host: naming.host,
            context: naming.context,
            no_autostart: line.no_autostart || self.options.no_autostart,
            output: if is_given("output") { line.output } else { self.options.output.clone() },
            color: if is_given("color") { line.color } else { self.options.color },
            quiet: line.quiet || self.options.quiet,
        }
    }

    fn execute(&self, command: Command, context: &Context) -> Result<(), CliError> {
        match command {
            Command::Shell(_) => {
                context.console.note("this is a shell already");
                Ok(())
            }
            Command::Completions(command) => command.run(context),
            Command::Config(command) => command.run(context),
            Command::Context(command) => command.run(context),
            Command::Daemon(daemon) if daemon.takes_over() => Err(CliError::usage(
                "a daemon in the foreground would take the place of this shell",
                "run it outside, or in the background: nbapps daemon start",
            )),
            command => self.interruptible(context, Box::pin(dispatch(command, context))),
        }
    }

    /// Runs work to its end, or until Ctrl-C.
    fn interruptible<T>(
        &self,
        context: &Context,
        work: impl Future<Output = Result<T, CliError>>,
    ) -> Result<T, CliError> {
        self.runtime.block_on(async {
            // One that was pressed before is not meant.
            let mut interrupts = interrupts()?;
            tokio::select! {
                biased;
                ended = work => ended,
                _ = interrupts.recv() => Err(context.interrupted()),
            }
        })
    }

    /// Waits for what a script says next; `None` at its end.
    ///
    /// # Errors
    /// When it cannot be read, or Ctrl-C is pressed.
    pub(super) fn next_of(
        &self,
        lines: &mut tokio::sync::mpsc::Receiver<Result<String, CliError>>,
    ) -> Result<Option<String>, CliError> {
        let context = self.context(self.options.clone());
        self.interruptible(&context, async { lines.recv().await.transpose() })
    }

    /// Ends the session, without waiting for what still runs.
    pub(super) fn close(self) {
        // The last line that was completed shares the connection.
        CompletedLine::default().begin();
        drop(self.kept);
        if let Some(runtime) = Rc::into_inner(self.runtime) {
            runtime.shutdown_background();
        }
    }
}

/// The daemon that lines mean, as the prompt shows it: a context, another machine, or this one.
fn place(context: &Context) -> String {
    let Ok(designation) = context.designation() else { return "?".to_owned() };
    match (designation.naming_context(), designation.other_machine()) {
        (Some(context), _) => context.name.to_string(),
        (None, Some(host)) => host.destination().to_owned(),
        (None, None) => "local".to_owned(),
    }
}

/// The words of a line with an application behind the command; `None` if the command takes none, or has one.
fn with_application(words: &[OsString], id: &AppId) -> Option<Vec<OsString>> {
    let mut root = command_line();
    root.build();
    let outline = Outline::of(&root, words);
    let command = outline.command;
    let takes_one = command.get_positionals().next().is_some_and(names_application);
    if !takes_one || command.get_name() == "use" {
        return None;
    }
    let required = command.get_positionals().filter(|argument| argument.is_required_set()).count();
    let given = outline.positionals.len();
    (given == 0 || given < required).then(|| {
        let mut complete = words.to_vec();
        complete.insert(outline.behind_command, id.as_str().into());
        complete
    })
}

/// Whether an argument is an application that exists: its ID can be completed, other than that of `create`.
fn names_application(argument: &Arg) -> bool {
    argument.get_value_parser().type_id() == TypeId::of::<AppId>()
        && argument.get::<ArgValueCompleter>().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(used: Option<&str>) -> Session {
        let options = GlobalOptions { socket: Some("/nowhere".into()), quiet: true, ..Default::default() };
        let mut session = Session::new(&Context::new(options)).unwrap();
        session.used = used.map(|id| Used { id: AppId::parse(id).unwrap(), place: "local".to_owned() });
        session
    }

    fn os_words(line: &str) -> Vec<OsString> {
        std::iter::once("nbapps").chain(line.split(' ')).map(Into::into).collect()
    }

    #[test]
    fn the_used_application_is_that_of_commands_that_name_none() {
        let crm = AppId::parse("crm").unwrap();
        for (line, expected) in [
            ("show", Some("show crm")),
            ("start", Some("start crm")),
            ("start hr", None),
            ("stop --timeout 5s", Some("stop crm --timeout 5s")),
            ("wait --for running", Some("wait crm --for running")),
            ("-o json show", Some("-o json show crm")),
            ("show -o json", Some("show crm -o json")),
            ("logs -n 5", Some("logs crm -n 5")),
            ("delete --yes", Some("delete crm --yes")),
            ("events", Some("events crm")),
            ("list", None),
            ("create", None),
            ("create --start", None),
            ("use", None),
            ("operation show", None),
            ("daemon status", None),
        ] {
            let complete = with_application(&os_words(line), &crm);
            assert_eq!(complete, expected.map(os_words), "{line}");
        }
    }

    #[test]
    fn what_names_applications_otherwise_is_left_alone() {
        let session = session(Some("crm"));
        let ids = |line: &str| {
            let matches = session.parse(&os_words(line)).unwrap();
            let (_, command) = matches.subcommand().unwrap();
            let ids = command.get_many::<AppId>("ids").into_iter().flatten();
            ids.map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(ids("stop"), ["crm"]);
        assert_eq!(ids("stop hr"), ["hr"]);
        assert!(ids("stop --all").is_empty());
        // Another daemon has other applications.
        assert!(session.parse(&os_words("stop --context test")).is_err());
        // The error is that of the line.
        let error = session.parse(&os_words("logs --level loud")).unwrap_err();
        assert_eq!(error.kind(), clap::error::ErrorKind::InvalidValue);
    }

    #[test]
    fn lines_have_the_options_of_the_shell_and_their_own() {
        let session = session(None);
        let merged = |line: &str| {
            let matches = session.parse(&os_words(line)).unwrap();
            let cli = Cli::from_arg_matches(&matches).unwrap();
            session.merged(&cli.command, cli.global, &matches)
        };
        let plain = merged("list");
        assert!(plain.quiet && plain.socket == Some("/nowhere".into()));
        let own = merged("list -o json --host ssh://server");
        assert_eq!(own.socket, None);
        assert_eq!(own.host, "ssh://server".parse().ok());
        assert_eq!(own.output.format, crate::cli::output::Format::Json);
        assert_eq!(merged("context add prod ssh://server").socket, None);
    }

    #[test]
    fn the_prompt_shows_the_daemon_the_application_and_a_failure() {
        let mut session = session(Some("crm"));
        assert_eq!(session.prompt(), "nbapps(local)/crm> ");
        assert_eq!(session.run(vec!["nosuch".to_owned()]), Next::Line);
        assert_eq!(session.prompt(), "[2] nbapps(local)/crm> ");
        session.run(vec!["use".to_owned()]);
        assert_eq!(session.prompt(), "nbapps(local)> ");
        session.options =
            GlobalOptions { host: "ssh://ops@server:2222".parse().ok(), ..GlobalOptions::default() };
        session.used = Some(Used { id: AppId::parse("crm").unwrap(), place: "local".to_owned() });
        // It is of another daemon.
        assert_eq!(session.prompt(), "nbapps(ops@server)> ");
        assert_eq!(session.run(vec!["nbapps".to_owned(), "exit".to_owned()]), Next::End);
    }

    #[test]
    fn commands_that_would_take_the_shells_place_are_refused_or_harmless() {
        let mut session = session(None);
        for (line, exit) in [
            ("shell", Exit::Done),
            ("daemon run", Exit::Usage),
            ("daemon dial-stdio", Exit::Usage),
            ("--version", Exit::Done),
            ("help", Exit::Done),
            ("list", Exit::Unreachable),
        ] {
            let words = line.split(' ').map(str::to_owned).collect();
            assert_eq!(session.run(words), Next::Line);
            assert_eq!(session.last, exit, "{line}");
        }
    }
}
