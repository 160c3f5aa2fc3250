//! What is asked for by message, and comes again; what is asked of many; and what the log says, on a clock whose loop runs.

use super::changes::{json, owner, running};
use crate::engine::OnResume;
use crate::{
    authority::{Caller, Domains, Role},
    clock_loop::Command,
    engine::{Expect, Refusal, Verdict},
    ops::{
        BackfillAsked, OpsError, PauseOneAsked, PauseSomeAsked, ResumeOneAsked, ResumeSomeAsked,
        RunningClock, ScheduleFilter,
        backfill::backfill,
        change::{Batch, Wanted, change},
        changes::{self, ChangeView, ChangesQuery},
        delete::delete,
        pause::{pause_one, pause_some, resume_one, resume_some},
        put::put,
        schedules, status,
        trigger::trigger,
    },
    store::{Memory, Store},
};

fn reader() -> Caller {
    let domains = Domains::new(vec!["billing".to_owned()]).unwrap();
    Caller::holder("1f2e3d4c".parse().unwrap(), "ann", Role::Read, domains)
}

fn pausing(note: &str) -> PauseOneAsked {
    PauseOneAsked { note: note.into(), ..PauseOneAsked::default() }
}

const SKIP: ResumeOneAsked = ResumeOneAsked { on_resume: OnResume::Skip };

fn id(id: &str) -> Option<String> {
    Some(id.to_owned())
}

async fn is_paused(clock: &RunningClock, name: &str) -> bool {
    schedules::get(clock.clone(), name).await.unwrap().paused
}

async fn logged(clock: &RunningClock) -> Vec<ChangeView> {
    let mut list = changes::read(clock.clone(), &ChangesQuery::default()).await.unwrap().changes;
    list.reverse();
    list
}

/// As JSON: decisions are compared as they are shown.
fn shown(decision: &impl serde::Serialize) -> serde_json::Value {
    serde_json::to_value(decision).unwrap()
}

#[tokio::test]
async fn what_comes_again_is_answered_as_before_whoever_may_do_what_now() {
    let memory = Memory::default();
    let (clock, _handle, running) = running(&memory).await;
    let ann = owner("ann", "billing");
    put(&clock, &ann, (None, json("a", "1h")), Expect::Any, None).await.unwrap();
    let paused = shown(&pause_one(&clock, &ann, "a", pausing("x"), id("1")).await.unwrap());
    let resumed = shown(&resume_one(&clock, &ann, "a", SKIP, id("2")).await.unwrap());
    let triggered = shown(&trigger(&clock, &ann, "a", "3", id("3")).await.unwrap());
    // Since then his role was narrowed, and the schedule is gone.
    delete(&clock, &ann, "a", Expect::Any, None).await.unwrap();
    put(&clock, &ann, (None, json("a", "2h")), Expect::Any, None).await.unwrap();
    let ann = reader();
    assert_eq!(shown(&pause_one(&clock, &ann, "a", pausing("x"), id("1")).await.unwrap()), paused);
    assert!(!is_paused(&clock, "a").await);
    assert_eq!(shown(&resume_one(&clock, &ann, "a", SKIP, id("2")).await.unwrap()), resumed);
    assert_eq!(shown(&trigger(&clock, &ann, "a", "3", id("3")).await.unwrap()), triggered);
    // Another thing under the same id, and the first of another.
    let used = pause_one(&clock, &ann, "a", pausing("y"), id("1")).await;
    assert!(matches!(used, Err(OpsError::Unchanged { refusal: Refusal::MessageIdUsed, .. })), "{used:?}");
    let denied = pause_one(&clock, &ann, "a", pausing("y"), id("4")).await;
    assert!(matches!(denied, Err(OpsError::Denied(_))), "{denied:?}");
    let said: Vec<_> =
        logged(&clock).await.into_iter().map(|one| (one.what, one.schedule, one.command)).collect();
    let entry =
        |what: &str, command: Option<&str>| (what.to_owned(), "a".to_owned(), command.map(str::to_owned));
    assert_eq!(
        said,
        [
            entry("created", None),
            entry("paused", Some("1")),
            entry("resumed", Some("2")),
            entry("triggered", Some("3")),
            entry("deleted", None),
            entry("created", None),
        ]
    );
    running.abort();
}

#[tokio::test]
async fn what_was_refused_is_refused_again_with_what_was_wrong_then() {
    let memory = Memory::default();
    let (clock, _handle, running) = running(&memory).await;
    let ann = owner("ann", "billing");
    let holidays = br#"{"name":"a","event":"billing.a.due","every":"1 day","exclude":["holidays"]}"#;
    let ask = async |caller: &Caller, json: &[u8]| {
        let wanted = vec![Wanted::Put { name: None, json: json.to_vec(), expect: Expect::Any }];
        let batch = Batch { wanted, atomic: false, message: id("1") };
        change(&clock, caller, batch).await.unwrap().remove(0)
    };
    let first = ask(&ann, holidays).await;
    let Some(faults) = &first.faults else { panic!("{first:?}") };
    assert!(faults.to_string().contains("holidays"), "{faults}");
    let again = ask(&reader(), holidays).await;
    assert_eq!((&again.name, &again.faults, &again.verdict), (&first.name, &first.faults, &first.verdict));
    // Its keys may come in another order, and nothing else.
    let turned = br#"{"exclude":["holidays"],"every":"1 day","event":"billing.a.due","name":"a"}"#;
    assert_eq!(ask(&ann, turned).await.faults, first.faults);
    let other = ask(&ann, &json("a", "1h")).await;
    assert_eq!((other.verdict, other.faults), (Verdict::Refused(Refusal::MessageIdUsed), None));
    running.abort();
}

/// Of many they are paused in several writes.
#[tokio::test]
async fn of_many_all_are_paused_until_one_instant_and_those_that_are_paused_are_resumed() {
    let memory = Memory::default();
    let (clock, _handle, running) = running(&memory).await;
    let ann = owner("ann", "billing");
    let many = (0..600).map(|number| Wanted::Put {
        name: None,
        json: json(&format!("a-{number:03}"), "1h"),
        expect: Expect::Any,
    });
    let batch = Batch { wanted: many.collect(), atomic: false, message: None };
    change(&clock, &ann, batch).await.unwrap();
    let of = |prefix: &str| ScheduleFilter { prefix: id(prefix), ..ScheduleFilter::default() };
    let pause = |prefix: &str, expect_count| PauseSomeAsked {
        filter: of(prefix),
        by: None,
        note: "x".into(),
        until: None,
        length: id("1h"),
        on_resume: Some(OnResume::Skip),
        dry_run: false,
        expect_count,
    };
    let paused = pause_some(&clock, &ann, pause("a-", Some(600))).await.unwrap();
    assert_eq!((paused.count, paused.names.len()), (600, 100));
    let mut ends = std::collections::BTreeSet::new();
    for name in ["a-000", "a-249", "a-250", "a-599"] {
        let kept = memory.open("khronos", crate::store::Limits::default()).unwrap().load().unwrap();
        let pauses = kept.named_pauses.into_iter().find(|(kept, _)| &**kept == name).unwrap().1;
        ends.insert(pauses.paused.unwrap().until.unwrap().at);
    }
    assert_eq!(ends.len(), 1, "{ends:?}");
    let entries: Vec<ChangeView> =
        logged(&clock).await.into_iter().filter(|one| one.what == "paused").collect();
    assert_eq!(entries.iter().map(|one| 1 + one.others.len()).collect::<Vec<_>>(), [256, 256, 88]);
    assert!(entries[0].note.contains(": x (until "), "{}", entries[0].note);
    let of_one = ChangesQuery { schedule: id("a-300"), ..ChangesQuery::default() };
    let found = changes::read(clock.clone(), &of_one).await.unwrap().changes;
    assert_eq!(found.iter().map(|one| &*one.what).collect::<Vec<_>>(), ["paused", "created"]);
    // Those that are not paused are not counted.
    resume_one(&clock, &ann, "a-007", SKIP, None).await.unwrap();
    let resume = |prefix: &str, expect_count| ResumeSomeAsked {
        filter: of(prefix),
        on_resume: OnResume::Skip,
        dry_run: false,
        expect_count,
    };
    let some = resume_some(&clock, &ann, resume("a-00", Some(9))).await.unwrap();
    assert_eq!((some.count, some.were_paused), (9, 9));
    let other = resume_some(&clock, &ann, resume("a-", Some(600))).await;
    assert!(matches!(other, Err(OpsError::OtherCount { found: 590, expected: 600 })), "{other:?}");
    running.abort();
}

#[tokio::test]
async fn who_may_not_change_a_schedule_is_told_the_rule_and_who_errs_the_name_that_is_near() {
    let memory = Memory::default();
    let (clock, _handle, running) = running(&memory).await;
    let (ann, bob) = (owner("ann", "billing"), owner("bob", "payroll"));
    put(&clock, &ann, (None, json("monthly", "1h")), Expect::Any, None).await.unwrap();
    for denied in [
        pause_one(&clock, &bob, "monthly", pausing("x"), None).await.map(drop),
        resume_one(&clock, &bob, "monthly", SKIP, None).await.map(drop),
        trigger(&clock, &bob, "monthly", "k", None).await.map(drop),
    ] {
        let said = denied.unwrap_err().to_string();
        assert!(said.contains("the event 'billing.monthly.due' is outside of them"), "{said}");
    }
    for missing in [
        pause_one(&clock, &ann, "montly", pausing("x"), None).await.map(drop),
        trigger(&clock, &ann, "montly", "k", None).await.map(drop),
    ] {
        let Err(OpsError::NotFound(missing)) = missing else { panic!("{missing:?}") };
        assert_eq!(missing.suggestion.as_deref(), Some("monthly"));
    }
    let put = put(&clock, &bob, (None, json("x", "1h")), Expect::Any, None).await;
    let said = put.unwrap_err().to_string();
    assert!(said.contains("domains payroll; the event 'billing.x.due' is outside of them"), "{said}");
    // What does not run may come back as anybody's.
    delete(&clock, &ann, "monthly", Expect::Any, None).await.unwrap();
    let said = pause_one(&clock, &ann, "monthly", pausing("x"), None).await.unwrap_err().to_string();
    assert!(said.contains("'monthly', which does not run, is outside of them"), "{said}");
    running.abort();
}

/// A clock with one schedule whose files have none any more.
async fn without_files(memory: &Memory) -> (RunningClock, tokio::task::JoinHandle<()>) {
    let (publisher, task) = ponos::broker::Publisher::channel(4);
    let mut parts = crate::clock_loop::tests::parts(memory, publisher).await;
    parts.loader = std::sync::Arc::new(|| Ok(vec![]));
    let store = parts.store.clone();
    let (clock_loop, handle) = crate::clock_loop::ClockLoop::new(parts);
    let running = tokio::spawn(async move {
        let _task = task;
        drop(Box::pin(clock_loop.run(ponos::shutdown::shutdown().1)).await);
    });
    let counts = crate::telemetry::Counts::new("khronos", &crate::config::MetricsConfig::default());
    let limit = std::time::Duration::from_secs(60);
    let clock =
        RunningClock::new(handle, store.into(), crate::schedule::CalendarStore::default(), counts, limit);
    // What the clock began with is written first: else the reload is taken in later.
    clock.ask(Command::Write).await.unwrap().unwrap();
    (clock, running)
}

#[tokio::test]
async fn a_reload_that_somebody_asks_for_is_logged_with_what_came_of_it() {
    let memory = Memory::default();
    let (clock, running) = without_files(&memory).await;
    assert_eq!(logged(&clock).await.len(), 0, "not what it began with");
    let said = status::reload(&clock, &Caller::operator()).await.unwrap();
    clock.ask(Command::Write).await.unwrap().unwrap();
    let entry = logged(&clock).await.pop().unwrap();
    assert_eq!((&*entry.what, &*entry.by, &*entry.door), ("reloaded", "operator", "control socket"));
    assert!(said.contains("1 removed (often)") && entry.note == said, "{said} {}", entry.note);
    running.abort();
}

#[tokio::test]
async fn a_reload_of_the_clocks_own_is_logged_where_it_changed_something() {
    let memory = Memory::default();
    let (clock, running) = without_files(&memory).await;
    for _ in 0..2 {
        // As on SIGHUP: nobody says who asks.
        clock.ask(Command::Reload).await.unwrap().unwrap();
        clock.ask(Command::Write).await.unwrap().unwrap();
        let all = logged(&clock).await;
        let all: Vec<_> = all.iter().map(|entry| (&*entry.what, &*entry.by)).collect();
        assert_eq!(all, [("reloaded", crate::engine::THE_CLOCK)]);
    }
    running.abort();
}

#[tokio::test]
async fn a_backfill_that_is_asked_for_again_is_answered_whatever_has_become_of_its_schedule() {
    let memory = Memory::default();
    let (clock, _handle, running) = running(&memory).await;
    let operator = Caller::operator();
    let created = async || put(&clock, &operator, (None, json("a", "1h")), Expect::Any, None).await.unwrap();
    let asked = |to: &str| {
        let span = serde_json::json!({ "from": "2020-01-01T00:00:00Z", "to": to });
        serde_json::from_value::<BackfillAsked>(span).unwrap()
    };
    let june = "2020-01-01T05:00:00Z";
    let again = async || backfill(&clock, &operator, "a", Some("june"), asked(june)).await.map(|it| it.count);
    created().await;
    assert!(matches!(again().await, Ok(6)));
    delete(&clock, &operator, "a", Expect::Any, None).await.unwrap();
    assert!(matches!(again().await, Ok(6)));
    created().await;
    assert!(matches!(again().await, Ok(6)));
    let other = backfill(&clock, &operator, "a", Some("june"), asked("2020-01-01T06:00:00Z")).await;
    assert!(matches!(other, Err(OpsError::Refused(_))), "{other:?}");
    running.abort();
}
