//! People, and how they get in.

use std::sync::LazyLock;

use serde_json::json;

use crate::data::{Association, Collection, Field};

/// People. `password` is an argon2id hash in the PHC format; `passwordChangeTz` is in milliseconds.
pub static USERS: LazyLock<Collection> = LazyLock::new(|| {
    Collection::new("users")
        .field(Field::big_int("id").primary_key().auto_increment())
        .timestamps()
        .field(Field::string("nickname"))
        .field(Field::string("username").unique())
        .field(Field::string("email").unique())
        .field(Field::string("phone").unique())
        .field(Field::password("password"))
        .field(Field::big_int("passwordChangeTz"))
        .field(Field::string("appLang"))
        .field(Field::string("resetToken").unique().hidden())
        .field(Field::json("systemSettings").default_value(json!({})))
        .field(Field::big_int("sort"))
        .created_by()
        .updated_by()
        .association(
            Association::belongs_to_many("roles", "roles", "rolesUsers", "userId", "roleName")
                .target_key("name"),
        )
});

/// How people may sign in. What is in `options.public` is shown to everybody; the rest, secrets among it,
/// to administrators alone.
pub static AUTHENTICATORS: LazyLock<Collection> = LazyLock::new(|| {
    Collection::new("authenticators")
        .field(Field::big_int("id").primary_key().auto_increment())
        .timestamps()
        .field(Field::string("name").unique().not_null())
        .field(Field::string("authType").not_null())
        .field(Field::string("title"))
        .field(Field::string("description").not_null().default_value(""))
        .field(Field::json("options").not_null().default_value(json!({})))
        .field(Field::boolean("enabled").default_value(false))
        .field(Field::big_int("sort"))
        .field(Field::big_int("createdById"))
        .field(Field::big_int("updatedById"))
});

/// Which user is known to which authenticator, and under what ID there.
pub static USERS_AUTHENTICATORS: LazyLock<Collection> = LazyLock::new(|| {
    Collection::new("usersAuthenticators")
        .timestamps()
        .field(Field::string("uuid").not_null())
        .field(Field::string("nickname").not_null().default_value(""))
        .field(Field::string("avatar").not_null().default_value(""))
        .field(Field::json("meta").default_value(json!({})))
        .field(Field::big_int("createdById"))
        .field(Field::big_int("updatedById"))
        .field(Field::string("authenticator").primary_key())
        .field(Field::big_int("userId").primary_key())
});
