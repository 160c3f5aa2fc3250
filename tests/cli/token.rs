//! `khronos token new`: what it prints is a token, and lines that a clock takes.

use super::record::{khronos, text};
use khronos::{
    authority::token::{RANDOM_BYTES, Token},
    config::{Config, DEFAULT, Request},
};
use std::{
    ffi::OsStr,
    fs,
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    os::unix::ffi::OsStrExt,
    path::Path,
    process::{Command, Stdio},
    sync::{Arc, Mutex},
};

const NEW: [&str; 2] = ["token", "new"];

/// The token that was printed, and the lines below it.
fn made(folder: &Path, arguments: &[&str]) -> (Token, String) {
    let output = khronos(folder, &[&NEW, arguments].concat());
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(text(&output.stderr), "");
    let printed = text(&output.stdout);
    let (token, lines) = printed.split_once('\n').unwrap();
    let token: Token = token.parse().unwrap();
    assert!(!lines.contains(&token.reveal()[12..]), "the secret stands there once: {printed}");
    (token, lines.to_owned())
}

fn config(folder: &Path, text: &str) -> Config {
    let file = folder.join("config.toml");
    fs::write(&file, text).unwrap();
    let loaded = Config::load(&Request { file: Some(file), ..Request::default() });
    loaded.unwrap_or_else(|faults| panic!("{faults}\n{text}"))
}

#[test]
fn the_lines_below_a_new_token_make_a_clock_know_it() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let all = [
        (&["--owner", "billing", "--role", "write", "--domains", "billing.*"][..], "write", "billing.*"),
        (
            &["--owner", "billing", "--roles", "write", "--domains", "billing.*,invoices"],
            "write",
            "billing.*, invoices",
        ),
        (&["--owner", "ops", "--role", "operate", "--domains", "a", "--domains", "b.#"], "operate", "a, b.#"),
        (&["--owner", "grafana", "--role", "read"], "read", "#"),
        (&["--owner", "me", "--role", "admin"], "admin", "#"),
    ];
    let mut whole = DEFAULT.to_owned();
    let mut tokens = Vec::new();
    for (arguments, ..) in all {
        let (token, lines) = made(here, arguments);
        // At the end of the file, after sections of other things.
        whole.push_str(&lines);
        tokens.push(token);
    }
    let config = config(here, &whole);
    assert_eq!(config.http.tokens.len(), all.len());
    for ((known, token), (arguments, role, domains)) in config.http.tokens.iter().zip(&tokens).zip(all) {
        assert_eq!((&known.id, &known.digest), (&token.id(), &token.digest()), "{arguments:?}");
        let found = (known.owner.as_str(), known.role.word(), known.domains.to_string());
        assert_eq!(found, (arguments[1], role, domains.to_owned()));
    }
    let mut different: Vec<_> = tokens.iter().map(Token::reveal).collect();
    different.sort_unstable();
    different.dedup();
    assert_eq!(different.len(), all.len());
}

#[test]
fn the_lines_of_a_token_say_where_its_tasks_may_go_and_how_many_events_may_be_pending() {
    let folder = tempfile::tempdir().unwrap();
    let write = ["--owner", "billing", "--role", "write", "--domains", "billing.*"];
    let kept = |more: &[&str]| {
        let (_, lines) = made(folder.path(), &[&write, more].concat());
        let token = config(folder.path(), &lines).http.tokens.remove(0);
        (token.tasks.map(|tasks| tasks.to_string()), token.quota.delayed_events)
    };
    assert_eq!(kept(&[]), (None, None));
    let docker = ["--tasks", "docker.*,mail.letters", "--delayed-events", "100000"];
    assert_eq!(kept(&docker), (Some("docker.*, mail.letters".to_owned()), Some(100_000)));
    assert_eq!(kept(&["--tasks", "a.b", "--tasks", "#"]), (Some("a.b, #".to_owned()), None));
    assert_eq!(kept(&["--delayed-events", "0"]), (None, Some(0)));
    assert_eq!(kept(&["--delayed-events", "9223372036854775807"]).1, Some(9_223_372_036_854_775_807));
    let output = khronos(folder.path(), &[&NEW, &write[..], &docker, &["--json"]].concat());
    let all: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(all["tasks"], serde_json::json!(["docker.*", "mail.letters"]));
    assert_eq!(all["delayed_events"], 100_000);
}

#[test]
fn a_new_token_is_printed_as_json_for_programs() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["--owner", "billing", "--role", "write", "--domains", "billing.*", "--json"];
    let output = khronos(folder.path(), &[&NEW, &arguments[..]].concat());
    let all: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let token: Token = all["token"].as_str().unwrap().parse().unwrap();
    assert_eq!(all["id"], token.id().to_string());
    assert_eq!(all["sha256"], token.digest().to_string());
    assert_eq!((&all["owner"], &all["role"]), (&"billing".into(), &"write".into()));
    assert_eq!(all["domains"], serde_json::json!(["billing.*"]));
    assert!(all["tasks"].is_null() && all["delayed_events"].is_null(), "{all}");
}

#[test]
fn a_token_that_no_clock_would_take_is_not_made() {
    let folder = tempfile::tempdir().unwrap();
    for (arguments, said) in [
        (
            &["--owner", "Bill Ing", "--role", "read"][..],
            "--owner: 'Bill Ing' is not a valid name of an owner",
        ),
        (&["--owner", "kh_00000000_x", "--role", "read"], "can't begin with kh_, as tokens do"),
        (&["--owner", "operator", "--role", "read"], "--owner: 'operator' is who comes without a token"),
        (&["--owner", "billing", "--role", "wriet"], "the roles are read, operate, write, admin"),
        (&["--owner", "billing", "--role", "write"], "--domains: a token of the role write needs domains"),
        (&["--owner", "b", "--role", "admin", "--domains", "a"], "a token of the role admin has no domains"),
        (
            &["--owner", "b", "--role", "write", "--domains", "Bill"],
            "--domains: 'Bill' matches no event: 'B' is not allowed",
        ),
        (&["--owner", "billing"], "--role"),
        (
            &["--owner", "b", "--role", "admin", "--tasks", "a.b"],
            "--tasks: a token of the role admin has no queues of tasks",
        ),
        (
            &["--owner", "b", "--role", "write", "--domains", "a", "--tasks", "A.b"],
            "--tasks: 'A.b' matches no event: 'A' is not allowed",
        ),
        (
            &["--owner", "b", "--role", "write", "--domains", "a", "--delayed-events", "many"],
            "'many' for '--delayed-events <N>'",
        ),
    ] {
        let output = khronos(folder.path(), &[&NEW, arguments].concat());
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert_eq!(text(&output.stdout), "", "{arguments:?}");
        assert!(text(&output.stderr).contains(said), "{arguments:?}: {output:?}");
    }
}

/// Somebody who listens where a clock would be, and says that he is one; and what he was shown, request by request.
fn listener() -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, shown) = (listener.local_addr().unwrap().to_string(), Arc::<Mutex<Vec<String>>>::default());
    let noted = shown.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let head: Vec<String> = lines.map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
            noted.lock().unwrap().push(head.join("\n").to_lowercase());
            let body = r#"{"status":"alive","clock":"khronos","now":"2026-12-01T09:00:00Z","schedules":[]}"#;
            let length = body.len();
            let answer = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
            );
            // Whoever asked may be gone.
            drop(stream.write_all(answer.as_bytes()));
        }
    });
    (address, shown)
}

#[test]
fn a_token_is_shown_to_a_clock_that_was_named_and_to_nobody_who_only_listens_there() {
    let folder = tempfile::tempdir().unwrap();
    let token = Token::from_random([7; RANDOM_BYTES]);
    let file = folder.path().join("token");
    fs::write(&file, token.reveal()).unwrap();
    let (address, shown) = listener();
    let url = format!("http://{address}");
    let run = |words: &[&str], variable: &OsStr, stdin: Option<&Path>| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_khronos"));
        command.args(words).current_dir(folder.path()).env_clear();
        command.env("KHRONOS_HTTP_LISTEN", &address).env("KHRONOS_TOKEN", variable);
        command.stdin(stdin.map_or_else(Stdio::null, |file| fs::File::open(file).unwrap().into()));
        let output = command.output().unwrap();
        let requests = std::mem::take(&mut *shown.lock().unwrap());
        let (with, without): (Vec<_>, Vec<_>) =
            requests.into_iter().partition(|head| head.contains("authorization: bearer kh_07070707_"));
        (output, with.len(), without.len())
    };
    let variable = OsStr::new(token.reveal());
    let from = |words: &[&str]| run(words, variable, None);
    // No clock runs on the store; whoever answers at http.listen may be anybody.
    for words in [&["list"][..], &["health"], &["history", "x"]] {
        let (output, with, without) = from(words);
        assert!(with == 0 && without > 0, "{words:?} {with} {without}: {output:?}");
    }
    for words in [
        &["list", "--url", &url][..],
        &["list", "--token-file", "token"],
        &["list", "--token-file", "token", "--url", &url],
    ] {
        let (output, with, _) = from(words);
        assert!(output.status.success() && with > 0, "{words:?}: {output:?}");
    }
    let (output, with, _) = run(&["list", "--token-file", "-", "--url", &url], OsStr::new(""), Some(&file));
    assert!(output.status.success() && with > 0, "{output:?}");
    // What is no text is no token, and not none either.
    let (output, with, without) = run(&["list", "--url", &url], OsStr::from_bytes(b"kh_\xff"), None);
    assert!(output.status.code() == Some(2) && with + without == 0, "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("KHRONOS_TOKEN: "), "{output:?}");
}

#[test]
fn the_clock_that_the_environment_names_is_asked_unless_a_flag_names_another() {
    let folder = tempfile::tempdir().unwrap();
    let token = Token::from_random([7; RANDOM_BYTES]);
    let (address, shown) = listener();
    let run = |variable: &str, words: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_khronos"));
        command.args(words).current_dir(folder.path()).env_clear();
        command.env("KHRONOS_TOKEN", token.reveal()).env("KHRONOS_URL", variable);
        let output = command.output().unwrap();
        let requests = std::mem::take(&mut *shown.lock().unwrap());
        let bearer = requests.iter().filter(|head| head.contains("authorization: bearer kh_07070707_"));
        (output, bearer.count())
    };
    let (named, nobody) = (format!("http://{address}"), "http://127.0.0.1:1");
    for words in [&["list"][..], &["health"]] {
        let (output, asked) = run(&named, words);
        assert!(output.status.success() && asked > 0, "{words:?}: {output:?}");
        let (output, asked) = run(nobody, &[words, &["--url", &named]].concat());
        assert!(output.status.success() && asked > 0, "{words:?}: {output:?}");
    }
    // A verb that changes something: the listener has nothing to drop, but it is asked.
    let (output, asked) = run(&named, &["parked", "drop", "7"]);
    assert!(asked > 0, "{output:?}");
    for words in [&["list"][..], &["health"], &["tail"], &["parked", "drop", "7"]] {
        let (output, asked) = run(nobody, words);
        let said = text(&output.stderr);
        assert!(!output.status.success() && said.contains("127.0.0.1:1"), "{words:?}: {output:?}");
        assert_eq!(asked, 0, "{words:?}");
    }
    let (output, asked) = run(&named, &["list", "--store", "nowhere"]);
    assert!(!output.status.success() && asked == 0, "{output:?}");
    // A configuration that is typed is another clock's, wherever it is typed; one that a variable names is not.
    fs::write(folder.path().join("mine.toml"), "[store]\npath = \"nowhere\"\n[http]\nenabled = false\n")
        .unwrap();
    for words in [&["list", "--config", "mine.toml"][..], &["--config", "mine.toml", "health"]] {
        let (output, asked) = run(&named, words);
        assert!(!output.status.success() && asked == 0, "{words:?}: {output:?}");
        let (output, asked) = run("http://127.0.0.1:1", &[words, &["--url", &named]].concat());
        assert!(output.status.success() && asked > 0, "{words:?}: {output:?}");
    }
    // What reads files alone, and the clock itself, ask nobody.
    let (output, asked) = run(&named, &["check"]);
    assert!(output.status.success() && asked == 0, "{output:?}");
    for words in [&["list"][..], &["health"], &["tail"], &["parked", "drop", "7"]] {
        let (output, _) = run("127.0.0.1:7650", words);
        let said = text(&output.stderr);
        assert!(output.status.code() == Some(2) && said.contains("KHRONOS_URL: "), "{words:?}: {output:?}");
    }
}
