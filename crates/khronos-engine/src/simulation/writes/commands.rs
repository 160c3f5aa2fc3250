//! When commands are answered, and that they are bounded.

use super::*;
use crate::{
    Author, ChangeKind, ChangeRequest, Expect, Refusal, ScheduleChange, THE_CLOCK, Verdict, forgetting::HOUR,
};

#[test]
fn a_command_that_changes_nothing_is_answered_once_what_it_found_is_durable() {
    let mut seen = Seen::of(100);
    let reading = Reading { wall: Timestamp::from_millis(START), boot: 0 };
    let definition = Packed::build(&every("b", "100ms")).unwrap();
    let put = |command| Input::put(command, definition.clone());
    let mut tickets = Vec::new();
    let mut answers = |engine: &mut Engine, input| -> Vec<u64> {
        let mut durable = Vec::new();
        for action in engine.step(reading, input) {
            match action {
                Action::Save { ticket, .. } => tickets.push(ticket),
                Action::Decided(decided) => durable.extend(decided.into_iter().map(|(command, _)| command)),
                _ => {}
            }
        }
        durable
    };
    let remove = |command, name: &str| Input::delete(command, name);
    assert_eq!(answers(&mut seen.engine, remove(1, "b")), [1], "nothing was ever there");
    assert_eq!(answers(&mut seen.engine, put(2)), [0; 0]);
    assert_eq!(answers(&mut seen.engine, put(3)), [0; 0], "it is there, and not durable yet");
    assert_eq!(answers(&mut seen.engine, Input::Saved(1)), [2, 3]);
    assert_eq!(answers(&mut seen.engine, put(4)), [4]);
    assert_eq!(answers(&mut seen.engine, remove(5, "b")), [0; 0]);
    assert_eq!(answers(&mut seen.engine, remove(6, "b")), [0; 0], "it is gone, and the disk has it still");
    assert_eq!(answers(&mut seen.engine, Input::Saved(2)), [5, 6]);
    assert_eq!(tickets, [1, 2]);
    assert!(seen.engine.is_empty());
}

#[test]
fn more_commands_than_there_is_room_for_are_refused_while_the_clock_is_held_or_the_disk_is_slow() {
    // Of one owner, who leaves as much to others.
    let most = crate::load::COMMANDS as u64 / 2;
    for held in [false, true] {
        let mut engine = Seen::engine(100, false);
        let mut reading = Reading { wall: Timestamp::from_millis(START), boot: 0 };
        let definition = Packed::build(&every("b", "1d")).unwrap();
        let put = |command| Input::put(command, definition.clone());
        let mut step = |reading, input| -> [Vec<u64>; 3] {
            let [mut saves, mut durable, mut too_many] = <[Vec<u64>; 3]>::default();
            for action in engine.step(reading, input) {
                match action {
                    Action::Save { ticket, .. } => saves.push(ticket),
                    Action::Decided(decided) => {
                        durable.extend(decided.into_iter().map(|(command, _)| command))
                    }
                    Action::TooMany(commands) => too_many.extend(commands),
                    _ => {}
                }
            }
            [saves, durable, too_many]
        };
        // The first reading is believed, whatever it is.
        assert_eq!(step(reading, Input::Tick), <[Vec<u64>; 3]>::default());
        for command in 1..=most {
            if held {
                // Each reading leaps ahead of the one before.
                reading.wall = reading.wall.plus(2 * MINUTE);
            }
            let [saves, durable, too_many] = step(reading, put(command));
            let first = !held && command == 1;
            assert_eq!((saves.len(), durable, too_many), (usize::from(first), vec![], vec![]));
        }
        reading.wall = reading.wall.plus(if held { 2 * MINUTE } else { 0 });
        assert_eq!(step(reading, put(most + 1)), [vec![], vec![], vec![most + 1]]);
        if held {
            assert_eq!(step(reading, Input::Tick), [vec![1], vec![], vec![]], "it is believed");
            // Some in each step.
            (0..most / 64).for_each(|_| assert_eq!(step(reading, Input::Tick), <[Vec<u64>; 3]>::default()));
        }
        let [saves, durable, _] = step(reading, Input::Saved(1));
        assert_eq!(saves, [0; 0], "they change nothing");
        assert_eq!(durable, (1..=most).collect::<Vec<_>>());
        assert_eq!(step(reading, put(most + 2)), [vec![], vec![most + 2], vec![]]);
    }
}

/// Asks for changes of one owner, and gives the verdicts.
pub(super) fn ask(seen: &mut Seen, by: Author, changes: Vec<ScheduleChange>) -> Vec<Verdict> {
    let request = ChangeRequest { command: 1, by, message: None, atomic: false, changes };
    let before = seen.decided.len();
    seen.step(Input::Change(Box::new(request)));
    seen.decided.drain(before..).flat_map(|(_, verdicts)| verdicts).collect()
}

pub(super) fn put_of(definition: Definition) -> ScheduleChange {
    ScheduleChange::Put { definition: Packed::build(&definition).unwrap(), expect: Expect::Any }
}

pub(super) fn once(name: &str, at: i64) -> Definition {
    Definition { every: None, at: Some(Timestamp::from_millis(at).to_string()), ..every(name, "1m") }
}

#[test]
fn what_is_created_anew_under_a_name_has_nothing_to_do_with_what_had_it() {
    let mut seen = Seen::of(100);
    let by = || Author::owner("ann", "a test");
    seen.step(Input::Link(true));
    let limited = || Definition { limit: Some(2), ..every("a", "1m") };
    for creation in 1..=3_u64 {
        let verdicts = ask(&mut seen, by(), vec![put_of(limited())]);
        let expected = Verdict::Created { creation, revision: 1, since: Timestamp::from_millis(seen.now) };
        assert_eq!(verdicts, [expected]);
        seen.pass(90_000, MINUTE);
        // It counts from its creation, and its events are its own.
        assert_eq!(seen.sent["a"], creation);
        let running = seen.engine.running("a").unwrap().revision;
        assert_eq!((running.definition.creation(), running.previous), (creation, None));
        let delete = ScheduleChange::Delete { name: "a".into(), expect: Expect::Any };
        assert!(matches!(ask(&mut seen, by(), vec![delete])[..], [Verdict::Deleted { .. }]));
        // Longer than any of it is kept.
        const { assert!(90_000 > HOUR) };
        seen.pass(90_000, MINUTE);
    }
    // As long as it is, revisions count on.
    let delete = ScheduleChange::Delete { name: "a".into(), expect: Expect::Any };
    let verdicts = ask(&mut seen, by(), vec![put_of(limited()), delete, put_of(limited())]);
    assert!(matches!(verdicts[2], Verdict::Created { creation: 5, revision: 2, .. }), "{verdicts:?}");
}

#[test]
fn a_one_shot_that_may_have_been_sent_is_neither_deleted_nor_changed() {
    let mut seen = Seen::of(100);
    let by = || Author::owner("ann", "a test");
    let due = START + MINUTE;
    let delete = || ScheduleChange::Delete { name: "a".into(), expect: Expect::Any };
    seen.refuses = |_| true;
    seen.step(Input::Link(true));
    ask(&mut seen, by(), vec![put_of(once("a", due))]);
    seen.pass(MINUTE + 100, MINUTE);
    // It is due, and a queue is full: it is sent again as soon as that is not.
    let refused = Verdict::Refused(Refusal::MayHaveBeenSent { due: Timestamp::from_millis(due) });
    let later = put_of(once("a", due + 5 * MINUTE));
    let same = put_of(once("a", due));
    let verdicts = ask(&mut seen, by(), vec![delete(), later, same]);
    assert_eq!(verdicts, [refused.clone(), refused, Verdict::Unchanged { creation: 1, revision: 1 }]);
    seen.refuses = |_| false;
    while seen.sent.is_empty() {
        seen.pass(500, 500);
        assert!(seen.now < due + MINUTE);
    }
    // It is settled: what comes late has it neither changed nor sent once more under another id.
    let later = || put_of(once("a", due + 5 * MINUTE));
    let settled = Verdict::Refused(Refusal::AlreadySettled { due: Timestamp::from_millis(due) });
    let verdicts = ask(&mut seen, by(), vec![later(), delete(), put_of(once("a", due))]);
    assert_eq!(verdicts, [settled.clone(), settled, Verdict::Unchanged { creation: 1, revision: 1 }]);
    // After a while it may go, or come again at another instant.
    seen.pass(HOUR, 1_000);
    let verdicts = ask(&mut seen, by(), vec![later(), delete(), delete()]);
    assert!(matches!(
        verdicts[..],
        [Verdict::Changed { creation: 1, .. }, Verdict::Deleted { .. }, Verdict::GoneAlready]
    ));
    seen.pass(10 * MINUTE, MINUTE);
    assert_eq!(seen.sent["a"], 1);
}

#[test]
fn what_would_never_be_due_is_refused() {
    let mut seen = Seen::of(100);
    seen.pass(2 * MINUTE, MINUTE);
    let past = once("a", START + MINUTE);
    let at_once = Definition { name: "b".into(), past: Some("send".into()), ..past.clone() };
    let until = Timestamp::from_millis(START + MINUTE).to_string();
    let over = Definition { name: "c".into(), until: Some(until), ..every("c", "10s") };
    let verdicts = ask(&mut seen, Author::owner("ann", "a test"), [past, at_once, over].map(put_of).into());
    let never = Verdict::Refused(Refusal::NeverDue);
    assert_eq!((&verdicts[0], &verdicts[2]), (&never, &never));
    assert!(matches!(verdicts[1], Verdict::Created { creation: 1, .. }));
}

#[test]
fn a_file_and_a_creation_never_share_a_name() {
    let mut seen = Seen::of(100);
    let files = |names: &[&str]| {
        Input::Load(names.iter().map(|name| Packed::build(&every(name, "1m")).unwrap()).collect())
    };
    seen.step(files(&["a"]));
    let by = || Author::owner("ann", "a test");
    let verdicts = ask(&mut seen, by(), vec![put_of(every("a", "2m")), put_of(every("b", "2m"))]);
    assert_eq!(verdicts[0], Verdict::Refused(Refusal::FileOwned));
    assert!(matches!(verdicts[1], Verdict::Created { .. }));
    seen.notices.clear();
    seen.step(files(&["a", "b", "c"]));
    let taken = Notice::NameTaken { schedule: "b".into(), owner: "ann".into(), others: 0 };
    assert!(seen.notices.contains(&taken), "{:?}", seen.notices);
    assert!(seen.engine.running("b").unwrap().revision.definition.is_created());
    // The file's goes, and the name is free.
    seen.step(files(&[]));
    let verdicts = ask(&mut seen, by(), vec![put_of(every("a", "1m"))]);
    assert!(matches!(verdicts[..], [Verdict::Created { creation: 2, revision: 2, .. }]), "{verdicts:?}");
    let delete = ScheduleChange::Delete { name: "b".into(), expect: Expect::Any };
    ask(&mut seen, by(), vec![delete]);
    seen.step(files(&["b"]));
    assert_eq!(seen.engine.running("b").unwrap().revision.definition.creation(), 0);
}

#[test]
fn what_has_finished_goes_by_itself_and_that_is_logged() {
    const DAY: i64 = 24 * 60 * MINUTE;
    let mut seen = Seen::of(100);
    seen.step(Input::Link(true));
    let by = || Author::owner("ann", "a test");
    let limited = Definition { limit: Some(2), ..every("b", "1m") };
    ask(&mut seen, by(), vec![put_of(once("a", START + MINUTE)), put_of(limited), put_of(every("c", "1h"))]);
    seen.step(Input::Load(vec![Packed::build(&once("file", START + MINUTE)).unwrap()]));
    seen.pass(10 * MINUTE, MINUTE);
    let runs = |seen: &Seen| ["a", "b", "c", "file"].map(|name| seen.engine.running(name).is_some());
    seen.pass(DAY - 20 * MINUTE, MINUTE);
    assert_eq!(runs(&seen), [true; 4]);
    seen.pass(20 * MINUTE, MINUTE);
    // What the files say stays as long as they say it.
    assert_eq!(runs(&seen), [false, false, true, true]);
    let gone = seen.changes.iter().filter(|change| change.what == ChangeKind::Finished);
    let gone: Vec<_> = gone.map(|change| (&*change.name, &*change.by, change.creation)).collect();
    assert_eq!(gone, [("a", THE_CLOCK, 1), ("b", THE_CLOCK, 2)]);
    assert!(seen.engine.next_wakeup().is_some_and(|at| at > seen.engine.now()), "nothing is left to be done");
}
