//! What somebody asks for who is known: by what runs when it is done, once for each message, and said in the log.

use super::{
    pauses::{SECOND, sent_of},
    *,
};
use crate::{
    Asker, Author, ChangeKind, Coalesced, Commit, Message, OnResume, Operation, PauseRequest, Refusal, Scope,
    Verdict,
};
use ponos_event::CommandId;
use std::sync::Arc;

/// Each every ten seconds, for a minute so far.
fn running(names: &[&str]) -> Seen {
    let mut seen = Seen::of(100);
    seen.step(Input::Load(names.iter().map(|name| Packed::build(&every(name, "10s")).unwrap()).collect()));
    seen.step(Input::Link(true));
    seen.pass(MINUTE + 500, SECOND);
    seen
}

fn of(name: &str) -> Scope {
    Scope::Named([name.into()].into())
}

/// Whoever asks by this message, and may change what is of `test`.
fn ann(id: &str) -> Asker {
    let covers: Arc<dyn Fn(&str) -> bool + Send + Sync> = Arc::new(|event| event.starts_with("test."));
    let by = Author { covers, is_of_everything: false, ..Author::owner("ann", "a test") };
    let message = Some(Message { id: id.into(), digest: [id.len() as u8; 32] });
    Asker { message, ..Asker::new(by) }
}

fn pause(command: u64, scope: Scope) -> Input {
    Input::Pause { command, scope, request: PauseRequest { by: "ann".into(), note: "x".into(), until: None } }
}

fn resume(command: u64, scope: Scope) -> Input {
    Input::Resume { command, scope, how: OnResume::Skip }
}

fn trigger(command: u64, name: &str, id: &str) -> Input {
    Input::Trigger { command, name: name.into(), id: id.parse().unwrap() }
}

fn by(asker: Asker, input: Input) -> Input {
    Input::By(Box::new(asker), Box::new(input))
}

fn kinds(seen: &Seen) -> Vec<ChangeKind> {
    seen.changes.iter().map(|entry| entry.what).collect()
}

#[test]
fn a_message_that_comes_again_is_answered_as_before_and_undoes_nothing_newer() {
    let mut seen = running(&["a"]);
    seen.step(by(ann("1"), pause(1, of("a"))));
    let paused = seen.engine.paused_by_name("a").cloned().unwrap();
    seen.pass(MINUTE, SECOND);
    seen.step(by(ann("22"), resume(2, of("a"))));
    let ended = Timestamp::from_millis(seen.now);
    assert_eq!((&seen.durable[..], seen.decided.len()), (&[1, 2][..], 0));
    // The pause comes again.
    seen.step(by(ann("1"), pause(3, of("a"))));
    assert_eq!(seen.engine.paused_by_name("a"), None);
    seen.pass(MINUTE, SECOND);
    // Somebody else pauses it, and the resume comes again.
    seen.step(pause(4, of("a")));
    seen.step(by(ann("22"), resume(5, of("a"))));
    assert!(seen.engine.paused_by_name("a").is_some());
    let first = Verdict::Paused { pause: paused.clone(), was_paused: false };
    let second = Verdict::Resumed { pause: Some(paused), through: ended, how: OnResume::Skip };
    assert_eq!(seen.decided, [(3, vec![first]), (5, vec![second])]);
    // Under the id of a message something else is asked for.
    let other = Asker { message: Some(Message { id: "1".into(), digest: [9; 32] }), ..ann("1") };
    seen.step(by(other, resume(6, of("a"))));
    assert!(seen.engine.paused_by_name("a").is_some());
    assert_eq!(seen.decided.last().unwrap().1, [Verdict::Refused(Refusal::MessageIdUsed)]);
    assert_eq!(kinds(&seen), [ChangeKind::Paused, ChangeKind::Resumed]);
    assert_eq!(seen.changes[0].command.as_deref(), Some("1"));
}

#[test]
fn a_trigger_that_comes_again_is_answered_as_before_though_its_schedule_is_another_one() {
    let mut seen = running(&["file"]);
    let hourly = |command| Input::put(command, Packed::build(&every("a", "1h")).unwrap());
    seen.step(hourly(1));
    seen.step(by(ann("1"), trigger(2, "a", "1")));
    let due = Timestamp::from_millis(seen.now);
    seen.step(Input::delete(3, "a"));
    seen.pass(SECOND, SECOND);
    seen.step(by(ann("1"), trigger(4, "a", "1")));
    seen.step(hourly(5));
    seen.step(by(ann("1"), trigger(6, "a", "1")));
    let first = vec![Verdict::Triggered { due, creation: 1 }];
    let again: Vec<_> = seen.decided.iter().filter(|(command, _)| [4, 6].contains(command)).collect();
    assert_eq!(again, [&(4, first.clone()), &(6, first)]);
    assert_eq!((&seen.triggered[..], sent_of(&seen, "a")), (&[(2, due)][..], 1));
    seen.step(by(ann("22"), trigger(7, "never-was", "2")));
    let refused = Verdict::Refused(Refusal::NoSuchSchedule { name: "never-was".into() });
    assert_eq!(seen.decided.last(), Some(&(7, vec![refused])));
}

/// What is asked for, its answer and what the log says are one write.
#[test]
fn a_command_of_a_message_is_durable_with_its_answer_and_its_entry() {
    let mut seen = running(&["a", "b"]);
    let mut committed = |asker, input| -> Commit {
        let reading = Reading { wall: Timestamp::from_millis(seen.now), boot: seen.now - START };
        let (mut commits, mut answers) = (Vec::new(), 0);
        for action in seen.engine.step(reading, by(asker, input)) {
            match action {
                Action::Save { ticket, commit } => commits.push((ticket, commit)),
                Action::Durable(_) | Action::Triggered(_) | Action::Decided(_) => answers += 1,
                _ => {}
            }
        }
        assert_eq!((commits.len(), answers), (1, 0), "nobody is answered before");
        let (ticket, commit) = commits.pop().unwrap();
        seen.step(Input::Saved(ticket));
        *commit
    };
    let paused = committed(ann("1"), pause(1, of("a")));
    assert_eq!((paused.named_pauses.len(), paused.messages.len(), paused.changes.len()), (1, 1, 1));
    let resumed = committed(ann("22"), resume(2, of("a")));
    assert_eq!((resumed.named_pauses.len(), resumed.messages.len(), resumed.changes.len()), (1, 1, 1));
    let nothing = committed(ann("333"), resume(3, of("a")));
    assert_eq!((nothing.named_pauses.len(), nothing.messages.len(), nothing.changes.len()), (0, 1, 0));
    let triggered = committed(ann("4444"), trigger(4, "b", "4"));
    assert_eq!((triggered.parked.len(), triggered.messages.len(), triggered.changes.len()), (1, 1, 1));
    assert_eq!((seen.durable, seen.triggered.len()), (vec![1, 2, 3], 1));
}

/// Whoever asks looked at them before: meanwhile they may have become another's.
#[test]
fn what_is_not_his_when_it_is_done_is_refused_as_a_whole() {
    let mut seen = running(&["a", "b"]);
    let names = || Scope::Named(["a".into(), "b".into()].into());
    let payroll = Definition { event: Some("payroll.month.ended".into()), ..every("b", "10s") };
    seen.step(Input::Load(vec![
        Packed::build(&every("a", "10s")).unwrap(),
        Packed::build(&payroll).unwrap(),
    ]));
    seen.step(by(ann("1"), pause(1, names())));
    let outside = || vec![Verdict::Refused(Refusal::OutsideDomains { event: "payroll.month.ended".into() })];
    assert_eq!((seen.decided.pop(), seen.engine.count_paused_by_name()), (Some((1, outside())), 0));
    seen.step(pause(2, names()));
    seen.step(by(ann("22"), resume(3, names())));
    seen.step(by(ann("333"), trigger(4, "b", "4")));
    assert_eq!(seen.decided, [(3, outside()), (4, outside())]);
    assert_eq!((seen.engine.count_paused_by_name(), kinds(&seen)), (2, vec![]));
}

#[test]
fn what_does_not_run_is_paused_by_nobody_who_may_not_change_everything() {
    let mut seen = running(&["a", "b"]);
    seen.step(Input::Load(vec![Packed::build(&every("b", "10s")).unwrap()]));
    seen.step(by(ann("1"), pause(1, of("a"))));
    assert!(matches!(seen.decided[0].1[0], Verdict::Refused(Refusal::OutsideDomains { .. })));
    assert_eq!(seen.engine.count_paused_by_name(), 0);
    seen.step(by(Asker::new(Author::admin("bob", "a test")), pause(2, of("a"))));
    // Who may change what it was ends that all the same.
    seen.step(by(ann("22"), resume(3, of("a"))));
    assert_eq!((&seen.durable[..], seen.engine.count_paused_by_name()), (&[2, 3][..], 0));
}

#[test]
fn where_all_that_were_counted_are_meant_nothing_is_done_to_fewer() {
    let mut seen = running(&["a", "b"]);
    let whole = || Asker { message: None, whole: true, ..ann("1") };
    let names = || Scope::Named(["a".into(), "b".into()].into());
    seen.step(pause(1, of("a")));
    seen.step(by(whole(), resume(2, names())));
    seen.step(Input::Load(vec![Packed::build(&every("a", "10s")).unwrap()]));
    seen.step(by(whole(), pause(3, names())));
    let other = || vec![Verdict::Refused(Refusal::NotAsCounted { name: "b".into() })];
    assert_eq!(seen.decided, [(2, other()), (3, other())]);
    assert_eq!(seen.engine.count_paused_by_name(), 1);
}

#[test]
fn the_log_says_who_did_what_to_which_and_nothing_of_what_changed_nothing() {
    let mut seen = running(&["a", "b"]);
    let admin = || Asker::new(Author::admin("bob", "a door"));
    let names = || Scope::Named(["a".into(), "b".into(), "never-was".into()].into());
    seen.step(by(admin(), pause(1, names())));
    seen.step(by(admin(), resume(2, of("b"))));
    seen.step(by(admin(), resume(3, of("b"))));
    seen.step(by(admin(), resume(4, names())));
    seen.step(by(admin(), pause(5, Scope::All)));
    seen.step(by(admin(), resume(6, Scope::All)));
    seen.step(by(admin(), trigger(7, "a", "k")));
    seen.step(by(admin(), trigger(8, "a", "k")));
    seen.refuses = |_| true;
    seen.pass(2 * MINUTE, SECOND);
    let number = *seen.engine.parked().first_key_value().unwrap().0;
    seen.step(by(admin(), Input::Drop(vec![number, 1_000_000])));
    let id: CommandId = "op".parse().unwrap();
    let due = Timestamp::from_millis(START);
    let operation = Box::new(Operation {
        schedule: "a".into(),
        revision: 1,
        creation: 0,
        owner: "ann".into(),
        digest: [0; 32],
        by: "bob".into(),
        at: due,
        rate: 1,
        queue: None,
        count: 1,
        first: due,
        last: due,
        left: vec![Coalesced { first: due, last: due, count: 1 }],
        sent: 0,
        ended: None,
    });
    seen.step(by(admin(), Input::Operate { command: 9, id: id.clone(), operation }));
    seen.step(by(admin(), Input::Cancel { command: 10, id: id.clone() }));
    seen.step(by(admin(), Input::Cancel { command: 11, id }));
    seen.step(by(admin(), Input::Load(vec![Packed::build(&every("a", "10s")).unwrap()])));
    let said: Vec<(&str, &str, usize)> =
        seen.changes.iter().map(|one| (one.what.word(), &*one.name, one.others.len())).collect();
    assert_eq!(
        said,
        [
            ("paused", "a", 1),
            ("resumed", "b", 0),
            ("resumed", "a", 0),
            ("paused", "", 0),
            ("resumed", "", 0),
            ("triggered", "a", 0),
            ("dropped", said[6].1, 0),
            ("backfilled", "a", 0),
            ("cancelled", "a", 0),
            ("reloaded", "", 0),
        ]
    );
    assert!(seen.changes.iter().all(|one| (&*one.by, &*one.door) == ("bob", "a door")));
    assert_eq!(&*seen.changes[0].note, "by ann: x");
    assert!(seen.changes[9].note.contains("1 removed (b)"), "{}", seen.changes[9].note);
}
