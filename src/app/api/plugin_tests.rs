//! The API of plugins, as tables of requests and answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use macro_rules_attribute::apply;
use serde_json::json;

use super::access_tests::{error, refusal, run, somebody};
use super::tests::sign_in;
use crate::app::plugin::{Plugin, PluginFuture};
use crate::app::test_place::Place;
use crate::app::{App, AppOptions, AppState};
use crate::data::Query;
use crate::test_servers::{TestEngine, on_every_engine};

/// A plugin that works while it is enabled, and can refuse to be.
#[derive(Default)]
struct Counting {
    works: AtomicBool,
    refuses: AtomicBool,
}

impl Plugin for Counting {
    fn name(&self) -> &'static str {
        "counting"
    }

    fn title(&self) -> &'static str {
        "Counting"
    }

    fn description(&self) -> &'static str {
        "Counts."
    }

    fn enable<'a>(&'a self, _state: &'a Arc<AppState>) -> PluginFuture<'a> {
        let refuses = self.refuses.load(Ordering::SeqCst);
        self.works.store(!refuses, Ordering::SeqCst);
        let done = if refuses { Err("there is nothing to count".to_owned()) } else { Ok(()) };
        Box::pin(std::future::ready(done))
    }

    fn disable<'a>(&'a self, _state: &'a Arc<AppState>) -> PluginFuture<'a> {
        self.works.store(false, Ordering::SeqCst);
        Box::pin(std::future::ready(Ok(())))
    }
}

async fn open_with(place: &Place, plugin: &Arc<Counting>) -> Arc<App> {
    let plugins: Vec<Arc<dyn Plugin>> = vec![Arc::clone(plugin) as _];
    let (name, jwt_secret, source) = ("crm".into(), b"secret".to_vec(), place.source.clone());
    App::open(AppOptions { name, jwt_secret, source, resources: vec![], plugins }).await.unwrap()
}

#[apply(on_every_engine)]
#[tokio::test]
async fn plugins_are_enabled_by_application_and_begin_with_it(engine: TestEngine) {
    let place = Place::installed(engine).await;
    let plugin = Arc::new(Counting::default());
    let works = || plugin.works.load(Ordering::SeqCst);
    let app = open_with(&place, &plugin).await;
    let (root, member) = (sign_in(&app).await, somebody(&app, "ann", &["member"]).await);
    let (root, member) = (root.as_str(), member.as_str());
    let described = |enabled: bool| {
        json!({"name": "counting", "packageName": "@nocobase/plugin-counting", "displayName": "Counting",
            "enabled": enabled, "builtIn": true})
    };
    let enable = "POST pm:enable?filterByTk=counting";
    plugin.refuses.store(true, Ordering::SeqCst);
    run(
        &app,
        &[
            ("GET pm:list", "", json!({}), 401, error("EMPTY_TOKEN")),
            ("GET pm:list", member, json!({}), 403, refusal()),
            (enable, member, json!({}), 403, refusal()),
            ("GET pm:list", root, json!({}), 200, json!({"data": [described(false)]})),
            ("GET pm:listEnabled", "", json!({}), 200, json!({"data": []})),
            (enable, root, json!({}), 400, refusal()),
            ("POST pm:enable", root, json!({}), 400, refusal()),
            ("POST pm:enable?filterByTk=nosuch", root, json!({}), 404, refusal()),
            ("GET pm:get?filterByTk=nosuch", root, json!({}), 404, refusal()),
        ],
    )
    .await;
    assert!(!works());
    plugin.refuses.store(false, Ordering::SeqCst);
    run(
        &app,
        &[
            (enable, root, json!({}), 200, json!({"data": "counting"})),
            (enable, root, json!({}), 200, json!({"data": "counting"})),
            (
                "GET pm:get?filterByTk=@nocobase/plugin-counting",
                root,
                json!({}),
                200,
                json!({"data": described(true)}),
            ),
            ("GET pm:listEnabled", "", json!({}), 200, json!({"data": [{"name": "counting"}]})),
        ],
    )
    .await;
    assert!(works());

    plugin.works.store(false, Ordering::SeqCst);
    let app = open_with(&place, &plugin).await;
    assert!(works(), "it begins with the application");
    run(&app, &[("POST pm:disable?filterByTk[]=counting", root, json!({}), 200, json!({}))]).await;
    assert!(!works());
    open_with(&place, &plugin).await;
    assert!(!works());
    let rows = place.source.find(&crate::app::system::APPLICATION_PLUGINS, Query::default()).await.unwrap();
    assert_eq!((rows.len(), &rows[0]["enabled"]), (1, &json!(false)));
}
