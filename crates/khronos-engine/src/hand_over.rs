//! What is handed to the publisher, in this order: what is on time, what is caught up with or got no answer, what waited for the
//! ceiling of its domain, what is parked and sent again. Nothing goes before what it rests on is durable. What is paused is
//! passed over.

use super::{
    ClockState, Coalesced, Era, Handover, Notice, Outcome, SkipReason,
    at_ceilings::Lets,
    backlog::State,
    catch_up::{self, Next, single},
    core::Engine,
    faults::{Fault, planted},
    in_flight::{Owner, Sending},
    pausing::Rest,
    place::Which,
    progress::{SpanKey, row},
    slots::SlotId,
};
use khronos_schedule::Schedule;
use ponos_event::{EventKind, Timestamp};
use std::sync::Arc;

/// Something due within this many milliseconds has its reservation written ahead, so that it need not wait for the disk.
pub(super) const LEAD: i64 = 500;
/// A reservation reaches this far beyond what it is made for.
pub(super) const RESERVE: i64 = 500;
/// It is renewed when less than this is left of it.
pub(super) const MARGIN: i64 = 200;

/// At most so many are looked at in a step, so that the first are on their way before the last are.
pub(super) const AT_ONCE: usize = 256;

/// Paused schedules whose occurrences are passed over in a step at most.
const PASSED_OVER: usize = 1_000;

/// A finished span looks again after this long whether W has passed it.
const LINGER: i64 = 20;

impl Engine {
    /// Whether anything may be handed over, delayed events included.
    pub fn may_hand_over(&self) -> bool {
        self.link_up && self.trust.holds() && self.would_hand_over()
    }

    /// Whether anything would be handed over, if the broker were there and this clock trusted.
    pub fn would_hand_over(&self) -> bool {
        let believed = self.guard.state() == ClockState::Steady && self.setting_back.is_none();
        believed && !self.draining && !self.pausing.rests(&self.progress)
    }

    /// Whether schedules can change: the moment at which they do is clear.
    pub(super) fn is_steady(&self) -> bool {
        !matches!(self.guard.state(), ClockState::Held { .. }) && self.setting_back.is_none()
    }

    pub(super) fn dispatch_due(&mut self) {
        self.more = false;
        let now = self.now();
        if !self.may_hand_over() {
            return;
        }
        self.reserve(now);
        self.forget_what_was_decided();
        self.ceilings.forget_wants();
        self.add_deferred(now);
        self.hand_over_on_time(now);
        if !self.more {
            self.hand_over_backlogs(now);
            self.hand_over_below_ceilings(now);
            self.hand_over_parked(now);
        }
        self.pass_over_paused(now);
    }

    /// Has H raised ahead of what is due soon.
    fn reserve(&mut self, now: Timestamp) {
        if let Some(send) = self.schedules.first_send(Which::Due)
            && send <= now.plus(LEAD)
            && self.progress.wanted() < send.plus(MARGIN)
        {
            self.progress.reserve(send.max(now).plus(RESERVE));
        }
    }

    fn hand_over_on_time(&mut self, now: Timestamp) {
        let mut left = AT_ONCE;
        while let Some((send, id)) = self.schedules.first_due().filter(|(send, _)| *send <= now) {
            if left == 0 {
                self.more = true;
                return;
            }
            left -= 1;
            let slot = &self.schedules[id];
            let Some(due) = slot.next() else {
                self.schedules.dequeue(id);
                continue;
            };
            let conduct = slot.definition.conduct();
            let name = slot.definition.name();
            let skipped = self.pausing.skipped_times(name, slot.era()).over(send);
            let over = self.ceiling_over_slot(slot);
            if over.is_some() && planted(Fault::DelayOthersByACeiling) {
                return;
            }
            let behind = now.since(send) > conduct.catch_up.grace
                || skipped.is_some()
                || over.is_some()
                || self.outstanding.backlogs.holds_of(name, || slot.definition.creation())
                    && !planted(Fault::Overtake);
            if let Some(key) = behind.then(|| slot.key()).filter(|key| self.can_join_backlog(key, due)) {
                self.schedules.pop(Which::Due, now);
                self.schedules.lookahead.take(id, due);
                if self.progress.is_full(self.rules.piece) {
                    self.schedules.defer(id);
                } else {
                    self.add_to_backlog(id, key, due, now);
                }
            } else if let Some(through) = skipped {
                self.schedules.pop(Which::Due, now);
                self.schedules.lookahead.take(id, due);
                let key = self.schedules[id].key();
                self.skip_paused(id, &key, due, (through.min(now), now));
            } else if over.is_some() && self.ceiling_over_what_cannot_join(&self.schedules[id]).is_some() {
                self.schedules.pop(Which::Due, now);
                self.schedules.lookahead.take(id, due);
                self.defer_to_ceiling(id);
            } else {
                let reserved = send <= self.progress.handed();
                if !reserved || !self.outstanding.has_room() {
                    return;
                }
                self.schedules.pop(Which::Due, now);
                self.dispatch_on_time(id, due, now);
            }
        }
    }

    /// What paused schedules skip is only recorded; and the span of one that is paused by name opens when something is due of
    /// it. With every step, so that W goes on; but no step is made for it. While a write takes long they wait in their
    /// queue, and W with them: else their rows, or spans, would grow without bound.
    fn pass_over_paused(&mut self, now: Timestamp) {
        for _ in 0..PASSED_OVER {
            let piece = self.rules.piece;
            if !self.progress.has_room_for_rows(piece) || self.progress.is_full(2 * piece) {
                return;
            }
            let Some(id) = self.schedules.pop(Which::Paused, now) else { return };
            let slot = &self.schedules[id];
            let by_definition = slot.definition.is_paused();
            match slot.next().map(|due| (due, slot.key())) {
                Some((due, key)) if by_definition => self.skip_paused(id, &key, due, (now, now)),
                Some((due, key)) => self.open_span(id, key, due),
                None => {}
            }
        }
        self.more |= self.schedules.first_send(Which::Paused).is_some_and(|send| send <= now);
    }

    /// Skips what is to be sent through an instant.
    fn skip_paused(
        &mut self,
        id: SlotId,
        key: &SpanKey,
        due: Timestamp,
        (through, now): (Timestamp, Timestamp),
    ) {
        let timing = self.schedules[id].timing();
        let last = timing.before(timing.due_by(through).plus(1)).map_or(due, |last| last.max(due));
        let run = Coalesced { first: due, last, count: timing.count(due.plus(-1), last).max(1) };
        let creation = self.schedules[id].definition.creation();
        let row = row(now, (key, creation), run, Outcome::Skipped(SkipReason::Paused));
        self.progress.skip_paused(row, &timing);
        self.progress.skip(timing.send_time(last));
        self.finish_one_shot(id);
        self.schedules[id].skip(run.count);
        self.schedules.queue_after(id, last);
        self.note_end(id, false);
    }

    fn dispatch_on_time(&mut self, id: SlotId, due: Timestamp, now: Timestamp) {
        let (prepared, schedule) = match self.schedules.lookahead.take(id, due) {
            Some(next) => (Some(next.number), next.schedule),
            None => (None, self.schedules[id].schedule()),
        };
        let slot = &mut self.schedules[id];
        let Some(schedule) = schedule else { return };
        slot.hand_over(due);
        let era = slot.era();
        self.dispatch(Owner::OnTime(id), era, schedule, single(due), now, prepared);
    }

    fn hand_over_backlogs(&mut self, now: Timestamp) {
        let mut left = AT_ONCE;
        while self.outstanding.has_room_behind() && !self.progress.is_full(self.rules.piece) {
            if left == 0 {
                self.more = true;
                return;
            }
            left -= 1;
            let Some(key) = self.outstanding.backlogs.next_ready(now) else { return };
            self.advance_span(&key, now, Lets::Nothing);
        }
    }

    /// Takes a span one step further, as far as its ceiling lets it.
    pub(super) fn advance_span(&mut self, key: &SpanKey, now: Timestamp, lets: Lets) {
        if self.outstanding.backlogs.oldest_beside(key).is_some_and(|oldest| oldest != key) {
            return self.outstanding.backlogs.set(key, State::Behind);
        }
        // What a revision was due for when it began, or came back, waits for the same write as what falls due of it.
        if let Some(gate) = self.schedules.gate(key) {
            return self.outstanding.backlogs.set(key, State::Saving(gate));
        }
        let settled = self.settled();
        let rest = self.pausing.rest_of(&key.0, &self.progress);
        let Some(backlog) = self.outstanding.backlogs.get_mut(key) else { return };
        // Before anything is counted: a pause may be long.
        if let Some(rest) = rest.filter(|_| backlog.has_more()) {
            let state = match rest {
                Rest::Paused => State::Paused,
                Rest::Until(ticket) => State::Saving(ticket),
            };
            return self.outstanding.backlogs.set(key, state);
        }
        let (era, schedule, (fixed_by, up_to)) = (backlog.era, backlog.schedule.clone(), backlog.fixed);
        let passed = schedule.timing.due_by(settled) >= backlog.span.through;
        let skipped = self.pausing.skipped_times(&key.0, era);
        let next = match catch_up::next(&schedule, &backlog.span, skipped, now) {
            // A restart finds in (W, H] what was refused and stands in a run: that is not sent as a part of the span.
            Next::Send(one) if one.count == 1 => {
                let parked = self.outstanding.parked.run_with(key, one.last);
                parked.map_or(Next::Send(one), Next::Parked)
            }
            next => next,
        };
        if let Next::Fix { first, .. } = next
            && let Some(waits) = self.waits_undecided(&schedule, first, lets)
        {
            return self.outstanding.backlogs.set(key, waits);
        }
        let Some(backlog) = self.outstanding.backlogs.get_mut(key) else { return };
        let state = match next {
            Next::Parked(last) => {
                backlog.span.after = last.min(backlog.span.through);
                self.progress.span(key, Some(&backlog.span));
                State::Ready
            }
            Next::Wait(until) => State::Waiting(until),
            // Without the span a restart would take what lies in (W, H] for sent singly; so it stays until W is past it.
            Next::Done if !passed => State::Waiting(now.plus(LINGER)),
            Next::Done => {
                self.progress.span(key, None);
                self.progress.urge();
                self.finish_one_shot_of(key);
                if let Some(id) =
                    self.schedules.find(&key.0).filter(|id| self.schedules[*id].number() == key.1)
                {
                    self.note_end(id, true);
                }
                State::Closing(self.progress.next_ticket())
            }
            Next::Skip(run, reason) => {
                backlog.span.after = run.last;
                self.progress.span(key, Some(&backlog.span));
                let row = row(now, (key, schedule.creation), run, Outcome::Skipped(reason));
                match reason {
                    // Said of all at once.
                    SkipReason::Paused => self.progress.skip_paused(row, &schedule.timing),
                    _ => {
                        self.progress.row(row);
                        self.caught_up(key, run, "skipped, as its catch-up says");
                    }
                }
                self.progress.skip(schedule.timing.send_time(run.last));
                if let Some(id) = self.running_creation(&key.0, schedule.creation) {
                    self.schedules[id].skip(run.count);
                }
                State::Ready
            }
            Next::Fix { handed, coalesced, .. } => {
                backlog.span.handed = backlog.span.handed.max(handed);
                backlog.span.coalesced = coalesced;
                self.progress.span(key, Some(&backlog.span));
                // H bounds what spans hand over too. What is handed over now has its send time behind it.
                self.progress.reserve(if schedule.timing.jitter() > 0 { now } else { handed });
                if let Some(run) = coalesced {
                    self.caught_up(key, run, "one event stands for them all");
                }
                State::Saving(self.progress.next_ticket())
            }
            Next::Send(one) if one.last > up_to && !self.progress.is_durable(fixed_by) => {
                State::Saving(fixed_by)
            }
            // Only where the clock was set back H may be lower than when the span was written.
            Next::Send(stands_for) if !self.is_reserved(schedule.timing.send_time(stands_for.last)) => {
                State::Saving(self.progress.next_ticket())
            }
            Next::Send(stands_for)
                if lets == Lets::Nothing
                    && !planted(Fault::SendSpansAboveTheCeiling)
                    && let Some(ceiling) = self.ceiling_over(schedule.event.as_str()) =>
            {
                State::AtCeiling(ceiling, schedule.timing.send_time(stands_for.last))
            }
            Next::Send(stands_for) => {
                self.dispatch(Owner::Span(key.0.clone(), key.1), era, schedule, stands_for, now, None);
                State::InFlight
            }
        };
        self.outstanding.backlogs.set(key, state);
        if matches!(state, State::Saving(_)) {
            self.keep_single(key);
        }
    }

    /// Whether something of this send time lies below a durable H; if not, that is asked for.
    pub(super) fn is_reserved(&mut self, send: Timestamp) -> bool {
        let reserved = send <= self.progress.handed() || planted(Fault::SendSpansAboveTheReservation);
        if !reserved {
            self.progress.reserve(send);
        }
        reserved
    }

    fn caught_up(&mut self, key: &SpanKey, run: Coalesced, how: &'static str) {
        let (first, last, count) = (run.first, run.last, run.count);
        self.out.notices.push(Notice::CaughtUp { schedule: key.0.clone(), first, last, count, how });
    }

    pub(super) fn dispatch(
        &mut self,
        owner: Owner,
        era: Era,
        schedule: Arc<Schedule>,
        stands_for: Coalesced,
        now: Timestamp,
        prepared: Option<u64>,
    ) {
        self.count_below_ceiling(schedule.event.as_str());
        let kind = self.outstanding.kind_of(&owner);
        let (lateness, skipped) = match &kind {
            EventKind::Occurrence | EventKind::Delayed => {
                let send = schedule.timing.send_time(stands_for.last);
                let slot = self.slot_of(&owner, &schedule.name, schedule.creation);
                let skipped = slot.map_or(0, |id| self.schedules[id].take_skipped());
                self.progress.hand_over(send);
                (now.since(send), skipped)
            }
            // W, H and R say nothing of what a command asked for: its entry does.
            EventKind::Trigger(_) => (now.since(stands_for.last).max(0), 0),
            EventKind::Backfill(_) => (0, 0),
        };
        let (name, creation) = (schedule.name.clone(), schedule.creation);
        let token = self.outstanding.in_flight.insert(Sending {
            owner,
            schedule: name,
            kind: kind.clone(),
            creation,
            stands_for,
            sent_at: now,
            lateness,
        });
        self.out.publish.push(Handover {
            token,
            era,
            schedule,
            queue: self.operations.queue(&kind),
            kind,
            stands_for,
            sent_at: now,
            lateness,
            skipped,
            prepared,
        });
    }
}
