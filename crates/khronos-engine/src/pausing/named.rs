//! The pauses of some names. They stay with the name, whatever becomes of its schedule: until it is forgotten.

use super::super::{
    Notice, OnResume, Pause, PauseEnd, PauseRequest, Pauses, SkippedPause,
    core::Engine,
    faults::{Fault, planted},
    progress::Progress,
    resting::KEPT,
};
use ponos_event::Timestamp;
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    ops::Bound,
    sync::Arc,
};

/// At most so many names stay paused of which nothing runs: of more those end first that would anyway.
pub(in super::super) const AWAY: usize = if cfg!(test) { 4 } else { 10_000 };

/// Why nothing of a name may be handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Rest {
    /// It is paused.
    Paused,
    /// It is not any more, and that is durable with the write that has this ticket.
    Until(u64),
}

/// Pauses by name.
#[derive(Debug, Default)]
pub(super) struct Named {
    all: BTreeMap<Arc<str>, OfName>,
    /// Of which something is skipped.
    skipping: BTreeSet<Arc<str>>,
    /// When those that are paused go on by themselves.
    ends: BTreeSet<(Timestamp, Arc<str>)>,
    /// The same of those of which nothing runs.
    lapses: BTreeSet<(Timestamp, Arc<str>)>,
    /// Names whose pause has ended, in the order of the writes with that.
    opening: VecDeque<(u64, Arc<str>)>,
    /// How many are paused.
    count: usize,
}

#[derive(Debug, Default)]
struct OfName {
    kept: Pauses,
    /// The write with the latest end of a pause, as long as it is not durable; else 0. And which end that was.
    gate: u64,
    end: Option<PauseEnd>,
    /// When its pause ends because nothing of the name runs.
    lapses: Option<Timestamp>,
}

impl Named {
    pub(super) fn new(kept: Vec<(Arc<str>, Pauses)>) -> Self {
        let mut named = Self::default();
        for (name, kept) in kept {
            named.note_present(&name, kept.paused.as_ref(), true);
            named.skipping.extend((!kept.skipped.is_empty()).then(|| name.clone()));
            named.all.insert(name, OfName { kept, ..OfName::default() });
        }
        named
    }

    /// The present pause of a name begins, or is over.
    fn note_present(&mut self, name: &Arc<str>, pause: Option<&Pause>, begins: bool) {
        let Some(pause) = pause else { return };
        if begins {
            self.count += 1;
            self.ends.extend(pause.until.map(|end| (end.at, name.clone())));
        } else {
            self.count -= 1;
            pause.until.map(|end| self.ends.remove(&(end.at, name.clone())));
        }
    }

    fn get(&self, name: &str) -> Option<&OfName> {
        // Most clocks have none.
        if self.all.is_empty() { None } else { self.all.get(name) }
    }

    pub(super) fn paused(&self, name: &str) -> Option<&Pause> {
        self.get(name)?.kept.paused.as_ref()
    }

    pub(super) fn all_paused(&self) -> impl Iterator<Item = (&Arc<str>, &Pause)> {
        self.all.iter().filter_map(|(name, of)| Some((name, of.kept.paused.as_ref()?)))
    }

    pub(super) fn count(&self) -> usize {
        self.count
    }

    pub(super) fn rest(&self, name: &str, progress: &Progress) -> Option<Rest> {
        let of = self.get(name)?;
        if of.kept.paused.is_some() {
            return Some(Rest::Paused);
        }
        (!progress.is_durable(of.gate)).then_some(Rest::Until(of.gate))
    }

    pub(super) fn skipped(&self, name: &str) -> &[SkippedPause] {
        if planted(Fault::SkipOfOthersToo) {
            return self.all.values().next().map_or(&[], |of| &of.kept.skipped);
        }
        self.get(name).map_or(&[], |of| &of.kept.skipped)
    }

    /// All that is skipped of whichever name.
    pub(super) fn all_skipped(&self) -> impl Iterator<Item = &SkippedPause> {
        self.skipping.iter().flat_map(|name| self.skipped(name))
    }

    /// Whether a name is paused, or something of one is skipped.
    pub(super) fn is_in_use(&self) -> bool {
        self.count > 0 || !self.skipping.is_empty()
    }

    pub(super) fn next_end(&self) -> Option<Timestamp> {
        if self.lapses.len() > AWAY {
            return Some(Timestamp::EPOCH);
        }
        [&self.ends, &self.lapses].into_iter().filter_map(|all| all.first()).map(|(at, _)| *at).min()
    }

    /// Those whose time has come, at most so many; and whether that is so because nothing of them runs.
    pub(super) fn take_ended(&self, now: Timestamp, most: usize) -> Vec<(Arc<str>, PauseEnd, bool)> {
        let is_over = |(at, _): &&(Timestamp, Arc<str>)| *at <= now;
        let ends = self.ends.iter().take_while(is_over).take(most);
        let ends = ends.filter_map(|(_, name)| Some((name.clone(), self.paused(name)?.until?, false)));
        let lapsed = |at| PauseEnd { at, on_resume: OnResume::Skip };
        let too_many = self.lapses.len().saturating_sub(AWAY);
        let lapses = self.lapses.iter().enumerate().take_while(|(at, one)| *at < too_many || is_over(one));
        // Each once, by the end that was asked for.
        let is_of_ends = |name: &Arc<str>| {
            self.paused(name).and_then(|pause| pause.until).is_some_and(|end| end.at <= now)
        };
        let lapses = lapses.filter(|(_, (_, name))| !is_of_ends(name));
        let lapses = lapses.map(|(_, (at, name))| (name.clone(), lapsed((*at).min(now)), true));
        ends.chain(lapses).take(most).collect()
    }

    /// When a pause of this name, if there is one, ends because nothing of it runs; `None`: it does.
    fn lapse(&mut self, name: &Arc<str>, at: Option<Timestamp>) {
        let Some(of) = self.all.get_mut(name) else { return };
        let at = at.filter(|_| of.kept.paused.is_some());
        if let Some(before) = std::mem::replace(&mut of.lapses, at) {
            self.lapses.remove(&(before, name.clone()));
        }
        self.lapses.extend(at.map(|at| (at, name.clone())));
    }

    /// How the pause of this name ended, as long as that is not durable.
    pub(super) fn end(&self, name: &str) -> Option<PauseEnd> {
        self.get(name)?.end
    }

    pub(super) fn saved(&mut self, is_durable: impl Fn(u64) -> bool) {
        while let Some((gate, name)) = self.opening.pop_front_if(|(gate, _)| is_durable(*gate)) {
            if let Some(of) = self.all.get_mut(&name).filter(|of| of.gate == gate) {
                (of.gate, of.end) = (0, None);
                self.drop_if_empty(&name);
            }
        }
    }

    fn drop_if_empty(&mut self, name: &Arc<str>) {
        if self.all.get(name).is_some_and(|of| of.gate == 0 && of.kept == Pauses::default()) {
            self.all.remove(name);
        }
    }

    /// What is kept of a name; none: nothing.
    fn kept(&self, name: &str) -> Option<&Pauses> {
        self.get(name).map(|of| &of.kept).filter(|kept| **kept != Pauses::default())
    }

    /// The first names after this one of which something is skipped, at most so many, with that.
    pub(super) fn skipped_after(
        &self,
        after: Option<&Arc<str>>,
        most: usize,
    ) -> impl Iterator<Item = (&Arc<str>, &[SkippedPause])> {
        let from = after.map_or(Bound::Unbounded, |name| Bound::Excluded(name.clone()));
        let some = self.skipping.range((from, Bound::Unbounded)).take(most);
        some.filter_map(|name| Some((name, self.all.get(name)?.kept.skipped.as_slice())))
    }

    /// Forgets some of what is skipped of a name.
    pub(super) fn forget(&mut self, name: &Arc<str>, gone: impl Fn(&SkippedPause) -> bool) {
        if let Some(of) = self.all.get_mut(name) {
            of.kept.skipped.retain(|one| !gone(one));
            if of.kept.skipped.is_empty() {
                self.skipping.remove(name);
            }
            self.drop_if_empty(name);
        }
    }
}

impl Engine {
    /// Whether something of this name runs, or is kept.
    fn is_known(&self, name: &str) -> bool {
        self.schedules.find(name).is_some() || self.resting.of(name).next().is_some()
    }

    /// Gives those for which there is no room; the others begin. Names that are not known are passed over.
    pub(super) fn pause_names(&mut self, names: BTreeSet<Arc<str>>, request: &PauseRequest) -> Vec<Arc<str>> {
        let (now, reached) = (self.now(), self.reached_now(true));
        let (mut begun, mut without) = (Vec::with_capacity(names.len()), Vec::new());
        for name in names.into_iter().filter(|name| self.is_known(name)).collect::<Vec<_>>() {
            let kept = self.pausing.named.get(&name).map(|of| &of.kept);
            let makes = kept.map(|kept| kept.makes_room(0, |one| self.is_free(&name, one))).transpose();
            let Ok(makes) = makes else {
                without.push(name);
                continue;
            };
            let named = &mut self.pausing.named;
            named.note_present(&name, named.paused(&name).cloned().as_ref(), false);
            let kept = &mut named.all.entry(name.clone()).or_default().kept;
            makes.flatten().map(|at| kept.skipped.remove(at));
            let pause = kept.begin(request.clone(), now, reached).clone();
            named.note_present(&name, Some(&pause), true);
            self.write_pauses_of(&name);
            self.note_whether_it_runs(&name);
            if let Some(id) = self.schedules.find(&name) {
                self.schedules.hold(id);
            }
            begun.push((name, pause));
        }
        let others = begun.len().saturating_sub(1);
        if let Some((schedule, pause)) = begun.into_iter().next() {
            self.out.notices.push(Notice::PausedByName { schedule, pause, others });
        }
        without
    }

    pub(super) fn resume_names(&mut self, names: BTreeSet<Arc<str>>, how: OnResume) {
        let end = PauseEnd { at: self.now(), on_resume: how };
        for name in names {
            self.end_pause_of(&name, end, false);
        }
    }

    /// Ends the pause of a name, if there is one: what rests of it goes on once that is durable. `away`: because nothing of it
    /// has run for long.
    pub(super) fn end_pause_of(&mut self, name: &Arc<str>, end: PauseEnd, away: bool) {
        let PauseEnd { at: through, on_resume: how } = end;
        let set_backs = self.progress.set_backs();
        let named = &mut self.pausing.named;
        let Some(of) = named.all.get_mut(name) else { return };
        let Some(pause) = of.kept.end(how, through, set_backs) else { return };
        of.end = Some(end);
        if how == OnResume::Skip {
            named.skipping.insert(name.clone());
        }
        named.note_present(name, Some(&pause), false);
        named.lapse(name, None);
        let gate = self.write_pauses_of(name);
        let named = &mut self.pausing.named;
        named.opening.push_back((gate, name.clone()));
        let gate = if planted(Fault::ResumeANameBeforeItIsDurable) { 0 } else { gate };
        named.all.entry(name.clone()).or_default().gate = gate;
        let of_slot = if planted(Fault::LetTheSlotGoEarly) { 0 } else { gate };
        if let Some(id) = self.schedules.find(name) {
            let (key, now) = (self.schedules[id].key(), self.now());
            let by = self.schedules[id].timing().due_by(now);
            let through = self.close_span(&key, by);
            self.schedules.let_go(id, of_slot, through);
        }
        self.outstanding.backlogs.let_go(name, gate);
        if !planted(Fault::LeaveWhatIsParkedPaused) {
            self.outstanding.parked.let_go(name, gate);
        }
        let (schedule, since) = (name.clone(), pause.since);
        self.out.resumed.note(Notice::ResumedByName { schedule, since, through, how, away, others: 0 });
    }

    /// A name runs, or does not any more: the pause of one of which nothing runs ends once its last revision is old.
    pub(in super::super) fn note_whether_it_runs(&mut self, name: &Arc<str>) {
        let last = self.resting.of(name).next_back().filter(|_| self.schedules.find(name).is_none());
        let at = last.and_then(|last| last.ended).map(|ended| ended.plus(KEPT));
        self.pausing.named.lapse(name, at);
    }

    /// Nothing of this name is kept any more.
    pub(in super::super) fn forget_pauses_of(&mut self, name: &Arc<str>) {
        let named = &mut self.pausing.named;
        if let Some(of) = named.all.remove(name) {
            named.skipping.remove(name);
            of.lapses.map(|at| named.lapses.remove(&(at, name.clone())));
            named.note_present(name, of.kept.paused.as_ref(), false);
            self.progress.named_pauses(name, None);
        }
    }

    /// Gives the write with which that goes down.
    pub(super) fn write_pauses_of(&mut self, name: &Arc<str>) -> u64 {
        self.progress.named_pauses(name, self.pausing.named.kept(name));
        self.progress.change()
    }

    /// Whether W has passed a skipped time of a name, and no span of it holds any of it.
    pub(super) fn is_free(&self, name: &Arc<str>, one: &SkippedPause) -> bool {
        let passed = one.through <= self.progress.settled();
        passed && !self.outstanding.backlogs.of(name).any(|(_, backlog)| one.holds_of(backlog))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Reached;

    #[test]
    fn what_ends_for_two_reasons_at_once_ends_once_and_as_it_was_asked() {
        let at = Timestamp::from_millis;
        let paused = |until: Option<i64>| {
            let until = until.map(|until| PauseEnd { at: at(until), on_resume: OnResume::CatchUp });
            let reached = Reached { lately: at(0), ever: at(0), set_backs: 0 };
            let pause = Pause { since: at(0), by: "ann".into(), note: "x".into(), until, reached };
            Pauses { paused: Some(pause), ..Pauses::default() }
        };
        let (a, b): (Arc<str>, Arc<str>) = ("a".into(), "b".into());
        let mut named = Named::new(vec![(a.clone(), paused(Some(5))), (b.clone(), paused(Some(90)))]);
        named.lapse(&a, Some(at(3)));
        named.lapse(&b, Some(at(4)));
        let end = |at, on_resume| PauseEnd { at, on_resume };
        let expected = [(a, end(at(5), OnResume::CatchUp), false), (b, end(at(4), OnResume::Skip), true)];
        assert_eq!(named.take_ended(at(9), 10), expected);
        assert_eq!(named.take_ended(at(9), 1), expected[..1]);
    }
}
