//! What memory keeps of an application's records, and by which names descriptors invalidate it.

use std::sync::Arc;

use super::acl::Acl;
use super::auth::session_cache::SessionCache;
use super::cached::Cached;
use super::settings::SystemSettings;

/// Something that memory keeps of an application's records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cache {
    /// Users with their roles, and API keys.
    Users,
    /// What roles may do.
    Roles,
    /// The application's settings.
    Settings,
}

/// What memory keeps of an application's records. It is read again when somebody asks for it after it
/// was invalidated.
#[derive(Debug, Default)]
pub(super) struct Caches {
    pub(super) sessions: Arc<SessionCache>,
    pub(super) acl: Cached<Acl>,
    pub(super) settings: Arc<Cached<SystemSettings>>,
}

impl Caches {
    /// Forgets what is kept under a name.
    pub(super) fn invalidate(&self, cache: Cache) {
        match cache {
            Cache::Users => self.sessions.forget_all(),
            Cache::Roles => self.acl.invalidate(),
            Cache::Settings => self.settings.invalidate(),
        }
    }
}
