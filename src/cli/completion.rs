//! Answers shells that complete a command line.
//!
//! The scripts in `completions/` make a shell run `nbapps` itself, with the words of the line and the number of the
//! word at the cursor. [`answer`] recognizes that and answers before anything else starts. What is offered comes
//! from the command line's definition, and IDs from the daemon (`complete.rs`).

use std::collections::HashSet;
use std::ffi::OsString;
use std::io::{self, Write as _};
use std::rc::Rc;

use clap::{Arg, Command, CommandFactory as _, ValueEnum};
use clap_complete::engine::{CompletionCandidate, complete};

use super::Cli;
use super::completed_line::{CompletedLine, ShellSession};
use super::output::printable;

/// The variable that names the shell that asks.
const SHELL_VARIABLE: &str = "NBAPPS_COMPLETE";
/// The variable with the number of the word at the cursor, from 0 for `nbapps` itself.
const WORD_VARIABLE: &str = "NBAPPS_COMPLETE_WORD";

/// A shell whose completion is supported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Shell {
    /// Bash 4 and newer
    Bash,
    /// Z shell
    Zsh,
    /// fish
    Fish,
}

/// What a shell asks for.
struct Request {
    /// The words of the line, `nbapps` first.
    words: Vec<OsString>,
    /// The number of the word at the cursor.
    position: usize,
}

impl Request {
    fn of_process() -> Self {
        let words: Vec<OsString> = std::env::args_os().skip_while(|word| word != "--").skip(1).collect();
        let position = std::env::var(WORD_VARIABLE).ok().and_then(|number| number.parse().ok());
        let last = words.len().saturating_sub(1);
        Self { words, position: position.unwrap_or(last).min(last) }
    }
}

/// Answers a shell that requests completion, and exits. Does nothing otherwise.
pub(crate) fn answer() {
    let Some(name) = std::env::var_os(SHELL_VARIABLE).filter(|name| !name.is_empty()) else { return };
    let answered = match Shell::from_str(&name.to_string_lossy(), false) {
        Ok(shell) => respond(shell, Request::of_process()),
        Err(_) => Err(io::ErrorKind::InvalidInput.into()),
    };
    // Whatever is wrong, the shell offers nothing: words would be in the way of the line.
    std::process::exit(i32::from(answered.is_err()));
}

/// The script that makes a shell request completion.
pub(crate) const fn script(shell: Shell) -> &'static str {
    match shell {
        Shell::Bash => include_str!("../../completions/nbapps.bash"),
        Shell::Zsh => include_str!("../../completions/_nbapps"),
        Shell::Fish => include_str!("../../completions/nbapps.fish"),
    }
}

fn respond(shell: Shell, Request { words, position }: Request) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    if words.is_empty() {
        return stdout.write_all(script(shell).as_bytes());
    }
    let mut lines = String::new();
    for candidate in offered(Cli::command(), words, position, None)? {
        lines.push_str(&line(shell, &candidate));
        lines.push('\n');
    }
    stdout.write_all(lines.as_bytes())
}

/// A candidate as the script of a shell reads it.
fn line(shell: Shell, candidate: &CompletionCandidate) -> String {
    let value = candidate.get_value().to_string_lossy();
    match shell {
        Shell::Bash => quoted(&value),
        Shell::Zsh | Shell::Fish => {
            let help = candidate.get_help().map(ToString::to_string).unwrap_or_default();
            match help.lines().next() {
                Some(help) => format!("{value}\t{}", printable(help)),
                None => value.into_owned(),
            }
        }
    }
}

/// A word with a backslash before each character that would be special in bash, and in the shell of nbapps.
pub(crate) fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "_-./=:,@%+~".contains(c);
    word.chars().flat_map(|c| (!is_plain(c)).then_some('\\').into_iter().chain([c])).collect()
}

/// What is offered for the word at `position` of a line: options only where one has begun, and nothing that was given.
/// `shell` is the shell of nbapps that the line is typed into.
pub(crate) fn offered(
    mut command: Command,
    mut words: Vec<OsString>,
    position: usize,
    shell: Option<Rc<ShellSession>>,
) -> io::Result<Vec<CompletionCandidate>> {
    words.truncate(position + 1);
    let (before, current) = words.split_at(words.len().saturating_sub(1));
    let begins_option = current.iter().any(|word| word.as_encoded_bytes().starts_with(b"-"));
    command.build();
    let positionals = Outline::of(&command, before).positionals.into_iter().cloned().collect::<Vec<_>>();
    let given: HashSet<OsString> = positionals.iter().cloned().collect();
    CompletedLine { before: before.to_vec(), positionals, shell }.begin();
    let mut candidates = complete(&mut command, words, position, std::env::current_dir().ok().as_deref())?;
    candidates.retain(|candidate| {
        let is_option = candidate.get_id().is_some_and(|id| id.starts_with("arg::"));
        // The tag of a value is its argument: `[ID]...` is no option.
        let is_positional = candidate.get_tag().is_some_and(|tag| tag.to_string().starts_with(['[', '<']));
        let is_out_of_place = is_option && !begins_option;
        let is_given = is_positional && given.contains(candidate.get_value());
        !(candidate.is_hide_set() || is_out_of_place || is_given)
    });
    Ok(candidates)
}

/// The words of a line by their roles, as far as they can be told without parsing their values.
#[derive(Debug)]
pub(crate) struct Outline<'c, 'w> {
    /// The command of the line.
    pub(crate) command: &'c Command,
    /// The number of the word behind the command's name.
    pub(crate) behind_command: usize,
    /// The words that are neither commands nor options nor values of options.
    pub(crate) positionals: Vec<&'w OsString>,
}

impl<'c, 'w> Outline<'c, 'w> {
    /// The roles of `words`, the first of which is the program.
    pub(crate) fn of(root: &'c Command, words: &'w [OsString]) -> Self {
        let mut outline = Self { command: root, behind_command: 1, positionals: Vec::new() };
        let mut numbered = words.iter().enumerate().skip(1);
        while let Some((number, word)) = numbered.next() {
            let text = word.to_string_lossy();
            if text == "--" {
                outline.positionals.extend(numbered.by_ref().map(|(_, word)| word));
                break;
            }
            let command = outline.command;
            let takes_next = match text.strip_prefix("--") {
                Some(long) => option(command, |option| option.get_long() == Some(long)),
                None => match text.strip_prefix('-').and_then(|flags| flags.chars().last()) {
                    Some(short) => option(command, |option| option.get_short() == Some(short)),
                    None => {
                        match command.find_subcommand(word) {
                            Some(next) => (outline.command, outline.behind_command) = (next, number + 1),
                            None => outline.positionals.push(word),
                        }
                        continue;
                    }
                },
            };
            if takes_next {
                numbered.next();
            }
        }
        outline
    }
}

/// Whether there is such an option, and the word after it is its value.
fn option(command: &Command, is_it: impl Fn(&Arg) -> bool) -> bool {
    command
        .get_arguments()
        .find(|option| is_it(option))
        .is_some_and(|option| option.get_action().takes_values() && !option.is_require_equals_set())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is offered for the last word of a line, without what is asked of a daemon.
    fn values(line: &str) -> Vec<String> {
        let words: Vec<OsString> = line.split(' ').map(Into::into).collect();
        let position = words.len() - 1;
        let offered = offered(Cli::command(), words, position, None).unwrap();
        offered.iter().map(|candidate| candidate.get_value().to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn options_are_offered_where_one_has_begun() {
        for line in [
            "nbapps ",
            "nbapps daemon status ",
            "nbapps completions ",
            "nbapps create ",
            "nbapps wait --for ",
        ] {
            let offered = values(line);
            assert!(offered.iter().all(|value| !value.starts_with('-')), "{line}: {offered:?}");
        }
        assert!(values("nbapps list -").contains(&"--state".to_owned()));
        assert_eq!(values("nbapps list --st"), ["--state"]);
    }

    #[test]
    fn values_are_offered_behind_an_equals_sign() {
        for (line, expected) in [
            ("nbapps list --state=r", &["--state=running"][..]),
            ("nbapps list --output=y", &["--output=yaml"]),
            ("nbapps list -oy", &["-oyaml"]),
            ("nbapps list -o=y", &["-o=yaml"]),
            ("nbapps create --limit=in-", &["--limit=in-flight="]),
            ("nbapps list --filter=state=ru", &["--filter=state=running"]),
            ("nbapps list --filter name~a,pro", &["name~a,protected=yes", "name~a,protected=no"]),
            ("nbapps list --columns id,cre", &["id,created_at"]),
            ("nbapps list --sort=name,-cre", &["--sort=name,-created_at"]),
            ("nbapps logs --level=w", &["--level=warn"]),
            ("nbapps --color=n list --state=r", &["--state=running"]),
        ] {
            assert_eq!(values(line), expected, "{line}");
        }
    }

    #[test]
    fn positionals_are_told_from_values_of_options() {
        let mut command = Cli::command();
        command.build();
        for (line, expected) in [
            ("nbapps stop crm hr", &["crm", "hr"][..]),
            ("nbapps stop --timeout 5s crm --no-wait hr", &["crm", "hr"]),
            ("nbapps --socket crm wait hr --for running", &["hr"]),
            ("nbapps logs -fn 5 crm", &["crm"]),
            ("nbapps visit --sign-in crm", &["crm"]),
            ("nbapps -o json stop -- crm", &["crm"]),
        ] {
            let words: Vec<OsString> = line.split(' ').map(Into::into).collect();
            assert_eq!(Outline::of(&command, &words).positionals, expected, "{line}");
        }
    }

    #[test]
    fn words_are_quoted_for_bash() {
        assert_eq!(quoted("--limit=in-flight="), "--limit=in-flight=");
        assert_eq!(quoted("my file$(x)"), "my\\ file\\$\\(x\\)");
    }
}
