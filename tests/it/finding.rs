//! Finding applications: labels, selectors, filters, orders and columns, and commands on what is found.

use std::collections::BTreeSet;

use macro_rules_attribute::apply;
use serde_json::{Value, json};

use crate::environment::{Daemon, Followed, TestEnvironment};
use crate::servers::{TestEngine, on_every_engine};
use crate::terminal::Terminal;

/// Three applications with labels; "shop" runs.
fn fleet(daemon: &Daemon) {
    for (id, name, labels) in [
        ("crm", "Customer care", json!({"team": "sales", "env": "prod"})),
        ("hr", "Human resources", json!({"team": "people"})),
        ("shop", "Web Shop", json!({"team": "sales", "env": "test", "legacy": ""})),
    ] {
        daemon.call("app.create", json!({"id": id, "name": name, "labels": labels}));
    }
    daemon.call("app.start", json!({"id": "shop"}));
}

fn names(environment: &TestEnvironment, arguments: &[&str]) -> Vec<String> {
    let ran = environment.nbapps(&[arguments, &["-o", "name"]].concat()).ok();
    ran.stdout.lines().map(str::to_owned).collect()
}

fn states(daemon: &Daemon) -> [String; 3] {
    ["crm", "hr", "shop"].map(|id| daemon.state(id))
}

/// The exit code and standard error of a command that fails.
fn fails(environment: &TestEnvironment, arguments: &[&str]) -> (i32, String) {
    let ran = environment.nbapps(arguments);
    (ran.code, ran.stderr)
}

#[apply(on_every_engine)]
#[test]
fn labels_are_kept(engine: TestEngine) {
    let environment = TestEnvironment::of(engine);
    let daemon = environment.daemon();
    let created =
        environment.nbapps(&["create", "crm", "--label", "team=x", "--label", "env=", "-o", "json"]);
    assert_eq!(created.ok().json()["application"]["labels"], json!({"team": "x", "env": ""}));
    let update =
        ["update", "crm", "--label", "team=y", "--label", "env-", "--remove-label", "none", "-o", "json"];
    assert_eq!(environment.nbapps(&update).ok().json()["labels"], json!({"team": "y"}));
    assert!(daemon.stop().success());

    let daemon = environment.daemon();
    assert_eq!(daemon.call("app.get", json!({"id": "crm"}))["labels"], json!({"team": "y"}));
    let summaries = |params| daemon.call("app.summaries", params)["applications"][1]["labels"].clone();
    assert_eq!(summaries(json!({"labels": true})), json!({"team": "y"}));
    assert_eq!(summaries(json!({})), Value::Null, "nobody asked for them");
    let shown = environment.nbapps(&["show", "crm"]).ok().stdout;
    assert!(shown.lines().any(|line| line.starts_with("Labels") && line.ends_with("team=y")), "{shown}");
    assert!(environment.nbapps(&["list", "-o", "wide"]).ok().stdout.contains("team=y"));
    // A deleted application keeps them.
    environment.nbapps(&["delete", "crm", "--yes"]).ok();
    assert_eq!(names(&environment, &["list", "--deleted", "-l", "team=y"]), ["crm"]);
    assert!(names(&environment, &["list", "--deleted", "-l", "team!=y"]).is_empty());
    environment.nbapps(&["undelete", "crm"]).ok();
    assert_eq!(names(&environment, &["list", "-l", "team"]), ["crm"]);
    environment.nbapps(&["update", "crm", "--label", "team-"]).ok();
    let listed = environment.nbapps(&["list", "--filter", "id=crm", "-o", "json"]).ok().json();
    assert_eq!(listed[0]["labels"], json!({}));
    let again = environment.nbapps(&["update", "crm", "--label", "team-"]).ok();
    assert!(again.stderr.contains("crm has no label team to remove"), "{}", again.stderr);
}

#[test]
fn wrong_labels_are_refused_by_the_daemon_too() {
    let environment = TestEnvironment::new();
    let daemon = environment.daemon();
    daemon.call("app.create", json!({"id": "crm", "labels": {"team": "x"}}));
    let many: serde_json::Map<String, Value> =
        (0..64).map(|number| (format!("k{number}"), json!("v"))).collect();
    for labels in [
        json!({"-team": "x"}),
        json!({"te am": "x"}),
        json!({"": "x"}),
        json!({"team": "a b"}),
        json!({"team": "x".repeat(64)}),
        json!({"bad key": null}),
        Value::Object(many),
    ] {
        let refusal = daemon.refusal("app.update", json!({"id": "crm", "labels": labels}));
        assert_eq!(refusal, "invalid_setting", "{labels}");
    }
    let refusal = daemon.refusal("app.create", json!({"id": "x", "labels": {"a b": "x"}}));
    assert_eq!(refusal, "invalid_setting");
    let described = daemon.call("app.get", json!({"id": "crm"}));
    assert_eq!(described["labels"], json!({"team": "x"}));
    for wrong in ["team", "te am=x", "team=a b", "=x", "team--"] {
        let (code, error) = fails(&environment, &["update", "crm", "--label", wrong]);
        assert_eq!(code, 2, "{wrong}: {error}");
    }
    assert_eq!(fails(&environment, &["update", "crm", "--label", "a=1", "--label", "a-"]).0, 2);
    assert_eq!(fails(&environment, &["create", "x", "--label", "a=1", "--label", "a=2"]).0, 2);
}

#[apply(on_every_engine)]
#[test]
fn lists_are_filtered(engine: TestEngine) {
    let environment = TestEnvironment::of(engine);
    let daemon = environment.daemon();
    fleet(&daemon);
    environment.nbapps(&["update", "crm", "--domain", "crm.example.com", "--domain", "www.example.com"]).ok();
    environment.nbapps(&["update", "hr", "--start-mode", "with-main"]).ok();
    let engine =
        daemon.call("app.get", json!({"id": "crm"}))["database"]["engine"].as_str().unwrap().to_owned();
    let here = format!("engine={engine},id!=main");
    let elsewhere = format!("engine!={engine}");
    let all = ["crm", "hr", "shop"];
    for (filter, expected) in [
        ("state=running", &["main", "shop"][..]),
        ("state=running,id!=main", &["shop"]),
        ("state!=running", &["crm", "hr"]),
        ("state~init", &["crm", "hr"]),
        (&*here, &all),
        (&*elsewhere, &[]),
        ("name~SHOP", &["shop"]),
        ("name!~e,id!=main", &[]),
        ("name!~care,id!=main", &["hr", "shop"]),
        ("name=Customer care", &["crm"]),
        ("name=\"Customer care\",state=initialized", &["crm"]),
        ("name=customer care", &[]),
        ("start_mode=with-main,id!=main", &["hr"]),
        ("domain=WWW.example.com", &["crm"]),
        ("domain~example", &["crm"]),
        ("domain!~example,id!=main", &["hr", "shop"]),
        ("label.team=sales", &["crm", "shop"]),
        ("label.team=sales,label.env!=prod", &["shop"]),
        ("label.legacy=", &["shop"]),
        ("label.team~eop", &["hr"]),
        ("mode=database,protected=no,id!=main", &all),
    ] {
        assert_eq!(names(&environment, &["list", "--filter", filter]), expected, "{filter}");
        let listed = environment.nbapps(&["list", "--filter", filter, "-o", "json"]).ok().json();
        assert_eq!(listed.as_array().unwrap().len(), expected.len(), "{filter}");
    }
    assert_eq!(
        names(&environment, &["list", "--filter", "name~e", "--filter", "name~s", "-l", "env"]),
        ["crm", "shop"]
    );
}

#[test]
fn lists_are_selected_by_labels() {
    let environment = TestEnvironment::new();
    let daemon = environment.daemon();
    fleet(&daemon);
    for (selector, expected) in [
        ("team=sales", &["crm", "shop"][..]),
        ("team=sales,env!=prod", &["shop"]),
        ("env!=prod,team", &["hr", "shop"]),
        ("!env,team", &["hr"]),
        ("legacy", &["shop"]),
    ] {
        assert_eq!(names(&environment, &["list", "-l", selector]), expected, "{selector}");
    }
}

#[test]
fn wrong_conditions_are_led_to_the_right_ones() {
    let environment = TestEnvironment::new();
    let _daemon = environment.daemon();
    let none = environment.nbapps(&["list", "--filter", "name~nothing"]).ok();
    assert_eq!((none.stdout.as_str(), none.stderr.contains("no application fits this")), ("", true));
    for (arguments, says) in [
        (["--filter", "size=3"], "start_mode, domain, protected, label.KEY"),
        (["--filter", "nmae=x"], "did you mean name?"),
        (["--filter", "name>x"], "no operator \">\""),
        (["--filter", "state=runing"], "did you mean running?"),
        (["--filter", "name=\"x"], "not closed"),
        (["--sort", "colour"], "id, name, state"),
        (["--sort", "name,-creatd"], "did you mean created_at?"),
        (["--columns", "id,colour"], "id, name, state"),
        (["-l", "te am"], "key of a label"),
    ] {
        let (code, error) = fails(&environment, &[&["list"][..], &arguments].concat());
        assert!(code == 2 && error.contains(says), "{arguments:?}: {code} {error}");
    }
}

#[test]
fn lists_are_sorted_and_cut() {
    let environment = TestEnvironment::new();
    let daemon = environment.daemon();
    fleet(&daemon);
    let of = |arguments: &[&str]| {
        names(&environment, &[&["list", "--filter", "id!=main"][..], arguments].concat())
    };
    for (arguments, expected) in [
        (&["--sort", "name"][..], &["crm", "hr", "shop"][..]),
        (&["--sort", "-name"], &["shop", "hr", "crm"]),
        (&["--sort", "-created"], &["shop", "hr", "crm"]),
        (&["--sort=label.team,-name"], &["hr", "shop", "crm"]),
        (&["--sort", "-state", "--sort", "-id"], &["shop", "hr", "crm"]),
        (&["--sort", "-created_at", "--limit", "1"], &["shop"]),
        (&["--sort", "-size,-id", "--filter", "id=hr"], &["hr"]),
        (&["--sort", "label.team"], &["hr", "crm", "shop"]),
        (&["--sort", "label.env"], &["crm", "shop", "hr"]),
        (&["--sort", "-label.env"], &["shop", "crm", "hr"]),
        (&["--sort", "started_at"], &["shop", "crm", "hr"]),
        (&["--sort", "-id", "--limit", "2"], &["shop", "hr"]),
        (&["--limit", "2"], &["crm", "hr"]),
        (&["--limit", "9"], &["crm", "hr", "shop"]),
    ] {
        assert_eq!(of(arguments), expected, "{arguments:?}");
    }
    let first = daemon.call("app.list", json!({"order": ["-label.team", "id"], "limit": 2}));
    let ids: Vec<&Value> =
        first["applications"].as_array().unwrap().iter().map(|application| &application["id"]).collect();
    assert_eq!((ids, first.get("next")), (vec![&json!("crm"), &json!("shop")], None));
    assert_eq!(daemon.refusal("app.list", json!({"order": ["colour"]})), "invalid_params");
    assert_eq!(
        daemon.refusal("app.list", json!({"conditions": [{"field": "x", "comparison": "="}]})),
        "invalid_params"
    );
    let page = daemon.call("app.summaries", json!({"limit": 2}));
    assert_eq!((page["applications"].as_array().unwrap().len(), &page["next"]), (2, &json!("crm")));
    let table =
        environment.nbapps(&["list", "--columns", "id,state, label.team", "--sort=-state", "--limit=3"]).ok();
    assert_eq!(
        table.stdout,
        "ID    STATE        team\nmain  running      -\nshop  running      sales\ncrm   initialized  sales\n"
    );
    let sizes = environment.nbapps(&["list", "--columns", "id,size", "--filter", "id=crm"]).ok().stdout;
    assert!(sizes.contains("iB"), "{sizes}");
    let (code, error) = fails(&environment, &["list", "--columns", "id", "-o", "json"]);
    assert!(code == 2 && error.contains("--columns"), "{error}");
}

#[test]
fn commands_take_what_labels_select() {
    let environment = TestEnvironment::new();
    let daemon = environment.daemon();
    fleet(&daemon);
    environment.nbapps(&["start", "-l", "team=sales"]).ok();
    assert_eq!(states(&daemon), ["running", "initialized", "running"]);
    environment.nbapps(&["stop", "--selector", "team=sales,env!=prod"]).ok();
    assert_eq!(states(&daemon), ["running", "initialized", "stopped"]);
    environment.nbapps(&["restart", "-l", "team"]).ok();
    assert_eq!(states(&daemon), ["running", "initialized", "stopped"], "only those that run");
    let done = environment.nbapps(&["stop", "-l", "team=people"]).ok();
    let again = environment.nbapps(&["stop", "-l", "team=people"]).ok();
    assert!(
        done.stdout.contains("hr") && again.stderr.contains("no application needs this"),
        "{}",
        again.stderr
    );
    // That no application has the labels is probably a typing mistake.
    for command in ["start", "stop", "restart", "show", "logs", "wait", "events", "undelete", "delete"] {
        let (code, error) = fails(&environment, &[command, "-l", "team=nobody,!x"]);
        assert!(
            code == 4 && error.contains("no application has the labels team=nobody,!x"),
            "{command}: {error}"
        );
        assert!(error.contains("hint:"), "{command}: {error}");
    }
    assert_eq!(fails(&environment, &["update", "-l", "team=nobody", "--protect"]).0, 4);
    environment.nbapps(&["list", "-l", "team=nobody"]).ok();
    environment.nbapps(&["wait", "-l", "team=nobody", "--for", "not_found"]).ok();
    environment.nbapps(&["wait", "-l", "team=sales,env!=prod", "--for", "stopped"]).ok();
    // The main application has no labels, and is never meant by what it lacks.
    environment.nbapps(&["stop", "-l", "!nothing"]).ok();
    assert_eq!(states(&daemon), ["stopped", "stopped", "stopped"]);
    for wrong in
        [["stop", "crm", "-l", "team=x"], ["stop", "--all", "-l", "team=x"], ["show", "hr", "-l", "team"]]
    {
        assert_eq!(fails(&environment, &wrong).0, 2, "{wrong:?}");
    }
    let logs = environment.nbapps(&["logs", "-l", "team=sales", "-o", "json"]).ok().json();
    let apps: BTreeSet<&str> =
        logs.as_array().unwrap().iter().map(|line| line["app"].as_str().unwrap()).collect();
    assert_eq!(apps, BTreeSet::from(["crm", "shop"]));
    let shown = environment.nbapps(&["show", "-l", "team=sales", "-o", "json"]).ok().json();
    assert_eq!((&shown[0]["id"], &shown[1]["id"]), (&json!("crm"), &json!("shop")));
    let (code, error) = fails(&environment, &["delete", "-l", "team=sales"]);
    assert!(code == 7 && error.contains("to delete crm, shop needs a confirmation"), "{error}");
    environment.nbapps(&["delete", "-l", "team=sales", "--yes"]).ok();
    assert_eq!(names(&environment, &["list"]), ["main", "hr"]);
    assert_eq!(names(&environment, &["undelete", "-l", "team=sales,env=prod"]), ["crm"]);
    environment.nbapps(&["delete", "-l", "team=sales", "--purge", "--deleted", "--yes"]).ok();
    assert!(names(&environment, &["list", "--deleted"]).is_empty());
    assert_eq!(names(&environment, &["list"]), ["main", "crm", "hr"]);
}

#[test]
fn a_deletion_by_labels_asks_with_the_ids() {
    let environment = TestEnvironment::new();
    let daemon = environment.daemon();
    fleet(&daemon);
    let line = format!("{} delete -l team=sales", env!("CARGO_BIN_EXE_nbapps"));
    let mut terminal = Terminal::start(&environment, &line, 120, |_| {});
    terminal.shows("Delete crm, shop? The data stays for undelete. [y/N]");
    terminal.types("n\r");
    assert_eq!(terminal.ended().1, Some(7));
    assert_eq!(names(&environment, &["list"]), ["main", "crm", "hr", "shop"]);
}

#[test]
fn several_are_shown_and_updated() {
    let environment = TestEnvironment::new();
    let daemon = environment.daemon();
    fleet(&daemon);
    assert_eq!(
        environment.nbapps(&["show", "crm", "-o", "json"]).ok().json()["id"],
        "crm",
        "one is an object"
    );
    let all = environment.nbapps(&["show", "--all", "-o", "json"]).ok().json();
    assert_eq!(all.as_array().unwrap().len(), 4);
    let two = environment.nbapps(&["show", "hr", "crm"]).ok().stdout;
    assert_eq!(two.matches("Start mode").count(), 2);
    assert!(two.starts_with("ID") && two.contains("\n\nID"), "{two}");
    let partly = environment.nbapps(&["show", "crm", "nosuch", "hr", "-o", "name"]);
    assert_eq!((partly.code, partly.stdout.as_str()), (4, "crm\nhr\n"));
    assert!(partly.stderr.contains("no application \"nosuch\""), "{}", partly.stderr);

    let partly = environment.nbapps(&["update", "crm", "nosuch", "shop", "--label", "env=new", "-o", "name"]);
    assert_eq!((partly.code, partly.stdout.as_str()), (4, "crm\nshop\n"));
    assert_eq!(names(&environment, &["list", "-l", "env=new"]), ["crm", "shop"]);
    environment.nbapps(&["update", "--all", "--protect"]).ok();
    environment.nbapps(&["update", "-l", "team=people", "--no-protect"]).ok();
    let protected = |id| daemon.call("app.get", json!({"id": id}))["protected"] == true;
    assert_eq!(["crm", "hr", "shop"].map(protected), [true, false, true]);
    // One domain for several: the second is told that it is taken.
    let taken = environment.nbapps(&["update", "crm", "hr", "--add-domain", "x.example.com"]);
    assert_eq!(taken.code, 5, "{}", taken.stderr);
    let (code, error) = fails(&environment, &["update", "--all"]);
    assert!(code == 2 && error.contains("no setting"), "{error}");
}

#[apply(on_every_engine)]
#[test]
fn one_domain_is_changed_at_a_time(engine: TestEngine) {
    let environment = TestEnvironment::of(engine);
    let daemon = environment.daemon();
    daemon.call("app.create", json!({"id": "crm", "domains": ["a.example.com", "b.example.com"]}));
    daemon.call("app.create", json!({"id": "hr", "domains": ["hr.example.com"]}));
    let domains = |arguments: &[&str]| {
        let updated =
            environment.nbapps(&[&["update", "crm", "-o", "json"][..], arguments].concat()).ok().json();
        updated["domains"]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| it.as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        domains(&["--add-domain", "C.example.com."]),
        ["a.example.com", "b.example.com", "c.example.com"]
    );
    assert_eq!(
        domains(&["--add-domain", "a.example.com"]),
        ["a.example.com", "b.example.com", "c.example.com"]
    );
    assert_eq!(domains(&["--remove-domain", "A.example.com"]), ["b.example.com", "c.example.com"]);
    // What is not there need not be removed; it is said, as it may be a typing mistake.
    let absent = environment.nbapps(&["update", "crm", "--remove-domain", "a.example.com"]).ok();
    assert!(absent.stderr.contains("crm has no domain a.example.com to remove"), "{}", absent.stderr);
    assert_eq!(domains(&["--remove-domain", "hr.example.com"]), ["b.example.com", "c.example.com"]);
    assert_eq!(
        domains(&["--remove-domain", "b.example.com", "--add-domain", "d.example.com"]),
        ["c.example.com", "d.example.com"]
    );
    let (code, error) = fails(&environment, &["update", "crm", "--add-domain", "hr.example.com"]);
    assert!(code == 5 && error.contains("belongs to the application \"hr\""), "{code} {error}");
    assert_eq!(fails(&environment, &["update", "crm", "--add-domain", "http://x"]).0, 2);
    // Many at once lose none: nobody reads, changes and writes back.
    let added: Vec<String> = (0..16).map(|number| format!("n{number}.example.com")).collect();
    let mut running = Vec::new();
    for domain in &added {
        running.push(
            environment
                .nbapps_command(&["update", "crm", "-q", "--add-domain", domain, "-o", "name"])
                .spawn()
                .unwrap(),
        );
    }
    assert!(running.into_iter().all(|mut child| child.wait().unwrap().success()));
    let now = daemon.call("app.get", json!({"id": "crm"}))["domains"].as_array().unwrap().clone();
    assert_eq!(now.len(), 2 + added.len(), "{now:?}");
}

#[test]
fn an_application_is_renamed() {
    let environment = TestEnvironment::new();
    let daemon = environment.daemon();
    fleet(&daemon);
    let renamed = environment.nbapps(&["rename", "crm", "--name", "Care", "-o", "json"]).ok().json();
    assert_eq!((&renamed["id"], &renamed["name"]), (&json!("crm"), &json!("Care")));
    assert_eq!(fails(&environment, &["rename", "nosuch", "--name", "x"]).0, 4);
    assert_eq!(fails(&environment, &["rename", "crm"]).0, 2);
    assert_eq!(fails(&environment, &["rename", "crm", "--name", ""]).0, 2);
}

/// Reads the lines of a watched list until one is expected: states in between may be seen or not.
fn until(watched: &Followed, expected: &str) {
    loop {
        let application: Value = serde_json::from_str(&watched.line()).unwrap();
        let (id, state) = (application["id"].as_str().unwrap(), application["state"].as_str().unwrap());
        if format!("{id} {state}") == expected {
            return;
        }
        assert!(expected.starts_with(id), "{id} {state} before {expected}");
    }
}

#[test]
fn a_watched_list_tells_what_changes() {
    let environment = TestEnvironment::new();
    let daemon = environment.daemon();
    fleet(&daemon);
    let watched = environment.follow(&["list", "--watch", "-l", "team=sales", "-o", "jsonl"]);
    until(&watched, "crm initialized");
    until(&watched, "shop running");
    assert!(watched.note().contains("Ctrl-C"));
    daemon.call("app.stop", json!({"id": "shop"}));
    until(&watched, "shop stopped");
    // One that is not in the list changes nothing of it.
    daemon.call("app.stop", json!({"id": "hr"}));
    daemon.call("app.update", json!({"id": "hr", "labels": {"team": "sales"}}));
    until(&watched, "hr stopped");
    daemon.call("app.update", json!({"id": "hr", "labels": {"team": null}}));
    // It left the list.
    until(&watched, "hr stopped");
    daemon.call("app.delete", json!({"id": "crm"}));
    until(&watched, "crm not_found");
    assert!(daemon.stop().success());
    assert_eq!(watched.ended(), Some(3));
}

#[test]
fn a_watched_list_is_a_table_and_then_its_rows() {
    let environment = TestEnvironment::new();
    let daemon = environment.daemon();
    fleet(&daemon);
    let watched = environment.follow(&["list", "-w", "-l", "team", "--columns", "id,label.env,name"]);
    let rows = [watched.line(), watched.line(), watched.line(), watched.line()];
    assert_eq!(
        rows.map(|row| row.trim_end().to_owned()),
        [
            "ID    env   NAME",
            "crm   prod  Customer care",
            "hr    -     Human resources",
            "shop  test  Web Shop"
        ]
    );
    daemon.call("app.update", json!({"id": "hr", "name": "People"}));
    assert_eq!(watched.line().trim_end(), "hr    -     People");
    // As JSON, one object after another.
    let watched = environment.follow(&["list", "-w", "-l", "team=people", "-o", "json"]);
    assert_eq!(watched.line().trim_end(), "{");
    assert_eq!(watched.line().trim_end(), "  \"id\": \"hr\",");
}

#[test]
fn a_watched_list_is_drawn_again_at_a_terminal() {
    let environment = TestEnvironment::new();
    let daemon = environment.daemon();
    fleet(&daemon);
    let line = format!("{} list --watch -l team --columns id,state", env!("CARGO_BIN_EXE_nbapps"));
    let mut terminal = Terminal::start(&environment, &line, 80, |_| {});
    terminal.shows("hr    initialized");
    daemon.call("app.start", json!({"id": "hr"}));
    terminal.shows("hr    running");
    daemon.call("app.update", json!({"id": "hr", "labels": {"team": null}}));
    terminal.shows("ID    STATE\ncrm   initialized\nshop  running\n");
    terminal.types("\x03");
    assert_eq!(terminal.ended().1, Some(130), "Ctrl-C ends it");
    assert_eq!(daemon.state("hr"), "running");
}
