//! The session cookie of the pages, named and scoped by application, which holds the user's token.
//!
//! Only the pages read the cookie. The API reads the `Authorization` header, so that no other website can
//! make a browser call it.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use http::header::{COOKIE, HeaderValue, SET_COOKIE};
use http::{HeaderMap, Response};

use super::call::{PageCall, PageContext};
use crate::app::auth::{Session, SignedIn};

/// The session of a signed-in user, with the token for its forms.
pub(super) struct CurrentSession {
    pub(super) session: Arc<Session>,
    pub(super) form_token: String,
}

/// The most cookies of one name that are tried: an expired session may have left one below another path.
const MAX_COOKIES: usize = 3;

/// The session of the request's cookie, if it is valid.
pub(super) async fn current(call: &PageCall<'_>) -> Option<CurrentSession> {
    let name = cookie_name(call.app.name());
    for token in cookies(&call.request.headers, &name).take(MAX_COOKIES) {
        match call.app.auth().authenticate(token).await {
            Ok(session) => {
                if let Some(renewed) = &session.renewed {
                    call.renewed.get_or_init(|| renewed.clone());
                }
                let form_token = call.app.auth().form_token(&session);
                return Some(CurrentSession { session, form_token });
            }
            Err(error) => tracing::debug!(%error, "the session cookie is no longer valid"),
        }
    }
    None
}

/// Adds the cookie of a new session.
pub(super) fn begin<B>(response: &mut Response<B>, call: &PageCall<'_>, signed_in: &SignedIn) {
    let name = cookie_name(call.app.name());
    set(response, &begin_cookie(&name, &signed_in.token, signed_in.expires, Utc::now(), call.view));
}

/// Adds the cookie of a session whose token was replaced, unless the response sets a cookie already.
pub(super) fn renew<B>(response: &mut Response<B>, call: &PageCall<'_>) {
    if let Some(renewed) = call.renewed.get().filter(|_| !response.headers().contains_key(SET_COOKIE)) {
        begin(response, call, renewed);
    }
}

/// Removes the cookie.
pub(super) fn end<B>(response: &mut Response<B>, call: &PageCall<'_>) {
    set(response, &end_cookie(&cookie_name(call.app.name()), call.view));
}

fn set<B>(response: &mut Response<B>, cookie: &str) {
    // Tokens and IDs have no characters that a header cannot hold, so this does not fail.
    if let Ok(value) = HeaderValue::from_str(cookie) {
        response.headers_mut().append(SET_COOKIE, value);
    }
}

fn cookie_name(id: &str) -> String {
    format!("nbapps_{id}")
}

fn begin_cookie(
    name: &str,
    token: &str,
    expires: DateTime<Utc>,
    now: DateTime<Utc>,
    view: &PageContext<'_>,
) -> String {
    let seconds = (expires - now).num_seconds().max(0);
    format!("{name}={token}; Max-Age={seconds}{}", attributes(view))
}

fn end_cookie(name: &str, view: &PageContext<'_>) -> String {
    format!("{name}=; Max-Age=0{}", attributes(view))
}

/// With `SameSite=Lax`, browsers send the cookie with links from other websites, but not with their forms.
fn attributes(view: &PageContext<'_>) -> String {
    let secure = if view.https { "; Secure" } else { "" };
    format!("; Path={}; HttpOnly; SameSite=Lax{secure}", view.cookie_path())
}

/// The values of the cookies of a name, those with longer paths first (RFC 6265, 5.4).
fn cookies<'a>(headers: &'a HeaderMap, name: &'a str) -> impl Iterator<Item = &'a str> {
    headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(move |(key, value)| *key == name && !value.is_empty())
        .map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::super::host_view::testing::NoApplications;
    use super::*;
    use chrono::TimeDelta;

    fn view(prefix: &str, at_home: bool, https: bool) -> PageContext<'_> {
        PageContext { prefix, at_home, https, host: None, host_view: &NoApplications }
    }

    #[test]
    fn a_cookie_is_scoped_and_lives_as_long_as_its_token() {
        let now = Utc::now();
        let later = now + TimeDelta::minutes(10);
        assert_eq!(
            begin_cookie("nbapps_crm", "a.b.c", later, now, &view("/apps/crm", false, true)),
            "nbapps_crm=a.b.c; Max-Age=600; Path=/apps/crm/; HttpOnly; SameSite=Lax; Secure"
        );
        assert_eq!(
            begin_cookie("nbapps_main", "a.b.c", now - TimeDelta::hours(1), now, &view("", false, false)),
            "nbapps_main=a.b.c; Max-Age=0; Path=/admin; HttpOnly; SameSite=Lax"
        );
        assert_eq!(
            end_cookie("nbapps_crm", &view("", true, false)),
            "nbapps_crm=; Max-Age=0; Path=/; HttpOnly; SameSite=Lax"
        );
    }

    #[test]
    fn each_application_finds_its_own_cookie() {
        let mut headers = HeaderMap::new();
        headers.append(COOKIE, HeaderValue::from_static("nbapps_crm=one; other=x;nbapps_hr=two"));
        headers.append(COOKIE, HeaderValue::from_static("nbapps_crm=three; nbapps_empty="));
        for (name, values) in [
            ("nbapps_crm", &["one", "three"][..]),
            ("nbapps_hr", &["two"]),
            ("nbapps_main", &[]),
            ("nbapps_empty", &[]),
            ("nbapps_", &[]),
        ] {
            assert_eq!(cookies(&headers, name).collect::<Vec<_>>(), values, "{name}");
        }
    }
}
