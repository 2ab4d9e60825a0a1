//! The version of an application's system tables.

use std::cmp::Ordering;

use semver::Version;

use super::VERSION;
use crate::app::error::AppError;
use crate::data::{DataSource, Query, Sort};

/// The version of the system tables that this host writes (`applicationVersion`).
pub const SYSTEM_VERSION: &str = env!("CARGO_PKG_VERSION");

/// Checks the version of an application's system tables, and changes nothing. Returns the version, which is the
/// host's or an older one.
pub async fn check(source: &DataSource) -> Result<String, AppError> {
    let database = source.database().location();
    if !source.has_table(&VERSION).await? {
        return Err(AppError::Invalid(format!("{database} holds no application: it has no system tables")));
    }
    let newest = source.find_one(&VERSION, Query::default().sort(Sort::descending("id"))).await?;
    let found = newest.as_ref().and_then(|record| record.get("value")?.as_str()).unwrap_or_default();
    match compare(found) {
        // No version so far has changed the tables of the one before.
        Some(Ordering::Less | Ordering::Equal) => Ok(found.to_owned()),
        Some(Ordering::Greater) => {
            Err(AppError::TooNew { found: found.to_owned(), known: SYSTEM_VERSION.to_owned() })
        }
        None => Err(AppError::Invalid(format!("{database} says \"{found}\" where its version should be"))),
    }
}

/// Compares `found` with the host's version; `None` if it is no version.
fn compare(found: &str) -> Option<Ordering> {
    let host = Version::parse(SYSTEM_VERSION).ok()?;
    Some(Version::parse(found).ok()?.cmp_precedence(&host))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_versions() {
        let host = Version::parse(SYSTEM_VERSION).unwrap();
        let next = Version { minor: host.minor + 10, ..host.clone() };
        assert_eq!(compare(SYSTEM_VERSION), Some(Ordering::Equal));
        assert_eq!(compare(&next.to_string()), Some(Ordering::Greater));
        assert_eq!(compare(&format!("{SYSTEM_VERSION}-alpha.1")), Some(Ordering::Less));
        assert_eq!(compare("0.0.9"), Some(Ordering::Less));
        assert_eq!(compare(""), None);
        assert_eq!(compare("newest"), None);
    }
}
