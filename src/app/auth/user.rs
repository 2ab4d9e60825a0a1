//! Users and sessions, as requests see them.

use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwapOption;
use chrono::{DateTime, Utc};

use crate::app::acl::LatestAccess;
use crate::app::user_variables;
use crate::data::Record;

/// A user as a request sees it.
#[derive(Debug)]
pub struct User {
    /// The key.
    pub id: i64,
    /// The name shown, where there is one; see [`User::name`].
    pub nickname: Option<String>,
    /// User name.
    pub username: Option<String>,
    /// E-mail address.
    pub email: Option<String>,
    /// Names of its roles.
    pub roles: Vec<String>,
    /// The role that it begins with, where one is marked.
    pub default_role: Option<String>,
    /// All of it that may be shown.
    pub record: Record,
    /// What is derived from it on demand.
    pub(crate) derived: Derived,
}

/// What is derived from a user on demand, and kept until the user changes.
#[derive(Default)]
pub(crate) struct Derived {
    variables: OnceLock<Record>,
    latest_access: LatestAccess,
    through_key: ArcSwapOption<User>,
}

impl std::fmt::Debug for Derived {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Derived").finish_non_exhaustive()
    }
}

impl User {
    /// What filters mean by `{{ $user.… }}`: the user, with its roles.
    #[must_use]
    pub fn variables(&self) -> &Record {
        self.derived.variables.get_or_init(|| user_variables::of(&self.record, &self.roles))
    }

    /// The cache of what its roles open to it.
    pub(in crate::app) fn latest_access(&self) -> &LatestAccess {
        &self.derived.latest_access
    }

    /// The user with this role and no other; cached for the role that was asked for last.
    pub(super) fn in_role(&self, role: &str) -> Arc<Self> {
        if let Some(known) = self.derived.through_key.load_full().filter(|known| known.roles == [role]) {
            return known;
        }
        let user = Arc::new(Self {
            id: self.id,
            nickname: self.nickname.clone(),
            username: self.username.clone(),
            email: self.email.clone(),
            roles: vec![role.to_owned()],
            default_role: self.default_role.clone(),
            record: self.record.clone(),
            derived: Derived::default(),
        });
        self.derived.through_key.store(Some(Arc::clone(&user)));
        user
    }

    /// Whether it has a role.
    #[must_use]
    pub fn has_role(&self, role: &str) -> bool {
        self.roles.iter().any(|own| own == role)
    }
}

/// A token that was checked, and whose it is.
#[derive(Debug, Clone)]
pub struct Session {
    /// The user.
    pub user: Arc<User>,
    /// The token's own ID (`jti`).
    pub token_id: String,
    /// When the token ends.
    pub expires: DateTime<Utc>,
    /// The token that replaces the one that was checked, because that one has ended. Whoever sent
    /// it must be told: it is taken for a few seconds more, and then refused.
    pub renewed: Option<SignedIn>,
    /// That it is an API key, and the role it acts in; the user has no other then.
    pub key_role: Option<String>,
}

impl Session {
    /// Whether the user has the role `root`.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.user.has_role("root")
    }
}

/// Signed in: whose, and the token.
#[derive(Clone)]
pub struct SignedIn {
    /// The user.
    pub user: Arc<User>,
    /// The JWT.
    pub token: String,
    /// When it expires.
    pub expires: DateTime<Utc>,
}

impl std::fmt::Debug for SignedIn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Whoever has the token is the user: it belongs in no log.
        f.debug_struct("SignedIn").field("user", &self.user).finish_non_exhaustive()
    }
}
