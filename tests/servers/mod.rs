//! Private database servers for a run of the tests: each is started by the first test that asks
//! for it, and ends with the process.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

struct Server {
    port: u16,
    /// Its standard input, closed by the end of this process, ends the server.
    _script: Child,
}

fn start(script: &str) -> Server {
    let directory = tempfile::tempdir().unwrap().keep();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/servers").join(script);
    let mut command = Command::new(&script);
    command.arg(&directory).arg(port.to_string()).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{}: {error}", script.display()));
    let mut said = Vec::new();
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        if line == "ready" {
            return Server { port, _script: child };
        }
        said.push(line);
    }
    let _ = child.wait();
    panic!("{} did not start: {}", script.display(), said.join("\n"));
}

/// The URL of a database on this run's PostgreSQL server, as its superuser.
pub(crate) fn postgres(database: &str) -> String {
    static SERVER: OnceLock<Server> = OnceLock::new();
    let port = SERVER.get_or_init(|| start("postgres.sh")).port;
    format!("postgres://root:secret@127.0.0.1:{port}/{database}")
}

/// The URL of a database on this run's MariaDB server, as its superuser.
pub(crate) fn mariadb(database: &str) -> String {
    static SERVER: OnceLock<Server> = OnceLock::new();
    let port = SERVER.get_or_init(|| start("mariadb.sh")).port;
    format!("mysql://root:secret@127.0.0.1:{port}/{database}")
}

/// A name that no other test of this run has.
pub(crate) fn fresh_name() -> String {
    static LAST: AtomicU32 = AtomicU32::new(0);
    format!("test_{}", LAST.fetch_add(1, Ordering::Relaxed))
}
