//! Open redirects: refuses addresses outside of the application as the target after a sign-in.

/// Returns `target` if it is a page of this application, which may follow a sign-in.
pub(super) fn own_page<'a>(prefix: &str, target: &'a str) -> Option<&'a str> {
    let rest = target.strip_prefix(prefix)?.strip_prefix("/admin")?;
    if !matches!(rest.bytes().next(), None | Some(b'/' | b'?')) {
        return None;
    }
    // A browser could take these for another host, or for a step upward.
    let path = rest.split('?').next().unwrap_or_default();
    let lower = path.to_ascii_lowercase();
    if !target.bytes().all(|byte| byte.is_ascii_graphic())
        || target.contains(['\\', '#'])
        || lower.contains("//")
        || lower.split('/').any(|segment| matches!(segment.replace("%2e", ".").as_str(), "." | ".."))
    {
        return None;
    }
    let loops = ["/sign-in", "/sign-out"];
    (!loops.iter().any(|page| lower.starts_with(page))).then_some(target)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_signing_in_one_stays_in_the_application() {
        for (prefix, target, stays) in [
            ("", "/admin/", true),
            ("", "/admin", true),
            ("", "/admin/?page=2", true),
            ("", "/admin/password", true),
            ("/apps/crm", "/apps/crm/admin/password", true),
            ("/apps/crm", "/admin/", false),
            ("/apps/crm", "/apps/crm2/admin/", false),
            ("", "/administrator", false),
            ("", "https://evil.org/admin/", false),
            ("", "//evil.org/admin/", false),
            ("", "/admin//evil.org", false),
            ("", "/admin/../../evil", false),
            ("", "/admin/%2E%2e/evil", false),
            ("", "/admin/\\evil.org", false),
            ("", "/admin/\r\nset-cookie: a=b", false),
            ("", "/admin/sign-out", false),
            ("", "/admin/sign-in?redirect=/admin/sign-in", false),
            ("", "", false),
        ] {
            assert_eq!(own_page(prefix, target), stays.then_some(target), "{prefix} {target}");
        }
    }
}
