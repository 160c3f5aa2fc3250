//! Whose turn it is: commands about one schedule (or calendar, or delayed event) are done one after the other, as they came, others side by side; and no owner
//! takes all places. Pure: the time is an argument.
//!
//! Invariant: nothing of an owner is begun before it is certain that what was refused to him before it does not come again. Else
//! the broker could deliver that once more, and it would be done behind what came after it.

use super::{order::Order, request::Subject};
use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};
use tokio::time::Instant;

/// Places of one owner: of the commands that are out at a time, a quarter is left to others. A place is taken from the moment a
/// command is begun until its answer is confirmed.
pub(super) const SHARE: usize = 24;
/// How long what is beyond that waits for a place before it is refused.
pub(super) const PATIENCE: Duration = Duration::from_secs(3);
/// Changes of one owner that may wait for their turn about one subject.
pub(super) const WAITING: usize = 16;

/// Of whom a command is, and about what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct About {
    pub(super) owner: Arc<str>,
    /// What it is about.
    pub(super) subjects: HashSet<Subject>,
    /// It changes something.
    pub(super) changes: bool,
}

/// Why a command is not taken at present.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Crowded {
    /// So many changes of its owner wait about this.
    Subject(Subject),
    /// Its owner's commands are not done fast enough, or their answers are not confirmed.
    Owner,
}

/// Commands that are taken, and not done, or not answered for certain. Bounded by what is taken from the queue and not settled.
#[derive(Debug)]
pub(super) struct Turns<T> {
    /// In the order in which they came.
    waiting: VecDeque<Waiting<T>>,
    /// By number.
    begun: HashMap<u64, About>,
    /// Who stands before whom, of all these.
    order: Order,
    /// By number: what is done, and keeps its place until its answer is confirmed; and whose it is.
    done: HashMap<u64, Arc<str>>,
    /// By number: what was refused and may come again, and to whom.
    doubtful: BTreeMap<u64, Arc<str>>,
    /// Owners of whose commands one waited for a place in vain, until they have a free one.
    crowded: HashSet<Arc<str>>,
}

#[derive(Debug)]
struct Waiting<T> {
    number: u64,
    about: About,
    since: Instant,
    one: T,
}

impl<T> Default for Turns<T> {
    fn default() -> Self {
        Self {
            waiting: VecDeque::new(),
            begun: HashMap::new(),
            order: Order::default(),
            done: HashMap::new(),
            doubtful: BTreeMap::new(),
            crowded: HashSet::new(),
        }
    }
}

impl<T> Turns<T> {
    /// One more waits for its turn; its number is higher than all before.
    ///
    /// # Errors
    /// [`Crowded`]: it is not taken.
    pub(super) fn enter(&mut self, number: u64, about: About, one: T, now: Instant) -> Result<(), Crowded> {
        if self.crowded.contains(&about.owner) {
            if self.held(&about.owner) >= SHARE {
                return Err(Crowded::Owner);
            }
            self.crowded.remove(&about.owner);
        }
        if about.changes
            && let Some(subject) = self.full(&about)
        {
            return Err(Crowded::Subject(subject.clone()));
        }
        self.order.enter(number, &about);
        self.waiting.push_back(Waiting { number, about, since: now, one });
        Ok(())
    }

    /// What of it as many changes of its owner wait about as may.
    fn full<'a>(&self, about: &'a About) -> Option<&'a Subject> {
        let is_begun = |number| self.begun.contains_key(&number);
        let waiting = |subject: &Subject| self.order.changes(subject, &about.owner, is_begun);
        about.subjects.iter().find(|subject| waiting(subject) >= WAITING)
    }

    /// The next one whose turn it is. It is begun by that.
    pub(super) fn next(&mut self) -> Option<T> {
        if self.waiting.is_empty() {
            return None;
        }
        let mut places = self.places();
        let at = self.waiting.iter().position(|Waiting { number, about, .. }| {
            let place = places.entry(&about.owner).or_default();
            *place += 1;
            *place <= SHARE
                && self.order.is_first(*number)
                && !self.doubtful.range(..number).any(|(_, owner)| *owner == about.owner)
        })?;
        let Waiting { number, about, one, .. } = self.waiting.remove(at)?;
        self.begun.insert(number, about);
        Some(one)
    }

    /// By owner: how many are begun, or done and not answered for certain.
    fn places(&self) -> HashMap<&Arc<str>, usize> {
        let mut places = HashMap::new();
        for owner in self.begun.values().map(|about| &about.owner).chain(self.done.values()) {
            *places.entry(owner).or_default() += 1;
        }
        places
    }

    /// What was begun is done, or refused. It keeps its place until it is [closed](Self::closed).
    pub(super) fn ended(&mut self, number: u64) {
        let Some(about) = self.begun.remove(&number) else { return };
        self.order.leave(number, &about);
        self.done.insert(number, about.owner);
    }

    /// What was done is answered for certain, or never will be.
    pub(super) fn closed(&mut self, number: u64) {
        let Some(owner) = self.done.remove(&number) else { return };
        if self.held(&owner) < SHARE {
            self.crowded.remove(&owner);
        }
    }

    /// How many of an owner are begun, or wait, or are not answered for certain.
    fn held(&self, owner: &Arc<str>) -> usize {
        let begun = self.places().get(owner).copied().unwrap_or_default();
        begun + self.waiting.iter().filter(|one| one.about.owner == *owner).count()
    }

    /// One was refused to this owner, and may come again until that [is certain](Self::certain).
    pub(super) fn doubt(&mut self, number: u64, owner: Arc<str>) {
        self.doubtful.insert(number, owner);
    }

    /// What was refused does not come again; or it does, and what came after it as well.
    pub(super) fn certain(&mut self, number: u64) {
        self.doubtful.remove(&number);
    }

    /// Those that waited too long for a place of their owner: they are not taken after all.
    pub(super) fn late(&mut self, now: Instant) -> Vec<u64> {
        let late: Vec<(u64, Arc<str>)> = self
            .beyond()
            .filter(|one| one.since + PATIENCE <= now)
            .map(|one| (one.number, one.about.owner.clone()))
            .collect();
        let numbers = self.leave(|one| late.iter().any(|(number, _)| *number == one.number));
        self.crowded.extend(late.into_iter().map(|(_, owner)| owner));
        numbers
    }

    /// When the next one will have waited too long.
    pub(super) fn next_late(&self) -> Option<Instant> {
        self.beyond().map(|one| one.since + PATIENCE).min()
    }

    /// Those that have no place.
    fn beyond(&self) -> impl Iterator<Item = &Waiting<T>> {
        let mut places = self.places();
        self.waiting.iter().filter(move |one| {
            let place = places.entry(&one.about.owner).or_default();
            *place += 1;
            *place > SHARE
        })
    }

    /// Forgets what waits, as far as it is meant, and says which they were.
    pub(super) fn forget(&mut self, is_meant: impl Fn(&T) -> bool) -> Vec<u64> {
        self.leave(|one| is_meant(&one.one))
    }

    /// Takes out of those that wait, and says which they were.
    fn leave(&mut self, is_meant: impl Fn(&Waiting<T>) -> bool) -> Vec<u64> {
        if !self.waiting.iter().any(&is_meant) {
            return Vec::new();
        }
        let all = std::mem::take(&mut self.waiting);
        let (meant, waiting): (VecDeque<Waiting<T>>, VecDeque<Waiting<T>>) =
            all.into_iter().partition(is_meant);
        self.waiting = waiting;
        for one in &meant {
            self.order.leave(one.number, &one.about);
        }
        meant.into_iter().map(|one| one.number).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(name: &str) -> Subject {
        Subject::Schedule(name.to_owned())
    }

    fn about(owner: &str, schedules: &[&str]) -> About {
        let subjects = schedules.iter().map(|name| subject(name)).collect();
        About { owner: owner.into(), subjects, changes: true }
    }

    fn reading(owner: &str, schedule: &str) -> About {
        About { changes: false, ..about(owner, &[schedule]) }
    }

    /// Enters these in their order, from number 1 on.
    fn entered(all: impl IntoIterator<Item = About>, now: Instant) -> (Turns<u64>, Vec<Result<(), Crowded>>) {
        let mut turns = Turns::default();
        let results = (1..).zip(all).map(|(number, about)| turns.enter(number, about, number, now)).collect();
        (turns, results)
    }

    fn ready(turns: &mut Turns<u64>) -> Vec<u64> {
        std::iter::from_fn(|| turns.next()).collect()
    }

    #[test]
    fn what_is_about_one_schedule_is_done_one_after_the_other_and_nothing_is_remembered_of_it() {
        let all =
            [about("a", &["x"]), about("a", &["y"]), about("b", &["x"]), about("a", &["x"]), about("a", &[])];
        let (mut turns, _) = entered(all, Instant::now());
        assert_eq!(ready(&mut turns), [1, 2, 5]);
        turns.ended(2);
        assert!(ready(&mut turns).is_empty());
        turns.ended(1);
        assert_eq!(ready(&mut turns), [3]);
        turns.ended(3);
        assert_eq!(ready(&mut turns), [4]);
        turns.ended(4);
        turns.ended(5);
        (1..=5).for_each(|number| turns.closed(number));
        assert!(turns.waiting.is_empty() && turns.begun.is_empty() && turns.done.is_empty());
        assert!(turns.order.is_empty() && turns.crowded.is_empty());
    }

    #[test]
    fn a_schedule_and_a_calendar_and_an_event_of_one_name_do_not_wait_for_each_other() {
        let all = [Subject::Schedule, Subject::Calendar, Subject::Event, Subject::Event];
        let all = all.map(|kind: fn(String) -> Subject| {
            let subjects = HashSet::from([kind("x".to_owned())]);
            About { subjects, ..about("a", &[]) }
        });
        let (mut turns, _) = entered(all, Instant::now());
        assert_eq!(ready(&mut turns), [1, 2, 3]);
        turns.ended(3);
        assert_eq!(ready(&mut turns), [4]);
    }

    #[test]
    fn an_owner_whose_commands_were_forgotten_has_places_again() {
        let begun = Instant::now();
        let all = std::iter::once(about("b", &["x"])).chain((0..=SHARE).map(|_| reading("a", "x")));
        let (mut turns, _) = entered(all, begun);
        assert_eq!(ready(&mut turns), [1]);
        assert_eq!(turns.late(begun + PATIENCE), [SHARE as u64 + 2]);
        assert_eq!(turns.enter(100, about("a", &["y"]), 100, begun), Err(Crowded::Owner));
        // Its connection is lost.
        assert_eq!(turns.forget(|_| true).len(), SHARE);
        assert_eq!(turns.enter(101, about("a", &["y"]), 101, begun), Ok(()));
        assert_eq!(ready(&mut turns), [101]);
    }

    #[test]
    fn what_is_about_several_schedules_waits_for_all_of_them_and_is_waited_for() {
        let all = [about("a", &["x"]), about("a", &["x", "y"]), about("a", &["y"]), about("a", &["z"])];
        let (mut turns, _) = entered(all, Instant::now());
        assert_eq!(ready(&mut turns), [1, 4]);
        turns.ended(1);
        assert_eq!(ready(&mut turns), [2]);
        turns.ended(2);
        assert_eq!(ready(&mut turns), [3]);
    }

    #[test]
    fn sixteen_changes_about_one_schedule_wait_for_each_owner_and_no_more() {
        let mut all = vec![about("a", &["x"]); 1];
        let (mut turns, _) = entered(all.clone(), Instant::now());
        assert_eq!(ready(&mut turns), [1]);
        all.clear();
        all.extend(vec![about("a", &["x"]); WAITING + 1]);
        all.extend([reading("a", "x"), about("b", &["x"]), about("a", &["y"]), about("a", &["y", "x"])]);
        let results: Vec<_> = (2..)
            .zip(all)
            .map(|(number, about)| turns.enter(number, about, number, Instant::now()))
            .collect();
        assert!(results[..WAITING].iter().all(Result::is_ok));
        let full = Err(Crowded::Subject(subject("x")));
        assert_eq!(results[WAITING..], [full.clone(), Ok(()), Ok(()), Ok(()), full]);
    }

    #[test]
    fn a_share_of_the_places_is_left_to_others_and_what_is_beyond_waits_for_a_while() {
        let begin = Instant::now();
        let all = (0..30).map(|number| about("a", &[&format!("s-{number}")])).chain([about("b", &["x"])]);
        let (mut turns, results) = entered(all, begin);
        assert!(results.iter().all(Result::is_ok));
        let begun = ready(&mut turns);
        assert_eq!((begun.len(), begun.last()), (SHARE + 1, Some(&31)), "the other's is not held up");
        // One place is free once its answer has arrived, and the next one has it.
        turns.ended(1);
        assert!(ready(&mut turns).is_empty());
        turns.closed(1);
        assert_eq!(ready(&mut turns), [25]);
        assert_eq!(turns.next_late(), Some(begin + PATIENCE));
        assert!(turns.late(begin + PATIENCE / 2).is_empty());
        assert_eq!(turns.late(begin + PATIENCE), [26, 27, 28, 29, 30]);
        assert_eq!(turns.next_late(), None);
        // As long as he has no place, nobody waits for one.
        let again = |turns: &mut Turns<u64>, number| turns.enter(number, about("a", &[]), number, begin);
        assert_eq!(again(&mut turns, 40), Err(Crowded::Owner));
        assert_eq!(turns.enter(41, about("b", &[]), 41, begin), Ok(()));
        turns.ended(2);
        assert_eq!(again(&mut turns, 42), Err(Crowded::Owner));
        turns.closed(2);
        assert_eq!(again(&mut turns, 42), Ok(()));
        assert_eq!(ready(&mut turns), [41, 42]);
    }

    /// Each of them waits for all names of the one before it. A loop over names within a loop over names takes minutes here.
    #[test]
    fn batches_of_many_names_cost_as_much_as_they_have_names() {
        let names: Vec<String> = (0..20_000).map(|number| format!("{number:0>60}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let (mut turns, results) = entered((0..WAITING).map(|_| about("a", &names)), Instant::now());
        assert!(results.iter().all(Result::is_ok));
        for number in 1..=WAITING as u64 {
            assert_eq!(ready(&mut turns), [number]);
            turns.ended(number);
        }
        assert!(turns.order.is_empty());
        // Of each name: all that stand before it once, for as many changes of one owner may wait; and when it enters and leaves.
        let most = names.len() * WAITING * (WAITING / 2 + 2);
        assert!(turns.order.looked_at() <= most, "{} of {most}", turns.order.looked_at());
    }

    #[test]
    fn nothing_of_an_owner_is_begun_before_what_was_refused_to_him_is_certain() {
        let all = [about("a", &["x"]), about("a", &["y"]), about("b", &["x"])];
        let (mut turns, _) = entered(all, Instant::now());
        turns.doubt(0, "a".into());
        turns.doubt(2, "a".into());
        assert!(ready(&mut turns).is_empty(), "the other's waits behind it, for it is about the same");
        turns.certain(0);
        assert_eq!(ready(&mut turns), [1, 2], "what is refused later is no matter of these");
        turns.enter(4, about("a", &["z"]), 4, Instant::now()).unwrap();
        turns.enter(5, about("b", &["z"]), 5, Instant::now()).unwrap();
        turns.ended(1);
        assert_eq!(ready(&mut turns), [3]);
        turns.certain(2);
        assert_eq!(ready(&mut turns), [4]);
    }

    #[test]
    fn what_comes_again_is_forgotten_where_it_waits() {
        let all = [about("a", &["x"]), about("a", &["x"]), about("a", &["x"])];
        let (mut turns, _) = entered(all, Instant::now());
        assert_eq!(ready(&mut turns), [1]);
        assert_eq!(turns.forget(|number| *number < 3), [2]);
        turns.ended(1);
        assert_eq!(ready(&mut turns), [3]);
    }
}
