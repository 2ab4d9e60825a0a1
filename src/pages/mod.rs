//! What a browser sees of an application: pages made on the server, usable without JavaScript.
//!
//! The gateway hands a request below `<prefix>/admin` to [`handle`], with the application it is for
//! and a [`PageContext`] that says how the visitor reached it. Every page is an askama template that
//! fills the frame in `templates/layout.html` (`frame.rs`); `session.rs` keeps who is signed in,
//! `guard.rs` refuses forms that another website sent, and each other file is one page with its
//! form. What a page must know of the host around its application comes through [`Directory`],
//! which the gateway implements, so that this room knows applications and nothing above them.
//!
//! | address | what |
//! |---|---|
//! | `GET /admin/` | the application, and for root of the main application the list of all |
//! | `GET`, `POST /admin/sign-in` | the sign-in form |
//! | `GET /admin/sign-in/ticket/<ticket>` | signs in by a link that works once |
//! | `POST /admin/sign-out` | ends the session |
//! | `GET`, `POST /admin/password` | changes the password |
//! | `POST /admin/applications/<id>/start`, `stop` | main application, root only |
//! | `GET /assets/<name>` | stylesheet and icon, see [`asset`] |

use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use http::{HeaderMap, Method, Response, StatusCode};

use crate::app::App;
use crate::app::auth::SignedIn;

mod answer;
mod applications;
mod assets;
mod form;
mod frame;
mod guard;
mod home;
mod password;
mod session;
mod sign_in;

pub use answer::{Problem, problem};
pub use assets::{ASSETS, asset};

/// What a page is asked for.
#[derive(Debug)]
pub struct PageRequest {
    /// The HTTP method; `HEAD` stays `HEAD`, so that it changes nothing.
    pub method: Method,
    /// The path below the prefix, as it was sent: `/admin/sign-in`.
    pub path: String,
    /// The query string, raw; empty when there is none.
    pub query: String,
    /// The headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
    /// The visitor's address, where it is known.
    pub client: Option<IpAddr>,
}

/// How the visitor reached the application.
pub struct PageContext<'a> {
    /// What stands before `/admin` in every address: `/apps/<id>`, or nothing.
    pub prefix: &'a str,
    /// Whether the host that was asked for has this application's pages below `/admin` too, also
    /// where the request went below `/apps/<id>`.
    pub at_home: bool,
    /// Whether the request came by HTTPS, as far as a trusted proxy says so.
    pub https: bool,
    /// The host and port that the browser asked for.
    pub host: Option<&'a str>,
    /// The host around the application.
    pub directory: &'a dyn Directory,
}

impl PageContext<'_> {
    /// The path that cookies are limited to, so that they reach no other application's pages.
    fn cookie_path(&self) -> String {
        match (self.prefix, self.at_home) {
            (_, true) => "/".to_owned(),
            ("", false) => "/admin".to_owned(),
            (prefix, false) => format!("{prefix}/"),
        }
    }
}

/// The applications of this host, as far as pages show them.
pub trait Directory: Send + Sync {
    /// All of them, by ID, the main one first.
    fn list(&self) -> Vec<Entry>;
    /// One of them.
    fn describe(&self, id: &str) -> Option<Entry>;
    /// Starts one and waits until it runs. The error is a sentence for the operator.
    fn start<'a>(&'a self, id: &'a str) -> Change<'a>;
    /// Stops one and waits until it has stopped. The error is a sentence for the operator.
    fn stop<'a>(&'a self, id: &'a str) -> Change<'a>;
}

/// A change of an application's state under way.
pub type Change<'a> = Pin<Box<dyn Future<Output = Result<(), String>> + Send + 'a>>;

/// An application in the [`Directory`].
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its ID.
    pub id: String,
    /// The name that people read.
    pub name: String,
    /// Where it stands, in the word of the wire: `running`, `stopped`.
    pub state: &'static str,
    /// Why it is in `error`.
    pub reason: Option<String>,
    /// When it starts by itself: `on-visit`, `with-main`.
    pub start_mode: &'static str,
    /// The engine of its main data source.
    pub engine: String,
    /// Whether starting it makes sense now.
    pub can_start: bool,
    /// Whether stopping it makes sense now.
    pub can_stop: bool,
    /// Whether a visit would be answered by it.
    pub can_visit: bool,
}

/// The ID of the application whose root looks after the others.
const MAIN: &str = "main";

/// Answers a request for one of an application's pages.
pub async fn handle(app: &Arc<App>, view: &PageContext<'_>, request: PageRequest) -> Response<Bytes> {
    let path = request.path.trim_end_matches('/');
    let Some(page) = Page::find(path) else { return answer::no_such_page(view.prefix) };
    if !page.allows(&request.method) {
        return answer::wrong_method(view.prefix, page.methods());
    }
    let page_call = PageCall { app, view, request: &request, title: app.title(), renewed: OnceLock::new() };
    let mut response = match page {
        Page::Home => home::show(&page_call).await,
        Page::SignIn if request.method == Method::POST => sign_in::submit(&page_call).await,
        Page::SignIn => sign_in::show(&page_call).await,
        Page::Ticket(ticket) => sign_in::redeem(&page_call, ticket).await,
        Page::SignOut => sign_in::sign_out(&page_call).await,
        Page::Password if request.method == Method::POST => password::submit(&page_call).await,
        Page::Password => password::show(&page_call).await,
        Page::Application(id, change) => applications::submit(&page_call, id, change).await,
    };
    session::renew(&mut response, &page_call);
    response
}

/// One call of one page: what all pages need at hand.
struct PageCall<'a> {
    app: &'a Arc<App>,
    view: &'a PageContext<'a>,
    request: &'a PageRequest,
    /// The application's title.
    title: Arc<str>,
    /// The session's new token, where the one in the cookie has ended.
    renewed: OnceLock<SignedIn>,
}

impl PageCall<'_> {
    /// An address below the prefix.
    fn address(&self, path: &str) -> String {
        format!("{}{path}", self.view.prefix)
    }

    /// Whether this is the application whose root looks after the others.
    fn is_main(&self) -> bool {
        self.app.name() == MAIN
    }

    /// A value of the query string; the first of that name.
    fn query(&self, name: &str) -> Option<String> {
        form_urlencoded::parse(self.request.query.as_bytes())
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.into_owned())
    }
}

/// Which page a path means.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
enum Page<'a> {
    Home,
    SignIn,
    Ticket(&'a str),
    SignOut,
    Password,
    Application(&'a str, applications::Action),
}

impl<'a> Page<'a> {
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
        applications::Action::find(action).map(|action| Self::Application(id, action))
    }

    /// The methods it answers, as the `Allow` header lists them.
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

/// Logs why a page could not be made and answers without details.
fn failed(prefix: &str, error: &dyn std::error::Error) -> Response<Bytes> {
    tracing::error!(error = %error, "a page could not be made");
    answer::problem(&Problem {
        prefix,
        heading: "Something went wrong",
        message: "The page could not be made. The host's log says why.",
        ..Problem::new(StatusCode::INTERNAL_SERVER_ERROR)
    })
}

/// What the tests of several pages need.
#[cfg(test)]
mod testing {
    use super::{Change, Directory, Entry};

    /// A host without applications.
    pub(super) struct Nobody;

    impl Directory for Nobody {
        fn list(&self) -> Vec<Entry> {
            Vec::new()
        }
        fn describe(&self, _id: &str) -> Option<Entry> {
            None
        }
        fn start<'a>(&'a self, _id: &'a str) -> Change<'a> {
            Box::pin(async { Ok(()) })
        }
        fn stop<'a>(&'a self, _id: &'a str) -> Change<'a> {
            Box::pin(async { Ok(()) })
        }
    }

    /// An application in a state.
    pub(super) fn entry(id: &str, state: &'static str) -> Entry {
        let main = id == super::MAIN;
        Entry {
            id: id.into(),
            name: format!("The {id}"),
            state,
            reason: None,
            start_mode: "on-visit",
            engine: "sqlite".into(),
            can_start: !main && state != "running",
            can_stop: !main && state == "running",
            can_visit: state == "running",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_to_pages_and_pages_know_their_methods() {
        let stop = applications::Action::Stop;
        for (path, page, methods) in [
            ("/admin", Some(Page::Home), "GET, HEAD"),
            ("/admin/sign-in", Some(Page::SignIn), "GET, HEAD, POST"),
            ("/admin/sign-in/ticket/abc", Some(Page::Ticket("abc")), "GET, HEAD"),
            ("/admin/sign-in/ticket/a/b", None, ""),
            ("/admin/sign-out", Some(Page::SignOut), "POST"),
            ("/admin/password", Some(Page::Password), "GET, HEAD, POST"),
            ("/admin/applications/crm/stop", Some(Page::Application("crm", stop)), "POST"),
            ("/admin/applications/crm/drop", None, ""),
            ("/admin/applications/crm", None, ""),
            ("/administrator", None, ""),
            ("/admin/nothing", None, ""),
        ] {
            let found = Page::find(path);
            assert_eq!(found, page, "{path}");
            assert_eq!(found.map_or("", Page::methods), methods, "{path}");
        }
        assert!(Page::Home.allows(&Method::HEAD) && !Page::Home.allows(&Method::POST));
        assert!(!Page::SignOut.allows(&Method::GET), "signing out must not be a link");
    }

    #[test]
    fn cookies_are_limited_to_the_application() {
        let path = |prefix, at_home| {
            PageContext { prefix, at_home, https: false, host: None, directory: &testing::Nobody }
                .cookie_path()
        };
        assert_eq!(path("", false), "/admin");
        assert_eq!(path("", true), "/");
        assert_eq!(path("/apps/crm", false), "/apps/crm/");
        assert_eq!(path("/apps/crm", true), "/");
    }
}
