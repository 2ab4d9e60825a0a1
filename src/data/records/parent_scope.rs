//! Limits queries to the records that belong to a parent record: `posts/1/tags`.

use std::collections::HashMap;

use sea_query::{Cond, Condition, Expr, ExprTrait, Query as Statement};
use serde_json::Value as Json;

use super::value::key_text;
use crate::data::access::RecordAction;
use crate::data::filter::{Compiler, equal, never};
use crate::data::{AssociationKind, Catalog, Collection, DataError, Field, Filter, Query, Record, table};
use crate::database::Executor;

/// Returns the condition that records belong to the query's parent; without a parent, an empty condition.
pub(super) fn condition(
    compiler: &Compiler<'_>,
    collection: &Collection,
    query: &Query,
) -> Result<Condition, DataError> {
    let Some(parent) = &query.parent else { return Ok(Cond::all()) };
    let association = &parent.association;
    let column = |field: &Field| Expr::col(field.column().to_owned());
    let equals = |field: &Field| -> Result<Condition, DataError> {
        if parent.value == Json::Null {
            // No record belongs to a parent without a key.
            return Ok(never());
        }
        equal(compiler.namespace.engine, column(field), field, &parent.value, false)
    };
    match association.kind {
        AssociationKind::BelongsTo => equals(collection.known(&association.target_key)?),
        AssociationKind::HasOne | AssociationKind::HasMany => {
            equals(collection.known(&association.foreign_key)?)
        }
        AssociationKind::BelongsToMany => {
            let (through, other_key) = compiler.catalog.through(association)?;
            let mut links = Statement::select();
            links
                .column(through.known(other_key)?.column().to_owned())
                .from(table::table(through, compiler.namespace))
                .cond_where(equals(through.known(&association.foreign_key)?)?);
            let key = collection.known(&association.target_key)?;
            Ok(Condition::from(column(key).in_subquery(links)))
        }
    }
}

/// Returns the field of the records that links refer to, if the association has links.
pub(super) fn key<'a>(
    catalog: &Catalog,
    collection: &'a Collection,
    query: &Query,
) -> Result<Option<&'a Field>, DataError> {
    match &query.parent {
        Some(parent) if parent.association.kind == AssociationKind::BelongsToMany => {
            catalog.through(&parent.association)?;
            collection.known(&parent.association.target_key).map(Some)
        }
        _ => Ok(None),
    }
}

/// Returns the fields of a through collection that the requester may see. The two keys are always visible, as
/// the requester knows them from the linked records.
pub(super) fn visible_link_fields<'a>(
    compiler: &Compiler<'_>,
    association: &crate::data::Association,
    through: &'a Collection,
    other_key: &str,
) -> Vec<&'a Field> {
    let access = compiler.access(through, RecordAction::View);
    let open = |name: &str| match &access {
        Ok(access) => access.as_ref().is_none_or(|access| access.allows(through, name)),
        Err(_) => false,
    };
    let links = |name: &str| *name == *association.foreign_key || name == other_key;
    let shown = through.fields().iter().filter(|field| !field.is_hidden());
    shown.filter(|field| links(field.name()) || open(field.name())).collect()
}

/// Adds to each record the link between it and its parent.
pub(super) async fn add_links<E: Executor>(
    executor: &mut E,
    catalog: &Catalog,
    query: &Query,
    records: &mut [Record],
) -> Result<(), DataError> {
    let Some(parent) = &query.parent else { return Ok(()) };
    let association = &parent.association;
    if association.kind != AssociationKind::BelongsToMany || records.is_empty() {
        return Ok(());
    }
    let (through, other_key) = catalog.through(association)?;
    let target_key = &*association.target_key;
    let open: Vec<&str> = {
        let compiler = super::read_plan::compiler(executor, catalog, query);
        visible_link_fields(&compiler, association, through, other_key).into_iter().map(Field::name).collect()
    };
    let mut found: HashMap<String, Record> = HashMap::new();
    for records in records.chunks(1000) {
        let keys = records.iter().filter_map(|record| record.get(target_key).cloned()).collect();
        let links =
            Filter::eq(&*association.foreign_key, parent.value.clone()).and(Filter::one_of(other_key, keys));
        for mut link in super::plain(executor, catalog, through, links).await? {
            link.retain(|name, _| open.contains(&name.as_str()));
            if let Some(key) = link.get(other_key).and_then(key_text) {
                found.insert(key, link);
            }
        }
    }
    for record in records {
        let link = record.get(target_key).and_then(key_text).and_then(|key| found.remove(&key));
        if let Some(link) = link {
            record.insert(through.name().to_owned(), Json::Object(link));
        }
    }
    Ok(())
}
