//! `nbapps events`: prints the events of applications.

use clap::Args;

use crate::cli::complete;
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::output::{application, printable};
use crate::cli::selection::{Selection, SelectorOption};
use crate::cli::values;
use crate::protocol::methods::AppGet;
use crate::protocol::{AppId, Event, Happening, OneApplication, SubscribeEvents};

/// Print events of applications as they happen, until Ctrl-C
///
/// With --selector, of those applications that have the labels when the command begins.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  nbapps events
  nbapps events crm hr
  nbapps events -l team=sales
  nbapps events -o jsonl | jq -c 'select(.to == \"error\")'")]
pub(crate) struct EventsArgs {
    /// Only events of these applications [default: all]
    #[arg(
        value_name = "ID", conflicts_with = "selector", value_parser = values::app_id, add = complete::existing(),
    )]
    ids: Vec<AppId>,

    #[command(flatten)]
    selector: SelectorOption,
}

impl EventsArgs {
    /// Prints events until the daemon ends or the output is closed.
    pub(crate) async fn run(self, context: &Context) -> Result<(), CliError> {
        let client = context.connect_alone().await?;
        // The protocol can wait for events of applications that do not exist yet; here that is a typing error.
        for id in &self.ids {
            context.ask::<AppGet>(&client, OneApplication { id: id.clone() }).await?;
        }
        let selection = Selection::new(self.ids, false, &self.selector);
        let ids = selection.resolve(context, &client, |_| true).await?;
        let all = ids.is_empty();
        let (subscribed, mut events) = client.events(SubscribeEvents { ids }).await?;
        context.console.note("printing events; Ctrl-C ends it");
        let mut last = subscribed.after;
        loop {
            let event = events.next().await?;
            // Numbers count the events of all applications: with a filter, a gap is not a loss.
            if all && event.number > last.saturating_add(1) {
                context.console.note(&format!("{} events were lost here", event.number - last - 1));
            }
            last = event.number;
            context.console.item(&event, event.app.as_str(), || text(&event))?;
        }
    }
}

/// Formats an event for people.
fn text(event: &Event) -> String {
    let what = match &event.what {
        Happening::StateChanged { from, to, reason } => {
            let reason = reason.as_deref().map(|reason| format!(": {}", printable(reason)));
            format!("{from} -> {to}{}", reason.unwrap_or_default())
        }
        Happening::Updated => "settings changed".to_owned(),
        Happening::SecretRotated => "JWT secret replaced".to_owned(),
    };
    format!("{} {:<16} {what}\n", application::time(event.at), event.app)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::State;

    #[test]
    fn an_event_is_one_line() {
        let event = |what| Event {
            number: 1,
            at: "2026-01-31T08:00:00Z".parse().unwrap(),
            app: AppId::parse("crm").unwrap(),
            what,
        };
        let reason = Some("the disk\nis full".to_owned());
        let failed = Happening::StateChanged { from: State::Initializing, to: State::Error, reason };
        assert_eq!(
            text(&event(failed)),
            "2026-01-31T08:00:00Z crm              initializing -> error: the disk\\nis full\n"
        );
        assert_eq!(
            text(&event(Happening::Updated)),
            "2026-01-31T08:00:00Z crm              settings changed\n"
        );
    }
}
