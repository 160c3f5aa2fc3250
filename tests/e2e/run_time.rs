//! Schedules that are created, changed and deleted while the clock runs: by HTTP and by the command line.

use crate::harness::{Clock, LIMIT, text};
use serde_json::{Value, json};
use std::{
    env,
    io::Write,
    path::Path,
    process::{Command, Output, Stdio},
};
use testkit::Node;

const SCHEDULES: &str = r#"
[[schedule]]
name = "hourly"
event = "office.hour.passed"
every = "1 hour"
"#;

const SOME: &str = r#"
[[schedule]]
name = "billing.often"
event = "billing.often.passed"
every = "100ms"

[[schedule]]
name = "billing.monthly"
event = "billing.invoice.due"
cron = "0 9 1 * *"
time_zone = "Europe/Paris"
limit = 3
data = { customers = ["a", "b"], text = "first\nsecond" }
"#;

fn said(output: &Output, code: i32, words: &str) {
    let shown = text(output);
    assert!(output.status.code() == Some(code) && shown.contains(words), "{code} {words}: {shown}");
}

fn write(clock: &Clock, name: &str, content: &str) -> String {
    let file = clock.sandbox.path(name);
    std::fs::write(&file, content).unwrap();
    file.display().to_string()
}

#[test]
fn what_is_put_runs_until_it_is_deleted_and_outlives_a_kill() {
    let mut clock = Clock::new(&Node::shared().vhost("run-time"), SCHEDULES).started();
    let file = write(&clock, "some.toml", SOME);
    let put = clock.verb(&["put", "-f", &file]);
    said(&put, 0, "billing.often created, revision 1");
    said(&clock.verb(&["put", "-f", &file, "--atomic"]), 0, "billing.monthly unchanged, revision 1");
    let recorded = |least: usize| {
        let rows = clock.json(&["history", "billing.often", "--limit", "1000"]);
        (rows.len() >= least).then_some(rows)
    };
    let rows = testkit::block_until_or_tell("events of it", LIMIT, || recorded(5), || clock.log());
    assert!(rows.iter().all(|row| row["creation"] == 1 && row["outcome"] == "confirmed"), "{rows:?}");

    clock.kill();
    clock.start();
    clock.until_ready();
    let list = clock.json(&["list", "--origin", "client"]);
    let names: Vec<&str> = list.iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["billing.monthly", "billing.often"]);
    assert!(list.iter().all(|one| one["owner"] == "operator" && one["origin"] == "client"), "{list:?}");
    assert_eq!(clock.json(&["list", "--origin", "file"])[0]["name"], "hourly");

    // A change on a condition, and one that comes too late.
    let other = SOME.split("\n\n").nth(1).unwrap().replace("limit = 3", "limit = 2");
    let other = write(&clock, "other.toml", &other);
    said(&clock.verb(&["put", "-f", &other, "--new"]), 2, "it exists, as revision 1");
    let first = format!("{}.1", list[0]["creation"]);
    let changed = clock.verb(&["put", "-f", &other, "--if-revision", &first]);
    said(&changed, 0, "billing.monthly changed, revision 2; 2 occurrences left, the next one at ");
    said(
        &clock.verb(&["put", "-f", &other, "--if-revision", &first]),
        2,
        "at revision 2, another one than expected",
    );
    said(&clock.verb(&["get", "billing.monthly"]), 0, "by operator (control-socket); revision 2");

    // What is exported is put again, and is what it was.
    let export = clock.done(&["export"]);
    let again = write(&clock, "export.toml", &export);
    let unchanged = text(&clock.verb(&["put", "-f", &again]));
    assert_eq!(unchanged.matches("unchanged").count(), 2, "{export}\n{unchanged}");
    let json = write(&clock, "export.json", &clock.done(&["export", "--json"]));
    assert_eq!(text(&clock.verb(&["put", "-f", &json])).matches("unchanged").count(), 2);

    // A file's is changed there.
    let hourly = write(&clock, "hourly.json", r#"{"name":"hourly","event":"a.b.c","every":"2 hours"}"#);
    said(&clock.verb(&["put", "-f", &hourly]), 2, "comes from a schedule file");
    said(&clock.verb(&["delete", "hourly"]), 2, "comes from a schedule file");

    said(&clock.verb(&["delete", "billing.often", "--if-revision", "99.1"]), 2, "another one than expected");
    said(&clock.verb(&["delete", "billing.often"]), 0, "billing.often is deleted");
    said(&clock.verb(&["delete", "billing.often"]), 0, "nothing is deleted");
    said(
        &clock.verb(&["delete", "--domain", "billing", "--dry-run"]),
        0,
        "billing.monthly\n1 schedules would be deleted",
    );
    said(
        &clock.verb(&["delete", "--domain", "billing", "--expect-count", "2"]),
        2,
        "1 are found, and 2 were expected",
    );
    said(
        &clock.verb(&["delete", "--domain", "billing", "--expect-count", "1"]),
        0,
        "1 of 1 schedules deleted",
    );
    let nothing = write(&clock, "nothing.toml", &clock.done(&["export"]));
    said(&clock.verb(&["put", "-f", &nothing]), 0, "there is nothing to put");

    let changes = clock.json(&["changes", "--after", "0"]);
    let what: Vec<(u64, &str, &str)> = changes
        .iter()
        .map(|one| {
            (
                one["sequence"].as_u64().unwrap(),
                one["what"].as_str().unwrap(),
                one["schedule"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        what,
        [
            (1, "created", "billing.often"),
            (2, "created", "billing.monthly"),
            (3, "changed", "billing.monthly"),
            (4, "deleted", "billing.often"),
            (5, "deleted", "billing.monthly"),
        ]
    );
    assert!(
        changes.iter().all(|one| one["by"] == "operator" && one["door"] == "control socket"),
        "{changes:?}"
    );
    assert_eq!(changes[2]["before"]["definition"]["limit"], 3);
    assert_eq!(changes[2]["after"]["definition"]["limit"], 2);
    // Payloads are not shown, and that they are the same is.
    assert!(!changes[2].to_string().contains("customers"), "{}", changes[2]);
    assert_eq!(changes[2]["before"]["payload"], changes[2]["after"]["payload"]);
    assert_eq!(clock.json(&["changes", "--after", "4"]).len(), 1);
    let newest = clock.json(&["changes", "--limit", "2"]);
    assert_eq!(newest.iter().map(|one| one["sequence"].as_u64().unwrap()).collect::<Vec<_>>(), [5, 4]);
    assert_eq!(clock.json(&["changes", "--schedule", "billing.often"]).len(), 2);
    let audit = clock.json(&["audit"]);
    assert_eq!(audit.last().unwrap()["totals"]["missing"].as_u64().unwrap_or(0), 0, "{audit:?}");
    clock.stop();
}

#[test]
fn owners_keep_to_their_own_and_to_their_quotas() {
    let clock = Clock::new("memory:", SCHEDULES);
    let mut tokens = Vec::new();
    let mut lines = String::new();
    for (owner, domain, quota) in [
        ("billing", "billing.*", "schedules = 3\nleast_interval = \"1 minute\"\n"),
        ("reports", "#", "puts_per_second = 5\n"),
    ] {
        let printed = clock.done(&["token", "new", "--owner", owner, "--role", "write", "--domains", domain]);
        let (token, more) = printed.split_once('\n').unwrap();
        tokens.push(write(&clock, owner, token));
        lines.push_str(&format!("{more}\n{quota}"));
    }
    let config = write(&clock, "config.toml", &lines);
    let clock = clock.with("KHRONOS_CONFIG", config).started();
    let url = format!("http://127.0.0.1:{}", clock.port);
    let by = |owner: usize, words: &[&str]| {
        clock.verb(&[words, &["--url", &url, "--token-file", &tokens[owner]]].concat())
    };
    let one = |name: &str, event: &str, every: &str| {
        write(&clock, "one.json", &json!({ "name": name, "event": event, "every": every }).to_string())
    };
    let put =
        |owner, name: &str, event: &str, every: &str| by(owner, &["put", "-f", &one(name, event, every)]);
    let deleted = |owner, words: &[&str], code, found: &str| {
        said(&by(owner, &[&["delete"], words].concat()), code, found)
    };

    said(&put(0, "a", "billing.a.b", "1 hour"), 0, "a created, revision 1");
    said(&put(0, "x", "reports.a.b", "1 hour"), 77, "is outside of them");
    said(&put(0, "x", "billing.a.b", "1s"), 2, "its shortest interval is 1 s");
    said(&put(1, "a", "billing.a.b", "2 hours"), 77, "it belongs to 'billing', who created it");
    deleted(1, &["a"], 77, "it belongs to 'billing'");
    said(&put(1, "b", "billing.a.b", "1s"), 0, "b created");
    // All or nothing, also where each alone has room.
    let of = |name: &str| json!({ "name": name, "event": "billing.a.b", "every": "1 hour" });
    let list = write(&clock, "list.json", &json!([of("c"), of("d"), of("e")]).to_string());
    let refused = "'e' is refused: the schedule 'e' is as it was: 3 schedules of its owner are there";
    said(&by(0, &["put", "-f", &list, "--atomic"]), 2, refused);
    assert_eq!(clock.json(&["list", "--owner", "billing"]).len(), 1);
    said(&by(0, &["put", "-f", &list]), 2, refused);
    let listed = clock.json(&["list", "--owner", "billing"]);
    let names: Vec<&str> = listed.iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["a", "c", "d"]);
    // What he has he may change, and what he deletes makes room.
    said(&put(0, "a", "billing.a.b", "2 hours"), 0, "a changed, revision 2");
    said(&put(0, "e", "billing.a.b", "2 hours"), 77, "3 schedules of its owner are there");
    deleted(0, &["c"], 0, "c is deleted");
    said(&put(0, "e", "billing.a.b", "2 hours"), 0, "e created");
    // By a filter he finds his own.
    deleted(0, &["--domain", "billing", "--dry-run"], 0, "a\nd\ne\n3 schedules would be deleted");
    deleted(0, &["--owner", "reports", "--dry-run"], 0, "1 schedules would be deleted");
    deleted(0, &["--owner", "reports"], 2, "it belongs to 'reports'");
    deleted(1, &["--domain", "billing"], 0, "1 of 1 schedules deleted");

    let of = |number: usize| json!({ "name": format!("m{number}"), "event": "m.a.b", "every": "1 hour" });
    let many = write(&clock, "many.json", &Value::from((0..100).map(of).collect::<Vec<_>>()).to_string());
    // What is more than his rate waits until it may come; one by itself is told so, within twenty seconds after that.
    for outcome in ["created", "unchanged"] {
        said(&by(1, &["put", "-f", &many]), 0, &format!("m99 {outcome}, revision 1"));
    }
    said(
        &put(1, "m100", "m.a.b", "1 hour"),
        69,
        "'reports' asks for changes too often; the next one is taken in ",
    );
    let changes = clock.json(&["changes", "--after", "0", "--limit", "3"]);
    assert_eq!(changes[0]["by"], "billing");
    assert!(changes[0]["door"].as_str().unwrap().starts_with("HTTP, token "), "{changes:?}");
}

#[test]
fn what_can_not_be_put_is_refused_with_all_that_is_wrong_and_the_rest_is_put() {
    let clock = Clock::new("memory:", SCHEDULES).started();
    let list = json!([
        { "name": "good", "event": "a.b.c", "every": "1 hour" },
        { "name": "bad", "event": "A", "cron": "61 * * * *" },
        { "name": "reserved", "every": "1 hour" },
        { "name": "past", "event": "a.b.c", "at": "2020-01-01T00:00:00Z" },
        { "event": "a.b.c", "every": "1 hour" },
    ]);
    let file = write(&clock, "list.json", &list.to_string());
    let put = clock.verb(&["put", "-f", &file, "--atomic"]);
    said(&put, 2, "'bad' is refused");
    assert!(
        text(&put).contains("'good' is refused: the schedule 'good' is as it was: another change"),
        "{}",
        text(&put)
    );
    let none: Vec<Value> = clock.json(&["list", "--origin", "client"]);
    assert!(none.is_empty(), "{none:?}");
    let put = clock.verb(&["put", "-f", &file]);
    for words in [
        "good created, revision 1",
        "'bad' is refused: ",
        "cron",
        "event",
        "'reserved' is refused",
        "time.",
        "'past'",
        "definition 5 is refused",
        "has no name",
    ] {
        said(&put, 2, words);
    }
    for (name, content, words) in [
        ("none.toml", "", "it has no schedules"),
        ("wrong.toml", "[[schedule]\n", "TOML parse error"),
        ("wrong.json", "{", "EOF"),
        ("x.toml", "[clock]\nname = \"x\"\n", "unknown key 'clock'"),
    ] {
        said(&clock.verb(&["put", "-f", &write(&clock, name, content)]), 2, words);
    }
    said(&clock.verb(&["put", "-f", "nowhere.toml"]), 2, "nowhere.toml");
    said(&clock.verb(&["get", "god"]), 2, "did you mean 'good'?");
}

/// The examples for programs: in Python with requests, and in Node with its own `fetch`.
#[test]
fn programs_put_and_delete_as_the_examples_show() {
    let clock = Clock::new("memory:", SCHEDULES);
    let printed =
        clock.done(&["token", "new", "--owner", "billing", "--role", "write", "--domains", "billing.*"]);
    let (token, lines) = printed.split_once('\n').unwrap();
    let config = write(&clock, "config.toml", &format!("{lines}puts_per_second = 5\n"));
    let clock = clock.with("KHRONOS_CONFIG", config).started();
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let python = env::var_os("KHRONOS_TEST_PYTHON").unwrap_or("/usr/bin/python3".into());
    for (language, program, example) in [
        ("python", python, examples.join("python/schedules.py")),
        ("node", "node".into(), examples.join("node/schedules.js")),
    ] {
        let run = |words: &[&str], definition: &str, token: &str| {
            let mut command = Command::new(&program);
            command.arg(&example).args(words).env("KHRONOS_TOKEN", token);
            command.env("KHRONOS_URL", format!("http://127.0.0.1:{}", clock.port));
            let mut running =
                command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
            running.stdin.take().unwrap().write_all(definition.as_bytes()).unwrap();
            running.wait_with_output().unwrap()
        };
        let name = format!("of-{language}");
        let right = r#"{"event":"billing.invoice.due","cron":"0 9 1 * *","limit":3}"#;
        let put = |definition: &str| run(&["put", &name], definition, token);
        said(&put(right), 0, &format!("{name} created, revision \""));
        let creation = clock.json(&["list", "--origin", "client"])[0]["creation"].to_string();
        said(&put(right), 0, &format!("{name} unchanged, revision \"{creation}.1\", next due "));
        let other = format!("{creation}.7");
        let revision =
            if language == "python" { &["--if-revision", other.as_str()][..] } else { &[other.as_str()] };
        said(&run(&[&["put", &name], revision].concat(), right, token), 1, "another one than expected");
        let wrong = put(r#"{"event":"billing.invoice.due","cron":"61 9 1 * *","evrey":"1h"}"#);
        said(&wrong, 1, "/cron: ");
        said(&wrong, 1, "/evrey: ");
        said(&run(&["put", &name], right, &token.replace("kh_", "kh_0")), 1, "not known");
        // More than five in a second: it waits, and goes on.
        for number in 0..12 {
            let every = format!(r#"{{"event":"billing.a.b","every":"{} hours"}}"#, number + 1);
            said(&put(&every), 0, &name);
        }
        said(&run(&["delete", &name], "", token), 0, &format!("{name} is gone"));
        assert!(clock.json(&["list", "--origin", "client"]).is_empty());
    }
}

#[test]
fn who_looks_for_a_schedule_finds_it_by_label_and_where_it_comes_from() {
    let mut clock = Clock::new("memory:", SCHEDULES).started();
    let some = r#"
[[schedule]]
name = "billing.monthly"
event = "billing.invoice.due"
cron = "0 9 1 * *"
description = "asks \"Größe\" for all invoices"
labels = { team = "billing", stage = "prod: 2" }

[[schedule]]
name = "reports"
event = "reports.day.due"
every = "1 day"
labels = { team = "reports" }
"#;
    let file = write(&clock, "some.toml", some);
    clock.done(&["put", "-f", &file]);
    let names = |clock: &Clock, arguments: &[&str]| -> Vec<String> {
        let listed = clock.json(&[&["list"], arguments].concat());
        listed.iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&clock, &["--label", "team"]), ["billing.monthly", "reports"]);
    assert_eq!(names(&clock, &["--label", "team:billing,stage:prod: 2"]), ["billing.monthly"]);
    assert_eq!(names(&clock, &["--label", "team", "--origin", "file"]), [""; 0]);
    said(&clock.verb(&["list", "--label", "Team"]), 2, "write key:value");
    let list = clock.done(&["list"]);
    assert!(list.contains("LABELS") && list.contains("stage:prod: 2, team:billing"), "{list}");
    let shown = clock.done(&["get", "billing.monthly"]);
    assert!(shown.starts_with("# created at run time by operator (control-socket); revision 1,"), "{shown}");
    assert!(shown.contains("description = ") && shown.contains("Größe"), "{shown}");

    // What is exported says the same, and an edit of that alone is one.
    let export = write(&clock, "export.toml", &clock.done(&["export"]));
    assert_eq!(text(&clock.verb(&["put", "-f", &export])).matches("unchanged").count(), 2);
    let other = some.replace("asks", "ASKS");
    let other = write(&clock, "other.toml", &other);
    said(&clock.verb(&["put", "-f", &other]), 0, "billing.monthly changed, revision 2");
    let changes = clock.json(&["changes", "--after", "2"]);
    assert_eq!(changes.len(), 1, "{changes:?}");
    assert_eq!(changes[0]["before"]["definition"]["description"], "asks \"Größe\" for all invoices");
    // Where a file has it follows the file, and is no edit.
    let place = |clock: &Clock| clock.json(&["get", "hourly"])[0].clone();
    let found = place(&clock);
    let line = |found: &Value| found["place"].as_str().unwrap_or_default().to_owned();
    assert!(found["origin"] == "file" && line(&found).ends_with("all.toml:2"), "{found}");
    clock.write_schedules(&format!("# moved\n\n# down\n{SCHEDULES}"));
    let is_moved = |_, found: &Value| line(found).ends_with("all.toml:5");
    let moved = clock.until_at("/v1/schedules/hourly", "the new line", is_moved);
    assert_eq!(moved["revision"], found["revision"], "{moved}");
    let shown = clock.done(&["get", "hourly"]);
    assert!(shown.starts_with("# of ") && shown.contains("all.toml:5; revision 1"), "{shown}");
    said(&clock.verb(&["delete", "hourly"]), 2, "all.toml:5), and is changed there");

    said(
        &clock.verb(&["pause", "--label", "team:billing", "--note", "x"]),
        0,
        "paused: 1 schedule (billing.monthly)",
    );
    said(&clock.verb(&["pause", "--owner", "operator", "--note", "x", "--dry-run"]), 0, "2 schedules");
    said(&clock.verb(&["pause", "--origin", "file", "--note", "x", "--dry-run"]), 0, "1 schedule (hourly)");
    said(&clock.verb(&["resume", "--label", "team", "--skip"]), 0, "resumed: 1 schedule (billing.monthly)");
    said(&clock.verb(&["delete", "--label", "team:reports"]), 0, "1 of 1 schedules deleted");
    clock.stop();

    // No clock runs, and then one that could not read the files: which file it was nobody knows.
    let stopped = place(&clock);
    assert!(stopped["origin"] == "file" && stopped["place"].is_null(), "{stopped}");
    clock.write_schedules("[[schedule]]\nname = 5\n");
    clock.start();
    clock.until("the start", |status, _| status == 200);
    let kept = place(&clock);
    assert!(kept["origin"] == "file" && kept["place"].is_null() && kept["revision"] == 1, "{kept}");
    said(&clock.verb(&["get", "hourly"]), 0, "# of a schedule file; revision 1");
    said(&clock.verb(&["delete", "hourly"]), 2, "it comes from a schedule file, and is changed there");
    assert_eq!(clock.json(&["get", "billing.monthly"])[0]["definition"]["labels"]["team"], "billing");
    clock.stop();
}
