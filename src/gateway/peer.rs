//! Who is on the other end of a connection, and what is believed of it.
//!
//! `X-Forwarded-Proto` and `X-Forwarded-Host` count only from a configured proxy: from anybody
//! else they would choose an application, or make a cookie `Secure`, at a stranger's word. Of a
//! list in such a header the last entry counts, which the trusted proxy itself added.

use std::borrow::Cow;
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
        if !proxies.iter().any(|proxy| proxy.contains(peer)) {
            return Self { https: false, host: asked };
        }
        let last = |name| text(headers, &HeaderName::from_static(name))?.rsplit(',').next().map(str::trim);
        Self {
            https: last("x-forwarded-proto").is_some_and(|scheme| scheme.eq_ignore_ascii_case("https")),
            host: last("x-forwarded-host").filter(|host| !host.is_empty()).or(asked),
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
    let trusted = |address: IpAddr| proxies.iter().any(|proxy| proxy.contains(address));
    if !trusted(peer) {
        return peer;
    }
    // Each proxy adds the address it was reached from at the end, in a line of its own or not.
    let lines = headers.get_all("x-forwarded-for").into_iter().filter_map(|line| line.to_str().ok());
    let added: Vec<&str> = lines.flat_map(|line| line.split(',')).map(str::trim).collect();
    let known = added.iter().rev().map_while(|address| address.parse().ok());
    let mut nearest = peer;
    for address in known {
        nearest = address;
        if !trusted(address) {
            break;
        }
    }
    nearest
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
