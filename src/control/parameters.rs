//! From a method's parameters in JSON to their type, and from its result back.

use serde::Serialize;
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};

use crate::protocol::methods::Method;
use crate::protocol::{ErrorKind, InvalidAppId, RpcError};

/// What a method answers: JSON text, so that a long list is never anything else in between.
pub(super) type Answer = Result<Box<RawValue>, RpcError>;

/// The parameters in their type, or which of them does not fit.
pub(super) fn read<M: Method>(params: Value) -> Result<M::Params, RpcError> {
    serde_path_to_error::deserialize(params).map_err(|error| {
        let path = error.path().to_string();
        let problem = error.into_inner().to_string();
        if problem.contains("is not an application ID") {
            return RpcError::new(ErrorKind::InvalidId, problem).hint(InvalidAppId::RULE);
        }
        let place = if path == "." { String::new() } else { format!(" at {path}") };
        RpcError::new(
            ErrorKind::InvalidParams,
            format!("the parameters of {} do not fit{place}: {problem}", M::NAME),
        )
        .hint("rpc.discover describes them")
    })
}

/// The result as JSON.
pub(super) fn give<M: Method>(result: M::Result) -> Answer {
    written(M::NAME, &result)
}

/// The result of a method as JSON.
pub(super) fn written(method: &str, result: &impl Serialize) -> Answer {
    to_raw_value(result)
        .map_err(|error| RpcError::new(ErrorKind::Internal, format!("{method} cannot be answered: {error}")))
}
