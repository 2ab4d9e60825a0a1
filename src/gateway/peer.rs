//! Who is on the other end of a connection, and what is believed of it.
//!
//! `X-Forwarded-Proto` and `X-Forwarded-Host` count only from a configured proxy: from anybody
//! else they would choose an application, or make a cookie `Secure`, at a stranger's word. Each
//! proxy adds an entry at the end, in a line of its own or not; the entry that counts is the one that
//! the outermost of the trusted proxies added, as `X-Forwarded-For` tells.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use http::header::{CONTENT_ENCODING, HOST, HeaderName, TRANSFER_ENCODING};
use http::{HeaderMap, Uri, Version};

/// One address or a block of addresses: `10.0.0.1`, `10.0.0.0/8`, `fd00::/8`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u32,
}

/// Why a text is no network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is no IP address and no block of addresses such as 10.0.0.0/8")]
pub struct InvalidNetwork(String);

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

/// How the browser reached us, as far as it is believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reached<'a> {
    /// By HTTPS.
    pub(super) https: bool,
    /// The host and port that were asked for.
    pub(super) host: Option<&'a str>,
}

impl<'a> Reached<'a> {
    /// Reads the headers of a request from `peer`.
    pub(super) fn read(uri: &'a Uri, headers: &'a HeaderMap, peer: IpAddr, proxies: &[Network]) -> Self {
        // A request line with a whole address counts before `Host` (RFC 9112, 3.2.2).
        let asked = uri.authority().map(http::uri::Authority::as_str).or_else(|| text(headers, &HOST));
        let trusted = Way::read(headers, peer, proxies).trusted;
        if trusted == 0 {
            return Self { https: false, host: asked };
        }
        let believed = |name| entry(headers, name, trusted);
        Self {
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

/// The client's address: the connection's, or behind configured proxies the last one that none of
/// them has (`X-Forwarded-For`).
pub(super) fn client(headers: &HeaderMap, peer: IpAddr, proxies: &[Network]) -> IpAddr {
    Way::read(headers, peer, proxies).client
}

/// The way that a request came, as far as it is believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Way {
    client: IpAddr,
    /// How many trusted proxies passed it on, the last one first.
    trusted: usize,
}

impl Way {
    /// Follows `X-Forwarded-For` back from the connection, as far as trusted proxies wrote it.
    fn read(headers: &HeaderMap, peer: IpAddr, proxies: &[Network]) -> Self {
        let is_trusted = |address: IpAddr| proxies.iter().any(|proxy| proxy.contains(address));
        let mut way = Self { client: peer, trusted: 0 };
        if proxies.is_empty() || !is_trusted(peer) {
            return way;
        }
        way.trusted = 1;
        let added: Vec<&str> = entries(headers, "x-forwarded-for").collect();
        for address in added.iter().rev().map_while(|address| address.parse().ok()) {
            way.client = address;
            if !is_trusted(address) {
                break;
            }
            way.trusted += 1;
        }
        way
    }
}

/// The entries of a header that is a list, in one line or several (RFC 9110, 5.3).
fn entries<'a>(headers: &'a HeaderMap, name: &'static str) -> impl Iterator<Item = &'a str> {
    let lines = headers.get_all(HeaderName::from_static(name)).into_iter();
    lines.filter_map(|line| line.to_str().ok()).flat_map(|line| line.split(',')).map(str::trim)
}

/// The entry that the last but so many proxies added. Where some of them added none, the first one
/// is of a trusted proxy all the same.
fn entry<'a>(headers: &'a HeaderMap, name: &'static str, trusted: usize) -> Option<&'a str> {
    let count = entries(headers, name).count();
    entries(headers, name).nth(count.saturating_sub(trusted))
}

/// Whether this can be the value of `Host`: a name or an address, and a port (RFC 3986, 3.2.2).
pub(super) fn is_host(host: &str) -> bool {
    let (name, port) = match host.rfind(':') {
        Some(at) if !host.ends_with(']') => (&host[..at], &host[at + 1..]),
        _ => (host, ""),
    };
    if !port.bytes().all(|b| b.is_ascii_digit()) || port.parse::<u16>().is_err() != port.is_empty() {
        return false;
    }
    if let Some(literal) = name.strip_prefix('[') {
        return literal.strip_suffix(']').is_some_and(|address| address.parse::<Ipv6Addr>().is_ok());
    }
    let mut bytes = name.bytes();
    while let Some(byte) = bytes.next() {
        let good = match byte {
            b'%' => [bytes.next(), bytes.next()].iter().all(|b| b.is_some_and(|b| b.is_ascii_hexdigit())),
            b'-' | b'.' | b'_' | b'~' => true,
            b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b';' | b'=' => true,
            _ => byte.is_ascii_alphanumeric(),
        };
        if !good {
            return false;
        }
    }
    true
}

/// What is wrong with the `Host` of a request (RFC 9112, 3.2), or with the one that was forwarded.
pub(super) fn check_host(
    version: Version,
    headers: &HeaderMap,
    reached: &Reached<'_>,
) -> Result<(), &'static str> {
    let mut hosts = headers.get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) if version >= Version::HTTP_11 => return Err("the request has no Host header"),
        (Some(_), Some(_)) => return Err("the request has more than one Host header"),
        (Some(host), None) if !host.to_str().is_ok_and(is_host) => {
            return Err("the request's Host header is not a host and a port");
        }
        _ => {}
    }
    match reached.host {
        Some(host) if !is_host(host) => Err("the host that was asked for is not a host and a port"),
        _ => Ok(()),
    }
}

/// How a body was changed on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    /// By whoever passed it on (RFC 9112, 6.1).
    Transfer,
    /// By whoever wrote it (RFC 9110, 8.4).
    Content,
}

/// The coding of the body that is not known here, if there is one: bodies come whole or in chunks, and
/// not compressed.
pub(super) fn unknown_coding(headers: &HeaderMap) -> Option<Coding> {
    let says = |name: &HeaderName, known: &str| {
        let mut codings = headers.get_all(name).iter().map(|line| line.to_str().unwrap_or("?").trim());
        codings.next().is_none_or(|coding| coding.eq_ignore_ascii_case(known)) && codings.next().is_none()
    };
    if !says(&TRANSFER_ENCODING, "chunked") {
        Some(Coding::Transfer)
    } else if !says(&CONTENT_ENCODING, "identity") {
        Some(Coding::Content)
    } else {
        None
    }
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

    fn reached(peer: &str, pairs: &[(&'static str, &'static str)]) -> (bool, Option<String>) {
        let headers: HeaderMap =
            pairs.iter().map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v))).collect();
        let (uri, proxies) = (Uri::from_static("/admin/"), ["10.0.0.0/8".parse().unwrap()]);
        let reached = Reached::read(&uri, &headers, peer.parse().unwrap(), &proxies);
        (reached.https, reached.domain().map(Cow::into_owned))
    }

    #[test]
    fn only_a_configured_proxy_is_believed() {
        let sent = [
            ("host", "internal:13000"),
            ("x-forwarded-host", "evil.example, CRM.example.com:443"),
            ("x-forwarded-proto", "http, https"),
        ];
        assert_eq!(reached("10.1.2.3", &sent), (true, Some("crm.example.com".into())));
        assert_eq!(reached("192.0.2.1", &sent), (false, Some("internal".into())));
        assert_eq!(reached("10.1.2.3", &[("host", "a.example")]), (false, Some("a.example".into())));
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
            let reached = Reached::read(&uri, &headers, peer, &proxies);
            assert_eq!((reached.host, reached.https), (Some(host), true), "{forwarded_for} {hosts:?}");
            let stranger = Reached::read(&uri, &headers, IpAddr::from([192, 0, 2, 1]), &proxies);
            assert_eq!((stranger.host, stranger.https), (Some("asked.example"), false));
        }
    }

    #[test]
    fn a_body_comes_as_it_was_written() {
        for (name, lines, unknown) in [
            (TRANSFER_ENCODING, &["chunked"][..], None),
            (TRANSFER_ENCODING, &["Chunked "], None),
            (TRANSFER_ENCODING, &["gzip, chunked"], Some(Coding::Transfer)),
            (TRANSFER_ENCODING, &["chunked", "chunked"], Some(Coding::Transfer)),
            (TRANSFER_ENCODING, &["chunked, chunked"], Some(Coding::Transfer)),
            (CONTENT_ENCODING, &["identity"], None),
            (CONTENT_ENCODING, &["gzip"], Some(Coding::Content)),
            (CONTENT_ENCODING, &[], None),
        ] {
            let headers: HeaderMap =
                lines.iter().map(|line| (name.clone(), HeaderValue::from_static(line))).collect();
            assert_eq!(unknown_coding(&headers), unknown, "{name} {lines:?}");
        }
    }

    #[test]
    fn a_host_is_a_name_or_an_address_and_a_port() {
        for host in
            ["", "x", "a.example:80", "[::1]", "[::1]:13000", "127.0.0.1:", "a_b.example.", "%41.example"]
        {
            assert!(is_host(host), "{host}");
        }
        for host in [
            "a b",
            "a b/../?x",
            "a/b",
            "a?b",
            "a#b",
            "user@a",
            "a:b",
            "a:99999",
            "::1",
            "[::1",
            "[x]",
            "a,b",
            "%4",
            "%zz",
            "a\\b",
            "<a>",
            "ä",
        ] {
            assert!(!is_host(host), "{host}");
        }
    }

    #[test]
    fn a_request_says_once_which_host_it_is_for() {
        let uri = Uri::from_static("/");
        for (version, hosts, good) in [
            (Version::HTTP_11, &["x"][..], true),
            (Version::HTTP_11, &[], false),
            (Version::HTTP_11, &["x", "x"], false),
            (Version::HTTP_11, &["a b/../?x"], false),
            (Version::HTTP_10, &[], true),
            (Version::HTTP_10, &["x", "y"], false),
        ] {
            let headers: HeaderMap =
                hosts.iter().map(|host| (HOST, HeaderValue::from_static(host))).collect();
            let reached = Reached::read(&uri, &headers, IpAddr::from([127, 0, 0, 1]), &[]);
            assert_eq!(check_host(version, &headers, &reached).is_ok(), good, "{version:?} {hosts:?}");
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
            let reached = Reached { https: false, host: Some(host) };
            assert_eq!(reached.domain().as_deref(), domain, "{host}");
        }
        let uri: Uri = "http://asked.example:80/admin/".parse().unwrap();
        let headers = HeaderMap::from_iter([(HOST, HeaderValue::from_static("other.example"))]);
        let reached = Reached::read(&uri, &headers, IpAddr::from([127, 0, 0, 1]), &[]);
        assert_eq!(reached.domain().as_deref(), Some("asked.example"));
    }
}
