//! `app`: what everybody may know of the application.

use serde_json::json;

use crate::app::SYSTEM_VERSION;
use crate::app::api::{Access, Answer, Answering, Call, Resource};

pub(super) struct Application;

impl Resource for Application {
    fn name(&self) -> &'static str {
        "app"
    }

    fn has(&self, action: &str) -> bool {
        action == "getInfo"
    }

    fn access(&self, _action: &str) -> Access {
        Access::Public
    }

    fn call<'a>(&'a self, call: Call<'a>) -> Answering<'a> {
        Box::pin(async move {
            let app = call.app;
            Ok(Answer::Data(json!({
                "database": {"dialect": app.source().database().engine().as_str()},
                "version": SYSTEM_VERSION,
                "lang": &*app.language(),
                "name": app.name(),
                "title": &*app.title(),
            })))
        })
    }
}
