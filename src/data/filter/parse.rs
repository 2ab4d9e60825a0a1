//! Parses filters from JSON in NocoBase's notation.
//!
//! The notations can be mixed: `{"title": "x", "views": {"$gt": 3}}`, `{"author.name": {"$includes": "a"}}`,
//! `{"author": {"name": …}}`, `{"$or": […]}`, `{"views.$gt": 3}`.

use serde_json::{Map, Value};

use super::{Filter, Operator};
use crate::data::DataError;

/// Limits of nesting and of conditions, far beyond what a person or a program writes on purpose.
const MAX_DEPTH: usize = 32;
const MAX_CONDITIONS: usize = 1000;
/// Limit of operands, counting each value of a list: engines limit the values that a statement binds.
const MAX_VALUES: usize = 10_000;

/// Parses a filter.
pub(super) fn filter(given: &Value) -> Result<Filter, DataError> {
    let mut parser = Parser { conditions: 0, values: 0 };
    match given {
        Value::Null => Ok(Filter::All),
        Value::Object(parts) => parser.object(parts, "", 0),
        Value::Array(parts) => parser.parts(parts, "", 0).map(Filter::And),
        other => Err(refused(format!("a filter is an object, not {}", excerpt(other)))),
    }
}

struct Parser {
    conditions: usize,
    values: usize,
}

impl Parser {
    fn object(&mut self, parts: &Map<String, Value>, path: &str, depth: usize) -> Result<Filter, DataError> {
        let mut all = Vec::with_capacity(parts.len());
        for (key, value) in parts {
            match self.entry(key, value, path, depth + 1)? {
                Filter::All => {}
                part => all.push(part),
            }
        }
        Ok(match all.len() {
            0 => Filter::All,
            1 => all.remove(0),
            _ => Filter::And(all),
        })
    }

    /// Parses one key with its value. A key may consist of several steps: `author.name.$eq`.
    fn entry(&mut self, key: &str, value: &Value, path: &str, depth: usize) -> Result<Filter, DataError> {
        if depth > MAX_DEPTH {
            return Err(refused(format!("a filter is nested more than {MAX_DEPTH} levels deep")));
        }
        let Some((first, rest)) = split(key) else { return self.step(key, value, path, depth) };
        if first.starts_with('$') {
            let inner = Map::from_iter([(rest.to_owned(), value.clone())]);
            return self.step(first, &Value::Object(inner), path, depth);
        }
        let path = join(path, first);
        Ok(require_path(&path, self.entry(rest, value, &path, depth + 1)?))
    }

    fn step(&mut self, key: &str, value: &Value, path: &str, depth: usize) -> Result<Filter, DataError> {
        match key {
            "$and" => Ok(Filter::And(self.list(key, value, path, depth)?)),
            "$or" => {
                let parts = self.list(key, value, path, depth)?;
                // As recorded: without an alternative there is no condition.
                Ok(if parts.is_empty() { Filter::All } else { Filter::Or(parts) })
            }
            "$not" if path.is_empty() || value.is_object() => {
                let inner = match value {
                    Value::Object(parts) => self.object(parts, path, depth)?,
                    Value::Array(parts) => Filter::And(self.parts(parts, path, depth)?),
                    other => return Err(refused(format!("$not takes a filter, not {}", excerpt(other)))),
                };
                Ok(Filter::Not(Box::new(inner)))
            }
            _ if key.starts_with('$') => {
                let Some(operator) = Operator::named(key) else {
                    return Err(refused(format!("there is no operator {key}")));
                };
                if path.is_empty() {
                    return Err(refused(format!(
                        "{key} has no field: write it inside of one, as in {{\"title\": {{\"{key}\": …}}}}"
                    )));
                }
                self.condition(path, operator, value)
            }
            _ => {
                let path = join(path, key);
                match value {
                    Value::Object(parts) => Ok(require_path(&path, self.object(parts, &path, depth)?)),
                    other => self.condition(&path, Operator::Eq, other),
                }
            }
        }
    }

    fn condition(&mut self, path: &str, operator: Operator, value: &Value) -> Result<Filter, DataError> {
        self.conditions += 1;
        if self.conditions > MAX_CONDITIONS {
            return Err(refused(format!("a filter has more than {MAX_CONDITIONS} conditions")));
        }
        self.values += value.as_array().map_or(1, Vec::len);
        if self.values > MAX_VALUES {
            return Err(refused(format!("a filter has more than {MAX_VALUES} values")));
        }
        Ok(Filter::on(path, operator, value.clone()))
    }

    fn list(&mut self, key: &str, value: &Value, path: &str, depth: usize) -> Result<Vec<Filter>, DataError> {
        match value {
            Value::Array(parts) => self.parts(parts, path, depth),
            Value::Object(parts) if parts.is_empty() => Ok(Vec::new()),
            Value::Object(parts) => Ok(vec![self.object(parts, path, depth)?]),
            other => Err(refused(format!("{key} takes a list of filters, not {}", excerpt(other)))),
        }
    }

    fn parts(&mut self, parts: &[Value], path: &str, depth: usize) -> Result<Vec<Filter>, DataError> {
        let mut filters = Vec::with_capacity(parts.len());
        for part in parts {
            match part {
                Value::Object(part) => filters.push(self.object(part, path, depth + 1)?),
                other => {
                    return Err(refused(format!("a part of a filter is an object, not {}", excerpt(other))));
                }
            }
        }
        Ok(filters)
    }
}

/// Ensures that the path is checked, also by a filter without a condition on it.
fn require_path(path: &str, filter: Filter) -> Filter {
    match filter {
        Filter::All => Filter::PathCheck(path.to_owned()),
        empty if empty.paths().is_empty() => Filter::And(vec![Filter::PathCheck(path.to_owned()), empty]),
        filter => filter,
    }
}

/// Returns the first step of a key and the rest; `None` if the key is a single step.
fn split(key: &str) -> Option<(&str, &str)> {
    key.split_once('.').filter(|(first, rest)| !first.is_empty() && !rest.is_empty())
}

fn join(path: &str, step: &str) -> String {
    if path.is_empty() { step.to_owned() } else { format!("{path}.{step}") }
}

fn refused(sentence: String) -> DataError {
    DataError::Refused(sentence)
}

fn excerpt(value: &Value) -> String {
    value.to_string().chars().take(60).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_notation_parses_to_the_same_filter() {
        let expected = Filter::on("author.name", Operator::Includes, "a");
        for given in [
            json!({"author.name": {"$includes": "a"}}),
            json!({"author": {"name": {"$includes": "a"}}}),
            json!({"author.name.$includes": "a"}),
            json!({"author": {"name.$includes": "a"}}),
        ] {
            assert_eq!(filter(&given).unwrap(), expected, "{given}");
        }
    }

    #[test]
    fn filters_are_parsed() {
        let one = || Filter::eq("a", 1);
        for (given, expected) in [
            (json!({}), Filter::All),
            (json!(null), Filter::All),
            (json!({"a": {}}), Filter::PathCheck("a".to_owned())),
            (json!({"$or": []}), Filter::All),
            (json!({"$and": [{"a": 1}]}), Filter::And(vec![one()])),
            (json!({"$or": [{"a": 1}, {"b": null}]}), Filter::Or(vec![one(), Filter::eq("b", Value::Null)])),
            (json!({"$not": {"a": 1}}), Filter::Not(Box::new(one()))),
            (json!({"a": {"$not": null}}), Filter::on("a", Operator::Not, Value::Null)),
            (json!({"a": {"$not": {"$gt": 1}}}), Filter::Not(Box::new(Filter::on("a", Operator::Gt, 1)))),
            (
                json!({"a": {"$or": [{"$gt": 1}, {"$lt": 0}]}}),
                Filter::Or(vec![Filter::on("a", Operator::Gt, 1), Filter::on("a", Operator::Lt, 0)]),
            ),
            (
                json!({"a": {"$gt": 1, "$lt": 5}}),
                Filter::And(vec![Filter::on("a", Operator::Gt, 1), Filter::on("a", Operator::Lt, 5)]),
            ),
            (
                json!({"a": {"$dateOn": {"type": "today"}}}),
                Filter::on("a", Operator::DateOn, json!({"type": "today"})),
            ),
        ] {
            assert_eq!(filter(&given).unwrap(), expected, "{given}");
        }
    }

    #[test]
    fn malformed_filters_are_refused() {
        let mut deep = json!({"a": 1});
        for _ in 0..40 {
            deep = json!({"$not": deep});
        }
        let many: Vec<Value> = (0..1001).map(|number| json!({"a": number})).collect();
        for given in [
            json!("x"),
            json!(1),
            json!({"$nosuch": []}),
            json!({"a": {"$nosuch": 1}}),
            json!({"$gt": 3}),
            json!({"$and": 1}),
            json!({"$or": [1]}),
            json!([1]),
            deep,
            json!({"$or": many}),
        ] {
            assert!(filter(&given).is_err(), "{given}");
        }
    }
}
