//! Files: where they are, and which there are.

use std::sync::LazyLock;

use serde_json::json;

use crate::data::{Collection, Field};

/// Where files are kept. `options` may hold the keys of a service. The host makes `id`.
pub static STORAGES: LazyLock<Collection> = LazyLock::new(|| {
    Collection::new("storages")
        .field(Field::big_int("id").primary_key())
        .timestamps()
        .field(Field::string("title"))
        .field(Field::string("name").unique())
        .field(Field::string("type"))
        .field(Field::json("options").default_value(json!({})).hidden())
        .field(Field::json("rules").default_value(json!({})))
        .field(Field::text("path").default_value(""))
        .field(Field::string("baseUrl").default_value(""))
        .field(Field::string("renameMode").default_value("appendRandomID"))
        .field(Field::boolean("default").default_value(false))
        .field(Field::boolean("paranoid").default_value(false))
        .field(Field::json("settings").default_value(json!({})))
});

/// The files.
pub static ATTACHMENTS: LazyLock<Collection> = LazyLock::new(|| {
    Collection::new("attachments")
        .field(Field::big_int("id").primary_key().auto_increment())
        .timestamps()
        .field(Field::string("title"))
        .field(Field::string("filename"))
        .field(Field::string("extname"))
        .field(Field::integer("size"))
        .field(Field::string("mimetype"))
        .field(Field::text("path"))
        .field(Field::json("meta").default_value(json!({})))
        .field(Field::text("url"))
        .field(Field::big_int("createdById"))
        .field(Field::big_int("updatedById"))
        .field(Field::big_int("storageId"))
});
