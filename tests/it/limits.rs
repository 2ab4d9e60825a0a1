//! The limits of applications: how they are set, which requests they refuse, and that other applications are not
//! affected.

use std::io::{Read, Write};
use std::net::TcpStream;

use macro_rules_attribute::apply;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::environment::{Daemon, PATIENCE, TestEnvironment, http, sign_in};
use crate::servers::{TestEngine, on_every_engine};

/// A request that takes a database minutes: it joins every member with every member of its group, repeatedly. The
/// second half prevents a plan that begins at the end, where no row matches.
pub const SLOW: &str = "/api/groups:list?filter={\"$or\":[\
    {\"members.group.members.group.members.group.members.name\":{\"$includes\":\"zz\"}},\
    {\"name\":{\"$includes\":\"zz\"}}]}";
pub const QUICK: &str = "/api/app:getInfo";

/// Starts a daemon with an application `crm` that can answer [`SLOW`].
pub async fn crm(environment: &TestEnvironment) -> (Daemon, String) {
    let daemon = environment.daemon();
    daemon.call("app.create", json!({"id": "crm", "start": true}));
    let token = sign_in(&daemon, Some("crm")).await;
    let create = async |target: &str, body: Value| {
        let (status, answer) =
            http(&daemon, "POST", &format!("/api/{target}:create"), Some("crm"), Some(&token), Some(body))
                .await;
        assert_eq!(status, 200, "{answer}");
    };
    let name = json!({"name": "name", "type": "string"});
    let many = json!({"name": "members", "type": "hasMany", "target": "members", "foreignKey": "groupId"});
    let one = json!({"name": "group", "type": "belongsTo", "target": "groups", "foreignKey": "groupId"});
    create("collections", json!({"name": "groups", "fields": [name]})).await;
    create("collections", json!({"name": "members", "fields": [name, one]})).await;
    let created =
        http(&daemon, "POST", "/api/collections/groups/fields:create", Some("crm"), Some(&token), Some(many));
    assert_eq!(created.await.0, 200);
    let members: Vec<Value> = (0..200).map(|number| json!({"name": format!("member {number}")})).collect();
    create("groups", json!({"name": "all", "members": members})).await;
    (daemon, token)
}

/// A response of an application.
pub struct Answer {
    pub status: u16,
    retry_after: Option<u64>,
    closes: bool,
    body: Value,
}

impl Answer {
    /// Returns the status and the code, and checks that it has a `Retry-After`.
    fn refusal(&self) -> (u16, &str) {
        assert!(self.retry_after.is_some_and(|seconds| seconds >= 1), "{}", self.body);
        let code = &self.body["error"]["code"];
        (self.status, code.as_str().or(self.body["errors"][0]["code"].as_str()).unwrap())
    }
}

async fn get(url: String, app: &str, token: &str) -> Answer {
    let request = reqwest::Client::new().get(url).header("X-App", app).bearer_auth(token);
    let response = request.send().await.unwrap();
    let header = |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    Answer {
        status: response.status().as_u16(),
        retry_after: header("retry-after").map(|seconds| seconds.parse().unwrap()),
        closes: header("connection").as_deref() == Some("close"),
        body: response.json().await.unwrap(),
    }
}

/// Sends a request in the background. Aborting the handle cancels it.
pub fn ask(daemon: &Daemon, path: &str, token: &str) -> JoinHandle<Answer> {
    let (url, token) = (format!("{}{path}", daemon.url), token.to_owned());
    tokio::spawn(async move { get(url, "crm", &token).await })
}

pub fn update(daemon: &Daemon, limits: Value) {
    daemon.call("app.update", json!({"id": "crm", "limits": limits}));
}

/// Waits until this many requests are in flight.
async fn in_flight(daemon: &Daemon, count: u64) -> Value {
    let begun = std::time::Instant::now();
    loop {
        let application = daemon.call("app.get", json!({"id": "crm"}));
        if application["requests_in_flight"] == count {
            return application;
        }
        assert!(begun.elapsed() < PATIENCE, "{count}: {application}");
        tokio::task::yield_now().await;
    }
}

#[apply(on_every_engine)]
#[tokio::test]
async fn limits_are_set_shown_stored_and_removed(engine: TestEngine) {
    let environment = TestEnvironment::of(engine);
    let mut command = environment.daemon_command();
    command.env("NBAPPS_LIMIT_QUEUE", "7").env("NBAPPS_LIMIT_REQUEST_TIME", "20s");
    let daemon = environment.daemon_by(command);
    let run = |line: &str| environment.nbapps(&line.split(' ').collect::<Vec<_>>());
    let created =
        run("create crm --limit in-flight=8 --limit body=2MiB --limit rate=none -o json").ok().json();
    let limits = &created["application"]["limits"];
    assert_eq!(
        (&limits["in_flight"], &limits["body_bytes"], &limits["queue"], &limits["request_time_ms"]),
        (&json!(8), &json!(2 << 20), &json!(7), &json!(20_000))
    );
    let set = &created["application"]["own_limits"];
    assert_eq!(*set, json!(["in_flight", "body_bytes", "requests_per_second"]));

    let changed =
        run("update crm --limit in-flight=default --limit statement-time=1m30s -o json").ok().json();
    assert_eq!(changed["limits"]["in_flight"], 64);
    assert_eq!(changed["limits"]["statement_time_ms"], 90_000);
    let shown = run("show crm").ok().stdout;
    assert!(shown.contains("statement-time=1m30s body=2MiB rate=none"), "{shown}");
    assert!(shown.contains("in-flight=64 queue=7"), "{shown}");
    assert!(run("list -o wide").ok().stdout.contains("statement-time=1m30s"));

    for wrong in ["in-flight=0", "in-flight", "speed=9", "body=much", "request-time=9"] {
        let ran = run(&format!("update crm --limit {wrong}"));
        assert_eq!(ran.code, 2, "{wrong}: {}", ran.stderr);
    }
    for wrong in [json!({"in_flight": 0}), json!({"body_bytes": 1_u64 << 40})] {
        assert_eq!(daemon.refusal("app.update", json!({"id": "crm", "limits": wrong})), "invalid_setting");
        let create = json!({"id": "other", "limits": wrong});
        assert_eq!(daemon.refusal("app.create", create), "invalid_setting");
    }
    assert!(daemon.stop().success());
    let daemon = environment.daemon();
    let again = daemon.call("app.get", json!({"id": "crm"}));
    assert_eq!(again["own_limits"], changed["own_limits"]);
    assert_eq!((&again["limits"]["body_bytes"], &again["limits"]["queue"]), (&json!(2 << 20), &json!(256)));
    assert_eq!(run("delete crm --yes").code, 0);
    run("undelete crm").ok();
    assert_eq!(daemon.call("app.get", json!({"id": "crm"}))["limits"]["body_bytes"], 2 << 20);
}

#[apply(on_every_engine)]
#[tokio::test]
async fn requests_over_the_rate_get_a_retry_after(engine: TestEngine) {
    let environment = TestEnvironment::of(engine);
    let daemon = environment.daemon();
    daemon.call("app.create", json!({"id": "crm", "start": true}));
    update(&daemon, json!({"requests_per_second": 1}));
    let asked: Vec<_> = (0..40).map(|_| ask(&daemon, QUICK, "")).collect();
    let (mut good, mut refused) = (0, 0);
    for answer in asked {
        let answer = answer.await.unwrap();
        if answer.status == 200 {
            good += 1;
        } else {
            assert_eq!(answer.refusal(), (429, "APP_RATE_LIMITED"));
            refused += 1;
        }
    }
    assert!(good > 0 && refused > 0, "{good} {refused}");
    assert_eq!(get(format!("{}{QUICK}", daemon.url), "main", "").await.status, 200, "the others are not");
    update(&daemon, json!({"requests_per_second": null}));
    for answer in (0..10).map(|_| ask(&daemon, QUICK, "")).collect::<Vec<_>>() {
        assert_eq!(answer.await.unwrap().status, 200);
    }
}

#[apply(on_every_engine)]
#[tokio::test]
async fn requests_in_flight_and_in_the_queue_are_limited(engine: TestEngine) {
    let environment = TestEnvironment::of(engine);
    let (daemon, token) = crm(&environment).await;
    update(&daemon, json!({"in_flight": 1, "queue": 0}));
    let slow = ask(&daemon, SLOW, &token);
    in_flight(&daemon, 1).await;
    let refused = ask(&daemon, QUICK, "").await.unwrap();
    assert_eq!(refused.refusal(), (503, "APP_BUSY"));
    let page = reqwest::Client::new().get(format!("{}/apps/crm/admin/", daemon.url));
    let page = page.header("Accept", "text/html").send().await.unwrap();
    assert_eq!((page.status().as_u16(), page.headers()["retry-after"].as_bytes()), (503, &b"1"[..]));
    assert!(page.text().await.unwrap().contains("This application is busy"));

    update(&daemon, json!({"queue": 1, "queue_time_ms": 20}));
    assert_eq!(ask(&daemon, QUICK, "").await.unwrap().refusal(), (503, "APP_BUSY"));
    update(&daemon, json!({"queue_time_ms": 60_000}));
    let waiting = ask(&daemon, QUICK, "");
    update(&daemon, json!({"in_flight": 2}));
    assert_eq!(waiting.await.unwrap().status, 200, "there is room now");
    assert!(!slow.is_finished());

    // A disconnected client releases its permit: its statement is cancelled.
    update(&daemon, json!({"in_flight": 1}));
    slow.abort();
    assert_eq!(ask(&daemon, QUICK, "").await.unwrap().status, 200);
    in_flight(&daemon, 0).await;
}

#[apply(on_every_engine)]
#[tokio::test]
async fn slow_requests_and_statements_time_out(engine: TestEngine) {
    let environment = TestEnvironment::of(engine);
    let (daemon, token) = crm(&environment).await;
    update(&daemon, json!({"request_time_ms": 200}));
    assert_eq!(ask(&daemon, SLOW, &token).await.unwrap().refusal(), (503, "APP_TIMEOUT"));
    in_flight(&daemon, 0).await;
    update(&daemon, json!({"request_time_ms": null, "statement_time_ms": 200}));
    assert_eq!(ask(&daemon, SLOW, &token).await.unwrap().refusal(), (503, "STATEMENT_TIMEOUT"));
    update(&daemon, json!({"statement_time_ms": null}));
    assert_eq!(ask(&daemon, "/api/groups:list", &token).await.unwrap().status, 200, "its database goes on");
}

#[apply(on_every_engine)]
#[tokio::test]
async fn long_bodies_are_refused(engine: TestEngine) {
    let environment = TestEnvironment::of(engine);
    let daemon = environment.daemon();
    daemon.call("app.create", json!({"id": "crm", "start": true, "limits": {"body_bytes": 1000}}));
    let long = Some(json!({"account": "x".repeat(2000), "password": "x"}));
    let sign_in = async || http(&daemon, "POST", "/api/auth:signIn", Some("crm"), None, long.clone()).await;
    let (status, answer) = sign_in().await;
    assert_eq!((status, &answer["error"]["code"]), (413, &json!("BODY_TOO_LARGE")));
    update(&daemon, json!({"body_bytes": 3000}));
    assert_eq!(sign_in().await.0, 401);
}

#[apply(on_every_engine)]
#[tokio::test]
async fn connections_are_counted_while_a_body_arrives(engine: TestEngine) {
    let environment = TestEnvironment::of(engine);
    let daemon = environment.daemon();
    daemon.call("app.create", json!({"id": "crm", "start": true, "limits": {"connections": 1}}));
    let mut held = TcpStream::connect(daemon.url.trim_start_matches("http://")).unwrap();
    held.set_read_timeout(Some(PATIENCE)).unwrap();
    let head = "POST /api/auth:signIn HTTP/1.1\r\nHost: x\r\nX-App: crm\r\nExpect: 100-continue\r\n\
                Content-Type: application/json\r\nContent-Length: 2\r\n\r\n";
    held.write_all(head.as_bytes()).unwrap();
    let mut asked = [0; 25];
    held.read_exact(&mut asked).unwrap();
    let refused = ask(&daemon, QUICK, "").await.unwrap();
    assert_eq!(refused.refusal(), (503, "APP_BUSY"));
    assert!(refused.closes, "there are too many");
    update(&daemon, json!({"connections": 2}));
    assert_eq!(ask(&daemon, QUICK, "").await.unwrap().status, 200);
    update(&daemon, json!({"connections": 1}));
    held.write_all(b"{}").unwrap();
    held.read_exact(&mut [0; 12]).unwrap();
    while ask(&daemon, QUICK, "").await.unwrap().status != 200 {}
}

#[apply(on_every_engine)]
#[tokio::test]
async fn slow_statements_of_one_application_do_not_delay_others(engine: TestEngine) {
    let environment = TestEnvironment::of(engine);
    let (daemon, token) = crm(&environment).await;
    update(&daemon, json!({"database_connections": 2}));
    daemon.call("app.create", json!({"id": "hr", "start": true}));
    let hr = sign_in(&daemon, Some("hr")).await;
    let slow: Vec<_> = (0..12).map(|_| ask(&daemon, SLOW, &token)).collect();
    let application = in_flight(&daemon, 12).await;
    if environment.is_on_server() {
        assert!(application["database"]["connections"].as_u64().unwrap() <= 2, "{application}");
    }
    for _ in 0..20 {
        let answer = get(format!("{}/api/users:list", daemon.url), "hr", &hr).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
    slow.iter().for_each(JoinHandle::abort);
    in_flight(&daemon, 0).await;
}

#[apply(on_every_engine)]
#[tokio::test]
async fn a_panic_is_that_requests_500_and_nobody_elses(engine: TestEngine) {
    let environment = TestEnvironment::of(engine);
    let mut command = environment.daemon_command();
    command.env("NBAPPS_PANIC_AT", "crash:now");
    let daemon = environment.daemon_by(command);
    daemon.call("app.create", json!({"id": "crm", "start": true, "limits": {"in_flight": 1, "queue": 0}}));
    for _ in 0..3 {
        let (status, answer) = http(&daemon, "POST", "/api/crash:now", Some("crm"), None, None).await;
        assert_eq!(status, 500, "{answer}");
        assert_eq!(ask(&daemon, QUICK, "").await.unwrap().status, 200, "its turn was given back");
    }
}
