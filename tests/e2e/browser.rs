//! The page in a real browser, before the real clock on a real RabbitMQ (`tests/browser/`). A step of its own, `./test.sh browser`,
//! which installs what it needs.

use crate::harness::{Clock, LIMIT, scratch, text};
use std::{fs, path::PathBuf, process::Command};
use testkit::{Node, Postgres, block_until_or_tell};

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
fn several_clocks_are_shown_by_each_of_them_and_one_that_follows_claims_nothing() {
    let broker = Node::shared().vhost("page-several");
    let database = Postgres::shared().database("page");
    let clock = || {
        let clock = Clock::new(&broker, SCHEDULES).reached().with("KHRONOS_HTTP_OPEN", true);
        clock.with("KHRONOS_STORE_PATH", &database).started()
    };
    let mut clocks = [clock(), clock()];
    let role = |clock: &Clock, role: &str| clock.get("/readyz").is_some_and(|(_, body)| body["role"] == role);
    let leads = |clocks: &[Clock]| clocks.iter().position(|clock| role(clock, "leader"));
    let leader = block_until_or_tell("a leader", LIMIT, || leads(&clocks), || clocks[0].log());
    let follower = 1 - leader;
    let seen = |clock: &Clock, part: &str| {
        let output = node("several.mjs")
            .arg(format!("http://127.0.0.1:{}/", clock.port))
            .arg(part)
            .arg(scratch().join("pictures"))
            .output()
            .expect("node is there: ./test.sh browser installs it");
        let said = text(&output);
        assert!(output.status.success() && said.contains("all passed"), "{said}\nclock: {}", clock.log());
    };
    clocks[follower].until_at("/readyz", "a leader that is known", |_, body| body["leader"].is_string());
    seen(&clocks[leader], "leader");
    let paused = clocks[leader].post("/v1/pause", r#"{"all":true,"by":"ann","note":"new disks"}"#);
    assert!(paused.as_ref().is_some_and(|(status, _)| *status == 200), "{paused:?}");
    seen(&clocks[follower], "follower");
    clocks[leader].kill();
    block_until_or_tell(
        "another leader",
        LIMIT,
        || role(&clocks[follower], "leader").then_some(()),
        || clocks[follower].log(),
    );
    seen(&clocks[follower], "successor");
}

#[test]
fn the_types_of_the_pages_modules_fit() {
    let page = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/http/page/jsconfig.json");
    let compiler = scratch().join("browser/node_modules/typescript/bin/tsc");
    let output = Command::new("node").arg(compiler).arg("-p").arg(page).output().expect("node is there");
    assert!(output.status.success(), "{}", text(&output));
}
