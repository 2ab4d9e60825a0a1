//! Templates in the language of Jinja (<https://jinja.palletsprojects.com/templates/>), by the library minijinja.

use minijinja::{Environment, Error, ErrorKind, Output, State, UndefinedBehavior};
use serde_json::{Value, json};

use super::error::CliError;
use crate::protocol::Shown;

/// A template that can be parsed.
#[derive(Debug)]
pub(crate) struct Template {
    environment: Environment<'static>,
    text: String,
}

impl Template {
    /// Parses a template. A backslash followed by `n` or `t` is a line feed or a tab, as in `printf`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut environment = Environment::new();
        // A misspelt name would print nothing.
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_formatter(write);
        let text = text.replace("\\n", "\n").replace("\\t", "\t");
        environment.template_from_str(&text).map_err(|error| {
            format!("{error}; write it as for Jinja, such as 'template={{{{ data.title }}}}'")
        })?;
        Ok(Self { environment, text })
    }

    /// Renders a value: the fields of an object are the variables; anything else is the variable `data`.
    pub(crate) fn render(&self, value: &Value) -> Result<String, CliError> {
        let rendered = match value {
            Value::Object(_) => self.environment.render_str(&self.text, Shown::of(value)),
            other => self.environment.render_str(&self.text, Shown::of(&json!({ "data": other }))),
        };
        rendered.map_err(|error| CliError::Failed {
            message: format!("the template does not fit the data: {error}"),
            hint: Some("print the data with -o json to see its fields".to_owned()),
        })
    }
}

/// Writes a text as it is and everything else as JSON.
fn write(out: &mut Output<'_>, _: &State<'_, '_>, value: &minijinja::Value) -> Result<(), Error> {
    match value.as_str() {
        Some(text) => out.write_str(text)?,
        None => {
            let json = serde_json::to_string(value);
            let json = json.map_err(|error| Error::new(ErrorKind::BadSerialization, error.to_string()))?;
            out.write_str(&json)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_variables_and_texts_stay_as_they_are() {
        let body =
            json!({"data": [{"title": "a <b>", "views": 12345678901_i64}, {"title": null, "views": 1.5}]});
        for (template, expected) in [
            (
                "{% for post in data %}{{ post.title }} {{ post.views }}\\n{% endfor %}",
                "a <b> 12345678901\nnull 1.5\n",
            ),
            ("{{ data | length }}", "2"),
            ("{{ data[1] }} {{ data[0].views > 1 }}", "{\"title\":null,\"views\":1.5} true"),
            ("{{ data[0].title | upper }}", "A <B>"),
        ] {
            let rendered = Template::parse(template).unwrap().render(&body).unwrap();
            assert_eq!(rendered, expected, "{template}");
        }
        assert_eq!(Template::parse("{{ data[1] }}").unwrap().render(&json!([1, 2])).unwrap(), "2");
    }

    #[test]
    fn what_is_wrong_is_said() {
        let wrong = Template::parse("{{ data").unwrap_err();
        assert!(wrong.contains("Jinja"), "{wrong}");
        let error = Template::parse("{{ data.nosuch }}").unwrap().render(&json!({"data": {}}));
        assert!(matches!(error, Err(CliError::Failed { .. })), "{error:?}");
    }
}
