//! The list of all applications on the main application's start page: its rows, the actions of its buttons,
//! and the notices after them.

use super::frame::Notice;
use super::host_view::{ListedApplication, MAIN};

/// Rows on one page of the list.
const PAGE_SIZE: usize = 50;

/// The action of a button.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ButtonAction {
    Start,
    Stop,
}

impl ButtonAction {
    /// The action of this name in an address.
    pub(super) fn find(word: &str) -> Option<Self> {
        match word {
            "start" => Some(Self::Start),
            "stop" => Some(Self::Stop),
            _ => None,
        }
    }

    /// The name of the notice that the action is done.
    pub(super) fn done(self) -> &'static str {
        match self {
            Self::Start => "started",
            Self::Stop => "stopped",
        }
    }
}

/// The notice that `?notice=&application=` names.
pub(super) fn notice(word: &str, id: &str) -> Option<Notice<'static>> {
    // The ID comes from the address: only a valid one is shown.
    let shown = id.len() <= 48 && id.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-'));
    match word {
        "started" if shown => Some(Notice::good(format!("{id} is running."))),
        "stopped" if shown => Some(Notice::good(format!("{id} is stopped; visits do not start it."))),
        _ => None,
    }
}

/// One page of the list.
pub(super) struct Listing<'a> {
    pub(super) rows: Vec<ListRow>,
    pub(super) search: &'a str,
    pub(super) form_token: &'a str,
    /// The first row's number, from 1.
    pub(super) first: usize,
    pub(super) last: usize,
    pub(super) total: usize,
    pub(super) previous: Option<String>,
    pub(super) next: Option<String>,
}

/// An application in the list.
pub(super) struct ListRow {
    application: ListedApplication,
    /// The path of its own pages.
    pub(super) path: String,
}

impl std::ops::Deref for ListRow {
    type Target = ListedApplication;
    fn deref(&self) -> &ListedApplication {
        &self.application
    }
}

impl<'a> Listing<'a> {
    /// Page `number`, from 1, of the applications whose ID or name contains `search`.
    pub(super) fn new(
        applications: Vec<ListedApplication>,
        search: &'a str,
        number: usize,
        form_token: &'a str,
    ) -> Self {
        let wanted = search.trim().to_lowercase();
        let mut found: Vec<_> = applications
            .into_iter()
            .filter(|application| {
                application.id.contains(&wanted) || application.name.to_lowercase().contains(&wanted)
            })
            .collect();
        let total = found.len();
        let number = number.clamp(1, total.div_ceil(PAGE_SIZE).max(1));
        let start = (number - 1) * PAGE_SIZE;
        let rows: Vec<_> = found.drain(start..total.min(start + PAGE_SIZE)).map(ListRow::new).collect();
        let address = |number: usize| {
            let search: String = form_urlencoded::byte_serialize(search.as_bytes()).collect();
            format!("/admin/?search={search}&page={number}#applications")
        };
        Self {
            search,
            form_token,
            first: start + 1,
            last: start + rows.len(),
            total,
            previous: (number > 1).then(|| address(number - 1)),
            next: (start + rows.len() < total).then(|| address(number + 1)),
            rows,
        }
    }
}

impl ListRow {
    fn new(application: ListedApplication) -> Self {
        let path = match application.id.as_str() {
            MAIN => "/admin/".to_owned(),
            id => format!("/apps/{id}/admin/"),
        };
        Self { application, path }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pages::host_view::testing::application;

    fn many(count: usize) -> Vec<ListedApplication> {
        (0..count).map(|number| application(&format!("app-{number:03}"), "running")).collect()
    }

    #[test]
    fn a_long_list_is_paged() {
        let list = Listing::new(many(120), "", 2, "");
        assert_eq!((list.first, list.last, list.total), (51, 100, 120));
        assert_eq!(list.rows[0].id, "app-050");
        assert_eq!(list.previous.as_deref(), Some("/admin/?search=&page=1#applications"));
        assert_eq!(list.next.as_deref(), Some("/admin/?search=&page=3#applications"));
        let last = Listing::new(many(120), "", usize::MAX, "");
        assert_eq!((last.first, last.last, last.next.is_none()), (101, 120, true));
        assert_eq!(Listing::new(many(50), "", 0, "").next, None, "one full page has no second");
    }

    #[test]
    fn one_searches_by_id_or_name() {
        let mut applications = many(3);
        applications[1].name = "Sales & Büro".into();
        let found: Vec<_> = Listing::new(applications, " BÜRO ", 1, "")
            .rows
            .into_iter()
            .map(|row| row.application.id)
            .collect();
        assert_eq!(found, ["app-001"]);
        let list = Listing::new(many(200), "app&0", 1, "");
        assert!(list.rows.is_empty());
        let list = Listing::new(many(200), "app-", 1, "");
        assert_eq!(list.next.as_deref(), Some("/admin/?search=app-&page=2#applications"));
    }

    #[test]
    fn each_application_is_visited_under_its_own_path() {
        let list =
            Listing::new(vec![application("main", "running"), application("crm", "stopped")], "", 1, "");
        assert_eq!([&*list.rows[0].path, &*list.rows[1].path], ["/admin/", "/apps/crm/admin/"]);
    }

    #[test]
    fn a_notice_cannot_be_made_up() {
        assert_eq!(notice("stopped", "crm").unwrap().text, "crm is stopped; visits do not start it.");
        assert!(notice("stopped", "crm. Call 555 now").is_none());
        assert!(notice("deleted", "crm").is_none());
    }
}
