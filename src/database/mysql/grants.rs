//! Reads `SHOW GRANTS`: which privileges a user has in the databases of a server.

/// The privileges that an application needs in its database.
pub(super) const NEEDED: [&str; 9] =
    ["SELECT", "INSERT", "UPDATE", "DELETE", "CREATE", "DROP", "ALTER", "INDEX", "REFERENCES"];

/// The grants of a user, as the server lists them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Grants {
    grants: Vec<Grant>,
    /// Whether the user has roles whose privileges the server may not have listed.
    pub(super) has_roles: bool,
}

/// One line of the list. On tables, columns and routines there is none here: they do not suffice for an application.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Grant {
    /// Whether it takes privileges away from a wider grant (MySQL's partial revokes).
    revokes: bool,
    /// In upper case.
    privileges: Vec<String>,
    /// The pattern of the databases' names; `None` for all databases.
    databases: Option<String>,
}

impl Grants {
    /// Parses the lines. Lines of another form are skipped.
    pub(super) fn parse(lines: &[String]) -> Self {
        let has_roles = lines.iter().any(|line| line.starts_with("GRANT ") && !line.contains(" ON "));
        Self { grants: lines.iter().filter_map(|line| Grant::parse(line)).collect(), has_roles }
    }

    /// The privileges of [`NEEDED`] that the user lacks in a database.
    pub(super) fn missing_in(&self, database: &str) -> Vec<&'static str> {
        let applying: Vec<_> = self.grants.iter().filter(|grant| grant.applies_to(database)).collect();
        let has = |privilege: &str, revokes| {
            let gives = |grant: &&Grant| {
                let all = |given: &String| given == "ALL PRIVILEGES" || given == "ALL" || given == privilege;
                grant.revokes == revokes && grant.privileges.iter().any(all)
            };
            applying.iter().any(gives)
        };
        NEEDED.into_iter().filter(|privilege| !has(privilege, false) || has(privilege, true)).collect()
    }
}

impl Grant {
    fn parse(line: &str) -> Option<Self> {
        let (revokes, rest) = match line.strip_prefix("GRANT ") {
            Some(rest) => (false, rest),
            None => (true, line.strip_prefix("REVOKE ")?),
        };
        let (privileges, rest) = rest.split_once(" ON ")?;
        let (target, _) = rest.split_once(if revokes { " FROM " } else { " TO " })?;
        let databases = match target.strip_suffix(".*")? {
            "*" => None,
            quoted => Some(quoted.trim_matches('`').replace("``", "`")),
        };
        let privileges = privileges.split(',').map(|name| name.trim().to_ascii_uppercase()).collect();
        Some(Self { revokes, privileges, databases })
    }

    fn applies_to(&self, database: &str) -> bool {
        self.databases.as_ref().is_none_or(|pattern| matches(pattern.as_bytes(), database.as_bytes()))
    }
}

/// Whether a name fits the pattern of a grant: `%` is any text, `_` any character, and a backslash takes their
/// meaning away.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    match (pattern, name) {
        ([], name) => name.is_empty(),
        ([b'%', rest @ ..], name) => (0..=name.len()).any(|from| matches(rest, &name[from..])),
        ([b'_', rest @ ..], [_, name @ ..]) => matches(rest, name),
        ([b'\\', wanted, rest @ ..], [first, name @ ..]) => wanted == first && matches(rest, name),
        ([wanted, rest @ ..], [first, name @ ..]) => wanted == first && matches(rest, name),
        (_, []) => false,
    }
}

/// The pattern that fits this name alone.
pub(super) fn escaped(name: &str) -> String {
    name.replace('\\', "\\\\").replace('_', "\\_").replace('%', "\\%")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn missing(lines: &[&str], database: &str) -> Vec<&'static str> {
        let lines: Vec<_> = lines.iter().map(|line| (*line).to_owned()).collect();
        Grants::parse(&lines).missing_in(database)
    }

    #[test]
    fn grants_apply_to_the_databases_that_they_name() {
        let usage = "GRANT USAGE ON *.* TO `nb`@`%` IDENTIFIED BY PASSWORD '*secret'";
        let own = "GRANT ALL PRIVILEGES ON `nb`.* TO `nb`@`%`";
        let beside = "GRANT ALL PRIVILEGES ON `nb\\_%`.* TO `nb`@`%` WITH GRANT OPTION";
        assert!(missing(&[usage, own, beside], "nb").is_empty());
        assert!(missing(&[usage, own, beside], "nb_crm").is_empty());
        assert_eq!(missing(&[usage, own, beside], "nbxcrm"), NEEDED);
        assert_eq!(missing(&[usage, own], "nb_crm"), NEEDED);
        assert!(missing(&["GRANT ALL PRIVILEGES ON *.* TO `root`@`localhost`"], "any").is_empty());
    }

    #[test]
    fn single_privileges_add_up_and_revoked_ones_are_missing() {
        let some = "GRANT SELECT, INSERT, UPDATE, DELETE ON `crm`.* TO `nb`@`%`";
        let more = "GRANT CREATE, DROP, REFERENCES, INDEX, ALTER ON *.* TO `nb`@`%`";
        assert_eq!(missing(&[some], "crm"), ["CREATE", "DROP", "ALTER", "INDEX", "REFERENCES"]);
        assert!(missing(&[some, more], "crm").is_empty());
        assert_eq!(missing(&[some, more, "REVOKE INSERT ON `crm`.* FROM `nb`@`%`"], "crm"), ["INSERT"]);
        // Rights on a table do not suffice.
        assert_eq!(missing(&["GRANT SELECT, INSERT ON `crm`.`users` TO `nb`@`%`"], "crm"), NEEDED);
    }

    #[test]
    fn roles_are_noticed() {
        let grants = |line: &str| Grants::parse(&[line.to_owned()]);
        assert!(grants("GRANT `operators` TO `nb`@`%`").has_roles);
        assert!(!grants("GRANT USAGE ON *.* TO `nb`@`%`").has_roles);
    }

    #[test]
    fn patterns_match_as_the_server_matches_them() {
        for (pattern, name, fits) in [
            ("nb", "nb", true),
            ("nb", "nbx", false),
            ("nb%", "nb_crm", true),
            ("nb_crm", "nbxcrm", true),
            ("nb\\_crm", "nbxcrm", false),
            ("%crm", "nb_crm", true),
            ("%", "", true),
        ] {
            assert_eq!(matches(pattern.as_bytes(), name.as_bytes()), fits, "{pattern} {name}");
        }
        let pattern = escaped("my_nb_") + "%";
        assert_eq!(pattern, "my\\_nb\\_%");
        assert!(matches(pattern.as_bytes(), b"my_nb_crm") && !matches(pattern.as_bytes(), b"myxnb_crm"));
    }
}
