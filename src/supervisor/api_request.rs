//! `app.api`: any call of an application's HTTP API, as one of its users, without a token.
//!
//! The limits of the application hold as they do for requests over HTTP, and the permissions are those of the user.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, HeaderName, HeaderValue};
use http::{HeaderMap, Method};
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};

use super::Supervisor;
use super::api_call::answer;
use super::error_context::user_failure;
use super::limits::Refused;
use super::settings::not_running;
use crate::app::api::ApiRequest;
use crate::protocol::{ApiResponse, AppId, CallApi, ErrorKind, RpcError};

impl Supervisor {
    /// Calls the API of an application, which is started if a visit may start it.
    pub async fn call_api(self: &Arc<Self>, call: CallApi) -> Result<ApiResponse, RpcError> {
        let CallApi { id, method, path, user, headers, body } = call;
        let (target, query) = target(&id, &path)?;
        let doing = format!("calling {method} {target} of \"{id}\"");
        let body = body.map(|body| Bytes::from(body.to_string())).unwrap_or_default();
        let request = ApiRequest {
            method: method_of(&method)?,
            target,
            query,
            headers: checked(&headers, !body.is_empty())?,
            body,
            client: None,
        };
        let refused = |refused: Refused| {
            RpcError::new(ErrorKind::Refused, format!("{doing} was refused: {refused}"))
                .hint(format!("try again, or raise its limits; see: nbapps show {id}"))
        };
        let arrived = self.arrive(id.as_str()).map_err(|_| RpcError::app_not_found(id.as_str()))?;
        let mut arrival = arrived.map_err(refused)?;
        check_length(&id, request.body.len() as u64, arrival.limits().body_bytes)?;
        arrival.hold(request.body.len() as u64).map_err(refused)?;
        let _permit = arrival.wait_for_permit().await.map_err(refused)?;
        let app = self.visit(id.as_str()).await.map_err(not_running)?;
        let auth = app.auth();
        let session = async {
            let user = match &user {
                Some(user) => auth.find_user(user).await?,
                None => auth.first_root().await?,
            };
            auth.act_as(user).await
        };
        let session = session.await.map_err(|error| user_failure(error, &doing, &id))?;
        let time = Duration::from_millis(arrival.limits().request_time_ms);
        let response = answer(&app, &id, session, request, time).await?;
        Ok(ApiResponse { status: response.status().as_u16(), body: on_one_line(response.body())? })
    }
}

/// The target and the query of a path; a path as it is over HTTP is taken, too.
fn target(id: &AppId, path: &str) -> Result<(String, String), RpcError> {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let path = path.trim_start_matches('/');
    let path = path.strip_prefix("api/").unwrap_or(path);
    let target = match path.strip_prefix("__app/").and_then(|rest| rest.split_once('/')) {
        None => path,
        Some((named, target)) if named == id.as_str() => target,
        Some((named, _)) => {
            let sentence = format!("the path is of the application \"{named}\", and the call of \"{id}\"");
            return Err(RpcError::new(ErrorKind::InvalidParams, sentence)
                .hint("leave out the beginning of the path, as in posts:list"));
        }
    };
    if query.contains('#') || target.contains('#') {
        let sentence =
            format!("the path \"{path}\" has a # in it, which a path or query cannot have as it is");
        return Err(RpcError::new(ErrorKind::InvalidParams, sentence)
            .hint("write it as %23, or give a parameter with --query NAME=VALUE, which is encoded"));
    }
    if target.is_empty() {
        let sentence = format!("\"{path}\" is not a path of the API");
        return Err(RpcError::new(ErrorKind::InvalidParams, sentence)
            .hint("give <resource>:<action>, as in posts:list, with a query behind a question mark"));
    }
    Ok((target.to_owned(), query.to_owned()))
}

/// A method of HTTP that the API answers.
fn method_of(text: &str) -> Result<Method, RpcError> {
    match &*text.to_ascii_uppercase() {
        "GET" => Ok(Method::GET),
        "POST" => Ok(Method::POST),
        "PUT" => Ok(Method::PUT),
        "PATCH" => Ok(Method::PATCH),
        "DELETE" => Ok(Method::DELETE),
        _ => Err(RpcError::new(
            ErrorKind::InvalidParams,
            format!("the API does not answer the method \"{text}\""),
        )
        .hint("give GET, POST, PUT, PATCH or DELETE")),
    }
}

/// The headers of a request; a body is JSON.
fn checked(
    given: &std::collections::BTreeMap<String, String>,
    has_body: bool,
) -> Result<HeaderMap, RpcError> {
    let mut headers = HeaderMap::new();
    for (name, value) in given {
        let parsed = name.parse::<HeaderName>().ok().zip(HeaderValue::from_str(value).ok());
        let Some((header, value)) = parsed else {
            let sentence = format!("\"{name}\" is not the name of a header, or its value cannot be sent");
            return Err(RpcError::new(ErrorKind::InvalidParams, sentence).hint("give one like X-Role: admin"));
        };
        if header == AUTHORIZATION || header == COOKIE {
            let sentence =
                format!("the header {name} is not taken: the call is made as a user, without a token");
            return Err(RpcError::new(ErrorKind::InvalidParams, sentence)
                .hint("name the user instead, with --as USER"));
        }
        headers.append(header, value);
    }
    if has_body {
        headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static("application/json"));
    }
    Ok(headers)
}

fn check_length(id: &AppId, length: u64, longest: u64) -> Result<(), RpcError> {
    if length <= longest {
        return Ok(());
    }
    let sentence = format!("the body has {length} bytes, and \"{id}\" takes at most {longest}");
    Err(RpcError::new(ErrorKind::InvalidParams, sentence)
        .hint(format!("send less at a time, or allow more with: nbapps update {id} --limit body=20MiB")))
}

/// A body as JSON on one line, as a line of the control socket can hold it. What is no JSON becomes a text.
fn on_one_line(body: &[u8]) -> Result<Box<RawValue>, RpcError> {
    if body.is_empty() {
        return Ok(RawValue::NULL.to_owned());
    }
    if memchr::memchr2(b'\n', b'\r', body).is_none()
        && let Ok(json) = serde_json::from_slice::<Box<RawValue>>(body)
    {
        return Ok(json);
    }
    let value = serde_json::from_slice(body)
        .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(body).into_owned()));
    to_raw_value(&value).map_err(|error| {
        RpcError::new(
            ErrorKind::Internal,
            format!("the application's answer cannot be written as JSON: {error}"),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_taken_as_it_is_over_http() {
        let crm = AppId::parse("crm").unwrap();
        for (path, expected) in [
            ("posts:list", Some(("posts:list", ""))),
            ("/api/posts:list?page=2&a=b?c", Some(("posts:list", "page=2&a=b?c"))),
            ("api/__app/crm/posts/1/tags:add", Some(("posts/1/tags:add", ""))),
            ("__app/hr/posts:list", None),
            ("/api/", None),
            ("", None),
            ("?page=1", None),
            ("posts:list#x", None),
        ] {
            let read = target(&crm, path).ok();
            let read = read.as_ref().map(|(target, query)| (target.as_str(), query.as_str()));
            assert_eq!(read, expected, "{path}");
        }
    }

    #[test]
    fn a_token_is_refused_and_json_is_said() {
        let headers = |name: &str, value: &str| {
            checked(&[(name.to_owned(), value.to_owned())].into_iter().collect(), true)
        };
        assert_eq!(headers("X-Role", "admin").unwrap()[CONTENT_TYPE], "application/json");
        for (name, value) in [("authorization", "Bearer x"), ("Cookie", "a=b"), ("a b", "c"), ("a", "b\nc")] {
            assert_eq!(headers(name, value).unwrap_err().kind(), ErrorKind::InvalidParams, "{name}");
        }
    }

    #[test]
    fn a_body_is_one_line_of_json() {
        for (body, expected) in [
            ("", "null"),
            ("{\"a\":1.10}", "{\"a\":1.10}"),
            ("{\"a\":\n 1.10}", "{\"a\":1.10}"),
            ("not JSON", "\"not JSON\""),
        ] {
            assert_eq!(on_one_line(body.as_bytes()).unwrap().get(), expected);
        }
    }
}
