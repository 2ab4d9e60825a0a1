//! The frame of every page: the data for `templates/layout.html`.

use std::borrow::Cow;

use super::assets::ADDRESSES;
use crate::app::{SYSTEM_VERSION, auth::User};

/// The data that the layout shows around a page.
pub(super) struct Frame<'a> {
    /// The title of the page, for the browser's tab.
    pub(super) title: &'a str,
    /// The application's title.
    pub(super) application: &'a str,
    /// The prefix of `/admin` in every link.
    pub(super) prefix: &'a str,
    /// The path of the page below the prefix; the navigation marks its link.
    pub(super) current: &'static str,
    /// The signed-in user.
    pub(super) visitor: Option<Visitor<'a>>,
    /// A message above the page.
    pub(super) notice: Option<Notice<'a>>,
    /// Seconds after which the browser reloads the page by itself.
    pub(super) refresh: Option<u64>,
    /// The stylesheet's address.
    pub(super) stylesheet: &'static str,
    /// The icon's address.
    pub(super) icon: &'static str,
    /// The host's version.
    pub(super) version: &'static str,
}

/// The signed-in user, as the header shows it.
pub(super) struct Visitor<'a> {
    pub(super) name: Cow<'a, str>,
    /// The token of the sign-out form.
    pub(super) form_token: &'a str,
}

/// A link of the navigation.
pub(super) struct NavigationLink {
    pub(super) path: &'static str,
    pub(super) text: &'static str,
    pub(super) current: bool,
}

/// A message above the page.
pub(super) struct Notice<'a> {
    pub(super) good: bool,
    pub(super) text: Cow<'a, str>,
}

impl<'a> Frame<'a> {
    /// A frame without a signed-in user.
    pub(super) fn new(application: &'a str, prefix: &'a str, title: &'a str) -> Self {
        Self {
            title,
            application,
            prefix,
            current: "",
            visitor: None,
            notice: None,
            refresh: None,
            stylesheet: &ADDRESSES.stylesheet,
            icon: &ADDRESSES.icon,
            version: SYSTEM_VERSION,
        }
    }

    /// Adds the signed-in user, and marks the page at `current`.
    pub(super) fn signed_in(mut self, user: &'a User, form_token: &'a str, current: &'static str) -> Self {
        self.visitor = Some(Visitor { name: display_name(user), form_token });
        self.current = current;
        self
    }

    /// Adds a message above the page.
    pub(super) fn notice(mut self, notice: Option<Notice<'a>>) -> Self {
        self.notice = notice;
        self
    }

    /// The links of the navigation.
    pub(super) fn links(&self) -> [NavigationLink; 2] {
        [("/admin/", "Overview"), ("/admin/password", "Password")].map(|(path, text)| NavigationLink {
            path,
            text,
            current: self.current == path,
        })
    }
}

impl<'a> Notice<'a> {
    /// A message that something was done.
    pub(super) fn good(text: impl Into<Cow<'a, str>>) -> Self {
        Self { good: true, text: text.into() }
    }

    /// A message that something went wrong.
    pub(super) fn bad(text: impl Into<Cow<'a, str>>) -> Self {
        Self { good: false, text: text.into() }
    }

    /// The CSS class.
    pub(super) fn class(&self) -> &'static str {
        if self.good { "good" } else { "bad" }
    }

    /// The ARIA role, for screen readers.
    pub(super) fn role(&self) -> &'static str {
        if self.good { "status" } else { "alert" }
    }
}

/// The display name of a user: the nickname, else the user name, the e-mail address or the ID.
pub(super) fn display_name(user: &User) -> Cow<'_, str> {
    [&user.nickname, &user.username, &user.email]
        .into_iter()
        .filter_map(|name| name.as_deref())
        .find(|name| !name.trim().is_empty())
        .map_or_else(|| format!("User {}", user.id).into(), Cow::Borrowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_goes_by_the_first_name_there_is() {
        let mut user = User {
            id: 7,
            nickname: Some("Ada".into()),
            username: Some("ada".into()),
            email: Some("ada@example.com".into()),
            roles: Vec::new(),
            default_role: None,
            record: Default::default(),
            derived: Default::default(),
        };
        assert_eq!(display_name(&user), "Ada");
        user.nickname = Some(" ".into());
        assert_eq!(display_name(&user), "ada");
        user.username = None;
        assert_eq!(display_name(&user), "ada@example.com");
        user.email = None;
        assert_eq!(display_name(&user), "User 7");
    }

    #[test]
    fn the_page_that_is_shown_is_marked() {
        let mut frame = Frame::new("CRM", "", "Password");
        frame.current = "/admin/password";
        let marked: Vec<_> = frame.links().into_iter().filter(|link| link.current).map(|l| l.text).collect();
        assert_eq!(marked, ["Password"]);
    }
}
