//! Expressions whose syntax differs between engines: exact sums, numbers as texts, pattern matching, JSON
//! arrays. The value is the same on every engine. Formatted dates are in `moment.rs`.

use std::collections::BTreeSet;

use bigdecimal::BigDecimal;
use sea_query::Expr;
use serde_json::Value as Json;

use super::decimal::{AVERAGE_SCALE, INTEGER_SUM_SCALE_ON_MYSQL, INTEGER_SUM_SCALE_ON_POSTGRES};
use super::engine::DECIMAL_COLLATION;
use super::pattern::{Effort, Pattern};
use super::statement::STEP_LIMIT_MARKER;
use super::{Engine, decimal, sqlite};

/// The limit on the steps MariaDB takes to match a text against a pattern, plus so many for each character:
/// some milliseconds.
const MAX_STEPS: u64 = 250_000;
const STEPS_PER_CHARACTER: u64 = 16;
/// The beginning of an expression that overflows on every server: a statement that evaluates it fails, and
/// the server's message quotes it.
pub(super) const OUT_OF_STEPS: &str = "exp(1139 + char_length(";

impl Engine {
    /// Returns an exact number for comparison with a column of this precision and scale, which must be able
    /// to hold it.
    #[must_use]
    pub fn decimal(self, value: BigDecimal, precision: u32, scale: u32) -> Expr {
        let value = Expr::val(value);
        match self {
            Self::Sqlite | Self::Postgres => value,
            // A bound decimal is a text to MySQL, which would compare it as a double.
            Self::Mysql => self.substitute(&format!("CAST($1 AS decimal({precision}, {scale}))"), &[value]),
        }
    }

    /// Makes an expression with an exact result compare and sort as a number; columns do so by themselves.
    #[must_use]
    pub fn in_decimal_order(self, found: Expr) -> Expr {
        match self {
            Self::Sqlite => self.substitute(&format!("($1) COLLATE {DECIMAL_COLLATION}"), &[found]),
            Self::Postgres | Self::Mysql => found,
        }
    }

    /// Makes a text compare and sort by code point, whatever the database's locale. The indexes of columns
    /// with types from [`Engine::column_type`] serve this order.
    #[must_use]
    pub fn in_text_order(self, text: Expr) -> Expr {
        match self {
            Self::Postgres => self.substitute("CAST($1 AS text) COLLATE \"C\"", &[text]),
            Self::Sqlite | Self::Mysql => text,
        }
    }

    /// Returns the sum of a column; `NULL` without rows. With `decimal`, for columns of exact numbers: a
    /// `Value::Decimal` (a text on SQLite) with the column's scale. Without: a `Value::Integer` for whole
    /// numbers, a `Value::Real` for others. A sum of whole numbers beyond 64 bits is a `Value::Decimal` on
    /// servers and fails on SQLite. A sum or average beyond the range of doubles fails.
    ///
    /// Select it, compare it or sort by it as it is. Servers mark sums of whole numbers by their scale, which
    /// shows in arithmetic and in conversions to text.
    #[must_use]
    pub fn sum(self, column: Expr, decimal: bool) -> Expr {
        match (self, decimal) {
            (Self::Sqlite, true) => self.substitute(
                &format!("{}($1) COLLATE {DECIMAL_COLLATION}", sqlite::functions::DECIMAL_SUM),
                &[column],
            ),
            (Self::Sqlite, false) => {
                self.substitute(&format!("{}(sum($1))", sqlite::functions::IN_RANGE), &[column])
            }
            (Self::Postgres | Self::Mysql, true) => self.substitute("sum($1)", &[column]),
            // Servers widen a sum of 64-bit integers to an exact number. The scale marks it for the reader;
            // sums of doubles stay doubles.
            (Self::Postgres, false) => {
                self.substitute(&format!("(sum($1) + 0e-{INTEGER_SUM_SCALE_ON_POSTGRES})"), &[column])
            }
            (Self::Mysql, false) => {
                let zero = "0".repeat(INTEGER_SUM_SCALE_ON_MYSQL.into());
                self.substitute(&format!("(sum($1) + 0.{zero})"), &[column])
            }
        }
    }

    /// Returns the average of a column; `NULL` without rows. With `decimal`, for exact numbers: a
    /// `Value::Decimal` (a text on SQLite) with 16 decimals, rounded half away from zero. Without: a
    /// `Value::Real`.
    #[must_use]
    pub fn average(self, column: Expr, decimal: bool) -> Expr {
        match (self, decimal) {
            (Self::Sqlite, true) => self.substitute(
                &format!("{}($1) COLLATE {DECIMAL_COLLATION}", sqlite::functions::DECIMAL_AVERAGE),
                &[column],
            ),
            (Self::Sqlite, false) => {
                self.substitute(&format!("{}(avg($1))", sqlite::functions::IN_RANGE), &[column])
            }
            // Servers choose the scale of a quotient, but never less than the dividend's.
            (Self::Postgres, true) => {
                self.substitute(&format!("round((sum($1) + 0e-30) / count($1), {AVERAGE_SCALE})"), &[column])
            }
            (Self::Mysql, true) => {
                let zero = "0".repeat(26);
                self.substitute(
                    &format!("round((sum($1) + 0.{zero}) / nullif(count($1), 0), {AVERAGE_SCALE})"),
                    &[column],
                )
            }
            (Self::Postgres, false) => self.substitute("avg(CAST($1 AS float8))", &[column]),
            // MySQL returns an infinite average; adding to it raises the range error.
            (Self::Mysql, false) => self.substitute("(avg(($1) + 0e0) + 0e0)", &[column]),
        }
    }

    /// Converts a value to a text. Whole and exact numbers look the same on every engine, and so do doubles
    /// from 0.0001 to below 10^15 in magnitude; beyond, MySQL formats exponents differently.
    #[must_use]
    pub fn as_text(self, column: Expr) -> Expr {
        match self {
            Self::Sqlite => self.substitute(&format!("{}($1)", sqlite::functions::AS_TEXT), &[column]),
            Self::Postgres => self.substitute("CAST($1 AS text)", &[column]),
            Self::Mysql => self.substitute("CAST($1 AS char)", &[column]),
        }
    }

    /// Returns whether a text matches a pattern, independently of the database's locale; `NULL` for `NULL`.
    /// On MySQL and MariaDB the statement fails with [`DatabaseError::Pattern`] if a text takes too much
    /// backtracking, or all texts together take too long.
    ///
    /// [`DatabaseError::Pattern`]: super::DatabaseError::Pattern
    #[must_use]
    pub fn matches(self, column: Expr, pattern: &Pattern) -> Expr {
        let words = pattern.render(self);
        match self {
            Self::Sqlite => self
                .substitute(&format!("{}($1, $2)", sqlite::functions::MATCHES), &[column, Expr::val(words)]),
            Self::Postgres => self.substitute("($1 ~ $2)", &[self.in_text_order(column), Expr::val(words)]),
            Self::Mysql => match pattern.effort() {
                Effort::Bounded => self.substitute("($1 REGEXP $2)", &[column, Expr::val(words)]),
                Effort::Unbounded { anchored, weight } => {
                    self.matches_within_bounds(column, &words, anchored, weight)
                }
            },
        }
    }

    /// Matches within MariaDB's limit on steps, which treats an exhausted limit as "no match" (and counts
    /// every step only with automatic possessification off). The pattern is therefore wrapped in one that
    /// matches every text: at position 1 if the text fits, else at its end. A text that matches nowhere has
    /// exhausted the limit, and fails the statement. MySQL, which has no such syntax, fails by itself.
    fn matches_within_bounds(self, column: Expr, words: &str, anchored: bool, weight: u64) -> Expr {
        let (steps, more) = (MAX_STEPS / weight, STEPS_PER_CHARACTER / weight);
        let before = if anchored { "" } else { "(?s:.*?)" };
        let total = format!(r"\A(?={before}(?:{words}))|\z");
        // Each comment is executed by one of the two servers only. Comments hold no placeholders.
        let template = format!(
            "($4 CASE WHEN $1 IS NULL THEN NULL WHEN char_length($1) = 0 THEN $1 REGEXP $2 ELSE \
             CASE regexp_instr($1, concat(\
             /*M!100000 '(*NO_AUTO_POSSESS)(*LIMIT_MATCH=', {steps} + {more} * char_length( */ \
             /*!80000 left( */ $1 /*!80000 , 0) */ /*M!100000 ), ')' */, $3)) \
             WHEN 1 THEN 1 WHEN 0 THEN {OUT_OF_STEPS}$1)) ELSE 0 END END)"
        );
        self.substitute(
            &template,
            &[column, Expr::val(words), Expr::val(total), Expr::val(STEP_LIMIT_MARKER)],
        )
    }

    /// Returns whether a column's JSON array contains any of the values (texts, numbers, `true`, `false`,
    /// `null`). Texts compare by code point, and a text never equals a number. Never `NULL`: anything but an
    /// array contains nothing.
    #[must_use]
    pub fn array_has_any(self, column: Expr, values: &[Json]) -> Expr {
        let wanted = Expr::val(Json::Array(values.to_vec()));
        match self {
            Self::Sqlite => {
                self.substitute(&format!("{}($1, $2)", sqlite::functions::HAS_ANY), &[column, wanted])
            }
            Self::Postgres => self.substitute(
                &format!(
                    "EXISTS (SELECT 1 FROM {ELEMENTS_ON_POSTGRES} AS held(value) \
                     WHERE held.value IN (SELECT jsonb_array_elements($2::jsonb)))"
                ),
                &[column, wanted],
            ),
            Self::Mysql => self.has_any_on_mysql(column, values),
        }
    }

    /// Returns whether a column's JSON array and these values are equal as sets; elements compare as in
    /// [`Engine::array_has_any`]. Never `NULL`.
    #[must_use]
    pub fn array_equals(self, column: Expr, values: &[Json]) -> Expr {
        let wanted = Expr::val(Json::Array(values.to_vec()));
        match self {
            Self::Sqlite => {
                self.substitute(&format!("{}($1, $2)", sqlite::functions::SAME_SET), &[column, wanted])
            }
            Self::Postgres => self.substitute(
                &format!(
                    "(CASE WHEN jsonb_typeof(($1)::jsonb) = 'array' THEN \
                     NOT EXISTS (SELECT {ELEMENTS_ON_POSTGRES} EXCEPT SELECT jsonb_array_elements($2::jsonb)) AND \
                     NOT EXISTS (SELECT jsonb_array_elements($2::jsonb) EXCEPT SELECT {ELEMENTS_ON_POSTGRES}) \
                     ELSE false END)"
                ),
                &[column, wanted],
            ),
            Self::Mysql => self.same_set_on_mysql(column, values),
        }
    }

    /// MySQL's JSON functions compare numbers as doubles: candidates are compared again by their digits.
    fn has_any_on_mysql(self, column: Expr, values: &[Json]) -> Expr {
        let (numbers, others): (Vec<Json>, Vec<Json>) =
            values.iter().cloned().partition(|value| value.is_number());
        let wanted = Expr::val(Json::Array(values.to_vec()));
        if numbers.is_empty() {
            return self.substitute(
                "(CASE WHEN json_type($1) = 'ARRAY' THEN json_overlaps($1, $2) ELSE 0 END)",
                &[column, wanted],
            );
        }
        let others = Expr::val(Json::Array(others));
        let mut parts = vec![column, wanted, literal("$[*]"), literal("$"), others];
        let (listed, _) = listed_digits(&numbers, &mut parts);
        self.substitute(
            &format!(
                "(CASE WHEN json_type($1) = 'ARRAY' THEN json_overlaps($1, $2) AND (json_overlaps($1, $5) OR EXISTS \
                 (SELECT 1 FROM {ELEMENTS_ON_MYSQL} WHERE {DIGITS_ON_MYSQL} IN ({listed}))) ELSE 0 END)"
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
            return self.substitute(&template, &[column, wanted]);
        }
        let mut parts = vec![column, wanted, literal("$[*]"), literal("$")];
        let (listed, count) = listed_digits(&numbers, &mut parts);
        self.substitute(
            &format!(
                "(CASE WHEN json_type($1) = 'ARRAY' THEN {same} AND \
                 (SELECT count(DISTINCT {DIGITS_ON_MYSQL}) = {count} AND min({DIGITS_ON_MYSQL} IN ({listed})) \
                 FROM {ELEMENTS_ON_MYSQL} WHERE held.value REGEXP '^[-0-9]') ELSE 0 END)"
            ),
            &parts,
        )
    }

    /// Returns the length of a column's JSON array; 0 for anything but an array.
    #[must_use]
    pub fn array_length(self, column: Expr) -> Expr {
        match self {
            Self::Sqlite => self.substitute("coalesce(json_array_length($1), 0)", &[column]),
            Self::Postgres => self.substitute(
                "(CASE WHEN jsonb_typeof(($1)::jsonb) = 'array' \
                 THEN jsonb_array_length(($1)::jsonb) ELSE 0 END)",
                &[column],
            ),
            Self::Mysql => self
                .substitute("(CASE WHEN json_type($1) = 'ARRAY' THEN json_length($1) ELSE 0 END)", &[column]),
        }
    }

    /// Substitutes `parts` for `$1`, `$2` and so on in a template; each may occur several times.
    pub(super) fn substitute(self, template: &str, parts: &[Expr]) -> Expr {
        if self == Self::Postgres {
            return Expr::cust_with_exprs(template.to_owned(), parts.to_vec());
        }
        // The placeholders of the other engines are not numbered.
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
const ELEMENTS_ON_POSTGRES: &str = "jsonb_array_elements(CASE WHEN jsonb_typeof(($1)::jsonb) = 'array' \
                                THEN ($1)::jsonb ELSE '[]'::jsonb END)";

/// The elements of the array that a column holds, each as JSON.
const ELEMENTS_ON_MYSQL: &str = "json_table($1, $3 COLUMNS (value JSON PATH $4)) AS held";

/// The digits of a numeric element, without trailing zeros of the fraction.
const DIGITS_ON_MYSQL: &str = "(CASE WHEN held.value LIKE '%.%' \
                               THEN trim(TRAILING '.' FROM trim(TRAILING '0' FROM held.value)) \
                               ELSE held.value END)";

/// Appends the distinct digits of `numbers` to the parts of an expression. Returns their placeholders, and
/// how many there are.
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

/// Returns a text as a literal of the statement: PostgreSQL compares `GROUP BY` expressions before it binds
/// values.
pub(super) fn literal(text: &str) -> Expr {
    Expr::Constant(text.into())
}
