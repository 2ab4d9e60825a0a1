//! What the screen of `nbapps top` shows.

use crate::cli::output::statistics::Column;
use crate::cli::sampling::{ApplicationReport, Report};
use crate::protocol::AppId;

/// A change of an application.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    Start,
    Stop,
}

impl Change {
    /// The question whether to do it.
    pub(super) const fn question(self) -> &'static str {
        match self {
            Self::Start => "Start",
            Self::Stop => "Stop",
        }
    }

    /// What is said once it has begun.
    pub(super) const fn progress(self) -> &'static str {
        match self {
            Self::Start => "starting",
            Self::Stop => "stopping",
        }
    }
}

/// What keys do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Mode {
    /// They move the selection, and choose what is shown.
    Browse,
    /// They are the text of the filter.
    Filter,
    /// One of them confirms this change.
    Confirm(Change, AppId),
    /// Each of them closes the help.
    Help,
}

/// The state of the screen.
#[derive(Debug)]
pub(super) struct Top {
    pub(super) report: Report,
    /// The address of the daemon.
    pub(super) address: String,
    pub(super) mode: Mode,
    pub(super) sort: Column,
    pub(super) is_descending: bool,
    /// A part of the IDs that are shown.
    pub(super) filter: String,
    pub(super) shows_details: bool,
    /// What was said last.
    pub(super) message: Option<String>,
    /// The application that is selected, wherever it is in the order.
    selected: Option<AppId>,
    /// The first row that is on the screen.
    pub(super) offset: usize,
}

impl Top {
    pub(super) fn new(report: Report, address: String, sort: Column, filter: String) -> Self {
        Self {
            report,
            address,
            mode: Mode::Browse,
            sort,
            is_descending: begins_descending(sort),
            filter,
            shows_details: false,
            message: None,
            selected: None,
            offset: 0,
        }
    }

    /// Shows another report.
    pub(super) fn update(&mut self, report: Report) {
        self.report = report;
        if let Mode::Confirm(_, id) = &self.mode
            && !self.report.applications.iter().any(|application| application.stats.id == *id)
        {
            self.say(format!("{id} was deleted"));
            self.mode = Mode::Browse;
        }
    }

    /// Shows a sentence until the next key.
    pub(super) fn say(&mut self, sentence: String) {
        self.message = Some(sentence);
    }

    /// The applications that are shown, in order.
    pub(super) fn rows(&self) -> Vec<&ApplicationReport> {
        let shown = self.report.applications.iter();
        let mut rows: Vec<_> =
            shown.filter(|application| application.stats.id.as_str().contains(&self.filter)).collect();
        rows.sort_by(|one, other| {
            let order = self.sort.compare(one, other);
            let order = if self.is_descending { order.reverse() } else { order };
            order.then_with(|| Column::Id.compare(one, other))
        });
        rows
    }

    /// The position of the selected application among `rows`: the first one where it is not among them.
    pub(super) fn position(&self, rows: &[&ApplicationReport]) -> Option<usize> {
        let found = rows.iter().position(|application| Some(&application.stats.id) == self.selected.as_ref());
        found.or((!rows.is_empty()).then_some(0))
    }

    /// The selected application.
    pub(super) fn selected(&self) -> Option<ApplicationReport> {
        let rows = self.rows();
        self.position(&rows).map(|position| rows[position].clone())
    }

    /// Moves the selection by this many rows, as far as there are any.
    pub(super) fn select(&mut self, by: isize) {
        let rows = self.rows();
        let Some(position) = self.position(&rows) else { return };
        let to = position.saturating_add_signed(by).min(rows.len() - 1);
        self.selected = Some(rows[to].stats.id.clone());
    }

    /// Sorts by the next column, or the one before.
    pub(super) fn sort_by_next(&mut self, by: isize) {
        let all = Column::ALL;
        let position = all.iter().position(|column| *column == self.sort).unwrap_or_default();
        let next = (position + all.len()).saturating_add_signed(by) % all.len();
        self.sort = all[next];
        self.is_descending = begins_descending(self.sort);
    }
}

/// Whether the greatest values come first.
fn begins_descending(column: Column) -> bool {
    !matches!(column, Column::Id | Column::State)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::cli::sampling::tests::sample;

    /// A screen of three applications, with 2, 20 and no requests in a second.
    pub(in crate::cli::top) fn top() -> Top {
        let before = sample(10, &[("crm", 0, 0), ("hr", 0, 0), ("shop", 0, 0)]);
        let now = sample(12, &[("crm", 4, 0), ("hr", 38, 2), ("shop", 0, 0)]);
        let report = Report::new(Some(&before), now);
        Top::new(report, "/run/nbapps/control.sock".to_owned(), Column::Requests, String::new())
    }

    pub(in crate::cli::top) fn ids(top: &Top) -> Vec<String> {
        top.rows().iter().map(|application| application.stats.id.to_string()).collect()
    }

    #[test]
    fn applications_are_sorted_and_filtered() {
        let mut top = top();
        assert_eq!(ids(&top), ["hr", "crm", "shop"]);
        top.is_descending = false;
        assert_eq!(ids(&top), ["shop", "crm", "hr"]);
        top.sort = Column::State;
        assert_eq!(ids(&top), ["crm", "hr", "shop"], "equal values are sorted by ID");
        top.filter = "h".to_owned();
        assert_eq!(ids(&top), ["hr", "shop"]);
        top.filter = "nosuch".to_owned();
        assert!(top.rows().is_empty() && top.selected().is_none());
        top.select(1);
    }

    #[test]
    fn the_selection_follows_its_application() {
        let mut top = top();
        let selected = |top: &Top| top.selected().unwrap().stats.id.to_string();
        assert_eq!(selected(&top), "hr");
        top.select(1);
        assert_eq!(selected(&top), "crm");
        top.is_descending = false;
        assert_eq!(selected(&top), "crm");
        top.select(99);
        assert_eq!(selected(&top), "hr");
        top.select(-99);
        assert_eq!(selected(&top), "shop");
        top.report.applications.retain(|application| application.stats.id.as_str() != "shop");
        assert_eq!(selected(&top), "crm", "it was deleted");
    }

    #[test]
    fn columns_are_sorted_by_in_turn() {
        let mut top = top();
        for _ in Column::ALL {
            top.sort_by_next(1);
        }
        assert_eq!((top.sort, top.is_descending), (Column::Requests, true));
        top.sort_by_next(-1);
        assert_eq!((top.sort, top.is_descending), (Column::State, false));
        top.sort_by_next(-2);
        assert_eq!(top.sort, Column::Bodies);
    }

    #[test]
    fn nothing_is_confirmed_about_an_application_that_is_gone() {
        let mut top = top();
        top.mode = Mode::Confirm(Change::Stop, AppId::parse("hr").unwrap());
        let report = Report::new(None, sample(13, &[("crm", 0, 0)]));
        top.update(report);
        assert_eq!((&top.mode, top.message.as_deref()), (&Mode::Browse, Some("hr was deleted")));
    }
}
