//! The pages in a real browser, with and without JavaScript.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use fantoccini::{Client, ClientBuilder, Locator};
use macro_rules_attribute::apply;
use serde_json::json;
use tempfile::TempDir;

use crate::environment::{Daemon, PATIENCE, ROOT_EMAIL, ROOT_PASSWORD, TestEnvironment};
use crate::servers::{TestEngine, on_every_engine};

/// ChromeDriver with its own browser profile. Dropping it ends both.
struct Driver {
    child: Child,
    url: String,
    profile: TempDir,
}

impl Driver {
    fn start() -> Self {
        let mut command = Command::new("chromedriver");
        // In its own process group, so that the browser's processes end with it.
        command.arg("--port=0").process_group(0).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("chromedriver is there: tests/setup installs it");
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let port = lines
            .filter_map(|line| line.split("on port ").nth(1)?.trim_end_matches('.').parse::<u16>().ok())
            .find(|port| *port != 0)
            .expect("chromedriver says its port");
        Self { child, url: format!("http://127.0.0.1:{port}"), profile: TempDir::new().unwrap() }
    }

    async fn browser(&self, javascript: bool) -> Client {
        let mut arguments = vec![format!(
            "--user-data-dir={}",
            self.profile.path().join(if javascript { "scripts" } else { "plain" }).display()
        )];
        for argument in [
            "headless",
            "no-sandbox",
            "disable-gpu",
            "disable-quic",
            "disable-dev-shm-usage",
            "no-first-run",
            "disable-background-networking",
            "disable-component-update",
            "disable-sync",
            "window-size=1100,800",
        ] {
            arguments.push(format!("--{argument}"));
        }
        let scripts = if javascript { 1 } else { 2 };
        let options = json!({
            "args": arguments,
            "prefs": {"profile.managed_default_content_settings.javascript": scripts},
        });
        let capabilities = json!({"goog:chromeOptions": options});
        let serde_json::Value::Object(capabilities) = capabilities else { unreachable!() };
        let mut builder = ClientBuilder::new(hyper_util::client::legacy::connect::HttpConnector::new());
        builder.capabilities(capabilities);
        builder.connect(&self.url).await.unwrap()
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let group = rustix::process::Pid::from_child(&self.child);
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        let _ = self.child.wait();
    }
}

async fn sign_in(browser: &Client, address: &str) {
    browser.goto(address).await.unwrap();
    browser.find(Locator::Css("input[name=account]")).await.unwrap().send_keys(ROOT_EMAIL).await.unwrap();
    browser.find(Locator::Css("input[name=password]")).await.unwrap().send_keys(ROOT_PASSWORD).await.unwrap();
    browser.find(Locator::Css("main form button")).await.unwrap().click().await.unwrap();
    appears(browser, Locator::Css(".facts")).await;
}

/// Waits until an element is on the page.
async fn appears(browser: &Client, what: Locator<'_>) {
    browser.wait().at_most(PATIENCE).every(Duration::from_millis(20)).for_element(what).await.unwrap();
}

async fn text(browser: &Client, what: &str) -> String {
    browser.find(Locator::Css(what)).await.unwrap().text().await.unwrap()
}

async fn picture(browser: &Client, name: &str) {
    if let Some(directory) = std::env::var_os("NBAPPS_TEST_PICTURES") {
        let file = std::path::Path::new(&directory).join(name);
        std::fs::write(file, browser.screenshot().await.unwrap()).unwrap();
    }
}

#[apply(on_every_engine)]
#[tokio::test]
async fn a_user_signs_in_and_sees_the_application(engine: TestEngine) {
    let environment = TestEnvironment::of(engine);
    let daemon = environment.daemon();
    let created = daemon.call("app.create", json!({"id": "crm", "name": "Customer care"}));
    let engine = created["application"]["database"]["engine"].as_str().unwrap();
    let driver = Driver::start();
    for javascript in [true, false] {
        let browser = driver.browser(javascript).await;
        sign_in(&browser, &format!("{}/apps/crm/admin/", daemon.url)).await;
        let page = text(&browser, "body").await;
        for part in ["Customer care", "running", env!("CARGO_PKG_VERSION"), engine, "Super Admin"] {
            assert!(page.contains(part), "{part}: {page}");
        }
        picture(&browser, "application.png").await;
        browser.close().await.unwrap();
    }
}

#[apply(on_every_engine)]
#[tokio::test]
async fn the_root_user_of_main_starts_and_stops_applications(engine: TestEngine) {
    let environment = TestEnvironment::of(engine);
    let daemon = environment.daemon();
    daemon.call("app.create", json!({"id": "crm", "name": "Customer care"}));
    daemon.call("app.create", json!({"id": "hr", "start": true}));
    let driver = Driver::start();
    let browser = driver.browser(false).await;
    browser.goto(&format!("{}/", daemon.url)).await.unwrap();
    picture(&browser, "sign-in.png").await;
    sign_in(&browser, &format!("{}/admin/", daemon.url)).await;
    picture(&browser, "applications.png").await;
    start_and_stop(&browser, &daemon).await;
    // A link from `nbapps visit --sign-in` signs in and opens the application's page.
    let link = daemon.call("app.visit", json!({"id": "crm", "sign_in": true}));
    browser.goto(link["url"].as_str().unwrap()).await.unwrap();
    appears(&browser, Locator::Css(".facts")).await;
    assert_eq!(browser.current_url().await.unwrap().path(), "/apps/crm/admin/");
    browser.close().await.unwrap();
}

/// Starts one application, stops another, and opens the first.
async fn start_and_stop(browser: &Client, daemon: &Daemon) {
    let button = |id: &str, action: &str| format!("form[action$='{id}/{action}'] button");
    for (id, action, state) in [("crm", "start", "running"), ("hr", "stop", "stopped")] {
        browser.find(Locator::Css(&button(id, action))).await.unwrap().click().await.unwrap();
        let notice = format!("//*[@role='status' and contains(., '{id}') and contains(., '{state}')]");
        appears(browser, Locator::XPath(&notice)).await;
        assert_eq!(daemon.state(id), state);
    }
    browser.find(Locator::Css("a[href$='/apps/crm/admin/']")).await.unwrap().click().await.unwrap();
    appears(browser, Locator::Css("input[name=password]")).await;
}
