//! The parameters of a list: which page, in which order, with which fields.

use serde_json::Value;

use super::error::ApiError;
use crate::data::Sort;

/// Records a page, where nothing else is said.
const DEFAULT_PAGE_SIZE: u64 = 20;
/// Records a page at most.
const MAX_PAGE_SIZE: u64 = 10_000;

/// Which page of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::app) struct Page {
    /// From 1.
    pub(in crate::app) number: u64,
    /// Records a page.
    pub(in crate::app) size: u64,
}

/// The parameters of a list: `page`, `pageSize`, `sort`, `fields`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListParameters {
    /// The page, from 1.
    pub page: u64,
    /// Records a page.
    pub page_size: u64,
    /// The order.
    pub sort: Vec<Sort>,
    /// The fields; empty for all.
    pub fields: Vec<String>,
}

impl ListParameters {
    /// Reads them from a query string's parameters.
    pub fn parse(params: &Value) -> Result<Self, ApiError> {
        let page = page(params)?;
        let (sort, fields) = (sort(params)?, words(params, "fields")?);
        Ok(Self { page: page.number, page_size: page.size, sort, fields })
    }
}

/// Reads `page` and `pageSize`.
pub(super) fn page(params: &Value) -> Result<Page, ApiError> {
    let number = number(params, "page")?.unwrap_or(1);
    if number == 0 {
        return Err(ApiError::bad_request("pages are counted from 1"));
    }
    let size = match self::number(params, "pageSize")? {
        None | Some(0) => DEFAULT_PAGE_SIZE,
        Some(size) if size <= MAX_PAGE_SIZE => size,
        Some(_) => return Err(ApiError::bad_request(format!("pageSize is at most {MAX_PAGE_SIZE}"))),
    };
    Ok(Page { number, size })
}

/// Reads `sort`: fields, those from the greatest to the least with a `-` before them.
pub(super) fn sort(params: &Value) -> Result<Vec<Sort>, ApiError> {
    let words = words(params, "sort")?;
    let sort = words.iter().map(|word| match word.strip_prefix('-') {
        Some(field) => Sort::descending(field),
        None => Sort::ascending(word.as_str()),
    });
    Ok(sort.collect())
}

fn number(params: &Value, name: &str) -> Result<Option<u64>, ApiError> {
    let Some(given) = params.get(name) else { return Ok(None) };
    match given.as_str().map(str::trim) {
        Some("") => Ok(None),
        Some(text) => whole(name, text, u32::MAX.into()).map(Some),
        None => Err(ApiError::bad_request(format!("{name} must be a whole number, not {given}"))),
    }
}

/// Parses a whole number from 0 to `most`.
pub(super) fn whole(name: &str, given: &str, most: u64) -> Result<u64, ApiError> {
    let digits = given.strip_prefix('+').unwrap_or(given);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        let shown: String = given.chars().take(40).collect();
        return Err(ApiError::bad_request(format!("{name} must be a whole number from 0, not {shown:?}")));
    }
    match digits.parse() {
        Ok(number) if number <= most => Ok(number),
        _ => Err(ApiError::bad_request(format!("{name} is at most {most}"))),
    }
}

/// A list of words: `a,b`, or an array of such.
pub(super) fn words(params: &Value, name: &str) -> Result<Vec<String>, ApiError> {
    let texts: Option<Vec<&str>> = match params.get(name) {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(texts)) => texts.iter().map(Value::as_str).collect(),
        Some(other) => other.as_str().map(|text| vec![text]),
    };
    let Some(texts) = texts else {
        return Err(ApiError::bad_request(format!("{name} must be a list of names")));
    };
    let words = texts.iter().flat_map(|text| split(text)).map(str::trim);
    Ok(words.filter(|word| !word.is_empty()).map(str::to_owned).collect())
}

/// Splits a list at its commas, except within parentheses, which hold options of a name.
fn split(text: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut begin) = (Vec::new(), 0_i32, 0);
    for (at, character) in text.char_indices() {
        match character {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth <= 0 => {
                parts.push(&text[begin..at]);
                begin = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[begin..]);
    parts
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn parameters_are_read_or_refused() {
        let all = ListParameters::parse(&json!({
            "page": "3", "pageSize": "5", "sort": ["-views", "id"], "fields": "id, views,",
        }));
        let all = all.unwrap();
        assert_eq!((all.page, all.page_size), (3, 5));
        assert_eq!(all.sort, [Sort::descending("views"), Sort::ascending("id")]);
        assert_eq!(all.fields, ["id", "views"]);
        let none = ListParameters::parse(&json!({"pageSize": "0"})).unwrap();
        assert_eq!((none.page, none.page_size, none.sort.len()), (1, 20, 0));
        for refused in [
            json!({"page": "-1"}),
            json!({"page": "0"}),
            json!({"page": ["1"]}),
            json!({"pageSize": "10001"}),
            json!({"sort": {"a": "b"}}),
            json!({"fields": [["a"]]}),
        ] {
            assert!(ListParameters::parse(&refused).is_err(), "{refused}");
        }
    }
}
