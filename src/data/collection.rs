//! A collection's definition.

use std::sync::Arc;

use super::{Association, DataError, Field};

/// The field that says when a record was made.
pub(super) const CREATED_AT: &str = "createdAt";
/// The field that says when a record last changed.
pub(super) const UPDATED_AT: &str = "updatedAt";
/// The field that says who made a record.
pub(super) const CREATED_BY: &str = "createdById";
/// The field that says who last changed a record.
pub(super) const UPDATED_BY: &str = "updatedById";

/// A collection's definition. Cheap to clone once it is complete.
#[derive(Debug, Clone, PartialEq)]
pub struct Collection {
    name: Arc<str>,
    table: Arc<str>,
    fields: Arc<Vec<Field>>,
    associations: Arc<Vec<Association>>,
    target_key: Option<Arc<[Arc<str>]>>,
}

impl Collection {
    /// Begins a definition. The table has the same name, after its data source's prefix.
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

    /// With a field in the place of the one of the same name.
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

    /// Adds `createdAt` and `updatedAt`, which are filled by themselves.
    #[must_use]
    pub fn timestamps(self) -> Self {
        self.field(Field::date_time(CREATED_AT).not_null()).field(Field::date_time(UPDATED_AT).not_null())
    }

    /// Adds `createdBy`, which is filled by itself.
    #[must_use]
    pub fn created_by(self) -> Self {
        self.field(Field::big_int(CREATED_BY)).association(Association::belongs_to(
            "createdBy",
            "users",
            CREATED_BY,
        ))
    }

    /// Adds `updatedBy`, which is filled by itself.
    #[must_use]
    pub fn updated_by(self) -> Self {
        self.field(Field::big_int(UPDATED_BY)).association(Association::belongs_to(
            "updatedBy",
            "users",
            UPDATED_BY,
        ))
    }

    /// Its records are in a table of another name.
    #[must_use]
    pub fn in_table(mut self, table: &str) -> Self {
        self.table = table.into();
        self
    }

    /// Records are named by other fields than the primary key (`filterTargetKey`).
    #[must_use]
    pub fn named_by(mut self, fields: &[&str]) -> Self {
        self.target_key =
            (!fields.is_empty()).then(|| fields.iter().map(|field| Arc::from(*field)).collect());
        self
    }

    /// Checks that every engine has room for its table: for its fields, its key and its indexes.
    ///
    /// # Errors
    /// [`DataError::Refused`] with the first field that is too much, and the limit.
    pub fn check_table_limits(&self) -> Result<(), DataError> {
        super::table_limits::check(self)
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name of its table, without the data source's prefix.
    pub(super) fn table(&self) -> &str {
        &self.table
    }

    /// Its fields, in the order of their definition.
    #[must_use]
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// Its associations, in the order of their definition.
    #[must_use]
    pub fn associations(&self) -> &[Association] {
        &self.associations
    }

    /// The field of this name, if there is one.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| &*field.name == name)
    }

    /// The association of this name, if there is one.
    #[must_use]
    pub fn associated(&self, name: &str) -> Option<&Association> {
        self.associations.iter().find(|association| &*association.name == name)
    }

    /// The fields of the primary key; mostly one.
    pub fn primary_key(&self) -> impl Iterator<Item = &Field> {
        self.fields.iter().filter(|field| field.primary_key)
    }

    /// The fields by which a record is named: the primary key, where nothing else is said.
    #[must_use]
    pub fn key(&self) -> Vec<&Field> {
        match &self.target_key {
            Some(names) => names.iter().filter_map(|name| self.get(name)).collect(),
            None => self.primary_key().collect(),
        }
    }

    /// The one field by which a record is named.
    ///
    /// # Errors
    /// [`DataError::Refused`] where there is none, or several.
    pub fn single_key(&self) -> Result<&Field, DataError> {
        match self.key().as_slice() {
            [key] => Ok(key),
            [] => Err(DataError::Refused(format!("the collection {} has no primary key", self.name))),
            _ => {
                Err(DataError::Refused(format!("the key of the collection {} has several fields", self.name)))
            }
        }
    }

    /// The one field by which its rows are told apart: the primary key, or else a unique field by which
    /// records are named. (A record may be named by a field that is not unique; what is found by it is
    /// not only what was looked for.)
    ///
    /// # Errors
    /// [`DataError::Refused`] where there is none.
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
            "the collection {} has neither one primary key nor a unique field that records are named by",
            self.name
        )))
    }

    /// The fields by which its rows are told apart: the primary key, or else as [`Self::row_key`] has it.
    ///
    /// # Errors
    /// [`DataError::Refused`] where there are none.
    pub fn row_keys(&self) -> Result<Vec<&Field>, DataError> {
        let primary: Vec<&Field> = self.primary_key().collect();
        if primary.is_empty() { Ok(vec![self.row_key()?]) } else { Ok(primary) }
    }

    /// The field of this name, or the error that there is none.
    pub(super) fn known(&self, name: &str) -> Result<&Field, DataError> {
        self.get(name).ok_or_else(|| self.unknown(name))
    }

    /// The association of this name, or the error that there is none.
    ///
    /// # Errors
    /// [`DataError::UnknownField`].
    pub fn known_association(&self, name: &str) -> Result<&Association, DataError> {
        self.associated(name).ok_or_else(|| self.unknown(name))
    }

    pub(super) fn unknown(&self, name: &str) -> DataError {
        DataError::UnknownField { collection: self.name.as_ref().to_owned(), field: name.to_owned() }
    }

    /// The key that the database counts up.
    pub(super) fn generated_key(&self) -> Option<&Field> {
        self.fields.iter().find(|field| field.auto_increment)
    }
}
