//! Names of collections and fields.

use crate::data::DataError;

/// Characters that a name has at most: with a prefix, every engine still takes it.
const LONGEST: usize = 50;

/// Names that say something else in a filter, a path or a record.
const RESERVED: [&str; 3] = ["constructor", "prototype", "__proto__"];

/// Checks the name of a collection or a field: it is the name of a table or a column too, and a
/// word of paths (`author.name`) and URLs.
pub(super) fn check(what: &str, name: &str) -> Result<(), DataError> {
    let mut characters = name.chars();
    let begins = characters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_');
    let fits = begins && characters.all(|next| next.is_ascii_alphanumeric() || matches!(next, '_' | '-'));
    // SQLite keeps tables whose names begin so for itself.
    let kept = name.get(..7).is_some_and(|begin| begin.eq_ignore_ascii_case("sqlite_"));
    if !fits || name.len() > LONGEST || RESERVED.contains(&name) || kept {
        return Err(DataError::Refused(format!(
            "{} is no name for a {what}: it begins with a letter and has at most {LONGEST} letters, digits, _ and -",
            shown(name)
        )));
    }
    Ok(())
}

/// Checks that a name is none that is there already. Those that differ in upper and lower case alone
/// are one and the same table or column on some engines.
pub(super) fn check_new<'a>(
    what: &str,
    name: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Result<(), DataError> {
    match known.into_iter().find(|known| known.eq_ignore_ascii_case(name)) {
        Some(same) if same == name => Err(DataError::Refused(format!("there is a {what} {name} already"))),
        Some(alike) => Err(DataError::Refused(format!(
            "{name} differs from the {what} {alike} in upper and lower case alone: choose another name"
        ))),
        None => Ok(()),
    }
}

fn shown(name: &str) -> String {
    format!("{:?}", name.chars().take(60).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_words() {
        for name in ["posts", "t_abc123", "_private", "a-b", &*"x".repeat(50)] {
            assert!(check("field", name).is_ok(), "{name}");
        }
        for name in [
            "",
            "9 bad name!",
            "a.b",
            "a b",
            "ä",
            "a\"b",
            "a;b",
            "$or",
            "__proto__",
            "SQLite_x",
            &*"x".repeat(51),
        ] {
            assert!(check("field", name).is_err(), "{name}");
        }
    }
}
