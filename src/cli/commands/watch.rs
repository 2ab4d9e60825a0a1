//! `nbapps list --watch`: a list that follows the events of applications.

use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::Instant;

use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::output::Format;
use crate::client::{Client, ClientError, Notifications};
use crate::protocol::methods::AppGet;
use crate::protocol::{Application, ErrorKind, Event, OneApplication, State, SubscribeEvents};

/// How long events are collected before the list is fetched again.
const COLLECTING: Duration = Duration::from_millis(100);

/// How often a list at a terminal is fetched without an event: sizes and requests change without one.
const REFRESH: Duration = Duration::from_secs(2);

/// Prints the list that `fetch` gives, and at each event the list anew at a terminal, or what changed of it elsewhere;
/// until the daemon ends or the output is closed. `table` formats a list for people, for a terminal of some width.
pub(super) async fn run(
    context: &Context,
    fetch: impl AsyncFn(&Client) -> Result<Vec<Application>, CliError>,
    table: impl Fn(&[Application], Option<usize>) -> String,
) -> Result<(), CliError> {
    let client = context.connect().await?;
    let (_, mut events) = context.connect_alone().await?.events(SubscribeEvents { ids: Vec::new() }).await?;
    context.console.note("the list follows events; Ctrl-C ends it");
    if let Some(mut drawing) = context.console.drawing() {
        let mut resized = signal(SignalKind::window_change()).map_err(|error| CliError::Io {
            what: "cannot follow the size of the terminal".to_owned(),
            error,
        })?;
        loop {
            let now = fetch(&client).await?;
            drawing.draw(|width| table(&now, width))?;
            next_draw(&mut events, &mut resized).await?;
        }
    }
    let mut shown: Option<Vec<Application>> = None;
    loop {
        let now = fetch(&client).await?;
        print_changes(context, &client, &table, shown.as_deref(), &now).await?;
        shown = Some(now);
        events.next().await?;
        collect(&mut events).await?;
    }
}

/// Waits for an event, another size of the terminal, or the next refresh.
async fn next_draw(events: &mut Notifications<Event>, resized: &mut Signal) -> Result<(), CliError> {
    tokio::select! {
        event = events.next() => {
            event?;
            collect(events).await
        }
        _ = resized.recv() => Ok(()),
        () = tokio::time::sleep(REFRESH) => Ok(()),
    }
}

/// Takes the events that come shortly after another.
async fn collect(events: &mut Notifications<Event>) -> Result<(), CliError> {
    let until = Instant::now() + COLLECTING;
    while let Ok(event) = tokio::time::timeout_at(until, events.next()).await {
        event?;
    }
    Ok(())
}

/// Prints the applications that changed, that are new in the list, and that left it, each as it is now.
async fn print_changes(
    context: &Context,
    client: &Client,
    table: &impl Fn(&[Application], Option<usize>) -> String,
    before: Option<&[Application]>,
    now: &[Application],
) -> Result<(), CliError> {
    let console = &context.console;
    if let (None, Format::Table | Format::Wide) = (before, console.format) {
        return console.text(&table(now, None));
    }
    let before = before.unwrap_or_default();
    let mut all = now.to_vec();
    for left in before.iter().filter(|before| !now.iter().any(|now| now.id == before.id)) {
        all.push(as_it_is(left, context, client).await?);
    }
    // The rows are those of the whole table, so that columns stay where they are.
    let rows = if console.is_for_people() { table(&all, None) } else { String::new() };
    let mut rows = rows.lines().skip(1);
    for application in &all {
        let row = rows.next().unwrap_or_default();
        if !before.iter().any(|before| is_same(before, application)) {
            console.item(application, application.id.as_str(), || format!("{row}\n"))?;
        }
    }
    Ok(())
}

/// Whether two descriptions differ in nothing that events tell of.
fn is_same(one: &Application, other: &Application) -> bool {
    let settled = |application: &Application| {
        let mut settled = application.clone();
        settled.requests_in_flight = 0;
        settled.database.connections = None;
        settled.database.size = None;
        settled
    };
    one.id == other.id && settled(one) == settled(other)
}

/// The description of an application that left the list: its state is `not_found` when it is gone.
async fn as_it_is(left: &Application, context: &Context, client: &Client) -> Result<Application, CliError> {
    match context.ask::<AppGet>(client, OneApplication { id: left.id.clone() }).await {
        Err(CliError::Client(ClientError::Rpc(error))) if error.kind() == ErrorKind::AppNotFound => {
            Ok(Application { state: State::NotFound, reason: None, started_at: None, ..left.clone() })
        }
        other => other,
    }
}
