//! Sessions, and tokens that were signed out. No request reaches them.

use super::descriptor::{Records, Resource};
use crate::app::acl::policy::Reach;
use crate::app::system::{ISSUED_TOKENS, TOKEN_BLACKLIST};

pub(super) fn resources() -> [Resource; 2] {
    let internal =
        |name| Resource { records: Records::Internal, reach: Reach::Management, ..Resource::named(name) };
    [
        Resource { collection: Some(&ISSUED_TOKENS), ..internal("issuedTokens") },
        Resource { collection: Some(&TOKEN_BLACKLIST), ..internal("tokenBlacklist") },
    ]
}
