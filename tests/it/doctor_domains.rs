//! `nbapps doctor` on domains: names that lead here, elsewhere or nowhere, and proxies that pass on too little.
//!
//! The daemon runs in a mount namespace of its own with an `/etc/hosts` of its own, so that names resolve as a test
//! says and nothing of the machine is touched.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use serde_json::json;

use crate::doctor::examine;
use crate::environment::{Daemon, TestEnvironment};

/// Starts a daemon for which names resolve as these lines of `/etc/hosts` say.
fn daemon_with_hosts(environment: &TestEnvironment, hosts: &str, usual: &Command) -> Daemon {
    let file = environment.path("hosts");
    std::fs::write(&file, format!("127.0.0.1 localhost\n{hosts}")).unwrap();
    let mut command = Command::new("unshare");
    if !rustix::process::geteuid().is_root() {
        command.arg("--map-root-user");
    }
    let mount = format!("mount --bind {} /etc/hosts && exec \"$@\"", file.display());
    command.args(["--mount", "sh", "-c", &mount, "sh"]).arg(usual.get_program()).args(usual.get_args());
    command.env_clear().envs(usual.get_envs().filter_map(|(name, value)| Some((name, value?))));
    environment.daemon_by(command)
}

#[test]
fn domains_that_lead_elsewhere_or_nowhere_are_told_apart() {
    let environment = TestEnvironment::new();
    let hosts =
        "127.0.0.1 here.test both.test\n127.0.0.2 deaf.test other.test\n192.0.2.1 far.test both.test\n";
    let daemon = daemon_with_hosts(&environment, hosts, &environment.daemon_command());
    let port = daemon.url.rsplit(':').next().unwrap().to_owned();
    for id in ["here", "deaf", "far", "gone", "both"] {
        daemon.call("app.create", json!({"id": id, "domains": [format!("{id}.test")]}));
    }
    let found = examine(&environment, &[]);
    assert_eq!(found.status("application here", "domain"), "ok");
    let listen = format!("listen = \"0.0.0.0:{port}\"");
    found.assert_problem("application deaf", "domain", "failed", "resolves here at 127.0.0.2", &listen);
    let far = "192.0.2.1, which is not an address of this machine";
    found.assert_problem("application far", "domain", "failed", far, "let far.test resolve to this machine");
    found.assert_problem(
        "application gone",
        "domain",
        "failed",
        "gone.test does not resolve",
        "A or AAAA record",
    );
    found.assert_problem("application both", "domain", "warning", "192.0.2.1", "");
    // Another host on the same port of another address takes the requests, and answers them in its own way.
    let other = TestEnvironment::new();
    let mut command = other.daemon_command();
    command.args(["--listen", &format!("127.0.0.2:{port}")]);
    let _other = other.daemon_by(command);
    daemon.call("app.update", json!({"id": "deaf", "domains": ["other.test"]}));
    let found = examine(&environment, &["deaf"]);
    found.assert_problem(
        "application deaf",
        "domain",
        "failed",
        "another program of this machine",
        "pass requests",
    );
    // The other one is not reached by that name, and knows nothing of the probe.
    examine(&other, &[]).assert_sound();
}

/// How a proxy changes the head of a request.
type Change = fn(&str) -> String;

/// A proxy of this test, in front of a daemon that starts later.
struct Proxy {
    address: SocketAddr,
    behind: Arc<Mutex<Option<(String, Change)>>>,
}

impl Proxy {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let behind: Arc<Mutex<Option<(String, Change)>>> = Arc::default();
        let known = Arc::clone(&behind);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (mut stream, known) = (stream.unwrap(), Arc::clone(&known));
                std::thread::spawn(move || {
                    let (daemon, change) = known.lock().unwrap().clone().unwrap();
                    let head = read_head(&mut stream);
                    let _ = stream.write_all(&pass_on(&daemon, &change(&head)));
                });
            }
        });
        Self { address, behind }
    }

    fn lead_to(&self, daemon: &Daemon, change: Change) {
        let address = daemon.url.trim_start_matches("http://").to_owned();
        *self.behind.lock().unwrap() = Some((address, change));
    }
}

/// Reads the head of a request.
fn read_head(stream: &mut impl Read) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        match stream.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            _ => break,
        }
    }
    String::from_utf8(head).unwrap()
}

/// Sends a request without a body, and returns the whole answer.
fn pass_on(daemon: &str, head: &str) -> Vec<u8> {
    let mut connection = TcpStream::connect(daemon).unwrap();
    let head = head.replacen("\r\n", "\r\nconnection: close\r\n", 1);
    connection.write_all(head.as_bytes()).unwrap();
    let mut answer = Vec::new();
    connection.read_to_end(&mut answer).unwrap();
    answer
}

/// Adds a header to the head of a request.
fn with_header(head: &str, header: &str) -> String {
    head.replacen("\r\n", &format!("\r\n{header}\r\n"), 1)
}

#[test]
fn a_proxy_that_passes_too_little_on_is_told_what_to_send() {
    let proxy = Proxy::start();
    let environment = TestEnvironment::new();
    let port = proxy.address.port();
    let mut usual = environment.daemon_command();
    usual.env("NBAPPS_PUBLIC_URL", format!("http://localhost:{port}"));
    let daemon = daemon_with_hosts(&environment, "127.0.0.1 crm.test\n", &usual);
    daemon.call("app.create", json!({"id": "crm", "domains": ["crm.test"]}));
    proxy.lead_to(&daemon, str::to_owned);
    let found = examine(&environment, &[]);
    assert_eq!(found.status("host", "public_url"), "ok");
    assert_eq!(found.status("application crm", "domain"), "ok");
    found.assert_sound();
    // The name of the daemon's own address in place of the one that was asked for.
    proxy.lead_to(&daemon, |head| {
        let line = head.lines().find(|line| line.starts_with("host: ")).unwrap();
        head.replace(line, "host: 127.0.0.1")
    });
    let found = examine(&environment, &["crm"]);
    found.assert_problem(
        "application crm",
        "domain",
        "failed",
        "for the application main",
        "proxy_set_header Host",
    );
    proxy.lead_to(&daemon, |head| with_header(head, "x-forwarded-for: 192.0.2.7"));
    let found = examine(&environment, &[]);
    found.assert_problem(
        "application crm",
        "proxy",
        "warning",
        "is not trusted",
        "trusted_proxies = [\"127.0.0.1\"]",
    );
    // What arrived once is remembered.
    proxy.lead_to(&daemon, str::to_owned);
    examine(&environment, &[]).assert_problem(
        "host",
        "proxy",
        "warning",
        "127.0.0.1 sent X-Forwarded-For",
        "",
    );
}

#[test]
fn a_public_url_that_nobody_answers_is_found() {
    let environment = TestEnvironment::new();
    let unused = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut command = environment.daemon_command();
    command.env("NBAPPS_PUBLIC_URL", format!("http://localhost:{}", unused.port()));
    let _daemon = environment.daemon_by(command);
    let found = examine(&environment, &[]);
    found.assert_problem("host", "public_url", "failed", "nothing listens there", "start the proxy");
}

/// A proxy with TLS in front of a daemon. Its certificate is for `localhost`, by an authority that is written into a
/// directory as `authority.crt`.
async fn start_tls_proxy(
    directory: &Path,
) -> (SocketAddr, tokio::sync::watch::Sender<Option<(String, Change)>>) {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
    use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
    let authority_key = KeyPair::generate().unwrap();
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let certificate = authority.self_signed(&authority_key).unwrap();
    std::fs::write(directory.join("authority.crt"), certificate.pem()).unwrap();
    let key = KeyPair::generate().unwrap();
    let server = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let server = server.signed_by(&key, &Issuer::new(authority, authority_key)).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![server.der().clone()],
            PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())),
        )
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (behind, known) = tokio::sync::watch::channel::<Option<(String, Change)>>(None);
    tokio::spawn(async move {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let (acceptor, known) = (acceptor.clone(), known.clone());
            tokio::spawn(async move {
                // A client that does not accept the certificate ends the handshake.
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let mut head = vec![0; 4096];
                let read = stream.read(&mut head).await.unwrap();
                let head = String::from_utf8(head[..read].to_vec()).unwrap();
                let (daemon, change) = known.borrow().clone().unwrap();
                let answer = tokio::task::spawn_blocking(move || pass_on(&daemon, &change(&head)));
                stream.write_all(&answer.await.unwrap()).await.unwrap();
                stream.shutdown().await.unwrap();
            });
        }
    });
    (address, behind)
}

#[tokio::test(flavor = "multi_thread")]
async fn https_needs_a_valid_certificate_and_a_proxy_that_says_so() {
    let environment = TestEnvironment::new();
    let (address, behind) = start_tls_proxy(&environment.path("config")).await;
    let configuration = environment.path("nbappsd.toml");
    std::fs::write(&configuration, "trusted_proxies = [\"127.0.0.1\"]\n").unwrap();
    let start = |authority: &Path| {
        let mut command = environment.daemon_command();
        command.arg("--config").arg(&configuration).env("SSL_CERT_FILE", authority);
        command.env("NBAPPS_PUBLIC_URL", format!("https://localhost:{}", address.port()));
        let daemon = environment.daemon_by(command);
        let upstream = daemon.url.trim_start_matches("http://").to_owned();
        (daemon, upstream)
    };
    let (daemon, upstream) = start(&environment.path("config/authority.crt"));
    let headers: Change =
        |head| with_header(&with_header(head, "x-forwarded-proto: https"), "x-forwarded-for: 127.0.0.1");
    behind.send(Some((upstream.clone(), headers))).unwrap();
    let found = examine(&environment, &[]);
    assert_eq!(found.status("host", "public_url"), "ok", "{:#?}", found.findings);
    found.assert_sound();
    let silent: Change = str::to_owned;
    behind.send(Some((upstream, silent))).unwrap();
    let found = examine(&environment, &[]);
    found.assert_problem("host", "proxy", "warning", "does not say so", "X-Forwarded-Proto");
    assert!(daemon.stop().success());
    // An authority that this certificate is not of.
    let other = environment.path("home");
    let _ = start_tls_proxy(&other).await;
    let (_daemon, _) = start(&other.join("authority.crt"));
    let found = examine(&environment, &[]);
    found.assert_problem("host", "public_url", "failed", "certificate", "valid certificate for localhost");
}
