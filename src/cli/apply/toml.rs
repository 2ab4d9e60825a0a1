//! Writes a document in TOML, with comments where secrets are to be filled in.

use super::document::Document;
use crate::cli::error::CliError;

const HEAD: &str = "\
# Written by nbapps export; nbapps apply -f FILE takes it. Secrets are left out: the commented references are needed
# where an application or a user is to be made anew.
";

/// The document in TOML.
pub(super) fn written(document: &Document) -> Result<String, CliError> {
    let text = ::toml::to_string(document).map_err(|error| CliError::Failed {
        message: format!("the applications cannot be written in TOML: {error}"),
        hint: Some("write them in another format: -o yaml or -o json".to_owned()),
    })?;
    Ok(HEAD.to_owned() + &commented(&text))
}

/// Adds a comment behind each heading whose table may have a secret.
fn commented(text: &str) -> String {
    let mut commented = String::with_capacity(text.len() * 2);
    let mut app = String::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        commented.push_str(line);
        commented.push('\n');
        let id = lines.peek().and_then(|next| next.strip_prefix("id = "));
        if let (true, Some(id)) = (line == "[[app]]", id) {
            app = id.trim_matches('"').to_owned();
        }
        let email = lines.peek().and_then(|next| next.strip_prefix("email = ")).unwrap_or_default();
        let name = match line {
            "[app.admin]" => variable(&[&app, "admin", "password"]),
            "[[app.users]]" => variable(&[&app, email, "password"]),
            "[app.database]" if is_connection(text, &app) => variable(&[&app, "db", "password"]),
            "[[app.keys]]" => {
                commented.push_str("# file = \"./key\"\n");
                continue;
            }
            _ => continue,
        };
        commented.push_str(&format!("# password = \"env:{name}\"\n"));
    }
    commented
}

/// Whether an application's database is one of another service, which takes a password.
fn is_connection(text: &str, app: &str) -> bool {
    let heading = format!("id = \"{app}\"");
    let own = text.split("[[app]]").find(|part| part.lines().any(|line| line == heading));
    own.is_some_and(|own| own.contains("mode = \"connection\"") && !own.contains("dialect = \"sqlite\""))
}

/// The name of a variable from words: capitals, digits and underscores.
fn variable(words: &[&str]) -> String {
    let joined = words.join("_").to_ascii_uppercase();
    let plain = joined.trim_matches('"').chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' });
    let mut name = String::new();
    for c in plain {
        if c != '_' || !name.ends_with('_') {
            name.push(c);
        }
    }
    name.trim_matches('_').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_comments_to_fill_in() {
        let document: Document = serde_json::from_value(serde_json::json!({"app": [{
            "id": "crm", "name": "CRM", "limits": {"in-flight": "16"},
            "database": {"mode": "connection", "dialect": "postgres", "host": "db"},
            "admin": {"email": "ada@example.com"},
            "users": [{"email": "bob@example.com", "roles": ["member"]}],
            "keys": [{"name": "ci"}],
            "collections": [{"name": "posts", "fields": [
                {"name": "views", "type": "decimal", "precision": 5, "uiSchema": {"a": [1, {"b": true}]}},
            ]}],
        }]}))
        .unwrap();
        let text = written(&document).unwrap();
        for line in [
            "# password = \"env:CRM_ADMIN_PASSWORD\"",
            "# password = \"env:CRM_BOB_EXAMPLE_COM_PASSWORD\"",
            "# password = \"env:CRM_DB_PASSWORD\"",
            "# file = \"./key\"",
        ] {
            assert!(text.lines().any(|written| written == line), "{line}: {text}");
        }
        assert_eq!(::toml::from_str::<Document>(&text).unwrap(), document);
        insta::assert_snapshot!(text);
    }
}
