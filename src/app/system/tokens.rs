//! Tokens: the keys of programs, what was signed out, how long sessions last.

use std::sync::LazyLock;

use serde_json::json;

use crate::data::{Collection, Field};

/// The keys of programs. `token` is the ID (`jti`) of the key's token and not the token, so that nobody
/// who reads the table can use it.
pub static API_KEYS: LazyLock<Collection> = LazyLock::new(|| {
    Collection::new("apiKeys")
        .field(Field::big_int("id").primary_key().auto_increment())
        .field(Field::date_time("createdAt").not_null())
        .field(Field::string("name"))
        .field(Field::string("roleName"))
        .field(Field::string("expiresIn"))
        .field(Field::string("token").hidden())
        .field(Field::big_int("sort"))
        .field(Field::big_int("createdById"))
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

/// Sessions: one record a sign-in. `id` stays, `jti` is the ID of the token that the session has now;
/// times are in milliseconds.
pub static ISSUED_TOKENS: LazyLock<Collection> = LazyLock::new(|| {
    Collection::new("issuedTokens")
        .timestamps()
        .field(Field::uuid("id").primary_key())
        .field(Field::big_int("signInTime").not_null())
        .field(Field::uuid("jti").not_null())
        .field(Field::big_int("issuedTime").not_null())
        .field(Field::big_int("userId").not_null())
        .field(Field::string("authenticator"))
});

/// How long tokens and sessions last; one record, of the key [`TOKEN_POLICY`].
pub static TOKEN_CONTROL_CONFIG: LazyLock<Collection> = LazyLock::new(|| {
    Collection::new("tokenControlConfig")
        .timestamps()
        .field(Field::string("key").primary_key())
        .field(Field::json("config").not_null().default_value(json!({})))
        .field(Field::big_int("createdById"))
        .field(Field::big_int("updatedById"))
});

/// The key of the only record of [`TOKEN_CONTROL_CONFIG`].
pub const TOKEN_POLICY: &str = "token-policy-config";
