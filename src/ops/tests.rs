//! The operations on a stopped clock; those on a running one are tested through HTTP, where its loop is played.

use super::*;
use crate::{
    clock_loop::PAGE,
    config::MetricsConfig,
    engine::{Coalesced, Era, OneShot, Parked, Revision, Snapshot, Span},
    schedule::{CalendarStore, Definition, Packed},
    store::{self, Limits, Memory, Store, Tuning},
    telemetry::Counts,
};
use ponos::event::Timestamp;

mod asked;
mod changes;
mod limits;
pub(in crate::ops) mod unanswered;

const MINUTE: i64 = 60_000;

fn at(minute: i64) -> Timestamp {
    Timestamp::from_millis(minute * MINUTE)
}

fn revision(name: &str, number: u32) -> Revision {
    let definition =
        Definition { name: name.into(), every: Some("1 minute".into()), ..Definition::default() };
    Era::first(number, at(0)).of(Packed::kept(&definition))
}

fn parked(number: u64) -> (u64, Parked) {
    let stands_for = Coalesced { first: at(1), last: at(1), count: 1 };
    let parked = Parked {
        schedule: "s".into(),
        revision: 1,
        stands_for,
        reason: "full".into(),
        at: at(2),
        released: false,
        singly: true,
        refused: 0,
        retry_at: None,
        kind: ponos::event::EventKind::Occurrence,
    };
    (number, parked)
}

async fn stopped(snapshot: Snapshot) -> StoppedClock {
    let memory = Memory::default();
    let limits = Limits { rows: 1_000, age: i64::MAX, ..Limits::default() };
    let opener = move || memory.open("khronos", limits).map(|store| Box::new(store) as Box<dyn Store>);
    let (store, ..) =
        store::open(Box::new(opener), Tuning::default(), Counts::new("khronos", &MetricsConfig::default()))
            .await
            .unwrap();
    StoppedClock::new("khronos".into(), store, snapshot, CalendarStore::default())
}

async fn listed(clock: &StoppedClock) -> Vec<ScheduleView> {
    collect(schedules::all(clock.clone()), |all, one| all.view(&one)).await.unwrap()
}

#[tokio::test]
async fn a_stopped_clock_lists_what_its_store_holds_by_name_in_pages() {
    for count in [0, 1, PAGE - 1, PAGE, PAGE + 1, 2 * PAGE + 7] {
        let names: Vec<String> = (0..count).map(|number| format!("s-{number:05}")).collect();
        // As they may come from a store: in another order, with former revisions, and with schedules that have ended.
        let mut revisions: Vec<Revision> = names.iter().rev().map(|name| revision(name, 2)).collect();
        let former = |name: &String| Revision { ended: Some(at(3)), ..revision(name, 1) };
        revisions.extend(names.iter().map(former));
        revisions.push(Revision { ended: Some(at(3)), ..revision("s-00000-removed", 1) });
        let numbers: Vec<u64> = (1..=count as u64).collect();
        let events = numbers.iter().rev().map(|number| parked(*number)).collect();
        let snapshot = Snapshot { settled: Some(at(10)), revisions, parked: events, ..Snapshot::default() };
        let clock = stopped(snapshot).await;
        let all = listed(&clock).await;
        assert_eq!(all.iter().map(|view| view.name.clone()).collect::<Vec<_>>(), names);
        let (mut paged, mut wanted) = (Vec::new(), schedules::ScheduleQuery::default());
        loop {
            let page = schedules::page(clock.clone(), &wanted).await.unwrap();
            paged.extend(page.list.iter().map(|status| status.revision.name().to_owned()));
            wanted.page = page.next;
            if wanted.page.is_none() {
                break;
            }
        }
        assert_eq!(paged, names);
        assert!(all.iter().all(|view| view.next_due_at == Some(at(11)) && view.revision == 2));
        // Nothing is recorded.
        assert!(all.iter().all(|view| (view.confirmed, view.returned, view.last_sent_at) == (0, 0, None)));
        let events = collect(parked::all(clock), |_, (number, ..)| number).await.unwrap();
        assert_eq!(events, numbers);
    }
}

#[cfg(unix)]
#[tokio::test]
async fn delayed_events_of_a_stopped_clock_whose_disk_is_not_there_are_not_taken_for_none() {
    let folder = tempfile::tempdir().unwrap();
    let clock = stopped(Snapshot::default()).await;
    let has = |name: &str| clock.clone().with_delayed(folder.path().join(name), None).has_delayed();
    std::fs::create_dir(folder.path().join("empty")).unwrap();
    std::os::unix::fs::symlink(folder.path().join("mounted"), folder.path().join("linked")).unwrap();
    assert_eq!(["missing", "empty", "linked"].map(has), [false, false, true]);
}

#[tokio::test]
async fn one_schedule_of_a_stopped_clock_is_as_it_is_listed() {
    let span = |revision, after| Span {
        revision,
        after: at(after),
        through: at(9),
        handed: at(after),
        coalesced: None,
    };
    let spans = vec![
        ("two".into(), span(2, 4)),
        ("one".into(), span(1, 2)),
        ("one".into(), span(2, 3)),
        ("three".into(), span(2, 5)),
    ];
    let revisions = vec![
        Revision { ended: Some(at(3)), ..revision("one", 1) },
        revision("two", 2),
        revision("one", 2),
        Revision { ended: Some(at(3)), ..revision("removed", 1) },
    ];
    let clock = stopped(Snapshot { revisions, spans, settled: Some(at(10)), ..Snapshot::default() }).await;
    for listed in listed(&clock).await {
        let one = schedules::get(clock.clone(), &listed.name).await.unwrap();
        assert_eq!(one, listed);
        let since = if one.name == "one" { at(3) } else { at(4) };
        assert_eq!(one.outstanding.map(|span| (span.revision, span.after)), Some((2, since)));
    }
    for (name, kind, what, suggestion) in [
        ("onee", MissingKind::Schedule, "there is no schedule 'onee'", Some("one")),
        ("removed", MissingKind::FormerSchedule, "there is no schedule 'removed' any more", None),
        ("remove", MissingKind::Schedule, "there is no schedule 'remove'", None),
        ("No Such", MissingKind::Schedule, "this is not the name of a schedule", None),
    ] {
        match schedules::get(clock.clone(), name).await {
            Err(OpsError::NotFound(missing)) => {
                assert!(missing.what.starts_with(what), "{missing:?}");
                assert_eq!((missing.kind, missing.suggestion.as_deref()), (kind, suggestion));
            }
            other => panic!("{name}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_stopped_clock_says_which_schedules_are_finished() {
    let of = |definition: Definition| Era::first(1, at(0)).of(Packed::build(&definition).unwrap());
    let limited = |name: &str, limit| of(Definition { limit, ..revision(name, 1).definition.definition() });
    let once = |name: &str| {
        let at = Some(at(5).to_string());
        of(Definition {
            every: None,
            event: Some("a.b.happened".into()),
            at,
            ..revision(name, 1).definition.definition()
        })
    };
    let all = [
        limited("limited", Some(3)),
        limited("outstanding", Some(3)),
        once("pending"),
        once("sent"),
        limited("unlimited", None),
    ];
    let span = Span { revision: 1, after: at(2), through: at(3), handed: at(2), coalesced: None };
    let clock = stopped(Snapshot {
        // W says nothing of one-shots.
        settled: Some(at(10)),
        revisions: all.into(),
        spans: vec![("outstanding".into(), span)],
        one_shots: vec![("pending".into(), OneShot { revision: 1, due: at(5) })],
        ..Snapshot::default()
    })
    .await;
    let said = listed(&clock)
        .await
        .into_iter()
        .map(|view| (view.name, view.next_due_at, view.finished.map(|finished| finished.to_string())));
    let finished = |reason: &str, last: i64| Some(format!("finished: {reason}, last due at {}", at(last)));
    let expected = [
        ("limited", None, finished("its limit of 3 is reached", 3)),
        ("outstanding", None, None),
        ("pending", Some(at(5)), None),
        ("sent", None, finished("it is due once (at)", 5)),
        ("unlimited", Some(at(11)), None),
    ];
    assert!(said.eq(expected.map(|(name, next, finished)| (name.to_owned(), next, finished))));
}

#[tokio::test]
async fn an_audit_of_one_schedule_of_a_stopped_clock_begins_where_that_took_effect() {
    let new = Revision { effective_from: at(5), ..revision("new", 1) };
    let revisions = vec![revision("old", 1), new];
    let clock = stopped(Snapshot { revisions, settled: Some(at(10)), ..Snapshot::default() }).await;
    let to = audit::Window::new(None, Some(at(4)), at(11)).unwrap();
    assert!(audit::audit(clock.clone(), to, Some("old")).await.is_ok());
    match audit::audit(clock, to, Some("new")).await {
        Err(OpsError::Invalid(why)) => {
            assert!(why.contains("before the schedule 'new', which took effect"), "{why}");
        }
        other => panic!("{other:?}"),
    }
}
