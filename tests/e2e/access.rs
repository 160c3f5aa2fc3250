//! Who may do what: the real program with tokens.

use crate::harness::{Clock, LIMIT, text};
use serde_json::Value;
use std::{
    io::{Read, Write},
    net::TcpStream,
    process::Output,
    time::Duration,
};
use testkit::Node;

/// Nobody is bound to it, so that each is parked at once.
const SCHEDULES: &str = r#"
[[schedule]]
name = "often"
event = "billing.often.passed"
every = "100ms"
unrouted = "park"
"#;

/// A new token of this role and these domains, with the lines of the configuration.
fn token(clock: &Clock, role: &str, domains: &[&str]) -> (String, String) {
    let domains = domains.iter().flat_map(|domain| ["--domains", domain]);
    let arguments: Vec<&str> =
        ["token", "new", "--owner", "tests", "--role", role].into_iter().chain(domains).collect();
    let printed = clock.done(&arguments);
    let (token, lines) = printed.split_once('\n').unwrap();
    (token.to_owned(), lines.to_owned())
}

/// A clock whose configuration is this text.
fn configured(clock: Clock, text: &str) -> Clock {
    let file = clock.sandbox.path("config.toml");
    std::fs::write(&file, text).unwrap();
    clock.with("KHRONOS_CONFIG", file.display())
}

/// Status and whole answer of a request that is not encrypted.
fn asked(clock: &Clock, method: &str, path: &str, token: Option<&str>, body: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(("127.0.0.1", clock.port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let shown = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.0\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n{shown}"
    );
    stream.write_all(format!("{head}\r\n{body}").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    (answer.split(' ').nth(1).unwrap().parse().unwrap(), answer)
}

/// Waits for a parked event, as the machine's operator; its number.
fn first_parked(clock: &Clock) -> u64 {
    let first = || {
        // It fails as long as the clock does not run.
        let listed = clock.verb(&["parked", "list", "--json"]).stdout;
        let parked: Value = serde_json::from_slice(listed.split(|byte| *byte == b'\n').next()?).ok()?;
        parked["id"].as_u64()
    };
    testkit::block_until_or_tell("a parked event", LIMIT, first, || clock.log())
}

/// Nothing that was printed has the secret part of one of these.
fn assert_discreet(clock: &Clock, tokens: &[&str], outputs: &[Output]) {
    let said: String = outputs.iter().map(text).chain([clock.log()]).collect();
    for token in tokens {
        assert!(!said.contains(&token[12..]), "{said}");
    }
}

#[test]
fn tokens_decide_who_may_do_what_and_no_log_or_file_has_one() {
    let clock = Clock::new(&Node::shared().vhost("access-tokens"), SCHEDULES);
    let (reader, lines) = token(&clock, "read", &[]);
    let (billing, more) = token(&clock, "operate", &["billing.*"]);
    let (reports, rest) = token(&clock, "write", &["reports.*"]);
    let clock = configured(clock, &format!("{lines}\n{more}\n{rest}")).started();
    let parked = first_parked(&clock);
    let ids = format!("{{\"ids\":[{parked}]}}");

    for (token, method, path, body, wanted, said) in [
        (None, "GET", "/schedules", "", 401, "Bearer realm=\"khronos\""),
        (None, "POST", "/parked/drop", &*ids, 401, "wants a token"),
        (None, "GET", "/healthz", "", 200, "alive"),
        (Some(&*reader), "GET", "/schedules", "", 200, "billing.often.passed"),
        (Some(&reader), "POST", "/parked/drop", &ids, 403, "has the role read"),
        (Some(&reports), "GET", "/parked", "", 200, "often"),
        (Some(&reports), "POST", "/parked/drop", &ids, 403, "the event 'billing.often.passed' is outside"),
        (Some(&billing), "POST", "/reload", "", 403, "concerns all events"),
        (Some(&billing), "POST", "/parked/drop", &ids, 200, &format!("\"done\":[{parked}]")),
    ] {
        let (status, answer) = asked(&clock, method, path, token, body);
        assert!(status == wanted && answer.contains(said), "{method} {path} {token:?}: {answer}");
    }
    // A flood of wrong ones locks nobody out, and makes no flood of lines.
    let wrong = format!("{}{}", &reader[..12], &billing[12..]);
    let flood: Vec<u16> = (0..200).map(|_| asked(&clock, "GET", "/schedules", Some(&wrong), "").0).collect();
    assert!(flood.iter().all(|status| matches!(status, 401 | 429)), "{flood:?}");
    assert_eq!(asked(&clock, "GET", "/schedules", Some(&reader), "").0, 200);
    let lines = clock.log().lines().filter(|line| line.contains("a token that is not known")).count();
    assert!((1..20).contains(&lines), "{}", clock.log());
    // The machine's own operator needs none.
    let released = clock.verb(&["parked", "release", "--all"]);
    assert_eq!(released.status.code(), Some(0), "{}", text(&released));
    assert!(clock.log().contains("of 'tests' asks to drop parked events"), "{}", clock.log());
    assert!(
        clock.log().contains("operator (control socket) asks to release parked events"),
        "{}",
        clock.log()
    );

    assert_discreet(&clock, &[&reader, &billing, &reports], &[released]);
    let mut folders = vec![clock.store()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if let Ok(bytes) = std::fs::read(&path) {
                let found = bytes.windows(43).any(|window| window == &billing.as_bytes()[12..]);
                assert!(!found, "{}", path.display());
            }
        }
    }
}

#[test]
fn an_open_clock_is_changed_by_its_machine_and_says_so_at_the_start() {
    let clock = Clock::new(&Node::shared().vhost("access-open"), SCHEDULES)
        .with("KHRONOS_HTTP_OPEN", "true")
        .started();
    let parked = first_parked(&clock);
    let (status, answer) = asked(&clock, "POST", "/parked/drop", None, &format!("{{\"ids\":[{parked}]}}"));
    assert!(status == 200 && answer.contains(&format!("\"done\":[{parked}]")), "{answer}");
    assert!(clock.log().contains("every user of this machine may change this clock"), "{}", clock.log());
}
