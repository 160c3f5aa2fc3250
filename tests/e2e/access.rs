//! Who may do what: the real program with tokens.

use crate::harness::{Clock, LIMIT, text};
use serde_json::Value;
use std::{
    fs::Permissions,
    io::{Read, Write},
    net::TcpStream,
    os::unix::fs::PermissionsExt,
    process::Output,
};
use testkit::{Certificates, Node};

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
    stream.set_read_timeout(Some(LIMIT)).unwrap();
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
    let lines = clock.log().lines().filter(|line| line.contains("whose token is not known")).count();
    assert!((1..20).contains(&lines), "{}", clock.log());
    // The machine's own operator needs none.
    first_parked(&clock);
    let released = clock.verb(&["parked", "release", "--all"]);
    assert_eq!(released.status.code(), Some(0), "{}", text(&released));
    assert!(
        clock.log().contains(&format!("of 'tests' asked to drop parked events: done {parked}")),
        "{}",
        clock.log()
    );
    assert!(
        clock.log().contains("operator (control socket) asked to release parked events: done "),
        "{}",
        clock.log()
    );

    let denied = format!("by the token {} of 'tests', of /parked/drop", &reader[3..11]);
    assert!(clock.log().contains(&denied), "{}", clock.log());

    // A token that came through a proxy, maybe in the clear, is said to be burnt.
    let mut stream = TcpStream::connect(("127.0.0.1", clock.port)).unwrap();
    let head = format!("GET /schedules HTTP/1.0\r\nHost: localhost\r\nAuthorization: Bearer {reader}\r\n");
    stream.write_all(format!("{head}X-Forwarded-Proto: http\r\n\r\n").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.contains(" 403 ") && answer.contains("replace it (khronos token new)"), "{answer}");
    let burnt =
        format!("the token {} of 'tests' (1, the last one from 127.0.0.1): replace it", &reader[3..11]);
    assert!(clock.log().contains(&burnt), "{}", clock.log());
    // What people write is kept, and shown, without what looks like a secret.
    let note = format!("see {billing}");
    let paused = clock.verb(&["pause", "--all", "--note", &note]);
    assert!(text(&paused).contains("***"), "{}", text(&paused));
    let (status, answer) = asked(&clock, "GET", "/readyz", Some(&reader), "");
    assert!(status == 200 && answer.contains("***") && !answer.contains(&billing[12..]), "{answer}");
    clock.done(&["resume", "--all", "--skip"]);

    assert_discreet(&clock, &[&reader, &billing, &reports], &[released, paused]);
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

#[test]
fn what_the_configuration_says_of_reading_and_of_a_proxy_is_so() {
    let status = |clock: &Clock, token: Option<&str>, line: &str| {
        let mut stream = TcpStream::connect(("127.0.0.1", clock.port)).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        let shown = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
        let head = format!("GET /v1/schedules HTTP/1.0\r\nHost: localhost\r\n{shown}{line}\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.split(' ').nth(1).unwrap().parse::<u16>().unwrap()
    };
    let https = "X-Forwarded-Proto: https\r\n";
    for (key, unnamed, in_the_clear, proxied) in
        [("open_reads", 200, 200, 403), ("behind_proxy", 401, 403, 200), ("open", 401, 200, 403)]
    {
        let clock = Clock::new("memory:", SCHEDULES);
        let (reader, lines) = token(&clock, "read", &[]);
        let value = key != "open";
        let clock = configured(clock, &format!("[http]\n{key} = {value}\n{lines}")).started();
        let answers = (
            status(&clock, None, ""),
            status(&clock, Some(&reader), ""),
            status(&clock, Some(&reader), https),
        );
        assert_eq!(answers, (unnamed, in_the_clear, proxied), "{key}: {}", clock.log());
        assert_discreet(&clock, &[&reader], &[]);
    }
}

/// A clock that encrypts, with what an authority of the test's own made.
fn encrypted(clock: Clock, folder: &str, listen: &str) -> (Clock, Certificates) {
    let folder = clock.sandbox.path(folder);
    std::fs::create_dir(&folder).unwrap();
    let made = Certificates::generate(&folder);
    let clock = clock
        .with("KHRONOS_HTTP_TLS_CERT_FILE", made.server.certificate.display())
        .with("KHRONOS_HTTP_TLS_KEY_FILE", made.server.key.display());
    let listen = format!("{listen}:{}", clock.port);
    (clock.with("KHRONOS_HTTP_LISTEN", listen), made)
}

#[test]
fn a_clock_that_encrypts_is_operated_from_elsewhere_with_a_token() {
    let clock = Clock::new(&Node::shared().vhost("access-encrypted"), SCHEDULES);
    let (billing, lines) = token(&clock, "operate", &["billing.*"]);
    let (clock, made) = encrypted(configured(clock, &lines), "tls", "0.0.0.0");
    let mut clock = clock;
    clock.start();
    let parked = first_parked(&clock).to_string();
    let file = clock.sandbox.path("token");
    std::fs::write(&file, format!("{billing}\n")).unwrap();
    let url = format!("https://localhost:{}", clock.port);
    let (file, ca) = (file.to_str().unwrap(), made.ca.to_str().unwrap());
    let ran = |words: &[&str]| clock.verb(&[words, &["--url", &url]].concat());

    let mode = |mode| std::fs::set_permissions(file, Permissions::from_mode(mode)).unwrap();
    mode(0o644);
    std::fs::set_permissions(clock.sandbox.path("."), Permissions::from_mode(0o755)).unwrap();
    let warned = ran(&["list", "--token-file", file, "--ca-file", ca]);
    assert!(
        warned.status.success() && text(&warned).contains("every user of this machine"),
        "{}",
        text(&warned)
    );
    mode(0o600);
    let release = ran(&["parked", "release", &parked, "--token-file", file, "--ca-file", ca]);
    assert_eq!((release.status.code(), text(&release)), (Some(0), format!("{parked} released\n")));
    let list = ran(&["list", "--token-file", file, "--ca-file", ca]);
    assert!(list.status.success() && text(&list).contains("billing.often.passed"), "{}", text(&list));
    // It waits for the answer for some seconds only.
    let well = || Some(ran(&["health", "--ca-file", ca])).filter(|health| health.status.success());
    let health = testkit::block_until_or_tell("the health of the clock", LIMIT, well, || clock.log());
    // Without a URL it asks by the control socket, whatever the certificate.
    clock.done_in_time(&["health", "--ready"], |said| said == "ready\n");

    let none = ran(&["list", "--ca-file", ca]);
    assert!(none.status.code() == Some(77) && text(&none).contains("wants a token"), "{}", text(&none));
    let other = clock.sandbox.path("other");
    std::fs::create_dir(&other).unwrap();
    let stranger = Certificates::generate(&other);
    let foreign = ran(&["list", "--token-file", file, "--ca-file", stranger.ca.to_str().unwrap()]);
    assert!(foreign.status.code() == Some(69), "{}", text(&foreign));
    assert!(text(&foreign).contains("invalid peer certificate"), "{}", text(&foreign));
    let missing = ran(&["list", "--token-file", "nowhere", "--ca-file", ca]);
    assert!(missing.status.code() == Some(2), "{}", text(&missing));
    std::fs::write(clock.sandbox.path("cut"), &billing[..40]).unwrap();
    let cut = ran(&["list", "--token-file", "cut", "--ca-file", ca]);
    assert!(cut.status.code() == Some(2) && text(&cut).contains("this is not one"), "{}", text(&cut));
    let clear = clock.verb(&["list", "--token-file", file, "--url", "http://clock.invalid:1"]);
    assert!(clear.status.code() == Some(2) && text(&clear).contains("ask by https://"), "{}", text(&clear));

    // Who asks in the clear is told so; on this machine nobody has read his token.
    let (status, answer) = asked(&clock, "GET", "/schedules", None, "");
    assert!(
        status == 400 && answer.contains("this port speaks HTTPS") && !answer.contains("replace"),
        "{answer}"
    );
    let (status, answer) = asked(&clock, "GET", "/schedules", Some(&billing), "");
    assert!(status == 400 && !answer.contains("replace"), "{answer}");
    assert_discreet(&clock, &[&billing], &[release, list, health, none, foreign, missing, cut, clear]);
}

#[test]
fn a_certificate_that_is_replaced_is_used_and_no_connection_ends() {
    let (clock, made) = encrypted(Clock::new("memory:", SCHEDULES), "tls", "127.0.0.1");
    let mut clock = clock;
    clock.start();
    let url = format!("https://localhost:{}", clock.port);
    let ca = made.ca.to_str().unwrap().to_owned();
    let trusted = |ca: &str| clock.verb(&["list", "--url", &url, "--ca-file", ca]).status.success();
    testkit::block_until_or_tell("an answer", LIMIT, || trusted(&ca).then_some(()), || clock.log());
    let mut tail = clock.begin(&["tail", "--feed", &url, "--ca-file", &ca]);
    let seen = || clock.log().matches("billing.often.passed  often").count();
    testkit::block_until_or_tell("an event", LIMIT, || (seen() > 0).then_some(()), || clock.log());

    // A key that does not belong to the certificate changes nothing.
    let others = clock.sandbox.path("others");
    std::fs::create_dir(&others).unwrap();
    let other = Certificates::generate(&others);
    let new_ca = other.ca.to_str().unwrap().to_owned();
    std::fs::copy(&other.server.key, &made.server.key).unwrap();
    let told = || clock.log().contains("the former ones stay in use").then_some(());
    testkit::block_until_or_tell("a warning", LIMIT, told, || clock.log());
    assert!(trusted(&ca) && !trusted(&new_ca));
    std::fs::copy(&other.server.certificate, &made.server.certificate).unwrap();
    testkit::block_until_or_tell("the new one", LIMIT, || trusted(&new_ca).then_some(()), || clock.log());
    assert!(!trusted(&ca));

    let before = seen();
    testkit::block_until_or_tell(
        "more events",
        LIMIT,
        || (seen() > before + 5).then_some(()),
        || clock.log(),
    );
    assert!(tail.runs() && !clock.log().contains("trying again"), "{}", clock.log());
}

#[test]
fn a_certificate_that_can_not_be_used_is_refused_at_the_start() {
    let (clock, made) = encrypted(Clock::new("memory:", SCHEDULES), "tls", "127.0.0.1");
    std::fs::write(&made.server.key, "no key").unwrap();
    let mut clock = clock;
    clock.start();
    assert_eq!(clock.end(), 78, "{}", clock.log());
    assert!(clock.log().contains("HTTPS can't be served with [http.tls]"), "{}", clock.log());
}
