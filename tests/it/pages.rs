//! The pages as a browser without JavaScript uses them.

use macro_rules_attribute::apply;
use reqwest::{Client, Response, StatusCode};
use serde_json::json;

use crate::environment::{Daemon, ROOT_EMAIL, ROOT_PASSWORD, TestEnvironment, http};
use crate::servers::{TestEngine, on_every_engine};

fn browser() -> Client {
    Client::builder().cookie_store(true).build().unwrap()
}

/// The hidden value of a form field on a page.
fn field(page: &str, name: &str) -> String {
    let at = page.find(&format!("name=\"{name}\"")).unwrap_or_else(|| panic!("no field {name}: {page}"));
    page[at..].split("value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned()
}

async fn post(browser: &Client, url: &str, form: &[(&str, &str)]) -> Response {
    let origin = url.split('/').take(3).collect::<Vec<_>>().join("/");
    browser.post(url).header("Origin", origin).form(form).send().await.unwrap()
}

async fn sign_in(browser: &Client, daemon: &Daemon, prefix: &str) -> String {
    let url = format!("{}{prefix}/admin/sign-in", daemon.url);
    let answer = post(browser, &url, &[("account", ROOT_EMAIL), ("password", ROOT_PASSWORD)]).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.url().path(), format!("{prefix}/admin/"));
    answer.text().await.unwrap()
}

#[apply(on_every_engine)]
#[tokio::test]
async fn the_home_page_describes_the_application_to_signed_in_users(engine: TestEngine) {
    let environment = TestEnvironment::of(engine);
    let daemon = environment.daemon();
    let created = daemon.call("app.create", json!({"id": "crm", "name": "<b>Customers</b>"}));
    let engine = created["application"]["database"]["engine"].as_str().unwrap();
    let browser = browser();
    let url = format!("{}/apps/crm/admin/", daemon.url);
    let page = browser.get(&url).send().await.unwrap().text().await.unwrap();
    assert!(page.contains("type=\"password\"") && !page.contains(engine), "{page}");
    let wrong =
        post(&browser, &format!("{url}sign-in"), &[("account", ROOT_EMAIL), ("password", "no")]).await;
    assert_eq!(wrong.status(), StatusCode::UNAUTHORIZED);
    let page = sign_in(&browser, &daemon, "/apps/crm").await;
    for shown in ["&#60;b&#62;Customers", "running", engine, "Super Admin", env!("CARGO_PKG_VERSION")] {
        assert!(page.to_lowercase().contains(&shown.to_lowercase()), "{shown}: {page}");
    }
    assert!(!page.contains("<b>Customers"), "{page}");
    // The session is valid for this application only, and not for its API.
    let main = browser.get(format!("{}/admin/", daemon.url)).send().await.unwrap().text().await.unwrap();
    assert!(main.contains("type=\"password\""));
    let api = browser.get(format!("{}/api/__app/crm/auth:check", daemon.url)).send().await.unwrap();
    assert_eq!(api.status(), 401);
    let out = [("form_token", field(&page, "form_token"))];
    let out = post(&browser, &format!("{url}sign-out"), &[(out[0].0, &out[0].1)]).await;
    assert!(out.text().await.unwrap().contains("type=\"password\""));
    assert!(browser.get(&url).send().await.unwrap().text().await.unwrap().contains("type=\"password\""));
}

#[apply(on_every_engine)]
#[tokio::test]
async fn the_root_user_starts_and_stops_applications_on_the_main_page(engine: TestEngine) {
    let environment = TestEnvironment::of(engine);
    let daemon = environment.daemon();
    daemon.call("app.create", json!({"id": "crm"}));
    let browser = browser();
    let page = sign_in(&browser, &daemon, "").await;
    assert!(page.contains("crm") && page.contains("initialized"), "{page}");
    let token = field(&page, "form_token");
    let act = |what: &str| format!("{}/admin/applications/crm/{what}", daemon.url);
    let started = post(&browser, &act("start"), &[("form_token", &token)]).await;
    assert_eq!(started.status(), 200);
    assert_eq!(daemon.state("crm"), "running");
    for (form_token, origin) in [("wrong", daemon.url.as_str()), (token.as_str(), "http://evil.example.com")]
    {
        let request = browser.post(act("stop")).header("Origin", origin).form(&[("form_token", form_token)]);
        assert_eq!(request.send().await.unwrap().status(), 403, "{form_token} {origin}");
        assert_eq!(daemon.state("crm"), "running");
    }
    let stranger =
        Client::new().post(act("stop")).form(&[("form_token", token.as_str())]).send().await.unwrap();
    assert_ne!(stranger.url().path(), "/admin/");
    assert_eq!(daemon.state("crm"), "running");
    post(&browser, &act("stop"), &[("form_token", &token)]).await;
    assert_eq!(daemon.state("crm"), "stopped");
    let stopped = browser.get(format!("{}/apps/crm/admin/", daemon.url)).header("Accept", "text/html").send();
    let stopped = stopped.await.unwrap();
    assert_eq!(stopped.status(), 503);
    assert!(stopped.text().await.unwrap().contains("stopped"));
}

#[apply(on_every_engine)]
#[tokio::test]
async fn cross_site_sign_ins_are_refused_and_redirects_stay_on_the_host(engine: TestEngine) {
    let environment = TestEnvironment::of(engine);
    let daemon = environment.daemon();
    let url = format!("{}/admin/sign-in", daemon.url);
    let form = [("account", ROOT_EMAIL), ("password", ROOT_PASSWORD)];
    let foreign = Client::new()
        .post(&url)
        .header("Origin", "http://evil.example.com")
        .form(&form)
        .send()
        .await
        .unwrap();
    assert_eq!(foreign.status(), 403);
    assert!(foreign.headers().get("set-cookie").is_none());
    let still = Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    for target in
        ["//evil.example.com/", "http://evil.example.com/", "/\\evil.example.com", "/api/users:list"]
    {
        let form = [form[0], form[1], ("redirect", target)];
        let answer = post(&still, &url, &form).await;
        assert_eq!(answer.headers()["location"], "/admin/", "{target}");
        let cookie = answer.headers()["set-cookie"].to_str().unwrap();
        for part in ["nbapps_main=", "HttpOnly", "SameSite=Lax", "Path=/admin"] {
            assert!(cookie.contains(part), "{cookie}");
        }
    }
    let (status, _) = http(&daemon, "GET", "/api/applications:list", None, None, None).await;
    assert_eq!(status, 401);
}

#[apply(on_every_engine)]
#[tokio::test]
async fn a_password_is_changed_on_the_page(engine: TestEngine) {
    let environment = TestEnvironment::of(engine);
    let daemon = environment.daemon();
    let browser = browser();
    sign_in(&browser, &daemon, "").await;
    let url = format!("{}/admin/password", daemon.url);
    let page = browser.get(&url).send().await.unwrap().text().await.unwrap();
    let token = field(&page, "form_token");
    let form = |old, new| {
        [
            ("form_token", token.clone()),
            ("old_password", String::from(old)),
            ("new_password", String::from(new)),
            ("new_password_again", String::from(new)),
        ]
    };
    let send = async |form: [(&str, String); 4]| {
        browser.post(&url).header("Origin", &daemon.url).form(&form).send().await.unwrap()
    };
    assert_eq!(send(form("wrong", "another-1")).await.status(), 400);
    let changed = send(form(ROOT_PASSWORD, "another-1")).await;
    assert_eq!(changed.url().path(), "/admin/sign-in");
    let body = json!({"account": ROOT_EMAIL, "password": "another-1"});
    assert_eq!(http(&daemon, "POST", "/api/auth:signIn", None, None, Some(body)).await.0, 200);
}

#[apply(on_every_engine)]
#[tokio::test]
async fn a_sign_in_link_signs_in_for_every_address_of_the_application_on_its_host(engine: TestEngine) {
    let environment = TestEnvironment::of(engine);
    let daemon = environment.daemon();
    daemon.call("app.create", json!({"id": "crm", "start": true, "domains": ["crm.example.com"]}));
    daemon.call("app.create", json!({"id": "hr", "start": true}));
    let client = Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let get = async |path: &str, host: &str, cookie: &str| {
        let request = client.get(format!("{}{path}", daemon.url)).header("Host", host);
        request.header("Cookie", cookie).send().await.unwrap()
    };
    for (id, host, scope, opens) in [
        ("crm", "crm.example.com", "Path=/;", &["/admin/", "/apps/crm/admin/"][..]),
        ("crm", "elsewhere.example.com", "Path=/apps/crm/;", &["/apps/crm/admin/"]),
        ("hr", "crm.example.com", "Path=/apps/hr/;", &["/apps/hr/admin/"]),
        ("main", "elsewhere.example.com", "Path=/;", &["/admin/", "/apps/main/admin/"]),
    ] {
        let link = daemon.call("app.visit", json!({"id": id, "sign_in": true}));
        let ticket = link["url"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
        let path = format!("/apps/{id}/admin/sign-in/ticket/{ticket}");
        let signed_in = get(&path, host, "").await;
        assert_eq!(signed_in.headers()["location"], format!("/apps/{id}/admin/"), "{id} {host}");
        let cookie = signed_in.headers()["set-cookie"].to_str().unwrap();
        assert!(cookie.contains(scope), "{id} {host}: {cookie}");
        // An older session with a longer path does not take precedence.
        let name = format!("nbapps_{id}");
        let sent = format!("{name}=ended; {}", cookie.split(';').next().unwrap());
        for path in opens {
            assert_eq!(get(path, host, &sent).await.status(), 200, "{id} {host} {path}");
        }
    }
}
