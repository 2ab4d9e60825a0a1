//! What the gateway notices for the checks of the host: probes that arrive, and forwarded headers from peers that are
//! no trusted proxies.
//!
//! A probe is a request that the daemon sends to itself the way a browser would, by a domain and whatever is in front
//! of the gateway. Its path has a random token. The gateway answers such a path only while that probe is under way,
//! and reports how the request arrived; to everybody else there is nothing at this address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::header::{CACHE_CONTROL, HeaderName, HeaderValue};
use http::{HeaderMap, Response, StatusCode};
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::forwarded::Network;

/// The beginning of the paths of probes (RFC 8615).
const PROBES: &str = "/.well-known/nbapps-doctor/";

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// How a probe arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeArrival {
    /// The address that sent it: a proxy's, or this machine's.
    pub peer: IpAddr,
    /// The ID of the application that it was for.
    pub app: String,
    /// The host that it named, as far as that is trusted.
    pub host: String,
    /// Whether the client used HTTPS, as far as that is trusted.
    pub https: bool,
    /// Whether it has forwarded headers although its peer is no trusted proxy.
    pub is_untrusted: bool,
}

/// A peer that sent forwarded headers and is no trusted proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UntrustedProxy {
    /// Its address.
    pub peer: IpAddr,
    /// When it sent them.
    pub at: DateTime<Utc>,
}

/// What the gateway notices.
#[derive(Debug, Default)]
pub struct GatewayWatch {
    /// The probes under way, by their paths.
    expected: Mutex<HashMap<String, oneshot::Sender<ProbeArrival>>>,
    untrusted: OnceLock<UntrustedProxy>,
}

/// A probe, which the gateway answers until this is dropped.
#[derive(Debug)]
pub struct Probe {
    watch: Arc<GatewayWatch>,
    path: String,
    arrival: oneshot::Receiver<ProbeArrival>,
}

impl GatewayWatch {
    /// Begins a probe.
    #[must_use]
    pub fn probe(self: &Arc<Self>) -> Probe {
        let path = format!("{PROBES}{}", uuid::Uuid::new_v4().simple());
        let (sender, arrival) = oneshot::channel();
        self.expected.lock().insert(path.clone(), sender);
        Probe { watch: Arc::clone(self), path, arrival }
    }

    /// The first peer that sent forwarded headers and is no trusted proxy.
    #[must_use]
    pub fn untrusted_proxy(&self) -> Option<UntrustedProxy> {
        self.untrusted.get().copied()
    }

    /// Notes the first peer that sends forwarded headers and is no trusted proxy.
    pub(super) fn note_forwarded(&self, headers: &HeaderMap, peer: IpAddr, proxies: &[Network]) {
        if self.untrusted.get().is_none() && is_untrusted(headers, peer, proxies) {
            let _ = self.untrusted.set(UntrustedProxy { peer, at: Utc::now() });
        }
    }

    /// Answers a probe that is under way and reports its arrival; `None` for any other path.
    pub(super) fn answer(
        &self,
        path: &str,
        arrival: impl FnOnce() -> ProbeArrival,
    ) -> Option<Response<Bytes>> {
        if !path.starts_with(PROBES) {
            return None;
        }
        let expecting = self.expected.lock().remove(path)?;
        // The probe may have been given up.
        let _ = expecting.send(arrival());
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = StatusCode::NO_CONTENT;
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Some(response)
    }
}

/// Whether a request has forwarded headers although its peer is no trusted proxy.
pub(super) fn is_untrusted(headers: &HeaderMap, peer: IpAddr, proxies: &[Network]) -> bool {
    headers.contains_key(X_FORWARDED_FOR) && !proxies.iter().any(|proxy| proxy.contains(peer))
}

impl Probe {
    /// The path to request.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// How the request arrived; `None` as long as it has not.
    pub fn arrived(&mut self) -> Option<ProbeArrival> {
        self.arrival.try_recv().ok()
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.watch.expected.lock().remove(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrival() -> ProbeArrival {
        ProbeArrival {
            peer: IpAddr::from([127, 0, 0, 1]),
            app: "crm".to_owned(),
            host: "crm.example.com".to_owned(),
            https: false,
            is_untrusted: false,
        }
    }

    #[test]
    fn only_a_probe_under_way_is_answered_and_only_once() {
        let watch = Arc::new(GatewayWatch::default());
        let mut probe = watch.probe();
        for path in ["/", PROBES, &format!("{PROBES}{}", uuid::Uuid::new_v4().simple())] {
            assert!(watch.answer(path, arrival).is_none(), "{path}");
        }
        assert_eq!(probe.arrived(), None);
        let path = probe.path().to_owned();
        let response = watch.answer(&path, arrival).unwrap();
        assert_eq!(response.status(), StatusCode::NO_CONTENT);
        assert_eq!(response.headers()[CACHE_CONTROL], "no-store");
        assert_eq!(probe.arrived(), Some(arrival()));
        assert!(watch.answer(&path, arrival).is_none());
        let abandoned = watch.probe().path().to_owned();
        assert!(watch.answer(&abandoned, arrival).is_none());
    }

    #[test]
    fn the_first_untrusted_proxy_is_remembered() {
        let watch = GatewayWatch::default();
        let proxies = ["10.0.0.0/8".parse().unwrap()];
        let forwarded = HeaderMap::from_iter([(X_FORWARDED_FOR, HeaderValue::from_static("192.0.2.1"))]);
        let address = |last| IpAddr::from([10, 0, 0, last]);
        watch.note_forwarded(&HeaderMap::new(), IpAddr::from([192, 0, 2, 7]), &proxies);
        watch.note_forwarded(&forwarded, address(1), &proxies);
        assert_eq!(watch.untrusted_proxy(), None);
        for last in [8, 9] {
            watch.note_forwarded(&forwarded, IpAddr::from([192, 0, 2, last]), &proxies);
        }
        assert_eq!(watch.untrusted_proxy().map(|proxy| proxy.peer), Some(IpAddr::from([192, 0, 2, 8])));
    }
}
