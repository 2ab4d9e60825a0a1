//! The system collections: what every application has before anybody makes a collection in it.
//!
//! Names, columns and defaults are NocoBase's, so that its data can be read as it is.

mod install;
mod version;

use std::sync::LazyLock;

use serde_json::json;

use crate::data::{Collection, Field};

pub use install::{install, uninstall};
pub(super) use version::check;

/// Every system collection.
pub(super) static COLLECTIONS: LazyLock<[Collection; 6]> = LazyLock::new(|| {
    [
        USERS.clone(),
        ROLES.clone(),
        ROLES_USERS.clone(),
        TOKEN_BLACKLIST.clone(),
        SYSTEM_SETTINGS.clone(),
        VERSION.clone(),
    ]
});

/// People. `password` is an argon2id hash in the PHC format; `passwordChangeTz` is in milliseconds.
pub static USERS: LazyLock<Collection> = LazyLock::new(|| {
    Collection::new("users")
        .field(Field::big_int("id").primary_key().auto_increment())
        .timestamps()
        .field(Field::string("nickname"))
        .field(Field::string("username").unique())
        .field(Field::string("email").unique())
        .field(Field::string("phone").unique())
        .field(Field::string("password").hidden())
        .field(Field::big_int("passwordChangeTz"))
        .field(Field::string("appLang"))
        .field(Field::string("resetToken").unique().hidden())
        .field(Field::json("systemSettings").default_value(json!({})))
        .field(Field::big_int("sort"))
        .field(Field::big_int("createdById"))
        .field(Field::big_int("updatedById"))
});

/// What users may do.
pub static ROLES: LazyLock<Collection> = LazyLock::new(|| {
    Collection::new("roles")
        .timestamps()
        .field(Field::string("name").primary_key())
        .field(Field::string("title").unique())
        .field(Field::string("description"))
        .field(Field::json("strategy"))
        .field(Field::boolean("default").default_value(false))
        .field(Field::boolean("hidden").default_value(false))
        .field(Field::boolean("allowConfigure"))
        .field(Field::boolean("allowNewMenu"))
        .field(Field::json("snippets").default_value(json!(["!ui.*", "!pm", "!pm.*"])))
        .field(Field::big_int("sort"))
        .field(Field::boolean("allowNewMobileMenu"))
        .field(Field::boolean("allowNewAiEmployee"))
});

/// Which user has which role; `default` marks the one that a sign-in begins with.
pub static ROLES_USERS: LazyLock<Collection> = LazyLock::new(|| {
    Collection::new("rolesUsers")
        .timestamps()
        .field(Field::boolean("default"))
        .field(Field::string("roleName").primary_key())
        .field(Field::big_int("userId").primary_key())
});

/// Tokens that were signed out before they expired. `token` is the token's ID (`jti`) and not the
/// token, so that nobody who reads the table can use it.
pub static TOKEN_BLACKLIST: LazyLock<Collection> = LazyLock::new(|| {
    Collection::new("tokenBlacklist")
        .field(Field::big_int("id").primary_key().auto_increment())
        .timestamps()
        .field(Field::string("token"))
        .field(Field::date_time("expiration"))
});

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
