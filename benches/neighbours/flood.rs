//! The flood: a process of its own, as it would come from other machines, and of a lower priority, so that what is measured is what the host does with it and not what making it costs.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::SocketAddr;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::TcpStream;

use crate::http::{Answer, Request};
use crate::{FLOODED, SLOW};

/// A kind of flood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Connections,
    Statements,
    Bodies,
    Panics,
    SignIns,
}

impl Kind {
    pub const ALL: [Self; 5] =
        [Self::Connections, Self::Statements, Self::Bodies, Self::Panics, Self::SignIns];

    pub fn name(self) -> &'static str {
        match self {
            Self::Connections => "10,000 connections",
            Self::Statements => "slow statements",
            Self::Bodies => "bodies of 9 MiB",
            Self::Panics => "a handler that panics",
            Self::SignIns => "1,000 sign-ins at once",
        }
    }

    /// The name that selects it.
    pub fn key(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::Statements => "statements",
            Self::Bodies => "bodies",
            Self::Panics => "panics",
            Self::SignIns => "sign-ins",
        }
    }

    fn connections(self) -> usize {
        match self {
            Self::Connections => 10_000,
            Self::SignIns => 1_000,
            Self::Statements | Self::Panics => 400,
            Self::Bodies => 64,
        }
    }

    /// How long each client waits between a response and the next request.
    fn pause(self) -> Duration {
        Duration::from_millis(if self == Self::Connections { 1_000 } else { 100 })
    }

    fn request(self, token: &str, number: u64) -> Request {
        match self {
            Self::Connections => Request::new("GET /api/app:getInfo", FLOODED, "", "", Vec::new()),
            Self::Statements => Request::new(&format!("GET {SLOW}"), FLOODED, token, "", Vec::new()),
            Self::Bodies => {
                let body = format!("{{\"name\":\"{}\"}}", "x".repeat(9 << 20));
                Request::new("POST /api/groups:create", FLOODED, token, "", body.into_bytes())
            }
            Self::Panics => Request::new("POST /api/crash:now", FLOODED, token, "", Vec::new()),
            Self::SignIns => {
                // Each with another account and address, so that only the limits refuse it.
                let [_, a, b, c] = u32::try_from(number % (1 << 24)).unwrap_or_default().to_be_bytes();
                let from = format!("X-Forwarded-For: 10.{a}.{b}.{c}\r\n");
                let body = format!("{{\"account\":\"nobody{number}\",\"password\":\"wrong\"}}");
                Request::new("POST /api/auth:signIn", FLOODED, "", &from, body.into_bytes())
            }
        }
    }
}

/// The responses of the flooded application, by status.
pub type Answers = BTreeMap<String, u64>;

/// A running flood.
pub struct Flood {
    child: Child,
    said: BufReader<ChildStdout>,
}

/// After this many responses, the flood has begun.
const RISEN: u64 = 50;

const VARIABLE: &str = "NEIGHBOURS_FLOOD";

impl Flood {
    /// Starts a flood, and waits until it has begun.
    pub fn begin(kind: Kind, address: SocketAddr, token: &str) -> Self {
        let place = Kind::ALL.iter().position(|one| *one == kind).unwrap_or_default();
        let own = std::env::current_exe().expect("this program has a path");
        let child = Command::new(own)
            .env(VARIABLE, format!("{place} {address} {token}"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let mut child = child.expect("this program can be started again");
        let mut said = BufReader::new(child.stdout.take().expect("it is taken once"));
        said.read_line(&mut String::new()).expect("it says when it has risen");
        Self { child, said }
    }

    /// Ends it. Returns the responses.
    pub fn end(mut self) -> Answers {
        drop(self.child.stdin.take());
        let mut said = String::new();
        self.said.read_to_string(&mut said).expect("it says what it saw");
        self.child.wait().expect("it ends");
        serde_json::from_str(&said).expect("it says it in JSON")
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs the flood if this process is one. Returns whether it was.
pub fn is_flood() -> bool {
    let Ok(given) = std::env::var(VARIABLE) else { return false };
    let mut given = given.split(' ');
    let place: usize = given.next().and_then(|place| place.parse().ok()).expect("a kind");
    let address: SocketAddr = given.next().and_then(|address| address.parse().ok()).expect("an address");
    let token = given.next().unwrap_or_default().to_owned();
    let _ = rustix::process::setpriority_process(None, 10);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let answers = runtime.block_on(pour(Kind::ALL[place], address, token));
    println!("{}", serde_json::to_string(&answers).expect("numbers by name"));
    true
}

/// Floods until the standard input is closed.
async fn pour(kind: Kind, address: SocketAddr, token: String) -> Answers {
    let (answers, number) = (Arc::new(Mutex::new(Answers::new())), Arc::new(AtomicU64::new(0)));
    let mut clients = tokio::task::JoinSet::new();
    // The same request for all, unless each has its own client.
    let same = Arc::new(kind.request(&token, 0));
    for _ in 0..kind.connections() {
        let (answers, number, same) = (Arc::clone(&answers), Arc::clone(&number), Arc::clone(&same));
        clients.spawn(async move {
            let mut stream = None;
            loop {
                let asked = number.fetch_add(1, Ordering::Relaxed);
                let answer = match kind {
                    Kind::SignIns => ask(&kind.request("", asked), &mut stream, address).await,
                    _ => ask(&same, &mut stream, address).await,
                };
                let name = match answer {
                    Some(answer @ Answer { status: 429 | 503, retry_after: false, .. }) => {
                        format!("{} without Retry-After", answer.status)
                    }
                    Some(answer) => answer.status.to_string(),
                    None => "no answer".to_owned(),
                };
                count(&mut answers.lock().expect("nobody panics"), name);
                tokio::time::sleep(kind.pause()).await;
            }
        });
    }
    let (closed, is_closed) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        let _ = closed.send(());
    });
    let _ = is_closed.await;
    clients.abort_all();
    let answers = answers.lock().expect("nobody panics");
    Answers::clone(&answers)
}

/// Counts a response, and reports that the flood has begun.
fn count(answers: &mut Answers, name: String) {
    *answers.entry(name).or_default() += 1;
    if answers.values().sum::<u64>() == RISEN {
        println!("{RISEN} answers");
    }
}

async fn ask(request: &Request, stream: &mut Option<TcpStream>, address: SocketAddr) -> Option<Answer> {
    let mut open = match stream.take() {
        Some(open) => open,
        None => TcpStream::connect(address).await.ok()?,
    };
    let answer = request.send(&mut open).await.ok()?;
    if !answer.closes {
        *stream = Some(open);
    }
    Some(answer)
}
