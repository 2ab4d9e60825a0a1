//! Creates an application through the client library, starts it and says where it is.
//!
//! `cargo run --example create_application -- crm`
//!
//! It talks to the daemon that `nbapps` talks to.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "the example talks to its reader")]

use std::process::ExitCode;

use nbapps::client::{Client, ClientError, discovery};
use nbapps::protocol::methods::{AppCreate, AppVisit};
use nbapps::protocol::{AppId, CreateApplication, RpcError, VisitApplication};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let Some(id) = std::env::args().nth(1) else {
        eprintln!("usage: create_application ID");
        return ExitCode::from(2);
    };
    match create(&id).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            if let Some(hint) = error.hint() {
                eprintln!("hint: {hint}");
            }
            ExitCode::FAILURE
        }
    }
}

async fn create(id: &str) -> Result<(), ClientError> {
    let address = discovery::find()?.address;
    let client = Client::connect(&address).await?;
    println!("connected to {} at {address}", client.welcome().server);

    let id = AppId::parse(id).map_err(RpcError::from)?;
    let wanted = CreateApplication { id: Some(id.clone()), start: true, ..CreateApplication::default() };
    let created =
        client.call_with_progress::<AppCreate>(wanted, |progress| println!("  {}", progress.stage)).await?;
    println!("{id} is {}", created.application.state);
    if let Some(admin) = created.admin {
        // The password is here when the daemon made it, and is never told again.
        println!("sign in as {}, password {}", admin.email, admin.password.as_deref().unwrap_or("as given"));
    }

    let visit = client.call::<AppVisit>(VisitApplication { id, sign_in: false, user: None }).await?;
    println!("{}", visit.url);
    Ok(())
}
