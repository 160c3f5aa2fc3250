//! Each reason for which a due time has an event or has none, of a clock that does not run; of one whose loop is played in `running.rs`.

mod running;

use super::{FateState, OccurrenceFate, StandsFor, WhyView, why};
use crate::{
    config::MetricsConfig,
    engine::{Coalesced, Era, OneShot, Outcome, Parked, Revision, Row, SkipReason, Snapshot, Span},
    ops::{MissingKind, OpsError, StoppedClock},
    schedule::{CalendarStore, Created, Days, Definition, DoorKind, DstDefinition, Packed},
    store::{self, Limits, Memory, Store, StoreHandle, Tuning},
    telemetry::Counts,
};
use ponos::event::{CommandId, EventKind, OccurrenceId, Timestamp};

const MINUTE: i64 = 60_000;

fn at(minute: i64) -> Timestamp {
    Timestamp::from_millis(minute * MINUTE)
}

/// Everything up to this minute is settled.
const SETTLED: i64 = 100;

fn definition(name: &str) -> Definition {
    let event = Some("test.minute.passed".into());
    Definition { name: name.into(), event, every: Some("1m".into()), ..Definition::default() }
}

/// In effect from minute 5 on.
fn revision(number: u32, definition: &Definition) -> Revision {
    Era::first(number, at(5)).of(Packed::build(definition).unwrap())
}

fn row(minute: i64, outcome: Outcome) -> Row {
    Row {
        at: at(minute),
        schedule: "s".into(),
        revision: 1,
        first: at(minute),
        last: at(minute),
        count: 1,
        outcome,
        kind: EventKind::Occurrence,
        creation: 0,
        queue: None,
    }
}

fn sent(minute: i64, lateness: i64) -> Outcome {
    Outcome::Confirmed { sent_at: at(minute).plus(lateness), lateness, returned: false }
}

fn parked(minute: i64) -> (u64, Parked) {
    let stands_for = Coalesced { first: at(minute), last: at(minute), count: 1 };
    let parked = Parked {
        schedule: "s".into(),
        revision: 1,
        stands_for,
        reason: "the queue is full".into(),
        at: at(minute + 1),
        released: false,
        singly: true,
        refused: 2,
        retry_at: None,
        kind: EventKind::Occurrence,
    };
    (7, parked)
}

fn span(after: i64, through: i64, coalesced: Option<Coalesced>) -> Span {
    Span { revision: 1, after: at(after), through: at(through), handed: at(after), coalesced }
}

async fn store_of(rows: &[Row], kept: u64) -> StoreHandle {
    let memory = Memory::default();
    let limits = Limits { rows: kept, age: i64::MAX, ..Limits::default() };
    memory.open("khronos", limits).unwrap().append(0, rows, at(SETTLED)).unwrap();
    let opener = move || memory.open("khronos", limits).map(|store| Box::new(store) as Box<dyn Store>);
    let counts = Counts::new("khronos", &MetricsConfig::default());
    store::open(Box::new(opener), Tuning::default(), counts).await.unwrap().0
}

/// With the schedule `s`, each minute, and these rows.
async fn stopped(rows: &[Row], more: Snapshot) -> StoppedClock {
    let mut snapshot = Snapshot { settled: Some(at(SETTLED)), ..more };
    if snapshot.revisions.is_empty() {
        snapshot.revisions = vec![revision(1, &definition("s"))];
    }
    let store = store_of(rows, 1_000).await;
    StoppedClock::new("khronos".into(), store, snapshot, CalendarStore::default())
}

async fn asked(clock: &StoppedClock, id: &str) -> OccurrenceFate {
    let now = at(SETTLED).plus(30_000);
    let shown: WhyView = why(clock.clone(), id, now).await.unwrap_or_else(|error| panic!("{id}: {error}"));
    assert_eq!((shown.id.as_str(), &shown.observed), (id, &None));
    shown.clock.unwrap()
}

async fn fate(clock: &StoppedClock, due: Timestamp) -> OccurrenceFate {
    asked(clock, &format!("s@{due}")).await
}

/// The state, and the first sentence after what it is about.
async fn told(rows: &[Row], more: Snapshot, minute: i64) -> (FateState, String) {
    let fate = fate(&stopped(rows, more).await, at(minute)).await;
    let about = format!("s of {} ", at(minute));
    let said = fate.said[0].strip_prefix(&about).unwrap_or(&fate.said[0]).to_owned();
    assert!(fate.said.iter().any(|one| one.starts_with("by revision 1, in effect since")), "{:?}", fate.said);
    (fate.state, said)
}

fn id_of(minute: i64) -> String {
    let kind = &EventKind::Occurrence;
    OccurrenceId { clock: "khronos", schedule: "s", due: at(minute), kind }.id().to_string()
}

#[tokio::test]
async fn what_has_a_row_ended_as_that_says() {
    use FateState::{ClockSetBack, DetailsLost, Dropped, Skipped};
    let all = |outcome| Row { schedule: "*".into(), revision: 0, first: at(9), ..row(11, outcome) };
    let skipped = |reason| row(10, Outcome::Skipped(reason));
    let nobody = Outcome::Confirmed { sent_at: at(10), lateness: 0, returned: true };
    for (row, state, said) in [
        (
            row(10, sent(10, 3)),
            FateState::Sent,
            "was sent at 1970-01-01T00:10:00.003Z, 3 ms late, and confirmed",
        ),
        (
            row(10, nobody),
            FateState::Sent,
            "on time, and confirmed by the broker, and reached nobody: no queue",
        ),
        (skipped(SkipReason::Paused), Skipped, "was not sent: it was skipped, for its schedule was paused"),
        (skipped(SkipReason::Missed), Skipped, "catch_up.policy is \"none\""),
        (skipped(SkipReason::TooOld), Skipped, "older than catch_up.within"),
        (skipped(SkipReason::Past), Skipped, "its time was gone"),
        (skipped(SkipReason::Removed), Skipped, "its schedule was removed"),
        (row(10, Outcome::Dropped), Dropped, "was parked, and somebody dropped it at 1970-01-01T00:10"),
        (row(10, Outcome::DroppedAtLimit), Dropped, "more was parked than is kept"),
        (all(Outcome::DetailsLost), DetailsLost, "a crash came before it was written"),
        (all(Outcome::ClockSetBack), ClockSetBack, "the clock was set back over s of"),
    ] {
        let (found, told) = told(&[row], Snapshot::default(), 10).await;
        assert!(found == state && told.contains(said), "{found:?} {told}");
    }
}

#[tokio::test]
async fn one_event_that_stands_for_several_due_times_is_that_of_each() {
    let row = Row { first: at(20), count: 10, ..row(29, sent(29, 0)) };
    let clock = stopped(&[row], Snapshot::default()).await;
    let all = Some(StandsFor { first_due_at: at(20), due_at: at(29), count: 10 });
    let last = fate(&clock, at(29)).await;
    assert_eq!((last.state, &last.stands_for, last.event_id), (FateState::Sent, &all, Some(id_of(29))));
    assert!(last.said[0].contains("it stands for 9 due times before it as well"), "{:?}", last.said);
    let within = fate(&clock, at(25)).await;
    assert_eq!((within.state, &within.stands_for, within.event_id), (FateState::Sent, &all, Some(id_of(29))));
    assert!(
        within.said[0].contains("has no event of its own: that of 1970-01-01T00:29"),
        "{:?}",
        within.said
    );
    // Between two of them nothing is due.
    assert_eq!(fate(&clock, at(25).plus(1_000)).await.state, FateState::NotDue);
}

#[tokio::test]
async fn what_is_parked_is_said_with_what_to_do_and_what_was_released_as_it_ended_then() {
    let refused = row(10, Outcome::Parked("the queue is full".into()));
    let kept = || Snapshot { parked: vec![parked(10)], ..Snapshot::default() };
    let clock = stopped(std::slice::from_ref(&refused), kept()).await;
    let parked = fate(&clock, at(10)).await;
    assert_eq!((parked.state, parked.reason.as_deref()), (FateState::Parked, Some("the queue is full")));
    assert_eq!(parked.parked.as_ref().map(|one| one.id), Some(7));
    let said = parked.said.join("\n");
    assert!(
        said.contains("parked as number 7 since 1970-01-01T00:11") && said.contains("refused 2 times"),
        "{said}"
    );
    assert!(said.contains("khronos parked release 7 sends it again"), "{said}");
    // Its row is not written yet.
    assert_eq!(fate(&stopped(&[], kept()).await, at(10)).await.state, FateState::Parked);
    let released = Row { at: at(60), ..row(10, sent(10, 50 * MINUTE)) };
    let (state, said) = told(&[refused.clone(), released], Snapshot::default(), 10).await;
    assert!(state == FateState::Sent && said.contains("was sent at 1970-01-01T01:00"), "{said}");
    // It was released, and of that there is no row yet.
    let clock = stopped(&[refused], Snapshot::default()).await;
    let said = fate(&clock, at(10)).await.said.join("\n");
    assert!(said.contains("it is parked no more, and what became of it is not recorded yet"), "{said}");
}

#[tokio::test]
async fn what_is_due_and_has_no_row_waits_or_is_not_recorded() {
    let outstanding =
        |coalesced| Snapshot { spans: vec![("s".into(), span(89, 95, coalesced))], ..Snapshot::default() };
    let (state, said) = told(&[], outstanding(None), 90).await;
    assert!(
        state == FateState::Waiting && said.contains("was not sent yet: the clock does not run"),
        "{said}"
    );
    let (state, _) = told(&[], outstanding(None), 96).await;
    assert_eq!(state, FateState::NotRecorded);
    let all = Coalesced { first: at(90), last: at(95), count: 6 };
    let (_, said) = told(&[], outstanding(Some(all)), 92).await;
    assert!(said.contains("it is to be sent as one event for 6 due times"), "{said}");
    let (state, said) = told(&[], Snapshot::default(), 50).await;
    assert!(state == FateState::NotRecorded && said.contains("khronos audit compares"), "{said}");
    let (state, said) = told(&[], Snapshot::default(), 101).await;
    assert!(state == FateState::ToCome && said.contains("is to come: it is not due yet"), "{said}");
    // Rows that were trimmed.
    let rows: Vec<Row> = (10..40).map(|minute| row(minute, sent(minute, 0))).collect();
    let store = store_of(&rows, 10).await;
    let revisions = vec![revision(1, &definition("s"))];
    let snapshot = Snapshot { settled: Some(at(SETTLED)), revisions, ..Snapshot::default() };
    let clock = StoppedClock::new("khronos".into(), store, snapshot, CalendarStore::default());
    let trimmed = fate(&clock, at(12)).await;
    assert!(trimmed.said[0].contains("the record begins at 1970-01-01T00:"), "{:?}", trimmed.said);
}

/// Of a schedule that is changed so, in words.
async fn not_due(change: impl FnOnce(&mut Definition), due: Timestamp) -> String {
    let mut definition = definition("s");
    change(&mut definition);
    let revisions = vec![revision(1, &definition)];
    let fate = fate(&stopped(&[], Snapshot { revisions, ..Snapshot::default() }).await, due).await;
    assert_eq!((fate.state, fate.event_id), (FateState::NotDue, None), "{:?}", fate.said);
    fate.said[0].clone()
}

#[tokio::test]
async fn what_is_not_due_has_its_reason() {
    let said = not_due(|_| (), at(10).plus(1_000)).await;
    assert!(
        said.ends_with("it is due at 1970-01-01T00:10:00.000Z, and then at 1970-01-01T00:11:00.000Z"),
        "{said}"
    );
    let said = not_due(|_| (), at(5)).await;
    assert!(said.ends_with("its revision 1 counts from 1970-01-01T00:05:00.000Z on"), "{said}");
    let said = not_due(|one| one.limit = Some(3), at(9)).await;
    assert!(said.ends_with("its limit of 3 is reached, last due at 1970-01-01T00:08:00.000Z"), "{said}");
    let said = not_due(|one| one.until = Some("1970-01-01T00:08:00Z".into()), at(9)).await;
    assert!(said.ends_with("its until is reached, last due at 1970-01-01T00:07:00.000Z"), "{said}");
    let said = not_due(|one| one.from = Some("1970-01-01T00:20:00Z".into()), at(9)).await;
    assert!(said.ends_with("it is due for the first time at 1970-01-01T00:20:00.000Z"), "{said}");
    // What the clocks skip: at 01:00 UTC the clock in Paris goes from 02:00 to 03:00.
    let skipping = |one: &mut Definition| {
        (one.every, one.cron) = (None, Some("30 2 * * *".into()));
        one.time_zone = Some("Europe/Paris".into());
        one.dst = Some(DstDefinition { gap: Some("skip".into()), fold: None });
    };
    let gap = "2026-03-29T01:00:00Z".parse().unwrap();
    let said = not_due(skipping, gap).await;
    assert!(said.contains("02:30 does not exist that day"), "{said}");
}

#[tokio::test]
async fn a_day_that_a_calendar_leaves_out_is_named_with_it() {
    let calendars = CalendarStore::default();
    let (id, _) = calendars.insert(Days::from_dates(&["1970-01-02"]).unwrap());
    let daily = Definition {
        every: Some("1 day".into()),
        exclude: Some(vec!["off".into()]),
        calendars: Some([("off".to_owned(), id)].into()),
        ..definition("s")
    };
    let revision = Era::first(1, at(5)).of(Packed::build_with(&daily, &calendars).unwrap());
    let snapshot = Snapshot { settled: Some(at(0)), revisions: vec![revision], ..Snapshot::default() };
    let clock = StoppedClock::new("khronos".into(), store_of(&[], 9).await, snapshot, calendars);
    let fate = fate(&clock, at(24 * 60)).await;
    assert!(fate.said[0].ends_with("left out: excluded by off"), "{:?}", fate.said);
    assert_eq!((fate.state, fate.why.len()), (FateState::NotDue, 1));
}

#[tokio::test]
async fn each_revision_answers_for_its_time_and_none_for_what_was_before_or_after() {
    let first = Revision { ended: Some(at(20)), ..revision(1, &definition("s")) };
    let hourly = Definition { every: Some("20m".into()), ..definition("s") };
    let second =
        Revision { ended: Some(at(70)), ..Era::first(2, at(20)).of(Packed::build(&hourly).unwrap()) };
    let revisions = vec![first, second];
    let clock = stopped(&[], Snapshot { revisions, ..Snapshot::default() }).await;
    for (minute, revision, state) in [
        (19, Some(1), FateState::NotRecorded),
        (40, Some(2), FateState::NotRecorded),
        (41, Some(2), FateState::NotDue),
    ] {
        let fate = fate(&clock, at(minute)).await;
        assert_eq!((fate.revision, fate.state), (revision, state), "{minute}: {:?}", fate.said);
    }
    let said = fate(&clock, at(80)).await.said;
    assert!(said[0].ends_with("it was removed at 1970-01-01T01:10:00.000Z"), "{said:?}");
}

#[tokio::test]
async fn what_was_created_at_run_time_has_its_creation_in_its_id_and_jitter_its_send_time() {
    let created = Created { number: 4, owner: "ann".into(), door: DoorKind::Http };
    let definition = Definition { created: Some(created), jitter: Some("30s".into()), ..definition("s") };
    let revisions = vec![revision(1, &definition)];
    let of_another = row(10, sent(10, 0));
    let clock = stopped(&[of_another], Snapshot { revisions, ..Snapshot::default() }).await;
    let fate = fate(&clock, at(50)).await;
    let id = OccurrenceId { clock: "khronos", schedule: "s@4", due: at(50), kind: &EventKind::Occurrence };
    assert_eq!((fate.creation, fate.event_id), (Some(4), Some(id.id().to_string())));
    let send = fate.send_at.unwrap();
    assert!(send >= at(50) && send < at(50).plus(30_000), "{send}");
}

#[tokio::test]
async fn by_its_id_or_its_trace_an_event_is_found_among_the_newest_rows() {
    let command: CommandId = "again".parse().unwrap();
    let triggered = Row { kind: EventKind::Trigger(command), ..row(30, sent(30, 1)) };
    let rows: Vec<Row> = (6..30).map(|minute| row(minute, sent(minute, 0))).chain([triggered]).collect();
    let clock = stopped(&rows, Snapshot::default()).await;
    let id = id_of(12);
    for asked_for in [id.clone(), id.to_uppercase(), id.replace('-', "")] {
        let found = asked(&clock, &asked_for).await;
        assert_eq!(
            (found.due_at, found.state, found.event_id.as_ref()),
            (at(12), FateState::Sent, Some(&id))
        );
    }
    let kind = EventKind::Trigger("again".parse().unwrap());
    let id = OccurrenceId { clock: "khronos", schedule: "s", due: at(30), kind: &kind }.id();
    let found = asked(&clock, id.as_str()).await;
    assert_eq!((found.kind.as_str(), found.command.as_deref()), ("trigger", Some("again")));
    assert!(found.said[0].starts_with("the trigger 'again' of s (1970"), "{:?}", found.said);
    let unknown = why(clock.clone(), &id_of(99), at(SETTLED)).await;
    let Err(OpsError::NotFound(missing)) = unknown else { panic!("{unknown:?}") };
    assert_eq!(missing.kind, MissingKind::Event);
    assert!(missing.what.contains("the last 25 were looked through"), "{}", missing.what);
    assert!(missing.what.contains("the clock does not run"), "{}", missing.what);
}

#[tokio::test]
async fn what_is_no_id_is_refused_and_no_schedule_has_its_suggestion() {
    let clock = stopped(&[], Snapshot::default()).await;
    let ask = async |id: &str| why(clock.clone(), id, at(SETTLED)).await;
    for id in ["", &"x".repeat(256), "s@yesterday", "s@2026-12-01T09:00", "s@2026-12-01T09:00:00.0001Z"] {
        let refused = ask(id).await;
        assert!(
            matches!(&refused, Err(OpsError::Parameter(fault)) if fault.name == "id"),
            "{id}: {refused:?}"
        );
    }
    for (id, kind) in [
        ("ss@2026-12-01T09:00:00Z", MissingKind::Schedule),
        ("order-7", MissingKind::Event),
        ("no such@task", MissingKind::Event),
    ] {
        let missing = ask(id).await;
        assert!(matches!(&missing, Err(OpsError::NotFound(one)) if one.kind == kind), "{id}: {missing:?}");
    }
}

#[tokio::test]
async fn a_one_shot_that_is_pending_waits_and_one_that_is_past_and_has_no_row_is_not_recorded() {
    let once = Definition { every: None, at: Some(at(90).to_string()), ..definition("s") };
    let pending = |pending: bool| {
        let one_shots = pending.then(|| ("s".into(), OneShot { revision: 1, due: at(90) }));
        let (revisions, one_shots) = (vec![revision(1, &once)], one_shots.into_iter().collect());
        Snapshot { revisions, one_shots, ..Snapshot::default() }
    };
    assert_eq!(told(&[], pending(true), 90).await.0, FateState::Waiting);
    assert_eq!(told(&[], pending(false), 90).await.0, FateState::NotRecorded);
}
