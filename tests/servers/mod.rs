//! Private database servers for a run of the tests. The first test that needs a server starts it; it ends with the
//! process.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// An engine that a test runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TestEngine {
    Sqlite,
    Postgres,
    Mariadb,
}

impl TestEngine {
    /// The URL of a database that does not exist yet, on this run's server; `None` on SQLite, whose databases are
    /// files.
    pub(crate) fn fresh_database(self) -> Option<String> {
        match self {
            Self::Sqlite => None,
            Self::Postgres => Some(postgres(&fresh_name())),
            Self::Mariadb => Some(mariadb(&fresh_name())),
        }
    }
}

/// Makes three tests of a function that takes a [`TestEngine`]: `name::on_sqlite`,
/// `name::on_postgres` and `name::on_mariadb`. Write `#[apply(on_every_engine)]` above `#[test]` or `#[tokio::test]`;
/// each of the three tests gets that attribute.
#[allow(unused_macros, reason = "benchmarks start the servers, and measure each engine in their own way")]
macro_rules! on_every_engine {
    (
        #[tokio::test $(($($option:tt)*))?]
        $(#[$attribute:meta])*
        async fn $name:ident($engine:ident: TestEngine) $body:block
    ) => {
        mod $name {
            #[tokio::test $(($($option)*))?]
            async fn on_sqlite() {
                Box::pin(super::$name(super::TestEngine::Sqlite)).await;
            }

            #[tokio::test $(($($option)*))?]
            async fn on_postgres() {
                Box::pin(super::$name(super::TestEngine::Postgres)).await;
            }

            #[tokio::test $(($($option)*))?]
            async fn on_mariadb() {
                Box::pin(super::$name(super::TestEngine::Mariadb)).await;
            }
        }

        $(#[$attribute])*
        async fn $name($engine: TestEngine) $body
    };
    (
        #[test]
        $(#[$attribute:meta])*
        fn $name:ident($engine:ident: TestEngine) $body:block
    ) => {
        mod $name {
            #[test]
            fn on_sqlite() {
                super::$name(super::TestEngine::Sqlite);
            }

            #[test]
            fn on_postgres() {
                super::$name(super::TestEngine::Postgres);
            }

            #[test]
            fn on_mariadb() {
                super::$name(super::TestEngine::Mariadb);
            }
        }

        $(#[$attribute])*
        fn $name($engine: TestEngine) $body
    };
}
#[allow(unused_imports, reason = "as above")]
pub(crate) use on_every_engine;

/// The connections that the shared servers allow: many tests use them at the same time.
const MAX_CONNECTIONS: u32 = 400;

struct Server {
    port: u16,
    /// The script ends the server when its standard input closes, as it does at the end of this process.
    script: Child,
    output: BufReader<ChildStdout>,
}

fn start(script: &str, connections: u32, certificate: Option<&Path>) -> Server {
    let certificate = certificate.map(|path| path.display().to_string());
    start_with(script, std::iter::once(connections.to_string()).chain(certificate))
}

/// Starts a server with its script. Its arguments are a directory, a port and these.
fn start_with(script: &str, arguments: impl IntoIterator<Item = String>) -> Server {
    let directory = tempfile::tempdir().unwrap().keep();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/servers").join(script);
    let mut command = Command::new(&script);
    command
        .arg(&directory)
        .arg(port.to_string())
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{}: {error}", script.display()));
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let (mut said, mut line) = (String::new(), String::new());
    while output.read_line(&mut line).unwrap() > 0 {
        if line.trim() == "ready" {
            return Server { port, script: child, output };
        }
        said.push_str(&line);
        line.clear();
    }
    let _ = child.wait();
    panic!("{} did not start: {said}", script.display());
}

/// The URL of a database on this run's PostgreSQL server, as its superuser.
pub(crate) fn postgres(database: &str) -> String {
    static SERVER: OnceLock<Server> = OnceLock::new();
    let port = SERVER.get_or_init(|| start("postgres.sh", MAX_CONNECTIONS, None)).port;
    postgres_url(port, database)
}

fn postgres_url(port: u16, database: &str) -> String {
    format!("postgres://root:secret@127.0.0.1:{port}/{database}")
}

/// The URL of a database on this run's MariaDB server, as its superuser.
pub(crate) fn mariadb(database: &str) -> String {
    static SERVER: OnceLock<Server> = OnceLock::new();
    let port = SERVER.get_or_init(|| start("mariadb.sh", MAX_CONNECTIONS, None)).port;
    mariadb_url(port, database)
}

fn mariadb_url(port: u16, database: &str) -> String {
    format!("mysql://root:secret@127.0.0.1:{port}/{database}")
}

/// A database name that no other test of this run uses.
pub(crate) fn fresh_name() -> String {
    static LAST: AtomicU32 = AtomicU32::new(0);
    format!("test_{}", LAST.fetch_add(1, Ordering::Relaxed))
}

/// A server for one test, which may stop and start it.
#[allow(dead_code, reason = "not every binary that has this needs it")]
pub(crate) struct OwnServer {
    server: Server,
    url: fn(u16, &str) -> String,
}

#[allow(dead_code, reason = "not every binary that has this needs it")]
impl OwnServer {
    pub(crate) fn postgres(connections: u32) -> Self {
        Self { server: start("postgres.sh", connections, None), url: postgres_url }
    }

    pub(crate) fn mariadb(connections: u32) -> Self {
        Self { server: start("mariadb.sh", connections, None), url: mariadb_url }
    }

    /// A server of each engine that offers TLS, with `server.crt` and `server.key` from this directory.
    pub(crate) fn with_certificate(directory: &Path) -> [Self; 2] {
        [
            Self { server: start("postgres.sh", 20, Some(directory)), url: postgres_url },
            Self { server: start("mariadb.sh", 20, Some(directory)), url: mariadb_url },
        ]
    }

    /// A PgBouncer in front of a PostgreSQL server. The mode is `session` or `transaction`.
    pub(crate) fn pgbouncer(server: &Self, mode: &str) -> Self {
        let arguments = [server.server.port.to_string(), mode.to_owned()];
        Self { server: start_with("pgbouncer.sh", arguments), url: postgres_url }
    }

    pub(crate) fn is_postgres(&self) -> bool {
        self.url("").starts_with("postgres")
    }

    /// The URL of a database on it, as its superuser.
    pub(crate) fn url(&self, database: &str) -> String {
        (self.url)(self.server.port, database)
    }

    /// Sends a command to its script (`stop`, `start`, `freeze`, `thaw`) and waits until it is done.
    pub(crate) fn tell(&mut self, word: &str) {
        let script = self.server.script.stdin.as_mut().unwrap();
        script.write_all(format!("{word}\n").as_bytes()).unwrap();
        let mut said = String::new();
        self.server.output.read_line(&mut said).unwrap();
        assert_eq!(said.trim(), "done", "{word}");
    }
}

impl Drop for OwnServer {
    fn drop(&mut self) {
        // The script ends the server when its standard input closes.
        drop(self.server.script.stdin.take());
        let _ = self.server.script.wait();
    }
}
