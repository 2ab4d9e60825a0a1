//! The application itself: its settings, its version, its plugins.

use std::sync::LazyLock;

use serde_json::json;

use crate::data::{Collection, Field};

/// The application's settings; one record.
pub static SYSTEM_SETTINGS: LazyLock<Collection> = LazyLock::new(|| {
    Collection::new("systemSettings")
        .field(Field::big_int("id").primary_key().auto_increment())
        .timestamps()
        .field(Field::string("title"))
        .field(Field::boolean("showLogoOnly"))
        .field(Field::boolean("allowSignUp").default_value(true))
        .field(Field::boolean("smsAuthEnabled").default_value(false))
        .field(Field::big_int("logoId"))
        .field(Field::json("enabledLanguages").default_value(json!([])))
        .field(Field::string("appLang"))
        .field(Field::json("options").default_value(json!({})))
        .field(Field::string("roleMode").default_value("default"))
        .field(Field::boolean("enableEditProfile"))
        .field(Field::boolean("enableChangePassword"))
});

/// The version of the system tables; one record.
pub static VERSION: LazyLock<Collection> = LazyLock::new(|| {
    Collection::new("applicationVersion")
        .field(Field::big_int("id").primary_key().auto_increment())
        .field(Field::string("value"))
});

/// The plugins that the application knows, and which are enabled.
pub static APPLICATION_PLUGINS: LazyLock<Collection> = LazyLock::new(|| {
    Collection::new("applicationPlugins")
        .field(Field::big_int("id").primary_key().auto_increment())
        .timestamps()
        .field(Field::string("name").unique())
        .field(Field::string("packageName").unique())
        .field(Field::string("version"))
        .field(Field::boolean("enabled"))
        .field(Field::boolean("installed"))
        .field(Field::boolean("builtIn"))
        .field(Field::json("options"))
});

/// Which upgrades were done.
pub static MIGRATIONS: LazyLock<Collection> =
    LazyLock::new(|| Collection::new("migrations").field(Field::string("name").primary_key()));
