//! Wrong values, missing applications and mistyped commands: the exit codes, and what is suggested.

use macro_rules_attribute::apply;
use serde_json::json;

use crate::environment::{Ran, TestEnvironment};
use crate::servers::{TestEngine, on_every_engine};

#[apply(on_every_engine)]
#[test]
fn texts_that_are_too_long_are_wrong_usage(engine: TestEngine) {
    let environment = TestEnvironment::of(engine);
    let daemon = environment.daemon();
    daemon.call("app.create", json!({"id": "crm"}));
    let long = "é".repeat(300);
    let email = format!("{}@example.com", "e".repeat(300));
    for arguments in [
        &["create", "x", "--name", &long][..],
        &["create", "x", "--name", &long, "--dry-run"],
        &["create", "x", "--admin-username", &long],
        &["create", "x", "--admin-nickname", &long],
        &["create", "x", "--admin-email", &email],
        &["create", &"x".repeat(300)],
        &["update", "crm", "--name", &long],
        &["update", "crm", "--icon", &long],
        &["update", "crm", "--domain", &long],
    ] {
        let Ran { code, stderr, .. } = environment.nbapps(arguments);
        assert_eq!(code, 2, "{arguments:?}: {stderr}");
    }
    let just = "é".repeat(255);
    environment.nbapps(&["update", "crm", "--name", &just]).ok();
    let shown = environment.nbapps(&["show", "crm", "-o", "json"]).ok().json();
    assert_eq!(shown["name"], just);
    assert_eq!(daemon.call("app.list", json!({}))["applications"].as_array().unwrap().len(), 2);
}

#[test]
fn what_does_not_exist_is_code_four_before_anybody_is_asked() {
    let environment = TestEnvironment::new();
    let daemon = environment.daemon();
    daemon.call("app.create", json!({"id": "crm"}));
    daemon.call("app.create", json!({"id": "old"}));
    daemon.call("app.delete", json!({"id": "old"}));
    for (arguments, expected) in [
        (&["delete", "nosuch"][..], 4),
        (&["delete", "nosuch", "other"], 4),
        (&["delete", "nosuch", "--purge"], 4),
        (&["delete", "old"], 4),
        (&["delete", "crm", "--purge", "--deleted"], 4),
        // These exist, and nobody can be asked.
        (&["delete", "crm"], 7),
        (&["delete", "old", "--purge"], 7),
        (&["delete", "old", "--purge", "--deleted"], 7),
        (&["delete", "crm", "nosuch"], 7),
        (&["delete", "crm", "--deleted"], 2),
        (&["events", "nosuch"], 4),
        (&["events", "crm", "nosuch"], 4),
    ] {
        let Ran { code, stderr, .. } = environment.nbapps(arguments);
        assert_eq!(code, expected, "{arguments:?}: {stderr}");
    }
    let Ran { stderr, .. } = environment.nbapps(&["delete", "crm", "nosuch"]);
    assert!(stderr.contains("\"nosuch\"") && stderr.contains("to delete crm needs"), "{stderr}");
    assert_eq!(daemon.call("app.list", json!({}))["applications"].as_array().unwrap().len(), 2);
}

#[apply(on_every_engine)]
#[test]
fn a_purge_leaves_what_was_deleted_earlier_unless_that_is_named(engine: TestEngine) {
    let environment = TestEnvironment::of(engine);
    let daemon = environment.daemon();
    let deleted = |id: &str| {
        let listed = daemon.call("app.list", json!({"deleted": true}));
        let listed = listed["applications"].as_array().unwrap().clone();
        listed.into_iter().filter(|application| application["id"] == id).collect::<Vec<_>>()
    };
    let make = || daemon.call("app.create", json!({"id": "crm", "name": "Customers"}));
    make();
    environment.nbapps(&["delete", "crm", "--yes"]).ok();
    let earlier = deleted("crm");
    make();
    let purged = environment.nbapps(&["delete", "crm", "--purge", "--yes"]).ok();
    assert!(purged.stdout.contains("nbapps delete crm --purge --deleted"), "{}", purged.stdout);
    assert_eq!(deleted("crm"), earlier, "what was deleted earlier stays as it was");
    let undeleted = environment.nbapps(&["undelete", "crm"]).ok();
    assert!(undeleted.stdout.contains("Customers"), "{}", undeleted.stdout);
    assert_eq!(daemon.call("app.start", json!({"id": "crm"}))["application"]["state"], "running");
    environment.nbapps(&["delete", "crm", "--yes"]).ok();
    make();
    // Named, it goes, and the one that exists stays.
    environment.nbapps(&["delete", "crm", "--purge", "--deleted", "--yes"]).ok();
    assert!(deleted("crm").is_empty());
    assert_eq!(daemon.call("app.start", json!({"id": "crm"}))["application"]["state"], "running");
    environment.nbapps(&["delete", "crm", "--purge", "--yes"]).ok();
    assert_eq!(environment.nbapps(&["delete", "crm", "--purge", "--yes"]).code, 4);
    // Forgetting one forgets no other.
    make();
    environment.nbapps(&["delete", "crm", "--yes"]).ok();
    make();
    environment.nbapps(&["delete", "crm", "--purge", "--keep-data", "--yes"]).ok();
    assert_eq!(deleted("crm").len(), 1);
    // Where none exists, the deleted one is meant.
    environment.nbapps(&["delete", "crm", "--purge", "--yes"]).ok();
    assert!(deleted("crm").is_empty());
}

#[test]
fn mistyped_and_foreign_words_lead_to_the_command() {
    let environment = TestEnvironment::new();
    for (line, says) in [
        ("creat x", "'create'"),
        ("ps", "nbapps list"),
        ("inspect crm", "nbapps show ID"),
        ("remove crm", "nbapps delete ID"),
        ("logs crm --tail 5", "-n COUNT"),
        ("help creat", "'create'"),
    ] {
        let Ran { code, stderr, .. } = environment.nbapps(&line.split(' ').collect::<Vec<_>>());
        assert_eq!(code, 2, "{line}: {stderr}");
        assert!(stderr.contains("tip: ") && stderr.contains(says), "{line}: {stderr}");
    }
    let help = environment.nbapps(&["help", "create"]).ok().stdout;
    assert_eq!(help, environment.nbapps(&["create", "--help"]).ok().stdout);
    let below = environment.nbapps(&["help", "daemon", "start"]).ok().stdout;
    assert_eq!(below, environment.nbapps(&["daemon", "start", "--help"]).ok().stdout);
}
