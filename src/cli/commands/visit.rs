//! `nbapps visit`: opens an application's pages in the browser.

use std::io::IsTerminal as _;
use std::net::{IpAddr, Ipv4Addr, TcpListener};

use clap::Args;
use http::Uri;

use crate::cli::complete;
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::values;
use crate::client::{Address, SshHost};
use crate::protocol::methods::AppVisit;
use crate::protocol::{AppId, VisitApplication};

/// Open an application's pages in the browser, or print their address
///
/// The browser is opened when standard output is a terminal and there is a display; otherwise the
/// address is printed. With --host, an address that only the other machine can open is printed
/// with the ssh command that forwards it to this one.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  nbapps visit crm
  nbapps visit crm --sign-in
  nbapps visit crm --sign-in=ada@example.com --print
  nbapps visit main")]
pub(crate) struct VisitArgs {
    /// The application
    #[arg(value_name = "ID", value_parser = values::app_id, add = complete::existing())]
    id: AppId,

    /// Only print the address
    #[arg(long)]
    print: bool,

    /// Make a link that signs in once, within a minute; as the root user without USER
    #[arg(long, value_name = "USER", num_args = 0..=1, require_equals = true, add = complete::users())]
    sign_in: Option<Option<String>>,
}

impl VisitArgs {
    /// Opens or prints the address.
    pub(crate) async fn run(self, context: &Context) -> Result<(), CliError> {
        let client = context.connect().await?;
        let request = VisitApplication {
            id: self.id.clone(),
            sign_in: self.sign_in.is_some(),
            user: self.sign_in.flatten(),
        };
        let visit = context.ask::<AppVisit>(&client, request).await?;
        let console = &context.console;
        let far = match context.address()? {
            Address::Ssh(host) => Some(host),
            Address::Socket(_) => None,
        };
        // Data is always printed; only an address may be opened instead.
        let open = console.is_for_people() && !self.print && far.is_none() && is_desktop();
        if open && webbrowser::open(&visit.url).is_ok() {
            console.note(&format!("opened {} in the browser", self.id));
            return Ok(());
        }
        if open {
            console.note("cannot open a browser; the address is:");
        }
        console.show(&visit, self.id.as_str(), || crate::cli::output::printable(&visit.url))?;
        if let Some(tunnel) = far.and_then(|host| Tunnel::to(&visit.url, host)) {
            console.note(&tunnel.explanation());
        }
        if visit.sign_in_until.is_some() {
            console.note("the link signs in once, within a minute");
        }
        Ok(())
    }
}

/// How to open an address that only the machine of the daemon can open.
#[derive(Debug, PartialEq, Eq)]
struct Tunnel {
    host: SshHost,
    /// The port of this machine that is forwarded.
    port: u16,
    /// The host and port over there.
    to: String,
    /// The address as it is opened here.
    url: String,
}

impl Tunnel {
    /// `None` for an address that this machine can open as well.
    fn to(url: &str, host: SshHost) -> Option<Self> {
        let uri: Uri = url.parse().ok()?;
        let authority = uri.authority()?;
        let name = authority.host();
        let address = name.trim_matches(['[', ']']).parse::<IpAddr>();
        if name != "localhost" && !address.is_ok_and(|address| address.is_loopback()) {
            return None;
        }
        let scheme = uri.scheme_str()?;
        let far = authority.port_u16().unwrap_or(if scheme == "https" { 443 } else { 80 });
        let port = free_port(far);
        let local = format!("{scheme}://{name}:{port}{}", uri.path_and_query()?);
        Some(Self { host, port, to: format!("{name}:{far}"), url: local })
    }

    fn explanation(&self) -> String {
        format!(
            "the address is one of {}, not of this machine; to open it here, forward a port, and leave that \
             running:\n  {}\nthen open: {}",
            self.host.destination(),
            self.host.tunnel(self.port, &self.to),
            self.url
        )
    }
}

/// A port of this machine that is free: `wanted` if it is, so that the address stays the same.
fn free_port(wanted: u16) -> u16 {
    let free = |port| {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok()?;
        listener.local_addr().ok().map(|address| address.port())
    };
    free(wanted).or_else(|| free(0)).unwrap_or(wanted)
}

/// Whether the user has a display that a browser can be shown on.
fn is_desktop() -> bool {
    let display = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    std::io::stdout().is_terminal()
        && (cfg!(target_os = "macos") || display("DISPLAY") || display("WAYLAND_DISPLAY"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_the_other_machine_alone_are_forwarded() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        let Ok(Address::Ssh(host)) = "ssh://ops@server".parse() else { panic!("no host") };
        let tunnel = |url: &str| Tunnel::to(url, host.clone());
        for url in ["https://apps.example.com/apps/crm/admin/", "http://192.0.2.7:13000/", "none"] {
            assert_eq!(tunnel(url), None, "{url}");
        }
        for name in ["127.0.0.1", "[::1]", "localhost"] {
            let tunnel = tunnel(&format!("http://{name}:{port}/apps/crm/?a=b")).unwrap();
            assert_ne!(tunnel.port, port, "a port that is in use is not forwarded");
            assert_eq!(tunnel.to, format!("{name}:{port}"));
            assert_eq!(tunnel.url, format!("http://{name}:{}/apps/crm/?a=b", tunnel.port));
        }
        drop(taken);
        let tunnel = tunnel(&format!("http://127.0.0.1:{port}/admin/")).unwrap();
        let said = tunnel.explanation();
        let line = format!("\n  ssh -N -L {}:127.0.0.1:{port} ops@server\n", tunnel.port);
        assert!(said.contains(&line) && said.contains("ops@server, not of this machine"), "{said}");
    }
}
