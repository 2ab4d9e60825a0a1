//! Generates the files in `man/` from the types of the command line and the protocol.
//!
//! The test fails when a file is stale; `UPDATE_GENERATED=1 cargo test --lib generated` writes it. This is a
//! test so that the generator is not part of the command. It is the one place in this room that uses the
//! daemon's command line, for the daemon's page.

mod protocol_page;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::CommandFactory as _;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use super::Cli;
use crate::daemon::arguments::Arguments;

/// The name of the manual, in the middle of each page's header.
const MANUAL: &str = "nbapps manual";

/// Every generated file with its content.
fn files() -> BTreeMap<PathBuf, String> {
    let mut files = BTreeMap::new();
    let mut command = Cli::command();
    command.build();
    pages(&command, &mut files);
    let daemon = Man::new(Arguments::command()).section("8").manual(MANUAL).source(source());
    insert(&mut files, &daemon);
    files.insert(PathBuf::from("man/nbapps-protocol.7"), protocol_page::page());
    files
}

fn source() -> String {
    format!("nbapps {}", env!("CARGO_PKG_VERSION"))
}

/// The pages of a command and its subcommands.
fn pages(command: &clap::Command, files: &mut BTreeMap<PathBuf, String>) {
    let man = Man::new(command.clone()).manual(MANUAL).source(source());
    insert(files, &man);
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
        pages(below, files);
    }
}

fn insert(files: &mut BTreeMap<PathBuf, String>, man: &Man) {
    let mut page = Vec::new();
    man.render(&mut page).unwrap();
    let mut page = String::from_utf8(page).unwrap();
    page = verbatim_examples(&page);
    page.push_str(&see_also(&man.get_filename()));
    files.insert(Path::new("man").join(man.get_filename()), page);
}

/// Keeps the lines of the examples and tables after the options from being joined.
fn verbatim_examples(page: &str) -> String {
    match page.split_once(".SH EXTRA\n") {
        None => page.to_owned(),
        Some((before, after)) => {
            let (extra, rest) = match after.find("\n.SH ") {
                Some(at) => after.split_at(at + 1),
                None => (after, ""),
            };
            format!("{before}.SH EXAMPLES AND NOTES\n.nf\n{}\n.fi\n{rest}", extra.trim_end())
        }
    }
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
