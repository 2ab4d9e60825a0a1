//! From a request to the handler of its method, and from what the handler gives to the response.
//!
//! The dispatch is generated from the table of methods (`protocol/methods.rs`): a method for which
//! [`RequestHandler`] does not implement [`MethodHandler`] does not compile.

use futures_util::FutureExt as _;
use serde_json::value::to_raw_value;
use serde_json::{Value, json};

use super::call::{MethodCall, MethodHandler, Reply};
use super::client_handle::ClientHandle;
use super::handlers::RequestHandler;
use crate::protocol::methods::{self, Method, MethodKind, for_each_method};
use crate::protocol::{ErrorKind, InvalidAppId, Request, RpcError};

/// Generates `RequestHandler::dispatch` from the table of methods.
macro_rules! dispatch {
    ($($kind:ident $method:ident $name:literal ($params:ty) -> $result:ty : $summary:literal;)*) => {
        impl RequestHandler {
            /// Runs the handler of the request's method and sends the response.
            pub(super) async fn dispatch(&self, request: Request, client: ClientHandle) {
                let Request { id, method, params } = request;
                tracing::debug!(peer = %client.peer, method, "request");
                let params = if params.is_null() { json!({}) } else { params };
                let call = MethodCall::new(id, client);
                // Each future is boxed: the largest of them is no part of every other.
                match method.as_str() {
                    $($name => self.run::<methods::$method>(params, call).boxed().await,)*
                    _ => call.respond(Err(unknown(&method))).await,
                }
            }
        }
    };
}

for_each_method!(dispatch);

impl RequestHandler {
    /// Handles one call and sends the response.
    async fn run<M: Method>(&self, params: Value, call: MethodCall)
    where
        Self: MethodHandler<M>,
    {
        // Parameters hold passwords: the log gets the ID alone.
        let logged = (M::KIND == MethodKind::Command)
            .then(|| params.get("id").and_then(Value::as_str).unwrap_or_default().to_owned());
        if let Some(app) = &logged {
            tracing::info!(peer = %call.client.peer, method = M::NAME, app, "command");
        }
        let handled = match parse::<M>(params) {
            Ok(params) => self.handle(params, &call).await,
            Err(error) => Err(error),
        };
        if let (Some(app), Err(error)) = (&logged, &handled) {
            tracing::warn!(peer = %call.client.peer, method = M::NAME, app, %error, "command failed");
        }
        let (result, afterwards) = match handled {
            Ok(Reply { result, afterwards }) => (to_raw_value(&result).map_err(unwritable::<M>), afterwards),
            Err(error) => (Err(error), None),
        };
        call.respond(result).await;
        if let Some(afterwards) = afterwards {
            afterwards.await;
        }
    }
}

/// Parses the parameters of a method; the error names the field that does not fit.
fn parse<M: Method>(params: Value) -> Result<M::Params, RpcError> {
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

fn unwritable<M: Method>(error: serde_json::Error) -> RpcError {
    let sentence = format!("the result of {} cannot be written as JSON: {error}", M::NAME);
    RpcError::new(ErrorKind::Internal, sentence)
}

fn unknown(method: &str) -> RpcError {
    RpcError::new(ErrorKind::MethodNotFound, format!("there is no method \"{method}\""))
        .hint("rpc.discover lists all methods")
}
