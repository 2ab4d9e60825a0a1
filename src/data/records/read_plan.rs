//! Plans which columns a query reads: those of the selected fields, and the keys of associations.

use super::value;
use crate::data::access::RecordAction;
use crate::data::filter::Compiler;
use crate::data::query::Selection;
use crate::data::{Association, AssociationKind, Catalog, Collection, DataError, Field, Query, Record};
use crate::database::{Executor, Row};

/// Returns the compiler for the conditions of a query.
pub(super) fn compiler<'a, E: Executor>(
    executor: &'a E,
    catalog: &'a Catalog,
    query: &'a Query,
) -> Compiler<'a> {
    Compiler::new(catalog, executor.namespace(), query.guard.as_deref(), query.clock)
        .with_hidden(query.hidden)
}

/// Returns the field of the record by which an association finds the others.
pub(super) fn local_key(association: &Association) -> &str {
    match association.kind {
        AssociationKind::BelongsTo => &association.foreign_key,
        _ => &association.source_key,
    }
}

/// The columns and associations that a query reads.
pub(super) struct ReadPlan<'a> {
    /// All columns. Those after the first `shown` are not selected, but associations need them.
    pub(super) columns: Vec<&'a Field>,
    pub(super) shown: usize,
    pub(super) associations: Vec<(&'a Association, Selection)>,
}

impl<'a> ReadPlan<'a> {
    pub(super) fn new(
        compiler: &Compiler<'_>,
        collection: &'a Collection,
        selection: &Selection,
        hidden: bool,
    ) -> Result<Self, DataError> {
        let access = compiler.access(collection, RecordAction::View)?;
        let open = |name: &str| access.as_ref().is_none_or(|access| access.allows(collection, name));
        let mut columns: Vec<&Field> = match &selection.fields {
            None => {
                let shown = collection.fields().iter().filter(|field| !field.is_hidden());
                shown.filter(|field| !selection.except.iter().any(|name| name == field.name())).collect()
            }
            Some(names) => {
                let named = names.iter().map(|name| match collection.known(name) {
                    Ok(field) if field.is_hidden() && !hidden => Err(collection.unknown(name)),
                    other => other,
                });
                named.collect::<Result<_, _>>()?
            }
        };
        columns.retain(|field| open(field.name()));
        let shown = columns.len();
        let mut associations = Vec::new();
        for (name, inner) in &selection.associations {
            let association = collection.known_association(name)?;
            if !open(name) || !is_open(compiler, association)? {
                continue;
            }
            let key = collection.known(local_key(association))?;
            if !columns.contains(&key) {
                columns.push(key);
            }
            associations.push((association, inner.clone()));
        }
        // A statement must read a column, even if none is selected.
        if columns.is_empty() {
            columns.extend(collection.fields().first());
        }
        Ok(Self { columns, shown, associations })
    }

    /// Adds a column that is needed, but not selected.
    pub(super) fn require(&mut self, field: &'a Field) {
        if !self.columns.contains(&field) {
            self.columns.push(field);
        }
    }

    pub(super) fn record(&self, collection: &Collection, row: Row) -> Result<Record, DataError> {
        record(collection, &self.columns, row)
    }

    /// As [`ReadPlan::record`], but leaves out the values that their types do not allow, and returns their
    /// errors.
    pub(super) fn readable(&self, collection: &Collection, row: Row) -> (Record, Vec<DataError>) {
        let (mut record, mut unreadable) = (Record::new(), Vec::new());
        for (field, raw) in self.columns.iter().zip(row.into_values()) {
            match value::to_json_strictly(collection, field, raw) {
                Ok(value) => drop(record.insert(field.name().to_owned(), value)),
                Err(error) => unreadable.push(error),
            }
        }
        (record, unreadable)
    }

    /// Removes the fields that were read but not selected.
    pub(super) fn remove_unselected(&self, records: &mut [Record]) {
        for field in self.columns.iter().skip(self.shown) {
            for record in records.iter_mut() {
                record.remove(field.name());
            }
        }
    }
}

/// Whether the requester may see records of an association's target.
fn is_open(compiler: &Compiler<'_>, association: &Association) -> Result<bool, DataError> {
    match compiler.access(compiler.catalog.target(association)?, RecordAction::View) {
        Err(DataError::Forbidden(_)) => Ok(false),
        other => other.map(|_| true),
    }
}

pub(super) fn record(collection: &Collection, fields: &[&Field], row: Row) -> Result<Record, DataError> {
    let values = fields.iter().zip(row.into_values());
    values
        .map(|(field, raw)| Ok((field.name().to_owned(), value::to_json(collection, field, raw)?)))
        .collect()
}
