//! `collections:*` and `collections/<name>/fields:*`: the definitions that users make.

use serde_json::{Map, Value, json};

use super::descriptor::{ActionAccess, Records, Resource, ResourceAction};
use crate::app::acl::policy::{Reach, Snippet};
use crate::app::api::records::{MoveMethod, Moving, Parameters};
use crate::app::api::{Answer, ApiError, Call};
use crate::app::caches::Cache;
use crate::app::collections;
use crate::app::system::{USER_COLLECTIONS, USER_FIELDS};
use crate::data::{Collection, DataError, DataSource, Filter, Move, Query, Record, Sort, run_to_completion};

pub(super) fn resources() -> [Resource; 6] {
    const MAIN: &[Snippet] = &[("pm.data-source-manager.data-source-main", &["*"])];
    let managed = |name| Resource { reach: Reach::Management, ..Resource::named(name) };
    [
        Resource {
            collection: Some(&USER_COLLECTIONS),
            records: Records::Internal,
            actions: collection_actions(),
            snippets: MAIN,
            invalidates: &[Cache::Users],
            ..managed("collections")
        },
        Resource {
            records: Records::Own,
            actions: field_actions(),
            snippets: MAIN,
            ..managed("collections.fields")
        },
        Resource {
            collection: Some(&USER_FIELDS),
            records: Records::Internal,
            snippets: MAIN,
            // A user is kept with the fields that users have.
            invalidates: &[Cache::Users],
            ..managed("fields")
        },
        Resource { snippets: MAIN, ..managed("collectionCategories") },
        Resource { snippets: MAIN, ..managed("mainDataSource") },
        Resource { snippets: &[("pm.data-source-manager.collection-view", &["*"])], ..managed("dbViews") },
    ]
}

fn collection_actions() -> Vec<ResourceAction> {
    vec![
        ResourceAction::new("list", ActionAccess::SignedIn, |call| Box::pin(list_collections(call))),
        ResourceAction::new("listMeta", ActionAccess::SignedIn, |call| Box::pin(list_meta(call))),
        ResourceAction::new("get", ActionAccess::ByPermission, |call| Box::pin(get(call))),
        ResourceAction::new("create", ActionAccess::ByPermission, |call| Box::pin(create(call))),
        ResourceAction::new("update", ActionAccess::ByPermission, |call| Box::pin(update(call))),
        ResourceAction::new("destroy", ActionAccess::ByPermission, |call| Box::pin(destroy(call))),
        ResourceAction::new("setFields", ActionAccess::ByPermission, |call| Box::pin(set_fields(call))),
        ResourceAction::new("move", ActionAccess::ByPermission, |call| Box::pin(move_collection(call))),
    ]
}

fn field_actions() -> Vec<ResourceAction> {
    vec![
        ResourceAction::new("list", ActionAccess::ByPermission, |call| Box::pin(list_fields(call))),
        ResourceAction::new("get", ActionAccess::ByPermission, |call| Box::pin(get_field(call))),
        ResourceAction::new("create", ActionAccess::ByPermission, |call| Box::pin(create_field(call))),
        ResourceAction::new("update", ActionAccess::ByPermission, |call| Box::pin(update_field(call))),
        ResourceAction::new("destroy", ActionAccess::ByPermission, |call| Box::pin(destroy_fields(call))),
        ResourceAction::new("move", ActionAccess::ByPermission, |call| Box::pin(move_field(call))),
    ]
}

/// The collection whose fields are meant, by its name.
fn collection_of<'a>(call: &'a Call<'_>) -> Result<&'a str, ApiError> {
    let collection = call.source_key()?;
    if call.state.source().catalog().get(collection).is_none() {
        return Err(ApiError::not_found(format!("there is no collection {collection}")));
    }
    Ok(collection)
}

async fn list_collections(call: &Call<'_>) -> Result<Answer, ApiError> {
    list(call, &USER_COLLECTIONS, Filter::All, collections::collection_to_wire).await
}

async fn list_fields(call: &Call<'_>) -> Result<Answer, ApiError> {
    let of_it = Filter::eq("collectionName", collection_of(call)?);
    list(call, &USER_FIELDS, of_it, collections::field_to_wire).await
}

async fn get_field(call: &Call<'_>) -> Result<Answer, ApiError> {
    let row = field_row(call, Filter::eq("collectionName", collection_of(call)?)).await?;
    Ok(Answer::Data(row.map_or(Value::Null, |row| shown(call, collections::field_to_wire(&row)))))
}

async fn move_collection(call: &Call<'_>) -> Result<Answer, ApiError> {
    move_row(call, &USER_COLLECTIONS, "name", Filter::All).await
}

async fn move_field(call: &Call<'_>) -> Result<Answer, ApiError> {
    let of_it = Filter::eq("collectionName", collection_of(call)?);
    move_row(call, &USER_FIELDS, "name", of_it).await
}

/// The collections' rows as they are asked for, in the shape that clients see.
async fn list(
    call: &Call<'_>,
    table: &Collection,
    within: Filter,
    shape: fn(&Record) -> Map<String, Value>,
) -> Result<Answer, ApiError> {
    let parameters = Parameters::of(call);
    let page = parameters.page()?;
    let mut query =
        Query::filter(within.and(parameters.by_key(table)?.unwrap_or_default()).and(parameters.filter()?));
    query.sort = parameters.sort()?;
    for usual in ["sort", "key"] {
        if !query.sort.iter().any(|sort| sort.field == usual) {
            query.sort.push(Sort::ascending(usual));
        }
    }
    let source = call.state.source();
    let counted = query.clone();
    if let Some(page) = &page {
        query.limit = Some(page.size);
        query.offset = (page.number - 1).saturating_mul(page.size);
    }
    let rows = source.find(table, query).await?;
    let with_fields = parameters.words("appends")?.iter().any(|name| name == "fields");
    let mut data = Vec::with_capacity(rows.len());
    for row in rows {
        let mut record = shape(&row);
        if with_fields {
            record.insert("fields".to_owned(), fields_of(call, &row).await?);
        }
        data.push(shown(call, record));
    }
    Ok(match page {
        None => Answer::Data(Value::Array(data)),
        Some(page) => {
            let count = source.count_of(table, &counted).await?;
            Answer::List { data, count, page: page.number, page_size: page.size }
        }
    })
}

async fn fields_of(call: &Call<'_>, row: &Record) -> Result<Value, ApiError> {
    let name = row.get("name").cloned().unwrap_or_default();
    let query = Query::filter(Filter::eq("collectionName", name)).sort(Sort::ascending("sort"));
    let rows = call.state.source().find(&USER_FIELDS, query).await?;
    Ok(rows.iter().map(|row| Value::Object(collections::field_to_wire(row))).collect())
}

/// The part of a definition that was asked for.
fn shown(call: &Call<'_>, mut record: Map<String, Value>) -> Value {
    let parameters = Parameters::of(call);
    let names = |name: &str| parameters.words(name).unwrap_or_default();
    let (fields, except) = (names("fields"), names("except"));
    if !fields.is_empty() {
        record.retain(|name, _| fields.contains(name) || name == "fields");
    }
    record.retain(|name, _| !except.contains(name));
    Value::Object(record)
}

fn body(call: &Call<'_>) -> Result<Map<String, Value>, ApiError> {
    match &call.body {
        Value::Object(body) => Ok(body.clone()),
        _ => Err(ApiError::bad_request("the body must be an object: a definition")),
    }
}

async fn get(call: &Call<'_>) -> Result<Answer, ApiError> {
    let parameters = Parameters::of(call);
    let filter = parameters.meant(&USER_COLLECTIONS)?;
    let Some(row) = call.state.source().find_one(&USER_COLLECTIONS, Query::filter(filter)).await? else {
        return Ok(Answer::Data(Value::Null));
    };
    let mut record = collections::collection_to_wire(&row);
    if parameters.words("appends")?.iter().any(|name| name == "fields") {
        record.insert("fields".to_owned(), fields_of(call, &row).await?);
    }
    Ok(Answer::Data(shown(call, record)))
}

async fn list_meta(call: &Call<'_>) -> Result<Answer, ApiError> {
    let source = call.state.source();
    let rows =
        |table: &'static Collection| source.find(table, Query::default().sort(Sort::ascending("sort")));
    let (definitions, fields) = (rows(&USER_COLLECTIONS).await?, rows(&USER_FIELDS).await?);
    Ok(Answer::Data(collections::meta(&source.catalog(), &definitions, &fields)))
}

/// Runs a change of definitions: one at a time, each to its end.
async fn define<T: Send + 'static, W>(
    call: &Call<'_>,
    work: impl FnOnce(DataSource) -> W,
) -> Result<T, ApiError>
where
    W: Future<Output = Result<T, DataError>> + Send + 'static,
{
    let turn = call.state.definitions().await;
    let source = call.state.source().clone();
    let work = work(source.clone());
    let changed = run_to_completion(async move {
        let changed = work.await;
        // It may be done all the same, where the server's word was lost.
        if let Err(DataError::Database(_)) = &changed
            && let Ok(known) = collections::load(&source).await
        {
            source.set_catalog(known);
        }
        drop(turn);
        changed
    });
    Ok(changed.await?)
}

async fn create(call: &Call<'_>) -> Result<Answer, ApiError> {
    let given = body(call)?;
    let row = define(call, |source| async move { collections::create(&source, given).await }).await?;
    Ok(Answer::Data(Value::Object(collections::collection_to_wire(&row))))
}

/// The filter of the collections to be changed or removed. Refuses those of the system, which have
/// no definitions.
fn meant(call: &Call<'_>) -> Result<Filter, ApiError> {
    let named = match call.params.get("filterByTk") {
        Some(Value::Array(names)) => names.as_slice(),
        Some(name) => std::slice::from_ref(name),
        None => &[],
    };
    let system = call.state.source().catalog().base();
    let own = named.iter().filter_map(Value::as_str).find(|name| system.get(name).is_some());
    if let Some(own) = own {
        return Err(ApiError::bad_request(format!("the collection {own} belongs to the system")));
    }
    Parameters::of(call).meant(&USER_COLLECTIONS)
}

async fn update(call: &Call<'_>) -> Result<Answer, ApiError> {
    let (filter, given) = (meant(call)?, body(call)?);
    let rows = define(call, |source| async move { collections::update(&source, &filter, given).await });
    let rows = rows.await?;
    let shown = rows.iter().map(|row| Value::Object(collections::collection_to_wire(row)));
    Ok(Answer::Data(shown.collect()))
}

async fn destroy(call: &Call<'_>) -> Result<Answer, ApiError> {
    let filter = meant(call)?;
    let destroyed = define(call, |source| async move { collections::destroy(&source, &filter).await });
    Ok(Answer::Data(json!(destroyed.await?)))
}

async fn set_fields(call: &Call<'_>) -> Result<Answer, ApiError> {
    let (name, given) = (call.filter_by_tk()?.to_owned(), call.body.clone());
    define(call, |source| async move { collections::set_fields(&source, &name, &given).await }).await?;
    Ok(Answer::Data(Value::Null))
}

async fn create_field(call: &Call<'_>) -> Result<Answer, ApiError> {
    let (collection, given) = (collection_of(call)?.to_owned(), body(call)?);
    let row =
        define(call, |source| async move { collections::create_field(&source, &collection, given).await });
    let row = row.await?;
    Ok(Answer::Data(Value::Object(collections::field_to_wire(&row))))
}

/// The one field that is meant, by its name.
async fn field_row(call: &Call<'_>, of_it: Filter) -> Result<Option<Record>, ApiError> {
    let parameters = Parameters::of(call);
    let by_name = match call.param("filterByTk").filter(|name| !name.is_empty()) {
        Some(name) => Filter::eq("name", name),
        None => match parameters.filter()? {
            Filter::All => {
                return Err(ApiError::bad_request("say which field is meant: filterByTk is missing"));
            }
            filter => filter,
        },
    };
    Ok(call.state.source().find_one(&USER_FIELDS, Query::filter(of_it.and(by_name))).await?)
}

async fn update_field(call: &Call<'_>) -> Result<Answer, ApiError> {
    let collection = collection_of(call)?.to_owned();
    let (name, given) = (call.filter_by_tk()?.to_owned(), body(call)?);
    let row =
        define(
            call,
            |source| async move { collections::update_field(&source, &collection, &name, given).await },
        );
    let row = row.await?;
    Ok(Answer::Data(json!([collections::field_to_wire(&row)])))
}

async fn destroy_fields(call: &Call<'_>) -> Result<Answer, ApiError> {
    let collection = collection_of(call)?.to_owned();
    let names: Vec<String> = match call.params.get("filterByTk") {
        Some(Value::Array(names)) => {
            names.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect()
        }
        _ => vec![call.filter_by_tk()?.to_owned()],
    };
    let destroyed =
        define(call, |source| async move { collections::destroy_field(&source, &collection, &names).await });
    destroyed.await?;
    Ok(Answer::Data(Value::Bool(true)))
}

/// Puts a definition in the place of another one in the order in which they are shown.
async fn move_row(
    call: &Call<'_>,
    table: &Collection,
    named_by: &str,
    within: Filter,
) -> Result<Answer, ApiError> {
    let moving = Moving::of(call)?;
    if moving.target.is_none() && !moving.sticky {
        return Err(ApiError::bad_request("say where to: targetId or sticky is missing"));
    }
    let elsewhere = moving.scope.is_some() || moving.field.is_some_and(|name| name != "sort");
    if elsewhere || moving.method == MoveMethod::Prepend {
        return Err(ApiError::bad_request(
            "definitions are in one order, sort: leave targetScope, prepend and another sortField out",
        ));
    }
    let source = call.state.source();
    let _turn = call.state.definitions().await;
    let key = async |given: Value| -> Result<Value, ApiError> {
        let either = Filter::Or(vec![Filter::eq(named_by, given.clone()), Filter::eq("key", given.clone())]);
        let row = source.find_one(table, Query::filter(within.clone().and(either))).await?;
        row.and_then(|row| row.get("key").cloned())
            .ok_or_else(|| ApiError::bad_request(format!("there is no {given}")))
    };
    let change = Move {
        source: key(moving.source).await?,
        target: match moving.target {
            Some(target) => Some(key(target).await?),
            None => None,
        },
        after: moving.method == MoveMethod::InsertAfter,
        field: "sort".to_owned(),
        scope: None,
        prepend: false,
        sticky: moving.sticky,
    };
    let mut options = Parameters::of(call).write_options()?;
    // Who may define may order.
    options.guard = None;
    source.records(&options).move_record(&by_key(table), &change).await?;
    Ok(Answer::Data(json!("ok")))
}

/// The table with its rows named by their own keys: names are those of a collection's fields only.
fn by_key(table: &Collection) -> Collection {
    table.clone().named_by(&["key"])
}
