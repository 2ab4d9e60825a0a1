//! `nbapps top`: all applications on a screen of their own, which follows what they do.
//!
//! A task takes a sample after each interval (`sampling.rs`); keys change what is shown (`top/keys.rs`,
//! `top/model.rs`), and after each of both the screen is drawn anew (`top/view.rs`).

mod keys;
mod model;
mod screen;
mod view;

use std::sync::Arc;
use std::time::Duration;

use crossterm::event::{Event, EventStream};
use futures_util::StreamExt as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::context::Context;
use super::error::CliError;
use super::output::statistics::Column;
use super::sampling::{Report, Sampler};
use crate::client::Client;
use crate::protocol::methods::{AppStart, AppStop};
use crate::protocol::{AppId, ChangeState, Wait};
use keys::Action;
use model::{Change, Top};
use screen::Screen;

/// What the screen shows at first.
#[derive(Debug)]
pub(crate) struct TopOptions {
    /// The time between two samples.
    pub(crate) interval: Duration,
    /// The column by which applications are sorted.
    pub(crate) sort: Column,
    /// A part of the IDs of the applications that are shown.
    pub(crate) filter: String,
}

/// News for the screen.
#[derive(Debug)]
enum Update {
    /// A sample, or why there are no more.
    Sampled(Result<Box<Report>, CliError>),
    /// A sentence.
    Said(String),
}

/// Shows the screen until the user quits it or the daemon ends.
pub(crate) async fn run(context: &Context, options: TopOptions) -> Result<(), CliError> {
    let client = context.connect().await?;
    let mut sampler = Sampler::new(Vec::new());
    // Before the screen is there, so that an error is printed as usual.
    let first = sampler.sample(context, &client).await?;
    let address = context.address()?.to_string();
    let mut top = Top::new(first, address, options.sort, options.filter);
    let (news, mut updates) = unbounded_channel();
    let mut screen = Screen::open()?;
    tokio::spawn(follow(context.clone(), Arc::clone(&client), sampler, options.interval, news.clone()));
    let ended = show(&mut screen, &mut top, &mut updates, |change, id| {
        tokio::spawn(carry_out(context.clone(), Arc::clone(&client), change, id, news.clone()));
    })
    .await;
    drop(screen);
    ended
}

/// Draws the screen, and follows keys and updates, until the user quits.
async fn show(
    screen: &mut Screen,
    top: &mut Top,
    updates: &mut UnboundedReceiver<Update>,
    change: impl Fn(Change, AppId),
) -> Result<(), CliError> {
    let failed = |error| CliError::Io { what: "the terminal cannot be used".to_owned(), error };
    let mut events = EventStream::new();
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut hang_up = signal(SignalKind::hangup()).map_err(failed)?;
    loop {
        screen.draw(|frame| view::draw(frame, top)).map_err(failed)?;
        tokio::select! {
            event = events.next() => match event {
                // The screen is drawn anew in its new size.
                Some(Ok(Event::Key(key))) => match keys::handle(top, key) {
                    Action::Nothing => {}
                    Action::Quit => return Ok(()),
                    Action::Change(what, id) => change(what, id),
                },
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(failed(error)),
                None => return Ok(()),
            },
            update = updates.recv() => match update {
                Some(Update::Sampled(report)) => top.update(*report?),
                Some(Update::Said(sentence)) => top.say(sentence),
                None => return Ok(()),
            },
            _ = terminate.recv() => return Ok(()),
            _ = hang_up.recv() => return Ok(()),
        }
    }
}

/// Takes a sample after each interval, until one fails or nobody looks any more.
async fn follow(
    context: Context,
    client: Arc<Client>,
    mut sampler: Sampler,
    interval: Duration,
    news: UnboundedSender<Update>,
) {
    let mut ticks = interval_at(Instant::now() + interval, interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let report = sampler.sample(&context, &client).await.map(Box::new);
        let is_last = report.is_err();
        if news.send(Update::Sampled(report)).is_err() || is_last {
            return;
        }
    }
}

/// Begins to start or stop an application. How that goes on is seen by its state.
async fn carry_out(
    context: Context,
    client: Arc<Client>,
    change: Change,
    id: AppId,
    news: UnboundedSender<Update>,
) {
    let params = ChangeState { id: id.clone(), wait: Wait { wait: false, ..Wait::default() } };
    let begun = match change {
        Change::Start => context.ask::<AppStart>(&client, params).await,
        Change::Stop => context.ask::<AppStop>(&client, params).await,
    };
    let sentence = match begun {
        Ok(_) => format!("{} {id}", change.progress()),
        Err(error) => error.to_string(),
    };
    // Nobody looks any more.
    let _ = news.send(Update::Said(sentence));
}
