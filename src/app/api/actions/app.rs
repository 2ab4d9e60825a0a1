//! `app`: what everybody may know of the application, and making it forget what it remembers.

use serde_json::{Map, Value, json};

use crate::app::SYSTEM_VERSION;
use crate::app::api::{Answer, Answering, ApiError, Call, Resource};

pub(super) struct Application;

impl Resource for Application {
    fn name(&self) -> &'static str {
        "app"
    }

    fn has(&self, action: &str) -> bool {
        matches!(action, "getInfo" | "getLang" | "restart" | "clearCache")
    }

    fn call<'a>(&'a self, call: Call<'a>) -> Answering<'a> {
        Box::pin(async move {
            match call.action {
                "getLang" => Ok(Answer::Data(language(&call))),
                // A restart is asked for so that what was changed in the database counts: reading
                // it again does that, and nobody's request has to wait meanwhile.
                "restart" | "clearCache" => {
                    call.app.reload().await?;
                    Ok(Answer::Bare(json!({})))
                }
                _ => info(&call),
            }
        })
    }
}

fn info(call: &Call<'_>) -> Result<Answer, ApiError> {
    let app = call.app;
    Ok(Answer::Data(json!({
        "database": {"dialect": app.source().database().engine().as_str()},
        "version": SYSTEM_VERSION,
        "lang": &*app.language(),
        "name": app.name(),
        "title": &*app.title(),
    })))
}

/// The language, with its texts. The host has none of its own: its clients bring theirs.
fn language(call: &Call<'_>) -> Value {
    json!({
        "lang": &*call.app.language(),
        "resources": {}, "antd": Map::new(), "cron": Map::new(), "cronstrue": Map::new(),
    })
}
