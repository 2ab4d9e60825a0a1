//! Evaluates filters on records in memory, with the same results as in an SQL statement.
//!
//! A filter is compiled once for a collection, which reports its errors, and then evaluated on any number of
//! records. As in SQL, a condition is true, false or, on null, unknown (`None`); a record matches if the
//! filter is true.

use std::cmp::Ordering;

use regex::Regex;
use serde_json::Value as Json;

use super::comparison::{self, Operands, equality_operands, inequality_operands};
use super::condition::{check_same_type, expects_true};
use super::{Clock, Condition, Filter, Operator, date_bounds, text};
use crate::data::records::number::Representation;
use crate::data::records::value;
use crate::data::{Collection, DataError, Field, Record};
use crate::database::{Pattern, Position, Value};

/// A filter that is compiled for the records of a collection.
pub struct Matcher<'a>(Test<'a>);

/// Evaluates a part of a filter on a record.
type Test<'a> = Box<dyn Fn(&Record) -> Option<bool> + Send + Sync + 'a>;

/// Evaluates a condition on a value.
type ValueTest = Box<dyn Fn(Option<Value>) -> Option<bool> + Send + Sync>;

impl Filter {
    /// Compiles the filter for records of a collection.
    ///
    /// # Errors
    /// The same as a statement with this filter: a field is unknown, or an operand does not fit its field.
    /// Conditions on associated records and on lists are refused, too.
    pub fn matcher<'a>(&self, collection: &'a Collection, clock: Clock) -> Result<Matcher<'a>, DataError> {
        MatcherBuilder { collection, clock }.test(self).map(Matcher)
    }
}

impl Matcher<'_> {
    /// Whether a record matches the filter. A field that the record lacks is null.
    #[must_use]
    pub fn matches(&self, record: &Record) -> bool {
        (self.0)(record) == Some(true)
    }
}

struct MatcherBuilder<'a> {
    collection: &'a Collection,
    clock: Clock,
}

impl<'a> MatcherBuilder<'a> {
    fn test(&self, filter: &Filter) -> Result<Test<'a>, DataError> {
        Ok(match filter {
            Filter::All => Box::new(|_| Some(true)),
            Filter::PathCheck(path) => {
                self.field(path)?;
                Box::new(|_| Some(true))
            }
            Filter::Condition(condition) => self.condition(condition)?,
            Filter::And(parts) => {
                let parts = self.tests(parts)?;
                Box::new(move |record| all(parts.iter().map(|part| part(record))))
            }
            Filter::Or(parts) => {
                let parts = self.tests(parts)?;
                Box::new(move |record| any(parts.iter().map(|part| part(record))))
            }
            Filter::Not(inner) => {
                let inner = self.test(inner)?;
                Box::new(move |record| inner(record).map(|fits| !fits))
            }
        })
    }

    fn tests(&self, parts: &[Filter]) -> Result<Vec<Test<'a>>, DataError> {
        parts.iter().map(|part| self.test(part)).collect()
    }

    fn field(&self, path: &str) -> Result<&'a Field, DataError> {
        let field = self.collection.known(path)?;
        if field.is_hidden() { Err(self.collection.unknown(path)) } else { Ok(field) }
    }

    fn condition(&self, condition: &Condition) -> Result<Test<'a>, DataError> {
        let (field, given) = (self.field(&condition.path)?, &condition.value);
        if condition.operator == Operator::Col {
            let Some(other) = given.as_str() else {
                return Err(value::invalid(field, "$col takes the name of another field"));
            };
            let other = self.field(other)?;
            check_same_type(field, other)?;
            return Ok(Box::new(move |record| Some(stored(field, record)? == stored(other, record)?)));
        }
        if field.kind.is_list() {
            return Err(value::invalid(field, "conditions on lists need a database"));
        }
        let test = value_test(field, condition.operator, given, self.clock)?;
        Ok(Box::new(move |record| test(stored(field, record))))
    }
}

/// Returns the value of a record's field as a database stores it; `None` is null.
fn stored(field: &Field, record: &Record) -> Option<Value> {
    let given = record.get(field.name()).filter(|given| !given.is_null())?;
    match value::compared_value(field, given) {
        Ok(Representation::Exact(value)) => Some(value),
        _ => None,
    }
}

fn value_test(field: &Field, operator: Operator, given: &Json, clock: Clock) -> Result<ValueTest, DataError> {
    use Operator as Op;
    Ok(match operator {
        Op::Eq | Op::Is | Op::In => equal(field, given, operator == Op::In)?,
        Op::Ne | Op::Not | Op::NotIn => different(field, given, operator)?,
        Op::Gt | Op::Gte | Op::Lt | Op::Lte => compared(field, given, operator)?,
        Op::Between | Op::NotBetween => between(field, given, operator == Op::Between)?,
        Op::Includes => substring(field, given, Position::Anywhere, true)?,
        Op::NotIncludes => substring(field, given, Position::Anywhere, false)?,
        Op::StartsWith => substring(field, given, Position::Beginning, true)?,
        Op::NotStartsWith => substring(field, given, Position::Beginning, false)?,
        Op::EndWith => substring(field, given, Position::End, true)?,
        Op::NotEndWith => substring(field, given, Position::End, false)?,
        Op::Like | Op::NotLike => {
            text::check_searchable(field)?;
            matching(like(field, given)?, operator == Op::Like)
        }
        Op::ILike | Op::NotILike => {
            text::check_searchable(field)?;
            let pattern = compiled(field, &text::ilike_pattern(field, given)?)?;
            matching(pattern, operator == Op::ILike)
        }
        Op::Regexp | Op::NotRegexp | Op::IRegexp | Op::NotIRegexp => {
            let exact = matches!(operator, Op::Regexp | Op::NotRegexp);
            let pattern = compiled(field, &text::regex_pattern(field, given, exact)?)?;
            matching(pattern, matches!(operator, Op::Regexp | Op::IRegexp))
        }
        Op::IsTruly | Op::IsFalsy => match expects_true(field, given, operator == Op::IsTruly)? {
            true => Box::new(|value| value.map(|value| value == Value::Bool(true))),
            false => Box::new(|value| Some(value.is_none_or(|value| value == Value::Bool(false)))),
        },
        Op::Exists => Box::new(|value| Some(value.is_some())),
        Op::NotExists => Box::new(|value| Some(value.is_none())),
        Op::Empty | Op::NotEmpty => {
            let wanted = operator == Op::Empty;
            Box::new(move |value| {
                let is_empty = value.is_none_or(|value| value == Value::Text(String::new()));
                Some(is_empty == wanted)
            })
        }
        Op::Match | Op::NotMatch | Op::AnyOf | Op::NoneOf | Op::ArrayEmpty | Op::ArrayNotEmpty => {
            return Err(value::invalid(
                field,
                format!("{} is for lists, which this field is not", operator.name()),
            ));
        }
        _ => within(field, operator, given, clock)?,
    })
}

fn equal(field: &Field, given: &Json, in_list: bool) -> Result<ValueTest, DataError> {
    let operand = |given: &Json| value::compared_value(field, given);
    Ok(match Operands::read(field, equality_operands(given, in_list), operand)? {
        Operands::None => Box::new(|_| Some(false)),
        Operands::Null => Box::new(|value| Some(value.is_none())),
        Operands::Values { exact, with_null } => Box::new(move |value| match value {
            Some(value) => Some(exact.contains(&value)),
            None => with_null.then_some(true),
        }),
    })
}

fn different(field: &Field, given: &Json, operator: Operator) -> Result<ValueTest, DataError> {
    let operand = |given: &Json| value::compared_value(field, given);
    let (given, null_differs) = inequality_operands(given, operator);
    Ok(match Operands::read(field, given, operand)? {
        Operands::None => Box::new(|_| Some(true)),
        Operands::Null => Box::new(|value| Some(value.is_some())),
        Operands::Values { exact, with_null } => Box::new(move |value| match value {
            Some(value) => Some(!exact.contains(&value)),
            None => (null_differs && !with_null).then_some(true),
        }),
    })
}

fn compared(field: &Field, given: &Json, operator: Operator) -> Result<ValueTest, DataError> {
    comparison::check_comparable(field)?;
    if given.is_null() {
        return Err(value::invalid(field, "null is neither less nor greater than any value"));
    }
    let held = value::compared_value(field, given)?;
    Ok(Box::new(move |value| {
        let value = value?;
        Some(match &held {
            Representation::Exact(bound) => satisfies(&value, bound, operator),
            // The operand lies between two values of the field, so a value is greater or less, never equal.
            Representation::Above(bound) => {
                let is_greater = satisfies(&value, bound, Operator::Gt);
                is_greater == matches!(operator, Operator::Gt | Operator::Gte)
            }
            Representation::Below => matches!(operator, Operator::Gt | Operator::Gte),
        })
    }))
}

fn between(field: &Field, given: &Json, wanted: bool) -> Result<ValueTest, DataError> {
    let Some([low, high]) = given.as_array().map(Vec::as_slice) else {
        return Err(value::invalid(field, "$between and $notBetween take two values"));
    };
    let (low, high) = match wanted {
        true => (compared(field, low, Operator::Gte)?, compared(field, high, Operator::Lte)?),
        false => (compared(field, low, Operator::Lt)?, compared(field, high, Operator::Gt)?),
    };
    Ok(Box::new(move |value| {
        let sides = [low(value.clone()), high(value)].into_iter();
        if wanted { all(sides) } else { any(sides) }
    }))
}

/// Tests whether a value lies within, before or after the period of a date operator.
fn within(field: &Field, operator: Operator, given: &Json, clock: Clock) -> Result<ValueTest, DataError> {
    let bounds = date_bounds::bounds(field, operator, given, clock)?;
    Ok(Box::new(move |value| {
        let value = value?;
        let mut sides = bounds.iter().map(|bound| satisfies(&value, &bound.value, bound.operator));
        Some(if operator == Operator::DateNotOn { sides.any(|side| side) } else { sides.all(|side| side) })
    }))
}

/// Tests whether a text contains one of the given texts at `position`, or (not `wanted`) none of them.
fn substring(field: &Field, given: &Json, position: Position, wanted: bool) -> Result<ValueTest, DataError> {
    if given.is_null() {
        return Ok(Box::new(move |value| Some(value.is_none() == wanted)));
    }
    text::check_searchable(field)?;
    let patterns = text::substring_patterns(field, given, position)?;
    let patterns = patterns.iter().map(|pattern| compiled(field, pattern)).collect::<Result<Vec<_>, _>>()?;
    Ok(Box::new(move |value| {
        let text = value.and_then(as_text);
        let fits = patterns.iter().map(|pattern| Some(pattern.is_match(text.as_deref()?) == wanted));
        if wanted { any(fits) } else { all(fits) }
    }))
}

fn matching(pattern: Regex, wanted: bool) -> ValueTest {
    Box::new(move |value| Some(pattern.is_match(&as_text(value?)?) == wanted))
}

fn compiled(field: &Field, pattern: &Pattern) -> Result<Regex, DataError> {
    pattern.compile().map_err(|problem| value::invalid(field, problem))
}

/// Compiles a case-sensitive pattern of `LIKE`, in which a backslash escapes `%` and `_`.
fn like(field: &Field, given: &Json) -> Result<Regex, DataError> {
    let given = text::operand(field, given)?;
    let mut pattern = String::from(r"(?s)\A");
    let mut characters = given.as_str().chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '%' => pattern.push_str(".*"),
            '_' => pattern.push('.'),
            '\\' => {
                let escaped = characters.next_if(|next| matches!(next, '%' | '_')).unwrap_or('\\');
                pattern.push_str(&regex::escape(escaped.encode_utf8(&mut [0; 4])));
            }
            other => pattern.push_str(&regex::escape(other.encode_utf8(&mut [0; 4]))),
        }
    }
    pattern.push_str(r"\z");
    Regex::new(&pattern).map_err(|_| value::invalid(field, "the pattern is too large"))
}

/// Returns a value as a text to search in.
fn as_text(value: Value) -> Option<String> {
    match value {
        Value::Text(text) => Some(text),
        Value::Integer(number) => Some(number.to_string()),
        Value::Decimal(number) => Some(number.to_plain_string()),
        _ => None,
    }
}

fn satisfies(value: &Value, bound: &Value, operator: Operator) -> bool {
    let Some(ordering) = ordering(value, bound) else { return false };
    match operator {
        Operator::Gt => ordering == Ordering::Greater,
        Operator::Gte => ordering != Ordering::Less,
        Operator::Lt => ordering == Ordering::Less,
        _ => ordering != Ordering::Greater,
    }
}

/// Compares two values of one field. Texts are ordered by code points, as on every engine.
fn ordering(one: &Value, other: &Value) -> Option<Ordering> {
    match (one, other) {
        (Value::Bool(one), Value::Bool(other)) => Some(one.cmp(other)),
        (Value::Integer(one), Value::Integer(other)) => Some(one.cmp(other)),
        (Value::Real(one), Value::Real(other)) => one.partial_cmp(other),
        (Value::Decimal(one), Value::Decimal(other)) => Some(one.cmp(other)),
        (Value::Text(one), Value::Text(other)) => Some(one.cmp(other)),
        (Value::DateTime(one), Value::DateTime(other)) => Some(one.cmp(other)),
        (Value::DateTimeNoTz(one), Value::DateTimeNoTz(other)) => Some(one.cmp(other)),
        (Value::Date(one), Value::Date(other)) => Some(one.cmp(other)),
        (Value::Time(one), Value::Time(other)) => Some(one.cmp(other)),
        (Value::Uuid(one), Value::Uuid(other)) => Some(one.cmp(other)),
        _ => None,
    }
}

/// Combines with AND: unknown if one is unknown and none is false.
fn all(parts: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    let mut result = Some(true);
    for part in parts {
        match part {
            Some(true) => {}
            Some(false) => return Some(false),
            None => result = None,
        }
    }
    result
}

/// Combines with OR: unknown if one is unknown and none is true.
fn any(parts: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    all(parts.map(|part| part.map(|part| !part))).map(|none| !none)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::data::{DataSource, Query};
    use crate::database::Database;

    fn collection() -> Collection {
        Collection::new("things")
            .field(Field::string("name").primary_key())
            .field(Field::string("title"))
            .field(Field::string("other"))
            .field(Field::big_int("sort"))
            .field(Field::boolean("pinned"))
            .field(Field::json("options"))
            .field(Field::date_time("at"))
            .field(Field::string("secret").hidden())
    }

    fn records() -> Vec<Record> {
        [
            json!({"name": "a", "title": "Größe", "other": "Größe", "sort": 1, "pinned": true, "at": "2024-01-01T00:00:00.000Z"}),
            json!({"name": "b", "title": "größe 100%", "other": "x", "sort": 2, "pinned": false, "at": "2024-01-31T23:59:59.999Z"}),
            json!({"name": "c", "title": "", "sort": -3, "options": {"a": 1}, "at": "2024-02-01T00:00:00.000Z"}),
            json!({"name": "d", "other": "x"}),
            json!({"name": "A_b!", "title": "a\\b\nc", "sort": 12}),
        ]
        .into_iter()
        .map(|record| match record {
            Json::Object(record) => record,
            other => panic!("{other}"),
        })
        .collect()
    }

    /// Filters that combine conditions.
    fn combined() -> Vec<Json> {
        vec![
            json!({}),
            json!({"title": {}}),
            json!({"$not": {}}),
            json!({"$or": []}),
            json!({"$or": [{"sort": 1}, {"title": null}]}),
            json!({"$and": [{"sort": {"$gt": 0}}, {"$not": {"pinned": true}}]}),
            json!({"$not": {"$or": [{"sort": 1}, {"other": "x"}]}}),
            json!({"title": {"$col": "other"}}),
            json!({"$not": {"title": {"$col": "other"}}}),
        ]
    }

    /// Every comparison operator with operands of every kind.
    fn comparisons() -> Vec<Json> {
        let operands = json!({
            "title": ["Größe", "GRÖSSE", "", null, ["", null], []],
            "sort": [1, "2", 1.5, -1e30, 1e30, null, [1, 2, null]],
            "pinned": [true, false, "true", 1, null],
            "at": ["2024-01-31T23:59:59.999Z", null],
        });
        let operators = "$eq $ne $in $notIn $is $not $gt $gte $lt $lte $exists $notExists $empty $notEmpty $isTruly $isFalsy";
        let mut filters = Vec::new();
        for (field, operands) in operands.as_object().unwrap() {
            let operands = operands.as_array().unwrap();
            for operator in operators.split(' ') {
                for operand in operands {
                    filters.push(json!({field: {operator: operand}}));
                    filters.push(json!({"$not": {field: {operator: operand}}}));
                }
            }
            filters.push(json!({field: {"$between": [operands[0], operands[1]]}}));
            filters.push(json!({field: {"$notBetween": [operands[0], operands[1]]}}));
        }
        filters
    }

    /// Every text operator with operands of every kind.
    fn patterns() -> Vec<Json> {
        let operands = json!(["größe", "Gr%", "_r%e", "%100\\%", "a\\b%", 1, ["x", "b"], "", null]);
        let mut filters = Vec::new();
        for operator in ["$includes", "$startsWith", "$endWith", "$like", "$iLike", "$regexp", "$iRegexp"] {
            let not = format!("$not{}{}", operator[1..2].to_uppercase(), &operator[2..]);
            for operand in operands.as_array().unwrap() {
                for field in ["title", "sort"] {
                    filters.push(json!({field: {operator: operand}}));
                    filters.push(json!({field: {not.as_str(): operand}}));
                }
            }
        }
        filters
    }

    fn dates() -> Vec<Json> {
        let operators = "$dateOn $dateNotOn $dateBefore $dateNotBefore $dateAfter $dateNotAfter $dateBetween";
        let operands = json!(["2024-01", "2024", "2024-01-31T23:59:59.999Z", ["2024-01-31", "2024-02"]]);
        let mut filters = Vec::new();
        for operator in operators.split(' ') {
            for operand in operands.as_array().unwrap() {
                filters.push(json!({"at": {operator: operand}}));
                filters.push(json!({"title": {operator: operand}}));
            }
        }
        filters
    }

    fn refused() -> Vec<Json> {
        vec![
            json!({"nosuch": 1}),
            json!({"a.b": 1}),
            json!({"secret": "x"}),
            json!({"options": 1}),
            json!({"title": {"$anyOf": [1]}}),
        ]
    }

    #[tokio::test]
    async fn the_matcher_agrees_with_each_database() {
        crate::database::tests::everywhere(async |at| {
            let (collection, records) = (collection(), records());
            let source = DataSource::new(Database::create(&at).await.unwrap());
            source.create_table(&collection).await.unwrap();
            for record in &records {
                source.system().insert(&collection, record.clone()).await.unwrap();
            }
            for given in [combined(), comparisons(), patterns(), dates(), refused()].concat() {
                let Ok(filter) = Filter::parse(&given) else { continue };
                let found = source.find(&collection, Query::filter(filter.clone())).await;
                let matcher = filter.matcher(&collection, Clock::utc());
                let (found, matcher) = match (found, matcher) {
                    (Ok(found), Ok(matcher)) => (found, matcher),
                    (Err(refused), Err(error)) => {
                        assert_eq!(error.to_string(), refused.to_string(), "{given}");
                        continue;
                    }
                    (Ok(_), Err(error)) | (Err(error), Ok(_)) => panic!("{given}: {error}"),
                };
                let mut found: Vec<_> = found.iter().map(|record| record["name"].clone()).collect();
                found.sort_by_key(Json::to_string);
                let fitting = records.iter().filter(|record| matcher.matches(record));
                let mut fitting: Vec<_> = fitting.map(|record| record["name"].clone()).collect();
                fitting.sort_by_key(Json::to_string);
                assert_eq!(fitting, found, "{given}");
            }
        })
        .await;
    }

    #[test]
    fn conditions_on_lists_are_refused() {
        let collection = Collection::new("things").field(Field::new("tags", crate::data::FieldType::Array));
        let filter = Filter::on("tags", Operator::AnyOf, "x");
        let refused = filter.matcher(&collection, Clock::utc()).err().unwrap().to_string();
        assert!(refused.contains("tags"), "{refused}");
    }
}
