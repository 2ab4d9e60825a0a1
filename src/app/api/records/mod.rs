//! What is done with the records of every collection: `posts:list`, `posts/1/tags:add`.
//!
//! `parameters.rs` reads what was asked for, and `strict.rs` refuses unknown names in it; `read.rs`,
//! `write.rs` and `links.rs` do it through [`crate::data`], for whom [`super::Requester`] says.
//! Resources of the system add actions of their own beside these, and rules beneath them
//! ([`crate::app::resources`]).

use super::answer::Answer;
use super::call::{Answering, Call};
use super::error::ApiError;
use super::place::Place;
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

pub(in crate::app) use moves::{Method, Moving};
pub(in crate::app) use parameters::Parameters;
pub(in crate::app) use strict::check as check_names;

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

/// Does an action.
pub(in crate::app) fn answer<'a>(call: &'a mut Call<'_>, place: &'a Place) -> Answering<'a> {
    // Each in a box of its own: what waits is large, and a request that reads would carry the place
    // of one that writes.
    match call.action {
        "list" => Box::pin(read::list(call, place)),
        "get" => Box::pin(read::get(call, place)),
        "query" => Box::pin(read::query(call, place)),
        "create" => Box::pin(write::create(write::given(call), place)),
        "update" => Box::pin(write::update(write::given(call), place)),
        "destroy" => Box::pin(write::destroy(call, place)),
        "firstOrCreate" => Box::pin(write::first_or_create(write::given(call), place)),
        "updateOrCreate" => Box::pin(write::update_or_create(write::given(call), place)),
        "move" => Box::pin(write::move_record(call, place)),
        "add" | "set" | "remove" | "toggle" => Box::pin(links::change(call, place)),
        other => {
            let unknown = ApiError::not_found(format!("{} has no action {other}", place.collection.name()));
            Box::pin(std::future::ready(Err(unknown)))
        }
    }
}
