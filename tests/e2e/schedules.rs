//! Which schedules a clock starts with: those of its files, the last accepted ones when the files are wrong or gone, the
//! built-in ones, or none. And where a clock without a store on disk is found, and how Ctrl-C ends it.

use crate::harness::{Clock, LIMIT, text};
use testkit::{Signal, block_until};

const SCHEDULES: &str = r#"
[[schedule]]
name = "often"
event = "test.often.passed"
every = "100ms"
catch_up = { policy = "all" }
"#;

#[test]
fn a_broken_schedule_file_ends_a_strict_start_with_78_and_is_shown_with_its_place() {
    let broken = format!("{SCHEDULES}\n[[schedule]]\nname = \"broken\"\nevery = \"1 fortnite\"\n");
    let mut clock = Clock::new("memory:", &broken).flag("--strict");
    clock.start();
    assert_eq!(clock.end(), 78);
    let log = clock.log();
    assert!(log.contains("all.toml:10:") && log.contains("fortnite") && log.contains("--strict"), "{log}");
}

#[test]
fn a_broken_schedule_file_at_the_start_means_the_last_accepted_schedules_and_a_warning() {
    let mut clock = Clock::new("memory:", SCHEDULES).started();
    clock.stop();
    clock.write_schedules("[[schedule]]\nname = 5\n");
    clock.start();
    let body = clock.until("events of the last accepted schedules", |status, body| {
        status == 200 && body["confirmed"].as_u64() > Some(5)
    });
    assert!(body["warnings"][0].as_str().unwrap().contains("all.toml"), "{body}");
    clock.stop();
    clock.done(&["audit"]);
}

/// A clock that finds the folder of schedules where it runs, as nothing is configured.
fn unconfigured() -> Clock {
    Clock::new("memory:", SCHEDULES).without("KHRONOS_SCHEDULES_FOLDER")
}

fn names(clock: &Clock) -> Vec<String> {
    let listed = clock.json(&["list"]);
    listed.iter().map(|schedule| schedule["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_usual_folder_that_is_gone_at_a_start_leaves_the_stored_schedules_in_effect() {
    let mut clock = unconfigured().started();
    assert_eq!(names(&clock), ["often"]);
    assert!(clock.log().contains("runs 1 schedule (of the folder schedules)"), "{}", clock.log());
    clock.stop();
    let (here, away) = (clock.sandbox.path("schedules"), clock.sandbox.path("away"));
    std::fs::rename(&here, &away).unwrap();
    clock.start();
    let body = clock.until("events of the stored schedules", |status, body| {
        status == 200 && body["confirmed"].as_u64() > Some(5)
    });
    let warning = body["warnings"][0].as_str().unwrap();
    assert!(warning.contains("schedules: there is no folder of schedules here"), "{body}");
    assert!(warning.contains("\"built-in\" or \"none\""), "{body}");
    assert_eq!(names(&clock), ["often"]);
    // The verbs ask the clock that runs.
    let checked = clock.verb(&["check"]);
    assert_eq!(checked.status.code(), Some(1), "{checked:?}");
    assert!(text(&checked).contains("continues with the last accepted ones (1 schedule)"), "{checked:?}");
    let planned = clock.verb(&["plan"]);
    assert!(planned.status.code() == Some(78) && planned.stdout.is_empty(), "{planned:?}");
    assert!(text(&planned).contains("continues with the last accepted ones (1 schedule)"), "{planned:?}");
    // Being told to read them again changes nothing.
    clock.signal(Signal::HUP);
    clock.until("the refusal", |_, _| clock.log().contains("read and refused"));
    let refused = clock.log().lines().find(|line| line.contains("read and refused")).map(str::to_owned);
    assert!(refused.as_ref().is_some_and(|line| line.contains("reload{number=1}")), "{refused:?}");
    assert_eq!(names(&clock), ["often"]);
    assert!(clock.log().contains("runs 1 schedule (the last accepted ones)"), "{}", clock.log());
    std::fs::rename(&away, &here).unwrap();
    clock.until("the warning to go", |_, body| body["warnings"] == serde_json::json!([]));
    clock.stop();
    clock.done(&["audit"]);

    std::fs::rename(&here, &away).unwrap();
    let mut strict = clock.flag("--strict");
    strict.start();
    assert_eq!(strict.end(), 78);
    let log = strict.log();
    assert!(log.contains("there is no folder of schedules here, but this clock has run"), "{log}");
}

#[test]
fn an_empty_usual_folder_at_a_start_leaves_the_stored_schedules_in_effect() {
    let mut clock = unconfigured().started();
    clock.stop();
    std::fs::remove_file(clock.sandbox.path("schedules/all.toml")).unwrap();
    clock.start();
    let body =
        clock.until("the warning", |status, body| status == 200 && body["warnings"] != serde_json::json!([]));
    assert!(body["warnings"][0].as_str().unwrap().contains("there is no schedule file"), "{body}");
    assert_eq!(names(&clock), ["often"]);
    clock.stop();
}

#[test]
fn built_in_schedules_and_none_are_asked_for_by_a_word() {
    let mut clock = unconfigured().started();
    clock.stop();
    let mut clock = clock.with("KHRONOS_SCHEDULES_FOLDER", "built-in").started();
    clock.until("the built-in ones", |_, body| body["warnings"] == serde_json::json!([]));
    assert_eq!(names(&clock).len(), 12);
    clock.stop();
    // A store that knows nothing but the built-in ones never saw a folder.
    std::fs::remove_dir_all(clock.sandbox.path("schedules")).unwrap();
    let mut clock = clock.without("KHRONOS_SCHEDULES_FOLDER").flag("--strict").started();
    assert!(
        clock.log().contains("12 schedules (built in, since there is no folder schedules)"),
        "{}",
        clock.log()
    );
    clock.stop();
    let mut clock = clock.with("KHRONOS_SCHEDULES_FOLDER", "none").started();
    assert_eq!(names(&clock), [""; 0]);
    clock.stop();
}

#[test]
fn a_clock_without_a_store_on_disk_is_found_by_its_address() {
    let mut clock = Clock::new("memory:", SCHEDULES).without("KHRONOS_STORE_PATH");
    clock = clock.flag("--store").flag("memory:").started();
    // Nobody tells the verb of the flag. It looks for a clock there for two seconds.
    clock.done_in_time(&["list"], |said| said.contains("often"));
    clock.done_in_time(&["history", "often"], |_| true);
    let elsewhere = clock.verb(&["list", "--store", "elsewhere"]);
    assert_eq!(elsewhere.status.code(), Some(74), "a store that is named is meant: {elsewhere:?}");
    clock.stop();
    let gone = clock.verb(&["list"]);
    assert_eq!(gone.status.code(), Some(74), "{gone:?}");
    assert!(text(&gone).contains("no clock runs on it or answers at http.listen"), "{gone:?}");
}

#[test]
fn ctrl_c_ends_the_clock_in_good_order_and_every_other_verb_at_once_with_130() {
    let mut clock = Clock::new("memory:", SCHEDULES).started();
    let mut tail = clock.begin(&["tail"]);
    block_until("an event in the tail", LIMIT, || {
        clock.log().contains("test.often.passed  often").then_some(())
    });
    tail.signal(Signal::INT);
    assert_eq!(tail.wait(LIMIT), Some(130));
    clock.signal(Signal::INT);
    assert_eq!(clock.end(), 130);
    assert!(clock.log().contains("stopped; unconfirmed"), "{}", clock.log());
    clock.done(&["audit"]);
}
