//! The manual page of a command: as `clap_mangen` writes it, but for what it leaves out: the values of options in
//! the synopsis, the exit status, and tables whose lines stay lines.

use clap::{Arg, ArgAction, Command};
use clap_mangen::Man;

use super::{MANUAL, source};
use crate::daemon::handbook;

/// The heading under which the options of every command are.
const GLOBAL: &str = "Global options";

/// A page of a command.
pub(super) struct Page<'a> {
    command: &'a Command,
    man: Man,
}

impl<'a> Page<'a> {
    pub(super) fn of(command: &'a Command, section: &str) -> Self {
        let man = Man::new(command.clone()).section(section).manual(MANUAL).source(source());
        Self { command, man }
    }

    pub(super) fn file_name(&self) -> String {
        self.man.get_filename()
    }

    /// The page, with further sections before the examples.
    pub(super) fn render(&self, sections: &str) -> String {
        let mut page = Vec::new();
        self.man.render(&mut page).unwrap();
        let page = String::from_utf8(page).unwrap();
        let page = replace_section(&page, "SYNOPSIS", &synopsis(self.command));
        let (page, extra) = take_section(&page, "EXTRA");
        let page = without_help(&tables(&page));
        // The page has no use for its own version, which its footer names.
        let (page, _) = take_section(&page, "VERSION");
        format!("{page}{sections}{}", extra.map_or_else(String::new, |extra| examples(&extra)))
    }
}

/// Splits a page into what is before a section, its content, and what is behind it.
fn split<'a>(page: &'a str, name: &str) -> Option<(&'a str, &'a str, &'a str)> {
    let heading = format!(".SH {name}\n");
    let at = page.find(&heading)?;
    let (before, from) = page.split_at(at);
    let content = &from[heading.len()..];
    let end = content.find("\n.SH ").map_or(content.len(), |at| at + 1);
    let (content, behind) = content.split_at(end);
    Some((before, content, behind))
}

fn replace_section(page: &str, name: &str, content: &str) -> String {
    let (before, _, behind) = split(page, name).unwrap();
    format!("{before}.SH {name}\n{content}{behind}")
}

fn take_section(page: &str, name: &str) -> (String, Option<String>) {
    match split(page, name) {
        None => (page.to_owned(), None),
        Some((before, content, behind)) => (format!("{before}{behind}"), Some(content.to_owned())),
    }
}

/// Text as roff reads it.
fn escaped(text: &str) -> String {
    let text = text.replace('\\', "\\\\").replace('-', "\\-").replace('\'', "\\*(Aq");
    match text.starts_with('.') {
        true => format!("\\&{text}"),
        false => text,
    }
}

/// The command with its options and their values. An option stays on one line with its value.
fn synopsis(command: &Command) -> String {
    let name = command.get_bin_name().unwrap_or_else(|| command.get_name());
    let mut words = vec![format!("\\fB{}\\fR", escaped(name))];
    let shown = |argument: &&Arg| !argument.is_hide_set() && !argument.is_positional();
    let options: Vec<_> = command.get_arguments().filter(shown).collect();
    let own = options.iter().copied().filter(|option| option.get_help_heading() != Some(GLOBAL));
    words.extend(own.filter(|option| !matches!(option.get_id().as_str(), "help" | "version")).map(option));
    if options.iter().any(|option| option.get_help_heading() == Some(GLOBAL)) {
        words.push("[\\fIglobal\\ options\\fR]".to_owned());
    }
    words.extend(command.get_positionals().filter(|argument| !argument.is_hide_set()).map(positional));
    if command.has_subcommands() {
        words.push("\\fIcommand\\fR".to_owned());
    }
    format!(".nh\n.ad l\n{}\n.ad\n.hy\n", words.join("\n"))
}

fn value(argument: &Arg) -> String {
    let names = argument.get_value_names().unwrap_or_default();
    let names = names.iter().map(|name| escaped(name)).collect::<Vec<_>>();
    format!("\\fI{}\\fR", names.join("\\ "))
}

fn option(option: &Arg) -> String {
    let bold = |text: String| format!("\\fB{}\\fR", escaped(&text));
    let short = option.get_short().map(|short| bold(format!("-{short}")));
    let long = option.get_long().map(|long| bold(format!("--{long}")));
    let names = short.into_iter().chain(long).collect::<Vec<_>>().join("|");
    let takes_value = matches!(option.get_action(), ArgAction::Set | ArgAction::Append);
    let is_optional = option.get_num_args().is_some_and(|count| count.min_values() == 0);
    let value = match (takes_value, is_optional) {
        (false, _) => String::new(),
        (true, true) => format!("[={}]", value(option)),
        (true, false) => format!("\\ {}", value(option)),
    };
    let several = if matches!(option.get_action(), ArgAction::Append) { "..." } else { "" };
    match option.is_required_set() {
        true => format!("{names}{value}{several}"),
        false => format!("[{names}{value}]{several}"),
    }
}

fn positional(argument: &Arg) -> String {
    let several = match argument.get_action() {
        ArgAction::Append => "...",
        _ => "",
    };
    match argument.is_required_set() {
        true => format!("{}{several}", value(argument)),
        false => format!("[{}]{several}", value(argument)),
    }
}

/// A row of a table in the help: `  name   what it is`.
fn row(line: &str) -> Option<(&str, &str)> {
    let (name, rest) = line.strip_prefix("  ")?.split_once("  ")?;
    (!name.is_empty() && !name.starts_with(' ')).then(|| (name.trim_end(), rest.trim_start()))
}

/// Rows as a list, which `man` fills to the width of the terminal row by row.
fn list<'a>(rows: impl IntoIterator<Item = (&'a str, &'a str)>, width: usize) -> String {
    let items = rows.into_iter().map(|(name, text)| format!(".TP {width}\n\\fB{name}\\fR\n{text}\n"));
    items.collect()
}

/// Makes lists of the tables in descriptions of options.
fn tables(page: &str) -> String {
    let mut text = String::new();
    let mut lines = page.lines().peekable();
    while let Some(line) = lines.next() {
        let Some(first) = row(line) else {
            text.push_str(line);
            text.push('\n');
            continue;
        };
        let mut rows = vec![first];
        while let Some(next) = lines.peek().and_then(|line| row(line)) {
            rows.push(next);
            lines.next();
        }
        text.push_str(".RS\n");
        text.push_str(&list(rows, 22));
        text.push_str(".RE\n");
    }
    text
}

/// Leaves out the command `help`, which has no page.
fn without_help(page: &str) -> String {
    let mut text = String::new();
    let mut lines = page.lines().peekable();
    while let Some(line) = lines.next() {
        if line == ".TP" && lines.peek().is_some_and(|name| name.ends_with("\\-help(1)")) {
            lines.nth(1);
        } else {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

/// The section with exit codes, from lines such as `  0  done`.
pub(super) fn exit_status(meanings: &str) -> String {
    let meanings = meanings.lines().map(escaped).collect::<Vec<_>>();
    format!(".SH \"EXIT STATUS\"\n{}", list(meanings.iter().filter_map(|line| row(line)), 5))
}

/// What comes after the options in the help: examples as they are, and tables as lists with headings of their own.
fn examples(extra: &str) -> String {
    let mut sections = String::new();
    for block in extra.trim_end().split("\n\n") {
        let (title, body) = block.split_once('\n').unwrap_or((block, ""));
        let body = body.trim_end();
        match title.trim_end_matches(':') {
            "Examples" => {
                sections.push_str(&format!(".SH EXAMPLES\n.nf\n{body}\n.fi\n"));
            }
            // It has a section of its own.
            "Exit codes" => {}
            "Environment" => {
                let joined = body.replace("\n                     ", "  ");
                let rows: Vec<_> = joined.lines().filter_map(row).collect();
                sections.push_str(&format!(".SH ENVIRONMENT\n{}", list(rows, 22)));
            }
            _ => sections.push_str(&format!(".PP\n{block}\n")),
        }
    }
    sections
}

/// The sections of the daemon's page: the keys of the configuration, and the exit status.
pub(super) fn daemon_sections() -> String {
    let mut text = String::from(
        ".SH CONFIGURATION\n\
         The configuration file is that of \\fB\\-\\-config\\fR, else of \\fBNBAPPS_CONFIG\\fR, else \
         \\fI/etc/nbapps/nbappsd.toml\\fR for root and \\fI$XDG_CONFIG_HOME/nbapps/nbappsd.toml\\fR (else in \
         \\fI~/.config\\fR) for a user. It is a TOML file; a key \\fBlog.level\\fR is \\fBlevel\\fR in the table \
         \\fB[log]\\fR. The daemon does not start with a key that is unknown or a value that is invalid, and says \
         file, line and key; \\fBnbapps config check\\fR does the same, and \\fBnbapps config view\\fR prints what \
         holds. Durations are written as \\fB30d\\fR or \\fB1h 30m\\fR.\n",
    );
    for key in handbook::keys() {
        text.push_str(&format!(".TP\n\\fB{}\\fR\n{}\n", escaped(key.name), escaped(key.help)));
        text.push_str(&format!(".br\nValue: {}\n", escaped(key.form)));
        text.push_str(&format!(".br\nDefault: {}\n", escaped(key.default)));
        if let Some(variable) = key.variable {
            text.push_str(&format!(".br\nVariable: {}\n", escaped(variable)));
        }
    }
    text.push_str(
        ".PP\nFurther variables of NocoBase are read: \\fBAPP_HOST\\fR and \\fBAPP_PORT\\fR for \\fBlisten\\fR; \
         \\fBDB_DIALECT\\fR with \\fBDB_STORAGE\\fR, or with \\fBDB_HOST\\fR, \\fBDB_PORT\\fR, \
         \\fBDB_DATABASE\\fR, \\fBDB_USER\\fR and \\fBDB_PASSWORD\\fR, for \\fBdatabase.url\\fR; \
         \\fBDB_SCHEMA\\fR for \\fBdatabase.schema\\fR on PostgreSQL. \\fBAPP_DISCOVERY_ADAPTER\\fR and \
         \\fBAPP_PROCESS_ADAPTER\\fR can only be \\fBlocal\\fR. An unknown variable that begins with \
         \\fBNBAPPS_\\fR is reported in the log, with the nearest name.\n",
    );
    let meanings = "  0  ended after SIGTERM, SIGINT or nbapps daemon stop; with --check-config: valid\n  \
                    1  could not start; with --check-config: invalid\n  2  wrong usage\n  \
                    130  ended at once by a second signal";
    text + &exit_status(meanings)
}
