//! Calendars of a running clock: an edited file takes effect by itself and on SIGHUP; what was accepted goes on with its
//! days after a kill; and `plan` knows them without having seen their files.

use crate::harness::{Clock, text};
use serde_json::Value;
use std::fs;
use testkit::Signal;

const SCHEDULES: &str = r#"
[[schedule]]
name = "often"
event = "test.often.passed"
every = "100ms"
exclude = ["days-off"]
catch_up = { policy = "all" }

[[schedule]]
name = "plain"
event = "test.plain.passed"
every = "200ms"
catch_up = { policy = "all" }
"#;

/// A day that is gone: nothing is left out now.
const WORK: &str = "dates = [\"2020-01-01\"]\n";
/// Every day from 2020 to the end of 2098: the next occurrence is in 2099.
const REST: &str = "dates = [\"2020-01-01/2098-12-31\"]\n";

/// In one step, as a careful deployment does.
fn write_calendar(clock: &Clock, days: &str) {
    let unfinished = clock.sandbox.path("unfinished");
    fs::write(&unfinished, days).unwrap();
    fs::rename(unfinished, clock.sandbox.path("calendars/days-off.toml")).unwrap();
}

fn with_calendar(days: &str) -> Clock {
    let clock = Clock::new("memory:", SCHEDULES);
    fs::create_dir(clock.sandbox.path("calendars")).unwrap();
    write_calendar(&clock, days);
    clock
}

/// Waits until `often` rests (until 2099) or not.
fn until_it(clock: &Clock, rests: bool) {
    let what = if rests { "the calendar to be in effect" } else { "the calendar to be no longer in effect" };
    clock.until_at("/schedules/often", what, |status, body| {
        let next = body["next_due_at"].as_str().unwrap_or_default();
        status == 200 && next.starts_with("2099-01-01") == rests
    });
}

/// Waits until so many events more are confirmed.
fn more(clock: &Clock, events: u64) {
    let so_far = clock.until("the count", |status, _| status == 200)["confirmed"].as_u64().unwrap();
    clock.until("more events", |_, body| body["confirmed"].as_u64() >= Some(so_far + events));
}

fn agrees(clock: &Clock) {
    let audit = clock.verb(&["audit"]);
    assert_eq!(audit.status.code(), Some(0), "{}\n{}", text(&audit), clock.log());
}

#[test]
fn a_calendar_that_has_run_out_is_a_warning_until_it_is_carried_on() {
    let mut clock = with_calendar(WORK).started();
    let body =
        clock.until("the warning", |status, body| status == 200 && body["warnings"] != serde_json::json!([]));
    assert_eq!(
        body["warnings"],
        serde_json::json!([
            "calendars: the calendar 'days-off' has run out: its last day was 2020-01-01, and it no longer excludes anything (named by 1 schedule)"
        ])
    );
    assert!(clock.log().contains("the calendar 'days-off' has run out"), "{}", clock.log());
    write_calendar(&clock, "dates = [\"2020-01-01\", \"2099-01-01\"]\n");
    clock.until("the warning to go", |_, body| body["warnings"] == serde_json::json!([]));
    clock.stop();
}

#[test]
fn an_edited_calendar_takes_effect_by_itself_and_on_sighup() {
    let mut clock = with_calendar(WORK).started();
    until_it(&clock, false);
    more(&clock, 10);
    write_calendar(&clock, REST);
    until_it(&clock, true);
    more(&clock, 5);
    write_calendar(&clock, WORK);
    clock.signal(Signal::HUP);
    until_it(&clock, false);
    more(&clock, 10);
    clock.until_calm();
    agrees(&clock);
    clock.stop();
    agrees(&clock);
}

#[test]
fn after_a_kill_the_accepted_days_hold_until_other_ones_are_accepted() {
    let mut clock = with_calendar(WORK).started();
    more(&clock, 10);
    clock.kill();
    // In a fresh process the store alone knows the days: with the files as they are now there is nothing to build from.
    write_calendar(&clock, "dates = [\"soon\"]\n");
    agrees(&clock);
    clock.start();
    clock.until("the last accepted schedules", |status, body| {
        status == 200 && body["warnings"].to_string().contains("days-off.toml")
    });
    until_it(&clock, false);
    more(&clock, 10);
    clock.kill();
    write_calendar(&clock, REST);
    clock.start();
    until_it(&clock, true);
    more(&clock, 5);
    clock.until_calm();
    agrees(&clock);
    clock.kill();
    fs::remove_file(clock.sandbox.path("calendars/days-off.toml")).unwrap();
    agrees(&clock);
    clock.start();
    until_it(&clock, true);
    clock.until_calm();
    agrees(&clock);
    clock.stop();
}

#[test]
fn a_folder_of_calendars_that_is_made_later_is_seen_by_itself_and_on_sighup() {
    let (_, without) = SCHEDULES.split_at(SCHEDULES.rfind("[[schedule]]").unwrap());
    for by_itself in [true, false] {
        let mut clock = Clock::new("memory:", without).started();
        clock.write_schedules(SCHEDULES);
        if !by_itself {
            clock.signal(Signal::HUP);
        }
        let body = clock.until("the refusal", |_, body| body["warnings"].to_string().contains("days-off"));
        assert!(body["warnings"][0].as_str().unwrap().contains("last accepted ones are in effect"), "{body}");
        fs::create_dir(clock.sandbox.path("calendars")).unwrap();
        write_calendar(&clock, REST);
        if !by_itself {
            clock.signal(Signal::HUP);
        }
        until_it(&clock, true);
        clock.until("the warning to go", |_, body| body["warnings"] == serde_json::json!([]));
        agrees(&clock);
        clock.stop();
    }
}

/// What `plan` says, in one object, and its exit code.
fn plan(clock: &Clock, arguments: &[&str]) -> (Option<i32>, Value) {
    let output = clock.verb(&[&["plan", "--json", "--for", "1h"][..], arguments].concat());
    let shown = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", text(&output)));
    (output.status.code(), shown)
}

#[test]
fn plan_compares_with_the_running_clock_calendars_and_limits_included() {
    let limited = |data: &str| {
        format!(
            "{SCHEDULES}[[schedule]]\nname = \"five\"\nevent = \"test.five.passed\"\nevery = \"200ms\"\nlimit = 5\n{data}"
        )
    };
    let mut clock = with_calendar(WORK);
    clock.write_schedules(&limited(""));
    clock.start();
    clock.until_ready();
    clock.until_at("/schedules/five", "the end of the limit", |_, body| body["next_due_at"].is_null());
    let url = format!("http://127.0.0.1:{}", clock.port);
    for by in [&[][..], &["--url", &url]] {
        let (code, shown) = plan(&clock, by);
        assert_eq!((code, &shown["unchanged"]), (Some(0), &3.into()), "{shown}");
    }

    // Neither the schedules nor the calendar need to be where the clock reads them.
    let new = clock.sandbox.path("new");
    for folder in ["schedules", "calendars"] {
        fs::create_dir_all(new.join(folder)).unwrap();
    }
    fs::write(new.join("schedules/all.toml"), limited("data = 1\n")).unwrap();
    fs::write(new.join("calendars/days-off.toml"), REST).unwrap();
    let folder = new.join("schedules");
    let folder = folder.to_str().unwrap();
    for by in [&[folder][..], &[folder, "--url", &url]] {
        let (code, shown) = plan(&clock, by);
        assert_eq!(code, Some(2), "{shown}");
        let schedules = shown["schedules"].as_array().unwrap();
        let of = |name: &str| schedules.iter().find(|one| one["name"] == name).unwrap();
        assert_eq!(
            (&of("often")["occurrences_before"], &of("often")["occurrences_now"]),
            (&36_000.into(), &0.into()),
            "{shown}"
        );
        // Its five are gone, and other data brings none back.
        assert_eq!(
            (&of("five")["occurrences_before"], &of("five")["occurrences_now"]),
            (&0.into(), &0.into()),
            "{shown}"
        );
        assert_eq!(schedules.len(), 2, "{shown}");
    }
    assert_eq!(clock.done(&["next", "five"]), "", "next counts from where the clock counts");

    let known = clock.get("/schedules/often").unwrap().1;
    let id = known["definition"]["calendars"]["days-off"].as_str().unwrap().to_owned();
    let (status, calendar) = clock.get(&format!("/calendars/{id}")).unwrap();
    assert_eq!((status, &calendar["dates"]), (200, &serde_json::json!(["2020-01-01"])));
    let named = clock.get("/v1/calendars/days-off").unwrap();
    assert_eq!(named, (200, serde_json::json!({ "name": "days-off", "origin": "file" })));
    // A definition may name the calendars that the clock has.
    let preview = |calendar: &str| {
        let body = format!(r#"{{"name":"new","every":"1h","exclude":["{calendar}"]}}"#);
        clock.post("/v1/preview?from=2019-12-31T23:59:59Z&count=1", &body).unwrap()
    };
    let (status, shown) = preview("days-off");
    assert_eq!((status, &shown["occurrences"][1]["due_at"]), (200, &"2020-01-02T00:00:00.000Z".into()));
    let (status, refused) = preview("days-of");
    assert_eq!((status, &refused["errors"][0]["suggestion"]), (422, &"did you mean 'days-off'?".into()));
    clock.stop();
}
