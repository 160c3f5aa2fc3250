//! What became of a due time of a schedule: by its row if there is one, else by the arithmetic and by what waits.

use super::{
    fate::{FateState, OccurrenceFate, StandsFor},
    known::{Known, parked_of},
    rows::{self, Found, Searched},
    said,
};
use crate::{
    clock_loop::Command,
    engine::{Outcome, RecordRow, Revision, Span},
    ops::{
        Clock, DelayedRowView, OpsError, ParkedView, RowView, delayed, run_blocking,
        schedules::{check_name, find},
        views::timing_words,
    },
    schedule::{ClockFate, DayFate, Explained, Timing},
    store::Leader,
};
use ponos::event::{EventKind, OccurrenceId, Timestamp};

/// How many times that a timing names are followed, to say why it is due at one of them, or not.
const FOLLOWED: usize = 20_000;

/// What became of this due time of a schedule.
pub(super) async fn of_due(
    clock: &Clock,
    (name, creation): (&str, Option<u64>),
    due: Timestamp,
    now: Timestamp,
) -> Result<OccurrenceFate, OpsError> {
    check_name(name)?;
    let known = Known::of(clock, name).await?;
    let mut found = rows::of_due(clock, (name, creation), due).await?;
    if found.rows.is_empty() && due <= now && is_written(clock).await {
        found = rows::of_due(clock, (name, creation), due).await?;
    }
    let is_recorded = found.rows.iter().any(|entry| *entry.row.schedule == *name);
    if known.revisions.is_empty() && !is_recorded {
        // Says that there is no such schedule, and which may have been meant.
        find(clock, name).await?;
    }
    let revision = match found.last().filter(|entry| *entry.row.schedule == *name) {
        Some(entry) => known.revision(entry.row.revision, Some(entry.row.creation)),
        None => known.in_effect(due),
    };
    let number = found.last().map(|entry| entry.row.revision).filter(|number| *number > 0);
    let may_be_parked = found.last().is_none_or(|entry| matches!(entry.row.outcome, Outcome::Parked(_)));
    let parked = match revision.map(|revision| revision.number).or(number).filter(|_| may_be_parked) {
        Some(number) => parked_of(clock, name, number, due).await?,
        None => None,
    };
    let parked = parked.map(|(number, parked, being_sent)| ParkedView::new(number, &parked, being_sent));
    let row = found.last().map(|entry| entry.sequence);
    let looked = Looked { clock: clock.clone(), revision: revision.cloned(), known, found, parked, due, now };
    let name = name.to_owned();
    let mut fate = run_blocking(move || looked.fate(&name)).await?;
    // Where a row says what became of it, and not the arithmetic.
    if let Some(row) = row.filter(|_| fate.recorded_at.is_some()) {
        fate.take_leader(clock.record().leader(row).await?);
    }
    Ok(fate)
}

/// What became of the event of this id, if the record has it.
pub(super) async fn of_id(
    clock: &Clock,
    id: &str,
    now: Timestamp,
) -> Result<(Option<OccurrenceFate>, Searched), OpsError> {
    let (mut found, last, mut searched) = rows::of_id(clock, id, 0).await?;
    if found.is_none() && is_written(clock).await {
        // What was confirmed a moment ago.
        found = rows::of_id(clock, id, last).await?.0;
    }
    if let Some(entry) = found {
        let row = &entry.row;
        if row.kind == EventKind::Occurrence {
            let of = (&*row.schedule, Some(row.creation));
            return Ok((Some(of_due(clock, of, row.last, now).await?), searched));
        }
        let known = Known::of(clock, &row.schedule).await?;
        let revision = known.revision(row.revision, Some(row.creation)).cloned();
        let mut fate = asked_for(&clock.name(), &entry, revision.as_ref());
        fate.take_leader(clock.record().leader(entry.sequence).await?);
        return Ok((Some(fate), searched));
    }
    let (delayed, is_kept) = rows::of_delayed(clock, id).await?;
    searched.delayed = is_kept;
    let Some(row) = delayed else { return Ok((None, searched)) };
    let leader = delayed::leader(clock, row.sequence).await?;
    let mut fate = of_delayed_row(clock.name(), row);
    fate.take_leader(leader);
    Ok((Some(fate), searched))
}

/// Has the record completed, where a clock runs: rows of what was confirmed are written behind.
async fn is_written(clock: &Clock) -> bool {
    match clock {
        Clock::Running(clock) => matches!(clock.ask(Command::Write).await, Ok(Ok(()))),
        Clock::Stopped(_) => false,
    }
}

/// An event that a command asked for.
fn asked_for(clock: &str, entry: &RecordRow, revision: Option<&Revision>) -> OccurrenceFate {
    let mut fate = OccurrenceFate::of(clock, &entry.row.schedule, entry.row.last);
    fate.take_revision(revision);
    fate.take_row(clock, entry);
    fate.said.push(said::of_row(&fate, entry));
    fate
}

fn of_delayed_row(clock: String, row: DelayedRowView) -> OccurrenceFate {
    let said = said::of_delayed(&row);
    OccurrenceFate {
        creation: Some(row.creation),
        event: Some(row.event),
        event_id: row.event_id,
        kind: EventKind::Delayed.word().into(),
        revision: Some(row.revision),
        state: match row.outcome.as_str() {
            "confirmed" => FateState::Sent,
            "parked" => FateState::Parked,
            _ => FateState::Dropped,
        },
        reason: row.reason,
        recorded_at: Some(row.recorded_at),
        sent_at: row.sent_at,
        lateness_ms: row.lateness_ms,
        returned: row.returned,
        said: vec![said],
        ..OccurrenceFate::of(&clock, &row.name, row.due_at)
    }
}

/// All that was looked up.
struct Looked {
    clock: Clock,
    revision: Option<Revision>,
    known: Known,
    found: Found,
    parked: Option<ParkedView>,
    due: Timestamp,
    now: Timestamp,
}

impl Looked {
    fn fate(mut self, name: &str) -> OccurrenceFate {
        let clock = self.clock.name();
        let mut fate = OccurrenceFate::of(&clock, name, self.due);
        fate.take_revision(self.revision.as_ref());
        let timing = self.revision.as_ref().map(Revision::timing);
        let is_due = timing.as_ref().map(|timing| timing.after(self.due.plus(-1)) == Some(self.due));
        let row = self.found.last();
        let own = row.filter(|entry| *entry.row.schedule == *name).filter(|entry| {
            // A run of them names its first and its last; what lies between is due by the timing.
            let row = &entry.row;
            [row.first, row.last].contains(&self.due) || is_due != Some(false)
        });
        if let Some(entry) = own {
            fate.take_row(&clock, entry);
            fate.said.push(said::of_row(&fate, entry));
            fate.parked = self.parked.take();
            match (&fate.parked, fate.state) {
                (Some(parked), _) => fate.said.push(said::of_parked(parked)),
                (None, FateState::Parked) => fate.said.push(said::parked_no_more(self.found.through)),
                (None, _) => {}
            }
        } else if is_due != Some(true) {
            self.not_due(&mut fate, timing.as_ref());
            return fate;
        } else if let Some(parked) = self.parked.take() {
            (fate.state, fate.reason) = (FateState::Parked, Some(parked.reason.clone()));
            fate.said.push(said::of_parked(&parked));
            fate.parked = Some(parked);
        } else {
            self.unsettled(&mut fate, timing.as_ref());
        }
        fate.explain(timing.as_ref());
        fate
    }

    /// It is due, and has neither a row of its own nor a parked entry.
    fn unsettled(&self, fate: &mut OccurrenceFate, timing: Option<&Timing>) {
        let (Some(revision), Some(timing)) = (&self.revision, timing) else { return };
        let status = self.known.status.as_ref();
        let of_revision = |status: &&crate::engine::ScheduleStatus| status.revision.number == revision.number;
        let is_in_flight = status.filter(of_revision).is_some_and(|one| one.in_flight == Some(self.due));
        let waits = |span: &&Span| {
            span.revision == revision.number
                && span.after < self.due
                && self.due <= span.closed(timing, timing.due_by(self.now)).through
        };
        let span = self.known.spans.iter().find(waits);
        let send_at = timing.send_time(self.due);
        let is_pending = self.known.one_shots.iter().any(|one| one.due == self.due);
        if let Some(entry) = self.found.last().filter(|_| span.is_none() && !is_in_flight) {
            fate.take_row(&fate.clock.clone(), entry);
            fate.said.push(said::of_row(fate, entry));
        } else if is_in_flight {
            fate.state = FateState::Sending;
            fate.said.push(said::sending(fate));
        } else if span.is_some() || send_at <= self.now && (is_pending || send_at > self.settled()) {
            fate.state = FateState::Waiting;
            if let Some(all) = span.and_then(|span| span.coalesced).filter(|all| all.count > 1) {
                fate.stands_for =
                    Some(StandsFor { first_due_at: all.first, due_at: all.last, count: all.count });
            }
            fate.said.push(said::waiting(fate, &self.clock, status));
        } else if send_at > self.now {
            fate.state = FateState::ToCome;
            fate.said.push(said::to_come(fate, status));
        } else {
            fate.state = FateState::NotRecorded;
            fate.said.push(said::not_recorded(fate, self.found.begins, self.found.through));
        }
    }

    /// Everything up to this is settled, or outstanding.
    fn settled(&self) -> Timestamp {
        match &self.clock {
            Clock::Running(clock) => clock.status().settled,
            Clock::Stopped(clock) => clock.snapshot.settled.unwrap_or(Timestamp::EPOCH),
        }
    }

    fn not_due(&self, fate: &mut OccurrenceFate, timing: Option<&Timing>) {
        fate.state = FateState::NotDue;
        fate.event_id = None;
        let why = match timing {
            None => said::out_of_revisions(&self.known.revisions, self.due),
            Some(timing) => {
                let left_out: Vec<Explained> = timing
                    .explain_some(self.due.plus(-1), self.due, FOLLOWED)
                    .filter(|one| one.about == self.due && one.due.is_none())
                    .collect();
                let why = said::why_not(timing, self.due, &left_out);
                fate.why = left_out;
                why
            }
        };
        fate.said.push(said::not_due(fate, &why));
        if let Some(by) = said::by(fate) {
            fate.said.push(by);
        }
    }
}

impl OccurrenceFate {
    /// Of this due time, of which nothing else is known.
    fn of(clock: &str, schedule: &str, due: Timestamp) -> Self {
        Self {
            clock: clock.to_owned(),
            schedule: schedule.to_owned(),
            creation: None,
            event: None,
            event_id: None,
            kind: EventKind::Occurrence.word().into(),
            command: None,
            revision: None,
            effective_from: None,
            timing: None,
            due_at: due,
            send_at: None,
            local_time: None,
            utc_offset: None,
            time_zone: None,
            fold: None,
            why: Vec::new(),
            state: FateState::NotRecorded,
            reason: None,
            recorded_at: None,
            leader: None,
            sent_at: None,
            lateness_ms: None,
            returned: None,
            stands_for: None,
            parked: None,
            said: Vec::new(),
        }
    }

    fn take_revision(&mut self, revision: Option<&Revision>) {
        let Some(revision) = revision else { return };
        let creation = revision.definition.creation();
        let schedule = &crate::schedule::id_name(&self.schedule, creation);
        let id =
            OccurrenceId { clock: &self.clock, schedule, due: self.due_at, kind: &EventKind::Occurrence };
        self.event_id = Some(id.id().to_string());
        self.creation = Some(creation).filter(|creation| *creation > 0);
        self.event = Some(revision.definition.event().to_owned()).filter(|event| !event.is_empty());
        self.revision = Some(revision.number);
        self.effective_from = Some(revision.effective_from);
        self.timing = Some(timing_words(revision));
        let timing = revision.timing();
        self.send_at = (timing.jitter() > 0).then(|| timing.send_time(self.due_at));
        if let Some(local) = timing.local(self.due_at) {
            self.time_zone = Some(local.zone.to_string());
            (self.local_time, self.utc_offset) = (Some(local.time), Some(local.offset));
            self.fold = Some(local.fold);
        }
    }

    fn take_row(&mut self, clock: &str, entry: &RecordRow) {
        let row = &entry.row;
        let view = RowView::new(clock, 0, entry);
        // Also of what was refused: it may have reached somebody.
        if *row.schedule == *self.schedule {
            let schedule = &row.id_name();
            let id = OccurrenceId { clock, schedule, due: row.last, kind: &row.kind }.id().to_string();
            let is_one = row.count <= 1 || matches!(row.outcome, Outcome::Confirmed { .. });
            self.event_id = if is_one { Some(id) } else { self.event_id.take() };
            (self.creation, self.revision) = (view.creation, Some(row.revision));
            (self.kind, self.command) = (view.kind, view.command);
        }
        self.state = match &row.outcome {
            Outcome::Confirmed { .. } => FateState::Sent,
            Outcome::Skipped(_) => FateState::Skipped,
            // It was at that time; whether it is still is seen by its entry.
            Outcome::Parked(_) => FateState::Parked,
            Outcome::Dropped | Outcome::DroppedAtLimit => FateState::Dropped,
            Outcome::DetailsLost => FateState::DetailsLost,
            Outcome::ClockSetBack => FateState::ClockSetBack,
        };
        (self.reason, self.recorded_at) = (view.reason, Some(view.recorded_at));
        (self.sent_at, self.lateness_ms, self.returned) = (view.sent_at, view.lateness_ms, view.returned);
        if row.count > 1 && matches!(row.outcome, Outcome::Confirmed { .. }) {
            self.stands_for = Some(StandsFor { first_due_at: row.first, due_at: row.last, count: row.count });
        }
    }

    /// Adds under which leadership it was recorded. Of what a crash or a clock set back has hidden, that says nothing of who sent it.
    fn take_leader(&mut self, leader: Option<Leader>) {
        if matches!(self.state, FateState::DetailsLost | FateState::ClockSetBack) {
            return;
        }
        self.leader = leader.map(Into::into);
        if let Some(said) = said::of_leader(self) {
            // Behind what became of it.
            self.said.insert(self.said.len().min(1), said);
        }
    }

    /// Adds by which revision it is due then, and what is unusual about that.
    fn explain(&mut self, timing: Option<&Timing>) {
        self.said.extend(said::by(self));
        let Some(timing) = timing else { return };
        let times = timing.explain_some(self.due_at.plus(-1), self.due_at, FOLLOWED);
        let unusual = |one: &Explained| one.day != DayFate::Kept || one.clock != ClockFate::Usual;
        self.why = times.filter(|one| one.due == Some(self.due_at) && unusual(one)).collect();
        self.said.extend(said::unusual(&self.why));
    }
}
