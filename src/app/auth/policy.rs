//! How long tokens and sessions last, by NocoBase's rules (`tokenControlConfig`).
//!
//! A token expires after a while and is replaced, as long as its user returns in time; a session,
//! which starts with a sign-in, ends for good after a longer while.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

use super::error::AuthError;
use super::token::Claims;
use crate::app::system::{TOKEN_CONTROL_CONFIG, TOKEN_POLICY};
use crate::data::{DataError, DataSource, Filter, Query};

/// The longest of all times: a hundred years.
const MAX_DURATION: Duration = Duration::from_secs(100 * 365 * 86_400);

/// How long tokens and sessions last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TokenPolicy {
    /// A token (`tokenExpirationTime`).
    pub(super) token: TimeDelta,
    /// A session (`sessionExpirationTime`).
    pub(super) session: TimeDelta,
    /// How long after its end a token is replaced (`expiredTokenRenewLimit`); zero: as long as the
    /// session lasts.
    pub(super) renewal: TimeDelta,
}

impl Default for TokenPolicy {
    fn default() -> Self {
        Self { token: TimeDelta::days(1), session: TimeDelta::days(7), renewal: TimeDelta::days(1) }
    }
}

/// What is to be done with a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TokenState {
    /// It counts.
    Good,
    /// It has ended, and may be replaced.
    Renewable,
}

impl TokenPolicy {
    /// As an application has it. What cannot be read is as it is by default: nobody is locked out
    /// by a setting.
    pub(super) async fn read(source: &DataSource) -> Result<Self, DataError> {
        let query = Query::filter(Filter::eq("key", TOKEN_POLICY)).fields(&["config"]);
        let found = source.find_one(&TOKEN_CONTROL_CONFIG, query).await?;
        let config = found.as_ref().and_then(|record| record.get("config"));
        Ok(config.and_then(|config| Self::parse(config).ok()).unwrap_or_default())
    }

    /// Reads `{tokenExpirationTime, sessionExpirationTime, expiredTokenRenewLimit}`.
    pub(super) fn parse(config: &Value) -> Result<Self, AuthError> {
        let time = |name: &str, least: TimeDelta| {
            let time = config.get(name).and_then(duration).and_then(|time| TimeDelta::from_std(time).ok());
            time.filter(|time| *time >= least)
                .ok_or_else(|| AuthError::Invalid(format!("{name} must be a time such as \"1d\" or \"2h\"")))
        };
        Ok(Self {
            token: time("tokenExpirationTime", TimeDelta::seconds(1))?,
            session: time("sessionExpirationTime", TimeDelta::seconds(1))?,
            renewal: time("expiredTokenRenewLimit", TimeDelta::zero())?,
        })
    }

    /// What is to be done with a token of a session of a user whose password was changed last then,
    /// in milliseconds. A token counts for the password that was shown for it: whether a clock says
    /// that it was signed before or after a change is no matter.
    pub(super) fn judge(
        &self,
        claims: &Claims,
        password_changed: Option<i64>,
        now: DateTime<Utc>,
    ) -> Result<TokenState, AuthError> {
        let now = now.timestamp_millis();
        let (issued, ends) = (claims.iat.saturating_mul(1000), claims.exp.saturating_mul(1000));
        if now.saturating_sub(claims.sign_in_time) > self.session.num_milliseconds() {
            return Err(AuthError::ExpiredSession);
        }
        if claims.password_changed != password_changed {
            return Err(AuthError::InvalidToken);
        }
        // Also when the setting was shortened after the token was signed.
        let of_age = now.saturating_sub(issued) > self.token.num_milliseconds();
        if ends > now && !of_age {
            return Ok(TokenState::Good);
        }
        let late = now.saturating_sub(ends) > self.renewal.num_milliseconds();
        if late && self.renewal > TimeDelta::zero() {
            return Err(AuthError::ExpiredSession);
        }
        Ok(TokenState::Renewable)
    }
}

/// A time as NocoBase writes it: `"30d"`, `"1.5 hours"`, or a number of milliseconds.
pub(super) fn duration(given: &Value) -> Option<Duration> {
    let milliseconds = match given {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => {
            let text = text.trim();
            let unit = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
            let (number, unit) = text.split_at(unit);
            number.parse::<f64>().ok()? * 1000.0 * seconds(unit.trim())?
        }
        _ => return None,
    };
    let time = Duration::try_from_secs_f64(milliseconds / 1000.0).ok()?;
    (time <= MAX_DURATION).then_some(time)
}

/// The seconds of a unit.
fn seconds(unit: &str) -> Option<f64> {
    Some(match unit.to_ascii_lowercase().as_str() {
        "" | "ms" | "msec" | "msecs" | "millisecond" | "milliseconds" => 0.001,
        "s" | "sec" | "secs" | "second" | "seconds" => 1.0,
        "m" | "min" | "mins" | "minute" | "minutes" => 60.0,
        "h" | "hr" | "hrs" | "hour" | "hours" => 3600.0,
        "d" | "day" | "days" => 86_400.0,
        "w" | "week" | "weeks" => 604_800.0,
        "y" | "yr" | "yrs" | "year" | "years" => 31_557_600.0,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn times_are_read() {
        for (given, seconds) in [
            (json!("1d"), Some(86_400.0)),
            (json!("30 days"), Some(2_592_000.0)),
            (json!("1.5h"), Some(5400.0)),
            (json!("10m"), Some(600.0)),
            (json!("0"), Some(0.0)),
            (json!("90000"), Some(90.0)),
            (json!(90_000), Some(90.0)),
            (json!("1000y"), None),
            (json!("-1d"), None),
            (json!(-1), None),
            (json!("d"), None),
            (json!(""), None),
            (json!("1 fortnight"), None),
            (json!("1.2.3d"), None),
            (json!(true), None),
            (json!(1e300), None),
        ] {
            assert_eq!(duration(&given).map(|time| time.as_secs_f64()), seconds, "{given}");
        }
    }

    #[test]
    fn a_token_counts_then_is_renewed_then_has_ended() {
        let policy = TokenPolicy::default();
        let start = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let claims = Claims::new(1, start, policy.token);
        // The session's second token, of its sixth day.
        let later = Claims { sign_in_time: claims.sign_in_time - 6 * 86_400_000, ..claims.clone() };
        let hours = TimeDelta::hours;
        let shorter = TokenPolicy { token: hours(1), ..policy };
        let unlimited = TokenPolicy { renewal: hours(0), ..policy };
        let changed = Some(start.timestamp_millis() + 1);
        let since = Claims { password_changed: changed, ..claims.clone() };
        let another = Some(start.timestamp_millis() + 2);
        let long_before = Some(start.timestamp_millis() - 1_000_000);
        let in_the_future = Some(start.timestamp_millis() + 86_400_000);
        let after_the_clock = Claims { password_changed: in_the_future, ..claims.clone() };
        for (what, policy, claims, changed, after, expected) in [
            ("new", policy, &claims, None, hours(0), Ok(TokenState::Good)),
            ("within its time", policy, &claims, None, hours(23), Ok(TokenState::Good)),
            ("ended", policy, &claims, None, hours(24), Ok(TokenState::Renewable)),
            ("at the limit", policy, &claims, None, hours(48), Ok(TokenState::Renewable)),
            ("too late", policy, &claims, None, hours(49), Err("EXPIRED_SESSION")),
            ("of age by a shorter setting", shorter, &claims, None, hours(2), Ok(TokenState::Renewable)),
            ("no limit", unlimited, &claims, None, hours(6 * 24), Ok(TokenState::Renewable)),
            ("no limit, but the session's", unlimited, &claims, None, hours(8 * 24), Err("EXPIRED_SESSION")),
            ("the session's last day", policy, &later, None, hours(23), Ok(TokenState::Good)),
            ("the session has ended", policy, &later, None, hours(25), Err("EXPIRED_SESSION")),
            ("another password since", policy, &claims, changed, hours(1), Err("INVALID_TOKEN")),
            ("another password, and ended", policy, &claims, changed, hours(25), Err("INVALID_TOKEN")),
            ("for the password of now", policy, &since, changed, hours(0), Ok(TokenState::Good)),
            ("for one of before", policy, &since, another, hours(0), Err("INVALID_TOKEN")),
            ("changed by a clock behind", policy, &claims, long_before, hours(0), Err("INVALID_TOKEN")),
            ("by a clock ahead", policy, &after_the_clock, in_the_future, hours(0), Ok(TokenState::Good)),
        ] {
            let judged = policy.judge(claims, changed, start + after);
            let judged = judged.map_err(|error| error.code().unwrap_or_default());
            assert_eq!(judged, expected, "{what}");
        }
    }

    #[test]
    fn a_policy_of_no_time_is_refused() {
        let config = |token: &str, session: &str, renewal: &str| {
            json!({"tokenExpirationTime": token, "sessionExpirationTime": session,
                "expiredTokenRenewLimit": renewal})
        };
        assert_eq!(TokenPolicy::parse(&config("1d", "7d", "1d")).unwrap(), TokenPolicy::default());
        assert!(TokenPolicy::parse(&config("1d", "7d", "0")).is_ok());
        for wrong in [config("0", "7d", "1d"), config("1d", "x", "1d"), config("1d", "7d", "-1"), json!({})] {
            assert!(TokenPolicy::parse(&wrong).is_err(), "{wrong}");
        }
    }
}
