//! Completion in the shells themselves, into which the tests type: of application IDs, asked from the running
//! daemon, and of what the command line knows.

use std::path::{Path, PathBuf};
use std::process::Command;

use macro_rules_attribute::apply;
use rustix::process::Signal;
use serde_json::json;

use crate::environment::{Ran, TestEnvironment};
use crate::terminal::Terminal;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TestShell {
    Bash,
    Zsh,
    Fish,
}

/// Makes three tests of a function that takes a [`TestShell`].
macro_rules! in_every_shell {
    (#[test] fn $name:ident($shell:ident: TestShell) $body:block) => {
        mod $name {
            #[test]
            fn in_bash() {
                super::$name(super::TestShell::Bash);
            }

            #[test]
            fn in_zsh() {
                super::$name(super::TestShell::Zsh);
            }

            #[test]
            fn in_fish() {
                super::$name(super::TestShell::Fish);
            }
        }

        fn $name($shell: TestShell) $body
    };
}

impl TestShell {
    fn name(self) -> &'static str {
        match self {
            Self::Bash => "bash",
            Self::Zsh => "zsh",
            Self::Fish => "fish",
        }
    }

    /// The line that starts it without anybody's configuration.
    pub fn bare(self) -> &'static str {
        match self {
            Self::Bash => "bash --norc --noprofile -i",
            Self::Zsh => "zsh -f -i",
            Self::Fish => "fish --no-config -i",
        }
    }

    /// What loads the completion.
    pub fn loads(self) -> String {
        match self {
            Self::Bash => "source <(nbapps completions bash)".to_owned(),
            Self::Zsh => "autoload -Uz compinit; compinit -u -D; source <(nbapps completions zsh)".to_owned(),
            Self::Fish => "nbapps completions fish | source".to_owned(),
        }
    }
}

/// Lets a shell find `nbapps` in its path.
fn with_path(command: &mut Command) {
    let programs = Path::new(env!("CARGO_BIN_EXE_nbapps")).parent().unwrap();
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
    command.env("PATH", path);
}

/// A shell at its prompt.
pub struct Prompt {
    terminal: Terminal,
    lines: u32,
}

impl Prompt {
    /// A shell that has loaded the completion.
    fn of(environment: &TestEnvironment, shell: TestShell) -> Self {
        let mut prompt = Self::at(environment, shell.bare(), with_path);
        prompt.runs(&shell.loads());
        prompt
    }

    pub fn at(environment: &TestEnvironment, line: &str, set: impl FnOnce(&mut Command)) -> Self {
        let terminal = Terminal::start(environment, line, 200, set);
        let mut prompt = Self { terminal, lines: 0 };
        prompt.runs("true");
        prompt
    }

    /// Runs a line to its end; gives what was shown.
    pub fn runs(&mut self, line: &str) -> String {
        self.lines += 1;
        // What is typed is shown, too, and is not what is waited for.
        self.terminal.types(&format!("{line}; echo ready''{0}\r", self.lines));
        self.terminal.shows(&format!("ready{}", self.lines))
    }

    /// Types a line with tabs; gives the words that it has become, each in `<>`.
    pub fn becomes(&mut self, line: &str) -> String {
        self.lines += 1;
        self.terminal.types(line);
        // From the beginning of the line.
        self.terminal.types(&format!("\x01echo ready''{}; printf '<%s>' \r", self.lines));
        self.terminal.shows(&format!("ready{}", self.lines));
        self.lines += 1;
        self.terminal.types(&format!("echo; echo ready''{}\r", self.lines));
        let shown = self.terminal.shows(&format!("ready{}", self.lines));
        let words =
            regex::Regex::new("<nbapps>(<[^<>]*>)*").unwrap().find(&shown).map(|found| found.as_str());
        words.unwrap_or_else(|| panic!("{line:?}: {shown}")).to_owned()
    }
}

#[apply(in_every_shell)]
#[test]
fn what_is_typed_is_completed(shell: TestShell) {
    let environment = TestEnvironment::new();
    let daemon = environment.daemon();
    for id in ["customers", "custody", "hr"] {
        daemon.call("app.create", json!({"id": id, "name": "It's <odd>: $(x) `y`"}));
    }
    daemon.call("app.start", json!({"id": "customers"}));
    daemon.call("app.update", json!({"id": "hr", "labels": {"team": "sales", "env": "prod"}}));
    daemon.call("app.create", json!({"id": "gone"}));
    daemon.call("app.delete", json!({"id": "gone"}));
    let mut prompt = Prompt::of(&environment, shell);
    for (typed, words) in [
        ("nbapps show h\t", "<nbapps><show><hr>"),
        ("nbapps und\tgo\t", "<nbapps><undelete><gone>"),
        ("nbapps doc\th\t", "<nbapps><doctor><hr>"),
        ("nbapps show gon\t", "<nbapps><show><gon>"),
        // Values behind an equals sign, and behind a blank.
        ("nbapps list --state=r\t", "<nbapps><list><--state=running>"),
        ("nbapps list --state r\t", "<nbapps><list><--state><running>"),
        ("nbapps list --output=y\t", "<nbapps><list><--output=yaml>"),
        ("nbapps list -o y\t", "<nbapps><list><-o><yaml>"),
        (
            "nbapps update hr --limit=in-\t7 --name=\"a b\"",
            "<nbapps><update><hr><--limit=in-flight=7><--name=a b>",
        ),
        ("nbapps logs hr --level=w\t", "<nbapps><logs><hr><--level=warn>"),
        ("nbapps --color=n\tlist --state=st\t", "<nbapps><--color=never><list><--state=stopped>"),
        (
            "nbapps create --name=\"x y\" --start-\tw\t",
            "<nbapps><create><--name=x y><--start-mode><with-main>",
        ),
        ("nbapps visit customers --sign-in=no\t", "<nbapps><visit><customers><--sign-in=nocobase>"),
        (
            "nbapps visit customers --print --sign-in=admin@\t",
            "<nbapps><visit><customers><--print><--sign-in=admin@nocobase.com>",
        ),
        // What was given is not offered again, so that one is left.
        ("nbapps stop custody cust\t", "<nbapps><stop><custody><customers>"),
        (
            "nbapps stop --timeout 5s hr customers c\t",
            "<nbapps><stop><--timeout><5s><hr><customers><custody>",
        ),
        ("nbapps stop custody customers hr \t", "<nbapps><stop><custody><customers><hr>"),
        // No options where none has begun.
        ("nbapps daemon status \t", "<nbapps><daemon><status>"),
        ("nbapps show hr \t", "<nbapps><show><hr>"),
        ("nbapps list --del\t", "<nbapps><list><--deleted>"),
        // Lists, of which the last part is completed.
        ("nbapps stop -l te\t", "<nbapps><stop><-l><team=sales>"),
        ("nbapps stop -l team=sales,e\t", "<nbapps><stop><-l><team=sales,env=prod>"),
        ("nbapps update hr --remove-label te\t", "<nbapps><update><hr><--remove-label><team>"),
        ("nbapps list --filter name~c,state=ru\t", "<nbapps><list><--filter><name~c,state=running>"),
        ("nbapps list --filter=label.e\t", "<nbapps><list><--filter=label.env=prod>"),
        ("nbapps list --columns=id,cre\t", "<nbapps><list><--columns=id,created_at>"),
    ] {
        assert_eq!(prompt.becomes(typed), words, "{typed:?}");
    }
}

#[apply(in_every_shell)]
#[test]
fn users_roles_and_keys_of_the_application_are_completed(shell: TestShell) {
    let environment = TestEnvironment::new();
    let daemon = environment.daemon();
    for id in ["crm", "hr"] {
        daemon.call("app.create", json!({"id": id, "start": true}));
    }
    daemon.call("user.add", json!({"id": "crm", "email": "ada@example.com", "username": "ada"}));
    daemon.call("key.create", json!({"id": "crm", "name": "ci", "expires_in": "1h"}));
    let mut prompt = Prompt::of(&environment, shell);
    for (typed, words) in [
        ("nbapps user passwd crm ada@\t", "<nbapps><user><passwd><crm><ada@example.com>"),
        ("nbapps user dis\tcrm nocob\t", "<nbapps><user><disable><crm><nocobase>"),
        (
            "nbapps user role crm ada --add mem\t--default=adm\t",
            "<nbapps><user><role><crm><ada><--add><member><--default=admin>",
        ),
        ("nbapps user passwd hr ad\t", "<nbapps><user><passwd><hr><admin@nocobase.com>"),
        ("nbapps key create crm --user=noc\t", "<nbapps><key><create><crm><--user=nocobase>"),
        ("nbapps key rev\tcrm \t", "<nbapps><key><revoke><crm><1>"),
        ("nbapps api crm G\tposts:list --as noc\t", "<nbapps><api><crm><GET><posts:list><--as><nocobase>"),
        ("nbapps db sh\tc\t", "<nbapps><db><shell><crm>"),
    ] {
        assert_eq!(prompt.becomes(typed), words, "{typed:?}");
    }
}

#[apply(in_every_shell)]
#[test]
fn a_daemon_that_does_not_answer_costs_nothing_visible(shell: TestShell) {
    let environment = TestEnvironment::new();
    let mut prompt = Prompt::of(&environment, shell);
    let lines = ["nbapps show c\t", "nbapps stop \t", "nbapps --host=ssh://nowhere.invalid show c\t"];
    let mut says_nothing = |daemon: &str| {
        for typed in lines {
            let words: String = typed.split_whitespace().map(|word| format!("<{word}>")).collect();
            assert_eq!(prompt.becomes(typed), words, "{daemon}: {typed:?}");
        }
    };
    says_nothing("none");
    assert!(!environment.socket().exists(), "completion starts no daemon");
    let daemon = environment.daemon();
    daemon.signal(Signal::STOP);
    says_nothing("stopped");
    daemon.signal(Signal::CONT);
}

#[apply(in_every_shell)]
#[test]
fn the_line_of_the_readme_loads_it(shell: TestShell) {
    let environment = TestEnvironment::new();
    let daemon = environment.daemon();
    daemon.call("app.create", json!({"id": "customers"}));
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let needle = format!("nbapps completions {}", shell.name());
    let line = readme.lines().find(|line| line.starts_with("echo") && line.contains(&needle)).unwrap();
    let home = environment.path("home");
    std::fs::create_dir_all(home.join(".config/fish")).unwrap();
    // As its users have it.
    std::fs::write(home.join(".zshrc"), "autoload -Uz compinit && compinit -u -D\n").unwrap();
    let set = |command: &mut Command| {
        with_path(command);
        command.env_remove("XDG_CONFIG_HOME");
    };
    let mut command = environment.command("sh");
    set(&mut command);
    environment
        .run({
            command.args(["-c", line]);
            command
        })
        .ok();
    let mut prompt = Prompt::at(&environment, &format!("{} -i", shell.name()), set);
    assert_eq!(prompt.becomes("nbapps show cu\t"), "<nbapps><show><customers>");
}

#[test]
fn zsh_without_its_completion_gets_a_hint() {
    let environment = TestEnvironment::new();
    let mut command = environment.command("zsh");
    with_path(&mut command);
    command.args(["-f", "-c", "source <(nbapps completions zsh)"]);
    let Ran { stdout, stderr, .. } = environment.run(command);
    assert!(stderr.contains("autoload -Uz compinit && compinit"), "{stdout}{stderr}");
    assert!(!stderr.contains("command not found"), "{stderr}");
}

#[test]
fn zsh_completes_the_first_time_from_a_file() {
    let environment = TestEnvironment::new();
    let daemon = environment.daemon();
    daemon.call("app.create", json!({"id": "customers"}));
    let scripts: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("completions");
    let mut prompt = Prompt::at(&environment, TestShell::Zsh.bare(), with_path);
    prompt.runs(&format!("fpath=('{}' $fpath); autoload -Uz compinit; compinit -u -D", scripts.display()));
    assert_eq!(prompt.becomes("nbapps show cu\t"), "<nbapps><show><customers>");
}
