//! From what was kept to a running engine.

use super::{
    Coalesced, Notice, Outcome, Reading, Rules, Sent, Snapshot, Warm,
    backlog::{Backlog, NOT_FIXED, State},
    calendars::CreatedCalendars,
    ceilings::Ceilings,
    clock_guard::ClockGuard,
    core::{Engine, Out, new_span},
    faults::{Fault, planted},
    going::Going,
    load::Changes,
    messages::Messages,
    operations::Operations,
    outstanding::Outstanding,
    pausing::Pausing,
    progress::{Progress, SpanKey, row},
    resting::Resting,
    set_back::SetBack,
    slots::SlotId,
    trigger::Triggers,
    trust::Trust,
    warm::settled_of,
};
use ponos_event::Timestamp;
use std::{collections::HashSet, sync::Arc};

impl Engine {
    /// Takes up where `snapshot` ends. Nothing is published before the first step.
    pub fn start(rules: Rules, mut snapshot: Snapshot, reading: Reading) -> Self {
        let settled = snapshot.settled.unwrap_or(reading.wall);
        let warm = Warm::of(&mut snapshot, settled);
        Self::take_over(rules, warm, snapshot, reading)
    }

    /// The same with what was made ahead, as of the same moment as `snapshot`, which has no revisions, no one-shots and nothing
    /// of what was sent: that is what was made ahead.
    pub fn take_over(rules: Rules, mut warm: Warm, snapshot: Snapshot, reading: Reading) -> Self {
        let settled = snapshot.settled.unwrap_or(reading.wall);
        let handed = snapshot.handed.unwrap_or(settled).max(settled);
        let reached = snapshot.reached.unwrap_or(handed).max(handed);
        let now = reading.wall.max(settled);
        // A crash may have come before all was taken back.
        let under_way = reached > handed && !planted(Fault::LeaveWhatWasNotTakenBack);
        let triggers = Triggers::new(snapshot.triggers, &snapshot.parked, now);
        let operations = Operations::new(snapshot.operations, &snapshot.parked, now);
        let pausing = Pausing::new(snapshot.pauses, snapshot.named_pauses);
        if settled != warm.settled() {
            warm.move_on(settled);
        }
        // What may have been handed over, and what has a span, is looked at one by one; all else waits where it is to.
        let mut looked_at = warm.take_due(handed);
        let Warm { schedules, resting, one_shots, sent, idle, .. } = warm;
        let mut engine = Self {
            rules,
            guard: ClockGuard::new(rules.clock, snapshot.settled.max(pausing.shown())),
            schedules,
            ceilings: Ceilings::default(),
            outstanding: Outstanding::new(snapshot.parked, rules.in_flight, now),
            progress: Progress::new(settled, handed, reached, (snapshot.set_backs, snapshot.created)),
            resting: Resting::default(),
            changes: Changes::default(),
            calendars: CreatedCalendars::new(snapshot.calendars),
            pausing,
            messages: Messages::new(snapshot.messages, now),
            going: Going::default(),
            went_on_from: now,
            forgotten: 0,
            triggers,
            operations,
            setting_back: under_way.then(|| SetBack::new(handed, HashSet::new())),
            link_up: false,
            trust: Trust::default(),
            more: false,
            draining: false,
            complete: settled,
            out: Out::default(),
        };
        for (_, revision) in resting {
            if let Err(faults) = revision.build() {
                let reason = faults.first().map(|fault| fault.what.clone()).unwrap_or_default();
                engine.out.notices.push(Notice::Unreadable { schedule: revision.name().into(), reason });
            }
            engine.resting.keep_sent(&revision.definition, Sent::of(&sent, &revision.definition));
            let row = one_shots.get(revision.name()).filter(|row| row.revision == revision.number);
            let row = row.map(|row| ((revision.name().into(), row.revision), row.due));
            engine.let_rest(revision);
            if let Some((key, due)) = row {
                engine.resting.keep_pending(key, due);
            }
        }
        for (name, span) in snapshot.spans {
            let key: SpanKey = (name, span.revision);
            let Some(revision) = engine.revision(&key) else { continue };
            let Ok(schedule) = revision.build() else { continue };
            let (era, schedule) = (revision.era(), Arc::new(schedule));
            let state = engine.first_state(&key);
            looked_at.extend(engine.schedules.find(&key.0));
            engine.outstanding.backlogs.insert(key, Backlog { span, era, schedule, state, fixed: NOT_FIXED });
        }
        engine.hold_paused();
        engine.mark_lost_details((settled, handed), reading.wall);
        looked_at.sort_unstable();
        looked_at.dedup();
        for id in looked_at.iter().copied() {
            engine.schedules.dequeue(id);
            engine.schedules[id].wait_for(None);
            let slot = &engine.schedules[id];
            let row = one_shots.get(slot.definition.name()).filter(|row| row.revision == slot.number());
            let one_shot = row.map(|row| row.due);
            engine.resume_slot(id, settled, handed, one_shot);
        }
        engine.await_those_going(idle.into_iter().chain(looked_at));
        if under_way {
            engine.retry_sooner();
        }
        engine.out.notices.extend(engine.paused().cloned().map(Notice::Paused));
        let first = engine.pausing.paused_names().next().map(|(name, pause)| (name.clone(), pause.clone()));
        if let Some((schedule, pause)) = first {
            let others = engine.count_paused_by_name() - 1;
            engine.out.notices.push(Notice::PausedByName { schedule, pause, others });
        }
        engine
    }

    fn hold_paused(&mut self) {
        let names: Vec<Arc<str>> = self.pausing.paused_names().map(|(name, _)| name.clone()).collect();
        for name in names {
            match self.schedules.find(&name) {
                Some(_) if planted(Fault::HoldNothingAtARestart) => {}
                Some(id) => self.schedules.hold(id),
                None => self.note_whether_it_runs(&name),
            }
        }
    }

    /// The store marks what a crash kept from the record up to W. Above W, too, there is what is settled and not sent again: what lies
    /// before a span that was kept, and in a revision that ended. Its rows may be there or not: a row says so, for
    /// those of which no other row tells more. Above H a span that was not taken back yet tells nothing.
    fn mark_lost_details(&mut self, (settled, handed): (Timestamp, Timestamp), at: Timestamp) {
        if self.rules.record_first {
            return;
        }
        // W is a send time: with jitter, what is due before it may be sent after it.
        let spans = self
            .outstanding
            .backlogs
            .iter()
            .filter(|(_, backlog)| backlog.span.after > settled || backlog.schedule.timing.jitter() > 0);
        let spans = spans.map(|(key, b)| {
            let running = self.resting.get(key).is_none();
            let through = b.span.after;
            (key.clone(), if running { through.min(b.schedule.timing.due_by(handed)) } else { through })
        });
        let ended = self.resting.iter().filter_map(|(key, revision)| {
            let ended = revision.ended.filter(|ended| *ended > settled || revision.definition.has_jitter());
            ended.filter(|_| !self.outstanding.backlogs.contains(key)).map(|ended| (key, ended))
        });
        let reached: Vec<_> = spans.chain(ended.map(|(key, ended)| (key.clone(), ended))).collect();
        for (key, through) in reached {
            let Some(revision) = self.revision(&key) else { continue };
            let timing = revision.timing();
            if timing.is_one_shot() || revision.definition.is_paused() {
                continue;
            }
            let after = timing.due_by(settled).max(revision.effective_from);
            let ends = timing.after(after).zip(timing.before(through.plus(1)));
            let Some((first, last)) = ends.filter(|(first, last)| first <= last) else { continue };
            let run = Coalesced { first, last, count: timing.count(after, last) };
            let creation = revision.definition.creation();
            self.progress.row(row(at.max(settled), (&key, creation), run, Outcome::DetailsLost));
        }
    }

    /// A million spans of paused names need not be looked at to find that they rest.
    fn first_state(&self, key: &SpanKey) -> State {
        if self.pausing.is_paused(&key.0) { State::Paused } else { State::Ready }
    }

    /// Queues what comes after W, and puts what may have been handed over into the set.
    fn resume_slot(&mut self, id: SlotId, settled: Timestamp, handed: Timestamp, pending: Option<Timestamp>) {
        let slot = &self.schedules[id];
        let (era, timing) = (slot.era(), slot.timing());
        let key = (slot.name(), era.number);
        let outstanding = self.outstanding.backlogs.get(&key).map(|backlog| backlog.span.through);
        if outstanding == Some(Timestamp::HORIZON) {
            return self.schedules.stand(id, true);
        }
        let settled = settled_of(&timing, settled);
        let unsettled = if timing.is_one_shot() {
            // Rows decide about one-shots: W may long have passed one that is still pending.
            let Some(due) = pending.filter(|_| outstanding.is_none()) else { return };
            due.plus(-1)
        } else {
            settled.max(era.effective_from).max(outstanding.unwrap_or(Timestamp::EPOCH))
        };
        let mut next = timing.after(unsettled);
        // A span that was kept shows that nothing of its schedule was handed over on time since; see `backlog`.
        let by = timing.due_by(handed);
        let reached =
            next.filter(|first| *first <= by && outstanding.is_none() && !slot.definition.is_paused());
        if let Some((first, schedule)) = reached.zip(slot.schedule()) {
            let through = timing.before(by.plus(1)).map_or(first, |last| last.max(first));
            let handed = self.sent_singly(slot).max(through);
            let span = new_span(era.number, unsettled, through, handed);
            self.progress.span(&key, Some(&span));
            let state = self.first_state(&key);
            self.outstanding.backlogs.insert(key, Backlog { span, era, schedule, state, fixed: NOT_FIXED });
            next = timing.after(through);
        }
        self.schedules.queue_up(id, next);
    }
}
