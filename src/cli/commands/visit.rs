//! `nbapps visit`: opens an application's pages in the browser.

use std::io::IsTerminal as _;

use clap::Args;

use crate::cli::complete;
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::values;
use crate::protocol::methods::AppVisit;
use crate::protocol::{AppId, VisitApplication};

/// Open an application's pages in the browser, or print their address
///
/// The browser is opened when standard output is a terminal and there is a display; otherwise the
/// address is printed.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  nbapps visit crm
  nbapps visit crm --sign-in
  nbapps visit crm --sign-in=ada@example.com --print
  nbapps visit main")]
pub(crate) struct Visit {
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

impl Visit {
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
        // Data is always printed; only an address may be opened instead.
        let open = console.is_for_people() && !self.print && context.options.host.is_none() && is_desktop();
        if open && webbrowser::open(&visit.url).is_ok() {
            console.note(&format!("opened {} in the browser", self.id));
            return Ok(());
        }
        if open {
            console.note("cannot open a browser; the address is:");
        }
        console.show(&visit, self.id.as_str(), || crate::cli::output::printable(&visit.url))?;
        if visit.sign_in_until.is_some() {
            console.note("the link signs in once, within a minute");
        }
        Ok(())
    }
}

/// Whether the user has a display that a browser can be shown on.
fn is_desktop() -> bool {
    let display = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    std::io::stdout().is_terminal()
        && (cfg!(target_os = "macos") || display("DISPLAY") || display("WAYLAND_DISPLAY"))
}
