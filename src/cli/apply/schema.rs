//! The JSON Schema of documents, for editors.

use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

use super::document::Document;

/// The schema. Its ID is a name and no address: it is printed by this program, and nowhere on the web.
pub(crate) fn schema() -> Value {
    let mut schema =
        SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<Document>().to_value();
    if let Value::Object(schema) = &mut schema {
        schema.insert("$id".to_owned(), json!("urn:nbapps:apply:1"));
    }
    schema
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_a_description_and_every_reference_is_defined() {
        let schema = schema();
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
        let text = schema.to_string();
        for reference in text.split("\"$ref\":\"#/$defs/").skip(1) {
            let name = reference.split('"').next().unwrap();
            assert!(schema["$defs"].get(name).is_some(), "{name}");
        }
        let app = &schema["$defs"]["App"];
        assert_eq!(app["additionalProperties"], false);
        assert_eq!(app["required"], json!(["id"]));
        for (name, property) in app["properties"].as_object().unwrap() {
            assert!(property["description"].is_string(), "{name}: {property}");
        }
        assert!(schema["$defs"]["Limits"]["properties"]["in-flight"].is_object(), "{schema}");
    }
}
