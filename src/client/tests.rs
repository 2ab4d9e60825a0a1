//! The client against a small server of its own, line by line.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};

use super::autostart::{Launch, StartError};
use super::*;
use crate::protocol::methods::{AppGet, AppStart, HostInfoMethod};
use crate::protocol::{AppId, ChangeState, Nothing, OneApplication, Wait};

/// The daemon's side of one connection.
struct Peer {
    lines: Lines<BufReader<OwnedReadHalf>>,
    writer: OwnedWriteHalf,
}

impl Peer {
    fn new(stream: UnixStream) -> Self {
        let (reader, writer) = stream.into_split();
        Self { lines: BufReader::new(reader).lines(), writer }
    }

    async fn request(&mut self) -> Value {
        serde_json::from_str(&self.lines.next_line().await.unwrap().unwrap()).unwrap()
    }

    async fn send(&mut self, message: Value) {
        self.writer.write_all(format!("{message}\n").as_bytes()).await.unwrap();
    }

    async fn answer(&mut self, request: &Value, result: Value) {
        self.send(json!({"jsonrpc": "2.0", "id": request["id"], "result": result})).await;
    }

    async fn greet(&mut self) {
        let hello = self.request().await;
        assert_eq!(hello["method"], "host.hello");
        assert_eq!(hello["params"]["protocol"], PROTOCOL_VERSION);
        self.answer(&hello, json!({"server": "test", "protocol": PROTOCOL_VERSION, "main_url": "http://x/"}))
            .await;
    }
}

struct Server {
    _directory: tempfile::TempDir,
    listener: UnixListener,
    address: Address,
}

fn server() -> Server {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("control.sock");
    let listener = UnixListener::bind(&path).unwrap();
    Server { _directory: directory, listener, address: Address::Socket(path) }
}

impl Server {
    async fn accept(&self) -> Peer {
        Peer::new(self.listener.accept().await.unwrap().0)
    }

    /// A greeted client and the daemon's side of its connection.
    async fn connected(&self) -> (Client, Peer) {
        let accept = async {
            let mut peer = self.accept().await;
            peer.greet().await;
            peer
        };
        let (client, peer) = tokio::join!(Client::connect(&self.address), accept);
        (client.unwrap(), peer)
    }
}

fn crm() -> AppId {
    AppId::parse("crm").unwrap()
}

fn application(id: &str) -> Value {
    json!({
        "id": id, "name": id, "state": "running", "start_mode": "on-visit", "url": "http://x/",
        "domains": [], "database": {"mode": "database", "engine": "sqlite", "location": "/x.sqlite"},
        "upgrade": "auto", "environment": "local", "protected": false, "pinned": false,
        "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z", "requests_in_flight": 0,
    })
}

#[tokio::test]
async fn answers_find_their_requests_in_any_order() {
    let server = server();
    let (client, mut peer) = server.connected().await;
    let answer = async {
        let first = peer.request().await;
        let second = peer.request().await;
        peer.answer(&second, application(second["params"]["id"].as_str().unwrap())).await;
        peer.answer(&first, application(first["params"]["id"].as_str().unwrap())).await;
    };
    let other = AppId::parse("stock").unwrap();
    let (first, second, ()) = tokio::join!(
        client.call::<AppGet>(OneApplication { id: crm() }),
        client.call::<AppGet>(OneApplication { id: other.clone() }),
        answer,
    );
    assert_eq!(first.unwrap().id, crm());
    assert_eq!(second.unwrap().id, other);
}

#[tokio::test]
async fn progress_goes_to_the_request_it_belongs_to() {
    let server = server();
    let (client, mut peer) = server.connected().await;
    let answer = async {
        let request = peer.request().await;
        for (number, stage) in [(request["id"].clone(), "tables"), (json!(999), "foreign")] {
            let params =
                json!({"request": number, "stage": stage, "done": 1, "total": 2, "message": "making tables"});
            peer.send(json!({"jsonrpc": "2.0", "method": "progress", "params": params})).await;
        }
        let result = json!({"application": application("crm"), "changed": true, "operation": "op1"});
        peer.answer(&request, result).await;
    };
    let mut stages = Vec::new();
    let change = ChangeState { id: crm(), wait: Wait::default() };
    let call = client.call_with_progress::<AppStart>(change, |progress| stages.push(progress.stage));
    let (started, ()) = tokio::join!(call, answer);
    assert!(started.unwrap().changed);
    assert_eq!(stages, ["tables"]);
}

#[tokio::test]
async fn errors_arrive_with_kind_and_hint() {
    let server = server();
    let (client, mut peer) = server.connected().await;
    let answer = async {
        let request = peer.request().await;
        let error = crate::protocol::RpcError::app_not_found("crm");
        peer.send(json!({"jsonrpc": "2.0", "id": request["id"], "error": error})).await;
    };
    let (got, ()) = tokio::join!(client.call::<AppGet>(OneApplication { id: crm() }), answer);
    let error = got.unwrap_err();
    assert_eq!(error.kind(), Some(ErrorKind::AppNotFound));
    assert!(error.hint().unwrap().contains("nbapps list"));
}

#[tokio::test]
async fn a_lost_connection_ends_every_request_on_it() {
    let server = server();
    let (client, mut peer) = server.connected().await;
    let hang_up = async move {
        peer.request().await;
        peer.writer.write_all(br#"{"jsonrpc""#).await.unwrap();
    };
    let (got, ()) = tokio::join!(client.call::<HostInfoMethod>(Nothing {}), hang_up);
    let error = got.unwrap_err();
    assert!(matches!(error, ClientError::Lost { .. }), "{error}");
    assert!(error.to_string().contains("in the middle of a line"), "{error}");
    client.closed().await;
    let later = client.call::<HostInfoMethod>(Nothing {}).await;
    assert!(matches!(later, Err(ClientError::Lost { .. })));
}

#[tokio::test]
async fn an_answer_of_another_shape_is_said_to_be_unreadable() {
    let server = server();
    let (client, mut peer) = server.connected().await;
    let answer = async {
        let request = peer.request().await;
        peer.answer(&request, json!({"id": "crm"})).await;
    };
    let (got, ()) = tokio::join!(client.call::<AppGet>(OneApplication { id: crm() }), answer);
    let error = got.unwrap_err().to_string();
    assert!(error.contains("app.get") && error.contains("missing field"), "{error}");
}

#[tokio::test]
async fn another_protocol_version_is_named() {
    let server = server();
    let accept = async {
        let mut peer = server.accept().await;
        let hello = peer.request().await;
        peer.answer(&hello, json!({"server": "nbappsd 9.0", "protocol": 9, "main_url": "x"})).await;
        peer
    };
    let (connected, _peer) = tokio::join!(Client::connect(&server.address), accept);
    let error = connected.unwrap_err();
    assert!(matches!(error, ClientError::ProtocolMismatch { .. }));
    assert_eq!(
        error.to_string(),
        "nbappsd 9.0 speaks version 9 of the control protocol, this program speaks version 1"
    );
}

#[tokio::test]
async fn events_are_streamed_until_the_daemon_goes() {
    let server = server();
    let (client, mut peer) = server.connected().await;
    let answer = async move {
        let request = peer.request().await;
        assert_eq!(request["method"], "events.subscribe");
        // One that comes before the answer must not be missed.
        for number in [8, 9] {
            let event =
                json!({"number": number, "at": "2026-01-01T00:00:00Z", "app": "crm", "event": "updated"});
            peer.send(json!({"jsonrpc": "2.0", "method": "event", "params": event})).await;
            if number == 8 {
                peer.answer(&request, json!({"after": 7})).await;
            }
        }
    };
    let (events, ()) = tokio::join!(client.events(SubscribeEvents::default()), answer);
    let (subscribed, mut events) = events.unwrap();
    assert_eq!(subscribed.after, 7);
    assert_eq!(events.next().await.unwrap().number, 8);
    assert_eq!(events.next().await.unwrap().number, 9);
    assert!(matches!(events.next().await, Err(ClientError::Lost { .. })));
}

#[tokio::test]
async fn nothing_there_is_told_from_nothing_listening() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("control.sock");
    let absent = Client::connect(&Address::Socket(path.clone())).await.unwrap_err();
    assert!(absent.is_absent());
    assert!(absent.to_string().contains("there is no socket"), "{absent}");
    drop(UnixListener::bind(&path).unwrap());
    let dead = Client::connect(&Address::Socket(path)).await.unwrap_err();
    assert!(dead.is_absent());
    assert!(dead.to_string().contains("nothing listens"), "{dead}");
}

#[tokio::test]
async fn a_program_can_be_the_connection() {
    let answer = r#"{"jsonrpc":"2.0","id":1,"result":{"server":"remote","protocol":1,"main_url":"x"}}"#;
    let mut command = Command::new("sh");
    command.args(["-c", &format!("read line; echo '{answer}'; cat >/dev/null")]);
    let client = Client::connect_through(command, "ssh://server").await.unwrap();
    assert_eq!(client.welcome().server, "remote");

    let mut command = Command::new("sh");
    command.args(["-c", "read line; exit 255"]);
    let error = Client::connect_through(command, "ssh://server").await.unwrap_err();
    assert_eq!(error.to_string(), "cannot reach a daemon at ssh://server: sh ended before a daemon answered");
}

/// A launch of a shell script in the daemon's place.
fn launch(directory: &tempfile::TempDir, script: &str) -> Launch {
    let program = directory.path().join("nbappsd");
    std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    Launch {
        program,
        socket: directory.path().join("control.sock"),
        data_directory: directory.path().join("data"),
        join_running: true,
        arguments: Vec::new(),
        working_directory: None,
        patience: Duration::from_secs(20),
    }
}

#[tokio::test]
async fn a_daemon_that_refuses_to_start_is_quoted() {
    let directory = tempfile::tempdir().unwrap();
    let launch = launch(&directory, "echo '{\"level\":\"info\"}'; echo \"error: port taken $1\" >&2; exit 3");
    let error = launch.connect().await.unwrap_err();
    let StartError::Ended { status, last_words, log } = &error else { panic!("{error}") };
    assert_eq!(status.code(), Some(3));
    assert_eq!(last_words, "error: port taken --socket");
    assert_eq!(*log, directory.path().join("data/nbappsd.log"));
    // The next failure does not quote the one before.
    let script = "echo second; exit 1";
    let again = self::launch(&directory, script).connect().await.unwrap_err();
    assert!(matches!(&again, StartError::Ended { last_words, .. } if last_words == "second"), "{again}");
}

#[tokio::test]
async fn a_daemon_of_someone_else_is_used_when_ours_refuses() {
    let directory = tempfile::tempdir().unwrap();
    let launch = launch(&directory, "touch \"$(dirname \"$0\")/refused\"; exit 1");
    let (path, refused) = (launch.socket.clone(), directory.path().join("refused"));
    let other = async {
        // The other daemon binds its socket only after ours has given up.
        while !refused.exists() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let listener = UnixListener::bind(&path).unwrap();
        let mut peer = Peer::new(listener.accept().await.unwrap().0);
        peer.greet().await;
        (listener, peer)
    };
    let (connected, _other) = tokio::join!(launch.connect(), other);
    let (client, started) = connected.unwrap();
    assert_eq!(client.welcome().server, "test");
    assert_eq!(started, None);
}

#[tokio::test]
async fn the_program_is_looked_for_beside_ours_and_in_the_path() {
    let error = StartError::NoProgram { beside: PathBuf::from("/usr/bin/nbapps") };
    assert!(error.to_string().contains("/usr/bin/nbapps"));
    assert!(error.hint().unwrap().contains("install"));
}

/// A script that tells the test where to say that it is ready, and lives as long as its directory.
const LIVES: &str = r#"here="$(dirname "$0")"
echo "$NOTIFY_SOCKET" >> "$here/starts"
while [ -e "$here/nbappsd" ]; do sleep 0.05; done"#;

#[tokio::test]
async fn commands_that_come_together_start_one_daemon_and_wait_until_it_is_ready() {
    let directory = tempfile::tempdir().unwrap();
    let launch = launch(&directory, LIVES);
    let (path, starts) = (launch.socket.clone(), directory.path().join("starts"));
    let daemon = async {
        let notify = loop {
            match std::fs::read_to_string(&starts) {
                Ok(text) if text.ends_with('\n') => break PathBuf::from(text.trim()),
                _ => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        };
        let listener = UnixListener::bind(&path).unwrap();
        let socket = tokio::net::UnixDatagram::unbound().unwrap();
        socket.send_to(b"STATUS=soon", &notify).await.unwrap();
        socket.send_to(b"READY=1\nSTATUS=up", &notify).await.unwrap();
        let mut peers = Vec::new();
        while peers.len() < 2 {
            let mut peer = Peer::new(listener.accept().await.unwrap().0);
            peer.greet().await;
            peers.push(peer);
        }
        (listener, peers, notify)
    };
    let (first, second, (_listener, _peers, notify)) =
        tokio::join!(launch.connect(), launch.connect(), daemon);
    let started = [first.unwrap().1, second.unwrap().1];
    assert_eq!(started.iter().flatten().count(), 1, "{started:?}");
    assert_eq!(std::fs::read_to_string(&starts).unwrap().lines().count(), 1);
    assert!(!notify.exists(), "the notification socket is taken away");
}

#[tokio::test]
async fn a_daemon_that_is_never_ready_is_given_up() {
    let directory = tempfile::tempdir().unwrap();
    let launch = Launch { patience: Duration::from_millis(100), ..launch(&directory, LIVES) };
    let error = launch.connect().await.unwrap_err();
    assert!(matches!(error, StartError::NotReady { .. }), "{error}");
    assert!(error.hint().unwrap().contains("nbappsd.log"));
}
