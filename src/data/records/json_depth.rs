//! Limits the nesting of JSON documents.

use serde_json::Value as Json;

use crate::data::error::invalid;
use crate::data::{DataError, Field};

/// Limit of nested lists and objects in a value: MariaDB does not parse deeper documents.
const MAX_LEVELS: usize = 31;

/// Checks that every engine can parse a document.
pub(super) fn check(field: &Field, given: &Json) -> Result<(), DataError> {
    if is_deeper(given, MAX_LEVELS) {
        return Err(invalid(
            field,
            format!("its lists and objects are more than {MAX_LEVELS} levels deep, which is the limit"),
        ));
    }
    Ok(())
}

fn is_deeper(given: &Json, levels: usize) -> bool {
    let Some(within) = levels.checked_sub(1) else { return given.is_array() || given.is_object() };
    match given {
        Json::Array(items) => items.iter().any(|inner| is_deeper(inner, within)),
        Json::Object(entries) => entries.values().any(|inner| is_deeper(inner, within)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_and_objects_count_alike() {
        let nested = |levels: usize| {
            (0..levels).fold(Json::from(1), |inner, level| match level % 2 {
                0 => Json::Array(vec![Json::from("beside"), inner]),
                _ => Json::Object([("inner".to_owned(), inner)].into_iter().collect()),
            })
        };
        let field = Field::json("doc");
        for levels in [0, 1, MAX_LEVELS - 1, MAX_LEVELS] {
            assert!(check(&field, &nested(levels)).is_ok(), "{levels}");
        }
        for levels in [MAX_LEVELS + 1, MAX_LEVELS + 2, 100] {
            assert!(check(&field, &nested(levels)).is_err(), "{levels}");
        }
        assert!(check(&field, &Json::Array((0..100).map(|_| nested(MAX_LEVELS - 1)).collect())).is_ok());
    }
}
