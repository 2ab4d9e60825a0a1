//! Converts values to and from PostgreSQL's binary format. A value takes the type that the server expects, so
//! that a number fits a column of any size.

use bigdecimal::{BigDecimal, ToPrimitive};
use bytes::{BufMut, BytesMut};
use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, Utc};
use sea_query::Value as Bound;
use tokio_postgres::types::{FromSql, IsNull, Kind, ToSql, Type, to_sql_checked};

use crate::database::error::BoxError;
use crate::database::{Value, decimal};

/// The sign word of a negative number in the binary format.
const NEGATIVE: u16 = 0x4000;

/// A bound value, on its way to the server.
#[derive(Debug)]
pub(super) struct Parameter<'a>(pub(super) &'a Bound);

impl ToSql for Parameter<'_> {
    fn to_sql(&self, kind: &Type, out: &mut BytesMut) -> Result<IsNull, BoxError> {
        match self.0 {
            Bound::Bool(Some(value)) => boolean(*value, kind, out),
            Bound::TinyInt(Some(value)) => whole(i64::from(*value), kind, out),
            Bound::SmallInt(Some(value)) => whole(i64::from(*value), kind, out),
            Bound::Int(Some(value)) => whole(i64::from(*value), kind, out),
            Bound::BigInt(Some(value)) => whole(*value, kind, out),
            Bound::TinyUnsigned(Some(value)) => whole(i64::from(*value), kind, out),
            Bound::SmallUnsigned(Some(value)) => whole(i64::from(*value), kind, out),
            Bound::Unsigned(Some(value)) => whole(i64::from(*value), kind, out),
            Bound::BigUnsigned(Some(value)) => whole(i64::try_from(*value)?, kind, out),
            Bound::Float(Some(value)) => real(f64::from(*value), kind, out),
            Bound::Double(Some(value)) => real(*value, kind, out),
            Bound::String(Some(value)) => text(value, kind, out),
            Bound::Char(Some(value)) => text(value.encode_utf8(&mut [0; 4]), kind, out),
            Bound::Bytes(Some(value)) => value.to_sql(kind, out),
            Bound::Json(Some(value)) => value.to_sql(kind, out),
            Bound::ChronoDateTimeUtc(Some(value)) => moment(*value, kind, out),
            Bound::ChronoDateTime(Some(value)) => without_zone(*value, kind, out),
            Bound::ChronoDate(Some(value)) => date(*value, kind, out),
            Bound::ChronoTime(Some(value)) => time(*value, kind, out),
            Bound::BigDecimal(Some(value)) => exact(value, kind, out),
            Bound::Uuid(Some(value)) => value.to_sql(kind, out),
            // Types that are never bound; a null of any type.
            _ => Ok(IsNull::Yes),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

/// Whether the values have the types that the server expects. A null has any type.
pub(super) fn have_types(values: &[Bound], kinds: &[Type]) -> bool {
    values.len() == kinds.len() && values.iter().zip(kinds).all(|(value, kind)| suits(value, kind))
}

fn suits(value: &Bound, kind: &Type) -> bool {
    let whole = |value: i64| match *kind {
        Type::INT8 => true,
        Type::INT4 | Type::OID => i32::try_from(value).is_ok(),
        Type::INT2 => i16::try_from(value).is_ok(),
        _ => false,
    };
    let is_real = matches!(*kind, Type::FLOAT8 | Type::FLOAT4);
    let is_text = matches!(*kind, Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME | Type::UNKNOWN);
    match value {
        Bound::Bool(value) => value.is_none() || *kind == Type::BOOL,
        Bound::TinyInt(value) => value.is_none_or(|value| whole(value.into())),
        Bound::SmallInt(value) => value.is_none_or(|value| whole(value.into())),
        Bound::Int(value) => value.is_none_or(|value| whole(value.into())),
        Bound::BigInt(value) => value.is_none_or(whole),
        Bound::TinyUnsigned(value) => value.is_none_or(|value| whole(value.into())),
        Bound::SmallUnsigned(value) => value.is_none_or(|value| whole(value.into())),
        Bound::Unsigned(value) => value.is_none_or(|value| whole(value.into())),
        Bound::BigUnsigned(value) => value.is_none_or(|value| i64::try_from(value).is_ok_and(whole)),
        Bound::Float(value) => value.is_none() || is_real,
        Bound::Double(value) => value.is_none() || is_real,
        Bound::String(value) => value.is_none() || is_text,
        Bound::Char(value) => value.is_none() || is_text,
        Bound::Bytes(value) => value.is_none() || *kind == Type::BYTEA,
        Bound::Json(value) => value.is_none() || matches!(*kind, Type::JSON | Type::JSONB),
        Bound::ChronoDateTimeUtc(value) => value.is_none() || *kind == Type::TIMESTAMPTZ,
        Bound::ChronoDateTime(value) => value.is_none() || *kind == Type::TIMESTAMP,
        Bound::ChronoDate(value) => value.is_none() || *kind == Type::DATE,
        Bound::ChronoTime(value) => value.is_none() || *kind == Type::TIME,
        Bound::BigDecimal(value) => value.is_none() || *kind == Type::NUMERIC,
        Bound::Uuid(value) => value.is_none() || *kind == Type::UUID,
        _ => true,
    }
}

fn boolean(value: bool, kind: &Type, out: &mut BytesMut) -> Result<IsNull, BoxError> {
    match *kind {
        Type::BOOL => value.to_sql(kind, out),
        _ => whole(i64::from(value), kind, out),
    }
}

fn whole(value: i64, kind: &Type, out: &mut BytesMut) -> Result<IsNull, BoxError> {
    match *kind {
        Type::INT8 => value.to_sql(kind, out),
        Type::INT4 => i32::try_from(value)?.to_sql(kind, out),
        Type::INT2 => i16::try_from(value)?.to_sql(kind, out),
        Type::OID => u32::try_from(value)?.to_sql(kind, out),
        #[expect(clippy::cast_precision_loss, reason = "that is what such a column holds")]
        Type::FLOAT8 | Type::FLOAT4 => real(value as f64, kind, out),
        Type::BOOL => (value != 0).to_sql(kind, out),
        Type::NUMERIC => exact(&BigDecimal::from(value), kind, out),
        _ => text(&value.to_string(), kind, out),
    }
}

fn real(value: f64, kind: &Type, out: &mut BytesMut) -> Result<IsNull, BoxError> {
    match *kind {
        Type::FLOAT8 => value.to_sql(kind, out),
        #[expect(clippy::cast_possible_truncation, reason = "that is what such a column holds")]
        Type::FLOAT4 => (value as f32).to_sql(kind, out),
        // By its shortest decimal form: 0.1 means a tenth.
        Type::NUMERIC => text(&value.to_string(), kind, out),
        _ => text(&value.to_string(), kind, out),
    }
}

fn moment(value: DateTime<Utc>, kind: &Type, out: &mut BytesMut) -> Result<IsNull, BoxError> {
    match *kind {
        Type::TIMESTAMP => value.naive_utc().to_sql(kind, out),
        _ => value.to_sql(kind, out),
    }
}

fn without_zone(value: NaiveDateTime, kind: &Type, out: &mut BytesMut) -> Result<IsNull, BoxError> {
    match *kind {
        Type::TIMESTAMPTZ => value.and_utc().to_sql(kind, out),
        Type::DATE => value.date().to_sql(kind, out),
        Type::TIMESTAMP => value.to_sql(kind, out),
        _ => text(&value.format("%Y-%m-%d %H:%M:%S%.f").to_string(), kind, out),
    }
}

fn date(value: NaiveDate, kind: &Type, out: &mut BytesMut) -> Result<IsNull, BoxError> {
    match *kind {
        Type::DATE => value.to_sql(kind, out),
        Type::TIMESTAMP | Type::TIMESTAMPTZ => without_zone(value.and_time(NaiveTime::MIN), kind, out),
        _ => text(&value.to_string(), kind, out),
    }
}

fn time(value: NaiveTime, kind: &Type, out: &mut BytesMut) -> Result<IsNull, BoxError> {
    match *kind {
        Type::TIME => value.to_sql(kind, out),
        _ => text(&value.to_string(), kind, out),
    }
}

fn exact(value: &BigDecimal, kind: &Type, out: &mut BytesMut) -> Result<IsNull, BoxError> {
    match *kind {
        Type::NUMERIC => {
            put_numeric(&decimal::text(value), out)?;
            Ok(IsNull::No)
        }
        Type::FLOAT8 | Type::FLOAT4 => real(value.to_f64().ok_or("a number is too large")?, kind, out),
        _ => text(&decimal::text(value), kind, out),
    }
}

fn text(value: &str, kind: &Type, out: &mut BytesMut) -> Result<IsNull, BoxError> {
    match *kind {
        Type::UUID => uuid::Uuid::parse_str(value)?.to_sql(kind, out),
        Type::TIMESTAMPTZ => DateTime::parse_from_rfc3339(value)?.to_sql(kind, out),
        Type::JSON | Type::JSONB => serde_json::from_str::<serde_json::Value>(value)?.to_sql(kind, out),
        Type::INT8 | Type::INT4 | Type::INT2 => whole(value.parse()?, kind, out),
        Type::FLOAT8 | Type::FLOAT4 => real(value.parse()?, kind, out),
        Type::NUMERIC => exact(&decimal::parse(value).ok_or("it is not a number")?, kind, out),
        Type::DATE => value.parse::<NaiveDate>()?.to_sql(kind, out),
        Type::TIME => value.parse::<NaiveTime>()?.to_sql(kind, out),
        _ => {
            out.put_slice(value.as_bytes());
            Ok(IsNull::No)
        }
    }
}

/// A value of a row, of whatever type the server reports.
pub(super) struct Received(pub(super) Value);

impl<'a> FromSql<'a> for Received {
    fn from_sql(kind: &Type, raw: &'a [u8]) -> Result<Self, BoxError> {
        Ok(Self(match *kind {
            Type::BOOL => Value::Bool(bool::from_sql(kind, raw)?),
            Type::INT2 => Value::Integer(i16::from_sql(kind, raw)?.into()),
            Type::INT4 => Value::Integer(i32::from_sql(kind, raw)?.into()),
            Type::INT8 => Value::Integer(i64::from_sql(kind, raw)?),
            Type::OID => Value::Integer(u32::from_sql(kind, raw)?.into()),
            Type::FLOAT4 => Value::Real(f32::from_sql(kind, raw)?.into()),
            Type::FLOAT8 => Value::Real(f64::from_sql(kind, raw)?),
            Type::BYTEA => Value::Bytes(raw.to_vec()),
            // A value outside the calendar, such as `infinity`, must not fail the whole row.
            Type::TIMESTAMPTZ => DateTime::from_sql(kind, raw).map_or_else(|_| beyond(raw), Value::DateTime),
            Type::TIMESTAMP => {
                NaiveDateTime::from_sql(kind, raw).map_or_else(|_| beyond(raw), Value::DateTimeNoTz)
            }
            Type::DATE => NaiveDate::from_sql(kind, raw).map_or_else(|_| beyond(raw), Value::Date),
            Type::TIME => Value::Time(NaiveTime::from_sql(kind, raw)?),
            // The server allows documents of any depth.
            Type::JSON | Type::JSONB => match serde_json::Value::from_sql(kind, raw) {
                Ok(document) => Value::Json(document),
                Err(_) => Value::Text(String::from_utf8_lossy(raw).into_owned()),
            },
            Type::UUID => Value::Uuid(uuid::Uuid::from_sql(kind, raw)?),
            Type::NUMERIC => received_numeric(raw)?,
            _ => Value::Text(std::str::from_utf8(raw)?.to_owned()),
        }))
    }

    fn from_sql_null(_: &Type) -> Result<Self, BoxError> {
        Ok(Self(Value::Null))
    }

    fn accepts(kind: &Type) -> bool {
        matches!(kind.kind(), Kind::Simple | Kind::Enum(_))
    }
}

/// Converts a date or a moment outside the calendar to a text. The greatest and the least number are the
/// server's `infinity` and `-infinity`.
fn beyond(raw: &[u8]) -> Value {
    let word = match raw {
        [0x7f, rest @ ..] if rest.iter().all(|byte| *byte == 0xff) => "infinity",
        [0x80, rest @ ..] if rest.iter().all(|byte| *byte == 0) => "-infinity",
        _ => "beyond the calendar",
    };
    Value::Text(word.to_owned())
}

/// Converts a numeric value: `NaN` to a text, the sum of whole numbers to a whole number.
fn received_numeric(raw: &[u8]) -> Result<Value, BoxError> {
    let text = numeric(raw)?;
    Ok(match decimal::parse(&text) {
        Some(value) => decimal::unmark_integer_sum(value, decimal::INTEGER_SUM_SCALE_ON_POSTGRES),
        None => Value::Text(text),
    })
}

/// Writes the binary format of a number, given as digits with at most one point.
fn put_numeric(text: &str, out: &mut BytesMut) -> Result<(), BoxError> {
    const MOST_DECIMALS: usize = 0x3FFF;
    let (sign, digits) = text.strip_prefix('-').map_or((0, text), |digits| (NEGATIVE, digits));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let decimals = u16::try_from(fraction.len().min(MOST_DECIMALS))?;
    let whole = whole.trim_start_matches('0');
    // The point is between two groups of four digits.
    let mut grouped = "0".repeat(whole.len().next_multiple_of(4) - whole.len()) + whole;
    let before = grouped.len() / 4;
    grouped.push_str(fraction);
    grouped.push_str(&"0".repeat(grouped.len().next_multiple_of(4) - grouped.len()));
    let groups: Vec<u16> =
        (0..grouped.len() / 4).map(|at| grouped[at * 4..at * 4 + 4].parse()).collect::<Result<_, _>>()?;
    let leading = groups.iter().take_while(|group| **group == 0).count();
    let trailing = groups[leading..].iter().rev().take_while(|group| **group == 0).count();
    let said = &groups[leading..groups.len() - trailing];
    let weight = i32::try_from(before)? - i32::try_from(leading)? - 1;
    out.put_u16(u16::try_from(said.len())?);
    out.put_i16(if said.is_empty() { 0 } else { i16::try_from(weight)? });
    out.put_u16(if said.is_empty() { 0 } else { sign });
    out.put_u16(decimals);
    said.iter().for_each(|group| out.put_u16(*group));
    Ok(())
}

/// Formats a numeric value as a text. Its binary format has four 16-bit words (the number of digits, the
/// weight of the first, the sign, the number of decimals), then the digits in base 10,000. Source:
/// `src/backend/utils/adt/numeric.c` (`numeric_send`).
fn numeric(raw: &[u8]) -> Result<String, BoxError> {
    let words: Vec<u16> = raw.chunks_exact(2).map(|word| u16::from_be_bytes([word[0], word[1]])).collect();
    let [count, weight, sign, decimals, digits @ ..] = words.as_slice() else {
        return Err("a numeric value is truncated".into());
    };
    match *sign {
        0 | NEGATIVE => {}
        0xC000 => return Ok("NaN".to_owned()),
        0xD000 => return Ok("Infinity".to_owned()),
        _ => return Ok("-Infinity".to_owned()),
    }
    if digits.len() != usize::from(*count) {
        return Err("a numeric value is truncated".into());
    }
    let (weight, decimals) = (i32::from(weight.cast_signed()), usize::from(*decimals));
    let digit = |place: i32| {
        let at = usize::try_from(weight - place).ok();
        at.and_then(|at| digits.get(at)).copied().unwrap_or(0)
    };
    let mut text = String::new();
    if *sign == NEGATIVE {
        text.push('-');
    }
    text.push_str(&digit(weight.max(0)).to_string());
    for place in (0..weight.max(0)).rev() {
        text.push_str(&format!("{:04}", digit(place)));
    }
    if decimals > 0 {
        let fraction: String =
            (1..).take(decimals.div_ceil(4)).map(|place| format!("{:04}", digit(-place))).collect();
        text.push('.');
        text.push_str(&fraction[..decimals]);
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_their_own_type_and_nulls_every_type() {
        for (value, fits, others) in [
            (Bound::from(7_i64), Type::INT4, [Type::TEXT, Type::FLOAT8, Type::NUMERIC, Type::BOOL]),
            (i64::MAX.into(), Type::INT8, [Type::INT4, Type::INT2, Type::FLOAT8, Type::VARCHAR]),
            ("007".into(), Type::VARCHAR, [Type::INT8, Type::JSONB, Type::UUID, Type::TIMESTAMPTZ]),
            (1.5_f64.into(), Type::FLOAT8, [Type::INT8, Type::NUMERIC, Type::TEXT, Type::BOOL]),
            (true.into(), Type::BOOL, [Type::INT4, Type::TEXT, Type::JSONB, Type::FLOAT8]),
            (serde_json::json!(1).into(), Type::JSONB, [Type::TEXT, Type::INT8, Type::BOOL, Type::BYTEA]),
        ] {
            assert!(suits(&value, &fits), "{value:?}");
            assert!(others.iter().all(|kind| !suits(&value, kind)), "{value:?}");
            assert!(!have_types(&[value], &[fits, Type::TEXT]));
        }
        assert!(have_types(&[Bound::String(None), Bound::BigInt(None)], &[Type::INT8, Type::BYTEA]));
    }

    #[test]
    fn decimals_are_encoded_exactly() {
        for (words, text) in [
            (&[0, 0, 0, 0][..], "0"),
            (&[0, 0, 0, 2], "0.00"),
            (&[1, 0, 0, 0, 42], "42"),
            (&[2, 0, 0, 3, 1, 5000], "1.500"),
            (&[2, 1, 0x4000, 0, 12, 34], "-120034"),
            (&[1, 2, 0, 0, 7], "700000000"),
            (&[1, 0xFFFF, 0, 4, 12], "0.0012"),
            (&[1, 0xFFFE, 0, 8, 12], "0.00000012"),
            (&[1, 0xFFFF, 0, 20, 5000], "0.50000000000000000000"),
            (&[0, 0, 0xC000, 0], "NaN"),
        ] {
            let raw: Vec<u8> = words.iter().flat_map(|word: &u16| word.to_be_bytes()).collect();
            assert_eq!(numeric(&raw).unwrap(), text);
            if text != "NaN" {
                let mut written = BytesMut::new();
                put_numeric(text, &mut written).unwrap();
                assert_eq!(written, raw, "{text}");
            }
        }
        assert!(numeric(&[0, 1, 0]).is_err() && numeric(&[0, 1, 0, 0, 0, 0, 0, 0]).is_err());
    }
}
