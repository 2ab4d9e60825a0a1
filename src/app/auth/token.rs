//! Tokens: JWTs signed with the application's own secret, by HS256 and nothing else.

use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use hmac::{Hmac, Mac};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use uuid::Uuid;

use super::error::AuthError;
use crate::app::lazy_map::LazyMap;

/// What a token says; the names are NocoBase's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Claims {
    /// Whose it is.
    pub(super) user_id: i64,
    /// The only role it acts in: an API key's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) role_name: Option<String>,
    /// That it is of a session; an API key is not.
    #[serde(default)]
    pub(super) temp: bool,
    /// When it was signed, in seconds.
    pub(super) iat: i64,
    /// When it ends, in seconds.
    pub(super) exp: i64,
    /// Its own ID.
    pub(super) jti: Uuid,
    /// The ID of its session, which goes on when it is replaced: the key in `issuedTokens`. This
    /// one is ours.
    #[serde(default)]
    pub(super) sid: Uuid,
    /// When its user signed in, in milliseconds.
    #[serde(default)]
    pub(super) sign_in_time: i64,
    /// When the user's password had last been changed then, in milliseconds. This one is ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) password_changed: Option<i64>,
}

impl Claims {
    /// For a user who signs in now.
    pub(super) fn new(user_id: i64, now: DateTime<Utc>, life: TimeDelta) -> Self {
        let id = Uuid::new_v4();
        Self {
            user_id,
            role_name: None,
            temp: true,
            iat: now.timestamp(),
            exp: ends(now, life),
            jti: id,
            sid: id,
            sign_in_time: now.timestamp_millis(),
            password_changed: None,
        }
    }

    /// For a program that acts for a user in one of its roles.
    pub(super) fn api_key(user_id: i64, role: String, now: DateTime<Utc>, life: TimeDelta) -> Self {
        Self { role_name: Some(role), temp: false, ..Self::new(user_id, now, life) }
    }

    /// For the same session, from now on.
    pub(super) fn renewed(&self, now: DateTime<Utc>, life: TimeDelta) -> Self {
        Self { jti: Uuid::new_v4(), iat: now.timestamp(), exp: ends(now, life), ..self.clone() }
    }

    /// When it ends.
    pub(super) fn expires(&self) -> DateTime<Utc> {
        DateTime::from_timestamp(self.exp, 0).unwrap_or(DateTime::<Utc>::MAX_UTC)
    }
}

fn ends(now: DateTime<Utc>, life: TimeDelta) -> i64 {
    now.timestamp().saturating_add(life.num_seconds())
}

static VALIDATION: LazyLock<Validation> = LazyLock::new(|| {
    // The algorithm is ours to choose, never the token's.
    let mut validation = Validation::new(Algorithm::HS256);
    // Whether it has ended is judged where that has consequences: see `policy.rs`.
    validation.validate_exp = false;
    validation
});

/// Tokens whose signature was found to be good are kept, so many; beyond that all are forgotten and
/// checked again as they come.
const MAX_TOKENS: usize = 1_000;

/// An application's secret, in the forms it is used in.
pub(super) struct Keys {
    signing: EncodingKey,
    checking: DecodingKey,
    /// What good tokens say. They are looked up by a hash that nobody else can make, so that how long
    /// it takes tells nothing of a token.
    good: LazyMap<u64, (Box<str>, Claims)>,
    hasher: RandomState,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keys").finish_non_exhaustive()
    }
}

impl Keys {
    pub(super) fn new(secret: &[u8]) -> Self {
        Self {
            signing: EncodingKey::from_secret(secret),
            checking: DecodingKey::from_secret(secret),
            good: LazyMap::default(),
            hasher: RandomState::new(),
        }
    }

    /// Signs a token.
    pub(super) fn sign(&self, claims: &Claims) -> Result<String, AuthError> {
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), claims, &self.signing)
            .map_err(|_| AuthError::Failed("the token could not be signed"))
    }

    /// What a token says, when it was signed with this secret; it may have ended.
    pub(super) fn check(&self, token: &str) -> Result<Claims, AuthError> {
        let hash = self.hasher.hash_one(token);
        let same = |(known, claims): &(Box<str>, Claims)| (**known == *token).then(|| claims.clone());
        if let Some(claims) = self.good.get(&hash, same).flatten() {
            return Ok(claims);
        }
        let decoded = jsonwebtoken::decode::<Claims>(token, &self.checking, &VALIDATION);
        let claims = decoded.map_err(|_| AuthError::InvalidToken)?.claims;
        if self.good.len() >= MAX_TOKENS {
            self.good.clear();
        }
        self.good.insert(hash, (token.into(), claims.clone()));
        Ok(claims)
    }

    /// A keyed hash of `text`, for `purpose` only: one for another purpose is another.
    pub(super) fn keyed_hash(&self, purpose: &str, text: &str) -> String {
        #[expect(clippy::expect_used, reason = "HMAC takes keys of any length (RFC 2104)")]
        let mut mac = Hmac::<Sha256>::new_from_slice(self.signing.as_bytes()).expect("any key fits");
        mac.update(purpose.as_bytes());
        mac.update(&[0]);
        mac.update(text.as_bytes());
        URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> String {
        URL_SAFE_NO_PAD.encode(text)
    }

    #[test]
    fn what_was_not_signed_here_is_refused() {
        let keys = Keys::new(b"secret");
        let now = Utc::now();
        let claims = Claims::new(7, now, TimeDelta::days(1));
        let good = keys.sign(&claims).unwrap();
        assert_eq!(keys.check(&good).unwrap(), claims);

        let parts: Vec<&str> = good.split('.').collect();
        let forged = serde_json::to_string(&Claims { user_id: 1, ..claims.clone() }).unwrap();
        let body = serde_json::to_string(&claims).unwrap();
        let hs512 = jsonwebtoken::encode(
            &Header::new(Algorithm::HS512),
            &claims,
            &EncodingKey::from_secret(b"secret"),
        );
        let none = json(r#"{"typ":"JWT","alg":"none"}"#);
        let without_end =
            serde_json::json!({"userId": 7, "temp": true, "iat": 1, "jti": claims.jti, "signInTime": 1});
        let endless =
            jsonwebtoken::encode(&Header::default(), &without_end, &EncodingKey::from_secret(b"secret"));
        for (what, token) in [
            ("no token", "not.a.token".to_owned()),
            ("empty", String::new()),
            ("another secret", Keys::new(b"other").sign(&claims).unwrap()),
            ("another user", format!("{}.{}.{}", parts[0], json(&forged), parts[2])),
            ("alg none, no signature", format!("{none}.{}.", json(&body))),
            ("alg none, old signature", format!("{none}.{}.{}", json(&body), parts[2])),
            ("no signature", format!("{}.{}.", parts[0], parts[1])),
            ("another algorithm", hs512.unwrap()),
            ("no end", endless.unwrap()),
        ] {
            assert!(matches!(keys.check(&token), Err(AuthError::InvalidToken)), "{what}");
        }

        let ended = Claims::new(7, now - TimeDelta::days(2), TimeDelta::days(1));
        assert_eq!(keys.check(&keys.sign(&ended).unwrap()).unwrap(), ended, "its end is judged later");
        let of_another = Keys::new(b"other").sign(&ended).unwrap();
        assert!(matches!(keys.check(&of_another), Err(AuthError::InvalidToken)));
    }

    #[test]
    fn a_renewed_token_is_of_the_same_session_and_a_key_of_none() {
        let (start, day) = (Utc::now(), TimeDelta::days(1));
        let first = Claims::new(7, start, day);
        let second = first.renewed(start + day, day);
        assert_eq!((second.sid, second.sign_in_time), (first.sid, first.sign_in_time));
        assert_eq!(second.iat - first.iat, 86_400);
        assert_eq!(second.exp - first.exp, 86_400);
        assert_ne!(second.jti, first.jti);
        let key = Claims::api_key(7, "member".into(), start, TimeDelta::days(365_250));
        assert!(!key.temp && key.role_name.as_deref() == Some("member"));
        assert_eq!(chrono::Datelike::year(&key.expires()), chrono::Datelike::year(&start) + 1000);
    }

    #[test]
    fn a_keyed_hash_is_of_its_purpose_text_and_key() {
        let keys = Keys::new(b"secret");
        let hash = keys.keyed_hash("form", "a");
        assert_eq!(hash, keys.keyed_hash("form", "a"));
        assert_ne!(hash, keys.keyed_hash("form", "b"));
        assert_ne!(hash, keys.keyed_hash("other", "a"));
        assert_ne!(hash, Keys::new(b"other").keyed_hash("form", "a"));
    }
}
