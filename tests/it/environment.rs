//! The environment of a test: its own home, configuration, data, socket and port.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::Duration;

use nbapps::internals::{Database, Location};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::servers::TestEngine;

/// How long a test waits for anything before it fails.
pub const PATIENCE: Duration = Duration::from_secs(180);

pub const ROOT_EMAIL: &str = "admin@nocobase.com";
pub const ROOT_PASSWORD: &str = "admin123";

/// A directory that takes the place of a machine.
pub struct TestEnvironment {
    root: TempDir,
    /// The URL of the main application's database, if it is on a server.
    database_url: Option<String>,
}

/// The output and exit code of a run of `nbapps`.
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl TestEnvironment {
    /// With the main application's database on SQLite, the default.
    pub fn new() -> Self {
        Self::with(None)
    }

    /// With the main application's database on an engine.
    pub fn of(engine: TestEngine) -> Self {
        Self::with(engine.fresh_database())
    }

    /// With the main application's database at this URL.
    pub fn on(database_url: &str) -> Self {
        Self::with(Some(database_url.to_owned()))
    }

    fn with(database_url: Option<String>) -> Self {
        let root = TempDir::new().unwrap();
        for directory in ["home", "run", "state", "config"] {
            std::fs::create_dir(root.path().join(directory)).unwrap();
        }
        Self { root, database_url }
    }

    /// The URL of the main application's database, which must be on a server.
    pub fn main_location(&self) -> Location {
        main_location(self.database_url.as_ref().unwrap())
    }

    /// The URL of the main application's database.
    pub fn main_url(&self) -> String {
        let file = || format!("sqlite:{}", self.data().join("main/database.sqlite").display());
        self.database_url.clone().unwrap_or_else(file)
    }

    pub fn database_url(&self) -> &str {
        self.database_url.as_ref().unwrap()
    }

    pub fn has_schemas(&self) -> bool {
        self.is_on_server() && self.main_location().engine().has_schemas()
    }

    pub fn is_on_server(&self) -> bool {
        self.database_url.is_some()
    }

    /// Makes an application's database unusable. The daemon must not be running.
    pub async fn break_database(&self, id: &str, location: &str) {
        let Some(url) = &self.database_url else {
            let text = "this is no database, and long enough to be read as a header of one".repeat(40);
            return std::fs::write(location, text).unwrap();
        };
        let main = main_location(url);
        let broken = main.sibling_name(id).and_then(|name| main.sibling(&name)).unwrap();
        assert_eq!(broken.to_string(), location);
        assert_eq!(Database::remove(&broken).await.unwrap().len(), 1);
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    pub fn data(&self) -> PathBuf {
        self.path("data")
    }

    pub fn socket(&self) -> PathBuf {
        self.path("run/control.sock")
    }

    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", self.path("home"));
        command.env("XDG_RUNTIME_DIR", self.path("run"));
        command.env("XDG_STATE_HOME", self.path("state"));
        command.env("XDG_CONFIG_HOME", self.path("config"));
        command.env("TZ", "UTC").env("LANG", "C.UTF-8").env("RUST_BACKTRACE", "1");
        command.stdin(Stdio::null());
        command
    }

    /// The daemon's command line, with this environment's data directory and socket, and a free port.
    pub fn daemon_command(&self) -> Command {
        let mut command = self.command(env!("CARGO_BIN_EXE_nbappsd"));
        command.arg("--data-dir").arg(self.data()).arg("--socket").arg(self.socket());
        command.args(["--listen", "127.0.0.1:0"]);
        command.env("INIT_ROOT_EMAIL", ROOT_EMAIL).env("INIT_ROOT_PASSWORD", ROOT_PASSWORD);
        if let Some(url) = &self.database_url {
            command.env("NBAPPS_DATABASE_URL", url);
        }
        command.env("INIT_ROOT_USERNAME", "nocobase").env("INIT_ROOT_NICKNAME", "Super Admin");
        command
    }

    /// Starts the daemon and waits until it is ready.
    pub fn daemon(&self) -> Daemon {
        self.daemon_by(self.daemon_command())
    }

    /// Starts the daemon with this command line and waits until it is ready.
    pub fn daemon_by(&self, mut command: Command) -> Daemon {
        let notify = self.path("notify.sock");
        let _ = std::fs::remove_file(&notify);
        let listener = UnixDatagram::bind(&notify).unwrap();
        listener.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let log = std::fs::File::options().create(true).append(true).open(self.path("daemon.log")).unwrap();
        command.env("NOTIFY_SOCKET", &notify).stdout(Stdio::null()).stderr(log);
        let mut child = command.spawn().unwrap();
        let begun = std::time::Instant::now();
        let mut message = [0; 256];
        loop {
            if let Ok(length) = listener.recv(&mut message)
                && message[..length].starts_with(b"READY=1")
            {
                break;
            }
            if let Some(status) = child.try_wait().unwrap() {
                panic!("the daemon ended with {status}: {}", self.daemon_log());
            }
            assert!(begun.elapsed() < PATIENCE, "the daemon is not ready: {}", self.daemon_log());
        }
        let mut daemon = Daemon { child, socket: self.socket(), url: String::new() };
        let listen = daemon.call("host.info", json!({}))["listen"].as_str().unwrap().to_owned();
        daemon.url = format!("http://{listen}");
        daemon
    }

    /// Starts a daemon that kills itself at the failpoint `point`, calls `method`, and returns another daemon, started
    /// after that.
    pub fn killed_at(&self, point: &str, method: &str, params: Value) -> Daemon {
        let mut command = self.daemon_command();
        command.env("NBAPPS_CRASH_AT", point);
        let mut daemon = self.daemon_by(command);
        let mut connection = daemon.connect();
        connection.send(method, params);
        while connection.receive().is_some() {}
        let status = daemon.ended();
        assert!(!status.success(), "{point}: the daemon was to be killed, and ended with {status}");
        self.daemon()
    }

    /// Fails if a file in the data directory contains this secret.
    pub fn assert_kept_nowhere(&self, secret: &str) {
        for file in files(&self.data()) {
            let content = std::fs::read(&file).unwrap();
            let found = content.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "{secret} is in {}", file.display());
        }
    }

    /// Writes a file that only this user can read.
    pub fn write_private(&self, path: &Path, content: &[u8]) {
        std::fs::write(path, content).unwrap();
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    }

    /// Everything that the daemon wrote to standard error.
    pub fn daemon_log(&self) -> String {
        std::fs::read_to_string(self.path("daemon.log")).unwrap_or_default()
    }

    /// Runs the daemon, which must fail to start. Returns its exit code and standard error.
    pub fn refused(&self, mut command: Command) -> (i32, String) {
        let output = finish(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap());
        (output.status.code().unwrap_or(-1), String::from_utf8(output.stderr).unwrap())
    }

    /// The command line of `nbapps` for this environment's daemon.
    pub fn nbapps_command(&self, arguments: &[&str]) -> Command {
        let mut command = self.command(env!("CARGO_BIN_EXE_nbapps"));
        command.env("NBAPPS_SOCKET", self.socket()).args(arguments);
        command
    }

    /// Runs `nbapps` and waits for its end.
    pub fn nbapps(&self, arguments: &[&str]) -> Ran {
        self.run(self.nbapps_command(arguments))
    }

    /// Runs a command and waits for its end.
    pub fn run(&self, mut command: Command) -> Ran {
        let output = finish(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap());
        Ran {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Runs several commands and returns what an operator sees. Placeholders replace what differs from run to run.
    pub fn transcript(&self, commands: &[&str]) -> String {
        let run = |line: &&str| {
            let arguments: Vec<&str> = line.split(' ').collect();
            let Ran { code, stdout, stderr } = self.nbapps(&arguments);
            let said = stderr.lines().fold(String::new(), |said, line| said + "! " + line + "\n");
            format!("$ nbapps {line}\n{stdout}{said}[{code}]\n")
        };
        self.calm(&commands.iter().map(run).collect::<Vec<_>>().join("\n"))
    }

    /// Starts `nbapps` in the background, to read its output line by line.
    pub fn follow(&self, arguments: &[&str]) -> Followed {
        let mut command = self.nbapps_command(arguments);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = |stream: Box<dyn std::io::Read + Send>| {
            let (sender, receiver) = std::sync::mpsc::channel();
            std::thread::spawn(move || {
                for line in BufReader::new(stream).lines().map_while(Result::ok) {
                    let _ = sender.send(line);
                }
            });
            receiver
        };
        let stdout = lines(Box::new(child.stdout.take().unwrap()));
        let stderr = lines(Box::new(child.stderr.take().unwrap()));
        Followed { child, stdout, stderr }
    }

    /// Replaces what differs from run to run by placeholders.
    pub fn calm(&self, text: &str) -> String {
        let mut calm = text.replace(&self.root.path().display().to_string(), "[ROOT]");
        for (pattern, name) in [
            (r"127\.0\.0\.1:\d+", "[HOST]"),
            (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "[TIME]"),
            (r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "[UUID]"),
            (r"ticket/[\w-]{43}", "ticket/[TICKET]"),
            (r"(?i)(password +)\S{20}(  |\b)", "$1[PASSWORD]$2"),
            (r"process \d+", "process [PID]"),
            (r"(?m)^(Process +)\d+", "$1[PID]"),
            (r"[ \t]+\n", "\n"),
        ] {
            calm = regex::Regex::new(pattern).unwrap().replace_all(&calm, name).into_owned();
        }
        calm
    }
}

/// Lists every file below a directory.
fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

fn main_location(url: &str) -> Location {
    Location::parse(url).unwrap()
}

/// A command in the background. Dropping it ends the command.
pub struct Followed {
    child: Child,
    stdout: std::sync::mpsc::Receiver<String>,
    stderr: std::sync::mpsc::Receiver<String>,
}

impl Followed {
    /// The next line of its standard output.
    pub fn line(&self) -> String {
        self.stdout.recv_timeout(PATIENCE).unwrap()
    }

    /// The next line of its standard error.
    pub fn note(&self) -> String {
        self.stderr.recv_timeout(PATIENCE).unwrap()
    }

    /// Waits until it ends. Returns its exit code.
    pub fn ended(mut self) -> Option<i32> {
        // Its output ends with it.
        while self.stdout.recv_timeout(PATIENCE).is_ok() {}
        self.child.wait().unwrap().code()
    }
}

impl Drop for Followed {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits for the end of a child process, within the time limit.
fn finish(child: Child) -> Output {
    let id = child.id();
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || sender.send(child.wait_with_output()));
    receiver.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("process {id} does not end")).unwrap()
}

impl Ran {
    /// Fails unless it succeeded.
    pub fn ok(self) -> Self {
        assert_eq!(self.code, 0, "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self
    }

    /// Its output as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}", self.stdout))
    }
}

/// A running daemon. Dropping it stops the daemon.
pub struct Daemon {
    child: Child,
    socket: PathBuf,
    /// The URL of its gateway, without a slash at the end.
    pub url: String,
}

impl Daemon {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Opens a connection to its socket.
    pub fn connect(&self) -> Connection {
        Connection::new(&self.socket)
    }

    /// Calls a method. Panics with the error if it fails.
    pub fn call(&self, method: &str, params: Value) -> Value {
        self.connect().call(method, params).unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    /// Calls a method that must fail. Returns the kind of the error.
    pub fn refusal(&self, method: &str, params: Value) -> String {
        match self.connect().call(method, params) {
            Ok(result) => panic!("{method} gave {result}"),
            Err(error) => error["data"]["kind"].as_str().unwrap().to_owned(),
        }
    }

    pub fn state(&self, id: &str) -> String {
        self.call("app.get", json!({"id": id}))["state"].as_str().unwrap().to_owned()
    }

    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_raw(i32::try_from(self.pid()).unwrap()).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Kills it, as a crash does.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits until it has ended.
    pub fn ended(&mut self) -> ExitStatus {
        let pid = rustix::process::Pid::from_raw(i32::try_from(self.pid()).unwrap()).unwrap();
        // The process ID cannot be another process's before this waits for the child.
        let process = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).unwrap();
        let mut watched = [rustix::event::PollFd::new(&process, rustix::event::PollFlags::IN)];
        let patience = PATIENCE.try_into().unwrap();
        let ended = rustix::event::poll(&mut watched, Some(&patience)).unwrap();
        assert_eq!(ended, 1, "the daemon does not end: {}", self.pid());
        self.child.wait().unwrap()
    }

    /// Stops it as an operator does. Returns its exit status.
    pub fn stop(mut self) -> ExitStatus {
        self.signal(rustix::process::Signal::TERM);
        self.ended()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A connection to the control socket that reads and writes lines.
pub struct Connection {
    reader: BufReader<UnixStream>,
    next: i64,
}

impl Connection {
    pub fn new(socket: &Path) -> Self {
        let stream = UnixStream::connect(socket).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { reader: BufReader::new(stream), next: 0 }
    }

    pub fn send_raw(&mut self, bytes: &[u8]) {
        self.try_send_raw(bytes).unwrap();
    }

    pub fn try_send_raw(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.reader.get_mut().write_all(bytes)
    }

    /// As [`Self::call`]; returns the error of a refused connection, too.
    pub fn call_or_refusal(&mut self, method: &str, params: Value) -> Result<Value, Value> {
        let request = json!({"jsonrpc": "2.0", "id": "call", "method": method, "params": params});
        // A refused connection may be closed before this is sent.
        let _ = self.try_send_raw(format!("{request}\n").as_bytes());
        let mut message = self.receive().expect("the daemon closed the connection");
        match message.get("error") {
            Some(error) => Err(error.clone()),
            None => Ok(message["result"].take()),
        }
    }

    /// The next line as JSON; `None` once the daemon has closed the connection.
    pub fn receive(&mut self) -> Option<Value> {
        let mut line = String::new();
        match self.reader.read_line(&mut line) {
            Ok(0) => None,
            Ok(_) => Some(serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => None,
            Err(error) => panic!("{error}"),
        }
    }

    /// Sends a request. Returns its ID.
    pub fn send(&mut self, method: &str, params: Value) -> i64 {
        self.next += 1;
        let request = json!({"jsonrpc": "2.0", "id": self.next, "method": method, "params": params});
        self.send_raw(format!("{request}\n").as_bytes());
        self.next
    }

    /// Waits for the response to a request. Skips notifications.
    pub fn answer(&mut self, id: i64) -> Result<Value, Value> {
        loop {
            let mut message = self.receive().expect("the daemon closed the connection");
            if message["id"] == id {
                return match message.get("error") {
                    Some(error) => Err(error.clone()),
                    None => Ok(message["result"].take()),
                };
            }
        }
    }

    pub fn call(&mut self, method: &str, params: Value) -> Result<Value, Value> {
        let id = self.send(method, params);
        self.answer(id)
    }
}

/// Sends a request to an application's API.
pub async fn http(
    daemon: &Daemon,
    method: &str,
    path: &str,
    app: Option<&str>,
    token: Option<&str>,
    body: Option<Value>,
) -> (u16, Value) {
    let client = reqwest::Client::new();
    let mut request = client.request(method.parse().unwrap(), format!("{}{path}", daemon.url));
    if let Some(app) = app {
        request = request.header("X-App", app);
    }
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    if let Some(body) = body {
        request = request.json(&body);
    }
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

/// Signs the root user in. Returns the token.
pub async fn sign_in(daemon: &Daemon, app: Option<&str>) -> String {
    let body = json!({"account": ROOT_EMAIL, "password": ROOT_PASSWORD});
    let (status, answer) = http(daemon, "POST", "/api/auth:signIn", app, None, Some(body)).await;
    assert_eq!(status, 200, "{answer}");
    answer["data"]["token"].as_str().unwrap().to_owned()
}
