//! JSON that is written in the code.

use serde_json::Value;

use crate::data::Record;

/// A record from `json!({...})`; an empty one from anything else.
pub(super) fn object(value: Value) -> Record {
    match value {
        Value::Object(record) => record,
        _ => Record::new(),
    }
}
