//! Very many changes at once: others go on meanwhile, and everybody has a share.

use super::{
    run::{Run, START, delete, event},
    *,
};
use crate::Refusal;

fn put(name: &str, expect: Expect, after: i64) -> DelayedChange {
    let event = Box::new(event(name, "order.payment.due", after));
    DelayedChange::Put { event, expect, past: PastDue::Send }
}

fn request(command: u64, owner: &str, atomic: bool, changes: Vec<DelayedChange>) -> DelayedInput {
    let by = Author::owner(owner, "a test");
    DelayedInput::Change(Box::new(DelayedRequest { command, by, message: None, atomic, changes }))
}

fn is_write(action: &DelayedAction) -> bool {
    matches!(action, DelayedAction::Write { .. })
}

/// A machine that was asked for all of this and told that nothing is there, and what it did then.
fn begun(atomic: bool, changes: Vec<DelayedChange>) -> (Sending, Vec<DelayedAction>) {
    let marks = marks(START);
    let mut sending = Sending::new(DelayedRules::default(), &DelayedSnapshot::default());
    sending.step(marks, &mut Ceilings::default(), DelayedInput::Link(true));
    let found = changes.iter().map(|_| Found::Nothing).collect();
    let asked = sending.step(marks, &mut Ceilings::default(), request(1, "billing", atomic, changes));
    let ticket = asked.iter().find_map(|action| match action {
        DelayedAction::Find { ticket, .. } => Some(*ticket),
        _ => None,
    });
    let found = DelayedInput::Found { ticket: ticket.unwrap(), found, answered: Vec::new() };
    let actions = sending.step(marks, &mut Ceilings::default(), found);
    (sending, actions)
}

fn marks(now: Timestamp) -> Marks {
    Marks { now, handed: now.plus(500), reached: now.plus(500), created: 0, since: None }
}

#[test]
fn a_request_is_decided_in_many_steps_and_written_in_one_and_events_go_out_meanwhile() {
    let changes = (0..20).map(|number| put(&format!("n{number:02}"), Expect::Any, 60_000)).collect();
    let (mut sending, mut actions) = begun(false, changes);
    let due = event("due", "order.payment.due", 100).head;
    sending.window.put(DueEvent::from(&due), &DelayedRules::default(), &Ceilings::default());
    let (mut steps, mut now, mut published) = (1, START, 0);
    while !actions.iter().any(is_write) {
        assert_eq!(sending.next_wakeup(marks(now), &Ceilings::default()), Some(now));
        assert!(!sending.is_written());
        now = now.plus(50);
        actions = sending.step(marks(now), &mut Ceilings::default(), DelayedInput::Tick);
        published += actions.iter().filter(|action| matches!(action, DelayedAction::Publish(_))).count();
        steps += 1;
    }
    assert!((13..=15).contains(&steps), "{steps} steps");
    assert_eq!(published, 1);
    let puts = actions.iter().find_map(|action| match action {
        DelayedAction::Write { batch, .. } => Some(batch.steps.len()),
        _ => None,
    });
    assert_eq!(puts, Some(20));
}

#[test]
fn at_the_end_all_of_a_request_is_decided_at_once() {
    let changes = (0..20).map(|number| put(&format!("n{number:02}"), Expect::Any, 60_000)).collect();
    let (mut sending, actions) = begun(true, changes);
    assert!(!actions.iter().any(is_write));
    let actions = sending.step(marks(START), &mut Ceilings::default(), DelayedInput::Drain);
    assert!(actions.iter().any(is_write));
}

#[test]
fn of_what_is_all_or_nothing_nothing_is_done_where_its_last_change_is_refused() {
    let mut run = Run::new(DelayedRules::default(), Ceilings::default());
    assert!(matches!(run.change(put("there", Expect::Any, 60_000)), Verdict::Created { .. }));
    let first = (0..19).map(|number| put(&format!("n{number:02}"), Expect::Any, 60_000));
    let changes = first.chain([put("there", Expect::Absent, 60_000)]).collect();
    run.step(request(7, "billing", true, changes));
    let (_, verdicts) = run.verdicts.pop().unwrap();
    assert!(verdicts[..19].iter().all(|one| *one == Verdict::Refused(Refusal::Another)), "{verdicts:?}");
    assert!(matches!(verdicts[19], Verdict::Refused(Refusal::Exists { .. })));
    assert_eq!(run.change(delete("n00")), Verdict::GoneAlready);
    // No number is given twice.
    let next = run.change(put("next", Expect::Any, 60_000));
    assert!(matches!(next, Verdict::Created { creation, .. } if creation > 1), "{next:?}");
}

#[test]
fn no_owner_takes_the_places_of_all_changes_that_wait() {
    let rules = DelayedRules { waiting: 40, batch: 10, ..DelayedRules::default() };
    let mut sending = Sending::new(rules, &DelayedSnapshot::default());
    let mut refused = |command: u64, owner: &str, count: usize| {
        let changes = (0..count).map(|number| delete(&format!("{owner}{number}"))).collect();
        let input = request(command, owner, false, changes);
        let actions = sending.step(marks(START), &mut Ceilings::default(), input);
        actions.iter().any(|action| matches!(action, DelayedAction::TooMany(_)))
    };
    let greedy: Vec<bool> = (0..4).map(|command| refused(command, "greedy", 10)).collect();
    assert_eq!(greedy, [false, false, true, true]);
    assert!(!refused(4, "modest", 10));
    assert!(!refused(5, "third", 5) && refused(6, "third", 10));
}
