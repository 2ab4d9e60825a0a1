//! Query strings as NocoBase's clients write them: `fields[]=a`, `filter[title]=x`, `a=1&a=2`.
//!
//! The notation is that of the JavaScript library `qs`. Every value is a text; who reads it knows
//! what it should be.

use serde_json::{Map, Value};

use super::error::ApiError;

/// Parameters a query string may have, and how deep their names may go.
const MAX_PARAMETERS: usize = 1000;
const MAX_DEPTH: usize = 8;

/// Reads a query string.
pub(in crate::app) fn parse(text: &str) -> Result<Map<String, Value>, ApiError> {
    let mut root = Vec::new();
    for (count, (name, value)) in form_urlencoded::parse(text.as_bytes()).enumerate() {
        if count >= MAX_PARAMETERS {
            return Err(ApiError::bad_request(format!("more than {MAX_PARAMETERS} parameters")));
        }
        let path = path(&name);
        if path.len() > MAX_DEPTH {
            return Err(ApiError::bad_request(format!("a parameter is nested deeper than {MAX_DEPTH}")));
        }
        put(&mut root, &path, value.into_owned());
    }
    Ok(root.into_iter().map(|(name, node)| (name, node.into_json())).collect())
}

/// A value while the string is parsed; only the end shows whether it is an array.
enum Node {
    Text(String),
    Texts(Vec<String>),
    Named(Vec<(String, Node)>),
}

/// `a[b][]` as `a`, `b` and an empty name.
fn path(name: &str) -> Vec<&str> {
    let Some((first, rest)) = name.split_once('[') else { return vec![name] };
    match rest.strip_suffix(']') {
        Some(rest) if !first.is_empty() => std::iter::once(first).chain(rest.split("][")).collect(),
        // Brackets that do not close belong to the name.
        _ => vec![name],
    }
}

fn put(nodes: &mut Vec<(String, Node)>, path: &[&str], value: String) {
    let [name, rest @ ..] = path else { return };
    // `a[]` is the next of its array.
    let name = if name.is_empty() { nodes.len().to_string() } else { (*name).to_owned() };
    let at = nodes.iter().position(|(known, _)| *known == name);
    let at = at.unwrap_or_else(|| {
        nodes.push((name, Node::Named(Vec::new())));
        nodes.len() - 1
    });
    let Some((_, node)) = nodes.get_mut(at) else { return };
    if !rest.is_empty() {
        return match node {
            Node::Named(inner) => put(inner, rest, value),
            // `a=1&a[b]=2` says two things; the later one counts.
            Node::Text(_) | Node::Texts(_) => {
                let mut inner = Vec::new();
                put(&mut inner, rest, value);
                *node = Node::Named(inner);
            }
        };
    }
    match node {
        Node::Text(before) => *node = Node::Texts(vec![std::mem::take(before), value]),
        Node::Texts(texts) => texts.push(value),
        Node::Named(_) => *node = Node::Text(value),
    }
}

impl Node {
    fn into_json(self) -> Value {
        match self {
            Self::Text(text) => text.into(),
            Self::Texts(texts) => texts.into(),
            Self::Named(nodes) => {
                let numbers = nodes.iter().map(|(name, _)| name.parse::<usize>().ok());
                if let Some(numbers) = numbers.collect::<Option<Vec<_>>>() {
                    let mut numbered: Vec<_> = numbers.into_iter().zip(nodes).collect();
                    numbered.sort_by_key(|(number, _)| *number);
                    return numbered.into_iter().map(|(_, (_, node))| node.into_json()).collect();
                }
                nodes.into_iter().map(|(name, node)| (name, node.into_json())).collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_notations_of_clients_are_read() {
        for (text, expected) in [
            ("", json!({})),
            ("a=1&b=x%20y+z&c", json!({"a": "1", "b": "x y z", "c": ""})),
            ("fields[]=id&fields[]=name", json!({"fields": ["id", "name"]})),
            ("fields%5B%5D=id", json!({"fields": ["id"]})),
            ("fields[1]=b&fields[0]=a", json!({"fields": ["a", "b"]})),
            ("a=1&a=2&a=3", json!({"a": ["1", "2", "3"]})),
            (
                "filter[title]=x&filter[views][$gt]=3",
                json!({"filter": {"title": "x", "views": {"$gt": "3"}}}),
            ),
            ("filter={\"a\":1}", json!({"filter": "{\"a\":1}"})),
            ("sort[]=-views&sort[]=id", json!({"sort": ["-views", "id"]})),
            ("a[=1&b]=2&[]=3", json!({"a[": "1", "b]": "2", "[]": "3"})),
            ("a=1&a[b]=2", json!({"a": {"b": "2"}})),
        ] {
            assert_eq!(parse(text).map(Value::Object).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn too_much_is_refused() {
        assert!(parse(&"a=1&".repeat(1001)).is_err());
        assert!(parse(&format!("a{}=1", "[b]".repeat(9))).is_err());
    }
}
