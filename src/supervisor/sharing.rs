//! Places that are named twice.
//!
//! An application has its directory and its database for itself. Where somebody changed the registry so
//! that two rows name one place, it stays with one of them; the other cannot run, and removing one of
//! them for good leaves what the other names.

use std::collections::HashMap;

use crate::protocol::{AppId, RpcError};

use super::Supervisor;
use super::provision::{Places, Shared};
use super::registry::{DeletedRegistration, Registration};

/// Who has a place, as sentences call it.
type Holders = HashMap<String, String>;

impl Supervisor {
    /// The places of an application; `None` where the registry does not say which.
    fn places(&self, registration: &Registration) -> Option<Places> {
        match &registration.provision {
            Some(provision) => Some(self.premises.places(provision, &self.location(registration))),
            None if registration.id.is_main() => {
                let place = self.options.main_location.place();
                Some(Places { directory: place.clone(), database: place })
            }
            None => None,
        }
    }

    /// Finds the applications that name another's place. It stays with the one whose name it bears, else
    /// with the first; the others are damaged.
    pub(super) fn settle_places(&self, registrations: &mut [Registration]) {
        let all: Vec<_> = registrations.iter().map(|one| self.places(one)).collect();
        let main = self.options.main_location.place();
        // By name: whether it bears another's, and which of them has it.
        let mut holders: HashMap<&str, (bool, usize)> = HashMap::new();
        for (at, places) in all.iter().enumerate() {
            let (Some(places), Some(provision)) = (places, &registrations[at].provision) else { continue };
            let holder = (!self.premises.is_named_after(&registrations[at].id, provision), at);
            for place in [&*places.directory, &*places.database] {
                let first = holders.entry(place).or_insert(holder);
                *first = (*first).min(holder);
            }
        }
        let ids: Vec<AppId> = registrations.iter().map(|one| one.id.clone()).collect();
        for (at, places) in all.iter().enumerate() {
            let Some(places) = places else { continue };
            let who = |place: &str| match holders.get(place) {
                _ if place == main => Some(application(&AppId::main())),
                Some((_, holder)) if *holder != at => Some(application(&ids[*holder])),
                _ => None,
            };
            let shared = Shared { directory: who(&places.directory), database: who(&places.database) };
            registrations[at]
                .damage
                .provision
                .extend(shared.sentence().map(|sentence| format!("provision names the {sentence}")));
        }
    }

    /// The deleted applications, with what is damaged in that another has their places.
    pub(super) async fn examined_deleted(&self) -> Result<Vec<DeletedRegistration>, RpcError> {
        let mut all = self.all_deleted().await?;
        if all.is_empty() {
            return Ok(all);
        }
        let mut holders = Holders::new();
        for entry in self.all_entries() {
            if let Some(places) = self.places(&entry.registration.load()) {
                let who = application(&entry.id);
                holders.entry(places.directory).or_insert_with(|| who.clone());
                holders.entry(places.database).or_insert(who);
            }
        }
        for one in &mut all {
            let registration = &mut one.registration;
            let Some(places) = self.places(registration) else { continue };
            let who = |place: &str| holders.get(place).cloned();
            let shared = Shared { directory: who(&places.directory), database: who(&places.database) };
            registration
                .damage
                .provision
                .extend(shared.sentence().map(|sentence| format!("provision names the {sentence}")));
            let who = deleted(&registration.id);
            holders.entry(places.directory).or_insert_with(|| who.clone());
            holders.entry(places.database).or_insert(who);
        }
        Ok(all)
    }

    /// What of an application's places any other row names: one of an application but `id`, or one of the
    /// deleted ones but that with `key`.
    pub(super) async fn shared(
        &self,
        registration: &Registration,
        (id, key): (Option<&AppId>, Option<&str>),
    ) -> Result<Shared, RpcError> {
        let mut shared = Shared::default();
        let Some(own) = self.places(registration) else { return Ok(shared) };
        let mut look = |other: &Registration, who: fn(&AppId) -> String| {
            let Some(places) = self.places(other) else { return };
            let has = |place: &str| places.directory == place || places.database == place;
            for (place, holder) in
                [(&own.directory, &mut shared.directory), (&own.database, &mut shared.database)]
            {
                if holder.is_none() && has(place) {
                    *holder = Some(who(&other.id));
                }
            }
        };
        for entry in self.all_entries() {
            if id != Some(&entry.id) {
                look(&entry.registration.load(), application);
            }
        }
        for other in self.all_deleted().await? {
            if key != Some(other.key.as_str()) {
                look(&other.registration, deleted);
            }
        }
        Ok(shared)
    }
}

fn application(id: &AppId) -> String {
    format!("the application \"{id}\"")
}

fn deleted(id: &AppId) -> String {
    format!("the deleted application \"{id}\"")
}

impl Shared {
    /// What is another's, and whose; nothing where nothing is.
    pub(super) fn sentence(&self) -> Option<String> {
        Some(match (&self.database, &self.directory) {
            (Some(who), Some(_)) => format!("directory and database of {who}"),
            (Some(who), None) => format!("database of {who}"),
            (None, Some(who)) => format!("directory of {who}"),
            (None, None) => return None,
        })
    }
}
