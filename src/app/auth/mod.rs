//! Who is asking: sign-in, tokens, sessions.
//!
//! `sign_in.rs` lets people in, as an authenticator of the application allows (`authenticator.rs`)
//! and no faster than `throttle.rs` lets anybody guess; `names.rs` finds whose name is meant; `account.rs` changes passwords and signs
//! people up by the rules in `accounts.rs`; `api_keys.rs` lets programs in. `token.rs` signs and
//! checks, `policy.rs` judges how long that counts, `renewal.rs` replaces what has ended, and
//! `session_cache.rs` remembers users, keys and ended tokens. `ticket.rs` lets an operator sign somebody
//! in. A request with a good token of a known user is let in without asking the database.

use std::sync::{Arc, OnceLock};

use arc_swap::{ArcSwap, ArcSwapOption};
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};
use subtle::ConstantTimeEq;
use uuid::Uuid;

use super::acl::Remembered;
use super::cached::Cached;
use super::caches::Caches;
use super::heavy::Line;
use super::settings::Settings;
use super::system::{ISSUED_TOKENS, TOKEN_BLACKLIST};
use crate::data::{
    Collection, DataError, DataSource, Field, FieldType, Filter, Record, Transaction, to_its_end,
};

mod account;
mod accounts;
mod api_keys;
mod authenticator;
mod error;
mod names;
pub(in crate::app) mod password;
mod policy;
mod renewal;
mod session_cache;
mod sign_in;
mod throttle;
mod ticket;
mod token;

pub use account::{default_role, password_changed, remove_traces};
pub use accounts::{AccountRules, take_password};
pub use api_keys::NewApiKey;
pub use authenticator::{AUTH_TYPES, Authenticator, EMAIL_PASSWORD};
pub use error::AuthError;
pub(in crate::app) use names::check_names;
use policy::{Standing, TokenPolicy};
use renewal::Renewals;
use session_cache::Known;
pub(in crate::app) use session_cache::SessionCache;
pub use sign_in::Credentials;
use throttle::Throttle;
use ticket::Tickets;
use token::Keys;

/// What form tokens are keyed for.
const FORM: &str = "form";

/// A user as a request sees it.
#[derive(Debug)]
pub struct User {
    /// The key.
    pub id: i64,
    /// The name shown, where there is one; see [`User::name`].
    pub nickname: Option<String>,
    /// User name.
    pub username: Option<String>,
    /// E-mail address.
    pub email: Option<String>,
    /// Names of its roles.
    pub roles: Vec<String>,
    /// The role that it begins with, where one is marked.
    pub default_role: Option<String>,
    /// All of it that may be shown.
    pub record: Record,
    /// What is made of it as it is asked for.
    pub(crate) derived: Derived,
}

/// What is made of a user, and kept as long as the user is as it was.
#[derive(Default)]
pub(crate) struct Derived {
    variables: OnceLock<Record>,
    remembered: Remembered,
    through_key: ArcSwapOption<User>,
}

impl std::fmt::Debug for Derived {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Derived").finish_non_exhaustive()
    }
}

impl User {
    /// The name that people are shown: nickname, user name or e-mail address.
    #[must_use]
    pub fn name(&self) -> &str {
        [&self.nickname, &self.username, &self.email]
            .into_iter()
            .filter_map(Option::as_deref)
            .find(|name| !name.is_empty())
            .unwrap_or("?")
    }

    /// What filters mean by `{{ $user.… }}`: the user, with its roles.
    #[must_use]
    pub fn variables(&self) -> &Record {
        self.derived.variables.get_or_init(|| {
            let mut variables = self.record.clone();
            let roles = self.roles.iter().map(|name| json!({"name": name}));
            variables.insert("roles".to_owned(), roles.collect());
            variables
        })
    }

    /// Whether [`Self::variables`] have something at a path; of documents it is not known before they
    /// are read.
    #[must_use]
    pub fn has_variable(users: &Collection, path: &[&str]) -> bool {
        let is_document = |field: &Field| matches!(field.kind(), FieldType::Json);
        match path {
            [] | ["roles"] | ["roles", "name"] => true,
            [first, rest @ ..] => users
                .get(first)
                .is_some_and(|field| !field.is_hidden() && (rest.is_empty() || is_document(field))),
        }
    }

    /// What its roles open to it, as far as that is known.
    pub(in crate::app) fn remembered(&self) -> &Remembered {
        &self.derived.remembered
    }

    /// The same with this role and no other, remembered for the role that was asked for last.
    fn in_role(&self, role: &str) -> Arc<Self> {
        if let Some(known) = self.derived.through_key.load_full().filter(|known| known.roles == [role]) {
            return known;
        }
        let user = Arc::new(Self {
            id: self.id,
            nickname: self.nickname.clone(),
            username: self.username.clone(),
            email: self.email.clone(),
            roles: vec![role.to_owned()],
            default_role: self.default_role.clone(),
            record: self.record.clone(),
            derived: Derived::default(),
        });
        self.derived.through_key.store(Some(Arc::clone(&user)));
        user
    }

    /// Whether it has a role.
    #[must_use]
    pub fn has_role(&self, role: &str) -> bool {
        self.roles.iter().any(|own| own == role)
    }
}

/// A token that was checked, and whose it is.
#[derive(Debug, Clone)]
pub struct Session {
    /// The user.
    pub user: Arc<User>,
    /// The token's own ID (`jti`).
    pub token_id: String,
    /// When the token ends.
    pub expires: DateTime<Utc>,
    /// The token that replaces the one that was checked, because that one has ended. Whoever sent
    /// it must be told: it is taken for a few seconds more, and then refused.
    pub renewed: Option<SignedIn>,
    /// That it is an API key, and the role it acts in; the user has no other then.
    pub key_role: Option<String>,
}

impl Session {
    /// Whether the user has the role `root`.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.user.has_role("root")
    }
}

/// Signed in: whose, and the token.
#[derive(Clone)]
pub struct SignedIn {
    /// The user.
    pub user: Arc<User>,
    /// The JWT.
    pub token: String,
    /// When it expires.
    pub expires: DateTime<Utc>,
}

impl std::fmt::Debug for SignedIn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Whoever has the token is the user: it belongs in no log.
        f.debug_struct("SignedIn").field("user", &self.user).finish_non_exhaustive()
    }
}

/// An application's sign-in.
#[derive(Debug)]
pub struct Auth {
    source: DataSource,
    keys: ArcSwap<Keys>,
    policy: ArcSwap<TokenPolicy>,
    settings: Arc<Cached<Settings>>,
    sessions: Arc<SessionCache>,
    renewals: Renewals,
    throttle: Throttle,
    tickets: Tickets,
    heavy: Line,
}

impl Auth {
    /// Of an application that starts.
    pub(super) async fn open(source: DataSource, secret: &[u8], caches: &Caches) -> Result<Self, DataError> {
        let sessions = Arc::clone(&caches.sessions);
        sessions.load_blocked(&source, Utc::now()).await?;
        let policy = ArcSwap::from_pointee(TokenPolicy::read(&source).await?);
        Ok(Self {
            source,
            keys: ArcSwap::from_pointee(Keys::new(secret)),
            policy,
            settings: Arc::clone(&caches.settings),
            sessions,
            renewals: Renewals::default(),
            throttle: Throttle::default(),
            tickets: Tickets::default(),
            heavy: Line::default(),
        })
    }

    /// Where the application's heavy work waits.
    pub(super) fn heavy(&self) -> &Line {
        &self.heavy
    }

    /// Forgets what was read of users, keys and the token policy, to read it again.
    pub(super) async fn reload(&self) -> Result<(), DataError> {
        self.sessions.forget_all();
        self.policy.store(Arc::new(TokenPolicy::read(&self.source).await?));
        Ok(())
    }

    /// What the settings say of accounts.
    #[must_use]
    pub fn rules(&self) -> AccountRules {
        self.settings.last().map_or_else(AccountRules::default, |settings| settings.rules)
    }

    /// Whether a value of `tokenControlConfig` is one.
    pub fn check_token_policy(config: &Value) -> Result<(), AuthError> {
        TokenPolicy::parse(config).map(drop)
    }

    /// Takes another secret: every token and form token signed before is refused from now on.
    pub fn replace_secret(&self, secret: &[u8]) {
        self.keys.store(Arc::new(Keys::new(secret)));
    }

    /// Checks a token. One that has ended a short while ago is replaced: see [`Session::renewed`].
    pub async fn authenticate(&self, token: &str) -> Result<Arc<Session>, AuthError> {
        self.check(token, true, Utc::now()).await
    }

    /// Checks a token, of a request that could not be given another one: a stream.
    pub async fn authenticate_stream(&self, token: &str) -> Result<Arc<Session>, AuthError> {
        self.check(token, false, Utc::now()).await
    }

    async fn check(
        &self,
        token: &str,
        may_renew: bool,
        now: DateTime<Utc>,
    ) -> Result<Arc<Session>, AuthError> {
        if token.is_empty() {
            return Err(AuthError::EmptyToken);
        }
        let claims = self.keys.load().check(token)?;
        let known = self.sessions.user(&self.source, claims.user_id).await?;
        let Some(Known { user, password_changed }) = known else { return Err(AuthError::UserGone) };
        if self.sessions.is_blocked(claims.jti) {
            return Err(AuthError::BlockedToken);
        }
        if !claims.temp {
            return Box::pin(self.check_key(claims, &user, now)).await;
        }
        let policy = **self.policy.load();
        let (claims, renewed) = match policy.judge(&claims, password_changed, now)? {
            Standing::Good => (claims, None),
            Standing::Renewable if !may_renew => return Err(AuthError::SkipRenew),
            Standing::Renewable => {
                let new = Box::pin(self.renewals.renew(&self.source, &claims, policy.token, now)).await?;
                // Signed out meanwhile.
                if self.sessions.is_blocked(new.jti) {
                    return Err(AuthError::BlockedToken);
                }
                let token = self.keys.load().sign(&new)?;
                let renewed = SignedIn { user: Arc::clone(&user), token, expires: new.expires() };
                (new, Some(renewed))
            }
        };
        let (token_id, expires) = (claims.jti.to_string(), claims.expires());
        Ok(Arc::new(Session { user, token_id, expires, renewed, key_role: None }))
    }

    /// Ends a session: its token is refused from now on, also after a restart.
    pub async fn sign_out(&self, session: &Session) -> Result<(), AuthError> {
        let token = Uuid::try_parse(&session.token_id).map_err(|_| AuthError::InvalidToken)?;
        let now = Utc::now();
        let entry = json!({
            "token": session.token_id,
            "expiration": session.expires.to_rfc3339_opts(SecondsFormat::Millis, true),
        });
        let ended = Filter::less("expiration", now.to_rfc3339());
        let issued = Filter::eq("jti", session.token_id.as_str());
        // First here: should the database fail, the token is refused until a restart at least.
        self.sessions.forget_ended(now);
        self.sessions.block(token, session.expires.timestamp());
        let source = self.source.clone();
        to_its_end(async move {
            let (ended, entry, issued) = (&ended, &entry, &issued);
            let work = || {
                async move |transaction: &mut Transaction| {
                    transaction.destroy(&TOKEN_BLACKLIST, ended).await?;
                    transaction.insert(&TOKEN_BLACKLIST, object(entry.clone())).await?;
                    // Nor can it be replaced by another when it has ended.
                    transaction.destroy(&ISSUED_TOKENS, issued).await?;
                    Ok::<_, AuthError>(())
                }
            };
            source.transact(work).await
        })
        .await
    }

    /// A form token bound to this session: keyed hash of `token_id` under the JWT secret.
    #[must_use]
    pub fn form_token(&self, session: &Session) -> String {
        self.keys.load().keyed_hash(FORM, &session.token_id)
    }

    /// Whether a form token is this session's, compared in constant time.
    #[must_use]
    pub fn check_form_token(&self, session: &Session, given: &str) -> bool {
        self.form_token(session).as_bytes().ct_eq(given.as_bytes()).into()
    }
}

fn object(value: Value) -> Record {
    match value {
        Value::Object(record) => record,
        _ => Record::new(),
    }
}

#[cfg(test)]
impl Auth {
    /// Forgets users and API keys, as if they had been changed.
    pub(in crate::app) fn forget_users(&self) {
        self.sessions.forget_all();
    }

    /// A token as if it had been signed so long before.
    pub(in crate::app) fn aged(&self, token: &str, by: chrono::TimeDelta) -> String {
        let mut claims = self.keys.load().check(token).unwrap();
        claims.iat -= by.num_seconds();
        claims.exp -= by.num_seconds();
        self.keys.load().sign(&claims).unwrap()
    }
}

#[cfg(test)]
mod tests;
