//! Tables of decisions: who asks for what, and what is answered.

use std::collections::BTreeSet;

use serde_json::{Value as Json, json};

use super::*;

const NO_ROLES: [&str; 0] = [];
const EVERYDAY: [&str; 3] = ["!ui.*", "!pm", "!pm.*"];
const MANAGING: [&str; 3] = ["ui.*", "pm", "pm.*"];

fn role(name: &str, actions: &[&str], snippets: &[&str]) -> RoleDefinition {
    RoleDefinition {
        name: name.into(),
        strategy: json!({"actions": actions}),
        snippets: snippets.iter().map(|&snippet| snippet.into()).collect(),
        ..RoleDefinition::default()
    }
}

fn action(name: &str, fields: &[&str], scope: Json) -> ActionDefinition {
    ActionDefinition {
        name: name.into(),
        fields: fields.iter().map(|&field| field.into()).collect(),
        scope: Some(scope).filter(|scope| !scope.is_null()),
    }
}

fn configured(role: &str, collection: &str, actions: Vec<ActionDefinition>) -> ResourceDefinition {
    ResourceDefinition {
        role: role.into(),
        collection: collection.into(),
        using_actions_config: true,
        actions,
    }
}

fn policy() -> Arc<Policy> {
    Arc::clone(crate::app::resources::registry().policy())
}

/// The roles of the recorded conversation, and some more.
fn acl() -> Acl {
    let roles = vec![
        RoleDefinition { strategy: Json::Null, ..role("root", &[], &MANAGING) },
        RoleDefinition {
            allow_configure: true,
            ..role("admin", &["create", "view", "update", "destroy"], &MANAGING)
        },
        role("member", &["view:own"], &EVERYDAY),
        role("editor", &["view", "create", "update:own"], &EVERYDAY),
        role("people", &[], &["!ui.*", "pm.users"]),
        role("keys", &[], &["pm.api-keys.configuration"]),
        role("restarter", &[], &["app"]),
        RoleDefinition { strategy: Json::Null, ..role("nothing", &[], &[]) },
    ];
    let draft = json!({"status": "draft"});
    let resources = vec![
        configured(
            "editor",
            "tags",
            vec![action("view", &["id"], Json::Null), action("create", &["name"], Json::Null)],
        ),
        configured(
            "editor",
            "notes",
            vec![
                action("view", &[], Json::Null),
                action("create", &[], Json::Null),
                action("update", &["title", "tags"], own()),
                action("destroy", &[], draft.clone()),
            ],
        ),
        configured(
            "member",
            "notes",
            vec![action("view", &["title"], draft.clone()), action("update", &["body"], draft)],
        ),
        configured("member", "users", vec![action("update", &["nickname"], json!({"id": 1}))]),
        configured("member", "roles", vec![action("create", &[], Json::Null)]),
        ResourceDefinition { using_actions_config: false, ..configured("editor", "posts", vec![]) },
        configured("nobody", "posts", vec![action("view", &[], Json::Null)]),
    ];
    Acl::new(&policy(), roles, resources)
}

fn own() -> Json {
    json!({"createdById": "{{ ctx.state.currentUser.id }}"})
}

fn fields(names: &[&str]) -> Option<Arc<BTreeSet<String>>> {
    Some(Arc::new(names.iter().map(|&name| name.to_owned()).collect::<BTreeSet<_>>()))
}

/// `-`: refused; `all`: everything; `own`: the user's own records.
fn reach(permission: Option<&Permission>) -> &'static str {
    match permission {
        None => "-",
        Some(permission) if *permission == Permission::default() => "all",
        Some(Permission { fields: None, scopes }) if **scopes == [own()] => "own",
        Some(_) => "some",
    }
}

#[test]
fn a_strategy_decides_ordinary_collections() {
    let acl = acl();
    for (role, actions, expected) in [
        ("editor", "view list get query export create firstOrCreate", "all"),
        ("editor", "update move updateOrCreate", "own"),
        ("editor", "destroy add import nosuch", "-"),
        ("admin", "list create update destroy updateOrCreate firstOrCreate move export", "all"),
        ("admin", "import nosuch", "-"),
        ("member", "list get query", "own"),
        ("member", "create firstOrCreate updateOrCreate update destroy", "-"),
        ("nothing", "list get create", "-"),
        ("nosuch", "list get create", "-"),
        ("root", "list create destroy anything", "all"),
    ] {
        for action in actions.split(' ') {
            assert_eq!(reach(acl.permission(&[role], "posts", action).as_ref()), expected, "{role} {action}");
        }
    }
}

#[test]
fn strategies_are_read_as_they_are_stored() {
    for (strategy, action, expected) in [
        (json!({"actions": "*"}), "anything", "all"),
        (json!({"actions": "view"}), "list", "all"),
        (json!({"actions": ["view:all"]}), "list", "all"),
        (json!({"actions": ["view:theirs"]}), "list", "-"),
        (json!({"actions": ["create"]}), "updateOrCreate", "-"),
        (json!({"actions": ["update"]}), "updateOrCreate", "-"),
        (json!({"actions": ["view", "export:own"]}), "export", "own"),
        (json!({"actions": ["importXlsx"]}), "importXlsx", "all"),
        (json!({"actions": false}), "list", "-"),
        (json!({"actions": [1, null]}), "list", "-"),
        (json!("view"), "list", "-"),
        (json!([]), "list", "-"),
    ] {
        let definition = RoleDefinition { strategy: strategy.clone(), ..role("r", &[], &[]) };
        let acl = Acl::new(&policy(), vec![definition], vec![]);
        assert_eq!(reach(acl.permission(&["r"], "posts", action).as_ref()), expected, "{strategy} {action}");
    }
}

#[test]
fn a_configured_collection_is_decided_by_its_configuration_alone() {
    let acl = acl();
    let ask = |resource: &str, action: &str| acl.permission(&["editor"], resource, action);
    assert_eq!(ask("tags", "list").unwrap().fields, fields(&["id"]));
    assert_eq!(ask("tags", "firstOrCreate").unwrap().fields, fields(&["name"]));
    for action in ["update", "destroy", "updateOrCreate", "move"] {
        assert_eq!(ask("tags", action), None, "{action}");
    }
    // Nothing listed: nothing but system fields to see, and everything to write.
    assert_eq!(ask("notes", "get").unwrap().fields, fields(&[]));
    assert_eq!(reach(ask("notes", "create").as_ref()), "all");
    let update = ask("notes", "update").unwrap();
    assert_eq!((&update.fields, &*update.scopes), (&fields(&["tags", "title"]), &[own()][..]));
    assert_eq!(ask("notes", "updateOrCreate"), Some(update));
    let destroy = ask("notes", "destroy").unwrap();
    assert_eq!((destroy.fields, &*destroy.scopes), (None, &[json!({"status": "draft"})][..]));
    // A configuration that is not used leaves the strategy.
    assert_eq!(reach(ask("posts", "list").as_ref()), "all");
}

#[test]
fn a_scope_that_is_empty_reaches_every_record() {
    for scope in [json!({}), json!([]), Json::Null] {
        let actions = vec![action("destroy", &[], scope.clone())];
        let acl = Acl::new(&policy(), vec![role("r", &[], &[])], vec![configured("r", "posts", actions)]);
        assert_eq!(reach(acl.permission(&["r"], "posts", "destroy").as_ref()), "all", "{scope}");
    }
}

#[test]
fn no_strategy_and_no_configuration_opens_the_management() {
    let acl = acl();
    for role in ["editor", "member", "nothing"] {
        for (resource, actions) in [
            ("roles", "list get create update destroy"),
            ("roles.users", "list add remove set"),
            ("roles.resources", "list get create update destroy"),
            ("users.roles", "list add remove set toggle create destroy"),
            ("rolesUsers", "list create update destroy"),
            ("rolesResourcesScopes", "list create"),
            ("dataSourcesRoles", "list update"),
            ("dataSources.roles", "get update"),
            ("collections", "create update destroy get setFields move"),
            ("collections.fields", "list create update destroy"),
            ("fields", "list create destroy"),
            ("applicationPlugins", "list update"),
            ("pm", "list enable disable"),
            ("authenticators", "list get create update destroy"),
            ("apiKeys", "list create destroy"),
            ("systemSettings", "list update put destroy"),
            ("issuedTokens", "list"),
            ("tokenBlacklist", "list destroy"),
            ("tokenControlConfig", "get update"),
            ("usersAuthenticators", "list"),
            ("applications", "list create destroy"),
            ("dataSources", "list create"),
            ("storages", "list"),
            ("app", "restart clearCache"),
            ("users", "create destroy"),
        ] {
            for action in actions.split(' ') {
                assert_eq!(acl.permission(&[role], resource, action), None, "{role} {resource}:{action}");
            }
        }
    }
}

#[test]
fn users_are_read_by_the_strategy_and_changed_by_more() {
    let acl = acl();
    let ask = |role: &str, action: &str| acl.permission(&[role], "users", action);
    assert_eq!(reach(ask("editor", "list").as_ref()), "all");
    for action in ["create", "update", "destroy", "firstOrCreate", "updateOrCreate", "move", "import"] {
        assert_eq!(ask("editor", action), None, "{action}");
        assert_eq!(reach(ask("people", action).as_ref()), "all", "{action}");
        assert_eq!(reach(ask("admin", action).as_ref()), "all", "{action}");
    }
    let configured = ask("member", "update").unwrap();
    assert_eq!((configured.fields, &*configured.scopes), (fields(&["nickname"]), &[json!({"id": 1})][..]));
    assert_eq!(ask("member", "list"), None);
}

#[test]
fn snippets_open_the_management() {
    let acl = acl();
    for (role, resource, actions, expected) in [
        ("admin", "roles", "list create update destroy", "all"),
        ("admin", "roles.resources", "create get update", "all"),
        ("admin", "roles.users", "add remove list", "all"),
        ("admin", "users.roles", "add remove list", "all"),
        ("admin", "dataSources.roles", "get update", "all"),
        ("admin", "collections", "create destroy", "all"),
        ("admin", "collections.fields", "create list", "all"),
        ("admin", "pm", "list enable", "all"),
        ("admin", "systemSettings", "update put", "all"),
        ("admin", "tokenControlConfig", "update", "all"),
        ("admin", "apiKeys", "list get create destroy", "own"),
        ("admin", "apiKeys", "update", "-"),
        // `app` does not begin with `pm`: NocoBase gives it to no role but root.
        ("admin", "app", "restart clearCache", "-"),
        ("admin", "systemSettings", "destroy", "-"),
        ("admin", "rolesUsers", "create", "-"),
        ("people", "users", "list create update destroy", "all"),
        ("people", "users.roles", "set", "all"),
        ("people", "roles", "list create", "-"),
        ("people", "collections", "create", "-"),
        ("keys", "apiKeys", "list", "own"),
        ("keys", "pm", "list", "-"),
        ("restarter", "app", "restart clearCache", "all"),
        ("restarter", "pm", "enable", "-"),
        ("root", "app", "restart", "all"),
        ("root", "apiKeys", "list destroy", "own"),
        ("root", "rolesUsers", "list", "all"),
    ] {
        for action in actions.split(' ') {
            let found = acl.permission(&[role], resource, action);
            assert_eq!(reach(found.as_ref()), expected, "{role} {resource}:{action}");
        }
    }
}

#[test]
fn a_negated_snippet_takes_away_what_others_give() {
    for (snippets, resource, expected) in [
        (&["pm.*"][..], "users", "all"),
        (&["pm.*", "!pm.users"], "users", "-"),
        (&["!pm.users", "pm.*"], "users", "-"),
        (&["pm.*", "!pm.users"], "roles", "all"),
        (&["!pm.*", "pm.users"], "users", "-"),
        (&["pm.acl.*"], "roles", "all"),
        (&["pm.acl.*"], "users", "-"),
        (&["*"], "users", "all"),
        (&["ui.*"], "users", "-"),
        (&["pm"], "users", "-"),
        (&["!"], "users", "-"),
    ] {
        let acl = Acl::new(&policy(), vec![role("r", &[], snippets)], vec![]);
        let found = acl.permission(&["r"], resource, "create");
        assert_eq!(reach(found.as_ref()), expected, "{snippets:?} {resource}");
    }
}

#[test]
fn several_roles_may_do_what_one_of_them_may() {
    let acl = acl();
    let ask = |resource: &str, action: &str| acl.permission(&["editor", "member"], resource, action);
    assert_eq!(reach(ask("posts", "list").as_ref()), "all");
    assert_eq!(reach(ask("posts", "update").as_ref()), "own");
    assert_eq!(reach(ask("posts", "destroy").as_ref()), "-");
    // `member` has no configuration for tags: its strategy shows the user's own, with all fields.
    let view = ask("tags", "list").unwrap();
    assert_eq!((view.fields, view.scopes.len()), (None, 0));
    let view = ask("notes", "list").unwrap();
    assert_eq!((view.fields, view.scopes.len()), (fields(&["title"]), 0));
    let update = ask("notes", "update").unwrap();
    assert_eq!(update.fields, fields(&["body", "tags", "title"]));
    assert_eq!(update.filter(), Some(json!({"$or": [own(), {"status": "draft"}]})));
    assert_eq!(reach(acl.permission(&["member", "root"], "rolesUsers", "list").as_ref()), "all");
    assert_eq!(reach(acl.permission(&["keys", "admin"], "apiKeys", "list").as_ref()), "own");
    assert_eq!(acl.permission(&NO_ROLES, "posts", "list"), None);
}

#[test]
fn root_is_root_only_where_it_exists() {
    assert_eq!(Acl::default().permission(&["root"], "posts", "list"), None);
}

#[test]
fn linking_needs_the_update_of_the_association() {
    let acl = acl();
    for action in ["add", "set", "remove", "toggle"] {
        assert_eq!(
            acl.permission(&["editor"], "notes.tags", action).unwrap().fields,
            fields(&["tags", "title"])
        );
        assert_eq!(acl.permission(&["editor"], "notes.author", action), None);
        assert_eq!(acl.permission(&["member"], "posts.tags", action), None);
        assert_eq!(reach(acl.permission(&["admin"], "posts.tags", action).as_ref()), "all");
        let linked = acl.association(&["editor"], "notes", "tags", "tags", action).unwrap();
        assert_eq!(&*linked.source.unwrap().scopes, [own()]);
        // A collection with an association to roles does not give them.
        assert_eq!(acl.association(&["editor"], "notes", "tags", "roles", action), None);
        assert!(acl.association(&["admin"], "notes", "tags", "roles", action).is_some());
    }
}

#[test]
fn associations_are_decided_by_what_they_lead_to() {
    let acl = acl();
    let ask = |source, association, target, action| {
        acl.association(&["editor"], source, association, target, action)
    };
    let read = ask("posts", "tags", "tags", "list").unwrap();
    assert_eq!((read.source, read.target.fields), (Some(Permission::default()), fields(&["id"])));
    // The notes show none of their fields, their tags neither.
    assert_eq!(ask("notes", "tags", "tags", "list"), None);
    assert_eq!(ask("notes", "tags", "tags", "create").unwrap().source, None);
    assert_eq!(ask("posts", "tags", "tags", "destroy"), None);
    assert_eq!(ask("users", "roles", "roles", "list"), None);
    assert_eq!(ask("roles", "users", "users", "list"), None);
    let managed = acl.association(&["admin"], "roles", "users", "users", "add").unwrap();
    assert_eq!(managed, AssociationPermission { source: None, target: Permission::default() });
    assert!(acl.association(&["root"], "rolesUsers", "user", "users", "list").is_some());
}

#[test]
fn roles_are_not_given_inside_a_users_record_without_their_snippet() {
    let acl = acl();
    for (role, source, association, target, expected) in [
        ("root", "users", "roles", "roles", true),
        ("admin", "users", "roles", "roles", true),
        ("people", "users", "roles", "roles", true),
        ("member", "users", "roles", "roles", false),
        ("editor", "posts", "reviewers", "roles", false),
        ("admin", "posts", "reviewers", "roles", true),
        ("people", "posts", "reviewers", "roles", false),
        ("admin", "roles", "users", "users", true),
        ("people", "roles", "users", "users", false),
        ("editor", "posts", "tags", "tags", true),
        ("editor", "posts", "author", "users", true),
    ] {
        let found = acl.may_nest(&[role], source, association, target);
        assert_eq!(found, expected, "{role} {source}.{association}");
    }
}

#[test]
fn a_collection_without_creators_has_no_own_records() {
    let with = |scopes: Vec<Json>| Permission { fields: None, scopes: scopes.into() }.without_creators();
    assert_eq!(with(vec![]), Some(Permission::default()));
    assert_eq!(with(vec![own()]), None);
    for hidden in [
        json!({"$and": [{"a": 1}, {"createdById": 1}]}),
        json!({"createdById.$ne": 2}),
        json!({"$or": [{"createdById": {"$eq": 1}}, {"public": true}]}),
    ] {
        assert_eq!(with(vec![hidden]), None);
    }
    let left = with(vec![own(), json!({"public": true})]).unwrap();
    assert_eq!(left.filter(), Some(json!({"public": true})));
}

#[test]
fn a_client_is_told_what_it_may_do() {
    let acl = acl();
    let system = |_: &str| vec!["id".to_owned(), "createdAt".to_owned()];
    let told = acl.describe(&["member"], "member", RoleMode::Default, system);
    assert_eq!(told["role"], "member");
    assert_eq!(told["roles"], json!(["member"]));
    assert_eq!(told["strategy"], json!({"actions": ["view:own"]}));
    assert_eq!(told["snippets"], json!(EVERYDAY));
    assert_eq!(told["resources"], json!(["notes", "roles", "users"]));
    assert_eq!(
        told["actions"],
        json!({
            "notes:view": {
                "fields": ["title", "id", "createdAt"], "own": false, "filter": {"status": "draft"},
            },
            "notes:update": {"whitelist": ["body"], "own": false, "filter": {"status": "draft"}},
            "users:update": {"whitelist": ["nickname"], "own": false, "filter": {"id": 1}},
        })
    );
    assert_eq!((&told["allowAll"], &told["allowConfigure"]), (&json!(false), &json!(false)));
    assert_eq!(told["availableActions"], json!(["create", "view", "update", "destroy"]));
    assert_eq!(told["actionAlias"]["firstOrCreate"], "create");
    let told = acl.describe(&["root"], "root", RoleMode::Default, system);
    assert_eq!(
        (&told["allowAll"], &told["strategy"], &told["actions"]),
        (&json!(true), &json!({}), &json!({}))
    );
    let told = acl.describe(&["admin"], "admin", RoleMode::Default, system);
    assert_eq!((&told["allowConfigure"], &told["allowAnonymous"]), (&json!(true), &json!(false)));
}

#[test]
fn a_client_in_several_roles_is_told_of_all() {
    let acl = acl();
    let told = acl.describe(&["member", "admin"], UNION_ROLE, RoleMode::AllowUseUnion, |_| vec![]);
    assert_eq!((&told["role"], &told["roleMode"]), (&json!("__union__"), &json!("allow-use-union")));
    assert_eq!(told["roles"], json!(["member", "admin"]));
    assert_eq!(told["strategy"], json!({"actions": ["view:own", "create", "view", "update", "destroy"]}));
    assert_eq!(told["snippets"], json!(MANAGING));
    // The other role's strategy reaches all of it.
    assert_eq!(told["actions"]["notes:view"], json!({}));
}

#[test]
fn a_role_is_found_with_what_it_was_made_from() {
    let acl = acl();
    let editor = acl.role("editor").unwrap();
    assert_eq!(editor.definition.snippets, EVERYDAY);
    assert_eq!(editor.collections["tags"].actions.len(), 2);
    assert!(!editor.collections.contains_key("posts"));
    assert!(acl.role("nobody").is_none());
    assert_eq!(acl.roles.len(), 8);
}
