//! Describes applications as the control socket shows them, and lists them page by page.

use std::cmp::Ordering;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;

use crate::database::{Location, Sessions};
use crate::protocol::{
    AppId, Application, ApplicationField, ApplicationList, ApplicationSummaries, ApplicationSummary,
    DatabaseDescription, DatabaseMode, Deletion, Labels, ListApplications, ListSummaries, RpcError, SortBy,
    State, sort_applications,
};

use super::Supervisor;
use super::entry::Entry;
use super::list_filter::{Candidate, ListFilter};
use super::registry::{DeletedRegistration, Provision, Registration};
use super::secrets::DATABASE_PASSWORD;
use super::state_machine::CurrentState;

/// The sort key of an application in a list: by ID, the main one first.
fn sort_key(id: &AppId) -> (bool, &AppId) {
    (!id.is_main(), id)
}

/// The main application's name: its title, while it runs.
fn title_of_main(entry: &Entry) -> Option<String> {
    let running = entry.id.is_main().then(|| entry.running())?;
    running.map(|running| running.app.title().to_string())
}

fn passes(filter: &ListFilter<'_>, entry: &Entry) -> bool {
    if filter.is_empty() {
        return true;
    }
    let registration = entry.registration.load();
    let title = title_of_main(entry);
    let candidate = Candidate {
        id: &entry.id,
        name: title.as_deref().unwrap_or(&registration.name),
        state: entry.state(),
        engine: entry.location.engine().as_str(),
        registration: &registration,
    };
    filter.passes(&candidate)
}

/// How many applications are on a page: at most `most`.
fn page_size(most: usize, limit: Option<NonZeroU32>) -> usize {
    limit.and_then(|limit| usize::try_from(limit.get()).ok()).map_or(most, |limit| limit.min(most))
}

fn sort(applications: &mut [Application], order: &[SortBy]) {
    sort_applications(applications, order, ApplicationField::sort_value, |application| &application.id);
}

pub(super) fn in_order(one: &Arc<Entry>, other: &Arc<Entry>) -> Ordering {
    sort_key(&one.id).cmp(&sort_key(&other.id))
}

impl Supervisor {
    /// Describes an application.
    pub fn get(&self, id: &AppId) -> Result<Application, RpcError> {
        self.entry(id).map(|entry| self.describe(&entry))
    }

    /// Describes all applications, by ID, the main one first.
    pub fn list(&self) -> Vec<Application> {
        let mut entries = self.all_entries();
        entries.sort_unstable_by(in_order);
        entries.iter().map(|entry| self.describe(entry)).collect()
    }

    /// Describes a page of the applications, or the deleted ones.
    pub async fn list_some(&self, list: ListApplications) -> Result<ApplicationList, RpcError> {
        let filter = ListFilter { states: &list.states, conditions: &list.conditions };
        if list.deleted {
            let mut deleted = self.deleted_with_damage().await?;
            deleted.retain(|deleted| self.passes_deleted(&filter, &deleted.registration));
            let mut applications: Vec<Application> =
                deleted.iter().map(|deleted| self.describe_deleted(deleted)).collect();
            sort(&mut applications, &list.order);
            // Not in pages: an ID can occur more than once, so that it does not identify where a page ends.
            applications.truncate(page_size(usize::MAX, list.limit));
            return Ok(ApplicationList { applications, next: None });
        }
        let size = page_size(ApplicationList::PAGE, list.limit);
        let (entries, next) = match list.order.is_empty() {
            true => self.page(&filter, list.after.as_ref(), size),
            false => (self.passing(&filter), None),
        };
        let described = entries.iter().map(|entry| self.describe(entry));
        // A state may have changed since the page was chosen.
        let mut applications: Vec<Application> =
            described.filter(|application| filter.passes_state(application.state)).collect();
        let is_by_size = list.order.iter().any(|by| by.field == ApplicationField::Size);
        if is_by_size {
            self.measure(&mut applications).await;
        }
        sort(&mut applications, &list.order);
        applications.truncate(size);
        if list.sizes && !is_by_size {
            self.measure(&mut applications).await;
        }
        Ok(ApplicationList { applications, next })
    }

    /// Summarizes a page of the applications, for a table.
    pub fn summaries(&self, list: &ListSummaries) -> ApplicationSummaries {
        let filter = ListFilter { states: &list.states, conditions: &list.conditions };
        let size = page_size(ApplicationSummaries::PAGE, list.limit);
        let (entries, next) = self.page(&filter, list.after.as_ref(), size);
        let summaries = entries.iter().map(|entry| self.summarize(entry, list.labels));
        let applications = summaries.filter(|summary| filter.passes_state(summary.state)).collect();
        ApplicationSummaries { applications, next }
    }

    /// Returns the first `size` entries that pass a filter after an application, in order. If there are more,
    /// returns the last one's ID, too.
    fn page(
        &self,
        filter: &ListFilter<'_>,
        after: Option<&AppId>,
        size: usize,
    ) -> (Vec<Arc<Entry>>, Option<AppId>) {
        let mut entries = self.all_entries();
        entries.retain(|entry| {
            let comes = after.is_none_or(|after| sort_key(&entry.id) > sort_key(after));
            comes && passes(filter, entry)
        });
        let more = entries.len() > size;
        if more {
            // Sorts only this page.
            entries.select_nth_unstable_by(size, in_order);
            entries.truncate(size);
        }
        entries.sort_unstable_by(in_order);
        let next = entries.last().filter(|_| more).map(|last| last.id.clone());
        (entries, next)
    }

    /// All entries that pass a filter, in no order.
    fn passing(&self, filter: &ListFilter<'_>) -> Vec<Arc<Entry>> {
        let mut entries = self.all_entries();
        entries.retain(|entry| passes(filter, entry));
        entries
    }

    fn passes_deleted(&self, filter: &ListFilter<'_>, registration: &Registration) -> bool {
        // The states of a list are those of applications that are there.
        let filter = ListFilter { states: &[], ..*filter };
        if filter.is_empty() {
            return true;
        }
        let candidate = Candidate {
            id: &registration.id,
            name: &registration.name,
            state: State::NotFound,
            engine: self.location(registration).engine().as_str(),
            registration,
        };
        filter.passes(&candidate)
    }

    fn summarize(&self, entry: &Entry, with_labels: bool) -> ApplicationSummary {
        let registration = entry.registration.load();
        ApplicationSummary {
            id: entry.id.clone(),
            name: title_of_main(entry).unwrap_or_else(|| registration.name.clone()),
            state: entry.state(),
            start_mode: registration.start_mode(),
            url: self.url(&entry.id),
            labels: if with_labels { registration.labels() } else { Labels::new() },
        }
    }

    pub(crate) fn describe(&self, entry: &Entry) -> Application {
        let current = entry.current_state();
        let running = entry.running();
        let registration = entry.registration.load();
        let mut application = self.describe_registration(&registration, &entry.location, current);
        if let Some(running) = running {
            application.started_at = Some(running.started_at);
            application.requests_in_flight = running.in_flight();
            let database = running.app.source().database();
            application.database.connections = database.connections();
            application.database.shared_sessions = database.sessions() == Some(Sessions::Shared);
        }
        if let Some(title) = title_of_main(entry) {
            application.name = title;
        }
        application
    }

    /// Describes a registration as an application in this state.
    pub(crate) fn describe_registration(
        &self,
        registration: &Registration,
        location: &Location,
        current: CurrentState,
    ) -> Application {
        Application {
            id: registration.id.clone(),
            name: registration.name.clone(),
            state: current.state,
            reason: current.reason,
            start_mode: registration.start_mode(),
            url: self.url(&registration.id),
            domains: registration.domains(),
            database: DatabaseDescription {
                mode: registration.provision.as_ref().map_or(DatabaseMode::Database, Provision::mode),
                engine: location.engine().as_str().to_owned(),
                location: location.to_string(),
                server: location.server_database().map(|at| at.server.to_string()),
                database: location.server_database().map(|at| at.name.clone()),
                schema: location.server_database().and_then(|at| at.schema.clone()),
                table_prefix: self.table_prefix(registration),
                size: None,
                connections: None,
                shared_sessions: false,
            },
            upgrade: registration.upgrade(),
            environment: "local".to_owned(),
            idle_stop_seconds: registration.idle_stop_seconds(),
            limits: self.limits(registration, location),
            own_limits: registration.limits().into_keys().collect(),
            access_log: self.access_log(registration),
            own_access_log: registration.access_log().is_some(),
            labels: registration.labels(),
            inventory: registration.inventory(),
            protected: registration.protected(),
            pinned: registration.pinned == Some(true),
            icon: registration.icon.clone(),
            created_at: registration.created_at,
            updated_at: registration.updated_at,
            started_at: None,
            requests_in_flight: 0,
            deleted: None,
        }
    }

    fn table_prefix(&self, registration: &Registration) -> Option<String> {
        let provision = registration.provision.as_ref();
        let prefix = provision.map_or(&self.options.table_prefix, |provision| &provision.table_prefix);
        Some(prefix.clone()).filter(|prefix| !prefix.is_empty())
    }

    pub(super) fn describe_deleted(&self, deleted: &DeletedRegistration) -> Application {
        let registration = &deleted.registration;
        let location = self.location(registration);
        let unfinished = deleted.purging.then(|| unfinished_purge(&registration.id));
        let current = CurrentState {
            reason: registration.damage.reason_of_deleted(&registration.id).or(unfinished),
            ..CurrentState::now(State::NotFound)
        };
        let mut application = self.describe_registration(registration, &location, current);
        application.deleted = Some(self.deletion(deleted));
        application
    }

    pub(crate) fn deletion(&self, deleted: &DeletedRegistration) -> Deletion {
        Deletion {
            at: deleted.deleted_at,
            until: deleted.deleted_at + time_delta(self.options.keep_deleted),
            purging: deleted.purging,
        }
    }

    pub(crate) fn location(&self, registration: &Registration) -> Location {
        match &registration.provision {
            Some(provision) => {
                let sealed =
                    provision.connection.as_ref().and_then(|connection| connection.password.as_deref());
                let password = sealed.and_then(|sealed| self.database_password(&registration.id, sealed));
                self.storage.location(provision, password)
            }
            None if registration.id.is_main() => self.options.main_location.clone(),
            None => self.storage.default_location(&registration.id),
        }
    }

    /// Decrypts the password of a database. `None` if it was encrypted with another key: the error is logged, and
    /// the server refuses the connection.
    fn database_password(&self, id: &AppId, sealed: &str) -> Option<String> {
        let opened = self.key.open(id, DATABASE_PASSWORD, sealed);
        opened
            .inspect_err(
                |error| tracing::error!(app = %id, %error, "the password of its database cannot be decrypted"),
            )
            .ok()
            .and_then(|password| String::from_utf8(password).ok())
    }

    /// The URL of an application's pages.
    pub(crate) fn url(&self, id: &AppId) -> String {
        let main = &self.options.main_url;
        if id.is_main() { format!("{main}/admin/") } else { format!("{main}/apps/{id}/admin/") }
    }
}

/// Describes a purge that has begun and is not finished.
pub(super) fn unfinished_purge(id: &AppId) -> String {
    format!("its purge is not finished; nbapps delete {id} --purge finishes it")
}

pub(crate) fn time_delta(duration: Duration) -> TimeDelta {
    TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX / 4)
}
