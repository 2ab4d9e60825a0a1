//! Domains and the public URL: whether a browser that goes there reaches this daemon, and the right application.
//!
//! Each address that a domain resolves to is tried with a probe (`gateway/watch.rs`), so that the answer of another
//! program is never taken for this daemon's.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use tokio::sync::Semaphore;

use super::http_probe::{self, Entrance, NoAnswer};
use super::verdict::{Verdict, check};
use crate::gateway::{GatewayWatch, ProbeArrival};

/// How long a name may take to resolve.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(5);

/// The most addresses of one domain that are tried.
const MAX_ADDRESSES: usize = 8;

/// The most domains at a time.
pub(super) const MAX_AT_ONCE: usize = 16;

/// What is asked about a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Question {
    /// The host name or address.
    pub(super) host: String,
    /// What comes before the path of a probe; mostly empty.
    pub(super) path: String,
    /// The application that requests for it are for; `None` if that does not matter.
    pub(super) app: Option<String>,
    /// Where browsers go, the likeliest first.
    pub(super) entrances: Vec<Entrance>,
    /// The address that the gateway listens on.
    pub(super) listen: SocketAddr,
}

/// What was observed of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Observation {
    /// What it resolves to, or why it does not.
    pub(super) resolved: Result<Vec<Attempt>, String>,
}

/// One address of a name, and what became of the probe there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Attempt {
    pub(super) address: IpAddr,
    /// Whether the address is one of this machine.
    pub(super) is_here: bool,
    /// The scheme and port of this outcome.
    pub(super) entrance: Entrance,
    pub(super) outcome: Outcome,
}

/// What became of a probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It arrived here.
    Arrived(ProbeArrival),
    /// Another program answered it, with this status.
    Elsewhere(StatusCode),
    /// Nobody answered it.
    Unanswered(NoAnswer),
}

/// Resolves the name and tries its addresses. `turns` limits how many names are tried at a time.
pub(super) async fn observe(
    question: &Question,
    watch: &Arc<GatewayWatch>,
    turns: &Semaphore,
) -> Observation {
    // The semaphore is never closed; without a permit the check would run all the same.
    let _turn = turns.acquire().await;
    let addresses = match resolve(&question.host).await {
        Ok(addresses) => addresses,
        Err(error) => return Observation { resolved: Err(error) },
    };
    let attempts = addresses.into_iter().take(MAX_ADDRESSES).map(|address| attempt(question, address, watch));
    Observation { resolved: Ok(futures_util::future::join_all(attempts).await) }
}

async fn resolve(host: &str) -> Result<BTreeSet<IpAddr>, String> {
    let lookup = tokio::net::lookup_host((host, 0));
    let found = match tokio::time::timeout(RESOLVE_TIMEOUT, lookup).await {
        Ok(Ok(found)) => found.map(|address| address.ip()).collect::<BTreeSet<_>>(),
        Ok(Err(error)) => return Err(error.to_string()),
        Err(_) => return Err(format!("the resolver did not answer within {} s", RESOLVE_TIMEOUT.as_secs())),
    };
    if found.is_empty() { Err("it has no address".to_owned()) } else { Ok(found) }
}

/// Tries the entrances one after the other, until a probe arrives. The outcome is the best one.
async fn attempt(question: &Question, address: IpAddr, watch: &Arc<GatewayWatch>) -> Attempt {
    let mut best: Option<(Entrance, Outcome)> = None;
    for &entrance in &question.entrances {
        let outcome = probe(question, entrance, address, watch).await;
        let is_better = best.as_ref().is_none_or(|(_, known)| rank(&outcome) > rank(known));
        if is_better {
            best = Some((entrance, outcome));
        }
        if matches!(best, Some((_, Outcome::Arrived(_)))) {
            break;
        }
    }
    let nowhere = || {
        let outcome = Outcome::Unanswered(NoAnswer::Connect("no port is known".to_owned()));
        (Entrance::http(question.listen.port()), outcome)
    };
    let (entrance, outcome) = best.unwrap_or_else(nowhere);
    Attempt { address, is_here: is_of_this_machine(address), entrance, outcome }
}

/// How much an outcome tells: the arrival most, a port without a listener least.
fn rank(outcome: &Outcome) -> u8 {
    match outcome {
        Outcome::Arrived(_) => 3,
        Outcome::Elsewhere(_) => 2,
        Outcome::Unanswered(NoAnswer::Tls(_) | NoAnswer::Http(_)) => 1,
        Outcome::Unanswered(NoAnswer::Connect(_)) => 0,
    }
}

async fn probe(
    question: &Question,
    entrance: Entrance,
    address: IpAddr,
    watch: &Arc<GatewayWatch>,
) -> Outcome {
    let mut probe = watch.probe();
    let path = format!("{}{}", question.path, probe.path());
    let at = SocketAddr::new(address, entrance.port);
    let answer = http_probe::request(entrance, &question.host, at, &path).await;
    match (probe.arrived(), answer) {
        (Some(arrival), _) => Outcome::Arrived(arrival),
        (None, Ok(status)) => Outcome::Elsewhere(status),
        (None, Err(error)) => Outcome::Unanswered(error),
    }
}

/// Whether an address is one of this machine: only then a socket can be bound to it.
fn is_of_this_machine(address: IpAddr) -> bool {
    UdpSocket::bind((address, 0)).is_ok()
}

/// Judges what was observed of an application's domain, or of the host of the public URL.
pub(super) fn judge(question: &Question, observation: &Observation) -> Vec<Verdict> {
    let name = &question.host;
    let attempts = match &observation.resolved {
        Ok(attempts) => attempts,
        Err(error) => {
            let hint = format!(
                "let {name} resolve to this machine: an A or AAAA record at the domain's provider, or a line in \
                 /etc/hosts; if it is not used any more, remove it from the application"
            );
            return vec![Verdict::failed(check::DOMAIN, format!("{name} does not resolve: {error}"), hint)];
        }
    };
    let arrived = attempts.iter().filter(|attempt| matches!(attempt.outcome, Outcome::Arrived(_))).count();
    let mut verdicts: Vec<Verdict> =
        attempts.iter().filter_map(|attempt| judge_attempt(question, attempt, arrived > 0)).collect();
    if let Some(proxy) = attempts.iter().find_map(|attempt| judge_proxy(question, attempt)) {
        verdicts.push(proxy);
    }
    if verdicts.is_empty() {
        let urls: BTreeSet<String> = attempts.iter().map(|attempt| attempt.entrance.url(name)).collect();
        let urls: Vec<String> = urls.into_iter().collect();
        verdicts.push(Verdict::ok(check::DOMAIN, format!("{} reaches this daemon", urls.join(", "))));
    }
    verdicts
}

/// Judges one address. `others_arrive` if another address of the name leads here.
fn judge_attempt(question: &Question, attempt: &Attempt, others_arrive: bool) -> Option<Verdict> {
    let Question { host: name, app, listen, .. } = question;
    let Attempt { address, is_here, entrance, outcome } = attempt;
    let url = entrance.url(name);
    let at = if name.parse::<IpAddr>().is_ok() { String::new() } else { format!(" at {address}") };
    let (sentence, hint) = match outcome {
        Outcome::Arrived(arrival) if app.as_ref().is_none_or(|app| *app == arrival.app) => return None,
        Outcome::Arrived(arrival) => (
            format!(
                "requests for {url}{at} arrive here as requests for {}, and are for the application {}",
                if arrival.host.is_empty() { "no host" } else { &arrival.host },
                arrival.app
            ),
            format!(
                "let the proxy at {} pass the host on: proxy_set_header Host $host in nginx, ProxyPreserveHost On in \
                 Apache; or send X-Forwarded-Host, with its address in trusted_proxies",
                arrival.peer
            ),
        ),
        Outcome::Elsewhere(status) if *is_here => (
            format!("{url}{at} is answered by another program of this machine (HTTP {})", status.as_u16()),
            format!("let it pass requests for {name} on to {listen}, with their host"),
        ),
        Outcome::Elsewhere(status) => (
            format!("{url}{at} is answered by another machine (HTTP {})", status.as_u16()),
            format!(
                "let {name} resolve to this machine, or let the proxy there pass its requests on to this one"
            ),
        ),
        Outcome::Unanswered(NoAnswer::Tls(error)) => (
            format!("the certificate of {url}{at} is not accepted: {error}"),
            format!("give the proxy a valid certificate for {name}: certbot or Caddy renew it by themselves"),
        ),
        Outcome::Unanswered(error) if *is_here => (
            format!("{name} resolves here{at}, but {url} cannot be reached: {error}"),
            unreachable_hint(*entrance, *listen, *address),
        ),
        Outcome::Unanswered(error) => (
            format!(
                "{name} resolves to {address}, which is not an address of this machine, and nothing answers: {error}"
            ),
            format!(
                "let {name} resolve to this machine; if {address} forwards to it, check its firewall and {listen}"
            ),
        ),
    };
    if !others_arrive || matches!(outcome, Outcome::Arrived(_)) {
        return Some(Verdict::failed(check::DOMAIN, sentence, hint));
    }
    // `localhost` is also `::1`, from which browsers turn to the other address at once.
    (!address.is_loopback()).then(|| Verdict::warning(check::DOMAIN, sentence, hint))
}

/// What to do when an address of this machine accepts no connection.
fn unreachable_hint(entrance: Entrance, listen: SocketAddr, address: IpAddr) -> String {
    let is_covered = listen.ip() == address || listen.ip().is_unspecified();
    if entrance.port == listen.port() && !is_covered {
        let any = if address.is_ipv4() { "0.0.0.0" } else { "[::]" };
        return format!(
            "the daemon listens on {listen} alone: set listen = \"{any}:{}\", or put a proxy in front and name its URL \
             in public_url",
            listen.port()
        );
    }
    format!(
        "start the proxy that listens on port {}, or open the port in the firewall; the daemon itself listens on {listen}",
        entrance.port
    )
}

/// Judges the headers that a probe arrived with.
fn judge_proxy(question: &Question, attempt: &Attempt) -> Option<Verdict> {
    let Outcome::Arrived(arrival) = &attempt.outcome else { return None };
    let (name, peer) = (&question.host, arrival.peer);
    if arrival.is_untrusted {
        return Some(Verdict::warning(
            check::PROXY,
            format!(
                "requests for {name} come through the proxy {peer}, which is not trusted: every client seems to have \
                 its address, also where wrong passwords are counted"
            ),
            format!("set trusted_proxies = [\"{peer}\"] in the configuration, and restart the daemon"),
        ));
    }
    if attempt.entrance.https && !arrival.https {
        return Some(Verdict::warning(
            check::PROXY,
            format!(
                "browsers use HTTPS for {name}, and the proxy {peer} does not say so: sign-in cookies are not limited \
                 to HTTPS"
            ),
            format!(
                "let it send X-Forwarded-Proto and X-Forwarded-For (proxy_set_header in nginx), and set \
                 trusted_proxies = [\"{peer}\"] in the configuration"
            ),
        ));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::FindingStatus::{self, Failed, Ok as Passed, Warning};

    const HTTPS: Entrance = Entrance { https: true, port: 443 };

    fn question() -> Question {
        Question {
            host: "crm.example.com".to_owned(),
            path: String::new(),
            app: Some("crm".to_owned()),
            entrances: vec![Entrance::http(13000)],
            listen: "127.0.0.1:13000".parse().unwrap(),
        }
    }

    fn arrival() -> ProbeArrival {
        ProbeArrival {
            peer: "10.0.0.9".parse().unwrap(),
            app: "crm".to_owned(),
            host: "crm.example.com".to_owned(),
            https: false,
            is_untrusted: false,
        }
    }

    fn attempt(address: &str, is_here: bool, outcome: Outcome) -> Attempt {
        Attempt { address: address.parse().unwrap(), is_here, entrance: Entrance::http(13000), outcome }
    }

    fn judged(attempts: Vec<Attempt>) -> Vec<Verdict> {
        judge(&question(), &Observation { resolved: Ok(attempts) })
    }

    fn refused() -> Outcome {
        Outcome::Unanswered(NoAnswer::Connect("nothing listens there".to_owned()))
    }

    #[test]
    fn each_way_of_not_arriving_has_its_own_advice() {
        let here = |outcome| attempt("192.0.2.1", true, outcome);
        let there = |outcome| attempt("198.51.100.7", false, outcome);
        let tls = Outcome::Unanswered(NoAnswer::Tls("certificate expired".to_owned()));
        let other = ProbeArrival { app: "main".to_owned(), host: "127.0.0.1:13000".to_owned(), ..arrival() };
        let cases: [(Attempt, FindingStatus, &str, &str); 7] = [
            (here(Outcome::Arrived(arrival())), Passed, "reaches this daemon", ""),
            (here(Outcome::Arrived(other)), Failed, "for the application main", "proxy_set_header Host"),
            (
                here(Outcome::Elsewhere(StatusCode::OK)),
                Failed,
                "another program of this machine",
                "127.0.0.1:13000",
            ),
            (there(Outcome::Elsewhere(StatusCode::OK)), Failed, "another machine", "resolve to this machine"),
            (here(tls), Failed, "certificate expired", "valid certificate for crm.example.com"),
            (here(refused()), Failed, "resolves here at 192.0.2.1", "listen = \"0.0.0.0:13000\""),
            (there(refused()), Failed, "not an address of this machine", "resolve to this machine"),
        ];
        for (attempt, status, says, advice) in cases {
            let verdicts = judged(vec![attempt]);
            assert_eq!(verdicts.len(), 1, "{verdicts:?}");
            let Verdict { status: found, message, hint, .. } = &verdicts[0];
            assert_eq!(*found, status, "{message}");
            assert!(message.contains(says), "{message}");
            assert!(hint.as_deref().unwrap_or_default().contains(advice), "{hint:?}");
        }
        let unknown = judge(&question(), &Observation { resolved: Err("no such host".to_owned()) });
        assert_eq!((unknown[0].status, unknown.len()), (Failed, 1));
        assert!(unknown[0].message.contains("does not resolve"));
    }

    #[test]
    fn an_address_too_many_is_a_warning_while_another_leads_here() {
        let verdicts = judged(vec![
            attempt("192.0.2.1", true, Outcome::Arrived(arrival())),
            attempt("2001:db8::7", false, refused()),
        ]);
        assert_eq!(verdicts.len(), 1, "{verdicts:?}");
        assert_eq!(verdicts[0].status, Warning);
        assert!(verdicts[0].message.contains("2001:db8::7"));
        let localhost = judged(vec![
            attempt("127.0.0.1", true, Outcome::Arrived(arrival())),
            attempt("::1", true, refused()),
        ]);
        assert_eq!((localhost[0].status, localhost.len()), (Passed, 1), "{localhost:?}");
    }

    #[test]
    fn a_proxy_is_told_what_to_send() {
        let through =
            |entrance, arrival| Attempt { entrance, ..attempt("192.0.2.1", true, Outcome::Arrived(arrival)) };
        let untrusted = judged(vec![through(HTTPS, ProbeArrival { is_untrusted: true, ..arrival() })]);
        assert_eq!((untrusted[0].check, untrusted[0].status), (check::PROXY, Warning));
        assert!(untrusted[0].hint.as_ref().unwrap().contains("trusted_proxies = [\"10.0.0.9\"]"));
        let silent = judged(vec![through(HTTPS, arrival())]);
        assert!(silent[0].hint.as_ref().unwrap().contains("X-Forwarded-Proto"), "{silent:?}");
        let right = judged(vec![through(HTTPS, ProbeArrival { https: true, ..arrival() })]);
        assert_eq!((right[0].check, right[0].status), (check::DOMAIN, Passed));
    }

    #[test]
    fn a_port_that_the_daemon_does_not_have_is_the_proxys() {
        let listen = "127.0.0.1:13000".parse().unwrap();
        let address = "192.0.2.1".parse().unwrap();
        assert!(unreachable_hint(HTTPS, listen, address).contains("proxy that listens on port 443"));
        let six = unreachable_hint(Entrance::http(13000), listen, "2001:db8::1".parse().unwrap());
        assert!(six.contains("[::]:13000"), "{six}");
    }

    #[tokio::test]
    async fn names_resolve_and_addresses_are_known_as_this_machines() {
        assert!(resolve("localhost").await.unwrap().iter().all(IpAddr::is_loopback));
        assert!(resolve("nothing.invalid").await.is_err());
        assert!(is_of_this_machine("127.0.0.2".parse().unwrap()));
        assert!(!is_of_this_machine("192.0.2.1".parse().unwrap()));
    }

    #[tokio::test]
    async fn the_answer_of_another_program_is_not_taken_for_this_daemons() {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let listen = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.read(&mut [0; 1024]).await;
            stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
        });
        let entrances = vec![Entrance::http(listen.port())];
        let question = Question { host: "127.0.0.1".to_owned(), entrances, listen, ..question() };
        let observed = observe(&question, &Arc::default(), &Semaphore::new(1)).await;
        let attempts = observed.resolved.unwrap();
        assert_eq!(attempts[0].outcome, Outcome::Elsewhere(StatusCode::NO_CONTENT));
        assert!(attempts[0].is_here);
    }
}
