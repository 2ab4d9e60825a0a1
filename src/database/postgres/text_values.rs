//! Values as texts, for unnamed statements: the server infers the type of each, as it does for a quoted
//! literal.

use bytes::{BufMut, BytesMut};
use sea_query::Value as Bound;
use tokio_postgres::types::{Format, IsNull, ToSql, Type, to_sql_checked};

use crate::database::decimal;
use crate::database::error::BoxError;

/// A bound value as a text, whose type the server infers.
#[derive(Debug)]
pub(super) struct TextParameter<'a>(pub(super) &'a Bound);

impl ToSql for TextParameter<'_> {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, BoxError> {
        let Some(text) = text(self.0) else { return Ok(IsNull::Yes) };
        out.put_slice(text.as_bytes());
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        Format::Text
    }

    to_sql_checked!();
}

/// Formats a value so that the server can read it as any suitable type; `None` for a null.
fn text(value: &Bound) -> Option<String> {
    // The server's own format, whatever its `DateStyle`: early years have four digits, and late ones no sign.
    let moment = |text: String| text.trim_start_matches('+').to_owned();
    match value {
        // Readable as a boolean and as a number.
        Bound::Bool(value) => value.map(|value| u8::from(value).to_string()),
        Bound::TinyInt(value) => value.map(|value| value.to_string()),
        Bound::SmallInt(value) => value.map(|value| value.to_string()),
        Bound::Int(value) => value.map(|value| value.to_string()),
        Bound::BigInt(value) => value.map(|value| value.to_string()),
        Bound::TinyUnsigned(value) => value.map(|value| value.to_string()),
        Bound::SmallUnsigned(value) => value.map(|value| value.to_string()),
        Bound::Unsigned(value) => value.map(|value| value.to_string()),
        Bound::BigUnsigned(value) => value.map(|value| value.to_string()),
        Bound::Float(value) => value.map(|value| value.to_string()),
        Bound::Double(value) => value.map(|value| value.to_string()),
        Bound::Char(value) => value.map(String::from),
        Bound::String(value) => value.clone(),
        Bound::Bytes(value) => value.as_ref().map(|bytes| hexadecimal(bytes)),
        Bound::Json(value) => value.as_ref().map(ToString::to_string),
        Bound::ChronoDateTimeUtc(value) => {
            value.map(|value| moment(value.format("%Y-%m-%d %H:%M:%S%.f+00").to_string()))
        }
        Bound::ChronoDateTime(value) => {
            value.map(|value| moment(value.format("%Y-%m-%d %H:%M:%S%.f").to_string()))
        }
        Bound::ChronoDate(value) => value.map(|value| moment(value.format("%Y-%m-%d").to_string())),
        Bound::ChronoTime(value) => value.map(|value| value.format("%H:%M:%S%.f").to_string()),
        Bound::BigDecimal(value) => value.as_ref().map(|value| decimal::text(value)),
        Bound::Uuid(value) => value.map(|value| value.to_string()),
        // Types that are never bound; a null of any type.
        _ => None,
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 0xf]);
    let digits = digits.filter_map(|digit| char::from_digit(digit.into(), 16));
    "\\x".chars().chain(digits).collect()
}

#[cfg(test)]
mod tests {
    use chrono::{NaiveDate, TimeZone, Utc};
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_formatted_for_the_server() {
        let date = NaiveDate::from_ymd_opt(987, 6, 5).unwrap();
        let moment = Utc.timestamp_millis_opt(253_402_300_799_999).unwrap();
        for (value, written) in [
            (Bound::from(true), "1"),
            (i64::MIN.into(), "-9223372036854775808"),
            (0.1_f64.into(), "0.1"),
            (1e300_f64.into(), &format!("1{}", "0".repeat(300))),
            ("it's \\ \u{1F600}".into(), "it's \\ \u{1F600}"),
            (vec![0_u8, 0xab, 0xff].into(), "\\x00abff"),
            (json!({"a": [1, "b"]}).into(), r#"{"a":[1,"b"]}"#),
            (date.into(), "0987-06-05"),
            (date.and_hms_milli_opt(1, 2, 3, 40).unwrap().into(), "0987-06-05 01:02:03.040"),
            (moment.into(), "9999-12-31 23:59:59.999+00"),
            (bigdecimal::BigDecimal::from(7).into(), "7"),
        ] {
            assert_eq!(text(&value).as_deref(), Some(written));
        }
        assert_eq!(text(&Bound::String(None)), None);
    }
}
