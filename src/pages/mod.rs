//! The pages of an application, rendered on the server and usable without JavaScript.
//!
//! The gateway passes a request below `<prefix>/admin` to [`handle`], with its application and a
//! [`PageContext`] that says how the visitor reached it. Every page is an askama template that fills the
//! frame in `templates/layout.html` (`frame.rs`); `session.rs` keeps the session cookie, `csrf.rs` refuses forms that another website sent, `redirect.rs` addresses that lead out of the
//! application, and `home.rs`, `applications.rs`, `sign_in.rs` and `password.rs` are the pages with their
//! forms. What a page shows of the host around its application comes through [`HostView`],
//! which the gateway implements, so that this room knows applications and nothing above them.
//!
//! | address | what |
//! |---|---|
//! | `GET /admin/` | the application, and for root of the main application the list of all |
//! | `GET`, `POST /admin/sign-in` | the sign-in form |
//! | `GET /admin/sign-in/ticket/<ticket>` | signs in, once for a ticket |
//! | `POST /admin/sign-out` | ends the session |
//! | `GET`, `POST /admin/password` | changes the password |
//! | `POST /admin/applications/<id>/start`, `stop` | main application, root only |
//! | `GET /assets/<name>` | stylesheet and icon, see [`asset`] |

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use http::{Method, Response};

use crate::app::App;

mod applications;
mod assets;
mod call;
mod csrf;
mod form;
mod frame;
mod home;
mod host_view;
mod listing;
mod password;
mod redirect;
mod response;
mod session;
mod sign_in;

pub use assets::{ASSETS, asset};
use call::PageCall;
pub use call::{PageContext, PageRequest};
pub use host_view::{HostView, ListedApplication, StateChange};
use listing::ButtonAction;
pub use response::{ProblemPage, problem};

/// Answers a request for a page of an application.
pub async fn handle(app: &Arc<App>, view: &PageContext<'_>, request: PageRequest) -> Response<Bytes> {
    let path = request.path.trim_end_matches('/');
    let Some(page) = PageRoute::find(path) else { return response::no_such_page(view.prefix) };
    if !page.allows(&request.method) {
        return response::wrong_method(view.prefix, page.methods());
    }
    let page_call = PageCall { app, view, request: &request, title: app.title(), renewed: OnceLock::new() };
    let mut response = match page {
        PageRoute::Home => home::show(&page_call).await,
        PageRoute::SignIn if request.method == Method::POST => sign_in::submit(&page_call).await,
        PageRoute::SignIn => sign_in::show(&page_call).await,
        PageRoute::Ticket(ticket) => sign_in::redeem(&page_call, ticket).await,
        PageRoute::SignOut => sign_in::sign_out(&page_call).await,
        PageRoute::Password if request.method == Method::POST => password::submit(&page_call).await,
        PageRoute::Password => password::show(&page_call).await,
        PageRoute::Application(id, change) => applications::submit(&page_call, id, change).await,
    };
    session::renew(&mut response, &page_call);
    response
}

/// The page that a path names.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
enum PageRoute<'a> {
    Home,
    SignIn,
    Ticket(&'a str),
    SignOut,
    Password,
    Application(&'a str, ButtonAction),
}

impl<'a> PageRoute<'a> {
    /// The page of `path`, which has no slash at its end.
    fn find(path: &'a str) -> Option<Self> {
        let rest = path.strip_prefix("/admin")?;
        match rest {
            "" => return Some(Self::Home),
            "/sign-in" => return Some(Self::SignIn),
            "/sign-out" => return Some(Self::SignOut),
            "/password" => return Some(Self::Password),
            _ => {}
        }
        if let Some(ticket) = rest.strip_prefix("/sign-in/ticket/") {
            return (!ticket.contains('/')).then_some(Self::Ticket(ticket));
        }
        let (id, action) = rest.strip_prefix("/applications/")?.split_once('/')?;
        ButtonAction::find(action).map(|action| Self::Application(id, action))
    }

    /// The allowed methods, as the `Allow` header lists them.
    fn methods(self) -> &'static str {
        match self {
            Self::Home | Self::Ticket(_) => "GET, HEAD",
            Self::SignIn | Self::Password => "GET, HEAD, POST",
            Self::SignOut | Self::Application(..) => "POST",
        }
    }

    fn allows(self, method: &Method) -> bool {
        self.methods().split(", ").any(|allowed| allowed == method.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_to_pages_and_pages_know_their_methods() {
        let stop = ButtonAction::Stop;
        for (path, page, methods) in [
            ("/admin", Some(PageRoute::Home), "GET, HEAD"),
            ("/admin/sign-in", Some(PageRoute::SignIn), "GET, HEAD, POST"),
            ("/admin/sign-in/ticket/abc", Some(PageRoute::Ticket("abc")), "GET, HEAD"),
            ("/admin/sign-in/ticket/a/b", None, ""),
            ("/admin/sign-out", Some(PageRoute::SignOut), "POST"),
            ("/admin/password", Some(PageRoute::Password), "GET, HEAD, POST"),
            ("/admin/applications/crm/stop", Some(PageRoute::Application("crm", stop)), "POST"),
            ("/admin/applications/crm/drop", None, ""),
            ("/admin/applications/crm", None, ""),
            ("/administrator", None, ""),
            ("/admin/nothing", None, ""),
        ] {
            let found = PageRoute::find(path);
            assert_eq!(found, page, "{path}");
            assert_eq!(found.map_or("", PageRoute::methods), methods, "{path}");
        }
        assert!(PageRoute::Home.allows(&Method::HEAD) && !PageRoute::Home.allows(&Method::POST));
        assert!(!PageRoute::SignOut.allows(&Method::GET), "signing out must not be a link");
    }
}
