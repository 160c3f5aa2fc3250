//! Bad luck at the start, each kind with a message, a remedy and an exit code of its own; and what the clock does on
//! SIGTERM, on SIGHUP and when its schedules change.

use crate::harness::{Arrivals, Clock, Expected, LIMIT, id_of, text};
use khronos::config::{Config, Request};
use ponos::topology::{Exchange, Queue, Topology};
use std::{
    collections::{BTreeSet, HashSet},
    net::TcpListener,
    sync::OnceLock,
};
use testkit::{Node, Signal};

const SCHEDULES: &str = r#"
[[schedule]]
name = "often"
event = "test.often.passed"
every = "100ms"
catch_up = { policy = "all" }
"#;

/// The node of these tests, which listens for TLS too.
fn node() -> &'static Node {
    static NODE: OnceLock<Node> = OnceLock::new();
    NODE.get_or_init(|| Node::builder().tls().start())
}

/// It ends by itself, with this exit code and these words; no password of the tests is among them.
fn refuses(mut clock: Clock, code: i32, words: &[&str]) {
    clock.start();
    let ended = clock.end();
    let log = clock.log();
    assert_eq!(ended, code, "{log}");
    for word in words {
        assert!(log.contains(word), "'{word}' is not in:\n{log}");
    }
    assert_eq!(log.matches("error: ").count(), 1, "said once:\n{log}");
    assert!(!log.contains("s3cret"), "{log}");
    assert!(!log.contains("panicked"), "{log}");
}

#[test]
fn a_wrong_password_is_refused_with_77_and_never_shown() {
    node().add_user("clerk", "right");
    let url = node().url_for("clerk", "s3cret", "/");
    refuses(
        Clock::new(&url, SCHEDULES),
        77,
        &["refused the login of the user 'clerk'", "check user and password"],
    );
}

#[test]
fn a_missing_vhost_is_refused_with_77() {
    let url = node().url_for("guest", "guest", "nowhere");
    refuses(Clock::new(&url, SCHEDULES), 77, &["has no vhost 'nowhere'", "rabbitmqctl add_vhost"]);
}

#[test]
fn a_vhost_that_the_user_may_not_enter_is_refused_with_77() {
    node().vhost("closed");
    node().add_user("stranger", "s3cret");
    let url = node().url_for("stranger", "s3cret", "closed");
    refuses(Clock::new(&url, SCHEDULES), 77, &["'stranger'", "'closed'", "rabbitmqctl set_permissions"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_exchange_of_another_type_is_refused_with_78_and_named() {
    let url = node().vhost("other-type");
    let other = Topology {
        exchanges: vec![Exchange::fanout("events")],
        queues: vec![Queue::classic("any")],
        bindings: vec![],
        ..Topology::default()
    };
    drop(Arrivals::of(&url, vec![other]).await);
    let words = ["the exchange 'events'", "'type'", "we want topic", "it has fanout", "use a new name"];
    refuses(Clock::new(&url, SCHEDULES), 78, &words);
}

#[test]
fn plain_amqp_to_a_tls_port_is_refused_with_78() {
    let url = format!("amqp://guest:s3cret@127.0.0.1:{}/%2f", node().tls_port());
    refuses(Clock::new(&url, SCHEDULES), 78, &["looks like a TLS port", "use amqps://"]);
}

#[test]
fn an_authority_that_is_not_trusted_is_refused_with_78_and_with_its_file_it_works() {
    let url = node().tls_url();
    refuses(Clock::new(&url, SCHEDULES), 78, &["not trusted"]);
    let ca = node().certificates().ca.display();
    Clock::new(&url, SCHEDULES).with("KHRONOS_BROKER_TLS_CA_FILE", ca).started().stop();
}

#[test]
fn a_port_in_use_is_refused_with_78() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let clock = Clock::new("memory:", SCHEDULES).with("KHRONOS_HTTP_LISTEN", address);
    refuses(clock, 78, &[&format!("{address} is in use"), "http.listen"]);
}

#[test]
fn a_store_that_can_not_be_written_is_refused_with_74() {
    let clock = Clock::new("memory:", SCHEDULES);
    std::fs::write(clock.sandbox.path("file"), "no folder").unwrap();
    let store = clock.sandbox.path("file/store");
    let named = store.display().to_string();
    refuses(clock.with("KHRONOS_STORE_PATH", store.display()), 74, &[&named, "can't be used"]);
}

#[test]
fn another_name_on_the_same_store_is_refused_with_78() {
    let mut clock = Clock::new("memory:", SCHEDULES).started();
    clock.stop();
    let clock = clock.with("KHRONOS_CLOCK_NAME", "other");
    refuses(clock, 78, &["belongs to the clock 'khronos'", "clock.name = \"khronos\""]);
}

#[test]
fn a_second_clock_on_the_same_store_is_refused_with_78_and_the_first_one_goes_on() {
    let mut first = Clock::new("memory:", SCHEDULES).started();
    let store = first.store();
    let second = Clock::new("memory:", SCHEDULES).with("KHRONOS_STORE_PATH", store.display());
    refuses(second, 78, &["in use by another process", "--store"]);
    first.done(&["list"]);
    first.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_is_not_there_is_waited_for() {
    let node = Node::start();
    node.add_user("clerk", "s3cret");
    node.permit("clerk", "/", ".*", ".*", ".*");
    let url = node.url_for("clerk", "s3cret", "/");
    let arrivals = Arrivals::of_all_events(&node.url(), &[Queue::classic("classic")]).await;
    // The user, and what he may, are not to be lost with it.
    node.write_down();
    node.kill9();
    let mut clock = Clock::new(&url, SCHEDULES);
    clock.start();
    let body = clock.until("the reason", |status, body| {
        status == 503 && body["reasons"].to_string().contains("connection refused")
    });
    assert!(body["reasons"][0].as_str().unwrap().contains("check whether RabbitMQ runs there"), "{body}");
    assert_eq!(clock.get("/healthz").unwrap().0, 200);
    node.restart();
    clock.until_ready();
    arrivals.more(20);
    clock.stop_calm();
    // Nothing of the time without a broker is missing.
    Expected::of(&clock).compare(&arrivals, 1);
    clock.done(&["audit"]);
    let log = clock.log();
    let said = log.lines().filter(|line| line.contains("connection refused")).count();
    assert_eq!(said, 1, "said once:\n{log}");
    assert!(log.contains("publishing to the exchange 'events' of amqp://"), "{log}");
    assert!(!log.contains("s3cret"), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_drains_and_the_next_start_sends_nothing_twice() {
    let url = node().vhost("drained");
    let arrivals = Arrivals::of_all_events(&url, &[Queue::quorum("quorum")]).await;
    let mut clock = Clock::new(&url, SCHEDULES);
    for round in 0..3 {
        clock.start();
        arrivals.more(10);
        if round < 2 {
            clock.stop();
        }
    }
    clock.stop_calm();
    Expected::of(&clock).compare(&arrivals, 1);
    // The broker may bring one again, if the connection of this test breaks; but it was sent once.
    let so_far = arrivals.so_far();
    let sent: HashSet<_> = so_far.iter().map(|one| (&one.event.id, one.event.recorded_time)).collect();
    let ids: HashSet<_> = so_far.iter().map(|one| &one.event.id).collect();
    assert_eq!(ids.len(), sent.len(), "something was sent twice though nothing was killed");
    assert!(clock.log().contains("unanswered=0"), "{}", clock.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn schedules_are_read_again_on_sighup_and_by_themselves_and_a_broken_file_changes_nothing() {
    let url = node().vhost("reload");
    let arrivals = Arrivals::of_all_events(&url, &[Queue::classic("all")]).await;
    let mut clock = Clock::new(&url, SCHEDULES).started();
    arrivals.more(3);

    let added = |name: &str| {
        format!("[[schedule]]\nname = \"{name}\"\nevent = \"test.{name}.passed\"\nevery = \"200ms\"\n")
    };
    clock.write_schedules(&format!("{SCHEDULES}{}", added("hangup")));
    clock.signal(Signal::HUP);
    arrivals.first("the schedule added by SIGHUP", |a| a.event.subject.as_deref() == Some("hangup"));
    assert!(!clock.log().contains("ERROR"), "{}", clock.log());

    clock.write_schedules(&format!("{SCHEDULES}{}", added("watched")));
    arrivals.first("the schedule added by a change of the file", |a| {
        a.event.subject.as_deref() == Some("watched")
    });
    // The one that went away rests; the one that stayed goes on without a gap.
    let listed = clock.json(&["list"]);
    let names: Vec<_> = listed.iter().map(|schedule| schedule["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["often", "watched"]);

    clock.write_schedules(&format!("{SCHEDULES}{}every = \"5 parsecs\"\n", added("broken")));
    let body = clock.until("the warning", |status, body| {
        status == 200 && body["warnings"].to_string().contains("all.toml")
    });
    assert!(body["warnings"][0].as_str().unwrap().contains("last accepted ones are in effect"), "{body}");
    arrivals.more(20);
    assert_eq!(clock.json(&["list"]).len(), 2);

    clock.write_schedules(SCHEDULES);
    clock.until("the warning to go", |_, body| body["warnings"] == serde_json::json!([]));
    clock.until_calm();
    clock.done(&["audit"]);
    clock.stop_calm();
    let audit = clock.verb(&["audit"]);
    assert_eq!(audit.status.code(), Some(0), "{}", text(&audit));
    // The schedule that was never touched has lost nothing by all this.
    // At least once: where a connection breaks on a busy machine, an event comes again, and behind what is newer.
    let so_far = arrivals.so_far();
    let often = so_far.iter().filter(|one| one.event.subject.as_deref() == Some("often"));
    let often: BTreeSet<_> = often.map(|one| one.event.time.unwrap()).collect();
    let often: Vec<_> = often.into_iter().collect();
    assert!(often.windows(2).all(|pair| pair[1].since(pair[0]) == 100), "{often:?}");
}

#[test]
fn the_file_of_the_url_is_read_again_at_every_reconnect() {
    let node = node();
    node.add_user("turned", "s3cret-old");
    let vhost = "url-file";
    let _ = node.vhost(vhost);
    node.permit("turned", vhost, ".*", ".*", ".*");
    let url = |password: &str| node.url_for("turned", password, vhost);
    let clock = Clock::new("memory:", SCHEDULES).without("KHRONOS_BROKER_URL");
    let file = clock.sandbox.path("url");
    let write = |text: &str| {
        // In one step, as a mounted secret changes.
        let next = clock.sandbox.path("url.next");
        std::fs::write(&next, text).unwrap();
        std::fs::rename(next, clock.sandbox.path("url")).unwrap();
    };
    write(&url("s3cret-old"));
    let mut clock = clock.with("KHRONOS_BROKER_URL_FILE", file.display()).started();
    let says = |clock: &Clock, words: &str| {
        clock.until(words, |status, body| status == 503 && body["reasons"].to_string().contains(words));
    };
    // Changed on the broker first: refused until the file follows.
    node.change_password("turned", "s3cret-new");
    node.close_connections_of(vhost);
    says(&clock, "refused the login of the user 'turned'");
    std::fs::write(&file, url("s3cret-new")).unwrap();
    clock.until_ready();
    // A file that can't be read is said and tried again.
    std::fs::remove_file(&file).unwrap();
    node.close_connections_of(vhost);
    says(&clock, "with the broker's URL can't be read");
    assert!(std::process::Command::new("mkfifo").arg(&file).status().unwrap().success());
    says(&clock, "it is a FIFO, not a regular file");
    std::fs::remove_file(&file).unwrap();
    std::fs::write(&file, "amqp://turned:s3cret-new#@host").unwrap();
    says(&clock, "must be written %23");
    std::fs::write(&file, url("s3cret-new")).unwrap();
    clock.stop_calm();
    clock.done(&["audit"]);
    assert!(!clock.log().contains("s3cret"), "{}", clock.log());
}

#[test]
fn tls_files_are_read_again_at_every_reconnect() {
    let clock = Clock::new(&node().tls_url(), SCHEDULES);
    let ca = clock.sandbox.path("ca.pem");
    std::fs::copy(&node().certificates().ca, &ca).unwrap();
    let mut clock = clock.with("KHRONOS_BROKER_TLS_CA_FILE", ca.display()).started();
    std::fs::write(&ca, "nothing").unwrap();
    // Of its vhost alone: other tests of this node are held to lose none.
    node().close_connections_of("/");
    clock.until("the reason", |status, body| {
        status == 503 && body["reasons"].to_string().contains("ca.pem holds no usable certificate")
    });
    std::fs::copy(&node().certificates().ca, &ca).unwrap();
    clock.until_ready();
    clock.stop();
}

#[test]
fn no_level_of_the_log_shows_the_login() {
    node().add_user("traced", "s3cret");
    node().permit("traced", "/", ".*", ".*", ".*");
    let url = node().url_for("traced", "s3cret", "/");
    for (level, format) in [("trace", "pretty"), ("info,lapin=trace,amq_protocol_tcp=trace", "json")] {
        let clock = Clock::new(&url, SCHEDULES).with("KHRONOS_LOG_LEVEL", level);
        let mut clock = clock.with("KHRONOS_LOG_FORMAT", format).started();
        clock.stop();
        assert!(clock.log().contains("connected"), "{}", clock.log());
        // lapin shows it as numbers.
        let bytes = format!("{:?}", b"s3cret");
        let log = clock.log();
        assert!(!log.contains("s3cret") && !log.contains(bytes.trim_matches(['[', ']'])), "{level}");
    }
}

#[test]
fn a_json_line_about_one_event_has_the_ids_of_its_trace_and_a_line_for_people_has_not() {
    for format in ["json", "pretty"] {
        let clock = Clock::new("memory:", SCHEDULES).with("KHRONOS_LOG_FORMAT", format);
        let mut clock = clock.with("KHRONOS_LOG_LEVEL", "warn,khronos::events=info").started();
        let sent = |log: &str| log.lines().find(|line| line.contains("lateness_ms")).map(str::to_owned);
        let line = testkit::block_until("a line about an event", LIMIT, || sent(&clock.log()));
        clock.stop();
        if format == "pretty" {
            assert!(!line.contains("trace_id") && !line.contains("event{"), "{line}");
            continue;
        }
        let line: serde_json::Value = serde_json::from_str(&line).unwrap();
        let id = id_of("often", line["due"].as_str().unwrap().parse().unwrap());
        let hex = id.replace('-', "");
        assert_eq!(line["trace_id"], hex, "{line}");
        assert_eq!(line["span_id"], hex.chars().rev().take(16).collect::<String>(), "{line}");
    }
}

#[test]
fn what_is_no_regular_file_is_refused_and_said_and_never_waited_for() {
    let fifo = |path: &std::path::Path| {
        assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
    };
    let clock = Clock::new("memory:", SCHEDULES);
    let path = clock.sandbox.path("fifo");
    fifo(&path);
    let by_file = clock.without("KHRONOS_BROKER_URL").with("KHRONOS_BROKER_URL_FILE", path.display());
    let mut clock = by_file;
    clock.start();
    assert_eq!(clock.end(), 78);
    assert!(clock.log().contains("it is a FIFO, not a regular file"), "{}", clock.log());
    let clock = clock.without("KHRONOS_BROKER_URL_FILE").with("KHRONOS_BROKER_URL", "memory:");
    let mut clock = clock.with("KHRONOS_CONFIG", path.display());
    clock.start();
    assert_eq!(clock.end(), 78);

    let mut clock = clock.without("KHRONOS_CONFIG").started();
    let said = |clock: &Clock, words: [&str; 2]| {
        clock.until(words[0], |status, body| {
            let warnings = body["warnings"].to_string();
            status == 200 && words.iter().all(|word| warnings.contains(word))
        });
    };
    let schedule = clock.sandbox.path("schedules/b.toml");
    fifo(&schedule);
    clock.signal(Signal::HUP);
    said(&clock, ["b.toml", "it is a FIFO, not a regular file"]);
    std::fs::remove_file(&schedule).unwrap();
    std::os::unix::fs::symlink("/dev/zero", &schedule).unwrap();
    clock.signal(Signal::HUP);
    said(&clock, ["b.toml", "it is a device, not a regular file"]);
    std::fs::remove_file(&schedule).unwrap();
    std::fs::create_dir(clock.sandbox.path("calendars")).unwrap();
    let calendar = clock.sandbox.path("calendars/holidays.ics");
    fifo(&calendar);
    clock.signal(Signal::HUP);
    said(&clock, ["holidays.ics", "it is a FIFO, not a regular file"]);
    // At a start too, and it can be stopped.
    clock.stop();
    clock.start();
    said(&clock, ["holidays.ics", "it is a FIFO, not a regular file"]);
    clock.stop();
    std::fs::remove_file(&calendar).unwrap();
    clock.start();
    clock.until("the warning to go", |_, body| body["warnings"] == serde_json::json!([]));
    clock.stop();
}

#[tokio::test]
async fn who_is_asked_to_stop_before_the_start_is_done_waits_for_nothing() {
    let environment = [
        ("KHRONOS_BROKER_URL", "memory:"),
        ("KHRONOS_STORE_PATH", "memory:"),
        ("KHRONOS_HTTP_ENABLED", "false"),
    ];
    let environment = environment.map(|(name, value)| (name.into(), value.into())).to_vec();
    let config = Config::load(&Request { environment, ..Request::default() }).unwrap();
    let (trigger, shutdown) = ponos::shutdown::shutdown();
    trigger.advance();
    let begun = |_: &Config, _: &khronos::Running| panic!("it began");
    let ended = tokio::time::timeout(LIMIT, khronos::run(config, false, shutdown, begun)).await;
    assert_eq!(ended.unwrap().unwrap().confirmed, 0);
}
