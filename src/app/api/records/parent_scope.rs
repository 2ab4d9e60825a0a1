//! Limits records to those that belong to the record that the path names.

use crate::app::api::{ApiError, Call, RecordSet};
use crate::data::{AssociationKind, DataError, Filter, Parent, Query, Record};

/// Which records of a set a path means.
pub(super) enum ParentScope {
    /// All of them: the path names no record that they belong to.
    Unlimited,
    /// Those that belong to the record that the path names.
    Within(Parent),
    /// None: that record does not exist, or may not be seen.
    Missing,
}

/// Finds out which records of a set the path of a call means.
pub(super) async fn parent_scope(call: &Call<'_>, set: &RecordSet) -> Result<ParentScope, ApiError> {
    let Some(behind) = &set.behind else { return Ok(ParentScope::Unlimited) };
    let association = &behind.association;
    let key = set.collection.single_key()?;
    let by_key = association.kind != AssociationKind::BelongsTo && *association.source_key == *key.name();
    if by_key && call.requester.guard().is_none() {
        // Its key says it all: whether it exists, the answer shows.
        let value = behind.key.clone();
        return Ok(ParentScope::Within(Parent { association: association.clone(), value }));
    }
    let name = if association.kind == AssociationKind::BelongsTo {
        &association.foreign_key
    } else {
        &association.source_key
    };
    let (source, named) = (call.state.source(), Filter::eq(key.name(), behind.key.clone()));
    if let Some(guard) = call.requester.guard() {
        let (guard, clock) = (Some(guard), call.requester.clock());
        let seen = Query { guard, clock, ..Query::filter(named.clone()).fields(&[key.name()]) };
        if known(source.find_one(&set.collection, seen).await)?.is_none() {
            return Ok(ParentScope::Missing);
        }
    }
    // Whoever may see the association need not see the field that it is kept in.
    let found = known(source.find_one(&set.collection, Query::filter(named).fields(&[name])).await)?;
    let value = found.and_then(|mut record| record.remove(&**name));
    Ok(value.map_or(ParentScope::Missing, |value| {
        ParentScope::Within(Parent { association: association.clone(), value })
    }))
}

/// Treats a key that no record can have as one that no record has.
fn known(found: Result<Option<Record>, DataError>) -> Result<Option<Record>, ApiError> {
    match found {
        Err(DataError::Invalid { .. }) => Ok(None),
        other => Ok(other?),
    }
}
