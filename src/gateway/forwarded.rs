//! Forwarded headers: the client's address, scheme and host behind trusted proxies.
//!
//! `X-Forwarded-*` headers count only from a configured proxy: any client could use them to choose an
//! application or to make a cookie `Secure`. Each proxy adds an entry at the end, in a line of its own or
//! not; the entry that counts is the one that the outermost trusted proxy added, which `X-Forwarded-For`
//! tells.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use http::header::{HOST, HeaderName};
use http::{HeaderMap, Uri};

/// One address or a block of addresses: `10.0.0.1`, `10.0.0.0/8`, `fd00::/8`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u32,
}

/// The text is not a network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is no IP address and no block of addresses such as 10.0.0.0/8")]
pub struct InvalidNetwork(String);

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let longest = if self.address.is_ipv4() { 32 } else { 128 };
        match self.prefix == longest {
            true => write!(f, "{}", self.address),
            false => write!(f, "{}/{}", self.address, self.prefix),
        }
    }
}

impl FromStr for Network {
    type Err = InvalidNetwork;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidNetwork(text.to_owned());
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.trim().parse().map_err(|_| invalid())?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            Some(prefix) => prefix.trim().parse().ok().filter(|p| *p <= longest).ok_or_else(invalid)?,
            None => longest,
        };
        Ok(Self { address, prefix })
    }
}

impl Network {
    /// Whether the address is in it.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let shift = 32 - self.prefix;
                own.to_bits().checked_shr(shift) == other.to_bits().checked_shr(shift)
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let shift = 128 - self.prefix;
                own.to_bits().checked_shr(shift) == other.to_bits().checked_shr(shift)
            }
            _ => false,
        }
    }
}

/// The client's address, and the scheme and the host that it used, as far as they are trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ClientOrigin<'a> {
    /// The client's address, as [`client`] finds it.
    pub(super) client: IpAddr,
    /// Whether the client used HTTPS.
    pub(super) https: bool,
    /// The host and port that the client requested.
    pub(super) host: Option<&'a str>,
}

impl<'a> ClientOrigin<'a> {
    /// Reads the headers of a request that `peer` sent.
    pub(super) fn read(uri: &'a Uri, headers: &'a HeaderMap, peer: IpAddr, proxies: &[Network]) -> Self {
        // A request line with a whole address counts before `Host` (RFC 9112, 3.2.2).
        let asked = uri.authority().map(http::uri::Authority::as_str).or_else(|| text(headers, &HOST));
        let ProxyChain { client, trusted } = ProxyChain::read(headers, peer, proxies);
        if trusted == 0 {
            return Self { client, https: false, host: asked };
        }
        let believed = |name| entry(headers, name, trusted);
        Self {
            client,
            https: believed("x-forwarded-proto").is_some_and(|scheme| scheme.eq_ignore_ascii_case("https")),
            host: believed("x-forwarded-host").filter(|host| !host.is_empty()).or(asked),
        }
    }

    /// The host's name alone: lower case, without port and closing dot, as domains are registered.
    pub(super) fn domain(&self) -> Option<Cow<'a, str>> {
        let host = self.host?;
        let name = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
            _ => host,
        };
        let name = name.strip_suffix('.').unwrap_or(name);
        if name.is_empty() {
            None
        } else if name.bytes().any(|b| b.is_ascii_uppercase()) {
            Some(name.to_ascii_lowercase().into())
        } else {
            Some(name.into())
        }
    }
}

/// The client's address: the connection's, or behind trusted proxies the last address in
/// `X-Forwarded-For` that is not a trusted proxy's.
pub(super) fn client(headers: &HeaderMap, peer: IpAddr, proxies: &[Network]) -> IpAddr {
    ProxyChain::read(headers, peer, proxies).client
}

/// The trusted proxies that a request came through, and the client before them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct ProxyChain {
    client: IpAddr,
    /// The number of trusted proxies, counted from the connection.
    trusted: usize,
}

impl ProxyChain {
    /// Follows `X-Forwarded-For` back from the connection, as far as trusted proxies wrote it.
    fn read(headers: &HeaderMap, peer: IpAddr, proxies: &[Network]) -> Self {
        let is_trusted = |address: IpAddr| proxies.iter().any(|proxy| proxy.contains(address));
        let mut chain = Self { client: peer, trusted: 0 };
        if proxies.is_empty() || !is_trusted(peer) {
            return chain;
        }
        chain.trusted = 1;
        let added: Vec<&str> = entries(headers, "x-forwarded-for").collect();
        for address in added.iter().rev().map_while(|address| address.parse().ok()) {
            chain.client = address;
            if !is_trusted(address) {
                break;
            }
            chain.trusted += 1;
        }
        chain
    }
}

/// The entries of a header that is a list, in one line or several (RFC 9110, 5.3).
fn entries<'a>(headers: &'a HeaderMap, name: &'static str) -> impl Iterator<Item = &'a str> {
    let lines = headers.get_all(HeaderName::from_static(name)).into_iter();
    lines.filter_map(|line| line.to_str().ok()).flat_map(|line| line.split(',')).map(str::trim)
}

/// The entry that the outermost of `trusted` proxies added. Where some of them added none, the first
/// entry is still a trusted proxy's.
fn entry<'a>(headers: &'a HeaderMap, name: &'static str, trusted: usize) -> Option<&'a str> {
    let count = entries(headers, name).count();
    entries(headers, name).nth(count.saturating_sub(trusted))
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn a_network_contains_its_addresses() {
        for (network, address, contains) in [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("127.0.0.1", "127.0.0.1", true),
            ("127.0.0.1", "127.0.0.2", false),
            ("127.0.0.1", "::ffff:127.0.0.1", true),
            ("0.0.0.0/0", "192.0.2.7", true),
            ("0.0.0.0/0", "::1", false),
            ("fd00::/8", "fdff::1", true),
            ("::/0", "2001:db8::1", true),
            ("::1", "::2", false),
        ] {
            let network: Network = network.parse().unwrap();
            assert_eq!(network.contains(address.parse().unwrap()), contains, "{network:?} {address}");
        }
        for bad in ["", "proxy", "10.0.0.0/33", "::1/129", "10.0.0.0/-1", "10.0.0/8", "1.2.3.4/"] {
            assert!(bad.parse::<Network>().is_err(), "{bad}");
        }
    }

    fn origin(peer: &str, pairs: &[(&'static str, &'static str)]) -> (bool, Option<String>) {
        let headers: HeaderMap =
            pairs.iter().map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v))).collect();
        let (uri, proxies) = (Uri::from_static("/admin/"), ["10.0.0.0/8".parse().unwrap()]);
        let origin = ClientOrigin::read(&uri, &headers, peer.parse().unwrap(), &proxies);
        (origin.https, origin.domain().map(Cow::into_owned))
    }

    #[test]
    fn only_a_configured_proxy_is_believed() {
        let sent = [
            ("host", "internal:13000"),
            ("x-forwarded-host", "evil.example, CRM.example.com:443"),
            ("x-forwarded-proto", "http, https"),
        ];
        assert_eq!(origin("10.1.2.3", &sent), (true, Some("crm.example.com".into())));
        assert_eq!(origin("192.0.2.1", &sent), (false, Some("internal".into())));
        assert_eq!(origin("10.1.2.3", &[("host", "a.example")]), (false, Some("a.example".into())));
    }

    #[test]
    fn the_client_is_the_last_address_that_is_no_proxy_of_ours() {
        let proxies = ["10.0.0.0/8".parse().unwrap()];
        for (peer, sent, expected) in [
            ("192.0.2.1", vec!["203.0.113.9"], "192.0.2.1"),
            ("10.0.0.1", vec![], "10.0.0.1"),
            ("10.0.0.1", vec!["203.0.113.9"], "203.0.113.9"),
            ("10.0.0.1", vec!["1.1.1.1, 203.0.113.9, 10.0.0.2"], "203.0.113.9"),
            ("10.0.0.1", vec!["1.1.1.1", "203.0.113.9"], "203.0.113.9"),
            ("10.0.0.1", vec!["2001:db8::1"], "2001:db8::1"),
            ("10.0.0.1", vec!["1.1.1.1, nonsense, 10.0.0.2"], "10.0.0.2"),
            ("10.0.0.1", vec!["nonsense"], "10.0.0.1"),
        ] {
            let mut headers = HeaderMap::new();
            for line in &sent {
                headers.append("x-forwarded-for", HeaderValue::from_static(line));
            }
            let found = client(&headers, peer.parse().unwrap(), &proxies);
            assert_eq!(found, expected.parse::<IpAddr>().unwrap(), "{peer} {sent:?}");
        }
    }

    #[test]
    fn what_the_outermost_trusted_proxy_said_counts_in_one_line_or_several() {
        let proxies = ["10.0.0.0/8".parse().unwrap(), "127.0.0.1".parse().unwrap()];
        let peer = IpAddr::from([127, 0, 0, 1]);
        let uri = Uri::from_static("/");
        let (one, two) = ("203.0.113.9", "203.0.113.9, 10.0.0.5");
        for (forwarded_for, hosts, host) in [
            (one, &["one.example"][..], "one.example"),
            (one, &["evil.example, one.example"], "one.example"),
            (one, &["evil.example", "one.example"], "one.example"),
            (two, &["one.example, two.example"], "one.example"),
            (two, &["one.example", "two.example"], "one.example"),
            (two, &["evil.example, one.example", "two.example"], "one.example"),
            (two, &["one.example"], "one.example"),
            ("10.0.0.7, 10.0.0.5", &["one.example,two.example"], "one.example"),
            ("evil, 10.0.0.5", &["evil.example, one.example, two.example"], "one.example"),
            (one, &["evil.example, "], "asked.example"),
            (one, &[], "asked.example"),
        ] {
            let name = |name| HeaderName::from_static(name);
            let mut headers = HeaderMap::new();
            headers.insert(HOST, HeaderValue::from_static("asked.example"));
            headers.insert(name("x-forwarded-for"), HeaderValue::from_static(forwarded_for));
            headers.insert(name("x-forwarded-proto"), HeaderValue::from_static("https"));
            for line in hosts {
                headers.append(name("x-forwarded-host"), HeaderValue::from_static(line));
            }
            let origin = ClientOrigin::read(&uri, &headers, peer, &proxies);
            assert_eq!((origin.host, origin.https), (Some(host), true), "{forwarded_for} {hosts:?}");
            let stranger = ClientOrigin::read(&uri, &headers, IpAddr::from([192, 0, 2, 1]), &proxies);
            assert_eq!((stranger.host, stranger.https), (Some("asked.example"), false));
        }
    }

    #[test]
    fn a_domain_is_the_name_alone() {
        for (host, domain) in [
            ("crm.example.com", Some("crm.example.com")),
            ("CRM.Example.com.:8080", Some("crm.example.com")),
            ("[::1]:13000", Some("[::1]")),
            (":80", None),
            ("", None),
        ] {
            let origin = ClientOrigin { client: [127, 0, 0, 1].into(), https: false, host: Some(host) };
            assert_eq!(origin.domain().as_deref(), domain, "{host}");
        }
        let uri: Uri = "http://asked.example:80/admin/".parse().unwrap();
        let headers = HeaderMap::from_iter([(HOST, HeaderValue::from_static("other.example"))]);
        let origin = ClientOrigin::read(&uri, &headers, IpAddr::from([127, 0, 0, 1]), &[]);
        assert_eq!(origin.domain().as_deref(), Some("asked.example"));
    }
}
