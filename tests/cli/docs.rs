//! The examples in the documentation of schedules: each is built, and nothing about it is even warned of.

use khronos::schedule::jitter_offset;
use std::{fs, path::Path, process::Command};

/// The TOML blocks of a page.
fn blocks(page: &str) -> Vec<String> {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(page)).unwrap();
    let blocks = text.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap().to_owned());
    blocks.collect()
}

/// What `khronos check` says of all blocks of a page at once; those that begin with a file's name are that file.
fn checked(page: &str) -> (usize, String) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("config.toml"), "").unwrap();
    let blocks = blocks(page);
    for (index, block) in blocks.iter().enumerate() {
        let named = block.lines().next().and_then(|line| line.strip_prefix("# calendars/"));
        let file = match named {
            Some(name) => folder.path().join("calendars").join(name),
            None => folder.path().join("schedules").join(format!("{index:02}.toml")),
        };
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, block).unwrap();
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_khronos"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("KHRONOS_")) {
        command.env_remove(name);
    }
    let output = command.current_dir(folder.path()).arg("check").output().unwrap();
    (blocks.len(), String::from_utf8(output.stdout).unwrap())
}

#[test]
fn every_example_of_the_language_is_right() {
    let (blocks, said) = checked("schedules.md");
    assert!(blocks >= 10 && said.ends_with("are valid\n"), "{said}");
}

#[test]
fn every_example_for_those_who_come_from_elsewhere_is_right() {
    let (blocks, said) = checked("coming-from.md");
    assert!(blocks >= 6 && said.ends_with("are valid\n"), "{said}");
}

#[test]
fn the_offset_of_jitter_is_computed_as_the_page_says() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/schedules.md")).unwrap();
    let (_, example) = page.split_once("$ python3 -c '").unwrap();
    let (code, rest) = example.split_once("'\n").unwrap();
    let code: String = code.lines().map(|line| line.trim_start_matches("> ").to_owned() + "\n").collect();
    let python = std::env::var_os("KHRONOS_TEST_PYTHON").unwrap_or("/usr/bin/python3".into());
    let output = Command::new(python).arg("-c").arg(code).output().unwrap();
    let (shown, rest) = rest.split_once('\n').unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap().trim(), shown);
    let due: ponos::event::Timestamp = "2026-12-01T09:00:00.000Z".parse().unwrap();
    let offset = jitter_offset("hourly-sync", due, 600_000);
    assert_eq!(format!("{offset} ms"), shown);
    let send = format!("\"due_at\":\"{due}\",\"send_at\":\"{}\"", due.plus(offset));
    let line = rest.lines().nth(1).unwrap();
    assert!(line.contains(&send), "{line}");
}
