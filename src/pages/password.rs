//! The page for changing one's own password.

use askama::Template;
use bytes::Bytes;
use http::{Response, StatusCode};

use super::call::PageCall;
use super::form::Form;
use super::frame::{Frame, Notice};
use super::response::{page, see_other};
use super::session::CurrentSession;
use super::{csrf, session, sign_in};

/// The fewest characters of a new password.
const MIN_LENGTH: usize = 8;

#[derive(Template)]
#[template(path = "password.html")]
struct PasswordPage<'a> {
    frame: Frame<'a>,
    form_token: &'a str,
    shortest: usize,
}

/// `GET /admin/password`.
pub(super) async fn show(call: &PageCall<'_>) -> Response<Bytes> {
    let Some(current) = session::current(call).await else {
        return see_other(&sign_in::address(call.view.prefix, &call.address("/admin/password")));
    };
    form(call, &current, StatusCode::OK, None)
}

fn form(
    call: &PageCall<'_>,
    current: &CurrentSession,
    status: StatusCode,
    notice: Option<Notice<'_>>,
) -> Response<Bytes> {
    let frame = Frame::new(&call.title, call.view.prefix, "Password")
        .signed_in(&current.session.user, &current.form_token, "/admin/password")
        .notice(notice);
    let template = PasswordPage { frame, form_token: &current.form_token, shortest: MIN_LENGTH };
    page(status, call.view.prefix, &template)
}

/// `POST /admin/password`: ends all tokens of the user, so that the sign-in page follows.
pub(super) async fn submit(call: &PageCall<'_>) -> Response<Bytes> {
    let prefix = call.view.prefix;
    let Some(current) = session::current(call).await else {
        return see_other(&sign_in::address(prefix, &call.address("/admin/password")));
    };
    let sent = match Form::read(&call.request.headers, &call.request.body) {
        Ok(sent) => sent,
        Err(error) => return error.into_response(prefix),
    };
    let here = csrf::is_same_origin(&call.request.headers, call.view.https, call.view.host);
    if !here || !call.app.auth().check_form_token(&current.session, sent.field("form_token")) {
        return csrf::refused(prefix);
    }
    let (old, new) = (sent.field("old_password"), sent.field("new_password"));
    if let Some(sentence) = objection(old, new, sent.field("new_password_again")) {
        return form(call, &current, StatusCode::BAD_REQUEST, Some(Notice::bad(sentence)));
    }
    if let Err(error) = call.app.auth().change_password(&current.session, old, new).await {
        if error.status().is_server_error() {
            return super::response::failed(prefix, &error);
        }
        tracing::info!(%error, user = current.session.user.id, "a change of password was refused");
        let notice = Notice::bad(format!("The password was not changed: {error}"));
        return form(call, &current, StatusCode::BAD_REQUEST, Some(notice));
    }
    tracing::info!(user = current.session.user.id, "changed the password on the page");
    let mut response = see_other(&call.address("/admin/sign-in?notice=password-changed"));
    session::end(&mut response, call);
    response
}

/// What is wrong with the form, apart from whether the current password is right.
fn objection(old: &str, new: &str, again: &str) -> Option<&'static str> {
    if old.is_empty() || new.is_empty() {
        Some("Enter the current password and the new one.")
    } else if new != again {
        Some("The two new passwords are not the same.")
    } else if new.chars().count() < MIN_LENGTH {
        Some("The new password is too short: at least 8 characters.")
    } else if new == old {
        Some("The new password is the current one.")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_checked_before_it_is_tried() {
        for (old, new, again, says) in [
            ("", "new password", "new password", "Enter"),
            ("old password", "", "", "Enter"),
            ("old password", "new password", "new passwort", "not the same"),
            ("old password", "short", "short", "too short"),
            ("old password", "old password", "old password", "is the current one"),
        ] {
            assert!(
                objection(old, new, again).is_some_and(|said| said.contains(says)),
                "{old} {new} {again}"
            );
        }
        assert_eq!(objection("old password", "pässwört", "pässwört"), None);
    }

    #[test]
    fn the_form_carries_the_session_token_and_no_password() {
        let frame = Frame::new("CRM", "/apps/crm", "Password");
        let text = PasswordPage { frame, form_token: "t0ken", shortest: MIN_LENGTH }.render().unwrap();
        assert!(text.contains(r#"name="form_token" value="t0ken""#));
        assert!(text.contains(r#"minlength="8""#) && text.contains(r#"action="/apps/crm/admin/password""#));
        for input in text.split("<input").skip(1).filter(|input| input.contains(r#"type="password""#)) {
            assert!(!input.split('>').next().unwrap().contains("value="), "{input}");
        }
    }
}
