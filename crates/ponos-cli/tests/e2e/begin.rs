//! What goes wrong before anything begins: the URL, the password, the vhost, nobody there.

use super::support::{ponos_ends, start, start_in};
use testkit::Node;

#[test]
fn a_wrong_password_is_access_refused_and_is_not_shown() {
    let node = Node::shared();
    let url = node.url_for("guest", "s3cret-and-wrong", "/");
    let ended = ponos_ends(&url, &["publish", "a.b.c", "1"], 77);
    assert!(ended.err.contains("refused the login of the user 'guest'"), "{}", ended.err);
    assert!(!ended.err.contains("s3cret"), "{}", ended.err);
}

#[test]
fn a_vhost_that_is_not_there_is_named() {
    let url = Node::shared().url_for("guest", "guest", "nowhere");
    let ended = ponos_ends(&url, &["tail"], 77);
    assert!(ended.err.contains("has no vhost 'nowhere'"), "{}", ended.err);
}

#[test]
fn nobody_there_ends_with_69_and_the_address() {
    let ended = ponos_ends("amqp://guest:guest@127.0.0.1:1", &["publish", "a.b.c", "1"], 69);
    assert!(ended.err.contains("127.0.0.1:1") && ended.err.contains("--url"), "{}", ended.err);
    assert!(!ended.err.contains("tried again"), "{}", ended.err);
}

#[test]
fn a_url_that_is_none_is_a_fault_of_the_configuration() {
    let ended = ponos_ends("http://user:pw@host", &["tail"], 78);
    assert!(ended.err.contains("amqp://") && !ended.err.contains("pw"), "{}", ended.err);
}

#[test]
fn a_word_that_is_no_log_level_is_refused_with_the_right_one() {
    let words = ["run", "--service", "shop", "--on", "a.b.c", "--", "true"];
    for (word, right) in [("warning", "write warn"), ("info,ponos=verbose", "write debug")] {
        let ended = start_in("amqp://127.0.0.1:1", &words, ("PONOS_LOG", word)).end();
        assert_eq!(ended.code, Some(78), "{}", ended.err);
        assert!(ended.err.contains("PONOS_LOG: ") && ended.err.contains(right), "{}", ended.err);
    }
}

#[test]
fn a_file_may_hold_the_url() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("url");
    std::fs::write(&file, format!("{}\n", Node::shared().vhost("url-in-a-file"))).unwrap();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_ponos"));
    command.args(["topology", "--service", "s", "--on", "a.b.c", "--url-file"]).arg(&file);
    let output = command.env_remove("PONOS_URL").output().unwrap();
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["queues"][0]["vhost"], "url-in-a-file");
}

#[test]
fn every_verb_has_a_help() {
    for verb in [
        "tail",
        "publish",
        "dead list",
        "dead show",
        "dead requeue",
        "dead drop",
        "waiting list",
        "waiting show",
        "waiting run",
        "waiting move",
        "waiting drop",
        "topology",
        "run",
        "observe",
        "why",
        "coverage",
        "schema check",
    ] {
        let words: Vec<&str> = verb.split(' ').chain(["--help"]).collect();
        let ended = start("", &words).end();
        assert_eq!(ended.code, Some(0), "{verb}: {}", ended.err);
        assert!(ended.out.contains("Usage: ponos"), "{verb}: {}", ended.out);
    }
}
