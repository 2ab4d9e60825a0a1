//! The definition of a collection.

use std::sync::Arc;

use super::{Association, DataError, Field};

/// The field with the time at which a record was created.
pub(super) const CREATED_AT: &str = "createdAt";
/// The field with the time at which a record was last updated.
pub(super) const UPDATED_AT: &str = "updatedAt";
/// The field with the user who created a record.
pub(super) const CREATED_BY: &str = "createdById";
/// The field with the user who last updated a record.
pub(super) const UPDATED_BY: &str = "updatedById";

/// The definition of a collection. Cheap to clone once it is complete.
#[derive(Debug, Clone, PartialEq)]
pub struct Collection {
    name: Arc<str>,
    table: Arc<str>,
    fields: Arc<Vec<Field>>,
    associations: Arc<Vec<Association>>,
    target_key: Option<Arc<[Arc<str>]>>,
}

impl Collection {
    /// Begins a definition. The table has the same name, after the prefix of the data source.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let name: Arc<str> = name.into();
        Self {
            table: Arc::clone(&name),
            name,
            fields: Arc::default(),
            associations: Arc::default(),
            target_key: None,
        }
    }

    /// Adds a field.
    #[must_use]
    pub fn field(mut self, field: Field) -> Self {
        Arc::make_mut(&mut self.fields).push(field);
        self
    }

    /// Adds a field, which replaces one of the same name.
    #[must_use]
    pub fn with_field(mut self, field: Field) -> Self {
        let fields = Arc::make_mut(&mut self.fields);
        match fields.iter_mut().find(|known| known.name == field.name) {
            Some(known) => *known = field,
            None => fields.push(field),
        }
        self
    }

    /// Adds an association.
    #[must_use]
    pub fn association(mut self, association: Association) -> Self {
        Arc::make_mut(&mut self.associations).push(association);
        self
    }

    /// Adds `createdAt` and `updatedAt`, which the host sets.
    #[must_use]
    pub fn timestamps(self) -> Self {
        self.field(Field::date_time(CREATED_AT).not_null()).field(Field::date_time(UPDATED_AT).not_null())
    }

    /// Adds `createdBy`, which the host sets.
    #[must_use]
    pub fn created_by(self) -> Self {
        self.field(Field::big_int(CREATED_BY)).association(Association::belongs_to(
            "createdBy",
            "users",
            CREATED_BY,
        ))
    }

    /// Adds `updatedBy`, which the host sets.
    #[must_use]
    pub fn updated_by(self) -> Self {
        self.field(Field::big_int(UPDATED_BY)).association(Association::belongs_to(
            "updatedBy",
            "users",
            UPDATED_BY,
        ))
    }

    /// Sets another name of the table.
    #[must_use]
    pub fn in_table(mut self, table: &str) -> Self {
        self.table = table.into();
        self
    }

    /// Sets the fields that name records in requests, if they are not the primary key (`filterTargetKey`).
    #[must_use]
    pub fn named_by(mut self, fields: &[&str]) -> Self {
        self.target_key =
            (!fields.is_empty()).then(|| fields.iter().map(|field| Arc::from(*field)).collect());
        self
    }

    /// Checks that every engine can create the table, with its columns, key and indexes.
    ///
    /// # Errors
    /// [`DataError::Refused`] with the first field beyond a limit, and the limit.
    pub fn check_table_limits(&self) -> Result<(), DataError> {
        super::table_limits::check(self)
    }

    /// Returns its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the name of its table, without the prefix of the data source.
    #[must_use]
    pub fn table(&self) -> &str {
        &self.table
    }

    /// Returns its fields in the order of the definition.
    #[must_use]
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// Returns its associations in the order of the definition.
    #[must_use]
    pub fn associations(&self) -> &[Association] {
        &self.associations
    }

    /// Returns the field of this name, if there is one.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| &*field.name == name)
    }

    /// Returns the association of this name, if there is one.
    #[must_use]
    pub fn associated(&self, name: &str) -> Option<&Association> {
        self.associations.iter().find(|association| &*association.name == name)
    }

    /// Returns the fields of the primary key, usually one.
    pub fn primary_key(&self) -> impl Iterator<Item = &Field> {
        self.fields.iter().filter(|field| field.primary_key)
    }

    /// Returns the fields that name a record in requests: by default, the primary key.
    #[must_use]
    pub fn key(&self) -> Vec<&Field> {
        match &self.target_key {
            Some(names) => names.iter().filter_map(|name| self.get(name)).collect(),
            None => self.primary_key().collect(),
        }
    }

    /// Returns the single field that names a record in requests.
    ///
    /// # Errors
    /// [`DataError::Refused`] if there is no such field, or more than one.
    pub fn single_key(&self) -> Result<&Field, DataError> {
        match self.key().as_slice() {
            [key] => Ok(key),
            [] => Err(DataError::Refused(format!("the collection {} has no primary key", self.name))),
            _ => {
                Err(DataError::Refused(format!("the key of the collection {} has several fields", self.name)))
            }
        }
    }

    /// Returns the single field that identifies a row: the primary key, or else a unique field that names
    /// records. (The field that names records need not be unique; then it may find several rows.)
    ///
    /// # Errors
    /// [`DataError::Refused`] if there is no such field.
    pub fn row_key(&self) -> Result<&Field, DataError> {
        let mut primary = self.primary_key();
        if let (Some(key), None) = (primary.next(), primary.next()) {
            return Ok(key);
        }
        let key = self.single_key()?;
        if key.unique && key.kind().has_lossless_json() {
            return Ok(key);
        }
        Err(DataError::Refused(format!(
            "the collection {} has neither a single primary key nor a unique field that names its records",
            self.name
        )))
    }

    /// Returns the fields that identify a row: the primary key, or else that of [`Self::row_key`].
    ///
    /// # Errors
    /// [`DataError::Refused`] if there are no such fields.
    pub fn row_keys(&self) -> Result<Vec<&Field>, DataError> {
        let primary: Vec<&Field> = self.primary_key().collect();
        if primary.is_empty() { Ok(vec![self.row_key()?]) } else { Ok(primary) }
    }

    /// Returns the field of this name, or the error that it does not exist.
    pub(super) fn known(&self, name: &str) -> Result<&Field, DataError> {
        self.get(name).ok_or_else(|| self.unknown(name))
    }

    /// Returns the association of this name.
    ///
    /// # Errors
    /// [`DataError::UnknownField`] if it does not exist.
    pub fn known_association(&self, name: &str) -> Result<&Association, DataError> {
        self.associated(name).ok_or_else(|| self.unknown(name))
    }

    pub(super) fn unknown(&self, name: &str) -> DataError {
        DataError::UnknownField { collection: self.name.as_ref().to_owned(), field: name.to_owned() }
    }

    /// Returns the key that the database generates.
    pub(super) fn generated_key(&self) -> Option<&Field> {
        self.fields.iter().find(|field| field.auto_increment)
    }
}
