//! What engines say in words of their own, as parts of statements: exact sums, numbers as texts, and
//! JSON arrays; dates by their parts are in `moment.rs`. Whatever the engine, the value is the same.

use std::collections::BTreeSet;

use bigdecimal::BigDecimal;
use sea_query::Expr;
use serde_json::Value as Json;

use super::decimal::{AVERAGE_DECIMALS, COUNTED_ON_MYSQL, COUNTED_ON_POSTGRES};
use super::engine::DECIMAL_COLLATION;
use super::pattern::{Effort, Pattern};
use super::statement::COUNTS_STEPS;
use super::{Engine, decimal, sqlite};

/// Steps that MariaDB takes at most to see whether a text fits a pattern, and as many more for each of
/// its characters: some milliseconds.
const MAX_STEPS: u64 = 250_000;
const STEPS_PER_CHARACTER: u64 = 16;
/// How a number begins that is too large for any server: a statement that comes to it fails, and the
/// server's sentence has these words in it.
pub(super) const OUT_OF_STEPS: &str = "exp(1139 + char_length(";

impl Engine {
    /// An exact number, as a column of so many digits, of them so many behind the point, is compared
    /// with it; the number is one that such a column holds.
    #[must_use]
    pub fn decimal(self, value: BigDecimal, precision: u32, scale: u32) -> Expr {
        let value = Expr::val(value);
        match self {
            Self::Sqlite | Self::Postgres => value,
            // A text to it, with which it would compare as with a double.
            Self::Mysql => self.written(&format!("CAST($1 AS decimal({precision}, {scale}))"), &[value]),
        }
    }

    /// An exact number that is not a column's but found by an expression, so that it is compared and
    /// sorted by as the number that it is.
    #[must_use]
    pub fn in_decimal_order(self, found: Expr) -> Expr {
        match self {
            Self::Sqlite => self.written(&format!("($1) COLLATE {DECIMAL_COLLATION}"), &[found]),
            Self::Postgres | Self::Mysql => found,
        }
    }

    /// A text, so that it is sorted by and compared with others character by character, whatever the
    /// database's locale. Indexes of the columns that [`Engine::column_type`] makes serve that.
    #[must_use]
    pub fn in_text_order(self, text: Expr) -> Expr {
        match self {
            Self::Postgres => self.written("CAST($1 AS text) COLLATE \"C\"", &[text]),
            Self::Sqlite | Self::Mysql => text,
        }
    }

    /// The sum of a column, `NULL` where there is nothing to sum. With `decimal`, of a column of
    /// exact numbers: a `Value::Decimal` (a text on SQLite) with the column's decimals. Without, a
    /// `Value::Integer` for whole numbers, and a `Value::Real` for those with a fraction. A sum of
    /// whole numbers beyond 64 bits is a `Value::Decimal` on servers, and fails on SQLite. A sum beyond
    /// all doubles fails, as an average does.
    ///
    /// To be selected, compared and sorted by as it is; what is calculated from it further, or made
    /// a text, shows the decimals by which it is told from others.
    #[must_use]
    pub fn sum(self, column: Expr, decimal: bool) -> Expr {
        match (self, decimal) {
            (Self::Sqlite, true) => self.written(
                &format!("{}($1) COLLATE {DECIMAL_COLLATION}", sqlite::functions::DECIMAL_SUM),
                &[column],
            ),
            (Self::Sqlite, false) => {
                self.written(&format!("{}(sum($1))", sqlite::functions::IN_RANGE), &[column])
            }
            (Self::Postgres | Self::Mysql, true) => self.written("sum($1)", &[column]),
            // A sum of 64-bit numbers is widened to an exact one. It is told from others by its
            // decimals when it is read; sums of doubles stay what they are.
            (Self::Postgres, false) => {
                self.written(&format!("(sum($1) + 0e-{COUNTED_ON_POSTGRES})"), &[column])
            }
            (Self::Mysql, false) => {
                let zero = "0".repeat(COUNTED_ON_MYSQL.into());
                self.written(&format!("(sum($1) + 0.{zero})"), &[column])
            }
        }
    }

    /// The average of a column, `NULL` where there is nothing. With `decimal`, of exact numbers: a
    /// `Value::Decimal` (a text on SQLite) with 16 decimals, half of the last rounded away from
    /// zero. Without, a `Value::Real`.
    #[must_use]
    pub fn average(self, column: Expr, decimal: bool) -> Expr {
        match (self, decimal) {
            (Self::Sqlite, true) => self.written(
                &format!("{}($1) COLLATE {DECIMAL_COLLATION}", sqlite::functions::DECIMAL_AVERAGE),
                &[column],
            ),
            (Self::Sqlite, false) => {
                self.written(&format!("{}(avg($1))", sqlite::functions::IN_RANGE), &[column])
            }
            // Servers divide with as many decimals as they see fit, but with those of the dividend.
            (Self::Postgres, true) => {
                self.written(&format!("round((sum($1) + 0e-30) / count($1), {AVERAGE_DECIMALS})"), &[column])
            }
            (Self::Mysql, true) => {
                let zero = "0".repeat(26);
                self.written(
                    &format!("round((sum($1) + 0.{zero}) / nullif(count($1), 0), {AVERAGE_DECIMALS})"),
                    &[column],
                )
            }
            (Self::Postgres, false) => self.written("avg(CAST($1 AS float8))", &[column]),
            // An average that is beyond all doubles fails where something is added to it.
            (Self::Mysql, false) => self.written("(avg(($1) + 0e0) + 0e0)", &[column]),
        }
    }

    /// The value as a text. Whole and exact numbers look the same on every engine, and so do others
    /// from 0.0001 to below 10^15 in size; beyond that MySQL writes exponents in its own way.
    #[must_use]
    pub fn as_text(self, column: Expr) -> Expr {
        match self {
            Self::Sqlite => self.written(&format!("{}($1)", sqlite::functions::AS_TEXT), &[column]),
            Self::Postgres => self.written("CAST($1 AS text)", &[column]),
            Self::Mysql => self.written("CAST($1 AS char)", &[column]),
        }
    }

    /// Whether a text fits a pattern; with the same answer whatever the database's locale. `NULL`
    /// stays `NULL`. On MySQL and MariaDB a statement fails with [`DatabaseError::Pattern`] when
    /// there are too many ways to read a text, or all texts together take too long.
    ///
    /// [`DatabaseError::Pattern`]: super::DatabaseError::Pattern
    #[must_use]
    pub fn matches(self, column: Expr, pattern: &Pattern) -> Expr {
        let words = pattern.written(self);
        match self {
            Self::Sqlite => {
                self.written(&format!("{}($1, $2)", sqlite::functions::MATCHES), &[column, Expr::val(words)])
            }
            Self::Postgres => self.written("($1 ~ $2)", &[self.in_text_order(column), Expr::val(words)]),
            Self::Mysql => match pattern.effort() {
                Effort::Bounded => self.written("($1 REGEXP $2)", &[column, Expr::val(words)]),
                Effort::Unbounded { anchored, weight } => {
                    self.matches_within_bounds(column, &words, anchored, weight)
                }
            },
        }
    }

    /// The server's library counts its steps (all of them, where it does not take repetitions for
    /// possessive that look so), and takes a text that needs more than it may as one that
    /// does not fit. So the pattern is put in one that fits every text: at its first character
    /// if the text fits, else behind its last. What fits nowhere took too many steps, and fails the
    /// statement. MySQL, which has other words for the bound, fails by itself.
    fn matches_within_bounds(self, column: Expr, words: &str, anchored: bool, weight: u64) -> Expr {
        let (steps, more) = (MAX_STEPS / weight, STEPS_PER_CHARACTER / weight);
        let before = if anchored { "" } else { "(?s:.*?)" };
        let total = format!(r"\A(?={before}(?:{words}))|\z");
        // What stands in a comment is for one of the two servers, and holds no places.
        let template = format!(
            "($4 CASE WHEN $1 IS NULL THEN NULL WHEN char_length($1) = 0 THEN $1 REGEXP $2 ELSE \
             CASE regexp_instr($1, concat(\
             /*M!100000 '(*NO_AUTO_POSSESS)(*LIMIT_MATCH=', {steps} + {more} * char_length( */ \
             /*!80000 left( */ $1 /*!80000 , 0) */ /*M!100000 ), ')' */, $3)) \
             WHEN 1 THEN 1 WHEN 0 THEN {OUT_OF_STEPS}$1)) ELSE 0 END END)"
        );
        self.written(&template, &[column, Expr::val(words), Expr::val(total), Expr::val(COUNTS_STEPS)])
    }

    /// Whether a column's JSON array has one of the values (texts, numbers, `true`, `false`,
    /// `null`) as an element. Texts are compared letter by letter, and no text is a number. Never
    /// `NULL`: what is no array, or is not there, has none.
    #[must_use]
    pub fn array_has_any(self, column: Expr, values: &[Json]) -> Expr {
        let wanted = Expr::val(Json::Array(values.to_vec()));
        match self {
            Self::Sqlite => {
                self.written(&format!("{}($1, $2)", sqlite::functions::HAS_ANY), &[column, wanted])
            }
            Self::Postgres => self.written(
                &format!(
                    "EXISTS (SELECT 1 FROM {HELD_ON_POSTGRES} AS held(value) \
                     WHERE held.value IN (SELECT jsonb_array_elements($2::jsonb)))"
                ),
                &[column, wanted],
            ),
            Self::Mysql => self.has_any_on_mysql(column, values),
        }
    }

    /// Whether a column's JSON array has these values as elements and no others, in any order and
    /// however often; compared as by [`Engine::array_has_any`]. Never `NULL`.
    #[must_use]
    pub fn array_equals(self, column: Expr, values: &[Json]) -> Expr {
        let wanted = Expr::val(Json::Array(values.to_vec()));
        match self {
            Self::Sqlite => {
                self.written(&format!("{}($1, $2)", sqlite::functions::SAME_SET), &[column, wanted])
            }
            Self::Postgres => self.written(
                &format!(
                    "(CASE WHEN jsonb_typeof(($1)::jsonb) = 'array' THEN \
                     NOT EXISTS (SELECT {HELD_ON_POSTGRES} EXCEPT SELECT jsonb_array_elements($2::jsonb)) AND \
                     NOT EXISTS (SELECT jsonb_array_elements($2::jsonb) EXCEPT SELECT {HELD_ON_POSTGRES}) \
                     ELSE false END)"
                ),
                &[column, wanted],
            ),
            Self::Mysql => self.same_set_on_mysql(column, values),
        }
    }

    /// Its JSON functions compare numbers as doubles: what they find is looked at again, digit by digit.
    fn has_any_on_mysql(self, column: Expr, values: &[Json]) -> Expr {
        let (numbers, others): (Vec<Json>, Vec<Json>) =
            values.iter().cloned().partition(|value| value.is_number());
        let wanted = Expr::val(Json::Array(values.to_vec()));
        if numbers.is_empty() {
            return self.written(
                "(CASE WHEN json_type($1) = 'ARRAY' THEN json_overlaps($1, $2) ELSE 0 END)",
                &[column, wanted],
            );
        }
        let others = Expr::val(Json::Array(others));
        let mut parts = vec![column, wanted, constant("$[*]"), constant("$"), others];
        let (listed, _) = listed_digits(&numbers, &mut parts);
        self.written(
            &format!(
                "(CASE WHEN json_type($1) = 'ARRAY' THEN json_overlaps($1, $2) AND (json_overlaps($1, $5) OR EXISTS \
                 (SELECT 1 FROM {HELD_ON_MYSQL} WHERE {DIGITS_ON_MYSQL} IN ({listed}))) ELSE 0 END)"
            ),
            &parts,
        )
    }

    fn same_set_on_mysql(self, column: Expr, values: &[Json]) -> Expr {
        let numbers: Vec<Json> = values.iter().filter(|value| value.is_number()).cloned().collect();
        let wanted = Expr::val(Json::Array(values.to_vec()));
        let same = "json_contains($1, $2) AND json_contains($2, $1)";
        if numbers.is_empty() {
            let template = format!("(CASE WHEN json_type($1) = 'ARRAY' THEN {same} ELSE 0 END)");
            return self.written(&template, &[column, wanted]);
        }
        let mut parts = vec![column, wanted, constant("$[*]"), constant("$")];
        let (listed, count) = listed_digits(&numbers, &mut parts);
        self.written(
            &format!(
                "(CASE WHEN json_type($1) = 'ARRAY' THEN {same} AND \
                 (SELECT count(DISTINCT {DIGITS_ON_MYSQL}) = {count} AND min({DIGITS_ON_MYSQL} IN ({listed})) \
                 FROM {HELD_ON_MYSQL} WHERE held.value REGEXP '^[-0-9]') ELSE 0 END)"
            ),
            &parts,
        )
    }

    /// How many elements a column's JSON array has; 0 for what is none, or is not there.
    #[must_use]
    pub fn array_length(self, column: Expr) -> Expr {
        match self {
            Self::Sqlite => self.written("coalesce(json_array_length($1), 0)", &[column]),
            Self::Postgres => self.written(
                "(CASE WHEN jsonb_typeof(($1)::jsonb) = 'array' \
                 THEN jsonb_array_length(($1)::jsonb) ELSE 0 END)",
                &[column],
            ),
            Self::Mysql => {
                self.written("(CASE WHEN json_type($1) = 'ARRAY' THEN json_length($1) ELSE 0 END)", &[column])
            }
        }
    }

    /// An expression with others in the places `$1`, `$2` and so on, each as often as it is named.
    pub(super) fn written(self, template: &str, parts: &[Expr]) -> Expr {
        if self == Self::Postgres {
            return Expr::cust_with_exprs(template.to_owned(), parts.to_vec());
        }
        // The others' places have no numbers.
        let mut pieces = template.split('$');
        let mut words = pieces.next().unwrap_or_default().to_owned();
        let mut placed = Vec::new();
        for piece in pieces {
            let end = piece.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(piece.len());
            let part =
                piece[..end].parse::<usize>().ok().and_then(|number| parts.get(number.wrapping_sub(1)));
            placed.extend(part.cloned());
            words.push('?');
            words.push_str(&piece[end..]);
        }
        Expr::cust_with_exprs(words, placed)
    }
}

/// The elements of the array that a column holds.
const HELD_ON_POSTGRES: &str = "jsonb_array_elements(CASE WHEN jsonb_typeof(($1)::jsonb) = 'array' \
                                THEN ($1)::jsonb ELSE '[]'::jsonb END)";

/// The elements of the array that a column holds, each as JSON.
const HELD_ON_MYSQL: &str = "json_table($1, $3 COLUMNS (value JSON PATH $4)) AS held";

/// The digits of an element that is a number, without the zeros that say nothing.
const DIGITS_ON_MYSQL: &str = "(CASE WHEN held.value LIKE '%.%' \
                               THEN trim(TRAILING '.' FROM trim(TRAILING '0' FROM held.value)) \
                               ELSE held.value END)";

/// The digits of numbers, each once: their places behind the parts of an expression, to which they are
/// added, and how many there are.
fn listed_digits(numbers: &[Json], parts: &mut Vec<Expr>) -> (String, usize) {
    let digits = |number: &Json| {
        let text = number.to_string();
        decimal::parse(&text).map_or(text, |number| decimal::text(&number.normalized()))
    };
    let listed: BTreeSet<String> = numbers.iter().map(digits).collect();
    let count = listed.len();
    let places: Vec<String> =
        (parts.len() + 1..=parts.len() + count).map(|place| format!("${place}")).collect();
    parts.extend(listed.into_iter().map(Expr::val));
    (places.join(", "), count)
}

/// A text that is a part of the statement: PostgreSQL groups by what is the same before anything is
/// bound.
pub(super) fn constant(text: &str) -> Expr {
    Expr::Constant(text.into())
}
