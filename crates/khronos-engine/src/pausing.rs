//! What pauses do: begin, end, come to their own end; and what is forgotten of them. See `pause`.
//!
//! Invariant: of a name that is paused, or whose pause has ended and that is not durable yet, nothing is handed over: its
//! slot stands in no queue from which that happens, and its spans and its parked entries have no turn.

mod forgetting;
mod named;

use super::{
    Author, ChangeKind, LoggedChange, Notice, OnResume, Pause, PauseEnd, PauseRequest, Pauses, Reached,
    Scope, SkippedPause,
    core::Engine,
    faults::{Fault, planted},
    progress::{IDLE, Progress, SpanKey},
    skipped_times::SkippedTimes,
    state::Era,
};
use forgetting::Look;
use named::Named;
use ponos_event::Timestamp;
use std::sync::Arc;

#[cfg(test)]
pub(super) use named::AWAY;
pub(super) use named::Rest;

/// Pauses that come to their own end in a step, at most.
const ENDED_AT_ONCE: usize = 256;

/// Pauses, and how far they are settled.
#[derive(Debug, Default)]
pub(super) struct Pausing {
    /// Of all schedules.
    kept: Pauses,
    /// The write with the latest end of such a pause.
    gate: u64,
    /// Of some names.
    named: Named,
    /// W has passed these, which are of all schedules, and no span holds any of them.
    free: Vec<SkippedPause>,
    /// Of these the span that is named holds some, and will as long as its name is paused.
    standing: Vec<(SkippedPause, SpanKey)>,
    look: Option<Look>,
    /// When the next look may begin, and the next at names.
    look_again: Timestamp,
    look_at_names: Timestamp,
    /// Names up to this one were looked at.
    named_looked_at: Option<Arc<str>>,
}

impl Pausing {
    pub(super) fn new(kept: Pauses, named: Vec<(Arc<str>, Pauses)>) -> Self {
        Self { kept, named: Named::new(named), ..Self::default() }
    }

    /// Whether nothing may be handed over.
    pub(super) fn rests(&self, progress: &Progress) -> bool {
        let ended = progress.is_durable(self.gate) || planted(Fault::ResumeBeforeItIsDurable);
        self.kept.paused.is_some() || !ended
    }

    /// Why nothing of this name may be handed over, whatever may of others.
    pub(super) fn rest_of(&self, name: &str, progress: &Progress) -> Option<Rest> {
        self.named.rest(name, progress)
    }

    /// Whether this name is paused, by itself.
    pub(super) fn is_paused(&self, name: &str) -> bool {
        self.named.paused(name).is_some()
    }

    /// The names that are paused, each by itself.
    pub(super) fn paused_names(&self) -> impl Iterator<Item = (&Arc<str>, &Pause)> {
        self.named.all_paused()
    }

    /// The latest instant of which they tell that the clock showed it.
    pub(super) fn shown(&self) -> Option<Timestamp> {
        let skipped = self.kept.skipped.iter().chain(self.named.all_skipped());
        skipped.map(|one| one.lasts(&self.kept.set_backs)).chain(self.kept.seen).max()
    }

    /// Whether spans are being looked at.
    #[cfg(test)]
    pub(super) fn is_looking(&self) -> bool {
        self.look.is_some()
    }

    pub(super) fn skipped_times(&self, name: &str, era: Era) -> SkippedTimes<'_> {
        SkippedTimes::new([&self.kept.skipped, self.named.skipped(name)], &self.kept.set_backs, era)
    }

    /// When the next pause ends by itself.
    pub(super) fn next_end(&self) -> Option<Timestamp> {
        self.kept.paused.as_ref().and_then(|pause| pause.until).map(|end| end.at)
    }

    /// The same of those by name.
    pub(super) fn next_end_by_name(&self) -> Option<Timestamp> {
        self.named.next_end()
    }

    /// The writes that are durable hold up nothing any more.
    pub(super) fn saved(&mut self, is_durable: impl Fn(u64) -> bool) {
        self.named.saved(is_durable);
    }
}

impl Engine {
    /// The present pause of all schedules.
    pub fn paused(&self) -> Option<&Pause> {
        self.pausing.kept.paused.as_ref()
    }

    /// The present pause of one name, by itself.
    pub fn paused_by_name(&self, name: &str) -> Option<&Pause> {
        self.pausing.named.paused(name)
    }

    /// The first name that is paused by itself.
    pub fn first_paused_by_name(&self) -> Option<(&Arc<str>, &Pause)> {
        // Of most names that are kept nothing but what they skipped may be.
        (self.count_paused_by_name() > 0).then(|| self.pausing.paused_names().next())?
    }

    /// How the pause of this name ended, by itself or not, as long as that is not durable.
    pub fn ended_by_name(&self, name: &str) -> Option<PauseEnd> {
        self.pausing.named.end(name)
    }

    /// How many names are paused, each by itself.
    pub fn count_paused_by_name(&self) -> usize {
        self.pausing.named.count()
    }

    /// Begins pauses, or changes who asked for the present ones, why, and until when. Not where what is skipped of too many
    /// others is not settled yet.
    pub(super) fn pause(&mut self, command: u64, scope: Scope, request: PauseRequest) {
        let without = match scope {
            Scope::All => match self.pause_all(request) {
                Some(()) => Vec::new(),
                None => return self.out.too_many_pauses.push((command, Vec::new())),
            },
            Scope::Named(names) => self.pause_names(names, &request),
        };
        if !without.is_empty() {
            self.out.too_many_pauses.push((command, without));
        }
        self.progress.promise(command);
    }

    fn pause_all(&mut self, request: PauseRequest) -> Option<()> {
        let (now, reached) = (self.now(), self.reached_now(false));
        let Pausing { kept, free, standing, .. } = &mut self.pausing;
        // Where many stood, several may have to go.
        while let Some(at) = kept.makes_room(standing.len(), |one| free.contains(one)).ok()? {
            let gone = kept.skipped.remove(at);
            free.retain(|one| *one != gone);
        }
        kept.seen = Some(now);
        let pause = kept.begin(request, now, reached).clone();
        self.out.notices.push(Notice::Paused(pause));
        self.write_pauses();
        Some(())
    }

    fn reached_now(&self, by_name: bool) -> Reached {
        let set_backs = self.progress.set_backs();
        let fault = if by_name { Fault::PauseANameFromTheMark } else { Fault::PauseFromTheMark };
        if planted(fault) {
            let settled = self.settled();
            return Reached { lately: settled, ever: settled, set_backs };
        }
        // That may lie ahead of what the clock shows: after a restart, and after a step back.
        let ever = self.now().max(self.progress.may_have_been_sent());
        Reached { lately: self.moment(set_backs), ever, set_backs }
    }

    /// Ends the present pause, if there is one.
    pub(super) fn resume(&mut self, command: u64, scope: Scope, how: OnResume) {
        match scope {
            Scope::All => self.end_pause(how, self.now()),
            Scope::Named(names) => self.resume_names(names, how),
        }
        self.progress.promise(command);
    }

    /// Ends the pauses whose time has come: some of them.
    pub(super) fn end_pauses_in_time(&mut self) {
        let now = self.now();
        let end = self.paused().and_then(|pause| pause.until).filter(|end| end.at <= now);
        if let Some(PauseEnd { at, on_resume }) = end {
            self.end_pause(on_resume, at);
            self.log_own_end(on_resume, "its end had come", &[]);
        }
        let most = self.progress.room_for_pauses(self.rules.piece).min(ENDED_AT_ONCE);
        let ended = self.pausing.named.take_ended(now, most);
        for (name, end, away) in &ended {
            self.end_pause_of(name, *end, *away);
        }
        for (how, away, why) in [
            (OnResume::CatchUp, false, "its end had come"),
            (OnResume::Skip, false, "its end had come"),
            (OnResume::Skip, true, "nothing of this name has run for long"),
        ] {
            let such = ended.iter().filter(|(_, end, was_away)| (end.on_resume, *was_away) == (how, away));
            let names: Vec<Arc<str>> = such.map(|(name, ..)| name.clone()).collect();
            if !names.is_empty() {
                self.log_own_end(how, why, &names);
            }
        }
    }

    /// Nobody asked for the end of these pauses; of no name: of that of everything.
    fn log_own_end(&mut self, how: OnResume, why: &str, names: &[Arc<str>]) {
        let entry = LoggedChange::new(self.now(), &Author::the_clock(), ChangeKind::Resumed);
        let note = format!("{why}; what fell due {how}").into();
        let (name, others) =
            names.split_first().map_or(("".into(), &[][..]), |(name, others)| (name.clone(), others));
        let creation = self.creation(&name);
        self.progress.log(LoggedChange { name, others: others.to_vec(), creation, note, ..entry });
    }

    fn end_pause(&mut self, how: OnResume, through: Timestamp) {
        let set_backs = self.progress.set_backs();
        let Some(Pause { since, .. }) = self.pausing.kept.end(how, through, set_backs) else { return };
        self.out.notices.push(Notice::Resumed { since, through, how });
        self.pausing.gate = self.write_pauses();
    }

    fn write_pauses(&mut self) -> u64 {
        self.progress.pauses(&self.pausing.kept);
        self.progress.change()
    }

    /// While W stands still, a restart can tell a long pause from a wrong clock all the same.
    pub(super) fn note_what_is_seen(&mut self) {
        let now = self.now();
        if self.pausing.kept.seen.is_some_and(|seen| now.since(seen) >= IDLE) {
            self.pausing.kept.seen = Some(now);
            self.progress.pauses(&self.pausing.kept);
        }
    }

    /// The clock was set back, and W with it.
    pub(super) fn set_pauses_back(&mut self, to: Timestamp) {
        let pausing = &mut self.pausing;
        pausing.look_anew();
        (pausing.look_again, pausing.look_at_names) = (to, to);
        if planted(Fault::SkipWhatIsDueAnew) {
            return;
        }
        let Pausing { kept, named, .. } = pausing;
        kept.seen = kept.seen.map(|seen| seen.min(to));
        if kept.is_in_use() || named.is_in_use() {
            kept.note_set_back(self.progress.set_backs(), to);
        }
        if *kept != Pauses::default() {
            self.progress.pauses(kept);
        }
    }
}
