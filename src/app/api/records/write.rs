//! Writing: `create`, `update`, `destroy`, `firstOrCreate`, `updateOrCreate`, `move`.

use http::StatusCode;
use serde_json::{Value, json};

use super::moves::{MoveMethod, Moving};
use super::parameters::Parameters;
use super::parent_scope::{ParentScope, parent_scope};
use super::passwords;
use crate::app::api::record_set::{Behind, RecordSet};
use crate::app::api::{Answer, ApiError, Call};
use crate::data::{
    AssociationKind, Collection, DataError, Filter, Move, Parent, Query, Record, RecordAccess, RecordAction,
    Transaction, row_key_filter,
};

/// A call and its body, for what writes values: the body may be long, and is not copied.
pub(super) type Given<'a> = (&'a Call<'a>, Value);

/// Takes the body out of a call.
pub(super) fn given<'a>(call: &'a mut Call<'_>) -> Given<'a> {
    let body = std::mem::take(&mut call.body);
    (call, body)
}

/// Records that one request makes at most.
const MAX_RECORDS: usize = 10_000;

/// The parameters that allow changing or removing all records, with NocoBase's names.
const ALL_UPDATED: &str = "forceUpdate";
const ALL_DESTROYED: &str = "truncate";

/// Hashes the passwords in a record's values: it takes time, and must not happen within a
/// transaction.
async fn values(call: &Call<'_>, collection: &Collection, given: Record) -> Result<Record, ApiError> {
    passwords::hashed(call.state, collection, given).await
}

/// The values of the one record that a body is.
async fn one_record(call: &Call<'_>, collection: &Collection, body: Value) -> Result<Record, ApiError> {
    let Value::Object(given) = body else {
        return Err(ApiError::bad_request("the body must be an object: a record's values"));
    };
    values(call, collection, given).await
}

pub(super) async fn create((call, body): Given<'_>, set: &RecordSet) -> Result<Answer, ApiError> {
    let parameters = Parameters::of(call);
    let options = parameters.write_options()?;
    let source = call.state.source();
    let records = set.records();
    if let Value::Array(items) = body {
        if items.len() > MAX_RECORDS {
            return Err(ApiError::bad_request(format!("more than {MAX_RECORDS} records at once")));
        }
        let mut all = Vec::with_capacity(items.len());
        for item in items {
            let Value::Object(item) = item else {
                return Err(ApiError::bad_request("the body must be a list of objects: records' values"));
            };
            all.push(values(call, records, item).await?);
        }
        let made = match &set.behind {
            None => source.records(&options).create_many(records, all).await?,
            Some(behind) => {
                let to = (&set.collection, &behind.association);
                let (all, options) = (&all, &options);
                let work = || {
                    async move |transaction: &mut Transaction| {
                        let mut made = Vec::with_capacity(all.len());
                        for values in all {
                            let values = values.clone();
                            made.push(
                                transaction
                                    .records(options)
                                    .create_associated(to, &behind.key, values)
                                    .await?,
                            );
                        }
                        Ok::<_, DataError>(made)
                    }
                };
                source.transact(work).await?
            }
        };
        return Ok(Answer::Data(made.into_iter().map(Value::Object).collect()));
    }
    let given = one_record(call, records, body).await?;
    let made = match &set.behind {
        None => source.records(&options).create(records, given).await?,
        Some(behind) => {
            let to = (&set.collection, &behind.association);
            source.records(&options).create_associated(to, &behind.key, given).await?
        }
    };
    Ok(Answer::Data(Value::Object(made)))
}

/// A filter for the records that belong to the one that the path names.
async fn belonging(call: &Call<'_>, set: &RecordSet, within: &Parent) -> Result<Filter, ApiError> {
    let association = &within.association;
    let target = set.records();
    if within.value.is_null() {
        // To nothing belongs nothing, and not whatever belongs to nothing.
        return Ok(Filter::never());
    }
    Ok(match association.kind {
        AssociationKind::BelongsTo => Filter::eq(&*association.target_key, within.value.clone()),
        AssociationKind::HasOne | AssociationKind::HasMany => {
            Filter::eq(&*association.foreign_key, within.value.clone())
        }
        AssociationKind::BelongsToMany => {
            let query = Query {
                parent: Some(within.clone()),
                guard: call.requester.guard(),
                clock: call.requester.clock(),
                ..Query::default()
            };
            // Others may be named as these are.
            row_key_filter(target, &call.state.source().find(target, query).await?)?
        }
    })
}

pub(super) async fn update((call, body): Given<'_>, set: &RecordSet) -> Result<Answer, ApiError> {
    let parameters = Parameters::of(call);
    let options = parameters.write_options()?;
    let records = set.records();
    let source = call.state.source();
    let body = match (body, &set.behind) {
        (Value::Array(items), None) => return update_each(call, records, items, &options).await,
        (body, _) => body,
    };
    let to_one = set.behind.as_ref().is_some_and(|behind| !behind.association.kind.is_many());
    let filter = if to_one { Filter::All } else { parameters.meant_or(records, Some(ALL_UPDATED))? };
    let belonging = match parent_scope(call, set).await? {
        ParentScope::Within(limit) => belonging(call, set, &limit).await?,
        ParentScope::Unlimited => Filter::All,
        ParentScope::Missing => {
            check_source(call, set).await?;
            if to_one {
                return Err(ApiError::bad_request("there is no record to be changed"));
            }
            return Ok(Answer::Data(json!([])));
        }
    };
    let given = one_record(call, records, body).await?;
    let changed = if belonging == Filter::All {
        source.records(&options).update(records, filter, given).await?
    } else {
        source.records(&options).update_associated(records, belonging.clone(), filter, given).await?
    };
    if to_one {
        let Some(one) = changed.into_iter().next() else {
            check_reach(call, records, RecordAction::Update, belonging).await?;
            return Err(ApiError::bad_request("there is no record to be changed"));
        };
        return Ok(Answer::Data(Value::Object(one)));
    }
    Ok(Answer::Data(changed.into_iter().map(Value::Object).collect()))
}

/// Changes several records, each to values of its own that name it. Each is answered with a list of
/// its own, as by NocoBase.
async fn update_each(
    call: &Call<'_>,
    collection: &Collection,
    items: Vec<Value>,
    options: &crate::data::WriteOptions,
) -> Result<Answer, ApiError> {
    let key = collection.single_key()?.name();
    if items.len() > MAX_RECORDS {
        return Err(ApiError::bad_request(format!("more than {MAX_RECORDS} records at once")));
    }
    let mut all = Vec::with_capacity(items.len());
    for item in items {
        let named = item.get(key).filter(|value| !value.is_null()).cloned();
        let (Value::Object(item), Some(named)) = (item, named) else {
            return Err(ApiError::bad_request(format!("each record of the body must have its {key}")));
        };
        all.push((named, values(call, collection, item).await?));
    }
    // Whoever changes several takes them in the same order, so that none has what the other waits for.
    let mut in_order: Vec<_> = all.iter().enumerate().collect();
    in_order.sort_by_cached_key(|(_, (named, _))| by_key(named));
    let (number, in_order) = (all.len(), &in_order);
    let work = || {
        async move |transaction: &mut Transaction| {
            let mut changed = vec![Value::Null; number];
            for (at, (named, values)) in in_order {
                let one = Filter::eq(key, named.clone());
                let records = transaction.records(options).update(collection, one, values.clone()).await?;
                if let Some(set) = changed.get_mut(*at) {
                    *set = records.into_iter().map(Value::Object).collect();
                }
            }
            Ok::<_, DataError>(changed)
        }
    };
    Ok(Answer::Data(Value::Array(call.state.source().transact(work).await?)))
}

/// Orders keys: numbers by value, also where they are texts.
fn by_key(key: &Value) -> (Option<i64>, String) {
    let text = key.as_str().map_or_else(|| key.to_string(), str::to_owned);
    (text.parse().ok(), text)
}

pub(super) async fn destroy(call: &Call<'_>, set: &RecordSet) -> Result<Answer, ApiError> {
    let parameters = Parameters::of(call);
    let options = parameters.write_options()?;
    let records = set.records();
    let source = call.state.source();
    let to_one = set.behind.as_ref().is_some_and(|behind| !behind.association.kind.is_many());
    let filter = if to_one { Filter::All } else { parameters.meant_or(records, Some(ALL_DESTROYED))? };
    // As NocoBase has it, those of an association are not counted.
    match parent_scope(call, set).await? {
        ParentScope::Within(limit) => {
            let belonging = belonging(call, set, &limit).await?;
            if to_one {
                check_reach(call, records, RecordAction::Destroy, belonging.clone()).await?;
            } else if let Some(named) = parameters.by_key(records)? {
                check_reach(call, records, RecordAction::Destroy, belonging.clone().and(named)).await?;
            }
            source.records(&options).destroy_associated(records, belonging, filter).await?;
        }
        ParentScope::Unlimited => {
            if let Some(named) = parameters.by_key(records)? {
                check_reach(call, records, RecordAction::Destroy, named).await?;
            }
            return Ok(Answer::Data(json!(source.records(&options).destroy(records, filter).await?)));
        }
        ParentScope::Missing => check_source(call, set).await?,
    }
    Ok(Answer::Data(Value::Bool(true)))
}

/// The first record of an association with the same values in some fields: as it is, or changed;
/// or a new one.
async fn find_or_create(
    (call, body): Given<'_>,
    set: &RecordSet,
    behind: &Behind,
    change: bool,
) -> Result<Answer, ApiError> {
    let parameters = Parameters::of(call);
    let (options, keys) = (parameters.write_options()?, parameters.words("filterKeys")?);
    if keys.is_empty() {
        return Err(ApiError::bad_request(
            "filterKeys is missing: name the fields by which to find a record",
        ));
    }
    let records = set.records();
    let given = one_record(call, records, body).await?;
    let sought: Record =
        keys.iter().map(|key| (key.clone(), given.get(key).cloned().unwrap_or_default())).collect();
    let parts = sought.iter().map(|(key, value)| Filter::eq(key.as_str(), value.clone()));
    let mut query = parameters.query(Filter::And(parts.collect()))?;
    (query.fields, query.except, query.appends) = (Vec::new(), Vec::new(), Vec::new());
    query.parent = match parent_scope(call, set).await? {
        ParentScope::Unlimited => None,
        ParentScope::Within(within) => Some(within),
        ParentScope::Missing => {
            check_source(call, set).await?;
            let name = set.collection.name();
            return Err(ApiError::bad_request(format!("{name} has no record {}", behind.key)));
        }
    };
    query.total_order = true;
    let (query, given, options) = (&query, &given, &options);
    let work = || {
        async move |transaction: &mut Transaction| {
            let found = transaction.find_one(records, query.clone()).await?;
            Ok::<_, DataError>(match found {
                Some(found) if change => {
                    let one = row_key_filter(records, std::slice::from_ref(&found))?;
                    let changed = transaction.records(options).update(records, one, given.clone()).await?;
                    changed.into_iter().next().unwrap_or(found)
                }
                Some(found) => found,
                None => {
                    let to = (&set.collection, &behind.association);
                    transaction.records(options).create_associated(to, &behind.key, given.clone()).await?
                }
            })
        }
    };
    Ok(Answer::Data(Value::Object(call.state.source().find_or_create(records, &sought, work).await?)))
}

/// Refuses an action on named records that are not all open for it, as NocoBase does when records
/// are removed: answering that nothing was done would look as if there were nothing. (An update by
/// key answers with an empty list, as in NocoBase.)
async fn check_reach(
    call: &Call<'_>,
    records: &Collection,
    action: RecordAction,
    named: Filter,
) -> Result<(), ApiError> {
    let Some(guard) = call.requester.guard() else { return Ok(()) };
    let scope = guard.access(records.name(), action).map(RecordAccess::into_scope);
    if scope == Some(Filter::All) {
        return Ok(());
    }
    let source = call.state.source();
    let open = named.clone().and(scope.unwrap_or_else(Filter::never));
    let counted = |filter| Query { clock: call.requester.clock(), ..Query::filter(filter) };
    let (named, open) = (counted(named), counted(open));
    if source.count_of(records, &named).await? > source.count_of(records, &open).await? {
        let what = if action == RecordAction::Destroy { "removing" } else { "changing" };
        return Err(ApiError::new(
            StatusCode::FORBIDDEN,
            format!("your roles do not allow {what} this record of {}", records.name()),
        ));
    }
    Ok(())
}

/// Refuses an action on what belongs to a record that exists and may not be seen.
async fn check_source(call: &Call<'_>, set: &RecordSet) -> Result<(), ApiError> {
    let Some(behind) = &set.behind else { return Ok(()) };
    let named = Filter::eq(set.collection.single_key()?.name(), behind.key.clone());
    match check_reach(call, &set.collection, RecordAction::View, named).await {
        // A key that no record could have is of no record.
        Err(error) if error.status == StatusCode::BAD_REQUEST => Ok(()),
        checked => checked,
    }
}

pub(super) async fn first_or_create((call, body): Given<'_>, set: &RecordSet) -> Result<Answer, ApiError> {
    if let Some(behind) = &set.behind {
        return find_or_create((call, body), set, behind, false).await;
    }
    let parameters = Parameters::of(call);
    let (options, keys) = (parameters.write_options()?, parameters.words("filterKeys")?);
    let given = one_record(call, &set.collection, body).await?;
    let found = call.state.source().records(&options).first_or_create(&set.collection, &keys, given).await?;
    Ok(Answer::Data(Value::Object(found)))
}

pub(super) async fn update_or_create((call, body): Given<'_>, set: &RecordSet) -> Result<Answer, ApiError> {
    if let Some(behind) = &set.behind {
        return find_or_create((call, body), set, behind, true).await;
    }
    let parameters = Parameters::of(call);
    let (options, keys) = (parameters.write_options()?, parameters.words("filterKeys")?);
    let given = one_record(call, &set.collection, body).await?;
    let done = call.state.source().records(&options).update_or_create(&set.collection, &keys, given).await?;
    Ok(Answer::Data(match done {
        Ok(changed) => changed.into_iter().map(Value::Object).collect(),
        Err(made) => Value::Object(made),
    }))
}

pub(super) async fn move_record(call: &Call<'_>, set: &RecordSet) -> Result<Answer, ApiError> {
    let options = Parameters::of(call).write_options()?;
    let moving = Moving::of(call)?;
    let default = match &set.behind {
        Some(behind) => format!("{}Sort", behind.association.foreign_key),
        None => "sort".to_owned(),
    };
    let change = Move {
        source: moving.source,
        target: moving.target,
        after: moving.method == MoveMethod::InsertAfter,
        field: moving.field.unwrap_or(default),
        scope: moving.scope,
        prepend: moving.method == MoveMethod::Prepend,
        sticky: moving.sticky,
    };
    if change.target.is_none() && change.scope.is_none() && !change.prepend && !change.sticky {
        return Err(ApiError::bad_request("say where to: targetId, targetScope or sticky is missing"));
    }
    call.state.source().records(&options).move_record(set.records(), &change).await?;
    Ok(Answer::Data(json!("ok")))
}
