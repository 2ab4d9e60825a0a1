//! Metrics for Prometheus: `nbapps metrics`, and `GET /metrics` where it is configured.

use std::collections::{BTreeMap, BTreeSet};
use std::net::TcpListener;

use macro_rules_attribute::apply;
use serde_json::json;

use crate::environment::{Daemon, TestEnvironment, http};
use crate::limits::QUICK;
use crate::servers::{TestEngine, on_every_engine};

/// A sample of a text: its name and labels, as they are written.
type Samples = BTreeMap<String, f64>;

/// Reads a text as OpenMetrics has it: each sample belongs to the family before it, and the text has an end.
fn parse(text: &str) -> Samples {
    let mut samples = Samples::new();
    let (mut families, mut family, mut kind) = (BTreeSet::new(), String::new(), String::new());
    let text = text.strip_suffix("# EOF\n").unwrap_or_else(|| panic!("it has no end: {text}"));
    let sample =
        regex::Regex::new(r#"^([a-z_]+)(\{[a-z_]+="[^"]*"(,[a-z_]+="[^"]*")*\})? ([0-9.e+-]+)$"#).unwrap();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            family = rest.split(' ').next().unwrap().to_owned();
            assert!(families.insert(family.clone()), "{family} is described twice");
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, of) = rest.split_once(' ').unwrap();
            assert_eq!(name, family);
            kind = of.to_owned();
        } else if let Some(rest) = line.strip_prefix("# UNIT ") {
            assert!(family.ends_with(&format!("_{}", rest.split(' ').nth(1).unwrap())), "{line}");
        } else {
            let parts = sample.captures(line).unwrap_or_else(|| panic!("{line}"));
            let suffix =
                parts[1].strip_prefix(&*family).unwrap_or_else(|| panic!("{line} is not of {family}"));
            let suffixes: &[&str] = match &*kind {
                "counter" => &["_total"],
                "histogram" => &["_bucket", "_count", "_sum"],
                "gauge" => &[""],
                other => panic!("{other}: {line}"),
            };
            assert!(suffixes.contains(&suffix), "{line} is no {kind}");
            let name = line.rsplit_once(' ').unwrap().0.to_owned();
            assert_eq!(samples.insert(name, parts[4].parse().unwrap()), None, "{line} is there twice");
        }
    }
    samples
}

/// The values of the label `app`.
fn applications(samples: &Samples) -> BTreeSet<String> {
    let label = |name: &String| Some(name.split("app=\"").nth(1)?.split('"').next()?.to_owned());
    samples.keys().filter_map(label).collect()
}

/// Starts a daemon that serves metrics, with some other variables.
fn daemon(environment: &TestEnvironment, variables: &[(&str, &str)]) -> (Daemon, String) {
    let mut command = environment.daemon_command();
    command.env("NBAPPS_METRICS_LISTEN", "127.0.0.1:0").envs(variables.iter().copied());
    let daemon = environment.daemon_by(command);
    let address = daemon.call("host.info", json!({}))["metrics_listen"].as_str().unwrap().to_owned();
    (daemon, format!("http://{address}/metrics"))
}

async fn read(url: &str) -> Samples {
    let response = reqwest::get(url).await.unwrap();
    assert_eq!(response.status(), 200);
    let kind = response.headers()["content-type"].to_str().unwrap().to_owned();
    assert_eq!(kind, "application/openmetrics-text; version=1.0.0; charset=utf-8");
    parse(&response.text().await.unwrap())
}

async fn visit(daemon: &Daemon, id: &str, times: usize) {
    for _ in 0..times {
        assert_eq!(http(daemon, "GET", QUICK, Some(id), None, None).await.0, 200);
    }
}

#[apply(on_every_engine)]
#[tokio::test]
async fn prometheus_reads_what_applications_do(engine: TestEngine) {
    let environment = TestEnvironment::of(engine);
    let (daemon, url) = daemon(&environment, &[]);
    daemon.call("app.create", json!({"id": "crm", "start": true}));
    daemon.call("app.create", json!({"id": "hr"}));
    visit(&daemon, "crm", 3).await;
    visit(&daemon, "hr", 1).await;
    http(&daemon, "GET", "/api/users:nosuch", Some("crm"), None, None).await;
    let samples = read(&url).await;
    let of = |name: &str| samples.get(name).copied();
    assert_eq!(of("nbapps_requests_total{app=\"crm\",code=\"200\"}"), Some(3.0), "{samples:#?}");
    assert_eq!(of("nbapps_request_duration_seconds_count{app=\"crm\"}"), Some(4.0));
    assert_eq!(of("nbapps_request_duration_seconds_bucket{le=\"+Inf\",app=\"crm\"}"), Some(4.0));
    assert_eq!(of("nbapps_cold_starts_total{app=\"hr\"}"), Some(1.0));
    assert_eq!(of("nbapps_cold_starts_total{app=\"crm\"}"), Some(0.0));
    assert_eq!(of("nbapps_application_running{app=\"main\"}"), Some(1.0), "without a request, too");
    assert_eq!(of("nbapps_applications{state=\"running\"}"), Some(3.0));
    assert!(of("nbapps_database_size_bytes{app=\"crm\"}") > Some(4096.0));
    assert_eq!(
        of("nbapps_database_page_cache_max_bytes{app=\"crm\"}").is_some(),
        !environment.is_on_server()
    );
    assert!(of("process_resident_memory_bytes") > Some(1e6) && of("process_cpu_seconds_total") > Some(0.0));
    // Buckets are cumulative.
    let buckets = samples.iter().filter(|(name, _)| name.contains("_bucket{") && name.contains("\"crm\""));
    let mut buckets: Vec<(f64, f64)> = buckets
        .map(|(name, count)| {
            let bound = name.split("le=\"").nth(1).unwrap().split('"').next().unwrap();
            (if bound == "+Inf" { f64::INFINITY } else { bound.parse().unwrap() }, *count)
        })
        .collect();
    buckets.sort_by(|one, other| one.0.total_cmp(&other.0));
    assert!(buckets.len() > 15 && buckets.windows(2).all(|pair| pair[0].1 <= pair[1].1), "{buckets:?}");
    // The command prints the same, and the JSON has the text.
    let printed = parse(&environment.nbapps(&["metrics"]).ok().stdout);
    assert!(printed.keys().eq(samples.keys()), "{printed:#?}");
    let json = environment.nbapps(&["metrics", "-o", "json"]).ok().json();
    assert!(json["text"].as_str().unwrap().ends_with("# EOF\n"), "{json}");
    // An application that was deleted disappears.
    daemon.call("app.delete", json!({"id": "hr"}));
    let names = applications(&read(&url).await);
    assert_eq!(names, ["crm", "main"].map(str::to_owned).into());
}

#[tokio::test]
async fn only_some_applications_have_labels_and_the_others_are_summed_up() {
    let environment = TestEnvironment::new();
    let (daemon, url) = daemon(&environment, &[("NBAPPS_METRICS_APPLICATIONS", "2")]);
    for (id, times) in [("a", 1), ("b", 9), ("c", 2), ("d", 8), ("e", 0)] {
        daemon.call("app.create", json!({"id": id, "start": true}));
        visit(&daemon, id, times).await;
    }
    let requests = |samples: &Samples, app: &str| {
        samples.get(&format!("nbapps_requests_total{{app=\"{app}\",code=\"200\"}}")).copied()
    };
    let samples = read(&url).await;
    assert_eq!(applications(&samples), ["_other", "b", "d"].map(str::to_owned).into());
    assert_eq!(requests(&samples, "_other"), Some(3.0));
    assert_eq!(samples["nbapps_application_running{app=\"_other\"}"], 4.0);
    // Another one takes a place when it has more than twice as many requests; the sum does not go back.
    visit(&daemon, "a", 20).await;
    let samples = read(&url).await;
    assert_eq!(applications(&samples), ["_other", "a", "b"].map(str::to_owned).into());
    assert_eq!((requests(&samples, "a"), requests(&samples, "_other")), (Some(21.0), Some(3.0)));
    visit(&daemon, "d", 1).await;
    visit(&daemon, "c", 1).await;
    assert_eq!(requests(&read(&url).await, "_other"), Some(5.0));
    // Neither does it when one of them is deleted.
    daemon.call("app.delete", json!({"id": "d"}));
    assert_eq!(requests(&read(&url).await, "_other"), Some(5.0));
    visit(&daemon, "e", 2).await;
    assert_eq!(requests(&read(&url).await, "_other"), Some(7.0));
    // Without labels, everything is summed up.
    assert!(daemon.stop().success());
    let (daemon, url) = self::daemon(&environment, &[("NBAPPS_METRICS_APPLICATIONS", "0")]);
    visit(&daemon, "a", 1).await;
    assert_eq!(applications(&read(&url).await), ["_other".to_owned()].into());
}

#[tokio::test]
async fn the_metrics_are_apart_from_the_applications() {
    let environment = TestEnvironment::new();
    let (daemon, url) = daemon(&environment, &[]);
    let client = reqwest::Client::new();
    let post = client.post(&url).send().await.unwrap();
    assert_eq!((post.status().as_u16(), post.headers()["allow"].as_bytes()), (405, &b"GET, HEAD"[..]));
    let head = client.head(&url).send().await.unwrap();
    assert!(head.status().is_success() && head.text().await.unwrap().is_empty());
    for path in ["/", "/metrics/", "/api/app:getInfo"] {
        let other = client.get(url.replace("/metrics", path)).send().await.unwrap();
        assert_eq!(other.status(), 404, "{path}");
        assert!(!other.text().await.unwrap().contains("nbapps_"), "{path}");
    }
    // The port that browsers reach knows of none.
    for path in ["/metrics", "/api/metrics", "/apps/crm/metrics", "/admin/metrics"] {
        let public = client.get(format!("{}{path}", daemon.url)).send().await.unwrap();
        assert!(!public.text().await.unwrap().contains("nbapps_requests"), "{path}");
    }
    let status = environment.nbapps(&["daemon", "status"]).ok().stdout;
    assert!(status.contains(&url), "{status}");
    assert!(daemon.stop().success(), "it ends with the daemon");
    assert!(reqwest::get(&url).await.is_err());
    // Without the key, nothing listens.
    let daemon = environment.daemon();
    assert!(daemon.call("host.info", json!({})).get("metrics_listen").is_none());
    assert!(!environment.nbapps(&["daemon", "status"]).ok().stdout.contains("Metrics"));
}

#[test]
fn an_address_that_is_taken_keeps_the_daemon_from_starting() {
    let environment = TestEnvironment::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let mut command = environment.daemon_command();
    command.env("NBAPPS_METRICS_LISTEN", &address);
    let (code, said) = environment.refused(command);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains(&format!("cannot listen for requests of metrics on {address}")), "{said}");
    assert!(said.contains("hint: ") && said.contains("metrics.listen"), "{said}");
    let mut command = environment.daemon_command();
    command.args(["--listen", &address]).env("NBAPPS_METRICS_LISTEN", &address);
    let (code, said) = environment.refused(command);
    assert_eq!(code, 1, "{said}");
    assert!(
        said.contains("NBAPPS_METRICS_LISTEN") && said.contains("is where the applications are"),
        "{said}"
    );
}
