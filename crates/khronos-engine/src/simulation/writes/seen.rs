//! An engine that runs alone, and what is seen of it.

use super::{MINUTE, START};
use crate::{
    Action, Answer, Ceiling, Ceilings, ClockRules, Declined, Engine, Handover, Input, LoggedChange, Notice,
    Pauses, Reading, Resends, Row, Rules, Snapshot, Verdict,
    store::{Limits, Memory, MemoryStore, Store},
};
use ponos_event::Timestamp;
use std::{collections::BTreeMap, sync::Arc};

/// What was seen of an engine that runs alone, and whose writes and events succeed at once.
pub(super) struct Seen {
    pub(super) engine: Engine,
    pub(super) now: i64,
    pub(super) wakeups: usize,
    pub(super) saves: usize,
    pub(super) rows: Vec<Row>,
    /// What is durable.
    pub(super) disk: Memory,
    /// Spans in all writes.
    pub(super) spans: usize,
    /// Pauses by name in the largest write.
    pub(super) most_pauses: usize,
    /// Spans in the largest write.
    pub(super) largest: usize,
    /// Rows in the largest write.
    pub(super) most_rows: usize,
    pub(super) pauses: Pauses,
    pub(super) by_name: BTreeMap<Arc<str>, Pauses>,
    pub(super) too_many: Vec<u64>,
    pub(super) unread: Vec<u64>,
    pub(super) decided: Vec<(u64, Vec<Verdict>)>,
    pub(super) without_room: Vec<Arc<str>>,
    pub(super) notices: Vec<Notice>,
    pub(super) changes: Vec<LoggedChange>,
    pub(super) triggered: Vec<(u64, Timestamp)>,
    pub(super) declined: Vec<(u64, Declined)>,
    pub(super) durable: Vec<u64>,
    /// What the broker does not take.
    pub(super) refuses: fn(&Handover) -> bool,
    /// What was handed over, and when.
    pub(super) handed: Vec<(Handover, i64)>,
    pub(super) ceilings: Vec<Ceiling>,
    /// For how many occurrences events were sent, by schedule.
    pub(super) sent: BTreeMap<Arc<str>, u64>,
    /// How far the wall clock was set back.
    pub(super) ahead: i64,
}

impl Seen {
    pub(super) fn engine(piece: usize, resume_backward: bool) -> Engine {
        Self::without_files(piece, resume_backward).having_read()
    }

    /// Whose files were not read yet.
    pub(super) fn without_files(piece: usize, resume_backward: bool) -> Engine {
        let clock = ClockRules { settle: 0, max_forward: MINUTE, max_backward: MINUTE, resume_backward };
        let resends = Resends { count: 3, over: MINUTE };
        let rules = Rules {
            clock,
            resends,
            in_flight: 4,
            piece,
            parked: 100,
            record_first: false,
            keep_finished: 86_400_000,
            demand: crate::core::UNBOUNDED,
        };
        let reading = Reading { wall: Timestamp::from_millis(START), boot: 0 };
        Engine::start(rules, Snapshot::default(), reading)
    }

    pub(super) fn of(piece: usize) -> Self {
        let engine = Self::engine(piece, false);
        Self {
            engine,
            now: START,
            wakeups: 0,
            saves: 0,
            rows: Vec::new(),
            disk: Memory::default(),
            spans: 0,
            most_pauses: 0,
            largest: 0,
            most_rows: 0,
            pauses: Pauses::default(),
            by_name: BTreeMap::new(),
            too_many: Vec::new(),
            unread: Vec::new(),
            decided: Vec::new(),
            without_room: Vec::new(),
            notices: Vec::new(),
            changes: Vec::new(),
            triggered: Vec::new(),
            declined: Vec::new(),
            durable: Vec::new(),
            refuses: |_| false,
            handed: Vec::new(),
            ceilings: Vec::new(),
            sent: BTreeMap::new(),
            ahead: 0,
        }
    }

    /// The same below this ceiling of events a second.
    pub(super) fn below(mut self, domain: &str, rate: u32) -> Self {
        self.ceilings.push(Ceiling::of_a_second(domain.into(), domain.into(), rate));
        self.engine = self.engine.below(Ceilings::new(self.ceilings.clone()));
        self
    }

    pub(super) fn step(&mut self, input: Input) {
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            let boot = self.now - START + self.ahead;
            let reading = Reading { wall: Timestamp::from_millis(self.now), boot };
            for action in self.engine.step(reading, input) {
                match action {
                    Action::Save { ticket, commit } => {
                        self.saves += 1;
                        self.store().save(0, &commit).unwrap();
                        self.spans += commit.spans.len();
                        self.most_pauses = self.most_pauses.max(commit.named_pauses.len());
                        self.largest = self.largest.max(commit.spans.len());
                        self.most_rows = self.most_rows.max(commit.rows.len());
                        self.rows.extend(commit.rows);
                        self.changes.extend(commit.changes);
                        self.pauses = commit.pauses.unwrap_or(std::mem::take(&mut self.pauses));
                        for (name, pauses) in commit.named_pauses {
                            self.by_name.remove(&name);
                            self.by_name.extend(pauses.map(|pauses| (name, pauses)));
                        }
                        inputs.push(Input::Saved(ticket));
                    }
                    Action::Publish(handovers) => {
                        for one in handovers {
                            self.handed.push((one.clone(), self.now));
                            let answer = if (self.refuses)(&one) {
                                Answer::Refused("full".into())
                            } else {
                                let sent = self.sent.entry(one.schedule.name.clone()).or_default();
                                *sent += one.stands_for.count;
                                Answer::Confirmed { returned: false }
                            };
                            inputs.push(Input::Settled(vec![(one.token, answer)]));
                        }
                    }
                    Action::TooMany(many) | Action::TooManyMessages(many) => self.too_many.extend(many),
                    Action::TooManyPauses(many) => {
                        for (command, names) in many {
                            self.too_many.push(command);
                            self.without_room.extend(names);
                        }
                    }
                    Action::Unread(commands) => self.unread.extend(commands),
                    Action::Triggered(all) => {
                        self.triggered.extend(all.into_iter().map(|(command, one)| (command, one.due)));
                    }
                    Action::Declined(all) => self.declined.extend(all),
                    Action::Notice(notice) => self.notices.push(notice),
                    Action::Decided(all) => self.decided.extend(all),
                    Action::Durable(all) => self.durable.extend(all),
                    Action::Calendars { .. } | Action::Record { .. } => {}
                }
            }
        }
    }

    fn store(&self) -> MemoryStore {
        self.disk.open("alone", Limits::default()).unwrap()
    }

    /// What is durable.
    pub(super) fn snapshot(&self) -> Snapshot {
        self.store().load().unwrap()
    }

    /// The process dies, and begins again with what is durable.
    pub(super) fn restart(&mut self) {
        let kept = self.snapshot();
        self.start(kept);
    }

    /// The same with this.
    pub(super) fn start(&mut self, kept: Snapshot) {
        let boot = self.now - START + self.ahead;
        let reading = Reading { wall: Timestamp::from_millis(self.now), boot };
        let engine = Engine::start(self.engine.rules, kept, reading);
        self.engine = engine.below(Ceilings::new(self.ceilings.clone()));
    }

    /// Steps until W has reached the time that it is; the one write is not durable meanwhile. How many steps it took, each of
    /// them at once after the one before; and the write.
    pub(super) fn steps_until_now_is_settled(&mut self, input: impl Fn(u64) -> Input) -> (u64, u64) {
        let now = Timestamp::from_millis(self.now);
        let reading = Reading { wall: now, boot: self.now - START + self.ahead };
        let (mut turns, mut write) = (0, 0);
        while turns == 0 || self.engine.next_wakeup() == Some(now) {
            turns += 1;
            for action in self.engine.step(reading, input(turns)) {
                if let Action::Save { ticket, commit } = action {
                    self.rows.extend(commit.rows);
                    write = ticket;
                }
            }
            assert!(self.engine.settled() <= now);
        }
        assert_eq!(self.engine.settled(), now);
        (turns, write)
    }

    /// Lets so many milliseconds pass; the engine is woken when it wants to be, and at least every `beat`.
    pub(super) fn pass(&mut self, span: i64, beat: i64) {
        let end = self.now + span;
        while self.now < end {
            let wish = self.engine.next_wakeup().map_or(i64::MAX, Timestamp::millis);
            self.now = wish.clamp(self.now + 1, (self.now + beat).min(end));
            self.wakeups += 1;
            self.step(Input::Tick);
        }
    }
}
