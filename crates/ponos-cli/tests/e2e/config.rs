//! `ponos.toml`: `check`, `declare`, `topology` and `run` by it.

use super::support::{holds, ponos, ponos_ends, start_without_url};
use std::fs;
use tempfile::TempDir;
use testkit::Node;

pub(crate) fn file(text: &str) -> (TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ponos.toml");
    fs::write(&path, text).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (folder, path)
}

const SHOP: &str = r#"
service = "shop"

[[queues]]
on = ["order.*.placed", "order.item.returned"]
label = "orders"
concurrency = 1

[[queues]]
task = "stock.shelf.clean"
attempts = 1
"#;

#[test]
fn what_the_file_says_is_declared_and_then_all_is_as_wanted() {
    let url = Node::shared().vhost("config-declare");
    let (_folder, path) = file(SHOP);
    let missing = ponos_ends(&url, &["topology", "--config", &path, "--check"], 1);
    assert!(missing.out.contains("missing    queue shop.orders"), "{}", missing.out);
    let declared = ponos_ends(&url, &["declare", "--config", &path], 0);
    assert!(declared.err.contains("bindings of the service 'shop'"), "{}", declared.err);
    ponos_ends(&url, &["topology", "--config", &path, "--check"], 0);
    // with the workers at zero, what comes waits for them
    ponos_ends(&url, &["publish", "order.item.placed", "1", "--mandatory"], 0);
    holds(&url, "shop.orders", 1);
    // again it changes nothing
    ponos_ends(&url, &["declare", "--config", &path], 0);
    holds(&url, "shop.orders", 1);
    // what is there with other arguments is refused
    let other = SHOP.replace("concurrency = 1", "exclusive = true");
    let (_folder, path) = file(&other);
    let refused = ponos_ends(&url, &["declare", "--config", &path], 78);
    assert!(refused.err.contains("shop.orders"), "{}", refused.err);
}

#[test]
fn flags_declare_as_the_file_does() {
    let url = Node::shared().vhost("config-declare-flags");
    let words = ["declare", "--service", "shop", "--task", "stock.shelf.clean"];
    ponos_ends(&url, &words, 0);
    ponos_ends(&url, &["publish", "stock.shelf.clean", "1", "--task", "shop"], 0);
    let unreachable = ponos_ends("amqp://127.0.0.1:1", &words, 69);
    assert!(unreachable.err.contains("127.0.0.1:1"), "{}", unreachable.err);
}

#[test]
fn a_program_is_run_by_the_file_each_queue_by_its_policy() {
    let url = Node::shared().vhost("config-run");
    let (_folder, path) = file(&format!("{SHOP}[broker]\nurl = \"{url}\"\n"));
    ponos_ends(&url, &["declare", "--config", &path], 0);
    ponos_ends(&url, &["publish", "order.item.placed", "1"], 0);
    ponos_ends(&url, &["publish", "stock.shelf.clean", "2", "--task", "shop"], 0);
    let script = r#"echo "$PONOS_QUEUE $PONOS_ATTEMPTS"; test "$PONOS_NAME" = order.item.placed"#;
    // the broker, too, is the file's
    let words = ["run", "--config", &path, "--drain", "--", "sh", "-c", script];
    let ended = start_without_url(&words, &[]).end();
    assert_eq!(ended.code, Some(1), "{}\n{}", ended.out, ended.err);
    let mut lines: Vec<&str> = ended.out.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["shop.orders 5", "shop.stock.shelf.clean 1"], "{}", ended.err);
    holds(&url, "shop.stock.shelf.clean.dlq", 1);
}

#[test]
fn every_fault_is_drawn_with_a_caret_and_a_valid_file_is_said_to_be() {
    let url = "amqp://127.0.0.1:1";
    let (_folder, path) = file(SHOP);
    let valid = ponos_ends(url, &["check", &path], 0);
    assert!(valid.out.contains("the service 'shop' with 2 queues is valid"), "{}", valid.out);
    let (_folder, path) = file(&SHOP.replace("attempts = 1", "atempts = 1\ntimeout = \"5x\""));
    let wrong = ponos_ends(url, &["check", &path], 1);
    for words in [
        "atempts = ***",
        "^^^^^^^",
        "did you mean 'attempts'?",
        "timeout = \"5x\"",
        "ponos.toml:11:1",
        "2 errors",
    ] {
        assert!(wrong.out.contains(words), "{words}: {}", wrong.out);
    }
    let json = ponos_ends(url, &["check", &path, "--json"], 1);
    let lines: Vec<serde_json::Value> =
        json.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((lines.len(), &lines[0]["code"], &lines[0]["line"]), (2, &"unknown-key".into(), &11.into()));
    let declared = ponos_ends(url, &["declare", "--config", &path], 78);
    assert!(declared.err.contains("^^^^^^^") && declared.err.contains("2 errors"), "{}", declared.err);
}

#[test]
fn a_service_is_named_by_a_file_or_by_flags_and_not_by_both() {
    let url = "amqp://127.0.0.1:1";
    let none = ponos_ends(url, &["declare"], 2);
    assert!(none.err.contains("no service is named: write ponos.toml"), "{}", none.err);
    let (_folder, path) = file(SHOP);
    let both = ponos(url, &["declare", "--config", &path, "--service", "shop", "--on", "a.b.c"]);
    assert_eq!(both.code, Some(2), "{}", both.err);
    let policy = ponos(url, &["run", "--config", &path, "--attempts", "2", "--", "true"]);
    assert!(policy.code == Some(2) && policy.err.contains("--config"), "{}", policy.err);
    let nothing = ponos_ends(url, &["declare", "--service", "shop"], 2);
    assert!(nothing.err.contains("add --on PATTERN or --task NAME"), "{}", nothing.err);
    let missing = ponos_ends(url, &["check", "/none/ponos.toml"], 78);
    assert!(missing.err.contains("/none/ponos.toml can't be read"), "{}", missing.err);
}
