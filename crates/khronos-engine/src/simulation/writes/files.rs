//! Names of files and names that are created at run time.

use super::{
    commands::{ask, put_of},
    *,
};
use crate::{Asker, Author, ChangeKind, ChangeRequest, Expect, Refusal, ScheduleChange, THE_CLOCK, Verdict};
use std::sync::Arc;

fn files(names: &[&str]) -> Input {
    Input::Load(names.iter().map(|name| Packed::build(&every(name, "1m")).unwrap()).collect())
}

fn ann() -> Author {
    Author::owner("ann", "a test")
}

fn delete(name: &str) -> ScheduleChange {
    ScheduleChange::Delete { name: name.into(), expect: Expect::Any }
}

#[test]
fn nothing_is_created_before_the_files_were_read() {
    let mut seen = Seen::of(100);
    seen.engine = Seen::without_files(100, false);
    let put = |command, name| Input::put(command, Packed::build(&every(name, "2m")).unwrap());
    seen.step(put(1, "a"));
    let changes = vec![delete("a"), put_of(every("b", "1m"))];
    let request = ChangeRequest { command: 2, by: ann(), message: None, atomic: true, changes };
    seen.step(Input::Change(Box::new(request)));
    seen.step(Input::delete(3, "a"));
    assert_eq!((&*seen.unread, seen.decided.len()), (&[1, 2][..], 1), "to delete nothing is no creation");
    assert!(seen.engine.is_empty());
    seen.step(files(&["a"]));
    seen.step(put(4, "a"));
    seen.step(put(5, "b"));
    let verdicts = [seen.decided.remove(1), seen.decided.remove(1)];
    assert_eq!(verdicts[0], (4, vec![Verdict::Refused(Refusal::FileOwned)]));
    assert!(matches!(verdicts[1].1[..], [Verdict::Created { .. }]), "{verdicts:?}");
}

#[test]
fn a_name_is_the_files_before_it_is_taken_in() {
    let mut seen = Seen::of(1);
    let reading = Reading { wall: Timestamp::from_millis(START), boot: 0 };
    // The disk has not even the first of them.
    drop(seen.engine.step(reading, files(&["a", "b", "c"])));
    assert!(seen.engine.running("c").is_none());
    drop(seen.engine.step(reading, Input::put(1, Packed::build(&every("c", "2m")).unwrap())));
    drop(seen.engine.step(reading, Input::delete(2, "c")));
    drop(seen.engine.step(reading, Input::put(3, Packed::build(&every("d", "2m")).unwrap())));
    (1..=4).for_each(|ticket| seen.step(Input::Saved(ticket)));
    seen.pass(MINUTE, MINUTE);
    seen.decided.sort_by_key(|(command, _)| *command);
    let file_owned = vec![Verdict::Refused(Refusal::FileOwned)];
    assert_eq!(seen.decided[..2], [(1, file_owned.clone()), (2, file_owned)]);
    assert!(matches!(seen.decided[2].1[..], [Verdict::Created { .. }]), "{:?}", seen.decided);
    let origins = ["a", "b", "c", "d"].map(|name| seen.engine.running(name).map(|one| one.revision));
    let creations = origins.map(|revision| revision.unwrap().definition.creation());
    assert_eq!(creations, [0, 0, 0, 1]);
}

#[test]
fn when_a_creation_ends_whose_name_the_files_want_they_are_read_again() {
    let mut seen = Seen::of(100);
    ask(&mut seen, ann(), vec![put_of(every("a", "2m")), put_of(every("b", "2m"))]);
    seen.step(files(&["a"]));
    seen.notices.clear();
    seen.step(Input::delete(2, "b"));
    assert_eq!(seen.notices, []);
    seen.step(Input::delete(3, "a"));
    assert_eq!(seen.notices, [Notice::NameFree { schedule: "a".into() }]);
    // Until then it is nobody else's.
    let verdicts = ask(&mut seen, ann(), vec![put_of(every("a", "2m")), put_of(every("b", "2m"))]);
    assert_eq!(verdicts[0], Verdict::Refused(Refusal::FileOwned));
    assert!(matches!(verdicts[1], Verdict::Created { .. }));
    seen.step(files(&["a"]));
    assert_eq!(seen.engine.running("a").unwrap().revision.definition.creation(), 0);
    // And no longer than they want it.
    ask(&mut seen, ann(), vec![put_of(every("c", "2m"))]);
    seen.step(files(&["c"]));
    seen.step(files(&[]));
    let verdicts = ask(&mut seen, ann(), vec![delete("c"), put_of(every("c", "2m"))]);
    assert!(matches!(verdicts[..], [Verdict::Deleted { .. }, Verdict::Created { .. }]), "{verdicts:?}");
}

#[test]
fn each_who_asked_for_a_load_is_named_also_where_another_one_replaces_it() {
    let mut seen = Seen::of(1);
    let reading = Reading { wall: Timestamp::from_millis(START), boot: 0 };
    let by = |owners: &[&str], names: &[&str]| {
        owners.iter().rfold(files(names), |load, owner| {
            let asker = Asker::new(Author::owner(owner, "a test"));
            Input::By(Box::new(asker), Box::new(load))
        })
    };
    let reloaded = |seen: &mut Seen| -> Vec<Arc<str>> {
        let all = std::mem::take(&mut seen.changes).into_iter();
        all.filter(|one| one.what == ChangeKind::Reloaded).map(|one| one.by).collect()
    };
    // The disk has not even the first piece when the next one comes.
    drop(seen.engine.step(reading, by(&["ann", "bob", "ann"], &["a", "b", "c"])));
    drop(seen.engine.step(reading, by(&["cleo"], &["a", "b"])));
    (1..=4).for_each(|ticket| seen.step(Input::Saved(ticket)));
    seen.pass(MINUTE, MINUTE);
    assert_eq!(reloaded(&mut seen), ["ann", "bob", "cleo"].map(Arc::from));
    // Of the clock's own only those that change something are said.
    seen.step(by(&[THE_CLOCK], &["a", "b"]));
    seen.pass(MINUTE, MINUTE);
    assert_eq!(reloaded(&mut seen), []);
    seen.step(by(&[THE_CLOCK], &["a"]));
    seen.pass(MINUTE, MINUTE);
    assert_eq!(reloaded(&mut seen), [Arc::from(THE_CLOCK)]);
}
