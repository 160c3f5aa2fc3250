//! Rules of the house that no compiler checks. CONTRIBUTING.md says why.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Crates that compute. Their `Cargo.toml` keeps runtimes, brokers and stores out of them, …
const PURE: &[&str] =
    &["khronos-schedule", "khronos-engine", "ponos-event", "ponos-observer", "ponos-schema", "ponos-toml"];
const FOREIGN: &[&str] =
    &["tokio", "lapin", "sled", "redb", "sqlx", "axum", "hyper", "mio", "socket2", "rustix"];
/// … and of the standard library they use nothing that reads the system: not its files, clock, network, threads.
const SYSTEM: &[&str] = &["std::fs", "fs::File", "std::net", "thread::spawn", "SystemTime", "Instant::now"];

/// Parts of the program, and what they import nothing of: `main → cli → start → http, commands → ops → clock_loop → engine`.
const ONE_WAY: &[(&str, &[&str])] = &[
    ("store", &["clock_loop", "ops", "http", "commands", "cli", "start"]),
    ("delayed", &["clock_loop", "ops", "http", "commands", "cli", "start"]),
    ("clock_loop", &["ops", "http", "commands", "cli", "start"]),
    ("ops", &["http", "commands", "cli", "start"]),
    ("http", &["commands", "cli", "start"]),
    ("commands", &["http", "cli", "start"]),
    ("start", &["cli"]),
    ("cli", &["http", "commands"]),
];
/// … but for this, which the command line is there to use.
const CLIENT: &str = "http::client";

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
fn the_pure_crates_depend_on_no_runtime_no_broker_and_no_store() {
    for package in PURE {
        let tree = Command::new(env!("CARGO"))
            .args(["tree", "--locked", "-e", "normal", "--prefix", "none", "-p", package])
            .current_dir(root())
            .output()
            .unwrap();
        let (list, complaint) =
            (String::from_utf8_lossy(&tree.stdout), String::from_utf8_lossy(&tree.stderr));
        assert!(tree.status.success() && list.starts_with(package), "{complaint}");
        let named = list.lines().filter_map(|line| line.split(' ').next());
        let wrong: Vec<_> = named.filter(|name| FOREIGN.contains(name)).collect();
        assert!(wrong.is_empty(), "{package}: {wrong:?}");
    }
}

#[test]
fn the_pure_crates_read_no_file_no_clock_and_no_network() {
    let folders: Vec<String> = PURE.iter().map(|package| format!("crates/{package}/src/")).collect();
    let mut wrong = Vec::new();
    let mut seen = 0;
    for (file, text) in sources().filter(|(file, _)| folders.iter().any(|pure| file.starts_with(pure))) {
        if file.ends_with("/tests.rs") {
            continue;
        }
        seen += 1;
        for line in code(&text) {
            wrong.extend(
                SYSTEM.iter().filter(|word| names(line, word)).map(|word| format!("{file}: {word}: {line}")),
            );
        }
    }
    assert!(seen > 100, "only {seen} files were looked at");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_pure_file_that_names_the_file_system_would_be_seen() {
    assert!(code("use std::fs;").any(|line| names(line, "std::fs")));
    assert!(!code("// std::fs\nlet x = mystd::fs;").any(|line| names(line, "std::fs")));
}

/// What a file imports, or names, of its own crate: `http::client::Client`.
fn imports(file: &str, text: &str) -> Vec<String> {
    let text: String = code(text).flat_map(|line| [line, "\n"]).collect();
    let mut found = Vec::new();
    for root in ["crate::", "super::"] {
        for (at, _) in text.match_indices(root) {
            if !text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':') {
                tree(&mut &text[at..], "", &mut found);
            }
        }
    }
    found.iter().map(|path| from_root(file, path)).collect()
}

/// The same path from the root of the crate: `super::super::http` in `src/ops/x.rs` is `http`.
fn from_root(file: &str, path: &str) -> String {
    let file = file.trim_start_matches("src/").trim_end_matches(".rs").trim_end_matches("/mod");
    let mut module: Vec<&str> = file.split('/').collect();
    for word in path.split("::") {
        match word {
            "crate" => module.clear(),
            "super" => drop(module.pop()),
            "self" => {}
            word => module.push(word),
        }
    }
    module.join("::")
}

/// Whether a file is of this part of the program.
fn is_of(file: &str, part: &str) -> bool {
    let rest = file.strip_prefix("src/").and_then(|file| file.strip_prefix(part));
    rest.is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
}

/// Reads a path with its branches: `a::{b, c::d}` is `a::b` and `a::c::d`.
fn tree(rest: &mut &str, prefix: &str, found: &mut Vec<String>) {
    *rest = rest.trim_start();
    if let Some(branches) = rest.strip_prefix('{') {
        *rest = branches.trim_start();
        while !rest.is_empty() && !rest.starts_with('}') {
            tree(rest, prefix, found);
            *rest = rest.trim_start_matches(|c: char| c != ',' && c != '}');
            *rest = rest.strip_prefix(',').unwrap_or(rest).trim_start();
        }
        *rest = rest.strip_prefix('}').unwrap_or(rest);
        return;
    }
    let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_' && c != '*').unwrap_or(rest.len());
    let path = format!("{prefix}{}", &rest[..end]);
    *rest = &rest[end..];
    match rest.strip_prefix("::") {
        Some(more) => {
            *rest = more;
            tree(rest, &format!("{path}::"), found);
        }
        None => found.push(path),
    }
}

/// The imports of a file against the way that dependencies run.
fn backwards(file: &str, text: &str) -> Vec<String> {
    let of = |path: &str, module: &str| path == module || path.starts_with(&format!("{module}::"));
    let rules = ONE_WAY.iter().filter(|(part, _)| is_of(file, part));
    let forbidden: Vec<&str> = rules.flat_map(|(_, forbidden)| forbidden.iter().copied()).collect();
    let of_cli = |path: &str| file.starts_with("src/cli/") && of(path, CLIENT);
    let named = imports(file, text).into_iter();
    let named = named.filter(|path| forbidden.iter().any(|module| of(path, module)) && !of_cli(path));
    named.map(|path| format!("{file}: crate::{path}")).collect()
}

#[test]
fn the_parts_of_the_program_depend_on_each_other_one_way() {
    let program: Vec<_> = sources().filter(|(file, _)| file.starts_with("src/")).collect();
    for (part, _) in ONE_WAY {
        let seen = program.iter().filter(|(file, _)| is_of(file, part)).count();
        assert!(seen > 5 || *part == "start" && seen > 0, "only {seen} files of {part} were looked at");
    }
    let wrong: Vec<_> = program.iter().flat_map(|(file, text)| backwards(file, text)).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn an_import_against_the_way_would_be_seen() {
    let text = "use crate::{\n    config::Config,\n    http::{\n        Limits, client::{Client, encode},\n    },\n};";
    assert_eq!(backwards("src/cli/x.rs", text), ["src/cli/x.rs: crate::http::Limits"]);
    assert_eq!(backwards("src/ops/x.rs", text).len(), 3);
    assert_eq!(backwards("src/http/x.rs", text).len(), 0);
    assert_eq!(backwards("src/ops/x.rs", "fn f() -> crate::cli::Exit {}").len(), 1);
    for text in
        ["super::super::cli::Exit", "use super::super::{cli::Exit, engine};", "super::{super::cli, Clock}"]
    {
        assert_eq!(backwards("src/ops/x.rs", text).len(), 1, "{text}");
        assert_eq!(backwards("src/ops/views/x.rs", text).len(), 0, "{text}");
    }
    assert_eq!(
        backwards("src/ops/mod.rs", "use super::http::Limits;"),
        ["src/ops/mod.rs: crate::http::Limits"]
    );
    assert_eq!(backwards("src/start.rs", "use crate::cli;").len(), 1);
    assert_eq!(backwards("src/ops/x.rs", "// crate::http::Limits\nuse crate::clock_loop::*;").len(), 0);
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
