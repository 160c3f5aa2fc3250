//! `list`, `history`, `audit`, `parked`, `tail` and `health`: from the store of a clock that does not run.

use khronos::{
    engine::{Coalesced, Commit, Era, Outcome, Parked, Revision, Row, SkipReason},
    schedule::{Definition, Packed},
    store::{SledOptions, SledStore, Store},
};
use ponos::event::{EventKind, Timestamp};
use std::{
    path::Path,
    process::{Command, Output, Stdio},
};

const MINUTE: i64 = 60_000;

pub(super) fn at(minute: i64) -> Timestamp {
    Timestamp::from_millis(minute * MINUTE)
}

pub(super) fn revision() -> Revision {
    let definition =
        Definition { name: "one-minute".into(), every: Some("1 minute".into()), ..Definition::default() };
    Era::first(1, at(0)).of(Packed::kept(&definition))
}

fn row(first: i64, last: i64, outcome: Outcome) -> Row {
    let count = u64::try_from(last - first + 1).unwrap();
    Row {
        at: at(last),
        schedule: "one-minute".into(),
        revision: 1,
        first: at(first),
        last: at(last),
        count,
        outcome,
        kind: EventKind::Occurrence,
        creation: 0,
        queue: None,
    }
}

pub(super) fn confirmed(minute: i64) -> Row {
    row(minute, minute, Outcome::Confirmed { sent_at: at(minute).plus(2), lateness: 2, returned: false })
}

pub(super) fn parked() -> Parked {
    let stands_for = Coalesced { first: at(10), last: at(10), count: 1 };
    Parked {
        schedule: "one-minute".into(),
        revision: 1,
        stands_for,
        reason: "the queue is full".into(),
        at: at(10),
        released: false,
        singly: true,
        refused: 0,
        retry_at: None,
        kind: EventKind::Occurrence,
    }
}

/// One that is sent again by itself.
pub(super) fn tried(minute: i64) -> Parked {
    let stands_for = Coalesced { first: at(minute), last: at(minute), count: 1 };
    Parked {
        schedule: "one-hour".into(),
        stands_for,
        refused: 2,
        retry_at: Some(at(minute + 10)),
        ..parked()
    }
}

/// A store in which the minutes 1 to 10 are settled, but for those of `missing`.
pub(super) fn store(folder: &Path, missing: &[i64]) {
    let mut store = SledStore::open(folder, "khronos", &SledOptions::default()).unwrap();
    store.load().unwrap();
    let confirmed: Vec<Row> = (1..=7).filter(|minute| !missing.contains(minute)).map(confirmed).collect();
    let commit = Commit {
        settled: at(10),
        handed: at(10),
        revisions: vec![revision()],
        parked: vec![(7, Some(parked())), (8, Some(tried(3))), (9, Some(tried(4)))],
        rows: vec![
            row(8, 9, Outcome::Skipped(SkipReason::Paused)),
            row(10, 10, Outcome::Parked("the queue is full".into())),
        ],
        ..Commit::default()
    };
    store.save(1, &commit).unwrap();
    store.append(1, &confirmed, at(10)).unwrap();
}

pub(super) fn khronos(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_khronos"))
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .env("KHRONOS_STORE_PATH", folder.join("store"))
        .env("KHRONOS_HTTP_LISTEN", "127.0.0.1:1")
        .output()
        .unwrap()
}

pub(super) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

pub(super) fn json_lines(output: &Output) -> Vec<serde_json::Value> {
    text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn without_a_clock_the_store_answers() {
    let folder = tempfile::tempdir().unwrap();
    store(&folder.path().join("store"), &[]);
    let audit = khronos(folder.path(), &["audit"]);
    assert_eq!(audit.status.code(), Some(0), "{audit:?}");
    assert!(text(&audit.stdout).contains("record and arithmetic agree"), "{audit:?}");
    assert!(!text(&audit.stdout).contains('\x1b'), "colours only on a terminal");

    let history = khronos(folder.path(), &["history", "--json", "--limit", "5", "--outcome", "confirmed"]);
    let rows = json_lines(&history);
    assert_eq!(rows.len(), 5, "{history:?}");
    assert_eq!(rows[0]["due_at"], "1970-01-01T00:07:00.000Z");
    assert!(rows[0]["id"].is_string());

    let occurrences = khronos(folder.path(), &["history", "--kind", "occurrence", "--limit", "9"]);
    let table = text(&occurrences.stdout);
    assert!(table.lines().next().unwrap().contains("KIND") && table.matches(" occurrence ").count() == 9);
    let triggers = khronos(folder.path(), &["history", "--kind", "trigger"]);
    assert_eq!(text(&triggers.stdout), "no such row is recorded\n", "{triggers:?}");
    assert_eq!(khronos(folder.path(), &["history", "--kind", "x"]).status.code(), Some(2));

    let list = json_lines(&khronos(folder.path(), &["list", "--json"]));
    assert_eq!(list[0]["name"], "one-minute");
    assert_eq!(list[0]["next_due_at"], "1970-01-01T00:11:00.000Z");
    // As the record tells.
    assert_eq!((&list[0]["confirmed"], &list[0]["returned"]), (&7.into(), &0.into()));
    assert_eq!(list[0]["last_sent_at"], "1970-01-01T00:07:00.002Z");

    let parked = khronos(folder.path(), &["parked", "list"]);
    assert!(text(&parked.stdout).contains("the queue is full"), "{parked:?}");
    // Why, how often, and when next: of a schedule the oldest is tried first.
    let lines = text(&parked.stdout).lines().map(str::to_owned).collect::<Vec<_>>();
    let says = |number: &str, what: &str| {
        let line = lines.iter().find(|line| line.split_whitespace().next() == Some(number)).unwrap();
        assert!(line.contains(what), "{line}");
    };
    says("7", " 0        parked");
    says("8", " 2        tried again");
    says("8", &at(13).to_string());
    says("9", "after 8");
    let release = khronos(folder.path(), &["parked", "release", "7"]);
    assert_eq!(release.status.code(), Some(69), "{release:?}");
    assert!(text(&release.stderr).contains("no clock runs on the store"), "{release:?}");
}

#[test]
fn whoever_listens_where_a_clock_would_and_says_nothing_is_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    store(&folder.path().join("khronos-data"), &[]);
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut list = Command::new(env!("CARGO_BIN_EXE_khronos"));
    list.arg("list").current_dir(folder.path()).env_clear();
    list.env("KHRONOS_HTTP_LISTEN", silent.local_addr().unwrap().to_string());
    let mut list = list.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let limit = std::time::Duration::from_secs(60);
    let ended = testkit::block_until("the list", limit, || list.try_wait().unwrap());
    assert!(ended.success(), "{ended:?}");
}

#[test]
fn a_schedule_that_there_is_not_has_no_history() {
    let folder = tempfile::tempdir().unwrap();
    store(&folder.path().join("store"), &[]);
    let history = khronos(folder.path(), &["history", "one-minuet"]);
    assert_eq!((history.status.code(), text(&history.stdout).as_str()), (Some(2), ""), "{history:?}");
    assert_eq!(
        text(&history.stderr),
        "error: there is no schedule 'one-minuet'; did you mean 'one-minute'?\n"
    );
    let history = khronos(folder.path(), &["history", "nosuch", "--json"]);
    assert!(history.status.code() == Some(2), "{history:?}");
    let said = "there is no schedule 'nosuch'; khronos list shows all";
    assert!(text(&history.stderr).contains(said), "{history:?}");
    // One without such rows is there all the same.
    let history = khronos(folder.path(), &["history", "one-minute", "--outcome", "dropped"]);
    assert_eq!(history.status.code(), Some(0), "{history:?}");
    assert_eq!(text(&history.stdout), "no such row is recorded\n", "{history:?}");
    let history = khronos(folder.path(), &["history", "one-minute", "--outcome", "dropped", "--json"]);
    assert_eq!(text(&history.stdout), "", "{history:?}");
}

#[test]
fn a_schedule_that_was_removed_has_its_history() {
    let folder = tempfile::tempdir().unwrap();
    store(&folder.path().join("store"), &[]);
    let definition = Definition { name: "gone".into(), ..revision().definition.definition() };
    let gone = Revision { definition: Packed::kept(&definition), ended: Some(at(5)), ..revision() };
    let commit = Commit { settled: at(10), handed: at(10), revisions: vec![gone], ..Commit::default() };
    let mut store =
        SledStore::open(&folder.path().join("store"), "khronos", &SledOptions::default()).unwrap();
    store.load().unwrap();
    store.save(1, &commit).unwrap();
    drop(store);
    for filter in [&[][..], &["--outcome", "dropped"]] {
        let history = khronos(folder.path(), &[&["history", "gone"], filter].concat());
        let (code, said) = (history.status.code(), text(&history.stdout));
        assert_eq!((code, said.as_str()), (Some(0), "no such row is recorded\n"), "{history:?}");
    }
}

#[test]
fn a_schedule_that_is_due_no_more_is_finished_with_what_was_sent() {
    let folder = tempfile::tempdir().unwrap();
    store(&folder.path().join("store"), &[]);
    let definition = Definition { limit: Some(7), ..revision().definition.definition() };
    let ended = Revision { definition: Packed::build(&definition).unwrap(), ..revision() };
    let commit = Commit { settled: at(10), handed: at(10), revisions: vec![ended], ..Commit::default() };
    let mut store =
        SledStore::open(&folder.path().join("store"), "khronos", &SledOptions::default()).unwrap();
    store.load().unwrap();
    store.save(1, &commit).unwrap();
    drop(store);
    let finished = "finished: its limit of 7 is reached, last due at 1970-01-01T00:07:00.000Z";
    let list = text(&khronos(folder.path(), &["list"]).stdout);
    assert!(list.contains(finished) && list.contains("00:07:00.002Z"), "{list}");
    let list = json_lines(&khronos(folder.path(), &["list", "--json"]));
    assert_eq!(list[0]["finished"]["last_due_at"], "1970-01-01T00:07:00.000Z", "{list:?}");
    let history = khronos(folder.path(), &["history", "one-minute"]);
    let sent = "events sent: 7, the last at 1970-01-01T00:07:00.002Z";
    assert_eq!(text(&history.stderr), format!("note: one-minute is {finished}; {sent}\n"), "{history:?}");
}

#[test]
fn where_there_is_no_row_it_is_said_instead_of_a_bare_header() {
    let folder = tempfile::tempdir().unwrap();
    SledStore::open(&folder.path().join("store"), "khronos", &SledOptions::default())
        .unwrap()
        .load()
        .unwrap();
    for (verb, said) in [
        (&["history"][..], "nothing is recorded\n"),
        (&["history", "--outcome", "dropped"], "no such row is recorded\n"),
        (&["history", "--json"], ""),
        (&["list"], "there are no schedules\n"),
        (&["list", "--prefix", "a"], "there are no such schedules\n"),
        (&["list", "--json"], ""),
        (&["parked", "list"], "nothing is parked\n"),
    ] {
        let output = khronos(folder.path(), verb);
        assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(0), said), "{output:?}");
    }
}

#[test]
fn an_audit_ends_with_1_on_a_hole_and_names_it() {
    let folder = tempfile::tempdir().unwrap();
    store(&folder.path().join("store"), &[4]);
    let audit = khronos(folder.path(), &["audit"]);
    assert_eq!(audit.status.code(), Some(1), "{audit:?}");
    assert!(text(&audit.stdout).contains("hole: one-minute 1970-01-01T00:04:00.000Z"), "{audit:?}");
    let before = khronos(folder.path(), &["audit", "--to", "1970-01-01T00:03:00Z", "--json"]);
    assert_eq!(before.status.code(), Some(0), "{before:?}");
    assert_eq!(json_lines(&before)[1]["agrees"], true);
    let after = khronos(folder.path(), &["audit", "--from", "1970-01-01T00:04:00Z"]);
    assert_eq!(after.status.code(), Some(0), "{after:?}");
}

/// Another schedule, with two rows: one event was late, and one time has no row at all.
fn with_another(folder: &Path) {
    let definition = Definition { name: "other".into(), ..revision().definition.definition() };
    let revision = Revision { definition: Packed::kept(&definition), ..revision() };
    let of = |row: Row| Row { schedule: "other".into(), ..row };
    let late = Outcome::Confirmed { sent_at: at(3).plus(2_000), lateness: 2_000, returned: false };
    let rows = vec![of(row(1, 2, Outcome::Skipped(SkipReason::Paused))), of(row(3, 3, late))];
    let commit =
        Commit { settled: at(10), handed: at(10), revisions: vec![revision], rows, ..Commit::default() };
    let mut store = SledStore::open(folder, "khronos", &SledOptions::default()).unwrap();
    store.load().unwrap();
    store.save(1, &commit).unwrap();
}

#[test]
fn one_schedule_is_audited_alone() {
    let folder = tempfile::tempdir().unwrap();
    store(&folder.path().join("store"), &[]);
    with_another(&folder.path().join("store"));
    assert_eq!(khronos(folder.path(), &["audit"]).status.code(), Some(1));
    let alone = khronos(folder.path(), &["audit", "one-minute", "--json"]);
    assert_eq!(alone.status.code(), Some(0), "{alone:?}");
    let lines = json_lines(&alone);
    assert_eq!((lines.len(), &lines[0]["schedule"], &lines[1]["rows"]), (2, &"one-minute".into(), &9.into()));
    let other = khronos(folder.path(), &["audit", "other"]);
    assert_eq!(other.status.code(), Some(1), "{other:?}");
    assert!(text(&other.stdout).contains("hole: other 1970-01-01T00:04:00.000Z"), "{other:?}");
    assert!(!text(&other.stdout).contains("one-minute"), "{other:?}");
    let unknown = khronos(folder.path(), &["audit", "othre"]);
    assert_eq!(unknown.status.code(), Some(2), "{unknown:?}");
    assert!(
        text(&unknown.stderr).contains("there is no schedule 'othre'; did you mean 'other'?"),
        "{unknown:?}"
    );
}

#[test]
fn rows_are_chosen_by_due_time_and_lateness() {
    let folder = tempfile::tempdir().unwrap();
    store(&folder.path().join("store"), &[]);
    with_another(&folder.path().join("store"));
    let due = |arguments: &[&str]| -> Vec<String> {
        let shown = khronos(folder.path(), &[&["history", "--json"], arguments].concat());
        assert_eq!(shown.status.code(), Some(0), "{shown:?}");
        let rows = json_lines(&shown);
        rows.iter()
            .map(|row| format!("{} {}", row["schedule"], &row["due_at"].as_str().unwrap()[14..16]))
            .collect()
    };
    let bounds = ["--from", "1970-01-01T00:01:00Z", "--to", "1970-01-01T00:03:00Z"];
    // Of a run of rows, one due time is enough.
    let other = due(&[&["other"], &bounds[..]].concat());
    assert_eq!(other, ["\"other\" 03", "\"other\" 02"]);
    assert_eq!(due(&[&["one-minute"], &bounds[..]].concat()), ["\"one-minute\" 03", "\"one-minute\" 02"]);
    for late in [">1s", "> 1 s", "1999ms"] {
        assert_eq!(due(&["--late", late]), ["\"other\" 03"], "{late}");
    }
    assert_eq!(due(&["--late", "2s"]), [""; 0]);
    for (arguments, said) in [
        (&["--late", "soon"][..], "late: "),
        (&["--late", "400d"], "366 days at most"),
        (&["--from", "1970-01-01T00:03:00Z", "--to", "1970-01-01T00:03:00Z"], "must be before to"),
    ] {
        let refused = khronos(folder.path(), &[&["history"], arguments].concat());
        assert_eq!(refused.status.code(), Some(2), "{refused:?}");
        assert!(text(&refused.stderr).contains(said), "{refused:?}");
    }
}

#[test]
fn a_time_of_which_nothing_can_be_known_is_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    store(&folder.path().join("store"), &[]);
    for (arguments, reason) in [
        (&["audit", "--from", "2099-01-01T00:00:00Z"][..], "from: 2099-01-01T00:00:00.000Z is in the future"),
        (&["audit", "--from", "2099-01-01T00:00:00Z", "--to", "2099-02-01T00:00:00Z"], "is in the future"),
        (
            &["audit", "--from", "1970-01-01T00:04:00Z", "--to", "1970-01-01T00:03:00Z"],
            "from: 1970-01-01T00:04:00.000Z must be before to (1970-01-01T00:03:00.000Z)",
        ),
        (&["audit", "--to", "1969-12-31T23:59:00Z"], "is before the clock's first schedule"),
        (&["history", "--after", "10"], "after: 10 is beyond the record, whose last row is number 9"),
    ] {
        let output = khronos(folder.path(), arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {output:?}");
        assert!(
            output.stdout.is_empty() && text(&output.stderr).contains(reason),
            "{arguments:?}: {output:?}"
        );
    }
    // Whoever has read all goes on from there.
    let rest = khronos(folder.path(), &["history", "--after", "9"]);
    assert_eq!(rest.status.code(), Some(0), "{rest:?}");
}

#[test]
fn a_store_that_is_not_there_is_not_made() {
    let folder = tempfile::tempdir().unwrap();
    for verb in [&["list"][..], &["history"], &["audit"], &["parked", "list"]] {
        let output = khronos(folder.path(), verb);
        assert_eq!(output.status.code(), Some(74), "{output:?}");
        assert!(text(&output.stderr).contains("there is no store at"), "{output:?}");
    }
    assert!(!folder.path().join("store").exists());
}

#[test]
fn a_feed_that_nobody_serves_is_said_to_be_so() {
    let folder = tempfile::tempdir().unwrap();
    let tail = khronos(folder.path(), &["tail"]);
    assert_eq!(tail.status.code(), Some(69), "{tail:?}");
    assert!(text(&tail.stderr).contains("no clock answers at http://127.0.0.1:1"), "{tail:?}");
    let health = khronos(folder.path(), &["health"]);
    assert_eq!(health.status.code(), Some(1), "{health:?}");
    assert!(text(&health.stderr).starts_with("not alive: no clock answers at"), "{health:?}");
    let memory = khronos(folder.path(), &["tail", "--broker", "memory:"]);
    assert_eq!(memory.status.code(), Some(2), "{memory:?}");
}
