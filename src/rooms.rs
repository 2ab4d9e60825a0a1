//! Checks that the imports between rooms keep to the table in `lib.rs`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The table: for each room, the rooms that it may import.
fn table() -> BTreeMap<String, Vec<String>> {
    let rows =
        include_str!("lib.rs").lines().filter_map(|line| line.strip_prefix("//! | ")?.strip_suffix(" |"));
    let rows = rows.map(|row| row.split(" | ").collect::<Vec<_>>());
    let named: Vec<(String, String)> = rows
        .filter_map(|row| match row[..] {
            [room, _, imports] => {
                Some((room.trim_matches(['[', ']', '`', '/']).to_owned(), imports.to_owned()))
            }
            _ => None,
        })
        .filter(|(room, _)| room != "room" && room != "bin")
        .collect();
    let mut table = BTreeMap::new();
    for (position, (room, imports)) in named.iter().enumerate() {
        let below = || named[position + 1..].iter().map(|(room, _)| room.clone()).collect();
        let imports =
            if imports == "all below" { below() } else { imports.split(", ").map(str::to_owned).collect() };
        table.insert(room.clone(), imports);
    }
    table
}

/// The files of a directory that are not tests.
fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        let is_test = name.contains("test") || name == "cases" || name == "generated";
        if path.is_dir() && !is_test {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") && !is_test {
            found.push(path);
        }
    }
    found
}

#[test]
fn imports_between_rooms_run_downward_only() {
    let (table, source) = (table(), Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    assert_eq!(table.len(), 12, "{table:?}");
    for (room, allowed) in &table {
        for file in files(&source.join(room)) {
            let text = fs::read_to_string(&file).unwrap();
            let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
            for other in table.keys().filter(|other| *other != room && !allowed.contains(other)) {
                let import = format!("crate::{other}::");
                let found =
                    code.lines().find(|line| line.contains(&import) && !line.trim_start().starts_with("//"));
                assert_eq!(found, None, "{} imports {other}", file.display());
            }
        }
    }
}
