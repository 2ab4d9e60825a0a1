//! Writes rows to JSON for responses without building records first.

use std::collections::HashMap;
use std::ops::Range;
use std::pin::Pin;

use super::eager_load::{
    AssociatedRows, AssociationReader, LinkFields, MAX_KEYS_PER_STATEMENT, distinct_keys,
};
use super::read_plan::{ReadPlan, local_key};
use super::value::{self, key_text};
use crate::data::query::Selection;
use crate::data::{Association, Catalog, Collection, DataError, Field, Query, Record};
use crate::database::{Executor, Row, Value};

/// Estimated size of a value, for the initial capacity.
const VALUE_BYTES: usize = 32;

/// Records as a JSON array.
#[derive(Debug, Clone, Default)]
pub struct JsonRecords {
    json: Vec<u8>,
    count: usize,
}

impl JsonRecords {
    /// Writes the rows that a plan read, with the associations that it includes.
    pub(super) async fn rows<E: Executor>(
        executor: &mut E,
        writer: RowWriter<'_>,
        rows: Vec<Row>,
    ) -> Result<Self, DataError> {
        let count = rows.len();
        let (json, _) = match writer.plan.associations.is_empty() {
            true => writer.write_rows(rows.into_iter().map(Row::into_values).collect(), &[])?,
            false => writer.write_with_associations(executor, rows).await?,
        };
        Ok(Self { json, count })
    }

    pub(super) fn records(records: &[Record]) -> Self {
        Self { json: serde_json::to_vec(records).unwrap_or_default(), count: records.len() }
    }

    /// Returns the number of records.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// Returns all records as a JSON array.
    #[must_use]
    pub fn json(&self) -> &[u8] {
        &self.json
    }

    /// Returns the only record as a JSON object, or `null` if there is none.
    #[must_use]
    pub fn one(&self) -> &[u8] {
        match self.json.as_slice() {
            [b'[', one @ .., b']'] if !one.is_empty() => one,
            _ => b"null",
        }
    }
}

/// Writes a name in JSON as `,"name":`.
fn name(name: &str) -> Vec<u8> {
    let mut written = Vec::with_capacity(name.len() + 4);
    written.push(b',');
    value::write_text(&mut written, name);
    written.push(b':');
    written
}

/// Fields with their names in JSON.
struct NamedFields<'a> {
    collection: &'a Collection,
    fields: Vec<(&'a Field, Vec<u8>)>,
}

impl<'a> NamedFields<'a> {
    fn new(collection: &'a Collection, fields: &[&'a Field]) -> Self {
        let fields = fields.iter().map(|field| (*field, name(field.name()))).collect();
        Self { collection, fields }
    }

    /// Writes a value for each field. The object starts at the end of `json`.
    fn write(&self, json: &mut Vec<u8>, values: &mut impl Iterator<Item = Value>) -> Result<(), DataError> {
        let start = json.len();
        for ((field, name), stored) in self.fields.iter().zip(values) {
            write_name(json, name, start);
            value::write(json, self.collection, field, stored)?;
        }
        Ok(())
    }
}

/// Writes rows of one collection to JSON.
pub(super) struct RowWriter<'a> {
    pub(super) catalog: &'a Catalog,
    pub(super) collection: &'a Collection,
    pub(super) query: &'a Query,
    pub(super) plan: ReadPlan<'a>,
    /// The fields of the links to the parent rows, if the rows belong to others by links.
    pub(super) link_fields: Option<LinkFields<'a>>,
}

/// Records as a JSON array, and the byte range of each.
type JsonArray = (Vec<u8>, Vec<Range<usize>>);

/// The associated records of one association, for all rows.
struct Appended {
    name: Vec<u8>,
    many: bool,
    /// The key of each row.
    keys: Vec<Option<String>>,
    /// The byte ranges in `json` of the records that belong to a key.
    found: HashMap<String, Vec<Range<usize>>>,
    json: Vec<u8>,
}

impl<'a> RowWriter<'a> {
    /// Writes rows of these columns: the plan's, a key, and the fields of the link.
    fn write_with_associations<'b, E: Executor>(
        self,
        executor: &'b mut E,
        rows: Vec<Row>,
    ) -> Pin<Box<dyn Future<Output = Result<JsonArray, DataError>> + Send + 'b>>
    where
        'a: 'b,
    {
        Box::pin(async move {
            let rows: Vec<Vec<Value>> = rows.into_iter().map(Row::into_values).collect();
            let mut all = Vec::with_capacity(self.plan.associations.len());
            if !rows.is_empty() {
                for (association, selection) in &self.plan.associations {
                    all.push(self.append(executor, association, selection, &rows).await?);
                }
            }
            self.write_rows(rows, &all)
        })
    }

    /// Reads and writes the associated records of all rows.
    async fn append<E: Executor>(
        &self,
        executor: &mut E,
        association: &Association,
        selection: &Selection,
        rows: &[Vec<Value>],
    ) -> Result<Appended, DataError> {
        let here = self.collection.known(local_key(association))?;
        let column = self.plan.columns.iter().position(|field| field.name() == here.name());
        let stored = |row: &Vec<Value>| column.and_then(|column| row.get(column)).cloned();
        let keys = rows
            .iter()
            .map(|row| value::to_json(self.collection, here, stored(row).unwrap_or(Value::Null)))
            .collect::<Result<Vec<_>, _>>()?;
        let reader = AssociationReader {
            catalog: self.catalog,
            association,
            target: self.catalog.target(association)?,
            selection,
            query: self.query,
        };
        let mut appended = Appended {
            name: name(&association.name),
            many: association.kind.is_many(),
            keys: keys.iter().map(key_text).collect(),
            found: HashMap::new(),
            json: Vec::new(),
        };
        let engine = executor.namespace().engine;
        for keys in distinct_keys(engine, here, keys.iter())?.chunks(MAX_KEYS_PER_STATEMENT) {
            let AssociatedRows { plan, key: (collection, key), link_fields, rows } =
                reader.rows(executor, keys).await?;
            let mut theirs = Vec::with_capacity(rows.len());
            for row in &rows {
                let stored = row.value(plan.columns.len()).cloned().unwrap_or(Value::Null);
                theirs.push(key_text(&value::to_json(collection, key, stored)?).unwrap_or_default());
            }
            let (catalog, query) = (self.catalog, self.query);
            let writer = RowWriter { catalog, collection: reader.target, query, plan, link_fields };
            let (json, ranges) = writer.write_with_associations(executor, rows).await?;
            appended.add(&json, theirs, ranges);
        }
        Ok(appended)
    }

    fn write_rows(&self, rows: Vec<Vec<Value>>, appended: &[Appended]) -> Result<JsonArray, DataError> {
        let plan = &self.plan;
        let shown = NamedFields::new(self.collection, plan.columns.get(..plan.shown).unwrap_or_default());
        let link_fields = self
            .link_fields
            .as_ref()
            .map(|(through, fields)| (name(through.name()), NamedFields::new(through, fields)));
        let mut ranges = Vec::with_capacity(rows.len());
        let mut json =
            Vec::with_capacity(rows.len() * (shown.fields.len() + appended.len()) * VALUE_BYTES + 2);
        json.push(b'[');
        for (at, row) in rows.into_iter().enumerate() {
            if at > 0 {
                json.push(b',');
            }
            let start = json.len();
            json.push(b'{');
            let mut values = row.into_iter();
            shown.write(&mut json, &mut values)?;
            for one in appended {
                one.write(&mut json, at, start + 1);
            }
            if let Some((name, fields)) = &link_fields {
                // The columns that are not selected and the key come first.
                let mut values = values.skip(plan.columns.len() - plan.shown + 1);
                write_name(&mut json, name, start + 1);
                json.push(b'{');
                fields.write(&mut json, &mut values)?;
                json.push(b'}');
            }
            json.push(b'}');
            ranges.push(start..json.len());
        }
        json.push(b']');
        Ok((json, ranges))
    }
}

impl Appended {
    /// Adds records, each with the key that it belongs to.
    fn add(&mut self, json: &[u8], keys: Vec<String>, ranges: Vec<Range<usize>>) {
        let before = self.json.len();
        self.json.extend_from_slice(json);
        for (key, range) in keys.into_iter().zip(ranges) {
            self.found.entry(key).or_default().push(range.start + before..range.end + before);
        }
    }

    /// Writes the records that belong to the row of index `at`, in an object that starts at `start`.
    fn write(&self, json: &mut Vec<u8>, at: usize, start: usize) {
        write_name(json, &self.name, start);
        let key = self.keys.get(at).and_then(Option::as_ref);
        let theirs = key.and_then(|key| self.found.get(key)).map(Vec::as_slice).unwrap_or_default();
        let theirs = theirs.iter().filter_map(|range| self.json.get(range.clone()));
        if !self.many {
            let mut theirs = theirs;
            return json.extend_from_slice(theirs.next().unwrap_or(b"null"));
        }
        json.push(b'[');
        for (at, record) in theirs.enumerate() {
            if at > 0 {
                json.push(b',');
            }
            json.extend_from_slice(record);
        }
        json.push(b']');
    }
}

/// Writes a name, without its comma if it is the first in the object that starts at `start`.
fn write_name(json: &mut Vec<u8>, name: &[u8], start: usize) {
    let first = json.len() == start;
    json.extend_from_slice(name.get(usize::from(first)..).unwrap_or_default());
}
