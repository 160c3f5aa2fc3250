//! Schedules are put and deleted on a clock whose loop runs.

use crate::{
    authority::{Caller, Denied, Domains, Quota, Role},
    clock_loop::{ClockLoop, Handle, Parts, Status, tests::parts},
    config::MetricsConfig,
    engine::{Expect, Refusal, Verdict},
    ops::{
        OpsError, PauseOneAsked, RunningClock, ScheduleFilter,
        change::{Batch, Wanted, change},
        change_calendar::{self, CalendarChange},
        changes::{self, ChangesQuery},
        delete::delete,
        delete_some::{Asked, delete_some},
        pause::pause_one,
        put::put,
        put_view, schedules,
        status::reload,
    },
    schedule::{CalendarForm, CalendarStore, CalendarText, Calendars, Packed, file::from_json},
    store::{Fault, Limits, Memory, Store},
    telemetry::Counts,
};
use ponos::{broker::Publisher, shutdown::shutdown};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::sync::oneshot;

const LIMIT: Duration = Duration::from_secs(60);

/// A clock whose loop runs, and which operations work on.
pub(super) async fn running(memory: &Memory) -> (RunningClock, Handle, tokio::task::JoinHandle<()>) {
    running_with(memory, |parts| parts).await
}

pub(super) async fn running_with(
    memory: &Memory,
    change: impl FnOnce(Parts) -> Parts,
) -> (RunningClock, Handle, tokio::task::JoinHandle<()>) {
    let (publisher, task) = Publisher::channel(4);
    let parts = change(parts(memory, publisher).await);
    let store = parts.store.clone();
    let (clock_loop, handle) = ClockLoop::new(parts);
    let running = tokio::spawn(async move {
        let _task = task;
        drop(Box::pin(clock_loop.run(shutdown().1)).await);
    });
    let counts = Counts::new("khronos", &MetricsConfig::default());
    let clock = RunningClock::new(handle.clone(), store.into(), CalendarStore::default(), counts, LIMIT);
    (clock, handle, running)
}

pub(super) fn owner(name: &str, domain: &str) -> Caller {
    let domains = Domains::new(vec![domain.to_owned()]).unwrap();
    Caller::holder("1f2e3d4c".parse().unwrap(), name, Role::Write, domains)
}

pub(super) fn json(name: &str, every: &str) -> Vec<u8> {
    format!(r#"{{"name":"{name}","event":"billing.{name}.due","every":"{every}"}}"#).into_bytes()
}

pub(super) fn refusal<T: std::fmt::Debug>(answer: Result<T, OpsError>) -> Refusal {
    match answer {
        Err(OpsError::Unchanged { refusal, .. }) => refusal,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_is_put_and_deleted_is_durable_when_it_is_answered_and_logged() {
    let memory = Memory::default();
    let (clock, _handle, running) = running(&memory).await;
    let (ann, bob) = (owner("ann", "billing"), owner("bob", "#"));
    let put = async |caller: &Caller, json: Vec<u8>, expect, message: Option<&str>| {
        put(&clock, caller, (None, json), expect, message.map(str::to_owned)).await
    };
    let (any, first) = (Expect::Any, Expect::Revision { creation: 1, number: 1 });
    let created = put(&ann, json("a", "1h"), any, Some("m1")).await.unwrap();
    let Verdict::Created { creation: 1, revision: 1, .. } = created.verdict else { panic!("{created:?}") };
    let kept = memory.open("khronos", Limits::default()).unwrap().load().unwrap();
    let kept = kept.revisions.iter().find(|kept| kept.name() == "a").unwrap();
    assert_eq!(kept.definition.created().unwrap().owner, "ann");
    let changed = put(&ann, json("a", "2h"), first, Some("m2")).await.unwrap();
    assert!(matches!(changed.verdict, Verdict::Changed { creation: 1, revision: 2, .. }), "{changed:?}");
    // The message of the first one comes again.
    assert_eq!(put(&ann, json("a", "1h"), any, Some("m1")).await.unwrap(), created);
    let same = put(&ann, json("a", "120m"), any, None).await.unwrap();
    assert_eq!(same.verdict, Verdict::Unchanged { creation: 1, revision: 2 });
    let outside = put(&owner("ann", "reports"), json("b", "3h"), any, None).await.unwrap_err().to_string();
    assert!(outside.contains("domains reports; the event 'billing.b.due' is outside"), "{outside}");
    for (answer, expected) in [
        (put(&ann, json("a", "3h"), any, Some("m1")).await, Refusal::MessageIdUsed),
        (put(&bob, json("a", "3h"), any, None).await, Refusal::NotOwner { owner: "ann".into() }),
        (put(&ann, json("a", "3h"), first, None).await, Refusal::Stale { revision: Some(2) }),
        (put(&ann, json("b", "3h"), first, None).await, Refusal::Stale { revision: None }),
        (put(&ann, json("b", "3h"), Expect::Present, None).await, Refusal::Stale { revision: None }),
        (put(&ann, json("a", "3h"), Expect::Absent, None).await, Refusal::Exists { revision: 2 }),
        (put(&bob, json("often", "3h"), any, None).await, Refusal::FileOwned),
        (
            put(&owner("ann", "#"), br#"{"name":"b","every":"1h"}"#.to_vec(), any, None).await,
            Refusal::ReservedEvent { event: "time.one-hour.passed".into() },
        ),
    ] {
        assert_eq!(refusal(answer), expected);
    }
    for id in ["", &"x".repeat(256)] {
        let answer = put(&ann, json("b", "3h"), any, Some(id)).await;
        let Err(OpsError::Parameter(fault)) = answer else { panic!("{answer:?}") };
        assert_eq!(fault.name, "message_id");
    }
    let longest = delete(&clock, &ann, "c", any, Some("x".repeat(255))).await;
    assert_eq!(longest.unwrap(), Verdict::GoneAlready);
    assert!(matches!(put(&Caller::reader(), json("b", "3h"), any, None).await, Err(OpsError::Denied(_))));
    assert!(matches!(put(&ann, json("b", "3 parsecs"), any, None).await, Err(OpsError::Definition(_))));
    assert_eq!(
        refusal(delete(&clock, &bob, "a", any, None).await),
        Refusal::NotOwner { owner: "ann".into() }
    );
    assert_eq!(refusal(delete(&clock, &bob, "often", any, None).await), Refusal::FileOwned);
    let there = Expect::Present;
    let same = put(&ann, json("a", "2h"), there, None).await.unwrap();
    assert_eq!(same.verdict, Verdict::Unchanged { creation: 1, revision: 2 });
    let nothing = refusal(delete(&clock, &ann, "c", there, None).await);
    assert_eq!(nothing, Refusal::Stale { revision: None });
    let gone = delete(&clock, &ann, "a", there, None).await.unwrap();
    assert!(matches!(gone, Verdict::Deleted { creation: 1, revision: 2, .. }), "{gone:?}");
    assert_eq!(delete(&clock, &ann, "a", any, None).await.unwrap(), Verdict::GoneAlready);
    // Another one under the name: its revisions count on, and its ids are its own.
    let anew = put(&bob, json("a", "1h"), any, None).await.unwrap();
    assert!(matches!(anew.verdict, Verdict::Created { creation: 2, revision: 3, .. }), "{anew:?}");
    let logged = changes::read(clock.clone(), &ChangesQuery::default()).await.unwrap();
    let said = |change: &changes::ChangeView| {
        let (before, after) = (change.before.as_ref(), change.after.as_ref());
        (change.what.clone(), change.by.clone(), before.map(|v| v.revision), after.map(|v| v.revision))
    };
    let expected = [
        ("created", "bob", None, Some(3)),
        ("deleted", "ann", Some(2), None),
        ("changed", "ann", Some(1), Some(2)),
        ("created", "ann", None, Some(1)),
    ];
    let expected = expected.map(|(what, by, before, after)| (what.to_owned(), by.to_owned(), before, after));
    assert_eq!(logged.changes.iter().map(said).collect::<Vec<_>>(), expected);
    assert_eq!(
        (logged.changes[2].command.as_deref(), &*logged.changes[2].door),
        (Some("m2"), "HTTP, token 1f2e3d4c")
    );
    let page =
        ChangesQuery { after: Some(logged.changes[3].position), limit: Some(1), ..ChangesQuery::default() };
    let page = changes::read(clock.clone(), &page).await.unwrap();
    assert_eq!(page.changes, logged.changes[2..3]);
    let page = ChangesQuery { after: page.next, by: Some("bob".into()), ..ChangesQuery::default() };
    assert_eq!(changes::read(clock.clone(), &page).await.unwrap().changes, logged.changes[..1]);
    // A calendar of the same name is another thing.
    let text = CalendarText { form: CalendarForm::Toml, text: "dates = [\"2026-12-25\"]".into() };
    let wanted = CalendarChange { name: "a".into(), wanted: Some(text), expect: any, message: None };
    change_calendar::change(&clock, &bob, wanted).await.unwrap();
    let of_schedule = ChangesQuery { schedule: Some("a".into()), ..ChangesQuery::default() };
    assert_eq!(changes::read(clock.clone(), &of_schedule).await.unwrap().changes, logged.changes);
    let of_calendar = ChangesQuery { calendar: Some("a".into()), ..ChangesQuery::default() };
    let found = changes::read(clock.clone(), &of_calendar).await.unwrap().changes;
    assert_eq!(found.iter().map(|change| &*change.what).collect::<Vec<_>>(), ["calendar-created"]);
    let both = ChangesQuery { schedule: Some("a".into()), ..of_calendar };
    assert!(matches!(changes::read(clock, &both).await, Err(OpsError::Parameter(_))));
    running.abort();
}

fn packed(name: &str, every: &str) -> Packed {
    let read = from_json(&json(name, every), &Calendars::default(), crate::clock::now()).unwrap();
    Packed::new(&read.definition, &read.schedule)
}

#[tokio::test]
async fn names_are_free_once_the_files_were_read_and_the_files_get_theirs_when_it_is() {
    let (file, late) = oneshot::channel();
    let wanted = Arc::new(Mutex::new(Vec::new()));
    let files = wanted.clone();
    let (clock, mut handle, running) = running_with(&Memory::default(), |parts| Parts {
        schedules: None,
        late: Some(Box::pin(async { late.await.map_err(|_| "gone".to_owned())? })),
        loader: Arc::new(move || Ok(files.lock().unwrap().clone())),
        ..parts
    })
    .await;
    let ann = owner("ann", "billing");
    let ask =
        async |name: &str| put(&clock, &ann, (None, json(name, "1h")), Expect::Any, Some(name.into())).await;
    let Err(OpsError::Unavailable(why)) = ask("a").await else { panic!("it is free already") };
    assert!(why.contains("still being read"), "{why}");
    // A comma is missing.
    file.send(Err("line 7".to_owned())).unwrap();
    let refused = handle.status.wait_for(|status| status.reasons.iter().any(|why| why.contains("line 7")));
    drop(tokio::time::timeout(LIMIT, refused).await.expect("it is said").unwrap());
    let Err(OpsError::Unavailable(why)) = ask("a").await else { panic!("it is free already") };
    assert!(why.contains("were refused") && why.contains("line 7"), "{why}");
    reload(&clock, &Caller::operator()).await.unwrap();
    // Nothing is kept of a message that was not taken.
    assert!(matches!(ask("a").await.unwrap().verdict, Verdict::Created { .. }));
    wanted.lock().unwrap().extend([packed("a", "2h"), packed("b", "2h")]);
    // What else the files have is loaded: it is done.
    let told = reload(&clock, &Caller::operator()).await.unwrap();
    assert!(told.contains("; but the schedule a of the files is not loaded"), "{told}");
    assert_eq!(refusal(ask("b").await), Refusal::FileOwned);
    delete(&clock, &ann, "a", Expect::Any, None).await.unwrap();
    let is_the_files = async || {
        let found = schedules::find(&clock.clone().into(), "a").await.ok()?;
        (found.revision.definition.creation() == 0).then_some(())
    };
    testkit::wait_until("the file's to run", LIMIT, is_the_files).await;
    running.abort();
}

#[tokio::test]
async fn a_batch_is_made_item_by_item_or_all_or_nothing() {
    let (clock, _handle, running) = running(&Memory::default()).await;
    let ann = owner("ann", "billing");
    let wanted = |names: &[&str]| -> Vec<Wanted> {
        let put = |name: &&str| Wanted::Put { name: None, json: json(name, "1h"), expect: Expect::Absent };
        let gone = Wanted::Delete { name: "nothing".into(), expect: Expect::Any };
        names.iter().map(put).chain([gone]).collect()
    };
    let change =
        async |wanted, atomic| change(&clock, &ann, Batch { wanted, atomic, message: None }).await.unwrap();
    let outcomes = change(wanted(&["a", "often", "b"]), true).await;
    let said: Vec<_> = outcomes.iter().map(|outcome| outcome.verdict.clone()).collect();
    let (another, file) = (Refusal::Another, Refusal::FileOwned);
    assert_eq!(said, [another.clone(), file, another.clone(), another].map(Verdict::Refused));
    let twice = change(wanted(&["a", "a"]), true).await;
    assert_eq!(twice[1].verdict, Verdict::Refused(Refusal::Twice));
    let nameless = [b"{\"event\":7}".to_vec(), b"{\"every\":7}".to_vec()];
    let nameless =
        nameless.map(|json| Wanted::Put { name: None, json, expect: Expect::Any }).into_iter().collect();
    for (outcome, pointer) in change(nameless, true).await.iter().zip(["/event", "/every"]) {
        let faults = outcome.faults.as_ref().expect("each has faults of its own");
        assert!(faults.list.iter().any(|fault| fault.pointer == pointer), "{faults:?}");
    }
    let mut some = wanted(&["a", "often", "a"]);
    some.push(Wanted::Put {
        name: Some("c".into()),
        json: b"{\"every\":\"1h\",\"event\":\"billing.c.due\"}".to_vec(),
        expect: Expect::Any,
    });
    some.push(Wanted::Put { name: Some("d".into()), json: json("e", "1h"), expect: Expect::Any });
    let outcomes = change(some, false).await;
    let verdicts: Vec<_> = outcomes.iter().map(|outcome| &outcome.verdict).collect();
    assert!(matches!(verdicts[0], Verdict::Created { creation: 1, .. }), "{verdicts:?}");
    assert_eq!(*verdicts[1], Verdict::Refused(Refusal::FileOwned));
    assert_eq!(*verdicts[2], Verdict::Refused(Refusal::Exists { revision: 1 }), "one after the other");
    assert_eq!(*verdicts[3], Verdict::GoneAlready);
    assert!(matches!(verdicts[4], Verdict::Created { creation: 2, .. }), "{verdicts:?}");
    let is_invalid = matches!(verdicts[5], Verdict::Refused(Refusal::Invalid { .. }));
    assert_eq!((&*outcomes[4].name, is_invalid), ("c", true));
    assert!(outcomes[5].refused().unwrap().contains("is to be 'd'"), "{outcomes:?}");
    running.abort();
}

#[tokio::test]
async fn more_than_a_batch_are_deleted_in_one_go_and_are_owed() {
    let (clock, _handle, running) = running(&Memory::default()).await;
    let ann = owner("ann", "billing");
    let name = |number: usize| format!("a{number}");
    for from in [0, 1_000, 2_000] {
        let put = |number| Wanted::Put { name: None, json: json(&name(number), "1h"), expect: Expect::Any };
        let wanted = (from..2_500.min(from + 1_000)).map(put).collect();
        change(&clock, &ann, Batch { wanted, atomic: false, message: None }).await.unwrap();
    }
    // So slowly that what is owed is not earned while this test runs, however long the machine takes for that.
    let quick = ann.clone().within(Quota { puts_a_second: 12, ..Quota::USUAL });
    let all = |names: Vec<String>| Asked {
        filter: ScheduleFilter { names, ..ScheduleFilter::default() },
        ..Asked::default()
    };
    let some = delete_some(&clock, &quick, all((0..10).map(name).collect())).await.unwrap();
    assert_eq!((some.matched, some.done), (10, 10));
    // Those that are gone do not keep the others.
    let filter = ScheduleFilter { prefix: Some("a".into()), ..ScheduleFilter::default() };
    let others = Asked { filter, ..Asked::default() };
    let decision = delete_some(&clock, &quick, others).await.unwrap();
    assert_eq!((decision.matched, decision.done, decision.refused), (2_490, 2_490, 0), "{decision:?}");
    let again = delete_some(&clock, &quick, all(vec![name(7)])).await;
    assert!(matches!(again, Err(OpsError::Denied(Denied::TooOften { .. }))), "it is owed: {again:?}");
    let counted = Asked { dry_run: true, ..all(vec![name(7)]) };
    let counted = delete_some(&clock, &quick, counted).await;
    assert!(
        matches!(counted, Err(OpsError::Denied(Denied::TooOften { .. }))),
        "to count is work: {counted:?}"
    );
    let many = delete_some(&clock, &ann, all((0..1_001).map(name).collect())).await;
    assert!(matches!(many, Err(OpsError::Parameter(_))), "each is looked up: {many:?}");
    running.abort();
}

#[tokio::test]
async fn what_was_put_is_answered_also_where_nothing_more_can_be_said_of_it() {
    let (clock, _handle, running) = running(&Memory::default()).await;
    let ann = owner("ann", "billing");
    let put = put(&clock, &ann, (None, json("a", "1h")), Expect::Any, None).await.unwrap();
    let known = put_view(&clock, put.clone(), crate::clock::now()).await;
    assert_eq!((known.occurrences_left, known.next_due_at.len(), &known.paused), (None, 5, &None));
    // What is due is kept back, and that is said.
    let asked = PauseOneAsked { note: "new disks".into(), ..PauseOneAsked::default() };
    pause_one(&clock, &ann, "a", asked, None).await.unwrap();
    let held = put_view(&clock, put.clone(), crate::clock::now()).await;
    assert_eq!(held.paused.unwrap().note, "new disks");
    running.abort();
    drop(running.await);
    let view = put_view(&clock, put, crate::clock::now()).await;
    assert_eq!((&view.change, view.next_due_at.len()), (&known.change, 0));
}

#[tokio::test]
async fn what_the_disk_may_or_may_not_have_is_said_to_be_unknown_and_comes_again_as_it_was() {
    for fault in [Fault::Refused, Fault::KeptUnanswered] {
        let memory = Memory::default();
        let (clock, mut handle, running) = running(&memory).await;
        let ann = owner("ann", "billing");
        let ask = async |name: &str| {
            put(&clock, &ann, (None, json(name, "1h")), Expect::Any, Some(name.into())).await
        };
        // What the files say is written first.
        put(&clock, &ann, (None, json("first", "1h")), Expect::Any, None).await.unwrap();
        let is_well = |status: &Status| !status.reasons.iter().any(|reason| reason.starts_with("store:"));
        // The fault may befall a write of the clock's own.
        let mut creation = 1;
        let (name, unknown) = loop {
            creation += 1;
            let name = format!("a-{creation}");
            memory.plant(fault);
            match ask(&name).await {
                Ok(_) if creation < 100 => {}
                // It did, and nothing is begun until that is written.
                Err(OpsError::Unavailable(_)) => {
                    let well = handle.status.wait_for(is_well);
                    drop(tokio::time::timeout(LIMIT, well).await.expect("it is written again").unwrap());
                    creation -= 1;
                }
                befallen => break (name, befallen),
            }
        };
        assert!(matches!(unknown, Err(OpsError::Unknown(_))), "{unknown:?}");
        let well = handle.status.wait_for(is_well);
        drop(tokio::time::timeout(LIMIT, well).await.expect("it is written again").unwrap());
        let again = ask(&name).await.unwrap();
        let Verdict::Created { creation: again, revision: 1, .. } = again.verdict else {
            panic!("{name} was not created: {again:?}")
        };
        assert_eq!(again, creation);
        running.abort();
    }
}
