//! A host to measure: the daemon with its own directory, on a free port. `NBAPPS_HOST` names another build than that of
//! the benchmark; `nbapps` is the program beside it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nbapps::client::{Address, Client};
use nbapps::protocol::methods::{AppCreate, AppStart, AppStop, HostShutdown};
use nbapps::protocol::{AppId, ChangeState, CreateApplication, DatabaseRequest, Nothing, RootUser, Wait};
use serde_json::{Value, json};
use tokio::net::UnixDatagram;

use super::load::{Connection, request};

const PATIENCE: Duration = Duration::from_secs(120);
pub const ROOT: &str = "root@example.com";
pub const PASSWORD: &str = "a long password";

/// A daemon that ends with the benchmark.
pub struct Host {
    child: Child,
    pub socket: PathBuf,
    pub client: Client,
    /// The time from its start to its first response.
    pub boot: Duration,
}

impl Host {
    /// With the main application on SQLite, the default.
    pub async fn start(directory: &Path) -> Self {
        Self::start_with(directory, &[]).await
    }

    /// With the main application's database at this URL.
    pub async fn start_on(directory: &Path, main: &str) -> Self {
        Self::start_with(directory, &[("NBAPPS_DATABASE_URL", main)]).await
    }

    /// With additional environment variables.
    pub async fn start_with(directory: &Path, environment: &[(&str, &str)]) -> Self {
        let program = std::env::var("NBAPPS_HOST").unwrap_or(env!("CARGO_BIN_EXE_nbappsd").to_owned());
        Self::run(&program, directory, environment).await
    }

    /// Another build of the daemon.
    pub async fn run(program: &str, directory: &Path, environment: &[(&str, &str)]) -> Self {
        std::fs::create_dir_all(directory).expect("a directory for the host");
        let notify = directory.join("notify.sock");
        let _ = std::fs::remove_file(&notify);
        let ready = UnixDatagram::bind(&notify).expect("a socket to be told at");
        let socket = directory.join("control.sock");
        let mut command = Command::new(program);
        command.arg("--data-dir").arg(directory.join("data")).arg("--socket").arg(&socket);
        command.args(["--listen", "127.0.0.1:0"]).env("NOTIFY_SOCKET", &notify);
        command.env("INIT_ROOT_EMAIL", ROOT).env("INIT_ROOT_PASSWORD", PASSWORD);
        command.env("NBAPPS_LOG_LEVEL", "warn").envs(environment.iter().copied());
        let begun = Instant::now();
        let child = command.stdout(Stdio::null()).stdin(Stdio::null()).spawn();
        let child = child.expect("the daemon can be started");
        let mut message = [0; 64];
        let told = tokio::time::timeout(PATIENCE, ready.recv(&mut message)).await;
        let boot = begun.elapsed();
        told.expect("the daemon is ready in time").expect("the daemon says that it is ready");
        let client = Client::connect(&Address::Socket(socket.clone())).await.expect("the daemon answers");
        Self { child, socket, client, boot }
    }

    /// Opens a connection to its socket.
    pub async fn connect(&self) -> Client {
        Client::connect(&Address::Socket(self.socket.clone())).await.expect("the daemon answers")
    }

    /// The address of its gateway.
    pub fn address(&self) -> SocketAddr {
        let url = url::Url::parse(&self.client.welcome().main_url).expect("the daemon's URL is one");
        SocketAddr::from(([127, 0, 0, 1], url.port().expect("the daemon's port")))
    }

    /// `nbapps` with these arguments.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let beside = std::env::var("NBAPPS_HOST").map(|host| Path::new(&host).with_file_name("nbapps"));
        let program = beside.ok().filter(|beside| beside.exists());
        let mut command = Command::new(program.unwrap_or(env!("CARGO_BIN_EXE_nbapps").into()));
        command.arg("--socket").arg(&self.socket).args(arguments);
        command
    }

    /// Creates an application and starts it.
    pub async fn create(&self, id: &str, database: DatabaseRequest) {
        create(&self.client, id, database, true).await;
    }

    /// Signs in as the root user of an application.
    pub async fn api(&self, app: &str) -> Api {
        Api::sign_in(self.address(), app, ROOT).await
    }

    /// Stops it as an operator does, and waits for its end.
    pub async fn stop(mut self) {
        self.client.call::<HostShutdown>(Nothing {}).await.expect("the daemon ends");
        self.client.closed().await;
        let _ = self.child.wait();
    }

    /// The resources that it uses.
    pub fn resources(&self) -> Resources {
        Resources::of(self.child.id())
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn id(text: &str) -> AppId {
    AppId::parse(text).expect("the benchmark's own IDs are good")
}

/// Creates an application with the root user of [`Api::sign_in`].
pub async fn create(client: &Client, app: &str, database: DatabaseRequest, start: bool) {
    let admin = RootUser {
        email: Some(ROOT.to_owned()),
        username: Some("root".to_owned()),
        nickname: Some("Root".to_owned()),
        password: Some(PASSWORD.to_owned()),
    };
    let wait = Wait { wait: true, timeout_ms: 120_000 };
    let create =
        CreateApplication { id: Some(id(app)), start, database, admin, wait, ..CreateApplication::default() };
    client.call::<AppCreate>(create).await.expect("an application is made");
}

pub async fn start(client: &Client, app: &str) {
    let change = ChangeState { id: id(app), wait: Wait::default() };
    client.call::<AppStart>(change).await.expect("an application starts");
}

pub async fn stop(client: &Client, app: &str) {
    let change = ChangeState { id: id(app), wait: Wait::default() };
    client.call::<AppStop>(change).await.expect("an application stops");
}

/// The resources that a process uses.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub struct Resources {
    /// Its memory without that shared with files, in KiB.
    pub memory_kib: u64,
    pub threads: u64,
    pub files: usize,
}

impl Resources {
    fn of(process: u32) -> Self {
        let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
        let field = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name))?;
            line.split_whitespace().nth(1)?.parse().ok()
        };
        let files = std::fs::read_dir(format!("/proc/{process}/fd")).map_or(0, Iterator::count);
        Self {
            memory_kib: field("RssAnon:").unwrap_or_default(),
            threads: field("Threads:").unwrap_or_default(),
            files,
        }
    }
}

/// An application's API, as one user.
#[derive(Debug, Clone)]
pub struct Api {
    pub address: SocketAddr,
    pub app: String,
    pub token: String,
}

impl Api {
    pub async fn sign_in(address: SocketAddr, app: &str, account: &str) -> Self {
        let mut api = Self { address, app: app.to_owned(), token: String::new() };
        let given = json!({"account": account, "password": PASSWORD});
        let answer = api.call("POST", "auth:signIn", Some(given)).await;
        answer["data"]["token"].as_str().expect("whoever signs in has a token").clone_into(&mut api.token);
        api
    }

    /// The path of an action.
    pub fn path(&self, action: &str) -> String {
        format!("/api/__app/{}/{action}", self.app)
    }

    /// The bytes of a request.
    pub fn request(&self, method: &str, action: &str, body: Option<&Value>) -> Vec<u8> {
        let token = Some(&*self.token).filter(|token| !token.is_empty());
        request(method, &self.path(action), token, body)
    }

    /// Sends a request, which must succeed.
    pub async fn call(&self, method: &str, action: &str, body: Option<Value>) -> Value {
        let (status, answer) = self.send(method, action, body).await;
        assert_eq!(status, 200, "{method} {action} of {}: {answer}", self.app);
        answer
    }

    /// Sends a request. Returns the status and the JSON of the response.
    pub async fn send(&self, method: &str, action: &str, body: Option<Value>) -> (u16, Value) {
        let mut connection = Connection::open(self.address).await;
        let answer = connection.send(&self.request(method, action, body.as_ref())).await;
        (answer.status, serde_json::from_slice(answer.body).unwrap_or_default())
    }

    /// Creates a collection with the limit's columns.
    pub async fn make_posts(&self, name: &str) {
        let field = |name: &str, kind: &str| json!({"name": name, "type": kind, "interface": "input"});
        let mut views = field("views", "bigInt");
        views["index"] = json!(true);
        let fields = [
            json!({"name": "id", "type": "bigInt", "autoIncrement": true, "primaryKey": true, "allowNull": false,
                "interface": "id"}),
            field("title", "string"),
            field("body", "text"),
            views,
            field("published", "boolean"),
            field("price", "double"),
            json!({"name": "createdAt", "type": "date", "interface": "createdAt", "field": "createdAt"}),
            json!({"name": "updatedAt", "type": "date", "interface": "updatedAt", "field": "updatedAt"}),
        ];
        let collection = json!({"name": name, "title": name, "autoGenId": false, "createdAt": true,
            "updatedAt": true, "createdBy": true, "updatedBy": true, "fields": fields});
        self.call("POST", "collections:create", Some(collection)).await;
    }

    /// Inserts rows like the limit's.
    pub async fn fill_posts(&self, name: &str, rows: usize) {
        for begin in (0..rows).step_by(5_000) {
            let row = |number: usize| {
                json!({"title": format!("hello {number}"), "body": "world", "views": number % 100,
                    "published": true, "price": 1.5})
            };
            let all: Vec<Value> = (begin..rows.min(begin + 5_000)).map(row).collect();
            self.call("POST", &format!("{name}:create"), Some(Value::Array(all))).await;
        }
    }
}
