//! Custom domains: which names are allowed, and that each belongs to one application.

use std::net::Ipv4Addr;

use crate::protocol::{AppId, ErrorKind, RpcError};

use super::Supervisor;
use super::registry::Registration;

/// Checks host names and writes them as they are compared: lower case, without a final dot.
pub(crate) fn normalize(domains: &[String]) -> Result<Vec<String>, RpcError> {
    let mut names = Vec::with_capacity(domains.len());
    for domain in domains {
        let name = domain.trim_end_matches('.').to_ascii_lowercase();
        if !is_host_name(&name) {
            return Err(RpcError::new(ErrorKind::InvalidSetting, format!("\"{domain}\" is not a domain"))
                .hint("give a host name alone, without scheme, port or path, for example crm.example.com"));
        }
        if !names.contains(&name) {
            names.push(name);
        }
    }
    Ok(names)
}

/// RFC 1123, section 2.1: labels of letters, digits and hyphens, and no address.
fn is_host_name(name: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    };
    name.len() <= 253 && name.split('.').all(label) && name.parse::<Ipv4Addr>().is_err()
}

impl Supervisor {
    /// That none of these belongs to an application other than `id`.
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
                .hint(format!("take it away there first: nbapps update {owner} --no-domains")));
            }
        }
        Ok(())
    }

    /// Takes out of a registration the domains that belong to other applications.
    pub(crate) fn leave_domains_of_others(&self, registration: &mut Registration) {
        let taken = self.domains.pin();
        let mut own = registration.domains();
        own.retain(|domain| taken.get(domain).is_none_or(|owner| *owner == registration.id));
        registration.set_domains(&own);
    }

    /// Takes away from `id` the domains it had and gives it these; what is another's stays with it.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_names_are_told_from_other_things() {
        let given = ["CRM.Example.com".to_owned(), "crm.example.com.".to_owned(), "localhost".to_owned()];
        assert_eq!(normalize(&given).unwrap(), ["crm.example.com", "localhost"]);
        for bad in ["", ".", "http://x", "a:80", "a/b", "-a.com", "a..b", "127.0.0.1", "bücher.de", "a b"] {
            assert!(normalize(&[bad.to_owned()]).is_err(), "{bad:?}");
        }
    }
}
