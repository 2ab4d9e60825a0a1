//! `applications`: the host's other applications. Its actions are the supervisor's, who gives them to the
//! main application alone; everywhere else the name is taken.

use super::descriptor::Resource;
use crate::app::acl::policy::Reach;

/// The resource, without the actions.
#[must_use]
pub fn applications() -> Resource {
    Resource {
        reach: Reach::Management,
        snippets: &[("pm.multi-app-manager.applications", &["*"])],
        ..Resource::named("applications")
    }
}
