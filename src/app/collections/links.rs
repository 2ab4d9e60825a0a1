//! Prepares associations: foreign keys, and the collections in between.

use serde_json::{Map, Value, json};

use super::columns::{add_column, known, write, write_last};
use super::definition::{self, Defined, text};
use super::names;
use super::rows::{next_place, refresh, refused};
use crate::app::system::USER_COLLECTIONS;
use crate::data::{
    Association, AssociationKind, Collection, DataError, Field, FieldType, Filter, Record, Transaction,
    random_uid,
};

/// A definition with what NocoBase fills in.
pub(super) fn with_defaults(
    transaction: &Transaction,
    collection: &Collection,
    mut given: Map<String, Value>,
) -> Map<String, Value> {
    let kind = text(&given, "type").and_then(definition::association_kind);
    let Some(kind) = kind else { return given };
    let target = text(&given, "target").and_then(|target| transaction.catalog().get(target)).cloned();
    let mut usual = |name: &str, value: String| {
        if text(&given, name).is_none() {
            given.insert(name.to_owned(), Value::from(value));
        }
    };
    let key = |collection: &Collection| collection.single_key().map_or("id", Field::name).to_owned();
    let random = |prefix: &str| format!("{prefix}_{}", random_uid());
    usual("foreignKey", random("f"));
    if kind != AssociationKind::BelongsTo {
        usual("sourceKey", key(collection));
    }
    if kind != AssociationKind::HasOne
        && let Some(target) = &target
    {
        usual("targetKey", key(target));
    }
    if kind == AssociationKind::BelongsToMany {
        usual("through", random("t"));
        usual("otherKey", random("f"));
    }
    given
}

/// Creates what an association needs: the foreign keys, and the collection in between.
pub(super) async fn prepare(
    transaction: &mut Transaction,
    collection: &Collection,
    association: &Association,
) -> Result<(), DataError> {
    let target = known(transaction, &association.target)?;
    let key = |collection: &Collection, name: &str| {
        collection.get(name).cloned().ok_or_else(|| {
            refused(format!("{}: the collection {} has no field {name}", association.name, collection.name()))
        })
    };
    match association.kind {
        AssociationKind::BelongsTo => {
            let referred = key(&target, &association.target_key)?;
            let referred = Referred { by: association, collection: &target, field: &referred };
            refer(transaction, collection, &association.foreign_key, referred).await
        }
        AssociationKind::HasOne | AssociationKind::HasMany => {
            let referred = key(collection, &association.source_key)?;
            key(&target, &association.target_key)?;
            let referred = Referred { by: association, collection, field: &referred };
            refer(transaction, &target, &association.foreign_key, referred).await
        }
        AssociationKind::BelongsToMany => {
            let own = key(collection, &association.source_key)?;
            let other = key(&target, &association.target_key)?;
            let Some(through) = &association.through else { return Ok(()) };
            if association.foreign_key == through.other_key {
                return Err(refused(format!("{}: two records need two keys between them", association.name)));
            }
            let own = Referred { by: association, collection, field: &own };
            let other = Referred { by: association, collection: &target, field: &other };
            if transaction.catalog().get(&through.collection).is_none() {
                let pair = [(&*association.foreign_key, own), (&*through.other_key, other)];
                return make_between(transaction, &through.collection, pair).await;
            }
            let between = known(transaction, &through.collection)?;
            if let Some(there) = between.get(&through.other_key) {
                other.check(&between, there)?;
            }
            refer(transaction, &between, &association.foreign_key, own).await?;
            let between = known(transaction, &through.collection)?;
            refer(transaction, &between, &through.other_key, other).await
        }
    }
}

/// A field that an association refers to.
#[derive(Clone, Copy)]
struct Referred<'a> {
    by: &'a Association,
    collection: &'a Collection,
    field: &'a Field,
}

impl Referred<'_> {
    /// Refuses a field that cannot refer to it: their values are of different types.
    fn check(self, collection: &Collection, referring: &Field) -> Result<(), DataError> {
        self.by.check_fields((collection, referring), (self.collection, self.field))
    }
}

/// The definition of a field that refers to another one.
fn referring(name: &str, referred: &Field) -> Map<String, Value> {
    let (kind, interface) = match referred.kind() {
        FieldType::Uuid => ("uuid", "uuid"),
        kind if kind.is_whole() => ("bigInt", "integer"),
        FieldType::Nanoid | FieldType::Uid => ("string", "input"),
        kind => (kind.as_str(), "input"),
    };
    let mut definition = Map::from_iter([
        ("name".to_owned(), Value::from(name)),
        ("type".to_owned(), Value::from(kind)),
        ("interface".to_owned(), Value::from(interface)),
        ("isForeignKey".to_owned(), Value::Bool(true)),
        ("autoFill".to_owned(), Value::Bool(false)),
        ("index".to_owned(), Value::Bool(true)),
    ]);
    match referred.kind() {
        FieldType::Decimal { precision, scale } => {
            definition.insert("precision".to_owned(), Value::from(precision));
            definition.insert("scale".to_owned(), Value::from(scale));
        }
        FieldType::UnixTimestamp { milliseconds: true } => {
            definition.insert("accuracy".to_owned(), Value::from("millisecond"));
        }
        _ => {}
    }
    definition
}

/// Adds a field that refers, where it is missing; one that is there must fit.
async fn refer(
    transaction: &mut Transaction,
    collection: &Collection,
    name: &str,
    referred: Referred<'_>,
) -> Result<(), DataError> {
    if let Some(there) = collection.get(name) {
        return referred.check(collection, there);
    }
    if collection.associated(name).is_some() {
        return Err(refused(format!(
            "{name} is an association of {}: it cannot refer too",
            collection.name()
        )));
    }
    names::check_new("field", name, collection.fields().iter().map(Field::column))?;
    names::check_column(name)?;
    let given = referring(name, referred.field);
    let Defined::Column(field) = definition::field(&given)? else { return Ok(()) };
    referred.check(collection, &field)?;
    add_column(transaction, collection, &field).await?;
    write_last(transaction, collection.name(), given).await?;
    refresh(transaction, collection.name()).await.map(drop)
}

/// Makes the collection between two others.
async fn make_between(
    transaction: &mut Transaction,
    name: &str,
    pair: [(&str, Referred<'_>); 2],
) -> Result<(), DataError> {
    names::check_table(name)?;
    names::check_new("collection", name, transaction.catalog().iter().map(Collection::name))?;
    let options = json!({"isThrough": true, "autoGenId": false, "createdAt": true, "updatedAt": true, "sortable": false});
    let place = next_place(transaction, &USER_COLLECTIONS, Filter::All).await?;
    let new = json!({
        "key": random_uid(), "name": name, "title": name, "hidden": true, "options": options, "sort": place,
    });
    let Value::Object(new) = new else { return Ok(()) };
    let mut definitions = Vec::new();
    for (field, referred) in pair {
        let mut definition = referring(field, referred.field);
        definition.insert("primaryKey".to_owned(), Value::Bool(true));
        definition.insert("allowNull".to_owned(), Value::Bool(false));
        definitions.push(definition);
    }
    let defined: Vec<Defined> = definitions.iter().map(definition::field).collect::<Result<_, _>>()?;
    let shape = options.as_object().cloned().unwrap_or_default();
    let collection = super::catalog::collection(name, &shape, defined);
    for (field, referred) in pair {
        names::check_column(field)?;
        if let Some(field) = collection.get(field) {
            referred.check(&collection, field)?;
        }
    }
    if transaction.has_table(&collection).await? {
        return Err(refused(format!("there is a table {name} already, which is no collection's")));
    }
    collection.check_table_limits()?;
    transaction.create_new_table(&collection).await?;
    transaction.system().insert(&USER_COLLECTIONS, new).await?;
    for (place, definition) in (1_i64..).zip(definitions) {
        write(transaction, name, definition, place).await?;
    }
    refresh(transaction, name).await.map(drop)
}

/// The definition of the same association, seen from the other side.
pub(super) fn reverse_of(
    collection: &Collection,
    association: &Association,
    mut reverse: Map<String, Value>,
    row: &Record,
) -> Map<String, Value> {
    let kind = match association.kind {
        AssociationKind::BelongsTo => text(&reverse, "type").unwrap_or("hasMany").to_owned(),
        AssociationKind::HasOne | AssociationKind::HasMany => "belongsTo".to_owned(),
        AssociationKind::BelongsToMany => "belongsToMany".to_owned(),
    };
    let mut set = |name: &str, value: &str| reverse.insert(name.to_owned(), Value::from(value));
    set("type", &kind);
    set("target", collection.name());
    set("foreignKey", &association.foreign_key);
    match &association.through {
        Some(through) => {
            set("through", &through.collection);
            set("foreignKey", &through.other_key);
            set("otherKey", &association.foreign_key);
            set("sourceKey", &association.target_key);
            set("targetKey", &association.source_key);
        }
        None if association.kind == AssociationKind::BelongsTo => {
            set("sourceKey", &association.target_key);
            set("targetKey", collection.single_key().map_or("id", Field::name));
        }
        None => {
            set("targetKey", &association.source_key);
        }
    }
    reverse.entry("name").or_insert_with(|| Value::from(format!("f_{}", random_uid())));
    reverse.insert("reverseKey".to_owned(), row.get("key").cloned().unwrap_or_default());
    reverse.remove("reverseField");
    reverse
}
