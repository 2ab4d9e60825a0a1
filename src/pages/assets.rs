//! Serves the stylesheet and the icon. Their addresses contain the hash of their content, so that browsers
//! cache them for a year and still load a new version at once.

use std::sync::LazyLock;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use http::{Response, StatusCode};
use sha2::{Digest, Sha256};

/// The path of the assets, the same for all applications, so that a browser loads them once.
pub const ASSETS: &str = "/assets/";

/// The addresses of the assets.
pub(super) struct Addresses {
    pub(super) stylesheet: String,
    pub(super) icon: String,
}

const STYLESHEET: &[u8] = include_bytes!("assets/style.css");
const ICON: &[u8] = include_bytes!("assets/icon.svg");

/// The addresses, computed once from the embedded files.
pub(super) static ADDRESSES: LazyLock<Addresses> = LazyLock::new(|| Addresses {
    stylesheet: address("style", "css", STYLESHEET),
    icon: address("icon", "svg", ICON),
});

fn address(name: &str, extension: &str, content: &[u8]) -> String {
    use std::fmt::Write;
    let mut address = format!("{ASSETS}{name}-");
    for byte in &Sha256::digest(content)[..8] {
        let _ = write!(address, "{byte:02x}");
    }
    address + "." + extension
}

/// Responds with the asset at `path`; with 404 for one of another version.
#[must_use]
pub fn asset(path: &str) -> Response<Bytes> {
    let (content, kind) = if path == ADDRESSES.stylesheet {
        (STYLESHEET, "text/css; charset=utf-8")
    } else if path == ADDRESSES.icon {
        (ICON, "image/svg+xml")
    } else {
        let mut response = Response::new(Bytes::from_static(b"There is no such asset.\n"));
        *response.status_mut() = StatusCode::NOT_FOUND;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        return response;
    };
    let mut response = Response::new(Bytes::from_static(content));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_asset_is_kept_for_long_and_only_under_its_hash() {
        let response = asset(&ADDRESSES.stylesheet);
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()[CONTENT_TYPE], "text/css; charset=utf-8");
        assert!(response.headers()[CACHE_CONTROL].to_str().unwrap().contains("immutable"));
        assert_eq!(response.body(), STYLESHEET);
        assert_eq!(asset(&ADDRESSES.icon).headers()[CONTENT_TYPE], "image/svg+xml");
        for other in ["/assets/style-0000000000000000.css", "/assets/", "/assets/../admin"] {
            let response = asset(other);
            assert_eq!(response.status(), 404, "{other}");
            assert!(response.headers().get(CACHE_CONTROL).is_none());
        }
    }

    #[test]
    fn the_address_changes_with_the_content() {
        assert_ne!(address("style", "css", b"a"), address("style", "css", b"b"));
    }
}
