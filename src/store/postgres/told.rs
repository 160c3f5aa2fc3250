//! What a clock that follows tells of what it holds, to whoever asks it: schedules and their parked events, in pages as the leader's loop
//! gives them.

use super::{held::Held, warm::WarmStore};
use crate::{
    engine::{Beside, Parked, Pause, Revision, ScheduleStatus},
    schedule::Packed,
    store::encoding::{self, Entry},
};

impl Held {
    /// The present pause of everything.
    pub(super) fn paused(&self) -> Option<Pause> {
        self.pause(&encoding::pauses_key())
    }

    fn pause(&self, key: &[u8]) -> Option<Pause> {
        match self.rest.get(key)? {
            Entry::Pauses(_, pauses) => pauses.paused.clone(),
            _ => None,
        }
    }

    /// What is kept of a name beside its revisions.
    fn beside(&self, name: &str) -> Beside {
        let of_name = encoding::span_key(name, 0)..=encoding::span_key(name, u32::MAX);
        let spans = self.rest.range(of_name).filter_map(|(_, entry)| match entry {
            Entry::Span(_, span) => Some(span.clone()),
            _ => None,
        });
        Beside { paused: self.pause(&encoding::named_pauses_key(name)), spans: spans.collect() }
    }

    fn parked(&self, after: Option<u64>, most: usize) -> Vec<(u64, Parked)> {
        let first = encoding::parked_key(after.map_or(0, |after| after.saturating_add(1)));
        let some = self.rest.range(first..=encoding::parked_key(u64::MAX)).take(most);
        let parked = some.filter_map(|(_, entry)| match entry {
            Entry::Parked(number, parked) => Some((*number, parked.clone())),
            _ => None,
        });
        parked.collect()
    }
}

/// In each case `None` where nothing is held.
impl WarmStore {
    /// The next schedules by name, from the first on or after the one that is named, at most so many.
    pub fn schedules(&self, after: Option<&str>, most: usize) -> Option<Vec<ScheduleStatus>> {
        self.ask(|held| {
            held.warm.running_as_kept_after(after, |name: &str| held.beside(name)).take(most).collect()
        })
    }

    /// The schedules that are due next, the soonest first, at most so many.
    pub fn soonest(&self, most: usize) -> Option<Vec<ScheduleStatus>> {
        self.ask(|held| held.warm.soonest_as_kept(most, |name: &str| held.beside(name)))
    }

    /// One schedule, if it is there.
    pub fn schedule(&self, name: &str) -> Option<Option<ScheduleStatus>> {
        self.ask(|held| held.warm.running_as_kept(name, |name: &str| held.beside(name)))
    }

    /// Definitions whose names stand beside this one.
    pub fn neighbours(&self, name: &str, most: usize) -> Option<Vec<Packed>> {
        self.ask(|held| held.warm.neighbours(name, most).cloned().collect())
    }

    /// A revision, as long as it is kept.
    pub fn revision(&self, name: &str, number: u32) -> Option<Option<Revision>> {
        self.ask(|held| held.warm.revision(name, number))
    }

    /// All revisions of a name that are kept.
    pub fn revisions_of(&self, name: &str) -> Option<Vec<Revision>> {
        self.ask(|held| held.warm.revisions_of(name))
    }

    /// The next parked events by number, from the first on or after this one, at most so many.
    pub fn parked(&self, after: Option<u64>, most: usize) -> Option<Vec<(u64, Parked)>> {
        self.ask(|held| held.parked(after, most))
    }
}

#[cfg(test)]
mod tests {
    use super::{super::warm::counts, *};
    use crate::{
        engine::{Coalesced, Commit, Era, Pauses, Reached, Span},
        postgres::fixture::{PATIENCE, Tables},
        schedule::Definition,
        store::{PostgresOptions, PostgresStore, Store},
    };
    use ponos::event::{EventKind, Timestamp};
    use std::sync::Arc;
    use testkit::{block_until, block_until_or_tell};

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_millis(1_764_547_200_000 + minute * 60_000)
    }

    fn revision(name: &str, number: u32) -> Revision {
        let definition = Definition {
            name: name.into(),
            event: Some("test.minute.passed".into()),
            every: Some("1m".into()),
            ..Definition::default()
        };
        Era::first(number, at(0)).of(Packed::build(&definition).unwrap())
    }

    fn pauses(note: &str) -> Pauses {
        let reached = Reached { lately: at(1), ever: at(1), set_backs: 0 };
        let pause = Pause { since: at(1), by: "ann".into(), note: note.into(), until: None, reached };
        Pauses { paused: Some(pause), ..Pauses::default() }
    }

    fn parked(number: u64) -> (u64, Option<Parked>) {
        let parked = Parked {
            schedule: "b".into(),
            revision: 1,
            stands_for: Coalesced { first: at(1), last: at(1), count: 1 },
            reason: "full".into(),
            at: at(1),
            released: false,
            singly: true,
            refused: 0,
            retry_at: None,
            kind: EventKind::Occurrence,
        };
        (number, Some(parked))
    }

    #[test]
    fn a_follower_tells_what_the_leader_wrote_last_and_when_it_looked() {
        let tables = Tables::new();
        let mut store = PostgresStore::open(&tables.door("khronos"), &PostgresOptions::default()).unwrap();
        let span = Span { revision: 1, after: at(1), through: at(2), handed: at(1), coalesced: None };
        let commit = |minute| Commit { settled: at(minute), handed: at(minute), ..Commit::default() };
        let first = Commit {
            revisions: ["a", "b", "c"].map(|name| revision(name, 1)).to_vec(),
            spans: vec![("b".into(), 1, Some(span.clone()))],
            named_pauses: vec![("c".into(), Some(pauses("by name")))],
            parked: (1..=3).map(parked).collect(),
            ..commit(2)
        };
        store.save(0, &first).unwrap();
        let warm = WarmStore::new(&tables.of_another_process().door("khronos"), counts()).unwrap();
        assert!(warm.schedules(None, 9).is_none() && warm.schedule("a").is_none(), "nothing is held");
        assert_eq!(*warm.looks().borrow(), crate::store::Look::default());
        warm.follow();
        let all = block_until("what the leader keeps", PATIENCE, || warm.schedules(None, 9));
        let names: Vec<_> = all.iter().map(|one| one.revision.name()).collect();
        assert_eq!(names, ["a", "b", "c"]);
        assert_eq!((all[0].next, &all[0].outstanding[..], &all[0].paused), (Some(at(3)), &[][..], &None));
        assert_eq!(all[1].outstanding, [span]);
        assert_eq!(all[2].paused.as_ref().map(|pause| &*pause.note), Some("by name"));
        assert_eq!(warm.schedules(Some("a"), 1).unwrap()[0].revision.name(), "b");
        let due: Vec<_> = warm.soonest(9).unwrap().into_iter().map(|one| one.revision).collect();
        assert_eq!(due.iter().map(Revision::name).collect::<Vec<_>>(), ["a", "b"], "c is paused");
        let numbers = |after, most| -> Vec<u64> {
            warm.parked(after, most).unwrap().into_iter().map(|(number, _)| number).collect()
        };
        assert_eq!(
            (numbers(None, 9), numbers(Some(1), 1), numbers(Some(3), 9)),
            (vec![1, 2, 3], vec![2], vec![])
        );
        // What is written before somebody has it looked is told.
        let mut looks = warm.looks();
        let ended = Revision { ended: Some(at(3)), ..revision("a", 1) };
        let second = Commit {
            revisions: vec![ended.clone(), revision("a", 2)],
            spans: vec![("b".into(), 1, None)],
            pauses: Some(pauses("everything")),
            ..commit(3)
        };
        let before = looks.borrow_and_update().at.expect("it has looked");
        store.save(0, &second).unwrap();
        warm.look();
        let look = || looks.borrow().paused.clone().map(|pause| pause.note);
        let note: Arc<str> = block_until_or_tell("the next look", PATIENCE, look, || format!("{warm:?}"));
        assert_eq!(&*note, "everything");
        assert!(warm.looks().borrow().at.unwrap() >= before);
        assert_eq!(warm.schedule("b").unwrap().unwrap().outstanding, []);
        assert_eq!(warm.revisions_of("a").unwrap(), [ended.clone(), revision("a", 2)]);
        assert_eq!(warm.revision("a", 1), Some(Some(ended)));
        assert_eq!(warm.neighbours("b", 3).unwrap().len(), 3);
        assert!(warm.schedule("d").unwrap().is_none());
        // Who takes over tells nothing any more.
        assert!(warm.take_over().take().is_some());
        assert_eq!((warm.looks().borrow().at, warm.schedules(None, 9).is_none()), (None, true));
    }
}
