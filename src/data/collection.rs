//! A collection's definition, and the table that it becomes.

use std::sync::Arc;

use sea_query::{
    ColumnDef, Expr, Index, IndexCreateStatement, IntoTableRef, Table, TableCreateStatement, TableRef,
};

use super::records::value;
use super::{DataError, Field};
use crate::database::Namespace;

/// The field that says when a record was made.
pub(super) const CREATED_AT: &str = "createdAt";
/// The field that says when a record last changed.
pub(super) const UPDATED_AT: &str = "updatedAt";

/// A collection's definition. Cheap to clone once it is complete.
#[derive(Debug, Clone)]
pub struct Collection {
    name: Arc<str>,
    fields: Arc<Vec<Field>>,
}

impl Collection {
    /// Begins a definition. The table has the same name, after its data source's prefix.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self { name: name.into(), fields: Arc::default() }
    }

    /// Adds a field.
    #[must_use]
    pub fn field(mut self, field: Field) -> Self {
        Arc::make_mut(&mut self.fields).push(field);
        self
    }

    /// Adds `createdAt` and `updatedAt`, which are filled by themselves.
    #[must_use]
    pub fn timestamps(self) -> Self {
        self.field(Field::date_time(CREATED_AT).not_null()).field(Field::date_time(UPDATED_AT).not_null())
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its fields, in the order of their definition.
    #[must_use]
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// The field of this name, if there is one.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| &*field.name == name)
    }

    /// The fields of the primary key; mostly one.
    pub fn primary_key(&self) -> impl Iterator<Item = &Field> {
        self.fields.iter().filter(|field| field.primary_key)
    }

    /// The field of this name, or the error that there is none.
    pub(super) fn known(&self, name: &str) -> Result<&Field, DataError> {
        self.get(name).ok_or_else(|| DataError::UnknownField {
            collection: self.name.as_ref().to_owned(),
            field: name.to_owned(),
        })
    }

    /// The key that the database counts up.
    pub(super) fn generated_key(&self) -> Option<&Field> {
        self.fields.iter().find(|field| field.auto_increment)
    }

    /// The table, made where it is missing.
    pub(super) fn table(&self, namespace: Namespace<'_>) -> Result<TableCreateStatement, DataError> {
        let mut table = Table::create();
        table.table(self.table_in(namespace)).if_not_exists();
        let single_key = self.primary_key().count() == 1;
        for field in self.fields() {
            let kind = namespace.engine.column_type(field.kind.column_type());
            let mut column = ColumnDef::new_with_type(field.name().to_owned(), kind);
            if field.not_null {
                column.not_null();
            }
            if field.primary_key && single_key {
                column.primary_key();
            }
            if field.auto_increment {
                column.auto_increment();
            }
            if let Some(default) = &field.default {
                column.default(Expr::val(value::from_json(field, default)?));
            }
            table.col(&mut column);
        }
        if !single_key && self.primary_key().next().is_some() {
            let mut key = Index::create();
            for field in self.primary_key() {
                key.col(field.name().to_owned());
            }
            table.primary_key(&mut key);
        }
        Ok(table)
    }

    /// The indexes that keep unique fields unique, made where they are missing.
    pub(super) fn unique_indexes(&self, namespace: Namespace<'_>) -> Vec<IndexCreateStatement> {
        let unique = self.fields().iter().filter(|field| field.unique);
        unique
            .map(|field| {
                let name = format!("{}_{}_unique", self.table_name(namespace), field.name);
                let mut index = Index::create();
                index.name(name).table(self.table_in(namespace)).col(field.name().to_owned());
                index.unique().if_not_exists();
                index
            })
            .collect()
    }

    /// The table, for a statement.
    pub(super) fn table_in(&self, namespace: Namespace<'_>) -> TableRef {
        let name = self.table_name(namespace);
        match namespace.schema {
            Some(schema) => (schema.to_owned(), name).into_table_ref(),
            None => name.into_table_ref(),
        }
    }

    /// The table's name.
    pub(super) fn table_name(&self, namespace: Namespace<'_>) -> String {
        format!("{}{}", namespace.table_prefix, self.name)
    }
}
