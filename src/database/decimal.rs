//! Exact numbers as texts: how they are rendered for every engine, and how they are ordered for SQLite, which
//! has no such type.

use std::cmp::Ordering;
use std::str::FromStr;

use bigdecimal::{BigDecimal, ToPrimitive, Zero};

use super::Value;

/// The digits before or after the point beyond which a number is written with an exponent. No column holds
/// more, and a short literal must not expand to a gigabyte.
const MAX_DIGITS: i64 = 2000;

/// Whether a column can hold a number of this size.
pub(super) fn is_storable(value: &BigDecimal) -> bool {
    (-MAX_DIGITS..=MAX_DIGITS).contains(&value.fractional_digit_count())
}

/// Formats a number as engines read it, with all its decimals: `-12.50`.
pub(super) fn text(value: &BigDecimal) -> String {
    if is_storable(value) { value.to_plain_string() } else { value.to_scientific_notation() }
}

/// Parses a number of a size that a column can hold.
pub(super) fn parse(text: &str) -> Option<BigDecimal> {
    BigDecimal::from_str(text.trim()).ok().filter(is_storable)
}

/// Splits a number without an exponent into an integer and its scale (`12.50` into 1250 and 2); `None` if it
/// is not such a number or overflows.
pub(super) fn units(text: &str) -> Option<(i128, u32)> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let mut units: i128 = whole.parse().ok()?;
    let negative = whole.starts_with('-');
    for digit in fraction.bytes() {
        let digit = i128::from(char::from(digit).to_digit(10)?);
        units = units.checked_mul(10)?.checked_add(if negative { -digit } else { digit })?;
    }
    Some((units, u32::try_from(fraction.len()).ok()?))
}

/// The scale of an average of exact numbers.
pub(super) const AVERAGE_SCALE: u8 = 16;

/// The scale that marks a sum of whole numbers, which servers widen to exact numbers. No column has so many
/// decimals, and all of them are zero.
pub(super) const INTEGER_SUM_SCALE_ON_POSTGRES: u16 = 383;
/// The same on MySQL, which has at most 30 decimals. In a column with this scale, values without a fraction
/// are read as whole numbers.
pub(super) const INTEGER_SUM_SCALE_ON_MYSQL: u16 = 29;

/// Returns an exact number, or a whole number if `decimals` marks it as the sum of whole numbers.
pub(super) fn unmark_integer_sum(value: BigDecimal, decimals: u16) -> Value {
    if value.fractional_digit_count() != i64::from(decimals) {
        return Value::Decimal(value);
    }
    let whole = value.with_scale(0);
    if !(&value - &whole).is_zero() {
        return Value::Decimal(value);
    }
    match whole.to_i64() {
        Some(whole) => Value::Integer(whole),
        None => Value::Decimal(whole),
    }
}

/// Compares two texts as numbers. What is not a number comes after all numbers, ordered by its characters.
pub(super) fn compare(left: &str, right: &str) -> Ordering {
    if let (Some(left), Some(right)) = (PlainNumber::read(left), PlainNumber::read(right)) {
        return left.cmp(&right);
    }
    match (parse(left), parse(right)) {
        (Some(left), Some(right)) => left.cmp(&right),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => left.cmp(right),
    }
}

/// A number without an exponent and without insignificant zeros.
#[derive(PartialEq, Eq)]
struct PlainNumber<'a> {
    negative: bool,
    whole: &'a str,
    fraction: &'a str,
}

impl<'a> PlainNumber<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let (negative, digits) = match text.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, text),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !all_digits(whole) || !all_digits(fraction) {
            return None;
        }
        let (whole, fraction) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
        // Zero has no sign.
        Some(Self { negative: negative && !(whole.is_empty() && fraction.is_empty()), whole, fraction })
    }

    fn cmp(&self, other: &Self) -> Ordering {
        let magnitude = || {
            let whole = self.whole.len().cmp(&other.whole.len()).then_with(|| self.whole.cmp(other.whole));
            whole.then_with(|| self.fraction.cmp(other.fraction))
        };
        match (self.negative, other.negative) {
            (false, true) => Ordering::Greater,
            (true, false) => Ordering::Less,
            (false, false) => magnitude(),
            (true, true) => magnitude().reverse(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_compare_as_numbers() {
        let ascending = ["-100", "-20.5", "-20.05", "-0.01", "0", "0.009", "0.01", "2", "10", "1e3", "1001"];
        for (at, left) in ascending.iter().enumerate() {
            for (beside, right) in ascending.iter().enumerate() {
                assert_eq!(compare(left, right), at.cmp(&beside), "{left} and {right}");
            }
        }
        for (left, right) in [("-0", "0.00"), ("007", "7.0"), ("1.5", "1.50"), ("1e1", "10")] {
            assert_eq!(compare(left, right), Ordering::Equal, "{left} and {right}");
        }
        assert_eq!(compare("", "-1"), Ordering::Greater, "no number comes last");
        assert_eq!(compare("1e999999999", "2"), Ordering::Greater);
        assert_eq!(compare("a", "b"), Ordering::Less);
    }

    #[test]
    fn numbers_split_into_units_and_scale() {
        for (text, units_and_decimals) in [
            ("12.50", Some((1250, 2))),
            ("-0.05", Some((-5, 2))),
            ("7", Some((7, 0))),
            ("1e3", None),
            ("1.-5", None),
            ("", None),
            ("170141183460469231731687303715884105728", None),
            ("1.70141183460469231731687303715884105728", None),
        ] {
            assert_eq!(units(text), units_and_decimals, "{text}");
        }
    }

    #[test]
    fn numbers_keep_their_scale_and_a_bounded_length() {
        for (given, written) in [("12.50", "12.50"), ("-0.001", "-0.001"), ("1e3", "1000")] {
            assert_eq!(text(&BigDecimal::from_str(given).unwrap()), written);
        }
        let huge = text(&BigDecimal::from_str("1e999999999").unwrap());
        assert!(huge.len() < 20, "{huge}");
    }
}
