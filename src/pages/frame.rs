//! The frame that every page is shown in: `templates/layout.html` with what it needs.

use std::borrow::Cow;

use super::assets::ADDRESSES;
use crate::app::{SYSTEM_VERSION, auth::User};

/// What the layout shows around a page.
pub(super) struct Frame<'a> {
    /// What the page is, for the browser's tab.
    pub(super) title: &'a str,
    /// The application's title.
    pub(super) application: &'a str,
    /// What stands before `/admin` in every link.
    pub(super) prefix: &'a str,
    /// The page that is shown, as a path below the prefix; its link is marked.
    pub(super) current: &'static str,
    /// Who is signed in.
    pub(super) visitor: Option<Visitor<'a>>,
    /// What happened just before.
    pub(super) notice: Option<Notice<'a>>,
    /// Seconds after which the browser asks again by itself.
    pub(super) refresh: Option<u64>,
    /// The stylesheet's address.
    pub(super) stylesheet: &'static str,
    /// The icon's address.
    pub(super) icon: &'static str,
    /// The host's version.
    pub(super) version: &'static str,
}

/// Who is signed in, as the header shows it.
pub(super) struct Visitor<'a> {
    pub(super) name: Cow<'a, str>,
    /// For the form that signs out.
    pub(super) form_token: &'a str,
}

/// A link of the navigation.
pub(super) struct Link {
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
    /// A frame with nobody signed in.
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

    /// With who is signed in, on the page at `current`.
    pub(super) fn signed_in(mut self, user: &'a User, form_token: &'a str, current: &'static str) -> Self {
        self.visitor = Some(Visitor { name: display_name(user), form_token });
        self.current = current;
        self
    }

    /// With a message above the page.
    pub(super) fn notice(mut self, notice: Option<Notice<'a>>) -> Self {
        self.notice = notice;
        self
    }

    /// The navigation. Pages to come get their link here.
    pub(super) fn links(&self) -> [Link; 2] {
        [("/admin/", "Overview"), ("/admin/password", "Password")].map(|(path, text)| Link {
            path,
            text,
            current: self.current == path,
        })
    }
}

impl<'a> Notice<'a> {
    /// Something was done.
    pub(super) fn good(text: impl Into<Cow<'a, str>>) -> Self {
        Self { good: true, text: text.into() }
    }

    /// Something went wrong.
    pub(super) fn bad(text: impl Into<Cow<'a, str>>) -> Self {
        Self { good: false, text: text.into() }
    }

    /// How it looks.
    pub(super) fn class(&self) -> &'static str {
        if self.good { "good" } else { "bad" }
    }

    /// How a screen reader is told.
    pub(super) fn role(&self) -> &'static str {
        if self.good { "status" } else { "alert" }
    }
}

/// The name that a user goes by.
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
