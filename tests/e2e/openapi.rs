//! The HTTP interface against its own description: schemathesis makes requests of it, good ones and bad ones, and looks at
//! the answers.

use crate::harness::{Clock, scale, scratch, text};
use std::process::Command;

const SCHEDULES: &str = r#"
[[schedule]]
name = "hourly"
event = "office.hour.passed"
every = "1 hour"
"#;

/// Which of its checks can't be made: a description can't say all that makes a definition good, or a pause possible, so that
/// some of what it allows is refused all the same.
const NOT_CHECKED: &str = "positive_data_acceptance";

/// As `test.sh` installs it.
fn schemathesis() -> Command {
    let mut command = Command::new(scratch().join("schemathesis/bin/schemathesis"));
    // With its seed: the same requests at every run.
    command.env("PYTHONHASHSEED", "0");
    command
}

#[test]
fn no_request_is_answered_otherwise_than_described_or_with_a_defect() {
    // Open: so that what changes something is done, and not refused.
    let clock = Clock::new("memory:", SCHEDULES).with("KHRONOS_HTTP_OPEN", "true").started();
    let url = format!("http://127.0.0.1:{}/v1/openapi.json", clock.port);
    let output = schemathesis()
        .current_dir(clock.sandbox.path("."))
        .args(["run", &url, "--seed", "1", "--max-examples", &(15 * scale()).to_string()])
        .args(["--continue-on-failure", "--exclude-checks", NOT_CHECKED, "--request-timeout", "60"])
        // How long it takes to make up requests says something of the machine alone.
        .args(["--suppress-health-check", "too_slow"])
        // A feed has no end.
        .args(["--exclude-path", "/v1/feed", "--no-color"])
        .output()
        .expect("schemathesis is there: ./test.sh installs it");
    let said = text(&output);
    assert!(output.status.success(), "{said}\nclock: {}", clock.log());
    // All operations of the description, but the feed.
    let number = |text: &str| text.split(|sign: char| !sign.is_ascii_digit()).next()?.parse::<usize>().ok();
    let behind = |word: &str| said.split_once(word).map(|(_, rest)| rest.trim_start());
    let selected = behind("Selected:").and_then(|rest| rest.split_once('/'));
    let all = selected.and_then(|(_, rest)| number(rest));
    let tested = behind("Tested:").and_then(number);
    assert!(tested.is_some() && tested.map(|tested| tested + 1) == all, "{tested:?} of {all:?}: {said}");
}
