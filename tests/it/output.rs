//! What commands print: tables that fit their terminal, and data that says all that tables say.

use serde_json::{Value, json};
use unicode_width::UnicodeWidthStr as _;

use crate::environment::{Ran, TestEnvironment};
use crate::terminal::Terminal;

/// Text that would turn the line around, and end it.
const NASTY: &str = "Gehalt\u{202e}txt.exe\u{2066}\u{200f}\u{2028}\u{61c}";

#[test]
fn a_list_fits_its_terminal_and_keeps_ids_whole() {
    let environment = TestEnvironment::new();
    let daemon = environment.daemon();
    let id = format!("a{}", "0123456789".repeat(4));
    let name = format!("{} {}", "Very long name ".repeat(10), "人事部 👩\u{200d}💻 ".repeat(8));
    daemon.call("app.create", json!({"id": id, "name": name, "domains": ["a.example.com"]}));
    daemon.call("app.create", json!({"id": "crm", "name": NASTY}));
    daemon.call("app.create", json!({"id": "gone", "name": name}));
    daemon.call("app.delete", json!({"id": "gone"}));
    for columns in [50, 80, 132] {
        for command in ["list", "list --deleted", "list --color always"] {
            let line = format!("{} {command}", env!("CARGO_BIN_EXE_nbapps"));
            let (shown, code) = Terminal::start(&environment, &line, columns, |_| {}).ended();
            assert_eq!(code, Some(0), "{shown}");
            for row in shown.lines() {
                assert!(row.width() <= usize::from(columns), "{columns}: {row}");
            }
            let rows = shown.lines().count();
            if command == "list --deleted" {
                assert!(rows == 2 && shown.contains("\ngone "), "{shown}");
            } else {
                // One line for each, and the first word is the ID.
                let ids: Vec<_> = shown.lines().filter_map(|row| row.split_whitespace().next()).collect();
                assert_eq!(ids, ["ID", "main", &id, "crm"], "{shown}");
            }
        }
    }
    // Without a terminal nothing is cut.
    assert!(environment.nbapps(&["list"]).ok().stdout.contains(name.trim_end()));
}

#[test]
fn names_turn_no_line_around() {
    let environment = TestEnvironment::new();
    let daemon = environment.daemon();
    daemon.call("app.create", json!({"id": "crm", "name": NASTY}));
    daemon.call("app.create", json!({"id": "hr", "name": NASTY}));
    daemon.call("app.delete", json!({"id": "hr"}));
    for arguments in [
        &["list"][..],
        &["list", "-o", "wide"],
        &["list", "--deleted"],
        &["show", "crm"],
        &["start", "crm"],
        &["wait", "crm"],
        &["wait", "hr", "--for", "not_found", "-o", "wide"],
        &["update", "crm", "--icon", NASTY],
        &["undelete", "hr"],
        &["create", "crm", "--if-not-exists"],
        &["logs", "crm"],
    ] {
        let Ran { stdout, stderr, .. } = environment.nbapps(arguments).ok();
        let said = stdout + &stderr;
        let seen = said.chars().find(|c| matches!(c, '\u{61c}' | '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'));
        assert_eq!(seen, None, "{arguments:?}: {said:?}");
    }
    assert!(environment.nbapps(&["show", "crm"]).ok().stdout.contains("Gehalt\\u{202e}txt.exe\\u{2066}"));
    // Data is as it is.
    assert_eq!(environment.nbapps(&["show", "crm", "-o", "json"]).ok().json()["name"], NASTY);
}

#[test]
fn failures_are_among_the_data_with_their_ids() {
    let environment = TestEnvironment::new();
    let daemon = environment.daemon();
    for id in ["a", "b"] {
        daemon.call("app.create", json!({"id": id}));
    }
    for (command, more) in
        [("start", &[][..]), ("restart", &[]), ("stop", &[]), ("delete", &["--yes"]), ("undelete", &[])]
    {
        let arguments = [&[command, "a", "nosuch", "b", "-o"][..], &["json"], more].concat();
        let Ran { code, stdout, stderr } = environment.nbapps(&arguments);
        assert_eq!(code, 4, "{command}: {stderr}");
        let shown: Vec<Value> = serde_json::from_str(&stdout).unwrap();
        let ids: Vec<&Value> =
            shown.iter().map(|one| one.get("application").unwrap_or(one).get("id").unwrap()).collect();
        assert_eq!(ids, ["a", "nosuch", "b"], "{command}");
        assert_eq!(
            (&shown[1]["error"]["kind"], &shown[1]["error"]["exit_code"]),
            (&json!("app_not_found"), &json!(4))
        );
        assert!(shown[0].get("error").is_none() && stderr.contains("\"nosuch\""), "{command}: {stderr}");
    }
    // Of one alone too, line by line too; names are of those that were done.
    let Ran { code, stdout, .. } = environment.nbapps(&["start", "nosuch", "-o", "jsonl"]);
    let failed: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((code, &failed["id"]), (4, &json!("nosuch")), "{stdout}");
    assert_eq!(environment.nbapps(&["start", "a", "nosuch", "-o", "name"]).stdout, "a\n");
}

/// The times in a text, which are of one precision.
fn times(text: &str) -> usize {
    let all = regex::Regex::new(r"\d{4}-\d\d-\d\dT[0-9:.]+Z").unwrap();
    let precise = regex::Regex::new(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$").unwrap();
    all.find_iter(text).inspect(|time| assert!(precise.is_match(time.as_str()), "{text}")).count()
}

#[test]
fn data_says_what_tables_say() {
    let environment = TestEnvironment::new();
    let daemon = environment.daemon();
    daemon.call("app.create", json!({"id": "crm", "start": true}));
    // The size, after each change.
    let size = regex::Regex::new(r"\nSize +[0-9.]+ KiB\n").unwrap();
    for arguments in
        [&["update", "crm", "--name", "x"][..], &["update", "crm", "--rotate-secret"], &["show", "crm"]]
    {
        let told = environment.nbapps(arguments).ok().stdout;
        assert!(size.is_match(&told), "{arguments:?}: {told}");
        let data = environment.nbapps(&[arguments, &["-o", "json"]].concat()).ok().json();
        assert!(data["database"]["size"].as_u64().is_some_and(|size| size > 0), "{arguments:?}: {data}");
    }
    // No limit is none, in words and in data.
    let limits = || environment.nbapps(&["show", "crm", "-o", "json"]).ok().json()["limits"].clone();
    assert_eq!(limits()["requests_per_second"], Value::Null);
    environment.nbapps(&["update", "crm", "--limit", "rate=7"]).ok();
    assert_eq!(limits()["requests_per_second"], 7);
    environment.nbapps(&["update", "crm", "--limit", "rate=none"]).ok();
    assert!(limits().as_object().unwrap()["requests_per_second"].is_null());
    // The outcome of operations.
    daemon.refusal(
        "app.create",
        json!({"id": "bad", "database": {"mode": "connection", "url": "mysql://u@127.0.0.1:1/y"}}),
    );
    let list = environment.nbapps(&["operation", "list", "-o", "json"]).ok().json();
    let outcomes: Vec<&Value> =
        list.as_array().unwrap().iter().map(|operation| &operation["outcome"]).collect();
    assert_eq!(outcomes, ["done", "failed"], "{list}");
    for operation in list.as_array().unwrap() {
        let shown =
            environment.nbapps(&["operation", "show", operation["id"].as_str().unwrap(), "-o", "json"]).ok();
        assert_eq!(shown.json()["outcome"], operation["outcome"]);
    }
}

#[test]
fn times_have_one_precision() {
    let environment = TestEnvironment::new();
    let daemon = environment.daemon();
    // The last digit of a time is 0 in one of ten.
    for number in 0..20 {
        daemon.call("app.create", json!({"id": format!("a{number}"), "start": number < 5}));
    }
    daemon.call("app.delete", json!({"id": "a19"}));
    for (arguments, least) in [
        (&["list", "-o", "json"][..], 40),
        (&["list", "-o", "yaml"], 40),
        (&["list", "--deleted", "-o", "jsonl"], 4),
        (&["operation", "list", "-o", "json"], 40),
        (&["logs", "a0", "-o", "jsonl"], 3),
        (&["visit", "a0", "--sign-in", "--print", "-o", "json"], 1),
        (&["daemon", "status", "-o", "json"], 1),
    ] {
        let said = environment.nbapps(arguments).ok().stdout;
        assert!(times(&said) >= least, "{arguments:?}: {said}");
    }
}

#[test]
fn a_stream_as_json_is_objects_as_json_writes_them() {
    let environment = TestEnvironment::new();
    let daemon = environment.daemon();
    daemon.call("app.create", json!({"id": "crm"}));
    for (format, lines) in [("json", 6), ("jsonl", 1)] {
        let events = environment.follow(&["events", "-o", format]);
        events.note();
        daemon.call("app.update", json!({"id": "crm", "name": format}));
        let text: String = (0..lines).map(|_| events.line() + "\n").collect();
        let event: Value = serde_json::from_str(&text).unwrap();
        assert_eq!((&event["event"], &event["app"]), (&json!("updated"), &json!("crm")));
        let expected = match format {
            "json" => serde_json::to_string_pretty(&event),
            _ => serde_json::to_string(&event),
        };
        assert_eq!(text.lines().count(), expected.unwrap().lines().count(), "{text}");
        assert_eq!(times(&text), 1);
    }
}
