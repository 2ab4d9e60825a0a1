//! Validates what every request must have right before an application sees it: its host, and how its body is
//! encoded.

use std::net::Ipv6Addr;

use http::header::{CONTENT_ENCODING, HOST, HeaderName, TRANSFER_ENCODING};
use http::{HeaderMap, Version};

use super::forwarded::ClientOrigin;

/// Whether `host` is a valid value of `Host`: a name or an address, and a port (RFC 3986, 3.2.2).
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

/// Checks the `Host` of a request (RFC 9112, 3.2) and the host that a proxy forwarded.
///
/// # Errors
/// A sentence that says what is wrong.
pub(super) fn check_host(
    version: Version,
    headers: &HeaderMap,
    origin: &ClientOrigin<'_>,
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
    match origin.host {
        Some(host) if !is_host(host) => Err("the host that was asked for is not a host and a port"),
        _ => Ok(()),
    }
}

/// A header that names how a body is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    /// `Transfer-Encoding` (RFC 9112, 6.1).
    Transfer,
    /// `Content-Encoding` (RFC 9110, 8.4).
    Content,
}

/// The header that names an encoding which the gateway does not decode. It reads bodies whole or in chunks,
/// and not compressed.
pub(super) fn unsupported_coding(headers: &HeaderMap) -> Option<Coding> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderValue, Uri};
    use std::net::IpAddr;

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
            assert_eq!(unsupported_coding(&headers), unknown, "{name} {lines:?}");
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
            let origin = ClientOrigin::read(&uri, &headers, IpAddr::from([127, 0, 0, 1]), &[]);
            assert_eq!(check_host(version, &headers, &origin).is_ok(), good, "{version:?} {hosts:?}");
        }
    }
}
