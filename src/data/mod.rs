//! The data model: collections, fields, filters, records.
use crate::database::{Database, DatabaseError};
use serde_json::{Map, Value};

pub use crate::database::DatabaseError as DataError;

/// A record: values by field name. Dates are RFC 3339 texts with milliseconds in UTC.
pub type Record = Map<String, Value>;

/// One field of a collection: see the constructors.
#[derive(Debug, Clone)]
pub struct Field {}
/// A collection's definition.
#[derive(Debug, Clone)]
pub struct Collection {}
impl Collection {
    /// Begins a definition.
    pub fn new(_name: &str) -> Self {
        unimplemented!()
    }
    /// Adds a field.
    pub fn field(self, _field: Field) -> Self {
        unimplemented!()
    }
}
/// Which records are meant.
#[derive(Debug, Clone)]
pub enum Filter {
    /// All of them.
    All,
    /// Those whose field has this value (null: those without one).
    Eq(String, Value),
}
/// What to read.
#[derive(Debug, Clone)]
pub struct Query {
    /// Which.
    pub filter: Filter,
}
/// A database with what is known of its collections. Cheap to clone.
#[derive(Debug, Clone)]
pub struct DataSource {}
impl DataSource {
    /// Over an open database.
    pub fn new(_database: Database) -> Self {
        unimplemented!()
    }
    /// The database below.
    pub fn database(&self) -> &Database {
        unimplemented!()
    }
    /// Makes a collection's table where it is missing.
    pub async fn create_table(&self, _collection: &Collection) -> Result<(), DataError> {
        unimplemented!()
    }
    /// Reads records.
    pub async fn find(&self, _collection: &Collection, _query: Query) -> Result<Vec<Record>, DataError> {
        unimplemented!()
    }
    /// Begins a transaction; dropped without commit, it is rolled back.
    pub async fn begin(&self) -> Result<Transaction, DatabaseError> {
        unimplemented!()
    }
}
/// A transaction with the same operations as [`DataSource`].
#[derive(Debug)]
pub struct Transaction {}
