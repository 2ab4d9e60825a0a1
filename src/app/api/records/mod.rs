//! The actions on the records of every collection: `posts:list`, `posts/1/tags:add`.
//!
//! `parameters.rs` parses the request, `strict.rs` refuses unknown names in it; `read.rs`,
//! `write.rs` and `links.rs` do the work through [`crate::data`] with the access of the
//! [`super::Requester`]. Resources of the system add actions of their own, and rules for their
//! records ([`crate::app::resources`]).

use super::answer::Answer;
use super::call::{Answering, Call};
use super::error::ApiError;
use super::record_set::RecordSet;
use crate::data::{Collection, Filter};

mod keys;
mod links;
mod moves;
mod parameters;
mod parent_scope;
mod passwords;
mod read;
mod strict;
mod write;

pub(in crate::app) use moves::{MoveMethod, Moving};
pub(in crate::app) use parameters::Parameters;
pub(in crate::app) use strict::check as check_names;

/// Lists records of a collection among `among`, with everything open: for resources that have
/// decided themselves who may ask.
pub(in crate::app) async fn list_of(
    call: &Call<'_>,
    collection: &Collection,
    among: Filter,
) -> Result<Answer, ApiError> {
    let set = RecordSet { collection: collection.clone(), behind: None };
    check_names(call, &set).await?;
    read::list_among(&call.as_host(), &set, among).await
}

/// Gets one record of a collection among `among`; see [`list_of`].
pub(in crate::app) async fn get_of(
    call: &Call<'_>,
    collection: &Collection,
    among: Filter,
) -> Result<Answer, ApiError> {
    let set = RecordSet { collection: collection.clone(), behind: None };
    check_names(call, &set).await?;
    read::get_among(&call.as_host(), &set, among).await
}

/// Does an action.
pub(in crate::app) fn answer<'a>(call: &'a mut Call<'_>, set: &'a RecordSet) -> Answering<'a> {
    // Each in a box of its own: what waits is large, and a request that reads would carry the place
    // of one that writes.
    match call.action {
        "list" => Box::pin(read::list(call, set)),
        "get" => Box::pin(read::get(call, set)),
        "query" => Box::pin(read::query(call, set)),
        "create" => Box::pin(write::create(write::given(call), set)),
        "update" => Box::pin(write::update(write::given(call), set)),
        "destroy" => Box::pin(write::destroy(call, set)),
        "firstOrCreate" => Box::pin(write::first_or_create(write::given(call), set)),
        "updateOrCreate" => Box::pin(write::update_or_create(write::given(call), set)),
        "move" => Box::pin(write::move_record(call, set)),
        "add" | "set" | "remove" | "toggle" => Box::pin(links::change(call, set)),
        other => {
            let unknown = ApiError::not_found(format!("{} has no action {other}", set.collection.name()));
            Box::pin(std::future::ready(Err(unknown)))
        }
    }
}
