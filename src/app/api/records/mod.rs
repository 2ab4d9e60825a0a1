//! What is done with the records of every collection: `posts:list`, `posts/1/tags:add`.
//!
//! `parameters.rs` reads what was asked for, and `strict.rs` refuses unknown names in it; `read.rs`,
//! `write.rs` and `links.rs` do it through [`crate::data`], for whom [`super::Requester`] says.
//! Resources of the system add actions of their own beside these, and rules beneath them
//! ([`crate::app::resources`]).

use serde_json::Value;

use super::{Answer, ApiError, Call};
use crate::app::resources::Answering;
use crate::data::{
    Association, AssociationKind, Catalog, Collection, DataError, Filter, Query, Record, Within,
};

mod keys;
mod links;
mod moves;
mod parameters;
mod read;
mod strict;
mod write;

pub(in crate::app) use moves::{Method, Moving};
pub(in crate::app) use parameters::Parameters;
pub(super) use strict::check as check_names;

/// The records that a request is about.
pub(super) struct Place {
    pub(super) collection: Collection,
    /// Of one record, those that belong to it by an association, and that association's target.
    pub(super) behind: Option<Behind>,
}

pub(super) struct Behind {
    pub(super) key: Value,
    pub(super) association: Association,
    pub(super) target: Collection,
}

impl Place {
    /// The place that a path names, when there is one.
    pub(super) fn find(catalog: &Catalog, resource: &str, association: Option<(&str, &str)>) -> Option<Self> {
        let collection = catalog.get(resource)?.clone();
        let Some((key, name)) = association else { return Some(Self { collection, behind: None }) };
        let association = collection.associated(name)?.clone();
        let target = catalog.target(&association).ok()?.clone();
        Some(Self { collection, behind: Some(Behind { key: Value::from(key), association, target }) })
    }

    /// Whether its records know this action.
    pub(super) fn has(&self, action: &str) -> bool {
        match action {
            "list" | "get" | "create" | "update" | "destroy" => true,
            "query" => self.behind.is_none(),
            "firstOrCreate" | "updateOrCreate" => {
                self.behind.as_ref().is_none_or(|behind| behind.association.kind.is_many())
            }
            "move" => true,
            "add" | "set" | "remove" | "toggle" => self.behind.is_some(),
            _ => false,
        }
    }

    /// The collection whose records are read or changed.
    pub(super) fn records(&self) -> &Collection {
        self.behind.as_ref().map_or(&self.collection, |behind| &behind.target)
    }
}

/// Answers a list of those records of a collection that are meant: for resources with rules of their
/// own, which have decided who may ask.
pub(in crate::app) async fn list_of(
    call: &Call<'_>,
    collection: &Collection,
    among: Filter,
) -> Result<Answer, ApiError> {
    let place = Place { collection: collection.clone(), behind: None };
    check_names(call, &place).await?;
    read::list_among(&call.as_host(), &place, among).await
}

/// Answers one record of a collection of those that are meant; see [`list_of`].
pub(in crate::app) async fn get_of(
    call: &Call<'_>,
    collection: &Collection,
    among: Filter,
) -> Result<Answer, ApiError> {
    let place = Place { collection: collection.clone(), behind: None };
    check_names(call, &place).await?;
    read::get_among(&call.as_host(), &place, among).await
}

/// A call with its body, for what writes values: the body may be long, and is not copied.
type Given<'a> = (&'a Call<'a>, Value);

fn given<'a>(call: &'a mut Call<'_>) -> Given<'a> {
    let body = std::mem::take(&mut call.body);
    (call, body)
}

/// Does an action.
pub(super) fn answer<'a>(call: &'a mut Call<'_>, place: &'a Place) -> Answering<'a> {
    // Each in a box of its own: what waits is large, and a request that reads would carry the place
    // of one that writes.
    match call.action {
        "list" => Box::pin(read::list(call, place)),
        "get" => Box::pin(read::get(call, place)),
        "query" => Box::pin(read::query(call, place)),
        "create" => Box::pin(write::create(given(call), place)),
        "update" => Box::pin(write::update(given(call), place)),
        "destroy" => Box::pin(write::destroy(call, place)),
        "firstOrCreate" => Box::pin(write::first_or_create(given(call), place)),
        "updateOrCreate" => Box::pin(write::update_or_create(given(call), place)),
        "move" => Box::pin(write::move_record(call, place)),
        "add" | "set" | "remove" | "toggle" => Box::pin(links::change(call, place)),
        other => {
            let unknown = ApiError::not_found(format!("{} has no action {other}", place.collection.name()));
            Box::pin(std::future::ready(Err(unknown)))
        }
    }
}

/// What a query is limited to: the records that belong to the one that is named. `None` when that
/// one does not exist, or may not be seen.
async fn within(call: &Call<'_>, place: &Place) -> Result<Option<Option<Within>>, ApiError> {
    let Some(behind) = &place.behind else { return Ok(Some(None)) };
    let association = &behind.association;
    let key = place.collection.single_key()?;
    let by_key = association.kind != AssociationKind::BelongsTo && *association.source_key == *key.name();
    if by_key && call.requester.guard().is_none() {
        // Its key says it all: whether it exists, the answer shows.
        let value = behind.key.clone();
        return Ok(Some(Some(Within { association: association.clone(), value })));
    }
    let name = if association.kind == AssociationKind::BelongsTo {
        &association.foreign_key
    } else {
        &association.source_key
    };
    let (source, named) = (call.app.source(), Filter::eq(key.name(), behind.key.clone()));
    if let Some(guard) = call.requester.guard() {
        let (guard, clock) = (Some(guard), call.requester.clock());
        let seen = Query { guard, clock, ..Query::filter(named.clone()).fields(&[key.name()]) };
        if known(source.find_one(&place.collection, seen).await)?.is_none() {
            return Ok(None);
        }
    }
    // Whoever may see the association need not see the field that it is kept in.
    let found = known(source.find_one(&place.collection, Query::filter(named).fields(&[name])).await)?;
    let value = found.and_then(|mut record| record.remove(&**name));
    Ok(value.map(|value| Some(Within { association: association.clone(), value })))
}

/// A key that no record could have is of no record.
fn known(found: Result<Option<Record>, DataError>) -> Result<Option<Record>, ApiError> {
    match found {
        Err(DataError::Invalid { .. }) => Ok(None),
        other => Ok(other?),
    }
}
