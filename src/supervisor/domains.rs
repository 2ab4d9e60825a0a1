//! The routes from domains to applications. Each domain belongs to at most one application.

use crate::protocol::{AppId, ErrorKind, RpcError};

use super::Supervisor;
use super::host_name::normalize;
use super::registry::Registration;

impl Registration {
    /// Removes domains, if it has them, then adds others; the rest stays as it is.
    pub(crate) fn change_domains(&mut self, removed: &[String], added: &[String]) -> Result<(), RpcError> {
        if removed.is_empty() && added.is_empty() {
            return Ok(());
        }
        let (removed, added) = (normalize(removed)?, normalize(added)?);
        let mut domains = self.domains();
        domains.retain(|domain| !removed.contains(domain));
        domains.extend(added);
        self.set_domains(&normalize(&domains)?);
        Ok(())
    }
}

impl Supervisor {
    /// Fails if any of these domains belongs to an application other than `id`.
    pub(crate) fn check_domains(&self, id: &AppId, domains: &[String]) -> Result<(), RpcError> {
        let taken = self.domains.pin();
        for domain in domains {
            if let Some(owner) = taken.get(domain)
                && owner != id
            {
                return Err(RpcError::new(
                    ErrorKind::DomainTaken,
                    format!("the domain {domain} belongs to the application \"{owner}\""),
                )
                .hint(format!("remove it there first: nbapps update {owner} --no-domains")));
            }
        }
        Ok(())
    }

    /// Removes from a registration the domains that belong to other applications.
    pub(crate) fn remove_domains_of_others(&self, registration: &mut Registration) {
        let taken = self.domains.pin();
        let mut own = registration.domains();
        own.retain(|domain| taken.get(domain).is_none_or(|owner| *owner == registration.id));
        registration.set_domains(&own);
    }

    /// Routes the domains in `now` to `id`, and no longer those that are only in `before`. A domain of another
    /// application keeps its route.
    pub(crate) fn route_domains(&self, id: &AppId, before: &[String], now: &[String]) {
        let domains = self.domains.pin();
        for domain in before.iter().filter(|domain| !now.contains(domain)) {
            let _ = domains.remove_if(domain, |_, owner| owner == id);
        }
        for domain in now {
            domains.get_or_insert_with(domain.clone(), || id.clone());
        }
    }
}
