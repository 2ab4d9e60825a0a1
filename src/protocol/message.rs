//! The JSON-RPC 2.0 envelope (<https://www.jsonrpc.org/specification>).
//!
//! Batches are not part of this protocol: several requests may be in flight on one connection
//! instead. A batch is answered with `invalid_request`.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{ErrorKind, RpcError};

/// The ID that the client gives a request; the response and `progress` repeat it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(untagged)]
pub enum RequestId {
    /// A whole number.
    Number(i64),
    /// A text.
    Text(String),
}

/// A request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// The ID. A request without one is a notification and gets no response.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<RequestId>,
    /// The method's name.
    pub method: String,
    /// Its parameters, an object.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub params: Value,
}

/// The response to a request. `T` is the type of the result, such as text that is JSON already.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Response<T = Value> {
    /// The request's ID; `None` when the line could not be parsed that far.
    pub id: Option<RequestId>,
    /// The result or the error.
    #[serde(flatten)]
    pub outcome: Outcome<T>,
}

/// A result or an error, never both.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome<T = Value> {
    /// The result of the method.
    Result(T),
    /// Why the method failed.
    Error(RpcError),
}

/// A notification of the daemon: `progress`, `event` or `log`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Notification {
    /// The kind of the notification.
    pub method: String,
    /// Its content.
    pub params: Value,
}

/// A message with the version marker that every line carries.
#[derive(Debug, Serialize)]
pub struct Message<T> {
    jsonrpc: &'static str,
    #[serde(flatten)]
    body: T,
}

impl<T: Serialize> Message<T> {
    /// The message as one line, without its line feed. JSON text has no raw line feeds inside.
    pub fn line(body: T) -> Result<String, serde_json::Error> {
        serde_json::to_string(&Self { jsonrpc: "2.0", body })
    }
}

/// What a client reads: a response to one of its requests, or a notification.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum Incoming {
    /// A notification: only these have a `method`.
    Notification(Notification),
    /// A response.
    Response(Response),
}

impl Request {
    /// Parses one line as a request.
    ///
    /// # Errors
    /// The response to send, with the request's ID as far as it could be parsed.
    pub fn parse(line: &[u8]) -> Result<Self, Response> {
        let value: Value = serde_json::from_slice(line).map_err(|error| {
            Response::error(
                None,
                RpcError::new(ErrorKind::ParseError, format!("the line is not JSON: {error}"))
                    .hint("send one JSON-RPC 2.0 request a line, UTF-8, ended by a line feed"),
            )
        })?;
        let id = value.get("id").cloned();
        let known = id.clone().and_then(|id| serde_json::from_value(id).ok());
        let invalid = |why: &str| {
            Response::error(
                known.clone(),
                RpcError::new(ErrorKind::InvalidRequest, format!("not a JSON-RPC 2.0 request: {why}")).hint(
                    r#"a request looks like {"jsonrpc":"2.0","id":1,"method":"host.info","params":{}}"#,
                ),
            )
        };
        let Value::Object(mut fields) = value else {
            return Err(invalid("it must be an object; batches are not supported, send several lines"));
        };
        if fields.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
            return Err(invalid("\"jsonrpc\" must be \"2.0\""));
        }
        let id = match id {
            None => None,
            Some(_) if known.is_some() => known.clone(),
            Some(_) => return Err(invalid("\"id\" must be a whole number or a text")),
        };
        let Some(Value::String(method)) = fields.remove("method") else {
            return Err(invalid("\"method\" must be a text"));
        };
        let params = fields.remove("params").unwrap_or(Value::Null);
        if !matches!(params, Value::Null | Value::Object(_)) {
            return Err(Response::error(
                known.clone(),
                RpcError::new(ErrorKind::InvalidParams, "\"params\" must be an object"),
            ));
        }
        Ok(Self { id, method, params })
    }
}

impl Response {
    /// A response with an error.
    #[must_use]
    pub fn error(id: Option<RequestId>, error: RpcError) -> Self {
        Self { id, outcome: Outcome::Error(error) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_and_written_alike() {
        let line = r#"{"jsonrpc":"2.0","id":7,"method":"app.get","params":{"id":"crm"}}"#;
        let request = Request::parse(line.as_bytes()).unwrap();
        assert_eq!(request.id, Some(RequestId::Number(7)));
        assert_eq!(Message::line(&request).unwrap(), line);
    }

    #[test]
    fn what_is_no_request_is_told_why() {
        for (line, kind, id) in [
            ("{", ErrorKind::ParseError, None),
            ("[]", ErrorKind::InvalidRequest, None),
            (r#"{"id":1,"method":"x"}"#, ErrorKind::InvalidRequest, Some(1)),
            (r#"{"jsonrpc":"2.0","id":2}"#, ErrorKind::InvalidRequest, Some(2)),
            (r#"{"jsonrpc":"2.0","id":{},"method":"x"}"#, ErrorKind::InvalidRequest, None),
            (r#"{"jsonrpc":"2.0","id":null,"method":"x"}"#, ErrorKind::InvalidRequest, None),
            (r#"{"jsonrpc":"2.0","id":3,"method":"x","params":[1]}"#, ErrorKind::InvalidParams, Some(3)),
        ] {
            let answer = Request::parse(line.as_bytes()).unwrap_err();
            assert_eq!(answer.id, id.map(RequestId::Number), "{line}");
            let Outcome::Error(error) = answer.outcome else { panic!("{line}") };
            assert_eq!(error.kind(), kind, "{line}");
        }
    }

    #[test]
    fn news_and_answers_are_told_apart() {
        let news = serde_json::from_str(r#"{"jsonrpc":"2.0","method":"event","params":{}}"#).unwrap();
        assert!(matches!(news, Incoming::Notification(_)));
        let answer = serde_json::from_str(r#"{"jsonrpc":"2.0","id":1,"result":null}"#).unwrap();
        assert!(matches!(answer, Incoming::Response(Response { outcome: Outcome::Result(_), .. })));
    }
}
