//! Parses numbers without losing digits: all types accept the same notations.
//!
//! | given | parsed as |
//! |---|---|
//! | a JSON number | that number |
//! | a text of a sign, digits with at most one point, and an exponent, with or without spaces around it: `" +1.50e3 "` | that number |
//! | separators (`1,000`, `1_000`), other bases (`0x1F`), words (`NaN`), the empty text | not a number |
//! | more than [`MAX_DIGITS`] digits before or after the point, written without an exponent | not a number |

use std::borrow::Cow;

use bigdecimal::num_bigint::BigInt;
use bigdecimal::{BigDecimal, RoundingMode, ToPrimitive, Zero};
use serde_json::Value as Json;

/// Limit of digits before the point, and after it; every double needs fewer. A short text such as
/// `1e999999999` must not expand to a gigabyte.
const MAX_DIGITS: i64 = 400;

/// The largest whole number that JavaScript clients read exactly; larger ones are returned as texts.
pub(super) const MAX_SAFE_INTEGER: i64 = 9_007_199_254_740_991;

/// Decimals to which engines compute averages.
const MAX_AVERAGE_DECIMALS: i64 = 16;

/// Decimal digits that a double always represents.
const DOUBLE_DIGITS: i64 = 15;

/// Returns the text in which a number was given.
fn text_of(given: &Json) -> Option<Cow<'_, str>> {
    match given {
        Json::Number(number) => Some(number.to_string().into()),
        Json::String(text) => Some(text.trim().into()),
        _ => None,
    }
}

/// Parses a number.
pub(in crate::data) fn decimal(given: &Json) -> Option<BigDecimal> {
    parse(&text_of(given)?)
}

/// Parses a whole number: `5.0` and `5e0` are 5.
pub(in crate::data) fn whole(given: &Json) -> Option<i64> {
    if let Some(number) = given.as_i64() {
        return Some(number);
    }
    let text = text_of(given)?;
    match text.parse() {
        Ok(number) => Some(number),
        Err(_) => parse(&text).filter(BigDecimal::is_integer)?.to_i64(),
    }
}

/// Parses a number and rounds it down.
pub(super) fn floor(given: &Json) -> Option<i64> {
    match whole(given) {
        Some(number) => Some(number),
        None => decimal(given)?.with_scale_round(0, RoundingMode::Floor).to_i64(),
    }
}

/// Parses a number to the nearest double.
pub(super) fn double(given: &Json) -> Option<f64> {
    let text = text_of(given)?;
    let number: f64 = NumberParts::read(&text)?.is_short().then(|| text.parse().ok())??;
    number.is_finite().then_some(number)
}

/// Returns the digits of a number without an exponent, for texts and documents.
pub(super) fn digits(number: &serde_json::Number) -> Option<String> {
    let text = number.to_string();
    let is_zero_below_zero =
        text.strip_prefix('-').is_some_and(|digits| digits.bytes().all(|digit| matches!(digit, b'0' | b'.')));
    if text.contains(['e', 'E']) || is_zero_below_zero {
        return Some(parse(&text)?.to_plain_string());
    }
    NumberParts::read(&text)?.is_short().then_some(text)
}

/// Converts an exact number to JSON: a number if a client that reads doubles gets exactly these digits, else
/// a text.
pub(super) fn exact_to_json(number: &BigDecimal) -> Json {
    let plain = number.normalized().to_plain_string();
    let is_read_alike = match number.is_integer() {
        true => plain.parse().is_ok_and(|whole: i64| whole.unsigned_abs() <= MAX_SAFE_INTEGER.unsigned_abs()),
        false => plain.parse().is_ok_and(|double: f64| double.to_string() == plain),
    };
    match plain.parse() {
        Ok(number) if is_read_alike => Json::Number(number),
        _ => Json::String(plain),
    }
}

/// Converts an average of numbers with `decimals` decimals to JSON. A repeating decimal is rounded to the
/// digits of a double, but has at least four decimals more than the numbers.
pub(super) fn average_to_json(average: &BigDecimal, decimals: u32) -> Json {
    let average = average.normalized();
    if average.fractional_digit_count() < MAX_AVERAGE_DECIMALS {
        return exact_to_json(&average);
    }
    let whole = i64::try_from(average.digits()).unwrap_or(i64::MAX) - average.fractional_digit_count();
    let kept = (DOUBLE_DIGITS - whole).max(i64::from(decimals) + 4).min(MAX_AVERAGE_DECIMALS);
    exact_to_json(&average.with_scale_round(kept, RoundingMode::HalfUp))
}

fn parse(text: &str) -> Option<BigDecimal> {
    let notation = NumberParts::read(text)?;
    if !notation.is_short() {
        return None;
    }
    let digits = [notation.whole, notation.fraction].concat();
    let number = BigInt::parse_bytes(digits.as_bytes(), 10)?;
    Some(BigDecimal::new(if notation.negative { -number } else { number }, notation.decimals()))
}

/// The parts of a number in text form.
struct NumberParts<'a> {
    negative: bool,
    whole: &'a str,
    fraction: &'a str,
    exponent: i64,
}

impl<'a> NumberParts<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let (negative, unsigned) = match text.as_bytes().first()? {
            b'-' => (true, &text[1..]),
            b'+' => (false, &text[1..]),
            _ => (false, text),
        };
        let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse().ok()?),
            None => (unsigned, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let are_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let is_number =
            are_digits(whole) && are_digits(fraction) && !(whole.is_empty() && fraction.is_empty());
        is_number.then_some(Self { negative, whole, fraction, exponent })
    }

    /// Returns the number of decimals after applying the exponent; negative for trailing zeros.
    fn decimals(&self) -> i64 {
        i64::try_from(self.fraction.len()).unwrap_or(i64::MAX).saturating_sub(self.exponent)
    }

    fn is_short(&self) -> bool {
        let whole = i64::try_from(self.whole.len()).unwrap_or(i64::MAX);
        self.decimals() <= MAX_DIGITS
            && self.decimals() >= -MAX_DIGITS
            && whole.saturating_add(self.exponent) <= MAX_DIGITS
            && whole <= MAX_DIGITS
    }
}

/// Converts 0 and 1 to booleans.
pub(super) fn truth(given: &Json) -> Option<bool> {
    match whole(given)? {
        0 => Some(false),
        1 => Some(true),
        _ => None,
    }
}

/// The relation of a number to the values that a column can hold.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::data) enum Representation<T> {
    /// The column can hold the number.
    Exact(T),
    /// The column cannot hold the number, which lies between this value and the next.
    Above(T),
    /// The number is less than every value of the column.
    Below,
}

impl<T> Representation<T> {
    pub(in crate::data) fn map<U>(self, make: impl FnOnce(T) -> U) -> Representation<U> {
        match self {
            Self::Exact(value) => Representation::Exact(make(value)),
            Self::Above(value) => Representation::Above(make(value)),
            Self::Below => Representation::Below,
        }
    }
}

/// Relates a number to the whole numbers from `least` to `greatest`.
pub(in crate::data) fn represent_integer(
    given: &Json,
    least: i64,
    greatest: i64,
) -> Option<Representation<i64>> {
    if let Some(number) = whole(given).filter(|number| (least..=greatest).contains(number)) {
        return Some(Representation::Exact(number));
    }
    let number = decimal(given)?;
    Some(match floor(given) {
        Some(whole) if whole < least => Representation::Below,
        Some(whole) => Representation::Above(whole.min(greatest)),
        None if number < BigDecimal::zero() => Representation::Below,
        None => Representation::Above(greatest),
    })
}

/// Relates a number to the decimals with `precision` digits, `scale` of them after the point.
pub(in crate::data) fn represent_decimal(
    given: &Json,
    precision: u32,
    scale: u32,
) -> Option<Representation<BigDecimal>> {
    let number = decimal(given)?;
    let scale = i64::from(scale);
    let greatest = BigDecimal::new(BigInt::from(10).pow(precision) - 1, scale);
    if number > greatest {
        return Some(Representation::Above(greatest));
    }
    let below = number.with_scale_round(scale, RoundingMode::Floor);
    Some(if below < -greatest {
        Representation::Below
    } else if below == number {
        Representation::Exact(below)
    } else {
        Representation::Above(below)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn number(text: &str) -> Json {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn every_type_accepts_every_notation() {
        for text in ["5", "+5", " 5 ", "5.0", "5.", "0.5e1", "50E-1", "05", "5e+0", "\t5\n"] {
            assert_eq!(whole(&json!(text)), Some(5), "{text}");
            assert_eq!(double(&json!(text)), Some(5.0), "{text}");
            assert_eq!(decimal(&json!(text)), Some(BigDecimal::from(5)), "{text}");
        }
        for text in ["-.5", "-0.5", "-5e-1", " -0.50"] {
            assert_eq!((whole(&json!(text)), floor(&json!(text))), (None, Some(-1)), "{text}");
            assert_eq!(double(&json!(text)), Some(-0.5), "{text}");
            assert_eq!(decimal(&json!(text)), "-0.5".parse().ok(), "{text}");
        }
        let none = [
            "",
            " ",
            "+",
            "-",
            ".",
            "e5",
            "1e",
            "1e+",
            "1,000",
            "1_000",
            "1 000",
            "0x1F",
            "1e5.0",
            "NaN",
            "inf",
            "Infinity",
            "--5",
            "+-5",
            "5-",
            "1.2.3",
            "½",
            "٣",
            "1e401",
            "1e-401",
            "1e99999999999999999999",
            "5f",
        ];
        for text in none {
            let given = json!(text);
            assert_eq!((whole(&given), double(&given), decimal(&given)), (None, None, None), "{text}");
        }
        for given in [json!(true), json!(null), json!([5]), json!({"a": 5})] {
            assert_eq!((whole(&given), double(&given), decimal(&given)), (None, None, None), "{given}");
        }
    }

    #[test]
    fn digits_are_kept() {
        for (given, kept) in [
            ("123456789123456.12345", "123456789123456.12345"),
            ("-1.50", "-1.50"),
            ("1e3", "1000"),
            ("-2.5E-3", "-0.0025"),
            ("-0", "0"),
            ("-0.0", "0.0"),
            ("12345678901234567890123", "12345678901234567890123"),
        ] {
            let Json::Number(given) = number(given) else { panic!("{given} is a number") };
            assert_eq!(digits(&given).as_deref(), Some(kept));
        }
        let Json::Number(huge) = number("1e999") else { panic!("it is a number") };
        assert_eq!(digits(&huge), None);
        assert_eq!(whole(&number("9223372036854775807")), Some(i64::MAX));
        assert_eq!(whole(&number("9223372036854775808")), None);
        assert_eq!(double(&number("1.7976931348623157e308")), Some(f64::MAX));
        assert_eq!(double(&number("5e-324")), Some(f64::from_bits(1)));
        assert_eq!(double(&number("1.8e308")), None);
    }

    #[test]
    fn numbers_that_a_double_cannot_hold_become_texts() {
        for (exact, out) in [
            ("30.3100", json!(30.31)),
            ("7.000", json!(7)),
            ("9007199254740991", json!(9_007_199_254_740_991_i64)),
            ("9007199254740992", json!("9007199254740992")),
            ("-123456789123456.12345", json!("-123456789123456.12345")),
            ("0.00001", number("0.00001")),
            ("0.1234567890123456789", json!("0.1234567890123456789")),
        ] {
            assert_eq!(exact_to_json(&exact.parse().unwrap()), out, "{exact}");
        }
    }

    #[test]
    fn averages_are_rounded_to_significant_decimals() {
        for (average, decimals, out) in [
            ("2.7500000000000000", 0, json!(2.75)),
            ("3.3333333333333333", 0, number("3.33333333333333")),
            ("-1234.6666666666666667", 2, number("-1234.66666666667")),
            ("0.0033333333333333", 5, number("0.0033333333333333")),
            ("9007199254740993.3333333333333333", 0, json!("9007199254740993.3333")),
            ("123456789123456.1234566666666667", 5, json!("123456789123456.123456667")),
        ] {
            assert_eq!(average_to_json(&average.parse().unwrap(), decimals), out, "{average}");
        }
    }

    #[test]
    fn numbers_that_a_column_cannot_hold_keep_their_order() {
        let of_integers = |text: &str| represent_integer(&json!(text), -128, 127).unwrap();
        for (text, held) in [
            ("5", Representation::Exact(5)),
            ("5.5", Representation::Above(5)),
            ("-5.5", Representation::Above(-6)),
            ("127.5", Representation::Above(127)),
            ("128", Representation::Above(127)),
            ("1e300", Representation::Above(127)),
            ("-128", Representation::Exact(-128)),
            ("-128.5", Representation::Below),
            ("-1e300", Representation::Below),
        ] {
            assert_eq!(of_integers(text), held, "{text}");
        }
        let exact = |text: &str| text.parse::<BigDecimal>().unwrap();
        for (text, held) in [
            ("1.5", Representation::Exact(exact("1.50"))),
            ("1.555", Representation::Above(exact("1.55"))),
            ("-1.555", Representation::Above(exact("-1.56"))),
            ("1000", Representation::Above(exact("99.99"))),
            ("-99.99", Representation::Exact(exact("-99.99"))),
            ("-99.991", Representation::Below),
        ] {
            assert_eq!(represent_decimal(&json!(text), 4, 2), Some(held), "{text}");
        }
    }
}
