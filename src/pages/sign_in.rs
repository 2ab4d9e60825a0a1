//! Signing in and out: the form, sign-in links, and the button in the header.

use askama::Template;
use bytes::Bytes;
use http::header::RETRY_AFTER;
use http::{Method, Response, StatusCode};

use super::call::PageCall;
use super::form::Form;
use super::frame::{Frame, Notice};
use super::response::{ProblemPage, failed, page, problem, see_other};
use super::{csrf, redirect, session};
use crate::app::auth::{AuthError, Credentials};

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignInPage<'a> {
    frame: Frame<'a>,
    account: &'a str,
    redirect: Option<&'a str>,
}

/// The notice that `?notice=` names.
fn notice(word: &str) -> Option<Notice<'static>> {
    match word {
        "signed-out" => Some(Notice::good("You are signed out.")),
        "password-changed" => Some(Notice::good("The password was changed. Sign in with the new one.")),
        _ => None,
    }
}

/// The address of the sign-in page, which leads to `target` afterwards.
pub(super) fn address(prefix: &str, target: &str) -> String {
    let target: String = form_urlencoded::byte_serialize(target.as_bytes()).collect();
    format!("{prefix}/admin/sign-in?redirect={target}")
}

/// `GET /admin/sign-in`: shows the form, or redirects when the user is signed in.
pub(super) async fn show(call: &PageCall<'_>) -> Response<Bytes> {
    let asked = call.query("redirect").unwrap_or_default();
    let redirect = redirect::own_page(call.view.prefix, &asked);
    if session::current(call).await.is_some() {
        return see_other(redirect.unwrap_or(&call.address("/admin/")));
    }
    let notice = call.query("notice").and_then(|word| notice(&word));
    form(call, StatusCode::OK, notice, "", redirect)
}

fn form(
    call: &PageCall<'_>,
    status: StatusCode,
    notice: Option<Notice<'_>>,
    account: &str,
    redirect: Option<&str>,
) -> Response<Bytes> {
    let frame = Frame::new(&call.title, call.view.prefix, "Sign in").notice(notice);
    page(status, call.view.prefix, &SignInPage { frame, account, redirect })
}

/// `POST /admin/sign-in`.
pub(super) async fn submit(call: &PageCall<'_>) -> Response<Bytes> {
    let prefix = call.view.prefix;
    if !csrf::is_same_origin(&call.request.headers, call.view.https, call.view.host) {
        return csrf::refused(prefix);
    }
    let sent = match Form::read(&call.request.headers, &call.request.body) {
        Ok(sent) => sent,
        Err(error) => return error.into_response(prefix),
    };
    let (account, password) = (sent.field("account").trim(), sent.field("password"));
    let redirect = redirect::own_page(prefix, sent.field("redirect"));
    if account.is_empty() || password.is_empty() {
        let notice = Notice::bad("Enter your user name or e-mail address and your password.");
        return form(call, StatusCode::BAD_REQUEST, Some(notice), account, redirect);
    }
    let credentials = Credentials { client: call.request.client, ..Credentials::new(account, password) };
    match call.app.auth().sign_in(&credentials).await {
        Ok(signed_in) => {
            tracing::info!(user = signed_in.user.id, "signed in on the page");
            let mut response = see_other(redirect.unwrap_or(&call.address("/admin/")));
            session::begin(&mut response, call, &signed_in);
            response
        }
        Err(error) if error.status().is_server_error() => failed(prefix, &error),
        Err(error) => {
            tracing::info!(%error, "a sign-in on the page was refused");
            let notice = Notice::bad(format!("You could not be signed in: {error}"));
            let mut response = form(call, error.status(), Some(notice), account, redirect);
            if let AuthError::TooManyAttempts(wait) = error {
                response.headers_mut().insert(RETRY_AFTER, wait.as_secs().max(1).into());
            }
            response
        }
    }
}

/// `POST /admin/sign-out`: revokes the token.
pub(super) async fn sign_out(call: &PageCall<'_>) -> Response<Bytes> {
    let prefix = call.view.prefix;
    // Checked even without a session: a form of another website comes without the cookie (`SameSite`), and
    // the response must not remove it.
    if !csrf::is_same_origin(&call.request.headers, call.view.https, call.view.host) {
        return csrf::refused(prefix);
    }
    if let Some(current) = session::current(call).await {
        let sent = match Form::read(&call.request.headers, &call.request.body) {
            Ok(sent) => sent,
            Err(error) => return error.into_response(prefix),
        };
        if !call.app.auth().check_form_token(&current.session, sent.field("form_token")) {
            return csrf::refused(prefix);
        }
        if let Err(error) = call.app.auth().sign_out(&current.session).await {
            return failed(prefix, &error);
        }
    }
    let mut response = see_other(&call.address("/admin/sign-in?notice=signed-out"));
    session::end(&mut response, call);
    response
}

/// `GET /admin/sign-in/ticket/<ticket>`: signs in with the link that `nbapps visit --sign-in` prints.
///
/// `HEAD` does not use up the ticket: some programs check a link before they open it.
pub(super) async fn redeem(call: &PageCall<'_>, ticket: &str) -> Response<Bytes> {
    if call.request.method == Method::HEAD {
        return see_other(&call.address("/admin/"));
    }
    match call.app.auth().redeem_ticket(ticket).await {
        Ok(signed_in) => {
            tracing::info!(user = signed_in.user.id, "signed in by a link");
            let mut response = see_other(&call.address("/admin/"));
            session::begin(&mut response, call, &signed_in);
            response
        }
        Err(error) if error.status().is_server_error() => failed(call.view.prefix, &error),
        Err(error) => {
            tracing::info!(%error, "a sign-in link was refused");
            used_up(call.view.prefix, call.app.name())
        }
    }
}

fn used_up(prefix: &str, id: &str) -> Response<Bytes> {
    problem(&ProblemPage {
        prefix,
        heading: "This sign-in link is no longer valid",
        message: "A sign-in link is valid once, for a minute.",
        advice: Some("The host's operator gets another one with:"),
        command: Some(&format!("nbapps visit {id} --sign-in")),
        link: Some((&format!("{prefix}/admin/sign-in"), "Sign in with a password")),
        ..ProblemPage::new(StatusCode::GONE)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(account: &str, redirect: Option<&str>, notice: Option<Notice<'_>>) -> String {
        let frame = Frame::new("<script>title</script>", "/apps/crm", "Sign in").notice(notice);
        SignInPage { frame, account, redirect }.render().unwrap()
    }

    #[test]
    fn what_people_typed_is_escaped_and_kept() {
        let text = render("\"><script>x</script>", Some("/apps/crm/admin/?a=1&b=2"), None);
        assert!(!text.contains("<script"), "{text}");
        assert!(text.contains("&#60;script&#62;title"), "{text}");
        assert!(text.contains(r#"value="&#34;&#62;&#60;script"#), "{text}");
        assert!(text.contains(r#"action="/apps/crm/admin/sign-in""#));
        assert!(text.contains(r#"value="/apps/crm/admin/?a=1&#38;b=2""#), "{text}");
    }

    #[test]
    fn every_field_has_its_label_and_the_focus_is_on_the_first_empty_one() {
        let text = render("", None, None);
        for id in ["account", "password"] {
            assert!(
                text.contains(&format!(r#"<label for="{id}">"#)) && text.contains(&format!(r#"id="{id}""#))
            );
        }
        assert_eq!(text.matches("autofocus").count(), 1);
        assert!(!text.contains(r#"name="redirect""#), "none was asked for");
        let text = render("ada", None, Some(Notice::bad("No.")));
        assert!(text.find("autofocus").unwrap() > text.find(r#"id="password""#).unwrap());
        assert!(text.contains(r#"<p class="notice bad" role="alert">No.</p>"#), "{text}");
    }

    #[test]
    fn the_way_back_is_carried_along() {
        assert_eq!(
            address("/apps/crm", "/apps/crm/admin/?page=2&x=ü"),
            "/apps/crm/admin/sign-in?redirect=%2Fapps%2Fcrm%2Fadmin%2F%3Fpage%3D2%26x%3D%C3%BC"
        );
    }

    #[test]
    fn only_known_words_make_a_notice() {
        assert!(notice("signed-out").is_some_and(|notice| notice.good));
        assert!(notice("Your account is locked, call 555").is_none());
    }

    #[test]
    fn a_used_link_says_how_to_get_another() {
        let response = used_up("/apps/crm", "crm");
        assert_eq!(response.status(), 410);
        let text = std::str::from_utf8(response.body()).unwrap();
        assert!(text.contains("nbapps visit crm --sign-in") && text.contains("/apps/crm/admin/sign-in"));
    }
}
