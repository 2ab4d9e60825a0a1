//! Which resource and action a path means.

use percent_encoding::percent_decode_str;

use super::ApiError;

/// `<resource>:<action>` or `<resource>/<id>/<association>:<action>`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) resource: String,
    /// The record and the association of it that is meant.
    pub(super) association: Option<(String, String)>,
    pub(super) action: String,
}

impl Target {
    /// Reads what follows `/api/`.
    pub(super) fn parse(text: &str) -> Result<Self, ApiError> {
        let unknown = || ApiError::not_found("a path of the API is <resource>:<action>");
        let (path, action) = text.rsplit_once(':').ok_or_else(unknown)?;
        let decode = |part: &str| match percent_decode_str(part).decode_utf8() {
            Ok(text) if !text.is_empty() => Ok(text.into_owned()),
            _ => Err(unknown()),
        };
        let action = decode(action)?;
        if action.contains('/') {
            return Err(unknown());
        }
        let parts: Vec<&str> = path.split('/').collect();
        let (resource, association) = match parts.as_slice() {
            [resource] => (decode(resource)?, None),
            [resource, id, name] => (decode(resource)?, Some((decode(id)?, decode(name)?))),
            _ => return Err(unknown()),
        };
        Ok(Self { resource, association, action })
    }

    /// The name under which what answers it is known: `posts`, `posts.tags`.
    pub(super) fn name(&self) -> String {
        match &self.association {
            Some((_, name)) => format!("{}.{name}", self.resource),
            None => self.resource.clone(),
        }
    }

    /// The resource as it was asked for.
    pub(super) fn path(&self) -> String {
        match &self.association {
            Some((id, name)) => format!("{}/{id}/{name}", self.resource),
            None => self.resource.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_read() {
        let read = |text| Target::parse(text).ok().map(|target| (target.path(), target.action));
        for (text, path, action) in [
            ("users:list", "users", "list"),
            ("posts/1/tags:add", "posts/1/tags", "add"),
            ("posts/a%2Fb/tags:add", "posts/a/b/tags", "add"),
            ("posts/a:b/tags:add", "posts/a:b/tags", "add"),
        ] {
            assert_eq!(read(text), Some((path.to_owned(), action.to_owned())), "{text}");
        }
        for text in
            ["", "users", ":list", "users:", "a/b:c", "a/b/c/d:e", "users:list/", "%ff:list", "a//b:c"]
        {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
