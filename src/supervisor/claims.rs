//! Resolves conflicts between rows of the registry that claim the same storage or domain.
//!
//! Each directory, database and domain belongs to one application. If somebody changed the registry so that two
//! rows name one of these, it stays with one of them. The other cannot run, and a purge of either keeps what the
//! other names.

use std::collections::HashMap;
use std::fmt;

use crate::protocol::{AppId, RpcError};

use super::Supervisor;
use super::registry::{DeletedRegistration, Registration};
use super::storage::{SharedStorage, StorageIdentity};

/// An application that claims something; displayed as messages name it.
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

/// The position of a claimant. Of two equally good claims, that of the lower number prevails.
type Number = usize;

/// The best claim to each storage or domain, by name.
#[derive(Debug, Default)]
struct ClaimTable {
    claimants: Vec<Claimant>,
    held: HashMap<String, (Claim, Number)>,
}

/// How good a claim is, the best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Claim {
    /// Something besides the row itself supports the claim.
    Confirmed,
    Unconfirmed,
}

impl ClaimTable {
    fn add(&mut self, claimant: Claimant) -> Number {
        self.claimants.push(claimant);
        self.claimants.len() - 1
    }

    fn claim(&mut self, name: String, claim: Claim, by: Number) {
        let holder = self.held.entry(name).or_insert((claim, by));
        *holder = (*holder).min((claim, by));
    }

    fn claim_storage(&mut self, storage: &StorageIdentity, claim: Claim, by: Number) {
        self.claim(storage.directory.clone(), claim, by);
        self.claim(storage.database.clone(), claim, by);
    }

    /// Returns who has something, if that is another claimant.
    fn other(&self, name: &str, than: Option<Number>) -> Option<&Claimant> {
        let (_, holder) = self.held.get(name)?;
        (Some(*holder) != than).then(|| &self.claimants[*holder])
    }

    /// Returns what of a storage belongs to another claimant.
    fn shared(&self, storage: &StorageIdentity, by: Option<Number>) -> SharedStorage {
        let owner = |name: &str| self.other(name, by).map(ToString::to_string);
        SharedStorage { directory: owner(&storage.directory), database: owner(&storage.database) }
    }

    /// Adds to the damage of a registration what of its storage belongs to another claimant.
    fn record_shared(&self, registration: &mut Registration, storage: &StorageIdentity, by: Number) {
        let sentence = self.shared(storage, Some(by)).sentence();
        registration
            .damage
            .provision
            .extend(sentence.map(|sentence| format!("provision names the {sentence}")));
    }
}

impl Supervisor {
    /// Returns the storage of an application; `None` if the registry does not say which.
    fn storage_identity(&self, registration: &Registration) -> Option<StorageIdentity> {
        match &registration.provision {
            Some(provision) => Some(self.storage.identity(provision, &self.location(registration))),
            None if registration.id.is_main() => {
                let name = self.options.main_location.identity();
                Some(StorageIdentity { directory: name.clone(), database: name })
            }
            None => None,
        }
    }

    /// Finds applications that claim the same storage. It stays with the one whose ID is in its name, else with
    /// the oldest. The others are damaged.
    pub(super) fn resolve_storage_claims(&self, registrations: &mut [Registration]) {
        let mut claims = ClaimTable::default();
        let main = claims.add(Claimant::Registered(AppId::main()));
        claims.claim(self.options.main_location.identity(), Claim::Confirmed, main);
        let mut all = Vec::with_capacity(registrations.len());
        for one in &*registrations {
            let number = claims.add(Claimant::Registered(one.id.clone()));
            let storage = self.storage_identity(one);
            if let (Some(storage), Some(provision)) = (&storage, &one.provision) {
                let has_its_name = self.storage.is_named_after(&one.id, provision);
                let claim = if has_its_name { Claim::Confirmed } else { Claim::Unconfirmed };
                claims.claim_storage(storage, claim, number);
            }
            all.push((number, storage));
        }
        for (one, (number, storage)) in registrations.iter_mut().zip(&all) {
            if let Some(storage) = storage {
                claims.record_shared(one, storage, *number);
            }
        }
    }

    /// Finds applications that claim the same domain, and routes each domain to its owner: the application that
    /// the host assigned it to, else the oldest. The others are damaged.
    pub(super) fn resolve_domain_claims(&self, registrations: &mut [Registration]) {
        let mut claims = ClaimTable::default();
        for one in &*registrations {
            let number = claims.add(Claimant::Registered(one.id.clone()));
            for domain in one.sound_domains() {
                let is_assigned =
                    one.provision.as_ref().is_some_and(|provision| provision.domains.contains(&domain));
                claims.claim(domain, if is_assigned { Claim::Confirmed } else { Claim::Unconfirmed }, number);
            }
        }
        for (number, one) in registrations.iter_mut().enumerate() {
            for domain in one.sound_domains() {
                if let Some(other) = claims.other(&domain, Some(number)) {
                    one.damage.row.push(format!("the domain {domain} belongs to {other}"));
                }
            }
        }
        let domains = self.domains.pin();
        for (domain, (_, holder)) in claims.held {
            domains.insert(domain, registrations[holder].id.clone());
        }
    }

    /// Returns the deleted applications. The damage of each includes storage that another claims, too.
    pub(super) async fn deleted_with_damage(&self) -> Result<Vec<DeletedRegistration>, RpcError> {
        let mut all = self.all_deleted().await?;
        if all.is_empty() {
            return Ok(all);
        }
        let mut claims = self.storage_claims(None);
        for one in &mut all {
            let registration = &mut one.registration;
            let Some(storage) = self.storage_identity(registration) else { continue };
            let number = claims.add(Claimant::Deleted(registration.id.clone()));
            claims.claim_storage(&storage, Claim::Unconfirmed, number);
            claims.record_shared(registration, &storage, number);
        }
        Ok(all)
    }

    /// Returns what of an application's storage another row names. Ignores the rows of the application `id` and
    /// of the deleted application with `key`.
    pub(super) async fn shared_storage(
        &self,
        registration: &Registration,
        (id, key): (Option<&AppId>, Option<&str>),
    ) -> Result<SharedStorage, RpcError> {
        let Some(own) = self.storage_identity(registration) else { return Ok(SharedStorage::default()) };
        let mut claims = self.storage_claims(id);
        for other in self.all_deleted().await?.into_iter().filter(|other| key != Some(other.key.as_str())) {
            if let Some(storage) = self.storage_identity(&other.registration) {
                let number = claims.add(Claimant::Deleted(other.registration.id));
                claims.claim_storage(&storage, Claim::Unconfirmed, number);
            }
        }
        Ok(claims.shared(&own, None))
    }

    /// Returns the claims of all applications but one to their storage.
    fn storage_claims(&self, without: Option<&AppId>) -> ClaimTable {
        let mut claims = ClaimTable::default();
        for entry in self.all_entries().into_iter().filter(|entry| without != Some(&entry.id)) {
            if let Some(storage) = self.storage_identity(&entry.registration.load()) {
                let number = claims.add(Claimant::Registered(entry.id.clone()));
                claims.claim_storage(&storage, Claim::Unconfirmed, number);
            }
        }
        claims
    }
}

impl SharedStorage {
    /// Says what belongs to another, and to whom; `None` if nothing does.
    pub(super) fn sentence(&self) -> Option<String> {
        Some(match (&self.database, &self.directory) {
            (Some(owner), Some(_)) => format!("directory and database of {owner}"),
            (Some(owner), None) => format!("database of {owner}"),
            (None, Some(owner)) => format!("directory of {owner}"),
            (None, None) => return None,
        })
    }
}
