//! An application with users of several roles, who ask it things.

use std::collections::HashMap;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use http::{HeaderMap, header};
use serde_json::{Value, json};

use crate::app::App;
use crate::app::api::ApiRequest;
use crate::app::test_place::{PASSWORD, Place};
use crate::data::DataSource;
use crate::test_servers::TestEngine;

/// An application, and the tokens of those who are signed in to it.
pub(super) struct World {
    app: Arc<App>,
    _place: Place,
    tokens: HashMap<String, String>,
}

/// What somebody is answered.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) body: Value,
    /// As it went over the wire.
    pub(super) text: String,
}

impl Reply {
    /// The value at a path: `data.0.id`.
    pub(super) fn at(&self, path: &str) -> Value {
        let step = |value: Value, step: &str| match step.parse::<usize>() {
            Ok(place) => value[place].clone(),
            Err(_) => value[step].clone(),
        };
        path.split('.').fold(self.body.clone(), step)
    }

    /// The IDs of what was listed.
    pub(super) fn ids(&self) -> Vec<i64> {
        let listed = self.body["data"].as_array().into_iter().flatten();
        listed.filter_map(|record| record["id"].as_i64()).collect()
    }
}

impl World {
    /// With root signed in.
    pub(super) async fn new(engine: TestEngine) -> Self {
        let place = Place::installed(engine).await;
        let app = place.open().await.unwrap();
        let mut world = Self { app, _place: place, tokens: HashMap::new() };
        world.sign_in("root", "nocobase", PASSWORD).await;
        world
    }

    /// Its database, as the host reads and writes it.
    pub(super) fn source(&self) -> &DataSource {
        self.app.source()
    }

    async fn sign_in(&mut self, name: &str, account: &str, password: &str) {
        let body = json!({"account": account, "password": password});
        let token = self.ask("", "POST auth:signIn", &body).await.at("data.token");
        self.tokens.insert(name.to_owned(), token.as_str().expect(name).to_owned());
    }

    /// Makes a user with some roles, and signs it in; gives its ID.
    pub(super) async fn user(&mut self, name: &str, roles: &[&str]) -> i64 {
        let body = json!({"username": name, "password": "pw-12345", "roles": roles});
        let id = self.did("root", "POST users:create", &body).await.at("data.id");
        self.sign_in(name, name, "pw-12345").await;
        id.as_i64().unwrap()
    }

    /// Makes a key of a user's for a role, under a name of its own.
    pub(super) async fn key(&mut self, name: &str, who: &str, role: &str) {
        let body = json!({"name": name, "role": {"name": role}, "expiresIn": "1d"});
        let token = self.did(who, "POST apiKeys:create", &body).await.at("data.token");
        self.tokens.insert(name.to_owned(), token.as_str().expect(name).to_owned());
    }

    /// Makes a role with a strategy of these actions.
    pub(super) async fn role(&self, name: &str, actions: &[&str]) {
        let body = json!({"name": name, "title": name, "strategy": {"actions": actions},
            "snippets": ["!ui.*", "!pm", "!pm.*"]});
        self.did("root", "POST roles:create", &body).await;
    }

    /// Gives a role permissions of its own on a collection.
    pub(super) async fn configure(&self, role: &str, collection: &str, actions: Value) {
        let body = json!({"name": collection, "usingActionsConfig": true, "actions": actions});
        self.did("root", &format!("POST roles/{role}/resources:create"), &body).await;
    }

    /// What somebody asks (`eve`, `eve as admin` with `X-Role`; nobody: an empty name).
    fn request(&self, who: &str, line: &str, body: &Value) -> ApiRequest {
        let (method, path) = line.split_once(' ').unwrap();
        let (target, query) = path.split_once('?').unwrap_or((path, ""));
        let (who, role) = who.split_once(" as ").unwrap_or((who, ""));
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, "application/json".parse().unwrap());
        if !who.is_empty() {
            let token = &self.tokens[who];
            headers.insert(header::AUTHORIZATION, format!("Bearer {token}").parse().unwrap());
        }
        if !role.is_empty() {
            headers.insert("x-role", role.parse().unwrap());
        }
        let body = if body.is_null() { String::new() } else { body.to_string() };
        ApiRequest {
            method: method.parse().unwrap(),
            target: target.into(),
            query: query.into(),
            headers,
            body: Bytes::from(body),
            client: None,
        }
    }

    /// Asks, and hangs up as soon as it is begun.
    pub(super) async fn hang_up(&self, who: &str, line: &str, body: &Value) {
        // Who asks is known by now, so that the database is first asked for what is to be done.
        self.did(who, "GET auth:check", &Value::Null).await;
        let mut asked = Box::pin(self.app.api(self.request(who, line, body)));
        let begun = std::future::poll_fn(|context| Poll::Ready(asked.as_mut().poll(context))).await;
        assert!(begun.is_pending(), "{who}: {line} was answered at once");
    }

    /// Asks as somebody; see [`World::request`].
    pub(super) async fn ask(&self, who: &str, line: &str, body: &Value) -> Reply {
        let response = self.app.api(self.request(who, line, body)).await;
        let text = String::from_utf8(response.body().to_vec()).unwrap();
        let status = response.status().as_u16();
        assert!(status < 500, "{who}: {line}: {text}");
        Reply { status, body: serde_json::from_str(&text).unwrap(), text }
    }

    /// Asks for what is done.
    pub(super) async fn did(&self, who: &str, line: &str, body: &Value) -> Reply {
        let reply = self.ask(who, line, body).await;
        assert_eq!(reply.status, 200, "{who}: {line} {body}: {}", reply.text);
        reply
    }

    /// Goes through a table: who, the request, its body, the status, and what is at some path of
    /// the answer (`""` for nothing in particular).
    pub(super) async fn go_through(&self, cases: &[Case<'_>]) {
        let mut wrong = Vec::new();
        for (who, line, body, status, path, expected) in cases {
            let reply = self.ask(who, line, body).await;
            let fits = reply.status == *status && (path.is_empty() || reply.at(path) == *expected);
            if !fits {
                wrong.push(format!(
                    "{who}: {line} {body}\n  wanted {status} {expected}\n  got {} {}",
                    reply.status, reply.text
                ));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}

/// Who, the request, its body, the status, a path in the answer, and what is there.
pub(super) type Case<'a> = (&'a str, &'a str, Value, u16, &'a str, Value);

impl World {
    /// With posts that have comments and tags. Root made posts 1 (1 view) and 2 (10 views), each with a
    /// comment of the same number, a main tag (1 and 3) and another tag (2 and 4).
    pub(super) async fn blog(engine: TestEngine) -> Self {
        let world = Self::new(engine).await;
        let text = |name: &str| json!({"name": name, "type": "string"});
        let collection = |name: &str, fields: Value| json!({"name": name, "createdBy": true, "createdAt": true, "fields": fields});
        let own = json!([text("name"), {"name": "pin", "type": "password"}]);
        world.did("root", "POST collections:create", &collection("tags", own)).await;
        let own = json!([text("body"), text("note")]);
        world.did("root", "POST collections:create", &collection("comments", own)).await;
        let mut posts = collection(
            "posts",
            json!([
                text("title"), text("secret"), {"name": "views", "type": "integer"},
                {"name": "comments", "type": "hasMany", "target": "comments", "foreignKey": "postId"},
                {"name": "tags", "type": "belongsToMany", "target": "tags", "through": "postsTags",
                    "foreignKey": "postId", "otherKey": "tagId"},
                {"name": "mainTag", "type": "belongsTo", "target": "tags", "foreignKey": "mainTagId"},
            ]),
        );
        posts["sortable"] = json!(true);
        world.did("root", "POST collections:create", &posts).await;
        let post = json!({"name": "post", "type": "belongsTo", "target": "posts", "foreignKey": "postId"});
        world.did("root", "POST collections/comments/fields:create", &post).await;
        for (number, views) in [(1, 1), (2, 10)] {
            let name = |kind: &str| format!("{kind} {number}");
            let post = json!({
                "title": name("post"), "secret": name("hidden"), "views": views,
                "comments": [{"body": name("comment"), "note": name("note")}],
                "tags": [{"name": name("tag"), "pin": "4711"}], "mainTag": {"name": name("main tag")},
            });
            world.did("root", "POST posts:create", &post).await;
        }
        world
    }
}
