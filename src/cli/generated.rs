//! Generates the files in `man/` from the types of the command line and the protocol.
//!
//! The test fails when a file is stale; `UPDATE_GENERATED=1 cargo test --lib generated` writes it. This is a
//! test so that the generator is not part of the command. It is the one place in this room that uses the
//! daemon's command line, for the daemon's page.

mod page;
mod protocol_page;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::CommandFactory as _;
use clap_mangen::roff::{Roff, bold, roman};

use super::Cli;
use super::exit::Exit;
use crate::daemon::arguments::Arguments;

/// The name of the manual, in the middle of each page's header.
const MANUAL: &str = "nbapps manual";

/// Every generated file with its content.
fn files() -> BTreeMap<PathBuf, String> {
    let mut files = BTreeMap::new();
    let mut command = Cli::command();
    command.build();
    pages(&command, &mut files);
    let mut daemon = Arguments::command();
    daemon.build();
    insert(&mut files, &page::Page::of(&daemon, "8"), &page::daemon_sections());
    files.insert(PathBuf::from("man/nbapps-protocol.7"), protocol_page::page());
    files
}

fn source() -> String {
    format!("nbapps {}", env!("CARGO_PKG_VERSION"))
}

/// The pages of a command and its subcommands.
fn pages(command: &clap::Command, files: &mut BTreeMap<PathBuf, String>) {
    insert(files, &page::Page::of(command, "1"), &page::exit_status(Exit::MEANINGS));
    for below in command.get_subcommands().filter(|below| !below.is_hide_set() && below.get_name() != "help")
    {
        pages(below, files);
    }
}

fn insert(files: &mut BTreeMap<PathBuf, String>, page: &page::Page<'_>, sections: &str) {
    let name = page.file_name();
    let text = page.render(sections) + &see_also(&name);
    files.insert(Path::new("man").join(name), text);
}

fn see_also(own: &str) -> String {
    let mut roff = Roff::new();
    roff.control("SH", ["SEE ALSO"]);
    let pages = [("nbapps", "1"), ("nbappsd", "8"), ("nbapps-protocol", "7")];
    let others = pages.into_iter().filter(|(name, section)| own != format!("{name}.{section}"));
    let mut inlines = Vec::new();
    for (name, section) in others {
        if !inlines.is_empty() {
            inlines.push(roman(", "));
        }
        inlines.extend([bold(name), roman(format!("({section})"))]);
    }
    roff.text(inlines);
    roff.to_roff()
}

/// The pages as `man` shows them in a terminal of 80 columns.
#[test]
fn pages_keep_their_lines_in_a_terminal_of_80_columns() {
    for (path, content) in files().iter().filter(|(path, _)| path.starts_with("man")) {
        // A message of the protocol is one line, however long.
        if path.ends_with("nbapps-protocol.7") {
            continue;
        }
        let mut in_block = false;
        for line in content.lines() {
            match line {
                ".nf" | ".EX" => in_block = true,
                ".fi" | ".EE" => in_block = false,
                // Such lines are not filled, and `man` indents them by seven columns.
                line if in_block => {
                    let shown = line.replace("\\-", "-").replace("\\*(Aq", "'").replace("\\\\", "\\");
                    let shown = shown.replace("\\fB", "").replace("\\fI", "").replace("\\fR", "");
                    assert!(shown.chars().count() <= 73, "{}: {shown}", path.display());
                }
                _ => {}
            }
        }
    }
}

#[test]
fn generated_files_are_fresh() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = files();
    let update = std::env::var_os("UPDATE_GENERATED").is_some();
    let mut stale = Vec::new();
    for (path, content) in &files {
        let full = root.join(path);
        if std::fs::read_to_string(&full).ok().as_ref() == Some(content) {
            continue;
        }
        if update {
            std::fs::create_dir_all(full.parent().unwrap()).unwrap();
            std::fs::write(&full, content).unwrap();
        } else {
            stale.push(path.clone());
        }
    }
    for entry in std::fs::read_dir(root.join("man")).unwrap() {
        let path = Path::new("man").join(entry.unwrap().file_name());
        // Pages in Markdown are written by hand.
        if files.contains_key(&path) || path.extension().is_some_and(|kind| kind == "md") {
            continue;
        }
        if update {
            std::fs::remove_file(root.join(&path)).unwrap();
        } else {
            stale.push(path);
        }
    }
    assert!(stale.is_empty(), "stale: {stale:?}; run: UPDATE_GENERATED=1 cargo test --lib generated");
}
