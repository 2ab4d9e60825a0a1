//! `nbapps list`: lists the applications, or the deleted ones.

use std::num::NonZeroU32;

use clap::Args;
use serde::Serialize;

use super::watch;
use crate::cli::complete;
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::filter::{self, Conditions};
use crate::cli::output::{Format, application, fields};
use crate::cli::selection::SelectorOption;
use crate::cli::values::{self, STATES};
use crate::client::Client;
use crate::protocol::{
    Application, ApplicationField, ApplicationList, ApplicationSummary, Condition, ListApplications,
    ListSummaries, SortBy, State, sort_applications,
};

/// List the applications
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  nbapps list
  nbapps list --state error -o wide
  nbapps list --filter state=running,engine=postgres,name~shop
  nbapps list -l team=sales --sort -size --limit 10
  nbapps list --columns id,state,label.team,size --watch
  nbapps list --deleted
  nbapps list -o json | jq -r '.[] | select(.protected | not) | .id'
  nbapps stop $(nbapps list --filter state=running,id~test -o name)")]
pub(crate) struct List {
    /// List deleted applications that can be undeleted
    #[arg(long)]
    deleted: bool,

    /// List only applications in this state; may be given several times
    #[arg(long = "state", value_name = "STATE", value_parser = values::word::<State>(STATES))]
    states: Vec<State>,

    /// List only applications that fit, such as state=running,engine=postgres,name~shop
    #[arg(
        long = "filter", value_name = "CONDITIONS", long_help = filter::FILTER_HELP,
        value_parser = filter::filter, add = complete::conditions(),
    )]
    filters: Vec<Conditions>,

    #[command(flatten)]
    selector: SelectorOption,

    /// Sort by these fields, such as state,-size: with - the other way round [default: id, main first]
    #[arg(
        long, value_name = "FIELDS", allow_hyphen_values = true, value_delimiter = ',',
        value_parser = fields::sort_by, add = complete::fields(),
    )]
    sort: Vec<SortBy>,

    /// List at most this many
    #[arg(long, value_name = "COUNT")]
    limit: Option<NonZeroU32>,

    /// Print these columns, such as id,state,label.team,size
    #[arg(
        long, value_name = "FIELDS", value_delimiter = ',', value_parser = fields::field,
        add = complete::fields(), long_help = columns_help(),
    )]
    columns: Vec<ApplicationField>,

    /// Follow the list until Ctrl-C: drawn again at a terminal, else each application that changes
    #[arg(short, long, conflicts_with = "deleted")]
    watch: bool,
}

fn columns_help() -> String {
    let names: Vec<&str> = ApplicationField::names().collect();
    format!(
        "Print these columns of a table, separated by commas. The fields, which --sort takes too: {}, label.KEY",
        names.join(", ")
    )
}

/// Prints the applications, or a note when there are none.
fn print<T: Serialize>(
    context: &Context,
    found: &[T],
    none: &str,
    name: impl Fn(&T) -> &str,
    text: impl FnOnce() -> String,
) -> Result<(), CliError> {
    let console = &context.console;
    if found.is_empty() && console.is_for_people() {
        console.note(none);
        return Ok(());
    }
    console.list(found, name, text)
}

impl List {
    /// Prints the list.
    pub(crate) async fn run(self, context: &Context) -> Result<(), CliError> {
        let format = context.console.format;
        if !self.columns.is_empty() && !context.console.is_for_people() {
            return Err(CliError::usage(
                "--columns chooses the columns of a table, and the output is data",
                "leave out --output, or choose fields of the data, for example with jq",
            ));
        }
        if self.watch {
            let fetch = async |client: &Client| self.fetch(context, client).await;
            return watch::run(context, fetch, |applications, width| self.text(applications, format, width))
                .await;
        }
        let (client, width) = (context.connect().await?, context.console.width());
        let is_short = matches!(format, Format::Table | Format::Name) && self.columns.is_empty();
        let is_sorted_here = self.sort.is_empty() || self.limit.is_none();
        if is_short && is_sorted_here && !self.deleted && ApplicationSummary::have_all_of(&self.sort) {
            let (states, conditions) = (self.states.clone(), self.conditions());
            let request = ListSummaries { states, conditions, limit: self.limit, labels: false, after: None };
            let mut found = context.summaries(&client, request).await?;
            let value = |field: &ApplicationField, summary: &ApplicationSummary| summary.sort_value(field);
            sort_applications(&mut found, &self.sort, value, |summary| &summary.id);
            let text = || application::summaries(&found, width);
            return print(context, &found, self.none(), |summary| summary.id.as_str(), text);
        }
        let found = self.fetch(context, &client).await?;
        let text = || self.text(&found, format, width);
        print(context, &found, self.none(), |application| application.id.as_str(), text)
    }

    /// Says that there are none.
    fn none(&self) -> &'static str {
        let has_conditions = !self.filters.is_empty() || self.selector.is_given();
        match (self.deleted, has_conditions, self.states.is_empty()) {
            (true, true, _) => "no deleted application fits this",
            (true, false, _) => "there are no deleted applications",
            (false, true, _) => "no application fits this",
            (false, false, false) => "no application is in this state",
            (false, false, true) => {
                "there are no applications yet; create one with: nbapps create ID --start"
            }
        }
    }

    fn conditions(&self) -> Vec<Condition> {
        let mut conditions = Conditions::joined(&self.filters);
        conditions.extend(self.selector.conditions());
        conditions
    }

    /// The applications of the list, in order.
    async fn fetch(&self, context: &Context, client: &Client) -> Result<Vec<Application>, CliError> {
        let mut needed = self.columns.iter().chain(self.sort.iter().map(|by| &by.field));
        let is_wide = context.console.format == Format::Wide && self.columns.is_empty();
        let limit = self.limit.and_then(|limit| usize::try_from(limit.get()).ok()).unwrap_or(usize::MAX);
        // The daemon sorts one page; more are sorted here.
        let is_one_page = limit <= ApplicationList::PAGE;
        let request = ListApplications {
            deleted: self.deleted,
            states: self.states.clone(),
            conditions: self.conditions(),
            limit: self.limit.filter(|_| is_one_page || self.sort.is_empty()),
            order: if is_one_page { self.sort.clone() } else { Vec::new() },
            sizes: is_wide || needed.any(|field| *field == ApplicationField::Size),
            after: None,
        };
        let mut found = context.list(client, request).await?;
        sort_applications(&mut found, &self.sort, ApplicationField::sort_value, |application| {
            &application.id
        });
        found.truncate(limit);
        Ok(found)
    }

    /// The table of the list, for a terminal of this width.
    fn text(&self, applications: &[Application], format: Format, width: Option<usize>) -> String {
        match (self.columns.as_slice(), self.deleted) {
            ([], true) => application::deleted_list(applications, width),
            ([], false) => {
                let all: Vec<&Application> = applications.iter().collect();
                application::list(&all, format == Format::Wide, width)
            }
            (columns, _) => fields::table(columns, applications, width),
        }
    }
}
