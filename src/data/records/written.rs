//! Records as the JSON that goes out, written from rows without being anything else in between.

use super::value;
use crate::data::{Collection, DataError, Field, Record};
use crate::database::Row;

/// Bytes that a value takes, roughly.
const USUAL: usize = 32;

/// Records as a JSON array.
#[derive(Debug, Clone, Default)]
pub struct Written {
    json: Vec<u8>,
    number: usize,
}

impl Written {
    /// From rows that have a value for each of these fields.
    pub(super) fn rows(
        collection: &Collection,
        fields: &[&Field],
        rows: Vec<Row>,
    ) -> Result<Self, DataError> {
        let names: Vec<Vec<u8>> = fields.iter().map(|field| name(field.name())).collect();
        let mut json = Vec::with_capacity(rows.len() * fields.len() * USUAL + 2);
        let number = rows.len();
        json.push(b'[');
        for (at, row) in rows.into_iter().enumerate() {
            json.extend_from_slice(if at == 0 { b"{" } else { b",{" });
            let values = fields.iter().zip(&names).zip(row.into_values());
            for (at, ((field, name), stored)) in values.enumerate() {
                // The comma before the name.
                json.extend_from_slice(name.get(usize::from(at == 0)..).unwrap_or_default());
                value::write(&mut json, collection, field, stored)?;
            }
            json.push(b'}');
        }
        json.push(b']');
        Ok(Self { json, number })
    }

    pub(super) fn records(records: &[Record]) -> Self {
        Self { json: serde_json::to_vec(records).unwrap_or_default(), number: records.len() }
    }

    /// How many there are.
    #[must_use]
    pub fn number(&self) -> usize {
        self.number
    }

    /// All of them: a JSON array.
    #[must_use]
    pub fn json(&self) -> &[u8] {
        &self.json
    }

    /// The only one: a JSON object, `null` where there is none.
    #[must_use]
    pub fn one(&self) -> &[u8] {
        match self.json.as_slice() {
            [b'[', one @ .., b']'] if !one.is_empty() => one,
            _ => b"null",
        }
    }
}

/// `,"name":`
fn name(name: &str) -> Vec<u8> {
    let mut written = Vec::with_capacity(name.len() + 4);
    written.push(b',');
    value::write_text(&mut written, name);
    written.push(b':');
    written
}
