//! Operations: what begins beside others, what they leave to the schedule, and what ends them.

use super::{
    pauses::{SECOND, put, running, sent_of},
    pauses_set_back::{running_backward, set_back},
    *,
};
use crate::{Asker, Author, Coalesced, Declined, Operation, Refusal, Verdict, time_event};
use ponos_event::EventKind;

/// What was due of a schedule lately, so many events, in this owner's name.
fn operation(seen: &Seen, name: &str, owner: &str, count: u64) -> Operation {
    let revision = seen.engine.running(name).unwrap().revision;
    let timing = revision.timing();
    let last = timing.before(Timestamp::from_millis(seen.now)).unwrap();
    let first = (1..count).fold(last, |due, _| timing.before(due).unwrap());
    Operation {
        schedule: name.into(),
        revision: revision.number,
        creation: revision.definition.creation(),
        by: owner.into(),
        owner: owner.into(),
        digest: [0; 32],
        at: Timestamp::from_millis(seen.now),
        rate: 1,
        queue: None,
        count,
        first,
        last,
        left: vec![Coalesced { first, last, count }],
        sent: 0,
        ended: None,
    }
}

fn begin(seen: &mut Seen, command: u64, id: &str, operation: Operation) {
    let (id, operation) = (id.parse().unwrap(), Box::new(operation));
    seen.step(Input::Operate { command, id, operation });
}

/// Of what was due of this schedule lately.
fn begin_new(seen: &mut Seen, (command, id): (u64, &str), (name, owner, count): (&str, &str, u64)) {
    let wanted = operation(seen, name, owner, count);
    begin(seen, command, id, wanted);
}

#[test]
fn of_a_schedule_one_runs_at_a_time_and_what_began_meanwhile_counts() {
    let mut seen = running(&["all"]);
    let stale = operation(&seen, "all", "bob", 2);
    seen.pass(SECOND, SECOND);
    let first = operation(&seen, "all", "ann", 2);
    begin(&mut seen, 1, "first", first.clone());
    begin_new(&mut seen, (2, "second"), ("all", "bob", 2));
    begin(&mut seen, 3, "first", first);
    let beside = |runs| Declined::Beside { operation: "first".parse().unwrap(), runs };
    assert_eq!(seen.declined, [(2, beside(true))], "the first is asked for again, and is the same");
    seen.pass(20 * SECOND, SECOND);
    assert!(seen.engine.operation(&"first".parse().unwrap()).unwrap().0.ended.is_some());
    begin(&mut seen, 4, "second", stale);
    assert_eq!(seen.declined[1..], [(4, beside(false))], "it was decided before the first began");
    begin_new(&mut seen, (5, "second"), ("all", "bob", 2));
    assert_eq!((seen.declined.len(), seen.engine.operations().count()), (2, 2));
    let other = Operation { revision: 9, ..operation(&seen, "all", "bob", 2) };
    begin(&mut seen, 6, "third", other);
    assert_eq!(seen.declined[2..], [(6, Declined::Changed)]);
}

#[test]
fn after_a_step_back_one_that_has_ended_is_known_for_a_day() {
    const DAY: i64 = 24 * 60 * MINUTE;
    let mut seen = running_backward(&[]);
    put(&mut seen, &every("a", "1h"));
    seen.now += 30 * DAY;
    seen.pass(2 * SECOND, SECOND);
    begin_new(&mut seen, (1, "first"), ("a", "ann", 2));
    seen.pass(20 * SECOND, SECOND);
    set_back(&mut seen, 30 * DAY);
    let known = |seen: &mut Seen, command, id| {
        begin_new(seen, (command, id), ("a", "ann", 1));
        seen.engine.operation(&"first".parse().unwrap()).is_some()
    };
    seen.pass(2 * 60 * MINUTE, 10 * MINUTE);
    assert!(known(&mut seen, 2, "second"));
    seen.now += DAY;
    seen.pass(2 * SECOND, SECOND);
    assert!(!known(&mut seen, 3, "third"));
}

#[test]
fn nobody_runs_so_many_that_none_are_left_to_others() {
    let mut seen = running(&[]);
    for name in ["a", "b", "c", "d"] {
        put(&mut seen, &every(name, "1m"));
    }
    seen.pass(5 * MINUTE, SECOND);
    for (command, name) in ["a", "b", "c"].into_iter().enumerate() {
        begin_new(&mut seen, (command as u64, name), (name, "ann", 3));
    }
    let many = Declined::TooMany { owner: "ann".into(), of_owner: 2, all: 2, ended: false };
    assert_eq!(seen.declined, [(2, many)]);
    begin_new(&mut seen, (4, "d"), ("d", "bob", 3));
    assert_eq!((seen.declined.len(), seen.engine.operations().count()), (1, 3));
}

#[test]
fn what_is_due_and_was_not_handed_over_comes_by_itself() {
    let mut seen = running(&[]);
    put(&mut seen, &every("own", "1m"));
    seen.pass(2 * MINUTE + SECOND, SECOND);
    let of = |seen: &Seen| seen.engine.covered("own", None).unwrap();
    let now = Timestamp::from_millis(seen.now);
    assert_eq!((of(&seen).comes_from, of(&seen).ranges.len()), (now.plus(1), 0));
    seen.step(Input::Link(false));
    let next = of(&seen).status.next.unwrap();
    seen.pass(30 * MINUTE, MINUTE);
    assert_eq!(of(&seen).comes_from, next, "nothing of it was handed over");
    let before = sent_of(&seen, "own");
    seen.step(Input::Link(true));
    seen.pass(2 * SECOND, SECOND);
    assert_eq!(sent_of(&seen, "own"), before + 30);
    // What an operation has not sent yet is on its way to all, or to its queue alone.
    let slow = Operation { queue: Some("side".into()), ..operation(&seen, "own", "ann", 5) };
    let (first, last) = (slow.first, slow.last);
    begin(&mut seen, 1, "slow", slow);
    let covers = |queue: Option<&str>, due| {
        let ranges = seen.engine.covered("own", queue).unwrap().ranges;
        ranges.iter().any(|(first, last)| *first <= due && due <= *last)
    };
    assert_eq!(
        [covers(None, last), covers(Some("side"), last), covers(Some("b"), last)],
        [false, true, false]
    );
    assert!(covers(Some("side"), last) && !covers(Some("side"), first.plus(-MINUTE)));
}

#[test]
fn whoever_deletes_a_schedule_ends_what_is_sent_of_it() {
    let mut seen = running(&[]);
    put(&mut seen, &every("own", "1m"));
    seen.pass(9 * MINUTE, SECOND);
    begin_new(&mut seen, (1, "slow"), ("own", "ann", 8));
    seen.pass(2 * SECOND, SECOND);
    let sent = sent_of(&seen, "own");
    seen.step(Input::delete(2, "own"));
    let id = "slow".parse().unwrap();
    let (ended, _) = seen.engine.operation(&id).unwrap();
    assert!(ended.ended.is_some_and(|(_, cancelled)| cancelled) && ended.left.is_empty(), "{ended:?}");
    // Another one of its name is no reason to go on.
    put(&mut seen, &every("own", "1h"));
    seen.pass(MINUTE, SECOND);
    assert_eq!(sent_of(&seen, "own"), sent);
}

#[test]
fn an_operation_is_ended_by_its_owner_and_by_whoever_may_change_its_schedule_not_one_of_its_name() {
    let mut seen = running(&[]);
    let event = |event: &str| Definition { event: Some(event.into()), ..every("own", "1m") };
    put(&mut seen, &event("billing.invoice.due"));
    seen.pass(9 * MINUTE, SECOND);
    begin_new(&mut seen, (1, "slow"), ("own", "billing", 8));
    // Its schedule has another event now: what is sent of it is still that of before.
    put(&mut seen, &event("payroll.salary.due"));
    let asker = |owner: &str, domain: &'static str| {
        let covers = std::sync::Arc::new(move |event: &str| event.starts_with(domain));
        Box::new(Asker::new(Author { covers, is_admin: false, ..Author::owner(owner, "a test") }))
    };
    let mut cancel = |command, owner, domain| {
        let input = Input::Cancel { command, id: "slow".parse().unwrap() };
        seen.step(Input::By(asker(owner, domain), Box::new(input)));
        let ended = seen.engine.operation(&"slow".parse().unwrap()).unwrap().0.ended;
        (ended.is_some(), seen.decided.last().cloned())
    };
    let outside = Refusal::OutsideDomains { event: "billing.invoice.due".into() };
    let refused = Some((2, vec![Verdict::Refused(outside)]));
    assert_eq!(cancel(2, "payroll", "payroll."), (false, refused));
    assert!(cancel(3, "billing", "invoices.").0, "it is his own");
}

#[test]
fn what_is_backfilled_does_not_expire_and_what_is_triggered_does() {
    let mut seen = running(&[]);
    put(&mut seen, &Definition { expires: Some("10s".into()), ..every("own", "1m") });
    let revision = seen.engine.running("own").unwrap().revision;
    let due = Timestamp::from_millis(START);
    let of = |kind: EventKind| {
        let stands_for = Coalesced { first: due, last: due, count: 1 };
        time_event("khronos", &kind, revision.era(), &revision.build().unwrap(), stands_for).expiry_time
    };
    let id = || "x".parse().unwrap();
    assert_eq!(of(EventKind::Backfill(id())), None, "its due time is past");
    assert_eq!(of(EventKind::Occurrence), Some(due.plus(10_000)));
    assert_eq!(of(EventKind::Trigger(id())), Some(due.plus(10_000)));
}
