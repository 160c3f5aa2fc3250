//! Calendars that are created, changed and deleted while the clock runs: what names one follows it, a kill changes nothing, and one
//! that is used stays.

use crate::harness::{Clock, text};
use serde_json::{Value, json};
use std::{fs, process::Output};

const SCHEDULES: &str = r#"
[[schedule]]
name = "hourly"
event = "office.hour.passed"
every = "1 hour"
"#;

/// A day that is gone: nothing is left out now.
const WORK: &str = "dates = [\"2020-01-01\"]\n";
/// Every day from 2020 to the end of 2098: the next occurrence is in 2099.
const REST: &str = "dates = [\"2020-01-01/2098-12-31\"]\n";
const REST_TOO: &str = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\nUID:1\r\nDTSTART;VALUE=DATE:20200101\r\nDTEND;VALUE=DATE:20980101\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";

const OFTEN: &str = r#"
[[schedule]]
name = "billing.often"
event = "billing.often.passed"
every = "100ms"
exclude = ["days-off"]
"#;

fn said(output: &Output, code: i32, words: &str) {
    let shown = text(output);
    assert!(output.status.code() == Some(code) && shown.contains(words), "{code} {words}: {shown}");
}

fn write(clock: &Clock, name: &str, content: &str) -> String {
    let file = clock.sandbox.path(name);
    fs::write(&file, content).unwrap();
    file.display().to_string()
}

fn put(clock: &Clock, file: &str, content: &str, words: &str) {
    let file = write(clock, file, content);
    said(&clock.verb(&["calendar", "put", "days-off", "-f", &file]), 0, words);
}

/// The year in which it is due next.
fn year(clock: &Clock) -> String {
    let view: Value = serde_json::from_str(&clock.done(&["get", "billing.often", "--json"])).unwrap();
    view["next_due_at"].as_str().unwrap()[..4].to_owned()
}

#[test]
fn a_schedule_follows_its_calendar_through_changes_and_a_kill_and_keeps_it_from_being_deleted() {
    let mut clock = Clock::new("memory:", SCHEDULES).started();
    put(&clock, "work.toml", WORK, "days-off created, revision 1");
    let often = write(&clock, "often.toml", OFTEN);
    said(&clock.verb(&["put", "-f", &often]), 0, "billing.often created, revision 1");
    assert_ne!(year(&clock), "2099");

    put(&clock, "rest.toml", REST, "days-off changed, revision 2");
    assert_eq!(year(&clock), "2099", "once it is answered, it is so");
    put(&clock, "again.toml", REST, "days-off unchanged, revision 2");
    clock.kill();
    clock.start();
    clock.until_ready();
    assert_eq!(year(&clock), "2099");
    let kept = clock.json(&["calendar", "list"]);
    let expected = json!({
        "name": "days-off", "origin": "client", "owner": "operator", "door": "control-socket", "creation": 1,
        "revision": 2, "since": kept[0]["since"], "form": "toml", "bytes": REST.len(), "users": 1,
        "used_by": ["billing.often"],
    });
    assert_eq!(kept, [expected]);
    assert_eq!(clock.done(&["calendar", "get", "days-off"]), REST);

    let delete = || clock.verb(&["calendar", "delete", "days-off"]);
    said(&delete(), 2, "a schedule uses it: billing.often;");
    said(
        &clock.verb(&["calendar", "put", "days-off", "-f", &often]),
        2,
        "line 2, column 3: unknown key 'schedule'",
    );
    let new = write(&clock, "new.toml", WORK);
    said(&clock.verb(&["calendar", "put", "days-off", "-f", &new, "--new"]), 2, "it exists, as revision 2");
    said(&clock.verb(&["calendar", "put", "days-off", "-f", &new, "--if-revision", "1.2"]), 0, "revision 3");
    assert_ne!(year(&clock), "2099");

    put(&clock, "rest.ics", REST_TOO, "days-off changed, revision 4");
    assert_eq!(year(&clock), "2098");
    clock.done(&["delete", "billing.often"]);
    said(&delete(), 0, "there is no calendar 'days-off' any more");
    said(&clock.verb(&["put", "-f", &often]), 2, "there is no calendar 'days-off'");
    let changes = clock.json(&["changes"]);
    let mut found: Vec<_> = changes.iter().map(|one| (&one["what"], &one["schedule"])).collect();
    found.reverse();
    let (calendar, often) = (json!("days-off"), json!("billing.often"));
    let what = ["created", "changed", "deleted"].map(|what| json!(format!("calendar-{what}")));
    let (put, anew, deleted) = (json!("created"), json!("read-anew"), json!("deleted"));
    let expected = [
        (&what[0], &calendar),
        (&put, &often),
        (&what[1], &calendar),
        (&anew, &often),
        (&what[1], &calendar),
        (&anew, &often),
        (&what[1], &calendar),
        (&anew, &often),
        (&deleted, &often),
        (&what[2], &calendar),
    ];
    assert_eq!(found, expected);
    clock.kill();
    clock.start();
    clock.until_ready();
    said(&clock.verb(&["calendar", "list"]), 0, "there are no calendars");
    let audit = clock.verb(&["audit"]);
    assert_eq!(audit.status.code(), Some(0), "{}\n{}", text(&audit), clock.log());
    clock.stop();
}

#[test]
fn files_name_the_calendars_of_their_folder_alone_and_their_names_are_theirs() {
    let mut clock = Clock::new("memory:", SCHEDULES);
    fs::create_dir(clock.sandbox.path("calendars")).unwrap();
    write(&clock, "calendars/frozen.toml", WORK);
    clock = clock.started();
    put(&clock, "work.toml", WORK, "days-off created, revision 1");
    let frozen = write(&clock, "frozen.toml", REST);
    said(&clock.verb(&["calendar", "put", "frozen", "-f", &frozen]), 2, "lies in the folder of calendars");
    said(&clock.verb(&["calendar", "delete", "frozen"]), 2, "lies in the folder of calendars");
    said(&clock.verb(&["calendar", "get", "frozen"]), 2, "lies in the clock's folder of calendars");
    said(&clock.verb(&["calendar", "list"]), 0, "the folder");
    // A schedule that was created may name either.
    let both = OFTEN.replace("[\"days-off\"]", "[\"days-off\", \"frozen\"]");
    let both = write(&clock, "both.toml", &both);
    said(&clock.verb(&["put", "-f", &both]), 0, "billing.often created, revision 1");
    // One of a file may not.
    write(&clock, "schedules/more.toml", &OFTEN.replace("billing.often", "billing.file"));
    let warned = |words: &'static str| {
        clock.until(words, move |_, body| body["warnings"].to_string().contains(words));
    };
    warned("one of this name was created at run time, and a file names calendars of the folder alone");
    // The folder gets one of that name: files use it, and what was created does not.
    write(&clock, "calendars/days-off.toml", REST);
    warned("the calendar days-off of the files is used by the files' schedules alone");
    assert_ne!(year(&clock), "2099");
    let next: Value = serde_json::from_str(&clock.done(&["get", "billing.file", "--json"])).unwrap();
    assert!(next["next_due_at"].as_str().unwrap().starts_with("2099"), "{next}");
    clock.done(&["delete", "billing.often"]);
    clock.done(&["calendar", "delete", "days-off"]);
    clock.until("the warning to go", |_, body| !body["warnings"].to_string().contains("days-off"));
    clock.stop();
}
