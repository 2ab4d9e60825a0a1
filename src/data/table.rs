//! The table of a collection: the statements that create and change it.

use sea_query::{
    ColumnDef, ColumnType, Expr, ExprTrait, Index, IndexCreateStatement, IndexType, IntoTableRef, Table,
    TableAlterStatement, TableCreateStatement, TableRef,
};

use super::records::value;
use super::{Collection, DataError, Field, FieldType};
use crate::database::{Engine, Namespace};

/// Maximum length of an identifier in bytes, on every engine.
const MAX_NAME_BYTES: usize = 60;

/// How many strings MySQL and MariaDB store in the row itself, where all of them share 64 KiB. Further
/// strings become texts, which the row points to.
const MAX_INLINE_STRINGS: usize = 40;
/// Length of the indexed prefix of a string in characters, which is all of it.
const INDEX_PREFIX_CHARACTERS: u32 = 255;

/// Returns the table for a statement.
pub(super) fn table(collection: &Collection, namespace: Namespace<'_>) -> TableRef {
    named(&name(collection, namespace), namespace)
}

fn named(name: &str, namespace: Namespace<'_>) -> TableRef {
    match namespace.schema {
        Some(schema) => (schema.to_owned(), name.to_owned()).into_table_ref(),
        None => name.to_owned().into_table_ref(),
    }
}

/// Returns the name of the table.
pub(super) fn name(collection: &Collection, namespace: Namespace<'_>) -> String {
    format!("{}{}", namespace.table_prefix, collection.table())
}

/// Returns the statement that creates the table if it does not exist.
pub(super) fn create(
    collection: &Collection,
    namespace: Namespace<'_>,
) -> Result<TableCreateStatement, DataError> {
    create_new(collection, namespace).map(|mut statement| statement.if_not_exists().take())
}

/// Returns the statement that creates the table.
pub(super) fn create_new(
    collection: &Collection,
    namespace: Namespace<'_>,
) -> Result<TableCreateStatement, DataError> {
    let mut statement = Table::create();
    statement.table(table(collection, namespace));
    let single_key = collection.primary_key().count() == 1;
    for field in collection.fields() {
        let mut column = column(collection, field, namespace)?;
        if field.primary_key && single_key {
            column.primary_key();
        }
        statement.col(&mut column);
    }
    if !single_key && collection.primary_key().next().is_some() {
        let mut key = Index::create();
        for field in collection.primary_key() {
            key.col(field.column().to_owned());
        }
        statement.primary_key(&mut key);
    }
    Ok(statement)
}

/// Whether a field is a string that the row stores itself, on an engine that limits these.
fn is_inline_string(field: &Field, engine: Engine) -> bool {
    engine == Engine::Mysql && matches!(field.column_type(), ColumnType::String(_))
}

/// Returns the general type of a field's column; `at` is its index among the fields.
pub(super) fn kind(collection: &Collection, at: usize, field: &Field, engine: Engine) -> ColumnType {
    let others = collection.fields().iter().take(at);
    let is_plain = !(field.primary_key || field.unique || field.indexed) && field.default.is_none();
    let is_elsewhere = is_plain
        && is_inline_string(field, engine)
        && others.filter(|other| is_inline_string(other, engine)).count() >= MAX_INLINE_STRINGS;
    if is_elsewhere { ColumnType::Text } else { field.column_type() }
}

fn column(collection: &Collection, field: &Field, namespace: Namespace<'_>) -> Result<ColumnDef, DataError> {
    let at = collection.fields().iter().take_while(|other| other.name() != field.name()).count();
    let kind = namespace.engine.column_type(kind(collection, at, field, namespace.engine));
    let mut column = ColumnDef::new_with_type(field.column().to_owned(), kind);
    if field.not_null {
        column.not_null();
    }
    if field.auto_increment {
        column.auto_increment();
        if namespace.engine == Engine::Sqlite && field.kind == FieldType::Integer {
            // SQLite counts on beyond 32 bits, unlike the other engines.
            column.check(Expr::col(field.column().to_owned()).lte(i32::MAX));
        }
    }
    if let Some(default) = &field.default {
        column.default(Expr::val(value::from_json(field, default)?));
    }
    Ok(column)
}

/// Returns the statement that adds a field's column. Existing records get its default.
pub(super) fn add_column(
    collection: &Collection,
    field: &Field,
    namespace: Namespace<'_>,
) -> Result<TableAlterStatement, DataError> {
    let mut column = column(collection, field, namespace)?;
    let mut statement = Table::alter();
    statement.table(table(collection, namespace)).add_column(&mut column);
    Ok(statement)
}

/// Returns the statement that drops a field's column.
pub(super) fn drop_column(
    collection: &Collection,
    field: &Field,
    namespace: Namespace<'_>,
) -> TableAlterStatement {
    let mut statement = Table::alter();
    statement.table(table(collection, namespace)).drop_column(field.column().to_owned());
    statement
}

/// Whether a field has an index of its own. Documents and lists have none, even if the definition asks for
/// it: no engine uses it to search them, and none can index long ones.
pub(super) fn has_index(field: &Field) -> bool {
    !field.primary_key
        && (field.unique
            || field.indexed && !matches!(field.column_type(), ColumnType::Json | ColumnType::JsonBinary))
}

/// Returns the statement that creates a field's index, if it has one.
pub(super) fn index(
    collection: &Collection,
    field: &Field,
    namespace: Namespace<'_>,
) -> Option<IndexCreateStatement> {
    if !has_index(field) {
        return None;
    }
    let is_long = field.column_type() == ColumnType::Text;
    let mut index = Index::create();
    index.name(index_name(collection, field, field.unique, namespace)).table(table(collection, namespace));
    if is_inline_string(field, namespace.engine) || is_long && namespace.engine == Engine::Mysql {
        index.col((field.column().to_owned(), INDEX_PREFIX_CHARACTERS));
    } else {
        index.col(field.column().to_owned());
    }
    if is_long && namespace.engine == Engine::Postgres {
        // A B-tree of PostgreSQL takes at most 2,704 bytes.
        index.index_type(IndexType::Hash);
    }
    index.if_not_exists();
    if field.unique {
        index.unique();
    }
    Some(index)
}

/// Returns the statements for the indexes of all fields.
pub(super) fn indexes(collection: &Collection, namespace: Namespace<'_>) -> Vec<IndexCreateStatement> {
    collection.fields().iter().filter_map(|field| index(collection, field, namespace)).collect()
}

/// Returns the name of a field's index. A name that is too long is cut and ends in a hash.
pub(super) fn index_name(
    collection: &Collection,
    field: &Field,
    unique: bool,
    namespace: Namespace<'_>,
) -> String {
    use sha2::{Digest, Sha256};
    let kind = if unique { "unique" } else { "index" };
    let whole = format!("{}_{}_{kind}", name(collection, namespace), field.column());
    if whole.len() <= MAX_NAME_BYTES {
        return whole;
    }
    let hash = Sha256::digest(&whole);
    let hash: String = hash.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    let mut end = MAX_NAME_BYTES - hash.len() - 1;
    while !whole.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}_{hash}", &whole[..end])
}

/// Returns the statement that drops a field's index.
pub(super) fn drop_index(
    collection: &Collection,
    field: &Field,
    unique: bool,
    namespace: Namespace<'_>,
) -> sea_query::IndexDropStatement {
    let index = index_name(collection, field, unique, namespace);
    let mut statement = Index::drop();
    statement.name(index).table(table(collection, namespace));
    statement
}
