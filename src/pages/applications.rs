//! Handles the buttons of the list of applications.

use bytes::Bytes;
use http::{Response, StatusCode};

use super::call::PageCall;
use super::form::Form;
use super::frame::Notice;
use super::listing::ButtonAction;
use super::response::{ProblemPage, no_such_page, problem, see_other};
use super::{csrf, home, session, sign_in};

/// `POST /admin/applications/<id>/start` and `stop`, for the root user of the main application.
pub(super) async fn submit(call: &PageCall<'_>, id: &str, action: ButtonAction) -> Response<Bytes> {
    let prefix = call.view.prefix;
    if !call.is_main() {
        return no_such_page(prefix);
    }
    let Some(current) = session::current(call).await else {
        return see_other(&sign_in::address(prefix, &call.address("/admin/")));
    };
    let sent = match Form::read(&call.request.headers, &call.request.body) {
        Ok(sent) => sent,
        Err(error) => return error.into_response(prefix),
    };
    let is_ours = csrf::is_same_origin(&call.request.headers, call.view.https, call.view.host);
    if !is_ours || !call.app.auth().check_form_token(&current.session, sent.field("form_token")) {
        return csrf::refused(prefix);
    }
    if !current.session.is_root() {
        return not_root(prefix);
    }
    let host = call.view.host_view;
    let changed = match action {
        ButtonAction::Start => host.start(id).await,
        ButtonAction::Stop => host.stop(id).await,
    };
    tracing::info!(application = id, ?action, ?changed, user = current.session.user.id, "button on the page");
    match changed {
        Ok(()) => see_other(
            &call.address(&format!("/admin/?notice={}&application={id}#applications", action.done())),
        ),
        Err(sentence) => home::render(call, &current, StatusCode::CONFLICT, Some(Notice::bad(sentence))),
    }
}

fn not_root(prefix: &str) -> Response<Bytes> {
    problem(&ProblemPage {
        prefix,
        heading: "Not allowed",
        message: "Only users with the role root in the main application can start and stop applications.",
        link: Some((&format!("{prefix}/admin/"), "Go to the start page")),
        ..ProblemPage::new(StatusCode::FORBIDDEN)
    })
}
