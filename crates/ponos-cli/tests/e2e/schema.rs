//! `ponos schema check`, and `ponos completions`.

use super::support::{Ended, ponos_ends};

fn check(old: &str, new: &str, code: i32, more: &[&str]) -> Ended {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (old, new) = (file("old.json", old), file("new.json", new));
    ponos_ends("", &[&["schema", "check", &old, &new], more].concat(), code)
}

#[test]
fn a_field_that_becomes_required_breaks_what_is_queued() {
    let old = r#"{"type": "object", "properties": {"order": {"type": "integer"}}}"#;
    let new = r#"{"type": "object", "properties": {"order": {"type": "integer"}}, "required": ["order"]}"#;
    let ended = check(old, new, 1, &[]);
    assert!(ended.out.contains("breaking") && ended.out.contains("order"), "{}", ended.out);
    let report: serde_json::Value = serde_json::from_str(&check(old, new, 1, &["--json"]).out).unwrap();
    assert_eq!(report["breaking"], true);
    let same = check(old, old, 0, &[]);
    assert!(same.out.contains("no relevant change"), "{}", same.out);
}

#[test]
fn what_is_no_schema_is_named() {
    let ended = check(r#"{"type": "object"}"#, "{nope", 74, &[]);
    assert!(ended.err.contains("new.json"), "{}", ended.err);
}

#[test]
fn a_new_value_of_an_enum_breaks_readers_alone() {
    let (old, new) = (r#"{"enum": ["kept", "gone"]}"#, r#"{"enum": ["kept", "gone", "lost"]}"#);
    check(old, new, 1, &[]);
    check(old, new, 0, &["--for", "queued"]);
    check(new, old, 1, &["--for", "queued"]);
    check(new, old, 0, &["--for", "readers"]);
}

#[test]
fn every_shell_gets_a_completion_script() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = ponos_ends("", &["completions", shell], 0).out;
        assert!(script.contains("requeue") && script.contains("url-file"), "{shell}");
    }
}
