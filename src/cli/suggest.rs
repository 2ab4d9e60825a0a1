//! Leads words of other programs to the commands and options of this one: `ps` to `list`, `--tail` to `-n`.
//! What is only mistyped, clap finds by itself.

use clap::CommandFactory as _;
use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::Cli;

/// Words of docker, kubectl, systemctl, gh and others, with the commands that do the same.
const COMMANDS: &[(&[&str], &str)] = &[
    (&["new", "add", "init", "make", "deploy", "install"], "nbapps create ID"),
    (&["ps", "apps", "all", "list-units", "containers", "index"], "nbapps list"),
    (&["inspect", "describe", "get", "info", "view", "cat"], "nbapps show ID"),
    (&["open", "browse", "url", "login", "web"], "nbapps visit ID --sign-in"),
    (&["up", "run", "launch", "resume", "unpause", "boot", "enable"], "nbapps start ID"),
    (&["down", "kill", "halt", "pause", "suspend", "terminate", "disable"], "nbapps stop ID"),
    (&["reboot", "reload", "bounce"], "nbapps restart ID"),
    (&["set", "edit", "modify", "change", "configure", "patch", "protect"], "nbapps update ID"),
    (&["label", "tag"], "nbapps update ID --label KEY=VALUE"),
    (&["mv", "move"], "nbapps rename ID --name NAME"),
    (&["remove", "destroy", "del", "drop", "uninstall", "erase"], "nbapps delete ID"),
    (&["purge", "prune", "wipe"], "nbapps delete ID --purge"),
    (&["restore", "recover", "undo", "unremove"], "nbapps undelete ID"),
    (&["log", "tail", "journal"], "nbapps logs ID"),
    (&["watch", "monitor", "follow"], "nbapps events"),
    (&["stat", "usage", "load"], "nbapps stats"),
    (&["htop", "dashboard"], "nbapps top"),
    (&["prometheus", "openmetrics"], "nbapps metrics"),
    (&["jobs", "job", "tasks", "task", "ops"], "nbapps operation list"),
    (&["users", "people", "members", "account", "accounts"], "nbapps user list ID"),
    (&["passwd", "password", "reset-password"], "nbapps user passwd ID"),
    (&["keys", "token", "tokens", "api-key", "apikey"], "nbapps key create ID --name NAME"),
    (&["curl", "call", "request", "http"], "nbapps api ID METHOD PATH"),
    (&["sql", "dbshell", "database", "psql", "mysql", "mariadb", "sqlite3"], "nbapps db shell ID"),
    (&["status", "health", "ping"], "nbapps daemon status, or of one application: nbapps show ID"),
    (&["check", "diagnose", "diagnostics", "verify", "preflight"], "nbapps doctor"),
    (&["serve", "server", "host"], "nbapps daemon run"),
    (&["completion", "autocomplete"], "nbapps completions SHELL"),
    (&["contexts", "ctx", "remote", "remotes", "machine"], "nbapps context list"),
    (&["use", "switch", "target", "connect"], "nbapps context use NAME"),
    (&["console", "repl", "prompt", "interactive", "sh"], "nbapps shell"),
    (&["import", "sync", "reconcile", "diff"], "nbapps apply -f FILE, with --dry-run to see the differences"),
    (&["version"], "nbapps --version"),
];

/// Words of others behind commands that have commands of their own.
const VERBS: &[(&str, &[&str], &str)] = &[
    ("user", &["create", "new", "invite", "register"], "nbapps user add ID --email EMAIL"),
    ("user", &["remove", "del", "destroy"], "nbapps user delete ID USER"),
    ("user", &["lock", "block", "suspend", "deactivate"], "nbapps user disable ID USER"),
    ("user", &["unlock", "unblock", "activate"], "nbapps user enable ID USER"),
    ("user", &["roles", "grant", "promote"], "nbapps user role ID USER --add ROLE"),
    ("user", &["reset", "reset-password", "set-password"], "nbapps user passwd ID USER"),
    ("key", &["add", "new", "generate", "issue"], "nbapps key create ID --name NAME"),
    ("key", &["delete", "remove", "del", "destroy"], "nbapps key revoke ID KEY"),
    ("db", &["connect", "open", "console", "cli", "psql", "mysql", "sqlite3"], "nbapps db shell ID"),
];

/// Options of others, with the command that they were given to (empty for any) and what does the same here.
const OPTIONS: &[(&str, &[&str], &str)] = &[
    ("logs", &["--tail", "--limit", "--number", "--head"], "-n COUNT"),
    ("logs", &["--severity", "--priority", "-p"], "--level LEVEL"),
    ("logs", &["--watch", "-w"], "--follow"),
    ("stats", &["--follow", "-f", "--stream"], "--watch"),
    ("stats", &["--no-stream", "--once"], "nbapps stats, which prints once"),
    ("delete", &["--force", "-f"], "--yes"),
    ("delete", &["--volumes", "-v", "--all-data", "--permanent"], "--purge"),
    ("list", &["--status"], "--state STATE"),
    ("list", &["-f"], "--filter CONDITIONS"),
    ("list", &["--long"], "-o wide"),
    ("list", &["--sort-by", "--order", "--order-by"], "--sort FIELDS"),
    ("list", &["--fields", "-L", "--show-labels"], "--columns FIELDS"),
    ("list", &["--follow"], "--watch"),
    ("update", &["--no-label", "--unlabel", "--label-rm", "--label-remove"], "--remove-label KEY"),
    ("update", &["--label-add", "--add-label"], "--label KEY=VALUE"),
    ("update", &["--domain-add"], "--add-domain HOST"),
    ("update", &["--no-domain", "--domain-rm", "--domain-remove"], "--remove-domain HOST"),
    ("create", &["--url", "--database-url"], "--db connection --db-url URL"),
    ("create", &["--email"], "--admin-email EMAIL"),
    ("create", &["--password"], "--admin-password-file FILE"),
    ("create", &["--exist-ok", "--ignore-existing"], "--if-not-exists"),
    ("create", &["--now", "--run"], "--start"),
    ("", &["--json"], "-o json"),
    ("", &["--yaml"], "-o yaml"),
    ("", &["--wide"], "-o wide"),
    ("", &["--template", "--jq", "-t"], "-o template=TEMPLATE"),
    ("", &["--format"], "-o FORMAT"),
    ("api", &["--paginate", "--all"], "--all-pages"),
    ("api", &["--input", "--data-raw", "--body"], "-d DATA"),
    ("api", &["-F", "-f", "--field", "--param"], "--query NAME=VALUE"),
    ("api", &["--user", "-u"], "--as USER"),
    ("api", &["-X", "--request", "--method"], "the method in front of the path: nbapps api ID POST PATH"),
    ("user", &["--password", "-p"], "--password-stdin, or --password-file FILE"),
    ("", &["--detach", "-d", "--async", "--background", "--no-block"], "--no-wait"),
    ("", &["-H", "--remote"], "--host ssh://USER@SERVER"),
    ("", &["-c", "--ctx", "--profile"], "--context NAME"),
    ("", &["--silent", "-s"], "--quiet"),
    ("", &["--no-color", "--no-colour"], "--color never"),
];

/// The error with what to use in place of a word of another program, if it is one.
pub(super) fn improve(mut error: clap::Error) -> clap::Error {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.clone(),
        Some(ContextValue::StyledStr(text)) => text.to_string(),
        _ => String::new(),
    };
    let command = below(&text(ContextKind::Usage));
    let tip = match error.kind() {
        ErrorKind::InvalidSubcommand if command.is_empty() => {
            for_command(&text(ContextKind::InvalidSubcommand)).map(|instead| format!("use {instead}"))
        }
        ErrorKind::InvalidSubcommand => {
            let word = text(ContextKind::InvalidSubcommand);
            find(VERBS, &command, &word).map(|instead| format!("use {instead}"))
        }
        ErrorKind::UnknownArgument => {
            for_option(&command, &text(ContextKind::InvalidArg)).map(|instead| format!("use {instead}"))
        }
        _ => None,
    };
    let has_verbs = VERBS.iter().any(|(of, ..)| *of == command);
    if tip.is_none() && !has_verbs && error.kind() == ErrorKind::InvalidSubcommand {
        // clap looks for similar commands by itself, but not for the one that `help` is asked about.
        let word = text(ContextKind::InvalidSubcommand);
        let similar = error.get(ContextKind::SuggestedSubcommand).is_none().then(|| similar(&word)).flatten();
        if let Some(similar) = similar {
            error.insert(ContextKind::SuggestedSubcommand, ContextValue::Strings(vec![similar]));
        }
    }
    if let Some(tip) = tip {
        // What merely looks alike would mislead.
        error.remove(ContextKind::SuggestedSubcommand);
        error.remove(ContextKind::SuggestedArg);
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![StyledStr::from(tip)]));
    }
    error
}

/// How similar a word must be to be suggested, as clap has it.
const MIN_SIMILARITY: f64 = 0.7;

/// The command that is most like a word, if it is like it.
fn similar(word: &str) -> Option<String> {
    let command = Cli::command();
    nearest(word, command.get_subcommands().map(clap::Command::get_name)).map(str::to_owned)
}

/// The one of `words` that is most like `word`, if it is like it.
pub(super) fn nearest<'w>(word: &str, words: impl IntoIterator<Item = &'w str>) -> Option<&'w str> {
    let all = words.into_iter().map(|known| (strsim::jaro(word, known), known));
    let most = all.max_by(|(one, _), (other, _)| one.total_cmp(other));
    most.filter(|(similarity, _)| *similarity > MIN_SIMILARITY).map(|(_, known)| known)
}

/// The command below `nbapps` whose usage this is; empty for `nbapps` itself.
fn below(usage: &str) -> String {
    let behind = usage.split("nbapps").nth(1).unwrap_or_default();
    behind
        .split_whitespace()
        .next()
        .filter(|word| !word.starts_with(['[', '<', '-']))
        .unwrap_or_default()
        .to_owned()
}

fn for_command(word: &str) -> Option<&'static str> {
    COMMANDS.iter().find(|(words, _)| words.contains(&word)).map(|(_, command)| *command)
}

fn for_option(command: &str, option: &str) -> Option<&'static str> {
    find(OPTIONS, command, option.split(['=', ' ']).next().unwrap_or_default())
}

/// What does the same as a word that was given to a command.
fn find(table: &[(&str, &[&str], &'static str)], command: &str, word: &str) -> Option<&'static str> {
    table
        .iter()
        .find(|(of, words, _)| (of.is_empty() || *of == command) && words.contains(&word))
        .map(|(_, _, instead)| *instead)
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    fn said(line: &str) -> String {
        let words = std::iter::once("nbapps").chain(line.split(' '));
        improve(Cli::try_parse_from(words).unwrap_err()).to_string()
    }

    #[test]
    fn words_of_others_lead_to_the_commands() {
        for (line, tip) in [
            ("creat x", "'create'"),
            ("delte x", "'delete'"),
            ("lgos x", "'logs'"),
            ("help creat", "'create'"),
            ("ps", "tip: use nbapps list"),
            ("inspect crm", "tip: use nbapps show ID"),
            ("remove crm", "tip: use nbapps delete ID"),
            ("logs crm --tail 5", "tip: use -n COUNT"),
            ("logs crm --tail=5", "tip: use -n COUNT"),
            ("delete crm --force", "tip: use --yes"),
            ("list --json", "tip: use -o json"),
            ("stop crm -d", "tip: use --no-wait"),
            ("version", "tip: use nbapps --version"),
            ("users crm", "tip: use nbapps user list ID"),
            ("user remove crm ada", "tip: use nbapps user delete ID USER"),
            ("user lst crm", "'list'"),
            ("passwd crm", "tip: use nbapps user passwd ID"),
            ("api crm GET posts:list --jq .data", "tip: use -o template=TEMPLATE"),
            ("user passwd crm --password x", "tip: use --password-stdin"),
            ("label crm team=x", "tip: use nbapps update ID --label KEY=VALUE"),
            ("list --sort-by name", "tip: use --sort FIELDS"),
            ("update crm --label-rm team", "tip: use --remove-label KEY"),
            ("switch prod", "tip: use nbapps context use NAME"),
            ("repl", "tip: use nbapps shell"),
            ("list --ctx prod", "tip: use --context NAME"),
        ] {
            let said = said(line);
            assert!(said.contains(tip) && said.matches("tip:").count() == 1, "nbapps {line}: {said}");
        }
        assert!(!said("nosuch").contains("tip:"));
    }

    #[test]
    fn no_word_of_others_is_one_of_ours() {
        let command = Cli::command();
        for (word, to) in COMMANDS.iter().flat_map(|(words, to)| words.iter().map(move |word| (word, to))) {
            assert!(command.find_subcommand(word).is_none(), "{word} is a command");
            let name = to.split(' ').nth(1).unwrap();
            assert!(name == "--version" || command.find_subcommand(name).is_some(), "{to}");
        }
    }
}
