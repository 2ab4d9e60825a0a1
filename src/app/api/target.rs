//! Parses a path into the resource and the action that it means.

use std::borrow::Cow;

use http::Method;
use percent_encoding::percent_decode_str;

use super::error::ApiError;

/// `<resource>:<action>` or `<resource>/<id>/<association>:<action>`, both with `/<key>` behind
/// where a record is meant. Without an action, the method says which, as in REST.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::app) struct Target {
    pub(in crate::app) resource: String,
    /// The record and the association of it that is meant.
    pub(in crate::app) association: Option<(String, String)>,
    pub(in crate::app) action: String,
    /// The record that is meant, as `filterByTk` says it too.
    pub(in crate::app) key: Option<String>,
}

impl Target {
    /// Reads what follows `/api/`.
    pub(in crate::app) fn parse(method: &Method, text: &str) -> Result<Self, ApiError> {
        let unknown = || ApiError::not_found("a path of the API is <resource>:<action>");
        let decode = |part: &str| match percent_decode_str(part).decode_utf8() {
            Ok(text) if !text.is_empty() => Ok(text.into_owned()),
            _ => Err(unknown()),
        };
        let parts: Vec<&str> = text.split('/').collect();
        let (source, last, key) = match *parts.as_slice() {
            [last] => (None, last, None),
            [last, key] => (None, last, Some(key)),
            [resource, id, last] => (Some((resource, id)), last, None),
            [resource, id, last, key] => (Some((resource, id)), last, Some(key)),
            _ => return Err(unknown()),
        };
        let key = key.map(decode).transpose()?;
        let (name, action) = match last.split_once(':') {
            Some((_, action)) if action.contains(':') => return Err(unknown()),
            Some((name, action)) => (decode(name)?, decode(action)?),
            None => (decode(last)?, usual(method, key.is_some()).ok_or_else(unknown)?.to_owned()),
        };
        if action.contains('/') {
            return Err(unknown());
        }
        let (resource, association) = match source {
            Some((resource, id)) => (decode(resource)?, Some((decode(id)?, name))),
            None => (name, None),
        };
        Ok(Self { resource, association, action, key })
    }

    /// The name of the resource in the registry: `posts`, `posts.tags`.
    pub(in crate::app) fn name(&self) -> Cow<'_, str> {
        match &self.association {
            Some((_, name)) => Cow::Owned(format!("{}.{name}", self.resource)),
            None => Cow::Borrowed(&self.resource),
        }
    }

    /// The resource as it was asked for.
    pub(in crate::app) fn path(&self) -> String {
        match &self.association {
            Some((id, name)) => format!("{}/{id}/{name}", self.resource),
            None => self.resource.clone(),
        }
    }
}

/// What a method does, where no action is named.
fn usual(method: &Method, of_one: bool) -> Option<&'static str> {
    Some(match (method.as_str(), of_one) {
        ("GET", false) => "list",
        ("GET", true) => "get",
        ("POST", _) => "create",
        ("PUT" | "PATCH", true) => "update",
        ("DELETE", _) => "destroy",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_read() {
        for (method, text, path, action, key) in [
            ("GET", "users:list", "users", "list", None),
            ("POST", "posts/1/tags:add", "posts/1/tags", "add", None),
            ("POST", "posts/a%2Fb/tags:add", "posts/a/b/tags", "add", None),
            ("POST", "posts/a:b/tags:add", "posts/a:b/tags", "add", None),
            ("GET", "posts:get/1", "posts", "get", Some("1")),
            ("GET", "posts:get/a%2Fb", "posts", "get", Some("a/b")),
            ("POST", "posts/1/tags:update/2", "posts/1/tags", "update", Some("2")),
            ("GET", "posts", "posts", "list", None),
            ("GET", "posts/1", "posts", "get", Some("1")),
            ("POST", "posts", "posts", "create", None),
            ("PUT", "posts/1", "posts", "update", Some("1")),
            ("PATCH", "posts/1/tags/2", "posts/1/tags", "update", Some("2")),
            ("DELETE", "posts/1", "posts", "destroy", Some("1")),
        ] {
            let read = Target::parse(&method.parse().unwrap(), text).unwrap();
            let read = (read.path(), read.action, read.key);
            assert_eq!(read, (path.to_owned(), action.to_owned(), key.map(str::to_owned)), "{method} {text}");
        }
        for text in
            ["", ":list", "users:", "users:list:get", "a/b/c/d/e:f", "users:list/", "%ff:list", "a//b:c"]
        {
            assert!(Target::parse(&Method::GET, text).is_err(), "{text}");
        }
        for method in [Method::PUT, Method::HEAD, Method::OPTIONS] {
            assert!(Target::parse(&method, "posts").is_err(), "{method}");
        }
    }
}
