//! `nbapps apply` and `nbapps export`: applications as documents.

use std::process::Stdio;

use macro_rules_attribute::apply;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::environment::{Daemon, PATIENCE, ROOT_PASSWORD, Ran, TestEnvironment, http};
use crate::servers::{TestEngine, on_every_engine};

/// Writes a document.
fn write(environment: &TestEnvironment, name: &str, text: &str) -> String {
    let path = environment.path(name);
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

/// Applies a document with further options.
fn apply_file(environment: &TestEnvironment, file: &str, options: &[&str]) -> Ran {
    environment.nbapps(&[&["apply", "-f", file], options].concat())
}

/// Applies a document, and fails unless nothing differs from it.
fn assert_unchanged(environment: &TestEnvironment, file: &str) {
    let again = apply_file(environment, file, &["--detailed-exitcode"]);
    assert_eq!(again.code, 0, "{}{}", again.stdout, again.stderr);
    assert!(again.stdout.contains("No changes"), "{}", again.stdout);
}

fn ids(daemon: &Daemon) -> Vec<String> {
    let list = daemon.call("app.list", json!({}));
    let applications = list["applications"].as_array().unwrap();
    applications.iter().map(|app| app["id"].as_str().unwrap().to_owned()).collect()
}

fn get(daemon: &Daemon, id: &str) -> Value {
    daemon.call("app.get", json!({"id": id}))
}

/// The answer of an application's API, as its root user.
fn api(daemon: &Daemon, id: &str, path: &str) -> Value {
    let answer = daemon.call("app.api", json!({"id": id, "method": "GET", "path": path}));
    assert_eq!(answer["status"], 200, "{path}: {answer}");
    answer["body"]["data"].clone()
}

const CRM: &str = r#"
version = 1

[[app]]
id = "crm"
name = "Customer care"
start_mode = "with-main"
state = "running"
domains = ["crm.example.com", "WWW.example.com"]
idle_stop = "15m"
upgrade = "manual"
access_log = "all"
protect = true
pin = true
icon = "star"
labels = { team = "sales" }
limits = { in-flight = 16, statement-time = "5s" }

[app.admin]
email = "ada@example.com"
username = "ada"
password = "env:CRM_ADMIN"

[[app.roles]]
name = "reader"
title = "Reader"
strategy = { actions = ["view"] }

[[app.roles.resources]]
name = "posts"
actions = [{ name = "view", fields = ["title"] }, { name = "update", scope = { views = { "$gt" = 3 } } }]

[[app.users]]
email = "bob@example.com"
username = "bob"
nickname = "Bob"
roles = ["member", "reader"]
default_role = "reader"
password = "file:bob.password"

[[app.users]]
email = "eve@example.com"
disabled = true

[[app.keys]]
name = "ci"
user = "bob"
role = "reader"
file = "ci.key"

[[app.collections]]
name = "posts"
title = "Posts"
fields = [
  { name = "title", type = "string", length = 100 },
  { name = "views", type = "integer", defaultValue = 0 },
  { name = "author", type = "belongsTo", target = "authors", foreignKey = "authorId" },
  { name = "tags", type = "belongsToMany", target = "tags", through = "postsTags", foreignKey = "postId", otherKey = "tagId" },
]

[[app.collections]]
name = "authors"
createdAt = true
fields = [{ name = "name", type = "string", unique = true }]

[[app.collections]]
name = "tags"
fields = [{ name = "name", type = "string" }]
"#;

/// Makes the secrets that the document refers to, and applies it.
fn apply_crm(environment: &TestEnvironment, options: &[&str]) -> Ran {
    let file = write(environment, "crm.toml", CRM);
    std::fs::write(environment.path("bob.password"), "bob-s3cret\n").unwrap();
    let mut command = environment.nbapps_command(&[&["apply", "-f", &file], options].concat());
    command.env("CRM_ADMIN", "ada-s3cret");
    environment.run(command)
}

async fn sign_in_status(daemon: &Daemon, account: &str, password: &str) -> u16 {
    let body = Some(json!({"account": account, "password": password}));
    http(daemon, "POST", "/api/auth:signIn", Some("crm"), None, body).await.0
}

fn check_settings(daemon: &Daemon) {
    let crm = get(daemon, "crm");
    for (name, value) in [
        ("name", json!("Customer care")),
        ("state", json!("running")),
        ("start_mode", json!("with-main")),
        ("domains", json!(["crm.example.com", "www.example.com"])),
        ("idle_stop_seconds", json!(900)),
        ("upgrade", json!("manual")),
        ("access_log", json!("all")),
        ("protected", json!(true)),
        ("pinned", json!(true)),
        ("icon", json!("star")),
        ("labels", json!({"team": "sales"})),
        ("inventory", json!("default")),
    ] {
        assert_eq!(crm[name], value, "{name}: {crm}");
    }
    assert_eq!(
        (&crm["limits"]["in_flight"], &crm["limits"]["statement_time_ms"]),
        (&json!(16), &json!(5000))
    );
}

fn check_users(daemon: &Daemon) {
    let users = daemon.call("user.list", json!({"id": "crm"}));
    let user =
        |email: &str| users["users"].as_array().unwrap().iter().find(|user| user["email"] == email).unwrap();
    assert_eq!(user("bob@example.com")["roles"], json!(["member", "reader"]));
    assert_eq!(user("bob@example.com")["default_role"], "reader");
    assert_eq!(user("eve@example.com")["disabled"], true);
}

#[apply(on_every_engine)]
#[tokio::test]
async fn a_document_makes_an_application_with_all_that_is_in_it(engine: TestEngine) {
    let environment = TestEnvironment::of(engine);
    let daemon = environment.daemon();
    let planned = apply_crm(&environment, &["--dry-run", "--detailed-exitcode"]);
    assert_eq!(planned.code, 2, "{}{}", planned.stdout, planned.stderr);
    assert!(
        planned.stdout.contains("+ create  crm") && planned.stdout.contains("1 to create"),
        "{}",
        planned.stdout
    );
    assert_eq!(ids(&daemon), ["main"]);
    let applied = apply_crm(&environment, &[]).ok();
    let said = format!("{}{}{}{}", planned.stdout, planned.stderr, applied.stdout, applied.stderr);
    for secret in ["ada-s3cret", "bob-s3cret"] {
        assert!(!said.contains(secret), "{said}");
        assert!(!environment.daemon_log().contains(secret));
        environment.assert_kept_nowhere(secret);
    }
    // The password of a user without a reference is generated, and shown once.
    assert!(applied.stdout.contains("eve@example.com signs in with the password"), "{}", applied.stdout);
    check_settings(&daemon);
    assert_eq!(sign_in_status(&daemon, "ada", "ada-s3cret").await, 200);
    assert_eq!(sign_in_status(&daemon, "bob", "bob-s3cret").await, 200);
    check_users(&daemon);
    let key = std::fs::read_to_string(environment.path("ci.key")).unwrap();
    assert_eq!(http(&daemon, "GET", "/api/auth:check", Some("crm"), Some(key.trim()), None).await.0, 200);
    let fields = api(&daemon, "crm", "collections/posts/fields:list?paginate=false");
    let names: Vec<&str> =
        fields.as_array().unwrap().iter().map(|field| field["name"].as_str().unwrap()).collect();
    for name in ["title", "views", "author", "tags"] {
        assert!(names.contains(&name), "{names:?}");
    }
    // Without the secrets, which are not needed any more: nothing differs.
    std::fs::remove_file(environment.path("bob.password")).unwrap();
    std::fs::remove_file(environment.path("ci.key")).unwrap();
    assert_unchanged(&environment, &environment.path("crm.toml").display().to_string());
}

/// The document with something else in each of its parts.
fn changed_crm() -> String {
    CRM.replace("\"Customer care\"", "\"CRM\"")
        .replace("domains = [\"crm.example.com\", \"WWW.example.com\"]", "domains = [\"crm.example.org\"]")
        .replace("in-flight = 16, ", "")
        .replace("team = \"sales\"", "tier = \"1\"")
        .replace(
            "nickname = \"Bob\"\nroles = [\"member\", \"reader\"]",
            "nickname = \"Bobby\"\nroles = [\"reader\"]",
        )
        .replace("disabled = true", "disabled = false")
        .replace("title = \"Posts\"", "title = \"Articles\"")
        .replace(
            "{ name = \"title\", type = \"string\", length = 100 }",
            "{ name = \"title\", type = \"string\", index = true }, { name = \"body\", type = \"text\" }",
        )
        .replace("actions = [\"view\"] }", "actions = [\"view\", \"create\"] }")
        .replace("fields = [\"title\"] }, ", "fields = [\"title\", \"views\"] }, ")
}

#[apply(on_every_engine)]
#[tokio::test]
async fn only_what_differs_is_changed(engine: TestEngine) {
    let environment = TestEnvironment::of(engine);
    let daemon = environment.daemon();
    apply_crm(&environment, &[]).ok();
    let changed = changed_crm();
    let file = write(&environment, "crm.toml", &changed);
    let applied = apply_file(&environment, &file, &["-o", "json"]).ok().json();
    let crm = &applied["applications"][0];
    assert_eq!((&crm["action"], &crm["done"]), (&json!("change"), &json!(true)), "{applied}");
    let keys: Vec<&str> =
        crm["changes"].as_array().unwrap().iter().map(|change| change["key"].as_str().unwrap()).collect();
    assert_eq!(
        keys,
        [
            "name",
            "domains",
            "limits.in-flight",
            "labels.team",
            "labels.tier",
            "collections.posts.title",
            "collections.posts.title.index",
            "collections.posts.body",
            "roles.reader.strategy",
            "roles.reader.resources.posts",
            "users.bob@example.com.nickname",
            "users.bob@example.com.roles",
            "users.eve@example.com.disabled",
        ]
    );
    let now = get(&daemon, "crm");
    assert_eq!((&now["name"], &now["labels"]), (&json!("CRM"), &json!({"tier": "1"})));
    assert_eq!((&now["domains"], &now["limits"]["in_flight"]), (&json!(["crm.example.org"]), &json!(64)));
    assert_unchanged(&environment, &file);
    // A password is set again only where that is asked for.
    let again = changed.replace("file:bob.password", "file:new.password");
    std::fs::write(environment.path("new.password"), "an0ther\n").unwrap();
    let file = write(&environment, "crm.toml", &again);
    assert_unchanged(&environment, &file);
    apply_file(&environment, &file, &["--set-passwords"]).ok();
    assert_eq!(sign_in_status(&daemon, "bob", "an0ther").await, 200);
    assert_eq!(sign_in_status(&daemon, "bob", "bob-s3cret").await, 401);
}

/// An application's document without what is its own, and with its fields in alphabetical order.
fn portable(environment: &TestEnvironment, id: &str) -> Value {
    let mut app = environment.nbapps(&["export", id, "-o", "json"]).ok().json()["app"][0].take();
    for own in ["id", "domains", "keys"] {
        app.as_object_mut().unwrap().remove(own);
    }
    let by_name = |list: &mut Value| {
        list.as_array_mut().unwrap().sort_by_key(|item| item["name"].as_str().unwrap().to_owned());
    };
    for collection in app["collections"].as_array_mut().unwrap() {
        by_name(&mut collection["fields"]);
    }
    by_name(&mut app["collections"]);
    app
}

#[apply(on_every_engine)]
#[test]
fn an_exported_application_is_applied_without_changes_and_made_anew(engine: TestEngine) {
    let environment = TestEnvironment::of(engine);
    let daemon = environment.daemon();
    apply_crm(&environment, &[]).ok();
    daemon.call("app.create", json!({"id": "plain"}));
    daemon.call("app.create", json!({"id": "held"}));
    daemon.call("app.stop", json!({"id": "held"}));
    if environment.has_schemas() {
        daemon
            .call("app.create", json!({"id": "inner", "database": {"mode": "schema", "table_prefix": "x_"}}));
    }
    for (format, name) in [("toml", "all.toml"), ("yaml", "all.yaml"), ("json", "all.json")] {
        let exported = environment.nbapps(&["export", "--all", "-o", format]).ok();
        assert!(exported.stderr.contains("held is stopped"), "{}", exported.stderr);
        let file = write(&environment, name, &exported.stdout);
        assert_unchanged(&environment, &file);
    }
    // Elsewhere, the document makes the same application.
    let exported = environment.nbapps(&["export", "crm"]).ok().stdout;
    assert!(exported.contains("# password = \"env:CRM_ADMIN_PASSWORD\""), "{exported}");
    assert!(!exported.contains("s3cret") && !exported.contains("argon2"), "{exported}");
    let moved =
        exported.replace("id = \"crm\"", "id = \"copy\"").replace("crm.example.com", "copy.example.com");
    let moved = moved.replace("www.example.com", "www.example.org");
    let file = write(&environment, "copy.toml", &moved);
    apply_file(&environment, &file, &[]).ok();
    assert_unchanged(&environment, &file);
    assert_eq!(portable(&environment, "copy"), portable(&environment, "crm"));
    // The settings alone start nothing.
    daemon.call("app.stop", json!({"id": "plain"}));
    let settings = environment.nbapps(&["export", "plain", "--settings-only", "-o", "json"]).ok().json();
    assert_eq!(
        settings["app"][0],
        json!({
            "id": "plain", "name": "plain", "state": "stopped", "start_mode": "on-visit", "upgrade": "auto",
        })
    );
}

/// A document of `count` applications, of which those below `changed` have another name.
fn many(count: usize, changed: usize) -> String {
    let app = |number: usize| {
        let name = if number < changed { "Other" } else { "First" };
        format!(
            "[[app]]\nid = \"app-{number:03}\"\nname = \"{name} {number}\"\nlabels = {{ set = \"many\" }}\n"
        )
    };
    (0..count).map(app).collect::<Vec<_>>().join("\n")
}

#[test]
fn many_applications_are_made_changed_and_pruned() {
    const COUNT: usize = 40;
    let environment = TestEnvironment::new();
    let daemon = environment.daemon();
    daemon.call("app.create", json!({"id": "mine"}));
    let file = write(&environment, "many.toml", &many(COUNT, 0));
    let made = apply_file(&environment, &file, &["-o", "json"]).ok().json();
    assert_eq!(
        made["summary"],
        json!({"create": COUNT, "change": 0, "delete": 0, "unchanged": 0, "failed": 0})
    );
    assert_unchanged(&environment, &file);
    let file = write(&environment, "many.toml", &many(COUNT - 5, 8));
    let applied = apply_file(&environment, &file, &["--prune", "--yes", "-o", "json"]).ok().json();
    let expected = json!({"create": 0, "change": 8, "delete": 5, "unchanged": COUNT - 13, "failed": 0});
    assert_eq!(applied["summary"], expected);
    assert_eq!(ids(&daemon).len(), COUNT - 5 + 2);
    assert_eq!(get(&daemon, "app-007")["name"], "Other 7");
    let none = apply_file(&environment, &file, &["--prune", "--detailed-exitcode"]);
    assert_eq!(none.code, 0, "{}", none.stderr);
    // What was deleted comes back with its data, and belongs to the inventory still.
    daemon.call("app.undelete", json!({"id": "app-039"}));
    assert_eq!(get(&daemon, "app-039")["inventory"], "default");
    // An empty document prunes all, and nothing that others made.
    let empty = write(&environment, "empty.toml", "");
    apply_file(&environment, &empty, &["--prune", "--yes"]).ok();
    assert_eq!(ids(&daemon), ["main", "mine"]);
    let deleted = daemon.call("app.list", json!({"deleted": true}));
    assert_eq!(deleted["applications"].as_array().unwrap().len(), COUNT);
}

#[test]
fn a_run_that_was_killed_is_continued_by_another() {
    const COUNT: usize = 40;
    let environment = TestEnvironment::new();
    let daemon = environment.daemon();
    let text = many(COUNT, 0) + "[[app.users]]\nemail = \"ada@example.com\"\n";
    let file = write(&environment, "many.toml", &text);
    for signal in [Signal::KILL, Signal::INT] {
        let before = ids(&daemon).len();
        let mut command = environment.nbapps_command(&["apply", "-f", &file]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut run = command.spawn().unwrap();
        let begun = std::time::Instant::now();
        while ids(&daemon).len() < before + 3 && run.try_wait().unwrap().is_none() {
            assert!(begun.elapsed() < PATIENCE, "nothing is created");
        }
        let _ = rustix::process::kill_process(rustix::process::Pid::from_child(&run), signal);
        run.wait().unwrap();
    }
    apply_file(&environment, &file, &[]).ok();
    assert_eq!(ids(&daemon).len(), COUNT + 1);
    assert_unchanged(&environment, &file);
    let users = daemon.call("user.list", json!({"id": "app-039"}));
    assert_eq!(users["users"].as_array().unwrap().len(), 2);
}

#[test]
fn pruning_asks_and_leaves_what_is_protected_and_what_is_of_another_inventory() {
    let environment = TestEnvironment::new();
    let daemon = environment.daemon();
    let both = "[[app]]\nid = \"one\"\n[[app]]\nid = \"kept\"\nprotect = true\n";
    let file = write(&environment, "both.toml", both);
    apply_file(&environment, &file, &[]).ok();
    let other = write(&environment, "other.toml", "[[app]]\nid = \"other\"\n");
    apply_file(&environment, &other, &["--inventory", "team-b"]).ok();
    let empty = write(&environment, "empty.yaml", "# none\n");
    let refused = apply_file(&environment, &empty, &["--prune"]);
    assert_eq!(refused.code, 7, "{}", refused.stderr);
    assert!(refused.stderr.contains("one") && refused.stderr.contains("--yes"), "{}", refused.stderr);
    assert_eq!(ids(&daemon), ["main", "kept", "one", "other"]);
    // Without --prune nothing is deleted, and there is nothing to confirm.
    apply_file(&environment, &empty, &["--yes"]).ok();
    assert_eq!(ids(&daemon).len(), 4);
    let pruned = apply_file(&environment, &empty, &["--prune", "--yes"]).ok();
    assert!(pruned.stdout.contains("kept") && pruned.stdout.contains("protected"), "{}", pruned.stdout);
    assert_eq!(ids(&daemon), ["main", "kept", "other"]);
    assert_eq!(daemon.call("app.list", json!({"deleted": true}))["applications"][0]["id"], "one");
    // Of another inventory: nothing is changed, unless it is taken over.
    let renamed = write(&environment, "other.toml", "[[app]]\nid = \"other\"\nname = \"Ours\"\n");
    let refused = apply_file(&environment, &renamed, &[]);
    assert_eq!(
        (refused.code, get(&daemon, "other")["name"].as_str()),
        (7, Some("other")),
        "{}",
        refused.stderr
    );
    apply_file(&environment, &renamed, &["--adopt"]).ok();
    assert_eq!(get(&daemon, "other")["inventory"], "default");
    environment.nbapps(&["update", "other", "--no-inventory"]).ok();
    assert!(get(&daemon, "other").get("inventory").is_none());
    apply_file(&environment, &empty, &["--prune", "--yes"]).ok();
    assert_eq!(ids(&daemon), ["main", "kept", "other"]);
}

#[test]
fn what_cannot_be_done_is_an_error_before_anything_is_done() {
    let environment = TestEnvironment::new();
    let daemon = environment.daemon();
    let crm = "[[app]]\nid = \"crm\"\ndomains = [\"a.example.com\"]\n[[app.collections]]\nname = \"posts\"\nfields = [{ name = \"title\", type = \"string\" }]\n";
    let file = write(&environment, "crm.toml", crm);
    apply_file(&environment, &file, &[]).ok();
    let new = "[[app]]\nid = \"new\"\n";
    for (text, says, code) in [
        (
            format!("{new}[[app]]\nid = \"crm\"\ndatabase = {{ mode = \"schema\" }}\n"),
            "bad.toml:3: crm: database.mode stays database",
            7,
        ),
        (
            format!("{new}{}", crm.replace("\"string\"", "\"text\"")),
            "collections.posts.title is of the type string",
            7,
        ),
        (format!("{new}domains = [\"a.example.com\"]\n"), "the domain a.example.com is crm's", 7),
        (
            format!("{new}[[app]]\nid = \"b\"\n[app.admin]\npassword = \"env:NBAPPS_NONE\"\n"),
            "the variable NBAPPS_NONE is not set",
            2,
        ),
        (
            format!("{new}[[app.users]]\nemail = \"a@b.c\"\nroles = [\"pirate\"]\n"),
            "there is no role pirate",
            7,
        ),
        (format!("{new}nmae = \"x\"\n"), "bad.toml:3:", 2),
        (format!("{new}{new}"), "bad.toml:3: the application new is described already", 2),
        (format!("{new}[[app]]\nid = \"main\"\nname = \"x\"\n"), "main cannot have name in a document", 2),
        (format!("{new}[app.admin]\npassword = \"hunter2\"\n"), "a secret is a reference", 2),
    ] {
        let file = write(&environment, "bad.toml", &text);
        let refused = apply_file(&environment, &file, &[]);
        assert_eq!(refused.code, code, "{text}: {}{}", refused.stdout, refused.stderr);
        assert!(refused.stderr.contains(says), "{text}: {}", refused.stderr);
        assert!(!refused.stderr.contains("hunter2"), "{}", refused.stderr);
        assert_eq!(ids(&daemon), ["main", "crm"], "{text}");
        assert_eq!(apply_file(&environment, &file, &["--detailed-exitcode"]).code, 1, "{text}");
    }
    // A dry run finds what only the daemon knows.
    let file = write(&environment, "bad.toml", "[[app]]\nid = \"new\"\nenvironment = \"moon\"\n");
    let refused = apply_file(&environment, &file, &["--dry-run"]);
    assert!(refused.code == 2 && refused.stderr.contains("moon"), "{}", refused.stderr);
}

#[test]
fn one_that_fails_stops_no_other_and_domains_move_between_applications() {
    let environment = TestEnvironment::new();
    let daemon = environment.daemon();
    let domains = |one: &str, two: &str, three: &str| {
        format!(
            "[[app]]\nid = \"one\"\ndomains = [{one}]\n[[app]]\nid = \"two\"\ndomains = [{two}]\n[[app]]\nid = \"three\"\ndomains = [{three}]\n"
        )
    };
    let file = write(&environment, "d.toml", &domains("\"a.example.com\"", "\"b.example.com\"", ""));
    apply_file(&environment, &file, &[]).ok();
    let file = write(&environment, "d.toml", &domains("\"b.example.com\"", "\"a.example.com\"", ""));
    apply_file(&environment, &file, &[]).ok();
    assert_eq!(get(&daemon, "two")["domains"], json!(["a.example.com"]));
    // One that is pruned leaves its domain to another.
    let only = "[[app]]\nid = \"three\"\ndomains = [\"a.example.com\", \"b.example.com\"]\n";
    let file = write(&environment, "d.toml", only);
    apply_file(&environment, &file, &["--prune", "--yes"]).ok();
    assert_eq!(get(&daemon, "three")["domains"], json!(["a.example.com", "b.example.com"]));
    let failing = format!(
        "{only}[[app]]\nid = \"bad\"\nenvironment = \"moon\"\n[[app]]\nid = \"good\"\nname = \"Good\"\n"
    );
    let file = write(&environment, "d.toml", &failing);
    let applied = apply_file(&environment, &file, &["-o", "json"]);
    assert_eq!(applied.code, 2, "{}", applied.stderr);
    let report = applied.json();
    assert_eq!(report["summary"]["failed"], 1);
    let bad = report["applications"].as_array().unwrap().iter().find(|app| app["id"] == "bad").unwrap();
    assert_eq!((&bad["done"], &bad["error"]["exit_code"]), (&json!(false), &json!(2)));
    assert_eq!(get(&daemon, "good")["name"], "Good");
}

#[test]
fn states_follow_the_document_and_what_is_stopped_is_not_looked_into() {
    let environment = TestEnvironment::new();
    let daemon = environment.daemon();
    let document =
        |state: &str| format!("[[app]]\nid = \"crm\"\n{state}\n[[app.users]]\nemail = \"ada@example.com\"\n");
    let file = write(&environment, "s.toml", &document("state = \"stopped\""));
    apply_file(&environment, &file, &[]).ok();
    assert_eq!(daemon.state("crm"), "stopped");
    let again = apply_file(&environment, &file, &["--detailed-exitcode"]);
    assert!(again.code == 0 && again.stdout.contains("are not compared"), "{}", again.stdout);
    let more = document("state = \"running\"") + "[[app.users]]\nemail = \"bob@example.com\"\n";
    let file = write(&environment, "s.toml", &more);
    apply_file(&environment, &file, &[]).ok();
    assert_eq!(daemon.state("crm"), "running");
    assert_eq!(daemon.call("user.list", json!({"id": "crm"}))["users"].as_array().unwrap().len(), 3);
    assert_unchanged(&environment, &file);
    // The inside of the main application.
    let file = write(&environment, "m.yaml", "app:\n  - id: main\n    users: [{email: zoe@example.com}]\n");
    apply_file(&environment, &file, &[]).ok();
    assert_unchanged(&environment, &file);
    assert!(environment.nbapps(&["export", "main"]).ok().stdout.contains("zoe@example.com"));
}

#[test]
fn a_document_comes_from_standard_input_and_a_key_is_made_once() {
    use std::io::Write as _;
    let environment = TestEnvironment::new();
    let daemon = environment.daemon();
    let mut command = environment.nbapps_command(&["apply", "-f", "-"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut run = command.spawn().unwrap();
    run.stdin.take().unwrap().write_all(b"{\"app\": [{\"id\": \"crm\"}]}").unwrap();
    assert!(run.wait_with_output().unwrap().status.success());
    let missing = "[[app]]\nid = \"crm\"\n[[app.keys]]\nname = \"ci\"\n";
    let file = write(&environment, "k.toml", missing);
    let noted = apply_file(&environment, &file, &["--detailed-exitcode"]);
    assert!(noted.code == 0 && noted.stdout.contains("keys.ci is missing"), "{}", noted.stdout);
    let file = write(&environment, "k.toml", &format!("{missing}role = \"admin\"\nfile = \"ci.key\"\n"));
    apply_file(&environment, &file, &[]).ok();
    let key = std::fs::read_to_string(environment.path("ci.key")).unwrap();
    assert_unchanged(&environment, &file);
    assert_eq!(std::fs::read_to_string(environment.path("ci.key")).unwrap(), key);
    assert_eq!(daemon.call("key.list", json!({"id": "crm"}))["keys"].as_array().unwrap().len(), 1);
    // As a run leaves it that was killed between the two: said, and not overlooked.
    std::fs::write(environment.path("ci.key"), "").unwrap();
    let lost = apply_file(&environment, &file, &[]);
    assert!(lost.code == 7 && lost.stderr.contains("nbapps key revoke crm ci"), "{}", lost.stderr);
    environment.nbapps(&["key", "revoke", "crm", "ci"]).ok();
    apply_file(&environment, &file, &[]).ok();
    assert!(!std::fs::read_to_string(environment.path("ci.key")).unwrap().is_empty());
}

#[test]
fn the_example_and_the_schema_are_sound() {
    let environment = TestEnvironment::new();
    let daemon = environment.daemon();
    let example =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/apps.toml")).unwrap();
    let file = write(&environment, "apps.toml", &example);
    std::fs::write(environment.path("bob.password"), "b0b\n").unwrap();
    let mut command = environment.nbapps_command(&["apply", "-f", &file]);
    command.env("CRM_ADMIN_PASSWORD", ROOT_PASSWORD);
    environment.run(command).ok();
    assert_unchanged(&environment, &file);
    assert_eq!(get(&daemon, "hr")["idle_stop_seconds"], 900);
    let schema = environment.nbapps(&["schema", "apply"]).ok().json();
    assert_eq!(schema["$id"], "urn:nbapps:apply:1");
    assert_eq!(environment.nbapps(&["list", "-o", "toml"]).code, 2);
}
