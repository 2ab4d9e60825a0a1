//! Links between records: `add`, `set`, `remove`, `toggle`.

use serde_json::Value;

use super::parameters::Parameters;
use crate::app::api::record_set::{Behind, RecordSet};
use crate::app::api::{Answer, ApiError, Call};
use crate::data::{AssociationKind, Field};

/// The field by whose values the records of an association are linked.
pub(super) fn link_key(behind: &Behind) -> Result<&Field, ApiError> {
    let target = &behind.target;
    Ok(target.get(&behind.association.target_key).map_or_else(|| target.single_key(), Ok)?)
}

pub(super) async fn change(call: &Call<'_>, set: &RecordSet) -> Result<Answer, ApiError> {
    let Some(behind) = &set.behind else {
        return Err(ApiError::not_found("only the records of an association are linked"));
    };
    let parameters = Parameters::of(call);
    let (options, keys) = (parameters.write_options()?, parameters.keys(link_key(behind)?));
    let to_one = !behind.association.kind.is_many();
    if to_one && keys.len() > 1 {
        return Err(ApiError::bad_request(format!("{} is one record", behind.association.name)));
    }
    let says_none = call.action == "set" && parameters.says_none() || call.action == "remove" && to_one;
    if keys.is_empty() && !says_none {
        let or = if call.action == "set" { "; to link none, the body is []" } else { "" };
        return Err(ApiError::bad_request(format!("say which records are meant: filterByTk is missing{or}")));
    }
    let set = (&set.collection, &behind.association);
    let records = call.state.source().records(&options);
    match call.action {
        "add" if behind.association.kind == AssociationKind::BelongsTo => {
            return Err(ApiError::bad_request(format!("{} is one record: set it", behind.association.name)));
        }
        "add" => records.associate(set, &behind.key, keys, false).await?,
        "set" => records.associate(set, &behind.key, keys, true).await?,
        "remove" => records.dissociate(set, &behind.key, keys).await?,
        _ => {
            records.toggle(set, &behind.key, keys).await?;
            return Ok(Answer::Data(Value::from("ok")));
        }
    }
    Ok(Answer::Data(Value::Null))
}
