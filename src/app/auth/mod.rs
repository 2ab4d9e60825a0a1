//! Authentication: sign-in, tokens, sessions.
//!
//! `sign_in.rs` signs users in by an authenticator (`authenticator.rs`), throttled by
//! `throttle.rs`; `names.rs` finds the user of a name; `account.rs` changes passwords and signs
//! users up by the rules in `accounts.rs`; `api_keys.rs` authenticates programs. `token.rs` signs
//! and verifies tokens, `policy.rs` judges their age, `renewal.rs` replaces those that have
//! expired, and `session_cache.rs` keeps users, keys and blocked tokens in memory. `ticket.rs` lets
//! an operator sign somebody in, `operator.rs` lets one act without a token, and `disabled.rs` keeps
//! users out. A request with a good token of a known user does not touch the database.

use std::sync::Arc;

use arc_swap::ArcSwap;
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};
use subtle::ConstantTimeEq;
use uuid::Uuid;

use super::cached::Cached;
use super::caches::Caches;
use super::cpu_queue::CpuQueue;
use super::json::object;
use super::settings::SystemSettings;
use super::system::{ISSUED_TOKENS, TOKEN_BLACKLIST};
use crate::data::{DataError, DataSource, Filter, Transaction, run_to_completion};

mod account;
pub(in crate::app) mod accounts;
mod api_keys;
mod authenticator;
pub(in crate::app) mod disabled;
mod error;
mod names;
mod operator;
pub(in crate::app) mod password;
mod policy;
mod renewal;
pub(in crate::app) mod session_cache;
mod sign_in;
mod throttle;
mod ticket;
mod token;
mod user;

pub use account::{default_role, password_changed, remove_traces};
pub use accounts::{AccountRules, take_password};
pub use api_keys::NewApiKey;
pub use authenticator::{AUTH_TYPES, Authenticator, EMAIL_PASSWORD};
pub use error::AuthError;
pub(in crate::app) use names::check_names;
use policy::{TokenPolicy, TokenState};
use renewal::Renewals;
use session_cache::{CachedUser, SessionCache};
pub use sign_in::Credentials;
use throttle::Throttle;
use ticket::Tickets;
use token::Keys;
pub use user::{Session, SignedIn, User};

/// What form tokens are keyed for.
const FORM: &str = "form";

/// An application's sign-in.
#[derive(Debug)]
pub struct Auth {
    source: DataSource,
    keys: ArcSwap<Keys>,
    policy: ArcSwap<TokenPolicy>,
    settings: Arc<Cached<SystemSettings>>,
    sessions: Arc<SessionCache>,
    renewals: Renewals,
    throttle: Throttle,
    tickets: Tickets,
    cpu_queue: CpuQueue,
}

impl Auth {
    /// Opens it, when the application starts.
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
            cpu_queue: CpuQueue::default(),
        })
    }

    /// The queue of the application's CPU-bound work.
    pub(super) fn cpu_queue(&self) -> &CpuQueue {
        &self.cpu_queue
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

    /// Checks a token. One that expired a short while ago is replaced: see [`Session::renewed`].
    pub async fn authenticate(&self, token: &str) -> Result<Arc<Session>, AuthError> {
        self.check(token, true, Utc::now()).await
    }

    /// Checks a token of a stream, which could not be given another one.
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
        let Some(CachedUser { user, password_changed, disabled }) = known else {
            return Err(AuthError::UserGone);
        };
        if disabled {
            return Err(AuthError::Disabled);
        }
        if self.sessions.is_blocked(claims.jti) {
            return Err(AuthError::BlockedToken);
        }
        if !claims.temp {
            return Box::pin(self.check_key(claims, &user, now)).await;
        }
        let policy = **self.policy.load();
        let (claims, renewed) = match policy.judge(&claims, password_changed, now)? {
            TokenState::Good => (claims, None),
            TokenState::Renewable if !may_renew => return Err(AuthError::SkipRenew),
            TokenState::Renewable => {
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
        run_to_completion(async move {
            let (ended, entry, issued) = (&ended, &entry, &issued);
            let work = || {
                async move |transaction: &mut Transaction| {
                    transaction.system().destroy(&TOKEN_BLACKLIST, ended).await?;
                    transaction.system().insert(&TOKEN_BLACKLIST, object(entry.clone())).await?;
                    // Nor can it be replaced by another when it has ended.
                    transaction.system().destroy(&ISSUED_TOKENS, issued).await?;
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
