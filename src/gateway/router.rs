//! Which application a request is for, and what of it.
//!
//! In this order, as NocoBase has it: the path (`/apps/<id>/…`, `/api/__app/<id>/…`), the query's
//! `__appName`, the header `X-App`, a custom domain, else the main application. An ID is taken as
//! it stands: one that cannot exist is simply not found.

use std::borrow::Cow;

use http::header::{HeaderName, HeaderValue};
use http::{HeaderMap, Uri};

use super::forwarded::ClientOrigin;
use crate::protocol::AppId;

const X_APP: HeaderName = HeaderName::from_static("x-app");

/// The part of the request that names the application.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NamedBy {
    Path,
    Query,
    Header,
    Domain,
    /// Nothing: the request is for the main application.
    Nothing,
}

/// What of the application is requested. Offsets are into the request's path, so that nothing is copied before
/// it is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RouteTarget {
    /// An action of the API, from this offset on.
    Api(usize),
    /// Whether the application runs.
    Health,
    /// A page: the path below the application's prefix, from this offset on.
    Page(usize),
    /// The start page, by an address that redirects to it.
    Start,
    /// An asset of the pages, the same for all applications.
    Asset,
    /// There is nothing at this address.
    Nowhere,
    /// The request names two applications.
    Ambiguous,
}

/// The application and the target of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Route {
    /// The ID as the request has it; it may be invalid.
    pub(super) app: Cow<'static, str>,
    pub(super) named_by: NamedBy,
    pub(super) target: RouteTarget,
}

impl Route {
    /// The prefix of `/admin` in the addresses of this application's pages. An application that was named by
    /// query or header has its pages under its path, so that links keep naming it.
    pub(super) fn prefix(&self) -> String {
        match self.named_by {
            NamedBy::Domain | NamedBy::Nothing => String::new(),
            NamedBy::Path | NamedBy::Query | NamedBy::Header => format!("/apps/{}", self.app),
        }
    }

    /// Whether the API is requested.
    pub(super) fn is_api(&self) -> bool {
        matches!(self.target, RouteTarget::Api(_) | RouteTarget::Health)
    }
}

/// Finds the application and the target; `by_domain` looks up custom domains.
pub(super) fn route(
    uri: &Uri,
    headers: &HeaderMap,
    origin: &ClientOrigin<'_>,
    api_base: &str,
    by_domain: impl FnOnce(&str) -> Option<AppId>,
) -> Route {
    let path = uri.path();
    let (id, mut target) = target(path, api_base);
    let by_query = match uri.query().map_or(Ok(None), app_name) {
        Ok(id) => id,
        Err(Ambiguous) => {
            target = RouteTarget::Ambiguous;
            None
        }
    };
    let by_header = match x_app(headers) {
        Ok(id) => id,
        Err(Ambiguous) => {
            target = RouteTarget::Ambiguous;
            None
        }
    };
    let (app, named_by) = if let Some(id) = id {
        (Cow::Owned(id.to_owned()), NamedBy::Path)
    } else if target == RouteTarget::Asset {
        (Cow::Borrowed(AppId::MAIN), NamedBy::Nothing)
    } else if let Some(id) = by_query {
        (id.into(), NamedBy::Query)
    } else if let Some(id) = by_header {
        (id.into(), NamedBy::Header)
    } else if let Some(id) = origin.domain().and_then(|domain| by_domain(&domain)) {
        (id.as_str().to_owned().into(), NamedBy::Domain)
    } else {
        (Cow::Borrowed(AppId::MAIN), NamedBy::Nothing)
    };
    Route { app, named_by, target }
}

/// The ID in the path, if any, and the target.
fn target<'a>(path: &'a str, api_base: &str) -> (Option<&'a str>, RouteTarget) {
    if let Some(target) = path.strip_prefix(api_base) {
        let Some(named) = target.strip_prefix("__app/") else { return (None, api(target, path)) };
        let (id, target) = named.split_once('/').unwrap_or((named, ""));
        return (Some(id), api(target, path));
    }
    if path.starts_with(crate::pages::ASSETS) {
        return (None, RouteTarget::Asset);
    }
    if let Some(rest) = path.strip_prefix("/apps/").filter(|rest| !rest.is_empty()) {
        let (id, below) = rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash));
        return (Some(id), page(below, path));
    }
    if matches!(path, "/apps" | "/apps/") {
        return (None, RouteTarget::Start);
    }
    (None, page(path, path))
}

fn api(target: &str, path: &str) -> RouteTarget {
    if target == "__health_check" { RouteTarget::Health } else { RouteTarget::Api(path.len() - target.len()) }
}

fn page(below: &str, path: &str) -> RouteTarget {
    match below {
        "" | "/" | "/admin" => RouteTarget::Start,
        _ if below.starts_with("/admin/") => RouteTarget::Page(path.len() - below.len()),
        _ => RouteTarget::Nowhere,
    }
}

/// The request names two different applications.
struct Ambiguous;

/// The only ID among these; empty ones are ignored.
fn one<T: AsRef<str> + Into<String>>(ids: impl Iterator<Item = T>) -> Result<Option<String>, Ambiguous> {
    let mut ids = ids.filter(|id| !id.as_ref().is_empty());
    let Some(first) = ids.next() else { return Ok(None) };
    match ids.all(|other| other.as_ref() == first.as_ref()) {
        true => Ok(Some(first.into())),
        false => Err(Ambiguous),
    }
}

/// The query's `__appName`.
fn app_name(query: &str) -> Result<Option<String>, Ambiguous> {
    // Most queries have none, and are not decoded.
    if !query.contains("__appName") {
        return Ok(None);
    }
    let pairs = form_urlencoded::parse(query.as_bytes());
    one(pairs.filter(|(name, _)| name == "__appName").map(|(_, value)| value))
}

/// The ID in the `X-App` header, in one line or several; a proxy may have joined them into a list.
fn x_app(headers: &HeaderMap) -> Result<Option<String>, Ambiguous> {
    fn text(line: &HeaderValue) -> Cow<'_, str> {
        String::from_utf8_lossy(line.as_bytes())
    }
    let mut lines = headers.get_all(X_APP).iter();
    let Some(first) = lines.next() else { return Ok(None) };
    if lines.next().is_none() && !first.as_bytes().contains(&b',') {
        return one(std::iter::once(text(first)));
    }
    let lines: Vec<_> = headers.get_all(X_APP).iter().map(text).collect();
    one(lines.iter().flat_map(|line| line.split(',')).map(str::trim))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pick(uri: &'static str, app: Option<&'static str>, host: Option<&'static str>) -> Route {
        let mut headers = HeaderMap::new();
        if let Some(app) = app {
            headers.insert(X_APP, HeaderValue::from_static(app));
        }
        let origin = ClientOrigin { client: [127, 0, 0, 1].into(), https: false, host };
        route(&Uri::from_static(uri), &headers, &origin, "/api/", |domain| {
            (domain == "crm.example.com").then(|| AppId::parse("crm").unwrap())
        })
    }

    #[test]
    fn the_application_is_chosen_in_order() {
        use NamedBy::*;
        let domain = Some("CRM.example.com:13000");
        for (uri, header, host, app, named) in [
            ("/api/posts:list", None, None, "main", Nothing),
            ("/api/posts:list", None, Some("other.example.com"), "main", Nothing),
            ("/api/posts:list", None, domain, "crm", Domain),
            ("/api/posts:list", Some("hr"), domain, "hr", Header),
            ("/api/posts:list?__appName=stock", Some("hr"), domain, "stock", Query),
            ("/api/posts:list?a=1&__appName=st%6Fck", Some("hr"), domain, "stock", Query),
            ("/api/posts:list?__appName=", Some("hr"), domain, "hr", Header),
            ("/api/posts:list?x__appName=stock", Some("hr"), domain, "hr", Header),
            ("/api/posts:list", Some(""), domain, "crm", Domain),
            ("/api/__app/sales/posts:list?__appName=stock", Some("main"), domain, "sales", Path),
            ("/api/__app/sales/posts:list", Some("main"), None, "sales", Path),
            ("/api/posts:list", Some("main"), domain, "main", Header),
            ("/apps/sales/admin/", Some("hr"), domain, "sales", Path),
            ("/apps/sales", Some("hr"), domain, "sales", Path),
            ("/admin/", None, domain, "crm", Domain),
            ("/admin/", None, None, "main", Nothing),
            ("/api/posts:list", Some("No Such!"), None, "No Such!", Header),
            ("/api/__app/", None, None, "", Path),
        ] {
            let route = pick(uri, header, host);
            assert_eq!((&*route.app, route.named_by), (app, named), "{uri} {header:?} {host:?}");
        }
    }

    #[test]
    fn two_applications_at_once_are_ambiguous_and_one_named_twice_is_not() {
        let target = |uri: &'static str, headers: &[&'static str]| {
            let headers: HeaderMap = headers.iter().map(|id| (X_APP, HeaderValue::from_static(id))).collect();
            let origin = ClientOrigin { client: [127, 0, 0, 1].into(), https: false, host: None };
            route(&Uri::from_static(uri), &headers, &origin, "/api/", |_| None).target
        };
        for (uri, headers, ambiguous) in [
            ("/api/a:list", &["crm", "hr"][..], true),
            ("/api/a:list", &["crm, hr"], true),
            ("/api/a:list", &["crm", "crm"], false),
            ("/api/a:list", &["crm", ""], false),
            ("/api/a:list?__appName=crm", &["hr"], false),
            ("/api/a:list?__appName=crm&__appName=hr", &[], true),
            ("/api/a:list?__appName=crm&__appName=crm", &[], false),
            ("/api/a:list?__appName=crm&__appName=", &[], false),
            ("/api/__app/crm/a:list", &["crm", "hr"], true),
            ("/admin/?__appName=crm&__appName=hr", &[], true),
        ] {
            assert_eq!(target(uri, headers) == RouteTarget::Ambiguous, ambiguous, "{uri} {headers:?}");
        }
    }

    #[test]
    fn the_place_is_what_follows_the_application() {
        for (uri, target, rest) in [
            ("/api/posts:list?page=2", RouteTarget::Api(5), "posts:list"),
            ("/api/__app/crm/posts/1/tags:add", RouteTarget::Api(15), "posts/1/tags:add"),
            ("/api/__app/crm", RouteTarget::Api(14), ""),
            ("/api/", RouteTarget::Api(5), ""),
            ("/api/__health_check", RouteTarget::Health, ""),
            ("/api/__app/crm/__health_check", RouteTarget::Health, ""),
            ("/", RouteTarget::Start, ""),
            ("/admin", RouteTarget::Start, ""),
            ("/admin/", RouteTarget::Page(0), "/admin/"),
            ("/admin/sign-in", RouteTarget::Page(0), "/admin/sign-in"),
            ("/apps", RouteTarget::Start, ""),
            ("/apps/", RouteTarget::Start, ""),
            ("/apps/crm", RouteTarget::Start, ""),
            ("/apps/crm/", RouteTarget::Start, ""),
            ("/apps/crm/admin", RouteTarget::Start, ""),
            ("/apps/crm/admin/password", RouteTarget::Page(9), "/admin/password"),
            ("/apps/crm/other", RouteTarget::Nowhere, ""),
            ("/assets/style.css", RouteTarget::Asset, ""),
            ("/favicon.ico", RouteTarget::Nowhere, ""),
            ("/administrator", RouteTarget::Nowhere, ""),
            ("/apis", RouteTarget::Nowhere, ""),
            ("//evil.example/admin/", RouteTarget::Nowhere, ""),
        ] {
            let route = pick(uri, None, None);
            assert_eq!(route.target, target, "{uri}");
            if let RouteTarget::Api(offset) | RouteTarget::Page(offset) = route.target {
                assert_eq!(&Uri::from_static(uri).path()[offset..], rest, "{uri}");
            }
        }
    }

    #[test]
    fn pages_stay_under_the_name_that_leads_back_to_them() {
        for (uri, header, host, prefix) in [
            ("/apps/crm/admin/", None, None, "/apps/crm"),
            ("/admin/?__appName=crm", None, None, "/apps/crm"),
            ("/admin/", Some("crm"), None, "/apps/crm"),
            ("/admin/", None, Some("crm.example.com"), ""),
            ("/admin/", None, None, ""),
        ] {
            assert_eq!(pick(uri, header, host).prefix(), prefix, "{uri}");
        }
    }
}
