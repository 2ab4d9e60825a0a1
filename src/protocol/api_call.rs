//! Calls of an application's HTTP API over the control socket: the parameters and result of `app.api`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::AppId;

/// Parameters of `app.api`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CallApi {
    /// The application's ID.
    pub id: AppId,
    /// The HTTP method.
    pub method: String,
    /// The path of the API with its query: `posts:list?page=2`. A leading `/api/` means nothing.
    pub path: String,
    /// The user who calls, by number, e-mail address or user name; the first root user when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Headers of the request.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// The body, as JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Value>,
}

/// The result of `app.api`: the response of the application, whatever its status.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ApiResponse {
    /// The HTTP status.
    pub status: u16,
    /// The body as JSON; null where there is none.
    #[schemars(with = "Value")]
    pub body: Box<RawValue>,
}
