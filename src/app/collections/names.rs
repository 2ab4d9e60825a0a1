//! Names of collections and fields.

use crate::data::DataError;

/// Characters that a name has at most: with a prefix, every engine still takes it.
const MAX_NAME_LENGTH: usize = 50;

/// Names that say something else in a filter, a path or a record.
const RESERVED: [&str; 3] = ["constructor", "prototype", "__proto__"];

/// Columns that every table of some engine has by itself: SQLite's, PostgreSQL's and InnoDB's.
const SYSTEM_COLUMNS: [&str; 13] = [
    "rowid",
    "oid",
    "_rowid_",
    "ctid",
    "xmin",
    "xmax",
    "cmin",
    "cmax",
    "tableoid",
    "db_row_id",
    "db_trx_id",
    "db_roll_ptr",
    "fts_doc_id",
];

/// Checks the table of a new collection: PostgreSQL looks among its own first, whose names begin so.
pub(super) fn check_table(name: &str) -> Result<(), DataError> {
    if name.get(..3).is_some_and(|begin| begin.eq_ignore_ascii_case("pg_")) {
        return Err(DataError::Refused(format!(
            "{name} is no name for a collection: tables whose names begin with pg_ are PostgreSQL's own"
        )));
    }
    Ok(())
}

/// Checks the column of a new field. (One that was made before on an engine that has no such column
/// of its own stays.)
pub(super) fn check_column(name: &str) -> Result<(), DataError> {
    if SYSTEM_COLUMNS.iter().any(|taken| taken.eq_ignore_ascii_case(name)) {
        return Err(DataError::Refused(format!(
            "{name} is no name for a field: the tables of a database engine have a column of this name by \
             themselves; choose another name"
        )));
    }
    Ok(())
}

/// Checks the name of a collection or a field: it is the name of a table or a column too, and a
/// word of paths (`author.name`) and URLs.
pub(super) fn check(what: &str, name: &str) -> Result<(), DataError> {
    let mut characters = name.chars();
    let begins = characters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_');
    let fits = begins && characters.all(|next| next.is_ascii_alphanumeric() || matches!(next, '_' | '-'));
    // SQLite keeps tables whose names begin so for itself.
    let kept = name.get(..7).is_some_and(|begin| begin.eq_ignore_ascii_case("sqlite_"));
    if !fits || name.len() > MAX_NAME_LENGTH || RESERVED.contains(&name) || kept {
        return Err(DataError::Refused(format!(
            "{} is no name for a {what}: it begins with a letter and has at most {MAX_NAME_LENGTH} letters, digits, _ and -",
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
    fn no_field_has_the_name_of_a_column_of_an_engine() {
        for name in ["rowid", "OID", "_rowid_", "ctid", "Xmin", "tableoid", "DB_ROW_ID", "FTS_DOC_ID"] {
            assert!(check_column(name).is_err(), "{name}");
        }
        for name in ["row_id", "ordinal", "xmin_", "id"] {
            assert!(check_column(name).is_ok(), "{name}");
        }
    }

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
