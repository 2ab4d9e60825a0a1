//! Replaces expired tokens.
//!
//! A session has one token at a time, which `issuedTokens` names. If several requests come with the
//! same expired token, as from a browser, one replaces it and the others are given the same new one
//! for a short while. After that the old token is refused.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use parking_lot::Mutex;
use serde_json::json;
use tokio::sync::OnceCell;
use uuid::Uuid;

use super::error::AuthError;
use super::token::Claims;
use crate::app::json::object;
use crate::app::system::ISSUED_TOKENS;
use crate::data::{DataSource, Filter, run_to_completion};

/// How long an ended token is still taken for the one that replaced it.
const OVERLAP: Duration = Duration::from_secs(10);

/// The tokens that were replaced a moment ago, by their IDs.
#[derive(Debug, Default)]
pub(super) struct Renewals {
    recent: Mutex<HashMap<Uuid, Recent>>,
}

#[derive(Debug)]
struct Recent {
    since: Instant,
    new: Arc<OnceCell<Claims>>,
}

impl Renewals {
    /// The token that replaces `old`.
    pub(super) async fn renew(
        &self,
        source: &DataSource,
        old: &Claims,
        life: TimeDelta,
        now: DateTime<Utc>,
    ) -> Result<Claims, AuthError> {
        let cell = self.cell(old.jti, Instant::now());
        let (source, old) = (source.clone(), old.clone());
        // To its end, also when the client hangs up: the next request needs what was written.
        run_to_completion(
            async move { cell.get_or_try_init(|| replace(&source, &old, life, now)).await.cloned() },
        )
        .await
    }

    fn cell(&self, old: Uuid, now: Instant) -> Arc<OnceCell<Claims>> {
        let mut recent = self.recent.lock();
        recent.retain(|_, renewal| now.duration_since(renewal.since) < OVERLAP);
        let new = || Recent { since: now, new: Arc::default() };
        Arc::clone(&recent.entry(old).or_insert_with(new).new)
    }
}

/// Gives the session another token, if `old` is the one it has.
async fn replace(
    source: &DataSource,
    old: &Claims,
    life: TimeDelta,
    now: DateTime<Utc>,
) -> Result<Claims, AuthError> {
    let new = old.renewed(now, life);
    let session = Filter::And(vec![
        Filter::eq("id", old.sid.to_string()),
        Filter::eq("jti", old.jti.to_string()),
        Filter::eq("userId", old.user_id),
    ]);
    let changes = json!({"jti": new.jti, "issuedTime": now.timestamp_millis()});
    match source.system().update(&ISSUED_TOKENS, &session, object(changes)).await? {
        0 => Err(AuthError::RenewFailed),
        _ => Ok(new),
    }
}
