//! `delayed history`, `delayed changes`, and what `audit` says of delayed events: of a clock that runs, and of one that does not.

use super::{
    delayed::{is_done, is_refused, with_clock},
    record::{json_lines, khronos, store, text},
};
use khronos::{
    delayed::{
        DelayedBatch, DelayedContent, DelayedEvent, DelayedHead, DelayedKey, DelayedStep, DelayedStore,
        RedbDelayed, RedbOptions,
    },
    engine::{ChangeEntry, ChangeKind, Outcome},
};
use ponos::event::Timestamp;
use std::{fs, path::Path};

const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);

fn event(name: &str, creation: u64) -> DelayedEvent {
    let head = DelayedHead {
        key: DelayedKey { send: NOW, name: name.into() },
        due: NOW,
        creation,
        revision: 1,
        owner: "billing".into(),
        event: "billing.reminder.due".into(),
        queue: None,
        is_named: true,
        refused: 0,
        at: NOW,
        digest: [7; 16],
    };
    DelayedEvent { head, content: DelayedContent::default() }
}

/// Four events of a clock that does not run: one is sent, one reached nobody, one is parked, and one is still to come.
fn stopped(folder: &Path) {
    store(&folder.join("store"), &[]);
    let path = folder.join("store/delayed");
    let mut store = RedbDelayed::open(&path, "khronos", &RedbOptions::default()).unwrap();
    let put = |(name, creation)| DelayedStep::Put(Box::new(event(name, creation)));
    let change = ChangeEntry {
        at: NOW,
        by: "billing".into(),
        door: "http".into(),
        what: ChangeKind::Created,
        name: "a".into(),
        others: ["b", "c", "d"].map(Into::into).into(),
        creation: 1,
        before: None,
        after: None,
        command: None,
        note: "".into(),
    };
    let steps = [("a", 1), ("b", 2), ("c", 3), ("d", 4)].map(put).into();
    let all = DelayedBatch { now: NOW, created: 4, steps, changes: vec![change], ..DelayedBatch::default() };
    store.write(0, &all).unwrap();
    let sent = |lateness, returned| Outcome::Confirmed { sent_at: NOW.plus(lateness), lateness, returned };
    let ended = [("a", sent(3, false)), ("b", sent(2_000, true)), ("c", Outcome::Parked("full".into()))];
    let settle =
        |(name, outcome)| DelayedStep::Settle { key: event(name, 1).head.key, outcome, keeps_content: false };
    let steps = ended.map(settle).into();
    store.write(0, &DelayedBatch { now: NOW, steps, ..DelayedBatch::default() }).unwrap();
    store.flush(0).unwrap();
}

#[test]
fn of_a_clock_that_does_not_run_its_store_tells_what_became_of_delayed_events() {
    let folder = tempfile::tempdir().unwrap();
    stopped(folder.path());
    let run = |arguments: &[&str]| khronos(folder.path(), arguments);
    let rows = json_lines(&run(&["delayed", "history", "--json"]));
    let of = |key: &str| rows.iter().map(|row| row[key].clone()).collect::<Vec<_>>();
    assert_eq!(of("name"), ["c", "b", "a"]);
    assert_eq!(of("outcome"), ["parked", "confirmed", "confirmed"]);
    assert_eq!((&rows[0]["reason"], &rows[1]["returned"]), (&"full".into(), &true.into()));
    let table = text(&run(&["delayed", "history", "b", "--zone", "Europe/Paris"]).stdout);
    for part in ["NUMBER", "billing.reminder.due", "to nobody", "2000 ms", "Europe/Paris"] {
        assert!(table.contains(part), "{part}: {table}");
    }
    assert_eq!(json_lines(&run(&["delayed", "history", "--late", ">1s", "--json"])).len(), 1);
    let oldest = json_lines(&run(&["delayed", "history", "--after", "0", "--limit", "2", "--json"]));
    assert_eq!((&oldest[0]["name"], &oldest[1]["name"], oldest.len()), (&"a".into(), &"b".into(), 2));
    is_done(&run(&["delayed", "history", "zz"]), "no such row of a delayed event is recorded\n");

    let changes = json_lines(&run(&["delayed", "changes", "--json"]));
    assert_eq!((changes.len(), &changes[0]["count"], &changes[0]["by"]), (1, &4.into(), &"billing".into()));
    let table = text(&run(&["delayed", "changes", "d"]).stdout);
    assert!(table.contains("a, b, c and 1 more"), "{table}");
    is_done(&run(&["delayed", "changes", "--by", "nobody"]), "no such change of a delayed event is kept\n");

    let audit = run(&["audit"]);
    let said = "delayed events: 4 accepted = 3 settled + 0 cancelled + 1 pending; 1 counted, which agrees\n";
    assert!(audit.status.code() == Some(0) && text(&audit.stdout).contains(said), "{audit:?}");
    let audit = json_lines(&run(&["audit", "--json"])).pop().unwrap();
    assert_eq!((&audit["delayed"]["counted"], &audit["agrees"]), (&1.into(), &true.into()), "{audit}");
    let alone = run(&["audit", "one-minute"]);
    assert!(!text(&alone.stdout).contains("delayed events"), "{alone:?}");
}

#[test]
fn an_audit_ends_with_1_where_delayed_events_can_not_be_counted_and_schedules_are_audited_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    stopped(folder.path());
    for entry in fs::read_dir(folder.path().join("store/delayed")).unwrap() {
        let path = entry.unwrap().path();
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, bytes.iter().map(|byte| byte ^ 0x55).collect::<Vec<_>>()).unwrap();
    }
    let audit = khronos(folder.path(), &["audit"]);
    let said = text(&audit.stdout);
    assert_eq!(audit.status.code(), Some(1), "{audit:?}");
    assert!(said.contains("delayed events could not be counted: "), "{said}");
    assert!(said.contains("record and arithmetic agree"), "{said}");
    assert_eq!(khronos(folder.path(), &["history"]).status.code(), Some(0));
    let history = khronos(folder.path(), &["delayed", "history"]);
    assert!(text(&history.stderr).contains("delayed events can't be read"), "{history:?}");
    assert_ne!(history.status.code(), Some(0));
}

#[test]
fn a_store_without_delayed_events_is_audited_without_them_and_none_are_made() {
    let folder = tempfile::tempdir().unwrap();
    store(&folder.path().join("store"), &[]);
    let audit = khronos(folder.path(), &["audit"]);
    assert!(audit.status.code() == Some(0) && !text(&audit.stdout).contains("delayed"), "{audit:?}");
    is_refused(&khronos(folder.path(), &["delayed", "changes"]), 69, "keeps no delayed events");
    assert!(!folder.path().join("store/delayed").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_clock_that_runs_changes_are_shown_newest_first() {
    with_clock(|here| {
        let run = |arguments: &[&str]| khronos(here, arguments);
        for name in ["x", "y"] {
            assert!(run(&["at", "--in", "1h", "order.reminder.due", "--name", name]).status.success());
        }
        assert!(run(&["at", "--in", "2h", "order.reminder.due", "--name", "x"]).status.success());
        assert!(run(&["delayed", "cancel", "y"]).status.success());
        let said = |arguments: &[&str]| {
            let lines = json_lines(&run(&[&["delayed", "changes", "--json"], arguments].concat()));
            lines
                .iter()
                .map(|one| format!("{} {}", one["names"][0], one["what"]))
                .collect::<Vec<_>>()
                .join(" ")
        };
        let all = r#""y" "deleted" "x" "changed" "y" "created" "x" "created""#;
        assert_eq!(said(&[]), all);
        assert_eq!(said(&["y", "--limit", "1"]), r#""y" "deleted""#);
        assert_eq!(said(&["--after", "1", "--limit", "2"]), r#""y" "created" "x" "changed""#);
        is_done(&run(&["delayed", "history"]), "no such row of a delayed event is recorded\n");
    })
    .await;
}
