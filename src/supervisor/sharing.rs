//! What two rows of the registry claim: places and domains.
//!
//! An application has its directory, its database and its domains for itself. Where somebody changed the
//! registry so that two rows name one of these, it stays with one of them; the other cannot run, and
//! removing one of them for good leaves what the other names.

use std::collections::HashMap;
use std::fmt;

use crate::protocol::{AppId, RpcError};

use super::Supervisor;
use super::registry::{DeletedRegistration, Registration};
use super::storage::{Places, Shared};

/// Whoever claims something, as sentences call it.
#[derive(Debug)]
enum Claimant {
    Registered(AppId),
    Deleted(AppId),
}

impl fmt::Display for Claimant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Registered(id) => write!(f, "the application \"{id}\""),
            Self::Deleted(id) => write!(f, "the deleted application \"{id}\""),
        }
    }
}

/// The number of a claimant: one of two claims is the better one, else that of the lower number.
type Number = usize;

/// Who has what, by its name.
#[derive(Debug, Default)]
struct Holders {
    claimants: Vec<Claimant>,
    held: HashMap<String, (Claim, Number)>,
}

/// How good a claim is; the best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Claim {
    /// Something else says so, too.
    Confirmed,
    Alone,
}

impl Holders {
    fn add(&mut self, claimant: Claimant) -> Number {
        self.claimants.push(claimant);
        self.claimants.len() - 1
    }

    fn claim(&mut self, name: String, claim: Claim, by: Number) {
        let holder = self.held.entry(name).or_insert((claim, by));
        *holder = (*holder).min((claim, by));
    }

    fn claim_places(&mut self, places: &Places, claim: Claim, by: Number) {
        self.claim(places.directory.clone(), claim, by);
        self.claim(places.database.clone(), claim, by);
    }

    /// Who else has something.
    fn other(&self, name: &str, than: Option<Number>) -> Option<&Claimant> {
        let (_, holder) = self.held.get(name)?;
        (Some(*holder) != than).then(|| &self.claimants[*holder])
    }

    /// What of some places is another's.
    fn shared(&self, places: &Places, by: Option<Number>) -> Shared {
        let who = |place: &str| self.other(place, by).map(ToString::to_string);
        Shared { directory: who(&places.directory), database: who(&places.database) }
    }

    /// Says of a registration what of its places is another's.
    fn note_shared(&self, registration: &mut Registration, places: &Places, by: Number) {
        let sentence = self.shared(places, Some(by)).sentence();
        registration
            .damage
            .provision
            .extend(sentence.map(|sentence| format!("provision names the {sentence}")));
    }
}

impl Supervisor {
    /// The places of an application; `None` where the registry does not say which.
    fn places(&self, registration: &Registration) -> Option<Places> {
        match &registration.provision {
            Some(provision) => Some(self.premises.places(provision, &self.location(registration))),
            None if registration.id.is_main() => {
                let place = self.options.main_location.identity();
                Some(Places { directory: place.clone(), database: place })
            }
            None => None,
        }
    }

    /// Finds the applications that name another's place. It stays with the one whose name it bears, else
    /// with the one that was made first; the others are damaged.
    pub(super) fn settle_places(&self, registrations: &mut [Registration]) {
        let mut holders = Holders::default();
        let main = holders.add(Claimant::Registered(AppId::main()));
        holders.claim(self.options.main_location.identity(), Claim::Confirmed, main);
        let mut all = Vec::with_capacity(registrations.len());
        for one in &*registrations {
            let number = holders.add(Claimant::Registered(one.id.clone()));
            let places = self.places(one);
            if let (Some(places), Some(provision)) = (&places, &one.provision) {
                let bears_its_name = self.premises.is_named_after(&one.id, provision);
                let claim = if bears_its_name { Claim::Confirmed } else { Claim::Alone };
                holders.claim_places(places, claim, number);
            }
            all.push((number, places));
        }
        for (one, (number, places)) in registrations.iter_mut().zip(&all) {
            if let Some(places) = places {
                holders.note_shared(one, places, *number);
            }
        }
    }

    /// Finds the applications that name another's domain, and routes each domain to the one that has it:
    /// the one that the host has given it to, else the one that was made first. The others are damaged.
    pub(super) fn settle_domains(&self, registrations: &mut [Registration]) {
        let mut holders = Holders::default();
        for one in &*registrations {
            let number = holders.add(Claimant::Registered(one.id.clone()));
            for domain in one.sound_domains() {
                let given = one.provision.as_ref().is_some_and(|made| made.domains.contains(&domain));
                holders.claim(domain, if given { Claim::Confirmed } else { Claim::Alone }, number);
            }
        }
        for (number, one) in registrations.iter_mut().enumerate() {
            for domain in one.sound_domains() {
                if let Some(other) = holders.other(&domain, Some(number)) {
                    one.damage.row.push(format!("the domain {domain} belongs to {other}"));
                }
            }
        }
        let domains = self.domains.pin();
        for (domain, (_, holder)) in holders.held {
            domains.insert(domain, registrations[holder].id.clone());
        }
    }

    /// The deleted applications, with what is damaged in that another has their places.
    pub(super) async fn examined_deleted(&self) -> Result<Vec<DeletedRegistration>, RpcError> {
        let mut all = self.all_deleted().await?;
        if all.is_empty() {
            return Ok(all);
        }
        let mut holders = self.holders(None);
        for one in &mut all {
            let registration = &mut one.registration;
            let Some(places) = self.places(registration) else { continue };
            let number = holders.add(Claimant::Deleted(registration.id.clone()));
            holders.claim_places(&places, Claim::Alone, number);
            holders.note_shared(registration, &places, number);
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
        let Some(own) = self.places(registration) else { return Ok(Shared::default()) };
        let mut holders = self.holders(id);
        for other in self.all_deleted().await?.into_iter().filter(|other| key != Some(other.key.as_str())) {
            if let Some(places) = self.places(&other.registration) {
                let number = holders.add(Claimant::Deleted(other.registration.id));
                holders.claim_places(&places, Claim::Alone, number);
            }
        }
        Ok(holders.shared(&own, None))
    }

    /// Who has which place, of all applications but one.
    fn holders(&self, without: Option<&AppId>) -> Holders {
        let mut holders = Holders::default();
        for entry in self.all_entries().into_iter().filter(|entry| without != Some(&entry.id)) {
            if let Some(places) = self.places(&entry.registration.load()) {
                let number = holders.add(Claimant::Registered(entry.id.clone()));
                holders.claim_places(&places, Claim::Alone, number);
            }
        }
        holders
    }
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
