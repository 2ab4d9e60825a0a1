//! Host names that an application may have as its domains.

use std::net::Ipv4Addr;

use crate::protocol::{ErrorKind, RpcError};

/// Checks domains and returns them in the form in which they are compared: lower case, without a final dot,
/// each once.
///
/// # Errors
/// `invalid_setting`, which quotes the first that is not a host name.
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

/// Whether a text is a host name by RFC 1123, section 2.1: labels of letters, digits and hyphens. An IPv4
/// address is not one.
fn is_host_name(name: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    };
    name.len() <= 253 && name.split('.').all(label) && name.parse::<Ipv4Addr>().is_err()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_host_names_are_accepted() {
        let given = ["CRM.Example.com".to_owned(), "crm.example.com.".to_owned(), "localhost".to_owned()];
        assert_eq!(normalize(&given).unwrap(), ["crm.example.com", "localhost"]);
        for bad in ["", ".", "http://x", "a:80", "a/b", "-a.com", "a..b", "127.0.0.1", "bücher.de", "a b"] {
            assert!(normalize(&[bad.to_owned()]).is_err(), "{bad:?}");
        }
    }
}
