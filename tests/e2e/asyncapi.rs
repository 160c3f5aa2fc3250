//! The clock's document by the official parser of AsyncAPI (`tests/contracts/`): of the files, and of a clock that runs.

use crate::harness::{Clock, scratch, text};
use std::{fs, path::Path, process::Command};

const SCHEDULES: &str = r#"
[[schedule]]
name = "hourly"
event = "office.hour.passed"
every = "1 hour"
description = "Somebody looks at the mail."
labels = { team = "office" }

[[schedule]]
name = "every-other-hour"
event = "office.hour.passed"
every = "2 hours"
data = { other = true }
"#;

const FROM: [&str; 2] = ["--from", "2026-11-30T12:00:00Z"];

/// What the parser finds in these documents: a line for each channel; it must have nothing to complain of.
fn parsed(files: &[&Path]) -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/contracts/parse.mjs");
    let output = Command::new("node")
        .arg(script)
        .args(files)
        .env("CONTRACTS_NEEDS", scratch().join("contracts"))
        .env("NODE_NO_WARNINGS", "1")
        .output()
        .expect("node is there: ./test.sh installs it");
    assert!(output.status.success(), "{}", text(&output));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_official_parser_reads_what_the_files_say_and_what_a_clock_runs() {
    let configured = Clock::new("amqps://clock:hunter2@rabbit-1,rabbit-2/prod", SCHEDULES);
    let of_files = configured.done(&[&["asyncapi"], &FROM[..]].concat());
    assert!(of_files.contains("rabbit-2:5671") && !of_files.contains("hunter2"), "{of_files}");
    let running = Clock::new("memory:", SCHEDULES).started();
    let put = running.sandbox.path("put.json");
    let created = r#"{"name":"billing.monthly","event":"billing.invoice.due","cron":"0 9 1 * *","labels":{"team":"billing"}}"#;
    fs::write(&put, created).unwrap();
    running.done(&["put", "-f", put.to_str().unwrap()]);
    let of_clock = running.done(&[&["asyncapi", "--running"], &FROM[..]].concat());
    assert!(of_clock.contains("x-owners") && of_clock.contains("team:billing"), "{of_clock}");
    let folder = tempfile::tempdir().unwrap();
    let files = [("files.json", of_files), ("clock.json", of_clock)].map(|(name, document)| {
        let path = folder.path().join(name);
        fs::write(&path, document).unwrap();
        path
    });
    let found = parsed(&files.each_ref().map(|file| file.as_path()));
    let lines: Vec<&str> = found.lines().collect();
    assert_eq!(
        lines,
        [
            "files.json office.hour.passed office.hour.passed send",
            "clock.json billing.invoice.due billing.invoice.due send",
            "clock.json office.hour.passed office.hour.passed send",
        ]
    );
}
