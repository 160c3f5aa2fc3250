//! The page in a real browser, before the real clock on a real RabbitMQ (`tests/browser/`). A step of its own, `./test.sh browser`,
//! which installs what it needs.

use crate::harness::{Clock, scratch, text};
use std::{fs, path::PathBuf, process::Command};
use testkit::Node;

/// Nobody is bound to the second one, so that each is parked; the third has a label and a zone.
const SCHEDULES: &str = r#"
[[schedule]]
name = "quick"
event = "office.second.passed"
cron = "* * * * * *"

[[schedule]]
name = "unheard"
event = "office.unheard.passed"
every = "2s"
unrouted = "park"

[[schedule]]
name = "nightly-report"
event = "reporting.night.ended"
cron = "30 2 * * *"
time_zone = "Europe/Paris"
labels = { team = "reporting" }
"#;

/// A new token of this role, with the lines of the configuration.
fn token(clock: &Clock, owner: &str, role: &str) -> (String, String) {
    let printed = clock.done(&["token", "new", "--owner", owner, "--role", role]);
    let (token, lines) = printed.split_once('\n').unwrap();
    (token.to_owned(), lines.to_owned())
}

fn node(script: &str) -> Command {
    let mut node = Command::new("node");
    node.arg(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/browser").join(script));
    node.env("BROWSER_NEEDS", scratch().join("browser"));
    node
}

#[test]
fn each_view_and_each_operation_works_in_a_browser_and_nothing_is_asked_elsewhere() {
    let broker = Node::shared().vhost("page");
    let clock = Clock::new(&broker, SCHEDULES);
    let (reader, first) = token(&clock, "readers", "read");
    let (admin, second) = token(&clock, "operators", "admin");
    let file = clock.sandbox.path("config.toml");
    fs::write(&file, first + &second).unwrap();
    let clock = clock.with("KHRONOS_CONFIG", file.display()).started();
    let pictures = scratch().join("pictures");
    let output = node("page.mjs")
        .arg(format!("http://127.0.0.1:{}/", clock.port))
        .arg(&pictures)
        .env("READ_TOKEN", reader)
        .env("ADMIN_TOKEN", admin)
        .output()
        .expect("node is there: ./test.sh browser installs it");
    let said = text(&output);
    assert!(output.status.success(), "{said}\nclock: {}", clock.log());
    assert!(said.contains("all passed"), "{said}");
    println!("{said}\nthe pictures are in {}", pictures.display());
}

#[test]
fn the_types_of_the_pages_modules_fit() {
    let page = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/http/page/jsconfig.json");
    let compiler = scratch().join("browser/node_modules/typescript/bin/tsc");
    let output = Command::new("node").arg(compiler).arg("-p").arg(page).output().expect("node is there");
    assert!(output.status.success(), "{}", text(&output));
}
