//! Serializes JSON values to formats other than JSON. Numbers of [`serde_json`] keep their digits in a
//! representation that only `serde_json` reads.

use serde::ser::{Error, SerializeMap as _};
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

/// A JSON value that serializes the same way to every format.
pub(crate) struct Shown<'a>(&'a Value);

impl<'a> Shown<'a> {
    /// Shows a value.
    pub(crate) fn of(value: &'a Value) -> Self {
        Self(value)
    }
}

impl Serialize for Shown<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
                (Some(number), ..) => serializer.serialize_i64(number),
                (_, Some(number), _) => serializer.serialize_u64(number),
                (_, _, Some(number)) => serializer.serialize_f64(number),
                _ => Err(S::Error::custom(format!("{number} is not a number of 64 bits"))),
            },
            Value::Array(items) => serializer.collect_seq(items.iter().map(Shown)),
            Value::Object(fields) => map(fields, serializer),
            plain => plain.serialize(serializer),
        }
    }
}

/// Serializes the fields of an object.
pub(super) fn map<S: Serializer>(fields: &Map<String, Value>, serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(fields.len()))?;
    for (name, value) in fields {
        map.serialize_entry(name, &Shown(value))?;
    }
    map.end()
}

/// Serializes an optional value.
pub(super) fn optional<S: Serializer>(value: &Option<Value>, serializer: S) -> Result<S::Ok, S::Error> {
    value.as_ref().map(Shown).serialize(serializer)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_are_numbers_in_every_format() {
        let value = json!({"a": [1, -2, 2.5, null, true], "b": {"c": "1"}});
        assert_eq!(serde_json::to_value(Shown(&value)).unwrap(), value);
        let yaml = serde_saphyr::to_string(&Shown(&json!({"a": 1, "b": [2.5]}))).unwrap();
        assert!(yaml.contains("a: 1") && yaml.contains("2.5") && !yaml.contains("serde"), "{yaml}");
    }
}
