//! From what was kept to a running engine, and what a clock that was set back changes.

use super::{
    Notice, Outcome, Reading, Revision, Row, Rules, Snapshot,
    backlog::{Backlog, Backlogs, State},
    clock_guard::ClockGuard,
    core::{Engine, Out, Slot, new_span},
    due_queue::DueQueue,
    flights::Flights,
    progress::Progress,
};
use crate::schedule::Schedule;
use ponos::event::Timestamp;
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

impl Engine {
    /// Takes up where `snapshot` ends. Nothing is published before the first step.
    pub fn start(rules: Rules, snapshot: Snapshot, reading: Reading) -> Self {
        let settled = snapshot.settled.unwrap_or(reading.wall);
        let handed = snapshot.handed.unwrap_or(settled).max(settled);
        let mut engine = Self {
            rules,
            guard: ClockGuard::new(rules.clock, snapshot.settled),
            slots: Vec::new(),
            queue: DueQueue::default(),
            flights: Flights::default(),
            backlogs: Backlogs::default(),
            progress: Progress::new(settled, handed),
            revisions: BTreeMap::new(),
            last_parked: snapshot.parked.last().map_or(0, |(number, _)| *number),
            released: snapshot.parked.iter().filter(|(_, p)| p.released).map(|(number, _)| *number).collect(),
            parked: snapshot.parked.into_iter().collect(),
            waiting_load: None,
            loading: 0,
            link_up: false,
            draining: false,
            complete: settled,
            highest_handed: handed,
            out: Out::default(),
        };
        let pending: HashMap<_, _> = snapshot.one_shots.into_iter().collect();
        let mut built: HashMap<(Arc<str>, u32), Arc<Schedule>> = HashMap::new();
        for revision in snapshot.revisions {
            let key = (revision.schedule.clone(), revision.number);
            match revision.build() {
                Ok(schedule) => drop(built.insert(key.clone(), Arc::new(schedule))),
                Err(faults) => {
                    let reason = faults.first().map(|fault| fault.what.clone()).unwrap_or_default();
                    engine.out.notices.push(Notice::Unreadable { schedule: key.0.clone(), reason });
                }
            }
            engine.revisions.insert(key, Arc::new(revision));
        }
        let mut waiting = Vec::new();
        for (name, span) in snapshot.spans {
            let key = (name, span.revision);
            let (Some(revision), Some(schedule)) = (engine.revisions.get(&key), built.get(&key)) else {
                continue;
            };
            let state = if span.retry_at > settled { State::Waiting(span.retry_at) } else { State::Ready };
            waiting
                .push((key, Backlog { span, revision: revision.clone(), schedule: schedule.clone(), state }));
        }
        for (key, backlog) in waiting {
            engine.backlogs.insert(key, backlog);
        }
        let active: Vec<_> = engine.revisions.iter().filter(|(_, r)| r.ended.is_none()).collect();
        let active: Vec<_> = active
            .into_iter()
            .filter_map(|(key, revision)| Some((revision.clone(), built.get(key)?.clone())))
            .collect();
        engine.slots = active.iter().map(|(revision, schedule)| slot(revision, schedule)).collect();
        for rank in 0..engine.slots.len() {
            let slot = &engine.slots[rank];
            let row = pending.get(&slot.schedule.name).filter(|row| row.revision == slot.revision.number);
            let one_shot = row.map(|row| row.due);
            engine.resume_slot(rank, settled, handed, one_shot);
        }
        engine
    }

    /// Queues what comes after W, and puts what may have been handed over into the set.
    fn resume_slot(
        &mut self,
        rank: usize,
        settled: Timestamp,
        handed: Timestamp,
        pending: Option<Timestamp>,
    ) {
        let slot = &self.slots[rank];
        let (revision, schedule) = (slot.revision.clone(), slot.schedule.clone());
        let key = (schedule.name.clone(), revision.number);
        let outstanding = self.backlogs.get_mut(&key).map(|backlog| backlog.span.through);
        let unsettled = if schedule.timing.is_one_shot() {
            // Rows decide about one-shots: W may long have passed one that is still pending.
            let Some(due) = pending.filter(|_| outstanding.is_none()) else { return };
            due.plus(-1)
        } else {
            settled.max(revision.effective_from).max(outstanding.unwrap_or(Timestamp::EPOCH))
        };
        let mut after = unsettled;
        // A span that was kept shows that nothing of its schedule was handed over on time since; see `backlog`.
        let reached = schedule.timing.before(handed.plus(1)).filter(|last| *last > unsettled);
        if let Some(through) = reached.filter(|_| outstanding.is_none() && !schedule.paused) {
            let span = new_span(revision.number, unsettled, through, through);
            self.progress.span(&key, Some(&span));
            self.backlogs.insert(key, Backlog { span, revision, schedule, state: State::Ready });
            after = through;
        }
        self.queue_after(u32::try_from(rank).unwrap_or(u32::MAX), after);
    }

    /// The operator lets the clock go on from `now`, which is lower than what was seen: the span is recorded, and
    /// what lies in it comes again, under the same ids.
    pub(super) fn set_back(&mut self, now: Timestamp) {
        let highest = self.progress.wanted().max(self.settled());
        self.progress.row(Row {
            at: now,
            schedule: "*".into(),
            revision: 0,
            first: now.plus(1),
            last: highest,
            count: 0,
            outcome: Outcome::ClockSetBack,
        });
        self.progress.set_back(now);
        self.queue = DueQueue::with_capacity(self.slots.len());
        for rank in 0..self.slots.len() {
            if self.slots[rank].in_flight.is_none() && !self.slots[rank].schedule.timing.is_one_shot() {
                self.queue_after(u32::try_from(rank).unwrap_or(u32::MAX), now);
            } else if let Some(due) = self.slots[rank].next {
                self.queue.push(due, u32::try_from(rank).unwrap_or(u32::MAX));
            }
        }
    }
}

pub(super) fn slot(revision: &Arc<Revision>, schedule: &Arc<Schedule>) -> Slot {
    Slot {
        revision: revision.clone(),
        schedule: schedule.clone(),
        next: None,
        in_flight: None,
        skipped: 0,
        confirmed: 0,
        returned: 0,
    }
}
