//! `storages` and `attachments`: where files are kept, and which there are.

use super::descriptor::Resource;
use crate::app::acl::policy::Reach;
use crate::app::system::{ATTACHMENTS, STORAGES};

pub(super) fn resources() -> [Resource; 2] {
    [
        Resource {
            collection: Some(&STORAGES),
            reach: Reach::Management,
            snippets: &[("pm.file-manager.storages", &["*"])],
            ..Resource::named("storages")
        },
        Resource { collection: Some(&ATTACHMENTS), ..Resource::named("attachments") },
    ]
}
