//! Rules of the house that no compiler checks. CONTRIBUTING.md says why.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// What is computed here must not know of runtimes, brokers, stores and files.
const PURE: &[&str] = &[
    "src/schedule/",
    "src/engine/",
    "crates/ponos/src/event/",
    "crates/ponos/src/topology.rs",
    "crates/ponos/src/topology/",
    "crates/ponos/src/schema.rs",
    "crates/ponos/src/schema/",
];
const FOREIGN: &[&str] =
    &["tokio", "lapin", "sled", "axum", "std::fs", "fs::File", "SystemTime", "Instant::now"];

/// Longer than 400 lines, and why.
const LONG: &[(&str, &str)] = &[];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All files that belong to the project: what git tracks or would track; else (no git there) what lies in the folder.
fn files() -> Vec<String> {
    let listed = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output();
    if let Ok(output) = listed
        && output.status.success()
        && !output.stdout.is_empty()
    {
        let names = String::from_utf8(output.stdout).unwrap();
        return names.split('\0').filter(|name| root().join(name).is_file()).map(str::to_owned).collect();
    }
    let mut found = Vec::new();
    walk(&root().join("src"), &mut found);
    walk(&root().join("crates/ponos/src"), &mut found);
    found.iter().map(|path| path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned()).collect()
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { walk(&path, found) } else { found.push(path) }
    }
}

fn text(file: &str) -> Option<String> {
    fs::read_to_string(root().join(file)).ok()
}

fn sources() -> impl Iterator<Item = (String, String)> {
    let rust = files().into_iter().filter(|file| file.ends_with(".rs"));
    rust.filter_map(|file| text(&file).map(|text| (file, text)))
}

/// Lines of code: no comments, and nothing from the first test module on.
fn code(text: &str) -> impl Iterator<Item = &str> {
    let lines = text.lines().take_while(|line| !line.starts_with("#[cfg(test)]"));
    lines.map(|line| line.split("//").next().unwrap_or_default())
}

/// Whether `word` stands there as a word of its own.
fn names(line: &str, word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word)
        .any(|(at, _)| !line[..at].ends_with(part) && !line[at + word.len()..].starts_with(part))
}

#[test]
fn the_pure_folders_name_no_runtime_no_broker_no_store_and_no_file() {
    let mut wrong = Vec::new();
    let mut seen = 0;
    for (file, text) in sources().filter(|(file, _)| PURE.iter().any(|pure| file.starts_with(pure))) {
        if file.ends_with("/tests.rs") {
            continue;
        }
        seen += 1;
        for line in code(&text) {
            wrong.extend(
                FOREIGN.iter().filter(|word| names(line, word)).map(|word| format!("{file}: {word}: {line}")),
            );
        }
    }
    assert!(seen > 10, "only {seen} files were looked at");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// What each of these folders may name of its own package, and of ponos: so that it can be a crate of its own.
const SEAMS: &[(&str, &[&str], &[&str])] = &[
    ("src/schedule/", &["schedule"], &["event", "redact", "text"]),
    ("src/engine/", &["engine", "schedule"], &["event"]),
];

/// What is named below `root` in this text: alone, or in a list.
fn below<'a>(text: &'a str, root: &str) -> Vec<&'a str> {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    let mut found = Vec::new();
    for (at, _) in text.match_indices(root).filter(|(at, _)| !text[..*at].ends_with(part)) {
        let Some(rest) = text[at + root.len()..].strip_prefix("::") else { continue };
        let list = rest.strip_prefix('{');
        let (mut depth, mut begins) = (0, true);
        for (at, c) in list.unwrap_or(rest).char_indices() {
            if begins && part(c) {
                let name = &list.unwrap_or(rest)[at..];
                found.push(&name[..name.find(|c| !part(c)).unwrap_or(name.len())]);
                begins = false;
            }
            match c {
                _ if list.is_none() => break,
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => begins = true,
                _ => {}
            }
        }
    }
    found
}

#[test]
fn schedules_and_engine_name_nothing_of_what_stands_above_them() {
    let mut wrong = Vec::new();
    for (folder, own, events) in SEAMS {
        let mut seen = 0;
        for (file, text) in sources().filter(|(file, _)| file.starts_with(folder)) {
            // The simulation is a test: it keeps what it saves in the memory store.
            if file.starts_with("src/engine/simulation/") {
                continue;
            }
            seen += 1;
            let lines = text.lines().map(|line| line.split("//").next().unwrap_or_default());
            let text = lines.collect::<Vec<_>>().join("\n");
            let others = below(&text, "crate").into_iter().filter(|name| !own.contains(name));
            let others =
                others.chain(below(&text, "ponos").into_iter().filter(|name| !events.contains(name)));
            wrong.extend(others.map(|name| format!("{file}: {name}")));
        }
        assert!(seen > 10, "only {seen} files of {folder} were looked at");
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn what_stands_above_would_be_seen() {
    let text = "use crate::{\n    engine::{Row, io::Input},\n    store,\n};\nuse mycrate::no;\nlet x = crate::clock::now();";
    assert_eq!(below(text, "crate"), ["engine", "store", "clock"]);
    assert_eq!(below("use crate::schedule::{Packed, file};", "crate"), ["schedule"]);
}

#[test]
fn a_pure_file_that_names_a_runtime_would_be_seen() {
    assert!(code("use tokio::time;").any(|line| names(line, "tokio")));
    assert!(!code("// tokio\nlet autokio = 1;").any(|line| names(line, "tokio")));
}

#[test]
fn no_file_names_a_registry_or_a_place_on_the_machine_it_was_written_on() {
    // Put together here, so that this file does not name them itself.
    let places: Vec<String> = [
        ("/", "work/"),
        ("/", "root/"),
        ("index.crates", ".io"),
        ("static.crates", ".io"),
        ("registry.npmjs", ".org"),
    ]
    .iter()
    .map(|(one, other)| format!("{one}{other}"))
    .collect();
    let mut wrong = Vec::new();
    for file in files().iter().filter(|file| !file.ends_with(".lock") && !file.ends_with("package-lock.json"))
    {
        let Some(text) = text(file) else { continue };
        for (number, line) in text.lines().enumerate() {
            let named = places.iter().filter(|place| {
                line.match_indices(place.as_str()).any(|(at, _)| {
                    // `target/work/` and the like are no absolute paths.
                    !place.starts_with('/')
                        || !line[..at].ends_with(|c: char| c.is_alphanumeric() || "._-}".contains(c))
                })
            });
            wrong.extend(named.map(|place| format!("{file}:{}: {place}", number + 1)));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_source_file_says_what_it_is_for() {
    let missing: Vec<_> = sources()
        .filter(|(file, text)| {
            !file.ends_with("/tests.rs")
                && !text.starts_with("//!")
                && !text.starts_with("#![doc = include_str!")
        })
        .map(|(file, _)| file)
        .collect();
    assert!(missing.is_empty(), "no module doc at the head of {missing:?}");
}

#[test]
fn a_file_of_more_than_400_lines_has_a_reason() {
    let long: Vec<_> = sources()
        .filter(|(file, text)| text.lines().count() > 400 && !LONG.iter().any(|(name, _)| name == file))
        .map(|(file, text)| format!("{file}: {} lines", text.lines().count()))
        .collect();
    assert!(long.is_empty(), "split them, or add them to LONG with the reason: {long:#?}");
    for (file, reason) in LONG {
        assert!(!reason.is_empty() && text(file).is_some_and(|text| text.lines().count() > 400), "{file}");
    }
}
