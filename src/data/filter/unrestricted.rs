//! Recognizes filters that match all records because something in them is empty.

use serde_json::Value;

use super::{Condition, Filter, Operator};

impl Filter {
    /// Whether the filter matches every record that has values, whatever they are: it has no condition
    /// (`{"$and": []}`, `{"$or": [{}]}`), or its operands are empty (`{"a": {"$notIn": []}}`, `{"a":
    /// {"$includes": ""}}`).
    #[must_use]
    pub fn is_unrestricted(&self) -> bool {
        match self {
            Self::All | Self::PathCheck(_) => true,
            Self::Condition(condition) => condition.constant() == Some(true),
            Self::And(parts) => parts.iter().all(Self::is_unrestricted),
            Self::Or(parts) => parts.iter().any(Self::is_unrestricted),
            Self::Not(inner) => inner.matches_nothing(),
        }
    }

    fn matches_nothing(&self) -> bool {
        match self {
            Self::All | Self::PathCheck(_) => false,
            Self::Condition(condition) => condition.constant() == Some(false),
            Self::And(parts) => parts.iter().any(Self::matches_nothing),
            Self::Or(parts) => parts.iter().all(Self::matches_nothing),
            Self::Not(inner) => inner.is_unrestricted(),
        }
    }
}

impl Condition {
    /// Returns the result of the condition, if it is the same for every record with a value.
    fn constant(&self) -> Option<bool> {
        use Operator as Op;
        let is_empty_list = self.value.as_array().is_some_and(Vec::is_empty);
        match self.operator {
            Op::Eq | Op::Is | Op::In | Op::AnyOf if is_empty_list => Some(false),
            Op::Ne | Op::Not | Op::NotIn | Op::NoneOf if is_empty_list => Some(true),
            Op::Includes | Op::StartsWith | Op::EndWith if is_empty_list => Some(false),
            Op::NotIncludes | Op::NotStartsWith | Op::NotEndWith if is_empty_list => Some(true),
            // Every text contains the empty text.
            Op::Includes | Op::StartsWith | Op::EndWith if includes_empty_text(&self.value) => Some(true),
            Op::NotIncludes | Op::NotStartsWith | Op::NotEndWith if includes_empty_text(&self.value) => {
                Some(false)
            }
            Op::Like | Op::ILike if matches_any_text(&self.value) => Some(true),
            Op::NotLike | Op::NotILike if matches_any_text(&self.value) => Some(false),
            Op::Regexp | Op::IRegexp if is_empty_text(&self.value) => Some(true),
            Op::NotRegexp | Op::NotIRegexp if is_empty_text(&self.value) => Some(false),
            _ => None,
        }
    }
}

fn is_empty_text(given: &Value) -> bool {
    given.as_str().is_some_and(str::is_empty)
}

fn includes_empty_text(given: &Value) -> bool {
    is_empty_text(given) || given.as_array().is_some_and(|parts| parts.iter().any(is_empty_text))
}

/// Whether the pattern is one or several `%`.
fn matches_any_text(given: &Value) -> bool {
    given.as_str().is_some_and(|pattern| !pattern.is_empty() && pattern.chars().all(|next| next == '%'))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn empty_filters_are_unrestricted() {
        for given in [
            json!({}),
            json!([]),
            json!([{}]),
            json!({"$and": []}),
            json!({"$and": {}}),
            json!({"$or": []}),
            json!({"$or": [{}]}),
            json!({"$or": [{"a": 1}, {}]}),
            json!({"$and": [{"v": {}}]}),
            json!({"$and": [{"$or": [{"$and": [{}, {}]}]}]}),
            json!({"v": {"$and": []}}),
            json!({"v": {"$or": [{}]}}),
            json!({"author": {"name": {}}}),
            json!({"author.name": {}}),
            json!({"$not": {"v": {"$in": []}}}),
            json!({"$not": {"$not": {}}}),
            json!({"$not": {"$and": [{"v": 1}, {"v": []}]}}),
            json!({"v": {"$ne": []}}),
            json!({"v": {"$notIn": []}}),
            json!({"v": {"$noneOf": []}}),
            json!({"v": {"$notIncludes": []}}),
            json!({"v": {"$includes": ""}}),
            json!({"v": {"$includes": ["a", ""]}}),
            json!({"v": {"$iLike": "%%"}}),
            json!({"v": {"$regexp": ""}}),
        ] {
            assert!(Filter::parse(&given).unwrap().is_unrestricted(), "{given}");
        }
    }

    #[test]
    fn filters_with_a_condition_are_restricted() {
        for given in [
            json!({"v": 1}),
            json!({"v": null}),
            json!({"v": {"$ne": null}}),
            json!({"v": {"$in": []}}),
            json!({"v": []}),
            json!({"$not": {}}),
            json!({"$and": [{}, {"v": 1}]}),
            json!({"$or": [{"v": 1}, {"v": {"$in": []}}]}),
            json!({"v": {"$notIn": [1]}}),
            json!({"v": {"$notIncludes": ""}}),
            json!({"v": {"$includes": "a"}}),
            json!({"v": {"$like": ""}}),
            json!({"v": {"$empty": true}}),
        ] {
            assert!(!Filter::parse(&given).unwrap().is_unrestricted(), "{given}");
        }
    }
}
