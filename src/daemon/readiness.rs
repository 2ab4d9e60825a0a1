//! Notifies systemd, or the command that started the daemon, of the daemon's state.
//!
//! The protocol is sd_notify(3): datagrams of `NAME=value` to the socket in `NOTIFY_SOCKET`.

use std::io::ErrorKind;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Sends a state such as `READY=1`, if `NOTIFY_SOCKET` is set.
pub(super) fn notify(state: &str) {
    let Some(target) = std::env::var_os("NOTIFY_SOCKET") else { return };
    let address = match target.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
        _ => SocketAddr::from_pathname(&target),
    };
    let sent = address.and_then(|address| {
        let socket = UnixDatagram::unbound()?;
        socket.send_to_addr(state.as_bytes(), &address)
    });
    match sent {
        Ok(_) => {}
        // A command that only waited for the start no longer listens.
        Err(error) if matches!(error.kind(), ErrorKind::ConnectionRefused | ErrorKind::NotFound) => {
            tracing::debug!(%error, state, "nobody listens at NOTIFY_SOCKET");
        }
        Err(error) => tracing::warn!(%error, state, "cannot send to NOTIFY_SOCKET"),
    }
}
