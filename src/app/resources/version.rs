//! The version of the system tables, and the migrations that led to it. No request reaches them.

use super::descriptor::{Records, Resource};
use crate::app::acl::policy::Reach;
use crate::app::system::{MIGRATIONS, VERSION};

pub(super) fn resources() -> [Resource; 2] {
    let internal =
        |name| Resource { records: Records::Internal, reach: Reach::Management, ..Resource::named(name) };
    [
        Resource { collection: Some(&MIGRATIONS), ..internal("migrations") },
        Resource { collection: Some(&VERSION), ..internal("applicationVersion") },
    ]
}
