//! The command tree as a whole: it holds together, and its help is as it was read.

use clap::{CommandFactory as _, Parser as _};

use super::Cli;

#[test]
fn the_command_tree_holds_together() {
    Cli::command().debug_assert();
}

/// The help of a command and of all below it.
fn helps(command: &mut clap::Command, path: &str, texts: &mut Vec<(String, String)>) {
    texts.push((path.to_owned(), command.render_long_help().to_string()));
    for below in
        command.get_subcommands_mut().filter(|below| !below.is_hide_set() && below.get_name() != "help")
    {
        let path = format!("{path}-{}", below.get_name());
        helps(below, &path, texts);
    }
}

#[test]
fn the_help_is_as_it_was_read() {
    // As wide as it is without a terminal, whatever the tests run in.
    let mut command = Cli::command().term_width(100);
    command.build();
    let mut texts = Vec::new();
    helps(&mut command, "nbapps", &mut texts);
    for (name, text) in texts {
        // Each command repeats the global options; they are read once, in the first.
        let own = match text.split_once("\nGlobal options:") {
            Some((before, after)) if name != "nbapps" => {
                let rest = after.find("\nExamples:").map_or("", |at| &after[at..]);
                format!("{before}{rest}")
            }
            _ => text,
        };
        insta::assert_snapshot!(format!("help-{name}"), own);
    }
}

/// Command lines that are refused.
const WRONG: &[&str] = &[
    "",
    "create Crm",
    "create crm --id hr",
    "create crm --db-url x --db-host y",
    "create crm --start-mode never",
    "create crm --idle-stop 10ms",
    "start",
    "start crm --all",
    "stop crm --no-wait --timeout 5s",
    "stop crm -l team=x",
    "stop --all -l team=x",
    "stop -l team~x",
    "delete crm -l team=x",
    "undelete crm -l team=x",
    "logs --all -l team=x",
    "wait crm -l team=x",
    "events crm -l team=x",
    "show crm --all",
    "show",
    "update --all crm --protect",
    "update -l team=x --all --protect",
    "update crm --label team",
    "update crm --add-domain a --no-domains",
    "update crm --remove-domain a --domain b",
    "create crm --label team-",
    "rename crm",
    "rename crm --name",
    "list --filter size=3",
    "list --filter state=runing",
    "list --filter name==x",
    "list --sort colour",
    "list --limit 0",
    "list --columns id,colour",
    "list --watch --deleted",
    "delete",
    "update crm --protect --no-protect",
    "update crm --domain a --no-domains",
    "wait crm --for paused",
    "logs crm --level loud",
    "list -o xml",
    "list -o template",
    "list -o template={{id",
    "user",
    "user add crm",
    "user role crm ada",
    "user passwd crm --password-stdin --password-file x",
    "key create crm",
    "key create crm --name ci --user ada --expires soon",
    "api crm GET",
    "api crm GET posts:list -H X-Role",
    "api crm GET posts:list --query page",
    "db shell",
    "apply",
    "apply -f",
    "apply -f x --inventory a/b",
    "export",
    "export crm --all",
    "schema",
    "list --host server",
    "list --host ssh://server --socket /x",
    "list --context a --host ssh://server",
    "list --context a --socket /x",
    "list --context -a",
    "list --context",
    "context",
    "context add",
    "context add a/b ssh://x",
    "context use",
    "context remove",
    "shell list",
    "stats --interval 10ms",
    "stats --since-start --watch",
    "stats --since-start --interval 2s",
    "top crm",
    "top --sort size_bytes",
    "completions powershell",
];

#[test]
fn wrong_command_lines_are_refused() {
    for line in WRONG {
        let words = ["nbapps"].into_iter().chain(line.split_whitespace());
        assert!(Cli::try_parse_from(words).is_err(), "nbapps {line}");
    }
}

/// Command lines that are read.
const RIGHT: &[&str] = &[
    "create",
    "create crm --if-not-exists --start --dry-run --timeout 5m -o json",
    "create --id crm --db schema --db-schema crm --domain a --domain b",
    "ls --deleted",
    "ls --filter state=running,name~shop --filter label.team=x -l env!=prod,team",
    "ls --sort -size --limit 3 --columns id,state,label.team",
    "start -l team=x -l !legacy",
    "update -l team=x --label env=prod --label old- --remove-label older",
    "update crm hr --add-domain a --remove-domain b",
    "show --all",
    "ls --sort=-state,name -w",
    "undelete -l team=x",
    "wait -l team=x --for stopped",
    "events -l team=x",
    "logs -l team=x -f",
    "delete -l team=x --yes",
    "rename crm --name x",
    "create crm --label team=x --label env=",
    "rm crm hr --purge --yes",
    "visit crm --sign-in --print",
    "visit crm --sign-in=ada",
    "logs -f crm -n 5",
    "daemon run --listen 127.0.0.1:1 --data-dir /x",
    "daemon start --socket /x -- --data-dir /x",
    "daemon dial-stdio",
    "delete crm --purge --deleted",
    "config check --config /x",
    "config view -o json",
    "operations list",
    "user ls crm",
    "user passwd crm",
    "user passwd crm ada --password-stdin",
    "list -o template={{id}}",
    "user role crm ada --add a --add b --remove c --default a",
    "user rm crm ada -y",
    "key create crm --name ci --user ada --expires never --output-file /x",
    "api crm get posts:list --all-pages --as ada -H X-Role:admin --query a=b=c -o template={{data}}",
    "db shell crm -- -csv",
    "apply -f a.toml -f b --dry-run --prune -y --detailed-exitcode --inventory b --adopt --set-passwords",
    "apply --file - --timeout 1m",
    "export crm hr -o toml --settings-only",
    "export -l team=sales",
    "schema apply",
    "events --quiet",
    "doctor",
    "doctor crm --verbose --thorough --timeout 5m -o json",
    "list --context prod",
    "--context local daemon status",
    "context add prod ssh://ops@server --use",
    "context add prod --host ssh://ops@server --replace",
    "context ls -o json",
    "context rm prod test",
    "shell --keep-going",
    "stop --all --yes",
    "daemon stop -y",
    "stats",
    "stats crm hr --watch --interval 500ms -o jsonl",
    "stats -w",
    "stats --since-start",
    "top --sort in-flight --filter shop",
    "metrics",
];

#[test]
fn right_command_lines_are_read() {
    for line in RIGHT {
        let words = ["nbapps"].into_iter().chain(line.split_whitespace());
        if let Err(error) = Cli::try_parse_from(words) {
            panic!("nbapps {line}: {error}");
        }
    }
}
