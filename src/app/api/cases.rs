//! The API as tables of requests and answers, in `tests/cases/`: one application for a file, the
//! same file on every engine.
//!
//! | line | what it says |
//! |---|---|
//! | `# …` | nothing |
//! | `> POST posts:create {"a": 1}` | a request, with its body; `${name}` is a value saved before |
//! | `@ X-Timezone: +08:00` | a header of the next request |
//! | `< 200 {"data": …}` | the status, and what the answer contains; `4xx` is any of 400 to 499 |
//! | `= 1 3` | the answer is a list of these records, in this order, and counts them |
//! | `! text` | what is nowhere in the answer |
//! | `& name data.id` | saves a value of the answer |
//! | `as name account password` | signs in; requests are of this session from here on |
//! | `as name` | goes back to a session |

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, header};
use macro_rules_attribute::apply;
use serde_json::{Value, json};

use super::*;
use crate::app::App;
use crate::app::test_place::{PASSWORD, Place};
use crate::test_servers::{TestEngine, on_every_engine};

#[apply(on_every_engine)]
#[tokio::test]
async fn collections_and_fields(engine: TestEngine) {
    follow(engine, "collections").await;
}

#[apply(on_every_engine)]
#[tokio::test]
async fn options_of_definitions(engine: TestEngine) {
    follow(engine, "options").await;
}

#[apply(on_every_engine)]
#[tokio::test]
async fn records(engine: TestEngine) {
    follow(engine, "records").await;
}

#[apply(on_every_engine)]
#[tokio::test]
async fn records_of_every_key(engine: TestEngine) {
    follow(engine, "keys").await;
}

#[apply(on_every_engine)]
#[tokio::test]
async fn associations(engine: TestEngine) {
    follow(engine, "associations").await;
}

#[apply(on_every_engine)]
#[tokio::test]
async fn links_over_fields_of_one_type(engine: TestEngine) {
    follow(engine, "links").await;
}

#[apply(on_every_engine)]
#[tokio::test]
async fn limits_of_the_engines(engine: TestEngine) {
    follow(engine, "limits").await;
}

#[apply(on_every_engine)]
#[tokio::test]
async fn nested_values(engine: TestEngine) {
    follow(engine, "nested").await;
}

#[apply(on_every_engine)]
#[tokio::test]
async fn filters(engine: TestEngine) {
    follow(engine, "filters").await;
}

#[apply(on_every_engine)]
#[tokio::test]
async fn variables_of_filters(engine: TestEngine) {
    follow(engine, "variables").await;
}

#[apply(on_every_engine)]
#[tokio::test]
async fn parameters(engine: TestEngine) {
    follow(engine, "parameters").await;
}

#[apply(on_every_engine)]
#[tokio::test]
async fn dates_by_their_parts(engine: TestEngine) {
    follow(engine, "formats").await;
}

#[apply(on_every_engine)]
#[tokio::test]
async fn sums_out_of_range(engine: TestEngine) {
    follow(engine, "aggregates").await;
}

#[apply(on_every_engine)]
#[tokio::test]
async fn filters_by_date(engine: TestEngine) {
    follow(engine, "dates").await;
}

#[apply(on_every_engine)]
#[tokio::test]
async fn filters_at_both_ends_of_the_calendar(engine: TestEngine) {
    follow(engine, "calendar").await;
}

#[apply(on_every_engine)]
#[tokio::test]
async fn filters_that_are_empty_inside(engine: TestEngine) {
    follow(engine, "empty_filters").await;
}

#[apply(on_every_engine)]
#[tokio::test]
async fn texts_and_patterns(engine: TestEngine) {
    follow(engine, "patterns").await;
}

#[apply(on_every_engine)]
#[tokio::test]
async fn the_order_of_texts(engine: TestEngine) {
    follow(engine, "text_order").await;
}

#[apply(on_every_engine)]
#[tokio::test]
async fn texts_with_nul(engine: TestEngine) {
    follow(engine, "nul").await;
}

#[apply(on_every_engine)]
#[tokio::test]
async fn records_by_what_names_them(engine: TestEngine) {
    follow(engine, "naming").await;
}

#[apply(on_every_engine)]
#[tokio::test]
async fn field_types(engine: TestEngine) {
    follow(engine, "types").await;
}

#[apply(on_every_engine)]
#[tokio::test]
async fn exact_numbers(engine: TestEngine) {
    follow(engine, "numbers").await;
}

#[apply(on_every_engine)]
#[tokio::test]
async fn notations_of_values(engine: TestEngine) {
    follow(engine, "notations").await;
}

#[apply(on_every_engine)]
#[tokio::test]
async fn paging_and_sorting(engine: TestEngine) {
    follow(engine, "paging").await;
}

#[apply(on_every_engine)]
#[tokio::test]
async fn moving(engine: TestEngine) {
    follow(engine, "moving").await;
}

#[apply(on_every_engine)]
#[tokio::test]
async fn unique_places(engine: TestEngine) {
    follow(engine, "unique_places").await;
}

#[apply(on_every_engine)]
#[tokio::test]
async fn requests_that_are_not_meant(engine: TestEngine) {
    follow(engine, "not_meant").await;
}

#[apply(on_every_engine)]
#[tokio::test]
async fn several_changed_in_order(engine: TestEngine) {
    follow(engine, "changed_order").await;
}

#[apply(on_every_engine)]
#[tokio::test]
async fn keys_of_nought_and_less(engine: TestEngine) {
    follow(engine, "key_zero").await;
}

#[apply(on_every_engine)]
#[tokio::test]
async fn removing_what_refers(engine: TestEngine) {
    follow(engine, "cascades").await;
}

#[apply(on_every_engine)]
#[tokio::test]
async fn sums_and_counts(engine: TestEngine) {
    follow(engine, "queries").await;
}

#[apply(on_every_engine)]
#[tokio::test]
async fn unknown_names(engine: TestEngine) {
    follow(engine, "strict").await;
}

#[apply(on_every_engine)]
#[tokio::test]
async fn what_is_asked_before_what(engine: TestEngine) {
    follow(engine, "request_order").await;
}

#[apply(on_every_engine)]
#[tokio::test]
async fn accounts(engine: TestEngine) {
    follow(engine, "accounts").await;
}

/// Follows a file from its beginning to its end; fails with all that is not as it says.
async fn follow(engine: TestEngine, name: &str) {
    follow_in(Place::installed(engine).await, name).await;
}

/// The same, in an application that was installed before.
pub(super) async fn follow_in(place: Place, name: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases").join(name).with_extension("txt");
    let text = std::fs::read_to_string(&file).unwrap();
    let app = place.open().await.unwrap();
    let mut follower = Follower::new(app, name);
    follower.sign_in("root", "nocobase", PASSWORD).await;
    for (at, line) in (1..).zip(text.lines()) {
        follower.line(at, line.trim()).await;
    }
    let wrong = follower.wrong;
    assert!(follower.requests > 0, "{name} has no request");
    assert!(wrong.is_empty(), "{} of {} requests:\n{}", wrong.len(), follower.requests, wrong.join("\n"));
}

struct Follower {
    app: Arc<App>,
    name: String,
    sessions: HashMap<String, String>,
    session: String,
    saved: HashMap<String, Value>,
    headers: HeaderMap,
    requests: usize,
    /// The last request, and what was answered.
    request: String,
    status: u16,
    answer: Value,
    wrong: Vec<String>,
}

impl Follower {
    fn new(app: Arc<App>, name: &str) -> Self {
        Self {
            app,
            name: name.to_owned(),
            sessions: HashMap::new(),
            session: String::new(),
            saved: HashMap::new(),
            headers: HeaderMap::new(),
            requests: 0,
            request: String::new(),
            status: 0,
            answer: Value::Null,
            wrong: Vec::new(),
        }
    }

    async fn line(&mut self, at: usize, line: &str) {
        let Some((kind, rest)) = line.split_once(' ') else {
            assert!(line.is_empty() || line == "#", "{}:{at}: {line}", self.name);
            return;
        };
        let rest = self.filled(rest);
        match kind {
            "#" => {}
            ">" => self.send(at, &rest).await,
            "@" => {
                let (name, value) = rest.split_once(": ").unwrap();
                self.headers
                    .insert(http::HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
            }
            "<" => self.expect(&rest),
            "=" => self.expect_ids(&rest),
            "!" if self.answer.to_string().contains(&rest) => {
                self.complain(&format!("{rest} is in the answer"));
            }
            "!" => {}
            "&" => {
                let (name, path) = rest.split_once(' ').unwrap();
                let pointer = format!("/{}", path.replace('.', "/"));
                let value = self.answer.pointer(&pointer).cloned().unwrap_or_default();
                self.saved.insert(name.to_owned(), value);
            }
            "as" => match rest.split(' ').collect::<Vec<_>>()[..] {
                [name, account, password] => self.sign_in(name, account, password).await,
                _ => self.session.clone_from(&self.sessions[&rest]),
            },
            other => panic!("{}:{at}: {other} begins no line", self.name),
        }
    }

    fn filled(&self, text: &str) -> String {
        self.saved.iter().fold(text.to_owned(), |text, (name, value)| {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            text.replace(&format!("${{{name}}}"), &value)
        })
    }

    async fn sign_in(&mut self, name: &str, account: &str, password: &str) {
        let body = json!({"account": account, "password": password});
        self.session.clear();
        self.send(0, &format!("POST auth:signIn {body}")).await;
        let token = self.answer["data"]["token"].as_str().unwrap_or_default().to_owned();
        assert!(!token.is_empty(), "{account}: {}", self.answer);
        self.sessions.insert(name.to_owned(), token.clone());
        self.session = token;
    }

    async fn send(&mut self, at: usize, line: &str) {
        let (method, rest) = line.split_once(' ').unwrap();
        let (path, body) = rest.split_once(' ').unwrap_or((rest, ""));
        let (target, query) = path.split_once('?').unwrap_or((path, ""));
        let mut headers = std::mem::take(&mut self.headers);
        headers.insert(header::CONTENT_TYPE, "application/json".parse().unwrap());
        headers.insert(header::AUTHORIZATION, format!("Bearer {}", self.session).parse().unwrap());
        let request = ApiRequest {
            method: method.parse().unwrap(),
            target: target.into(),
            query: query.into(),
            headers,
            body: Bytes::copy_from_slice(body.as_bytes()),
            client: None,
        };
        let response = self.app.api(request).await;
        self.requests += 1;
        self.request = format!("{}:{at}: {line}", self.name);
        self.status = response.status().as_u16();
        self.answer = serde_json::from_slice(response.body()).unwrap();
        if self.status >= 500 || self.answer.to_string().contains("$argon2") {
            self.complain("no request is answered so");
        }
    }

    fn expect(&mut self, expected: &str) {
        let (status, body) = expected.split_once(' ').unwrap_or((expected, ""));
        let fits = match status {
            "4xx" => (400..500).contains(&self.status),
            status => status == self.status.to_string(),
        };
        if !fits {
            return self.complain(&format!("the status is not {status}"));
        }
        if !body.is_empty() {
            let body: Value = serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {body}"));
            if let Some(difference) = missing(&body, &self.answer, "body") {
                self.complain(&difference);
            }
        }
    }

    fn expect_ids(&mut self, expected: &str) {
        let records = self.answer["data"].as_array().cloned().unwrap_or_default();
        let ids: Vec<String> = records.iter().map(|record| record["id"].to_string()).collect();
        let counted = self.answer["meta"]["count"].as_u64().is_none_or(|count| count == ids.len() as u64);
        let expected: Vec<&str> = expected.split_whitespace().filter(|id| *id != "none").collect();
        if self.status != 200 || !self.answer["data"].is_array() || ids != expected || !counted {
            self.complain(&format!("these are not {expected:?}"));
        }
    }

    fn complain(&mut self, what: &str) {
        let answer: String = self.answer.to_string().chars().take(600).collect();
        self.wrong.push(format!("{}\n    {what}: {} {answer}", self.request, self.status));
    }
}

/// The first place where `answer` does not have what `expected` has: all names of an object, all
/// items of a list. `"<text>"` is any text, `"<any>"` anything that is there.
fn missing(expected: &Value, answer: &Value, path: &str) -> Option<String> {
    match (expected, answer) {
        (Value::Object(expected), Value::Object(answer)) => expected.iter().find_map(|(name, value)| {
            let path = format!("{path}.{name}");
            match answer.get(name) {
                Some(answer) => missing(value, answer, &path),
                None => Some(format!("{path} is missing")),
            }
        }),
        (Value::Array(expected), Value::Array(answer)) if expected.len() == answer.len() => {
            let mut pairs = expected.iter().zip(answer).enumerate();
            pairs.find_map(|(at, (expected, answer))| missing(expected, answer, &format!("{path}[{at}]")))
        }
        (Value::String(text), Value::String(_)) if text == "<text>" => None,
        (Value::String(text), answer) if text == "<any>" && !answer.is_null() => None,
        _ if expected == answer => None,
        _ => Some(format!("{path}: {expected} is not {answer}")),
    }
}
