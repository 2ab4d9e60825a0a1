//! The control socket: valid and malformed requests, limits, and many connections.

use serde_json::json;

use crate::environment::TestEnvironment;

#[test]
fn every_kind_of_line_gets_its_response() {
    let environment = TestEnvironment::new();
    let daemon = environment.daemon();
    let mut neighbour = daemon.connect();
    let mut connection = daemon.connect();
    for (line, kind, id) in [
        (&b"{not json\n"[..], "parse_error", json!(null)),
        (b"\xff\xfe\n", "parse_error", json!(null)),
        (b"[1,2]\n", "invalid_request", json!(null)),
        (b"{\"id\":1,\"method\":\"host.info\"}\n", "invalid_request", json!(1)),
        (b"{\"jsonrpc\":\"2.0\",\"id\":\"x\",\"method\":\"no.such\"}\n", "method_not_found", json!("x")),
        (
            b"{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"app.get\",\"params\":{}}\n",
            "invalid_params",
            json!(2),
        ),
        (
            b"{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"app.get\",\"params\":{\"id\":\"x y\"}}\n",
            "invalid_id",
            json!(3),
        ),
        (
            b"{\"jsonrpc\":\"2.0\",\"id\":4,\"method\":\"app.get\",\"params\":{\"id\":\"nosuch\"}}\n",
            "app_not_found",
            json!(4),
        ),
    ] {
        connection.send_raw(line);
        let answer = connection.receive().unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(line)));
        assert_eq!(answer["error"]["data"]["kind"], kind, "{answer}");
        assert_eq!(answer["id"], id, "{answer}");
    }
    // The connection still works after all of this.
    connection.call("host.info", json!({})).unwrap();
    neighbour.call("host.info", json!({})).unwrap();
}

#[test]
fn a_line_over_four_mebibytes_closes_only_its_connection() {
    let environment = TestEnvironment::new();
    let daemon = environment.daemon();
    let mut neighbour = daemon.connect();
    let mut connection = daemon.connect();
    let name = "x".repeat(4 * 1024 * 1024 - 200);
    let fits = connection.call("app.create", json!({"id": "crm", "environment": name}));
    assert_eq!(fits.unwrap_err()["data"]["kind"], "invalid_setting");
    connection.send_raw(&vec![b'x'; 4 * 1024 * 1024 + 1]);
    assert_eq!(connection.receive().unwrap()["error"]["data"]["kind"], "line_too_long");
    assert_eq!(connection.receive(), None);
    neighbour.call("host.info", json!({})).unwrap();
}

#[test]
fn a_partial_line_before_a_disconnect_has_no_effect() {
    let environment = TestEnvironment::new();
    let daemon = environment.daemon();
    let mut connection = daemon.connect();
    connection.send_raw(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"host.shut");
    drop(connection);
    // A creation continues when its client disconnects.
    let mut connection = daemon.connect();
    let mut events = daemon.connect();
    events.call("events.subscribe", json!({})).unwrap();
    connection.send("app.create", json!({"id": "crm", "start": true}));
    drop(connection);
    loop {
        let event = events.receive().unwrap();
        if event["params"]["to"] == "running" {
            break;
        }
    }
    assert_eq!(daemon.state("crm"), "running");
    let operations = daemon.call("operation.list", json!({}));
    assert_eq!(operations["operations"][0]["method"], "app.create");
}

#[test]
fn requests_on_one_connection_are_answered_in_order_of_completion() {
    let environment = TestEnvironment::new();
    let daemon = environment.daemon();
    daemon.call("app.create", json!({"id": "crm"}));
    let mut connection = daemon.connect();
    let slow = connection.send("app.wait", json!({"id": "crm", "state": "running", "timeout_ms": 60000}));
    let quick = connection.send("host.info", json!({}));
    connection.answer(quick).unwrap();
    daemon.call("app.start", json!({"id": "crm"}));
    assert_eq!(connection.answer(slow).unwrap()["state"], "running");
}

#[test]
fn greetings_negotiate_the_protocol_version() {
    let environment = TestEnvironment::new();
    let daemon = environment.daemon();
    let hello = daemon.call("host.hello", json!({"client": "test", "protocol": 1}));
    assert_eq!(hello["main_url"], format!("{}/admin/", daemon.url));
    let error = daemon.connect().call("host.hello", json!({"client": "test", "protocol": 99})).unwrap_err();
    assert_eq!(error["data"]["kind"], "protocol_mismatch");
    let sentence = error["message"].as_str().unwrap();
    assert!(sentence.contains("99") && sentence.contains('1'), "{sentence}");
}

#[test]
fn discovery_describes_every_method() {
    let environment = TestEnvironment::new();
    let daemon = environment.daemon();
    let discovered = daemon.call("rpc.discover", json!({}));
    for method in discovered["methods"].as_array().unwrap() {
        let name = method["name"].as_str().unwrap();
        let mut connection = daemon.connect();
        let id = connection.send(name, json!({"no such parameter": true}));
        let error = match connection.answer(id) {
            Err(error) => error,
            Ok(result) => panic!("{name} took an unknown parameter and gave {result}"),
        };
        assert_eq!(error["data"]["kind"], "invalid_params", "{name}: {error}");
    }
    // Even host.shutdown has no effect if its parameters are invalid.
    daemon.call("host.info", json!({}));
    let error = daemon.connect().call("app.rotate_secrets", json!({"id": "main"})).unwrap_err();
    assert_eq!(error["data"]["kind"], "method_not_found", "{error}");
    daemon.call("host.shutdown", json!({}));
}

#[test]
fn summaries_agree_with_the_list() {
    let environment = TestEnvironment::new();
    let daemon = environment.daemon();
    for id in ["hr", "crm"] {
        daemon.call("app.create", json!({"id": id, "name": format!("The {id}"), "start": id == "crm"}));
    }
    let known = ["id", "name", "state", "start_mode", "url"];
    for params in [json!({}), json!({"states": ["running"]}), json!({"after": "crm"}), json!({"after": "zz"})]
    {
        let mut listed = daemon.call("app.list", params.clone());
        for application in listed["applications"].as_array_mut().unwrap() {
            application.as_object_mut().unwrap().retain(|name, _| known.contains(&name.as_str()));
        }
        assert_eq!(daemon.call("app.summaries", params), listed);
    }
    let all = daemon.call("app.summaries", json!({}));
    let ids: Vec<_> = all["applications"].as_array().unwrap().iter().map(|one| &one["id"]).collect();
    assert_eq!(ids, ["main", "crm", "hr"]);
}

#[test]
fn progress_names_its_request() {
    let environment = TestEnvironment::new();
    let daemon = environment.daemon();
    let mut connection = daemon.connect();
    let id = connection.send("app.create", json!({"id": "crm", "start": true}));
    let mut stages = Vec::new();
    loop {
        let message = connection.receive().unwrap();
        if message["id"] == id {
            break;
        }
        assert_eq!((&message["method"], &message["params"]["request"]), (&json!("progress"), &json!(id)));
        stages.push(message["params"]["stage"].as_str().unwrap().to_owned());
    }
    assert_eq!(stages, ["register", "database", "tables", "start"]);
}

#[test]
fn idle_connections_do_not_keep_new_ones_out() {
    let environment = TestEnvironment::new();
    let daemon = environment.daemon();
    // As many as this process may open beside the other tests; the daemon serves fewer.
    let mut idle: Vec<_> = (0..600).map(|_| daemon.connect()).collect();
    assert_eq!(environment.nbapps(&["list", "-o", "name"]).ok().stdout, "main\n");
    // The first one was told why it was closed.
    let told = idle[0].receive().unwrap();
    assert_eq!(told["error"]["data"]["kind"], "too_many_connections", "{told}");
    assert_eq!(idle[0].receive(), None);
}

#[test]
fn connections_over_the_limit_are_refused_with_an_error() {
    let environment = TestEnvironment::new();
    let daemon = environment.daemon();
    let mut busy = Vec::new();
    let refused = loop {
        let mut connection = daemon.connect();
        match connection.call_or_refusal("events.subscribe", json!({})) {
            Ok(_) => busy.push(connection),
            Err(refusal) => break refusal,
        }
        assert!(busy.len() < 1000);
    };
    assert_eq!(refused["data"]["kind"], "too_many_connections");
    let ran = environment.nbapps(&["list"]);
    assert_eq!(ran.code, 3, "{}", ran.stderr);
    assert!(ran.stderr.contains("connections of user"), "{}", ran.stderr);
    drop(busy);
    let begun = std::time::Instant::now();
    while environment.nbapps(&["list"]).code != 0 {
        assert!(begun.elapsed() < crate::environment::PATIENCE);
    }
}

#[test]
fn partial_lines_use_bounded_memory() {
    let environment = TestEnvironment::new();
    let daemon = environment.daemon();
    let half = vec![b'x'; 4 * 1024 * 1024];
    let before = resident(&daemon);
    let mut halves = Vec::new();
    for _ in 0..100 {
        let mut connection = daemon.connect();
        // A connection for which no memory is left is closed while it sends.
        let _ = connection.try_send_raw(&half);
        halves.push(connection);
    }
    environment.nbapps(&["list"]).ok();
    let grown = resident(&daemon).saturating_sub(before);
    assert!(grown < 128 * 1024, "{grown} KiB");
    drop(halves);
}

/// The daemon's resident memory in KiB.
fn resident(daemon: &crate::environment::Daemon) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
