//! The start page: the application, and for the root user of the main application the list of all.

use askama::Template;
use bytes::Bytes;
use http::{Response, StatusCode};

use super::call::PageCall;
use super::frame::{Frame, Notice, display_name};
use super::listing::{self, Listing};
use super::response::{page, see_other};
use super::session::CurrentSession;
use super::{session, sign_in};

#[derive(Template)]
#[template(path = "home.html")]
struct HomePage<'a> {
    frame: Frame<'a>,
    id: &'a str,
    state: &'a str,
    engine: &'a str,
    user: &'a str,
    listing: Option<Listing<'a>>,
}

/// `GET /admin/`.
pub(super) async fn show(call: &PageCall<'_>) -> Response<Bytes> {
    let Some(current) = session::current(call).await else {
        return see_other(&to_sign_in(call.view.prefix, &call.request.query));
    };
    let notice = call.query("notice").zip(call.query("application"));
    let notice = notice.and_then(|(word, id)| listing::notice(&word, &id));
    render(call, &current, StatusCode::OK, notice)
}

/// The address of the sign-in page, which leads back to the requested page.
fn to_sign_in(prefix: &str, query: &str) -> String {
    if query.is_empty() {
        return format!("{prefix}/admin/sign-in");
    }
    sign_in::address(prefix, &format!("{prefix}/admin/?{query}"))
}

/// Renders the page for the signed-in user, with a message above it.
pub(super) fn render(
    call: &PageCall<'_>,
    current: &CurrentSession,
    status: StatusCode,
    notice: Option<Notice<'_>>,
) -> Response<Bytes> {
    let id = call.app.name();
    let described = call.view.host_view.describe(id);
    let (state, engine) =
        described.as_ref().map_or(("running", ""), |described| (described.state, &described.engine));
    let user = &current.session.user;
    let (search, number) = (call.query("search").unwrap_or_default(), call.query("page"));
    let manages_all = call.is_main() && current.session.is_root();
    let listing = manages_all.then(|| {
        let number = number.and_then(|number| number.parse().ok()).unwrap_or(1);
        Listing::new(call.view.host_view.list(), &search, number, &current.form_token)
    });
    let frame = Frame::new(&call.title, call.view.prefix, "Overview")
        .signed_in(user, &current.form_token, "/admin/")
        .notice(notice);
    let template = HomePage { frame, id, state, engine, user: &display_name(user), listing };
    page(status, call.view.prefix, &template)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::auth::User;
    use crate::pages::host_view::testing::application;

    fn home(listing: Option<Listing<'_>>) -> String {
        let user = User {
            id: 1,
            nickname: Some("<i>Ada</i>".into()),
            username: None,
            email: None,
            roles: vec!["root".into()],
            default_role: None,
            record: Default::default(),
            derived: Default::default(),
        };
        let frame = Frame::new("CRM & more", "", "Overview").signed_in(&user, "f0rm", "/admin/");
        let name = display_name(&user);
        HomePage { frame, id: "crm", state: "running", engine: "sqlite", user: &name, listing }
            .render()
            .unwrap()
    }

    #[test]
    fn the_application_and_the_user_are_shown_escaped() {
        let text = home(None);
        for part in [
            "CRM &#38; more",
            "<code>crm</code>",
            "state-running",
            "sqlite",
            env!("CARGO_PKG_VERSION"),
            "&#60;i&#62;Ada",
            r#"action="/admin/sign-out""#,
            r#"name="form_token" value="f0rm""#,
            r#"<a href="/admin/" aria-current="page">Overview</a>"#,
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert!(!text.contains("<i>") && !text.contains("Applications"), "{text}");
    }

    #[test]
    fn the_list_has_a_guarded_form_for_each_change() {
        let mut broken = application("hr", "error");
        broken.reason = Some("its <file> is missing".into());
        let applications = vec![application("main", "running"), application("crm", "running"), broken];
        let text = home(Some(Listing::new(applications, "", 1, "t0ken")));
        for part in [
            r#"action="/admin/applications/crm/stop"><input type="hidden" name="form_token" value="t0ken">"#,
            r#"action="/admin/applications/hr/start"><input type="hidden" name="form_token" value="t0ken">"#,
            r#"href="/apps/crm/admin/""#,
            "its &#60;file&#62; is missing",
            "1–3 of 3",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert!(!text.contains("/admin/applications/main/"), "the main application is not stopped from here");
        assert_eq!(text.matches(r#"method="post""#).count(), text.matches(r#"name="form_token""#).count());
    }

    #[test]
    fn an_empty_list_says_what_to_do() {
        let text = home(Some(Listing::new(vec![application("crm", "running")], "<x>", 1, "")));
        assert!(text.contains("contains “&#60;x&#62;”"), "{text}");
        assert!(home(Some(Listing::new(Vec::new(), "", 1, ""))).contains("nbapps create"));
    }

    #[test]
    fn signed_out_one_comes_back_to_what_was_asked_for() {
        assert_eq!(to_sign_in("/apps/crm", ""), "/apps/crm/admin/sign-in");
        assert_eq!(to_sign_in("", "page=2"), "/admin/sign-in?redirect=%2Fadmin%2F%3Fpage%3D2");
    }
}
