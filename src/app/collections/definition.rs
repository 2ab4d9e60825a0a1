//! Definitions in NocoBase's words: what a collection or a field is to be.

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::data::{Association, AssociationKind, DataError, Field, FieldType, Generator, OnDelete, Through};

/// Digits of a decimal whose definition says nothing of them.
const DEFAULT_PRECISION: u32 = 30;
const DEFAULT_SCALE: u32 = 10;
/// Digits of a decimal at most: what MySQL holds.
const MAX_PRECISION: u64 = 65;
const MAX_SCALE: u64 = 30;
/// Characters of a string at most: what PostgreSQL holds.
const MAX_LENGTH: u64 = 10_485_760;
/// Characters of a nanoid, where nothing else is said.
const DEFAULT_NANOID_LENGTH: u64 = 12;
const NANOID_ALPHABET: &str = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// What a definition of a field is of.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Defined {
    /// A column.
    Column(Field),
    /// An association.
    Association(Association),
}

impl Defined {
    /// Its name.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Column(field) => field.name(),
            Self::Association(association) => &association.name,
        }
    }
}

fn refused(name: &str, problem: impl std::fmt::Display) -> DataError {
    DataError::Invalid { field: name.to_owned(), problem: problem.to_string() }
}

/// A text of a definition, where it has one that is not empty.
pub(super) fn text<'a>(definition: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    definition.get(name)?.as_str().filter(|text| !text.is_empty())
}

/// Whether something is said to be so.
pub(super) fn truth(definition: &Map<String, Value>, name: &str) -> bool {
    matches!(definition.get(name), Some(Value::Bool(true)))
}

/// Reads the definition of a field.
pub(super) fn field(definition: &Map<String, Value>) -> Result<Defined, DataError> {
    let name = text(definition, "name")
        .ok_or_else(|| DataError::Refused("the definition of a field has no name".to_owned()))?;
    super::names::check("field", name)?;
    let kind = text(definition, "type").ok_or_else(|| refused(name, "its definition has no type"))?;
    if let Some(kind) = association_kind(kind) {
        return association(name, kind, definition).map(Defined::Association);
    }
    column(name, kind, definition).map(Defined::Column)
}

/// The kind of association that a type stands for; `None` for a column's.
pub(super) fn association_kind(kind: &str) -> Option<AssociationKind> {
    use AssociationKind::{BelongsTo, BelongsToMany, HasMany, HasOne};
    [BelongsTo, HasOne, HasMany, BelongsToMany].into_iter().find(|known| known.as_str() == kind)
}

fn column(name: &str, kind: &str, definition: &Map<String, Value>) -> Result<Field, DataError> {
    let (kind, generator) = column_type(name, kind, definition)?;
    let mut field = Field::new(name, kind);
    if kind == FieldType::String
        && let Some(length) = length(name, definition)?
    {
        field = field.max_length(length);
        let keyed = ["primaryKey", "unique", "index"].into_iter().find(|rule| truth(definition, rule));
        if let Some(rule) = keyed.filter(|_| field.is_long()) {
            return Err(refused(
                name,
                format!("a string of {length} characters cannot have {rule}: no index holds it"),
            ));
        }
    }
    if let Some(column) = text(definition, "columnName").or_else(|| text(definition, "field")) {
        super::names::check("column", column)?;
        field = field.in_column(column);
    }
    if truth(definition, "primaryKey") {
        field = field.primary_key();
    }
    if truth(definition, "autoIncrement") {
        if !truth(definition, "primaryKey") || !matches!(kind, FieldType::BigInt | FieldType::Integer) {
            return Err(refused(name, "only a primary key of whole numbers counts up by itself"));
        }
        // Every engine counts up the same.
        field = field.auto_increment();
    }
    if truth(definition, "unique") {
        if matches!(kind, FieldType::Text | FieldType::Json | FieldType::Array | FieldType::Set) {
            return Err(refused(name, format!("a {} cannot be unique: make it a string", kind.as_str())));
        }
        field = field.unique();
    }
    if truth(definition, "index") {
        field = field.indexed();
    }
    if definition.get("allowNull") == Some(&Value::Bool(false)) {
        field = field.not_null();
    }
    if truth(definition, "unsigned") {
        field = field.unsigned();
    }
    if truth(definition, "trim") {
        field = field.trimmed();
    }
    if truth(definition, "onUpdateToCurrentTime") && kind.is_date() {
        field = field.touched();
    }
    if let Some(default) = definition.get("defaultValue").filter(|value| !value.is_null()) {
        let checked = field.check(default)?;
        field = field.default_value(checked);
    }
    match generator {
        Some(generator) => Ok(field.generated(generator)),
        None => Ok(field),
    }
}

fn column_type(
    name: &str,
    kind: &str,
    definition: &Map<String, Value>,
) -> Result<(FieldType, Option<Generator>), DataError> {
    let fills = definition.get("autoFill") != Some(&Value::Bool(false));
    let filled = |generator| fills.then_some(generator);
    let now =
        ["defaultToCurrentTime", "onUpdateToCurrentTime"].iter().any(|option| truth(definition, option));
    let now = now.then_some(Generator::Now);
    Ok(match kind {
        "string" => (FieldType::String, None),
        "text" => (FieldType::Text, None),
        "integer" => (FieldType::Integer, None),
        "bigInt" => (FieldType::BigInt, None),
        "float" => (FieldType::Float, None),
        "double" | "real" => (FieldType::Double, None),
        "decimal" => (decimal(name, definition)?, None),
        "boolean" => (FieldType::Boolean, None),
        "date" | "datetime" | "datetimeTz" => (FieldType::DateTime, now),
        "datetimeNoTz" => (FieldType::DateTimeNoTz, now),
        "dateOnly" => (FieldType::DateOnly, None),
        "time" => (FieldType::Time, None),
        "unixTimestamp" => {
            let shown = definition.get("uiSchema").and_then(|shown| shown.get("x-component-props"));
            let accuracy =
                shown.and_then(|props| props.get("accuracy")).or_else(|| definition.get("accuracy"));
            let milliseconds = accuracy.and_then(Value::as_str) == Some("millisecond");
            (FieldType::UnixTimestamp { milliseconds }, now)
        }
        "json" | "jsonb" => (FieldType::Json, None),
        "array" => (FieldType::Array, None),
        "set" => (FieldType::Set, None),
        "uuid" => (FieldType::Uuid, filled(Generator::Uuid)),
        "nanoid" => (FieldType::Nanoid, filled(nanoid(name, definition)?)),
        "uid" => {
            let prefix = text(definition, "prefix").unwrap_or_default().into();
            (FieldType::Uid, filled(Generator::Uid { prefix }))
        }
        "snowflakeId" => (FieldType::SnowflakeId, filled(Generator::Snowflake)),
        "password" => (FieldType::Password, None),
        "sort" => {
            let scope = text(definition, "scopeKey").map(Arc::from);
            (FieldType::Sort, Some(Generator::Position { scope }))
        }
        other => return Err(refused(name, format!("there is no type {other:?} of fields"))),
    })
}

/// The length that a string is defined with.
fn length(name: &str, definition: &Map<String, Value>) -> Result<Option<u32>, DataError> {
    let Some(given) = definition.get("length").filter(|given| !given.is_null()) else { return Ok(None) };
    let length = given.as_u64().filter(|length| (1..=MAX_LENGTH).contains(length));
    let length = length.and_then(|length| u32::try_from(length).ok());
    length
        .map(Some)
        .ok_or_else(|| refused(name, format!("length is a whole number from 1 to {MAX_LENGTH}, not {given}")))
}

fn decimal(name: &str, definition: &Map<String, Value>) -> Result<FieldType, DataError> {
    let number = |key: &str, usual: u32, largest: u64| match definition.get(key) {
        None | Some(Value::Null) => Ok(usual),
        Some(given) => given
            .as_u64()
            .filter(|number| *number <= largest)
            .and_then(|number| u32::try_from(number).ok())
            .ok_or_else(|| {
                refused(name, format!("{key} is a whole number of at most {largest}, not {given}"))
            }),
    };
    let scale = number("scale", DEFAULT_SCALE, MAX_SCALE)?;
    let precision = number("precision", DEFAULT_PRECISION.max(scale), MAX_PRECISION)?;
    if precision == 0 || scale > precision {
        return Err(refused(name, "a decimal has as many digits as there are behind its point, at least"));
    }
    Ok(FieldType::Decimal { precision, scale })
}

fn nanoid(name: &str, definition: &Map<String, Value>) -> Result<Generator, DataError> {
    let size = definition.get("size").and_then(Value::as_u64).unwrap_or(DEFAULT_NANOID_LENGTH);
    let size = usize::try_from(size).ok().filter(|size| (1..=255).contains(size));
    let size = size.ok_or_else(|| refused(name, "size is a whole number from 1 to 255"))?;
    let alphabet: Vec<char> = text(definition, "customAlphabet").unwrap_or(NANOID_ALPHABET).chars().collect();
    Ok(Generator::Nanoid { size, alphabet: alphabet.into() })
}

fn association(
    name: &str,
    kind: AssociationKind,
    definition: &Map<String, Value>,
) -> Result<Association, DataError> {
    let key = |key: &str| -> Result<Arc<str>, DataError> {
        let given =
            text(definition, key).ok_or_else(|| refused(name, format!("its definition has no {key}")))?;
        super::names::check("field", given)?;
        Ok(given.into())
    };
    let or_id = |key: &str| Arc::from(text(definition, key).unwrap_or("id"));
    let on_delete = match text(definition, "onDelete").map(str::to_ascii_uppercase).as_deref() {
        None | Some("SET NULL") => OnDelete::SetNull,
        Some("CASCADE") => OnDelete::Cascade,
        Some("RESTRICT") => OnDelete::Restrict,
        Some("NO ACTION") => OnDelete::Nothing,
        Some(other) => return Err(refused(name, format!("there is no onDelete {other}"))),
    };
    let through = match kind {
        AssociationKind::BelongsToMany => {
            let collection = key("through")?;
            Some(Through { collection, other_key: key("otherKey")? })
        }
        _ => None,
    };
    Ok(Association {
        name: name.into(),
        kind,
        target: key("target")?,
        foreign_key: key("foreignKey")?,
        source_key: or_id("sourceKey"),
        target_key: or_id("targetKey"),
        through,
        on_delete,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(definition: Value) -> Result<Defined, DataError> {
        field(definition.as_object().unwrap())
    }

    #[test]
    fn every_type_is_read() {
        for kind in [
            "string",
            "text",
            "integer",
            "bigInt",
            "float",
            "double",
            "decimal",
            "boolean",
            "date",
            "datetimeTz",
            "datetimeNoTz",
            "dateOnly",
            "time",
            "unixTimestamp",
            "json",
            "array",
            "set",
            "uuid",
            "nanoid",
            "uid",
            "snowflakeId",
            "password",
            "sort",
        ] {
            assert!(matches!(read(json!({"name": "a", "type": kind})), Ok(Defined::Column(_))), "{kind}");
        }
        for kind in ["belongsTo", "hasOne", "hasMany", "belongsToMany"] {
            let definition = json!({
                "name": "a", "type": kind, "target": "b", "foreignKey": "c", "through": "d", "otherKey": "e",
            });
            assert!(matches!(read(definition), Ok(Defined::Association(_))), "{kind}");
        }
    }

    #[test]
    fn what_cannot_be_a_field_is_refused() {
        for definition in [
            json!({"type": "string"}),
            json!({"name": "a"}),
            json!({"name": "a b", "type": "string"}),
            json!({"name": "a", "type": "nosuchtype"}),
            json!({"name": "a", "type": "integer", "defaultValue": "many"}),
            json!({"name": "a", "type": "string", "autoIncrement": true}),
            json!({"name": "a", "type": "json", "unique": true}),
            json!({"name": "a", "type": "decimal", "precision": 3, "scale": 4}),
            json!({"name": "a", "type": "decimal", "precision": 100}),
            json!({"name": "a", "type": "nanoid", "size": 0}),
            json!({"name": "a", "type": "string", "length": 0}),
            json!({"name": "a", "type": "string", "length": -1}),
            json!({"name": "a", "type": "string", "length": 2.5}),
            json!({"name": "a", "type": "string", "length": "many"}),
            json!({"name": "a", "type": "string", "length": 1e9}),
            json!({"name": "a", "type": "string", "length": 256, "unique": true}),
            json!({"name": "a", "type": "string", "length": 3, "defaultValue": "four"}),
            json!({"name": "a", "type": "belongsTo", "target": "b", "foreignKey": "x\"y"}),
            json!({"name": "a", "type": "belongsTo", "foreignKey": "c"}),
            json!({"name": "a", "type": "hasMany", "target": "b", "foreignKey": "c", "onDelete": "EXPLODE"}),
        ] {
            assert!(read(definition.clone()).is_err(), "{definition}");
        }
    }
}
