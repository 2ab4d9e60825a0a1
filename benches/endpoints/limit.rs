//! Builds and runs the limit, the hand-written endpoints.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::net::TcpStream;

use crate::engine::Engine;
use crate::servers;

/// The number of rows of the table.
pub(crate) fn rows() -> usize {
    std::env::var("NBAPPS_ROWS").ok().and_then(|rows| rows.parse().ok()).unwrap_or(10_000)
}

/// The program.
pub(crate) struct Limit {
    program: PathBuf,
}

/// The running program. It ends with the benchmark.
pub(crate) struct Running {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Limit {
    /// Builds it into its own directory below `target`.
    pub(crate) fn build() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let source =
            std::env::var_os("NBAPPS_LIMIT").map_or_else(|| root.join("benches/limit"), PathBuf::from);
        let target = root.join("target/limit");
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--release", "--quiet", "--manifest-path"]).arg(source.join("Cargo.toml"));
        // Cargo's variables for this benchmark must not affect the build of the limit.
        build.env_remove("RUSTFLAGS").arg("--target-dir").arg(&target);
        assert!(build.status().expect("cargo can be run").success(), "the limit cannot be built");
        Self { program: target.join("release/limit") }
    }

    /// Runs it on SQLite and these engines.
    pub(crate) async fn run(&self, directory: &Path, synchronous: &str, engines: &[Engine]) -> Running {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = Command::new(&self.program);
        command.env("PORT", port.to_string()).env("ROWS", rows().to_string());
        command.env("SQLITE", directory.join(format!("limit-{synchronous}.sqlite")));
        command.env("SYNCHRONOUS", synchronous);
        for engine in engines {
            if let Some((variable, url)) = match engine {
                Engine::Sqlite => None,
                Engine::Postgres => Some(("PG", servers::postgres("postgres"))),
                Engine::Mariadb => Some(("MARIADB", mariadb())),
            } {
                command.env(variable, url);
            }
        }
        let child = command.stdin(Stdio::null()).spawn().expect("the limit can be run");
        let running = Running { child, address: SocketAddr::from(([127, 0, 0, 1], port)) };
        for _ in 0..600 {
            if TcpStream::connect(running.address).await.is_ok() {
                return running;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("the limit does not answer");
    }
}

/// Creates a database for the limit on the private MariaDB server.
fn mariadb() -> String {
    let status = Command::new("mariadb")
        .args(client_arguments(&servers::mariadb("")))
        .args(["-e", "CREATE DATABASE IF NOT EXISTS `limit`"])
        .env("MYSQL_PWD", "secret")
        .status();
    assert!(status.expect("the client of MariaDB can be run").success());
    servers::mariadb("limit")
}

fn client_arguments(url: &str) -> Vec<String> {
    let url = url::Url::parse(url).expect("the server's URL is one");
    let port = url.port().unwrap_or(3306);
    vec![
        "--no-defaults".to_owned(),
        "--protocol=tcp".to_owned(),
        "-h127.0.0.1".to_owned(),
        format!("-P{port}"),
        "-uroot".to_owned(),
    ]
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
