//! The data model that users make: data sources, collections, fields.

use std::sync::LazyLock;

use serde_json::json;

use crate::data::{Collection, Field, Generator};

/// The databases an application works on; `main` is its own. `options` may hold passwords.
pub static DATA_SOURCES: LazyLock<Collection> = LazyLock::new(|| {
    Collection::new("dataSources")
        .timestamps()
        .field(Field::string("key").primary_key())
        .field(Field::string("displayName"))
        .field(Field::string("type"))
        .field(Field::json("options").hidden())
        .field(Field::boolean("enabled").default_value(true))
        .field(Field::boolean("fixed").default_value(false))
});

/// The collections that users made. `key` is 11 random characters.
pub static USER_COLLECTIONS: LazyLock<Collection> = LazyLock::new(|| {
    Collection::new("collections")
        .field(Field::string("key").primary_key())
        .field(Field::string("name").unique())
        .field(Field::string("title"))
        .field(Field::boolean("inherit").default_value(false))
        .field(Field::boolean("hidden").default_value(false))
        .field(Field::json("options").default_value(json!({})))
        .field(Field::string("description"))
        .field(Field::sort("sort"))
        .named_by(&["name"])
});

/// Their fields; `options` holds what has no column. `key` is 11 random characters.
pub static USER_FIELDS: LazyLock<Collection> = LazyLock::new(|| {
    Collection::new("fields")
        .field(Field::string("key").primary_key())
        .field(Field::string("name"))
        .field(Field::string("type"))
        .field(Field::string("interface"))
        .field(Field::string("description"))
        .field(Field::string("collectionName").indexed())
        .field(Field::string("parentKey"))
        .field(Field::string("reverseKey"))
        .field(Field::json("options").default_value(json!({})))
        .field(Field::sort("sort").generated(Generator::Position { scope: Some("collectionName".into()) }))
});
