//! The page in a real browser, before the real clock on a real RabbitMQ (`tests/browser/`). A step of its own, `./test.sh browser`,
//! which installs what it needs.

use crate::harness::{Clock, LIMIT, scratch, text};
use ponos::{prelude::*, shutdown::Trigger};
use serde_json::{Value, json};
use std::{fs, path::PathBuf, process::Command, thread::JoinHandle, time::Duration};
use testkit::{Node, Postgres, block_until, block_until_or_tell};

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

/// Often enough to be waited for, and seldom enough for four services on a busy machine.
const TICKS: &str = r#"
[[schedule]]
name = "quick"
event = "office.tick.passed"
every = "2s"
"#;
const SHIPPED: &str = "order.parcel.shipped";

/// A service that reports, in this process, until it is dropped.
struct Service {
    trigger: Trigger,
    thread: Option<JoinHandle<()>>,
}

impl Service {
    fn start(url: &str, worker: Worker) -> Self {
        let (trigger, shutdown) = shutdown();
        let url = url.to_owned();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(Box::pin(worker.reports().run(&url, shutdown))).unwrap();
        });
        Self { trigger, thread: Some(thread) }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.trigger.advance();
        if let Some(thread) = self.thread.take() {
            // a panic of it has failed the test already
            let _ = thread.join();
        }
    }
}

async fn ship(_: Value, ctx: Context) -> HandlerResult {
    if ctx.attempt() == 1 {
        return Ok(Outcome::retry_after(Duration::from_millis(500)));
    }
    ctx.publish(SHIPPED, &json!({}))?;
    Ok(Done)
}

async fn lose(_: Value, _: Context) -> HandlerResult {
    Ok(Outcome::dead("no stamps"))
}

async fn take(_: Value, _: Context) -> HandlerResult {
    Ok(Done)
}

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
fn what_services_made_of_an_event_is_shown_from_the_event_on() {
    let broker = Node::shared().vhost("page-handled");
    let clock = Clock::new(&broker, TICKS).with("KHRONOS_REPORTS_ENABLED", true).started();
    let shop = Worker::new("shop").on::<Value>("office.tick.passed", ship).publishes::<Value>(SHIPPED);
    let mailer = Worker::new("mailer").on::<Value>(SHIPPED, lose);
    let archive = Worker::new("archive").on::<Value>(SHIPPED, take);
    let billing = Worker::new("billing")
        .on::<Value>(SHIPPED, take.with(Policy::default().within(Duration::from_secs(1))));
    let _services = [shop, mailer, archive].map(|worker| Service::start(&broker, worker));
    let covers = |what: &str, is_so: &dyn Fn(&Value) -> bool| {
        let look = || clock.get("/v1/coverage").filter(|(status, body)| *status == 200 && is_so(body));
        let tell = || format!("{:?}\n{}", clock.get("/v1/coverage"), clock.log());
        block_until_or_tell(what, LIMIT, look, tell);
    };
    {
        let _billing = Service::start(&broker, billing);
        covers("each of them to have handled something", &|coverage| {
            let events = coverage["events"].as_array().unwrap().iter();
            let handlers = events.flat_map(|event| event["handlers"].as_array().unwrap());
            handlers.filter(|handler| handler["heard_at"].is_string()).count() == 4
        });
    }
    covers("something to be missed", &|coverage| !coverage["missed"].as_array().unwrap().is_empty());
    let output = node("handled.mjs")
        .arg(format!("http://127.0.0.1:{}/", clock.port))
        .arg(scratch().join("pictures"))
        .output()
        .expect("node is there: ./test.sh browser installs it");
    let said = text(&output);
    assert!(output.status.success(), "{said}\nclock: {}", clock.log());
    assert!(said.contains("all passed"), "{said}");
    println!("{said}");
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
    shown_of(&clocks, "leader", "leader");
    let paused = || {
        let leader = with_role(&clocks, "leader");
        let answer = leader.post("/v1/pause", r#"{"all":true,"by":"ann","note":"new disks"}"#);
        answer.filter(|(status, _)| *status == 200)
    };
    block_until("everything to be paused", LIMIT, paused);
    let follower = shown_of(&clocks, "follower", "follower");
    clocks[1 - follower].kill();
    shown_of(&clocks[follower..=follower], "leader", "successor");
}

fn role(clock: &Clock) -> Option<String> {
    clock.get("/readyz").and_then(|(_, body)| body["role"].as_str().map(str::to_owned))
}

fn with_role<'a>(clocks: &'a [Clock], wanted: &str) -> &'a Clock {
    let find = || clocks.iter().find(|clock| role(clock).as_deref() == Some(wanted));
    block_until_or_tell(wanted, LIMIT, find, || clocks.iter().map(Clock::log).collect())
}

/// What the script checks of the clock of this role; which one that was. Where another one leads by the end, for the machine is slow,
/// it is looked at again.
fn shown_of(clocks: &[Clock], wanted: &str, part: &str) -> usize {
    let mut looks = 0;
    loop {
        let clock = with_role(clocks, wanted);
        let term = || clock.get("/v1/cluster").map(|(_, body)| body["term"].clone());
        let before = term();
        let output = node("several.mjs")
            .arg(format!("http://127.0.0.1:{}/", clock.port))
            .arg(part)
            .arg(scratch().join("pictures"))
            .output()
            .expect("node is there: ./test.sh browser installs it");
        let said = text(&output);
        if output.status.success() && said.contains("all passed") {
            return clocks.iter().position(|one| one.port == clock.port).unwrap_or_default();
        }
        looks += 1;
        assert!(looks < 5 && before != term(), "{said}\nclock: {}", clock.log());
    }
}

#[test]
fn the_types_of_the_pages_modules_fit() {
    let page = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/http/page/jsconfig.json");
    let compiler = scratch().join("browser/node_modules/typescript/bin/tsc");
    let output = Command::new("node").arg(compiler).arg("-p").arg(page).output().expect("node is there");
    assert!(output.status.success(), "{}", text(&output));
}
