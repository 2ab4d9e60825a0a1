//! Links between records: `add`, `set`, `remove`, `toggle`.

use serde_json::Value;

use super::{Parameters, Place};
use crate::app::api::{Answer, ApiError, Call};
use crate::data::AssociationKind;

pub(super) async fn change(call: &Call<'_>, place: &Place) -> Result<Answer, ApiError> {
    let Some(behind) = &place.behind else {
        return Err(ApiError::not_found("only the records of an association are linked"));
    };
    let parameters = Parameters::of(call);
    let key =
        behind.target.get(&behind.association.target_key).map_or_else(|| behind.target.single_key(), Ok)?;
    let (options, keys) = (parameters.write_options()?, parameters.keys(key));
    let to_one = !behind.association.kind.is_many();
    if to_one && keys.len() > 1 {
        return Err(ApiError::bad_request(format!("{} is one record", behind.association.name)));
    }
    let can_be_empty = call.action == "set" || call.action == "remove" && to_one;
    if keys.is_empty() && !can_be_empty {
        return Err(ApiError::bad_request("say which records are meant: filterByTk is missing"));
    }
    let place = (&place.collection, &behind.association);
    let source = call.app.source();
    match call.action {
        "add" if behind.association.kind == AssociationKind::BelongsTo => {
            return Err(ApiError::bad_request(format!("{} is one record: set it", behind.association.name)));
        }
        "add" => source.associate(place, &behind.key, keys, false, &options).await?,
        "set" => source.associate(place, &behind.key, keys, true, &options).await?,
        "remove" => source.dissociate(place, &behind.key, keys, &options).await?,
        _ => {
            source.toggle(place, &behind.key, keys, &options).await?;
            return Ok(Answer::Data(Value::from("ok")));
        }
    }
    Ok(Answer::Data(Value::Null))
}
