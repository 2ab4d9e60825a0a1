//! A real `sshd` on loopback, for one test.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::environment::{PATIENCE, TestEnvironment};

/// An `sshd` of this test alone, and an `ssh` that knows it.
pub struct SshServer {
    process: Child,
    pub port: u16,
    pub user: String,
    /// The directory of an `ssh` that reads this test's configuration in place of the user's.
    client: PathBuf,
}

/// Runs a program that prepares the test.
pub fn prepare(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}; run tests/setup"));
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

impl SshServer {
    /// Starts it. Who logs in finds this build's `nbapps` and the environment's daemon.
    pub fn start(environment: &TestEnvironment) -> Self {
        let bin = PathBuf::from(env!("CARGO_BIN_EXE_nbapps")).parent().unwrap().display().to_string();
        Self::start_with(environment, &format!("{bin}:/usr/bin:/bin"), "")
    }

    /// Starts it. Who logs in has this `PATH`; `settings` are further lines of its configuration.
    pub fn start_with(environment: &TestEnvironment, path: &str, settings: &str) -> Self {
        let directory = environment.path("ssh");
        std::fs::create_dir(&directory).unwrap();
        let at = |name: &str| directory.join(name).display().to_string();
        for key in ["host_key", "identity"] {
            prepare("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-f", &at(key)]);
        }
        std::fs::copy(at("identity.pub"), at("authorized_keys")).unwrap();
        if rustix::process::geteuid().is_root() {
            // Where the server puts the part of it that talks to strangers.
            std::fs::create_dir_all("/run/sshd").unwrap();
        }
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let server = format!(
            "ListenAddress 127.0.0.1:{port}\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\n\
             StrictModes no\nUsePAM no\nPermitRootLogin prohibit-password\nPasswordAuthentication no\n\
             SetEnv PATH={path} NBAPPS_SOCKET={}\n{settings}\n",
            at("host_key"),
            at("authorized_keys"),
            environment.socket().display(),
        );
        std::fs::write(at("sshd_config"), server).unwrap();
        let client = format!(
            "IdentityFile {}\nIdentitiesOnly yes\nUserKnownHostsFile {}\nStrictHostKeyChecking accept-new\n\
             BatchMode yes\nLogLevel ERROR\n",
            at("identity"),
            at("known_hosts"),
        );
        std::fs::write(at("config"), client).unwrap();
        let ssh = directory.join("bin/ssh");
        std::fs::create_dir(ssh.parent().unwrap()).unwrap();
        std::fs::write(&ssh, format!("#!/bin/sh\nexec /usr/bin/ssh -F {} \"$@\"\n", at("config"))).unwrap();
        std::fs::set_permissions(&ssh, std::fs::Permissions::from_mode(0o755)).unwrap();
        let log = std::fs::File::create(at("log")).unwrap();
        let mut command = Command::new("/usr/sbin/sshd");
        command.args(["-D", "-e", "-f", &at("sshd_config")]);
        let process = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn();
        let mut server = Self {
            process: process.unwrap_or_else(|error| panic!("sshd: {error}; run tests/setup")),
            port,
            user: prepare("id", &["-un"]),
            client: ssh.parent().unwrap().to_owned(),
        };
        let begun = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            let log = std::fs::read_to_string(at("log")).unwrap_or_default();
            assert!(server.process.try_wait().unwrap().is_none(), "sshd ended: {log}");
            assert!(begun.elapsed() < PATIENCE, "sshd does not listen: {log}");
            std::thread::sleep(Duration::from_millis(20));
        }
        server
    }

    /// The host, as `--host` takes it.
    pub fn url(&self) -> String {
        format!("ssh://{}@127.0.0.1:{}", self.user, self.port)
    }

    /// The `PATH` with the `ssh` that knows this server.
    pub fn path(&self) -> String {
        format!("{}:{}", self.client.display(), std::env::var("PATH").unwrap())
    }

    /// The command line of `nbapps` on this host.
    pub fn nbapps(&self, environment: &TestEnvironment, arguments: &[&str]) -> Command {
        let mut command = environment.nbapps_command(&["--host", &self.url()]);
        command.env("PATH", self.path()).args(arguments);
        command
    }
}

impl Drop for SshServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
